/* ops.h - the changes of one write, in order, as bodies for POST /api/settings */
#ifndef OPS_H
#define OPS_H

#include "base/def.h"

#include <stdbool.h>

struct buf;
struct jsonout;
struct pool;

enum { OPS_BODY_MAX = 1000000 }; /* the server reads at most 1 MiB of body (server-facts) */

/*
 * clear: the key, and every key that its text begins, in config.toml and in the database
 * (server-facts). An operation each.
 */
enum op_kind { OP_DELETE, OP_INSERT, OP_CLEAR };

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

/* Append one. pool_check tells whether memory ran out. */
void ops_add(struct ops *o, struct pool *pool, const struct op *op);

/* The parts of a body: begin an operation, add an entry of its kind, end it. capital: as below. */
void ops_open(struct jsonout *j, enum op_kind kind, bool capital);
void ops_entry(struct jsonout *j, const struct op *op);
void ops_close(struct jsonout *j, enum op_kind kind);

/*
 * Append one body to out, with as many entries from index `from` on as the bound allows, and at
 * least one if there is one. Gives the index of the next entry. capital: the spelling up to 0.10.
 */
size_t ops_format(const struct ops *o, size_t from, bool capital, struct buf *out);

#endif
