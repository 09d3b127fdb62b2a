#include "target.h"

#include "credentials.h"
#include "file.h"
#include "interrupt.h"
#include "localkeys.h"
#include "options.h"
#include "ops.h"
#include "target_file.h"
#include "when.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TAKE_BACK_ROUNDS = 3 };

/* The dummy that makes the server write its file; no server reads it (server-facts: names are not checked). */
static const char DUMMY[] = "server.stalprep.touch";

static const char UNKNOWN_NOW[] = "Run the same command again: it finishes what was begun. Or take it back: stalprep clear.";

/* HOST-PORT for a file's name: what is not plain becomes an underscore. */
static void
name_server(char name[NAME_MAX], const struct url *url)
{
	size_t i;

	snprintf(name, NAME_MAX, "%s-%u", url->host, url->port);
	for (i = 0; name[i]; i++) {
		if (name[i] == ':' || name[i] == '/')
			name[i] = '_';
	}
}

/* Where the snapshot is: as the options say, else in this folder under a name of its own. */
static int
name_snapshot(struct target *t, const char *folder, const char *whose, struct err *err)
{
	char here[PATH_MAX], name[PATH_MAX];

	if (t->options->snapshot_dir)
		folder = t->options->snapshot_dir;
	if (t->options->snapshot)
		snprintf(name, sizeof(name), "%s", t->options->snapshot);
	else
		snprintf(name, sizeof(name), "%s%sstalprep-%s.snapshot.json", folder, *folder ? "/" : "", whose);
	/* From the root, so that the report's words hold in any folder. */
	if (*name == '/' || !getcwd(here, sizeof(here)) || *here != '/')
		here[0] = '\0';
	if (snprintf(t->snapshot_path, sizeof(t->snapshot_path), "%s%s%s", here, *here && strcmp(here, "/") != 0 ? "/" : "",
	    name) >= (int)sizeof(t->snapshot_path))
		return err_set(err, ERR_USAGE, "the snapshot's name is too long: %.120s...", name);
	return 0;
}

/* A file's snapshot lies beside it: a rescue system's current folder is soon gone. One that comes by a pipe may have none. */
static int
begin_file(struct target *t, struct err *err)
{
	const char *base;
	char folder[PATH_MAX];

	t->is_file = true;
	if (configfile_find(&t->config, t->options->config, err) == -1)
		return -1;
	snprintf(t->origin, sizeof(t->origin), "%s", t->config.path[0] ? t->config.path : "standard input");
	base = t->config.path[0] ? strrchr(t->config.path, '/') + 1 : "config.toml";
	t->known_as = pool_printf(&t->pool, "file:%s", base);
	if (!t->known_as)
		return err_memory(err);
	if (!t->config.path[0] && !t->options->snapshot && !t->options->snapshot_dir)
		return 0;
	snprintf(folder, sizeof(folder), "%.*s", (int)(t->config.path[0] ? base - t->config.path - (base - t->config.path > 1) : 0),
	    t->config.path);
	return name_snapshot(t, folder, base, err);
}

int
target_begin(struct target *t, const struct options *o, const struct url *url, struct err *err)
{
	char name[NAME_MAX];

	t->options = o;
	t->lock = -1;
	if (o->config)
		return begin_file(t, err);
	url_format(url, t->origin);
	t->known_as = t->origin;
	name_server(name, url);
	if (name_snapshot(t, "", name, err) == -1)
		return -1;
	return session_resolve(&t->session, o, url, err);
}

/*
 * A snapshot may hold keys of a relay, or of a new server, other than this run's: they are read one by one. Other keys are
 * found by prefix. What is no plain key was not written by stalprep.
 */
static int
read_along(struct target *t, struct err *err)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:";
	const char **extra = pool_zero(&t->pool, (t->loaded.count + 1) * sizeof(*extra));
	size_t i, n = 0;

	if (!extra)
		return err_memory(err);
	for (i = 0; i < t->loaded.count; i++) {
		const char *key = t->loaded.keys[i].key;

		if ((t->loaded.keys[i].group == GROUP_OUTBOUND || t->loaded.keys[i].group == GROUP_ALLOW) &&
		    strspn(key, plain) == strlen(key))
			extra[n++] = key;
	}
	t->session.api.extra = extra;
	t->session.api.extra_count = n;
	return 0;
}

