"""What an older server finds wrong when it reloads: macros, rules, relays, listeners.

Only what a change set like ours can meet is looked at. The wording and the order (an error in
one stage hides those of the next) are the server's: Server::reload in
crates/common/src/manager/reload.rs, IfBlock::try_parse and the expression parser in
crates/common/src/expr/.
"""

import ipaddress
import os
import re

# Settings that hold one expression, or a list of if, then and else.
RULES = """
auth.dkim.verify auth.dkim.sign auth.arc.verify auth.arc.seal auth.spf.verify.ehlo auth.spf.verify.mail-from
auth.dmarc.verify auth.iprev.verify report.dsn.from-name report.dsn.from-address report.dsn.sign report.submitter
session.auth.directory session.auth.errors.total session.auth.errors.wait session.auth.mechanisms
session.auth.must-match-sender session.auth.require session.connect.greeting session.connect.hostname
session.connect.script session.data.limits.messages session.data.limits.received-headers session.data.limits.size
session.data.script session.duration session.ehlo.reject-non-fqdn session.ehlo.require session.ehlo.script
session.extensions.chunking session.extensions.deliver-by session.extensions.dsn session.extensions.expn
session.extensions.future-release session.extensions.mt-priority session.extensions.no-soliciting
session.extensions.pipelining session.extensions.requiretls session.extensions.vrfy session.mail.is-allowed
session.mail.rewrite session.mail.script session.rcpt.directory session.rcpt.errors.total session.rcpt.errors.wait
session.rcpt.max-recipients session.rcpt.relay session.rcpt.rewrite session.rcpt.script session.timeout
session.transfer-limit""".split()
NEW_RULES = ["queue.strategy.connection", "queue.strategy.route", "queue.strategy.schedule", "queue.strategy.tls"]
OLD_RULES = ["queue.outbound.hostname", "queue.outbound.ip-strategy", "queue.outbound.next-hop",
             "queue.schedule.retry", "queue.schedule.notify", "queue.schedule.expire"]

FUNCTIONS = dict(
    count=1, sort=2, dedup=1, winnow=1, is_intersect=2, is_email=1, email_part=2, is_empty=1, is_number=1,
    is_ip_addr=1, is_ipv4_addr=1, is_ipv6_addr=1, ip_reverse_name=1, trim=1, trim_end=1, trim_start=1, len=1,
    to_lowercase=1, to_uppercase=1, is_uppercase=1, is_lowercase=1, has_digits=1, count_spaces=1,
    count_uppercase=1, count_lowercase=1, count_chars=1, contains=2, contains_ignore_case=2, eq_ignore_case=2,
    starts_with=2, ends_with=2, lines=1, substring=3, strip_prefix=2, strip_suffix=2, split=2, rsplit=2,
    split_once=2, rsplit_once=2, split_n=3, split_words=1, hash=2, if_then=3, is_local_domain=2,
    is_local_address=2, key_get=2, key_exists=2, key_set=3, counter_incr=3, counter_get=2, dns_query=2,
    sql_query=3, config_get=1, matches=2)
# Not told apart by rule as the server does: a variable that is known somewhere passes everywhere.
NAMES = set("""
true false rcpt rcpt_domain sender sender_domain mx helo_domain authenticated_as listener remote_ip local_ip
priority local_port remote_port protocol is_tls recipients retry_num notify_num expires_in last_status last_error
url url_path headers method asn country received_via_port received_from_ip queue_name source size queue_age
relaxed strict disable disabled none optional require plain login oauthbearer xoauth2 scram_sha_1 scram_sha_256
cram_md5 mixer stanag4406 nsep ipv4_only ipv6_only ipv4_then_ipv6 ipv6_then_ipv4 daily hourly weekly""".split())
DURATION = re.compile(r"[0-9]+(d|h|m|s|ms)")
TOKEN = re.compile(r"""\s*(?:(?P<word>[A-Za-z0-9_$.]+)|(?P<quote>['"])|(?P<mark>[&|!^()+*/=<>,\[\]-])|(?P<bad>.))""",
                   re.S)


class ExpressionError(Exception):
    """The server's words for what is wrong with an expression."""


