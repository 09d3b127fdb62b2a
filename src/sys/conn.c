#include "sys/conn.h"

#include "base/err.h"
#include "sys/deadline.h"
#include "sys/dial.h"
#include "sys/transport.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_START_MS = 250 };              /* of an address before the next (RFC 8305, 5) */
enum { WHAT_MAX = RESOLVE_TEXT_MAX + 16 }; /* longest "connecting to ADDRESS" */

/* haproxy's proxy-protocol.txt, 2.2 */
const unsigned char conn_local_header[CONN_HEADER_LEN] = {
	/* the signature */
	0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
	0x20,      /* version 2, command LOCAL */
	0x00,      /* family AF_UNSPEC, protocol UNSPEC */
	0x00, 0x00 /* no bytes follow */
};

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

/* The tries of all addresses. */
struct race {
	struct resolved *to;
	struct pollfd fds[RESOLVE_MAX]; /* fd -1: not begun, or failed */
	int numbers[RESOLVE_MAX];       /* errno of those that failed; 0 for the others */
	size_t begun;
	size_t open;  /* how many are waited for */
	int64_t next; /* when the next address is tried */
};

/* A try has failed: the next one need not wait. */
static void
fail(struct race *r, size_t i, int number)
{
	r->numbers[i] = number;
	r->next = 0;
	if (r->fds[i].fd == -1)
		return;
	close(r->fds[i].fd);
	r->fds[i].fd = -1;
	r->open--;
}

/* Try the next address. */
static void
begin(struct race *r, int64_t head_start)
{
	struct pollfd *p = &r->fds[r->begun];

	r->next = deadline_now() + head_start;
	p->fd = dial_begin(&r->to->addr[r->begun++]);
	if (p->fd == -1) {
		fail(r, r->begun - 1, errno);
		return;
	}
	r->open++;
	set_option(p->fd, IPPROTO_TCP, TCP_NODELAY);
	quickack(p->fd);
}

/* Look at those that are ready. The one that is connected, or -1. */
static int
look(struct race *r)
{
	int number;
	size_t i;

	for (i = 0; i < r->begun; i++) {
		if (r->fds[i].fd == -1 || !r->fds[i].revents)
			continue;
		number = dial_result(r->fds[i].fd);
		if (!number)
			return (int)i;
		fail(r, i, number);
	}
	return -1;
}

/* All are begun within the first half of the time. */
static int64_t
head_start(const struct deadline *d, size_t count)
{
	int64_t end = d->step < d->total ? d->step : d->total;
	int64_t part = end == INT64_MAX ? INT64_MAX : (end - deadline_now()) / (2 * (int64_t)count);

	return part < HEAD_START_MS ? part : HEAD_START_MS;
}

/* The number of the address that is connected; or -1, with why unless all have failed. */
static int
run_race(struct race *r, const struct deadline *d, struct err *why)
{
	int64_t pause = head_start(d, r->to->count);
	int won, n;

	err_clear(why);
	for (;;) {
		while (r->begun < r->to->count && (!r->open || deadline_now() >= r->next))
			begin(r, pause);
		if (!r->open)
			return -1;
		n = deadline_poll_any(d, r->fds, r->begun,
		    r->begun < r->to->count ? r->next : INT64_MAX, "no answer", why);
		if (n == -1)
			return -1;
		won = n == 0 ? look(r) : -1;
		if (won != -1)
			return won;
	}
}

/* Each address with its reason; why: what ended the wait for the others. */
static int
explain(const struct race *r, const struct err *why, struct err *err)
{
	char address[RESOLVE_TEXT_MAX];
	size_t i;

	err_set(err, why->kind ? why->kind : ERR_REACH, "%s", "");
	for (i = 0; i < r->to->count && err; i++) {
		resolve_format(&r->to->addr[i], address);
		err_add(err, "%s to %s: %s.", i ? "Connecting" : "connecting", address,
		    r->numbers[i]      ? strerror(r->numbers[i])
			: i < r->begun ? why->text
				       : "not tried");
		err->code = why->kind ? why->code : r->numbers[i];
	}
	return -1;
}

int
conn_open(struct conn *c, struct resolved *to, const struct deadline *deadline, struct err *err)
{
	struct race r = { .to = to };
	union resolve_addr best;
	struct err why;
	size_t i;
	int won;

	c->fd = -1;
	c->deadline = deadline;
	c->peer[0] = '\0';
	for (i = 0; i < to->count; i++)
		r.fds[i] = (struct pollfd){ .fd = -1, .events = POLLOUT };
	won = run_race(&r, deadline, &why);
	for (i = 0; i < r.begun; i++) {
		if (r.fds[i].fd != -1 && (int)i != won)
			close(r.fds[i].fd);
	}
	if (won == -1)
		return explain(&r, &why, err);
	c->fd = r.fds[won].fd;
	best = to->addr[won];
	memmove(&to->addr[1], &to->addr[0], (size_t)won * sizeof(best));
	to->addr[0] = best;
	resolve_format(&best, c->peer);
	return 0;
}

static ssize_t
conn_read(void *ctx, void *data, size_t len, struct err *err)
{
	struct conn *c = ctx;
	char what[WHAT_MAX];
	ssize_t n;

	snprintf(what, sizeof(what), "waiting for %s", c->peer);
	for (;;) {
		/* A peer that never pauses must not outlast the deadline. */
		if (deadline_check(c->deadline, what, err) == -1)
			return -1;
		n = recv(c->fd, data, len, 0);
		if (n >= 0)
			return n;
		if (errno == EAGAIN || errno == EWOULDBLOCK) {
			quickack(c->fd);
			if (deadline_poll(c->deadline, c->fd, POLLIN, what, err) == -1)
				return -1;
		} else if (errno != EINTR) {
			return err_system(err, ERR_REACH, errno, "%s", what);
		}
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
			err_system(err, ERR_REACH, errno, "%s", what);
			if (err && (err->code == EPERM || err->code == EACCES))
				err_add(err, "A firewall of this host does not let it out.");
			return -1;
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
	return conn_write(c, conn_local_header, sizeof(conn_local_header), err);
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
