/* api.h - the older server's management API over one HTTP connection */
#ifndef API_H
#define API_H

#include "base/def.h"
#include "settings/ops.h"
#include "settings/settings.h"

#include <stdbool.h>

struct err;
struct http1;
struct pool;
struct secret;

/* How to speak: all of it is the caller's. */
struct api {
	struct http1 *http;
	/* connects again, where the server has closed; or NULL */
	int (*reopen)(void *ctx, struct err *err);
	void *ctx;        /* reopen's */
	const char *host; /* the Host field's value */
	const struct secret *authorization;
	const char *relay_id;   /* whose keys are read along */
	const char *new_server; /* whose ban and exemption are read along; "" for none */
	/* keys that are read along: a snapshot's own relay keys */
	const char *const *extra;
	size_t extra_count;
	bool capital;        /* the spelling of operations up to 0.10 */
	bool spelling_known; /* no need to try the other one */
};

/* What a server says of itself. Strings live in the pool of the read. */
struct api_facts {
	struct settings settings;    /* sorted */
	int minor_first, minor_last; /* the versions 0.minor that the answers allow */
	const char *version;         /* as the server names it ("0.11.8"), or NULL */
	/* the advertised origin that runs now, or NULL where it can't be seen */
	const char *url_in_force;
};

/* What is known of a write that did not end well. */
enum api_written {
	/* no byte was sent, or the server said so: 400 to 404 to the first request */
	API_WRITTEN_NOTHING,
	API_WRITTEN_MAYBE, /* it was cut off, or what came makes no sense */
	API_WRITTEN_FAILED /* the server answered 500: final (server-facts: a plain 500) */
};

/*
 * Read the settings and the signs of the version. 0; or -1 with err: ERR_AUTH (code is the HTTP
 * status; 402: a second factor is missing), ERR_REFUSED (named: a new server, none at all),
 * ERR_SERVER, ERR_REACH.
 */
int api_read(
    struct api *a, struct pool *pool, struct api_facts *facts, struct err *err) WARN_UNUSED;

/*
 * Read every setting, secrets among them: for the check of the server's own rewrite alone. Give the
 * pool back as soon as that is done. 0 or -1 as api_read.
 */
int api_read_every(
    struct api *a, struct pool *pool, struct settings *out, struct err *err) WARN_UNUSED;

/* Read the settings alone, for proof. 0 or -1 as api_read. */
int api_read_settings(
    struct api *a, struct pool *pool, struct settings *out, struct err *err) WARN_UNUSED;

/*
 * Send the operations, in as few requests as the server's bound allows. 0; or -1 with err and
 * *written.
 */
int api_write(
    struct api *a, const struct ops *ops, enum api_written *written, struct err *err) WARN_UNUSED;

/* One error or warning of a reload. Strings live in the pool. */
struct api_fault {
	/* kind as the server spells it, lower-cased; text may be "" */
	const char *key, *kind, *text;
};

struct api_reloaded {
	struct api_fault *errors, *warnings;
	size_t error_count, warning_count;
};

/* Reload, or with dry_run only try. 0, with the server's errors in *out; or -1 with err. */
int api_reload(struct api *a, struct pool *pool, bool dry_run, struct api_reloaded *out,
    struct err *err) WARN_UNUSED;

#endif
