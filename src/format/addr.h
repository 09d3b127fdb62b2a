/* addr.h - IP addresses and networks, as the older server reads them */
#ifndef ADDR_H
#define ADDR_H

#include "base/def.h"

#include <stdbool.h>

struct err;

enum { NET_TEXT_MAX = 52 }; /* longest text of a network, with its NUL */

struct net {
	unsigned char addr[16]; /* network order; IPv4 in the first 4 bytes */
	unsigned char family;   /* 4 or 6 */
	unsigned char bits;     /* 8..32 or 8..128 (server-facts: what a network is) */
};

/*
 * Parse an address alone, without brackets, zone or bits. A mapped IPv4 address (::ffff:a.b.c.d)
 * becomes IPv4. bits is 32 or 128. False when it is not an address.
 */
bool addr_parse(struct net *n, const char *text);

/*
 * Parse ADDR or ADDR/BITS from a user. A mapped network becomes IPv4. Refused: host bits that are
 * set (err names the right network), bits that the server refuses, an IPv6 network that trusts
 * every IPv4 client. 0 or -1.
 */
int net_parse(struct net *n, const char *text, struct err *err) WARN_UNUSED;

/*
 * Parse a network from the server's settings by the server's rules; host bits are cleared. False
 * when the server would trust nobody through it.
 */
bool net_parse_server(struct net *n, const char *text);

/* Write n as ADDR/BITS into out[NET_TEXT_MAX]. */
void net_format(const struct net *n, char *out);

/*
 * Does outer hold every address of inner? An IPv6 network that covers ::ffff:0:0/96 also holds IPv4
 * ones.
 */
bool net_covers(const struct net *outer, const struct net *inner);

/* Is it 127.0.0.0/8 or ::1? */
bool net_is_loopback(const struct net *n);

#endif
