#include "plan/plan_stage.h"

#include "base/err.h"
#include "base/pool.h"
#include "plan/plan_check.h"
#include "plan/plan_listeners.h"
#include "plan/plan_want.h"
#include "settings/snapshot.h"
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

/* Are all inbound checks off, as the change set has them? */
static bool
checks_are_ours(struct build *b)
{
	struct wanted w = { .groups = 1u << GROUP_CHECKS };
	struct changeset set = { 0 };
	size_t i;

	changeset_add_rest(&set, b->pool, &w, b->p->dialect);
	for (i = 0; i < set.count; i++) {
		if (!settings_same(
			settings_get(b->in->now, set.entries[i].key), set.entries[i].value))
			return false;
	}
	return true;
}

/* Does this listener want a PROXY header from that network by a list of its own? */
static bool
wants_header(struct build *b, const char *id, const char *network)
{
	struct trusted own = { 0 };
	size_t i;

	trusted_read(
	    &own, b->pool, b->in->now, changeset_listener_key(b->pool, id, "trusted-networks"));
	for (i = 0; i < own.count && strcmp(own.items[i].value, network) != 0; i++)
		;
	return i < own.count &&
	    settings_same(
		settings_get(b->in->now, changeset_listener_key(b->pool, id, "override")), "true");
}

/* Have all chosen listeners the override, and one network in common? Its text, or NULL. */
static const char *
common_network(struct build *b)
{
	const struct plan *p = b->p;
	struct trusted first = { 0 };
	size_t from, i, j;

	for (from = 0; from < p->listener_count && !p->listeners[from].chosen; from++)
		;
	if (from == p->listener_count)
		return NULL;
	trusted_read(&first, b->pool, b->in->now,
	    changeset_listener_key(b->pool, p->listeners[from].listener->id, "trusted-networks"));
	for (i = 0; i < first.count; i++) {
		for (j = from; j < p->listener_count; j++) {
			const struct plan_listener *l = &p->listeners[j];

			if (l->chosen && !wants_header(b, l->listener->id, first.items[i].value))
				break;
		}
		if (j == p->listener_count)
			return first.items[i].value;
	}
	return NULL;
}

/*
 * Refuse to write over what another stage seems to have left: its values would be recorded as the
 * ones from before, and no clear would take them out. With --single-node the checks show nothing:
 * the database is the other nodes' as well.
 */
static void
check_first(struct build *b)
{
	bool checks;
	const char *network, *why;

	if (b->in->snapshot || b->in->other || !b->p->write_count)
		return;
	checks = b->q->groups & 1u << GROUP_CHECKS && !b->q->single_node && checks_are_ours(b);
	network = b->q->groups & 1u << GROUP_LISTENERS ? common_network(b) : NULL;
	if (!checks && !network)
		return;
	why = network ? pool_printf(b->pool, "all listeners want a PROXY header from %s", network)
		      : "";
	build_refuse(b, REFUSAL_ALREADY_STAGED,
	    "This server looks staged already (%s%s%s), and there is no snapshot of that%s%.1000s. "
	    "A stage over it would take those values for the ones from before. Run stalprep where "
	    "it was staged, or name its snapshot: --snapshot FILE.",
	    checks ? "all inbound checks are off" : "", checks && network ? ", " : "", why,
	    b->in->snapshot_path ? " at " : "", b->in->snapshot_path ? b->in->snapshot_path : "");
}

/*
 * If the server failed to write its file, or a run was cut off, our values may be in the server's
 * memory alone. To write the same values again changes nothing there, and the answer is 200. So
 * they are deleted and inserted (server-facts: a plain 500). Without a snapshot, only listener keys
 * are a sure sign of a stage: the administrator may have set the others.
 */
static void
decide_rewrite(struct build *b)
{
	const struct snapshot *s = b->in->snapshot;
	struct plan *p = b->p;
	bool staged = s != NULL;
	size_t i;

	for (i = 0; i < p->key_count; i++)
		staged |= p->keys[i].group == GROUP_LISTENERS && !p->keys[i].kept;
	if (!staged || (s ? s->state != SNAPSHOT_SENDING : p->write_count))
		return;
	for (i = 0; i < p->key_count; i++) {
		struct plan_key *k = &p->keys[i];

		if (!k->wanted || k->kept || (!k->local && b->in->shared_elsewhere) ||
		    (s && !k->recorded))
			continue;
		if (!s) {
			k->original = NULL;
			k->recorded = true;
		}
		p->rewrite = true;
		p->write_count += !k->write;
		k->write = true;
	}
	if (p->rewrite && !s)
		message_add(&p->messages, b->pool, MESSAGE_WARNING,
		    "The server already has all of these values, but there is no snapshot of it "
		    "here. If you have one, stop and name it with --snapshot. Else the values are "
		    "written again, so that the server saves its file, and the new snapshot says "
		    "that there was nothing before.");
}

int
plan_stage(struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err)
{
	struct build b = { 0 };

	if (build_begin(&b, p, pool, in, err) == -1)
		return -1;
	build_choose_listeners(&b);
	build_add_groups(&b);
	build_add_restores(&b);
	if (build_set_states(&b) == -1)
		return -1;
	check_first(&b);
	if (!in->file) {
		check_local(&b);
		decide_rewrite(&b);
	}
	build_check(&b);
	build_check_rewrite(&b);
	build_tell_answers(&b);
	return pool_check(pool, err);
}
