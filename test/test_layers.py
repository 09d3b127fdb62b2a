"""Each source file includes headers of lower layers only, and each header compiles alone."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parent.parent / "src"

# Lowest first. A file may include what stands in an earlier row than its own (its own header aside).
LAYERS = [
    {"def"},
    {"err", "utf8", "crc32", "base64", "transport", "interrupt", "when"},
    {"secret"},
    {"buf", "pool", "deadline", "confine"},
    {"message", "addr", "json", "proxy2", "der", "pem", "file", "net", "settings", "tlserror", "edits"},
    {"url", "cert", "changeset", "localkeys", "listener", "trusted", "http1", "rewrite", "toml", "running"},
    {"certname", "anchors", "options", "snapshot", "ops", "configfile"},
    {"x509", "plan"},
    {"tls", "plan_build", "api", "configedit"},
    {"plan_stage", "plan_status", "plan_clear", "plan_check", "prompt", "print"},
    {"credentials"},
    {"session"},
    {"target"},
    {"target_build"},
    {"target_api", "target_file"},
    {"output"},
    {"run"},
    {"faults"},
    {"commands"},
    {"cmd_print", "cmd_stage", "cmd_status", "cmd_clear", "cmd_reload", "cmd_licenses"},
    {"cli"},
    {"main"},
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}

# One noun in several files: these belong to the header named.
SPLIT = {"plan": "plan_build", "plan_stage": "plan_build", "plan_status": "plan_build",
         "plan_clear": "plan_build", "plan_check": "plan_build",
         "target": "target_build", "target_api": "target_build", "target_file": "target_build"}

# Who alone may use a library.
ONLY = {"cJSON.h": {"json"}, "bearssl.h": {"x509", "tls", "tlserror"}}


def files():
    return sorted(SRC.glob("*.[ch]"))


def test_every_file_has_its_layer():
    assert {f.stem for f in files()} == set(LAYER)


@pytest.mark.parametrize("path", files(), ids=lambda p: p.name)
def test_includes_lower_layers_only(path):
    own = path.stem
    level = max(LAYER[own], LAYER[SPLIT.get(own, own)] + 1 if own in SPLIT else 0)
    for name in re.findall(r'#include "([a-z0-9_]+)\.h"', path.read_text()):
        if name == own:
            continue
        assert LAYER[name] < level or SPLIT.get(own) == name, f"{path.name} includes {name}.h of its own layer or above"


@pytest.mark.parametrize("path", files(), ids=lambda p: p.name)
def test_library_has_one_user(path):
    for header in re.findall(r"#include <(\S+)>", path.read_text()):
        for library, users in ONLY.items():
            if header.endswith(library):
                assert path.stem in users, f"{path.name} uses {library}"


@pytest.mark.parametrize("path", [f for f in files() if f.suffix == ".h"], ids=lambda p: p.name)
def test_header_compiles_alone(path, tmp_path):
    compiler = os.environ.get("CC_HOST") or shutil.which("cc") or shutil.which("gcc")
    assert compiler, "a C compiler is needed"
    source = tmp_path / "alone.c"
    source.write_text(f'#include "{path.name}"\n#include "{path.name}"\nint alone;\n')
    root = SRC.parent / "build" / "host"
    result = subprocess.run(
        [compiler, "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{SRC}",
         f"-I{root}/include", f"-I{root}/include/cjson", str(source)],
        capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
