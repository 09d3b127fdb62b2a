"""`reload`: what the server answers is told; an error anywhere means that nothing was applied."""

import json
import signal

import pytest

from conftest import CHANGE, NEWEST, ORIGIN, REAL, RELAY, VERSIONS, guide, reach, state, write
from oldserver import Fault
from test_stage import dialect_options

STAGE, CLEAR = ("stage", *CHANGE), ("clear",)
OURS, THEIRS = "stalprep staged this key", "As far as the snapshot shows, it is not from stalprep"


def reloads(server):
    return [target for _, target, _, _ in server.log if target.startswith("/api/reload")]


@pytest.mark.parametrize("version", VERSIONS)
def test_reload(run, serve, version):
    server = serve(version)
    write(server, guide(version))
    ran = run("reload", *reach(server), status=0)
    assert ran.out.endswith("\nReloaded without an error. Listeners change only with a restart.\n")
    assert "Reloaded" not in ran.err
    if server.log is not None:
        assert reloads(server) == ["/api/reload"] and server.running["auth.dkim.verify"] == "disable"


def test_dry_run(run, serve):
    server = serve()
    write(server, guide(NEWEST))
    ran = run("reload", *reach(server), "--dry-run", status=0)
    assert REAL or reloads(server) == ["/api/reload?dry-run=1"] and "auth.dkim.verify" not in server.running
    assert "\nA reload would work: " in ran.out and ran.err == ""
    assert "certificates" in ran.out  # even that is not quite inert
    assert run("reload", *reach(server), "-n", "-q", status=0).said == ""
    message = run("reload", *reach(server), "-n", "--json", status=0).json["messages"][-1]
    assert message["level"] == "note" and message["text"].startswith("A reload would work")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("options,word", [((), "The server applied nothing"), (("--dry-run",), "would apply nothing")])
def test_errors(run, serve, version, options, word):
    server = serve(version)
    write(server, {"auth.dkim.sign": "broken (("})
    ran = run("reload", *reach(server), *options, status=1)
    assert "auth.dkim.sign" in ran.err and word in ran.err


def test_name_that_does_not_resolve(run, simulate):
    server = simulate(resolves=False)
    ran = run("reload", *reach(server), status=1)
    assert "pyzor" in ran.err and "resolve a name" in ran.err and THEIRS in ran.err


def test_warnings_are_no_failure(run, simulate):
    server = simulate()
    server.faults.append(Fault(path="/api/reload", answer=(
        200, '{"data":{"warnings":{"lookup.x":{"type":"build","error":"no list"}},"errors":{}}}')))
    assert "lookup.x" in run("reload", *reach(server), status=0).err


ODD = ['{"data":null}', '{"data":{}}', "[]", '{"data":{"errors":[]}}', "", "<html>", '{"error":"other","details":"x"}']


@pytest.mark.parametrize("body", ODD)
def test_odd_answers(run, simulate, body):
    server = simulate()
    server.faults.append(Fault(path="/api/reload", times=-1, answer=(200, body)))
    assert run("reload", *reach(server), status=1).err


def test_json(run, serve):
    server = serve()
    write(server, {"auth.dkim.sign": "broken (("})
    ran = run("reload", *reach(server), "--json", status=1)
    assert (ran.json["command"], ran.json["exit"]) == ("reload", 1)
    assert any("auth.dkim.sign" in message["text"] for message in ran.json["messages"])


def test_answer_that_is_lost(run, simulate):
    server = simulate()
    server.faults.append(Fault(path="/api/reload", times=-1, cut=0))
    ran = run("reload", *reach(server))
    assert ran.status in (3, 5) and "not known" in ran.err


def test_interrupted_while_waiting(run, simulate):
    server = simulate()
    server.faults.append(Fault(path="/api/reload", cut=0, end="hang"))
    ran = run.while_running(lambda call: setattr(server.faults[0], "after", call), lambda p: p.send_signal(signal.SIGINT),
                            "reload", *reach(server), status=130)
    assert "It is not known whether the server reloaded." in ran.err


# Whose the errors are

