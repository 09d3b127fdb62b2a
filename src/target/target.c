#include "target/target.h"

#include "base/err.h"
#include "base/pool.h"
#include "base/when.h"
#include "cmd/options.h"
#include "sys/file.h"
#include "target/target_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* HOST-PORT for a file's name: what is not plain becomes an underscore. */
static void
name_server(char name[ORIGIN_MAX], const struct url *url)
{
	size_t i;

	snprintf(name, ORIGIN_MAX, "%s-%u", url->host, url->port);
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
		snprintf(name, sizeof(name), "%s%sstalprep-%s.snapshot.json", folder,
		    *folder ? "/" : "", whose);
	/* From the root, so that the report's words hold in any folder. */
	if (*name == '/' || !getcwd(here, sizeof(here)) || *here != '/')
		here[0] = '\0';
	if (snprintf(t->snapshot_path, sizeof(t->snapshot_path), "%s%s%s", here,
		*here && strcmp(here, "/") != 0 ? "/" : "", name) >= (int)sizeof(t->snapshot_path))
		return err_set(err, ERR_USAGE, "the snapshot's name is too long: %.120s...", name);
	return 0;
}

/*
 * A file's snapshot lies beside it: a rescue system's current folder is soon gone. In a folder of
 * snapshots its name has the whole path: each node's file is called config.toml. One that comes by
 * a pipe may have none.
 */
static int
begin_file(struct target *t, struct err *err)
{
	const char *base;
	char folder[PATH_MAX], *whose, *at;

	t->is_file = true;
	if (configfile_find(&t->config, t->options->config, err) == -1)
		return -1;
	snprintf(t->origin, sizeof(t->origin), "%s",
	    t->config.path[0] ? t->config.path : "standard input");
	base = t->config.path[0] ? strrchr(t->config.path, '/') + 1 : "config.toml";
	t->known_as = pool_printf(&t->pool, "file:%s", t->config.path[0] ? t->config.path : "/-");
	if (!t->known_as)
		return err_memory(err);
	if (!t->config.path[0] && !t->options->snapshot && !t->options->snapshot_dir)
		return 0;
	snprintf(folder, sizeof(folder), "%.*s",
	    (int)(t->config.path[0] ? base - t->config.path - (base - t->config.path > 1) : 0),
	    t->config.path);
	whose = pool_str(
	    &t->pool, t->options->snapshot_dir && t->config.path[0] ? t->config.path + 1 : base);
	for (at = whose; at && *at; at++)
		*at = *at == '/' ? '_' : *at;
	return whose ? name_snapshot(t, folder, whose, err) : err_memory(err);
}

