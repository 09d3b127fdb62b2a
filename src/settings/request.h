/*
 * request.h - what a run is asked to write, and which refusals it overrides: all that a plan knows
 * of the user's wishes
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "base/def.h"
#include "base/refusal.h"
#include "format/addr.h"
#include "format/url.h"
#include "settings/changeset.h"

#include <stdbool.h>

struct buf;
struct err;
struct json;
struct jsonout;
struct pool;

enum {
	PROXIES_MAX = 16,
	LISTENERS_MAX = 64, /* --listener, --also, --leave: each */
	ID_MAX = 200,       /* longest listener name in bytes */
	RELAY_PORT = 25     /* where --relay names none */
};

#define RELAY_ID "smarthost" /* the relay's name in the settings, as in the guide */

/* Strings are the caller's. */
struct request {
	char proxies[PROXIES_MAX][NET_TEXT_MAX];
	size_t proxy_count;
	char public_origin[ORIGIN_MAX]; /* "" when not given */
	const char *relay_host;         /* NULL when not given */
	unsigned relay_port;
	const char *relay_id;
	unsigned groups;   /* a set of 1u << group */
	bool groups_named; /* --only chose them */
	const char *listeners[LISTENERS_MAX];
	size_t listener_count;
	const char *also[LISTENERS_MAX]; /* added to the discovered listeners */
	size_t also_count;
	const char *leave[LISTENERS_MAX]; /* taken from them */
	size_t leave_count;
	const char *relay_listener;    /* NULL when not given */
	char new_server[NET_TEXT_MAX]; /* an address; "" when not given */
	bool allow_new_server, single_node;
	int minor;         /* the version 0.minor that --dialect names; -1: not known */
	bool values_given; /* one of the options that say what to write was given */
	bool forced[REFUSAL_COUNT];
};

/* Zero but for the defaults. */
void request_init(struct request *q);

/*
 * Can this be a listener's name: 1 to ID_MAX bytes of UTF-8, all of it shown (utf8_is_shown), and
 * no backslash, which a quoted name in config.toml would lose?
 */
bool request_takes_listener(const char *id);

/* Is this listener among those that one option names? */
bool request_names(const char *const *ids, size_t count, const char *id);

/* Does the request hold this network, spelled like this? */
bool request_has_proxy(const struct request *q, const char *network);

/* Its values for changeset_add_rest, for all groups that it chooses but the listeners. */
struct wanted request_wanted(const struct request *q);

/*
 * Append the options that say what to write, as they would be given again, each after a blank,
 * quoted for a shell.
 */
void request_format(struct buf *out, const struct request *q);

/* The last of them: --only, unless all groups that the other options choose are there. */
void request_format_groups(struct buf *out, const struct request *q);

/*
 * Take from `stored`, the request of an earlier stage, what q does not name: values, listeners,
 * the exemption of the same new server. The groups, --single-node and the forced refusals stay q's
 * own. A choice of listeners counts as one: --listener replaces a stored --also and --leave, and
 * the other way round. Strings are shared.
 */
void request_merge(struct request *q, const struct request *stored);

/*
 * A copy in the pool, for the snapshot. Groups that are not q's come from the old snapshot's
 * request (or NULL), with their values: they stay staged. So does the version where q names none.
 * NULL if memory ran out.
 */
const struct request *request_keep(
    struct pool *pool, const struct request *q, const struct request *old);

/* A copy in the pool that asks for nothing of these groups. NULL if memory ran out. */
const struct request *request_without(struct pool *pool, const struct request *q, unsigned groups);

/* Write it as one JSON object, a member of that name. The forced refusals are left out. */
void request_write(struct jsonout *j, const char *name, const struct request *q);

/* Are they the same, but for the forced refusals? False, too, if memory ran out. */
bool request_same(const struct request *a, const struct request *b);

/*
 * Read what request_write wrote. It may come from somebody else, so each value passes the rules of
 * its option. Strings are copied to the pool. 0, or -1 with err: the member that is wrong.
 */
int request_read(
    struct request *q, struct pool *pool, const struct json *from, struct err *err) WARN_UNUSED;

#endif
