"""`stage --check`, and what the answers of a reload say: whose error is it, and was anything applied?"""

import json

import pytest

from conftest import CHANGE, NEWEST, ORIGIN, REAL, RELAY, guide, reach, state, write, writes
from oldserver import Fault
from test_reload import reloads
from test_stage import dialect_options

STAGE, CLEAR = ("stage", *CHANGE), ("clear",)
OURS, THEIRS = "stalprep staged this key", "It is not stalprep's: it stood there before"
BEFORE, NOW = "As the settings stand before the change, a reload would apply nothing", \
    "As the settings stand now, a reload would apply nothing"
pytestmark = pytest.mark.skipif(REAL is not None, reason="only the simulator can play this")


def answer(**errors):
    """A reload's, with these errors: __ stands for a dot."""
    found = {key.replace("__", "."): {"type": "build", "error": text} for key, text in errors.items()}
    return 200, json.dumps({"data": {"warnings": {}, "errors": found}})


def test_before_and_after(run, simulate):
    """Two dry runs, around the one write; without --check there is none."""
    server = simulate()
    ran = run(*STAGE, *reach(server), "--check", status=0)
    kinds = ["dry" if target.startswith("/api/reload?dry-run=1") else "POST" if method == "POST" else ""
             for method, target, _, _ in server.log]
    assert [kind for kind in kinds if kind] == ["dry", "POST", "dry"] and ran.err == ""
    assert "auth.dkim.verify" not in server.running
    run(*CLEAR, *reach(server), status=0)
    server.log.clear()
    run(*STAGE, *reach(server), status=0)
    assert reloads(server) == []


def test_dry_run_checks_nothing(run, simulate):
    """--dry-run sends no reload of any kind: even that is not quite inert."""
    server = simulate()
    run(*STAGE, *reach(server), "--check", "--dry-run", status=0)
    assert reloads(server) == []


STOOD = [  # (what stands on the server, the key that the reload names, is it an error afterwards too)
    ({"auth.dkim.sign": "broken (("}, "auth.dkim.sign", True),
    ({"auth.dkim.verify": "broken (("}, "auth.dkim.verify", False),
]


@pytest.mark.parametrize("standing,key,stays", STOOD, ids=["another key", "a key that is replaced"])
def test_errors_that_stood_before(run, simulate, standing, key, stays):
    """They are told as what they are, and fail nothing."""
    server = simulate()
    write(server, standing)
    before = state(server)
    ran = run(*STAGE, *reach(server), "--check", status=0)
    assert key in ran.err and THEIRS in ran.err and OURS not in ran.err
    assert BEFORE in ran.err and (NOW in ran.err) == stays
    run(*CLEAR, *reach(server), status=0)
    assert state(server) == before


def test_error_of_what_was_staged(run, simulate):
    """The second dry run has one more: written, and not as it should be."""
    server = simulate()
    new = {"http.url": "bad", "server.listener.imap.proxy": "odd"}
    server.faults += [Fault(path="/api/reload", answer=answer(x__y="old")),
                      Fault(path="/api/reload", answer=answer(x__y="old", **new))]
    ran = run(*STAGE, *reach(server), "--check", "--json", status=5)
    texts = [message["text"] for message in ran.json["messages"] if message["level"] == "error"]
    whose = {text.split(" at ")[1].split(" ")[0]: OURS in text for text in texts if " at " in text}
    assert whose == {"x.y": False, "http.url": True, "server.listener.imap.proxy": True}
    assert any(NOW in message["text"] for message in ran.json["messages"]) and ran.json["changed"] is True
    assert run.snapshot()["state"] == "proved"
    run(*CLEAR, *reach(server), status=0)


FAILS = [({"cut": 0, "times": -1}, 3), ({"answer": (403, None)}, 4), ({"answer": (200, "{}")}, 1)]


