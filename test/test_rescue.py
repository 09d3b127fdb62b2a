"""A rescue system for real: a Debian kernel with busybox and the binary alone, in a virtual machine without KVM.

All it needs is in build/rescue (rescue.sh); QEMU's user network leads from 10.0.2.2 to this machine's loopback.
"""

import lzma
import os
import platform
import re
import select
import shlex
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BINARY, CHANGE, HTTPS, NAME, PASSWORD, ROOT, RUNNER, SMTP, THOROUGH, Pair, config, listener
from conftest import parsed_snapshot, state, writes

PARTS = ROOT / "build" / "rescue"
MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "crc32c_generic", "ext4"]
APPLETS = ["sh", "cat", "cmp", "cp", "date", "insmod", "ip", "ls", "mkdir", "mount", "poweroff", "umount"]
TOOLS = ["qemu-system-x86_64", "mke2fs", "debugfs"]
SECONDS = 1800  # for a whole run: an emulated processor on a machine with other work
FILE = "/mnt/opt/stalwart/etc/config.toml"
HOST = "10.0.2.2"
PROMPT = b"Password of"
BEGUN, ENDED = "=== begin {}", "=== ended {} {}"
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def missing():
    """Why no machine can be started here; None: it can."""
    absent = [tool for tool in TOOLS if not shutil.which(tool, path=PATH)]
    if not THOROUGH:
        return "a machine is started in a thorough run alone"
    if RUNNER or platform.machine() != "x86_64":
        return "the binary is for another processor than Debian's kernel"
    if absent:
        return f"there is no {absent[0]}"
    return None if (PARTS / "vmlinuz").exists() else f"there is no kernel (test/rescue.sh {PARTS} gets it)"


pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def tool(name, *args):
    return subprocess.run([shutil.which(name, path=PATH), *map(str, args)], capture_output=True, timeout=SECONDS,
                          check=True)


# The system in memory

def module_files():
    """The modules in the order in which they can be loaded: {name: content}. What the kernel has itself is left out."""
    files = {re.sub(r"\.ko.*", "", path.name).replace("-", "_"): path for path in PARTS.rglob("*.ko*")}
    order = {}

    def add(name):
        if name in order or name not in files:
            return
        content = files[name].read_bytes()
        content = lzma.decompress(content) if files[name].suffix == ".xz" else content
        needed = re.search(rb"\0depends=([^\0]*)", content).group(1).decode()
        for other in needed.replace("-", "_").split(","):
            add(other)
        order[name] = content
    for name in MODULES:
        add(name)
    return order


