"""Where an original could get lost: a run that does not know another one, a node that is taken for another."""

import json
import re
import socket
import threading
import zlib
from pathlib import Path

import pytest

import oldconfig
from conftest import CHANGE, HTTP, ORIGIN, RELAY, SMTP, config, difference, listener, reach, state, write
from oldserver import Fault
from test_boot import boot, edit

IMAP = listener("imap", 143, "imap")
NETWORKS = "server.listener.imap.proxy.trusted-networks"
STRICT = {"auth.dkim.verify": "strict"}


def node(simulate, number, database, imap=IMAP):
    return simulate(config=config(f'cluster.coordinator = "redis"\ncluster.node-id = "{number}"\n', SMTP, HTTP, imap),
                    database=database)


class Front:
    """A TCP front before one server; `hook` is called once, when bytes with `mark` go up."""

    def __init__(self, server, mark=b"", hook=None):
        self.server, self.mark, self.hook = server, mark, hook
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def pump(self, source, sink, up):
        try:
            while data := source.recv(65536):
                if up and self.hook and self.mark in data:
                    hook, self.hook = self.hook, None
                    hook()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            behind = socket.create_connection(("127.0.0.1", self.server.port(8080)))
            for source, sink, up in ((client, behind, True), (behind, client, False)):
                threading.Thread(target=self.pump, args=(source, sink, up), daemon=True).start()


@pytest.fixture
def front():
    fronts = []

    def make(*args):
        fronts.append(Front(*args))
        return fronts[-1]
    yield make
    for one in fronts:
        one.listener.close()


@pytest.mark.parametrize("alike", [True, False])
def test_nodes_of_one_id(run, simulate, alike):
    """Staged one by one: the second has a part of its own, and each gets back what it had."""
    database = {}
    other = IMAP if alike else listener("imap", 143, "imap", **{"proxy.trusted-networks.0": "198.51.100.0/24"})
    nodes = [node(simulate, 1, database), node(simulate, 1, database, other)]
    before = [state(one) for one in nodes]
    for one in nodes:
        run("stage", *reach(one), *CHANGE, "--single-node", status=0)
    assert len(run.snapshot()["nodes"]) == 2
    run("clear", *reach(nodes[0]), "--single-node", status=6)
    run("clear", *reach(nodes[1]), "--single-node", status=0)
    assert [state(one) for one in nodes] == before and not list(run.folder.glob("*.snapshot.json"))


@pytest.mark.parametrize("numbers", [(1, 2), (1, 1)])
def test_url_that_leads_to_another_node(run, simulate, front, numbers):
    """Its file is not the one that was staged: nothing is said of it, and the part is kept."""
    database = {}
    one, two = (node(simulate, number, database) for number in numbers)
    way, before = front(one), [state(one), state(two)]
    run("stage", "--url", way.url, *CHANGE, "--single-node", status=0)
    staged = state(one)["file"]
    way.server = two
    run("clear", "--url", way.url, "--single-node", status=6)
    assert state(one)["file"] == staged
    assert list(run.folder.glob("*.snapshot.json"))
    way.server = one
    run("clear", "--url", way.url, "--single-node", status=0)
    assert [state(one), state(two)] == before


@pytest.mark.parametrize("alike", [True, False])
def test_changed_key_of_a_node(run, simulate, alike):
    """One key that somebody changed is left. That doesn't make the node a stranger, whose keys all stay."""
    database = {}
    other = IMAP if alike else listener("imap", 143, "imap", **{"proxy.trusted-networks.0": "198.51.100.0/24"})
    nodes = [node(simulate, 1, database), node(simulate, 2, database, other)]
    before = [state(one) for one in nodes]
    both = [word for one in nodes for word in reach(one)]
    run("stage", *both, *CHANGE, status=0)
    write(nodes[0], {NETWORKS + ".0": "192.0.2.0/24"})
    ran = run("clear", *both, status=6)
    assert NETWORKS + ".0 was changed" in ran.err and state(nodes[1]) == before[1]
    assert difference(before[0]["file"], state(nodes[0])["file"]) == {NETWORKS + ".0": "192.0.2.0/24"}
    assert "somebody changed it" in run("clear", *both, status=6).err
    run("clear", *both, "--force", "changed", status=0)
    assert [state(one) for one in nodes] == before


