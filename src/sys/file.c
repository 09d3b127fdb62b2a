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
#include <time.h>
#include <unistd.h>

enum {
	CHUNK = 16384,
	WRITE_MAX = 1024 * 1024, /* bytes that are written before a signal is looked for */
	LOCK_TRIES = 3,
	NAME_TRIES = 100 /* names of a temporary file, if others are there */
};
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

/* The folder that file_pin_folder named. */
static char pinned_path[PATH_MAX];
static int pinned = -1;

void
file_pin_folder(const char *path, int folder)
{
	pinned = folder_of(pinned_path, path, NULL) == 0 ? folder : -1;
}

/* Open the folder that path is in, with these flags. The caller closes it; -1 with errno. */
static int
open_folder_as(const char *folder, int flags)
{
	flags |= O_DIRECTORY | O_CLOEXEC;
	return pinned != -1 && !strcmp(folder, pinned_path) ? openat(pinned, ".", flags)
							    : open(folder, flags);
}

int
file_open_folder(const char *folder)
{
	return open_folder_as(folder, O_RDONLY);
}

/* The same, links followed, for any use but reading; -1 with err. */
static int
open_folder(const char *path, struct err *err)
{
	char folder[PATH_MAX];
	int fd;

	if (folder_of(folder, path, err) == -1)
		return -1;
	fd = open_folder_as(folder, O_PATH);
	if (fd == -1)
		err_system(err, ERR_SYSTEM, errno, "the folder of %s can't be opened", path);
	return fd;
}

/* Its name in that folder. */
static const char *
base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
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
	fd = open_folder_as(folder, O_RDONLY | O_NOFOLLOW);
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
	const char *why;
	int folder, fd, r, number;
	struct stat st;

	folder = open_folder(path, err);
	if (folder == -1)
		return -1;
	r = fstatat(folder, base_of(path), &st, AT_SYMLINK_NOFOLLOW);
	number = errno;
	close(folder);
	if (r == -1 && number == ENOENT)
		return 1; /* whoever the folder belongs to */
	folder = open_own_folder(path, also, err);
	if (folder == -1)
		return -1;
	fd = openat(
	    folder, base_of(path), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	number = errno;
	close(folder);
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

/* fsync an open folder (O_PATH will do), so that a rename in it lasts. path is in it. */
static int
sync_open_folder(int folder, const char *path, struct err *err)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

	if (fd == -1)
		return err_system(err, ERR_SYSTEM, errno, "the folder of %s can't be opened", path);
	/* Some file systems can't fsync a folder and say EINVAL: nothing more can be done there. */
	if (fsync(fd) == -1 && errno != EINVAL)
		r = err_system(
		    err, ERR_SYSTEM, errno, "the folder of %s can't be written to disk", path);
	close(fd);
	return r;
}

