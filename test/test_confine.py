"""Confinement: what an attacker inside the process could no longer do, and what -v says where the kernel lacks it.

As a command: test_confine.py WHAT[,WHAT] COMMAND... runs a command as on a kernel without landlock, privileges.
"""

import ctypes
import os
import platform
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

import oldapi
import process
from conftest import CHANGE, PASSWORD, ROOT, RUNNER, TIMEOUT, forms, reach, static, write
from oldserver import Fault
from test_config import PLAIN
from test_secrets import NOBODY, TOTP, as_nobody, native, needs_root, public  # noqa: F401

PROBE = os.environ.get("CONFINE_PROBE", str(ROOT / "build" / "test" / "confine-probe"))

# <asm/unistd.h>; Landlock's is the same everywhere
CREATE_RULESET = 444
PRCTL = {"x86_64": 157, "aarch64": 167, "riscv64": 167}.get(platform.machine())
SECCOMP_MODE, NO_NEW_PRIVS = 22, 38


def abi():
    """Landlock's version here; 0 is none."""
    return max(process.LIBC.syscall(CREATE_RULESET, None, 0, 1), 0)


ABI = abi()
FILTERS = process.status("self").get("Seccomp") is not None


# What else a filter may answer: (system call on x86_64, errno)
CALLS = {"no-flock": (73, 38), "flock-denied": (73, 1), "send-denied": (44, 1)}

# A kernel that lacks it

def install_filter(lacking):
    """A seccomp filter that answers as an old kernel does: ENOSYS for Landlock, EINVAL for PR_SET_NO_NEW_PRIVS; or one
    that kills who asks for Landlock, as systemd's SystemCallFilter=@system-service does."""
    allow, kill, steps = 0x7fff0000, 0x80000000, []

    def step(code, k, yes=0, no=0):
        steps.append(struct.pack("HBBI", code, yes, no, k))

    def answer(number):
        step(0x06, 0x00050000 | number)
    step(0x20, 0)
    if "landlock" in lacking:
        step(0x15, CREATE_RULESET, 0, 1)
        answer(38)
    for name in CALLS.keys() & set(lacking):
        step(0x15, CALLS[name][0], 0, 1)
        answer(CALLS[name][1])
    if "mercy" in lacking:
        step(0x35, CREATE_RULESET, 0, 2)
        step(0x35, CREATE_RULESET + 3, 1)
        step(0x06, kill)
    step(0x15, PRCTL, 1)
    step(0x06, allow)
    step(0x20, 16)
    if "privileges" in lacking:
        step(0x15, NO_NEW_PRIVS, 0, 1)
        answer(22)
    step(0x06, allow)
    text = ctypes.create_string_buffer(b"".join(steps))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(text))
    if os.geteuid() != 0:
        process.LIBC.prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
    if process.LIBC.prctl(SECCOMP_MODE, 2, program, 0, 0) == -1:
        raise OSError(ctypes.get_errno(), "no filter")


def lacking(*what):
    """As `wrap` of a run."""
    return (sys.executable, os.path.abspath(__file__), ",".join(what))


def yes(there):
    return "yes" if there else "no"


def said(landlock=ABI, privileges=True):
    return f"Confined by the kernel: no_new_privs {yes(privileges)}, Landlock {yes(landlock)}."


# What is gone: the same code as in the program, in a program that tries

@pytest.fixture
def probe(tmp_path):
    """Tries an action; gives "done", "errno N" or, where it ended otherwise, how; and what the kernel had."""
    if RUNNER:
        pytest.skip("under a runner there is no confinement")
    if not os.path.exists(PROBE):
        pytest.skip(f"{PROBE} is not built (make helpers)")
    folder = tmp_path / "kept"
    folder.mkdir()

    def attempt(action, argument="", confined="CONFINED", port=9, wrap=(), **options):
        command = [*wrap, PROBE, confined or "FREE", str(folder), str(port), action, str(argument)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT, **options)
        *first, last = done.stdout.splitlines() or [""]
        force = dict(pair.split("=") for pair in (last if "=" in last else " ".join(first)).split())
        result = "" if "=" in last else last
        return process.ended_by(done.returncode) if done.returncode else result, force
    attempt.folder = folder
    return attempt


def want(force, *what):
    for name in what:
        if force.get(name) != "1":
            pytest.skip(f"this kernel has no {name}")


