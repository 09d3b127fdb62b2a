#include "plan/plan.h"

#include "base/err.h"
#include "base/pool.h"
#include "cmd/options.h"
#include "plan/plan_build.h"
#include "settings/localkeys.h"
#include "settings/settings.h"
#include "settings/snapshot.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const state_names[KEY_STATE_COUNT] = {
	[KEY_AS_WANTED] = "as-wanted",
	[KEY_STAGED] = "staged",
	[KEY_MISSING] = "missing",
	[KEY_FOREIGN] = "foreign",
	[KEY_LEFTOVER] = "leftover",
	[KEY_TO_RESTORE] = "to-restore",
	[KEY_RESTORED] = "restored",
	[KEY_CHANGED] = "changed",
};

const char *
key_state_name(enum key_state s)
{
	return state_names[s];
}

struct plan_key *
build_find(struct build *b, const char *key)
{
	size_t i;

	for (i = 0; i < b->p->key_count; i++) {
		if (!strcmp(b->p->keys[i].key, key))
			return &b->p->keys[i];
	}
	return NULL;
}

int
build_want(struct build *b, enum group group, const char *key, const char *wanted)
{
	struct plan_key *k = build_find(b, key), *keys;

	if (!k && b->p->key_count > SNAPSHOT_KEYS_MAX)
		return err_set(
		    b->err, ERR_REFUSED, "more than %d keys would change", SNAPSHOT_KEYS_MAX);
	if (!k) {
		keys = pool_grow(b->pool, b->p->keys, b->p->key_count, sizeof(*keys));
		if (!keys)
			return err_memory(b->err);
		b->p->keys = keys;
		k = &keys[b->p->key_count++];
		memset(k, 0, sizeof(*k));
		k->key = key;
	}
	k->group = group;
	k->applies = group_applies(group);
	k->wanted = wanted;
	k->now = settings_get(b->in->now, key);
	k->original = settings_get(&b->base, key);
	return 0;
}

void
build_refuse(struct build *b, const char *name, bool fatal, const char *fmt, ...)
{
	bool forced = !fatal && options_forced(b->o, name);
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	message_add(&b->p->messages, b->pool, MESSAGE_REFUSAL, name, "%s%s%s%s", text,
	    fatal        ? " Nothing overrides this."
		: forced ? ""
			 : " To go on all the same: --force ",
	    fatal || forced ? "" : name, fatal || forced ? "" : ".")
	    ->forced = forced;
}

int
build_begin(struct build *b, struct plan *p, struct pool *pool, const struct plan_input *in,
    struct err *err)
{
	memset(p, 0, sizeof(*p));
	b->p = p;
	b->pool = pool;
	b->in = in;
	b->o = in->options;
	b->err = err;
	build_dialect(b);
	return build_base(b);
}

/* Does the snapshot's key count in this run? */
static bool
in_groups(const struct build *b, const struct snapshot_key *k)
{
	return b->o->groups & 1u << k->group;
}

/*
 * The administration page turns a list of one into a scalar when somebody saves the listener
 * (server-facts): then our network is found at the list's own key.
 */
static bool
is_our_scalar(const struct build *b, const struct setting *at)
{
	const struct snapshot *s = b->in->snapshot;
	size_t len = strlen(at->key), i;

	for (i = 0; s && i < s->count; i++) {
		const struct snapshot_key *k = &s->keys[i];

		if (k->group == GROUP_LISTENERS && in_groups(b, k) &&
		    !strncmp(k->key, at->key, len) && k->key[len] == '.' &&
		    k->key[len + 1] <= '9' && !k->before && snapshot_accounts_for(k, at->value) &&
		    !settings_same(settings_get(b->in->now, k->key), at->value))
			return !snapshot_find(s, at->key);
	}
	return false;
}

/*
 * A key of the snapshot as it was before; but where somebody set another value since, that is what
 * stood before.
 */
static int
add_original(struct build *b, const struct snapshot_key *k)
{
	const char *value = settings_get(b->in->now, k->key);

	if (snapshot_accounts_for(k, value))
		value = k->before;
	else if (!b->p->clearing)
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING, NULL,
		    "%s was changed since it was staged, to %s: that now counts as what stood "
		    "before.",
		    k->key, value ? value : "(absent)");
	return value ? settings_add(&b->base, b->pool, k->key, value, b->err) : 0;
}

int
build_base(struct build *b)
{
	const struct settings *now = b->in->now;
	const struct snapshot *s = b->in->snapshot;
	const struct snapshot_key *k;
	size_t i;

	if (!s) {
		b->base = *now;
		return 0;
	}
	for (i = 0; i < now->count; i++) {
		k = snapshot_find(s, now->items[i].key);
		if (k ? !in_groups(b, k) : !is_our_scalar(b, &now->items[i])) {
			if (settings_add(&b->base, b->pool, now->items[i].key, now->items[i].value,
				b->err) == -1)
				return -1;
		}
	}
	for (i = 0; i < s->count; i++) {
		if (in_groups(b, &s->keys[i]) && add_original(b, &s->keys[i]) == -1)
			return -1;
	}
	if (settings_sort(&b->base, b->err) == -1)
		return -1;
	for (i = 0; i < now->count; i++) {
		if (is_our_scalar(b, &now->items[i]) &&
		    build_want(b, GROUP_LISTENERS, now->items[i].key, NULL) == -1)
			return -1;
	}
	return 0;
}

