/* err.h - a failure as data: what happened, to what, what to do */
#ifndef ERR_H
#define ERR_H

#include "base/def.h"
#include "base/refusal.h"

/* longest text with its NUL; longer ones are cut at a character's edge */
enum { ERR_TEXT_MAX = 2048 };

/* What kind of failure: the command layer makes the exit status of it. */
enum err_kind {
	ERR_NONE,
	ERR_USAGE,    /* an option's value is wrong */
	ERR_REFUSED,  /* a check refused; refusal says which, if it is one of the table */
	ERR_SYSTEM,   /* a file, the memory, the operating system */
	ERR_REACH,    /* no connection, cut off, too slow */
	ERR_TRUST,    /* the certificate was not accepted */
	ERR_AUTH,     /* credentials or permission */
	ERR_SERVER,   /* an answer that is an error or makes no sense */
	ERR_INTERRUPT /* a signal asked to stop */
};

struct err {
	enum err_kind kind;
	/* kind's own detail: errno, HTTP status, signal; 0 for none */
	int code;
	enum refusal refusal;    /* which, or REFUSAL_NONE */
	char text[ERR_TEXT_MAX]; /* whole sentences for the user; never a secret */
};

/* Fill err and return -1, so that a failing function ends in one line. A NULL err is allowed. */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same for a refusal of the table; its way out (--force) is added where it is said. */
int err_refuse(struct err *err, enum refusal refusal, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * The same with ": " and the message of the system error `number` appended; code becomes that
 * number.
 */
int err_system(struct err *err, enum err_kind kind, int number, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* End the text with a full stop unless it has an end. A NULL err is allowed. */
void err_end(struct err *err);

/*
 * Append a text to err's, after one blank; one that begins with "\n  " is a line of its own. Before
 * such a line, and before a capital letter, the text so far gets its full stop.
 */
void err_add(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Reset err to no failure. */
void err_clear(struct err *err);

/*
 * Somebody asked to stop by this signal: ERR_INTERRUPT. SIGALRM is the end of --max-time:
 * ERR_REACH. Returns -1.
 */
int err_stopped(struct err *err, int signal);

/* "out of memory", returns -1. */
int err_memory(struct err *err);

#endif
