#include "format/addr.h"

#include "base/err.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { BITS_MIN = 8 }; /* the server refuses wider networks (server-facts: what a network is) */

static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static unsigned
bits_max(const struct net *n)
{
	return n->family == 4 ? 32 : 128;
}

bool
addr_parse(struct net *n, const char *text)
{
	memset(n, 0, sizeof(*n));
	if (inet_pton(AF_INET, text, n->addr) == 1) {
		n->family = 4;
		n->bits = 32;
		return true;
	}
	if (inet_pton(AF_INET6, text, n->addr) != 1)
		return false;
	n->family = 6;
	n->bits = 128;
	if (!memcmp(n->addr, mapped, sizeof(mapped))) {
		memmove(n->addr, n->addr + 12, 4);
		memset(n->addr + 4, 0, 12);
		n->family = 4;
		n->bits = 32;
	}
	return true;
}

/* Clear the bits after the network's own. True when one of them was set. */
static bool
mask(struct net *n)
{
	unsigned char keep;
	bool had = false;
	unsigned i;

	for (i = 0; i < bits_max(n) / 8; i++) {
		keep = n->bits >= (i + 1) * 8 ? 0xff
		    : n->bits <= i * 8        ? 0
					      : (unsigned char)(0xff << (8 - n->bits % 8));
		had |= (n->addr[i] & ~keep) != 0;
		n->addr[i] &= keep;
	}
	return had;
}

