/*
 * der.h - reading DER (X.690): definite, minimal lengths; nothing is copied, nothing is read
 * outside the view
 */
#ifndef DER_H
#define DER_H

#include "base/def.h"

#include <stdbool.h>
#include <stdint.h>

/* A view of bytes that somebody else owns. */
struct der {
	const unsigned char *p; /* never used when len is 0 */
	size_t len;
};

/* Identifier bytes (one byte each: no certificate needs tags above 30). */
enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_UTF8 = 0x0c,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31
};

/* The identifier byte of a context-specific tag (n up to 30). */
#define DER_CONTEXT(n)             (0x80u | (n))
#define DER_CONTEXT_CONSTRUCTED(n) (0xa0u | (n))

/*
 * Take the next element off the front of in. False, and in as it was, when there is none or it is
 * malformed.
 */
bool der_next(struct der *in, unsigned *tag, struct der *content);

/* The same for an element that must have this identifier byte. */
bool der_take(struct der *in, unsigned tag, struct der *content);

/* The same, but whole is the element with its header. */
bool der_take_whole(struct der *in, unsigned tag, struct der *content, struct der *whole);

/* Does the next element start with this identifier byte? */
bool der_at(const struct der *in, unsigned tag);

/* Is content a BOOLEAN's (00 or ff alone)? *value is what it says. */
bool der_boolean(const struct der *content, bool *value);

/* Is content a minimal INTEGER's? */
bool der_integer(const struct der *content);

/*
 * Take an INTEGER above 0 off the front of in: its bytes less the zero in front, if there is one.
 */
bool der_take_positive(struct der *in, struct der *out);

/* An INTEGER's content from 0 to max. */
bool der_small(const struct der *content, unsigned max, unsigned *value);

/*
 * A BIT STRING's content: the bytes, and how many bits at the end are unused (0..7, all of them 0).
 */
bool der_bits(const struct der *content, struct der *bytes, unsigned *unused);

/* Is content an OBJECT IDENTIFIER's: arcs complete and minimal? */
bool der_oid(const struct der *content);

/*
 * UTCTime or GeneralizedTime, to the second and in UTC as RFC 5280 (4.1.2.5) has them, in seconds
 * since 1970.
 */
bool der_time(unsigned tag, const struct der *content, int64_t *seconds);

/* Are the two views the same bytes? */
bool der_equal(const struct der *a, const struct der *b);

/* Is the view these bytes? */
bool der_is(const struct der *a, const void *bytes, size_t len);

#endif
