#include "base/sorted.h"

#include "base/pool.h"

#include <string.h>

size_t
sorted_first(const void *elements, size_t count, size_t size, const char *text, size_t len)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const char *key;

		memcpy(&key, (const char *)elements + mid * size, sizeof(key));
		if (strncmp(key, text, len) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

size_t
sorted_from(const struct sorted *s, const char *text)
{
	if (s->count && strcmp(s->items[s->count - 1].key, text) < 0)
		return s->count;
	return sorted_first(s->items, s->count, sizeof(*s->items), text, strlen(text));
}

void
sorted_add(struct sorted *s, struct pool *pool, const char *key, size_t number)
{
	size_t at = sorted_from(s, key), before = s->count;

	pool_add(pool, s->items, s->count);
	if (s->count == before)
		return; /* memory ran out */
	memmove(&s->items[at + 1], &s->items[at], (before - at) * sizeof(*s->items));
	s->items[at] = (struct sorted_item){ .key = key, .number = number };
}

const struct sorted_item *
sorted_find(const struct sorted *s, const char *key)
{
	size_t i = sorted_from(s, key);

	return i < s->count && !strcmp(s->items[i].key, key) ? &s->items[i] : NULL;
}
