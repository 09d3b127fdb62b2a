"""The promise, on servers and options that hypothesis makes up: nothing changes but what was said, and all comes back."""

import ipaddress
import os
import re
import shutil
from typing import NamedTuple

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import oldconfig
import oldreload
import oldserver
import oldsettings
from conftest import (EXAMPLES, PASSWORD, REAL, THOROUGH, USER, VERSIONS, Tool, dialect_of, difference, made_up, parsed,
                      sent, state, touched_keys, writes)

THOROUGHLY = 1000  # examples for each version

pytestmark = pytest.mark.skipif(REAL is not None, reason="a real server takes too long for so many")

CHECKS = ["auth.dkim.verify", "auth.arc.verify", "auth.spf.verify.ehlo", "auth.spf.verify.mail-from",
          "auth.dmarc.verify", "auth.iprev.verify", "session.ehlo.reject-non-fqdn"]
PORTS = {"imap": 143, "pop3": 110, "managesieve": 4190, "smtp": 587, "lmtp": 24, "http": 8081}


def one_of(*values):
    return st.sampled_from(values)


def seldom(strategy, otherwise, chance=6):
    """Once in so many; hypothesis shrinks to the other."""
    return st.integers(1, chance).flatmap(lambda number: strategy if number == chance else st.just(otherwise))


# Servers

NAMES = st.one_of(
    one_of("imap", "imaptls", "imap2", "submission", "listeners", "url", "a.b", "a.b.c", "Upper", "proxy", "25"),
    st.lists(one_of(*"abcXY019-_"), min_size=1, max_size=8).map("".join),
    seldom(one_of("web mail", "ümlaut", "a=b", "a'b", "a,b", "a%b", "a/b?c&d", "a#b", "x.proxy.y"), "plain"))
NETWORKS = st.one_of(
    one_of("198.51.100.0/24", "192.0.2.7", "203.0.113.10/32", "203.0.113.10", "203.0.113.0/24", "10.0.0.0/8", "::1",
           "2001:db8::/32", "2001:db8::7", "::ffff:203.0.113.10", " 192.0.2.7 / 32 "),
    seldom(one_of("", "not a network", "0.0.0.0/0", "::/8", "192.0.2.0/33", "%{env:STALPREP_NETWORK}%"), "192.0.2.8"))
LISTS = st.one_of(  # below a list's key: indexes of all kinds, a scalar, both
    st.just({}), st.dictionaries(one_of(".0", ".1", ".2", ".9", ".0000", ".0001", ".00", ".x"), NETWORKS, max_size=3),
    st.dictionaries(one_of("", "", ".0"), NETWORKS, max_size=2))
BINDS_25 = seldom(one_of("0.0.0.0:25", "[::]:25 0.0.0.0:25", "127.0.0.1:0025", "[::]:25 [::]:587", "[::]:2525",
                         "%{env:STALPREP_NOT_SET}%"), "[::]:25", 3)
VALUES = one_of("disable", "strict", "relaxed", "false", "true", "", "%{env:STALPREP_NOT_SET}%", "ü ✉", "a" * 300)
LOCAL = seldom(one_of(("*",), ("server.*", "auth.*"), ("server.*", "queue.*", "!queue.strategy.*"),
                      ("server.*", "!server.listener.*"), ("server.listener.*",)), ())


class Server(NamedTuple):
    """What stands in config.toml beside what every server has, and what in the database."""
    version: str
    file: dict
    database: dict

    @property
    def whole_file(self):
        base = oldserver.base_config("FOLDER", user=USER, password=PASSWORD)
        return {**oldconfig.read_text(base, parsed(self.version)),
                "server.listener.http.bind": "[::]:8080", "server.listener.http.protocol": "http", **self.file}

    def is_local(self, key):
        return oldsettings.Patterns(self.file, parsed(self.version)).is_local(key)

    @property
    def listeners(self):
        return oldreload.listener_ids(self.whole_file)


