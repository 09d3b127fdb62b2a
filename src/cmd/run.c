#include "cmd/run.h"

#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/report.h"
#include "cmd/run_store.h"
#include "cmd/say.h"
#include "sys/confine.h"
#include "sys/interrupt.h"
#include "target/boot.h"
#include "target/target.h"
#include "target/target_file.h"
#include "target/target_snapshot.h"
#include "tls/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
anything_written(const struct run *r)
{
	size_t i;

	for (i = 0; i < r->count; i++) {
		if (r->targets[i].progress != PROGRESS_NONE)
			return true;
	}
	return false;
}

/* Did the run end because a group had to be taken back, and is all of that proved? */
static bool
group_given_up(const struct run *r)
{
	bool given_up = false;
	size_t i;

	for (i = 0; i < r->count; i++) {
		if (r->targets[i].progress == PROGRESS_UNPROVED)
			return false;
		given_up |= r->targets[i].outranked != 0;
	}
	return given_up;
}

/* Add a copy of a message. A refusal that stops the run says whether --force would help. */
static void
add_message(struct run *r, const struct message *m)
{
	char way_out[80] = "";
	struct message *added;

	if (m->level == MESSAGE_REFUSAL && !m->forced)
		refusal_way_out(m->refusal, way_out, sizeof(way_out));
	added = message_add(&r->messages, &r->pool, m->level, "%s%s", m->text, way_out);
	added->forced = m->forced;
	added->refusal = m->refusal;
	added->target = m->target;
}

void
run_fail(struct run *r, const struct target *t, const struct err *err)
{
	bool writes = r->options->id == COMMAND_STAGE || r->options->id == COMMAND_CLEAR;
	bool untouched = writes && !anything_written(r) && err->kind != ERR_USAGE;
	struct err said = *err;
	struct message m = { .level = MESSAGE_ERROR, .refusal = err->refusal, .text = said.text };

	err_end(&said);
	m.target = t && !t->is_file ? t->origin : NULL;
	if (m.refusal != REFUSAL_NONE)
		m.level = MESSAGE_REFUSAL;
	else if (untouched)
		err_add(&said, "Nothing was written.");
	add_message(r, &m);
	if (untouched && m.refusal != REFUSAL_NONE)
		message_add(&r->messages, &r->pool, MESSAGE_ERROR, "Nothing was written.");
	r->exit = group_given_up(r) ? EXIT_PARTLY
	    : anything_written(r)   ? EXIT_UNPROVED
				    : exit_of(err);
}

bool
run_stopped(struct run *r)
{
	struct err err;

	if (!interrupt_signal)
		return false;
	err_stopped(&err, interrupt_signal);
	run_fail(r, NULL, &err);
	return true;
}

/*
 * Confine the process. All files have been read; what follows is the servers' answers, or a
 * config.toml's text, and whatever they are, a confined process can do little harm.
 */
static void
confine_run(struct run *r, bool writes)
{
	const char *config = r->targets[0].config.path, *base = strrchr(config, '/');
	uint16_t ports[TARGETS_MAX];
	char folder[PATH_MAX];
	struct confine_keep keep = {
		.folder = store_has_folder(&r->store) ? r->store.folder : NULL,
		.other = base ? folder : NULL,
		.writes = writes,
		.terminal = !r->targets[0].is_file &&
		    (r->credentials.asks || (!r->credentials.complete && !r->credentials.code.len)),
		.ports = ports,
		.count = r->targets[0].is_file ? 0 : r->count,
	};
	struct confined c;
	size_t i;

	snprintf(folder, sizeof(folder), "%.*s", base ? (int)(base - config) + 1 : 0, config);
	for (i = 0; i < keep.count; i++)
		ports[i] = (uint16_t)r->options->reach.targets[i].port;
	c = confine(&keep);
	if (r->options->verbose)
		message_add(&r->messages, &r->pool, MESSAGE_NOTE,
		    "Confined by the kernel: no_new_privs %s, Landlock %s.",
		    c.no_new_privs ? "yes" : "no", c.landlock ? "yes" : "no");
}

