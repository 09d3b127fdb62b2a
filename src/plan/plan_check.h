/* plan_check.h - what would go wrong around the change set: the relay's way in, a cluster, the
 * server's rewrite; for plan_*.c alone */
#ifndef PLAN_CHECK_H
#define PLAN_CHECK_H

#include "base/def.h"
#include "plan/plan_build.h"

/*
 * What can be known to go wrong around the change set itself: the relay's way in, a cluster, the
 * server's own rewrite.
 */
void build_check(struct build *b);

/*
 * Local keys must be written, and cleared, on every node of a cluster, and nothing here can find
 * the others.
 */
void build_check_cluster(struct build *b);

/*
 * Does the server's rewrite of its config.toml keep every local key? Refuse where it does not and
 * this run causes one.
 */
void build_check_rewrite(struct build *b);

#endif
