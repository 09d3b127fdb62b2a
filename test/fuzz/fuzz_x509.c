/*
 * fuzz_x509.c - chains of certificates: the first byte is the policy; then each has a byte that
 * says who signs it (nobody: it is taken as it is; the root's or an intermediate's key: the bytes
 * are what is to be signed), two of length and its bytes. Nothing is accepted but what the root
 * vouches for, by rules that are written down here a second time.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "der_mutate.h"
#include "tls/anchors.h"
#include "tls/cert.h"
#include "tls/x509.h"

#include <bearssl.h>
#include <strings.h>

enum { CHAIN_MAX = 5, POINT_LEN = 65, CERT_MAX = 4096, SIGNATURE_LEN = 70 };
enum { INSECURE = 4, PINNED = 8, AS_CLASS = 16 };
enum signer { NOBODY, ROOT, MIDDLE, SIGNERS };

/*
 * The root, and a server's own certificate; both were valid from before 2025-06-01 to 2035-05-30.
 */
static const char anchors_text[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBcTCCARegAwIBAgICEjQwCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwEUm9vdDAe\n"
    "Fw0xNTA2MDQxMjAwMDBaFw0zNTA1MzAxMjAwMDBaMA8xDTALBgNVBAMMBFJvb3Qw\n"
    "WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQCF+YX8LZEOSgnj5aZnmmiOk8sFSvf\n"
    "bWzfZuW4AoLU7RlKfevLl3EtLdo8qFqodlpW9F/HWFmWUvKJfGUwbleUo2MwYTAP\n"
    "BgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQUM8prxekg\n"
    "5r7CoWzgenDoKCvNaNEwHwYDVR0jBBgwFoAUM8prxekg5r7CoWzgenDoKCvNaNEw\n"
    "CgYIKoZIzj0EAwIDSAAwRQIhAIrwyp6PrWSUy0F7FdGDUxRq0EXhcMS2Tmoz3BHa\n"
    "EkUtAiBlkocX7sDjWTxEmZQkRyCDBCERXiSfyB2Iz8O6gL1xNQ==\n"
    "-----END CERTIFICATE-----\n"
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBlDCCATqgAwIBAgICEjQwCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwEc2VsZjAe\n"
    "Fw0yNTA1MDIxMjAwMDBaFw0zNTA1MzAxMjAwMDBaMA8xDTALBgNVBAMMBHNlbGYw\n"
    "WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARRp1gIM4mOobGDy9c1CkCZB4xu8cHh\n"
    "jpcM12gwNfJefQEQUicSsLWnz/CBaFSGmEqU5oMe2sRuc2D6nYNKeoGho4GFMIGC\n"
    "MA4GA1UdDwEB/wQEAwIHgDATBgNVHSUEDDAKBggrBgEFBQcDATAbBgNVHREEFDAS\n"
    "ghBtYWlsLmV4YW1wbGUub3JnMB0GA1UdDgQWBBT9jxRBm+tDdqbDfLsbQw9eBZRI\n"
    "uTAfBgNVHSMEGDAWgBT9jxRBm+tDdqbDfLsbQw9eBZRIuTAKBggqhkjOPQQDAgNI\n"
    "ADBFAiBF4rd6osvNi/5ihC9YCVK8kL5LoBfARxH+Q22IJsgihAIhAJjeiqx7ELse\n"
    "FypGL1Ml3c2ExfWqhcEBsnv1AEAY2WlN\n"
    "-----END CERTIFICATE-----\n";

static const char *const hosts[] = { "mail.example.org", "192.0.2.1", "other.example.net",
	"2001:db8::1" };
static const struct {
	/* of it, or of what a wildcard for it ends in, that a certificate must hold */
	const char *bytes;
	size_t len;
} host_bytes[] = { { ".example.org", 12 }, { "\xc0\x00\x02\x01", 4 }, { ".example.net", 12 },
	{ "\x20\x01\x0d\xb8", 4 } };
static const int64_t times[] = { 1748779200, 1000000000, 4000000000, -1000000000 };

struct given {
	struct der der;
	enum signer signer;
	unsigned char bytes[CERT_MAX + 256];
};

/* ---- signing ---- */

/* The private keys are 32 times the same byte. */
static br_ec_private_key
key_of(unsigned char *x, unsigned char byte)
{
	memset(x, byte, 32);
	return (br_ec_private_key){ BR_EC_secp256r1, x, 32 };
}

static const char *
public_point(unsigned char byte)
{
	static char points[256][POINT_LEN];
	unsigned char x[32];
	br_ec_private_key key = key_of(x, byte);
	br_ec_public_key public;

	if (!points[byte][0])
		CHECK(br_ec_compute_pub(&br_ec_p256_m31, &public, points[byte], &key) == POINT_LEN,
		    "no point");
	return points[byte];
}

/* DER of two numbers, as an ECDSA signature: each is the hash of key and hash. */
static void
make_signature(const char *point, const void *hash, unsigned char out[SIGNATURE_LEN])
{
	br_sha256_context ctx;

	memcpy(out, "\x30\x44\x02\x20", 4);
	br_sha256_init(&ctx);
	br_sha256_update(&ctx, point, POINT_LEN);
	br_sha256_update(&ctx, hash, br_sha256_SIZE);
	br_sha256_out(&ctx, out + 4);
	out[4] = (out[4] & 0x7f) | 0x40;
	memcpy(out + 36, out + 2, 34);
}

/*
 * Takes the place of BearSSL's, which took nearly all of the time. What that computes is tested
 * with real keys (test_x509.py).
 */
uint32_t
br_ecdsa_i31_vrfy_asn1(const br_ec_impl *impl, const void *hash, size_t len,
    const br_ec_public_key *key, const void *signature, size_t signature_len)
{
	unsigned char wanted[SIGNATURE_LEN];

	(void)impl;
	if (len != br_sha256_SIZE || key->qlen != POINT_LEN || signature_len != SIGNATURE_LEN)
		return 0;
	make_signature((const char *)key->q, hash, wanted);
	return !memcmp(signature, wanted, SIGNATURE_LEN);
}

/* SEQUENCE { what is to be signed, ecdsa-with-SHA256, the signature } */
static void
sign(struct given *g, const uint8_t *tbs, size_t len)
{
	static const unsigned char algorithm[] = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
	unsigned char bits[1 + SIGNATURE_LEN] = { 0 }, hash[br_sha256_SIZE];
	size_t n = sizeof(bits), head, inner = len + sizeof(algorithm) - 1 + 2 + n;
	br_sha256_context ctx;

	br_sha256_init(&ctx);
	br_sha256_update(&ctx, tbs, len);
	br_sha256_out(&ctx, hash);
	make_signature(public_point(g->signer == ROOT ? 0x11 : 0x22), hash, bits + 1);
	head = der_header(g->bytes, DER_SEQUENCE, inner);
	memcpy(g->bytes + head, tbs, len);
	memcpy(g->bytes + head + len, algorithm, sizeof(algorithm) - 1);
	der_header(g->bytes + head + len + sizeof(algorithm) - 1, DER_BIT_STRING, n);
	memcpy(g->bytes + head + inner - n, bits, n);
	g->der = (struct der){ g->bytes, head + inner };
}

/* Signed, or with an empty signature in the place of one: then nobody vouches for anything. */
static size_t
read_chain(struct input in, struct given *chain, bool with_signatures)
{
	size_t count = 0, len;

	while (in.len > 3 && count < CHAIN_MAX) {
		struct given *g = &chain[count++];
		unsigned signer = input_byte(&in) % SIGNERS;

		g->signer = with_signatures ? (enum signer)signer : NOBODY;
		len = (size_t)input_byte(&in) << 8;
		len |= input_byte(&in);
		len = len < in.len ? len : in.len;
		len = len < CERT_MAX ? len : CERT_MAX;
		memcpy(g->bytes, in.p, len);
		g->der = (struct der){ g->bytes, len };
		if (signer != NOBODY)
			sign(g, in.p, len);
		in.p += len;
		in.len -= len;
	}
	return count;
}

/* ---- the rules ---- */

static bool
holds(const struct der *der, const char *bytes, size_t len)
{
	return memmem(der->p, der->len, bytes, len) != NULL;
}

/* The same but for case. */
static bool
names(const struct der *der, const char *bytes, size_t len)
{
	size_t i;

	for (i = 0; i + len <= der->len; i++) {
		if (!strncasecmp((const char *)der->p + i, bytes, len) && !memchr(bytes, '\0', len))
			return true;
	}
	return holds(der, bytes, len);
}

/* What follows the identifier of that extension; p is NULL where there is none. */
static struct der
extension(const struct der *certificate, const char *oid)
{
	struct der in = *certificate, fields, list, one, id;
	unsigned tag = 0;

	if (!der_take(&in, DER_SEQUENCE, &list) || !der_take(&list, DER_SEQUENCE, &fields))
		return (struct der){ 0 };
	while (tag != DER_CONTEXT_CONSTRUCTED(3) && fields.len && der_next(&fields, &tag, &in))
		;
	if (tag != DER_CONTEXT_CONSTRUCTED(3) || !der_take(&in, DER_SEQUENCE, &list))
		return (struct der){ 0 };
	while (list.len && der_take(&list, DER_SEQUENCE, &one)) {
		if (der_take(&one, DER_OID, &id) && der_is(&id, oid, strlen(oid)))
			return one;
	}
	return (struct der){ 0 };
}

static bool
is_in_time(const struct given *g, int64_t time)
{
	struct cert c;

	return cert_parse(&c, &g->der) && c.not_before <= time && time <= c.not_after;
}

static bool
is_issued_by(const struct given *g, const struct der *name)
{
	struct cert c;

	return cert_parse(&c, &g->der) && der_equal(&c.issuer, name);
}

/* Is it a CA's with the intermediate's key, vouched for by somebody? */
static bool
is_middle(const struct given *g, const struct given *below, int64_t time)
{
	struct cert c;

	return g->signer != NOBODY && cert_parse(&c, &g->der) &&
	    holds(&c.spki, public_point(0x22), POINT_LEN) &&
	    holds(&g->der, "\x06\x03\x55\x1d\x13", 5) && holds(&g->der, "\x01\x01\xff", 3) &&
	    is_in_time(g, time) && is_issued_by(below, &c.subject);
}

/* The name of the root. */
static const char root_name[] = "\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04Root";

static void
check_accepted(
    const struct x509_policy *policy, const struct given *chain, size_t count, unsigned host)
{
	static const struct der root = { (const unsigned char *)root_name, sizeof(root_name) - 1 };
	const struct given *leaf = &chain[0];
	struct der purpose = extension(&leaf->der, "\x55\x1d\x25");
	bool root_signed = false, vouched;
	size_t i;

	CHECK(is_in_time(leaf, policy->time), "out of its time");
	CHECK(names(&leaf->der, host_bytes[host].bytes, host_bytes[host].len), "%s is not in it",
	    policy->host);
	CHECK(!purpose.p || holds(&purpose, "\x2b\x06\x01\x05\x05\x07\x03\x01", 8) ||
		holds(&purpose, "\x55\x1d\x25\x00", 4),
	    "not for servers");
	if (anchors_same(policy->anchors, &leaf->der))
		return;
	for (i = 0; i < count; i++)
		root_signed |= chain[i].signer == ROOT && is_issued_by(&chain[i], &root);
	CHECK(leaf->signer != NOBODY && root_signed, "nobody vouches for it");
	vouched = leaf->signer == ROOT && is_issued_by(leaf, &root);
	for (i = 1; i < count && leaf->signer == MIDDLE; i++)
		vouched |= is_middle(&chain[i], leaf, policy->time);
	CHECK(vouched, "its issuer does not vouch for it");
}

/* No bit of an accepted leaf can be another one. */
static void
check_each_bit_counts(const struct x509_policy *policy, const struct der *chain, size_t count)
{
	static unsigned char copy[CERT_MAX + 256];
	static size_t turn;
	struct der changed[CHAIN_MAX];
	struct err err;
	size_t bit = turn++ * 7919 % (chain[0].len * 8);

	memcpy(copy, chain[0].p, chain[0].len);
	copy[bit / 8] ^= (unsigned char)(1u << bit % 8);
	memcpy(changed, chain, count * sizeof(*chain));
	changed[0].p = copy;
	CHECK(x509_verify(policy, changed, count, &err) == -1, "bit %zu does not count", bit);
}

/* The same through the class that BearSSL gets, in pieces. */
static void
check_class(
    const struct x509_policy *policy, const struct der *chain, size_t count, const struct err *why)
{
	struct x509 *x = x509_new(policy);
	const br_x509_class **class = x ? x509_class(x) : NULL;
	size_t i, half;
	unsigned r;

	CHECK(x, "no memory");
	(*class)->start_chain(class, "a");
	for (i = 0; i < count; i++) {
		half = chain[i].len / 2;
		(*class)->start_cert(class, (uint32_t)chain[i].len);
		(*class)->append(class, chain[i].p, half);
		(*class)->append(class, chain[i].p + half, chain[i].len - half);
		(*class)->end_cert(class);
	}
	r = (*class)->end_chain(class);
	CHECK(!r == !why && !x509_refusal(x) == !why, "another verdict: %u", r);
	CHECK(!why || !strcmp(why->text, x509_refusal(x)->text), "%s, then %s", why->text,
	    x509_refusal(x)->text);
	CHECK(!(*class)->get_pkey(class, NULL) == (why != NULL),
	    "a key for a refused chain, or none");
	x509_free(x);
}

/* The pin of the third key, which the seeds' leaves have. */
static void
make_pin(struct x509_pins *pins)
{
	static unsigned char bytes[] =
	    "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03"
	    "\x01\x07\x03\x42\0000123456789012345678901234567890123456789012345678901234567890123";
	br_sha256_context ctx;

	memcpy(bytes + sizeof(bytes) - POINT_LEN, public_point(0x33), POINT_LEN);
	br_sha256_init(&ctx);
	br_sha256_update(&ctx, bytes, sizeof(bytes));
	br_sha256_out(&ctx, pins->sha256[0]);
	pins->count = 1;
}

/* ---- the target ---- */

static struct anchors *
the_anchors(void)
{
	static struct anchors *anchors;
	struct err err;

	if (!anchors)
		CHECK(anchors_parse(&anchors, anchors_text, sizeof(anchors_text) - 1, "it", &err) ==
			0,
		    "%s", err.text);
	return anchors;
}

/* Verify the chain. True when a signature was missed. */
static bool
verify(const struct x509_policy *policy, const struct given *chain, size_t count, unsigned host,
    bool as_class)
{
	struct der ders[CHAIN_MAX];
	struct err err;
	size_t i;
	int r;

	for (i = 0; i < count; i++)
		ders[i] = chain[i].der;
	err_clear(&err);
	r = x509_verify(policy, ders, count, &err);
	if (as_class)
		check_class(policy, ders, count, r == -1 ? &err : NULL);
	if (r == -1) {
		check_err(&err);
		CHECK(err.kind == ERR_TRUST, "kind %d", err.kind);
		return strstr(err.text, "sign"); /* a signature is wrong, or another key signed */
	}
	CHECK(!policy->pins || holds(&ders[0], public_point(0x33), POINT_LEN),
	    "another key than the pin's");
	if (!policy->insecure) {
		check_accepted(policy, chain, count, host);
		check_each_bit_counts(policy, ders, count);
	}
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct given chain[CHAIN_MAX];
	struct input in = { data, size };
	unsigned how = input_byte(&in);
	struct x509_pins pins;
	struct x509_policy policy = {
		.host = hosts[how % 4],
		.anchors = the_anchors(),
		.pins = how & PINNED ? &pins : NULL,
		.insecure = how & INSECURE,
		.time = times[how / 32 % 4],
	};
	size_t count = read_chain(in, chain, false);

	make_pin(&pins);
	if (verify(&policy, chain, count, how % 4, how & AS_CLASS)) {
		count = read_chain(in, chain, true); /* only now: most end before */
		verify(&policy, chain, count, how % 4, how & AS_CLASS);
	}
	return 0;
}

/* Another certificate of the chain in its place, or one of them changed inside. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	size_t at[CHAIN_MAX], lens[CHAIN_MAX], count = 0, pos = 1, n;
	uint8_t one[CERT_MAX];

	while (pos + 3 <= size && count < CHAIN_MAX) {
		n = (size_t)data[pos + 1] << 8 | data[pos + 2];
		at[count] = pos;
		lens[count++] = n < size - pos - 3 ? n : size - pos - 3;
		pos += 3 + lens[count - 1];
	}
	if (!count || seed % 16 == 0)
		return LLVMFuzzerMutate(data, size, max);
	if (seed % 16 == 1) {
		data[seed / 16 % 4 ? at[seed / 64 % count] : 0] ^= (uint8_t)(1u << seed / 256 % 8);
		return size;
	}
	pos = at[seed / 16 % count];
	n = lens[seed / 16 % count];
	if (n > sizeof(one) / 2 || size + 3 + n > max)
		return LLVMFuzzerMutate(data, size, max);
	if (seed % 16 == 2) { /* twice */
		memmove(data + pos + 3 + n, data + pos, size - pos);
		return size + 3 + n;
	}
	memcpy(one, data + pos + 3, n);
	seed = (unsigned)der_mutate(one, n, sizeof(one), seed / 64 * 2654435761u + seed);
	if (size - n + seed > max)
		return size;
	memmove(data + pos + 3 + seed, data + pos + 3 + n, size - pos - 3 - n);
	memcpy(data + pos + 3, one, seed);
	data[pos + 1] = (uint8_t)(seed >> 8);
	data[pos + 2] = (uint8_t)seed;
	return size - n + seed;
}
