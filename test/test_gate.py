"""`status` as a gate: 0 only where a restart now would do what the change set says. By which request it judges."""

import json

import pytest

from conftest import CHANGE, HTTP, ORIGIN, RELAY, SMTP, cluster_nodes, config, listener, reach, spelled, write

IMAP = listener("imap", 143, "imap")
WITHOUT_25 = listener("in", 2525, "smtp")


def stage(run, server, *options, status=0):
    return run("stage", *reach(server), *CHANGE, *options, status=status)


def judge(run, server, *options, status):
    return run("status", *reach(server), *options, status=status)


@pytest.mark.parametrize("parts, options", [
    ((SMTP, HTTP, IMAP), ()), ((SMTP, HTTP, IMAP), ("--leave", "imap")), ((SMTP, HTTP, IMAP), ("--listener", "http")),
    ((SMTP, HTTP, listener("lmtp", 24, "lmtp")), ("--also", "lmtp")), ((SMTP, HTTP), RELAY),
    ((WITHOUT_25, HTTP), ("--relay-listener", "in")), ((SMTP, HTTP), ("--new-server", "192.0.2.5", "--allow-new-server")),
])
def test_by_the_stages_own_request(run, serve, parts, options):
    server = serve(config=config(*parts))
    stage(run, server, *options)
    ran = judge(run, server, status=0)
    assert "Ready for the restart." in ran.out and ran.err == ""
    judged = next(line for line in ran.out.splitlines() if line.startswith("Judged by:"))
    assert "--proxy 203.0.113.10/32" in judged and f"--public-url {ORIGIN}" in judged
    assert all(word in judged for word in options if word.startswith("--"))
    request = json.loads(judge(run, server, "--json", status=0).out)["targets"][0]["request"]
    assert request["public_url"] == ORIGIN and request["proxy"] == ["203.0.113.10/32"]
    # This command's options come first.
    assert "Missing: listeners." in judge(run, server, "--proxy", "192.0.2.7", status=6).out
    run("clear", *reach(server), status=0)
    judge(run, server, status=7)


@pytest.mark.parametrize("options", [(), ("--relay-listener", "smtp")])
def test_a_listener_that_came_later(run, serve, options):
    server = serve(config=config(SMTP, HTTP))
    stage(run, server, *options)
    write(server, {"server.listener.imap.bind.0": "[::]:143", "server.listener.imap.protocol": "imap"})
    ran = judge(run, server, status=6)
    assert "Missing: listeners." in ran.out and '"imap" is not in the snapshot' in ran.err
    stage(run, server)
    judge(run, server, status=0)


def test_a_listener_that_nobody_can_judge(run, serve):
    """An open question is asked again by a stage; until it is answered, nobody knows what a restart does."""
    server = serve(config=config(SMTP, HTTP))
    stage(run, server)
    write(server, {"server.listener.odd.bind.0": "[::]:2525", "server.listener.odd.protocol": "smtp"})
    assert "Not ready for the restart: see the warnings." in judge(run, server, status=6).out
    stage(run, server, status=1)
    stage(run, server, "--leave", "odd")
    judge(run, server, status=0)


def test_port_25_on_one_of_ours(run, serve):
    server = serve(config=config(SMTP, HTTP, IMAP))
    stage(run, server)
    write(server, {"server.listener.imap.bind.1": "[::]:25"})
    assert "Missing: listeners." in judge(run, server, status=6).out


@pytest.mark.parametrize("networks, options, status", [
    (["192.0.2.0/24"], (), 6), (["192.0.2.0/24"], ("--new-server", "192.0.2.5"), 6),
    (["192.0.2.0/24"], ("--new-server", "198.51.100.5"), 0), ([], (), 0),
    (["%{env:NET}%"], ("--new-server", "198.51.100.5"), 6)])
def test_a_header_on_port_25(run, serve, networks, options, status):
    """An edge proxy in front of port 25 is fine, as long as the new server's mail needs no header."""
    server = serve(config=config(SMTP, HTTP))
    stage(run, server)
    write(server, {f"server.listener.smtp.proxy.trusted-networks.{i}": net for i, net in enumerate(networks)})
    ran = judge(run, server, *options, status=status)
    assert ("Ready" in ran.out) == (status == 0)
    assert status == 0 or "smtp" in ran.err


def test_halves(run, serve):
    """After a first half it is 6, with what is missing; a later run adds its groups, and the others stay."""
    server = serve(config=config(SMTP, HTTP, IMAP))
    run("stage", *reach(server), "--only", "url", "--public-url", ORIGIN, status=0)
    ran = judge(run, server, status=6)
    assert "Missing: listeners, checks." in ran.out and "--proxy ADDR" in ran.err
    assert "The groups that were looked at are ready for the restart." in judge(run, server, "--only", "url", status=0).out
    run("stage", *reach(server), "--only", "listeners,checks", "--proxy", "203.0.113.10", "--leave", "imap", status=0)
    assert "Ready" in judge(run, server, status=0).out


