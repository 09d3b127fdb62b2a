"""print --format proxy and runbook: the proxy's block, and the order of the day, whose lines of ours work as printed."""

import shlex

import pytest

try:
    import tomllib
except ImportError:
    tomllib = pytest.importorskip("tomli")

from conftest import BINARY, CHANGE, HTTP, PROXY, REAL, RUNNER, config, listener
from test_probe import OLD, can_bind, everywhere, patient

URL = ("--url", "https://mail.internal")
USUAL = {"imap": (993, "implicit"), "pop3": (995, "implicit"), "submission": (587, "starttls"),
         "managesieve": (4190, "starttls"), "http": (443, "implicit")}


def block(ran):
    old = tomllib.loads(ran.out)["destination"]["old"]
    return old, {name: (one["port"], one["tls"]) for name, one in old.pop("protocol").items()}


def ours(text):
    """Our commands, in their order."""
    return [shlex.split(line)[1:] for line in text.splitlines() if line.strip().startswith(shlex.quote(BINARY) + " ")]


def test_proxy(run):
    ran = run("print", "--format", "proxy", *URL, status=0)
    old, protocols = block(ran)
    assert old == {"host": "mail.internal", "tls_server_name": "mail.internal", "forwarding": "proxy",
                   "proxy_protocol": True, "forwarded": True}
    assert protocols == USUAL and ran.err == ""


def test_proxy_with_what_there_is(run):
    """The other way where it has to be, and a warning for what is not there."""
    ports = ("--port", "143=imap", "--port", "465=smtp+tls", "--port", "4190=managesieve", "--port", "8080=http", "--port",
             "25=smtp")
    ran = run("print", "--format", "proxy", *URL, *ports, status=0)
    assert block(ran)[1] == {"imap": (143, "starttls"), "submission": (465, "implicit"), "managesieve": (4190, "starttls")}
    assert "no listener for pop3" in ran.err and "no listener for http" in ran.err and "implicit TLS" in ran.err


def test_proxy_from_a_snapshot(run, simulate):
    server = simulate(config=config(listener("mx", 25, "smtp"), HTTP, listener("a", 1993, "imap", **{"tls.implicit": True}),
                                    listener("b", 143, "imap")))
    run("stage", "--url", server.http_url, *CHANGE, "--snapshot", "snap", "--leave", "b", status=0)
    old, protocols = block(run("print", "--format", "proxy", "--snapshot", "snap", status=0))
    assert old["host"] == "OLD-SERVER" and protocols == {"imap": (1993, "implicit")}


@pytest.mark.parametrize("url", ["https://127.0.0.1", "http://127.0.0.2:8080", "https://[::1]", "http://localhost:8080"])
def test_host_that_only_the_server_has(run, url):
    """For the proxy a loopback address is its own: a word stands there, and what to put there is said once."""
    put = "# Put the old server's name or address in place of OLD-SERVER.\n"
    ran = run("print", "--format", "proxy", "--url", url, status=0)
    old, _ = block(ran)
    assert old["host"] == old["tls_server_name"] == "OLD-SERVER" and ran.out.startswith(put)
    text = run("print", "--format", "runbook", "--url", url, *CHANGE, status=0).out
    assert text.startswith(put) and text.count("in place of OLD-SERVER") == 1
    for line in ours(text):
        if line[0] == "probe":
            assert line[1] == "OLD-SERVER"
        else:
            assert line[line.index("--url") + 1] == url
    for form in ("proxy", "runbook"):
        assert "OLD-SERVER" not in run("print", "--format", form, *URL, *CHANGE, status=0).out


def test_proxy_has_nothing_to_undo(run):
    assert "has nothing to undo: leave out --clear" in run("print", "--format", "proxy", *URL, "--clear", status=2).err