int
target_load_snapshot(struct target *t, bool lock, struct err *err)
{
	int r;

	if (!t->snapshot_path[0])
		return 0;
	memcpy(t->lock_path, t->snapshot_path, sizeof(t->lock_path));
	if (lock && file_lock(&t->lock, t->lock_path, err) == -1)
		return -1;
	r = snapshot_load(&t->loaded, &t->pool, t->snapshot_path, err);
	if (r == -1)
		return -1;
	t->has_snapshot = r == 0;
	t->snapshot_kept = t->has_snapshot;
	t->snapshot = t->loaded;
	if (t->has_snapshot && strcmp(t->snapshot.target, t->known_as) != 0 && !options_forced(t->options, "snapshot-target")) {
		err_set(err, ERR_REFUSED, "The snapshot %s belongs to %s, not to %s. Nothing was sent. If it is the same server "
		    "under another name: --force snapshot-target.", t->snapshot_path, t->snapshot.target, t->known_as);
		err->name = "snapshot-target";
		return -1;
	}
	return t->has_snapshot ? read_along(t, err) : 0;
}

int
target_read(struct target *t, const struct trust *trust, struct credentials *c, struct err *err)
{
	if (t->is_file)
		return target_file_read(t, err);
	session_phase(&t->session, true);
	if (session_open(&t->session, trust, c, err) == -1)
		return -1;
	if (api_read(&t->session.api, &t->pool, &t->facts, err) == -1) {
		if (err->kind != ERR_AUTH || err->code != 402 || c->final)
			return -1;
		if (credentials_add_code(c, err) == -1)
			return -1;
		session_phase(&t->session, true);
		if (session_open(&t->session, trust, c, err) == -1 ||
		    api_read(&t->session.api, &t->pool, &t->facts, err) == -1)
			return -1;
	}
	t->read = true;
	if (t->options->minor != -1)
		t->session.api.capital = t->options->minor <= 10;
	if (t->options->command != COMMAND_STAGE && t->options->command != COMMAND_CLEAR)
		return 0;
	return api_read_local(&t->session.api, &t->local_pool, localkeys_custom(&t->facts.settings), &t->local, err);
}

static const char *
options_text(struct pool *pool, const struct options *o)
{
	struct buf text = { 0 };
	const char *copy;

	options_retell(&text, o);
	copy = text.failed ? NULL : pool_str(pool, text.len ? text.data + 1 : "");
	buf_free(&text);
	return copy;
}

/* Of a file: how the value was spelled that stood there before. NULL: it is not known, or there was none. */
static const char *
original_text(struct target *t, const struct snapshot *old, const struct plan_key *k)
{
	const struct snapshot_key *known = old ? snapshot_find(old, k->key) : NULL;
	const struct toml_entry *e = t->is_file && k->original ? toml_find(&t->toml, k->key) : NULL;

	if (known)
		return known->text;
	return e && e->len ? pool_copy(&t->pool, t->config.text.data + e->at, e->len) : NULL;
}

int
target_save_plan(struct target *t, int64_t now, struct err *err)
{
	struct snapshot s = { .target = t->known_as, .state = SNAPSHOT_PLANNED };
	const struct snapshot *old = t->has_snapshot ? &t->loaded : NULL;
	char when[WHEN_MAX];
	size_t i;

	if (!t->snapshot_path[0])
		return 0;
	when_format(when, now);
	s.created = old ? old->created : pool_str(&t->pool, when);
	s.dialect = t->plan.dialect->name;
	s.options = options_text(&t->pool, t->options);
	if (!s.created || !s.options)
		return err_memory(err);
	if (old && old->state == SNAPSHOT_SENDING)
		s.state = SNAPSHOT_SENDING;    /* until it is proved, whatever this run does */
	for (i = 0; old && i < old->count; i++) {
		if (!(t->options->groups & 1u << old->keys[i].group) && snapshot_add(&s, &t->pool, &old->keys[i], err) == -1)
			return -1;
	}
	for (i = 0; i < t->plan.key_count; i++) {
		const struct plan_key *k = &t->plan.keys[i];
		struct snapshot_key key = { k->key, k->original, k->wanted, k->group, k->local, original_text(t, old, k) };

		if (k->recorded && (k->write || (old && snapshot_find(old, k->key))) && snapshot_add(&s, &t->pool, &key, err) == -1)
			return -1;
	}
	if (snapshot_save(&s, t->snapshot_path, err) == -1)
		return -1;
	t->snapshot = s;
	t->snapshot_kept = true;
	return 0;
}

