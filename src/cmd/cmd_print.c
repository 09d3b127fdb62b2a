#include "cmd/cli.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/print.h"
#include "cmd/say.h"
#include "settings/changeset.h"

#include <string.h>

/* The value of an option that is missing. Only keys are printed then. */
static const char PLACEHOLDER[] = "?";

static int
build(struct changeset *set, struct pool *pool, const struct options *o, const struct dialect *d,
    int minor, struct err *err)
{
	const char *defaults[LISTENERS_DEFAULT_MAX], *networks[PROXIES_MAX] = { PLACEHOLDER };
	const char *const *ids = o->request.listener_count ? o->request.listeners : defaults;
	size_t count = o->request.listener_count ? o->request.listener_count
						 : changeset_default_listeners(minor, defaults),
	       i;
	struct wanted w = request_wanted(&o->request);

	if (!*w.public_url)
		w.public_url = PLACEHOLDER;
	if (!w.relay_host)
		w.relay_host = PLACEHOLDER;
	for (i = 0; i < o->request.proxy_count; i++)
		networks[i] = o->request.proxies[i];
	for (i = 0; i < count && o->request.groups & 1u << GROUP_LISTENERS; i++)
		changeset_add_listener(set, pool, ids[i], networks,
		    o->request.proxy_count ? o->request.proxy_count : 1);
	changeset_add_rest(set, pool, &w, d);
	return pool_check(pool, err);
}

int
cmd_print(const struct options *o)
{
	int minor = o->request.minor == -1 ? MINOR_LAST : o->request.minor, status = EXIT_REFUSED;
	struct changeset set = { 0 };
	struct print p = { .options = o, .set = &set, .dialect = changeset_dialect(minor) };
	struct pool pool = { 0 };
	struct buf out = { 0 };
	struct err err;

	if (build(&set, &pool, o, p.dialect, minor, &err) == -1) {
		say(o->command->name, err.text);
	} else {
		print_format(&out, &p);
		status = say_results(o->command->name, &out) ? EXIT_REFUSED : EXIT_DONE;
	}
	buf_free(&out);
	pool_free(&pool);
	return status;
}
