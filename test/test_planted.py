"""A snapshot, or its folder, that somebody else could have written is not believed."""

import json
import os
import shutil
import zlib

import pytest

from conftest import CHANGE, reach, state, write, writes

OWNER = "snapshot-owner"
THEIRS = 65534  # another user's number


def symlink(path):
    path.rename(path.with_name("real"))
    path.symlink_to(path.with_name("real"))


def linked_folder(path):
    """The whole folder is reached through a symbolic link; gives its other name."""
    real = path.parent.with_name("elsewhere")
    path.parent.rename(real)
    path.parent.symlink_to(real)


def given_away(path):
    os.chown(path, THEIRS, THEIRS)


def folder_given_away(path):
    os.chown(path.parent, THEIRS, THEIRS)


PLANTED = [
    ("group-writable", lambda path: path.chmod(0o620), "can be written by other users"),
    ("world-writable", lambda path: path.chmod(0o602), "can be written by other users"),
    ("somebody else's", given_away, "belongs to another user"),
    ("a symbolic link", symlink, "symbolic link"),
    ("two names", lambda path: os.link(path, path.with_name("second")), "several names"),
    ("a world-writable folder", lambda path: path.parent.chmod(0o777), "can be written by other users"),
    ("a sticky folder", lambda path: path.parent.chmod(0o1777), "can be written by other users"),
    ("somebody else's folder", folder_given_away, "belongs to another user"),
    ("a linked folder", linked_folder, "symbolic link"),
]


@pytest.fixture
def staged(run, simulate):
    """A server that was staged, and the path of its snapshot, in a folder of its own."""
    server = simulate()
    folder = run.folder / "snapshots"
    folder.mkdir(mode=0o700)
    run("stage", *CHANGE, "--snapshot-dir", folder, *reach(server), status=0)
    path, = folder.glob("*.snapshot.json")
    server.log.clear()
    return server, path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("what, plant, why", PLANTED, ids=[row[0] for row in PLANTED])
@pytest.mark.parametrize("command", ["stage", "status", "clear"])
def test_planted(run, staged, command, what, plant, why):
    """Refused by name, with nothing written; --force counts for a file that --snapshot names."""
    server, path = staged
    before = state(server)
    plant(path)
    args = (command, *(CHANGE if command == "stage" else ()), "--snapshot", path, *reach(server))
    ran = run(*args, status=1)
    assert f"refused ({OWNER})" in ran.err and why in ran.err
    assert writes(server) == 0 and state(server) == before
    run(*args, "--force", OWNER, status=0)


@pytest.mark.parametrize("command", ["stage", "status", "clear"])
def test_not_forced_for_a_folder(run, staged, command):
    """What was found in a folder, and not named, is never forced."""
    server, path = staged
    path.chmod(0o622)
    options = CHANGE if command == "stage" else ()
    ran = run(command, *options, "--snapshot-dir", path.parent, "--force", OWNER, *reach(server), status=1)
    assert f"refused ({OWNER})" in ran.err and writes(server) == 0


@pytest.mark.parametrize("command", ["status", "clear"])
def test_pipe(run, staged, command):
    """A FIFO in its place hangs nothing."""
    server, path = staged
    path.unlink()
    os.mkfifo(path, 0o600)
    ran = run(command, "--snapshot", path, *reach(server), status=1)
    assert "is not a regular file" in ran.err and writes(server) == 0


def test_first_stage_into_an_open_folder(run, simulate):
    """A snapshot that nobody could believe later is not begun."""
    server = simulate()
    run.folder.chmod(0o777)
    for more in ((), ("--dry-run",)):
        ran = run("stage", *CHANGE, *reach(server), *more, status=1)
        assert f"refused ({OWNER})" in ran.err and writes(server) == 0 and run.snapshots() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_beside_a_config(run, tmp_path, simulate):
    """The owner of a config.toml may own the folder and the snapshot beside it; nobody else may."""
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    config = folder / "config.toml"
    shutil.copy(simulate().config_path, config)
    for path in (folder, config):
        os.chown(path, THEIRS, THEIRS)
    args = ("--config", config, "--dialect", "0.15")
    run("stage", *args, *CHANGE, status=0)
    snapshot, = folder.glob("*.snapshot.json")
    os.chown(snapshot, THEIRS, THEIRS)
    run("status", *args, status=0)
    os.chown(snapshot, THEIRS - 1, THEIRS)
    assert f"refused ({OWNER})" in run("clear", *args, status=1).err


def plant(path, change):
    """The snapshot changed, and the checksum that fits."""
    text = path.read_text()
    head, _ = text.rsplit(',\n  "checksum": "', 1)
    snapshot = json.loads(text)
    del snapshot["checksum"]
    assert json.loads(head + "}") == snapshot
    change(snapshot)
    head = json.dumps(snapshot)[:-1]
    path.write_text(f'{head},\n  "checksum": "{zlib.crc32(head.encode()):08x}"\n}}\n')


PARTS = {"database": lambda snapshot: snapshot["database"], "node": lambda snapshot: snapshot["nodes"][0]}


def plant_key(path, part, planted):
    """It stands in this part alone, in place of what the snapshot had of it."""
    def change(snapshot):
        for of_all in PARTS.values():
            keys = of_all(snapshot)["keys"]
            keys[:] = [row for row in keys if row["key"] != planted["key"]]
        PARTS[part](snapshot)["keys"].append(planted)
    plant(path, change)


def key(name, before, written, group="listeners"):
    return {"key": name, "group": group, "before": before, "written": written}


