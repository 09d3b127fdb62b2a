/* output.h - what a run found and did, as text for a person or as JSON for a program */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "base/def.h"
#include "settings/message.h"

struct buf;
struct options;
struct target;

/* The exit statuses, as design and manual have them. */
enum exit_status {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1, /* refused or failed before any write on any node */
	EXIT_USAGE = 2,
	EXIT_UNREACHED = 3, /* not reached, or its certificate not accepted */
	EXIT_LOGIN = 4,     /* credentials or permission */
	EXIT_UNPROVED = 5,  /* something may be written and it is not all proved */
	EXIT_PARTLY = 6,
	EXIT_NOT_STAGED = 7
};

/* All that a report is made of; everything is the caller's. */
struct report {
	const struct options *options;
	const struct target *targets;
	size_t count;
	const struct messages *messages; /* of the whole run */
	int exit;
};

/* Append the report of stage, status or clear for a person. */
void output_text(struct buf *out, const struct report *r);

/*
 * Append what changes in a target's file as a unified diff without context; nothing for a server.
 */
void output_diff(struct buf *out, const struct target *t);

/* Append the one JSON object. */
void output_json(struct buf *out, const struct report *r);

/*
 * Append text, which is clean, for standard error: each of its lines begins with "stalprep COMMAND:
 * ", or with "stalprep: " where command is NULL. A NULL text means that memory ran out.
 */
void output_say(struct buf *out, const char *command, const char *text);

/* Append messages of at least this level for standard error. */
void output_messages(
    struct buf *out, const char *command, const struct messages *m, enum message_level least);

#endif
