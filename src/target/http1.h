/* http1.h - an HTTP/1.1 client: answers in order, strict framing (RFC 9112) */
#ifndef HTTP1_H
#define HTTP1_H

#include "base/buf.h"
#include "base/def.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct secret;
struct transport;

/* bytes of an answer's status line and header fields; also of each interim answer */
enum { HTTP1_HEAD_MAX = 32 * 1024 };
enum { HTTP1_BODY_MAX = 64 * 1024 * 1024 }; /* bytes of an answer's body; err.code is EFBIG above */
enum { HTTP1_INTERIM_MAX = 8 };             /* interim (1xx) answers before the final one */
enum { HTTP1_CHUNK_LINE_MAX = 1024 };       /* bytes of a chunk's size line, extensions included */
/* bytes of the trailer section, which is checked and dropped */
enum { HTTP1_TRAILER_MAX = 8 * 1024 };
enum { HTTP1_TYPE_MAX = 128 };     /* longest content type kept, with its NUL */
enum { HTTP1_LOCATION_MAX = 512 }; /* longest Location kept for messages, with its NUL */

/* A request. The caller owns all of it; http1_queue copies what it needs. */
struct http1_request {
	const char *method;
	const char *target; /* origin form, already escaped: "/api/settings" */
	const char *host;   /* value of the Host field: host[:port], IPv6 in brackets */
	/* value of the Authorization field, or NULL for none */
	const struct secret *authorization;
	const char *body; /* JSON, or NULL for none */
	size_t body_len;
};

/* An answer. Zero-initialise; http1_answer_free when done. It can be used again. */
struct http1_answer {
	int status; /* 200..599 */
	struct buf body;
	bool close; /* this connection brings no more answers */
	bool json;  /* the type is application/json or ends in +json */
	/* media type in lower case, without parameters; "" when absent or too long */
	char type[HTTP1_TYPE_MAX];
	/* Location, never followed; '?' replaces bytes that are not printable; "" when absent */
	char location[HTTP1_LOCATION_MAX];
};

/* The state of one connection. Begin with http1_init; http1_free when done. */
struct http1 {
	const struct transport *transport;
	struct buf out;   /* requests not yet sent; wiped when sent */
	struct buf in;    /* bytes received and not yet used */
	size_t used;      /* bytes at the front of `in` that were used */
	unsigned queued;  /* requests in out */
	unsigned awaited; /* answers that have not come yet */
	/* a write was begun since http1_init: the server may have part of a request */
	bool sent_bytes;
	bool closed; /* the connection can't be used again */
};

/* Begin on a transport, which must outlive h. */
void http1_init(struct http1 *h, const struct transport *transport);

/* Add a request to those to be sent. 0; -1 with err when the connection is closed, or no memory. */
int http1_queue(struct http1 *h, const struct http1_request *request, struct err *err) WARN_UNUSED;

/*
 * Send all queued requests in one write, and wipe them in any case. 0; or -1 with err: part of them
 * may have been sent.
 */
int http1_flush(struct http1 *h, struct err *err) WARN_UNUSED;

/*
 * Receive the next answer, in the order of the requests. Its Content-Length or its last chunk says
 * where it ends. 0; or -1 with err: ERR_REACH when the transport failed or ended, ERR_SERVER when
 * the answer is not valid. After -1 the connection can't be used again.
 */
int http1_receive(struct http1 *h, struct http1_answer *answer, struct err *err) WARN_UNUSED;

/* Wipe and free an answer. It can be used again. */
void http1_answer_free(struct http1_answer *answer);

/* Wipe and free what h holds. The caller still owns the transport. */
void http1_free(struct http1 *h);

#endif
