"""probe: what a port does without and with a PROXY header, seen from outside. Peers that behave in each way, the answers
recorded from real servers, and a server that is staged, restarted and rolled back."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import ssl
import struct
import threading
import time

import pytest

import oldlisteners
import test_oldserver
from conftest import NAME, REAL, VERSIONS, config, listener
from oldserver import DEFAULT_LISTENERS

HEADER = oldlisteners.PROXY_V2_LOCAL
SHORT = ("--silence", "3" if REAL else "1")
HELLO = b"\x16\x03\x03\x00\x08\x02\x00\x00\x00\x0e\x00\x00\x00"


def alert(number):
    return b"\x15\x03\x03\x00\x02\x02" + bytes([number])


# Peers

def is_header(sock):
    """Waits for the first bytes: are they a header? It is taken off."""
    first = sock.recv(len(HEADER), socket.MSG_PEEK)
    return first == HEADER and bool(sock.recv(len(HEADER)))


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def hold(sock):
    """Silence, until the other side goes."""
    while sock.recv(4096):
        pass


def tell(came):
    """Silence; the event is set when the connection is there."""
    def act(sock):
        came.set()
        hold(sock)
    return act


def says(*pieces, then=hold):
    """Says these, at once, whatever comes."""
    def act(sock):
        for piece in pieces:
            time.sleep(piece) if isinstance(piece, (int, float)) else sock.sendall(piece)
        then(sock)
    return act


def endless(piece, first=b"", pause=0.0):
    def act(sock):
        sock.sendall(first)
        while True:
            sock.sendall(piece)
            time.sleep(pause)
    return act


def behind(act, without=hold):
    """Does that behind a header alone."""
    def choose(sock):
        sock.settimeout(30)
        (act if is_header(sock) else without)(sock)
    return choose


def answers(greeting, *pairs, first=b""):
    """Greets, and answers these commands; `first` goes out with the greeting."""
    def act(sock):
        sock.sendall(greeting + first)
        data = b""
        while more := sock.recv(4096):
            data += more
            for command, reply in pairs:
                if data.endswith(command):
                    sock.sendall(reply)
    return act


SMTP = (b"220 mail.example.org ESMTP\r\n", (b"NOOP\r\n", b"250 OK\r\n"))
IMAP = (b"* OK hi\r\n", (b"a NOOP\r\n", b"a OK done\r\n"))
POP3 = (b"+OK hi\r\n", (b"CAPA\r\n", b"+OK list\r\nTOP\r\n.\r\n"))
SIEVE = (b'"IMPLEMENTATION" "x"\r\nOK "hi"\r\n', (b"NOOP\r\n", b'OK "done"\r\n'))
ERRORS = b"500 no\r\n500 no\r\n500 no\r\n221 Bye\r\n"


@pytest.fixture
def peer():
    """Starts peers: peer(act) gives a port on loopback where act(socket) is done for each connection."""
    listening, open_now = [], []

    def serve(sock, act):
        with contextlib.suppress(OSError):
            act(sock)
        with contextlib.suppress(OSError):
            sock.close()

    def accept(sock, act):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = sock.accept()
                open_now.append(connection)
                threading.Thread(target=serve, args=(connection, act), daemon=True).start()

    def start(act, host="127.0.0.1", port=0):
        sock = socket.create_server((host, port))
        listening.append(sock)
        threading.Thread(target=accept, args=(sock, act), daemon=True).start()
        return sock.getsockname()[1]
    yield start
    for sock in [*listening, *open_now]:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def probe(run, port, protocol, *args, **options):
    """One port's row, and the run."""
    ran = run("probe", "127.0.0.1", "--port", f"{port}={protocol}", "--json", *args, **options)
    row, = ran.json["ports"]
    return row, ran


def patient(run, *args, good=lambda ran: True, status=0, **options):
    """A run with a short silence. On a machine that is too slow for that it is done again with a long one."""
    for times in (SHORT, ("--silence", "15", "--max-time", "90")):
        ran = run(*args, *times, **options)
        if ran.status == status and good(ran):
            return ran
    raise AssertionError(f"status {ran.status}, wanted {status}\n{ran.out}\n{ran.err}")


def row_of(run, port, protocol, verdict):
    """The row, which has this verdict."""
    ran = patient(run, "probe", "127.0.0.1", "--port", f"{port}={protocol}", "--json",
                  good=lambda ran: ran.json["ports"][0]["verdict"] == verdict)
    return ran.json["ports"][0]


# Each rule, by a peer

