"""The config.toml that a server reads at its next start, beside what it holds in memory: --boot-config."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import oldconfig
from conftest import CHANGE, HTTP, NEWEST, ORIGIN, RELAY, SMTP, config, difference, dialect_of, listener, parsed, reach
from conftest import spelled, state, write, writes
from test_config import native

IMAP = listener("imap", 143, "imap")
MEMORY = "Judged as the server holds it in memory: config.toml was not looked at"
RULE = {"queue.strategy.route.0000.if": "is_local_domain('*', rcpt_domain)", "queue.strategy.route.0000.then": "'local'",
        "queue.strategy.route.0001.else": "'relay'"}


def boot(server):
    return "--boot-config", server.config_path


def stage(run, server, *options, status=0):
    return run("stage", *reach(server), *CHANGE, *options, status=status)


def judge(run, server, *options, status):
    return run("status", *reach(server), *options, status=status)


def in_file(values):
    return "".join(f"{key} = {oldconfig.write_value(value)}\n" for key, value in spelled(values).items())


def edit(server, change):
    """Rewrites config.toml under the running server, as a person or a template might."""
    keys = oldconfig.read_text(server.config_text(), server.version)
    change(keys)
    Path(server.config_path).write_text(oldconfig.write_text(keys))


def complaints(server):
    _, _, answer = server.request("GET", "/api/reload?dry-run=1")
    return json.loads(answer)["data"]["errors"]


# What the server does with keys of its file: the simulator has to do the same as a real one

def test_file_and_database(serve):
    """config.toml outranks the database, over the API too; what is edited in it counts from the next start on."""
    server = serve(config=config(in_file({"auth.dkim.verify": "strict"}), SMTP, HTTP))
    write(server, {"auth.dkim.verify": "relaxed", "auth.arc.verify": "relaxed"})
    assert server.settings()["auth.dkim.verify"] == "strict"
    write(server, {"auth.dkim.verify": None})
    assert server.settings()["auth.dkim.verify"] == "strict"
    write(server, {"auth.dkim.verify": "relaxed"})
    edit(server, lambda keys: keys.pop("auth.dkim.verify"))
    edit(server, lambda keys: keys.update({"auth.arc.verify": "strict"}))
    assert server.settings()["auth.dkim.verify"] == "strict" and server.settings()["auth.arc.verify"] == "relaxed"
    server.restart()
    assert server.settings()["auth.dkim.verify"] == "relaxed" and server.settings()["auth.arc.verify"] == "strict"
    write(server, {"server.listener.http.proxy.override": "false"})
    edit(server, lambda keys: keys.pop("server.listener.http.proxy.override"))
    write(server, {"server.listener.http.tls.implicit": "false"})
    assert "server.listener.http.proxy.override" in oldconfig.read_text(server.config_text(), server.version)


# Which file

def test_usage(run):
    url = "--url", "https://127.0.0.1:1"
    for args in (("reload", *url), ("print",), ("stage", "--config", "x", *CHANGE)):
        run(*args, "--boot-config", "x", status=2)
    for args in ((*url, "--boot-config", "a", "--boot-config", "b"), (*url, "--url", "https://127.0.0.1:2", "--boot-config", "a")):
        assert "once for each --url" in run("status", *args, status=2).err


UNREADABLE = {
    "a wrong line": "line 2", "JSON": "It is JSON", "YAML": "It is YAML", "over-long": "longer than 64 MiB", "absent": "No such file",
    "folder": "it is a folder", "device": "it is a device", "fifo": "it is a pipe", "socket": "it is a socket",
    "kernel": "the kernel's own files", "dangling": "No such file", "below a file": "can't be read",
}
TEXTS = {"a wrong line": "[server.listener.x]\nbind = \n", "JSON": '{"server": {"listener": {}}}\n', "YAML": "server:\n  listener: x\n",
         "over-long": "#" * (64 << 20) + "\n"}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable(run, simulate, tmp_path, kind):
    """By the same code as --config; nothing waits for a pipe that nobody writes into."""
    server = simulate(config=config(SMTP, HTTP))
    file = tmp_path / "boot.toml"
    if kind in TEXTS:
        file.write_text(TEXTS[kind])
    elif kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "socket":
        os.mknod(file, stat.S_IFSOCK | 0o600)
    elif kind == "dangling":
        file.symlink_to("nowhere")
    elif kind == "below a file":
        file = file / "x"
        (tmp_path / "boot.toml").write_text("")
    file = {"device": "/dev/zero", "kernel": "/proc/self/status"}.get(kind, file)
    before = state(server)
    for args in (("status",), ("stage", *CHANGE), ("clear", *CHANGE)):
        mended = args[0] == "clear" and kind == "a wrong line"  # its work would mend the file
        ran = run(*args, *reach(server), "--boot-config", file, status=0 if mended else 1)
        assert str(file) in ran.err and ("damaged" if mended else UNREADABLE[kind]) in ran.err
        assert mended or args[0] == "status" or "Nothing was written" in ran.err
    assert state(server) == before and not writes(server)


@native
def test_without_a_name(run, serve, tmp_path):
    """A file that was deleted while it is open is not what the server reads at its next start; an open one may be."""
    server = serve(config=config(SMTP, HTTP))
    copy = tmp_path / "copy.toml"
    stage(run, server)
    for script, status, said in ((f"exec 3<{copy} && rm {copy}", 1, "has no name any more"), (f"exec 3<{copy}", 0, "")):
        copy.write_text(server.config_text())
        ran = run("status", *reach(server), "--boot-config", "/dev/fd/3", wrap=["sh", "-c", script + ' && exec "$@"', "sh"],
                  status=status)
        assert said in ran.err


@native
def test_through_links_and_roots(run, serve, tmp_path):
    """As of a container: its root is a link of /proc."""
    server = serve(config=config(SMTP, HTTP))
    stage(run, server)
    link = tmp_path / "link.toml"
    link.symlink_to(server.config_path)
    for path in (link, f"/proc/self/root{server.config_path}"):
        assert f"Judged by {path}, with" in judge(run, server, "--boot-config", path, status=0).out


def test_nothing_is_changed(run, serve):
    """It is read where it lies; a status leaves it and its time alone."""
    server = serve(config=config(SMTP, HTTP))
    stage(run, server, *boot(server))
    before = os.stat(server.config_path), server.config_text()
    judge(run, server, *boot(server), status=0)
    after = os.stat(server.config_path)
    assert (after.st_mtime_ns, after.st_ino, server.config_text()) == (before[0].st_mtime_ns, before[0].st_ino, before[1])


def test_a_pipe(run, serve):
    """As a shell's <(ssh node cat config.toml) gives one."""
    server = serve(config=config(SMTP, HTTP))
    stage(run, server)
    ran = run("status", *reach(server), "--boot-config", "/dev/stdin", text=server.config_text().encode(), status=0)
    assert "Judged by /dev/stdin, with the database" in ran.out


