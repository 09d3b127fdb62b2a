/*
 * http1.h - an HTTP/1.1 client over a transport: requests in one write, answers in order, strict
 * framing (RFC 9112)
 */
#ifndef HTTP1_H
#define HTTP1_H

#include "base/buf.h"
#include "base/def.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct secret;
struct transport;

/* bytes of an answer's status line and header fields, interim ones each */
enum { HTTP1_HEAD_MAX = 32 * 1024 };
enum { HTTP1_BODY_MAX = 16 * 1024 * 1024 }; /* bytes of an answer's body */
enum { HTTP1_INTERIM_MAX = 8 };             /* interim (1xx) answers before one final */
enum { HTTP1_CHUNK_LINE_MAX = 1024 };       /* bytes of a chunk's size line, extensions included */
/* bytes of the trailer section, which is checked and dropped */
enum { HTTP1_TRAILER_MAX = 8 * 1024 };
enum { HTTP1_TYPE_MAX = 128 };     /* longest content type kept, with its NUL */
enum { HTTP1_LOCATION_MAX = 512 }; /* longest Location kept (only to be shown), with its NUL */

/* A request; all of it is the caller's and needed only during http1_queue. */
struct http1_request {
	const char *method;
	const char *target; /* origin form, already escaped: "/api/settings" */
	/* the Host field's value: host[:port], IPv6 in brackets */
	const char *host;
	/* the Authorization field's value, or NULL for none */
	const struct secret *authorization;
	const char *body; /* JSON, or NULL for none */
	size_t body_len;
};

/* An answer. Zero-initialise; http1_answer_free when done; may be used again. */
struct http1_answer {
	int status; /* 200..599 */
	struct buf body;
	bool close; /* no further answer comes on this connection */
	bool json;  /* the type is application/json or ends in +json */
	/* media type in lower case, without parameters; "" when absent or too long */
	char type[HTTP1_TYPE_MAX];
	/* Location, never followed, control bytes replaced; "" when absent */
	char location[HTTP1_LOCATION_MAX];
};

/* One connection's state. Zero it with http1_init; http1_free when done. */
struct http1 {
	const struct transport *transport;
	struct buf out;   /* requests not yet sent; wiped once they are */
	struct buf in;    /* bytes received and not yet used */
	size_t used;      /* bytes at the front of `in` that are done with */
	unsigned queued;  /* requests in out */
	unsigned awaited; /* requests sent whose answers did not come yet */
	/* since http1_init a write was begun: some of a request may be with the server */
	bool sent_bytes;
	bool closed; /* the connection can't be used again */
};

/* Begin to speak over a transport, which must outlive h. */
void http1_init(struct http1 *h, const struct transport *transport);

/*
 * Append a request to those to be sent. 0; -1 with err when the connection is closed or the memory
 * ran out.
 */
int http1_queue(struct http1 *h, const struct http1_request *request, struct err *err) WARN_UNUSED;

/*
 * Send all that is queued in one write, then wipe it, whether it went or not. 0; or -1 with err:
 * then some of it may have been sent.
 */
int http1_flush(struct http1 *h, struct err *err) WARN_UNUSED;

/*
 * Receive the next answer, in the order of the requests. It is complete only by its Content-Length
 * or a whole chunked body. 0; or -1 with err: ERR_REACH when the transport failed or ended,
 * ERR_SERVER when it is not a proper answer. After -1 the connection is closed to further use.
 */
int http1_receive(struct http1 *h, struct http1_answer *answer, struct err *err) WARN_UNUSED;

/* Wipe and free an answer; it may be used again. */
void http1_answer_free(struct http1_answer *answer);

/* Wipe and free what h holds; the transport stays the caller's. */
void http1_free(struct http1 *h);

#endif
