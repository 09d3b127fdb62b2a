#include "plan/plan_stage.h"

#include "base/err.h"
#include "base/pool.h"
#include "plan/plan_boot.h"
#include "plan/plan_check.h"
#include "plan/plan_listeners.h"
#include "plan/plan_looks.h"
#include "plan/plan_want.h"
#include "settings/part.h"
#include "settings/settings.h"
#include "settings/trusted.h"

#include <string.h>

/* Refuse listener keys that the server would put into the database: they never take effect. */
static void
check_local(struct build *b)
{
	size_t i;

	for (i = 0; i < b->p->key_count; i++) {
		if (b->p->keys[i].group == GROUP_LISTENERS && !b->p->keys[i].local) {
			build_refuse(b, REFUSAL_NOT_LOCAL,
			    "config.local-keys keeps %s out of this server's config.toml. The "
			    "server builds its listeners from that file alone, so the key would "
			    "never take effect. Add \"server.listener.*\" to config.local-keys, "
			    "or stop the server and use --config, or leave the group out: --skip "
			    "listeners.",
			    b->p->keys[i].key);
			return;
		}
	}
}

/* Take another stage's networks out of what counts as the settings from before. */
static void
forget_network(struct build *b, const char *network)
{
	const struct settings all = b->base;
	size_t i, j;

	for (i = 0; i < b->p->listener_count; i++) {
		const char *list = changeset_listener_key(
		    b->pool, b->p->listeners[i].listener->id, "trusted-networks");
		struct trusted own = { 0 };

		if (b->p->listeners[i].chosen)
			trusted_read(&own, b->pool, &all, list);
		for (j = 0; j < own.count; j++) {
			if (!strcmp(own.items[j].value, network))
				build_add_key(b, GROUP_LISTENERS, own.items[j].key, NULL)
				    ->original = NULL;
		}
	}
	memset(&b->base, 0, sizeof(b->base));
	for (i = 0; i < all.count; i++) {
		if (!build_find_key(b, all.items[i].key))
			settings_add(&b->base, b->pool, all.items[i].key, all.items[i].value);
	}
}

/*
 * Refuse to write over what another stage seems to have left: its values would be recorded as the
 * ones from before, and no clear would take them out. Forced, they are replaced. With --single-node
 * the checks show nothing: the database is the other nodes' as well.
 */
static bool
replaces_other_stage(struct build *b)
{
	struct looks l;

	if (b->in->part || b->in->stored)
		return false;
	l = build_looks(b, b->q->groups);
	l.checks &= !b->q->single_node;
	if (!looks_staged(&l))
		return false;
	b->looks = l;
	if (!b->q->forced[REFUSAL_ALREADY_STAGED])
		return false;
	if (l.network)
		forget_network(b, l.network);
	return true;
}

/*
 * What stood before another stage is not known, and the keys that this one writes may all hold a
 * value of that one's.
 */
static void
mark_unknown(struct build *b)
{
	size_t i;

	for (i = 0; i < b->p->key_count; i++) {
		struct plan_key *k = &b->p->keys[i];

		if (!k->wanted || !k->now || k->kept)
			continue;
		k->unknown = k->recorded = true;
		k->original = NULL;
	}
}

static void
check_first(struct build *b)
{
	if (!looks_staged(&b->looks) || !b->p->write_count)
		return;
	build_refuse(b, REFUSAL_ALREADY_STAGED,
	    "This server looks staged already (%s), and there is no snapshot of that%.1000s. A "
	    "stage over it could not bring back what stood before. Run stalprep where it was "
	    "staged, or name its snapshot: --snapshot FILE. Forced, what looks staged is replaced, "
	    "and a later clear removes it.",
	    looks_words(b, &b->looks), b->in->snapshot_place);
}

/* Does the file that the server reads at its next start show all local keys as wanted? */
static bool
file_has_all(const struct build *b)
{
	size_t i;

	for (i = 0; b->in->boot && i < b->p->key_count; i++) {
		const struct plan_key *k = &b->p->keys[i];

		if (k->local && !settings_same(settings_get(b->in->boot, k->key), k->wanted))
			return false;
	}
	return b->in->boot != NULL;
}

/*
 * If the server failed to write its file, or a run was cut off, our values may be in the server's
 * memory alone. To write the same values again changes nothing there, and the answer is 200. So
 * they are deleted and inserted (server-facts: a plain 500). Without a snapshot only the local
 * keys: the database's are read from the database.
 */
static void
decide_rewrite(struct build *b)
{
	const struct part *s = b->in->part;
	struct plan *p = b->p;
	size_t i;

	if (s ? s->state != PART_SENDING : p->write_count > 0)
		return;
	for (i = 0; i < p->key_count && (s || !file_has_all(b)); i++) {
		struct plan_key *k = &p->keys[i];

		if (!k->wanted || k->kept || (!k->local && b->in->shared_elsewhere) ||
		    (s ? !k->recorded : !k->local))
			continue;
		p->rewrite = true;
		p->write_count += !k->write;
		k->write = true;
	}
	p->unrecorded = p->rewrite && !s;
	if (!s && (p->rewrite || looks_staged(&b->looks)))
		message_add(&p->messages, b->pool, MESSAGE_WARNING,
		    "The server has all of these values already, and there is no snapshot of a "
		    "stage that wrote them%s. So what stood before is not known, and no snapshot "
		    "is made.%s To take all of it out: stalprep clear with these options.",
		    b->in->snapshot_place,
		    p->rewrite ? " The listeners' keys are written once more, so that the server "
				 "saves its file."
			       : "");
}

int
plan_stage(struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err)
{
	struct build b = { 0 };
	bool replaces;

	if (build_begin(&b, p, pool, in, err) == -1)
		return -1;
	build_choose_listeners(&b);
	replaces = replaces_other_stage(&b);
	build_add_groups(&b);
	build_add_restores(&b);
	if (build_set_states(&b) == -1)
		return -1;
	if (replaces)
		mark_unknown(&b);
	check_first(&b);
	if (!in->file) {
		check_local(&b);
		decide_rewrite(&b);
		build_write_unseen(&b);
		build_check_boot(&b);
	}
	build_check(&b);
	build_check_rewrite(&b);
	build_tell_answers(&b);
	return pool_check(pool, err);
}
