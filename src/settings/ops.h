/* ops.h - the changes of one write, in order, as bodies for POST /api/settings */
#ifndef OPS_H
#define OPS_H

#include "base/def.h"

#include <stdbool.h>

struct buf;
struct err;
struct pool;

enum { OPS_BODY_MAX = 1000000 }; /* the server reads at most 1 MiB of body (server-facts) */

enum op_kind { OP_DELETE, OP_INSERT };

struct op {
	enum op_kind kind;
	const char *key, *value; /* value for OP_INSERT alone */
	unsigned step;           /* entries of different steps never share an operation */
};

/* Strings are the caller's. Zero-initialise. */
struct ops {
	struct op *items;
	size_t count;
};

/* Append one. 0 or -1. */
int ops_add(struct ops *o, struct pool *pool, const struct op *op, struct err *err) WARN_UNUSED;

/*
 * Append one body to out, with as many entries from index `from` on as the bound allows, and at
 * least one if there is one. Gives the index of the next entry. capital: the spelling up to 0.10.
 */
size_t ops_format(const struct ops *o, size_t from, bool capital, struct buf *out);

#endif
