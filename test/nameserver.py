"""A name server of one zone's size: what it says can be changed while it runs."""

import contextlib
import socket
import struct
import threading

KINDS = {"A": 1, "MX": 15}
UNKNOWN_NAME = 3


def wire_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def read_name(query, at=12):
    """The question's name (or the one that stands there, uncompressed), and where its type begins."""
    parts = []
    while query[at]:
        parts.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
        at += 1 + query[at]
    return ".".join(parts), at + 1


class NameServer(threading.Thread):
    """Knows the names in `addresses` (name: list of IPv4 addresses) and `exchangers` (domain: name of its MX), no other."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.addresses, self.exchangers, self.stopping = {}, {}, False
        with host.inside():
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sock.bind((host.address, 53))
        self.sock.settimeout(0.2)

    def run(self):
        while not self.stopping:
            with contextlib.suppress(TimeoutError):
                query, client = self.sock.recvfrom(4096)
                with contextlib.suppress(IndexError, struct.error):
                    self.sock.sendto(self.answer(query), client)
        self.sock.close()

    def answer(self, query):
        name, end = read_name(query)
        kind, = struct.unpack_from(">H", query, end)
        records = [struct.pack(">HHHIH", 0xC00C, kind, 1, 1, len(data)) + data for data in self.data(name, kind)]
        code = 0 if name in self.addresses or name in self.exchangers else UNKNOWN_NAME
        head = query[:2] + struct.pack(">HHHHH", 0x8580 | code, 1, len(records), 0, 0)
        return head + query[12:end + 4] + b"".join(records)

    def data(self, name, kind):
        if kind == KINDS["A"]:
            return [socket.inet_aton(address) for address in self.addresses.get(name, ())]
        if kind == KINDS["MX"] and name in self.exchangers:
            return [struct.pack(">H", 10) + wire_name(self.exchangers[name])]
        return []

    def stop(self):
        self.stopping = True
        self.join()


def exchanger(domain, conf="/etc/resolv.conf"):
    """A domain's MX by the system's name server, as a client; where there is none, the domain itself."""
    with open(conf, encoding="ascii") as lines:
        server = next(words[1] for words in map(str.split, lines) if words[:1] == ["nameserver"])
    query = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0) + wire_name(domain) + struct.pack(">HH", KINDS["MX"], 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.sendto(query, (server, 53))
        answer = sock.recv(4096)
    if not struct.unpack_from(">H", answer, 6)[0]:
        return domain
    return read_name(answer, len(query) + 14)[0]  # behind the head of the record, and the preference
