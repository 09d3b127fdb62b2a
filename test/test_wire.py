"""A fault at every byte of every answer, for a whole `stage` and a whole `clear`; at some of them in a normal run.

What is promised, and checked after each run:

- *A connection that is cut or stands still*, whatever byte is the first that does not come, and over TLS also a byte
  that is changed: only the truth is said. 3 and "Nothing was written" before the first byte of the write, and all is
  as it was, on the server and on the disk; from then on 5, or 0 where another connection could prove it. `changed`,
  the count of keys that read back as planned and what each key holds "after" are what the server really holds.
- *A bit that is flipped under plain HTTP*, which can make one true answer of another: the program ends by itself; 1,
  3 and 4 have written nothing; what was written is never told with `changed: false`; 0 says of each key what it
  holds, and where nothing was flipped in what it planned by, it is what was wanted.
- After either, the same run without a fault finishes the job, and the other command takes it back. One loss no client
  can prevent: where a flip made stalprep misread what stood before, the setting that was hit may not come back, but
  no other.
"""

import json
import re
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import (CHANGE, HTTP, HTTPS, RUNNER, SMTP, TIMEOUT, chance, config, difference, listener, parsed_snapshot,
                      sample)
from oldserver import Fault as Answer
from wire import PLACES, Fault, Wire

IMAP = listener("imap", 143, "imap", **{"proxy.trusted-networks.0": "192.0.2.0/24"})
FOREIGN, OURS = (f"server.listener.imap.proxy.trusted-networks.{index}" for index in (0, 1))
STANDING = {"auth.dkim.verify": "strict"}  # in the database
# The session's answer without the kilobytes that nobody reads.
SESSION = {"capabilities": {"urn:ietf:params:jmap:core": {"maxCallsInRequest": 16},
                            "urn:ietf:params:jmap:calendars": {},
                            "urn:ietf:params:jmap:sieve": {"implementation": "Stalwart JMAP v0.1.0"}},
           "apiUrl": "https://vm/jmap/"}
ARGUMENTS = {"stage": CHANGE, "clear": ()}
OTHER = {"stage": "clear", "clear": "stage"}
EVERY = 101 if RUNNER else 7  # byte, in a normal run; a runner (qemu, for instance) is slow


class State(NamedTuple):
    """All that a run finds and leaves."""
    local: dict
    database: dict
    text: str          # of config.toml
    files: dict        # in stalprep's folder

    @property
    def settings(self):
        return {**self.database, **self.local}

    @property
    def server(self):
        return self[:3]

    def plain(self):
        """Without the snapshot's time and checksum, to compare."""
        return self._replace(files={name: re.sub(r'"(created|checksum)": ?"[^"]*"', "", text)
                                    for name, text in self.files.items()})


