#include "cmd/cli.h"

#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/reload.h"
#include "cmd/run.h"
#include "plan/plan_clear.h"
#include "settings/request.h"
#include "target/store.h"
#include "target/target.h"
#include "target/target_snapshot.h"

#include <string.h>

/* Apply the removal. If the answer has an error, the server applied nothing. */
static int
apply_removal(struct run *r, struct target *t)
{
	struct api_reloaded answer;
	size_t i, restored = 0, all = t->plan.key_count;
	struct err err;

	session_begin_phase(&t->session, false);
	if (reload_ask(r, t, false, &answer, &err) == -1) {
		t->progress = PROGRESS_UNPROVED;
		run_fail(r, t, &err);
		return -1;
	}
	reload_report(r, t, &answer);
	if (answer.error_count) {
		message_add(&r->messages, &r->pool, MESSAGE_ERROR,
		    "The keys are cleared, but the server applied nothing: one error anywhere in "
		    "the settings blocks a whole reload. Fix it, then run stalprep reload.");
		r->exit = EXIT_UNPROVED;
		return -1;
	}
	for (i = 0; i < t->plan.key_count; i++)
		restored += t->plan.keys[i].state == KEY_RESTORED;
	reload_say(r, t, MESSAGE_RESULT,
	    pool_printf(&r->pool,
		"Reloaded, with %zu of %zu key%s restored. Listeners that run behind the proxy "
		"expect its header until the server is restarted.",
		restored, all, plural(all)));
	return 0;
}

/* A copy of the server has the same key: who cleared one may still need the snapshot. */
static void
tell_other_url(struct run *r)
{
	const struct snapshot *s = &r->store.loaded;
	const char *other = NULL;
	size_t i, j;

	for (i = 0; i < s->node_count; i++) {
		for (j = 0; j < r->count; j++) {
			if (settings_same(s->nodes[i].origin, r->targets[j].origin))
				return;
		}
		other = other ? other : s->nodes[i].origin;
	}
	if (other && !r->options->reach.snapshot && !r->options->reach.config)
		message_add(&r->messages, &r->pool, MESSAGE_WARNING,
		    "The snapshot was made through %s. If the server here is a copy of that one, "
		    "it "
		    "still needs %s: name it there with --snapshot.",
		    other, r->store.path);
}

/*
 * Keep in the snapshot what was not restored, or put it away. Only when all nodes are done: until
 * then a second run needs all of it. A folder that can't be written to is no reason to fail: what
 * was restored is proved, and another clear finds nothing to do.
 */
static void
keep_rest(struct run *r)
{
	struct snapshot *s = &r->store.current;
	struct err err;
	size_t i;
	int failed;

	for (i = 0; i < r->count; i++) {
		if (target_forget_cleared(&r->targets[i], &err) == -1) {
			run_fail(r, &r->targets[i], &err);
			return;
		}
	}
	if (snapshot_count(s)) {
		s->request = request_without(
		    &r->pool, s->request, r->options->request.groups & ~snapshot_groups(s));
		if (!s->request)
			failed = err_memory(&err);
		else
			failed = store_save(&r->store, &err);
	} else {
		failed = store_retire(&r->store, &err);
	}
	if (!failed) {
		r->store.ahead = false;
		tell_other_url(r);
		return;
	}
	if (store_is_unwritable(&err))
		message_add(&r->messages, &r->pool, MESSAGE_WARNING,
		    "The snapshot %s could not be put away: %s. It still says what was staged.",
		    r->store.path, err.text);
	else
		run_fail(r, NULL, &err);
}

/* Does anything of the snapshot stand on one of the targets, or may it? */
static bool
anything_stands(const struct run *r)
{
	bool any = false, known = false;
	size_t i;

	for (i = 0; i < r->count; i++) {
		any |= target_holds_any(&r->targets[i]) || r->targets[i].progress != PROGRESS_NONE;
		known |= r->targets[i].found.count > 0;
	}
	return any || !known;
}

static void
clear_all(struct run *r)
{
	size_t i;

	for (i = 0; i < r->count; i++) {
		struct target *t = &r->targets[i];

		if (run_stopped(r))
			return;
		if (target_is_to_write(t) && run_write(r, t) == -1)
			return;
	}
	if (r->store.found && !anything_stands(r))
		message_add(&r->messages, &r->pool, MESSAGE_WARNING,
		    "Nothing that the snapshot %s says was staged stands on this server. It is "
		    "kept: it may belong to a copy of this server%s.",
		    r->store.path,
		    r->store.loaded.node_count > r->count ? "" : ". If not, move it away");
	else if (r->store.kept) /* also of a plan that was never sent */
		keep_rest(r);
	for (i = 0; i < r->count && r->options->reload; i++) {
		if (apply_removal(r, &r->targets[i]) == -1)
			return;
	}
}

/* Is something staged that this run does not reach, or that it leaves? Then it is done in part. */
static bool
leaves_any(const struct run *r)
{
	const struct snapshot *s = &r->store.current;
	bool reached[SNAPSHOT_NODES_MAX] = { false };
	size_t i, left = 0, writes = 0;

	for (i = 0; i < r->count; i++) {
		const struct target *t = &r->targets[i];

		left += t->plan.left_count + t->plan.unknown_count;
		writes += t->plan.write_count;
		if (t->has_node)
			reached[t->node] = true;
	}
	if (!writes && !anything_stands(r) && s->node_count <= r->count)
		return left > 0;
	if (r->options->reach.config)
		left += part_count(&s->database, r->options->request.groups);
	for (i = 0; i < s->node_count; i++)
		left += reached[i] ? 0 : part_count(&s->nodes[i], r->options->request.groups);
	return left > 0;
}

int
cmd_clear(const struct options *o)
{
	static struct run r;

	if (run_begin(&r, o, !o->dry_run) == 0 && run_read(&r) == 0 &&
	    run_plan(&r, plan_clear) == 0) {
		if (leaves_any(&r))
			r.exit = EXIT_PARTLY;
		if (!o->dry_run) {
			clear_all(&r);
			run_withdraw(&r);
		}
	}
	return run_end(&r);
}
