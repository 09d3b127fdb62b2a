/* plan_want.h - which keys the change set needs on this server; for plan_*.c alone */
#ifndef PLAN_WANT_H
#define PLAN_WANT_H

#include "base/def.h"
#include "plan/plan_build.h"

/* Add one listener's keys to the plan. */
void build_add_listener(struct build *b, const char *id);

/* Add all keys of the request's groups. Refuse a relay that is somebody else's. */
void build_add_groups(struct build *b);

/* Add the keys that an earlier stage wrote and this one does not want, with their originals. */
void build_add_restores(struct build *b);

#endif
