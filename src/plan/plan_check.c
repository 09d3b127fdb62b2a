#include "plan/plan_check.h"

#include "base/err.h"
#include "base/pool.h"
#include "settings/request.h"
#include "format/addr.h"
#include "format/rewrite.h"
#include "settings/localkeys.h"
#include "settings/message.h"
#include "settings/snapshot.h"
#include "settings/trusted.h"

#include <stdio.h>
#include <string.h>

enum { NAMED_MAX = 5 }; /* keys that a message names, of many */

static const char REWRITES[] =
    "The server rewrites its config.toml whenever a key in it changes, and";
static const char BOOT_FAILS[] = "its next boot would fail, and the mail with it";
static const char REWRITE_WAY_OUT[] =
    "Rename the key or change its value on the server, or stop the server and use --config.";

/* The networks that a listener takes a PROXY header from: its own list, or else the global one. */
static void
effective_list(struct build *b, const char *id, struct trusted *out, bool *own)
{
	const char *list = changeset_listener_key(b->pool, id, "trusted-networks");

	trusted_read(out, b->pool, &b->base, list);
	*own = out->count > 0;
	if (!*own)
		trusted_read(out, b->pool, &b->base, TRUSTED_GLOBAL);
}

/*
 * The new server relays without a PROXY header, so the listener that it relays to must not want one
 * from it.
 */
static void
check_relay_way(struct build *b, const struct listener *l)
{
	const struct trusted_entry *there;
	struct trusted list = { 0 };
	struct net from;
	size_t i;
	bool own;

	effective_list(b, l->id, &list, &own);
	if (!list.count)
		return;
	if (!b->q->new_server[0]) {
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "Listener \"%s\" (port 25) wants a PROXY header from %s%s, by %s. Does the new "
		    "server relay from there? Then its mail would stall. Check it with "
		    "--new-server ADDR.",
		    l->id, list.items[0].value, list.count > 1 ? " and more" : "",
		    list.items[0].key);
		return;
	}
	for (i = 0; i < list.count; i++) {
		if (strstr(list.items[i].value, "%{"))
			message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
			    "%s holds a macro (%s), so whether it covers the new server's address "
			    "%s can't be seen. If it does, the relay to listener \"%s\" (port 25) "
			    "would stall.",
			    list.items[i].key, list.items[i].value, b->q->new_server, l->id);
	}
	there = addr_parse(&from, b->q->new_server) ? trusted_covering(&list, &from) : NULL;
	if (there)
		build_refuse(b, REFUSAL_RELAY_COVERED,
		    "The new server's address %s is in %s (%s), so listener \"%s\" (port 25) would "
		    "wait for a PROXY header that it never sends, and the relay would stall. Take "
		    "it out of that list first; no listener can be exempted from %s.",
		    b->q->new_server, there->value, there->key, l->id,
		    own ? "its own list" : "the global list");
}

static void
check_relay_ways(struct build *b)
{
	size_t i;

	for (i = 0; i < b->p->all.count; i++) {
		const struct listener *l = &b->p->all.items[i];
		bool named = b->q->relay_listener && !strcmp(b->q->relay_listener, l->id);

		if (l->on_25 || named)
			check_relay_way(b, l);
	}
}

/* A ban of the new server stands: an exemption does not lift it (server-facts). */
static void
check_ban(struct build *b)
{
	const char *key = pool_printf(b->pool, "server.blocked-ip.%s", b->q->new_server);

	if (b->q->new_server[0] && settings_get(b->in->now, key))
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "The old server has banned the new one: %s stands there. stalprep leaves it; "
		    "remove it, or no mail will be relayed.",
		    key);
}

void
build_check_cluster(struct build *b)
{
	static const char *const signs[] = { "cluster.coordinator", "cluster.bind-addr",
		"cluster.node-id" };
	const char *sign = settings_has_prefix(b->in->now, "cluster.seed-nodes.")
	    ? "cluster.seed-nodes"
	    : NULL;
	size_t i;

	for (i = 0; i < COUNT(signs) && !sign; i++)
		sign = settings_get(b->in->now, signs[i]) ? signs[i] : NULL;
	for (i = 0; i < b->p->key_count && !(b->p->keys[i].local && b->p->keys[i].write); i++)
		;
	if (!sign && b->in->node_count > 1 && !b->p->clearing)
		build_refuse(b, REFUSAL_NO_CLUSTER,
		    "Several --url name the nodes of one cluster, which share a database, but this "
		    "server shows no cluster.* setting. Separate servers are staged one by one: "
		    "run stalprep once for each.");
	if (sign && i < b->p->key_count && b->in->node_count == 1 && !b->q->single_node)
		build_refuse(b, REFUSAL_CLUSTER,
		    "This server is a node of a cluster (%s is set), and the listener keys live in "
		    "each node's own config.toml. Name every node: --url once for each. If this is "
		    "the only node, or the others are left out on purpose: --single-node.",
		    sign);
}

/*
 * The database's originals are in the first node's snapshot; another first node would take staged
 * values for originals.
 */
