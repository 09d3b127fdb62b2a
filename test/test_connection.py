"""The connection: how many turns a run takes, what it does where the connection ends while it lies idle, what it says of
an answer that is not this API's; and how much memory a server with much to say costs."""

import json
import re
import signal
import socket
import ssl
from ipaddress import IPv4Address

import pytest

import oldhttp
from conftest import CHANGE, NAME, PASSWORD, RUNNER, TIMEOUT, VERSIONS, reach, state, write, writes
from oldserver import Fault, OldServer
from wire import Wire

STATUS_OK, NEAR = 7, "http://127.0.0.1:PORT"
STAGE = ("stage", *CHANGE)
LIST = {"method": "GET", "path": "/api/settings/list"}
HTML = (("content-type", "text/html; charset=utf-8"),)


# Turns

@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_turns(run, serve, ca, version, tls):
    """TCP, TLS 1.2 in two; read; before a write once more the server's key; the write and its read back, all on one
    connection. The other spelling of a write is one more, where even the version does not tell. An old server's version
    is asked for beside the key; for status it is one more."""
    server = serve(version)
    again, more = server.version < (0, 10), server.version < (0, 12)
    wire = Wire(int((server.https_url if tls else server.http_url).rpartition(":")[2]))
    way = ("--url", f"http{'s' * tls}://127.0.0.1:{wire.port}", *(("--cacert", ca.file) if tls else ()))
    for command, turns in ((STAGE, 3 + again), (("status",), 1 + more), (("clear",), 3 + again)):
        process = run.start(*command, *way)
        assert wire.carry(process, TIMEOUT)
        run.finish(process, status=0)
        assert (wire.connections, wire.turns) == (1, 1 + 2 * tls + turns)
    wire.close()


@pytest.mark.parametrize("version", ["0.9.4", "0.11.8", "0.15.5"])
@pytest.mark.parametrize("command", [STAGE, ("status",), ("clear",)])
def test_a_wrong_password_counts_once(run, simulate, version, command):
    server = simulate(version)
    ran = run(*command, *reach(server), password="not-" + PASSWORD, status=4)
    assert server.api.failures == 1 and "does not accept the login" in ran.err


# A connection that lies idle

@pytest.fixture
def nodes(simulate):
    """Two nodes of one cluster."""
    first = simulate()
    both = first, simulate(database=first.shared_database)
    for number, server in enumerate(both):
        write(server, {"cluster.node-id": str(number)})
        server.log.clear()
    return both


def end_tls(server):
    """The goodbye alone: the connection itself stays."""
    for sock in list(server.connections):
        oldhttp.close_notify(sock)


def goodbye(server):
    end_tls(server)
    server.drop_connections()


@pytest.mark.parametrize("command", [STAGE, ("clear", *CHANGE)])
@pytest.mark.parametrize("https,how", [(True, end_tls), (True, goodbye), (True, OldServer.drop_connections),
                                       (False, OldServer.drop_connections)])
def test_closed_while_another_node_is_slow(run, nodes, ca, https, how, command):
    """It is looked at, and made anew, before the write is sent; what is sent once is not sent again."""
    first, second = nodes
    both = (*reach(first, ca if https else None), "--url", second.https_url if https else second.http_url)
    if command != STAGE:
        run(*STAGE, *both, status=0)
    posts = writes(first)
    second.faults.append(Fault(**LIST, after=lambda _: how(first)))
    run(*command, *both, status=0)
    assert writes(first) == posts + 1


def test_another_key_under_k(run, nodes, ca):
    """Whatever certificate is accepted: the first connection's key is the run's."""
    first, second = nodes
    one, other = ca.issue(NAME, "127.0.0.1"), ca.issue("127.0.0.1")
    first.certfile, first.keyfile = one.cert, one.key

    def change(_):
        first.certfile, first.keyfile = other.cert, other.key
        first.drop_connections()
    second.faults.append(Fault(**LIST, after=change))
    ran = run(*STAGE, "-k", "--url", first.https_url, "--url", second.https_url, status=3)
    assert "another key" in ran.err and one.pin in ran.err and other.pin in ran.err and writes(first) == 0
    assert f"The key that answered is {one.pin}" in ran.err


@pytest.mark.parametrize("version", ["0.9.4", "0.11.8", "0.15.5"])
def test_closed_after_each_answer(run, simulate, version):
    """What was sent behind it is sent again; nothing is sent behind a write."""
    server = simulate(version)
    before = state(server)
    server.faults.append(Fault(times=-1, headers=(("connection", "close"),), end="close"))
    for command in (STAGE, ("status",), ("clear",)):
        run(*command, *reach(server), status=0)
    assert state(server) == before


# Answers that are not this API's

