/* boot.h - the config.toml that a server reads at its next start; it is only read */
#ifndef BOOT_H
#define BOOT_H

#include "base/def.h"
#include "target/target.h"

/*
 * Read the text of the file that path names; or with NULL, of the one that this host's own server
 * was started with, if it is certain which that is. Before the process is confined. 0, also if
 * there is none to look at; -1 with err.
 */
int boot_read(struct target *t, const char *path, struct err *err) WARN_UNUSED;

/*
 * Read the settings of that text, after the server's own. Where the run only looks, t->facts then
 * has what the API would show after a restart: the file's keys, with the database's behind them. 0;
 * or -1 with err: the server would not start with the file.
 */
int boot_use(struct target *t, struct err *err) WARN_UNUSED;

#endif
