/* api.h - the older server's management API over one HTTP connection */
#ifndef API_H
#define API_H

#include "base/buf.h"
#include "base/def.h"
#include "base/pool.h"
#include "settings/ops.h"
#include "settings/settings.h"
#include "tls/fingerprint.h"

#include <stdbool.h>

struct deadline;
struct err;
struct http1;
struct secret;

/* One API client. The caller owns everything in it. */
struct api {
	struct http1 *http;
	/* called before a request while no answer is awaited: connects again if the server has
	 * closed the connection; or NULL */
	int (*reopen)(void *ctx, struct err *err);
	void *ctx;                       /* for reopen */
	const struct deadline *deadline; /* for work that does not wait; or NULL */
	bool far;                        /* the server's address is not loopback */
	const char *host;                /* the value of the Host field */
	const struct secret *authorization;
	const char *relay_id;   /* the keys of this relay are read too */
	const char *new_server; /* the exemption of this address is read too; "": none */
	/* more keys to read: those of a snapshot that no prefix covers */
	const char *const *extra;
	size_t extra_count;
	/* whose settings the first read showed; known: there was one */
	char server[FINGERPRINT_MAX];
	bool known;
	/* about this connection, and reset with it by the owner: it showed the same server; a read
	 * of the settings was sent behind the last write */
	bool confirmed, ahead;
	bool closes;         /* an answer of this run ended its connection */
	bool capital;        /* operations are spelled as up to 0.10 */
	bool spelling_known; /* the other spelling need not be tried */
};

/* What a server says about itself. Strings live in the pool of the read. */
struct api_facts {
	struct settings settings; /* sorted */
	/*
	 * the fingerprint of oauth.key, which a server makes at its first start (server-facts); "":
	 * there is none, or a macro stands for it
	 */
	char identity[FINGERPRINT_MAX];
	int minor_first, minor_last; /* the answers fit versions 0.minor in this range */
	const char *version;         /* as the server gives it ("0.11.8"), or NULL */
	/* the origin that the running server advertises, or NULL when not visible */
	const char *url_in_force;
};

enum { API_SETTINGS_MAX = 2000000 }; /* the most settings that are read */

/*
 * All settings of a server, secrets included, for the checks of the server's own rewrite, of bans
 * and of certificates. Their strings stay in the answer's text: there may be a million of them.
 * Zero-initialise; api_every_free right after the checks.
 */
struct api_every {
	struct settings settings; /* sorted */
	struct buf text;
	struct pool pool;
};

/* What a failed write has changed on the server. */
enum api_written {
	/* nothing: no byte was sent, or the first request got an answer from 400 to 404 */
	API_WRITTEN_NOTHING,
	API_WRITTEN_MAYBE, /* not known: the answer was cut off or not understood */
	/* the server answered 500; do not repeat the write (server-facts: a plain 500) */
	API_WRITTEN_FAILED
};

/*
 * Read the settings, and what shows the server's version. every: read all settings at once, into
 * it, and its key once more, for a write; NULL: only those that a plan needs. The settings in facts
 * are the same. 0; or -1 with err: ERR_AUTH (code is the HTTP status; 402: the second factor is
 * missing), ERR_REFUSED (a new server, or no Stalwart server), ERR_SERVER, ERR_REACH. In this read
 * and all later ones, another server's settings than those of the first read are
 * REFUSAL_TWO_SERVERS.
 */
int api_read(struct api *a, struct pool *pool, struct api_facts *facts, struct api_every *every,
    struct err *err) WARN_UNUSED;

/* Wipe and free. It can be used again. */
void api_every_free(struct api_every *every);

/* Would the reads of settings show this key, if it were there? */
bool api_covers(const struct api *a, const char *key);

/*
 * Read the settings alone, as api_read does: again, or to prove a write (it may have been sent
 * along with that). 0, or -1 as for api_read.
 */
int api_read_settings(struct api *a, struct pool *pool, struct settings *out,
    struct api_every *every, struct err *err) WARN_UNUSED;

/*
 * Send the operations, in as few requests as the server accepts. On a connection that has shown no
 * settings yet, whose server it is is read first. reads: the caller goes on with
 * api_read_settings, which is sent along. 0; or -1 with err and *written.
 */
int api_write(struct api *a, const struct ops *ops, bool reads, enum api_written *written,
    struct err *err) WARN_UNUSED;

/* One error or warning of a reload. Strings live in the pool. */
struct api_fault {
	/* kind: the server's word, in lower case; text may be "" */
	const char *key, *kind, *text;
};

struct api_reloaded {
	struct api_fault *errors, *warnings;
	size_t error_count, warning_count;
};

/* Reload; dry_run only tries it. 0, with the server's errors in *out; or -1 with err. */
int api_reload(struct api *a, struct pool *pool, bool dry_run, struct api_reloaded *out,
    struct err *err) WARN_UNUSED;

#endif
