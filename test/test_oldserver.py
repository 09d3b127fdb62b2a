"""The simulator is held to what real servers answered (transcripts/), and its parts to their rules."""

import contextlib
import copy
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.parse

import pytest

import oldapi
import oldconfig
import oldlisteners
import oldreload
import oldserver
import oldsettings

HERE = os.path.dirname(os.path.abspath(__file__))
TRANSCRIPTS = os.path.join(HERE, "transcripts")
VERSIONS = ("0.9.4", "0.10.7", "0.11.8", "0.12.5", "0.13.4", "0.15.5")
RECORDED_FOLDER = "/opt/stalwart"
SILENCE = 0.2  # seconds, where nothing is to come; the recorder waited three
PATIENCE = 10  # where something is
PAUSE = 0.05  # after something came

# What the simulator leaves out: "VERSION SCENARIO STEP" -> why. An entry that would pass fails.
LEFT_OUT = {}


def expanded(value, shared):
    if isinstance(value, str):
        return shared.get(value, value)
    if isinstance(value, dict):
        return {key: expanded(part, shared) for key, part in value.items()}
    if isinstance(value, list):
        return [expanded(part, shared) for part in value]
    return value


def load(version):
    with open(os.path.join(TRANSCRIPTS, "shared.json"), encoding="utf-8") as file:
        shared = json.load(file)
    with open(os.path.join(TRANSCRIPTS, version + ".json"), encoding="utf-8") as file:
        return expanded(json.load(file), shared)


RECORDED = {version: load(version) for version in VERSIONS}
SCENARIOS = [(version, name) for version in VERSIONS for name in RECORDED[version]]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate for localhost and 127.0.0.1: (certfile, keyfile)."""
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "30", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    return str(cert), str(key)


@pytest.fixture
def serve(tmp_path, certificate):
    """Starts servers and stops them after the test."""
    started = []

    def start(version="0.15.5", config_toml=None, **options):
        folder = tmp_path / f"server{len(started)}"
        folder.mkdir()
        server = oldserver.OldServer(version, folder, config_toml, certfile=certificate[0], keyfile=certificate[1],
                                     **options)
        started.append(server)
        return server.start()
    yield start
    for server in started:
        server.stop()


# Replay

class Player:
    """Does the steps of a scenario against a server and gives what it saw, in the recording's form."""

    def __init__(self, server):
        self.server = server

    def step(self, step):
        return {"request": self.request, "connect": self.connect, "read config.toml": self.config,
                "restart": self.restart}[step["do"]](step) if "do" in step else {}

    def restart(self, _step):
        assert self.server.restart(), self.server.boot_error
        return {}

    def config(self, _step):
        return {"content": self.server.config_text().replace(self.server.folder, RECORDED_FOLDER)}

    @staticmethod
    def patience(step):
        return SILENCE if step.get("failure", "").startswith("TimeoutError") else PATIENCE

    def request(self, step):
        with socket.create_connection(("127.0.0.1", self.server.port(8080)), timeout=self.patience(step)) as sock:
            sock.sendall(bytes.fromhex(step.get("proxy_prefix_hex", "")))
            sock.sendall(request_bytes(step))
            try:
                return {"answer": read_answer(sock)}
            except OSError as error:
                return {"failure": failure_text(error)}

    def connect(self, step):
        port = step["port"]
        sock = socket.create_connection(("127.0.0.1", self.server.port(port)), timeout=self.patience(step))
        try:
            sock.sendall(PREFIXES[step["sent_first"]] % {b"port": port} if step["sent_first"] == "PROXY v1"
                         else PREFIXES[step["sent_first"]])
            if port in (465, 993, 995, 443, 8443):
                sock = unverified().wrap_socket(sock, server_hostname="localhost")
            if port in (443, 8080):
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return {"got": undated(read_all(sock))}
        except OSError as error:
            return {"failure": failure_text(error)}
        finally:
            sock.close()


