#include "plan/plan_clear.h"

#include "base/err.h"
#include "base/pool.h"
#include "plan/plan_boot.h"
#include "plan/plan_check.h"
#include "plan/plan_listeners.h"
#include "plan/plan_looks.h"
#include "settings/part.h"
#include "settings/settings.h"
#include "settings/trusted.h"

#include <string.h>

/* Warn about a key that somebody changed after the stage. Leave it alone unless forced. */
static void
leave_changed(struct build *b, struct plan_key *k)
{
	if (b->q->forced[REFUSAL_CHANGED]) {
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "%s was changed from %s to %s after it was staged. It is restored anyway, "
		    "because of --force changed.",
		    k->key, k->written ? k->written : "(absent)", k->now ? k->now : "(absent)");
		return;
	}
	k->write = false;
	k->state = KEY_CHANGED;
	b->p->write_count--;
	b->p->left_count++;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "%s was changed after it was staged: stalprep wrote %s, and it is now %s. It is left "
	    "alone. To restore it anyway: --force changed.",
	    k->key, k->written ? k->written : "(absent)", k->now ? k->now : "(absent)")
	    ->refusal = REFUSAL_CHANGED;
}

/* Does the text of this key begin another key's? Then a clear of the one takes the other too. */
static bool
begins_another(const struct build *b, const char *key)
{
	const struct settings *s = b->in->every ? b->in->every : b->in->now;
	size_t i = settings_first(s, key);

	return settings_below(s, i, key) &&
	    (*settings_below(s, i, key) || settings_below(s, i + 1, key));
}

/*
 * Leave keys of the database that were staged in config.toml, unless forced: the server's clear
 * would remove what the database holds behind them as well (server-facts). One that the database
 * has with the same value looks restored, and still stands in the file.
 */
static void
leave_in_file(struct build *b)
{
	bool forced = b->q->forced[REFUSAL_IN_FILE];
	const char *first = NULL;
	size_t i, count = 0;

	for (i = 0; i < b->p->key_count; i++) {
		struct plan_key *k = &b->p->keys[i];

		if (!k->in_file || k->state == KEY_CHANGED ||
		    (!k->write && !(k->now && settings_same(k->now, k->written))))
			continue;
		b->p->write_count -= k->write;
		k->write = forced && !begins_another(b, k->key);
		b->p->write_count += k->write;
		if (k->write)
			continue;
		k->state = KEY_IN_FILE;
		b->p->left_count++;
		first = first ? first : k->key;
		count++;
	}
	if (!count)
		return;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "%s%s staged in config.toml while the server was stopped, though the server keeps such "
	    "keys in its database. Over the API they can only be removed from both places at once. "
	    "They are left alone. Stop the server and use clear --config%s.",
	    first, count == 1 ? " was" : pool_printf(b->pool, " and %zu more were", count - 1),
	    forced ? "" : ", or --force in-file to remove them from both")
	    ->refusal = REFUSAL_IN_FILE;
}

static void
tell_unknown(struct build *b)
{
	struct plan *p = b->p;
	size_t i;

	for (i = 0; i < p->key_count; i++)
		p->unknown_count += p->keys[i].unknown && p->keys[i].write;
	if (p->unknown_count)
		message_add(&p->messages, b->pool, MESSAGE_WARNING,
		    "%zu key%s staged over another stage's (--force already-staged), so what stood "
		    "there before is not known. They are removed. If you had other values, set "
		    "them again.",
		    p->unknown_count, p->unknown_count == 1 ? " was" : "s were");
}

/*
 * What a clear restores. A key of the database that is cleared out of config.toml goes from both
 * places, so what the database held behind it counts too.
 */
static const char *
original_of(const struct build *b, const struct part_key *k)
{
	const struct part_key *behind = part_behind(b->in->part, k);

	return !k->before && behind && !b->in->file ? behind->before : k->before;
}

/*
 * Does a key that looks restored need the write even so? The stage's change of it may be hidden:
 * somebody put the old value into config.toml, which outranks the database, and over the API both
 * look the same. Where nothing of the stage is left, it was taken back by hand or by a backup.
 */
