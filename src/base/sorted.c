#include "base/sorted.h"

#include "base/pool.h"

#include <string.h>

static const char *
key_of(const void *elements, size_t size, size_t index)
{
	const char *key;

	memcpy(&key, (const char *)elements + index * size, sizeof(key));
	return key;
}

size_t
sorted_first(const void *elements, size_t count, size_t size, const char *text, size_t len)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strncmp(key_of(elements, size, mid), text, len) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

size_t
sorted_index(const void *elements, size_t count, size_t size, const char *key)
{
	size_t i = sorted_first(elements, count, size, key, strlen(key));

	return i < count && !strcmp(key_of(elements, size, i), key) ? i : SORTED_NONE;
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
	size_t i = sorted_index(s->items, s->count, sizeof(*s->items), key);

	return i != SORTED_NONE ? &s->items[i] : NULL;
}
