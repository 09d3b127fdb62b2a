"""Where config.toml is made from a source (NixOS, a ConfigMap, Nomad): the listeners' keys go into the source, the rest is
staged over the API, and `status --boot-config` is the gate, before the restart and after it."""

import json
import shutil

import pytest

try:
    import tomllib
except ImportError:
    tomllib = pytest.importorskip("tomli")

from conftest import CHANGE, NEWEST, difference, guide, reach


def merged(old, new):
    """As NixOS merges two sets of settings."""
    both = {key: merged(old[key], new[key]) for key in old.keys() & new.keys() if isinstance(old[key], dict)}
    return {**old, **new, **both}


def toml(table, path=()):
    """As a program writes TOML: a table for each level, sorted."""
    lines = [f"[{'.'.join(path)}]"] if path else []
    lines += [f"{key} = {json.dumps(value)}" for key, value in sorted(table.items()) if not isinstance(value, dict)]
    lines += [toml(value, (*path, key)) for key, value in sorted(table.items()) if isinstance(value, dict)]
    return "\n".join(lines) + "\n"


def nixos(run, text, printed):
    """settings = lib.mkMerge [ { ... } (lib.importTOML ./stalprep.toml) ];"""
    return toml(merged(tomllib.loads(text), tomllib.loads(printed)))


def template(run, text, printed):
    """A text of a ConfigMap or of a Nomad template: in front of its first table."""
    return printed + text


def copy(run, text, printed):
    """What stage makes of such a text, without any network."""
    given, made = (run.vault / name for name in ("given.toml", "made.toml"))  # they hold a secret of the server's
    given.write_text(text)
    with open(given, "rb") as stdin, open(made, "wb") as stdout:
        run("stage", "--config", "-", *CHANGE, "--only", "listeners", "--dialect", "0.15", password=None, stdin=stdin,
            stdout=stdout, status=0)
    return made.read_text()


@pytest.mark.parametrize("make", [nixos, template, copy], ids=["NixOS", "template", "copy"])
def test_source(run, simulate, tmp_path, make):
    server = simulate()
    server.refuse_writes = "read-only"
    text, before, new = server.config_text(), server.settings(), tmp_path / "new.toml"
    gate = ("status", *reach(server), *CHANGE, "--boot-config")
    run("stage", *reach(server), *CHANGE, "--skip", "listeners", status=0)
    run(*gate, server.config_path, status=6)
    printed = run("print", *CHANGE, "--only", "listeners", "--format", "toml", password=None, status=0).out
    new.write_text(make(run, text, printed))
    assert "Ready for the restart" in run(*gate, new, status=0).out
    assert server.settings() == {**before, **{key: value for key, value in guide(NEWEST).items() if ".proxy." not in key}}

    shutil.copy(new, server.config_path)
    run(*gate, server.config_path, status=0)
    assert server.restart(), server.boot_error
    assert difference(before, server.settings()) == guide(NEWEST)
    run(*gate, server.config_path, status=0)

    new.write_text(text)
    shutil.copy(new, server.config_path)
    run("clear", *reach(server), status=0)
    assert server.restart() and server.settings() == before
