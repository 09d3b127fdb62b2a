"""The program's readers (test/read-records) beside others that nobody wrote after them: Python's ipaddress, urllib, json
and cryptography, the simulator's reader of config.toml.

Each takes every string of some tokens of its grammar (a thorough run up to five, a normal one up to three), longer ones by
chance, and certificates with a fault.
"""

import datetime
import ipaddress
import itertools
import json
import re
import subprocess
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import oldconfig
import oldreload
from conftest import ROOT, THOROUGH, chance
from test_x509 import CA, LEAF, constraints, content, dns, ips, make, split, tlv, usage

RECORDS = ROOT / "build" / "test" / "read-records"
WHOLE = 5 if THOROUGH else 3  # tokens
HEAPS = 200000 if THOROUGH else 10000
BATCH = 50000

pytestmark = pytest.mark.skipif(not RECORDS.exists(), reason=f"{RECORDS} is not built")


def read(kind, records):
    """What the program reads in each of these texts or bytes."""
    data = [record if isinstance(record, bytes) else record.encode("utf-8", "surrogatepass") for record in records]
    ran = subprocess.run([RECORDS, kind], input=b"".join(len(one).to_bytes(4, "big") + one for one in data),
                         capture_output=True, timeout=600, check=True)
    found = ran.stdout.decode().splitlines()
    assert len(found) == len(data)
    return map(json.loads, found)


# Texts

def address(text):
    """As an IPv4 one where it is mapped; None."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if "%" in text else getattr(found, "ipv4_mapped", None) or found


def host(text):
    found = address(text)
    return found and str(ipaddress.ip_network(found))


def network(text):
    """As the user may give it."""
    start, slash, bits = text.partition("/")
    found = address(start)
    if not found or (slash and not re.fullmatch("0|[1-9][0-9]{0,2}", bits, re.A)):
        return None
    width = found.max_prefixlen
    length = int(bits) - (96 if width == 32 and ":" in start else 0) if slash else width
    if not 8 <= length <= width or int(found) & (1 << width - length) - 1:
        return None
    found = ipaddress.ip_network((int(found) if width == 32 else found, length))
    every = width == 128 and ipaddress.ip_network("::ffff:0:0/96").subnet_of(found)
    return None if every else str(found)


def server_network(text):
    found = oldreload.parse_network(text)
    short = found and found.version == 6 and found.prefixlen >= 96 and found.network_address.ipv4_mapped
    return str(ipaddress.ip_network((short, found.prefixlen - 96)) if short else found) if found else None


NAME = re.compile(r"(?!.*[^.]{64})(?:\w(?:[\w-]*\w)?\.)*(?![0-9]+\.?$)\w(?:[\w-]*\w)?\.?", re.A)


def url(text):
    """[scheme, host, port, is it an address]"""
    if not re.fullmatch(r"[!-~]*", text) or re.search("[@?#]", text):
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    name = parts.hostname or ""
    bracketed = parts.netloc.startswith("[")
    if (parts.scheme not in ("http", "https") or not text.lower().startswith(parts.scheme + "://")
            or parts.path not in ("", "/") or parts.netloc.endswith(":") or port == 0
            or not re.fullmatch(r"(\[[^]]*\]|[^][:]*)(:[0-9]+)?", parts.netloc)):
        return None
    found = address(name)
    if bracketed != (":" in name) or not (found or (not bracketed and NAME.fullmatch(name))):
        return None
    if parts.scheme == "http" and name != "localhost" and not (found and found.is_loopback):
        return None
    return [parts.scheme, name, port or (443 if parts.scheme == "https" else 80), bool(found)]


class Refused(ValueError):
    """JSON that Python takes and the program does not, by its own rules (json.h)."""


def number(text):
    """Whole ones alone are read."""
    if len(text) > 63:
        raise Refused
    return int(text) if not set(text) & set(".eE") and abs(int(text)) <= 2**53 else None


def members(pairs):
    if len(dict(pairs)) < len(pairs):
        raise Refused
    return dict(pairs)


def refuse(_text):
    raise Refused


def strings(value):
    if isinstance(value, dict):
        return [*value, *itertools.chain(*map(strings, value.values()))]
    return itertools.chain(*map(strings, value)) if isinstance(value, list) else [value] if isinstance(value, str) else []


def document(text):
    """[the value]"""
    try:
        value = json.loads(text, parse_int=number, parse_float=number, parse_constant=refuse, object_pairs_hook=members)
    except ValueError:
        return None
    return None if re.search("[\0\ud800-\udfff]", "".join(strings(value))) else [value]


def config(text, version=(0, 15, 5)):
    """Its keys; None where the server would not start."""
    try:
        return oldconfig.read_text(text, version)
    except oldconfig.ConfigError:
        return None


def old_config(text):
    return config(text, (0, 12, 5))


ADDRESS = ["0", "1", "25", "255", "256", "00", ".", "1.2.3.", ":", "::", "::ffff:", "f", "fffff", "%", " ", "+"]
NETWORK = ["0", "1", "8", "32", "64", "128", "/", "/8", ".0", "1.2.3.4", "10.0", ":", "::", "::ffff:", "2001:db8::", " "]
AUTHORITY = ["a", "localhost", "1", ".", "-", "_", ":", "[", "]", "::1", "127.0.0.1", "65536", "/", "%", "?", "A" * 64]
JSON = ["[", "]", "{", "}", '"', ",", ":", "0", "1", "-", ".", "e", "\\", "u00e9", " ", "true"]
TOML = ["[", "]", "{", "}", '"', "'", ",", "=", ".", "a", "A", "1", "#", "\n", " ", "\\"]

TEXTS = {  # what the program takes it for: what others do, the tokens, what may stand before them
    "addr": (host, ADDRESS, [""]),
    "net": (network, NETWORK, [""]),
    "server-net": (server_network, [*NETWORK, "+"], [""]),
    "url": (url, AUTHORITY, ["https://", "HTTP://", ""]),
    "json": (document, JSON, [""]),
    "config": (config, TOML, ["", "a="]),
    "old-config": (old_config, TOML, ["", "a="]),
}
MORE = {  # in longer strings
    "url": ["443", ":8443", "b.example", "\\", "@", "xn--", "0", "%41"],
    "json": ["null", "false", "ud83d", "\\udc00", "u0000", "\ud800", "\t", "\n", "\x7f", "é", "1" * 62, "E+", '"a":', "[[[["],
    "config": ["ü", "'''", '"""', "\r\n", "true", "[[", "]]"],
}
MORE["old-config"] = MORE["config"]
PARTS = 4  # for as many processors


