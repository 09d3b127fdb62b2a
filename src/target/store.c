#include "target/store.h"

#include "settings/settings.h"
#include "sys/file.h"
#include "sys/statedir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	NAME_DIGITS = 8,    /* of the identity in a file's name */
	NAME_MAX_LEN = 150, /* of the host and port there: NAME_MAX is 255 bytes */
	RENAMES_MAX = 1000
};

static const char SUFFIX[] = ".snapshot.json";
static const char OTHER_FOLDER[] = "The snapshot, which has the values from before, would be kept "
				   "there. Name another folder: --snapshot-dir DIR.";

static int
too_long(const char *name, struct err *err)
{
	return err_set(err, ERR_USAGE, "the snapshot's name is too long: %.120s...", name);
}

int
store_open(struct store *st, const char *folder, const char *path, struct err *err)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	int len = slash ? (int)(slash - path) : 0;

	if (strlen(folder) >= sizeof(st->folder))
		return too_long(folder, err);
	if (path && strlen(path) >= sizeof(st->path))
		return too_long(path, err);
	snprintf(st->folder, sizeof(st->folder), "%s", folder);
	if (!path)
		return 0;
	st->fixed = true;
	snprintf(st->path, sizeof(st->path), "%s", path);
	snprintf(st->folder, sizeof(st->folder), "%.*s", len ? len : 1, len ? path : "/");
	return 0;
}

/* folder/name in out[PATH_MAX]. 0 or -1. */
static int
join(char *out, const char *folder, const char *name, struct err *err)
{
	if (snprintf(out, PATH_MAX, "%s%s%s", strcmp(folder, "/") != 0 ? folder : "", "/", name) <
	    PATH_MAX)
		return 0;
	return too_long(folder, err);
}

/* The beginning of the file's name, for people: "stalprep-HOST-PORT" and some of the identity. */
static void
begin_name(char *out, size_t size, const struct store_whose *whose)
{
	snprintf(out, size, "stalprep-%.*s%s%.*s", NAME_MAX_LEN, whose->name,
	    *whose->identity ? "-" : "", NAME_DIGITS, whose->identity);
}

int
store_prepare(struct store *st, struct err *err)
{
	char inside[PATH_MAX];

	if (!*st->folder)
		return 0;
	if (st->usual && statedir_make(st->folder, err) == -1) {
		err_add(err, "%s", OTHER_FOLDER);
		return -1;
	}
	if (join(inside, st->folder, "x", err) == -1)
		return -1;
	if (snapfile_check_folder(inside, &st->trust, err) == 0)
		return 0;
	if (err->refusal == REFUSAL_NONE) {
		err_end(err);
		err_add(err, "%s", OTHER_FOLDER);
	}
	return -1;
}

bool
store_has_folder(const struct store *st)
{
	return *st->folder && access(st->folder, F_OK) == 0;
}

/* Does the file's name say that it is this server's? Then it matters that it can be used. */
static bool
bears_name(const char *file, const struct store_whose *whose)
{
	char begin[NAME_MAX_LEN + 16], digits[NAME_DIGITS + 2];
	const char *identity = whose->identity ? whose->identity : "";
	int len = snprintf(begin, sizeof(begin), "stalprep-%.*s", NAME_MAX_LEN, whose->name);

	snprintf(digits, sizeof(digits), "-%.*s", NAME_DIGITS, identity);
	return (!strncmp(file, begin, (size_t)len) && (file[len] == '-' || file[len] == '.')) ||
	    (*identity && strstr(file, digits));
}

static bool
has_origin(const struct snapshot *s, const struct store_whose *whose)
{
	size_t i, j;

	for (i = 0; i < s->node_count; i++) {
		for (j = 0; j < whose->count; j++) {
			if (settings_same(s->nodes[i].origin, whose->origins[j]))
				return true;
		}
	}
	return false;
}

static bool
is_sending(const struct snapshot *s)
{
	size_t i;

	for (i = 0; i < s->node_count && s->nodes[i].state != PART_SENDING; i++)
		;
	return i < s->node_count || s->database.state == PART_SENDING;
}

/* Is a value that a stage wrote still there, or may a write still be on its way? */
static bool
stands(const struct snapshot *s, const struct settings *now)
{
	size_t i;

	for (i = 0; i < s->node_count && !part_stands(&s->nodes[i], now); i++)
		;
	return i < s->node_count || part_stands(&s->database, now) || is_sending(s);
}

static bool
stands_on_any(const struct snapshot *s, const struct store_whose *whose)
{
	size_t i;

	for (i = 0; i < whose->count && !(whose->now[i] && stands(s, whose->now[i])); i++)
		;
	return i < whose->count;
}

/* Was nothing of it ever sent? Then it says nothing, and a stage writes over it. */
static bool
is_plan_only(const struct snapshot *s)
{
	size_t i;

	for (i = 0; i < s->node_count && s->nodes[i].state == PART_PLANNED; i++)
		;
	return i == s->node_count && s->database.state == PART_PLANNED;
}

/* A file of the folder, while the one that fits is looked for. */
struct candidate {
	char path[PATH_MAX];
	struct snapshot snapshot;
	int rank; /* 0: it is not this server's */
};