class Bench:
    """One small server, the wire to it and a folder for the snapshot, all set back to a known state before each run."""

    def __init__(self, server, tool, anchors=None):
        self.server, self.tool, self.finished = server, tool, set()
        self.wire = Wire(server.http_port(tls=anchors is not None), records=anchors is not None)
        url = f"127.0.0.1:{self.wire.port}"
        self.reach = ("--url", "https://" + url, "--cacert", anchors) if anchors else ("--url", "http://" + url)
        server.shared_database.update(STANDING)
        for key in [key for key in server.shared_database if key.startswith("queue.virtual.")]:
            del server.shared_database[key]  # as on a server that is older than its program
        server.store.write_local(server.store.local)  # as every later write spells it
        path = "/jmap/session" if server.version >= (0, 12) else "/.well-known/jmap"
        server.faults.append(Answer(method="GET", path=path, times=-1, answer=(200, json.dumps(SESSION))))
        self.goal = {"clear": self.state()}
        check(self.run("stage").status == 0, "not staged")
        self.goal["stage"] = self.state()
        self.finish("clear")

    def start(self, command):
        return self.goal[OTHER[command]]

    def state(self):
        files = {path.name: path.read_text() for path in self.tool.folder.iterdir()}
        with self.server.lock:
            store = self.server.store
            return State(dict(store.local), dict(store.database), self.server.config_text(), files)

    def put(self, state):
        with self.server.lock:
            store = self.server.store
            store.local = dict(state.local)
            store.database.clear()
            store.database.update(state.database)
            Path(self.server.config_path).write_text(state.text)
            self.server.log.clear()
        for path in self.tool.folder.iterdir():
            path.unlink()
        for name, text in state.files.items():
            (self.tool.folder / name).write_text(text)

    def run(self, command, fault=None, options=()):
        process = self.tool.start(command, *self.reach, *ARGUMENTS[command], "--json", *options)
        ended = self.wire.carry(process, TIMEOUT, fault)
        if not ended:
            process.kill()
        ran = self.tool.finish(process)
        check(ended, "it did not end")
        check(ran.status >= 0, f"ended by signal {-ran.status}: {ran.err}")
        check(ran.err == "" and ran.json["exit"] == ran.status, f"status {ran.status}, {ran.said}")
        return ran

    def finish(self, first, lost=()):
        """From the state that stands `first` without a fault, then the other: each does its work but for these keys."""
        for command in (first, OTHER[first]):
            ran = self.run(command)
            goal, now = self.goal[command], self.state()
            wrong = difference(goal.settings, now.settings).keys() - set(lost)
            if command == "stage" and FOREIGN in lost:
                wrong -= {OURS}  # which then stands in the other's place
            check(ran.status == 0 and not wrong, f"then {command}: status {ran.status}, {wrong}, {texts(ran)}")
            check(lost or now.server == goal.server, f"then {command}: the file or the database is not as it was")
        left = [name for name in self.state().files if not name.endswith(".cleared")]
        check(command == "stage" or not left, f"left: {left}")

    def finishes(self, lost):
        """Both ways on from here. What a run does hangs on the state alone, so each state is tried once."""
        state = self.state()
        plain = state.plain()
        if {repr((plain, ())), repr((plain, lost))} & self.finished:
            return
        for first in ("stage", "clear"):
            if first == "stage" or any(name.endswith(".snapshot.json") for name in state.files):
                self.put(state)
                self.finish(first, lost)
        self.finished.add(repr((plain, lost)))

    # What is true

    def judge(self, command, fault, status, options=(), misread=None):
        """One run with a fault, and what comes after it. `status`: those that are right, None: by what the server got.
        `misread`: where it may have taken for true what is not, the keys that this may lose."""
        for _ in range(3):  # a limited time may end before, on a machine with too much to do
            self.put(self.start(command))
            ran = self.run(command, fault, options)
            if self.wire.struck:
                break
        check(self.wire.struck, "nothing happened")
        right = status or self.fitting()
        check(ran.status in right, f"status {ran.status}, not {right}: {texts(ran)}")
        self.check_statement(ran, command)
        if ran.status == 0 and misread is None:
            wrong = difference(self.goal[command].settings, self.state().settings)
            check(not wrong, f"done, it says, but {wrong}")
        self.finishes(misread or ())

    def fitting(self):
        """The statuses that fit what the server answered to the writes that reached it."""
        answers = {answer for method, _, _, answer in self.server.log if method == "POST"}
        return (0, 5, 6) if 200 in answers else (1, 4, 5) if answers else (1, 3)

    def check_statement(self, ran, command):
        start, now, text = self.start(command), self.state(), texts(ran)
        landed = now.server != start.server
        check(ran.json["changed"] or not landed, f"written, and not said: {text}")
        if ran.status in (1, 3, 4):
            check(not landed and now.files == start.files, f"status {ran.status}, but it is written: {now.files}")
            check(not ran.json["changed"] and "Nothing was written." in text, f"not said: nothing was written: {text}")
        else:
            check("Nothing was" not in text, text)
        if ran.status == 5 or (ran.status, command) == (0, "stage"):
            kept = [parsed_snapshot(text)["state"] for name, text in now.files.items() if name.endswith(".snapshot.json")]
            check(kept == ["sending" if ran.status == 5 else "proved"],
                  f"the next run can't know what is known: {now.files}")
        if ran.status == 0 or "A read now shows that " in text:
            self.check_keys(ran)

    def check_keys(self, ran):
        """What the report says that each key holds, and how many are as planned."""
        settings = self.state().settings
        keys = ran.target["keys"]
        wrong = [key for key in keys if key["after"] != settings.get(key["key"])]
        check(not wrong, f"other values are there than said: {wrong}")
        right = sum(settings.get(key["key"]) == key["wanted"] for key in keys)
        said = re.search(r"A read now shows that (\d+) of (\d+) keys", texts(ran))
        check(not said or (int(said[1]), int(said[2])) == (right, len(keys)), f"{right} keys are right: {texts(ran)}")