# What the report says it judged

def test_said_by_what(run, serve):
    server = serve(config=config(SMTP, HTTP))
    stage(run, server)
    ran = judge(run, server, status=0)
    assert MEMORY in ran.out and "--boot-config FILE" in ran.out
    assert "boot_config" not in judge(run, server, "--json", status=0).target
    ran = judge(run, server, *boot(server), status=0)
    assert f"Judged by {server.config_path}, with the database" in ran.out and MEMORY not in ran.out and ran.err == ""
    assert "start script" in ran.out
    assert judge(run, server, *boot(server), "--json", status=0).target["boot_config"] == {
        "path": server.config_path, "found": False, "differs": []}


# Somebody rewrites config.toml under the running server after the stage

def test_a_template_comes_back(run, serve):
    """The server answers from its memory; after the restart no listener expects a header."""
    server = serve(config=config(SMTP, HTTP))
    template = server.config_text()
    stage(run, server)
    Path(server.config_path).write_text(template)
    assert MEMORY in judge(run, server, status=0).out
    ran = judge(run, server, *boot(server), status=6)
    assert "Missing: listeners." in ran.out and f"{server.config_path} was changed under the running server" in ran.err
    ran = judge(run, server, *boot(server), "--json", status=6)
    assert set(ran.target["boot_config"]["differs"]) == {
        "server.listener.http.proxy.override", "server.listener.http.proxy.trusted-networks.0"}
    assert "password" not in judge(run, server, *boot(server), "--json", status=6).out
    server.restart()
    assert "Missing: listeners." in judge(run, server, status=6).out


