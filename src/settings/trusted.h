/* trusted.h - a list of trusted networks in the settings */
#ifndef TRUSTED_H
#define TRUSTED_H

#include "base/def.h"
#include "format/addr.h"

#include <stdbool.h>

struct pool;
struct settings;

/* The networks that every listener without a list of its own trusts. */
#define TRUSTED_GLOBAL "server.proxy.trusted-networks"

/* most networks in one list: listener_check_count */
enum { TRUSTED_MAX = 1000 };

struct trusted_entry {
	const char *key, *value;
	struct net net;
	bool valid; /* false: the server trusts nobody through it */
	/* the number after the list's key; -1 for the scalar or a name */
	long index;
};

/* Strings live in the settings and the pool. Zero-initialise. */
struct trusted {
	struct trusted_entry *items;
	size_t count;
};

/*
 * All that the server reads as the list at key: the scalar and all keys below it. pool_check tells
 * whether memory ran out.
 */
void trusted_read(struct trusted *t, struct pool *pool, const struct settings *s, const char *key);

/* The first entry that holds every address of n, or NULL. */
const struct trusted_entry *trusted_covering(const struct trusted *t, const struct net *n);

/*
 * The smallest index from `from` on that no entry has, in any spelling (0 and 0000 are one), in a
 * list of at most TRUSTED_MAX.
 */
long trusted_free_index(const struct trusted *t, long from);

#endif
