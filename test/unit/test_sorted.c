/* test_sorted.c - numbers by a key */
#include "help.h"

#include "base/sorted.h"

/* In any order of adding they are found, and stand in order. */
static void
test_orders(void **state)
{
	enum { N = 101 };
	static char keys[N][8];
	int step, i;

	(void)state;
	for (i = 0; i < N; i++)
		snprintf(keys[i], sizeof(keys[i]), "k%03d", 2 * i);
	for (step = 1; step < N; step += 10) {
		struct pool pool = { 0 };
		struct sorted s = { 0 };

		assert_int_equal(sorted_from(&s, "k"), 0);
		assert_null(sorted_find(&s, "k"));
		for (i = 0; i < N; i++)
			sorted_add(&s, &pool, keys[i * step % N], (size_t)(i * step % N));
		assert_int_equal(s.count, N);
		for (i = 0; i < N; i++) {
			const struct sorted_item *found = sorted_find(&s, keys[i]);

			CHECK(found && found->number == (size_t)i && found == &s.items[i],
			    "step %d: %s", step, keys[i]);
			assert_int_equal(sorted_from(&s, keys[i]), i);
		}
		assert_int_equal(sorted_from(&s, ""), 0);
		assert_int_equal(sorted_from(&s, "k001"), 1);
		assert_int_equal(sorted_from(&s, "l"), N);
		assert_null(sorted_find(&s, "k001"));
		assert_null(sorted_find(&s, "k00"));
		pool_free(&pool);
	}
}

static void
test_bytes(void **state)
{
	struct pool pool = { 0 };
	struct sorted s = { 0 };

	(void)state;
	sorted_add(&s, &pool, "\xc3\xa4", 1);
	sorted_add(&s, &pool, "", 2);
	sorted_add(&s, &pool, "z", 3);
	sorted_add(&s, &pool, "z", 4);
	assert_true(s.items[0].number == 2 && s.items[3].number == 1);
	assert_int_equal(sorted_from(&s, "z"), 1);
	assert_int_equal(s.count, 4);
	pool_free(&pool);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
