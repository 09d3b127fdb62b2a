#include "plan/plan_clear.h"

#include "base/err.h"
#include "base/pool.h"
#include "plan/plan_check.h"
#include "plan/plan_listeners.h"
#include "settings/settings.h"
#include "settings/snapshot.h"
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

static int
from_snapshot(struct build *b)
{
	const struct snapshot *s = b->in->snapshot;
	const struct snapshot_key *old;
	struct plan_key *k;
	size_t i;

	for (i = 0; i < s->count; i++) {
		if (b->q->groups & 1u << s->keys[i].group)
			build_add_key(b, s->keys[i].group, s->keys[i].key, s->keys[i].before);
	}
	if (build_set_states(b) == -1)
		return -1;
	for (i = 0; i < b->p->key_count; i++) {
		k = &b->p->keys[i];
		k->state = KEY_TO_RESTORE;
		old = snapshot_find(s, k->key);
		if (!old)
			continue; /* our network that became a scalar */
		k->written = old->written;
		if (k->write && !snapshot_accounts_for(old, k->now))
			leave_changed(b, k);
	}
	return 0;
}

/* Leave a key alone, and say why. */
static void
warn_not_ours(struct build *b, const char *key, const char *value)
{
	b->p->left_count++;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "%s holds %s, which is not part of this change set. It is left alone.", key, value);
}

/* Does a listener's list hold only our networks and copies of global ones, at least one ours? */
static bool
list_is_ours(const struct build *b, const struct trusted *own, const struct trusted *global)
{
	bool ours = false;
	size_t i, j;

	for (i = 0; i < own->count; i++) {
		bool known = request_has_proxy(b->q, own->items[i].value);

		ours |= known;
		for (j = 0; j < global->count; j++)
			known |= !strcmp(own->items[i].value, global->items[j].value);
		if (!known)
			return false;
	}
	return ours;
}

/*
 * Without a snapshot: remove the whole list and the override if all of the list is ours, else only
 * our own entries.
 */
static void
recognise_listener(struct build *b, const char *id)
{
	const char *override = changeset_listener_key(b->pool, id, "override");
	const char *list = changeset_listener_key(b->pool, id, "trusted-networks");
	struct trusted own = { 0 }, global = { 0 };
	bool all, ours = false;
	size_t i;

	trusted_read(&own, b->pool, b->in->now, list);
	trusted_read(&global, b->pool, b->in->now, TRUSTED_GLOBAL);
	all = list_is_ours(b, &own, &global);
	if ((all || !own.count) && settings_same(settings_get(b->in->now, override), "true"))
		build_add_key(b, GROUP_LISTENERS, override, NULL);
	for (i = 0; i < own.count; i++) {
		if (all || request_has_proxy(b->q, own.items[i].value)) {
			ours = true;
			build_add_key(b, GROUP_LISTENERS, own.items[i].key, NULL);
			continue;
		}
		warn_not_ours(b, own.items[i].key, own.items[i].value);
	}
	if (ours && !all && settings_get(b->in->now, override))
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "%s is left alone, because the listener has other networks too. Remove it if "
		    "you did not set it.",
		    override);
}

/* Without a snapshot: a key with a fixed value is ours if it holds that value. */
static void
recognise_fixed(struct build *b, const struct entry *e)
{
	const char *now = settings_get(b->in->now, e->key);

	if (settings_same(now, e->value)) {
		build_add_key(b, e->group, e->key, NULL);
	} else if (now) {
		warn_not_ours(b, e->key, now);
	}
}

/* Without a snapshot: refuse if options are missing that are needed to find our values. */
static void
check_options(struct build *b)
{
	const struct request *q = b->q;
	bool proxy = q->groups & 1u << GROUP_LISTENERS && !q->proxy_count,
	     url = q->groups & 1u << GROUP_URL && !q->public_origin[0],
	     relay = q->groups_named && q->groups & 1u << GROUP_OUTBOUND && !q->relay_host;

	if (!proxy && !url && !relay)
		return;
	build_refuse(b, REFUSAL_NO_SNAPSHOT,
	    "There is no snapshot%s%.1000s. Without one, clear removes only what the options of "
	    "the stage show to be stalprep's. Name the snapshot with --snapshot, or give these "
	    "options of the stage again:%s%s%s%s%s.",
	    b->in->snapshot_path ? " at " : "", b->in->snapshot_path ? b->in->snapshot_path : "",
	    proxy ? " --proxy (or --skip listeners)" : "", proxy && (url || relay) ? "," : "",
	    url ? " --public-url (or --skip url)" : "", url && relay ? "," : "",
	    relay ? " --relay (or --skip outbound)" : "");
}

