/* test_settings.c - the sorted map of keys and values */
#include "help.h"

#include "format/toml.h"

#define LINES "a.b.c = 3\na = 1\na.b = 2\na-b = 0\nab = 4\nB = 5\n\xc3\xa4 = 6\nz =  \n"

static void
test_order(void **state)
{
	/* as bytes */
	static const char *const order[] = { "B", "a", "a-b", "a.b", "a.b.c", "ab", "z",
		"\xc3\xa4" };
	struct pool pool = { 0 };
	struct settings s;
	size_t i;

	(void)state;
	settings_of(&s, &pool, LINES);
	assert_int_equal(s.count, COUNT(order));
	for (i = 0; i < COUNT(order); i++) {
		CHECK(!strcmp(s.items[i].key, order[i]), "%zu is %s", i, s.items[i].key);
		assert_non_null(settings_get(&s, order[i]));
	}
	assert_string_equal(settings_get(&s, "a.b"), "2");
	assert_string_equal(settings_get(&s, "z"), " ");
	assert_null(settings_get(&s, ""));
	assert_null(settings_get(&s, "a.b."));
	assert_null(settings_get(&s, "A"));
	assert_null(settings_get(&s, "zz"));
	pool_free(&pool);
}

static void
test_wipe(void **state)
{
	struct pool pool = { 0 };
	struct settings s;

	(void)state;
	settings_of(&s, &pool, "a = 1\nb = 2\nc = 3\n");
	settings_wipe(&s, "bb");
	settings_wipe(&s, "d");
	assert_int_equal(s.count, 3);
	settings_wipe(&s, "b");
	assert_null(settings_get(&s, "b"));
	assert_true(s.count == 2 && same_text(settings_get(&s, "c"), "3"));
	settings_wipe(&s, "c");
	settings_wipe(&s, "a");
	settings_wipe(&s, "a");
	assert_int_equal(s.count, 0);
	pool_free(&pool);
}

static void
test_equal(void **state)
{
	static const char *const texts[] = { "", "a = 1\n", "a = 2\n", "b = 1\n",
		"a = 1\nb = 1\n" };
	struct pool pool = { 0 };
	struct settings a, b;
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(texts); i++) {
		for (j = 0; j < COUNT(texts); j++) {
			settings_of(&a, &pool, texts[i]);
			settings_of(&b, &pool, texts[j]);
			CHECK(settings_equal(&a, &b) == (i == j), "%zu and %zu", i, j);
		}
	}
	pool_free(&pool);
}

static void
test_prefixes(void **state)
{
	static const struct {
		const char *prefix;
		size_t first, count;
	} cases[] = {
		{ "a.", 3, 2 },
		{ "a", 1, 5 },
		{ "a.b.", 4, 1 },
		{ "", 0, 8 },
		{ "c", 8, 0 },
		{ "A", 8, 0 },
		{ "a.b.c.", 8, 0 },
		{ "\xc3", 7, 1 },
	};
	struct pool pool = { 0 };
	struct settings s;
	size_t i, j;

	(void)state;
	settings_of(&s, &pool, LINES);
	for (i = 0; i < COUNT(cases); i++) {
		size_t first = settings_first(&s, cases[i].prefix);

		CHECK(first == cases[i].first, "\"%s\": %zu", cases[i].prefix, first);
		for (j = first; settings_below(&s, j, cases[i].prefix); j++)
			;
		CHECK(j - first == cases[i].count, "\"%s\": %zu keys", cases[i].prefix, j - first);
		CHECK(settings_has_prefix(&s, cases[i].prefix) == (cases[i].count != 0),
		    "\"%s\": has", cases[i].prefix);
	}
	assert_string_equal(settings_below(&s, 4, "a.b."), "c");
	assert_string_equal(settings_below(&s, 1, "a"), "");
	assert_null(settings_below(&s, 8, ""));
	assert_null(settings_below(&s, (size_t)-1, ""));
	pool_free(&pool);
}

static void
test_twice(void **state)
{
	struct pool pool = { 0 };
	struct settings s = { 0 };
	struct err err;

	(void)state;
	settings_add(&s, &pool, "a.b", "1");
	settings_add(&s, &pool, "a.c", "1");
	assert_int_equal(settings_sort(&s, &err), 0);
	settings_add(&s, &pool, "a.b", "s3cret");
	assert_int_equal(settings_sort(&s, &err), -1);
	assert_int_equal(err.kind, ERR_SERVER);
	assert_true(has(err.text, "a.b") && !has(err.text, "s3cret"));
	pool_free(&pool);
}

static void
test_empty(void **state)
{
	struct settings s = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(settings_sort(&s, &err), 0);
	assert_null(settings_get(&s, "a"));
	assert_int_equal(settings_first(&s, ""), 0);
	assert_false(settings_has_prefix(&s, ""));
	assert_null(settings_below(&s, 0, ""));
}

static void
test_from_toml(void **state)
{
	static const char text[] = "b = 1\n[t]\na = [2, 'x']\n";
	struct pool pool = { 0 };
	struct settings s;
	struct toml t;
	struct err err;

	(void)state;
	assert_int_equal(toml_read(&t, &pool, "", text, strlen(text), false, &err), 0);
	assert_int_equal(settings_from_toml(&s, &pool, &t, &err), 0);
	assert_int_equal(s.count, 3);
	assert_string_equal(settings_get(&s, "b"), "1");
	assert_string_equal(settings_get(&s, "t.a.0000"), "2");
	assert_string_equal(settings_get(&s, "t.a.0001"), "x");
	pool_free(&pool);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_wipe),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_from_toml),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
