#include "commands.h"

#include "options.h"
#include "run.h"
#include "target.h"

#include <string.h>
#include <time.h>

static void
write_all(struct run *r)
{
	struct err err;
	size_t i;

	for (i = 0; i < r->count; i++) {
		if (r->targets[i].plan.write_count && target_save_plan(&r->targets[i], (int64_t)time(NULL), &err) == -1) {
			run_fail(r, &r->targets[i], &err);
			return;
		}
	}
	for (i = 0; i < r->count; i++) {
		if (run_stopped(r))
			return;
		if (r->targets[i].plan.write_count && run_write(r, &r->targets[i], false) == -1)
			return;
	}
}

int
cmd_stage(const struct options *o, const char *program)
{
	struct run r;

	memset(&r, 0, sizeof(r));
	if (run_begin(&r, o, program, !o->dry_run) == 0 && run_read(&r) == 0 && run_plan(&r, plan_stage) == 0 && !o->dry_run)
		write_all(&r);
	return run_end(&r);
}
