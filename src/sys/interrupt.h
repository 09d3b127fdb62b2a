/* interrupt.h - the signals that ask to stop, seen as a flag */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include "base/def.h"

#include <signal.h>

struct deadline;

/*
 * The number of the first signal that came (SIGINT, SIGTERM, SIGHUP; SIGALRM: interrupt_after), or
 * 0. What deadline.stop and pool.stop point to.
 */
extern volatile sig_atomic_t interrupt_signal;

/* No end but such a signal. */
extern const struct deadline until_interrupted;

/*
 * Catch those signals from now on, each interrupting a wait; a signal that was ignored at the start
 * stays so. A write to a closed pipe, or beyond the limit of a file's size, becomes an error.
 */
void interrupt_catch(void);

/* SIGALRM in so many seconds; 0: never. For work on a file, which waits at no deadline. */
void interrupt_after(unsigned seconds);

#endif
