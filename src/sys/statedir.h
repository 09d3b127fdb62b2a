/* statedir.h - the folder that keeps snapshots from one run to the next */
#ifndef STATEDIR_H
#define STATEDIR_H

#include "base/def.h"

#include <stddef.h>

struct err;
struct pool;

enum { STATEDIR_FILES_MAX = 4096 };

/* Make the folder and those above it that are missing, with mode 0700. 0 or -1 with err. */
int statedir_make(const char *path, struct err *err) WARN_UNUSED;

/*
 * The names in the folder that end in suffix, in the pool, in no order. None where there is no
 * folder. 0; or -1 with err: it can't be read, or has more than STATEDIR_FILES_MAX of them.
 */
int statedir_list(const char *path, const char *suffix, struct pool *pool, const char ***names,
    size_t *count, struct err *err) WARN_UNUSED;

/* The kind of the folder's file system if it ends with the machine ("tmpfs"); else NULL. */
const char *statedir_fleeting(const char *path);

#endif
