"""config.toml files for property tests, with every construct that the server takes; and heaps of tokens."""

from hypothesis import strategies as st

BLANKS = st.sampled_from(["", " ", "\t", "  "])
ENDS = st.sampled_from(["\n", "\r\n", "mixed"])
COMMENTS = ["# c", "#", "   # [not.a.table]", "# a = \"b\"", "#stalprep-wasn't", "# ü ' \" {", "", "  ", "\t"]
BEHIND = ["", "", " ", "  # c", "\t#", " # \"x\" ] }"]
WORDS = ["a", "Ab", "x-1", "y_", "9", "zürich"]
STRINGS = ["", "v", "a b", "true", "%{env:NAME}%", "#no", "[x]", "ü", "tab\there", "line\nfeed", "C:\\new", 'say "x"',
           "it's", "=,}"]
SPELLED = ['""', "''", "'a\\'b'", '"a\\"b"', '"a\\\\b"', "'''it''s'''", '"""x\ny"""', "'''\nx\n#stalprep-was: y\n'''",
           "1", "-1.5", "+1",
           ".5", "true", "1e9", "2020-01-01T00", "%x%"]


def one_of(draw, values):
    return draw(st.sampled_from(values))


def spelled(draw, text):
    """A value's text in one of the spellings that give it back."""
    ways = ["'''" + text + "'''"] if not text.startswith("\n") and "'''" not in text and not text.endswith("'") else []
    if "\\" not in text and "\n" not in text:
        ways += ['"' + text.replace('"', '\\"') + '"', "'" + text.replace("'", "\\'") + "'"]
        ways += ['"""' + text + '"""'] if not text.endswith('"') else []
    return one_of(draw, ways)


def value(draw, nest=0):
    """Any value."""
    kind = draw(st.integers(0, 9))
    if kind == 0 and nest < 4:
        items = [value(draw, nest + 1) for _ in range(draw(st.integers(0, 3)))]
        between = one_of(draw, [", ", ",", " ,\n  ", ", # x\n"])
        return one_of(draw, ["[", "[ ", "[\n"]) + between.join(items) + one_of(draw, ["]", " ]", "\n]", " # ]\n]"])
    if kind == 1 and nest < 4:
        pairs = [f"{name(draw, number)}{one_of(draw, ['=', ' = '])}{value(draw, nest + 1)}"
                 for number in range(draw(st.integers(1, 3)))]
        return "{" + one_of(draw, [",", ", "]).join(pairs) + one_of(draw, ["}", " }"])
    if kind == 2 and nest < 4:
        return one_of(draw, ["{a, b}", "{ a,b = 1 }", '{"a b"}'])
    if kind == 3:
        return one_of(draw, SPELLED[:-1])
    return spelled(draw, one_of(draw, STRINGS))


def name(draw, number):
    """A key's name that no other number has."""
    word = one_of(draw, WORDS)
    return one_of(draw, [f"{word}{number}", f"k.{word}.{number}", f'"{word} {number}"', f'k{number}."{word}:*"',
                         f'"k{number}\\"{word}"',
                         f"k{number} . {word}"])


def quoted(draw, key):
    """One of the ways to write a plain dotted key."""
    parts = key.split(".")
    return one_of(draw, [key, f'"{key}"', ".".join(f'"{part}"' for part in parts), " . ".join(parts),
                         ".".join([f'"{parts[0]}"', *parts[1:]])])


def header(draw, table):
    """The same between brackets, where a quote as the first character would be taken as it is."""
    first, dot, rest = table.partition(".")
    return first + dot + quoted(draw, rest) if dot else first


def assignment(draw, key, text):
    return f"{quoted(draw, key)}{draw(BLANKS)}={draw(BLANKS)}{text}{one_of(draw, BEHIND)}"


def grouped(draw, top, pairs):
    """Lines that give top.KEY its value for all (KEY, spelled value), in one way or another; seldom in an inline table."""
    way = one_of(draw, [0, 0, 0, 2, 2, 2, 3, 3, 3, 1])
    if way == 0:
        behind = one_of(draw, ["", " # x", " junk"])
        return [f"[{header(draw, top)}]{behind}", *(assignment(draw, *pair) for pair in pairs)]
    above, _, last = top.rpartition(".")
    if way == 1 and above and not any("\n" in text for _, text in pairs):
        inner = ", ".join(f"{quoted(draw, key)} = {text}" for key, text in pairs)
        return [f"[{above}]", f"{last} = {{{inner}}}"]
    if way == 2 and above:
        return [f"[{above}]", *(assignment(draw, f"{last}.{key}", text) for key, text in pairs)]
    return [f"[{top}]", *(line for pair in pairs for line in [one_of(draw, COMMENTS), assignment(draw, *pair)])]


