/* interrupt.h - the signals that ask to stop, seen as a flag */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include "base/def.h"

#include <signal.h>

struct deadline;

/*
 * The number of the first signal that came (SIGINT, SIGTERM, SIGHUP, SIGQUIT; SIGALRM:
 * interrupt_after), or 0. What deadline.stop and pool.stop point to.
 */
extern volatile sig_atomic_t interrupt_signal;

/* No end but such a signal. */
extern const struct deadline until_interrupted;

/*
 * Catch those signals from now on, each interrupting a wait; a signal that was ignored at the start
 * stays so.
 */
void interrupt_catch(void);

/* SIGALRM in so many seconds; 0: never. What --max-time is up to the first write. */
void interrupt_after(unsigned seconds);

#endif
