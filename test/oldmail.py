"""An older server's mail protocols, as far as clients and relays need them: IMAP, POP3, ManageSieve and SMTP. The words are
what 0.15.5 says, to the lines of a PROXY header that it does not expect too.
"""

import base64
import binascii
import re

import oldapi

RCPT_ERRORS = 5  # session.rcpt.errors.total
EHLO = ("SMTPUTF8", "SIZE 104857600", "REQUIRETLS", "PIPELINING", "NO-SOLICITING", "ENHANCEDSTATUSCODES", "CHUNKING",
        "BINARYMIME")
ADDRESS = re.compile("<([^>]*)>")
IMAP_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


def decoded(text):
    """Name and password of an exchange of SASL PLAIN."""
    try:
        parts = base64.b64decode(text, validate=True).decode().split("\0")
    except (binascii.Error, ValueError):
        return "", ""
    return tuple(parts[1:]) if len(parts) == 3 else ("", "")


class Talk:
    """One conversation. A protocol has greet() and answer(line), which is true where it ends."""

    def __init__(self, connection):
        self.connection, self.server, self.listener = connection, connection.server, connection.listener
        self.account = None

    def run(self):
        self.greet()
        while line := self.connection.line():
            if self.answer(line):
                return

    def say(self, *lines):
        self.connection.sock.sendall("".join(line + "\r\n" for line in lines).encode())

    def greet(self):
        self.connection.sock.sendall(self.greeting())

    def greeting(self):
        """The banner; the recorded one of this version."""
        answers = oldapi.recorded("greeting", self.server.version)
        text = answers["smtp" if self.listener.protocol == "lmtp" else self.listener.protocol]
        text = text.replace("220 vm ", f"220 {self.server.hostname} ")
        return text.replace("@STARTTLS@", "" if self.connection.tls else " STARTTLS").encode()

    def misunderstood(self, words):
        """What came with it is dropped."""
        self.connection.buffer = b""
        self.say(words)

    def log_in(self, name, password):
        self.account = self.server.log_in(name, password, self.connection)
        return self.account is not None

    def start_tls(self, *words):
        self.say(*words)
        self.connection.start_tls()

    def mails(self):
        return self.server.post.mails(self.account.name)


class Imap(Talk):
    def answer(self, line):
        text = line.strip(b"\r\n").decode("latin-1")
        tag, _, rest = text.partition(" ")
        words = [quoted or bare for quoted, bare in IMAP_WORD.findall(rest)]
        command = getattr(self, "do_" + words[0].lower(), None) if words else None
        if command:
            return command(tag, *words[1:])
        if words:
            self.misunderstood(f"{tag} BAD [PARSE] Unrecognized command '{words[0].upper()}'.")
        elif line.strip():
            tag = tag.replace("\0", "\\0")
            self.misunderstood(f'* BAD [PARSE] Missing command after tag "{tag}", found CRLF instead.')
        return False

    def do_noop(self, tag, *_):
        self.say(f"{tag} OK NOOP completed")

    def do_capability(self, tag, *_):
        known = re.search(r"\[CAPABILITY ([^]]*)\]", self.greeting().decode())[1]
        self.say(f"* CAPABILITY {known}", f"{tag} OK CAPABILITY completed")

    def do_starttls(self, tag, *_):
        if self.connection.tls:
            self.say(f"{tag} NO Already in TLS mode.")
        else:
            self.start_tls(f"{tag} OK Begin TLS negotiation now")

    def do_login(self, tag, name="", password="", *_):
        if not self.connection.tls:
            self.say(f"{tag} NO LOGIN is disabled on the clear-text port.")
        elif self.log_in(name, password):
            self.say(f"{tag} OK Authentication successful")
        else:
            self.say(f"{tag} NO [AUTHENTICATIONFAILED] Authentication failed")

    def do_status(self, tag, folder="", *_):
        if self.account is None:
            self.say(f"{tag} NO Not authenticated.")
        else:
            self.say(f'* STATUS "{folder}" (MESSAGES {len(self.mails())})', f"{tag} OK STATUS completed")

    def do_logout(self, tag, *_):
        self.say("* BYE Stalwart IMAP4rev2 bids you farewell.", f"{tag} OK LOGOUT completed")
        return True