def listener_keys(name, protocol, binds, networks, override=None):
    keys = {"bind": binds} if " " not in binds else dict(zip(("bind.0000", "bind.0001"), binds.split()))
    keys.update({"protocol": protocol, "proxy.override": override})
    keys.update((f"proxy.trusted-networks{index}", network) for index, network in networks.items())
    return {f"server.listener.{name}.{key}": value for key, value in keys.items() if value is not None}


@st.composite
def listeners(draw):
    protocol = draw(st.sampled_from(sorted(PORTS)))
    port = draw(one_of(PORTS[protocol], 465, 2000, 587))
    binds = draw(one_of(f"[::]:{port}", f"0.0.0.0:{port}", f"[::]:{port} 127.0.0.1:{port + 1}"))
    return listener_keys(draw(NAMES), protocol, binds, draw(LISTS), draw(one_of(None, None, "true", "false")))


def rules(key):
    """A rule that stands: a scalar, a list, both, or left-overs of one."""
    short = {f"{key}.0.if": "is_tls", f"{key}.0.then": "'mx'", f"{key}.1.else": "'local'"}
    four = {name.replace(key + ".", key + ".000"): value for name, value in short.items()}
    longer = {**short, f"{key}.1.if": "is_tls", f"{key}.1.then": "'mx'", f"{key}.2.else": "'mx'"}
    return one_of({}, {}, {key: "'mx'"}, short, four, longer, {**four, key: "'mx'"}, {f"{key}.5.if": "is_tls"})


def names_of(version):
    """The keys of the URL, the rule and the relay, by dialect."""
    new = parsed(version) >= (0, 13)
    return ("http.url" if parsed(version) >= (0, 12) else "server.http.url",
            "queue.strategy.route" if new else "queue.outbound.next-hop",
            "queue.route.smarthost" if new else "remote.smarthost")


@st.composite
def servers(draw, version):
    url, route, relay = names_of(version)
    file = listener_keys("smtp", "smtp", draw(BINDS_25), draw(seldom(LISTS, {})))
    for keys in draw(st.lists(listeners(), max_size=4)):
        file.update(keys)
    for index, network in draw(seldom(LISTS, {}, 3)).items():
        file[f"server.proxy.trusted-networks{index}"] = network
    if parsed(version) >= (0, 9, 4):  # before, a star meant the other end: stalprep can't tell these versions apart
        file.update((f"config.local-keys.{index:04}", pattern) for index, pattern in enumerate(draw(LOCAL)))
    standing = draw(st.dictionaries(st.sampled_from(CHECKS), VALUES, max_size=3))
    standing.update({**draw(rules(route)), **draw(seldom(rules("auth.dkim.verify"), {}))})
    standing.update({url: value for value in draw(one_of(
        [], ["'https://mail.example.org'"], ["'https://old.example.org'"], ["x + y"]))})
    standing.update({f"{relay}.address": host for host in draw(seldom(one_of(["new.example.org"], ["x.org"]), []))})
    shadowed = draw(seldom(st.sets(st.sampled_from(sorted(standing)), max_size=2), set())) if standing else set()
    made = Server(version, file, {})
    for key, value in standing.items():
        (file if key in shadowed or made.is_local(key) else made.database)[key] = value
    left_over = "server.listener.imap.proxy.override"  # which the server ignores: it is in the wrong place
    made.database.update(draw(seldom(one_of({left_over: "true"}), {})) if made.is_local(left_over) else {})
    return made


# Options

def unclear(keys):
    """The smtp listeners that stalprep asks about: neither port 25 nor plainly submission."""
    for name in oldreload.listener_ids(keys):
        below = f"server.listener.{name}."
        binds = [value for key, value in keys.items() if re.fullmatch(re.escape(below) + r"bind(\..*)?", key)]
        ports = {int(bind.rpartition(":")[2]) for bind in binds if "%" not in bind}
        if name != "smtp" and keys[below + "protocol"] == "smtp" and 25 not in ports and not ports <= {465, 587}:
            yield name


