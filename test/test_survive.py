"""A run that is killed at each of its system calls loses nothing, and a second run finishes; a normal run of the tests
takes some of the calls.

strace counts the calls of each name for itself, so a first traced run lists the pairs (name, how often). What a run
leaves, at the server and in the folder, is seen by the next run alone: each state that is new is tried, and only once.
"""

import itertools
import json
import re
import shutil
import signal
import subprocess

import pytest

from conftest import (CHANGE, HTTP, HTTPS, NAME, RUNNER, SMTP, TIMEOUT, cluster_nodes, config, difference, listener, named, sample,
                      state, static, write)
from test_stage import dialect_options

NETWORKS = "server.listener.imap.proxy.trusted-networks"
STANDING = {"auth.dkim.verify": "strict", "http.url": "'https://old.example.org'", "queue.strategy.route": "'mx'"}
STAGE = ("stage", *CHANGE, "--relay", "new.internal.example.org", *dialect_options("0.15.5"))
OTHER = ("stage", "--proxy", "192.0.2.7", "--public-url", "https://other.example.org", *STAGE[-4:])
FEWER = ("stage", *CHANGE, "--only", "listeners", "--listener", "imap")
CLEAR = ("clear", *CHANGE)


def succeeds(*command):
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def can_trace():
    strace = shutil.which("strace")
    return bool(strace) and succeeds(strace, "-f", "-o", "/dev/null", "true")


pytestmark = [pytest.mark.skipif(bool(RUNNER), reason="the runner's calls would be counted"),
              pytest.mark.skipif(not can_trace(), reason="there is no strace, or it may not trace")]


class Scene:
    """Servers (nodes of a cluster) where something stood, the folder of the runs, and the way back to any moment."""

    def __init__(self, run, *servers):
        self.run, self.servers = run, servers
        self.urls, self.wrap, self.more = [server.http_url for server in servers], (), ()
        write(servers[0], STANDING)
        self.seen, self.old = [], set()
        self.before, self.first = self.state(), self.moment()

    def __call__(self, command, *wrap, status=None, ails=None):
        for server in self.servers:
            server.log.clear()
            server.refuse_writes = ails
        # --boot-config, so that no run looks through /proc: as many processes, as many calls
        way = [("--url", url, "--boot-config", server.config_path) for url, server in zip(self.urls, self.servers)]
        ran = self.run(*command, *itertools.chain(*way), *self.more, wrap=[*self.wrap, *wrap], status=status)
        for server in self.servers:
            for thread in server.threads[1:]:  # what was sent is done, also when nobody waits for the answer
                thread.join(TIMEOUT)
            server.refuse_writes = None
        return ran

    def state(self):
        return [state(server) for server in self.servers]

    def moment(self):
        files = {path.name: path.read_bytes() for path in self.run.folder.iterdir()}
        own = [(dict(server.store.local), server.config_text()) for server in self.servers]
        return own, self.servers[0].database(), files

    def go_to(self, moment):
        own, database, files = moment
        for server, (local, text) in zip(self.servers, own):
            server.store.local = dict(local)
            with open(server.config_path, "w", encoding="utf-8", newline="") as file:
                file.write(text)
        self.servers[0].shared_database.clear()
        self.servers[0].shared_database.update(database)
        for path in self.run.folder.iterdir():
            path.unlink()
        for name, data in files.items():
            (self.run.folder / name).write_bytes(data)

    def restore_backup(self):
        """The servers are as they were at first, and the snapshot of what was staged since is not to be lost."""
        files = self.moment()[2]
        self.old = set(files.values())
        self.go_to((*self.first[:2], files))

    def is_new(self):
        """Has no run left this yet? The time in a snapshot, and random names, make no difference."""
        *held, files = self.moment()
        plain = {re.sub(r"json\.\w{6}$", "json.XXXXXX", name): re.sub(rb'"(created|checksum)": ?"[^"]*"', b"", data)
                 for name, data in files.items()}
        new = (held, plain) not in self.seen
        if new:
            self.seen.append((held, plain))
        return new

    def kept(self):
        """The snapshot, parsed, or None. There is never more than one."""
        paths = list(self.run.folder.glob("*.snapshot.json"))
        assert len(paths) <= 1
        return json.loads(paths[0].read_text()) if paths else None

    def parts(self):
        """Where what is kept, by the snapshot's part for it, or None: (server's number, "file" or "database", part)."""
        kept = self.kept() or {"database": None, "nodes": []}
        nodes = {node["url"]: node for node in kept["nodes"]}
        yield 0, "database", kept["database"]
        for number, url in enumerate(self.urls):
            yield number, "file", nodes.get(url)

    # What must hold

    def check_left(self, *ends):
        """After a run that did not end well: what is written is in the snapshot with what stood before, and no part says
        too much."""
        for number, place, part in self.parts():
            now, before, *good = [one[number][place] for one in (self.state(), self.before, *ends)]
            known = {key["key"]: key["before"] for key in part["keys"]} if part else {}
            assert {key: before.get(key) for key in difference(before, now)}.items() <= known.items()
            assert not known or part["state"] != "proved" or now in good
        assert self.old <= set(self.moment()[2].values())

    def check_finishes(self, stage, staged):
        """A second stage finishes, and clear after it restores; or clear does at once."""
        if not self.is_new():
            return
        left = self.moment()
        self(stage, status=0)
        assert self.state() == staged and {part["state"] for *_, part in self.parts()} == {"proved"}
        self(CLEAR, status=0)
        assert self.state() == self.before and not self.kept()
        self.go_to(left)
        if self.kept():
            self(CLEAR, status=0)
        assert self.state() == self.before


