/* edits.h - changes to a text as a list, applied or shown */
#ifndef EDITS_H
#define EDITS_H

#include "base/def.h"

#include <stdbool.h>

struct buf;
struct err;
struct pool;

/* At offset at, len bytes are replaced by text. */
struct edit {
	size_t at, len;
	/* NUL-terminated; the caller's, for as long as the list */
	const char *text;
};

/* Lives in the pool that it was made with. Zero-initialise. No two may overlap. */
struct edits {
	/* by offset; at the same offset, in the order in which they were added */
	struct edit *items;
	size_t count;
	bool hidden; /* a line that changes holds what must not be shown */
};

/* Add a change in its place. 0 or -1. */
int edits_add(struct edits *e, struct pool *pool, size_t at, size_t len, const char *text,
    struct err *err) WARN_UNUSED;

/* Append the bytes of text between two offsets, changed by the edits within. */
void edits_apply(struct buf *out, const struct edits *e, const char *text, size_t from, size_t to);

/*
 * Append the changes to text of len bytes as a unified diff without context, for patch(1):
 * the lines around a change may hold secrets. If the edits are hidden, one line says so.
 */
void edits_diff(
    struct buf *out, const struct edits *e, const char *name, const char *text, size_t len);

#endif