int
target_begin(struct target *t, const struct options *o, const struct url *url, struct err *err)
{
	char name[ORIGIN_MAX];

	t->options = o;
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
 * A snapshot may hold keys of a relay, or of a new server, other than this run's: they are read one
 * by one. Other keys are found by prefix. What is no plain key was not written by stalprep.
 */
static int
read_along(struct target *t, const struct snapshot *s, struct err *err)
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

/* A file's snapshot that lies beside it belongs to it, though both are mounted elsewhere by now. */
static bool
moved_along(const struct target *t)
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

/*
 * A snapshot that a clear has done with tells a second clear that there is nothing to do. If it
 * can't be read, so be it.
 */
static void
load_cleared(struct target *t)
{
	char path[PATH_MAX];
	struct err ignored;

	if (t->options->command == COMMAND_CLEAR &&
	    snprintf(path, sizeof(path), "%s.cleared", t->snapshot_path) < (int)sizeof(path) &&
	    snapshot_load(&t->cleared, &t->pool, path, &ignored) != 0)
		t->cleared.count = 0;
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
	if (t->loaded.state == SNAPSHOT_PLANNED)
		snapshot_forget_plan(&t->loaded);
	t->snapshot_kept = t->has_snapshot;
	t->snapshot = t->loaded;
	if (t->has_snapshot && strcmp(t->snapshot.target, t->known_as) != 0 && !moved_along(t) &&
	    !options_forced(t->options, "snapshot-target")) {
		err_set(err, ERR_REFUSED,
		    "The snapshot %s belongs to %s, not to %s. If it is the same server under "
		    "another name: --force snapshot-target.",
		    t->snapshot_path, t->snapshot.target, t->known_as);
		err->name = "snapshot-target";
		return -1;
	}
	if (!t->has_snapshot)
		load_cleared(t);
	return read_along(t, t->has_snapshot ? &t->loaded : &t->cleared, err);
}

int
target_read(struct target *t, const struct trust *trust, struct credentials *c, struct err *err)
{
	return t->is_file ? target_file_read(t, err) : target_api_read(t, trust, c, err);
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

const struct snapshot *
target_known(const struct target *t)
{
	return t->has_snapshot &&
		(t->loaded.state != SNAPSHOT_PLANNED || t->options->command == COMMAND_CLEAR)
	    ? &t->loaded
	    : NULL;
}

/* Of a file: how the values were spelled that stood there before. */
static int
add_texts(struct snapshot *s, struct target *t, struct err *err)
{
	const struct toml_entry *e;
	size_t i;

	for (i = 0; t->is_file && i < s->count; i++) {
		e = s->keys[i].text ? NULL : toml_find(&t->toml, s->keys[i].key);
		if (!e || !e->len || !settings_same(e->value, s->keys[i].before))
			continue;
		s->keys[i].text = pool_copy(&t->pool, t->config.text.data + e->at, e->len);
		if (!s->keys[i].text)
			return err_memory(err);
	}
	return 0;
}

/*
 * Put it into the snapshot's file. What it says counts only once something was sent: see
 * target_withdraw.
 */
static int
save(struct target *t, const struct snapshot *s, struct err *err)
{
	if (pool_check(&t->pool, err) == -1)
		return -1;
	t->ahead = true;
	if (snapshot_save(s, t->snapshot_path, err) == -1)
		return -1;
	t->snapshot = *s;
	t->snapshot_kept = true;
	return 0;
}

void
target_unproved(struct target *t)
{
	t->progress = PROGRESS_UNPROVED;
	t->plan.unread = true;
}

int
target_save_sending(struct target *t, struct err *err)
{
	struct snapshot s = t->snapshot;

	s.state = SNAPSHOT_SENDING;
	return save(t, &s, err);
}

int
target_save_proved(struct target *t, struct err *err)
{
	struct snapshot s = t->snapshot;

	plan_prove(&t->plan, t->options->groups, t->has_snapshot ? &t->loaded : NULL, &s);
	return save(t, &s, err);
}

int
target_save_plan(struct target *t, int64_t now, struct err *err)
{
	struct snapshot s = { .target = t->known_as, .state = SNAPSHOT_PLANNED };
	const struct snapshot *old = target_known(t);
	char when[WHEN_MAX];

	if (!t->snapshot_path[0])
		return 0;
	when_format(when, now);
	s.created = old ? old->created : pool_str(&t->pool, when);
	s.dialect = t->plan.dialect->name;
	s.options = options_text(&t->pool, t->options);
	if (!s.created || !s.options)
		return err_memory(err);
	if (old && old->state == SNAPSHOT_SENDING)
		s.state = SNAPSHOT_SENDING; /* until it is proved, whatever this run does */
	if (plan_keep(&t->plan, t->options->groups, old, &s, &t->pool, err) == -1 ||
	    add_texts(&s, t, err) == -1)
		return -1;
	return save(t, &s, err);
}

int
target_withdraw(struct target *t, struct err *err)
{
	if (!t->ahead || t->progress != PROGRESS_NONE)
		return 0;
	t->ahead = false;
	t->snapshot = t->loaded;
	t->snapshot_kept = t->has_snapshot;
	return t->has_snapshot ? snapshot_save(&t->loaded, t->snapshot_path, err)
			       : file_remove(t->snapshot_path, err);
}

int
target_write(struct target *t, struct err *err)
{
	if (pool_check(&t->pool, err) == -1)
		return -1;
	return t->is_file ? target_file_write(t, err) : target_api_write(t, err);
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
		if ((j == t->plan.key_count || t->plan.keys[j].state == KEY_CHANGED) &&
		    snapshot_add(&left, &t->pool, k, err) == -1)
			return -1;
	}
	if (left.count) {
		left.state = t->loaded.state;
		if (!snapshot_is_uncertain(&left, 0))
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
	pool_free(&t->every_pool);
	pool_free(&t->pool);
}
