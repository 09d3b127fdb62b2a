/* snapfile.h - a snapshot on the disk: there before the first byte is sent */
#ifndef SNAPFILE_H
#define SNAPFILE_H

#include "base/def.h"

struct err;
struct pool;
struct snapshot;

/* Read from a file. 0; 1 when there is none; -1 with err. */
int snapfile_load(
    struct snapshot *s, struct pool *pool, const char *path, struct err *err) WARN_UNUSED;

/*
 * Replace the file by it, fsynced with its folder, mode 0600. 0, or -1 with err and the old file
 * still there.
 */
int snapfile_save(const struct snapshot *s, const char *path, struct err *err) WARN_UNUSED;

#endif
