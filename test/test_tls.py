"""The certificate: what is trusted, what is not, what is said of it; nothing is sent to a server that is not trusted."""

import contextlib
import datetime
import os
import re
import select
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

from conftest import (CHANGE, HTTP, HTTPS, NAME, PASSWORD, SMTP, TIMEOUT, Authority, config, named, reach, state)

STAGED_NOT = 7  # of `status` on a server where nothing is staged


@pytest.fixture
def ask(run):
    """`status` over HTTPS, with these options."""
    def ask(server, *options, status=STAGED_NOT, url=None, **more):
        return run("status", "--url", url or server.https_url, *options, status=status, **more)
    return ask


def untouched(server):
    """Not even the login came to it."""
    return not server.requests and not server.log


def check_told(ran, pair, names):
    """A refusal says what the administrator needs to decide."""
    assert pair.pin in ran.err, "the server key's pin"
    assert [name for name in names if name not in ran.err] == [], "the certificate's names"
    times = re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", ran.err)
    assert len(times) == 3, "both dates and this machine's time"
    now = datetime.datetime.utcnow()
    assert abs(datetime.datetime.strptime(times[2], "%Y-%m-%dT%H:%M:%SZ") - now) < datetime.timedelta(minutes=10)


# Trusted

@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048", "rsa3072"])
def test_kinds_of_keys(ask, simulate, ca, kind):
    ask(simulate(pair=ca.issue("127.0.0.1", kind=kind)), "--cacert", ca.file)


def test_ca_from_the_environment(ask, serve, ca):
    ask(serve(), env={"SSL_CERT_FILE": ca.file})


def test_cacert_goes_before_the_environment(ask, serve, ca):
    ask(serve(), "--cacert", ca.file, env={"SSL_CERT_FILE": "/no/such/file"})


def test_ca_among_others(ask, serve, ca, tmp_path):
    other = Authority(tmp_path)
    both = tmp_path / "both.pem"
    both.write_text("a comment\n" + Path(other.file).read_text() + "\n" + Path(ca.file).read_text())
    ask(serve(), "--cacert", str(both))


def test_self_signed_leaf_as_its_own_ca(ask, simulate, ca):
    pair = ca.issue("127.0.0.1", NAME, self_signed=True)
    ask(simulate(pair=pair), "--cacert", pair.cert)


NAMES = [  # (names in the certificate, host, accepted)
    (("127.0.0.1",), "127.0.0.1", True), ((NAME,), NAME, True), ((NAME,), NAME.upper(), True),
    (("*.internal.example.org",), NAME, True), (("localhost",), "localhost", True),
    (("*.example.org",), NAME, False), (("internal.example.org",), NAME, False), (("*.org",), "example.org", False),
    (("other.example.org",), NAME, False), ((NAME,), "127.0.0.1", False), (("127.0.0.2",), "127.0.0.1", False),
    (("127.0.0.1",), NAME, False), (("127.0.0.1",), "localhost", False),
    (("old_mail.example.org",), "old_mail.example.org", False),
]


@pytest.mark.parametrize("names,host,accepted", NAMES)
def test_names(ask, simulate, ca, names, host, accepted):
    pair = ca.issue(*names)
    server = simulate(pair=pair)
    url, resolve = named(server.https_url, host)
    ran = ask(server, *resolve, "--cacert", ca.file, url=url, status=STAGED_NOT if accepted else 3)
    if not accepted:
        assert untouched(server)
        check_told(ran, pair, names)


def test_common_name_does_not_count(ask, simulate, ca):
    """The subject's name is not looked at, only the alternative names are."""
    pair = ca.issue("127.0.0.1", "other.example.org")
    server = simulate(pair=pair)
    url, resolve = named(server.https_url, "127.0.0.1")
    ask(server, *resolve, "--cacert", ca.file, url=url)


# Not trusted

UNTRUSTED = [  # (what it is issued with, why)
    ({"days": (-30, -1)}, "expired"), ({"days": (1, 30)}, "not valid yet"), ({"self_signed": True}, "trusted"),
    ({"usages": ()}, None), ({"kind": "rsa1024"}, "2048"),
]