def test_changed_entry_of_a_list_that_was_a_scalar(run, simulate):
    """What the first clear put back is no network of ours, neither beside the changed one nor without it."""
    server = simulate(config=config(SMTP, HTTP, listener("imap", 143, "imap", **{"proxy.trusted-networks": "198.51.100.0/24"})))
    before = server.settings()
    run("stage", *reach(server), *CHANGE, status=0)
    write(server, {NETWORKS + ".0": "192.0.2.0/24"})
    for _ in range(2):
        run("clear", *reach(server), status=6)
        assert difference(before, server.settings()) == {NETWORKS + ".0": "192.0.2.0/24"}
    write(server, {NETWORKS + ".0": None})
    run("clear", *reach(server), status=0)
    assert server.settings() == before


def test_stage_between_read_and_lock(run, simulate, front):
    """What another run wrote meanwhile is not taken for what stood before."""
    server = simulate(config=config(SMTP, HTTP, IMAP))
    write(server, {"queue.strategy.route": "'x'"})
    before, done = state(server), []
    way = front(server)
    way.mark, way.hook = b"/api/settings/list", lambda: done.append(run("stage", "--url", way.url, *CHANGE, *RELAY))
    run("stage", "--url", way.url, *CHANGE, status=0)
    assert done[0].status == 0 and not list(run.folder.glob("*.aside"))
    run("clear", "--url", way.url, status=0)
    assert state(server) == before


def change_text(path, old, new):
    """In the snapshot's text, with the checksum that fits."""
    head = path.read_text().replace(old, new).rpartition(',\n  "checksum": "')[0]
    path.write_text(f'{head},\n  "checksum": "{zlib.crc32(head.encode()):08x}"\n}}\n')


@pytest.fixture
def cut_off(run, simulate):
    """A server, and a stage that was killed before its write arrived."""
    server = simulate(config=config(SMTP, HTTP, IMAP))

    def kill(*options):
        run.while_running(lambda call: server.faults.append(Fault(method="POST", before=call, done=False)),
                          lambda process: process.kill(), "stage", *reach(server), *options)
        server.faults.clear()
    return server, kill


def test_plan_that_was_never_sent(run, cut_off):
    """It says nothing: a clear looks at the server, and only then puts it away."""
    server, kill = cut_off
    before = state(server)
    kill(*CHANGE)
    path, = run.folder.glob("*.snapshot.json")
    change_text(path, '"sending"', '"planned"')
    (run.folder / "other").mkdir()
    run("stage", *reach(server), *CHANGE, "--snapshot-dir", run.folder / "other", status=0)
    assert "no-snapshot" in run("clear", *reach(server), "--json", status=1).names() and path.exists()
    run("clear", *reach(server), *CHANGE, status=0)
    assert state(server) == before and not path.exists()


def test_forced_plan_that_was_never_sent(run, cut_off):
    """Another stage's values are no trace of this one."""
    server, kill = cut_off
    run("stage", *reach(server), *CHANGE, "--snapshot", "other.json", status=0)
    write(server, STRICT)
    kill("--proxy", "192.0.2.1", *CHANGE[2:], "--force", "already-staged", "--snapshot", "s.json")
    change_text(run.folder / "s.json", '"sending"', '"planned"')
    stood = server.settings()
    run("stage", *reach(server), "--only", "url", "--public-url", "https://x.example.org", "--snapshot", "s.json", status=0)
    run("clear", *reach(server), "--snapshot", "s.json", status=0)
    assert server.settings() == stood


def test_edit_after_a_cut_off_run(run, cut_off):
    """A broken write has no way to make it: it is somebody's, and the server's own write would undo it."""
    server, kill = cut_off
    kill(*CHANGE)
    edit(server, lambda keys: keys.update({"tracer.log.level": "debug", "server.hostname": "new.example.org"}))
    ran = run("stage", *reach(server), *CHANGE, *boot(server), status=1)
    assert "refused (file-changed)" in ran.err and "server.hostname" in ran.err and "tracer.log.level" in ran.err
    assert oldconfig.read_text(server.config_text(), server.version)["server.hostname"] == "new.example.org"