@pytest.mark.parametrize("values, status", [
    ({"auth.dkim.verify": "strict"}, 6), ({"http.url": "'https://old.example.org'"}, 6),
    ({"store.db.path": "elsewhere"}, 0), ({"report.domain": "example.org"}, 0),
    ({"server.listener.imap.bind": "[::]:143", "server.listener.imap.protocol": "imap"}, 6),
    ({"server.listener.http.proxy.trusted-networks.0": "192.0.2.1"}, 6),
    ({"server.listener.smtp.proxy.trusted-networks.0": "192.0.2.1"}, 6),
    ({"queue.strategy.route": "'mx'"}, 6), ({"queue.strategy.route.0002.else": "'mx'"}, 6),
    ({"auth.arc.seal.0000.if": "x", "auth.arc.seal.0001.else": "y"}, 6),
])
def test_keys_that_came_into_the_file(run, serve, values, status):
    """Judged as the server has it after a restart; that the file differs is said, and is no fault by itself."""
    server = serve(config=config(SMTP, HTTP))
    options = RELAY if any(key.startswith("queue") for key in values) else ()
    stage(run, server, *options, *dialect(options))
    edit(server, lambda keys: keys.update(spelled(values)))
    judge(run, server, status=0)
    ran = judge(run, server, *boot(server), status=status)
    assert "was changed under the running server" in ran.err and all(key in ran.err for key in list(spelled(values))[:5])
    if values == {"store.db.path": "elsewhere"}:
        return  # another database
    server.restart()
    judge(run, server, status=status)


def dialect(relay):
    return ("--dialect", dialect_of(NEWEST)) if relay else ()


def test_a_value_that_only_the_memory_has(run, serve):
    """The database may have it too, behind that; nobody can read it there."""
    server = serve(config=config(in_file({"auth.dkim.verify": "disable"}), SMTP, HTTP))
    stage(run, server)
    judge(run, server, *boot(server), status=0)
    edit(server, lambda keys: keys.pop("auth.dkim.verify"))
    ran = judge(run, server, *boot(server), status=6)
    assert "auth.dkim.verify: the value is right, but it is not in" in ran.err and "--boot-config" in ran.err
    before = server.database()
    assert before is None or "auth.dkim.verify" not in before  # a real server does not show it
    stage(run, server, *boot(server))
    assert before is None or difference(before, server.database()) == {"auth.dkim.verify": "disable"}
    judge(run, server, *boot(server), status=0)
    server.restart()
    judge(run, server, status=0)


def test_a_value_of_the_database_that_stood_there(run, serve):
    """The stage that is told of the file writes it once more, so that the status knows; the clear leaves it."""
    server = serve(config=config(SMTP, HTTP))
    write(server, {"auth.iprev.verify": "disable"})
    before = state(server)
    stage(run, server, *boot(server))
    judge(run, server, *boot(server), status=0)
    ran = stage(run, server, *boot(server), "--json")
    assert not ran.json["changed"]
    run("clear", *reach(server), *boot(server), status=0)
    assert state(server)["settings"] == before["settings"] and state(server)["database"] == before["database"]


def test_local_keys_patterns(run, serve):
    server = serve(config=config(SMTP, HTTP))
    stage(run, server)
    edit(server, lambda keys: keys.update({"config.local-keys.0000": "*"}))
    assert "can't be seen which keys" in judge(run, server, *boot(server), status=6).err


