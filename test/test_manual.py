"""The manual agrees with the program: its options, exit statuses, refusals' names and JSON members."""

import re
import subprocess

import pytest

from conftest import BINARY, ROOT, RUNNER

MANUAL = ROOT / "src" / "dist" / "stalprep.1"
COMMANDS = ["print", "stage", "status", "clear", "reload", "probe"]


def text():
    """The manual as it is read, without the overstrikes of bold and underlined."""
    page = subprocess.run(["mandoc", "-T", "utf8", MANUAL], capture_output=True, text=True, check=True).stdout
    return re.sub(".\b", "", page)


def usage(*command):
    return subprocess.run([*RUNNER, BINARY, "help", *command], capture_output=True, text=True, check=True).stdout


def option_lines(page):
    """Options by the lines that begin with them: {name: (letter, argument)}."""
    found = {}
    for letter, name, argument in re.findall(r"^ +(?:-(\w), )?--([a-z-]+)(?: (\S+))?", page, re.M):
        found[name] = (letter, argument)
    return found


def test_it_has_no_fault():
    assert subprocess.run(["mandoc", "-T", "lint", "-W", "warning", MANUAL], capture_output=True, text=True).stdout == ""


def test_options_are_those_of_the_program():
    in_manual, in_program = option_lines(text().split("What to write")[1].split("\nCONFIG.TOML")[0]), {}
    for command in COMMANDS:
        in_program |= option_lines(usage(command))
    assert set(in_manual) == set(in_program)
    for name, (letter, argument) in in_program.items():
        assert in_manual[name][0] == letter, name
        assert not argument.isupper() or in_manual[name][1] == argument, name


@pytest.mark.parametrize("command", [*COMMANDS, "licenses"])
def test_commands_are_there(command):
    assert re.search(rf"^     {command}  +[A-Z]", text(), re.M)


def test_refusals_are_those_of_the_program():
    """Names, which of them --force overrides, and the sentence of each."""
    section = text().split("\nREFUSALS")[1].split("\nEXIT STATUS")[0]
    section = " ".join(re.sub(r"-\n +", "-", section).split())
    table = re.sub(r"\n {10,}", " ", usage("stage").split("\nRefusals")[1])
    rows = re.findall(r"^  ([* ]) (\S+) +(.*)$", table, re.M)
    assert len(rows) > 20
    for star, name, meaning in rows:
        assert f" {name}{' (forceable)' if star == '*' else ''} {meaning}" in section, name
    assert len(re.findall(r"\(forceable\)", section)) == 1 + sum(star == "*" for star, _, _ in rows)


def test_exit_statuses_are_those_of_the_program():
    table = dict(re.findall(r"^ +(\d+)  (.+)$", usage().split("\nExit status:")[1], re.M))
    _, *items = re.split(r"^     (\d+) +", text().split("\nEXIT STATUS")[1].split("\nJSON")[0], flags=re.M)
    manual = {status: " ".join(words.split()) for status, words in zip(items[::2], items[1::2])}
    assert list(manual) == list(table)
    for status, words in table.items():
        assert manual[status].startswith(words), status
    readme = (ROOT / "README").read_text().split("EXIT STATUS")[1].split("--json")[0]
    assert set(re.findall(r"\b([0-7]|130|143)\b(?= {2,}|, )", readme)) == set(table)


def test_json_members_are_those_that_are_printed():
    source = "".join((ROOT / "src" / "cmd" / name).read_text() for name in ("report_json.c", "report_probe.c"))
    members = set(re.findall(r'jsonout_\w+\(&?\w+, "(\w+)"', source))
    assert {"command", "messages", "targets", "keys", "local", "diff", "ports", "verdict"} <= members
    section = text().split("\nJSON")[1].split("\nCERTIFICATES")[0]
    assert members <= set(re.findall(r"\w+", section))
