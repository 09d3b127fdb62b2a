"""Each system call of a run fails once with each error that fits it, and each allocation once. Nothing is lost, the exit
status and the words fit what stands, and a second run finishes. A normal run of the tests takes some of the cases.
"""

import re

import pytest

import test_survive
from conftest import CHANGE, ROOT, RUNNER, THOROUGH, named, sample, sent, static
from test_config import PLAIN, bench  # noqa: F401
from test_surroundings import HOME, names  # noqa: F401
from test_survive import CLEAR, STAGE, calls, inject, new_scene  # noqa: F401

FAILING = ROOT / "build" / "test" / "fail-malloc"
STATUS = ("status", *STAGE[1:])
STAGE_FILE, STATUS_FILE = ("stage", *CHANGE, "--dialect", "0.15"), ("status", *CHANGE, "--dialect", "0.15")

# The errors that a call may give though all is as it was

DISK = ("EIO", "ENOSPC", "EDQUOT")
OPEN = ("EIO", "EACCES", "EMFILE", "ENFILE", "ENOMEM", "EINTR", "EROFS", "EPERM")
STAT = ("EIO", "EACCES", "ENOMEM")
SET = ("EIO", "EPERM", "EROFS")
MOVE = (*DISK, "EACCES", "EPERM", "EROFS", "EBUSY")
LANDLOCK = ("ENOSYS", "EOPNOTSUPP", "EPERM", "ENOMEM", "EMFILE")
ERRORS = {
    "open": OPEN, "openat": OPEN, "access": STAT, "stat": STAT, "lstat": STAT, "newfstatat": STAT, "fstat": STAT, "statfs": STAT,
    "fstatfs": STAT, "readlink": STAT, "readlinkat": STAT, "getdents64": STAT, "getcwd": ("ENOENT", "ENOMEM"),
    "read": ("EIO", "EINTR", "ENOMEM"), "write": (*DISK, "EINTR", "EFBIG"), "fsync": DISK, "close": (*DISK, "EINTR"),
    "renameat": MOVE, "unlinkat": MOVE, "mkdir": MOVE, "fchmod": SET, "fchown": SET, "flistxattr": ("EIO", "EOPNOTSUPP"),
    "flock": ("EAGAIN", "ENOLCK", "ENOSYS", "EPERM"), "fcntl": ("EINVAL", "ENOMEM"), "ioctl": ("ENOTTY", "EIO"),
    "socket": ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EACCES"),
    "connect": ("ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "ETIMEDOUT", "EACCES"),
    "setsockopt": ("ENOPROTOOPT", "EINVAL"), "getsockopt": ("ENOBUFS",), "getsockname": ("ENOBUFS",),
    "poll": ("EINTR", "ENOMEM"), "ppoll": ("EINTR", "ENOMEM"),
    "sendto": ("EPIPE", "ECONNRESET", "EINTR", "ENOBUFS", "EPERM"),
    "recvfrom": ("ECONNRESET", "ETIMEDOUT", "EINTR", "ENOMEM"), "bind": ("EADDRINUSE", "EACCES"),
    "recvmsg": ("ECONNREFUSED", "EINTR", "ENOMEM"),
    "pipe2": ("EMFILE", "ENFILE"), "fork": ("EAGAIN", "ENOMEM"), "wait4": ("EINTR", "ECHILD"), "kill": ("EPERM",),
    "brk": ("ENOMEM",), "mmap": ("ENOMEM",), "getrandom": ("ENOSYS", "EINTR"),
    "landlock_create_ruleset": LANDLOCK, "landlock_add_rule": LANDLOCK, "landlock_restrict_self": LANDLOCK,
    "prctl": ("EINVAL", "EPERM"), "prlimit64": ("EPERM",), "setitimer": ("EINVAL",), "seccomp": ("EINVAL", "ENOSYS"),
    "name_to_handle_at": ("EOPNOTSUPP", "EPERM"),
}
NEVER = {"arch_prctl", "clock_gettime", "execve", "exit_group", "geteuid", "getpid", "munmap", "rt_sigaction", "rt_sigprocmask",
         "rt_sigreturn", "set_tid_address"}
AGAIN = ("read", "write", "poll", "ppoll", "sendto", "recvfrom")  # after a signal: done again
ALONE = "unshare", "--pid", "--fork", "--mount-proc"  # no other processes, through whose files a run would look
PARTS = 2   # for as many processors
EVERY = 41  # case, in a normal run


class File:
    """The config.toml of a stopped server, and the snapshot beside it; as test_survive.Scene."""

    def __init__(self, bench):  # noqa: F811
        self.bench, self.run, self.seen = bench, bench.run, []
        self.before, self.first = self.state(), self.moment()

    def __call__(self, command, *wrap, status=None, **_):
        return self.bench(*command, status=status, wrap=[*ALONE, *wrap])

    def state(self):
        return self.bench.text

    def moment(self):
        return self.bench.files()

    def go_to(self, moment):
        self.bench.put(moment["config.toml"])
        for name, data in moment.items():
            (self.bench.folder / name).write_bytes(data)

    def is_new(self):
        plain = {re.sub(r"\w{6}$", "XXXXXX", name): re.sub(rb'"(created|checksum)": ?"[^"]*"', b"", data)
                 for name, data in self.moment().items()}
        new = plain not in self.seen
        self.seen.append(plain)
        return new

    def check_left(self, *_ends):
        assert self.state() == self.before or list(self.bench.folder.glob("*.snapshot.json"))

    def check_finishes(self, stage, staged):
        if not self.is_new():
            return
        left = self.moment()
        self(stage, status=0)
        assert self.state() == staged
        self(CLEAR[:1], status=0)
        assert self.state() == self.before
        self.go_to(left)
        self(CLEAR[:1], status=0)
        assert self.state() == self.before


def wrote(scene, before):
    return scene.state() != before if isinstance(scene, File) else any(map(sent, scene.servers))


def check_told(scene, command, ran, before, after):
    """The exit status and the words fit what stands; of a write that can't be sent nobody knows how much went out."""
    now = scene.state()
    if command[0] == "status":
        assert now == before and ran.status in (0, 1, 3), ran.said
    elif wrote(scene, before):
        assert ran.status in (0, 5), ran.said
    elif ran.status == 5:
        assert "not known" in ran.err, ran.said
    else:
        assert ran.status in (1, 3) and now == before, ran.said
        assert "Nothing was" in ran.err or "out of memory" in ran.err, ran.said
    assert ran.status or now == after, ran.said


COMMANDS = {"stage": (STAGE, STAGE), "clear": (STAGE, CLEAR), "status": (STAGE, STATUS)}
COMMANDS_CLUSTER = {f"{name} a cluster": commands for name, commands in COMMANDS.items()}
COMMANDS_FILE = {"stage --config": (STAGE_FILE, STAGE_FILE), "clear --config": (STAGE_FILE, CLEAR[:1]),
                 "status --config": (STAGE_FILE, STATUS_FILE)}


class Trial:
    """A command that is to fail in many ways, each time from the same beginning."""

    def __init__(self, scene, stage, command):
        self.scene, self.stage, self.command = scene, stage, command
        start = scene.moment()
        scene(stage, status=0)
        self.staged = scene.state()
        if command != stage:
            start = scene.moment()
        scene.go_to(start)
        self.start, self.begun = start, scene.state()
        self.after = {"stage": self.staged, "clear": scene.before, "status": self.staged}[command[0]]

    def __call__(self, case, *wrap, **options):
        self.scene.go_to(self.start)
        ran = self.scene(self.command, *wrap, **options)
        try:
            check_told(self.scene, self.command, ran, self.begun, self.after)
            self.scene.check_left(self.staged)
            self.scene.check_finishes(self.stage, self.staged)
        except AssertionError as fault:
            raise AssertionError(f"{case}: status {ran.status}, {ran.said}") from fault
        return ran


@pytest.fixture(params=[*COMMANDS, *COMMANDS_CLUSTER, *COMMANDS_FILE])
def trial(request, new_scene, bench):  # noqa: F811
    if request.param in COMMANDS:
        return Trial(new_scene(), *COMMANDS[request.param])
    if request.param in COMMANDS_CLUSTER:
        return Trial(new_scene(nodes=2), *COMMANDS_CLUSTER[request.param])
    if not test_survive.succeeds(*ALONE, "true"):
        pytest.skip("no process can be alone here")
    bench.put(PLAIN)
    return Trial(File(bench), *COMMANDS_FILE[request.param])


def failures(made):
    """(name, number, error) of each way in which one of these calls can fail."""
    unknown = {name for name, _ in made} - ERRORS.keys() - NEVER
    assert not unknown or not THOROUGH, f"no errors are known for {unknown}"
    return [(*call, error) for call in made for error in ERRORS.get(call[0], ())]


@static
@pytest.mark.skipif(bool(RUNNER) or not test_survive.can_trace(), reason="there is no strace, or it may not trace")
@pytest.mark.parametrize("part", range(PARTS))
def test_failing_calls(trial, part):
    cases = failures(calls(trial.scene, trial.command))
    assert len(cases) > 100
    for name, number, error in sample(cases, EVERY, *trial.command)[part::PARTS]:
        ran = trial((name, number, error), *inject(name, number, f"error={error}"))
        assert ran.status == 0 or error != "EINTR" or name not in AGAIN, (name, number, ran.said)


@static
@pytest.mark.skipif(bool(RUNNER) or not test_survive.can_trace(), reason="there is no strace, or it may not trace")
def test_failing_look_up(new_scene, ca, names):  # noqa: F811
    """The calls of the child processes that ask a name server; the run itself makes some of them too."""
    scene = new_scene()
    scene.urls, scene.more = [named(scene.servers[0].https_url)[0]], ("--cacert", ca.file)
    scene.wrap = names({1: HOME, 28: 3})[1]
    trial = Trial(scene, STAGE, STAGE)
    made = calls(scene, STAGE, children=True)
    assert {"socket", "sendto", "recvmsg", "exit_group"} <= {name for name, _ in made}
    for name, number, error in sample(failures(made), EVERY // 2, "look-up"):
        if name != "write":  # what the run itself says of it would be lost as well
            trial((name, number, error), *inject(name, number, f"error={error}"))


@pytest.mark.skipif(bool(RUNNER) or not FAILING.exists(), reason=f"{FAILING} is not built")
@pytest.mark.parametrize("part", range(PARTS))
def test_failing_allocations(trial, part):
    count = int(trial.scene(trial.command, FAILING, "0").err.splitlines()[-1])
    assert count > 10
    for number in sample(range(1, count + 1), EVERY, "memory", *trial.command)[part::PARTS]:
        trial(f"allocation {number}", FAILING, str(number))
