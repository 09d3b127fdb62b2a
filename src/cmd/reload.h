/* reload.h - a server's reload, and what it answers */
#ifndef RELOAD_H
#define RELOAD_H

#include "base/def.h"

#include <stdbool.h>

struct api_reloaded;
struct err;
struct run;
struct target;

/*
 * Add the server's errors and warnings to the run's messages. Each says whether its key is one that
 * stalprep staged (by the snapshot, unless the run has cleared it) or was there before.
 */
void reload_report(struct run *r, const struct target *t, const struct api_reloaded *answer);

/*
 * Ask the server to reload, or with dry_run to try it. 0, with its errors in *answer; or -1 with
 * err, which says so where it is not known whether it reloaded.
 */
int reload_ask(struct run *r, struct target *t, bool dry_run, struct api_reloaded *answer,
    struct err *err) WARN_UNUSED;

#endif
