"""The promise, on servers, options and histories that hypothesis makes up.

`status` is 0 only where a restart does what the change set says (restartoracle.py). Port 25 is never behind the proxy. What
stood before is in a snapshot at every time, and comes back, whatever else happened to the server.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import event, given, note
from hypothesis import strategies as st

import oldconfig
import oldreload
import oldserver
import oldsettings
import realserver
import restartoracle
from conftest import PASSWORD, REAL, THOROUGH, USER, VERSIONS, Tool, dialect_of, difference, made_up, parsed, write

EXAMPLES, THOROUGHLY = 20, 700  # for each version

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

def binds_of(keys, name):
    start = f"server.listener.{name}.bind"
    return [value for key, value in keys.items() if key == start or key.startswith(start + ".")]


def on_25(keys, name):
    return any(bind.rpartition(":")[2].lstrip("0") == "25" for bind in binds_of(keys, name))


def unclear(keys):
    """The smtp listeners that stalprep asks about: neither port 25 nor plainly submission."""
    for name in oldreload.listener_ids(keys):
        ports = {bind.rpartition(":")[2].lstrip("0") for bind in binds_of(keys, name)}
        if (name != "smtp" and keys[f"server.listener.{name}.protocol"] == "smtp" and "25" not in ports
                and not ports <= {"465", "587"} and keys.get(f"server.listener.{name}.tls.implicit") != "true"):
            yield name


@st.composite
def listener_choices(draw, keys):
    names = oldreload.listener_ids(keys)
    usual = [name for name in names if not on_25(keys, name)] or names
    listed = draw(seldom(st.lists(st.sampled_from(usual), unique=True, min_size=1, max_size=3), [], 5)) if names else []
    options = [word for name in listed for word in ("--listener", name)]
    for name in () if listed else unclear(keys):
        options += draw(seldom(st.just([]), [draw(one_of("--also", "--leave")), name], 12))
    if names and not options:
        options += draw(seldom(st.tuples(one_of("--leave", "--also"), st.sampled_from(usual)).map(list), [], 6))
    if "smtp" in names and not any(on_25(keys, name) for name in names):
        options += draw(seldom(st.just([]), ["--relay-listener", "smtp"], 12))
    return options


@st.composite
def choices(draw, version, keys):
    """Of a stage, without those that say where."""
    options = ["--public-url", draw(one_of("https://mail.example.org", "https://a.example.org:8443"))]
    for proxy in draw(st.lists(one_of("203.0.113.10", "203.0.113.10", "203.0.113.0/24", "192.0.2.7", "2001:db8::7",
                                      "10.1.0.0/16"), min_size=1, max_size=2, unique=True)):
        options += ["--proxy", proxy]
    if draw(st.booleans()):
        options += ["--relay", draw(one_of("new.example.org", "new.example.org", "other.example.org:2525"))]
        options += draw(one_of([], [], ["--relay-id", "new"]))
    chosen = draw(listener_choices(keys))
    skips = ["checks", "url", "outbound", *([] if chosen else ["listeners"])]
    skipped = draw(seldom(st.sets(st.sampled_from(skips), min_size=1, max_size=2), set(), 4))
    options += chosen + (["--skip", ",".join(sorted(skipped))] if skipped else [])
    options += draw(seldom(one_of(["--new-server", "192.0.2.99", "--allow-new-server"], ["--new-server", "2001:db9::1"],
                                  ["--new-server", "203.0.113.200"]), [], 3))
    return [*options, *draw(seldom(st.just([]), ["--dialect", dialect_of(version)], 8))]


def said(options, name):
    return [options[at + 1] for at, word in enumerate(options) if word == name]


# What others do to the server

@st.composite
def changes(draw, server_version, keys):
    """Of another administrator: {key: value}, None deletes."""
    url, rule, relays = restartoracle.names_of(parsed(server_version))
    names = [name for name in oldreload.listener_ids(keys) if name != "http"] or ["http"]
    name = draw(st.sampled_from(names))
    network = draw(NETWORKS)
    bind = next((key for key in keys if key.startswith(f"server.listener.{name}.bind")), "")
    odd = f"server.listener.{name}.proxy.trusted-networks"
    new = listener_keys(*draw(st.tuples(one_of("later", "odd", "sub"), one_of("imap", "smtp", "lmtp", "http"),
                                        one_of("[::]:2001", "[::]:587", "[::]:25"), LISTS)))
    return draw(one_of(
        {draw(st.sampled_from(CHECKS)): draw(st.one_of(st.none(), VALUES))},
        {draw(st.sampled_from(CHECKS)) + draw(one_of(".0.if", ".1.else")): "is_tls"},
        {url: draw(one_of(None, "'https://old.example.org'", "'https://mail.example.org'", "https://bare.example.org"))},
        {rule: "'mx'"}, {rule + draw(one_of(".5.else", ".0000.else", ".1.else", ".0.if", ".2.then")): draw(
            one_of(None, "'mx'"))},
        {relays + "smarthost.address": draw(one_of(None, "x.example.org"))}, {relays + "new.port": "26"},
        {odd + draw(one_of(".0", ".1", ".0000", "")): draw(one_of(None, network, "203.0.113.10/32"))},
        {f"server.listener.{name}.proxy.override": draw(one_of(None, "false", "true"))},
        {odd + ".0": None, odd: keys.get(odd + ".0", network)},  # as the administration page saves a list of one
        {"server.proxy.trusted-networks" + draw(one_of(".0", "")): draw(one_of(None, network))},
        new, new, {f"server.listener.{name}.bind.7": draw(one_of("[::]:25", "[::]:2002"))},
        {f"server.listener.{name}.protocol": None, **({bind: None} if bind else {})},
        {"server.blocked-ip.192.0.2.99": ""}, {"server.allowed-ip.192.0.2.99": draw(one_of(None, ""))},
        {f"server.listener.{name}.tls.implicit": draw(one_of("true", None))}))


# The world

FOLDERS = ("one", "two")
DATABASE = "database"


class Broken(Exception):
    """The server does not start any more: not by stalprep, whose writes are compared."""


class Ledger:
    """What may stand at each key when all of stalprep is taken out again."""

    def __init__(self, places):
        self.base, self.may, self.ever, self.wrote = places, {}, {}, {}

    def allowed(self, place, key):
        return self.may.get((place, key), {self.base.get(place, {}).get(key)})

    def others(self, before, after):
        """Somebody else changed the server."""
        for place in after:
            for key, value in difference(before.get(place, {}), after[place]).items():
                ever = self.ever.setdefault((place, key), set(self.allowed(place, key)))
                known = value in ever or value in self.wrote_at(place, key)
                ever.add(value)
                # A value that a stage may have written itself can be taken for that.
                self.may[place, key] = set(ever) if known else {value}

    def wrote_at(self, place, key):
        """Also as the entry of a list that became a scalar: so the administration page saves a list of one."""
        return {value for (where, name), values in self.wrote.items() for value in values
                if where == place and (name == key or name.startswith(key + "."))}

    def put_back(self, before, after):
        """A stage that knows nothing of another one's snapshot wrote what had stood before that: then the other takes its
        own as restored, and this one restores the other's value."""
        for place in after:
            for key, value in difference(before[place], after[place]).items():
                was = before[place].get(key)
                if value in self.allowed(place, key) and was in self.wrote_at(place, key):
                    self.may[place, key] = self.allowed(place, key) | {was}

    def ours(self, before, after):
        for place in after:
            for key, value in difference(before[place], after[place]).items():
                self.wrote.setdefault((place, key), set()).add(value)

    def off(self, places):
        """The keys that don't stand as they may: {(place, key): value}."""
        keys = {(place, key) for place in places for key in (*places[place], *self.base.get(place, {}))} | set(self.may)
        return {(place, key): places[place].get(key) for place, key in keys
                if places[place].get(key) not in self.allowed(place, key)}


