/*
 * fuzz_cert.c - one certificate in DER: every field lies inside it, nothing may be missing from it
 * or follow it, and what BearSSL's decoder reads of it is the same
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/when.h"
#include "der_mutate.h"
#include "tls/cert.h"
#include "tls/certname.h"

#include <bearssl.h>

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	return der_mutate(data, size, max, seed);
}

static void
check_inside(const struct cert *c)
{
	const struct der *views[] = { &c->tbs, &c->signature, &c->issuer, &c->subject, &c->spki,
		&c->modulus, &c->exponent, &c->point, &c->permitted, &c->excluded, &c->san };
	size_t i;

	for (i = 0; i < COUNT(views); i++)
		CHECK(!views[i]->len ||
			(views[i]->p >= c->der.p &&
			    views[i]->p + views[i]->len <= c->der.p + c->der.len),
		    "field %zu lies outside", i);
}

/* What must hold where nothing was found wrong. */
static void
check_good(const struct cert *c)
{
	char when[WHEN_MAX];

	CHECK(c->version >= 1 && c->version <= 3, "version %u", c->version);
	CHECK(c->key == CERT_KEY_RSA || c->key == CERT_KEY_EC, "kind of key %d", c->key);
	CHECK(c->bits <= 4096 && c->tbs.len && c->issuer.len && c->subject.len && c->spki.len,
	    "a field is missing");
	if (c->key == CERT_KEY_RSA)
		CHECK(c->modulus.len * 8 == c->bits && c->modulus.p[0] & 0x80 && c->exponent.len,
		    "RSA of %u bits", c->bits);
	else
		CHECK(c->point.len == 1 + 2 * ((c->bits + 7) / 8) && c->point.p[0] == 4,
		    "a point of %zu bytes", c->point.len);
	CHECK(c->ca || !c->has_path_len, "basicConstraints");
	CHECK(c->has_san == (c->san.len > 0), "subjectAltName");
	CHECK(c->has_constraints == (c->permitted.len || c->excluded.len), "nameConstraints");
	CHECK(c->has_usage || !c->usage, "keyUsage");
	when_format(when, c->not_before);
	CHECK(*when != '?', "a date out of range");
}

static void
append_dn(void *ctx, const void *data, size_t len)
{
	buf_add(ctx, data, len);
}

static void
compare(const struct cert *c)
{
	br_x509_decoder_context d;
	struct buf dn = { 0 };
	br_x509_pkey *key;

	br_x509_decoder_init(&d, append_dn, &dn);
	br_x509_decoder_push(&d, c->der.p, c->der.len);
	key = br_x509_decoder_get_pkey(&d);
	if (key && !br_x509_decoder_last_error(&d)) {
		CHECK(dn.len == c->subject.len && !memcmp(dn.data, c->subject.p, dn.len),
		    "another subject");
		CHECK(!br_x509_decoder_isCA(&d) == !c->ca, "a CA's or not?");
		CHECK((key->key_type == BR_KEYTYPE_RSA) == (c->key == CERT_KEY_RSA),
		    "another kind of key");
		if (c->key == CERT_KEY_RSA)
			CHECK(der_is(&c->modulus, key->key.rsa.n, key->key.rsa.nlen) &&
				der_is(&c->exponent, key->key.rsa.e, key->key.rsa.elen),
			    "another RSA key");
		else
			CHECK(der_is(&c->point, key->key.ec.q, key->key.ec.qlen), "another point");
	}
	buf_free(&dn);
}

static void
check_shown(const struct cert *c)
{
	struct buf out = { 0 };
	size_t i;

	certname_list(c, 8, &out);
	certname_of(&c->subject, &out);
	certname_of(&c->issuer, &out);
	for (i = 0; i < out.len; i++)
		CHECK(out.data[i] >= ' ' && out.data[i] <= '~', "a message would hold the byte %d",
		    out.data[i]);
	buf_free(&out);
}

/* Neither shorter nor longer is it a certificate. */
static void
check_length(const uint8_t *data, size_t size)
{
	char *copy = text_of(data, size);
	struct der der = { (const unsigned char *)copy, size - 1 };
	struct cert c;

	CHECK(!cert_parse(&c, &der), "its last byte is not missed");
	der.len = size + 1;
	CHECK(!cert_parse(&c, &der), "a byte may follow it");
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);
	struct der der = { (const unsigned char *)copy, size };
	struct cert c;

	CHECK(copy, "no memory");
	if (size)
		memcpy(copy, data, size);
	if (cert_parse(&c, &der)) {
		check_inside(&c);
		check_shown(&c);
		check_length(data, size);
		if (!c.fault) {
			check_good(&c);
			compare(&c);
		}
	} else {
		CHECK(c.fault, "no reason");
	}
	free(copy);
	return 0;
}