/* Versions from a to b in words. */
static const char *
range_words(struct build *b, int first, int last)
{
	const char *text = first == last ? pool_printf(b->pool, "0.%d", first)
					 : pool_printf(b->pool, "0.%d to 0.%d", first, last);

	return text ? text : "";
}

void
build_dialect(struct build *b)
{
	const struct dialect *low = changeset_dialect(b->in->minor_first),
			     *high = changeset_dialect(b->in->minor_last);
	int named = b->o->minor;

	b->p->dialect = high;
	if (named != -1) {
		b->p->dialect = changeset_dialect(named);
		if (named < b->in->minor_first || named > b->in->minor_last)
			build_refuse(b, "dialect", false,
			    "--dialect says 0.%d, but it looks like %s.", named,
			    range_words(b, b->in->minor_first, b->in->minor_last));
		return;
	}
	if (low == high)
		return;
	if (b->o->groups & 1u << GROUP_OUTBOUND && b->o->relay_host &&
	    strcmp(low->rule, high->rule) != 0)
		build_refuse(b, "dialect-unknown", true,
		    "The server is one of %s, and what the group outbound writes differs between "
		    "them. Look the version up in the administration page and name it: --dialect "
		    "0.N, with N = 12 for 0.12.5. With a wrong one the server would ignore what is "
		    "written. Or leave the group out: --skip outbound.",
		    range_words(b, b->in->minor_first, b->in->minor_last));
	if (b->o->groups & 1u << GROUP_URL && strcmp(low->url_key, high->url_key) != 0)
		build_refuse(b, "dialect-unknown", true,
		    "The server is one of %s, and the key of the advertised URL differs between "
		    "them. Name the version with --dialect, or leave the group out: --skip url.",
		    range_words(b, b->in->minor_first, b->in->minor_last));
}

/* Where is the key's state now, seen against what is wanted? */
static enum key_state
state_of(const struct plan_key *k, const char *value)
{
	if (settings_same(value, k->wanted))
		return k->recorded ? KEY_STAGED : KEY_AS_WANTED;
	if (!k->wanted)
		return KEY_LEFTOVER;
	return value ? KEY_FOREIGN : KEY_MISSING;
}

int
build_settle(struct build *b)
{
	struct plan_key *k;
	size_t i;

	for (i = 0; i < b->p->key_count; i++) {
		k = &b->p->keys[i];
		k->local = b->in->file || localkeys_match(b->in->now, b->p->dialect->last, k->key);
		if (b->in->file)
			k->applies = APPLIES_RESTART;
		k->recorded = !settings_same(k->original, k->wanted);
		k->after = k->now;
		k->state = state_of(k, k->now);
		k->write = !settings_same(k->now, k->wanted) &&
		    (k->local || !b->in->shared_elsewhere);
		b->p->write_count += k->write;
	}
	return pool_check(b->pool, b->err);
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
		if (k->state == KEY_CHANGED)
			continue;
		if (p->clearing)
			k->state = settings_same(k->after, k->wanted) ? KEY_RESTORED
								      : KEY_TO_RESTORE;
		else
			k->state = state_of(k, k->after);
		wrong += !settings_same(k->after, k->wanted);
	}
	return wrong;
}

int
plan_keep(const struct plan *p, unsigned groups, const struct snapshot *old, struct snapshot *s,
    struct pool *pool, struct err *err)
{
	size_t i;

	for (i = 0; old && i < old->count; i++) {
		struct snapshot_key key = old->keys[i];

		if (s->state == SNAPSHOT_PLANNED)
			key.maybe_present = key.written;
		if (!(groups & 1u << key.group) && snapshot_add(s, pool, &key, err) == -1)
			return -1;
	}
	for (i = 0; i < p->key_count; i++) {
		const struct plan_key *k = &p->keys[i];
		const struct snapshot_key *known = old ? snapshot_find(old, k->key) : NULL;
		struct snapshot_key key = {
			.key = k->key,
			.before = k->original,
			.written = k->wanted,
			.group = k->group,
			.local = k->local,
			.text = known && settings_same(known->before, k->original) ? known->text
										   : NULL,
			/* What is written anew is deleted first. */
			.maybe_present = k->write && settings_same(k->now, k->wanted) ? NULL
										      : k->now,
		};

		/*
		 * Also what goes back to its original: until that is proved, something of ours may
		 * be there. Values that stood stay.
		 */
		if ((k->write || (known && (k->recorded || k->original))) &&
		    snapshot_add(s, pool, &key, err) == -1)
			return -1;
	}
	return 0;
}

void
plan_prove(const struct plan *p, unsigned groups, const struct snapshot *old, struct snapshot *s)
{
	bool rewritten = false, local = false;
	size_t i;

	for (i = 0; i < p->key_count; i++)
		rewritten |= p->keys[i].write && p->keys[i].local;
	for (i = 0; old && i < old->count; i++)
		local |= old->keys[i].local;
	s->state = old && old->state == SNAPSHOT_SENDING &&
		((local && !rewritten && !p->file) || snapshot_is_uncertain(old, groups))
	    ? SNAPSHOT_SENDING
	    : SNAPSHOT_PROVED;
	snapshot_mark_written(s, s->state == SNAPSHOT_PROVED ? ~0u : groups);
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
