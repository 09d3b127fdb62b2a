"""`stage`: what it writes, what it leaves alone, what it refuses, and what it leaves behind when it is cut off."""

import fcntl
import hashlib
import json
import os
import shlex
import signal
import stat

import pytest

import oldconfig
from conftest import (CHANGE, HTTP, HTTPS, NAME, NEWEST, ORIGIN, PASSWORD, PROXY, REAL, RELAY, SMTP, VERSIONS, config,
                      dialect_of, difference, guide, listener, named, port_25, reach, sent, spelled, state, touched_keys,
                      write, writes)
from oldserver import Fault
from test_lost import change_text

ALL = (*CHANGE, *RELAY)


def dialect_options(version):
    """0.12 can't be told from a new one for sure, and outbound needs to know."""
    return ("--dialect", dialect_of(version))


def proxied(name, network=PROXY, index="0"):
    prefix = f"server.listener.{name}.proxy."
    return {prefix + "override": "true", f"{prefix}trusted-networks.{index}": network}


# The main job

@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("way", ["http", "https by address", "https by name"])
def test_stage_then_clear(run, serve, ca, version, way):
    server = serve(version)
    before = state(server)
    options = reach(server, ca if way.startswith("https") else None)
    if way == "https by name":
        url, resolve = named(server.https_url)
        options = ("--url", url, "--cacert", ca.file, *resolve)
    options += dialect_options(version)
    ran = run("stage", *options, *ALL, status=0)
    after = state(server)
    assert difference(before["settings"], after["settings"]) == guide(version, relay=True)
    assert port_25(after["settings"]) == port_25(before["settings"])
    assert ran.err == "" and "port 25: never touched" in ran.out and "applied nothing" in ran.out
    assert run.snapshot()["state"] == "proved"
    assert run("status", *options, status=0).err == ""
    again = run("stage", *options, *ALL, status=0)
    assert "nothing to do" in again.out and state(server) == after
    run("clear", *options, status=0)
    assert state(server) == before


@pytest.mark.parametrize("version", VERSIONS)
def test_finds_the_dialect(run, serve, version):
    server = serve(version)
    before = server.settings()
    run("stage", *reach(server), *CHANGE, status=0)
    assert difference(before, server.settings()) == guide(version)


NO_SESSION = [(429, None), (503, "no server is available"), (200, '{"capabilities":')]


@pytest.mark.parametrize("answer", NO_SESSION, ids=str)
@pytest.mark.parametrize("version", ["0.12.5", "0.15.5"])
def test_session_that_is_not_told(run, simulate, version, answer):
    """Only a 404 is the sign of an older server, where the URL has another key: without it nothing is taken for sure."""
    server = simulate(version)
    server.faults.append(Fault(method="GET", path="/jmap/session", times=-1, answer=answer))
    if version == "0.12.5":  # nothing else tells it from 0.11
        ran = run("stage", *reach(server), *CHANGE, "--json", status=1)
        assert "dialect-unknown" in ran.names() and writes(server) == 0
        return
    before = server.settings()
    run("stage", *reach(server), *CHANGE, status=0)
    assert difference(before, server.settings()) == guide(version)


@pytest.mark.parametrize("version", ["0.8.0", "0.10.7"])
def test_refused_spelling_that_ends_the_connection(run, simulate, version):
    server = simulate(version)
    before = state(server)
    for command in (("stage", *CHANGE), ("clear",)):
        fail(server, "write", headers=(("connection", "close"),), end="close")
        ran = run(command[0], *reach(server), *command[1:], status=0)
    assert state(server) == before


def test_each_group_alone(run, serve):
    server = serve()
    before = was = server.settings()
    for group in ("listeners", "checks", "url", "outbound"):
        run("stage", *reach(server), *ALL, *dialect_options(NEWEST), "--only", group, status=0)
        settings = server.settings()
        assert difference(was, settings) and difference(was, settings).items() <= guide(NEWEST, relay=True).items()
        was = settings
    assert difference(before, was) == guide(NEWEST, relay=True)


def test_one_connection_and_few_requests(run, simulate):
    server = simulate()
    run("stage", *reach(server), *CHANGE, status=0)
    assert "".join(method[0] for method, _, _, _ in server.log) in ("GGPG", "GGGPG")


def test_local_keys_first_and_alone(run, simulate):
    """A file that can't be written then leaves the database as it was."""
    server = simulate()
    run("stage", *reach(server), *ALL, status=0)
    body, = sent(server)
    kinds = [{key.startswith("server.") for key, _ in operation["values"]} for operation in body]
    assert kinds == [{True}, {False}]


def test_dry_run_writes_nothing(run, serve):
    server = serve()
    before = state(server)
    ran = run("stage", *reach(server), *ALL, *dialect_options(NEWEST), "--dry-run", "-v", status=0)
    assert state(server) == before and writes(server) == 0 and run.snapshots() == []
    for key, value in guide(NEWEST, relay=True).items():
        assert f"  {key}: (absent) -> {value}\n" in ran.out


def test_dry_run_plans_what_stage_does(run, serve):
    server = serve()
    plan = run("stage", *reach(server), *CHANGE, "--dry-run", "--json", status=0)
    done = run("stage", *reach(server), *CHANGE, "--json", status=0)
    wanted = [{(key["key"], key["before"], key["wanted"]) for key in ran.target["keys"]} for ran in (plan, done)]
    assert wanted[0] == wanted[1] and plan.json["changed"] is False and done.json["changed"] is True


# --json

MEMBERS = {
    "": {"command", "exit", "changed", "messages", "targets"},
    "targets": {"target", "dialect", "listeners", "keys", "snapshot"},
    "messages": {"level", "name", "text"},
    "listeners": {"id", "binds", "chosen"},
    "keys": {"key", "group", "before", "wanted", "after", "applies", "state"},
}


def check_members(value, name=""):
    """Each documented member is there, in each object of each kind."""
    if isinstance(value, list):
        for item in value:
            check_members(item, name)
    elif isinstance(value, dict):
        assert MEMBERS.get(name, set()) <= set(value), (name, value)
        for member, below in value.items():
            check_members(below, member)


def test_json(run, serve):
    server = serve()
    ran = run("stage", *reach(server), *CHANGE, "--json", status=0)
    check_members(ran.json)
    assert (ran.json["command"], ran.json["exit"], ran.json["changed"]) == ("stage", 0, True) and ran.err == ""
    keys = {key["key"]: key for key in ran.target["keys"]}
    assert {name: key["after"] for name, key in keys.items()} == guide(NEWEST)
    for name, key in keys.items():
        assert (key["before"], key["wanted"], key["state"]) == (None, key["after"], "staged")
        assert key["applies"] == ("restart" if name.startswith("server.listener.") else "reload")
    chosen = {one["id"]: one["chosen"] for one in ran.target["listeners"]}
    assert chosen.pop("smtp") is False and all(chosen.values())
    assert run.folder / ran.target["snapshot"] == next(run.folder.glob("*.snapshot.json"))


