#include "commands.h"

#include "faults.h"
#include "options.h"
#include "output.h"
#include "run.h"
#include "target.h"

#include <string.h>
#include <time.h>

/*
 * --check: the server tries a reload. Before the write its errors are only told; after it, one that was not there before
 * is a failure of what was staged. A dry run is not quite inert (server-facts), so it is off by default. 0 or -1.
 */
static int
check_one(struct run *r, struct target *t, size_t *errors)
{
	struct api_reloaded answer;
	size_t before = *errors;
	struct err err;

	session_phase(&t->session, true);
	if (session_open(&t->session, &r->trust, &r->credentials, &err) == -1 ||
	    api_reload(&t->session.api, &t->pool, true, &answer, &err) == -1) {
		err_add(&err, "(That was --check's dry run of a reload.)");
		run_fail(r, t, &err);
		return -1;
	}
	*errors = answer.error_count;
	faults_say(r, t, &answer, t->progress == PROGRESS_PROVED && answer.error_count > before);
	if (answer.error_count)
		message_add(&r->messages, &r->pool, MESSAGE_WARNING, NULL, "As the settings stand %s, a reload would apply nothing.",
		    t->progress == PROGRESS_PROVED ? "now" : "before the change");
	if (t->progress == PROGRESS_PROVED && answer.error_count > before)
		r->exit = EXIT_UNPROVED;
	return 0;
}

static int
check_all(struct run *r, size_t *errors)
{
	size_t i;

	for (i = 0; i < r->count; i++) {
		if (check_one(r, &r->targets[i], &errors[i]) == -1)
			return -1;
	}
	return 0;
}

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
		if (r->targets[i].plan.write_count && run_write(r, &r->targets[i]) == -1)
			return;
	}
}

int
cmd_stage(const struct options *o, const char *program)
{
	size_t errors[TARGETS_MAX] = { 0 };
	struct run r;

	memset(&r, 0, sizeof(r));
	if (run_begin(&r, o, program, !o->dry_run) == 0 && run_read(&r) == 0 && run_plan(&r, plan_stage) == 0 && !o->dry_run &&
	    (!o->check || check_all(&r, errors) == 0)) {
		write_all(&r);
		if (o->check && r.exit == EXIT_DONE)
			(void)check_all(&r, errors);
	}
	return run_end(&r);
}
