"""The benchmark (bench.py) is no test; but it runs, and what the README says of it is what was measured."""

import os
import re
import subprocess
import sys

import pytest

from conftest import BINARY, ROOT, RUNNER
from test_config import native


def rows(text):
    """The table, without the spread."""
    return [" ".join(re.sub(r"\(.*?\)", "", line).split()) for line in text.splitlines() if line and line[0] != "#"]


def test_the_readme_quotes_it():
    table = rows((ROOT / "test" / "BENCH").read_text())
    quoted = re.search(r"^    what\b.*?\n(?=\n)", (ROOT / "README").read_text(), re.M | re.S)
    assert len(table) > 20 and rows(quoted[0]) == table


@native
def test_it_runs():
    """Once, and the parts that take no time; nothing is kept."""
    kept = (ROOT / "test" / "BENCH").read_text()
    ran = subprocess.run([sys.executable, ROOT / "test" / "bench.py", "--runs", "1", "bare", "disk"], text=True,
                         check=False, capture_output=True, timeout=300, env={**os.environ, "STALPREP": BINARY})
    assert ran.returncode == 0, ran.stderr
    found = dict(line.split("; ", 1) for line in ran.stdout.splitlines())
    assert found["stage: turns"].startswith("6;") and found["stage: connections"].startswith("1;") and len(found) == 10
    assert (ROOT / "test" / "BENCH").read_text() == kept
