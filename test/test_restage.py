"""Runs that follow each other, were cut off or met an administrator's changes: `clear` brings back what stood."""

import json
import signal
import socket
import threading
from contextlib import suppress
from itertools import cycle, product

import pytest

from conftest import (CHANGE, HTTP, HTTPS, NEWEST, ORIGIN, PROXY, RELAY, SMTP, cluster_nodes, config, difference, guide, reach, sent,
                      spelled, state, write, writes)
from oldserver import Fault

OTHER = ("--proxy", "198.51.100.7", "--public-url", ORIGIN)
IMAP = "server.listener.imap.proxy.trusted-networks"
LOST = {"method": "POST", "path": "/api/settings", "cut": 0, "end": "reset"}
REFUSED = {"method": "POST", "path": "/api/settings", "answer": (403, b'{"status":403}')}


@pytest.fixture
def nodes(simulate):
    """Two nodes of a cluster, and the options that name both."""
    first, second = cluster_nodes(simulate, SMTP, HTTP, HTTPS)
    return first, second, ("--url", first.http_url, "--url", second.http_url)


def states(run):
    """Of the snapshot's parts: the database's, and those of the nodes, in order of the words."""
    path, = run.folder.glob("*.snapshot.json")
    kept = json.loads(path.read_text())
    return kept["database"]["state"], *sorted(node["state"] for node in kept["nodes"])


def forget(run):
    for path in run.folder.iterdir():
        path.unlink()


# Cut off

@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("options", [
    OTHER, (*CHANGE, "--listener", "https"), ("--only", "listeners", "--proxy", "192.0.2.1"), (*CHANGE, *RELAY)], ids=str)
def test_cut_off_while_staged(run, simulate, options, done):
    """Whether the second write arrived or not, all that the first or the second left goes."""
    server = simulate()
    write(server, {IMAP: "10.0.0.1", "auth.dkim.verify": "strict"})
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    server.faults.append(Fault(done=done, **LOST))
    run("stage", *reach(server), *options, status=5)
    server.faults.clear()
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_file_that_cannot_be_written(run, simulate):
    """The memory goes back to what the first stage wrote, and that is known to be ours."""
    server = simulate()
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    server.refuse_writes = "read-only"
    run("stage", *reach(server), *OTHER, status=5)
    server.refuse_writes = None
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_node_that_refuses(run, nodes):
    """Nothing was sent to the second: its snapshot says what it said before."""
    first, second, both = nodes
    before = state(first), state(second)
    run("stage", *both, *CHANGE, status=0)
    texts = {path.name: path.read_text() for path in run.folder.iterdir()}
    first.faults.append(Fault(**REFUSED))
    run("stage", *both, *OTHER, status=4)
    assert {path.name: path.read_text() for path in run.folder.iterdir()} == texts
    run("clear", *both, status=0)
    assert (state(first), state(second)) == before


def test_node_that_refuses_the_first_stage(run, nodes):
    first, second, both = nodes
    first.faults.append(Fault(**REFUSED))
    write(second, {"server.listener.https.proxy.override": "maybe"})
    run("stage", *both, *CHANGE, status=4)
    assert run.snapshots() == []
    write(second, {"server.listener.https.proxy.override": "false"})
    before = state(second)
    run("stage", *both, *CHANGE, status=0)
    run("clear", *both, status=0)
    assert state(second) == before


@pytest.mark.parametrize("staged", [False, True])
def test_interrupted_between_nodes(run, nodes, staged):
    """What was planned for the second node is in no snapshot any more."""
    first, second, both = nodes
    before = state(first), state(second)
    if staged:
        run("stage", *both, *CHANGE, status=0)
    kept = state(second)["file"]
    ran = run.while_running(lambda call: first.faults.append(Fault(method="POST", after=call)),
                            lambda process: process.send_signal(signal.SIGINT), "stage", *both, *OTHER)
    assert ran.status == 5 and state(second)["file"] == kept and states(run) == ("proved",) * (2 + staged)
    run("clear", *(both if staged else reach(first)), "--single-node", status=0)
    assert (state(first), state(second)) == before


