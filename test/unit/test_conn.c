/* test_conn.c - connections with deadlines, over loopback */
#include "help.h"

#include "sys/conn.h"
#include "sys/deadline.h"
#include "sys/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

/* A listening socket on 127.0.0.1; its port goes to *a. */
static int
listen_on(union resolve_addr *a)
{
	socklen_t len = sizeof(a->in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(a, 0, sizeof(*a));
	a->in.sin_family = AF_INET;
	a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, &a->sa, len), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, &a->sa, &len), 0);
	return fd;
}

static void
test_connect(void **state)
{
	struct deadline d = { .total = deadline_now() + 10000, .step = INT64_MAX };
	struct resolved to = { .count = 2 };
	static const char header[] = "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
	char text[RESOLVE_TEXT_MAX], data[sizeof(header)];
	struct transport t;
	struct conn c;
	struct err err;
	int listener, dead, peer;

	(void)state;
	listener = listen_on(&to.addr[1]);
	dead = listen_on(&to.addr[0]);
	close(dead);
	/* the first address refuses, the second answers, and is the first from then on */
	resolve_format(&to.addr[1], text);
	CHECK(conn_open(&c, &to, &d, &err) == 0, "%s", err.text);
	assert_string_equal(c.peer, text);
	resolve_format(&to.addr[0], text);
	assert_string_equal(c.peer, text);
	peer = accept(listener, NULL, NULL);
	t = conn_transport(&c);
	assert_int_equal(conn_send_local_header(&c, &err), 0);
	assert_int_equal(read(peer, data, sizeof(data)), 16);
	assert_memory_equal(data, header, 16);
	assert_int_equal(t.write(t.ctx, "hello", 5, &err), 0);
	assert_int_equal(read(peer, data, sizeof(data)), 5);
	assert_int_equal(write(peer, "you", 3), 3);
	assert_int_equal(t.read(t.ctx, data, sizeof(data), &err), 3);
	assert_memory_equal(data, "you", 3);
	close(peer);
	assert_int_equal(t.read(t.ctx, data, sizeof(data), &err), 0);
	assert_int_equal(t.write(t.ctx, "x", 1, &err), 0);
	while (t.write(t.ctx, "x", 1, &err) == 0) /* an error, not a SIGPIPE */
		usleep(1000);
	CHECK(err.kind == ERR_REACH && has(err.text, text), "%s", err.text);
	conn_close(&c);
	conn_close(&c);
	close(listener);

	to.addr[1] = to.addr[0];
	to.addr[1].in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	assert_int_equal(conn_open(&c, &to, &d, &err), -1);
	resolve_format(&to.addr[0], text);
	CHECK(err.kind == ERR_REACH && has(err.text, text) && has(err.text, "127.0.0.2") &&
		has(err.text, "refused"),
	    "%s", err.text);
	assert_int_equal(c.fd, -1);
}

/*
 * Addresses that don't answer (a full queue drops what comes) before one that does: it is reached
 * within the time of one, and at once the next time.
 */
static void
test_side_by_side(void **state)
{
	struct deadline d = { .total = INT64_MAX };
	struct resolved to = { .count = 8 };
	int listener, deaf, fill[8];
	union resolve_addr full;
	struct conn c;
	struct err err;
	int64_t begun;
	size_t i;

	(void)state;
	listener = listen_on(&to.addr[7]);
	deaf = listen_on(&full);
	assert_int_equal(listen(deaf, 0), 0);
	for (i = 0; i < COUNT(fill); i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fill[i], &full.sa, sizeof(full.in));
	}
	for (i = 0; i < 7; i++)
		to.addr[i] = full;
	begun = deadline_now();
	d.step = begun + 1000;
	CHECK(conn_open(&c, &to, &d, &err) == 0, "%s", err.text);
	assert_in_range(deadline_now() - begun, 0, 900);
	conn_close(&c);
	begun = deadline_now();
	d.step = begun + 10000;
	assert_int_equal(conn_open(&c, &to, &d, &err), 0);
	assert_in_range(deadline_now() - begun, 0, 100);
	conn_close(&c);

	to.count = 2;
	to.addr[0] = full;
	d.step = deadline_now() + 300;
	assert_int_equal(conn_open(&c, &to, &d, &err), -1);
	CHECK(err.kind == ERR_REACH && err.code == ETIMEDOUT && has(err.text, "--connect-timeout"),
	    "%s", err.text);
	for (i = 0; i < COUNT(fill); i++)
		close(fill[i]);
	close(deaf);
	close(listener);
}

