/* test_plan_clear.c - what clear would restore, with a snapshot and without one */
#include "plan_help.h"

#define LIST(id) "server.listener." id ".proxy.trusted-networks"
#define LEAD     "stage --only listeners " PROXY

/* Stage on settings, plan a clear, compare what it writes. */
static void
check_clear(struct world *w, const char *line, const char *writes, size_t left, const char *why)
{
	const char *got;

	world_plan(w, plan_clear, line);
	CHECK(!refusal_of(&w->plan), "%s: refused (%s)", why, refusal_of(&w->plan));
	got = writes_of(&w->pool, &w->plan);
	CHECK(!strcmp(got, writes), "%s: writes\n%sand not\n%s", why, got, writes);
	CHECK(w->plan.left_count == left, "%s: leaves %zu", why, w->plan.left_count);
}

/* Every group of the snapshot goes, although clear's options name none of them. */
static void
test_all_groups(void **state)
{
	struct world w;
	const char *before, *after;

	(void)state;
	world_begin(&w, DEFAULTS "auth.dkim.verify = strict\nqueue.strategy.route = 'mx'\n");
	before = lines_of(&w.pool, &w.now);
	world_stage(&w, "stage " WHOLE RELAY "--relay-id out2");
	world_plan(&w, plan_clear, "clear");
	world_write(&w);
	after = lines_of(&w.pool, &w.now);
	CHECK(!strcmp(before, after), "clear brings back\n%s", after);
	world_end(&w);
}

static void
test_some_groups(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, SMTP IMAP "auth.dkim.verify = strict\n");
	world_stage(&w, "stage " WHOLE);
	check_clear(&w, "clear --only url", "http.url\n", 0, "--only url");
	check_clear(&w, "clear --skip checks",
	    "server.listener.imap.proxy.override\n" LIST("imap") ".0\nhttp.url\n", 0,
	    "--skip checks");
	world_end(&w);
}

/* What happened to one staged key since. */
static const struct {
	const char *now, *writes;
	size_t left;
	const char *why;
} changed[] = {
	{ "disable", "auth.dkim.verify = strict\n", 0, "still ours" },
	{ "strict", "", 0, "somebody brought it back already" },
	{ "relaxed", "", 1, "another value" },
	{ NULL, "", 1, "removed" },
};

static void
test_changed(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(changed); i++) {
		struct world w;

		world_begin(&w,
		    "auth.arc.verify = disable\nauth.dkim.verify = strict\nauth.dmarc.verify = "
		    "disable\n"
		    "auth.iprev.verify = disable\nauth.spf.verify.ehlo = "
		    "disable\nauth.spf.verify.mail-from = disable\n"
		    "session.ehlo.reject-non-fqdn = false\n");
		world_stage(&w, "stage --only checks");
		world_set(&w, "auth.dkim.verify", changed[i].now);
		check_clear(&w, "clear", changed[i].writes, changed[i].left, changed[i].why);
		CHECK(!changed[i].left || said(&w.plan, MESSAGE_WARNING, "auth.dkim.verify"),
		    "%s: not named", changed[i].why);
		CHECK(key_of(&w.plan, "auth.dkim.verify")->state ==
			(changed[i].left             ? KEY_CHANGED
				: *changed[i].writes ? KEY_TO_RESTORE
						     : KEY_RESTORED),
		    "%s: state", changed[i].why);
		CHECK(plan_compare(&w.plan, &w.now) == (*changed[i].writes ? 1 : 0), "%s: compared",
		    changed[i].why);
		check_clear(&w, "clear --force changed",
		    changed[i].left ? "auth.dkim.verify = strict\n" : changed[i].writes, 0,
		    "forced");
		world_end(&w);
	}
}

/* The administration page turns a list of one into a scalar (server-facts). */
static void
test_scalar_of_the_page(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, SMTP IMAP);
	world_stage(&w, LEAD);
	world_set(&w, LIST("imap") ".0", NULL);
	world_set(&w, LIST("imap"), "203.0.113.10/32");
	check_clear(&w, "clear", LIST("imap") "\nserver.listener.imap.proxy.override\n", 0,
	    "ours as a scalar");
	world_set(&w, LIST("imap"), "198.51.100.1");
	check_clear(
	    &w, "clear", "server.listener.imap.proxy.override\n", 0, "a scalar that is not ours");
	world_end(&w);
}

/* A run that was cut off: what never arrived is not restored, what arrived is. */
static void
test_half_sent(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, SMTP IMAP LIST("imap") " = 10.0.0.5\n");
	world_stage(&w, LEAD);
	w.snapshot.state = SNAPSHOT_SENDING;
	world_set(&w, LIST("imap") ".0", NULL);
	world_set(&w, LIST("imap"), "10.0.0.5");
	check_clear(&w, "clear", "server.listener.imap.proxy.override\n" LIST("imap") ".1\n", 0,
	    "half of it arrived");
	world_end(&w);
}

/*
 * The other nodes of a cluster hold, and restore, their own keys only; a snapshot with database
 * keys counts anywhere.
 */
static void
test_shared_elsewhere(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, SMTP IMAP);
	w.shared = true;
	world_stage(&w, "stage " WHOLE);
	assert_int_equal(w.snapshot.count, 2);
	check_clear(&w, "clear", "server.listener.imap.proxy.override\n" LIST("imap") ".0\n", 0,
	    "a second node");
	w.has_snapshot = false;
	world_set(&w, "auth.dkim.verify", "disable");
	check_clear(&w, "clear " WHOLE, "server.listener.imap.proxy.override\n" LIST("imap") ".0\n",
	    0, "without a snapshot");
	world_end(&w);
	world_begin(&w, SMTP IMAP);
	world_stage(&w, "stage --only url --public-url https://mail.example.org");
	w.shared = true;
	check_clear(&w, "clear", "http.url\n", 0, "the first node's snapshot, given second");
	world_end(&w);
}

