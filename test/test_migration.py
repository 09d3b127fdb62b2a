"""The migration in miniature: an old server that is really restarted, a proxy, a new server that relays, a client, an
administrator and the rest of the world, each a host of its own with one address; and the day of the cutover, there and back.

The old server is the simulator, or the real one that $STALWART names. Nothing sleeps: what takes time is waited for.
"""

import json
import socket
import subprocess
import sys
import time

import pytest

import mailclient
import network
import oldlisteners
import oldserver
from conftest import NEWEST, ORIGIN, PASSWORD, REAL, THOROUGH, USER, VERSIONS, default_listeners
from front import Front
from nameserver import NameServer
from oldprocess import OldProcess
from sink import Sink

WAIT = 60  # seconds
PUBLIC, INTERNAL, NEW, EXCHANGER = ("mail.example.org", "old.internal.example.org", "new.internal.example.org",
                                    "mx.elsewhere.example.net")
PEOPLE = ("ann", "bob", "cat", "dan")  # each password is the name with a number behind
REFUSED = "550, b'5.5.0 Invalid EHLO domain"


def until(what, wanted=bool):
    """Asks again and again; gives the first answer that is wanted."""
    deadline = time.monotonic() + WAIT
    while True:
        answer = what()
        if wanted(answer):
            return answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::", 0))
    except OSError:
        return False
    return True


