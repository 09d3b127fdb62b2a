"""make install and uninstall; the completions, in the real shells; a build with a distribution's own libraries."""

import gzip
import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import BINARY, CHANGE, REAL, ROOT, RUNNER, THOROUGH, TIMEOUT
from process import Terminal

COMMANDS = ["print", "stage", "status", "clear", "reload", "probe", "licenses", "version", "help"]


def make(*args, folder=ROOT):
    return subprocess.run(["make", "-s", *map(str, args)], cwd=folder, capture_output=True, text=True, timeout=10 * TIMEOUT,
                          check=True)


def install(folder, *args):
    shutil.copy(BINARY, folder / "binary")
    (folder / "binary.licenses").write_text("texts\n")
    make("install", f"BIN={folder / 'binary'}", f"DESTDIR={folder / 'root'}", "PREFIX=/usr", *args)
    return folder / "root" / "usr"


def files(folder):
    return {str(path.relative_to(folder)): (path.stat().st_mode & 0o777, path.read_bytes())
            for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("compressed", [False, True])
def test_install_and_uninstall(tmp_path, compressed):
    """What was there before stays, and nothing else."""
    others = tmp_path / "root" / "usr" / "share" / "man" / "man1"
    others.mkdir(parents=True)
    (others / "other.1").write_text("another manual\n")
    before = files(tmp_path / "root")
    usr = install(tmp_path, *["MANGZ=1"] * compressed)
    got = files(usr)
    mode, page = got.pop("share/man/man1/stalprep.1" + ".gz" * compressed)
    assert mode == 0o644 and (gzip.decompress(page) if compressed else page) == (
        ROOT / "src" / "dist" / "stalprep.1").read_bytes()
    assert not compressed or page[3:8] == bytes(5), "a name or a date in it"
    assert got.pop("bin/stalprep") == (0o755, open(BINARY, "rb").read())
    assert got.pop("share/licenses/stalprep/LICENSES") == (0o644, b"texts\n")
    for name in ("bash-completion/completions/stalprep", "zsh/site-functions/_stalprep",
                 "fish/vendor_completions.d/stalprep.fish"):
        mode, text = got.pop("share/" + name)
        assert mode == 0o644 and b"completion for stalprep" in text
    assert list(got) == ["share/man/man1/other.1"]
    make("uninstall", f"DESTDIR={tmp_path / 'root'}", "PREFIX=/usr")
    assert files(tmp_path / "root") == before and not (usr / "share" / "licenses" / "stalprep").exists()


def test_installed_again_in_the_other_form(tmp_path):
    install(tmp_path, "MANGZ=1")
    usr = install(tmp_path)
    assert [path.name for path in (usr / "share" / "man" / "man1").iterdir()] == ["stalprep.1"]


def test_nothing_to_install(tmp_path):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        make("install", f"BIN={tmp_path / 'none'}", f"DESTDIR={tmp_path / 'root'}")
    assert "build it first" in failed.value.stderr and not (tmp_path / "root").exists()


def test_licences_of_the_binary_are_installed():
    """Beside it is the text that it prints."""
    with open(BINARY + ".licenses") as text:
        assert text.read() == subprocess.run([*RUNNER, BINARY, "licenses"], capture_output=True, text=True, check=True).stdout


# The completions

def usage(*command):
    return subprocess.run([*RUNNER, BINARY, "help", *command], capture_output=True, text=True, check=True).stdout


def options(command):
    """Those that the help of the command lists, with their arguments."""
    return dict(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)(?: (\S+))?", usage(command).split("\nRefusals")[0], re.M))


def forceable():
    return set(re.findall(r"^  \* (\S+)", usage("stage"), re.M))


FORMATS = {"text", "curl", "json", "toml", "keys", "proxy", "runbook"}
GROUPS = {"listeners", "checks", "url", "outbound"}
STATES = {"staged", "cutover", "rolled-back"}

# The key ^T puts all completions of the last word into the line; the program is a function that writes down its arguments.
BASH = r"""
PS1='<go>' PS2=
bind '"\C-t": insert-completions'
stalprep() { printf '%s\n' "$@" >said; }
source "$INSTALLED/share/bash-completion/completions/stalprep"
"""
ZSH = r"""
PS1='<go>' PS2=
fpath=("$INSTALLED/share/zsh/site-functions" $fpath)
autoload -U compinit
compinit -u -D
zle -C all-matches complete-word _generic
bindkey '^T' all-matches
zstyle ':completion:all-matches::::' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert true
zstyle ':completion:*' insert-tab false
stalprep() { printf '%s\n' "$@" >said }
"""


class Shell:
    """An interactive bash or zsh on a terminal."""

    def __init__(self, name, usr, folder):
        (folder / ".zshrc").write_text(ZSH)
        (folder / "bashrc").write_text(BASH)
        words = {"bash": ["bash", "--noprofile", "--rcfile", "bashrc", "-i"], "zsh": ["zsh", "-d", "-i"]}[name]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "ZDOTDIR": str(folder), "TERM": "dumb",
                       "INSTALLED": str(usr), "LC_ALL": "C.UTF-8"}
        self.folder, self.terminal = folder, Terminal()
        self.process = subprocess.Popen(words, cwd=folder, env=environment, stdin=self.terminal.slave,
                                        stdout=self.terminal.slave, stderr=self.terminal.slave, start_new_session=True,
                                        preexec_fn=self.terminal.control)

    def ask(self, line, key="\x14"):
        """The words of the line, with all completions of its last one."""
        self.terminal.wait_for(b"<go>", TIMEOUT)
        self.terminal.seen = b""
        self.terminal.type(f"stalprep {line}{key}\r".encode())
        self.terminal.wait_for(b"<go>", TIMEOUT)
        said = self.folder / "said"
        assert said.exists(), self.terminal.seen
        words = said.read_text().splitlines()
        said.unlink()
        return words

    def completions(self, line, key="\x14"):
        head = line.rpartition(" ")[0].split()
        words = self.ask(line, key)
        assert words[:len(head)] == head, (words, self.terminal.seen)
        return set(words[len(head):])

    def close(self):
        self.process.kill()
        self.process.wait()
        self.terminal.close()