def test_runbook_repeats_what_reaches_the_server(run):
    options = ("--cacert", "/tmp/ca.pem", "--user", "me", "--resolve", "mail.internal:443:192.0.2.1")
    text = run("print", "--format", "runbook", *URL, "--url", "https://two.internal", *CHANGE, *options, "--skip", "checks",
               status=0).out
    lines = ours(text)
    assert [line[0] for line in lines] == ["stage", "stage", "status", "probe", "probe", "probe", "probe", "clear", "clear",
                                           "probe", "probe"]
    for line in lines:
        assert "mail.internal:443:192.0.2.1" in line
        if line[0] != "probe":
            assert all(word in line for word in (*URL, "https://two.internal", *options)), line
    assert [line[line.index("--expect") + 1] for line in lines if line[0] == "probe"] == [
        "staged", "staged", "cutover", "cutover", "rolled-back", "rolled-back"]
    assert "checks" not in lines[0] and "url" in lines[0][lines[0].index("--only") + 1]
    for more in ((), ("--haproxy-protocol",)):
        lines = ours(run("print", "--format", "runbook", *URL, *CHANGE, *more, status=0).out)
        assert [("--haproxy-protocol" in line) for line in lines if line[0] == "clear"] == [False, True]


def test_runbook_of_some_groups(run):
    """Its status asks for the same groups; without listeners there is nothing for a probe to see."""
    lines = ours(run("print", "--format", "runbook", *URL, *CHANGE, "--skip", "url", "--dialect", "0.12", status=0).out)
    for line in (lines[0], lines[2]):
        assert line[line.index("--only") + 1] == "listeners,checks" and line[line.index("--dialect") + 1] == "0.12"
    text = run("print", "--format", "runbook", *URL, "--only", "checks", status=0).out
    assert [line[0] for line in ours(text)] == ["stage", "status", "clear", "clear"]
    lines = ours(run("print", "--format", "runbook", *URL, *CHANGE, "--only", "listeners", status=0).out)
    assert [line[0] for line in lines[:3]] == ["stage", "status", "probe"]


def test_runbook_in_halves(run, simulate):
    """The first line with --skip listeners, days before; its second on the day."""
    server = simulate()
    lines = ours(run("print", "--format", "runbook", "--url", server.http_url, *CHANGE, status=0).out)
    assert "--only" not in lines[0] and [line[0] for line in lines[:3]] == ["stage", "stage", "status"]
    run(*lines[0], "--skip", "listeners", status=0)
    assert not [key for key in server.settings() if ".proxy." in key]
    run(*lines[2], "--skip", "listeners", status=0)
    run(*lines[2], status=6)
    run(*lines[1], status=0)
    run(*lines[2], status=0)


def test_runbook_of_a_snapshot(run, simulate):
    """Its stage is done; the groups are those of the snapshot, unless options name others."""
    server = simulate()
    run("stage", "--url", server.http_url, *CHANGE, "--snapshot", "snap", status=0)
    printed = ("print", "--format", "runbook", "--snapshot", "snap")
    text = run(*printed, status=0).out
    done, = (after for before, after in zip(text.splitlines(), text.splitlines()[1:]) if "done already" in before)
    stage, = ours(done)
    assert "--public-url" in stage and "--only" not in stage
    assert "There is nothing to do" in run(*stage, status=0).out
    assert "done already" not in run(*printed, "--proxy", "192.0.2.7", status=0).out
    assert "done already" not in run("print", "--format", "runbook", *URL, *CHANGE, status=0).out
    for options in (("--skip", "url"), ("--only", "listeners,checks")):
        lines = ours(run(*printed, *options, status=0).out)
        assert "--public-url" not in lines[0]
        for line in (lines[0], lines[2]):
            assert line[line.index("--only") + 1] == "listeners,checks"
    lines = ours(run(*printed, "--only", "listeners,checks,url", status=0).out)
    assert "--public-url" in lines[0] and "--only" not in lines[0]


def test_runbook_line_by_line(run):
    """What a reader types as it stands: nothing is written over, each place is named in front of its command."""
    text = run("print", "--format", "runbook", *URL, *CHANGE, "--relay", "new.example.org", status=0).out
    lines = [line.strip() for line in text.splitlines()]
    assert "cp -n /opt/stalwart/etc/config.toml ~/config.toml.before" in lines
    assert "openssl s_client -starttls smtp -connect new.example.org:25 </dev/null" in lines
    before = {word: [lines[i - 1] for i, line in enumerate(lines) if f" {word} " in line and ours(line)]
              for word in ("probe", "clear")}
    assert before["probe"] == ["# on the proxy's host:"] * 3
    assert before["clear"] == ["# from a host outside of the proxy's networks:", "# only from a host inside of them:"]
    steps = [line[0] for line in lines if line[1:3] == ". "]
    assert steps == [*"1234567", *"abcd"]
    assert "-connect NEW:25 " in run("print", "--format", "runbook", *URL, *CHANGE, status=0).out


