"""Files with every construct: read as the simulator reads them, staged in place, and given back byte for byte."""

import re
import tomllib

import pytest
from hypothesis import assume, event, given, strategies as st

import configmaker
import oldconfig
from conftest import chance, made_up
from test_config import MARK, bench  # noqa: F401
from test_readers import read as read_records

NEW, OLD = (0, 15, 5), (0, 12, 5)

# Reading


def read(text, version):
    """What the simulator makes of it; None where it would not start."""
    try:
        return oldconfig.read_text(text, version)
    except oldconfig.ConfigError:
        return None


def compare(texts, version):
    """With what the program's own reader makes of them. Gives how many were refused."""
    refused = 0
    for text, found in zip(texts, read_records("config" if version == NEW else "old-config", texts), strict=True):
        wanted = read(text, version)
        # A NUL byte in a key or value is refused here alone; a table without keys shows only in the refusal.
        held = "\0" in "".join(part for pair in (wanted or {}).items() for part in pair)
        if wanted is None or held or ("\0" in text and isinstance(found, str) and "NUL" in found):
            assert isinstance(found, str) and "line" in found, text
            refused += 1
        else:
            assert found == wanted, text
    return refused


@pytest.mark.parametrize("version", [NEW, OLD], ids=["new keys", "old keys"])
def test_heaps_of_tokens(version):
    heaps = chance("heaps")
    texts = [configmaker.heap(heaps) for _ in range(4000)]
    assert 1000 < compare(texts, version) < 3900


@made_up(500)
@given(texts=st.lists(configmaker.files(), min_size=3, max_size=3), damage=st.lists(st.integers(0, 2000), min_size=3,
                                                                                    max_size=3))
def test_made_and_damaged(texts, damage):
    """As they are, and with a character gone or a line cut off."""
    compare(texts, NEW)
    texts = [text[:at] + text[at + 1 + at % 7:] for text, at in zip(texts, damage)]
    compare(texts, NEW)
    compare(texts, OLD)


# Editing

OTHER = ("--dialect", "0.15", "--new-server", "203.0.113.200")
FIRST = ("--proxy", "203.0.113.10", "--public-url", "https://mail.example.org", *OTHER)
SECOND = ("--proxy", "192.0.2.0/24", "--proxy", "2001:db8::1", "--public-url", "https://other.example.org", "--relay",
          "new.example.org", *OTHER)
THIRD = (*FIRST, "--only", "listeners", "--listener", "imap")


ANY = st.one_of(configmaker.files(), configmaker.ordinary())


def staged(bench, *options):
    """Stages. What would need a key more in an inline table, or beside a value, is refused; what looks staged is skipped."""
    ran = bench("stage", *options, "--dry-run", "--json", status=None)
    if "already-staged" in ran.names():
        # all listeners that it takes have networks of their own
        assert "true" in [value for key, value in bench.keys().items() if key.endswith(".proxy.override")]
        event("looks staged")
        assume(False)
    if ran.status:
        assert "inline-table" in ran.names() and re.search(r"\{|\[\[|= *\[ *\]", bench.text)
        event("refused")
    else:
        bench.stage(*options)
    return not ran.status


def flattened(tree, key=""):
    """What a reader of TOML found, as the server has it."""
    pairs = tree.items() if isinstance(tree, dict) else ((f"{i:04}", one) for i, one in enumerate(tree))
    flat = {}
    for name, value in pairs:
        name = f"{key}.{name}" if key else name
        flat |= flattened(value, name) if isinstance(value, (dict, list)) else {
            name: str(value).lower() if isinstance(value, (bool, int)) else value}
    return flat


def other_reader(text):
    """What tomllib makes of it, or None. It does not fold lines that end in CR and LF."""
    try:
        return flattened(tomllib.loads(text.replace("\r\n", "\n")))
    except tomllib.TOMLDecodeError:
        return None


@made_up(500)
@given(text=ANY)
def test_clear_gives_the_same_bytes(bench, text):
    bench.put(text)
    if not staged(bench, *FIRST):
        return
    staged_text = bench.text
    event("parks" if MARK + "was" in staged_text else "adds alone")
    lines = {part for line in staged_text.splitlines()
             for part in (line, line.removeprefix(MARK + "was: "), line.removeprefix(MARK + "was+ "))}
    assert lines.issuperset(line for line in text.splitlines() if line.lstrip().startswith("#"))
    bench("status", *FIRST)
    bench.stage(*FIRST)
    assert bench.text == staged_text
    bench("clear")
    assert bench.text == text


@made_up(500)
@given(text=ANY, way=st.permutations([FIRST, SECOND, THIRD]))
def test_staged_again_with_other_options(bench, text, way):
    bench.put(text)
    for options in way:
        staged(bench, *options)
    if list(bench.folder.glob("*.snapshot.json")):
        bench("clear")
    assert bench.text == text


@made_up(500)
@given(text=ANY, options=st.sampled_from([FIRST, SECOND]), appended=st.sampled_from(configmaker.APPENDED))
def test_what_is_appended(bench, text, options, appended):
    """It means what it would have meant before, for the server and for who else reads the file, and stays."""
    meant, other = read(text + appended, NEW), other_reader(text + appended)
    bench.put(text)
    before = bench.keys()
    if meant is None or not staged(bench, *options):
        return
    planned = {key: (before.get(key), bench.keys().get(key)) for key in before.keys() | bench.keys().keys()
               if before.get(key) != bench.keys().get(key)}
    bench.path.write_bytes((bench.text + appended).encode())
    now = {key: value for key, value in {**meant, **{key: new for key, (_, new) in planned.items()}}.items() if value is not None}
    assert bench.keys() == now
    if other == meant:
        assert other_reader(bench.text) == now
        event("TOML")
    bench("status", *options, status=6 if "--relay" in options else 0)
    bench("clear")
    assert bench.text == text + appended


@made_up(500)
@given(text=ANY, options=st.sampled_from([FIRST, SECOND]), appended=st.sampled_from(["", *configmaker.APPENDED]))
def test_the_server_writes_it_anew(bench, text, options, appended):
    meant = read(text + appended, NEW)
    bench.put(text)
    if meant is None or not staged(bench, *options):
        return
    bench.path.write_bytes((bench.text + appended).encode())
    written = oldconfig.write_text(bench.keys())
    if read(written, NEW) != bench.keys():
        event("a server that breaks its own file")
        return
    bench.path.write_bytes(written.encode())
    bench("status", *options, "--skip", "outbound")
    bench("clear")
    assert bench.keys() == meant
