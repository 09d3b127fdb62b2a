/*
 * certname.h - which names a certificate holds, which a host matches, which a CA's constraints
 * allow (RFC 5280, 6125)
 */
#ifndef CERTNAME_H
#define CERTNAME_H

#include "base/def.h"

#include <stdbool.h>

struct buf;
struct cert;
struct der;

enum { CERTNAME_WORK_MAX = 1 << 18 }; /* comparisons of names with constraints on one path */

/* What a certificate must name. */
struct certname {
	unsigned char addr[16];  /* network order */
	unsigned addr_len;       /* 4 or 16; 0 when it is a name */
	char name[HOST_MAX + 1]; /* lower case, without a final dot */
};

/*
 * Read a host as the user gave it (IPv6 without brackets; a scope is dropped). False when no
 * certificate can name it.
 */
bool certname_parse(struct certname *n, const char *host);

/* Does the leaf name this host? NULL, or why not, in the user's words (static storage). */
const char *certname_match(const struct cert *leaf, const struct certname *host);

/*
 * Do this CA's name constraints allow the certificate below it? NULL, or why not (static storage).
 * *work counts comparisons over a whole path and is bounded by CERTNAME_WORK_MAX.
 */
const char *certname_allowed(const struct cert *ca, const struct cert *below, unsigned *work);

/*
 * Append what a Name (with its header) is best known by, "CN=…" or another attribute, for a
 * message.
 */
void certname_of(const struct der *name, struct buf *out);

/*
 * Append the names of a certificate for a message: at most `max`, control bytes and the like
 * replaced.
 */
void certname_list(const struct cert *c, unsigned max, struct buf *out);

#endif