class Site(NamedTuple):
    """A server that is away: another one behind the same URL, or a backup from before the first stage."""
    version: str
    database: dict
    texts: list
    ledger: Ledger


class World:
    """Simulators, which become other servers for each example, and a folder for the runs."""

    def __init__(self, folder):
        for name in ("node0", "node1", "shadow", "runs", "vault"):
            (folder / name).mkdir()
        self.all = [oldserver.OldServer("0.15.5", folder / f"node{number}").start() for number in (0, 1)]
        self.urls = [node.http_url for node in self.all]
        self.shadow = restartoracle.Restarted("0.15.5", folder / "shadow")
        self.run = Tool(folder / "runs", folder / "vault")

    def stop(self):
        for node in self.all:
            node.stop()

    def become(self, made, nodes, tables):
        for path in self.run.folder.iterdir():
            shutil.rmtree(path)
        for name in FOLDERS:
            (self.run.folder / name).mkdir(mode=0o700)
        self.nodes, self.folder, self.stopped, self.told = self.all[:nodes], FOLDERS[0], False, {}
        database = dict(made.database)
        for number, node in enumerate(self.nodes):
            for path in os.scandir(node.folder):
                if path.name != "config.toml":
                    os.unlink(path.path)
            file = {**made.whole_file, "lookup.default.hostname": "vm"}
            if nodes > 1:
                file.update({"cluster.coordinator": "redis", "cluster.node-id": str(number)})
            self.set_version(node, made.version)
            node.shared_database = database
            write_file(node.config_path, as_text(file, tables))
        self.version, self.bytes = made.version, None
        self.boot()
        self.ledger = Ledger(self.places())

    @staticmethod
    def set_version(node, version):
        node.version_name, node.version = version, parsed(version)

    def pack(self):
        return Site(self.version, dict(self.database), self.texts(), self.ledger)

    def unpack(self, site):
        database = dict(site.database)
        for node, text in zip(self.nodes, site.texts):
            self.set_version(node, site.version)
            node.shared_database = database
            with open(node.config_path, "wb") as file:
                file.write(text)
        self.version, self.bytes, self.ledger = site.version, None, site.ledger
        self.boot()

    def boot(self):
        for node in self.nodes:
            node.boot()
            node.log.clear()
            if not node.boots:
                raise Broken

    @property
    def node(self):
        return self.nodes[0]

    @property
    def database(self):
        return self.node.shared_database

    def file(self, node):
        return oldconfig.read_file(node.config_path, node.version)

    def places(self):
        places = {DATABASE: dict(self.database)}
        for number, node in enumerate(self.nodes):
            places[number] = self.file(node) if self.stopped else dict(node.store.local)
        return places

    def edited(self):
        """Is a file otherwise than what its running server holds?"""
        return not self.stopped and any(self.file(node) != node.store.local for node in self.nodes)

    def local(self):
        """What the first node's config.toml is, or is about to be."""
        return self.file(self.node) if self.stopped else self.node.store.local

    # Others

    def outside(self, what):
        before, files = self.places(), self.texts()
        what()
        self.ledger.others(before, self.places())
        if self.texts() != files:
            self.bytes = None

    def texts(self):
        return [read_bytes(node.config_path) for node in self.nodes]

    # Ours

    def tool(self, command, *options, folder=None):
        kept = () if {"--config", "--snapshot"} & set(options) else ("--snapshot-dir", self.run.folder / (folder or self.folder))
        ran = self.run(command, *options, *kept, "--json", password=None if "--config" in options else PASSWORD)
        told = [f"{message['level'][0]}:{message['name'] or ''}:{message['text'][:230]}" for message in ran.json["messages"]] if (
            ran.status != 2) else [ran.err]
        note(f"{command} {' '.join(map(str, options))} [{folder or self.folder}] -> {ran.status} {told}")
        return ran

    def reach(self, boot, numbers=None):
        if self.stopped:
            return ["--config", self.node.config_path]
        numbers = numbers or range(len(self.nodes))
        words = [word for number in numbers for word in ("--url", self.urls[number])]
        return words + [word for number in numbers if boot for word in ("--boot-config", self.nodes[number].config_path)]

    def snapshots(self):
        for path in [*self.run.folder.rglob("*"), *(os.path.join(self.node.folder, name) for name in os.listdir(
                self.node.folder))]:
            if re.search(r"\.snapshot\.json(\.aside|\.[0-9]+\.aside)?$", str(path)):
                with open(path, encoding="utf-8") as file:
                    yield json.load(file)

    def check_kept(self, places):
        """The original of each key that has not its own value is in a snapshot."""
        off = self.ledger.off(places)
        if not off:
            return
        kept = set()
        for snapshot in self.snapshots():
            for place, part in [(DATABASE, snapshot["database"]), *((0, part) for part in snapshot["nodes"])]:
                kept |= {(place, key["key"], key["before"]) for key in part["keys"]}
        for (place, key), value in off.items():
            allowed = self.ledger.allowed(place, key)
            assert any((place and 0 if place != DATABASE else place, key, original) in kept for original in allowed), (
                f"the original of {key} ({allowed}, now {value}) is lost")

    def change(self, command, *options, boot, folder=None, numbers=None):
        """A stage or clear; what holds after each."""
        before, texts = self.places(), self.texts()
        on_25 = [restartoracle.trusted_on_25(before[number], node.version) for number, node in enumerate(self.nodes)]
        if not boot and not self.stopped:
            for key in self.node.store.local.keys() & self.database.keys():  # hidden behind the file: nobody can know it
                lost = {None, *([self.ledger.base[DATABASE].get(key)] if command == "clear" else [])}
                self.ledger.may[DATABASE, key] = self.ledger.allowed(DATABASE, key) | lost
        fresh = self.stopped and not self.ledger.off(before)
        ran = self.tool(command, *options, *self.reach(boot, numbers), folder=folder)
        after = self.places()
        mute = not self.stopped and ran.status == 3 and self.is_mute()
        assert ran.status in (0, 1, 6) or mute or (command == "clear" and ran.status == 5), ran.said
        if ran.status == 1 or mute:
            assert (before, texts) == (after, self.texts())
            return ran
        if command == "stage" and len(list(self.snapshots())) > 1:
            self.ledger.put_back(before, after)
        self.ledger.ours(before, after)
        planned = {key["key"] for target in ran.json["targets"] for key in target["keys"]}
        for place in after:
            assert difference(before[place], after[place]).keys() <= planned, place
        for number, node in enumerate(self.nodes):
            if texts[number] != read_bytes(node.config_path) and not self.stopped:
                assert self.file(node) == after[number], "the server broke its file"
            now = restartoracle.trusted_on_25(after[number], node.version)
            for name, own in now.items():
                assert {value for _, value in own} <= {value for _, value in on_25[number].get(name, own)}, name
        self.check_kept(after)
        self.check_bytes(command, ran, texts, fresh, after)
        return ran

    def check_bytes(self, command, ran, texts, fresh, after):
        if not self.stopped:
            self.bytes = self.bytes if self.texts() == texts else None
        elif command == "stage" and fresh:
            self.bytes = texts[0]
        elif command == "clear" and not ran.status and self.bytes and not self.ledger.off(after):
            assert self.texts()[0] == self.bytes

    def is_mute(self):
        """Up to 0.12 the request that names the version dies where the URL in force has no scheme."""
        return parsed(self.version) < (0, 13) and any("://" not in node.running.get(key, "://") for node in self.nodes
                                                      for key in ("http.url", "server.http.url"))

    def judge(self, *options, boot, folder=None, numbers=None):
        ran = self.tool("status", *options, *self.reach(boot, numbers), folder=folder)
        assert ran.status in (0, 1, 6, 7) or (ran.status == 3 and self.is_mute()), ran.said
        if ran.status not in (0, 6):
            return ran
        for target, node in zip(ran.json["targets"], [self.nodes[number] for number in numbers or range(len(self.nodes))]):
            text = read_bytes(node.config_path).decode()
            memory = None if self.stopped else node.store.local
            if memory is not None and not boot and self.file(node) != memory:
                text = memory
            self.shadow.become(node.version_name, text, self.database)
            faults = restartoracle.faults(self.shadow, target["request"], self.file(node) if self.stopped else None)
            assert ran.status or not faults, f"status 0, but {faults}"
            if ran.status:  # too careful is no fault
                event(f"status 6, {'rightly' if faults else 'and the restart would be fine'}")
        if not options and not self.stopped and not ran.status:
            for name, value in self.told.get(folder or self.folder, {}).items():
                assert ran.target["request"][name] == value
        return ran

    def tell(self, options, status, folder):
        """What a later status of this folder is to judge by."""
        if status:
            self.told.pop(folder, None)
            return
        skipped = ",".join(said(options, "--skip")).split(",")
        told = self.told.setdefault(folder, {})
        if "listeners" not in skipped:
            told["proxy"] = [str(oldreload.parse_network(text)) for text in said(options, "--proxy")]
        if "url" not in skipped:
            told["public_url"] = said(options, "--public-url")[0]


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def write_file(path, text):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def as_text(keys, tables):
    """As config.toml: flat, or the listeners' keys in tables of their own."""
    flat, own = [], {}
    for key, value in sorted(keys.items()):
        table = re.fullmatch(r"(server\.listener\.[a-z0-9-]+)\.(.*)", key) if tables else None
        if table:
            own.setdefault(table[1], []).append(f'"{table[2]}" = {oldconfig.write_value(value)} # {value[:2].strip()}\n')
        else:
            flat.append(f'"{key}" = {oldconfig.write_value(value)}\n')
    return "".join([*flat, *(line for table, lines in own.items() for line in [f"[{table}]\n", *lines])])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    os.environ["STALPREP_NETWORK"] = "198.51.100.7"
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.stop()


