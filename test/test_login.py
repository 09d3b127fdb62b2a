"""Who one is: where the secret comes from, the second factor, and what the server says to it."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import time

import pytest

import oldapi
import oldhttp
import oldserver
import process
from conftest import CHANGE, NAME, NEWEST, PASSWORD, REAL, TIMEOUT, VERSIONS, forms, parsed, reach, state, writes
from oldserver import Fault

ODD = ['$x"y\\z', "a:b", "pässwörd✉", " blanks ", "%41", "x" * 500]
TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
STATUS_OK = 7  # of `status` on a server where nothing is staged
PERMITTING = pytest.mark.skipif(parsed(NEWEST) < (0, 10), reason="API keys and permissions came with 0.10")


def code():
    """Of now; one step either way is taken, so it does not run out meanwhile."""
    return oldapi.totp_code(TOTP)


def status(run, server, *options, **more):
    return run("status", *reach(server), *options, **{"password": None, "status": STATUS_OK, **more})


# Where it comes from

@pytest.mark.parametrize("password", ODD)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_sources(run, serve, password, end):
    server = serve()
    server.add_account("root", password)
    run.secrets |= forms("root", password) - {" blanks "}
    status(run, server, "--user", "root", "--password-file", run.secret_file(password + end))
    status(run, server, "-uroot", "--password-file", "-", text=(password + end).encode())
    status(run, server, "-u", "root", password=password)


def test_file_wins_over_the_environment(run, serve):
    status(run, serve(), "--password-file", run.secret_file(PASSWORD), password="wrong")


def test_login_name_of_the_server(run, serve):
    """It is trimmed and lower-cased there."""
    server = serve()
    server.add_account("root", "x-password")
    status(run, server, "--user", "ROOT", password="x-password")


@PERMITTING
def test_api_key(run, serve):
    server = serve()
    server.add_account("key1", "key-secret", kind="apiKey")
    key = "api_" + oldapi.base64.b64encode(b"key1:key-secret").decode()
    run.secrets |= {key, "key-secret"}
    status(run, server, "--api-key-file", run.secret_file(key + "\n"), password=PASSWORD)
    status(run, server, "--api-key-file", run.secret_file("api_wrong"), status=4)


def test_environment_is_wiped(run, simulate):
    """/proc/PID/environ is readable to the same user for as long as the run lasts."""
    if not os.path.exists("/proc/self/environ"):
        pytest.skip("no /proc here")
    seen = []

    def look(running):
        for name in ("environ", "cmdline"):
            with open(f"/proc/{running.pid}/{name}", "rb") as file:
                seen.append(file.read())
    server = simulate()
    run.while_running(lambda call: server.faults.append(Fault(before=call)), look, "status", *reach(server), status=7)
    assert len(seen) == 2 and not [text for text in seen if PASSWORD.encode() in text]


UNUSABLE = [  # (content, mode, status, word)
    ("", 0o600, 2, "empty"), ("\n", 0o600, 2, "empty"), ("a\nb", 0o600, 2, "one line"), ("a\0b", 0o600, 2, "NUL"),
    ("x" * 100000, 0o600, 2, "longer"), (PASSWORD, 0o644, 1, "chmod 600"), (PASSWORD, 0o640, 1, "chmod 600"),
    (PASSWORD, 0o604, 1, "--force open-secret"),
]


@pytest.mark.parametrize("option", ["--password-file", "--api-key-file"])
@pytest.mark.parametrize("content,mode,wanted,word", UNUSABLE)
def test_files_that_are_not_taken(run, serve, option, content, mode, wanted, word):
    server = serve()
    ran = status(run, server, option, run.secret_file(content, mode), status=wanted)
    assert option in ran.err and word in ran.err and not server.log


def test_open_file_by_force(run, serve):
    status(run, serve(), "--password-file", run.secret_file(PASSWORD, 0o644), "--force", "open-secret")


def test_file_that_is_not_there(run, serve):
    server = serve()
    ran = status(run, server, "--password-file", "no-such-file", status=2)
    assert "no-such-file" in ran.err and not server.log


def test_folder_for_a_file(run, serve):
    assert status(run, serve(), "--password-file", str(run.folder), "--force", "open-secret", status=2).err


def test_no_source_and_no_terminal(run, serve):
    server = serve()
    ran = status(run, server, status=2)
    assert "--password-file" in ran.err and "STALPREP_PASSWORD" in ran.err and not server.log


# What the server says to it

@pytest.mark.parametrize("version", VERSIONS)
def test_wrong_password(run, serve, version):
    server = serve(version)
    before = state(server)
    for command in (("status",), ("stage", *CHANGE), ("clear", *CHANGE), ("reload",)):
        ran = run(*command, *reach(server), password="wrong", status=4)
        assert "401" in ran.err and "--user" in ran.err
    assert state(server) == before and writes(server) == 0 and run.snapshots() == []


PERMISSIONS = [  # (what the account lacks, command, status)
    ("settings-list", ("status",), 4), ("settings-list", ("stage", *CHANGE), 4), ("settings-update", ("stage", *CHANGE), 4),
    ("settings-reload", ("reload",), 4), ("settings-reload", ("stage", *CHANGE), 0),
]


@PERMITTING
@pytest.mark.parametrize("lacking,command,wanted", PERMISSIONS)
def test_missing_permission(run, serve, lacking, command, wanted):
    server = serve()
    server.add_account("weak", "weak-pass", oldapi.PERMISSIONS - {lacking})
    before = state(server)
    ran = run(*command, *reach(server), "--user", "weak", password="weak-pass", status=wanted)
    if wanted:
        assert "403" in ran.err and lacking in ran.err and state(server) == before and run.snapshots() == []


def test_too_many_failures(run, simulate):
    server = simulate()
    server.faults.append(Fault(times=-1, answer=(429, None)))
    ran = run("stage", *reach(server), *CHANGE, status=4)
    assert "429" in ran.err and "ban" in ran.err


def test_one_failure_costs_few_logins(run, simulate):
    """After a hundred failures a day the address is banned."""
    server = simulate()
    run("stage", *reach(server), *CHANGE, password="wrong", status=4)
    assert sum(answer == 401 for _, _, _, answer in server.log) <= 2


# The second factor

@pytest.fixture(params=VERSIONS if REAL else ["0.9.4", NEWEST])  # up to 0.9 the missing code is a 403
def guarded(serve, run, request):
    server = serve(request.param)
    server.add_account("root2", "root-pass", totp=TOTP)
    run.secrets |= forms("root2", "root-pass")
    return server


def test_code_from_a_file(run, guarded):
    for end in ("", "\n"):
        status(run, guarded, "--user", "root2", "--totp-file", run.secret_file(code() + end), password="root-pass")
    status(run, guarded, "--user", "root2", "--totp-file", "-", text=code().encode(), password="root-pass")


def test_code_that_is_not_asked_for(run, serve):
    status(run, serve(), "--totp-file", run.secret_file("000000"), password=PASSWORD)


CODES = [("000000", 4, "401"), ("12345", 2, "six to eight digits"), ("abcdef", 2, "six to eight digits"), ("", 2, "empty")]


@pytest.mark.parametrize("given,wanted,word", CODES)
def test_codes_that_are_not_taken(run, guarded, given, wanted, word):
    if given == code():
        pytest.skip("one in a million")
    ran = status(run, guarded, "--user", "root2", "--totp-file", run.secret_file(given), password="root-pass", status=wanted)
    assert word in ran.err


def test_code_and_no_terminal(run, guarded):
    ran = status(run, guarded, "--user", "root2", password="root-pass", status=2)
    assert "--totp-file" in ran.err


def test_whole_stage_with_a_code(run, guarded):
    before = state(guarded)
    run("stage", *reach(guarded), *CHANGE, "--user", "root2", "--totp-file", run.secret_file(code()), password="root-pass",
        status=0)
    run("clear", *reach(guarded), "--user", "root2", "--totp-file", run.secret_file(code()), password="root-pass", status=0)
    assert state(guarded) == before


# The prompt

class Screen(process.Terminal):
    """A run with a terminal of its own."""

    def __init__(self, run, *args, **options):
        super().__init__()
        self.run = run
        self.process = run.start(*args, **{"password": None, "stdin": self.slave, "pass_fds": (self.slave,),
                                           "preexec_fn": self.control, **options})

    def echoes(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def wait(self, text):
        self.wait_for(text, TIMEOUT)

    def finish(self, wanted):
        ran = self.run.finish(self.process, status=wanted)
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 4096)
        return ran

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        super().close()


@pytest.fixture
def terminal(run):
    started = []

    def start(*args, **options):
        started.append(Screen(run, *args, **options))
        return started[-1]
    yield start
    for one in started:
        one.close()


def test_prompt(terminal, serve):
    server = serve()
    screen = terminal("status", *reach(server))
    screen.wait(b"Password of admin")
    assert not screen.echoes() and not server.log
    screen.type(PASSWORD.encode() + b"\n")
    screen.finish(STATUS_OK)
    assert screen.echoes() and PASSWORD.encode() not in screen.seen


def test_prompt_with_redirected_input(terminal, serve):
    """The terminal is asked, not standard input."""
    server = serve()
    screen = terminal("status", *reach(server), stdin=subprocess.DEVNULL)
    screen.wait(b"Password of admin")
    screen.type(PASSWORD.encode() + b"\n")
    screen.finish(STATUS_OK)


def test_prompt_for_the_code(terminal, guarded):
    screen = terminal("status", *reach(guarded), "--user", "root2")
    screen.wait(b"Password of root2")
    screen.type(b"root-pass\n")
    screen.wait(b"code")
    assert not screen.echoes()
    screen.type(code().encode() + b"\n")
    screen.finish(STATUS_OK)
    assert screen.echoes() and b"root-pass" not in screen.seen


def test_wrong_password_at_the_prompt(terminal, serve):
    screen = terminal("status", *reach(serve()))
    screen.wait(b"Password")
    screen.type(b"wrong\n")
    assert "401" in screen.finish(4).err


def test_nothing_typed(terminal, serve):
    server = serve()
    for typed in (b"\n", b"\x04"):
        screen = terminal("status", *reach(server))
        screen.wait(b"Password")
        screen.type(typed)
        assert "Nothing was" in screen.finish(2).err and screen.echoes()
    assert not server.log


@pytest.mark.parametrize("how", ["\x03", "\x1c", signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_stopped_at_the_prompt(terminal, serve, how):
    """The echo is on again."""
    server = serve()
    screen = terminal("status", *reach(server))
    screen.wait(b"Password")
    if isinstance(how, str):
        screen.type(b"half" + how.encode())
    else:
        screen.process.send_signal(how)
    ran = screen.finish(128 + {"\x03": signal.SIGINT, "\x1c": signal.SIGQUIT}.get(how, how))
    assert screen.echoes() and "Stopped at the prompt" in ran.err and not server.log


SHELL = """
import os, signal, sys, termios
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
pid = os.fork()
if not pid:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
os.write(0, b"child %d " % pid)
while True:
    _, status = os.waitpid(pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        sys.exit(os.waitstatus_to_exitcode(status))
    os.tcsetpgrp(0, os.getpid())
    mode = termios.tcgetattr(0)
    os.write(0, b"stopped by %d, echo %d " % (os.WSTOPSIG(status), bool(mode[3] & termios.ECHO)))
    mode[3] |= termios.ECHO
    termios.tcsetattr(0, termios.TCSADRAIN, mode)
    os.read(0, 100)
    os.tcsetpgrp(0, pid)
    os.kill(pid, signal.SIGCONT)
"""


@pytest.mark.parametrize("how", [b"half\x1a", signal.SIGSTOP, signal.SIGTSTP])
def test_stopped_by_the_shell(terminal, serve, how):
    """Ctrl-Z at the prompt gives the shell its echo, `fg` asks again and takes it away. What was typed before is gone."""
    screen = terminal("status", *reach(serve()), "--max-time", "3", wrap=(sys.executable, "-c", SHELL))
    screen.wait(b"child ")
    screen.wait(b"Password of admin")
    child = int(re.search(rb"child (\d+) ", screen.seen)[1])
    for turn in range(2):
        screen.wait(b"Password of admin" if turn == 0 else b"fg\r\n\r\nPassword of admin")
        assert not screen.echoes()
        if isinstance(how, bytes):
            screen.type(how)
        else:
            os.kill(child, how)
        stopped = signal.SIGTSTP if isinstance(how, bytes) else how
        screen.wait(b"stopped by %d, echo %d" % (stopped, stopped == signal.SIGTSTP))
        screen.seen = b""
        time.sleep(1.2)
        screen.type(b"fg\n")
    screen.wait(b"Password of admin")
    assert not screen.echoes()
    screen.type(PASSWORD.encode() + b"\n")
    screen.finish(STATUS_OK)
    assert screen.echoes() and PASSWORD.encode() not in screen.seen


def test_stopped_again_and_again(terminal, serve):
    """As soon as it has asked again: the shell has its echo each time."""
    screen = terminal("status", *reach(serve()), wrap=(sys.executable, "-c", SHELL))
    screen.wait(b"Password of admin")
    child = int(re.search(rb"child (\d+)", screen.seen)[1])
    for _ in range(30):
        os.kill(child, signal.SIGTSTP)
        screen.wait(b"stopped by %d, echo 1" % signal.SIGTSTP)
        screen.seen = b""
        screen.type(b"fg\n")
        screen.wait(b"Password of admin")
    assert not screen.echoes()
    screen.type(PASSWORD.encode() + b"\n")
    screen.finish(STATUS_OK)


def test_stopped_without_a_shell(terminal, serve):
    """Then nothing stops it, and the echo stays away."""
    screen = terminal("status", *reach(serve()))
    screen.wait(b"Password of admin")
    screen.process.send_signal(signal.SIGTSTP)
    time.sleep(0.3)
    assert not screen.echoes()
    screen.type(PASSWORD.encode() + b"\n")
    screen.finish(STATUS_OK)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("option,path", [
    ("--password-file", "-"), ("--password-file", "opened"), ("--password-file", "unopened"),
    ("--api-key-file", "unopened"), ("--cacert", "opened"), ("--config", "-")])
def test_stopped_while_it_waits_for_a_pipe(run, option, path, number):
    """Nobody writes to it; a named one may not even be open to write."""
    pipe = run.vault / "pipe"
    os.mkfifo(pipe)
    keep = os.open(pipe, os.O_RDWR) if path == "opened" else None
    target = () if option == "--config" else ("--url", "https://127.0.0.1:9")
    started = run.start("stage", *target, option, "-" if path == "-" else pipe, *CHANGE, password=None,
                        stdin=subprocess.PIPE)
    while not int(process.status(started.pid)["SigCgt"], 16) & 1 << number - 1:
        time.sleep(0.01)
    time.sleep(0.1)
    started.send_signal(number)
    started.wait(TIMEOUT)  # before its standard input is closed
    ran = run.finish(started, status=128 + number)
    if keep:
        os.close(keep)
    where = {"-": "standard input"}.get(path, str(pipe))
    assert where in ran.err and f"stopped by signal {number:d}" in ran.err and "Nothing was written." in ran.err
    assert not ran.out and not run.snapshots()


@pytest.mark.parametrize("option,path", [("--password-file", "-"), ("--password-file", "pipe"), ("--totp-file", "pipe"),
                                         ("--cacert", "pipe")])
def test_pipe_under_max_time(run, option, path):
    """--max-time holds from the start, not only where a server is waited for."""
    pipe = run.vault / "pipe"
    os.mkfifo(pipe)
    begun = time.monotonic()
    started = run.start("stage", "--url", "https://127.0.0.1:9", "--max-time", "1", option, "-" if path == "-" else pipe, *CHANGE, stdin=subprocess.PIPE)
    started.wait(TIMEOUT)
    ran = run.finish(started, status=3)
    assert 0.5 < time.monotonic() - begun < 10 and "--max-time" in ran.err and "Nothing was written." in ran.err


def test_pipes_that_are_opened_late(run, serve):
    """A password through a pipe with a name, as `<(command)` gives it: whoever writes may come later."""
    server, pipe = serve(), run.vault / "pipe"
    os.mkfifo(pipe)
    started = run.start("status", *reach(server), "--password-file", pipe, password=None)
    time.sleep(0.2)
    with open(pipe, "w", encoding="ascii") as writer:
        for part in (PASSWORD[:3], PASSWORD[3:] + "\n"):
            writer.write(part)
            writer.flush()
            time.sleep(0.1)
    run.finish(started, status=STATUS_OK)


# Not before the server is reached and its certificate accepted

def connections(server):
    """A list that grows with each connection to it."""
    seen, let_in = [], server.let_in
    server.let_in = lambda *args: (seen.append(args), let_in(*args))[1]
    return seen


def type_password(screen):
    screen.wait(b": ")
    screen.type(PASSWORD.encode() + b"\n")


def check_never_asked(screen, word):
    ran = screen.finish(3)
    assert word in ran.err and b"Password" not in screen.seen


def test_not_asked_before_names_are_found(terminal):
    check_never_asked(terminal("status", "--url", "https://no-such-host.invalid"), "no-such-host.invalid")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_not_asked_before_the_server_is_reached(terminal, scheme):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"{scheme}://127.0.0.1:{free.getsockname()[1]}"
    check_never_asked(terminal("status", "--url", url), "refused. Check that the server runs, and that this is the port")


def test_not_asked_before_the_certificate_is_accepted(terminal, simulate, ca):
    server = simulate(pair=ca.issue("127.0.0.1", self_signed=True))
    check_never_asked(terminal("status", *reach(server, ca)), "not accepted")
    wrong = "sha256//" + "A" * 43 + "="
    check_never_asked(terminal("stage", *CHANGE, *reach(server, ca), "-k", "--pinnedpubkey", wrong), "not the one")
    assert not server.requests


def test_not_asked_before_all_certificates_are_accepted(terminal, simulate, ca, tmp_path):
    good, bad = simulate(), simulate(pair=ca.issue("127.0.0.1", self_signed=True))
    check_never_asked(terminal("status", *reach(good, ca), "--url", bad.https_url), bad.https_url)
    assert not good.requests and not bad.requests


def test_prompt_names_the_server(terminal, simulate, ca):
    server, other = simulate(), simulate()
    screen = terminal("status", *reach(server, ca))
    screen.wait(f"Password of admin on {server.https_url}: ".encode())
    type_password(screen)
    screen.finish(STATUS_OK)
    screen = terminal("status", *reach(server, ca), "--url", other.https_url, "-uroot")
    screen.wait(f"Password of root on {server.https_url} and 1 more: ".encode())


def test_no_terminal_is_said_before_anybody_is_reached(run, simulate, ca):
    server = simulate(pair=ca.issue("127.0.0.1", self_signed=True))
    seen = connections(server)
    assert "--password-file" in run("status", *reach(server, ca), password=None, status=2).err and not seen


def goodbye(server):
    """In TLS, and then the end."""
    for sock in list(server.connections):
        oldhttp.close_notify(sock)
    server.drop_connections()


@pytest.mark.parametrize("https,how,count", [
    (True, None, 1), (True, goodbye, 2), (True, oldserver.OldServer.drop_connections, 2), (False, None, 1),
    (False, oldserver.OldServer.drop_connections, 2)])
def test_closed_while_the_prompt_waits(terminal, simulate, ca, https, how, count):
    """An idle connection need not last. It is looked at, and made anew, before anything is sent."""
    server = simulate()
    seen = connections(server)
    screen = terminal("stage", *CHANGE, *reach(server, ca if https else None))
    screen.wait(b"Password")
    while not server.connections:  # the program may see it before the server does
        time.sleep(0.01)
    if how:
        how(server)
    type_password(screen)
    screen.finish(0)
    assert len(seen) == count


def test_another_key_while_the_prompt_waits(terminal, simulate, ca):
    server = simulate()
    screen = terminal("status", *reach(server, ca))
    screen.wait(b"Password")
    first = ca.issue("localhost", NAME, "127.0.0.1", "::1")
    second = ca.issue("127.0.0.1")  # as good as the first, and yet another
    server.certfile, server.keyfile = second.cert, second.key
    server.drop_connections()
    type_password(screen)
    err = screen.finish(3).err
    assert "another key" in err and first.pin in err and second.pin in err and not server.requests


def test_closed_while_the_second_prompt_waits(terminal, run, simulate):
    server = simulate()
    server.add_account("root2", "root-pass", totp=TOTP)
    run.secrets |= forms("root2", "root-pass")
    screen = terminal("status", *reach(server), "--user", "root2")
    screen.wait(b"Password of root2")
    screen.type(b"root-pass\n")
    screen.wait(b"code")
    server.drop_connections()
    screen.type(code().encode() + b"\n")
    screen.finish(STATUS_OK)


@pytest.mark.parametrize("command", [("status",), ("stage", *CHANGE)])
def test_one_connection_without_a_prompt(run, simulate, ca, command):
    server = simulate()
    seen = connections(server)
    run(*command, *reach(server, ca), status=0 if command[0] == "stage" else STATUS_OK)
    assert len(seen) == 1
