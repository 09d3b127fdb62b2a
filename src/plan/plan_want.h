/* plan_want.h - what the change set wants on this server: listeners, networks, rules; for plan_*.c
 * alone */
#ifndef PLAN_WANT_H
#define PLAN_WANT_H

#include "base/def.h"
#include "plan/plan_build.h"

/* Find the listeners in b->base and choose; refuse what must not be. 0 or -1. */
int build_listeners(struct build *b) WARN_UNUSED;

/* Want one listener's keys. 0 or -1. */
int build_want_listener(struct build *b, const char *id) WARN_UNUSED;

/* Want all keys of the chosen groups. 0 or -1. */
int build_wanted(struct build *b) WARN_UNUSED;

/* What an earlier stage wrote and this one does not want goes back to what it was. 0 or -1. */
int build_restore_unwanted(struct build *b) WARN_UNUSED;

#endif
