"""Runs that follow each other, were cut off or met an administrator's changes: `clear` brings back what stood."""

import json
import signal

import pytest

from conftest import CHANGE, HTTP, HTTPS, ORIGIN, PROXY, RELAY, SMTP, config, reach, sent, state, write
from oldserver import Fault

OTHER = ("--proxy", "198.51.100.7", "--public-url", ORIGIN)
IMAP = "server.listener.imap.proxy.trusted-networks"
LOST = {"method": "POST", "path": "/api/settings", "cut": 0, "end": "reset"}
REFUSED = {"method": "POST", "path": "/api/settings", "answer": (403, b'{"status":403}')}


@pytest.fixture
def nodes(simulate):
    """Two nodes of a cluster, and the options that name both."""
    text = config(SMTP, HTTP, HTTPS, '[cluster]\ncoordinator = "x"\n')
    first = simulate(config=text)
    second = simulate(config=text, database=first.shared_database)
    return first, second, ("--url", first.http_url, "--url", second.http_url)


def states(run):
    return sorted(json.loads(path.read_text())["state"] for path in run.folder.glob("*.snapshot.json"))


# Cut off

@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("options", [
    OTHER, (*CHANGE, "--listener", "https"), ("--only", "listeners", "--proxy", "192.0.2.1"), (*CHANGE, *RELAY)], ids=str)
def test_cut_off_while_staged(run, simulate, options, done):
    """Whether the second write arrived or not, all that the first or the second left goes."""
    server = simulate()
    write(server, {IMAP: "10.0.0.1", "auth.dkim.verify": "strict"})
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    server.faults.append(Fault(done=done, **LOST))
    run("stage", *reach(server), *options, status=5)
    server.faults.clear()
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_file_that_cannot_be_written(run, simulate):
    """The memory goes back to what the first stage wrote, and that is known to be ours."""
    server = simulate()
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    server.refuse_writes = "read-only"
    run("stage", *reach(server), *OTHER, status=5)
    server.refuse_writes = None
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_node_that_refuses(run, nodes):
    """Nothing was sent to the second: its snapshot says what it said before."""
    first, second, both = nodes
    before = state(first), state(second)
    run("stage", *both, *CHANGE, status=0)
    texts = {path.name: path.read_text() for path in run.folder.iterdir()}
    first.faults.append(Fault(**REFUSED))
    run("stage", *both, *OTHER, status=4)
    assert {path.name: path.read_text() for path in run.folder.iterdir()} == texts
    run("clear", *both, status=0)
    assert (state(first), state(second)) == before


def test_node_that_refuses_the_first_stage(run, nodes):
    first, second, both = nodes
    first.faults.append(Fault(**REFUSED))
    write(second, {"server.listener.https.proxy.override": "maybe"})
    run("stage", *both, *CHANGE, status=4)
    assert run.snapshots() == []
    write(second, {"server.listener.https.proxy.override": "false"})
    before = state(second)
    run("stage", *both, *CHANGE, status=0)
    run("clear", *both, status=0)
    assert state(second) == before


@pytest.mark.parametrize("staged", [False, True])
def test_interrupted_between_nodes(run, nodes, staged):
    """What was planned for the second node is in no snapshot any more."""
    first, second, both = nodes
    before = state(first), state(second)
    if staged:
        run("stage", *both, *CHANGE, status=0)
    kept = state(second)["file"]
    ran = run.while_running(lambda call: first.faults.append(Fault(method="POST", after=call)),
                            lambda process: process.send_signal(signal.SIGINT), "stage", *both, *OTHER)
    assert ran.status == 5 and state(second)["file"] == kept and states(run) == ["proved"] * (1 + staged)
    run("clear", *(both if staged else reach(first)), "--single-node", status=0)
    assert (state(first), state(second)) == before


