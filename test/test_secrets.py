"""Secrets: nowhere but in one place, and gone once they are used."""

import base64
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

import oldapi
import process
from conftest import BINARY, CHANGE, PASSWORD, RUNNER, TIMEOUT, USER, can_mount, forms, reach
from oldserver import Fault

SECRET = "kV9$pröbe:Xw2-7Tn4uLb6"
TOTP = "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"
KEY = "api_" + base64.b64encode(b"robot:" + SECRET.encode()).decode()
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can read the memory of a process that forbids it")
native = pytest.mark.skipif(bool(RUNNER), reason="the runner's memory would be looked at, not the program's")


def traces(memory, *secrets):
    """What is found of these, also in part: windows of eight bytes, of base64 of twelve, and a code as it is."""
    windows = set()
    for secret in secrets:
        plain = secret.encode()
        windows.update(plain[i:i + 8] for i in range(max(len(plain) - 7, 1)))
        for shift in range(3):  # wherever it stands in what was encoded, and whatever stands beside it
            coded = base64.b64encode(b"\0" * shift + plain)
            start, end = (0, 2, 3)[shift], len(coded) - 4
            windows.update(coded[i:i + 12] for i in range(start, end - 11))
    return sorted(window for window in windows if window in memory)


class Way:
    """A way to hand the secret over; `begin` starts a run with it."""

    def __init__(self, name, run, server):
        self.run, self.server, self.secrets = run, server, [SECRET]
        self.options, self.start, self.terminal, self.answers = [], {"password": None}, None, []
        self.started = None
        getattr(self, name.replace("-", "_"))()

    def file(self):
        self.options = ["--password-file", self.run.secret_file(SECRET + "\n")]

    def stdin(self):
        self.options, self.start["stdin"] = ["--password-file", "-"], open(self.run.secret_file(SECRET + "\r\n"), "rb")

    def environment(self):
        self.start["password"] = SECRET

    def prompt(self):
        self.ask((b"Password of", SECRET))

    def key(self):
        self.server.add_account("robot", SECRET, kind="apiKey")
        self.options, self.secrets = ["--api-key-file", self.run.secret_file(KEY)], [SECRET, KEY]

    def code(self):
        self.options = ["--user", "guarded", "--totp-file", self.run.secret_file(self.guard())]
        self.environment()

    def code_prompt(self):
        self.options = ["--user", "guarded"]
        self.environment()
        self.ask((b"code", self.guard()))

    def guard(self):
        code = oldapi.totp_code(TOTP)
        self.server.add_account("guarded", SECRET, totp=TOTP)
        self.secrets += [code, f"{SECRET}${code}"]
        return code

    def ask(self, *answers):
        self.terminal, self.answers = process.Terminal(), answers

    def begin(self, *args, before_exec=(), **more):
        steps = [*before_exec, *([self.terminal.control] if self.terminal else [])]
        if steps:
            more["preexec_fn"] = lambda: [step() for step in steps]
        self.started = Future()
        started = self.run.start(*args, *self.options, **self.start, **more)
        self.started.set_result(started.pid)
        if self.answers:
            threading.Thread(target=self.answer, daemon=True).start()
        return started

    @property
    def pid(self):
        """Of the latest run; for the server's threads, which may be faster than the start."""
        return self.started.result(TIMEOUT)

    def answer(self):
        try:
            for question, answer in self.answers:
                self.terminal.wait_for(question, TIMEOUT)
                self.terminal.type(answer.encode() + b"\n")
        except OSError:
            pass  # nobody asked

    def end(self):
        if self.terminal:
            self.terminal.close()
        if "stdin" in self.start:
            self.start["stdin"].close()


WAYS = ["file", "stdin", "environment", "prompt", "key", "code", "code-prompt"]


@pytest.fixture
def server(simulate):
    """One whose administrator has the secret; config.toml, which is read over the API, holds PASSWORD."""
    server = simulate()
    server.add_account(USER, SECRET)
    return server


@pytest.fixture
def way(request, run, server):
    run.secrets = forms(USER, SECRET)
    way = Way(request.param, run, server)
    yield way
    way.end()


def memory_at_exit(way, run, *args, **more):
    """Exit status, memory and all that was said."""
    with tempfile.TemporaryFile() as said:
        started = way.begin(*args, before_exec=[process.trace_me], stdout=said, stderr=said, **more)
        found = process.memory_at_exit(started)
        said.seek(0)
        text = said.read()
    assert found and not traces(text, *way.secrets), text
    assert b"stalprep" in found  # so it is the memory that was read
    return started.returncode, found, text


