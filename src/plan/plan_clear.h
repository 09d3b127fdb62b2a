/* plan_clear.h - what a clear restores or removes */
#ifndef PLAN_CLEAR_H
#define PLAN_CLEAR_H

#include "base/def.h"
#include "plan/plan.h"

/*
 * Plan a clear: from the snapshot, or without one from what is recognisably ours by the options. 0
 * or -1.
 */
int plan_clear(
    struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err) WARN_UNUSED;

#endif