@pytest.mark.parametrize("options,status", [((), 1), (("--public-url", ORIGIN), 1)])
def test_json_of_a_refusal(run, serve, options, status):
    server = serve(config=config(listener("mx", None, "smtp", bind=["[::]:25", "[::]:587"]), HTTP))
    ran = run("stage", *reach(server), *CHANGE, *options, "--json", status=status)
    check_members(ran.json)
    assert (ran.json["exit"], ran.json["changed"], ran.target["snapshot"]) == (status, False, None)
    assert "port-25" in ran.names() and ran.err == ""


def test_json_of_a_failure(run):
    ran = run("stage", "--url", "http://127.0.0.1:1", *CHANGE, "--json", status=3)
    check_members(ran.json)
    assert ran.target["dialect"] is None and ran.target["keys"] == [] and ran.json["exit"] == 3


def test_quiet_and_verbose(run, serve):
    server = serve()
    assert run("stage", *reach(server), *CHANGE, "-q", status=0).said == ""
    assert "auth.dkim.verify: disable" in run("stage", *reach(server), *CHANGE, "-v", status=0).out


# Which listeners

LMTP = listener("lmtp", 24, "lmtp")
CHOSEN = [  # (a listener, is it chosen without being named?)
    (listener("imap", 143, "imap"), True), (listener("other-name", 1143, "imap"), True),
    (listener("pop3", 110, "pop3"), True), (listener("sieve", 4190, "managesieve"), True),
    (listener("web", 8443, "http"), True), (listener("sub", 587, "smtp"), True), (listener("subs", 465, "smtp"), True),
    (listener("both", None, "smtp", bind=["[::]:587", "0.0.0.0:465"]), True),
    (listener("zeros", None, "smtp", bind="[::]:0587"), True),
    (listener("implicit", 1465, "smtp", **{"tls.implicit": True}), True),
    (LMTP, False), (listener("upper", 143, "IMAP"), True), (listener("dotted.name", 143, "imap"), True),
    (listener("listeners", 143, "imap"), True), (listener("v4", None, "imap", bind="127.0.0.1:143"), True),
]


@pytest.mark.parametrize("text,chosen", CHOSEN, ids=[case[0].split('"')[1] for case in CHOSEN])
def test_which_listeners(run, serve, text, chosen):
    server = serve(config=config(SMTP, HTTP, text))
    before = server.settings()
    name = text.split('"')[1]
    run("stage", *reach(server), *CHANGE, "--only", "listeners", status=0)
    wanted = {**proxied("http"), **(proxied(name) if chosen else {})}
    assert difference(before, server.settings()) == wanted
    run("clear", *reach(server), status=0)
    assert server.settings() == before


MAPPED = (listener("smtp", 2525, "smtp"), listener("submission", 1587, "smtp"),
          listener("submissions", 1465, "smtp", **{"tls.implicit": True}))
ANSWERED = [  # (tables of config.toml, the answers, the listeners that are then chosen)
    (MAPPED, ("--relay-listener", "smtp", "--also", "submission"), ["submission", "submissions"]),
    (MAPPED, ("--relay-listener", "smtp", "--leave", "submission"), ["submissions"]),
    ((SMTP, listener("odd", 2525, "smtp")), ("--leave", "odd"), []),
    ((SMTP, listener("odd", 2525, "smtp")), ("--also", "odd"), ["odd"]),
    ((SMTP, listener("partly", None, "smtp", bind=["[::]:587", "[::]:2525"])), ("--also", "partly"), ["partly"]),
    ((SMTP, LMTP, listener("imap", 143, "imap")), ("--also", "lmtp", "--leave", "imap"), ["lmtp"]),
    ((SMTP, listener("mx", None, "smtp", bind=["[::]:25", "[::]:587"])), ("--leave", "mx"), []),
]


@pytest.mark.parametrize("tables,answers,chosen", ANSWERED, ids=map(str, range(len(ANSWERED))))
def test_answers(run, serve, tables, answers, chosen):
    server = serve(config=config(*tables, HTTP))
    before = server.settings()
    run("stage", *reach(server), *CHANGE, "--only", "listeners", *answers, status=0)
    wanted = {key: value for name in ("http", *chosen) for key, value in proxied(name).items()}
    assert difference(before, server.settings()) == wanted
    run("status", *reach(server), *CHANGE, "--only", "listeners", *answers, status=0)
    for path in run.folder.iterdir():
        path.unlink()  # the options alone find them again
    run("clear", *reach(server), *CHANGE, "--only", "listeners", *answers, status=0)
    assert server.settings() == before


def test_all_questions_at_once(run, simulate):
    """Each candidate with its binds, and at the end one line with the options, names as a shell takes them."""
    server = simulate(config=config(*MAPPED, listener("second mx", 2526, "smtp"), HTTP))
    before = state(server)
    ran = run("stage", *reach(server), *CHANGE, status=1)
    assert "refused (relay-listener)" in ran.err and "refused (submission)" in ran.err
    assert '"submission" ([::]:1587)' in ran.err and '"second mx" ([::]:2526)' in ran.err and '"submissions"' not in ran.err
    *_, line, nothing = ran.err.splitlines()
    assert line == "stalprep stage:   --relay-listener ID --also 'second mx' --also smtp --also submission"
    assert nothing.endswith("Nothing was written.") and state(server) == before


def test_status_asks_too(run, serve):
    server = serve(config=config(SMTP, listener("mapped", 1587, "smtp"), HTTP))
    ran = run("status", *reach(server), *CHANGE, status=7)
    assert '"mapped" ([::]:1587)' in ran.err and "--also ID" in ran.err


def test_named_listeners(run, serve):
    server = serve(config=config(SMTP, HTTP, LMTP, listener("imap", 143, "imap")))
    before = server.settings()
    run("stage", *reach(server), *CHANGE, "--only", "listeners", "--listener", "lmtp", "--listener", "imap", status=0)
    assert difference(before, server.settings()) == {**proxied("lmtp"), **proxied("imap")}


ON_25 = [  # (the listener on 25 by its bind, options, why)
    ("[::]:25", (), "the usual one"), ("0.0.0.0:0025", (), "compared as a number"), ("127.0.0.1:25", (), "an address"),
    (["[::]:25", "0.0.0.0:25"], (), "twice"), ("[::]:2525", ("--relay-listener", "mx"), "behind a port mapping"),
    ("%{env:NO_SUCH_BIND}%", ("--relay-listener", "mx"), "a macro"),
]


