#include "cmd/commands.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "cmd/options.h"
#include "cmd/output.h"
#include "cmd/print.h"
#include "cmd/run.h"
#include "settings/changeset.h"

#include <stdio.h>
#include <string.h>

/* Values that only name keys need not be known. */
static const char PLACEHOLDER[] = "?";

static int
build(struct changeset *set, struct pool *pool, const struct options *o, const struct dialect *d,
    int minor, struct err *err)
{
	const char *defaults[LISTENERS_DEFAULT_MAX], *networks[PROXIES_MAX] = { PLACEHOLDER };
	const char *const *ids = o->listener_count ? o->listeners : defaults;
	size_t count = o->listener_count ? o->listener_count
					 : changeset_default_listeners(minor, defaults),
	       i;
	struct wanted w = {
		.groups = o->groups & ~(1u << GROUP_LISTENERS),
		.public_url = o->public_origin[0] ? o->public_origin : PLACEHOLDER,
		.relay_host = o->relay_host ? o->relay_host : PLACEHOLDER,
		.relay_port = o->relay_port,
		.relay_id = o->relay_id,
		.allow = o->new_server,
	};

	for (i = 0; i < o->proxy_count; i++)
		networks[i] = o->proxies[i];
	for (i = 0; i < count && o->groups & 1u << GROUP_LISTENERS; i++) {
		if (changeset_add_listener(set, pool, ids[i], networks,
			o->proxy_count ? o->proxy_count : 1, err) == -1)
			return -1;
	}
	return changeset_add_rest(set, pool, &w, d, err);
}

int
cmd_print(const struct options *o, const char *program)
{
	int minor = o->minor == -1 ? MINOR_LAST : o->minor, status = EXIT_REFUSED;
	struct changeset set = { 0 };
	struct print p = { .options = o, .set = &set, .dialect = changeset_dialect(minor) };
	struct pool pool = { 0 };
	struct buf out = { 0 };
	struct err err;

	if (build(&set, &pool, o, p.dialect, minor, &err) == -1) {
		fprintf(stderr, "%s print: %s\n", program, err.text);
	} else {
		print_format(&out, &p);
		status = run_print(&out) ? EXIT_REFUSED : EXIT_DONE;
	}
	buf_free(&out);
	pool_free(&pool);
	return status;
}
