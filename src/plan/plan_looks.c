#include "plan/plan_looks.h"

#include "base/pool.h"
#include "settings/trusted.h"

#include <stdlib.h>
#include <string.h>

/* Are all inbound checks off, as the change set has them? */
static bool
checks_are_ours(struct build *b)
{
	struct wanted w = { .groups = 1u << GROUP_CHECKS };
	struct changeset set = { 0 };
	size_t i;

	changeset_add_rest(&set, b->pool, &w, b->p->dialect);
	for (i = 0; i < set.count; i++) {
		if (!settings_same(
			settings_get(b->in->now, set.entries[i].key), set.entries[i].value))
			return false;
	}
	return true;
}

/* Keep those of the first `count` networks that this listener has in a list of its own. */
static size_t
keep_common(struct build *b, const char *id, const char **networks, size_t count)
{
	struct trusted own = { 0 };
	struct sorted values = { 0 };
	struct pool pool = { 0 };
	size_t i, n = 0;

	trusted_read(
	    &own, &pool, b->in->now, changeset_listener_key(&pool, id, "trusted-networks"));
	for (i = 0; i < own.count; i++)
		sorted_add(&values, &pool, own.items[i].value, i);
	for (i = 0; i < count; i++) {
		if (sorted_find(&values, networks[i]))
			networks[n++] = networks[i];
	}
	b->pool->failed |= pool.failed;
	pool_free(&pool);
	return settings_same(
		   settings_get(b->in->now, changeset_listener_key(b->pool, id, "override")),
		   "true")
	    ? n
	    : 0;
}

/* Have all chosen listeners the override, and one network in common? Its text, or NULL. */
static const char *
common_network(struct build *b)
{
	const struct plan *p = b->p;
	struct trusted first = { 0 };
	const char **common;
	size_t from, i, n;

	for (from = 0; from < p->listener_count && !p->listeners[from].chosen; from++)
		;
	if (from == p->listener_count)
		return NULL;
	trusted_read(&first, b->pool, b->in->now,
	    changeset_listener_key(b->pool, p->listeners[from].listener->id, "trusted-networks"));
	common = pool_zero(b->pool, (first.count + 1) * sizeof(*common));
	for (n = 0; common && n < first.count; n++)
		common[n] = first.items[n].value;
	for (i = from; i < p->listener_count && n; i++) {
		if (p->listeners[i].chosen)
			n = keep_common(b, p->listeners[i].listener->id, common, n);
	}
	return common && n ? common[0] : NULL;
}

struct looks
build_looks(struct build *b, unsigned groups)
{
	struct looks l = { false, NULL };

	if (groups & 1u << GROUP_CHECKS)
		l.checks = checks_are_ours(b);
	if (groups & 1u << GROUP_LISTENERS)
		l.network = common_network(b);
	return l;
}

bool
looks_staged(const struct looks *l)
{
	return l->checks || l->network;
}

const char *
looks_words(struct build *b, const struct looks *l)
{
	return pool_printf(b->pool, "%s%s%s%s", l->checks ? "all inbound checks are off" : "",
	    l->checks && l->network ? ", " : "",
	    l->network ? "all listeners want a PROXY header from " : "",
	    l->network ? l->network : "");
}

void
looks_relay(struct build *b, struct request *q)
{
	const char *prefix = b->p->dialect->relay_prefix;
	const char *address = pool_printf(b->pool, "%s%s.address", prefix, q->relay_id);
	const char *port = settings_get(
	    b->in->now, pool_printf(b->pool, "%s%s.port", prefix, q->relay_id));

	q->relay_host = settings_get(b->in->now, address);
	if (q->relay_host)
		q->relay_port = port ? (unsigned)(strtoul(port, NULL, 10) & 0xffff) : RELAY_PORT;
}
