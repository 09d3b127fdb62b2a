#include "plan/plan_check.h"

#include "base/pool.h"
#include "format/addr.h"
#include "format/rewrite.h"
#include "plan/plan_uses.h"
#include "settings/localkeys.h"
#include "settings/message.h"
#include "settings/part.h"
#include "settings/trusted.h"

#include <stdio.h>
#include <string.h>

static const char BANS[] = "server.blocked-ip.", ALLOWED[] = "server.allowed-ip.";
static const char REWRITES[] = "The server rewrites its config.toml when a key in it changes.";
static const char BOOT_FAILS[] = "the next boot would fail and mail would stop";
static const char REWRITE_WAY_OUT[] =
    "rename the key or change its value on the server, or stop the server and use --config.";

/* The networks that a listener expects a PROXY header from: its own list, else the global one. */
static void
effective_list(struct build *b, const char *id, struct trusted *out, bool *own)
{
	const char *list = changeset_listener_key(b->pool, id, "trusted-networks");

	trusted_read(out, b->pool, &b->base, list);
	*own = out->count > 0;
	if (!*own)
		trusted_read(out, b->pool, &b->base, TRUSTED_GLOBAL);
}

static bool
has_macro(const struct trusted_entry *e)
{
	return strstr(e->value, "%{") != NULL;
}

/*
 * tell_faults: warn about values that are no networks; the server trusts nobody through them, and
 * refuses every reload. Tell whom the listener expects a PROXY header from, if nobody can say
 * whether the new server is among them.
 */
static void
tell_networks(
    struct build *b, const struct listener *l, const struct trusted *list, bool tell_faults)
{
	const struct trusted_entry *first = NULL;
	size_t i, count = 0;

	for (i = 0; i < list->count; i++) {
		const struct trusted_entry *e = &list->items[i];

		if (!e->valid && !has_macro(e)) {
			if (!tell_faults || b->judging) /* a status finds all faults */
				continue;
			message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
			    "%s is %s%s%s, which is no network for the server. It trusts nobody "
			    "through it, and no reload works until it is fixed or deleted.",
			    e->key, *e->value ? "\"" : "empty", e->value, *e->value ? "\"" : "");
			continue;
		}
		first = first ? first : e;
		count++;
	}
	if (first && !b->q->new_server[0]) {
		b->p->unready = true;
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "Listener \"%s\" (port 25) expects a PROXY header from %s%s (%s). If the new "
		    "server relays from there, its mail will stall. Check it with --new-server "
		    "ADDR.",
		    l->id, first->value, count > 1 ? " and more" : "", first->key);
	}
}

/*
 * The new server relays without a PROXY header, so this listener must not expect one from the new
 * server's address. Faults of the global list are told once, and then *global_told is set.
 */
static void
check_relay_way(struct build *b, const struct listener *l, bool *global_told)
{
	const struct trusted_entry *there;
	struct trusted list = { 0 };
	struct net from;
	size_t i;
	bool own;

	effective_list(b, l->id, &list, &own);
	tell_networks(b, l, &list, own || !*global_told);
	*global_told |= !own;
	if (!b->q->new_server[0])
		return;
	for (i = 0; i < list.count; i++) {
		if (!has_macro(&list.items[i]))
			continue;
		b->p->unready = true;
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "%s holds a macro (%s), so stalprep can't see whether it covers the "
		    "new server's address %s. Look it up: if it does, the relay to "
		    "listener \"%s\" (port 25) will stall.",
		    list.items[i].key, list.items[i].value, b->q->new_server, l->id);
	}
	there = addr_parse(&from, b->q->new_server) ? trusted_covering(&list, &from) : NULL;
	if (there)
		build_refuse(b, REFUSAL_RELAY_COVERED,
		    "The new server's address %s is in %s (%s). Listener \"%s\" (port 25) would "
		    "wait for a PROXY header that the new server never sends, and the relay would "
		    "stall. Remove that network from %s first: a listener can't be exempted from "
		    "it.",
		    b->q->new_server, there->value, there->key, l->id,
		    own ? "the listener's list" : "the global list");
}

void
build_check_relay(struct build *b)
{
	bool global_told = false;
	size_t i;

	for (i = 0; i < b->p->all.count; i++) {
		const struct listener *l = &b->p->all.items[i];
		bool named = b->q->relay_listener && !strcmp(b->q->relay_listener, l->id);

		if (l->on_25 || named)
			check_relay_way(b, l, &global_told);
	}
}

