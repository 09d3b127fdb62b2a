#include "settings/trusted.h"

#include "base/pool.h"
#include "settings/settings.h"

#include <string.h>

enum { INDEX_MAX = 1000000 };

/* "0", "0000", "12", "12.more": the number in front; -1 for anything else. */
static long
parse_index(const char *text)
{
	long value = 0;
	size_t i;

	for (i = 0; text[i] >= '0' && text[i] <= '9' && value < INDEX_MAX; i++)
		value = value * 10 + (text[i] - '0');
	return i && (!text[i] || text[i] == '.') ? value : -1;
}

static void
add(struct trusted *t, struct pool *pool, const char *key, const char *value, long index)
{
	struct trusted_entry *e = pool_add(pool, t->items, t->count);

	e->key = key;
	e->value = value;
	e->index = index;
	e->valid = net_parse_server(&e->net, value);
}

void
trusted_read(struct trusted *t, struct pool *pool, const struct settings *s, const char *key)
{
	const char *below = pool_printf(pool, "%s.", key), *scalar = settings_get(s, key), *rest;
	size_t i;

	if (scalar)
		add(t, pool, pool_str(pool, key), scalar, -1);
	for (i = settings_first(s, below); (rest = settings_below(s, i, below)); i++)
		add(t, pool, s->items[i].key, s->items[i].value, parse_index(rest));
}

const struct trusted_entry *
trusted_covering(const struct trusted *t, const struct net *n)
{
	size_t i;

	for (i = 0; i < t->count; i++) {
		if (t->items[i].valid && net_covers(&t->items[i].net, n))
			return &t->items[i];
	}
	return NULL;
}

long
trusted_free_index(const struct trusted *t, long from)
{
	bool taken[TRUSTED_MAX + 1] = { false };
	size_t i;

	for (i = 0; i < t->count; i++) {
		if (t->items[i].index >= from && t->items[i].index - from <= TRUSTED_MAX)
			taken[t->items[i].index - from] = true;
	}
	for (i = 0; i < TRUSTED_MAX && taken[i]; i++)
		;
	return from + (long)i;
}
