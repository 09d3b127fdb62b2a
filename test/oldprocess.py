"""An older server as a process of its own on a host of a network: the simulator, or the real one that $STALWART names.

A restart is one: what the new process knows it has read from its config.toml and its database. Two on one database are the
nodes of a cluster.
"""

import json
import os
import re
import sys
import time
import urllib.parse
from pathlib import Path

import oldserver
import realserver

BOOT_SECONDS, STOP_SECONDS = 60, 60
PROGRAM = Path(__file__).resolve().parent / "oldserver.py"
API = urllib.parse.urlsplit("http://127.0.0.1:8080")
LOGIN = re.compile(r'\(auth\.success\) listenerId = "([^"]*)".* remoteIp = ([^ ,]*),.* accountName = "([^"]*)"')


class OldProcess:
    """Its config.toml is written before the first start; the API is reached from its own host."""

    def __init__(self, host, folder, config_toml, pair, version, hostname):
        self.host, self.folder, self.pair, self.version, self.hostname = host, folder, pair, version, hostname
        self.logs, self.config = folder / "logs", folder / "config.toml"
        for path in (folder / "data", self.logs):
            path.mkdir(parents=True, exist_ok=True)
        self.config.write_text(config_toml)
        self.database = re.search('(?m)^path = "(.*sqlite3)"', config_toml)[1]
        self.process = None

    def command(self):
        if realserver.binary():
            return [realserver.binary()]
        return [sys.executable, PROGRAM, "--version", self.version, "--folder", self.folder, "--start-with", self.config,
                "--tls-cert", self.pair.cert, "--tls-key", self.pair.key, "--database", self.database, "--hostname",
                self.hostname, "--real-ports", "--listeners"]

    def start(self):
        with open(self.folder / "output", "ab") as output:
            self.process = self.host.start(*self.host.wrap, *self.command(), stdout=output, stderr=output, env={
                **os.environ, "CONFIG_PATH": str(self.config), "RUST_MIN_STACK": "16777216"})
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            try:
                return self.ask("GET", "/api/settings/keys?keys=oauth.key")
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, (self.folder / "output").read_text()
                time.sleep(0.05)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(STOP_SECONDS)
            self.process = None

    def restart(self):
        self.stop()
        self.start()

    def ask(self, method, path, body=None):
        with self.host.inside():
            status, _, answer = oldserver.send_request(API, method, path, body, "admin", "s3cret-Pass", [])
        assert status == 200 and answer.startswith(b'{"data":'), answer
        return json.loads(answer)["data"]

    def write(self, **values):
        """Set keys over the API, as an administrator might: __ stands for a dot, None deletes."""
        values = {key.replace("__", "."): value for key, value in values.items()}
        spell = str.capitalize if oldserver.parse_version(self.version) < (0, 11) else str.lower
        self.ask("POST", "/api/settings", [
            {"type": spell("delete"), "keys": [key for key, value in values.items() if value is None]},
            {"type": spell("insert"), "prefix": None, "assert_empty": False,
             "values": [[key, value] for key, value in values.items() if value is not None]}])

    def add_domain(self, name):
        self.ask("POST", "/api/principal", {"type": "domain", "name": name})

    def add_account(self, name, password, email):
        self.ask("POST", "/api/principal", {"type": "individual", "name": name, "secrets": [password], "emails": [email],
                                            "roles": ["user"]})

    def settings(self):
        return self.ask("GET", "/api/settings/list")["items"]

    def logins(self):
        """Who logged in where, and from which address: {listener: {(address, account)}}, from the log."""
        found = {}
        for path in self.logs.iterdir():
            for listener, address, account in LOGIN.findall(path.read_text(errors="replace")):
                found.setdefault(listener, set()).add((address, account))
        return found