/* All settings that were read. */
static const struct settings *
all_settings(const struct build *b)
{
	return b->in->every ? b->in->every : b->in->now;
}

/*
 * Warn if the new server is banned, by its address or by a network: an exemption does not lift a
 * ban (server-facts).
 */
static void
check_ban(struct build *b)
{
	const struct settings *s = all_settings(b);
	struct net from, banned;
	const char *what;
	size_t i;

	if (!addr_parse(&from, b->q->new_server))
		return;
	for (i = settings_first(s, BANS); (what = settings_below(s, i, BANS)); i++) {
		if (net_parse_server(&banned, what) && net_covers(&banned, &from))
			message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
			    "The old server has banned the new one (%s): %s is set. stalprep does "
			    "not change it. Remove the ban, or no mail will be relayed.",
			    b->q->new_server, s->items[i].key);
	}
}

/* Warn about a listener that the proxy can't reach, because it binds this host's loopback only. */
static void
check_loopback(struct build *b, const struct listener *l)
{
	struct net n;
	size_t i;

	for (i = 0; i < b->q->proxy_count; i++) {
		if (net_parse(&n, b->q->proxies[i], NULL) == 0 && net_is_loopback(&n))
			return;
	}
	if (l->loopback_only && i)
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "Listener \"%s\" binds %s alone, where %s can't connect from. If the proxy "
		    "runs on this host, add --proxy 127.0.0.1. Else let the listener bind an "
		    "address that the proxy reaches; or, if a web proxy on this host stays in "
		    "front of it, leave it out: --leave %s.",
		    l->id, l->binds, b->q->proxies[0], l->id);
}

/* Warn that others than the proxy will need a header too, if something shows that there are any. */
static void
check_others(struct build *b)
{
	static const char *const forwarded[] = { "http.use-x-forwarded",
		"server.http.use-x-forwarded" };
	const char *wide = NULL, *web = NULL;
	struct net n;
	size_t i;

	for (i = 0; i < b->q->proxy_count && !wide; i++) {
		if (net_parse(&n, b->q->proxies[i], NULL) == 0 &&
		    n.bits != (n.family == 4 ? 32 : 128))
			wide = b->q->proxies[i];
	}
	for (i = 0; i < COUNT(forwarded) && !web; i++) {
		if (settings_same(settings_get(b->in->now, forwarded[i]), "true"))
			web = forwarded[i];
	}
	if (wide)
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "--proxy %s is a whole network. After the restart everything in it needs a "
		    "PROXY header: web proxies, health probes, monitoring, administrators. Name "
		    "the proxy's own addresses instead, if you can.",
		    wide);
	if (web)
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "%s is on, so a web proxy seems to stand in front of this server. From an "
		    "address in --proxy it has to send a PROXY header after the restart, like all "
		    "else there: health probes, monitoring, administrators. If it stays in front "
		    "of a listener, leave that one out: --leave ID.",
		    web);
}

static void
check_acme(struct build *b)
{
	const struct settings *s = all_settings(b);

	if (settings_has_prefix(s, "acme."))
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "The server renews its certificates itself (acme.*). In a cluster a renewal "
		    "reloads every node, and the inbound checks would be off too early. So stage "
		    "shortly before the cutover, when no renewal is due. After it, challenges "
		    "reach the proxy first: let it pass them on, or use dns-01.");
}

/* What the chosen listeners and their settings show. */
static void
check_listeners(struct build *b)
{
	size_t i;

	build_check_relay(b);
	for (i = 0; i < b->p->listener_count; i++) {
		if (b->p->listeners[i].chosen)
			check_loopback(b, b->p->listeners[i].listener);
	}
	check_others(b);
}

/* The setting that shows a cluster, or NULL. */
static const char *
cluster_sign(const struct build *b)
{
	static const char *const signs[] = { "cluster.coordinator", "cluster.bind-addr",
		"cluster.node-id" };
	size_t i;

	if (settings_has_prefix(b->in->now, "cluster.seed-nodes."))
		return "cluster.seed-nodes";
	for (i = 0; i < COUNT(signs) && !settings_get(b->in->now, signs[i]); i++)
		;
	return i < COUNT(signs) ? signs[i] : NULL;
}