# A history

class History:
    """One example: what happens to the server, step by step."""

    def __init__(self, world, data, made):
        self.world, self.draw, self.made = world, data.draw, made
        self.boot = self.draw(st.booleans(), label="always --boot-config")
        self.other, self.backup = None, world.pack()

    def numbers(self):
        """The nodes that a run names, in its order."""
        if len(self.world.nodes) == 1 or self.world.stopped:
            return None
        return self.draw(one_of([0, 1], [0, 1], [1, 0], [0], [1]), label="nodes of the run")

    def other_snapshot(self):
        """Over the API the file's, and the other way round."""
        world = self.world
        folder = world.run.folder / world.folder if world.stopped else Path(world.node.folder)
        found = sorted(folder.glob("*.snapshot.json"))
        use = found and len(world.nodes) == 1 and self.draw(seldom(st.just(True), False, 3), label="the other snapshot")
        return ["--snapshot", found[0]] if use else []

    def looks(self):
        return self.boot or self.world.edited()

    def stage(self):
        world = self.world
        options = self.draw(choices(world.version, world.local()), label="options")
        more = self.draw(seldom(st.just(["--boot-config"]), [], 2)) if not self.looks() else []
        numbers = self.numbers()
        options += ["--single-node"] if numbers and len(numbers) == 1 else []
        snapshot = self.other_snapshot()
        ran = world.change("stage", *options, *snapshot, boot=self.looks() or bool(more), numbers=numbers)
        event(f"stage {ran.status} {min(ran.names(), default='') if ran.status == 1 else ''}")
        if ran.status != 1 and not world.stopped and not snapshot and not numbers:
            world.tell(options, ran.status, world.folder)
        elif ran.status != 1 and (snapshot or numbers):
            world.told.clear()
        self.judge("after a stage " if not ran.status else "")

    def judge(self, when=""):
        ran = self.world.judge(boot=self.looks(), numbers=self.numbers())
        event(f"{when}status {ran.status}")

    def judge_by_options(self):
        ran = self.world.judge(*self.draw(choices(self.world.version, self.world.local())), boot=self.looks())
        event(f"status by options {ran.status}")

    def clear(self):
        groups = self.draw(one_of([], ["--only", "url"], ["--only", "listeners"], ["--skip", "checks"]))
        ran = self.world.change("clear", *groups, *self.other_snapshot(), boot=self.looks(), numbers=self.numbers())
        event(f"clear {ran.status} {min(ran.names(), default='')}")
        self.world.told.pop(self.world.folder, None)

    def administrator(self):
        world = self.world
        ours = sorted({key for _, key in world.ledger.wrote})
        if ours and self.draw(st.booleans()):
            values = {self.draw(st.sampled_from(ours)): self.draw(one_of(None, "strict", "198.51.100.99", "true", "'mx'"))}
        else:
            values = self.draw(changes(world.version, world.local()))
        note(f"an administrator: {values}")

        def change():
            for key, value in values.items():
                if value is None:
                    world.node.store.delete(key)
                else:
                    world.node.store.set([(key, value)])
        if world.stopped:
            self.edit(values)
        else:
            world.outside(change)

    def edit(self, values=None):
        """The file, under a running server or of a stopped one."""
        world = self.world
        if values is None:
            values = self.draw(changes(world.version, world.file(world.node)), label="an edit")

        def change():
            keys = world.file(world.node)
            keys.update({key: value for key, value in values.items() if value is not None})
            keys = {key: value for key, value in keys.items() if values.get(key, "") is not None}
            write_file(world.node.config_path, as_text(keys, self.draw(st.booleans())))
        world.outside(change)

    def template(self):
        """The file as it was at first."""
        text = as_text({**self.made.whole_file, "lookup.default.hostname": "vm"}, True)
        if len(self.world.nodes) == 1:
            self.world.outside(lambda: write_file(self.world.node.config_path, text))

    def append(self):
        world, text = self.world, self.draw(one_of("# the end\n", '[zz]\na.b = "1"\n', 'report.zz = "2"\n'))
        kept = world.bytes

        def change():
            with open(world.node.config_path, "a", encoding="utf-8") as file:
                file.write(text)
        try:
            oldconfig.read_text(read_bytes(world.node.config_path).decode() + text, world.node.version)
        except oldconfig.ConfigError:
            return  # appended already
        world.outside(change)
        world.bytes = kept and kept + text.encode()

    def restart(self):
        self.world.outside(self.world.boot)
        self.world.stopped = False

    def start(self):
        def start():
            self.world.boot()
            self.world.stopped = False
        self.world.outside(start)

    def stop(self):
        def stop():
            self.world.stopped = True
        if len(self.world.nodes) == 1:
            self.world.outside(stop)

    def reload(self):
        if not self.world.stopped:
            for node in self.world.nodes:
                node.reload(dry_run=False)

    def upgrade(self):
        world = self.world
        newer = [version for version in VERSIONS if parsed(version) > parsed(world.version)]
        if not newer or world.stopped:
            return

        def change():
            world.version = newer[0]
            for node in world.nodes:
                world.set_version(node, newer[0])
            world.boot()
        world.outside(change)

    def swap(self):
        """Another server answers at the same URL."""
        world, other = self.world, self.other
        if world.stopped or world.edited() or len(world.nodes) > 1:
            return
        self.other = world.pack()
        if other is None:
            database = {**self.made.database, "oauth.key": "another"}
            other = Site(self.made.version, database, [as_text(self.made.whole_file, False).encode()], None)
            world.unpack(other)
            world.ledger = Ledger(world.places())
        else:
            world.unpack(other)
        world.told.clear()

    def restore(self):
        """From a backup that was made before the first stage. What was written stays in the snapshot."""
        world, old = self.world, self.world.ledger
        if self.backup and not world.stopped and not self.other:
            world.unpack(self.backup._replace(ledger=Ledger({})))
            world.ledger = Ledger(world.places())
            world.ledger.wrote = old.wrote
            for (place, key), values in old.wrote.items():  # a value that a stage wrote too can be taken for that
                now = world.ledger.base.get(place, {}).get(key)
                if now in values:
                    world.ledger.may[place, key] = old.allowed(place, key) | {now}
            world.told.clear()

    def elsewhere(self):
        self.world.folder = FOLDERS[1 - FOLDERS.index(self.world.folder)]

    def step(self):
        world = self.world
        running = [self.stage] * 5 + [self.clear] * 3 + [self.administrator] * 5 + [self.edit] * 2 + [
            self.template, self.reload, self.upgrade, self.elsewhere, self.append] + [self.restart] * 2 + [
            self.judge_by_options] + [self.stop] * 2 + [self.swap, self.swap, self.restore]
        stopped = [self.stage] * 4 + [self.clear] * 2 + [self.append] * 2 + [self.edit] + [self.start] * 3
        step = self.draw(st.sampled_from(stopped if world.stopped else running), label="step")
        note(f"STEP {step.__name__}")
        step()
        if step.__name__ not in ("stage", "elsewhere", "reload", "judge_by_options"):
            self.judge()

    def end(self):
        """All is taken out: over the API from both folders, and from the file."""
        world = self.world
        note("END")
        for _ in range(2 if self.other else 1):
            self.take_out()
            if self.other:
                if world.stopped:
                    self.start()
                if world.edited():
                    self.restart()
                self.swap()

    def take_out(self):
        world, results = self.world, []
        for _ in range(3):
            results = []
            if world.stopped:
                results.append(world.change("clear", boot=False))
                self.start()
            elif world.edited():
                self.restart()
            for folder in (world.folder, *FOLDERS):
                results.append(world.change("clear", boot=self.boot, folder=folder))
            if not world.ledger.off(world.places()):
                break
            if len(world.nodes) == 1:
                self.stop()
        off = world.ledger.off(world.places())
        # A folder without a snapshot may ask for options. If it is the only one, that is no reason to leave anything.
        worst = max((ran.status for ran in results if not ran.names() or ran.names() - {"no-snapshot", "dialect-unknown"}),
                    default=1)
        event(f"the last clear {worst} {sorted(set().union(*(ran.names() for ran in results))) if worst else ''}")
        assert worst or not off, f"clear says 0, and {off}"
        named = " ".join(message["text"] for ran in results for message in ran.json["messages"])
        named += " ".join(key["key"] for ran in results for target in ran.json["targets"] for key in target["keys"]
                          if key["state"] in ("changed", "in-file"))
        if worst == 6:  # of the database, which a clear of the file does not reach, the part is named
            kept = max(part["keys"] for ran in results for target in ran.json["targets"] for part in
                       target["parts"] + [{"url": None, "file": None, "keys": 0}] if not part["url"] and not part["file"])
            unnamed = [place for place, key in off if key not in named]
            assert len(unnamed) <= kept and {*unnamed} <= {DATABASE}, f"nobody names {off}"
        event("not all is back" if off else "all is back")


