#include "target/target_api.h"

#include "settings/localkeys.h"
#include "settings/ops.h"
#include "settings/request.h"
#include "target/credentials.h"
#include "target/store.h"
#include "target/target_file.h"
#include "target/target_snapshot.h"

#include <stdio.h>
#include <string.h>

/* tries to remove our keys from the server's memory */
enum { RESTORE_ROUNDS = 3 };

/*
 * Makes the server write its file, if it is one of the local keys. No server reads these keys
 * (server-facts: it accepts any name; a listener without a protocol is none).
 */
static const char *const dummies[] = { "server.stalprep.touch", "server.listener.stalprep.touch",
	"cluster.stalprep.touch", "storage.stalprep.touch" };

/* The first that is local on this server, or NULL. */
static const char *
dummy_of(const struct target *t)
{
	size_t i;

	for (i = 0; i < COUNT(dummies); i++) {
		if (localkeys_match(&t->facts.settings, t->plan.dialect->last, dummies[i]))
			return dummies[i];
	}
	return NULL;
}

static const char WAY_OUT[] =
    "Run the same command again: it completes the work. Or undo it with stalprep clear.";

bool
target_reads_all(const struct target *t)
{
	return t->purpose != TO_LOOK || t->boot.name[0];
}

static int
connect_and_read(
    struct target *t, const struct trust *trust, const struct credentials *c, struct err *err)
{
	session_begin_phase(&t->session, true);
	if (session_open(&t->session, trust, c, err) == -1)
		return -1;
	return api_read(
	    &t->session.api, &t->pool, &t->facts, target_reads_all(t) ? &t->every : NULL, err);
}

int
target_api_read(struct target *t, const struct trust *trust, struct credentials *c, struct err *err)
{
	if (connect_and_read(t, trust, c, err) == -1) {
		if (err->kind != ERR_AUTH || err->code != 402 || c->complete)
			return -1;
		if (credentials_add_code(c, err) == -1 || connect_and_read(t, trust, c, err) == -1)
			return -1;
	}
	t->read = true;
	if (t->request.minor != -1)
		t->session.api.capital = t->request.minor <= 10;
	return 0;
}

/* Steps of a write, in the order sent: the database is not changed if the file can't be written. */
enum step {
	STEP_DUMMY,
	STEP_LOCAL_DELETE,
	STEP_LOCAL_INSERT,
	STEP_DATABASE_DELETE,
	STEP_DATABASE_INSERT,
	STEP_COUNT
};

/*
 * A local key that has its wanted value is deleted before it is inserted: without a change the
 * server would not write its file (server-facts). One of the database that stands in the file is
 * cleared from both, among the local ones, because that writes the file too.
 */
static bool
belongs_to_step(const struct plan_key *k, enum step step)
{
	bool insert = step == STEP_LOCAL_INSERT || step == STEP_DATABASE_INSERT;
	bool local = step == STEP_LOCAL_DELETE || step == STEP_LOCAL_INSERT;

	if (!k->write)
		return false;
	if (k->in_file)
		return step == STEP_LOCAL_DELETE || (k->wanted && step == STEP_DATABASE_INSERT);
	if (k->local != local)
		return false;
	return insert ? k->wanted != NULL
		      : !k->wanted || (local && settings_same(k->now, k->wanted));
}

/* Add a step's operations for the keys of these groups. */
static void
add_step(struct ops *ops, struct target *t, enum step step, unsigned groups)
{
	bool insert = step == STEP_LOCAL_INSERT || step == STEP_DATABASE_INSERT;
	size_t i;

	for (i = 0; i < t->plan.key_count; i++) {
		const struct plan_key *k = &t->plan.keys[i];
		struct op op = { insert ? OP_INSERT : OP_DELETE, k->key, k->wanted, step };

		if (k->in_file && !insert)
			op.kind = OP_CLEAR;
		if (groups & 1u << k->group && belongs_to_step(k, step))
			ops_add(ops, &t->pool, &op);
	}
}

/* Is it a key of an old routing rule, which has to go before the new rule comes? */
static bool
is_old_rule(const struct target *t, const struct plan_key *k)
{
	const char *rule = t->plan.dialect->rule;

	return !t->plan.clearing && k->group == GROUP_OUTBOUND && k->write && !k->local &&
	    !k->wanted && !strncmp(k->key, rule, strlen(rule));
}

