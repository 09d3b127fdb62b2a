/* test_net.c - addresses of a host, connections with deadlines, over loopback */
#include "help.h"

#include "sys/deadline.h"
#include "sys/net.h"
#include "sys/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

/* out: the addresses, each followed by a blank; else a part of the message. */
static const struct {
	const char *in, *host;
	unsigned port;
	const char *out, *why;
} entries[] = {
	{ "mail.example.org:443:192.0.2.1", "mail.example.org", 443, "192.0.2.1:443 ", NULL },
	{ "+mail.example.org:443:192.0.2.1", "mail.example.org", 443, "192.0.2.1:443 ", NULL },
	{ "h:1:[2001:db8::1]", "h", 1, "[2001:db8::1]:1 ", NULL },
	{ "h:65535:2001:db8::1", "h", 65535, "[2001:db8::1]:65535 ", NULL },
	{ "h:443:192.0.2.1,[::1],192.0.2.2", "h", 443, "192.0.2.1:443 [::1]:443 192.0.2.2:443 ",
	    NULL },
	{ "h:443:192.0.2.1,192.0.2.1", "h", 443, "192.0.2.1:443 ", NULL },
	{ "[::1]:443:192.0.2.1", "::1", 443, "192.0.2.1:443 ", NULL },
	{ "*:443:192.0.2.1", "*", 443, "192.0.2.1:443 ", NULL },
	{ "h:443:[fe80::1%1]", "h", 443, "[fe80::1%1]:443 ", NULL },
	{ "", NULL, 0, NULL, "the port is missing" },
	{ "h", NULL, 0, NULL, "the port is missing" },
	{ "h:443", NULL, 0, NULL, "the address is missing" },
	{ ":443:192.0.2.1", NULL, 0, NULL, "the host is empty" },
	{ "h:443:", NULL, 0, NULL, "no IPv4 or IPv6 address" },
	{ "h:443:192.0.2.1,", NULL, 0, NULL, "no IPv4 or IPv6 address" },
	{ "h:443:192.0.2", NULL, 0, NULL, "no IPv4 or IPv6 address" },
	{ "h:443:192.0.2.01", NULL, 0, NULL, "no IPv4 or IPv6 address" },
	{ "h:443:other.example.org", NULL, 0, NULL, "no IPv4 or IPv6 address" },
	{ "h:443:[::1", NULL, 0, NULL, "no IPv4 or IPv6 address" },
	{ "h:443:1,2,3,4", NULL, 0, NULL, "no IPv4 or IPv6 address" },
	{ "h:0:192.0.2.1", NULL, 0, NULL, "not a number from 1" },
	{ "h:65536:192.0.2.1", NULL, 0, NULL, "not a number from 1" },
	{ "h:99999999999999999999:192.0.2.1", NULL, 0, NULL, "not a number from 1" },
	{ "h:+1:192.0.2.1", NULL, 0, NULL, "not a number from 1" },
	{ "h::192.0.2.1", NULL, 0, NULL, "not a number from 1" },
	{ "[::1:443:192.0.2.1", NULL, 0, NULL, "bracket" },
	{ "-h:443", NULL, 0, NULL, "removed" },
};

static const struct deadline never = { .total = INT64_MAX, .step = INT64_MAX };

static void
list(const struct resolved *r, char *out, size_t size)
{
	char text[RESOLVE_TEXT_MAX];
	size_t i;

	*out = '\0';
	for (i = 0; i < r->count; i++) {
		resolve_format(&r->addr[i], text);
		snprintf(out + strlen(out), size - strlen(out), "%s ", text);
	}
}

static void
test_entries(void **state)
{
	struct resolve_entry e;
	char text[512];
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(entries); i++) {
		int r = resolve_parse(&e, entries[i].in, &err);

		CHECK((r == 0) == (entries[i].out != NULL), "%s: %s", entries[i].in,
		    r ? err.text : "taken");
		if (r) {
			CHECK(err.kind == ERR_USAGE && has(err.text, entries[i].why), "%s: %s",
			    entries[i].in, err.text);
			continue;
		}
		list(&e.to, text, sizeof(text));
		CHECK(!strcmp(text, entries[i].out) && !strcmp(e.host, entries[i].host) &&
			e.port == entries[i].port,
		    "%s: %s %u %s", entries[i].in, e.host, e.port, text);
	}
}

