#include "plan/plan_status.h"

#include "base/err.h"
#include "base/pool.h"
#include "format/addr.h"
#include "plan/plan_listeners.h"
#include "plan/plan_want.h"
#include "settings/settings.h"
#include "settings/snapshot.h"
#include "settings/trusted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
looks_staged(const struct build *b, const struct request *q)
{
	return b->in->snapshot || q->proxy_count ||
	    settings_same(settings_get(b->in->now, "auth.iprev.verify"), "disable");
}

/* Fill in options that were not given from the settings. */
static void
recognise(struct build *b, struct request *q)
{
	const struct settings *now = b->in->now;
	const char *text, *prefix = b->p->dialect->relay_prefix;
	const char *address = pool_printf(b->pool, "%s%s.address", prefix, q->relay_id);
	const char *port = pool_printf(b->pool, "%s%s.port", prefix, q->relay_id);

	if (!q->proxy_count && q->groups & 1u << GROUP_LISTENERS)
		recognise_proxies(b, q);
	text = q->public_origin[0] || !looks_staged(b, q)
	    ? NULL
	    : quoted_origin(b->pool, settings_get(now, b->p->dialect->url_key));
	if (text)
		snprintf(q->public_origin, sizeof(q->public_origin), "%s", text);
	/* With options or a snapshot, a relay that they do not name is not ours. */
	if (b->q->values_given || b->in->snapshot || !(q->groups & 1u << GROUP_OUTBOUND) ||
	    !settings_get(now, address))
		return;
	q->relay_host = settings_get(now, address);
	text = settings_get(now, port);
	q->relay_port = text ? (unsigned)(strtoul(text, NULL, 10) & 0xffff) : 25;
}

/* Does the snapshot have a key of the listener with this override key? */
static bool
was_staged(const struct snapshot *s, const char *override)
{
	size_t len = strlen(override) - strlen("override"), i;

	for (i = 0; i < s->count && strncmp(s->keys[i].key, override, len) != 0; i++)
		;
	return i < s->count;
}

/* Add the keys of listeners that are newer than the snapshot, and warn about them. */
static void
add_new_listeners(struct build *b)
{
	size_t i, from;

	for (i = 0; i < b->p->listener_count; i++) {
		const char *id = b->p->listeners[i].listener->id,
			   *override = changeset_listener_key(b->pool, id, "override");

		from = b->p->key_count;
		if (!b->p->listeners[i].chosen || was_staged(b->in->snapshot, override))
			continue;
		build_add_listener(b, id);
		while (from < b->p->key_count &&
		    settings_same(b->p->keys[from].now, b->p->keys[from].wanted))
			from++;
		if (from < b->p->key_count)
			message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
			    "Listener \"%s\" is not in the snapshot and would not be behind the "
			    "proxy. If it is new, stage again with the same options.",
			    id);
	}
}

/* Without options the snapshot says which listeners, relay and values are wanted. */
static void
add_from_snapshot(struct build *b, struct request *q)
{
	const struct snapshot *s = b->in->snapshot;
	unsigned known = 0, groups = q->groups;
	size_t i;

	for (i = 0; i < s->count; i++)
		known |= 1u << s->keys[i].group & (1u << GROUP_LISTENERS | 1u << GROUP_OUTBOUND);
	q->groups &= ~known;
	build_add_groups(b);
	q->groups = groups;
	for (i = 0; i < s->count; i++) {
		if (groups & 1u << s->keys[i].group)
			build_add_key(b, s->keys[i].group, s->keys[i].key, s->keys[i].written);
	}
	if (known & groups & 1u << GROUP_LISTENERS && !strstr(s->options, "listener "))
		add_new_listeners(b);
}

int
plan_status(struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err)
{
	struct request *q = pool_zero(pool, sizeof(*q));
	struct plan_input with = *in;
	struct build b = { 0 };
	size_t i;

	if (!q)
		return err_memory(err);
	*q = *in->request;
	with.request = q;
	if (build_begin(&b, p, pool, &with, err) == -1)
		return -1;
	recognise_dialect(&b);
	build_choose_listeners(&b);
	recognise(&b, q);
	if (in->snapshot && !in->request->values_given) {
		add_from_snapshot(&b, q);
	} else {
		build_add_groups(&b);
		build_add_restores(&b);
	}
	if (build_set_states(&b) == -1)
		return -1;
	for (i = 0; i < p->key_count; i++)
		p->keys[i].write = false;
	p->write_count = 0;
	return 0;
}