@pytest.mark.parametrize("wish,word", UNTRUSTED, ids=[str(case[0]) for case in UNTRUSTED])
def test_untrusted(ask, simulate, ca, wish, word):
    if "kind" in wish and not weak_keys_are_served():
        pytest.skip("this OpenSSL serves no weak key")
    pair = ca.issue("127.0.0.1", **wish)
    server = simulate(pair=pair)
    ran = ask(server, "--cacert", ca.file, status=3 if word else STAGED_NOT)
    if word:
        assert word in ran.err and untouched(server)
        check_told(ran, pair, ["127.0.0.1"])


def weak_keys_are_served():
    """OpenSSL's security level 2 refuses to load them."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).security_level < 2


@pytest.mark.parametrize("command", [("stage", *CHANGE), ("clear", *CHANGE), ("reload",)])
def test_nothing_is_sent_by_any_command(run, serve, simulate, command):
    server = simulate()
    before = state(server)
    ran = run(*command, "--url", server.https_url, status=3)
    assert "not accepted" in ran.err and untouched(server) and state(server) == before and run.snapshots() == []


def test_no_authority_at_all(ask, simulate, tmp_path):
    """No bundle is found: nobody is trusted, and it is said."""
    server = simulate()
    ran = ask(server, env={"SSL_CERT_FILE": str(tmp_path / "none.pem")}, status=None)
    assert ran.status in (1, 2, 3) and "none.pem" in ran.err and untouched(server)


BUNDLES = [("empty", b""), ("no certificate", b"hello\n"), ("cut", None), ("binary", bytes(range(256)) * 10)]


@pytest.mark.parametrize("how,content", BUNDLES, ids=[case[0] for case in BUNDLES])
def test_damaged_bundles(ask, simulate, ca, tmp_path, how, content):
    """A truncated file must not trust less or more than it says, in silence."""
    path = tmp_path / "bundle.pem"
    path.write_bytes(Path(ca.file).read_bytes()[:-60] if content is None else content)
    server = simulate()
    ran = ask(server, "--cacert", str(path), status=2)
    assert "bundle.pem" in ran.err and untouched(server)


# Pins

def test_right_pin_without_check(ask, simulate, ca):
    pair = ca.issue("other.example.org", days=(-30, -1))
    ask(simulate(pair=pair), "--insecure", "--pinnedpubkey", pair.pin)
    ask(simulate(pair=pair), "-k", "--pinnedpubkey", "sha256//" + "A" * 43 + "=;" + pair.pin)


def test_pin_and_check(ask, serve, ca, tmp_path):
    """As curl has it: a pin does not make up for a certificate that is not trusted."""
    server = serve()
    pair = ca.issue("localhost", NAME, "127.0.0.1", "::1")
    ask(server, "--cacert", ca.file, "--pinnedpubkey", pair.pin)
    ran = ask(server, "--pinnedpubkey", pair.pin, status=3)
    assert "not accepted" in ran.err


WRONG = ("--pinnedpubkey", "sha256//" + "A" * 43 + "=")


@pytest.mark.parametrize("trusted", ["-k", "--cacert", "nobody"])
@pytest.mark.parametrize("wish", [{}, {"days": (-30, -1)}, {"kind": "rsa2048"}], ids=str)
def test_wrong_pin(ask, simulate, ca, trusted, wish):
    """Another key than the one named, whatever else is wrong: no text of it can be pasted to trust that key."""
    pair = ca.issue("localhost", NAME, "127.0.0.1", "::1", **wish)
    server = simulate(pair=pair)
    ran = ask(server, *{"-k": ("-k",), "--cacert": ("--cacert", ca.file)}.get(trusted, ()), *WRONG, status=3)
    first, *others = ran.err.splitlines()
    assert "is not the one that --pinnedpubkey names" in first and "No login and no request was sent" in first
    assert untouched(server) and "--insecure" not in ran.err and "'" + pair.pin not in ran.err
    check_told(ran, pair, [NAME])
    assert [word for word in (f"has the pin {pair.pin}.", "new key", "another server", "on the way",
                              "Compare the pin on the server itself") if word not in others[-1]] == []


def test_wrong_pin_is_judged_by_each_command(run, simulate):
    server = simulate()
    ran = run("stage", *CHANGE, "--url", server.https_url, "-k", *WRONG, status=3)
    assert ran.err.splitlines()[-1].endswith("Nothing was written.") and untouched(server) and run.snapshots() == []


def test_pin_from_a_file(ask, serve, ca, tmp_path):
    pair = ca.issue("localhost", NAME, "127.0.0.1", "::1")
    server = serve()
    public = tmp_path / "key.pub"
    for form, kind in (("PEM", []), ("DER", ["-outform", "DER"])):
        subprocess.run(["openssl", "pkey", "-in", pair.key, "-pubout", "-out", public, *kind], check=True, timeout=60)
        ask(server, "-k", "--pinnedpubkey", str(public))
        assert form
    ask(server, "-k", "--pinnedpubkey", pair.cert)


def test_curl_agrees_on_the_pin(serve, ca):
    """The same --pinnedpubkey serves for curl."""
    server = serve()
    pair = ca.issue("localhost", NAME, "127.0.0.1", "::1")
    for pin, status in ((pair.pin, 0), ("sha256//" + "A" * 43 + "=", 90)):
        done = subprocess.run(["curl", "-sk", "--noproxy", "*", "--pinnedpubkey", pin, server.https_url + "/robots.txt"],
                              capture_output=True, timeout=TIMEOUT, check=False)
        assert done.returncode == status


def test_no_check_at_all(ask, simulate, ca):
    """-k alone is curl's, and it is said what that means."""
    ran = ask(simulate(pair=ca.issue("other.example.org", days=(-30, -1))), "-k")
    assert "not checked" in ran.err and "sha256//" in ran.err


