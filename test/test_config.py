"""Rescue: stage, status and clear on a config.toml itself, where no server runs. The file is edited by the server's own
rules, no other byte of it changes, and whatever goes wrong leaves the old text or the new one."""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import pytest

import oldconfig
from conftest import (BINARY, CHANGE, HTTP, ORIGIN, RUNNER, SMTP, THOROUGH, TIMEOUT, can_mount, config, difference, guide, insert,
                      listener, sample, static)
from test_secrets import NOBODY, public  # noqa: F401

VERSION = (0, 15, 5)
MARK = "#stalprep-"
STAGE = ("stage", *CHANGE, "--dialect", "0.15")
OTHER = ("stage", "--proxy", "192.0.2.7", "--public-url", "https://other.example.org", "--relay", "new.example.org",
         "--dialect", "0.15")
CLEAR = ("clear",)
LISTENERS = ("stage", "--proxy", "203.0.113.10", "--only", "listeners")
PLAIN = """\
# the mail server of example.org

[server.listener.smtp]
bind = "[::]:25"
protocol = "smtp"

[server.listener.imap] # for the old clients
  protocol = "imap"
  bind     = "[::]:143"

[store.db]
type = "sqlite"
"""

RACES, RACE_SECONDS = 300, 6  # tries, at most

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


needs_mounts = pytest.mark.skipif(not can_mount(), reason="nothing can be mounted here")
native = pytest.mark.skipif(bool(RUNNER), reason="the runner would be looked at, not the program")


class Bench:
    """A folder with one config.toml, and the runs on it."""

    def __init__(self, run, folder):
        self.run, self.folder, self.path = run, folder, folder / "config.toml"

    def put(self, text):
        for path in self.folder.iterdir():
            path.unlink()
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())

    @property
    def text(self):
        return self.path.read_bytes().decode()

    def keys(self):
        return oldconfig.read_text(self.text, VERSION)

    def files(self):
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def __call__(self, command, *options, status=0, path=None, **more):
        return self.run(command, "--config", path or self.path, *options, password=None, status=status, **more)

    def stage(self, *options):
        """Stages; the file then reads as the report says, and all else in it as before, which is given."""
        before = self.keys()
        report = self("stage", *options, "--json").target
        planned = {key["key"]: key["wanted"] for key in report["keys"]}
        changed = difference(before, self.keys())
        assert {key: value for key, value in planned.items() if value != before.get(key)} == changed
        return before


