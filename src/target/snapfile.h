/* snapfile.h - a snapshot's file */
#ifndef SNAPFILE_H
#define SNAPFILE_H

#include "base/def.h"

#include <stdbool.h>
#include <sys/types.h>

struct err;
struct pool;
struct snapshot;

/* Who may have written a snapshot. */
struct snapfile_trust {
	uid_t also; /* besides the effective user and root; -1: nobody */
	bool all;   /* --force snapshot-owner: whoever did is believed */
};

/*
 * Read a snapshot that nobody but these can have written. Its strings live in the pool. 0; 1 when
 * there is no file; -1 with err (REFUSAL_SNAPSHOT_OWNER if somebody else may have written it).
 */
int snapfile_load(struct snapshot *s, struct pool *pool, const char *path,
    const struct snapfile_trust *trust, struct err *err) WARN_UNUSED;

/* Can nobody but these write in the folder of a snapshot, or of its lock? 0 or -1 as snapfile_load.
 */
int snapfile_check_folder(
    const char *path, const struct snapfile_trust *trust, struct err *err) WARN_UNUSED;

/*
 * Write the snapshot in place of the file, with mode 0600, and fsync both file and folder: if
 * snapfile_load would take it, else the old one stays. Then read it, by the same rules as there. 0,
 * or -1 with err.
 */
int snapfile_save(struct snapshot *s, const char *path, const struct snapfile_trust *trust,
    struct err *err) WARN_UNUSED;

#endif