def networks(draw):
    """(key, spelled value) of a list of networks that stands already."""
    way = draw(st.integers(0, 7))
    mine, other = '"198.51.100.0/24"', "'203.0.113.10/32'"
    if way == 0:
        return [("proxy.trusted-networks", mine)]
    if way == 1:
        return [("proxy.trusted-networks", one_of(draw, [f"[{mine}]", f"[\n  {mine}, # x\n  {other},\n]",
                                                         f"[{mine},{other}]"]))]
    if way == 2:
        return [("proxy.trusted-networks.0", mine), ("proxy.override", one_of(draw, ["false", "true", '"true"']))]
    if way == 5:
        return [("proxy", one_of(draw, [f"{{trusted-networks = [{mine}], override = false}}",
                                        f"{{override = false, \"x y\" = 1}}",
                                        f"{{trusted-networks = {mine}}}"]))]
    return []


def listener_pairs(draw, protocol, port):
    binds = [f'"[::]:{port}"', f"['[::]:{port}']", f'["[::]:{port}", "127.0.0.1:{port}"]']
    pairs = [("bind", one_of(draw, binds)), ("protocol", spelled(draw, protocol))]
    return draw(st.permutations(pairs + (networks(draw) if port not in BARE else [])))


def listeners(draw, chosen):
    """Parts with all (name, protocol, port): each for itself, or all of them in one inline table."""
    found = [(name_, listener_pairs(draw, protocol, port)) for name_, protocol, port in chosen]
    if any("\n" in text for _, pairs in found for _, text in pairs) or draw(st.integers(0, 9)) != 7:
        return [grouped(draw, f"server.listener.{name_}", pairs) for name_, pairs in found]
    inner = [f"{quoted(draw, name_)} = {{" + ", ".join(f"{key} = {text}" for key, text in pairs) + "}"
             for name_, pairs in found]
    return [["[server]", "listener = {" + ", ".join(inner) + "}" + one_of(draw, BEHIND)]]


# It has no networks of its own: with it a file does not look staged.
PLAIN = ("pop", "pop3", 110)
BARE = (25, 110)  # ports of listeners without such networks


def plain(draw):
    """The plain listener, in most files."""
    return [PLAIN] if draw(st.integers(0, 3)) else []


CHANGED = [("auth", "dkim.verify"), ("auth", "iprev.verify"), ("auth", "spf.verify.ehlo"),
           ("session", "ehlo.reject-non-fqdn"),
           ("http", "url"), ("queue", "strategy.other")]
BROUGHT = ["disable", "relaxed", "false", "'https://old.example.org'", "line\nfeed"]


def rule(draw):
    """A routing rule that stands already, as a list."""
    first = ("if", '"true"'), ("then", "\"'local'\"")
    entries = [first, (("else", "'\\'mx\\''"),)]
    if draw(st.booleans()):
        return [line for entry in entries for line in
                ["[[queue.strategy.route]]", *(assignment(draw, *pair) for pair in entry)]]
    between = one_of(draw, [", ", ",\n  ", ", # x\n"])
    tables = ["{" + ", ".join(f"{key} = {text}" for key, text in entry) + "}" for entry in entries]
    return ["[queue.strategy]", assignment(draw, "route", "[" + between.join(tables) + one_of(draw, ["]", "\n]"]))]


def standing(draw):
    """Keys of the change set that stand already, alone or with company in one table."""
    top, key = one_of(draw, CHANGED)
    pairs = [(key, spelled(draw, one_of(draw, BROUGHT)))]
    if draw(st.booleans()):
        pairs.append(("other", value(draw)))
    return top, grouped(draw, top, pairs)