DENIED = [  # (action, argument)
    ("read", "/etc/passwd"), ("read", "other"), ("read", "/proc/self/maps"), ("read", "/proc/self/environ"), ("write", "other"),
    ("write", "/dev/null"), ("list", "/"), ("list", "."), ("create", "new"), ("create", "folder/new"), ("remove", "other"),
    ("make-folder", "new"), ("truncate", "other"), ("move-in", "other"), ("terminal", ""),
]


@pytest.mark.parametrize("action,argument", DENIED)
def test_other_files_are_denied(probe, tmp_path, action, argument):
    """All but the snapshot's folder; a rename into it from another folder is EXDEV."""
    if action == "truncate" and ABI < 3:
        pytest.skip("Landlock guards truncate() from ABI 3 on")
    if action == "terminal":
        screen = process.Terminal()
        more = {"preexec_fn": screen.control, "start_new_session": True, "pass_fds": (screen.slave,)}
    else:
        screen, more = None, {}
    (tmp_path / "other").write_text("x")
    (tmp_path / "folder").mkdir()
    result, force = probe(action, argument, **more)
    want(force, "landlock")
    assert result in ("errno 13", "errno 18" if action == "move-in" else "")
    assert (tmp_path / "other").read_text() == "x" and not (tmp_path / "new").exists()
    assert probe(action, argument, confined=False, **more)[0] == "done", "the attempt fails anyway"
    if screen:
        screen.close()


def test_folder_made_inside_is_denied(probe):
    """Of the snapshot's folder only files are needed."""
    result, force = probe("make-folder", probe.folder / "new")
    want(force, "landlock")
    assert result == "errno 13" and list(probe.folder.iterdir()) == []


def test_snapshot_is_still_written(probe):
    result, force = probe("snapshot")
    want(force, "landlock")
    assert result == "done" and list(probe.folder.iterdir()) == []


@pytest.mark.parametrize("action", ["snapshot", "create", "write", "remove"])
def test_folder_that_is_only_read(probe, action):
    """By a run that writes nothing: it finds the snapshots there, and changes none."""
    kept = probe.folder / "kept"
    kept.write_text("x")
    target = probe.folder / "new" if action == "create" else kept
    result, force = probe(action, target, confined="LOOKING")
    want(force, "landlock")
    assert result == "errno 13" and list(probe.folder.iterdir()) == [kept] and kept.read_text() == "x"
    for look, path in (("read", kept), ("list", probe.folder)):
        assert probe(look, path, confined="LOOKING")[0] == "done"
    assert probe(action, target)[0] == "done"


@pytest.mark.parametrize("action,argument,version,number", [("exec", "/bin/true", 1, 13), ("bind", "", 4, 13), ("signal", "", 6, 1)])
def test_other_actions_are_denied(probe, action, argument, version, number):
    """No program can be run, no TCP port be bound, no other process be signalled."""
    assert probe(action, argument, confined=False)[0] in ("", "done"), "the attempt fails anyway"
    if ABI < version:
        pytest.skip(f"Landlock guards this from ABI {version} on")
    assert probe(action, argument)[0] == f"errno {number}"


def test_terminal_is_kept_for_a_question(probe):
    screen = process.Terminal()
    assert probe("terminal", "kept", preexec_fn=screen.control, start_new_session=True, pass_fds=(screen.slave,))[0] == "done"
    screen.close()


def test_ports(probe):
    """The servers' own alone."""
    with socket.create_server(("127.0.0.1", 0)) as kept, socket.create_server(("127.0.0.1", 0)) as other:
        kept_port, other_port = (one.getsockname()[1] for one in (kept, other))
        assert probe("connect", kept_port, port=kept_port)[0] == "done"
        assert probe("connect", other_port, port=kept_port, confined=False)[0] == "done"
        if ABI < 4:
            pytest.skip("Landlock guards ports from ABI 4 on")
        assert probe("connect", other_port, port=kept_port)[0] == "errno 13"


def test_names_only(probe):
    """The child that asks a name server: what it reads for that, and nothing else."""
    for path, there in (("/etc/resolv.conf", "done"), ("/etc/hosts", "done"), ("/etc/passwd", "errno 13")):
        if os.path.exists(path):
            result, force = probe("read", path, confined="NAMES")
            want(force, "landlock")
            assert result == there
    assert probe("create", probe.folder / "new", confined="NAMES")[0] == "errno 13"