/* Steps of a write, in the order in which they are sent: a failed write of the file then leaves the database untouched. */
enum step { STEP_TOUCH, STEP_LOCAL_DELETE, STEP_LOCAL_INSERT, STEP_DATABASE_DELETE, STEP_DATABASE_INSERT, STEP_COUNT };

static bool
belongs(const struct plan *p, const struct plan_key *k, enum step step)
{
	bool insert = step == STEP_LOCAL_INSERT || step == STEP_DATABASE_INSERT;
	bool local = step == STEP_LOCAL_DELETE || step == STEP_LOCAL_INSERT;

	if (!k->write || k->local != local)
		return false;
	return insert ? k->wanted != NULL : !k->wanted || p->anew;
}

static int
add_step(struct ops *ops, struct target *t, enum step step, struct err *err)
{
	bool insert = step == STEP_LOCAL_INSERT || step == STEP_DATABASE_INSERT;
	size_t i;

	for (i = 0; i < t->plan.key_count; i++) {
		const struct plan_key *k = &t->plan.keys[i];
		struct op op = { insert ? OP_INSERT : OP_DELETE, k->key, k->wanted, step };

		if (belongs(&t->plan, k, step) && ops_add(ops, &t->pool, &op, err) == -1)
			return -1;
	}
	return 0;
}

/* Does the file have to be written even where the memory already has what is wanted? */
static bool
must_touch(const struct target *t, bool clearing)
{
	size_t i;

	if (!clearing || !t->has_snapshot || t->loaded.state != SNAPSHOT_SENDING)
		return false;
	for (i = 0; i < t->loaded.count; i++) {
		if (t->loaded.keys[i].local)
			return true;
	}
	return false;
}

static int
make_ops(struct ops *ops, struct target *t, bool clearing, struct err *err)
{
	struct op touch = { OP_INSERT, DUMMY, "1", STEP_TOUCH };
	enum step step;

	if (must_touch(t, clearing)) {
		t->touched = true;
		if (ops_add(ops, &t->pool, &touch, err) == -1)
			return -1;
		touch.kind = OP_DELETE;
		touch.step = STEP_LOCAL_DELETE;
		if (ops_add(ops, &t->pool, &touch, err) == -1)
			return -1;
	}
	for (step = STEP_LOCAL_DELETE; step < STEP_COUNT; step++) {
		if (add_step(ops, t, step, err) == -1)
			return -1;
	}
	return 0;
}

/* One key of the server's memory back to value; that the file can't be written is known and expected. */
static void
take_back_one(struct target *t, const char *key, const char *value)
{
	struct op op = { value ? OP_INSERT : OP_DELETE, key, value, 0 };
	enum api_written written;
	struct ops ops = { 0 };
	struct err ignored;

	if (ops_add(&ops, &t->pool, &op, &ignored) == 0 &&
	    session_open(&t->session, t->session.trust, t->session.credentials, &ignored) == 0 &&
	    api_write(&t->session.api, &ops, &written, &ignored) == 0)
		t->local_changed = true;
}

/* Read back; a connection that the server closed meanwhile is opened again once. */
static int
read_back(struct target *t, struct settings *out, struct err *err)
{
	int tries;

	for (tries = 0; tries < 2; tries++) {
		if (session_open(&t->session, t->session.trust, t->session.credentials, err) == 0 &&
		    api_read_settings(&t->session.api, &t->pool, out, err) == 0)
			return 0;
		if (err->kind != ERR_REACH)
			return -1;
	}
	return -1;
}

