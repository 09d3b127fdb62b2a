#include "cmd/commands.h"

#include "cmd/faults.h"
#include "cmd/options.h"
#include "cmd/output.h"
#include "cmd/run.h"
#include "target/target.h"

#include <string.h>
#include <time.h>

/* How many errors are at keys that had none before? */
static size_t
count_new(const struct api_reloaded *now, const struct api_reloaded *before)
{
	size_t i, j, n = 0;

	for (i = 0; i < now->error_count; i++) {
		for (j = 0; j < before->error_count &&
		    strcmp(before->errors[j].key, now->errors[i].key) != 0;
		    j++)
			;
		n += j == before->error_count;
	}
	return n;
}

/*
 * --check: the server tries a reload. Before the write its errors are only told; after it, one that
 * was not there before is a failure of what was staged. A dry run is not quite inert
 * (server-facts), so it is off by default. 0 or -1.
 */
static int
check_one(struct run *r, struct target *t, struct api_reloaded *answer)
{
	struct api_reloaded before = *answer;
	size_t new;
	struct err err;

	session_phase(&t->session, true);
	if (faults_reload(r, t, true, answer, &err) == -1) {
		err_add(&err, "(That was --check's dry run of a reload.)");
		run_fail(r, t, &err);
		return -1;
	}
	new = t->progress == PROGRESS_PROVED ? count_new(answer, &before) : 0;
	faults_say(r, t, answer, new);
	if (answer->error_count)
		message_add(&r->messages, &r->pool, MESSAGE_WARNING, NULL,
		    "As the settings stand %s, a reload would apply nothing.",
		    t->progress == PROGRESS_PROVED ? "now" : "before the change");
	if (new)
		r->exit = EXIT_UNPROVED;
	return 0;
}

static int
check_all(struct run *r, struct api_reloaded *answers)
{
	size_t i;

	for (i = 0; i < r->count; i++) {
		if (check_one(r, &r->targets[i], &answers[i]) == -1)
			return -1;
	}
	return 0;
}

/*
 * Of a file that is as planned a cut-off run may have left it open that it is: then that is
 * recorded.
 */
static bool
is_needed(const struct target *t)
{
	return t->plan.write_count ||
	    (t->is_file && t->has_snapshot && t->loaded.state == SNAPSHOT_SENDING);
}

static void
write_all(struct run *r)
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
cmd_stage(const struct options *o, const char *program)
{
	struct api_reloaded answers[TARGETS_MAX] = { 0 };
	struct run r;

	memset(&r, 0, sizeof(r));
	if (run_begin(&r, o, program, !o->dry_run) == 0 && run_read(&r) == 0 &&
	    run_plan(&r, plan_stage) == 0 && !o->dry_run &&
	    (!o->check || check_all(&r, answers) == 0)) {
		write_all(&r);
		run_withdraw(&r);
		if (o->check && r.exit == EXIT_DONE)
			(void)check_all(&r, answers);
	}
	return run_end(&r);
}
