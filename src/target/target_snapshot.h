/* target_snapshot.h - a target's snapshot: loaded, saved step by step, withdrawn, retired */
#ifndef TARGET_SNAPSHOT_H
#define TARGET_SNAPSHOT_H

#include "base/def.h"
#include "target/target.h"

/*
 * Set the snapshot's path: from the options, else in this folder, with a name made of `whose`.
 * 0 or -1 with err.
 */
int target_name_snapshot(
    struct target *t, const char *folder, const char *whose, struct err *err) WARN_UNUSED;

/* Load the snapshot if there is one; with `lock` lock it first. 0 or -1 with err. */
int target_load_snapshot(struct target *t, bool lock, struct err *err) WARN_UNUSED;

/*
 * The snapshot that the run found, or NULL. One that was only planned counts for clear alone, which
 * can end it.
 */
const struct snapshot *target_found_snapshot(const struct target *t);

/* Let what an earlier stage asked for hold where this run names nothing else. Before the read. */
void target_merge(struct target *t, const struct request *stored);

/*
 * Make the snapshot of the plan and save it as planned. The old snapshot's keys stay in groups that
 * this run does not name. now: seconds since 1970. 0 or -1 with err.
 */
int target_save_plan(struct target *t, int64_t now, struct err *err) WARN_UNUSED;

/*
 * For a stage that has nothing to write: keep its request, if it says more than the found
 * snapshot's. 0 or -1 with err.
 */
int target_save_request(struct target *t, struct err *err) WARN_UNUSED;

/* Record that something may be written from here on, and none of it is proved. */
void target_mark_unproved(struct target *t);

/* Record in the file that a write may reach the server, or that a stage is proved. 0 or -1. */
int target_save_sending(struct target *t, struct err *err) WARN_UNUSED;
int target_save_proved(struct target *t, struct err *err) WARN_UNUSED;

/*
 * If nothing was sent after all, restore the snapshot's file as it was, or remove a new one. Every
 * run that may have saved a plan calls this at its end. 0 or -1 with err.
 */
int target_withdraw(struct target *t, struct err *err) WARN_UNUSED;

/* After a clear: save what is left of the snapshot, or rename the file to ".cleared". 0 or -1. */
int target_retire_snapshot(struct target *t, struct err *err) WARN_UNUSED;

#endif
