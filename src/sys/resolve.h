/* resolve.h - from a host and a port to addresses, and their text */
#ifndef RESOLVE_H
#define RESOLVE_H

#include "base/def.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

struct deadline;
struct err;

enum { RESOLVE_MAX = 16 }; /* addresses of one name that are kept */
/* longest text of an address and port with its NUL: [IPv6%scope]:port */
enum { RESOLVE_TEXT_MAX = 72 };

/* An address and a port. */
union resolve_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* The addresses of a host and a port, in the order in which to try them. */
struct resolved {
	size_t count;
	union resolve_addr addr[RESOLVE_MAX];
};

/* One --resolve HOST:PORT:ADDR[,ADDR…]. */
struct resolve_entry {
	char host[HOST_MAX + 1]; /* without brackets; "*" for any host */
	unsigned port;
	struct resolved to;
};

/*
 * Parse curl's --resolve HOST:PORT:ADDR[,ADDR…]; an IPv6 address, also as HOST, is in brackets
 * (in ADDR it need not). 0, or -1 with err of kind ERR_USAGE.
 */
int resolve_parse(struct resolve_entry *e, const char *text, struct err *err) WARN_UNUSED;

/*
 * Find the addresses of a host (without brackets) and a port. The entries come first, then literal
 * addresses and "localhost", which need no file; any other name is looked up in a child that is
 * killed at the deadline. The child reads what the network says, so it is confined, and has no
 * $STALPREP_PASSWORD. 0 with at least one address; -1 with err of kind ERR_REACH, ERR_INTERRUPT or
 * ERR_SYSTEM.
 */
int resolve(struct resolved *out, const char *host, unsigned port,
    const struct resolve_entry *entries, size_t count, const struct deadline *deadline,
    struct err *err) WARN_UNUSED;

/* Write the address and port as text, IPv6 in brackets, into out[RESOLVE_TEXT_MAX]. */
void resolve_format(const union resolve_addr *a, char *out);

/* Is it this host's own (127.0.0.0/8, ::1)? */
bool resolve_is_loopback(const union resolve_addr *a);

#endif
