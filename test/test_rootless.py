"""The binary alone: in an empty root, as another user, without /etc, /dev, /proc and a resolver."""

import os
import shutil
import stat
import subprocess

import pytest

from conftest import BINARY, CHANGE, NAME, NEWEST, PASSWORD, RUNNER, difference, guide, named, reach, state, static, writes
from test_secrets import NOBODY, public  # noqa: F401

STAGED_NOT = 7  # of `status` on a server where nothing is staged
NEW_ROOT = ["chroot"] if os.geteuid() == 0 else ["unshare", "-r", "chroot"]


def can_change_root():
    tried = subprocess.run([*NEW_ROOT, "/", "true"], capture_output=True, timeout=60, check=False)
    return tried.returncode == 0


pytestmark = [pytest.mark.skipif(bool(RUNNER), reason="the runner is not in an empty root"),
              pytest.mark.skipif(not can_change_root(), reason="neither chroot nor unshare -r is permitted here"), static]


@pytest.fixture
def root(run, ca):
    """A folder with the binary and the CA's certificate and nothing else."""
    root = run.folder
    shutil.copy(BINARY, root / "stalprep")
    shutil.copy(ca.file, root / "ca.pem")
    return root


@pytest.fixture
def inside(run, root):
    def inside(*args, more=(), **options):
        return run(*args, wrap=[*NEW_ROOT, *more, str(root)], binary="/stalprep", keep=False, **options)
    return inside


def test_needs_no_network(inside):
    for args in (("--version",), ("help", "stage"), ("licenses",), ("print", *CHANGE, "--format", "curl")):
        assert inside(*args, password=None, status=0).out


WAYS = [  # (how, host, options but those that --url takes)
    ("http", "127.0.0.1", ()), ("http", "localhost", ()), ("https", "127.0.0.1", ("--cacert", "/ca.pem")),
    ("https", "localhost", ("--cacert", "/ca.pem")), ("https", NAME, ("--cacert", "/ca.pem")),
]


@pytest.mark.parametrize("how,host,options", WAYS, ids=[f"{case[0]} {case[1]}" for case in WAYS])
def test_stage_and_clear(inside, root, serve, how, host, options):
    server = serve()
    before, files = state(server), {"stalprep", "ca.pem"}
    url, resolve = named(server.https_url if how == "https" else server.http_url, host)
    options = ("--url", url, *options, *(resolve if host == NAME else ()))
    inside("stage", *options, *CHANGE, status=0)
    assert difference(before["settings"], server.settings()) == guide(NEWEST)
    folder = root / "var" / "lib" / "stalprep"
    snapshot, = os.listdir(folder)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / snapshot)] == [0o700, 0o600]
    inside("status", *options, status=0)
    inside("clear", *options, status=0)
    assert state(server) == before and os.listdir(folder) == [snapshot + ".cleared"]
    assert set(os.listdir(root)) == files | {"var"}


def test_by_pin(inside, simulate, ca):
    pair = ca.issue("other.example.org")
    server = simulate(pair=pair)
    inside("status", "--url", server.https_url, "-k", "--pinnedpubkey", pair.pin, status=STAGED_NOT)


def test_ca_by_the_environment(inside, serve):
    inside("status", "--url", serve().https_url, env={"SSL_CERT_FILE": "/ca.pem"}, status=STAGED_NOT)


def test_no_bundle(inside, simulate, ca):
    """Nobody is trusted where nobody is known: it says so, and the pin leads on, as for any untrusted certificate."""
    pair = ca.issue("127.0.0.1")
    server = simulate(pair=pair)
    ran = inside("status", "--url", server.https_url, status=3)
    assert "not accepted" in ran.err and "--cacert" in ran.err and not server.requests
    assert f"--insecure --pinnedpubkey '{pair.pin}'" in ran.err
    inside("status", "--url", server.https_url, "--insecure", "--pinnedpubkey", pair.pin, status=STAGED_NOT)


def test_no_resolver(inside):
    ran = inside("status", "--url", f"https://{NAME}", password=None, status=3)
    assert NAME in ran.err and "--resolve" in ran.err


def test_no_terminal(inside, simulate):
    server = simulate()
    assert "--password-file" in inside("status", *reach(server), password=None, status=2).err and not server.requests


def test_password_from_standard_input(inside, serve):
    inside("status", *reach(serve()), "--password-file", "-", password=None, text=PASSWORD.encode(), status=STAGED_NOT)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another")
def test_as_nobody_in_an_empty_root(inside, root, simulate):
    """Its folder is not its own: nothing may be sent before what stood is on disk."""
    server = simulate()
    before, nobody = state(server), ["--userspec", "65534:65534"]
    inside("status", *reach(server), more=nobody, status=STAGED_NOT)
    for home in ({}, {"HOME": ""}, {"HOME": "/"}, {"HOME": "/", "XDG_STATE_HOME": "/x"}):
        ran = inside("stage", *reach(server), *CHANGE, more=nobody, env=home, status=1)
        assert "--snapshot-dir" in ran.err and state(server) == before and writes(server) == 0
    os.chown(root, 65534, 65534)
    for home, folder in (({"HOME": "/"}, ".local/state/stalprep"), ({"HOME": "/", "XDG_STATE_HOME": "/x"}, "x/stalprep"),
                         ({"HOME": "/", "XDG_STATE_HOME": "x"}, ".local/state/stalprep")):
        inside("stage", *reach(server), *CHANGE, more=nobody, env=home, status=0)
        assert [name.endswith(".snapshot.json") for name in os.listdir(root / folder)].count(True) == 1
        inside("clear", *reach(server), more=nobody, env=home, status=0)
        assert state(server) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another")
def test_as_another_user(run, serve, public):  # noqa: F811
    server = serve()
    before = state(server)
    own = public / "own"
    own.mkdir()
    os.chown(own, 65534, 65534)
    for command in (("stage", *CHANGE), ("clear",)):
        run(*command, *reach(server), binary=str(public / "stalprep"), cwd="/", env={"HOME": str(own)}, keep=False, status=0,
            **NOBODY)
    assert state(server) == before and [path.stat().st_uid for path in own.iterdir()] == [65534]