/* What shows that this node's cluster has others than the run's, in words; or NULL. */
static const char *
more_nodes(struct build *b)
{
	const char *sign = cluster_sign(b);

	if (b->in->alike)
		return b->in->alike;
	return sign && b->in->node_count == 1 ? pool_printf(b->pool, "%s is set", sign) : NULL;
}

/* A status of some nodes says nothing of the others. Said once, at the first node. */
static void
tell_other_nodes(struct build *b)
{
	const char *others = NULL, *more = more_nodes(b);

	if (settings_has_prefix(b->in->now, "cluster."))
		others = b->in->other_nodes;
	if (b->in->stored && b->in->stored->single_node)
		more = NULL; /* as far as shows, these are all */
	if ((!others && (!more || !plan_any_staged(b->p))) || b->in->shared_elsewhere)
		return;
	b->p->unready = true;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "Not all nodes of this cluster were looked at: %s%.2000s. Give --url once for every "
	    "node. If the others are left out on purpose: --single-node.",
	    others ? "the snapshot also has " : "", others ? others : more);
}

void
build_check_cluster(struct build *b)
{
	const char *more;
	size_t i;

	for (i = 0;
	    i < b->p->key_count && !(b->p->keys[i].local && (b->p->keys[i].write || b->judging));
	    i++)
		;
	if (i == b->p->key_count || !b->in->node_count || b->q->single_node)
		return;
	if (b->judging)
		tell_other_nodes(b);
	else if ((more = more_nodes(b)))
		build_refuse(b, REFUSAL_CLUSTER,
		    "This server is a node of a cluster (%s), and each node has the listener keys "
		    "in its own config.toml. Give --url once for every node. If this is the only "
		    "node, or the others are left out on purpose: --single-node.",
		    more);
}

/* Tell what differs when keys are written to a file, and what can't be seen in one. */
static void
tell_file_limits(struct build *b)
{
	size_t i, from_database = 0;

	for (i = 0; i < b->p->key_count; i++)
		from_database += b->p->keys[i].wanted &&
		    !localkeys_match(b->in->now, b->p->dialect->last, b->p->keys[i].key);
	if (from_database)
		message_add(&b->p->messages, b->pool, MESSAGE_NOTE,
		    "%zu of the keys %s usually in the server's database. In config.toml they "
		    "outrank it, and the server warns about them when it starts. The API can't "
		    "delete them from the file: use clear --config to remove them.",
		    from_database, from_database == 1 ? "is" : "are");
	if (b->q->groups & 1u << GROUP_OUTBOUND && b->q->relay_host)
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "stalprep can't see the database from here. If it holds a routing rule (%s.*), "
		    "the server joins both rules and no reload works any more. Check that when the "
		    "server runs: stalprep reload --url URL --dry-run.",
		    b->p->dialect->rule);
}

void
build_check(struct build *b)
{
	if (b->in->file && b->p->write_count)
		tell_file_limits(b);
	if (b->q->groups & 1u << GROUP_LISTENERS)
		check_listeners(b);
	build_check_cluster(b);
	check_ban(b);
	check_acme(b);
}

/* Keys that do not survive the server's rewrite, for a message. */
struct lost {
	enum rewrite worst;
	struct names names;
};

/* If the version is not certain, the oldest one counts: its rules are the strictest. */
static enum rewrite
fate_of(const struct build *b, const char *key, const char *value)
{
	return rewrite_fate(b->q->minor != -1 ? b->q->minor : b->in->minor_first, key, value);
}

/* Add the key to `lost` if the rewrite does at least `least` to it. */
static void
check_value(const struct build *b, const char *key, const char *value, enum rewrite least,
    struct lost *lost)
{
	enum rewrite fate = fate_of(b, key, value);

	if (fate < least)
		return;
	lost->worst = fate > lost->worst ? fate : lost->worst;
	names_add(&lost->names, key);
}

/*
 * Is it a ban or an exemption? The server and its administration page put them into the database,
 * where a ban comes by itself. Many are IPv6 addresses, and up to 0.12 no key with one survives in
 * config.toml. The API does not show which of them somebody wrote into the file.
 */
static bool
is_ban(const char *key)
{
	return !strncmp(key, BANS, strlen(BANS)) || !strncmp(key, ALLOWED, strlen(ALLOWED));
}

