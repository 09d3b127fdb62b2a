"""An older server's settings: config.toml in memory, the database, and what decides between them.

From crates/common/src/manager/config.rs and crates/http/src/management/settings.rs.
"""

import json
import os
import re

import oldconfig

DEFAULT_PATTERNS = (
    "store.*", "directory.*", "tracer.*", "!server.blocked-ip.*", "!server.allowed-ip.*", "server.*",
    "certificate.*", "config.local-keys.*", "authentication.fallback-admin.*", "cluster.*",
    "storage.data", "storage.blob", "storage.lookup", "storage.fts", "storage.directory",
    "enterprise.license-key")


def default_patterns(version):
    patterns = list(DEFAULT_PATTERNS)
    if version <= (0, 11, 99):
        patterns.append("!cluster.key")
    if version <= (0, 10, 99):
        patterns.append("lookup.default.hostname")
    if version < (0, 9):  # 0.8 had fewer
        for name in ("config.local-keys.*", "cluster.*", "!cluster.key", "enterprise.license-key"):
            patterns.remove(name)
        patterns.append("cluster.node-id")
    return patterns


class WriteError(Exception):
    """config.toml could not be written: a plain 500."""


class Patterns:
    """Which keys are local, by `config.local-keys.*`."""

    def __init__(self, keys, version):
        values = [keys[key] for key in sorted(keys) if key.startswith("config.local-keys")]
        patterns = [p for p in (self.clean(value) for value in values) if p]
        # Up to 0.9.3 a configured star means the other end; the defaults are compared as they are meant.
        self.swapped = bool(patterns) and version < (0, 9, 4)
        if not patterns:
            patterns = default_patterns(version)
        elif version >= (0, 13) and "config.local-keys.*" not in patterns:
            patterns.append("config.local-keys.*")
        self.include = [self.matcher(p) for p in patterns if p[0] != "!"]
        self.exclude = [self.matcher(p[1:]) for p in patterns if p[0] == "!"]
        self.known = {}

    @staticmethod
    def clean(value):
        value = value.strip()
        sign, value = ("!", value[1:]) if value.startswith("!") else ("", value)
        value = re.sub("[A-Z]", lambda m: m[0].lower(), value.strip())
        return value and sign + value

    def matcher(self, pattern):
        """A star at one end makes a prefix or a suffix, and other stars in it are literal."""
        if pattern == "*":
            return lambda key: True
        ends = [(pattern.endswith("*"), lambda key, p=pattern[:-1]: key.startswith(p)),
                (pattern.startswith("*"), lambda key, p=pattern[1:]: key.endswith(p))]
        if self.swapped:
            ends = [(pattern.startswith("*"), lambda key, p=pattern[1:]: key.startswith(p)),
                    (pattern.endswith("*"), lambda key, p=pattern[:-1]: key.endswith(p))]
        for applies, match in ends:
            if applies:
                return match
        if "*" in pattern:
            return lambda key, glob=glob(pattern): glob.fullmatch(key) is not None
        return lambda key: key == pattern

    def is_local(self, key):
        if key not in self.known:
            self.known[key] = (any(match(key) for match in self.include)
                               and not any(match(key) for match in self.exclude))
        return self.known[key]


def glob(pattern):
    """The server's globs: `*`, `?` and a backslash that takes the next character as it is."""
    parts, escaped = [], False
    for char in pattern:
        if char == "\\" and not escaped:
            escaped = True
            continue
        special = {"*": ".*", "?": "."}.get(char) if not escaped else None
        parts.append(special or re.escape(char))
        escaped = False
    return re.compile("".join(parts), re.S)