/* A connection is quiet until anything comes: a byte, an end, a reset. */
static void
test_quiet(void **state)
{
	static const struct linger at_once = { .l_onoff = 1 };
	struct deadline d = { .total = deadline_now() + 10000, .step = INT64_MAX };
	struct resolved to = { .count = 1 };
	struct conn c;
	struct err err;
	int listener = listen_on(&to.addr[0]), peer, how, tries;

	(void)state;
	for (how = 0; how < 3; how++) {
		CHECK(conn_open(&c, &to, &d, &err) == 0, "%s", err.text);
		peer = accept(listener, NULL, NULL);
		assert_true(conn_is_quiet(&c));
		if (how == 0)
			assert_int_equal(write(peer, "x", 1), 1);
		if (how == 1)
			assert_int_equal(
			    setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
		if (how)
			close(peer);
		for (tries = 0; conn_is_quiet(&c) && tries < 5000; tries++)
			usleep(1000);
		CHECK(!conn_is_quiet(&c), "case %d", how);
		assert_false(conn_is_quiet(&c)); /* a look takes nothing away */
		if (!how)
			close(peer);
		conn_close(&c);
	}
	close(listener);
}

/*
 * A peer that says nothing, one that says a byte now and then, one that takes nothing: all end with
 * the deadline.
 */
static void
test_slow(void **state)
{
	struct deadline d = { .total = INT64_MAX, .step = INT64_MAX };
	static char big[1 << 16];
	struct resolved to = { .count = 1 };
	int listener = listen_on(&to.addr[0]), peer, i;
	volatile sig_atomic_t stop = 0;
	struct transport t;
	struct conn c;
	struct err err;
	int64_t begun;
	pid_t pid;

	(void)state;
	assert_int_equal(conn_open(&c, &to, &d, &err), 0);
	peer = accept(listener, NULL, NULL);
	t = conn_transport(&c);
	begun = deadline_now();
	d.step = begun + 50;
	assert_int_equal(t.read(t.ctx, big, 1, &err), -1);
	CHECK(err.kind == ERR_REACH && err.code == ETIMEDOUT && has(err.text, "--connect-timeout"),
	    "%s", err.text);
	assert_in_range(deadline_now() - begun, 50, 2000);

	d.step = INT64_MAX;
	d.total = deadline_now() + 100;
	while (t.write(t.ctx, big, sizeof(big), &err) == 0)
		;
	CHECK(err.kind == ERR_REACH && has(err.text, "--max-time"), "%s", err.text);

	pid = fork();
	if (!pid) {
		for (i = 0; i < 500 && write(peer, "x", 1) == 1; i++)
			usleep(10000);
		_exit(0);
	}
	begun = deadline_now();
	d.total = begun + 100;
	while (t.read(t.ctx, big, 1, &err) > 0)
		;
	CHECK(err.kind == ERR_REACH && has(err.text, "--max-time"), "%s", err.text);
	assert_in_range(deadline_now() - begun, 100, 2000);

	stop = SIGINT;
	d.total = INT64_MAX;
	d.stop = &stop;
	assert_int_equal(t.read(t.ctx, big, 1, &err), -1);
	CHECK(err.kind == ERR_INTERRUPT && err.code == SIGINT, "%s", err.text);
	close(peer);
	conn_close(&c);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(listener);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_side_by_side),
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
