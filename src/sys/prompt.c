#include "sys/prompt.h"

#include "base/err.h"
#include "sys/deadline.h"
#include "sys/interrupt.h"
#include "sys/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Read up to a line feed. The terminal is in line mode, so its own editing keys work. */
static int
read_line(struct secret *s, int fd, struct err *err)
{
	ssize_t n;
	char c;

	for (;;) {
		/* A read would not notice a signal that came just before it. */
		n = deadline_poll(
			&until_interrupted, fd, POLLIN, "waiting for the terminal", err) == 0
		    ? read(fd, &c, 1)
		    : -1;
		if (interrupt_signal) {
			err_set(err, ERR_INTERRUPT, "Stopped at the prompt.");
			err->code = interrupt_signal;
			return -1;
		}
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_system(err, ERR_SYSTEM, errno, "the terminal can't be read");
		if (n == 0 || c == '\n')
			break;
		if (secret_add(s, &c, 1, err) == -1)
			return -1;
	}
	return s->len ? 0 : err_set(err, ERR_USAGE, "Nothing was typed.");
}

static void
say(int fd, const char *text)
{
	ssize_t n = write(fd, text, strlen(text));

	/* if it can't be written to, the read will fail */
	(void)n;
}

/* Where a question is asked and answered. */
struct terminal {
	int fd; /* /dev/tty; -1: standard input and standard error in its place */
	int in, out;
	struct termios mode;
};

static void
close_terminal(struct terminal *t)
{
	if (t->fd != -1)
		close(t->fd);
}

static int
open_terminal(struct terminal *t, const char *hint, struct err *err)
{
	t->fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	t->in = t->out = t->fd;
	if (t->fd == -1 && isatty(STDIN_FILENO)) {
		t->in = STDIN_FILENO;
		t->out = STDERR_FILENO;
	}
	if (t->in != -1 && tcgetattr(t->in, &t->mode) == 0)
		return 0;
	close_terminal(t);
	return err_set(err, ERR_USAGE, "There is no terminal to ask on: use %s.", hint);
}

int
prompt_check(const char *hint, struct err *err)
{
	struct terminal t;

	if (open_terminal(&t, hint, err) == -1)
		return -1;
	close_terminal(&t);
	return 0;
}

int
prompt_secret(struct secret *s, const char *question, const char *hint, struct err *err)
{
	struct termios quiet;
	struct terminal t;
	int r;

	secret_wipe(s);
	if (open_terminal(&t, hint, err) == -1)
		return -1;
	quiet = t.mode;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	quiet.c_lflag |= ICANON | ISIG;
	/* before the question: an early answer must not be shown, or lost */
	tcsetattr(t.in, TCSAFLUSH, &quiet);
	say(t.out, question);
	r = read_line(s, t.in, err);
	tcsetattr(t.in, TCSAFLUSH, &t.mode);
	say(t.out, "\n");
	close_terminal(&t);
	if (r == -1)
		secret_wipe(s);
	return r;
}
