/* sorted.h - numbers by a key, found by it, or by its beginning, in a logarithm of steps */
#ifndef SORTED_H
#define SORTED_H

#include "base/def.h"

#include <stdbool.h>

struct pool;

struct sorted_item {
	const char *key;
	size_t number;
};

/* Keys are the caller's. Zero-initialise. */
struct sorted {
	struct sorted_item *items; /* by key as bytes */
	size_t count;
};

/*
 * Add a key, which may be there already. pool_check tells whether memory ran out. Keys that come in
 * order cost nothing; any other moves those behind it.
 */
void sorted_add(struct sorted *s, struct pool *pool, const char *key, size_t number);

/*
 * In sorted elements of this size that each begin with their key (const char *): the index of the
 * first that is not before the len bytes of text, or count.
 */
size_t sorted_first(const void *elements, size_t count, size_t size, const char *text, size_t len);

/* The index of the first of those elements that has this key, or SORTED_NONE. */
size_t sorted_index(const void *elements, size_t count, size_t size, const char *key);
#define SORTED_NONE ((size_t)-1)

/* The index of the first item that is not before text, or count. */
size_t sorted_from(const struct sorted *s, const char *text);

/* The item of that key, or NULL. */
const struct sorted_item *sorted_find(const struct sorted *s, const char *key);

#endif
