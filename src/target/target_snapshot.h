/* target_snapshot.h - a target and its parts of the run's snapshot: matched, saved step by step */
#ifndef TARGET_SNAPSHOT_H
#define TARGET_SNAPSHOT_H

#include "base/def.h"
#include "target/target.h"

/*
 * Before the read, of the snapshot that was guessed: let the read include what it names. For a
 * file, whose dialect only the snapshot may know, that too. 0 or -1 with err.
 */
int target_expect(struct target *t, const struct snapshot *guess, struct err *err) WARN_UNUSED;

/*
 * Find the target's own parts in the store's snapshot, if it has one, and let what was asked for
 * before hold where this run names nothing else. others: the nodes' parts that this run's other
 * targets have, by index. 0; or -1 with err (REFUSAL_NODE, REFUSAL_SNAPSHOT_TARGET).
 */
int target_attach(
    struct target *t, const bool others[SNAPSHOT_NODES_MAX], struct err *err) WARN_UNUSED;

/*
 * What the snapshot says of this target: its node's part and the database's, joined; or NULL. One
 * that was only planned counts for a clear alone, which can end it.
 */
const struct part *target_found_part(const struct target *t);

/*
 * Put the plan into the store's snapshot, as planned; keys of groups that this run does not name
 * stay. Nothing is saved. now: seconds since 1970. 0 or -1 with err.
 */
int target_record_plan(struct target *t, int64_t now, struct err *err) WARN_UNUSED;

/*
 * For a stage that has nothing to write: put its request into the snapshot that was found. True if
 * it says more than that one's.
 */
bool target_record_request(struct target *t);

/* Record that something may be written from here on, and none of it is proved. */
void target_mark_unproved(struct target *t);

/* Save that a write may reach the server, or that a stage is proved. 0 or -1 with err. */
int target_save_sending(struct target *t, struct err *err) WARN_UNUSED;
int target_save_proved(struct target *t, struct err *err) WARN_UNUSED;

/* Nothing was sent to this target: its parts are what they were. Nothing is saved. */
void target_forget_plan(struct target *t);
/*
 * Record that these groups were taken back: they leave the snapshot, but for what an earlier stage
 * recorded of them, and so does what this run asked for them. A snapshot that has nothing then is
 * removed. 0 or -1.
 */
int target_save_taken(struct target *t, unsigned groups, struct err *err) WARN_UNUSED;

/* After a clear: keep of its parts what was not restored. Nothing is saved. 0 or -1 with err. */
int target_forget_cleared(struct target *t, struct err *err) WARN_UNUSED;

/* Does a value of the parts that this target sees stand, or may a write be on its way? */
bool target_holds_any(const struct target *t);

#endif