CASES = [  # (why, protocol, what the peer does, the verdict, what it said)
    ("greets", "smtp", says(SMTP[0]), "plain", "220 mail.example.org ESMTP"),
    ("greets before the silence is over", "smtp", says(0.5, SMTP[0]), "plain", "220"),
    ("greets in pieces", "imap", says(b"* O", 0.1, b"K hi", 0.1, b"\r\n"), "plain", "* OK hi"),
    ("too busy", "smtp", says(b"421 busy\r\n"), "refuses", "421 busy"),
    ("no service", "smtp", says(b"554 go away\r\n"), "refuses", "554"),
    ("BYE", "imap", says(b"* BYE no\r\n"), "refuses", "* BYE no"),
    ("another protocol", "imap", says(SMTP[0]), "something else", "220"),
    ("half a line", "smtp", says(b"220 hal"), "something else", "220 hal"),
    ("control characters", "smtp", says(b"220 \x1b[31m\x00red\r\n"), "plain", "220 ?[31m"),
    ("endless greeting", "imap", endless(b"* OK again\r\n"), "plain", "* OK again"),
    ("endless lines that are no greeting", "imap", endless(b"hello\r\n"), "something else", "hello"),
    ("a line of a gigabyte", "smtp", endless(b"x" * 65536, b"220 "), "something else", "220 xxx"),
    ("tarpit", "smtp", endless(b"2", pause=0.2), "something else", "2"),
    ("ends at once", "smtp", lambda sock: None, "refuses", None),
    ("resets at once", "imap", reset, "refuses", None),
    ("silent", "imap", hold, "silent", None),
    ("silent on TLS", "imap+tls", hold, "silent", None),
    ("silent on HTTP", "http", hold, "silent", None),
    ("HTTP", "http", says(b"HTTP/1.1 404 Not Found\r\n\r\n"), "plain", "HTTP/1.1 404 Not Found"),
    ("HTTP: 400", "http", says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "plain", "HTTP/1.1 400"),
    ("TLS: garbage", "imap+tls", says(os.urandom(1) + b"\xff" * 4000), "something else", None),
    ("TLS: endless garbage", "imap+tls", endless(b"\x00" * 65536), "something else", None),
    ("TLS: endless records", "imap+tls", endless(b"\x16\x03\x03\x00\x01\x02"), "plain", "TLS"),
    ("TLS: a record that never ends", "imap+tls", endless(b"\x02", b"\x16\x03\x03\x40\x00", 0.2), "plain", "TLS"),
    ("TLS: text", "imap+tls", says(IMAP[0]), "something else", "* OK hi"),
    ("TLS: an alert is an answer", "imap+tls", says(alert(50), then=lambda sock: None), "plain", "alert 50"),
    ("TLS: ServerHello", "imap+tls", says(HELLO), "plain", "TLS"),
    # behind a header
    ("SMTP", "smtp", behind(answers(*SMTP)), "wants the header", "220 mail.example.org ESMTP"),
    ("SMTP in two lines", "smtp", behind(answers(b"220-mail\r\n220 hi\r\n", SMTP[1])), "wants the header", "220-mail"),
    ("LMTP", "lmtp", behind(answers(*SMTP)), "wants the header", "220"),
    ("IMAP", "imap", behind(answers(*IMAP)), "wants the header", "* OK hi"),
    ("POP3", "pop3", behind(answers(*POP3)), "wants the header", "+OK hi"),
    ("ManageSieve", "managesieve", behind(answers(*SIEVE)), "wants the header", '"IMPLEMENTATION" "x"'),
    ("HTTP that ends", "http", behind(says(b"HTTP/1.0 404 Not Found\r\n\r\n"), lambda sock: None), "wants the header",
     "HTTP/1.0 404"),
    ("HTTP: 400 behind it", "http", behind(says(b"HTTP/1.1 400 Bad\r\n\r\n"), lambda sock: None), "something else", "400"),
    ("TLS that resets", "imap+tls", behind(says(HELLO), reset), "wants the header", "TLS"),
    ("TLS 1.3 only", "imap+tls", behind(says(alert(70)), reset), "wants the header", "alert 70"),
    ("unknown name", "imap+tls", behind(says(alert(112)), reset), "wants the header", "alert 112"),
    ("decode error", "imap+tls", behind(says(alert(50)), reset), "refuses", "alert 50"),
    ("TLS that resets both", "imap+tls", reset, "refuses", None),
    ("too busy", "smtp", behind(says(b"421 busy\r\n")), "refuses", "421"),
    ("no reply", "smtp", behind(says(SMTP[0])), "something else", "220"),
    ("a greeting that never ends", "managesieve", behind(endless(b'"X" "y"\r\n', pause=0.1)), "something else", '"X"'),
    ("errors: it took the header for commands", "smtp",
     lambda sock: says(SMTP[0], ERRORS, then=hold)(sock) if is_header(sock) else hold(sock), "plain", "220"),
    ("one error, then a good reply", "imap", behind(answers(*IMAP, first=b"* BAD what\r\n")), "plain", "* OK"),
    ("a goodbye to the header's QUIT", "pop3", behind(says(POP3[0], b"+OK bye\r\n", then=lambda sock: None)),
     "something else", "+OK hi"),
]