SMTP25 = "server.listener.smtp.proxy."
PORT_25 = [
    key(SMTP25 + "trusted-networks.0", "203.0.113.10", None),
    key(SMTP25 + "trusted-networks.0", "203.0.113.10", "10.0.0.0/8"),
    key(SMTP25 + "override", "true", None),
]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("command", ["stage", "clear"])
@pytest.mark.parametrize("planted", PORT_25, ids=["a network", "another network", "the override"])
def test_port_25_is_never_restored(run, staged, command, planted, part):
    """What stood before, by a snapshot that is believed, would put port 25 behind the proxy: no. Neither by a stage, which
    restores the listeners that it does not choose."""
    server, path = staged
    plant_key(path, part, planted)
    if planted["written"]:
        write(server, {planted["key"]: planted["written"]})
    before = state(server)
    server.log.clear()
    for force in ((), ("--force", "port-25,changed")):
        ran = run(command, *(CHANGE if command == "stage" else ()), "--snapshot", path, *force, *reach(server), status=1)
        assert "refused (port-25)" in ran.err and "--force does not apply" in ran.err
        assert writes(server) == 0 and state(server) == before


FOREIGN = [
    key("authentication.fallback-admin.secret", None, "planted", "checks"),
    key("authentication.master.user", None, "planted", "checks"),
    key("queue.route.smarthost.auth.secret", None, "planted", "outbound"),
    key("http.url", None, "'http://evil.example.org'", "url"),
    key("queue.route.mx.address", None, "evil.example.org", "outbound"),
    key("server.proxy.trusted-networks.0", "planted", None),
    key("auth.dkim.verify", None, "disable", "listeners"),
]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("planted", FOREIGN, ids=[row["key"] for row in FOREIGN])
@pytest.mark.parametrize("command", ["stage", "status", "clear"])
def test_key_that_is_never_written(run, staged, command, planted, part):
    server, path = staged
    before = state(server)
    plant_key(path, part, planted)
    ran = run(command, *(CHANGE if command == "stage" else ()), "--snapshot", path, *reach(server), status=1)
    assert planted["key"] in ran.err and "never writes" in ran.err and "planted" not in ran.said.replace(str(path), "")
    assert writes(server) == 0 and state(server) == before


def second_node(snapshot):
    """One more, that has keys of this server's database."""
    node = snapshot["nodes"][0]
    snapshot["nodes"].append({**node, "url": "http://other.example.org", "keys": [FOREIGN[0]]})


DAMAGED = [  # (what is planted, a word of the answer)
    ("a node's keys", second_node, "never writes"),
    ("an identity", lambda snapshot: snapshot.update(identity="../../x"), "identity"),
    ("no identity", lambda snapshot: snapshot.pop("identity"), "identity"),
    ("a state", lambda snapshot: snapshot["nodes"][0].update(state="done"), "state"),
    ("a value from before that is not known",
     lambda snapshot: snapshot["database"]["keys"][0].update(unknown=True, before="strict"), "unknown"),
    ("a key twice", lambda snapshot: snapshot["nodes"][0]["keys"].append(snapshot["nodes"][0]["keys"][0]), "keys"),
    ("many nodes", lambda snapshot: snapshot.update(nodes=snapshot["nodes"] * 65), "nodes"),
    ("no database", lambda snapshot: snapshot.pop("database"), "state"),
]


@pytest.mark.parametrize("how,change,word", DAMAGED, ids=[case[0] for case in DAMAGED])
@pytest.mark.parametrize("named", [True, False], ids=["named", "found"])
def test_what_no_stage_leaves(run, staged, how, change, word, named):
    """Of the server's own snapshot it matters that it can't be used, also where it was only found."""
    server, path = staged
    before = state(server)
    plant(path, change)
    options = ("--snapshot", path) if named else ("--snapshot-dir", path.parent)
    for command in (("stage", *CHANGE), ("status",), ("clear",)):
        ran = run(*command, *options, *reach(server), status=1)
        assert f"({word}" in ran.err or word == "never writes" in ran.err, ran.err
        assert path.name in ran.err and writes(server) == 0 and state(server) == before


def test_snapshot_of_somebody_else_in_the_folder(run, staged, simulate):
    """One that bears another server's name and can't be used is no reason to stop."""
    server, path = staged
    other = simulate()
    before = state(other)
    path.write_text("planted")
    run("stage", *CHANGE, "--snapshot-dir", path.parent, *reach(other), status=0)
    run("clear", "--snapshot-dir", path.parent, *reach(other), status=0)
    assert state(other) == before and path.read_text() == "planted"
    assert path.name in run("clear", "--snapshot-dir", path.parent, *reach(server), status=1).err


def test_snapshot_of_a_longer_port_number(run, simulate):
    """Nor is one whose port only begins with this one's."""
    server = simulate()
    port = server.http_url.rpartition(":")[2]
    (run.folder / f"stalprep-127.0.0.1-{port}0-01234567.snapshot.json").write_text("planted")
    run("stage", *CHANGE, *reach(server), status=0)


def test_name_that_says_another_server(run, staged, simulate):
    """A snapshot is found by what it holds: a file that was renamed is not another server's."""
    server, path = staged
    other = simulate()
    path.rename(path.with_name(f"stalprep-127.0.0.1-{other.http_url.rpartition(':')[2]}.snapshot.json"))
    before = state(other)
    run("stage", *CHANGE, "--snapshot-dir", path.parent, *reach(other), status=0)
    run("clear", "--snapshot-dir", path.parent, *reach(other), status=0)
    assert state(other) == before
    run("clear", "--snapshot-dir", path.parent, *reach(server), status=0)
    assert not [key for key in server.settings() if ".proxy." in key]