@pytest.fixture
def bench(run, tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir()
    bench = Bench(run, folder)
    bench.put(PLAIN)
    return bench


# The edit

NEW = f" {MARK}new: stalprep clear takes it out"
TABLES = f"""\
[auth]{NEW}
arc.verify = "disable"
dkim.verify = "disable"
dmarc.verify = "disable"
iprev.verify = "disable"
spf.verify.ehlo = "disable"
spf.verify.mail-from = "disable"
[http]{NEW}
url = "'{ORIGIN}'"
[session]{NEW}
ehlo.reject-non-fqdn = false
"""
FIRST = "[server.listener.smtp]\n"
NEW_LINES = """\
proxy.override = true
proxy.trusted-networks.0 = "203.0.113.10/32"
"""


def test_where_a_person_would_put_it(bench):
    bench(*STAGE)
    own = '  protocol = "imap"\n'
    assert bench.text == PLAIN.replace(own, own + NEW_LINES).replace(FIRST, TABLES + FIRST)
    assert difference(oldconfig.read_text(PLAIN, VERSION), bench.keys()) == guide("0.15.5", listeners=["imap"])
    bench("status")
    bench(*CLEAR)
    assert bench.text == PLAIN and sorted(bench.files()) == ["config.toml",
                                                             "stalprep-config.toml.snapshot.json.cleared"]


IMAP = 'bind = "[::]:143"\nprotocol = "imap"\n'
FILES = {  # what is odd: (text, lines that --only listeners makes of it, lines that it takes)
    "below the parent": ('[server.listener]\n"imap".bind = "[::]:143"\nimap.protocol = "imap"\n',
                         ["imap." + line for line in NEW_LINES.splitlines(True)], []),
    "quoted keys": ('[server."listener.imap"]\n"bind" = "[::]:143"\n"protocol" = "imap"\n"proxy"."override" = false\n',
                    ['"proxy"."override" = true\n', 'proxy.trusted-networks.0 = "203.0.113.10/32"\n'],
                    ['"proxy"."override" = false\n']),
    "a list": ("[server.listener.imap]\n" + IMAP + 'proxy.trusted-networks = ["198.51.100.0/24", # x\n]\n',
               ["proxy.override = true\n", 'proxy.trusted-networks.0 = "198.51.100.0/24"\n',
                'proxy.trusted-networks.1 = "203.0.113.10/32"\n',
                f'{MARK}was: proxy.trusted-networks = ["198.51.100.0/24", # x\n', f"{MARK}was+ ]\n"],
               ['proxy.trusted-networks = ["198.51.100.0/24", # x\n', "]\n"]),
    "a scalar": ("[server.listener.imap]\n" + IMAP + 'proxy.trusted-networks = "198.51.100.0/24" # ours\n',
                 ["proxy.override = true\n", 'proxy.trusted-networks.0 = "198.51.100.0/24"\n',
                  'proxy.trusted-networks.1 = "203.0.113.10/32"\n',
                  f'{MARK}was: proxy.trusted-networks = "198.51.100.0/24" # ours\n'],
                 ['proxy.trusted-networks = "198.51.100.0/24" # ours\n']),
    "one in a list": ("[server.listener.imap]\n" + IMAP +
                      "proxy = {trusted-networks = ['203.0.113.0/24'], override = 'x'}\n",
                      ["proxy = {trusted-networks = ['203.0.113.0/24'], override = true}\n"],
                      ["proxy = {trusted-networks = ['203.0.113.0/24'], override = 'x'}\n"]),
    "a table below": ("[server.listener.imap]\n" + IMAP + "[server.listener.imap.proxy]\n\n# none\n", [
        line.removeprefix("proxy.") for line in NEW_LINES.splitlines(True)], []),
    "a table below another": ("[server.listener.imap]\n" + IMAP + "[server.listener.imap.proxy.trusted-networks]\n",
                              [f"[server.listener.imap.proxy]{NEW}\n", "override = true\n",
                               '0 = "203.0.113.10/32"\n'], []),
    "as the server writes it": ('server.listener.imap.bind = "[::]:143"\nserver.listener.imap.protocol = "imap"\n',
                                ["server.listener.imap." + line for line in NEW_LINES.splitlines(True)], []),
    "long lines": ("[server.listener.imap]\n" + IMAP.replace("\n", " \t# " + "x" * 5000 + "\n"),
                   NEW_LINES.splitlines(True), []),
}


def changed_lines(old, new):
    """Those that only new has, and those that only old has."""
    old, new = old.encode().splitlines(True), new.encode().splitlines(True)
    return [line.decode() for line in new if line not in old], [line.decode() for line in old if line not in new]


def refused_inline(bench, *options):
    """Gives what is said. Nothing was written."""
    text = bench.text
    ran = bench(*options, status=1)
    assert "refused (inline-table)" in ran.err and "Nothing was written." in ran.err and bench.text == text
    return ran.err


@pytest.mark.parametrize("name", FILES)
def test_edit(bench, name):
    text, new, gone = FILES[name]
    smtp = 'server."listener".smtp . protocol = "smtp"\nserver.listener.smtp.bind = ["[::]:25"]\n'
    for text in (smtp + text, text + "[z]\n[server.listener.smtp]\nprotocol = 'smtp'\nbind = '[::]:25'\n# end\n"):
        bench.put(text)
        before = bench.keys()
        bench(*LISTENERS)
        staged = bench.text
        assert changed_lines(text, staged) == (new, gone)
        bench("status", "--only", "listeners")
        bench(*LISTENERS)
        assert bench.text == staged
        if name == "one in a list":
            assert "imap.proxy (line " in refused_inline(bench, *OTHER)
        else:
            bench(*OTHER)
            assert "203.0.113.10/32" not in bench.text
        bench(*CLEAR)
        assert bench.text == text and bench.keys() == before


ANOTHERS = "proxy.trusted-networks"
STAGED_BY_ANOTHER = {  # how its network is written: the lines, and what else they have
    "a scalar": (ANOTHERS + ' = "198.51.100.0/24" # x\n', []),
    "a list": (ANOTHERS + ' = [\n  "198.51.100.0/24", # x\n]\n', []),
    "a list with an original": (ANOTHERS + ' = ["198.51.100.0/24", "192.0.2.0/24"]\n', ["192.0.2.0/24"]),
    "by its index": (ANOTHERS + '.0 = "198.51.100.0/24"\n', []),
}


@pytest.mark.parametrize("name", STAGED_BY_ANOTHER)
def test_networks_of_another_stage(bench, name):
    """They are not commented out as originals: a clear does not bring them back, and says so."""
    lines, originals = STAGED_BY_ANOTHER[name]
    listener = "[server.listener.imap]\n" + IMAP
    bench.put("[server.listener.smtp]\nprotocol = 'smtp'\nbind = '[::]:25'\n" + listener + "proxy.override = true\n" +
              lines)
    text, before = bench.text, bench.keys()
    assert "refused (already-staged)" in bench(*LISTENERS, status=1).err and bench.text == text
    bench(*LISTENERS, "--force", "already-staged")
    networks = [value for key, value in bench.keys().items() if ".trusted-networks." in key]
    assert networks == [*originals, "203.0.113.10/32"]
    bench("status", "--only", "listeners")
    ran = bench(*CLEAR, status=6)
    assert "what stood there before is not known" in ran.err
    own = {key: value for key, value in before.items() if ".proxy." not in key}
    left = difference(own, bench.keys())
    assert list(left.values()) == originals and all(".trusted-networks." in key for key in left)


@pytest.mark.parametrize("last,end", [("\n", "\n"), ("\r\n", "\r\n"), ("\r\n# x", "\r\n"), ("\n# x\r", "\n")])
def test_line_ends(bench, last, end):
    """New lines end as the last line does that has an end; all others keep theirs."""
    for usual in "\n", "\r\n":
        text = PLAIN.replace("\n", usual).removesuffix(usual) + last
        bench.put(text)
        bench(*LISTENERS)
        assert changed_lines(text, bench.text) == (NEW_LINES.replace("\n", end).splitlines(True), [])
        bench(*STAGE)
        assert TABLES.replace("\n", end) + FIRST.replace("\n", usual) in bench.text and bench.text.endswith(last)
        bench(*CLEAR)
        assert bench.text == text


ODD = {
    "one key, quoted in two ways": "\"http\".\"url\" = \"'https://old.example.org'\" # kept\n",
    "below a table of an array": "[[other]]\na = 1\n[[other]]\nb.c = [[1], {d, e}]\n",
    "a value on many lines": '[queue.strategy]\nroute = """\na"b\n""" # x\n'
                             '[auth]\ndkim = { sign = [1, # x\n 2], verify = "strict" }\n',
    "a rule": "[queue.strategy]\nroute = [\n"
              "  { if = \"is_local_domain('*', rcpt_domain)\", then = \"'local'\" }, # local\n"
              "  { else = \"'mx'\" }\n]\n[queue]\nother = 1\n",
    "text behind brackets": "[auth] x = 1\ndkim.verify = 'strict'\r\n",
    "the same table again": "[auth]\ndkim.verify = 'relaxed'\n[session]\nehlo.reject-non-fqdn = true\n"
                            "[auth]\narc.verify = 'relaxed'\n",
    "no last line end": "[none]",
    "no last line end, a comment": "# the end",
    "only carriage returns": "# a\r# b\r",
}


@pytest.mark.parametrize("name", ODD)
def test_given_back(bench, name):
    for text in (PLAIN + ODD[name], *([ODD[name] + PLAIN] if ODD[name].endswith("\n") else [])):
        for first in (STAGE, OTHER):
            bench.put(text)
            before = bench.stage(*first[1:])
            assert bench.keys()["http.url"] != before.get("http.url")
            bench(*(OTHER if first == STAGE else STAGE))
            bench(*CLEAR)
            assert bench.text == text


BESIDE_A_DOT = [  # a name in quotes that has a dot, so that the flat key looks like one of the table
    '"http.x" = 1\n' + PLAIN + '[http]\nz = "x"\n', '"auth.dkim".verify = 1\n' + PLAIN + '[auth]\nz = 1\n',
    PLAIN + '[session]\n"ehlo.x" = 1\n[session.ehlo]\nz = 1\n',
    '[server]\nlistener."imap.s".bind = "[::]:993"\nlistener."imap.s".protocol = "imap"\n' + PLAIN,
]


@pytest.mark.parametrize("text", BESIDE_A_DOT)
def test_a_name_with_a_dot(bench, text):
    """The table's own header counts: any reader takes the result."""
    bench.put(text)
    tomllib.loads(text)
    bench.stage(*STAGE[1:], *(["--only", "checks,url"] if "imap.s" in text else []))
    tomllib.loads(bench.text)
    bench(*CLEAR)
    assert bench.text == text


INLINE = {  # text: what the refusal names
    "a listener": ('[server.listener]\nimap = {bind = "[::]:143", protocol = "imap"}\n', ["server.listener.imap (line 2)"]),
    "all in one": ('[server]\nlistener = {imap = {bind = "[::]:143", protocol = "imap"}}\n', ["server.listener (line 2)"]),
    "two": ('[server.listener]\nimap = {bind = "[::]:143", protocol = "imap"}\n'
            'web = {bind = "[::]:443", protocol = "http"}\n', ["server.listener.imap (line 2)", "server.listener.web (line 3)"]),
    "a listener's proxy": ("[server.listener.imap]\n" + IMAP + "proxy = {other = 1}\n", ["server.listener.imap.proxy (line 4)"]),
    "no network": ("[server.listener.imap]\n" + IMAP + "proxy.trusted-networks = []\n",
                   ["server.listener.imap.proxy.trusted-networks (line 4)"]),
    "a check": ("[server.listener.imap]\n" + IMAP + "[auth]\ndkim = {sign = false}\n", ["auth.dkim (line 5)"]),
    "a value": ("[server.listener.imap]\n" + IMAP + "[auth]\ndkim = 1\n", ["auth.dkim (line 5)"]),
    "a rule of tables": ("[server.listener.imap]\n" + IMAP + "[[http.url]]\nelse = 'x'\n", ["http.url (line 4)"]),
}


@pytest.mark.parametrize("name", INLINE)
def test_inline(bench, name):
    text, named = INLINE[name]
    bench.put(text + '[server.listener.smtp]\nprotocol = "smtp"\nbind = "[::]:25"\n')
    said = refused_inline(bench, *STAGE)
    assert re.search(r"or a value: (.*?)\. Write", said)[1] == ", ".join(named)
    ran = bench(*STAGE, "--dry-run", "--json", status=1)
    assert ran.names() == {"inline-table"} and ran.target["diff"] == ""
    assert not re.search("would be|To do it|differences", bench(*STAGE, "--dry-run", status=1).out)


@pytest.mark.parametrize("text", [PLAIN + f'[auth]\n{MARK}was: dkim.verify = "disable"\nz = 1\n',
                                  f'{MARK}was: auth.dkim.verify = "disable"\n{PLAIN}'])
def test_comments_that_nobody_knows(bench, text):
    """A stage whose snapshot is gone left them: they are comments, whatever they say."""
    bench.put(text)
    bench.stage(*STAGE[1:])
    tomllib.loads(bench.text)
    bench(*CLEAR)
    assert bench.text == text


def test_a_question_and_nothing_to_write(bench):
    """All stands but for one listener that nobody can judge."""
    bench(*STAGE)
    with bench.path.open("a", encoding="utf-8") as file:
        file.write('[server.listener.two]\nbind = "[::]:2525"\nprotocol = "smtp"\n')
    ran = bench(*STAGE, "--dry-run", status=1)
    assert "refused (submission)" in ran.err and "nothing to do" not in ran.out


def test_one_key(bench):
    """Two keys that differ only in how they are quoted are one."""
    bench.put(PLAIN + "[auth]\n\"dkim\".verify = 'relaxed'\n")
    bench(*STAGE)
    assert '"dkim".verify = "disable"\n' in bench.text and bench.text.count("dkim") == 1
    bench(*CLEAR)
    bench.put(PLAIN + "[auth]\n\"dkim\".verify = 'relaxed'\n[\"auth\"]\n")
    assert bench(*STAGE, status=1).said.count("line 15") == 1
    bench.put(PLAIN + "[auth]\n\"dkim\".verify = 'relaxed'\ndkim.\"verify\" = ''\n")
    assert "lines 14 and 15" in bench(*STAGE, status=1).err


def test_only_what_clear_may(bench):
    """A value that somebody changed is named and left alone; of a table that somebody wrote into, his lines stay."""
    bench(*STAGE)
    bench.path.write_text(bench.text.replace('dkim.verify = "disable"', 'dkim.verify = "strict"').replace(
        f"[session]{NEW}\n", f"[session]{NEW}\nmine = 1\n"))
    ran = bench(*CLEAR, status=6)
    assert "auth.dkim.verify was changed" in ran.err
    assert difference(oldconfig.read_text(PLAIN, VERSION), bench.keys()) == {"auth.dkim.verify": "strict",
                                                                             "session.mine": "1"}
    bench(*CLEAR, "--force", "changed")
    assert difference(oldconfig.read_text(PLAIN, VERSION), bench.keys()) == {"session.mine": "1"}


def test_without_a_snapshot(bench):
    bench(*STAGE)
    (bench.folder / "stalprep-config.toml.snapshot.json").unlink()
    assert "no-snapshot" in bench(*CLEAR, "--dialect", "0.15", status=1).err
    assert "Nothing says which proxy" in bench("status", "--dialect", "0.15", status=6).err
    assert "Ready for the start." in bench("status", *STAGE[1:]).out
    bench(*CLEAR, *STAGE[1:])
    assert bench.text == PLAIN


def test_statuses(bench):
    assert "Nothing says which" not in bench("status", "--dialect", "0.15", status=7).err
    assert re.search(r"\n(\d+) of \1 keys were read back as wanted, \1 of them written now\.\n", bench(*LISTENERS).out)
    bench("status", "--dialect", "0.15", status=6)
    assert re.search(r"\n(\d+) of \1 keys were read back as wanted, 8 of them written now\.\n", bench(*STAGE).out)
    bench("status", "--dialect", "0.15")
    assert "it is read as 0.11" in bench("clear", "--dialect", "0.11", "-n").out
    ran = bench(*STAGE)
    assert "already" in ran.out or "Nothing" in ran.out
    for options in (("--url", "https://x"), ("--user", "x"), ("--cacert", "x"), ("-k",)):
        assert "--config" in bench(*STAGE, *options, status=2).err
    bench(*CLEAR, "--reload", status=2)
    bench("reload", status=2)


def test_the_server_between(bench, simulate):
    """Staged by file, the server runs with it and rewrites it; clear then leaves what was there, and his change."""
    server = simulate(config=config(SMTP, HTTP, listener("imap", 143, "imap"), "# a comment"))
    server.stop()
    shutil.copy(server.config_path, bench.path)
    before = bench.stage(*STAGE[1:])
    shutil.copy(bench.path, server.config_path)
    assert server.restart()
    held = server.settings()
    assert guide("0.15.5", listeners=["imap", "http"]).items() <= held.items()
    insert(server, server__zz="his")
    server.stop()
    shutil.copy(server.config_path, bench.path)
    assert "#" not in bench.text
    bench("status")
    bench(*CLEAR)
    assert difference(before, bench.keys()) == {"server.zz": "his"}
    assert bench.text == oldconfig.write_text(bench.keys())


# What comes behind

FLAT = oldconfig.write_text(oldconfig.read_text(PLAIN, VERSION))
APPENDED = {  # by a person or a start script
    "dotted keys": 'certificate.x.cert = "%{file:/x.pem}%"\nserver.listener.smtp.bind.1 = "127.0.0.1:25"\n',
    "a table": '[certificate.x]\ncert = "%{file:/x.pem}%"\n', "a comment": "# by hand\n",
    "tables of the change set": "[auth.rate]\nlimit = 1\n[http.headers]\nx = 1\n[session]\nhello = 'x'\n",
}


@pytest.mark.parametrize("form", ["flat", "tables", "its table last", "no last line end"])
@pytest.mark.parametrize("what", APPENDED)
def test_appended(bench, form, what):
    """It means what it would have meant before, and stays; what was there comes back."""
    last = 'protocol = "imap" # x'
    text = {"flat": FLAT, "tables": PLAIN, "its table last": PLAIN + "[http]\nother = 1\n",
            "no last line end": PLAIN.split("[server.listener.imap]")[0] + f'[server.listener.imap]\nbind = "[::]:143"\n{last}'}[form]
    appended = ("" if text.endswith("\n") else "\n") + APPENDED[what]
    bench.put(text + appended)
    meant = bench.keys()
    for more in (), ("--relay", "new.example.org"):
        bench.put(text)
        planned = difference(oldconfig.read_text(text, VERSION), {**bench.keys(), **wanted(bench, *STAGE, *more)})
        bench(*STAGE, *more)
        bench.path.write_text(bench.text + appended)
        assert difference(meant, bench.keys()) == planned
        bench("status", "--dialect", "0.15", status=6 if more else 0)  # the database's rule can't be seen
        staged = bench.text
        bench(*STAGE, *more)
        assert bench.text == staged
        bench(*CLEAR)
        assert bench.text == text + appended


def wanted(bench, *options):
    return {key["key"]: key["wanted"] for key in bench(*options, "--dry-run", "--json").target["keys"] if key["wanted"]}


def test_appended_to_a_list_that_went(bench):
    """Comments between the lines of a table, and the server's own rewrite after it."""
    text = PLAIN + '[queue.outbound]\nnext-hop = [ { if = "x", then = "y" }, # z\n  { else = "z" } ]\n'
    options = ("stage", *CHANGE, "--relay", "new.example.org", "--dialect", "0.12")
    appended = "[queue.quota]\nx = 1\n"
    bench.put(text + appended)
    meant = bench.keys()
    bench.put(text)
    bench(*options)
    bench.path.write_text(bench.text + appended)
    assert tomllib.loads(bench.text)["queue"]["quota"] == {"x": 1}
    bench.path.write_text(oldconfig.write_text(bench.keys()))
    bench(*CLEAR)
    assert bench.text == oldconfig.write_text(meant)


# The report

def patched(text, shown):
    """What patch(1) makes of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text"
        path.write_bytes(text)
        subprocess.run(["patch", "--binary", "-s", str(path)], input=shown.encode(), timeout=TIMEOUT, check=True)
        return path.read_bytes()


def test_the_difference_is_a_patch(bench):
    for text in (PLAIN, PLAIN + "[auth]\r\ndkim.verify = ''\r\n", PLAIN.replace("\n", "\r\n"),
                 PLAIN + "[auth]\ndkim = {\nverify = 'a'}\n"):
        bench.put(text)
        for command in (STAGE, OTHER, CLEAR):
            ran, old = bench(*command, "--dry-run"), bench.files()
            assert "Nothing was written" in ran.out
            shown = ran.out[ran.out.index("--- "):]
            assert bench(*command, "--dry-run", "-q").out == shown
            assert bench(*command, "--dry-run", "--json").target["diff"] == shown
            assert bench.files() == old
            bench(*command)
            assert patched(old["config.toml"], shown) == bench.path.read_bytes()


def test_json(bench):
    ran = bench(*STAGE, "--json")
    target = ran.target
    assert (ran.json["command"], ran.json["exit"], ran.json["changed"]) == ("stage", 0, True) and not ran.err
    assert target["target"] == str(bench.path) and {key["applies"] for key in target["keys"]} == {"restart"}
    assert target["snapshot"] == str(bench.folder / "stalprep-config.toml.snapshot.json")
    assert {one["id"]: one["chosen"] for one in target["listeners"]} == {"imap": True, "smtp": False}
    ran = bench(*CLEAR, "--json")
    assert ran.json["changed"] and {key["state"] for key in ran.target["keys"]} == {"restored"}
    bench.put("x\n")
    ran = bench(*STAGE, "--json", status=1)
    assert not ran.err and "line 1, column" in ran.json["messages"][0]["text"] and not ran.json["changed"]


SECRETS = """\
[server.listener.imap]
%s
tls.password = "hunter2-one"
proxy.trusted-networks = "198.51.100.0/24"
password = 'hunter2-two'
[auth]
secret = "hunter2-three"
dkim.verify = "strict"
[authentication.fallback-admin]
user = "admin"
secret = "hunter2-four"
""" % IMAP


def test_no_secret_is_shown(bench):
    bench.put(PLAIN.split("[server.listener.imap]")[0] + SECRETS)
    bench.run.secrets |= set(re.findall(r"hunter2-\w+", SECRETS))
    kept = ("--snapshot-dir", bench.run.folder)
    for command in (STAGE, OTHER, (*STAGE, "--force", "in-place"), CLEAR):
        for more in ("--dry-run",), ("--dry-run", "--json"), ("-v",):
            bench(*command, *more, *kept)
        bench("status", "--json", *kept, status=None)
    bench.put(PLAIN + '[session]\nehlo = { reject-non-fqdn = true, token = "hunter2-one" }\n')
    assert "not shown" in bench(*STAGE, "--dry-run", *kept).out
    bench(*STAGE, "--dry-run", "--json", *kept)
    for bad in ('x = "hunter2-one', "x = hunter2-two hunter2-three", 'a."hunter2-four" = "hunter2-one" hunter2-two'):
        bench.put(PLAIN + bad + "\n")
        bench(*STAGE, *kept, status=1)


# What is no config.toml

REFUSED = {  # text: what is said
    "0 bytes": (b"", "empty"),
    "zeros": (b"\0" * 3000, "line 1, column 1"),
    "over-long": (b"# " + b"x" * (64 << 20), "longer than 64 MiB"),
    "no listener": (b"[server]\nhostname = 'x'\n", "server.listener"),
    "not UTF-8": (PLAIN.encode() + b"# \xff\n", "UTF-8"),
    "a byte-order mark": (b"\xef\xbb\xbf" + PLAIN.encode(), "line 1, column 1"),
    "carriage returns alone": (PLAIN.replace("\n", "\r").encode(), "server.listener"),
    "no last line end": (PLAIN.encode()[:-1], "line 12"),
    "a long key": (f"{PLAIN}{'k' * 5000} = 1\n".encode(), "longer than 4096 bytes. stalprep can't work with this file."),
    "a NUL": (PLAIN.encode() + b'x = "\0"\n', "a NUL byte, here or before. stalprep can't work with this file."),
    "a key twice": (PLAIN.encode() + b"type = 1\n", "lines 12 and 13"),
    "no TOML": (b"<html>\n", "line 1, column 1"),
    "JSON": (b'{\n "server": {"listener": {}}\n}\n', "It is JSON"),
    "YAML": (b"# the stack\nservices:\n  stalwart:\n    image: x\n", "It is YAML"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(bench, name):
    text, words = REFUSED[name]
    bench.put(text)
    for command in (STAGE, CLEAR, ("status",)):
        ran = bench(*command, status=1)
        assert words in ran.err and not ran.out.startswith("---")
        assert command == ("status",) or "Nothing was written" in ran.err
    assert bench.files() == {"config.toml": text}


NO_FILE = {
    "folder": "it is a folder", "device": "it is a device", "fifo": "it is a pipe", "socket": "it is a socket",
    "kernel": "the kernel's own files", "absent": "No such file", "dangling": "No such file",
}


@pytest.mark.parametrize("kind", NO_FILE)
def test_no_file(bench, kind):
    bench.path.unlink()
    path = bench.path
    if kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = "/dev/zero"
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "kernel":
        path = "/proc/self/status"
    ran = bench(*STAGE, path=path, status=1)
    assert str(path) in ran.err and NO_FILE[kind] in ran.err and "Nothing was written" in ran.err
    assert not list(bench.folder.glob("*.json"))


OPENED = [("exec 3<{} && rm {}", "has no name any more"), ("exec 3<{}", None), ("cat {} | (exec 3<&0", "it is a pipe")]


@native
@pytest.mark.parametrize("script,said", OPENED, ids=["deleted", "open", "pipe"])
def test_an_open_file(bench, script, said):
    """/dev/fd/3 is the file while it has a name, and only then."""
    script = script.format(bench.path, bench.path) + ' && exec "$@"' + (")" if "(" in script else "")
    ran = bench(*STAGE, path="/dev/fd/3", wrap=["sh", "-c", script, "sh"], status=1 if said else 0)
    assert said is None or (said in ran.err and "Nothing was written" in ran.err)
    assert said is not None or MARK in bench.text


@native
def test_not_allowed(bench, public):  # noqa: F811
    own = public / "etc"
    own.mkdir()
    (own / "config.toml").write_text(PLAIN)
    ran = bench(*STAGE, path=own / "config.toml", status=1, binary=str(public / "stalprep"), cwd=public, **NOBODY)
    assert "Nothing was written" in ran.err and [path.name for path in own.iterdir()] == ["config.toml"]


# The file on disk

NOONE = 0xffffffff
ACL = struct.pack("<I" + "HHI" * 5, 2, 1, 6, NOONE, 2, 4, 1234, 4, 4, NOONE, 0x10, 4, NOONE, 0x20, 0, NOONE)


def attributes(path):
    st = os.stat(path)
    return (st.st_uid, st.st_gid, oct(st.st_mode), {name: os.getxattr(path, name) for name in os.listxattr(path)})


@pytest.fixture
def disk():
    """A folder outside of memory, where an older kernel keeps no attributes."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


@needs_root
@native
def test_attributes_are_kept(run, disk):
    bench = Bench(run, disk)
    bench.put(PLAIN)
    try:
        os.setxattr(bench.path, "user.note", b"kept\0so")
        os.setxattr(bench.path, "system.posix_acl_access", ACL)
    except OSError:
        pytest.skip("no attributes can be set there")
    os.chown(bench.path, 1000, 1001)
    before = attributes(bench.path)
    assert len(before[3]) == 2
    for command in (STAGE, OTHER, CLEAR):
        inode = os.stat(bench.path).st_ino
        bench(*command)
        assert attributes(bench.path) == before and os.stat(bench.path).st_ino != inode
    os.chmod(bench.path, 0o4751)
    before = attributes(bench.path)
    bench(*STAGE)
    assert attributes(bench.path) == before


def test_a_link_stays(bench):
    link = bench.run.folder / "link.toml"
    link.symlink_to(os.path.relpath(bench.path, bench.run.folder))
    other = bench.run.folder / "other"
    other.symlink_to("link.toml")
    bench(*STAGE, path=other)
    assert link.is_symlink() and other.is_symlink() and MARK in bench.text
    assert sorted(bench.files()) == ["config.toml", "stalprep-config.toml.snapshot.json"]
    bench(*CLEAR, path=link)
    assert bench.text == PLAIN and link.is_symlink()


def test_a_hard_link_is_named(bench):
    os.link(bench.path, bench.folder / "second")
    for more in (), ("--dry-run",):
        ran = bench(*STAGE, *more, status=1)
        assert "2 names" in ran.err and "--force in-place" in ran.err and "Nothing was written" in ran.err
        assert "To do it" not in ran.out
    assert bench.files() == dict.fromkeys(["config.toml", "second"], PLAIN.encode())
    ran = bench(*STAGE, "--force", "in-place")
    files = bench.files()
    assert files["second"] == files["config.toml"] != PLAIN.encode()
    assert sorted(files) == ["config.toml", "second", "stalprep-config.toml.snapshot.json"]
    undo(ran)
    assert bench.files()["second"] == PLAIN.encode()


def undo(ran, **options):
    """The command that the report prints works as printed, from any folder."""
    command = re.search("^To undo: (.*)", ran.out, re.M)[1]
    subprocess.run(["sh", "-c", command], check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=TIMEOUT, **options)


@native
@needs_root
def test_a_file_of_another_owner(bench, public):  # noqa: F811
    """Its group may write it, but not give it away."""
    own = public / "etc"
    own.mkdir()
    path = own / "config.toml"
    path.write_text(PLAIN)
    os.chown(own, 65534, 65534)
    os.chown(path, 1000, 65534)
    os.chmod(path, 0o660)
    before, more = attributes(path), {"binary": str(public / "stalprep"), "cwd": own, **NOBODY}
    ran = bench(*STAGE, path=path, status=1, **more)
    assert "--force in-place" in ran.err and "Nothing was written" in ran.err and path.read_text() == PLAIN
    ran = bench(*STAGE, *IN_PLACE, path=path, **more)
    assert NEW_LINES in path.read_text() and attributes(path) == before
    undo(ran, **NOBODY)
    assert path.read_text() == PLAIN and attributes(path) == before


@native
@pytest.mark.skipif(not shutil.which("prlimit"), reason="there is no prlimit")
@pytest.mark.parametrize("in_place", [False, True])
def test_a_limit_of_the_size(bench, in_place):
    """SIGXFSZ: the file stays whole, also where it is written over."""
    text = PLAIN + "# " + "x" * 20000 + "\n"
    bench.put(text)
    if in_place:
        os.link(bench.path, bench.folder / "second")
    ran = bench(*STAGE, *(IN_PLACE if in_place else ()), status=1, wrap=["prlimit", f"--fsize={len(text) + 10}"])
    assert "File too large" in ran.err and "Nothing was written" in ran.err
    assert {path.name for path in bench.folder.iterdir()} == {"config.toml", *(["second"] if in_place else [])}
    assert bench.text == text
    bench(*STAGE, *(IN_PLACE if in_place else ()))


class Mounts:
    """A mount namespace of its own, after a shell script in it ($1 is a folder); paths in it are seen from outside."""

    def __init__(self, script, folder):
        self.process = subprocess.Popen(["unshare", "-m", "sh", "-ec", script + "\necho\nread x", "sh", str(folder)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"\n"

    def wrap(self):
        return ["nsenter", "-t", str(self.process.pid), "-m"]

    def see(self, path):
        return Path(f"/proc/{self.process.pid}/root{path}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate(b"\n", timeout=TIMEOUT)


@native
@needs_root
@pytest.mark.parametrize("owner", [65534, 1000])
def test_a_folder_of_the_server(bench, owner):
    """As it is usually installed. What the report prints works there; where another owns the file, nobody's word counts."""
    os.chown(bench.path, owner, owner)
    ran = bench(*STAGE)
    os.chown(bench.folder, 65534, 65534)
    command = re.search("^The order of the day: (.*)", ran.out, re.M)[1].split()[1:]
    said = bench.run(*command, keep=False, status=0 if owner == 65534 else 1)
    assert f"cp -n {bench.path} ~/config.toml.before\n" in said.out if owner == 65534 else "is not used" in said.err
    probe = bench.run("probe", "127.0.0.1", "--snapshot", command[-1], "--silence", "1", keep=False)
    assert ("is not used" in probe.err) == (owner != 65534) and ("imap" in probe.out) == (owner == 65534)
    bench("status", "--dialect", "0.15", status=0 if owner == 65534 else 1)
    bench.path.with_name("stalprep-config.toml.snapshot.json").unlink()
    os.chmod(bench.folder, 0o775)
    assert "Nothing says which" in bench("status", "--dialect", "0.15", status=6).err  # there is none to distrust


@needs_mounts
@native
def test_mounted_by_itself(bench):
    """As containers mount a file: it can't be replaced."""
    outside = bench.run.folder / "outside.toml"
    outside.write_text(PLAIN)
    os.chmod(outside, 0o640)
    with Mounts('mount --bind "$1/../runs/outside.toml" "$1/config.toml"', bench.folder) as there:
        for more in (), ("--dry-run",):
            ran = bench(*STAGE, *more, wrap=there.wrap(), status=1)
            assert "mounted by itself" in ran.err and "--force in-place" in ran.err and SOURCE in ran.err
            assert "Nothing was written" in ran.err and "To do it" not in ran.out
        assert outside.read_text() == PLAIN and list(bench.files()) == ["config.toml"]
        bench(*STAGE, "--force", "in-place", wrap=there.wrap())
        assert NEW_LINES in outside.read_text() and outside.stat().st_mode & 0o777 == 0o640
        assert not (bench.folder / "config.toml.stalprep-backup").exists()
        bench(*CLEAR, "--force", "in-place", wrap=there.wrap())
        assert outside.read_text() == PLAIN


SOURCE = "adds them to a copy, both with the options of this run. Stage the rest over the API, with --skip listeners."


@needs_mounts
@native
def test_a_read_only_file_system(bench):
    with Mounts('mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"', bench.folder) as there:
        ran = bench(*STAGE, wrap=there.wrap(), status=1)
        assert "Read-only file system" in ran.err and "Nothing was written" in ran.err and SOURCE in ran.err
        ran = bench(*STAGE, "--snapshot-dir", bench.run.folder, wrap=there.wrap(), status=1)
        assert "Read-only file system" in ran.err and "Nothing was written" in ran.err and SOURCE in ran.err
        assert not list(bench.run.folder.iterdir())
        ran = bench(*STAGE, "--snapshot-dir", bench.run.folder, "--force", "in-place", wrap=there.wrap(), status=1)
        assert not list(bench.run.folder.iterdir()) and SOURCE in ran.err
        assert SOURCE in bench(*STAGE, "--dry-run", wrap=there.wrap()).err
        assert bench.files() == {"config.toml": PLAIN.encode()}


FULL = ('mount -t tmpfs -o size=64k,mode=700 none "$1"; cp "$1/../runs/config.toml" "$1"; '
        'cat /dev/zero > "$1/zeros" 2>/dev/null || :; truncate -s "-%s" "$1/zeros"')
AFTER = {0: 1, 4096: 1, 8192: 5, 12288: 0}  # room: the exit status; the snapshot and each new file take 4096


@needs_mounts
@native
@pytest.mark.parametrize("room", AFTER)
def test_a_full_disk(bench, room):
    (bench.run.folder / "config.toml").write_text(PLAIN)
    with Mounts(FULL % room, bench.folder) as there:
        ran = bench(*STAGE, wrap=there.wrap(), status=AFTER[room])
        names = {path.name for path in there.see(bench.folder).iterdir()} - {"zeros"}
        assert (there.see(bench.path).read_text() == PLAIN) == (ran.status == 1)
        assert names == {"config.toml", *(["stalprep-config.toml.snapshot.json"] if ran.status != 1 else [])}
        assert ran.status == 0 or "No space left" in ran.err and ("Nothing was written" in ran.err) == (ran.status == 1)
        os.truncate(there.see(bench.folder / "zeros"), 0)
        bench(*STAGE, wrap=there.wrap())
        bench(*CLEAR, wrap=there.wrap())
        assert there.see(bench.path).read_text() == PLAIN


# Killed

def can_trace():
    strace = shutil.which("strace")
    tried = strace and subprocess.run([strace, "-f", "-o", "/dev/null", "true"], capture_output=True, timeout=60,
                                      check=False)
    return bool(tried) and tried.returncode == 0


# An empty /proc: which processes there are would change the calls.
QUIET = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")


def calls(bench, command):
    """(name, number) of each system call that the command makes."""
    trace = bench.run.vault / "trace"
    bench(*command, wrap=[*QUIET, "strace", "-o", trace], status=None)
    counts, found = {}, []
    for name in re.findall(r"^(\w+)\(", trace.read_text(), re.M):
        counts[name] = counts.get(name, 0) + 1
        found.append((name, counts[name]))
    return found


EVERY = 4  # call, in a normal run
IN_PLACE = ("--force", "in-place")
SCENES = {  # (done before, killed)
    "stage": ((), STAGE), "clear": ((STAGE,), CLEAR), "stage another": ((STAGE,), OTHER),
    "stage in place": ((), (*STAGE, *IN_PLACE)), "clear in place": (((*STAGE, *IN_PLACE),), (*CLEAR, *IN_PLACE)),
}


class Scene:
    """The file, with a second name where it is to be written over, and its backup."""

    def __init__(self, bench, name):
        self.bench, (self.done, self.command) = bench, SCENES[name]
        self.in_place, self.seen = IN_PLACE[0] in self.command, set()
        self.backup = bench.folder / "config.toml.stalprep-backup"
        self.begin()
        self.old = bench.text
        bench(*self.command)
        self.new = bench.text
        self.begin()

    def begin(self):
        self.bench.put(PLAIN)
        if self.in_place:
            os.link(self.bench.path, self.bench.folder / "second")
        for one in self.done:
            self.bench(*one)
        self.backup.unlink(missing_ok=True)

    def survives(self):
        """The file; or, where it is written over, its copy, which is root's alone."""
        assert not self.backup.exists() or stat.S_IMODE(self.backup.stat().st_mode) == 0o600
        return self.backup.read_text() if self.backup.exists() and self.bench.text != self.new else self.bench.text

    def is_new(self):
        files = self.bench.files()
        states = {re.search(rb'"state":"(\w+)"', text)[1] for name, text in files.items() if name.endswith(".snapshot.json")}
        left = (frozenset(re.sub(r"\.\w{6}$", "", path) for path in files), self.bench.text, frozenset(states))
        new = left not in self.seen
        self.seen.add(left)
        return new

    def mend(self):
        """What a run that wrote in place asks for before the next."""
        if self.backup.exists() and self.bench.text != self.new:
            assert str(self.backup) in self.bench(*self.command, status=1).err
            self.bench.path.write_text(self.backup.read_text())
        self.backup.unlink(missing_ok=True)

    def check_finishes(self):
        """A second run does, and clear after it; or clear does at once."""
        left, more = self.bench.files(), IN_PLACE if self.in_place else ()
        stage = STAGE if self.command[0] == "clear" else self.command
        self.mend()
        self.bench(*stage, *more)
        assert self.bench.text == (self.old if stage == STAGE and self.done else self.new)
        self.bench("status", *stage[1:], "--skip", "outbound")
        self.backup.unlink(missing_ok=True)
        self.bench(*CLEAR, *more)
        assert self.bench.text == PLAIN
        self.backup.unlink(missing_ok=True)
        for name, data in left.items():
            (self.bench.folder / name).write_bytes(data)
        self.mend()
        if any(name.endswith(".snapshot.json") for name in left):
            self.bench(*CLEAR, *more)
        assert self.bench.text == PLAIN


@needs_mounts
@native
@pytest.mark.skipif(not can_trace(), reason="there is no strace, or it may not trace")
@pytest.mark.parametrize("name", SCENES)
def test_killed(bench, name):
    """kill -9 at any system call leaves the old file or the new one (in place: or a copy); a second run finishes."""
    scene, killed = Scene(bench, name), 0
    tried = sample(calls(bench, scene.command), EVERY, name)
    for call, number in tried:
        scene.begin()
        inject = f"inject={call}:signal=KILL:when={number}"
        ran = bench(*scene.command, status=None, wrap=[*QUIET, "strace", "-o", "/dev/null", "-e", f"trace={call}",
                                                       "-e", inject])
        killed += ran.status == -signal.SIGKILL
        assert scene.survives() in (scene.old, scene.new), (call, number)
        if scene.is_new():
            scene.check_finishes()
    assert killed >= 0.9 * len(tried) and len(scene.seen) > (3 if THOROUGH else 2)  # a sample may miss one


# The gate

def test_a_rule_in_the_database_is_not_seen(bench):
    """Two halves of a routing rule block the start's settings, so a file alone is never ready for it."""
    bench.put(PLAIN)
    bench(*STAGE, "--relay", "new.example.org")
    for options in ((), (*CHANGE, "--relay", "new.example.org")):
        ran = bench("status", *options, status=6)
        assert "can't be seen in a file" in ran.err and "status --url" in ran.err and "Not ready for the start" in ran.out
        assert "outbound   staged (9 of 9 keys)" in ran.out
    assert "Ready for the start." in bench("status", "--skip", "outbound").out
    bench(*CLEAR)
    bench(*STAGE)
    assert "Ready for the start." in bench("status").out


def test_what_blocks_a_reload(bench):
    bench.put(PLAIN + '\n[auth.dkim]\nsign = [ { if = "x", then = "y" } ]\n')
    bench(*STAGE)
    assert "auth.dkim.sign has no" in bench("status", status=6).err


# A server that runs on it

class Server:
    """A process with these arguments that waits until it is told to end."""

    def __init__(self, args, wrap=(), shell="sh", env=(), cwd=None):
        self.process = subprocess.Popen([*wrap, shell, "-c", "echo; read x", "stalwart", *map(str, args)],
                                        stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"], **dict(env)}, cwd=cwd)
        assert self.process.stdout.readline() == b"\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate(b"\n", timeout=TIMEOUT)


IN_MOUNTS = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /mnt && exec "$@"')
IN_ROOT = ("unshare", "-m", "sh", "-c",
           'cd "$0/../runs" && mount --bind / . && cd . && mount --bind "$0" ../runs/mnt && exec chroot ../runs "$@"')
STARTED = {  # how: (arguments, environment, what stands in front of it)
    "--config=": (["--config={path}"], {}, ()), "--config": (["--config", "{path}"], {}, ()),
    "-c": (["-c", "{path}"], {}, ()),
    "-c=": (["--other", "-c={path}"], {}, ()), "relative": (["--config=../etc/./config.toml"], {}, ()),
    "relative, by the environment": ([], {"CONFIG_PATH": "../etc/config.toml"}, ()),
    "the environment": ([], {"CONFIG_PATH": "{path}"}, ()), "a link": (["--config={folder}/../link"], {}, ()),
    "other mounts": (["--config=/mnt/config.toml"], {}, IN_MOUNTS), "another root": (["--config", "/mnt/config.toml"],
                                                                                     {}, IN_ROOT),
    "another root, the environment": ([], {"CONFIG_PATH": "/mnt/config.toml"}, IN_ROOT),
}


@native
@pytest.mark.parametrize("how", STARTED)
def test_running(bench, how, tmp_path):
    args, env, wrap = STARTED[how]
    if wrap and not can_mount():
        pytest.skip("nothing can be mounted here")
    (tmp_path / "link").symlink_to("etc/config.toml")
    names = {"path": bench.path, "folder": bench.folder}
    args, env = [arg.format(**names) for arg in args], {key: value.format(**names) for key, value in env.items()}
    with Server(args, [*wrap, str(bench.folder)] if wrap else (), env=env, cwd=bench.run.folder) as server:
        for command in (STAGE, (*STAGE, "--dry-run"), CLEAR):
            ran = bench(*command, status=1)
            assert "refused (running)" in ran.err and "Nothing was written" in ran.err
            assert re.search(rf"Process {server.process.pid} \(sh, /\S*, user {os.geteuid()}\)", ran.err)
        assert bench(*STAGE, "--json", status=1).names() == {"running"}
        said = bench("status", "--dialect", "0.15", status=7).err
        assert f"Process {server.process.pid} (sh" in said and "may overwrite the file" in said
        assert bench.files() == {"config.toml": PLAIN.encode()}
        bench(*STAGE, "--force", "running")
    bench(*CLEAR)
    assert bench.text == PLAIN


@native
def test_no_server(bench):
    """An editor with the file, a server on another one, our own shell and its wrappers."""
    other = bench.folder / "other.toml"
    other.write_text(PLAIN)
    others = ([bench.path], ["--config", other], [f"--conf={bench.path}"], ["--config", "config.toml"],
              [f"--config={bench.path}.old"])
    with contextlib.ExitStack() as stack, bench.path.open():
        for args in others:
            stack.enter_context(Server(args, cwd="/"))
        ran = bench(*STAGE, wrap=["sh", "-c", '"$@"; exit $?', "sh"])
        assert "running" not in ran.err
        bench(*CLEAR, wrap=["env", f"CONFIG_PATH={bench.path}", "sh", "-c", f'"$@"; exit $?; # --config={bench.path}',
                            "sh"])


@native
@needs_root
def test_a_bystander(bench, public):  # noqa: F811
    """Any user can start a process that names the file: no refusal, if it is no server."""
    shutil.copy(os.path.realpath("/bin/sh"), public / "server")
    with open(public / "server", "ab") as file:
        file.write(b"* OK Stalwart IMAP4rev2 at your service")
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with Server(["--config", bench.path], wrap=user) as server:
        ran = bench(*STAGE)
        assert re.search(rf"Process {server.process.pid} \(sh, /\S*, user 65534\) names .* is no server", ran.err)
        with Server(["--config", bench.path], wrap=user, shell=str(public / "server")) as other:
            ran = bench(*CLEAR, status=1)
            assert f"Process {other.process.pid} (server, {public}/server, user 65534)" in ran.err
        os.chown(bench.path, 65534, 65534)
        ran = bench(*CLEAR, status=1)
        assert f"Process {server.process.pid} (sh" in ran.err
        os.chown(bench.path, 0, 0)
        assert "names" in bench(*CLEAR).err


@native
@needs_mounts
def test_a_container_with_a_script(bench):
    """Behind its -c is no config, though nothing of that name is seen in its root."""
    with Server([], [*IN_ROOT, str(bench.folder)], cwd=bench.run.folder):
        assert "/proc" not in bench(*STAGE).err


def victim_is_whole(victim):
    return {path.name: path.read_text() for path in victim.iterdir()} == {"config.toml": "[other]\nservice = 1\n"}


@native
@needs_root
def test_a_race_for_the_folder(bench, public):  # noqa: F811
    """The folder's parent belongs to others, who exchange the folder and a link to another one, as fast as they can."""
    etc, victim = public / "etc", bench.run.folder / "victim"
    for folder in (etc, victim):
        folder.mkdir()
    (etc / "config.toml").write_text(PLAIN)
    (victim / "config.toml").write_text("[other]\nservice = 1\n")
    (public / "link").symlink_to(victim)
    until, tried = time.monotonic() + RACE_SECONDS, set()
    racer = os.fork()
    if not racer:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
        while os.getppid() != 1 and time.monotonic() < until + TIMEOUT:
            exchange(-100, str(etc).encode(), -100, str(public / "link").encode(), ctypes.c_uint(2))
        os._exit(0)
    try:
        for _ in range(RACES):
            tried.add(bench(*STAGE, path=etc / "config.toml", status=None).status)
            assert victim_is_whole(victim)
            tried.add(bench(*CLEAR, path=etc / "config.toml", status=None).status)
            if time.monotonic() > until:
                break
    finally:
        os.kill(racer, signal.SIGKILL)
        os.waitpid(racer, 0)
    assert victim_is_whole(victim) and 1 in tried


@native
@needs_root
def test_not_all_can_be_seen(bench, public):  # noqa: F811
    """Another user's server shows its arguments, but not its root."""
    own = public / "etc"
    own.mkdir()
    path = own / "config.toml"
    path.write_text(PLAIN)
    for one in (own, path):
        os.chown(one, 65534, 65534)
    with Server(["--config", path]):
        ran = bench(*STAGE, path=path, binary=str(public / "stalprep"), cwd=own, **NOBODY)
        assert "can't be seen for certain" in ran.err
    bench(*CLEAR, path=path, binary=str(public / "stalprep"), cwd=own, **NOBODY)
    assert path.read_text() == PLAIN


HIDDEN = ("unshare", "-m", "-p", "-f", "sh", "-c", "mount -t proc -o hidepid=2 proc /proc && "
          'setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; exit $?', "sh")


@native
@needs_root
@needs_mounts
def test_others_are_hidden(bench, public):  # noqa: F811
    """What another user's /proc does not list may be a server."""
    path = public / "config.toml"
    path.write_text(PLAIN)
    for one in (public, path):
        os.chown(one, 65534, 65534)
    ran = bench(*STAGE, path=path, binary=str(public / "stalprep"), cwd=public, wrap=HIDDEN)
    assert "can't be seen for certain" in ran.err


@native
@needs_mounts
def test_without_proc(bench):
    assert "no /proc" in bench(*STAGE, wrap=QUIET).err
    assert "no /proc" in bench(*CLEAR, wrap=QUIET).err


# Standard input and output

def test_a_stream(bench, run):
    ran = bench(*STAGE, path="-", text=PLAIN.encode())
    bench(*STAGE)
    assert ran.out == bench.text and "Staged" in ran.err and "standard input" in ran.err
    assert not list(run.folder.iterdir())
    ran = bench(*CLEAR, *STAGE[1:], path="-", text=ran.out.encode())
    assert ran.out == PLAIN
    ran = bench(*STAGE, path="-", text=bench.text.encode())
    assert ran.out == bench.text  # nothing to do
    ran = bench(*STAGE, "-q", path="-", text=PLAIN.encode())
    assert ran.out == bench.text and "Staged" not in ran.err


def test_a_stream_with_a_snapshot(bench, run):
    kept = ("--snapshot", run.folder / "kept.json")
    text = PLAIN + "[auth]\ndkim.verify = 'strict' # mine\n"
    staged = bench(*STAGE, *kept, path="-", text=text.encode()).out
    assert bench("status", *kept, path="-", text=staged.encode()).out
    assert bench(*CLEAR, *kept, path="-", text=staged.encode()).out == text


@pytest.mark.parametrize("text", [b"", b"x\n", b"[a]\n", PLAIN.encode() + b"\xff",
                                  PLAIN.replace("imap", "smtp2").encode()])
def test_a_stream_refused(bench, text):
    for command in (STAGE, ("clear", *STAGE[1:])):
        ran = bench(*command, path="-", text=text, status=1)
        assert not ran.out and "Nothing was written" in ran.err


def test_a_stream_is_not_written(bench):
    ran = bench(*STAGE, "--dry-run", path="-", text=PLAIN.encode())
    assert ran.out.endswith(f"+{NEW_LINES.splitlines()[-1]}\n") and "+++ " in ran.out and "+proxy.override = true" in ran.out
    assert bench(*STAGE, "--dry-run", "--json", path="-", text=PLAIN.encode()).target["diff"] in ran.out
    assert "--json" in bench(*STAGE, "--json", path="-", text=PLAIN.encode(), status=2).err
    assert bench("status", "--json", "--dialect", "0.15", path="-", text=PLAIN.encode(), status=7).json["exit"] == 7
    with open("/dev/full", "w", encoding="ascii") as full:
        ran = bench(*STAGE, path="-", text=PLAIN.encode(), stdout=full, status=5)
        assert "could not be written" in ran.err


# Anywhere

@static
@native
@needs_root
@pytest.mark.parametrize("user", ["0:0", "65534:65534"])
def test_an_empty_root(bench, user):
    """The binary and the file alone, as root and as another."""
    root = bench.folder
    shutil.copy(BINARY, root / "stalprep")
    uid = int(user.split(":")[0])
    for path in (root, bench.path):
        os.chown(path, uid, uid)
    inside = {"wrap": ["chroot", "--userspec", user, str(root)], "binary": "/stalprep", "path": "/config.toml"}
    ran = bench(*STAGE, **inside)
    assert "no /proc" in ran.err and NEW_LINES in bench.text
    assert "/stalprep-config.toml.snapshot.json" in ran.out
    bench("status", **inside)
    bench(*CLEAR, **inside)
    assert bench.text == PLAIN and bench.path.stat().st_uid == uid
    assert set(bench.files()) == {"config.toml", "stalprep", "stalprep-config.toml.snapshot.json.cleared"}


@static
@native
@needs_root
@needs_mounts
def test_a_read_only_root(bench):
    """Only the mount that holds the file can be written to."""
    root = bench.run.folder
    shutil.copy(BINARY, root / "stalprep")
    (root / "etc").mkdir()
    script = 'cd "$1/.."; mount --bind runs runs; mount --bind etc runs/etc; mount -o remount,ro,bind runs'
    with Mounts(script, bench.folder) as there:
        inside = {"wrap": [*there.wrap(), "chroot", str(root)], "binary": "/stalprep", "path": "/etc/config.toml"}
        bench(*STAGE, **inside)
        assert NEW_LINES in bench.text
        bench(*CLEAR, **inside)
        assert bench.text == PLAIN


# Files that need care

def test_two_nodes_files_keep_their_own_snapshots(bench, tmp_path):
    """Files of one name, snapshots in one folder: neither takes the other's for its own."""
    kept = tmp_path / "kept"
    kept.mkdir()
    texts = {"a": PLAIN + '[auth]\ndkim.verify = "strict"\n', "b": PLAIN}
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text(text)
        bench(*STAGE, "--snapshot-dir", kept, path=tmp_path / name / "config.toml")
    for name, text in texts.items():
        bench(*CLEAR, "--snapshot-dir", kept, path=tmp_path / name / "config.toml")
        assert (tmp_path / name / "config.toml").read_text() == text


def test_snapshot_moves_along_with_its_file(bench, tmp_path):
    """Staged where a rescue system had mounted it, cleared where it belongs."""
    bench(*STAGE)
    there = bench.folder.rename(tmp_path / "there") / "config.toml"
    bench(*CLEAR, path=there)
    assert there.read_text() == PLAIN


def test_last_line_without_an_end(bench):
    """A comment lets the last line go without one: it stays the last."""
    text = '[server.listener.smtp]\nbind = "[::]:25"\nprotocol = "smtp"\n' \
           '[server.listener.imap]\nbind = "[::]:143"\nprotocol = "imap" # x'
    for more in (), ("--proxy", "192.0.2.8"), ("--relay", "new.example.org"):
        bench.put(text)
        bench(*STAGE)
        bench(*STAGE, *more)
        assert bench.text.endswith('protocol = "imap" # x')
        bench(*CLEAR)
        assert bench.text == text
    bench.put(PLAIN + 'secret = "hunter2" # last')
    bench.run.secrets.add("hunter2")
    bench(*STAGE, "--dry-run")
    bench(*STAGE, "--json")
    bench.put(PLAIN + "[http]")
    assert "line 13: there is no line end" in bench(*STAGE, status=1).err


def test_comments_of_another_stage(bench):
    """Lines that look like ours, with a key that is there twice, hide nobody's."""
    rule = '[queue.strategy]\nroute = [{if = "a", then = "b"},\n  {else = "c"}]\n'
    text = PLAIN + rule.replace("route", f"{MARK}was: route = 1\n{MARK}was: route = 2\nroute")
    bench.put(text)
    bench(*STAGE, "--relay", "new.example.org")
    bench(*CLEAR)
    assert bench.text == text


def test_given_twice(bench):
    assert "twice" in bench(*STAGE, "--config", bench.path, status=2).err
