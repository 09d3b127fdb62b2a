#!/usr/bin/env python3
"""Measures $STALPREP beside what it is compared with: `make bench`.

Both sides of a row are measured in one run, in turns, seven times each; the middle one counts, and the least and the
most are told beside it. What is timed is a process from its start to its end, by the clock and by its processor time.
The simulator is the server for both sides, in a process of its own. The table is printed, kept in test/BENCH and put
into the README in place of the one before. It is no test: nothing fails here but what does not run.
"""

import argparse
import contextlib
import fcntl
import heapq
import itertools
import json
import multiprocessing
import os
import platform
import re
import selectors
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import process
import test_bounds
from conftest import BINARY, CHANGE, MEMORY, PASSWORD, RELAY, ROOT, Authority, guide_bodies, memory_fits
from oldserver import Fault, OldServer
from test_connection import LIST, bans, listed
from wire import Wire

RUNS = 7
VERSION = "0.15.5"
DELAY = 0.02            # seconds each way
LOOP = 'i=0; while [ $i -lt 100 ]; do "$@" || exit; i=$((i + 1)); done'
SECONDS = 600           # no run takes that long
TABLE = ROOT / "test" / "BENCH"
README = ROOT / "README"

STAGE = ("stage", *CHANGE, *RELAY)
PRINT = ("print", *CHANGE)
STATIC_TRUE = "int main(void) { return 0; }\n"

# An ordinary server beside the quickstart's settings: rules, scores and lists like the vendor's, 3,400 keys and 175 KB.
ORDINARY = {
    **{f"spam-filter.rule.stwt_rule_{n:03}.{key}": value for n in range(340) for key, value in (
        ("enable", "true"), ("priority", "500"), ("scope", "email"),
        ("condition", f"location == 'subject' && len(value) > {n}"))},
    **{f"spam-filter.list.scores.TAG_{n:04}_USED": f"{n % 90 / 10}" for n in range(680)},
    **{f"lookup.spam-free.example-{n:06}.example": "" for n in range(1360)},
}


# One run of a process

@dataclass
class Run:
    wall: float         # seconds
    cpu: float          # of all processors, user and system


def run(*args, status=0):
    """From the start to the end. Nothing of it is read, and it reads nothing."""
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    environment = {"PATH": os.environ["PATH"], "STALPREP_PASSWORD": PASSWORD}
    began = time.perf_counter()
    pid = os.posix_spawnp(args[0], args, environment, file_actions=null)
    _, ended, used = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    if os.waitstatus_to_exitcode(ended) != status:
        raise RuntimeError(f"status {os.waitstatus_to_exitcode(ended)}: {' '.join(args)}")
    return Run(wall, used.ru_utime + used.ru_stime)


def runs(commands):
    """One after the other."""
    each = [run(*command) for command in commands]
    return Run(sum(one.wall for one in each), sum(one.cpu for one in each))


def started(args, **options):
    environment = {"PATH": os.environ["PATH"], "STALPREP_PASSWORD": PASSWORD}
    return subprocess.Popen(args, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, **options)


def peak(args):
    """The most memory that a run had, in KB."""
    one = started(args, preexec_fn=process.trace_me)
    most = process.peak_memory(one)
    if one.returncode:
        raise RuntimeError(f"status {one.returncode}: {' '.join(args)}")
    return most


def carried(port, commands):
    """Turns, connections, bytes up and bytes down of these commands, each given the port that it asks."""
    wire, sums = Wire(port), [0, 0, 0, 0]
    try:
        for command in commands(wire.port):
            one = started(command)
            if not wire.carry(one, SECONDS) or one.wait():
                raise RuntimeError(" ".join(command))
            found = wire.turns, wire.connections, len(wire.requested), len(wire.sent)
            sums = [a + b for a, b in zip(sums, found)]
    finally:
        wire.close()
    return sums


# Processes and a network of our own

CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP, PR_SET_PDEATHSIG = 0x40000000, 0x8914, 1, 1


