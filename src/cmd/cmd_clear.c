#include "cmd/cli.h"

#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/reload.h"
#include "cmd/run.h"
#include "plan/plan_clear.h"
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
	reload_result(r, t,
	    pool_printf(&r->pool,
		"Reloaded, with %zu of %zu key%s restored. Listeners that run behind the proxy "
		"expect its header until the server is restarted.",
		restored, all, plural(all)));
	return 0;
}

static void
clear_all(struct run *r)
{
	struct err err;
	size_t i;

	for (i = 0; i < r->count; i++) {
		struct target *t = &r->targets[i];
		bool needed = t->plan.write_count ||
		    (t->has_snapshot && t->loaded.state == SNAPSHOT_SENDING);

		if (run_stopped(r))
			return;
		if (needed && run_write(r, t) == -1)
			return;
	}
	/* Only when all nodes are done: until then a second run needs all snapshots. */
	for (i = 0; i < r->count; i++) {
		if (target_retire_snapshot(&r->targets[i], &err) == -1) {
			run_fail(r, &r->targets[i], &err);
			return;
		}
	}
	for (i = 0; i < r->count && r->options->reload; i++) {
		if (apply_removal(r, &r->targets[i]) == -1)
			return;
	}
}

int
cmd_clear(const struct options *o)
{
	struct run r;
	size_t i;

	memset(&r, 0, sizeof(r));
	if (run_begin(&r, o, !o->dry_run) == 0 && run_read(&r) == 0 &&
	    run_plan(&r, plan_clear) == 0) {
		for (i = 0; i < r.count; i++) {
			if (r.targets[i].plan.left_count)
				r.exit = EXIT_PARTLY;
		}
		if (!o->dry_run) {
			clear_all(&r);
			run_withdraw(&r);
		}
	}
	return run_end(&r);
}
