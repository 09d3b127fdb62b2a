#include "sys/configfile.h"

#include "base/err.h"
#include "format/toml.h"
#include "sys/file.h"
#include "sys/interrupt.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { CHUNK = 65536, LINKS_MAX = 40 };
enum { PROC_FS = 0x9fa0, SYS_FS = 0x62656572 }; /* statfs(2) */

static const char BACKUP[] = ".stalprep-backup";

bool
configfile_is_stream(const char *name)
{
	return !strcmp(name, "-");
}

/* ---- finding it ---- */

/* Open the folder that name is in, from the folder `at`. f->base is its last part. -1 with errno.
 */
static int
open_folder_of(struct configfile *f, int at, const char *name)
{
	const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
	char folder[PATH_MAX];

	if (strlen(name) >= sizeof(folder) || strlen(base) >= sizeof(f->base)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	snprintf(
	    folder, sizeof(folder), "%.*s", slash ? (int)(base - name) : 1, slash ? name : ".");
	memcpy(f->base, *base ? base : ".", *base ? strlen(base) + 1 : 2);
	return openat(at, folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Follow the links of the last part ourselves, so that the folder of the file itself is open. */
static int
follow(struct configfile *f, const char *name)
{
	int at = AT_FDCWD, number, i;
	char link[PATH_MAX];
	ssize_t n;

	for (i = 0; i < LINKS_MAX; i++) {
		f->folder = open_folder_of(f, at, name);
		f->found = f->folder != -1;
		number = errno;
		if (at != AT_FDCWD)
			close(at);
		errno = number;
		if (!f->found)
			return -1;
		n = readlinkat(f->folder, f->base, link, sizeof(link) - 1);
		if (n == -1) /* EINVAL: it is no link */
			return errno == EINVAL
			    ? fstatat(f->folder, f->base, &f->st, AT_SYMLINK_NOFOLLOW)
			    : -1;
		link[n] = '\0';
		name = link;
		at = f->folder;
	}
	errno = ELOOP;
	return -1;
}

static int
no_config(const struct configfile *f, const char *why, struct err *err)
{
	return err_set(err, ERR_REFUSED, "%s is not a server's config.toml: %s", f->name, why);
}

/* Refuse what is no plain file. */
static int
check_kind(const struct configfile *f, const struct stat *st, struct err *err)
{
	const char *what = S_ISDIR(st->st_mode) ? "it is a folder. Name the file in it."
	    : S_ISFIFO(st->st_mode) && !f->read_only
	    ? "it is a pipe (FIFO), which can't be replaced. Give its text to --config - instead."
	    : S_ISFIFO(st->st_mode)
	    ? "it is a pipe (FIFO). Name the file that the server reads when it starts."
	    : S_ISSOCK(st->st_mode)
	    ? "it is a socket. Name the file that the server reads when it starts."
	    : !S_ISREG(st->st_mode) ? "it is a device. Mount the disk, and name the file on it."
	    : !st->st_nlink ? "it has no name any more, because it was deleted while it was open. "
			      "Name the file that the server will read."
			    : NULL;
	struct statfs fs;

	if (!what && f->found && fstatfs(f->folder, &fs) == 0 &&
	    (fs.f_type == PROC_FS || fs.f_type == SYS_FS))
		what = "it is one of the kernel's own files, not one on a disk. Name the file that "
		       "the server reads when it starts.";
	return what ? no_config(f, what, err) : 0;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int
configfile_find(struct configfile *f, const char *name, struct err *err)
{
	struct stat there;
	int number, r;

	f->name = name;
	if (configfile_is_stream(name))
		return 0;
	if (follow(f, name) == -1) {
		number = errno;
		/* such as /dev/fd/63: there is something, but not in a folder */
		r = stat(name, &there);
		if (r == 0 && f->read_only && S_ISFIFO(there.st_mode)) {
			f->fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
			f->open = f->fd != -1;
			if (f->open)
				return 0;
		}
		if (r == 0 && check_kind(f, &there, err) == -1)
			return -1;
		return err_system(err, ERR_SYSTEM, number, "%s can't be read", name);
	}
	if (check_kind(f, &f->st, err) == -1)
		return -1;
	/* Through a link of /proc the file's own path may lead to another one. */
	if (!realpath(name, f->path) || stat(f->path, &there) == -1 || !same_file(&there, &f->st))
		snprintf(f->path, sizeof(f->path), "%s", *name == '/' ? name : "");
	if (stat(f->path, &there) == 0 && same_file(&there, &f->st)) {
		if (!f->read_only)
			file_pin_folder(f->path, f->folder);
		return 0;
	}
	return err_set(err, ERR_REFUSED,
	    "the way to %s leads now to one file and now to another: somebody renames folders or "
	    "links on it. Look who can write there, then run this again",
	    name);
}

uid_t
configfile_owner(const struct configfile *f)
{
	struct stat st;

	return f->found && fstatat(f->folder, f->base, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_uid
										      : (uid_t)-1;
}

uid_t
configfile_folder_owner(const struct configfile *f)
{
	struct stat st;

	return f->found && fstat(f->folder, &st) == 0 ? st.st_uid : (uid_t)-1;
}

/* ---- reading it ---- */

static int
open_file(struct configfile *f, struct err *err)
{
	struct stat opened;

	if (f->open)
		return 0;
	if (configfile_is_stream(f->name)) {
		f->fd = STDIN_FILENO;
		return fstat(f->fd, &f->st) == -1
		    ? err_system(err, ERR_SYSTEM, errno, "standard input can't be read")
		    : 0;
	}
	f->fd = openat(
	    f->folder, f->base, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	if (f->fd == -1)
		return err_system(err, ERR_SYSTEM, errno, "%s can't be read", f->name);
	f->open = true;
	if (fstat(f->fd, &opened) == -1)
		return err_system(err, ERR_SYSTEM, errno, "%s can't be read", f->name);
	/* f->st stays what a look by name saw: some emulators' fstat tells no nanoseconds. */
	if (!same_file(&f->st, &opened))
		return err_set(err, ERR_REFUSED,
		    "somebody else has replaced %s since it was found: run this again", f->name);
	return check_kind(f, &opened, err);
}

int
configfile_read(struct configfile *f, struct err *err)
{
	bool stream = configfile_is_stream(f->name);
	int r;

	if (open_file(f, err) == -1)
		return -1;
	if (S_ISREG(f->st.st_mode) && f->st.st_size <= TOML_TEXT_MAX)
		buf_reserve(&f->text, (size_t)f->st.st_size + 1);
	r = file_read_stream(&f->text, f->fd, TOML_TEXT_MAX, &until_interrupted,
	    stream ? "standard input" : f->name, err);
	if (r == 1)
		return no_config(f, "it is longer than 64 MiB", err);
	return r || f->text.len || f->read_only ? r : no_config(f, "it is empty", err);
}

const char *
configfile_guess(const struct buf *text)
{
	const char *s = buf_text(text) ? buf_text(text) : "";
	size_t n;

	s += strspn(s, " \t\r\n");
	if (*s == '{')
		return "It is JSON, as servers from 0.16 on have, which need no change. Name the "
		       "config.toml of an older server.";
	while (*s == '#') {
		s += strcspn(s, "\n");
		s += strspn(s, " \t\r\n");
	}
	for (n = 0; isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '-'; n++)
		;
	if (!strncmp(s, "---", 3) || (n && s[n] == ':' && strchr(" \r\n", s[n + 1])))
		return "It is YAML, which the server does not read. Name the config.toml that it "
		       "reads when it starts.";
	return NULL;
}

/* ---- writing it ---- */

/* Did somebody change or replace it since it was read? Does its path lead elsewhere now? */
static int
check_same(const struct configfile *f, struct err *err)
{
	struct stat now, there;

	if (fstatat(f->folder, f->base, &now, AT_SYMLINK_NOFOLLOW) == -1 ||
	    stat(f->path, &there) == -1)
		return err_system(err, ERR_SYSTEM, errno, "%s can't be found any more", f->name);
	if (!same_file(&now, &f->st) || !same_file(&there, &f->st) ||
	    now.st_size != f->st.st_size || now.st_mtim.tv_sec != f->st.st_mtim.tv_sec ||
	    now.st_mtim.tv_nsec != f->st.st_mtim.tv_nsec)
		return err_set(err, ERR_REFUSED,
		    "somebody else has changed %s since it was read: run this again", f->name);
	return 0;
}

/* Does this name in the folder hold the text? Then *st is of the file that was read. */
static bool
holds(const struct configfile *f, const char *base, const struct buf *text, struct stat *st)
{
	int fd = openat(f->folder, base, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	char chunk[CHUNK];
	size_t at = 0;
	ssize_t n;

	if (fd == -1)
		return false;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0 || (n == -1 && errno == EINTR)) {
		if (n == -1)
			continue;
		if ((size_t)n > text->len - at || memcmp(chunk, text->data + at, (size_t)n) != 0)
			break;
		at += (size_t)n;
	}
	n = fstat(fd, st) == -1 ? -1 : n;
	close(fd);
	wipe(chunk, sizeof(chunk));
	return n == 0 && at == text->len;
}

bool
configfile_holds(const struct configfile *f, const struct buf *text)
{
	struct stat read, there;

	return holds(f, f->base, text, &read) && stat(f->path, &there) == 0 &&
	    same_file(&read, &there);
}

bool
configfile_backup(const struct configfile *f, char path[PATH_MAX])
{
	char base[sizeof(f->base) + sizeof(BACKUP)];
	struct stat there;

	snprintf(base, sizeof(base), "%s%s", f->base, BACKUP);
	return snprintf(path, PATH_MAX, "%s%s", f->path, BACKUP) < PATH_MAX && f->found &&
	    fstatat(f->folder, base, &there, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * Write the text over the open file. If that fails, as on a full disk, the old text still fits.
 */
static int
overwrite(struct configfile *f, int fd, const struct buf *text, const char *backup, bool *torn,
    struct err *err)
{
	struct stat ignored;
	struct err why;

	if (file_overwrite(fd, f->path, text->data, text->len, err) == 0)
		return 0;
	*torn = file_overwrite(fd, f->path, f->text.data, f->text.len, &why) == -1 &&
	    !holds(f, f->base, &f->text, &ignored);
	if (*torn)
		err_add(err,
		    "and may be half old, half new. The old text is in %s: copy it back before the "
		    "server starts",
		    backup);
	else
		err_add(err, "(its old text was written back)");
	return -1;
}

/* Write over it, with the old text beside it until the new one is proved. */
static int
write_over(struct configfile *f, const struct buf *text, bool *torn, struct err *err)
{
	char path[PATH_MAX], base[sizeof(f->base) + sizeof(BACKUP)];
	bool there = configfile_backup(f, path);
	struct stat st;
	int fd, r;

	snprintf(base, sizeof(base), "%s%s", f->base, BACKUP);
	if (there && !holds(f, base, &f->text, &st))
		return err_set(err, ERR_REFUSED,
		    "%s is there already, and differs from the file. A run that was cut off may "
		    "have left it: if %s is damaged, copy it back; then move it away",
		    path, f->name);
	fd = openat(f->folder, f->base, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	if (fd == -1)
		return err_system(err, ERR_SYSTEM, errno, "%s can't be written", f->name);
	r = fstat(fd, &st) == 0 && same_file(&st, &f->st)
	    ? 0
	    : err_set(err, ERR_REFUSED,
		  "somebody else has replaced %s since it was read: run this again", f->name);
	if (r == 0)
		r = file_replace_at(
		    f->folder, base, path, f->text.data, f->text.len, -1, &interrupt_signal, err);
	if (r == 0) {
		r = overwrite(f, fd, text, path, torn, err);
		if (!*torn && holds(f, f->base, r == 0 ? text : &f->text, &st))
			unlinkat(f->folder, base, 0);
	}
	close(fd);
	return r;
}

static int
refuse_place(struct err *err)
{
	err->kind = ERR_REFUSED;
	err->refusal = REFUSAL_IN_PLACE;
	err_end(err);
	err_add(err,
	    "It can only be written over in place, with a copy of it beside it until that is "
	    "done.");
	return -1;
}

/* The number of the mount that it is on; -1: not known. */
static int
mount_of(int fd)
{
	struct file_handle no_room = { 0 };
	int number = -1;

	(void)name_to_handle_at(fd, "", &no_room, &number, AT_EMPTY_PATH);
	return number;
}

int
configfile_check_place(const struct configfile *f, struct err *err)
{
	if (f->st.st_nlink > 1)
		err_set(err, ERR_REFUSED,
		    "%s has %lu names (hard links), and the others would keep the old text if it "
		    "were replaced",
		    f->name, (unsigned long)f->st.st_nlink);
	else if (mount_of(f->folder) != mount_of(f->fd)) /* as files of containers are */
		(void)err_system(err, ERR_SYSTEM, EBUSY, "%s is mounted by itself", f->name);
	else
		return 0;
	return refuse_place(err);
}

int
configfile_write(
    struct configfile *f, const struct buf *text, bool in_place, bool *torn, struct err *err)
{
	*torn = false;
	if (!text->len)
		return err_set(err, ERR_SYSTEM, "%s would be emptied", f->name);
	if (check_same(f, err) == -1)
		return -1;
	if (configfile_check_place(f, err) == 0) {
		if (file_replace_at(f->folder, f->base, f->path, text->data, text->len, f->fd,
			&interrupt_signal, err) == 0)
			return 0;
		if (err->kind != ERR_SYSTEM ||
		    (err->code != EBUSY && err->code != EXDEV && err->code != EPERM))
			return -1;
		err_add(err, "(as with a file that is mounted by itself, or of another owner)");
		refuse_place(err);
	}
	return in_place ? write_over(f, text, torn, err) : -1;
}

bool
configfile_is_read_only(const struct configfile *f)
{
	struct statfs fs;

	return f->open && fstatfs(f->fd, &fs) == 0 && fs.f_flags & ST_RDONLY;
}

void
configfile_free(struct configfile *f)
{
	buf_free(&f->text);
	if (f->open)
		close(f->fd);
	if (f->found) {
		if (!f->read_only)
			file_pin_folder(f->path, -1);
		close(f->folder);
	}
	f->open = f->found = false;
}
