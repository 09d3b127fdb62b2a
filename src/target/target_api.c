#include "target/target_api.h"

#include "settings/ops.h"
#include "settings/request.h"
#include "target/credentials.h"
#include "target/target_snapshot.h"

#include <stdio.h>
#include <string.h>

enum {
	TAKE_BACK_ROUNDS = 3,
	NAMED_MAX = 5 /* at most this many keys are named in a message */
};

/* Makes the server write its file. No server reads this key (server-facts: it accepts any name). */
static const char DUMMY[] = "server.stalprep.touch";

static const char UNKNOWN_NOW[] =
    "Run the same command again: it completes the work. Or undo it with stalprep clear.";

static int
connect_and_read(
    struct target *t, const struct trust *trust, const struct credentials *c, struct err *err)
{
	session_phase(&t->session, true);
	if (session_open(&t->session, trust, c, err) == -1)
		return -1;
	return api_read(&t->session.api, &t->pool, &t->facts, err);
}

int
target_api_read(struct target *t, const struct trust *trust, struct credentials *c, struct err *err)
{
	if (connect_and_read(t, trust, c, err) == -1) {
		if (err->kind != ERR_AUTH || err->code != 402 || c->final)
			return -1;
		if (credentials_add_code(c, err) == -1 || connect_and_read(t, trust, c, err) == -1)
			return -1;
	}
	t->read = true;
	if (t->request->minor != -1)
		t->session.api.capital = t->request->minor <= 10;
	if (t->purpose == TO_LOOK)
		return 0;
	return api_read_every(&t->session.api, &t->every_pool, &t->every, err);
}

/* Steps of a write, in the order sent: the database is not changed if the file can't be written. */
enum step {
	STEP_TOUCH,
	STEP_LOCAL_DELETE,
	STEP_LOCAL_INSERT,
	STEP_DATABASE_DELETE,
	STEP_DATABASE_INSERT,
	STEP_COUNT
};

static bool
is_of_step(const struct plan_key *k, enum step step)
{
	bool insert = step == STEP_LOCAL_INSERT || step == STEP_DATABASE_INSERT;
	bool local = step == STEP_LOCAL_DELETE || step == STEP_LOCAL_INSERT;

	if (!k->write || k->local != local)
		return false;
	return insert ? k->wanted != NULL : !k->wanted || settings_same(k->now, k->wanted);
}

static void
add_step(struct ops *ops, struct target *t, enum step step)
{
	bool insert = step == STEP_LOCAL_INSERT || step == STEP_DATABASE_INSERT;
	size_t i;

	for (i = 0; i < t->plan.key_count; i++) {
		const struct plan_key *k = &t->plan.keys[i];
		struct op op = { insert ? OP_INSERT : OP_DELETE, k->key, k->wanted, step };

		if (is_of_step(k, step))
			ops_add(ops, &t->pool, &op);
	}
}

/*
 * Must the server write its file even if its memory already has the wanted values? Yes for a clear
 * after a run that may have written local keys: the file may still hold them.
 */
static bool
must_touch(const struct target *t)
{
	size_t i;

	if (!t->plan.clearing || !t->has_snapshot || t->loaded.state != SNAPSHOT_SENDING)
		return false;
	for (i = 0; i < t->loaded.count; i++) {
		if (t->loaded.keys[i].local)
			return true;
	}
	return false;
}

static void
make_ops(struct ops *ops, struct target *t)
{
	struct op touch = { OP_INSERT, DUMMY, "1", STEP_TOUCH };
	enum step step;

	if (must_touch(t)) {
		t->sent_dummy = true;
		ops_add(ops, &t->pool, &touch);
		touch.kind = OP_DELETE;
		touch.step = STEP_LOCAL_DELETE;
		ops_add(ops, &t->pool, &touch);
	}
	for (step = STEP_LOCAL_DELETE; step < STEP_COUNT; step++)
		add_step(ops, t, step);
}

/* Connect again, unless the connection is still open. */
static int
reconnect(struct target *t, struct err *err)
{
	return session_open(&t->session, t->session.trust, t->session.credentials, err);
}

/* Send the operations. 0; or -1 with err and *written, as for api_write. */
static int
post(struct target *t, const struct ops *ops, enum api_written *written, struct err *err)
{
	*written = API_WRITTEN_NOTHING;
	if (pool_check(&t->pool, err) == -1 || /* an operation may be lost */
	    reconnect(t, err) == -1)
		return -1;
	return api_write(&t->session.api, ops, written, err);
}

/* Set one key in the server's memory back to value. That the file can't be written is expected. */
static void
take_back_one(struct target *t, const char *key, const char *value)
{
	struct op op = { value ? OP_INSERT : OP_DELETE, key, value, 0 };
	enum api_written written;
	struct ops ops = { 0 };
	struct err ignored;

	ops_add(&ops, &t->pool, &op);
	t->local_changed |= post(t, &ops, &written, &ignored) == 0;
}

