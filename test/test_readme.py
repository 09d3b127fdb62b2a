"""The session in the README is what the program says."""

import re
import shlex
import shutil
import subprocess

import pytest

from conftest import BINARY, PASSWORD, ROOT, RUNNER

MARK = "\n    $ "
LEFT_OUT = "..."


def session():
    """(command, the lines that follow it) of the README's first session. "..." stands for the rest of a line, or for lines."""
    text = (ROOT / "README").read_text()
    block = re.search(r"(?m)(^    \$ .*\n(?:(?:    .*)?\n)*)", text)[1]
    steps = []
    for step in f"\n{block}".replace(" \\\n        ", " ").split(MARK)[1:]:
        command, *lines = step.rstrip().split("\n")
        steps.append((command, [line[4:] for line in lines]))
    return steps


def pattern(lines):
    """What the lines stand for, with no blank ones: they only set off what is left out."""
    kept = [r"(?:.*\n)*" if line.strip() == LEFT_OUT else re.escape(line).replace(re.escape(LEFT_OUT), ".*") + r"\n"
            for line in lines if line]
    return "".join(kept)


@pytest.mark.skipif(bool(RUNNER), reason="the binary runs as a shell finds it")
def test_session(simulate, ca, tmp_path):
    pair = ca.issue("old.example.org")
    server = simulate("0.15.5", pair=pair)
    shutil.copy(BINARY, tmp_path / "stalprep")
    where = f"127.0.0.1:{server.http_port(tls=True)}"
    (state := tmp_path / "state").mkdir(mode=0o700)
    env, ran = {"STALPREP_PASSWORD": PASSWORD}, []
    for command, lines in session():
        if command.startswith("pin="):
            continue
        command = command.replace("https://127.0.0.1", f"https://{where}")
        words = shlex.split(command.replace('"$pin"', pair.pin))
        words[2:2] = ["--snapshot-dir", str(state)]
        done = subprocess.run(words, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        said = done.stdout.replace(where, "127.0.0.1").replace("127.0.0.1-" + where.split(":")[1], "127.0.0.1-443")
        said = said.replace(str(state), "/var/lib/stalprep")
        said = "".join(line + "\n" for line in said.splitlines() if line)
        assert re.fullmatch(pattern(lines), said), f"{command}\n{pattern(lines)}\n{said}"
        ran.append((words[1], done.returncode))
    assert ran == [("status", 3), ("stage", 0), ("status", 0), ("clear", 0)]


def test_executions():
    """As often as the file has it, with its own sum."""
    rows = [line.split() for line in (ROOT / "test" / "fuzz" / "EXECUTIONS").read_text().splitlines() if line[0] != "#"]
    counts = {name: int(number) for name, number in rows}
    total = counts.pop("all")
    assert sum(counts.values()) == total and f"{total:,} times (test/fuzz/EXECUTIONS)" in (ROOT / "README").read_text()
    assert counts.keys() == {path.stem[5:] for path in (ROOT / "test" / "fuzz").glob("fuzz_*.c")}