@st.composite
def choices(draw, server):
    """Of a stage, without those that say where."""
    options = ["--public-url", draw(one_of("https://mail.example.org", "https://a.example.org:8443"))]
    for proxy in draw(st.lists(one_of("203.0.113.10", "203.0.113.0/24", "192.0.2.7", "2001:db8::7", "10.1.0.0/16"),
                               min_size=1, max_size=3)):
        options += ["--proxy", proxy]
    if draw(st.booleans()):
        options += ["--relay", draw(one_of("new.example.org", "other.example.org:2525"))]
        options += draw(one_of([], ["--relay-id", "new"]))
    names = draw(seldom(st.lists(st.sampled_from(server.listeners), unique=True), [], 4))
    for name in names:
        options += ["--listener", name]
    for name in () if names else unclear(server.whole_file):
        options += draw(seldom(st.just([]), [draw(one_of("--also", "--leave")), name]))
    chosen = {"--listener", "--also", "--leave"} & set(options)
    skipped = draw(seldom(one_of("checks", "url", "outbound", *([] if chosen else ["listeners"])), None))
    options += ["--skip", skipped] if skipped else []
    options += draw(seldom(one_of(["--new-server", "192.0.2.99", "--allow-new-server"],
                                  ["--new-server", "2001:db9::1"]), []))
    if server.file.get("server.listener.smtp.bind") in ("[::]:2525", "%{env:STALPREP_NOT_SET}%"):
        options += ["--relay-listener", "smtp"]
    return [*options, *draw(seldom(st.just([]), ["--dialect", dialect_of(server.version)]))]


def given_for(options, name):
    return [options[at + 1] for at, word in enumerate(options) if word == name]


# What must be so

class World:
    """One simulator, which becomes another server for each example, and a folder for the runs."""

    def __init__(self, folder):
        for name in ("server", "runs", "vault"):
            (folder / name).mkdir()
        self.server = oldserver.OldServer("0.15.5", folder / "server").start()
        self.url = self.server.http_url
        self.run = Tool(folder / "runs", folder / "vault")

    def become(self, made):
        server = self.server
        server.version_name, server.version = made.version, parsed(made.version)
        server.shared_database = dict(made.database)
        with open(server.config_path, "w", encoding="utf-8") as file:
            file.writelines(f'"{key}" = {oldconfig.write_value(value)}\n' for key, value in made.whole_file.items())
        server.boot()
        assert server.boots, server.boot_error
        server.log.clear()
        shutil.rmtree(self.run.folder)
        self.run.folder.mkdir()

    def tool(self, *args, status=None):
        ran = self.run(*args, "--url", self.url, "--json")
        note(f"{' '.join(args)} -> {ran.status} {[message['text'] for message in ran.json['messages']]}")
        if status is not None:
            assert ran.status == status
        return ran

    def networks(self):
        """Whom each listener would trust after a restart."""
        keys = oldreload.resolve_macros(self.server.settings(), oldreload.Findings(self.server.version), kinds=("env",))
        found = {name: [oldreload.parse_network(value) for _, value in oldreload.trusted_networks(keys, name)]
                 for name in oldreload.listener_ids(keys)}
        return {name: {network for network in networks if network} for name, networks in found.items()}

    def complaints(self):
        return self.server.reload(dry_run=True).errors


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    os.environ["STALPREP_NETWORK"] = "198.51.100.7"
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.server.stop()


def mapped(network):
    """As an IPv6 network: so the server compares them."""
    if network.version == 6:
        return network
    return ipaddress.ip_network(f"::ffff:{network.network_address}/{96 + network.prefixlen}")


def covered(network, networks):
    return any(mapped(network).subnet_of(mapped(one)) for one in networks)


def check_dry_run(world, options):
    """It writes nothing, and where it refuses, so does the real run."""
    server, before, files = world.server, state(world.server), world.run.snapshots()
    plan = world.tool("stage", *options, "--dry-run")
    if plan.status == 1:
        world.tool("stage", *options, status=1)
        assert any(message["level"] == "refusal" for message in plan.json["messages"])
    else:
        assert plan.status == 0
    assert state(server) == before and not writes(server) and world.run.snapshots() == files
    return plan


def check_port_25(server, keys):
    """The listeners that the new server may relay to: not one key of theirs was as much as sent."""
    for name in {"smtp"} | {one.name for one in server.listeners if 25 in {port for _, port in one.binds}}:
        assert not [key for key in {*keys, *touched_keys(server)} if key.startswith(f"server.listener.{name}.p")]


