#include "plan/plan.h"

#include "base/err.h"
#include "base/pool.h"
#include "cmd/options.h"
#include "format/addr.h"
#include "plan/plan_build.h"
#include "settings/settings.h"
#include "settings/snapshot.h"
#include "settings/trusted.h"

#include <string.h>

/* Is it named by --listener? */
static bool
named(const struct options *o, const char *id)
{
	size_t i;

	for (i = 0; i < o->listener_count; i++) {
		if (!strcmp(o->listeners[i], id))
			return true;
	}
	return false;
}

/* Why a listener is left alone although nobody said so, or NULL when it is to be chosen. */
static const char *
why_left(const struct listener *l)
{
	switch (l->protocol) {
	case PROTOCOL_SMTP:
		return l->submission_only
		    ? NULL
		    : "smtp on another port than 465 and 587: left alone (--listener chooses it)";
	case PROTOCOL_LMTP:
		return "lmtp: left alone (--listener chooses it)";
	case PROTOCOL_UNKNOWN:
		return "its protocol is not known: left alone";
	default:
		return NULL;
	}
}

/* Decide on one listener. */
static void
choose(struct build *b, struct plan_listener *pl)
{
	const struct listener *l = pl->listener;
	const char *left = why_left(l);

	if (b->o->relay_listener && !strcmp(b->o->relay_listener, l->id)) {
		pl->why = "the new server relays to it: never touched";
	} else if (b->o->listener_count) {
		pl->chosen = named(b->o, l->id) && !l->on_25;
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

/* A listener that binds 25 and something else can't be split from here. */
static void
check_mixed(struct build *b, const struct listener *l)
{
	bool wanted = b->o->listener_count ? named(b->o, l->id) : l->elsewhere;

	if (!l->on_25 || !wanted || (b->o->relay_listener && !strcmp(b->o->relay_listener, l->id)))
		return;
	if (l->elsewhere)
		build_refuse(b, "port-25", true,
		    "Listener \"%s\" binds %s. Putting it behind the proxy would stall the new "
		    "server's relay to port 25. Give the other port a listener of its own, or "
		    "leave this one out by naming the others with --listener.",
		    l->id, l->binds);
	else
		build_refuse(b, "port-25", true,
		    "--listener %s: it binds %s, and port 25 is never put behind the proxy: the "
		    "new server's relay sends no PROXY header.",
		    l->id, l->binds);
}

/* All names, for a message. */
static const char *
listener_names(struct build *b)
{
	const char *text = "";
	size_t i;

	for (i = 0; i < b->p->all.count && text; i++)
		text = pool_printf(b->pool, "%s%s%s", text, i ? ", " : "", b->p->all.items[i].id);
	return text ? text : "";
}

/* Somebody must be plainly on 25, or be named as the one that the new server relays to. */
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
	if (b->o->relay_listener) {
		if (!listener_by_id(&b->p->all, b->o->relay_listener))
			build_refuse(b, "no-listener", true,
			    "--relay-listener %s: the server has no listener of that name. It has "
			    "%s.",
			    b->o->relay_listener, listener_names(b));
		else if (b->o->listener_count && named(b->o, b->o->relay_listener))
			build_refuse(b, "port-25", true,
			    "--listener and --relay-listener both name \"%s\": the listener that "
			    "the new server relays to is never put behind the proxy.",
			    b->o->relay_listener);
		return;
	}
	if (macro)
		build_refuse(b, "relay-listener", true,
		    "The bind of listener \"%s\" holds a macro, so its port can't be seen from "
		    "here; it may be port 25, which must stay out of the proxy. Say which listener "
		    "the new server relays to: --relay-listener ID.",
		    macro);
	else if (!on_25)
		build_refuse(b, "relay-listener", true,
		    "No listener binds port 25. Behind a port mapping another one may be it. Say "
		    "which listener the new server relays to, so that it is left alone: "
		    "--relay-listener ID.");
}

/* Every --listener must exist. */
static void
check_named(struct build *b)
{
	size_t i;

	for (i = 0; i < b->o->listener_count; i++) {
		if (!listener_by_id(&b->p->all, b->o->listeners[i]))
			build_refuse(b, "no-listener", true,
			    "--listener %s: the server has no listener of that name. It has %s.",
			    b->o->listeners[i], listener_names(b));
	}
}

/* Its keys would lie among another listener's networks, which may be the one on port 25. */
static void
check_name(struct build *b, const struct plan_listener *pl)
{
	if (pl->chosen && strstr(pl->listener->id, ".proxy."))
		build_refuse(b, "listener-name", true,
		    "Listener \"%s\": with \".proxy.\" in its name, its keys can't be told from "
		    "those of another listener. Rename it, or leave it out by naming the others "
		    "with --listener.",
		    pl->listener->id);
}

int
build_listeners(struct build *b)
{
	struct plan *p = b->p;
	size_t i, chosen = 0;

	if (listener_find_all(&p->all, b->pool, &b->base, b->err) == -1)
		return -1;
	p->listeners = pool_zero(b->pool, (p->all.count + 1) * sizeof(*p->listeners));
	if (!p->listeners)
		return err_memory(b->err);
	for (i = 0; i < p->all.count; i++) {
		p->listeners[i].listener = &p->all.items[i];
		choose(b, &p->listeners[i]);
		chosen += p->listeners[i].chosen;
	}
	p->listener_count = p->all.count;
	if (!(b->o->groups & 1u << GROUP_LISTENERS))
		return 0;
	check_named(b);
	check_relay_listener(b);
	for (i = 0; i < p->all.count; i++) {
		check_mixed(b, &p->all.items[i]);
		check_name(b, &p->listeners[i]);
	}
	if (!p->all.count)
		build_refuse(b, "no-listener", true,
		    "%s shows no listener at all, so there is nothing to put behind the proxy.%s",
		    b->in->file ? "The file" : "The server",
		    b->in->file ? "" : " Is the account allowed to read server.listener.*?");
	else if (!chosen && !message_refusals(&p->messages))
		build_refuse(b, "no-listener", true,
		    "None of the server's listeners is one for the proxy; name them with "
		    "--listener, or leave the group out: --skip listeners.");
	return 0;
}

/* Want one network under the list's next free index. */
static int
want_network(struct build *b, const char *list, struct trusted *own, long *index, const char *value)
{
	const char *key;

	*index = trusted_free_index(own, *index);
	key = pool_printf(b->pool, "%s.%ld", list, (*index)++);
	return key ? build_want(b, GROUP_LISTENERS, key, value) : err_memory(b->err);
}

/*
 * The list that only the global setting named so far would be dropped by a list of the listener's
 * own: copy it.
 */
static int
carry_over(struct build *b, const char *id, const char *list, struct trusted *own, long *index)
{
	struct trusted global = { 0 };
	size_t i, j;

	if (own->count || !b->o->proxy_count)
		return 0;
	if (trusted_read(&global, b->pool, &b->base, TRUSTED_GLOBAL, b->err) == -1)
		return -1;
	for (i = 0; i < global.count; i++) {
		for (j = 0;
		    j < b->o->proxy_count && strcmp(b->o->proxies[j], global.items[i].value) != 0;
		    j++)
			;
		/*
		 * By what the server can't read it trusts nobody; copied, it would be one more
		 * configuration error. A macro it may.
		 */
		if (j < b->o->proxy_count ||
		    (!global.items[i].valid && !strstr(global.items[i].value, "%{")))
			continue;
		if (want_network(b, list, own, index, global.items[i].value) == -1)
			return -1;
		message_add(&b->p->messages, b->pool, MESSAGE_NOTE, NULL,
		    "Listener \"%s\": a list of its own replaces the global %s, so that list's %s "
		    "is copied into it.",
		    id, TRUSTED_GLOBAL, global.items[i].value);
	}
	return 0;
}

/* A scalar becomes an entry of the list that has to be made beside it. */
static int
move_scalar(struct build *b, const char *list, struct trusted *own, long *index)
{
	size_t i;

	for (i = 0; i < own->count; i++) {
		if (own->items[i].index != -1 || strcmp(own->items[i].key, list) != 0)
			continue;
		if (build_want(b, GROUP_LISTENERS, list, NULL) == -1)
			return -1;
		return want_network(b, list, own, index, own->items[i].value);
	}
	return 0;
}

int
build_want_listener(struct build *b, const char *id)
{
	const char *override = changeset_listener_key(b->pool, id, "override");
	const char *list = changeset_listener_key(b->pool, id, "trusted-networks");
	const struct trusted_entry *there;
	struct trusted own = { 0 };
	bool moved = false;
	struct net n;
	long index = 0;
	size_t i;

	if (!override || !list)
		return err_memory(b->err);
	if (build_want(b, GROUP_LISTENERS, override, "true") == -1 ||
	    trusted_read(&own, b->pool, &b->base, list, b->err) == -1)
		return -1;
	for (i = 0; i < b->o->proxy_count; i++) {
		if (net_parse(&n, b->o->proxies[i], b->err) == -1)
			return -1;
		there = trusted_covering(&own, &n);
		if (there) {
			if (moved && !strcmp(there->key, list))
				continue;
			if (build_want(b, GROUP_LISTENERS, there->key, there->value) == -1)
				return -1;
			build_find(b, there->key)->kept = strcmp(there->value, b->o->proxies[i]) !=
			    0;
			continue;
		}
		if (!moved && move_scalar(b, list, &own, &index) == -1)
			return -1;
		moved = true;
		if (want_network(b, list, &own, &index, b->o->proxies[i]) == -1)
			return -1;
	}
	return carry_over(b, id, list, &own, &index);
}

static int
want_listeners(struct build *b)
{
	struct plan *p = b->p;
	size_t i;

	for (i = 0; i < p->listener_count; i++) {
		if (p->listeners[i].chosen &&
		    build_want_listener(b, p->listeners[i].listener->id) == -1)
			return -1;
	}
	return 0;
}

/* Is key one of this set's? */
static bool
is_ours(const struct changeset *set, const char *key)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		if (!strcmp(set->entries[i].key, key))
			return true;
	}
	return false;
}

