/* plan_listeners.h - which of the server's listeners belong behind the proxy; for plan_*.c alone */
#ifndef PLAN_LISTENERS_H
#define PLAN_LISTENERS_H

#include "base/def.h"
#include "plan/plan_build.h"

/*
 * Find the listeners in b->base and choose those for the proxy. Refuse what can't be chosen, and
 * ask for what the settings do not say (build_ask).
 */
void build_choose_listeners(struct build *b);

#endif
