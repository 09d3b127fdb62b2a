#include "settings/listener.h"

#include "base/pool.h"
#include "format/addr.h"
#include "settings/settings.h"

#include <string.h>
#include <strings.h>

static const char PREFIX[] = "server.listener.";
static const char SUFFIX[] = ".protocol";

static const struct {
	const char *text;
	enum protocol protocol;
} protocols[] = {
	{ "smtp", PROTOCOL_SMTP },
	{ "lmtp", PROTOCOL_LMTP },
	{ "imap", PROTOCOL_IMAP },
	{ "pop3", PROTOCOL_POP3 },
	{ "managesieve", PROTOCOL_SIEVE },
	{ "http", PROTOCOL_HTTP },
	{ "https", PROTOCOL_HTTP },
};

static enum protocol
find_protocol(const char *text)
{
	size_t i;

	for (i = 0; i < COUNT(protocols); i++) {
		if (!strcasecmp(protocols[i].text, text))
			return protocols[i].protocol;
	}
	return PROTOCOL_UNKNOWN;
}

/* The port after the last colon, as a number ("0025" binds 25); -1 when there is none. */
static long
bind_port(const char *bind)
{
	const char *colon = strrchr(bind, ':');
	long port = 0;
	size_t i;

	if (!colon || colon == bind || !colon[1])
		return -1;
	for (i = 1; colon[i]; i++) {
		if (colon[i] < '0' || colon[i] > '9' || port > 65535)
			return -1;
		port = port * 10 + (colon[i] - '0');
	}
	return port <= 65535 ? port : -1;
}

/* Does it bind an address that only this host reaches: "127.0.0.1:8080" or "[::1]:8080"? */
static bool
is_loopback(struct pool *pool, const char *bind)
{
	const char *colon = strrchr(bind, ':');
	size_t len = colon ? (size_t)(colon - bind) : 0;
	struct net n;

	if (len > 2 && bind[0] == '[' && bind[len - 1] == ']') {
		bind++;
		len -= 2;
	}
	return addr_parse(&n, pool_copy(pool, bind, len)) && net_is_loopback(&n);
}

static void
add_bind(struct listener *l, struct pool *pool, const char *bind)
{
	bool macro = strstr(bind, "%{") != NULL;
	long port = bind_port(bind); /* of "%{env:IP}%:25" too: the macro is the address */

	l->binds = *l->binds ? pool_printf(pool, "%s, %s", l->binds, bind) : bind;
	l->macro |= macro && port == -1;
	l->on_25 |= port == 25;
	l->elsewhere |= port != -1 && port != 25;
	l->submission_only &= port == 465 || port == 587;
	l->loopback_only &= is_loopback(pool, bind);
}

/* The key bind, and all keys below it: the server reads both. */
static void
read_binds(struct listener *l, struct pool *pool, const struct settings *s)
{
	const char *key = pool_printf(pool, "%s%s.bind", PREFIX, l->id);
	const char *below = pool_printf(pool, "%s.", key);
	const char *bind = settings_get(s, key);
	size_t i;

	l->binds = "";
	l->submission_only = l->loopback_only = true;
	if (bind)
		add_bind(l, pool, bind);
	for (i = settings_first(s, below); settings_below(s, i, below); i++)
		add_bind(l, pool, s->items[i].value);
	if (!*l->binds)
		l->submission_only = l->loopback_only = false;
}

void
listener_find_all(struct listeners *out, struct pool *pool, const struct settings *s)
{
	struct listener *l;
	const char *rest;
	size_t i, len;

	for (i = settings_first(s, PREFIX); (rest = settings_below(s, i, PREFIX)); i++) {
		len = strlen(rest);
		if (len <= strlen(SUFFIX) || strcmp(rest + len - strlen(SUFFIX), SUFFIX) != 0)
			continue;
		l = pool_add(pool, out->items, out->count);
		l->id = pool_copy(pool, rest, len - strlen(SUFFIX));
		l->protocol_text = s->items[i].value;
		l->protocol = find_protocol(s->items[i].value);
		read_binds(l, pool, s);
		l->tls_implicit = settings_same(
		    settings_get(s, pool_printf(pool, "%s%s.tls.implicit", PREFIX, l->id)), "true");
	}
}

bool
listener_is_submission(const struct listener *l)
{
	return !l->on_25 && (l->submission_only || l->tls_implicit);
}

bool
listener_name_is_ambiguous(const char *id)
{
	static const char *const lists[] = { ".proxy", ".bind" };
	const char *at;
	size_t i, len;

	for (i = 0; i < COUNT(lists); i++) {
		len = strlen(lists[i]);
		for (at = id; (at = strstr(at, lists[i])) != NULL; at++) {
			if (!at[len] || at[len] == '.')
				return true;
		}
	}
	return false;
}

const struct listener *
listener_by_id(const struct listeners *l, const char *id)
{
	size_t i;

	for (i = 0; i < l->count; i++) {
		if (!strcmp(l->items[i].id, id))
			return &l->items[i];
	}
	return NULL;
}