/* Does an old rule stand, by `now`; or still, by the read after its deletion? */
static bool
has_old_rule(const struct target *t, bool after)
{
	size_t i;

	for (i = 0; i < t->plan.key_count; i++) {
		const struct plan_key *k = &t->plan.keys[i];

		if (is_old_rule(t, k) && (!after || k->after))
			return true;
	}
	return false;
}

/*
 * Must the server write its file even if its memory already has the wanted values? Yes for a clear
 * after a run that may have written local keys: the file may still hold them.
 */
static bool
needs_dummy(const struct target *t)
{
	size_t i;

	if (t->plan.touch)
		return true;
	if (!t->plan.clearing || t->found.state != PART_SENDING)
		return false;
	for (i = 0; i < t->found.count; i++) {
		if (t->found.keys[i].local)
			return true;
	}
	return false;
}

/* The inserts of an outbound rule wait until the old rule is seen to be gone. */
static void
make_ops(struct ops *ops, struct target *t)
{
	unsigned outbound = 1u << GROUP_OUTBOUND;
	struct op dummy = { OP_INSERT, dummy_of(t), "1", STEP_DUMMY };
	enum step step;

	if (needs_dummy(t) && dummy.key) {
		t->sent_dummy = true;
		ops_add(ops, &t->pool, &dummy);
		dummy.kind = OP_DELETE;
		dummy.step = STEP_LOCAL_DELETE;
		ops_add(ops, &t->pool, &dummy);
	}
	t->rule_waits = has_old_rule(t, false);
	for (step = STEP_LOCAL_DELETE; step < STEP_COUNT; step++)
		add_step(
		    ops, t, step, step == STEP_DATABASE_INSERT && t->rule_waits ? ~outbound : ~0u);
}

/* Connect again, unless the connection is still open. */
static int
reconnect(struct target *t, struct err *err)
{
	return session_open(&t->session, t->session.trust, t->session.credentials, err);
}

/* Send the operations; reads: read_back comes next. 0; or -1 with err and *written (api_write). */
static int
post(
    struct target *t, const struct ops *ops, bool reads, enum api_written *written, struct err *err)
{
	*written = API_WRITTEN_NOTHING;
	/* Without memory an operation may be missing. */
	if (pool_check(&t->pool, err) == -1 || reconnect(t, err) == -1)
		return -1;
	return api_write(&t->session.api, ops, reads, written, err);
}

/* Set one key in the server's memory back to value. That the file can't be written is expected. */
static void
restore_key(struct target *t, const char *key, const char *value)
{
	struct op op = { value ? OP_INSERT : OP_DELETE, key, value, 0 };
	enum api_written written;
	struct ops ops = { 0 };
	struct err ignored;

	ops_add(&ops, &t->pool, &op);
	t->local_changed |= post(t, &ops, false, &written, &ignored) == 0;
}

/* Read back. If the server closed the connection meanwhile, connect again once. */
static int
read_back(struct target *t, struct settings *out, struct err *err)
{
	int tries;

	for (tries = 0; tries < 2; tries++) {
		if (reconnect(t, err) == 0 &&
		    api_read_settings(&t->session.api, &t->pool, out, NULL, err) == 0)
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
restore_memory(struct target *t, size_t *database)
{
	struct settings s;
	struct err ignored;
	size_t i, left = 1;
	int round;

	if (t->sent_dummy)
		restore_key(t, dummy_of(t), NULL);
	for (round = 0; round <= RESTORE_ROUNDS && left; round++) {
		t->plan.unread = true;
		if (read_back(t, &s, &ignored) == -1)
			break;
		plan_compare(&t->plan, &s);
		for (i = left = *database = 0; i < t->plan.key_count; i++) {
			const struct plan_key *k = &t->plan.keys[i];

			if (!k->write || settings_same(k->after, k->now))
				continue;
			if (!k->local) {
				++*database;
				continue;
			}
			left++;
			if (round < RESTORE_ROUNDS)
				restore_key(t, k->key, k->now);
		}
	}
	return left;
}

static int
explain_500(struct target *t, const struct err *why, struct err *err)
{
	size_t database = 0, left = restore_memory(t, &database);

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
	    "again. The API may show the old values even if the file is damaged.",
	    left ? "Some of stalprep's keys may still be in the server's memory."
		 : "stalprep removed its keys from the server's memory again.");
	if (t->store->kept)
		err_add(err, "Snapshot: %s.", t->store->path);
	if (!t->plan.clearing)
		err_add(err, "%s", target_source_words(t));
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
		    why->text, WAY_OUT);
	} else {
		wrong = plan_compare(&t->plan, &s);
		err_set(err, why->kind,
		    "%s A read now shows that %zu of %zu key%s as planned. It is not known "
		    "whether the server wrote its config.toml. %s",
		    why->text, t->plan.key_count - wrong, t->plan.key_count,
		    t->plan.key_count == 1 ? " is" : "s are", WAY_OUT);
	}
	err->code = why->code;
	return -1;
}