def test_both_places(run, simulate):
    """Staged over the API, then in the file: cleared from both, and what the database held comes back."""
    server = simulate(config=config(SMTP, HTTP, IMAP))
    write(server, STRICT)
    before = state(server)
    run("stage", *reach(server), *CHANGE, "--snapshot", "s.json", status=0)
    run("stage", "--config", server.config_path, *CHANGE, "--snapshot", "s.json", status=0)
    assert server.restart()
    run("clear", *reach(server), "--snapshot", "s.json", "--force", "in-file", status=0)
    assert state(server) == before and not (run.folder / "s.json").exists()


def test_both_places_file_first(run, simulate):
    """The file is cleared while the server is stopped. What the database held is still known."""
    server = simulate(config=config(SMTP, HTTP, IMAP))
    write(server, STRICT)
    before = state(server)
    run("stage", *reach(server), *CHANGE, "--snapshot", "s.json", status=0)
    run("stage", "--config", server.config_path, *CHANGE, "--snapshot", "s.json", status=0)
    run("clear", "--config", server.config_path, "--snapshot", "s.json", status=6)
    assert server.restart()
    run("clear", *reach(server), "--snapshot", "s.json", status=0)
    assert state(server) == before and not (run.folder / "s.json").exists()


def test_both_places_with_one_value(run, simulate):
    """The database has it already, so only the file's line is ours: it is not forgotten while it stands."""
    server = simulate(config=config(SMTP, HTTP, IMAP))
    write(server, {"auth.dkim.verify": "disable"})
    before = state(server)
    run("stage", *reach(server), *CHANGE, "--snapshot", "s.json", status=0)
    run("stage", "--config", server.config_path, *CHANGE, "--snapshot", "s.json", status=0)
    assert server.restart()
    for _ in range(2):
        assert "and 7 more were" in run("clear", *reach(server), "--snapshot", "s.json", status=6).err
    run("clear", "--config", server.config_path, "--snapshot", "s.json", status=6)
    assert server.restart()
    run("clear", *reach(server), "--snapshot", "s.json", status=0)
    assert state(server) == before and not (run.folder / "s.json").exists()


def test_file_of_a_node(run, simulate):
    """What was staged in its file is left there, though another node writes the database."""
    database, other = {}, listener("imap", 143, "imap", **{"proxy.trusted-networks.0": "198.51.100.0/24"})
    nodes = [node(simulate, 1, database), node(simulate, 2, database, other)]
    before = [state(one) for one in nodes]
    both = [word for one in nodes for word in reach(one)]
    run("stage", *both, *CHANGE, "--snapshot", "s.json", status=0)
    path = nodes[1].config_path
    run("stage", "--config", path, *CHANGE, "--snapshot", "s.json", status=0)
    assert nodes[1].restart()
    for _ in range(2):
        assert "in config.toml" in run("clear", *both, "--snapshot", "s.json", status=6).err
    run("clear", "--config", path, "--snapshot", "s.json", status=0)
    assert nodes[1].restart() and [state(one) for one in nodes] == before


NARROW = ('config.local-keys = ["store.*", "server.listener.*", "storage.*", "authentication.fallback-admin.*", '
          '"certificate.*", "config.local-keys.*"]\n')


def test_patterns_that_are_narrow(run, simulate):
    """The key that makes the server write its file is one of the file's."""
    server = simulate(config=config(NARROW, SMTP, HTTP, IMAP))
    run("stage", *reach(server), *CHANGE, status=0)
    Path(server.config_path).write_text("")
    run("stage", *reach(server), *CHANGE, *boot(server), status=0)
    assert "server.listener.imap.proxy" in server.config_text() and server.restart()
    assert not [key for key in (*server.settings(), *server.database()) if "stalprep" in key]


def test_two_that_stand(run, simulate):
    """Made by two URLs, around a restored backup, they differ in what stood before: nobody guesses."""
    server = simulate(config=config(SMTP, HTTP, IMAP))
    write(server, STRICT)
    before = server.settings()
    run("stage", *reach(server), *CHANGE, status=0)
    write(server, {**dict.fromkeys(difference(before, server.settings())), "auth.dkim.verify": "relaxed"})
    before = server.settings()
    url = server.http_url.replace("127.0.0.1", "localhost")
    out = run("stage", "--url", url, *CHANGE, status=0).out
    for way in (server.http_url, url):
        assert "Several snapshots" in run("clear", "--url", way, status=1).err
    path = re.search(r"--snapshot (\S+)", out)[1]
    run("clear", "--url", url, "--snapshot", path, status=0)
    assert server.settings() == before


