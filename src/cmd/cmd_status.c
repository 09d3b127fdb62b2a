#include "cmd/cli.h"

#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/run.h"
#include "plan/plan_status.h"
#include "target/target.h"

#include <string.h>

/* 0: all is staged. 7: nothing is. 6: anything else. */
static int
exit_of_target(const struct target *t, unsigned groups)
{
	size_t g, staged = 0, none = 0, other = 0;
	struct group_count c;

	for (g = 0; g < GROUP_COUNT; g++) {
		c = plan_count(&t->plan, (enum group)g);
		switch (plan_group_state(&c)) {
		case GROUP_STAGED:
			staged++;
			break;
		case GROUP_PARTLY:
			other++;
			break;
		case GROUP_NOT_STAGED:
			none++;
			break;
		default:
			none += (GROUPS_DEFAULT & groups & 1u << g) != 0;
		}
	}
	if (other || (staged && (none || t->plan.unready)))
		return EXIT_PARTLY;
	return staged ? EXIT_DONE : EXIT_NOT_STAGED;
}

int
cmd_status(const struct options *o)
{
	struct run r;
	size_t i;
	int status;

	memset(&r, 0, sizeof(r));
	if (run_begin(&r, o, false) == -1 || run_read(&r) == -1 || run_plan(&r, plan_status) == -1)
		return run_end(&r);
	for (i = 0; i < r.count; i++) {
		const struct target *t = &r.targets[i];

		status = exit_of_target(t, o->request.groups);
		if (status == EXIT_DONE && !t->is_file && !t->boot.name[0] &&
		    t->found.state == PART_SENDING) {
			status = EXIT_PARTLY;
			message_add(&r.messages, &r.pool, MESSAGE_WARNING,
			    "%s: the last write was not proved. The settings show all keys, but "
			    "config.toml may lack some. Run stage again to finish it.",
			    t->origin);
		}
		r.exit = i == 0 || r.exit == status ? status : EXIT_PARTLY;
	}
	return run_end(&r);
}
