/*
 * configedit.h - from a plan to the changes of config.toml's text, so that no other byte of it
 * changes; no I/O
 */
#ifndef CONFIGEDIT_H
#define CONFIGEDIT_H

#include "base/def.h"

#include <stdbool.h>

struct buf;
struct edits;
struct err;
struct plan;
struct pool;
struct snapshot;
struct toml;

/* All of it is the caller's. */
struct configedit {
	const char *text; /* the file */
	size_t len;
	const struct toml *toml; /* the same, read */
	bool old_keys;           /* read as a server up to 0.12 does */
	const struct plan *plan;
	/* of this file, or NULL: it has the spelling of what stood before */
	const struct snapshot *snapshot;
};

/*
 * Make the plan's changes: a value is replaced where it stands; a new key goes behind its
 * listener's others, or into a marked block at the end; what stood there and has to go becomes a
 * marked comment, which clear makes a line again; what stalprep put there is taken out. The text
 * after it is appended to out, read again, and compared with the plan. 0; or -1 with err, which
 * names the line, where that can't be done: a person has to.
 */
int configedit_make(const struct configedit *c, struct pool *pool, struct edits *edits,
    struct buf *out, struct err *err) WARN_UNUSED;

#endif