static void
check_order(struct build *b)
{
	const struct snapshot *s = b->in->snapshot;
	size_t i;

	for (i = 0; s && b->in->shared_elsewhere && i < s->count; i++) {
		if (!s->keys[i].local && b->q->groups & 1u << s->keys[i].group) {
			build_refuse(b, REFUSAL_NODE_ORDER,
			    "The snapshot of this node holds what stood in the shared database, so "
			    "it was the first --url when this was staged. Name it first again.");
			return;
		}
	}
}

/* What a file can't show, and what a key in it means that usually lives elsewhere. */
static void
say_file(struct build *b)
{
	size_t i, strangers = 0;

	for (i = 0; i < b->p->key_count; i++)
		strangers += b->p->keys[i].wanted &&
		    !localkeys_match(b->in->now, b->p->dialect->last, b->p->keys[i].key);
	if (strangers)
		message_add(&b->p->messages, b->pool, MESSAGE_NOTE,
		    "%zu of the keys usually live in the server's database. From config.toml they "
		    "outrank it, and the server warns of them when it starts. They can't be "
		    "deleted from the file over the API: take them out again with clear --config.",
		    strangers);
	if (b->q->groups & 1u << GROUP_OUTBOUND && b->q->relay_host)
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "The database can't be seen from here. If it holds a routing rule (%s.*), that "
		    "joins this one and no reload works any more. Once the server runs, ask it: "
		    "stalprep reload --url URL --dry-run.",
		    b->p->dialect->rule);
}

void
build_check(struct build *b)
{
	if (b->in->file)
		say_file(b);
	if (b->q->groups & 1u << GROUP_LISTENERS)
		check_relay_ways(b);
	build_check_cluster(b);
	check_order(b);
	check_ban(b);
}

/* Keys that the server's rewrite would not keep, for a message. */
struct lost {
	enum rewrite worst;
	size_t count;
	char names[512];
};

/*
 * Judge one key and its value. Where the answers leave the version open, by the oldest: its rules
 * are the strictest.
 */
static void
check_value(const struct build *b, const char *key, const char *value, enum rewrite least,
    struct lost *lost)
{
	enum rewrite fate = rewrite_fate(
	    b->q->minor != -1 ? b->q->minor : b->in->minor_first, key, value);
	size_t len = strlen(lost->names);

	if (fate < least)
		return;
	lost->worst = fate > lost->worst ? fate : lost->worst;
	if (lost->count++ < NAMED_MAX)
		snprintf(
		    lost->names + len, sizeof(lost->names) - len, "%s%.90s", len ? ", " : "", key);
}

/*
 * A key that is not local lives in the database, unless somebody wrote it into config.toml: then it
 * is rewritten too, and nothing over the API tells. So much may stand in a database (mail addresses
 * as keys, expressions with backslashes) that only what would stop the next boot is worth a
 * refusal. Bans and exemptions are not: the server and its administration page put them into the
 * database, and many are IPv6 addresses, which no key up to 0.12 survives.
 */
static bool
may_be_in_file(const char *key)
{
	return strncmp(key, "server.blocked-ip.", 18) != 0 &&
	    strncmp(key, "server.allowed-ip.", 18) != 0;
}

void
build_check_rewrite(struct build *b)
{
	struct lost local = { 0 }, unseen = { 0 };
	const struct plan_key *k;
	/* by the dummy */
	bool rewrites = b->p->clearing && b->in->snapshot &&
	    b->in->snapshot->state == SNAPSHOT_SENDING;
	size_t i;

	for (i = 0; b->in->every && i < b->p->key_count; i++) {
		k = &b->p->keys[i];
		rewrites |= k->local && k->write;
		if (k->local && k->write && k->wanted)
			check_value(b, k->key, k->wanted, REWRITE_CHANGES, &local);
	}
	for (i = 0; rewrites && b->in->every && i < b->in->every->count; i++) {
		const struct setting *s = &b->in->every->items[i];

		if (!localkeys_match(b->in->now, b->p->dialect->last, s->key)) {
			if (may_be_in_file(s->key))
				check_value(b, s->key, s->value, REWRITE_BREAKS, &unseen);
			continue;
		}
		k = build_find(b, s->key);
		if (!k || !k->write)
			check_value(b, s->key, s->value, REWRITE_CHANGES, &local);
	}
	if (rewrites && local.count)
		build_refuse(b,
		    local.worst == REWRITE_BREAKS ? REFUSAL_REWRITE : REFUSAL_REWRITE_CHANGES,
		    "%s it does not write %s%s so that it reads the same again: %s. %s", REWRITES,
		    local.names, local.count > NAMED_MAX ? " and more" : "",
		    local.worst == REWRITE_BREAKS ? BOOT_FAILS
						  : "its next boot would read other keys or values",
		    REWRITE_WAY_OUT);
	if (unseen.count)
		build_refuse(b, REFUSAL_REWRITE_UNSEEN,
		    "%s if %s%s stand%s in that file, %s. Such a key usually lives in the "
		    "database, but which of the two it is in can't be seen over the API. Search "
		    "config.toml for it. If it is there: %s",
		    REWRITES, unseen.names, unseen.count > NAMED_MAX ? " or more" : "",
		    unseen.count > 1 ? "" : "s", BOOT_FAILS, REWRITE_WAY_OUT);
}
