/* test_pool.c - pieces of memory that live and go together */
#include "help.h"

const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

/* Zeroed, aligned, and none over another one. */
static void
test_pieces(void **state)
{
	static const size_t sizes[] = { 0, 1, 7, 16, 17, 100, 4096, 16384, 16385, 100000 };
	unsigned char *pieces[200];
	struct pool pool = { 0 };
	size_t i, j, n;

	(void)state;
	for (i = 0; i < COUNT(pieces); i++) {
		n = sizes[i % COUNT(sizes)];
		pieces[i] = pool_zero(&pool, n);
		assert_non_null(pieces[i]);
		CHECK((uintptr_t)pieces[i] % _Alignof(max_align_t) == 0, "piece %zu is not aligned",
		    i);
		for (j = 0; j < n; j++)
			CHECK(!pieces[i][j], "piece %zu is not zero", i);
		memset(pieces[i], (int)i, n);
	}
	for (i = 0; i < COUNT(pieces); i++) {
		for (j = 0; j < sizes[i % COUNT(sizes)]; j++)
			CHECK(pieces[i][j] == (unsigned char)i, "piece %zu was written over", i);
	}
	pool_free(&pool);
	assert_null(pool.blocks);
	pool_free(&pool);
}

static void
test_texts(void **state)
{
	struct pool pool = { 0 };

	(void)state;
	assert_string_equal(pool_str(&pool, ""), "");
	assert_string_equal(pool_str(&pool, "abc"), "abc");
	assert_string_equal(pool_copy(&pool, "abcdef", 3), "abc");
	assert_string_equal(pool_copy(&pool, "", 0), "");
	assert_memory_equal(pool_copy(&pool, "a\0b", 3), "a\0b\0", 4);
	assert_string_equal(pool_printf(&pool, "%d-%s", 7, "x"), "7-x");
	assert_int_equal(strlen(pool_printf(&pool, "%*s", 50000, "")), 50000);
	pool_free(&pool);
}

/* An array that grows keeps its elements; each new one is zero. */
static void
test_grow(void **state)
{
	struct pool pool = { 0 };
	struct {
		char name[24];
		long value;
	} *items = NULL;
	size_t i, j;

	(void)state;
	for (i = 0; i < 1000; i++) {
		items = pool_grow(&pool, items, i, sizeof(*items));
		assert_non_null(items);
		CHECK(!items[i].value && !items[i].name[0], "element %zu is not zero", i);
		items[i].value = (long)i + 1;
		snprintf(items[i].name, sizeof(items[i].name), "%zu", i);
		pool_zero(&pool, 8);
	}
	for (j = 0; j < 1000; j++)
		CHECK(items[j].value == (long)j + 1 && (size_t)atoi(items[j].name) == j,
		    "element %zu", j);
	pool_free(&pool);
}

static void
test_memory(void **state)
{
	struct pool pool = { 0 };

	(void)state;
	assert_null(pool_zero(&pool, SIZE_MAX));
	assert_null(pool_zero(&pool, SIZE_MAX - 16));
	assert_null(pool_zero(&pool, SIZE_MAX / 8));
	assert_null(pool_grow(&pool, pool_zero(&pool, 1), (size_t)1 << 62, 64));
	assert_string_equal(pool_str(&pool, "still there"), "still there");
	pool_free(&pool);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_grow),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
