/* settings.h - the server's settings as one sorted map of keys and values */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "base/def.h"

#include <stdbool.h>

struct err;
struct pool;
struct toml;

struct setting {
	const char *key, *value;
};

/* Keys and values live in the pool that they were added from. Zero-initialise. */
struct settings {
	/* after settings_sort: sorted by key as bytes, as the server orders them */
	struct setting *items;
	size_t count;
};

/* Add a key; both strings must outlive the map. pool_check tells whether memory ran out. */
void settings_add(struct settings *s, struct pool *pool, const char *key, const char *value);

/*
 * What a config.toml says, as settings. They are sorted, share its strings, and live in the pool;
 * there is no room to add any. 0 or -1.
 */
int settings_from_toml(
    struct settings *s, struct pool *pool, const struct toml *from, struct err *err) WARN_UNUSED;

/* Sort. A key that is given twice is an error. 0 or -1. */
int settings_sort(struct settings *s, struct err *err) WARN_UNUSED;

/* The value of a key, or NULL when it is absent. */
const char *settings_get(const struct settings *s, const char *key);

/* Take a key out, if it is there, and overwrite its value, which must be the map's own copy. */
void settings_wipe(struct settings *s, const char *key);

/* Are two values the same, where NULL is absent? */
bool settings_same(const char *a, const char *b);

/* Do two maps have the same keys and values? */
bool settings_equal(const struct settings *a, const struct settings *b);

/* The index of the first key that starts with prefix, or count; the others follow it. */
size_t settings_first(const struct settings *s, const char *prefix);

/*
 * What follows prefix in the key at index, or NULL when the key does not start with it (or there is
 * none).
 */
const char *settings_below(const struct settings *s, size_t index, const char *prefix);

/* Is there any key that starts with prefix? */
bool settings_has_prefix(const struct settings *s, const char *prefix);

#endif
