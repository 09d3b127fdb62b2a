"""Real TLS servers in front of the simulator: OpenSSL's s_server, GnuTLS, nginx, haproxy and, where there is a deno
(./build.sh test gets one), rustls. A Wish says what one is to be like; each peer spells it in its own way.
"""

import contextlib
import ctypes
import os
import select
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
TIMEOUT = 40
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])


@dataclass(frozen=True)
class Wish:
    version: str = ""      # "1.1", "1.3": this one alone
    suite: str = ""        # the one of TLS 1.2, in OpenSSL's spelling
    group: str = ""        # the one for ECDHE: X25519, P-256 …
    client: bool = False   # a client certificate is insisted on
    name: bool = False     # a host name in the ClientHello is insisted on, and it must be the certificate's
    tickets: bool = True
    small: bool = False    # records of 512 bytes
    proxied: bool = False  # a PROXY header comes first
    plain: bool = False    # no TLS at all

    def asked(self):
        return {name for name, field in self.__dataclass_fields__.items() if getattr(self, name) != field.default}

    def __str__(self):
        return " ".join(f"{name}={getattr(self, name)}" for name in sorted(self.asked())) or "as it is"

    @property
    def ciphers(self):
        """For OpenSSL, whose default rules have no TLS 1.1."""
        return "ALL:@SECLEVEL=0" if self.version == "1.1" else self.suite


def check_able(peer, wish):
    """The matrix asks of each peer only what it can be."""
    assert wish.asked() <= peer.able, f"{type(peer).__name__} can't be: {wish}"


class Process:
    """A server of another's making. What it says goes to a file in its folder."""
    program = ""
    able = frozenset(Wish.__dataclass_fields__)

    def __init__(self, folder, backend, pair, ca, wish):
        check_able(self, wish)
        self.folder, self.backend, self.pair, self.ca, self.wish = folder, backend, pair, ca, wish

    @classmethod
    def path(cls):
        return shutil.which(cls.program, path=PATH)

    def spawn(self, *args, **options):
        given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "cwd": self.folder, **options}
        with open(self.folder / "said", "ab") as said:
            self.process = subprocess.Popen([self.path(), *map(str, args)], stderr=said, **given)

    def stop(self):
        self.process.terminate()
        self.process.wait(TIMEOUT)

    def said(self):
        return (self.folder / "said").read_text(errors="replace")


class Inheriting(Process):
    """One that is given a socket that listens already: nobody has to wait for it, and its port is its own."""

    def start(self):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port, number = listening.getsockname()[1], listening.fileno()
            (self.folder / "config").write_text(self.config(number))
            self.spawn(*self.arguments, pass_fds=[number], env={**os.environ, "NGINX": f"{number};"})
        return self


class Nginx(Inheriting):
    program = "nginx"
    able = Process.able - {"proxied"}
    arguments = ("-c", "config", "-e", "stderr", "-p", ".")

    def config(self, _number):
        wish = self.wish
        tls = "" if wish.plain else "ssl"
        lines = [f"listen 127.0.0.1:{self.port} {tls};", f"ssl_certificate {self.pair.cert};",
                 f"ssl_certificate_key {self.pair.key};", f"ssl_protocols TLSv{wish.version or '1.2 TLSv1.3'};",
                 f"location / {{ proxy_pass http://127.0.0.1:{self.backend}; proxy_http_version 1.1; }}"]
        lines += [f"ssl_ciphers {wish.ciphers};"] if wish.ciphers else []
        lines += [f"ssl_ecdh_curve {wish.group};"] if wish.group else []
        lines += [f"ssl_verify_client on; ssl_client_certificate {self.ca};"] if wish.client else []
        lines += ["server_name mail.internal.example.org;"] if wish.name else []
        lines += ["ssl_session_tickets off; ssl_session_cache off;"] if not wish.tickets else []
        lines += ["ssl_buffer_size 512;"] if wish.small else []
        other = f"listen 127.0.0.1:{self.port} ssl default_server; ssl_reject_handshake on;" if wish.name else ""
        other = f"server {{ {other} }}" if other else ""
        paths = "".join(f"{kind}_temp_path {kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return ("daemon off; user root; pid pid; events {}\n"
                f"http {{ access_log off; {paths}\n{other} server {{\n" + "\n".join(lines) + "\n} }\n")


