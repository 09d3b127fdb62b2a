#include "cmd/cli.h"

#include "cmd/options.h"
#include "cmd/run.h"
#include "plan/plan_stage.h"
#include "sys/statedir.h"
#include "target/store.h"
#include "target/target.h"
#include "target/target_file.h"
#include "target/target_snapshot.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Put all plans into the snapshot, and save it before anything is written to any target. */
static int
save_plans(struct run *r, struct err *err)
{
	bool request = false, plan = false;
	size_t i;

	for (i = 0; i < r->count; i++) {
		struct target *t = &r->targets[i];

		if (!target_is_to_write(t)) {
			request |= target_record_request(t);
		} else if (!t->plan.unrecorded) {
			if (target_record_plan(t, (int64_t)time(NULL), err) == -1)
				return -1;
			plan |= t->recorded;
		}
	}
	if (!request && !plan)
		return 0;
	if (store_save(&r->store, err) == -1)
		return -1;
	r->store.ahead = plan; /* a request alone is not taken back */
	return 0;
}

static void
stage_all(struct run *r)
{
	struct err err;
	size_t i;

	if (save_plans(r, &err) == -1) {
		run_fail(r, NULL, &err);
		return;
	}
	for (i = 0; i < r->count; i++) {
		if (run_stopped(r))
			return;
		if (target_is_to_write(&r->targets[i]) && run_write(r, &r->targets[i]) == -1)
			return;
	}
}

static void
tell_unused(struct run *r)
{
	const struct store *st = &r->store;

	if (*st->unused)
		message_add(&r->messages, &r->pool, MESSAGE_WARNING,
		    "The snapshot %s is of this server, but nothing of it stands here: a backup "
		    "was "
		    "restored, or this is a copy of the server. It is not used%s%s.",
		    st->unused, *st->aside ? ", and is now " : "", st->aside);
}

/* The snapshot is to outlive the machine's next start. */
static void
tell_fleeting(struct run *r)
{
	const char *kind = r->store.kept ? statedir_fleeting(r->store.folder) : NULL;

	if (kind)
		message_add(&r->messages, &r->pool, MESSAGE_WARNING,
		    "The snapshot is in %s, a %s file system, which may end with this machine. "
		    "Copy it to a safe place, or name a folder on a disk: --snapshot-dir DIR.",
		    r->store.folder, kind);
}

static bool
writes_local_keys(const struct plan *p)
{
	size_t i;

	for (i = 0; i < p->key_count && !(p->keys[i].write && p->keys[i].local); i++)
		;
	return i < p->key_count;
}

/*
 * For a dry run: say what to do if config.toml can't be written. Of a server's file nobody can see
 * that, nor that a restart makes it anew.
 */
static void
tell_of_sources(struct run *r)
{
	size_t i;

	for (i = 0; i < r->count; i++) {
		struct target *t = &r->targets[i];
		bool read_only = t->is_file && configfile_is_read_only(&t->config);

		if (!writes_local_keys(&t->plan) || (t->is_file && !read_only))
			continue;
		message_add(&r->messages, &r->pool, read_only ? MESSAGE_WARNING : MESSAGE_NOTE,
		    "%s%s",
		    read_only ? "The file system is read-only: the real run would fail. " : "",
		    target_source_words(t));
		return;
	}
}

/* For a dry run: can the snapshot be kept? */
static void
tell_of_folder(struct run *r)
{
	if (store_has_folder(&r->store) && access(r->store.folder, W_OK) == -1)
		message_add(&r->messages, &r->pool, MESSAGE_WARNING,
		    "The real run would be refused: the snapshot can't be kept in %s (%s).",
		    r->store.folder, strerror(errno));
}

int
cmd_stage(const struct options *o)
{
	static struct run r;

	if (run_begin(&r, o, !o->dry_run) == 0 && run_read(&r) == 0 &&
	    run_plan(&r, plan_stage) == 0) {
		if (o->dry_run) {
			tell_of_sources(&r);
			tell_of_folder(&r);
		} else {
			stage_all(&r);
			run_withdraw(&r);
			tell_fleeting(&r);
		}
		tell_unused(&r);
	}
	return run_end(&r);
}