def check_expression(text):
    """The tokenizer's and the parser's errors, in their words."""
    at, open_marks, text = 0, [], text.rstrip()
    while at < len(text):
        token = TOKEN.match(text, at)
        at = token.end()
        if token["word"]:
            check_word(token["word"])
        elif token["quote"]:
            at = end_of_string(text, at, token["quote"])
        elif token["bad"]:
            raise ExpressionError(f"Invalid character {rust_quote(token['bad'], chr(39))}")
        elif token["mark"] in "([":
            word = re.search(r"(\w*)\s*$", text[:token.start("mark")])[1]
            open_marks.append((token["mark"], word, at))
        elif token["mark"] in (")", "]"):
            close_mark(token["mark"], open_marks, text[:at])
    if any(mark == "(" for mark, _, _ in open_marks):
        raise ExpressionError("Unmatched open parenthesis")
    if open_marks:
        raise ExpressionError("Invalid token on the operator stack")


def check_word(word):
    if word in NAMES or word in FUNCTIONS or word.startswith("$") or DURATION.fullmatch(word):
        return
    if re.search("[A-Za-z_$]", word):
        raise ExpressionError(f"Invalid variable or constant {rust_quote(word)}")
    if "." in word and not re.fullmatch(r"[0-9]*\.[0-9]*", word):
        raise ExpressionError(f"Invalid float value {word}")
    if "." not in word and int(word) >= 1 << 63:
        raise ExpressionError(f"Invalid integer value {word}")


def end_of_string(text, at, quote):
    last = ""
    while at < len(text):
        if text[at] == quote and last != "\\":
            return at + 1
        last, at = text[at], at + 1
    raise ExpressionError("Unterminated string")


def close_mark(mark, open_marks, text):
    if mark == ")" and not any(m == "(" for m, _, _ in open_marks):
        raise ExpressionError("Unmatched close parenthesis")
    if not open_marks or open_marks[-1][0] != {")": "(", "]": "["}[mark]:
        raise ExpressionError("Mismatched parentheses")
    _, name, start = open_marks.pop()
    if mark == ")" and name in FUNCTIONS:
        inner = text[start:-1]
        got = count_arguments(inner)
        if got != FUNCTIONS[name]:
            raise ExpressionError(
                f'Expression function "{name}" expected {FUNCTIONS[name]} arguments, got {got}')


def count_arguments(text):
    """Commas outside of strings and brackets; empty is none."""
    plain = re.sub(r"""'(\\.|[^'\\])*'|"(\\.|[^"\\])*\"""", "x", text)
    while (shorter := re.sub(r"\w*\([^()]*\)|\[[^\[\]]*\]", "x", plain)) != plain:
        plain = shorter
    return plain.count(",") + 1 if plain.strip() else 0


def rust_quote(text, quote='"'):
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote).replace("\n", "\\n") + quote


def evaluate(text, names, keys):
    """A sum of strings, names and config_get(); anything else gives an empty text."""
    atom = r"""\s*(?:'([^']*)'|"([^"]*)"|(\w+)(?:\(\s*['"]([^'"]*)['"]\s*\))?)\s*"""
    if not re.fullmatch(rf"{atom}(\+{atom})*", text):
        return ""
    return "".join(one or two or (keys.get(setting, "") if name == "config_get" else names.get(name, ""))
                   for one, two, name, setting in re.findall(atom, text))


class Findings:
    """Errors and warnings by key, as a reload answers them."""

    def __init__(self, version):
        # Up to 0.10 the kinds are capitalised.
        self.spell = str.lower if version >= (0, 11) else str.capitalize
        self.errors, self.warnings = {}, {}

    def error(self, key, kind, text):
        self.errors[key] = {"type": self.spell(kind), "error": text}

    def warning(self, key, kind, text):
        self.warnings[key] = {"type": self.spell(kind), "error": text}


def check(local, merge, version, *, resolves=True, online=False):
    """The findings of a reload, and the merged keys it would put in force (None with an error).

    `merge` adds the database's keys to the local ones, whose macros are resolved before.
    """
    findings = Findings(version)
    keys = merge(resolve_macros(local, findings))
    for stage in (lambda: None,
                  lambda: check_core(keys, findings, version, resolves, online),
                  lambda: check_listeners(keys, findings)):
        stage()
        if findings.errors:
            return findings, None
    return findings, keys


def resolve_macros(local, findings, kinds=("env", "file", "cfg")):
    keys = dict(local)
    for kind in kinds:
        start = f"%{{{kind}:"
        for key in sorted(keys):
            if start in keys[key] and "}%" in keys[key]:
                keys[key] = expand(keys[key], start, lambda name, k=key: lookup(kind, name, k, keys, findings))
    return keys