@pytest.mark.parametrize("why,protocol,act,verdict,said", CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_rule(run, peer, why, protocol, act, verdict, said):
    def good(ran):
        row, = ran.json["ports"]
        return row["verdict"] == verdict and (said is None or said in (row["said"] or ""))
    ran = patient(run, "probe", "127.0.0.1", "--port", f"{peer(act)}={protocol}", "--json", good=good)
    row, = ran.json["ports"]
    assert said or row["said"] is None or "TLS" not in row["said"], why
    assert ran.json["headers"] in ((0,) if verdict == "wants the header" else (0, 1))
    assert "The time was over" not in ran.out and "\x1b" not in ran.said


def test_greeting_after_six_seconds(run, peer):
    """Both connections get it, and a command that follows is answered well: it is plain all the same."""
    def act(sock):
        time.sleep(6)
        answers(*SMTP)(sock)
    row, ran = probe(run, peer(act), "smtp", status=0)
    assert row["verdict"] == "plain" and ran.json["headers"] == 1
    assert "1 PROXY header went to a port that did not expect one" in ran.out


def test_errors_after_six_seconds(run, peer):
    row, _ = probe(run, peer(says(6, SMTP[0], ERRORS)), "smtp", status=0)
    assert row["verdict"] == "plain"


def test_closed(run):
    port = free_port()
    row, ran = probe(run, port, "imap", status=3)
    assert row["verdict"] == "closed" and ran.json["headers"] == 0 and "no port was reached" in ran.out


def test_reset_is_not_closed(run, peer):
    """Also where the reset is there before the connection has been looked at."""
    named = [word for _ in range(60) for word in ("--port", f"{peer(reset)}=imap+tls")]
    patient(run, "probe", "127.0.0.1", *named, "--json",
            good=lambda ran: {row["verdict"] for row in ran.json["ports"]} == {"refuses"})


def test_all_at_once(run, peer):
    """Many ports, none of which speaks, take the time of one; one of them spoils no other."""
    ports = [peer(act) for _, _, act, verdict, _ in CASES if verdict == "silent"] * 1
    ports += [peer(hold) for _ in range(20)] + [peer(endless(b"x" * 65536))] + [peer(says(IMAP[0]))]
    begun = time.monotonic()
    named = [word for port in ports for word in ("--port", f"{port}=imap")]
    ran = run("probe", "127.0.0.1", "--json", "--silence", "3", "--max-time", "0", *named, status=0)
    assert time.monotonic() - begun < 60  # one after the other they would take two minutes
    verdicts = [row["verdict"] for row in ran.json["ports"]]
    assert verdicts[-2:] == ["something else", "plain"] and set(verdicts[:-2]) == {"silent"}


def test_max_time(run, peer):
    begun = time.monotonic()
    row, ran = probe(run, peer(hold), "imap", "--max-time", "2", "--silence", "100", status=0)
    assert row["verdict"] == "silent" and 1.5 < time.monotonic() - begun < 60
    assert "The time was over" in ran.out and "--max-time 2" in ran.out


@pytest.mark.parametrize("act,protocol,verdict", [
    (says(b"220 hal"), "smtp", "something else"), (behind(hold, lambda sock: None), "http", "silent"),
], ids=["half a line", "behind the header"])
def test_max_time_makes_the_verdict(run, peer, act, protocol, verdict):
    """It is said that more could have come, whatever was waited for."""
    row, ran = probe(run, peer(act), protocol, "--max-time", "2", "--silence", "100", status=0)
    assert row["verdict"] == verdict and "The time was over before all was known of 1 port " in ran.out


def test_connect_timeout(run):
    """A listener whose queue is full does not answer; that is silence, and no header is sent."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = []
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(full.getsockname())
        time.sleep(0.1)
        row, ran = probe(run, full.getsockname()[1], "imap", "--connect-timeout", "1", status=3)
        for sock in waiting:
            sock.close()
    assert row["verdict"] == "silent" and ran.json["headers"] == 0


def test_signal(run, peer):
    came = threading.Event()
    process = run.start("probe", "127.0.0.1", "--port", f"{peer(tell(came))}=imap", "--silence", "100", "--max-time", "0")
    assert came.wait(60)
    process.send_signal(signal.SIGINT)
    ran = run.finish(process, status=130)
    assert "Stopped by a signal" in ran.err and "not known" in ran.out


# Names, addresses, certificates

def test_all_addresses(run, peer):
    """A name's addresses are probed all; one entry of --resolve is for all ports."""
    port = peer(says(IMAP[0]), "127.0.0.2")
    peer(hold, "127.0.0.3", port)
    wanted = [("127.0.0.2", "plain"), ("127.0.0.3", "silent")]
    patient(run, "probe", NAME, "--resolve", f"{NAME}:443:127.0.0.2,127.0.0.3", "--port", f"{port}=imap", "--json",
            good=lambda ran: [(row["address"], row["verdict"]) for row in ran.json["ports"]] == wanted)


def test_ipv6(run, peer):
    sock = socket.socket(socket.AF_INET6)
    try:
        sock.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    sock.listen()
    port = sock.getsockname()[1]
    threading.Thread(target=lambda: says(IMAP[0])(sock.accept()[0]), daemon=True).start()
    ran = run("probe", "[::1]", "--port", f"{port}=imap", "--json", status=0)
    row, = ran.json["ports"]
    assert (row["address"], row["verdict"], row["from"]) == ("::1", "plain", "::1")
    sock.close()


def serve_tls(pair, version=None):
    def act(sock):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        if version:
            context.minimum_version = version
        context.wrap_socket(sock, server_side=True)
    return act


@pytest.mark.parametrize("kind", ["p256", "rsa2048", "rsa4096", "p384", "ed25519"])
def test_certificate(run, peer, ca, kind):
    """Shown, and not believed: names, last day, pin. Also of a key that this program's own TLS can't use."""
    pair = ca.issue("mail.example.org", "*.example.org", "192.0.2.1", kind=kind, days=(-400, -300))
    row = row_of(run, peer(serve_tls(pair)), "imap+tls", "plain")
    assert row["names"] == "mail.example.org, *.example.org, 192.0.2.1"
    assert row["pin"] == pair.pin and row["last_day"] == time.strftime("%Y-%m-%d", time.gmtime(time.time() - 300 * 86400))
    assert row_of(run, peer(behind(serve_tls(pair), reset)), "imap+tls", "wants the header")["pin"] == pair.pin


def test_certificate_with_many_names(run, peer, ca):
    pair = ca.issue(*[f"name{i}.example.org" for i in range(100)])
    ran = patient(run, "probe", "127.0.0.1", "--port", f"{peer(serve_tls(pair))}=http+tls", good=lambda ran: pair.pin in ran.out)
    assert "name0.example.org" in ran.out and "name3.example.org, ..." in ran.out and pair.pin in ran.out


def test_tls_13_only(run, peer, ca):
    pair = ca.issue("mail.example.org")
    row = row_of(run, peer(serve_tls(pair, ssl.TLSVersion.TLSv1_3)), "imap+tls", "plain")
    assert "alert 70" in row["said"] and row["pin"] is None


def test_host_is_named(run, peer):
    """In the ClientHello (an address is not), and in the request of HTTP."""
    seen = {}

    def keep(name):
        def act(sock):
            seen[name] = sock.recv(4096)
        return act
    tls, http = peer(keep("tls")), peer(keep("http"))
    ports = ("--port", f"{tls}=imap+tls", "--port", f"{http}=http", *SHORT)
    run("probe", NAME, "--resolve", f"{NAME}:1:127.0.0.1", *ports, status=0)
    assert NAME.encode() in seen["tls"] and f"Host: {NAME}\r\n".encode() in seen["http"]
    run("probe", "127.0.0.1", *ports, status=0)
    assert b"127.0.0.1" not in seen["tls"] and b"Host: 127.0.0.1\r\n" in seen["http"]


def test_rows_as_they_are_known(run, peer):
    """On a terminal: the one that speaks is shown while the other is waited for."""
    go_on = threading.Event()

    def late(sock):
        go_on.wait(60)
        says(IMAP[0])(sock)
    slow, quick = peer(late), peer(says(IMAP[0]))
    ours, theirs = pty.openpty()
    process = run.start("probe", "127.0.0.1", "--port", f"{slow}=imap", "--port", f"{quick}=imap", "--silence", "100",
                        "--max-time", "0", stdout=theirs)
    os.close(theirs)
    text = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            text += os.read(ours, 4096)
        except OSError:
            break
        if b"* OK hi" in text:
            go_on.set()  # so the first row was there while the other port still said nothing
    os.close(ours)
    run.finish(process, status=0)
    assert text.index(f":{quick} ".encode()) < text.index(f":{slow} ".encode())
    assert text.count(b"ADDRESS") == 1 and text.count(b"127.0.0.1:") == 2


# What is expected

def test_expect(run, peer):
    plain, wants, silent = peer(says(IMAP[0])), peer(behind(answers(*IMAP))), peer(hold)
    inside = ("--proxy", "127.0.0.0/8")

    def expect(state, *ports, words, status, args=inside):
        named = [word for port in ports for word in ("--port", f"{port}=imap")]
        return patient(run, "probe", "127.0.0.1", *named, "--expect", state, *args, status=status,
                       good=lambda ran: words in ran.said)
    for state in ("staged", "rolled-back"):
        expect(state, plain, words=f"All is as expected: {state}.", status=0)
        expect(state, plain, wants, words="wants the header: the server was", status=6)
        expect(state, plain, words="which is not in 192.0.2.1/32", status=6, args=("--proxy", "192.0.2.1"))
        expect(state, plain, silent, words="says nothing", status=6)
    expect("cutover", wants, words="All is as expected: cutover.", status=0)
    expect("cutover", wants, words="cutover", status=0, args=())
    expect("cutover", wants, plain, status=6,
           words=f"{plain} is plain: the server was not restarted since staging, or it does not see this host as 127.0.0.0/8")
    expect("cutover", wants, free_port(), words="nothing listens here", status=6)
    patient(run, "probe", "127.0.0.1", "--port", f"{peer(says(SMTP[0]))}=smtp", "--expect", "cutover", status=6,
            good=lambda ran: "No port wants the header" in ran.err)


def named_ports(*ports):
    return [word for port in ports for word in ("--port", f"{port}=imap")]


def test_same_thing_is_said_once(run, peer):
    """With the ports of which it is true; and nine ports that are plain show one cause."""
    first, second, wants = peer(says(IMAP[0])), peer(says(IMAP[0])), peer(behind(answers(*IMAP)))
    where = ("probe", "127.0.0.1", *named_ports(first, second, wants, free_port()), "--expect", "cutover")
    ran = patient(run, *where, "--proxy", "127.0.0.1", status=6, good=lambda ran: ran.err.count("\n") == 2)
    assert f"Each of {first}, {second} is plain: the server was not restarted" in ran.err


def test_from_outside(run, peer):
    """All is plain there, and the server is not accused. If it wants a header there, another cause has to be looked for."""
    first, second, wants = peer(says(IMAP[0])), peer(says(IMAP[0])), peer(behind(answers(*IMAP)))
    outside = ("--expect", "cutover", "--proxy", "192.0.2.1", "--proxy", "192.0.2.2")
    why = "This host's address is 127.0.0.1, which is not in 192.0.2.1/32 or 192.0.2.2/32: "
    ran = run("probe", "127.0.0.1", *named_ports(first, second), *outside, status=6)
    assert f"{why}from there all ports are plain" in ran.err and ran.err.count("\n") == 1
    ran = patient(run, "probe", "127.0.0.1", *named_ports(wants), *outside)
    why += "if a port wants the header all the same, NAT is in between, or an earlier stage still runs."
    assert f"warning: {why}" in ran.err and ran.err.count("\n") == 1
    assert "All is as expected: cutover." in ran.out
    ran = patient(run, "probe", "127.0.0.1", *named_ports(first, wants), *outside, status=6,
                  good=lambda ran: why in ran.err)
    assert f"{first} is plain: the server was not restarted since staging" in ran.err
    patient(run, "probe", "127.0.0.1", *named_ports(first, wants), "--expect", "staged", *outside[2:], status=6,
            good=lambda ran: f"{wants} wants the header: the server was" in ran.err and why in ran.err)


def has_route(address):
    """Without sending anything."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        return sock.connect_ex((address, 9)) == 0


def test_of_the_usual_ten_only_25_has_to_be_there(run, peer):
    if not can_bind():
        pytest.skip("port 25 can't be had")
    peer(behind(answers(*IMAP)), OLD, 143)
    ran = patient(run, "probe", OLD, "--expect", "cutover", status=6, good=lambda ran: "wants the header" in ran.out)
    assert "25 is closed: nothing listens here" in ran.err and ran.err.count("is closed") == 1
    assert ran.out.count(" closed") == 9  # they are shown
    peer(says(SMTP[0]), OLD, 25)
    patient(run, "probe", OLD, "--expect", "cutover")


def test_table(run, peer, ca):
    """What a person reads: port, protocol, verdict and what it said, the name in the greeting, the certificate."""
    pair = ca.issue("mail.example.org")
    smtp, tls = peer(says(SMTP[0])), peer(behind(serve_tls(pair), reset))
    ran = patient(run, "probe", "127.0.0.1", "--port", f"{smtp}=smtp", "--port", f"{tls}=imap+tls",
                  good=lambda ran: "wants the header" in ran.out)
    rows = [line.split(None, 2) for line in ran.out.splitlines()]
    assert [f"127.0.0.1:{smtp}", "smtp", "plain             220 mail.example.org ESMTP"] in rows
    assert [f"127.0.0.1:{tls}", "imap+tls", "wants the header  TLS"] in rows
    assert "  its name: mail.example.org\n" in ran.out
    assert re.search(rf"  certificate: mail.example.org; last day \d\d\d\d-\d\d-\d\d; {re.escape(pair.pin)}\n", ran.out)
    row, _ = probe(run, smtp, "smtp", status=0)
    assert row["host"] == "mail.example.org"


def test_address_without_a_route_does_not_count(run, peer):
    """The name has an IPv6 address, and this host has no IPv6: the proxy has none either."""
    if has_route("2001:db8::1"):
        pytest.skip("there is a route")
    port = peer(behind(answers(*IMAP)))
    where = ("--resolve", f"{NAME}:1:127.0.0.1,2001:db8::1", "--port", f"{port}=imap", "--expect", "cutover")
    ran = patient(run, "probe", NAME, *where, "--json")
    assert [(row["verdict"], row["expected"]) for row in ran.json["ports"]] == [
        ("wants the header", "wants the header"), ("silent", None)]
    assert "unreachable" in patient(run, "probe", NAME, *where).out


def test_quiet(run, peer):
    ran = run("probe", "127.0.0.1", "--port", f"{peer(says(IMAP[0]))}=imap", "-q", "--expect", "cutover", status=6)
    assert ran.out == "" and "is plain" in ran.err


def test_no_secret_is_needed(run, peer):
    """$STALPREP_PASSWORD is not used."""
    ran = run("probe", "127.0.0.1", "--port", f"{peer(says(IMAP[0]))}=imap", "-v", status=0)
    assert "Confined by the kernel" in ran.err


WRONG = [
    ((), "HOST is missing"), (("a", "b"), "takes no"), (("https://mail.internal",), "is not a host"),
    (("mail.internal:443",), "is not a host"), (("",), "is not a host"), (("[]",), "is not a host"),
    (("127.0.0.1", "--port", "imap"), "PORT=PROTOCOL"), (("127.0.0.1", "--port", "0=imap"), "PORT=PROTOCOL"),
    (("127.0.0.1", "--port", "65536=imap"), "PORT=PROTOCOL"), (("127.0.0.1", "--port", "143=imap+"), "PORT=PROTOCOL"),
    (("127.0.0.1", "--port", "143=imap+tls+tls"), "PORT=PROTOCOL"), (("127.0.0.1", "--port", "143=jmap"), "managesieve"),
    (("127.0.0.1", "--expect", "done"), "rolled-back"), (("127.0.0.1", "--expect", "staged"), "--proxy"),
    (("127.0.0.1", "--silence", "0"), "--silence"), (("127.0.0.1", "--url", "https://a"), "--url"),
    (("127.0.0.1", "-q", "-v"), "--quiet"), (("127.0.0.1", "--snapshot", "absent"), "no snapshot"),
]


@pytest.mark.parametrize("args,words", WRONG)
def test_wrong(run, args, words):
    ran = run("probe", *args, status=2)
    assert words in ran.err and ran.err.count("\n") == 1


# What real servers answered

PLAIN_PORTS = {25: "smtp", 587: "smtp", 143: "imap", 110: "pop3", 4190: "managesieve", 8080: "http"}


def recorded(version):
    """{port: {what was sent first: what came}} of the scenario, after the restart."""
    found = {}
    for step in test_oldserver.RECORDED[version]["cutover"]["steps"]:
        if step["do"] == "connect":
            found.setdefault(step["port"], {})[step["sent_first"]] = step.get("got", step.get("failure"))
        if step["do"] == "restart" and found.get(8080):
            break
        if step["do"] == "restart":
            found = {}
    return found


def play(answer, protocol):
    """A recorded answer; a command behind it gets its good reply."""
    reply = {"smtp": SMTP, "imap": IMAP, "pop3": POP3, "managesieve": SIEVE}.get(protocol)
    if answer.startswith("TimeoutError"):
        return hold
    if answer.startswith("ConnectionResetError"):
        return reset
    if not answer:
        return lambda sock: None
    if not answer.endswith("\n") and protocol == "managesieve":
        answer += '"\r\nOK "hi"\r\n'  # the record ends there
    return answers(answer.encode(), *([reply[1]] if reply else []))


@pytest.mark.skipif(REAL is not None, reason="of recorded servers")
@pytest.mark.parametrize("version", test_oldserver.VERSIONS)
def test_recorded(run, peer, version):
    args, wanted = [], []
    for port, said in recorded(version).items():
        protocol = PLAIN_PORTS.get(port)
        if not protocol:
            assert said["plain"].startswith("ConnectionResetError")
            continue
        act = (says(said["plain"].encode()) if said["plain"].startswith("220")
               else behind(play(said["PROXY v2 LOCAL"], protocol), play(said["plain"], protocol)))
        args += ["--port", f"{peer(act)}={protocol}"]
        wanted.append("plain" if port == 25 else "wants the header")
    assert len(wanted) == len(PLAIN_PORTS)
    patient(run, "probe", "127.0.0.1", "--json", *args, good=lambda ran: [row["verdict"] for row in ran.json["ports"]] == wanted)


@pytest.mark.skipif(REAL is not None, reason="of recorded servers")
@pytest.mark.parametrize("version", test_oldserver.VERSIONS)
def test_recorded_port_25_behind_a_header(run, peer, version):
    """It greets too, if it gets a header: so one that is late must not count as wanting it."""
    said = recorded(version)[25]["PROXY v2 LOCAL"]
    row_of(run, peer(behind(answers(said.encode(), (b"NOOP\r\n", ERRORS)))), "smtp", "plain")


# A server, from the first stage to the way back

OLD = "127.0.0.1" if REAL else f"127.0.0.{77 + int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])}"  # each worker has its own


def everywhere(version):
    """The default listeners, on an address of their own."""
    return config(*[listener(name, port, protocol, bind=f"{OLD}:{port}", **({"tls.implicit": True} if tls else {}))
                    for name, port, protocol, tls in DEFAULT_LISTENERS if protocol != "pop3" or version >= "0.10"])


def can_bind(port=25):
    try:
        socket.create_server((OLD, port)).close()
    except OSError:
        return False
    return True


def verdicts(ran):
    return {row["port"]: row["verdict"] for row in ran.json["ports"]}


@pytest.mark.parametrize("version", VERSIONS)
def test_cutover_and_back(run, serve, version):
    if not can_bind():
        pytest.skip("port 25 can't be had")
    server = serve(version, config=everywhere(version), **({} if REAL else {"map_ports": False, "listeners": True}))
    url = ("--url", f"http://{OLD}:8080", "--snapshot", "snap")
    inside = ("--snapshot", run.folder / "snap")

    def expect(state, status, *args):
        time.sleep(1.1 if REAL else 0)  # it takes five connections to SMTP in a second
        return patient(run, "probe", OLD, "--expect", state, "--json", *(args or inside), status=status)
    run("stage", *url, "--proxy", "127.0.0.0/8", "--public-url", "https://mail.example.org", status=0)
    ran = expect("staged", 0)
    assert set(verdicts(ran).values()) == {"plain"} and len(verdicts(ran)) >= 8 and ran.json["headers"] == 0
    assert expect("cutover", 6).json["headers"] == 0
    assert server.restart()
    ran = expect("cutover", 0)
    assert verdicts(ran).pop(25) == "plain" and ran.json["headers"] == 0
    assert {verdict for port, verdict in verdicts(ran).items() if port != 25} == {"wants the header"}
    assert {row["pin"] for row in ran.json["ports"] if row["tls"]} != {None}
    expect("cutover", 0, "--proxy", "127.0.0.0/8")  # by the rules, without the snapshot
    assert verdicts(expect("rolled-back", 6)) == verdicts(ran)
    run("clear", *url, "--haproxy-protocol", status=0)
    cleared, = run.folder.glob("snap*")
    expect("rolled-back", 6, "--snapshot", cleared)
    assert server.restart()
    assert set(verdicts(expect("rolled-back", 0, "--snapshot", cleared)).values()) == {"plain"}


def test_port_25_behind_the_proxy_is_seen(run, simulate):
    if not can_bind():
        pytest.skip("port 25 can't be had")
    simulate("0.15.5", config=config('[server.proxy]\ntrusted-networks = "127.0.0.0/8"\n',
                                     listener("smtp", 25, "smtp", bind=f"{OLD}:25"),
                                     listener("http", 8080, "http", bind=f"{OLD}:8080")),
             map_ports=False, listeners=True)
    words = "25 wants the header: the new server's relay sends none and stalls here"
    patient(run, "probe", OLD, "--expect", "cutover", status=6, good=lambda ran: words in ran.err)


def test_ban(run, simulate):
    """Every connection ends: that is told apart from silence."""
    server = simulate(listeners=True)
    server.banned = True
    row_of(run, server.port(143), "imap", "refuses")


# Snapshots

def write_snapshot(run, simulate, *parts, args=()):
    """The snapshot of a server that has these listeners, by a stage."""
    server = simulate(config=config(listener("mx", 25, "smtp", bind="127.0.0.9:25"), *parts))
    run("stage", "--url", server.http_url, "--proxy", "127.0.0.0/8", "--only", "listeners", "--snapshot", "snap",
        *args, status=0)
    return run.folder / "snap"


def test_snapshot_of_somebody_else(run, simulate):
    path = write_snapshot(run, simulate, listener("http", 8080, "http"))
    path.chmod(0o666)
    ran = run("probe", "127.0.0.1", "--snapshot", path, status=1)
    assert "is not used" in ran.err and ran.out == ""


def test_snapshot_tells_the_listeners(run, simulate, peer):
    """Each bind is a row; what the stage left is shown and not judged, but port 25 must be plain."""
    wants, left = peer(behind(answers(*IMAP))), peer(hold)
    path = write_snapshot(
        run, simulate, listener("http", 8080, "http"), listener("a", wants, "imap"),
        listener("b", left, "imap"), listener("c", 1, "imap", bind="%{env:X}%"), args=("--leave", "b"))
    ran = patient(run, "probe", "127.0.0.1", "--snapshot", path, "--expect", "cutover", "--json", status=6,
                  good=lambda ran: "wants the header" in {row["verdict"] for row in ran.json["ports"]})
    rows = {row["listener"]: row for row in ran.json["ports"]}
    assert rows["a"]["verdict"] == rows["a"]["expected"] == "wants the header"
    assert rows["b"]["verdict"] == "silent" and rows["b"]["expected"] is None
    assert 'Listener \\"c\\" is not looked at' in ran.out and "8080 (http) is closed: nothing listens here" in ran.out


def test_listener_of_another_address(run, simulate, peer):
    """One that binds another address only is closed here, which is as it should be."""
    wants = peer(behind(answers(*IMAP)))
    path = write_snapshot(run, simulate, listener("http", 8080, "http", bind="127.0.0.9:8080"), listener("a", wants, "imap"))
    patient(run, "probe", "127.0.0.1", "--snapshot", path, "--expect", "cutover")


HERE, ELSEWHERE = "127.0.0.2", "127.0.0.1"  # where it is probed, and a loopback address that is not that


@pytest.mark.parametrize("left", ["local", "zlocal"])
@pytest.mark.parametrize("bind", [ELSEWHERE, "10.0.0.2"])
def test_listeners_of_one_port(run, simulate, peer, left, bind):
    """The one that was put behind the proxy counts, before or after the other one."""
    wants, plain = peer(behind(answers(*IMAP)), HERE), peer(says(IMAP[0]), HERE)
    path = write_snapshot(
        run, simulate, listener("http", 8080, "http", bind=f"{ELSEWHERE}:8080"), listener("a", wants, "imap"),
        listener(left, plain, "imap", bind=f"{bind}:{plain}"), listener("public", plain, "imap", bind=f"10.0.0.1:{plain}"),
        args=("--leave", left))
    patient(run, "probe", HERE, "--snapshot", path, "--expect", "cutover", status=6,
            good=lambda ran: f"{plain} (public) is plain: " in ran.err)


def test_listener_of_both_loopback_addresses(run, simulate, peer):
    """It can't be reached from elsewhere, so that it is closed counts for nothing."""
    wants, closed = peer(behind(answers(*IMAP)), HERE), free_port()
    path = write_snapshot(run, simulate, listener("http", closed, "http", bind=[f"{ELSEWHERE}:{closed}", f"[::1]:{closed}"]),
                          listener("a", wants, "imap"))
    patient(run, "probe", HERE, "--snapshot", path, "--expect", "cutover")


def test_listener_of_unknown_port(run, simulate, peer):
    """All is not as expected before its port is named; then it is judged as any other that was put behind the proxy."""
    wants, plain, odd = peer(behind(answers(*IMAP)), HERE), peer(says(SMTP[0]), HERE), peer(behind(answers(*SMTP)), HERE)
    path = write_snapshot(
        run, simulate, listener("http", 8080, "http", bind=f"{ELSEWHERE}:8080"), listener("a", wants, "imap"),
        listener("odd", 1, "smtp", bind=["[::]:%{env:PORT}%", "0.0.0.0:%{env:PORT}%"]),
        args=("--also", "odd", "--relay-listener", "mx"))

    def expect(status, *args, good):
        return patient(run, "probe", HERE, "--snapshot", path, "--expect", "cutover", *args, status=status, good=good)
    words = 'Listener "odd" is not looked at'
    expect(6, good=lambda ran: words in ran.err and "wants the header" in ran.out)
    expect(6, "-q", good=lambda ran: words in ran.err)
    expect(6, "--port", f"{wants}=imap", good=lambda ran: words in ran.err)  # that is another one
    expect(6, "--port", f"{plain}=smtp", good=lambda ran: f"{plain} is plain: the server" in ran.err and words not in ran.err)
    expect(0, "--port", f"{odd}=smtp", good=lambda ran: ran.err == "")


def test_relay_listener_of_unknown_port(run, simulate, peer):
    wants, plain, header = peer(behind(answers(*IMAP)), HERE), peer(says(SMTP[0]), HERE), peer(behind(answers(*SMTP)), HERE)
    path = write_snapshot(
        run, simulate, listener("http", 8080, "http", bind=f"{ELSEWHERE}:8080"), listener("a", wants, "imap"),
        listener("odd", 1, "smtp", bind="[::]:%{env:PORT}%"), args=("--relay-listener", "odd"))
    for ports, status, words in (((), 6, 'Listener "odd" is not looked at'), ((plain,), 0, ""), ((header,), 6, "relay sends none")):
        named = [word for port in ports for word in ("--port", f"{port}=smtp")]
        patient(run, "probe", HERE, "--snapshot", path, "--expect", "cutover", *named, status=status,
                good=lambda ran, words=words: words in ran.err if words else ran.err == "")


def test_listener_that_is_named_too(run, simulate, peer):
    """It is judged all the same."""
    wants, plain = peer(behind(answers(*IMAP)), HERE), peer(says(SMTP[0]), HERE)
    path = write_snapshot(run, simulate, listener("http", 8080, "http", bind=f"{ELSEWHERE}:8080"), listener("a", wants, "imap"),
                          listener("odd", plain, "smtp"), args=("--also", "odd"))
    patient(run, "probe", HERE, "--snapshot", path, "--port", f"{plain}=smtp", "--expect", "cutover", status=6,
            good=lambda ran: f"{plain} is plain: " in ran.err)


def test_json_is_one_object(run, peer):
    ran = run("probe", "127.0.0.1", "--port", f"{peer(says(IMAP[0]))}=imap", "--json", status=0)
    assert set(json.loads(ran.out)) == {"command", "exit", "changed", "messages", "expect", "headers", "ports"}
    assert ran.err == ""


def test_program_is_confined(run, peer):
    """What follows a hostile answer can open no file and connect to no other port."""
    came = threading.Event()
    process = run.start("probe", "127.0.0.1", "--port", f"{peer(tell(came))}=imap", "--silence", "100", "--max-time", "0")
    assert came.wait(60)
    with open(f"/proc/{process.pid}/status") as lines:
        status = dict(line.split(":", 1) for line in lines if ":" in line)
    process.kill()
    process.communicate()
    assert status["NoNewPrivs"].strip() == "1"
