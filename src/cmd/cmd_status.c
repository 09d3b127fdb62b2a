#include "cmd/cli.h"

#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/run.h"
#include "plan/plan_status.h"
#include "target/target.h"

#include <string.h>

/* 0: ready. 7: nothing is staged. 6: anything else. */
static int
exit_of_target(const struct plan *p, unsigned groups)
{
	if (!plan_any_staged(p))
		return EXIT_NOT_STAGED;
	return plan_missing(p, groups) || p->unready ? EXIT_PARTLY : EXIT_DONE;
}

int
cmd_status(const struct options *o)
{
	static struct run r;
	size_t i;
	int status;

	if (run_begin(&r, o, false) == -1 || run_read(&r) == -1 || run_plan(&r, plan_status) == -1)
		return run_end(&r);
	for (i = 0; i < r.count; i++) {
		status = exit_of_target(&r.targets[i].plan, o->request.groups);
		r.exit = i == 0 || r.exit == status ? status : EXIT_PARTLY;
	}
	return run_end(&r);
}
