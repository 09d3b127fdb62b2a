/* url.h - the management API's URL, the advertised origin, and host names */
#ifndef URL_H
#define URL_H

#include "base/def.h"

#include <stdbool.h>

struct err;

enum { ORIGIN_MAX = HOST_MAX + 32 }; /* longest origin's text with its NUL */

/* An origin: scheme, host, port. */
struct url {
	bool https;
	bool is_addr;            /* host is an IP address (without brackets) */
	unsigned port;           /* 1..65535 */
	char host[HOST_MAX + 1]; /* lower case */
};

/*
 * Parse http(s)://HOST[:PORT] with at most one trailing slash: a path, a query, a user or a
 * fragment is refused. Plain http is allowed for a loopback address or "localhost" only. what names
 * the option in messages. 0 or -1.
 */
int url_parse(struct url *u, const char *text, const char *what, struct err *err) WARN_UNUSED;

/* The same for the advertised URL: https, a host name (not an address). 0 or -1. */
int url_parse_public(
    struct url *u, const char *text, const char *what, struct err *err) WARN_UNUSED;

/*
 * Write scheme://host[:port] into out[ORIGIN_MAX]: IPv6 in brackets, without the scheme's own port.
 */
void url_format(const struct url *u, char *out);

/* Write host[:port] into out[ORIGIN_MAX], as in the Host header. */
void url_authority(const struct url *u, char *out);

/* Is the host this machine: a loopback address or "localhost"? */
bool url_is_loopback(const struct url *u);

/*
 * Is it a DNS host name of letters, digits, hyphens and dots, whose last label is not all digits? A
 * final dot is fine.
 */
bool host_is_name(const char *text);

#endif
