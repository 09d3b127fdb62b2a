#include "sys/interrupt.h"

#include "sys/deadline.h"

#include <string.h>

volatile sig_atomic_t interrupt_signal;

const struct deadline until_interrupted = {
	.total = INT64_MAX, .step = INT64_MAX, .stop = &interrupt_signal
};

static void
note_signal(int number)
{
	interrupt_signal = number;
}

void
interrupt_catch(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action, old;
	size_t i;

	memset(&action, 0, sizeof(action));
	action.sa_handler = note_signal; /* without SA_RESTART: a poll or read must end */
	sigemptyset(&action.sa_mask);
	/* the reader of the report may be gone; errors still have to be told */
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < COUNT(numbers); i++) {
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	}
}
