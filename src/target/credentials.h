/* credentials.h - the login: where the password or key comes from, and its HTTP header */
#ifndef CREDENTIALS_H
#define CREDENTIALS_H

#include "base/def.h"
#include "sys/secret.h"

#include <stdbool.h>

struct err;
struct reach;

/* The one owner of every secret of a run. Zero-initialise; credentials_wipe when done. */
struct credentials {
	struct secret password, code; /* kept only while a second factor may be needed */
	struct secret header;         /* the value of the Authorization field */
	/* no second factor will be added: the login is a key, or the header has the code */
	bool complete;
	bool asks; /* the password has to be asked for: credentials_ask */
	const char *user;
};

/*
 * Get the secret from --api-key-file, --password-file or $STALPREP_PASSWORD (in that order) and the
 * second factor from --totp-file. Make the header, without the second factor. Without any of them
 * c->asks is set; that there is no terminal to ask on is an error already here. lax: others may
 * have read access to the files. 0 or -1 with err.
 */
int credentials_load(
    struct credentials *c, const struct reach *r, bool lax, struct err *err) WARN_UNUSED;

/* Ask for the password, and make the header. 0 or -1 with err. */
int credentials_ask(struct credentials *c, const struct reach *r, struct err *err) WARN_UNUSED;

/* Make the header with the second factor; prompt for it if needed. 0 or -1 with err. */
int credentials_add_code(struct credentials *c, struct err *err) WARN_UNUSED;

/* The second factor is not needed any more: wipe everything but the header. */
void credentials_finish(struct credentials *c);

/* Wipe everything. */
void credentials_wipe(struct credentials *c);

#endif