def look(way, seen):
    """Called by the server with a request in hand: the memory once the client waits for the answer."""
    def take(_server):
        time.sleep(0.2)
        seen.append(process.memory(way.pid))
    return take


# In memory

@native
@needs_root
@pytest.mark.parametrize("way", WAYS, indirect=True)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_memory_at_exit(way, run, server, ca, tls):
    code, found, text = memory_at_exit(way, run, "stage", *reach(server, ca if tls else None), *CHANGE, "-v")
    assert code == 0, text
    assert not traces(found, *way.secrets, PASSWORD)


@native
@needs_root
@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_memory_while_it_waits(way, run, server, ca):
    """The search finds what there is to find: while the first answer is awaited, the secret is there."""
    seen = []
    number = 3 if way.secrets[2:] else 1  # with a code: after the first answers
    server.faults.append(Fault(number=number, before=look(way, seen)))
    started = way.begin("status", *reach(server, ca))
    started.communicate(timeout=TIMEOUT)
    assert started.returncode == 7 and len(seen) == 1
    whole = way.secrets[-1]
    assert whole.encode() in seen[0] or traces(seen[0], base64.b64encode(f"guarded:{whole}".encode()).decode())


@native
@needs_root
@pytest.mark.parametrize("way", WAYS, indirect=True)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_one_place(way, run, server, ca, tls):
    """While it waits: the password once, as long as it may be needed, and the header once; no copy is left anywhere."""
    login, password = f"{USER}:{SECRET}", 1
    if way.secrets[1:]:  # the key is in the header alone, and so is the password once a code is
        login, password = f"guarded:{way.secrets[-1]}", 0
    header = KEY.encode() if way.secrets[-1] == KEY else base64.b64encode(login.encode())
    seen = []
    server.faults.append(Fault(number=3 if way.secrets[2:] else 1, before=look(way, seen)))
    way.begin("status", *reach(server, ca if tls else None)).communicate(timeout=TIMEOUT)
    assert (seen[0].count(SECRET[-8:].encode()), seen[0].count(header[-12:])) == (password, 1)


@native
@needs_root
@pytest.mark.parametrize("way", ["environment"], indirect=True)
def test_password_goes_before_the_header(way, run, server):
    """Once no second factor can be asked for, the header alone is left."""
    seen = []
    for method in ("GET", "POST"):  # the first read, and the write
        server.faults.append(Fault(method=method, before=look(way, seen)))
    started = way.begin("stage", *reach(server), *CHANGE)
    started.communicate(timeout=TIMEOUT)
    assert started.returncode == 0 and len(seen) == 2
    header = base64.b64encode(f"{USER}:{SECRET}".encode())
    assert SECRET.encode() in seen[0] and header in seen[0]
    assert SECRET.encode() not in seen[1] and header in seen[1]
    assert PASSWORD.encode() not in seen[1]  # what was read of the server's own is gone too


def wrong(server):
    for name in (USER, "robot", "guarded"):
        server.add_account(name, "another")


def closed(server):
    server.on_connect = "reset"


def cut(server):
    server.faults.append(Fault(method="POST", cut=20, end="reset"))


ENDS = [  # (what happens, options, exit status)
    (None, ("stage", *CHANGE, "--dry-run", "--json"), 0), (None, ("clear", *CHANGE), 0), (None, ("reload",), 0),
    (None, ("stage", *CHANGE, "--listener", "none"), 1), (wrong, ("status",), 4), (closed, ("status",), 3),
    (cut, ("stage", *CHANGE), 5), (None, ("status", "--snapshot", "/dev/null/none"), 1),
]


@native
@needs_root
@pytest.mark.parametrize("way", ["file", "key"], indirect=True)
@pytest.mark.parametrize("happens,args,wanted", ENDS, ids=lambda x: x and getattr(x, "__name__", None))
def test_memory_at_other_ends(way, run, server, happens, args, wanted):
    if happens:
        happens(server)
    code, found, text = memory_at_exit(way, run, *args, *reach(server))
    assert code == wanted, text
    assert not traces(found, *way.secrets, PASSWORD)


@native
@needs_root
@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_memory_after_a_bad_certificate(way, run, server):
    code, found, text = memory_at_exit(way, run, "status", "--url", server.https_url)
    assert code == 3, text
    assert not traces(found, *way.secrets, PASSWORD)


