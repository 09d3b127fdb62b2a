/* test_resolve.c - addresses of a host: --resolve, literals, look-ups that end in time */
#include "help.h"

#include "sys/deadline.h"
#include "sys/resolve.h"

#include <errno.h>
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
	{ "h:443:", NULL, 0, NULL, "not IPv4 or IPv6" },
	{ "h:443:192.0.2.1,", NULL, 0, NULL, "not IPv4 or IPv6" },
	{ "h:443:192.0.2", NULL, 0, NULL, "not IPv4 or IPv6" },
	{ "h:443:192.0.2.01", NULL, 0, NULL, "not IPv4 or IPv6" },
	{ "h:443:other.example.org", NULL, 0, NULL, "not IPv4 or IPv6" },
	{ "h:443:[::1", NULL, 0, NULL, "not IPv4 or IPv6" },
	{ "h:443:1,2,3,4", NULL, 0, NULL, "not IPv4 or IPv6" },
	{ "h:0:192.0.2.1", NULL, 0, NULL, "not a number from 1" },
	{ "h:65536:192.0.2.1", NULL, 0, NULL, "not a number from 1" },
	{ "h:99999999999999999999:192.0.2.1", NULL, 0, NULL, "not a number from 1" },
	{ "h:+1:192.0.2.1", NULL, 0, NULL, "not a number from 1" },
	{ "h::192.0.2.1", NULL, 0, NULL, "not a number from 1" },
	{ "[::1:443:192.0.2.1", NULL, 0, NULL, "bracket" },
	{ "-h:443", NULL, 0, NULL, "to remove" },
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
		CHECK(resolve(&r, cases[i].host, cases[i].port, e, COUNT(e), &never, &err) == 0,
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
	assert_int_equal(resolve(&r, "no-such-name.invalid", 443, NULL, 0, &past, &err), -1);
	CHECK(err.kind == ERR_REACH && has(err.text, "--max-time") &&
		has(err.text, "no-such-name.invalid"),
	    "%s", err.text);
	assert_int_equal(resolve(&r, "no-such-name.invalid", 443, NULL, 0, &stopped, &err), -1);
	CHECK(err.kind == ERR_INTERRUPT && err.code == SIGTERM, "%s", err.text);
	assert_int_equal(resolve(&r, "no-such-name.invalid", 443, NULL, 0, &soon, &err), -1);
	CHECK(err.kind == ERR_REACH && has(err.text, "--resolve"), "%s", err.text);
	assert_int_equal(resolve(&r, "", 443, NULL, 0, &soon, &err), -1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_look_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
