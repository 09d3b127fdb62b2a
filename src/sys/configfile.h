/* configfile.h - the config.toml of a stopped server: read and replaced as a whole */
#ifndef CONFIGFILE_H
#define CONFIGFILE_H

#include "base/buf.h"
#include "base/def.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

struct err;

/* Zero-initialise; configfile_free when done. */
struct configfile {
	/* as the user gave it; "-" reads standard input and writes standard output */
	const char *name;
	char path[PATH_MAX]; /* the file itself, symbolic links followed; "" for "-" */
	int fd;              /* open to read, while `open` */
	bool open;
	struct stat st; /* as it was when it was read */
	struct buf text;
};

/* Is it standard input? */
bool configfile_is_stream(const char *name);

/* Find the file behind name, links followed; nothing is read yet. 0 or -1. */
int configfile_find(struct configfile *f, const char *name, struct err *err) WARN_UNUSED;

/* Who owns the file that was found; -1 where that can't be seen, or it is standard input. */
uid_t configfile_owner(const struct configfile *f);

/*
 * Read it. A folder, a device, an empty file, one longer than TOML_TEXT_MAX: ERR_REFUSED. 0 or -1.
 */
int configfile_read(struct configfile *f, struct err *err) WARN_UNUSED;

/*
 * Replace it by this text (not "-"), as file_replace does, with its owner, mode, ACLs and
 * attributes. in_place: a file that can't be replaced is written over, after a copy beside it,
 * PATH.stalprep-backup. 0; or -1 with err: the file is as it was, or, with *torn, may be half old
 * and half new.
 */
int configfile_write(struct configfile *f, const struct buf *text, bool in_place, bool *torn,
    struct err *err) WARN_UNUSED;

/* Is it on a file system that is mounted read-only? */
bool configfile_is_read_only(const struct configfile *f);

/* Does the file hold exactly this text now? */
bool configfile_holds(const struct configfile *f, const struct buf *text);

/* The name of that copy. Is there one, from an earlier run? */
bool configfile_backup(const struct configfile *f, char name[PATH_MAX]);

/* Wipe and close. */
void configfile_free(struct configfile *f);

#endif
