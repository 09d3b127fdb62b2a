"""Real TLS servers (peers.py) between the program and the simulator: what works, and what is said of what can't."""

import os
import socket
import subprocess
import threading

import pytest

from conftest import CHANGE, NAME, Pair, named, state, writes
from oldserver import Fault
from peers import PEERS, TIMEOUT, Wish

STAGED_NOT = 7  # of `status` on a server where nothing is staged


@pytest.fixture
def front(ca, tmp_path):
    """Starts such a peer in front of a server, each with a folder of its own."""
    started = []

    def front(kind, server, wish=Wish(), pair=None):
        if not PEERS[kind].path():
            pytest.skip(f"{kind} is not here (./build.sh test installs it)")
        folder = tmp_path / f"peer{len(started)}"
        folder.mkdir()
        port = int(server.http_url.rpartition(":")[2])
        peer = PEERS[kind](folder, port, pair or ca.issue("127.0.0.1", NAME), ca.file, wish)
        started.append(peer.start())
        peer.url = f"https://127.0.0.1:{peer.port}"
        return peer
    yield front
    for peer in started:
        peer.stop()


# Keys that OpenSSL makes: RSA-PSS is none of Python's, and one of more than two primes, which few others read, takes a
# tenth of the time.
MADE = {"pss": ("rsa-pss", "rsa_keygen_bits:2048"), "rsa4096": ("rsa:4096", "rsa_keygen_primes:4"),
        "rsa4224": ("rsa:4224", "rsa_keygen_primes:4")}


@pytest.fixture(scope="session")
def keys(ca, tmp_path_factory):
    """A certificate for a kind of key, and what vouches for it."""
    folder = tmp_path_factory.mktemp("keys")

    def keys(kind):
        if kind not in MADE:
            return ca.issue("127.0.0.1", NAME, kind=kind), ca.file
        pair, (algorithm, option) = Pair(str(folder / f"{kind}.crt"), str(folder / f"{kind}.key")), MADE[kind]
        if not os.path.exists(pair.cert):
            subprocess.run(["openssl", "req", "-x509", "-newkey", algorithm, "-pkeyopt", option, "-nodes", "-subj",
                            "/CN=made", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", pair.key,
                            "-out", pair.cert],
                           check=True, capture_output=True, timeout=TIMEOUT)
        return pair, pair.cert
    return keys


@pytest.mark.parametrize("kind", PEERS)
def test_all_of_it(run, simulate, front, ca, kind):
    """stage, status and clear through it."""
    server = simulate()
    before, reach = state(server), ("--url", front(kind, server).url, "--cacert", ca.file)
    run("stage", *CHANGE, *reach, status=0)
    assert writes(server)
    run("status", *CHANGE, *reach, status=0)
    run("clear", *reach, status=0)
    assert state(server) == before


# What a peer can be like: (which, the key, what is said where it can't be used). Each peer is all of it that it can be.

