#include "cmd/report.h"

#include "base/buf.h"
#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "settings/message.h"

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

/* A quiet run that did a part, or found no more, still says why. */
static enum message_level
least_level(const struct report *r)
{
	if (!r->options->quiet)
		return MESSAGE_NOTE;
	return r->exit == EXIT_PARTLY ? MESSAGE_WARNING : MESSAGE_REFUSAL;
}

int
report_print(const struct report *r)
{
	const struct buf *stream = r->count ? r->targets[0].stream : NULL;
	const char *command = r->options->command->name;
	struct buf out = { 0 }, lines = { 0 };
	int failed = 0;

	format(&out, r);
	say_format(&lines, command, r->messages, least_level(r));
	if (!stream)
		failed = say_results(command, &out, r->options->json ? SAY_JSON : SAY_TEXT);
	else if (out.len)
		say(command, buf_text(&out));
	/* The file goes out whole or not at all. */
	if (stream && (r->exit == EXIT_DONE || r->exit == EXIT_PARTLY))
		failed = say_results(command, stream, SAY_FILE);
	if (!r->options->json)
		say_lines(command, &lines);
	if (r->incomplete)
		say(command, "Out of memory: some messages are missing.");
	buf_free(&out);
	buf_free(&lines);
	return failed;
}
