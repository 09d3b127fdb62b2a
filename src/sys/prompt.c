#include "sys/prompt.h"

#include "base/buf.h"
#include "base/err.h"
#include "sys/deadline.h"
#include "sys/interrupt.h"
#include "sys/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Where a question is asked and answered. */
struct terminal {
	int fd; /* /dev/tty; -1: standard input and standard error in its place */
	int in, out;
	struct termios mode, quiet;
	const char *question;
};

/* For the signal handlers. */
static struct terminal asking;

/* Only what a signal handler may do. */
static void
say(const char *text)
{
	ssize_t n = write(asking.out, text, strlen(text));

	/* if it can't be written to, the read will fail */
	(void)n;
}

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
		if (n == -1 && interrupt_signal == SIGALRM)
			return -1;
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
close_terminal(void)
{
	if (asking.fd != -1)
		close(asking.fd);
}

static int
open_terminal(const char *hint, struct err *err)
{
	struct terminal *t = &asking;

	t->fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	t->in = t->out = t->fd;
	if (t->fd == -1 && isatty(STDIN_FILENO)) {
		t->in = STDIN_FILENO;
		t->out = STDERR_FILENO;
	}
	if (t->in != -1 && tcgetattr(t->in, &t->mode) == 0)
		return 0;
	close_terminal();
	return err_set(err, ERR_USAGE, "There is no terminal to ask on: use %s.", hint);
}

int
prompt_check(const char *hint, struct err *err)
{
	if (open_terminal(hint, err) == -1)
		return -1;
	close_terminal();
	return 0;
}

/* Before the question: an early answer must not be shown, or lost. */
static void
ask(void)
{
	tcsetattr(asking.in, TCSAFLUSH, &asking.quiet);
	say(asking.question);
}

/* Neither of the two handlers runs within the other. Returns what the signal did before. */
static struct sigaction
on_signal(int number, void (*handler)(int))
{
	struct sigaction action, old;

	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	action.sa_flags = SA_RESTART;
	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGTSTP);
	sigaddset(&action.sa_mask, SIGCONT);
	sigaction(number, &action, &old);
	return old;
}

/* The shell shall have its echo while we are stopped (Ctrl-Z). */
static void
on_stop(int number)
{
	sigset_t set;

	tcsetattr(asking.in, TCSAFLUSH, &asking.mode);
	(void)on_signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &set, NULL); /* here it stops */
	sigprocmask(SIG_BLOCK, &set, NULL);
	(void)on_signal(number, on_stop);
	/* SIGCONT waits up to here, and asks again. Without a shell we were not stopped. */
	tcsetattr(asking.in, TCSANOW, &asking.quiet);
}

/* A shell may have turned the echo on, whatever stopped us. */
static void
on_continue(int number)
{
	(void)number;
	say("\n");
	ask();
}

int
prompt_secret(struct secret *s, const char *question, const char *hint, struct err *err)
{
	struct sigaction stop, cont;
	struct buf shown = { 0 };
	unsigned left;
	int r;

	secret_wipe(s);
	if (open_terminal(hint, err) == -1)
		return -1;
	buf_clean(&shown, question, strlen(question), (size_t)-1);
	asking.question = shown.failed ? "" : shown.data;
	asking.quiet = asking.mode;
	asking.quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	asking.quiet.c_lflag |= ICANON | ISIG;
	left = alarm(0); /* --max-time does not count who is thinking */
	stop = on_signal(SIGTSTP, on_stop);
	cont = on_signal(SIGCONT, on_continue);
	ask();
	r = read_line(s, asking.in, err);
	asking.quiet.c_lflag = asking.mode.c_lflag; /* nor does a handler take the echo now */
	tcsetattr(asking.in, TCSAFLUSH, &asking.mode);
	sigaction(SIGTSTP, &stop, NULL);
	sigaction(SIGCONT, &cont, NULL);
	say("\n");
	close_terminal();
	buf_free(&shown);
	alarm(left);
	if (r == -1)
		secret_wipe(s);
	return r;
}

bool
prompt_is_watched(void)
{
	return isatty(STDOUT_FILENO) == 1;
}
