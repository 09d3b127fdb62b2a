"""What is released: the version, the files beside the binary, that they can be checked, and that they come out the same.

./build.sh release builds and tests the binary for each processor; here all else is tried with this machine's binary. A
thorough run also builds two processors' twice, the second time as another user somewhere else, without a network.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

from conftest import BINARY, ROOT, RUNNER, THOROUGH

ROWS = [line.split() for line in (ROOT / "VERSIONS").read_text().splitlines() if line and not line.startswith("#")]
VERSION, = (row[1] for row in ROWS if row[0] == "stalprep")
LIBRARIES = ["musl", "bearssl", "cjson"]
PINNED = {row[0]: row for row in ROWS if row[0] in LIBRARIES}
PROCESSORS = {row[1]: row[2] for row in ROWS if row[0] == "release"}
NAME = f"stalprep-{VERSION}"
README = (ROOT / "README").read_text()
SHA256 = re.compile("[0-9a-f]{64}")
DATE = re.compile(rb"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-3]\d 20\d\d|20\d\d-[01]\d-[0-3]\d")

pytestmark = pytest.mark.skipif(bool(RUNNER), reason="nothing here depends on the processor")


def ordered(*args, folder=ROOT, **options):
    """Runs it; it has to work."""
    ran = subprocess.run(args, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, **options)
    assert ran.returncode == 0, f"{args}: {ran.returncode}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    return ran.stdout


def clean(**more):
    return {"PATH": os.environ["PATH"], **more}


# The version

def test_versions_says_all_that_a_packager_needs():
    for name in LIBRARIES:
        _, version, licence, file, sha256, upstream = PINNED[name]
        assert licence == "MIT" and SHA256.fullmatch(sha256) and version in file and name in file
        assert upstream.startswith(("https://", "pkg:github/")) and version in upstream
    assert set(PROCESSORS) == {"x86_64", "aarch64", "armv7", "i686", "riscv64", "ppc64le", "s390x"}
    for row in ROWS:
        assert row[0] != "release" or re.fullmatch(r"12\.2\.0-\S+ 2\.40 (-|qemu-\w+)", " ".join(row[3:])), row


def test_version(run):
    """With other libraries make knows no versions of theirs."""
    first, *rest = run("--version", status=0).out.splitlines()
    assert re.fullmatch(rf"stalprep {re.escape(VERSION)} \(commit ([0-9a-f]{{12,}}(-dirty)?|unknown)\)", first)
    if Path(BINARY).resolve() == ROOT / "build" / "stalprep":
        assert rest == [", ".join(f"{name} {PINNED[name][1]}" for name in LIBRARIES)]


@pytest.fixture
def tree(tmp_path):
    """A folder that knows its commit as the source does, with nothing to build."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("Makefile", "VERSIONS"):
        shutil.copy(ROOT / name, tree)
    return tree


def commit_of(tree):
    return ordered("make", "-s", "commit", folder=tree).strip()


def git(folder, *args):
    return ordered("git", "-c", "user.name=x", "-c", "user.email=x@example.org", *args, folder=folder).strip()


def test_commit_of_an_archive(tree):
    assert commit_of(tree) == "unknown"
    (tree / "build" / "sources").mkdir(parents=True)
    (tree / "build" / "sources" / "commit").write_text("0123456789ab 1700000000\n")
    assert commit_of(tree) == "0123456789ab"


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_commit_of_a_clone(tree):
    git(tree.parent, "init", "-q")
    git(tree.parent, "commit", "-q", "--allow-empty", "-m", "of a folder around it")
    assert commit_of(tree) == "unknown"
    git(tree, "init", "-q")
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "x")
    commit = git(tree, "rev-parse", "HEAD")[:12]
    assert commit_of(tree) == commit
    git(tree, "tag", "-a", "-m", "x", "1.0")
    assert commit_of(tree) == commit
    (tree / "VERSIONS").write_text("stalprep 2\n")
    assert commit_of(tree) == commit + "-dirty"


# The files beside the binary

def processor():
    return {"armv7l": "armv7"}.get(platform.machine(), platform.machine())


def prepared(folder):
    """A folder with what build.sh puts there, for this machine alone."""
    folder.mkdir(parents=True)
    shutil.copy(BINARY, folder / f"{NAME}-linux-{processor()}")
    (folder / f"{NAME}-licenses.txt").write_text(ordered(BINARY, "licenses"))
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """This tree, or a copy that knows a commit, where there is no git."""
    if commit_of(ROOT) != "unknown":
        return ROOT
    tree = tmp_path_factory.mktemp("tree") / "source"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", "build", "__pycache__"))
    shutil.copytree(ROOT / "build" / "sources", tree / "build" / "sources")
    (tree / "build" / "sources" / "commit").write_text("0123456789ab 1700000000\n")
    return tree


