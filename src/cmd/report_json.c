#include "cmd/report.h"

#include "base/buf.h"
#include "cmd/options.h"
#include "format/jsonout.h"
#include "plan/plan.h"
#include "settings/message.h"
#include "settings/request.h"
#include "settings/snapshot.h"

static const char *const level_names[] = {
	[MESSAGE_RESULT] = "note",
	[MESSAGE_NOTE] = "note",
	[MESSAGE_WARNING] = "warning",
	[MESSAGE_REFUSAL] = "refusal",
	[MESSAGE_ERROR] = "error",
};

static void
add_message(struct jsonout *j, const struct message *m)
{
	jsonout_open(j, NULL, '{');
	jsonout_text(j, "level", m->forced ? "forced" : level_names[m->level]);
	jsonout_text(j, "name", refusals[m->refusal].name);
	jsonout_text(j, "target", m->target);
	jsonout_text(j, "text", m->text);
	jsonout_close(j, '}');
}

void
report_json_messages(struct jsonout *j, const struct messages *m)
{
	size_t i;

	jsonout_open(j, "messages", '[');
	for (i = 0; i < m->count; i++)
		add_message(j, &m->items[i]);
	jsonout_close(j, ']');
}

static void
add_listener(struct jsonout *j, const struct plan_listener *l)
{
	jsonout_open(j, NULL, '{');
	jsonout_text(j, "id", l->listener->id);
	jsonout_text(j, "protocol", l->listener->protocol_text);
	jsonout_text(j, "binds", l->listener->binds);
	jsonout_bool(j, "chosen", l->chosen);
	jsonout_text(j, "why", l->why);
	jsonout_close(j, '}');
}

static void
add_key(struct jsonout *j, const struct plan_key *k, bool unread)
{
	jsonout_open(j, NULL, '{');
	jsonout_text(j, "key", k->key);
	jsonout_text(j, "group", group_name(k->group));
	jsonout_text(j, "before", k->now);
	jsonout_text(j, "wanted", k->wanted);
	jsonout_text(j, "after", unread ? NULL : k->after);
	jsonout_text(j, "applies", k->applies == APPLIES_RESTART ? "restart" : "reload");
	jsonout_text(j, "state", unread ? "unknown" : key_state_name(k->state));
	jsonout_bool(j, "local", k->local);
	jsonout_close(j, '}');
}

static void
add_part(struct jsonout *j, const struct part *p)
{
	jsonout_open(j, NULL, '{');
	jsonout_text(j, "url", p->origin);
	jsonout_text(j, "file", p->file);
	jsonout_text(j, "state", part_state_name(p->state));
	jsonout_number(j, "keys", (long long)p->count);
	jsonout_close(j, '}');
}

/* The snapshot's parts, as they are on disk. */
static void
add_parts(struct jsonout *j, const struct snapshot *s)
{
	size_t i;

	jsonout_open(j, "parts", '[');
	if (s)
		add_part(j, &s->database);
	for (i = 0; s && i < s->node_count; i++)
		add_part(j, &s->nodes[i]);
	jsonout_close(j, ']');
}

static void
add_boot(struct jsonout *j, const struct report_target *t, const struct plan *p)
{
	size_t i;

	jsonout_open(j, "boot_config", '{');
	jsonout_text(j, "path", t->boot_name);
	jsonout_bool(j, "found", t->boot_found);
	jsonout_open(j, "differs", '[');
	for (i = 0; i < p->differing_count; i++)
		jsonout_text(j, NULL, p->differing[i]);
	jsonout_close(j, ']');
	jsonout_close(j, '}');
}

static void
add_target(struct jsonout *j, const struct report_target *t)
{
	static const struct plan none;
	const struct plan *p = t->plan ? t->plan : &none;
	size_t i;

	jsonout_open(j, NULL, '{');
	jsonout_text(j, "target", t->name);
	jsonout_text(j, "dialect", p->dialect ? p->dialect->name : NULL);
	jsonout_text(j, "version", t->version);
	jsonout_text(j, "url_in_force", t->url_in_force);
	request_write(j, "request", t->request);
	jsonout_open(j, "listeners", '[');
	for (i = 0; i < p->listener_count; i++)
		add_listener(j, &p->listeners[i]);
	jsonout_close(j, ']');
	jsonout_open(j, "keys", '[');
	for (i = 0; i < p->key_count; i++)
		add_key(j, &p->keys[i], p->unread);
	jsonout_close(j, ']');
	if (t->boot_name)
		add_boot(j, t, p);
	jsonout_text(j, "snapshot", t->snapshot_kept ? t->snapshot_path : NULL);
	add_parts(j, t->snapshot_kept ? t->snapshot : NULL);
	if (t->diff)
		jsonout_text(j, "diff", buf_text(t->diff));
	jsonout_close(j, '}');
}

void
report_json(struct buf *out, const struct report *r)
{
	struct jsonout j = { .out = out };
	bool changed = false, would_change = false;
	size_t i;

	for (i = 0; i < r->count; i++) {
		changed |= r->targets[i].written;
		would_change |= r->targets[i].would_write;
	}
	jsonout_open(&j, NULL, '{');
	jsonout_text(&j, "command", r->options->command->name);
	jsonout_number(&j, "exit", r->exit);
	jsonout_bool(&j, "changed", changed);
	if (r->options->dry_run)
		jsonout_bool(&j, "would_change", would_change);
	report_json_messages(&j, r->messages);
	jsonout_open(&j, "targets", '[');
	for (i = 0; i < r->count; i++)
		add_target(&j, &r->targets[i]);
	jsonout_close(&j, ']');
	jsonout_close(&j, '}');
	buf_char(out, '\n');
}
