#!/usr/bin/env python3
"""A user's mail client on a host of a network: it looks the server's name up, checks its certificate, and logs in.

    mailclient.py CA-FILE SERVER logins NAME PASSWORD LISTENER...   {listener: "ok", or what went wrong}
    mailclient.py CA-FILE SERVER send NAME PASSWORD RECIPIENT SUBJECT
    mailclient.py CA-FILE SERVER subjects NAME PASSWORD          of all mails of the account
    mailclient.py CA-FILE SERVER url NAME PASSWORD               the URL that the server advertises
    mailclient.py CA-FILE SERVER deliver EHLO-NAME SENDER RECIPIENT... SUBJECT   to port 25

Prints JSON. Standard library only.
"""

import base64
import imaplib
import json
import poplib
import smtplib
import socket
import ssl
import sys
import urllib.request

SECONDS = 20
DOMAIN, ME = "example.org", "client.example.net"


class Client:
    def __init__(self, ca, server):
        self.server, self.context = server, ssl.create_default_context(cafile=ca)
        self.context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # since Python 3.13: the tests' authority is a short one

    def imap(self, name, password):
        with imaplib.IMAP4(self.server, timeout=SECONDS) as client:
            client.starttls(self.context)
            client.login(name, password)

    def imaptls(self, name, password):
        with imaplib.IMAP4_SSL(self.server, ssl_context=self.context, timeout=SECONDS) as client:
            client.login(name, password)

    def pop3(self, name, password):
        client = poplib.POP3(self.server, timeout=SECONDS)
        client.stls(self.context)
        client.user(name)
        client.pass_(password)
        client.quit()

    def pop3s(self, name, password):
        client = self.pop3s_login(name, password)
        client.quit()

    def pop3s_login(self, name, password):
        client = poplib.POP3_SSL(self.server, timeout=SECONDS, context=self.context)
        client.user(name)
        client.pass_(password)
        return client

    def submission(self, name, password):
        with smtplib.SMTP(self.server, 587, ME, SECONDS) as client:
            client.starttls(context=self.context)
            client.login(name, password)

    def submissions(self, name, password):
        with smtplib.SMTP_SSL(self.server, 465, ME, timeout=SECONDS, context=self.context) as client:
            client.login(name, password)

    def sieve(self, name, password):
        with socket.create_connection((self.server, 4190), SECONDS) as plain:
            wait_for_ok(plain.makefile("rb", 0))
            plain.sendall(b"STARTTLS\r\n")
            wait_for_ok(plain.makefile("rb", 0))
            with self.context.wrap_socket(plain, server_hostname=self.server) as client:
                lines = client.makefile("rb")
                wait_for_ok(lines)
                secret = base64.b64encode(f"\0{name}\0{password}".encode())
                client.sendall(b'AUTHENTICATE "PLAIN" "' + secret + b'"\r\n')
                wait_for_ok(lines)
                client.sendall(b"LOGOUT\r\n")

    def https(self, name, password):
        self.url(name, password)

    def http(self, name, password):
        self.url(name, password, f"http://{self.server}:8080")

    def logins(self, name, password, *listeners):
        return {listener: self.attempt(getattr(self, listener), name, password) for listener in listeners}

    @staticmethod
    def attempt(log_in, name, password):
        try:
            log_in(name, password)
            return "ok"
        except (OSError, EOFError, imaplib.IMAP4.error, poplib.error_proto) as error:  # smtplib's are OSErrors
            return f"{type(error).__name__}: {error}"

    def url(self, name, password, server=""):
        request = urllib.request.Request((server or f"https://{self.server}") + "/.well-known/jmap")  # leads to /jmap/session where there is one
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=self.context))
        with opener.open(request, timeout=SECONDS) as answer:
            return json.load(answer)["apiUrl"].removesuffix("/jmap/")

    def send(self, name, password, recipient, subject):
        with smtplib.SMTP(self.server, 587, ME, SECONDS) as client:
            client.starttls(context=self.context)
            client.login(name, password)
            client.sendmail(f"{name}@{DOMAIN}", [recipient], mail(f"{name}@{DOMAIN}", subject))
        return "ok"

    def subjects(self, name, password):
        client = self.pop3s_login(name, password)
        texts = [b"\n".join(client.retr(number)[1]).decode() for number in range(1, client.stat()[0] + 1)]
        client.quit()
        return [next(line[9:] for line in text.splitlines() if line.startswith("Subject: ")) for text in texts]

    def deliver(self, helo, sender, *recipients_and_subject):
        *recipients, subject = recipients_and_subject
        with smtplib.SMTP(self.server, 25, helo, SECONDS) as client:
            client.sendmail(sender, recipients, mail(sender, subject))
        return "ok"


def mail(sender, subject):
    return f"From: {sender}\r\nSubject: {subject}\r\n\r\nhello\r\n"


def wait_for_ok(lines):
    while line := lines.readline():
        if line.startswith(b"OK"):
            return
        if line.startswith((b"NO", b"BYE")):
            break
    raise ConnectionError(line.decode())


def main():
    ca, server, what, *arguments = sys.argv[1:]
    try:
        answer = getattr(Client(ca, server), what)(*arguments)
    except (OSError, EOFError, poplib.error_proto) as error:
        answer = f"{type(error).__name__}: {error}"
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
