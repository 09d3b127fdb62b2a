#include "sys/interrupt.h"

#include "sys/deadline.h"

#include <string.h>
#include <unistd.h>

volatile sig_atomic_t interrupt_signal;

const struct deadline until_interrupted = {
	.total = INT64_MAX, .step = INT64_MAX, .stop = &interrupt_signal
};

static void
note_signal(int number)
{
	if (!interrupt_signal)
		interrupt_signal = number;
}

/* Without SA_RESTART: a poll or read must end. */
static void
note(int number)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = note_signal;
	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

void
interrupt_catch(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction old;
	size_t i;

	for (i = 0; i < COUNT(numbers); i++) {
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			note(numbers[i]);
	}
}

void
interrupt_after(unsigned seconds)
{
	note(SIGALRM);
	alarm(seconds);
}
