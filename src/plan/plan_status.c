#include "plan/plan_status.h"

#include "base/err.h"
#include "base/pool.h"
#include "format/addr.h"
#include "plan/plan_boot.h"
#include "plan/plan_check.h"
#include "plan/plan_listeners.h"
#include "plan/plan_looks.h"
#include "plan/plan_want.h"
#include "settings/faults.h"
#include "settings/part.h"
#include "settings/settings.h"
#include "settings/trusted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED_MAX = 5 }; /* most faults that a message names */

/* The text inside 'single quotes' if it is an https origin, else NULL. */
static const char *
quoted_origin(struct pool *pool, const char *value)
{
	size_t len = value ? strlen(value) : 0;
	struct url u;
	char *inner;

	if (len < 3 || value[0] != '\'' || value[len - 1] != '\'')
		return NULL;
	inner = pool_copy(pool, value + 1, len - 2);
	return url_parse_public(&u, inner, "", NULL) == 0 ? inner : NULL;
}

/* Read the proxy's networks from the first chosen listener that has some. */
static void
recognise_proxies(struct build *b, struct request *q)
{
	struct plan *p = b->p;
	struct trusted own;
	const char *list;
	size_t i, j;

	for (i = 0; i < p->listener_count && !q->proxy_count; i++) {
		list = changeset_listener_key(
		    b->pool, p->listeners[i].listener->id, "trusted-networks");
		memset(&own, 0, sizeof(own));
		if (!p->listeners[i].chosen)
			continue;
		trusted_read(&own, b->pool, b->in->now, list);
		for (j = 0; j < own.count && q->proxy_count < PROXIES_MAX; j++) {
			struct net n;

			if (!own.items[j].valid)
				continue;
			/* A network that --proxy refuses ("::/8") is not ours. */
			net_format(&own.items[j].net, q->proxies[q->proxy_count]);
			q->proxy_count += net_parse(&n, q->proxies[q->proxy_count], NULL) == 0;
		}
	}
}

/* The relay's keys changed between 0.12 and 0.13. If the older ones are set, it is the older. */
static void
recognise_dialect(struct build *b)
{
	const struct dialect *low = changeset_dialect(b->in->minor_first);
	const char *older = pool_printf(b->pool, "%s%s.", low->relay_prefix, b->q->relay_id);

	if (b->q->minor == -1 && low != b->p->dialect && settings_has_prefix(b->in->now, older))
		b->p->dialect = low;
}

/* Is there a sign of a stage? The URL alone is none: any administrator may set one. */
static bool
shows_a_stage(const struct build *b, const struct request *q)
{
	return q->proxy_count ||
	    settings_same(settings_get(b->in->now, "auth.iprev.verify"), "disable");
}

/*
 * Fill in from the settings what nobody named, so that the report can show what stands. It is no
 * measure to judge by: a wrong value would be measured by itself.
 */
static void
recognise(struct build *b, struct request *q)
{
	const char *text;

	if (q->groups & 1u << GROUP_LISTENERS)
		recognise_proxies(b, q);
	text = shows_a_stage(b, q)
	    ? quoted_origin(b->pool, settings_get(b->in->now, b->p->dialect->url_key))
	    : NULL;
	if (text)
		snprintf(q->public_origin, sizeof(q->public_origin), "%s", text);
	if (q->groups & 1u << GROUP_OUTBOUND)
		looks_relay(b, q);
}

/* Is anything of the plan there, or was there a stage? */
static bool
anything_stands(const struct build *b)
{
	size_t i;

	for (i = 0; i < b->p->key_count; i++) {
		const struct plan_key *k = &b->p->keys[i];

		if (k->wanted && settings_same(k->now, k->wanted))
			return true;
	}
	return b->in->stored != NULL;
}

/* Say which values nobody named, if something stands that they would be compared with. */
static void
tell_unnamed(struct build *b, bool proxy, bool url, bool relay)
{
	if ((!proxy && !url && !relay) || !anything_stands(b))
		return;
	b->p->unready = true;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "Nothing says which %s right. Name %s: %s%s%s%s. %s",
	    proxy && url ? "proxy and which URL are"
		: proxy  ? "proxy is"
		: url    ? "URL is"
			 : "relay is",
	    b->in->stored ? "it" : "what the stage named", proxy ? "--proxy ADDR" : "",
	    proxy && url ? ", " : "", url ? "--public-url URL" : "",
	    !relay             ? ""
		: proxy || url ? ", --relay HOST"
			       : "--relay HOST",
	    b->in->stored ? "Or leave out what the stage left out, with --skip."
			  : "Or name its snapshot with --snapshot.");
}

