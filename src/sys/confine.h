/* confine.h - what the process gives up before it talks to a server */
#ifndef CONFINE_H
#define CONFINE_H

#include "base/def.h"

#include <stdbool.h>
#include <stdint.h>

/* What the process still needs. */
struct confine_keep {
	const char *folder;    /* files in it are read; NULL: in none */
	const char *other;     /* another such folder, or NULL */
	bool writes;           /* and made, replaced and removed */
	bool names;            /* names are looked up: /etc/hosts, /etc/resolv.conf */
	bool terminal;         /* a question may still be asked on /dev/tty */
	const uint16_t *ports; /* the TCP ports to connect to */
	size_t count;
};

/* What the kernel supports, and so what is in force. */
struct confined {
	bool no_new_privs, landlock;
};

/*
 * To be called first of all: no core dump, and no debugger of the same user. It is no failure if
 * the kernel can't do that.
 */
void confine_begin(void);

/*
 * Give up, for the rest of the process's life, new privileges and (as far as the kernel's Landlock
 * goes) everything that is not in keep: to open other files, to run programs, to connect to other
 * TCP ports or to bind one, to signal other processes. Files that are open already stay usable, and
 * /dev/urandom. Where a seccomp filter kills who asks for Landlock (a service manager's allow
 * list), it goes on without.
 */
struct confined confine(const struct confine_keep *keep);

#endif