class Haproxy(Inheriting):
    program = "haproxy"
    arguments = ("-db", "-f", "config")

    def config(self, number):
        wish = self.wish
        both = self.folder / "both.pem"
        both.write_text(Path(self.pair.cert).read_text() + Path(self.pair.key).read_text())
        bind = f"bind fd@{number}" + ("" if wish.plain else f" ssl crt {both} alpn h2,http/1.1")
        bind += f" ssl-min-ver TLSv{wish.version} ssl-max-ver TLSv{wish.version}" if wish.version else ""
        bind += f" ciphers {wish.ciphers}" if wish.ciphers else ""
        bind += " ssl-max-ver TLSv1.2" if wish.suite else ""
        bind += f" curves {wish.group}" if wish.group else ""
        bind += f" verify required ca-file {self.ca}" if wish.client else ""
        bind += " strict-sni" if wish.name else ""
        bind += " no-tls-tickets" if not wish.tickets else ""
        bind += " accept-proxy" if wish.proxied else ""
        return "\n".join(["global", " tune.ssl.maxrecord 512" if wish.small else "",
                          "defaults", " mode http", " timeout connect 10s", " timeout client 30s", " timeout server 30s",
                          "frontend tls", " " + bind, " default_backend old",
                          " http-request deny unless { fc_rcvd_proxy }" if wish.proxied else "",
                          "backend old", f" server old 127.0.0.1:{self.backend}", ""])


class Openssl(Process):
    """s_server for one connection: the simulator is its standard input and output."""
    program = "openssl"
    able = Process.able - {"proxied", "name", "plain"}

    def start(self):
        """It takes no socket of ours, and somebody may have been quicker with a port that was free."""
        for _ in range(5):
            self.port = free_port()
            with socket.create_connection(("127.0.0.1", self.backend)) as backend:
                self.spawn("s_server", "-quiet", "-accept", f"127.0.0.1:{self.port}", "-cert", self.pair.cert,
                           "-key", self.pair.key, *self.options(), stdin=backend, stdout=backend)
            if wait_for_listener(self.process, self.port):
                return self
        raise AssertionError(self.said())

    def options(self):
        wish = self.wish
        words = ["-tls1_" + wish.version[2:]] if wish.version else ["-tls1_2"] if wish.suite else []
        words += ["-cipher", wish.ciphers] if wish.ciphers else []
        words += ["-groups", wish.group] if wish.group else []
        words += ["-Verify", "1"] if wish.client else []
        words += ["-no_ticket", "-no_cache"] if not wish.tickets else []
        return words + (["-max_send_frag", "512", "-split_send_frag", "512"] if wish.small else [])


class Rustls(Process):
    program = "deno"
    able = frozenset()

    @staticmethod
    def path():
        return shutil.which(FOLDER.parent / "build" / "deno" / "deno") or shutil.which("deno")

    def start(self):
        texts = [Path(name).read_text() for name in (self.pair.cert, self.pair.key)]  # deno reads no file below /dev
        self.spawn("run", "--quiet", "--no-prompt", "--no-config", "--allow-net=127.0.0.1", FOLDER / "rustls.js",
                   *texts, self.backend, stdout=subprocess.PIPE, env={**os.environ, "DENO_DIR": "deno"})
        assert select.select([self.process.stdout], [], [], TIMEOUT)[0], self.said()
        line = self.process.stdout.readline()
        assert line, self.said()
        self.port = int(line)
        return self

    def stop(self):
        super().stop()
        self.process.stdout.close()


# GnuTLS

# gnutls/gnutls.h
SERVER, NO_TICKETS, CERTIFICATE, PEM, REQUIRE, RDWR = 1, 1 << 10, 1, 1, 2, 0
WARNING_ALERT, LENGTH_MAX = -16, 1 << 14
CIPHERS = {"AES128-GCM-SHA256": "AES-128-GCM", "AES256-GCM-SHA384": "AES-256-GCM",
           "CHACHA20-POLY1305": "CHACHA20-POLY1305"}
GROUPS = {"X25519": "X25519", "P-256": "SECP256R1", "P-384": "SECP384R1", "P-521": "SECP521R1"}


