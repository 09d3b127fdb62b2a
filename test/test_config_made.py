"""Files with every construct: read as the simulator reads them, staged in place, and given back byte for byte."""

import json
import subprocess

import pytest
from hypothesis import event, given, strategies as st

import configmaker
import oldconfig
from conftest import ROOT, TIMEOUT, chance, made_up
from test_config import MARK, bench  # noqa: F401

FLATTEN = ROOT / "build" / "test" / "flatten-config"
NEW, OLD = (0, 15, 5), (0, 12, 5)

# Reading


def flatten(folder, texts, version):
    """What the program's own reader makes of each: its keys, or why not."""
    for number, text in enumerate(texts):
        (folder / f"{number}").write_bytes(text.encode("utf-8", "surrogatepass"))
    ran = subprocess.run([FLATTEN, *(["-o"] if version < (0, 13) else []), *map(str, range(len(texts)))], cwd=folder,
                         capture_output=True, timeout=TIMEOUT, check=False)
    assert ran.returncode in (0, 1) and not ran.stderr
    return [json.loads(line) for line in ran.stdout.decode().splitlines()]


def read(text, version):
    """What the simulator makes of it; None where it would not start."""
    try:
        return oldconfig.read_text(text, version)
    except oldconfig.ConfigError:
        return None


def compare(folder, texts, version):
    """Gives how many were refused."""
    refused = 0
    for text, found in zip(texts, flatten(folder, texts, version), strict=True):
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
def test_heaps_of_tokens(tmp_path, version):
    heaps = chance("heaps")
    texts = [configmaker.heap(heaps) for _ in range(4000)]
    assert 1000 < compare(tmp_path, texts, version) < 3900


@made_up(500)
@given(texts=st.lists(configmaker.files(), min_size=3, max_size=3), damage=st.lists(st.integers(0, 2000), min_size=3,
                                                                                    max_size=3))
def test_made_and_damaged(tmp_path, texts, damage):
    """As they are, and with a character gone or a line cut off."""
    compare(tmp_path, texts, NEW)
    texts = [text[:at] + text[at + 1 + at % 7:] for text, at in zip(texts, damage)]
    compare(tmp_path, texts, NEW)
    compare(tmp_path, texts, OLD)


# Editing

# Its only listener may have networks of its own, which look like an earlier stage's.
FORCED = ("--dialect", "0.15", "--force", "already-staged")
FIRST = ("--proxy", "203.0.113.10", "--public-url", "https://mail.example.org", *FORCED)
SECOND = ("--proxy", "192.0.2.0/24", "--proxy", "2001:db8::1", "--public-url", "https://other.example.org", "--relay",
          "new.example.org", *FORCED)
THIRD = (*FIRST, "--only", "listeners", "--listener", "imap")


@made_up(500)
@given(text=configmaker.files())
def test_clear_gives_the_same_bytes(bench, text):
    bench.put(text)
    bench.stage(*FIRST)
    staged = bench.text
    event("parks" if MARK + "was" in staged else "adds alone")
    lines = {part for line in staged.splitlines() for part in (line, line.removeprefix(MARK + "was: "))}
    assert lines.issuperset(line for line in text.splitlines() if line.lstrip().startswith("#"))
    bench("status", *FIRST)
    bench.stage(*FIRST)
    assert bench.text == staged
    bench("clear")
    assert bench.text == text


@made_up(500)
@given(text=configmaker.files(), way=st.permutations([FIRST, SECOND, THIRD]))
def test_staged_again_with_other_options(bench, text, way):
    bench.put(text)
    for options in way:
        bench.stage(*options)
    bench("clear")
    assert bench.text == text


@made_up(500)
@given(text=configmaker.files(), options=st.sampled_from([FIRST, SECOND]))
def test_the_server_writes_it_anew(bench, text, options):
    bench.put(text)
    before = bench.stage(*options)
    written = oldconfig.write_text(bench.keys())
    if read(written, NEW) != bench.keys():
        event("a server that breaks its own file")
        return
    bench.path.write_bytes(written.encode())
    bench("status", *options, "--skip", "outbound")
    bench("clear")
    assert bench.keys() == before
