/*
 * plan_boot.h - the config.toml that the server reads at its next start, beside what it holds in
 * memory; for plan_*.c alone
 */
#ifndef PLAN_BOOT_H
#define PLAN_BOOT_H

#include "base/def.h"
#include "plan/plan_build.h"

/*
 * For a stage: write once more what stands as wanted in the database, if nobody can say that it
 * stands there: the server's memory may have it from a file that has it no more.
 */
void build_write_unseen(struct build *b);

/*
 * For a stage or a clear, after all keys: refuse keys of the database that stand in the file
 * (shadowed), and a write that would undo a change of the file (file-changed). Set p->touch where
 * the server has to write its file and no key makes it.
 */
void build_check_boot(struct build *b);

/* For a status: tell how the file differs, and set p->unready if it does not say enough. */
void build_judge_boot(struct build *b);

#endif
