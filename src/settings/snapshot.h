/* snapshot.h - the settings as they were, as a text: made, read and written */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "base/def.h"
#include "settings/part.h"

#include <stdint.h>

struct buf;
struct err;
struct listeners;
struct pool;
struct request;

enum {
	SNAPSHOT_VERSION = 1,
	SNAPSHOT_MAX = 16 * 1024 * 1024, /* longest file in bytes */
	SNAPSHOT_NODES_MAX = 64
};

enum {
	IDENTITY_DIGITS = 32, /* of a server: hexadecimal, from its oauth.key (server-facts) */
	IDENTITY_MAX = IDENTITY_DIGITS + 1
};

/*
 * One server or cluster: a part for the database, and one for each node's config.toml. Strings live
 * in the pool that it was made with. Zero-initialise.
 */
struct snapshot {
	char identity[IDENTITY_MAX];   /* of the server; "": it shows none */
	const char *created;           /* RFC 3339, UTC */
	const char *dialect;           /* "0.13 to 0.15" */
	const struct request *request; /* what the stages asked for, of all of its groups */
	struct part database;
	struct part *nodes;
	size_t node_count;
	uint32_t checksum; /* of the text that it was read from or written to */
};

/* Add a part for a node. Returns it; valid until the next one is added. */
struct part *snapshot_add_node(struct snapshot *s, struct pool *pool, const struct part *node);

/* Keys of all parts. */
size_t snapshot_count(const struct snapshot *s);

/* Has a part more keys, or the snapshot more nodes, than snapshot_parse takes? */
bool snapshot_is_too_long(const struct snapshot *s);

/* The groups that have a key in any part: a set of 1u << group. */
unsigned snapshot_groups(const struct snapshot *s);

/*
 * What one target holds: the keys of its node's part, and of the database those that do not stand
 * in that node's file as well. Sending if either is, else proved if either is. node: NULL for none.
 * Keys are copied to the pool.
 */
struct part snapshot_join(
    const struct snapshot *s, const struct part *node, bool database, struct pool *pool);

/*
 * Put the keys of a joined part back: local ones into node, the others into s->database if
 * `database`, where keys that the join hid stay. Both get its state. The arrays live in the pool.
 */
void snapshot_split(struct snapshot *s, struct part *node, bool database, const struct part *joined,
    struct pool *pool);

/* Nothing of what is only planned was sent: see part_forget_plan. Of all parts. */
void snapshot_forget_plan(struct snapshot *s);

/* Parse a snapshot's text. Damage, a newer version, a wrong shape: -1 with err; else 0. */
int snapshot_parse(struct snapshot *s, struct pool *pool, const char *text, size_t len,
    struct err *err) WARN_UNUSED;

/* Append its text, checksum included, and set s->checksum. */
void snapshot_format(struct buf *out, struct snapshot *s);

#endif