class Fish:
    """fish answers without a terminal."""

    def __init__(self, usr, folder):
        self.usr, self.folder = usr, folder

    def completions(self, line):
        program = 'set -p fish_complete_path "$INSTALLED/share/fish/vendor_completions.d"; complete -C "$LINE"'
        environment = {"PATH": f"{self.usr}/bin:{os.environ['PATH']}", "HOME": str(self.folder), "INSTALLED": str(self.usr),
                       "LINE": f"stalprep {line}", "LC_ALL": "C.UTF-8"}
        ran = subprocess.run(["fish", "--no-config", "-c", program], cwd=self.folder, env=environment, capture_output=True,
                             text=True, timeout=TIMEOUT, check=True)
        assert ran.stderr == ""
        words = {row.split("\t")[0] for row in ran.stdout.splitlines()}
        return {word for word in words if word.startswith(line.rpartition(" ")[2])}  # fish 4 also has those with it inside

    def close(self):
        pass


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return install(tmp_path_factory.mktemp("installed"))


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request, installed, tmp_path):
    if not shutil.which(request.param):
        pytest.skip(f"no {request.param} here")
    for name in ("config.toml", "other.toml", "my snapshot.json"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    made = Fish(installed, tmp_path) if request.param == "fish" else Shell(request.param, installed, tmp_path)
    made.name = request.param
    yield made
    made.close()


def test_completions_of_commands(shell):
    assert shell.completions("") == set(COMMANDS)
    assert shell.completions("st") == {"stage", "status"}
    assert shell.completions("help pr") == {"print", "probe"}
    assert shell.completions("--url https://a:443 --relay-id stage re") == {"reload"}, "an option's argument is no command"


def test_completions_of_options(shell):
    """Those of the command, whatever stands before it."""
    for command in COMMANDS:
        assert shell.completions(f"{command} --") == set(options(command)), command
    assert shell.completions("--proxy 192.0.2.1 probe mail.internal --s") == {"--snapshot", "--silence"}
    assert shell.completions("--expect staged --f") == {"--format", "--force"}, "there is no command yet"


def test_completions_of_values(shell):
    assert shell.completions("print --format ") == FORMATS
    assert shell.completions("probe mail.internal --expect ") == STATES
    assert shell.completions("stage --only ") == GROUPS
    assert shell.completions("stage --force ") == forceable()
    assert shell.completions("--skip checks,listeners,u") == {"checks,listeners,url"}
    assert shell.completions("print --format=r") == {"--format=runbook"}
    assert shell.completions("status --only=url,l") == {"--only=url,listeners"}
    assert shell.completions("print --proxy c") <= {"c"}, "neither a value nor a file"


def test_completions_of_files(shell):
    for option, argument in options("stage").items():
        if argument in ("FILE", "PIN"):
            assert shell.completions(f"stage {option} ") >= {"config.toml", "other.toml"}, option
    assert shell.completions("clear --snapshot-dir ") <= {"folder", "folder/"}
    if shell.name == "fish":
        assert shell.completions("clear --snapshot m") == {"my snapshot.json"}
    else:
        assert shell.ask("clear --snapshot m", "\t") == ["clear", "--snapshot", "my snapshot.json"]


def test_completed_values_are_taken_by_the_program(run):
    for name in FORMATS:
        run("print", *CHANGE, "--format", name, *["--url", "https://a"] * (name in ("proxy", "runbook")), status=0)
    for name in STATES:
        assert run("probe", "127.0.0.1", "--proxy", "127.0.0.1", "--port", "1=smtp", "--expect", name).status != 2
    run("print", *CHANGE, "--relay", "a.example", "--only", ",".join(GROUPS), status=0)


# Other libraries, and another processor. The commands are those of the README.

LONG = 3600  # seconds, at most
FEW = ("test_options.py", "test_tls.py")  # in a normal run
LIBRARIES = ("json", "jsonout", "anchors", "x509")  # what works with the libraries


def commands(*words):
    """The block of the README's section with each of these words in it."""
    text = (ROOT / "README").read_text().split("\nPACKAGES AND APPLIANCES")[1].split("\nSECURITY")[0]
    block, = (block for block in text.split("\n\n") if block.startswith("    ") and all(word in block for word in words))
    return block


@pytest.fixture
def tree(tmp_path):
    """The source alone, as it is in an archive."""
    tree = tmp_path / "tree"
    for name in ("src", "third_party", "test/unit", "test/transcripts"):
        shutil.copytree(ROOT / name, tree / name)
    for name in ("Makefile", "VERSIONS", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    return tree


def shell_in(tree, text, *wrap, seconds=10 * TIMEOUT):
    ran = subprocess.run([*wrap, "sh", "-euc", text], cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         timeout=seconds, env={"PATH": os.environ["PATH"]}, check=False)
    assert ran.returncode == 0, ran.stdout[-4000:]
    return ran.stdout


@pytest.mark.skipif(bool(RUNNER or REAL), reason="the tests run by themselves once more")
@pytest.mark.skipif(not all(os.path.exists(f"/usr/include/{name}") for name in ("bearssl.h", "cjson/cJSON.h")),
                    reason="no libbearssl-dev and libcjson-dev here")
def test_libraries_of_the_distribution(tree):
    """Tests of the binary pass with it too; a thorough run has them all."""
    line = commands("LINK=-pie").strip()
    jobs = os.cpu_count() or 2
    shell_in(tree, f"{line} -j{jobs} WERROR=-Werror LICENSES={BINARY}.licenses all", seconds=LONG)
    needed = re.findall(r"NEEDED.*\[(\w+)", shell_in(tree, "readelf -dW build/stalprep"))
    assert {"libbearssl", "libcjson", "libc"} <= set(needed)
    tests = "" if THOROUGH else f'TESTS="{" ".join(LIBRARIES)}"'
    said = shell_in(tree, f"{line} -j{jobs} -k {tests} unit", seconds=LONG)
    assert said.count("ok   ") >= len(LIBRARIES)
    files = [str(ROOT / "test" / name) for name in FEW] if not THOROUGH else [
        str(ROOT / "test"), f"--ignore={__file__}", f"-n{jobs}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"STALPREP": str(tree / "build" / "stalprep"), "STALPREP_THOROUGH": "0"}
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files], env=environment, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LONG, check=False)
    assert ran.returncode == 0 and " passed" in ran.stdout, ran.stdout[-4000:]


EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")


@pytest.mark.skipif(not THOROUGH, reason="builds all libraries: in a thorough run")
@pytest.mark.skipif(not EMULATOR or not shutil.which("aarch64-linux-gnu-gcc"), reason="no cross compiler, or no emulator")
def test_cross_build_without_a_network(tree, tmp_path):
    """As an appliance's builder does it. What is made prints what the native one prints."""
    package = tmp_path / "package"
    shutil.copytree(ROOT / "build" / "sources", tree / "build" / "sources")
    alone = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    shell_in(tree, commands("aarch64").replace("/tmp/package", str(package)), *alone, seconds=LONG)
    binary = package / "usr" / "bin" / "stalprep"
    about = shell_in(tree, f"readelf -hldW {binary}")
    assert re.search(r"Type: +DYN", about) and re.search(r"Machine: +AArch64", about)
    assert not re.search("INTERP|NEEDED|TEXTREL", about) and not re.search(r"GNU_STACK.*E ", about)
    # --version, too, but for the commit and the line of the libraries.
    assert subprocess.run([EMULATOR, binary, "--version"], capture_output=True, check=True).stdout.split()[:2] == [
        b"stalprep", re.search("(?m)^stalprep +(\\S+)", (ROOT / "VERSIONS").read_text())[1].encode()]
    for args in (["licenses"], ["print", *CHANGE], ["print", *CHANGE, "--format", "json"]):
        assert subprocess.run([EMULATOR, binary, *args], capture_output=True, check=True).stdout == subprocess.run(
            [*RUNNER, BINARY, *args], capture_output=True, check=True).stdout, args
    assert set(files(package)) == {"usr/" + name for name in (
        "bin/stalprep", "share/man/man1/stalprep.1", "share/licenses/stalprep/LICENSES",
        "share/bash-completion/completions/stalprep", "share/zsh/site-functions/_stalprep",
        "share/fish/vendor_completions.d/stalprep.fish")}
