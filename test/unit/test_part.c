/* test_part.c - what a stage changed in one place: what a value says, what is left of it when */
#include "help.h"

#include "settings/part.h"

static void
test_find(void **state)
{
	static const struct part_key strict = { .key = "auth.dkim.verify",
		.before = "strict",
		.group = GROUP_CHECKS },
				     url = { .key = "http.url", .group = GROUP_URL, .local = true };
	struct pool pool = { 0 };
	struct part p = { 0 };

	(void)state;
	assert_int_equal(part_groups(&p), 0);
	assert_null(part_find(&p, "auth.dkim.verify"));
	part_add(&p, &pool, &strict);
	part_add(&p, &pool, &url);
	assert_string_equal(part_find(&p, "auth.dkim.verify")->before, "strict");
	assert_null(part_find(&p, "auth.dkim"));
	assert_null(part_find(&p, "auth.dkim.verify.0"));
	assert_int_equal(part_groups(&p), 1u << GROUP_CHECKS | 1u << GROUP_URL);
	pool_free(&pool);
}

static void
test_listeners(void **state)
{
	static const struct part_listener imap = { .id = "imap", .chosen = true },
					  smtp = { .id = "smtp" };
	struct pool pool = { 0 };
	struct part p = { 0 };

	(void)state;
	part_add_listener(&p, &pool, &imap);
	part_add_listener(&p, &pool, &smtp);
	assert_int_equal(p.listener_count, 2);
	assert_string_equal(p.listeners[0].id, "imap");
	assert_true(p.listeners[0].chosen && !p.listeners[1].chosen);
	pool_free(&pool);
}

/*
 * What we may have left under a key that was "b", was written as "w", and held "s" when the last
 * write was planned.
 */
static void
test_accounts_for(void **state)
{
	static const struct part_key k = { "k", "b", "w", GROUP_CHECKS, false, NULL, "s", false },
				     added = { "k", NULL, "w", GROUP_CHECKS, false, NULL, NULL,
					     false };

	(void)state;
	assert_true(
	    part_accounts_for(&k, "b") && part_accounts_for(&k, "w") && part_accounts_for(&k, "s"));
	assert_false(
	    part_accounts_for(&k, "x") || part_accounts_for(&k, NULL) || part_accounts_for(&k, ""));
	assert_true(part_accounts_for(&added, NULL) && !part_accounts_for(&added, ""));
}

/* What is left of a part when its plan was never sent, and when all of it is proved. */
static void
test_settled(void **state)
{
	static const struct {
		const char *before, *written, *maybe_present;
		/* what counts as written then; "-": the key leaves it */
		const char *unsent, *proved;
		const char *why;
	} cases[] = {
		{ NULL, "w", NULL, "-", "w", "a first stage" },
		{ "b", "w", "b", "-", "w", "a first stage over a value" },
		{ NULL, "w", "old", "old", "w", "staged again, otherwise" },
		{ NULL, "w", "w", "w", "w", "staged again, the same" },
		{ "b", "b", "old", "old", "-", "goes back" },
		{ "b", "w", NULL, NULL, "w", "was removed by us" },
		{ NULL, NULL, NULL, "-", "-", "went back before" },
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		for (j = 0; j < 2; j++) {
			struct part_key key = { "k", cases[i].before, cases[i].written,
				GROUP_LISTENERS, true, NULL, cases[i].maybe_present, false };
			struct part s = { .keys = &key, .count = 1 };
			const char *wanted = j ? cases[i].proved : cases[i].unsent;
			bool gone = same_text(wanted, "-");

			if (j)
				part_mark_written(&s, 1u << GROUP_LISTENERS);
			else
				part_forget_plan(&s);
			CHECK(s.count == !gone, "%s: %zu keys", cases[i].why, s.count);
			CHECK(gone ||
				(same_text(key.written, wanted) &&
				    same_text(key.maybe_present, key.before)),
			    "%s: %s", cases[i].why, shown(key.written));
			CHECK(s.state == (!j && !gone ? PART_PROVED : PART_PLANNED), "%s: state",
			    cases[i].why);
		}
	}
}

/* A value that stood in the database and was written again is there for certain, once proved. */
static void
test_written_again(void **state)
{
	struct part_key keys[] = {
		{ "a", "w", "w", GROUP_CHECKS, false, NULL, "w", false },
		{ "b", NULL, NULL, GROUP_CHECKS, false, NULL, NULL, false },
		{ "c", "w", "w", GROUP_CHECKS, true, NULL, NULL, false },
	};
	struct part p = { .keys = keys, .count = COUNT(keys) };

	(void)state;
	part_mark_written(&p, 1u << GROUP_CHECKS);
	assert_int_equal(p.count, 1);
	assert_string_equal(p.keys[0].key, "a");
	part_forget_plan(&p);
	assert_int_equal(p.count, 0);
}

/*
 * A write that was cut off leaves it open which of its values a key holds, until its group is
 * proved.
 */
static void
test_open(void **state)
{
	struct part_key keys[] = {
		{ "k", "b", "b", GROUP_CHECKS, true, NULL, "s", false },
		{ "l", NULL, "w", GROUP_LISTENERS, false, NULL, NULL, false },
	};
	struct part s = { .state = PART_SENDING, .keys = keys, .count = COUNT(keys) };

	(void)state;
	assert_true(part_is_uncertain(&s, 0) && part_is_uncertain(&s, 1u << GROUP_LISTENERS));
	assert_false(part_is_uncertain(&s, 1u << GROUP_CHECKS));
	part_mark_written(&s, 1u << GROUP_LISTENERS);
	assert_int_equal(s.count, 2);
	part_mark_written(&s, 1u << GROUP_CHECKS);
	assert_int_equal(s.count, 1);
	assert_false(part_is_uncertain(&s, 0));
}

/* A key whose original is not known stays one until its clear. */
static void
test_unknown(void **state)
{
	struct part_key key = { "k", NULL, "w", GROUP_CHECKS, false, NULL, "w", true };
	struct part p = { .keys = &key, .count = 1 };

	(void)state;
	assert_true(part_accounts_for(&key, "w") && part_accounts_for(&key, NULL));
	part_forget_plan(&p);
	assert_int_equal(p.count, 1);
	part_mark_written(&p, ~0u);
	assert_int_equal(p.count, 1);
	assert_true(p.keys[0].unknown && same_text(p.keys[0].written, "w"));
}

static void
test_states(void **state)
{
	(void)state;
	assert_string_equal(part_state_name(PART_PLANNED), "planned");
	assert_string_equal(part_state_name(PART_SENDING), "sending");
	assert_string_equal(part_state_name(PART_PROVED), "proved");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_accounts_for),
		cmocka_unit_test(test_settled),
		cmocka_unit_test(test_written_again),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
