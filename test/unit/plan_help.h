/*
 * plan_help.h - a server as plain data, on which plans are made and carried out as the commands do
 * it
 */
#ifndef PLAN_HELP_H
#define PLAN_HELP_H

#include "help.h"

#include "base/buf.h"
#include "plan/plan_clear.h"
#include "plan/plan_stage.h"
#include "plan/plan_status.h"
#include "plan/plan_uses.h"
#include "settings/part.h"

/* Lines of settings. */
#define LISTENER(id, protocol, bind) \
	"server.listener." id ".bind.0 = " bind "\n" \
	"server.listener." id ".protocol = " protocol "\n"
#define SMTP LISTENER("smtp", "smtp", "[::]:25")
#define IMAP LISTENER("imap", "imap", "[::]:143")
#define OURS(id) \
	"server.listener." id ".proxy.override = true\n" \
	"server.listener." id ".proxy.trusted-networks.0 = 203.0.113.10/32\n"

#define CHECKS_OFF \
	"auth.arc.verify = disable\nauth.dkim.verify = disable\nauth.dmarc.verify = disable\n" \
	"auth.iprev.verify = disable\nauth.spf.verify.ehlo = disable\n" \
	"auth.spf.verify.mail-from = disable\nsession.ehlo.reject-non-fqdn = false\n"

/* The ten listeners of a new 0.10 to 0.15 (server-facts: default listeners). */
/* clang-format off */
#define DEFAULTS \
	LISTENER("http", "http", "[::]:8080") \
	LISTENER("https", "http", "[::]:443") \
	IMAP \
	LISTENER("imaptls", "imap", "[::]:993") \
	LISTENER("pop3", "pop3", "[::]:110") \
	LISTENER("pop3s", "pop3", "[::]:995") \
	LISTENER("sieve", "managesieve", "[::]:4190") \
	SMTP \
	LISTENER("submission", "smtp", "[::]:587") \
	LISTENER("submissions", "smtp", "[::]:465")
/* clang-format on */

#define PROXY "--proxy 203.0.113.10 "
#define WHOLE PROXY "--public-url https://mail.example.org "
#define RELAY "--relay new.example.org "

struct world {
	struct pool pool;
	struct settings now;
	struct options o;
	struct request q; /* the options' request, with what earlier stages said */
	struct part part; /* what a snapshot says */
	const struct request *stored;
	bool has_part;
	int first, last; /* what the answers allow */
	bool shared, new_node, file;
	const char *place;            /* " in FOLDER", where a snapshot was looked for; or NULL */
	const struct settings *every; /* all settings, or NULL */
	const struct settings *boot;  /* the file of the next start, or NULL */
	bool boot_broken;
	const volatile sig_atomic_t *stop; /* for the pool, while it plans; or NULL */
	struct plan plan;
};

typedef int planner(
    struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err);

static inline void
world_begin(struct world *w, const char *lines)
{
	memset(w, 0, sizeof(*w));
	settings_of(&w->now, &w->pool, lines);
	w->first = w->last = 15;
}

static inline void
world_end(struct world *w)
{
	pool_free(&w->pool);
}

/* As a run reads the file of the next start, where all of it matters. */
static inline void
world_see(struct world *w, struct plan_seen *s)
{
	size_t i;

	s->every = w->every;
	s->pool = &w->pool;
	s->has = w->boot ? pool_zero(&w->pool, w->every->count + 1) : NULL;
	for (i = 0; w->boot && i < w->boot->count; i++) {
		const struct setting *f = &w->boot->items[i];

		plan_see(s, f->key, f->value, strlen(f->value), true);
	}
}

/* Plan; the line begins with the command, the URL is added. */
static inline int
world_try(struct world *w, planner *make, const char *line, struct err *err)
{
	struct plan_seen seen = { 0 };
	struct plan_input in = {
		.now = &w->now,
		.every = w->every,
		.boot = w->boot,
		.seen = &seen,
		.boot_name = "FILE",
		.boot_broken = w->boot_broken,
		.request = &w->q,
		.part = w->has_part ? &w->part : NULL,
		.stored = w->has_part ? w->stored : NULL,
		.snapshot_place = w->place ? w->place : "",
		.minor_first = w->first,
		.minor_last = w->last,
		.new_node = w->new_node,
		.shared_elsewhere = w->shared,
		.file = w->file,
	};

	world_see(w, &seen);
	options_of(
	    &w->o, &w->pool, pool_printf(&w->pool, "%s --url https://old.example.org", line));
	w->q = w->o.request;
	if (w->has_part)
		request_merge(&w->q, w->stored);
	in.node_count = w->o.reach.target_count;
	w->pool.stop = w->stop;
	return make(&w->plan, &w->pool, &in, err);
}

