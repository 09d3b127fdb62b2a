"""A wire between the program and a server: it carries every byte, and breaks at the one that it is told.

What it counts are the bytes of the server's stream, over all connections of one run; where TLS is spoken, its records.
It runs in the caller's thread, while the program does, so that nothing has to be waited for by the clock.
"""

import os
import select
import socket
from dataclasses import dataclass

# Where in a TLS record: the edges of its header and of its body, and the middle of that.
PLACES = {"header": lambda size: 0, "header's end": lambda size: 4, "body": lambda size: 5,
          "middle": lambda size: (5 + size) // 2, "body's end": lambda size: size - 1}


@dataclass(frozen=True)
class Fault:
    """What happens to one byte of the server's stream, or with `place` of its record number `at`."""
    kind: str          # "flip" it; "cut" the connection when it comes; "hang up" before anything more comes from the
    at: int            # client; "gone": cut, and nobody answers any more; "stall": nothing moves any more
    mask: int = 1      # the bits to flip
    place: str = ""


class Wire:
    """Listens on a free port of loopback and leads to `port`. With `records` the stream is TLS."""

    def __init__(self, port, records=False):
        self.target, self.records = ("127.0.0.1", port), records
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def close(self):
        self.listener.close()

    def records_with_data(self):
        """How many records came up to the last with data in it: not everyone waits for the goodbye behind it."""
        return max(number for number, kind in enumerate(self.kinds, 1) if kind == 23)

    def carry(self, process, seconds, fault=None):
        """Until the process ends; false if it does not. `sent` and `requested` are then what went over the wire,
        in `turns` turns (there and back) over `connections`."""
        self.fault, self.struck, self.stalled, self.gone = fault, False, False, False
        self.passed, self.sent, self.requested, self.rest = 0, bytearray(), bytearray(), b""
        self.kinds, self.kept = [], ()
        self.connections, self.turns, self.asked = 0, 0, False
        self.pairs, self.poll = {}, select.poll()
        ended = os.pidfd_open(process.pid)
        for descriptor in (ended, self.listener.fileno()):
            self.poll.register(descriptor, select.POLLIN)
        try:
            return self.loop(ended, seconds)
        finally:
            os.close(ended)
            for one in (*self.kept, *(one for one, _, _ in self.pairs.values())):
                one.close()

    def loop(self, ended, seconds):
        while ready := [descriptor for descriptor, _ in self.poll.poll(seconds * 1000)]:
            if ended in ready:
                return True
            for descriptor in ready:
                if descriptor == self.listener.fileno():
                    self.accept()
                elif descriptor in self.pairs:
                    self.move(*self.pairs[descriptor])
        return False

    def accept(self):
        client, _ = self.listener.accept()
        if self.gone:
            client.close()
            return
        server = socket.create_connection(self.target)
        self.connections += 1
        self.turns += 1
        for one, other, down in ((client, server, False), (server, client, True)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.pairs[one.fileno()] = (one, other, down)
            self.poll.register(one, select.POLLIN)
        self.rest = b""

    def drop(self, *pair):
        for one in pair:
            self.poll.unregister(one)
            del self.pairs[one.fileno()]
            one.close()

    def move(self, one, other, down):
        """What came from the one goes to the other."""
        try:
            data = one.recv(1 << 16)
            if data and data[0] != 21:  # a turn ends with what the server says to what was asked; TLS's goodbyes are none
                self.turns += down and self.asked
                self.asked = not down
            if data and down:
                goes_on = True
                for piece in self.pieces(data):
                    goes_on = goes_on and self.down(piece, other)
                data = goes_on
            elif data:
                self.requested += data
                other.sendall(data)
        except OSError:
            data = b""
        if self.stalled:  # both stay open, and nobody looks at them
            for waiting in (one, other):
                self.poll.unregister(waiting)
                del self.pairs[waiting.fileno()]
            self.kept = one, other
        elif not data:
            self.drop(one, other)

    def pieces(self, data):
        """The stream as it came, or whole records of it."""
        if not self.records:
            return [data]
        self.rest += data
        whole = []
        while len(self.rest) >= 5 and len(self.rest) >= (size := 5 + int.from_bytes(self.rest[3:5], "big")):
            whole.append(self.rest[:size])
            self.rest = self.rest[size:]
        return whole

    def down(self, piece, client):
        """One piece to the client; false where the connection ends with it."""
        number, self.passed = self.passed, self.passed + (1 if self.records else len(piece))
        self.sent += piece
        self.kinds.append(piece[0])
        at = self.hit(number, len(piece))
        if at is None:
            client.sendall(piece)
            return True
        self.struck = True
        if self.fault.kind == "flip":
            client.sendall(piece[:at] + bytes([piece[at] ^ self.fault.mask]) + piece[at + 1:])
            return True
        client.sendall(piece[:at])
        self.gone, self.stalled = self.fault.kind == "gone", self.fault.kind == "stall"
        return False

    def hit(self, number, size):
        """The place of the fault in this piece, or None."""
        if self.fault is None or self.struck:
            return None
        if self.records:
            return PLACES[self.fault.place](size) if number == self.fault.at else None
        last = self.fault.kind == "hang up"  # with the last byte before it
        at = self.fault.at - number
        return at if last <= at < size + last else None
