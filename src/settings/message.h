/* message.h - what a run has to say, kept as data until the report is written */
#ifndef MESSAGE_H
#define MESSAGE_H

#include "base/def.h"
#include "base/refusal.h"

#include <stdbool.h>

struct pool;

enum message_level {
	MESSAGE_RESULT,  /* what the run did or found: it belongs to the report itself */
	MESSAGE_NOTE,    /* worth knowing */
	MESSAGE_WARNING, /* to be looked at; it stopped nothing */
	/* a check that refuses; forced is set when --force overrode it */
	MESSAGE_REFUSAL,
	MESSAGE_ERROR /* what ended the run */
};

struct message {
	enum message_level level;
	bool forced;
	enum refusal refusal; /* which, or REFUSAL_NONE */
	const char *target;   /* which target, or NULL for the whole run */
	const char *text;     /* whole sentences; never a secret */
};

/* Texts live in the pool given at each call. Zero-initialise. */
struct messages {
	struct message *items;
	size_t count;
};

/*
 * Add one. The text is formatted into the pool. Gives the message, for its other members, until the
 * next one is added. When memory ran out (pool_check tells) it may be one that belongs to no list.
 */
struct message *message_add(struct messages *m, struct pool *pool, enum message_level level,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Add a refusal of the table. forced: --force names it, which counts if the table allows it. */
struct message *message_refuse(
    struct messages *m, struct pool *pool, enum refusal refusal, bool forced, const char *text);

enum { NAMES_MAX = 5 }; /* as many keys are named in one message */

/* Keys for a message. Zero-initialise. */
struct names {
	char text[512]; /* the first of them, ", " between */
	size_t count;
};

/* Add a key. */
void names_add(struct names *n, const char *key);

/* What follows the text: " and more", or "". */
const char *names_more(const struct names *n);

/* How many refusals were not overridden. */
size_t message_refusals(const struct messages *m);

#endif
