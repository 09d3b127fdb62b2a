/* plan_status.h - how far a request is staged */
#ifndef PLAN_STATUS_H
#define PLAN_STATUS_H

#include "base/def.h"
#include "plan/plan.h"

/*
 * Compare the settings with what is wanted. The plan is that of a stage, but it writes nothing.
 * Options that were not given are read from the snapshot or the settings. 0, or -1 with err.
 */
int plan_status(
    struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err) WARN_UNUSED;

#endif
