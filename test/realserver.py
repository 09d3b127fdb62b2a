#!/usr/bin/env python3
"""A real older server, named by $STALWART, behind the same interface as the simulator.

It binds the configuration's own ports, so it runs only in a network namespace of its own:

    unshare -n -m sh -c 'ip link set lo up; STALWART=/path/to/stalwart pytest test'

Without $STALWART nothing of this is used: `make` then gives the simulator.
"""

import base64
import hashlib
import os
import re
import signal
import socket
import subprocess
import time
import urllib.parse

import oldapi
import oldconfig
import oldlisteners
import oldserver

BOOT_SECONDS = 60
STOP_SECONDS = 20
WAIT_SECONDS = 600


def binary():
    return os.environ.get("STALWART")


def version_name():
    """$STALWART_VERSION, or what the binary says of itself."""
    named = os.environ.get("STALWART_VERSION")
    if named:
        return named
    said = subprocess.run([binary(), "--version"], capture_output=True, text=True, timeout=20, check=False)
    found = re.search(r"\b([0-9]+\.[0-9]+\.[0-9]+)\b", said.stdout + said.stderr)
    if not found:
        raise RuntimeError(f"{binary()} --version does not tell its version: set STALWART_VERSION")
    return found[1]


def alone():
    """Is there no interface but loopback? Else the server's ports would be everybody's."""
    return {name for _, name in socket.if_nameindex()} == {"lo"}


class Ports:
    """One real server at a time in a namespace: tests may run side by side, its ports are what they are."""

    def __init__(self):
        self.claim = None

    def take(self):
        self.claim = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                return self.claim.bind("\0stalprep-realserver")  # an abstract name is the namespace's own
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def give_back(self):
        self.claim.close()


def make(version, folder, config_toml=None, **options):
    """The real server where there is one (its own version counts), else the simulator."""
    if not binary():
        return oldserver.OldServer(version, folder, config_toml, **options)
    known = {key: options[key] for key in ("certfile", "keyfile", "user", "password") if key in options}
    return RealServer(folder, config_toml, **known)


class RealServer:
    """The process, its folder and its API."""

    def __init__(self, folder, config_toml=None, *, certfile=None, keyfile=None, user="admin",
                 password="s3cret-Pass"):
        if not alone():
            raise RuntimeError("a real server needs a network namespace of its own: "
                               "unshare -n sh -c 'ip link set lo up; ...'")
        self.folder, self.user, self.password = str(folder), user, password
        self.version_name = version_name()
        self.version = oldserver.parse_version(self.version_name)
        self.certfile, self.keyfile = certfile, keyfile
        self.config_path = os.path.join(self.folder, "config.toml")
        for name in ("data", "logs"):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        if config_toml is None:
            config_toml = oldserver.default_config(self.version_name, self.folder, certfile, keyfile, user, password)
        with open(self.config_path, "w", encoding="utf-8", newline="") as file:
            file.write(config_toml)
        self.process, self.boots, self.boot_error, self.listeners = None, False, "", []
        self.faults, self.log = None, None  # no such thing here
        self._refuse_writes = None
        self.ports = Ports()

    def start(self):
        try:
            self.listeners = oldlisteners.build(oldconfig.read_file(self.config_path, self.version), self.version)
        except oldconfig.ConfigError:
            self.listeners = []
        self.ports.take()
        # Unoptimised builds need deep stacks.
        environment = {"RUST_MIN_STACK": "16777216", **os.environ}
        self.output = open(os.path.join(self.folder, "output"), "w+b")
        # Not as an argument: a run on this host would find the file, and judge by it.
        environment = {**environment, "CONFIG_PATH": self.config_path}
        self.process = subprocess.Popen([binary()], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output)
        self.boots = self.wait_for_api()
        if self.boots and self.version >= (0, 11):
            self.spare_pyzor()
        return self

    def wait_for_api(self):
        """False where the process ended; it has to answer otherwise."""
        seconds = BOOT_SECONDS if self.http_url or self.https_url else STOP_SECONDS
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.output.seek(0)
                self.boot_error = self.output.read().decode("utf-8", "replace")
                return False
            try:
                self.request("GET", "/api/settings/keys?keys=oauth.key")
                return True
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the server does not answer")

    def spare_pyzor(self):
        """Without DNS every reload fails on this name, from 0.11 on."""
        values = [["spam-filter.pyzor.enable", "false"]]
        self.request("POST", "/api/settings", [{"type": "insert", "values": values, "assert_empty": False}])

    def stop(self):
        self.refuse_writes = None
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
        self.output.close()
        self.ports.give_back()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def restart(self):
        self.stop()
        self.start()
        return self.boots

    @property
    def refuse_writes(self):
        return self._refuse_writes

    @refuse_writes.setter
    def refuse_writes(self, how):
        """"read-only" lays the file over itself so (which wants a mount namespace); "full" can't be had."""
        if how:
            assert how == "read-only"
            subprocess.run(["mount", "--bind", self.config_path, self.config_path], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", self.config_path], check=True)
        elif self._refuse_writes:
            subprocess.run(["umount", self.config_path], check=True)
        self._refuse_writes = how

    def add_account(self, name, password, permissions=oldapi.PERMISSIONS, totp="", kind="individual"):
        """A secret that begins like a hash has to be one."""
        secrets = ["{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()]
        if totp:
            secrets.append(f"otpauth://totp/test:{name}?secret={totp}&issuer=test&period=30&digits=6&algorithm=SHA1")
        wanted = {"type": kind, "name": name, "secrets": secrets, "roles": ["admin"],
                  "disabledPermissions": sorted(oldapi.PERMISSIONS - permissions)}
        if self.version < (0, 10):
            wanted = {"type": "superuser", "name": name, "secrets": secrets}
        status, _, answer = self.request("POST", "/api/principal", wanted)
        assert status == 200 and b'"data"' in answer, answer

    def settings(self):
        """All keys as the API lists them."""
        _, _, body = self.request("GET", "/api/settings/list")
        return oldserver.json.loads(body)["data"]["items"]

    def database(self):
        """Not to be seen from outside: the API hides what config.toml shadows."""
        return None

    def config_text(self):
        with open(self.config_path, encoding="utf-8", newline="") as file:
            return file.read()

    def port(self, configured):
        return configured

    def url(self, tls):
        for listener in self.listeners:
            if listener.protocol == "http" and listener.tls == tls:
                return f"http{'s' if tls else ''}://127.0.0.1:{listener.binds[0][1]}"
        return None

    @property
    def https_url(self):
        return self.url(True)

    @property
    def http_url(self):
        return self.url(False)

    def request(self, method, path, body=None, user="", password=None, headers=()):
        if not self.http_url and not self.https_url:
            raise ConnectionError("no http listener in config.toml")
        user = self.user if user == "" else user
        url = urllib.parse.urlsplit(self.http_url or self.https_url)
        listener = next(one for one in self.listeners
                        if one.protocol == "http" and one.tls == (url.scheme == "https"))
        return oldserver.send_request(url, method, path, body, user, password or self.password, list(headers),
                                      proxied=listener.trusts("127.0.0.1"))