@pytest.mark.parametrize("staged", [False, True])
def test_killed_between_nodes(run, nodes, staged):
    """A plan that a killed run left counts for nothing: what somebody sets then is what stood before."""
    first, second, both = nodes
    before = state(first)
    if staged:
        run("stage", *both, *CHANGE, status=0)
    run.while_running(lambda call: first.faults.append(Fault(method="POST", before=call)),
                      lambda process: process.kill(), "stage", *both, *OTHER, status=-signal.SIGKILL)
    assert states(run) == ["planned", "sending"]
    if staged:  # and so does what it asked for
        ran = run("status", *reach(second), status=0)
        assert "--proxy 203.0.113.10/32" in ran.out and "198.51.100.7" not in ran.out
    if not staged:
        write(second, {"server.listener.https.proxy.trusted-networks.0": "198.51.100.7/32"})
    changed = second.settings() if not staged else before["settings"]
    run("clear", *both, status=0)
    own = {key: value for key, value in second.settings().items() if key.startswith("server.")}
    assert own == {key: value for key, value in changed.items() if key.startswith("server.")}
    assert state(first) == before


# Changed in between

def test_changed_by_somebody(run, simulate):
    """What somebody set since the stage is what stood before the next one."""
    server = simulate()
    run("stage", *reach(server), *CHANGE, status=0)
    write(server, {IMAP + ".0": "10.9.9.9", "auth.dkim.verify": "strict"})
    ran = run("stage", *reach(server), *CHANGE, status=0)
    assert "10.9.9.9" in ran.err and "auth.dkim.verify was changed" in ran.err
    assert server.settings()[IMAP + ".1"] == PROXY
    run("clear", *reach(server), status=0)
    assert server.settings()["auth.dkim.verify"] == "strict"
    assert {key: value for key, value in server.settings().items() if key.startswith(IMAP)} == {IMAP + ".0": "10.9.9.9"}


def test_saved_in_the_administration_page(run, simulate):
    """Our network, made a scalar, is ours for a stage too."""
    server = simulate()
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    write(server, {IMAP + ".0": None, IMAP: PROXY})
    run("stage", *reach(server), *CHANGE, *RELAY, "--dialect", "0.15", status=0)
    assert IMAP not in server.settings()
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_url_of_somebody(run, simulate):
    """That a database key stands as wanted does not make it ours."""
    server = simulate()
    write(server, {"http.url": f"'{ORIGIN}'"})
    run("stage", *reach(server), "--only", "url", "--public-url", ORIGIN, status=0)
    assert run.snapshots() == []


def test_cluster_node_where_all_stands(run, nodes):
    """To write it anew is a write, which a single node of a cluster is not given unasked."""
    first, _, _ = nodes
    run("stage", *reach(first), *CHANGE, "--single-node", status=0)
    for path in run.folder.iterdir():
        path.unlink()
    first.log.clear()
    assert "--single-node" in run("stage", *reach(first), *CHANGE, status=1).err and not sent(first)


# Keys that config.toml outranks

def outrank(server, line=""):
    """Put a line in front of config.toml, or take such lines out; the server starts with it."""
    with open(server.config_path, encoding="utf-8") as file:
        lines = [text for text in file.read().splitlines() if not text.startswith("auth.")]
    with open(server.config_path, "w", encoding="utf-8") as file:
        file.write("\n".join([line, *lines]) + "\n")
    assert server.restart(), server.boot_error


def test_outranked_when_cleared(run, simulate):
    """What clear brought back stays, and so does what the snapshot knows of it."""
    server = simulate()
    write(server, {"auth.dkim.verify": "strict"})
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    outrank(server, 'auth.dkim.verify = "disable"')
    ran = run("clear", *reach(server), status=5)
    assert "outranks" in ran.err and server.database()["auth.dkim.verify"] == "strict"
    assert "auth.dkim.verify" in {key["key"] for key in run.snapshot()["keys"]}
    outrank(server)
    run("clear", *reach(server), status=0)
    assert server.settings() == before["settings"]


