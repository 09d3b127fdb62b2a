"""Certificates made here, one rule a line, through the program's own verifier (test/verify-chain)."""

import base64
import datetime
import functools
import hashlib
import ipaddress
import inspect
import os
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as EKU
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).resolve().parent.parent
VERIFY = Path(os.environ.get("VERIFY_CHAIN", ROOT / "build" / "test" / "verify-chain"))

pytestmark = pytest.mark.skipif(not VERIFY.exists(), reason=f"{VERIFY} is not built")

NOW = datetime.datetime(2025, 6, 1, 12, 0, 0)
DAY = datetime.timedelta(days=1)
HOST = "mail.example.org"

# ---- making certificates ----


@functools.cache
def key(name):
    """A key by name; the part before '/' says which kind."""
    kind = name.split("/")[0]
    if kind.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind[3:]))
    curves = {"p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1, "p224": ec.SECP224R1,
              "k256": ec.SECP256K1}
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(curves[kind]())


def dn(*cn, org=None):
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, c) for c in cn]
    if org:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, org))
    return x509.Name(attributes)


def der_oid(dotted):
    return x509.ObjectIdentifier(dotted)


def unknown(critical, dotted="1.3.6.1.4.1.99999.1", value=b"\x05\x00"):
    return (x509.UnrecognizedExtension(der_oid(dotted), value), critical)


def many(count):
    return tuple(unknown(False, f"1.3.6.1.4.1.99999.3.{i}") for i in range(count))


def dns(*names):
    return [x509.DNSName(n) for n in names]


def ips(*addresses):
    return [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]


def usage(**bits):
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{n: bits.get(n, False) for n in names})


def constraints(permit=None, exclude=None, critical=False):
    return (x509.NameConstraints(permit, exclude), critical)


DEFAULT = object()


@dataclass(frozen=True)
class Spec:
    """What a certificate says. DEFAULT is what a good one of its kind says; None leaves a thing out."""

    cn: tuple = ("leaf",)
    key: str = "p256/leaf"
    ca: object = DEFAULT            # bool, None for no basicConstraints
    path_len: object = None
    basic_critical: bool = True
    names: object = DEFAULT         # GeneralNames of the subjectAltName
    san_critical: bool = False
    usage: object = DEFAULT
    eku: object = DEFAULT
    eku_critical: bool = False
    constraints: object = None
    begin: datetime.datetime = NOW - 30 * DAY
    end: datetime.datetime = NOW + 30 * DAY
    digest: object = hashes.SHA256()
    pss: bool = False
    serial: int = 0x1234567890
    aki: object = DEFAULT           # None: no extension
    ski: object = DEFAULT
    extra: tuple = ()               # (extension, critical)
    is_ca: bool = False
    subject: object = DEFAULT
    issuer_name: object = DEFAULT
    patch: object = None            # bytes -> bytes of the finished certificate, to break it

    def but(self, **changes):
        return replace(self, **changes)


LEAF = Spec()
CA = Spec(cn=("Middle CA",), key="p256/middle", is_ca=True)
ROOTCA = Spec(cn=("Root CA",), key="p256/root", is_ca=True)


def add_extensions(b, spec, public, issuer_public):
    ca = spec.is_ca if spec.ca is DEFAULT else spec.ca
    if ca is not None and (ca or spec.ca is not DEFAULT):
        b = b.add_extension(x509.BasicConstraints(ca, spec.path_len), spec.basic_critical)
    names = (None if spec.is_ca else dns(HOST)) if spec.names is DEFAULT else spec.names
    if names is not None:
        b = b.add_extension(x509.SubjectAlternativeName(names), spec.san_critical)
    ku = spec.usage
    if ku is DEFAULT:
        ku = usage(key_cert_sign=True, crl_sign=True) if spec.is_ca else usage(digital_signature=True)
    if ku is not None:
        b = b.add_extension(ku, True)
    eku = (None if spec.is_ca else [EKU.SERVER_AUTH]) if spec.eku is DEFAULT else spec.eku
    if eku is not None:
        b = b.add_extension(x509.ExtendedKeyUsage(eku), spec.eku_critical)
    if spec.constraints is not None:
        b = b.add_extension(*spec.constraints)
    if spec.ski is DEFAULT:
        b = b.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
    if spec.aki is DEFAULT:
        b = b.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public), False)
    elif spec.aki is not None:
        b = b.add_extension(spec.aki, False)
    for extension, critical in spec.extra:
        b = b.add_extension(extension, critical)
    return b


def make(spec, issuer=None):
    """The certificate's DER. issuer: its issuer's Spec, or None for a self-signed one."""
    issuer = issuer or spec
    signer = key(issuer.key)
    public = key(spec.key).public_key()
    subject = dn(*spec.cn) if spec.subject is DEFAULT else spec.subject
    issuer_name = dn(*issuer.cn) if issuer.subject is DEFAULT else issuer.subject
    b = (x509.CertificateBuilder().subject_name(subject)
         .issuer_name(issuer_name if spec.issuer_name is DEFAULT else spec.issuer_name)
         .public_key(public).serial_number(spec.serial).not_valid_before(spec.begin).not_valid_after(spec.end))
    b = add_extensions(b, spec, public, signer.public_key())
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        cert = b.sign(signer, None)
    elif spec.pss:
        cert = b.sign(signer, spec.digest, rsa_padding=padding.PSS(padding.MGF1(spec.digest), 32))
    else:
        cert = b.sign(signer, spec.digest)
    out = cert.public_bytes(serialization.Encoding.DER)
    if not spec.patch:
        return out
    patched = spec.patch(out)
    return patched if spec.patch in RAW else resign(patched, signer, spec.digest)


# ---- patching DER: a certificate that no library would make, with a signature that fits ----