@pytest.fixture(scope="module")
def release(source, tmp_path_factory):
    if processor() not in PROCESSORS:
        pytest.skip("a release has no binary for this processor")
    folder = prepared(tmp_path_factory.mktemp("release") / "files")
    ordered(source / "src" / "dist" / "release.sh", str(folder), env=clean())
    return folder


@pytest.fixture(scope="module")
def unpacked(release, tmp_path_factory):
    """Its source archive, somewhere else."""
    folder = tmp_path_factory.mktemp("source")
    ordered("tar", "-xf", str(release / f"{NAME}-source.tar.xz"), folder=folder)
    return folder / NAME


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files(release):
    wanted = {f"{NAME}-linux-{processor()}", f"{NAME}-licenses.txt", f"{NAME}-source.tar.xz", f"{NAME}.cdx.json", "stalprep.1"}
    assert {path.name for path in release.iterdir()} == wanted | {"SHA256SUMS"}
    lines = (release / "SHA256SUMS").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == sorted(wanted)
    assert all(SHA256.fullmatch(line.split("  ")[0]) for line in lines)
    assert oct((release / f"{NAME}-linux-{processor()}").stat().st_mode & 0o777) == "0o755"
    licences = (release / f"{NAME}-licenses.txt").read_text().lower()
    assert all(name in licences for name in LIBRARIES)


def test_the_same_from_its_own_source(release, unpacked, tmp_path):
    """Made again from the unpacked archive, which has no history: in another folder, at another time, for another user's
    wishes."""
    again = prepared(tmp_path / "again")
    for path in unpacked.rglob("*"):
        os.utime(path, (10**9, 10**9))
        if path.is_file():
            path.chmod(0o700 if path.stat().st_mode & 0o100 else 0o600)
    ordered(str(unpacked / "src" / "dist" / "release.sh"), "again", folder=tmp_path,
            env=clean(TZ="Asia/Kathmandu", LANG="tr_TR.UTF-8", HOME="/nowhere", USER="other", XZ_OPT="-0"), umask=0o077)
    assert contents(again) == contents(release)


def test_source_archive(source, release):
    with tarfile.open(release / f"{NAME}-source.tar.xz") as archive:
        members = archive.getmembers()
        assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}
        assert len({member.mtime for member in members}) == 1 and {member.mode for member in members} == {0o644, 0o755}
        names = [member.name for member in members]
        assert names == sorted(names, key=lambda name: name.split("/")) and all(name.split("/")[0] == NAME for name in names)
        inside = {name.partition("/")[2] for name in names}
        commit = archive.extractfile(f"{NAME}/build/sources/commit").read().decode().split()[0]
    assert {"README", "VERSIONS", "build.sh", "Makefile", "LICENSE", "src/main.c", "third_party/build.sh"} <= inside
    assert {f"build/sources/{PINNED[name][3]}" for name in LIBRARIES} <= inside
    assert commit == commit_of(source)


def test_bill_of_materials(release):
    """The members that CycloneDX 1.5's schema requires and knows, and what ours says with them."""
    bill = json.loads((release / f"{NAME}.cdx.json").read_text())
    assert set(bill) == {"bomFormat", "specVersion", "version", "metadata", "components", "dependencies"}
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    subject = bill["metadata"]["component"]
    components = {component["name"]: component for component in bill["components"]}
    builder = (ROOT / "third_party" / "build.sh").read_text()
    for component in (subject, *components.values()):
        assert set(component) <= {"type", "bom-ref", "name", "version", "hashes", "licenses", "externalReferences", "pedigree",
                                  "properties"}
        assert component["type"] in ("application", "library", "file") and component["name"] and component["version"]
        assert component["licenses"] == [{"license": {"id": "MIT"}}]
        assert all(set(entry) == {"name", "value"} for entry in component.get("properties", ()))
        for entry in component.get("hashes", ()):
            assert entry["alg"] == "SHA-256" and SHA256.fullmatch(entry["content"])
        for entry in component.get("externalReferences", ()):
            assert entry["type"] == "distribution" and entry["url"]
    assert (subject["name"], subject["version"]) == ("stalprep", VERSION)
    for name in LIBRARIES:
        _, version, _, file, sha256, upstream = PINNED[name]
        component = components.pop(name)
        assert (component["version"], component["hashes"][0]["content"]) == (version, sha256)
        assert component["externalReferences"][0]["url"] == upstream and component["properties"][0]["value"] == file
        assert component["pedigree"] == {
            "notes": f"edited by build_{name} of third_party/build.sh, in the source archive"}
        assert re.search(rf"^build_{name}\(\) {{\n(?:(?!}}).*\n)*?\tsed ", builder, re.M)
    (name, binary), = components.items()
    assert f"{binary['hashes'][0]['content']}  {name}\n" in (release / "SHA256SUMS").read_text()
    compiler = binary["properties"][0]["value"]
    assert f"{PROCESSORS[processor()]}-gcc (Debian" in compiler and "GNU Binutils" in compiler
    references = {component.get("bom-ref") for component in (subject, *bill["components"])} - {None}
    assert all({entry["ref"], *entry["dependsOn"]} <= references for entry in bill["dependencies"])


