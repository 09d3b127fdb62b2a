/*
 * x509.h - is this chain of certificates the server's? The profile of RFC 5280, RFC 6125 and the
 * CA/Browser baseline
 */
#ifndef X509_H
#define X509_H

/*
 * The profile. Each of these is checked, and refused where it does not hold:
 * - Every certificate: strict DER with nothing behind it; the same signature algorithm in both
 *   places; no extension twice; RSA of 2048 to 4096 bits in whole bytes, or EC on P-256, P-384 or
 *   P-521 (named, uncompressed); valid now.
 * - Leaf and intermediates: no critical extension that is not processed here; signed with RSA
 * PKCS#1 or ECDSA and SHA-256, -384 or -512; an issuer with a name; serverAuth or any purpose where
 * there is an extKeyUsage.
 * - Intermediates: basicConstraints with CA; keyCertSign where there is a keyUsage.
 * - Anchors are names and keys that the user chose (RFC 5280, 6.1): their own signature, keyUsage,
 *   extKeyUsage and critical extensions are not looked at. One with basicConstraints that say that
 *   it is no CA's signs nothing.
 * - Intermediates and anchors: the pathLenConstraint, and the nameConstraints, critical or not, for
 *   all certificates below.
 * - nameConstraints: dNSName and iPAddress are compared. A permitted directoryName must be, byte
 *   for byte, the beginning of the subject. A certificate is refused if it has a name of any other
 *   form that is constrained, or a directory name where one is excluded.
 * - The leaf: digitalSignature where there is a keyUsage (ECDHE needs it); a subjectAltName,
 *   well-formed throughout, that names the host: a dNSName for a name (never the common name; a
 *   wildcard is the whole leftmost label and has two labels below it), an iPAddress for an address.
 *   It may be a CA's (RFC 5280, 4.2.1.9). One that is itself among the anchors needs no path.
 * - The path: each issuer's name is, byte for byte, its CA's subject, and each signature verifies.
 *   The server may send its certificates in any order, twice, and with strangers among them. Other
 *   paths are tried, up to a bound.
 * What RFC 5280 asks of CAs alone is not checked: key identifiers, which extensions are critical,
 * serial numbers, how dates are written. Nor are revocation, certificate transparency, and public
 * suffixes of several labels. Not supported, so refused: policyConstraints and critical policy
 * extensions other than certificatePolicies; RSA-PSS, Ed25519, DSA, other curves; names that are
 * equal only when folded.
 */

#include "base/def.h"
#include "tls/der.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct anchors;
struct err;
struct x509;

enum { X509_CHAIN_MAX = 64 };         /* certificates that a server may send */
enum { X509_BYTES_MAX = 512 * 1024 }; /* bytes of them all */
enum { X509_DEPTH_MAX = 8 };        /* certificates on a path, the leaf included, the anchor not */
enum { X509_SIGNATURES_MAX = 128 }; /* verified at most, over all paths that are tried */
enum { X509_PIN_MAX = 16 };         /* pins in one --pinnedpubkey */
enum { X509_PIN_TEXT_MAX = 64 };    /* longest text of a pin with its NUL */

/* SHA-256 of SubjectPublicKeyInfo: a key must have one of these. */
struct x509_pins {
	size_t count;
	unsigned char sha256[X509_PIN_MAX][32];
};

/* What a chain is checked against. */
struct x509_policy {
	/* name or address as given, IPv6 without brackets; a final dot is not compared */
	const char *host;
	const struct anchors *anchors; /* NULL: trust nobody */
	const struct x509_pins *pins;  /* NULL: no pin */
	bool insecure;                 /* curl's -k: only the pin counts, if there is one */
	int64_t time;                  /* seconds since 1970 */
};

/*
 * Parse curl's --pinnedpubkey: "sha256//BASE64", several separated by ';', or the name of a file
 * with a public key or a certificate, PEM or DER. 0, or -1 with err of kind ERR_USAGE or
 * ERR_SYSTEM.
 */
int x509_pins_parse(struct x509_pins *pins, const char *text, struct err *err) WARN_UNUSED;

/* Write the pin of a SubjectPublicKeyInfo, "sha256//…". */
void x509_format_pin(const struct der *spki, char out[X509_PIN_TEXT_MAX]);

/*
 * Check a chain as a server sent it, leaf first, the others in any order. Needs no TLS and no
 * network. 0; or -1 with err of kind ERR_TRUST: the reason, the key's pin, the certificate's dates
 * and names, the policy's time, and the way out. If the key is none of the pins, that is the reason
 * whatever else is wrong, and no text is ready to paste.
 */
int x509_verify(const struct x509_policy *policy, const struct der *chain, size_t count,
    struct err *err) WARN_UNUSED;

/*
 * The same as a BearSSL certificate validator (a br_x509_class) that x509_class names; policy must
 * live as long. NULL when the memory ran out. x509_free when done.
 */
struct x509 *x509_new(const struct x509_policy *policy);

/* The pointer to hand to br_ssl_engine_set_x509: a `const br_x509_class **`, owned by x. */
void *x509_class(struct x509 *x);

/* Why the chain was refused, or NULL when it was not (or none came). Owned by x. */
const struct err *x509_refusal(const struct x509 *x);

/* The leaf key's pin as text, "sha256//…", or "" before one came. Owned by x. */
const char *x509_pin(const struct x509 *x);

/* Free it. NULL is allowed. */
void x509_free(struct x509 *x);

#endif