static int
send_all(struct target *t, const struct ops *ops, struct err *err)
{
	enum api_written written = API_WRITTEN_NOTHING;
	struct err why;
	int tries;

	if (!ops->count)
		return 0;
	/* Twice: a server may close when it rejects the first spelling of the operations. */
	for (tries = 0; tries < 2; tries++) {
		if (reconnect(t, &why) == -1)
			break;
		if (post(t, ops, true, &written, &why) == 0)
			return 0;
		if (written != API_WRITTEN_NOTHING || why.kind != ERR_REACH)
			break;
	}
	*err = why;
	if (written == API_WRITTEN_NOTHING) {
		if (t->progress != PROGRESS_NONE)
			err_add(err,
			    "The old routing rule is deleted, and the new one is not there. %s",
			    WAY_OUT);
		return -1;
	}
	target_mark_unproved(t);
	return written == API_WRITTEN_FAILED ? explain_500(t, &why, err)
					     : explain_lost(t, &why, err);
}

/* Is this a key of this run that does not read back as planned? */
static bool
is_not_as_planned(const struct plan_key *k)
{
	return !plan_key_is_left(k) && !settings_same(k->after, k->wanted);
}

/*
 * A local key that is written during a reload can vanish from the server's memory, and the next
 * local write would then erase it from the file (server-facts). Write such keys once more; *wrong
 * becomes the number of keys that are still wrong. 0, or -1 with the whole message in err.
 */
static int
rewrite_lost(struct target *t, size_t *wrong, struct err *err)
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

		if (k->write && k->local && is_not_as_planned(k))
			ops_add(&ops, &t->pool, &op);
	}
	if (!ops.count)
		return 0;
	t->rewritten = ops.count;
	if (post(t, &ops, true, &written, &why) == 0 && read_back(t, &s, &why) == 0) {
		*wrong = plan_compare(&t->plan, &s);
		return 0;
	}
	if (written == API_WRITTEN_FAILED)
		return explain_500(t, &why, err);
	return err_set(err, why.kind,
	    "The server accepted keys, but they were gone when they were read back. Writing them "
	    "again failed: %s %s",
	    why.text, WAY_OUT);
}

/* Count what this run changed, now that it is proved. */
static void
count_changes(struct target *t)
{
	size_t i;

	t->changed = 0;
	t->local_changed |= t->sent_dummy;
	for (i = 0; i < t->plan.key_count; i++) {
		t->changed += t->plan.keys[i].write;
		t->local_changed |= t->plan.keys[i].write && t->plan.keys[i].local;
	}
}

/* A step of a take-back. Gives whether there is anything to do for the key. */
static bool
belongs_to_take_back(const struct target *t, const struct plan_key *k, unsigned groups, bool insert)
{
	bool sent = k->local || !(t->rule_waits && k->group == GROUP_OUTBOUND);

	if (!k->write || !(groups & 1u << k->group))
		return false;
	return insert ? k->now && !k->after : k->wanted && sent;
}

/* Send one step of a take-back, and read all keys again. */
static int
send_take_back(struct target *t, unsigned groups, bool insert, struct err *err)
{
	enum api_written written;
	struct ops ops = { 0 };
	struct settings s;
	size_t i;

	for (i = 0; i < t->plan.key_count; i++) {
		const struct plan_key *k = &t->plan.keys[i];
		struct op op = { insert ? OP_INSERT : OP_DELETE, k->key, k->now, 0 };

		if (belongs_to_take_back(t, k, groups, insert))
			ops_add(&ops, &t->pool, &op);
	}
	if (!ops.count)
		return pool_check(&t->pool, err);
	if (post(t, &ops, true, &written, err) == -1 || read_back(t, &s, err) == -1)
		return -1;
	plan_compare(&t->plan, &s);
	return 0;
}

/*
 * Delete what was written, and insert what stood before where it does not stand now: what still
 * stands after the deletes is config.toml's.
 */
