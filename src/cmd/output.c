#include "cmd/output.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "cmd/options.h"
#include "format/json.h"
#include "plan/plan.h"
#include "settings/settings.h"
#include "settings/snapshot.h"
#include "target/target.h"

#include <stdio.h>
#include <string.h>

enum { VALUE_MAX = 60 }; /* a longer value is cut in the text; --json has it whole */

static const char *const level_names[] = {
	[MESSAGE_NOTE] = "note",
	[MESSAGE_WARNING] = "warning",
	[MESSAGE_REFUSAL] = "refusal",
	[MESSAGE_ERROR] = "error",
};

/* A server's value on a terminal: control bytes become '?', so that none of them reaches it. */
static void
clean(struct buf *out, const char *text, size_t len, size_t max)
{
	size_t i, n;

	for (i = 0; i < len; i += n) {
		n = utf8_length(text + i, len - i);
		if (n > max || i > max - n) {
			buf_str(out, "...");
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

static void
add_clean(struct buf *out, const char *text, size_t max)
{
	clean(out, text, strlen(text), max);
}

/* The same as add_clean, with blanks behind it up to a column's width. */
static void
add_cell(struct buf *out, const char *text, size_t width)
{
	size_t before = out->len;

	add_clean(out, text, (size_t)-1);
	buf_printf(
	    out, "%*s  ", out->len - before < width ? (int)(width - (out->len - before)) : 0, "");
}

static void
add_value(struct buf *out, const char *value)
{
	if (!value)
		buf_str(out, "(absent)");
	else if (!*value)
		buf_str(out, "(empty)");
	else
		add_clean(out, value, VALUE_MAX);
}

/*
 * A message of several lines. All but the first are indented: what a server sends can't look like
 * another message.
 */
static void
add_lines(struct buf *out, const char *text)
{
	const char *end;

	for (; (end = strstr(text, "\n  ")) != NULL; text = end + 1) {
		clean(out, text, (size_t)(end - text), (size_t)-1);
		buf_char(out, '\n');
	}
	add_clean(out, text, (size_t)-1);
}

void
output_say(struct buf *out, const char *command, const char *text)
{
	size_t len;

	text = text ? text : "out of memory";
	for (;; text += len + 1) {
		len = strcspn(text, "\n");
		buf_printf(out, "stalprep%s%s: ", command ? " " : "", command ? command : "");
		buf_add(out, text, len);
		buf_char(out, '\n');
		if (!text[len] || !text[len + 1])
			return;
	}
}

/* What stands before a message's text. */
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
output_messages(
    struct buf *out, const char *command, const struct messages *m, enum message_level least)
{
	struct buf one = { 0 };
	size_t i;

	for (i = 0; i < m->count; i++) {
		if (m->items[i].level < least)
			continue;
		buf_reset(&one);
		add_label(&one, &m->items[i]);
		add_lines(&one, m->items[i].text);
		output_say(out, command, buf_text(&one));
	}
	buf_free(&one);
}

static void
add_server(struct buf *out, const struct target *t)
{
	if (t->is_file) {
		add_clean(out, t->origin, (size_t)-1);
		buf_printf(out,
		    " is the configuration of an older Stalwart server. Its version can't be seen "
		    "there%s%s.\n",
		    t->planned ? ": as for " : "", t->planned ? t->plan.dialect->name : "");
		return;
	}
	buf_printf(out, "%s is an older Stalwart server", t->origin);
	if (t->facts.version)
		buf_printf(out, ", version %s", t->facts.version);
	else if (t->facts.minor_first == t->facts.minor_last)
		buf_printf(out, ", version 0.%d", t->facts.minor_first);
	else
		buf_printf(
		    out, ", version 0.%d to 0.%d", t->facts.minor_first, t->facts.minor_last);
	buf_str(out, ".\n");
	if (t->facts.url_in_force) {
		buf_str(out, "It advertises ");
		add_clean(out, t->facts.url_in_force, VALUE_MAX);
		buf_str(out, " at this moment.\n");
	}
}

/* Does the listener have trusted networks of its own? */
static bool
has_networks(const struct target *t, const struct listener *l)
{
	char prefix[ID_MAX + 64];

	snprintf(prefix, sizeof(prefix), "server.listener.%s.proxy.trusted-networks", l->id);
	return settings_has_prefix(&t->facts.settings, prefix);
}

static void
add_listeners(struct buf *out, const struct target *t, bool planned)
{
	const struct plan *p = &t->plan;
	size_t i, id = 8, binds = 8;

	if (!p->listener_count)
		return;
	for (i = 0; i < p->listener_count; i++) {
		const struct listener *l = p->listeners[i].listener;

		id = strlen(l->id) > id && strlen(l->id) < 30 ? strlen(l->id) : id;
		binds = strlen(l->binds) > binds && strlen(l->binds) < 40 ? strlen(l->binds)
									  : binds;
	}
	buf_str(out,
	    planned ? "\nListeners:\n"
		    : "\nListeners, and whether they have proxy networks of their own:\n");
	for (i = 0; i < p->listener_count; i++) {
		const struct listener *l = p->listeners[i].listener;

		if (planned)
			buf_printf(out, "  %-5s  ", p->listeners[i].chosen ? "proxy" : "leave");
		else
			buf_printf(out, "  %-5s  ", has_networks(t, l) ? "proxy" : "plain");
		add_cell(out, l->id, id);
		add_cell(out, l->protocol_text, 11);
		add_cell(out, l->binds, binds);
		buf_printf(out, "%s\n", p->listeners[i].why);
	}
}

static void
add_key(struct buf *out, const struct plan_key *k, const char *before, const char *after)
{
	bool change = before && after ? strcmp(before, after) != 0 : before != after;

	buf_str(out, "  ");
	add_clean(out, k->key, (size_t)-1);
	buf_str(out, ": ");
	add_value(out, before);
	if (change) {
		buf_str(out, " -> ");
		add_value(out, after);
	}
	buf_char(out, '\n');
}

/* The keys that change or changed, group by group; with verbose also those that stay. */
static void
add_changes(struct buf *out, const struct report *r, const struct target *t, const char *title)
{
	const struct plan *p = &t->plan;
	bool head = false;
	size_t g, i;

	for (g = 0; g < GROUP_COUNT; g++) {
		for (i = 0; i < p->key_count; i++) {
			const struct plan_key *k = &p->keys[i];

			if (k->group != g || (!k->write && !r->options->verbose))
				continue;
			if (!head)
				buf_printf(out, "\n%s\n", title);
			head = true;
			add_key(out, k, k->now, r->options->dry_run ? k->wanted : k->after);
		}
	}
}

/* How many keys that stand as wanted a reload, or a restart, applies. */
static size_t
count_applies(const struct plan *p, enum applies applies)
{
	size_t i, n = 0;

	for (i = 0; i < p->key_count; i++)
		n += p->keys[i].applies == applies &&
		    (p->keys[i].state == KEY_STAGED || p->keys[i].state == KEY_AS_WANTED);
	return n;
}

static void
add_applied(struct buf *out, const struct plan *p)
{
	size_t reload = count_applies(p, APPLIES_RELOAD),
	       restart = count_applies(p, APPLIES_RESTART);

	buf_str(out,
	    "\nThis run applied nothing: it neither reloaded nor restarted the server. What runs "
	    "can't be seen over the API.\n"
	    "Until the cutover, do not restart or reload the server, and press no \"save and "
	    "reload\":\n");
	if (reload)
		buf_printf(out, "  a reload applies %zu key%s%s;\n", reload, reload == 1 ? "" : "s",
		    plan_count(p, GROUP_CHECKS).right
			? ", and the inbound checks would be off too early"
			: "");
	if (restart)
		buf_printf(out,
		    "  a restart, also by a crash or reboot, applies all, also the %zu listener "
		    "key%s: connections from the\n"
		    "  proxy's network would then need a PROXY header.\n",
		    restart, restart == 1 ? "" : "s");
}

static void
add_next(struct buf *out, const struct report *r, const struct target *t)
{
	if (t->is_file && configfile_is_stream(t->config.name))
		return;
	buf_str(out,
	    t->is_file ? "\nThe server applies all of it when it starts with this file.\n"
		       : "\nTo apply, at the cutover: restart the old server. No reload is needed "
			 "first.\n");
	buf_printf(
	    out, "To undo: %s clear --%s ", r->options->program, t->is_file ? "config" : "url");
	buf_shell(out, t->origin);
	options_format_reach(out, r->options);
	buf_str(out, " --snapshot ");
	buf_shell(out, t->snapshot_path);
	buf_str(out,
	    t->is_file && r->options->request.forced[REFUSAL_IN_PLACE] ? " --force in-place\n"
								       : "\n");
}

static void
add_snapshot(struct buf *out, const struct target *t)
{
	if (t->snapshot_kept)
		buf_printf(out, "What stood before is in %s: keep it.\n", t->snapshot_path);
}

static void
add_rewrite(struct buf *out, const struct target *t)
{
	if (t->local_changed)
		buf_str(out,
		    "The server has written its config.toml anew: sorted, without comments.\n");
}

void
output_diff(struct buf *out, const struct target *t)
{
	if (t->is_file)
		edits_diff(out, &t->edits, t->origin, t->config.text.data, t->config.text.len);
}

static void
text_would_stage(struct buf *out, const struct report *r, const struct target *t)
{
	const struct plan *p = &t->plan;

	if (!p->write_count) {
		add_changes(out, r, t, "As wanted already:");
		buf_printf(out,
		    "\nThere is nothing to do: all %zu keys stand as wanted. Nothing was "
		    "written.\n",
		    p->key_count);
		return;
	}
	if (message_refusals(&p->messages))
		return;
	add_changes(out, r, t, "Would be staged:");
	buf_printf(out, "\n%zu of %zu keys would be written. Nothing was written.\n",
	    p->write_count, p->key_count);
	if (!t->is_file)
		buf_str(out,
		    "A real run makes the server write its config.toml anew, sorted and without "
		    "comments: keep a copy of it first (not all that is in it can be seen over the "
		    "API).\n");
	if (t->snapshot_path[0])
		buf_printf(out, "What stands there now would be kept in %s.\n", t->snapshot_path);
	output_diff(out, t);
}

static void
text_stage(struct buf *out, const struct report *r, const struct target *t)
{
	const struct plan *p = &t->plan;
	size_t right = 0, i;

	add_listeners(out, t, true);
	if (r->options->dry_run) {
		text_would_stage(out, r, t);
		return;
	}
	if (t->progress == PROGRESS_NONE && r->exit != EXIT_DONE) {
		buf_str(out, "\nNothing was written here.\n");
		return;
	}
	for (i = 0; i < p->key_count; i++)
		right += p->keys[i].state == KEY_STAGED || p->keys[i].state == KEY_AS_WANTED;
	if (t->progress == PROGRESS_NONE) {
		add_changes(out, r, t, "As wanted already:");
		buf_printf(out,
		    "\nThere was nothing to do: all %zu keys stand as wanted already. Nothing was "
		    "written.\n",
		    p->key_count);
		add_snapshot(out, t);
		add_next(out, r, t);
		return;
	} else if (p->unread) {
		buf_str(out, "\nIt could not be read back.\n");
	} else {
		add_changes(out, r, t, t->progress == PROGRESS_PROVED ? "Staged:" : "Read back:");
		buf_printf(out, "\n%zu of %zu keys were read back as wanted", right, p->key_count);
		if (t->progress == PROGRESS_PROVED)
			buf_printf(out, ", %zu of them written now", t->changed);
		buf_str(out, ".\n");
	}
	if (t->progress == PROGRESS_UNPROVED)
		return;
	add_rewrite(out, t);
	if (!t->is_file)
		add_applied(out, p);
	add_snapshot(out, t);
	add_next(out, r, t);
}

static void
text_clear(struct buf *out, const struct report *r, const struct target *t)
{
	const struct plan *p = &t->plan;
	size_t done = 0, i;

	if (r->options->dry_run) {
		add_changes(
		    out, r, t, p->unknown_before ? "Would be removed:" : "Would be restored:");
		buf_printf(out, "\n%zu key%s would be %s. Nothing was written.\n", p->write_count,
		    p->write_count == 1 ? "" : "s", p->unknown_before ? "removed" : "restored");
		output_diff(out, t);
		return;
	}
	if (t->progress == PROGRESS_NONE && r->exit != EXIT_DONE && r->exit != EXIT_PARTLY) {
		buf_str(out, "\nNothing was written here.\n");
		return;
	}
	if (t->progress == PROGRESS_NONE) {
		buf_printf(
		    out, "\nThere was nothing%s to restore.\n", p->left_count ? " else" : "");
	} else if (p->unread) {
		buf_str(out, "\nIt could not be read back.\n");
	} else {
		add_changes(out, r, t,
		    t->progress != PROGRESS_PROVED ? "Read back:"
			: p->unknown_before        ? "Removed:"
						   : "Restored:");
		for (i = 0; i < p->key_count; i++)
			done += p->keys[i].state == KEY_RESTORED;
		buf_printf(out, "\n%zu of %zu keys %s and were read back.\n", done, p->key_count,
		    p->unknown_before ? "are gone" : "stand as before");
	}
	if (t->progress == PROGRESS_UNPROVED)
		return;
	add_rewrite(out, t);
	if (t->has_snapshot && t->snapshot_kept)
		buf_printf(out, "The snapshot stays at %s: not all that it holds is restored.\n",
		    t->snapshot_path);
	else if (t->has_snapshot)
		buf_printf(out, "The snapshot is now %s.\n", t->snapshot_path);
	if (!r->options->reload && t->changed && !t->is_file)
		buf_printf(out,
		    "\nWhat was never applied is gone with this. What was applied stays in force "
		    "until a reload (%s reload),\n"
		    "and listeners that run behind the proxy expect its header until the server is "
		    "restarted.\n",
		    r->options->program);
}

static const char *
group_state_words(const struct group_count *c)
{
	switch (plan_group_state(c)) {
	case GROUP_STAGED:
		return "staged";
	case GROUP_PARTLY:
		return c->right ? "partly staged" : "other values stand there";
	default:
		return "not staged";
	}
}

/*
 * Does the server advertise now what its settings say? A reload applies it, so this is one thing
 * that can be seen.
 */
static bool
url_in_force(const struct target *t)
{
	size_t len = t->facts.url_in_force ? strlen(t->facts.url_in_force) : 0, i;

	for (i = 0; i < t->plan.key_count && len; i++) {
		const struct plan_key *k = &t->plan.keys[i];

		if (k->group == GROUP_URL && k->now && strlen(k->now) == len + 2 &&
		    !memcmp(k->now + 1, t->facts.url_in_force, len))
			return true;
	}
	return false;
}

static void
text_status(struct buf *out, const struct report *r, const struct target *t)
{
	const struct plan *p = &t->plan;
	struct group_count c;
	size_t g, i;

	add_listeners(out, t, false);
	buf_str(out,
	    t->is_file ? "\nWhat the file holds (what the database holds can't be seen here):\n"
		       : "\nWhat the settings hold (what runs can't be seen over the API):\n");
	for (g = 0; g < GROUP_COUNT; g++) {
		c = plan_count(p, (enum group)g);
		if (!c.keys &&
		    (g == GROUP_OUTBOUND || g == GROUP_ALLOW ||
			!(r->options->request.groups & 1u << g)))
			continue;
		buf_printf(out, "  %-10s %s", group_name((enum group)g), group_state_words(&c));
		if (c.keys)
			buf_printf(out, " (%zu of %zu keys)", c.right, c.keys);
		if (g == GROUP_URL && c.right && !t->is_file)
			buf_str(out, url_in_force(t) ? ", and in force" : ", not in force yet");
		buf_char(out, '\n');
	}
	for (i = 0; i < p->key_count; i++) {
		const struct plan_key *k = &p->keys[i];

		c = plan_count(p, k->group);
		if (r->options->verbose || k->state == KEY_FOREIGN || k->state == KEY_LEFTOVER ||
		    (k->state == KEY_MISSING && c.right) ||
		    (k->state == KEY_AS_WANTED && (t->has_snapshot || r->exit == EXIT_PARTLY))) {
			buf_str(out, "  ");
			add_clean(out, k->key, (size_t)-1);
			buf_str(out, ": ");
			add_value(out, k->now);
			if (k->state == KEY_FOREIGN || k->state == KEY_MISSING) {
				buf_str(out, ", and not ");
				add_value(out, k->wanted);
			}
			buf_printf(out, " [%s]\n", key_state_name(k->state));
		}
	}
	if (!t->is_file && (count_applies(p, APPLIES_RELOAD) || count_applies(p, APPLIES_RESTART)))
		buf_printf(out,
		    "Of what is staged, %zu keys want a reload and %zu a restart, unless that "
		    "happened already.\n",
		    count_applies(p, APPLIES_RELOAD), count_applies(p, APPLIES_RESTART));
	if (t->has_snapshot) {
		buf_printf(out, "Snapshot: %s (%s, made ", t->snapshot_path,
		    snapshot_state_name(t->snapshot.state));
		add_clean(out, t->snapshot.created, VALUE_MAX);
		buf_str(out, ").\n");
	} else if (t->snapshot_path[0]) {
		buf_printf(out, "There is no snapshot at %s.\n", t->snapshot_path);
	}
}

void
output_text(struct buf *out, const struct report *r)
{
	size_t i;

	for (i = 0; i < r->count; i++) {
		const struct target *t = &r->targets[i];

		if (!t->read)
			continue;
		if (i)
			buf_char(out, '\n');
		add_server(out, t);
		if (!t->planned)
			continue;
		if (r->options->id == COMMAND_STAGE)
			text_stage(out, r, t);
		else if (r->options->id == COMMAND_CLEAR)
			text_clear(out, r, t);
		else if (r->options->id == COMMAND_STATUS)
			text_status(out, r, t);
	}
}

static void
json_member_text(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "\"%s\":", name);
	json_quote(out, value);
}

static void
json_messages(struct buf *out, const struct report *r)
{
	size_t i;

	buf_str(out, "\"messages\":[");
	for (i = 0; i < r->messages->count; i++) {
		const struct message *m = &r->messages->items[i];

		buf_str(out, i ? ",{" : "{");
		json_member_text(out, "level", m->forced ? "forced" : level_names[m->level]);
		buf_char(out, ',');
		json_member_text(out, "name", refusals[m->refusal].name);
		buf_char(out, ',');
		json_member_text(out, "target", m->target);
		buf_char(out, ',');
		json_member_text(out, "text", m->text);
		buf_char(out, '}');
	}
	buf_char(out, ']');
}

static void
json_listeners(struct buf *out, const struct plan *p)
{
	size_t i;

	buf_str(out, "\"listeners\":[");
	for (i = 0; i < p->listener_count; i++) {
		const struct plan_listener *l = &p->listeners[i];

		buf_str(out, i ? ",{" : "{");
		json_member_text(out, "id", l->listener->id);
		buf_char(out, ',');
		json_member_text(out, "protocol", l->listener->protocol_text);
		buf_char(out, ',');
		json_member_text(out, "binds", l->listener->binds);
		buf_printf(out, ",\"chosen\":%s,", l->chosen ? "true" : "false");
		json_member_text(out, "why", l->why);
		buf_char(out, '}');
	}
	buf_char(out, ']');
}

static void
json_keys(struct buf *out, const struct plan *p)
{
	size_t i;

	buf_str(out, "\"keys\":[");
	for (i = 0; i < p->key_count; i++) {
		const struct plan_key *k = &p->keys[i];

		buf_str(out, i ? ",{" : "{");
		json_member_text(out, "key", k->key);
		buf_char(out, ',');
		json_member_text(out, "group", group_name(k->group));
		buf_char(out, ',');
		json_member_text(out, "before", k->now);
		buf_char(out, ',');
		json_member_text(out, "wanted", k->wanted);
		buf_char(out, ',');
		json_member_text(out, "after", p->unread ? NULL : k->after);
		buf_char(out, ',');
		json_member_text(
		    out, "applies", k->applies == APPLIES_RESTART ? "restart" : "reload");
		buf_char(out, ',');
		json_member_text(out, "state", p->unread ? "unknown" : key_state_name(k->state));
		buf_printf(out, ",\"local\":%s}", k->local ? "true" : "false");
	}
	buf_char(out, ']');
}

static void
json_target(struct buf *out, const struct target *t)
{
	static const struct plan none;
	const struct plan *p = t->planned ? &t->plan : &none;

	buf_char(out, '{');
	json_member_text(out, "target", t->origin);
	buf_char(out, ',');
	json_member_text(
	    out, "dialect", t->planned && t->plan.dialect ? t->plan.dialect->name : NULL);
	buf_char(out, ',');
	json_member_text(out, "version", t->facts.version);
	buf_char(out, ',');
	json_member_text(out, "url_in_force", t->facts.url_in_force);
	buf_char(out, ',');
	json_listeners(out, p);
	buf_char(out, ',');
	json_keys(out, p);
	buf_char(out, ',');
	json_member_text(out, "snapshot", t->snapshot_kept ? t->snapshot_path : NULL);
	if (t->is_file) {
		struct buf diff = { 0 };

		output_diff(&diff, t);
		buf_char(out, ',');
		json_member_text(out, "diff", buf_text(&diff));
		out->failed |= diff.failed;
		buf_free(&diff);
	}
	buf_char(out, '}');
}

void
output_json(struct buf *out, const struct report *r)
{
	bool changed = false;
	size_t i;

	for (i = 0; i < r->count; i++)
		changed |= r->targets[i].progress != PROGRESS_NONE;
	buf_char(out, '{');
	json_member_text(out, "command", r->options->command->name);
	buf_printf(out, ",\"exit\":%d,\"changed\":%s,", r->exit, changed ? "true" : "false");
	json_messages(out, r);
	buf_str(out, ",\"targets\":[");
	for (i = 0; i < r->count; i++) {
		if (i)
			buf_char(out, ',');
		json_target(out, &r->targets[i]);
	}
	buf_str(out, "]}\n");
}
