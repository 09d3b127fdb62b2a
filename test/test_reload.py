"""`reload`: what the server answers is told; an error anywhere means that nothing was applied."""

import json
import signal

import pytest

from conftest import CHANGE, NEWEST, ORIGIN, REAL, VERSIONS, guide, reach, state, write
from oldserver import Fault


def reloads(server):
    return [target for _, target, _, _ in server.log if target.startswith("/api/reload")]


@pytest.mark.parametrize("version", VERSIONS)
def test_reload(run, serve, version):
    server = serve(version)
    write(server, guide(version))
    ran = run("reload", *reach(server), status=0)
    assert "restart" in ran.said
    if server.log is not None:
        assert reloads(server) == ["/api/reload"] and server.running["auth.dkim.verify"] == "disable"


def test_dry_run(run, serve):
    server = serve()
    write(server, guide(NEWEST))
    ran = run("reload", *reach(server), "--dry-run", status=0)
    assert REAL or reloads(server) == ["/api/reload?dry-run=1"] and "auth.dkim.verify" not in server.running
    assert "certificates" in ran.said  # even that is not quite inert


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("options,word", [((), "othing was applied"), (("--dry-run",), "would apply nothing")])
def test_errors(run, serve, version, options, word):
    server = serve(version)
    write(server, {"auth.dkim.sign": "broken (("})
    ran = run("reload", *reach(server), *options, status=1)
    assert "auth.dkim.sign" in ran.err and word in ran.err


def test_name_that_does_not_resolve(run, simulate):
    server = simulate(resolves=False)
    ran = run("reload", *reach(server), status=1)
    assert "pyzor" in ran.err and "resolve" in ran.err


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


# stage --check

BROKEN = {"type": "parse", "error": "x"}


def test_check_before_tells_whose_errors(run, simulate):
    """A rule that stands there is not stalprep's, though stage is about to replace it."""
    server = simulate()
    write(server, {"queue.strategy.route.0.if": "x ==== 1 (", "queue.strategy.route.0.then": "'local'",
                   "queue.strategy.route.1.else": "'mx'"})
    ran = run("stage", *reach(server), *CHANGE, "--relay", "new.example.org", "--check", status=0)
    assert "It is not stalprep's" in ran.err and "stalprep staged this key" not in ran.err


@pytest.mark.parametrize("before,after,status", [
    (["other"], ["http.url"], 5), (["other"], ["other"], 0), (["other", "more"], ["more"], 0), ([], ["http.url"], 5)])
def test_check_compares_keys(run, simulate, before, after, status):
    """As many errors as before may still be others."""
    server = simulate()
    for keys in before, after:
        body = json.dumps({"data": {"warnings": {}, "errors": dict.fromkeys(keys, BROKEN)}})
        server.faults.append(Fault(path="/api/reload", answer=(200, body.encode())))
    ran = run("stage", *reach(server), *CHANGE, "--check", status=status)
    assert ("stalprep staged this key" in ran.err) == (status == 5)


def test_writes_no_setting(run, serve):
    server = serve()
    run("stage", *reach(server), *CHANGE, status=0)
    before = state(server)
    run("reload", *reach(server), status=0)
    assert state(server) == before
    assert ORIGIN in run("status", *reach(server), status=0).out