@pytest.mark.skipif(REAL is not None, reason="a real server takes too long for so many")
@pytest.mark.parametrize("version", VERSIONS)
def test_histories(world, version):
    """Stages and clears, and all that others do between them."""
    @made_up(THOROUGHLY if THOROUGH else EXAMPLES, version)
    @given(st.data())
    def promise(data):
        made = data.draw(servers(version), label="server")
        nodes, tables = data.draw(seldom(st.just(2), 1, 8), label="nodes"), data.draw(st.booleans())
        try:
            world.become(made, nodes, tables)
            history = History(world, data, made)
            if data.draw(st.integers(0, 3)):
                history.stage()
            for _ in range(data.draw(st.integers(1, 6), label="steps")):
                history.step()
            history.end()
        except (oldconfig.ConfigError, Broken):
            event("a server that broke its own file")
    promise()


# The measure itself, where there is a real server

@pytest.mark.skipif(REAL is None, reason="needs $STALWART")
def test_a_real_server_complains_alike(tmp_path, monkeypatch):
    """Its reload names the same keys as the simulator's, started with the same file and database."""
    monkeypatch.setenv("STALPREP_NETWORK", "198.51.100.7")
    folders = iter(range(100))
    (tmp_path / "shadow").mkdir()
    shadow = restartoracle.Restarted(REAL, tmp_path / "shadow")

    @made_up(8, "real")
    @given(servers(REAL))
    def alike(made):
        folder = tmp_path / str(next(folders))
        folder.mkdir()
        text = as_text(made.whole_file, True).replace("FOLDER", str(folder))
        with realserver.make(REAL, folder, text) as server:
            if not server.boots or not server.http_url:
                return
            write(server, {key: value for key, value in made.database.items() if not made.is_local(key)})
            errors = json.loads(server.request("GET", "/api/reload?dry-run=1")[2])["data"]["errors"]
            shadow.become(REAL, text, made.database)
            # The simulator does not know which words each rule takes; and one kind of error hides others.
            if not any(restartoracle.is_bad_expression(error.get("error", "")) for error in errors.values()):
                assert errors.keys() == shadow.reload(dry_run=True).errors.keys()
    alike()
