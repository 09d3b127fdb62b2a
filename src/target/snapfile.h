/* snapfile.h - a snapshot's file */
#ifndef SNAPFILE_H
#define SNAPFILE_H

#include "base/def.h"

struct err;
struct pool;
struct snapshot;

/* Read a snapshot. Its strings live in the pool. 0; 1 when there is no file; -1 with err. */
int snapfile_load(
    struct snapshot *s, struct pool *pool, const char *path, struct err *err) WARN_UNUSED;

/*
 * Write the snapshot in place of the file, with mode 0600, and fsync both file and folder. 0, or -1
 * with err, as for file_replace.
 */
int snapfile_save(const struct snapshot *s, const char *path, struct err *err) WARN_UNUSED;

#endif
