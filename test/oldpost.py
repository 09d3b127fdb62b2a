"""An older server's mail: whose an address is, the mailboxes, and the way out by the routing rule in force."""

import contextlib
import ipaddress
import smtplib
import ssl
import time

import nameserver
import oldreload

SECONDS = 30


class Post:
    """Of one server, on tables (dictionaries) that the nodes of a cluster share."""

    def __init__(self, server, domains, mailboxes):
        self.server, self.domains, self.mailboxes = server, domains, mailboxes

    def is_local(self, address):
        return address.rpartition("@")[2] in self.domains

    def owner(self, address):
        """The account's name; None where nobody has this address."""
        return next((name for name, account in self.server.accounts.items() if address in account.emails), None)

    def mails(self, name):
        return [text for key, text in sorted(self.mailboxes.items()) if key.rpartition("/")[0] == name]

    def queue(self, sender, recipients, text):
        for recipient in recipients:
            self.server.spawn(self.deliver, sender, recipient, text)

    def deliver(self, sender, recipient, text):
        """Once: what fails is a line in the log. (A real server tries again.)"""
        route = self.route(recipient)
        if route == "local":
            self.mailboxes[f"{self.owner(recipient)}/{time.time_ns()}"] = text
            return
        try:
            self.send(*self.hop(route, recipient), sender, recipient, text)
        except (OSError, smtplib.SMTPException) as error:
            self.server.event(f"Delivery failed (delivery.failed) to = {recipient}, reason = {error}")

    def route(self, recipient):
        """A scalar wins over a list, whose conditions are the two that are known here."""
        keys, local = self.server.running, self.is_local(recipient)
        rule = "queue.strategy.route" if self.server.version >= (0, 13) else "queue.outbound.next-hop"
        value = keys.get(rule)
        holds = {"is_local_domain('*', rcpt_domain)": local, "true": True}
        for key in sorted(key for key in keys if key.startswith(rule + ".")) if value is None else ():
            if key.endswith(".else") or (key.endswith(".if") and holds.get(keys[key])):
                value = keys[key if key.endswith(".else") else key[:-2] + "then"]
                break
        if value is None:
            return "local" if local else "mx"
        return oldreload.evaluate(value, {}, keys)

    def hop(self, route, recipient):
        """Host, port, and whether any certificate will do. A relay is looked up as a name, also where it is an address; an
        unknown one is the MX."""
        keys = self.server.running
        relay = ("queue.route." if self.server.version >= (0, 13) else "remote.") + route
        host = keys.get(relay + ".address")
        if host is None:
            return nameserver.exchanger(recipient.rpartition("@")[2]), 25, False
        with contextlib.suppress(ValueError):
            raise ConnectionError(f"record not found for MX: {ipaddress.ip_address(host)}")
        return host, int(keys[relay + ".port"]), keys.get(relay + ".tls.allow-invalid-certs") == "true"

    @staticmethod
    def send(host, port, lax, sender, recipient, text):
        """Over TLS where it is offered."""
        context = ssl._create_unverified_context() if lax else ssl.create_default_context()
        with smtplib.SMTP(host, port, local_hostname="old.internal.example.org", timeout=SECONDS) as client:
            client.ehlo()
            if client.has_extn("starttls"):
                client.starttls(context=context)
            client.sendmail(sender, [recipient], text.encode("latin-1"))
