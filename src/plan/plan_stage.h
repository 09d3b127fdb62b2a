/* plan_stage.h - what a stage changes */
#ifndef PLAN_STAGE_H
#define PLAN_STAGE_H

#include "base/def.h"
#include "plan/plan.h"

/*
 * Plan a stage. Refusals are among the messages. 0, or -1 with err when memory ran out or the
 * settings make no sense.
 */
int plan_stage(
    struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err) WARN_UNUSED;

#endif
