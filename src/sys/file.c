#include "sys/file.h"

#include "base/buf.h"
#include "base/err.h"
#include "sys/deadline.h"
#include "sys/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { CHUNK = 16384, LOCK_TRIES = 3 };
enum { ATTRIBUTE_MAX = 65536 }; /* longest attribute in Linux, and longest list of names */

int
file_open(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

int
file_read_stream(struct buf *out, int fd, size_t max, const struct deadline *d, const char *what,
    struct err *err)
{
	char chunk[CHUNK], waiting[ERR_TEXT_MAX];
	size_t total = 0;
	ssize_t n;
	int r = 0;

	snprintf(waiting, sizeof(waiting), "reading %s", what);
	while (r == 0) {
		/* Wait first: a pipe that nobody has opened to write reads as if it had ended. */
		if (d && deadline_poll(d, fd, POLLIN, waiting, err) == -1) {
			r = -1;
			break;
		}
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			break;
		if (n == -1 && errno != EINTR && errno != EAGAIN)
			r = err_system(err, ERR_SYSTEM, errno, "%s can't be read", what);
		if (n == -1)
			continue;
		total += (size_t)n;
		if (total > max)
			r = 1;
		else
			buf_add(out, chunk, (size_t)n);
	}
	wipe(chunk, sizeof(chunk));
	return r == 0 && out->failed ? err_memory(err) : r;
}

int
file_read(struct buf *out, const char *path, size_t max, struct err *err)
{
	struct stat st;
	int fd = file_open(path), r;

	if (fd == -1 && errno == ENOENT)
		return 1;
	if (fd == -1)
		return err_system(err, ERR_SYSTEM, errno, "%s can't be read", path);
	if (fstat(fd, &st) == -1)
		r = err_system(err, ERR_SYSTEM, errno, "%s can't be read", path);
	else if (S_ISDIR(st.st_mode))
		r = err_set(err, ERR_SYSTEM, "%s is a folder, not a file", path);
	else
		r = file_read_stream(
		    out, fd, max, S_ISREG(st.st_mode) ? NULL : &until_interrupted, path, err);
	if (r == 1)
		r = err_set(err, ERR_SYSTEM, "%s is longer than %zu bytes", path, max);
	close(fd);
	return r;
}

/* Set folder[PATH_MAX] to the folder that path is in. */
static int
folder_of(char *folder, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	int len = slash ? (int)(slash - path) : 0;

	if (len >= PATH_MAX)
		return err_set(err, ERR_SYSTEM, "%s: the name is too long", path);
	snprintf(folder, PATH_MAX, "%.*s", len ? len : 1, !slash ? "." : len ? path : "/");
	return 0;
}

/* Why somebody else may have written what has this state, or NULL. */
static const char *
why_not_own(const struct stat *st, uid_t also)
{
	if (st->st_uid != geteuid() && st->st_uid != 0 && st->st_uid != also)
		return "belongs to another user";
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return "can be written by other users";
	if (S_ISDIR(st->st_mode))
		return NULL;
	if (!S_ISREG(st->st_mode))
		return "is not a regular file";
	return st->st_nlink != 1 ? "has several names (hard links)" : NULL;
}

/* Open the folder that path is in, if nobody else can write there. The caller closes it; or -1. */
static int
open_own_folder(const char *path, uid_t also, struct err *err)
{
	char folder[PATH_MAX];
	const char *why;
	struct stat st;
	int fd;

	if (folder_of(folder, path, err) == -1)
		return -1;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1 && (errno == ELOOP || errno == ENOTDIR))
		return err_set(err, ERR_REFUSED, "the folder %s is a symbolic link", folder);
	if (fd == -1 || fstat(fd, &st) == -1) {
		err_system(err, ERR_SYSTEM, errno, "the folder %s can't be opened", folder);
		if (fd != -1)
			close(fd);
		return -1;
	}
	why = why_not_own(&st, also);
	if (!why)
		return fd;
	close(fd);
	return err_set(err, ERR_REFUSED, "the folder %s %s (owner %lu, mode %03o)", folder, why,
	    (unsigned long)st.st_uid, (unsigned)(st.st_mode & 0777));
}

