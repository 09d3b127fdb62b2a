/* commands.h - one function a command; each prints and gives the process's exit status */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "base/def.h"

struct options;

/* program is the name that the user called, for the commands that a report proposes. */
int cmd_print(const struct options *o, const char *program);
int cmd_stage(const struct options *o, const char *program);
int cmd_status(const struct options *o, const char *program);
int cmd_clear(const struct options *o, const char *program);
int cmd_reload(const struct options *o, const char *program);
int cmd_licenses(const struct options *o, const char *program);

#endif