# Keys of the database that stand in the file

def test_taken_back_from_the_file_too(run, simulate):
    """Where config.local-keys puts a part of the group into config.toml, and the rule stands there as well."""
    local = 'config.local-keys = ["server.*", "queue.*", "!queue.strategy.*"]\nqueue.strategy.route = "\'mx\'"\n'
    server = simulate("0.15.5", config=config(local, SMTP, HTTP))
    before = state(server)
    ran = run("stage", *reach(server), *CHANGE, *RELAY, "--dialect", "0.15", status=6)
    assert "group outbound is not staged" in ran.err
    assert not [key for key in difference(before["settings"], server.settings()) if key.startswith("queue.")]
    run("clear", *reach(server), status=0)
    assert state(server) == before


@pytest.mark.parametrize("values, group", [
    ({"auth.dkim.verify": "strict"}, "checks"), ({"http.url": "'https://old.example.org'"}, "url"),
    (RULE, "outbound"), ({"queue.strategy.route": "'mx'"}, "outbound"),
    ({"queue.route.smarthost.port": "2525"}, "outbound"),
])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_shadowed(run, serve, values, group, known):
    """Known before the first write, and refused. Else the read back shows it, and the whole group is taken back."""
    values = spelled(values)
    if group == "url" and parsed(NEWEST) < (0, 12):
        pytest.skip("the URL is in the file there")
    server = serve(config=config(in_file(values), SMTP, HTTP))
    options = *RELAY, *dialect(RELAY), "--force", "relay-taken"
    before, errors = state(server), complaints(server)
    ran = stage(run, server, *options, *(boot(server) if known else ()), status=1 if known else 6)
    assert all(key in ran.err for key in values) and f"--skip {group}" in ran.err and "--config" in ran.err
    after = state(server)
    if known:
        assert "shadowed" in ran.err and "--force does not apply" in ran.err and after == before and not writes(server)
        stage(run, server, *options, *boot(server), "--force", "shadowed", status=1)
        stage(run, server, *options, *boot(server), "--skip", group)
    else:
        assert "is not known" in ran.err
        saved = run.snapshot()
        assert saved["state"] == "proved" and group not in {key["group"] for key in saved["keys"]}
        # nothing of the group stays; a real server does not show its database
        assert after["database"] is None or after["database"].keys() == before["database"].keys() | {
            key["key"] for key in saved["keys"] if not key["local"]}
        missing = "Missing: " + group in judge(run, server, status=0 if group == "outbound" else 6).out
        assert missing == (group != "outbound")
    assert complaints(server) == errors
    server.restart()
    assert complaints(server) == errors
    run("clear", *reach(server), status=0)
    assert state(server)["settings"] == before["settings"]


@pytest.mark.parametrize("version", ["0.10.7", "0.12.5", "0.15.5"])
@pytest.mark.parametrize("relay", ["--relay", "again"])
def test_a_rule_that_is_half_in_the_file(run, simulate, version, relay):
    """The database's half is back where it was, also where an earlier stage's relay stands."""
    rule = "queue.strategy.route" if parsed(version) >= (0, 13) else "queue.outbound.next-hop"
    file = f"{rule}.0001.else = \"'mx'\"\n"
    server = simulate(version, config=config(file, SMTP, HTTP))
    write(server, {f"{rule}.0000.if": "rcpt_domain == 'x'", f"{rule}.0000.then": "'local'"})
    before = state(server)
    ran = stage(run, server, *RELAY, "--dialect", dialect_of(version), status=6)
    assert f"{rule}.0001.else" in ran.err and "group outbound is not staged" in ran.err
    rest = {key for key in state(server)["database"] if key not in before["database"]}
    assert not [key for key in rest if key.startswith(("queue.", "remote."))]
    assert difference(before["database"], server.database()).keys() == rest
    assert run.snapshot()["request"]["relay"] is None
    run("clear", *reach(server), status=0)
    assert state(server)["settings"] == before["settings"]


