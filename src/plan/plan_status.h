/* plan_status.h - how the settings stand against a request */
#ifndef PLAN_STATUS_H
#define PLAN_STATUS_H

#include "base/def.h"
#include "plan/plan.h"

/*
 * Compare with what is wanted, changing nothing: as plan_stage, but options that were not given are
 * read off the settings. 0 or -1.
 */
int plan_status(
    struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err) WARN_UNUSED;

#endif
