/* exits.h - the exit statuses */
#ifndef EXITS_H
#define EXITS_H

#include "base/def.h"

/* After a signal the status is 128 plus the signal's number. */
enum exit_status {
	EXIT_DONE,
	EXIT_REFUSED,
	EXIT_USAGE,
	EXIT_UNREACHED,
	EXIT_LOGIN,
	EXIT_UNPROVED,
	EXIT_PARTLY,
	EXIT_NOT_STAGED
};

struct err;

/* Help prints the table. A test compares the manual and the README with it. */
struct exit_row {
	int status;
	const char *words; /* what it means */
};

enum { EXITS_COUNT = 10 };
extern const struct exit_row exits[EXITS_COUNT];

/* The status for a failure before any write. */
int exit_of(const struct err *err);

#endif
