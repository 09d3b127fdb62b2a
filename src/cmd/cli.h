/* cli.h - the table of commands, and the way from argv to one of them */
#ifndef CLI_H
#define CLI_H

#include "base/def.h"

/* Parse argv, run the command, give the process's exit status. */
int cli_main(int argc, char **argv);

#endif