static bool
differ(const struct snapshot *a, const struct snapshot *b)
{
	size_t i;

	for (i = 0; i < a->node_count && i < b->node_count; i++) {
		if (part_differs(&a->nodes[i], &b->nodes[i]))
			return true;
	}
	return part_differs(&a->database, &b->database);
}

enum { RANK_FITS = 1, RANK_URL = 2, RANK_STANDS = 4 };

/*
 * Is it this server's? By its own key if it shows one; else by the URL. Several may be, as after a
 * restored backup: one of which something stands comes first, then one that this URL made.
 */
static int
rank_of(const struct snapshot *s, const struct store_whose *whose)
{
	bool url = has_origin(s, whose);

	if (whose->identity ? strcmp(whose->identity, s->identity) != 0 : !url)
		return 0;
	if (whose->identity && !*whose->identity && !url)
		return 0;
	return RANK_FITS + (url ? RANK_URL : 0) + (stands_on_any(s, whose) ? RANK_STANDS : 0);
}

/* Use it. Of one that was only planned nothing counts but its name. */
static int
take(struct store *st, const struct candidate *c, struct err *err)
{
	const struct part *nodes = c->snapshot.nodes;
	size_t i;

	memcpy(st->path, c->path, sizeof(st->path));
	st->kept = true;
	if (is_plan_only(&c->snapshot))
		return 0;
	st->found = true;
	st->loaded = st->current = c->snapshot;
	st->current.nodes = NULL;
	st->current.node_count = 0;
	for (i = 0; i < c->snapshot.node_count; i++)
		snapshot_add_node(&st->current, &st->pool, &nodes[i]);
	return pool_check(&st->pool, err);
}

/* Look at every file of the folder. Without an identity (a guess) the URL counts. 0 or -1. */
static int
search(struct store *st, const struct store_whose *whose, enum store_use use, struct err *err)
{
	struct candidate best = { .rank = 0 }, c = { .rank = 0 };
	const char **names;
	bool doubt = false;
	size_t count, i;

	if (statedir_list(st->folder, SUFFIX, &st->pool, &names, &count, err) == -1)
		return -1;
	for (i = 0; i < count; i++) {
		struct err why;
		int r;

		if (join(c.path, st->folder, names[i], err) == -1)
			return -1;
		r = snapfile_load(&c.snapshot, &st->pool, c.path, &st->trust, &why);
		if (r == -1 && bears_name(names[i], whose)) {
			*err = why;
			return -1;
		}
		if (r == 0)
			snapshot_forget_plan(&c.snapshot);
		c.rank = r == 0 ? rank_of(&c.snapshot, whose) : 0;
		if (c.rank & best.rank & RANK_STANDS)
			doubt |= c.rank == best.rank || differ(&c.snapshot, &best.snapshot);
		if (c.rank == 0 || c.rank < best.rank)
			continue;
		best = c;
	}
	if (pool_check(&st->pool, err) == -1 || !best.rank)
		return pool_check(&st->pool, err);
	st->seen = best.snapshot.checksum;
	if (use == STORE_STAGE && !(best.rank & RANK_STANDS) && !is_plan_only(&best.snapshot)) {
		memcpy(st->unused, best.path, sizeof(st->unused));
		/* One that was made through another URL may be needed there. */
		st->moves = best.rank & RANK_URL;
		return 0;
	}
	if (doubt && use != STORE_LOOK)
		return err_set(err, ERR_REFUSED,
		    "Several snapshots in %s are of this server, %s is one of them. Name the right "
		    "one: --snapshot FILE.",
		    st->folder, best.path);
	return take(st, &best, err);
}

static int
load_fixed(struct store *st, struct err *err)
{
	struct candidate c = { .rank = 0 };
	int r;

	memcpy(c.path, st->path, sizeof(c.path));
	r = snapfile_load(&c.snapshot, &st->pool, c.path, &st->trust, err);
	if (r != 0)
		return r == 1 ? 0 : -1;
	st->seen = c.snapshot.checksum;
	snapshot_forget_plan(&c.snapshot);
	return take(st, &c, err);
}

static int
load(struct store *st, const struct store_whose *whose, enum store_use use, struct err *err)
{
	st->found = st->kept = false;
	st->seen = 0;
	st->unused[0] = '\0';
	st->moves = false;
	memset(&st->loaded, 0, sizeof(st->loaded));
	memset(&st->current, 0, sizeof(st->current));
	if (!*st->folder)
		return 0;
	return st->fixed ? load_fixed(st, err) : search(st, whose, use, err);
}

int
store_guess(struct store *st, const struct store_whose *whose, struct err *err)
{
	struct store_whose any = *whose;

	any.identity = NULL;
	memset(any.now, 0, sizeof(any.now));
	return load(st, &any, STORE_LOOK, err);
}

