/* pool.h - many small pieces of memory that live and go together */
#ifndef POOL_H
#define POOL_H

#include "base/def.h"

/*
 * Whoever makes a pool owns all that comes out of it and frees it at once. Pieces are wiped when
 * they go: settings may hold secrets. Zero-initialise.
 */
struct pool {
	struct pool_block *blocks;
};

/* n bytes of zeros, aligned for any object; NULL when memory ran out. */
void *pool_zero(struct pool *p, size_t n);

/* A copy of len bytes with a NUL behind it, or NULL. */
char *pool_copy(struct pool *p, const char *text, size_t len);

/* A copy of a string, or NULL. */
char *pool_str(struct pool *p, const char *text);

/* Formatted text, or NULL. */
char *pool_printf(struct pool *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * Room for one more element behind count in an array that lives in the pool: gives the array, moved
 * when it had to grow (it doubles at powers of two), or NULL. The element is zeroed.
 */
void *pool_grow(struct pool *p, void *array, size_t count, size_t size);

/* Wipe and free everything. */
void pool_free(struct pool *p);

#endif
