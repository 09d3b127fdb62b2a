#include "tls/x509.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/when.h"
#include "format/pem.h"
#include "sys/file.h"
#include "tls/anchors.h"
#include "tls/cert.h"
#include "tls/certname.h"
#include "tls/curves.h"
#include "tls/tlserror.h"

#include <bearssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RSA_BITS_MIN = 2048,
	HASH_MAX = 64, /* bytes of SHA-512 */
	REASON_MAX = 320,
	WHO_MAX = 160, /* the words that name the CA in front of a reason */
	NAMES_SHOWN = 8,
	KEY_FILE_MAX = 64 * 1024
};

/* A clock before this program was written is wrong (2025-01-01). */
static const int64_t clock_floor = 1735689600;
static const char pin_prefix[] = "sha256//";

/* How much a reason tells: of several paths' reasons the highest is shown. */
enum rank { RANK_NONE, RANK_UNTRUSTED, RANK_SIGNATURE, RANK_CA, RANK_PATH, RANK_BOUND };

/* The search for a path from the leaf to an anchor. */
struct search {
	const struct x509_policy *policy;
	/* what the server sent, as far as it can be read; the leaf first */
	struct cert pool[X509_CHAIN_MAX];
	size_t count;
	const struct cert *path[X509_DEPTH_MAX];
	size_t depth;
	unsigned signatures; /* verified so far, on all paths */
	unsigned work;       /* comparisons with name constraints, the same */
	enum rank rank;
	char reason[REASON_MAX + WHO_MAX];
};

struct x509 {
	const br_x509_class *vtable; /* must be first: BearSSL casts between the two */
	const struct x509_policy *policy;
	struct buf bytes; /* the certificates, one after the other */
	size_t end[X509_CHAIN_MAX];
	size_t count;
	bool open, over, refused;
	br_x509_pkey key;
	struct err err;
	char pin[X509_PIN_TEXT_MAX];
};

/* BearSSL's structs have pointers that are not const for bytes that it only reads. */
static unsigned char *
unconst(const unsigned char *p)
{
	union {
		const unsigned char *in;
		unsigned char *out;
	} u = { .in = p };

	return u.out;
}

/* ---- pins ---- */

static void
hash_key(const struct der *spki, unsigned char out[32])
{
	br_sha256_context ctx;

	br_sha256_init(&ctx);
	br_sha256_update(&ctx, spki->p, spki->len);
	br_sha256_out(&ctx, out);
}

void
x509_format_pin(const struct der *spki, char out[X509_PIN_TEXT_MAX])
{
	unsigned char hash[32];
	struct buf b = { 0 };

	hash_key(spki, hash);
	base64_encode(hash, sizeof(hash), &b);
	snprintf(out, X509_PIN_TEXT_MAX, "%s%s", pin_prefix, b.failed ? "?" : b.data);
	buf_free(&b);
}

static bool
has_pin(const struct x509_pins *pins, const struct der *spki)
{
	unsigned char hash[32];
	size_t i;

	hash_key(spki, hash);
	for (i = 0; i < pins->count; i++) {
		if (!memcmp(pins->sha256[i], hash, sizeof(hash)))
			return true;
	}
	return false;
}

/* One sha256//BASE64 of len bytes. */
static int
add_pin(struct x509_pins *pins, const char *text, size_t len, struct err *err)
{
	size_t skip = strlen(pin_prefix);
	struct buf b = { 0 };
	int r = 0;

	if (pins->count == X509_PIN_MAX)
		return err_set(
		    err, ERR_USAGE, "--pinnedpubkey: at most %d pins are allowed", X509_PIN_MAX);
	if (len <= skip || memcmp(text, pin_prefix, skip) ||
	    !base64_decode(text + skip, len - skip, &b) || b.len != 32)
		r = err_set(err, ERR_USAGE,
		    "--pinnedpubkey: \"%.*s\" is not sha256// and the base64 of 32 bytes",
		    (int)(len < 80 ? len : 80), text);
	else
		memcpy(pins->sha256[pins->count++], b.data, 32);
	buf_free(&b);
	return r;
}

