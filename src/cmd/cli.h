/* cli.h - the commands, and the way from argv to one of them */
#ifndef CLI_H
#define CLI_H

#include "cmd/options.h"

/* The rows have the order of enum command_id. */
extern const struct command cli_commands[];

/* Parse argv and run the command. version is what --version prints. Returns the process's exit
 * status. */
int cli_main(int argc, char **argv, const char *version);

/* The commands. Each prints its results and returns the process's exit status. */
int cmd_print(const struct options *o);
int cmd_stage(const struct options *o);
int cmd_status(const struct options *o);
int cmd_clear(const struct options *o);
int cmd_reload(const struct options *o);
int cmd_probe(const struct options *o);

#endif
