#include "cmd/usage.h"

#include "base/buf.h"
#include "base/refusal.h"
#include "cmd/exits.h"
#include "cmd/option_table.h"

#include <string.h>

enum { WIDTH = 80, HELP_COLUMN = 34, LONG_HELP_COLUMN = 12, REFUSAL_COLUMN = 22, EXIT_COLUMN = 7 };

static const char examples[] =
    "\nFirst make a copy of the server's config.toml. Then, for example (-n first):\n"
    "  stalprep stage --url https://mail.internal --proxy 203.0.113.10 \\\n"
    "      --public-url https://mail.example.org\n"
    "  stalprep status --url https://mail.internal\n"
    "  stalprep clear --url https://mail.internal\n";

/* Append text and a line end. Its lines begin at this column; the first is there already. */
static void
add_wrapped(struct buf *out, const char *text, size_t indent)
{
	size_t column = indent, len;

	for (;; text += len + 1) {
		len = strcspn(text, " ");
		if (column > indent && column + 1 + len > WIDTH) {
			buf_printf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			buf_char(out, ' ');
			column++;
		}
		buf_add(out, text, len);
		column += len;
		if (!text[len])
			break;
	}
	buf_char(out, '\n');
}

void
usage_all(struct buf *out, const struct command *commands)
{
	size_t i;

	buf_str(out,
	    "stalprep prepares an older Stalwart mail server (0.8 to 0.15) to run behind the\n"
	    "migration proxy. It writes the guide's change set into the server's settings,\n"
	    "without applying it, proves what it wrote, and can take all of it back.\n\n"
	    "usage: stalprep COMMAND [OPTION]...\n\n");
	for (i = 0; i < COMMAND_COUNT; i++)
		buf_printf(out, "  %-9s %s\n", commands[i].name, commands[i].words);
	buf_str(out, examples);
	buf_str(out, "\nExit status:\n");
	for (i = 0; i < EXITS_COUNT; i++) {
		buf_printf(out, "  %3d  ", exits[i].status);
		add_wrapped(out, exits[i].words, EXIT_COLUMN);
	}
	buf_str(out, "\nstalprep help COMMAND lists the options of one command.\n");
}

static void
add_refusals(struct buf *out)
{
	size_t i;

	buf_str(out, "\nRefusals (--force NAME overrides those with a star):\n");
	for (i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++) {
		buf_printf(
		    out, "  %c %-17s ", refusals[i].can_be_forced ? '*' : ' ', refusals[i].name);
		add_wrapped(out, refusals[i].meaning, REFUSAL_COLUMN);
	}
}

static void
add_option(struct buf *out, const struct option *opt)
{
	size_t start = out->len, length;

	if (opt->letter)
		buf_printf(out, "  -%c, --%s", opt->letter, opt->name);
	else
		buf_printf(out, "      --%s", opt->name);
	if (opt->arg)
		buf_printf(out, " %s", opt->arg);
	length = out->len - start;
	if (length + 2 <= HELP_COLUMN && HELP_COLUMN + strlen(opt->help) <= WIDTH) {
		buf_printf(out, "%*s%s\n", (int)(HELP_COLUMN - length), "", opt->help);
	} else {
		buf_printf(out, "\n%*s", LONG_HELP_COLUMN, "");
		add_wrapped(out, opt->help, LONG_HELP_COLUMN);
	}
}

void
usage_command(struct buf *out, const struct command *commands, enum command_id c)
{
	size_t i;

	buf_printf(out, "usage: stalprep %s%s [OPTION]...\n%s\n\n", commands[c].name,
	    c == COMMAND_PROBE ? " HOST" : "", commands[c].words);
	for (i = 0; i < OPT_COUNT; i++) {
		if (option_table[i].commands & 1u << c)
			add_option(out, &option_table[i]);
	}
	if (option_table[OPT_FORCE].commands & 1u << c)
		add_refusals(out);
}
