/* running.h - does a server run on this config.toml? */
#ifndef RUNNING_H
#define RUNNING_H

#include "base/def.h"

#include <stdbool.h>
#include <sys/types.h>

struct stat;

enum {
	RUNNING_NAME_MAX = 400,
	RUNNING_EXE_MAX = 512 * 1024 * 1024 /* largest executable that is searched for a sign */
};

struct running {
	/* a process that was started with this file; 0: none was found */
	pid_t pid;
	char name[RUNNING_NAME_MAX]; /* its command name, executable and user, on one line */
	/* it only names the file, and is no server; one that may be a server was not found */
	bool bystander;
	/* there is no /proc, or some processes could not be looked at */
	bool unseen;
};

/*
 * Look through /proc for a process whose arguments (--config, -c) or whose CONFIG_PATH name the
 * file st, seen from its own folder and root, so also in a container. (A server does not keep the
 * file open, says server-facts.) This process's ancestors do not count.
 *
 * Any user can start a process that names the file. So one of another user than root, the file's
 * owner and `service` (the owner of its folder, mostly the server's account) is a bystander if its
 * executable can be read whole and has no sign of a server.
 */
void running_find(struct running *r, const struct stat *st, uid_t service);

/*
 * Of a process's argument: the value after "--config=", "-c=" and the like; "" where it is the next
 * argument; NULL for any other argument.
 */
const char *running_config_value(const char *arg);

/* Does it have a root of its own, in which an absolute link leads elsewhere? */
bool running_has_own_root(pid_t pid);

/*
 * The command name of a process, then after ", " its executable and its user, on one line. Gives
 * the user, -1 where it is gone.
 */
uid_t running_read_name(char name[RUNNING_NAME_MAX], pid_t pid);

#endif