def test_a_key_beside_the_rule(run, simulate):
    """It begins like the rule, and the next start has it, but it is none of the rule's."""
    server = simulate(config=config(SMTP, HTTP))
    edit(server, lambda keys: keys.update({"queue.strategy.route-of-mine": "'mx'"}))
    stage(run, server, *RELAY, "--force", "file-changed", *boot(server))
    edit(server, lambda keys: keys.update({"queue.strategy.route.0009.else": "'mx'"}))
    ran = stage(run, server, *RELAY, "--force", "file-changed", *boot(server), status=1)
    assert "shadowed" in ran.err and "queue.strategy.route.0009.else" in ran.err


def test_only_the_files_keys_are_named(run, simulate):
    """The relay of somebody else, which the run would have written over, is as it was."""
    server = simulate(config=config(in_file({"queue.strategy.route": "'mx'"}), SMTP, HTTP))
    write(server, {"queue.route.smarthost.type": "relay", "queue.route.smarthost.address": "old.example.org"})
    before = state(server)
    ran = run("stage", *reach(server), "--only", "outbound", *RELAY, "--force", "relay-taken", status=6)
    assert "config.toml has queue.strategy.route, and it outranks" in ran.err
    assert state(server) == before and not [name for name in run.snapshots() if name.endswith(".json")]


def test_an_earlier_relay_stays(run, simulate):
    """A file that shows up between two stages: what the first one staged of the group is still recorded."""
    server = simulate(config=config(SMTP, HTTP))
    before = state(server)
    stage(run, server, *RELAY)
    first = run.snapshot()
    edit(server, lambda keys: keys.update({"queue.route.smarthost.port": "25"}))
    server.restart()
    ran = stage(run, server, "--relay", "other.example.org:2525", status=6)
    assert "queue.route.smarthost.port" in ran.err
    saved = run.snapshot()
    assert saved["request"]["relay"] == first["request"]["relay"] and saved["state"] == "proved"
    judge(run, server, status=0)
    edit(server, lambda keys: keys.pop("queue.route.smarthost.port"))
    server.restart()
    run("clear", *reach(server), status=0)
    left = difference(before["settings"], server.settings())
    assert left in ({}, {"queue.route.smarthost.port": "25"})


def test_only_what_is_given_up(run, simulate):
    """Nothing of the run stays: there is no snapshot either."""
    server = simulate(config=config(in_file({"http.url": "'https://old.example.org'"}), SMTP, HTTP))
    before = state(server)
    run("stage", *reach(server), "--only", "url", "--public-url", ORIGIN, status=6)
    assert state(server) == before and not [name for name in run.snapshots() if name.endswith(".json")]


def test_stands_without_a_snapshot(run, serve):
    """The file has it all, so nothing is written again; that nothing can bring back what stood before is said."""
    server = serve()
    run("stage", *reach(server), *boot(server), *CHANGE, status=0)
    for path in run.folder.iterdir():
        path.unlink()
    ran = run("stage", *reach(server), *boot(server), *CHANGE, status=0)
    assert "nothing to do" in ran.out and "there is no snapshot of a stage that wrote them" in ran.err


def test_a_node_whose_file_outranks(run, simulate):
    """It is taken back through the first node, which wrote it. Nodes after that are not begun."""
    cluster = '[cluster]\ncoordinator = "x"\n'
    first = simulate(config=config(SMTP, HTTP, cluster, 'node-id = "1"\n'))
    second = simulate(config=config(in_file({"auth.dkim.verify": "strict"}), SMTP, HTTP, cluster),
                      database=first.shared_database)
    third = simulate(config=config(SMTP, HTTP, cluster), database=first.shared_database)
    before = [state(server) for server in (first, second, third)]
    urls = [word for server in (first, second, third) for word in ("--url", server.http_url)]
    ran = run("stage", *urls, *CHANGE, status=6)
    assert "auth.dkim.verify" in ran.err and "group checks is not staged" in ran.err
    assert f"{third.http_url}: not written to" in ran.err and state(third)["file"] == before[2]["file"]
    assert not [key for key in first.database() if key.startswith(("auth.", "session."))]
    assert "http.url" in first.database()
    boots = [word for server in (first, second, third) for word in boot(server)]
    ran = run("stage", *urls, *CHANGE, *boots, status=1)
    assert "shadowed" in ran.err and second.config_path in ran.err
    run("stage", *urls, *CHANGE, *boots, "--skip", "checks", status=0)
    run("clear", *urls, *boots, status=0)
    assert [state(server)["settings"] for server in (first, second, third)] == [one["settings"] for one in before]


