/* plan_build.h - a plan being made: its keys, its refusals, the settings as they were; for plan_*.c
 * alone */
#ifndef PLAN_BUILD_H
#define PLAN_BUILD_H

#include "base/def.h"
#include "plan/plan.h"
#include "settings/request.h"
#include "settings/settings.h"

/* One planning at work. */
struct build {
	struct plan *p;
	struct pool *pool;
	const struct plan_input *in;
	const struct request *q; /* what is asked for */
	/* the settings as if what is ours of the snapshot's keys, in the chosen groups, were back
	 */
	struct settings base;
	struct err *err;
};

/* Begin to plan a stage or a status: an empty plan, the dialect, b->base. 0 or -1. */
int build_begin(struct build *b, struct plan *p, struct pool *pool, const struct plan_input *in,
    struct err *err) WARN_UNUSED;

/*
 * What a key shall be (NULL: absent). A second call for the same key counts, the first's place in
 * the order stays. Gives the plan's entry, until the next one is added.
 */
struct plan_key *build_want(struct build *b, enum group group, const char *key, const char *wanted);

/* The plan's entry of that key, or NULL. */
struct plan_key *build_find(struct build *b, const char *key);

/* Add a refusal. Where --force names it, it is said all the same, as forced. */
void build_refuse(struct build *b, enum refusal refusal, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Make b->base of in->now and in->snapshot; want our networks away that became scalars. 0 or -1. */
int build_base(struct build *b) WARN_UNUSED;

/* Settle p->dialect from the options and what was seen; refuse where that matters. */
void build_dialect(struct build *b);

/* Fill now, local, state, write and count of every key. 0 or -1. */
int build_finish(struct build *b) WARN_UNUSED;

#endif
