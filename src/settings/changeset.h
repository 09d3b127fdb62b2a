/* changeset.h - the guide's change set as tables, for each dialect of the older server */
#ifndef CHANGESET_H
#define CHANGESET_H

#include "base/def.h"
#include "format/addr.h"

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct pool;

/* The parts that can be chosen; a set of them is a bit mask of 1u << group. */
enum group { GROUP_LISTENERS, GROUP_CHECKS, GROUP_URL, GROUP_OUTBOUND, GROUP_ALLOW, GROUP_COUNT };

enum { RELAY_ID_MAX = 60 }; /* longest relay's id in bytes */

enum { GROUPS_DEFAULT = 1u << GROUP_LISTENERS | 1u << GROUP_CHECKS | 1u << GROUP_URL };

/* What makes the server act on a key (the guide's last section). */
enum applies { APPLIES_RELOAD, APPLIES_RESTART };

/* What a range of versions calls its keys and operations. */
struct dialect {
	const char *name; /* "0.13 to 0.15" */
	int first, last;  /* minor versions */
	bool capital_ops; /* Insert, Delete, Clear */
	const char *url_key;
	const char *relay_prefix; /* before the relay's id */
	bool relay_has_type;
	const char *rule; /* the routing rule's key */
};

enum { MINOR_FIRST = 8, MINOR_LAST = 15 };

/* The dialects, oldest first; changeset_dialects[DIALECT_COUNT - 1] is the newest. */
enum { DIALECT_COUNT = 4 };
extern const struct dialect changeset_dialects[DIALECT_COUNT];

/* The dialect of 0.minor, or NULL when there is none. */
const struct dialect *changeset_dialect(int minor);

/* "0.13" or "0.13.4": the minor version, or -1. */
int changeset_parse_version(const char *text);

/* What makes the server act on the group's keys. */
enum applies group_applies(enum group g);

/* The group's name as --only takes it, and what it is in a few words. */
const char *group_name(enum group g);
const char *group_words(enum group g);

/* The names of these groups, commas between. In the pool. */
const char *group_list(struct pool *pool, unsigned set);

/* What to do if config.toml outranks what these groups write into the database. In the pool. */
const char *group_way_out(struct pool *pool, unsigned set);

/* Find a group by name of len bytes; false when there is none. */
bool group_find(enum group *g, const char *name, size_t len);

/*
 * The guide's listeners, in its order: those of a default installation without the one on port 25.
 * A server ignores keys of a listener that it does not have, as 0.8 and 0.9 have no pop3.
 */
enum { LISTENERS_DEFAULT = 9 };
extern const char *const changeset_default_listeners[LISTENERS_DEFAULT];

/* One key of the change set. Strings live in the pool of the set. */
struct entry {
	enum group group;
	enum applies applies;
	const char *key, *value;
};

struct changeset {
	struct entry *entries;
	size_t count;
};

/* The values that go into the change set; all strings outlive it. */
struct wanted {
	unsigned groups;
	const char *public_url; /* an origin, for GROUP_URL */
	const char *relay_host; /* for GROUP_OUTBOUND */
	unsigned relay_port;
	const char *relay_id;
	const char *allow; /* the new server's address, for GROUP_ALLOW */
};

/* "server.listener.ID.proxy." + what, in the pool. */
const char *changeset_listener_key(struct pool *pool, const char *id, const char *what);

/*
 * Add one listener's keys: override, and the networks, given as texts. pool_check tells whether
 * memory ran out, here and below.
 */
void changeset_add_listener(struct changeset *set, struct pool *pool, const char *id,
    const char *const *networks, size_t count);

/* Add the keys of all other groups in w->groups, in the guide's order. */
void changeset_add_rest(
    struct changeset *set, struct pool *pool, const struct wanted *w, const struct dialect *d);

/*
 * Is it a key of this group that the change set can write, and a value that it can write there, by
 * the rules of the options and in any dialect? A NULL value is the key's removal. For a snapshot
 * that comes from the disk.
 */
bool changeset_can_write(enum group group, const char *key, const char *value);

/* Can this be a relay's id: letters, digits, _ and -, and no route of the server's own? */
bool changeset_is_relay_id(const char *text, size_t len);

/*
 * Where the name ends that begins at offset `at` of a key: at the next dot, but a listener's id and
 * an address are one name, whatever they hold.
 */
size_t changeset_name_end(const char *key, size_t at);

/* Append the names of a key from offset `from` to offset `to`, as TOML has them, with their dots.
 */
void changeset_write_names(struct buf *out, const char *key, size_t from, size_t to);

/* The entry of that key, or NULL. */
const struct entry *changeset_find(const struct changeset *set, const char *key);

#endif
