/* exits.h - the exit statuses */
#ifndef EXITS_H
#define EXITS_H

#include "base/def.h"

/* After a signal it is none of these: 128 and the signal's number. */
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

/* Help prints the table, and a test holds the manual and the README to it. */
struct exit_row {
	int status;
	const char *words; /* what it means */
};

enum { EXITS_COUNT = 10 };
extern const struct exit_row exits[EXITS_COUNT];

#endif
