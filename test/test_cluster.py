"""A cluster: all nodes are read, planned and kept before the first write; a failure stops, a second run finishes."""

import json
import re
import shlex

import pytest

from conftest import (CHANGE, HTTP, NEWEST, SMTP, config, difference, guide, listener, reach, sent, state, write,
                      writes)
from oldserver import Fault
from test_stage import PLACES, fail

STANDING = {"auth.dkim.verify": "strict", "http.url": "'https://old.example.org'"}
STAGE, CLEAR = ("stage", *CHANGE), ("clear",)
IMAP = listener("imap", 143, "imap", **{"proxy.trusted-networks": "198.51.100.0/24"})


class Cluster:
    """Nodes that share a database; a run names them all, in this order or in another."""

    def __init__(self, run, nodes):
        self.run, self.nodes = run, nodes
        write(nodes[0], STANDING)
        for node in nodes:
            node.log.clear()
        self.before = self.states()

    def __call__(self, command, order=None, **options):
        ways = [word for node in order or self.nodes for word in reach(node)]
        return self.run(*command, *ways, **options)

    def states(self):
        return [state(node) for node in self.nodes]

    def snapshot(self, node):
        return json.loads(self.path(node).read_text())

    def path(self, node):
        return self.run.folder / f"stalprep-127.0.0.1-{node.http_url.rpartition(':')[2]}.snapshot.json"

    def snapshot_states(self):
        """None: a node has no snapshot."""
        return [self.snapshot(node)["state"] if self.path(node).exists() else None for node in self.nodes]


@pytest.fixture
def cluster(run, simulate):
    """Three nodes, each with a listener of its own beside the common ones."""
    def node(number, database):
        own = f'cluster.coordinator = "redis"\ncluster.node-id = "{number}"\n'
        return simulate(config=config(own, SMTP, HTTP, IMAP, listener(f"web{number}", 8443, "http")), database=database)
    database = {}
    return Cluster(run, [node(number, database) for number in (1, 2, 3)])


def test_one_undo_for_all_nodes(run, cluster):
    """The report names it once, after all nodes; it works as it is printed, from another folder too."""
    out = cluster(STAGE, status=0).out
    undo, = (line.partition(": ")[2] for line in out.splitlines() if line.startswith("To undo: "))
    assert out.endswith(undo + "\n") and [node.http_url in undo for node in cluster.nodes] == [True] * 3
    out = run(*shlex.split(undo)[1:], cwd="/", status=0).out
    assert cluster.states() == cluster.before and out.count("To reload: ") == 1
    command = out.splitlines()[-1].partition("To reload: ")[2]
    assert run(*shlex.split(command)[1:], cwd="/", status=0).out.count("Reloaded without an error") == 3


def staged_keys(number):
    keys = guide(NEWEST, listeners=["http", "imap"])
    imap = "server.listener.imap.proxy.trusted-networks"
    keys.update({f"server.listener.web{number}.proxy.override": "true",
                 f"server.listener.web{number}.proxy.trusted-networks.0": keys[imap + ".0"],
                 imap: None, imap + ".0": "198.51.100.0/24", imap + ".1": keys[imap + ".0"]})
    return keys


def check_staged(cluster):
    for number, node in enumerate(cluster.nodes, 1):
        assert difference(cluster.before[number - 1]["settings"], node.settings()) == staged_keys(number)
        assert cluster.snapshot(node)["state"] == "proved"


def check_cleared(cluster):
    kept = [str(cluster.path(node)) + ".cleared" for node in cluster.nodes if cluster.path(node).exists()]
    ran = cluster(CLEAR, status=0)
    assert re.findall("The snapshot is now (.*[.]cleared)[.]\n", ran.out) == kept
    assert cluster.states() == cluster.before
    for number, node in enumerate(cluster.nodes):
        assert node.restart() and node.settings() == cluster.before[number]["settings"]


def local(key):
    return key.startswith("server.")


def keys_in(bodies):
    return {key for body in bodies for change in body
            for key in (*change.get("keys", ()), *(pair[0] for pair in change.get("values", ())))}


