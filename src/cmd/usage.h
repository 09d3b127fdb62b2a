/* usage.h - what help prints, for a terminal of 80 columns */
#ifndef USAGE_H
#define USAGE_H

#include "cmd/options.h"

struct buf;

/* Append the help of the whole program. commands has COMMAND_COUNT rows. */
void usage_all(struct buf *out, const struct command *commands);

/* Append the help of one command: its options, and the refusals if it can refuse. */
void usage_command(struct buf *out, const struct command *commands, enum command_id c);

#endif
