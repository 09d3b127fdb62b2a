/* jsonout.h - JSON as it is written: one value after another, with the commas between them */
#ifndef JSONOUT_H
#define JSONOUT_H

#include "base/def.h"

#include <stdbool.h>

struct buf;

/*
 * Begin with { .out = … }, where the text is appended; the buffer is the caller's. A copy of it,
 * and the buffer's length, are all that is needed to go back to where it was.
 */
struct jsonout {
	struct buf *out;
	bool comma; /* a value is in front: the next one needs a comma */
	bool line;  /* the next value, or closing bracket, begins a line */
};

/*
 * The name of each value is a member's, or NULL for an array's element and for the whole document.
 */

/* Begin an object or array with its bracket, '{' or '['; end it with the other one, '}' or ']'. */
void jsonout_open(struct jsonout *j, const char *name, char bracket);
void jsonout_close(struct jsonout *j, char bracket);

/* A string, as json_quote writes it; NULL becomes null. */
void jsonout_text(struct jsonout *j, const char *name, const char *value);

/* A number, true or false. */
void jsonout_number(struct jsonout *j, const char *name, int value);
void jsonout_bool(struct jsonout *j, const char *name, bool value);

/* Begin a line before the next value or closing bracket. */
void jsonout_line(struct jsonout *j);

#endif
