/* plan_clear.h - what a clear restores or removes */
#ifndef PLAN_CLEAR_H
#define PLAN_CLEAR_H

#include "base/def.h"
#include "plan/plan.h"

/*
 * Plan a clear: from the snapshot, or without one from the values that the options show to be ours.
 * Refusals are among the messages. 0, or -1 with err if memory ran out or the settings make no
 * sense.
 */
int plan_clear(
    struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err) WARN_UNUSED;

#endif
