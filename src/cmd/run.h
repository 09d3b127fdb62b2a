/*
 * run.h - what the commands share: begin with all targets, read them, end with a report and an exit
 * status
 */
#ifndef RUN_H
#define RUN_H

#include "base/def.h"
#include "base/err.h"
#include "base/pool.h"
#include "plan/plan.h"
#include "settings/message.h"
#include "target/credentials.h"
#include "target/session.h"

#include <stdbool.h>

struct options;
struct target;

/* Zero-initialise; run_end frees it. */
struct run {
	const struct options *options;
	struct pool pool;
	struct messages messages;
	struct trust trust;
	struct credentials credentials;
	struct target *targets;
	size_t count;
	int exit;
};

/*
 * Find all addresses, load whom to trust, take the secret, load (and with `lock` lock) the
 * snapshots. 0; or -1 with the failure said and r->exit set.
 */
int run_begin(struct run *r, const struct options *o, bool lock) WARN_UNUSED;

/*
 * Read all targets. 0; or -1 with the failure said and r->exit set. Nothing is written in either
 * case.
 */
int run_read(struct run *r) WARN_UNUSED;

/* plan_stage, plan_status or plan_clear. */
typedef int run_planner(
    struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err);

/*
 * Plan all targets, before anything is written to any; what the plans say becomes the run's
 * messages. 0; or -1 with the refusals or the failure said and r->exit set.
 */
int run_plan(struct run *r, run_planner *planner) WARN_UNUSED;

/* target_write, with what it has to say said. 0; or -1 with the failure said and r->exit set. */
int run_write(struct run *r, struct target *t) WARN_UNUSED;

/*
 * target_withdraw of all targets: what was planned for those that nothing was sent to is in no
 * snapshot any more.
 */
void run_withdraw(struct run *r);

/*
 * Say a failure; the exit status comes of its kind, or is 5 once something may be written on any
 * target.
 */
void run_fail(struct run *r, const struct target *t, const struct err *err);

/*
 * Was the run asked to stop? Then it is said (nothing was written), and r->exit is 128 and the
 * signal's number.
 */
bool run_stopped(struct run *r);

/* Print the report (or the JSON), close all, wipe all. Gives the process's exit status. */
int run_end(struct run *r);

#endif