int
file_check_folder(const char *path, uid_t also, struct err *err)
{
	int fd = open_own_folder(path, also, err);

	if (fd == -1)
		return -1;
	close(fd);
	return 0;
}

int
file_read_own(struct buf *out, const char *path, size_t max, uid_t also, struct err *err)
{
	const char *base = strrchr(path, '/'), *why;
	int folder = open_own_folder(path, also, err), fd, r, number;
	struct stat st;

	if (folder == -1)
		return -1;
	fd = openat(folder, base ? base + 1 : path,
	    O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	number = errno;
	close(folder);
	if (fd == -1 && number == ENOENT)
		return 1;
	if (fd == -1 && number == ELOOP)
		return err_set(err, ERR_REFUSED, "%s is a symbolic link", path);
	if (fd == -1)
		return err_system(err, ERR_SYSTEM, number, "%s can't be read", path);
	if (fstat(fd, &st) == -1)
		r = err_system(err, ERR_SYSTEM, errno, "%s can't be read", path);
	else if (S_ISDIR(st.st_mode))
		r = err_set(err, ERR_SYSTEM, "%s is a folder, not a file", path);
	else if ((why = why_not_own(&st, also)) != NULL)
		r = err_set(err, ERR_REFUSED, "%s %s (owner %lu, mode %03o)", path, why,
		    (unsigned long)st.st_uid, (unsigned)(st.st_mode & 0777));
	else
		r = file_read_stream(out, fd, max, NULL, path, err);
	if (r == 1)
		r = err_set(err, ERR_SYSTEM, "%s is longer than %zu bytes", path, max);
	close(fd);
	return r;
}

/* fsync the folder that path is in, so that a rename in it lasts. */
static int
sync_folder(const char *path, struct err *err)
{
	char folder[PATH_MAX];
	int fd, r = 0;

	if (folder_of(folder, path, err) == -1)
		return -1;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return err_system(err, ERR_SYSTEM, errno, "the folder %s can't be opened", folder);
	/* Some file systems can't fsync a folder and say EINVAL: nothing more can be done there. */
	if (fsync(fd) == -1 && errno != EINVAL)
		r = err_system(
		    err, ERR_SYSTEM, errno, "the folder %s can't be written to disk", folder);
	close(fd);
	return r;
}

static int
write_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(fd, data, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return fsync(fd);
}

/*
 * Give fd one extended attribute of like's. It may have it already, as a label that the system
 * sets.
 */
static int
copy_attribute(int fd, int like, const char *name)
{
	char value[ATTRIBUTE_MAX], own[ATTRIBUTE_MAX];
	ssize_t n = fgetxattr(like, name, value, sizeof(value)), m;

	if (n == -1)
		return -1;
	m = fgetxattr(fd, name, own, sizeof(own));
	if (m == n && !memcmp(value, own, (size_t)n))
		return 0;
	return fsetxattr(fd, name, value, (size_t)n, 0);
}

/* Give the open file fd the owner, extended attributes and mode of like. 0, or -1 with err. */
static int
copy_metadata(int fd, int like, const char *path, struct err *err)
{
	char names[ATTRIBUTE_MAX];
	struct stat st, own;
	const char *name;
	ssize_t n;

	if (fstat(like, &st) == -1 || fstat(fd, &own) == -1 ||
	    ((own.st_uid != st.st_uid || own.st_gid != st.st_gid) &&
		fchown(fd, st.st_uid, st.st_gid) == -1))
		return err_system(
		    err, ERR_SYSTEM, errno, "%s can't be replaced: its owner can't be kept", path);
	n = flistxattr(like, names, sizeof(names));
	if (n == -1 && errno != ENOTSUP)
		return err_system(err, ERR_SYSTEM, errno,
		    "%s can't be replaced: its extended attributes can't be read", path);
	for (name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
		if (copy_attribute(fd, like, name) == -1)
			return err_system(err, ERR_SYSTEM, errno,
			    "%s can't be replaced: its attribute %s can't be kept", path, name);
	}
	if (fchmod(fd, st.st_mode & 07777) == -1)
		return err_system(
		    err, ERR_SYSTEM, errno, "%s can't be replaced: its mode can't be kept", path);
	return 0;
}

/* What may fail comes first, while path is not changed: also an fsync of the folder. */
static int
fill_temp(int fd, const char *path, const char *data, size_t len, int like, struct err *err)
{
	if (like != -1 && copy_metadata(fd, like, path, err) == -1)
		return -1;
	if (write_all(fd, data, len) == -1)
		return err_system(err, ERR_SYSTEM, errno, "%s can't be written", path);
	return sync_folder(path, err);
}

int
file_replace(const char *path, const char *data, size_t len, int like, struct err *err)
{
	char temp[PATH_MAX];
	int fd, failed, number;

	if (snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= (int)sizeof(temp))
		return err_set(err, ERR_SYSTEM, "%s: the name is too long", path);
	fd = mkostemp(temp, O_CLOEXEC); /* mode 0600 */
	if (fd == -1)
		return err_system(err, ERR_SYSTEM, errno,
		    "%s can't be written: no new file can be made in its folder", path);
	failed = fill_temp(fd, path, data, len, like, err);
	if (close(fd) == 0 && !failed && rename(temp, path) == 0)
		return sync_folder(path, err);
	number = errno;
	unlink(temp);
	return failed ? -1 : err_system(err, ERR_SYSTEM, number, "%s can't be replaced", path);
}

int
file_overwrite(int fd, const char *path, const char *data, size_t len, struct err *err)
{
	if (lseek(fd, 0, SEEK_SET) == 0 && write_all(fd, data, len) == 0 &&
	    ftruncate(fd, (off_t)len) == 0 && fsync(fd) == 0)
		return 0;
	return err_system(err, ERR_SYSTEM, errno, "%s can't be written", path);
}

int
file_rename(const char *from, const char *to, struct err *err)
{
	if (rename(from, to) == -1)
		return err_system(err, ERR_SYSTEM, errno, "%s can't be renamed to %s", from, to);
	return sync_folder(to, err);
}

int
file_remove(const char *path, struct err *err)
{
	if (unlink(path) == -1)
		return errno == ENOENT
		    ? 0
		    : err_system(err, ERR_SYSTEM, errno, "%s can't be removed", path);
	return sync_folder(path, err);
}

/* Is fd still the file of that name? Another run may have removed it between open and lock. */
static bool
still_named(int fd, const char *name)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(name, &b) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino;
}

