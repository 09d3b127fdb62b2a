#include "sys/configfile.h"

#include "base/err.h"
#include "format/toml.h"
#include "sys/file.h"
#include "sys/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 65536 };

bool
configfile_is_stream(const char *name)
{
	return !strcmp(name, "-");
}

int
configfile_find(struct configfile *f, const char *name, struct err *err)
{
	f->name = name;
	if (configfile_is_stream(name))
		return 0;
	if (!realpath(name, f->path))
		return err_system(err, ERR_SYSTEM, errno, "%s can't be read", name);
	return 0;
}

uid_t
configfile_owner(const struct configfile *f)
{
	struct stat st;

	return f->path[0] && stat(f->path, &st) == 0 ? st.st_uid : (uid_t)-1;
}

static int
no_config(const struct configfile *f, const char *why, struct err *err)
{
	return err_set(err, ERR_REFUSED, "%s is not a server's config.toml: %s", f->name, why);
}

static int
open_file(struct configfile *f, struct err *err)
{
	if (configfile_is_stream(f->name)) {
		f->fd = STDIN_FILENO;
		return 0;
	}
	f->fd = file_open(f->path);
	if (f->fd == -1)
		return err_system(err, ERR_SYSTEM, errno, "%s can't be read", f->name);
	f->open = true;
	if (fstat(f->fd, &f->st) == -1)
		return err_system(err, ERR_SYSTEM, errno, "%s can't be read", f->name);
	if (!S_ISREG(f->st.st_mode))
		return no_config(
		    f, S_ISDIR(f->st.st_mode) ? "it is a folder" : "it is not a plain file", err);
	return 0;
}

int
configfile_read(struct configfile *f, struct err *err)
{
	bool stream = configfile_is_stream(f->name);
	int r;

	if (open_file(f, err) == -1)
		return -1;
	r = file_read_stream(&f->text, f->fd, TOML_TEXT_MAX, &until_interrupted,
	    stream ? "standard input" : f->name, err);
	if (r == 1)
		return no_config(f, "it is longer than 64 MiB", err);
	return r || f->text.len ? r : no_config(f, "it is empty", err);
}

/* Did somebody change or replace it since it was read? */
static int
check_same(const struct configfile *f, struct err *err)
{
	struct stat now;

	if (stat(f->path, &now) == -1)
		return err_system(err, ERR_SYSTEM, errno, "%s can't be found any more", f->name);
	if (now.st_dev != f->st.st_dev || now.st_ino != f->st.st_ino ||
	    now.st_size != f->st.st_size || now.st_mtim.tv_sec != f->st.st_mtim.tv_sec ||
	    now.st_mtim.tv_nsec != f->st.st_mtim.tv_nsec)
		return err_set(err, ERR_REFUSED,
		    "somebody else has changed %s since it was read: run this again", f->name);
	return 0;
}

bool
configfile_backup(const struct configfile *f, char name[PATH_MAX])
{
	struct stat there;

	return snprintf(name, PATH_MAX, "%s.stalprep-backup", f->path) < PATH_MAX && f->path[0] &&
	    lstat(name, &there) == 0;
}

/* Write over it, with the old text beside it until that is done, and after it. */
static int
write_over(struct configfile *f, const struct buf *text, bool *torn, struct err *err)
{
	char backup[PATH_MAX];
	struct stat there;
	int fd, r;

	if (configfile_backup(f, backup))
		return err_set(err, ERR_REFUSED, "%s is there already: move it away first", backup);
	fd = open(f->path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return err_system(err, ERR_SYSTEM, errno, "%s can't be written", f->name);
	r = fstat(fd, &there) == 0 && there.st_dev == f->st.st_dev && there.st_ino == f->st.st_ino
	    ? 0
	    : err_set(err, ERR_REFUSED,
		  "somebody else has replaced %s since it was read: run this again", f->name);
	if (r == 0)
		r = file_replace(backup, f->text.data, f->text.len, f->fd, err);
	if (r == 0 && file_overwrite(fd, f->path, text->data, text->len, err) == -1) {
		*torn = true;
		err_add(err,
		    "and may be half old, half new. The old text is in %s: copy it back before the "
		    "server starts",
		    backup);
		r = -1;
	}
	close(fd);
	return r;
}

int
configfile_write(
    struct configfile *f, const struct buf *text, bool in_place, bool *torn, struct err *err)
{
	static const char way_out[] =
	    "It can only be written over in place, with a copy of it beside it.";

	*torn = false;
	if (!text->len)
		return err_set(err, ERR_SYSTEM, "%s would be emptied", f->name);
	if (check_same(f, err) == -1)
		return -1;
	if (f->st.st_nlink > 1 && !in_place) {
		err_set(err, ERR_REFUSED,
		    "%s has %lu names (hard links), and the others would keep the old text if it "
		    "were replaced. %s",
		    f->name, (unsigned long)f->st.st_nlink, way_out);
	} else if (f->st.st_nlink == 1) {
		if (file_replace(f->path, text->data, text->len, f->fd, err) == 0)
			return 0;
		if (err->code != EBUSY && err->code != EXDEV && err->code != EPERM)
			return -1;
		if (!in_place) {
			err->kind = ERR_REFUSED;
			err_add(err,
			    "(as with a file that is mounted by itself, or of another owner). %s",
			    way_out);
		}
	}
	if (in_place)
		return write_over(f, text, torn, err);
	err->refusal = REFUSAL_IN_PLACE;
	return -1;
}

bool
configfile_holds(const struct configfile *f, const struct buf *text)
{
	int fd = file_open(f->path);
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
	close(fd);
	wipe(chunk, sizeof(chunk));
	return n == 0 && at == text->len;
}

bool
configfile_is_read_only(const struct configfile *f)
{
	return f->path[0] && access(f->path, W_OK) == -1 && errno == EROFS;
}

void
configfile_free(struct configfile *f)
{
	buf_free(&f->text);
	if (f->open)
		close(f->fd);
	f->open = false;
}
