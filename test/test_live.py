"""Live servers are not fresh ones: each trap is seen before the first write, told in the user's words, and overcome."""

import json

import pytest

from conftest import (CHANGE, HTTP, NEWEST, ORIGIN, PROXY, REAL, RELAY, SMTP, config, dialect_of, difference, guide,
                      listener, parsed, port_25, reach, sent, state, touched_keys, write, writes)
from oldserver import Fault
from test_stage import NARROWED, PLACES, proxied

STAGE, CLEAR = ("stage", *CHANGE), ("clear",)
LISTENERS = (*STAGE, "--only", "listeners")
NEW, OLD = "0.15.5", "0.12.5"
pytestmark = pytest.mark.skipif(REAL is not None, reason="of the simulator's versions")


def check_refused(run, server, command, name, forceable, *words):
    """Exit 1, by this name, nothing written, and --force helps or does not."""
    before, log = state(server), writes(server)
    ran = run(*command, *reach(server), "--json", status=1)
    texts = [message["text"] for message in ran.json["messages"] if message["name"] == name]
    assert texts and all(word in texts[0] for word in words), ran.out
    assert (f"--force {name}" in texts[0]) == forceable and ("--force does not apply" in texts[0]) != forceable
    assert (run(*command, *reach(server), "--dry-run", "--force", name).status == 0) == forceable
    assert state(server) == before and writes(server) == log and run.snapshots() == []
    return texts[0]


def check_back(run, server, before):
    run(*CLEAR, *reach(server), status=0)
    assert state(server) == before and server.restart() and server.settings() == before["settings"]


# Networks of the listener that the new server relays to

GLOBAL, MX = "server.proxy.trusted-networks", "server.listener.smtp.proxy.trusted-networks"
COVERED = [  # (what stands, the new server)
    ({GLOBAL: "192.0.2.0/24"}, "192.0.2.5"), ({GLOBAL + ".0": "10.0.0.0/8", GLOBAL + ".1": "192.0.2.5"}, "192.0.2.5"),
    ({GLOBAL + ".0": "::/8"}, "192.0.2.5"), ({GLOBAL + ".0000": "2001:db8::/32"}, "2001:db8::5"),
    ({MX + ".0": "192.0.2.0/24"}, "192.0.2.5"), ({MX: "192.0.2.5"}, "::ffff:192.0.2.5"),
]


@pytest.mark.parametrize("standing,address", COVERED)
def test_relay_that_would_stall(run, simulate, standing, address):
    server = simulate(config=config(SMTP, HTTP))
    write(server, standing)
    server.log.clear()
    key, value = list(standing.items())[-1]
    check_refused(run, server, (*STAGE, "--new-server", address), "relay-covered", True, '"smtp"', key, value)
    before = state(server)
    run(*STAGE, "--new-server", address, "--force", "relay-covered", *reach(server), status=0)
    assert port_25(server.settings()) == port_25(before["settings"])
    check_back(run, server, before)


@pytest.mark.parametrize("standing", [{GLOBAL: "10.0.0.0/8"}, {MX + ".0": "10.0.0.0/8"}], ids=["global", "own"])
def test_network_that_raises_a_question(run, simulate, standing):
    """Without --new-server nobody knows whether it covers the relay: shown, with the question."""
    server = simulate(config=config(SMTP, HTTP))
    write(server, standing)
    before = state(server)
    ran = run(*STAGE, *reach(server), status=0)
    assert "10.0.0.0/8" in ran.err and "--new-server" in ran.err and '"smtp"' in ran.err
    check_back(run, server, before)
    ran = run(*STAGE, "--new-server", "192.0.2.5", *reach(server), status=0)
    assert "relay from there" not in ran.err
    check_back(run, server, before)


def test_global_list_that_is_carried_over(run, simulate):
    """Macros as they are written, and what the server can't read is not copied; the report says what is."""
    server = simulate(config=config(SMTP, HTTP))
    write(server, {GLOBAL + ".0": "10.0.0.5", GLOBAL + ".1": "%{env:NETWORK}%", GLOBAL + ".2": "no network"})
    before = state(server)
    ran = run(*LISTENERS, *reach(server), status=0)
    below = "server.listener.http.proxy.trusted-networks."
    assert difference(before["settings"], server.settings()) == {
        **proxied("http"), below + "1": "10.0.0.5", below + "2": "%{env:NETWORK}%"}
    assert "copied from there: 10.0.0.5, %{env:NETWORK}%." in ran.err
    assert f'{GLOBAL}.2 is "no network", which is no network' in ran.err
    check_back(run, server, before)


