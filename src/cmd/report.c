#include "cmd/report.h"

#include "base/buf.h"
#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/run.h"
#include "cmd/say.h"
#include "target/target.h"

/* The caller frees the diff. */
static struct report_target
report_of(const struct target *t, struct buf *diff)
{
	if (t->is_file)
		edits_diff(diff, &t->edits, t->origin, t->config.text.data, t->config.text.len);
	return (struct report_target){
		.name = t->origin,
		.is_file = t->is_file,
		.is_stream = t->is_file && configfile_is_stream(t->reach->config),
		.read = t->read,
		.version = t->facts.version,
		.minor_first = t->facts.minor_first,
		.minor_last = t->facts.minor_last,
		.url_in_force = t->facts.url_in_force,
		.settings = &t->facts.settings,
		.plan = t->planned ? &t->plan : NULL,
		.written = t->progress != PROGRESS_NONE,
		.proved = t->progress == PROGRESS_PROVED,
		.changed = t->changed,
		.file_rewritten = t->local_changed,
		.snapshot_path = t->snapshot_path[0] ? t->snapshot_path : NULL,
		.snapshot_kept = t->snapshot_kept,
		.snapshot = t->has_snapshot ? &t->snapshot : NULL,
		.diff = t->is_file ? diff : NULL,
	};
}

/* The text of the file that goes to standard output in place of the report; or NULL. */
static const struct buf *
stream_text(const struct run *r, const struct report_target *t)
{
	const struct target *file = r->targets;

	if (!t->is_stream || !t->plan || r->options->id == COMMAND_STATUS || r->options->dry_run)
		return NULL;
	return file->edited.len ? &file->edited : &file->config.text;
}

/* Append as much of the report as the options ask for. */
static void
format(struct buf *out, const struct report *r)
{
	const struct report_target *t = r->targets;

	if (r->options->json)
		report_json(out, r);
	else if (!r->options->quiet)
		report_text(out, r);
	else if (r->count && t->is_file && t->plan && r->options->dry_run)
		buf_add(out, t->diff->data, t->diff->len);
}

/* A quiet clear that left keys alone still names them. */
static enum message_level
least_level(const struct report *r)
{
	if (!r->options->quiet)
		return MESSAGE_NOTE;
	return r->exit == EXIT_PARTLY && r->options->id == COMMAND_CLEAR ? MESSAGE_WARNING
									 : MESSAGE_REFUSAL;
}

int
report_print(const struct run *r)
{
	struct buf out = { 0 }, lines = { 0 }, diff = { 0 };
	struct report_target targets[TARGETS_MAX];
	const char *command = r->options->command->name;
	struct report report = {
		.options = r->options,
		.targets = targets,
		.count = r->count,
		.messages = &r->messages,
		.exit = r->exit,
	};
	const struct buf *stream;
	int failed = 0;
	size_t i;

	/* There is never more than one file, so one diff is enough. */
	for (i = 0; i < r->count; i++)
		targets[i] = report_of(&r->targets[i], &diff);
	stream = r->count ? stream_text(r, &targets[0]) : NULL;
	format(&out, &report);
	out.failed |= diff.failed;
	say_format(&lines, command, &r->messages, least_level(&report));
	if (!stream)
		failed = say_results(command, &out);
	else if (out.len)
		say(command, buf_text(&out));
	/* The file goes out whole or not at all. */
	if (stream && (r->exit == EXIT_DONE || r->exit == EXIT_PARTLY))
		failed = say_results(command, stream);
	if (!r->options->json)
		say_lines(&lines);
	buf_free(&out);
	buf_free(&lines);
	buf_free(&diff);
	return failed;
}
