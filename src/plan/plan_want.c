#include "plan/plan_want.h"

#include "base/err.h"
#include "base/pool.h"
#include "settings/snapshot.h"
#include "settings/trusted.h"

/* Is this listener named by --listener? */
static bool
is_listed(const struct request *q, const char *id)
{
	size_t i;

	for (i = 0; i < q->listener_count; i++) {
		if (!strcmp(q->listeners[i], id))
			return true;
	}
	return false;
}

/* Without --listener: why a listener is left alone, or NULL if it is chosen. */
static const char *
why_left(const struct listener *l)
{
	switch (l->protocol) {
	case PROTOCOL_SMTP:
		return l->submission_only ? NULL
					  : "smtp on a port other than 465 and 587: left alone (to "
					    "choose it: --listener)";
	case PROTOCOL_LMTP:
		return "lmtp: left alone (to choose it: --listener)";
	case PROTOCOL_UNKNOWN:
		return "unknown protocol: left alone";
	default:
		return NULL;
	}
}

/* Choose one listener or leave it, and say why. */
static void
choose(struct build *b, struct plan_listener *pl)
{
	const struct listener *l = pl->listener;
	const char *left = why_left(l);

	if (b->q->relay_listener && !strcmp(b->q->relay_listener, l->id)) {
		pl->why = "the new server relays to it: never touched";
	} else if (b->q->listener_count) {
		pl->chosen = is_listed(b->q, l->id) && !l->on_25;
		pl->why = l->on_25 ? "port 25: never touched"
		    : pl->chosen   ? "named by --listener"
				   : "not named by --listener";
	} else if (l->on_25) {
		pl->why = "port 25: never touched";
	} else {
		pl->chosen = !left;
		pl->why = left                     ? left
		    : l->protocol == PROTOCOL_SMTP ? "submission"
		    : l->protocol == PROTOCOL_HTTP ? "web, JMAP and administration"
						   : "for mail clients";
	}
}

/* Refuse a listener that would be chosen but binds port 25: stalprep can't split it. */
static void
check_mixed(struct build *b, const struct listener *l)
{
	bool wanted = b->q->listener_count ? is_listed(b->q, l->id) : l->elsewhere;

	if (!l->on_25 || !wanted || (b->q->relay_listener && !strcmp(b->q->relay_listener, l->id)))
		return;
	if (l->elsewhere)
		build_refuse(b, REFUSAL_PORT_25,
		    "Listener \"%s\" binds %s. Putting it behind the proxy would stall the new "
		    "server's relay to port 25. Give the other port a listener of its own, or "
		    "leave this one out by naming the others with --listener.",
		    l->id, l->binds);
	else
		build_refuse(b, REFUSAL_PORT_25,
		    "--listener %s: this listener binds %s. Port 25 is never put behind the "
		    "proxy, because the new server's relay sends no PROXY header. Leave this one "
		    "out.",
		    l->id, l->binds);
}

/* The names of all listeners, for a message. */
static const char *
listener_names(struct build *b)
{
	const char *text = "";
	size_t i;

	for (i = 0; i < b->p->all.count && text; i++)
		text = pool_printf(b->pool, "%s%s%s", text, i ? ", " : "", b->p->all.items[i].id);
	return text ? text : "";
}

