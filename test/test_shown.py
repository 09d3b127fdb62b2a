"""What is shown: whatever a server, a file, a path or a certificate holds, no character that a terminal obeys, that
reorders the text or that is not seen gets out, in the report, its diff, --json and on standard error."""

import json
import os
import unicodedata

import pytest

from conftest import CHANGE, HTTP, HTTPS, SMTP, config, listener, reach, write
from oldserver import Fault
from test_config import PLAIN

LAYOUT = {"\n", "\t"}
IGNORABLE = [*range(0x13439, 0x13440), *range(0x115f, 0x1161), 0x34f, *range(0x17b4, 0x17b6), *range(0x180b, 0x1810), 0x2065, 0x2800, 0x3164,
             *range(0xfe00, 0xfe10), 0xffa0, *range(0xfff0, 0xfff9), *range(0xe0000, 0xe1000)]
HIDDEN = {chr(code) for code in range(0x110000)
          if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp", "Zs")} - {" "} | set(map(chr, IGNORABLE))
EVERY = [chr(code) for code in range(1, 0x110000) if not 0xd800 <= code < 0xe000 and chr(code) not in '\n\r"\\']
# of each kind: C0, DEL, C1, bidirectional, zero width, a tag, a filler, line ends
ODD = "\x1b[2J\x07\x08\x7f\x9b2J\u202e\u2066\u200b\ufeff\u061c\u2028\U000e0041\u3164\u00ad\r\x0b\u00a0"
LINE = "\nstalprep stage: done\nReady for the restart.\n"  # of a liar
BROKEN = b"\xff\xc3\xed\xa0\x80\xf4\x90\x80\x80"


def check(ran):
    """Strictly UTF-8 is what `run` takes. Gives all that was said."""
    assert not (HIDDEN - LAYOUT) & set(ran.said), sorted(map(ascii, HIDDEN & set(ran.said)))
    assert "stalprep stage: done" not in ran.err.splitlines() and "Ready for the restart." not in ran.said.splitlines()
    return ran.said


def test_the_sets():
    assert set(ODD) & HIDDEN and "\u202e" in HIDDEN and not HIDDEN & set("aä漢🔑é ")


# Every code point

@pytest.fixture(params=range(8))
def odd(request):
    """Every eighth code point: a value of all is more than stalprep looks at."""
    return EVERY[request.param::8]


@pytest.fixture
def odd_file(tmp_path, odd):
    """A config.toml with a value of these; this server reads control characters, too."""
    path = tmp_path / "config.toml"
    path.write_text(PLAIN + f'\n[http]\nurl = "{"".join(odd)}"\n', newline="")
    return path


@pytest.mark.parametrize("options", [[], ["-v"], ["-n"], ["-n", "-q"], ["-n", "-v"]])
def test_every_code_point(run, odd_file, odd, options):
    text = check(run("stage", "--config", odd_file, *CHANGE, "--dialect", "0.15", *options, status=0))
    if "-n" in options:
        missing = set(odd) - HIDDEN - set(text)
        assert not missing, "the diff has the others"


def test_every_code_point_in_json(run, odd_file, odd):
    """It is told whole there."""
    ran = run("stage", "--config", odd_file, *CHANGE, "--dialect", "0.15", "--json", "-n", status=0)
    shown = (HIDDEN - {"\n"}) & set(ran.out)
    before, = [key["before"] for key in ran.target["keys"] if key["key"] == "http.url"]
    same, missing = before == "".join(odd), set(odd) - set(ran.target["diff"])
    assert same and not shown and not missing


# Every place

def places(server):
    """What a server may say, each in its own place."""
    text = ODD + LINE
    answer = json.dumps({"error": "other", "details": text, "reason": text, "title": text, "detail": text}).encode()
    yield "error", lambda: server.faults.append(Fault(times=-1, answer=(500, answer)))
    yield "unauthorized", lambda: server.faults.append(Fault(times=-1, answer=(401, answer)))
    yield "html", lambda: server.faults.append(Fault(times=-1, answer=(
        502, b"<html><head><title>" + text.encode() + BROKEN + b"</title></head></html>")))
    yield "broken", lambda: server.faults.append(Fault(times=-1, answer=(200, text.encode() + BROKEN)))
    for key in ("http.url", "queue.strategy.route", "auth.dkim.verify", "server.blocked-ip." + text,
                "server.listener.imap.proxy.override" + text, "cluster.node-id", "oauth.key", "server.hostname"):
        yield key, lambda key=key: write(server, {key: "'" + text + "'"})


PLACES = ["error", "unauthorized", "html", "broken", "http.url", "queue.strategy.route", "auth.dkim.verify",
          "server.blocked-ip.", "server.listener.imap.proxy.override", "cluster.node-id", "oauth.key", "server.hostname"]


@pytest.mark.parametrize("place", range(len(PLACES)), ids=PLACES)
def test_every_place_of_a_server(run, simulate, place):
    server = simulate()
    list(places(server))[place][1]()
    for options in ([], ["-v"], ["--json"]):
        for command in (("status",), ("stage", *CHANGE, "-n"), ("stage", *CHANGE), ("clear",), ("reload",)):
            check(run(*command, *reach(server), *options))


@pytest.mark.parametrize("key", ["id", "protocol", "bind"])
def test_listeners(run, simulate, key):
    text = ODD + "x"
    odd = listener(text if key == "id" else "odd", 143, text if key == "protocol" else "imap",
                   **({"bind": text} if key == "bind" else {}))
    server = simulate(config=config(SMTP, HTTP, HTTPS, odd))
    for options in ([], ["-v"], ["--json"]):
        for command in (("status",), ("stage", *CHANGE, "-n"), ("stage", *CHANGE), ("clear",)):
            check(run(*command, *reach(server), *options))


PATHS = ["--snapshot", "--snapshot-dir", "--boot-config", "--password-file", "--cacert", "--totp-file", "--config"]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("option", PATHS)
def test_paths(run, server, tmp_path, option, there):
    name = os.fsencode(tmp_path) + b"/" + (ODD + LINE).replace("/", "").encode() + BROKEN
    if there and option == "--snapshot-dir":
        os.mkdir(name)
    elif there and option not in ("--snapshot",):
        with open(name, "wb") as file:
            file.write(PLAIN.encode())
        os.chmod(name, 0o600)
    elif there:
        os.mkdir(os.path.dirname(name) + b"/sub")
        name = os.path.dirname(name) + b"/sub/" + os.path.basename(name)
    for options in ([], ["-v"], ["--json"]):
        for command in (("status",), ("stage", *CHANGE, "-n"), ("stage", *CHANGE), ("clear",)):
            way = [option, os.fsdecode(name)] + ([] if option == "--config" else list(reach(server)))
            check(run(*command, *way, *options))


@pytest.mark.parametrize("option", ["--proxy", "--relay", "--relay-id", "--public-url", "--url", "--listener", "--force",
                                    "--only", "--resolve", "--dialect", "--nothing"])
def test_arguments(run, option):
    for text in (ODD + LINE, os.fsdecode(BROKEN)):
        check(run("stage", option, text, status=2))


def test_listener_that_nobody_can_type(run, server):
    """Its name could not be told from another's."""
    ran = run("stage", *CHANGE, *reach(server), "--listener", "ima\u200bp", status=2)
    assert "invisible" in ran.err
