#include "sys/secret.h"

#include "base/buf.h"
#include "base/err.h"
#include "format/pem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
secret_wipe(struct secret *s)
{
	wipe(s, sizeof(*s));
}

int
secret_add(struct secret *s, const void *data, size_t len, struct err *err)
{
	if (len > SECRET_MAX - s->len)
		return err_set(
		    err, ERR_USAGE, "a secret of more than %d bytes is not taken", SECRET_MAX);
	if (len)
		memcpy(s->data + s->len, data, len);
	s->len += len;
	s->data[s->len] = '\0';
	return 0;
}

/* Read fd to its end into s, one byte more than fits so that "too long" is seen. */
static int
read_all(struct secret *s, int fd, const char *what, const char *path, struct err *err)
{
	char extra[3] = ""; /* the line end of the longest secret */
	size_t over = 0;
	ssize_t n;

	for (;;) {
		size_t room = SECRET_MAX - s->len;

		n = read(
		    fd, room ? s->data + s->len : extra + over, room ? room : sizeof(extra) - over);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_system(err, ERR_USAGE, errno, "%s %s can't be read", what, path);
		if (!n)
			break;
		if (!room) {
			over += (size_t)n;
			if (over < sizeof(extra) &&
			    !strncmp(extra, *extra == '\n' ? "\n" : "\r\n", over))
				continue;
			wipe(extra, sizeof(extra));
			return err_set(err, ERR_USAGE, "%s %s is longer than %d bytes", what, path,
			    SECRET_MAX);
		}
		s->len += (size_t)n;
	}
	s->data[s->len] = '\0';
	return 0;
}

/* Take one line end off, then nothing that could not be typed as one line may be left. */
static int
check_line(struct secret *s, const char *what, const char *path, struct err *err)
{
	if (s->len && s->data[s->len - 1] == '\n') {
		s->data[--s->len] = '\0';
		if (s->len && s->data[s->len - 1] == '\r')
			s->data[--s->len] = '\0';
	}
	if (!s->len)
		return err_set(err, ERR_USAGE, "%s %s is empty", what, path);
	if (memchr(s->data, '\0', s->len) || memchr(s->data, '\n', s->len))
		return err_set(err, ERR_USAGE,
		    "%s %s holds more than one line (or a NUL): the secret alone is wanted in it",
		    what, path);
	return 0;
}

static int
check_mode(int fd, const char *what, const char *path, bool lax, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_system(err, ERR_USAGE, errno, "%s %s", what, path);
	if (S_ISREG(st.st_mode) && (st.st_mode & (S_IRGRP | S_IROTH)) && !lax) {
		err_set(err, ERR_REFUSED,
		    "%s %s can be read by others (mode %03o). Mend it: chmod 600 %s; or say "
		    "--force open-secret.",
		    what, path, (unsigned)(st.st_mode & 0777), path);
		if (err)
			err->name = "open-secret";
		return -1;
	}
	return 0;
}

int
secret_read_file(struct secret *s, const char *path, const char *what, bool lax, struct err *err)
{
	bool is_stdin = !strcmp(path, "-");
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r = -1;

	secret_wipe(s);
	if (fd == -1)
		return err_system(err, ERR_USAGE, errno, "%s %s can't be opened", what, path);
	if ((is_stdin || check_mode(fd, what, path, lax, err) == 0) &&
	    read_all(s, fd, what, is_stdin ? "(standard input)" : path, err) == 0)
		r = check_line(s, what, is_stdin ? "(standard input)" : path, err);
	if (!is_stdin)
		close(fd);
	if (r == -1)
		secret_wipe(s);
	return r;
}

int
secret_take_env(struct secret *s, const char *name, struct err *err)
{
	char *value = getenv(name);
	int r = 0;

	secret_wipe(s);
	if (!value)
		return 0;
	if (strlen(value) > SECRET_MAX)
		r = err_set(err, ERR_USAGE, "$%s is longer than %d bytes", name, SECRET_MAX);
	else if (strchr(value, '\n'))
		r = err_set(err, ERR_USAGE, "$%s holds a line feed", name);
	else
		r = secret_add(s, value, strlen(value), err);
	wipe(value, strlen(value));
	unsetenv(name);
	return r;
}

/* Append the base64 form of in to out. */
static int
add_base64(struct secret *out, const struct secret *in, struct err *err)
{
	struct buf text = { 0 };
	int r;

	base64_encode(in->data, in->len, &text);
	r = text.failed ? err_memory(err) : secret_add(out, text.data, text.len, err);
	buf_free(&text);
	return r;
}

int
secret_basic(struct secret *out, const char *user, const struct secret *password,
    const struct secret *code, struct err *err)
{
	struct secret plain = { 0 };
	int r = -1;

	secret_wipe(out);
	if (secret_add(&plain, user, strlen(user), err) == 0 &&
	    secret_add(&plain, ":", 1, err) == 0 &&
	    secret_add(&plain, password->data, password->len, err) == 0 &&
	    (!code || !code->len ||
		(secret_add(&plain, "$", 1, err) == 0 &&
		    secret_add(&plain, code->data, code->len, err) == 0)) &&
	    secret_add(out, "Basic ", 6, err) == 0)
		r = add_base64(out, &plain, err);
	secret_wipe(&plain);
	if (r == -1)
		secret_wipe(out);
	return r;
}

int
secret_bearer(struct secret *out, const struct secret *key, struct err *err)
{
	size_t i;

	secret_wipe(out);
	for (i = 0; i < key->len; i++) {
		if (key->data[i] <= ' ' || key->data[i] > '~')
			return err_set(err, ERR_USAGE,
			    "the API key holds a blank or a byte that is not ASCII");
	}
	if (secret_add(out, "Bearer ", 7, err) == -1)
		return -1;
	return secret_add(out, key->data, key->len, err);
}