@pytest.mark.parametrize("bind,options,why", ON_25, ids=[case[2] for case in ON_25])
def test_port_25_is_never_changed(run, serve, bind, options, why):
    server = serve(config=config(listener("mx", None, "smtp", bind=bind), HTTP, listener("sub", 587, "smtp")))
    before = server.settings()
    run("stage", *reach(server), *CHANGE, *options, status=0)
    run("stage", *reach(server), *CHANGE, *options, "--proxy", "192.0.2.7", status=0)
    run("clear", *reach(server), status=0)
    assert port_25(server.settings(), "mx") == port_25(before, "mx")
    assert not [key for key in touched_keys(server) if key.startswith("server.listener.mx.")]


MX_587 = listener("mx", None, "smtp", bind=["[::]:25", "[::]:587"])
REFUSED = [  # (tables of config.toml, options, the refusal's name, a word of it)
    ((MX_587,), (), "port-25", '"mx"'),
    ((MX_587,), ("--listener", "mx"), "port-25", '"mx"'),
    ((MX_587, listener("sub", 465, "smtp")), (), "port-25", '"mx"'),
    ((listener("mx", None, "imap", bind=["[::]:25", "[::]:143"]),), (), "port-25", '"mx"'),
    ((SMTP,), ("--listener", "smtp"), "port-25", "smtp"),
    ((SMTP,), ("--listener", "imap"), "no-listener", "imap"),
    ((SMTP,), ("--relay-listener", "imap"), "no-listener", "imap"),
    ((SMTP,), ("--relay-listener", "http", "--listener", "http"), "port-25", "http"),
    ((), (), "relay-listener", "--relay-listener"),
    ((listener("mx", 2525, "smtp"),), (), "relay-listener", "--relay-listener"),
    ((SMTP, listener("odd", 2525, "smtp")), (), "submission", '"odd"'),
    ((SMTP, listener("partly", None, "smtp", bind=["[::]:587", "[::]:2525"])), (), "submission", '"partly"'),
    ((SMTP,), ("--also", "smtp"), "port-25", "smtp"),
    ((SMTP,), ("--also", "imap"), "no-listener", "imap"),
    ((SMTP,), ("--leave", "imap"), "no-listener", "imap"),
    ((SMTP,), ("--also", "http", "--relay-listener", "http"), "port-25", "http"),
]


AMBIGUOUS = [  # such a server logs errors of its own; only the simulator is made so
    ((SMTP, listener("smtp.proxy.trusted-networks", 143, "imap")), (), "listener-name", "smtp.proxy"),
    ((SMTP, listener("smtp.proxy.trusted-networks", 24, "lmtp")), ("--also", "smtp.proxy.trusted-networks"),
     "listener-name", "smtp.proxy"),
    ((SMTP, listener("smtp.bind.x", 143, "imap")), ("--listener", "smtp.bind.x"), "listener-name", "smtp.bind"),
    ((SMTP, listener("mx", None, "smtp", bind="%{env:BIND}%")), (), "relay-listener", '"mx"'),
]
REFUSED += [] if REAL else AMBIGUOUS


@pytest.mark.parametrize("tables,options,name,word", REFUSED, ids=[f"{n}-{case[2]}" for n, case in enumerate(REFUSED)])
def test_refused(run, serve, tables, options, name, word):
    """Exit 1, named, nothing written, and --force does not help."""
    server = serve(config=config(HTTP, *tables))
    before = state(server)
    for more in ((), ("--force", name), ("--dry-run",)):
        ran = run("stage", *reach(server), *CHANGE, *options, *more, "--json", status=1)
        assert name in ran.names() and ran.json["changed"] is False
    ran = run("stage", *reach(server), *CHANGE, *options, status=1)
    assert f"refused ({name})" in ran.err and word in ran.err and "Nothing was written" in ran.said
    assert state(server) == before and writes(server) == 0 and run.snapshots() == []


def test_mixed_listener_is_left_where_others_are_named(run, serve):
    server = serve(config=config(MX_587, HTTP))
    before = server.settings()
    run("stage", *reach(server), *CHANGE, "--listener", "http", status=0)
    assert port_25(server.settings(), "mx") == port_25(before, "mx")
    assert not [key for key in touched_keys(server) if key.startswith("server.listener.mx.")]


# What stood before

BELOW = "server.listener.http.proxy.trusted-networks"
GLOBAL = "server.proxy.trusted-networks"
OTHER = "198.51.100.0/24"
STANDING = [  # (what stands, what is added to it; None: taken away)
    ({BELOW + ".0": OTHER}, {BELOW + ".1": PROXY}),
    ({BELOW + ".0000": OTHER}, {BELOW + ".1": PROXY}),
    ({BELOW: OTHER}, {BELOW: None, BELOW + ".0": OTHER, BELOW + ".1": PROXY}),
    ({BELOW + ".0": OTHER, BELOW + ".0001": OTHER}, {BELOW + ".2": PROXY}),
    ({BELOW + ".5": OTHER}, {BELOW + ".0": PROXY}),
    ({BELOW + ".3": PROXY}, {}), ({BELOW: PROXY}, {}), ({BELOW + ".0": "203.0.113.10"}, {}),
    ({BELOW + ".0": "203.0.113.0/24"}, {}),
    ({BELOW + ".0": "not a network"}, {BELOW + ".1": PROXY}),
    ({BELOW + ".x": OTHER}, {BELOW + ".0": PROXY}),
    ({GLOBAL + ".0": OTHER}, {BELOW + ".0": PROXY, BELOW + ".1": OTHER}),
    ({GLOBAL: OTHER}, {BELOW + ".0": PROXY, BELOW + ".1": OTHER}),
    ({GLOBAL + ".0": OTHER, BELOW + ".0": "192.0.2.7"}, {BELOW + ".1": PROXY}),
    ({GLOBAL + ".0": PROXY}, {BELOW + ".0": PROXY}),
]


@pytest.mark.parametrize("standing,added", STANDING)
def test_networks_that_stand(run, serve, standing, added):
    server = serve(config=config(SMTP, HTTP))
    write(server, standing)
    before = state(server)
    run("stage", *reach(server), *CHANGE, "--only", "listeners", status=0)
    override = {"server.listener.http.proxy.override": "true"}
    assert difference(before["settings"], server.settings()) == {**added, **override}
    assert "nothing to do" in run("stage", *reach(server), *CHANGE, "--only", "listeners", status=0).out
    run("clear", *reach(server), status=0)
    assert state(server) == before