PAGE = ("<!DOCTYPE html>\n<html><head><TITLE lang=en>\n  502 Bad\x1b[31m Gateway \u202e</TITLE></head><body>x</body></html>")
WORDS = [  # (status, body, further headers, the run's status, what is said)
    (403, PAGE, HTML, 1, ("A web page answered (403", "502 Bad [31m Gateway", "--resolve", NEAR)),
    (502, PAGE, HTML, 1, ("A web page answered (502", NEAR)),
    (503, PAGE, HTML, 1, ("A web page answered (503",)),
    (200, PAGE, HTML, 1, ("A web page answered (200", "login page of the network")),
    (503, "<html>", HTML, 1, ("A web page answered (503),",)),
    (413, PAGE, HTML, 1, ("413", "client_max_body_size")),
    (500, "", (), 1, ("The server answered 500", "fallback administrator")),
]
READS = {"stage": {"method": "GET", "path": "/api/settings/list"}, "clear": {"method": "GET", "path": "/api/settings/list"},
         "status": {"method": "GET", "path": "/api/settings/keys"}, "reload": {"method": "GET", "path": "/api/reload"}}


@pytest.mark.parametrize("command", READS)
@pytest.mark.parametrize("answer,body,headers,status,said", WORDS, ids=lambda value: str(value)[:12])
def test_words_of_an_answer(run, simulate, command, answer, body, headers, status, said):
    server = simulate()
    before = state(server)
    server.faults.append(Fault(**READS[command], times=-1, answer=(answer, body), headers=headers))
    ran = run(command, *reach(server), *(CHANGE if command == "stage" else ()), status=status)
    for words in said[:1] if (command, answer) == ("reload", 500) else said:  # its login was right before
        assert words in ran.err
    assert state(server) == before and "\x1b" not in ran.err


@pytest.mark.parametrize("answer,status,nothing", [(403, 1, True), (413, 1, True), (502, 5, False)])
def test_words_of_an_answer_to_a_write(run, simulate, answer, status, nothing):
    """A proxy that refuses the request has not passed it on; one that lost the server may have."""
    server = simulate()
    before = state(server)
    server.faults.append(Fault(method="POST", path="/api/settings", answer=(answer, PAGE), headers=HTML))
    ran = run(*STAGE, *reach(server), status=status)
    assert ("client_max_body_size" if answer == 413 else f"A web page answered ({answer}") in ran.err
    assert ("Nothing was written" in ran.err) == nothing and state(server) == before


# What the environment and the URL say

def test_empty_ssl_cert_file(run, simulate, ca):
    """An empty variable is one that is not set."""
    server = simulate()
    unset, empty = (re.sub("[0-9]+", "", run("status", "--url", server.https_url, env=env, status=3).err)
                    for env in ({}, {"SSL_CERT_FILE": ""}))
    assert unset == empty
    run("status", "--url", server.https_url, env={"SSL_CERT_FILE": ca.file}, status=STATUS_OK)


@pytest.mark.parametrize("host", ["old_mail.example.org", "_mail", "mail.example.org"])
def test_server_name_with_an_underscore(run, ca, host):
    """It is sent: the server may choose its certificate by it."""
    pair, names = ca.issue(NAME), []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        process = run.start("status", "--url", f"https://{host}:{port}", "--resolve", f"{host}:{port}:127.0.0.1", "-k",
                            "--pinnedpubkey", pair.pin)
        sock, _ = listening.accept()
        context.wrap_socket(sock, server_side=True).close()
    run.finish(process, status=3)
    assert names == [host]


# Much to read

BANNED = "192.0.2.77"


def listed(server, more):
    """The answer to the list, as the server would give it with these settings too."""
    items = {**server.settings(), **more}
    return json.dumps({"data": {"total": len(items), "items": dict(sorted(items.items()))}}, separators=(",", ":"))


def limited(kilobytes):
    return ("sh", "-c", f'ulimit -v {kilobytes} && exec "$@"', "sh")


def bans(count):
    return {f"server.blocked-ip.{IPv4Address((11 << 24) + number)}": "" for number in range(count)}


@pytest.mark.skipif(bool(RUNNER), reason="a runner needs memory of its own")
@pytest.mark.parametrize("chunked", [0, 1 << 16], ids=["", "chunked"])
def test_a_million_bans(run, simulate, chunked):
    """In at most 128 MiB; the one that concerns us is found."""
    server = simulate()
    text = listed(server, {**bans(1000000), "server.blocked-ip.192.0.2.64/28": ""})
    server.faults.append(Fault(**LIST, times=-1, answer=(200, text), done=False, chunked=chunked))
    for command in (STAGE, ("clear",)):
        ran = run(*command, *reach(server), "--new-server", BANNED, "--max-time", "60", wrap=limited(128 << 10))
        assert ran.status == 0, ran.err
        assert command != STAGE or "server.blocked-ip.192.0.2.64/28 is set" in ran.err