@pytest.mark.parametrize("staged", [False, True])
def test_killed_between_nodes(run, nodes, staged):
    """A plan that a killed run left counts for nothing: what somebody sets then is what stood before."""
    first, second, both = nodes
    before = state(first)
    if staged:
        run("stage", *both, *CHANGE, status=0)
    run.while_running(lambda call: first.faults.append(Fault(method="POST", before=call)),
                      lambda process: process.kill(), "stage", *both, *OTHER, status=-signal.SIGKILL)
    assert states(run) == ("sending", "planned", "sending")
    if staged:  # what the run asked for holds for all nodes: this one is not ready
        ran = run("status", *reach(second), status=6)
        assert "Judged by: --proxy 198.51.100.7/32" in ran.out and "Missing: listeners" in ran.out
    if not staged:
        write(second, {"server.listener.https.proxy.trusted-networks.0": "198.51.100.7/32"})
    changed = second.settings() if not staged else before["settings"]
    run("clear", *both, status=0)
    own = {key: value for key, value in second.settings().items() if key.startswith("server.")}
    assert own == {key: value for key, value in changed.items() if key.startswith("server.")}
    assert state(first) == before


# Changed in between

def test_changed_by_somebody(run, simulate):
    """What somebody set since the stage is what stood before the next one."""
    server = simulate()
    run("stage", *reach(server), *CHANGE, status=0)
    write(server, {IMAP + ".0": "10.9.9.9", "auth.dkim.verify": "strict"})
    ran = run("stage", *reach(server), *CHANGE, status=0)
    assert "10.9.9.9" in ran.err and "auth.dkim.verify was changed" in ran.err
    assert server.settings()[IMAP + ".1"] == PROXY
    run("clear", *reach(server), status=0)
    assert server.settings()["auth.dkim.verify"] == "strict"
    assert {key: value for key, value in server.settings().items() if key.startswith(IMAP)} == {IMAP + ".0": "10.9.9.9"}


def test_saved_in_the_administration_page(run, simulate):
    """Our network, made a scalar, is ours for a stage too."""
    server = simulate()
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    write(server, {IMAP + ".0": None, IMAP: PROXY})
    run("stage", *reach(server), *CHANGE, *RELAY, "--dialect", "0.15", status=0)
    assert IMAP not in server.settings()
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_url_of_somebody(run, simulate):
    """That a database key stands as wanted does not make it ours."""
    server = simulate()
    write(server, {"http.url": f"'{ORIGIN}'"})
    run("stage", *reach(server), "--only", "url", "--public-url", ORIGIN, status=0)
    assert run.snapshots() == []


def test_cluster_node_where_all_stands(run, nodes):
    """To write it anew is a write, which a single node of a cluster is not given unasked."""
    first, _, _ = nodes
    run("stage", *reach(first), *CHANGE, "--single-node", status=0)
    for path in run.folder.iterdir():
        path.unlink()
    first.log.clear()
    assert "--single-node" in run("stage", *reach(first), *CHANGE, status=1).err and not sent(first)


# Keys that config.toml outranks

def outrank(server, line=""):
    """Put a line in front of config.toml, or take such lines out; the server starts with it."""
    with open(server.config_path, encoding="utf-8") as file:
        lines = [text for text in file.read().splitlines() if not text.startswith("auth.")]
    with open(server.config_path, "w", encoding="utf-8") as file:
        file.write("\n".join([line, *lines]) + "\n")
    assert server.restart(), server.boot_error


def test_outranked_when_cleared(run, simulate):
    """What clear brought back stays, and so does what the snapshot knows of it."""
    server = simulate()
    write(server, {"auth.dkim.verify": "strict"})
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    outrank(server, 'auth.dkim.verify = "disable"')
    ran = run("clear", *reach(server), status=6)
    assert "outranks" in ran.err and server.database()["auth.dkim.verify"] == "strict"
    assert "auth.dkim.verify" in {key["key"] for key in run.snapshot()["keys"]}
    outrank(server)
    run("clear", *reach(server), status=0)
    assert server.settings() == before["settings"]


def test_outranked_when_staged(run, simulate):
    server = simulate(config=config(SMTP, HTTP, HTTPS))
    outrank(server, 'auth.dkim.verify = "strict"')
    before = state(server)
    ran = run("stage", *reach(server), *CHANGE, status=6)
    assert "This server's config.toml has auth.dkim.verify" in ran.err
    assert not [key for key in server.database() if key.startswith("auth.")]
    assert run.snapshot()["state"] == "proved"
    run("clear", *reach(server), status=0)
    assert state(server) == before