PREFIXES = {"plain": b"", "PROXY v1": b"PROXY TCP4 127.0.0.1 127.0.0.1 40000 %(port)d\r\n",
            "PROXY v2": oldlisteners.PROXY_V2 + b"\x21\x11\x00\x0c" + bytes([127, 0, 0, 1] * 2) + b"\x9c\x40\x00\x19",
            "PROXY v2 LOCAL": oldlisteners.PROXY_V2_LOCAL}


def unverified():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def failure_text(error):
    return f"{type(error).__name__}: {error}"


def undated(text):
    return re.sub("date: .* GMT", "date: DATE", text)


def request_bytes(step):
    if "raw" in step:
        return step["raw"].encode("latin-1")
    headers = [("Host", "source.internal.example.org"), ("Accept", "*/*"), *current_code(step)]
    body = b""
    if "body" in step:
        body = recorded_body(step["body"])
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    lines = [f"{step['method']} {step['path']} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode() + body


def recorded_body(text):
    long = re.fullmatch("<([0-9]+) bytes>", text)
    if long:
        return b" " * (int(long[1]) - 2) + b"[]"
    return text.encode().replace("\ufffd".encode(), b"\xff")


def current_code(step):
    """A right code of then is none of now."""
    if step.get("note") != "a right code":
        return step.get("headers", [])
    login = f"root2:rootpass${oldapi.totp_code('JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP')}"
    return [("Authorization", "Basic " + oldapi.base64.b64encode(login.encode()).decode())]


def read_all(sock):
    """Up to the end or the first silence; a silence before anything came is an error."""
    text = b""
    while True:
        try:
            more = sock.recv(65536)
        except TimeoutError:
            if not text:
                raise
            more = b""
        text += more
        if not more:
            return text.decode("utf-8", "replace")
        sock.settimeout(PAUSE)


def read_answer(sock):
    text = b""
    while b"\r\n\r\n" not in text:
        more = sock.recv(65536)
        assert more, "connection closed before the answer"
        text += more
    head, _, body = text.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
    if lines[0].endswith(" 100 Continue"):
        body = body or read_all(sock).encode()
    length = int(dict(headers).get("content-length", len(body)))
    while len(body) < length:
        more = sock.recv(65536)
        assert more, "connection closed within the answer"
        body += more
    answer = {"status_line": lines[0]}
    headers = [[name, value] for name, value in headers if name not in ("content-length", "date")
               and (name, value) != ("content-type", oldapi.JSON_TYPE)]
    if headers:
        answer["headers"] = headers
    body = body[:length].decode()
    try:
        answer["json"] = json.loads(body)
    except ValueError:
        if body:
            answer["body"] = body
    return answer


def comparable(step, seen):
    """Without what differs from run to run: dates, generated codes, ids, how much of a chat was read."""
    seen = copy.deepcopy(seen)
    answer = seen.get("answer", {})
    if "body" in answer:
        answer["body"] = undated(answer["body"])
    answer.get("headers", []).sort()
    found = answer.get("json", {}).get("data") if isinstance(answer.get("json"), dict) else None
    if step.get("path") == "/api/principal" and isinstance(found, int):
        answer["json"]["data"] = "an id"
    if isinstance(found, dict) and "code" in found:
        found["code"] = "a code"
    if "content" in seen:
        seen["content"] = re.sub('cluster.key = "\\w{64}"', 'cluster.key = "..."', seen["content"])
    if step.get("port") in (25, 587, 465):
        # The recorder read once: whether an answer to the PROXY header is in it is chance.
        seen["got"] = seen.get("got", "").partition("\r\n")[0]
    if "got" in seen:
        seen["got"] = seen["got"][:300]  # as much as was kept
    return seen


def expected(step):
    return {key: step[key] for key in ("answer", "failure", "got", "content") if key in step}


def differences(player, version, name):
    """What a scenario shows otherwise than recorded, and entries of LEFT_OUT that are stale."""
    for number, step in enumerate(RECORDED[version][name]["steps"]):
        label = f"{version} {name} {number}"
        recorded, seen = comparable(step, expected(step)), comparable(step, player.step(step))
        if recorded == seen and label in LEFT_OUT:
            yield f"{label}: listed as left out, but passes"
        elif recorded != seen and label not in LEFT_OUT:
            yield f"{label}\n  recorded {str(recorded)[:1500]}\n  seen     {str(seen)[:1500]}"


@pytest.mark.parametrize("version,name", SCENARIOS)
def test_replay(version, name, tmp_path, certificate):
    shutil.copy(certificate[0], tmp_path / "cert.pem")
    shutil.copy(certificate[1], tmp_path / "key.pem")
    config = RECORDED[version][name]["config_toml"].replace(RECORDED_FOLDER, str(tmp_path))
    server = oldserver.OldServer(version, tmp_path, config, certfile=certificate[0], keyfile=certificate[1],
                                 listeners=True)
    if name == "readonly-config":
        server.refuse_writes = "read-only"
    with server:
        assert server.boots, server.boot_error
        wrong = list(differences(Player(server), version, name))
    assert not wrong, "\n".join(wrong)


def test_left_out_names_exist():
    known = {f"{version} {name} {number}" for version, name in SCENARIOS
             for number in range(len(RECORDED[version][name]["steps"]))}
    assert set(LEFT_OUT) <= known


# config.toml

OLD, NEW = (0, 12, 5), (0, 15, 5)
BOTH = (OLD, NEW)
REFUSED = None

READ = [
    # (text, what is read or REFUSED, versions)
    ('a = "x"\n', {"a": "x"}, BOTH),
    ('a = "x"', REFUSED, BOTH),  # a last key line needs its line feed
    ('a = "x" # c', {"a": "x"}, BOTH),  # but not after a comment
    ('a = "x"\n[t]', {"a": "x"}, BOTH),  # nor after a table header
    ("a = 1\na = 1\n", REFUSED, BOTH),
    ("[t]\na = 1\n[t]\nb = 2\n", {"t.a": "1", "t.b": "2"}, BOTH),
    ("[t]\na.b = 1\n", {"t.a.b": "1"}, BOTH),  # a dotted key after a table falls under it
    ('a = 1\r\nb = "x"\r\n[t]\r\nc = 2\n', {"a": "1", "b": "x", "t.c": "2"}, BOTH),
    ("\ufeffa = 1\n", REFUSED, BOTH),
    ("# all of it is one comment\ra = 1\r", {}, BOTH),
    ("a = 1\rb = 1\r", REFUSED, BOTH),
    ("[t] what stands here is ignored\na = 1\n", {"t.a": "1"}, BOTH),
    ("[ABC.Def]\nGhi = 1\n", {"Abc.def.Ghi": "1"}, BOTH),  # lower-cased but for the first letter; keys are not
    ('[a."Q R"]\nb = 1\n', {"a.Q R.b": "1"}, BOTH),
    ('["q"]\nb = 1\n', REFUSED, BOTH),  # the first character is never seen as a quote
    ("[[a]]\nb = 1\n[[a]]\nb = 2\n[[c]]\nd = 3\n", {"a.0000.b": "1", "a.0001.b": "2", "c.0000.d": "3"}, BOTH),
    ("a = [\"x\", 'y',\n 3 # c\n]\n", {"a.0000": "x", "a.0001": "y", "a.0002": "3"}, BOTH),
    ("a = []\n", {}, BOTH),
    ('a = [["x"], ["y"]]\n', {"a.0000.0000": "x", "a.0001.0000": "y"}, BOTH),
    ('a = { b = 1, c = "x" }\n', {"a.b": "1", "a.c": "x"}, BOTH),
    ("a = { b, c }\n", {"a.b": "", "a.c": ""}, BOTH),
    ("a = {}\n", REFUSED, BOTH),
    ("a = " + "[" * 9 + "1" + "]" * 9 + "\n", {"a" + ".0000" * 9: "1"}, BOTH),
    ("a = " + "[" * 10 + "1" + "]" * 10 + "\n", REFUSED, BOTH),
    (r'a = "\t\n\q\""' + "\n", {"a": '\t\nq"'}, BOTH),
    (r"a = '\t'" + "\n", {"a": "\t"}, BOTH),  # escapes count in both kinds of quotes
    (r'a = "\\n"' + "\n", {"a": "\\\n"}, BOTH),  # an escaped backslash still escapes what follows
    (r'a = "x\\"' + "\n", REFUSED, BOTH),  # so a value cannot end in one
    (r"a = '''x\'''" + "\n", {"a": "x\\"}, BOTH),  # but here it can
    ('a = """\nx\n"""\n', {"a": "x\n"}, BOTH),
    ('a = """\r\nx"""\n', {"a": "\nx"}, BOTH),  # with CRLF the first line feed stays
    ('a = "x\ny"\n', {"a": "x\ny"}, BOTH),
    ("a = 1.5+x-2\n", {"a": "1.5+x-2"}, BOTH),
    ("a = 1_000\n", REFUSED, BOTH),
    ("a = x y\n", REFUSED, BOTH),
    ("a b = 1\n", {"ab": "1"}, BOTH),  # blanks in keys vanish
    ('"a b" = 1\n', {"a b": "1"}, BOTH),
    ('"a"b = 1\n', {"ab": "1"}, BOTH),
    ("a*b = 1\n", REFUSED, (OLD,)),
    ("a*b = 1\n", {"a*b": "1"}, (NEW,)),
    ("_a = 1\n", REFUSED, BOTH),
    ('a = "%{env:HOME}%"\n', {"a": "%{env:HOME}%"}, BOTH),
]


@pytest.mark.parametrize("text,keys,version", [(text, keys, v) for text, keys, versions in READ for v in versions])
def test_reader(text, keys, version):
    if keys is REFUSED:
        with pytest.raises(oldconfig.ConfigError):
            oldconfig.read_text(text, version)
    else:
        assert oldconfig.read_text(text, version) == keys


def test_unreadable_file_reads_as_empty(tmp_path):
    (tmp_path / "config.toml").write_bytes(b'a = "\xe9"\n')
    assert oldconfig.read_file(tmp_path / "config.toml", NEW) == {}
    assert oldconfig.read_file(tmp_path / "none.toml", NEW) == {}


WRITTEN = [("true", "true"), ("True", '"True"'), ("12", "12"), ("1e5", "1e5"), ("1_0", '"1_0"'), ("inf", "inf"),
           ("", '""'), ('a"b', r'"a\"b"'), ("a\nb", "'''a\nb'''"), ("x" * 60, f'"{"x" * 60}"'),
           ("x" * 50 + "\\", "'''" + "x" * 50 + "\\'''"), ("x" * 49 + "\\", '"' + "x" * 49 + '\\\\"')]


@pytest.mark.parametrize("value,text", WRITTEN)
def test_writer(value, text):
    assert oldconfig.write_text({"b": "1", "a.b": value}) == f"a.b = {text}\nb = 1\n"


@pytest.mark.parametrize("key,value,version", [
    ("certificate.*.example.org.cert", "x", OLD), ("directory.a:b.type", "x", OLD), ("a=b", "x", NEW),
    ("web mail", "x", NEW), ("a", "x\\", NEW), ("a", "x" * 50 + "\"y'", NEW), ("a", "C:\\new", NEW),
    ("a", 'a\\"b', NEW)])
def test_rewrite_that_corrupts(key, value, version):
    try:
        again = oldconfig.read_text(oldconfig.write_text({key: value}), version)
    except oldconfig.ConfigError:
        return
    assert again != {key: value}


# Patterns and networks

@pytest.mark.parametrize("patterns,version,local,not_local", [
    ([], NEW, "server.a storage.data cluster.key directory.x enterprise.license-key", "server.blocked-ip.1 storage.x"),
    ([], (0, 11, 8), "cluster.a", "cluster.key lookup.default.hostname"),
    ([], (0, 10, 7), "lookup.default.hostname", "cluster.key"),
    ([], (0, 8, 5), "server.a store.x", "cluster.a"), (["a.*", "*b"], (0, 9, 3), "x.a. bc", "a.c cb"),
    (["a.*", "!a.b"], NEW, "a.c config.local-keys.0", "a.b b"),
    (["a.*"], OLD, "a.c", "config.local-keys.0"),
    ([" A.* "], NEW, "a.c", "A.c"),
    (["*.z"], NEW, "a.z", "a.zz"), (["a*c"], NEW, "abc ac", "abcd"), (["a*c*"], NEW, "a*cd", "abcd"),
    (["!"], NEW, "server.a", "x"), (["*"], NEW, "x", "")])
def test_patterns(patterns, version, local, not_local):
    keys = {f"config.local-keys.{number:04}": pattern for number, pattern in enumerate(patterns)}
    found = oldsettings.Patterns(keys, version)
    assert [key for key in local.split() if not found.is_local(key)] == []
    assert [key for key in not_local.split() if found.is_local(key)] == []


@pytest.mark.parametrize("text,good", [
    ("192.0.2.1", True), ("192.0.2.1/8", True), ("192.0.2.1/32", True), ("2001:db8::/128", True), ("::/8", True),
    (" 192.0.2.1 / 8 ", True), ("192.0.2.1/7", False), ("192.0.2.1/33", False), ("0.0.0.0/0", False), ("", False),
    ("01.2.3.4", False), ("[::1]", False), ("name", False), ("fe80::1%eth0", False), ("::/129", False)])
def test_networks(text, good):
    assert (oldreload.parse_network(text) is not None) == good


@pytest.mark.parametrize("network,trusts", [
    ("127.0.0.0/8", True), ("::ffff:127.0.0.1", True), ("::/8", True), ("::ffff:0:0/96", True), ("::1", False)])
def test_trust(network, trusts):
    listener = oldlisteners.Listener("a", "imap", [], False, [oldreload.parse_network(network)], frozenset())
    assert listener.trusts("127.0.0.1") == listener.trusts("::ffff:127.0.0.1") == trusts


# Life

def insert(*pairs):
    return [{"type": "insert", "prefix": None, "values": list(map(list, pairs)), "assert_empty": False}]


def test_file_that_would_not_boot(serve):
    server = serve()
    text = server.config_text()
    with open(server.config_path, "a", encoding="utf-8") as file:
        file.write("broken")
    assert not server.restart() and "Invalid configuration file" in server.boot_error
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port(8080)))
    with open(server.config_path, "w", encoding="utf-8") as file:
        file.write(text)
    ports = dict(server.ports)
    assert server.restart() and server.ports == ports and server.request("GET", "/healthz/live")[0] == 200