static int
from_options(struct build *b)
{
	const struct request *q = b->q;
	struct changeset set = { 0 };
	struct wanted w = request_wanted(q);
	size_t i;

	if (!q->relay_host && !q->groups_named)
		w.groups &= ~(1u << GROUP_OUTBOUND);
	if (!q->allow_new_server) /* an exemption may be the administrator's own */
		w.groups &= ~(1u << GROUP_ALLOW);
	b->p->unknown_before = true;
	check_options(b);
	if (message_refusals(&b->p->messages))
		return 0;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "There is no snapshot here, so the original values are not known. stalprep's own "
	    "values are removed, and nothing is put back. If you had other values, restore them "
	    "from your copy of config.toml.");
	build_choose_listeners(b);
	for (i = 0; i < b->p->listener_count && q->groups & 1u << GROUP_LISTENERS; i++) {
		if (b->p->listeners[i].chosen)
			recognise_listener(b, b->p->listeners[i].listener->id);
	}
	changeset_add_rest(&set, b->pool, &w, b->p->dialect);
	for (i = 0; i < set.count; i++)
		recognise_fixed(b, &set.entries[i]);
	return build_set_states(b);
}

/*
 * Is there such a snapshot, and does the server have none of the values that it says were written?
 * all: the database's keys count too.
 */
static bool
has_nothing_of(const struct build *b, const struct snapshot *s, bool all)
{
	size_t i;

	for (i = 0; s && i < s->count; i++) {
		const struct snapshot_key *k = &s->keys[i];

		if ((k->local || all) && k->written &&
		    settings_same(k->written, settings_get(b->in->now, k->key)))
			return false;
	}
	return s != NULL;
}

/*
 * Without a snapshot: was this server cleared before, or is it a node that the stage left out? Then
 * say so.
 */
static bool
was_left_out(const struct build *b)
{
	bool cleared = has_nothing_of(b, b->in->cleared, true);

	if (!cleared && !has_nothing_of(b, b->in->other, false))
		return false;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING, "%s",
	    cleared ? "This server was cleared already: nothing of its last snapshot is staged "
		      "there now."
		    : "This node has no snapshot, and nothing of what was staged on another node. "
		      "It is left alone.");
	return true;
}

int
plan_clear(struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err)
{
	struct plan_input own = *in;
	struct build b = { .p = p, .pool = pool, .in = &own, .q = in->request, .err = err };
	size_t i;

	/* A snapshot says what its own node restores, whatever the order of the nodes is now. */
	own.shared_elsewhere = in->shared_elsewhere && !in->snapshot;
	memset(p, 0, sizeof(*p));
	p->clearing = true;
	p->dialect = changeset_dialect(in->minor_last);
	if (!in->snapshot && was_left_out(&b))
		return pool_check(pool, err);
	if (!in->snapshot) {
		build_dialect(&b);
		b.base = *in->now;
	} else if (build_base(&b) == -1) {
		return -1;
	}
	if ((in->snapshot ? from_snapshot(&b) : from_options(&b)) == -1)
		return -1;
	/* A stage of this node alone is cleared on this node alone. */
	if (!in->snapshot || !in->snapshot->request->single_node)
		build_check_cluster(&b);
	build_check_rewrite(&b);
	build_tell_answers(&b);
	for (i = 0; i < p->key_count; i++) {
		if (p->keys[i].state != KEY_CHANGED)
			p->keys[i].state = p->keys[i].write ? KEY_TO_RESTORE : KEY_RESTORED;
	}
	return pool_check(pool, err);
}
