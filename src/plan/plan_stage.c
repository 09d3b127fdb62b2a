#include "plan/plan_stage.h"

#include "base/err.h"
#include "base/pool.h"
#include "plan/plan_check.h"
#include "plan/plan_listeners.h"
#include "plan/plan_want.h"
#include "settings/snapshot.h"

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
	if (!in->file) {
		check_local(&b);
		decide_rewrite(&b);
	}
	build_check(&b);
	build_check_rewrite(&b);
	build_tell_answers(&b);
	return pool_check(pool, err);
}
