"""`clear`: what it brings back, what it leaves alone, and what it does without a snapshot."""

import json
import shlex
import signal
from pathlib import Path

import pytest

import oldconfig
from conftest import (CHANGE, HTTP, HTTPS, NEWEST, PROXY, REAL, RELAY, VERSIONS, SMTP, cluster_nodes, config,
                      dialect_of, difference, guide, parsed_snapshot, reach, sent, spelled, state, touched_keys, write, writes)
from oldserver import Fault
from test_stage import REFUSALS, fail

ALL = (*CHANGE, *RELAY)
FIRST = "server.listener.imap.proxy.trusted-networks"


@pytest.fixture
def staged(run, serve):
    """A server, staged over HTTP, and how it was before."""
    server = serve()
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    if server.log:
        server.log.clear()
    return server, before


# With the snapshot

def test_clear(run, staged):
    server, before = staged
    ran = run("clear", *reach(server), status=0)
    assert state(server) == before and "read back" in ran.out and ran.err == ""
    assert [name.rpartition(".")[2] for name in run.snapshots()] == ["cleared"]
    assert REAL or touched_keys(server) == set(guide(NEWEST))


def test_port_25_is_not_in_it(run, staged):
    server, _ = staged
    run("clear", *reach(server), status=0)
    assert not [key for key in touched_keys(server) if key.startswith("server.listener.smtp.")]


def test_dry_run(run, staged):
    server, _ = staged
    now, files = state(server), run.snapshots()
    ran = run("clear", *reach(server), "--dry-run", "-v", status=0)
    assert state(server) == now and writes(server) == 0 and run.snapshots() == files
    for key, value in guide(NEWEST).items():
        assert f"  {key}: {value} -> (absent)\n" in ran.out


def test_json(run, staged):
    server, _ = staged
    ran = run("clear", *reach(server), "--json", status=0)
    assert (ran.json["command"], ran.json["exit"], ran.json["changed"]) == ("clear", 0, True)
    keys = {key["key"]: key for key in ran.target["keys"]}
    assert {name: key["before"] for name, key in keys.items()} == guide(NEWEST)
    assert {(key["wanted"], key["after"], key["state"]) for key in keys.values()} == {(None, None, "restored")}


def test_stage_again_after_it(run, staged):
    server, before = staged
    for _ in range(2):
        run("clear", *reach(server), status=0)
        assert state(server) == before
        run("stage", *reach(server), *CHANGE, status=0)
        assert difference(before["settings"], server.settings()) == guide(NEWEST)


@pytest.mark.parametrize("group", ["listeners", "checks", "url"])
def test_one_group(run, staged, group):
    """The others stay, and the snapshot keeps what it needs for them."""
    server, before = staged
    run("clear", *reach(server), "--only", group, status=0)
    left = difference(before["settings"], server.settings())
    assert left and not set(touched_keys(server)) & set(left)
    assert {key["key"] for key in run.snapshot()["keys"]} == set(left)
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_another_relay_id(run, serve):
    """What the snapshot names is read, whatever its name."""
    server = serve()
    before = state(server)
    run("stage", *reach(server), *ALL, "--dialect", dialect_of(NEWEST), "--relay-id", "other", status=0)
    assert run("status", *reach(server), status=0)
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_relay_id_that_changes(run, serve):
    server = serve()
    before = state(server)
    for relay_id in ("one", "two", "smarthost"):
        run("stage", *reach(server), *ALL, "--dialect", dialect_of(NEWEST), "--relay-id", relay_id, status=0)
        assert {value for key, value in server.settings().items() if key.endswith(".1.else")} == {f"'{relay_id}'"}
    assert difference(before["settings"], server.settings()) == guide(NEWEST, relay=True)
    run("clear", *reach(server), status=0)
    assert state(server) == before


ALLOWED = [("192.0.2.1",), ("2001:db8::1",), ("192.0.2.1", "2001:db8::1", "192.0.2.1")]


