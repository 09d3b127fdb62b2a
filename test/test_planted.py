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
    ran = run("stage", *CHANGE, *reach(server), status=1)
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
    """The snapshot with its keys changed, and the checksum that fits."""
    text = path.read_text()
    head, _ = text.rsplit(',\n  "checksum": "', 1)
    snapshot = json.loads(text)
    del snapshot["checksum"]
    assert json.loads(head + "}") == snapshot
    change(snapshot["keys"])
    head = json.dumps(snapshot)[:-1]
    path.write_text(f'{head},\n  "checksum": "{zlib.crc32(head.encode()):08x}"\n}}\n')


def key(name, before, written, group="listeners"):
    return {"key": name, "group": group, "local": group == "listeners", "before": before, "written": written}


SMTP25 = "server.listener.smtp.proxy."
PORT_25 = [
    key(SMTP25 + "trusted-networks.0", "203.0.113.10", None),
    key(SMTP25 + "trusted-networks.0", "203.0.113.10", "10.0.0.0/8"),
    key(SMTP25 + "override", "true", None),
]


@pytest.mark.parametrize("planted", PORT_25, ids=["a network", "another network", "the override"])
def test_port_25_is_never_restored(run, staged, planted):
    """What stood before, by a snapshot that is believed, would put port 25 behind the proxy: no."""
    server, path = staged
    before = state(server)
    plant(path, lambda keys: keys.append(planted))
    if planted["written"]:
        write(server, {planted["key"]: planted["written"]})
        before = state(server)
        server.log.clear()
    for force in ((), ("--force", "port-25,changed")):
        ran = run("clear", "--snapshot", path, *force, *reach(server), status=1)
        assert "refused (port-25)" in ran.err and "--force does not apply" in ran.err
        assert writes(server) == 0 and state(server) == before


FOREIGN = [
    key("authentication.fallback-admin.secret", None, "planted", "checks"),
    key("authentication.master.user", None, "planted", "checks"),
    key("queue.route.smarthost.auth.secret", None, "planted", "outbound"),
    key("http.url", None, "'http://evil.example.org'", "url"),
    key("queue.route.mx.address", None, "evil.example.org", "outbound"),
]


@pytest.mark.parametrize("planted", FOREIGN, ids=[row["key"] for row in FOREIGN])
@pytest.mark.parametrize("command", ["stage", "status", "clear"])
def test_key_that_is_never_written(run, staged, command, planted):
    server, path = staged
    before = state(server)
    plant(path, lambda keys: keys.__setitem__(slice(None), [row for row in keys if row["key"] != planted["key"]] + [planted]))
    ran = run(command, *(CHANGE if command == "stage" else ()), "--snapshot", path, *reach(server), status=1)
    assert planted["key"] in ran.err and "never writes" in ran.err and "planted" not in ran.said.replace(str(path), "")
    assert writes(server) == 0 and state(server) == before