def test_as_anybody(public):
    """It takes no privilege to give up something."""
    if os.geteuid() != 0 or RUNNER or not os.path.exists(PROBE):
        pytest.skip("root, and the helper, are needed")
    shutil.copy(PROBE, public / "probe")
    with as_nobody(public, str(public / "probe"), "CONFINED", str(public), "9", "read", "/etc/passwd") as started:
        text = started.communicate(timeout=TIMEOUT)[0].decode()
    assert text.splitlines()[0] == f"no_new_privs=1 landlock={int(ABI > 0)}"
    assert text.splitlines()[1] == ("errno 13" if ABI else "done")


# Older kernels

RIGHTS = {0: None, 1: (0x1fff, 0, 0), 2: (0x3fff, 0, 0), 3: (0x7fff, 0, 0), 4: (0x7fff, 3, 0), 5: (0xffff, 3, 0),
          6: (0xffff, 3, 3), 7: (0xffff, 3, 3), 99: (0xffff, 3, 3)}


@native
@needs_root
@pytest.mark.skipif(platform.machine() != "x86_64", reason="registers are known for x86_64 only")
@pytest.mark.parametrize("version", RIGHTS)
def test_rights_of_each_version(probe, version):
    """What is asked for is what <linux/landlock.h> had at that version: a kernel refuses what it does not know."""
    rdx, rax, rdi, orig_rax = 12, 10, 14, 15
    asked = []

    def leave(register, set_register):
        if register(orig_rax) != CREATE_RULESET:
            return
        if register(rdx) == 1:
            set_register(rax, version or -38 & (1 << 64) - 1)
        else:
            asked.append(struct.unpack("QQQ", process.read_memory(started.pid, register(rdi), 24)))
    started = subprocess.Popen([PROBE, "CONFINED", str(probe.folder), "9", "snapshot"], preexec_fn=process.trace_me,
                               stdout=subprocess.PIPE)
    process.calls(started, leave)
    text = started.stdout.read().decode()
    started.stdout.close()
    assert asked == [RIGHTS[version]] * (version > 0)
    if version <= ABI:
        assert f"landlock={int(version > 0)}" in text and text.endswith("done\n")


@static
@native
@pytest.mark.skipif(platform.machine() != "x86_64", reason="registers are known for x86_64 only")
@pytest.mark.parametrize("confined", [True, False], ids=["confined", "not confined"])
@pytest.mark.parametrize("device", [True, False], ids=["from /dev/urandom", "no device either"])
def test_kernel_without_getrandom(run, simulate, ca, device, confined):
    """Before Linux 3.17, so without Landlock too, or where a filter denies it: the device serves as well, and without it
    no connection is made."""
    rax, orig_rax, open_call, getrandom = 10, 15, 2, 318
    server = simulate()
    seen = []

    def leave(register, set_register):
        number = register(orig_rax)
        refused = {CREATE_RULESET: 0 if confined else 38, getrandom: 38, open_call: 2 if getrandom in seen and not device else 0}.get(number)
        if refused:
            set_register(rax, -refused & (1 << 64) - 1)
        seen.append(number)
    started = run.start("stage", *reach(server, ca), *CHANGE, preexec_fn=process.trace_me)
    process.calls(started, leave)
    ran = run.finish(started, status=0 if device else 1)
    assert open_call in seen[seen.index(getrandom):]
    if not device:
        assert "random numbers" in ran.err and "Nothing was written" in ran.err and not server.requests


LACKING = [("landlock",), ("privileges",), ("landlock", "privileges"), ("mercy",)]
needs_filter = pytest.mark.skipif(not FILTERS or PRCTL is None, reason="no filter that could hide a kernel's abilities")


@native
@needs_root
@needs_filter
@pytest.mark.parametrize("what", LACKING, ids="+".join)
def test_goes_on_without(run, server, what):
    """An old rescue kernel: all is done, and -v says what is not in force."""
    text = said(landlock=ABI and not {"landlock", "mercy"} & set(what), privileges="privileges" not in what)
    for args in (("stage", *CHANGE), ("status",), ("clear",)):
        ran = run(*args, *reach(server), "-v", wrap=lacking(*what), status=0)
        assert text in ran.err


@native
@needs_root
@needs_filter
def test_probe_without(probe):
    """The launcher hides what it says: the attempt works again."""
    assert probe("read", "/etc/passwd", wrap=lacking("landlock"))[0] == "done"


# The program itself

def test_verbose_says_what_is_in_force(run, server):
    wanted = said() if not RUNNER else "Confined by the kernel: no_new_privs "
    for args, status in ((("status",), 7), (("stage", *CHANGE, "--dry-run"), 0), (("reload", "--dry-run"), 0)):
        assert wanted in run(*args, *reach(server), "-v", status=status).err
        assert "Confined" not in run(*args, *reach(server), status=status).said
    messages = run("status", *reach(server), "-v", "--json", status=7).json["messages"]
    assert [message["level"] for message in messages if wanted in message["text"]] == ["note"]