class Wrong(Exception):
    """A promise that was not kept."""


def check(kept, what):
    if not kept:
        raise Wrong(what)


def texts(ran):
    return " ".join(message["text"] for message in ran.json["messages"])


# The answers of an undisturbed run

MARKS = [("keys", b"keys?keys=oauth"), ("every", b"/api/settings/list"), ("session", b"/jmap/session"),
         ("well-known", b"/.well-known/jmap"), ("write", b"POST /api/settings")]


class Part(NamedTuple):
    """One answer in the server's stream."""
    name: str          # see MARKS; "refused": to a write in the other spelling; "read back": the last
    start: int
    body: int
    end: int


def parts(bench, command):
    bench.put(bench.start(command))
    bench.run(command)
    lines = re.findall(rb"(?:GET|POST) /\S+ HTTP/1.1", bytes(bench.wire.requested))
    names = [next(name for name, mark in MARKS if mark in line) for line in lines]
    names[-1] = "read back"
    names[:-2] = ["refused" if name == "write" else name for name in names[:-2]]
    found, at = [], 0
    for name in names:
        body = bench.wire.sent.index(b"\r\n\r\n", at) + 4
        end = body + int(re.search(rb"content-length: (\d+)", bench.wire.sent[at:body])[1])
        found.append(Part(name, at, body, end))
        at = end
    assert at == len(bench.wire.sent) and names[-2] == "write"
    return found


# What a connection that ends in an answer leaves to be said.
CUT = {"refused": (5,), "write": (5,), "read back": (0,)}
LOST = {"refused": (5,), "write": (5,), "read back": (5,)}
UNREACHED = (3,)


def hit(stream, at):
    """The key whose setting the byte belongs to, if it is one of those."""
    return {pair[1].decode() for pair in re.finditer(rb'"([^"]*)":"([^"]*)",?', stream) if at in range(*pair.span())}


class Failures:
    """Goes on after the first, and tells each kind once."""

    def __init__(self):
        self.found, self.count = {}, 0

    def __enter__(self):
        return self

    def expect(self, name, bench, *arguments):
        self.count += 1
        try:
            bench.judge(*arguments)
        except Wrong as wrong:
            self.found.setdefault(str(wrong), []).append(f"{name} {arguments[1]}")

    def __exit__(self, kind, *_):
        told = [f"{len(places)} times, first {places[0]}: {wrong}" for wrong, places in self.found.items()]
        assert kind or (self.count and not told), "\n".join([f"of {self.count} runs:", *told])


@pytest.fixture
def bench(simulate, run):
    wires = []

    def make(version, *listeners, **options):
        bench = Bench(simulate(version, config(SMTP, IMAP, *listeners)), run, **options)
        wires.append(bench.wire)
        return bench
    yield make
    for wire in wires:
        wire.close()


# Every byte over plain HTTP. The second flip of a byte is of one of its other bits, by chance.

KINDS = [("cut", 1), ("gone", 1), ("flip", 1), ("flip", 0)]
SHARES = 4
TIMES = ("--max-time", "5" if RUNNER else "1")