class Scene:
    """All parts, and who does what from where."""

    def __init__(self, run, folder, ca, nodes, version, stack):
        self.run, self.ca, self.folder, self.version = run, ca, folder, version
        self.listeners = [one for one in oldserver.DEFAULT_LISTENERS if one[0] in default_listeners(version)]
        self.network = network.Network(folder)
        stack.append(self.network.close)
        self.old_hosts = [self.network.add(f"old{number}", 10 + number) for number in range(nodes)]
        self.proxy, self.new_host, self.client, self.admin, self.world_host = (
            self.network.add(name, 20 + number) for number, name in enumerate(("proxy", "new", "client", "admin", "world")))
        self.pair = ca.issue(PUBLIC, INTERNAL, NEW, EXCHANGER, *self.nodes)
        self.name_everything(stack)
        self.new = Sink(self.new_host, NEW, self.pair, self.next_hop)
        stack.append(self.new.stop)
        self.world = Sink(self.world_host, EXCHANGER)  # an old server sends to no MX with a certificate of our own
        stack.append(self.world.stop)
        self.front = Front(self.proxy, folder, [host.address for host in self.old_hosts], self.new_host.address)
        stack.append(self.front.stop)
        self.olds = [self.make_old(number, stack) for number in range(nodes)]
        self.old = self.olds[0]
        self.move_in()

    @property
    def nodes(self):
        """The nodes' own names."""
        return [f"node{number}.internal.example.org" for number in range(len(self.old_hosts))]

    def name_everything(self, stack):
        self.names = NameServer(self.network.bridge)
        self.names.addresses.update({
            INTERNAL: [host.address for host in self.old_hosts], NEW: [self.new_host.address],
            EXCHANGER: [self.world_host.address], "public.pyzor.org": [self.world_host.address],
            **{name: [host.address] for name, host in zip(self.nodes, self.old_hosts)}})
        self.names.exchangers.update({"elsewhere.example.net": EXCHANGER, "example.org": PUBLIC})
        self.point(*self.old_hosts)
        self.names.start()
        stack.append(self.names.stop)

    def next_hop(self, recipient):
        """Of the new server: it has no accounts yet."""
        return (self.old_hosts[0] if recipient.endswith("@example.org") else self.world_host).address

    def make_old(self, number, stack):
        folder = self.folder / f"old{number}"
        text = oldserver.default_config(self.version, str(folder), self.pair.cert, self.pair.key, USER, PASSWORD)
        text = text.replace("[::]", "[::]" if has_ipv6() else "0.0.0.0")
        if len(self.old_hosts) > 1:
            text = f'cluster.node-id = "{number + 1}"\n' + text.replace(f"{folder}/data", f"{self.folder}/old0/data")
        old = OldProcess(self.old_hosts[number], folder, text, self.pair, self.version, INTERNAL)
        stack.append(old.stop)
        old.start()
        return old

    def move_in(self):
        """Accounts; no waiting after a wrong recipient; and config.toml in the server's own form."""
        self.old.add_domain("example.org")
        for name in PEOPLE:
            self.old.add_account(name, name + "1", f"{name}@example.org")
        self.old.write(session__rcpt__errors__wait="1ms")
        for old in self.olds:
            old.write(server__zz="1")
            old.write(server__zz=None)
            assert old.ask("GET", "/api/reload")["errors"] == {}
        self.before = self.state()

    def state(self):
        """All settings, and each config.toml, byte for byte."""
        return [(old.settings(), old.config.read_bytes()) for old in self.olds]

    def point(self, *hosts):
        """The public name."""
        self.names.addresses[PUBLIC] = [host.address for host in hosts]

    # The administrator's commands, from the administrator's host or from another

    @property
    def urls(self):
        names = [INTERNAL] if len(self.olds) == 1 else self.nodes
        return [word for name in names for word in ("--url", f"https://{name}")] + ["--cacert", self.ca.file]

    @property
    def values(self):
        """Of a stage. 0.12 can't be told from newer ones."""
        dialect = ("--dialect", "0.12") if self.version.startswith("0.12.") else ()
        return (*dialect, "--proxy", self.proxy.address, "--public-url", ORIGIN, "--relay", NEW,
                "--new-server", self.new_host.address)

    def tool(self, command, *args, host=None, **options):
        host = host or self.admin
        with host.inside():
            return self.run(command, *args, wrap=host.wrap, **options)

    def do(self, command, *args, status=0, **options):
        return self.tool(command, *self.urls, *args, status=status, **options)

    def probe(self, state, status=0, behind=()):
        """From the proxy's host; a slow machine gets more time. All ports but 25 of the nodes that are `behind` want the
        header, all others are plain."""
        wanted = {(old.host.address, port): "closed" if one not in self.listeners else
                  "wants the header" if old in behind and port != 25 else "plain"
                  for old in self.olds for one in oldserver.DEFAULT_LISTENERS for port in one[1:2]}
        for silence in ("1", "5", "15"):
            ran = self.tool("probe", INTERNAL, "--proxy", self.proxy.address, "--expect", state, "--silence", silence,
                            "--max-time", "60", "--json", host=self.proxy)
            found = {(row["address"], row["port"]): row["verdict"] for row in ran.json["ports"]}
            if (ran.status, found) == (status, wanted):
                return
        raise AssertionError(ran.said)

    def probe_cutover(self):
        self.probe("cutover", behind=self.olds)

    # Users, and mail

    def mail_client(self, host, server, what, *args):
        with host.inside():
            done = subprocess.run([*host.wrap, sys.executable, mailclient.__file__, self.ca.file, server, what, *args],
                                  capture_output=True, text=True, timeout=4 * WAIT, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def log_in(self, who, host=None, server=PUBLIC):
        """By each protocol that the server has for clients. Each login is in the old server's log; from these addresses."""
        names = [name for name, *_ in self.listeners if name != "smtp"]
        until(lambda: self.mail_client(host or self.client, server, "logins", who, who + "1", *names),
              dict.fromkeys(names, "ok").__eq__)

        def addresses():
            found = {name: set() for name in names}
            for old in self.olds:
                for name, logins in old.logins().items():
                    found.setdefault(name, set()).update(address for address, account in logins if account == who)
            return found
        found = until(addresses, lambda found: all(found.values()))
        return set.union(*found.values())

    def url(self):
        return until(lambda: self.mail_client(self.client, PUBLIC, "url", "ann", "ann1"),
                     lambda url: url.startswith("https:"))

    def subjects(self, who):
        return self.mail_client(self.client, PUBLIC, "subjects", who, who + "1")

    def send(self, recipient, subject):
        until(lambda: self.mail_client(self.client, PUBLIC, "send", "ann", "ann1", recipient, subject), "ok".__eq__)

    def check_inbound(self, answer):
        """What comes of a mail to the old server's port 25 by somebody without a full name."""
        until(lambda: self.mail_client(self.world_host, INTERNAL, "deliver", "short", "eve@elsewhere.example.net",
                                       "bob@example.org", "from a short name"), lambda said: answer in said)

    def mail_in(self, subject, server=PUBLIC):
        """From the world to port 25 of the public name, and read by its recipient."""
        until(lambda: self.mail_client(self.world_host, server, "deliver", EXCHANGER, "eve@elsewhere.example.net",
                                       "bob@example.org", subject), "ok".__eq__)
        until(lambda: self.subjects("bob"), lambda subjects: subject in subjects)

    def mail_out(self, subject):
        """From an account to the world: the addresses that it came from, at the new server and in the world."""
        self.send("eve@elsewhere.example.net", subject)
        came = until(lambda: [mail.client for mail in self.world.mails if mail.subject == subject])
        new = [mail for mail in self.new.mails if mail.subject == subject]
        assert all(mail.tls for mail in new)
        return [mail.client for mail in new], came

    def mail_local(self, subject):
        """From an account to another: it goes through no other server."""
        self.send("bob@example.org", subject)
        until(lambda: self.subjects("bob"), lambda subjects: subject in subjects)
        assert subject not in [mail.subject for mail in (*self.new.mails, *self.world.mails)]

    def unknown_recipients(self, count):
        """Mails to nobody, through the new server, which can't know."""
        names = [f"nobody{number}@example.org" for number in range(count)]
        until(lambda: self.mail_client(self.world_host, PUBLIC, "deliver", EXCHANGER, "eve@elsewhere.example.net", *names,
                                       "spam"), "ok".__eq__)

    # What is the case

    def everything_is_direct(self, who):
        """As before the migration: everybody reaches the old server, which does all by itself, inbound checks too."""
        assert self.log_in(who) == {self.client.address}
        assert self.log_in(who, self.proxy) == {self.client.address, self.proxy.address}
        assert self.url() != ORIGIN
        self.check_inbound(REFUSED)
        self.mail_in(f"in, {who}")
        self.mail_local(f"local, {who}")
        new, world = self.mail_out(f"out, {who}")
        assert new == [] and world == [self.old.host.address]

    def everything_goes_through_the_proxy(self, who):
        assert self.log_in(who) == {self.client.address}  # not the proxy's
        assert self.url() == ORIGIN
        self.check_inbound("ok")
        self.mail_in(f"in, {who}")
        self.mail_local(f"local, {who}")
        new, world = self.mail_out(f"out, {who}")
        assert new == [self.old.host.address] and world == [self.new_host.address]

    def greeting(self, host, port=143):
        """What the old server says by itself; nothing where it hangs up."""
        try:
            with host.connect(self.old.host.address, port) as sock:
                return sock.recv(4096)
        except ConnectionError:
            return b""

    def check_waiting(self):
        """From the proxy's address: a second of silence, and a greeting behind a header."""
        with self.proxy.connect(self.old.host.address, 143) as sock:
            sock.settimeout(1)
            with pytest.raises(TimeoutError):
                sock.recv(4096)
            sock.settimeout(WAIT)
            sock.sendall(oldlisteners.PROXY_V2_LOCAL)
            assert sock.recv(4096).startswith(b"* OK")


@pytest.fixture
def scene(run, tmp_path, ca):
    """scene() builds it; what it needs is a kernel that gives namespaces, and root."""
    stack = []

    def build(nodes=1, version=NEWEST):
        reason = network.reason_against()
        if reason:
            pytest.skip(reason)
        return Scene(run, tmp_path, ca, nodes, version, stack)
    yield build
    for close in reversed(stack):
        close()


# Mails are read over POP3, which 0.8 and 0.9 don't have.
@pytest.mark.parametrize("version", [one for one in VERSIONS if "pop3" in default_listeners(one)] if THOROUGH else [NEWEST])
def test_cutover_and_back(scene, version):
    day = scene(version=version)
    # Staged, and nothing changes.
    day.do("stage", *day.values, "--allow-new-server")
    day.do("status")
    day.probe("staged")
    day.everything_is_direct("ann")
    # The restart, the proxy, the name.
    day.front.check()
    day.old.restart()
    day.probe_cutover()
    day.front.start()
    day.point(day.proxy)
    day.everything_goes_through_the_proxy("bob")
    assert day.log_in("cat", day.world_host, INTERNAL) == {day.world_host.address}  # directly, from elsewhere
    day.check_waiting()
    assert day.greeting(day.new_host, 25).startswith(b"220")
    # The relay's address is not banned for what others send through it.
    day.unknown_recipients(50)
    until(lambda: len(day.new.refused), (50).__eq__)
    assert not [key for key in day.old.settings() if key.startswith("server.blocked-ip.")]
    day.mail_in("after the unknown recipients")
    # The way back.
    day.point(*day.old_hosts)
    day.front.stop()
    assert "PROXY" in day.do("clear", host=day.proxy, status=3).err
    day.do("clear", "--haproxy-protocol", host=day.proxy)
    day.do("reload", "--haproxy-protocol", host=day.proxy)
    assert day.url() != ORIGIN
    day.check_inbound(REFUSED)
    new, world = day.mail_out("out after the reload")
    assert new == [] and world == [day.old.host.address]
    day.probe_cutover()  # the listeners still want it
    day.probe("rolled-back", status=6, behind=day.olds)
    day.old.restart()
    day.probe("rolled-back")
    assert day.state() == day.before
    day.everything_is_direct("dan")


def test_accidental_restart(scene):
    """Before the proxy runs. Nobody who comes from elsewhere notices; then the day goes on, without an exemption from
    bans."""
    day = scene()
    day.do("stage", *day.values)
    day.old.restart()
    day.probe_cutover()
    day.do("status")
    assert day.log_in("ann") == {day.client.address}
    day.check_waiting()  # where no proxy runs yet
    day.check_inbound("ok")  # and the old server is still the MX
    day.mail_in("in after the accident")
    day.front.start()
    day.point(day.proxy)
    day.everything_goes_through_the_proxy("bob")
    # What --allow-new-server is for.
    day.unknown_recipients(50)
    ban = f"server.blocked-ip.{day.new_host.address}"
    until(lambda: ban in day.old.settings())
    assert len(day.new.refused) < 50 and day.greeting(day.new_host, 25) == b""
    # The way back, from outside of the trusted network.
    day.point(*day.old_hosts)
    day.front.stop()
    day.do("clear")
    day.old.restart()
    day.probe("rolled-back")
    day.old.write(**{ban.replace(".", "__"): None})
    assert day.state() == day.before


def test_back_through_the_file(scene):
    """The old server is stopped, and its config.toml is cleared; what is in the database follows when it runs again."""
    day = scene()
    day.do("stage", *day.values, "--allow-new-server", "--snapshot", "snap")
    day.old.restart()
    day.front.start()
    day.point(day.proxy)
    assert day.log_in("bob") == {day.client.address}
    day.point(*day.old_hosts)
    day.front.stop()
    clear = ("clear", "--config", day.old.config, "--dialect", "0.15", "--snapshot", "snap")
    if not REAL:  # nothing of the real one's process names its file
        ran = day.tool(*clear, host=day.old.host, status=1)
        assert "stopped" in ran.err or "running" in ran.err, ran.err
    day.old.stop()
    ran = day.tool(*clear, host=day.old.host, status=6)
    assert "clear --url" in ran.said
    (before, file), = day.before
    assert day.old.config.read_bytes() == file
    day.old.start()
    day.probe("rolled-back")
    assert day.url() == ORIGIN  # the database's part
    day.do("clear", "--snapshot", "snap")
    day.do("reload")
    assert day.state() == [(before, file)]
    day.everything_is_direct("dan")


def test_cluster(scene):
    """Two nodes with one database, restarted one after the other."""
    day = scene(2)
    day.do("stage", *day.values, "--allow-new-server")
    day.do("status")
    day.probe("staged")
    assert day.log_in("ann") == {day.client.address}
    day.old.restart()
    day.probe("cutover", status=6, behind=[day.old])
    day.olds[1].restart()
    day.probe_cutover()
    day.front.start()
    day.point(day.proxy)
    day.everything_goes_through_the_proxy("bob")
    assert all((day.client.address, "bob") in set.union(*old.logins().values()) for old in day.olds)
    day.point(*day.old_hosts)
    day.front.stop()
    day.do("clear", "--haproxy-protocol", host=day.proxy)
    for old in day.olds:
        old.restart()
    day.probe("rolled-back")
    assert day.state() == day.before
    assert day.log_in("dan") == {day.client.address}


def test_listeners_on_another_day(scene):
    """All but the listeners days before, with a restart in between, as one may happen."""
    day = scene()
    day.do("stage", *day.values, "--allow-new-server", "--skip", "listeners")
    assert "listeners" in day.do("status", status=6).said
    day.everything_is_direct("ann")
    day.old.restart()
    day.probe("staged")
    assert day.log_in("cat", day.proxy) == {day.proxy.address}
    day.check_inbound("ok")  # a restart applies what is staged
    assert day.url() == ORIGIN
    day.do("stage", *day.values, "--only", "listeners")
    day.do("status")
    day.probe("staged")
    day.old.restart()
    day.probe_cutover()
    day.front.start()
    day.point(day.proxy)
    day.everything_goes_through_the_proxy("bob")
    day.point(*day.old_hosts)
    day.front.stop()
    day.do("clear", "--haproxy-protocol", host=day.proxy)
    day.old.restart()
    day.probe("rolled-back")
    assert day.state() == day.before
    assert day.log_in("dan", day.proxy) == {day.proxy.address}