/* What the servers read at their next start. A reload has nothing to do with it. */
static int
read_boot_files(struct run *r)
{
	const struct reach *reach = &r->options->reach;
	struct err err;
	size_t i;

	for (i = 0; i < r->count && r->options->id != COMMAND_RELOAD; i++) {
		if (boot_read(&r->targets[i],
			reach->boot_config_count ? reach->boot_configs[i] : NULL, &err) == -1) {
			run_fail(r, &r->targets[i], &err);
			return -1;
		}
	}
	return 0;
}

static int
begin_targets(struct run *r)
{
	const struct options *o = r->options;
	enum purpose purpose = o->id == COMMAND_STAGE ? TO_STAGE
	    : o->id == COMMAND_CLEAR                  ? TO_CLEAR
						      : TO_LOOK;
	struct err err;
	size_t i;

	for (i = 0; i < r->count; i++)
		r->targets[i].store = &r->store;
	for (i = 0; i < r->count; i++) {
		struct target *t = &r->targets[i];

		t->alone = r->count == 1;
		t->has_database = !o->reach.config && i == 0;
		if (target_begin(t, purpose, &o->request, &o->reach, &o->reach.targets[i], &err) ==
		    -1) {
			run_fail(r, t, &err);
			return -1;
		}
	}
	return 0;
}

/* Read all that is not in a folder that stays open to the process. */
static int
read_files(struct run *r)
{
	const struct options *o = r->options;
	struct err err;

	if (o->reach.config) {
		if (target_file_open(&r->targets[0], &err) == 0)
			return 0;
		run_fail(r, &r->targets[0], &err);
		return -1;
	}
	if (read_boot_files(r) == -1)
		return -1;
	if (trust_load(&r->trust, &o->reach, getenv("SSL_CERT_FILE"), &err) == 0 &&
	    credentials_load(
		&r->credentials, &o->reach, o->request.forced[REFUSAL_OPEN_SECRET], &err) == 0)
		return 0;
	run_fail(r, NULL, &err);
	return -1;
}

int
run_begin(struct run *r, const struct options *o, bool writes)
{
	struct err err;

	r->options = o;
	interrupt_catch();
	interrupt_after(o->reach.max_time);
	r->count = o->reach.config ? 1 : o->reach.target_count;
	r->targets = calloc(r->count, sizeof(*r->targets));
	if (!r->targets) {
		r->count = 0;
		err_memory(&err);
		run_fail(r, NULL, &err);
		return -1;
	}
	r->writes = writes;
	r->store.lock = -1;
	if (begin_targets(r) == -1)
		return -1;
	if (run_store_open(r, &err) == -1) {
		run_fail(r, &r->targets[0], &err);
		return -1;
	}
	if (read_files(r) == -1)
		return -1;
	confine_run(r, writes);
	return 0;
}

/*
 * If the password has to be asked for, connect to all targets first: nobody should type it for a
 * server that is not reached, or whose certificate is not accepted.
 */
static int
ask_password(struct run *r)
{
	struct err err;
	size_t i;

	if (!r->credentials.asks)
		return 0;
	for (i = 0; i < r->count; i++) {
		session_begin_phase(&r->targets[i].session, true);
		if (session_open(&r->targets[i].session, &r->trust, &r->credentials, &err) == -1) {
			run_fail(r, &r->targets[i], &err);
			return -1;
		}
	}
	if (credentials_ask(&r->credentials, &r->options->reach, &err) == 0)
		return 0;
	run_fail(r, NULL, &err);
	return -1;
}

