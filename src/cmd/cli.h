/* cli.h - from argv to a command's exit status; what each command is called by */
#ifndef CLI_H
#define CLI_H

#include "cmd/options.h"

/* One a row of enum command_id. */
extern const struct command cli_commands[];

/* Parse argv and run the command. Gives the process's exit status. */
int cli_main(int argc, char **argv);

/* A command: it prints its results and gives the process's exit status. */
int cmd_print(const struct options *o);
int cmd_stage(const struct options *o);
int cmd_status(const struct options *o);
int cmd_clear(const struct options *o);
int cmd_reload(const struct options *o);

#endif