def texts(kind):
    _, tokens, starts = TEXTS[kind]
    for start, length in itertools.product(starts, range(WHOLE + 1)):
        for words in itertools.product(tokens, repeat=length):
            yield start + "".join(words)
    heaps = chance("heaps", kind)
    for _ in range(HEAPS):
        yield heaps.choice(starts) + "".join(heaps.choices(tokens + MORE.get(kind, []), k=heaps.randint(WHOLE + 1, 12)))


def batches(all_texts):
    while batch := list(itertools.islice(all_texts, BATCH)):
        yield batch


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", TEXTS)
def test_texts(kind, part):
    other, taken = TEXTS[kind][0], 0
    for batch in batches(itertools.islice(texts(kind), part, None, PARTS)):
        for text, found in zip(batch, read(kind, batch)):
            if kind.endswith("config") and isinstance(found, str):
                assert "line" in found
                found = None
            assert found == other(text), text
            taken += found is not None
    assert taken > 3


# Certificates

BASES = [
    LEAF, CA, LEAF.but(names=[*dns("*.example.org", "b.example"), *ips("192.0.2.1", "2001:db8::1")]), CA.but(path_len=3),
    LEAF.but(key="rsa2048/x", usage=usage(digital_signature=True, key_encipherment=True)), LEAF.but(key="p384/x"),
    LEAF.but(eku=None, usage=None, ca=None), LEAF.but(eku=[x509.ObjectIdentifier("2.5.29.37.0")], eku_critical=True),
    CA.but(constraints=constraints(permit=dns("example.org"), exclude=dns("a.example.org"), critical=True)),
    LEAF.but(begin=datetime.datetime(1951, 1, 1), end=datetime.datetime(2055, 1, 1)),
]
SIMPLE = bytes([1, 2, 3, 4, 5, 6, 12, 19, 22, 23, 24, 48, 49, 128, 130, 135, 160, 163])
BITS = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign"]


