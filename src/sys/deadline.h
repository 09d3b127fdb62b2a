/* deadline.h - when an operation has to end, and whether somebody asked to stop */
#ifndef DEADLINE_H
#define DEADLINE_H

#include "base/def.h"

#include <signal.h>
#include <stdint.h>

struct err;
struct pollfd;

/*
 * Times are milliseconds of CLOCK_MONOTONIC. The end of the whole run and that of the present step
 * (connecting) both count. stop points to the flag that a signal handler sets to the signal's
 * number; NULL where a signal must wait, as between a write and its proof.
 */
struct deadline {
	int64_t total; /* INT64_MAX for none */
	int64_t step;  /* INT64_MAX for none */
	const volatile sig_atomic_t *stop;
};

/* Now, in the same milliseconds. */
int64_t deadline_now(void);

/*
 * For work that does not wait: has one of the ends come, or somebody asked to stop? 0, or -1 with
 * err as for deadline_poll.
 */
int deadline_check(const struct deadline *d, const char *what, struct err *err) WARN_UNUSED;

/*
 * Wait until fd is ready for `events` (poll's) or one of the ends has come. 0 when ready; -1 with
 * err of kind ERR_REACH (what: "connecting to …", "waiting for …") or ERR_INTERRUPT.
 */
int deadline_poll(
    const struct deadline *d, int fd, short events, const char *what, struct err *err) WARN_UNUSED;

/*
 * The same for several descriptors (poll's), but at most until `end`: 1 when that has come before.
 * A negative descriptor is left out.
 */
int deadline_poll_any(const struct deadline *d, struct pollfd *fds, size_t count, int64_t end,
    const char *what, struct err *err) WARN_UNUSED;

#endif