int
target_take_back(struct target *t, unsigned groups, struct err *err)
{
	struct err why;
	size_t i;
	int r;

	session_begin_phase(&t->session, false);
	r = send_take_back(t, groups, false, &why);
	for (i = 0; i < t->plan.key_count && r == 0; i++) {
		struct plan_key *k = &t->plan.keys[i];

		k->stood = k->after && (!k->wanted || belongs_to_take_back(t, k, groups, false));
	}
	if (r == -1 || send_take_back(t, groups, true, &why) == -1) {
		target_mark_unproved(t);
		return err_set(err, why.kind, "To take it back failed: %s %s", why.text, WAY_OUT);
	}
	for (i = 0; i < t->plan.key_count; i++) {
		struct plan_key *k = &t->plan.keys[i];

		if (!k->write || !(groups & 1u << k->group))
			continue;
		if (!settings_same(k->after, k->now)) {
			target_mark_unproved(t);
			return err_set(err, ERR_SERVER,
			    "To take it back failed: %.120s does not read back as before. %s",
			    k->key, WAY_OUT);
		}
		k->write = false;
		k->taken = true;
		k->state = plan_key_state(k, k->after);
		t->plan.write_count--;
	}
	t->taken |= groups;
	count_changes(t);
	if (target_save_taken(t, t->taken, err) == 0)
		return 0;
	t->progress = PROGRESS_UNPROVED;
	return -1;
}

/* The keys that do not read back as planned, by what is wrong. */
struct wrong {
	struct names all, outranked;
	size_t missing;  /* written through the first node, and absent on this one */
	unsigned groups; /* of the outranked keys */
	bool ours;       /* this node wrote them */
	size_t others;   /* keys outside of these groups */
};

/*
 * A key of the database that reads back as it was read before the write is outranked by this
 * server's config.toml. With another value, or none, somebody else wrote at the same time.
 */
static void
find_wrong(const struct target *t, struct wrong *w)
{
	size_t i;

	for (i = 0; i < t->plan.key_count; i++) {
		const struct plan_key *k = &t->plan.keys[i];

		if (!is_not_as_planned(k))
			continue;
		names_add(&w->all, k->key);
		if (k->local)
			continue;
		if (!k->write && !k->after)
			w->missing++;
		if (!k->after || !settings_same(k->after, k->now))
			continue;
		names_add(&w->outranked, k->key);
		w->groups |= 1u << k->group;
		w->ours |= k->write;
	}
	if (w->missing) /* the servers share no database: this says nothing of a file */
		w->groups = 0;
	for (i = 0; i < t->plan.key_count; i++) {
		const struct plan_key *k = &t->plan.keys[i];

		w->others += is_not_as_planned(k) && (k->local || !(w->groups & 1u << k->group));
	}
}

/* Of the groups that were taken back: name the keys that config.toml has. */
static struct names
name_file_keys(const struct target *t)
{
	struct names names = { 0 };
	size_t i;

	for (i = 0; i < t->plan.key_count; i++) {
		if (t->plan.keys[i].taken && t->plan.keys[i].stood)
			names_add(&names, t->plan.keys[i].key);
	}
	return names;
}

/*
 * The groups of which keys are outranked are not staged: what of them is written goes again. If it
 * was written through the first node, the caller takes it back there. 0; or -1 with err. What is to
 * say is in err in any case.
 */
static int
give_up_groups(struct target *t, const struct wrong *w, struct err *err)
{
	const char *groups = group_list(&t->pool, w->groups);
	struct names names = w->outranked;
	struct err why;

	t->outranked = w->groups;
	if (w->ours) {
		if (target_take_back(t, w->groups, &why) == -1)
			return err_set(err, why.kind,
			    "%s%s did not read back as written, so group %s has to be taken back. "
			    "%s",
			    names.text, names_more(&names), groups, why.text);
		names = name_file_keys(t);
	}
	if (names.count)
		err_set(err, ERR_SERVER,
		    "This server's config.toml has %s%s, and it outranks the database.", names.text,
		    names_more(&names));
	else
		err_set(
		    err, ERR_SERVER, "Somebody else set %s at the same time.", w->outranked.text);
	err_add(err,
	    "So group %s is not staged: what was written of it is taken back, and the database has "
	    "what stood there before.",
	    groups);
	if (names.count)
		err_add(err, "What it held behind these keys of the file is not known. %s",
		    group_way_out(&t->pool, w->groups));
	else
		err_add(err, "Run the same command again.");
	return 0;
}