def test_nothing_of_this_machine_inside(release):
    """No path, no date, no name of the host or the user."""
    text = (release / f"{NAME}-linux-{processor()}").read_bytes()
    strange = [str(ROOT), "/usr/lib/gcc", "/build/", ".c\0", *[name for name in [platform.node()] if len(name) > 5]]
    assert [name for name in strange if name.encode() in text] == [] and not DATE.search(text)


# A download is checked

def section(title):
    return README.partition(f"\n{title}\n")[2].partition("\n\n\n")[0]


LINES = [line[4:] for line in section("CHECKING A DOWNLOAD").splitlines() if line.startswith("    ")]
FILE = LINES[0].split()[0]
SUM_LINES = {"openssl" if "openssl dgst" in line else line.partition(" | ")[2].split()[0]: line
             for line in LINES if line.startswith("grep")}
SIGNATURE_LINES = {line.split()[0]: [line] for line in LINES if " -V " in line}
SIGNATURE_LINES["openssl"] = LINES[-3:]


def alone(folder, *tools):
    """A folder for PATH, with these programs and what is everywhere."""
    folder.mkdir()
    for tool in ("sh", "grep", "tr", "sed", "tail", *tools):
        if not (found := shutil.which(tool)):
            pytest.skip(f"there is no {tool}")
        (folder / tool).symlink_to(found)
    return str(folder)


def pasted(lines, folder, path):
    text = "\n".join((f"set -e; {FILE}", *lines))
    return subprocess.run(["/bin/sh", "-c", text], cwd=folder, env={"PATH": path}, capture_output=True, text=True, check=False)


def test_lines_of_the_readme():
    assert FILE == f"file={NAME}-linux-x86_64" and set(SUM_LINES) == {"sha256sum", "busybox", "shasum", "openssl"}
    assert all(name in section("CHECKING A DOWNLOAD") for name in PROCESSORS)


@pytest.mark.parametrize("tool", SUM_LINES)
def test_sum_with_one_tool(tool, release, tmp_path):
    path = alone(tmp_path / "bin", tool, *(["perl"] if tool == "shasum" else []))
    shutil.copytree(release, tmp_path / "files")
    file = tmp_path / "files" / FILE.partition("=")[2]
    if not file.exists():
        pytest.skip("the README's file is another processor's")
    ran = pasted([SUM_LINES[tool]], file.parent, path)
    assert ran.returncode == 0 and file.name in ran.stdout, ran
    file.write_bytes(file.read_bytes() + b"x")
    ran = pasted([SUM_LINES[tool]], file.parent, path)
    assert ran.returncode != 0 and "OK" not in ran.stdout, ran


# Each makes a pair of keys without a password. signify wants these two names.
NEW_KEYS = {"minisign": ["minisign", "-G", "-W"], "signify-openbsd": ["signify-openbsd", "-G", "-n"]}
KEYS = "-p", "stalprep.pub", "-s", "stalprep.sec"


@pytest.fixture
def signed(request, release, unpacked, tmp_path):
    """The files, signed by build.sh with a new key of this signer; with the public key."""
    if not shutil.which(request.param):
        pytest.skip(f"there is no {request.param}")
    files = unpacked / "build" / "release"
    shutil.rmtree(files, ignore_errors=True)
    shutil.copytree(release, files)
    ordered(*NEW_KEYS[request.param], *KEYS, folder=tmp_path)
    ordered(str(unpacked / "build.sh"), "sign", "stalprep.sec", folder=tmp_path, env=clean())
    shutil.copy(tmp_path / "stalprep.pub", files)
    return files


