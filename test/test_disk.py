"""A snapshot that can't be kept: full and read-only disks, folders that vanish. Nothing is sent before it is kept."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import CHANGE, NEWEST, RUNNER, difference, guide, reach, state, write, writes
from test_secrets import NOBODY, public  # noqa: F401
from test_stage import fail

HOLD = 'mount -t tmpfs -o "$1,mode=700" none "$0" && echo mounted && exec cat'


class Disk:
    """A small file system in a mount namespace of its own, which ends with the process that holds it."""

    def __init__(self, folder, options):
        self.folder = folder
        self.holder = subprocess.Popen(["unshare", "-m", "sh", "-c", HOLD, folder, options], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.mounted = self.holder.stdout.readline() == b"mounted\n"
        self.wrap = ("nsenter", "-t", str(self.holder.pid), "-m")
        self.inside = Path(f"/proc/{self.holder.pid}/root{folder}")

    def remount(self, options):
        subprocess.run([*self.wrap, "mount", "-o", f"remount,{options}", self.folder], check=True, timeout=60)

    def fill(self):
        with open(self.inside / "filler", "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass

    def end(self):
        self.holder.communicate(timeout=60)


@pytest.fixture
def mount(run):
    """mount(options) gives a disk, on an empty folder of the run's."""
    disks = []

    def mount(options):
        folder = run.folder / "disk"
        folder.mkdir()
        disks.append(Disk(folder, options))
        if RUNNER or not disks[0].mounted:
            pytest.skip("nothing can be mounted here")
        return disks[0]
    yield mount
    for disk in disks:
        disk.end()


def on_disk(run, disk, command, server, **options):
    return run(*command, *reach(server), "--snapshot-dir", disk.folder, wrap=disk.wrap, **options)


STAGE, CLEAR = ("stage", *CHANGE), ("clear", *CHANGE)
FULL = [  # (the disk, is it filled up, what finds no room; a snapshot takes two pages of it)
    ("size=64k,nr_inodes=1", False, "the lock"), ("size=64k,nr_inodes=2", False, "a new file"),
    ("size=4k", True, "the snapshot"), ("size=4k", False, "its second page"),
    ("size=8k", False, "the snapshot that says sending"), ("size=12k", False, "the second page of that one"),
]


@pytest.mark.parametrize("options,filled,what", FULL, ids=[case[2] for case in FULL])
def test_full_disk(run, simulate, mount, options, filled, what):
    disk, server = mount(options), simulate()
    before = state(server)
    if filled:
        disk.fill()
    ran = on_disk(run, disk, STAGE, server, status=1)
    assert "No space left" in ran.err and "Nothing was written" in ran.err and str(disk.folder) in ran.err
    assert writes(server) == 0 and state(server) == before
    assert not [name for name in os.listdir(disk.inside) if not name.endswith((".snapshot.json", "filler"))]
    disk.remount("size=1m,nr_inodes=64")
    on_disk(run, disk, STAGE, server, status=0)
    assert difference(before["settings"], server.settings()) == guide(NEWEST)
    on_disk(run, disk, CLEAR, server, status=0)
    assert state(server) == before


def test_disk_that_fills_up_after_stage(run, simulate, mount):
    """No reason not to roll back: what is restored is read back, and the snapshot says no more than it did."""
    disk, server = mount("size=16k"), simulate()
    write(server, {"auth.dkim.verify": "strict"})
    before = state(server)
    on_disk(run, disk, STAGE, server, status=0)
    disk.fill()
    on_disk(run, disk, ("clear",), server, status=0)
    assert state(server) == before
    on_disk(run, disk, ("clear",), server, status=0)
    assert state(server) == before


@pytest.mark.parametrize("more", [(), ("--only", "checks")], ids=["all", "a group"])
def test_read_only_disk(run, simulate, mount, more):
    """A stage refuses, and names the way on; a roll-back works, and says what it could not do."""
    disk, server = mount("size=64k"), simulate()
    write(server, {"auth.dkim.verify": "strict"})
    before = state(server)
    on_disk(run, disk, STAGE, server, status=0)
    staged = state(server)
    disk.remount("ro")
    server.log.clear()
    dry = on_disk(run, disk, (*STAGE, "-n"), server, status=0)
    assert f"The real run would be refused: the snapshot can't be kept in {disk.folder} (Read-only file system)" in dry.err
    ran = on_disk(run, disk, STAGE, server, status=1)
    assert "Read-only file system" in ran.err and "Nothing was written" in ran.err
    assert ".snapshot.json was found. Copy it" in ran.err and "--snapshot FILE" in ran.err
    on_disk(run, disk, ("status",), server, status=0)
    on_disk(run, disk, ("clear", "--dry-run"), server, status=0)
    assert writes(server) == 0 and state(server) == staged
    ran = on_disk(run, disk, ("clear", *more), server, status=0)
    assert "could not be put away" in ran.err and "Read-only file system" in ran.err
    assert server.settings()["auth.dkim.verify"] == "strict"
    on_disk(run, disk, ("clear",), server, status=0)
    assert state(server) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another")
def test_folder_without_a_right_to_write(run, simulate, public):  # noqa: F811
    server = simulate()
    before, own = state(server), public / "own"
    own.mkdir()
    os.chown(own, 65534, 65534)
    options = {"binary": str(public / "stalprep"), "cwd": own, **NOBODY}
    own.chmod(0o555)
    ran = run(*STAGE, *reach(server), "--snapshot-dir", own, status=1, **options)
    assert "--snapshot-dir" in ran.err and "Nothing was written" in ran.err and writes(server) == 0
    own.chmod(0o755)
    for command in (STAGE, CLEAR):
        run(*command, *reach(server), "--snapshot-dir", own, status=0, **options)
    assert state(server) == before


VANISHES = [  # (when, the command, its status, is anything written by then)
    ("list", STAGE, 1, False), ("write", STAGE, 5, True), ("list", CLEAR, 1, False), ("write", CLEAR, 5, True),
]


@pytest.mark.parametrize("when,command,status,written", VANISHES, ids=[f"{case[1][0]}-{case[0]}" for case in VANISHES])
def test_folder_that_vanishes(run, simulate, when, command, status, written):
    server, folder = simulate(), run.folder / "kept"
    before = state(server)

    def go(*args, **options):
        return run(*args, *reach(server), "--snapshot-dir", "kept", **options)
    folder.mkdir()
    if command == CLEAR:
        go(*STAGE, status=0)
    stood = state(server)
    fail(server, when, before=lambda _: shutil.rmtree(folder))
    ran = go(*command, status=status)
    assert str(folder) in ran.err and ("Nothing was written" in ran.err) == (not written)
    assert (state(server) == stood) == (not written)
    folder.mkdir()
    go(*STAGE, status=0)
    assert difference(before["settings"], server.settings()) == guide(NEWEST)
    go(*CLEAR, status=0)
    assert state(server) == before
