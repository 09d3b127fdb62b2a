#include "settings/listener.h"

#include "base/err.h"
#include "base/pool.h"
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

/* The port behind the last colon, compared as a number ("0025" binds 25); -1 when there is none. */
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

static int
add_bind(struct listener *l, struct pool *pool, const char *bind, struct err *err)
{
	bool macro = strstr(bind, "%{") != NULL;
	long port = bind_port(bind); /* of "%{env:IP}%:25" too: the macro is the address */

	l->binds = *l->binds ? pool_printf(pool, "%s, %s", l->binds, bind) : bind;
	if (!l->binds)
		return err_memory(err);
	l->macro |= macro && port == -1;
	l->on_25 |= port == 25;
	l->elsewhere |= port != -1 && port != 25;
	l->submission_only &= port == 465 || port == 587;
	return 0;
}

/* bind alone, and all below bind. (the server reads both) */
static int
read_binds(struct listener *l, struct pool *pool, const struct settings *s, struct err *err)
{
	const char *key = pool_printf(pool, "%s%s.bind", PREFIX, l->id);
	const char *below = key ? pool_printf(pool, "%s.", key) : NULL;
	const char *bind;
	size_t i;

	if (!below)
		return err_memory(err);
	l->binds = "";
	l->submission_only = true;
	bind = settings_get(s, key);
	if (bind && add_bind(l, pool, bind, err) == -1)
		return -1;
	for (i = settings_first(s, below); settings_below(s, i, below); i++) {
		if (add_bind(l, pool, s->items[i].value, err) == -1)
			return -1;
	}
	if (!*l->binds)
		l->submission_only = false;
	return 0;
}

int
listener_find_all(
    struct listeners *out, struct pool *pool, const struct settings *s, struct err *err)
{
	struct listener *items;
	const char *rest;
	size_t i, len;

	for (i = settings_first(s, PREFIX); (rest = settings_below(s, i, PREFIX)); i++) {
		len = strlen(rest);
		if (len <= strlen(SUFFIX) || strcmp(rest + len - strlen(SUFFIX), SUFFIX) != 0)
			continue;
		items = pool_grow(pool, out->items, out->count, sizeof(*items));
		if (!items)
			return err_memory(err);
		out->items = items;
		memset(&items[out->count], 0, sizeof(*items));
		items[out->count].id = pool_copy(pool, rest, len - strlen(SUFFIX));
		if (!items[out->count].id)
			return err_memory(err);
		items[out->count].protocol_text = s->items[i].value;
		items[out->count].protocol = find_protocol(s->items[i].value);
		if (read_binds(&items[out->count++], pool, s, err) == -1)
			return -1;
	}
	return 0;
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
