#include "cmd/report_next.h"

#include "base/buf.h"
#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/report.h"
#include "format/addr.h"
#include "plan/plan.h"
#include "settings/request.h"
#include "settings/settings.h"
#include "settings/snapshot.h"
#include "sys/resolve.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The address of "ADDR:PORT" or "[ADDR]:PORT"; out has RESOLVE_TEXT_MAX bytes. */
static void
address_of(char *out, const char *text)
{
	const char *end = strrchr(text, ':');
	size_t len = end ? (size_t)(end - text) : 0;

	if (len && *text == '[') {
		text++;
		len -= 2;
	}
	memcpy(out, text, len);
	out[len] = '\0';
}

/* Does this option give the addresses of that host and port? */
static bool
resolves(const char *option, const struct url *u)
{
	size_t len = strlen(u->host);

	return !strncmp(option, "*:", 2) ||
	    (!strncasecmp(option, u->host, len) && option[len] == ':' &&
		strtoul(option + len + 1, NULL, 10) == u->port);
}

/*
 * Append where the server is, if its URL has the public name: that soon leads to the proxy. Not if
 * an option says it already.
 */
static void
add_address(struct buf *out, const struct report *r, size_t i)
{
	const struct reach *reach = &r->options->reach;
	const struct url *u = &reach->targets[i];
	char address[RESOLVE_TEXT_MAX];
	struct url public;
	size_t j;

	if (r->targets[i].is_file || u->is_addr || !*r->targets[i].peer ||
	    url_parse_public(&public, r->targets[i].request->public_origin, "", NULL) == -1 ||
	    strcmp(public.host, u->host) != 0)
		return;
	for (j = 0; j < reach->resolve_count && !resolves(reach->resolve[j], u); j++)
		;
	if (j < reach->resolve_count)
		return;
	address_of(address, r->targets[i].peer);
	buf_printf(out, strchr(address, ':') ? " --resolve %s:%u:[%s]" : " --resolve %s:%u:%s",
	    u->host, u->port, address);
}

/* Append the beginning of a command for all targets, as it can be pasted into a shell. */
static void
add_command(struct buf *out, const struct report *r, const char *command)
{
	bool prints = *command == 'p', reloads = *command == 'r';
	size_t i;

	options_format_command(out, r->options, command);
	for (i = 0; i < r->count; i++) {
		if (prints && r->targets[i].is_file)
			continue;
		options_format_option(
		    out, r->targets[i].is_file ? "config" : "url", r->targets[i].name, false);
		add_address(out, r, i);
	}
	for (i = 0; i < r->count && !prints && !reloads; i++) {
		if (r->targets[i].boot_name && !r->targets[i].boot_found)
			options_format_option(out, "boot-config", r->targets[i].boot_name, false);
	}
	options_format_reach(out, r->options);
}

static void
add_snapshot(struct buf *out, const struct report *r)
{
	options_format_option(out, "snapshot", r->targets[0].snapshot_path, false);
}

/*
 * Append --force with the names that were given and that the next command may meet again. What
 * somebody changes later is not among them.
 */
static void
add_forced(struct buf *out, const struct report *r)
{
	const char *sep = " --force ";
	size_t i;

	for (i = 0; i < REFUSAL_COUNT; i++) {
		if (!r->options->request.forced[i] || i == REFUSAL_CHANGED)
			continue;
		buf_printf(out, "%s%s", sep, refusals[i].name);
		sep = ",";
	}
}

static void
add_clear(struct buf *out, const struct report *r)
{
	add_command(out, r, "clear");
	add_snapshot(out, r);
	add_forced(out, r);
}

/* ---- groups of earlier runs ---- */

size_t
report_earlier(const struct report *r, const struct report_target *t, unsigned groups)
{
	size_t i, n = 0;

	groups &= ~r->options->request.groups;
	if (r->options->request.allow_new_server)
		groups &= ~(1u << GROUP_ALLOW);
	for (i = 0; t->part && i < t->part->count; i++) {
		const struct part_key *k = &t->part->keys[i];

		n += groups & 1u << k->group && k->written &&
		    settings_same(k->written, settings_get(t->settings, k->key));
	}
	return n;
}

void
report_standing(struct buf *out, const struct report *r, const struct report_target *t)
{
	struct buf names = { 0 };
	size_t g, n = 0;

	for (g = 0; g < GROUP_ALLOW; g++) {
		if (!report_earlier(r, t, 1u << g))
			continue;
		buf_printf(&names, "%s%s", n ? "," : "", group_name((enum group)g));
		n++;
	}
	if (n && buf_text(&names)) {
		buf_printf(out, "%s %s staged since an earlier run and stay%s; to take %s out:\n  ",
		    names.data, n == 1 ? "is" : "are", n == 1 ? "s" : "", n == 1 ? "it" : "them");
		add_clear(out, r);
		buf_printf(out, " --only %s\n", names.data);
	}
	out->failed |= names.failed;
	buf_free(&names);
	if (report_earlier(r, t, 1u << GROUP_ALLOW))
		buf_str(out,
		    "The exemption of the new server from bans is staged since an earlier run and\n"
		    "stays; a clear of all groups takes it out.\n");
}