def check_trust(now, before, plan, options):
    """A chosen listener trusts whom it did, and the proxy; each other one whom it did."""
    proxies = [oldreload.parse_network(text) for text in given_for(options, "--proxy")]
    for one in plan.target["listeners"]:
        name = one["id"]
        if one["chosen"]:
            assert all(covered(network, now[name]) for network in [*proxies, *before[name]]), name
        else:
            assert now[name] == before[name], name


def check_stage(world, made, options, plan, trusted, faulty, earlier):
    """It does what was planned and nothing else, says so, and finds nothing more to do. `faulty`: what a reload complained
    of at first; a relay that was incomplete then is so again where another stage leaves it."""
    server, was, complained = world.server, state(world.server), world.complaints()
    keys = {key["key"]: key for key in plan.target["keys"]}
    # What config.toml holds without being local outranks what is written, and then it is said.
    shadowed = {name for name, key in keys.items() if name in made.file and not made.is_local(name)
                and key["before"] != key["wanted"]}
    # Then the whole group is taken back.
    given_up = {keys[name]["group"] for name in shadowed}
    done = world.tool("stage", *options, status=6 if shadowed else 0)
    now = state(server)
    for key in done.target["keys"]:
        name, planned = key["key"], keys[key["key"]]
        assert (key["before"], key["wanted"]) == (planned["before"], planned["wanted"])
        assert key["after"] == now["settings"].get(name) == key["before" if key["group"] in given_up else "wanted"]
    for part, values in now.items():
        assert difference(was[part], values).keys() <= {
            name for name, key in keys.items() if key["group"] not in given_up}, part
    check_port_25(server, keys)
    if shadowed:
        assert any("and it outranks the database" in message["text"] for message in done.json["messages"])
    else:
        assert complained or not world.complaints().keys() - faulty
    if "listeners" not in given_for(options, "--skip"):
        check_trust(world.networks(), trusted, plan, options)
    # A relay that was staged before and is not named now is left. What config.toml outranked of it then, it still does.
    groups = {key["group"] for key in plan.target["keys"]}
    unnamed = earlier & {"outbound", "allow"} - groups - set(given_for(options, "--skip"))
    stalls = any("expects a PROXY header" in message["text"] or "holds a macro" in message["text"]
                 for message in done.json["messages"])
    told = world.tool("status", *options)
    # What blocks a reload is told, as far as it can be seen without parsing expressions.
    assert told.status in ([6] if shadowed or stalls else [0, 6] if unnamed or world.complaints() else [0])
    server.log.clear()
    again = world.tool("stage", *options, status=6 if shadowed else 0)
    assert state(server) == now and (shadowed or not again.json["changed"] and not sent(server))
    return groups


def check_promise(world, made, rounds):
    """True where something was staged."""
    world.become(made)
    try:
        before, trusted, faulty = state(world.server), world.networks(), world.complaints().keys()
    except oldconfig.ConfigError:  # up to 0.10 a boot rewrites the file, and with some names breaks it
        return False
    staged = set()
    for options in rounds:
        world.server.log.clear()
        plan = check_dry_run(world, options)
        if plan.status == 0:
            staged |= check_stage(world, made, options, plan, trusted, faulty, staged)
    if staged:
        world.tool("clear", status=0)
    assert state(world.server) == before
    return bool(staged)


@pytest.mark.parametrize("version", VERSIONS)
def test_stage_and_clear(world, version):
    """stage, now and then once more with other options, then clear."""
    staged = []

    @made_up(THOROUGHLY, version)
    @given(st.data())
    def promise(data):
        made = data.draw(servers(version), label="server")
        rounds = [data.draw(choices(made), label="options")]
        rounds += data.draw(seldom(st.lists(choices(made), min_size=1, max_size=1), [], 4), label="once more")
        staged.append(check_promise(world, made, rounds))
    promise()
    examples = THOROUGHLY if THOROUGH else EXAMPLES
    assert len(staged) >= examples and sum(staged) > examples / 4
