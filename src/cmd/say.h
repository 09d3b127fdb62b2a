/* say.h - results on standard output, all else on standard error */
#ifndef SAY_H
#define SAY_H

#include "base/def.h"
#include "settings/message.h"

struct buf;

/*
 * Print text, which must be clean, on standard error. Each line begins with "stalprep COMMAND: ",
 * or with "stalprep: " if command is NULL. A NULL text is printed as "out of memory".
 */
void say(const char *command, const char *text);

/* Append the messages of at least this level, as lines for standard error. */
void say_format(
    struct buf *out, const char *command, const struct messages *m, enum message_level least);

/* Print these lines on standard error; "out of memory" if the buffer has failed. */
void say_lines(const char *command, const struct buf *lines);

/* Print results on standard output, and flush it. 0; or 1 with a message on standard error. */
int say_results(const char *command, const struct buf *results);

/*
 * Append at most max bytes of a text of a server or a file, made safe for a terminal: control
 * characters, and bytes that are not UTF-8, become '?'. A longer text is cut and ends in an
 * ellipsis.
 */
void say_clean(struct buf *out, const char *text, size_t len, size_t max);

#endif
