#include "settings/part.h"

#include "base/pool.h"
#include "settings/settings.h"

#include <string.h>

static const char *const state_names[PART_STATE_COUNT] = {
	[PART_PLANNED] = "planned",
	[PART_SENDING] = "sending",
	[PART_PROVED] = "proved",
};

const char *
part_node_name(const struct part *p)
{
	if (p->origin)
		return p->origin;
	return p->file ? p->file : "config.toml";
}

const char *
part_state_name(enum part_state state)
{
	return state_names[state];
}

void
part_add(struct part *p, struct pool *pool, const struct part_key *key)
{
	if (p->known.count == p->count)
		sorted_add(&p->known, pool, key->key, p->count);
	*(struct part_key *)pool_add(pool, p->keys, p->count) = *key;
}

void
part_empty(struct part *p)
{
	p->keys = NULL;
	p->count = 0;
	p->known = (struct sorted){ 0 };
}

void
part_add_listener(struct part *p, struct pool *pool, const struct part_listener *l)
{
	struct part_listener *added = pool_add(pool, p->listeners, p->listener_count);

	*added = *l;
}

size_t
part_count(const struct part *p, unsigned groups)
{
	size_t i, n = 0;

	for (i = 0; i < p->count; i++)
		n += (groups & 1u << p->keys[i].group) != 0;
	return n;
}

unsigned
part_groups(const struct part *p)
{
	unsigned groups = 0;
	size_t i;

	for (i = 0; i < p->count; i++)
		groups |= 1u << p->keys[i].group;
	return groups;
}

const struct part_key *
part_find(const struct part *p, const char *key)
{
	const struct sorted_item *found;
	size_t i;

	if (p->known.count == p->count) {
		found = sorted_find(&p->known, key);
		return found ? &p->keys[found->number] : NULL;
	}
	for (i = 0; i < p->count; i++) {
		if (!strcmp(p->keys[i].key, key))
			return &p->keys[i];
	}
	return NULL;
}

const struct part_key *
part_behind(const struct part *p, const struct part_key *k)
{
	return k->local && p->behind ? part_find(p->behind, k->key) : NULL;
}

bool
part_differs(const struct part *a, const struct part *b)
{
	size_t i;

	for (i = 0; i < a->count; i++) {
		const struct part_key *k = part_find(b, a->keys[i].key);

		if (k && !settings_same(k->before, a->keys[i].before))
			return true;
	}
	return false;
}

bool
part_stands(const struct part *p, const struct settings *now)
{
	size_t i;

	for (i = 0; i < p->count; i++) {
		const struct part_key *k = &p->keys[i];

		if (k->written && settings_same(k->written, settings_get(now, k->key)))
			return true;
	}
	return false;
}

bool
part_accounts_for(const struct part_key *k, const char *value)
{
	return settings_same(value, k->before) || settings_same(value, k->written) ||
	    settings_same(value, k->maybe_present);
}

/* Keys were taken out: the first n are left. The index of the names no longer fits. */
static void
keep_first(struct part *p, size_t n)
{
	if (n < p->count)
		p->known = (struct sorted){ 0 };
	p->count = n;
}

void
part_mark_written(struct part *p, unsigned groups)
{
	size_t i, n = 0;

	for (i = 0; i < p->count; i++) {
		struct part_key k = p->keys[i];

		if (groups & 1u << k.group) {
			k.maybe_present = k.before;
			if (settings_same(k.before, k.written) && (k.local || !k.before))
				continue;
		}
		p->keys[n++] = k;
	}
	if (n < p->count)
		p->known.count = 0;
	keep_first(p, n);
}

bool
part_is_uncertain(const struct part *p, unsigned groups)
{
	size_t i;

	for (i = 0; i < p->count; i++) {
		const struct part_key *k = &p->keys[i];

		if (!(groups & 1u << k->group) && !settings_same(k->maybe_present, k->before) &&
		    !settings_same(k->maybe_present, k->written))
			return p->state == PART_SENDING;
	}
	return false;
}

void
part_forget_plan(struct part *p)
{
	size_t i, n = 0;

	for (i = 0; i < p->count; i++)
		p->keys[i].written = p->keys[i].maybe_present;
	for (i = 0; i < p->count; i++) {
		if (!settings_same(p->keys[i].before, p->keys[i].written))
			p->keys[n++] = p->keys[i];
	}
	keep_first(p, n);
	part_mark_written(p, ~0u);
	if (p->count)
		p->state = PART_PROVED;
}
