"""One snapshot, two ways to the server: staged over the API and cleared in the file, and the other way round."""

import json
import shlex

import pytest

from conftest import CHANGE, NEWEST, guide, reach, state, write, writes

STOOD = {"auth.dkim.verify": "strict", "http.url": "'https://old.example.org'",
         "server.listener.imap.proxy.trusted-networks": "198.51.100.0/24"}
DIALECT = ("--dialect", NEWEST)


def local(key):
    return key.startswith("server.listener.")


def command_after(out, words):
    """The command that a report prints under the line with these words, as a shell would split it."""
    lines = out.splitlines()
    at, = (number for number, line in enumerate(lines) if words in line)
    return shlex.split(lines[at + 1])[1:]


@pytest.fixture
def server(simulate):
    server = simulate()
    write(server, STOOD)
    server.log.clear()
    return server


def snapshot(run):
    path, = run.folder.glob("*.snapshot.json")
    return path


def file_of(server):
    return ("--config", server.config_path, *DIALECT)


def test_cleared_in_the_file(run, server):
    """The file's keys go, the database's stay in the snapshot with the command for them."""
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    staged = server.settings()
    ran = run("clear", *file_of(server), "--snapshot", snapshot(run), status=6)
    assert server.restart()
    now = server.settings()
    assert {key for key in guide(NEWEST) if local(key) and key in now and not key.endswith("imap.proxy.trusted-networks")} == set()
    assert {key: now.get(key) for key in guide(NEWEST) if not local(key)} == {
        key: staged[key] for key in guide(NEWEST) if not local(key)}
    run(*command_after(ran.out, "keys of the database are still staged"), cwd="/", status=0)
    assert server.settings() == before["settings"] and not list(run.folder.glob("*.snapshot.json"))


def test_changed_is_no_way_into_the_file(run, server):
    """Values of the database are never written into config.toml, whatever is forced."""
    run("stage", *reach(server), *CHANGE, status=0)
    run("clear", *file_of(server), "--snapshot", snapshot(run), "--force", "changed", status=6)
    assert "strict" not in server.config_text() and "http.url" not in server.config_text()


def test_file_of_another_server(run, server, simulate):
    """Its keys are neither as they were before nor as they were staged."""
    other = simulate()
    run("stage", *reach(server), *CHANGE, status=0)
    write(other, {"server.listener.imap.proxy.override": "no", "server.listener.imap.proxy.trusted-networks": "192.0.2.1"})
    text = other.config_text()
    ran = run("clear", *file_of(other), "--snapshot", snapshot(run), "--json", status=1)
    assert "snapshot-target" in ran.names() and other.config_text() == text


def test_stage_of_another_server(run, server, simulate):
    """Nothing stands there of what the snapshot says, so a stage would put its own into a snapshot that another needs."""
    other = simulate()
    run("stage", *reach(server), *CHANGE, "--proxy", "192.0.2.7", status=0)
    kept, text = snapshot(run).read_bytes(), other.config_text()
    ran = run("stage", *file_of(other), *CHANGE, "--snapshot", snapshot(run), "--json", status=1)
    assert "snapshot-target" in ran.names() and other.config_text() == text
    assert snapshot(run).read_bytes() == kept
    run("stage", *file_of(server), *CHANGE, "--snapshot", snapshot(run), status=0)  # its own


@pytest.fixture
def staged_file(run, server):
    """Staged while it was stopped, and started."""
    run("stage", *file_of(server), *CHANGE, "--snapshot", "s.json", status=0)
    assert server.restart()
    server.log.clear()
    return server


def test_cleared_over_the_api(run, server):
    """Local keys go; the others, which the API can't take out of the file alone, stay with the command."""
    before = state(server)
    run("stage", *file_of(server), *CHANGE, "--snapshot", "s.json", status=0)
    assert server.restart()
    ran = run("clear", *reach(server), "--snapshot", "s.json", status=6)
    now = server.settings()
    assert all(now[key] == STOOD[key] for key in STOOD if local(key))
    assert all(now[key] == value for key, value in guide(NEWEST).items() if not local(key))
    assert "in-file" in ran.err and "stalprep clear --config" in ran.out
    run("clear", *file_of(server), "--snapshot", "s.json", status=0)
    assert server.restart() and server.settings() == before["settings"]


def test_one_key_of_the_file(run, simulate):
    """The listener trusted the proxy before, and only its own answer was missing: one key is enough to know the node."""
    server = simulate()
    write(server, {"server.listener.imap.proxy.trusted-networks": "203.0.113.10/32"})
    before = state(server)
    run("stage", *file_of(server), *CHANGE, "--only", "listeners", "--listener", "imap", "--snapshot", "s.json", status=0)
    assert len(json.loads((run.folder / "s.json").read_text())["nodes"][0]["keys"]) == 1 and server.restart()
    run("clear", *reach(server), "--snapshot", "s.json", status=0)
    assert state(server) == before


def test_forced_over_the_api(run, simulate):
    """They go from both places: right where the database held nothing behind them."""
    server = simulate()
    before = server.settings()
    run("stage", *file_of(server), *CHANGE, "--snapshot", "s.json", status=0)
    assert server.restart()
    run("clear", *reach(server), "--snapshot", "s.json", "--force", "in-file", status=0)
    assert server.settings() == before and server.restart() and server.settings() == before


def test_staged_file_without_its_snapshot(run, staged_file):
    """The API's own folder has none: it says where it looked."""
    now = state(staged_file)
    ran = run("clear", *reach(staged_file), "--json", status=1)
    assert "no-snapshot" in ran.names() and f"in {run.folder}" in ran.err + ran.out and state(staged_file) == now
    assert writes(staged_file) == 0


def test_two_folders(run, simulate):
    """A second administrator's folder knows nothing of the first one's stage, and nothing is lost by that."""
    server = simulate()
    write(server, {"auth.dkim.verify": "strict"})
    before = state(server)
    for name in ("one", "two"):
        (run.folder / name).mkdir()
    one, two = (("--snapshot-dir", run.folder / name) for name in ("one", "two"))
    run("stage", *reach(server), "--only", "url", *CHANGE[2:], *one, status=0)
    run("clear", *reach(server), *one, status=0)
    run("stage", *reach(server), "--only", "listeners", *CHANGE[:2], *two, status=0)
    assert "no-snapshot" in run("clear", *reach(server), "--only", "listeners", *one, "--json", status=1).names()
    assert "already-staged" in run("stage", *reach(server), *CHANGE[:1], "203.0.113.11", *CHANGE[2:], *one, "--json",
                                   status=1).names()
    run("clear", *reach(server), *two, status=0)
    assert state(server) == before
