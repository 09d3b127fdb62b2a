#include "plan/guard.h"

#include "base/err.h"
#include "base/pool.h"
#include "plan/plan.h"
#include "settings/request.h"
#include "settings/settings.h"
#include "settings/trusted.h"

/* Is any key of the list left after the plan? */
static bool
keeps_list(const struct plan *p, const struct settings *now, const char *list)
{
	size_t i, j;

	for (i = settings_first(now, list); settings_below(now, i, list); i++) {
		for (j = 0; j < p->key_count; j++) {
			if (p->keys[j].write && !p->keys[j].wanted &&
			    !strcmp(p->keys[j].key, now->items[i].key))
				break;
		}
		if (j == p->key_count)
			return true;
	}
	return false;
}

static int
check_listener(const struct plan *p, const struct settings *now, const struct request *q,
    const struct listener *l, struct pool *pool, struct err *err)
{
	const char *prefix = changeset_listener_key(pool, l->id, "");
	const char *list = changeset_listener_key(pool, l->id, "trusted-networks");
	struct trusted global = { 0 };
	bool removes = false;
	struct net from;
	size_t i;

	for (i = 0; i < p->key_count; i++) {
		const struct plan_key *k = &p->keys[i];

		if (!k->write || strncmp(k->key, prefix, strlen(prefix)) != 0)
			continue;
		if (k->wanted)
			return err_refuse(err, REFUSAL_PORT_25,
			    "The write of %.120s would put listener \"%s\" (%s) behind the proxy. "
			    "The new server's relay to it would stall.",
			    k->key, l->id, l->binds);
		removes = true;
	}
	if (!removes || !q->new_server[0] || keeps_list(p, now, list))
		return 0;
	trusted_read(&global, pool, now, TRUSTED_GLOBAL);
	if (!addr_parse(&from, q->new_server) || !trusted_covering(&global, &from))
		return 0;
	return err_refuse(err, REFUSAL_PORT_25,
	    "Without a list of its own, listener \"%s\" (%s) would take the global one, which "
	    "covers the new server's address %s: the relay to it would stall.",
	    l->id, l->binds, q->new_server);
}

int
guard_port_25(
    const struct plan *p, const struct settings *now, const struct request *q, struct err *err)
{
	struct listeners all = { 0 };
	struct pool pool = { 0 };
	int r = 0;
	size_t i;

	listener_find_all(&all, &pool, now);
	for (i = 0; i < all.count && r == 0; i++) {
		const struct listener *l = &all.items[i];

		if (l->on_25 || (q->relay_listener && !strcmp(q->relay_listener, l->id)))
			r = check_listener(p, now, q, l, &pool, err);
	}
	if (r == 0)
		r = pool_check(&pool, err);
	pool_free(&pool);
	return r;
}
