#include "cmd/cli.h"

#include "cmd/options.h"
#include "cmd/run.h"
#include "plan/plan_stage.h"
#include "target/target.h"
#include "target/target_snapshot.h"

#include <string.h>
#include <time.h>

/*
 * A run that was cut off may have written a file without recording that it is proved. Then the
 * file is as planned, and this run records it.
 */
static bool
is_needed(const struct target *t)
{
	return t->plan.write_count ||
	    (t->is_file && t->has_snapshot && t->loaded.state == SNAPSHOT_SENDING);
}

static void
stage_all(struct run *r)
{
	struct err err;
	size_t i;

	for (i = 0; i < r->count; i++) {
		if (is_needed(&r->targets[i]) &&
		    target_save_plan(&r->targets[i], (int64_t)time(NULL), &err) == -1) {
			run_fail(r, &r->targets[i], &err);
			return;
		}
	}
	for (i = 0; i < r->count; i++) {
		if (run_stopped(r))
			return;
		if (is_needed(&r->targets[i]) && run_write(r, &r->targets[i]) == -1)
			return;
	}
}

int
cmd_stage(const struct options *o)
{
	struct run r;

	memset(&r, 0, sizeof(r));
	if (run_begin(&r, o, !o->dry_run) == 0 && run_read(&r) == 0 &&
	    run_plan(&r, plan_stage) == 0 && !o->dry_run) {
		stage_all(&r);
		run_withdraw(&r);
	}
	return run_end(&r);
}