def test_stage_and_clear(cluster):
    """Local keys go to every node, the database's once; the first node's snapshot holds them."""
    ran = cluster((*STAGE, "--json"), status=0)
    check_staged(cluster)
    assert [len(sent(node)) for node in cluster.nodes] == [1, 1, 1]
    assert [all(map(local, keys_in(sent(node)))) for node in cluster.nodes] == [False, True, True]
    kept = [{key["key"] for key in cluster.snapshot(node)["keys"]} for node in cluster.nodes]
    assert [all(map(local, keys)) for keys in kept] == [False, True, True] and "auth.dkim.verify" in kept[0]
    assert [target["target"] for target in ran.json["targets"]] == [node.http_url for node in cluster.nodes]
    assert cluster(("status",), status=0).out.count("staged") >= 3
    again = cluster(STAGE, status=0)
    assert again.out.count("nothing to do") == 3 and [len(sent(node)) for node in cluster.nodes] == [1, 1, 1]
    check_cleared(cluster)


def test_all_is_kept_before_the_first_write(cluster):
    """At the first byte for the first node the others are read and their snapshots on disk."""
    first, *others = cluster.nodes
    seen = []

    def look(_):
        seen.append(([len(node.log) for node in others], cluster.snapshot_states(), [writes(node) for node in others]))
    fail(first, "write", before=look)
    cluster(STAGE, status=0)
    (reads, states, written), = seen
    assert min(reads) >= 3 and states == ["sending", "planned", "planned"] and written == [0, 0]


def mixed(node):
    """Nothing of it may be staged: 25 and 587 on one listener."""
    write(node, {"server.listener.mx.bind.0": "[::]:25", "server.listener.mx.bind.1": "[::]:587",
                 "server.listener.mx.protocol": "smtp"})
    node.log.clear()


def gone(node):
    node.on_connect = "close"


def unwilling(node):
    node.faults.append(Fault(**PLACES["keys"], answer=(403, None)))


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("ail,status", [(mixed, 1), (gone, 3), (unwilling, 4)])
def test_one_node_that_refuses(cluster, ail, status, number):
    """Seen before the first write: nothing is written on any node."""
    before = state(cluster.nodes[0])
    ail(cluster.nodes[number])
    ran = cluster(STAGE, status=status)
    assert cluster.nodes[number].http_url in ran.err and "Nothing was written" in ran.err
    assert [writes(node) for node in cluster.nodes] == [0, 0, 0] and state(cluster.nodes[0]) == before
    assert cluster.run.snapshots() == []


def full(node):
    node.refuse_writes = "full"


def leave(node):
    node.on_connect = "close"
    node.drop_connections()


def mend(node):
    node.refuse_writes, node.on_connect = None, ""
    node.faults.clear()


