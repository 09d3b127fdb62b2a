"""Do the tests notice a change of the program? `./build.sh test mutate [COUNT [SEED [FILE...]]]`

Changes one place of src/plan, src/settings or src/target at a time (an operator, a condition, a number, a statement), in
a copy of the tree. What does not compile, or compiles to the same code, does not count. Unit tests that link the place
run first, then some tests of the binary. What all of them let pass is printed: a place to test, or one where the change
makes no difference.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "build" / (os.uname().machine + "-linux-musl")
FOLDERS = {  # unit tests by the beginning of their names, and tests of the binary
    "plan": (("plan", "guard", "configedit"), ("restage", "status", "cluster", "gate", "boot", "stage", "clear",
                                                 "config", "live")),
    "settings": (("changeset", "faults", "listener", "localkeys", "message", "ops", "part", "request", "settings",
                  "snapshot", "trusted", "plan"), ("restage", "status", "print", "stage", "clear")),
    "target": (("api", "http1", "verdict"), ("restage", "cluster", "boot", "login", "lost", "probe", "planted", "stage",
                                             "clear", "connection", "config")),
}
OTHERS = "not (0.8.0 or 0.9.4 or 0.10.7 or 0.11.8 or 0.12.5)"  # of the versions, two are enough here
PATIENCE = 8  # what takes so many times as long as without a change is noticed

OPERATORS = [
    (r" < ", [" <= "]), (r" <= ", [" < "]), (r" > ", [" >= "]), (r" >= ", [" > "]), (r" == ", [" != "]),
    (r" != ", [" == "]), (r" && ", [" || "]), (r" \|\| ", [" && "]), (r" \+ 1\b", ["", " + 2"]), (r" - 1\b", ["", " - 2"]),
    (r"(?<==) 0;", [" 1;"]), (r"\bfalse\b", ["true"]), (r"\btrue\b", ["false"]), (r"\breturn 0;", ["return -1;"]),
    (r"\bif \((?=.*\)$)", ["if (!("]), (r"(?<=[(&|] )!(?=\w)|(?<=\()!(?=\w)", [""]), (r" \|= ", [" = "]),
    (r" \+= ", [" = "]), (r"\bcontinue;", ["break;"]),
]
STATEMENT = re.compile(r"\t+[a-z_>\w.\[\]-]+( [|+-]?= .*|\(.*\)|\+\+);$")


def mutants(text):
    """(line number, the line's new text) of each change."""
    for number, line in enumerate(text.split("\n")):
        code = re.sub(r'"(\\.|[^"\\])*"', lambda found: "\0" * len(found[0]), line)  # no change within a text
        if not line.startswith("\t") or re.match(r"\s*(/?\*|#|//)|.*/\*", line):
            continue
        for pattern, news in OPERATORS:
            for found in re.finditer(pattern, code):
                for new in news:
                    end = line[found.end():]
                    yield number, line[:found.start()] + new + (end[:-1] + "))" if new.endswith("(!(") else end)
        if STATEMENT.match(code):
            yield number, re.match(r"\t+", line)[0] + ";"


class Tree:
    """A copy of the sources, built for unit tests and as a binary."""

    def __init__(self, folder):
        self.folder = folder
        self.seconds = 3600
        self.late = 0
        for name in ("src", "test", "Makefile", "VERSIONS", "LICENSE"):
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)

    def run(self, *command, **options):
        try:
            return subprocess.run(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  timeout=self.seconds, check=False, **options).returncode == 0
        except subprocess.TimeoutExpired:
            self.late += 1
            return False

    def make(self, libraries, compiler, build, *goals, sanitize=""):
        return self.run("make", "-s", f"-j{os.cpu_count()}", f"CC={compiler}", f"BEARSSL={libraries}/bearssl",
                        f"CJSON={libraries}/cjson", f"LICENSES={libraries}/licenses.txt", f"BUILD={build}",
                        f"BIN={build}/stalprep", "CFLAGS=-O1 -w", "FORTIFY=", f"SANITIZE={sanitize}", *goals)

    def host(self, *goals):
        return self.make(ROOT / "build" / "host", "gcc", "build/host", *goals,
                         sanitize="-fsanitize=address,undefined -fno-sanitize-recover=all")

    def native(self):
        return self.make(NATIVE, NATIVE / "bin" / f"{NATIVE.name}-cc", "build/native", "all")

    def tests(self, folder):
        units, ends = FOLDERS[folder]
        names = [path.stem[5:] for path in sorted((self.folder / "test" / "unit").glob("test_*.c"))]
        return [name for name in names if name.startswith(units)], [f"test/test_{name}.py" for name in ends]

    def notices(self, folder):
        units, ends = self.tests(folder)
        if not self.host("unit", f"TESTS={' '.join(units)}"):
            return True
        env = {**os.environ, "STALPREP": str(self.folder / "build/native/stalprep"), "PYTHONDONTWRITEBYTECODE": "1"}
        return not self.native() or not self.run(sys.executable, "-m", "pytest", "-q", "-x", "-n", str(os.cpu_count()),
                                                 "-p", "no:cacheprovider", "-k", OTHERS, *ends, env=env)


def try_all(tree, every, count):
    """Prints what nothing notices, and after each change how it stands."""
    tried = survived = 0
    while every and tried < count:
        path, number, new = every.pop()
        text = path.read_text()
        lines = text.split("\n")
        old, lines[number] = lines[number], new
        built = tree.folder / "build/host" / path.parent.name / (path.stem + ".o")
        before = built.read_bytes()
        path.write_text("\n".join(lines))
        if tree.host(built.relative_to(tree.folder)) and built.read_bytes() != before:
            tried += 1
            if not tree.notices(path.parent.name):
                survived += 1
                print(f"{path.relative_to(tree.folder)}:{number + 1}: {old.strip()} -> {new.strip()}")
            print(f"{tried} changes, {survived} survived, {tree.late} took too long", flush=True)
        path.write_text(text)
        tree.host(built.relative_to(tree.folder))


def main(count="150", seed="1", *names):
    with tempfile.TemporaryDirectory(prefix="mutate-", dir="/var/tmp") as folder:
        tree = Tree(Path(folder))
        paths = map(tree.folder.joinpath, names) if names else [
            path for name in FOLDERS for path in (tree.folder / "src" / name).glob("*.c")]
        every = [(path, *mutant) for path in sorted(paths) for mutant in mutants(path.read_text())]
        longest = 0
        for name in {path.parent.name for path, *_ in every}:
            began = time.monotonic()
            if tree.notices(name):
                sys.exit(f"the tests of {name} fail without any change")
            longest = max(longest, time.monotonic() - began)
        tree.seconds = PATIENCE * longest
        random.Random(int(seed)).shuffle(every)
        try_all(tree, every, int(count))


if __name__ == "__main__":
    main(*sys.argv[1:])
