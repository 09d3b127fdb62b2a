/* test_plan.c - what status says, and how a read-back is compared and counted */
#include "plan_help.h"

#include <errno.h>

#define LIST(id) "server.listener." id ".proxy.trusted-networks"

/* Every key of the plan is staged or as wanted, and there are some. */
static void
check_staged(const struct world *w, const char *why)
{
	size_t i;

	CHECK(w->plan.key_count, "%s: no keys", why);
	for (i = 0; i < w->plan.key_count; i++) {
		const struct plan_key *k = &w->plan.keys[i];

		CHECK(k->state == KEY_STAGED || k->state == KEY_AS_WANTED, "%s: %s is %s", why,
		    k->key, key_state_name(k->state));
		CHECK(!k->write, "%s: %s would be written", why, k->key);
	}
	CHECK(!w->plan.write_count && !w->plan.rewrite, "%s: something would be written", why);
}

/* After a stage, `status` (with these options) says that all is there. */
static const struct {
	const char *settings, *stage, *status, *why;
} staged[] = {
	{ DEFAULTS, WHOLE, WHOLE, "the same options" },
	{ DEFAULTS, WHOLE, "", "no options: the snapshot says it" },
	{ DEFAULTS, WHOLE "--proxy 2001:db8::/64 " RELAY, "", "two proxies and a relay" },
	{ DEFAULTS, "--only listeners " PROXY, "--only listeners", "one group" },
	{ DEFAULTS LISTENER("a", "imap", "[::]:1") LIST("a") ".0 = 10.0.0.5\n", WHOLE, "",
	    "the first listener also has a network of its own" },
	{ DEFAULTS "server.proxy.trusted-networks.0 = 10.0.0.5\n", WHOLE, "",
	    "the global list was carried over" },
	{ DEFAULTS LISTENER("out", "smtp", "[::]:2525"), WHOLE "--listener out --listener imap", "",
	    "listeners were named: the snapshot knows them" },
	{ DEFAULTS, WHOLE RELAY "--relay-id second", "",
	    "a relay of another name: the snapshot knows it" },
	{ DEFAULTS, WHOLE "--new-server 192.0.2.5 --allow-new-server", "",
	    "an exemption: the snapshot knows it" },
	{ SMTP IMAP LIST("imap") " = 10.0.0.5\n", "--only listeners " PROXY, "--only listeners",
	    "a scalar became a list" },
};

static void
test_staged(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(staged); i++) {
		struct world w;
		world_begin(&w, staged[i].settings);
		world_stage(&w, pool_printf(&w.pool, "stage %s", staged[i].stage));
		world_plan(&w, plan_status, pool_printf(&w.pool, "status %s", staged[i].status));
		check_staged(&w, staged[i].why);
		CHECK(w.plan.key_count >= w.part.count, "%s: %zu keys of %zu", staged[i].why,
		    w.plan.key_count, w.part.count);
		world_end(&w);
	}
}

/* A listener that came after the stage is wanted too, unless listeners were named then. */
static void
test_newer_listener(void **state)
{
	static const struct {
		const char *stage;
		bool missed;
	} cases[] = { { WHOLE, true }, { WHOLE "--listener http", false },
		{ WHOLE "--relay-listener submission", true } };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct group_count c;
		struct world w;

		world_begin(&w, DEFAULTS);
		world_stage(&w, pool_printf(&w.pool, "stage %s", cases[i].stage));
		world_set(&w, "server.listener.imap2.bind.0", "[::]:1143");
		world_set(&w, "server.listener.imap2.protocol", "imap");
		world_plan(&w, plan_status, "status");
		c = plan_count(&w.plan, GROUP_LISTENERS);
		CHECK((c.right < c.keys) == cases[i].missed, "%s: %zu of %zu", cases[i].stage,
		    c.right, c.keys);
		CHECK(said(&w.plan, MESSAGE_WARNING, "\"imap2\"") == cases[i].missed,
		    "%s: not said", cases[i].stage);
		world_end(&w);
	}
}

