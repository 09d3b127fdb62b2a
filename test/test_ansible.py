"""The Ansible role, run by ansible-playbook as its README shows it: three servers, one of which refuses."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from conftest import BINARY, HTTPS, NEWEST, ROOT, RUNNER, SMTP, THOROUGH, USER, Pair, config, difference, guide, listener
from conftest import state, writes
from oldserver import Fault

ROLE = ROOT / "src" / "dist" / "ansible"
SECRET = "gR7-pläybook.Qz4!w"
SECONDS = 600  # for one playbook; it takes some
NOT_OPTIONS = {"dry-run", "json", "quiet", "verbose", "version", "help"}  # of the role: it gives them itself, or has no use

pytestmark = [pytest.mark.skipif(bool(RUNNER), reason="the role runs the program without the runner"),
              pytest.mark.skipif(not shutil.which("ansible-playbook"), reason="ansible-core is not here")]


def block(heading):
    """The indented lines below it in the role's README."""
    text = (ROLE / "README").read_text().split(f"\n{heading}", 1)[1]
    return textwrap.dedent(text.split("\n\n", 2)[1]) + "\n"


class Site:
    """A folder with a playbook, the role and its inventory."""

    def __init__(self, folder):
        self.folder, self.hosts = folder, {}
        for name in ("roles", "group_vars", "host_vars", "home"):
            (folder / name).mkdir(parents=True)
        shutil.copytree(ROLE, folder / "roles" / "stalprep")
        shutil.copy(BINARY, folder / "stalprep")
        (folder / "site.yml").write_text("---\n" + block("site.yml"))
        common = {"sum_of_the_release": hashlib.sha256(Path(BINARY).read_bytes()).hexdigest(),
                  "vault_stalwart_password": SECRET, "ansible_connection": "local", "ansible_become": False,
                  "ansible_python_interpreter": sys.executable}
        (folder / "group_vars" / "mail.yml").write_text("---\n" + block("group_vars/mail.yml") + "".join(
            f"{name}: {json.dumps(value)}\n" for name, value in common.items()))

    def host(self, name, **values):
        """Each has files of its own, since all are this machine."""
        own = self.folder / name
        own.mkdir(exist_ok=True)
        known = self.hosts.setdefault(name, {"stalprep_path": str(own / "bin"), "stalprep_snapshot_dir": str(own)})
        known.update(values)
        (self.folder / "hosts").write_text("[mail]\n" + "\n".join(self.hosts) + "\n")
        (self.folder / "host_vars" / f"{name}.json").write_text(json.dumps(known))

    def play(self, *args, status=0):
        """Gives what was said, and how many tasks were `changed` and `failed` on each host."""
        home = self.folder / "home"
        own = dict.fromkeys(("HOME", "ANSIBLE_HOME", "ANSIBLE_LOCAL_TEMP", "ANSIBLE_REMOTE_TEMP", "TMPDIR"), str(home))
        ran = subprocess.run(["ansible-playbook", "-i", "hosts", "site.yml", *args], cwd=self.folder, text=True,
                             encoding="utf-8", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", **own,
                                  "ANSIBLE_PIPELINING": "1"}, timeout=SECONDS, check=False)
        assert ran.returncode == status, ran.stdout
        left = [path for path in home.rglob("*") if path.is_file()]
        assert not any(SECRET in text for text in (ran.stdout, *(path.read_text(errors="replace") for path in left)))
        assert not [path for path in left if path.name == "stalprep"], "what a look needed"
        recap = re.findall(r"^(\S+) +: .*changed=(\d+) .*failed=(\d+)", ran.stdout, re.M)
        return ran.stdout, {name: int(n) for name, n, _ in recap}, {name: int(n) for name, _, n in recap}


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "site")