/* Read back. If the server closed the connection meanwhile, connect again once. */
static int
read_back(struct target *t, struct settings *out, struct err *err)
{
	int tries;

	for (tries = 0; tries < 2; tries++) {
		if (reconnect(t, err) == 0 &&
		    api_read_settings(&t->session.api, &t->pool, out, err) == 0)
			return 0;
		if (err->kind != ERR_REACH)
			return -1;
	}
	return -1;
}

/*
 * The server could not write its config.toml, but its memory holds our keys, and the next local
 * write would put them into the file. Remove them one by one until a read shows none (server-facts:
 * a delete that fails still removes the key). Gives how many of them the last read shows; *database
 * is how many of the database's keys are changed.
 */
static size_t
take_back(struct target *t, size_t *database)
{
	struct settings s;
	struct err ignored;
	size_t i, dirty = 1;
	int round;

	if (t->sent_dummy)
		take_back_one(t, DUMMY, NULL);
	for (round = 0; round <= TAKE_BACK_ROUNDS && dirty; round++) {
		t->plan.unread = true;
		if (read_back(t, &s, &ignored) == -1)
			break;
		plan_compare(&t->plan, &s);
		for (i = dirty = *database = 0; i < t->plan.key_count; i++) {
			const struct plan_key *k = &t->plan.keys[i];

			if (!k->write || settings_same(k->after, k->now))
				continue;
			if (!k->local) {
				++*database;
				continue;
			}
			dirty++;
			if (round < TAKE_BACK_ROUNDS)
				take_back_one(t, k->key, k->now);
		}
	}
	return dirty;
}

static int
explain_failed(struct target *t, const struct err *why, struct err *err)
{
	size_t database = 0, dirty = take_back(t, &database);

	err_set(err, ERR_SERVER,
	    "%s The usual cause: it could not write its config.toml (full disk, read-only file).",
	    why->text);
	if (t->plan.unread)
		err_add(err, "What its memory and its database hold now could not be read.");
	else if (database)
		err_add(err, "But %zu of the database's keys are changed.", database);
	else
		err_add(err, "The settings in the database are not changed.");
	err_add(err,
	    "%s DO NOT RESTART the server: its config.toml may be incomplete. Check the disk and "
	    "the file's permissions, compare the file with your copy, then run the same command "
	    "again. The API may show the old values even if the file is damaged. Snapshot: %s.",
	    dirty ? "Some of stalprep's keys may still be in the server's memory."
		  : "stalprep removed its keys from the server's memory again.",
	    t->snapshot_path);
	err->code = why->code;
	return -1;
}

/* The answer was lost. Say what a read shows now, and that this is no proof. */
static int
explain_lost(struct target *t, const struct err *why, struct err *err)
{
	struct settings s;
	struct err ignored;
	size_t wrong;

	if (read_back(t, &s, &ignored) == -1) {
		err_set(err, why->kind,
		    "%s It is not known whether the server wrote anything, and its settings can't "
		    "be read now. %s",
		    why->text, UNKNOWN_NOW);
	} else {
		wrong = plan_compare(&t->plan, &s);
		err_set(err, why->kind,
		    "%s A read now shows that %zu of %zu keys are as planned. It is not known "
		    "whether the server wrote its config.toml. %s",
		    why->text, t->plan.key_count - wrong, t->plan.key_count, UNKNOWN_NOW);
	}
	err->code = why->code;
	return -1;
}

static int
send_all(struct target *t, const struct ops *ops, struct err *err)
{
	enum api_written written = API_WRITTEN_MAYBE;
	struct err why;
	int tries;

	if (!ops->count)
		return 0;
	/* Twice: a server may close when it rejects the first spelling of the operations. */
	for (tries = 0; tries < 2; tries++) {
		if (reconnect(t, err) == -1)
			return -1;
		if (post(t, ops, &written, &why) == 0)
			return 0;
		if (written != API_WRITTEN_NOTHING || why.kind != ERR_REACH)
			break;
	}
	*err = why;
	if (written == API_WRITTEN_NOTHING)
		return -1;
	target_unproved(t);
	return written == API_WRITTEN_FAILED ? explain_failed(t, &why, err)
					     : explain_lost(t, &why, err);
}

/* Is this a key of this run that does not read back as planned? */
static bool
is_wrong(const struct plan_key *k)
{
	return k->state != KEY_CHANGED && !settings_same(k->after, k->wanted);
}

/*
 * A local key that is written during a reload can vanish from the server's memory, and the next
 * local write would then erase it from the file (server-facts). Write such keys once more; *wrong
 * becomes the number of keys that are still wrong. 0, or -1 with the whole message in err.
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
		struct op op = { k->wanted ? OP_INSERT : OP_DELETE, k->key, k->wanted,
			k->wanted != NULL };

		if (k->write && k->local && is_wrong(k))
			ops_add(&ops, &t->pool, &op);
	}
	if (!ops.count)
		return 0;
	t->rewritten = ops.count;
	if (post(t, &ops, &written, &why) == 0 && read_back(t, &s, &why) == 0) {
		*wrong = plan_compare(&t->plan, &s);
		return 0;
	}
	if (written == API_WRITTEN_FAILED)
		return explain_failed(t, &why, err);
	return err_set(err, why.kind,
	    "The server accepted keys, but they were gone when they were read back. Writing them "
	    "again failed: %s %s",
	    why.text, UNKNOWN_NOW);
}

/* Send the operations, and compare all keys again. */
static int
send_again(struct target *t, const struct ops *ops, struct settings *s, struct err *err)
{
	enum api_written written;

	if (post(t, ops, &written, err) == -1 || read_back(t, s, err) == -1)
		return -1;
	plan_compare(&t->plan, s);
	return 0;
}

