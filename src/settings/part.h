/* part.h - what a stage changed in one place, the database or a node's config.toml, and how far it
 * came */
#ifndef PART_H
#define PART_H

#include "base/def.h"
#include "base/sorted.h"
#include "settings/changeset.h"

#include <stdbool.h>

struct pool;
struct settings;

/* keys: enough for 1,000 listeners with as many networks as --proxy takes */
enum { PART_KEYS_MAX = 20000, PART_LISTENERS_MAX = 1000 };

/*
 * planned: nothing was sent. sending: a write may have reached the server. proved: all was read
 * back.
 */
enum part_state { PART_PLANNED, PART_SENDING, PART_PROVED, PART_STATE_COUNT };

struct part_key {
	const char *key;
	const char *before;  /* NULL: it was absent */
	const char *written; /* NULL: it was removed */
	enum group group;
	bool local;       /* it lives in this node's config.toml */
	const char *text; /* in a file: how the value before was spelled; or NULL */
	/* until a write is proved: another value of ours that may still be there; else as before */
	const char *maybe_present;
	/* an earlier stage seems to have left what stood before, so that is not known; before is
	 * NULL */
	bool unknown;
};

/* A listener as the last stage found it. */
struct part_listener {
	const char *id, *protocol;
	const char *binds; /* all of them, ", " between */
	const char *why;   /* why it was chosen or left */
	bool tls_implicit, chosen;
};

/* Strings live in the pool that it was made with. Zero-initialise. */
struct part {
	const char *origin; /* a node's: the URL that it was reached by, or NULL */
	const char *file;   /* a node's: the path of its config.toml, if that was edited; or NULL */
	const char *id;     /* a node's: its cluster.node-id, or NULL */
	enum part_state state;
	struct part_key *keys;
	size_t count;
	struct sorted known; /* the keys by name, for part_find; as long as none was taken out */
	struct part_listener *listeners; /* a node's */
	size_t listener_count;
	const struct part
	    *behind; /* of a join: the database's part, which a node's keys may hide */
};

/* Take all keys out. */
void part_empty(struct part *p);

/* Add a key; its strings must outlive the part. pool_check tells whether memory ran out. */
void part_add(struct part *p, struct pool *pool, const struct part_key *key);

/* Add a listener, in the same way. */
void part_add_listener(struct part *p, struct pool *pool, const struct part_listener *l);

/* Its keys of these groups. */
size_t part_count(const struct part *p, unsigned groups);

/* The groups that have a key: a set of 1u << group. */
unsigned part_groups(const struct part *p);

/* The entry of that key, or NULL. */
const struct part_key *part_find(const struct part *p, const char *key);

/* The database's own entry of a key that stands in the node's file; of a join; or NULL. */
const struct part_key *part_behind(const struct part *p, const struct part_key *k);

/* Did another value stand before for a key that both have? */
bool part_differs(const struct part *a, const struct part *b);

/* Does any value that was written stand there now? */
bool part_stands(const struct part *p, const struct settings *now);

/*
 * Is it a value (NULL: absent) that was there before or that we may have left? Any other was set by
 * somebody since.
 */
bool part_accounts_for(const struct part_key *k, const char *value);

/*
 * Nothing of the plan was sent: the settings are what they were. If no key of ours is left the
 * state stays "planned".
 */
void part_forget_plan(struct part *p);

/*
 * The keys of these groups are as written. Those that are as before the stage are removed; but a
 * value of the database that was written again stays: it is there for certain.
 */
void part_mark_written(struct part *p, unsigned groups);

/* Is there a key outside of these groups whose value is not known, since a write was cut off? */
bool part_is_uncertain(const struct part *p, unsigned groups);

/* A node's name for people: its URL, or its file. */
const char *part_node_name(const struct part *p);

/* The word for a state. */
const char *part_state_name(enum part_state state);

#endif