def test_full_disk_truncates(serve):
    server = serve()
    server.refuse_writes = "full"
    assert server.request("POST", "/api/settings", insert(("server.a", "1")))[0] == 500
    assert server.request("POST", "/api/settings", insert(("server.a", "1")))[0] == 200
    assert not server.restart()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_unwritable_file(serve):
    server = serve()
    os.chmod(server.config_path, 0o400)
    assert server.request("POST", "/api/settings", insert(("server.a", "1")))[0] == 500


def test_left_over_of_a_local_key(serve):
    server = serve(database={"server.left": "over"})

    def shown(query):
        return json.loads(server.request("GET", "/api/settings/keys?" + query)[2])["data"]
    assert shown("keys=server.left") and "server.left" not in shown("prefixes=server")
    server.request("POST", "/api/settings", [{"type": "delete", "keys": ["server.left"]}])
    assert "server.left" in server.database()
    server.request("POST", "/api/settings", [{"type": "clear", "prefix": "server.left"}])
    assert "server.left" not in server.database()


def test_cluster_shares_the_database(serve):
    one = serve()
    two = serve(database=one.shared_database)
    one.request("POST", "/api/settings", insert(("auth.x", "1"), ("server.x", "1")))
    assert two.settings()["auth.x"] == "1" and "server.x" not in two.settings()