def holders(secret):
    """The processes that show it to others: in an argument, or to root in the environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                if secret.encode() in (folder / name).read_bytes():
                    found.append(folder / name)
            except OSError:
                pass
    return found


def test_variables_are_the_options(run):
    """Of all three commands; `reload` is an option of clear alone."""
    def options(command):
        return set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", run("help", command, password=None, status=0).out, re.M))
    wanted = {command: options(command) - NOT_OPTIONS for command in ("stage", "status", "clear")}
    assert wanted["stage"] == wanted["status"] == wanted["clear"] - {"reload"}
    text = (ROLE / "vars" / "main.yml").read_text()
    rows = re.search(r"stalprep_valued: \[(.*?)\]\nstalprep_switches: \[(.*?)\]", text, re.S)
    valued, switches = (set(row.replace("\n", " ").replace(" ", "").split(",")) for row in rows.groups())
    assert valued | switches == wanted["stage"] and not valued & switches
    usage = run("help", "clear", password=None, status=0).out
    for name in wanted["clear"]:
        assert (re.search(rf"--{name} [A-Z]", usage) is not None) == (name in valued), name
    given = set(re.findall(r"^stalprep_(\w+):", (ROLE / "defaults" / "main.yml").read_text(), re.M))
    own = {"command", "binary", "sha256", "path", "password", "api_key"}
    assert given - own == {name.replace("-", "_") for name in wanted["clear"]}


@pytest.fixture
def servers(site, simulate, ca):
    """Three that the site's hosts are; of the third one's second MX nobody has said whether clients use it."""
    pair = ca.issue("other.example.org")
    servers = [simulate(pair=pair), simulate(pair=pair),
               simulate(pair=pair, config=config(SMTP, HTTPS, listener("mx2", 2525, "smtp")))]
    for number, server in enumerate(servers):
        server.add_account(USER, SECRET)
        site.host(f"old{number}", stalprep_url=server.https_url, pin_of_the_host=pair.pin)
    return servers


def counts(*numbers):
    return {f"old{number}": count for number, count in enumerate(numbers)}


def clear(*more):
    return ("-e", "stalprep_command=clear", *more)


def test_three_servers(site, servers):
    """Check mode writes nothing, the second run changes nothing, and one that refuses stops no other."""
    before, seen = [state(server) for server in servers], []
    for server in servers:
        server.faults.append(Fault(path="/api/settings", times=-1, before=lambda _: seen.extend(holders(SECRET))))

    said, changed, failed = site.play("--check", status=2)
    assert changed == counts(2, 2, 1) and failed == counts(0, 0, 1) and "--also mx2" in said  # 1: the copy
    assert not any(writes(server) for server in servers) and [state(server) for server in servers] == before
    assert not [name for name in site.hosts if os.listdir(site.folder / name)]

    said, changed, failed = site.play("-vvv", status=2)
    assert changed == counts(2, 2, 1) and failed == counts(0, 0, 1)
    assert [difference(was["settings"], server.settings()) for was, server in zip(before, servers)] == [
        guide(NEWEST), guide(NEWEST), {}]
    assert "refusal: " in said and "--also mx2" in said and "Nothing was written." in said

    site.host("old2", stalprep_leave="mx2")
    assert site.play()[1:] == (counts(0, 0, 1), counts(0, 0, 0))
    assert site.play(*clear("--limit", "old0"))[1] == {"old0": 1} and state(servers[0]) == before[0]
    assert not seen and all(server.requests for server in servers)


@pytest.mark.skipif(not THOROUGH, reason="a thorough run has these playbooks too")
def test_the_other_commands(site, servers):
    before = [state(server) for server in servers]
    site.host("old2", stalprep_leave=["mx2"])
    status = ("-e", "stalprep_command=status")
    said, changed, failed = site.play(*status, status=2)
    assert failed == counts(1, 1, 1) and said.count("exit status 7, not staged") >= 3
    assert site.play("-e", "stalprep_skip=checks")[1] == counts(1, 1, 1)
    said, changed, failed = site.play(*status, status=2)
    assert failed == counts(1, 1, 1) and said.count("auth.dkim.verify: absent (missing)") >= 3
    assert site.play("--check")[1] == counts(1, 1, 1) and site.play()[1] == counts(1, 1, 1)
    assert site.play("--check")[1] == site.play()[1] == site.play(*status)[1] == counts(0, 0, 0)

    assert site.play(*clear("--check"))[1] == counts(1, 1, 1)
    assert servers[0].settings()["auth.dkim.verify"] == "disable"
    said, changed, _ = site.play(*clear("-e", "stalprep_reload=true"))
    assert changed == counts(1, 1, 1) and said.count("Reloaded") == 3
    assert [state(server) for server in servers] == before
    for more in ((), ("--check",)):
        assert site.play(*clear(*more))[1] == counts(0, 0, 0)


@pytest.mark.skipif(not THOROUGH, reason="a thorough run has these playbooks too")
def test_faults(site, servers):
    """Another file than was meant, no password, a wrong one, wrong usage, a server that is not there."""
    def fails(words, **values):
        site.host("old0", **values)
        said, changed, failed = site.play("--limit", "old0", status=2)
        assert changed["old0"] <= 1 and failed == {"old0": 1} and words in said, said
    site.play("--syntax-check")
    fails("not the file of stalprep_sha256", stalprep_sha256="0" * 64)
    assert not os.listdir(site.folder / "old0")
    fails("SHA256SUMS", stalprep_sha256="0" * 63)
    del site.hosts["old0"]["stalprep_sha256"]
    fails("password or an API key", stalprep_password="")
    fails("exit status 4", stalprep_password="wrong")
    del site.hosts["old0"]["stalprep_password"]
    fails("not accepted", stalprep_pinnedpubkey="sha256//" + "A" * 43 + "=")
    del site.hosts["old0"]["stalprep_pinnedpubkey"]
    fails("203.0.113.0/24", stalprep_proxy=["203.0.113.10/24"])
    assert not any(writes(server) for server in servers)


@pytest.mark.skipif(not THOROUGH, reason="a thorough run has these playbooks too")
def test_stopped_server(site, tmp_path):
    """Its file, over no network and with no password."""
    file = tmp_path / "config.toml"
    file.write_text(config(SMTP, HTTPS)(str(tmp_path), Pair("cert", "key")))
    text = file.read_text()
    site.host("old0", stalprep_url=[], stalprep_config=str(file), stalprep_dialect=0.15, stalprep_password="",
              stalprep_insecure=False, stalprep_pinnedpubkey="", stalprep_snapshot_dir="")
    assert site.play("--check")[1] == {"old0": 2} and file.read_text() == text
    assert site.play()[1] == {"old0": 2} and "203.0.113.10/32" in file.read_text()
    assert site.play()[1] == {"old0": 0}
    assert site.play(*clear())[1] == {"old0": 1} and file.read_text() == text
