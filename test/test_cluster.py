"""A cluster: all nodes are read, planned and kept before the first write; a failure stops, a second run finishes."""

import json
import re
import shlex

import pytest

from conftest import (CHANGE, HTTP, NEWEST, SMTP, cluster_nodes, config, difference, guide, listener, reach, sent, state, write,
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

    def kept(self):
        """The cluster's one snapshot, or None."""
        paths = list(self.run.folder.glob("*.snapshot.json"))
        assert len(paths) <= 1
        return json.loads(paths[0].read_text()) if paths else None

    def part(self, node):
        """Of the snapshot, the node's own; or None."""
        parts = [part for part in (self.kept() or {"nodes": []})["nodes"] if part["url"] == node.http_url]
        return parts[0] if parts else None

    def part_states(self):
        """None: a node has no part."""
        return [part and part["state"] for part in map(self.part, self.nodes)]


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
        assert cluster.part(node)["state"] == "proved"
    assert cluster.kept()["database"]["state"] == "proved"


def check_cleared(cluster):
    ran = cluster(CLEAR, status=0)
    assert len(set(re.findall("The snapshot is now (.*[.]cleared)[.]\n", ran.out))) == 1 and not cluster.kept()
    assert cluster.states() == cluster.before
    for number, node in enumerate(cluster.nodes):
        assert node.restart() and node.settings() == cluster.before[number]["settings"]


def local(key):
    return key.startswith("server.")


def keys_in(bodies):
    return {key for body in bodies for change in body
            for key in (*change.get("keys", ()), *(pair[0] for pair in change.get("values", ())))}


def test_stage_and_clear(cluster):
    """Local keys go to every node, the database's once; the snapshot has a part for each place."""
    ran = cluster((*STAGE, "--json"), status=0)
    check_staged(cluster)
    assert [len(sent(node)) for node in cluster.nodes] == [1, 1, 1]
    assert [all(map(local, keys_in(sent(node)))) for node in cluster.nodes] == [False, True, True]
    kept = cluster.kept()
    assert all(local(key["key"]) for part in kept["nodes"] for key in part["keys"])
    assert "auth.dkim.verify" in {key["key"] for key in kept["database"]["keys"] if not local(key["key"])}
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
        seen.append(([len(node.log) for node in others], cluster.part_states(), [writes(node) for node in others]))
    fail(first, "write", before=look)
    cluster(STAGE, status=0)
    (reads, states, written), = seen
    assert min(reads) >= 2 and states == ["sending", "planned", "planned"] and written == [0, 0]


def mixed(node):
    """Nothing of it may be staged: 25 and 587 on one listener."""
    write(node, {"server.listener.mx.bind.0": "[::]:25", "server.listener.mx.bind.1": "[::]:587",
                 "server.listener.mx.protocol": "smtp"})
    node.log.clear()


def gone(node):
    node.on_connect = "close"


def unwilling(node):
    node.faults.append(Fault(**PLACES["list"], answer=(403, None)))


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("ail,status", [(mixed, 1), (gone, 3), (unwilling, 4)])
def test_one_node_that_refuses(cluster, ail, status, number):
    """Seen before the first write: nothing is written on any node."""
    before = state(cluster.nodes[0])
    ail(cluster.nodes[number])
    ran = cluster((*STAGE, "-n"), status=status)
    assert not re.search("would be written|To do it", ran.out)
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
    states = cluster.part_states()
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
    assert first.settings() == cluster.before[0]["settings"]


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


def test_first_node_put_back_by_hand(run, simulate):
    """The other is still staged: it is named with its command, and the snapshot stays what it is."""
    one, two = cluster_nodes(simulate, SMTP, HTTP, IMAP)
    run("stage", *reach(one), *reach(two), *CHANGE, status=0)
    kept = run.snapshot()
    write(one, {key["key"]: key["before"] for key in kept["keys"]})
    ran = run("clear", *reach(one), status=6)
    assert f"keys of {two.http_url} are still staged" in ran.out and f"of {one.http_url}" not in ran.out
    assert "It is kept" in ran.err and "move it away" not in ran.err
    run("clear", *reach(two), status=6)
    assert {key: value for key, value in two.settings().items() if "trusted-networks" in key} == {
        key["key"]: key["before"] for key in kept["nodes"][1]["keys"] if "trusted-networks" in key["key"] and key["before"]}


def test_another_first_node(cluster):
    """The database has a part of its own: which node is named first does not matter."""
    cluster(STAGE, status=0)
    log = [len(sent(node)) for node in cluster.nodes]
    assert cluster(STAGE, order=cluster.nodes[::-1], status=0).out.count("nothing to do") == 3
    assert [len(sent(node)) for node in cluster.nodes] == log
    cluster((*STAGE[:1], "--proxy", "192.0.2.7", *STAGE[3:]), order=cluster.nodes[::-1], status=0)
    check_cleared(cluster)


def test_dead_node_at_the_roll_back(cluster):
    """Over any node the database and that node's file come back; the dead one's part is kept, with the command."""
    cluster(STAGE, status=0)
    first, second, third = cluster.nodes
    leave(first)
    ran = cluster(CLEAR, order=[third, second], status=6)
    assert [state(node) for node in (second, third)] == cluster.before[1:]
    number = len(cluster.part(first)["keys"])
    line, command = ran.out[ran.out.index(f"{number} keys of {first.http_url} are still staged"):].splitlines()[:2]
    assert line.endswith("To clear them:") and first.http_url in command and not cluster.kept()["database"]["keys"]
    assert cluster.part_states()[1:] == [None, None] or not cluster.part(second)["keys"]
    mend(first)
    cluster.run(*shlex.split(command)[1:], cwd="/", status=0)
    assert cluster.states() == cluster.before and not cluster.kept()


def test_new_node(cluster, simulate):
    """One that joined a staged cluster stages its own local keys, and the clear of all takes them out again."""
    cluster(STAGE, status=0)
    fresh = simulate(config=config('cluster.coordinator = "redis"\ncluster.node-id = "4"\n', SMTP, HTTP),
                     database=cluster.nodes[0].shared_database)
    before = fresh.settings()
    cluster.run(*STAGE, *reach(fresh), "--single-node", status=0)
    assert all(local(key) for key in keys_in(sent(fresh)))
    assert "server.listener.http.proxy.override" in difference(before, fresh.settings())
    cluster(CLEAR, order=[*cluster.nodes, fresh], status=0)
    assert cluster.states() == cluster.before and not cluster.kept()
    own = [key for key in fresh.settings() if ".proxy." in key]
    assert not own


def test_node_by_another_url(cluster):
    """It has an id that no other has."""
    cluster(STAGE, status=0)
    ways = [word for node in cluster.nodes for word in ("--url", node.http_url.replace("127.0.0.1", "localhost"))]
    cluster.run("clear", *ways, status=0)
    assert cluster.states() == cluster.before and not cluster.kept()


@pytest.fixture
def twins(run, simulate):
    """A cluster whose nodes all have one id, as a public chart gives them."""
    text = config('cluster.coordinator = "redis"\ncluster.node-id = "1"\n', SMTP, HTTP, IMAP)
    first = simulate(config=text)
    return Cluster(run, [first, simulate(config=text, database=first.shared_database)])


def test_nodes_of_one_id(twins):
    """Staged alike, with the same before: which part is whose does not matter."""
    assert "cluster" in twins((*STAGE, "--json"), status=1).names() and twins.states() == twins.before
    twins((*STAGE, "--single-node"), status=0)
    twins(("status",), status=0)  # the snapshot knows
    ways = [word for node in twins.nodes for word in ("--url", node.http_url.replace("127.0.0.1", "localhost"))]
    twins.run("clear", *ways, status=0)
    assert twins.states() == twins.before and not twins.kept()


def test_nodes_of_one_id_that_differ(twins):
    """What stood before differs, and nothing shows which is which: refused, and the old URL still works."""
    first, second = twins.nodes
    write(second, {"server.listener.imap.proxy.override": "false"})
    before = twins.states()
    twins((*STAGE, "--single-node"), status=0)
    staged = twins.states()
    ran = twins.run("clear", "--url", second.http_url.replace("127.0.0.1", "localhost"), "--json", status=1)
    assert "node" in ran.names() and twins.states() == staged
    twins(CLEAR, status=0)
    assert twins.states() == before


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
    run("status", *reach(server), status=0)  # by the stage's own choice
    ran = run("status", *reach(server), *CHANGE, keep=False, status=6)
    assert "--single-node" in ran.err and key.removesuffix(".0") in ran.err and "Not ready" in ran.out
    run("status", *reach(server), *CHANGE, "--single-node", keep=False, status=0)
    run(*CLEAR, *reach(server), status=0)
    assert state(server) == before
    run("status", *reach(server), status=7)


def test_status_of_some_nodes(run, simulate):
    """Ready are the nodes that were looked at, not the cluster."""
    nodes = cluster_nodes(simulate, SMTP, HTTP, IMAP, count=3)
    ways = [reach(node) for node in nodes]
    run("stage", *ways[0], *ways[1], *ways[2], *CHANGE, status=0)
    run("status", *ways[2], *ways[0], *ways[1], status=0)
    for some in (ways[1], ways[0] + ways[2]):
        ran = run("status", *some, status=6)
        named = re.findall(r"also has (\S+?)(?:, (\S+))?\. ", ran.err)
        assert [sorted(filter(None, found)) for found in named] == [sorted(way[1] for way in ways if way[1] not in some)]
        assert "Ready" not in ran.out
        run("status", *some, "--single-node", status=0)
    run("status", *ways[1], "--skip", "listeners", status=0)  # what all nodes share


def test_one_node_by_two_names(run, simulate):
    """Nobody looks at the others of its cluster, though there are two --url."""
    node = simulate(config=config('cluster.coordinator = "redis"\ncluster.node-id = "1"\n', SMTP, HTTP, IMAP))
    ways = *reach(node), "--url", node.http_url.replace("127.0.0.1", "localhost")
    before = state(node)
    ran = run("stage", *ways, *CHANGE, "--json", status=1)
    assert "cluster" in ran.names() and state(node) == before
    assert f"{ways[1]} and {ways[-1]} show the same settings and may be one node" in ran.out
    run("stage", *reach(node), *CHANGE, "--single-node", status=0)
    run("status", *reach(node), status=0)  # the snapshot knows
    ran = run("status", *ways, *CHANGE, "--snapshot-dir", "elsewhere", status=6)
    assert "may be one node" in ran.err and "Ready" not in ran.out
    run("status", *ways, *CHANGE, "--snapshot-dir", "elsewhere", "--single-node", status=0)


@pytest.mark.parametrize("sign", ['cluster.key = "x"\n', 'cluster.coordinator = "redis"\n'])
@pytest.mark.parametrize("command", [STAGE, CLEAR, (*STAGE, "--force", "no-cluster")])
def test_servers_that_share_no_database(run, simulate, sign, command):
    """Separate servers have a key each: together, the second would get no database key."""
    servers = [simulate(config=config(sign, SMTP, HTTP)) for _ in range(2)]
    before = [state(server) for server in servers]
    ran = run(*command, *reach(servers[0]), *reach(servers[1]), "--json", status=1)
    assert "no-cluster" in ran.names()
    assert [writes(server) for server in servers] == [0, 0] and [state(server) for server in servers] == before
    for server in servers:
        run(*STAGE, *reach(server), "--single-node", status=0)


def test_two_nodes_without_a_sign(run, simulate):
    """One database, or one server under two names: nothing tells them apart."""
    first = simulate(config=config(SMTP, HTTP))
    second = simulate(config=config(SMTP, HTTP), database=first.shared_database)
    before = [state(first), state(second)]
    for other in (second.http_url, first.http_url.replace("127.0.0.1", "localhost")):
        ran = run(*STAGE, *reach(first), "--url", other, "--json", status=1)
        assert "no-cluster" in ran.names() and [state(first), state(second)] == before