def test_what_stays(run, serve):
    """The choice of listeners stays unless one is named, and the report says so."""
    server = serve(config=config(SMTP, HTTP, IMAP, listener("lmtp", 24, "lmtp")))
    stage(run, server, "--leave", "imap")
    ran = stage(run, server)
    assert "Still holds from an earlier stage: --leave imap\n" in ran.out
    ran = stage(run, server, "--also", "lmtp")
    assert "Still holds from an earlier stage: --leave imap\n" in ran.out
    assert "server.listener.imap.proxy.override" not in server.settings()
    ran = stage(run, server, "--also", "imap")
    assert "Still holds" not in ran.out
    assert "server.listener.imap.proxy.override" in server.settings()
    assert "server.listener.lmtp.proxy.override" not in server.settings()
    stage(run, server, "--listener", "http")
    assert "server.listener.imap.proxy.override" not in server.settings()
    assert "Ready" in judge(run, server, status=0).out


def test_a_left_listener_that_is_gone(run, serve):
    server = serve(config=config(SMTP, HTTP, IMAP))
    stage(run, server, "--leave", "imap")
    write(server, {"server.listener.imap.bind": None, "server.listener.imap.protocol": None})
    judge(run, server, status=0)
    stage(run, server)
    stage(run, server, "--leave", "typo", status=1)


def test_nothing_to_judge_by(run, serve, tmp_path):
    """Somebody's own curl commands, or a stage from elsewhere: shown, and never called ready."""
    server = serve(config=config(SMTP, HTTP))
    stage(run, server, "--snapshot-dir", tmp_path)
    ran = judge(run, server, status=6)
    assert "Judged by" not in ran.out and "listeners  staged" in ran.out
    assert "--proxy ADDR, --public-url URL" in ran.err and "--snapshot" in ran.err
    ran = judge(run, server, "--proxy", "203.0.113.10", status=6)
    assert "Missing: url." in ran.out and "--public-url URL" in ran.err and "--proxy ADDR" not in ran.err
    judge(run, server, *CHANGE, status=0)
    judge(run, server, "--snapshot-dir", tmp_path, status=0)


def test_a_relay_that_was_cleared(run, serve):
    """What a clear of one group takes out, nobody asks for any more."""
    server = serve(config=config(SMTP, HTTP))
    stage(run, server, *RELAY)
    assert "--relay" in judge(run, server, status=0).out
    run("clear", *reach(server), "--only", "outbound", status=0)
    ran = judge(run, server, status=0)
    assert "Ready" in ran.out and "--relay" not in ran.out
    stage(run, server)
    judge(run, server, status=0)


def test_a_forced_relay(run, serve):
    """The refusal was about what stood before."""
    server = serve(config=config(SMTP, HTTP))
    write(server, {"queue.route.smarthost.type": "relay", "queue.route.smarthost.address": "old.example.org"})
    stage(run, server, *RELAY, status=1)
    stage(run, server, *RELAY, "--force", "relay-taken")
    ran = judge(run, server, status=0)
    assert "Ready" in ran.out and ran.err == ""


def test_a_relay_listener_that_is_gone(run, serve):
    server = serve(config=config(SMTP, HTTP, listener("in", 2525, "smtp")))
    stage(run, server, "--relay-listener", "in", "--leave", "in")
    write(server, {"server.listener.in.bind": None, "server.listener.in.protocol": None})
    judge(run, server, status=0)
    stage(run, server)
    stage(run, server, "--relay-listener", "typo", status=1)


@pytest.fixture
def three(simulate):
    """Nodes of a cluster, and the options that name so many of them."""
    servers = cluster_nodes(simulate, SMTP, HTTP, IMAP, count=3)
    return servers, lambda number: [word for server in servers[:number] for word in ("--url", server.http_url)]


def test_a_node_that_came_later(run, three):
    """It gets what the others have, of the options too."""
    servers, urls = three
    run("stage", *urls(2), *CHANGE, "--leave", "imap", *RELAY, "--relay-id", "out", status=0)
    ran = run("status", *urls(3), status=6)
    assert ran.out.count("Not ready for the restart") == 1
    assert f"Not ready for the restart, {servers[2].http_url}. Missing: listeners." in ran.out
    run("stage", *urls(3), *CHANGE, status=0)
    assert not any("server.listener.imap.proxy.override" in server.settings() for server in servers)
    assert "Ready" in run("status", *urls(3), status=0).out


def test_one_node_alone_and_then_all(run, three):
    """--single-node is said by each run for itself; a clear of one node of three says what it leaves."""
    _, urls = three
    run("stage", *urls(1), "--single-node", *CHANGE, status=0)
    assert "Still holds" not in run("stage", *urls(3), *CHANGE, status=0).out
    assert run("clear", *urls(1), status=6).out.count("still staged") == 2
    run("clear", *urls(3), status=0)