static bool
may_be_hidden(const struct build *b, const struct plan_key *k, const struct part_key *old)
{
	return k->wanted && !k->local && !k->in_file && !b->in->shared_elsewhere &&
	    settings_same(k->now, k->wanted) && !settings_same(old->written, k->wanted) &&
	    part_stands(b->in->part, b->in->now);
}

static int
from_snapshot(struct build *b)
{
	const struct part *s = b->in->part;
	const struct part_key *old;
	struct plan_key *k;
	size_t i;

	for (i = 0; i < s->count; i++) {
		/* The run's first node restores the database. */
		if (b->q->groups & 1u << s->keys[i].group &&
		    (s->keys[i].local || !b->in->shared_elsewhere))
			build_add_key(
			    b, s->keys[i].group, s->keys[i].key, original_of(b, &s->keys[i]));
	}
	if (build_set_states(b) == -1)
		return -1;
	for (i = 0; i < b->p->key_count; i++) {
		k = &b->p->keys[i];
		k->state = KEY_TO_RESTORE;
		old = part_find(s, k->key);
		if (!old)
			continue; /* our network that became a scalar */
		k->written = old->written;
		if (k->write && !part_accounts_for(old, k->now)) {
			leave_changed(b, k);
		} else if (may_be_hidden(b, k, old)) {
			k->write = true;
			b->p->write_count++;
		}
	}
	leave_in_file(b);
	tell_unknown(b);
	if (b->in->new_node && b->in->doubted)
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "Nothing that was staged stands in this node's config.toml: another node "
		    "answers at this URL, or somebody changed it. It is left alone. If it is the "
		    "same node: --force changed.")
		    ->refusal = REFUSAL_CHANGED;
	else if (b->in->new_node)
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "The snapshot says nothing of this node's config.toml, so that is left alone.");
	return pool_check(b->pool, b->err);
}

/* Leave a key alone, and say why. */
static void
warn_not_ours(struct build *b, const char *key, const char *value)
{
	b->p->left_count++;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "%s holds %s, which is not part of this change set. It is left alone.", key, value);
}

/* Without a snapshot: how much of one group stands as its options say. */
struct whole {
	size_t keys, ours;
	const char *ours_key, *other_key; /* the first that is ours, and that is not; or NULL */
};

static void
count_key(struct whole *w, const char *key, bool ours)
{
	w->keys++;
	w->ours += ours;
	if (ours && !w->ours_key)
		w->ours_key = key;
	if (!ours && !w->other_key)
		w->other_key = key;
}

/* The list's own entry of exactly this network, or NULL. */
static const struct trusted_entry *
entry_of(const struct trusted *own, const char *network)
{
	size_t i;

	for (i = 0; i < own->count; i++) {
		if (!strcmp(own->items[i].value, network))
			return &own->items[i];
	}
	return NULL;
}

static void
count_listener(struct build *b, const char *id, struct whole *w)
{
	const char *override = changeset_listener_key(b->pool, id, "override");
	const char *list = changeset_listener_key(b->pool, id, "trusted-networks");
	struct trusted own = { 0 };
	size_t i;

	count_key(w, override, settings_same(settings_get(b->in->now, override), "true"));
	trusted_read(&own, b->pool, b->in->now, list);
	for (i = 0; i < b->q->proxy_count; i++) {
		const struct trusted_entry *e = entry_of(&own, b->q->proxies[i]);

		count_key(w, e ? e->key : list, e != NULL);
	}
}

static struct whole
count_group(struct build *b, enum group g, const struct changeset *set)
{
	struct whole w = { 0, 0, NULL, NULL };
	size_t i;

	for (i = 0; i < b->p->listener_count && g == GROUP_LISTENERS; i++) {
		if (b->p->listeners[i].chosen)
			count_listener(b, b->p->listeners[i].listener->id, &w);
	}
	for (i = 0; i < set->count; i++) {
		const struct entry *e = &set->entries[i];

		if (e->group == g)
			count_key(
			    &w, e->key, settings_same(settings_get(b->in->now, e->key), e->value));
	}
	return w;
}

