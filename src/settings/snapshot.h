/* snapshot.h - the record of what stood before: made, read and written as a text */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "base/def.h"
#include "settings/changeset.h"

#include <stdbool.h>

struct buf;
struct err;
struct pool;

enum {
	SNAPSHOT_VERSION = 1,
	SNAPSHOT_MAX = 4 * 1024 * 1024, /* longest file in bytes */
	SNAPSHOT_KEYS_MAX = 5000
};

/*
 * planned: nothing was sent. sending: a write may have reached the server. proved: all was read
 * back.
 */
enum snapshot_state { SNAPSHOT_PLANNED, SNAPSHOT_SENDING, SNAPSHOT_PROVED, SNAPSHOT_STATE_COUNT };

struct snapshot_key {
	const char *key;
	const char *before;  /* NULL: it was absent */
	const char *written; /* NULL: it was removed */
	enum group group;
	bool local;       /* it lives in this node's config.toml */
	const char *text; /* of a file: before, as it was spelled there; or NULL */
	/* until it is proved: what else may still be there of ours; else as before */
	const char *maybe_present;
};

/* Strings live in the pool that it was made with. Zero-initialise. */
struct snapshot {
	const char *target;  /* the origin it belongs to */
	const char *created; /* RFC 3339, UTC */
	const char *dialect; /* "0.13 to 0.15" */
	/* the options that say what was written, as options_retell gives them */
	const char *options;
	enum snapshot_state state;
	struct snapshot_key *keys;
	size_t count;
};

/* Add a key; its strings must outlive the snapshot. 0 or -1. */
void snapshot_add(struct snapshot *s, struct pool *pool, const struct snapshot_key *key);

/* The entry of that key, or NULL. */
const struct snapshot_key *snapshot_find(const struct snapshot *s, const char *key);

/*
 * May we have left that value (NULL: absent) under the key? Any other is somebody else's, set
 * since.
 */
bool snapshot_accounts_for(const struct snapshot_key *k, const char *value);

/*
 * A plan of which nothing was sent: what stood then stands still. Without any key of ours left, it
 * stays "planned".
 */
void snapshot_forget_plan(struct snapshot *s);

/* The keys of these groups are as written: those that went back to what stood before leave it. */
void snapshot_mark_written(struct snapshot *s, unsigned groups);

/*
 * Is there a key outside of these groups of which a write that was cut off left it open what it
 * holds?
 */
bool snapshot_is_uncertain(const struct snapshot *s, unsigned groups);

/* Parse a snapshot's text. Damage, a newer version, a wrong shape: -1 with err; else 0. */
int snapshot_parse(struct snapshot *s, struct pool *pool, const char *text, size_t len,
    struct err *err) WARN_UNUSED;

/* Append its text, checksum included. */
void snapshot_format(struct buf *out, const struct snapshot *s);

/* The word for a state. */
const char *snapshot_state_name(enum snapshot_state state);

#endif