/*
 * What is left of an older, longer rule makes the new one a configuration error, and then no reload
 * applies anything; a scalar beside it wins in silence (server-facts: rule settings). Both go, and
 * are kept in the snapshot.
 */
static int
clean_rule(struct build *b, const struct changeset *set)
{
	const char *rule = b->p->dialect->rule;
	const char *below = pool_printf(b->pool, "%s.", rule);
	const struct settings *s = &b->base;
	size_t i, gone = 0;

	if (!below)
		return err_memory(b->err);
	if (settings_get(s, rule)) {
		gone++;
		if (build_want(b, GROUP_OUTBOUND, rule, NULL) == -1)
			return -1;
	}
	for (i = settings_first(s, below); settings_below(s, i, below); i++) {
		if (is_ours(set, s->items[i].key))
			continue;
		gone++;
		if (build_want(b, GROUP_OUTBOUND, s->items[i].key, NULL) == -1)
			return -1;
	}
	for (i = settings_first(s, rule); gone && settings_below(s, i, rule); i++)
		message_add(&b->p->messages, b->pool, MESSAGE_NOTE, NULL,
		    "The rule so far: %s = %s", s->items[i].key, s->items[i].value);
	if (gone)
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING, NULL,
		    "A routing rule stands at %s already. Its %zu key%s would break or outrank the "
		    "new one, so %s removed; clear brings %s back. Look at what it did.",
		    rule, gone, gone == 1 ? "" : "s", gone == 1 ? "it is" : "they are",
		    gone == 1 ? "it" : "them");
	return 0;
}

