/* test_err.c - failures as data */
#include "help.h"

#include <errno.h>

static void
test_set(void **state)
{
	struct err err = { .kind = ERR_AUTH, .code = 7, .refusal = REFUSAL_CHANGED, .text = "old" };

	(void)state;
	assert_int_equal(err_set(&err, ERR_USAGE, "%s is %d", "a", 1), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	assert_int_equal(err.code, 0);
	assert_int_equal(err.refusal, REFUSAL_NONE);
	assert_string_equal(err.text, "a is 1");
	assert_int_equal(err_system(&err, ERR_REACH, ENOENT, "%s", "f"), -1);
	assert_int_equal(err.kind, ERR_REACH);
	assert_int_equal(err.code, ENOENT);
	assert_string_equal(err.text, "f: No such file or directory");
	err_add(&err, "Look at %s.", "it");
	assert_string_equal(err.text, "f: No such file or directory. Look at it.");
	err_add(&err, "\n  Or %s.", "there");
	assert_string_equal(err.text, "f: No such file or directory. Look at it.\n  Or there.");
	assert_int_equal(err.code, ENOENT);
	assert_int_equal(err_memory(&err), -1);
	assert_int_equal(err.kind, ERR_SYSTEM);
	assert_int_equal(err.code, ENOMEM);
	err_clear(&err);
	assert_true(err.kind == ERR_NONE && !err.code && err.refusal == REFUSAL_NONE && !*err.text);
	err_add(&err, "alone");
	assert_string_equal(err.text, "alone");
	err_add(&err, "(really)");
	assert_string_equal(err.text, "alone (really)");
	err_end(&err);
	assert_string_equal(err.text, "alone (really)");
	err_set(&err, ERR_USAGE, "cut");
	err_end(&err);
	err_end(&err);
	assert_string_equal(err.text, "cut.");
}

static void
test_nobody(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, ERR_USAGE, "x"), -1);
	assert_int_equal(err_system(NULL, ERR_USAGE, ENOENT, "x"), -1);
	assert_int_equal(err_memory(NULL), -1);
	err_add(NULL, "x");
	err_end(NULL);
}

/*
 * A text that does not fit is cut at a character's edge, whatever the character's length and place.
 */
static void
test_cut(void **state)
{
	static const char *const characters[] = { "a", "\xc3\xa4", "\xe2\x82\xac",
		"\xf0\x9f\x98\x80" };
	char text[ERR_TEXT_MAX + 64];
	struct err err;
	size_t i, shift, n, len;

	(void)state;
	for (i = 0; i < COUNT(characters); i++) {
		n = strlen(characters[i]);
		for (shift = 0; shift < n; shift++) {
			memset(text, 'x', shift);
			for (len = shift; len < ERR_TEXT_MAX + 32; len += n)
				memcpy(text + len, characters[i], n + 1);
			err_set(&err, ERR_USAGE, "%s", text);
			len = strlen(err.text);
			CHECK(
			    len < ERR_TEXT_MAX && len >= ERR_TEXT_MAX - 5 && (len - shift) % n == 0,
			    "%s from %zu on: %zu bytes", characters[i], shift, len);
			CHECK(!memcmp(err.text, text, len), "%s from %zu on: another text",
			    characters[i], shift);
			err_add(&err, "%s", text);
			CHECK(strlen(err.text) < ERR_TEXT_MAX, "%s: too long", characters[i]);
			err_system(&err, ERR_USAGE, ENOENT, "%s", text);
			CHECK(strlen(err.text) < ERR_TEXT_MAX, "%s: too long", characters[i]);
		}
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