def be_alone():
    """In a network of its own, where that can be had: the sockets of others take time."""
    if process.LIBC.unshare(CLONE_NEWNET) == 0:
        with socket.socket() as one:
            fcntl.ioctl(one, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


class Helper:
    """A process that says which port it has, and then does what it is told."""

    def __init__(self, what, *args):
        self.pipe, other = multiprocessing.Pipe()
        self.child = multiprocessing.Process(target=self.work, args=(what, other, *args), daemon=True)
        self.child.start()
        self.port = self.pipe.recv()

    @staticmethod
    def work(what, *args):
        process.LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # it ends with the benchmark, however that ends
        what(*args)

    def reset(self):
        self.pipe.send(None)
        self.pipe.recv()

    def stop(self):
        self.child.kill()
        self.child.join()


def serve(pipe, folder, pair, more):
    """A server in whose list these keys stand too. The list is made only once, since the simulator takes longer for it
    than a real server. It forgets what was written when it is told."""
    server = OldServer(VERSION, folder, certfile=pair.cert, keyfile=pair.key).start()
    server.faults.append(Fault(**LIST, times=-1, answer=(200, listed(server, more)), done=False))
    local, database = dict(server.store.local), dict(server.store.database)
    pipe.send(server.http_port(tls=True))
    while True:
        pipe.recv()
        with server.lock:
            server.store.write_local(dict(local))
            server.store.database.clear()
            server.store.database.update(database)
            server.log.clear()
        pipe.send(None)


def relay(pipe, port):
    """Leads to `port`, with DELAY each way. A new connection takes a turn: its first bytes wait that long."""
    listener = socket.create_server(("127.0.0.1", 0))
    pipe.send(listener.getsockname()[1])
    poll, due, order = selectors.SelectSelector(), [], itertools.count()  # of selectors it alone counts microseconds
    poll.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in poll.select(max(0, due[0][0] - time.monotonic()) if due else None):
            now = time.monotonic()
            if key.fileobj is listener:
                client, server = listener.accept()[0], socket.create_connection(("127.0.0.1", port))
                for one, other, opened in ((client, server, now + 2 * DELAY), (server, client, 0)):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    poll.register(one, selectors.EVENT_READ, (other, opened))
                continue
            other, opened = key.data
            with contextlib.suppress(ConnectionError):
                data = key.fileobj.recv(1 << 18)
            if not data:
                poll.unregister(key.fileobj)
            heapq.heappush(due, (max(now, opened) + DELAY, next(order), other, data))
        while due and due[0][0] <= time.monotonic():
            _, _, other, data = heapq.heappop(due)
            with contextlib.suppress(OSError):
                other.sendall(data) if data else other.shutdown(socket.SHUT_WR)


# The table

@dataclass
class Row:
    """One figure: what was measured on both sides, and the most that it may be, as a ratio or by itself."""
    what: str
    against: str
    unit: str
    ours: list
    theirs: list
    wanted: float = None        # of the ratio
    most: float = None          # of our own

    @property
    def ratio(self):
        return statistics.median(self.ours) / statistics.median(self.theirs)

    def met(self):
        return self.ratio <= self.wanted if self.most is None else statistics.median(self.ours) <= self.most

    def cells(self, spread=True):
        bound = f"{self.wanted:g} times" if self.most is None else f"{self.most:,} {self.unit}".strip()
        return [self.what, told(self.ours, self.unit, spread), told(self.theirs, self.unit, spread), self.against,
                f"{self.ratio:.2f}", bound, "" if self.met() else "not met"]


def number(value, unit):
    return f"{value:,.0f}" if unit in ("KB", "B", "") or value >= 1000 else f"{value:.3g}"


def told(values, unit, spread):
    """The middle one, and the least and the most where they differ."""
    text = f"{number(statistics.median(values), unit)} {unit}".strip()
    least, most = (number(value, unit) for value in (min(values), max(values)))
    return f"{text} ({least}-{most})" if spread and least != most else text


def milliseconds(pairs, which):
    return tuple([getattr(one, which) * 1000 for one in side] for side in pairs)


# The rows

class Bench:
    def __init__(self, folder, memory, runs_each):
        self.folder, self.memory, self.runs, self.numbers = folder, memory, runs_each, itertools.count()
        (folder / "ca").mkdir()
        self.ca = Authority(folder / "ca")
        self.pair = self.ca.issue("localhost", "127.0.0.1")
        self.helpers = []

    def in_turns(self, ours, theirs):
        """All runs of both, as two lists."""
        pairs = [(ours(), theirs()) for _ in range(self.runs)]
        return [a for a, _ in pairs], [b for _, b in pairs]

    def help(self, what, *args):
        self.helpers.append(Helper(what, *args))
        return self.helpers[-1]

    def serve(self, more):
        folder = self.folder / f"server{next(self.numbers)}"
        folder.mkdir()
        return self.help(serve, str(folder), self.pair, more)

    def fresh(self, server):
        """The server and the folder of the snapshots as they were before."""
        server.reset()
        for place in (self.folder, self.memory):
            shutil.rmtree(place / "snapshots", ignore_errors=True)
            (place / "snapshots").mkdir()

    def stage(self, port, place=None):
        return [(BINARY, *STAGE, "--url", f"https://127.0.0.1:{port}", "--cacert", self.ca.file, "--snapshot-dir",
                 str((place or self.memory) / "snapshots"))]

    @staticmethod
    def guide(port):
        """The guide's four commands."""
        return [("curl", "-sk", "-f", "-u", f"admin:{PASSWORD}", "-H", "Content-Type: application/json",
                 f"https://127.0.0.1:{port}/api/settings", "-d", json.dumps(body)) for body in guide_bodies(VERSION)]

    def both(self, server, measure, place=None):
        """All runs of `measure` for the stage, with its snapshot in a place, and for the guide's commands."""
        def one(commands):
            self.fresh(server)
            return measure(commands)
        return self.in_turns(lambda: one(lambda port: self.stage(port, place)), lambda: one(self.guide))

    def against_guide(self, server, name, wall, cpu, far, memory):
        """The figures that a server of either kind has; their bounds. The snapshot is in memory: a disk takes what it
        takes, so that is a row by itself."""
        against = "the guide's curl"
        near = self.both(server, lambda commands: runs(commands(server.port)))
        yield Row(f"{name}: wall", against, "ms", *milliseconds(near, "wall"), wanted=wall)
        yield Row(f"{name}: wall, snapshot on the disk", against, "ms", *milliseconds(
            self.both(server, lambda commands: runs(commands(server.port)), self.folder), "wall"), wanted=wall)
        yield Row(f"{name}: client CPU", against, "ms", *milliseconds(near, "cpu"), wanted=cpu)
        way = self.help(relay, server.port)
        yield Row(f"{name}: wall, 20 ms each way", against, "ms", *milliseconds(
            self.both(server, lambda commands: runs(commands(way.port))), "wall"), wanted=far)
        peaks = self.both(server, lambda commands: max(peak(args) for args in commands(server.port)))
        yield Row(f"{name}: peak memory", "curl", "KB", *peaks, most=memory)

    def bare(self):
        server = self.serve({})
        yield from self.against_guide(server, "stage", 0.25, 0.18, 0.55, 512)
        counts = self.both(server, lambda commands: carried(server.port, commands))
        for at, (what, unit, most) in enumerate([("turns", "", 6), ("connections", "", 1), ("bytes up", "B", 3800),
                                                 ("bytes down", "B", 16000)]):
            yield Row(f"stage: {what}", "the guide's curl", unit, *([one[at] for one in side] for side in counts),
                      most=most)

    def ordinary(self):
        yield from self.against_guide(self.serve(ORDINARY), "ordinary server", 0.6, 0.25, 0.7, 1200)

    def bans(self):
        many, few = (self.serve(bans(count)) for count in (500_000, 50_000))

        def one(server, measure):
            self.fresh(server)
            return measure(self.stage(server.port))
        pairs = self.in_turns(lambda: one(many, runs), lambda: one(few, runs))
        yield Row("500,000 bans: wall", "50,000 bans", "ms", *milliseconds(pairs, "wall"), wanted=11)
        pairs = self.in_turns(*(lambda server=server: one(server, lambda commands: peak(*commands))
                                for server in (many, few)))
        yield Row("500,000 bans: peak memory", "50,000 bans", "KB", *pairs, most=64 * 1024)

    # config.toml

    def file(self, text):
        """Gives how to stage this file; each time it is written first."""
        folder = self.folder / f"etc{next(self.numbers)}"
        folder.mkdir()

        def staged(measure):
            for old in folder.iterdir():
                old.unlink()
            (folder / "config.toml").write_text(text)
            return measure((BINARY, *STAGE, "--config", str(folder / "config.toml"), "--dialect", "0.15"))
        return staged

    def listeners(self):
        many, few = (self.file(test_bounds.lines(test_bounds.many(count))) for count in (1000, 100))
        pairs = self.in_turns(*(lambda one=one: one(lambda args: run(*args)) for one in (many, few)))
        yield Row("config.toml, 1,000 listeners: wall", "100 listeners", "ms", *milliseconds(pairs, "wall"), wanted=12)

    def large(self):
        text = test_bounds.HEAD + "".join(test_bounds.CONTENTS["lines of 50"](n) for n in range(750_000))
        cut = [text[:text.index("\n", size) + 1] for size in (32_000_000, 3_200_000)]
        many, few = map(self.file, cut)
        pairs = self.in_turns(*(lambda one=one: one(lambda args: run(*args)) for one in (many, few)))
        yield Row("config.toml, 32 MB: wall", "3.2 MB", "ms", *milliseconds(pairs, "wall"), wanted=11)
        pairs = self.in_turns(lambda: many(peak), lambda: len(cut[0]) / 1024)
        yield Row("config.toml, 32 MB: peak memory", "the file", "KB", *pairs, wanted=4)

    # The program by itself

    def start(self):
        source, true = self.folder / "true.c", self.folder / "true"
        source.write_text(STATIC_TRUE)
        compiler, = (ROOT / "build").glob(f"{platform.machine()}-linux-musl/bin/*-cc")
        subprocess.run([compiler, "-Os", "-s", "-o", true, source], check=True)
        pairs = self.in_turns(*(lambda args=args: run("sh", "-c", LOOP, "sh", *args)
                                for args in ((BINARY, *PRINT), (str(true),))))
        yield Row("print, 100 times from a shell: wall", "a static true", "ms", *milliseconds(pairs, "wall"),
                  wanted=1.1)

    def disk(self):
        curl = shutil.which("curl")
        libraries = re.findall(r"(?:=> |^\s*)(/\S+)", subprocess.check_output(["ldd", curl], text=True), re.M)
        size = sum(os.stat(path).st_size for path in {os.path.realpath(path) for path in (curl, *libraries)})
        yield Row("bytes on disk", "curl and libraries", "B", [os.stat(BINARY).st_size], [size], most=384 * 1024)

    def probe(self):
        """Ports that take a connection and say nothing."""
        silent = [socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(10)]
        named = [option for one in silent for option in ("--port", f"{one.getsockname()[1]}=imap")]

        def looked(options):
            return run(BINARY, "probe", "127.0.0.1", *options, "--silence", "1")
        pairs = self.in_turns(lambda: looked(named), lambda: looked(named[:2]))
        yield Row("probe, 10 silent ports: wall", "1 silent port", "ms", *milliseconds(pairs, "wall"), wanted=1.2)

    parts = {"bare": bare, "ordinary": ordinary, "bans": bans, "listeners": listeners, "large": large, "start": start,
             "disk": disk, "probe": probe}


# Printed and kept

HEADS = ["what", "stalprep", "the other", "which is", "ratio", "at most", ""]


def table(rows, spread=True):
    cells = [HEADS, *(row.cells(spread) for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(HEADS))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() + "\n" for line in cells)


def about():
    """Date, commit, machine."""
    def said(*command):
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return "".join(f"# {line}\n" for line in (
        "Made by `make bench`: the middle of seven runs of each side, in turns (the least - the most).",
        f"{time.strftime('%Y-%m-%d')}, {said('git', 'describe', '--always', '--dirty') or 'no revision'}, "
        f"{os.cpu_count()} processors ({model[1] if model else platform.machine()}), Linux {platform.release()}, "
        f"{said('curl', '--version').partition(' (')[0]}"))


def keep(rows):
    """In the file, and without the spread in place of the README's table, which ends with an empty line."""
    TABLE.write_text(about() + table(rows))
    quoted = textwrap.indent(table(rows, spread=False), "    ")
    README.write_text(re.sub(r"^    what\b.*?\n(?=\n)", lambda _: quoted, README.read_text(), flags=re.M | re.S))


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("part", nargs="*", metavar="PART",
                         help=f"only these ({', '.join(Bench.parts)}); nothing is kept")
    options.add_argument("--runs", type=int, default=RUNS, help="of each side (%(default)s)")
    given = options.parse_args()
    be_alone()
    folder, rows = Path(tempfile.mkdtemp(prefix="bench", dir=ROOT / "build")), []
    memory = Path(tempfile.mkdtemp(prefix="bench", dir=MEMORY)) if memory_fits() else folder
    bench = Bench(folder, memory, given.runs)
    try:
        for name in given.part or Bench.parts:
            for row in Bench.parts[name](bench):
                print("; ".join(cell for cell in row.cells() if cell), flush=True)
                rows.append(row)
    finally:
        for helper in bench.helpers:
            helper.stop()
        for place in {folder, memory}:
            shutil.rmtree(place)
    if not given.part:
        keep(rows)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    sys.exit(main())