@pytest.mark.parametrize("addresses", ALLOWED)
def test_new_server_that_was_allowed(run, serve, addresses):
    """One after the other; the last stays, and clear takes it without being told."""
    server = serve()
    before = state(server)
    for address in addresses:
        run("stage", *reach(server), *CHANGE, "--new-server", address, "--allow-new-server", status=0)
        assert difference(before["settings"], server.settings()) == {
            **guide(NEWEST), f"server.allowed-ip.{address}": ""}
    assert run("status", *reach(server), status=0)
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_relay_that_is_not_staged_again(run, serve):
    """A second stage without --relay leaves the outbound group; clear still takes it."""
    server = serve()
    before = state(server)
    run("stage", *reach(server), *ALL, "--dialect", dialect_of(NEWEST), status=0)
    run("stage", *reach(server), *CHANGE, status=0)
    run("clear", *reach(server), status=0)
    assert state(server) == before


# What was staged in config.toml while the server was stopped

@pytest.fixture
def staged_in_file(run, simulate):
    """The server again, how it was before, and options that lead to it with the file's snapshot."""
    server = simulate()
    write(server, {"auth.dkim.verify": "strict"})
    before = state(server)
    server.stop()
    run("stage", "--config", server.config_path, *CHANGE, "--dialect", dialect_of(NEWEST), status=0)
    path, = Path(server.config_path).parent.glob("*.snapshot.json")
    assert server.restart(), server.boot_error
    server.log.clear()
    return server, before, path


def test_keys_of_the_database_in_the_file(run, staged_in_file):
    """Over the API they can't be taken out of the file alone: they stay, with the command that does it."""
    server, before, path = staged_in_file
    ran = run("clear", *reach(server), "--snapshot", path, status=6)
    inbound = without_group(guide(NEWEST), "listeners")
    assert difference(before["settings"], server.settings()) == inbound and server.database() == before["database"]
    assert "--force in-file" in ran.err and "clear --config" in ran.err
    line, command = ran.out[ran.out.index(f"\n{len(inbound)} keys of ") + 1:].splitlines()[:2]
    assert line.endswith("are still staged. To clear them:")
    assert {key["key"] for key in parsed_snapshot(path.read_text())["keys"]} == set(inbound)
    assert "in-file" in run("clear", *reach(server), "--snapshot", path, "--json", status=6).names()
    server.stop()
    run(*shlex.split(command)[1:], cwd="/", status=0)
    assert server.restart() and state(server) == before and not path.exists()


def test_keys_of_the_database_in_the_file_by_force(run, staged_in_file):
    """Then what the database held behind them goes too."""
    server, before, path = staged_in_file
    run("clear", *reach(server), "--snapshot", path, "--force", "in-file", status=0)
    assert difference(before["settings"], server.settings()) == {"auth.dkim.verify": None}
    assert server.restart() and difference(before["settings"], server.settings()) == {"auth.dkim.verify": None}


# Keys that somebody changed since

CHANGED = [  # what an administrator did meanwhile
    {"auth.dkim.verify": "strict"}, {"auth.dkim.verify": None, "auth.arc.verify": "relaxed"},
    {"http.url": "'https://other.example.org'"}, {FIRST + ".0": "192.0.2.0/24"},
    {"server.listener.imap.proxy.override": "false"},
]


@pytest.mark.parametrize("change", CHANGED, ids=map(str, CHANGED))
def test_changed_since(run, staged, change):
    (server, before), change = staged, spelled(change)
    write(server, change)
    kept = {key: value for key, value in change.items() if value is not None}
    ran = run("clear", *reach(server), status=6)
    assert difference(before["settings"], server.settings()) == kept
    for key, value in kept.items():
        assert key in ran.err and value in ran.err and "--force changed" in ran.err
    assert {key["key"] for key in run.snapshot()["keys"]} == set(kept)
    run("clear", *reach(server), status=6)
    run("clear", *reach(server), "--force", "changed", status=0)
    assert state(server) == before


