/* pool.h - many small pieces of memory with one lifetime */
#ifndef POOL_H
#define POOL_H

#include "base/def.h"

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>

struct err;

/*
 * Whoever makes a pool owns all that comes out of it and frees it at once. All of it is wiped then:
 * settings may hold secrets. Zero-initialise.
 *
 * Once memory has run out, `failed` stays set, and later pieces may be empty or lost. So a phase
 * calls pool_check at its end, before anybody uses what it made.
 */
struct pool {
	struct pool_block *blocks;
	size_t expect; /* bytes that it will need; 0: unknown, its blocks begin small */
	bool failed;
	/* if not NULL: a signal's number there ends the phase, as memory that ran out does */
	const volatile sig_atomic_t *stop;
};

/* 0; or -1 with err when memory ran out, or somebody asked to stop. */
int pool_check(const struct pool *p, struct err *err) WARN_UNUSED;

/* n bytes of zeros, aligned for any object; NULL when memory ran out. */
void *pool_zero(struct pool *p, size_t n);

/* A copy of len bytes with a NUL behind it; "" when memory ran out. */
char *pool_copy(struct pool *p, const char *text, size_t len);

/* A copy of a string; "" when memory ran out. */
char *pool_str(struct pool *p, const char *text);

/* Formatted text; "" when memory ran out. */
char *pool_printf(struct pool *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *pool_vprintf(struct pool *p, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/*
 * Room for one more element behind count in an array that lives in the pool: gives the array, moved
 * when it had to grow (it doubles at powers of two), or NULL.
 */
void *pool_grow(struct pool *p, void *array, size_t count, size_t size);

/*
 * Add one zeroed element to an array that lives in the pool. Changes array and count, and gives the
 * element. When memory ran out the element belongs to no array: it may be written to, and is lost.
 */
#define pool_add(p, array, count) \
	pool_add_element((p), &(array), &(count), POOL_ELEMENT_SIZE(*(array)))
void *pool_add_element(struct pool *p, void *array, size_t *count, size_t size);

/* A larger element does not compile. */
enum { POOL_ELEMENT_MAX = 512 };
#define POOL_ELEMENT_SIZE(x) (sizeof(x) * sizeof(char[sizeof(x) <= POOL_ELEMENT_MAX ? 1 : -1]))

/*
 * qsort, which is over soon after somebody asked to stop: then the order is any, and pool_check
 * tells.
 */
void pool_sort(const struct pool *p, void *items, size_t count, size_t size,
    int (*compare)(const void *, const void *));

/* Wipe and free everything. */
void pool_free(struct pool *p);

#endif