/* Without a snapshot: what is recognisably ours, by the options. */
static const struct {
	const char *settings, *words, *writes;
	size_t left;
	const char *why;
} recognised[] = {
	{ SMTP IMAP OURS("imap"), "--only listeners " PROXY,
	    "server.listener.imap.proxy.override\n" LIST("imap") ".0\n", 0, "both keys" },
	{ SMTP IMAP OURS("imap"), "--only listeners --proxy 198.51.100.1", "", 1,
	    "another proxy's" },
	{ SMTP IMAP OURS("imap") LIST("imap") ".1 = 10.0.0.5\n", "--only listeners " PROXY,
	    LIST("imap") ".0\n", 1, "beside somebody else's: only ours" },
	{ SMTP IMAP OURS("imap")
		LIST("imap") ".1 = 10.0.0.5\nserver.proxy.trusted-networks = 10.0.0.5\n",
	    "--only listeners " PROXY,
	    "server.listener.imap.proxy.override\n" LIST("imap") ".0\n" LIST("imap") ".1\n", 0,
	    "a copy of the global list is ours too" },
	{ SMTP IMAP
	    "server.listener.imap.proxy.override = true\n" LIST("imap") " = 203.0.113.10/32\n",
	    "--only listeners " PROXY, "server.listener.imap.proxy.override\n" LIST("imap") "\n", 0,
	    "as the page saves it" },
	{ SMTP "server.listener.smtp.proxy.override = true\n" IMAP OURS("imap"),
	    "--only listeners " PROXY, "server.listener.imap.proxy.override\n" LIST("imap") ".0\n",
	    0, "port 25 is not looked at" },
	{ SMTP IMAP "auth.dkim.verify = disable\nauth.arc.verify = strict\n", "--only checks",
	    "auth.dkim.verify\n", 1, "one of ours, one not" },
	{ SMTP IMAP "http.url = 'https://mail.example.org'\n",
	    "--only url --public-url https://mail.example.org", "http.url\n", 0, "the URL" },
	{ SMTP IMAP "http.url = 'https://mail.example.org'\n",
	    "--only url --public-url https://other.example.org", "", 1, "another URL" },
	{ SMTP IMAP "queue.route.smarthost.address = "
		    "new.example.org\nqueue.route.smarthost.auth.secret = s3cret\n"
		    "queue.strategy.route.1.else = 'smarthost'\n",
	    "--only outbound " RELAY,
	    "queue.route.smarthost.address\nqueue.strategy.route.1.else\n", 0,
	    "the relay's keys, and no other of its" },
	{ SMTP IMAP, WHOLE, "", 0, "nothing there" },
};

static void
test_recognised(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(recognised); i++) {
		struct world w;

		world_begin(&w, recognised[i].settings);
		check_clear(&w, pool_printf(&w.pool, "clear %s", recognised[i].words),
		    recognised[i].writes, recognised[i].left, recognised[i].why);
		CHECK(w.plan.unknown_before, "%s: unknown_before", recognised[i].why);
		CHECK(!said(&w.plan, MESSAGE_WARNING, "s3cret"), "%s: a secret is shown",
		    recognised[i].why);
		world_end(&w);
	}
}

/* Without a snapshot and without the options, nothing can be recognised. */
static void
test_too_little(void **state)
{
	static const struct {
		const char *words, *options;
	} cases[] = {
		{ "", "--proxy (or --skip listeners), --public-url (or --skip url)." },
		{ PROXY, "again: --public-url (or --skip url)." },
		{ "--only listeners", "again: --proxy (or --skip listeners)." },
		{ "--only url", "again: --public-url (or --skip url)." },
		{ "--only outbound", "again: --relay (or --skip outbound)." },
		{ "--only outbound,listeners",
		    "--proxy (or --skip listeners), --relay (or --skip outbound)." },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct world w;

		world_begin(&w, DEFAULTS);
		world_plan(&w, plan_clear, pool_printf(&w.pool, "clear %s", cases[i].words));
		CHECK(same_text(refusal_of(&w.plan), "no-snapshot"), "\"%s\": %s", cases[i].words,
		    shown(refusal_of(&w.plan)));
		CHECK(said(&w.plan, MESSAGE_REFUSAL, cases[i].options), "\"%s\": not \"%s\"",
		    cases[i].words, cases[i].options);
		CHECK(w.plan.messages.count == 1, "\"%s\": says more", cases[i].words);
		CHECK(!w.plan.write_count, "\"%s\": writes", cases[i].words);
		world_end(&w);
	}
}

/* The dialect decides where the URL is; without a snapshot its doubt stops clear. */
static void
test_dialect(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, SMTP IMAP "server.http.url = 'https://mail.example.org'\n");
	w.first = 8;
	w.last = 11;
	check_clear(&w, "clear --only url --public-url https://mail.example.org",
	    "server.http.url\n", 0, "0.11");
	w.last = 12;
	world_plan(&w, plan_clear, "clear --only url --public-url https://mail.example.org");
	assert_string_equal(refusal_of(&w.plan), "dialect-unknown");
	world_end(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_groups),
		cmocka_unit_test(test_some_groups),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_scalar_of_the_page),
		cmocka_unit_test(test_half_sent),
		cmocka_unit_test(test_shared_elsewhere),
		cmocka_unit_test(test_recognised),
		cmocka_unit_test(test_too_little),
		cmocka_unit_test(test_dialect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
