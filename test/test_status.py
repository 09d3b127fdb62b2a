"""`status`: what the settings hold, told by exit status, in words and in JSON; it never writes."""

import re
import shlex

import pytest

from conftest import (CHANGE, HTTP, NEWEST, ORIGIN, REAL, RELAY, SMTP, VERSIONS, config, dialect_of, guide, listener,
                      reach, spelled, state, write, writes)
from oldserver import Fault

ALL = (*CHANGE, *RELAY)
GROUP_OF = (("server.listener.", "listeners"), ("auth.", "checks"), ("session.", "checks"), ("http.", "url"),
            ("server.http.", "url"), ("queue.", "outbound"), ("remote.", "outbound"))
NAMED = ("--dialect", dialect_of(NEWEST))
OTHERS = ("--proxy", "192.0.2.7", "--public-url", "https://other.example.org")


def groups_of(out):
    """What the report says of each group."""
    return dict(re.findall(r"^  (listeners|checks|url|outbound) +(staged|partly staged|not staged|other values)", out, re.M))


def told(run, server, *options, status):
    ran = run("status", *reach(server), *options, status=status)
    assert writes(server) == 0
    return groups_of(ran.out)


@pytest.mark.parametrize("version", VERSIONS)
def test_before_and_after(run, serve, version):
    server = serve(version)
    dialect = ("--dialect", dialect_of(version))
    assert set(told(run, server, *dialect, status=7).values()) == {"not staged"}
    write(server, guide(version, relay=True))
    # With nothing to judge by all is shown, and it is not ready; by the options it is; by others it is not.
    assert told(run, server, *dialect, status=6) == dict.fromkeys(("listeners", "checks", "url", "outbound"), "staged")
    assert "--proxy ADDR, --public-url URL" in run("status", *reach(server), *dialect, status=6).err
    assert set(told(run, server, *ALL, *dialect, status=0).values()) == {"staged"}
    assert told(run, server, *OTHERS, *dialect, status=6)["checks"] == "staged"


class TestPartly:
    def test_each_group_alone(self, run, serve):
        server = serve()
        for group in ("listeners", "checks", "url", "outbound"):
            keys = {key: value for key, value in guide(NEWEST, relay=True).items()
                    if next(name for prefix, name in GROUP_OF if key.startswith(prefix)) == group}
            write(server, keys)
            named = (*ALL, *NAMED)
            assert {name for name, how in told(run, server, *named, status=6).items() if how == "staged"} == {group}
            assert told(run, server, *named, "--only", group, status=0) == {group: "staged"}
            write(server, dict.fromkeys(keys))

    @pytest.mark.parametrize("key,value,group", [
        ("auth.dkim.verify", None, "checks"), ("auth.dkim.verify", "strict", "checks"),
        ("server.listener.imap.proxy.override", None, "listeners"),
        ("server.listener.imap.proxy.trusted-networks.0", None, "listeners"),
        ("server.listener.imap.proxy.trusted-networks.0", "192.0.2.7", "listeners"),
        ("queue.strategy.route.0.if", None, "outbound"), ("queue.strategy.route", "'mx'", "outbound")])
    def test_one_key_otherwise(self, run, serve, key, value, group):
        server = serve()
        write(server, {**guide(NEWEST, relay=True), **spelled({key: value})})
        assert {name for name, how in told(run, server, *ALL, *NAMED, status=6).items() if how != "staged"} == {group}

    def test_foreign_values_are_shown(self, run, serve):
        server = serve()
        write(server, {**guide(NEWEST), "auth.dkim.verify": "strict"})
        out = run("status", *reach(server), *CHANGE, status=6).out
        assert re.search("auth.dkim.verify: strict.*disable", out)

    def test_values_that_stood_anyway(self, run, serve):
        """Nothing was staged, but some of it stands as wanted: partly. What is wrong is listed, with -v the rest too."""
        server = serve()
        write(server, {"auth.dkim.verify": "disable"})
        ran = run("status", *reach(server), *CHANGE, status=6)
        assert "(1 of 7 keys)" in ran.out and "auth.dkim.verify" not in ran.out and "auth.arc.verify" in ran.out
        assert "auth.dkim.verify: disable [as-wanted]" in run("status", *reach(server), *CHANGE, "-v", status=6).out

    def test_another_address_than_named(self, run, serve):
        server = serve()
        run("stage", *reach(server), *CHANGE, status=0)
        assert told(run, server_without_log(server), "--proxy", "192.0.2.7", "--public-url", ORIGIN,
                    status=6)["listeners"] != "staged"


def server_without_log(server):
    if server.log:
        server.log.clear()
    return server


def test_json(run, serve):
    server = serve()
    for status, state in ((7, "missing"), (0, "as-wanted")):      # without a snapshot nothing says that stalprep wrote it
        ran = run("status", *reach(server), *CHANGE, "--json", status=status)
        assert (ran.json["command"], ran.json["exit"], ran.json["changed"]) == ("status", status, False)
        assert {key["state"] for key in ran.target["keys"]} == {state}
        assert {key["before"] for key in ran.target["keys"]} >= ({None} if status else set())
        write(server, guide(NEWEST))


def test_snapshot_is_named(run, serve):
    server = serve()
    assert "no snapshot" in run("status", *reach(server), status=7).out
    run("stage", *reach(server), *CHANGE, status=0)
    name, = run.snapshots()
    out = run("status", *reach(server), status=0).out
    assert name in out and "proved" in out


