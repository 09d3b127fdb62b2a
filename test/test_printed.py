"""Every command that a report prints works as it is printed, from any folder."""

import os
import shlex
import shutil

import pytest

from conftest import (BINARY, CHANGE, HTTP, PASSWORD, PROXY, RUNNER, SMTP, cluster_nodes, config, named, reach, state, write)

pytestmark = pytest.mark.skipif(bool(RUNNER), reason="the printed program is run without the runner")


def commands(out, program=BINARY):
    """Each command of ours among the lines: its words, and the line's words in front of it."""
    found = []
    name = str(program) if shlex.quote(str(program)) == str(program) else "'" + str(program).replace("'", "'\\''") + "'"
    for line in out.splitlines():
        at = line.find(name + " ")
        if at != -1:
            found.append((line[:at].strip(), shlex.split(line[at:])[1:]))
    return found


def go(run, words, **options):
    values = {"ADDR": "203.0.113.10", "URL": "https://mail.example.org", "VERSION": "0.15"}
    return run(*[values.get(word, word) for word in words], cwd="/", keep=False, **options)


def undo(run, out, **options):
    """The command behind "To undo", and run it."""
    words, = (words for label, words in commands(out, options.pop("program", BINARY)) if label.startswith("To undo"))
    return go(run, words, **options)


@pytest.fixture
def odd(tmp_path, ca):
    """A folder whose name a shell would take apart, with all files that options name."""
    folder = tmp_path / "it's a (folder) $HOME"
    folder.mkdir()
    shutil.copy(BINARY, folder / "stal prep")
    shutil.copy(ca.file, folder / "ca file.pem")
    (folder / "pass word").write_text(PASSWORD)
    (folder / "pass word").chmod(0o600)
    (folder / "snap shots").mkdir()
    return folder


def test_relative_paths(run, odd, simulate):
    """The program's own, and that of each option."""
    server = simulate()
    write(server, {"auth.dkim.verify": "strict"})
    before = state(server)
    url, resolve = named(server.https_url)
    options = ("--url", url, *resolve, "--cacert", "ca file.pem", "--password-file", "pass word", "--user", "admin")
    out = run("stage", *options, *CHANGE, "--snapshot-dir", "snap shots", password=None, status=0, cwd=odd,
              binary="./stal prep").out
    ran = undo(run, out, program=odd / "stal prep", password=None, binary=str(odd / "stal prep"), status=0)
    assert state(server) == before
    (_, reload), = commands(ran.out, odd / "stal prep")
    go(run, reload, password=None, binary=str(odd / "stal prep"), status=0)


def test_by_path(run, simulate):
    """What was found by $PATH is printed so."""
    server = simulate()
    before = state(server)
    folder = os.path.dirname(BINARY)
    path = {"PATH": f"{folder}:{os.environ['PATH']}"}
    out = run("stage", *reach(server), *CHANGE, status=0, binary="stalprep", env=path, executable=BINARY).out
    undo(run, out, program="stalprep", binary=BINARY, status=0)
    assert state(server) == before


@pytest.mark.parametrize("pin", ["hash", "file"])
def test_pin(run, simulate, ca, pin):
    pair = ca.issue("other.example.org")
    server = simulate(pair=pair)
    before = state(server)
    value = pair.pin
    if pin == "file":
        value = "key file.pem"
        os.system(f"openssl x509 -in {shlex.quote(pair.cert)} -noout -pubkey > {shlex.quote(str(run.folder / value))}")
    out = run("stage", "--url", server.https_url, "-k", "--pinnedpubkey", value, *CHANGE, status=0).out
    undo(run, out, status=0)
    assert state(server) == before


def test_cluster(run, simulate):
    """One command for all nodes; each node's own when one was dead."""
    first, second = cluster_nodes(simulate, SMTP, HTTP)
    before, both = [state(first), state(second)], (*reach(first), *reach(second))
    undo(run, run("stage", *both, *CHANGE, status=0).out, status=0)
    assert [state(first), state(second)] == before
    run("stage", *both, *CHANGE, status=0)
    second.on_connect = "close"
    ran = run("clear", *reach(first), status=6)
    second.on_connect = ""
    rest, = (words for label, words in commands(ran.out) if not label and words[0] == "clear")
    go(run, rest, status=0)
    assert [state(first), state(second)] == before


def test_one_node(run, simulate):
    server = simulate(config=config(SMTP, HTTP, '[cluster]\ncoordinator = "x"\n'))
    before = state(server)
    undo(run, run("stage", *reach(server), *CHANGE, "--single-node", status=0).out, status=0)
    assert state(server) == before


def test_groups_of_earlier_runs(run, simulate):
    """The command that takes out what a run does not name."""
    server = simulate()
    before = state(server)
    run("stage", *reach(server), "--only", "checks", status=0)
    checks = state(server)
    out = run("stage", *reach(server), "--only", "url", *CHANGE[2:], status=0).out
    rest, = (words for label, words in commands(out) if not label)
    go(run, rest, status=0)
    assert {key for key in server.settings() if key.startswith("auth.")} == {
        key for key in before["settings"] if key.startswith("auth.")} != {
        key for key in checks["settings"] if key.startswith("auth.")}
    undo(run, out, status=0)
    assert state(server) == before


def test_nothing_is_staged(run, simulate):
    """What status proposes shows what a stage would write."""
    server = simulate()
    before = state(server)
    (_, words), = commands(run("status", *reach(server), status=7).out)
    assert "would be written" in go(run, [*words, "--snapshot-dir", str(run.folder)], status=0).out
    assert state(server) == before
    (_, words), = commands(run("status", "--config", server.config_path, status=7).out)
    assert "would be written" in go(run, words, status=0).out


def test_public_name(run, simulate):
    """The URL has the name that soon leads to the proxy: the commands say where the server is."""
    server = simulate()
    before = state(server)
    port = server.http_url.rpartition(":")[2]
    out = run("stage", "--url", f"http://localhost:{port}", "--proxy", PROXY, "--public-url", "https://localhost", status=0).out
    (_, runbook), (_, words) = commands(out)
    assert runbook[:3] == ["print", "--format", "runbook"] and "--resolve" in runbook
    assert words[words.index("--resolve") + 1].startswith(f"localhost:{port}:")
    go(run, words, status=0)
    assert state(server) == before
    out = run("stage", "--url", f"http://localhost:{port}", "--proxy", PROXY, "--public-url", "https://localhost",
              "--resolve", f"localhost:{port}:127.0.0.1", status=0).out
    assert [words.count("--resolve") for _, words in commands(out)] == [1, 1]


@pytest.mark.parametrize("restarted", [False, True])
def test_this_host_is_the_proxy(run, simulate, restarted):
    """The undo is printed as it works now, and as it works after the restart."""
    server = simulate()
    before = server.settings()
    out = run("stage", *reach(server), "--proxy", "127.0.0.1", "--public-url", "https://mail.example.org", status=0).out
    (_, runbook), now, later = commands(out)
    assert "clear" in go(run, runbook, status=0).out
    assert later[1] == [*now[1], "--haproxy-protocol"] and "until the restart" in now[0]
    if restarted:
        assert server.restart()
        go(run, now[1], status=3)
    go(run, (later if restarted else now)[1], status=0)
    assert server.settings() == before


def test_file(run, simulate):
    """From a rescue system: the file by its whole path, its own snapshot."""
    server = simulate()
    text = server.config_text()
    folder, name = os.path.split(server.config_path)
    out = run("stage", "--config", name, *CHANGE, "--dialect", "0.15", cwd=folder, status=0).out
    undo(run, out, status=0)
    assert server.config_text() == text