@pytest.mark.parametrize("number", [0, signal.SIGINT], ids=["", "interrupted"])
def test_set_back_while_it_is_staged(run, simulate, number):
    """It reads as if config.toml outranked it, and it is somebody's own: the whole group is taken back, come what may."""
    server = simulate()
    write(server, {"auth.dkim.verify": "strict"})
    before = state(server)

    def set_back(then):
        def after(one):
            one.store.set([("auth.dkim.verify", "strict")])
            then(one)
        server.faults.append(Fault(method="POST", path="/api/settings", after=after))
    ran = run.while_running(set_back, lambda process: process.send_signal(number), "stage", *reach(server), *CHANGE, status=6)
    assert "Somebody else set auth.dkim.verify at the same time" in ran.err
    assert {key: value for key, value in server.settings().items() if key.startswith("auth.")} == {"auth.dkim.verify": "strict"}
    assert "checks" not in {key["group"] for key in run.snapshot()["keys"]}
    run("clear", *reach(server), status=0)
    assert state(server) == before


# Without the first stage's snapshot

@pytest.mark.parametrize("first, then, why", [
    (CHANGE, OTHER, "all inbound checks are off, all listeners want a PROXY header from 203.0.113.10/32"),
    (("--proxy", "203.0.113.10", "--only", "listeners"), OTHER, "all listeners want a PROXY header from 203.0.113.10/32"),
    (("--only", "checks"), CHANGE, "all inbound checks are off"),
    (CHANGE, (*CHANGE, *RELAY), "all inbound checks are off, "),
])
def test_already_staged(run, serve, tmp_path, first, then, why):
    """Its values would be taken for the ones from before. With its snapshot nothing is lost."""
    server = serve(config=config(SMTP, HTTP, HTTPS, 'auth.dkim.verify = "strict"\n'))
    before = state(server)
    run("stage", *reach(server), *first, "--snapshot-dir", tmp_path, status=0)
    staged = state(server)
    for options in ((), ("-n",)):
        ran = run("stage", *reach(server), *then, *options, status=1)
        assert f"looks staged already ({why}" in ran.err and "already-staged" in ran.err and "--snapshot FILE" in ran.err
        assert state(server) == staged and not list(run.folder.glob("*.json"))
    run("stage", *reach(server), *then, "--snapshot-dir", tmp_path, status=0)
    run("clear", *reach(server), "--snapshot-dir", tmp_path, status=0)
    assert state(server) == before


def test_already_staged_and_forced(run, serve, tmp_path):
    """What the other stage wrote is not what stood before: it is removed, and what stood then is not known."""
    server = serve(config=config(SMTP, HTTP, HTTPS))
    before = state(server)
    run("stage", *reach(server), *CHANGE, "--snapshot-dir", tmp_path, status=0)
    run("stage", *reach(server), *OTHER, "--force", "already-staged", status=0)
    kept = run.snapshot()["keys"]
    unknown = {key["key"] for key in kept if key.get("unknown")}
    assert all(key["before"] is None for key in kept) and set(guide(NEWEST, listeners=["http", "https"])) <= unknown
    staged = state(server)
    run("status", *reach(server), status=0)
    assert "nothing to do" in run("stage", *reach(server), *OTHER, status=0).out and state(server) == staged
    ran = run("clear", *reach(server), "--dry-run", status=6)
    assert "not known" in ran.err
    ran = run("clear", *reach(server), status=6)
    assert state(server) == before and f"{len(unknown)} keys were staged over another stage's" in ran.err
    assert not list(run.folder.glob("*.snapshot.json"))
    # The other stage's snapshot has nothing to do any more.
    run("clear", *reach(server), "--snapshot-dir", tmp_path, status=0)
    assert state(server) == before


def test_forced_over_a_value_of_somebody(run, serve, tmp_path):
    """Which of the values that stand is the other stage's can't be told: none of them is taken for one from before."""
    server = serve(config=config(SMTP, HTTP, HTTPS))
    before = state(server)
    write(server, spelled({"http.url": "'https://old.example.org'"}))
    run("stage", *reach(server), *CHANGE, "--skip", "url", "--snapshot-dir", tmp_path, status=0)
    run("stage", *reach(server), *CHANGE, "--force", "already-staged", status=0)
    assert ORIGIN in run("status", *reach(server), status=0).out
    run("clear", *reach(server), status=6)
    url, = spelled({"http.url": ""})
    assert url not in server.settings()
    run("clear", *reach(server), *CHANGE, status=0)
    assert state(server) == before


