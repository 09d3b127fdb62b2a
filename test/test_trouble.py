"""A server in trouble: its file fails half-way, somebody reloads at that moment, config.toml outranks a key."""

import pytest

import oldsettings
from conftest import CHANGE, HTTP, PROXY, SMTP, config, difference, listener, reach, sent, state, write
from oldserver import Fault
from test_stage import PLACES

LIST = "server.listener.{}.proxy.trusted-networks".format
STANDING = {"auth.dkim.verify": "strict", "http.url": "'https://old.example.org'"}
STAGE, CLEAR = ("stage", *CHANGE), ("clear",)


@pytest.fixture
def server(simulate):
    """Two listeners with a scalar each: a stage writes the file three times, a clear five times."""
    old = {"proxy.trusted-networks": "198.51.100.0/24"}
    two = listener("imap", 143, "imap", **old), listener("sieve", 4190, "managesieve", **old)
    server = simulate(config=config(SMTP, HTTP, *two))
    write(server, STANDING)
    server.log.clear()
    return server


@pytest.fixture
def go(run, server):
    def go(command, **options):
        return run(*command, *reach(server), **options)
    return go


# A 500 half-way

def fail_from(server, number, how, times=99):
    """The number-th write of the file from now on fails, and those after it, `times` in all."""
    store, written = server.store, []
    real = store.write_local

    def write_local(local):
        written.append(local)
        store.refuse_writes = how if number <= len(written) < number + times else None
        real(local)
    store.write_local = write_local


@pytest.mark.parametrize("second", ["stage", "clear"])
@pytest.mark.parametrize("how,times", [("read-only", 99), ("full", 99), ("read-only", 1)])
@pytest.mark.parametrize("command,number", [(STAGE, 1), (STAGE, 2), (STAGE, 3), (CLEAR, 1), (CLEAR, 4), (CLEAR, 8)])
def test_half_a_batch(run, server, go, command, number, how, times, second):
    before = state(server)
    go(STAGE, status=0)
    staged = state(server)
    if command == STAGE:
        go(CLEAR, status=0)
    stood, real = state(server), server.store.write_local
    fail_from(server, number, how, times)
    ran = go(command, status=5)
    assert "DO NOT RESTART" in ran.err and "settings in the database are not changed" in ran.err
    assert "from the server's memory again" in ran.err and run.snapshot()["state"] == "sending"
    assert server.settings() == stood["settings"] and server.database() == stood["database"]
    server.store.write_local, server.store.refuse_writes = real, None
    if second == "stage":
        go(STAGE, status=0)
        assert state(server) == staged and run.snapshot()["state"] == "proved"
    go(CLEAR, status=0)
    assert state(server) == before and server.restart() and server.settings() == before["settings"]


def test_half_of_the_database(run, server, go, monkeypatch):
    """The file is written, and the database fails: then it is not untouched, and the report must not say so."""
    before = state(server)
    real = server.store.set

    def failing(pairs):
        pairs = list(pairs)
        local = any(server.store.patterns.is_local(key) for key, _ in pairs)
        real(pairs if local else pairs[:3])
        if not local:
            raise oldsettings.WriteError("the database is locked")
    monkeypatch.setattr(server.store, "set", failing)
    ran = go(STAGE, status=5)
    assert "But 3 of the database's keys are changed" in ran.err and run.snapshot()["state"] == "sending"
    monkeypatch.undo()
    go(STAGE, status=0)
    go(CLEAR, status=0)
    assert state(server) == before


def test_gone_after_a_500(run, server, go):
    """What is still in the memory can't be taken back then: that is said, and a second run finishes."""
    before = state(server)

    def leave(one):
        one.on_connect = "close"
    server.refuse_writes = "read-only"
    server.faults.append(Fault(**PLACES["write"], after=leave, end="close"))
    ran = go(STAGE, status=5)
    assert "DO NOT RESTART" in ran.err and "may still be in the server's memory" in ran.err
    server.refuse_writes, server.on_connect = None, ""
    assert server.settings() != before["settings"]
    go(STAGE, status=0)
    go(CLEAR, status=0)
    assert state(server) == before


# Somebody reloads at the moment

def reload_around(server, times=1, then=None):
    """A reload that began before a write swaps an older copy in after it; `then` the file can't be written any more."""
    def finish(one):
        one.finish_reload()
        one.refuse_writes = then
    server.faults.append(Fault(**PLACES["write"], times=times, before=lambda one: one.begin_reload(), after=finish))


