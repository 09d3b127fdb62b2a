#include "target/target_snapshot.h"

#include "base/err.h"
#include "base/when.h"
#include "settings/request.h"
#include "sys/file.h"
#include "target/reach.h"
#include "target/snapfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int
target_name_snapshot(struct target *t, const char *folder, const char *whose, struct err *err)
{
	char here[PATH_MAX], name[PATH_MAX];

	if (t->reach->snapshot_dir)
		folder = t->reach->snapshot_dir;
	if (t->reach->snapshot)
		snprintf(name, sizeof(name), "%s", t->reach->snapshot);
	else
		snprintf(name, sizeof(name), "%s%sstalprep-%s.snapshot.json", folder,
		    *folder ? "/" : "", whose);
	/* Absolute, so that what the report prints works in any folder. */
	if (*name == '/' || !getcwd(here, sizeof(here)) || *here != '/')
		here[0] = '\0';
	if (snprintf(t->snapshot_path, sizeof(t->snapshot_path), "%s%s%s", here,
		*here && strcmp(here, "/") != 0 ? "/" : "", name) >= (int)sizeof(t->snapshot_path))
		return err_set(err, ERR_USAGE, "the snapshot's name is too long: %.120s...", name);
	return 0;
}

/*
 * A snapshot may hold keys of another relay, or of another new server, than this run names. Those
 * are read one by one; prefixes find all others. Keys with other characters are not stalprep's.
 */
static int
add_extra_keys(struct target *t, const struct snapshot *s, struct err *err)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:";
	const char **extra = pool_zero(&t->pool, (s->count + 1) * sizeof(*extra));
	size_t i, n = 0;

	if (!extra)
		return err_memory(err);
	for (i = 0; i < s->count; i++) {
		const char *key = s->keys[i].key;

		if ((s->keys[i].group == GROUP_OUTBOUND || s->keys[i].group == GROUP_ALLOW) &&
		    strspn(key, plain) == strlen(key))
			extra[n++] = key;
	}
	t->session.api.extra = extra;
	t->session.api.extra_count = n;
	return 0;
}

/* A snapshot beside its config.toml belongs to it, even if both are mounted elsewhere now. */
static bool
lies_beside_file(const struct target *t)
{
	const char *own = strrchr(t->config.path, '/'), *its = strrchr(t->loaded.target, '/'), *end;
	char path[PATH_MAX];

	if (!t->is_file || !own || !its || strcmp(own, its) != 0 ||
	    !realpath(t->snapshot_path, path))
		return false;
	end = strrchr(path, '/');
	return end - path == own - t->config.path &&
	    !memcmp(path, t->config.path, (size_t)(own - t->config.path));
}

/* Beside a config.toml its owner may write, too: he could change the file itself. */
static struct snapfile_trust
trust_of(const struct target *t)
{
	return (struct snapfile_trust){
		.also = t->reach->snapshot_dir ? (uid_t)-1 : configfile_owner(&t->config),
		.all = t->reach->snapshot && t->request.forced[REFUSAL_SNAPSHOT_OWNER],
	};
}

/* A cleared snapshot tells a second clear that nothing is left to do. It may be unreadable. */
static void
load_cleared(struct target *t)
{
	struct snapfile_trust trust = trust_of(t);
	char path[PATH_MAX];
	struct err ignored;

	if (t->purpose == TO_CLEAR &&
	    snprintf(path, sizeof(path), "%s.cleared", t->snapshot_path) < (int)sizeof(path) &&
	    snapfile_load(&t->cleared, &t->pool, path, &trust, &ignored) != 0)
		t->cleared.count = 0;
}

void
target_merge(struct target *t, const struct request *stored)
{
	request_merge(&t->request, stored);
	t->session.api.relay_id = t->request.relay_id;
}

int
target_load_snapshot(struct target *t, bool lock, struct err *err)
{
	struct snapfile_trust trust = trust_of(t);
	int r;

	if (!t->snapshot_path[0])
		return 0;
	if (lock && snapfile_check_folder(t->snapshot_path, &trust, err) == -1)
		return -1;
	memcpy(t->lock_path, t->snapshot_path, sizeof(t->lock_path));
	if (lock && file_lock(&t->lock, t->lock_path, err) == -1)
		return -1;
	r = snapfile_load(&t->loaded, &t->pool, t->snapshot_path, &trust, err);
	if (r == -1)
		return -1;
	t->has_snapshot = r == 0;
	if (t->loaded.state == SNAPSHOT_PLANNED)
		snapshot_forget_plan(&t->loaded);
	t->snapshot_kept = t->has_snapshot;
	t->snapshot = t->loaded;
	if (t->has_snapshot && strcmp(t->snapshot.target, t->snapshot_id) != 0 &&
	    !lies_beside_file(t) && !t->request.forced[REFUSAL_SNAPSHOT_TARGET])
		return err_refuse(err, REFUSAL_SNAPSHOT_TARGET,
		    "The snapshot %s belongs to %s, not to %s. Force this only if it is the same "
		    "server under another name.",
		    t->snapshot_path, t->snapshot.target, t->snapshot_id);
	if (target_found_snapshot(t)) {
		target_merge(t, t->loaded.request);
	} else if (!t->has_snapshot) {
		load_cleared(t);
	}
	return add_extra_keys(t, t->has_snapshot ? &t->loaded : &t->cleared, err);
}

