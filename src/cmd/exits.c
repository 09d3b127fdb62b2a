#include "cmd/exits.h"

#include "base/err.h"

#include <signal.h>

const struct exit_row exits[EXITS_COUNT] = {
	{ EXIT_DONE, "done, or nothing to do" },
	{ EXIT_REFUSED, "refused, or failed before any write; reload: the settings have errors" },
	{ EXIT_USAGE, "wrong usage, or no password given" },
	{ EXIT_UNREACHED, "the server was not reached, or its certificate was not accepted" },
	{ EXIT_LOGIN, "the login failed, or a permission is missing" },
	{ EXIT_UNPROVED, "something may be written, but not all of it is proved" },
	{ EXIT_PARTLY,
	    "status: not ready; stage: a group taken back; clear: some keys left alone; probe: not "
	    "as expected" },
	{ EXIT_NOT_STAGED, "status: not staged" },
	{ 128 + SIGINT, "interrupted by SIGINT before any write" },
	{ 128 + SIGTERM, "interrupted by SIGTERM before any write" },
};

int
exit_of(const struct err *err)
{
	switch (err->kind) {
	case ERR_USAGE:
		return EXIT_USAGE;
	case ERR_REACH:
	case ERR_TRUST:
		return EXIT_UNREACHED;
	case ERR_AUTH:
		return EXIT_LOGIN;
	case ERR_INTERRUPT:
		return 128 + (err->code ? err->code : SIGINT);
	default:
		return EXIT_REFUSED;
	}
}
