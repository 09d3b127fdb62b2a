#include "plan/plan.h"

#include "base/pool.h"
#include "base/sorted.h"
#include "settings/part.h"
#include "settings/settings.h"

static const char *const state_names[KEY_STATE_COUNT] = {
	[KEY_AS_WANTED] = "as-wanted",
	[KEY_STAGED] = "staged",
	[KEY_MISSING] = "missing",
	[KEY_FOREIGN] = "foreign",
	[KEY_LEFTOVER] = "leftover",
	[KEY_TO_RESTORE] = "to-restore",
	[KEY_RESTORED] = "restored",
	[KEY_CHANGED] = "changed",
	[KEY_IN_FILE] = "in-file",
};

const char *
key_state_name(enum key_state s)
{
	return state_names[s];
}

bool
plan_key_is_left(const struct plan_key *k)
{
	return k->state == KEY_CHANGED || k->state == KEY_IN_FILE;
}

enum key_state
plan_key_state(const struct plan_key *k, const char *value)
{
	if (settings_same(value, k->wanted))
		return k->recorded ? KEY_STAGED : KEY_AS_WANTED;
	if (!k->wanted)
		return KEY_LEFTOVER;
	return value ? KEY_FOREIGN : KEY_MISSING;
}

size_t
plan_compare(struct plan *p, const struct settings *after)
{
	struct plan_key *k;
	size_t i, wrong = 0;

	p->unread = false;
	for (i = 0; i < p->key_count; i++) {
		k = &p->keys[i];
		k->after = settings_get(after, k->key);
		if (plan_key_is_left(k))
			continue;
		if (k->taken) {
			k->state = plan_key_state(k, k->after);
			wrong += !settings_same(k->after, k->now);
			continue;
		}
		if (p->clearing)
			k->state = settings_same(k->after, k->wanted) ? KEY_RESTORED
								      : KEY_TO_RESTORE;
		else
			k->state = plan_key_state(k, k->after);
		wrong += !settings_same(k->after, k->wanted);
	}
	return wrong;
}

void
plan_fill_part(const struct plan *p, unsigned groups, const struct part *old, struct part *s,
    struct pool *pool)
{
	struct sorted olds = { 0 };
	size_t i;

	for (i = 0; old && i < old->count; i++) {
		struct part_key key = old->keys[i];

		sorted_add(&olds, pool, key.key, i);

		if (s->state == PART_PLANNED)
			key.maybe_present = key.written;
		if (!(groups & 1u << key.group))
			part_add(s, pool, &key);
	}
	for (i = 0; i < p->key_count; i++) {
		const struct plan_key *k = &p->keys[i];
		const struct sorted_item *found = sorted_find(&olds, k->key);
		const struct part_key *known = found ? &old->keys[found->number] : NULL;
		struct part_key key = {
			.key = k->key,
			.before = k->original,
			.written = k->wanted,
			.group = k->group,
			.local = k->local || (k->in_file && !k->write),
			.unknown = k->unknown,
			.text = known && settings_same(known->before, k->original) ? known->text
										   : NULL,
			/* A local key with the wanted value is deleted before the insert. */
			/* Another stage's value, which no run recorded, is no trace of ours. */
			.maybe_present = k->unknown && !known                 ? NULL
			    : !(k->write && settings_same(k->now, k->wanted)) ? k->now
			    : k->local                                        ? NULL
									      : k->original,
		};

		/*
		 * A key that goes back to its original is recorded too: until that is proved, it
		 * may hold a value of ours.
		 */
		if (k->write || k->unknown || (known && (k->recorded || k->original)))
			part_add(s, pool, &key);
	}
}

void
plan_mark_proved(const struct plan *p, unsigned groups, const struct part *old, struct part *s)
{
	bool rewritten = false, local = false;
	size_t i;

	for (i = 0; i < p->key_count; i++)
		rewritten |= p->keys[i].write && p->keys[i].local;
	for (i = 0; old && i < old->count; i++)
		local |= old->keys[i].local;
	s->state = old && old->state == PART_SENDING &&
		((local && !rewritten && !p->file) || part_is_uncertain(old, groups))
	    ? PART_SENDING
	    : PART_PROVED;
	part_mark_written(s, s->state == PART_PROVED ? ~0u : groups);
}

struct group_count
plan_count(const struct plan *p, enum group g)
{
	struct group_count c = { 0, 0, 0 };
	size_t i;

	for (i = 0; i < p->key_count; i++) {
		if (p->keys[i].group != g)
			continue;
		c.keys++;
		c.right += p->keys[i].state == KEY_STAGED || p->keys[i].state == KEY_AS_WANTED;
		c.foreign += p->keys[i].state == KEY_FOREIGN || p->keys[i].state == KEY_LEFTOVER;
	}
	return c;
}

enum group_state
plan_group_state(const struct group_count *c)
{
	if (!c->keys)
		return GROUP_NONE;
	if (c->right == c->keys)
		return GROUP_STAGED;
	return c->right || c->foreign ? GROUP_PARTLY : GROUP_NOT_STAGED;
}

bool
plan_any_staged(const struct plan *p)
{
	int g;

	for (g = 0; g < GROUP_COUNT; g++) {
		struct group_count c = plan_count(p, (enum group)g);

		if (plan_group_state(&c) >= GROUP_PARTLY)
			return true;
	}
	return false;
}

unsigned
plan_missing(const struct plan *p, unsigned groups)
{
	unsigned missing = 0;
	int g;

	for (g = 0; g < GROUP_COUNT; g++) {
		struct group_count c = plan_count(p, (enum group)g);
		enum group_state state = plan_group_state(&c);

		if (state == GROUP_PARTLY || state == GROUP_NOT_STAGED ||
		    (state == GROUP_NONE && GROUPS_DEFAULT & groups & 1u << g))
			missing |= 1u << g;
	}
	return missing;
}
