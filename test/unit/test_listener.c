/* test_listener.c - the server's listeners as its settings describe them */
#include "help.h"

#include "base/buf.h"
#include "settings/listener.h"

#define L "server.listener."

static void
find(struct listeners *out, struct pool *pool, const char *lines)
{
	struct settings s;

	memset(out, 0, sizeof(*out));
	settings_of(&s, pool, lines);
	listener_find_all(out, pool, &s);
}

/* One bind, and what is known by it: 25, another port, a macro; none of them: not readable. */
static const struct {
	const char *bind;
	bool on_25, elsewhere, submission_only, macro;
} binds[] = {
	{ "[::]:25", true, false, false, false },
	{ "0.0.0.0:25", true, false, false, false },
	{ "[::]:0025", true, false, false, false },
	{ "[::]:00000000000025", true, false, false, false },
	{ "[2001:db8::1]:25", true, false, false, false },
	{ "[fe80::1%2]:25", true, false, false, false },
	{ "[::]:2525", false, true, false, false },
	{ "[::]:125", false, true, false, false },
	{ "[::]:587", false, true, true, false },
	{ "[::]:465", false, true, true, false },
	{ "[::]:0465", false, true, true, false },
	{ "[::]:5870", false, true, false, false },
	{ "[::]:0", false, true, false, false },
	{ "[::]:65535", false, true, false, false },
	{ "[::]:65561", false, false, false, false },      /* 25 and 65536 */
	{ "[::]:4294967321", false, false, false, false }, /* 25 and 2^32 */
	{ "[::]:", false, false, false, false },
	{ "[::]", false, false, false, false },
	{ "25", false, false, false, false },
	{ ":25", false, false, false, false },
	{ "[::]:smtp", false, false, false, false },
	{ "[::]:2 5", false, false, false, false },
	{ "", false, false, false, false },
	{ "[::]:%{env:PORT}%", false, false, false, true },
	{ "%{env:BIND}%", false, false, false, true },
	{ "[::]:%{env:A}%25", false, false, false, true },
};

/* A macro in front of a plain port does not hide it (server-facts: a bind that ends in :25). */
static void
test_macro_address(void **state)
{
	struct pool pool = { 0 };
	struct listeners all;

	(void)state;
	find(&all, &pool,
	    L "a.bind.0 = %{env:IP}%:25\n" L "a.protocol = smtp\n" L
	      "b.bind.0 = [%{file:/x}%]:0025\n" L "b.protocol = smtp\n" L
	      "c.bind.0 = %{env:IP}%:587\n" L "c.protocol = smtp\n");
	assert_true(all.items[0].on_25 && all.items[1].on_25 && !all.items[2].on_25);
	pool_free(&pool);
}

static void
test_binds(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(binds); i++) {
		struct pool pool = { 0 };
		const struct listener *l;
		struct listeners all;

		find(&all, &pool,
		    pool_printf(&pool, L "x.bind.0 = %s\n" L "x.protocol = smtp\n", binds[i].bind));
		assert_int_equal(all.count, 1);
		l = &all.items[0];
		CHECK(l->on_25 == binds[i].on_25, "\"%s\": on 25", binds[i].bind);
		CHECK(l->macro == binds[i].macro, "\"%s\": macro", binds[i].bind);
		/* A macro may be left unread: only port 25 must not be missed. */
		CHECK(l->macro || l->elsewhere == binds[i].elsewhere, "\"%s\": elsewhere",
		    binds[i].bind);
		CHECK(l->macro || l->submission_only == binds[i].submission_only,
		    "\"%s\": submission only", binds[i].bind);
		pool_free(&pool);
	}
}