/*
 * The server could not write its config.toml, but its memory holds our keys: the next local write would put them into
 * the file unasked. Take them out one by one until a read is clean (server-facts: a delete that fails still does that).
 */
static bool
take_back(struct target *t)
{
	struct settings s;
	struct err ignored;
	size_t i, dirty = 1;
	int round;

	if (t->touched)
		take_back_one(t, DUMMY, NULL);
	for (round = 0; round < TAKE_BACK_ROUNDS && dirty; round++) {
		if (read_back(t, &s, &ignored) == -1)
			return false;
		for (i = dirty = 0; i < t->plan.key_count; i++) {
			const struct plan_key *k = &t->plan.keys[i];
			const char *value = settings_get(&s, k->key);

			if (!k->write || !k->local || settings_same(value, k->now))
				continue;
			dirty++;
			take_back_one(t, k->key, k->now);
		}
	}
	if (dirty && read_back(t, &s, &ignored) == 0) {
		plan_compare(&t->plan, &s);
		for (i = dirty = 0; i < t->plan.key_count; i++) {
			const struct plan_key *k = &t->plan.keys[i];

			dirty += k->write && k->local && !settings_same(k->after, k->now);
		}
	}
	return !dirty;
}

static int
explain_failed(struct target *t, const struct err *why, struct err *err)
{
	bool clean = take_back(t);

	err_set(err, ERR_SERVER, "%s In most cases it could not write its config.toml (a full disk, a read-only file). The "
	    "database's settings are untouched; %s. DO NOT RESTART the server: its config.toml may be incomplete. Check the "
	    "disk and the file's permissions, compare the file with your copy, then run the same command again. That a read "
	    "shows the old values proves nothing about the file. The snapshot is %s.", why->text,
	    clean ? "stalprep took its keys out of the server's memory again" :
	    "some of stalprep's keys may still be in the server's memory", t->snapshot_path);
	err->code = why->code;
	return -1;
}

/* The answer was lost: what a read shows now is said, and that it is no proof. */
static int
explain_lost(struct target *t, const struct err *why, struct err *err)
{
	struct settings s;
	struct err ignored;
	size_t wrong;

	if (read_back(t, &s, &ignored) == -1) {
		err_set(err, why->kind, "%s It is not known whether the server wrote anything, and it can't be read back now. %s",
		    why->text, UNKNOWN_NOW);
	} else {
		wrong = plan_compare(&t->plan, &s);
		err_set(err, why->kind, "%s Read back, %zu of %zu keys are as planned; whether the server's file is written too is "
		    "not known. %s", why->text, t->plan.key_count - wrong, t->plan.key_count, UNKNOWN_NOW);
	}
	err->code = why->code;
	return -1;
}

int
target_save_state(struct target *t, enum snapshot_state state, struct err *err)
{
	t->snapshot.state = state;
	return snapshot_save(&t->snapshot, t->snapshot_path, err);
}

int
target_withdraw(struct target *t, struct err *err)
{
	struct err why;

	if (t->has_snapshot) {
		t->snapshot = t->loaded;
		if (snapshot_save(&t->loaded, t->snapshot_path, &why) == -1)
			err_add(err, "(%s)", why.text);
		return -1;
	}
	t->snapshot_kept = false;
	if (file_remove(t->snapshot_path, &why) == -1)
		err_add(err, "(%s)", why.text);
	return -1;
}

static int
send_all(struct target *t, const struct ops *ops, struct err *err)
{
	enum api_written written = API_WRITTEN_MAYBE;
	struct err why;

	if (!ops->count)
		return 0;
	if (session_open(&t->session, t->session.trust, t->session.credentials, err) == -1)
		return target_withdraw(t, err);
	if (api_write(&t->session.api, ops, &written, &why) == 0)
		return 0;
	*err = why;
	if (written == API_WRITTEN_NOTHING)
		return target_withdraw(t, err);
	t->progress = PROGRESS_UNPROVED;
	return written == API_WRITTEN_FAILED ? explain_failed(t, &why, err) : explain_lost(t, &why, err);
}