def test_whose_the_errors_are(run, simulate):
    server = simulate()
    run(*STAGE, *RELAY, *dialect_options(NEWEST), *reach(server), status=0)
    errors = dict.fromkeys(["queue.strategy.route", "auth.dkim.sign"], {"type": "build", "error": "bad"})
    server.faults.append(Fault(path="/api/reload", answer=(200, json.dumps({"data": {"warnings": {}, "errors": errors}}))))
    ran = run("reload", *reach(server), status=1)
    whose = {line.split(" at ")[1].split(" ")[0]: OURS in line for line in ran.err.splitlines() if " at " in line}
    assert whose == {"queue.strategy.route": True, "auth.dkim.sign": False} and "applied nothing" in ran.err


def test_errors_without_a_snapshot(run, simulate):
    """Whose an error is can't be known then: nothing is called stalprep's."""
    server = simulate()
    write(server, {"auth.dkim.verify": "broken (("})
    ran = run("reload", *reach(server), status=1)
    assert OURS not in ran.err and THEIRS in ran.err


def test_writes_no_setting(run, serve):
    server = serve()
    run("stage", *reach(server), *CHANGE, status=0)
    before = state(server)
    run("reload", *reach(server), status=0)
    assert state(server) == before
    assert ORIGIN in run("status", *reach(server), status=0).out


def test_too_early(run, simulate):
    """A reload applies what is staged, but for the listeners: it says so, as long as that stands."""
    server = simulate()
    local, database = dict(server.store.local), dict(server.store.database)
    run(*STAGE, *reach(server), status=0)
    for options in ("-n",), ():
        assert server.running.get("auth.dkim.verify") != "disable"
        assert "Before the cutover that is too early." in run("reload", *options, *reach(server), status=0).err
    assert server.running["auth.dkim.verify"] == "disable"
    with server.lock:
        server.store.write_local(local)
        server.store.database.clear()
        server.store.database.update(database)
    assert run("reload", "-n", *reach(server), status=0).err == ""


def test_nothing_that_a_reload_applies(run, simulate):
    server = simulate()
    run(*STAGE, "--only", "listeners", *reach(server), status=0)
    assert run("reload", "-n", *reach(server), status=0).err == ""
    run(*CLEAR, *reach(server), status=0)
    assert run("reload", *reach(server), status=0).err == ""


def test_no_other_command_reloads(run, simulate):
    """Even a dry run of it is not quite inert."""
    server = simulate()
    for args in ((*STAGE, "--dry-run"), STAGE, ("status",), CLEAR):
        run(*args, *reach(server), status=0)
    assert reloads(server) == []


# clear --reload

def test_clear_and_reload(run, simulate):
    server = simulate()
    write(server, {"auth.dkim.verify": "strict"})
    server.reload(dry_run=False)
    before = state(server)
    run(*STAGE, *reach(server), status=0)
    server.reload(dry_run=False)
    assert server.running["http.url"] == f"'{ORIGIN}'"
    number = len(run.snapshot()["keys"])
    ran = run(*CLEAR, "--reload", *reach(server), status=0)
    assert f"Reloaded, with {number} of {number} keys restored" in ran.out and ran.err == ""
    assert ran.out.endswith("until the server is restarted.\n") and "To reload" not in ran.out
    assert state(server) == before
    assert server.running["auth.dkim.verify"] == "strict" and "http.url" not in server.running


def test_clear_and_reload_leave_a_changed_key(run, simulate):
    server = simulate()
    run(*STAGE, *reach(server), status=0)
    number = len(run.snapshot()["keys"])
    write(server, {"auth.dkim.verify": "strict"})
    ran = run(*CLEAR, "--reload", *reach(server), status=6)
    assert f"with {number - 1} of {number} keys restored" in ran.out and "auth.dkim.verify" in ran.err


def test_clear_and_reload_with_an_error_that_came_back(run, simulate):
    """What clear put back is not what stalprep staged."""
    server = simulate()
    write(server, {"auth.dkim.verify": "broken (("})
    run(*STAGE, *reach(server), status=0)
    ran = run(*CLEAR, "--reload", *reach(server), status=5)
    assert "auth.dkim.verify" in ran.err and THEIRS in ran.err and OURS not in ran.err and "applied nothing" in ran.err
    # The same if a run was cut off before it put the snapshot away: nothing is left to write.
    cleared, = run.folder.glob("*.cleared")
    cleared.rename(str(cleared).removesuffix(".cleared"))
    ran = run(*CLEAR, "--reload", *reach(server), status=5)
    assert "auth.dkim.verify" in ran.err and THEIRS in ran.err and OURS not in ran.err
