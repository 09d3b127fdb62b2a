/* secret.h - a password or key: one owner, wiped when done */
#ifndef SECRET_H
#define SECRET_H

#include "base/def.h"

#include <stdbool.h>

struct err;

enum { SECRET_MAX = 4096 };            /* longest secret in bytes */
#define SECRET_ENV "STALPREP_PASSWORD" /* the environment variable that may hold one */

/*
 * Kept in the caller's storage and never copied by assignment. Zero-initialise; secret_wipe when
 * done.
 */
struct secret {
	size_t len; /* bytes, without the NUL that always follows */
	char data[SECRET_MAX + 1];
};

/* Forget a secret. */
void secret_wipe(struct secret *s);

/* Append bytes. 0; or -1 with err, which does not quote them, when it gets too long. */
int secret_add(struct secret *s, const void *data, size_t len, struct err *err) WARN_UNUSED;

/*
 * The content of a file ("-" is standard input), without one line end at its end. An empty file,
 * one longer than SECRET_MAX, or with a NUL or another line end inside is refused. A regular file
 * that group or others may read or write is refused with the name "open-secret" unless `lax`. A
 * pipe or a terminal is waited for until a signal: somebody may be typing at its other end. 0 or -1
 * with err; what names the option for messages ("--password-file").
 */
int secret_read_file(
    struct secret *s, const char *path, const char *what, bool lax, struct err *err) WARN_UNUSED;

/*
 * Move the value of an environment variable into s: its bytes are overwritten, and it is unset. 0,
 * with s empty when it is not set; 1 when it is set but empty; -1 with err when it is too long or
 * has more than one line.
 */
int secret_take_env(struct secret *s, const char *name, struct err *err) WARN_UNUSED;

/* Overwrite the bytes of an environment variable, if it is set, and unset it. */
void secret_forget_env(const char *name);

/*
 * The text of the Authorization header's value, "Basic …" (RFC 7617) of user, ':' and password,
 * appended to out.
 */
int secret_basic(struct secret *out, const char *user, const struct secret *password,
    const struct secret *code, struct err *err) WARN_UNUSED;

/* The same, "Bearer …" (RFC 6750); a key with a byte that a header can't hold is refused. */
int secret_bearer(struct secret *out, const struct secret *key, struct err *err) WARN_UNUSED;

#endif
