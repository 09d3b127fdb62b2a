#include "settings/changeset.h"

#include "base/buf.h"
#include "base/pool.h"
#include "format/addr.h"
#include "format/toml.h"
#include "format/url.h"

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

const char *
group_list(struct pool *pool, unsigned set)
{
	const char *text = "";
	int g;

	for (g = 0; g < GROUP_COUNT; g++) {
		if (set & 1u << g)
			text = pool_printf(
			    pool, "%s%s%s", text, *text ? "," : "", group_name((enum group)g));
	}
	return text;
}

const char *
group_way_out(struct pool *pool, unsigned set)
{
	unsigned named = set & ~(1u << GROUP_ALLOW);
	bool allow = named != set;

	return pool_printf(pool,
	    "Stop the server and use --config, or take the keys out of the file and restart the "
	    "server, or leave the group out: %s%s%s%s.",
	    named ? "--skip " : "", named ? group_list(pool, named) : "",
	    named && allow ? ", and " : "", allow ? "without --allow-new-server" : "");
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

bool
changeset_is_relay_id(const char *text, size_t len)
{
	return len && len <= RELAY_ID_MAX && strspn(text, "_-" ALNUM) >= len &&
	    !(len == 5 && !memcmp(text, "local", len)) && !(len == 2 && !memcmp(text, "mx", len));
}

/* What follows prefix in text, or NULL. */
static const char *
after(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(text, prefix, len) ? NULL : text + len;
}

/* The text inside 'single quotes', copied to out; false if it is longer or not quoted. */
static bool
unquote(const char *value, char *out, size_t size)
{
	size_t len = strlen(value);

	if (len < 2 || len - 2 >= size || value[0] != '\'' || value[len - 1] != '\'')
		return false;
	memcpy(out, value + 1, len - 2);
	out[len - 2] = '\0';
	return true;
}

/* A network, or a global one with a macro that was copied into the listener's list. */
static bool
is_network(const char *value)
{
	struct net n;

	return net_parse_server(&n, value) || strstr(value, "%{") != NULL;
}

static bool
can_write_listener(const char *key, const char *value)
{
	const char *id = after(key, "server.listener."), *rest = id ? strstr(id, ".proxy.") : NULL;

	if (!rest || rest == id)
		return false;
	rest += strlen(".proxy.");
	if (!strcmp(rest, "override"))
		return !value || !strcmp(value, "true");
	rest = after(rest, "trusted-networks");
	if (!rest ||
	    (*rest && (*rest != '.' || !rest[1] || rest[1 + strspn(rest + 1, "0123456789")])))
		return false;
	return !value || is_network(value);
}

static bool
can_write_rule(const char *key, const char *value, const char *prefix)
{
	const char *rest = after(key, prefix);
	char id[RELAY_ID_MAX + 1];
	size_t i;

	if (!rest || (*rest && *rest != '.'))
		return false;
	if (!value)
		return true; /* what is left of an older rule */
	for (i = 0; i < COUNT(rule); i++) {
		if (*rest && !strcmp(rest + 1, rule[i].name))
			return rule[i].value ? !strcmp(value, rule[i].value)
					     : unquote(value, id, sizeof(id)) &&
				changeset_is_relay_id(id, strlen(id));
	}
	return false;
}

static bool
can_write_relay(const char *key, const char *value, const char *prefix)
{
	const char *id = after(key, prefix), *name = id ? strchr(id, '.') : NULL;
	size_t i;

	if (!name || !changeset_is_relay_id(id, (size_t)(name - id)))
		return false;
	for (i = 0; i < COUNT(relay); i++) {
		if (strcmp(name + 1, relay[i].name) != 0)
			continue;
		if (!value || relay[i].value)
			return !value || !strcmp(value, relay[i].value);
		if (!strcmp(relay[i].name, "address"))
			return host_is_name(value);
		return *value && strlen(value) <= 5 && !value[strspn(value, "0123456789")];
	}
	return false;
}

/* Is it that rule's key, or, to be removed, one of the list that stood there instead? */
static bool
is_of_rule(const char *key, const char *rule_key, const char *value)
{
	const char *rest = after(key, rule_key);

	return rest && (!*rest || (*rest == '.' && !value));
}

bool
changeset_can_write(enum group group, const char *key, const char *value)
{
	const struct dialect *d = changeset_dialects;
	char inner[ORIGIN_MAX];
	const char *address;
	struct net n;
	struct url u;
	size_t i;

	switch (group) {
	case GROUP_LISTENERS:
		return can_write_listener(key, value);
	case GROUP_CHECKS:
		for (i = 0; i < COUNT(checks) && !is_of_rule(key, checks[i].key, value); i++)
			;
		return i < COUNT(checks) && (!value || !strcmp(value, checks[i].value));
	case GROUP_URL:
		for (i = 0; i < DIALECT_COUNT && !is_of_rule(key, d[i].url_key, value); i++)
			;
		return i < DIALECT_COUNT &&
		    (!value ||
			(unquote(value, inner, sizeof(inner)) &&
			    url_parse_public(&u, inner, "", NULL) == 0));
	case GROUP_OUTBOUND:
		for (i = 0; i < DIALECT_COUNT; i++) {
			if (can_write_rule(key, value, d[i].rule) ||
			    can_write_relay(key, value, d[i].relay_prefix))
				return true;
		}
		return false;
	default:
		address = after(key, "server.allowed-ip.");
		return address && addr_parse(&n, address) && (!value || !*value);
	}
}

size_t
changeset_name_end(const char *key, size_t at)
{
	static const char proxy[] = ".proxy.";
	const char *id = after(key, "server.listener."), *rest, *end = NULL;

	if (id && (size_t)(id - key) == at) {
		/* the last one: "proxy" may be in the id */
		for (rest = id; (rest = strstr(rest, proxy)); rest++)
			end = rest;
		if (end)
			return (size_t)(end - key);
	}
	if (at == strlen("server.allowed-ip.") && after(key, "server.allowed-ip."))
		return strlen(key);
	return at + strcspn(key + at, ".");
}

void
changeset_write_names(struct buf *out, const char *key, size_t from, size_t to)
{
	size_t end;

	for (; from < to; from = end + 1) {
		end = changeset_name_end(key, from);
		toml_write_name(out, key + from, (end < to ? end : to) - from);
		if (end < to)
			buf_char(out, '.');
	}
}

const struct entry *
changeset_find(const struct changeset *set, const char *key)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		if (!strcmp(set->entries[i].key, key))
			return &set->entries[i];
	}
	return NULL;
}