int
run_read(struct run *r)
{
	struct err err;
	size_t i;

	if (ask_password(r) == -1)
		return -1;
	for (i = 0; i < r->count; i++) {
		if (target_read(&r->targets[i], &r->trust, &r->credentials, &err) == -1) {
			run_fail(r, &r->targets[i], &err);
			return -1;
		}
		if (r->options->reach.insecure && !r->trust.pinned && r->targets[i].session.tls)
			message_add(&r->messages, &r->pool, MESSAGE_WARNING,
			    "The certificate was not checked (-k without --pinnedpubkey): somebody "
			    "on the way could read the password. The key that answered is %s. "
			    "Compare it with the server's own key, then add --pinnedpubkey.",
			    tls_pin(r->targets[i].session.tls));
	}
	credentials_finish(&r->credentials);
	if (run_store_find(r, &err) == -1) {
		run_fail(r, &r->targets[0], &err);
		return -1;
	}
	for (i = 0; i < r->count; i++) {
		if (boot_use(&r->targets[i], &err) == -1) {
			run_fail(r, &r->targets[i], &err);
			return -1;
		}
	}
	return 0;
}

/* Add a target's messages to the run's. Returns the number of refusals, which status never has. */
static size_t
add_plan_messages(struct run *r, const struct target *t)
{
	bool is_status = r->options->id == COMMAND_STATUS;
	size_t i;

	for (i = 0; i < t->plan.messages.count; i++) {
		struct message m = t->plan.messages.items[i];

		if (is_status && m.level == MESSAGE_REFUSAL)
			m.level = MESSAGE_WARNING;
		m.target = r->count > 1 ? t->origin : NULL;
		add_message(r, &m);
	}
	return is_status ? 0 : message_refusals(&t->plan.messages);
}

/* Make the new texts of the files, which can fail. */
static int
edit_files(struct run *r)
{
	struct err err;
	size_t i;

	for (i = 0; i < r->count; i++) {
		struct target *t = &r->targets[i];

		if (t->running.unseen && t->plan.write_count)
			message_add(&r->messages, &r->pool, MESSAGE_WARNING,
			    "Whether a server runs with %s can't be seen for certain: there is no "
			    "/proc here, or not all of it can be read. Make sure that none does.",
			    t->origin);
		if (t->running.pid &&
		    (t->running.bystander ? t->plan.write_count > 0
					  : r->options->id == COMMAND_STATUS))
			message_add(&r->messages, &r->pool, MESSAGE_WARNING,
			    t->running.bystander
				? "Process %ld (%s) names %s among its arguments, but it is no "
				  "server."
				: "Process %ld (%s) was started with %s. A running server may "
				  "overwrite the file.",
			    (long)t->running.pid, t->running.name, t->origin);
		if (t->is_file && !*r->store.folder && r->options->id == COMMAND_STAGE)
			message_add(&r->messages, &r->pool, MESSAGE_WARNING,
			    "No snapshot is kept (--snapshot FILE keeps one). Keep the file that "
			    "was given: nothing else can bring back values that are replaced.");
		if (t->is_file && t->plan.write_count && target_file_edit(t, &err) == -1) {
			run_fail(r, t, &err);
			return -1;
		}
	}
	return 0;
}

/* The snapshot's nodes that this run has no --url for, in words; NULL: none. */
static const char *
other_nodes(struct run *r)
{
	const struct snapshot *s = &r->store.current;
	const char *text = NULL;
	size_t i, j;

	for (i = 0; r->store.found && i < s->node_count; i++) {
		const struct part *node = &s->nodes[i];

		for (j = 0; j < r->count && !(r->targets[j].has_node && r->targets[j].node == i);
		    j++)
			;
		if (j == r->count && node->count)
			text = pool_printf(&r->pool, "%s%s%s", text ? text : "", text ? ", " : "",
			    part_node_name(node));
	}
	return text;
}

/*
 * Two targets that show the same settings, in words; NULL: all differ. One node can have two
 * names, and nodes of a cluster have at least ids of their own.
 */
static const char *
alike_nodes(struct run *r)
{
	const struct target *t = r->targets;
	size_t i, j;

	for (i = 1; i < r->count; i++) {
		for (j = 0; j < i; j++) {
			if (settings_equal(&t[i].facts.settings, &t[j].facts.settings))
				return pool_printf(&r->pool,
				    "%s and %s show the same settings and may be one node; if they "
				    "are two, add --single-node",
				    t[j].origin, t[i].origin);
		}
	}
	return NULL;
}