def foreign(draw, number):
    """A table that is no business of ours, with anything in it."""
    head = one_of(draw, [f"[t{number}]", f"[T{number}.Sub]", f'[t{number}."A b"] junk', f"[ t{number} ]", "[[arr]]",
                         f"[t{number}] # x"])
    if head == "[[arr]]":
        head += f"\nnumber{number} = 1"
    body = []
    for i in range(draw(st.integers(0, 3))):
        line = f"{name(draw, i)} = {value(draw)}{one_of(draw, BEHIND)}"
        body += [one_of(draw, COMMENTS), one_of(draw, ["", " "]) + line]
    return [head, *body]


def ended(draw, text):
    """With these line ends, and the last line without one where the server allows that."""
    end = draw(ENDS)
    if end == "mixed":
        text = "".join(line + one_of(draw, ["\n", "\r\n"]) for line in text.split("\n")[:-1])
    else:
        text = text.replace("\n", end)
    return text + one_of(draw, ["", "", "", "# no end", "[none]", "  "])


@st.composite
def files(draw):
    """A config.toml with a listener on port 25 and at least one other."""
    chosen = [("smtp", "smtp", 25), ("imap", "imap", 143), ("web", "http", 443)]
    parts = listeners(draw, chosen[:draw(st.integers(2, 3))] + plain(draw))
    if draw(st.booleans()):
        parts.append(rule(draw))
    tops = set()
    for _ in range(draw(st.integers(0, 3))):
        top, lines = standing(draw)
        if top not in tops:
            tops.add(top)
            parts.append(lines)
    parts += [foreign(draw, number) for number in range(draw(st.integers(0, 3)))]
    parts = draw(st.permutations(parts))
    flat = [f"first.{name(draw, i)} = {value(draw)}" for i in range(draw(st.integers(0, 2)))]
    lines = [*flat, *(line for part in parts for line in [*part, one_of(draw, COMMENTS)])]
    return ended(draw, "\n".join(lines) + "\n")


# Files as people and programs write them, which are TOML for every reader

RULE = """[
  { if = "is_local_domain('*', rcpt_domain)", then = "'local'" }, # ours
  { else = "'mx'" },
]"""
ON_25 = """[ { if = "local_port == 25", then = "'relaxed'" }, { else = "'disable'" } ]"""
KEYS = {  # what may stand in a file: its values
    "auth.dkim.sign": [ON_25], "auth.dkim.verify": ["'strict'", ON_25], "auth.arc.seal": ["false"],
    "auth.iprev.verify": ['"relaxed"', ON_25], "auth.spf.verify.ehlo": ["'relaxed'"], "auth.spf.other": ["1"],
    "session.ehlo.require": ["true"], "session.ehlo.reject-non-fqdn": ["true", '[ { else = "false" } ]'],
    "session.rcpt.script": ["\"'x'\""], "http.url": ["\"'https://old.example.org'\"", '[ { else = "\'x\'" } ]'],
    "http.headers": ["[]", '["a", # one\n  "b"]'], "queue.strategy.route": [RULE, "\"'mx'\""],
    "queue.strategy.schedule": ["\"'x'\""], "queue.route.other.type": ['"mx"'], "queue.quota.a.size": ["1000"],
    "server.hostname": ['"mail.example.org"'], "server.proxy.trusted-networks": ['"192.0.2.0/24"', '["192.0.2.0/24"]'],
    "server.max-connections": ["8192"], "server.blocked-ip.203.0.113.77": ['""'], "server.http.hsts": ["true"],
    "store.db.path": ["'/opt/stalwart/data'"], "store.db.type": ['"rocksdb"'], "storage.data": ['"db"'],
    "directory.a b.type": ['"internal"'], "certificate.default.cert": ['"%{file:/etc/x.pem}%"', '"""\nPEM\n"""'],
    "tracer.log.enable": ["true"], "config.local-keys": ['["store.*", "server.*", "!server.blocked-ip.*"]'],
}
IDS = ["imaptls", "web mail", "mx.1", "https"]  # beside imap
APPENDED = ['certificate.zz.cert = "x"\nserver.zz.bind = "y"\n', '[certificate.zz]\ncert = """\nx"""\n', "# the end\n",
            "[zz]\na.b = 1\n[[zz.c]]\nd = 2\n", "zz = 1\n", "\n"]


