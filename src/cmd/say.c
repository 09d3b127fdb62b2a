#include "cmd/say.h"

#include "base/buf.h"
#include "base/err.h"
#include "sys/output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Append text; each of its lines begins with the program's and the command's name. */
static void
add_lines(struct buf *out, const char *command, const char *text)
{
	size_t len;

	for (;; text += len + 1) {
		len = strcspn(text, "\n");
		buf_printf(out, "stalprep%s%s: ", command ? " " : "", command ? command : "");
		buf_add(out, text, len);
		buf_char(out, '\n');
		if (!text[len] || !text[len + 1])
			return;
	}
}

void
say(const char *command, const char *text)
{
	struct buf lines = { 0 };

	add_lines(&lines, command, text ? text : "out of memory");
	say_lines(command, &lines);
	buf_free(&lines);
}

/*
 * Append a message. Only a line end in front of an indented line stays one: text of a server can't
 * look like another message.
 */
static void
add_clean_lines(struct buf *out, const char *text)
{
	const char *end;

	for (; (end = strstr(text, "\n  ")) != NULL; text = end + 1) {
		buf_clean(out, text, (size_t)(end - text), (size_t)-1);
		buf_char(out, '\n');
	}
	buf_clean(out, text, strlen(text), (size_t)-1);
}

/* What is in front of a message's text. */
static void
add_label(struct buf *out, const struct message *m)
{
	if (m->level == MESSAGE_REFUSAL)
		buf_printf(
		    out, m->forced ? "forced (%s): " : "refused (%s): ", refusals[m->refusal].name);
	else if (m->level == MESSAGE_WARNING)
		buf_str(out, "warning: ");
	if (m->target)
		buf_printf(out, "%s: ", m->target);
}

void
say_format(struct buf *out, const char *command, const struct messages *m, enum message_level least)
{
	struct buf one = { 0 };
	size_t i;

	for (i = 0; i < m->count; i++) {
		if (m->items[i].level < least)
			continue;
		buf_reset(&one);
		add_label(&one, &m->items[i]);
		add_clean_lines(&one, m->items[i].text);
		add_lines(out, command, buf_text(&one) ? buf_text(&one) : "out of memory");
	}
	buf_free(&one);
}

/* The one place that writes. 0; or -1 with errno. */
static int
print(int fd, const struct buf *text, enum say_as as)
{
	struct buf shown = { 0 };
	int r = -1;

	if (as == SAY_FILE)
		return output_write(fd, text->data, text->len);
	buf_shown(&shown, text->data, text->len, as == SAY_JSON);
	errno = ENOMEM;
	if (!shown.failed)
		r = output_write(fd, shown.data, shown.len);
	buf_free(&shown);
	return r;
}

/* Needs no memory. Nobody is left to be told if this fails. */
static void
say_no_memory(const char *command)
{
	const char *const parts[] = { "stalprep", command ? " " : "", command ? command : "",
		": out of memory\n" };
	size_t i;

	for (i = 0;
	    i < COUNT(parts) && output_write(STDERR_FILENO, parts[i], strlen(parts[i])) == 0; i++)
		;
}

void
say_lines(const char *command, const struct buf *lines)
{
	if (lines->failed || (print(STDERR_FILENO, lines, SAY_TEXT) == -1 && errno == ENOMEM))
		say_no_memory(command);
}

int
say_results(const char *command, const struct buf *results, enum say_as as)
{
	struct err err;

	if (results->failed)
		err_memory(&err);
	else if (print(STDOUT_FILENO, results, as) == 0)
		return 0;
	else
		err_system(
		    &err, ERR_SYSTEM, errno, "The report could not be written to standard output");
	say(command, err.text);
	return 1;
}