int
file_lock(int *fd, const char *path, struct err *err)
{
	char name[PATH_MAX];
	int i, number;

	*fd = -1;
	if (snprintf(name, sizeof(name), "%s.lock", path) >= (int)sizeof(name))
		return err_set(err, ERR_SYSTEM, "%s: the name is too long", path);
	for (i = 0; i < LOCK_TRIES; i++) {
		*fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
		if (*fd == -1)
			return err_system(err, ERR_SYSTEM, errno,
			    "the snapshot can't be kept there (name another folder with "
			    "--snapshot-dir): %s",
			    name);
		if (flock(*fd, LOCK_EX | LOCK_NB) == -1) {
			number = errno;
			close(*fd);
			*fd = -1;
			if (number != EWOULDBLOCK)
				return err_system(
				    err, ERR_SYSTEM, number, "%s can't be locked", name);
			return err_set(err, ERR_REFUSED,
			    "another run of stalprep is using %s. Wait until it ends, look at "
			    "status, then run this again",
			    path);
		}
		if (still_named(*fd, name))
			return 0;
		close(*fd);
		*fd = -1;
	}
	return err_set(err, ERR_REFUSED, "other runs of stalprep are using %s", path);
}

void
file_unlock(int fd, const char *path)
{
	char name[PATH_MAX];

	if (fd == -1)
		return;
	if (snprintf(name, sizeof(name), "%s.lock", path) < (int)sizeof(name))
		unlink(name);
	close(fd);
}
