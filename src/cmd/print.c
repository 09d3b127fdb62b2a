#include "cmd/print.h"

#include "base/buf.h"
#include "cmd/options.h"
#include "format/jsonout.h"
#include "format/toml.h"
#include "settings/ops.h"

#include <string.h>

static bool
is_local(const struct entry *e)
{
	return !strncmp(e->key, "server.", 7) && e->group != GROUP_ALLOW;
}

static void
format_keys(struct buf *out, const struct print *p)
{
	size_t i;

	for (i = 0; i < p->set->count; i++)
		buf_printf(out, "%s\n", p->set->entries[i].key);
}

/* No listener was named: the change set has those of a default installation. */
static bool
has_default_listeners(const struct print *p)
{
	return !p->options->request.listener_count &&
	    p->options->request.groups & 1u << GROUP_LISTENERS;
}

static void
format_text(struct buf *out, const struct print *p)
{
	const char *verb = p->options->clear ? "Delete" : "Set";
	size_t g, i;
	bool head;

	buf_printf(out, "%s on an older Stalwart server, version %s:\n",
	    p->options->clear ? "How to undo the change set" : "The change set", p->dialect->name);
	if (has_default_listeners(p))
		buf_str(out,
		    "(The listeners are those of a default installation. Name the server's own\n"
		    "with --listener. stage finds them itself.)\n");
	for (g = 0; g < GROUP_COUNT; g++) {
		head = false;
		for (i = 0; i < p->set->count; i++) {
			const struct entry *e = &p->set->entries[i];

			if (e->group != g)
				continue;
			if (!head)
				buf_printf(out, "\n%s: %s. %s (a %s applies it):\n",
				    group_name(e->group), group_words(e->group), verb,
				    e->applies == APPLIES_RESTART ? "restart" : "reload");
			head = true;
			if (p->options->clear)
				buf_printf(out, "  %s\n", e->key);
			else
				buf_printf(out, "  %s = %s\n", e->key, e->value);
		}
	}
}

/*
 * Append one operation with the entries of a group (GROUP_COUNT: of all), one a line. local: 1
 * takes only keys of config.toml, 0 only keys of the database, -1 both. false, and nothing is
 * appended, if there is none.
 */
static bool
format_operation(struct jsonout *j, const struct print *p, size_t group, int local)
{
	enum op_kind kind = p->options->clear ? OP_DELETE : OP_INSERT;
	bool any = false;
	size_t i;

	for (i = 0; i < p->set->count; i++) {
		const struct entry *e = &p->set->entries[i];
		struct op op = { .kind = kind, .key = e->key, .value = e->value };

		if ((group != GROUP_COUNT && e->group != group) ||
		    (local != -1 && is_local(e) != (local == 1)))
			continue;
		jsonout_line(j);
		if (!any)
			ops_open(j, kind, p->dialect->capital_ops);
		any = true;
		jsonout_line(j);
		ops_entry(j, &op);
	}
	if (any) {
		jsonout_line(j);
		ops_close(j, kind);
	}
	return any;
}

/*
 * The body that stage sends to a server without any of the keys. The keys of config.toml come
 * first, in an operation of their own.
 */
static void
format_json(struct buf *out, const struct print *p)
{
	struct jsonout j = { .out = out };

	jsonout_open(&j, NULL, '[');
	format_operation(&j, p, GROUP_COUNT, 1);
	format_operation(&j, p, GROUP_COUNT, 0);
	jsonout_line(&j);
	jsonout_close(&j, ']');
	buf_char(out, '\n');
}

