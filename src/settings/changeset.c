#include "settings/changeset.h"

#include "base/pool.h"

#include <string.h>

const struct dialect changeset_dialects[DIALECT_COUNT] = {
	{ .name = "0.8 to 0.10",
	    .first = 8,
	    .last = 10,
	    .capital_ops = true,
	    .url_key = "server.http.url",
	    .relay_prefix = "remote.",
	    .rule = "queue.outbound.next-hop" },
	{ .name = "0.11",
	    .first = 11,
	    .last = 11,
	    .url_key = "server.http.url",
	    .relay_prefix = "remote.",
	    .rule = "queue.outbound.next-hop" },
	{ .name = "0.12",
	    .first = 12,
	    .last = 12,
	    .url_key = "http.url",
	    .relay_prefix = "remote.",
	    .rule = "queue.outbound.next-hop" },
	{ .name = "0.13 to 0.15",
	    .first = 13,
	    .last = 15,
	    .url_key = "http.url",
	    .relay_prefix = "queue.route.",
	    .relay_has_type = true,
	    .rule = "queue.strategy.route" },
};

static const struct {
	const char *name, *words;
} groups[GROUP_COUNT] = {
	[GROUP_LISTENERS] = { "listeners",
	    "PROXY protocol on the mail clients' and web listeners, never on port 25" },
	[GROUP_CHECKS] = { "checks", "inbound checks off" },
	[GROUP_URL] = { "url", "the advertised public URL" },
	[GROUP_OUTBOUND] = { "outbound", "outbound mail through the new server" },
	[GROUP_ALLOW] = { "allow", "the new server exempt from automatic bans" },
};

const char *const changeset_default_listeners[LISTENERS_DEFAULT] = {
	"imaptls",
	"imap",
	"pop3s",
	"pop3",
	"submission",
	"submissions",
	"sieve",
	"https",
	"http",
};

static const struct {
	const char *key, *value;
} checks[] = {
	{ "auth.dkim.verify", "disable" },
	{ "auth.arc.verify", "disable" },
	{ "auth.spf.verify.ehlo", "disable" },
	{ "auth.spf.verify.mail-from", "disable" },
	{ "auth.dmarc.verify", "disable" },
	{ "auth.iprev.verify", "disable" },
	{ "session.ehlo.reject-non-fqdn", "false" },
};
_Static_assert(COUNT(checks) == 7, "the guide has seven checks");

/* Below the relay's prefix and id; a NULL value is filled in. */
static const struct {
	const char *name, *value;
	bool only_with_type;
} relay[] = {
	{ "type", "relay", true },
	{ "address", NULL, false },
	{ "port", NULL, false },
	{ "protocol", "smtp", false },
	{ "tls.implicit", "false", false },
	{ "tls.allow-invalid-certs", "true", false },
};

/* Below the routing rule's key. */
static const struct {
	const char *name, *value;
} rule[] = {
	{ "0.if", "is_local_domain('*', rcpt_domain)" },
	{ "0.then", "'local'" },
	{ "1.else", NULL },
};
_Static_assert(COUNT(relay) + COUNT(rule) == 9, "the guide has nine keys for the outbound group");

const struct dialect *
changeset_dialect(int minor)
{
	size_t i;

	for (i = 0; i < DIALECT_COUNT; i++) {
		if (minor >= changeset_dialects[i].first && minor <= changeset_dialects[i].last)
			return &changeset_dialects[i];
	}
	return NULL;
}

int
changeset_parse_version(const char *text)
{
	size_t digits = !strncmp(text, "0.", 2) ? strspn(text + 2, "0123456789") : 0;
	const char *rest = text + 2 + digits;
	int minor;

	if (!digits || digits > 2)
		return -1;
	if (*rest &&
	    (*rest != '.' || !rest[1] || strspn(rest + 1, "0123456789") != strlen(rest + 1)))
		return -1;
	minor = text[2] - '0';
	if (digits == 2)
		minor = minor * 10 + text[3] - '0';
	return text[2] != '0' && minor >= MINOR_FIRST && minor <= MINOR_LAST ? minor : -1;
}

enum applies
group_applies(enum group g)
{
	return g == GROUP_LISTENERS ? APPLIES_RESTART : APPLIES_RELOAD;
}

const char *
group_name(enum group g)
{
	return groups[g].name;
}

const char *
group_words(enum group g)
{
	return groups[g].words;
}

bool
group_find(enum group *g, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < GROUP_COUNT; i++) {
		if (strlen(groups[i].name) == len && !memcmp(groups[i].name, name, len)) {
			*g = (enum group)i;
			return true;
		}
	}
	return false;
}

const char *
changeset_listener_key(struct pool *pool, const char *id, const char *what)
{
	return pool_printf(pool, "server.listener.%s.proxy.%s", id, what);
}

static void
add(struct changeset *set, struct pool *pool, enum group group, const char *key, const char *value)
{
	struct entry *e = pool_add(pool, set->entries, set->count);

	e->group = group;
	e->applies = group_applies(group);
	e->key = key;
	e->value = value;
}

void
changeset_add_listener(struct changeset *set, struct pool *pool, const char *id,
    const char *const *networks, size_t count)
{
	size_t i;

	add(set, pool, GROUP_LISTENERS, changeset_listener_key(pool, id, "override"), "true");
	for (i = 0; i < count; i++)
		add(set, pool, GROUP_LISTENERS,
		    pool_printf(pool, "server.listener.%s.proxy.trusted-networks.%zu", id, i),
		    networks[i]);
}

static void
add_relay(struct changeset *set, struct pool *pool, const struct wanted *w, const struct dialect *d)
{
	const char *value;
	size_t i;

	for (i = 0; i < COUNT(relay); i++) {
		if (relay[i].only_with_type && !d->relay_has_type)
			continue;
		value = relay[i].value;
		if (!strcmp(relay[i].name, "address"))
			value = w->relay_host;
		else if (!strcmp(relay[i].name, "port"))
			value = pool_printf(pool, "%u", w->relay_port);
		add(set, pool, GROUP_OUTBOUND,
		    pool_printf(pool, "%s%s.%s", d->relay_prefix, w->relay_id, relay[i].name),
		    value);
	}
	for (i = 0; i < COUNT(rule); i++) {
		value = rule[i].value ? rule[i].value : pool_printf(pool, "'%s'", w->relay_id);
		add(set, pool, GROUP_OUTBOUND, pool_printf(pool, "%s.%s", d->rule, rule[i].name),
		    value);
	}
}

void
changeset_add_rest(
    struct changeset *set, struct pool *pool, const struct wanted *w, const struct dialect *d)
{
	size_t i;

	for (i = 0; i < COUNT(checks) && w->groups & 1u << GROUP_CHECKS; i++)
		add(set, pool, GROUP_CHECKS, checks[i].key, checks[i].value);
	/*
	 * The value is an expression whose result is the text, hence the inner quotes (the guide).
	 */
	if (w->groups & 1u << GROUP_URL)
		add(set, pool, GROUP_URL, d->url_key, pool_printf(pool, "'%s'", w->public_url));
	if (w->groups & 1u << GROUP_OUTBOUND)
		add_relay(set, pool, w, d);
	if (w->groups & 1u << GROUP_ALLOW)
		add(set, pool, GROUP_ALLOW, pool_printf(pool, "server.allowed-ip.%s", w->allow),
		    "");
}
