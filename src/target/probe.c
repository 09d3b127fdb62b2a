#include "target/probe.h"

#include "base/err.h"
#include "sys/conn.h"
#include "sys/deadline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(PROBE_REQUEST_MAX >= CONN_HEADER_LEN + HELLO_MAX, "a ClientHello fits");
_Static_assert(PROBE_REQUEST_MAX >= CONN_HEADER_LEN + HOST_MAX + 128, "a GET fits");

static int64_t
end_of(int64_t now, unsigned seconds)
{
	return seconds ? now + (int64_t)seconds * 1000 : INT64_MAX;
}

int
probe_begin(struct probe *p, const struct probe_port *ports, size_t count,
    const struct resolved *to, struct err *err)
{
	size_t i, j;

	if (count * to->count > PROBE_TRIES_MAX)
		return err_set(err, ERR_USAGE,
		    "%zu ports at %zu addresses are more than %d at once. Name some of them: "
		    "--port",
		    count, to->count, PROBE_TRIES_MAX);
	p->tries = calloc(count * to->count, sizeof(*p->tries));
	if (!p->tries)
		return err_memory(err);
	for (i = 0; i < to->count; i++) {
		for (j = 0; j < count; j++) {
			struct probe_try *t = &p->tries[p->count++];

			t->port = &ports[j];
			t->to = to->addr[i];
			if (t->to.sa.sa_family == AF_INET)
				t->to.in.sin_port = htons((uint16_t)ports[j].port);
			else
				t->to.in6.sin6_port = htons((uint16_t)ports[j].port);
			t->a.fd = t->b.fd = -1;
		}
	}
	return 0;
}

static void
drop(struct probe_conn *c)
{
	if (c->fd != -1)
		dial_close(c->fd);
	c->fd = -1;
}

static void
queue(struct probe_conn *c, const void *data, size_t len)
{
	memcpy(c->out + c->out_len, data, len);
	c->out_len += len;
}

/* What this side says first. */
static void
queue_request(const struct probe *p, const struct probe_try *t, struct probe_conn *c)
{
	bool colon = strchr(p->host, ':') != NULL;
	unsigned char hello[HELLO_MAX] = { 0 };
	char get[HOST_MAX + 128];

	if (c == &t->b)
		queue(c, conn_local_header, CONN_HEADER_LEN);
	if (t->port->speaks.tls) {
		queue(c, hello, hello_write(hello, p->host));
	} else if (t->port->speaks.protocol == PROTOCOL_HTTP) {
		snprintf(get, sizeof(get),
		    "GET / HTTP/1.1\r\nHost: %s%.*s%s\r\nUser-Agent: stalprep\r\nConnection: "
		    "close\r\n\r\n",
		    colon ? "[" : "", (int)strcspn(p->host, "%"), p->host, colon ? "]" : "");
		queue(c, get, strlen(get));
	}
}

/* A connect that failed. */
static void
fail(struct probe_try *t, struct probe_conn *c, int number)
{
	drop(c);
	c->side.state = number == ECONNREFUSED ? SIDE_CLOSED : SIDE_UNANSWERED;
	t->number = number;
}

static void
begin(const struct probe *p, struct probe_try *t, struct probe_conn *c, int64_t now)
{
	c->fd = dial_begin(&t->to);
	c->side.state = SIDE_CONNECTING;
	c->end = end_of(now, p->connect_timeout);
	if (c->fd == -1)
		fail(t, c, errno);
	else
		queue_request(p, t, c);
}

/* The connect has a result. */
static void
connected(const struct probe *p, struct probe_try *t, struct probe_conn *c, int64_t now)
{
	int number = dial_result(c->fd);

	if (number && number != ECONNRESET) { /* a reset comes after the connection was there */
		fail(t, c, number);
		return;
	}
	dial_own(c->fd, t->own);
	c->side.state = SIDE_OPEN;
	c->end = end_of(now, p->silence);
}

/* One read: a peer that never pauses must not keep the others waiting. */
static void
take(struct probe_conn *c)
{
	struct side *s = &c->side;
	ssize_t n = dial_read(c->fd, s->data + s->len, SIDE_MAX - s->len);

	if (n > 0)
		s->len += (size_t)n;
	if (n == 0 || s->len == SIDE_MAX) {
		s->state = SIDE_ENDED;
		drop(c);
	}
}

