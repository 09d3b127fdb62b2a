#include "sys/conn.h"

#include "base/err.h"
#include "sys/deadline.h"
#include "sys/transport.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRY_MIN_MS = 2000 };                /* an address gets at least this, if the step has it */
enum { WHAT_MAX = RESOLVE_TEXT_MAX + 16 }; /* longest "connecting to ADDRESS" */

static socklen_t
addr_len(const union resolve_addr *a)
{
	return a->sa.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
}

static void
set_option(int fd, int level, int option)
{
	int on = 1;

	/* Only speed depends on these options: a kernel may lack one. */
	(void)setsockopt(fd, level, option, &on, sizeof(on));
}

/*
 * Linux forgets TCP_QUICKACK after a while; without it a reply can wait 40 ms for an
 * acknowledgement.
 */
static void
quickack(int fd)
{
#ifdef TCP_QUICKACK
	set_option(fd, IPPROTO_TCP, TCP_QUICKACK);
#else
	(void)fd;
#endif
}

/* Wait for a connect that was begun, and get its result. */
static int
await_connect(int fd, const struct deadline *d, const char *what, struct err *err)
{
	socklen_t len = sizeof(int);
	int number = 0;

	if (deadline_poll(d, fd, POLLOUT, what, err) == -1)
		return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len) == -1)
		number = errno;
	return number ? err_system(err, ERR_REACH, number, "%s", what) : 0;
}

/* One address: a socket that is connected, or -1 with err. */
static int
connect_one(
    const union resolve_addr *a, const struct deadline *d, const char *what, struct err *err)
{
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	int r;

	if (fd == -1)
		return err_system(err, ERR_REACH, errno, "%s", what);
	set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	quickack(fd);
	r = connect(fd, &a->sa, addr_len(a));
	if (r == -1 && (errno == EINPROGRESS || errno == EINTR))
		r = await_connect(fd, d, what, err);
	else if (r == -1)
		err_system(err, ERR_REACH, errno, "%s", what);
	if (r == 0)
		return fd;
	close(fd);
	return -1;
}

/*
 * The time for this address: an equal share of what is left, so that a dead one leaves some for the
 * next.
 */
static struct deadline
share(const struct deadline *d, size_t addresses)
{
	struct deadline part = *d;
	int64_t end = d->step < d->total ? d->step : d->total;
	int64_t now, slice;

	if (end == INT64_MAX || addresses < 2)
		return part;
	now = deadline_now();
	slice = (end - now) / (int64_t)addresses;
	if (slice < TRY_MIN_MS)
		slice = TRY_MIN_MS;
	if (now + slice < part.step)
		part.step = now + slice;
	return part;
}

/* May another address be tried after this failure? */
static bool
try_next(const struct deadline *d, const struct err *err)
{
	int64_t end = d->step < d->total ? d->step : d->total;

	return err->kind == ERR_REACH && (end == INT64_MAX || deadline_now() < end);
}

int
conn_open(
    struct conn *c, const struct resolved *to, const struct deadline *deadline, struct err *err)
{
	char what[WHAT_MAX];
	struct err one, all;
	size_t i;

	c->fd = -1;
	c->deadline = deadline;
	c->peer[0] = '\0';
	err_set(&all, ERR_REACH, "%s", "");
	for (i = 0; i < to->count; i++) {
		struct deadline part = share(deadline, to->count - i);

		resolve_format(&to->addr[i], c->peer);
		snprintf(what, sizeof(what), "connecting to %s", c->peer);
		c->fd = connect_one(&to->addr[i], &part, what, &one);
		if (c->fd != -1)
			return 0;
		if (one.code == ETIMEDOUT && try_next(deadline, &one))
			err_set(&one, ERR_REACH, "%s: no answer", what);
		err_add(&all, "%s.", one.text);
		all.code = one.code;
		all.kind = one.kind;
		if (!try_next(deadline, &one))
			break;
	}
	if (err)
		*err = all;
	return -1;
}

static ssize_t
conn_read(void *ctx, void *data, size_t len, struct err *err)
{
	struct conn *c = ctx;
	char what[WHAT_MAX];
	ssize_t n;

	snprintf(what, sizeof(what), "waiting for %s", c->peer);
	/* Wait first: a peer that never pauses must not outlast the deadline. */
	for (;;) {
		if (deadline_poll(c->deadline, c->fd, POLLIN, what, err) == -1)
			return -1;
		n = recv(c->fd, data, len, 0);
		if (n >= 0) {
			quickack(c->fd);
			return n;
		}
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			return err_system(err, ERR_REACH, errno, "%s", what);
	}
}

static int
conn_write(void *ctx, const void *data, size_t len, struct err *err)
{
	struct conn *c = ctx;
	const char *p = data;
	char what[WHAT_MAX];
	ssize_t n;

	snprintf(what, sizeof(what), "sending to %s", c->peer);
	while (len) {
		n = send(c->fd, p, len, MSG_NOSIGNAL);
		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			if (deadline_poll(c->deadline, c->fd, POLLOUT, what, err) == -1)
				return -1;
		} else if (errno != EINTR) {
			return err_system(err, ERR_REACH, errno, "%s", what);
		}
	}
	return 0;
}

struct transport
conn_transport(struct conn *c)
{
	return (struct transport){ .ctx = c, .read = conn_read, .write = conn_write };
}

bool
conn_is_quiet(const struct conn *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	return poll(&p, 1, 0) <= 0;
}

int
conn_send_local_header(struct conn *c, struct err *err)
{
	/* haproxy's proxy-protocol.txt, 2.2 */
	static const unsigned char header[] = {
		/* the signature */
		0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
		0x20,      /* version 2, command LOCAL */
		0x00,      /* family AF_UNSPEC, protocol UNSPEC */
		0x00, 0x00 /* no bytes follow */
	};

	return conn_write(c, header, sizeof(header), err);
}

void
conn_local(const struct conn *c, char out[RESOLVE_TEXT_MAX])
{
	union resolve_addr a;
	socklen_t len = sizeof(a);

	out[0] = '\0';
	if (getsockname(c->fd, &a.sa, &len) == 0)
		resolve_format(&a, out);
}

void
conn_close(struct conn *c)
{
	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
}
