/* run_store.h - where a run's snapshot is: by the options, by the user, by the server */
#ifndef RUN_STORE_H
#define RUN_STORE_H

#include "base/def.h"

struct err;
struct run;

/*
 * Set the folder, or the file: what --snapshot or --snapshot-dir says, beside a config.toml, else
 * root's or the user's own. For a stage make the folder. Find the snapshot that the targets
 * probably have, so that the read includes what it names. 0 or -1 with err.
 */
int run_store_open(struct run *r, struct err *err) WARN_UNUSED;

/*
 * After the read: find the snapshot, by whose it is, and lock it if it may be written; give each
 * target its parts. If it is not the one that was expected, the settings are read again. 0 or -1
 * with err.
 */
int run_store_find(struct run *r, struct err *err) WARN_UNUSED;

#endif
