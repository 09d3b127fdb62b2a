/* listener.h - the server's listeners, as its settings describe them */
#ifndef LISTENER_H
#define LISTENER_H

#include "base/def.h"

#include <stdbool.h>

struct err;
struct pool;
struct settings;

/* A server has no more listeners, and a listener no more binds; else it is refused. */
enum { LISTENER_COUNT_MAX = 1000, LISTENER_BINDS_MAX = 1000 };

/* By server-facts, "What the settings mean". */
enum protocol {
	PROTOCOL_SMTP,
	PROTOCOL_LMTP,
	PROTOCOL_IMAP,
	PROTOCOL_POP3,
	PROTOCOL_SIEVE,
	PROTOCOL_HTTP,
	PROTOCOL_UNKNOWN
};

struct listener {
	const char *id, *protocol_text;
	const char *binds; /* all of them, ", " between; "" for none */
	enum protocol protocol;
	bool on_25;           /* a bind ends in port 25 */
	bool elsewhere;       /* a bind ends in another port */
	bool submission_only; /* it has binds, and each ends in 465 or 587 */
	bool macro;           /* a bind holds a macro: its port is not known here */
	bool loopback_only;   /* it has binds, and each is an address of this host alone */
	bool tls_implicit;    /* TLS from the first byte, as on 465 */
};

/* Strings live in the pool and the settings. Zero-initialise. */
struct listeners {
	struct listener *items;
	size_t count;
};

/*
 * Refuse settings with more listeners than that, or with more binds or networks (TRUSTED_MAX) of
 * one: each costs work and keys. Comes before anything is built from them. 0 or -1 with err.
 */
int listener_check_count(const struct settings *s, struct err *err) WARN_UNUSED;

/* The protocol that a setting names. */
enum protocol listener_protocol(const char *text);

/*
 * The port of a bind, after its last colon, as a number ("0025" binds 25); -1 when there is none.
 */
long listener_port(const char *bind);

/* Every listener in s, in the server's order. pool_check tells whether memory ran out. */
void listener_find_all(struct listeners *out, struct pool *pool, const struct settings *s);

/*
 * Do mail clients submit mail to this listener of protocol smtp? Every bind is 465 or 587, or none
 * is 25 and TLS is implicit, which no relay between servers speaks.
 */
bool listener_is_submission(const struct listener *l);

/*
 * Does this name make the proxy's keys of a listener look like settings of another one? A listener
 * "x.proxy.trusted-networks" has its keys among the networks of listener x, and "x.bind" among its
 * binds.
 */
bool listener_name_is_ambiguous(const char *id);

/* The one of that name, or NULL. */
const struct listener *listener_by_id(const struct listeners *l, const char *id);

#endif
