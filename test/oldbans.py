"""Whom an older server does not let in: its bans, and the failures that lead to them.

From crates/common/src/listener/blocked.rs and crates/smtp/src/inbound/rcpt.rs.
"""

import ipaddress

import oldlisteners
import oldreload

LOOPBACK = ("127.0.0.1", "::1")


def networks(keys, prefix):
    """The addresses and networks are in the keys' names."""
    found = [oldreload.parse_network(key[len(prefix) + 1:]) for key in keys if key.startswith(prefix + ".")]
    return [network for network in found if network]


class Bans:
    """Of one server. `failures`, a dictionary, outlives it."""

    def __init__(self, server, failures):
        self.server, self.failures, self.blocked = server, failures, []

    def read(self, keys):
        """At a boot and at each reload, also at a dry one."""
        self.blocked = networks(keys, "server.blocked-ip")

    def holds(self, address):
        return any(oldlisteners.matches(network, ipaddress.ip_address(address)) for network in self.blocked)

    def allowed(self, address):
        """Exempt, by the settings in force."""
        found = networks(self.server.running, "server.allowed-ip")
        return address in LOOPBACK or any(oldlisteners.matches(one, ipaddress.ip_address(address)) for one in found)

    def count(self, kind, limit, address):
        """One more failure of this kind; true where the address is banned for it. The days of the rate don't pass here."""
        if self.allowed(address):
            return False
        rate = self.server.running.get(f"server.auto-ban.{kind}.rate", f"{limit}/1d")
        key = f"{kind} {address}"
        self.failures[key] = self.failures.get(key, 0) + 1
        if rate == "false" or self.failures[key] <= int(rate.partition("/")[0]):
            return False
        self.blocked.append(oldreload.parse_network(address))
        self.server.store.set([(f"server.blocked-ip.{address}", "")])
        self.server.event(f"Banned (security.{kind}-ban) remoteIp = {address}")
        return True
