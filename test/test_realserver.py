"""The simulator beside a real older server ($STALWART, see realserver.py): the same in, the same out.

What the transcripts do not cover: odd HTTP, config.toml's odd corners, the server's own rewrite,
patterns and left-overs, a reload's errors, PROXY headers, mail protocols. The random ones have fixed seeds.
"""

import base64
import contextlib
import http.client
import json
import os
import random
import re
import socket
import ssl
import subprocess

import pytest

import oldlisteners
import oldserver
import realserver
from conftest import BINARY, TIMEOUT, dialect_of
from test_readers import read as read_records

pytestmark = pytest.mark.skipif(not realserver.binary(), reason="STALWART is not set")
SILENCE = 0.4
LOGIN = b"Authorization: Basic YWRtaW46czNjcmV0LVBhc3M=\r\n"
RANDOM_KEYS = ("oauth.key", "cluster.key")


class Pair:
    """A real server and a simulated one with the same configuration (FOLDER in it is each one's own)."""

    def __init__(self, folder, certificate, config=None):
        self.version_name = realserver.version_name()
        self.version = oldserver.parse_version(self.version_name)
        self.folders = [str(folder / "real"), str(folder / "simulated")]
        for path in self.folders:
            os.mkdir(path)
        cert, key = certificate
        config = config or oldserver.default_config(self.version_name, "FOLDER", cert, key)
        self.config = config
        first, second = (config.replace("FOLDER", path) for path in self.folders)
        self.real = realserver.RealServer(self.folders[0], first, certfile=cert, keyfile=key)
        self.simulated = oldserver.OldServer(self.version_name, self.folders[1], second, certfile=cert, keyfile=key,
                                             listeners=True, hostname=socket.gethostname())
        self.both = (self.real, self.simulated)

    def __enter__(self):
        self.simulated.start()
        self.real.start()
        self.calm()
        return self

    def __exit__(self, *_):
        for server in self.both:
            server.stop()

    def calm(self):
        """realserver.py takes the name that no DNS resolves out of the real one."""
        if self.version >= (0, 11) and self.simulated.boots:
            self.simulated.request("POST", "/api/settings", self.changes(
                {"type": "insert", "values": [["spam-filter.pyzor.enable", "false"]], "assert_empty": False}))

    def changes(self, *changes):
        if self.version < (0, 11):
            return [{**change, "type": change["type"].capitalize()} for change in changes]
        return list(changes)

    def same(self, see):
        """What the simulated one shows, if the real one shows it too."""
        real, simulated = see(self.real), see(self.simulated)
        assert simulated == real
        return real

    def ask(self, method, path, body=None):
        def see(server):
            status, _, answer = server.request(method, path, body)
            try:
                return status, without_random(json.loads(answer))
            except ValueError:
                return status, answer
        return self.same(see)

    def change(self, *changes):
        return self.ask("POST", "/api/settings", self.changes(*changes))

    def insert(self, *pairs):
        return self.change({"type": "insert", "values": list(map(list, pairs)), "assert_empty": False})

    def state(self):
        self.same(lambda server: without_random(server.settings()))
        self.same(self.file)

    def file(self, server):
        text = server.config_text().replace(server.folder, "FOLDER")
        return re.sub("(?m)^(oauth|cluster).key = .*", "", text)

    def restart(self, text=None):
        """Kills: a proper end takes a second. Gives whether they boot."""
        if self.real.process:
            self.real.process.kill()
        for server in self.both:
            server.stop()
            if text is not None:
                with open(server.config_path, "w", encoding="utf-8", newline="") as file:
                    file.write(text.replace("FOLDER", server.folder))
        boots = self.same(lambda server: server.restart())
        self.calm()
        return boots


def without_random(value):
    if isinstance(value, dict):
        return {key: without_random(part) for key, part in value.items()
                if key not in RANDOM_KEYS and not str(part).endswith(("/data/index.sqlite3", "/logs"))}
    return value


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "30", "-subj", "/CN=localhost"], check=True,
                   capture_output=True)
    return str(cert), str(key)


@pytest.fixture
def pair(tmp_path, certificate):
    with Pair(tmp_path, certificate) as made:
        yield made


def exchange(port, text):
    """All that comes until silence, an end or an error."""
    with socket.create_connection(("127.0.0.1", port), timeout=SILENCE) as sock:
        got = b""
        try:
            sock.sendall(text)
            while more := sock.recv(65536):
                got += more
            got += b"<end>"
        except OSError as error:
            got += f"<{type(error).__name__}>".encode()
    return re.sub(rb"date: .*? GMT", b"date", got)