/* ---- the last lines ---- */

/* Is what the run wanted there, as it was read, with a snapshot that can bring back what stood? */
static bool
can_be_undone(const struct report *r, const struct report_target *t)
{
	return t->plan && !t->is_stream && t->snapshot_kept &&
	    (t->written ? t->proved : r->exit == EXIT_DONE);
}

/*
 * Will the server expect a PROXY header from this host after the restart? If one is sent already,
 * the command has the option.
 */
static bool
within_proxy(const struct report *r)
{
	char address[RESOLVE_TEXT_MAX];
	struct net from, proxy;
	size_t i, j;

	for (i = 0; i < r->count && !r->options->reach.haproxy; i++) {
		const struct request *q = r->targets[i].request;

		if (r->targets[i].is_file)
			continue;
		address_of(address, r->targets[i].from);
		for (j = 0; j < q->proxy_count && addr_parse(&from, address); j++) {
			if (net_parse(&proxy, q->proxies[j], NULL) == 0 &&
			    net_covers(&proxy, &from))
				return true;
		}
	}
	return false;
}

/* The command that prints it; without a snapshot, if print takes the options. */
static void
add_runbook(struct buf *out, const struct report *r)
{
	const struct request *q = r->targets[0].request;

	if (!r->targets[0].snapshot_kept && q->also_count + q->leave_count)
		return;
	buf_str(out, "The order of the day: ");
	add_command(out, r, "print --format runbook");
	if (r->targets[0].snapshot_kept)
		add_snapshot(out, r);
	else
		request_format(out, q);
	buf_char(out, '\n');
}

static void
next_of_stage(struct buf *out, const struct report *r)
{
	bool written = false, undo = false;
	size_t i;

	for (i = 0; i < r->count; i++) {
		undo |= can_be_undone(r, &r->targets[i]);
		written |= r->targets[i].written && r->targets[i].proved;
	}
	if (!undo)
		return;
	if (written && r->exit == EXIT_DONE)
		buf_str(out,
		    r->targets[0].is_file
			? "\nThe server applies all of it when it starts with this file.\n"
			: "\nTo apply it at the cutover: restart the old server. It needs no "
			  "reload.\n");
	if (r->exit == EXIT_DONE)
		add_runbook(out, r);
	buf_str(out, within_proxy(r) ? "To undo, until the restart: " : "To undo: ");
	add_clear(out, r);
	buf_char(out, '\n');
	if (!within_proxy(r))
		return;
	buf_str(out,
	    "To undo after the restart (this host's address is in --proxy, so the server expects\n"
	    "a PROXY header from it then): ");
	add_clear(out, r);
	buf_str(out, " --haproxy-protocol\n");
}

/* Append the command that clears what is left at one place. */
static void
add_left(struct buf *out, const struct report *r, size_t keys, const char *where, bool by_file,
    const char *value)
{
	if (!keys)
		return;
	buf_printf(out, "\n%zu key%s of ", keys, plural(keys));
	buf_clean(out, where, strlen(where), (size_t)-1);
	buf_printf(out, " %s. To clear %s:\n  ",
	    r->options->dry_run ? "would stay staged"
		: keys == 1     ? "is still staged"
				: "are still staged",
	    keys == 1 ? "it" : "them");
	options_format_command(out, r->options, "clear");
	options_format_option(out, by_file ? "config" : "url",
	    value         ? value
		: by_file ? "FILE"
			  : "URL",
	    false);
	if (!r->targets[0].is_file && !by_file)
		options_format_reach(out, r->options);
	add_snapshot(out, r);
	buf_char(out, '\n');
}

/* The target whose part this node is, or whose URL, or NULL: the run did not reach it. */
static const struct report_target *
target_of(const struct report *r, size_t node)
{
	size_t i;

	for (i = 0; i < r->count; i++) {
		const struct report_target *t = &r->targets[i];

		if (t->has_node ? t->node == node
				: settings_same(t->snapshot->nodes[node].origin, t->name))
			return t;
	}
	return NULL;
}

static size_t
count_in_file(const struct plan *p)
{
	size_t i, n = 0;

	for (i = 0; i < p->key_count; i++)
		n += p->keys[i].state == KEY_IN_FILE;
	return n;
}