/*
 * Remove our networks and the copies of the global ones. Others were there before, or came since:
 * then the list stays, and so does the override.
 */
static void
remove_listener(struct build *b, const char *id, const struct sorted *global)
{
	const char *override = changeset_listener_key(b->pool, id, "override");
	struct trusted own = { 0 };
	size_t i, left = 0;

	trusted_read(
	    &own, b->pool, b->in->now, changeset_listener_key(b->pool, id, "trusted-networks"));
	for (i = 0; i < own.count; i++)
		left += !request_has_proxy(b->q, own.items[i].value) &&
		    !sorted_find(global, own.items[i].value);
	for (i = 0; i < own.count; i++) {
		if (!left || request_has_proxy(b->q, own.items[i].value))
			build_add_key(b, GROUP_LISTENERS, own.items[i].key, NULL);
		else
			warn_not_ours(b, own.items[i].key, own.items[i].value);
	}
	if (!left)
		build_add_key(b, GROUP_LISTENERS, override, NULL);
	else
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "%s is left alone, because the listener has other networks too. Remove it if "
		    "you did not set it.",
		    override);
}

static void
remove_group(struct build *b, enum group g, const struct changeset *set)
{
	struct trusted global = { 0 };
	struct sorted networks = { 0 };
	size_t i;

	trusted_read(&global, b->pool, b->in->now, TRUSTED_GLOBAL);
	for (i = 0; i < global.count; i++)
		sorted_add(&networks, b->pool, global.items[i].value, i);
	for (i = 0; i < b->p->listener_count && g == GROUP_LISTENERS; i++) {
		if (b->p->listeners[i].chosen)
			remove_listener(b, b->p->listeners[i].listener->id, &networks);
	}
	for (i = 0; i < set->count; i++) {
		if (set->entries[i].group == g)
			build_add_key(b, g, set->entries[i].key, NULL);
	}
}

/*
 * Without a snapshot nor the options nothing can be told apart: refuse, if it looks staged. Else
 * the listeners and the version, which a stage would ask for, do not matter.
 */
static void
refuse_without_options(struct build *b, bool proxy, bool url)
{
	struct looks l = build_looks(b, ~0u);

	if (!looks_staged(&l)) {
		b->p->messages.count = 0;
		b->answer_count = 0;
		return;
	}
	build_refuse(b, REFUSAL_NO_SNAPSHOT,
	    "This server looks staged (%s), and there is no snapshot of it%.1000s. Without one, "
	    "clear removes only what the options of the stage show to be stalprep's. Name the "
	    "snapshot with --snapshot, or give these options of the stage again: %s%s%s. If it had "
	    "--relay, --listener, --also or --leave, give these too.",
	    looks_words(b, &l), b->in->snapshot_place, proxy ? "--proxy (or --skip listeners)" : "",
	    proxy && url ? ", " : "", url ? "--public-url (or --skip url)" : "");
}

/*
 * The groups, as a set, that the options name: of the others nothing can be removed. An exemption
 * may be the administrator's own.
 */
static unsigned
named_groups(struct build *b)
{
	const struct request *q = b->q;
	bool proxy = q->groups & 1u << GROUP_LISTENERS && !q->proxy_count,
	     url = q->groups & 1u << GROUP_URL && !q->public_origin[0];
	unsigned named = q->groups & ~(1u << GROUP_ALLOW | 1u << GROUP_OUTBOUND);

	if (proxy || url) {
		refuse_without_options(b, proxy, url);
		named = 0;
	}
	if (q->relay_host)
		named |= q->groups & 1u << GROUP_OUTBOUND;
	return q->allow_new_server ? named | 1u << GROUP_ALLOW : named;
}

