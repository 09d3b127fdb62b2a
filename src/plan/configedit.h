/* configedit.h - from a plan to edits of config.toml, so that no other byte changes; no I/O */
#ifndef CONFIGEDIT_H
#define CONFIGEDIT_H

#include "base/def.h"

#include <stdbool.h>

struct buf;
struct edits;
struct err;
struct plan;
struct pool;
struct part;
struct toml;
struct toml_filter;

/* All of it is the caller's. */
struct configedit {
	const char *text; /* the file */
	size_t len;
	const struct toml *toml; /* the text, parsed */
	const struct toml_filter
	    *filter;   /* as it was parsed, or NULL; no key of the plan is dropped */
	bool old_keys; /* parse it as a server up to 0.12 does */
	const struct plan *plan;
	/* of this file, or NULL: it says how the originals were written */
	const struct part *snapshot;
};

/*
 * Make the edits for the plan's changes:
 * - a value is replaced in its place;
 * - a new key gets a line in its own table, where that stands; in a list it becomes an element;
 * - else it goes into a new table, in front of the first header; in a file without headers it is
 *   a dotted line among the others;
 * - a removed original becomes a marked comment, and clear makes it a line again;
 * - a line or table that stalprep added is deleted.
 * So the last table of the file stays the last, and if the file was TOML, it still is.
 * The new text is appended to out, parsed again and compared with the plan. 0; or -1 with err if a
 * person must edit the file first (REFUSAL_INLINE_TABLE names what and where).
 */
int configedit_make(const struct configedit *c, struct pool *pool, struct edits *edits,
    struct buf *out, struct err *err) WARN_UNUSED;

#endif
