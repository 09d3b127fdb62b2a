/* report_next.h - the end of a report: what stays, what comes next, and the commands for it */
#ifndef REPORT_NEXT_H
#define REPORT_NEXT_H

#include "base/def.h"

#include <stddef.h>

struct buf;
struct report;
struct report_target;

/* How many keys of these groups (a set) stand since an earlier run, and this one does not name? */
size_t report_earlier(const struct report *r, const struct report_target *t, unsigned groups);

/*
 * Append that groups are staged since an earlier run and stay, because this one did not name them,
 * and the command that takes them out. Appends nothing if there are none.
 */
void report_standing(struct buf *out, const struct report *r, const struct report_target *t);

/* The line for a dry run that would change something. */
extern const char report_dry_run_way[];

/* Append the last lines of the report of stage, status or clear, for all targets together. */
void report_next(struct buf *out, const struct report *r);

#endif
