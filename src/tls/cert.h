/* cert.h - one X.509 certificate taken apart, strictly (RFC 5280, section 4) */
#ifndef CERT_H
#define CERT_H

#include "base/def.h"
#include "tls/der.h"

#include <stdbool.h>
#include <stdint.h>

enum { CERT_EXTENSIONS_MAX = 64 }; /* extensions in one certificate */
enum { CERT_RSA_BITS_MAX = 4096 }; /* BearSSL's BR_MAX_RSA_SIZE */

enum cert_key { CERT_KEY_OTHER, CERT_KEY_RSA, CERT_KEY_EC };
enum cert_curve { CERT_CURVE_NONE, CERT_P256, CERT_P384, CERT_P521 };
enum cert_hash { CERT_HASH_OTHER, CERT_SHA256, CERT_SHA384, CERT_SHA512 };

/* keyUsage's bits, by their number from the left (RFC 5280, 4.2.1.3). */
enum { CERT_USE_SIGNATURE = 1 << 0, CERT_USE_CERT_SIGN = 1 << 5 };

/* All views point into `der`, which the certificate's owner keeps. */
struct cert {
	struct der der;                /* the certificate */
	struct der tbs;                /* what is signed, with its header */
	struct der signature;          /* BIT STRING's bytes */
	struct der issuer, subject;    /* the Names with their headers */
	struct der spki;               /* SubjectPublicKeyInfo with its header */
	int64_t not_before, not_after; /* seconds since 1970 */
	unsigned version;              /* 1..3 */

	enum cert_key key;
	enum cert_curve curve;        /* of an EC key */
	struct der modulus, exponent; /* of an RSA key, without leading zeros */
	struct der point;             /* of an EC key, uncompressed */
	unsigned bits;                /* of the key */

	enum cert_key signer; /* kind of key that signed */
	enum cert_hash hash;

	bool has_basic, ca, has_path_len; /* of basicConstraints */
	unsigned path_len;
	bool has_usage;
	unsigned usage;           /* CERT_USE_… */
	bool has_eku, eku_server; /* serverAuth, or any purpose */
	bool has_constraints;
	struct der permitted, excluded; /* GeneralSubtrees' contents; p NULL when absent */
	bool has_san;
	struct der san; /* GeneralNames' content */

	/* for messages: the first thing that forbids its use; NULL for none */
	const char *fault;
	/* the first extension that a path would have to process, and that is not processed */
	const char *unprocessed;
};

/*
 * Take a certificate apart. The view must stay as long as c is used. True when the fields are
 * filled: then `fault` tells whether something (an extension given twice, a key that can't be used)
 * forbids its use. False, with fault set, when it can't be read as far as its
 * public key.
 */
bool cert_parse(struct cert *c, const struct der *der);

/* Are subject and issuer the same Name? */
bool cert_self_issued(const struct cert *c);

#endif
