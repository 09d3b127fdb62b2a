/* configfile.h - a config.toml: found once, read and replaced as a whole in its open folder */
#ifndef CONFIGFILE_H
#define CONFIGFILE_H

#include "base/buf.h"
#include "base/def.h"

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>

struct err;

/* Zero-initialise; configfile_free when done. */
struct configfile {
	/* as the user gave it; "-" reads standard input and writes standard output */
	const char *name;
	/* a server runs with it, and it is only read: it may be a pipe that a shell made, and empty
	 */
	bool read_only;
	char path[PATH_MAX]; /* the file itself, symbolic links followed; "" for "-" */
	/*
	 * The folder that it is in, open while `found`, and its name there. All steps use these,
	 * and so does what lies beside it (file_pin_folder): who can rename the folder or a link on
	 * the way leads no read or write elsewhere.
	 */
	int folder;
	char base[NAME_MAX + 1];
	bool found;
	int fd; /* open to read, while `open` */
	bool open;
	struct stat st; /* as it was when it was read */
	struct buf text;
};

/* Is it standard input? */
bool configfile_is_stream(const char *name);

/*
 * Find the file behind name, links followed, and open its folder; nothing is read yet. What is no
 * plain file is ERR_REFUSED. 0 or -1.
 */
int configfile_find(struct configfile *f, const char *name, struct err *err) WARN_UNUSED;

/* Who owns the file that was found; -1 where that can't be seen, or it is standard input. */
uid_t configfile_owner(const struct configfile *f);

/* Who owns its folder; -1 as above. */
uid_t configfile_folder_owner(const struct configfile *f);

/*
 * Read it, until a signal. An empty file, one longer than TOML_TEXT_MAX, one that is not what was
 * found: ERR_REFUSED. It changes nothing, and needs no right to. 0 or -1.
 */
int configfile_read(struct configfile *f, struct err *err) WARN_UNUSED;

/* What a text that is no TOML seems to be, as a sentence with a way out; or NULL. */
const char *configfile_guess(const struct buf *text);

/*
 * Can another file take its place, as far as it shows? 0; or -1 with err (REFUSAL_IN_PLACE) where
 * it has several names, or is mounted by itself. Not for "-".
 */
int configfile_check_place(const struct configfile *f, struct err *err) WARN_UNUSED;

/*
 * Replace it by this text (not "-"), as file_replace_at does, with its owner, mode, ACLs and
 * attributes. in_place: a file that can't be replaced is written over, while a copy of mode 0600
 * lies beside it, PATH.stalprep-backup; if that fails, the old text is written back. A signal ends
 * it only where the file is replaced. 0; or -1 with err: the file is as it was, or, with *torn, may
 * be half old and half new, and the copy stays.
 */
int configfile_write(struct configfile *f, const struct buf *text, bool in_place, bool *torn,
    struct err *err) WARN_UNUSED;

/* Is it on a file system that is mounted read-only? */
bool configfile_is_read_only(const struct configfile *f);

/* Does the file hold exactly this text now, and does its path still lead to it? */
bool configfile_holds(const struct configfile *f, const struct buf *text);

/* The path of that copy. Is there one, from an earlier run? */
bool configfile_backup(const struct configfile *f, char path[PATH_MAX]);

/* Wipe and close. */
void configfile_free(struct configfile *f);

#endif
