/*
 * target.h - one server of a run, or its config.toml: what was read of it, its snapshot and its
 * plan
 */
#ifndef TARGET_H
#define TARGET_H

#include "base/buf.h"
#include "base/def.h"
#include "base/err.h"
#include "base/pool.h"
#include "format/edits.h"
#include "format/toml.h"
#include "plan/plan.h"
#include "settings/snapshot.h"
#include "sys/configfile.h"
#include "target/api.h"
#include "target/session.h"

#include <limits.h>
#include <stdbool.h>

struct credentials;
struct reach;
struct request;

/* What the run is for: a snapshot, a lock and the secrets among the settings depend on it. */
enum purpose { TO_LOOK, TO_STAGE, TO_CLEAR };

/* How far a target's write came. */
enum progress {
	PROGRESS_NONE,     /* nothing was sent */
	PROGRESS_UNPROVED, /* something may be written, and it is not all proved */
	PROGRESS_PROVED    /* all of it was read back */
};

/*
 * In the caller's storage, never moved. Zero-initialise, with -1 as the lock; target_close when
 * done.
 */
struct target {
	const struct request *request;
	const struct reach *reach;
	enum purpose purpose;
	char origin[PATH_MAX];   /* the URL's, or the file's name */
	const char *snapshot_id; /* in the snapshot: the origin, or "file:config.toml" */
	bool is_file;
	struct session session;   /* of a server */
	struct configfile config; /* of a file, and the four below it */
	struct toml toml;
	struct edits edits;
	struct buf edited; /* the text as it will be, once planned */
	bool unseen;       /* whether a server runs on it could not be looked up */
	struct pool pool;  /* what was read and planned */
	struct api_facts facts;
	bool read; /* facts are there */
	/* of every, which holds secrets: given back right after the plan */
	struct pool every_pool;
	struct settings every;    /* for the check of the server's rewrite of its file */
	struct snapshot loaded;   /* as the run found it */
	bool has_snapshot;        /* it found one */
	struct snapshot cleared;  /* where it found none: the last one, that was cleared */
	struct snapshot snapshot; /* as it is on disk now */
	char snapshot_path[PATH_MAX];
	bool snapshot_kept;  /* the file is there at the run's end */
	bool snapshot_ahead; /* the file says what may not be sent yet */
	char lock_path[PATH_MAX];
	int lock; /* -1: none */
	struct plan plan;
	bool planned;
	enum progress progress;
	size_t changed;     /* keys that this run changed, proved */
	bool local_changed; /* the server rewrote its config.toml */
	bool sent_dummy;    /* the dummy was sent */
	/* keys that were lost on the server and written once more */
	size_t rewritten;
	/* keys that config.toml outranks, taken out of the database again */
	size_t shadowed;
};

/* Settle the origin and the snapshot's path, and find the addresses. Needs no secret. 0 or -1. */
int target_begin(struct target *t, enum purpose purpose, const struct request *q,
    const struct reach *r, const struct url *url, struct err *err) WARN_UNUSED;

/*
 * Connect and read the settings; asks for a second factor when the server wants it. 0, or -1 with
 * err; nothing is written in either case.
 */
int target_read(struct target *t, const struct trust *trust, struct credentials *c,
    struct err *err) WARN_UNUSED;

/*
 * Write what is planned, read it back, and save what is known of it. 0 when all is proved; -1 with
 * err, and progress says more.
 */
int target_write(struct target *t, struct err *err) WARN_UNUSED;

/* Close the connection, give the lock and the memory back. */
void target_close(struct target *t);

#endif
