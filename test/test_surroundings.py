"""The surroundings of a run: limits, masks, pipes, closed streams, name servers, addresses, little memory."""

import contextlib
import fcntl
import os
import platform
import resource
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

import process
from conftest import BINARY, CHANGE, NAME, PASSWORD, RUNNER, TIMEOUT, can_mount, reach, sample, static, writes
from oldserver import Fault
from test_confine import FILTERS, lacking
from test_secrets import NOBODY, native, needs_root

STAGE = ("stage", *CHANGE)


@pytest.fixture
def public():
    """A folder of nobody's, with the binary."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    shutil.copy(BINARY, folder / "stalprep")
    os.chown(folder, NOBODY["user"], NOBODY["group"])
    yield folder
    shutil.rmtree(folder)


def as_nobody(public, *args, before=None, **env):
    """Gives status, output and errors."""
    done = subprocess.run([str(public / "stalprep"), *args], **NOBODY, cwd=public, preexec_fn=before, check=False,
                          env={"STALPREP_PASSWORD": PASSWORD, **env}, capture_output=True, text=True, timeout=TIMEOUT)
    return done.returncode, done.stdout, done.stderr


# Time

def test_max_time_is_for_all_up_to_the_write(run, simulate):
    """Each answer comes in time, all together do not."""
    server = simulate()
    server.faults.append(Fault(times=-1, before=lambda _: time.sleep(0.8)))
    begun = time.monotonic()
    ran = run(*STAGE, *reach(server), "--max-time", "2", status=3)
    assert time.monotonic() - begun < 6 and "--max-time" in ran.err and "Nothing was written." in ran.err
    assert writes(server) == 0


def test_max_time_begins_anew_at_the_write(run, simulate):
    """A write is not given up because the reads took long."""
    server = simulate()
    server.faults.append(Fault(times=-1, before=lambda _: time.sleep(0.7)))
    begun = time.monotonic()
    run(*STAGE, *reach(server), "--max-time", "3", status=0)
    assert time.monotonic() - begun > 3


# Limits and masks

@native
@pytest.mark.parametrize("limit,wanted", [(100, 1), (0, 1)])
def test_file_size_limit(run, server, limit, wanted):
    """The snapshot can't be written: an error, not a death by SIGXFSZ."""
    ran = run(*STAGE, *reach(server), status=wanted,
              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert "File too large" in ran.err and "Nothing was written." in ran.err and writes(server) == 0


@native
@pytest.mark.parametrize("args", [("--help",), ("licenses",), ("print", *CHANGE)])
def test_file_size_limit_of_the_output(run, args):
    with open(run.vault / "out", "wb") as out:
        started = run.start(*args, stdout=out, password=None,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)))
        ran = run.finish(started)
    assert ran.status == 1 and ran.err


@native
@pytest.mark.parametrize("mask", [0o077, 0o477, 0o777])
@needs_root
def test_umask(public, serve, mask):
    """A snapshot that nothing can read later would be none."""
    server = serve()
    for args in (STAGE, ("status",), ("stage", "--proxy", "203.0.113.99", *CHANGE[2:]), ("clear",)):
        status, _, err = as_nobody(public, *args, *reach(server), before=lambda: os.umask(mask), HOME=str(public))
        assert status == 0, err
    name, = (public / ".local/state/stalprep").iterdir()
    assert name.stat().st_mode & 0o777 == 0o600


@native
@needs_root
def test_no_process_for_a_look_up(public):
    def limit():
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    status, _, err = as_nobody(public, "status", "--url", "https://mail.example.net", before=limit)
    if "--resolve" not in err:  # the limit holds for all processes of the user
        pytest.skip("this system does not limit processes")
    assert status == 3 and "Resource temporarily unavailable" in err


@native
@needs_root
@pytest.mark.parametrize("what", ["no-flock", "flock-denied"])
@pytest.mark.skipif(not FILTERS or platform.machine() != "x86_64", reason="no filter that could hide a system call")
def test_no_locks(run, serve, what):
    """Some file systems and sandboxes have none."""
    server = serve()
    ran = run(*STAGE, *reach(server), wrap=lacking(what), status=1)
    assert "locked" in ran.err and "--snapshot-dir" in ran.err and "Nothing was written." in ran.err
    assert run.snapshots() == []


