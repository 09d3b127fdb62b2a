/* snapshot.h - the settings as they were, as a text: made, read and written */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "base/def.h"
#include "settings/changeset.h"

#include <stdbool.h>

struct buf;
struct err;
struct pool;
struct request;

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
	const char *text; /* in a file: how the value before was spelled; or NULL */
	/* until a write is proved: another value of ours that may still be there; else as before */
	const char *maybe_present;
};

/* Strings live in the pool that it was made with. Zero-initialise. */
struct snapshot {
	const char *target;            /* the origin that it belongs to */
	const char *created;           /* RFC 3339, UTC */
	const char *dialect;           /* "0.13 to 0.15" */
	const struct request *request; /* what the stages asked for, of all of its groups */
	enum snapshot_state state;
	struct snapshot_key *keys;
	size_t count;
};

/* Add a key; its strings must outlive the snapshot. pool_check tells whether memory ran out. */
void snapshot_add(struct snapshot *s, struct pool *pool, const struct snapshot_key *key);

/* The entry of that key, or NULL. */
const struct snapshot_key *snapshot_find(const struct snapshot *s, const char *key);

/*
 * Is it a value (NULL: absent) that was there before or that we may have left? Any other was set by
 * somebody since.
 */
bool snapshot_accounts_for(const struct snapshot_key *k, const char *value);

/*
 * Nothing of the plan was sent: the settings are what they were. If no key of ours is left the
 * state stays "planned".
 */
void snapshot_forget_plan(struct snapshot *s);

/* The keys of these groups are as written. Those that are as before the stage are removed. */
void snapshot_mark_written(struct snapshot *s, unsigned groups);

/* Is there a key outside of these groups whose value is not known, since a write was cut off? */
bool snapshot_is_uncertain(const struct snapshot *s, unsigned groups);

/* Parse a snapshot's text. Damage, a newer version, a wrong shape: -1 with err; else 0. */
int snapshot_parse(struct snapshot *s, struct pool *pool, const char *text, size_t len,
    struct err *err) WARN_UNUSED;

/* Append its text, checksum included. */
void snapshot_format(struct buf *out, const struct snapshot *s);

/* The word for a state. */
const char *snapshot_state_name(enum snapshot_state state);

#endif
