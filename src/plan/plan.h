/*
 * plan.h - from the settings that were read and the request to the exact list of changes, or to
 * the refusals; no I/O
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
struct part;
struct plan_seen;

/* What a plan is made from. All of it is the caller's. */
struct plan_input {
	/* sorted; read by prefix, so it has no left-overs that the server ignores */
	const struct settings *now;
	/* all settings, only for the checks before a stage or a clear; NULL: it is a file, or a
	 * status */
	const struct settings *every;
	const struct request *request;
	size_t node_count;            /* nodes named by --url; 0: a file */
	const char *other_nodes;      /* in words: those of the snapshot that are not; or NULL */
	const char *alike;            /* in words: two of them that may be one node; or NULL */
	const struct part *part;      /* what the snapshot says of this target, or NULL */
	const struct request *stored; /* what it says was asked for; NULL: there is none */
	const char *snapshot_place;   /* " in FOLDER": where one was looked for; "": nowhere */
	int minor_first, minor_last;  /* the versions 0.minor that fit the server's answers */
	bool new_node;         /* there is a snapshot, and no part in it for this node's file */
	bool doubted;          /* so it is because nothing stands of the part that has its URL */
	bool shared_elsewhere; /* another node of the run writes the database's keys */
	bool file;             /* now is the config.toml of a stopped server */
	/* what plan_uses keeps of the config.toml that the server reads at its next start; NULL:
	 * not looked at. A status has it in `now` already, with the database behind it. With it
	 * come `every`, and the comparison of the two */
	const struct settings *boot;
	const struct plan_seen *seen;
	const char *boot_name;
	bool boot_found;  /* no option named it */
	bool boot_broken; /* it is cut off: it has no listener, or can't be read */
};

/* A listener, and whether the plan chose it. */
struct plan_listener {
	const struct listener *listener;
	bool chosen;
	const char *why; /* why it was chosen or left; static or in the pool */
};

/* The state of one key, before a write and after it. */
enum key_state {
	KEY_AS_WANTED,  /* had the wanted value before any stage */
	KEY_STAGED,     /* has the wanted value, written by us */
	KEY_MISSING,    /* absent, but a value is wanted */
	KEY_FOREIGN,    /* has another value than the wanted one */
	KEY_LEFTOVER,   /* present, but wanted absent */
	KEY_TO_RESTORE, /* clear: not yet the original */
	KEY_RESTORED,   /* clear: the original again */
	KEY_CHANGED,    /* clear: somebody changed it after the stage; left alone */
	KEY_IN_FILE, /* clear: it stands in config.toml, where the API can't reach it alone; left */
	KEY_STATE_COUNT
};

struct plan_key {
	const char *key;
	enum group group;
	enum applies applies;
	bool local;           /* it lives in this node's config.toml */
	const char *now;      /* as read; NULL: absent */
	const char *wanted;   /* NULL: absent */
	const char *original; /* the value before the first stage; NULL: absent */
	const char *written;  /* clear: the value that the stage wrote; NULL: absent */
	const char *after;    /* as read back (plan_compare); NULL: absent */
	bool kept;            /* somebody else's value that already does the job */
	bool in_file;         /* the database's by its name, but staged in config.toml */
	bool unknown;         /* what stood before a stage that nobody recorded is not known */
	bool recorded;        /* it belongs in the snapshot */
	bool write;           /* this run changes it */
	bool taken;           /* written, and then taken back: as before the run */
	bool stood;           /* it stood after its deletion, so config.toml has it */
	enum key_state state; /* from now; after the read-back, from after */
};

/* Zero-initialise. All of it lives in the pool that it was made with. */
struct plan {
	struct listeners all;
	struct plan_listener *listeners;
	size_t listener_count;
	struct plan_key *keys; /* in the guide's order */
	size_t key_count;
	size_t write_count;
	size_t left_count; /* clear: keys that are left alone */
	size_t
	    unknown_count; /* clear: keys that are removed, because what stood there is not known */
	/* also delete and insert local keys that are right already: the server writes its file */
	bool rewrite;
	/* make the server write its file, though no key of it is changed */
	bool touch;
	bool unrecorded; /* a stage: there is nothing that a snapshot would have to bring back */
	bool clearing;   /* the plan of a clear */
	bool file;       /* the plan for a file, which is written whole or not at all */
	/* status: a restart now would not do what the change set says, and the keys do not show it;
	 * the messages say why */
	bool unready;
	bool unread;         /* the read-back failed: `after` says nothing */
	bool unknown_before; /* clear: without a snapshot, the originals are not known */
	/* keys that the boot file has otherwise than the server's memory */
	const char **differing;
	size_t differing_count;
	size_t differing_more; /* how many are not named */
	const struct dialect *dialect;
	struct messages messages;
};

/* Does the plan of a clear leave the key alone? */
bool plan_key_is_left(const struct plan_key *k);

/* The state of k if it held this value (NULL: absent). */
enum key_state plan_key_state(const struct plan_key *k, const char *value);

/* Set `after` and the state of every key from a read-back. Returns how many are not as planned. */
size_t plan_compare(struct plan *p, const struct settings *after);

/*
 * Add the plan's keys to the part s, whose state is set. Keys of groups that are not among `groups`
 * come from the old part (or NULL). Strings live in the pool.
 */
void plan_fill_part(const struct plan *p, unsigned groups, const struct part *old, struct part *s,
    struct pool *pool);

/*
 * Set the part's state after the plan was carried out and read back. A write of any local key
 * makes the server write its whole file. Without one, local keys that were "sending" in the old
 * part still are.
 */
void plan_mark_proved(
    const struct plan *p, unsigned groups, const struct part *old, struct part *s);

/* The keys of one group, counted by their states. */
struct group_count {
	size_t keys;    /* all of them */
	size_t right;   /* as wanted */
	size_t foreign; /* present, with a value that is not wanted */
};
struct group_count plan_count(const struct plan *p, enum group g);

/* How far a group is staged. GROUP_NONE: the plan has no key of it. */
enum group_state { GROUP_NONE, GROUP_NOT_STAGED, GROUP_PARTLY, GROUP_STAGED };
enum group_state plan_group_state(const struct group_count *c);

/* Is a group staged, or a part of one? */
bool plan_any_staged(const struct plan *p);

/*
 * The groups that are not staged, or not whole: of those that the plan has keys of, and of the
 * default ones among `groups`. A set of 1u << group.
 */
unsigned plan_missing(const struct plan *p, unsigned groups);

/* The word for a key's state in --json. */
const char *key_state_name(enum key_state s);

#endif