def listener_keys(draw, name_, protocol, port):
    keys = {"bind": one_of(draw, [f'"[::]:{port}"', f"['[::]:{port}']", f'[\n "[::]:{port}", # all\n]']),
            "protocol": f'"{protocol}"'}
    if draw(st.booleans()):
        keys["tls.implicit"] = one_of(draw, ["true", "false"])
    if port not in BARE and not draw(st.integers(0, 2)):
        keys["proxy.trusted-networks"] = one_of(draw, ['"198.51.100.0/24"', '["198.51.100.0/24", "203.0.113.0/28"]',
                                                       '["198.51.100.0/24"]', "'192.0.2.0/25'", "[]",
                                                       "[ # x\n  '198.51.100.0/24',\n]"])
        keys["proxy.override"] = one_of(draw, ["true", "false"])
    return {("server", "listener", name_, *key.split(".")): text for key, text in keys.items()}


def written(names):
    return ".".join(word if word.replace("-", "").isalnum() and word.islower() else f'"{word}"' for word in names)


def tables(draw, keys, form):
    """Lines of {table: lines}: each table below its header, with dots in one above, or between braces."""
    def add(above, names, keys):
        """The keys of one table; those of tables below it come with dots or have a header."""
        own = {key: text for key, text in keys.items() if len(key) == 1}
        below = sorted({key[0] for key in keys if len(key) > 1})
        for key in draw(st.permutations(sorted(own))):
            found.setdefault(above, []).append(f"{written(names + key)} = {own[key]}{one_of(draw, ['', '', ' # c'])}")
        for name_ in below:
            inner = {key[1:]: text for key, text in keys.items() if key[0] == name_ and len(key) > 1}
            way = 29 if form == "flat" else draw(st.integers(0, 29))
            if way == 17 and all(len(key) == 1 and "\n" not in text for key, text in inner.items()):
                pairs = ", ".join(f"{written(key)} = {text}" for key, text in inner.items())
                found.setdefault(above, []).append(f"{written((*names, name_))} = {{ {pairs} }}")
            elif way < 20:
                add((*above, *names, name_), (), inner)
                found.setdefault((*above, *names, name_), [])
            else:
                add(above, (*names, name_), inner)

    found = {}
    add((), (), keys)
    return found


@st.composite
def ordinary(draw):
    """A config.toml that every reader of TOML takes, in one of the forms in which they are found."""
    keys = listener_keys(draw, "smtp", "smtp", 25)
    for listener in plain(draw):
        keys |= listener_keys(draw, *listener)
    for name_ in ["imap", *draw(st.lists(st.sampled_from(IDS), max_size=2, unique=True))]:
        keys |= listener_keys(draw, name_, "http" if name_ == "https" else "imap", 443 if name_ == "https" else 143)
    for key in draw(st.lists(st.sampled_from(sorted(KEYS)), max_size=10, unique=True)):
        address = key.removeprefix("server.blocked-ip.")
        names = ("server", "blocked-ip", address) if address != key else tuple(key.split("."))
        keys[names] = one_of(draw, KEYS[key])
    found = tables(draw, keys, draw(st.sampled_from(["flat", "any", "any", "any"])))
    lines = list(found.pop((), []))
    for table in draw(st.permutations(sorted(found))):
        lines += [one_of(draw, ["", "# c", f"#{written(table)}"]), f"[{written(table)}]", *found[table]]
    end = one_of(draw, ["\n", "\n", "\r\n"])
    return "\n".join(lines).replace("\n", end) + one_of(draw, [end, end, end, f"{end}# the end"])


# Heaps of tokens, most of which no server takes

TOKENS = ["a", "B", "9", "k", "é", "ﬀ", "²", "·", "\ufeff", "\0", ".", "-", "_", "+", "=", "=", " = ", '"', '"',
          "'", '"""', "'''", "\\", "\\n",
          "\\\\", "\n", "\n", "\n", "\r", "\r\n", " ", "\t", "#", "# c\n", "[", "]", "[[", "]]", "{", "}", ",",
          "[a]\n", "[[a]]\n",
          "k = 1\n", 'x = "v"\n', "a.b", ":", "*", "/", "%{env:X}%", "true", "{a = 1}", "[1, 2]"]


def heap(chance):
    return "".join(chance.choice(TOKENS) for _ in range(chance.randint(1, 14)))