VALUES = [  # what stood in place of the guide's values
    {"auth.dkim.verify": "strict"}, {"auth.dkim.verify": "disable"}, {"session.ehlo.reject-non-fqdn": "true"},
    {"http.url": "'https://old.example.org'"}, {"http.url": "protocol + '://' + config_get('server.hostname')"},
    {"http.url": f"'{ORIGIN}'"}, {"server.listener.imap.proxy.override": "false"},
    {"auth.dmarc.verify": "%{env:DMARC}%"}, {"auth.spf.verify.ehlo": ""},
    {"auth.arc.verify.0.if": "local_port = 25", "auth.arc.verify.0.then": "strict", "auth.arc.verify.1.else": "relaxed"},
    {"auth.iprev.verify": "ü " * 40 + "\t'so' \"quoted\""},
]


@pytest.mark.parametrize("standing", VALUES, ids=[next(iter(case)) for case in VALUES])
def test_values_that_stand(run, serve, standing):
    server, standing = serve(), spelled(standing)
    write(server, standing)
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    for key, value in guide(NEWEST).items():
        assert server.settings()[key] == value
    saved = {key["key"]: key["before"] for key in run.snapshot()["keys"]}
    for key, value in guide(NEWEST).items():
        assert saved.get(key, "not saved") == ("not saved" if standing.get(key) == value else standing.get(key))
    run("clear", *reach(server), status=0)
    assert state(server) == before


RULES = [  # routing rules that stand
    {"queue.strategy.route": "'mx'"},
    {f"queue.strategy.route.{index}.{part}": value for index, part, value in (
        ("0", "if", "x"), ("0", "then", "'local'"), ("1", "if", "y"), ("1", "then", "'mx'"), ("2", "else", "'mx'"))},
    {"queue.strategy.route.0000.if": "x", "queue.strategy.route.0000.then": "'local'",
     "queue.strategy.route.0001.else": "'mx'"},
]


@pytest.mark.parametrize("standing", RULES)
def test_routing_rule_that_stands(run, serve, standing):
    server = serve()
    write(server, spelled(standing))
    before = state(server)
    ran = run("stage", *reach(server), *ALL, *dialect_options(NEWEST), status=0)
    name, = spelled({"queue.strategy.route": ""})
    rule = {key: value for key, value in server.settings().items() if key.startswith(name)}
    assert rule == {key: value for key, value in guide(NEWEST, relay=True).items() if key.startswith(name)}
    assert name in ran.err
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_relay_of_somebody_else(run, serve):
    server = serve()
    write(server, spelled({"queue.route.smarthost.type": "relay", "queue.route.smarthost.address": "other.example.org",
                           "queue.route.smarthost.auth.secret": "relay-pass"}))
    options = (*reach(server), *ALL, *dialect_options(NEWEST))
    before = state(server)
    run.secrets.add("relay-pass")
    for more in ((), ("--force", "relay-credentials")):
        assert "relay-credentials" in run("stage", *options, *more, "--json", status=1).names()
    assert state(server) == before and writes(server) == 0
    run("stage", *options, "--relay-id", "new", status=0)
    assert spelled({"queue.strategy.route.1.else": "'new'"}).items() <= server.settings().items()
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_another_proxy_replaces_the_first(run, serve):
    server = serve()
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    other = ("--proxy", "2001:db8::7", "--proxy", "192.0.2.0/24", "--public-url", "https://new.example.org")
    run("stage", *reach(server), *other, status=0)
    settings = server.settings()
    assert PROXY not in settings.values() and settings["server.listener.imap.proxy.trusted-networks.1"] == "192.0.2.0/24"
    run("stage", *reach(server), *CHANGE, status=0)
    assert difference(before["settings"], server.settings()) == guide(NEWEST)
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_fewer_listeners_restore_the_rest(run, serve):
    server = serve()
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    run("stage", *reach(server), *CHANGE, "--only", "listeners", "--listener", "imap", status=0)
    kept = guide(NEWEST, listeners=["imap"])
    assert difference(before["settings"], server.settings()) == kept
    run("clear", *reach(server), status=0)
    assert state(server) == before


# Nothing to do

def test_staged_by_the_guide_before(run, serve):
    """All is there, but no snapshot says that it was proved: the server is made to write its file once more. What stood
    before is not known, so no snapshot is made that would say so."""
    server = serve()
    before = state(server)
    write(server, guide(NEWEST))
    staged = state(server)
    for number in (1, 2):
        ran = run("stage", *reach(server), *CHANGE, status=0)
        assert f"there is no snapshot of a stage that wrote them in {run.folder}." in ran.err and run.snapshots() == []
        assert writes(server) == (0 if REAL else number) and state(server) == staged
    assert REAL or {key.split(".")[1] for key in touched_keys(server)} == {"listener"}
    run("stage", *reach(server), *CHANGE, "--dry-run", status=0)
    assert writes(server) == (0 if REAL else 2) and state(server) == staged
    run("clear", *reach(server), *CHANGE, status=0)
    assert state(server) == before


# What goes wrong on the way

PLACES = {  # the requests of a run
    "list": {"method": "GET", "path": "/api/settings/list"}, "session": {"method": "GET", "path": "/jmap/session"},
    "write": {"method": "POST", "path": "/api/settings"}, "read back": {"method": "GET", "path": "/api/settings/keys"}}


def fail(server, what, **fault):
    """Something happens to one of a run's requests."""
    fault = Fault(**PLACES[what], **fault)
    if what == "read back":  # the first read after the write
        fault = Fault(**PLACES["write"], after=lambda server, fault=fault: server.faults.append(fault))
    server.faults.append(fault)


CUTS = [{"cut": 0}, {"cut": 5}, {"cut": 60}, {"cut": -1}, {"cut": 0, "end": "reset"}, {"cut": 20, "end": "eof"},
        {"done": False, "cut": 0}, {"length": 10, "end": "close"}, {"raw": b"garbage\r\n\r\n"},
        {"raw": b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"data\":1"}]
BEFORE, AFTER = {1, 3}, {5}