/* Say that the outbound group stands, which a stage has only with an option. Does it? */
static bool
tell_relay(struct build *b, bool others)
{
	struct request q = *b->q;
	struct changeset set = { 0 };
	struct wanted w;
	struct whole count;

	if (q.relay_host || !(q.groups & 1u << GROUP_OUTBOUND))
		return false;
	looks_relay(b, &q);
	if (!q.relay_host)
		return false;
	w = request_wanted(&q);
	w.groups = 1u << GROUP_OUTBOUND;
	changeset_add_rest(&set, b->pool, &w, b->p->dialect);
	count = count_group(b, GROUP_OUTBOUND, &set);
	if (count.ours < count.keys)
		return false;
	b->p->left_count += others || q.groups_named ? count.ours : 0;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "Group outbound stands as stalprep writes it, and is left alone. If it was staged: "
	    "clear --relay %s:%u.",
	    q.relay_host, q.relay_port);
	return true;
}

/* Warn about a group of which only some keys stand. */
static void
tell_partly(struct build *b, enum group g, const struct whole *count)
{
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "Only %zu of the %zu keys of group %s stand as stalprep writes them (%s does, %s does "
	    "not). They may be your own, so they are left alone.",
	    count->ours, count->keys, group_name(g), count->ours_key, count->other_key);
}

/*
 * Without a snapshot: a group is ours if every key of it stands as the options say. One of which
 * only some do may be the administrator's own.
 */
static int
from_options(struct build *b)
{
	struct whole counts[GROUP_COUNT] = { { 0, 0, NULL, NULL } };
	unsigned named, partly = 0, whole = 0;
	struct wanted w = request_wanted(b->q);
	struct changeset set = { 0 };
	int g;

	b->p->unknown_before = true;
	build_choose_listeners(b);
	named = named_groups(b);
	if (message_refusals(&b->p->messages))
		return 0;
	w.groups = named;
	changeset_add_rest(&set, b->pool, &w, b->p->dialect);
	for (g = 0; g < GROUP_COUNT; g++) {
		if (named & 1u << g)
			counts[g] = count_group(b, (enum group)g, &set);
		if (counts[g].ours)
			*(counts[g].ours == counts[g].keys ? &whole : &partly) |= 1u << g;
	}
	for (g = 0; g < GROUP_COUNT; g++) {
		if (whole & 1u << g)
			remove_group(b, (enum group)g, &set);
		if (!(partly & 1u << g))
			continue;
		b->p->left_count += whole ? counts[g].ours : 0;
		tell_partly(b, (enum group)g, &counts[g]);
	}
	if (whole)
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "There is no snapshot here, so the original values are not known: stalprep's "
		    "own are removed, and nothing is put back. If you had others, take them from "
		    "your copy of config.toml.");
	if (!tell_relay(b, whole) && !whole && !partly)
		message_add(&b->p->messages, b->pool, MESSAGE_NOTE,
		    "There is no snapshot of this server%.1000s, and %s.", b->in->snapshot_place,
		    named || b->q->groups_named ? "nothing of these options is staged"
						: "it does not look staged");
	return build_set_states(b);
}

int
plan_clear(struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err)
{
	struct build b = { .p = p, .pool = pool, .in = in, .q = in->request, .err = err };
	size_t i;

	memset(p, 0, sizeof(*p));
	p->clearing = true;
	p->dialect = changeset_dialect(
	    in->request->minor >= in->minor_first && in->request->minor <= in->minor_last
		? in->request->minor
		: in->minor_last);
	if (!in->part) {
		if (listener_check_count(in->now, err) == -1)
			return -1;
		build_dialect(&b);
		b.base = *in->now;
	} else if (build_base(&b) == -1) {
		return -1;
	}
	if ((in->part ? from_snapshot(&b) : from_options(&b)) == -1)
		return -1;
	/* With a snapshot, what this run does not reach stays in it. */
	if (!in->part)
		build_check_cluster(&b);
	build_check_boot(&b);
	build_check_rewrite(&b);
	build_tell_answers(&b);
	for (i = 0; i < p->key_count; i++) {
		if (!plan_key_is_left(&p->keys[i]))
			p->keys[i].state = p->keys[i].write ? KEY_TO_RESTORE : KEY_RESTORED;
	}
	return pool_check(pool, err);
}