def faults(found, kind, mask):
    """For each byte of these answers: its answer, the fault, the statuses that are right, further options. A head that
    is changed can make the program wait for bytes that never come."""
    bits = chance("bits")
    for part in found:
        for at in range(part.start, part.end):
            if kind == "flip":
                yield part, Fault(kind, at, mask or 2 << bits.randrange(7)), None, TIMES if at < part.body else ()
            elif kind == "cut" or part.name in LOST:
                yield part, Fault(kind, at), {"cut": CUT, "gone": LOST}[kind].get(part.name, UNREACHED), ()


def try_all(one, command, found, kind, mask, share=slice(None)):
    text = bytes(one.wire.sent)
    with Failures() as failures:
        for part, fault, status, options in sample(faults(found, kind, mask), EVERY, command, kind, mask)[share]:
            misread = hit(text, fault.at) if (part.name, kind) == ("every", "flip") else None
            failures.expect(f"{part.name}+{fault.at - part.start}", one, command, fault, status, options, misread)


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("kind,mask", KINDS)
@pytest.mark.parametrize("command", ["stage", "clear"])
def test_every_byte(bench, command, kind, mask, share):
    one = bench("0.15.5", HTTP)
    try_all(one, command, parts(one, command), kind, mask, slice(share, None, SHARES))


@pytest.mark.parametrize("kind,mask", KINDS)
@pytest.mark.parametrize("command", ["stage", "clear"])
def test_every_byte_of_an_older_server(bench, command, kind, mask):
    """Of the answers that only such a one gives: no session, the version, and no to the first spelling of a write."""
    one = bench("0.9.4", HTTP)
    found = [part for part in parts(one, command) if part.name in ("session", "well-known", "refused")]
    assert len(found) == 3
    try_all(one, command, found, kind, mask)


@pytest.mark.parametrize("command", ["stage", "clear"])
def test_hang_up_between_answers(bench, command):
    """The connection ends before the next request is sent, not in its answer. What has ended by the time that one looks
    at it is made anew."""
    one = bench("0.15.5", HTTP)
    seen_or_not = {**CUT, "keys": (0, *UNREACHED), "write": (0, *CUT["write"])}
    with Failures() as failures:
        for part in parts(one, command)[1:]:
            failures.expect(part.name, one, command, Fault("hang up", part.start),
                            seen_or_not.get(part.name, UNREACHED))


@pytest.mark.parametrize("command", ["stage", "clear"])
@pytest.mark.parametrize("share", range(2))
def test_stall(bench, command, share):
    one = bench("0.15.5", HTTP)
    with Failures() as failures:
        for part in sample(parts(one, command), 2, "stall", command, share):
            at = (part.start, (part.start + part.end) // 2)[share]
            failures.expect(part.name, one, command, Fault("stall", at), LOST.get(part.name, UNREACHED), TIMES)


# Over TLS: what is changed on the way is not taken for true

@pytest.mark.parametrize("kind", ["cut", "flip"])
@pytest.mark.parametrize("command", ["stage", "clear"])
def test_tls_records(bench, ca, command, kind):
    one = bench("0.15.5", HTTPS, anchors=ca.file)
    one.put(one.start(command))
    one.run(command)
    with Failures() as failures:
        records = product(range(one.wire.records_with_data()), PLACES)
        for number, place in sample(records, 3, "records", command, kind):
            failures.expect(f"{number} {place}", one, command, Fault(kind, number, 1, place), None,
                            TIMES if kind == "flip" else ())


@pytest.mark.parametrize("command", ["stage", "clear"])
def test_tls_stall_of_the_handshake(bench, ca, command):
    """--connect-timeout alone ends it."""
    one = bench("0.15.5", HTTPS, anchors=ca.file)
    with Failures() as failures:
        for place in ("header", "middle"):
            failures.expect(place, one, command, Fault("stall", 1, 1, place), UNREACHED,
                            ("--connect-timeout", TIMES[1], "--max-time", str(10 * TIMEOUT)))
