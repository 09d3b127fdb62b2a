"""An older server's connections: HTTP/1.x as hyper reads and writes it, and faults.

The bounds, the refusals and the order of headers were compared with 0.10.7 and 0.15.5.
"""

import re
import socket
import ssl
import struct
from dataclasses import dataclass
from email.utils import formatdate

import oldapi
import oldmail
from oldapi import Request, Response

# hyper's bounds
URI_MAX = 65534
HEAD_MAX = 8192 + 4096 * 100
HEADERS_MAX = 100
# httparse's and the http crate's characters
TOKEN = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+")
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) HTTP/1\.([01])\Z")
REQUEST_START = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]*(\Z| [!-~\x80-\xff]*(\Z| [HTP/1.0]*\Z))")
PATH = re.compile("[^\x00-\x20#<>`\x7f]*")
QUERY = re.compile("[^\x00-\x20\"<>\x7f]*")
HELPER = "x-test-helper"  # a test's own request: no fault, not in the log


@dataclass
class Fault:
    """Something to go wrong with one request, or with several.

    Which: `number` counts requests from 1 since the start; or `method` and the start of `path`
    (0 and "" fit all); `times` is how often it happens (-1: always).
    """
    number: int = 0
    method: str = ""
    path: str = ""
    times: int = 1
    answer: tuple = None    # (status, body) in place of the server's own answer
    done: bool = None       # does the request take effect? by default only where its own answer is given
    raw: bytes = None       # these bytes as the whole answer
    interim: bytes = b""    # sent before the answer, e.g. b"HTTP/1.1 100 Continue\r\n\r\n"
    length: int = 0         # added to Content-Length
    chunked: int = 0        # the body in chunks of so many bytes, without a Content-Length
    headers: tuple = ()     # (name, value) pairs added to the answer
    cut: int = None         # only so many bytes of the answer are sent (0: none)
    end: str = ""           # then: "close", "eof" (no TLS close_notify), "reset", "hang"
    delay: float = 0        # seconds before each byte of the answer
    before: object = None   # called with the server before the request is done
    after: object = None    # called with the server between doing and answering

    def fits(self, number, request):
        if not self.times or (self.number and self.number != number):
            return False
        return self.method in ("", request.method) and request.target.startswith(self.path)

    @property
    def takes_effect(self):
        return self.done if self.done is not None else self.answer is None and self.raw is None

    @property
    def ends(self):
        """A connection whose answer was cut or lied about can't go on."""
        return self.end or ("close" if self.cut is not None or self.raw is not None else "")