def test_reload_that_loses_a_local_key(serve):
    server = serve()
    server.faults.append(oldserver.Fault(method="POST", before=oldserver.OldServer.begin_reload,
                                         after=oldserver.OldServer.finish_reload))
    assert exchange(server, post(insert(("server.a", "1"))))[0] == 200
    assert "server.a" in server.config_text() and "server.a" not in server.settings()
    server.request("POST", "/api/settings", insert(("server.b", "1")))
    assert "server.a" not in server.config_text()


def test_new_server_has_no_such_api(serve):
    server = serve("0.16.0")
    assert server.request("GET", "/api/settings/keys")[0] == 404
    assert server.request("GET", "/jmap/session")[0] == 200


@pytest.mark.parametrize("version,name,answer", [("0.8.5", "Delete", 200), ("0.8.5", "delete", 400),
                                                 ("0.14.1", "delete", 200), ("0.14.1", "Delete", 400)])
def test_spelling(serve, version, name, answer):
    assert serve(version).request("POST", "/api/settings", [{"type": name, "keys": []}])[0] == answer


def test_ban(serve):
    server = serve()
    server.ban_after = 2
    assert [server.request("GET", "/api/reload", password="x")[0] for _ in range(3)] == [401, 401, 429]
    with pytest.raises(OSError):
        server.request("GET", "/api/reload")


