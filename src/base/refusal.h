/* refusal.h - the table of all refusals: what stops a run before its first write */
#ifndef REFUSAL_H
#define REFUSAL_H

#include "base/def.h"

#include <stdbool.h>

/* One a row of the table. */
enum refusal {
	REFUSAL_NONE, /* no refusal: an error of another kind */
	REFUSAL_PORT_25,
	REFUSAL_NO_LISTENER,
	REFUSAL_RELAY_LISTENER,
	REFUSAL_SUBMISSION,
	REFUSAL_LISTENER_NAME,
	REFUSAL_TOO_MANY,
	REFUSAL_NOT_LOCAL,
	REFUSAL_RELAY_COVERED,
	REFUSAL_RELAY_TAKEN,
	REFUSAL_RELAY_CREDENTIALS,
	REFUSAL_DIALECT,
	REFUSAL_DIALECT_UNKNOWN,
	REFUSAL_CLUSTER,
	REFUSAL_NO_CLUSTER,
	REFUSAL_NODE,
	REFUSAL_TWO_SERVERS,
	REFUSAL_SHADOWED,
	REFUSAL_FILE_CHANGED,
	REFUSAL_REWRITE,
	REFUSAL_REWRITE_CHANGES,
	REFUSAL_REWRITE_UNSEEN,
	REFUSAL_SNAPSHOT_TARGET,
	REFUSAL_SNAPSHOT_OWNER,
	REFUSAL_NO_SNAPSHOT,
	REFUSAL_ALREADY_STAGED,
	REFUSAL_IN_FILE,
	REFUSAL_CHANGED,
	REFUSAL_RUNNING,
	REFUSAL_IN_PLACE,
	REFUSAL_INLINE_TABLE,
	REFUSAL_OPEN_SECRET,
	REFUSAL_NEW_SERVER,
	REFUSAL_NOT_STALWART,
	REFUSAL_COUNT
};

struct refusal_row {
	const char *name;    /* as a message prints it and --force takes it */
	bool can_be_forced;  /* --force NAME overrides it */
	const char *meaning; /* one sentence, for help and the manual */
};

/* By enum refusal; the row of REFUSAL_NONE is empty. */
extern const struct refusal_row refusals[REFUSAL_COUNT];

/* The refusal of that name, or REFUSAL_NONE. */
enum refusal refusal_find(const char *name);

/* What ends a refusal's text, after a blank: how to force it, or that --force does not apply. */
void refusal_way_out(enum refusal r, char *out, size_t size);

#endif
