#include "cmd/report.h"

#include "base/buf.h"
#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/report_keys.h"
#include "cmd/report_next.h"
#include "plan/plan.h"
#include "settings/message.h"
#include "settings/request.h"
#include "settings/settings.h"
#include "settings/snapshot.h"

#include <stdio.h>
#include <string.h>

static void
add_clean(struct buf *out, const char *text, size_t max)
{
	buf_clean(out, text, strlen(text), max);
}

/* A path between two texts. */
static void
add_path(struct buf *out, const char *before, const char *path, const char *after)
{
	buf_str(out, before);
	add_clean(out, path, (size_t)-1);
	buf_str(out, after);
}

/* add_clean, and blanks up to a column's width. */
static void
add_cell(struct buf *out, const char *text, size_t width)
{
	size_t before = out->len;

	add_clean(out, text, (size_t)-1);
	buf_printf(
	    out, "%*s  ", out->len - before < width ? (int)(width - (out->len - before)) : 0, "");
}

static void
add_file(struct buf *out, const struct report_target *t)
{
	add_clean(out, t->name, (size_t)-1);
	buf_printf(out,
	    " is the configuration of an older Stalwart server. It does not name its "
	    "version%s%s.\n",
	    t->plan ? "; it is read as " : "", t->plan ? t->plan->dialect->name : "");
}

static void
add_server(struct buf *out, const struct report_target *t)
{
	buf_printf(out, "%s is an older Stalwart server", t->name);
	if (t->version)
		buf_printf(out, ", version %s", t->version);
	else if (t->minor_first == t->minor_last)
		buf_printf(out, ", version 0.%d", t->minor_first);
	else
		buf_printf(out, ", version 0.%d to 0.%d", t->minor_first, t->minor_last);
	buf_str(out, ".\n");
	if (t->boot_found)
		add_path(out, "Its process was started with ", t->boot_name, ".\n");
	if (t->url_in_force) {
		buf_str(out, "It advertises ");
		add_clean(out, t->url_in_force, VALUE_MAX);
		buf_str(out, " at this moment.\n");
	}
}

/* Does the listener have trusted networks of its own? */
static bool
has_networks(const struct report_target *t, const struct listener *l)
{
	char prefix[ID_MAX + 64];

	snprintf(prefix, sizeof(prefix), "server.listener.%s.proxy.trusted-networks", l->id);
	return settings_has_prefix(t->settings, prefix);
}

static void
add_listeners(struct buf *out, const struct report_target *t, bool planned)
{
	const struct plan *p = t->plan;
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
		    : "\nListeners (proxy: with trusted networks of its own; plain: without):\n");
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

static size_t
count_right(const struct plan *p)
{
	size_t g, n = 0;

	for (g = 0; g < GROUP_COUNT; g++)
		n += plan_count(p, (enum group)g).right;
	return n;
}

/* How many staged keys a reload, or a restart, applies. */
static size_t
count_applies(const struct plan *p, enum applies applies)
{
	size_t i, n = 0;

	for (i = 0; i < p->key_count; i++)
		n += p->keys[i].applies == applies &&
		    (p->keys[i].state == KEY_STAGED || p->keys[i].state == KEY_AS_WANTED);
	return n;
}

/* Does the group stand, by this run or by an earlier one? */
static bool
stands(const struct report *r, const struct report_target *t, enum group g)
{
	return plan_count(t->plan, g).right || report_earlier(r, t, 1u << g);
}

static void
add_applied(struct buf *out, const struct report *r, const struct report_target *t)
{
	size_t reload = count_applies(t->plan, APPLIES_RELOAD) +
	    report_earlier(r, t, ~(1u << GROUP_LISTENERS));

	buf_str(out,
	    "\nThis run applied nothing: the server was not reloaded or restarted. Until the\n"
	    "cutover do not reload or restart it, and do not press \"save and reload\":\n");
	if (reload)
		buf_printf(out, "- A reload would apply %zu key%s%s%s.\n", reload, plural(reload),
		    stands(r, t, GROUP_CHECKS) ? ": the inbound checks would be off too early" : "",
		    stands(r, t, GROUP_OUTBOUND)
			? ",\n  and outbound mail would go to the relay, whether it runs or not"
			: "");
	if (count_applies(t->plan, APPLIES_RESTART) || stands(r, t, GROUP_LISTENERS))
		buf_str(out,
		    "- A restart, also after a crash or a reboot, would apply all keys: "
		    "connections\n"
		    "  from the proxy's networks would need a PROXY header.\n");
}

/* What all targets share is said with the last one. */
static bool
is_last(const struct report *r, const struct report_target *t)
{
	return t == &r->targets[r->count - 1];
}