/* The server was upgraded after the stage: it reads other keys for the relay now. */
static void
test_upgraded(void **state)
{
	struct group_count c;
	struct world w;

	(void)state;
	world_begin(&w, DEFAULTS);
	w.first = w.last = 12;
	world_stage(&w, "stage " WHOLE RELAY);
	world_plan(&w, plan_status, "status");
	c = plan_count(&w.plan, GROUP_OUTBOUND);
	assert_int_equal(plan_group_state(&c), GROUP_STAGED);
	w.first = w.last = 13;
	world_plan(&w, plan_status, "status");
	c = plan_count(&w.plan, GROUP_OUTBOUND);
	assert_int_not_equal(plan_group_state(&c), GROUP_STAGED);
	c = plan_count(&w.plan, GROUP_CHECKS);
	assert_int_equal(plan_group_state(&c), GROUP_STAGED);
	world_end(&w);
}

/* Nothing staged: nothing right, nothing foreign, no word of what would be done. */
static void
test_not_staged(void **state)
{
	struct world w;
	struct group_count c;
	enum group g;

	(void)state;
	world_begin(&w, DEFAULTS "server.proxy.trusted-networks = 10.0.0.5\n");
	world_plan(&w, plan_status, "status");
	for (g = 0; g < GROUP_COUNT; g++) {
		c = plan_count(&w.plan, g);
		CHECK(!c.right && !c.foreign, "group %s: %zu right, %zu foreign", group_name(g),
		    c.right, c.foreign);
	}
	CHECK(!said(&w.plan, MESSAGE_NOTE, "copied"), "status says that it copies the global list");
	world_end(&w);
}

/* Settings that are strange must not keep status from telling. */
static void
test_strange(void **state)
{
	static const char *const cases[] = {
		SMTP IMAP LIST("imap") ".0 = ::/8\n",
		SMTP IMAP LIST("imap") ".0 = ::ffff:0:0/96\n",
		SMTP IMAP LIST("imap") ".0 = ::ffff:10.0.0.1/50\n",
		SMTP IMAP LIST("imap") ".0 = proxy.example.org\n",
		SMTP IMAP LIST("imap") " = \n",
		SMTP IMAP "http.url = 'javascript:x'\n",
		SMTP IMAP "http.url = '\n",
		SMTP IMAP
		"queue.route.smarthost.address = 192.0.2.1\nqueue.route.smarthost.port = x\n",
		LISTENER("x", "y", "z"),
		"server.listener.x.protocol = imap\n",
		"",
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct world w;
		struct err err;

		world_begin(&w, cases[i]);
		CHECK(
		    world_try(&w, plan_status, "status", &err) == 0, "%s: %s", cases[i], err.text);
		world_end(&w);
	}
}

/* A group that is left out is not looked at, also where the server holds something of it. */
static void
test_left_out(void **state)
{
	static const char *const cases[] = { "status --skip outbound", "status --only checks",
		"status --only listeners,url" };
	struct group_count c;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct world w;

		world_begin(&w, DEFAULTS "queue.route.smarthost.address = other.example.org\n");
		world_plan(&w, plan_status, cases[i]);
		c = plan_count(&w.plan, GROUP_OUTBOUND);
		CHECK(!c.keys, "%s: %zu keys of the group outbound", cases[i], c.keys);
		world_end(&w);
	}
}

/* Values that stood as wanted are told from those that we wrote. */
static void
test_states(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, DEFAULTS "auth.dkim.verify = disable\nauth.arc.verify = strict\n");
	world_plan(&w, plan_status, "status --only checks");
	assert_int_equal(key_of(&w.plan, "auth.dkim.verify")->state, KEY_AS_WANTED);
	assert_int_equal(key_of(&w.plan, "auth.arc.verify")->state, KEY_FOREIGN);
	assert_int_equal(key_of(&w.plan, "auth.dmarc.verify")->state, KEY_MISSING);
	world_stage(&w, "stage --only checks");
	world_plan(&w, plan_status, "status --only checks");
	assert_int_equal(key_of(&w.plan, "auth.dkim.verify")->state, KEY_AS_WANTED);
	assert_int_equal(key_of(&w.plan, "auth.arc.verify")->state, KEY_STAGED);
	world_set(&w, "auth.arc.verify", "relaxed");
	world_plan(&w, plan_status, "status --only checks");
	assert_int_equal(key_of(&w.plan, "auth.arc.verify")->state, KEY_FOREIGN);
	world_end(&w);
}