static void
test_resolve(void **state)
{
	static const struct {
		const char *host;
		unsigned port;
		const char *out;
	} cases[] = {
		{ "192.0.2.7", 443, "192.0.2.7:443 " },
		{ "::1", 1, "[::1]:1 " },
		{ "fe80::1%1", 443, "[fe80::1%1]:443 " },
		{ "localhost", 8080, "127.0.0.1:8080 [::1]:8080 " },
		{ "LocalHost.", 8080, "127.0.0.1:8080 [::1]:8080 " },
		/* an entry, whatever the case and the final dot */
		{ "Named.Example.", 443, "192.0.2.1:443 " },
		{ "192.0.2.9", 443, "192.0.2.1:443 " },         /* an entry for an address */
		{ "elsewhere.example", 444, "192.0.2.2:444 " }, /* the entry for any host */
		{ "named.example", 444, "192.0.2.2:444 " },
	};
	static const char *const texts[] = { "*:444:192.0.2.2", "named.example:443:192.0.2.1",
		"192.0.2.9:443:192.0.2.1" };
	struct resolve_entry e[COUNT(texts)];
	struct resolved r;
	char text[512];
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(texts); i++)
		assert_int_equal(resolve_parse(&e[i], texts[i], &err), 0);
	for (i = 0; i < COUNT(cases); i++) {
		CHECK(
		    resolve(&r, cases[i].host, cases[i].port, e, COUNT(e), NULL, &never, &err) == 0,
		    "%s: %s", cases[i].host, err.text);
		list(&r, text, sizeof(text));
		CHECK(!strcmp(text, cases[i].out), "%s: %s", cases[i].host, text);
	}
}

/*
 * A name that needs a look-up: it fails in words, leaves no child, and the deadline and a signal
 * end it.
 */
static void
test_look_up(void **state)
{
	volatile sig_atomic_t stop = SIGTERM;
	struct deadline past = { .total = deadline_now() - 1, .step = INT64_MAX };
	struct deadline stopped = { .total = INT64_MAX, .step = INT64_MAX, .stop = &stop };
	struct deadline soon = { .total = deadline_now() + 20000, .step = INT64_MAX };
	struct resolved r;
	struct err err;

	(void)state;
	assert_int_equal(resolve(&r, "no-such-name.invalid", 443, NULL, 0, NULL, &past, &err), -1);
	CHECK(err.kind == ERR_REACH && has(err.text, "--max-time") &&
		has(err.text, "no-such-name.invalid"),
	    "%s", err.text);
	assert_int_equal(
	    resolve(&r, "no-such-name.invalid", 443, NULL, 0, NULL, &stopped, &err), -1);
	CHECK(err.kind == ERR_INTERRUPT && err.code == SIGTERM, "%s", err.text);
	assert_int_equal(resolve(&r, "no-such-name.invalid", 443, NULL, 0, NULL, &soon, &err), -1);
	CHECK(err.kind == ERR_REACH && has(err.text, "--resolve"), "%s", err.text);
	assert_int_equal(resolve(&r, "", 443, NULL, 0, NULL, &soon, &err), -1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

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
	char text[RESOLVE_TEXT_MAX], data[16];
	struct transport t;
	struct conn c;
	struct err err;
	int listener, dead, peer;

	(void)state;
	listener = listen_on(&to.addr[1]);
	dead = listen_on(&to.addr[0]);
	close(dead);
	/* the first address refuses, the second answers */
	CHECK(conn_open(&c, &to, &d, &err) == 0, "%s", err.text);
	resolve_format(&to.addr[1], text);
	assert_string_equal(c.peer, text);
	peer = accept(listener, NULL, NULL);
	t = conn_transport(&c);
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
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_look_up),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
