/* file.h - whole files: read, locked, and replaced so that the old or the new one is there */
#ifndef FILE_H
#define FILE_H

#include "base/def.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

enum { FILE_TEMP_MAX = 8 }; /* bytes behind a name for its temporary file, with the NUL */

struct buf;
struct deadline;
struct err;

/*
 * Open a file to read it. Nobody at the other end of a pipe is waited for: file_read_stream does
 * that. The caller closes it; -1 with errno.
 */
int file_open(const char *path) WARN_UNUSED;

/*
 * Append what comes from fd to out, up to its end. A pipe or a terminal is waited for until the
 * deadline; without one (NULL), fd must be a regular file. What is read may be a secret: no copy is
 * left behind. what names the file in messages. 0; 1 when it has more than max bytes; -1 with err,
 * which may be ERR_INTERRUPT or ERR_REACH (too late).
 */
int file_read_stream(struct buf *out, int fd, size_t max, const struct deadline *d,
    const char *what, struct err *err) WARN_UNUSED;

/*
 * Append a file of at most max bytes to out. A signal ends the wait for a pipe. 0; 1 when there is
 * no such file; -1 with err.
 */
int file_read(struct buf *out, const char *path, size_t max, struct err *err) WARN_UNUSED;

/*
 * From now on the folder that path is in is this open one, whatever becomes of its name, for all
 * functions below. The caller keeps it open; -1 ends that.
 */
void file_pin_folder(const char *path, int folder);

/* Open a folder to read it, the pinned one if that is its path. The caller closes it; -1: errno. */
int file_open_folder(const char *folder) WARN_UNUSED;

/*
 * Is the folder that path is in one where nobody else can write: the effective user's, root's or
 * also's (-1: nobody's), not writable by others, and no symbolic link? 0; or -1 with err, of kind
 * ERR_REFUSED if it is not.
 */
int file_check_folder(const char *path, uid_t also, struct err *err) WARN_UNUSED;

/*
 * file_read of a file that nobody else can have written: what file_check_folder asks holds for its
 * folder and for itself, and it is a regular file with one name. A pipe is not waited for. 0; 1
 * when there is no such file; -1 with err, of kind ERR_REFUSED if somebody else may have written
 * it.
 */
int file_read_own(
    struct buf *out, const char *path, size_t max, uid_t also, struct err *err) WARN_UNUSED;

/*
 * Replace path: a temporary file beside it is written, fsynced and renamed, and the folder fsynced.
 * The new file has the owner, mode, ACLs and other extended attributes of the open file like; with
 * -1 it is the caller's, of mode 0600. 0; or -1 with err (code is the errno). Then path is not
 * changed, unless only the last fsync of the folder failed: a power failure may undo the change.
 */
int file_replace(
    const char *path, const char *data, size_t len, int like, struct err *err) WARN_UNUSED;

/*
 * The same in the open folder, for a name without "/"; whatever becomes of the folder's own name,
 * nothing is written elsewhere. path names it in messages. A signal's number in *stop, before the
 * rename, ends it (err_stopped); NULL: a signal waits.
 */
int file_replace_at(int folder, const char *name, const char *path, const char *data, size_t len,
    int like, const volatile sig_atomic_t *stop, struct err *err) WARN_UNUSED;

/*
 * Write over the open file fd, from its start, and fsync it. 0; or -1 with err, and the file may be
 * half old and half new.
 */
int file_overwrite(
    int fd, const char *path, const char *data, size_t len, struct err *err) WARN_UNUSED;

/* Rename within one folder and fsync it. 0 or -1 with err. */
int file_rename(const char *from, const char *to, struct err *err) WARN_UNUSED;

/* Remove a file and fsync its folder; one that is not there is fine. 0 or -1 with err. */
int file_remove(const char *path, struct err *err) WARN_UNUSED;

/*
 * Lock path.lock (made if need be) against other runs until file_unlock, or the end of the process.
 * 0 with the lock's descriptor in *fd; or -1 with err, ERR_REFUSED if another run has the lock.
 */
int file_lock(int *fd, const char *path, struct err *err) WARN_UNUSED;

/* Release a lock and remove its file. fd may be -1. */
void file_unlock(int fd, const char *path);

#endif