/* Is it a SubjectPublicKeyInfo and nothing else? */
static bool
is_key_info(const struct der *der)
{
	struct der in = *der, content, algorithm, oid, bits;

	return der_take(&in, DER_SEQUENCE, &content) && !in.len &&
	    der_take(&content, DER_SEQUENCE, &algorithm) && der_take(&algorithm, DER_OID, &oid) &&
	    der_take(&content, DER_BIT_STRING, &bits) && !content.len;
}

/* The key in a public key or a certificate. */
static bool
key_of(const struct der *der, struct der *spki)
{
	struct cert c;

	*spki = *der;
	if (is_key_info(der))
		return true;
	if (!cert_parse(&c, der))
		return false;
	*spki = c.spki;
	return true;
}

static int
bad_key_file(const char *path, const char *why, struct err *err)
{
	return err_set(
	    err, ERR_USAGE, "--pinnedpubkey: %s %s. A pin is written sha256//BASE64", path, why);
}

/* The first public key or certificate of a PEM text, or the text itself as DER. */
static int
key_bytes(const struct buf *file, struct buf *block, const char *path, struct err *err)
{
	struct pem pem = { .text = file->data, .len = file->len };
	struct err why;
	int r;

	if (!file->len || file->data[0] == DER_SEQUENCE) {
		buf_add(block, file->data, file->len);
		return block->failed ? err_memory(err) : 0;
	}
	while ((r = pem_next(&pem, block, &why)) == 1) {
		if (!strcmp(pem.label, "PUBLIC KEY") || !strcmp(pem.label, "CERTIFICATE"))
			return 0;
	}
	return r == -1 ? err_set(err, why.kind, "--pinnedpubkey: %s, %s", path, why.text)
		       : bad_key_file(path, "holds no public key and no certificate", err);
}

static int
read_key_file(struct x509_pins *pins, const char *path, struct err *err)
{
	struct buf file = { 0 }, block = { 0 };
	struct der der, spki;
	int r = file_read(&file, path, KEY_FILE_MAX, err);

	if (r == 1)
		r = bad_key_file(path, "is not there", err);
	if (r == 0)
		r = key_bytes(&file, &block, path, err);
	if (r == 0) {
		der = (struct der){ (const unsigned char *)block.data, block.len };
		if (key_of(&der, &spki))
			hash_key(&spki, pins->sha256[pins->count++]);
		else
			r = bad_key_file(path, "holds no public key and no certificate", err);
	}
	buf_free(&file);
	buf_free(&block);
	return r;
}

int
x509_pins_parse(struct x509_pins *pins, const char *text, struct err *err)
{
	size_t len;

	memset(pins, 0, sizeof(*pins));
	if (strncmp(text, pin_prefix, strlen(pin_prefix)))
		return read_key_file(pins, text, err);
	for (;; text += len + 1) {
		len = strcspn(text, ";");
		if (add_pin(pins, text, len, err) == -1)
			return -1;
		if (!text[len] || !text[len + 1])
			return 0;
	}
}

/* ---- refusals ---- */