/*
 * For a file: nothing rewrites it now, but a clear over the API would, and most others who use the
 * API. Bans are refused, which can live in the database. Other keys have no other place.
 */
static void
check_bans_in_file(struct build *b)
{
	struct lost lost = { 0 };
	size_t i;

	for (i = 0; i < b->in->now->count; i++) {
		const struct setting *s = &b->in->now->items[i];

		if (is_ban(s->key))
			check_value(b, s->key, s->value, REWRITE_BREAKS, &lost);
	}
	for (i = 0; i < b->p->key_count; i++) {
		const struct plan_key *k = &b->p->keys[i];

		if (k->write && k->wanted && is_ban(k->key))
			check_value(b, k->key, k->wanted, REWRITE_BREAKS, &lost);
	}
	if (lost.names.count)
		build_refuse(b, REFUSAL_REWRITE,
		    "Up to 0.12 a server that writes its config.toml anew writes an IPv6 address "
		    "in a key wrongly, so %s: %s%s. Keep such keys out of the file: "
		    "add them when the server runs, in the administration page or by stage --url "
		    "URL --allow-new-server. If the server is 0.13 or newer: --dialect 0.13.",
		    BOOT_FAILS, lost.names.text, names_more(&lost.names));
}

/* Does the file of the next start show which of the database's keys it has? */
static bool
knows_file(const struct build *b)
{
	return b->in->boot && !b->in->boot_broken;
}

/* Tell of keys that are usually in the database, and would not survive in the file. */
static void
tell_unseen(struct build *b, const struct lost *unseen, const struct lost *bans)
{
	if (unseen->names.count)
		build_refuse(b, REFUSAL_REWRITE_UNSEEN,
		    "%s If that file holds one of these keys, %s: %s%s. They are usually in the "
		    "database, but the API does not show where they are. Search config.toml for "
		    "them. If one is there: %s",
		    REWRITES, BOOT_FAILS, unseen->names.text, names_more(&unseen->names),
		    REWRITE_WAY_OUT);
	if (bans->names.count)
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "%s If somebody wrote an IPv6 address into that file as part of a key, %s. The "
		    "settings have such keys, like %s. The server itself keeps them in the "
		    "database, and the API does not show where they are. Make sure that "
		    "config.toml has none; with --boot-config FILE stalprep looks.",
		    REWRITES, BOOT_FAILS, bans->names.text);
}

void
build_check_rewrite(struct build *b)
{
	struct lost local = { 0 }, unseen = { 0 }, bans = { 0 };
	const struct plan_key *k;
	size_t i;

	if (b->in->file && !b->p->clearing)
		check_bans_in_file(b);
	if (!b->in->every || !(b->p->touch || build_writes_file(b)))
		return;
	for (i = 0; i < b->p->key_count; i++) {
		k = &b->p->keys[i];
		if (k->local && k->write && k->wanted)
			check_value(b, k->key, k->wanted, REWRITE_CHANGES, &local);
	}
	for (i = 0; i < b->in->every->count; i++) {
		const struct setting *s = &b->in->every->items[i];

		if (fate_of(b, s->key, s->value) == REWRITE_KEEPS)
			continue; /* as with most: whether it is local takes longer */
		if (!localkeys_match(b->in->now, b->p->dialect->last, s->key)) {
			if (!knows_file(b))
				check_value(b, s->key, s->value, REWRITE_BREAKS,
				    is_ban(s->key) ? &bans : &unseen);
			else if (b->in->seen->has[i] != SEEN_NOT)
				check_value(b, s->key, s->value, REWRITE_CHANGES, &local);
			continue;
		}
		k = build_find_key(b, s->key);
		if (!k || !k->write)
			check_value(b, s->key, s->value, REWRITE_CHANGES, &local);
	}
	if (local.names.count)
		build_refuse(b,
		    local.worst == REWRITE_BREAKS ? REFUSAL_REWRITE : REFUSAL_REWRITE_CHANGES,
		    "%s It would write %s%s wrongly, so %s. Fix: %s", REWRITES, local.names.text,
		    names_more(&local.names),
		    local.worst == REWRITE_BREAKS ? BOOT_FAILS
						  : "the next boot would read other keys or values",
		    REWRITE_WAY_OUT);
	tell_unseen(b, &unseen, &bans);
}