/* Of this run's keys: one that reads back as something else than planned. */
static bool
is_wrong(const struct plan_key *k)
{
	return k->state != KEY_CHANGED && !settings_same(k->after, k->wanted);
}

/*
 * A local key that is written while somebody's reload runs can vanish from the server's memory, and the next local write
 * would then erase it from the file (server-facts). Such keys are written once more; *wrong becomes what is still wrong.
 * 0, or -1 with err, which says all.
 */
static int
write_lost(struct target *t, size_t *wrong, struct err *err)
{
	enum api_written written = API_WRITTEN_NOTHING;
	struct ops ops = { 0 };
	struct settings s;
	struct err why;
	size_t i;

	for (i = 0; i < t->plan.key_count; i++) {
		const struct plan_key *k = &t->plan.keys[i];
		struct op op = { k->wanted ? OP_INSERT : OP_DELETE, k->key, k->wanted, k->wanted != NULL };

		if (k->write && k->local && is_wrong(k) && ops_add(&ops, &t->pool, &op, err) == -1)
			return -1;
	}
	if (!ops.count)
		return 0;
	t->rewritten = ops.count;
	if (session_open(&t->session, t->session.trust, t->session.credentials, &why) == 0 &&
	    api_write(&t->session.api, &ops, &written, &why) == 0 && read_back(t, &s, &why) == 0) {
		*wrong = plan_compare(&t->plan, &s);
		return 0;
	}
	if (written == API_WRITTEN_FAILED)
		return explain_failed(t, &why, err);
	return err_set(err, why.kind, "Keys that the server had accepted were gone when they were read back, and writing them again "
	    "failed: %s %s", why.text, UNKNOWN_NOW);
}

/*
 * A database key that reads back as before is shadowed by config.toml: what was written has no effect, so it is deleted
 * from the database again and leaves the snapshot. What the database held behind it can't be known.
 */
static int
drop_shadowed(struct target *t, size_t wrong, struct err *err)
{
	struct snapshot_key *keys = t->snapshot.keys;
	enum api_written written;
	struct ops ops = { 0 };
	size_t i, j, n;

	for (i = 0; i < t->plan.key_count; i++) {
		const struct plan_key *k = &t->plan.keys[i];
		struct op op = { OP_DELETE, k->key, NULL, 0 };

		if (!k->write || k->local || !k->wanted || !k->now || !is_wrong(k) || !settings_same(k->after, k->now))
			continue;
		if (ops_add(&ops, &t->pool, &op, err) == -1)
			return -1;
		for (j = n = 0; j < t->snapshot.count; j++) {
			if (strcmp(keys[j].key, k->key) != 0)
				keys[n++] = keys[j];
		}
		t->snapshot.count = n;
	}
	if (!ops.count)
		return 0;
	if (session_open(&t->session, t->session.trust, t->session.credentials, err) == -1 ||
	    api_write(&t->session.api, &ops, &written, err) == -1)
		return -1;
	t->shadowed = ops.count;
	return target_save_state(t, ops.count == wrong ? SNAPSHOT_PROVED : SNAPSHOT_SENDING, err);
}

/* Name the keys that are wrong, and say what is known of why. */
static int
explain_wrong(struct target *t, size_t wrong, struct err *err)
{
	struct err why;
	size_t i;

	err_clear(&why);
	err_set(err, ERR_SERVER, "The server accepted the write, but %zu of %zu keys do not read back as planned:", wrong,
	    t->plan.key_count);
	for (i = 0; i < t->plan.key_count; i++) {
		if (is_wrong(&t->plan.keys[i]))
			err_add(err, "%s", t->plan.keys[i].key);
	}
	err_add(err, ".");
	if (drop_shadowed(t, wrong, &why) == -1)
		err_add(err, "%s", why.text);
	if (t->shadowed)
		err_add(err, "%zu of them stand in this server's config.toml, which outranks the database: what was written to the "
		    "database for them is deleted again (what it held before behind the file's value, if anything, can't be known). "
		    "Change them in config.toml by hand while the server is stopped, or leave their group out.", t->shadowed);
	if (t->shadowed < wrong)
		err_add(err, "%s", UNKNOWN_NOW);
	return -1;
}