def test_exemption_and_ban(run, simulate):
    """A ban that stands is named, and not lifted."""
    server = simulate()
    write(server, {"server.blocked-ip.192.0.2.5": ""})
    before = state(server)
    for options in ((), ("--allow-new-server",)):
        ran = run(*STAGE, "--new-server", "192.0.2.5", *options, *reach(server), status=0)
        assert "server.blocked-ip.192.0.2.5" in ran.err and "server.blocked-ip.192.0.2.5" in server.settings()
        assert ("server.allowed-ip.192.0.2.5" in server.settings()) == bool(options)
    check_back(run, server, before)


WARNED = [  # (what stands, tables of config.toml beside it, options, words of the warning)
    ({"server.blocked-ip.10.42.0.0/16": ""}, (), ("--new-server", "10.42.3.4"), ["server.blocked-ip.10.42.0.0/16"]),
    ({"acme.letsencrypt.directory": "https://acme.example.org"}, (), (), ["acme.*", "renewal", "dns-01"]),
    ({"http.use-x-forwarded": "true"}, (), (), ["http.use-x-forwarded", "web proxy", "--leave"]),
    ({}, (listener("web", None, "http", bind="127.0.0.1:8443"),), (), ['"web" binds 127.0.0.1:8443', "--proxy 127.0.0.1",
                                                                      "--leave web"]),
    ({}, (), ("--proxy", "192.0.2.0/24"), ["--proxy 192.0.2.0/24 is a whole network", "health probes"]),
    ({MX + ".0": "", MX + ".1": "10.0.0.0/8"}, (), (), [MX + ".0 is empty", "no reload works", "from 10.0.0.0/8"]),
    ({MX + ".0": ""}, (), (), [MX + ".0 is empty"]),
]


@pytest.mark.parametrize("standing,tables,options,words", WARNED, ids=map(str, range(len(WARNED))))
def test_what_an_administrator_has_to_know(run, simulate, standing, tables, options, words):
    """Said before the first write and with it, and no hindrance; without its cause it is not said."""
    server = simulate(config=config(SMTP, HTTP, *tables))
    write(server, standing)
    before = state(server)
    for more in (("-n",), ()):
        ran = run(*STAGE, *options, *more, *reach(server), status=0)
        assert [word for word in words if word not in ran.err] == [] and "from  and" not in ran.err
    check_back(run, server, before)
    ran = run(*STAGE, "-n", *reach(simulate(config=config(SMTP, HTTP))), status=0)
    assert "warning:" not in ran.err, ran.err


# Rules

def listed(key, *parts):
    """A rule as a list."""
    return {f"{key}.{part}": value for part, value in parts}


AUTH = [("0.if", "local_port = 25"), ("0.then", "relaxed"), ("1.else", "disable")]
EHLO = [("0000.if", "local_port = 25"), ("0000.then", "true"), ("0001.else", "false")]
URL = [("0.if", "local_port = 8080"), ("0.then", "'https://a.example.org'"), ("1.else", "'https://b.example.org'")]
RULES = [  # (version, a list that stands under one of our scalars)
    (NEW, listed("auth.dkim.verify", *AUTH)), (NEW, listed("auth.spf.verify.mail-from", *AUTH)),
    (NEW, listed("session.ehlo.reject-non-fqdn", *EHLO)), (NEW, listed("http.url", *URL)),
    ("0.11.8", listed("server.http.url", *URL)),
]


@pytest.mark.parametrize("version,rule", RULES, ids=[f"{case[0]}-{next(iter(case[1]))}" for case in RULES])
def test_list_under_a_scalar(run, simulate, version, rule):
    """The scalar wins, and raises no error; with clear the list is in force again."""
    server = simulate(version)
    write(server, rule)
    before = state(server)
    server.log.clear()
    run(*STAGE, *reach(server), status=0)
    assert touched_keys(server) == set(guide(version))
    assert rule.items() <= server.settings().items() and not server.reload(dry_run=True).errors
    check_back(run, server, before)
    assert not server.reload(dry_run=True).errors


def route(version):
    return "queue.strategy.route" if parsed(version) >= (0, 13) else "queue.outbound.next-hop"


LONGER = [("0.if", "is_local_domain('*', rcpt_domain)"), ("0.then", "'local'"),
          ("1.if", "rcpt_domain = 'a.example.org'"), ("1.then", "'mx'"), ("2.else", "'mx'")]
FOUR = [("0000.if", "is_local_domain('*', rcpt_domain)"), ("0000.then", "'local'"), ("0001.else", "'mx'")]
ROUTES = {"longer": LONGER, "four digits": FOUR, "scalar": [("", "'mx'")], "both": [*FOUR, ("", "'mx'")]}


