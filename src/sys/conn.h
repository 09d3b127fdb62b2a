/* conn.h - a TCP connection with deadlines */
#ifndef CONN_H
#define CONN_H

#include "base/def.h"
#include "sys/resolve.h"

#include <stdbool.h>

struct deadline;
struct err;
struct transport;

/* A TCP connection. */
struct conn {
	int fd; /* -1 when there is none */
	/* the caller's; may be pointed elsewhere, or changed, between calls */
	const struct deadline *deadline;
	char peer[RESOLVE_TEXT_MAX]; /* the address that answered */
};

/*
 * Connect to the first address that answers: each is tried a moment after the one before it, or
 * when that has failed, and the earlier ones are still waited for (RFC 8305). The one that answered
 * is the first of `to` from then on. The deadline is the caller's and is used by the transport as
 * long as the connection lives. 0; or -1 with err naming each address and its reason, and nothing
 * to close.
 */
int conn_open(struct conn *c, struct resolved *to, const struct deadline *deadline,
    struct err *err) WARN_UNUSED;

/*
 * The connection as a stream; valid as long as c. A peer that is gone is an err, never a SIGPIPE.
 */
struct transport conn_transport(struct conn *c);

/*
 * Is there nothing to read, not even an end? If no answer is awaited, anything else means that the
 * connection can't be used any more: it was closed, or is about to be. Does not wait.
 */
bool conn_is_quiet(const struct conn *c);

/*
 * The PROXY protocol's header, version 2, of a connection that the sender makes for itself (LOCAL,
 * no addresses). It goes before anything else.
 */
enum { CONN_HEADER_LEN = 16 };
extern const unsigned char conn_local_header[CONN_HEADER_LEN];

/* Send it. 0 or -1 with err. */
int conn_send_local_header(struct conn *c, struct err *err) WARN_UNUSED;

/* Write the address and port that it comes from, as resolve_format does; "" if not known. */
void conn_local(const struct conn *c, char out[RESOLVE_TEXT_MAX]);

/* Close it; closing twice, or one that was never opened but has fd -1, is allowed. */
void conn_close(struct conn *c);

#endif