TOO_MUCH = {  # the answer, and what is said
    "longer than 64 MiB": (lambda server: listed(server, {"lookup.x": "v" * (64 << 20)}), ("longer than 64 MiB", "--config")),
    "too many": (lambda _: '{"data":{"items":{' + ",".join(f'"{n:x}":""' for n in range(2000001)) + "}}}",
                 ("more than 2000000 settings", "--config")),
    "small elements": (lambda _: '{"data":[' + ",".join(["[]"] * (16 << 18)) + "]}", ("does not understand",)),
    "small members": (lambda _: '{"data":{"items":{' + ",".join(['"":""'] * (16 << 18)) + "}}}", ("--config",)),
    "a member twice": (lambda _: '{"data":{"items":{"a":"","b":"","a":""}}}', ("the key a is given twice",)),
    "much around it": (lambda _: '{"data":{"items":{"a":""}},"x":"' + "y" * 8192 + '"}', ("does not understand",)),
}


@pytest.mark.skipif(bool(RUNNER), reason="a runner needs memory of its own")
@pytest.mark.parametrize("what", TOO_MUCH)
def test_more_than_is_read(run, simulate, what):
    server = simulate()
    make, said = TOO_MUCH[what]
    server.faults.append(Fault(**LIST, answer=(200, make(server))))
    ran = run(*STAGE, *reach(server), wrap=limited(128 << 10), status=1)
    assert all(words in ran.err for words in said) and "Nothing was written" in ran.err and writes(server) == 0


@pytest.mark.skipif(bool(RUNNER), reason="a runner needs memory of its own")
@pytest.mark.parametrize("wrap", [limited(64 << 10), ("sh", "-c", 'ulimit -s 128 && exec "$@"', "sh")],
                         ids=["64 MiB", "a stack of 128 KiB"])
@pytest.mark.parametrize("https", [False, True], ids=["http", "https"])
def test_little_memory(run, simulate, ca, wrap, https):
    """An ordinary server, with the usual spam rules."""
    server = simulate()
    server.shared_database.update({f"spam-filter.rule.{number}": "x" * 80 for number in range(2000)})
    before = state(server)
    way = reach(server, ca if https else None)
    for command in (STAGE, ("status", *CHANGE), ("clear",)):
        run(*command, *way, wrap=wrap, status=0)
    assert state(server) == before


@pytest.mark.parametrize("number,status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGALRM, 3)])
def test_time_ends_while_it_reads(run, simulate, number, status):
    """A signal, which the end of --max-time is too. That they hold while an answer is parsed and while it plans is shown
    in the unit tests."""
    server = simulate()
    server.faults.append(Fault(**LIST, answer=(200, listed(server, bans(300000)))))
    ran = run.while_running(lambda call: server.faults[0].__setattr__("after", call),
                            lambda process: process.send_signal(number), *STAGE, *reach(server))
    assert ran.status == status and "Nothing was written" in ran.err and writes(server) == 0


@pytest.mark.parametrize("command", [STAGE, ("status",)])
def test_what_is_as_long_as_a_book(run, simulate, command):
    """An id, a value and a network of a megabyte are shown cut, with their length."""
    server, much = simulate(), "x" * (1 << 20)
    more = {f"server.listener.{much}.protocol": "smtp", f"server.listener.{much}.bind.0": "[::]:25",
            f"server.listener.{much}.proxy.trusted-networks.0": much, "auth.dkim.verify": much, "http.use-x-forwarded": much}
    text = listed(server, more)
    if command == STAGE:
        server.faults.append(Fault(**LIST, answer=(200, text)))
    else:
        items = json.loads(text)["data"]["items"]
        server.faults.append(Fault(**READS["status"], answer=(200, json.dumps({"data": items}))))
    ran = run(*command, *reach(server), *(("-n",) if command == STAGE else ()))
    assert ran.status in (0, 1, 6, 7) and "\u2026 1,048," in ran.said and len(ran.said) < 20000


@pytest.mark.parametrize("version", ["0.8.0", "0.10.7", "0.12.5"])
def test_url_without_a_scheme(run, simulate, version):
    """The request for the version dies of it: said with the way out."""
    server = simulate(version=version)
    key = "http.url" if version == "0.12.5" else "server.http.url"
    write(server, {key: "'mail.example.org'"})
    server.reload(dry_run=False)
    ran = run("clear", *reach(server), status=3)
    assert "without an answer" in ran.err and key in ran.err and "Nothing was written" in ran.err
    write(server, {key: None})
    server.reload(dry_run=False)
    run("clear", *reach(server), status=0)