/* Set a new snapshot's path: a name that no file has. */
static int
name_file(struct store *st, const struct store_whose *whose, struct err *err)
{
	char name[256], begin[200];
	int i;

	begin_name(begin, sizeof(begin), whose);
	for (i = 1; i <= RENAMES_MAX; i++) {
		if (i == 1)
			snprintf(name, sizeof(name), "%s%s", begin, SUFFIX);
		else
			snprintf(name, sizeof(name), "%s-%d%s", begin, i, SUFFIX);
		if (join(st->path, st->folder, name, err) == -1)
			return -1;
		if (access(st->path, F_OK) == -1 || (st->moves && !strcmp(st->path, st->unused)))
			return 0;
	}
	return err_set(err, ERR_SYSTEM, "%s has too many snapshots of this server", st->folder);
}

bool
store_is_unwritable(const struct err *err)
{
	static const int numbers[] = { EROFS, EACCES, EPERM, ENOSPC, EDQUOT, ENOSYS };
	size_t i;

	for (i = 0; i < COUNT(numbers); i++) {
		if (err->kind == ERR_SYSTEM && err->code == numbers[i])
			return true;
	}
	return false;
}

/*
 * One lock for each server in the folder, whatever the file's name is. A clear goes on without it
 * where the folder can't be written to: that alone must not stop a roll-back.
 */
static int
lock(struct store *st, const struct store_whose *whose, enum store_use use, struct err *err)
{
	char name[NAME_MAX_LEN + 16], inside[PATH_MAX];

	if (join(inside, st->folder, "x", err) == -1)
		return -1;
	if (use == STORE_CLEAR && !store_has_folder(st))
		return st->found ? err_set(err, ERR_SYSTEM,
				       "the folder %s was there a moment ago and is gone, and the "
				       "snapshot with it",
				       st->folder)
				 : 0;
	if (snapfile_check_folder(inside, &st->trust, err) == -1)
		return -1;
	if (*whose->identity)
		snprintf(name, sizeof(name), "stalprep-%.*s", NAME_DIGITS, whose->identity);
	else
		snprintf(name, sizeof(name), "stalprep-%.*s", NAME_MAX_LEN, whose->name);
	if (join(st->lock_path, st->folder, name, err) == -1)
		return -1;
	if (file_lock(&st->lock, st->lock_path, err) == 0)
		return 0;
	if (!store_is_unwritable(err))
		return -1;
	if (use == STORE_CLEAR) {
		st->unwritable = *err;
		return 0;
	}
	if (st->found && !strcmp(st->loaded.identity, whose->identity))
		err_add(err,
		    "The snapshot %s was found. Copy it to a folder where you can write, and name "
		    "the copy: --snapshot FILE.",
		    st->path);
	return -1;
}

int
store_find(struct store *st, const struct store_whose *whose, enum store_use use, bool locks,
    bool *changed, struct err *err)
{
	uint32_t seen = st->seen;

	*changed = false;
	if (!*st->folder)
		return 0;
	if (locks && lock(st, whose, use, err) == -1)
		return -1;
	if (load(st, whose, use, err) == -1)
		return -1;
	*changed = st->seen != seen;
	st->certain = true;
	return st->kept || st->fixed ? 0 : name_file(st, whose, err);
}

/* Rename the file to its name with this ending, or with a number before that: a name that is free.
 */
static int
rename_away(const char *path, const char *ending, char to[PATH_MAX], struct err *err)
{
	int i, n = 0;

	for (i = 1; i <= RENAMES_MAX && n < PATH_MAX; i++) {
		if (i == 1)
			n = snprintf(to, PATH_MAX, "%s.%s", path, ending);
		else
			n = snprintf(to, PATH_MAX, "%s.%d.%s", path, i, ending);
		if (access(to, F_OK) == -1 && errno == ENOENT)
			return file_rename(path, to, err);
	}
	return n < PATH_MAX ? err_set(err, ERR_SYSTEM, "%s has too many copies beside it", path)
			    : too_long(path, err);
}

int
store_save(struct store *st, struct err *err)
{
	if (pool_check(&st->pool, err) == -1)
		return -1;
	if (st->moves && !*st->aside && rename_away(st->unused, "aside", st->aside, err) == -1) {
		st->aside[0] = '\0';
		return -1;
	}
	st->ahead = true;
	if (snapfile_save(&st->current, st->path, &st->trust, err) == -1)
		return -1;
	st->kept = true;
	return 0;
}

int
store_restore(struct store *st, struct err *err)
{
	if (!st->ahead)
		return 0;
	st->ahead = false;
	st->current = st->loaded;
	st->kept = st->found;
	if (st->found)
		return snapfile_save(&st->current, st->path, &st->trust, err);
	if (file_remove(st->path, err) == -1)
		return -1;
	if (*st->aside && file_rename(st->aside, st->unused, err) == -1)
		return -1;
	st->aside[0] = '\0';
	return 0;
}

int
store_retire(struct store *st, struct err *err)
{
	char to[PATH_MAX];

	if (rename_away(st->path, "cleared", to, err) == -1)
		return -1;
	memcpy(st->path, to, sizeof(st->path));
	st->kept = false;
	return 0;
}

void
store_close(struct store *st)
{
	file_unlock(st->lock, st->lock_path);
	st->lock = -1;
	pool_free(&st->pool);
}
