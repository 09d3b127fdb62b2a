"""The migration's proxy: haproxy, with a PROXY v2 header before everything on the ports of mail clients, and without one on
port 25."""

import shutil
import time

from peers import PATH

PORTS = (143, 993, 110, 995, 587, 465, 4190, 443, 8080)
WAIT = 60


class Front:
    """On a host of a network; `old` are the addresses behind it, `new` is the new server's."""

    def __init__(self, host, folder, old, new):
        self.host, self.config = host, folder / "haproxy.cfg"
        lines = ["global", " maxconn 200", "defaults", " mode tcp", " timeout connect 30s", " timeout client 120s",
                 " timeout server 120s"]
        for port in PORTS:
            lines += [f"listen port{port}", f" bind {host.address}:{port}"]
            lines += [f" server old{number} {address}:{port} send-proxy-v2" for number, address in enumerate(old)]
        lines += ["listen port25", f" bind {host.address}:25", f" server new {new}:25", ""]
        self.config.write_text("\n".join(lines))
        self.output, self.process = folder / "haproxy.output", None
        self.program = shutil.which("haproxy", path=PATH)

    def run(self, *args):
        with open(self.output, "ab") as output:
            return self.host.start(self.program, *args, "-f", self.config, stdout=output, stderr=output)

    def check(self):
        """Is its configuration good?"""
        assert self.run("-c").wait(WAIT) == 0, self.output.read_text()

    def start(self):
        self.process = self.run("-db")
        deadline = time.monotonic() + WAIT
        while True:
            try:
                return self.host.connect(self.host.address, 25).close()
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, self.output.read_text()
                time.sleep(0.05)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(WAIT)
            self.process = None