# HTTP

READ = b"/api/settings/keys?keys=zz.a"
HTTP = {
    "chunked": b"POST /api/settings HTTP/1.1\r\n" + LOGIN + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
    "head": b"HEAD %s HTTP/1.1\r\n%s\r\n" % (READ, LOGIN),
    "lower case": b"get %s HTTP/1.1\r\n%s\r\n" % (READ, LOGIN),
    "whole URL": b"GET http://x%s HTTP/1.1\r\n%s\r\n" % (READ, LOGIN),
    "no version": b"GET %s\r\n\r\n" % READ,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "line feeds": b"GET %s HTTP/1.1\n%s\n" % (READ, LOGIN),
    "blank lines first": b"\r\n\r\nGET %s HTTP/1.1\r\n%s\r\n" % (READ, LOGIN),
    "1.0 kept": b"GET %s HTTP/1.0\r\nConnection: keep-alive\r\n%s\r\n" % (READ, LOGIN),
    "close": b"GET %s HTTP/1.1\r\nConnection: close\r\n%s\r\n" % (READ, LOGIN),
    "percent": b"GET /api/settings/keys?keys=zz%%2Ea HTTP/1.1\r\n%s\r\n" % LOGIN,
    "plus": b"GET /api/settings/keys?keys=zz.a+ HTTP/1.1\r\n%s\r\n" % LOGIN,
    "keys twice": b"GET %s&keys=b HTTP/1.1\r\n%s\r\n" % (READ, LOGIN),
    "blank in target": b"GET %s b HTTP/1.1\r\n%s\r\n" % (READ, LOGIN),
    "other bytes in target": b"GET %s\xc3\xbc HTTP/1.1\r\n%s\r\n" % (READ, LOGIN),
    "quote in target": b"GET %s\" HTTP/1.1\r\n%s\r\n" % (READ, LOGIN),
    "longest target": b"GET /%s HTTP/1.1\r\n\r\n" % (b"a" * 65533),
    "longer target": b"GET /%s HTTP/1.1\r\n\r\n" % (b"a" * 65534),
    "longest head": b"GET %s HTTP/1.1\r\nX: %s\r\n%s\r\n" % (READ, b"a" * 400000, LOGIN),
    "100 headers": b"GET %s HTTP/1.1\r\n%s%s\r\n" % (READ, LOGIN, b"X: a\r\n" * 99),
    "101 headers": b"GET %s HTTP/1.1\r\n%s%s\r\n" % (READ, LOGIN, b"X: a\r\n" * 100),
    "odd length": b"POST /api/settings HTTP/1.1\r\n" + LOGIN + b"Content-Length: x\r\n\r\n[]",
    "two lengths": b"POST /api/settings HTTP/1.1\r\n" + LOGIN + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
    "no length": b"POST /api/settings HTTP/1.1\r\n" + LOGIN + b"\r\n",
    "expect, no login": b"POST /api/settings HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    "expect": b"POST /api/settings HTTP/1.1\r\n" + LOGIN + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n[]",
    "no login": b"POST /api/settings HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]GET /robots.txt HTTP/1.1\r\n\r\n",
    "header with blank": b"GET %s HTTP/1.1\r\nHost : x\r\n%s\r\n" % (READ, LOGIN),
    "folded header": b"GET %s HTTP/1.1\r\nHost: x\r\n y\r\n%s\r\n" % (READ, LOGIN),
    "login without padding": b"GET %s HTTP/1.1\r\n%s\r\n" % (READ, LOGIN.replace(b"=", b"")),
    "other scheme": b"GET %s HTTP/1.1\r\nAuthorization: Digest YWRtaW4=\r\n\r\n" % READ,
    "no such API key": b"GET %s HTTP/1.1\r\nAuthorization: Bearer api_YWRtaW46eA==\r\n\r\n" % READ,
    "session, wrong login": b"GET /jmap/session HTTP/1.1\r\nAuthorization: Basic YWRtaW46eA==\r\n\r\n",
    "well-known, no login": b"GET /.well-known/jmap HTTP/1.1\r\n\r\n",
    "/api": b"GET /api HTTP/1.1\r\n%s\r\n" % LOGIN,
    "/api/settings/": b"GET /api/settings/ HTTP/1.1\r\n%s\r\n" % LOGIN,
    "more path": b"GET /api/settings/keys/x?keys=zz.a HTTP/1.1\r\n%s\r\n" % LOGIN,
    "delete": b"DELETE /api/settings/zz%%2Ea HTTP/1.1\r\n%s\r\n" % LOGIN,
    "delete nothing": b"DELETE /api/settings HTTP/1.1\r\n%s\r\n" % LOGIN,
    "post reload": b"POST /api/reload HTTP/1.1\r\n%s\r\n" % LOGIN,
    "options": b"OPTIONS /api/settings HTTP/1.1\r\n\r\n",
}