@native
@needs_root
@pytest.mark.parametrize("way", WAYS[:5], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_memory_after_a_signal(way, run, server, number):
    server.faults.append(Fault(before=lambda _: os.kill(way.pid, number), delay=0.01))
    code, found, text = memory_at_exit(way, run, "stage", *reach(server), *CHANGE)
    assert code == 128 + number, text
    assert not traces(found, *way.secrets, PASSWORD)


@native
@needs_root
@pytest.mark.skipif(not can_mount(), reason="nothing can be mounted here: a resolver of our own")
def test_look_up_has_no_secret(run, tmp_path):
    """The children that read what a name server says."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.77\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names:
        names.settimeout(TIMEOUT)
        try:
            names.bind(("127.0.0.77", 53))
        except OSError as error:
            pytest.skip(f"no place for a name server: {error}")
        wrap = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(conf))
        started = run.start("status", "--url", "https://mail.example.net", password=SECRET, wrap=wrap)
        try:
            names.recv(512), names.recv(512)
            children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
            parents, theirs = process.memory(started.pid), [process.memory(child) for child in children]
        finally:
            started.terminate()
            started.communicate(timeout=TIMEOUT)
    assert traces(parents, SECRET) and [b"mail.example.net" in memory for memory in theirs] == [True, True]
    assert not [memory for memory in theirs if traces(memory, SECRET)]


# In what others see

@pytest.mark.parametrize("way", ["file", "environment", "key", "code"], indirect=True)
@pytest.mark.parametrize("option", ["-v", "--json", "-q"])
def test_nothing_shows_it(way, run, server, option):
    """Output, errors, the snapshot, and what the system shows of the process."""
    seen = []

    def show(_server):
        seen.append(Path(f"/proc/{way.pid}/cmdline").read_bytes())
        try:
            seen.append(b"" if RUNNER else Path(f"/proc/{way.pid}/environ").read_bytes())
        except PermissionError:
            seen.append(b"")  # so it is to anybody but root
    server.faults.append(Fault(before=show))
    run.secrets |= set(way.secrets)
    for args, wanted in ((("stage", *CHANGE), 0), (("status",), 0), (("clear",), 0)):
        run.finish(way.begin(*args, *reach(server), option), status=wanted)
    wrong(server)
    run.finish(way.begin("status", *reach(server), option), status=4)
    assert len(seen) == 2 and not [text for text in seen if traces(text, *way.secrets)]


# What the same user may do to the process

@pytest.fixture
def public():
    """A folder that everybody may enter, with the binary."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    shutil.copy(BINARY, folder / "stalprep")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def hanging(server):
    server.on_connect = "hang"
    return server


def attach(pid, public):
    """As nobody. Gives what fails: of attaching, and of reading its memory."""
    shutil.copy(Path(__file__).parent / "process.py", public)  # nobody may be unable to enter our own folder
    script = ("import sys, process\nfailed = []\n"
              "try: process.ptrace(process.SEIZE, int(sys.argv[1]))\nexcept OSError: failed.append('attach')\n"
              "for name in ('mem', 'environ'):\n"
              "    try: open(f'/proc/{sys.argv[1]}/{name}', 'rb').close()\n    except OSError: failed.append(name)\n"
              "print(*failed)")
    done = subprocess.run(["/usr/bin/env", f"PYTHONPATH={public}", "python3", "-c", script, str(pid)], **NOBODY,
                          cwd=public, capture_output=True, text=True, timeout=TIMEOUT, check=True)
    return done.stdout.split()


def as_nobody(public, *command):
    return subprocess.Popen(command, **NOBODY, cwd=public, env={"STALPREP_PASSWORD": SECRET}, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


def wait_for_connection(server):
    for _ in range(TIMEOUT * 20):
        if server.connections:
            return
        threading.Event().wait(0.05)
    pytest.fail("no connection")


@native
@needs_root
def test_no_debugger_of_the_same_user(public, hanging):
    with as_nobody(public, "sleep", "60") as other:
        able = attach(other.pid, public)
        other.kill()
    if able:
        pytest.skip(f"this system lets nobody do that anyway: {able}")
    with as_nobody(public, str(public / "stalprep"), "status", *reach(hanging)) as started:
        wait_for_connection(hanging)
        try:
            assert attach(started.pid, public) == ["attach", "mem", "environ"]
        finally:
            started.kill()


@native
@needs_root
def test_no_core_dump(public, hanging):
    """Neither by the limit, which it sets itself, nor by the kernel's flag, which also holds for a dump through a pipe."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, before[1]))
    try:
        with subprocess.Popen([str(public / "stalprep"), "status", *reach(hanging)], cwd=public, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env={"STALPREP_PASSWORD": SECRET}) as started:
            wait_for_connection(hanging)
            limits = Path(f"/proc/{started.pid}/limits").read_text()
            started.send_signal(signal.SIGSEGV)
            _, ended = os.waitpid(started.pid, 0)
            started.returncode = -os.WTERMSIG(ended)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    line, = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]
    assert os.WTERMSIG(ended) == signal.SIGSEGV and not os.WCOREDUMP(ended)
    assert [path.name for path in public.iterdir()] == ["stalprep"]


# Files

@pytest.mark.parametrize("option", ["--password-file", "--api-key-file", "--totp-file"])
@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o660, 0o620, 0o602, 0o622])
def test_open_file_is_refused_by_name(run, server, option, mode):
    path = run.secret_file(KEY if option == "--api-key-file" else "123456", mode)
    ran = run("status", *reach(server), option, path, "--json", status=1, password=None if "totp" not in option else SECRET)
    assert ran.names() == {"open-secret"} and server.log == []
    message, = [message for message in ran.json["messages"] if message["name"]]
    assert option in message["text"] and f"{mode:o}" in message["text"]
    assert ("written" in message["text"]) == bool(mode & 0o022) and ("read" in message["text"]) == bool(mode & 0o044)


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o666, 0o622])
def test_open_file_by_force(run, server, mode):
    run.secrets = forms(USER, SECRET)
    options = ("--password-file", run.secret_file(SECRET, mode), "--force", "open-secret")
    run("status", *reach(server), *options, password=None, status=7)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o711])
def test_file_that_others_cannot_read(run, server, mode):
    run("status", *reach(server), "--password-file", run.secret_file(SECRET, mode), status=7, password=None)


# Any byte

@pytest.fixture
def heard(server):
    """The logins that the server got, decoded."""
    got, understood = [], server.api.authenticate

    def authenticate(request, api=True):
        got.append(base64.b64decode(request.headers["authorization"].partition(" ")[2]))
        return understood(request, api)
    server.api.authenticate = authenticate
    return got


def last(heard):
    user, _, password = heard[-1].partition(b":")
    assert user == USER.encode()
    return password


@pytest.mark.parametrize("sixteen", range(16))
def test_every_byte(run, server, heard, sixteen):
    """At the start, inside and at the end; from a file and from the environment."""
    run.secrets = set()
    for byte in range(16 * sixteen, 16 * sixteen + 16):
        if byte in (0, 10):
            continue
        one = bytes([byte])
        password = one + b"p" + one + b"q" + one
        wanted = 4
        if byte < 0x80:  # alone it is UTF-8 only then, and a server takes nothing else
            server.add_account(USER, password.decode())
            wanted = 7
        run("status", *reach(server), "--password-file", run.secret_file(password), password=None, status=wanted)
        assert last(heard) == password
        run("status", *reach(server), password=password, status=wanted)
        assert last(heard) == password


def test_every_byte_at_once(run, server, heard):
    password = bytes(set(range(256)) - {0, 10, 13}) + b"\r$:"
    run("status", *reach(server), "--password-file", run.secret_file(password), password=None, status=4)
    assert last(heard) == password


@pytest.mark.parametrize("password", ["$app$1$2", "a:b::", "pässwörd✉🔑", " ", "\t x \t", "\u00a0", "\\n", '"', "%00", "{SHA}x"])
def test_text(run, server, heard, password):
    server.add_account(USER, password)
    run.secrets = set()
    for more in ({"password": password}, {"password": None, "options": ["--password-file", run.secret_file(password + "\n")]}):
        run("status", *reach(server), *more.pop("options", ()), **more, status=7)
        assert last(heard) == password.encode()


LINE_ENDS = [  # (the file, the password in it)
    (b"pw", b"pw"), (b"pw\n", b"pw"), (b"pw\r\n", b"pw"), (b"pw\r", b"pw\r"), (b"pw\r\r\n", b"pw\r"), (b"\r\r\n", b"\r"),
    (b" pw \n", b" pw "),
]


@pytest.mark.parametrize("content,password", LINE_ENDS)
def test_one_line_end_is_dropped(run, server, heard, content, password):
    run.secrets = set()
    run("status", *reach(server), "--password-file", run.secret_file(content), password=None, status=4)
    assert last(heard) == password
    run("status", *reach(server), "--password-file", "-", text=content, password=None, status=4)
    assert last(heard) == password


@pytest.mark.parametrize("content", [b"pw\n\n", b"\npw", b"p\nw\n", b"p\0w", b"pw\0", b"pw\n\r", b"", b"\n", b"\r\n"])
def test_not_a_line(run, server, content):
    run.secrets = set()
    for more in ({"options": run.secret_file(content)}, {"options": "-", "text": content}):
        run("status", *reach(server), "--password-file", more.pop("options"), password=None, status=2, **more)
    assert server.log == []
