#include "plan/plan_want.h"

#include "base/pool.h"
#include "settings/part.h"
#include "settings/trusted.h"

/* The key where an earlier stage found this network and could not say who had written it, or NULL.
 */
static const char *
key_of_unknown(struct build *b, const char *list, const char *value)
{
	const struct part_key *known;
	size_t i;

	if (!b->unknown)
		return NULL;
	if (b->listed != list) {
		b->listed = list;
		b->now_listed = (struct trusted){ 0 };
		trusted_read(&b->now_listed, b->pool, b->in->now, list);
	}
	for (i = 0; i < b->now_listed.count; i++) {
		const struct trusted_entry *e = &b->now_listed.items[i];

		known = build_old_key(b, e->key);
		if (known && known->unknown && !strcmp(e->value, value))
			return e->key;
	}
	return NULL;
}

/* Add one network: where it stands, or at the list's next index that is free, also of those. */
static void
add_network(struct build *b, const char *list, struct trusted *own, long *index, const char *value)
{
	const char *key = key_of_unknown(b, list, value);
	const struct part_key *known = NULL;

	while (!key || (known && known->unknown)) {
		*index = trusted_free_index(own, *index);
		key = pool_printf(b->pool, "%s.%ld", list, (*index)++);
		known = build_old_key(b, key);
	}
	build_add_key(b, GROUP_LISTENERS, key, value);
}

/* The listener's new list replaces the global one, so copy the global networks into it. */
static void
copy_global(struct build *b, const char *id, const char *list, struct trusted *own, long *index)
{
	struct trusted *global = &b->global;
	struct names copied = { 0 };
	size_t i;

	if (own->count || !b->q->proxy_count)
		return;
	if (!global->count)
		trusted_read(global, b->pool, &b->base, TRUSTED_GLOBAL);
	for (i = 0; i < global->count && b->p->key_count <= PART_KEYS_MAX; i++) {
		/*
		 * A value that is no network trusts nobody. A copy would be one more configuration
		 * error. A macro may be a network.
		 */
		if (request_has_proxy(b->q, global->items[i].value) ||
		    (!global->items[i].valid && !strstr(global->items[i].value, "%{")))
			continue;
		add_network(b, list, own, index, global->items[i].value);
		names_add(&copied, global->items[i].value);
	}
	if (copied.count)
		message_add(&b->p->messages, b->pool, MESSAGE_NOTE,
		    "Listener \"%s\": its own list replaces the global %s, so this is copied from "
		    "there: %s%s.",
		    id, TRUSTED_GLOBAL, copied.text, names_more(&copied));
}

/*
 * A new network can't stand beside a scalar, or in config.toml beside the elements of an array:
 * they become entries of the new list.
 */
static bool
has_to_move(const struct build *b, const char *list, const struct trusted_entry *e)
{
	const char *rest = e->key + strlen(list);

	return !*rest || (b->in->file && strlen(rest) == 5 && strspn(rest, ".0123456789") == 5);
}

static void
move_networks(struct build *b, const char *list, struct trusted *own, long *index)
{
	size_t i;

	for (i = 0; i < own->count; i++) {
		if (has_to_move(b, list, &own->items[i]))
			own->items[i].index = -1;
	}
	for (i = 0; i < own->count; i++) {
		if (!has_to_move(b, list, &own->items[i]))
			continue;
		build_add_key(b, GROUP_LISTENERS, own->items[i].key, NULL);
		add_network(b, list, own, index, own->items[i].value);
	}
}

void
build_add_listener(struct build *b, const char *id)
{
	const char *override = changeset_listener_key(b->pool, id, "override");
	const char *list = changeset_listener_key(b->pool, id, "trusted-networks");
	const struct trusted_entry *present;
	struct trusted own = { 0 };
	bool moved = false;
	struct net n;
	long index = 0;
	size_t i;

	build_add_key(b, GROUP_LISTENERS, override, "true");
	trusted_read(&own, b->pool, &b->base, list);
	for (i = 0; i < b->q->proxy_count; i++) {
		present = net_parse(&n, b->q->proxies[i], NULL) == 0 ? trusted_covering(&own, &n)
								     : NULL;
		if (present) {
			if (!moved || !has_to_move(b, list, present))
				build_add_key(b, GROUP_LISTENERS, present->key, present->value)
				    ->kept = strcmp(present->value, b->q->proxies[i]) != 0;
			continue;
		}
		if (!moved)
			move_networks(b, list, &own, &index);
		moved = true;
		add_network(b, list, &own, &index, b->q->proxies[i]);
	}
	copy_global(b, id, list, &own, &index);
}