def test_after_stage_without_options(run, serve):
    server = serve(config=config(SMTP, HTTP, listener("my-imap", 993, "imap")))
    run("stage", *reach(server), *CHANGE, "--proxy", "2001:db8::/64", status=0)
    assert run("status", *reach(server), status=0)
    run("clear", *reach(server), status=0)
    assert run("status", *reach(server), status=7)


def test_not_staged_names_the_next_step(run, serve, ca):
    server = serve()
    for options in (("--config", server.config_path), reach(server, ca)):
        lines = run("status", *options, *(("--dialect", "0.15") if "--config" in options else ()), status=7).out.split("\n")
        assert lines[-3] == "Nothing of the change set is staged. To see what a stage would write:" and not lines[-1]
        words = shlex.split(lines[-2])[1:]
        assert words[0] == "stage" and words[-5:] == ["--proxy", "ADDR", "--public-url", "URL", "-n"]
    words = [{"ADDR": "203.0.113.10", "URL": ORIGIN}.get(word, word) for word in words]
    assert "Would be staged" in run(*words, status=0).out


def test_url_in_force(run, serve):
    """Staged is not applied: what runs is told by the session's own address."""
    server = serve()
    run("stage", *reach(server), *CHANGE, status=0)
    assert "not in force" in run("status", *reach(server), status=0).out
    server.request("GET", "/api/reload")
    out = run("status", *reach(server), status=0).out
    assert "not in force" not in out and "in force" in out and ORIGIN in out


WAITING = [
    ((), 8, 18, "A restart applies all 26 staged keys (a reload only 8), unless"),
    (("--only", "listeners"), 0, 18, "A restart applies the 18 staged keys, unless"),
    (("--skip", "listeners"), 8, 0, "A reload or a restart applies the 8 staged keys, unless"),
]


@pytest.mark.parametrize("options,reload,restart,words", WAITING)
def test_what_waits_for_a_reload_or_restart(run, simulate, options, reload, restart, words):
    server = simulate()
    run("stage", *CHANGE, *options, *reach(server), status=0)
    ran = run("status", *reach(server), *options, status=0)
    assert words in ran.out
    keys = run("status", *reach(server), *options, "--json", status=0).target["keys"]
    assert [sum(key["applies"] == how for key in keys) for how in ("reload", "restart")] == [reload, restart]


def test_url_in_force_is_named(run, simulate):
    server = simulate()
    write(server, {"http.url": "'https://old.example.org'"})
    server.reload(dry_run=False)
    run("stage", *CHANGE, *reach(server), status=0)
    for in_force in ("https://old.example.org", ORIGIN):
        ran = run("status", *reach(server), status=0)
        assert f"It advertises {in_force} at this moment" in ran.out
        assert run("status", *reach(server), "--json", status=0).target["url_in_force"] == in_force
        server.reload(dry_run=False)


def test_listener_that_was_added_since(run, simulate):
    server = simulate()
    run("stage", *reach(server), *CHANGE, status=0)
    write(server, {"server.listener.imap2.bind.0": "[::]:1143", "server.listener.imap2.protocol": "imap"})
    assert '"imap2" is not in the snapshot' in run("status", *reach(server), status=6).err
    run("stage", *reach(server), *CHANGE, status=0)
    assert run("status", *reach(server), status=0).err == ""


def test_server_that_closes_after_each_answer(run, simulate):
    """Each request on a connection of its own; the session's URL, which the second asks for, is still seen."""
    server = simulate()
    server.faults.append(Fault(headers=(("Connection", "close"),), end="close", times=-1))
    before = state(server)
    assert "It advertises" in run("status", *reach(server), status=7).out
    run("stage", *reach(server), *CHANGE, status=0)
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_plain_http_stays_on_this_host(run, simulate):
    """--resolve could lead "localhost" elsewhere."""
    server = simulate()
    port = server.http_url.rpartition(":")[2]
    ran = run("status", "--url", f"http://localhost:{port}", "--resolve", f"localhost:{port}:192.0.2.2", status=2)
    assert "192.0.2.2" in ran.err and "in the clear" in ran.err and server.log == []
    run("status", "--url", f"http://localhost:{port}", "--resolve", f"localhost:{port}:127.0.0.1", status=7)


def test_status_refuses_nothing(run, serve):
    """What stage would refuse, it tells."""
    server = serve(config=config(listener("mx", None, "smtp", bind=["[::]:25", "[::]:587"]), HTTP))
    ran = run("status", *reach(server), status=7)
    assert '"mx"' in ran.said and "refused" not in ran.said


def test_quiet(run, serve):
    assert run("status", *reach(serve()), "-q", status=7).said == ""


@pytest.mark.parametrize("how,status", [("close", 3), ("reset", 3)])
def test_not_reached(run, simulate, how, status):
    server = simulate()
    server.on_connect = how
    assert run("status", *reach(server), status=status)


def test_write_that_is_not_proved(run, simulate):
    """The settings show all of it, and config.toml holds none: that is not done."""
    server = simulate()
    server.refuse_writes = "read-only"
    server.faults.append(Fault(method="POST", path="/api/settings", cut=0, end="reset", done=True))
    run("stage", *reach(server), "--only", "listeners", "--proxy", "203.0.113.10", status=5)
    ran = run("status", *reach(server), "--only", "listeners", status=6)
    assert "Run stage again" in ran.err and groups_of(ran.out)["listeners"] == "staged"
    server.refuse_writes = None
    run("stage", *reach(server), "--only", "listeners", "--proxy", "203.0.113.10", status=0)
    run("status", *reach(server), "--only", "listeners", status=0)