def test_changed_and_json(run, staged):
    server, _ = staged
    write(server, {"auth.dkim.verify": "strict"})
    ran = run("clear", *reach(server), "--json", status=6)
    states = {key["key"]: key["state"] for key in ran.target["keys"]}
    assert states["auth.dkim.verify"] == "changed" and set(states.values()) == {"changed", "restored"}
    assert "changed" in ran.names()


def test_deleted_by_hand(run, staged):
    """Somebody brought back by hand what stood before: that is as wanted. The snapshot may be of a copy, so it stays."""
    server, before = staged
    files = run.snapshots()
    write(server, dict.fromkeys(guide(NEWEST)))
    ran = run("clear", *reach(server), status=0)
    assert "nothing to restore" in ran.out and "It is kept: it may belong to a copy of this server." in ran.err
    assert state(server) == before and run.snapshots() == files


def test_deleted_by_hand_but_one(run, staged):
    """What is restored with one key left standing is this server's: the snapshot is done with."""
    server, before = staged
    write(server, dict.fromkeys(list(guide(NEWEST))[1:]))
    run("clear", *reach(server), status=0)
    assert state(server) == before and [name.rpartition(".")[2] for name in run.snapshots()] == ["cleared"]


def test_saved_in_the_administration_page(run, staged):
    """It turns a list of one into a scalar."""
    server, before = staged
    write(server, {FIRST + ".0": None, FIRST: PROXY})
    run("clear", *reach(server), status=0)
    assert state(server) == before


# Without a snapshot

def forget(run):
    for path in run.folder.iterdir():
        path.unlink()


@pytest.mark.parametrize("version", VERSIONS)
def test_by_the_options(run, serve, version):
    server = serve(version)
    before = state(server)
    run("stage", *reach(server), *ALL, "--dialect", dialect_of(version), status=0)
    forget(run)
    run("clear", *reach(server), *ALL, "--dialect", dialect_of(version), status=0)
    assert state(server) == before and run.snapshots() == []


PROXY_GONE, URL_GONE = "--proxy (or --skip listeners)", "--public-url (or --skip url)"
MISSING = [  # (options, what is missing)
    ((), f"{PROXY_GONE}, {URL_GONE}"), (CHANGE[:2], URL_GONE), (CHANGE[2:], PROXY_GONE),
    (("--only", "outbound,url"), URL_GONE),
]


@pytest.mark.parametrize("options,missing", MISSING)
def test_options_that_are_missing(run, staged, options, missing):
    """One refusal with all of them and where a snapshot was looked for; no word of values that are removed."""
    server, _ = staged
    forget(run)
    now = state(server)
    refused, nothing = run("clear", *reach(server), *options, status=1).err.splitlines()
    assert f"again: {missing}." in refused and nothing.endswith("Nothing was written.")
    assert "refused (no-snapshot)" in refused and f"no snapshot of it in {run.folder}." in refused
    assert "looks staged (all inbound checks are off" in refused
    assert state(server) == now and writes(server) == 0


def test_relay_that_is_forgotten(run, serve):
    """The options that are asked for take the rest out; the relay is said to stand, until it is named too."""
    server = serve()
    before = server.settings()
    run("stage", *reach(server), *CHANGE, *RELAY, status=0)
    forget(run)
    ran = run("clear", *reach(server), *CHANGE, status=6)
    assert "Group outbound stands" in ran.err and "--relay new.internal.example.org:25" in ran.err
    assert "Group outbound stands" in run("clear", *reach(server), status=0).err
    run("clear", *reach(server), "--relay", "new.internal.example.org:25", status=0)
    assert server.settings() == before


def test_checks_alone_need_no_value(run, staged):
    server, before = staged
    forget(run)
    run("clear", *reach(server), "--only", "checks", status=0)
    assert not [key for key in difference(before["settings"], server.settings()) if key.startswith("auth.")]