def test_a_list_below_a_check_is_harmless(run, serve):
    """Our scalar wins over it."""
    server = serve(config=config(in_file({"auth.dkim.verify.0000.if": "x", "auth.dkim.verify.0000.then": "strict",
                                          "auth.dkim.verify.0001.else": "relaxed"}), SMTP, HTTP))
    stage(run, server, *boot(server))
    judge(run, server, *boot(server), status=0)


# A file that was changed under the server, before a stage or a clear

def add_tracer(keys):
    keys["tracer.log.level"] = "debug"


def test_file_changed(run, serve):
    """The server's write would undo the change."""
    server = serve(config=config(SMTP, HTTP))
    edit(server, add_tracer)
    before, text = state(server), server.config_text()
    ran = stage(run, server, *boot(server), status=1)
    assert "file-changed" in ran.err and "tracer.log.level" in ran.err and "--force file-changed" in ran.err
    assert state(server) == before and server.config_text() == text
    # A run that does not touch the file is none of its business.
    stage(run, server, *boot(server), "--skip", "listeners" if parsed(NEWEST) >= (0, 12) else "listeners,url")
    assert server.config_text() == text
    ran = stage(run, server, *boot(server), "--force", "file-changed")
    assert 'tracer.log.level = "info"' in server.config_text()
    edit(server, add_tracer)
    assert "file-changed" in run("clear", *reach(server), *boot(server), status=1).err
    run("clear", *reach(server), *boot(server), "--only", "checks", status=0)
    run("clear", *reach(server), *boot(server), "--force", "file-changed", status=0)


def test_a_key_of_the_group_was_changed(run, serve):
    """Nothing is left to write, by the server's memory. Forced, the server writes its file anew."""
    server = serve(config=config(SMTP, HTTP))
    template = server.config_text()
    stage(run, server)
    Path(server.config_path).write_text(template)
    assert "file-changed" in stage(run, server, *boot(server), status=1).err
    assert server.config_text() == template
    stage(run, server, *boot(server), "--force", "file-changed")
    assert "server.listener.http.proxy.override" in server.config_text() and "stalprep.touch" not in server.config_text()
    judge(run, server, *boot(server), status=0)


def test_a_second_clear(run, serve):
    server = serve(config=config(SMTP, HTTP))
    stage(run, server)
    run("clear", *reach(server), status=0)
    edit(server, add_tracer)
    run("clear", *reach(server), *boot(server), status=0)


@pytest.mark.parametrize("left", [lambda text: "", lambda text: text[:text.index("server.listener")],
                                  lambda text: text[:text.index("server.listener") - 5]], ids=["empty", "lines", "half"])
@pytest.mark.parametrize("options", [(), ("--skip", "listeners")], ids=["all", "database"])
def test_a_broken_write(run, simulate, left, options):
    """A full disk cut the file off. The run makes the server write it again."""
    server = simulate(config=config(SMTP, HTTP))
    stage(run, server, *options)
    whole = server.config_text()
    if options:
        edit(server, lambda keys: None)
        whole = server.config_text()
    Path(server.config_path).write_text(left(whole))
    if left("xserver.listener"):
        assert str(server.config_path) in judge(run, server, *boot(server), status=1 if "\n" not in left(whole)[-1:] else 6).err
    else:
        ran = judge(run, server, *boot(server), status=6)
        assert "DO NOT RESTART" in ran.err and "Is the account allowed" not in ran.said and "Judged by /" not in ran.out
    assert "nothing to do" not in stage(run, server, *boot(server), *options, "-n").out
    ran = stage(run, server, *boot(server), *options)
    assert "is damaged" in ran.err
    assert server.config_text() == whole
    judge(run, server, *boot(server), *options, status=0)
    Path(server.config_path).write_text(left(whole))
    run("clear", *reach(server), *boot(server), status=0)
    assert server.restart()


