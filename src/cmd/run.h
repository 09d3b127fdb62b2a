/* run.h - what the commands share: open the targets, read, plan and write them, report */
#ifndef RUN_H
#define RUN_H

#include "base/def.h"
#include "base/err.h"
#include "base/pool.h"
#include "plan/plan.h"
#include "settings/message.h"
#include "target/credentials.h"
#include "target/session.h"
#include "target/store.h"

#include <limits.h>
#include <stdbool.h>

struct options;
struct target;

/* All zero at first, and static: it is too much for a small stack. run_end frees it. */
struct run {
	const struct options *options;
	struct pool pool;
	struct messages messages;
	struct trust trust;
	struct credentials credentials;
	struct target *targets;
	size_t count;
	bool writes; /* the snapshot may be written */
	struct store store;
	char place[2 * PATH_MAX]; /* in words: where a snapshot was looked for; "": nowhere */
	int exit;
};

/*
 * Look up all addresses, load the certificates to trust and the secret, and confine the process.
 * writes: the snapshot may be written. 0; or -1 with a message added and r->exit set.
 */
int run_begin(struct run *r, const struct options *o, bool writes) WARN_UNUSED;

/*
 * Read all targets; ask for the password first if need be, once their certificates are accepted.
 * Then find the snapshot, and lock it if it may be written. 0; or -1 with a message added and
 * r->exit set. Nothing is written.
 */
int run_read(struct run *r) WARN_UNUSED;

/* plan_stage, plan_status or plan_clear. */
typedef int run_planner(
    struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err);

/*
 * Plan all targets, before any is written to. The plans' messages become the run's. 0; or -1 with
 * the refusals or the failure among the messages and r->exit set.
 */
int run_plan(struct run *r, run_planner *planner) WARN_UNUSED;

/* Write one target, by target_write. 0; or -1 with a message added and r->exit set. */
int run_write(struct run *r, struct target *t) WARN_UNUSED;

/* Take the plans of targets that nothing was sent to out of the snapshot again. */
void run_withdraw(struct run *r);

/*
 * Add a failure to the messages, of t if it is not NULL. The exit status follows the failure's
 * kind; it is 5 if something may be written on any target.
 */
void run_fail(struct run *r, const struct target *t, const struct err *err);

/*
 * Did a signal ask the run to stop? Then a message is added and r->exit set: 128 plus the signal's
 * number, or 5 if something may be written on any target.
 */
bool run_stopped(struct run *r);

/* Close all targets, wipe the secrets and print the report. Returns the process's exit status. */
int run_end(struct run *r);

#endif