def without_group(keys, *groups):
    """Keys of the guide but for those of these groups."""
    starts = {"listeners": "server.listener.", "checks": ("auth.", "session."), "url": ("http.url", "server.http.url")}
    return {key: value for key, value in keys.items() if not any(key.startswith(starts[group]) for group in groups)}


FOREIGN = [  # (what stands where ours would, the groups that are removed)
    ({"auth.dkim.verify": "strict"}, ("listeners", "url")),
    ({"auth.dkim.verify": None}, ("listeners", "url")),
    ({FIRST + ".0": "192.0.2.7"}, ("checks", "url")),
    ({"server.listener.imap.proxy.override": "false"}, ("checks", "url")),
]


@pytest.mark.parametrize("change,removed", FOREIGN, ids=[str(case[0]) for case in FOREIGN])
def test_group_that_is_not_whole(run, staged, change, removed):
    """Where one key of it is another's, the rest may be too: it is left whole, and named with the key."""
    (server, before), change = staged, spelled(change)
    forget(run)
    write(server, change)
    now = server.settings()
    ran = run("clear", *reach(server), *CHANGE, status=6)
    left = {**without_group(guide(NEWEST), *removed), **change}
    assert difference(before["settings"], server.settings()) == {key: value for key, value in left.items() if value}
    count = len(without_group(guide(NEWEST), *removed))
    assert f"Only {count - 1} of the {count} keys of group " in ran.err and next(iter(change)).removesuffix(".0") in ran.err
    run("clear", *reach(server), *CHANGE, status=0)  # now no group is whole
    assert server.settings() == {key: value for key, value in now.items() if key in before["settings"] or key in left}


def test_url_of_somebody_else(run, staged):
    """A group of which nothing is ours is nobody's look-alike."""
    server, before = staged
    forget(run)
    other = spelled({"http.url": "'https://other.example.org'"})
    write(server, other)
    run("clear", *reach(server), *CHANGE, status=0)
    assert difference(before["settings"], server.settings()) == other


def test_network_beside_ours(run, staged):
    """The group is whole, and goes; the other network and the override of its listener stay."""
    server, before = staged
    forget(run)
    write(server, {FIRST + ".1": "192.0.2.7"})
    ran = run("clear", *reach(server), *CHANGE, status=6)
    assert difference(before["settings"], server.settings()) == {
        FIRST + ".1": "192.0.2.7", "server.listener.imap.proxy.override": "true"}
    assert f"{FIRST}.1 holds 192.0.2.7" in ran.err


def test_nothing_was_staged(run, serve):
    server = serve()
    before = state(server)
    ran = run("clear", *reach(server), *CHANGE, status=0)
    assert state(server) == before and writes(server) == 0 and "nothing" in ran.out


def test_a_whole_default_setting_is_not_ours(run, serve):
    """Another address than the one given: all of it is left, and what looks alike is named."""
    server = serve()
    write(server, guide(NEWEST))
    now = state(server)
    ran = run("clear", *reach(server), "--proxy", "192.0.2.7", "--public-url", "https://other.example.org", "--skip",
              "checks", status=0)
    assert state(server) == now and "of group listeners stand" in ran.err and ".proxy.override does" in ran.err


def test_exemption_that_is_not_ours(run, simulate):
    """--new-server alone claims nothing; with --allow-new-server the exemption is taken for stalprep's."""
    server = simulate()
    before = server.settings()
    exemption = {"server.allowed-ip.203.0.113.20": ""}
    write(server, {**exemption, **without_group(guide(NEWEST), "listeners", "url")})
    run("clear", *reach(server), *CHANGE, "--new-server", "203.0.113.20", status=0)
    assert difference(before, server.settings()) == exemption
    run("clear", *reach(server), *CHANGE, "--new-server", "203.0.113.20", "--allow-new-server", status=0)
    assert server.settings() == before


def test_quiet_names_what_is_left(run, staged):
    server, _ = staged
    write(server, {"auth.dkim.verify": "strict"})
    ran = run("clear", *reach(server), "-q", status=6)
    assert ran.out == "" and ran.err.startswith("stalprep clear: warning: auth.dkim.verify was changed")


