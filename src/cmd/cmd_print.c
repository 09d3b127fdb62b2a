#include "cmd/cli.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/print.h"
#include "cmd/runbook.h"
#include "cmd/say.h"
#include "settings/changeset.h"
#include "settings/listener.h"

#include <string.h>

/* The value of an option that is missing. Only keys are printed then. */
static const char PLACEHOLDER[] = "?";

/* The keys of the listeners. 0, or -1 for a name that stage refuses as well. */
static int
add_listeners(struct changeset *set, struct pool *pool, const struct request *q, struct err *err)
{
	const char *networks[PROXIES_MAX] = { PLACEHOLDER };
	const char *const *ids = q->listener_count ? q->listeners : changeset_default_listeners;
	size_t count = q->listener_count ? q->listener_count : LISTENERS_DEFAULT, i;

	for (i = 0; i < q->proxy_count; i++)
		networks[i] = q->proxies[i];
	for (i = 0; i < count; i++) {
		if (listener_name_is_ambiguous(ids[i]))
			return err_set(err, ERR_REFUSED,
			    "--listener %s: \"proxy\" or \"bind\" is a part of this name, so the "
			    "listener's keys look like those of another listener. Rename it on the "
			    "server.",
			    ids[i]);
		changeset_add_listener(
		    set, pool, ids[i], networks, q->proxy_count ? q->proxy_count : 1);
	}
	return 0;
}

static int
build(struct changeset *set, struct pool *pool, const struct options *o, const struct dialect *d,
    struct err *err)
{
	struct wanted w = request_wanted(&o->request);

	if (!*w.public_url)
		w.public_url = PLACEHOLDER;
	if (!w.relay_host)
		w.relay_host = PLACEHOLDER;
	if (o->request.groups & 1u << GROUP_LISTENERS &&
	    add_listeners(set, pool, &o->request, err) == -1)
		return -1;
	changeset_add_rest(set, pool, &w, d);
	return pool_check(pool, err);
}

int
cmd_print(const struct options *o)
{
	int minor = o->request.minor == -1 ? MINOR_LAST : o->request.minor, status;
	struct changeset set = { 0 };
	struct print p = { .options = o, .set = &set, .dialect = changeset_dialect(minor) };
	struct pool pool = { 0 };
	struct buf out = { 0 };
	struct err err;
	int failed;

	failed = build(&set, &pool, o, p.dialect, &err);
	if (!failed && (o->format == FORMAT_PROXY || o->format == FORMAT_RUNBOOK))
		failed = runbook_format(&out, o, &err);
	else if (!failed)
		print_format(&out, &p);
	if (failed) {
		say(o->command->name, err.text);
		status = exit_of(&err);
	} else {
		status = say_results(
			     o->command->name, &out, o->format == FORMAT_JSON ? SAY_JSON : SAY_TEXT)
		    ? EXIT_REFUSED
		    : EXIT_DONE;
	}
	buf_free(&out);
	pool_free(&pool);
	return status;
}