/* Up to three decimal digits, without a leading zero; -1 for anything else. */
static int
parse_bits(const char *text)
{
	int value = 0;
	size_t i;

	if (!text[0] || (text[0] == '0' && text[1]))
		return -1;
	for (i = 0; text[i]; i++) {
		if (text[i] < '0' || text[i] > '9' || i == 3)
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value;
}

/*
 * Split ADDR[/BITS]; bits is -1 when there are none, -2 when they are not a number. False when
 * ADDR is not an address.
 */
static bool
split(struct net *n, const char *text, int *bits, bool *was_mapped)
{
	const char *slash = strchr(text, '/');
	char addr[INET6_ADDRSTRLEN];
	size_t len = slash ? (size_t)(slash - text) : strlen(text);

	if (len >= sizeof(addr))
		return false;
	memcpy(addr, text, len);
	addr[len] = '\0';
	*bits = -1;
	if (slash && (*bits = parse_bits(slash + 1)) == -1)
		*bits = -2;
	if (!addr_parse(n, addr))
		return false;
	*was_mapped = n->family == 4 && strchr(addr, ':');
	return true;
}

/* Does an IPv6 network cover ::ffff:0:0/96? Then the server trusts every IPv4 client. */
static bool
covers_mapped(const struct net *n)
{
	struct net all;

	memset(&all, 0, sizeof(all));
	memcpy(all.addr, mapped, sizeof(mapped));
	all.family = 6;
	all.bits = n->bits;
	mask(&all);
	return n->family == 6 && n->bits <= 96 && !memcmp(all.addr, n->addr, sizeof(all.addr));
}

int
net_parse(struct net *n, const char *text, struct err *err)
{
	bool was_mapped;
	char right[NET_TEXT_MAX];
	int bits;

	if (!split(n, text, &bits, &was_mapped))
		return err_set(err, ERR_USAGE,
		    "\"%.60s\" is not an IP address or network (ADDR or ADDR/BITS), such as "
		    "203.0.113.10 or 2001:db8::/64",
		    text);
	if (was_mapped && bits >= 0) {
		if (bits < 96 || (bits > 96 && bits < 96 + BITS_MIN) || bits > 128)
			return err_set(err, ERR_USAGE,
			    "\"%.60s\": a mapped network needs 104 to 128 bits; fewer would trust "
			    "every IPv4 client. Write it as IPv4",
			    text);
		bits -= 96;
		if (bits == 0)
			return err_set(err, ERR_USAGE,
			    "\"%.60s\" would trust every IPv4 client. Write the proxy's own "
			    "address as IPv4",
			    text);
	}
	if (bits == -1)
		bits = (int)bits_max(n);
	if (bits < BITS_MIN || bits > (int)bits_max(n))
		return err_set(err, ERR_USAGE,
		    "\"%.60s\": the server accepts an IPv%d network from /%d to /%u; for this one "
		    "address leave out /BITS",
		    text, n->family, BITS_MIN, bits_max(n));
	n->bits = (unsigned char)bits;
	if (mask(n)) {
		net_format(n, right);
		return err_set(err, ERR_USAGE,
		    "\"%.60s\" has bits set after its /%d: the network is %s (for the one address "
		    "leave out /%d)",
		    text, was_mapped ? bits + 96 : bits, right, was_mapped ? bits + 96 : bits);
	}
	if (covers_mapped(n))
		return err_set(err, ERR_USAGE,
		    "\"%.60s\" covers ::ffff:0:0/96: with it the server would trust every IPv4 "
		    "client. Name the proxy's own address",
		    text);
	return 0;
}

/*
 * The server accepts blanks around both halves, and reads the bits as Rust's u32: with a plus sign
 * or leading zeros.
 */
static void
tidy_server(const char *text, char *out, size_t size)
{
	const char *slash = strrchr(text, '/'), *bits = slash ? slash + 1 : NULL;
	size_t len = slash ? (size_t)(slash - text) : strlen(text);

	while (len && isspace((unsigned char)*text))
		text++, len--;
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	while (bits && isspace((unsigned char)*bits))
		bits++;
	if (bits && *bits == '+')
		bits++;
	while (bits && *bits == '0' && bits[1] >= '0' && bits[1] <= '9')
		bits++;
	snprintf(out, size, "%.*s%s%s", (int)len, text, bits ? "/" : "", bits ? bits : "");
	for (len = strlen(out); len && isspace((unsigned char)out[len - 1]); len--)
		out[len - 1] = '\0';
}

bool
net_parse_server(struct net *n, const char *text)
{
	char tidy[INET6_ADDRSTRLEN + 8];
	bool was_mapped;
	int bits;

	if (strlen(text) >= sizeof(tidy))
		return false;
	tidy_server(text, tidy, sizeof(tidy));
	if (!split(n, tidy, &bits, &was_mapped))
		return false;
	if (was_mapped && bits >= 96) {
		/* the same IPv4 clients, written shorter; /96 is all of them */
		bits -= 96;
	} else if (was_mapped && bits >= BITS_MIN) {
		memcpy(n->addr + 12, n->addr, 4);
		memcpy(n->addr, mapped, sizeof(mapped));
		n->family = 6;
	} else if (bits != -1 && bits < BITS_MIN) {
		return false;
	}
	if (bits == -1)
		bits = (int)bits_max(n);
	if (bits > (int)bits_max(n))
		return false;
	n->bits = (unsigned char)bits;
	mask(n);
	return true;
}

void
net_format(const struct net *n, char *out)
{
	char addr[INET6_ADDRSTRLEN] = "";

	inet_ntop(n->family == 4 ? AF_INET : AF_INET6, n->addr, addr, sizeof(addr));
	snprintf(out, NET_TEXT_MAX, "%s/%u", addr, n->bits);
}

bool
net_covers(const struct net *outer, const struct net *inner)
{
	struct net cut = *inner;

	if (outer->family != inner->family)
		return outer->family == 6 && covers_mapped(outer);
	if (outer->bits > inner->bits)
		return false;
	cut.bits = outer->bits;
	mask(&cut);
	return !memcmp(cut.addr, outer->addr, sizeof(cut.addr));
}

bool
net_is_loopback(const struct net *n)
{
	static const unsigned char one[16] = { [15] = 1 };

	return n->family == 4 ? n->addr[0] == 127
			      : n->bits == 128 && !memcmp(n->addr, one, sizeof(one));
}
