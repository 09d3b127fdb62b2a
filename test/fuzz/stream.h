/* stream.h - a transport in memory: what the server sends is given, what is sent to it is kept */
#ifndef STREAM_H
#define STREAM_H

#include "base/buf.h"
#include "fuzz.h"
#include "sys/transport.h"

struct stream {
	/* what the server will send; then it closes the connection */
	struct input in;
	size_t piece; /* at most so many bytes a read */
	size_t taken; /* bytes that were read of it */
	struct buf sent;
	unsigned writes;
};

static inline ssize_t
stream_read(void *ctx, void *data, size_t len, struct err *err)
{
	struct stream *s = ctx;
	size_t n = s->in.len < s->piece ? s->in.len : s->piece;

	(void)err;
	n = n < len ? n : len;
	if (n)
		memcpy(data, s->in.p, n);
	s->in.p += n;
	s->in.len -= n;
	s->taken += n;
	return (ssize_t)n;
}

static inline int
stream_write(void *ctx, const void *data, size_t len, struct err *err)
{
	struct stream *s = ctx;

	(void)err;
	buf_add(&s->sent, data, len);
	s->writes++;
	return 0;
}

static inline struct transport
stream_transport(struct stream *s)
{
	return (struct transport){ s, stream_read, stream_write };
}

#endif
