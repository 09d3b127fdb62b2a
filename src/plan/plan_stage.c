#include "plan/plan_stage.h"

#include "base/err.h"
#include "base/pool.h"
#include "plan/plan_check.h"
#include "plan/plan_want.h"
#include "settings/snapshot.h"

/*
 * Listener keys that the server keeps in the database never take effect: listeners are built from
 * config.toml.
 */
static void
check_local(struct build *b)
{
	size_t i;

	for (i = 0; i < b->p->key_count; i++) {
		if (b->p->keys[i].group == GROUP_LISTENERS && !b->p->keys[i].local) {
			build_refuse(b, REFUSAL_NOT_LOCAL,
			    "config.local-keys keeps %s out of this server's config.toml, and "
			    "listeners are built from that file alone: written over the API, it "
			    "would never take effect. Add \"server.listener.*\" to "
			    "config.local-keys, or stop the server and use --config, or leave the "
			    "group out: --skip listeners.",
			    b->p->keys[i].key);
			return;
		}
	}
}

/*
 * A server that failed to write its file, or a run that was cut off, leaves values in the server's
 * memory alone; writing the same again changes nothing there and answers 200. So all is deleted and
 * inserted anew (server-facts: a plain 500). Without a snapshot, only listener keys are a sure sign
 * of a stage: an administrator may have set the others himself.
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
		    "All of it stands on the server already, but there is no snapshot of it here. "
		    "If you have one, stop and name it with --snapshot. Else it is written anew, "
		    "so that the server surely writes its file, and the new snapshot says that "
		    "there was nothing before.");
}

int
plan_stage(struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err)
{
	struct build b = { 0 };

	if (build_begin(&b, p, pool, in, err) == -1)
		return -1;
	build_listeners(&b);
	build_wanted(&b);
	build_restore_unwanted(&b);
	if (build_finish(&b) == -1)
		return -1;
	if (!in->file) {
		check_local(&b);
		decide_rewrite(&b);
	}
	build_check(&b);
	build_check_rewrite(&b);
	return pool_check(pool, err);
}
