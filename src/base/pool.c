#include "base/pool.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 16384, ALIGN = _Alignof(max_align_t) };

struct pool_block {
	struct pool_block *next;
	size_t used, size;
	max_align_t data[];
};

/* n bytes of zeros at a multiple of align within a block. */
static void *
take(struct pool *p, size_t n, size_t align)
{
	struct pool_block *b = p->blocks;
	size_t size, at = b ? (b->used + align - 1) / align * align : 0;

	if (n > SIZE_MAX - BLOCK_SIZE)
		return NULL;
	if (!b || at > b->size || b->size - at < n) {
		size = n > BLOCK_SIZE ? n : BLOCK_SIZE;
		b = calloc(1, sizeof(*b) + size);
		if (!b)
			return NULL;
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
	return take(p, n, ALIGN);
}

char *
pool_copy(struct pool *p, const char *text, size_t len)
{
	char *piece = len < SIZE_MAX ? take(p, len + 1, 1) : NULL;

	if (piece && len)
		memcpy(piece, text, len);
	return piece;
}

char *
pool_str(struct pool *p, const char *text)
{
	return pool_copy(p, text, strlen(text));
}

char *
pool_printf(struct pool *p, const char *fmt, ...)
{
	va_list ap;
	char *piece;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	piece = pool_zero(p, (size_t)n + 1);
	if (!piece)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(piece, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return piece;
}

void *
pool_grow(struct pool *p, void *array, size_t count, size_t size)
{
	void *bigger;

	if (count && (count & (count - 1)))
		return array;
	if (count > SIZE_MAX / 2 / size)
		return NULL;
	bigger = pool_zero(p, (count ? count * 2 : 1) * size);
	if (bigger && count)
		memcpy(bigger, array, count * size);
	return bigger;
}

void
pool_free(struct pool *p)
{
	struct pool_block *next;

	for (; p->blocks; p->blocks = next) {
		next = p->blocks->next;
		wipe(p->blocks, sizeof(*p->blocks) + p->blocks->size);
		free(p->blocks);
	}
}
