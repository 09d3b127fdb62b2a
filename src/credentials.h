/* credentials.h - who asks: where the password or key comes from, and the header made of it */
#ifndef CREDENTIALS_H
#define CREDENTIALS_H

#include "def.h"
#include "secret.h"

#include <stdbool.h>

struct err;
struct options;

/* The one owner of every secret of a run. Zero-initialise; credentials_wipe when done. */
struct credentials {
	struct secret password, code, key;
	struct secret header;          /* the Authorization field's value */
	const char *user;
};

/*
 * Take the secret from --api-key-file, --password-file, $STALPREP_PASSWORD or a prompt (in that order) and make the
 * header. 0 or -1 with err.
 */
int credentials_take(struct credentials *c, const struct options *o, struct err *err) WARN_UNUSED;

/* Take the second factor from --totp-file or a prompt and make the header anew. 0 or -1 with err. */
int credentials_take_code(struct credentials *c, const struct options *o, struct err *err) WARN_UNUSED;

/* Forget all of it. */
void credentials_wipe(struct credentials *c);

#endif
