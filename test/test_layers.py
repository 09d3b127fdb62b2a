"""src/ shows the architecture: a folder uses folders above it only, and there are no cycles inside one."""

import os
import re
import shutil
import subprocess
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"

# A folder may use those before it.
FOLDERS = ["base", "format", "sys", "tls", "settings", "plan", "target", "cmd"]

# Which folder alone may use a library.
LIBRARIES = {"cJSON.h": "format", "bearssl.h": "tls"}


def files():
    return sorted(f.relative_to(SRC) for f in SRC.rglob("*.[ch]"))


def headers():
    return [f for f in files() if f.suffix == ".h"]


def includes(path):
    return [Path(name) for name in re.findall(r'#include "([^"]+)"', (SRC / path).read_text())]


def place(path):
    return FOLDERS.index(path.parts[0]) if len(path.parts) > 1 else len(FOLDERS)


def cycle(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def objects():
    """The defined and the needed symbols of each object file of the binary, as {source: (defined, needed)}."""
    nm = shutil.which("gcc-nm") or shutil.which("nm")
    found = {}
    for source in files():
        built = list(ROOT.glob(f"build/*-linux-musl/obj/{source.with_suffix('.o')}"))
        if source.suffix != ".c" or not built:
            continue
        newest = max(built, key=lambda f: f.stat().st_mtime)
        lines = subprocess.run([nm, str(newest)], capture_output=True, text=True, check=True).stdout.splitlines()
        symbols = [line.split()[-2:] for line in lines if len(line.split()) >= 2]
        found[source] = ({name for kind, name in symbols if kind in "TDRBC"},
                         {name for kind, name in symbols if kind == "U"})
    return found


def test_every_file_has_its_folder():
    assert [str(f) for f in files() if len(f.parts) == 1] == ["main.c"]
    assert {f.parts[0] for f in files() if len(f.parts) > 1} == set(FOLDERS)


@pytest.mark.parametrize("path", files(), ids=str)
def test_includes_folders_above_only(path):
    for name in includes(path):
        assert (SRC / name).is_file(), f"{path} includes {name}, which is not named by its folder"
        assert place(name) <= place(path), f"{path} includes {name} of a folder below its own"


def test_headers_have_no_cycle():
    assert cycle({path: includes(path) for path in headers()}) is None


def test_no_cycle_inside_a_folder():
    """By what the object files take from each other, so that no shared header hides one."""
    table = objects()
    assert set(table) == {f for f in files() if f.suffix == ".c"}, "./build.sh makes the objects"
    home = {name: source for source, (defined, _) in table.items() for name in defined}
    graph = {source: {home[name] for name in needed if name in home} - {source}
             for source, (_, needed) in table.items()}
    for source, used in graph.items():
        for other in used:
            assert place(other) <= place(source), f"{source} calls {other} of a folder below its own"
    assert cycle(graph) is None


@pytest.mark.parametrize("path", files(), ids=str)
def test_library_has_one_folder(path):
    for header in re.findall(r"#include <(\S+)>", (SRC / path).read_text()):
        for library, folder in LIBRARIES.items():
            if header.endswith(library):
                assert path.parts[0] == folder, f"{path} uses {library}"


@pytest.mark.parametrize("path", headers(), ids=str)
def test_header_compiles_alone(path, tmp_path):
    compiler = os.environ.get("CC_HOST") or shutil.which("cc") or shutil.which("gcc")
    assert compiler, "a C compiler is needed"
    source = tmp_path / "alone.c"
    source.write_text(f'#include "{path}"\n#include "{path}"\nint alone;\n')
    result = subprocess.run(
        [compiler, "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-iquote", str(SRC),
         str(source)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", files(), ids=str)
def test_no_fraction_is_printed(path):
    """musl is built without that (third_party/build.sh)."""
    assert not re.search(r"%[-+#0-9.*]*L?[aAeEfFgG]\b", (SRC / path).read_text())
