#include "settings/listener.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "format/addr.h"
#include "settings/settings.h"
#include "settings/trusted.h"

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

/* The length of a listener's name, if that and its protocol are what follows PREFIX; else 0. */
static size_t
id_length(const char *rest)
{
	size_t len = strlen(rest);

	return len > strlen(SUFFIX) && !strcmp(rest + len - strlen(SUFFIX), SUFFIX)
	    ? len - strlen(SUFFIX)
	    : 0;
}

enum protocol
listener_protocol(const char *text)
{
	size_t i;

	for (i = 0; i < COUNT(protocols); i++) {
		if (!strcasecmp(protocols[i].text, text))
			return protocols[i].protocol;
	}
	return PROTOCOL_UNKNOWN;
}

long
listener_port(const char *bind)
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
is_loopback(const char *bind)
{
	const char *colon = strrchr(bind, ':');
	size_t len = colon ? (size_t)(colon - bind) : 0;
	char text[NET_TEXT_MAX];
	struct net n;

	if (len > 2 && bind[0] == '[' && bind[len - 1] == ']') {
		bind++;
		len -= 2;
	}
	if (len >= sizeof(text))
		return false;
	memcpy(text, bind, len);
	text[len] = '\0';
	return addr_parse(&n, text) && net_is_loopback(&n);
}

static void
add_bind(struct listener *l, struct buf *all, const char *bind)
{
	bool macro = strstr(bind, "%{") != NULL;
	long port = listener_port(bind); /* of "%{env:IP}%:25" too: the macro is the address */

	buf_printf(all, "%s%s", all->len ? ", " : "", bind);
	l->macro |= macro && port == -1;
	l->on_25 |= port == 25;
	l->elsewhere |= port != -1 && port != 25;
	l->submission_only &= port == 465 || port == 587;
	l->loopback_only &= is_loopback(bind);
}

/* The key bind, and all keys below it: the server reads both. */
static void
read_binds(struct listener *l, struct pool *pool, const struct settings *s)
{
	const char *key = pool_printf(pool, "%s%s.bind", PREFIX, l->id);
	const char *below = pool_printf(pool, "%s.", key);
	const char *bind = settings_get(s, key);
	struct buf all = { 0 };
	size_t i;

	l->submission_only = l->loopback_only = true;
	if (bind)
		add_bind(l, &all, bind);
	for (i = settings_first(s, below); settings_below(s, i, below); i++)
		add_bind(l, &all, s->items[i].value);
	l->binds = pool_copy(pool, all.len ? all.data : "", all.len);
	pool->failed |= all.failed;
	buf_free(&all);
	if (!*l->binds)
		l->submission_only = l->loopback_only = false;
}

/* Refuse a list of more than max: the scalar at this key, and all keys below it. */
static int
check_list(const struct settings *s, const char *key, size_t max, const char *what, struct err *err)
{
	size_t n = settings_get(s, key) != NULL, i;
	struct pool pool = { 0 };
	const char *below = pool_printf(&pool, "%s.", key);

	for (i = settings_first(s, below); n <= max && settings_below(s, i, below); i++)
		n++;
	pool_free(&pool);
	return n <= max ? 0
			: err_refuse(err, REFUSAL_TOO_MANY,
			      "There are more than %zu %s at %.200s, and stalprep reads no more. "
			      "Remove what is not needed.",
			      max, what, key);
}

int
listener_check_count(const struct settings *s, struct err *err)
{
	int r = check_list(s, TRUSTED_GLOBAL, TRUSTED_MAX, "networks", err);
	struct pool pool = { 0 };
	const char *rest;
	size_t i, n = 0;

	for (i = settings_first(s, PREFIX); r == 0 && (rest = settings_below(s, i, PREFIX)); i++) {
		size_t len = id_length(rest);

		if (!len)
			continue;
		if (++n > LISTENER_COUNT_MAX)
			r = err_refuse(err, REFUSAL_TOO_MANY,
			    "There are more than %d listeners, and stalprep reads no more. Remove "
			    "those that are not needed.",
			    LISTENER_COUNT_MAX);
		else if ((r = check_list(s,
			      pool_printf(&pool, "%s%.*s.bind", PREFIX, (int)len, rest),
			      LISTENER_BINDS_MAX, "binds", err)) == 0)
			r = check_list(s,
			    pool_printf(
				&pool, "%s%.*s.proxy.trusted-networks", PREFIX, (int)len, rest),
			    TRUSTED_MAX, "networks", err);
	}
	if (r == 0)
		r = pool_check(&pool, err);
	pool_free(&pool);
	return r;
}

void
listener_find_all(struct listeners *out, struct pool *pool, const struct settings *s)
{
	struct listener *l;
	const char *rest;
	size_t i, len;

	for (i = settings_first(s, PREFIX); (rest = settings_below(s, i, PREFIX)); i++) {
		len = id_length(rest);
		if (!len)
			continue;
		l = pool_add(pool, out->items, out->count);
		l->id = pool_copy(pool, rest, len);
		l->protocol_text = s->items[i].value;
		l->protocol = listener_protocol(s->items[i].value);
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