/*
 * A relay of that name which is not ours must not be bent to another host; its credentials least of
 * all.
 */
static void
check_relay(struct build *b, const struct changeset *set)
{
	const char *below = pool_printf(
		       b->pool, "%s%s.", b->p->dialect->relay_prefix, b->o->relay_id),
		   *rest;
	const struct settings *s = &b->base;
	bool foreign = false, credentials = false;
	size_t i, j;

	for (i = below ? settings_first(s, below) : s->count;
	    (rest = settings_below(s, i, below ? below : "")); i++) {
		for (j = 0; j < set->count && strcmp(set->entries[j].key, s->items[i].key) != 0;
		    j++)
			;
		foreign |= j == set->count || strcmp(set->entries[j].value, s->items[i].value) != 0;
		credentials |= !strncmp(rest, "auth", 4);
	}
	if (foreign)
		build_refuse(b, "relay-taken", credentials,
		    "A relay \"%s\" is there already (%s…), and it is not the one that this change "
		    "set describes.%s Choose another name: --relay-id NAME.",
		    b->o->relay_id, below,
		    credentials ? " It holds credentials, which would go to another host." : "");
}

int
build_wanted(struct build *b)
{
	struct changeset set = { 0 };
	struct wanted w = {
		.groups = b->o->groups & ~(1u << GROUP_LISTENERS),
		.public_url = b->o->public_origin,
		.relay_host = b->o->relay_host,
		.relay_port = b->o->relay_port,
		.relay_id = b->o->relay_id,
		.allow = b->o->new_server,
	};
	size_t i;

	if (b->o->groups & 1u << GROUP_LISTENERS && want_listeners(b) == -1)
		return -1;
	if (!b->o->allow_new_server)
		w.groups &= ~(1u << GROUP_ALLOW);
	if (!b->o->public_origin[0])
		w.groups &= ~(1u << GROUP_URL);
	if (!b->o->relay_host)
		w.groups &= ~(1u << GROUP_OUTBOUND);
	if (changeset_add_rest(&set, b->pool, &w, b->p->dialect, b->err) == -1)
		return -1;
	for (i = 0; i < set.count; i++) {
		if (build_want(b, set.entries[i].group, set.entries[i].key, set.entries[i].value) ==
		    -1)
			return -1;
	}
	if (!(w.groups & 1u << GROUP_OUTBOUND))
		return 0;
	check_relay(b, &set);
	return clean_rule(b, &set);
}