static void
add_listeners(struct build *b)
{
	struct plan *p = b->p;
	size_t i;

	for (i = 0; i < p->listener_count && b->q->proxy_count; i++) {
		if (p->listeners[i].chosen)
			build_add_listener(b, p->listeners[i].listener->id);
	}
}

/* Tell of the old rule as it stands. After the stage it is gone, and there is nothing to tell. */
static void
tell_old_rule(struct build *b)
{
	const char *rule = b->p->dialect->rule;
	const struct settings *s = b->in->now;
	size_t i, removed = 0;

	for (i = 0; i < b->p->key_count; i++) {
		const struct plan_key *k = &b->p->keys[i];

		removed += k->group == GROUP_OUTBOUND && !k->wanted && k->now;
	}
	if (!removed)
		return;
	for (i = settings_first(s, rule); settings_below(s, i, rule); i++)
		message_add(&b->p->messages, b->pool, MESSAGE_NOTE, "The current rule: %s = %s",
		    s->items[i].key, s->items[i].value);
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "There is already a routing rule at %s. A stage removes %zu of its keys, because they "
	    "would break or outrank the new rule; clear restores them. Check what the old rule "
	    "did.",
	    rule, removed);
}

/* Remove all keys below this one but those that the change set has; the snapshot keeps them. */
static void
remove_below(struct build *b, enum group group, const char *key, const struct changeset *set)
{
	const char *below = pool_printf(b->pool, "%s.", key);
	const struct settings *s = &b->base;
	size_t i;

	for (i = settings_first(s, below); settings_below(s, i, below); i++) {
		if (!changeset_find(set, s->items[i].key))
			build_add_key(b, group, s->items[i].key, NULL);
	}
}

/*
 * Remove the other keys of the routing rule. If keys of a longer rule are left, the new rule is a
 * configuration error, and then no reload applies anything. If a scalar is left, it wins over the
 * new rule and there is no error (server-facts: rule settings).
 */
static void
remove_old_rule(struct build *b, const struct changeset *set)
{
	const char *rule = b->p->dialect->rule;

	if (settings_get(&b->base, rule))
		build_add_key(b, GROUP_OUTBOUND, rule, NULL);
	remove_below(b, GROUP_OUTBOUND, rule, set);
	tell_old_rule(b);
}

/* Refuse to point somebody else's relay to another host, above all one with credentials. */
static void
check_relay(struct build *b, const struct changeset *set)
{
	const char *below = pool_printf(
		       b->pool, "%s%s.", b->p->dialect->relay_prefix, b->q->relay_id),
		   *rest;
	const struct settings *s = &b->base;
	const struct entry *ours;
	bool foreign = false, credentials = false;
	size_t i;

	for (i = settings_first(s, below); (rest = settings_below(s, i, below)); i++) {
		ours = changeset_find(set, s->items[i].key);
		foreign |= !ours || strcmp(ours->value, s->items[i].value) != 0;
		credentials |= !strncmp(rest, "auth", 4);
	}
	if (foreign)
		build_refuse(b, credentials ? REFUSAL_RELAY_CREDENTIALS : REFUSAL_RELAY_TAKEN,
		    "The server already has a relay \"%s\" (%s…) with other settings.%s Choose "
		    "another name: --relay-id NAME.",
		    b->q->relay_id, below,
		    credentials ? " It holds credentials, which would go to another host." : "");
}

void
build_add_groups(struct build *b)
{
	struct changeset set = { 0 };
	struct wanted w = request_wanted(b->q);
	size_t i;

	if (b->q->groups & 1u << GROUP_LISTENERS)
		add_listeners(b);
	if (!b->q->allow_new_server)
		w.groups &= ~(1u << GROUP_ALLOW);
	if (!b->q->public_origin[0])
		w.groups &= ~(1u << GROUP_URL);
	if (!b->q->relay_host)
		w.groups &= ~(1u << GROUP_OUTBOUND);
	changeset_add_rest(&set, b->pool, &w, b->p->dialect);
	for (i = 0; i < set.count; i++) {
		const struct entry *e = &set.entries[i];

		build_add_key(b, e->group, e->key, e->value);
		/* The server takes the value and not the list, but TOML has no room for both. */
		if (b->in->file)
			remove_below(b, e->group, e->key, &set);
	}
	if (w.groups & 1u << GROUP_OUTBOUND) {
		if (!b->judging)
			check_relay(b, &set);
		remove_old_rule(b, &set);
	}
}

void
build_add_restores(struct build *b)
{
	const struct part *s = b->in->part;
	size_t i;

	for (i = 0; s && i < s->count; i++) {
		if (b->q->groups & 1u << s->keys[i].group && !build_find_key(b, s->keys[i].key))
			build_add_key(b, s->keys[i].group, s->keys[i].key,
			    settings_get(&b->base, s->keys[i].key));
	}
}
