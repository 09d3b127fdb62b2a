#include "settings/faults.h"

#include "base/pool.h"
#include "settings/changeset.h"
#include "settings/listener.h"
#include "settings/settings.h"
#include "settings/trusted.h"

#include <stdbool.h>
#include <string.h>

/* Settings that hold an expression, or a list of if, then and else; and the versions with them. */
static const struct {
	const char *key;
	int first, last; /* minor versions */
} rules[] = {
	{ "auth.arc.seal", 0, 99 },
	{ "auth.arc.verify", 0, 99 },
	{ "auth.dkim.sign", 0, 99 },
	{ "auth.dkim.verify", 0, 99 },
	{ "auth.dmarc.verify", 0, 99 },
	{ "auth.iprev.verify", 0, 99 },
	{ "auth.spf.verify.ehlo", 0, 99 },
	{ "auth.spf.verify.mail-from", 0, 99 },
	{ "http.allowed-endpoint", 12, 99 },
	{ "http.url", 12, 99 },
	{ "queue.outbound.hostname", 0, 12 },
	{ "queue.outbound.ip-strategy", 0, 12 },
	{ "queue.outbound.next-hop", 0, 12 },
	{ "queue.strategy.connection", 13, 99 },
	{ "queue.strategy.route", 13, 99 },
	{ "queue.strategy.schedule", 13, 99 },
	{ "queue.strategy.tls", 13, 99 },
	{ "server.http.allowed-endpoint", 0, 11 },
	{ "server.http.url", 0, 11 },
	{ "session.ehlo.reject-non-fqdn", 0, 99 },
	{ "session.ehlo.require", 0, 99 },
	{ "session.ehlo.script", 0, 99 },
};

static void
add(struct faults *f, struct pool *pool, const char *key, const char *why)
{
	struct fault *fault = pool_add(pool, f->items, f->count);

	fault->key = key;
	fault->why = why;
}

/* A macro may be a network: nobody can see that here. */
static void
check_networks(struct faults *f, struct pool *pool, const struct trusted *list)
{
	size_t i;

	for (i = 0; i < list->count; i++) {
		const struct trusted_entry *e = &list->items[i];

		if (!e->valid && !strstr(e->value, "%{"))
			add(f, pool, e->key, *e->value ? "is no network" : "is empty");
	}
}

/* Each listener has its own list, or the global one. */
static void
check_listeners(struct faults *f, struct pool *pool, const struct settings *s)
{
	struct listeners all = { 0 };
	struct trusted global = { 0 };
	bool uses_global = false;
	size_t i;

	listener_find_all(&all, pool, s);
	for (i = 0; i < all.count; i++) {
		const char *list = changeset_listener_key(
		    pool, all.items[i].id, "trusted-networks");
		struct trusted own = { 0 };

		trusted_read(&own, pool, s, list);
		check_networks(f, pool, &own);
		uses_global |= !own.count;
	}
	if (!uses_global)
		return;
	trusted_read(&global, pool, s, TRUSTED_GLOBAL);
	check_networks(f, pool, &global);
}

/* How far the keys of a list were read: they come in the order of their texts. */
struct list {
	const char *last;  /* the condition's position: what follows the rule, up to the dot */
	const char *other; /* the else's; NULL before one */
	size_t last_len, other_len;
	bool has_if, has_then;
};

static bool
is_at(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a && a_len == b_len && !memcmp(a, b, b_len);
}

/* One more key, rest being what follows the rule in it. What is wrong with it, or NULL. */
static const char *
read_part(struct list *l, const char *rest)
{
	size_t len = strcspn(rest, ".");
	const char *part = rest[len] ? rest + len + 1 : "";
	size_t n = strcspn(part, ".");

	if (!rest[len])
		return "is no part of a rule";
	if (is_at(part, n, "if", 2)) {
		if (is_at(l->last, l->last_len, rest, len))
			return NULL;
		if (l->last && !l->has_then)
			return "follows an \"if\" without a \"then\"";
		l->last = rest;
		l->last_len = len;
		l->has_if = true;
		l->has_then = false;
	} else if (is_at(part, n, "then", 4)) {
		if (l->other)
			return "follows the \"else\"";
		if (!is_at(l->last, l->last_len, rest, len))
			return "has no \"if\"";
		l->has_then = true;
	} else if (is_at(part, n, "else", 4)) {
		if (l->other && !is_at(l->other, l->other_len, rest, len))
			return "is a second \"else\"";
		if (!l->has_if)
			return "has no \"if\" before it";
		l->other = rest;
		l->other_len = len;
	}
	return NULL;
}

static void
check_rule(struct faults *f, struct pool *pool, const struct settings *s, const char *rule)
{
	const char *below = pool_printf(pool, "%s.", rule), *rest, *why = NULL;
	struct list l = { 0 };
	size_t i;

	if (settings_get(s, rule))
		return;
	for (i = settings_first(s, below); (rest = settings_below(s, i, below)); i++) {
		why = read_part(&l, rest);
		if (why) {
			add(f, pool, s->items[i].key, why);
			return;
		}
	}
	if (l.has_if && !l.has_then)
		add(f, pool, rule, "has an \"if\" without a \"then\"");
	else if (l.has_if && !l.other)
		add(f, pool, rule, "has no \"else\"");
}

/* A relay that lacks a part. Since 0.13 one says that it is a relay, before that its address does.
 */
static void
check_relay(struct faults *f, struct pool *pool, const struct settings *s, const struct dialect *d,
    const char *id)
{
	static const char *const parts[] = { "address", "port", "protocol" };
	const char *relay = pool_printf(pool, "%s%s.", d->relay_prefix, id);
	const char *type = pool_printf(pool, "%stype", relay);
	size_t i;

	if (d->first >= 13 ? !settings_same(settings_get(s, type), "relay")
			   : !settings_get(s, pool_printf(pool, "%saddress", relay)))
		return;
	for (i = 0; i < COUNT(parts); i++) {
		const char *key = pool_printf(pool, "%s%s", relay, parts[i]);

		if (!settings_get(s, key))
			add(f, pool, key, "is missing");
	}
}

void
faults_find(struct faults *f, struct pool *pool, const struct settings *s, const struct dialect *d,
    const char *relay_id)
{
	const char *url = settings_get(s, d->url_key);
	size_t i;

	check_listeners(f, pool, s);
	for (i = 0; i < COUNT(rules); i++) {
		if (d->last >= rules[i].first && d->first <= rules[i].last)
			check_rule(f, pool, s, rules[i].key);
	}
	check_relay(f, pool, s, d, relay_id);
	if (url && strstr(url, "://") && !strpbrk(url, "'\""))
		add(f, pool, d->url_key, "is no expression: the URL needs quotes inside the value");
}
