#include "sys/deadline.h"

#include "base/err.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>

/*
 * A signal that comes after `stop` was read and before poll begins does not wake poll. It is seen
 * at the end of a slice; no caller has to keep a signal mask.
 */
enum { SLICE_MS = 250 };

int64_t
deadline_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * The option whose time is over, or NULL; then *left is the time that is left, INT64_MAX for no
 * end.
 */
static const char *
passed(const struct deadline *d, int64_t *left)
{
	int64_t end = d->total < d->step ? d->total : d->step;
	int64_t now;

	*left = INT64_MAX;
	if (end == INT64_MAX)
		return NULL;
	now = deadline_now();
	if (now >= end)
		return d->total <= d->step ? "--max-time" : "--connect-timeout";
	*left = end - now;
	return NULL;
}

static int
interrupted(int signal, const char *what, struct err *err)
{
	err_set(err, ERR_INTERRUPT, "%s: stopped by signal %d", what, signal);
	if (err)
		err->code = signal;
	return -1;
}

int
deadline_check(const struct deadline *d, const char *what, struct err *err)
{
	const char *option;
	int64_t left;

	if (d->stop && *d->stop && *d->stop != SIGALRM)
		return interrupted((int)*d->stop, what, err);
	option = d->stop && *d->stop ? "--max-time" : passed(d, &left);
	if (!option)
		return 0;
	err_set(err, ERR_REACH, "%s: the time that %s allows is over", what, option);
	if (err)
		err->code = ETIMEDOUT;
	return -1;
}

int
deadline_poll_any(const struct deadline *d, struct pollfd *fds, size_t count, int64_t end,
    const char *what, struct err *err)
{
	int64_t left, now;
	int n;

	for (;;) {
		if (deadline_check(d, what, err) == -1)
			return -1;
		if (passed(d, &left))
			continue;
		if (end != INT64_MAX) {
			now = deadline_now();
			left = end - now < left ? end - now : left;
			if (now >= end)
				return 1;
		}
		n = poll(fds, count,
		    d->stop && left > SLICE_MS ? SLICE_MS
			: left > INT_MAX       ? -1
					       : (int)left);
		if (n > 0)
			return 0;
		if (n == -1 && errno != EINTR && errno != EAGAIN)
			return err_system(err, ERR_SYSTEM, errno, "%s", what);
	}
}

int
deadline_poll(const struct deadline *d, int fd, short events, const char *what, struct err *err)
{
	struct pollfd p = { .fd = fd, .events = events };

	return deadline_poll_any(d, &p, 1, INT64_MAX, what, err);
}
