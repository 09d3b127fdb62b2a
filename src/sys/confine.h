/* confine.h - what the process gives up before it listens to a peer */
#ifndef CONFINE_H
#define CONFINE_H

#include "base/def.h"

#include <stdbool.h>
#include <stdint.h>

/* What is still needed. */
struct confine_keep {
	/* files beside it are made, replaced and removed; NULL: nothing is written */
	const char *file;
	bool terminal;         /* a question may still be asked on /dev/tty */
	const uint16_t *ports; /* the TCP ports to connect to */
	size_t count;
};

/* What the kernel had of it. */
struct confined {
	bool no_new_privs, landlock, seccomp;
};

/*
 * First of all: no core dump, and no debugger of the same user. A kernel without it is no failure.
 */
void confine_begin(void);

/*
 * Give up all that is not kept: other files, ports and kinds of sockets, programs, processes,
 * privileges; for the rest of the process's life. What the system calls of keep->file's kind need
 * must have been opened before, or stands above.
 */
struct confined confine(const struct confine_keep *keep);

#endif
