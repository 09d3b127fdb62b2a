/* test_pool.c - pieces of memory that live and go together */
#include "help.h"

#include <errno.h>
#include <signal.h>

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
	} *items = NULL, *last;
	size_t i, j, count = 0;

	(void)state;
	for (i = 0; i < 1000; i++) {
		last = pool_add(&pool, items, count);
		CHECK(last == &items[i] && count == i + 1, "element %zu is another", i);
		CHECK(!last->value && !last->name[0], "element %zu is not zero", i);
		last->value = (long)i + 1;
		snprintf(last->name, sizeof(last->name), "%zu", i);
		pool_zero(&pool, 8);
	}
	/* Also where one stood that was given up. */
	count = 500;
	last = pool_add(&pool, items, count);
	assert_true(!last->value && !last->name[0]);
	snprintf(last->name, sizeof(last->name), "500");
	last->value = 501;
	for (j = 0; j < 1000; j++)
		CHECK(items[j].value == (long)j + 1 && (size_t)atoi(items[j].name) == j,
		    "element %zu", j);
	pool_free(&pool);
}

static void
test_memory(void **state)
{
	static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 16, SIZE_MAX / 8 };
	struct pool pool = { 0 };
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(sizes); i++) {
		assert_int_equal(pool_check(&pool, &err), 0);
		assert_null(pool_zero(&pool, sizes[i]));
		assert_int_equal(pool_check(&pool, &err), -1);
		assert_true(err.kind == ERR_SYSTEM && err.code == ENOMEM);
		/* It stays known, though there is memory for less. */
		assert_string_equal(pool_str(&pool, "still there"), "still there");
		assert_int_equal(pool_check(&pool, &err), -1);
		pool_free(&pool);
	}
	assert_string_equal(pool_copy(&pool, "lost", SIZE_MAX), "");
	assert_true(pool.failed);
	pool_free(&pool);
	assert_null(pool_grow(&pool, pool_zero(&pool, 1), (size_t)1 << 62, 64));
	assert_true(pool.failed);
	pool_free(&pool);
}

/* An element that there is no room for can be written to, and the array is as it was. */
static void
test_lost(void **state)
{
	static const size_t many = (size_t)1 << 62;
	struct pool pool = { 0 };
	long array[1] = { 7 }, *items = array, *lost;
	size_t count = many;

	(void)state;
	lost = pool_add(&pool, items, count);
	assert_true(pool.failed && count == many && items == array && !*lost);
	*lost = 8;
	assert_int_equal(*(long *)pool_add(&pool, items, count), 0);
	assert_int_equal(array[0], 7);
	pool_free(&pool);
}

/* A signal ends the phase, and nothing is lost by it. */
static void
test_stop(void **state)
{
	static const struct {
		int signal;
		enum err_kind kind;
		int code;
	} cases[] = {
		{ SIGINT, ERR_INTERRUPT, SIGINT },
		{ SIGTERM, ERR_INTERRUPT, SIGTERM },
		{ SIGALRM, ERR_REACH, ETIMEDOUT },
	};
	volatile sig_atomic_t stop = 0;
	struct pool pool = { .stop = &stop };
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		stop = 0;
		assert_int_equal(pool_check(&pool, &err), 0);
		stop = cases[i].signal;
		assert_string_equal(pool_str(&pool, "there"), "there");
		assert_int_equal(pool_check(&pool, &err), -1);
		CHECK(err.kind == cases[i].kind && err.code == cases[i].code, "%s", err.text);
	}
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
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