class Gnutls:
    """By its library: gnutls-serv listens on all addresses, can't relay and can't ask for a new handshake."""
    able = frozenset({"version", "suite", "group", "client", "tickets", "small"})

    def __init__(self, folder, backend, pair, ca, wish):
        check_able(self, wish)
        self.lib, self.backend, self.wish = self.path(), backend, wish
        self.farewell = True      # a close_notify before the end
        self.renegotiate = False  # a HelloRequest before each answer
        self.alerts = []
        self.credentials = ctypes.c_void_p()
        self.must("certificate_allocate_credentials", ctypes.byref(self.credentials))
        self.must("certificate_set_x509_key_file", self.credentials, pair.cert.encode(), pair.key.encode(), PEM)

    @staticmethod
    def path():
        with contextlib.suppress(OSError):
            return ctypes.CDLL("libgnutls.so.30")

    def call(self, name, *args):
        return getattr(self.lib, "gnutls_" + name)(*args)

    def must(self, name, *args):
        result = self.call(name, *args)
        if result < 0:
            raise OSError(f"gnutls_{name}: {result}")
        return result

    def start(self):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.thread.join(TIMEOUT)
        self.call("certificate_free_credentials", self.credentials)

    def serve(self):
        """One connection after the other."""
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError), self.session(client) as session:
                self.handshake(session)
                with socket.create_connection(("127.0.0.1", self.backend)) as backend:
                    self.relay(session, client, backend)

    @property
    def priority(self):
        wish, words = self.wish, ["NORMAL"]
        words += [f"-VERS-ALL:+VERS-TLS{wish.version}"] if wish.version else []
        words += ["%VERIFY_ALLOW_SIGN_WITH_SHA1:+SIGN-ALL:+SHA1"] if wish.version == "1.1" else []
        if wish.suite:
            kind, cipher = wish.suite.split("-", 2)[1:]
            words += [f"-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-{kind}:-CIPHER-ALL:+{CIPHERS[cipher]}"]
        words += [f"-GROUP-ALL:+GROUP-{GROUPS[wish.group]}"] if wish.group else []
        return ":".join(words).encode()

    @contextlib.contextmanager
    def session(self, client):
        session = ctypes.c_void_p()
        self.must("init", ctypes.byref(session), SERVER | (0 if self.wish.tickets else NO_TICKETS))
        try:
            self.must("priority_set_direct", session, self.priority, None)
            self.must("credentials_set", session, CERTIFICATE, self.credentials)
            if self.wish.client:
                self.call("certificate_server_set_request", session, REQUIRE)
            self.call("transport_set_int2", session, client.fileno(), client.fileno())
            yield session
        finally:
            self.call("deinit", session)

    def handshake(self, session):
        while (result := self.call("handshake", session)) < 0:
            if self.call("error_is_fatal", result):
                self.call("alert_send_appropriate", session, result)
                raise OSError(f"gnutls_handshake: {result}")

    def relay(self, session, client, backend):
        while True:
            pending = self.call("record_check_pending", session)
            ready = [client] if pending else select.select([client, backend], [], [], TIMEOUT)[0]
            if client in ready:
                data = self.receive(session)
                if data is None:
                    return
                backend.sendall(data)
            if backend in ready:
                data = backend.recv(LENGTH_MAX)
                if not data:
                    break
                if self.renegotiate:
                    self.must("rehandshake", session)
                self.send(session, data)
        if self.farewell:
            self.call("bye", session, RDWR)

    def receive(self, session):
        """What the client sent, None at its end; a warning of its is noted."""
        room = ctypes.create_string_buffer(LENGTH_MAX)
        length = self.call("record_recv", session, room, ctypes.c_size_t(LENGTH_MAX))
        if length == WARNING_ALERT:
            self.alerts.append(self.call("alert_get", session))
            return b""
        return room.raw[:length] if length > 0 else None

    def send(self, session, data):
        step = 512 if self.wish.small else LENGTH_MAX
        for start in range(0, len(data), step):
            piece = data[start:start + step]
            self.must("record_send", session, piece, ctypes.c_size_t(len(piece)))


PEERS = {"openssl": Openssl, "gnutls": Gnutls, "nginx": Nginx, "haproxy": Haproxy, "rustls": Rustls}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def wait_for_listener(process, port):
    """False if it ended, for instance because the port was taken. A connection to ask with would be the one that it serves."""
    deadline = time.monotonic() + TIMEOUT
    while process.poll() is None:
        for line in Path("/proc/net/tcp").read_text().splitlines():
            local, remote, _, _, _, _, _, _, inode = line.split()[1:10]
            if local == f"0100007F:{port:04X}" and remote == "00000000:0000" and owns(process, inode):
                return True
        assert time.monotonic() < deadline, "s_server does not listen"
        time.sleep(0.005)
    return False


def owns(process, inode):
    with contextlib.suppress(OSError):  # it may close one, or end
        return any(os.readlink(fd.path) == f"socket:[{inode}]" for fd in os.scandir(f"/proc/{process.pid}/fd"))