@pytest.mark.parametrize("second", ["stage", "clear"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("ail", [full, leave, lambda node: fail(node, "write", answer=(403, None)),
                                 lambda node: fail(node, "write", cut=0)], ids=["500", "unreachable", "403", "lost"])
def test_failure_on_a_later_node(cluster, ail, number, second):
    """The nodes before it are done, those after it not written to; both are said, and a second run finishes."""
    failing = cluster.nodes[number]
    fail(cluster.nodes[number - 1], "write", after=lambda _: ail(failing))
    ran = cluster(STAGE, status=5)
    for at, node in enumerate(cluster.nodes):
        what = "done and read back" if at < number else "not written to" if at > number else ""
        assert f"{node.http_url}: {what}" in ran.err
        assert bool(sent(node)) == (at < number) or at == number
    states = cluster.snapshot_states()
    assert states[:number] == ["proved"] * number and states[number] in (None, "sending")
    assert states[number + 1:] == [None] * (2 - number)
    mend(failing)
    if second == "stage":
        cluster(STAGE, status=0)
        check_staged(cluster)
    check_cleared(cluster)


@pytest.mark.parametrize("ail", [full, leave], ids=["500", "unreachable"])
def test_clear_that_fails_on_the_second_node(cluster, ail):
    cluster(STAGE, status=0)
    first, second, third = cluster.nodes
    fail(first, "write", after=lambda _: ail(second))
    ran = cluster(CLEAR, status=5)
    assert f"{first.http_url}: done and read back" in ran.err and f"{third.http_url}: not written to" in ran.err
    assert first.settings() == cluster.before[0]["settings"]
    mend(second)
    first.log.clear()
    check_cleared(cluster)
    assert first.settings() == cluster.before[0]["settings"] and len(cluster.run.snapshots()) == 3


def test_cleared_node_that_was_staged_again(cluster):
    """By hand, before the second clear: what its old snapshot holds is looked at, not taken on trust."""
    cluster(STAGE, status=0)
    first, second, _ = cluster.nodes
    hand = {key: first.settings()[key] for key in ("auth.dkim.verify", "server.listener.http.proxy.override")}
    fail(first, "write", after=lambda _: full(second))
    cluster(CLEAR, status=5)
    mend(second)
    write(first, hand)
    check_cleared(cluster)


def test_clear_in_another_order(cluster):
    """A snapshot holds what its own node has to undo."""
    cluster(STAGE, status=0)
    cluster(CLEAR, order=cluster.nodes[::-1], status=0)
    assert cluster.states() == cluster.before


def test_clear_without_snapshots(cluster):
    cluster((*STAGE, "--skip", "url"), status=0)
    for path in cluster.run.folder.iterdir():
        path.unlink()
    cluster((*CLEAR, *CHANGE, "--skip", "url"), status=6)  # a network of somebody else's is left
    imap = "server.listener.imap.proxy."
    left = {"auth.dkim.verify": None, imap + "trusted-networks": None, imap + "override": "true",
            imap + "trusted-networks.0": "198.51.100.0/24"}
    for before, node in zip(cluster.before, cluster.nodes):
        assert difference(before["settings"], node.settings()) == left


def test_another_first_node(cluster):
    """It would take staged values of the database for originals."""
    cluster(STAGE, status=0)
    stood, log = cluster.states(), [len(sent(node)) for node in cluster.nodes]
    for more in ((), ("--force", "node-order")):
        ran = cluster((*STAGE, *more, "--json"), order=cluster.nodes[::-1], status=1)
        assert "node-order" in ran.names()
    assert cluster.states() == stood and [len(sent(node)) for node in cluster.nodes] == log
    cluster((*STAGE[:1], "--proxy", "192.0.2.7", *STAGE[3:]), status=0)
    check_cleared(cluster)


SIGNS = [("cluster.coordinator", "redis"), ("cluster.bind-addr", "[::]"), ("cluster.node-id", "1"),
         ("cluster.seed-nodes.0", "192.0.2.9")]


@pytest.mark.parametrize("key,value", SIGNS)
def test_one_url_of_a_cluster(run, simulate, key, value):
    server = simulate(config=config(f'{key} = "{value}"\n', SMTP, HTTP))
    before = state(server)
    ran = run(*STAGE, *reach(server), "--json", status=1)
    assert "cluster" in ran.names() and state(server) == before and writes(server) == 0 and run.snapshots() == []
    assert key.removesuffix(".0") in run(*STAGE, *reach(server), status=1).err
    run(*STAGE, *reach(server), "--skip", "listeners", status=0)  # the database is all nodes'
    run(*STAGE, *reach(server), "--single-node", status=0)
    run(*CLEAR, *reach(server), status=0)
    assert state(server) == before


def test_no_sign_of_a_cluster(run, simulate):
    """Separate servers have a database each: staged together, the second would get no database key."""
    servers = [simulate(config=config('cluster.key = "x"\n', SMTP, HTTP)) for _ in range(2)]
    run(*STAGE, *reach(servers[0]), *reach(servers[1]), "--dry-run", "--force", "no-cluster", status=0)
    ran = run(*STAGE, *reach(servers[0]), *reach(servers[1]), "--json", status=1)
    assert "no-cluster" in ran.names() and [writes(server) for server in servers] == [0, 0]
    for server in servers:
        run(*STAGE, *reach(server), status=0)


def test_servers_that_share_no_database(run, simulate):
    """It shows on reading back, when the first is done; clear undoes it."""
    sign = 'cluster.coordinator = "redis"\n'
    first, second = (simulate(config=config(sign, SMTP, HTTP)) for _ in range(2))
    before, both = [state(first), state(second)], (*reach(first), *reach(second))
    ran = run(*STAGE, *both, status=5)
    assert "share no database" in ran.err and "Run the same command again" not in ran.err
    run(*CLEAR, *both, status=0)
    assert [state(first), state(second)] == before
