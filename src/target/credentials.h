/* credentials.h - who asks: where the password or key comes from, and the header made of it */
#ifndef CREDENTIALS_H
#define CREDENTIALS_H

#include "base/def.h"
#include "sys/secret.h"

#include <stdbool.h>

struct err;
struct reach;

/* The one owner of every secret of a run. Zero-initialise; credentials_wipe when done. */
struct credentials {
	struct secret password, code; /* only while a second factor may be asked for */
	struct secret header;         /* the Authorization field's value */
	/* no second factor is to come: a key, or it is in the header */
	bool final;
	const char *user;
};

/*
 * Take the secret from --api-key-file, --password-file, $STALPREP_PASSWORD or a prompt (in that
 * order), the second factor from --totp-file, and make the header (without the second factor). lax:
 * the files may be readable by others. 0 or -1 with err.
 */
int credentials_take(
    struct credentials *c, const struct reach *r, bool lax, struct err *err) WARN_UNUSED;

/*
 * The server wants the second factor: ask for it unless it is there already, and make the header
 * anew. 0 or -1 with err.
 */
int credentials_add_code(struct credentials *c, struct err *err) WARN_UNUSED;

/* Nobody will want the second factor any more: forget all but the header. */
void credentials_finish(struct credentials *c);

/* Forget all of it. */
void credentials_wipe(struct credentials *c);

#endif