def expand(value, start, find):
    return re.sub(re.escape(start) + r"(.*?)\}%", lambda match: find(match[1]), value, flags=re.S)


def lookup(kind, name, key, keys, findings):
    if kind == "env":
        if name not in os.environ:
            findings.error(key, "macro", f"Failed to obtain environment variable {rust_quote(name)}")
        return os.environ.get(name, "")
    if kind == "cfg":
        if name not in keys:
            findings.error(key, "macro", f"Unknown key {rust_quote(name)}")
        return keys.get(name, "")
    path = name.removeprefix("//")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error
        if isinstance(error, OSError):
            reason = f"{error.strerror} (os error {error.errno})"
        findings.error(key, "macro", f"Failed to read file {rust_quote(path)}: {reason}")
        return ""


def check_core(keys, findings, version, resolves, online):
    url = "http.url" if version >= (0, 12) else "server.http.url"
    allowed = url.replace("url", "allowed-endpoint")
    for rule in [*RULES, *(NEW_RULES if version >= (0, 13) else OLD_RULES), url, allowed]:
        check_rule(keys, rule, findings)
    check_relays(keys, findings, version)
    check_addresses(keys, findings)
    if version >= (0, 11) and not resolves and keys.get("spam-filter.pyzor.enable", "true") != "false":
        findings.error("spam-filter.pyzor.host", "build", "Invalid address: failed to lookup address "
                       "information: Temporary failure in name resolution")
    if version < (0, 10) and not online:
        warn_offline(findings)


def warn_offline(findings):
    """0.9 fetches the public suffix list at every reload, and only warns where it can't."""
    sources = ("https://publicsuffix.org/list/public_suffix_list.dat",
               "https://raw.githubusercontent.com/publicsuffix/list/master/public_suffix_list.dat")
    for number, source in enumerate(sources):
        findings.warning(f"{source}.{number}", "build", f'Failed to fetch public suffixes from "{source}": '
                         f"error sending request for url ({source})")
    findings.warning("resolver.public-suffix", "build", "Failed to parse public suffixes from any source.")


def check_rule(keys, rule, findings):
    """One expression, or a list read in text order; the scalar wins in silence."""
    if rule in keys:
        check_part(keys, rule, findings)
        return
    below = sorted(key for key in keys if key.startswith(rule + "."))
    try:
        check_list(keys, rule, below, findings)
    except ExpressionError as error:
        findings.error(rule, "parse", str(error))


def check_part(keys, key, findings):
    try:
        check_expression(keys[key])
    except ExpressionError as error:
        findings.error(key, "parse", str(error))
        return False
    return True


def check_list(keys, rule, below, findings):
    found_if = found_then = False
    found_else = last = ""
    for key in below:
        position, dot, suffix = key[len(rule) + 1:].partition(".")
        if not dot:
            raise ExpressionError(f"Invalid property {rust_quote(key)} found in 'if' block.")
        part = suffix.partition(".")[0]
        if part == "if":
            if position != last:
                if last and not found_then:
                    raise ExpressionError(f"Missing 'then' in 'if' condition {condition(last)}.")
                if not check_part(keys, key, findings):
                    return
                found_then, last = False, position
            found_if = True
        elif part == "else":
            if found_else:
                if position != found_else:
                    raise ExpressionError("Multiple 'else' found")
            elif not found_if:
                raise ExpressionError("Found 'else' before 'if'")
            elif not check_part(keys, key, findings):
                return
            else:
                found_else = position
        elif part == "then":
            if found_else:
                raise ExpressionError("Found 'then' in 'else' block")
            if position != last:
                raise ExpressionError("Found 'then' without 'if'")
            if not found_then and not check_part(keys, key, findings):
                return
            found_then = True
    if found_if and not found_then:
        raise ExpressionError(f"Missing 'then' in 'if' condition {condition(last)}")
    if found_if and not found_else:
        raise ExpressionError("Missing 'else'")


def condition(position):
    return (int(position) if position.isdecimal() else 0) + 1


