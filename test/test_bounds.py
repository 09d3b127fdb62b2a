"""Many listeners, binds and networks, large files: what is too much is refused by name, and all else is done in the
memory and the time that it may take."""

import contextlib
import json
import os
import re
import shutil

import pytest

import oldconfig
from conftest import CHANGE, HTTP, PROXY, RUNNER, SMTP, config, listener, reach, state, static, write, writes
from oldserver import Fault
from test_config import Bench, native
from test_connection import LIST, READS, listed

MOST = 1000
MIB = 1 << 20
LISTENERS = ("stage", "--proxy", "203.0.113.10", "--only", "listeners")
native_memory = pytest.mark.skipif(bool(RUNNER) or not shutil.which("prlimit"), reason="no limit can be set here")


@pytest.fixture
def bench(run, tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir()
    return Bench(run, folder)


def many(count):
    """The keys of so many listeners, one of them port 25, and one that the API is reached by."""
    values = {"smtp": (25, "smtp"), "http": (8080, "http")}
    values |= {f"imap{n}": (10000 + n, "imap") for n in range(count - 2)}
    return {f"server.listener.{name}.{key}": value for name, (port, protocol) in values.items()
            for key, value in (("bind", f"[::]:{port}"), ("protocol", protocol))}


def lines(keys):
    return "".join(f'{key} = "{value}"\n' for key, value in keys.items())


def staged(keys):
    """What a stage of the listeners adds."""
    names = [key.split(".")[2] for key in keys if key.endswith(".protocol") and ".smtp." not in key]
    return {f"server.listener.{name}.proxy.{key}": value for name in names
            for key, value in (("override", "true"), ("trusted-networks.0", PROXY))}


# Just as many as are allowed

def test_many_listeners(bench):
    text = lines(many(MOST))
    bench.put(text)
    bench(*LISTENERS)
    assert oldconfig.read_text(bench.text, (0, 15, 5)) == many(MOST) | staged(many(MOST))
    bench("status", "--only", "listeners")
    bench("clear")
    assert bench.text == text


@pytest.fixture
def server(simulate):
    return simulate(config=config(SMTP, HTTP))


def test_many_listeners_of_a_server(run, server):
    write(server, many(MOST))
    run("stage", *CHANGE, *reach(server), status=0)
    assert staged(many(MOST)).items() <= server.settings().items()
    run("status", *reach(server), status=0)


def test_more_than_one_request(run, server):
    """Names so long that their keys take more than the server reads in a request."""
    long = {key.replace("imap", f"{'x' * 600}-imap"): value for key, value in many(MOST).items()}
    for end in ("bind", "protocol"):
        write(server, {key: value for key, value in long.items() if key.endswith(end)})
    server.log.clear()
    run("stage", *CHANGE, *reach(server), status=0)
    bodies = [body for method, _, body, _ in server.log if method == "POST"]
    assert len(bodies) == 2 and max(map(len, bodies)) <= 1 << 20 and staged(long).items() <= server.settings().items()
    run("status", *reach(server), status=0)


# Much of what is allowed, or far too much, in little time

BUSY = ("sh", "-c", 'ulimit -t 20 && exec "$@"', "sh")     # seconds of a processor


def networks(listeners, each):
    return {f"server.listener.imap{number}.proxy.trusted-networks.{n:05}": f"10.{n >> 8}.{n & 255}.1"
            for number in range(listeners) for n in range(each)}


@pytest.mark.skipif(bool(RUNNER), reason="a runner takes its own time")
@pytest.mark.parametrize("listeners,each", [(MOST - 2, 80), (1, 80000)])
@pytest.mark.parametrize("command", [("stage", *CHANGE, "-n"), ("status", *CHANGE)], ids=["stage", "status"])
def test_eighty_thousand_networks(run, server, command, listeners, each):
    """On a thousand listeners they are compared, on one they are too many."""
    text = listed(server, many(MOST) | networks(listeners, each))
    items = json.dumps({"data": json.loads(text)["data"]["items"]})
    server.faults += Fault(**LIST, answer=(200, text)), Fault(**READS["status"], answer=(200, items))
    ran = run(*command, *reach(server), wrap=BUSY)
    if listeners == 1:
        assert ran.status == 1 and "refused (too-many)" in ran.err and "more than 1000 networks" in ran.err
    else:
        assert ran.status == (0 if command[0] == "stage" else 7), ran.err


@native_memory
@static
@pytest.mark.parametrize("where", ["server", "server.listener.imap{}"])
def test_lists_are_read_once(bench, where):
    """Nine listeners with 990 networks, their own or the global ones: a second look took a gigabyte and ten seconds."""
    text = lines(many(11)) + "".join(
        f'{where.format(n)}.proxy.trusted-networks.{i:04} = "10.{i >> 8}.{i & 255}.0/24"\n'
        for n in range(1 if where == "server" else 9) for i in range(990))
    bench.put(text)
    for command in "stage", "stage", "status":
        bench(command, *CHANGE, "--new-server", "192.0.2.7", "--dialect", "0.15",
              wrap=["prlimit", f"--as={64 * MIB}", "--cpu=5"])
    bench("clear")
    assert bench.text == text


# One more

IMAP = {"server.listener.imap.bind": "[::]:143", "server.listener.imap.protocol": "imap"}


def one_more(key):
    return many(2) | IMAP | {f"{key}.{n:04}": f"10.{n >> 8}.{n & 255}.0:1" for n in range(MOST + 1)}


TOO_MANY = {
    "listeners": (many(MOST + 1), "more than 1000 listeners"),
    "binds": (one_more("server.listener.imap.bind"), "more than 1000 binds at server.listener.imap.bind"),
    "networks": (one_more("server.listener.imap.proxy.trusted-networks"), "more than 1000 networks at server.listener"),
    "global networks": (one_more("server.proxy.trusted-networks"), "more than 1000 networks at server.proxy"),
}


@pytest.mark.parametrize("what", TOO_MANY)
def test_too_many(bench, run, server, what):
    keys, said = TOO_MANY[what]
    bench.put(lines(keys))
    write(server, keys)
    server.log.clear()
    before = state(server)
    for command in (("stage", *CHANGE), ("stage", *CHANGE, "--force", "running"), ("clear", *CHANGE), ("status",)):
        for ran in (bench(*command, status=1), run(*command, *reach(server), status=1)):
            assert "refused (too-many)" in ran.err and said in ran.err
            assert ("Nothing was written" in ran.err) == (command[0] != "status")
    assert bench.files() == {"config.toml": lines(keys).encode()} and writes(server) == 0 and state(server) == before


@native_memory
def test_binds_are_counted_first(bench):
    """A hundred thousand of them took gigabytes."""
    binds = [f"[::]:{n}" for n in range(40000)]
    bench.put(SMTP + listener("imap", 143, "imap", bind=binds))
    ran = bench(*LISTENERS, status=1, wrap=["prlimit", f"--as={32 << 20}"])
    assert "refused (too-many)" in ran.err and "imap" in ran.err


# Memory: four times the file

BESIDE = 12 * MIB  # what is kept of a file, and the plan of a thousand listeners
SIZE = 2 * MIB
HEAD = SMTP + listener("imap", 143, "imap")
FLAT = lines(many(3))
CONTENTS = {
    "comments": lambda n: f"# {n} says what follows, in a line of a usual length\n",
    "values": lambda n: f'[certificate.c{n}]\ncert = """\n' + "MIIFazCCA1OgAwIBAgIRAIIQz7DSQONZRGPgu2OCiwAwDQYJ\n" * 40 +
    '"""\n',
    "lines of 50": lambda n: f'[lookup.t{n}]\n' if n % 10 == 0 else f'item{n:07} = "of a usual length, as most are"\n',
    "lines of 20": lambda n: '[directory.local]\n' if n == 0 else f'key{n:07} = "abc"\n',
    "short keys": lambda n: '[lookup]\n' if n == 0 else f"{n:x}=1\n",
    "tables": lambda n: f"[t{n:x}]\n" if n % 2 else "a=1\n",
    "lists": lambda n: "a=[" + "100," * 500 + "]\n" if n == 0 else f"[u{n}]\na=[{'100,' * 500}]\n",
    "bans": lambda n: "[server.blocked-ip]\n" if n == 0 else f'"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" = ""\n',
    "other settings of the server": lambda n: "[server]\n" if n == 0 else f"s{n:x}=1\n",
    "no table at all": lambda n: f"u.{n:x}=1\n" if n else FLAT,
    "no table at all, nor order": lambda n: f"{n * 7919 % 1000003:x}=1\n" if n else FLAT,
}


def large(what):
    parts, length, n = ["" if what.startswith("no table") else HEAD], 0, 0
    while length < SIZE:
        parts.append(CONTENTS[what](n))
        length += len(parts[-1])
        n += 1
    return "".join(parts)


def memory_for(text, beside=BESIDE):
    return ["prlimit", f"--as={4 * len(text) + beside}"]


def stage_and_clear(bench, text, limit, listeners):
    bench.put(text)
    bench("stage", *CHANGE, "--dialect", "0.15", wrap=limit)
    assert len(re.findall(r'proxy.override = "?true', bench.text)) == listeners
    bench("status", wrap=limit)
    bench("clear", wrap=limit)
    assert bench.text == text


@static
@native_memory
@pytest.mark.parametrize("what", CONTENTS)
def test_memory(bench, what):
    text = large(what)
    stage_and_clear(bench, text, memory_for(text, MIB // 2), 1 if HEAD in text else 2)


@native
def test_twice_among_many(bench):
    """What is dropped is compared, however full the table is."""
    keys = [f"lookup.blocked-domains.k{n:06}" for n in range(49_149)]  # three quarters of it
    for n in 7, 42_190, 48_245, 48_863, 48_925, 48_936:  # all but the first had found no place once
        bench.put(lines(many(2)) + "".join(f"{key} = 1\n" for key in (*keys, keys[n])))
        assert "is given twice" in bench("status", status=1).err, keys[n]


# What a plan may need is kept, so that has a bound: how much of a kind is just below it. The long names come in front of
# short keys in the file, but in each key in memory. Up to a third of it takes no more than four times such a file.
KEPT = {
    "short keys of the queue": (29_500, lambda n: f"{n:x}=1\n" if n else "[queue]\n"),
    "long keys of the queue": (19_200, lambda n: f'item{n:07} = "of a usual length, as most are"\n' if n else "[queue]\n"),
    "a long list": (43_000, lambda n: "1," if n else "auth.a = ["),
    "tables of the session": (18_300, lambda n: f"[session.t{n:x}]\na=1\n"),
    "headers": (61_000, lambda n: f"[auth.{n:x}]\n"),
    "settings of a listener": (23_800, lambda n: f"s{n:x}=1\n" if n else "[server.listener.imap]\n"),
    "a long name": (505, lambda n: f"{n:x}=1\n" if n else f"[queue.{'x' * 3900}]\n"),
    "marks": (83_000, lambda n: "#stalprep-x\n"),
}


def kept(what, factor=1):
    """A file of which so much is kept; the rest is what costs most among all that is not."""
    count, line = KEPT[what]
    text = "".join(map(line, range(int(count * factor)))) + ("1]\n" if what == "a long list" else "")
    own = what == "settings of a listener"
    head = SMTP if own else HEAD
    text = text + head if what == "a long list" else head + text
    text += 'bind = "[::]:143"\nprotocol = "imap"\n' if own else ""
    return text + "".join(map(CONTENTS["lines of 20"], range(max(SIZE - len(text), 0) // 19)))


@native_memory
@static
@pytest.mark.parametrize("factor,beside", [(0.31, MIB // 2), (1, BESIDE)], ids=["much", "most"])
@pytest.mark.parametrize("what", KEPT)
def test_what_is_kept(bench, what, factor, beside):
    text = kept(what, factor)
    stage_and_clear(bench, text, memory_for(text, beside), 1)


@native_memory
@static
def test_listeners_with_many_keys(bench):
    """As many as there may be, each with more keys than anybody gives one."""
    keys = many(MOST)
    keys |= {f"{key.rpartition('.')[0]}.setting{n}": n for key in keys if key.endswith(".bind") for n in range(15)}
    text = lines(keys)
    stage_and_clear(bench, text, memory_for(text), MOST - 1)


@native_memory
@pytest.mark.parametrize("factor", [1.1, 5])
@pytest.mark.parametrize("what", KEPT)
def test_more_than_is_kept(bench, what, factor):
    text = kept(what, factor)
    bench.put(text)
    for command in ("stage", *CHANGE, "--dialect", "0.15"), ("status",):
        ran = bench(*command, wrap=memory_for(text), status=1)
        assert "refused (too-many)" in ran.err and "more settings than stalprep can look at, up to line" in ran.err
    assert bench.text == text


def look_beside(run, server, file, text):
    """What a stage, which would change the file, and a status say of a file of the next start."""
    file.write_text(text)
    for command, status in (("stage", *CHANGE, "-n"), 1), (("status", *CHANGE), 7):
        yield run(*command, *reach(server), "--boot-config", file, wrap=memory_for(text), status=status).err


@native_memory
@pytest.mark.parametrize("what", [*CONTENTS, *KEPT])
def test_memory_beside_a_server(run, server, tmp_path, what):
    """All that the file has is compared with the server's memory."""
    text = kept(what) if what in KEPT else large(what)
    for said in look_beside(run, server, tmp_path / "boot.toml", text):
        count = int(re.search(r"changed under the running server: it has (\d+) keys otherwise", said)[1])
        assert 0 <= count - len(oldconfig.read_text(text, (0, 15, 5))) < 50


@native_memory
@pytest.mark.parametrize("what", KEPT)
def test_more_than_is_kept_beside_a_server(run, server, tmp_path, what):
    file = tmp_path / "boot.toml"
    file.write_text(kept(what, 5))
    for command in ("stage", *CHANGE, "-n"), ("status",):
        ran = run(*command, *reach(server), "--boot-config", file, wrap=memory_for(file.read_text()), status=1)
        assert "refused (too-many)" in ran.err and "--boot-config" in ran.err


# Time, and signals

@native
def test_max_time(bench):
    """Nobody writes into the pipe."""
    with waiting(bench, "--max-time", "1") as started:
        _, err = started.communicate(timeout=60)
    assert started.returncode == 3 and b"--max-time" in err and b"Nothing was written" in err


@contextlib.contextmanager
def waiting(bench, *options):
    """A run that reads a pipe which stays open."""
    out, into = os.pipe()
    started = bench.run.start(*LISTENERS, "--config", "-", *options, password=None, stdin=out)
    os.close(out)
    try:
        yield started
    finally:
        os.close(into)
        if started.poll() is None:
            started.kill()
            started.communicate()
