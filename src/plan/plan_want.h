/* plan_want.h - what the change set wants on this server: listeners, networks, rules; for plan_*.c
 * alone */
#ifndef PLAN_WANT_H
#define PLAN_WANT_H

#include "base/def.h"
#include "plan/plan_build.h"

/* Find the listeners in b->base and choose; refuse what must not be. */
void build_listeners(struct build *b);

/* Want one listener's keys. */
void build_want_listener(struct build *b, const char *id);

/* Want all keys of the chosen groups. */
void build_wanted(struct build *b);

/* What an earlier stage wrote and this one does not want goes back to what it was. */
void build_restore_unwanted(struct build *b);

#endif