# A cluster

def test_one_node_of_several(run, simulate):
    one, other = cluster_nodes(simulate, SMTP, HTTP, HTTPS)
    before = state(one), state(other)
    run("stage", "--url", one.http_url, "--url", other.http_url, *CHANGE, status=0)
    staged = state(other)
    # The database and this node's file come back; the other's part stays in the snapshot.
    ran = run("clear", *reach(one), status=6)
    assert state(one) == before[0] and state(other)["file"] == staged["file"]
    assert f"keys of {other.http_url} are still staged" in ran.out
    assert {key["local"] for key in run.snapshot()["keys"]} == {True}
    run("clear", *reach(other), status=0)
    assert (state(one), state(other)) == before
    # What was staged on one alone is cleared there alone.
    run("stage", *reach(one), *CHANGE, "--single-node", status=0)
    run("clear", *reach(one), status=0)
    assert (state(one), state(other)) == before


def test_one_node_without_a_snapshot(run, simulate):
    """What other nodes hold can't be known then: they have to be named."""
    server = simulate(config=config(SMTP, HTTP, HTTPS, '[cluster]\ncoordinator = "x"\n'))
    run("stage", *reach(server), *CHANGE, "--single-node", status=0)
    forget(run)
    now = state(server)
    assert "refused (cluster)" in run("clear", *reach(server), *CHANGE, status=1).err and state(server) == now


# With --reload

def test_reload(run, staged):
    server, before = staged
    server.request("GET", "/api/reload")
    ran = run("clear", *reach(server), "--reload", status=0)
    assert state(server) == before and "restart" in ran.said
    if not REAL:
        assert [target for _, target, _, _ in server.log if target.startswith("/api/reload")] == ["/api/reload"]
        assert "auth.dkim.verify" not in server.running


def test_reload_counts_what_was_restored(run, simulate):
    """Values that are left alone are none of the keys."""
    server = simulate()
    write(server, {**without_group(guide(NEWEST), "listeners"), "auth.dkim.verify": "strict"})
    assert "Reloaded, with 1 of 1 key restored" in run("clear", *reach(server), *CHANGE, "--reload", status=6).out


def test_reload_that_fails(run, staged):
    server, before = staged
    write(server, {"auth.dkim.sign": "broken (("})
    ran = run("clear", *reach(server), "--reload", status=5)
    assert "auth.dkim.sign" in ran.err and "applied nothing" in ran.err
    assert difference(before["settings"], server.settings()) == {"auth.dkim.sign": "broken (("}


def test_reload_that_is_lost(run, simulate, staged):
    server, before = staged
    server.faults.append(Fault(path="/api/reload", times=-1, cut=0))
    run("clear", *reach(server), "--reload", status=5)
    assert state(server) == before


# What goes wrong on the way

@pytest.mark.parametrize("what", ["list", "write", "read back"])
@pytest.mark.parametrize("cut", [{"cut": 0}, {"cut": 60}, {"cut": -1}, {"done": False, "cut": 0}], ids=str)
@pytest.mark.parametrize("second", ["clear", "stage"])
def test_cut_off(run, simulate, staged, what, cut, second):
    server, before = staged
    fail(server, what, **cut)
    ran = run("clear", *reach(server))
    assert ran.status in {"list": (1, 3), "write": (5,), "read back": (0, 5)}[what]
    server.faults.clear()
    if second == "stage":
        run("stage", *reach(server), *CHANGE, status=0)
        assert difference(before["settings"], server.settings()) == guide(NEWEST)
    if ran.status or second == "stage":
        run("clear", *reach(server), status=0)
    assert state(server) == before


@pytest.mark.parametrize("what,when", [("list", "before"), ("write", "before"), ("write", "after"),
                                       ("read back", "after")])