@pytest.mark.parametrize("second", ["stage", "clear"])
@pytest.mark.parametrize("version", VERSIONS[:1] + VERSIONS[-1:])
@pytest.mark.parametrize("what", ["list", "session", "write", "read back"])
@pytest.mark.parametrize("cut", CUTS, ids=map(str, CUTS))
def test_cut_off(run, simulate, version, what, cut, second):
    """Whatever answer is lost: nothing was written or it is said, and a second run finishes."""
    server = simulate(version)
    before = state(server)
    fail(server, what, **cut)
    ran = run("stage", *reach(server), *CHANGE)
    if what in ("list", "session"):
        assert ran.status in BEFORE and state(server) == before and run.snapshots() == []
    elif what == "write":
        assert ran.status in AFTER and run.snapshot()["state"] == "sending"
        assert "clear" in ran.err
    else:
        assert ran.status in AFTER | {0}  # a connection that ends is opened again once
    server.faults.clear()
    if second == "clear" and what in ("write", "read back"):
        run("clear", *reach(server), status=0)
        assert state(server) == before
        return
    run("stage", *reach(server), *CHANGE, status=0)
    assert difference(before["settings"], server.settings()) == guide(version)
    assert run.snapshot()["state"] == "proved"
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_read_back_that_never_comes(run, simulate):
    server = simulate()
    fail(server, "read back", times=-1, cut=0)
    ran = run("stage", *reach(server), *CHANGE, status=5)
    assert run.snapshot()["state"] == "sending" and "read back" in ran.err


@pytest.mark.parametrize("what", ["list", "write", "read back"])
def test_silent_server(run, simulate, what):
    server = simulate()
    fail(server, what, cut=0, end="hang")
    ran = run("stage", *reach(server), *CHANGE, "--max-time", "1")
    assert ran.status == (3 if what == "list" else 5)
    server.faults.clear()
    run("stage", *reach(server), *CHANGE, status=0)


def test_slow_bytes_and_chunks(run, simulate):
    server = simulate()
    server.faults += [Fault(number=1, chunked=7), Fault(number=2, interim=b"HTTP/1.1 100 Continue\r\n\r\n"),
                      Fault(method="POST", delay=0.001)]
    fail(server, "read back", chunked=1)
    run("stage", *reach(server), *CHANGE, status=0)


KILLED = [("list", "before"), ("session", "after"), ("write", "before"), ("write", "after"), ("read back", "before"),
          ("read back", "after")]


@pytest.mark.parametrize("second", ["stage", "clear"])
@pytest.mark.parametrize("what,when", KILLED)
def test_killed(run, simulate, what, when, second):
    server = simulate()
    before = state(server)
    run.while_running(lambda call: fail(server, what, **{when: call}), lambda process: process.kill(),
                      "stage", *reach(server), *CHANGE, status=-signal.SIGKILL)
    written = what in ("write", "read back")
    assert (state(server) == before) == (not written)
    if written:
        assert run.snapshot()["state"] == "sending"
    if second == "stage" or not written:
        run("stage", *reach(server), *CHANGE, status=0)
        assert difference(before["settings"], server.settings()) == guide(NEWEST)
    run("clear", *reach(server), status=0)
    assert state(server) == before and not [name for name in run.snapshots() if name.endswith(".snapshot.json")]


