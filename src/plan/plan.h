/*
 * plan.h - from what was read and what is wanted to the exact list of changes, or to the reasons
 * against it; no I/O
 */
#ifndef PLAN_H
#define PLAN_H

#include "base/def.h"
#include "settings/changeset.h"
#include "settings/listener.h"
#include "settings/message.h"

#include <stdbool.h>

struct err;
struct request;
struct pool;
struct settings;
struct snapshot;

/* What the plan looks at. All of it is the caller's. */
struct plan_input {
	/* sorted; by prefix reads, so that left-overs which the server ignores are not in it */
	const struct settings *now;
	/* all settings, for the check of the server's rewrite alone; NULL: it writes no file */
	const struct settings *every;
	const struct request *request;
	size_t node_count;               /* how many --url name nodes; 0: a file */
	const struct snapshot *snapshot; /* of this target, or NULL */
	int minor_first, minor_last;     /* the versions 0.minor that the answers allow */
	/* where there is none of this target: its last one, that was cleared, or NULL */
	const struct snapshot *cleared;
	/* where there is none of this target: one of another node of the run, or NULL */
	const struct snapshot *other;
	bool shared_elsewhere; /* the database's keys are another node's to write */
	bool file;             /* now is a config.toml of a server that does not run */
};

/* What became of a listener. */
struct plan_listener {
	const struct listener *listener;
	bool chosen;
	const char *why; /* why it was chosen or left; static or in the pool */
};

/* What one key's state is, before a write and after it. */
enum key_state {
	KEY_AS_WANTED,  /* stood so, and nothing of ours is in it */
	KEY_STAGED,     /* holds what is wanted, written by us */
	KEY_MISSING,    /* absent, a value is wanted */
	KEY_FOREIGN,    /* another value than the wanted one */
	KEY_LEFTOVER,   /* there, and wanted absent */
	KEY_TO_RESTORE, /* clear: not yet as it was before */
	KEY_RESTORED,   /* clear: as it was before */
	KEY_CHANGED,    /* clear: somebody changed it since; left alone */
	KEY_STATE_COUNT
};

struct plan_key {
	const char *key;
	enum group group;
	enum applies applies;
	bool local;           /* it lives in this node's config.toml */
	const char *now;      /* as read; NULL: absent */
	const char *wanted;   /* NULL: absent */
	const char *original; /* what stood before the first stage; NULL: absent */
	/* clear: what the snapshot says was written; NULL: absent */
	const char *written;
	const char *after;    /* as read back; NULL: absent. The commands fill it */
	bool kept;            /* somebody else's value that serves as it is */
	bool recorded;        /* it belongs into the snapshot */
	bool write;           /* this run changes it */
	enum key_state state; /* by now; after the read-back by after */
};

/* Zero-initialise; everything lives in the pool given at the making. */
struct plan {
	struct listeners all;
	struct plan_listener *listeners;
	size_t listener_count;
	struct plan_key *keys; /* in the guide's order */
	size_t key_count;
	size_t write_count;
	size_t left_count; /* clear: keys that were left alone */
	/* also what stands is written: deleted and inserted, so that the server writes its file */
	bool rewrite;
	bool clearing; /* it is the plan of a clear */
	bool file;     /* of a file, which is written whole or not at all */
	/* what was written could not be read back: `after` says nothing */
	bool unread;
	/* clear: there was no snapshot, so what stood before is not known */
	bool unknown_before;
	const struct dialect *dialect;
	struct messages messages;
};

/* The state of a key that holds this value (NULL: absent). */
enum key_state plan_key_state(const struct plan_key *k, const char *value);

/*
 * Put `after` and the state of every key by a read-back. Gives the number of keys that are not as
 * planned.
 */
size_t plan_compare(struct plan *p, const struct settings *after);

/*
 * Make the keys of a snapshot, whose state is set, of the plan, and of the old one (or NULL) those
 * of groups that the run does not touch.
 */
void plan_keep(const struct plan *p, unsigned groups, const struct snapshot *old,
    struct snapshot *s, struct pool *pool);

/*
 * The plan is carried out and read back: settle what the snapshot says. A write of any local key
 * makes the server write its file whole; where this run had none, local keys that were "sending" in
 * the old one still are.
 */
void plan_prove(
    const struct plan *p, unsigned groups, const struct snapshot *old, struct snapshot *s);

/* How a group stands, by the keys' states. */
enum group_state { GROUP_NONE, GROUP_NOT_STAGED, GROUP_PARTLY, GROUP_STAGED };
struct group_count {
	size_t keys, right, foreign; /* of the keys: as wanted; with a value that is not */
};
struct group_count plan_count(const struct plan *p, enum group g);
enum group_state plan_group_state(const struct group_count *c);

/* The word for a key's state, as --json has it. */
const char *key_state_name(enum key_state s);

#endif