def test_runbook_of_the_way_back_alone(run):
    """With --clear."""
    whole = run("print", "--format", "runbook", *URL, *CHANGE, status=0).out
    back = run("print", "--format", "runbook", *URL, *CHANGE, "--clear", status=0).out
    assert back.startswith("THE WAY BACK\n") and whole.endswith("\n\n" + back)


def test_runbook_of_a_single_node(run, simulate):
    server = simulate(config=config('cluster.node-id = "1"\n', listener("mx", 25, "smtp"), HTTP))
    stage = ("stage", "--url", server.http_url, "--snapshot", "snap")
    run(*stage, *CHANGE, "--single-node", status=0)
    lines = ours(run("print", "--format", "runbook", "--snapshot", "snap", status=0).out)
    assert "--single-node" in lines[0] and lines[3][0] == "probe" and "--snapshot" in lines[3]


def test_runbook_of_a_file(run, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('[server.listener.imap]\nbind = "[::]:143"\nprotocol = "imap"\n'
                    '[server.listener.mx]\nbind = "[::]:25"\nprotocol = "smtp"\n')
    before = file.read_bytes()
    change = ("--config", file, "--dialect", "0.15", *CHANGE)
    run("stage", *change, "--snapshot", "snap", status=0)
    text = run("print", "--format", "runbook", "--snapshot", "snap", status=0).out
    stage, _, status, cutover, clear, rolled_back = ours(text)
    run(*stage, status=0)
    assert status[0] == "status" and str(file) in status
    run(*status, status=0)
    for probe, expect in ((cutover, "cutover"), (rolled_back, "rolled-back")):  # not staged: all is in force when it starts
        assert probe[:2] == ["probe", "OLD-SERVER"] and probe[-1] == expect
    assert "Restart the old server" not in text
    at = 0
    for words in ("Start the old server", "systemctl start", "Stop the proxy", "Stop the old server", "systemctl stop", " clear ",
                  "Start the old server", "systemctl start"):
        at = text.index(words, at)
    run(*clear, status=0)
    assert file.read_bytes() == before
    run("print", "--format", "runbook", "--snapshot", "snap", *URL, status=0)  # by its name after the clear


def test_runbook_without_a_server(run):
    lines = ours(run("print", "--format", "runbook", *CHANGE, status=0).out)
    assert lines[0][:3] == ["stage", "--url", "https://OLD-SERVER"] and ["probe", "OLD-SERVER"] in [line[:2] for line in lines]
    assert "--proxy" in run("print", "--format", "runbook", *URL, status=2).err


def test_runbook_has_the_whole_day(run):
    text = " ".join(run("print", "--format", "runbook", *URL, *CHANGE, status=0).out.split())
    at = 0
    for words in ("Copy the old server's config.toml", " stage ", "that, and status, with --skip listeners now, on the day this",
                  " --only listeners ", "accidental restart", "TTL", "print --format proxy", "-starttls smtp", ":25", " status ",
                  "--expect staged", "Restart the old server, once", "--expect cutover", "Start the proxy",
                  "point the public name", "Test each protocol", "a mail each way", "THE WAY BACK", "point of no return",
                  "Point the public name at the old server", "Stop the proxy", " clear ", "--haproxy-protocol",
                  "Restart the old server", "--expect rolled-back"):
        assert words in text[at:], words
        at = text.index(words, at)


def named(out):
    """The command that a report names."""
    line, = (line for line in out.splitlines() if line.startswith("The order of the day: "))
    return shlex.split(line.partition(": ")[2])[1:]


def test_all_name_the_runbook(run, simulate, tmp_path):
    server = simulate()
    url = ("--url", server.http_url)
    for args in (("stage", *url, *CHANGE), ("stage", *url, *CHANGE), ("status", *url), ("clear", *url)):
        assert "print --format runbook" in run(*args, status=0).out, args
    file = tmp_path / "config.toml"
    file.write_text('[server.listener.imap]\nbind = "[::]:143"\nprotocol = "imap"\n'
                    '[server.listener.mx]\nbind = "[::]:25"\nprotocol = "smtp"\n')
    file.chmod(0o600)
    change = ("--config", file, "--dialect", "0.15", *CHANGE)
    for args in (("stage", *change), ("status", "--config", file)):
        stage, *_ = ours(run(*named(run(*args, status=0).out), status=0, cwd="/").out)
        assert "--config" in stage and str(file) in stage


def test_named_where_no_snapshot_is(run, simulate, tmp_path):
    """The line repeats the options that the run was judged by. Where print does not take them there is no line."""
    server = simulate(config=config(listener("mx", 25, "smtp"), HTTP, listener("imap", 143, "imap")))
    url, relay = ("--url", server.http_url), ("--relay", "new.example.org")
    run("stage", *url, *CHANGE, *relay, status=0)
    elsewhere = ("--snapshot-dir", tmp_path)
    for options in ((*CHANGE, *relay), CHANGE, ("--proxy", PROXY, "--skip", "url"), (*CHANGE, "--relay-listener", "mx")):
        out = run("status", *url, *options, *elsewhere, status=0).out
        stage, *_ = ours(run(*named(out), status=0, cwd="/").out)
        assert "The server has all of these values already" in run(*stage, *elsewhere, "-n", status=0).err
    assert "runbook" not in run("status", *url, *CHANGE, "--also", "imap", *elsewhere, status=0).out
    file = tmp_path / "config.toml"
    file.write_text(server.config_text())
    file.chmod(0o600)
    out = run("status", "--config", file, *CHANGE, "--dialect", "0.15", "--only", "listeners", status=0).out
    stage, *_ = ours(run(*named(out), status=0, cwd="/").out)
    assert "https://OLD-SERVER" in stage and stage[stage.index("--only") + 1] == "listeners"


@pytest.mark.skipif(bool(RUNNER), reason="the printed program is run without the runner")
def test_way_back_from_outside(run, serve):
    """The first clear is for a host that is not in the proxy's network."""
    server = serve()
    before = server.settings()
    lines = ours(run("print", "--format", "runbook", "--url", server.http_url, "--proxy", "192.0.2.1", "--public-url",
                     "https://mail.example.org", status=0).out)
    run(*lines[0], status=0, cwd="/")
    assert server.restart()
    clear = next(line for line in lines if line[0] == "clear")
    assert "--haproxy-protocol" not in clear
    run(*clear, status=0, cwd="/")
    assert {key: value for key, value in server.settings().items() if key in before} == before


@pytest.mark.skipif(bool(RUNNER), reason="the printed program is run without the runner")
@pytest.mark.parametrize("staged", [False, True], ids=["by options", "by the snapshot"])
def test_runbook_is_run(run, serve, staged):
    """All of our lines, as they are printed; between them what the text says."""
    if not can_bind():
        pytest.skip("port 25 can't be had")
    server = serve(config=everywhere("0.15.5"), **({} if REAL else {"map_ports": False, "listeners": True}))
    url, values = ("--url", f"http://{OLD}:8080"), ("--proxy", "127.0.0.0/8", "--public-url", "https://mail.example.org")
    before = server.settings()
    if staged:
        out = run("stage", *url, *values, "--snapshot", "snap", status=0).out
        printed, = [shlex.split(line[line.index(BINARY):])[1:] for line in out.splitlines() if BINARY + " print" in line]
        text = run(*printed, status=0, cwd="/").out
    else:
        text = run("print", "--format", "runbook", *url, *values, status=0).out
    lines = ours(text.replace("OLD-SERVER", OLD))
    steps = [line[0] for line in lines]
    assert steps == ["stage", "stage", "status", "probe", "probe", "clear", "clear", "probe"]
    for number, line in enumerate(lines):
        if number in (4, 7):
            assert server.restart()
        if number != 5:  # from outside of the proxy's network
            patient(run, *line, cwd="/") if line[0] == "probe" else run(*line, status=0, cwd="/")
    assert {key: value for key, value in server.settings().items() if key in before} == before