def check_addresses(keys, findings):
    """The addresses are in the keys' names; one error for all of a kind."""
    for prefix in ("server.allowed-ip", "server.blocked-ip"):
        for key in sorted(keys):
            address = key[len(prefix) + 1:]
            if key.startswith(prefix + ".") and parse_network(address) is None:
                words = "Invalid IP address" if "/" in address else "Invalid IP address value"
                findings.error(prefix, "parse", f"{words} {rust_quote(address)}{'' if '/' in address else '.'}")


def check_relays(keys, findings, version):
    if version < (0, 13):
        for key in sorted(keys):
            if key.startswith("remote.") and key.endswith(".address"):
                require(keys, key[:-len("address")], ("port", "protocol"), findings)
        return
    for key in sorted(keys):
        if key.startswith("queue.route.") and key.endswith(".type"):
            check_route(keys, key, findings)


def check_route(keys, key, findings):
    kind = keys[key].strip()
    if not kind:
        findings.error(key, "parse", "Missing property")
    elif kind == "relay":
        require(keys, key[:-len("type")], ("address", "port", "protocol"), findings)
    elif kind not in ("local", "mx"):
        findings.error(key, "parse", f"Invalid route type: {rust_quote(kind)}. Expected 'relay', 'local', or 'mx'.")


def require(keys, prefix, names, findings):
    for name in names:
        value = keys.get(prefix + name)
        if value is None:
            findings.error(prefix + name, "parse", "Missing property")
            if name == "address":
                return  # and the rest is not looked at
        elif name == "port" and not (value.isdecimal() and int(value) < 65536):
            findings.error(prefix + name, "parse", f"Invalid integer value {rust_quote(value)}.")
        elif name == "protocol" and value.lower() not in PROTOCOLS:
            findings.error(prefix + name, "parse", f"Invalid server protocol type {rust_quote(value)}.")


PROTOCOLS = ("smtp", "lmtp", "imap", "http", "https", "managesieve", "pop3")


def listener_ids(keys):
    """A listener is there when its protocol is; its name may hold dots."""
    start, end = "server.listener.", ".protocol"
    return [key[len(start):-len(end)] for key in sorted(keys)
            if key.startswith(start) and key.endswith(end) and len(key) > len(start) + len(end)]


def values(keys, prefix):
    """A scalar and every key below it, in text order."""
    return [(key, keys[key]) for key in sorted(keys) if key == prefix or key.startswith(prefix + ".")]


def trusted_networks(keys, listener):
    """The listener's own list replaces the global one."""
    return (values(keys, f"server.listener.{listener}.proxy.trusted-networks")
            or values(keys, "server.proxy.trusted-networks"))


def parse_network(text):
    """An address or address/bits, 8 bits at least; None where the server refuses it."""
    address, slash, bits = text.rpartition("/") if "/" in text else (text, "", "")
    address, bits = address.strip(), bits.strip()
    try:
        address = ipaddress.ip_address(address)
    except ValueError:
        return None
    if "%" in str(address):
        return None
    width = address.max_prefixlen
    if not slash:
        return ipaddress.ip_network(address)
    if not re.fullmatch(r"\+?[0-9]{1,9}", bits, re.A) or not 8 <= int(bits) <= width:
        return None
    return ipaddress.ip_network(f"{address}/{int(bits)}", strict=False)


def parse_bind(text):
    """An address with a port as Rust's SocketAddr takes it, as (host, port); None if it does not."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})", text, re.A)
    if not match or int(match[3]) > 65535:
        return None
    try:
        (ipaddress.IPv6Address if match[1] else ipaddress.IPv4Address)(match[1] or match[2])
    except ValueError:
        return None
    return match[1] or match[2], int(match[3])


def check_listeners(keys, findings):
    for listener in listener_ids(keys):
        prefix = f"server.listener.{listener}"
        if keys[prefix + ".protocol"].lower() not in PROTOCOLS:
            findings.error(prefix + ".protocol", "parse",
                           f"Invalid server protocol type {rust_quote(keys[prefix + '.protocol'])}.")
            continue
        binds = values(keys, prefix + ".bind")
        for key, value in binds:
            if parse_bind(value) is None:
                findings.error(key, "parse", f"Invalid socket address {rust_quote(value)}.")
        if not any(parse_bind(value) for _, value in binds):
            findings.error(prefix, "build", "No 'bind' directive found for listener")
            continue
        for key, value in trusted_networks(keys, listener):
            if parse_network(value) is None:
                findings.error(key, "parse", f"Invalid IP address {rust_quote(value)}")
