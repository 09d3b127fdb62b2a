"""An older server's config.toml: read by the server's own rules, and rewritten as it does.

The server has a TOML reader of its own that differs from TOML in many places; each
oddity here was taken from crates/utils/src/config/parser.rs (0.9.4, 0.12.5, 0.15.5) and
the rewrite from update_local in crates/common/src/manager/config.rs, the same from 0.8 on.
"""

import functools
import re

MAX_NEST = 10
# Rust's f64::from_str: no blanks, no underscores, ASCII digits, and the words.
NUMBER = re.compile(r"[+-]?(inf(inity)?|nan|([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?)", re.I | re.A)
LONG_VALUE = 50
OLD_KEY = re.compile(r"[A-Za-z0-9._-]")


class ConfigError(Exception):
    """The server would not boot with this file."""


class Reader:
    """One pass over the text, a character at a time, as the server's reader goes."""

    def __init__(self, text, any_key_character):
        self.text, self.at, self.line = text, 0, 1
        self.any_key_character = any_key_character
        self.keys = {}

    def fail(self, what):
        raise ConfigError(f"{what} at line {self.line}")

    def peek(self):
        return self.text[self.at] if self.at < len(self.text) else ""

    def take(self):
        char = self.peek()
        self.at += len(char)
        return char

    def skip_line(self):
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end + 1
        self.line += end >= 0

    def seek(self):
        """To the next character that is no blank and no comment; false at the end."""
        while char := self.peek():
            if char == "#":
                self.skip_line()
            elif char in "\n\r \t":
                self.line += self.take() == "\n"
            else:
                return True
        return False

    def next(self, skip_blanks, allow_lf=False):
        """The next character; carriage returns vanish everywhere, also within quotes."""
        while char := self.take():
            if char == "\r" or (skip_blanks and char in " \t"):
                continue
            if char == "\n":
                if not allow_lf:
                    self.fail("Unexpected end of line")
                self.line += 1
            return char
        self.fail("Unexpected EOF")

    def read(self):
        table, self.array_name, self.array_position = "", "", 0
        while self.seek():
            char = self.peek()
            if char == "[":
                table = self.table()
            elif char == '"' or (char.isascii() and char.isalnum()):
                key, _ = self.key(table + "." if table else "", in_curly=False)
                self.value(key, "\n", 0)
            else:
                self.fail(f"Unexpected character {char!r}")
        return self.keys

    def table(self):
        """`[name]` or `[[name]]`: all but the first character is lower-cased."""
        self.next(True)
        first = self.next(True)
        is_array, name = first == "[", "" if first == "[" else first
        quoted, last = False, ""
        while True:
            char = self.next(not quoted)
            if char == '"' and (not quoted or last != "\\"):
                quoted = not quoted
            elif quoted:
                name += "" if char == "\\" else char
            elif char == "]":
                if not name:
                    self.fail("Empty table name")
                if not is_array:
                    break
                is_array, name = False, self.numbered(name)
            elif char.isalnum() or char in ".-_":
                name += char.lower() if char.isascii() else char
            else:
                self.fail(f"Unexpected character {char!r}")
            last = char
        self.skip_line()  # whatever stands behind the bracket is ignored
        return name

    def numbered(self, name):
        """`[[name]]` tables count up from .0000 while the same name goes on."""
        self.array_position = self.array_position + 1 if name == self.array_name else 0
        self.array_name = name
        return f"{name}.{self.array_position:04}"

    def key(self, start, in_curly):
        key = start
        while char := self.take():
            if char == "=" or (in_curly and char in ",}"):
                if key == start:
                    self.fail("Empty key")
                return key, char
            if char == '"':
                key += self.quoted_key()
            elif char == "\n":
                if key != start:
                    self.fail(f"Unexpected end of line in key {key!r}")
                self.line += 1
            elif char in " \t\r":
                continue  # blanks within a key vanish
            elif self.any_key_character or OLD_KEY.match(char):
                key += char
            else:
                self.fail(f"Unexpected character {char!r} in key")
        self.fail("Unexpected EOF")

    def quoted_key(self):
        key, last = "", ""
        while char := self.take():
            if char == '"' and last != "\\":
                return key
            if char == "\n":
                self.fail("Unexpected end of line in quoted key")
            key += "" if char == "\\" else char
            last = char
        return key  # the end of the file is found by key()

    def value(self, key, stops, nesting):
        """Reads a value and what follows it, up to one of the stop characters."""
        if nesting == MAX_NEST:
            self.fail("Too many nested structures")
        char = self.next(True)
        if char == "[":
            self.array(key, nesting)
        elif char == "{":
            self.inline_table(key, nesting)
        elif char in "'\"":
            self.insert(key, self.quoted(char))
        elif char.isalnum() or char in ".+-":
            self.insert(key, char + self.bare())
        elif char in stops:
            return char
        else:
            self.fail(f"Unexpected character {char!r} in value")
        return self.after_value(stops)

    def after_value(self, stops):
        while True:
            char = self.next(True, allow_lf=True)
            if char == "#":
                self.skip_line()
                if "\n" in stops:
                    return "\n"
            elif char in stops:
                return char
            elif char != "\n":
                self.fail(f"Unexpected character {char!r} after value")

    def array(self, key, nesting):
        self.seek()
        position = 0
        while self.value(f"{key}.{position:04}", ",]", nesting + 1) == ",":
            self.seek()
            position += 1

    def inline_table(self, key, nesting):
        while True:
            name, stop = self.key(key + ".", in_curly=True)
            if stop == "=":
                self.seek()
                stop = self.value(name, ",}", nesting + 1)
                if stop == ",":
                    self.seek()
            else:
                self.insert(name, "")  # {a, b} is a set
            if stop == "}":
                return

    def quoted(self, quote):
        if self.peek() != quote:
            return self.one_line(quote)
        self.take()
        if self.peek() != quote:
            return ""
        self.take()
        if self.peek() == "\n":  # but a CRLF leaves a line feed in front
            self.take()
            self.line += 1
        value = ""
        while True:
            char = self.next(False, allow_lf=True)
            if char == quote and value.endswith(quote * 2):
                return value[:-2]
            value += char

    def one_line(self, quote):
        """Escapes are honoured in both kinds of quotes, and the backslash before the last
        character counts even if it was escaped itself: a doubled one at the end runs on."""
        value, last = "", ""
        while True:
            char = self.next(False, allow_lf=True)
            if char == "\\" and last != "\\":
                pass
            elif last == "\\" and char in "trn":
                value += {"t": "\t", "r": "\r", "n": "\n"}[char]
            elif char == quote and last != "\\":
                return value
            else:
                value += char
            last = char

    def bare(self):
        value = ""
        while self.peek() and (self.peek().isalnum() or self.peek() in ".+-"):
            value += self.take()
        return value

    def insert(self, key, value):
        if key in self.keys:
            self.fail(f"Duplicate key {key!r}")
        self.keys[key] = value


def read_text(text, version):
    """The flat keys of a config.toml; ConfigError where the server would not boot."""
    # Up to 0.12 a key without quotes is A-Z a-z 0-9 . _ - only.
    return dict(cached_read(text, version >= (0, 13)))


@functools.lru_cache(maxsize=32)
def cached_read(text, any_key_character):
    """Property tests start thousands of servers with the same file."""
    return Reader(text, any_key_character).read()


def read_file(path, version):
    """A file that is not there or not UTF-8 reads as empty: the server boots without it."""
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    return read_text(text, version)


def write_value(value):
    if value in ("true", "false") or NUMBER.fullmatch(value):
        return value
    escape = '"' in value or "\\" in value
    if "\n" in value or (escape and len(value.encode()) > LONG_VALUE):
        return f"'''{value}'''"
    if escape:
        value = re.sub(r'([\\"])', r"\\\1", value)
    return f'"{value}"'


def write_text(keys):
    """The server's own rewrite: flat, sorted, keys without quotes, comments gone."""
    return "".join(f"{key} = {write_value(keys[key])}\n" for key in sorted(keys))