static inline void
world_plan(struct world *w, planner *make, const char *line)
{
	struct err err;

	CHECK(world_try(w, make, line, &err) == 0, "%s: %s", line, err.text);
}

/* The name of the first refusal that stands, or NULL. */
static inline const char *
refusal_of(const struct plan *p)
{
	size_t i;

	for (i = 0; i < p->messages.count; i++) {
		if (p->messages.items[i].level == MESSAGE_REFUSAL && !p->messages.items[i].forced)
			return refusals[p->messages.items[i].refusal].name;
	}
	return NULL;
}

/* Does a message of that level hold text? */
static inline bool
said(const struct plan *p, enum message_level level, const char *text)
{
	size_t i;

	for (i = 0; i < p->messages.count; i++) {
		if (p->messages.items[i].level == level && has(p->messages.items[i].text, text))
			return true;
	}
	return false;
}

static inline const struct plan_key *
key_of(const struct plan *p, const char *key)
{
	size_t i;

	for (i = 0; i < p->key_count; i++) {
		if (!strcmp(p->keys[i].key, key))
			return &p->keys[i];
	}
	return NULL;
}

static inline char *
joined(struct pool *pool, char *text, const char *key, const char *value)
{
	return pool_printf(pool, "%s%s%s%s\n", text, key, value ? " = " : "", value ? value : "");
}

/* What a plan writes: "key = value" lines, "key" alone for what it removes. */
static inline const char *
writes_of(struct pool *pool, const struct plan *p)
{
	char *text = pool_str(pool, "");
	size_t i;

	for (i = 0; i < p->key_count; i++) {
		if (p->keys[i].write)
			text = joined(pool, text, p->keys[i].key, p->keys[i].wanted);
	}
	return text;
}

static inline const char *
lines_of(struct pool *pool, const struct settings *s)
{
	char *text = pool_str(pool, "");
	size_t i;

	for (i = 0; i < s->count; i++)
		text = joined(pool, text, s->items[i].key, s->items[i].value);
	return text;
}

/* A plan's values may lie in the options, which the next run replaces. */
static inline const char *
kept(struct world *w, const char *value)
{
	return value ? pool_str(&w->pool, value) : NULL;
}

/* Do to the settings what the plan says. */
static inline void
world_write(struct world *w)
{
	struct settings after = { 0 };
	struct err err;
	size_t i;

	for (i = 0; i < w->now.count; i++) {
		const struct plan_key *k = key_of(&w->plan, w->now.items[i].key);

		if (!k || !k->write)
			settings_add(&after, &w->pool, w->now.items[i].key, w->now.items[i].value);
	}
	for (i = 0; i < w->plan.key_count; i++) {
		const struct plan_key *k = &w->plan.keys[i];

		if (k->write && k->wanted)
			settings_add(&after, &w->pool, k->key, kept(w, k->wanted));
	}
	assert_int_equal(settings_sort(&after, &err), 0);
	w->now = after;
}

/* Keep the plan in the snapshot as target_record_plan does, and what follows it. */
static inline void
world_keep(struct world *w, enum part_state state)
{
	struct part s = { .state = state };
	struct part *old = w->has_part ? &w->part : NULL;
	size_t i;

	w->stored = request_keep(&w->pool, &w->q, old ? w->stored : NULL);
	assert_non_null(w->stored);
	if (state == PART_PROVED)
		s.state = old && old->state == PART_SENDING ? PART_SENDING : PART_PLANNED;
	plan_fill_part(&w->plan, w->o.request.groups, old, &s, &w->pool);
	for (i = 0; i < s.count; i++)
		s.keys[i].written = kept(w, s.keys[i].written);
	if (state == PART_PROVED)
		plan_mark_proved(&w->plan, w->o.request.groups, old, &s);
	w->part = s;
	w->has_part = true;
}

/* A whole stage: planned without a refusal, kept, written. */
static inline void
world_stage(struct world *w, const char *line)
{
	world_plan(w, plan_stage, line);
	CHECK(!refusal_of(&w->plan), "%s: refused (%s)", line, refusal_of(&w->plan));
	world_keep(w, PART_PROVED);
	world_write(w);
}

/* One setting changed by somebody else; NULL removes it. */
static inline void
world_set(struct world *w, const char *key, const char *value)
{
	struct settings after = { 0 };
	struct err err;
	size_t i;

	for (i = 0; i < w->now.count; i++) {
		if (strcmp(w->now.items[i].key, key) != 0)
			settings_add(&after, &w->pool, w->now.items[i].key, w->now.items[i].value);
	}
	if (value)
		settings_add(&after, &w->pool, key, value);
	assert_int_equal(settings_sort(&after, &err), 0);
	w->now = after;
}

#endif