class Pop3(Talk):
    name = ""

    def answer(self, line):
        words = line.decode("latin-1").split()
        command = getattr(self, "do_" + words[0].lower(), None) if words else None
        if command:
            return command(*words[1:])
        if words:
            self.say("-ERR Invalid command")
        return False

    def do_capa(self, *_):
        ways = ["USER", "SASL PLAIN OAUTHBEARER XOAUTH2"] if self.connection.tls else ["SASL OAUTHBEARER XOAUTH2", "STLS"]
        self.say("+OK Capability list follows", *ways, "TOP", "RESP-CODES", "PIPELINING", "EXPIRE NEVER", "UIDL", "UTF8",
                 "IMPLEMENTATION Stalwart Server", ".")

    def do_noop(self, *_):
        self.say("+OK NOOP")

    def do_stls(self, *_):
        self.start_tls("+OK Begin TLS negotiation now")

    def do_user(self, name="", *_):
        self.name = name
        self.say(f"+OK {name} is a valid mailbox" if self.connection.tls else "-ERR Cannot authenticate over plain-text.")

    def do_pass(self, password="", *_):
        good = self.connection.tls and self.log_in(self.name, password)
        self.say("+OK Authentication successful" if good else "-ERR Authentication failed")

    def do_stat(self, *_):
        mails = self.mails()
        self.say(f"+OK {len(mails)} {sum(map(len, mails))}")

    def do_retr(self, number="", *_):
        lines = self.mails()[int(number) - 1].splitlines()
        stuffed = ("." + line if line.startswith(".") else line for line in lines)
        self.say(f"+OK {sum(map(len, lines))} octets", *stuffed, ".")

    def do_quit(self, *_):
        self.say("+OK Stalwart POP3 bids you farewell.")
        return True


class Sieve(Talk):
    def greeting(self):
        text = super().greeting().decode()
        if self.connection.tls:
            text = text.replace('"STARTTLS"\r\n', "").replace('"SASL" "', '"SASL" "PLAIN ')
        return text.encode()

    def answer(self, line):
        words = [quoted or bare for quoted, bare in IMAP_WORD.findall(line.strip().decode("latin-1"))]
        command = getattr(self, "do_" + words[0].lower(), None) if words else None
        if command:
            return command(*words[1:])
        if words and words[0].isalpha():
            self.misunderstood(f"BAD (PARSE) \"Unrecognized command '{words[0].upper()}'.\"")
        elif words:
            odd = next(char for char in words[0] if not char.isalpha()).replace("\0", "\\\\0")
            self.misunderstood(f"BAD (PARSE) \"Invalid character '{odd}' in command name.\"")
        return False

    def do_noop(self, *_):
        self.say('OK "Done"')

    def do_starttls(self, *_):
        self.start_tls('OK "Begin TLS negotiation now"')
        self.greet()

    def do_authenticate(self, _way="", text="", *_):
        if not self.connection.tls:
            self.say('NO (ENCRYPT-NEEDED) "Cannot authenticate over plain-text."')
        else:
            good = self.log_in(*decoded(text))
            self.say('OK "Authentication successful"' if good else 'NO "Authentication failed"')

    def do_logout(self, *_):
        self.say('OK "Stalwart ManageSieve bids you farewell."')
        return True


