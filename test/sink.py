"""A mail server that takes whatever comes, over STARTTLS too, and passes it on as an ordinary client without a PROXY header:
the migration's new server, and the rest of the world."""

import contextlib
import re
import smtplib
import socket
import ssl
import threading
from dataclasses import dataclass, field

PORT, SECONDS, PAUSE = 25, 60, 0.1
ADDRESS = re.compile("<([^>]*)>")


@dataclass
class Mail:
    """As it came."""
    client: str
    tls: bool
    sender: str
    recipients: list = field(default_factory=list)
    text: str = ""

    @property
    def subject(self):
        return re.search("(?m)^Subject: (.*?)\r?$", self.text)[1]


class Session:
    """A client's connection."""

    def __init__(self, sink, sock, client):
        self.sink, self.sock, self.client, self.mail = sink, sock, client, None
        self.lines = sock.makefile("rb")

    @property
    def tls(self):
        return isinstance(self.sock, ssl.SSLSocket)

    def run(self):
        self.say(f"220 {self.sink.name} ESMTP")
        while line := self.lines.readline():
            command = getattr(self, "do_" + line[:4].decode("latin-1").strip().lower(), None)
            if command is None:
                self.say("502 no such command")
            elif command(line.decode("latin-1")):
                return

    def say(self, *lines):
        self.sock.sendall("".join(line + "\r\n" for line in lines).encode())

    def do_ehlo(self, _):
        self.say("250-" + self.sink.name, *(["250-STARTTLS"] if self.sink.context and not self.tls else []), "250 8BITMIME")

    def do_star(self, _):
        self.say("220 go on")
        self.sock = self.sink.context.wrap_socket(self.sock, server_side=True)
        self.lines = self.sock.makefile("rb")

    def do_rset(self, _):
        self.say("250 ok")

    do_noop = do_rset

    def do_mail(self, line):
        self.mail = Mail(self.client, self.tls, ADDRESS.search(line)[1])
        self.say("250 ok")

    def do_rcpt(self, line):
        self.mail.recipients.append(ADDRESS.search(line)[1])
        self.say("250 ok")

    def do_data(self, _):
        self.say("354 send it")
        for line in iter(self.lines.readline, b".\r\n"):
            if not line:
                return True
            self.mail.text += line.decode("latin-1")
        self.sink.take(self.mail)
        self.say("250 ok")
        return False

    def do_quit(self, _):
        self.say("221 bye")
        return True


class Sink:
    """On port 25 of its host, with TLS where there is a certificate. `next_hop` tells the address where a recipient's mail
    goes on to; None: it stays here."""

    def __init__(self, host, name, pair=None, next_hop=lambda recipient: None):
        self.host, self.name, self.next_hop = host, name, next_hop
        self.mails, self.refused = [], {}  # {recipient: the next server's words}
        self.context = pair and ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if pair:
            self.context.load_cert_chain(pair.cert, pair.key)
        self.stopping = threading.Event()
        with host.inside():
            self.listening = socket.create_server((host.address, PORT))
        self.spawn(self.accept)

    def spawn(self, function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def stop(self):
        self.stopping.set()
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, client = self.listening.accept()
                sock.settimeout(SECONDS)
                self.spawn(self.serve, sock, client[0])

    def serve(self, sock, client):
        session = Session(self, sock, client)
        with contextlib.suppress(OSError):
            session.run()
        session.sock.close()

    def take(self, mail):
        self.mails.append(mail)
        for hop in {self.next_hop(recipient) for recipient in mail.recipients} - {None}:
            self.spawn(self.pass_on, hop, mail, [one for one in mail.recipients if self.next_hop(one) == hop])

    def pass_on(self, hop, mail, recipients):
        """Until each recipient was taken or refused for good; what can't be sent now is tried again and again."""
        while recipients and not self.stopping.is_set():
            with contextlib.suppress(OSError, smtplib.SMTPException), self.host.inside(), \
                    smtplib.SMTP(hop, PORT, local_hostname=self.name, timeout=SECONDS) as client:
                recipients = self.send(client, mail, recipients)
            self.stopping.wait(PAUSE if recipients else 0)

    def send(self, client, mail, recipients):
        """On one connection. Gives those that are left."""
        client.ehlo()
        if client.has_extn("starttls"):
            client.starttls(context=ssl._create_unverified_context())
            client.ehlo()
        if client.mail(mail.sender)[0] != 250:
            return recipients
        taken, done = [], set()
        for recipient in recipients:
            code, words = client.rcpt(recipient)
            if code == 250:
                taken.append(recipient)
            elif code >= 500:
                self.refused[recipient] = words.decode()
                done.add(recipient)
            else:
                break  # the server goes, or wants to be asked later
        if taken and client.data(mail.text.encode("latin-1"))[0] == 250:
            done.update(taken)
        return [one for one in recipients if one not in done]