/* The part that is the same for every server. curl gets the password by a pipe, not in argv. */
static const char curl_head[] =
    "user=${STALPREP_USER:-admin}\n"
    ": \"${STALPREP_PASSWORD:?set it to the password of the old server administrator}\"\n"
    "\n"
    "# curl reads the login from standard input, quoted as in its configuration files.\n"
    "login() {\n"
    "\tprintf 'user = \"%s\"\\n' \"$(printf '%s:%s' \"$user\" \"$STALPREP_PASSWORD\" | sed "
    "'s/[\\\\\"]/\\\\&/g')\"\n"
    "}\n"
    "\n"
    "# The server also answers 200 when it did nothing; only {\"data\":null} is a success.\n"
    "post() {\n"
    "\tanswer=$(login | curl -sS -K - \"$@\" -H 'Content-Type: application/json' "
    "\"$old/api/settings\" -d \"$body\")\n"
    "\t[ \"$answer\" = '{\"data\":null}' ] && return\n"
    "\tprintf '%s: the server answered: %s\\n' \"$what\" \"$answer\" >&2\n"
    "\texit 1\n"
    "}\n";

static void
add_listeners_comment(struct buf *out, const struct print *p)
{
	if (has_default_listeners(p))
		buf_str(out,
		    "# The listeners are those of a default installation. Name the server's own "
		    "with --listener.\n");
}

/* One POST, if the group has any entry. */
static void
format_post(struct buf *out, const struct print *p, enum group g)
{
	struct buf body = { 0 };
	struct jsonout j = { .out = &body };

	jsonout_open(&j, NULL, '[');
	if (format_operation(&j, p, g, -1)) {
		jsonout_line(&j);
		jsonout_close(&j, ']');
		buf_printf(out, "\nwhat=%s\nbody=", group_name(g));
		buf_shell(out, buf_text(&body) ? buf_text(&body) : "");
		buf_str(out, "\npost \"$@\"\n");
	}
	out->failed |= body.failed;
	buf_free(&body);
}

static void
format_curl(struct buf *out, const struct print *p)
{
	char origin[ORIGIN_MAX];
	size_t g;

	buf_printf(out,
	    "#!/bin/sh\n"
	    "# %s on an older Stalwart server, version %s, without a reload or restart.\n"
	    "# Arguments go to curl, such as --cacert FILE. $STALPREP_PASSWORD is the password.\n",
	    p->options->clear ? "Clears the change set" : "Stages the change set",
	    p->dialect->name);
	add_listeners_comment(out, p);
	buf_str(out, "set -eu\n");
	if (p->options->reach.target_count) {
		url_format(&p->options->reach.targets[0], origin);
		buf_str(out, "old=");
		buf_shell(out, origin);
		buf_char(out, '\n');
	} else {
		buf_str(out,
		    "old=${OLD:?set it to the URL of the old server, such as "
		    "https://source.internal.example.org}\n");
	}
	buf_str(out, curl_head);
	for (g = 0; g < GROUP_COUNT; g++)
		format_post(out, p, (enum group)g);
}

/* Keys with dots, which mean the same in every file if no table's header stands before them. */
static void
format_toml(struct buf *out, const struct print *p)
{
	size_t i;

	buf_printf(out,
	    "# The change set for the config.toml of an older Stalwart server, version %s.\n%s",
	    p->dialect->name,
	    p->options->clear
		? "# To undo it, delete these keys and put back your own values.\n"
		: "# Put it in front of the first [table]; in a file without tables, anywhere.\n"
		  "# Change a key that is already there in its place. A program that reads the\n"
		  "# file as strict TOML needs each key in its own table, where the file has "
		  "that.\n"
		  "# stalprep stage --config - does all of this in a copy.\n");
	add_listeners_comment(out, p);
	for (i = 0; i < p->set->count; i++) {
		const struct entry *e = &p->set->entries[i];

		buf_str(out, p->options->clear ? "# " : "");
		changeset_write_names(out, e->key, 0, strlen(e->key));
		buf_str(out, " = ");
		out->failed |= toml_write_value(out, e->value) == -1;
		buf_char(out, '\n');
	}
}

void
print_format(struct buf *out, const struct print *p)
{
	switch (p->options->format) {
	case FORMAT_CURL:
		format_curl(out, p);
		break;
	case FORMAT_JSON:
		format_json(out, p);
		break;
	case FORMAT_TOML:
		format_toml(out, p);
		break;
	case FORMAT_KEYS:
		format_keys(out, p);
		break;
	default:
		format_text(out, p);
	}
}
