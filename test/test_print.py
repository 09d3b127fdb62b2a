"""`print`: each format and dialect against the guide, as data and as what a server makes of it."""

import json
import os
import re
import subprocess
import tomllib

import pytest

import oldconfig
from conftest import (CHANGE, NAME, NEWEST, ORIGIN, PASSWORD, REAL, RELAY, VERSIONS, default_listeners,
                      dialect_of, difference, guide, guide_bodies, parsed)

FORMATS = ("text", "curl", "json", "toml", "keys")
ALL = (*CHANGE, *RELAY)
EVERY_VERSION = VERSIONS + ([] if REAL else ["0.14.0"])
ODD_PASSWORDS = ['$HOME', 'a"b', "a\\b", "a\\\"b", "it's", "a:b", "pässwörd-ü✉", "%s%n", "`id`", "-K", " two  blanks ", "#x"]
ODD_LISTENERS = ["web mail", 'q"uote', "it's", "Upper.Dotted", "ümlaut", "$HOME", "[x]#y"]


def printed(run, version, *options, status=0):
    return run("print", *options, "--dialect", dialect_of(version), password=None, status=status)


def whole_guide(version, relay=False):
    """With all nine listeners, though 0.8 and 0.9 have no pop3: a server ignores those that it does not have."""
    return guide(version, relay, default_listeners("0.15.5"))


def flat(bodies):
    """All keys and values that these operations insert."""
    return {key: value for operation in bodies for key, value in operation["values"]}


def deleted(operations):
    return [key for operation in operations for key in operation["keys"]]


def bodies_of_script(text):
    """The JSON that a curl script posts."""
    return [json.loads(body.replace("'\\''", "'"))
            for body in re.findall(r"^body='(.*?)'\npost", text, re.S | re.M)]


def keys_of_toml(text, version):
    """What the fragment says, by the server's own reader; undoing is all comments."""
    return oldconfig.read_text(text, parsed(version))


# The same change set in each format

@pytest.mark.parametrize("version", EVERY_VERSION)
class TestFormats:
    def test_keys(self, run, version):
        ran = printed(run, version, *ALL, "--format", "keys")
        assert ran.out.split("\n")[:-1] == list(whole_guide(version, relay=True)) and ran.err == ""

    def test_text(self, run, version):
        lines = printed(run, version, *ALL, "--format", "text").out.split("\n")
        for key, value in whole_guide(version, relay=True).items():
            assert f"  {key} = {value}" in lines

    def test_json(self, run, version):
        operations = json.loads(printed(run, version, *ALL, "--format", "json").out)
        assert flat(operations) == whole_guide(version, relay=True)
        assert {operation["type"] for operation in operations} == {guide_bodies(version)[0][0]["type"]}
        assert all(operation["assert_empty"] is False for operation in operations)

    def test_json_keeps_file_and_database_apart(self, run, version):
        for operation in json.loads(printed(run, version, *ALL, "--format", "json").out):
            local = {key.startswith("server.") for key, _ in operation["values"]}
            assert len(local) == 1, "config.toml's keys and the database's in one insert"

    def test_toml(self, run, version):
        text = printed(run, version, *ALL, "--format", "toml").out
        assert keys_of_toml(text, version) == whole_guide(version, relay=True)

    def test_curl(self, run, version):
        bodies = bodies_of_script(printed(run, version, *ALL, "--format", "curl").out)
        assert [flat(body) for body in bodies] == [
            {key: value for key, value in flat(body).items() if key in whole_guide(version, relay=True)}
            for body in guide_bodies(version)]

    def test_clear(self, run, version):
        wanted = set(whole_guide(version, relay=True))
        for form in FORMATS:
            out = printed(run, version, *ALL, "--clear", "--format", form).out
            found = {"keys": lambda: out.split(), "text": lambda: re.findall(r"^  (\S+)$", out, re.M),
                     "json": lambda: deleted(json.loads(out)),
                     "toml": lambda: keys_of_toml(re.sub("(?m)^# (?=[^ ]+ = )", "", out), version),
                     "curl": lambda: [key for body in bodies_of_script(out) for key in deleted(body)]}[form]()
            assert set(found) == wanted, form


def test_dialect_is_the_newest_unless_named(run):
    assert run("print", *ALL).out == printed(run, "0.15.0", *ALL).out
    assert run("print", *ALL, "--dialect", "auto").out == run("print", *ALL).out


def test_undoing_needs_no_values(run):
    for form in set(FORMATS) - {"text"}:
        assert run("print", "--clear", "--format", form, status=0).out


GROUPS = [  # (options, which of the guide's commands are left)
    (("--only", "listeners", "--proxy", "203.0.113.10"), [0]), (("--only", "checks"), [1]),
    (("--only", "url", "--public-url", ORIGIN), [2]), (("--only", "outbound", *RELAY), [3]),
    (("--skip", "listeners,url"), [1]), ((*CHANGE, *RELAY, "--skip", "outbound"), [0, 1, 2]), (CHANGE, [0, 1, 2]),
]