# What minisign signed all can check; it can't check what signify did.
CHECKERS = [("minisign", tool) for tool in SIGNATURE_LINES] + [
    ("signify-openbsd", tool) for tool in SIGNATURE_LINES if tool != "minisign"]


@pytest.mark.parametrize("signed, tool", CHECKERS, indirect=["signed"])
def test_signature_with_one_tool(signed, tool, tmp_path):
    path = alone(tmp_path / "bin", tool)
    ran = pasted(SIGNATURE_LINES[tool], signed, path)
    assert ran.returncode == 0, ran
    sums = signed / "SHA256SUMS"
    sums.write_text(sums.read_text().replace("0", "1", 1))
    assert pasted(SIGNATURE_LINES[tool], signed, path).returncode != 0
    sums.write_text(sums.read_text().replace("1", "0", 1))


@pytest.mark.parametrize("signed", ["minisign"], indirect=True)
def test_changed_files_are_not_signed(signed, unpacked, tmp_path):
    (signed / "SHA256SUMS.sig").unlink()
    (signed / "stalprep.1").write_text("other")
    ran = subprocess.run([unpacked / "build.sh", "sign", "stalprep.sec"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and "nothing was signed" in ran.stderr and not (signed / "SHA256SUMS.sig").exists()


@pytest.mark.parametrize("args, why", [
    (("sign",), "takes one argument"), (("sign", "/dev/null"), "no secret key"), (("sign", "README"), "no secret key"),
    (("release", "vax"), 'no processor "vax"'), (("release", "--verify"), "needs a file"),
    (("release", "--verify", "none"), "there is no file")])
def test_wrong_use(args, why):
    ran = subprocess.run([ROOT / "build.sh", *args], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and why in ran.stderr, ran


# The same bytes, from another builder

def can_release(*processors):
    """Debian 12 has the compilers, and only root can be another user without a network."""
    for _, name, compiler, version, _, qemu in (row for row in ROWS if row[0] == "release"):
        programs = [f"{compiler}-gcc", *([qemu] if qemu != "-" else [])]
        if name in processors and not (all(map(shutil.which, programs))
                                       and f"(Debian {version})" in ordered(programs[0], "--version")):
            return False
    return os.geteuid() == 0


# In a network namespace of its own: nothing is fetched, and its ports are not those of other tests.
LOOPBACK = """import fcntl, os, socket, struct, sys
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
os.execvp(sys.argv[1], sys.argv[1:])"""
UID, GID = 65533, 65532
ELSEWHERE = f"""set -e
hostname another-builder
cd "$1"
shift
exec setpriv --reuid {UID} --regid {GID} --clear-groups sh -c 'umask 077; exec "$@"' sh "$@"
"""


def differences(first, second):
    """What diffoscope says, where it is."""
    if not shutil.which("diffoscope") or not second.exists():
        return ""
    return "".join(subprocess.run(["diffoscope", "--max-report-size", "10000", first / name, second / name],
                                  capture_output=True, text=True, check=False).stdout for name in contents(first))


@pytest.mark.skipif(not THOROUGH, reason="it builds everything twice")
def test_two_builders():
    """Here from the clone; then from the archive in another folder: other user, host, time, locale, umask, no network."""
    processors = ["x86_64", "s390x"]
    if not can_release(*processors):
        pytest.skip("VERSIONS names other compilers, or this is not root")
    if commit_of(ROOT) == "unknown" or (ROOT / ".git").exists() and git(ROOT, "status", "--porcelain"):
        pytest.skip("what is here is not a commit")
    ordered("unshare", "-n", sys.executable, "-c", LOOPBACK, ROOT / "build.sh", "release", *processors,
            env=clean(HOME=os.path.expanduser("~")))
    first = ROOT / "build" / "release"
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        ordered("tar", "-xf", str(first / f"{NAME}-source.tar.xz"), folder=folder)
        shutil.copy(first / "SHA256SUMS", folder)
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, UID, GID)
            os.utime(path, (10**9, 10**9))
        later = ["faketime", "-f", "+500d"] if shutil.which("faketime") else []
        command = ["unshare", "-n", "-u", "sh", "-c", ELSEWHERE, "sh", name, *later, f"./{NAME}/build.sh", "release",
                   "--verify", "SHA256SUMS", *processors]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                             env=clean(HOME="/nowhere", USER="other", TZ="Asia/Kathmandu", LANG="C.UTF-8", TMPDIR=name))
        second = folder / NAME / "build" / "release"
        assert ran.returncode == 0 and "byte for byte" in ran.stderr, ran.stderr[-5000:] + differences(first, second)
        assert contents(second) == contents(first)