static void
add_kept(struct buf *out, const struct report *r, const struct report_target *t)
{
	if (t->snapshot_kept && is_last(r, t))
		add_path(
		    out, "The values from before are in ", t->snapshot_path, ". Keep this file.\n");
}

static void
add_rewritten(struct buf *out, const struct report_target *t)
{
	if (t->file_rewritten)
		buf_str(out, "The server rewrote its config.toml: sorted, without comments.\n");
}

/* A file's changes. Nothing follows them, so that the end of the report is a patch. */
static void
add_diff(struct buf *out, const struct report_target *t)
{
	if (!t->diff || !t->diff->len)
		return;
	buf_printf(out, "%s\n", report_dry_run_way);
	buf_add(out, t->diff->data, t->diff->len);
}

static void
add_nothing_to_do(struct buf *out, const struct report *r, const struct plan *p)
{
	report_changes(out, r, p, "Already as wanted:");
	if (p->key_count == 1)
		buf_str(out, "\nThere is nothing to do: the key is as wanted.");
	else
		buf_printf(
		    out, "\nThere is nothing to do: all %zu keys are as wanted.", p->key_count);
	buf_str(out, " Nothing was written.\n");
}

static void
text_would_stage(struct buf *out, const struct report *r, const struct report_target *t)
{
	const struct plan *p = t->plan;

	if (r->exit == EXIT_REFUSED)
		return;
	if (!p->write_count && !p->touch) {
		add_nothing_to_do(out, r, p);
		report_standing(out, r, t);
		return;
	}
	report_changes(out, r, p, "Would be staged (-v shows each key):");
	buf_printf(out, "\n%zu of %zu key%s would be written. Nothing was written.\n",
	    p->write_count, p->key_count, plural(p->key_count));
	report_standing(out, r, t);
	if (!t->is_file)
		buf_str(out,
		    "The real run makes the server rewrite its config.toml, sorted and without\n"
		    "comments. First make a copy of the file: the API does not show all of it.\n");
	if (t->snapshot_path && is_last(r, t))
		add_path(out, "The values from before would be kept in ", t->snapshot_path, ".\n");
	add_diff(out, t);
}

static void
text_staged(struct buf *out, const struct report *r, const struct report_target *t)
{
	const struct plan *p = t->plan;

	if (p->unread) {
		buf_str(out, "\nThe keys could not be read back.\n");
	} else {
		report_changes(out, r, p, t->proved ? "Staged (-v shows each key):" : "Read back:");
		buf_printf(out, "\n%zu of %zu key%s read back as wanted", count_right(p),
		    p->key_count, p->key_count == 1 ? " was" : "s were");
		if (t->proved)
			buf_printf(out, ", %zu of them written now", t->changed);
		buf_str(out, ".\n");
	}
	if (!t->proved)
		return;
	add_rewritten(out, t);
	report_standing(out, r, t);
	add_kept(out, r, t);
	if (!t->is_file)
		add_applied(out, r, t);
}

/* A line with the options that ask for q, if there are any. */
static void
add_options(struct buf *out, const char *heading, const struct request *q)
{
	struct buf options = { 0 };

	request_format(&options, q);
	if (options.len) {
		buf_printf(out, "\n%s", heading);
		add_clean(out, options.data, (size_t)-1);
		buf_char(out, '\n');
	}
	out->failed |= options.failed;
	buf_free(&options);
}

/* The options of an earlier stage that still hold, because this run does not name others. */
static void
add_inherited(struct buf *out, const struct report *r, const struct report_target *t)
{
	const struct request *given = &r->options->request;
	struct request q = *t->request;

	q.groups = GROUPS_DEFAULT;
	q.proxy_count = 0;
	q.public_origin[0] = '\0';
	q.relay_host = NULL;
	q.allow_new_server = false;
	if (given->listener_count)
		q.listener_count = 0;
	if (given->also_count)
		q.also_count = 0;
	if (given->leave_count)
		q.leave_count = 0;
	if (given->relay_listener)
		q.relay_listener = NULL;
	if (given->new_server[0])
		q.new_server[0] = '\0';
	q.single_node = false;
	add_options(out, "Still holds from an earlier stage:", &q);
}

static void
text_stage(struct buf *out, const struct report *r, const struct report_target *t)
{
	add_inherited(out, r, t);
	add_listeners(out, t, true);
	if (r->options->dry_run) {
		text_would_stage(out, r, t);
	} else if (t->written) {
		text_staged(out, r, t);
	} else if (r->exit != EXIT_DONE) {
		buf_str(out, "\nNothing was written here.\n");
	} else {
		add_nothing_to_do(out, r, t->plan);
		report_standing(out, r, t);
		add_kept(out, r, t);
	}
}

