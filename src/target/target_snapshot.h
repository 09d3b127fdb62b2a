/* target_snapshot.h - a target's snapshot: loaded, saved step by step, withdrawn, retired */
#ifndef TARGET_SNAPSHOT_H
#define TARGET_SNAPSHOT_H

#include "base/def.h"
#include "target/target.h"

/*
 * Settle where the snapshot is: as the options say, else in this folder under a name made of whose
 * it is. 0 or -1.
 */
int target_name_snapshot(
    struct target *t, const char *folder, const char *whose, struct err *err) WARN_UNUSED;

/* Lock the snapshot (with `lock`) and load it if it is there. 0 or -1. */
int target_load_snapshot(struct target *t, bool lock, struct err *err) WARN_UNUSED;

/*
 * What the run found in the snapshot, or NULL; of a plan that was never sent nothing is left, but
 * clear can end it.
 */
const struct snapshot *target_known(const struct target *t);

/*
 * Make the snapshot of the plan and save it as planned. In groups that this run does not touch the
 * old one's keys stay. now: the time in seconds since 1970. 0 or -1.
 */
int target_save_plan(struct target *t, int64_t now, struct err *err) WARN_UNUSED;

/* From here on something may be written, and nothing is known of it. */
void target_unproved(struct target *t);

/*
 * Put into the snapshot's file that a write may have reached the server, or that a stage is proved.
 * 0 or -1.
 */
int target_save_sending(struct target *t, struct err *err) WARN_UNUSED;
int target_save_proved(struct target *t, struct err *err) WARN_UNUSED;

/*
 * When nothing was sent to it after all, the snapshot's file goes back to what it was, or away if
 * it was new. To be called however a run that may have saved a plan ends. 0 or -1.
 */
int target_withdraw(struct target *t, struct err *err) WARN_UNUSED;

/*
 * After a clear: what is left of the snapshot is saved, or the file renamed with ".cleared". 0 or
 * -1.
 */
int target_retire_snapshot(struct target *t, struct err *err) WARN_UNUSED;

#endif