def test_http(pair):
    pair.insert(("zz.a", "1"))
    for name, text in HTTP.items():
        real, simulated = (exchange(server.port(8080), text) for server in pair.both)
        assert simulated == real, name


# PROXY headers

V2 = oldlisteners.PROXY_V2
PROXIES = [
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN foo bar\r\n",
    b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 70000\r\n", b"PROXY TCP6 ::1 ::2 1 2\r\n",
    b"PROXY TCP4 ::1 ::2 1 2\r\n", b"PROXY TCP4 " + b"1" * 120 + b"\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
    b"PROXY", b"POST / HTTP/1.0\r\n\r\n", V2 + b"\x20\x00\0\0", V2 + b"\x20\x00\0\x03abc", V2 + b"\x21\x00\0\0",
    V2 + b"\x21\x11\0\x0c" + b"\1" * 12, V2 + b"\x21\x11\0\x04\1\2\3\4", V2 + b"\x21\x21\0\x24" + b"\0" * 36,
    V2 + b"\x11\x11\0\0", V2 + b"\x21\x99\0\0", V2 + b"\x22\x11\0\x0c" + b"\0" * 12, V2[:8],
    V2 + b"\x20\x00\x10\0" + b"\0" * 4096, b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00" + b"\0" * 512, b""]


def test_proxy_headers(tmp_path, certificate):
    networks = ["127.0.0.0/8", "127.0.0.1", "::ffff:127.0.0.1", "::/8", "::1", "10.0.0.0/8", "nonsense", "127.0.0.0/7"]
    config = '[server.listener.http]\nbind = "[::]:8080"\nprotocol = "http"\nproxy.trusted-networks = "10.0.0.1"\n'
    for number, network in enumerate(networks):
        config += (f'[server.listener.i{number}]\nbind = "[::]:{2000 + number}"\nprotocol = "imap"\n'
                   f'proxy.trusted-networks = ["{network}"]\n')
    config += '[server.listener.g]\nbind = "0.0.0.0:2100"\nprotocol = "http"\n'
    config += '[server.proxy]\ntrusted-networks = "127.0.0.1"\n'
    with Pair(tmp_path, certificate, config + oldserver.base_config("FOLDER")) as pair:
        for number in range(len(networks)):
            pair.same(lambda server, port=2000 + number: exchange(server.port(port), b""))
        for header in PROXIES:
            pair.same(lambda server, text=header: exchange(server.port(2000), text))
            text = header + b"GET /robots.txt HTTP/1.0\r\n\r\n"
            pair.same(lambda server, text=text: exchange(server.port(2100), text))


# Mail protocols

START_TLS = {"imap": b"s STARTTLS\r\n", "pop3": b"STLS\r\n", "managesieve": b"STARTTLS\r\n", "smtp": b"STARTTLS\r\n"}
SECRET, WRONG = base64.b64encode(b"\0ann\0ann1"), base64.b64encode(b"\0ann\0ann2")
MAIL = [b"MAIL FROM:<a@example.net>\r\n", b"RCPT TO:<nobody@example.org>\r\n", b"RCPT TO:<b@example.net>\r\n",
        b"DATA\r\n", b"RCPT TO:<ann@example.org>\r\n", b"DATA\r\n", b"Subject: a\r\n\r\nb\r\n.\r\n", b"QUIT\r\n"]
HEADER_LINES = V2[2:8] + b"QUI\r\n"
TALKS = [  # (protocol, port, lines; None: TLS from here on)
    ("imap", 143, [b"a CAPABILITY\r\n", b"b LOGIN ann ann1\r\n", b"c STATUS INBOX (MESSAGES)\r\n", b"d\r\n", b"d what\r\n",
                   HEADER_LINES, None,
                   b"e CAPABILITY\r\n", b"f LOGIN ann ann2\r\n", b"g NOOP\r\n", b"h LOGOUT\r\n"]),
    ("pop3", 110, [b"CAPA\r\n", b"USER ann\r\n", b"what\r\n", HEADER_LINES, None, b"CAPA\r\n", b"USER ann\r\n",
                   b"PASS ann1\r\n", b"STAT\r\n"]),
    ("managesieve", 4190, [b'AUTHENTICATE "PLAIN" "' + SECRET + b'"\r\n', b"what\r\n", HEADER_LINES, None,
                           b'AUTHENTICATE "PLAIN" "' + WRONG + b'"\r\n',
                           b'AUTHENTICATE "PLAIN" "' + SECRET + b'"\r\n', b"LOGOUT\r\n"]),
    ("smtp", 25, [b"MAIL FROM:<a@example.net>\r\n", b"EHLO short\r\n", b"EHLO a.example.net\r\n", b"AUTH PLAIN " + SECRET +
                  b"\r\n", None, b"EHLO a.example.net\r\n", b"RCPT TO:<ann@example.org>\r\n", *MAIL]),
    ("smtp", 587, [b"EHLO short\r\n", b"MAIL FROM:<ann@example.org>\r\n", b"AUTH PLAIN " + SECRET + b"\r\n", None,
                   b"EHLO short\r\n", b"AUTH PLAIN " + SECRET + b"\r\n", b"RSET\r\n", b"WHAT\r\n", b"QUIT\r\n"]),
]


def converse(port, protocol, lines):
    """What came before the first line and after each, up to a silence."""
    said = []

    def listen(sock):
        sock.settimeout(10)
        said.append(sock.recv(65536))
        sock.settimeout(0.15)
        with contextlib.suppress(TimeoutError):
            while more := sock.recv(65536):
                said[-1] += more
    sock = socket.create_connection(("127.0.0.1", port), 10)
    listen(sock)
    for line in lines:
        sock.sendall(line or START_TLS[protocol])
        listen(sock)
        if line is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(sock)
            if protocol == "managesieve":
                listen(sock)
    sock.close()
    return [re.sub(rb"with id [0-9a-f]+", b"", re.sub(rb"\[CAPABILITY [^]]*\] (Auth)", rb"\1", text)) for text in said]


def test_mail(pair):
    """What a client or a relay hears in each protocol."""
    for principal in ({"type": "domain", "name": "example.org"}, {
            "type": "individual", "name": "ann", "secrets": ["ann1"], "emails": ["ann@example.org"], "roles": ["user"]}):
        pair.same(lambda server, wanted=principal: server.request("POST", "/api/principal", wanted)[0])
    pair.insert(("session.rcpt.errors.wait", "1ms"), ("session.auth.errors.wait", "1ms"))
    pair.ask("GET", "/api/reload")
    for protocol, port, lines in TALKS:
        real, simulated = (converse(server.port(port), protocol, lines) for server in pair.both)
        assert list(zip(["(greeting)", *lines], simulated)) == list(zip(["(greeting)", *lines], real))


# Reload

def rules(version):
    rule = "queue.strategy.route" if version >= (0, 13) else "queue.outbound.next-hop"
    url = "http.url" if version >= (0, 12) else "server.http.url"
    dkim, networks = "auth.dkim.verify", "server.listener.imap.proxy.trusted-networks"
    for value in ("bogus", "", "'strict'", "true)", "(true", "'x", "#", "len('a', 'b')", "1.2.3"):
        yield {dkim: value}
    yield {dkim + ".0.if": "local_port == 25", dkim + ".0.then": "relaxed"}
    yield {dkim + ".0.then": "relaxed", dkim + ".1.else": "strict"}
    yield {dkim + ".0.else": "relaxed", dkim + ".1.if": "true"}
    yield {dkim + ".0.if": "true", dkim + ".1.else": "strict"}
    yield {dkim + ".x": "1"}
    yield {rule + ".0.if": "is_local_domain('*', rcpt_domain)", rule + ".0.then": "'local'", rule + ".1.else": "'x'"}
    yield {rule + ".0.if": "is_local_domain('*')", rule + ".0.then": "'local'", rule + ".1.else": "'x'"}
    yield {rule + ".0.if": "true", rule + ".0.then": "'a'", rule + ".1.else": "'b'", rule + ".2.else": "'c'"}
    yield {rule: "'x'", rule + ".0.if": "broken("}
    for value in ("https://a.example", "'https://a.example/'", "'https://a.ex", "", "'a' + 'b'", "'http' + 's://'"):
        yield {url: value}
    for value in ("x", "1.2.3.4/33", "1.2.3.4/7", "", "[::1]", "01.2.3.4", " ::1 / 8"):
        yield {networks + ".0": value}
    yield {"server.listener.q.protocol": "imap"}
    yield {"server.listener.q.protocol": "imapx", "server.listener.q.bind": "[::]:1"}
    yield {"server.listener.q.protocol": "IMAP", "server.listener.q.bind": "localhost:1"}
    for name in ("env:NOSUCHVAR", "cfg:no.such", "file:/no/such", "cfg:storage.data"):
        yield {"server.xx": f"%{{{name}}}%"}
    yield {"queue.route.r.type": "relay"}
    yield {"queue.route.r.type": "rel"}
    yield {"remote.r.address": "h", "remote.r.port": "99999"}
    yield {"server.allowed-ip.1.2.3.4": "", "server.blocked-ip.nonsense": ""}


def advertised(server):
    path = "/jmap/session" if server.version >= (0, 12) else "/.well-known/jmap"
    try:
        return re.findall(rb'"apiUrl":"([^"]*)"', server.request("GET", path)[2])
    except http.client.HTTPException as error:
        return type(error).__name__


def test_reload(pair):
    for values in rules(pair.version):
        pair.insert(*values.items())
        pair.ask("GET", "/api/reload?dry-run=1")
        pair.ask("GET", "/api/reload")
        pair.same(advertised)
        pair.change({"type": "delete", "keys": list(values)})
    pair.state()


# Settings and their patterns

PATTERNS = ["*", "server.*", "server.listener.*", "!server.listener.*", "!SERVER.listener.*", " zz.* ", "*.zz", "a*b.c",
            "a?b", "!zz.q", "config.local-keys.*", "", "!", "! zz.*", "z*z*", "*z*", "!*", "Zz.*", "queue.*"]
KEYS = ["zz.a", "zz.b", "zz.q", "zz", "ZZ.a", "a.zz", "aXb.c", "aYb", "server.q.a", "server.q.b", "server.listener.q.x",
        "server.blocked-ip.1.2.3.4", "plain.a", "plain.ab", "config.local-keys.x", "cluster.key2",
        "lookup.default.hostname", "queue.q.a", "store.s.x", "z*zq", "storage.z", "session.z.0.if"]


def random_change(chance):
    kind, keys = chance.random(), [chance.choice(KEYS) for _ in range(chance.randint(1, 3))]
    if kind < 0.5:
        return {"type": "insert", "prefix": chance.choice([None, None, "zz"]), "assert_empty": chance.random() < 0.2,
                "values": [[key, chance.choice("12v")] for key in keys]}
    if kind < 0.75:
        return {"type": "delete", "keys": keys}
    if kind < 0.9:
        return {"type": "clear", "prefix": chance.choice(["zz", "server.q", "plain.a", "aX", "queue.q", "config.lo"])}
    return {"type": "clear", "prefix": chance.choice(["zz", "plain"]), "filter": chance.choice("1a")}


@pytest.mark.parametrize("seed", range(8))
def test_settings(tmp_path, certificate, seed):
    chance = random.Random(seed)
    config = oldserver.default_config(realserver.version_name(), "FOLDER", *certificate)
    if seed:
        chosen = [*chance.sample(PATTERNS, chance.randint(1, 6)), "storage.*", "store.*", "directory.*"]
        config += "\n[config]\nlocal-keys = [" + ", ".join(f'"{pattern}"' for pattern in chosen) + "]\n"
    config += '\n[zz]\nq = "file"\n[plain]\na = "file"\n'
    with Pair(tmp_path, certificate, config) as pair:
        for _ in range(15):
            pair.change(random_change(chance))
            if chance.random() < 0.1:
                pair.ask("GET", "/api/reload")
            if chance.random() < 0.1:
                assert pair.restart()
            pair.ask("GET", "/api/settings/keys?keys=" + ",".join(KEYS))
            pair.ask("GET", "/api/settings/keys?prefixes=zz,server.q,,plain.")
            pair.ask("GET", "/api/settings/group?prefix=zz&suffix=a")
            pair.ask("GET", "/api/settings/list?prefix=plain&limit=1")
            pair.state()


# config.toml, written by hand and by the server

HEADERS = ["", "", "[tab]\n", "[TAb.x]\n", "[[arr]]\n", '[a."B c"]\n', "# c\n", "[x] junk\n", "[ y . z ]\n", '["q"]\n',
           "[]\n"]
NAMES = ["k%d", "zz.k%d", '"k %d"', "K%d", 'k%d"x y"', "1%d", '"a\\"%d"', "k %d", '"a*%d"', "a:%d", '"a=%d"', "é%d"]
VALUES = ['"v"', "'v'", '""', "1", "true", "1.5e3", '"a\\tb"', '"a\\\\nb"', "'a\\nb'", "[1,2]", "[]", '["a",]',
          '[["a"],["b"]]', "{a=1,b={c=2}}", "{}", "{a,b}", '"""a\nb"""', "'''a''b'''", '"""\r\na"""', '"a\nb"', "a b",
          '"x" # c', '"x"y', "[ # c\n1 # d\n, 2]", '"%{cfg:storage.data}%"', "+1", "1_000", "[[[[[[[[[[1]]]]]]]]]]",
          '"ü"', '"x\\\\"']
ENDS = ["\n", "\n", "\r\n", "", " \n", "  # x\n"]


def random_text(chance):
    parts = [[HEADERS], [NAMES], [[" = ", "=", " =\t"]], [VALUES], [ENDS]]
    return "".join(chance.choice(choices[0]).replace("%d", str(number)) for number in range(chance.randint(1, 4))
                   for choices in parts)


@pytest.mark.parametrize("seed", range(4))
def test_config_by_hand(pair, seed):
    chance = random.Random(seed)
    for _ in range(15):
        text = random_text(chance)
        if pair.restart(pair.config + "\n" + text if chance.random() < 0.5 else text + "\n" + pair.config):
            pair.state()


AWKWARD = ["true", "True", "1", "1e5", "+1", ".5", "inf", "NaN", "1_0", "٣", "1 ", "", "-", 'a"b', "a\\", "a\nb", "\t",
           "'''", "ü"]
AWKWARD_KEYS = ["server.zz.%d", "server.z z.%d", "server.zz:%d", 'certificate."q".%d', "server.ü%d", "server.=x%d",
                "server.zz\t%d", "server.zz\n%d", "server.#%d", "tracer.x,%d}", "plain.%d"]


@pytest.mark.parametrize("seed", range(4))
def test_config_by_the_server(pair, seed):
    chance = random.Random(seed)
    for _ in range(10):
        names = AWKWARD_KEYS if chance.random() < 0.5 else AWKWARD_KEYS[:1]
        keys = [chance.choice(names) % number for number in range(2)]
        pair.insert(*((key, chance.choice(AWKWARD) + chance.choice(["", "y" * 50]) + chance.choice(AWKWARD))
                      for key in keys))
        pair.state()
        if pair.restart():
            pair.state()
        pair.restart(pair.config)
        pair.change(*({"type": "clear", "prefix": key} for key in keys))


# config.toml as the program reads and edits it

ODD_TEXTS = [  # in front of the server's own; behind it what opens a table, and what has no line end
    "zz.a = 1\r\n", '"zz.a b" = "x"\n', "zz . a = 'x'\n", 'zz.a = "a\\tb\\\\nc"\n', "zz.a = 'it\\'s'\n",
    'zz.a = """\na"b\n"""\n',
    'zz.a = """\r\na"""\n', "zz.a = '''a''b'''\n", 'zz.a = "one\nline"\n', "zz.a = [1, [2, 3], {a = 1, b}]\n",
    "zz.a = {b, c}\n",
    "zz.a = [ # c\n 1, # d\n]\n", "zz.a = +1.5e3\n", "zz.a = %{env:PATH}%\n", 'zz.a = "%{env:NONE}%"\n',
    "zz.a:b = 1\n", "zz.ä = 1\n",
    "zz.a = ä\n", '"" \n\n zz.a = 1\n', "\ufeffzz.a = 1\n", 'zz.a = 1\nzz."a" = 2\n', "zz.a = 1 2\n", "zz.a = \n1\n",
    "zz.a\n= 1\n",
    'zz.a = "x\\\\"\n', "zz.a = [[[[[[[[[[1]]]]]]]]]]\n", "zz.a = [[[[[[[[[1]]]]]]]]]\n", "zz.a = {}\n", "zz.a = []\n",
    "-zz = 1\n",
    "[zz] junk\na = 1\n", "[ZZ.Ab]\nCd = 1\n", '[zz."A b"]\na = 1\n', '["zz"]\na = 1\n',
    "[[zz]]\na = 1\n[[zz]]\na = 2\n[[yy]]\na = 3\n", "[[zz]]\na = 1\n[[yy]]\na = 3\n[[zz]]\na = 1\n",
    "[zz]\na = 1\n[zz]\nb = 2\n", "[]\n",
    "[zz\n", "[zz]", "# no end", "  ", "zz.a = 1", "[zz] # x", "[zz]\na = 1\rb = 2\n",
]


def test_config_as_the_program_reads_it(pair):
    refused = 0
    for text in ODD_TEXTS:
        behind = text.startswith("[") or not text.endswith("\n")
        pair.restart(pair.config + text if behind else text + pair.config)
        with open(pair.real.config_path, "w", encoding="utf-8", newline="") as file:  # some rewrite it as they start
            file.write((pair.config + text if behind else text + pair.config).replace("FOLDER", pair.real.folder))
        with open(pair.real.config_path, "rb") as file:
            found, = read_records("config" if pair.version >= (0, 13) else "old-config", [file.read()])
        assert pair.real.boots == isinstance(found, dict), text
        if pair.real.boots:
            held = pair.real.settings()
            assert {key: held.get(key) for key in found} == found, text
        refused += not pair.real.boots
    assert len(ODD_TEXTS) / 4 < refused < len(ODD_TEXTS) / 2
    pair.restart(pair.config)


PROXY_HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
PLAIN_PORTS = 25, 143, 587, 4190, 8080
WAITS = b"<TimeoutError>"


class Staged:
    """A real server whose settings are staged and cleared by the program, over the API or in its file."""

    def __init__(self, folder, certificate, by_file):
        folder.mkdir()
        self.by_file, self.folder = by_file, str(folder)
        config = oldserver.default_config(realserver.version_name(), self.folder, *certificate)
        self.server = realserver.RealServer(folder, config, certfile=certificate[0], keyfile=certificate[1])

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.stop()

    def run(self, *args, status=0):
        way = ("--config", self.server.config_path) if self.by_file else ("--url", self.server.http_url)
        if args[0] == "clear" and not self.by_file:
            way += ("--haproxy-protocol",)  # from within the trusted network
        ran = subprocess.run([BINARY, *args, *way], env={"STALPREP_PASSWORD": self.server.password}, cwd=self.folder,
                             capture_output=True, text=True, timeout=TIMEOUT, check=False)
        assert ran.returncode == status, ran.stdout + ran.stderr
        return ran

    def change(self, *args):
        """With a restart behind it, or around it."""
        if not self.by_file:
            self.run(*args)
            assert self.server.restart()
            return
        assert "refused (running)" in self.run(*args, status=1).stderr
        self.server.stop()
        self.run(*args)
        assert self.server.start().boots

    def shows(self):
        """Its settings, and what its ports do without and with a header."""
        held = {key: value.replace(self.folder, "FOLDER") for key, value in self.server.settings().items()
                if key not in RANDOM_KEYS}
        return held, {port: [without_numbers(exchange(port, text)) for text in (b"",
                                                                                PROXY_HEADER)] for port in PLAIN_PORTS}


def without_numbers(text):
    """Session numbers and times, of which there is another every time."""
    return re.sub(rb"[0-9a-f]{14,}|\d{6,}", b"N", text)


def test_staged_in_the_file_and_over_the_api(tmp_path, certificate):
    stage = ("stage", "--proxy", "127.0.0.1", "--public-url", "https://mail.example.org", "--relay", "new.example.org",
             "--dialect",
             dialect_of(realserver.version_name()))
    seen = {}
    for by_file in False, True:
        with Staged(tmp_path / str(by_file), certificate, by_file) as one:
            seen[by_file] = [one.shows()]
            for command in stage, ("clear",):
                one.change(*command)
                seen[by_file].append(one.shows())
    assert seen[True] == seen[False]
    (held, ports), (staged_held, staged), cleared = seen[True]
    assert cleared == (held, ports) and len(staged_held) > len(held) + 20
    assert staged[25] == ports[25] and staged[25][0].startswith(b"220")
    for port in 143, 587, 4190:
        assert staged[port][0] == WAITS and staged[port][1] == ports[port][0] != WAITS
