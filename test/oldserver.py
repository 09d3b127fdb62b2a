#!/usr/bin/env python3
"""An older Stalwart server (0.8 to 0.15) for tests: settings API, config.toml, listeners, faults.

    server = OldServer("0.15.5", folder, certfile=..., keyfile=...)
    server.start(); ... server.https_url ...; server.stop()

As a command it runs until SIGTERM and prints one line of JSON with its URLs; --help tells more.
Standard library only. It is held to answers recorded from real servers (test_oldserver.py).
"""

import argparse
import base64
import http.client
import json
import os
import secrets
import selectors
import signal
import socket
import ssl
import sys
import threading
import time
import traceback
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import oldapi  # noqa: E402
import oldbans  # noqa: E402
import oldconfig  # noqa: E402
import olddatabase  # noqa: E402
import oldhttp  # noqa: E402
import oldlisteners  # noqa: E402
import oldpost  # noqa: E402
import oldreload  # noqa: E402
import oldsettings  # noqa: E402
from oldapi import Account  # noqa: E402
from oldhttp import Fault  # noqa: E402

__all__ = ["Account", "Fault", "OldServer", "base_config", "default_config", "parse_version", "send_request"]
SILENCE = 60
DEFAULT_LISTENERS = (
    ("smtp", 25, "smtp", False), ("submission", 587, "smtp", False), ("submissions", 465, "smtp", True),
    ("imap", 143, "imap", False), ("imaptls", 993, "imap", True), ("pop3", 110, "pop3", False),
    ("pop3s", 995, "pop3", True), ("sieve", 4190, "managesieve", False), ("https", 443, "http", True),
    ("http", 8080, "http", False))


def parse_version(name):
    return tuple(int(part) for part in name.split("."))


def base_config(folder, certfile=None, keyfile=None, user="admin", password="s3cret-Pass"):
    """What a config.toml needs beside its listeners: without a store the server ends at once."""
    lines = ["[storage]", 'data = "db"', 'fts = "db"', 'blob = "db"', 'lookup = "db"', 'directory = "internal"', "",
             "[store.db]", 'type = "sqlite"', f'path = "{folder}/data/index.sqlite3"', "",
             "[directory.internal]", 'type = "internal"', 'store = "db"', "",
             "[tracer.log]", 'type = "log"', 'level = "info"', f'path = "{folder}/logs"', 'prefix = "stalwart.log"',
             'rotate = "daily"', "ansi = false", "enable = true", "",
             "[authentication.fallback-admin]", f'user = "{user}"', f'secret = "{password}"', ""]
    if certfile:
        lines += ["[certificate.default]", f'cert = "%{{file:{certfile}}}%"',
                  f'private-key = "%{{file:{keyfile}}}%"', "default = true", ""]
    return "\n".join(lines)


def default_config(version, folder, certfile=None, keyfile=None, user="admin", password="s3cret-Pass"):
    """The quickstart's config.toml: ten listeners, eight up to 0.9."""
    lines = ["# quickstart configuration, comments included"]
    for name, port, protocol, tls in DEFAULT_LISTENERS:
        if protocol != "pop3" or parse_version(version) >= (0, 10):
            lines += [f"[server.listener.{name}]", f'bind = "[::]:{port}"', f'protocol = "{protocol}"']
            lines += ["tls.implicit = true", ""] if tls else [""]
    return "\n".join(lines) + "\n" + base_config(folder, certfile, keyfile, user, password)


