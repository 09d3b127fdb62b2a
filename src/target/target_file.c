#include "target/target_file.h"

#include "plan/configedit.h"
#include "settings/request.h"
#include "target/target_snapshot.h"

#include <errno.h>
#include <string.h>

enum { EDITS_ROOM = 65536 }; /* a usual edit adds fewer bytes to the file */

/* A server that runs with the file does not see the edit, and overwrites it (server-facts). */
static int
check_running(struct target *t, struct err *err)
{
	struct running *r = &t->running;

	if (configfile_is_stream(t->config.name))
		return 0;
	running_find(r, &t->config.st, configfile_folder_owner(&t->config));
	if (!r->pid || r->bystander || t->purpose == TO_LOOK || t->request.forced[REFUSAL_RUNNING])
		return 0;
	return err_refuse(err, REFUSAL_RUNNING,
	    "Process %ld (%s) was started with %s. A running server does not see changes to its "
	    "file, and overwrites them. Use --url, or stop the server first. Force this only if "
	    "that process is not a server.",
	    (long)r->pid, r->name, t->origin);
}

/* Name the copy that an interrupted run left, if there is one. */
static int
explain_unreadable(const struct target *t, const struct err *why, struct err *err)
{
	const char *guess = configfile_guess(&t->config.text);
	char backup[PATH_MAX];

	if (why->kind != ERR_REFUSED || why->refusal != REFUSAL_NONE) {
		*err = *why;
		return -1;
	}
	if (guess)
		return err_set(
		    err, ERR_REFUSED, "%s is not a server's config.toml. %s", t->origin, guess);
	err_set(err, ERR_REFUSED, "%s: %s. %s with this file.", t->origin, why->text,
	    why->code == EFBIG ? "stalprep can't work" : "The server would not start");
	if (configfile_backup(&t->config, backup))
		err_add(err,
		    "Perhaps an interrupted run damaged it. %s is a copy of the file as it was "
		    "before: copy it back.",
		    backup);
	return -1;
}

static int
read_text(struct target *t, struct err *err)
{
	bool old_keys = t->request.minor != -1 && t->request.minor <= 12;
	const char *guess = NULL;
	struct err why;

	t->uses = (struct plan_uses){
		.new_server = t->request.new_server[0] ? t->request.new_server : t->expected_server,
		.old = t->purpose == TO_STAGE && t->request.minor < 13,
	};
	t->filter = (struct toml_filter){ .use = plan_uses, .ctx = &t->uses };
	if (toml_read_some(&t->toml, &t->pool, &t->filter, "", t->config.text.data,
		t->config.text.len, old_keys, &why) == -1)
		return explain_unreadable(t, &why, err);
	if (t->toml.no_utf8)
		return err_set(err, ERR_REFUSED,
		    "%s is not UTF-8. The server would read it as an empty file", t->origin);
	if (settings_from_toml(&t->facts.settings, &t->pool, &t->toml, err) == -1)
		return -1;
	if (settings_has_prefix(&t->facts.settings, "server.listener."))
		return 0;
	guess = configfile_guess(&t->config.text);
	return err_set(err, ERR_REFUSED, "%s is not a server's config.toml%s%s", t->origin,
	    guess ? ". " : ": ", guess ? guess : "it has no server.listener");
}

int
target_file_open(struct target *t, struct err *err)
{
	return configfile_read(&t->config, err) == -1 ? -1 : check_running(t, err);
}

int
target_file_read(struct target *t, struct err *err)
{
	if (read_text(t, err) == -1)
		return -1;
	t->facts.minor_first = t->toml.new_keys ? 13 : MINOR_FIRST;
	t->facts.minor_last = MINOR_LAST;
	if (t->staged_dialect && t->request.minor == -1) {
		t->facts.minor_first = t->staged_dialect->first;
		t->facts.minor_last = t->staged_dialect->last;
	}
	t->read = true;
	return 0;
}