int
run_plan(struct run *r, run_planner *planner)
{
	const char *others = other_nodes(r), *alike = alike_nodes(r);
	size_t refused = 0, i;
	struct err err;
	int failed;

	for (i = 0; i < r->count; i++) {
		struct target *t = &r->targets[i];
		struct plan_input in = {
			.now = &t->facts.settings,
			.every = t->is_file ? NULL : &t->every.settings,
			.boot = t->boot.name[0] ? &t->boot.settings : NULL,
			.seen = &t->boot.seen,
			.boot_name = t->boot.name,
			.boot_found = t->boot.found,
			.boot_broken = t->boot.broken,
			.request = &t->request,
			.node_count = r->options->reach.target_count,
			.other_nodes = others,
			.alike = alike,
			.part = target_found_part(t),
			.stored = r->store.found ? r->store.loaded.request : NULL,
			.new_node = r->store.found && !t->has_node,
			.doubted = t->doubted,
			.snapshot_place = r->place,
			.minor_first = t->facts.minor_first,
			.minor_last = t->facts.minor_last,
			.shared_elsewhere = i > 0,
			.file = t->is_file,
		};

		failed = planner(&t->plan, &t->pool, &in, &err);
		memset(&t->boot.settings, 0, sizeof(t->boot.settings));
		api_every_free(&t->every);
		if (failed) {
			run_fail(r, t, &err);
			return -1;
		}
		t->planned = true;
		refused += add_plan_messages(r, t);
	}
	if (!refused)
		return edit_files(r);
	message_add(&r->messages, &r->pool, MESSAGE_ERROR, "Nothing was written.");
	r->exit = EXIT_REFUSED;
	return -1;
}

/* If there are several nodes: which are done, and which were not written to. */
static void
add_node_messages(struct run *r)
{
	size_t i;

	for (i = 0; i < r->count && r->count > 1; i++) {
		if (r->targets[i].progress != PROGRESS_UNPROVED && !r->targets[i].outranked &&
		    !r->targets[i].taken)
			message_add(&r->messages, &r->pool, MESSAGE_WARNING, "%s: %s",
			    r->targets[i].origin,
			    r->targets[i].progress == PROGRESS_PROVED ? "done and read back."
								      : "not written to.");
	}
}

/* The database's keys were written through the first node, but this node's file outranks them. */
static void
take_back_shared(struct run *r, const struct target *t, struct err *err)
{
	struct err why;

	if (target_take_back(&r->targets[0], t->outranked, &why) == -1)
		err_set(err, why.kind,
		    "This server's config.toml outranks keys of group %s, so it has to be taken "
		    "back through %s. %s",
		    group_list(&r->pool, t->outranked), r->targets[0].origin, why.text);
}

int
run_write(struct run *r, struct target *t)
{
	struct err err;
	int failed = target_write(t, &err);

	if (failed && t->outranked && !t->taken && t != r->targets)
		take_back_shared(r, t, &err);

	if (t->left_in_file) {
		message_add(&r->messages, &r->pool, MESSAGE_WARNING,
		    "%zu key%s in config.toml, which outranks the database, and the API can't take "
		    "%s out of it. Stop the server and use stalprep clear --config.",
		    t->left_in_file, t->left_in_file == 1 ? " stands" : "s stand",
		    t->left_in_file == 1 ? "it" : "them")
		    ->target = t->origin;
		r->exit = EXIT_PARTLY;
	}
	if (t->rewritten)
		message_add(&r->messages, &r->pool, MESSAGE_WARNING,
		    "%zu key%s missing when read back, and written again. This happens when "
		    "somebody reloads the server at the same moment.",
		    t->rewritten, t->rewritten == 1 ? " was" : "s were")
		    ->target = t->origin;
	if (failed) {
		run_fail(r, t, &err);
		add_node_messages(r);
	}
	return failed;
}

