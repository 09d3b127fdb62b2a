#include "base/pool.h"

#include "base/err.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Each block is twice as large as the one before, up to a bound. With its header it is usually just
 * below a power of two, so that no allocator rounds it up.
 */
enum { BLOCK_MIN = 512 - 64, BLOCK_MAX = 16384 - 64, ALIGN = _Alignof(max_align_t) };

struct pool_block {
	struct pool_block *next;
	size_t used, size;
	max_align_t data[];
};

int
pool_check(const struct pool *p, struct err *err)
{
	if (p->failed)
		return err_memory(err);
	return p->stop && *p->stop ? err_stopped(err, (int)*p->stop) : 0;
}

/* n bytes at a multiple of align within a block. */
static void *
reserve(struct pool *p, size_t n, size_t align)
{
	struct pool_block *b = p->blocks;
	size_t size, at = b ? (b->used + align - 1) / align * align : 0;

	if (!b || at > b->size || b->size - at < n) {
		size = !b ? BLOCK_MIN : b->size < BLOCK_MAX / 2 ? 2 * b->size + 64 : BLOCK_MAX;
		size = !b && p->expect > size ? p->expect : size;
		size = n > size ? n : size;
		b = n <= SIZE_MAX - BLOCK_MAX ? malloc(sizeof(*b) + size) : NULL;
		if (!b) {
			p->failed = true;
			return NULL;
		}
		b->size = size;
		b->next = p->blocks;
		p->blocks = b;
		at = 0;
	}
	b->used = at + n;
	return (char *)b->data + at;
}

void *
pool_zero(struct pool *p, size_t n)
{
	void *piece = reserve(p, n, ALIGN);

	return piece ? memset(piece, 0, n) : NULL;
}

/* Room for a text of len bytes; false when memory ran out, and *text is "". */
static bool
reserve_text(struct pool *p, char **text, size_t len)
{
	static char empty[1];

	*text = reserve(p, len < SIZE_MAX ? len + 1 : len, 1);
	if (!*text) {
		*text = empty;
		return false;
	}
	(*text)[len] = '\0';
	return true;
}

char *
pool_copy(struct pool *p, const char *text, size_t len)
{
	char *copy;

	if (reserve_text(p, &copy, len) && len)
		memcpy(copy, text, len);
	return copy;
}

char *
pool_str(struct pool *p, const char *text)
{
	return pool_copy(p, text, strlen(text));
}

char *
pool_vprintf(struct pool *p, const char *fmt, va_list ap)
{
	struct pool_block *b = p->blocks;
	size_t room = b ? b->size - b->used : 0;
	char *text = b ? (char *)b->data + b->used : NULL;
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(text, room, fmt, again);
	va_end(again);
	if (n >= 0 && (size_t)n < room) {
		b->used += (size_t)n + 1;
		return text;
	}
	wipe(text, room);
	/* What can't be formatted counts as memory that ran out. */
	if (reserve_text(p, &text, n < 0 ? SIZE_MAX : (size_t)n))
		vsnprintf(text, (size_t)n + 1, fmt, ap);
	return text;
}

char *
pool_printf(struct pool *p, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = pool_vprintf(p, fmt, ap);
	va_end(ap);
	return text;
}

void *
pool_grow(struct pool *p, void *array, size_t count, size_t size)
{
	void *bigger;

	if (count && (count & (count - 1)))
		return array;
	bigger = pool_zero(
	    p, count <= SIZE_MAX / 2 / size ? (count ? count * 2 : 1) * size : SIZE_MAX);
	if (bigger && count)
		memcpy(bigger, array, count * size);
	return bigger;
}

void *
pool_add_element(struct pool *p, void *array, size_t *count, size_t size)
{
	static max_align_t lost[POOL_ELEMENT_MAX / sizeof(max_align_t)];
	void *items;

	memcpy(&items, array, sizeof(items));
	items = pool_grow(p, items, *count, size);
	if (!items)
		return memset(lost, 0, sizeof(lost));
	memcpy(array, &items, sizeof(items));
	return memset((char *)items + (*count)++ * size, 0, size);
}

struct order {
	int (*compare)(const void *, const void *);
	const struct pool *pool;
};

/* Once it has to stop, all is in order. */
static int
compare_until(const void *a, const void *b, void *ctx)
{
	const struct order *o = ctx;

	return o->pool->stop && *o->pool->stop ? 0 : o->compare(a, b);
}

void
pool_sort(const struct pool *p, void *items, size_t count, size_t size,
    int (*compare)(const void *, const void *))
{
	struct order o = { .compare = compare, .pool = p };

	if (count)
		qsort_r(items, count, size, compare_until, &o);
}

void
pool_free(struct pool *p)
{
	struct pool_block *next;

	for (; p->blocks; p->blocks = next) {
		next = p->blocks->next;
		wipe(p->blocks, sizeof(*p->blocks) + p->blocks->used);
		free(p->blocks);
	}
	p->failed = false;
}
