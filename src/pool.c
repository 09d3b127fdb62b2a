#include "pool.h"

#include "secret.h"

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

void *
pool_zero(struct pool *p, size_t n)
{
	struct pool_block *b = p->blocks;
	size_t size;
	void *piece;

	if (n > SIZE_MAX - BLOCK_SIZE)
		return NULL;
	n = (n + ALIGN - 1) / ALIGN * ALIGN;
	if (!b || b->size - b->used < n) {
		size = n > BLOCK_SIZE ? n : BLOCK_SIZE;
		b = calloc(1, sizeof(*b) + size);
		if (!b)
			return NULL;
		b->size = size;
		b->next = p->blocks;
		p->blocks = b;
	}
	piece = (char *)b->data + b->used;
	b->used += n;
	return piece;
}

char *
pool_copy(struct pool *p, const char *text, size_t len)
{
	char *piece = pool_zero(p, len + 1);

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