static void
text_would_clear(struct buf *out, const struct report *r, const struct report_target *t)
{
	const struct plan *p = t->plan;

	if (r->exit == EXIT_REFUSED)
		return;
	report_changes(out, r, p,
	    p->unknown_before ? "Would be removed (-v shows each key):"
			      : "Would be restored (-v shows each key):");
	buf_printf(out, "\n%zu key%s would be %s. Nothing was written.\n", p->write_count,
	    plural(p->write_count), p->unknown_before ? "removed" : "restored");
	add_diff(out, t);
}

static void
add_cleared(struct buf *out, const struct report *r, const struct report_target *t)
{
	const struct plan *p = t->plan;
	size_t done = 0, i;

	if (p->unread) {
		buf_str(out, "\nThe keys could not be read back.\n");
		return;
	}
	report_changes(out, r, p,
	    !t->proved              ? "Read back:"
		: p->unknown_before ? "Removed (-v shows each key):"
				    : "Restored (-v shows each key):");
	for (i = 0; i < p->key_count; i++)
		done += p->keys[i].state == KEY_RESTORED;
	buf_printf(out, "\n%zu of %zu key%s %s, and %s read back.\n", done, p->key_count,
	    p->key_count == 1 ? " is" : "s are",
	    p->unknown_before      ? "gone"
		: p->unknown_count ? "as before, or removed where that is not known"
				   : "as before",
	    p->key_count == 1 ? "was" : "were");
}

/* What became of the snapshot. */
static void
add_after_clear(struct buf *out, const struct report *r, const struct report_target *t)
{
	add_rewritten(out, t);
	if (!t->snapshot || !is_last(r, t))
		return;
	if (t->snapshot_kept)
		add_path(out, "The snapshot stays at ", t->snapshot_path, ".\n");
	else
		add_path(out, "The snapshot is now ", t->snapshot_path, ".\n");
}

static void
text_clear(struct buf *out, const struct report *r, const struct report_target *t)
{
	if (r->options->dry_run) {
		text_would_clear(out, r, t);
		return;
	}
	if (!t->written && r->exit != EXIT_DONE && r->exit != EXIT_PARTLY) {
		buf_str(out, "\nNothing was written here.\n");
		return;
	}
	if (t->written)
		add_cleared(out, r, t);
	else
		buf_printf(
		    out, "\nThere was nothing%s to restore.\n", t->plan->left_count ? " else" : "");
	if (t->proved || !t->written)
		add_after_clear(out, r, t);
}

static const char *
group_state_words(const struct group_count *c)
{
	switch (plan_group_state(c)) {
	case GROUP_STAGED:
		return "staged";
	case GROUP_PARTLY:
		return c->right ? "partly staged" : "other values";
	default:
		return "not staged";
	}
}

/* Does the server advertise the URL of its settings? This is what the API shows of what runs. */
static bool
url_in_force(const struct report_target *t)
{
	size_t len = t->url_in_force ? strlen(t->url_in_force) : 0, i;

	for (i = 0; i < t->plan->key_count && len; i++) {
		const struct plan_key *k = &t->plan->keys[i];

		if (k->group == GROUP_URL && k->now && strlen(k->now) == len + 2 &&
		    !memcmp(k->now + 1, t->url_in_force, len))
			return true;
	}
	return false;
}

static void
add_groups(struct buf *out, const struct report *r, const struct report_target *t)
{
	struct group_count c;
	size_t g;

	buf_str(out,
	    t->is_file ? "\nWhat the file holds (what the database holds can't be seen here):\n"
		       : "\nWhat the settings hold (what runs can't be seen over the API):\n");
	for (g = 0; g < GROUP_COUNT; g++) {
		c = plan_count(t->plan, (enum group)g);
		if (!c.keys &&
		    (g == GROUP_OUTBOUND || g == GROUP_ALLOW ||
			!(r->options->request.groups & 1u << g)))
			continue;
		buf_printf(out, "  %-10s %s", group_name((enum group)g), group_state_words(&c));
		if (c.keys)
			buf_printf(out, " (%zu of %zu key%s)", c.right, c.keys, plural(c.keys));
		if (g == GROUP_URL && c.right && !t->is_file)
			buf_str(out, url_in_force(t) ? ", and in force" : ", not in force yet");
		buf_char(out, '\n');
	}
}

/*
 * Is the key not as it should be? In a group of which nothing is staged, a key that is missing is
 * not.
 */
static bool
needs_look(const struct group_count *groups, const struct plan_key *k)
{
	return k->state == KEY_FOREIGN || k->state == KEY_LEFTOVER ||
	    (k->state == KEY_MISSING && groups[k->group].right);
}