/* Several binds, in each form that the server reads: the key itself and all below it. */
static void
test_several(void **state)
{
	static const struct {
		const char *lines, *binds;
		bool on_25, elsewhere, submission_only;
	} cases[] = {
		{ L "x.bind = [::]:25\n", "[::]:25", true, false, false },
		{ L "x.bind = [::]:587\n" L "x.bind.0 = [::]:25\n", "[::]:587, [::]:25", true, true,
		    false },
		{ L "x.bind.0000 = [::]:465\n" L "x.bind.0001 = [::]:587\n", "[::]:465, [::]:587",
		    false, true, true },
		{ L "x.bind.a = [::]:25\n" L "x.bind.b.c = [::]:26\n", "[::]:25, [::]:26", true,
		    true, false },
		{ L "x.bind.0 = [::]:465\n" L "x.bind.1 = [::]:%{env:P}%\n",
		    "[::]:465, [::]:%{env:P}%", false, true, false },
		{ L "x.bind-more = [::]:25\n" L "x.binds.0 = [::]:25\n", "", false, false, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct pool pool = { 0 };
		struct listeners all;

		find(&all, &pool, pool_printf(&pool, "%s" L "x.protocol = smtp\n", cases[i].lines));
		assert_int_equal(all.count, 1);
		CHECK(!strcmp(all.items[0].binds, cases[i].binds), "%s: %s", cases[i].lines,
		    all.items[0].binds);
		CHECK(all.items[0].on_25 == cases[i].on_25 &&
			all.items[0].elsewhere == cases[i].elsewhere &&
			all.items[0].submission_only == cases[i].submission_only,
		    "%s", cases[i].lines);
		pool_free(&pool);
	}
}

/*
 * Which ids there are: what stands between the prefix and the last ".protocol" (v0.15.5: sub_keys).
 */
static void
test_ids(void **state)
{
	struct pool pool = { 0 };
	struct listeners all;
	const struct listener *l;

	(void)state;
	find(&all, &pool,
	    L "Imap.protocol = imap\n" L "a.b.protocol = http\n" L "a.bind.0 = [::]:1\n" L
	      "a.b.bind.0 = [::]:2\n" L "protocols = x\n" L "web mail.protocol = http\n"
	      "server.listeners.x.protocol = imap\n" L "x.protocol.y = imap\n" L
	      "\xc3\xa4.protocol = imap\n"
	      "server.listener.protocol = imap\n"
	      "listener.z.protocol = imap\n");
	assert_int_equal(all.count, 4);
	assert_string_equal(all.items[0].id, "Imap");
	assert_string_equal(all.items[1].id, "a.b");
	assert_string_equal(all.items[1].binds, "[::]:2");
	assert_string_equal(all.items[2].id, "web mail");
	l = listener_by_id(&all, "\xc3\xa4");
	assert_non_null(l);
	assert_string_equal(l->protocol_text, "imap");
	assert_null(listener_by_id(&all, "imap"));
	assert_null(listener_by_id(&all, "a"));
	assert_null(listener_by_id(&all, ""));
	pool_free(&pool);
	find(&all, &pool, "");
	assert_int_equal(all.count, 0);
	assert_null(listener_by_id(&all, "x"));
	pool_free(&pool);
}

/* As the server compares them: without case, https is http (v0.15.5: ServerProtocol). */
static void
test_protocols(void **state)
{
	static const struct {
		const char *text;
		enum protocol protocol;
	} cases[] = {
		{ "smtp", PROTOCOL_SMTP },
		{ "SMTP", PROTOCOL_SMTP },
		{ "lmtp", PROTOCOL_LMTP },
		{ "imap", PROTOCOL_IMAP },
		{ "Pop3", PROTOCOL_POP3 },
		{ "managesieve", PROTOCOL_SIEVE },
		{ "ManageSieve", PROTOCOL_SIEVE },
		{ "http", PROTOCOL_HTTP },
		{ "https", PROTOCOL_HTTP },
		{ "sieve", PROTOCOL_UNKNOWN },
		{ "jmap", PROTOCOL_UNKNOWN },
		{ " imap", PROTOCOL_UNKNOWN },
		{ "imaps", PROTOCOL_UNKNOWN },
		{ "%{env:P}%", PROTOCOL_UNKNOWN },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct pool pool = { 0 };
		struct listeners all;

		find(&all, &pool, pool_printf(&pool, L "x.protocol = %s\n", cases[i].text));
		CHECK(all.items[0].protocol == cases[i].protocol, "\"%s\"", cases[i].text);
		pool_free(&pool);
	}
}

/* Mail clients' own: by the ports, or by TLS from the first byte where 25 is not among them. */
static void
test_submission(void **state)
{
	static const struct {
		const char *lines;
		bool submission;
	} cases[] = {
		{ L "x.bind.0 = [::]:587\n", true },
		{ L "x.bind.0 = [::]:1465\n" L "x.tls.implicit = true\n", true },
		{ L "x.bind.0 = [::]:%{env:P}%\n" L "x.tls.implicit = true\n", true },
		{ L "x.tls.implicit = true\n", true },
		{ L "x.bind.0 = [::]:1465\n" L "x.tls.implicit = false\n", false },
		{ L "x.bind.0 = [::]:1465\n" L "x.tls.implicit = %{env:T}%\n", false },
		{ L "x.bind.0 = [::]:1465\n" L "y.tls.implicit = true\n", false },
		{ L "x.bind.0 = [::]:25\n" L "x.tls.implicit = true\n", false },
		{ L "x.bind.0 = [::]:465\n" L "x.bind.1 = [::]:25\n" L "x.tls.implicit = true\n",
		    false },
		{ L "x.bind.0 = [::]:1587\n", false },
		{ "", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct pool pool = { 0 };
		struct listeners all;

		find(&all, &pool, pool_printf(&pool, "%s" L "x.protocol = smtp\n", cases[i].lines));
		CHECK(listener_is_submission(&all.items[0]) == cases[i].submission, "%s",
		    cases[i].lines);
		pool_free(&pool);
	}
}

static void
test_loopback(void **state)
{
	static const struct {
		const char *lines;
		bool only;
	} cases[] = {
		{ L "x.bind.0 = 127.0.0.1:8080\n", true },
		{ L "x.bind.0 = [::1]:8080\n" L "x.bind.1 = 127.0.0.53:80\n", true },
		{ L "x.bind.0 = [::ffff:127.0.0.1]:8080\n", true },
		{ L "x.bind.0 = 127.0.0.1:8080\n" L "x.bind.1 = 192.0.2.1:8080\n", false },
		{ L "x.bind.0 = [::]:8080\n", false },
		{ L "x.bind.0 = 0.0.0.0:8080\n", false },
		{ L "x.bind.0 = [2001:db8::1]:8080\n", false },
		{ L "x.bind.0 = localhost:8080\n", false },
		{ L "x.bind.0 = %{env:IP}%:8080\n", false },
		{ L "x.bind.0 = []:8080\n", false },
		{ L "x.bind.0 = 127.0.0.1\n", false },
		{ L "x.bind.0 = \n", false },
		{ "", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct pool pool = { 0 };
		struct listeners all;

		find(&all, &pool, pool_printf(&pool, "%s" L "x.protocol = http\n", cases[i].lines));
		CHECK(all.items[0].loopback_only == cases[i].only, "%s", cases[i].lines);
		pool_free(&pool);
	}
}

/* Names whose keys the server would read as another listener's networks or binds. */
static void
test_ambiguous_names(void **state)
{
	static const struct {
		const char *id;
		bool ambiguous;
	} cases[] = {
		{ "smtp.proxy.trusted-networks", true },
		{ "smtp.proxy", true },
		{ "a.b.proxy.c.d", true },
		{ "a.proxys.proxy", true },
		{ "smtp.bind", true },
		{ "smtp.bind.0", true },
		{ "proxy", false },
		{ "proxy.imap", false },
		{ "bind", false },
		{ "imap.proxy-old", false },
		{ "imap.proxys", false },
		{ "imap.binds.x", false },
		{ "imap.xproxy", false },
		{ "imap.internal", false },
		{ "imap", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		CHECK(listener_name_is_ambiguous(cases[i].id) == cases[i].ambiguous, "%s",
		    cases[i].id);
}

/* What is too many is refused by name, and one less is not. */
static void
test_count(void **state)
{
	static const struct {
		const char *prefix, *suffix, *more, *said;
	} cases[] = {
		{ L "l", ".protocol = imap", "", "1000 listeners" },
		{ L "x.bind.", " = [::]:143", L "x.protocol = imap\n", "1000 binds" },
		{ L "x.proxy.trusted-networks.", " = 192.0.2.1", L "x.protocol = imap\n",
		    "1000 networks at " L "x.proxy" },
		{ "server.proxy.trusted-networks.", " = 192.0.2.1", "",
		    "1000 networks at server.proxy" },
	};
	size_t i;
	int n, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		for (n = 1000; n <= 1001; n++) {
			struct pool pool = { 0 };
			struct buf lines = { 0 };
			struct settings s;
			struct err err;
			int r;

			for (j = 0; j < n; j++)
				buf_printf(
				    &lines, "%s%04d%s\n", cases[i].prefix, j, cases[i].suffix);
			buf_str(&lines, cases[i].more);
			settings_of(&s, &pool, buf_text(&lines));
			r = listener_check_count(&s, &err);
			CHECK((r == 0) == (n == 1000), "%d: %s", n, cases[i].said);
			CHECK(r == 0 ||
				(err.refusal == REFUSAL_TOO_MANY && has(err.text, cases[i].said)),
			    "%s: %s", cases[i].said, err.text);
			pool_free(&pool);
			buf_free(&lines);
		}
	}
}

/* Many binds take the memory of their text, not of all its beginnings. */
static void
test_many_binds(void **state)
{
	struct pool kept = { 0 }, pool = { 0 };
	struct listeners all = { 0 };
	struct buf lines = { 0 };
	const void *block;
	struct settings s;
	size_t blocks = 0;
	int i;

	(void)state;
	buf_str(&lines, L "x.protocol = imap\n");
	for (i = 0; i < 1000; i++)
		buf_printf(&lines, L "x.bind.%04d = [::]:143\n", i);
	settings_of(&s, &kept, buf_text(&lines));
	listener_find_all(&all, &pool, &s);
	assert_int_equal(strlen(all.items[0].binds), 1000 * 8 + 999 * 2);
	for (block = pool.blocks; block; memcpy(&block, block, sizeof(block)))
		blocks++; /* the first member of each points to the next */
	CHECK(blocks <= 6, "%zu blocks", blocks);
	buf_free(&lines);
	pool_free(&kept);
	pool_free(&pool);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_binds),
		cmocka_unit_test(test_macro_address),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_submission),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_ambiguous_names),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_many_binds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
