#include "plan/plan_looks.h"

#include "base/pool.h"
#include "settings/trusted.h"

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

/* Does this listener want a PROXY header from that network by a list of its own? */
static bool
wants_header(struct build *b, const char *id, const char *network)
{
	struct trusted own = { 0 };
	size_t i;

	trusted_read(
	    &own, b->pool, b->in->now, changeset_listener_key(b->pool, id, "trusted-networks"));
	for (i = 0; i < own.count && strcmp(own.items[i].value, network) != 0; i++)
		;
	return i < own.count &&
	    settings_same(
		settings_get(b->in->now, changeset_listener_key(b->pool, id, "override")), "true");
}

/* Have all chosen listeners the override, and one network in common? Its text, or NULL. */
static const char *
common_network(struct build *b)
{
	const struct plan *p = b->p;
	struct trusted first = { 0 };
	size_t from, i, j;

	for (from = 0; from < p->listener_count && !p->listeners[from].chosen; from++)
		;
	if (from == p->listener_count)
		return NULL;
	trusted_read(&first, b->pool, b->in->now,
	    changeset_listener_key(b->pool, p->listeners[from].listener->id, "trusted-networks"));
	for (i = 0; i < first.count; i++) {
		for (j = from; j < p->listener_count; j++) {
			const struct plan_listener *l = &p->listeners[j];

			if (l->chosen && !wants_header(b, l->listener->id, first.items[i].value))
				break;
		}
		if (j == p->listener_count)
			return first.items[i].value;
	}
	return NULL;
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
