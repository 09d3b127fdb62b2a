/* target.h - one server of a run, or its config.toml: the settings read, the snapshot, the plan */
#ifndef TARGET_H
#define TARGET_H

#include "base/buf.h"
#include "base/def.h"
#include "base/err.h"
#include "base/pool.h"
#include "format/edits.h"
#include "format/toml.h"
#include "plan/plan.h"
#include "plan/plan_uses.h"
#include "settings/request.h"
#include "settings/snapshot.h"
#include "sys/configfile.h"
#include "sys/running.h"
#include "target/api.h"
#include "target/session.h"

#include <limits.h>
#include <stdbool.h>

struct credentials;
struct reach;
struct store;

/* What the run is for. What is read, and what is refused, depends on it. */
enum purpose { TO_LOOK, TO_STAGE, TO_CLEAR };

/* How far a target's write came. */
enum progress {
	PROGRESS_NONE,     /* nothing was sent */
	PROGRESS_UNPROVED, /* something may be written, and not all of it is proved */
	PROGRESS_PROVED    /* all of it was read back */
};

/* The config.toml that a server reads at its next start. */
struct boot {
	char name[PATH_MAX]; /* "": it is not looked at */
	bool found;          /* no option named it: its process did */
	bool surely;         /* if it was found: it is a server's, whatever it holds */
	struct buf text;     /* until it is parsed */
	/* it is cut off: it has no listener, or can't be read by the server's rules. The settings
	 * live in every.pool */
	bool broken;
	struct settings settings; /* those that matter */
	struct plan_seen seen;    /* and all of it, compared with `every` */
};

/* The caller holds it, never moved. Zero-initialise; target_close when done. */
struct target {
	struct request request; /* with what the snapshot says of earlier stages */
	const struct reach *reach;
	enum purpose purpose;
	char origin[PATH_MAX]; /* of the URL, or the file's path */
	char name[ORIGIN_MAX]; /* for the names of files: HOST-PORT */
	bool is_file;
	struct session session;      /* for a server only */
	struct configfile config;    /* this and the next seven: for a file only */
	const char *expected_server; /* the new one's address by the snapshot; in the pool */
	struct plan_uses uses;
	struct toml_filter filter;
	struct toml toml;
	struct edits edits;
	struct buf edited;      /* the new text, once planned */
	struct boot boot;       /* for a server only */
	struct running running; /* who was started with this file */
	struct pool pool;       /* what was read and planned */
	struct api_facts facts;
	bool read;              /* facts is filled */
	struct api_every every; /* for the checks of the plan; freed right after it */
	struct store *store;    /* the run's */
	bool alone;             /* the run's only target */
	bool has_database;      /* this target writes the database's keys, for all nodes */
	struct part found;      /* what the store's snapshot says of it */
	bool has_node;          /* it has a part there: nodes[node] */
	bool doubted;           /* a part has its URL, but nothing of that stands here */
	size_t node;
	const struct dialect *staged_dialect; /* a file: the one that the snapshot names, or NULL */
	/* a stage: what the snapshot will say was asked for, from the first byte that is sent on */
	const struct request *asked;
	bool recorded; /* its plan is in the store's snapshot */
	struct plan plan;
	bool planned;
	enum progress progress;
	size_t changed;     /* keys that this run changed, proved */
	bool local_changed; /* the server rewrote its config.toml */
	/* the new routing rule is not sent before the old one is seen to be gone */
	bool rule_waits;
	bool sent_dummy;     /* a dummy key made the server rewrite it */
	size_t left_in_file; /* a clear: keys that config.toml has, which outranks the database */
	size_t rewritten;    /* keys that the server lost and that were written again */
	/* groups (a set) of which config.toml outranks a key: taken back here, or to be taken back
	 * through the first node */
	unsigned taken, outranked;
};

/* Fill in the origin, and find the file or the addresses. Needs no secret. 0 or -1. */
int target_begin(struct target *t, enum purpose purpose, const struct request *q,
    const struct reach *r, const struct url *url, struct err *err) WARN_UNUSED;

/*
 * Connect and read the settings. Prompts for a second factor when the server needs it. Writes
 * nothing. 0 or -1 with err.
 */
int target_read(struct target *t, const struct trust *trust, struct credentials *c,
    struct err *err) WARN_UNUSED;

/* Read a server's settings again, since the first read asked for too little or was too early. */
int target_read_again(struct target *t, struct err *err) WARN_UNUSED;

/*
 * For a file: where its snapshot lies if no option says it, in `folder` (NULL: beside the file). ""
 * for standard input beside nothing. 0, or -1 with err.
 */
int target_file_snapshot(
    const struct target *t, const char *folder, char out[PATH_MAX], struct err *err) WARN_UNUSED;

/* The owner of the config.toml that a snapshot of this name lies beside; -1: there is none. */
uid_t target_file_beside(const char *snapshot);

/*
 * Has the plan anything to write, or to prove? A run that was cut off may have written all of it
 * without recording that it is proved. (A stage over the API then writes the keys once more.)
 */
bool target_is_to_write(const struct target *t);

/*
 * Write what is planned, read it back, and update the snapshot. 0 when all is proved; or -1 with
 * err, and progress says how far it came.
 */
int target_write(struct target *t, struct err *err) WARN_UNUSED;

/*
 * Take these groups back: bring the database's keys of them to what the plan read, and prove it.
 * They leave the snapshot. 0; or -1 with err, and progress says that it is not proved.
 */
int target_take_back(struct target *t, unsigned groups, struct err *err) WARN_UNUSED;

/* Close the connection, free the memory. */
void target_close(struct target *t);

#endif
