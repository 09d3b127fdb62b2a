/* runbook.h - what print says of the day: the proxy's block, the order of the cutover and the way
 * back */
#ifndef RUNBOOK_H
#define RUNBOOK_H

#include "base/def.h"

struct buf;
struct err;
struct options;

/*
 * Append FORMAT_PROXY or FORMAT_RUNBOOK. Warns on standard error of what the listeners lack. 0 or
 * -1 with err.
 */
int runbook_format(struct buf *out, const struct options *o, struct err *err) WARN_UNUSED;

#endif
