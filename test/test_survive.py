"""Nothing lost: a run that is killed at each of its system calls, or whose calls fail, loses nothing, and a second run finishes.

strace counts the calls of each name for itself, so a first traced run lists the pairs (name, how often). What a run
leaves, at the server and in the folder, is seen by the next run alone: each state that is new is tried, and only once.
"""

import json
import re
import shutil
import signal
import subprocess

import pytest

from conftest import (CHANGE, HTTP, HTTPS, NAME, RUNNER, SMTP, TIMEOUT, config, listener, named, reach, sent, state, write)
from test_stage import dialect_options

NETWORKS = "server.listener.imap.proxy.trusted-networks"
STANDING = {"auth.dkim.verify": "strict", "http.url": "'https://old.example.org'", "queue.strategy.route": "'mx'"}
STAGE = ("stage", *CHANGE, "--relay", "new.internal.example.org", *dialect_options("0.15.5"))
OTHER = ("stage", "--proxy", "192.0.2.7", "--public-url", "https://other.example.org", *STAGE[-4:])
FEWER = ("stage", *CHANGE, "--only", "listeners", "--listener", "imap")
CLEAR = ("clear", *CHANGE)


def can_trace():
    strace = shutil.which("strace")
    tried = strace and subprocess.run([strace, "-f", "-o", "/dev/null", "true"], capture_output=True, timeout=60, check=False)
    return bool(tried) and tried.returncode == 0


pytestmark = [pytest.mark.skipif(bool(RUNNER), reason="the runner's calls would be counted"),
              pytest.mark.skipif(not can_trace(), reason="there is no strace, or it may not trace")]