@pytest.mark.parametrize("parts", ROUTES.values(), ids=ROUTES)
@pytest.mark.parametrize("version", ["0.9.4", OLD, NEW])
def test_left_overs_of_the_routing_rule(run, simulate, version, parts):
    """They would break every reload, or win in silence: seen to be gone before the new rule comes, shown, and brought
    back."""
    server = simulate(version)
    rule = {f"{route(version)}.{part}".rstrip("."): value for part, value in parts}
    write(server, rule)
    before, ours = state(server), guide(version, relay=True)
    server.log.clear()
    ran = run(*STAGE, *RELAY, "--dialect", dialect_of(version), *reach(server), status=0)
    first, second = sent(server)
    deleted = {key for change in first for key in change.get("keys", ())}
    inserted = [{key for change in body for key, _ in change.get("values", ())} for body in (first, second)]
    assert deleted == set(rule) - set(ours)
    assert not [key for key in inserted[0] if key.startswith(("queue.", "remote."))]
    assert all(key.startswith(("queue.", "remote.")) for key in inserted[1])
    assert not server.reload(dry_run=True).errors
    assert {key: value for key, value in server.settings().items() if key.startswith(route(version))} == {
        key: value for key, value in ours.items() if key.startswith(route(version))}
    gone = set(rule) - set(ours)
    assert all(f"{key} = {rule[key]}" in ran.err for key in rule)
    for command in (STAGE, ("status", *STAGE[1:])):
        again = run(*command, *RELAY, "--dialect", dialect_of(version), *reach(server), status=0)
        assert "rule" not in again.err
    kept = {key["key"]: key["before"] for key in run.snapshot()["keys"]}
    assert all(kept[key] == rule[key] for key in gone)
    check_back(run, server, before)


@pytest.mark.parametrize("version,prefix", [(OLD, "remote."), (NEW, "queue.route.")])
@pytest.mark.parametrize("credentials", [False, True])
def test_relay_of_somebody_else(run, simulate, version, prefix, credentials):
    """Its credentials would go to another host: then nothing overrides that."""
    server = simulate(version)
    theirs = {prefix + "smarthost.address": "other.example.org", prefix + "smarthost.port": "587"}
    if credentials:
        theirs[prefix + "smarthost.auth.secret"] = "relay-pass"
        run.secrets.add("relay-pass")
    write(server, theirs)
    server.log.clear()
    command = (*STAGE, *RELAY, "--dialect", dialect_of(version))
    check_refused(run, server, command, "relay-credentials" if credentials else "relay-taken", not credentials,
                  '"smarthost"', "--relay-id")
    before = state(server)
    run(*command, "--relay-id", "new", *reach(server), status=0)
    assert theirs.items() <= server.settings().items() and server.settings()[prefix + "new.address"] == RELAY[1]
    check_back(run, server, before)
    if not credentials:
        for path in run.folder.iterdir():
            path.unlink()
        run(*command, "--force", "relay-taken", *reach(server), status=0)
        check_back(run, server, before)


# Listeners

ODD = [  # (listeners beside http, which of them are chosen)
    ([SMTP, listener("mx2", None, "smtp", bind="192.0.2.1:25")], []),
    ([listener("submission", 25, "smtp"), listener("imap", 143, "imap")], ["imap"]),
    ([listener("mx", None, "smtp", bind="192.0.2.1:25"), listener("listeners", 143, "imap")], ["listeners"]),
    ([SMTP, listener("checks", 143, "imap"), listener("url", 4190, "managesieve")], ["checks", "url"]),
    ([SMTP, listener("IMAP.Old.v4", 143, "imap"), listener("iMaP", 993, "imap")], ["IMAP.Old.v4", "iMaP"]),
    ([SMTP, listener("imap", None, "imap", bind="nonsense")], ["imap"]),
    ([SMTP, listener("imap", None, "imap", bind="[::]:%{env:IMAP_PORT}%")], ["imap"]),
    ([listener("mx", None, "smtp", bind="%{env:ADDRESS}%:25"), listener("imap", 143, "imap")], ["imap"]),
]


@pytest.mark.parametrize("tables,chosen", ODD, ids=map(str, range(len(ODD))))
def test_odd_listeners(run, simulate, tables, chosen):
    server = simulate(config=config(HTTP, *tables))
    before = state(server)
    ran = run(*LISTENERS, *reach(server), "--json", status=0)
    assert difference(before["settings"], server.settings()) == {
        key: value for name in ("http", *chosen) for key, value in proxied(name).items()}
    shown = {one["id"]: one["chosen"] for one in ran.target["listeners"]}
    assert shown == {name: name in ("http", *chosen) for name in shown} and len(shown) == len(tables) + 1
    check_back(run, server, before)


