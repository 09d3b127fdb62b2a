#include "plan/plan_uses.h"

#include "base/def.h"
#include "base/pool.h"
#include "base/sorted.h"
#include "format/addr.h"
#include "settings/settings.h"

#include <string.h>

/* These and what is below them. */
static const char *const tables[] = {
	"acme",
	"auth",
	"cluster",
	"config",
	"http",
	"queue",
	"remote",
	"server.allowed-ip",
	"server.http",
	"server.listener",
	"server.proxy",
	"session",
};

static bool
matters(const struct plan_uses *p, const char *ban)
{
	struct net banned, from;

	return (p->old && strchr(ban, ':')) ||
	    (addr_parse(&from, p->new_server) && net_parse_server(&banned, ban) &&
		net_covers(&banned, &from));
}

enum toml_use
plan_uses(const void *ctx, const char *key)
{
	static const char bans[] = "server.blocked-ip.", shared[] = "server.";
	size_t i, n;

	for (i = 0; i < COUNT(tables); i++) {
		for (n = 0; key[n] && key[n] == tables[i][n]; n++)
			;
		/* the table itself, below it or above it */
		if ((!tables[i][n] && (!key[n] || key[n] == '.')) ||
		    (!key[n] && tables[i][n] == '.'))
			return TOML_KEEP;
	}
	if (strncmp(key, shared, strlen(shared)) != 0)
		return TOML_DROP;
	return !strncmp(key, bans, strlen(bans)) && matters(ctx, key + strlen(bans)) ? TOML_KEEP
										     : TOML_PLACE;
}

void
plan_see(struct plan_seen *s, const char *key, const char *value, size_t len, bool kept)
{
	const struct setting *every = s->every->items;
	size_t i = sorted_index(every, s->every->count, sizeof(*every), key);
	const char **only;

	if (i != SORTED_NONE) {
		s->has[i] = !strncmp(every[i].value, value, len) && !every[i].value[len]
		    ? SEEN_SAME
		    : SEEN_OTHER;
	} else if (kept || s->only_count < SEEN_ONLY_MAX) {
		only = pool_add(s->pool, s->only, s->only_count);
		*only = pool_str(s->pool, key);
	} else {
		s->more++;
	}
}
