#include "sys/secret.h"

#include "base/buf.h"
#include "base/err.h"
#include "format/pem.h"
#include "sys/file.h"
#include "sys/interrupt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_END_MAX = 2 };

void
secret_wipe(struct secret *s)
{
	wipe(s, sizeof(*s));
}

int
secret_add(struct secret *s, const void *data, size_t len, struct err *err)
{
	if (len > SECRET_MAX - s->len)
		return err_set(err, ERR_USAGE, "the secret is longer than %d bytes", SECRET_MAX);
	if (len)
		memcpy(s->data + s->len, data, len);
	s->len += len;
	s->data[s->len] = '\0';
	return 0;
}

/* Make a secret of the text, without its line end. It must be one line. */
static int
parse_secret(struct secret *s, const struct buf *text, const char *name, struct err *err)
{
	size_t len = text->len;

	if (len && text->data[len - 1] == '\n')
		len--;
	if (len && len < text->len && text->data[len - 1] == '\r')
		len--;
	if (!len)
		return err_set(err, ERR_USAGE, "%s is empty", name);
	if (len > SECRET_MAX)
		return err_set(err, ERR_USAGE, "%s is longer than %d bytes", name, SECRET_MAX);
	if (memchr(text->data, '\0', len) || memchr(text->data, '\n', len))
		return err_set(err, ERR_USAGE,
		    "%s holds more than one line (or a NUL); it must hold the secret only", name);
	return secret_add(s, text->data, len, err);
}

static int
check_mode(int fd, const char *name, const char *path, bool lax, struct err *err)
{
	struct stat st;
	bool reads, writes;

	if (fstat(fd, &st) == -1)
		return err_system(err, ERR_USAGE, errno, "%s can't be read", name);
	reads = st.st_mode & (S_IRGRP | S_IROTH);
	writes = st.st_mode & (S_IWGRP | S_IWOTH);
	if (!S_ISREG(st.st_mode) || lax || (!reads && !writes))
		return 0;
	return err_refuse(err, REFUSAL_OPEN_SECRET,
	    "%s can be %s by others (mode %03o). Fix: chmod 600 %s.", name,
	    !writes     ? "read"
		: reads ? "read and written"
			: "written",
	    (unsigned)(st.st_mode & 0777), path);
}

int
secret_read_file(struct secret *s, const char *path, const char *what, bool lax, struct err *err)
{
	bool is_stdin = !strcmp(path, "-");
	int fd = is_stdin ? STDIN_FILENO : file_open(path), r;
	struct buf text = { 0 };
	char name[ERR_TEXT_MAX];
	struct stat st;

	secret_wipe(s);
	snprintf(name, sizeof(name), "%s %s", what, is_stdin ? "(standard input)" : path);
	if (fd == -1)
		return err_system(err, ERR_USAGE, errno, "%s can't be opened", name);
	if (is_stdin && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(err, ERR_USAGE,
		    "%s is closed, so there is nothing to read. Give the secret there, or name a "
		    "file.",
		    name);
	r = is_stdin ? 0 : check_mode(fd, name, path, lax, err);
	if (r == 0)
		r = file_read_stream(
		    &text, fd, SECRET_MAX + LINE_END_MAX, &until_interrupted, name, err);
	if (r == 0)
		r = parse_secret(s, &text, name, err);
	else if (r == 1)
		r = err_set(err, ERR_USAGE, "%s is longer than %d bytes", name, SECRET_MAX);
	else if (err && err->kind == ERR_SYSTEM && err->code != ENOMEM)
		err->kind = ERR_USAGE; /* another file can be named */
	buf_free(&text);
	if (!is_stdin)
		close(fd);
	return r;
}

void
secret_forget_env(const char *name)
{
	char *value = getenv(name);

	if (value)
		wipe(value, strlen(value));
	unsetenv(name);
}

int
secret_take_env(struct secret *s, const char *name, struct err *err)
{
	const char *value = getenv(name);
	int r = 0;

	secret_wipe(s);
	if (!value)
		return 0;
	if (!*value)
		r = 1;
	else if (strlen(value) > SECRET_MAX)
		r = err_set(err, ERR_USAGE, "$%s is longer than %d bytes", name, SECRET_MAX);
	else if (strchr(value, '\n'))
		r = err_set(err, ERR_USAGE, "$%s holds a line feed", name);
	else
		r = secret_add(s, value, strlen(value), err);
	secret_forget_env(name);
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
