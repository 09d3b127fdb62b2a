#include "cmd/report_keys.h"

#include "base/buf.h"
#include "base/pool.h"
#include "base/sorted.h"
#include "cmd/options.h"
#include "cmd/report.h"
#include "plan/plan.h"
#include "settings/settings.h"

#include <string.h>

enum {
	NAME_WIDTH = 10,  /* of a group's column */
	VALUES_SHOWN = 4, /* different values that a group's line names */
};

void
report_value(struct buf *out, const char *value, size_t max)
{
	if (!value)
		buf_str(out, "(absent)");
	else if (!*value)
		buf_str(out, "(empty)");
	else
		buf_clean(out, value, strlen(value), max);
}

/* What the key holds after the run: as read back, or in a dry run as it would be. */
static const char *
value_after(const struct report *r, const struct plan_key *k)
{
	return r->options->dry_run ? k->wanted : k->after;
}

/* Is the original the absence of the key, and is all as planned? Then the group's line tells it. */
static bool
is_plain(const struct report *r, const struct plan *p, const struct plan_key *k)
{
	const char *after = value_after(r, k);

	return !(p->clearing ? after : k->now) && settings_same(after, k->wanted);
}

/* "key: before -> after"; one that stays has its value alone. */
static void
add_key(struct buf *out, const struct report *r, const struct plan *p, const struct plan_key *k)
{
	const char *after = value_after(r, k);

	buf_clean(out, k->key, strlen(k->key), (size_t)-1);
	buf_str(out, ": ");
	report_value(out, k->now, p->clearing ? VALUE_MAX : ORIGINAL_MAX);
	if (!settings_same(k->now, after)) {
		buf_str(out, " -> ");
		report_value(out, after, p->clearing ? ORIGINAL_MAX : VALUE_MAX);
	}
	buf_char(out, '\n');
}

/* The length of a listener's part of its key, "server.listener.ID.proxy.". */
static size_t
listener_length(const char *key)
{
	const char *proxy = NULL, *at = key;

	while ((at = strstr(at, ".proxy.")) != NULL)
		proxy = at++;
	return proxy ? (size_t)(proxy - key) : strlen(key);
}

/* One group's part of the list, while it is made. */
struct lines {
	struct buf *out;
	const struct report *r;
	const struct plan *p;
	const char *title; /* NULL once it is there */
	enum group group;
	bool named; /* the group's name is there */
};

/* The k-th key, if it is one of the group's line, else NULL. */
static const struct plan_key *
plain_key(const struct lines *l, size_t i)
{
	const struct plan_key *k = &l->p->keys[i];

	return k->group == l->group && k->write && is_plain(l->r, l->p, k) ? k : NULL;
}

/* How many listeners the plain keys belong to. A listener's keys mostly stand together. */
static size_t
count_listeners(const struct lines *l)
{
	const struct plan_key *k, *last = NULL;
	struct sorted seen = { 0 };
	struct pool pool = { 0 };
	size_t i, len, n;

	for (i = 0; i < l->p->key_count; i++) {
		const char *id;

		k = plain_key(l, i);
		len = k ? listener_length(k->key) + 1 : 0;
		if (!k || (last && !strncmp(last->key, k->key, len)))
			continue;
		id = pool_copy(&pool, k->key, len - 1);
		if (!sorted_find(&seen, id))
			sorted_add(&seen, &pool, id, i);
		last = k;
	}
	n = seen.count;
	l->out->failed |= pool.failed;
	pool_free(&pool);
	return n;
}

/* Begin a line: the title if it is missing, then the group's column. */
static void
begin_line(struct lines *l)
{
	if (l->title)
		buf_printf(l->out, "\n%s\n", l->title);
	l->title = NULL;
	buf_printf(l->out, "  %-*s ", NAME_WIDTH, l->named ? "" : group_name(l->group));
	l->named = true;
}

/* The different values of the plain keys, in their order. */
static void
add_values(struct lines *l)
{
	const char *shown[VALUES_SHOWN] = { NULL };
	const struct plan_key *k;
	size_t i, j, n = 0;

	for (i = 0; i < l->p->key_count; i++) {
		k = plain_key(l, i);
		for (j = 0; k && j < n && strcmp(shown[j], k->wanted) != 0; j++)
			;
		if (!k || j < n)
			continue;
		if (n == VALUES_SHOWN) {
			buf_str(l->out, " and more");
			return;
		}
		shown[n] = k->wanted;
		buf_str(l->out, n++ ? ", " : "");
		report_value(l->out, k->wanted, VALUE_MAX);
	}
}

/* The line for the group's plain keys; a single one is named. */
static void
add_plain(struct lines *l)
{
	const struct plan_key *k, *first = NULL;
	size_t i, n = 0, listeners;

	for (i = 0; i < l->p->key_count; i++) {
		k = plain_key(l, i);
		first = n || !k ? first : k;
		n += k != NULL;
	}
	if (!n)
		return;
	begin_line(l);
	if (n == 1) {
		add_key(l->out, l->r, l->p, first);
		return;
	}
	buf_printf(l->out, "%zu keys", n);
	if (l->group == GROUP_LISTENERS) {
		listeners = count_listeners(l);
		buf_printf(l->out, " of %zu listener%s", listeners, plural(listeners));
	}
	buf_str(l->out, ": ");
	if (l->p->clearing)
		buf_str(l->out, "(absent)");
	else
		add_values(l);
	buf_char(l->out, '\n');
}

static void
add_each(struct lines *l)
{
	size_t i;

	for (i = 0; i < l->p->key_count; i++) {
		const struct plan_key *k = &l->p->keys[i];

		if (k->group != l->group || !k->write || is_plain(l->r, l->p, k))
			continue;
		begin_line(l);
		add_key(l->out, l->r, l->p, k);
	}
}

static void
add_verbose(struct lines *l)
{
	size_t i;

	for (i = 0; i < l->p->key_count; i++) {
		if (l->p->keys[i].group != l->group)
			continue;
		if (l->title)
			buf_printf(l->out, "\n%s\n", l->title);
		l->title = NULL;
		buf_str(l->out, "  ");
		add_key(l->out, l->r, l->p, &l->p->keys[i]);
	}
}

void
report_changes(struct buf *out, const struct report *r, const struct plan *p, const char *title)
{
	struct lines l = { .out = out, .r = r, .p = p, .title = title };
	size_t g;

	for (g = 0; g < GROUP_COUNT; g++) {
		l.group = (enum group)g;
		l.named = false;
		if (r->options->verbose) {
			add_verbose(&l);
			continue;
		}
		add_plain(&l);
		add_each(&l);
	}
}