def test_outranked_when_staged(run, simulate):
    server = simulate(config=config(SMTP, HTTP, HTTPS))
    outrank(server, 'auth.dkim.verify = "strict"')
    before = state(server)
    ran = run("stage", *reach(server), *CHANGE, status=5)
    assert "This server's config.toml has 1 of them" in ran.err and "auth.dkim.verify" not in server.database()
    assert run.snapshot()["state"] == "proved"
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_set_back_while_it_is_staged(run, simulate):
    """It reads as if config.toml outranked it, and it is somebody's own: put back, and known."""
    server = simulate()
    write(server, {"auth.dkim.verify": "strict"})
    before = state(server)
    server.faults.append(Fault(method="POST", path="/api/settings",
                               after=lambda one: one.store.set([("auth.dkim.verify", "strict")])))
    ran = run("stage", *reach(server), *CHANGE, status=5)
    assert "auth.dkim.verify" in ran.err and "This server's config.toml has" not in ran.err
    assert server.settings()["auth.dkim.verify"] == "strict"
    assert "auth.dkim.verify" in {key["key"] for key in run.snapshot()["keys"]}
    run("clear", *reach(server), status=0)
    assert state(server) == before


# Without the first stage's snapshot

@pytest.mark.parametrize("first, then, why", [
    (CHANGE, OTHER, "all inbound checks are off, all listeners want a PROXY header from 203.0.113.10/32"),
    (("--proxy", "203.0.113.10", "--only", "listeners"), OTHER, "all listeners want a PROXY header from 203.0.113.10/32"),
    (("--only", "checks"), CHANGE, "all inbound checks are off"),
    (CHANGE, (*CHANGE, *RELAY), "all inbound checks are off, "),
])
def test_already_staged(run, serve, tmp_path, first, then, why):
    """Its values would be taken for the ones from before. With its snapshot nothing is lost."""
    server = serve(config=config(SMTP, HTTP, HTTPS, 'auth.dkim.verify = "strict"\n'))
    before = state(server)
    run("stage", *reach(server), *first, "--snapshot-dir", tmp_path, status=0)
    staged = state(server)
    for options in ((), ("-n",)):
        ran = run("stage", *reach(server), *then, *options, status=1)
        assert f"looks staged already ({why}" in ran.err and "already-staged" in ran.err and "--snapshot FILE" in ran.err
        assert state(server) == staged and not list(run.folder.glob("*.json"))
    run("stage", *reach(server), *then, "--snapshot-dir", tmp_path, status=0)
    run("clear", *reach(server), "--snapshot-dir", tmp_path, status=0)
    assert state(server) == before


def test_already_staged_and_forced(run, serve, tmp_path):
    server = serve(config=config(SMTP, HTTP, HTTPS))
    run("stage", *reach(server), *CHANGE, "--snapshot-dir", tmp_path, status=0)
    staged = state(server)
    run("stage", *reach(server), *OTHER, "--force", "already-staged", status=0)
    run("clear", *reach(server), status=0)
    assert state(server) == staged


def test_not_staged_though_it_looks_a_little_like_it(run, serve):
    """One listener behind another proxy, some checks off: somebody's own."""
    server = serve(config=config(SMTP, HTTP, HTTPS))
    write(server, {"server.listener.http.proxy.override": "true", "auth.iprev.verify": "disable",
                   "server.listener.http.proxy.trusted-networks.0": "192.0.2.1", "auth.dkim.verify": "disable"})
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_new_node_of_a_staged_cluster(run, nodes):
    """The snapshot of another node of the run tells what stands in the database."""
    first, second, both = nodes
    run("stage", "--url", first.http_url, "--single-node", *CHANGE, status=0)
    run("stage", *both, *CHANGE, status=0)
    run("stage", "--url", second.http_url, "--single-node", *OTHER, status=0)
