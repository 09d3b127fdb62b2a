/* transport.h - a stream of bytes to a peer: TCP, TLS, or what a test injects */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include "base/def.h"

#include <sys/types.h>

struct err;

/*
 * read: up to len bytes, at least 1; 0 at the peer's end of stream; -1 with err.
 * write: all len bytes or -1 with err. Both keep their own deadline.
 */
struct transport {
	void *ctx;
	ssize_t (*read)(void *ctx, void *data, size_t len, struct err *err);
	int (*write)(void *ctx, const void *data, size_t len, struct err *err);
};

#endif