@pytest.mark.parametrize("groups", [("--only", "outbound"), ("--skip", "listeners,url"), ()], ids=str)
def test_relay_that_nobody_names(run, serve, groups):
    """It is no measure of itself."""
    server = serve()
    run("stage", *reach(server), *CHANGE, *RELAY, status=0)
    write(server, spelled({"queue.route.smarthost.address": "wrong.example.com"}))
    for path in run.folder.iterdir():
        path.unlink()
    ran = run("status", *reach(server), *groups, status=6)
    assert "--relay HOST" in run("status", *reach(server), *groups, "-q", status=6).err
    assert "--relay HOST" in ran.err and "Not ready for the restart" in ran.out


def test_two_snapshots(run, serve):
    """They differ, and which is right can't depend on the order of a folder."""
    server = serve()
    run("stage", *reach(server), *CHANGE, status=0)
    path, = run.folder.glob("*.snapshot.json")
    copy = run.folder / "zz.snapshot.json"
    copy.write_bytes(path.read_bytes())
    run("stage", *reach(server), "--proxy", "198.51.100.7", "--public-url", ORIGIN, "--snapshot", path, status=0)
    for name in ("zz.snapshot.json", "aa.snapshot.json"):
        copy = copy.rename(run.folder / name)
        assert "Several snapshots" in run("status", *reach(server), status=1).err
    assert "Ready" in run("status", *reach(server), "--snapshot", path, status=0).out


def test_listeners_in_a_generated_file(run, serve):
    """They came into the source of config.toml, and only the rest is staged over the API."""
    table = '\n'.join([HTTP, "proxy.override = true", 'proxy.trusted-networks.0 = "203.0.113.10/32"', ""])
    server = serve(config=config(SMTP, table))
    run("stage", *reach(server), "--skip", "listeners", "--public-url", ORIGIN, status=0)
    assert "Ready" in judge(run, server, "--proxy", "203.0.113.10", status=0).out
    assert "The groups that were looked at are ready" in judge(run, server, "--skip", "listeners", status=0).out


@pytest.mark.parametrize("values, named", [
    ({"server.listener.smtp.proxy.trusted-networks.0": "example.org"}, "server.listener.smtp.proxy.trusted-networks.0"),
    ({"server.listener.lmtp.proxy.trusted-networks": "10.0.0.0/7"}, "server.listener.lmtp.proxy.trusted-networks"),
    ({"server.proxy.trusted-networks.7": ""}, "server.proxy.trusted-networks.7 is empty"),
    ({"auth.dkim.sign.0.if": "is_local_domain('*', sender_domain)", "auth.dkim.sign.0.then": "'x'"}, "auth.dkim.sign has no"),
    ({"auth.arc.seal.0000.if": "x", "auth.arc.seal.0000.then": "true", "auth.arc.seal.0001.else": "false",
      "auth.arc.seal.0002.else": "false"}, "auth.arc.seal.0002.else is a second"),
    ({"session.ehlo.require.0.else": "true"}, "session.ehlo.require.0.else"),
    (spelled({"queue.route.smarthost.type": "relay", "queue.route.smarthost.address": "x.example.org",
              "queue.route.smarthost.protocol": "smtp"}), "smarthost.port is missing"),
])
def test_what_blocks_a_reload(run, serve, values, named):
    """Keys that nobody staged, and that make the server refuse every reload. It says the same itself."""
    server = serve(config=config(SMTP, HTTP, listener("lmtp", 24, "lmtp")))
    stage(run, server)
    judge(run, server, status=0)
    assert not faults(server)
    write(server, values)
    ran = judge(run, server, status=6)
    assert "would refuse every reload" in ran.err and named in ran.err and "see the warnings" in ran.out
    assert faults(server)
    write(server, dict.fromkeys(values))
    judge(run, server, status=0)


@pytest.mark.parametrize("values", [
    {"auth.dkim.verify.0.else": "x"}, {"auth.dkim.sign": "false", "auth.dkim.sign.0.else": "x"},
    {"auth.dkim.sign.0.if": "is_local_domain('*', sender_domain)", "auth.dkim.sign.0.then": "false",
     "auth.dkim.sign.1.else": "false"},
    {"server.listener.ghost.proxy.trusted-networks.0": "nobody"},
])
def test_what_blocks_no_reload(run, serve, values):
    """A scalar wins over whatever stands below it; a whole rule; a listener that is none."""
    server = serve(config=config(SMTP, HTTP))
    stage(run, server)
    write(server, values)
    judge(run, server, status=0)
    assert not faults(server)


def test_a_url_that_is_no_expression(run, serve):
    """It is not looked at as a group, and blocks the reload all the same."""
    server = serve(config=config(SMTP, HTTP))
    run("stage", *reach(server), "--proxy", "203.0.113.10", "--skip", "url", status=0)
    judge(run, server, "--skip", "url", status=0)
    write(server, spelled({"http.url": "https://old.example.org"}))
    assert "needs quotes inside the value" in judge(run, server, "--skip", "url", status=6).err
    assert faults(server)


def faults(server):
    _, _, answer = server.request("GET", "/api/reload?dry-run=1")
    errors = json.loads(answer)["data"]["errors"]
    return {key: error for key, error in errors.items() if not key.startswith("spam-filter")}