def test_after_a_write_that_failed(run, simulate):
    """The snapshot says so: that the file is cut off in the middle of a line is no reason to refuse."""
    server = simulate(config=config(SMTP, HTTP, IMAP))
    server.refuse_writes = "full"
    stage(run, server, status=5)
    assert run.snapshot()["state"] == "sending"
    server.refuse_writes = None
    stage(run, server, *boot(server))
    judge(run, server, *boot(server), status=0)
    assert server.restart()
    judge(run, server, *boot(server), status=0)


def test_all_as_wanted_without_a_snapshot(run, serve, tmp_path):
    """The local keys are not written once more where the file shows them."""
    server = serve(config=config(SMTP, HTTP))
    stage(run, server, "--snapshot-dir", tmp_path)
    before = state(server)
    ran = stage(run, server, *boot(server), "--json")
    assert not ran.json["changed"] and state(server) == before
    assert stage(run, server, "--json").json["changed"]


# The printed commands

def test_printed_undo(run, serve):
    server = serve(config=config(SMTP, HTTP))
    ran = stage(run, server, *boot(server))
    undo = next(line for line in ran.out.splitlines() if line.startswith("To undo: "))
    assert f"--boot-config {server.config_path}" in undo
    ran = run("clear", *reach(server), *boot(server), status=0)
    again = next(line for line in ran.out.splitlines() if " reload " in line)
    assert "--boot-config" not in again


# The server's own file, found on its host

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture
def process(tmp_path):
    """Starts the simulator as a process of its own, with these arguments behind its own."""
    started = []

    def start(*arguments, name=None):
        folder = tmp_path / f"process{len(started)}"
        folder.mkdir()
        (folder / "start.toml").write_text(config(SMTP, HTTP)(str(folder), PAIR))
        code = ("import sys; sys.path.insert(0, sys.argv.pop(1)); import oldserver\n" +
                (f"open('/proc/self/comm', 'w').write({name!r})\n" if name else "") + "oldserver.main()")
        ready = folder / "ready"
        given = [str(argument).replace("FOLDER", str(folder)) for argument in arguments]
        started.append(subprocess.Popen(
            [sys.executable, "-c" + code, HERE, "--version", "0.15.5", "--folder", str(folder), "--start-with",
             str(folder / "start.toml"), "--ready-file", str(ready), *given], stdout=subprocess.DEVNULL, cwd=folder))
        for _ in range(300):
            if ready.exists():
                break
            time.sleep(0.05)
        return json.loads(ready.read_text()), folder / "config.toml", started[-1]
    yield start
    for one in started:
        one.terminate()
        one.wait(10)


class Pair:
    cert = key = "/nowhere"


PAIR = Pair()
FIND = pytest.mark.skipif(os.geteuid() != 0, reason="only root sees which process holds a socket")


@FIND
@pytest.mark.parametrize("arguments", [("--config", "FOLDER/config.toml"), ("--config=FOLDER/config.toml",),
                                       ("--config", "config.toml")])
def test_found(run, process, arguments):
    about, file, _ = process(*arguments)
    url = "--url", about["http_url"]
    run("stage", *url, *CHANGE, status=0)
    ran = run("status", *url, status=0)
    assert f"Judged by {file}, with the database" in ran.out and ran.err == ""
    assert f"Its process was started with {file}." in ran.out
    assert run("status", *url, "--json", status=0).target["boot_config"] == {"path": str(file), "found": True, "differs": []}
    text = file.read_text()
    file.write_text(text.replace("server.listener.http.proxy.override = true\n", ""))
    assert "Missing: listeners." in run("status", *url, status=6).out
    assert "file-changed" in run("clear", *url, status=1).err
    undo = run("clear", *url, "--force", "file-changed", status=0)
    assert "--boot-config" not in undo.out