def test_told_pin_leads_on(ask, run, simulate, ca):
    """What the refusal proposes works as it stands."""
    server = simulate(pair=ca.issue("127.0.0.1", self_signed=True))
    err = ask(server, status=3).err
    pin = re.search(r"--insecure --pinnedpubkey '(sha256//[^']+)'", err)[1]
    ask(server, "--insecure", "--pinnedpubkey", pin)


# What to do next

NEXT = [  # (what it is issued with, options, is --cacert a way out?)
    ((NAME,), {}, None, False), (("127.0.0.1",), {"days": (-30, -1)}, None, False),
    (("127.0.0.1",), {"self_signed": True}, None, True), (("127.0.0.1",), {}, None, True),
    (("127.0.0.1",), {"self_signed": True}, lambda pair: ("--pinnedpubkey", pair.pin), True),
]


@pytest.mark.parametrize("names,wish,options,by_ca", NEXT, ids=["name", "expired", "self-signed", "another CA",
                                                                "pin without -k"])
def test_next_step(ask, simulate, ca, tmp_path, names, wish, options, by_ca):
    """Short lines, the first with the cause; the pin as it would be enough; --cacert only where it would help."""
    pair = ca.issue(*names, **wish)
    server = simulate(pair=pair)
    trusted = ca if not by_ca else Authority(tmp_path)
    err = ask(server, "--cacert", trusted.file, *(options(pair) if options else ()), status=3).err
    first, *others = err.splitlines()
    assert "not accepted" in first and len(others) == 2 and all(line.startswith("stalprep status:   ") for line in others)
    told = "Its key is the pinned one. To trust that alone, add --insecure." if options else \
        f"--insecure --pinnedpubkey '{pair.pin}'"
    assert told in others[-1] and ("--cacert" in err) == by_ca
    ask(server, "--insecure", "--pinnedpubkey", pair.pin)


# Other peers