int
target_file_edit(struct target *t, struct err *err)
{
	struct configedit c = {
		.text = t->config.text.data,
		.len = t->config.text.len,
		.toml = &t->toml,
		.filter = &t->filter,
		.plan = &t->plan,
		.old_keys = t->plan.dialect->last <= 12 && !t->toml.new_keys,
		.snapshot = target_found_part(t),
	};
	struct err why;

	if (!configfile_is_stream(t->config.name) && !t->request.forced[REFUSAL_IN_PLACE] &&
	    configfile_check_place(&t->config, err) == -1) {
		target_file_explain(t, err);
		return -1;
	}
	buf_reserve(&t->edited, t->config.text.len + EDITS_ROOM);
	if (configedit_make(&c, &t->pool, &t->edits, &t->edited, &why) == 0)
		return 0;
	err_set(err, why.kind, "%s: %s", t->origin, why.text);
	err->refusal = why.refusal;
	return -1;
}

/*
 * Record every key as the new text has it: as planned, because configedit_make has checked that.
 * (If nothing is written, the keys are as planned already.)
 */
static int
record_keys(struct target *t, struct err *err)
{
	struct settings after = { 0 };
	size_t i;

	for (i = 0; i < t->plan.key_count; i++) {
		const struct plan_key *k = &t->plan.keys[i];
		const char *value = k->write ? k->wanted : k->now;

		if (value)
			settings_add(&after, &t->pool, k->key, value);
		t->changed += k->write;
	}
	if (pool_check(&t->pool, err) == -1 || settings_sort(&after, err) == -1)
		return -1;
	plan_compare(&t->plan, &after);
	t->progress = PROGRESS_PROVED;
	return 0;
}

const char *
target_source_words(struct target *t)
{
	const struct dialect *d = t->plan.dialect;
	/* up to 0.11 the URL's key is in config.toml too */
	const char *groups = d && !strncmp(d->url_key, "server.", 7) ? "listeners,url"
								     : "listeners";

	return pool_printf(&t->pool,
	    "If config.toml is read-only, or made anew at each start (a ConfigMap, NixOS, Nomad, "
	    "Ansible, a container's start script), put the %s into its source: stalprep print "
	    "--only %s --format toml prints them, stalprep stage --config - adds them to a copy, "
	    "both with the options of this run. "
	    "Stage the rest over the API, with --skip %s.",
	    strchr(groups, ',') ? "listeners' keys and the URL" : "listeners' keys", groups,
	    groups);
}

void
target_file_explain(struct target *t, struct err *err)
{
	static const int numbers[] = { EROFS, EACCES, EPERM, EBUSY };
	size_t i;

	for (i = 0; t->is_file && t->purpose == TO_STAGE && i < COUNT(numbers); i++) {
		if (err->kind == ERR_INTERRUPT || err->code != numbers[i])
			continue;
		err_end(err);
		err_add(err, "%s", target_source_words(t));
	}
}

/* Replace the file by the new text, and check that it reads back. */
static int
replace_file(struct target *t, struct err *err)
{
	bool torn = false;

	if (target_save_sending(t, err) == -1)
		return -1;
	if (configfile_write(
		&t->config, &t->edited, t->request.forced[REFUSAL_IN_PLACE], &torn, err) == -1) {
		if (torn || !configfile_holds(&t->config, &t->config.text))
			target_mark_unproved(t);
		if (!torn)
			target_file_explain(t, err);
		return -1;
	}
	target_mark_unproved(t);
	if (configfile_holds(&t->config, &t->edited))
		return 0;
	return err_set(err, ERR_SYSTEM,
	    "%s was written, but a read shows other content. Compare the file with your copy.",
	    t->origin);
}

int
target_file_write(struct target *t, struct err *err)
{
	struct err why;

	if ((t->plan.write_count && !configfile_is_stream(t->config.name) &&
		replace_file(t, err) == -1) ||
	    record_keys(t, err) == -1)
		return -1;
	if (t->plan.clearing || target_save_proved(t, &why) == 0)
		return 0;
	return err_set(err, ERR_SYSTEM,
	    "%s is written and read back, but the snapshot could not be updated: %s. Run the same "
	    "command again.",
	    t->origin, why.text);
}