def parts_of(element):
    """The elements that it consists of, or None."""
    inside = content(element)
    if not element[0] & 0x20 and element[0] != 4:
        return None
    try:
        found = split(inside)
    except IndexError:
        return None
    return found if found and b"".join(found) == inside and all(len(one) > 1 for one in found) else None


def damaged(element, random):
    """One element of it is another one; the lengths around it are right."""
    found = parts_of(element)
    if not found or random.random() < 0.1:
        inside = bytearray(content(element))
        if inside and random.random() < 0.7:
            inside[random.randrange(len(inside))] ^= 1 << random.randrange(8)
        tag = element[0] if random.random() < 0.8 else random.choice(SIMPLE)
        return tlv(tag, bytes(inside) if random.random() < 0.8 else bytes(inside[:-1]))
    at = random.randrange(len(found))
    way = random.random()
    if way < 0.05:
        del found[at]
    elif way < 0.1:
        found.insert(random.randrange(len(found)), found[at])
    else:
        found[at] = damaged(found[at], random)
    return tlv(element[0], b"".join(found))


def seconds(moment):
    return int(moment.replace(tzinfo=datetime.timezone.utc).timestamp())


def extension(certificate, kind):
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def certificate_of(data):
    """As cryptography takes it apart; ValueError."""
    certificate = x509.load_der_x509_certificate(data)
    basic, key_usage = extension(certificate, x509.BasicConstraints), extension(certificate, x509.KeyUsage)
    purposes = extension(certificate, x509.ExtendedKeyUsage)
    names = extension(certificate, x509.SubjectAlternativeName)
    key = certificate.public_key()
    uses = key_usage and sum(1 << number_ for number_, name in enumerate(BITS) if getattr(key_usage, name))
    return {
        "begin": seconds(certificate.not_valid_before), "end": seconds(certificate.not_valid_after),
        "version": certificate.version.value + 1, "bits": key.key_size if isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)) else None,
        "tbs": certificate.tbs_certificate_bytes.hex(), "signature": certificate.signature.hex(),
        "ca": None if basic is None else int(basic.ca), "path_len": basic and basic.path_length, "usage": uses,
        "eku_server": None if purposes is None else int(any(one.dotted_string in (
            "1.3.6.1.5.5.7.3.1", "2.5.29.37.0") for one in purposes)),
        "names": None if names is None else [str(getattr(name, "value", "")) for name in names],
    }


def names_in(text):
    """The names of a subjectAltName, from its bytes in hexadecimal."""
    for one in split(bytes.fromhex(text)):
        inside = content(one)
        yield str(ipaddress.ip_address(inside)) if one[0] == 0x87 else inside.decode() if one[0] & 0x20 == 0 else ""


def compare(data, found):
    """False where one of the two does not take it."""
    if found is None or found["fault"]:
        return False
    try:
        wanted = certificate_of(data)
        found["names"] = list(names_in(found["san"])) if found["san"] else None
    except (ValueError, UnsupportedAlgorithm, x509.UnsupportedGeneralNameType):
        return False
    fields = split(content(split(content(data))[0]))
    fields = fields[fields[0][0] == 0xA0:]
    for name, number_ in (("issuer", 2), ("subject", 4), ("spki", 5)):
        wanted[name] = fields[number_].hex()
    assert {name: found[name] for name in wanted} == wanted, data.hex()
    return True


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("part", range(PARTS))
def test_certificates(part):
    random = chance("certificates", part)
    whole = [make(spec, CA) for spec in BASES]
    assert all(list(map(compare, whole, read("cert", whole))))
    for batch in batches(iter([damaged(random.choice(whole), random) for _ in range(HEAPS // PARTS)])):
        both = sum(map(compare, batch, read("cert", batch)))
        assert both > len(batch) / 10
