/* faults.h - a reload's answer in words: whose errors they are, and what they mean */
#ifndef FAULTS_H
#define FAULTS_H

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
void faults_say(struct run *r, const struct target *t, const struct api_reloaded *answer);

/*
 * Let the server reload, or with dry_run only try it. 0, with its errors in *answer; or -1 with
 * err, which says so where it is not known whether it reloaded.
 */
int faults_reload(struct run *r, struct target *t, bool dry_run, struct api_reloaded *answer,
    struct err *err) WARN_UNUSED;

#endif