def archive(files):
    """A cpio archive (newc), as the kernel unpacks it: {path: bytes of a file, text of a link, None for a folder}."""
    out = bytearray()

    def add(name, mode, content):
        fields = [len(out), mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        out.extend(b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0")
        out.extend(b"\0" * (-len(out) % 4) + content)
        out.extend(b"\0" * (-len(out) % 4))
    for name, content in files.items():
        if content is None:
            add(name, stat.S_IFDIR | 0o755, b"")
        elif isinstance(content, str):
            add(name, stat.S_IFLNK | 0o777, content.encode())
        else:
            add(name, stat.S_IFREG | 0o755, content)
    add("TRAILER!!!", 0, b"")
    return bytes(out)


def init_script(modules, steps):
    """Does the steps, each {name: command}, and says how each ended. /proc and /sys are not there, and /dev is empty: all
    devices are in /devices."""
    lines = ["#!/bin/sh", "unset HOME TERM", "export PATH=/bin"]
    lines += [f"insmod /modules/{name}" for name in modules]
    lines += ["mount -t devtmpfs devtmpfs /devices", "mount -t ext4 /devices/vda /mnt", "ip link set lo up",
              "ip link set eth0 up", "ip addr add 10.0.2.15/24 dev eth0"]
    for name, command in steps.items():
        lines += [f"echo '{BEGUN.format(name)}'", command, f"echo \"{ENDED.format(name, '$?')}\""]
    return "\n".join([*lines, "umount /mnt", "poweroff -f", ""]).encode()


class Machine:
    """One that has booted, done its steps and is off again."""

    def __init__(self, folder, disk, steps, **files):
        modules = module_files()
        system = {name: None for name in ("bin", "devices", "mnt", "modules")}
        system |= {"bin/busybox": (PARTS / "busybox").read_bytes()}
        system |= {f"bin/{name}": "busybox" for name in APPLETS}
        system |= {f"modules/{name}": content for name, content in modules.items()}
        system |= {"stalprep": Path(BINARY).read_bytes(), "init": init_script(modules, steps), **files}
        (folder / "initrd").write_bytes(archive(system))
        self.said = self.run([
            "qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-nodefaults", "-display", "none", "-serial", "stdio",
            "-no-reboot", "-kernel", PARTS / "vmlinuz", "-initrd", folder / "initrd",
            "-append", "console=ttyS0 quiet loglevel=0 panic=-1", "-drive", f"file={disk},format=raw,if=virtio",
            "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="])
        assert PASSWORD not in self.said
        found = re.findall(r"^=== begin (.+)\n((?s:.*?))^=== ended \1 (\d+)$", self.said, re.M)
        self.out = {name: text for name, text, _ in found}
        self.status = {name: int(status) for name, _, status in found}

    @staticmethod
    def run(command):
        """All that comes over the serial line. The password is typed there when it is asked for."""
        said, end = b"", time.monotonic() + SECONDS
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as machine:
            try:
                while select.select([machine.stdout], [], [], max(end - time.monotonic(), 0))[0]:
                    more = os.read(machine.stdout.fileno(), 65536)
                    if not more:
                        break
                    if (said + more).count(PROMPT) > said.count(PROMPT):
                        machine.stdin.write(PASSWORD.encode() + b"\n")
                        machine.stdin.flush()
                    said += more
            finally:
                machine.kill()
        return said.decode(errors="replace").replace("\r", "")


@pytest.fixture
def image(tmp_path):
    """Makes a disk with a folder's content; its owner is root there too."""
    def image(source):
        disk = tmp_path / "disk"
        with open(disk, "wb") as file:
            file.truncate(64 << 20)
        tool("mke2fs", "-q", "-t", "ext4", "-d", source, disk)
        return disk
    return image


def read(disk, path):
    return tool("debugfs", "-R", f"cat {path}", disk).stdout


def stalprep(*args):
    return shlex.join(["/stalprep", *map(str, args)])


def test_rescue_system(image, simulate, ca, tmp_path, run):
    """The disk of a stopped server, and a live one over the network, with nothing else there: no /proc, no /dev, no /etc,
    no HOME, no name server, no trusted certificates, and at last the time of a machine without a battery."""
    pair = ca.issue(HOST, NAME)
    server = simulate(pair=pair)
    text = config("# by hand\n", SMTP, HTTPS, listener("imap", 143, "imap"))("/opt/stalwart", Pair("cert", "key")).encode()
    source = tmp_path / "source" / "opt" / "stalwart" / "etc"
    source.mkdir(parents=True)
    (source / "config.toml").write_bytes(text)
    (source / "config.toml").chmod(0o640)
    before = state(server)

    port = server.https_url.rpartition(":")[2]
    patient = ("--connect-timeout", "0", "--max-time", "0")  # an emulated processor has its own time
    file = ("--config", FILE, "--dialect", "0.15")
    live = ("--url", f"https://{HOST}:{port}", *patient)
    pin = ("-k", "--pinnedpubkey", pair.pin)
    name = ("--url", f"https://{NAME}:{port}", *patient, "--cacert", "/ca.pem")
    at = ("--resolve", f"{NAME}:{port}:{HOST}")
    remount = "umount /mnt && mount -t ext4 /devices/vda /mnt"
    steps = [  # (name, command, its exit status)
        ("version", stalprep("--version"), 0),
        ("copy", f"cp {FILE} /before", 0),
        ("file: dry run", stalprep("stage", *file, *CHANGE, "-n"), 0),
        ("file: nothing is written", f"cmp {FILE} /before", 0),
        ("file: stage", stalprep("stage", *file, *CHANGE), 0),
        ("file: what there is", f"ls -a {os.path.dirname(FILE)}", 0),
        ("file: from the disk", remount, 0),
        ("file: status", stalprep("status", *file), 0),
        ("file: clear", stalprep("clear", *file), 0),
        ("file: from the disk again", remount, 0),
        ("file: the same bytes", f"cmp {FILE} /before", 0),
        ("file: to keep", stalprep("stage", *file, *CHANGE), 0),
        ("no password", stalprep("status", *live, *pin) + " </devices/null", 2),
        ("prompt", stalprep("status", *live, *pin), 7),
        ("password", f"export STALPREP_PASSWORD={PASSWORD}", 0),
        ("no certificates", stalprep("status", *live), 3),
        ("no name server", stalprep("status", *name), 3),
        ("plain", stalprep("status", "--url", f"http://{HOST}:{server.http_url.rpartition(':')[2]}", *patient), 2),
        ("live: not staged", stalprep("status", *name, *at), 7),
        ("live: stage", stalprep("stage", *live, *pin, *CHANGE), 0),
        ("live: snapshot", "ls /var/lib/stalprep", 0),
        ("live: status", stalprep("status", *live, *pin), 0),
        ("live: probe", stalprep("probe", HOST, "--port", f"{port}=http+tls", "--max-time", "0"), 0),
        ("long ago", "date -s '1970-01-02 00:00:00'", 0),
        ("long ago: certificates", stalprep("status", *name, *at), 3),
        ("long ago: clear", stalprep("clear", *live, *pin), 0),
        ("with /proc", "mkdir /proc && mount -t proc proc /proc", 0),
        ("with /proc: status", stalprep("status", *file), 0),
        ("with /proc: stage", stalprep("stage", *live, *pin, *CHANGE, "-v"), 0),
        ("with /proc: clear", stalprep("clear", *live, *pin), 0),
    ]
    disk = image(tmp_path / "source")
    machine = Machine(tmp_path, disk, {name: command for name, command, _ in steps}, **{"ca.pem": Path(ca.file).read_bytes()})
    assert machine.status == {name: status for name, _, status in steps}, machine.said
    says = {  # what a person needs there
        "file: stage": ["there is no /proc here"], "file: what there is": ["stalprep-config.toml.snapshot.json"],
        "file: status": ["Ready for the start."], "no password": ["--password-file"], "no certificates": [pair.pin],
        "no name server": ["--resolve"], "plain": ["plain http"],
        "live: stage": ["a tmpfs file system, which may end with this machine", "26 of 26 keys were read back"],
        "live: snapshot": [".snapshot.json"], "live: status": ["Ready for the restart."],
        "live: probe": [f"{HOST}:{port}", "plain"], "long ago: certificates": ["This machine's clock is wrong"],
        "long ago: clear": ["26 of 26 keys are as before"], "with /proc: stage": ["26 of 26 keys were read back"],
    }
    for step, texts in says.items():
        assert all(text in machine.out[step] for text in texts), (step, machine.out[step])
    assert state(server) == before and writes(server)

    (tmp_path / "config.toml").write_bytes(text)
    run("stage", "--config", tmp_path / "config.toml", "--dialect", "0.15", *CHANGE, "--snapshot", "snapshot", status=0)
    assert read(disk, FILE.replace("/mnt", "", 1)) == (tmp_path / "config.toml").read_bytes() != text
    kept = read(disk, os.path.dirname(FILE).replace("/mnt", "", 1) + "/stalprep-config.toml.snapshot.json").decode()
    assert parsed_snapshot(kept)["state"] == "proved"
