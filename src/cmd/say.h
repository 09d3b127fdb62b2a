/* say.h - results on standard output, all else on standard error */
#ifndef SAY_H
#define SAY_H

#include "base/def.h"
#include "settings/message.h"

struct buf;

/*
 * Print text, which is clean, on standard error. Each of its lines begins with "stalprep COMMAND:
 * ", or with "stalprep: " where command is NULL. A NULL text means that memory ran out.
 */
void say(const char *command, const char *text);

/* Append the messages of at least this level, as lines for standard error. */
void say_format(
    struct buf *out, const char *command, const struct messages *m, enum message_level least);

/* Print these lines on standard error, or that memory ran out for them. */
void say_lines(const struct buf *lines);

/*
 * Print results on standard output, and flush it. 0; or 1 when that failed, which is said on
 * standard error.
 */
int say_results(const char *command, const struct buf *results);

/*
 * Append at most max bytes of a text that comes from a server or a file, for a terminal: control
 * bytes, and bytes that are not UTF-8, become '?'. "..." is put behind a text that was cut.
 */
void say_clean(struct buf *out, const char *text, size_t len, size_t max);

#endif