static void
forget_key(struct snapshot *s, const char *key)
{
	size_t i, n;

	for (i = n = 0; i < s->count; i++) {
		if (strcmp(s->keys[i].key, key) != 0)
			s->keys[n++] = s->keys[i];
	}
	s->count = n;
}

/*
 * A database key that reads back as before may be shadowed by config.toml. Delete it from the
 * database and read again. If it is still there, it is the file's: our value had no effect, and the
 * key leaves the snapshot (what the database held before is not known). If it is gone, somebody set
 * the value since: put it back.
 */
static int
drop_shadowed(struct target *t, size_t wrong, struct err *err)
{
	struct ops gone = { 0 }, back = { 0 };
	struct settings s;
	size_t i;

	for (i = 0; i < t->plan.key_count; i++) {
		const struct plan_key *k = &t->plan.keys[i];
		struct op op = { OP_DELETE, k->key, k->now, 0 };

		if (k->write && !k->local && k->now && is_wrong(k) &&
		    settings_same(k->after, k->now))
			ops_add(&gone, &t->pool, &op);
	}
	if (!gone.count)
		return 0;
	if (send_again(t, &gone, &s, err) == -1)
		return -1;
	for (i = 0; i < gone.count; i++) {
		struct op op = gone.items[i];

		op.kind = OP_INSERT;
		if (settings_get(&s, op.key)) {
			forget_key(&t->snapshot, op.key);
			t->shadowed++;
		} else {
			ops_add(&back, &t->pool, &op);
		}
	}
	if (back.count && send_again(t, &back, &s, err) == -1)
		return -1;
	return t->shadowed == wrong ? target_save_proved(t, err) : target_save_sending(t, err);
}

/* Name the keys that are wrong, and say why if that is known. */
static int
explain_wrong(struct target *t, size_t wrong, struct err *err)
{
	char names[512] = "";
	struct err why;
	size_t i, len, n = 0, elsewhere = 0;

	for (i = 0; i < t->plan.key_count; i++) {
		const struct plan_key *k = &t->plan.keys[i];

		len = strlen(names);
		elsewhere += is_wrong(k) && !k->local && !k->write;
		if (is_wrong(k) && n < NAMED_MAX)
			snprintf(
			    names + len, sizeof(names) - len, "%s%.90s", n++ ? ", " : "", k->key);
	}
	err_set(err, ERR_SERVER,
	    "The server accepted the write, but %zu of %zu keys do not read back as planned: %s%s.",
	    wrong, t->plan.key_count, names, wrong > n ? " and more" : "");
	if (t->plan.clearing)
		err_add(err,
		    "A key in config.toml outranks the database. Stop the server and remove the "
		    "key from the file.");
	else if (drop_shadowed(t, wrong, &why) == -1)
		err_add(err, "%s", why.text);
	if (t->shadowed)
		err_add(err,
		    "This server's config.toml has %zu of them, and it outranks the database. What "
		    "was written to the database for them is deleted again. What the database held "
		    "before is not known. Stop the server and use --config, or leave the group out "
		    "with --skip.",
		    t->shadowed);
	if (elsewhere)
		err_add(err,
		    "%zu of them were written through the first --url and are missing here, so the "
		    "two servers share no database. Clear both, then stage them one by one.",
		    elsewhere);
	if (t->shadowed + elsewhere < wrong)
		err_add(err, "%s", UNKNOWN_NOW);
	return -1;
}

static int
prove(struct target *t, struct err *err)
{
	struct settings s;
	struct err why;
	size_t wrong, i;

	target_unproved(t);
	if (read_back(t, &s, &why) == -1)
		return err_set(err, why.kind,
		    "The server accepted the write, but reading it back failed: %s %s", why.text,
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

int
target_api_write(struct target *t, struct err *err)
{
	struct ops ops = { 0 };
	struct err why;

	make_ops(&ops, t);
	if (pool_check(&t->pool, err) == -1)
		return -1;
	if (t->snapshot_kept && ops.count && target_save_sending(t, err) == -1)
		return -1;
	session_phase(&t->session, false);
	if (send_all(t, &ops, err) == -1 || prove(t, err) == -1)
		return -1;
	if (t->plan.clearing || target_save_proved(t, &why) == 0)
		return 0;
	/* The file still says `sending`: the next run will take the write for uncertain. */
	t->progress = PROGRESS_UNPROVED;
	return err_set(err, ERR_SYSTEM,
	    "All keys are written and read back, but the snapshot could not be updated: %s. Run "
	    "the same command again.",
	    why.text);
}
