"""The manual agrees with the program: its options, exit statuses, refusals' names, JSON members, environment, files. The
examples work, here and in the README."""

import re
import shlex
import subprocess

import pytest

from conftest import BINARY, PASSWORD, ROOT, RUNNER, state
from test_config import PLAIN

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


def section(name):
    return re.search(rf"^{name}\n(.*?)^(?=[A-Z])", text(), re.M | re.S)[1]


def test_it_has_no_fault():
    ran = subprocess.run(["mandoc", "-T", "lint", MANUAL], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_hyphens_are_options():
    """A word in the wrong macro gets one too."""
    letters = {letter for command in COMMANDS for letter, _ in option_lines(usage(command)).values()}
    names = {name for command in COMMANDS for name in option_lines(usage(command))}
    page = re.sub(r"^ *openssl .*\n", "", text(), flags=re.M)
    names.add("name")  # what any option looks like
    letters.add("c")   # the server's own
    for hyphens, word in re.findall(r"(?<![\w-])(--?)([A-Za-z][\w-]*)", re.sub(r"-\n +", "-", page)):
        assert word in (names if hyphens == "--" else letters), f"{hyphens}{word}"


def test_options_are_those_of_the_program():
    in_manual, in_program = option_lines(text().split("What to write")[1].split("\nCONFIG.TOML")[0]), {}
    for command in COMMANDS:
        in_program |= option_lines(usage(command))
    assert set(in_manual) == set(in_program)
    for name, (letter, argument) in in_program.items():
        assert in_manual[name][0] == letter, name
        assert not argument.isupper() or in_manual[name][1] == argument, name


def test_commands_are_those_of_the_program():
    listed = re.findall(r"^  (\w+) +\S", usage().split("\nFirst make")[0], re.M)
    assert set(COMMANDS) < set(listed)
    groups = re.findall(r"^     stalprep (\w+(?: \| \w+)*)", section("SYNOPSIS"), re.M)
    assert " | ".join(groups).split(" | ") == listed


@pytest.mark.parametrize("command", [*COMMANDS, "licenses"])
def test_commands_are_there(command):
    assert re.search(rf"^     {command}  +[A-Z]", text(), re.M)


def test_refusals_are_those_of_the_program():
    """Names, which of them --force overrides, and the sentence of each."""
    listed = " ".join(re.sub(r"-\n +", "-", section("REFUSALS")).split())
    table = re.sub(r"\n {10,}", " ", usage("stage").split("\nRefusals")[1])
    rows = re.findall(r"^  ([* ]) (\S+) +(.*)$", table, re.M)
    assert len(rows) > 20
    for star, name, meaning in rows:
        assert f" {name}{' (forceable)' if star == '*' else ''} {meaning}" in listed, name
    assert len(re.findall(r"^     [a-z]", section("REFUSALS").split("reported.")[1], re.M)) == len(rows)
    assert len(re.findall(r"\(forceable\)", listed)) == 1 + sum(star == "*" for star, _, _ in rows)


def test_exit_statuses_are_those_of_the_program():
    table = dict(re.findall(r"^ +(\d+)  (.+)$", usage().split("\nExit status:")[1], re.M))
    _, *items = re.split(r"^     (\d+) +", section("EXIT STATUS"), flags=re.M)
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
    assert members <= set(re.findall(r"\w+", section("JSON")))


def sources():
    return "".join(path.read_text() for path in (ROOT / "src").rglob("*.[ch]"))


def test_environment_is_what_is_read():
    names = set(re.findall(r'(?:getenv\(|define SECRET_ENV )"(\w+)"', sources()))
    assert {"STALPREP_PASSWORD", "SSL_CERT_FILE", "HOME"} <= names
    assert set(re.findall(r"\b[A-Z_]{4,}\b", section("ENVIRONMENT"))) - {"FILES"} == names


def test_files_are_those_that_are_read():
    files = set(re.findall(r'"(/(?:etc|var)/[^"]+)"', sources()))
    assert len(files) > 5 and all(re.search(rf"(?<!\S){file}(?=[\s,.])", section("FILES")) for file in files)


# The examples

def examples(page):
    """Each command of ours among the lines: its words."""
    lines = re.sub(r"\\\n *", "", page).replace("; ", "\n    ").splitlines()
    found = [re.search(r"(?:^|\s)(?:\./)?stalprep ((?:print|stage|status|clear|reload|probe)(?: [^<>;#&]*)?)", line)
             for line in lines if re.match(r" {4,}|stalprep", line)]
    return [shlex.split(one[1]) for one in found if one and "--" in one[1] and "     " not in one[1].strip()]


def filled(words, **places):
    return [places.get(word, word) for word in words]


def test_examples_before_and_back(run, serve, ca):
    server = serve()
    before = state(server)
    done = []
    for words in examples(section("EXAMPLES")):
        if "--config" in words:
            continue
        words = filled(words, **{"https://mail.internal": server.https_url, "mail.internal": "127.0.0.1"})
        words = [word for word in words if word != "--haproxy-protocol"]  # it was not restarted
        if words[0] == "probe":
            assert run(*words).status in (0, 3, 6)
        else:
            run(*words, "--cacert", ca.file, status=0)
        done.append(words[0])
    assert done == ["stage", "stage", "status", "status", "probe", "probe", "clear", "probe"]
    assert state(server) == before


def test_examples_of_a_rescue(run, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(PLAIN)
    lines = [filled(words, **{"/mnt/opt/stalwart/etc/config.toml": str(file)}) for words in examples(section("EXAMPLES"))
             if "--config" in words]
    assert [words[0] for words in lines] == ["stage", "status", "clear"]
    for words in lines:
        run(*words, status=0)
    assert file.read_text() == PLAIN


README = examples((ROOT / "README").read_text())


@pytest.mark.parametrize("words", README, ids=[f"{number}-{words[0]}" for number, words in enumerate(README)])
def test_examples_of_the_readme(run, tmp_path, words):
    """Nothing listens there, so each fails, but not by its usage."""
    (tmp_path / "config.toml").write_text(PLAIN)
    url = "https://127.0.0.1:1"
    words = filled(words, **{"URL": url, "FILE": tmp_path / "config.toml", "mail.internal": "127.0.0.1",
                             "https://127.0.0.1": url, "https://mail.internal": url,
                             "/mnt/opt/stalwart/etc/config.toml": tmp_path / "config.toml",
                             "$pin": "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="})
    ran = run(*words, password=PASSWORD, **({"text": PLAIN.encode()} if "-" in words else {}))
    assert ran.status in ((0,) if words[0] == "print" or "--config" in words and words[0] == "stage" else
                          (0, 1, 3, 6, 7)), ran.said