class Connection:
    """One connection, kept open: requests are answered in order, also when several come at once."""

    def __init__(self, server, sock, listener, port, remote):
        self.server, self.sock, self.listener, self.port = server, sock, listener, port
        self.remote = remote  # the client's address and port, as a PROXY header has them
        self.buffer = b""

    def run(self):
        if self.listener.protocol == "http":
            while self.one_request():
                pass
        else:
            oldmail.TALKS[self.listener.protocol](self).run()
        if self.tls:
            close_notify(self.sock)

    @property
    def tls(self):
        return isinstance(self.sock, ssl.SSLSocket)

    def start_tls(self):
        """What came in the clear behind the command is dropped."""
        self.sock, self.buffer = self.server.shake_hands(self.sock, self.listener), b""

    def more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def take(self, count):
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def line(self):
        while b"\n" not in self.buffer:
            if not self.more() or len(self.buffer) > HEAD_MAX:
                return b""
        return self.take(self.buffer.index(b"\n") + 1)

    # HTTP

    def one_request(self):
        head = self.head()
        if head is None:
            return False
        if isinstance(head, int):
            self.refuse(head)
            return False
        method, target, minor, headers = head
        request = Request(method, target, headers, b"", self.port, self.listener.tls, self)
        words = headers.get("connection", "").lower()
        keep = "close" not in words and (minor == 1 or "keep-alive" in words)
        if not self.body(request, minor):
            return False
        return self.answer(request, minor, keep) and keep

    def head(self):
        """None at the end of the stream, a status where the server refuses to read on."""
        while True:
            if self.buffer[:1] in b"\r\n":
                self.buffer = self.buffer.lstrip(b"\r\n")
            end = re.search(rb"\r?\n\r?\n", self.buffer)
            if end:
                break
            first, line_end, _ = self.buffer.partition(b"\n")
            if self.buffer and not (REQUEST_LINE if line_end else REQUEST_START).match(first.rstrip(b"\r")):
                return 400
            if len(self.buffer) > HEAD_MAX:
                return 431
            if not self.more():
                return None
        lines = re.split(rb"\r?\n", self.take(end.end())[:end.start() - end.end()])
        match = REQUEST_LINE.match(lines[0])
        if match and self.server.version < (0, 12) and not match[2].isascii():
            return 400  # from 0.12 on such a target is taken (0.11.8 and 0.13.4 seen)
        if not match or match[2] == b"*":
            return None if lines[0] == b"PRI * HTTP/2.0" else 400
        return self.parsed_head(match, lines[1:])

    @staticmethod
    def parsed_head(match, lines):
        if len(match[2]) > URI_MAX:
            return 414
        if len(lines) > HEADERS_MAX:
            return 431
        headers = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            name, value = name.decode("latin-1").lower(), value.strip(b" \t").decode("latin-1")
            if not colon or not TOKEN.fullmatch(name):
                return 400
            if name == "content-length" and headers.get(name, value) != value:
                return 400
            headers[name] = value
        # A whole URL serves as well as a path.
        target = re.sub("^https?://[^/]*", "", match[2].decode("latin-1"))
        path, mark, query = target.partition("?")
        if not PATH.fullmatch(path) or not QUERY.fullmatch(query):
            return 400
        return match[1].decode(), path + mark + query, int(match[3]), headers

    def body(self, request, minor):
        headers = request.headers
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            self.refuse(400)
            return False
        if headers.get("expect", "").lower() == "100-continue" and minor == 1 and (chunked or int(length)):
            if not self.server.api.wants_body(request):
                self.answer(request, minor, keep=False)  # the body that may still come ends it
                return False
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if chunked:
            return self.chunks(request)
        while len(self.buffer) < int(length):
            if not self.more():
                return False
        request.body = self.take(int(length))
        return True

    def chunks(self, request):
        while size := int(self.line().split(b";")[0], 16):
            while len(self.buffer) < size + 2:
                if not self.more():
                    return False
            request.body += self.take(size + 2)[:-2]
        while self.line().strip():
            pass
        return True

    def refuse(self, status):
        """hyper's own answers: no body; up to 0.9 it did not say that it closes."""
        self.sock.sendall(encode(Response(status), 1, "close" if self.server.version >= (0, 10) else ""))

    def answer(self, request, minor, keep):
        server = self.server
        with server.lock:
            fault, helper = None, HELPER in request.headers
            if not helper:
                server.requests += 1
                fault = next((f for f in server.faults if f.fits(server.requests, request)), None)
            response = self.perform(request, fault)
            if not helper:
                server.log.append((request.method, request.target, request.body, response.status))
        connection = ""
        if "close" in request.headers.get("connection", "").lower() and server.version >= (0, 10):
            connection = "close"
        elif minor == 0 and keep:
            connection = "keep-alive"
        if fault is None:
            self.sock.sendall(encode(response, minor, connection, bodiless=request.method == "HEAD",
                                     own_length=server.version >= (0, 12)))
            return True
        return self.send_faulty(response, minor, connection, fault)

    def perform(self, request, fault):
        if fault is None:
            return self.server.api.answer(request)
        fault.times -= 1 if fault.times > 0 else 0
        if fault.before:
            fault.before(self.server)
        response = self.server.api.answer(request) if fault.takes_effect else Response(0)
        if fault.after:
            fault.after(self.server)
        if fault.answer is not None:
            status, body = fault.answer
            response = oldapi.problem(status) if body is None else Response(
                status, body.encode() if isinstance(body, str) else body, [("content-type", oldapi.JSON_TYPE)])
        response.headers = [*response.headers, *fault.headers]
        return response

    def send_faulty(self, response, minor, connection, fault):
        text = encode(response, minor, connection, fault.length, fault.chunked) if fault.raw is None else fault.raw
        text = (fault.interim + text)[:fault.cut]
        if fault.delay:
            for byte in text:
                if self.server.stopping.wait(fault.delay):
                    return False
                self.sock.sendall(bytes([byte]))
        elif text:
            self.sock.sendall(text)
        return self.finish(fault.ends)

    def finish(self, how):
        """Ends the connection as a fault wants it; true where it goes on."""
        if not how:
            return True
        if how == "hang":
            self.server.stopping.wait()
        elif how == "reset":
            reset(self.sock)
        elif how == "eof":
            self.sock.shutdown(socket.SHUT_RDWR)
        return False


def encode(response, minor, connection="", length=0, chunked=0, bodiless=False, own_length=False):
    """Header names in lower case, as hyper writes them; from 0.12 on the server sets the length
    itself, and then it stands before the connection."""
    lines = [f"HTTP/1.{minor} {response.status} {oldapi.REASONS.get(response.status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    body = response.body
    if chunked:
        lines.append("transfer-encoding: chunked")
        parts = [body[at:at + chunked] for at in range(0, len(body), chunked)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    elif response.status != 204:
        lines.append(f"content-length: {len(body) + length}")
    if connection:
        lines.insert(len(lines) if own_length else len(lines) - 1, "connection: " + connection)
    lines.append("date: " + formatdate(usegmt=True))
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if bodiless else body)


def reset(sock):
    """The next close sends RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(sock, ssl.SSLSocket):
        sock.close()


def close_notify(sock):
    """Says goodbye in TLS without waiting for the other side's."""
    try:
        sock.settimeout(0)
        sock.unwrap()
    except (OSError, ValueError):
        pass