@pytest.mark.parametrize("disabled,versions", [("TLSv1.2", "1.3"), ("TLSv1.3", "1.2"), ("", "1.2 1.3")])
def test_tls_versions(serve, tmp_path, disabled, versions):
    extra = f'[server.tls]\ndisable-protocols = "{disabled}"\n' if disabled else ""
    server = serve(config_toml=extra + oldserver.default_config("0.15.5", tmp_path))
    works = []
    for name, version in (("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3)):
        context = unverified()
        context.minimum_version = context.maximum_version = version
        try:
            with context.wrap_socket(socket.create_connection(("127.0.0.1", server.port(443)))) as sock:
                works += [name] if sock.version() else []
        except OSError:
            pass
    assert works == versions.split()


# Faults

def post(changes):
    body = json.dumps(changes).encode()
    return (b"POST /api/settings HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWRtaW46czNjcmV0LVBhc3M=\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


GET = b"GET /healthz/live HTTP/1.1\r\n\r\n"


def dial(server, tls=False):
    sock = socket.create_connection(("127.0.0.1", server.port(443 if tls else 8080)), timeout=2 * SILENCE)
    return unverified().wrap_socket(sock, suppress_ragged_eofs=False) if tls else sock


def exchange(server, request, tls=False):
    """The status (0: none), how it ended ("", "end" or the error's name), and all that came."""
    with dial(server, tls) as sock:
        sock.sendall(request)
        text, end = b"", "end"
        try:
            while more := sock.recv(65536):
                text += more
        except TimeoutError:
            end = ""
        except OSError as error:
            end = type(error).__name__
    status = re.match(rb"HTTP/1.1 ([0-9]+)", text)
    return int(status[1]) if status else 0, end, text


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("end,plain,over_tls", [
    ("close", "end", "end"), ("eof", "end", "SSLEOFError"), ("hang", "", ""),
    ("reset", "ConnectionResetError", "SSLEOFError")])  # a reset is an early end to Python's ssl
@pytest.mark.parametrize("cut", [0, 7, None])
def test_cut_answers(serve, tls, end, plain, over_tls, cut):
    server = serve()
    server.faults.append(oldserver.Fault(cut=cut, end=end))
    _, ended, text = exchange(server, GET, tls)
    if tls and end == "eof" and ended == "end":
        ended = over_tls  # older releases of Python's ssl take it for an end
    assert ended in (plain, over_tls) and (ended == (over_tls if tls else plain) or end == "reset")
    if end != "reset":  # which may overtake what was sent
        assert len(text) == cut if cut is not None else text.endswith(b"}")


def test_answer_in_place(serve):
    server = serve()
    server.faults += [oldserver.Fault(method="POST", answer=(500, None)),
                      oldserver.Fault(path="/x", answer=(418, "tea"))]
    assert exchange(server, post(insert(("auth.x", "1"))))[0] == 500 and "auth.x" not in server.settings()
    assert exchange(server, post(insert(("auth.x", "1"))))[0] == 200 and "auth.x" in server.settings()
    assert exchange(server, GET.replace(b"/healthz/live", b"/x"))[0] == 418
    assert [entry[3] for entry in server.log] == [500, 200, 418]


def test_done_though_the_answer_is_lost(serve):
    server = serve()
    server.faults.append(oldserver.Fault(number=1, cut=0, end="reset"))
    assert exchange(server, post(insert(("auth.x", "1"))))[:2] == (0, "ConnectionResetError")
    assert server.settings()["auth.x"] == "1"


@pytest.mark.parametrize("fault,wanted", [
    ({"length": 5}, b"content-length: 67"), ({"chunked": 10}, b"transfer-encoding: chunked"),
    ({"interim": b"HTTP/1.1 100 Continue\r\n\r\n"}, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"),
    ({"raw": b"nonsense"}, b"nonsense"), ({"headers": (("x-a", "b"),)}, b"x-a: b\r\n"), ({"delay": 0.001}, b"OK")])
def test_odd_answers(serve, fault, wanted):
    server = serve()
    server.faults.append(oldserver.Fault(times=-1, **fault))
    assert wanted in exchange(server, GET)[2] and wanted in exchange(server, GET)[2]


@pytest.mark.parametrize("how,seen", [("close", ""), ("reset", "ConnectionResetError"), ("hang", "TimeoutError")])
def test_connections_that_go_nowhere(serve, how, seen):
    server = serve()
    server.on_connect = how
    try:
        with dial(server) as sock:
            assert (sock.recv(1), seen) == (b"", "")
    except OSError as error:  # a reset may already end the dialling
        assert seen == type(error).__name__


def test_pipelined_read_sees_the_write(serve):
    read = (b"GET /api/settings/keys?keys=auth.x HTTP/1.1\r\nConnection: close\r\n"
            b"Authorization: Basic YWRtaW46czNjcmV0LVBhc3M=\r\n\r\n")
    _, end, text = exchange(serve(), post(insert(("auth.x", "1"))) + read, tls=True)
    assert end == "end" and text.count(b"HTTP/1.1 200 OK") == 2 and text.endswith(b'{"data":{"auth.x":"1"}}')


# PROXY headers, bans, and what outlives a process

SOURCES = [
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 25\r\n", ("192.0.2.1", 40000)), (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY TCP6 2001:db8::1 ::2 1 2\r\n", ("2001:db8::1", 1)), (oldlisteners.PROXY_V2_LOCAL, None),
    (oldlisteners.PROXY_V2 + b"\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x9c\x40\0\x19", ("192.0.2.1", 40000)),
    (oldlisteners.PROXY_V2 + b"\x21\x21\0\x24" + b"\x20\1" + bytes(29) + b"\2\0\1\0\2", ("2001::", 1)),
    (oldlisteners.PROXY_V2 + b"\x20\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x9c\x40\0\x19", None),
]


@pytest.mark.parametrize("header,client", SOURCES)
def test_client_of_a_header(header, client):
    assert oldlisteners.header_length(header) == len(header)
    assert oldlisteners.source(header) == client


def proxied(server, client, port=25):
    """Connected as this client, by a header."""
    sock = socket.create_connection(("127.0.0.1", server.port(port)), timeout=PATIENCE)
    sock.sendall(b"PROXY TCP4 %s 192.0.2.2 1 25\r\n" % client.encode())
    return sock


def to_the_end(sock):
    return b"".join(iter(lambda: sock.recv(4096), b"")).decode()


def test_bans(serve):
    """The 36th unknown recipient is one too many, and a restart knows it; an exemption counts from the reload on."""
    server = serve(listeners=True, config_toml='server.listener.smtp.proxy.trusted-networks = "127.0.0.0/8"\n'
                   'server.listener.smtp.bind = "[::]:25"\nserver.listener.smtp.protocol = "smtp"\n'
                   'server.listener.http.bind = "[::]:8080"\nserver.listener.http.protocol = "http"\n'
                   + oldserver.base_config("/none"))
    server.post.domains["example.org"] = True
    for _ in range(7):
        with proxied(server, "192.0.2.1") as sock:
            sock.sendall(b"EHLO a.example.net\r\nMAIL FROM:<>\r\n" + b"RCPT TO:<x@example.org>\r\n" * 5)
            assert to_the_end(sock).endswith("451 4.3.0 Too many errors, disconnecting.\r\n")
    assert "server.blocked-ip.192.0.2.1" not in server.settings()
    with proxied(server, "192.0.2.1") as sock:
        sock.sendall(b"EHLO a.example.net\r\nMAIL FROM:<>\r\nRCPT TO:<x@example.org>\r\nQUIT\r\n")
        assert to_the_end(sock).endswith("221 2.0.0 Bye.\r\n")
    assert "server.blocked-ip.192.0.2.1" in server.settings() and server.restart()
    for client, greeting in (("192.0.2.1", ""), ("192.0.2.9", "220 vm ")):
        with proxied(server, client) as sock:
            assert sock.recv(7).decode() == greeting
    assert not server.bans.allowed("192.0.2.1")
    server.request("POST", "/api/settings", insert(("server.allowed-ip.192.0.2.0/24", "")))
    assert not server.bans.allowed("192.0.2.1")
    server.request("GET", "/api/reload")
    assert server.bans.allowed("192.0.2.1") and server.bans.holds("192.0.2.1")  # the ban stands


# The command

def test_command_keeps_its_database(tmp_path, certificate):
    """Accounts and settings are there again in a new process."""
    @contextlib.contextmanager
    def command(*args):
        process = subprocess.Popen([sys.executable, os.path.join(HERE, "oldserver.py"), "--folder", tmp_path / "server",
                                    "--database", tmp_path / "database", *args], stdout=subprocess.PIPE)
        try:
            yield urllib.parse.urlsplit(json.loads(process.stdout.readline())["http_url"])
        finally:
            process.terminate()
            assert process.wait(60) == 0
            process.stdout.close()
    with command() as url:
        for path, body in (("principal", {"type": "individual", "name": "ann", "secrets": ["ann1"], "roles": ["user"]}),
                           ("settings", insert(("auth.x", "1"), ("server.x", "2")))):
            assert oldserver.send_request(url, "POST", "/api/" + path, body, "admin", "s3cret-Pass", [])[0] == 200
    with command("--start-with", tmp_path / "server" / "config.toml") as url:
        assert oldserver.send_request(url, "GET", "/jmap/session", None, "ann", "ann1", [])[0] == 200
        _, _, found = oldserver.send_request(url, "GET", "/api/settings/keys?keys=auth.x,server.x", None, "admin",
                                             "s3cret-Pass", [])
        assert json.loads(found)["data"] == {"auth.x": "1", "server.x": "2"}


def test_command(tmp_path, certificate):
    ready = tmp_path / "ready"
    process = subprocess.Popen([sys.executable, os.path.join(HERE, "oldserver.py"), "--version", "0.12.5",
                                "--folder", tmp_path / "server", "--tls-cert", certificate[0], "--tls-key",
                                certificate[1], "--ready-file", ready, "--password", "other"], stdout=subprocess.PIPE)
    try:
        told = json.loads(process.stdout.readline())
        url = urllib.parse.urlsplit(told["https_url"])
        assert oldserver.send_request(url, "GET", "/api/reload", None, "admin", "other", [])[0] == 200
        assert json.loads(ready.read_text()) == told and told["version"] == "0.12.5"
    finally:
        process.terminate()
        assert process.wait(10) == 0
        process.stdout.close()