/* Name the keys that are wrong, and say why if that is known. */
static int
explain_wrong(struct target *t, struct err *err)
{
	struct wrong w = { 0 };
	struct err given_up;

	find_wrong(t, &w);
	if (w.groups && !t->plan.clearing) {
		if (give_up_groups(t, &w, &given_up) == 0 && !w.others)
			t->progress = PROGRESS_PROVED;
		if (!w.others) {
			*err = given_up;
			return -1;
		}
	}
	err_set(err, ERR_SERVER,
	    "The server accepted the write, but %zu of %zu key%s not read back as planned: %s%s.",
	    w.all.count, t->plan.key_count, t->plan.key_count == 1 ? " does" : "s do", w.all.text,
	    names_more(&w.all));
	if (t->plan.clearing)
		err_add(err,
		    "A key in config.toml outranks the database. Stop the server and remove the "
		    "key from the file.");
	else if (w.groups)
		err_add(err, "%s", given_up.text);
	if (w.missing)
		err_add(err,
		    "%zu of them were written through the first --url and are missing here, so the "
		    "two servers share no database. Clear both, then stage them one by one.",
		    w.missing);
	if (w.missing < w.all.count)
		err_add(err, "%s", WAY_OUT);
	if (t->taken && t->store->kept && target_save_sending(t, &given_up) == -1)
		err_add(err, "%s", given_up.text);
	return -1;
}

/*
 * A clear: keys of the database that read back as before the write stand in config.toml, which
 * outranks it. They are left. Gives how many.
 */
static size_t
leave_outranked(struct target *t)
{
	size_t i, count = 0;

	for (i = 0; i < t->plan.key_count; i++) {
		struct plan_key *k = &t->plan.keys[i];

		if (!is_not_as_planned(k) || k->local || !k->write || !k->after ||
		    !settings_same(k->after, k->now))
			continue;
		k->state = KEY_IN_FILE;
		k->write = false;
		t->plan.write_count--;
		t->plan.left_count++;
		count++;
	}
	t->left_in_file = count;
	return count;
}

/* Read back what was written. 0; or -1 with the whole message. */
static int
read_written(struct target *t, struct settings *s, struct err *err)
{
	struct err why;

	target_mark_unproved(t);
	if (read_back(t, s, &why) == 0)
		return 0;
	return err_set(err, why.kind,
	    "The server accepted the write, but it could not be read back: %s %s", why.text,
	    WAY_OUT);
}

static int
prove_write(struct target *t, struct err *err)
{
	struct settings s;
	size_t wrong;

	if (read_written(t, &s, err) == -1)
		return -1;
	wrong = plan_compare(&t->plan, &s);
	if (wrong && rewrite_lost(t, &wrong, err) == -1)
		return -1;
	if (t->plan.clearing)
		wrong -= leave_outranked(t);
	if (wrong) {
		explain_wrong(t, err);
		count_changes(t);
		return -1;
	}
	t->progress = PROGRESS_PROVED;
	count_changes(t);
	return 0;
}

/*
 * The old routing rule is deleted. Where a read shows that, send the new one; else config.toml has
 * it, and two halves would block every reload (server-facts). 0; or -1 with the whole message.
 */
static int
send_rule(struct target *t, struct err *err)
{
	struct ops ops = { 0 };
	struct settings s;

	if (read_written(t, &s, err) == -1)
		return -1;
	plan_compare(&t->plan, &s);
	if (has_old_rule(t, true))
		return 0; /* prove_write says so */
	add_step(&ops, t, STEP_DATABASE_INSERT, 1u << GROUP_OUTBOUND);
	t->rule_waits = false;
	return send_all(t, &ops, err);
}

/* Does any of the operations make the server write its file? */
static bool
writes_file(const struct ops *ops)
{
	size_t i;

	for (i = 0; i < ops->count && ops->items[i].step > STEP_LOCAL_INSERT; i++)
		;
	return i < ops->count;
}

int
target_api_write(struct target *t, struct err *err)
{
	struct ops ops = { 0 };
	struct err why;

	make_ops(&ops, t);
	if (pool_check(&t->pool, err) == -1)
		return -1;
	if (needs_dummy(t) && !writes_file(&ops))
		return err_set(err, ERR_REFUSED,
		    "The server has to write its config.toml anew, and config.local-keys keeps "
		    "every key out of it by which stalprep could make it do so. Change any key of "
		    "the file in the administration page.");
	if (ops.count && target_save_sending(t, err) == -1)
		return -1;
	session_begin_phase(&t->session, false);
	if (send_all(t, &ops, err) == -1 || (t->rule_waits && send_rule(t, err) == -1) ||
	    prove_write(t, err) == -1)
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