/* Warn about chosen listeners that are newer than the stage. */
static void
tell_new_listeners(struct build *b)
{
	const struct part *s = b->in->part;
	size_t i;

	/* After a clear of this node the others may still have it. */
	if (!s || !(b->in->stored->groups & 1u << GROUP_LISTENERS) || !plan_any_staged(b->p))
		return;
	for (i = 0; i < b->p->listener_count; i++) {
		const char *id = b->p->listeners[i].listener->id;
		const char *override = changeset_listener_key(b->pool, id, "override");
		const struct plan_key *k = build_find_key(b, override);

		if (k && k->wanted && k->state == KEY_MISSING && !build_old_key(b, override))
			message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
			    "Listener \"%s\" is not in the snapshot and would not be behind the "
			    "proxy. If it is new, stage again with the same options.",
			    id);
	}
}

/* Tell which keys would make the server refuse a reload, if there are any that can be seen. */
static void
tell_faults(struct build *b)
{
	struct faults f = { 0 };
	const char *text = "";
	size_t i;

	faults_find(&f, b->pool, b->in->now, b->p->dialect, b->q->relay_id);
	for (i = 0; i < f.count && i < NAMED_MAX; i++)
		text = pool_printf(
		    b->pool, "%s%s%s %s", text, *text ? "; " : "", f.items[i].key, f.items[i].why);
	if (!f.count)
		return;
	b->p->unready = true;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "The server would refuse every reload: %s%s. Fix that first.", text,
	    f.count > i ? "; and more" : "");
}

/* In a file nobody sees the database's half of a routing rule. */
static void
tell_unseen_rule(struct build *b)
{
	if (!b->in->file || !(b->q->groups & 1u << GROUP_OUTBOUND) || !b->q->relay_host)
		return;
	b->p->unready = true;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "Whether the database has a routing rule too (%s) can't be seen in a file, and two "
	    "halves of a rule block every reload. Start the server and run stalprep status --url, "
	    "which sees it; or leave the group out: --skip outbound.",
	    b->p->dialect->rule);
}

/* Drop the notes on what a stage would do. */
static void
drop_notes(struct messages *m)
{
	size_t i, n = 0;

	for (i = 0; i < m->count; i++) {
		if (m->items[i].level != MESSAGE_NOTE)
			m->items[n++] = m->items[i];
	}
	m->count = n;
}

/* A write that was cut off may be in the server's memory alone. */
static void
tell_unproved(struct build *b)
{
	const struct part *s = b->in->part;

	if (!s || s->state != PART_SENDING || b->in->file || b->in->boot)
		return;
	b->p->unready = true;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "The last write was not proved. Whatever the settings show, config.toml may lack some "
	    "keys. Run stage again to finish it.");
}

int
plan_status(struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err)
{
	struct request *q = pool_zero(pool, sizeof(*q));
	struct plan_input with = *in;
	struct build b = { .judging = true };
	bool proxy, url;
	size_t i;

	if (!q)
		return err_memory(err);
	*q = *in->request;
	with.request = q;
	proxy = q->groups & 1u << GROUP_LISTENERS && !q->proxy_count;
	url = q->groups & 1u << GROUP_URL && !q->public_origin[0];
	if (build_begin(&b, p, pool, &with, err) == -1)
		return -1;
	recognise_dialect(&b);
	build_choose_listeners(&b);
	if (!q->values_given && !in->stored)
		recognise(&b, q);
	build_add_groups(&b);
	build_add_restores(&b);
	drop_notes(&p->messages);
	if (build_set_states(&b) == -1)
		return -1;
	tell_unnamed(&b, proxy, url, q->relay_host && !in->request->relay_host);
	tell_new_listeners(&b);
	tell_faults(&b);
	tell_unseen_rule(&b);
	build_judge_boot(&b);
	tell_unproved(&b);
	build_check_cluster(&b);
	if (q->groups & 1u << GROUP_LISTENERS)
		build_check_relay(&b);
	p->unready |= message_refusals(&p->messages) > 0;
	for (i = 0; i < p->key_count; i++)
		p->keys[i].write = false;
	p->write_count = 0;
	return pool_check(pool, err);
}