/* 0 or -1 with errno: EINTR where *stop asked for it. */
static int
write_all(int fd, const char *data, size_t len, const volatile sig_atomic_t *stop)
{
	ssize_t n;

	while (len) {
		if (stop && *stop) {
			errno = EINTR;
			return -1;
		}
		n = write(fd, data, len < WRITE_MAX ? len : WRITE_MAX);
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

/* A temporary file beside name, with mode 0600 and a name that nothing has. -1 with errno. */
static int
make_temp(int folder, const char *name, char *temp)
{
	static unsigned last;
	struct timespec now;
	int i, fd;

	/* Who guesses the next name can only make it fail: it must not be there. */
	clock_gettime(CLOCK_REALTIME, &now);
	last += (unsigned)now.tv_nsec ^ (unsigned)getpid();
	for (i = 0; i < NAME_TRIES; i++) {
		last = last * 1103515245 + 12345;
		snprintf(temp, NAME_MAX + 1, "%s.%06x", name, last >> 8);
		fd = openat(folder, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd != -1 || errno != EEXIST)
			return fd;
	}
	return -1;
}

/* What may fail comes first, while path is not changed: also an fsync of the folder. */
static int
fill_temp(int fd, int folder, const char *path, const char *data, size_t len, int like,
    const volatile sig_atomic_t *stop, struct err *err)
{
	if (like != -1 && copy_metadata(fd, like, path, err) == -1)
		return -1;
	if (like == -1 && fchmod(fd, 0600) == -1) /* whatever the umask is */
		return err_system(err, ERR_SYSTEM, errno, "%s can't be written", path);
	if (write_all(fd, data, len, stop) == -1)
		return stop && *stop
		    ? err_stopped(err, (int)*stop)
		    : err_system(err, ERR_SYSTEM, errno, "%s can't be written", path);
	return sync_open_folder(folder, path, err);
}

int
file_replace_at(int folder, const char *name, const char *path, const char *data, size_t len,
    int like, const volatile sig_atomic_t *stop, struct err *err)
{
	char temp[NAME_MAX + 1];
	int fd, failed, number;

	if (strlen(name) + FILE_TEMP_MAX > sizeof(temp))
		return err_set(err, ERR_SYSTEM, "%s: the name is too long", path);
	fd = make_temp(folder, name, temp);
	if (fd == -1)
		return err_system(err, ERR_SYSTEM, errno,
		    "%s can't be written: no new file can be made in its folder", path);
	failed = fill_temp(fd, folder, path, data, len, like, stop, err);
	if (close(fd) == 0 && !failed && renameat(folder, temp, folder, name) == 0)
		return sync_open_folder(folder, path, err);
	number = errno;
	unlinkat(folder, temp, 0);
	return failed ? -1 : err_system(err, ERR_SYSTEM, number, "%s can't be replaced", path);
}

int
file_replace(const char *path, const char *data, size_t len, int like, struct err *err)
{
	int folder = open_folder(path, err), r;

	if (folder == -1)
		return -1;
	r = file_replace_at(folder, base_of(path), path, data, len, like, NULL, err);
	close(folder);
	return r;
}

int
file_overwrite(int fd, const char *path, const char *data, size_t len, struct err *err)
{
	if (lseek(fd, 0, SEEK_SET) == 0 && write_all(fd, data, len, NULL) == 0 &&
	    ftruncate(fd, (off_t)len) == 0 && fsync(fd) == 0)
		return 0;
	return err_system(err, ERR_SYSTEM, errno, "%s can't be written", path);
}

int
file_rename(const char *from, const char *to, struct err *err)
{
	int folder = open_folder(to, err), r;

	if (folder == -1)
		return -1;
	r = renameat(folder, base_of(from), folder, base_of(to)) == -1
	    ? err_system(err, ERR_SYSTEM, errno, "%s can't be renamed to %s", from, to)
	    : sync_open_folder(folder, to, err);
	close(folder);
	return r;
}

int
file_remove(const char *path, struct err *err)
{
	int folder = open_folder(path, err), r = 0;

	if (folder == -1)
		return -1;
	if (unlinkat(folder, base_of(path), 0) == 0)
		r = sync_open_folder(folder, path, err);
	else if (errno != ENOENT)
		r = err_system(err, ERR_SYSTEM, errno, "%s can't be removed", path);
	close(folder);
	return r;
}

/* Is fd still the file of that name? Another run may have removed it between open and lock. */
static bool
still_named(int fd, int folder, const char *name)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(folder, name, &b, 0) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino;
}

/* One try. 0; 1 when the file was removed meanwhile; or -1. */
static int
try_lock(int *fd, int folder, const char *name, const char *path, struct err *err)
{
	int number;

	*fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (*fd == -1)
		return err_system(err, ERR_SYSTEM, errno,
		    "the snapshot can't be kept there (name another folder with --snapshot-dir): "
		    "%s.lock",
		    path);
	(void)fchmod(*fd, 0600); /* whatever the umask is */
	number = flock(*fd, LOCK_EX | LOCK_NB) == -1 ? errno : 0;
	if (!number && still_named(*fd, folder, name))
		return 0;
	close(*fd);
	*fd = -1;
	if (!number)
		return 1;
	if (number != EWOULDBLOCK) {
		unlinkat(folder, name, 0);
		return err_system(err, ERR_SYSTEM, number,
		    "no file can be locked in the folder of %s, and without a lock two runs could "
		    "spoil it (name another folder with --snapshot-dir)",
		    path);
	}
	return err_set(err, ERR_REFUSED,
	    "another run of stalprep is using %s. Wait until it ends, look at status, then run "
	    "this again",
	    path);
}

int
file_lock(int *fd, const char *path, struct err *err)
{
	char name[NAME_MAX + 1];
	int folder, r = 1, i;

	*fd = -1;
	if (snprintf(name, sizeof(name), "%s.lock", base_of(path)) >= (int)sizeof(name))
		return err_set(err, ERR_SYSTEM, "%s: the name is too long", path);
	folder = open_folder(path, err);
	if (folder == -1)
		return -1;
	for (i = 0; i < LOCK_TRIES && r == 1; i++)
		r = try_lock(fd, folder, name, path, err);
	close(folder);
	return r == 1 ? err_set(err, ERR_REFUSED, "other runs of stalprep are using %s", path) : r;
}

void
file_unlock(int fd, const char *path)
{
	char name[NAME_MAX + 1];
	int folder;

	if (fd == -1)
		return;
	folder = open_folder(path, NULL);
	if (folder != -1) {
		if (snprintf(name, sizeof(name), "%s.lock", base_of(path)) < (int)sizeof(name))
			unlinkat(folder, name, 0);
		close(folder);
	}
	close(fd);
}