/* Refuse if it is not certain which listener the new server relays to. */
static void
check_relay_listener(struct build *b)
{
	const char *macro = NULL;
	bool on_25 = false;
	size_t i;

	for (i = 0; i < b->p->all.count; i++) {
		const struct listener *l = &b->p->all.items[i];

		on_25 |= l->on_25;
		if (l->macro &&
		    (l->protocol == PROTOCOL_SMTP || l->protocol == PROTOCOL_LMTP ||
			l->protocol == PROTOCOL_UNKNOWN))
			macro = l->id;
	}
	if (b->q->relay_listener) {
		if (!listener_by_id(&b->p->all, b->q->relay_listener))
			build_refuse(b, REFUSAL_NO_LISTENER,
			    "--relay-listener %s: the server has no listener of that name. It has "
			    "%s.",
			    b->q->relay_listener, listener_names(b));
		else if (b->q->listener_count && is_listed(b->q, b->q->relay_listener))
			build_refuse(b, REFUSAL_PORT_25,
			    "--listener and --relay-listener both name \"%s\". The listener that "
			    "the new server relays to is never put behind the proxy. Remove it "
			    "from --listener.",
			    b->q->relay_listener);
		return;
	}
	if (macro)
		build_refuse(b, REFUSAL_RELAY_LISTENER,
		    "The bind of listener \"%s\" holds a macro, so stalprep can't see its port. "
		    "It may be port 25, which must not be behind the proxy. Name the listener that "
		    "the new server relays to: --relay-listener ID.",
		    macro);
	else if (!on_25)
		build_refuse(b, REFUSAL_RELAY_LISTENER,
		    "No listener binds port 25, but a port mapping may lead from it to one of "
		    "them. Name the listener that the new server relays to, so that it is left "
		    "alone: --relay-listener ID.");
}

/* Refuse a --listener that the server does not have. */
static void
check_named(struct build *b)
{
	size_t i;

	for (i = 0; i < b->q->listener_count; i++) {
		if (!listener_by_id(&b->p->all, b->q->listeners[i]))
			build_refuse(b, REFUSAL_NO_LISTENER,
			    "--listener %s: the server has no listener of that name. It has %s.",
			    b->q->listeners[i], listener_names(b));
	}
}

/*
 * Refuse a listener named "x.proxy.y": its keys would be among the networks of listener x, which
 * may be the one on port 25.
 */
static void
check_id(struct build *b, const struct plan_listener *pl)
{
	if (pl->chosen && strstr(pl->listener->id, ".proxy."))
		build_refuse(b, REFUSAL_LISTENER_NAME,
		    "Listener \"%s\" has \".proxy.\" in its name, so its keys look like those of "
		    "another listener. Rename it, or leave it out by naming the others with "
		    "--listener.",
		    pl->listener->id);
}

void
build_choose_listeners(struct build *b)
{
	struct plan *p = b->p;
	size_t i, chosen = 0;

	listener_find_all(&p->all, b->pool, &b->base);
	for (i = 0; i < p->all.count; i++) {
		struct plan_listener *l = pool_add(b->pool, p->listeners, p->listener_count);

		l->listener = &p->all.items[i];
		choose(b, l);
		chosen += l->chosen;
	}
	if (!(b->q->groups & 1u << GROUP_LISTENERS))
		return;
	check_named(b);
	check_relay_listener(b);
	for (i = 0; i < p->listener_count; i++) {
		check_mixed(b, p->listeners[i].listener);
		check_id(b, &p->listeners[i]);
	}
	if (!p->all.count)
		build_refuse(b, REFUSAL_NO_LISTENER,
		    "%s shows no listener, so there is nothing to put behind the proxy.%s",
		    b->in->file ? "The file" : "The server",
		    b->in->file ? "" : " Is the account allowed to read server.listener.*?");
	else if (!chosen && !message_refusals(&p->messages))
		build_refuse(b, REFUSAL_NO_LISTENER,
		    "None of the server's listeners belongs behind the proxy. Name some with "
		    "--listener, or leave the group out: --skip listeners.");
}

/* Add one network at the list's next free index. */
static void
add_network(struct build *b, const char *list, struct trusted *own, long *index, const char *value)
{
	*index = trusted_free_index(own, *index);
	build_add_key(b, GROUP_LISTENERS, pool_printf(b->pool, "%s.%ld", list, (*index)++), value);
}

