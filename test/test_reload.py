"""`reload`: what the server answers is told; an error anywhere means that nothing was applied."""

import pytest

from conftest import CHANGE, ORIGIN, VERSIONS, guide, reach, write
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


def test_dry_run(run, simulate):
    server = simulate()
    write(server, guide("0.15.5"))
    ran = run("reload", *reach(server), "--dry-run", status=0)
    assert reloads(server) == ["/api/reload?dry-run=1"] and "auth.dkim.verify" not in server.running
    assert "certificates" in ran.said  # even that is not quite inert


@pytest.mark.parametrize("version", ["0.9.4", "0.15.5"])
@pytest.mark.parametrize("options,word", [((), "othing was applied"), (("--dry-run",), "would apply nothing")])
def test_errors(run, simulate, version, options, word):
    server = simulate(version)
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


def test_json(run, simulate):
    server = simulate()
    write(server, {"auth.dkim.sign": "broken (("})
    ran = run("reload", *reach(server), "--json", status=1)
    assert (ran.json["command"], ran.json["exit"]) == ("reload", 1)
    assert any("auth.dkim.sign" in message["text"] for message in ran.json["messages"])


def test_answer_that_is_lost(run, simulate):
    server = simulate()
    server.faults.append(Fault(path="/api/reload", times=-1, cut=0))
    ran = run("reload", *reach(server))
    assert ran.status in (3, 5) and "not known" in ran.err


def test_writes_no_setting(run, simulate):
    server = simulate()
    run("stage", *reach(server), *CHANGE, status=0)
    before, server.log = server.settings(), []
    run("reload", *reach(server), status=0)
    assert server.settings() == before and {method for method, _, _, _ in server.log} == {"GET"}
    assert server.running["http.url"] == f"'{ORIGIN}'"
