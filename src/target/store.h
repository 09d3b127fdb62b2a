/* store.h - the snapshot of a run: found by whose it is, locked, saved, put aside */
#ifndef STORE_H
#define STORE_H

#include "base/def.h"
#include "base/err.h"
#include "base/pool.h"
#include "settings/snapshot.h"
#include "target/snapfile.h"

#include <limits.h>
#include <stdbool.h>

struct settings;

/* Whose snapshot it is. Strings are the caller's. */
struct store_whose {
	const char *name;     /* for a file's name: the first URL's host and port */
	const char *identity; /* of the server; "": it shows none */
	const char *origins[SNAPSHOT_NODES_MAX];
	size_t count;
	const struct settings *now[SNAPSHOT_NODES_MAX]; /* of each; NULL: not read yet */
};

/* The caller holds it, never moved. Zero-initialise, with lock -1; store_close when done. */
struct store {
	struct snapfile_trust trust;
	char folder[PATH_MAX]; /* where snapshots are looked for, absolute; "": none is kept */
	bool usual;            /* it is made if need be: no option names it */
	bool fixed;            /* path is the only one that counts */
	char path[PATH_MAX];   /* of the snapshot: as found, or where it is saved; "": none yet */
	char lock_path[PATH_MAX];
	int lock;
	struct pool pool;
	struct snapshot loaded;  /* as it was found; empty where none was */
	struct snapshot current; /* as it is on disk, or soon will be */
	uint32_t seen;           /* the checksum of the file that fits best, used or not; 0: none */
	bool found;              /* loaded is a snapshot */
	bool certain;            /* store_find has found it, or found none */
	bool kept;               /* the file exists */
	bool ahead;              /* the file may record writes that are not sent */
	/* a stage: one that fits, and of which nothing stands: it is not used; "": there is none */
	char unused[PATH_MAX];
	bool moves;            /* it has the URL of this run, so the first save moves it */
	char aside[PATH_MAX];  /* where it is now; "": not moved */
	struct err unwritable; /* a clear: why nothing can be written in the folder, if so */
};

/*
 * Keep it in this folder, or in this file (path; NULL: the store names it), both absolute. 0, or
 * -1 with err if a name is too long.
 */
int store_open(struct store *st, const char *folder, const char *path, struct err *err) WARN_UNUSED;

/* Before a stage: make the folder if need be; can nobody else write there? 0 or -1 with err. */
int store_prepare(struct store *st, struct err *err) WARN_UNUSED;

/* Is the folder there? */
bool store_has_folder(const struct store *st);

/*
 * Before the server is read: find the snapshot that was made through one of these URLs. It is a
 * guess, so that one request can read all that it names; store_find decides. 0 with st->found; or
 * -1 with err: a file that bears this server's name, or the only one that counts, can't be used.
 */
int store_guess(struct store *st, const struct store_whose *whose, struct err *err) WARN_UNUSED;

/*
 * Find it, as a stage, a clear or another run uses it, and lock it first if need be. A stage does
 * not use one of which nothing stands. *changed: another file fits than did before, so what was
 * read may be too little, or too old: read again, and find again, without a lock. 0 with st->found;
 * or -1 with err.
 */
enum store_use { STORE_LOOK, STORE_STAGE, STORE_CLEAR };
int store_find(struct store *st, const struct store_whose *whose, enum store_use use, bool locks,
    bool *changed, struct err *err) WARN_UNUSED;

/*
 * Save st->current in the file's place, and read it back by the rules of the next run. 0 or -1 with
 * err.
 */
int store_save(struct store *st, struct err *err) WARN_UNUSED;

/* Nothing was sent: restore the file as it was found, or remove a new one. 0 or -1 with err. */
int store_restore(struct store *st, struct err *err) WARN_UNUSED;

/*
 * All of it is undone: rename the file so that it ends in .cleared, by a name that no file has. 0,
 * or -1 with err.
 */
int store_retire(struct store *st, struct err *err) WARN_UNUSED;

/* Is it a fault of the folder alone: read-only, full, another user's? */
bool store_is_unwritable(const struct err *err);

/* Release the lock, free the memory. */
void store_close(struct store *st);

#endif
