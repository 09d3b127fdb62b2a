#include "settings/settings.h"

#include "base/err.h"
#include "base/pool.h"
#include "base/sorted.h"
#include "format/toml.h"

#include <stdlib.h>
#include <string.h>

void
settings_add(struct settings *s, struct pool *pool, const char *key, const char *value)
{
	struct setting *added = pool_add(pool, s->items, s->count);

	*added = (struct setting){ .key = key, .value = value };
}

int
settings_from_toml(struct settings *s, struct pool *pool, const struct toml *from, struct err *err)
{
	size_t i;

	memset(s, 0, sizeof(*s));
	s->items = pool_zero(pool, (from->entry_count + 1) * sizeof(*s->items));
	for (i = 0; s->items && i < from->entry_count; i++)
		s->items[s->count++] = (struct setting){
			.key = from->entries[i].key,
			.value = from->entries[i].value,
		};
	return pool_check(pool, err);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct setting *)a)->key, ((const struct setting *)b)->key);
}

int
settings_sort(struct settings *s, struct err *err)
{
	size_t i;

	for (i = 1; i < s->count && compare(&s->items[i - 1], &s->items[i]) < 0; i++)
		;
	if (i >= s->count)
		return 0; /* as a server gives them */
	qsort(s->items, s->count, sizeof(*s->items), compare);
	for (i = 1; i < s->count; i++) {
		if (!strcmp(s->items[i - 1].key, s->items[i].key))
			return err_set(
			    err, ERR_SERVER, "the key %.120s is given twice", s->items[i].key);
	}
	return 0;
}

const char *
settings_get(const struct settings *s, const char *key)
{
	size_t i = sorted_index(s->items, s->count, sizeof(*s->items), key);

	return i != SORTED_NONE ? s->items[i].value : NULL;
}

void
settings_wipe(struct settings *s, const char *key)
{
	size_t i = sorted_index(s->items, s->count, sizeof(*s->items), key);
	union {
		const char *seen;
		char *own;
	} value;

	if (i == SORTED_NONE)
		return;
	value.seen = s->items[i].value;
	wipe(value.own, strlen(value.own));
	s->count--;
	memmove(&s->items[i], &s->items[i + 1], (s->count - i) * sizeof(*s->items));
}

bool
settings_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

bool
settings_equal(const struct settings *a, const struct settings *b)
{
	size_t i;

	for (i = 0; i < a->count && i < b->count && !strcmp(a->items[i].key, b->items[i].key) &&
	    !strcmp(a->items[i].value, b->items[i].value);
	    i++)
		;
	return i == a->count && i == b->count;
}

size_t
settings_first(const struct settings *s, const char *prefix)
{
	size_t i = sorted_first(s->items, s->count, sizeof(*s->items), prefix, strlen(prefix));

	return settings_below(s, i, prefix) ? i : s->count;
}

const char *
settings_below(const struct settings *s, size_t index, const char *prefix)
{
	size_t len = strlen(prefix);

	if (index >= s->count || strncmp(s->items[index].key, prefix, len) != 0)
		return NULL;
	return s->items[index].key + len;
}

bool
settings_has_prefix(const struct settings *s, const char *prefix)
{
	return settings_first(s, prefix) < s->count;
}