@pytest.mark.parametrize("options,parts", GROUPS)
def test_groups(run, options, parts):
    bodies = bodies_of_script(printed(run, "0.15.5", *options, "--format", "curl").out)
    assert [flat(body) for body in bodies] == [flat(guide_bodies("0.15.5")[part]) for part in parts]


def test_each_proxy_has_its_index(run):
    out = printed(run, "0.15.5", "--only", "listeners", "--listener", "imap", "--proxy", "203.0.113.10", "--proxy",
                  "2001:db8::/32", "--proxy", "203.0.113.10/32", "--format", "json").out
    assert flat(json.loads(out)) == {
        "server.listener.imap.proxy.override": "true",
        "server.listener.imap.proxy.trusted-networks.0": "203.0.113.10/32",
        "server.listener.imap.proxy.trusted-networks.1": "2001:db8::/32"}


def test_relay_port_and_name(run):
    values = flat(json.loads(printed(run, "0.15.5", "--only", "outbound", "--relay", "new.example.org:2525",
                                     "--relay-id", "new-one", "--format", "json").out))
    assert values["queue.route.new-one.port"] == "2525" and values["queue.strategy.route.1.else"] == "'new-one'"
    assert values["queue.route.new-one.address"] == "new.example.org"


# What a server makes of it

@pytest.fixture
def odd(run):
    """Options that need every kind of quoting."""
    return [*ALL, *(word for name in ODD_LISTENERS for word in ("--listener", name))]


def odd_keys(version):
    keys = {key: value for key, value in whole_guide(version, relay=True).items() if not key.startswith("server.listener.")}
    for name in ODD_LISTENERS:
        keys[f"server.listener.{name}.proxy.override"] = "true"
        keys[f"server.listener.{name}.proxy.trusted-networks.0"] = "203.0.113.10/32"
    return keys


def test_quoting(run, odd):
    assert flat(json.loads(printed(run, "0.15.5", *odd, "--format", "json").out)) == odd_keys("0.15.5")
    script = bodies_of_script(printed(run, "0.15.5", *odd, "--format", "curl").out)
    assert flat(operation for body in script for operation in body) == odd_keys("0.15.5")
    assert keys_of_toml(printed(run, "0.15.5", *odd, "--format", "toml").out, "0.15.5") == odd_keys("0.15.5")


def script_file(run, tmp_path, version, *options):
    path = tmp_path / "stage.sh"
    path.write_text(printed(run, version, *options, "--format", "curl").out)
    return str(path)


def run_script(path, *args, **environment):
    return subprocess.run(["sh", path, *args], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                          env={"PATH": os.environ["PATH"], "LC_ALL": "C", "STALPREP_PASSWORD": PASSWORD, **environment})


def test_script_is_clean(run, tmp_path, odd):
    for options in (ALL, odd, (*ALL, "--clear"), (*ALL, "--url", "https://[::1]:8443")):
        path = script_file(run, tmp_path, "0.15.5", *options)
        # That $HOME stands as it is in single quotes is what is wanted.
        for check in (["sh", "-n", path], ["shellcheck", *(["-e", "SC2016"] if options is odd else []), path]):
            done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
            assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("version", VERSIONS)