class Settings:
    """The two halves: `local` is config.toml as held in memory, `database` is shared by all nodes."""

    def __init__(self, version, path, local, database):
        self.version, self.path = version, path
        self.local, self.database = local, database
        self.patterns = Patterns(local, version)
        # None: really write; "read-only": fail before the file is touched; "full": truncate it.
        self.refuse_writes = None

    def get(self, key):
        """Not filtered by the patterns: a local key's left-over in the database shows here."""
        return self.local.get(key, self.database.get(key))

    def list(self, prefix, strip):
        found = {key: value for key, value in self.database.items()
                 if key.startswith(prefix) and not self.patterns.is_local(key)}
        found.update((key, value) for key, value in self.local.items() if key.startswith(prefix))
        cut = len(prefix) if strip else 0
        return {key[cut:]: found[key] for key in sorted(found)}

    def set(self, pairs):
        """The database first, then the file, once; nothing is written if nothing is new."""
        local = dict(self.local)
        for key, value in pairs:
            half = local if self.patterns.is_local(key) else self.database
            half[key] = value
        if local != self.local:
            self.write_local(local)

    def delete(self, key):
        """Only where the pattern says the key lives; one write of the file for each key."""
        if not self.patterns.is_local(key):
            self.database.pop(key, None)
        elif key in self.local:
            self.write_local({k: v for k, v in self.local.items() if k != key})

    def clear(self, prefix):
        """From both places, and the prefix is raw text."""
        local = {key: value for key, value in self.local.items() if not key.startswith(prefix)}
        if local != self.local:
            self.write_local(local)
        for key in [key for key in self.database if key.startswith(prefix)]:
            del self.database[key]

    def write_local(self, local):
        """The memory changes first: a failing write leaves the new values there."""
        self.local = local
        text = oldconfig.write_text(local).encode()
        if self.refuse_writes == "read-only":
            raise WriteError("read-only file")
        if self.refuse_writes == "full":
            text = text[:len(text) // 2]
        try:
            # As the server does it: truncated first, then written, no temporary file.
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            try:
                while text:
                    text = text[os.write(handle, text):]
            finally:
                os.close(handle)
        except OSError as error:
            raise WriteError(str(error)) from error
        if self.refuse_writes == "full":
            raise WriteError("no space left on device")


class BadChanges(Exception):
    """The body of a POST that serde would not take: a 400, raised before anything is done."""


FIELDS = {"insert": ("prefix", "values", "assert_empty"), "delete": ("keys",), "clear": ("prefix", "filter")}


def parse_changes(body, version):
    """The array of changes of a POST, each (kind, fields)."""
    try:
        # Objects become tuples, to tell them from arrays and to see a field given twice.
        # serde_json takes neither NaN, nor lone surrogates, nor anything that is not UTF-8.
        changes = json.loads(body.decode("utf-8"), object_pairs_hook=tuple, parse_constant=float_name)
        json.dumps(changes, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise BadChanges(str(error)) from error
    if not isinstance(changes, list):
        raise BadChanges("not an array")
    return [parse_change(change, version) for change in changes]


def float_name(name):
    raise ValueError(name)


def parse_change(pairs, version):
    if not isinstance(pairs, tuple):
        raise BadChanges("not an object")
    names = [name for name, _ in pairs]
    change = dict(pairs)
    spelling = str.lower if version >= (0, 11) else str.capitalize
    kinds = {spelling(kind): kind for kind in FIELDS}
    kind = kinds.get(change.get("type")) if isinstance(change.get("type"), str) else None
    if kind is None or any(names.count(name) > 1 for name in ("type", *FIELDS[kind])):
        raise BadChanges("unknown kind, or a field given twice")
    check_fields(kind, change)
    return kind, change


def check_fields(kind, change):
    def strings(values):
        return isinstance(values, list) and all(isinstance(value, str) for value in values)
    prefix, values = change.get("prefix"), change.get("values")
    good = {
        "delete": lambda: strings(change.get("keys")),
        "clear": lambda: isinstance(prefix, str) and isinstance(change.get("filter"), (str, type(None))),
        "insert": lambda: (isinstance(prefix, (str, type(None))) and isinstance(change.get("assert_empty"), bool)
                           and isinstance(values, list)
                           and all(strings(pair) and len(pair) == 2 for pair in values)),
    }[kind]
    if not good():
        raise BadChanges(f"wrong fields for {kind}")


class AssertFailed(Exception):
    """assert_empty found something; what stood before in the batch is done."""


def apply_change(settings, kind, change):
    if kind == "delete":
        for key in change["keys"]:
            settings.delete(key)
    elif kind == "clear":
        apply_clear(settings, change)
    else:
        apply_insert(settings, change)


def apply_clear(settings, change):
    wanted = change.get("filter")
    if wanted is None or settings.version < (0, 10, 99):  # older ones ignore the filter
        settings.clear(change["prefix"])
        return
    for key, value in settings.list(change["prefix"], strip=False).items():
        if wanted in key.lower() or wanted in value.lower():
            settings.delete(key)


def apply_insert(settings, change):
    prefix, values = change.get("prefix"), change["values"]
    if change["assert_empty"]:
        stands = (settings.list(prefix + ".", strip=True) if prefix is not None
                  else values and settings.get(values[0][0]) is not None)
        if stands:
            raise AssertFailed
    settings.set([(key if prefix is None else f"{prefix}.{key}", value) for key, value in values])
