#include "cmd/say.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

void
say_clean(struct buf *out, const char *text, size_t len, size_t max)
{
	size_t i, n;

	for (i = 0; i < len; i += n) {
		n = utf8_length(text + i, len - i);
		if (n > max || i > max - n) {
			buf_str(out, "\xe2\x80\xa6");
			return;
		}
		if (!n || (unsigned char)text[i] < ' ' || text[i] == 0x7f ||
		    (text[i] == '\xc2' && (unsigned char)text[i + 1] < 0xa0)) {
			buf_char(out, '?');
			n = n ? n : 1;
		} else {
			buf_add(out, text + i, n);
		}
	}
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
		say_clean(out, text, (size_t)(end - text), (size_t)-1);
		buf_char(out, '\n');
	}
	say_clean(out, text, strlen(text), (size_t)-1);
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

void
say_lines(const char *command, const struct buf *lines)
{
	if (buf_text(lines))
		fputs(buf_text(lines), stderr);
	else
		fprintf(stderr, "stalprep%s%s: out of memory\n", command ? " " : "",
		    command ? command : "");
}

int
say_results(const char *command, const struct buf *results)
{
	const char *text = buf_text(results);
	struct err err;

	if (text && fwrite(text, 1, results->len, stdout) == results->len && fflush(stdout) == 0)
		return 0;
	if (text)
		err_system(
		    &err, ERR_SYSTEM, errno, "The report could not be written to standard output");
	else
		err_memory(&err);
	say(command, err.text);
	return 1;
}