@FIND
def test_found_and_broken(run, process):
    """The mail server's own process says what the file is; in another's, it has to look like a server's."""
    about, file, _ = process("--config", "FOLDER/config.toml", name="stalwart-mail")
    url = "--url", about["http_url"]
    run("stage", *url, *CHANGE, status=0)
    file.write_text("")
    assert "DO NOT RESTART" in run("status", *url, status=6).err
    assert "is damaged" in run("stage", *url, *CHANGE, status=0).err
    run("status", *url, status=0)


@FIND
@pytest.mark.parametrize("arguments", [(), ("--config", "FOLDER/other"), ("--config", "FOLDER/gone"),
                                       ("--config", "FOLDER/config.toml", "--config", "FOLDER/start.toml"),
                                       ("--config", "FOLDER"), ("--config", "FOLDER/pipe")])
def test_not_certain(run, process, tmp_path, arguments):
    """No argument, a file that is no server's, none, two, a folder, a pipe: nothing is assumed."""
    folder = tmp_path / "process0"
    about, _, _ = process(*arguments)
    (folder / "other").write_text("example.org {\n\treverse_proxy localhost:8080\n}\n")
    os.mkfifo(folder / "pipe")
    url = "--url", about["http_url"]
    run("stage", *url, *CHANGE, status=0)
    assert MEMORY in run("status", *url, status=0).out


@FIND
def test_two_holders(run, process):
    """A socket that a second process has too, as a service manager may."""
    about, _, server = process("--config", "FOLDER/config.toml")
    url = "--url", about["http_url"]
    run("stage", *url, *CHANGE, status=0)
    pidfd = os.pidfd_open(server.pid)
    mine = []
    try:
        for name in os.listdir(f"/proc/{server.pid}/fd"):
            if os.readlink(f"/proc/{server.pid}/fd/{name}").startswith("socket:"):
                mine.append(getfd(pidfd, int(name)))
        assert MEMORY in run("status", *url, status=0).out
    finally:
        for fd in [pidfd, *mine]:
            os.close(fd)
    assert MEMORY not in run("status", *url, status=0).out


def getfd(pidfd, number):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(438, pidfd, number, 0)  # pidfd_getfd
    if fd == -1:
        pytest.skip("this kernel does not give another process's files")
    return fd


# Takes all sockets of a process too, and waits to be ended.
HOLDER = """
import ctypes, os, sys, time
server = int(sys.argv[1])
pidfd = os.pidfd_open(server)
for name in os.listdir(f"/proc/{server}/fd"):
    if os.readlink(f"/proc/{server}/fd/{name}").startswith("socket:"):
        if ctypes.CDLL(None).syscall(438, pidfd, int(name), 0) == -1:  # pidfd_getfd
            print("not given", flush=True)
print("held", flush=True)
time.sleep(600)
"""


@FIND
@pytest.mark.parametrize("arguments", [(), ("--config", "FOLDER/config.toml")])
def test_holder_with_another_file(run, process, tmp_path, arguments):
    """The server may have its file from CONFIG_PATH: what another process's arguments name says nothing of it."""
    about, file, server = process(*arguments)
    url = "--url", about["http_url"]
    run("stage", *url, *CHANGE, status=0)
    (tmp_path / "other.toml").write_bytes(file.read_bytes())
    (tmp_path / "holder.py").write_text(HOLDER)
    with subprocess.Popen([sys.executable, tmp_path / "holder.py", str(server.pid), "--config", tmp_path / "other.toml"],
                          stdout=subprocess.PIPE, text=True) as holder:
        try:
            said = holder.stdout.readline()
            if said == "not given\n":
                pytest.skip("this kernel does not give another process's files")
            assert said == "held\n"
            assert MEMORY in run("status", *url, status=0).out
        finally:
            holder.kill()