def test_removed_by_hand(run, simulate):
    """Our values, not the old rule that they replaced: that is brought back, and then all is done."""
    server = simulate(config=config(SMTP, HTTP, IMAP))
    write(server, {"queue.strategy.route": "'x'"})
    before = server.settings()
    run("stage", *reach(server), *CHANGE, *RELAY, status=0)
    write(server, dict.fromkeys(difference(before, server.settings())))
    ran = run("clear", *reach(server), status=0)
    assert server.settings() == before and "is now" in ran.out and not list(run.folder.glob("*.snapshot.json"))


@pytest.mark.parametrize("key,value", [("queue.strategy.route", "'mx'"), ("auth.dkim.verify", "strict")])
def test_hidden_by_the_file(run, simulate, key, value):
    """What the database held is put back there, though a new line of the file shows the same value."""
    server = simulate(config=config(SMTP, HTTP, IMAP))
    write(server, {key: value})
    before = server.database()
    run("stage", *reach(server), *CHANGE, *RELAY, status=0)
    edit(server, lambda keys: keys.update({key: value}))
    assert server.restart() and server.settings()[key] == value and server.database().get(key) != value
    out = run("clear", *reach(server), status=0).out
    assert key in out and server.database() == before
    run("clear", *reach(server), status=0)


def test_changed_and_forced(run, simulate):
    """Then the snapshot has served."""
    server = simulate(config=config(SMTP, HTTP, IMAP))
    before = server.settings()
    run("stage", *reach(server), "--only", "url", "--public-url", ORIGIN, status=0)
    write(server, {"http.url": "'https://other.example.org'"})
    run("clear", *reach(server), status=6)
    run("clear", *reach(server), "--force", "changed", status=0)
    assert server.settings() == before and not list(run.folder.glob("*.snapshot.json"))


def test_one_group_of_one_node(run, simulate):
    """Other nodes' listeners were not asked for."""
    database = {}
    one, two = (node(simulate, number, database) for number in (1, 2))
    run("stage", *reach(one), *reach(two), *CHANGE, status=0)
    assert "still staged" not in run("clear", *reach(one), "--only", "checks", status=0).out


@pytest.mark.parametrize("turned", [False, True])
def test_cleared_on_one_node_and_staged_again(run, simulate, turned):
    """What still stands on the other one is of this cluster: its part stays in use."""
    database = {}
    nodes = [node(simulate, number, database) for number in (1, 2)]
    write(nodes[1], {NETWORKS + ".0": "10.9.8.0/24"})
    before = [state(one) for one in nodes]
    both = [word for one in (nodes[::-1] if turned else nodes) for word in reach(one)]
    run("stage", *both, *CHANGE, status=0)
    run("clear", *reach(nodes[0]), status=6)
    run("stage", *both, *CHANGE, status=0)
    assert not list(run.folder.glob("*.aside"))
    run("clear", *both, status=0)
    assert [state(one) for one in nodes] == before


def test_another_servers_snapshot_is_not_offered(run, simulate, front):
    """Its URL was this one's; its key was another."""
    one, two = (simulate(config=config(SMTP, HTTP, IMAP)) for _ in range(2))
    way = front(one)
    run("stage", "--url", way.url, *CHANGE, status=0)
    way.server = two
    ran = run("status", "--url", way.url, "--json", password="wrong", status=4)
    assert ran.target["snapshot"] is None and ran.target["parts"] == []


def test_line_that_went(run, simulate):
    """A check stood in config.toml alone; without its line nobody knows whether the database has it."""
    server = simulate(config=config('auth.dkim.verify = "disable"\n', SMTP, HTTP, IMAP))
    run("stage", *reach(server), *CHANGE, "--snapshot", "s.json", status=0)
    edit(server, lambda keys: keys.pop("auth.dkim.verify"))
    assert "auth.dkim.verify" in run("status", *reach(server), *CHANGE, *boot(server), status=6).err
    assert json.loads(run("status", *reach(server), *CHANGE, *boot(server), "--json", status=6).out)["exit"] == 6