/* A read-back: every key that is not as planned counts. */
static void
test_compare(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, SMTP IMAP LIST("imap") " = 10.0.0.5\n");
	world_plan(&w, plan_stage, "stage --only listeners,checks " PROXY);
	assert_int_equal(plan_compare(&w.plan, &w.now), 4 + 7);
	assert_int_equal(key_of(&w.plan, LIST("imap"))->state, KEY_LEFTOVER);
	assert_string_equal(key_of(&w.plan, LIST("imap"))->after, "10.0.0.5");
	world_write(&w);
	assert_int_equal(plan_compare(&w.plan, &w.now), 0);
	assert_int_equal(key_of(&w.plan, LIST("imap"))->state, KEY_STAGED);
	world_set(&w, "auth.dkim.verify", "relaxed");
	world_set(&w, "auth.arc.verify", NULL);
	assert_int_equal(plan_compare(&w.plan, &w.now), 2);
	assert_int_equal(key_of(&w.plan, "auth.dkim.verify")->state, KEY_FOREIGN);
	assert_int_equal(key_of(&w.plan, "auth.arc.verify")->state, KEY_MISSING);
	world_end(&w);
}

/* The same after a clear: restored keys, and one that came back. */
static void
test_compare_clear(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, SMTP IMAP "auth.dkim.verify = strict\n");
	world_stage(&w, "stage --only checks");
	world_plan(&w, plan_clear, "clear");
	assert_int_equal(plan_compare(&w.plan, &w.now), 7);
	assert_int_equal(key_of(&w.plan, "auth.arc.verify")->state, KEY_TO_RESTORE);
	world_write(&w);
	world_plan(&w, plan_clear, "clear");
	assert_int_equal(plan_compare(&w.plan, &w.now), 0);
	assert_int_equal(key_of(&w.plan, "auth.dkim.verify")->state, KEY_RESTORED);
	world_end(&w);
}

static void
test_group_states(void **state)
{
	static const struct {
		struct group_count count;
		enum group_state state;
	} cases[] = {
		{ { 0, 0, 0 }, GROUP_NONE },
		{ { 7, 7, 0 }, GROUP_STAGED },
		{ { 7, 0, 0 }, GROUP_NOT_STAGED },
		{ { 7, 3, 0 }, GROUP_PARTLY },
		{ { 7, 0, 1 }, GROUP_PARTLY },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		CHECK(plan_group_state(&cases[i].count) == cases[i].state, "case %zu", i);
}

static void
test_names(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < KEY_STATE_COUNT; i++) {
		assert_non_null(key_state_name((enum key_state)i));
		for (j = 0; j < i; j++)
			assert_string_not_equal(
			    key_state_name((enum key_state)i), key_state_name((enum key_state)j));
	}
}

static planner *real_planner;

static int
plan_without_memory(struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err)
{
	pool->failed = true;
	return real_planner(p, pool, in, err);
}

/* Memory that ran out anywhere: there is no plan. */
static void
test_memory(void **state)
{
	static const struct {
		planner *planner;
		const char *line;
	} cases[] = {
		{ plan_stage, "stage --only checks" },
		{ plan_clear, "clear" },
		{ plan_status, "status" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct err err = { 0 };
		struct world w;

		world_begin(&w, DEFAULTS);
		real_planner = cases[i].planner;
		CHECK(world_try(&w, plan_without_memory, cases[i].line, &err) == -1 &&
			err.code == ENOMEM,
		    "%s: %s", cases[i].line, err.text);
		world_end(&w);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_staged),
		cmocka_unit_test(test_newer_listener),
		cmocka_unit_test(test_upgraded),
		cmocka_unit_test(test_not_staged),
		cmocka_unit_test(test_strange),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_compare_clear),
		cmocka_unit_test(test_group_states),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