def test_runs_on_a_file(run, tmp_path):
    """Its text may be anybody's, and no port is needed."""
    path = tmp_path / "config.toml"
    path.write_text(PLAIN)
    for args, status in ((("stage", *CHANGE, "--dialect", "0.15", "-n"), 0), (("stage", *CHANGE, "--dialect", "0.15"), 0),
                         (("status",), 0), (("clear",), 0)):
        assert (said() if not RUNNER else "Confined by") in run(*args, "--config", path, "-v", status=status).err


@native
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_confined_before_the_peer_speaks(run, simulate, ca, tls):
    """The server has accepted and has not said a byte."""
    server = simulate()
    server.on_connect = "hang"
    started = run.start("stage", *reach(server, ca if tls else None), *CHANGE)
    for _ in range(TIMEOUT * 20):
        if server.connections:
            break
        time.sleep(0.05)
    seen = process.status(started.pid)
    started.send_signal(signal.SIGTERM)
    run.finish(started, status=128 + signal.SIGTERM)
    assert seen["NoNewPrivs"] == "1"


PLACES = [  # (options, where the snapshot is)
    ((), "."), (("--snapshot-dir", "sub"), "sub"), (("--snapshot-dir", "sub/"), "sub"), (("--snapshot-dir", "@/sub"), "sub"),
    (("--snapshot", "s.snapshot.json"), "."), (("--snapshot", "sub/s.snapshot.json"), "sub"),
    (("--snapshot", "@/sub/s.snapshot.json"), "sub"),
    (("--snapshot", "./sub/../sub/s.snapshot.json"), "sub"),
]


@pytest.mark.parametrize("options,where", PLACES)
def test_snapshot_anywhere(run, server, options, where):
    (run.folder / "sub").mkdir()
    options = [option.replace("@", str(run.folder)) for option in options]
    for args in (("stage", *CHANGE), ("stage", "--proxy", "203.0.113.99", *CHANGE[2:]), ("clear",)):
        run(*args, *reach(server), *options, status=0)
    name, = [path.name for path in (run.folder / where).iterdir() if path.is_file()]
    assert name.endswith(".snapshot.json.cleared")


def test_nodes_on_several_ports(run, simulate):
    """Each of them is reached after the confinement."""
    first = simulate()
    second = simulate(database=first.shared_database)
    for node in (first, second):
        write(node, {"cluster.coordinator": "redis"})
    run("status", *reach(first), *reach(second), status=7)


def test_connection_made_anew(run, simulate):
    server = simulate()
    server.faults.append(Fault(number=3, headers=(("Connection", "close"),)))
    run("stage", *reach(server), *CHANGE, status=0)


@pytest.mark.parametrize("source", ["file", "terminal"])
def test_second_factor(run, simulate, source):
    """It is asked for when the process is confined already."""
    server = simulate()
    server.add_account("guarded", PASSWORD, totp=TOTP)
    run.secrets |= forms("guarded", PASSWORD)
    code = oldapi.totp_code(TOTP)
    if source == "file":
        run("status", *reach(server), "--user", "guarded", "--totp-file", run.secret_file(code), status=7)
        return
    screen = process.Terminal()
    started = run.start("status", *reach(server), "--user", "guarded", preexec_fn=screen.control)
    screen.wait_for(b"code", TIMEOUT)
    screen.type(code.encode() + b"\n")
    run.finish(started, status=7)
    screen.close()


@needs_root
def test_files_by_descriptor(public, simulate):
    """<(command) of a shell: /dev/fd leads through /proc/self, which is root's once the process is not dumpable."""
    if RUNNER:
        pytest.skip("the runner has a /proc of its own")
    server = simulate()
    command = '"$0" status --url "$1" --password-file <(echo "$SECRET")'
    done = subprocess.run(["bash", "-c", command, str(public / "stalprep"), server.http_url], cwd=public, **NOBODY,
                          env={"SECRET": PASSWORD, "PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 7, done.stdout + done.stderr


def test_print_needs_none(run):
    """It reads no peer, so it can be piped and wrapped as one likes."""
    assert run("print", *CHANGE, "--format", "text", status=0).out


if __name__ == "__main__":
    install_filter(sys.argv[1].split(","))
    os.execvp(sys.argv[2], sys.argv[2:])