class OldServer:
    """One server (a node of a cluster if it is given another's `database`). With `file`, an olddatabase.Database, all that
    a server keeps is in there."""

    def __init__(self, version, folder, config_toml=None, *, certfile=None, keyfile=None, map_ports=True,
                 listeners=False, database=None, accounts=None, file=None, hostname="vm", resolves=True, online=False):
        self.version_name, self.version = version, parse_version(version)
        self.folder, self.certfile, self.keyfile = str(folder), certfile, keyfile
        self.map_ports, self.all_listeners = map_ports, listeners
        self.hostname, self.resolves, self.online = hostname, resolves, online
        tables = file.table if file else lambda *_: {}
        self.accounts = tables("accounts", Account.packed, Account.unpacked) if accounts is None else accounts
        self.config_path = os.path.join(self.folder, "config.toml")
        if config_toml is None:
            config_toml = default_config(version, self.folder, certfile, keyfile)
        with open(self.config_path, "w", encoding="utf-8", newline="") as out:
            out.write(config_toml)
        self.shared_database = tables("settings") if database is None else database
        self.post = oldpost.Post(self, tables("domains"), tables("mailboxes"))
        self.bans = oldbans.Bans(self, tables("failures"))
        self.log_file = None
        self.faults, self.log, self.requests = [], [], 0
        self.bugs = []  # the simulator's own; stop() raises them
        self.on_connect = ""  # what happens to a new connection: "", "close", "reset", "hang"
        self.ban_after, self.banned = None, False
        self.refuse_writes = None  # "read-only", "full": see oldsettings
        self.lock, self.stopping = threading.RLock(), threading.Event()
        self.sockets, self.ports, self.connections, self.threads = {}, {}, set(), []
        self.boots, self.boot_error, self.running = False, "", {}

    # Life

    def start(self):
        self.boot()
        if self.boots:
            self.listen()
        return self

    def stop(self):
        self.stopping.set()
        for sock, _, _ in self.sockets.values():
            hang_up(sock)
        self.drop_connections()
        for thread in self.threads:
            thread.join(5)
        self.sockets, self.threads = {}, []
        if self.bugs:
            raise RuntimeError("the simulator failed:\n" + "\n".join(self.bugs))

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def restart(self):
        """Reads config.toml from disk again; false, and no listener, where that would fail."""
        self.stop()
        self.stopping = threading.Event()
        self.start()
        return self.boots

    def boot(self):
        self.boots, self.boot_error, self.listeners = False, "", []
        try:
            local = oldconfig.read_file(self.config_path, self.version)
        except oldconfig.ConfigError as error:
            self.boot_error = f"Invalid configuration file: {error}"
            return
        resolved = oldreload.resolve_macros(local, oldreload.Findings(self.version))
        if f"store.{resolved.get('storage.data')}.type" not in resolved:
            self.boot_error = "Store not configured"  # seen on 0.10.7 and 0.15.5
            return
        self.listeners = oldlisteners.build(local, self.version)
        self.store = oldsettings.Settings(self.version, self.config_path, local, self.shared_database)
        self.store.refuse_writes = self.refuse_writes
        self.api = oldapi.Api(self)
        self.add_missing()
        self.running = self.merge(resolved)
        self.bans.read(self.running)
        logs = self.running.get("tracer.log.path", "")
        self.log_file = os.path.join(logs, "stalwart.log.today") if os.path.isdir(logs) else None
        self.boots = True

    def add_missing(self):
        """What a boot adds by itself; where one of it is local, the file is rewritten."""
        known, missing = self.merge(self.store.local), {}
        if self.version < (0, 11) and not known.get("lookup.default.hostname"):
            missing["lookup.default.hostname"] = self.hostname
        for key in ("oauth.key", "cluster.key") if self.version < (0, 12) else ("oauth.key",):
            if not known.get(key):
                missing[key] = secrets.token_hex(32)
        if (0, 11) <= self.version < (0, 12):  # which moves what older versions had
            for old, new in (("lookup.default.hostname", "server.hostname"),
                             ("lookup.default.domain", "report.domain")):
                if old in known and new not in known:
                    missing[new] = known[old]
        if "version.spam-filter" not in known:  # stays missing without a network: so at every boot
            missing.update(oldapi.recorded("database", self.version))
        if missing:
            try:
                self.store.set(missing.items())
            except oldsettings.WriteError:
                pass  # a line in the log

    def merge(self, local):
        merged = {key: value for key, value in self.store.database.items()
                  if not self.store.patterns.is_local(key)}
        merged.update(local)
        return merged

    def reload(self, dry_run):
        """The patterns and the URL are taken anew, the listeners are not."""
        findings, keys = oldreload.check(self.store.local, self.merge, self.version,
                                         resolves=self.resolves, online=self.online)
        self.bans.read(self.merge(self.store.local))
        if keys is not None and not dry_run:
            self.running = keys
            self.store.patterns = oldsettings.Patterns(keys, self.version)
        return findings

    def begin_reload(self):
        """A reload that takes long: what is written until finish_reload() is lost from memory."""
        self.reload_copy = dict(self.store.local)

    def finish_reload(self):
        self.store.local = self.reload_copy

    # Accounts

    def add_account(self, name, password, permissions=oldapi.PERMISSIONS, totp="", kind="individual", emails=()):
        self.accounts[name.lower()] = Account(name.lower(), password, frozenset(permissions), totp, kind, emails)

    def log_in(self, name, password, connection):
        """The account, for the mail protocols; None where they do not fit."""
        try:
            account = self.api.account(name.strip().lower(), password, api=False)
        except oldapi.Failure:
            return None
        self.log_login(account.name, connection)
        return account

    def log_login(self, name, connection):
        address, port = connection.remote
        self.event(f'Authentication successful (auth.success) listenerId = "{connection.listener.name}", localPort = '
                   f'{connection.port}, remoteIp = {address}, remotePort = {port}, accountName = "{name}"')

    def event(self, text):
        """A line of the log, where its folder is there."""
        if self.log_file:
            with open(self.log_file, "a", encoding="utf-8") as out:
                out.write(time.strftime("%Y-%m-%dT%H:%M:%SZ INFO ", time.gmtime()) + text + "\n")

    def add_principal(self, wanted):
        if wanted.get("type") == "domain":
            self.post.domains[wanted["name"].lower()] = True
        if wanted.get("type") not in ("individual", "apiKey"):
            return
        given = wanted.get("secrets", [])
        otp = [secret for secret in given if secret.startswith("otpauth:")]
        totp = urllib.parse.parse_qs(urllib.parse.urlsplit(otp[0]).query)["secret"][0] if otp else ""
        password = [secret for secret in given if secret not in otp][0]
        roles = wanted.get("roles", [])
        permissions = oldapi.PERMISSIONS if "admin" in roles else wanted.get("enabledPermissions", ())
        self.add_account(wanted["name"], password, permissions, totp, wanted["type"], wanted.get("emails", ()))

    # What a test looks at

    @property
    def refuse_writes(self):
        return self._refuse_writes

    @refuse_writes.setter
    def refuse_writes(self, how):
        self._refuse_writes = how
        if hasattr(self, "store"):
            self.store.refuse_writes = how

    def settings(self):
        """All keys as the API lists them: config.toml's before the database's."""
        with self.lock:
            return self.store.list("", strip=False)

    def database(self):
        """The database as it is, with what config.toml shadows and what is ignored."""
        return dict(self.shared_database)

    def config_text(self):
        with open(self.config_path, encoding="utf-8", newline="") as file:
            return file.read()

    def port(self, configured):
        """The real port on loopback of a port in the configuration."""
        return self.ports[configured]

    def http_port(self, tls):
        for listener in self.listeners:
            if listener.protocol == "http" and listener.tls == tls:
                return self.ports.get(listener.binds[0][1])
        return None

    @property
    def https_url(self):
        port = self.http_port(True)
        return port and f"https://127.0.0.1:{port}"

    @property
    def http_url(self):
        port = self.http_port(False)
        return port and f"http://127.0.0.1:{port}"

    def request(self, method, path, body=None, user="admin", password="s3cret-Pass", headers=()):
        """For the tests themselves: neither faulty nor in the log. Gives status, headers, body."""
        url = urllib.parse.urlsplit(self.http_url or self.https_url)
        listener = next(one for one in self.listeners
                        if one.protocol == "http" and one.tls == (url.scheme == "https"))
        return send_request(url, method, path, body, user, password, [(oldhttp.HELPER, "1"), *headers],
                            proxied=listener.trusts("127.0.0.1"))

    def advertised_url(self, request):
        """The URL in force (a reload applies it), or the default's host and the listener's port."""
        names = {"protocol": "https" if request.tls else "http", "local_port": str(request.port), "local_ip": "::"}
        name = "server.hostname" if self.version >= (0, 11) else "lookup.default.hostname"
        keys = {name: self.hostname, **self.running}
        default = f"protocol + '://' + config_get('{name}') + ':' + local_port"
        value = keys.get("http.url" if self.version >= (0, 12) else "server.http.url", default)
        return (oldreload.evaluate(value, names, keys)
                or oldreload.evaluate("protocol + '://' + local_ip + ':' + local_port", names, keys))

    # The network

    def listen(self):
        wanted = [(listener, bind) for listener in self.listeners for bind in listener.binds
                  if self.all_listeners or listener.protocol == "http"]
        old_ports, self.ports = self.ports, {}
        selector = selectors.DefaultSelector()
        for listener, (host, port) in wanted:
            sock = self.bind(host, port, old_ports.get((host, port), 0))
            if sock is None:
                continue  # the server logs it and goes on
            self.sockets[host, port] = (sock, listener, port)
            self.ports[host, port] = sock.getsockname()[1]
            self.ports.setdefault(port, sock.getsockname()[1])
            selector.register(sock, selectors.EVENT_READ, (listener, port))
        self.spawn(self.accept, selector)

    def bind(self, host, port, real):
        family = socket.AF_INET6 if ":" in host and not self.map_ports else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", real) if self.map_ports else (host, port))
            sock.listen(128)
        except OSError:
            sock.close()
            return None
        sock.setblocking(False)
        return sock

    def spawn(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        self.threads.append(thread)  # now it can be joined

    def accept(self, selector):
        stopping = self.stopping
        while not stopping.is_set():
            for key, _ in selector.select(0.5):
                try:
                    sock, peer = key.fileobj.accept()
                except OSError:
                    continue
                if stopping.is_set():
                    sock.close()
                    break
                sock.setblocking(True)
                self.threads = [thread for thread in self.threads if thread.is_alive()]
                self.spawn(self.serve, sock, peer[:2], *key.data)
        for key in list(selector.get_map().values()):
            key.fileobj.close()
        selector.close()

    def drop_connections(self):
        with self.lock:
            open_now, self.connections = self.connections, set()
        for sock in open_now:
            hang_up(sock)

    def serve(self, sock, peer, listener, port):
        with self.lock:
            self.connections.add(sock)
        try:
            sock.settimeout(SILENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            remote = self.let_in(sock, peer, listener)
            if remote:
                sock = self.secure(sock, listener)
                oldhttp.Connection(self, sock, listener, port, remote).run()
        except (OSError, ValueError):
            pass  # the client's trouble
        except Exception:
            self.bugs.append(traceback.format_exc())
        finally:
            with self.lock:
                self.connections.discard(sock)
            sock.close()

    def let_in(self, sock, peer, listener):
        """The client, as a PROXY header may have it; None where it has to go."""
        if self.on_connect == "hang":
            self.stopping.wait()
        if self.on_connect == "reset":
            oldhttp.reset(sock)
        if self.on_connect or self.banned:
            return None
        if listener.trusts(peer[0]):
            header = oldlisteners.read_proxy_header(sock)
            if not header:
                return None
            peer = oldlisteners.source(header) or peer
        peer = (peer[0].removeprefix("::ffff:"), peer[1])
        return None if self.bans.holds(peer[0]) else peer

    def secure(self, sock, listener):
        return self.shake_hands(sock, listener) if listener.tls else sock

    def shake_hands(self, sock, listener):
        if not self.certfile:
            raise OSError("no certificate")
        if sock.recv(1, socket.MSG_PEEK) not in (b"", b"\x16"):
            sock.recv(oldhttp.HEAD_MAX)
            sock.sendall(oldlisteners.DECODE_ERROR)
            raise OSError("no TLS")
        context = oldlisteners.tls_context(str(self.certfile), str(self.keyfile), listener.versions)
        with self.lock:
            self.connections.discard(sock)
            secured = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            self.connections.add(secured)
        try:
            secured.do_handshake()
        except OSError:
            self.connections.discard(secured)
            secured.close()
            raise
        return secured


def hang_up(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def send_request(url, method, path, body, user, password, headers, proxied=False):
    """One request on a connection of its own; certificates are not looked at."""
    sock = socket.create_connection((url.hostname, url.port), timeout=SILENCE)
    if proxied:
        sock.sendall(oldlisteners.PROXY_V2_LOCAL)
    if url.scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        sock = context.wrap_socket(sock)
    connection = http.client.HTTPConnection(url.hostname, url.port)
    connection.sock = sock
    send = dict(headers)
    if user is not None:
        send["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    if body is not None and not isinstance(body, (bytes, str)):
        body, send["Content-Type"] = json.dumps(body), "application/json"
    try:
        connection.request(method, path, body, send)
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    finally:
        connection.close()


def describe(server):
    ports = {port: real for port, real in server.ports.items() if isinstance(port, int)}
    return {"version": server.version_name, "https_url": server.https_url, "http_url": server.http_url,
            "config": server.config_path, "ports": ports, "pid": os.getpid()}


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--version", default="0.15.5", help="which server to play (%(default)s)")
    options.add_argument("--folder", required=True, help="where config.toml is (or is written)")
    options.add_argument("--start-with", help="a text for config.toml; default: the quickstart's")
    options.add_argument("--config", action="append", help="ignored: so that the arguments can name a file, as a real one's do")
    options.add_argument("--tls-cert", help="PEM chain")
    options.add_argument("--tls-key", help="PEM key")
    options.add_argument("--ready-file", help="gets the line of JSON too, once the server answers")
    options.add_argument("--user", default="admin")
    options.add_argument("--password", default="s3cret-Pass")
    options.add_argument("--real-ports", action="store_true", help="bind the configuration's own ports")
    options.add_argument("--listeners", action="store_true", help="all listeners, not only http")
    options.add_argument("--database", help="a file for all that a server keeps; default: memory")
    options.add_argument("--hostname", default="vm")
    given = options.parse_args()
    os.makedirs(given.folder, exist_ok=True)
    if given.start_with:
        with open(given.start_with, encoding="utf-8", newline="") as file:
            config = file.read()
    else:
        config = default_config(given.version, os.path.abspath(given.folder), given.tls_cert and os.path.abspath(
            given.tls_cert), given.tls_key and os.path.abspath(given.tls_key), given.user, given.password)
    server = OldServer(given.version, given.folder, config, certfile=given.tls_cert, keyfile=given.tls_key,
                       map_ports=not given.real_ports, listeners=given.listeners, hostname=given.hostname,
                       file=olddatabase.Database(given.database) if given.database else None)
    signal.signal(signal.SIGTERM, lambda *_: server.stopping.set())
    signal.signal(signal.SIGINT, lambda *_: server.stopping.set())
    server.start()
    if not server.boots:
        sys.exit(f"oldserver: {server.boot_error}")
    line = json.dumps(describe(server))
    print(line, flush=True)
    if given.ready_file:
        with open(given.ready_file + ".part", "w", encoding="utf-8") as file:
            file.write(line + "\n")
        os.replace(given.ready_file + ".part", given.ready_file)
    while not server.stopping.wait(1):
        pass
    server.stop()


if __name__ == "__main__":
    main()
