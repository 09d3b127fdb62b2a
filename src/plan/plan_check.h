/*
 * plan_check.h - can the change set go wrong on this server: the new server's relay, a cluster, the
 * server's rewrite of its config.toml; for plan_*.c alone
 */
#ifndef PLAN_CHECK_H
#define PLAN_CHECK_H

#include "base/def.h"
#include "plan/plan_build.h"

/* All checks of a stage but build_check_rewrite. Each adds refusals or warnings to the plan. */
void build_check(struct build *b);

/*
 * Refuse if the new server's relay to port 25 would need a PROXY header. If nobody can say, warn
 * and set p->unready.
 */
void build_check_relay(struct build *b);

/*
 * Refuse to change local keys on one node of a cluster alone: each node has its own, and the API
 * does not name the other nodes. A status warns, and sets p->unready.
 */
void build_check_cluster(struct build *b);

/*
 * Refuse if this run makes the server rewrite its config.toml and some key would not survive it;
 * and in a file an address that the next rewrite would break. Warn of those that the API shows,
 * which may be in the file.
 */
void build_check_rewrite(struct build *b);

#endif
