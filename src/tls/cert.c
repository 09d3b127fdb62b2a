#include "tls/cert.h"

#include <string.h>

enum { PATH_LEN_MAX = 1 << 20 }; /* more than any path has */

/* An OID's bytes and their number, for a table's row. */
#define OID(bytes) { (const unsigned char *)(bytes), sizeof(bytes) - 1 }

static bool
fault(struct cert *c, const char *why)
{
	if (!c->fault)
		c->fault = why;
	return false;
}

/* ---- algorithms ---- */

static const struct signature {
	struct der oid;
	enum cert_key signer;
	enum cert_hash hash;
} signatures[] = {
	{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"), CERT_KEY_RSA, CERT_SHA256 },
	{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c"), CERT_KEY_RSA, CERT_SHA384 },
	{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d"), CERT_KEY_RSA, CERT_SHA512 },
	{ OID("\x2a\x86\x48\xce\x3d\x04\x03\x02"), CERT_KEY_EC, CERT_SHA256 },
	{ OID("\x2a\x86\x48\xce\x3d\x04\x03\x03"), CERT_KEY_EC, CERT_SHA384 },
	{ OID("\x2a\x86\x48\xce\x3d\x04\x03\x04"), CERT_KEY_EC, CERT_SHA512 },
};

static const struct {
	struct der oid;
	enum cert_curve curve;
	unsigned bits;
	size_t point; /* bytes of an uncompressed point */
} curves[] = {
	{ OID("\x2a\x86\x48\xce\x3d\x03\x01\x07"), CERT_P256, 256, 65 },
	{ OID("\x2b\x81\x04\x00\x22"), CERT_P384, 384, 97 },
	{ OID("\x2b\x81\x04\x00\x23"), CERT_P521, 521, 133 },
};

static const struct der oid_rsa = OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01");
static const struct der oid_ec = OID("\x2a\x86\x48\xce\x3d\x02\x01");

/* Nothing, or a NULL: the parameters that RSA's algorithms have. */
static bool
no_parameters(struct der *in)
{
	struct der null;

	return !in->len || (der_take(in, DER_NULL, &null) && !null.len && !in->len);
}

/*
 * What signed it. An unknown algorithm is not a fault here: an anchor's own signature is never
 * checked.
 */
static void
read_signature_algorithm(struct cert *c, struct der in)
{
	struct der oid;
	size_t i;

	if (!der_take(&in, DER_OID, &oid))
		return;
	for (i = 0; i < COUNT(signatures); i++) {
		if (!der_equal(&oid, &signatures[i].oid))
			continue;
		if (signatures[i].signer == CERT_KEY_EC ? in.len != 0 : !no_parameters(&in))
			return;
		c->signer = signatures[i].signer;
		c->hash = signatures[i].hash;
		return;
	}
}

static unsigned
bit_length(const struct der *n)
{
	unsigned bits = (unsigned)n->len * 8, top;

	if (!n->len)
		return 0;
	for (top = n->p[0]; !(top & 0x80); top <<= 1)
		bits--;
	return bits;
}

static bool
read_rsa(struct cert *c, struct der parameters, struct der bits)
{
	struct der key;

	if (!no_parameters(&parameters) || !der_take(&bits, DER_SEQUENCE, &key) || bits.len ||
	    !der_take_positive(&key, &c->modulus) || !der_take_positive(&key, &c->exponent) ||
	    key.len)
		return fault(c, "its RSA key is malformed");
	c->key = CERT_KEY_RSA;
	c->bits = bit_length(&c->modulus);
	if (!(c->exponent.p[c->exponent.len - 1] & 1) || bit_length(&c->exponent) < 2 ||
	    c->exponent.len > 8)
		return fault(c, "its RSA key's exponent is 1, even, or longer than 64 bits");
	if (!(c->modulus.p[c->modulus.len - 1] & 1) || c->bits % 8)
		return fault(
		    c, "its RSA key's size is not a multiple of 8 bits, or its modulus is even");
	if (c->bits > CERT_RSA_BITS_MAX)
		return fault(
		    c, "its RSA key is longer than 4096 bits, which this program can't use");
	return true;
}

static bool
read_ec(struct cert *c, struct der parameters, struct der bits)
{
	struct der oid;
	size_t i;

	if (!der_take(&parameters, DER_OID, &oid) || parameters.len)
		return fault(c, "its EC key's curve has no name (explicit parameters)");
	for (i = 0; i < COUNT(curves) && !der_equal(&oid, &curves[i].oid); i++)
		;
	if (i == COUNT(curves))
		return fault(c, "its EC key's curve is not P-256, P-384 or P-521");
	if (bits.len != curves[i].point || bits.p[0] != 0x04)
		return fault(c, "its EC key is not an uncompressed point of its curve");
	c->key = CERT_KEY_EC;
	c->curve = curves[i].curve;
	c->bits = curves[i].bits;
	c->point = bits;
	return true;
}

/* False when it is not a SubjectPublicKeyInfo at all. A key that can't be used is a fault. */
static bool
read_key(struct cert *c, struct der in)
{
	struct der algorithm, oid, content, bits;
	unsigned unused;

	if (!der_take(&in, DER_SEQUENCE, &algorithm) || !der_take(&algorithm, DER_OID, &oid) ||
	    !der_take(&in, DER_BIT_STRING, &content) || in.len ||
	    !der_bits(&content, &bits, &unused) || unused)
		return false;
	if (der_equal(&oid, &oid_rsa))
		read_rsa(c, algorithm, bits);
	else if (der_equal(&oid, &oid_ec))
		read_ec(c, algorithm, bits);
	else
		fault(c,
		    "its key is neither RSA nor EC on a NIST curve (Ed25519, RSA-PSS and DSA can't "
		    "be used)");
	return true;
}

/* ---- extensions ---- */

static bool
read_basic(struct cert *c, struct der in)
{
	struct der content, value;

	c->has_basic = true;
	if (!der_take(&in, DER_SEQUENCE, &content) || in.len)
		return false;
	if (der_at(&content, DER_BOOLEAN) &&
	    (!der_take(&content, DER_BOOLEAN, &value) || !der_boolean(&value, &c->ca)))
		return false;
	if (!content.len)
		return true;
	c->has_path_len = c->ca;
	return der_take(&content, DER_INTEGER, &value) &&
	    der_small(&value, PATH_LEN_MAX, &c->path_len) && !content.len;
}

static bool
read_usage(struct cert *c, struct der in)
{
	struct der content, bits;
	unsigned unused, i;

	c->has_usage = true;
	if (!der_take(&in, DER_BIT_STRING, &content) || in.len ||
	    !der_bits(&content, &bits, &unused) || !bits.len)
		return false;
	for (i = 0; i < 8; i++)
		c->usage |= bits.p[0] & (0x80u >> i) ? 1u << i : 0;
	return true;
}

static bool
read_eku(struct cert *c, struct der in)
{
	struct der list, oid;

	c->has_eku = true;
	if (!der_take(&in, DER_SEQUENCE, &list) || in.len || !list.len)
		return false;
	while (list.len) {
		if (!der_take(&list, DER_OID, &oid) || !der_oid(&oid))
			return false;
		c->eku_server |= der_is(&oid, "\x2b\x06\x01\x05\x05\x07\x03\x01", 8) ||
		    der_is(&oid, "\x55\x1d\x25\x00", 4);
	}
	return true;
}

/* Visible ASCII, as an IA5String name is written: no NUL, no blank. */
static bool
is_visible(const struct der *text)
{
	size_t i;

	for (i = 0; i < text->len; i++) {
		if (text->p[i] <= ' ' || text->p[i] > '~')
			return false;
	}
	return true;
}

/*
 * One GeneralName (RFC 5280, 4.2.1.6) with its tag; inside a constraint, addresses have a mask and
 * names may be "".
 */
static bool
check_general_name(unsigned tag, const struct der *content, bool constraint)
{
	struct der in = *content, name;

	switch (tag) {
	case DER_CONTEXT(1):
	case DER_CONTEXT(2):
	case DER_CONTEXT(6):
		return is_visible(content) && (constraint || content->len);
	case DER_CONTEXT(7):
		return content->len == (constraint ? 8 : 4) ||
		    content->len == (constraint ? 32 : 16);
	case DER_CONTEXT_CONSTRUCTED(4):
		return der_take(&in, DER_SEQUENCE, &name) && !in.len;
	case DER_CONTEXT(8):
		return der_oid(content);
	default:
		return tag == DER_CONTEXT_CONSTRUCTED(0) || tag == DER_CONTEXT_CONSTRUCTED(3) ||
		    tag == DER_CONTEXT_CONSTRUCTED(5);
	}
}

static bool
read_san(struct cert *c, struct der in)
{
	struct der list, content;
	unsigned tag;

	c->has_san = true;
	if (!der_take(&in, DER_SEQUENCE, &c->san) || in.len || !c->san.len)
		return false;
	for (list = c->san; list.len;) {
		if (!der_next(&list, &tag, &content) || !check_general_name(tag, &content, false))
			return false;
	}
	return true;
}

/* An address constraint's mask is ones, then zeros. */
static bool
check_mask(const unsigned char *mask, size_t len)
{
	bool ended = false;
	size_t i;

	for (i = 0; i < len * 8; i++) {
		bool one = mask[i / 8] & (0x80u >> i % 8);

		if (one && ended)
			return false;
		ended |= !one;
	}
	return true;
}

/* GeneralSubtrees: only bases, without minimum and maximum (RFC 5280, 4.2.1.10). */
static bool
check_subtrees(struct der list)
{
	struct der subtree, base;
	unsigned tag;

	if (!list.len)
		return false;
	while (list.len) {
		if (!der_take(&list, DER_SEQUENCE, &subtree) || !der_next(&subtree, &tag, &base) ||
		    subtree.len || !check_general_name(tag, &base, true))
			return false;
		if (tag == DER_CONTEXT(7) && !check_mask(base.p + base.len / 2, base.len / 2))
			return false;
	}
	return true;
}

static bool
read_constraints(struct cert *c, struct der in)
{
	struct der content;

	c->has_constraints = true;
	if (!der_take(&in, DER_SEQUENCE, &content) || in.len || !content.len)
		return false;
	if (der_at(&content, DER_CONTEXT_CONSTRUCTED(0)) &&
	    (!der_take(&content, DER_CONTEXT_CONSTRUCTED(0), &c->permitted) ||
		!check_subtrees(c->permitted)))
		return false;
	if (der_at(&content, DER_CONTEXT_CONSTRUCTED(1)) &&
	    (!der_take(&content, DER_CONTEXT_CONSTRUCTED(1), &c->excluded) ||
		!check_subtrees(c->excluded)))
		return false;
	return !content.len;
}

static void
note_unprocessed(struct cert *c, const char *what)
{
	if (!c->unprocessed)
		c->unprocessed = what;
}

/* policyConstraints, critical or not: this program does not know how to keep their limits. */
static bool
note_policies(struct cert *c, struct der value)
{
	(void)value;
	note_unprocessed(c, "it has policyConstraints, which this program does not process");
	return true;
}

/* The extensions that are processed, and so may be critical. */
static const struct extension {
	struct der oid;
	bool (*read)(struct cert *c, struct der value);
	const char *fault;
} extensions[] = {
	{ OID("\x55\x1d\x13"), read_basic, "its basicConstraints are malformed" },
	{ OID("\x55\x1d\x0f"), read_usage, "its keyUsage is malformed" },
	{ OID("\x55\x1d\x25"), read_eku, "its extKeyUsage is malformed" },
	{ OID("\x55\x1d\x11"), read_san,
	    "its subjectAltName is malformed (an empty list, a NUL or another strange byte in a "
	    "name, a wrong length)" },
	{ OID("\x55\x1d\x1e"), read_constraints, "its nameConstraints are malformed" },
	{ OID("\x55\x1d\x24"), note_policies, NULL },
	/* certificatePolicies: no limit where no policy is asked for */
	{ OID("\x55\x1d\x20"), NULL, NULL },
};

static const struct extension *
find_extension(const struct der *oid)
{
	size_t i;

	for (i = 0; i < COUNT(extensions); i++) {
		if (der_equal(oid, &extensions[i].oid))
			return &extensions[i];
	}
	return NULL;
}

static void
read_extension(struct cert *c, const struct der *oid, bool critical, const struct der *value)
{
	const struct extension *e = find_extension(oid);

	if (!e && critical)
		note_unprocessed(
		    c, "it has a critical extension that this program does not process");
	else if (e && e->read && !e->read(c, *value))
		fault(c, e->fault);
}

/* Extension ::= SEQUENCE { OID, BOOLEAN DEFAULT FALSE, OCTET STRING } */
static bool
take_extension(struct der *list, struct der *oid, bool *critical, struct der *value)
{
	struct der one, flag;

	*critical = false;
	if (!der_take(list, DER_SEQUENCE, &one) || !der_take(&one, DER_OID, oid) || !der_oid(oid))
		return false;
	if (der_at(&one, DER_BOOLEAN) &&
	    (!der_take(&one, DER_BOOLEAN, &flag) || !der_boolean(&flag, critical)))
		return false;
	return der_take(&one, DER_OCTET_STRING, value) && !one.len;
}

static bool
read_extensions(struct cert *c, struct der in)
{
	struct der seen[CERT_EXTENSIONS_MAX], list, value;
	size_t count = 0, i;
	bool critical;

	if (!der_take(&in, DER_SEQUENCE, &list) || in.len || !list.len)
		return fault(c, "its extensions are malformed");
	while (list.len) {
		if (count == CERT_EXTENSIONS_MAX)
			return fault(c, "it has more extensions than this program reads");
		if (!take_extension(&list, &seen[count], &critical, &value))
			return fault(c, "its extensions are malformed");
		for (i = 0; i < count; i++) {
			if (der_equal(&seen[i], &seen[count]))
				return fault(c, "it has the same extension twice");
		}
		read_extension(c, &seen[count++], critical, &value);
	}
	return true;
}

/* ---- the certificate ---- */

/* What follows the key: unique identifiers, which are not used, and the extensions. */
static bool
read_tail(struct cert *c, struct der *tbs)
{
	struct der content;
	unsigned i;

	for (i = 1; i <= 2; i++) {
		if (der_at(tbs, DER_CONTEXT(i)) &&
		    (c->version < 2 || !der_take(tbs, DER_CONTEXT(i), &content)))
			return fault(c, "its unique identifiers are malformed or not allowed");
	}
	if (der_at(tbs, DER_CONTEXT_CONSTRUCTED(3))) {
		if (c->version < 3 || !der_take(tbs, DER_CONTEXT_CONSTRUCTED(3), &content))
			return fault(c, "it has extensions, which its version does not allow");
		read_extensions(c, content);
	}
	return tbs->len ? fault(c, "it has more fields than a certificate has") : true;
}

static bool
read_version(struct cert *c, struct der *tbs)
{
	struct der content, value;
	unsigned v;

	c->version = 1;
	if (!der_at(tbs, DER_CONTEXT_CONSTRUCTED(0)))
		return true;
	if (!der_take(tbs, DER_CONTEXT_CONSTRUCTED(0), &content) ||
	    !der_take(&content, DER_INTEGER, &value) || content.len)
		return false;
	if (!der_small(&value, 2, &v) || !v)
		fault(c, "its version is not 1, 2 or 3, or version 1 is written out");
	else
		c->version = v + 1;
	return true;
}

static bool
read_serial(struct cert *c, struct der *tbs)
{
	struct der serial;

	if (!der_take(tbs, DER_INTEGER, &serial))
		return false;
	if (!der_integer(&serial))
		fault(c, "its serial number is malformed");
	return true;
}

static bool
read_validity(struct cert *c, struct der in)
{
	struct der from, to;
	unsigned from_tag, to_tag;

	if (!der_next(&in, &from_tag, &from) || !der_next(&in, &to_tag, &to) || in.len)
		return false;
	if (!der_time(from_tag, &from, &c->not_before) || !der_time(to_tag, &to, &c->not_after))
		fault(c, "its dates are malformed");
	return true;
}

/* All fields up to the key, the key included. *algorithm is the signature algorithm inside. */
static bool
read_front(struct cert *c, struct der *tbs, struct der *algorithm)
{
	struct der content, key;

	return read_version(c, tbs) && read_serial(c, tbs) &&
	    der_take_whole(tbs, DER_SEQUENCE, &content, algorithm) &&
	    der_take_whole(tbs, DER_SEQUENCE, &content, &c->issuer) &&
	    der_take(tbs, DER_SEQUENCE, &content) && read_validity(c, content) &&
	    der_take_whole(tbs, DER_SEQUENCE, &content, &c->subject) &&
	    der_take_whole(tbs, DER_SEQUENCE, &key, &c->spki) && read_key(c, key);
}

bool
cert_parse(struct cert *c, const struct der *der)
{
	struct der in = *der, whole, tbs, inner, outer, content, bits;
	unsigned unused;

	memset(c, 0, sizeof(*c));
	c->der = *der;
	if (!der_take(&in, DER_SEQUENCE, &whole) || in.len ||
	    !der_take_whole(&whole, DER_SEQUENCE, &tbs, &c->tbs) || !read_front(c, &tbs, &inner)) {
		c->fault = "it is not a well-formed certificate";
		return false;
	}
	read_tail(c, &tbs);
	if (!der_take_whole(&whole, DER_SEQUENCE, &content, &outer) ||
	    !der_take(&whole, DER_BIT_STRING, &bits) || whole.len ||
	    !der_bits(&bits, &c->signature, &unused) || unused) {
		fault(c, "its signature is malformed");
		return true;
	}
	read_signature_algorithm(c, content);
	if (!der_equal(&inner, &outer))
		fault(c, "it names two different signature algorithms");
	return true;
}

bool
cert_self_issued(const struct cert *c)
{
	return der_equal(&c->issuer, &c->subject);
}