def test_no_listener_at_all(run, simulate):
    """An account that may not read them, perhaps: nothing is taken for granted."""
    server = simulate()
    key = json.dumps({"data": {"total": 1, "items": {"oauth.key": server.settings()["oauth.key"]}}})
    server.faults.append(Fault(**PLACES["list"], times=-1, answer=(200, key)))
    ran = run(*LISTENERS, *reach(server), "--json", status=1)
    assert "no-listener" in ran.names() and writes(server) == 0


def test_one_listener_that_is_not_local(run, simulate):
    patterns = ("store.*", "storage.*", "directory.*", "tracer.*", "certificate.*", "authentication.*", "server.*",
                "!server.listener.imap.*")
    lines = "".join(f'config.local-keys.{number} = "{pattern}"\n' for number, pattern in enumerate(patterns))
    server = simulate(config=config(lines, SMTP, HTTP, listener("imap", 143, "imap")))
    check_refused(run, server, STAGE, "not-local", False, "server.listener.imap.proxy", "--skip listeners")
    run(*STAGE, "--listener", "http", *reach(server), status=0)


# Macros are kept, and restored, as they are written

def test_macros(run, simulate):
    """In a scalar that becomes a list, in a bind, in a value that is replaced: never resolved."""
    lines = listener("imap", None, "imap", bind="%{env:IMAP}%:143", **{"proxy.trusted-networks": "%{env:NETWORK}%"})
    server = simulate(config=config('auth.dkim.sign = "%{cfg:x}%"\n', SMTP, HTTP, lines))
    held = {"auth.dkim.verify": "%{env:DKIM}%", "http.url": "'https://%{env:HOST}%'"}
    write(server, {**held, "certificate.x.cert": "%{file:/no/file}%"})
    before = state(server)
    run(*STAGE, *reach(server), status=0)
    below = "server.listener.imap.proxy.trusted-networks"
    after = server.settings()
    assert (after.get(below), after[below + ".0"], after[below + ".1"]) == (None, "%{env:NETWORK}%", PROXY)
    kept = {key["key"]: key["before"] for key in run.snapshot()["keys"]}
    assert kept[below] == "%{env:NETWORK}%" and held.items() <= kept.items()
    check_back(run, server, before)


# What the server's own rewrite of config.toml would spoil

def text(key, value):
    return f"{key} = '''{value}'''\n"


SECRET = "pass-C:\\new-word"
SPOILED = [  # (lines of config.toml, the key, spoiled up to 0.12 alone, a boot would fail)
    ('[certificate."*.example.org"]\ncert = "x"\n', "certificate.*.example.org.cert", True, True),
    ('[directory."a:b"]\ntype = "internal"\n', "directory.a:b.type", True, True),
    ("[store.x]\n" + text("path", "C:\\"), "store.x.path", False, True),
    ("[store.x]\n" + text("path", "x" * 50 + "\"y'z"), None, False, False),
    ("[store.x]\n" + text("path", "C:\\new"), "store.x.path", False, False),
    ("[directory.x]\n" + text("secret", SECRET), "directory.x.secret", False, False),
    (listener("web mail", 8443, "http"), "server.listener.web mail.bind", False, False),
]


@pytest.mark.parametrize("version", ["0.9.4", "0.11.8", OLD, "0.13.4", NEW])
@pytest.mark.parametrize("lines,key,old,breaks", SPOILED, ids=map(str, range(len(SPOILED))))
def test_rewrite(run, simulate, version, lines, key, old, breaks):
    """Refused just where the server, told to write its file, would spoil it; the value is never shown."""
    known = 'lookup.default.hostname = "vm"\nserver.hostname = "vm"\n'  # else a boot up to 0.11 writes the file itself
    server = simulate(version, config=config(known, SMTP, HTTP, lines))
    run.secrets.add(SECRET)
    before = state(server)
    refused = key is not None and (not old or parsed(version) <= (0, 12, 99))
    run(*STAGE, *reach(server), "--only", "checks", status=0)  # writes no file
    check_back_quietly(run, server, before)
    if refused:
        check_refused(run, server, STAGE, "rewrite" if breaks else "rewrite-changes", not breaks, key, "use --config",
                      "next boot would fail" if breaks else "would read other keys or values")
    else:
        run(*STAGE, *reach(server), status=0)
        check_back(run, server, before)
    write(server, {"server.x": "1"})
    good = server.restart() and server.settings() == {**before["settings"], "server.x": "1"}
    assert good != refused


