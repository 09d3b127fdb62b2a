/*
 * plan_build.h - what all plans share while they are made: keys, refusals, the original settings;
 * for plan_*.c alone
 */
#ifndef PLAN_BUILD_H
#define PLAN_BUILD_H

#include "base/def.h"
#include "base/sorted.h"
#include "plan/plan.h"
#include "settings/request.h"
#include "settings/settings.h"
#include "settings/trusted.h"

/* An option that the run needs. */
struct answer {
	const char *option, *value; /* value: what may be right, or a placeholder */
	bool open;                  /* value is a placeholder */
};

/* What looks staged, in the groups of the request, where no snapshot says so. */
struct looks {
	bool checks;         /* all inbound checks are off, as the change set has them */
	const char *network; /* all chosen listeners want a header from it; or NULL */
};

/* A plan that is being made. */
struct build {
	struct plan *p;
	struct pool *pool;
	const struct plan_input *in;
	const struct request *q;
	/* the settings with the originals in place of our own values, in the chosen groups */
	struct settings base;
	/* networks of the global list; and of the listener's that was looked at last, as they stand
	 * now: each is read once */
	struct trusted global, now_listed;
	const char *listed;     /* that list's key */
	bool unknown;           /* the snapshot has a key of which is not known what stood there */
	struct sorted keys;     /* the plan's keys, numbered as there */
	struct sorted old;      /* the snapshot's; none before build_base */
	struct answer *answers; /* what build_ask asked for */
	size_t answer_count;
	struct looks looks; /* a stage without a snapshot */
	bool judging;       /* a status: what a stage would refuse, its keys show */
	struct err *err;
};

/* Begin the plan of a stage or a status: set p to empty, then the dialect and b->base. 0 or -1. */
int build_begin(struct build *b, struct plan *p, struct pool *pool, const struct plan_input *in,
    struct err *err) WARN_UNUSED;

/*
 * Add a key with its wanted value (NULL: absent). For a key that the plan has already, set the
 * value and keep its place. Returns the entry, which is valid until the next one is added.
 */
struct plan_key *build_add_key(
    struct build *b, enum group group, const char *key, const char *wanted);

/* The plan's entry for that key, or NULL. */
struct plan_key *build_find_key(struct build *b, const char *key);

/* The snapshot's entry for that key, or NULL. */
const struct part_key *build_old_key(const struct build *b, const char *key);

/* Add a refusal. If --force names it, the report still shows it, as forced. */
void build_refuse(struct build *b, enum refusal refusal, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * Remember an option that this run needs. value may be the right one; if nobody can know it, open
 * is set and value is a placeholder. The refusal that says why is the caller's.
 */
void build_ask(struct build *b, const char *option, const char *value, bool open);

/* Add the message with all options that were asked for, in one line that can be pasted. */
void build_tell_answers(struct build *b);

/*
 * Make b->base from in->now and in->part. Our networks that became scalars get an entry in the
 * plan that removes them. 0 or -1.
 */
int build_base(struct build *b) WARN_UNUSED;

/* Set p->dialect from --dialect and the server's answers. Refuse if they do not say enough. */
void build_dialect(struct build *b);

/*
 * When all keys are added: set local, recorded, state and write of each, and p->write_count. 0, or
 * -1 if they are too many or memory ran out.
 */
int build_set_states(struct build *b) WARN_UNUSED;

/* Does this run make the server write its file, by a key of it or after a broken write? */
bool build_writes_file(const struct build *b);

#endif