static int
prove(struct target *t, struct err *err)
{
	struct settings s;
	struct err why;
	size_t wrong, i;

	t->progress = PROGRESS_UNPROVED;
	if (read_back(t, &s, &why) == -1)
		return err_set(err, why.kind, "The server accepted the write, but it can't be read back: %s %s", why.text,
		    UNKNOWN_NOW);
	wrong = plan_compare(&t->plan, &s);
	if (wrong && write_lost(t, &wrong, err) == -1)
		return -1;
	if (wrong)
		return explain_wrong(t, wrong, err);
	t->progress = PROGRESS_PROVED;
	for (i = 0; i < t->plan.key_count; i++) {
		t->changed += t->plan.keys[i].write;
		t->local_changed |= t->plan.keys[i].write && t->plan.keys[i].local;
	}
	return 0;
}

/*
 * What a stage that is proved says of the whole snapshot. A write of any local key makes the server write its file whole;
 * where this run had none, local keys of other groups that were "sending" before still are.
 */
static enum snapshot_state
state_after(const struct target *t)
{
	bool others = false;
	size_t i;

	for (i = 0; i < t->plan.key_count; i++) {
		if (t->plan.keys[i].write && t->plan.keys[i].local)
			return SNAPSHOT_PROVED;
	}
	for (i = 0; i < t->snapshot.count; i++)
		others |= t->snapshot.keys[i].local;
	return t->has_snapshot && t->loaded.state == SNAPSHOT_SENDING && others ? SNAPSHOT_SENDING : SNAPSHOT_PROVED;
}

int
target_write(struct target *t, bool clearing, struct err *err)
{
	struct ops ops = { 0 };
	struct err why;

	if (t->is_file)
		return target_file_write(t, err);
	if (make_ops(&ops, t, clearing, err) == -1)
		return -1;
	if ((t->has_snapshot || !clearing) && ops.count && target_save_state(t, SNAPSHOT_SENDING, err) == -1)
		return -1;
	session_phase(&t->session, false);
	if (send_all(t, &ops, err) == -1 || prove(t, err) == -1)
		return -1;
	if (clearing || target_save_state(t, state_after(t), &why) == 0)
		return 0;
	/* All is written and read back, but the next run will think it has to write anew: it is told so. */
	t->progress = PROGRESS_UNPROVED;
	return err_set(err, ERR_SYSTEM, "All keys are written and read back, but the snapshot could not be brought up to date: %s. "
	    "Run the same command again.", why.text);
}

int
target_retire_snapshot(struct target *t, struct err *err)
{
	struct snapshot left = t->snapshot;
	char to[PATH_MAX];
	size_t i;

	if (!t->has_snapshot)
		return 0;
	left.keys = NULL;
	left.count = 0;
	for (i = 0; i < t->snapshot.count; i++) {
		const struct snapshot_key *k = &t->snapshot.keys[i];
		size_t j;

		for (j = 0; j < t->plan.key_count && strcmp(t->plan.keys[j].key, k->key) != 0; j++)
			;
		if ((j == t->plan.key_count || t->plan.keys[j].state == KEY_CHANGED) && snapshot_add(&left, &t->pool, k, err) == -1)
			return -1;
	}
	if (left.count) {
		left.state = SNAPSHOT_PROVED;
		t->snapshot = left;
		return snapshot_save(&left, t->snapshot_path, err);
	}
	if (snprintf(to, sizeof(to), "%s.cleared", t->snapshot_path) >= (int)sizeof(to))
		return err_set(err, ERR_SYSTEM, "%s: the name is too long", t->snapshot_path);
	if (file_rename(t->snapshot_path, to, err) == -1)
		return -1;
	snprintf(t->snapshot_path, sizeof(t->snapshot_path), "%s", to);
	t->snapshot_kept = false;
	return 0;
}

void
target_close(struct target *t)
{
	session_close(&t->session);
	file_unlock(t->lock, t->lock_path);
	t->lock = -1;
	configfile_free(&t->config);
	buf_free(&t->edited);
	pool_free(&t->local_pool);
	pool_free(&t->pool);
}