def test_clear_writes_the_file_too(run, simulate):
    """What was forced for stage is asked again for clear."""
    server = simulate(config=config("[store.x]\n" + text("path", "C:\\new"), SMTP, HTTP))
    before = server.settings()
    run(*STAGE, "--force", "rewrite-changes", *reach(server), status=0)
    server.log.clear()
    ran = run(*CLEAR, *reach(server), status=1)
    assert "store.x.path" in ran.err and "--force rewrite-changes" in ran.err and writes(server) == 0
    run(*CLEAR, "--force", "rewrite-changes", *reach(server), status=0)
    assert server.settings() == before


def check_back_quietly(run, server, before):
    run(*CLEAR, *reach(server), status=0)
    assert state(server) == before
    for path in run.folder.iterdir():
        path.unlink()


@pytest.mark.parametrize("local", [True, False])
def test_rewrite_of_keys_by_other_patterns(run, simulate, local):
    """A key that the patterns call local is in the file; of another it can't be seen whether it is."""
    patterns = NARROWED.replace("server.listener.smtp.*", "server.*")
    patterns += 'config.local-keys.9 = "custom.*"\n' if local else ""
    server = simulate(config=config(patterns, text("custom.path", "C:\\"), SMTP, HTTP))
    check_refused(run, server, STAGE, "rewrite" if local else "rewrite-unseen", not local, "custom.path")


def test_what_can_not_be_seen(run, simulate):
    ran = run(*STAGE, "--dry-run", *reach(simulate()), status=0)
    assert "the API does not show all of it" in ran.out and "copy of the file" in ran.out


# Which server is it?

def test_dialect_in_doubt(run, simulate):
    """An upgraded 0.13 shows no sign of its version: outbound waits for --dialect, the rest does not."""
    server = simulate("0.13.4")
    write(server, {key: None for key in server.settings() if key.startswith(("queue.route.", "queue.virtual."))})
    server.log.clear()
    check_refused(run, server, (*STAGE, *RELAY), "dialect-unknown", False, "--dialect", "--skip outbound")
    before = state(server)
    run(*STAGE, *RELAY, "--dialect", "0.13", *reach(server), status=0)
    assert difference(before["settings"], server.settings()).items() >= guide("0.13.4", relay=True).items()
    run(*CLEAR, *reach(server), status=0)
    assert state(server) == before


PAGE = (404, "<html>no such page</html>")


@pytest.mark.parametrize("version,narrowed", [("0.9.4", True), (OLD, False), (NEW, True)])
def test_web_proxy_that_passes_the_api_alone(run, simulate, version, narrowed):
    """Its 404 for the rest is no sign of an old server: others tell the version, or it is asked for."""
    server = simulate(version)
    server.faults.append(Fault(path="/jmap/", times=-1, answer=PAGE))
    if parsed(version) >= (0, 12):
        server.faults.append(Fault(path="/.well-known/", times=-1, answer=PAGE))
    if not narrowed:
        check_refused(run, server, STAGE, "dialect-unknown", False, "--dialect", "0.8 to 0.15")
    before = state(server)
    options = () if narrowed else ("--dialect", dialect_of(version))
    run(*STAGE, *options, *reach(server), status=0)
    assert difference(before["settings"], server.settings()).items() >= guide(version).items()
    check_back(run, server, before)


WRONG = [("0.9.4", "0.15"), ("0.11.8", "0.12"), (NEW, "0.10")]


@pytest.mark.parametrize("version,named", WRONG)
def test_dialect_that_is_not_the_server_s(run, simulate, version, named):
    server = simulate(version)
    check_refused(run, server, (*STAGE, "--dialect", named), "dialect", True, named)


NOT_OURS = [  # (version, what the server answers, the refusal)
    ("0.16.0", None, "new-server"), (NEWEST, (404, "not here"), "not-stalwart"),
    (NEWEST, (404, '{"type":"about:blank","status":404,"title":"Not Found"}'), "not-stalwart"),
]


@pytest.mark.parametrize("version,answer,name", NOT_OURS)
def test_no_older_server(run, simulate, version, answer, name):
    """A new one, no Stalwart at all, one older than 0.7: by name, and nothing overrides it."""
    server = simulate(version)
    if answer:
        server.faults.append(Fault(times=-1, answer=answer))
    for command in (STAGE, (*STAGE, "--force", name), ("status",), (*CLEAR, *CHANGE)):
        ran = run(*command, *reach(server), "--json", status=1)
        assert name in ran.names() and writes(server) == 0
    assert ("older than 0.7" in ran.out) == (name == "not-stalwart") and ORIGIN not in ran.err
