/*
 * say.h - results on standard output, all else on standard error. All of it passes buf_shown, so no
 * byte of a server, a file or a path reaches a terminal raw.
 */
#ifndef SAY_H
#define SAY_H

#include "base/def.h"
#include "settings/message.h"

struct buf;

/*
 * Print text on standard error. Each line begins with "stalprep COMMAND: ",
 * or with "stalprep: " if command is NULL. A NULL text is printed as "out of memory".
 */
void say(const char *command, const char *text);

/* Append the messages of at least this level, as lines for standard error. */
void say_format(
    struct buf *out, const char *command, const struct messages *m, enum message_level least);

/* Print these lines on standard error; "out of memory" if the buffer has failed. */
void say_lines(const char *command, const struct buf *lines);

/* What results are: a text, a JSON text, or a file's bytes, which alone go out as they are. */
enum say_as { SAY_TEXT, SAY_JSON, SAY_FILE };

/* Print results on standard output. 0; or 1 with a message on standard error. */
int say_results(const char *command, const struct buf *results, enum say_as as);

#endif