@pytest.mark.parametrize("how,status", FAILS, ids=["cut off", "forbidden", "no sense"])
def test_check_that_fails(run, simulate, how, status):
    """Before the write it stops the run; after it all is written and read back, and not checked."""
    server = simulate()
    before = state(server)
    server.faults.append(Fault(path="/api/reload", **how))
    ran = run(*STAGE, *reach(server), "--check", status=status)
    assert state(server) == before and writes(server) == 0 and "Nothing was written" in ran.err and "--check" in ran.err
    server.faults[:] = [Fault(path="/api/reload", answer=answer()), Fault(path="/api/reload", **how)]
    ran = run(*STAGE, *reach(server), "--check", status=5)
    assert run.snapshot()["state"] == "proved" and set(guide(NEWEST)) <= set(server.settings()) and "--check" in ran.err


def test_name_that_does_not_resolve(run, simulate):
    """Every reload of such a server fails, whatever is staged."""
    server = simulate(resolves=False)
    ran = run(*STAGE, *reach(server), "--check", status=0)
    assert all(words in ran.err for words in ("pyzor", THEIRS, "resolve a name", BEFORE, NOW))


# reload

def test_reload_tells_the_two_apart(run, simulate):
    server = simulate()
    run(*STAGE, *RELAY, *dialect_options(NEWEST), *reach(server), status=0)
    server.faults.append(Fault(path="/api/reload", answer=answer(queue__strategy__route="bad", auth__dkim__sign="bad")))
    ran = run("reload", *reach(server), status=1)
    whose = {line.split(" at ")[1].split(" ")[0]: OURS in line for line in ran.err.splitlines() if " at " in line}
    assert whose == {"queue.strategy.route": True, "auth.dkim.sign": False} and "Nothing was applied" in ran.err


def test_reload_without_a_snapshot(run, simulate):
    """Whose an error is can't be known then: nothing is called stalprep's."""
    server = simulate()
    write(server, {"auth.dkim.verify": "broken (("})
    ran = run("reload", *reach(server), status=1)
    assert OURS not in ran.err and THEIRS in ran.err


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
    assert f"{number} of {number} keys restored" in ran.err and "until the server is restarted" in ran.err
    assert state(server) == before
    assert server.running["auth.dkim.verify"] == "strict" and "http.url" not in server.running


def test_clear_and_reload_leave_a_changed_key(run, simulate):
    server = simulate()
    run(*STAGE, *reach(server), status=0)
    number = len(run.snapshot()["keys"])
    write(server, {"auth.dkim.verify": "strict"})
    ran = run(*CLEAR, "--reload", *reach(server), status=6)
    assert f"{number - 1} of {number} keys restored" in ran.err and "auth.dkim.verify" in ran.err


def test_clear_and_reload_with_an_error_that_came_back(run, simulate):
    """What clear put back is not what stalprep staged."""
    server = simulate()
    write(server, {"auth.dkim.verify": "broken (("})
    run(*STAGE, *reach(server), status=0)
    ran = run(*CLEAR, "--reload", *reach(server), status=5)
    assert "auth.dkim.verify" in ran.err and THEIRS in ran.err and OURS not in ran.err and "applied nothing" in ran.err


# status

WAITING = [((), 8, 18), (("--only", "listeners"), 0, 18), (("--skip", "listeners"), 8, 0)]


@pytest.mark.parametrize("options,reload,restart", WAITING)
def test_status_says_what_waits(run, simulate, options, reload, restart):
    server = simulate()
    run(*STAGE, *options, *reach(server), status=0)
    ran = run("status", *reach(server), *options, status=0)
    assert f"a reload applies {reload} keys and a restart {restart}, " in ran.out
    keys = run("status", *reach(server), *options, "--json", status=0).target["keys"]
    assert [sum(key["applies"] == how for key in keys) for how in ("reload", "restart")] == [reload, restart]


def test_status_names_the_url_in_force(run, simulate):
    server = simulate()
    write(server, {"http.url": "'https://old.example.org'"})
    server.reload(dry_run=False)
    run(*STAGE, *reach(server), status=0)
    for in_force in ("https://old.example.org", ORIGIN):
        ran = run("status", *reach(server), status=0)
        assert f"It advertises {in_force} at this moment" in ran.out
        assert run("status", *reach(server), "--json", status=0).target["url_in_force"] == in_force
        server.reload(dry_run=False)