STOPPED = [("list", "before", True), ("session", "after", True), ("write", "before", False), ("write", "after", False),
           ("read back", "before", False)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("what,when,nothing", STOPPED)
def test_interrupted(run, simulate, number, what, when, nothing):
    """Before the write it ends at once; from then on it reads back first."""
    server = simulate()
    before = state(server)
    ran = run.while_running(lambda call: fail(server, what, **{when: call}), lambda p: p.send_signal(number),
                            "stage", *reach(server), *CHANGE)
    if nothing:
        assert ran.status == 128 + number and state(server) == before and "Nothing was written" in ran.err
        assert run.snapshots() == []
    else:
        assert ran.status == 0 and run.snapshot()["state"] == "proved"
        assert difference(before["settings"], server.settings()) == guide(NEWEST)


SOURCE = ("made anew at each start", "print --only listeners --format toml", "stage --config -")


@pytest.mark.parametrize("version,groups", [("0.11.8", "listeners,url"), ("0.15.5", "listeners")])
def test_file_that_is_read_only_for_good(run, simulate, version, groups):
    """The dry run can't see it and says the way out; so does the 500; and then it works."""
    server = simulate(version)
    server.refuse_writes = "read-only"
    before = state(server)
    for more, status in ((("-n",), 0), ((), 5)):
        ran = run("stage", *reach(server), *CHANGE, *more, status=status)
        assert f"--skip {groups}." in ran.err and f"print --only {groups} --format toml" in ran.err
    ran = run("stage", *reach(server), *CHANGE, "--skip", groups, "-n", status=0)
    assert "made anew" not in ran.err
    run("clear", *reach(server), status=5)  # its dummy key can't be written either
    assert state(server) == before
    for path in run.folder.iterdir():
        path.unlink()
    run("stage", *reach(server), *CHANGE, "--skip", groups, status=0)
    assert server.settings()["auth.dkim.verify"] == "disable"


REFUSALS = ["read-only"] if REAL else ["read-only", "full"]


@pytest.mark.parametrize("how", REFUSALS)
@pytest.mark.parametrize("second", ["stage", "clear", "restart"])
def test_file_that_cannot_be_written(run, serve, how, second):
    server = serve()
    before = state(server)
    server.refuse_writes = how
    ran = run("stage", *reach(server), *ALL, *dialect_options(NEWEST), status=5)
    assert "DO NOT RESTART" in ran.err and "disk" in ran.err
    assert all(words in ran.err for words in SOURCE) and "--skip listeners." in ran.err
    assert server.database() == before["database"] and server.settings() == before["settings"]
    assert run.snapshot()["state"] == "sending"
    server.refuse_writes = None
    if second == "stage":
        run("stage", *reach(server), *ALL, *dialect_options(NEWEST), status=0)
        on_disk = oldconfig.read_text(server.config_text(), server.version)
        assert on_disk == {key: value for key, value in server.settings().items() if key in on_disk}
        assert set(guide(NEWEST, listeners=["imap"])) <= set(server.settings())
    run("clear", *reach(server), status=0)
    assert state(server) == before
    assert server.restart() and server.settings() == before["settings"]


def test_second_refusal_of_the_file(run, serve):
    """The memory has it, so the server would answer 200 to the same again and write nothing: that must not pass."""
    server = serve()
    server.refuse_writes = "read-only"
    run("stage", *reach(server), *CHANGE, status=5)
    run("stage", *reach(server), *CHANGE, status=5)
    assert not [key for key in server.settings() if key.endswith(".proxy.override")]


ANSWERS = [  # (what the POST gets, status, why)
    ((400, None), 1, "not understood, in either spelling"), ((401, None), 4, "the login ended"), ((403, None), 4, "may not"),
    ((404, None), 1, "no such endpoint"), ((429, None), 5, "may have been done"), ((502, "bad gateway"), 5, "a proxy"),
    ((200, '{"error":"assertFailed"}'), 5, "half of it may be done"), ((200, '{"data":'), 5, "no JSON"),
    ((302, ""), 5, "a redirect is not followed"),
]


@pytest.mark.parametrize("answer,status,why", ANSWERS, ids=[case[2] for case in ANSWERS])
def test_answers_to_the_write(run, simulate, answer, status, why):
    server = simulate()
    before = state(server)
    fail(server, "write", times=-1, answer=answer)
    ran = run("stage", *reach(server), *CHANGE, status=status)
    assert state(server) == before
    if status != 5:
        assert run.snapshots() == [] and "Nothing was written" in ran.said
    else:
        assert run.snapshot()["state"] == "sending"
    server.faults.clear()
    run("stage", *reach(server), *CHANGE, status=0)


def test_write_that_does_not_last(run, simulate):
    """The server says yes and the key is not there."""
    server = simulate()
    fail(server, "read back", times=-1, before=lambda one: one.store.database.pop("auth.dkim.verify", None))
    ran = run("stage", *reach(server), *CHANGE, status=5)
    assert "auth.dkim.verify" in ran.err and run.snapshot()["state"] == "sending"
    server.faults.clear()
    run("stage", *reach(server), *CHANGE, status=0)


def test_failure_of_a_proxy(run, simulate):
    """504 is not the server's own 500: what a read shows is said, and nothing about a file that could not be written."""
    server = simulate()
    fail(server, "write", answer=(504, b""), done=True)
    ran = run("stage", *reach(server), *CHANGE, status=5)
    assert "DO NOT RESTART" not in ran.err and "26 of 26 keys are as planned" in ran.err


def test_failure_in_the_database(run, simulate):
    """A 500 after all was done: the keys of config.toml are taken back, and the database's are not said to be untouched."""
    server = simulate()
    fail(server, "write", answer=(500, b""), done=True)
    ran = run("stage", *reach(server), *CHANGE, "--json", status=5)
    said = " ".join(message["text"] for message in ran.json["messages"])
    assert "But 8 of the database's keys are changed" in said and "are not changed" not in said
    settings = server.settings()
    assert {key["key"]: key["after"] for key in ran.target["keys"]} == {
        key["key"]: settings.get(key["key"]) for key in ran.target["keys"]}


@pytest.mark.parametrize("json_too", [False, True])
def test_nothing_can_be_read_back(run, simulate, json_too):
    """What is not known is not listed."""
    server = simulate()
    server.faults.append(Fault(method="POST", path="/api/settings", cut=0, end="reset", done=True,
                               after=lambda one: setattr(one, "on_connect", "close")))
    ran = run("stage", *reach(server), *CHANGE, *["--json"] * json_too, status=5)
    if json_too:
        assert {(key["after"], key["state"]) for key in ran.target["keys"]} == {(None, "unknown")}
    else:
        assert "could not be read back" in ran.out and "auth.dkim.verify" not in ran.out


def test_many_wrong_keys(run, simulate):
    """Five are named, and there is room for what to do."""
    names = [f"a-rather-long-listener-name-{i:02}" for i in range(30)]
    many = [listener(name, 2000 + i, "imap") for i, name in enumerate(names)]
    server = simulate(config=config(SMTP, HTTP, HTTPS, *many))
    fail(server, "write", times=-1, after=lambda one: [
        one.store.local.pop(key) for key in list(one.store.local) if ".proxy." in key])
    ran = run("stage", *reach(server), *CHANGE, status=5)
    assert "as planned: server.listener." in ran.err and " and more. Run the same command again" in ran.err
    assert ran.err.count(".proxy.override, ") + ran.err.count(".trusted-networks.0, ") == 4


def test_no_lock_is_taken_for_ours(run):
    """A run that fails before it locks anything removes no file."""
    (run.folder / ".lock").write_text("precious")
    run("status", "--url", "https://no-such-host.invalid", "--url", "https://b.invalid", status=3)
    assert run.snapshots() == [".lock"]


# The snapshot

def identity(server):
    """By which a snapshot knows it."""
    return hashlib.sha256(server.settings()["oauth.key"].encode()).hexdigest()[:32]


def test_snapshot_file(run, serve):
    server = serve()
    os.umask(0o000)
    try:
        run("stage", *reach(server), *CHANGE, status=0)
    finally:
        os.umask(0o022)
    name, = run.snapshots()
    assert run.snapshot()["identity"] == identity(server)
    assert name == f"stalprep-127.0.0.1-{server.http_url.rpartition(':')[2]}-{identity(server)[:8]}.snapshot.json"
    assert stat.S_IMODE((run.folder / name).stat().st_mode) == 0o600
    assert {key["key"] for key in run.snapshot()["keys"]} == set(guide(NEWEST))


def test_snapshot_elsewhere(run, serve):
    server = serve()
    before = state(server)
    (run.folder / "d").mkdir()
    for option in (("--snapshot", "d/mine.json"), ("--snapshot-dir", "d")):
        run("stage", *reach(server), *CHANGE, *option, status=0)
        assert [path.parent.name for path in run.folder.rglob("*.json")] == ["d"]
        run("clear", *reach(server), *option, status=0)
        assert state(server) == before
        for path in run.folder.rglob("*.cleared"):
            path.unlink()


def test_next_commands_work(run, serve):
    """The undoing that stage names, word by word."""
    server = serve()
    before = state(server)
    out = run("stage", *reach(server), *CHANGE, "--snapshot", "my file.json", status=0).out
    undo = printed(out, "To undo: ")
    assert "my file.json" in undo and out.endswith(undo + "\n")
    run(*shlex.split(undo)[1:], status=0)
    assert state(server) == before


def printed(out, label):
    """The command that a report has behind this label, on its last line."""
    return next(line.partition(": ")[2] for line in out.split("\n") if label in line)


def test_reload_that_clear_names(run, simulate, ca):
    """Whole, as the undo is: it applies the removal."""
    server, password = simulate(), run.secret_file(PASSWORD)
    options = (*reach(server, ca), "--password-file", password)
    run("stage", *options, *CHANGE, password=None, status=0)
    server.reload(dry_run=False)
    out = run("clear", *options, password=None, status=0).out
    command = printed(out, "To reload: ")
    assert out.endswith(command + "\n") and password in command and ca.file in command
    run(*shlex.split(command)[1:], password=None, status=0)
    assert "http.url" not in server.running


def test_group_of_an_earlier_run(run, simulate):
    """It stays, is said to stay, and the command that is printed takes it out alone."""
    server = simulate()
    before = state(server)
    run("stage", *reach(server), *CHANGE, status=0)
    without = state(server)
    run("stage", *reach(server), *CHANGE, *RELAY, status=0)
    for options in ((), ("--dry-run",), ("--proxy", "192.0.2.77"), CHANGE[:2]):
        lines = run("stage", *reach(server), *CHANGE, *options, status=0).out.split("\n")
        at = lines.index("outbound is staged since an earlier run and stays; to take it out:")
    assert "earlier run" not in run("stage", *reach(server), *CHANGE, *RELAY, status=0).out
    run(*shlex.split(lines[at + 1])[1:], status=0)
    assert state(server)["database"] == without["database"]
    assert "earlier run" not in run("stage", *reach(server), *CHANGE, status=0).out
    run("clear", *reach(server), status=0)
    assert state(server) == before


def test_second_stage_is_short(run, simulate):
    """It changed nothing, so it warns of nothing, and neither of the old rule, which is gone."""
    server = simulate()
    rule = {"queue.strategy.route": "'mx'", "queue.strategy.route.0.if": "true"}
    write(server, rule)
    ran = run("stage", *reach(server), *CHANGE, *RELAY, status=0)
    assert "A restart, also after a crash" in ran.out and "already a routing rule" in ran.err
    assert "queue.strategy.route: 'mx' -> (absent)" in ran.out
    for command in (("stage", *CHANGE, *RELAY), ("stage", *CHANGE, *RELAY, "-n"), ("status", *CHANGE, *RELAY)):
        ran = run(*command, *reach(server), status=0)
        assert ran.err == "" and "- A restart" not in ran.out


def test_report_fits_a_screen(run, serve):
    """For the listeners of a new server; -v has each key."""
    server = serve()
    write(server, spelled({"auth.dkim.verify": "strict", "queue.strategy.route": "'mx'"}))
    options = (*reach(server), *ALL, *dialect_options(NEWEST))
    for command in (("stage", *options, "-n"), ("stage", *options), ("stage", *options), ("status", *reach(server)),
                    ("clear", *reach(server), "-n"), ("clear", *reach(server)), ("status", *reach(server))):
        out = run(*command).out
        assert out.count("\n") <= 40, out
        assert ("auth.dkim.verify: strict -> disable" in out) == (command[0] == "stage" and "nothing to do" not in out)


@pytest.mark.parametrize("options", [(), ("--snapshot", "s.json")], ids=["found", "named"])
def test_lock(run, serve, options):
    """One for each server in a folder, whatever the snapshot is called."""
    server = serve()
    before = state(server)
    with open(run.folder / f"stalprep-{identity(server)[:8]}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (("stage", *CHANGE), ("clear", *CHANGE)):
            ran = run(*command, *reach(server), *options, status=1)
            assert "another run" in ran.err and "Nothing was written" in ran.err
        run("stage", *CHANGE, *reach(server), *options, "--dry-run", status=0)
        run("status", *reach(server), *options, status=7)
        assert state(server) == before and writes(server) == 0
    run("stage", *CHANGE, *reach(server), *options, status=0)
    assert not [file for file in run.snapshots() if file.endswith(".lock")]


def test_lock_of_another_server(run, simulate):
    with open(run.folder / f"stalprep-{identity(simulate())[:8]}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("stage", *CHANGE, *reach(simulate()), status=0)


def edited(text, key, value):
    data = json.loads(text)
    data[key] = value
    return json.dumps(data)


DAMAGED = [  # (how, what becomes of the text)
    ("empty", lambda text: ""), ("cut", lambda text: text[:-40]), ("not JSON", lambda text: "hello"),
    ("edited", lambda text: text.replace("disable", "strict")), ("other format", lambda text: edited(text, "format", "x")),
    ("newer", lambda text: edited(text, "version", 99)), ("an array", lambda text: "[]"),
    ("deep", lambda text: "[" * 100000), ("too long", lambda text: text + " " * 20_000_000),
]


@pytest.mark.parametrize("how,change", DAMAGED, ids=[case[0] for case in DAMAGED])
def test_damaged_snapshot(run, simulate, how, change):
    server = simulate()
    run("stage", *reach(server), *CHANGE, "--snapshot", "s.json", status=0)
    path = run.folder / "s.json"
    path.write_text(change(path.read_text()))
    server.log.clear()
    for command in (("stage", *CHANGE), ("clear",), ("status",)):
        ran = run(*command, *reach(server), "--snapshot", "s.json", status=1)
        assert "s.json" in ran.err
    assert server.log == [] and path.exists()


def test_snapshot_of_another_server(run, simulate):
    first, second = simulate(), simulate()
    before = state(first), state(second)
    run("stage", *reach(first), *CHANGE, "--snapshot", "s.json", status=0)
    for command in (("stage", *CHANGE), ("clear",), ("status",)):
        ran = run(*command, *reach(second), "--snapshot", "s.json", status=1)
        assert "refused (snapshot-target)" in ran.err and second.http_url in ran.err and "s.json" in ran.err
    assert state(second) == before[1] and writes(second) == 0
    # By another name it is the same server.
    run("clear", "--url", first.http_url.replace("127.0.0.1", "localhost"), "--snapshot", "s.json", status=0)
    assert state(first) == before[0]


def test_key_of_the_server_that_was_changed(run, simulate):
    """Then no folder's snapshot is its own; one that is named can be forced."""
    server = simulate()
    write(server, {"auth.dkim.verify": "strict"})
    before = server.settings()
    run("stage", *reach(server), *CHANGE, status=0)
    write(server, {"oauth.key": "another"})
    assert "refused (no-snapshot)" in run("clear", *reach(server), status=1).err
    path, = run.folder.glob("*.snapshot.json")
    options = (*reach(server), "--snapshot", path)
    assert "refused (snapshot-target)" in run("clear", *options, status=1).err
    assert writes(server) == 1
    run("clear", *options, "--force", "snapshot-target", status=0)
    assert difference(before, server.settings()) == {"oauth.key": "another"}


def test_snapshot_folder_that_takes_nothing(run, serve):
    """Nothing may be sent before what stood is on disk."""
    server = serve()
    before = state(server)
    ran = run("stage", *reach(server), *CHANGE, "--snapshot-dir", "no/such/folder", status=1)
    assert "no/such/folder" in ran.err and state(server) == before and writes(server) == 0
    (run.folder / "s.json").mkdir()
    run("stage", *reach(server), *CHANGE, "--snapshot", "s.json", status=1)
    assert state(server) == before and writes(server) == 0


@pytest.mark.skipif(not os.path.isdir("/proc/sys") or os.access("/proc/sys/x", os.W_OK), reason="no folder to refuse")
def test_read_only_snapshot_folder(run, serve):
    server = serve()
    ran = run("stage", *reach(server), *CHANGE, "--snapshot-dir", "/proc/sys", status=1)
    assert "/proc/sys" in ran.err and writes(server) == 0


def test_full_device_for_the_report(run, serve):
    """What was done is done, but the run can't say so: something may be written and nobody was told."""
    server = serve()
    with open("/dev/full", "wb") as full:
        ran = run("stage", *reach(server), *CHANGE, stdout=full, status=5)
        assert "standard output" in ran.err and run.snapshot()["state"] == "proved"
        assert run("stage", *reach(server), *CHANGE, "--dry-run", stdout=full, status=1)


@pytest.mark.parametrize("how", ["", "full"])
def test_nobody_reads_the_report(run, simulate, how):
    """A pipe whose reader is gone: what went wrong is said on standard error all the same."""
    server = simulate()
    server.refuse_writes = how
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as pipe:
        ran = run("stage", *reach(server), *CHANGE, stdout=pipe, status=5)
    assert "standard output" in ran.err and ("DO NOT RESTART" in ran.err) == (how == "full")


CLOSED = [(0,), (1,), (2,), (1, 2), (0, 1, 2)]


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_streams(run, serve, closed):
    """What is opened later must not take their numbers and get the report."""
    server = serve()

    def close():
        for number in closed:
            os.close(number)
    for command in (("stage", *CHANGE), ("clear",)):
        ran = run(*command, *reach(server), preexec_fn=close)
        assert ran.status == (5 if 1 in closed else 0)
        if command[0] == "stage":
            assert run.snapshot()["state"] == "proved"
    assert not [path for path in run.folder.iterdir() if b"Stalwart" in path.read_bytes()]


# Who is there

def test_new_server(run, simulate):
    server = simulate("0.16.0")
    ran = run("stage", *reach(server), *CHANGE, "--json", status=1)
    assert "new-server" in ran.names() and writes(server) == 0


def test_no_settings_api(run, simulate):
    server = simulate()
    server.faults.append(Fault(times=-1, answer=(404, "not here")))
    assert "not-stalwart" in run("stage", *reach(server), *CHANGE, "--json", status=1).names()


def test_nobody_there(run, simulate):
    server = simulate()
    for how in ("close", "reset"):
        server.on_connect = how
        assert "Nothing was written" in run("stage", *reach(server), *CHANGE, status=3).err
    server.on_connect = "hang"
    run("stage", *reach(server), *CHANGE, "--max-time", "1", status=3)
    server.stop()
    assert "refused" in run("stage", *reach(server, url=server.http_url or "http://127.0.0.1:1"), *CHANGE, status=3).err


def test_name_that_is_not_found(run):
    """Looked up before any secret is asked for."""
    ran = run("stage", "--url", f"https://{NAME}.invalid", *CHANGE, password=None, status=3)
    assert f"{NAME}.invalid" in ran.err and "--resolve" in ran.err


def test_environment_proxies_and_redirects_are_ignored(run, simulate):
    server = simulate()
    proxies = {name: "http://127.0.0.1:1" for name in ("http_proxy", "https_proxy", "ALL_PROXY", "HTTP_PROXY")}
    run("stage", *reach(server), *CHANGE, env=proxies, status=0)
    server.faults.append(Fault(**PLACES["list"], answer=(307, ""), headers=(("location", "http://127.0.0.1:1/"),)))
    assert "does not follow redirects" in run("stage", *reach(server), *CHANGE, status=1).err


def test_behind_the_proxy_already(run, serve):
    """After the cutover the management port wants a PROXY header from here."""
    server = serve(config=config(SMTP, HTTP, HTTPS))
    write(server, {"server.listener.http.proxy.trusted-networks.0": "127.0.0.0/8",
                   "server.listener.https.proxy.trusted-networks.0": "127.0.0.0/8"})
    assert server.restart()
    before = state(server)
    run("stage", *reach(server), *CHANGE, "--max-time", "1", status=3)
    run("stage", *reach(server), *CHANGE, "--haproxy-protocol", status=0)
    run("clear", *reach(server), "--haproxy-protocol", status=0)
    assert state(server) == before


# Local keys

NARROWED = "\n".join(f'config.local-keys.{number} = "{pattern}"' for number, pattern in enumerate(
    ("store.*", "storage.*", "directory.*", "tracer.*", "certificate.*", "authentication.*", "server.listener.smtp.*"))) + "\n"


def test_listeners_that_are_not_local(run, serve):
    server = serve(config=config(NARROWED, SMTP, HTTP))
    before = state(server)
    ran = run("stage", *reach(server), *CHANGE, "--json", status=1)
    assert "not-local" in ran.names() and state(server) == before and writes(server) == 0
    run("stage", *reach(server), *CHANGE, "--skip", "listeners", status=0)


# What config.toml holds of keys that are the database's: it outranks what is written

@pytest.mark.parametrize("key,value", [("auth.dkim.verify", "strict"), ("queue.strategy.route", "'mx'")])
def test_shadowed(run, serve, key, value):
    (key, value), = spelled({key: value}).items()
    server = serve(config=config(f'{key} = "{value}"\n', SMTP, HTTP))
    before = state(server)
    for _ in range(2):
        ran = run("stage", *reach(server), *ALL, *dialect_options(NEWEST), status=6)
        assert f"This server's config.toml has {key}, and it outranks the database" in ran.err
        wanted = guide(NEWEST, relay=not key.startswith("queue."), listeners=["http"])
        wanted = {name: new for name, new in wanted.items() if not (key + name).startswith("auth.") or name[:5] not in
                  ("auth.", "sessi")}
        assert difference(before["settings"], server.settings()) == wanted
    run("clear", *reach(server), status=0)
    assert state(server) == before


@pytest.mark.parametrize("kind", ["server", "file"])
def test_would_change(run, serve, tmp_path, kind):
    """A dry run says what the run then says of itself: for a first stage, for all that stands already, and after a cut."""
    target = reach(serve())
    if kind == "file":
        path = tmp_path / "config.toml"
        path.write_text(SMTP + HTTP)
        target = ("--config", path, *dialect_options(NEWEST), "--snapshot", run.folder / "x.snapshot.json")

    def would(*command, status=0):
        dry = run(*command, *target, "--json", "-n", status=status).json
        real = run(*command, *target, "--json", status=status).json
        assert not dry["changed"] and "would_change" not in real and dry["would_change"] == real["changed"]
        return real["changed"]
    assert not would("stage", *CHANGE, "--listener", "smtp", status=1)
    for cut in ("stage", "clear"):
        assert would("stage", *CHANGE) and not would("stage", *CHANGE)
        snapshot, = run.folder.glob("*.snapshot.json")
        change_text(snapshot, '"proved"', '"sending"')
        assert (cut == "clear" or would("stage", *CHANGE)) and would("clear") and not would("clear")