@pytest.mark.parametrize("second", ["clear", "stage"])
def test_killed(run, simulate, staged, what, when, second):
    server, before = staged
    run.while_running(lambda call: fail(server, what, **{when: call}), lambda process: process.kill(),
                      "clear", *reach(server), status=-signal.SIGKILL)
    if second == "stage":
        run("stage", *reach(server), *CHANGE, status=0)
        assert difference(before["settings"], server.settings()) == guide(NEWEST)
    run("clear", *reach(server), status=0)
    assert state(server) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("what,nothing", [("list", True), ("write", False), ("read back", False)])
def test_interrupted(run, simulate, staged, number, what, nothing):
    server, before = staged
    now = state(server)
    ran = run.while_running(lambda call: fail(server, what, before=call), lambda p: p.send_signal(number),
                            "clear", *reach(server))
    assert (ran.status, state(server)) == ((128 + number, now) if nothing else (0, before))


@pytest.mark.parametrize("how", REFUSALS)
@pytest.mark.parametrize("second", ["clear", "stage"])
def test_file_that_cannot_be_written(run, staged, how, second):
    server, before = staged
    server.refuse_writes = how
    ran = run("clear", *reach(server), status=5)
    assert "DO NOT RESTART" in ran.err
    server.refuse_writes = None
    if second == "stage":
        run("stage", *reach(server), *CHANGE, status=0)
        on_disk = oldconfig.read_text(server.config_text(), server.version)
        assert FIRST + ".0" in on_disk
        assert difference(before["settings"], server.settings()) == guide(NEWEST)
    run("clear", *reach(server), status=0)
    assert state(server) == before
    assert server.restart() and server.settings() == before["settings"]


def test_no_dummy_is_left(run, simulate, staged):
    """What makes the server write its file leaves no trace, in memory or on disk."""
    server, before = staged
    fail(server, "write", cut=0)
    run("clear", *reach(server), status=5)
    server.faults.clear()
    server.log.clear()
    run("clear", *reach(server), status=0)
    inserted = [pair[0] for body in sent(server) for change in body for pair in change.get("values", ())]
    assert inserted and state(server) == before and not set(inserted) & set(server.settings())


def test_write_that_is_refused(run, simulate, staged):
    """A 403 to the write wrote nothing: the snapshot is as it was."""
    server, before = staged
    was = run.snapshot()
    fail(server, "write", answer=(403, None))
    run("clear", *reach(server), status=4)
    assert run.snapshot() == was
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_snapshot_is_whole_json(run, staged):
    server, _ = staged
    run("clear", *reach(server), status=0)
    path, = run.folder.iterdir()
    assert json.loads(path.read_text())["format"] == "stalprep-snapshot"


def test_cleared_already(run, serve):
    """A second clear finds nothing to do, and says why; where somebody staged by hand since, it asks for a snapshot."""
    server = serve()
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    run("clear", *reach(server), status=0)
    ran = run("clear", *reach(server), status=0)
    assert f"There is no snapshot of this server in {run.folder}, and it does not look staged." in ran.err
    assert "nothing to restore" in ran.out and state(server) == before
    write(server, {"auth.dkim.verify": "disable"})
    run("clear", *reach(server), status=0)
    write(server, guide(NEWEST))
    assert "no-snapshot" in run("clear", *reach(server), "--json", status=1).names()


LOOKS = [  # (of the guide, a clear without options is refused)
    (("checks", "url"), True), (("listeners", "url"), True), (("listeners", "checks"), False),
]


@pytest.mark.parametrize("without,refused", LOOKS, ids=str)
def test_looks_staged(run, serve, without, refused):
    """All seven checks, or all listeners that a stage would choose; not the URL, which anybody may have set."""
    server = serve()
    write(server, without_group(guide(NEWEST), *without))
    now = state(server)
    ran = run("clear", *reach(server), "--json", status=int(refused))
    assert ("no-snapshot" in ran.names()) == refused and state(server) == now
    ran = run("clear", *reach(server), *CHANGE, status=0)
    assert not difference(state(server)["settings"], {key: value for key, value in now["settings"].items()
                                                      if key not in guide(NEWEST)})
