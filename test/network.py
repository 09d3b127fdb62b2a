"""A small network for one test: hosts with one address each, in network namespaces of their own, joined by a bridge.

A namespace lasts as long as the process that holds it, and that ends with this one, however this one ends: nothing is left
behind. Threads enter one by one, so that a socket or a process that is made `with host.inside():` belongs to that host.
"""

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess

from process import LIBC

IP = shutil.which("ip", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))
NETWORK, BITS = "203.0.113.", 24
NEW_NETWORK = 0x40000000  # CLONE_NEWNET
WAIT = 60                 # seconds; nothing takes a tenth of it
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")


class Host:
    """A namespace; the network gives it its address."""

    def __init__(self, name, conf=None):
        self.name, self.conf, self.address = name, conf, None
        self.holder = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, start_new_session=True)
        with contextlib.suppress(BrokenPipeError):
            self.holder.stdin.write(b".")
            self.holder.stdin.flush()
        if self.holder.stdout.read(1) != b".":  # now it is in there
            raise OSError(self.holder.communicate()[1].decode())
        self.space = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY)
        self.do("link", "set", "lo", "up")

    @contextlib.contextmanager
    def inside(self):
        """What this thread opens and starts is this host's."""
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            enter(self.space)
            yield self
        finally:
            enter(outside)
            os.close(outside)

    def do(self, *args):
        with self.inside():
            subprocess.run([IP, *args], check=True, capture_output=True, timeout=WAIT)

    @property
    def wrap(self):
        """The beginning of a command that is to ask the network's name server."""
        return ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(self.conf))

    def start(self, *args, **options):
        """A process that runs until it is stopped, or until these tests end."""
        with self.inside():
            return subprocess.Popen([*DIE_WITH_PARENT, *map(str, args)], stdin=subprocess.DEVNULL, **options)

    def connect(self, address, port):
        with self.inside():
            return socket.create_connection((address, port), WAIT)

    def close(self):
        os.close(self.space)
        self.holder.communicate()


def enter(space):
    if LIBC.setns(space, NEW_NETWORK) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Network:
    """Its hosts, by name. The bridge has an address too: the name server's."""

    def __init__(self, folder):
        self.hosts = {}
        self.conf = folder / "resolv.conf"
        try:
            self.bridge = self.hosts["bridge"] = Host("bridge")
            self.bridge.do("link", "add", "wire", "type", "bridge")
            self.bridge.do("link", "set", "wire", "up")
            self.place(self.bridge, "wire", 254)
        except BaseException:
            self.close()
            raise
        self.conf.write_text(f"nameserver {self.bridge.address}\noptions timeout:2 attempts:5\n")

    @staticmethod
    def place(host, device, number):
        host.address = f"{NETWORK}{number}"
        host.do("address", "add", f"{host.address}/{BITS}", "dev", device)

    def add(self, name, number):
        host = self.hosts[name] = Host(name, self.conf)
        self.bridge.do("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(host.holder.pid))
        self.bridge.do("link", "set", name, "master", "wire", "up")
        self.place(host, "eth0", number)
        host.do("link", "set", "eth0", "up")
        return host

    def close(self):
        for host in self.hosts.values():
            host.close()


def reason_against():
    """Why there can be no such network here; nothing where there can."""
    if IP is None:
        return "there is no ip (of iproute2)"
    tried = subprocess.run(["unshare", "-n", "-m", "sh", "-c", f"{IP} link set lo up && {IP} link add x type bridge && "
                            f"{IP} link add y type veth peer name z && mount --bind /dev/null /etc/resolv.conf"],
                           capture_output=True, text=True, timeout=WAIT, check=False)
    return tried.returncode and f"no network namespaces here: {tried.stderr.strip()}"