@pytest.mark.parametrize("command", [STAGE, CLEAR], ids=["stage", "clear"])
def test_write_that_falls_into_a_reload(run, server, go, command):
    """What the server accepted is gone from its memory: written again once, and said."""
    before = state(server)
    go(STAGE, status=0)
    after = before if command == CLEAR else state(server)
    if command == STAGE:
        go(CLEAR, status=0)
    server.log.clear()
    reload_around(server)
    ran = go(command, status=0)
    assert len(sent(server)) == 2 and "written again" in ran.err and "reload" in ran.err
    again = [key for change in sent(server)[1]
             for key in (*change.get("keys", ()), *(pair[0] for pair in change.get("values", ())))]
    assert again and all(key.startswith("server.listener.") for key in again)
    assert f"{len(again)} keys" in ran.err and state(server) == after
    if command == STAGE:
        assert run.snapshot()["state"] == "proved"
        go(CLEAR, status=0)
    assert state(server) == before and server.restart() and server.settings() == before["settings"]


@pytest.mark.parametrize("second", ["stage", "clear"])
def test_reload_after_reload(run, server, go, second):
    """Lost twice: not a third time, and it is said what to do."""
    before = state(server)
    reload_around(server, times=2)
    ran = go(STAGE, status=5)
    assert len(sent(server)) == 2 and LIST("imap") + ".0" in ran.err and "Run the same command again" in ran.err
    assert run.snapshot()["state"] == "sending"
    if second == "stage":
        go(STAGE, status=0)
        assert server.settings()[LIST("imap") + ".1"] == PROXY
    go(CLEAR, status=0)
    assert state(server) == before


def test_500_after_a_reload(run, server, go):
    """The second write of what was lost fails: as final as a first one."""
    before = state(server)
    reload_around(server, then="read-only")
    ran = go(STAGE, status=5)
    assert "DO NOT RESTART" in ran.err and run.snapshot()["state"] == "sending"
    server.refuse_writes = None
    go(STAGE, status=0)
    go(CLEAR, status=0)
    assert state(server) == before


# A key that config.toml outranks

SHADOWS = [  # (what stands in config.toml, what the database holds behind it)
    ({"auth.dkim.verify": "strict"}, {}), ({"auth.dkim.verify": "strict"}, {"auth.dkim.verify": "relaxed"}),
    ({"auth.dkim.verify": "strict", "session.ehlo.reject-non-fqdn": "true"}, {}),
    ({"http.url": "'https://old.example.org'"}, {}),
]


@pytest.mark.parametrize("shadows,behind", SHADOWS, ids=map(str, range(len(SHADOWS))))
def test_shadowed_key(run, simulate, shadows, behind):
    lines = "".join(f'{key} = "{value}"\n' for key, value in shadows.items())
    server = simulate(config=config(lines, SMTP, HTTP))
    write(server, behind)
    before = state(server)
    group = "url" if "http.url" in shadows else "checks"
    for _ in range(2):
        ran = run(*STAGE, *reach(server), status=6)
        for key, value in shadows.items():
            assert key in ran.err and key not in server.database() and server.settings()[key] == value
        assert "This server's config.toml has" in ran.err and "is not known" in ran.err
        assert f"group {group} is not staged" in ran.err and f"--skip {group}" in ran.err
        saved = run.snapshot()
        assert saved["state"] == "proved" and group not in {key["group"] for key in saved["keys"]}
        assert group not in saved["request"]["groups"]
    new = difference(before["settings"], server.settings())
    assert new and set(new) == {key["key"] for key in saved["keys"]}
    ran = run("status", *reach(server), status=6)
    assert f"Missing: {group}." in ran.out and f"{group:10} staged" not in ran.out
    assert run("status", *reach(server), *CHANGE, status=6)
    run(*CLEAR, *reach(server), status=0)
    assert server.settings() == before["settings"]
    assert difference(before["database"], server.database()) == dict.fromkeys(behind)


def test_group_of_a_shadowed_key_left_out(run, simulate):
    server = simulate(config=config('http.url = "\'https://old.example.org\'"\n', SMTP, HTTP))
    before = state(server)
    run(*STAGE, *reach(server), "--skip", "url", status=0)
    run(*CLEAR, *reach(server), status=0)
    assert state(server) == before
