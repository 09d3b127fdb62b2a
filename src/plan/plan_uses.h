/*
 * plan_uses.h - which keys of a config.toml a plan looks at, or an edit of the file needs; and what
 * is seen of the others
 */
#ifndef PLAN_USES_H
#define PLAN_USES_H

#include "format/toml.h"

#include <stdbool.h>

struct pool;
struct settings;

struct plan_uses {
	const char *new_server; /* its address as text, or "" */
	bool old;               /* it is staged, and the server may be 0.12 or older */
};

/*
 * For a toml_filter, with a struct plan_uses. Bans count only if they cover the new server, or are
 * IPv6 addresses, which the rewrite of an old server breaks.
 */
enum toml_use plan_uses(const void *ctx, const char *key);

/* What a file has of one key of the server. */
enum { SEEN_NOT, SEEN_SAME, SEEN_OTHER };

/* A config.toml compared with the server's settings while it is read, as it may be large. */
struct plan_seen {
	const struct settings *every;
	char *has;         /* of each of `every`: SEEN_* */
	const char **only; /* keys that the file alone has: those that are kept, and some more */
	size_t only_count;
	size_t more; /* and how many that are not in `only` */
	struct pool *pool;
};
enum { SEEN_ONLY_MAX = 100 };

/* Note one key of the file; for a toml_filter, with a struct plan_seen whose `has` is all SEEN_NOT.
 */
void plan_see(struct plan_seen *s, const char *key, const char *value, size_t len, bool kept);

#endif