/* Note why a path failed. The reason of the highest rank is kept, the first of equals. */
static void note(struct search *s, enum rank rank, const struct cert *who, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

static void
note(struct search *s, enum rank rank, const struct cert *who, const char *fmt, ...)
{
	struct buf b = { 0 };
	char why[REASON_MAX];
	va_list ap;

	if (rank <= s->rank)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (who) {
		certname_of(&who->subject, &b);
		snprintf(s->reason, sizeof(s->reason),
		    "the CA certificate of %s can't vouch for it: %s", b.data ? b.data : "?", why);
	} else {
		snprintf(s->reason, sizeof(s->reason), "%s", why);
	}
	buf_free(&b);
	s->rank = rank;
}

static bool
has_usable_key(const struct cert *leaf)
{
	return leaf->key != CERT_KEY_OTHER && leaf->bits <= CERT_RSA_BITS_MAX;
}

/* A line with what the certificate says of itself, and this machine's time. */
static void
describe(const struct x509_policy *policy, const struct cert *leaf, struct err *err)
{
	char from[WHEN_MAX], to[WHEN_MAX], now[WHEN_MAX];
	struct buf names = { 0 }, issuer = { 0 };

	when_format(from, leaf->not_before);
	when_format(to, leaf->not_after);
	when_format(now, policy->time);
	certname_list(leaf, NAMES_SHOWN, &names);
	certname_of(&leaf->issuer, &issuer);
	err_add(err,
	    "\n  It names %s, was issued by %s and is valid from %s to %s; this machine's time is "
	    "%s.",
	    names.failed ? "?" : names.data, issuer.failed ? "?" : issuer.data, from, to, now);
	if (policy->time < clock_floor)
		err_add(err, "This machine's clock is wrong: set it first.");
	buf_free(&names);
	buf_free(&issuer);
}

/* Fill err with the whole text of a refusal. leaf is NULL when it could not be read. */
static int
refuse(const struct x509_policy *policy, const struct cert *leaf, const char *why, struct err *err)
{
	char pin[X509_PIN_TEXT_MAX];

	err_set(err, ERR_TRUST, "The certificate of %s is not accepted: %s.", policy->host, why);
	if (!err || !leaf)
		return -1;
	describe(policy, leaf, err);
	x509_format_pin(&leaf->spki, pin);
	if (!has_usable_key(leaf))
		err_add(err, "\n  %s", tlserror_advice(tlserror_find(BR_ERR_TOO_LARGE)));
	else if (policy->pins)
		err_add(err, "\n  Its key is the pinned one. To trust that alone, add --insecure.");
	else
		err_add(err,
		    "\n  If its key is your server's own (compare the pin on the server), this is "
		    "enough: --insecure --pinnedpubkey '%s'.",
		    pin);
	return -1;
}

/*
 * The user named another key. That may be an attack, so the text has no option that is ready to
 * paste: the new pin is a fact alone.
 */
static int
refuse_pin(const struct x509_policy *policy, const struct cert *leaf, struct err *err)
{
	char pin[X509_PIN_TEXT_MAX];

	err_set(err, ERR_TRUST,
	    "The certificate of %s is not accepted: its key is not the one that --pinnedpubkey "
	    "names. No login and no request was sent.",
	    policy->host);
	if (!err)
		return -1;
	describe(policy, leaf, err);
	x509_format_pin(&leaf->spki, pin);
	err_add(err,
	    "\n  The key that answered has the pin %s. Your server has a new key, or this is "
	    "another server, or somebody on the way answers in its place. Compare the pin on the "
	    "server itself before you trust it.",
	    pin);
	return -1;
}

/* ---- signatures ---- */

/* The key as BearSSL has it: views into the certificate. False when it can't compute with it. */
static bool
export_key(const struct cert *c, br_x509_pkey *key)
{
	static const int curves[] = { [CERT_P256] = BR_EC_secp256r1,
		[CERT_P384] = BR_EC_secp384r1,
		[CERT_P521] = BR_EC_secp521r1 };

	memset(key, 0, sizeof(*key));
	if (c->key == CERT_KEY_RSA) {
		key->key_type = BR_KEYTYPE_RSA;
		key->key.rsa = (br_rsa_public_key){ unconst(c->modulus.p), c->modulus.len,
			unconst(c->exponent.p), c->exponent.len };
	} else if (c->key == CERT_KEY_EC) {
		key->key_type = BR_KEYTYPE_EC;
		key->key.ec = (br_ec_public_key){ curves[c->curve], unconst(c->point.p),
			c->point.len };
	}
	return c->key != CERT_KEY_OTHER;
}

/* BearSSL is lenient here: DER has one form for each signature. */
static bool
is_ecdsa_signature(struct der in)
{
	struct der pair, r, s;

	return der_take(&in, DER_SEQUENCE, &pair) && !in.len && der_take_positive(&pair, &r) &&
	    der_take_positive(&pair, &s) && !pair.len;
}

/* Does the certificate's signature, over its bytes as they were sent, verify with the CA's key? */
static bool
is_signed_by(const struct cert *c, const struct cert *ca)
{
	static const struct {
		const br_hash_class *class;
		const unsigned char *oid;
		size_t len;
	} hashes[] = { [CERT_SHA256] = { &br_sha256_vtable, BR_HASH_OID_SHA256, 32 },
		[CERT_SHA384] = { &br_sha384_vtable, BR_HASH_OID_SHA384, 48 },
		[CERT_SHA512] = { &br_sha512_vtable, BR_HASH_OID_SHA512, 64 } };
	unsigned char hash[HASH_MAX], signed_hash[HASH_MAX];
	const struct der *signature = &c->signature;
	size_t len = hashes[c->hash].len;
	br_hash_compat_context ctx;
	br_x509_pkey key;

	if (c->hash == CERT_HASH_OTHER || c->signer != ca->key || !export_key(ca, &key))
		return false;
	hashes[c->hash].class->init(&ctx.vtable);
	hashes[c->hash].class->update(&ctx.vtable, c->tbs.p, c->tbs.len);
	hashes[c->hash].class->out(&ctx.vtable, hash);
	if (ca->key == CERT_KEY_RSA)
		return br_rsa_i31_pkcs1_vrfy(signature->p, signature->len, hashes[c->hash].oid, len,
			   &key.key.rsa, signed_hash) &&
		    !memcmp(hash, signed_hash, len);
	return is_ecdsa_signature(*signature) &&
	    br_ecdsa_i31_vrfy_asn1(
		curves_all(), hash, len, &key.key.ec, signature->p, signature->len);
}

/* ---- the rules for one certificate; each gives NULL or the reason ---- */

/* Every certificate. What an anchor's own extensions would need to be processed does not count. */
static const char *
check_basics(const struct search *s, const struct cert *c, bool anchor)
{
	if (c->fault || (c->unprocessed && !anchor))
		return c->fault ? c->fault : c->unprocessed;
	if (c->key == CERT_KEY_RSA && c->bits < RSA_BITS_MIN)
		return "its RSA key has less than 2048 bits";
	if (s->policy->time < c->not_before)
		return "it is not valid yet";
	return s->policy->time > c->not_after ? "it has expired" : NULL;
}

/* Every certificate that an issuer's signature vouches for. */
static const char *
check_issued(const struct cert *c)
{
	static const unsigned char empty_name[] = { DER_SEQUENCE, 0 };

	if (c->hash == CERT_HASH_OTHER)
		return "it is signed in a way that is too weak or not supported (this program "
		       "needs SHA-256, SHA-384 or SHA-512 with RSA PKCS#1 or ECDSA)";
	return der_is(&c->issuer, empty_name, sizeof(empty_name)) ? "its issuer has no name" : NULL;
}

/*
 * Every certificate that signs another. An anchor is a name and a key that the user chose (RFC
 * 5280, 6.1): of its extensions only basicConstraints that say that it is no CA's keep it from
 * that.
 */
static const char *
check_issuer(const struct search *s, const struct cert *c, bool anchor)
{
	const char *why = check_basics(s, c, anchor);

	if (why)
		return why;
	if (anchor ? c->has_basic && !c->ca : !c->ca)
		return "it is not a CA's (no basicConstraints that say so)";
	if (anchor)
		return NULL;
	if (c->has_usage && !(c->usage & CERT_USE_CERT_SIGN))
		return "its keyUsage does not allow it to sign certificates";
	if (c->has_eku && !c->eku_server)
		return "its extKeyUsage does not allow it to vouch for servers";
	return check_issued(c);
}

/* The leaf, whoever vouches for it. */
static const char *
check_leaf(const struct search *s, const struct cert *c, bool own_anchor)
{
	struct certname host;
	const char *why = check_basics(s, c, false);

	if (!why && !own_anchor)
		why = check_issued(c);
	if (why)
		return why;
	if (c->has_usage && !(c->usage & CERT_USE_SIGNATURE))
		return "its keyUsage does not allow signatures, which TLS 1.2 with ECDHE needs";
	if (c->has_eku && !c->eku_server)
		return "its extKeyUsage does not allow it to be a server's";
	if (!certname_parse(&host, s->policy->host))
		return "the host is neither an address nor a name of letters, digits and hyphens";
	return certname_match(c, &host);
}

/* ---- the rules for a path ---- */

/* How many CA certificates on the path count for a path length (RFC 5280, 6.1.4 l). */
static unsigned
count_cas(const struct search *s)
{
	unsigned n = 0;
	size_t i;

	for (i = 1; i < s->depth; i++)
		n += !cert_self_issued(s->path[i]);
	return n;
}

/* A CA's path length and name constraints against the path so far, all of which is below it. */
static const char *
check_limits(struct search *s, const struct cert *ca)
{
	const char *why;
	size_t i;

	if (ca->has_path_len && count_cas(s) > ca->path_len)
		return "more CAs are below it than its pathLenConstraint allows";
	for (i = 0; i < s->depth; i++) {
		if (i && cert_self_issued(s->path[i]))
			continue;
		why = certname_allowed(ca, s->path[i], &s->work);
		if (why)
			return why;
	}
	return NULL;
}

/* ---- the search ---- */

/* Is this CA (its name and its key) on the path already? */
static bool
on_path(const struct search *s, const struct cert *c)
{
	size_t i;

	for (i = 0; i < s->depth; i++) {
		if (der_equal(&s->path[i]->spki, &c->spki) &&
		    der_equal(&s->path[i]->subject, &c->subject))
			return true;
	}
	return false;
}

/* May this CA be above the path, and did its key sign the path's last certificate? */
static bool
vouches(struct search *s, const struct cert *ca, bool anchor)
{
	const char *why = check_issuer(s, ca, anchor);

	if (why) {
		note(s, RANK_CA, ca, "%s", why);
		return false;
	}
	why = check_limits(s, ca);
	if (why) {
		note(s, RANK_PATH, ca, "%s", why);
		return false;
	}
	if (s->signatures == X509_SIGNATURES_MAX) {
		note(s, RANK_BOUND, NULL, "no path was found within %d signatures",
		    X509_SIGNATURES_MAX);
		return false;
	}
	s->signatures++;
	if (is_signed_by(s->path[s->depth - 1], ca))
		return true;
	if (anchor)
		note(s, RANK_UNTRUSTED, NULL,
		    "the trusted certificate (--cacert) of its CA's name has another key than the "
		    "one that signed");
	else
		note(s, RANK_SIGNATURE, NULL,
		    "a signature on the path is wrong: a certificate was changed, or its CA has "
		    "another key");
	return false;
}

static bool extend(struct search *s);

/* Put an intermediate on the path, if it may be there, and go on from it. */
static bool
try_intermediate(struct search *s, const struct cert *c)
{
	bool accepted;

	if (!vouches(s, c, false))
		return false;
	if (s->depth == X509_DEPTH_MAX) {
		note(s, RANK_PATH, NULL,
		    "the path to a trusted certificate has more than %d certificates",
		    X509_DEPTH_MAX);
		return false;
	}
	s->path[s->depth++] = c;
	accepted = extend(s);
	s->depth--;
	return accepted;
}

/*
 * From the path's last certificate upwards: an anchor if there is one, else another intermediate.
 */
static bool
extend(struct search *s)
{
	const struct cert *below = s->path[s->depth - 1], *anchors = NULL;
	size_t count = 0, i;

	if (s->policy->anchors)
		anchors = anchors_find(s->policy->anchors, &below->issuer, &count);
	for (i = 0; i < count; i++) {
		if (vouches(s, &anchors[i], true))
			return true;
	}
	for (i = 1; i < s->count; i++) {
		const struct cert *c = &s->pool[i];

		if (der_equal(&c->subject, &below->issuer) && !on_path(s, c) &&
		    try_intermediate(s, c))
			return true;
	}
	return false;
}

/* No path was found: say whose issuer is missing, unless there is a better reason already. */
static void
explain_untrusted(struct search *s)
{
	const struct cert *c = &s->pool[0], *next = c;
	struct buf b = { 0 };
	size_t i, steps;

	for (steps = 0; next && steps < s->count; steps++) {
		c = next;
		next = NULL;
		for (i = 1; i < s->count && !next; i++) {
			if (!cert_self_issued(c) && der_equal(&s->pool[i].subject, &c->issuer))
				next = &s->pool[i];
		}
	}
	certname_of(&c->issuer, &b);
	if (!s->policy->anchors)
		note(s, RANK_UNTRUSTED, NULL,
		    "there are no trusted certificates (--cacert) to check it against");
	else if (c == &s->pool[0] && cert_self_issued(c))
		note(s, RANK_UNTRUSTED, NULL,
		    "it is self-signed and not among the trusted certificates (--cacert)");
	else if (cert_self_issued(c))
		note(s, RANK_UNTRUSTED, NULL,
		    "its root, %s, is not among the trusted certificates (--cacert)",
		    b.data ? b.data : "?");
	else
		note(s, RANK_UNTRUSTED, NULL,
		    "the certificate of its issuer, %s, is neither among the trusted certificates "
		    "(--cacert) nor among those that the server sent",
		    b.data ? b.data : "?");
	buf_free(&b);
}

/* Is there a path from the leaf to an anchor? A leaf that is one itself (own_anchor) needs none. */
static bool
find_path(struct search *s, bool own_anchor)
{
	const struct cert *leaf = &s->pool[0];
	const char *why = check_leaf(s, leaf, own_anchor);

	if (why) {
		note(s, RANK_CA, NULL, "%s", why);
		return false;
	}
	s->path[0] = leaf;
	s->depth = 1;
	if (own_anchor || extend(s))
		return true;
	explain_untrusted(s);
	return false;
}

/*
 * Parse the chain. Of the certificates after the leaf, duplicates and those that can't be read are
 * skipped.
 */
static bool
parse_chain(struct search *s, const struct der *chain, size_t count)
{
	size_t i, k;

	for (i = 0; i < count && i < X509_CHAIN_MAX; i++) {
		for (k = 0; k < s->count && !der_equal(&s->pool[k].der, &chain[i]); k++)
			;
		if (k < s->count)
			continue;
		if (cert_parse(&s->pool[s->count], &chain[i]))
			s->count++;
		else if (!i)
			return false;
	}
	return s->count > 0;
}

static int
verify(struct search *s, const struct der *chain, size_t count, struct err *err)
{
	const struct x509_policy *policy = s->policy;
	const struct cert *leaf = &s->pool[0];

	if (!count)
		return refuse(policy, NULL, "the server sent none", err);
	if (count > X509_CHAIN_MAX)
		return refuse(
		    policy, NULL, "the server sent more certificates than this program reads", err);
	if (!parse_chain(s, chain, count))
		return refuse(policy, NULL, "it is not a well-formed certificate", err);
	/* First: what else is wrong must not hide that it is another key than the one named. */
	if (policy->pins && !has_pin(policy->pins, &leaf->spki))
		return refuse_pin(policy, leaf, err);
	if (!policy->insecure &&
	    !find_path(s, policy->anchors && anchors_same(policy->anchors, &leaf->der)))
		return refuse(policy, leaf, s->reason, err);
	if (!has_usable_key(leaf))
		return refuse(
		    policy, leaf, leaf->fault ? leaf->fault : "its key can't be used", err);
	return 0;
}

int
x509_verify(
    const struct x509_policy *policy, const struct der *chain, size_t count, struct err *err)
{
	struct search *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_memory(err);
	s->policy = policy;
	r = verify(s, chain, count, err);
	free(s);
	return r;
}

/* ---- as BearSSL's validator ---- */

static struct x509 *
from_class(const br_x509_class *const *ctx)
{
	union {
		const br_x509_class *const *in;
		struct x509 *out;
	} u = { .in = ctx };

	return u.out;
}

static void
start_chain(const br_x509_class **ctx, const char *server_name)
{
	struct x509 *x = from_class(ctx);

	(void)server_name; /* the policy has it, addresses too */
	buf_reset(&x->bytes);
	x->count = 0;
	x->open = x->over = x->refused = false;
	x->pin[0] = '\0';
	memset(&x->key, 0, sizeof(x->key));
}

static void
start_cert(const br_x509_class **ctx, uint32_t length)
{
	struct x509 *x = from_class(ctx);

	x->over = x->over || x->count == X509_CHAIN_MAX || length > X509_BYTES_MAX - x->bytes.len;
	x->open = !x->over;
}

static void
append(const br_x509_class **ctx, const unsigned char *buf, size_t len)
{
	struct x509 *x = from_class(ctx);

	if (x->open)
		buf_add(&x->bytes, buf, len);
}

static void
end_cert(const br_x509_class **ctx)
{
	struct x509 *x = from_class(ctx);

	if (x->open)
		x->end[x->count++] = x->bytes.len;
	x->open = false;
}

/* Keep the leaf's key for the handshake and its pin for messages. */
static int
read_leaf_key(struct x509 *x, const struct der *leaf)
{
	struct cert c;

	if (!cert_parse(&c, leaf))
		return -1;
	x509_format_pin(&c.spki, x->pin);
	return export_key(&c, &x->key) ? 0 : -1;
}

static unsigned
end_chain(const br_x509_class **ctx)
{
	struct x509 *x = from_class(ctx);
	struct der chain[X509_CHAIN_MAX];
	size_t i, begin = 0;
	int r = 0;

	if (x->bytes.failed)
		r = err_memory(&x->err);
	else if (x->over)
		r = refuse(x->policy, NULL,
		    "the server sent more or longer certificates than this program reads", &x->err);
	for (i = 0; i < x->count; begin = x->end[i++])
		chain[i] = (struct der){ (const unsigned char *)x->bytes.data + begin,
			x->end[i] - begin };
	if (r == 0)
		r = x509_verify(x->policy, chain, x->count, &x->err);
	if (x->count && !x->bytes.failed && read_leaf_key(x, &chain[0]) == -1 && r == 0)
		r = refuse(x->policy, NULL, "its key can't be used", &x->err);
	x->refused = r == -1;
	return x->refused ? BR_ERR_X509_NOT_TRUSTED : 0;
}

static const br_x509_pkey *
get_pkey(const br_x509_class *const *ctx, unsigned *usages)
{
	const struct x509 *x = from_class(ctx);

	if (usages)
		/* all that ECDHE suites need; the keyUsage was checked */
		*usages = BR_KEYTYPE_SIGN;
	return x->refused ? NULL : &x->key;
}

static const br_x509_class class = { .context_size = sizeof(struct x509),
	.start_chain = start_chain,
	.start_cert = start_cert,
	.append = append,
	.end_cert = end_cert,
	.end_chain = end_chain,
	.get_pkey = get_pkey };

struct x509 *
x509_new(const struct x509_policy *policy)
{
	struct x509 *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->vtable = &class;
	x->policy = policy;
	return x;
}

void *
x509_class(struct x509 *x)
{
	return &x->vtable;
}

const struct err *
x509_refusal(const struct x509 *x)
{
	return x->refused ? &x->err : NULL;
}

const char *
x509_pin(const struct x509 *x)
{
	return x->pin;
}

void
x509_free(struct x509 *x)
{
	if (!x)
		return;
	buf_free(&x->bytes);
	free(x);
}