void
run_withdraw(struct run *r)
{
	bool unsent = false;
	struct err err;
	size_t i;

	if (!r->store.ahead)
		return;
	for (i = 0; i < r->count; i++) {
		if (r->targets[i].progress != PROGRESS_NONE || !r->targets[i].recorded)
			continue;
		target_forget_plan(&r->targets[i]);
		unsent = true;
	}
	if (!anything_written(r) || (!r->store.found && !snapshot_count(&r->store.current))
		? store_restore(&r->store, &err) == -1
		: unsent && store_save(&r->store, &err) == -1)
		message_add(&r->messages, &r->pool, MESSAGE_WARNING,
		    "The snapshot may have keys that were not sent: %s.", err.text);
}

/* The text of a file that goes to standard output in place of the report; or NULL. */
static const struct buf *
stream_of(const struct run *r, const struct target *t)
{
	if (!t->is_file || !configfile_is_stream(t->reach->config) || !t->planned ||
	    r->options->id == COMMAND_STATUS || r->options->dry_run)
		return NULL;
	return t->edited.len ? &t->edited : &t->config.text;
}

/* A target as the report has it. The caller frees the diff. */
static struct report_target
report_of(const struct run *r, const struct target *t, struct buf *diff)
{
	if (t->is_file)
		edits_diff(diff, &t->edits, t->origin, t->config.text.data, t->config.text.len);
	return (struct report_target){
		.name = t->origin,
		.is_file = t->is_file,
		.is_stream = t->is_file && configfile_is_stream(t->reach->config),
		.from = t->session.from,
		.peer = t->session.conn.peer,
		.read = t->read,
		.version = t->facts.version,
		.minor_first = t->facts.minor_first,
		.minor_last = t->facts.minor_last,
		.url_in_force = t->facts.url_in_force,
		.settings = &t->facts.settings,
		.request = &t->request,
		.plan = t->planned ? &t->plan : NULL,
		.written = t->progress != PROGRESS_NONE,
		.would_write = r->options->dry_run && target_is_to_write(t) &&
		    (r->exit == EXIT_DONE || r->exit == EXIT_PARTLY),
		.proved = t->progress == PROGRESS_PROVED,
		.changed = t->changed,
		.file_rewritten = t->local_changed,
		.snapshot_path = *r->store.path ? r->store.path : NULL,
		.snapshot_place = r->place,
		.snapshot_kept = r->store.kept && r->store.certain,
		.snapshot = r->store.found && r->store.certain ? &r->store.current : NULL,
		.part = target_found_part(t),
		.has_node = t->has_node,
		.node = t->node,
		.boot_name = t->boot.name[0] ? t->boot.name : NULL,
		.boot_found = t->boot.found,
		.boot_broken = t->boot.broken,
		.diff = t->is_file ? diff : NULL,
		.stream = stream_of(r, t),
	};
}

static int
print_report(const struct run *r)
{
	struct report_target targets[TARGETS_MAX];
	struct buf diff = { 0 };
	struct report report = {
		.options = r->options,
		.targets = targets,
		.count = r->count,
		.messages = &r->messages,
		.exit = r->exit,
	};
	int failed;
	size_t i;

	/* There is never more than one file, so one diff is enough. */
	for (i = 0; i < r->count; i++)
		targets[i] = report_of(r, &r->targets[i], &diff);
	report.incomplete = r->pool.failed || diff.failed;
	failed = report_print(&report);
	buf_free(&diff);
	return failed;
}

int
run_end(struct run *r)
{
	int failed, status = r->exit;
	char text[160];
	size_t i;

	/* Close first, and let the time end: the report's reader may be slow. */
	interrupt_after(0);
	for (i = 0; i < r->count; i++)
		session_close(&r->targets[i].session);
	credentials_wipe(&r->credentials);
	failed = print_report(r);
	if (failed) {
		snprintf(text, sizeof(text),
		    "Without this failure the exit status would be %d. To see what was done, run "
		    "stalprep status.",
		    status);
		say(r->options->command->name, text);
		if (status == EXIT_DONE)
			status = anything_written(r) ? EXIT_UNPROVED : EXIT_REFUSED;
	}
	for (i = 0; i < r->count; i++)
		target_close(&r->targets[i]);
	store_close(&r->store);
	free(r->targets);
	trust_free(&r->trust);
	pool_free(&r->pool);
	return status;
}