def test_not_staged_though_it_looks_a_little_like_it(run, serve):
    """One listener behind another proxy, some checks off: somebody's own."""
    server = serve(config=config(SMTP, HTTP, HTTPS))
    write(server, {"server.listener.http.proxy.override": "true", "auth.iprev.verify": "disable",
                   "server.listener.http.proxy.trusted-networks.0": "192.0.2.1", "auth.dkim.verify": "disable"})
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_new_node_of_a_staged_cluster(run, nodes):
    """The snapshot of another node of the run tells what stands in the database."""
    first, second, both = nodes
    run("stage", "--url", first.http_url, "--single-node", *CHANGE, status=0)
    run("stage", *both, *CHANGE, status=0)
    run("stage", "--url", second.http_url, "--single-node", *OTHER, status=0)


# Whose snapshot it is

class Front:
    """One port, with servers behind it: each connection goes to the next of `turns`, or with `each` each request. `look` is
    called before a request is passed on."""

    def __init__(self, *turns, each=False):
        self.turns, self.each, self.look = cycle(turns), each, lambda: None
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def turn_to(self, *turns):
        self.turns = cycle(turns)

    def serve(self):
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        server, goes_on = next(self.turns), True
        with suppress(ConnectionError), client, client.makefile("rb") as stream:
            while goes_on and (request := self.message(stream)):
                self.look()
                with socket.create_connection(("127.0.0.1", server.http_port(tls=False))) as behind:
                    behind.sendall(request)
                    with behind.makefile("rb") as answers:
                        answer = self.message(answers)
                client.sendall(answer)
                goes_on = answer and b"connection: close" not in answer.lower()
                server = next(self.turns) if self.each else server

    @staticmethod
    def message(stream):
        """One request or answer, whole."""
        head, length = b"", 0
        while (line := stream.readline()).strip():
            head += line
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return head and head + line + stream.read(length)

    def stop(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


@pytest.fixture
def front():
    made = []

    def make(*turns, **options):
        made.append(Front(*turns, **options))
        return made[-1]
    yield make
    for one in made:
        one.stop()


@pytest.fixture
def pair(simulate):
    """Two servers where something different stands."""
    servers = simulate(), simulate()
    for server, policy in zip(servers, ("strict", "relaxed")):
        write(server, {"auth.dkim.verify": policy})
        server.log.clear()
    return servers


def staged_here(server, before):
    return difference(before["settings"], server.settings()) == guide(NEWEST)


def test_two_servers_behind_one_forwarded_port(run, pair, front):
    """Two snapshots, and each server gets its own back."""
    one, other = pair
    before, way = [state(server) for server in pair], front(one)
    run("stage", "--url", way.url, *CHANGE, status=0)
    way.turn_to(other)
    assert "no snapshot in" in run("status", "--url", way.url, status=6).out
    assert "does not look staged" in run("clear", "--url", way.url, status=0).err and state(other) == before[1]
    run("stage", "--url", way.url, *CHANGE, status=0)
    names = [path.name for path in run.folder.glob("*.snapshot.json")]
    assert len(names) == 2 and len({name.rpartition("-")[0] for name in names}) == 1
    assert [staged_here(*each) for each in zip(pair, before)] == [True, True]
    run("clear", "--url", way.url, status=0)
    assert staged_here(one, before[0]) and state(other) == before[1]
    way.turn_to(one)
    run("status", "--url", way.url, status=0)
    run("clear", "--url", way.url, status=0)
    assert [state(server) for server in pair] == before and not list(run.folder.glob("*.snapshot.json"))


def test_one_server_under_two_urls(run, simulate, front):
    """One snapshot, and the first original stays."""
    server = simulate()
    write(server, {"auth.dkim.verify": "strict"})
    before, way = state(server), front(server)
    run("stage", *reach(server), *CHANGE, status=0)
    name, = run.snapshots()
    local = ("--url", server.http_url.replace("127.0.0.1", "localhost"))
    run("stage", "--url", way.url, *OTHER, status=0)
    assert "nothing to do" in run("stage", *local, *OTHER, status=0).out
    assert run.snapshots() == [name]
    assert {key["key"]: key["before"] for key in run.snapshot()["keys"]}["auth.dkim.verify"] == "strict"
    run("status", *local, status=0)
    run("clear", *local, status=0)
    assert state(server) == before


@pytest.mark.parametrize("command", ["status", "clear"])
def test_keys_that_the_first_read_lacked(run, simulate, front, command):
    """By another URL only the server's key shows which snapshot is its own: what that names is then read too."""
    server = simulate()
    before = state(server)
    more = (*RELAY, "--relay-id", "other", "--dialect", "0.15", "--new-server", "192.0.2.77", "--allow-new-server")
    run("stage", *reach(server), *CHANGE, *more, status=0)
    said = run(command, "--url", front(server).url, status=0).err
    assert said == "" if command == "status" else "was made through" in said and said.count("\n") == 1
    if command == "clear":
        assert state(server) == before


def test_stage_that_ends_meanwhile(run, simulate, front):
    """A clear that began before it, and found no snapshot then, takes it all back."""
    server = simulate()
    write(server, {"auth.dkim.verify": "strict"})
    before, way = state(server), front(server)

    def stage_once():
        way.look = lambda: None
        run("stage", *reach(server), *CHANGE, *RELAY, "--relay-id", "other", "--dialect", "0.15", status=0)
    way.look = stage_once
    run("clear", "--url", way.url, status=0)
    assert state(server) == before and not list(run.folder.glob("*.snapshot.json"))


def settings_requests(server):
    return [method for method, target, _, _ in server.log if "/api/settings" in target]


@pytest.mark.parametrize("command", ["stage", "clear"])
@pytest.mark.parametrize("close,status", [("/api/settings/list", 1), ("/api/settings/keys", 1), ("/api/settings", 5)],
                         ids=["in the read", "before", "after"])
def test_front_that_turns_with_each_connection(run, pair, front, command, close, status):
    """The connection ends, and the next one leads to another server: before the write nothing is sent to it, behind the
    write its answers prove nothing."""
    one, other = pair
    before, way = [state(server) for server in pair], front(one, other)
    if command == "clear":
        run("stage", *reach(one), *CHANGE, status=0)
        one.log.clear()
    now = state(one)
    options = (command, "--url", way.url, *(CHANGE if command == "stage" else ()))
    one.faults.append(Fault(method="POST" if status == 5 else "GET", path=close, headers=(("connection", "close"),)))
    ran = run(*options, "--json", status=status)
    said = " ".join(message["text"] for message in ran.json["messages"])
    assert "Two servers answer at this URL" in said and writes(other) == 0 and state(other) == before[1]
    assert ran.json["changed"] == (status == 5) and (state(one) == now) == (status == 1)
    assert status == 5 or "two-servers" in ran.names() and "Nothing was written." in said
    one.faults.clear()
    run("clear", *reach(one), status=0)
    assert [state(server) for server in pair] == before


@pytest.mark.parametrize("command", ["stage", "clear"])
@pytest.mark.parametrize("first", [0, 1])
def test_front_that_takes_turns(run, pair, front, command, first):
    """Each request goes to the other server: that shows before anything is written."""
    if command == "clear":
        for server in pair:
            run("stage", *reach(server), *CHANGE, status=0)
            server.log.clear()
    before, way = [state(server) for server in pair], front(pair[first], pair[1 - first], each=True)
    ran = run(command, "--url", way.url, *(CHANGE if command == "stage" else ()))
    assert [writes(server) for server in pair] == [0, 0] and [state(server) for server in pair] == before
    assert ran.status == 1 and "refused (two-servers)" in ran.err and "Nothing was written" in ran.err


@pytest.mark.parametrize("turns", list(product((0, 1), repeat=4)), ids=lambda turns: "".join(map(str, turns)))
def test_front_that_turns_with_each_request(run, pair, front, turns):
    """Whichever server gets which request: success is only said where all that counts went to one."""
    before, way = [state(server) for server in pair], front(*(pair[turn] for turn in turns), each=True)
    ran = run("stage", "--url", way.url, *CHANGE, "--json")
    written = [state(server) != was for server, was in zip(pair, before)]
    asked = [bool(settings_requests(server)) for server in pair]
    assert (ran.status, any(written)) in ((0, True), (1, False), (5, True)) and ran.json["changed"] == any(written)
    assert ran.status or asked != [True, True] and written == asked
    assert ran.status != 1 or "two-servers" in ran.names()
    for server, was in zip(pair, before):
        run("clear", *reach(server), *CHANGE)
    assert [state(server)["file"] for server in pair] == [was["file"] for was in before]


# A clone, a backup

@pytest.fixture
def clone(simulate):
    """A server, staged nowhere, and how to make a second one of its database and file."""
    server = simulate(config=config(SMTP, HTTP, HTTPS))
    write(server, {"auth.dkim.verify": "strict"})
    return server, lambda: simulate(config=config(SMTP, HTTP, HTTPS), database=dict(server.shared_database))


def test_clone_that_is_not_staged(run, clone):
    """By its key it is the original. Its clear finds that nothing stands, and the original's snapshot stays."""
    server, copied = clone
    before, other = state(server), copied()
    run("stage", *reach(server), *CHANGE, status=0)
    staged, files, of_other = state(server), run.snapshots(), state(other)
    ran = run("clear", *reach(other), status=0)
    assert "It is kept" in ran.err and files[0] in ran.err and writes(other) == 0
    assert run.snapshots() == files and (state(server), state(other)) == (staged, of_other)
    assert "Missing: listeners, checks, url" in run("status", *reach(other), status=6).out
    # A rehearsal there has its own, and takes nothing from the original's.
    ran = run("stage", *reach(other), "--skip", "url", *CHANGE[:2], status=0)
    assert len(list(run.folder.glob("*.snapshot.json"))) == 2 and files[0] in run.snapshots()
    run("clear", *reach(other), status=0)
    assert (state(server), state(other)) == (staged, of_other) and files[0] in run.snapshots()
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_clone_of_a_staged_server(run, clone, front):
    """Staged alike, each with a snapshot by its URL; by another URL nobody can tell, and nothing is done."""
    server, copied = clone
    before, other = state(server), copied()
    of_other = state(other)
    run("stage", *reach(server), *CHANGE, status=0)
    run("stage", *reach(other), *CHANGE, status=0)
    staged = state(server), state(other)
    ran = run("clear", "--url", front(server).url, status=1)
    assert "Several snapshots" in ran.err and "--snapshot FILE" in ran.err and (state(server), state(other)) == staged
    run("clear", *reach(other), status=0)
    assert (state(server), state(other)) == (staged[0], of_other)
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_backup_that_was_restored(run, clone):
    """The server is as it was before the stage. The next stage takes nothing from the old snapshot, and keeps it."""
    server, _ = clone
    before = server.settings()
    run("stage", *reach(server), *CHANGE, status=0)
    name, = run.snapshots()
    old = (run.folder / name).read_bytes()
    write(server, {**dict.fromkeys(difference(before, server.settings())), "auth.dkim.verify": "relaxed"})
    restored = state(server)
    plan = run("stage", *reach(server), *CHANGE, "--dry-run", status=0)  # as the real run would see it
    assert "was changed" not in plan.err and run.snapshots() == [name]
    ran = run("stage", *reach(server), *CHANGE, status=0)
    assert name + ".aside" in ran.said and run.snapshots() == [name, name + ".aside"]
    assert (run.folder / (name + ".aside")).read_bytes() == old
    run("clear", *reach(server), status=0)
    assert state(server) == restored


def test_backup_that_was_restored_again(run, clone):
    """Each of the old snapshots is kept."""
    server, _ = clone
    before, seen = server.settings(), []
    for number in range(4):
        run("stage", *reach(server), *CHANGE, "--only", "listeners", "--proxy", f"192.0.2.{number}", status=0)
        seen.append(run.snapshot()["request"])
        write(server, dict.fromkeys(difference(before, server.settings())))
    kept = [json.loads(path.read_text())["request"] for path in run.folder.iterdir()]
    assert sorted(map(json.dumps, kept)) == sorted(map(json.dumps, seen))


def test_stage_that_sent_nothing_moves_nothing(run, clone):
    """The one that was put aside is back where it was."""
    server, _ = clone
    before = server.settings()
    run("stage", *reach(server), *CHANGE, status=0)
    write(server, {**dict.fromkeys(difference(before, server.settings())), "auth.dkim.verify": "strict"})
    files = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    server.faults.append(Fault(**REFUSED))
    run("stage", *reach(server), *CHANGE, status=4)
    assert {path.name: path.read_bytes() for path in run.folder.iterdir()} == files


def test_snapshots_that_were_cleared(run, simulate):
    """None overwrites another, and none is read again."""
    server = simulate()
    before = state(server)
    for number in (1, 2, 3):
        run("stage", *reach(server), *CHANGE, status=0)
        run("clear", *reach(server), status=0)
        assert len(run.snapshots()) == number and all(name.endswith(".cleared") for name in run.snapshots())
        assert state(server) == before


# A server that shows no key of its own

def test_macro_in_place_of_the_key(run, simulate, front):
    """Its text says nothing of the server, nor does the snapshot's name: host and port count, else --snapshot."""
    server, other = simulate(), simulate()
    for one in (server, other):
        write(one, {"oauth.key": "%{env:OAUTH_SECRET}%", "auth.dkim.verify": "strict"})
    before, of_other, way = state(server), state(other), front(server)
    run("stage", *reach(server), *CHANGE, status=0)
    name = f"stalprep-127.0.0.1-{server.http_url.rpartition(':')[2]}.snapshot.json"
    assert run.snapshots() == [name] and run.snapshot()["identity"] is None
    assert "does not look staged" in run("clear", *reach(other), status=0).err
    assert "refused (no-snapshot)" in run("clear", "--url", way.url, status=1).err
    run("stage", *reach(other), *CHANGE, status=0)
    run("clear", *reach(other), status=0)
    assert state(other) == of_other and name in run.snapshots()
    run("clear", "--url", way.url, "--snapshot", name, status=0)
    assert state(server) == before


@pytest.mark.parametrize("first,second,keys", [
    ((*CHANGE, "--skip", "listeners"), (*CHANGE, "--only", "listeners"), 8),
    ((*CHANGE, *RELAY), (*CHANGE[:1], "192.0.2.7", *CHANGE[2:]), 17),
    ((*CHANGE, *RELAY), ("--only", "listeners", "--proxy", "192.0.2.7"), 17),
], ids=str)
def test_what_a_reload_would_apply_now(run, serve, first, second, keys):
    """All that stands, of whichever run."""
    server = serve()
    run("stage", *reach(server), *first, status=0)
    out = run("stage", *reach(server), *second, status=0).out
    assert f"A reload would apply {keys} keys: the inbound checks would be off" in out
    assert ("outbound mail would go to the relay" in out) == (keys == 17)
    assert "A restart, also after a crash" in out


def test_another_group_after_a_broken_write(run, simulate):
    """It does not write the listeners' keys, so config.toml may lack them as before."""
    server = simulate()
    server.refuse_writes = "full"
    run("stage", *reach(server), *CHANGE, status=5)
    server.refuse_writes = None
    run("stage", *reach(server), "--only", "url", "--public-url", ORIGIN, status=0)
    assert run.snapshot()["state"] == "sending"
    assert "Run stage again" in run("status", *reach(server), status=6).err
    run("stage", *reach(server), *CHANGE, status=0)
    assert run.snapshot()["state"] == "proved"
    run("status", *reach(server), status=0)


def test_new_rule_that_is_not_taken(run, simulate):
    """The old one is deleted by then, and that is said."""
    server = simulate()
    write(server, {"queue.strategy.route": "'mx'"})
    answer = 403, json.dumps({"type": "about:blank", "status": 403, "title": "Forbidden", "detail": "no"}).encode()

    def second(_):
        server.faults.append(Fault(method="POST", path="/api/settings", answer=answer, done=False, times=-1))
    server.faults.append(Fault(method="POST", path="/api/settings", after=second))
    ran = run("stage", *reach(server), *CHANGE, *RELAY, status=5)
    assert "The old routing rule is deleted, and the new one is not there. Run the same command again" in ran.err
    server.faults.clear()
    run("stage", *reach(server), *CHANGE, *RELAY, status=0)
    run("clear", *reach(server), status=0)
    assert server.settings()["queue.strategy.route"] == "'mx'"


def test_nodes_that_show_no_key(run, nodes):
    """The same macro on two nodes of a cluster is all that shows."""
    first, second, both = nodes
    write(first, {"oauth.key": "%{env:OAUTH_SECRET}%"})
    before = state(first), state(second)
    run("stage", *both, *CHANGE, status=0)
    run("clear", *both, status=0)
    assert (state(first), state(second)) == before
    for node in (first, second):
        run("stage", *reach(node), *CHANGE, "--single-node", status=0)
    for node in (first, second):
        run("clear", *reach(node), "--single-node", status=0)
    assert (state(first), state(second)) == before