class Smtp(Talk):
    """Also LMTP, which is not looked into. The port decides what is asked of a client, by the defaults of the settings."""
    helo = sender = None
    errors = 0

    def __init__(self, connection):
        super().__init__(connection)
        self.recipients = []

    @property
    def inbound(self):
        return self.connection.port == 25

    def answer(self, line):
        word, _, rest = line.strip(b"\x00 \r\n").decode("latin-1").partition(" ")
        command = getattr(self, "do_" + word.lower(), None) if word.isascii() else None
        if command:
            return command(rest.strip())
        self.say("500 5.5.1 Invalid command.")
        return self.account is None and self.server.bans.count("scan", 30, self.connection.remote[0])

    def do_noop(self, _):
        self.say("250 2.0.0 OK")

    def do_quit(self, _):
        self.say("221 2.0.0 Bye.")
        return True

    def do_rset(self, _):
        self.sender, self.recipients = None, []
        self.say("250 2.0.0 OK")

    def do_ehlo(self, name):
        strict = self.server.running.get("session.ehlo.reject-non-fqdn", "true" if self.inbound else "false")
        if strict != "false" and "." not in name.strip(".") and not name.startswith("["):
            self.say("550 5.5.0 Invalid EHLO domain.")
            return
        self.helo = name
        ways = () if self.inbound else ("AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER" if self.connection.tls
                                        else "AUTH XOAUTH2 OAUTHBEARER",)
        more = (*(() if self.connection.tls else ("STARTTLS",)), *EHLO, *ways)
        self.say(f"250-{self.server.hostname} you had me at EHLO", *("250-" + one for one in more), "250 8BITMIME")

    do_helo = do_ehlo

    def do_starttls(self, _):
        if self.connection.tls:
            self.say("504 5.7.4 Already in TLS mode.")
        else:
            self.start_tls("220 2.0.0 Ready to start TLS.")

    def do_auth(self, rest):
        way, _, text = rest.partition(" ")
        if self.inbound:
            self.say("503 5.5.1 AUTH not allowed.")
        elif not self.connection.tls or way.upper() != "PLAIN":
            self.say("554 5.7.8 Authentication mechanism not supported.")
        else:
            self.say("235 2.7.0 Authentication succeeded." if self.log_in(*decoded(text))
                     else "535 5.7.8 Authentication credentials invalid.")

    def do_mail(self, rest):
        if self.helo is None:
            self.say("503 5.5.1 Polite people say EHLO first.")
        elif not self.inbound and self.account is None:
            self.say("503 5.5.1 You must authenticate first.")
        else:
            self.sender, self.recipients = ADDRESS.search(rest)[1], []
            self.say("250 2.1.0 OK")

    def do_rcpt(self, rest):
        if self.sender is None:
            self.say("503 5.5.1 MAIL is required first.")
            return False
        address = ADDRESS.search(rest)[1].lower()
        local = self.server.post.is_local(address)
        if local and self.server.post.owner(address) is None:
            return self.refuse_recipient("550 5.1.2 Mailbox does not exist.")
        if not local and self.account is None:
            return self.refuse_recipient("550 5.1.2 Relay not allowed.")
        self.recipients.append(address)
        self.say("250 2.1.5 OK")
        return False

    def refuse_recipient(self, words):
        """The wait before it (session.rcpt.errors.wait) is left out. A ban is for the next connection."""
        self.errors += 1
        self.server.bans.count("abuse", 35, self.connection.remote[0])
        ends = self.errors >= RCPT_ERRORS
        self.say("451 4.3.0 Too many errors, disconnecting." if ends else words)
        return ends

    def do_data(self, _):
        if not self.recipients:
            self.say("503 5.5.1 RCPT is required first.")
            return
        self.say("354 Start mail input; end with <CRLF>.<CRLF>")
        text = ""
        while (line := self.connection.line().decode("latin-1")) != ".\r\n":
            if not line:
                raise ConnectionAbortedError("the mail is not complete")
            text += line.removeprefix(".")
        self.server.post.queue(self.sender, self.recipients, text)
        self.sender, self.recipients = None, []
        self.say("250 2.0.0 Message queued with id 4c2d8d35c200081.")


TALKS = {"imap": Imap, "pop3": Pop3, "managesieve": Sieve, "smtp": Smtp, "lmtp": Smtp}