def test_script_does_what_the_guide_does(run, serve, ca, tmp_path, version):
    server = serve(version)
    before = server.settings()
    done = run_script(script_file(run, tmp_path, version, *ALL), "--cacert", ca.file, OLD=server.https_url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    ours = server.settings()
    undo = run_script(script_file(run, tmp_path, version, *ALL, "--clear"), "--cacert", ca.file, OLD=server.https_url)
    assert undo.returncode == 0 and server.settings() == before
    for body in guide_bodies(version):
        server.request("POST", "/api/settings", body)
    assert ours == server.settings()


@pytest.mark.parametrize("password", ODD_PASSWORDS)
def test_script_takes_any_password(run, simulate, ca, tmp_path, password):
    server = simulate()
    server.add_account("root", password)
    done = run_script(script_file(run, tmp_path, NEWEST, "--only", "checks"), "--cacert", ca.file,
                      OLD=server.https_url, STALPREP_PASSWORD=password, STALPREP_USER="root")
    assert (done.returncode, done.stderr) == (0, "") and server.settings()["auth.dkim.verify"] == "disable"


def test_script_posts_odd_listeners(run, simulate, ca, tmp_path, odd):
    server = simulate()
    before = server.settings()
    done = run_script(script_file(run, tmp_path, NEWEST, *odd, "--url", server.https_url), "--cacert", ca.file)
    assert done.returncode == 0, done.stderr
    assert difference(before, server.settings()) == odd_keys(NEWEST)


FAKE_CURL = """#!/bin/sh
printf '%s\\n' "$@" >>"$0.argv"
cat >>"$0.stdin"
printf '{"data":null}'
"""


def test_script_keeps_the_password_out_of_argv(run, tmp_path):
    fake = tmp_path / "bin" / "curl"
    fake.parent.mkdir()
    fake.write_text(FAKE_CURL)
    fake.chmod(0o755)
    path = script_file(run, tmp_path, NEWEST, *ALL)
    done = run_script(path, OLD="https://old", PATH=f"{fake.parent}:{os.environ['PATH']}")
    argv = (tmp_path / "bin" / "curl.argv").read_text()
    assert done.returncode == 0 and argv.count("/api/settings") == 4
    assert PASSWORD not in argv and PASSWORD in (tmp_path / "bin" / "curl.stdin").read_text()


def test_script_fails_where_the_server_refuses(run, serve, ca, tmp_path):
    server = serve()
    path = script_file(run, tmp_path, NEWEST, *ALL)
    before = server.settings()
    wrong = run_script(path, "--cacert", ca.file, OLD=server.https_url, STALPREP_PASSWORD="wrong")
    assert wrong.returncode == 1 and "401" in wrong.stderr and "listeners" in wrong.stderr
    untrusted = run_script(path, OLD=server.https_url)
    assert untrusted.returncode != 0 and server.settings() == before
    unset = run_script(path, OLD=server.https_url, STALPREP_PASSWORD="")
    assert unset.returncode != 0 and "STALPREP_PASSWORD" in unset.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_fragment_in_the_file(run, serve, version):
    """Where it says that it belongs: in front of the first table."""
    server = serve(version)
    before = server.settings()
    with open(server.config_path, encoding="utf-8") as file:
        text = file.read()
    at = re.search(r"^\[|\Z", text, re.M).start()
    with open(server.config_path, "w", encoding="utf-8") as file:
        file.write(text[:at] + printed(run, version, *ALL, "--format", "toml").out + text[at:])
    assert server.restart(), server.boot_error
    assert difference(before, server.settings()) == whole_guide(version, relay=True)


def test_fragment_anywhere_without_tables(run):
    """In the server's own form, and with what a start script appends behind it."""
    own = oldconfig.write_text({"server.listener.imap.bind": "[::]:143", "store.db.type": "sqlite"}).splitlines(True)
    fragment = printed(run, NEWEST, *ALL, "--format", "toml").out
    later = 'certificate.x.cert = "y"\n[tracer.log]\ntype = "stdout"\n'
    for at in range(len(own) + 1):
        text = "".join(own[:at]) + fragment + "".join(own[at:]) + later
        keys = keys_of_toml(text, NEWEST)
        assert difference(keys_of_toml("".join(own) + later, NEWEST), keys) == whole_guide(NEWEST, relay=True)
        assert tomllib.loads(text)["certificate"]["x"]["cert"] == "y"


@pytest.mark.parametrize("version", VERSIONS)
def test_body_posted(run, serve, version):
    server = serve(version)
    before = server.settings()
    for options, wanted in ((ALL, whole_guide(version, relay=True)), ((*ALL, "--clear"), {})):
        body = printed(run, version, *options, "--format", "json").out
        status, _, answer = server.request("POST", "/api/settings", body.encode())
        assert (status, json.loads(answer)) == (200, {"data": None})
        assert difference(before, server.settings()) == wanted


def test_full_device(run):
    with open("/dev/full", "wb") as full:
        ran = run("print", *ALL, stdout=full, status=1)
    assert "could not be written" in ran.err


def test_name_in_the_script(run):
    out = run("print", *CHANGE, "--url", f"https://{NAME}:8443", "--format", "curl").out
    assert f"old=https://{NAME}:8443\n" in out


@pytest.mark.parametrize("form", ["text", "curl", "toml"])
def test_listeners_are_assumed(run, form):
    """What is printed for a server that nobody has seen says so, unless its listeners are named."""
    words = "listeners are those of a default installation"
    assert words in run("print", *CHANGE, "--format", form, status=0).out
    assert words not in run("print", *CHANGE, "--format", form, "--listener", "imap", status=0).out
    assert words not in run("print", *CHANGE, "--format", form, "--skip", "listeners", status=0).out


@pytest.mark.parametrize("version", ["0.8.0", "0.9.4", "0.15.5"])
def test_the_guide_s_nine_listeners(run, version):
    keys = printed(run, version, *CHANGE, "--only", "listeners", "--format", "keys").out.split()
    assert {key.split(".")[2] for key in keys} == {"imaptls", "imap", "pop3s", "pop3", "submission", "submissions",
                                                   "sieve", "https", "http"}


def test_a_name_that_stage_refuses(run):
    """Its keys would be among the networks of port 25's listener."""
    ran = printed(run, NEWEST, *CHANGE, "--listener", "smtp.proxy.trusted-networks", status=1)
    assert ran.out == "" and "smtp.proxy.trusted-networks" in ran.err and "another listener" in ran.err
