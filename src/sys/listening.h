/* listening.h - the process that answers at an address of this host, and its config.toml */
#ifndef LISTENING_H
#define LISTENING_H

#include "base/def.h"

#include <limits.h>
#include <stdbool.h>

struct buf;
struct resolved;

struct listening {
	char path[PATH_MAX]; /* the file, as its process names it */
	bool named_so;       /* the process's name says that it is the mail server */
};

/*
 * If it is certain which file the server at these addresses was started with, append that file to
 * text. It is certain if all of the addresses are this host's, exactly one process holds the
 * sockets that listen there, and its arguments (--config, -c) name one regular file. The file is
 * opened through that process's own root and folder, so it may run in a container. False where
 * anything is not certain: then nothing may be assumed.
 */
bool listening_read(struct listening *l, struct buf *text, const struct resolved *to);

#endif