int
build_restore_unwanted(struct build *b)
{
	const struct snapshot *s = b->in->snapshot;
	size_t i;

	for (i = 0; s && i < s->count; i++) {
		if (b->o->groups & 1u << s->keys[i].group && !build_find(b, s->keys[i].key) &&
		    build_want(b, s->keys[i].group, s->keys[i].key,
			settings_get(&b->base, s->keys[i].key)) == -1)
			return -1;
	}
	return 0;
}

/*
 * Listener keys that the server keeps in the database never take effect: listeners are built from
 * config.toml.
 */
static void
check_local(struct build *b)
{
	size_t i;

	for (i = 0; i < b->p->key_count; i++) {
		if (b->p->keys[i].group == GROUP_LISTENERS && !b->p->keys[i].local) {
			build_refuse(b, "not-local", true,
			    "config.local-keys keeps %s out of this server's config.toml, and "
			    "listeners are built from that file alone: written over the API, it "
			    "would never take effect. Add \"server.listener.*\" to "
			    "config.local-keys, or stop the server and use --config, or leave the "
			    "group out: --skip listeners.",
			    b->p->keys[i].key);
			return;
		}
	}
}

/*
 * A server that failed to write its file, or a run that was cut off, leaves values in the server's
 * memory alone; writing the same again changes nothing there and answers 200. So all is deleted and
 * inserted anew (server-facts: a plain 500). Without a snapshot, only listener keys are a sure sign
 * of a stage: an administrator may have set the others himself.
 */
static void
decide_rewrite(struct build *b)
{
	const struct snapshot *s = b->in->snapshot;
	struct plan *p = b->p;
	bool staged = s != NULL;
	size_t i;

	for (i = 0; i < p->key_count; i++)
		staged |= p->keys[i].group == GROUP_LISTENERS && !p->keys[i].kept;
	if (!staged || (s ? s->state != SNAPSHOT_SENDING : p->write_count))
		return;
	for (i = 0; i < p->key_count; i++) {
		struct plan_key *k = &p->keys[i];

		if (!k->wanted || k->kept || (!k->local && b->in->shared_elsewhere) ||
		    (s && !k->recorded))
			continue;
		if (!s) {
			k->original = NULL;
			k->recorded = true;
		}
		p->rewrite = true;
		p->write_count += !k->write;
		k->write = true;
	}
	if (p->rewrite && !s)
		message_add(&p->messages, b->pool, MESSAGE_WARNING, NULL,
		    "All of it stands on the server already, but there is no snapshot of it here. "
		    "If you have one, stop and name it with --snapshot. Else it is written anew, "
		    "so that the server surely writes its file, and the new snapshot says that "
		    "there was nothing before.");
}

int
plan_stage(struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err)
{
	struct build b = { 0 };

	if (build_begin(&b, p, pool, in, err) == -1 || build_listeners(&b) == -1 ||
	    build_wanted(&b) == -1 || build_restore_unwanted(&b) == -1 || build_settle(&b) == -1)
		return -1;
	if (!in->file) {
		check_local(&b);
		decide_rewrite(&b);
	}
	if (build_check(&b) == -1)
		return -1;
	build_check_rewrite(&b);
	return pool_check(pool, err);
}