def tlv(tag, content):
    n = len(content)
    if n < 0x80:
        return bytes([tag, n]) + content
    size = (n.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + n.to_bytes(size, "big") + content


def split(data):
    """The elements of a constructed one's content, each whole."""
    out = []
    while data:
        n, at = data[1], 2
        if n & 0x80:
            at = 2 + (n & 0x7F)
            n = int.from_bytes(data[2:at], "big")
        out.append(data[:at + n])
        data = data[at + n:]
    return out


def content(element):
    n = element[1]
    return element[2 + (n & 0x7F if n & 0x80 else 0):]


RAW = set()                         # patches of what stands outside the signed part: signing again would undo them


def raw(patch):
    RAW.add(patch)
    return patch


def resign(patched, signer, digest):
    """Sign again what stands inside."""
    tbs, algorithm, _ = split(content(patched))
    if isinstance(signer, rsa.RSAPrivateKey):
        value = signer.sign(tbs, padding.PKCS1v15(), digest)
    else:
        value = signer.sign(tbs, ec.ECDSA(digest))
    return tlv(0x30, tbs + algorithm + tlv(3, b"\0" + value))


def on_fields(change):
    """A patch of the tbsCertificate's fields, given as a list that change() alters in place."""
    def patch(cert):
        tbs, algorithm, signature = split(content(cert))
        fields = split(content(tbs))
        change(fields)
        return tlv(0x30, tlv(0x30, b"".join(fields)) + algorithm + signature)
    return patch


def on_extensions(change):
    def on(fields):
        extensions = split(content(content(fields[-1])))
        change(extensions)
        fields[-1] = tlv(0xA3, tlv(0x30, b"".join(extensions)))
    return on_fields(on)


def find_extension(extensions, dotted):
    oid = x509.ObjectIdentifier(dotted)
    return next(i for i, e in enumerate(extensions)
                if split(content(e))[0] == encode_oid(oid.dotted_string))


def encode_oid(dotted):
    arcs = [int(a) for a in dotted.split(".")]
    out = b""
    for arc in [arcs[0] * 40 + arcs[1]] + arcs[2:]:
        part = bytes([arc & 0x7F])
        while arc > 0x7F:
            arc >>= 7
            part = bytes([0x80 | arc & 0x7F]) + part
        out += part
    return tlv(6, out)


def duplicate(dotted):
    def change(extensions):
        extensions.append(extensions[find_extension(extensions, dotted)])
    return on_extensions(change)


def set_value(dotted, value, critical=False):
    """Give an extension this value in place of its own."""
    def change(extensions):
        i = find_extension(extensions, dotted)
        flag = tlv(1, b"\xff") if critical else b""
        extensions[i] = tlv(0x30, encode_oid(dotted) + flag + tlv(4, value))
    return on_extensions(change)


def san_of(*general_names):
    return set_value("2.5.29.17", tlv(0x30, b"".join(tlv(tag, value) for tag, value in general_names)))


def make_critical(dotted):
    def change(extensions):
        i = find_extension(extensions, dotted)
        parts = split(content(extensions[i]))
        extensions[i] = tlv(0x30, parts[0] + tlv(1, b"\xff") + parts[-1])
    return on_extensions(change)


def version(n):
    """Version n without extensions, as old ones are."""
    def change(fields):
        del fields[-1]
        del fields[0]
        if n > 1:
            fields.insert(0, tlv(0xA0, tlv(2, bytes([n - 1]))))
    return on_fields(change)


def set_field(index, value):
    def change(fields):
        fields[index] = value
    return on_fields(change)


SERIAL, VALIDITY, SUBJECT, SPKI = 1, 4, 5, 6


def validity(begin, end):
    return set_field(VALIDITY, tlv(0x30, begin + end))


def utc(text):
    return tlv(0x17, text.encode())


def generalized(text):
    return tlv(0x18, text.encode())


def outside(change):
    """A patch of the three parts of the certificate, whose signature then stays as it is."""
    def patch(cert):
        parts = split(content(cert))
        change(parts)
        return tlv(0x30, b"".join(parts))
    return raw(patch)


def other_outer_algorithm(parts):
    parts[1] = tlv(0x30, encode_oid("1.2.840.10045.4.3.3"))


def flip_signature(parts):
    parts[2] = parts[2][:-1] + bytes([parts[2][-1] ^ 1])


def drop_tail(parts):
    parts.append(b"\x05\x00")


@raw
def trailing_byte(cert):
    return cert + b"\0"


@raw
def long_form_length(cert):
    """The outer length in one byte more than it needs."""
    return b"\x30\x83\x00" + cert[2:4] + cert[4:]


def spki_of(algorithm, bits):
    return set_field(SPKI, tlv(0x30, tlv(0x30, algorithm) + tlv(3, b"\0" + bits)))


def rsa_bits(n, e):
    def integer(v):
        return tlv(2, v.to_bytes(v.bit_length() // 8 + 1, "big"))
    return tlv(0x30, integer(n) + integer(e))


RSA_ALGORITHM = encode_oid("1.2.840.113549.1.1.1") + b"\x05\x00"
EC_ALGORITHM = encode_oid("1.2.840.10045.2.1")
P256 = encode_oid("1.2.840.10045.3.1.7")


def point(name="p256/leaf", compressed=False):
    form = serialization.PublicFormat
    return key(name).public_key().public_bytes(
        serialization.Encoding.X962, form.CompressedPoint if compressed else form.UncompressedPoint)


# ---- running it ----


def pem(*ders):
    return "".join("-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(d).decode() + "-----END CERTIFICATE-----\n"
                   for d in ders)


def verify(tmp_path, anchors, chain, host=HOST, now=NOW):
    (tmp_path / "anchors").write_text(pem(*anchors))
    (tmp_path / "chain").write_text(pem(*chain))
    seconds = str(int(now.replace(tzinfo=datetime.timezone.utc).timestamp()))
    run = subprocess.run([VERIFY, tmp_path / "anchors", tmp_path / "chain", host, seconds], capture_output=True,
                         text=True, timeout=60)
    assert run.returncode in (0, 1), run.stderr + run.stdout
    assert (run.returncode == 0) == (run.stdout == "")
    return run.stdout


def check(out, reason):
    """reason None: accepted."""
    if reason is None:
        assert out == ""
    else:
        assert reason in out.split("\n  It names ")[0], out


def chain_of(leaf=LEAF, middle=CA, root=ROOTCA):
    """(anchors, chain): leaf, one intermediate below one root."""
    if middle is None:
        return [make(root)], [make(leaf, root)]
    return [make(root)], [make(leaf, middle), make(middle, root)]


# ---- the leaf's names ----

NAMES = [
    # names in the certificate, host, reason
    (dns("mail.example.org"), "mail.example.org", None),
    (dns("mail.example.org"), "MAIL.Example.ORG", None),
    (dns("MAIL.Example.ORG"), "mail.example.org", None),
    (dns("mail.example.org"), "mail.example.org.", None),
    (dns("other.example.org", "mail.example.org"), "mail.example.org", None),
    (dns("localhost"), "localhost", None),
    (dns("xn--bcher-kva.example"), "xn--bcher-kva.example", None),
    (dns("mail.example.org"), "imap.example.org", "not among its dNSName"),
    (dns("mail.example.org"), "example.org", "not among its dNSName"),
    (dns("mail.example.org"), "a.mail.example.org", "not among its dNSName"),
    (dns("example.org"), "mail.example.org", "not among its dNSName"),
    (dns("mail.example.org."), "mail.example.org", "not among its dNSName"),
    (dns("mail.example.orgx"), "mail.example.org", "not among its dNSName"),
    # wildcards: the whole leftmost label, one label, never just below a single one
    (dns("*.example.org"), "mail.example.org", None),
    (dns("*.EXAMPLE.org"), "mail.example.org", None),
    (dns("*.example.org"), "xn--bcher-kva.example.org", None),
    (dns("*.example.org"), "example.org", "not among its dNSName"),
    (dns("*.example.org"), "a.mail.example.org", "not among its dNSName"),
    (dns("*.org"), "example.org", "not among its dNSName"),
    (dns("*."), "example", "not among its dNSName"),
    (dns("*"), "localhost", "not among its dNSName"),
    (dns("*.*.example.org"), "a.b.example.org", "not among its dNSName"),
    (dns("mail.*.org"), "mail.example.org", "not among its dNSName"),
    (dns("m*.example.org"), "mail.example.org", "not among its dNSName"),
    (dns("*l.example.org"), "mail.example.org", "not among its dNSName"),
    (dns("**.example.org"), "mail.example.org", "not among its dNSName"),
    (dns("xn--*.example.org"), "xn--bcher-kva.example.org", "not among its dNSName"),
    (dns("under_score.example.org"), "under_score.example.org", "neither an address nor a name of letters"),
    # addresses: iPAddress alone
    (ips("192.0.2.1"), "192.0.2.1", None),
    (ips("2001:db8::1"), "2001:db8::1", None),
    (ips("2001:db8::1"), "2001:DB8:0:0::1", None),
    (ips("fe80::1"), "fe80::1%1", None),
    (ips("192.0.2.1") + dns("mail.example.org"), "mail.example.org", None),
    (ips("192.0.2.2"), "192.0.2.1", "not among its iPAddress"),
    (ips("::ffff:192.0.2.1"), "192.0.2.1", "not among its iPAddress"),
    (dns("192.0.2.1"), "192.0.2.1", "not among its iPAddress"),
    (dns("*.0.2.1"), "192.0.2.1", "not among its iPAddress"),
    (dns("mail.example.org"), "192.0.2.1", "not among its iPAddress"),
    (ips("192.0.2.1"), "mail.example.org", "not among its dNSName"),
    ([x509.UniformResourceIdentifier("https://mail.example.org/")], "mail.example.org", "not among its dNSName"),
    ([x509.RFC822Name("mail.example.org")], "mail.example.org", "not among its dNSName"),
    ([x509.DirectoryName(dn("mail.example.org"))], "mail.example.org", "not among its dNSName"),
    # the common name is never looked at
    (None, "leaf", "no subjectAltName"),
    (dns("other.example.org"), "leaf", "not among its dNSName"),
    # hosts that no certificate can name
    (dns("mail.example.org"), "mail..example.org", "neither an address nor a name of letters"),
    (dns("mail.example.org"), "*.example.org", "neither an address nor a name of letters"),
    (dns("*.example.org"), "-a.example.org", "neither an address nor a name of letters"),
    (dns("mail.example.org"), "192.0.2.256", "neither an address nor a name of letters"),
    (dns("mail.example.org"), ".".join(["a" * 63] * 4), "neither an address nor a name of letters"),
    (dns("a" * 64 + ".example.org"), "a" * 64 + ".example.org", "neither an address nor a name of letters"),
    (dns("mail.example.org"), "b\u00fccher.example", "neither an address nor a name of letters"),
]


@pytest.mark.parametrize("names, host, reason", NAMES, ids=lambda v: v if isinstance(v, str) else None)
def test_names(tmp_path, names, host, reason):
    anchors, chain = chain_of(LEAF.but(names=names))
    check(verify(tmp_path, anchors, chain, host), reason)


RAW_NAMES = [
    ("a NUL in a name", san_of((0x82, b"mail.example.org\0.evil.example")), "malformed"),
    ("a NUL behind a good name", san_of((0x82, HOST.encode()), (0x82, b"a\0b")), "malformed"),
    ("bytes that are not ASCII", san_of((0x82, b"m\xe4il.example.org"), (0x82, HOST.encode())), "malformed"),
    ("an empty name", san_of((0x82, b""), (0x82, HOST.encode())), "malformed"),
    ("an empty list", set_value("2.5.29.17", b"\x30\x00"), "malformed"),
    ("no list", set_value("2.5.29.17", b""), "malformed"),
    ("something behind the list", set_value("2.5.29.17", tlv(0x30, tlv(0x82, HOST.encode())) + b"\0\0"), "malformed"),
    ("an unknown kind of name", san_of((0x82, HOST.encode()), (0x89, b"x")), "malformed"),
    ("an address of five bytes", san_of((0x82, HOST.encode()), (0x87, b"\1\2\3\4\5")), "malformed"),
    ("an address with a mask", san_of((0x82, HOST.encode()), (0x87, b"\1\2\3\4\xff\xff\xff\xff")), "malformed"),
    ("a blank in a name", san_of((0x82, b" " + HOST.encode())), "malformed"),
    ("an otherName beside", san_of((0xA0, encode_oid("1.2.3") + tlv(0xA0, b"\x05\x00")), (0x82, HOST.encode())), None),
]


@pytest.mark.parametrize("what, patch, reason", RAW_NAMES, ids=[r[0] for r in RAW_NAMES])
def test_raw_names(tmp_path, what, patch, reason):
    anchors, chain = chain_of(LEAF.but(patch=patch))
    check(verify(tmp_path, anchors, chain), reason)


# ---- the leaf ----

NOT_PROCESSED = "a critical extension that this program does not process"

LEAVES = [
    ("a good one", LEAF, None),
    ("RSA 2048", LEAF.but(key="rsa2048/leaf"), None),
    ("RSA 3072", LEAF.but(key="rsa3072/leaf"), None),
    ("RSA 4096", LEAF.but(key="rsa4096/leaf"), None),
    ("P-384", LEAF.but(key="p384/leaf"), None),
    ("P-521", LEAF.but(key="p521/leaf"), None),
    ("SHA-384", LEAF.but(digest=hashes.SHA384()), None),
    ("SHA-512", LEAF.but(digest=hashes.SHA512()), None),
    ("no extKeyUsage", LEAF.but(eku=None), None),
    ("no keyUsage", LEAF.but(usage=None), None),
    ("serverAuth among others", LEAF.but(eku=[EKU.CLIENT_AUTH, EKU.SERVER_AUTH]), None),
    ("basicConstraints that say no CA", LEAF.but(ca=False), None),
    ("a critical subjectAltName", LEAF.but(san_critical=True), None),
    ("an empty subject, critical names", LEAF.but(subject=x509.Name([]), san_critical=True), None),
    ("an unknown extension", LEAF.but(extra=(unknown(False),)), None),
    ("a critical extKeyUsage", LEAF.but(eku_critical=True), None),
    ("anyExtendedKeyUsage alone", LEAF.but(eku=[EKU.ANY_EXTENDED_KEY_USAGE]), None),
    ("anyExtendedKeyUsage too", LEAF.but(eku=[EKU.ANY_EXTENDED_KEY_USAGE, EKU.SERVER_AUTH]), None),
    ("critical policies", LEAF.but(extra=(unknown(True, "2.5.29.32", tlv(0x30, tlv(0x30, encode_oid("2.5.29.32.0")))),)), None),

    # what RFC 5280 asks of the CA that issued it, and no reason to refuse what it says
    ("keyCertSign without being a CA", LEAF.but(usage=usage(digital_signature=True, key_cert_sign=True)), None),
    ("name constraints", LEAF.but(constraints=constraints(permit=dns("example.net"), critical=True)), None),
    ("an empty subject, names not critical", LEAF.but(subject=x509.Name([])), None),
    ("a CA", LEAF.but(ca=True, path_len=0), None),      # "it can be a CA certificate" (4.2.1.9)
    ("a path length", LEAF.but(ca=False, patch=set_value("2.5.29.19", b"\x30\x03\x02\x01\x00", True)), None),
    ("no authorityKeyIdentifier", LEAF.but(aki=None), None),
    ("no subjectKeyIdentifier", LEAF.but(ski=None), None),
    ("an authorityKeyIdentifier without the identifier", LEAF.but(aki=x509.AuthorityKeyIdentifier(
        None, [x509.DirectoryName(dn("Root CA"))], 1)), None),
    ("another authorityKeyIdentifier", LEAF.but(aki=x509.AuthorityKeyIdentifier(b"x" * 20, None, None)), None),
    ("a serial of 21 bytes", LEAF.but(patch=set_field(SERIAL, tlv(2, b"\x01" + bytes(20)))), None),
    ("a serial of zero", LEAF.but(patch=set_field(SERIAL, tlv(2, b"\0"))), None),
    ("a negative serial", LEAF.but(patch=set_field(SERIAL, tlv(2, b"\x80"))), None),
    ("GeneralizedTime before 2050", LEAF.but(patch=validity(utc("250101000000Z"), generalized("20301231235959Z"))), None),
    ("a malformed authorityInfoAccess", LEAF.but(extra=(unknown(False, "1.3.6.1.5.5.7.1.1"),)), None),
    ("until 9999", LEAF.but(end=datetime.datetime(9999, 12, 31, 23, 59, 59)), None),

    ("Ed25519", LEAF.but(key="ed25519/leaf", usage=None), "neither RSA nor EC"),
    ("P-224", LEAF.but(key="p224/leaf"), "not P-256"),
    ("secp256k1", LEAF.but(key="k256/leaf"), "not P-256"),
    ("RSA 1024", LEAF.but(key="rsa1024/leaf"), "less than 2048 bits"),
    ("RSA 2040", LEAF.but(key="rsa2040/leaf"), "less than 2048 bits"),
    ("RSA 2056", LEAF.but(key="rsa2056/leaf"), None),
    ("RSA 2050", LEAF.but(key="rsa2050/leaf"), "not a multiple of 8"),
    ("RSA 4104", LEAF.but(key="rsa4104/leaf"), "longer than 4096"),
    ("expired", LEAF.but(end=NOW - DAY), "it has expired"),
    ("not yet valid", LEAF.but(begin=NOW + DAY), "not valid yet"),
    ("clientAuth alone", LEAF.but(eku=[EKU.CLIENT_AUTH]), "does not allow it to be a server's"),
    ("clientAuth alone, critical", LEAF.but(eku=[EKU.CLIENT_AUTH], eku_critical=True), "does not allow it to be a server's"),
    ("keyEncipherment alone", LEAF.but(key="rsa2048/leaf", usage=usage(key_encipherment=True)), "does not allow signatures"),
    ("an unknown critical extension", LEAF.but(extra=(unknown(True),)), NOT_PROCESSED),
    ("a precertificate's poison", LEAF.but(extra=((x509.PrecertPoison(), True),)), NOT_PROCESSED),
    ("a serial that is not minimal", LEAF.but(patch=set_field(SERIAL, tlv(2, b"\0\1"))), "serial number is malformed"),
    ("SHA-224", LEAF.but(digest=hashes.SHA224()), "too weak or not supported"),
    ("policyConstraints", LEAF.but(extra=((x509.PolicyConstraints(0, None), False),)), "policyConstraints"),
    ("a critical inhibitAnyPolicy", LEAF.but(extra=((x509.InhibitAnyPolicy(0), True),)), NOT_PROCESSED),

    ("version 1", LEAF.but(patch=version(1)), "no subjectAltName"),
    ("version 2", LEAF.but(patch=version(2)), "no subjectAltName"),
    ("version 1 with extensions", LEAF.but(patch=on_fields(lambda f: f.pop(0))), "its version does not allow"),
    ("version 1 written out", LEAF.but(patch=set_field(0, tlv(0xA0, tlv(2, b"\0")))), "its version"),
    ("version 4", LEAF.but(patch=set_field(0, tlv(0xA0, tlv(2, b"\3")))), "its version"),
    ("subjectAltName twice", LEAF.but(patch=duplicate("2.5.29.17")), "the same extension twice"),
    ("an unknown extension twice", LEAF.but(extra=(unknown(False),), patch=duplicate("1.3.6.1.4.1.99999.1")),
     "the same extension twice"),
    ("a critical authorityKeyIdentifier", LEAF.but(patch=make_critical("2.5.29.35")), NOT_PROCESSED),
    ("a critical subjectKeyIdentifier", LEAF.but(patch=make_critical("2.5.29.14")), NOT_PROCESSED),
    ("a critical list of CRLs", LEAF.but(extra=(unknown(True, "2.5.29.31"),)), NOT_PROCESSED),
    ("a critical authorityInfoAccess", LEAF.but(extra=(unknown(True, "1.3.6.1.5.5.7.1.1"),)), NOT_PROCESSED),
    ("a malformed extKeyUsage", LEAF.but(patch=set_value("2.5.29.37", b"\x30\x00")), "extKeyUsage is malformed"),
    ("a malformed keyUsage", LEAF.but(patch=set_value("2.5.29.15", b"\x03\x01\x00")), "keyUsage is malformed"),
    ("a keyUsage without a bit", LEAF.but(patch=set_value("2.5.29.15", b"\x03\x02\x00\x00")), "does not allow signatures"),
    ("a boolean that is neither", LEAF.but(patch=on_extensions(
        lambda e: e.append(tlv(0x30, encode_oid("1.2.3.4") + tlv(1, b"\x01") + tlv(4, b""))))), "extensions are malformed"),
    ("no extension in the list", LEAF.but(patch=on_extensions(lambda e: e.clear())), "extensions are malformed"),
    ("64 extensions", LEAF.but(extra=many(64 - 5)), None),
    ("65 extensions", LEAF.but(extra=many(65 - 5)), "more extensions than this program reads"),
    ("a unique identifier", LEAF.but(patch=on_fields(lambda f: f.insert(-1, tlv(0x81, b"\0\1")))), None),
    ("a unique identifier in version 1", LEAF.but(patch=lambda c: on_fields(lambda f: f.append(tlv(0x81, b"\0\1")))(version(1)(c))),
     "unique identifiers"),
    ("another field", LEAF.but(patch=on_fields(lambda f: f.append(tlv(0x84, b"\0")))), "more fields"),
    ("UTCTime without seconds", LEAF.but(patch=validity(utc("2501010000Z"), utc("301231235959Z"))), "dates are malformed"),
    ("UTCTime with an offset", LEAF.but(patch=validity(utc("250101000000+0000"), utc("301231235959Z"))), "dates are malformed"),
    ("GeneralizedTime with a fraction", LEAF.but(patch=validity(utc("250101000000Z"), generalized("20501231235959.5Z"))),
     "dates are malformed"),
    ("the 30th of February", LEAF.but(patch=validity(utc("240230000000Z"), utc("301231235959Z"))), "dates are malformed"),
    ("two algorithms", LEAF.but(patch=outside(other_outer_algorithm)), "two different signature algorithms"),
    ("a fourth part", LEAF.but(patch=outside(drop_tail)), "signature is malformed"),
    ("a length that is not minimal", LEAF.but(patch=long_form_length), "not a well-formed certificate"),
    ("a byte behind the certificate", LEAF.but(patch=trailing_byte), "not a well-formed certificate"),
    ("an RSA key with e = 1", LEAF.but(patch=spki_of(RSA_ALGORITHM, rsa_bits((1 << 2047) + 1, 1))), "exponent"),
    ("an RSA key with an even e", LEAF.but(patch=spki_of(RSA_ALGORITHM, rsa_bits((1 << 2047) + 1, 65536))), "exponent"),
    ("an RSA key with an even n", LEAF.but(patch=spki_of(RSA_ALGORITHM, rsa_bits(1 << 2047, 65537))), "even"),
    ("an RSA key with two numbers too many", LEAF.but(patch=spki_of(RSA_ALGORITHM, tlv(0x30, b"\2\1\1" * 4))), "RSA key is malformed"),
    ("an EC key with explicit parameters", LEAF.but(patch=spki_of(EC_ALGORITHM + tlv(0x30, b""), b"\4" * 65)), "explicit parameters"),
    ("an EC key that is compressed", LEAF.but(patch=lambda c: spki_of(EC_ALGORITHM + P256, point(compressed=True))(c)),
     "uncompressed point"),
    ("an EC key of another length", LEAF.but(patch=lambda c: spki_of(EC_ALGORITHM + P256, point() + b"\0")(c)), "uncompressed point"),
]


@pytest.mark.parametrize("what, leaf, reason", LEAVES, ids=[r[0] for r in LEAVES])
def test_leaf(tmp_path, what, leaf, reason):
    anchors, chain = chain_of(leaf)
    check(verify(tmp_path, anchors, chain), reason)


def test_wrong_signature(tmp_path):
    anchors, chain = chain_of(LEAF.but(patch=outside(flip_signature)))
    check(verify(tmp_path, anchors, chain), "a signature on the path is wrong")


def ecdsa_value(change):
    """A patch of the ECDSA signature's bytes."""
    def on(parts):
        parts[2] = tlv(3, b"\0" + change(content(parts[2])[1:]))
    return outside(on)


def numbers(signature):
    return [content(n) for n in split(content(signature))]


ECDSA = [
    ("as it was", lambda s: s, True),
    ("a byte behind it", lambda s: s + b"\0", False),
    ("an element behind it", lambda s: s + b"\x05\x00", False),
    ("a third number", lambda s: tlv(0x30, content(s) + b"\2\1\1"), False),
    ("a number with a zero in front", lambda s: tlv(0x30, b"".join(tlv(2, b"\0" + n) for n in numbers(s))), False),
    ("a negative number", lambda s: tlv(0x30, tlv(2, b"\xff") + tlv(2, numbers(s)[1])), False),
    ("r is 0", lambda s: tlv(0x30, tlv(2, b"\0") + tlv(2, numbers(s)[1])), False),
    ("s is 0", lambda s: tlv(0x30, tlv(2, numbers(s)[0]) + tlv(2, b"\0")), False),
    ("r and s are 0", lambda s: tlv(0x30, b"\2\1\0\2\1\0"), False),
    ("r and s swapped", lambda s: tlv(0x30, b"".join(tlv(2, n) for n in numbers(s)[::-1])), False),
    ("a long length", lambda s: b"\x30\x81" + bytes([len(content(s))]) + content(s), False),
    ("nothing", lambda s: b"", False),
    ("very long numbers", lambda s: tlv(0x30, tlv(2, b"\1" * 120) * 2), False),
]


@pytest.mark.parametrize("what, change, good", ECDSA, ids=[e[0] for e in ECDSA])
def test_form_of_an_ecdsa_signature(tmp_path, what, change, good):
    anchors, chain = chain_of(LEAF.but(patch=ecdsa_value(change)))
    check(verify(tmp_path, anchors, chain), None if good else "a signature on the path is wrong")


@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda d: d.name)
@pytest.mark.parametrize("kind", ["rsa2048", "rsa3072", "rsa4096", "p256", "p384", "p521"])
def test_each_signature(tmp_path, kind, digest):
    """Each algorithm verifies, and not when one bit of what is signed or of the signature is another."""
    root = ROOTCA.but(key=f"{kind}/root")

    def flip_signed(parts):
        assert HOST.encode() in parts[0]
        parts[0] = parts[0].replace(HOST.encode(), b"nail" + HOST.encode()[4:])

    check(verify(tmp_path, [make(root)], [make(LEAF.but(digest=digest), root)]), None)
    for change in (flip_signature, flip_signed):
        leaf = LEAF.but(digest=digest, names=dns(HOST, "nail.example.org"), patch=outside(change))
        out = verify(tmp_path, [make(root)], [make(leaf, root)], "nail.example.org")
        check(out, "another key than the one that signed")


@pytest.mark.parametrize("form", ["as it should be", "without NULL", "no padding", "type 2", "short padding", "garbage behind", "another hash's name"])
def test_form_of_an_rsa_signature(tmp_path, form):
    """The signature opens to the padded hash (RFC 8017 lets the NULL be absent), and to nothing that only resembles it."""
    root = ROOTCA.but(key="rsa2048/root")
    private = key(root.key).private_numbers()
    n, d = private.public_numbers.n, private.d

    def sign(tbs):
        value = hashlib.sha256(tbs).digest()
        info = bytes.fromhex("3031300d060960864801650304020105000420") + value
        if form in ("as it should be", "without NULL"):
            if form == "without NULL":
                info = bytes.fromhex("302f300b0609608648016503040201" "0420") + value
            block = b"\0\1" + b"\xff" * (256 - 3 - len(info)) + b"\0" + info
        elif form == "no padding":
            block = bytes(256 - 32) + value
        elif form == "type 2":
            block = b"\0\2" + b"\xff" * (256 - 3 - len(info)) + b"\0" + info
        elif form == "short padding":
            block = b"\0\1" + b"\xff" * 4 + b"\0" + info + bytes(256 - 7 - len(info))
        elif form == "garbage behind":
            block = b"\0\1" + b"\xff" * 100 + b"\0" + info + b"x" * (256 - 103 - len(info))
        else:
            info = bytes.fromhex("3041300d060960864801650304020305000420") + value
            block = b"\0\1" + b"\xff" * (256 - 3 - len(info)) + b"\0" + info
        return pow(int.from_bytes(block, "big"), d, n).to_bytes(256, "big")

    def resigned(parts):
        parts[2] = tlv(3, b"\0" + sign(parts[0]))

    leaf = make(LEAF.but(patch=outside(resigned)), root)
    good = form in ("as it should be", "without NULL")
    check(verify(tmp_path, [make(root)], [leaf]), None if good else "another key than the one that signed")


def off_curve_point(p, multiple, order=641):
    """
    A multiple of a point that has this small order on y^2 = x^3 - 3x - 2, a curve with a node whose points are numbers
    modulo p, multiplied. P-256 differs from it in the last term alone, which no formula of addition contains.
    """
    root = pow(-3, (p + 1) // 4, p)
    u = pow(pow(5, (p - 1) // order, p), multiple, p)
    t = root * (u + 1) * pow(u - 1, -1, p) % p
    return (t * t + 2) % p, t * (t * t + 3) % p


def test_point_that_is_not_on_the_curve(tmp_path):
    """
    Under a CA's key of small order off the curve anybody can sign: r = x(aG + Q) and s = h/a fit where r/s is 1 modulo the
    order. Only the check that the key is a point of P-256 stands against it.
    """
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    x, y = off_curve_point(p, 1)
    assert (x**3 - 3 * x - 2 - y * y) % p == 0

    def forge(parts):
        h = int.from_bytes(hashlib.sha256(parts[0]).digest(), "big") % n
        for a in range(1, 20000):
            g = ec.derive_private_key(a, ec.SECP256R1()).public_key().public_numbers()
            slope = (g.y - y) * pow(g.x - x, -1, p) % p
            r, s = (slope * slope - g.x - x) % p % n, h * pow(a, -1, n) % n
            if r * pow(s, -1, n) % n % 641 == 1:
                pair = b"".join(tlv(2, v.to_bytes(v.bit_length() // 8 + 1, "big")) for v in (r, s))
                parts[2] = tlv(3, b"\0" + tlv(0x30, pair))
                return
        raise AssertionError("no forgery was found")

    middle = make(CA.but(patch=spki_of(EC_ALGORITHM + P256, b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big"))), ROOTCA)
    for serial in range(4):     # each fits with some probability, where the check is missing
        leaf = make(LEAF.but(serial=serial + 1, patch=outside(forge)), CA)
        check(verify(tmp_path, [make(ROOTCA)], [leaf, middle]), "a signature on the path is wrong")


# Signatures that pyca no longer makes: the algorithm's name alone must be enough to refuse.
WEAK = {
    "RSA with SHA-1": "1.2.840.113549.1.1.5", "RSA with MD5": "1.2.840.113549.1.1.4",
    "RSA with MD2": "1.2.840.113549.1.1.2", "RSA-PSS": "1.2.840.113549.1.1.10", "ECDSA with SHA-1": "1.2.840.10045.4.1",
    "Ed25519": "1.3.101.112", "unknown": "1.3.6.1.4.1.99999.2",
}


@pytest.mark.parametrize("oid", WEAK.values(), ids=WEAK.keys())
@pytest.mark.parametrize("who", ["leaf", "intermediate"])
def test_weak_signature(tmp_path, oid, who):
    algorithm = tlv(0x30, encode_oid(oid) + (b"\x05\x00" if oid.startswith("1.2.840.113549") else b""))

    def patch(cert):
        tbs, _, signature = split(content(cert))
        fields = split(content(tbs))
        fields[2] = algorithm
        return tlv(0x30, tlv(0x30, b"".join(fields)) + algorithm + signature)

    def broken(spec, issuer):
        return patch(make(spec, issuer))

    leaf = broken(LEAF, CA) if who == "leaf" else make(LEAF, CA)
    middle = broken(CA, ROOTCA) if who == "intermediate" else make(CA, ROOTCA)
    check(verify(tmp_path, [make(ROOTCA)], [leaf, middle]), "too weak or not supported")


def test_real_signatures(tmp_path):
    """RSA-PSS and Ed25519 as they really are."""
    root = ROOTCA.but(key="rsa2048/root")
    if "rsa_padding" in inspect.signature(x509.CertificateBuilder.sign).parameters:  # from cryptography 41 on
        check(verify(tmp_path, [make(root)], [make(LEAF.but(pss=True), root)]), "too weak or not supported")
    root = ROOTCA.but(key="ed25519/root")
    check(verify(tmp_path, [make(root)], [make(LEAF, root)]), "too weak or not supported")


# ---- intermediates and anchors ----

MIDDLES = [
    ("a good one", CA, None),
    ("RSA 2048", CA.but(key="rsa2048/middle"), None),
    ("P-521", CA.but(key="p521/middle"), None),
    ("no keyUsage", CA.but(usage=None), None),
    ("an extKeyUsage with serverAuth", CA.but(eku=[EKU.SERVER_AUTH]), None),
    ("an extKeyUsage of any kind", CA.but(eku=[EKU.ANY_EXTENDED_KEY_USAGE]), None),
    ("a path length of 0", CA.but(path_len=0), None),
    ("RSA 1024", CA.but(key="rsa1024/middle"), "less than 2048 bits"),
    ("expired", CA.but(end=NOW - DAY), "it has expired"),
    ("not yet valid", CA.but(begin=NOW + DAY), "not valid yet"),
    ("no basicConstraints", CA.but(ca=None), "not a CA's"),
    ("basicConstraints that say no CA", CA.but(ca=False), "not a CA's"),
    ("basicConstraints that are not critical", CA.but(basic_critical=False), None),
    ("keyUsage without keyCertSign", CA.but(usage=usage(digital_signature=True, crl_sign=True)), "does not allow it to sign"),
    ("extKeyUsage for clients", CA.but(eku=[EKU.CLIENT_AUTH]), "vouch for servers"),
    ("a critical extKeyUsage", CA.but(eku=[EKU.SERVER_AUTH], eku_critical=True), None),
    ("a critical extKeyUsage for clients", CA.but(eku=[EKU.CLIENT_AUTH], eku_critical=True), "vouch for servers"),
    ("critical name constraints", CA.but(constraints=constraints(permit=dns("example.org"), critical=True)), None),
    ("an unknown critical extension", CA.but(extra=(unknown(True),)), NOT_PROCESSED),
    ("no authorityKeyIdentifier", CA.but(aki=None), None),
    ("no subjectKeyIdentifier", CA.but(ski=None), None),
    ("version 1", CA.but(patch=version(1)), "not a CA's"),
    ("policyConstraints", CA.but(extra=((x509.PolicyConstraints(0, None), True),)), "policyConstraints"),
    ("a negative path length", CA.but(patch=set_value("2.5.29.19", b"\x30\x06\x01\x01\xff\x02\x01\xff", True)), "malformed"),
    ("a path length without being a CA", CA.but(patch=set_value("2.5.29.19", b"\x30\x03\x02\x01\x00", True)), "not a CA's"),
    ("basicConstraints twice", CA.but(patch=duplicate("2.5.29.19")), "twice"),
]


@pytest.mark.parametrize("what, middle, reason", MIDDLES, ids=[r[0] for r in MIDDLES])
def test_intermediate(tmp_path, what, middle, reason):
    anchors, chain = chain_of(middle=middle)
    out = verify(tmp_path, anchors, chain)
    check(out, reason)
    if reason:
        assert "the CA certificate of CN=Middle CA can't vouch for it" in out


ANCHORS = [
    ("a good one", ROOTCA, None),
    ("RSA 4096 with SHA-512", ROOTCA.but(key="rsa4096/root", digest=hashes.SHA512()), None),
    ("no keyUsage", ROOTCA.but(usage=None), None),
    ("no authorityKeyIdentifier", ROOTCA.but(aki=None), None),
    ("a path length of 1", ROOTCA.but(path_len=1), None),
    ("GeneralizedTime before 2050", ROOTCA.but(patch=validity(utc("250101000000Z"), generalized("20301231235959Z"))), None),
    ("a serial of zero", ROOTCA.but(patch=set_field(SERIAL, tlv(2, b"\0"))), None),
    ("a signature that is wrong", ROOTCA.but(patch=outside(flip_signature)), None),
    ("critical name constraints that allow it", ROOTCA.but(constraints=constraints(permit=dns("example.org"), critical=True)), None),
    ("critical name constraints that do not", ROOTCA.but(constraints=constraints(permit=dns("example.net"), critical=True)),
     "not permitted"),
    ("expired", ROOTCA.but(end=NOW - DAY), "it has expired"),
    ("not yet valid", ROOTCA.but(begin=NOW + DAY), "not valid yet"),
    ("no CA", ROOTCA.but(ca=False), "not a CA's"),
    ("no basicConstraints", ROOTCA.but(ca=None), None),
    ("basicConstraints that are not critical", ROOTCA.but(basic_critical=False), None),
    ("version 1", ROOTCA.but(patch=version(1)), None),
    ("version 2", ROOTCA.but(patch=version(2)), None),
    ("keyUsage without keyCertSign", ROOTCA.but(usage=usage(digital_signature=True)), None),
    ("extKeyUsage for clients", ROOTCA.but(eku=[EKU.CLIENT_AUTH]), None),
    ("RSA 1024", ROOTCA.but(key="rsa1024/root"), "less than 2048 bits"),
    ("an unknown critical extension", ROOTCA.but(extra=(unknown(True),)), None),
    ("policyConstraints", ROOTCA.but(extra=((x509.PolicyConstraints(0, None), True),)), None),
    ("basicConstraints twice", ROOTCA.but(patch=duplicate("2.5.29.19")), "twice"),
    ("a path length of 0", ROOTCA.but(path_len=0), "pathLenConstraint"),
    ("key identifiers that differ", ROOTCA.but(aki=x509.AuthorityKeyIdentifier(b"x" * 20, None, None)), None),
    ("no subjectKeyIdentifier", ROOTCA.but(ski=None), None),
]


@pytest.mark.parametrize("what, root, reason", ANCHORS, ids=[r[0] for r in ANCHORS])
def test_anchor(tmp_path, what, root, reason):
    anchors, chain = chain_of(root=root)
    out = verify(tmp_path, anchors, chain)
    check(out, reason)
    if reason and "permitted" not in reason:
        assert "the CA certificate of CN=Root CA can't vouch for it" in out


def system_roots():
    path = Path("/etc/ssl/certs/ca-certificates.crt")
    blocks = path.read_text().split("-----BEGIN CERTIFICATE-----")[1:] if path.exists() else []
    return [base64.b64decode(block.split("-----END")[0]) for block in blocks]


def test_roots_of_this_system(tmp_path):
    """Each unexpired one may vouch: a certificate in its name is refused for its signature alone."""
    roots = system_roots()
    if not roots:
        pytest.skip("this system has no bundle of trusted certificates")
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    refused = {}
    for root in roots:
        subject = split(content(split(content(root))[0]))[SUBJECT]
        leaf = LEAF.but(begin=now - DAY, end=now + DAY, patch=set_field(3, subject))
        out = verify(tmp_path, [root], [make(leaf, ROOTCA)], now=now)
        if "it has expired" not in out and "another key than the one that signed" not in out:
            refused[subject] = out
    assert not refused


# ---- a leaf that is its own anchor ----

OWN = [
    ("a plain one", LEAF, HOST, None),
    ("one that is a CA too", LEAF.but(ca=True), HOST, None),
    ("by address", LEAF.but(names=ips("127.0.0.1")), "127.0.0.1", None),
    ("without key identifiers", LEAF.but(aki=None, ski=None), HOST, None),
    ("expired", LEAF.but(end=NOW - DAY), HOST, "it has expired"),
    ("for another host", LEAF, "other.example.org", "not among its dNSName"),
    ("without names", LEAF.but(names=None), HOST, "no subjectAltName"),
    ("for clients", LEAF.but(eku=[EKU.CLIENT_AUTH]), HOST, "does not allow it to be a server's"),
    ("with a short key", LEAF.but(key="rsa1024/leaf"), HOST, "less than 2048"),
    ("of version 1", LEAF.but(patch=version(1)), HOST, "no subjectAltName"),
    ("that only signs certificates", LEAF.but(ca=True, usage=usage(key_cert_sign=True)), HOST, "does not allow signatures"),
]


@pytest.mark.parametrize("what, leaf, host, reason", OWN, ids=[r[0] for r in OWN])
def test_own_anchor(tmp_path, what, leaf, host, reason):
    cert = make(leaf)
    check(verify(tmp_path, [cert], [cert], host), reason)
    if reason is None:
        check(verify(tmp_path, [make(ROOTCA)], [cert], host), "self-signed and not among the trusted")


def test_own_anchor_is_this_one(tmp_path):
    """The same name and another key, or the same key and another certificate: not the one that is trusted."""
    leaf = LEAF.but(ca=False)
    check(verify(tmp_path, [make(leaf)], [make(leaf.but(key="p256/other"))]), "not a CA's")
    check(verify(tmp_path, [make(leaf)], [make(leaf.but(serial=7))]), "not a CA's")


def test_leaf_as_anchor_of_another(tmp_path):
    """One whose basicConstraints say that it is no CA's vouches for itself alone."""
    leaf = LEAF.but(ca=False)
    other = LEAF.but(cn=("other",), key="p256/other")
    check(verify(tmp_path, [make(leaf)], [make(other, leaf)]), "not a CA's")
    check(verify(tmp_path, [make(LEAF)], [make(other, LEAF)]), None)


def test_leaf_issued_by_ca_as_own_anchor(tmp_path):
    leaf = make(LEAF, CA)
    check(verify(tmp_path, [leaf], [leaf]), None)


def test_intermediate_as_anchor(tmp_path):
    check(verify(tmp_path, [make(CA, ROOTCA)], [make(LEAF, CA)]), None)


# ---- paths ----


def test_no_anchor(tmp_path):
    anchors, chain = chain_of()
    other = make(ROOTCA.but(cn=("Another Root",), key="p256/another"))
    check(verify(tmp_path, [other], chain), "the certificate of its issuer, CN=Root CA, is neither among")
    check(verify(tmp_path, [other], chain + anchors), "its root, CN=Root CA, is not among the trusted")


def test_missing_intermediate(tmp_path):
    anchors, chain = chain_of()
    check(verify(tmp_path, anchors, chain[:1]), "the certificate of its issuer, CN=Middle CA, is neither among")


def test_same_name_other_key(tmp_path):
    anchors, chain = chain_of()
    imposter = make(ROOTCA.but(key="p256/imposter"))
    check(verify(tmp_path, [imposter], chain), "another key")
    check(verify(tmp_path, [imposter] + anchors, chain), None)


def test_leaf_signs_leaf(tmp_path):
    below = LEAF.but(cn=("below",), key="p256/below")
    check(verify(tmp_path, [make(ROOTCA)], [make(below, LEAF), make(LEAF, ROOTCA)]), "not a CA's")


def test_any_order(tmp_path):
    specs = [CA.but(cn=(f"CA {i}",), key=f"p256/ca{i}") for i in range(4)]
    anchors = [make(ROOTCA)]
    chain = [make(LEAF, specs[0])] + [make(a, b) for a, b in zip(specs, specs[1:] + [ROOTCA])]
    check(verify(tmp_path, anchors, chain), None)
    check(verify(tmp_path, anchors, chain[:1] + chain[:0:-1]), None)
    check(verify(tmp_path, anchors, [chain[0], chain[3], chain[1], chain[4], chain[2]]), None)


def test_unrelated_certificates(tmp_path):
    anchors, chain = chain_of()
    strangers = [make(CA.but(cn=(f"Stranger {i}",), key=f"p256/s{i}")) for i in range(6)]
    check(verify(tmp_path, anchors, chain[:1] + strangers[:3] + chain[1:] + strangers[3:] + anchors), None)


def test_same_certificate_again(tmp_path):
    anchors, chain = chain_of()
    check(verify(tmp_path, anchors * 3, chain + chain + anchors + anchors), None)


def test_leaf_comes_first(tmp_path):
    anchors, chain = chain_of()
    check(verify(tmp_path, anchors, chain[::-1]), "does not allow signatures")


def test_malformed_extra_is_left_out(tmp_path):
    anchors, chain = chain_of()
    check(verify(tmp_path, anchors, chain + [b"\x30\x03\x02\x01\x00"]), None)


CROSS = CA.but(cn=("Cross CA",), key="p256/cross")
DEAD = ROOTCA.but(cn=("Dead Root",), key="p256/dead", end=NOW - DAY)
DETOURS = [
    ("an expired cross-sign", CROSS.but(end=NOW - DAY, serial=2), ROOTCA),
    ("one below an expired root", CROSS.but(serial=2), DEAD),
    ("one below an unknown root", CROSS.but(serial=2), ROOTCA.but(cn=("Unknown",), key="p256/unknown")),
    ("one that is no CA", CROSS.but(ca=False, serial=2), ROOTCA),
    ("one for clients", CROSS.but(eku=[EKU.CLIENT_AUTH], serial=2), ROOTCA),
    ("one with name constraints", CROSS.but(constraints=constraints(permit=dns("example.net")), serial=2), ROOTCA),
    ("one with a wrong signature", CROSS.but(patch=outside(flip_signature), serial=2), ROOTCA),
    ("one of another key", CROSS.but(key="p256/crossed", serial=2), ROOTCA),
    ("a loop", CROSS.but(serial=2), CROSS),
]


@pytest.mark.parametrize("what, detour, below", DETOURS, ids=[d[0] for d in DETOURS])
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_another_path(tmp_path, what, detour, below, first):
    """One path leads nowhere: the other one is found, wherever it stands."""
    anchors = [make(ROOTCA), make(DEAD)]
    good, bad = make(CROSS, ROOTCA), make(detour, below)
    leaf = make(LEAF, CROSS)
    check(verify(tmp_path, anchors, [leaf] + ([bad, good] if first else [good, bad])), None)
    assert verify(tmp_path, anchors, [leaf, bad]) != ""


def test_too_many_paths_end(tmp_path):
    """A graph of cross-signed CAs without an end: refused, and soon."""
    specs = [CA.but(cn=(f"Mesh {i}",), key=f"p256/mesh{i}") for i in range(7)]
    chain = [make(LEAF, specs[0])] + [make(a, b) for a in specs for b in specs if a is not b]
    imposter = ROOTCA.but(cn=("Mesh 6",), key="p256/imposter")
    check(verify(tmp_path, [make(imposter)], chain), "no path was found within 128 signatures")


def test_imposters(tmp_path):
    """Certificates of the CA's name with another key: each costs one signature, and the right one is found."""
    imposters = [make(CA.but(key="p256/imposter", serial=i + 1), ROOTCA) for i in range(60)]
    anchors, chain = chain_of()
    check(verify(tmp_path, anchors, chain[:1] + imposters), "a signature on the path is wrong")
    check(verify(tmp_path, anchors, chain[:1] + imposters + chain[1:]), None)


def test_most_telling_reason(tmp_path):
    """Of two CAs of one name, the one that could have signed is told about."""
    imposter = make(CA.but(key="p256/imposter", serial=2), ROOTCA)
    anchors, chain = chain_of(middle=CA.but(end=NOW - DAY))
    for order in ([imposter, chain[1]], [chain[1], imposter]):
        check(verify(tmp_path, anchors, chain[:1] + order), "it has expired")


def test_issuer_without_name(tmp_path):
    root = ROOTCA.but(subject=x509.Name([]))
    check(verify(tmp_path, [make(root)], [make(LEAF, root)]), "its issuer has no name")


def test_too_many_certificates(tmp_path):
    anchors, chain = chain_of()
    strangers = [make(CA.but(cn=("Stranger",), key="p256/s0", serial=i + 1)) for i in range(63)]
    check(verify(tmp_path, anchors, chain + strangers[:62]), None)
    check(verify(tmp_path, anchors, chain + strangers), "more certificates than this program reads")


def test_path_too_long(tmp_path):
    specs = [CA.but(cn=(f"CA {i}",), key=f"p256/ca{i}") for i in range(8)]

    def run(n):
        used = specs[:n]
        chain = [make(LEAF, used[0])] + [make(a, b) for a, b in zip(used, used[1:] + [ROOTCA])]
        return verify(tmp_path, [make(ROOTCA)], chain)
    check(run(7), None)
    check(run(8), "more than 8 certificates")


@pytest.mark.parametrize("lengths, reason", [
    ((0, None, None), None), ((0, 1, None), None), ((0, 1, 2), None), ((5, 5, 5), None),
    ((None, 0, None), "pathLenConstraint"), ((0, 0, None), "pathLenConstraint"), ((None, None, 1), "pathLenConstraint"),
])
def test_path_length(tmp_path, lengths, reason):
    low, high, top = lengths
    upper = CA.but(cn=("Upper CA",), key="p256/upper", path_len=high)
    lower = CA.but(cn=("Lower CA",), key="p256/lower", path_len=low)
    root = ROOTCA.but(path_len=top)
    check(verify(tmp_path, [make(root)], [make(LEAF, lower), make(lower, upper), make(upper, root)]), reason)


NEW_CA = CA.but(key="p256/newer")


def test_self_issued_does_not_count(tmp_path):
    """A CA that signs its own new key is one CA, for its length and for constraints (RFC 5280, 6.1.4)."""
    upper = CA.but(path_len=0, constraints=constraints(permit=directory(dn("leaf")), critical=True))
    chain = [make(LEAF, NEW_CA), make(NEW_CA, upper), make(upper, ROOTCA)]
    check(verify(tmp_path, [make(ROOTCA)], chain), None)
    check(verify(tmp_path, [make(ROOTCA.but(path_len=0))], chain), "pathLenConstraint")
    lower = CA.but(cn=("Lower CA",), key="p256/lower")
    chain = [make(LEAF, lower), make(lower, NEW_CA), make(NEW_CA, CA.but(path_len=0)), make(CA.but(path_len=0), ROOTCA)]
    check(verify(tmp_path, [make(ROOTCA)], chain), "pathLenConstraint")


def test_self_issued_leaf_is_constrained(tmp_path):
    """The last certificate meets the constraints, whoever issued it."""
    leaf = LEAF.but(cn=CA.cn)
    for permit, reason in (("example.org", None), ("example.net", "not permitted")):
        anchors, chain = chain_of(leaf, CA.but(constraints=constraints(permit=dns(permit))))
        check(verify(tmp_path, anchors, chain), reason)


# ---- name constraints ----


def net(*networks):
    return [x509.IPAddress(ipaddress.ip_network(n)) for n in networks]


def directory(*names):
    return [x509.DirectoryName(n) for n in names]


NOT_BELOW = "its subject is not, byte for byte, below a directory name that its CA's name constraints permit"
NOT_COMPARED = "its CA's name constraints exclude directory names, which this program does not compare"
CONSTRAINTS = [
    # permit, exclude, the leaf's names, host, reason
    (dns("example.org"), None, dns("mail.example.org"), HOST, None),
    (dns("mail.example.org"), None, dns("mail.example.org"), HOST, None),
    (dns("EXAMPLE.ORG"), None, dns("mail.example.org"), HOST, None),
    (dns("example.net", "example.org"), None, dns("mail.example.org"), HOST, None),
    (dns(""), None, dns("mail.example.org"), HOST, None),
    (dns("example.org"), None, dns("mail.example.org", "www.example.org"), HOST, None),
    (dns("example.org"), None, dns("mail.example.org", "www.example.net"), HOST, "not permitted"),
    (dns("example.net"), None, dns("mail.example.org"), HOST, "not permitted"),
    (dns("ample.org"), None, dns("mail.example.org"), HOST, "not permitted"),
    (dns("a.mail.example.org"), None, dns("mail.example.org"), HOST, "not permitted"),
    # constraints that are no host names: nothing is permitted, all is excluded
    (dns(".example.org"), None, dns("mail.example.org"), HOST, "not permitted"),
    (dns("example.org."), None, dns("mail.example.org"), HOST, "not permitted"),
    (None, dns(".example.net"), dns("mail.example.org"), HOST, "excluded"),
    (None, dns("example.net."), dns("mail.example.org"), HOST, "excluded"),
    (None, dns(".example.net"), ips("192.0.2.1"), "192.0.2.1", None),
    (dns("example.org"), dns("mail.example.org"), dns("mail.example.org"), HOST, "excluded"),
    (None, dns("example.org"), dns("mail.example.org"), HOST, "excluded"),
    (None, dns("EXAMPLE.org"), dns("mail.example.org"), HOST, "excluded"),
    (None, dns(""), dns("mail.example.org"), HOST, "excluded"),
    (None, dns("example.net"), dns("mail.example.org"), HOST, None),
    (None, dns("ample.org"), dns("mail.example.org"), HOST, None),
    (None, dns("example.net"), dns("mail.example.org", "www.example.net"), HOST, "excluded"),
    # wildcards
    (dns("example.org"), None, dns("*.example.org"), HOST, None),
    (dns("mail.example.org"), None, dns("*.example.org"), HOST, "not permitted"),
    (None, dns("mail.example.org"), dns("*.example.org"), HOST, "excluded"),
    (None, dns("other.example.org"), dns("*.example.org"), HOST, "excluded"),
    (None, dns("a.other.example.org"), dns("*.example.org"), HOST, None),
    (None, dns("example.org"), dns("*.example.org"), HOST, "excluded"),
    # names that are none
    (dns("example.org"), None, dns("mail.example.org", "a b.example.org".replace(" ", "_")), HOST, "not permitted"),
    (None, dns("example.net"), dns("mail.example.org", "a_b.example.org"), HOST, "excluded"),
    # addresses
    (net("192.0.2.0/24"), None, ips("192.0.2.1"), "192.0.2.1", None),
    (net("192.0.2.0/24"), None, ips("198.51.100.1"), "198.51.100.1", "not permitted"),
    (net("2001:db8::/32"), None, ips("2001:db8::1"), "2001:db8::1", None),
    (net("192.0.2.0/24"), None, ips("2001:db8::1"), "2001:db8::1", "not permitted"),
    (net("0.0.0.0/0"), None, ips("192.0.2.1"), "192.0.2.1", None),
    (None, net("192.0.2.0/25"), ips("192.0.2.127"), "192.0.2.127", "excluded"),
    (None, net("192.0.2.0/25"), ips("192.0.2.128"), "192.0.2.128", None),
    (None, net("0.0.0.0/0"), dns("mail.example.org"), HOST, None),
    (None, net("::/0"), ips("192.0.2.1"), "192.0.2.1", None),
    (None, net("0.0.0.0/0"), ips("2001:db8::1"), "2001:db8::1", None),
    (net("192.0.2.0/24"), None, dns("mail.example.org"), HOST, None),
    (dns("example.org"), None, ips("192.0.2.1"), "192.0.2.1", None),
    # the subject's name, which begins with a permitted one, and is never proved to be none of the excluded ones
    (directory(dn("leaf")), None, dns(HOST), HOST, None),
    (directory(x509.Name([])), None, dns(HOST), HOST, None),
    (directory(dn("other"), dn("leaf")), None, dns(HOST), HOST, None),
    (directory(dn("other")), None, dns(HOST), HOST, NOT_BELOW),
    (directory(dn("lea")), None, dns(HOST), HOST, NOT_BELOW),
    (directory(dn("LEAF")), None, dns(HOST), HOST, NOT_BELOW),
    (directory(dn("leaf", "more")), None, dns(HOST), HOST, NOT_BELOW),
    (None, directory(dn("leaf")), dns(HOST), HOST, NOT_COMPARED),
    (None, directory(dn("other")), dns(HOST), HOST, NOT_COMPARED),
    (directory(dn("leaf")), None, dns(HOST) + directory(dn("other")), HOST, NOT_BELOW),
    (directory(dn("leaf")), None, dns(HOST) + directory(dn("leaf", "more")), HOST, None),
    # forms that are not compared: only where the leaf has one
    ([x509.RFC822Name("example.org")], None, dns(HOST), HOST, None),
    ([x509.RFC822Name("example.org")], None, dns(HOST) + [x509.RFC822Name("a@example.org")], HOST, "not permitted"),
    (None, [x509.UniformResourceIdentifier("example.net")], dns(HOST) + [x509.UniformResourceIdentifier("https://a/")], HOST,
     "excluded"),
]


@pytest.mark.parametrize("permit, exclude, names, host, reason", CONSTRAINTS)
@pytest.mark.parametrize("critical", [False, True], ids=["", "critical"])
@pytest.mark.parametrize("where", ["intermediate", "anchor"])
def test_constraints(tmp_path, permit, exclude, names, host, reason, where, critical):
    limits = constraints(permit, exclude, critical)
    leaf = LEAF.but(names=names)
    if where == "anchor":
        root = ROOTCA.but(constraints=limits)
        anchors, chain = [make(root)], [make(leaf, root)]
    else:
        anchors, chain = chain_of(leaf, CA.but(constraints=limits))
    check(verify(tmp_path, anchors, chain, host), reason)


@pytest.mark.parametrize("tag, reason", [(0xA0, "not permitted"), (0xA1, "excluded")], ids=["permitted", "excluded"])
@pytest.mark.parametrize("critical", [False, True], ids=["", "critical"])
@pytest.mark.parametrize("where", ["intermediate", "anchor"])
def test_constraint_with_an_asterisk(tmp_path, tag, reason, where, critical):
    """It is no host name: as a permitted name it permits nothing, as an excluded one it excludes all."""
    value = tlv(0x30, tlv(tag, tlv(0x30, tlv(0x82, b"*.example.org"))))
    changes = {"constraints": constraints(permit=dns("example.org")), "patch": set_value("2.5.29.30", value, critical)}
    if where == "anchor":
        root = ROOTCA.but(**changes)
        anchors, chain = [make(root)], [make(LEAF, root)]
    else:
        anchors, chain = chain_of(LEAF, CA.but(**changes))
    check(verify(tmp_path, anchors, chain), reason)


def test_constraints_on_subject_email(tmp_path):
    """A mail address in the subject counts as a name of that form, which is not compared."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf"),
                         x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@example.org")])
    limits = constraints(permit=[x509.RFC822Name("example.org")])
    anchors, chain = chain_of(LEAF.but(subject=subject), CA.but(constraints=limits))
    check(verify(tmp_path, anchors, chain), "not permitted")
    anchors, chain = chain_of(LEAF, CA.but(constraints=limits))
    check(verify(tmp_path, anchors, chain), None)


@pytest.mark.parametrize("limits", [constraints(permit=directory(dn("other"))), constraints(exclude=directory(dn("leaf")))])
def test_directory_constraints_on_an_empty_subject(tmp_path, limits):
    """A certificate without a subject has no directory name (RFC 5280, 6.1.3 b)."""
    leaf = LEAF.but(subject=x509.Name([]), san_critical=True)
    anchors, chain = chain_of(leaf, CA.but(constraints=limits))
    check(verify(tmp_path, anchors, chain), None)


def test_constraints_hold_further_down(tmp_path):
    upper = CA.but(cn=("Upper CA",), key="p256/upper", constraints=constraints(permit=dns("example.net")))
    chain = [make(LEAF, CA), make(CA, upper), make(upper, ROOTCA)]
    check(verify(tmp_path, [make(ROOTCA)], chain), "not permitted")


@pytest.mark.parametrize("upper, lower, reason", [
    (("a.example.org", HOST), (HOST,), None),
    (("a.example.org", HOST), ("a.example.org",), "not permitted"),
    (("a.example.org",), ("a.example.org", HOST), "not permitted"),
])
def test_constraints_narrow_one_another(tmp_path, upper, lower, reason):
    """A name must be within what each CA permits; no CA can widen what one above it said."""
    above = CA.but(cn=("Upper CA",), key="p256/upper", constraints=constraints(permit=dns(*upper), critical=True))
    below = CA.but(constraints=constraints(permit=dns(*lower), critical=True))
    chain = [make(LEAF, below), make(below, above), make(above, ROOTCA)]
    check(verify(tmp_path, [make(ROOTCA)], chain), reason)


def test_constraints_on_names_of_a_ca_below(tmp_path):
    upper = CA.but(cn=("Upper CA",), key="p256/upper", constraints=constraints(exclude=dns("example.net"), critical=True))
    for names, reason in ((dns("www.example.org"), None), (dns("www.example.net"), "excluded")):
        middle = CA.but(names=names)
        chain = [make(LEAF, middle), make(middle, upper), make(upper, ROOTCA)]
        check(verify(tmp_path, [make(ROOTCA)], chain), reason)


def test_constraints_on_a_ca_below(tmp_path):
    upper = CA.but(cn=("Upper CA",), key="p256/upper", constraints=constraints(permit=directory(dn("leaf"))))
    chain = [make(LEAF, CA), make(CA, upper), make(upper, ROOTCA)]
    check(verify(tmp_path, [make(ROOTCA)], chain), NOT_BELOW)


@pytest.mark.parametrize("value", [
    b"\x30\x00", b"\x30\x02\xa0\x00", b"\x30\x02\xa1\x00",
    tlv(0x30, tlv(0xA0, tlv(0x30, tlv(0x82, b"example.org") + tlv(0x80, b"\1")))),
    tlv(0x30, tlv(0xA0, tlv(0x30, tlv(0x82, b"example.org") + tlv(0x81, b"\1")))),
    tlv(0x30, tlv(0xA0, tlv(0x30, tlv(0x87, b"\xc0\0\2\0\xff\0\xff\0")))),
    tlv(0x30, tlv(0xA0, tlv(0x30, tlv(0x87, b"\xc0\0\2\0")))),
    tlv(0x30, tlv(0xA1, tlv(0x30, tlv(0x82, b"ex\0ample.org")))),
    tlv(0x30, tlv(0xA1, tlv(0x30, tlv(0x82, b"a"))) + tlv(0xA0, tlv(0x30, tlv(0x82, b"b")))),
], ids=["empty", "no permitted", "no excluded", "minimum", "maximum", "mask", "no mask", "NUL", "order"])
def test_malformed_constraints(tmp_path, value):
    middle = CA.but(constraints=constraints(permit=dns("example.org")), patch=set_value("2.5.29.30", value))
    anchors, chain = chain_of(middle=middle)
    check(verify(tmp_path, anchors, chain), "nameConstraints are malformed")


def test_constraints_end(tmp_path):
    """Thousands of names against thousands of constraints come to an end soon."""
    middle = CA.but(constraints=constraints(exclude=dns(*(f"x{i}.example.net" for i in range(1500)))))
    leaf = LEAF.but(names=dns(HOST, *(f"y{i}.example.org" for i in range(1500))))
    anchors, chain = chain_of(leaf, middle)
    check(verify(tmp_path, anchors, chain), "too many to compare")


# ---- what a refusal says ----


def test_text(tmp_path):
    anchors, chain = chain_of(LEAF.but(end=NOW - DAY, names=dns(HOST, "www.example.org") + ips("192.0.2.1")))
    out = verify(tmp_path, anchors, chain)
    public = key("p256/leaf").public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pin = "sha256//" + base64.b64encode(hashlib.sha256(public).digest()).decode()
    for part in (HOST, "it has expired", "2025-05-02T12:00:00Z", "2025-05-31T12:00:00Z", "2025-06-01T12:00:00Z",
                 f"names {HOST}, www.example.org, 192.0.2.1,", "CN=Middle CA", pin, "--insecure --pinnedpubkey"):
        assert part in out, out
    assert "clock" not in out


def test_clock(tmp_path):
    anchors, chain = chain_of()
    out = verify(tmp_path, anchors, chain, now=datetime.datetime(1970, 1, 1, 0, 1, 0))
    for part in ("not valid yet", "this machine's time is 1970-01-01T00:01:00Z", "This machine's clock is wrong"):
        assert part in out, out


def test_hostile_names(tmp_path):
    evil = "\x1b[2J\u202eevil\n" * 5
    anchors, chain = chain_of(LEAF, CA.but(cn=(evil,), end=NOW - DAY))
    out = verify(tmp_path, anchors, chain)
    assert "it has expired" in out
    assert all(" " <= c <= "~" for c in out.replace("\n  ", "").rstrip("\n"))


def test_edges_of_validity(tmp_path):
    anchors, chain = chain_of(LEAF.but(begin=NOW, end=NOW))
    check(verify(tmp_path, anchors, chain), None)
    check(verify(tmp_path, anchors, chain, now=NOW - datetime.timedelta(seconds=1)), "not valid yet")
    check(verify(tmp_path, anchors, chain, now=NOW + datetime.timedelta(seconds=1)), "it has expired")