static void
give(struct probe_conn *c)
{
	ssize_t n = dial_send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent);

	if (n > 0)
		c->out_sent += (size_t)n;
	else if (n == -1)
		c->out_len = c->out_sent; /* what the peer said last may still be read */
}

static void
serve(const struct probe *p, struct probe_try *t, struct probe_conn *c, short events, int64_t now)
{
	if (c->fd == -1 || !events)
		return;
	if (c->side.state == SIDE_CONNECTING)
		connected(p, t, c, now);
	if (c->fd != -1 && c->out_sent < c->out_len)
		give(c);
	if (c->fd != -1 && events & (POLLIN | POLLHUP | POLLERR))
		take(c);
}

static void
check_time(struct probe_try *t, struct probe_conn *c, int64_t now)
{
	if (now < c->end && !t->cut)
		return;
	if (c->side.state == SIDE_CONNECTING)
		fail(t, c, ETIMEDOUT);
	else if (c->side.state == SIDE_OPEN)
		c->side.state = SIDE_OVER;
}

static void
finish(const struct probe *p, struct probe_try *t)
{
	t->done = true;
	drop(&t->a);
	drop(&t->b);
	if (p->done)
		p->done(p->ctx, t);
}

/* Do what the rules say. over: the time for all is over, so nothing new is begun. */
static void
advance(const struct probe *p, struct probe_try *t, int64_t now, bool over)
{
	const char *command = verdict_command(&t->port->speaks);
	enum step step;

	t->cut = over;
	check_time(t, &t->a, now);
	check_time(t, &t->b, now);
	while ((step = verdict_step(&t->port->speaks, &t->a.side, &t->b.side, &t->verdict)) !=
	    STEP_WAIT) {
		if (step == STEP_DONE) {
			finish(p, t);
			return;
		}
		if (step == STEP_HEADER && over) {
			t->b.side.state = SIDE_UNANSWERED;
		} else if (step == STEP_HEADER) {
			begin(p, t, &t->b, now);
		} else {
			t->b.side.asked = true;
			queue(&t->b, command, strlen(command));
			t->b.end = end_of(now, p->silence);
		}
	}
}

/* Connections to wait for, and whose they are. */
struct watch {
	struct pollfd fds[2 * PROBE_TRIES_MAX];
	struct probe_try *tries[2 * PROBE_TRIES_MAX];
	struct probe_conn *conns[2 * PROBE_TRIES_MAX];
	size_t count;
	int64_t until;
};

static void
watch(struct watch *w, struct probe_try *t, struct probe_conn *c)
{
	bool sends = c->side.state == SIDE_CONNECTING || c->out_sent < c->out_len;

	if (c->fd == -1)
		return;
	w->fds[w->count] = (struct pollfd){ .fd = c->fd,
		.events = sends ? POLLIN | POLLOUT : POLLIN };
	w->tries[w->count] = t;
	w->conns[w->count++] = c;
	if (c->side.state != SIDE_OVER && c->end < w->until)
		w->until = c->end;
}

void
probe_run(struct probe *p)
{
	int64_t now = deadline_now(), end = end_of(now, p->max_time);
	struct watch w;
	size_t i;

	for (i = 0; i < p->count; i++)
		begin(p, &p->tries[i], &p->tries[i].a, now);
	do {
		w.count = 0;
		w.until = end;
		now = deadline_now();
		for (i = 0; i < p->count; i++) {
			struct probe_try *t = &p->tries[i];

			if (!t->done)
				advance(p, t, now, now >= end);
			watch(&w, t, &t->a);
			watch(&w, t, &t->b);
		}
		if (w.count)
			dial_wait(w.fds, w.count, w.until);
		now = deadline_now();
		for (i = 0; i < w.count; i++)
			serve(p, w.tries[i], w.conns[i], w.fds[i].revents, now);
	} while (w.count && !*p->stop);
}

void
probe_free(struct probe *p)
{
	size_t i;

	for (i = 0; i < p->count; i++) {
		drop(&p->tries[i].a);
		drop(&p->tries[i].b);
	}
	free(p->tries);
}

const struct side *
probe_spoke(const struct probe_try *t)
{
	if (t->verdict == VERDICT_WANTS || !t->a.side.len)
		return t->b.side.len ? &t->b.side : NULL;
	return &t->a.side;
}