/* What the run could not reach: other nodes, the database of a file, the file below the API. */
static void
left_of_clear(struct buf *out, const struct report *r)
{
	const struct snapshot *s = r->targets[0].snapshot;
	unsigned groups = r->options->request.groups;
	const char *url = NULL;
	size_t i;

	for (i = 0; s && r->targets[0].snapshot_kept && i < s->node_count; i++) {
		const struct part *node = &s->nodes[i];
		const struct report_target *t = target_of(r, i);
		bool by_file = t || !node->origin;

		url = url ? url : node->origin;
		add_left(out, r, t ? count_in_file(t->plan) : part_count(node, groups),
		    part_node_name(node), by_file, by_file ? node->file : node->origin);
	}
	if (s && r->targets[0].snapshot_kept && r->targets[0].is_file)
		add_left(out, r, part_count(&s->database, groups), "the database", false, url);
}

/* What was applied before the clear still runs. */
static void
next_of_clear(struct buf *out, const struct report *r)
{
	bool changed = false;
	size_t i;

	if (r->exit == EXIT_PARTLY)
		left_of_clear(out, r);

	for (i = 0; i < r->count; i++)
		changed |= r->targets[i].changed && !r->targets[i].is_file;
	if (!changed || r->options->reload)
		return;
	buf_str(out,
	    "\nIf the server was restarted or reloaded since the stage, restart it now: until\n"
	    "then all that it loaded stays in force (print --format runbook has the way back).\n"
	    "A reload takes back all but the listeners. To reload: ");
	add_command(out, r, "reload");
	if (r->options->request.forced[REFUSAL_OPEN_SECRET])
		buf_str(out, " --force open-secret");
	buf_char(out, '\n');
}

/* What keeps this target from being ready, if anything does. */
static void
add_unready(struct buf *out, const struct report *r, const struct report_target *t)
{
	unsigned missing = plan_missing(t->plan, r->options->request.groups);
	const char *sep = ". Missing: ";
	int g;

	if (!missing && !t->plan->unready)
		return;
	buf_printf(out, "Not ready for the %s", t->is_file ? "start" : "restart");
	if (r->count > 1)
		buf_printf(out, ", %s", t->name);
	for (g = 0; g < GROUP_COUNT; g++) {
		if (missing & 1u << g) {
			buf_printf(out, "%s%s", sep, group_name((enum group)g));
			sep = ", ";
		}
	}
	buf_printf(out, "%s.\n", missing ? "" : ": see the warnings");
}

static void
next_of_status(struct buf *out, const struct report *r)
{
	bool whole = (r->options->request.groups & GROUPS_DEFAULT) == GROUPS_DEFAULT;
	size_t i;

	if (r->exit == EXIT_DONE) {
		buf_printf(out, "\n%s for the %s.\n",
		    whole ? "Ready" : "The groups that were looked at are ready",
		    r->targets[0].is_file ? "start" : "restart");
		add_runbook(out, r);
	}
	if (r->exit == EXIT_PARTLY)
		buf_char(out, '\n');
	for (i = 0; i < r->count && r->exit == EXIT_PARTLY; i++) {
		if (r->targets[i].plan)
			add_unready(out, r, &r->targets[i]);
	}
	if (r->exit != EXIT_NOT_STAGED || r->targets[0].is_stream)
		return;
	buf_str(out, "\nNothing of the change set is staged. To see what a stage would write:\n  ");
	add_command(out, r, "stage");
	buf_printf(out, "%s --proxy ADDR --public-url URL -n\n",
	    r->targets[0].is_file ? " --dialect VERSION" : "");
}

const char report_dry_run_way[] = "To do it: the same command without -n.";

/* A file's report ends with its changes instead. */
static void
next_of_dry_run(struct buf *out, const struct report *r)
{
	bool would_write = false;
	size_t i;

	for (i = 0; i < r->count; i++)
		would_write |= !r->targets[i].is_file && r->targets[i].would_write;
	if (would_write && r->exit != EXIT_REFUSED)
		buf_printf(out, "\n%s\n", report_dry_run_way);
	if (r->options->id == COMMAND_CLEAR && r->exit == EXIT_PARTLY)
		left_of_clear(out, r);
}

void
report_next(struct buf *out, const struct report *r)
{
	if (!r->count)
		return;
	if (r->options->id == COMMAND_STATUS)
		next_of_status(out, r);
	else if (r->options->dry_run && r->options->id != COMMAND_RELOAD)
		next_of_dry_run(out, r);
	else if (r->options->id == COMMAND_STAGE)
		next_of_stage(out, r);
	else if (r->options->id == COMMAND_CLEAR)
		next_of_clear(out, r);
}