/* The listener's new list replaces the global one, so copy the global networks into it. */
static void
copy_global(struct build *b, const char *id, const char *list, struct trusted *own, long *index)
{
	struct trusted global = { 0 };
	size_t i, j;

	if (own->count || !b->q->proxy_count)
		return;
	trusted_read(&global, b->pool, &b->base, TRUSTED_GLOBAL);
	for (i = 0; i < global.count; i++) {
		for (j = 0;
		    j < b->q->proxy_count && strcmp(b->q->proxies[j], global.items[i].value) != 0;
		    j++)
			;
		/*
		 * A value that is no network trusts nobody. A copy would be one more configuration
		 * error. A macro may be a network.
		 */
		if (j < b->q->proxy_count ||
		    (!global.items[i].valid && !strstr(global.items[i].value, "%{")))
			continue;
		add_network(b, list, own, index, global.items[i].value);
		message_add(&b->p->messages, b->pool, MESSAGE_NOTE,
		    "Listener \"%s\": its own list replaces the global %s, so %s is copied from "
		    "there.",
		    id, TRUSTED_GLOBAL, global.items[i].value);
	}
}

/* Turn a network that is a scalar into an entry of the new list. */
static void
move_scalar(struct build *b, const char *list, struct trusted *own, long *index)
{
	size_t i;

	for (i = 0; i < own->count; i++) {
		if (own->items[i].index != -1 || strcmp(own->items[i].key, list) != 0)
			continue;
		build_add_key(b, GROUP_LISTENERS, list, NULL);
		add_network(b, list, own, index, own->items[i].value);
		return;
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
			if (!moved || strcmp(present->key, list) != 0)
				build_add_key(b, GROUP_LISTENERS, present->key, present->value)
				    ->kept = strcmp(present->value, b->q->proxies[i]) != 0;
			continue;
		}
		if (!moved)
			move_scalar(b, list, &own, &index);
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

	for (i = 0; i < p->listener_count; i++) {
		if (p->listeners[i].chosen)
			build_add_listener(b, p->listeners[i].listener->id);
	}
}

/* Is key in this set? */
static bool
set_has(const struct changeset *set, const char *key)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		if (!strcmp(set->entries[i].key, key))
			return true;
	}
	return false;
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

/*
 * Remove the other keys of the routing rule; the snapshot keeps them. If keys of a longer rule are
 * left, the new rule is a configuration error, and then no reload applies anything. If a scalar is
 * left, it wins over the new rule and there is no error (server-facts: rule settings).
 */
static void
remove_old_rule(struct build *b, const struct changeset *set)
{
	const char *rule = b->p->dialect->rule;
	const char *below = pool_printf(b->pool, "%s.", rule);
	const struct settings *s = &b->base;
	size_t i;

	if (settings_get(s, rule))
		build_add_key(b, GROUP_OUTBOUND, rule, NULL);
	for (i = settings_first(s, below); settings_below(s, i, below); i++) {
		if (!set_has(set, s->items[i].key))
			build_add_key(b, GROUP_OUTBOUND, s->items[i].key, NULL);
	}
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
	bool foreign = false, credentials = false;
	size_t i, j;

	for (i = settings_first(s, below); (rest = settings_below(s, i, below)); i++) {
		for (j = 0; j < set->count && strcmp(set->entries[j].key, s->items[i].key) != 0;
		    j++)
			;
		foreign |= j == set->count || strcmp(set->entries[j].value, s->items[i].value) != 0;
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
	struct wanted w = {
		.groups = b->q->groups & ~(1u << GROUP_LISTENERS),
		.public_url = b->q->public_origin,
		.relay_host = b->q->relay_host,
		.relay_port = b->q->relay_port,
		.relay_id = b->q->relay_id,
		.allow = b->q->new_server,
	};
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
	for (i = 0; i < set.count; i++)
		build_add_key(b, set.entries[i].group, set.entries[i].key, set.entries[i].value);
	if (w.groups & 1u << GROUP_OUTBOUND) {
		check_relay(b, &set);
		remove_old_rule(b, &set);
	}
}

void
build_add_restores(struct build *b)
{
	const struct snapshot *s = b->in->snapshot;
	size_t i;

	for (i = 0; s && i < s->count; i++) {
		if (b->q->groups & 1u << s->keys[i].group && !build_find_key(b, s->keys[i].key))
			build_add_key(b, s->keys[i].group, s->keys[i].key,
			    settings_get(&b->base, s->keys[i].key));
	}
}