@native
@needs_root
@pytest.mark.skipif(not FILTERS or platform.machine() != "x86_64", reason="no filter that could hide a system call")
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_firewall_of_this_host(run, serve, ca, tls):
    """send() fails with EPERM there: told at once, and no PROXY header is blamed."""
    begun = time.monotonic()
    ran = run("status", *reach(serve(), ca if tls else None), wrap=lacking("send-denied"), status=3)
    assert time.monotonic() - begun < 5 and "firewall" in ran.err and "PROXY" not in ran.err


# Streams

def fill(fd):
    """Of a pipe: no more goes in."""
    with contextlib.suppress(BlockingIOError):
        while os.write(fd, b"x" * 4096):
            pass


@native
@pytest.mark.parametrize("command", [STAGE, ("print", *CHANGE)])
def test_full_pipe_that_does_not_block(run, server, command):
    """As a shell's pipe may be, once another program has set it so."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    fill(write)
    target = reach(server) if command == STAGE else ()
    started = run.start(*command, *target, stdout=write)
    os.close(write)
    time.sleep(1)
    assert started.poll() is None
    text = b""
    while part := os.read(read, 1 << 16):
        text += part
    os.close(read)
    ran = run.finish(started, status=0)
    assert len(text.lstrip(b"x")) > 200 and "written" not in ran.err


@native
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_pipe_without_a_reader(run, server, stream):
    """The work goes on, and the status says that nobody has read what came of it."""
    read, write = os.pipe()
    os.close(read)
    started = run.start(*STAGE, *reach(server), **{stream: write})
    os.close(write)
    ran = run.finish(started)
    assert run.snapshot()["state"] == "proved"
    if stream == "stdout":
        assert ran.status == 5 and "Broken pipe" in ran.err and "exit status would be 0" in ran.err
    else:
        assert ran.status == 0 and "Staged" in ran.out


@native
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams(run, server, closed):
    """No file takes the place of one."""
    started = run.start(*STAGE, *reach(server), preexec_fn=lambda: [os.close(fd) for fd in closed], stdin=None)
    ran = run.finish(started)
    assert ran.status == (5 if 1 in closed else 0) and run.snapshot()["state"] == "proved"


@native
def test_password_from_a_closed_stream(run, server):
    ran = run("status", *reach(server), "--password-file", "-", password=None, status=2, stdin=None,
              preexec_fn=lambda: os.close(0))
    assert "closed" in ran.err and "directory" not in ran.err


def test_password_that_is_empty(run, server):
    assert "$STALPREP_PASSWORD is empty" in run("status", *reach(server), password="", status=2).err
    run("status", *reach(server), "--password-file", run.secret_file(PASSWORD), password="", status=7)


# Words

WRONG_URLS = [("https://h:0", "port 0"), ("https://h:65536", "1 to 65535"), ("https://" + "a" * 64 + ".org", "63 bytes"),
              ("https://[fe80::1%v1]", "--resolve"), ("https://" + "a." * 127 + "org", "253 bytes"), ("https://h:", "missing"),
              ("https://h:https", "not a number"), ("https://[::1", "bracket"), ("https://h/admin", "path"),
              ("https://", "missing")]


@pytest.mark.parametrize("url,word", WRONG_URLS)
def test_wrong_urls(run, url, word):
    assert word in run("status", "--url", url, status=2).err


def test_longest_host(run, simulate, ca):
    server, host = simulate(), ".".join(["a" * 61] * 4)
    port = server.http_url.rsplit(":", 1)[1]
    where = ("--url", f"https://{host}x.org:{server.https_url.rsplit(':', 1)[1]}", "--resolve",
             f"*:{server.https_url.rsplit(':', 1)[1]}:127.0.0.1", "-k")
    assert len(host + "x.org") == 252 and port
    run(*STAGE, *where, status=0)
    run("clear", *where, status=0)


# Addresses

@pytest.fixture
def dead():
    """The port of an address of this host that does not answer: its queue is full."""
    with contextlib.ExitStack() as stack:
        def make(address, port):
            deaf = stack.enter_context(socket.socket())
            deaf.bind((address, port))
            deaf.listen(0)
            for _ in range(4):
                knock = stack.enter_context(socket.socket())
                knock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    knock.connect((address, port))
        yield make


@native
def test_dead_addresses(run, simulate, dead):
    """The good one is last, and there is a second for all."""
    server = simulate()
    port = int(server.http_url.rsplit(":", 1)[1])
    others = [f"127.0.0.{last}" for last in range(81, 88)]
    try:
        for address in others:
            dead(address, port)
    except OSError as error:
        pytest.skip(f"no place for another listener: {error}")
    url = ("--url", f"http://localhost:{port}", "--resolve", f"localhost:{port}:{','.join(others)},127.0.0.1")
    begun = time.monotonic()
    run(*STAGE, *url, "--connect-timeout", "1", status=0)
    assert time.monotonic() - begun < 4


# Name servers

ADDRESS = f"127.0.0.{100 + os.getpid() % 100}"  # each of several processes has its own


class Names(threading.Thread):
    """A name server with an answer for each type: an address, the code of an error, or None for silence."""

    def __init__(self, answers):
        super().__init__(daemon=True)
        self.answers, self.asked = answers, []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(0.05)
        self.sock.bind((ADDRESS, 53))
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                query, client = self.sock.recvfrom(512)
                kind, = struct.unpack(">H", query[-4:-2])
                self.asked.append(kind)
                answer = self.answers.get(kind)
                if answer is None:
                    continue
                code, records = (answer, b"") if isinstance(answer, int) else (0, b"\xc0\x0c" + struct.pack(
                    ">HHIH", kind, 1, 60, len(answer)) + answer)
                head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, int(bool(records)), 0, 0)
                self.sock.sendto(head + query[12:] + records, client)


@pytest.fixture
def names(tmp_path):
    """Starts it; gives the `wrap` of a run that asks it."""
    if not can_mount() or os.geteuid() != 0:
        pytest.skip("nothing can be mounted here: a resolver of our own")
    conf, started = tmp_path / "resolv.conf", []
    conf.write_text(f"nameserver {ADDRESS}\noptions timeout:1 attempts:2\n")

    def start(answers):
        try:
            started.append(Names(answers))
        except OSError as error:
            pytest.skip(f"no place for a name server: {error}")
        started[-1].start()
        return started[-1], ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(conf))
    yield start
    for one in started:
        one.stopping.set()
        one.join()
        one.sock.close()


HOME = socket.inet_aton("127.0.0.1")
HOME6 = socket.inet_pton(socket.AF_INET6, "::ffff:127.0.0.1")
CODES = {"NXDOMAIN": 3, "SERVFAIL": 2, "REFUSED": 5, "NOTIMP": 4, "FORMERR": 1, "silence": None}


@native
@pytest.mark.parametrize("family", [1, 28])
@pytest.mark.parametrize("code", CODES)
def test_one_family_fails(run, serve, ca, names, family, code):
    """Many a name server fails for AAAA, and a few for A; the other one counts, at once."""
    server = serve()
    asked, wrap = names({1: HOME, 28: HOME6, family: CODES[code]})
    begun = time.monotonic()
    run("status", "--url", f"https://{NAME}:{server.https_url.rsplit(':', 1)[1]}", "--cacert", ca.file, wrap=wrap, status=7)
    assert time.monotonic() - begun < 5 and {1, 28} <= set(asked.asked)


@native
def test_no_family_is_found(run, names):
    _, wrap = names({1: 3, 28: 2})
    ran = run("status", "--url", f"https://{NAME}", wrap=wrap, status=3)
    assert "IPv4" in ran.err and "IPv6" in ran.err and "--resolve" in ran.err


@native
@pytest.mark.parametrize("args", [("status", "--url", f"https://{NAME}"), ("probe", NAME)], ids=["status", "probe"])
def test_child_is_confined(run, names, args):
    """It reads what the network says."""
    asked, wrap = names({1: None, 28: None})
    started = run.start(*args, wrap=wrap)
    while not {1, 28} <= set(asked.asked):
        time.sleep(0.01)
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
    seen = [process.status(child)["NoNewPrivs"] for child in children]
    started.terminate()
    run.finish(started, status=143)
    assert seen == ["1", "1"]


# Memory

@static
@native
@pytest.mark.parametrize("args", [("status",), STAGE, ("clear",)])
def test_little_memory(run, server, args):
    """Whatever is short of memory: it says so, and calls nothing broken."""
    run(*STAGE, *reach(server), status=0)
    said, done = set(), 0
    for kilobytes in sample(range(440, 1000, 5), 4, *args[:1]):
        started = run.start(*args, *reach(server), "-n" if args != ("status",) else "-v", preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_AS, (kilobytes * 1024, kilobytes * 1024)))
        ran = run.finish(started)
        if ran.status < 0:
            continue  # the kernel could not start it
        if ran.status == 0:
            done += 1
            continue
        assert "out of memory" in ran.err.lower(), (kilobytes, ran)
        said.add(ran.err)
    assert done or RUNNER