/* The keys that need a look; with -v all of them. */
static void
add_states(struct buf *out, const struct report *r, const struct report_target *t)
{
	struct group_count groups[GROUP_COUNT];
	size_t i;

	for (i = 0; i < GROUP_COUNT; i++)
		groups[i] = plan_count(t->plan, (enum group)i);
	for (i = 0; i < t->plan->key_count; i++) {
		const struct plan_key *k = &t->plan->keys[i];

		if (!r->options->verbose && !needs_look(groups, k))
			continue;
		buf_str(out, "  ");
		add_clean(out, k->key, (size_t)-1);
		buf_str(out, ": ");
		report_value(out, k->now, ORIGINAL_MAX);
		if (k->state == KEY_FOREIGN || k->state == KEY_MISSING) {
			buf_str(out, ", expected ");
			report_value(out, k->wanted, VALUE_MAX);
		}
		buf_printf(out, " [%s]\n", key_state_name(k->state));
	}
}

/* What a reload and a restart apply, unless that was done already: the API does not show it. */
static void
add_waiting(struct buf *out, const struct plan *p)
{
	size_t reload = count_applies(p, APPLIES_RELOAD),
	       restart = count_applies(p, APPLIES_RESTART), all = reload + restart;

	if (!all)
		return;
	if (!restart)
		buf_printf(
		    out, "A reload or a restart applies the %zu staged key%s", all, plural(all));
	else if (!reload)
		buf_printf(out, "A restart applies the %zu staged key%s", all, plural(all));
	else
		buf_printf(
		    out, "A restart applies all %zu staged keys (a reload only %zu)", all, reload);
	buf_str(out, ", unless that\nwas done already.\n");
}

static void
add_found_snapshot(struct buf *out, const struct report_target *t)
{
	if (t->snapshot) {
		add_path(out, "\nSnapshot: ", t->snapshot_path, "");
		buf_printf(
		    out, " (%s, made ", part_state_name(t->part ? t->part->state : PART_PLANNED));
		add_clean(out, t->snapshot->created, VALUE_MAX);
		buf_str(out, ").\n");
	} else if (*t->snapshot_place) {
		add_path(out, "\nThere is no snapshot", t->snapshot_place, ".\n");
	}
}

/* By which side of a server the status was judged. */
static void
add_judged_file(struct buf *out, const struct report_target *t)
{
	if (t->is_file || t->boot_broken)
		return;
	if (!t->boot_name) {
		buf_str(out,
		    "\nJudged as the server holds it in memory: config.toml was not looked at. "
		    "Where\n"
		    "somebody may have changed that file: --boot-config FILE.\n");
		return;
	}
	add_path(out, "\nJudged by ", t->boot_name,
	    ", with the database behind it.\nWhat a start script does to the file can't be "
	    "known.\n");
}

/* By which values the status was judged. */
static void
add_judged(struct buf *out, const struct report_target *t)
{
	struct request q = *t->request;

	q.groups = ~0u;
	add_options(out, "Judged by:", &q);
	add_judged_file(out, t);
}

static void
text_status(struct buf *out, const struct report *r, const struct report_target *t)
{
	add_judged(out, t);
	add_listeners(out, t, false);
	add_found_snapshot(out, t);
	add_groups(out, r, t);
	add_states(out, r, t);
	if (!t->is_file)
		add_waiting(out, t->plan);
}

/* The results that the run says of a target in a sentence, such as a reload's. */
static void
add_results(struct buf *out, const struct report *r, const struct report_target *t)
{
	size_t i;

	for (i = 0; i < r->messages->count; i++) {
		const struct message *m = &r->messages->items[i];

		if (m->level != MESSAGE_RESULT || (m->target && strcmp(m->target, t->name) != 0))
			continue;
		buf_char(out, '\n');
		add_clean(out, m->text, (size_t)-1);
		buf_char(out, '\n');
	}
}

/* All that there is to say of one target. */
static void
text_target(struct buf *out, const struct report *r, const struct report_target *t)
{
	if (t->is_file)
		add_file(out, t);
	else
		add_server(out, t);
	if (t->plan && r->options->id == COMMAND_STAGE)
		text_stage(out, r, t);
	else if (t->plan && r->options->id == COMMAND_CLEAR)
		text_clear(out, r, t);
	else if (t->plan && r->options->id == COMMAND_STATUS)
		text_status(out, r, t);
	add_results(out, r, t);
}

void
report_text(struct buf *out, const struct report *r)
{
	bool any = false;
	size_t i;

	for (i = 0; i < r->count; i++) {
		if (!r->targets[i].read)
			continue;
		if (any)
			buf_char(out, '\n');
		text_target(out, r, &r->targets[i]);
		any = true;
	}
	if (any)
		report_next(out, r);
}
