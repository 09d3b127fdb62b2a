"""An older server's listeners: which there are, whom they trust, and the PROXY headers that they take.

Built at boot from config.toml alone, before the database is opened
(crates/common/src/config/server/listener.rs and crates/common/src/listener/listen.rs).
"""

import functools
import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass

import oldreload

PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
PROXY_V2_LOCAL = PROXY_V2 + b"\x20\x00\x00\x00"
PROXY_V1_MAX = 107
FIRST_READ = 256
DECODE_ERROR = b"\x15\x03\x03\x00\x02\x02\x32"  # rustls's alert where no TLS comes
# What rustls with its ring provider offers in TLS 1.2; the 1.3 suites are not settable here.
TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass
class Listener:
    name: str
    protocol: str
    binds: list  # (host, port) pairs
    tls: bool  # implicit
    networks: list
    versions: frozenset  # of TLS

    def trusts(self, address):
        """Must this client start with a PROXY header?"""
        return any(matches(network, ipaddress.ip_address(address)) for network in self.networks)


def matches(network, address):
    """An IPv4 client is looked up in IPv6 networks by its mapped form, and the other way round."""
    if network.version == 4 and address.version == 6:
        address = address.ipv4_mapped or address
    elif network.version == 6 and address.version == 4:
        address = ipaddress.ip_address(f"::ffff:{address}")
    return address in network


def build(local, version):
    """The listeners of a boot; a broken one is left out with a line in the log."""
    keys = oldreload.resolve_macros(local, oldreload.Findings(version), kinds=("env",))
    found = []
    for name in oldreload.listener_ids(keys):
        prefix = f"server.listener.{name}"
        protocol = keys[prefix + ".protocol"].lower()
        binds = [oldreload.parse_bind(value) for _, value in oldreload.values(keys, prefix + ".bind")]
        binds = [bind for bind in binds if bind]
        if protocol in oldreload.PROTOCOLS and binds:
            found.append(Listener(
                name, "http" if protocol == "https" else protocol, binds,
                keys.get(prefix + ".tls.implicit") == "true" and keys.get(prefix + ".tls.enable") != "false",
                networks(keys, name), tls_versions(keys, prefix)))
    return found


def networks(keys, name):
    parsed = [oldreload.parse_network(value) for _, value in oldreload.trusted_networks(keys, name)]
    return [network for network in parsed if network]


def tls_versions(keys, prefix):
    own = [value for key, value in sorted(keys.items()) if key.startswith(prefix + ".tls.disable-protocols.")]
    disabled = own or [value for _, value in oldreload.values(keys, "server.tls.disable-protocols")]
    left = {"1.2", "1.3"} - {{"TLSv1.2": "1.2", "0x0303": "1.2", "TLSv1.3": "1.3", "0x0304": "1.3"}.get(v)
                             for v in disabled}
    return frozenset(left or {"1.2", "1.3"})


def tls_context(certfile, keyfile, versions):
    return cached_context(certfile, keyfile, versions, os.stat(certfile).st_mtime_ns)


@functools.lru_cache(maxsize=64)
def cached_context(certfile, keyfile, versions, _modified):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certfile, keyfile)
    context.minimum_version = ssl.TLSVersion.TLSv1_2 if "1.2" in versions else ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3 if "1.3" in versions else ssl.TLSVersion.TLSv1_2
    context.set_ciphers(TLS12_CIPHERS)
    return context


class Invalid(Exception):
    """The connection is dropped."""


def read_proxy_header(sock):
    """Takes exactly a PROXY header off the socket and gives it; nothing where the server drops the connection.

    The first read of the proxy-header crate is of 256 bytes. What it has not read when it gives
    up makes the close a reset (a ClientHello is longer than that), else it is a plain end.
    """
    data = b""
    while more := sock.recv(FIRST_READ, socket.MSG_PEEK):
        try:
            length = header_length(data + more)
        except Invalid:
            sock.recv(len(more))
            return b""
        if length:
            return data + receive(sock, length - len(data))
        data += sock.recv(len(more))
    return b""


def header_length(data):
    """How long the header is; 0 where more is to come."""
    if data[:1] == b"P":
        length = v1_length(data)
        if not length and len(data) >= PROXY_V1_MAX:
            raise Invalid
        return length
    if data[:1] != b"\r":
        raise Invalid
    return v2_length(data)


def v1_length(data):
    if len(data) < len(b"PROXY UNKNOWN\r\n"):
        return 0
    line, end, rest = data.partition(b"\r")
    if not data.startswith(b"PROXY") or (data[6:13] != b"UNKNOWN" and data[6:11] not in (b"TCP4 ", b"TCP6 ")):
        raise Invalid
    if data[6:13] != b"UNKNOWN":
        check_v1_words(line[11:].split(b" "), complete=bool(end), kind=data[6:10])
    if rest and rest[:1] != b"\n":
        raise Invalid
    return len(line) + 2 if rest else 0


def check_v1_words(words, complete, kind):
    """The last word is not looked at before its end is there."""
    address = ipaddress.IPv4Address if kind == b"TCP4" else ipaddress.IPv6Address
    parts = words if complete else words[:-1]
    try:
        for part, parse in zip(parts, (address, address, port_number, port_number)):
            parse(part.decode("ascii"))
    except ValueError as error:
        raise Invalid from error
    if len(parts) > 4 or (complete and len(parts) < 4):
        raise Invalid


def port_number(text):
    if not text.removeprefix("+").isdecimal() or int(text) > 65535:
        raise ValueError(text)


def v2_length(data):
    if len(data) < 16:
        return 0
    if data[:12] != PROXY_V2 or data[12] not in (0x20, 0x21):
        raise Invalid
    length = int.from_bytes(data[14:16], "big")
    if len(data) < 16 + length:
        return 0
    least = {0x00: 0, 0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}.get(data[13])
    if least is None or (least == 216 and length < least):
        raise Invalid
    if len(data) < 16 + least:
        return 0  # it waits for the addresses before it sees that they can't be there
    if length < least:
        raise Invalid
    return 16 + length


def receive(sock, count):
    data = b""
    while len(data) < count:
        data += sock.recv(count - len(data))
    return data


def source(header):
    """The client that a header names, as (address, port); None where it names none."""
    if header[:1] == b"P":
        words = header.split()
        return (words[2].decode(), int(words[4])) if words[1] != b"UNKNOWN" else None
    size = {0x11: 4, 0x12: 4, 0x21: 16, 0x22: 16}.get(header[13])
    if header[12] == 0x20 or not size:
        return None
    return str(ipaddress.ip_address(header[16:16 + size])), int.from_bytes(header[16 + 2 * size:18 + 2 * size], "big")