SUITES = [f"ECDHE-{kind}-{cipher}" for kind in ("ECDSA", "RSA")
          for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")]
MATRIX = [
    *((Wish(suite=suite), "p256" if "ECDSA" in suite else "rsa2048", None) for suite in SUITES),
    *((Wish(group=group), "p256", None) for group in ("X25519", "P-256", "P-384", "P-521")),
    *((Wish(), key, None) for key in ("rsa2048", "rsa4096", "p384", "p521")),
    (Wish(small=True), "p256", None),
    (Wish(tickets=False), "p256", None),
    (Wish(version="1.3"), "p256", ["TLS 1.2", "1.3 only", "loopback http://"]),
    (Wish(version="1.1"), "rsa2048", ["no TLS 1.2", "loopback http://"]),
    *((Wish(), key, [word, "loopback http://"])
      for key, word in (("ed25519", "Ed25519"), ("pss", "RSA-PSS"), ("rsa4224", "longer than 4096 bits"))),
    (Wish(client=True), "p256", ["client certificate", "another listener"]),
]
EXCEPT = {("nginx", Wish(client=True)),  # says so by a page of its own
          ("gnutls", "rsa4096"), ("gnutls", "rsa4224"), *(("rustls", key) for key in MADE)}


def cases():
    for kind, peer in PEERS.items():
        for wish, key, words in MATRIX:
            if wish.asked() <= peer.able and not {(kind, wish), (kind, key)} & EXCEPT:
                yield pytest.param(kind, wish, key, words, id=f"{kind}, {wish}, {key}")


@pytest.mark.parametrize("kind,wish,key,words", cases())
def test_matrix(run, simulate, front, keys, kind, wish, key, words):
    server = simulate()
    pair, anchor = keys(key)
    url = front(kind, server, wish, pair).url
    ran = run("status", "--url", url, "--cacert", anchor, status=3 if words else STAGED_NOT)
    assert [word for word in words or () if word not in ran.err] == []
    assert bool(server.requests) == (not words)


def test_nginx_wants_a_client_certificate(run, simulate, front, ca):
    """It says so over HTTP, after the handshake."""
    server = simulate()
    ran = run("status", "--url", front("nginx", server, Wish(client=True)).url, "--cacert", ca.file, status=1)
    assert "400" in ran.err and not server.requests


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
@pytest.mark.parametrize("host", [NAME, "other.example.org", "127.0.0.1"])
def test_host_name_is_insisted_on(run, simulate, front, ca, kind, host):
    server = simulate()
    url, resolve = named(front(kind, server, Wish(name=True)).url, host)
    ran = run("status", "--url", url, *resolve, "--cacert", ca.file, status=STAGED_NOT if host == NAME else 3)
    if host != NAME:
        assert "alert 112" in ran.err and "--resolve" in ran.err and not server.requests


# The PROXY header

def test_header_is_wanted(run, simulate, front, ca):
    """haproxy judges the header; without one it ends the connection."""
    server = simulate()
    reach = ("--url", front("haproxy", server, Wish(proxied=True)).url, "--cacert", ca.file)
    ran = run("stage", *CHANGE, *reach, status=3)
    assert "--haproxy-protocol" in ran.err and not server.requests
    run("stage", *CHANGE, *reach, "--haproxy-protocol", status=0)
    assert writes(server)


@pytest.mark.parametrize("kind", PEERS)
def test_header_is_not_wanted(run, simulate, front, ca, kind):
    server = simulate()
    ran = run("status", "--url", front(kind, server).url, "--cacert", ca.file, "--haproxy-protocol", status=3)
    assert "HTTP/1.1 400" in ran.err if kind == "nginx" else "--haproxy-protocol" in ran.err
    assert not server.requests


# The wrong scheme

@pytest.mark.parametrize("kind", PEERS)
def test_http_to_the_port_of_https(run, simulate, front, kind):
    server = simulate()
    ran = run("status", "--url", front(kind, server).url.replace("https", "http"))
    assert ran.status in (1, 3) and ran.err and not server.requests


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_https_to_the_port_of_http(run, simulate, front, ca, kind):
    server = simulate()
    ran = run("status", "--url", front(kind, server, Wish(plain=True)).url, "--cacert", ca.file, status=3)
    assert "does not speak TLS" in ran.err and 'says "HTTP/1.' in ran.err and not server.requests


# Ends

@pytest.mark.parametrize("farewell", [True, False], ids=["close_notify", "no close_notify"])
@pytest.mark.parametrize("cut,status", [(None, 0), (-1, 5), (40, 5), (0, 5)])
def test_end_of_an_answer(run, simulate, front, ca, farewell, cut, status):
    """What makes an answer complete is its length, not how the connection ends."""
    server = simulate()
    peer = front("gnutls", server)
    peer.farewell = farewell
    server.faults.append(Fault(method="POST", cut=cut, end="close"))
    run("stage", *CHANGE, "--url", peer.url, "--cacert", ca.file, status=status)
    assert writes(server)


class Cut:
    """Relays to a port, and ends the connection once the server has sent so many bytes."""

    def __init__(self, port, length):
        self.port, self.length = port, length
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listening.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join(TIMEOUT)
        self.listening.close()

    def serve(self):
        client, _ = self.listening.accept()
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            server.sendall(client.recv(1 << 14))  # the ClientHello
            server.settimeout(TIMEOUT)
            left = self.length
            while left and (data := server.recv(left)):
                client.sendall(data)
                left -= len(data)


@pytest.mark.parametrize("length", [0, 1, 4, 5, 6, 50, 99, 300, 600, 700])
def test_cut_handshake(run, simulate, front, ca, length):
    """At edges of records and inside; the server's part of the first flight is longer than all of them."""
    server = simulate()
    with Cut(front("openssl", server).port, length) as cut:
        ran = run("stage", *CHANGE, "--url", cut.url, "--cacert", ca.file, status=3)
    assert "handshake" in ran.err and not server.requests


# A second handshake

def test_renegotiation_is_refused_and_the_session_goes_on(run, simulate, front, ca):
    """GnuTLS asks for it before each answer and takes no for an answer."""
    server = simulate()
    peer = front("gnutls", server)
    peer.renegotiate = True
    run("stage", *CHANGE, "--url", peer.url, "--cacert", ca.file, status=0)
    assert writes(server) and set(peer.alerts) == {100}  # no_renegotiation