class Scene:
    """A server where something stood before, the folder of the runs, and the way back to any moment of the two."""

    def __init__(self, run, server):
        self.run, self.server, self.way = run, server, reach(server)
        write(server, STANDING)
        self.seen = []
        self.before = state(server)

    def __call__(self, command, *wrap, status=None, ails=None):
        self.server.log.clear()
        self.server.refuse_writes = ails
        ran = self.run(*command, *self.way, wrap=wrap, status=status)
        for thread in self.server.threads[1:]:  # what was sent is done, also when nobody waits for the answer
            thread.join(TIMEOUT)
        self.server.refuse_writes = None
        return ran

    def files(self):
        return {path.name: path.read_bytes() for path in self.run.folder.iterdir()}

    def moment(self):
        server = self.server
        return dict(server.store.local), server.database(), server.config_text(), self.files()

    def go_to(self, moment):
        local, database, text, files = moment
        server = self.server
        server.store.local = dict(local)
        server.shared_database.clear()
        server.shared_database.update(database)
        with open(server.config_path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        for path in self.run.folder.iterdir():
            path.unlink()
        for name, data in files.items():
            (self.run.folder / name).write_bytes(data)

    def is_new(self):
        """Has no run left this yet? The time in a snapshot, and random names, make no difference."""
        *held, files = self.moment()
        plain = {re.sub(r"json\.\w{6}$", "json.XXXXXX", name): re.sub(rb'"(created|checksum)": "[^"]*"', b"", data)
                 for name, data in files.items()}
        new = (held, plain) not in self.seen
        if new:
            self.seen.append((held, plain))
        return new

    def snapshot(self):
        """Parsed, or None where there is none under its own name."""
        found = list(self.run.folder.glob("*.snapshot.json"))
        return json.loads(found[0].read_text()) if found else None

    # What must hold

    def check_left(self, staged):
        """After a run that did not end well: what is written is in a snapshot, and the snapshot does not say too much."""
        snapshot = self.snapshot()
        assert snapshot or state(self.server) == self.before
        assert not snapshot or snapshot["state"] != "proved" or state(self.server) in staged

    def check_finishes(self, stage, staged):
        """A second stage finishes, and clear after it restores; or clear does at once."""
        if not self.is_new():
            return
        left = self.moment()
        self(stage, status=0)
        assert state(self.server) == staged and self.snapshot()["state"] == "proved"
        self(CLEAR, status=0)
        assert state(self.server) == self.before
        self.go_to(left)
        if self.snapshot():
            self(CLEAR, status=0)
        assert state(self.server) == self.before


@pytest.fixture
def scene(run, simulate):
    imap = listener("imap", 143, "imap", **{"proxy.trusted-networks": "198.51.100.0/24"})
    return Scene(run, simulate(config=config(SMTP, HTTP, HTTPS, imap)))


def calls(scene, command, ails=None):
    """(name, number) of each system call that the command makes."""
    trace = scene.run.vault / "trace"
    scene(command, "strace", "-f", "-o", trace, ails=ails)
    counts = {}
    for pid, name in re.findall(r"^(\d+) +(\w+)\(", trace.read_text(), re.M):
        counts[pid, name] = counts.get((pid, name), 0) + 1
    pairs = {(name, number + 1) for (_, name), count in counts.items() for number in range(count)}
    return sorted(pairs)


def inject(name, number, what):
    """An error is given to a harmless call in its place: the filter would end the process at strace's own, which is none."""
    what += ":syscall=getpid" if what.startswith("error") else ""
    return "strace", "-f", "-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:{what}:when={number}"


# Killed

SCENES = {  # (what was done before, the run that is killed, what ails the server meanwhile)
    "stage": ((), STAGE, None),
    "clear": ((STAGE,), CLEAR, None),
    "stage another": ((STAGE,), OTHER, None),
    "stage fewer": ((STAGE,), FEWER, None),
    "stage on a full disk": ((), STAGE, "full"),
    "stage another on a full disk": ((STAGE,), OTHER, "full"),
    "clear with a read-only file": ((STAGE,), CLEAR, "read-only"),
}
PARTS = 2  # for as many processors
MEMORY = {"brk", "mmap", "munmap"}  # more than half of the calls, and nobody outside sees them: they count in two scenes


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", SCENES)
def test_killed(scene, name, part):
    """kill -9 at every system call."""
    done, command, ails = SCENES[name]
    for one in done:
        scene(one, status=0)
    staged = [state(scene.server)]
    stage = STAGE if command == CLEAR else command
    start = scene.moment()
    scene(stage, status=0)
    staged.append(state(scene.server))
    scene.go_to(start)
    killed, all_calls = 0, calls(scene, command, ails)
    if name not in ("stage", "clear"):
        all_calls = [call for call in all_calls if call[0] not in MEMORY]
    for call in all_calls[part::PARTS]:
        scene.go_to(start)
        ran = scene(command, *inject(*call, "signal=KILL"), ails=ails)
        killed += ran.status == -signal.SIGKILL
        if not ails:
            scene.check_left(staged)
        scene.check_finishes(stage, staged[-1])
    assert killed >= 0.9 * len(all_calls) / PARTS  # how often it polls and reads depends on the network


KNOWN = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')  # a name that is looked up, and found


def test_killed_look_up(scene, ca):
    """Names are looked up in a child: the run ends where it dies, and the child where the run does."""
    if subprocess.run([*KNOWN, "/etc/hosts", "true"], capture_output=True, timeout=60, check=False).returncode:
        pytest.skip("no name can be made known here")
    hosts = scene.run.vault / "hosts"
    hosts.write_text(f"127.0.0.1 {NAME}\n")
    scene.way = ("--url", named(scene.server.https_url)[0], "--cacert", ca.file)
    start, known, lost = scene.moment(), (*KNOWN, hosts), 0
    for call in ("pipe2", 1), ("fork", 1), ("poll", 1), ("write", 1), ("read", 2), ("kill", 1), ("wait4", 1):
        scene.go_to(start)
        ran = scene(STAGE, *known, *inject(*call, "signal=KILL"))
        lost += ran.status == 3 and "ended without an answer" in ran.err and "Nothing was written" in ran.err
        assert ran.status in (3, -signal.SIGKILL) and state(scene.server) == scene.before
        scene(STAGE, *known, status=0)
    assert lost == 2  # the child alone: at its answer, and at its second read of /etc/hosts


# Calls that fail

FILES = ("open", "openat", "read", "write", "writev", "pwrite64", "fsync", "close", "rename", "renameat2", "unlink", "unlinkat",
         "fstat", "stat", "newfstatat", "flock", "fcntl", "getcwd")
NETWORK = ("socket", "setsockopt", "getsockopt", "connect", "poll", "ppoll", "sendto", "recvfrom")
AGAIN = ("read", "write", "poll", "ppoll", "sendto", "recvfrom")  # done again when a signal came in between
ERRORS = {**dict.fromkeys(FILES, ("EIO", "ENOSPC", "EINTR")), **dict.fromkeys(NETWORK, ("EIO", "EINTR")),
          "brk": ("ENOMEM",), "mmap": ("ENOMEM",)}


def check_told(scene, ran, call, before, after):
    """The exit status and the words fit what happened; of a write whose sending fails nobody knows how much went out."""
    if sent(scene.server):
        assert ran.status in (0, 5), ran.said
    elif call == "sendto" and ran.status == 5:
        assert "not known" in ran.err
    else:
        assert ran.status in (1, 3) and state(scene.server) == before, ran.said
        assert "Nothing was" in ran.err or "no memory" in ran.err, ran.said
    assert ran.status or state(scene.server) == after


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("command", [STAGE, CLEAR], ids=["stage", "clear"])
def test_failing_calls(scene, command, part):
    """Each call on a file, the network or memory fails once."""
    if command == CLEAR:
        scene(STAGE, status=0)
    start, before = scene.moment(), state(scene.server)
    scene(STAGE, status=0)
    staged = state(scene.server)
    after = staged if command == STAGE else scene.before
    scene.go_to(start)
    cases = [(*call, error) for call in calls(scene, command) for error in ERRORS.get(call[0], ())]
    assert len(cases) > 100
    for name, number, error in cases[part::PARTS]:
        scene.go_to(start)
        ran = scene(command, *inject(name, number, f"error={error}"))
        check_told(scene, ran, name, before, after)
        assert ran.status == 0 or error != "EINTR" or name not in AGAIN, ran.said
        scene.check_left([staged])
        scene.check_finishes(STAGE, staged)
