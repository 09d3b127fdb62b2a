"""`clear`: what it brings back, what it leaves alone, and what it does without a snapshot."""

import json
import signal

import pytest

import oldconfig
from conftest import (CHANGE, HTTP, HTTPS, NEWEST, ORIGIN, PROXY, REAL, RELAY, VERSIONS, SMTP, config, dialect_of,
                      difference, guide, reach, sent, spelled, state, touched_keys, write, writes)
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
    """Somebody brought back by hand what stood before: that is as wanted."""
    server, before = staged
    write(server, dict.fromkeys(guide(NEWEST)))
    assert "nothing" in run("clear", *reach(server), status=0).out
    assert state(server) == before and [name for name in run.snapshots() if name.endswith(".cleared")]


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
    ((*CHANGE, "--only", "outbound"), "--relay (or --skip outbound)"),
    (("--only", "outbound,url"), f"{URL_GONE}, --relay (or --skip outbound)"),
]


@pytest.mark.parametrize("options,missing", MISSING)
def test_options_that_are_missing(run, staged, options, missing):
    """One refusal with all of them and the snapshot that was looked for; no word of values that are removed."""
    server, _ = staged
    forget(run)
    now = state(server)
    refused, nothing = run("clear", *reach(server), *options, status=1).err.splitlines()
    assert f"again: {missing}." in refused and nothing.endswith("Nothing was written.")
    assert f"no snapshot at {run.folder}/stalprep-127.0.0.1-" in refused
    assert state(server) == now and writes(server) == 0


def test_checks_alone_need_no_value(run, staged):
    server, before = staged
    forget(run)
    run("clear", *reach(server), "--only", "checks", status=0)
    assert not [key for key in difference(before["settings"], server.settings()) if key.startswith("auth.")]


FOREIGN = [  # (what stands where ours would, what must be left of it)
    ({"auth.dkim.verify": "strict"}, {"auth.dkim.verify": "strict"}),
    ({"http.url": "'https://other.example.org'"}, {"http.url": "'https://other.example.org'"}),
    ({FIRST + ".0": "192.0.2.7"}, {FIRST + ".0": "192.0.2.7", "server.listener.imap.proxy.override": "true"}),
    ({FIRST + ".1": "192.0.2.7"}, {FIRST + ".1": "192.0.2.7", "server.listener.imap.proxy.override": "true"}),
]


@pytest.mark.parametrize("change,left", FOREIGN, ids=[str(case[0]) for case in FOREIGN])
def test_values_that_are_not_ours(run, staged, change, left):
    (server, before), change, left = staged, spelled(change), spelled(left)
    forget(run)
    write(server, change)
    ran = run("clear", *reach(server), *CHANGE, status=6)
    assert difference(before["settings"], server.settings()) == left
    for key, value in change.items():
        assert key in ran.err and value in ran.err


def test_nothing_was_staged(run, serve):
    server = serve()
    before = state(server)
    ran = run("clear", *reach(server), *CHANGE, status=0)
    assert state(server) == before and writes(server) == 0 and "nothing" in ran.out


def test_a_whole_default_setting_is_not_ours(run, serve):
    """Another address than the one given: all of it is left."""
    server = serve()
    write(server, guide(NEWEST))
    now = state(server)
    run("clear", *reach(server), "--proxy", "192.0.2.7", "--public-url", "https://other.example.org", "--skip", "checks",
        status=6)
    assert state(server) == now


def test_exemption_that_is_not_ours(run, simulate):
    """--new-server alone claims nothing; with --allow-new-server the exemption is taken for stalprep's."""
    server = simulate()
    write(server, {"server.allowed-ip.203.0.113.20": "", "auth.dkim.verify": "disable"})
    before = server.settings()
    run("clear", *reach(server), *CHANGE, "--new-server", "203.0.113.20", status=0)
    assert difference(before, server.settings()) == {"auth.dkim.verify": None}
    run("clear", *reach(server), *CHANGE, "--new-server", "203.0.113.20", "--allow-new-server", status=0)
    assert "server.allowed-ip.203.0.113.20" not in server.settings()


def test_quiet_names_what_is_left(run, staged):
    server, _ = staged
    write(server, {"auth.dkim.verify": "strict"})
    ran = run("clear", *reach(server), "-q", status=6)
    assert ran.out == "" and ran.err.startswith("stalprep clear: warning: auth.dkim.verify was changed")


# A cluster

def test_one_node_of_several(run, simulate):
    table = config(SMTP, HTTP, HTTPS, '[cluster]\ncoordinator = "x"\n')
    one = simulate(config=table)
    other = simulate(config=table, database=one.shared_database)
    before = state(one), state(other)
    run("stage", "--url", one.http_url, "--url", other.http_url, *CHANGE, status=0)
    now = state(one), state(other)
    ran = run("clear", *reach(one), status=1)
    assert "refused (cluster)" in ran.err and (state(one), state(other)) == now
    run("clear", "--url", one.http_url, "--url", other.http_url, status=0)
    assert (state(one), state(other)) == before
    # What was staged on one alone is cleared there alone.
    run("stage", *reach(one), *CHANGE, "--single-node", status=0)
    run("clear", *reach(one), status=0)
    assert (state(one), state(other)) == before


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
    write(server, {"auth.dkim.verify": "disable", "auth.arc.verify": "strict", "auth.dmarc.verify": "strict",
                   "auth.iprev.verify": "strict"})
    assert "Reloaded, with 1 of 1 key restored" in run("clear", *reach(server), "--only", "checks", "--reload").out


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

@pytest.mark.parametrize("what", ["keys", "write", "read back"])
@pytest.mark.parametrize("cut", [{"cut": 0}, {"cut": 60}, {"cut": -1}, {"done": False, "cut": 0}], ids=str)
@pytest.mark.parametrize("second", ["clear", "stage"])
def test_cut_off(run, simulate, staged, what, cut, second):
    server, before = staged
    fail(server, what, **cut)
    ran = run("clear", *reach(server))
    assert ran.status in {"keys": (1, 3), "write": (5,), "read back": (0, 5)}[what]
    server.faults.clear()
    if second == "stage":
        run("stage", *reach(server), *CHANGE, status=0)
        assert difference(before["settings"], server.settings()) == guide(NEWEST)
    if ran.status or second == "stage":
        run("clear", *reach(server), status=0)
    assert state(server) == before


@pytest.mark.parametrize("what,when", [("keys", "before"), ("write", "before"), ("write", "after"),
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
@pytest.mark.parametrize("what,nothing", [("keys", True), ("write", False), ("read back", False)])
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
    assert "was cleared already" in ran.err and "nothing to restore" in ran.out and state(server) == before
    write(server, guide(NEWEST))
    assert "no-snapshot" in run("clear", *reach(server), "--json", status=1).names()