const struct snapshot *
target_found_snapshot(const struct target *t)
{
	return t->has_snapshot && (t->loaded.state != SNAPSHOT_PLANNED || t->purpose == TO_CLEAR)
	    ? &t->loaded
	    : NULL;
}

/* For a file: record how its old values were spelled. */
static void
add_texts(struct snapshot *s, struct target *t)
{
	const struct toml_entry *e;
	size_t i;

	for (i = 0; t->is_file && i < s->count; i++) {
		e = s->keys[i].text ? NULL : toml_find(&t->toml, s->keys[i].key);
		if (!e || !e->len || !settings_same(e->value, s->keys[i].before))
			continue;
		s->keys[i].text = pool_copy(&t->pool, t->config.text.data + e->at, e->len);
	}
}

/* Would the next run believe what was saved? If not, nothing may be sent. */
static int
check_saved(const struct target *t, const struct snapshot *s, struct err *err)
{
	struct snapfile_trust trust = trust_of(t);
	struct pool pool = { 0 };
	struct snapshot again;
	int r = snapfile_load(&again, &pool, t->snapshot_path, &trust, err);

	if (r == 1 || (r == 0 && (again.count != s->count || again.state != s->state)))
		r = err_set(
		    err, ERR_SYSTEM, "%s does not read as it was written", t->snapshot_path);
	pool_free(&pool);
	return r;
}

/* Write the snapshot's file. It counts only once something was sent: see target_withdraw. */
static int
save_file(struct target *t, const struct snapshot *s, struct err *err)
{
	if (pool_check(&t->pool, err) == -1)
		return -1;
	t->snapshot_ahead = true;
	if (snapfile_save(s, t->snapshot_path, err) == -1)
		return -1;
	t->snapshot = *s;
	t->snapshot_kept = true;
	return check_saved(t, s, err);
}

int
target_save_plan(struct target *t, int64_t now, struct err *err)
{
	struct snapshot s = { .target = t->snapshot_id, .state = SNAPSHOT_PLANNED };
	const struct snapshot *old = target_found_snapshot(t);
	char when[WHEN_MAX];

	if (!t->snapshot_path[0])
		return 0;
	when_format(when, now);
	s.created = old ? old->created : pool_str(&t->pool, when);
	s.dialect = t->plan.dialect->name;
	t->asked = request_keep(&t->pool, &t->request, old ? old->request : NULL);
	if (!t->asked)
		return err_memory(err);
	s.request = old ? old->request : t->asked;
	if (old && old->state == SNAPSHOT_SENDING)
		s.state = SNAPSHOT_SENDING; /* it stays so until proved */
	plan_fill_snapshot(&t->plan, t->request.groups, old, &s, &t->pool);
	add_texts(&s, t);
	return save_file(t, &s, err);
}

int
target_save_request(struct target *t, struct err *err)
{
	struct snapshot s = t->loaded;

	if (!target_found_snapshot(t))
		return 0;
	s.request = request_keep(&t->pool, &t->request, t->loaded.request);
	if (pool_check(&t->pool, err) == -1)
		return -1;
	if (request_same(s.request, t->loaded.request))
		return 0;
	if (snapfile_save(&s, t->snapshot_path, err) == -1)
		return -1;
	t->snapshot = t->loaded = s;
	return check_saved(t, &s, err);
}

int
target_save_sending(struct target *t, struct err *err)
{
	struct snapshot s = t->snapshot;

	s.state = SNAPSHOT_SENDING;
	if (t->asked)
		s.request = t->asked;
	return save_file(t, &s, err);
}

int
target_save_proved(struct target *t, struct err *err)
{
	struct snapshot s = t->snapshot;

	if (t->asked)
		s.request = t->asked;
	plan_mark_proved(&t->plan, t->request.groups, t->has_snapshot ? &t->loaded : NULL, &s);
	return save_file(t, &s, err);
}

void
target_mark_unproved(struct target *t)
{
	t->progress = PROGRESS_UNPROVED;
	t->plan.unread = true;
}

int
target_withdraw(struct target *t, struct err *err)
{
	if (!t->snapshot_ahead || t->progress != PROGRESS_NONE)
		return 0;
	t->snapshot_ahead = false;
	t->snapshot = t->loaded;
	t->snapshot_kept = t->has_snapshot;
	return t->has_snapshot ? snapfile_save(&t->loaded, t->snapshot_path, err)
			       : file_remove(t->snapshot_path, err);
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
		if (j == t->plan.key_count || t->plan.keys[j].state == KEY_CHANGED)
			snapshot_add(&left, &t->pool, k);
	}
	if (pool_check(&t->pool, err) == -1)
		return -1;
	if (left.count) {
		left.request = request_without(&t->pool, left.request, t->request.groups);
		if (!left.request)
			return err_memory(err);
		left.state = t->loaded.state;
		if (!snapshot_is_uncertain(&left, 0))
			left.state = SNAPSHOT_PROVED;
		t->snapshot = left;
		return snapfile_save(&left, t->snapshot_path, err);
	}
	if (snprintf(to, sizeof(to), "%s.cleared", t->snapshot_path) >= (int)sizeof(to))
		return err_set(
		    err, ERR_SYSTEM, "the name %s.cleared is too long", t->snapshot_path);
	if (file_rename(t->snapshot_path, to, err) == -1)
		return -1;
	snprintf(t->snapshot_path, sizeof(t->snapshot_path), "%s", to);
	t->snapshot_kept = false;
	return 0;
}