@contextlib.contextmanager
def peer(handle):
    """A server of one thread on loopback: handle(socket) for each connection, which it closes."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listening.accept()
                with sock, contextlib.suppress(OSError):
                    sock.settimeout(TIMEOUT)
                    handle(sock)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(TIMEOUT)


PLAIN = [  # (what the port says, a word of the message)
    (b"* OK IMAP4rev1 ready\r\n", "IMAP4rev1"), (b"220 mail ESMTP\r\n", "ESMTP"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1"), (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"), (b"\0\1\2\3\4\5\6", None),
    (b"", None), (b"\x15\x03\x01\x00\x02\x02\x46", "1.3"), (b"\x16\x03\x03", None),
]


@pytest.mark.parametrize("greeting,word", PLAIN, ids=[repr(case[0][:12]) for case in PLAIN])
def test_ports_that_speak_no_tls(run, greeting, word):
    def greet(sock):
        sock.sendall(greeting)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
    with peer(greet) as url:
        ran = run("status", "--url", url, status=3)
    assert ran.err and (word is None or word in ran.err)


def test_plain_http_port(run, simulate):
    server = simulate()
    ran = run("status", "--url", server.http_url.replace("http:", "https:"), status=3)
    assert "TLS" in ran.err and untouched(server)


def test_https_port_by_http(run, simulate):
    server = simulate()
    ran = run("status", "--url", server.https_url.replace("https:", "http:"))
    assert ran.status in (1, 3) and untouched(server)


def test_silent_port(run):
    with peer(lambda sock: sock.recv(1 << 20) and sock.recv(1)) as url:
        ran = run("status", "--url", url, "--connect-timeout", "1", status=3)
    assert "--connect-timeout" in ran.err


def test_tls_13_only(run, simulate, ca):
    server = simulate(config=config(SMTP, HTTP, HTTPS + 'tls.disable-protocols = ["TLSv1.2"]\n'))
    ran = run("status", *reach(server, ca), status=3)
    assert "TLS 1.3" in ran.err and "loopback" in ran.err and untouched(server)


# openssl s_server: what Python's ssl can't be told

@pytest.fixture
def s_server(tmp_path, ca):
    """Starts one with these options and gives its URL and its process."""
    started = []
    pair = ca.issue("127.0.0.1")

    def start(*options, pair=pair):
        port = free_port()
        folder = tmp_path / f"s_server{len(started)}"
        folder.mkdir()
        process = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", pair.cert, "-key",
                                    pair.key, *options], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        started.append(process)
        read_until(process, b"ACCEPT")
        return f"https://127.0.0.1:{port}", process
    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_until(process, word):
    """What s_server says up to that word, within bounds."""
    seen, deadline = b"", time.monotonic() + TIMEOUT
    while word not in seen:
        assert select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))[0], seen
        more = os.read(process.stdout.fileno(), 4096)
        assert more, seen
        seen += more
    return seen


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


REFUSED_SUITES = ["ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA256", "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"]


@pytest.mark.parametrize("suite", REFUSED_SUITES)
def test_other_suites(run, s_server, ca, suite):
    """None but the six AEAD suites with ephemeral keys, which test_peers.py goes through."""
    pair = ca.issue("127.0.0.1", kind="p256" if "ECDSA" in suite else "rsa2048")
    url, _ = s_server("-tls1_2", "-cipher", suite, "-www", pair=pair)
    assert "in common" in run("status", "--url", url, "--cacert", ca.file, status=3).err


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions(run, s_server, ca, version):
    url, _ = s_server(version, "-cipher", "ALL:@SECLEVEL=0", "-www")
    assert run("status", "--url", url, "--cacert", ca.file, status=3)


@pytest.mark.parametrize("command", ["r", "R"], ids=["", "with a client certificate"])
def test_renegotiation_is_refused(run, s_server, ca, command):
    """s_server asks for a new handshake while the client waits for the answer, and gives up."""
    url, process = s_server("-tls1_2")
    client = run.start("stage", *CHANGE, "--url", url, "--cacert", ca.file)
    read_until(process, b"GET /api/settings/list")
    process.stdin.write(command.encode() + b"\n")
    process.stdin.flush()
    said = read_until(process, b"no renegotiation")
    ran = run.finish(client, status=3)
    assert "new handshake" in ran.err and "Nothing was written" in ran.err and b"CIPHER is" not in said


def test_page_of_another_server(run, s_server, ca):
    """Trusted, but no Stalwart."""
    url, _ = s_server("-tls1_2", "-www")
    ran = run("stage", "--url", url, "--cacert", ca.file, *CHANGE)
    assert ran.status in (1, 3) and "Nothing was written" in ran.said


def test_login_never_reaches_an_untrusted_peer(run, s_server, ca):
    url, process = s_server("-tls1_2")
    run("stage", "--url", url, *CHANGE, status=3)
    process.terminate()
    out = process.communicate(timeout=TIMEOUT)[0]
    assert b"Authorization" not in out and PASSWORD.encode() not in out and b"GET" not in out


def test_system_bundle_is_used(run, simulate, ca, tmp_path):
    """Without --cacert and $SSL_CERT_FILE it is the system's: ours is not in it."""
    if not os.path.exists("/etc/ssl/certs/ca-certificates.crt"):
        pytest.skip("no system bundle here")
    assert "trusted" in run("status", "--url", simulate().https_url, status=3).err