@pytest.fixture
def new_scene(run, simulate):
    imap = listener("imap", 143, "imap", **{"proxy.trusted-networks": "198.51.100.0/24"})

    def new(nodes=1):
        tables = SMTP, HTTP, HTTPS, imap
        return Scene(run, *(cluster_nodes(simulate, *tables, count=nodes) if nodes > 1
                            else [simulate(config=config(*tables))]))
    return new


# System calls

NETWORK = ("socket", "setsockopt", "getsockopt", "connect", "poll", "ppoll", "sendto", "recvfrom")


def calls(scene, command, ails=None, children=False):
    """(name, number) of each system call that the command makes, or that its child processes make."""
    trace = scene.run.vault / "trace"
    scene(command, "strace", "-f", "-o", trace, ails=ails)
    made, counts = re.findall(r"^(\d+) +(\w+)\(", trace.read_text(), re.M), {}
    for pid, name in made:
        if name != "execve" and (pid != made[0][0] or not children):  # execve is strace's own
            counts[pid, name] = counts.get((pid, name), 0) + 1
    pairs = {(name, number + 1) for (_, name), count in counts.items() for number in range(count)}
    return sorted(pairs)


def inject(name, number, what):
    """A harmless call gives the error: the program's filter would end it at what strace puts there, which is none."""
    what += ":syscall=getpid" if what.startswith("error") else ""
    return "strace", "-f", "-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:{what}:when={number}"


# Killed

SCENES = {  # (what was done before, the run that is killed, what ails the server meanwhile, on how many nodes)
    "stage": ((), STAGE, None, 1),
    "clear": ((STAGE,), CLEAR, None, 1),
    "stage another": ((STAGE,), OTHER, None, 1),
    "stage fewer": ((STAGE,), FEWER, None, 1),
    "stage after a backup": ((STAGE, Scene.restore_backup), STAGE, None, 1),
    "stage on a full disk": ((), STAGE, "full", 1),
    "stage another on a full disk": ((STAGE,), OTHER, "full", 1),
    "clear with a read-only file": ((STAGE,), CLEAR, "read-only", 1),
    "stage a cluster": ((), STAGE, None, 2),
    "clear a cluster": ((STAGE,), CLEAR, None, 2),
}
PARTS = 2  # for as many processors
EVERY = 7  # call, in a normal run
MEMORY = {"brk", "mmap", "munmap"}  # more than half of the calls, and nobody outside sees them: in two scenes only


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", SCENES)
def test_killed(new_scene, name, part):
    """kill -9 at any system call."""
    done, command, ails, nodes = SCENES[name]
    scene = new_scene(nodes)
    for one in done:
        one(scene) if callable(one) else scene(one, status=0)
    begun, stage, start = scene.state(), STAGE if command == CLEAR else command, scene.moment()
    scene(stage, status=0)
    staged = scene.state()
    scene.go_to(start)
    killed, steady, all_calls = 0, 0, calls(scene, command, ails)
    if name not in ("stage", "clear"):
        all_calls = [call for call in all_calls if call[0] not in MEMORY]
    for call in sample(all_calls, EVERY, name)[part::PARTS]:
        scene.go_to(start)
        ran = scene(command, *inject(*call, "signal=KILL"), ails=ails)
        if call[0] not in NETWORK:  # how often it polls and reads depends on the server
            steady += 1
            killed += ran.status == -signal.SIGKILL
        if not ails:
            scene.check_left(begun, staged)
        scene.check_finishes(stage, staged)
    assert steady and killed >= 0.9 * steady


KNOWN = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')


@static
def test_killed_look_up(new_scene, ca):
    """Names are looked up in children: the run ends where they die, and they where the run does."""
    if not succeeds(*KNOWN, "/etc/hosts", "true"):
        pytest.skip("no name can be made known here")
    scene = new_scene()
    hosts = scene.run.vault / "hosts"
    hosts.write_text(f"127.0.0.1 {NAME}\n")
    scene.urls, scene.more = [named(scene.servers[0].https_url)[0]], ("--cacert", ca.file)
    scene.wrap = *KNOWN, hosts
    start, lost = scene.moment(), 0
    for call in (("pipe2", 1), ("fork", 1), ("poll", 1), ("write", 1), ("read", 1), ("kill", 1), ("wait4", 1), ("prctl", 2),
                 ("prctl", 3)):
        scene.go_to(start)
        ran = scene(STAGE, *inject(*call, "signal=KILL"))
        lost += ran.status == 3 and "ended without an answer" in ran.err and "Nothing was written" in ran.err
        assert ran.status in (3, -signal.SIGKILL) and scene.state() == scene.before
        scene(STAGE, status=0)
    assert lost == 2  # the children alone: the run itself makes such a call for the second time once it is confined
