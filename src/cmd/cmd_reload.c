#include "cmd/cli.h"

#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/reload.h"
#include "cmd/run.h"
#include "target/target.h"
#include "target/target_snapshot.h"

#include <string.h>

/* Does a key stand as it was staged that a reload applies? */
static bool
is_staged(const struct target *t)
{
	const struct part *p = target_found_part(t);
	size_t i;

	for (i = 0; p && i < p->count; i++) {
		const struct part_key *k = &p->keys[i];

		if (k->group != GROUP_LISTENERS && k->written &&
		    settings_same(settings_get(&t->facts.settings, k->key), k->written))
			return true;
	}
	return false;
}

static void
reload_one(struct run *r, struct target *t)
{
	struct api_reloaded answer;
	struct err err;

	if (reload_ask(r, t, r->options->dry_run, &answer, &err) == -1) {
		run_fail(r, t, &err);
		return;
	}
	reload_report(r, t, &answer);
	if (answer.error_count) {
		message_add(&r->messages, &r->pool, MESSAGE_ERROR,
		    "%s nothing: one error anywhere in the settings blocks a whole reload. "
		    "Fix it, then run this again.",
		    r->options->dry_run ? "A reload would apply" : "The server applied");
		r->exit = EXIT_REFUSED;
		return;
	}
	if (is_staged(t))
		reload_say(r, t, MESSAGE_WARNING,
		    "A reload applies what is staged, but for the listeners. Before the cutover "
		    "that is too early.");
	reload_say(r, t, MESSAGE_RESULT,
	    r->options->dry_run
		? "A reload would work: the server reports no error. (Even this dry run made it "
		  "load its certificates and its blocked addresses again.)"
		: "Reloaded without an error. Listeners change only with a restart.");
}

int
cmd_reload(const struct options *o)
{
	static struct run r;
	size_t i;

	if (run_begin(&r, o, false) == 0 && run_read(&r) == 0) {
		for (i = 0; i < r.count && !run_stopped(&r); i++)
			reload_one(&r, &r.targets[i]);
	}
	return run_end(&r);
}
