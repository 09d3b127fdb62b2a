/* plan_looks.h - does the server look staged, where no snapshot says so; for plan_*.c alone */
#ifndef PLAN_LOOKS_H
#define PLAN_LOOKS_H

#include "base/def.h"
#include "plan/plan_build.h"

/* Look at b->in->now, for these groups. After build_choose_listeners. */
struct looks build_looks(struct build *b, unsigned groups);

/* Does any of it? */
bool looks_staged(const struct looks *l);

/* In words, in the pool: "all inbound checks are off, ...". */
const char *looks_words(struct build *b, const struct looks *l);

/* Fill in the relay that stands under q's id, if one does: q->relay_host (the pool's) and _port. */
void looks_relay(struct build *b, struct request *q);

#endif
