/* test_buf.c - bytes that grow, and what happens when the memory runs out */
#include "help.h"

#include "base/buf.h"

/* A sanitizer would end the program where malloc is to fail. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void
test_adding(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_string_equal(buf_text(&b), "");
	buf_str(&b, "");
	assert_string_equal(buf_text(&b), "");
	buf_add(&b, "ab\0c", 4);
	buf_char(&b, 'd');
	buf_printf(&b, "%d%s", 12, "x");
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.data, "ab\0cd12x", 9);
	buf_add(&b, NULL, 0);
	assert_int_equal(b.len, 8);
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_string_equal(buf_text(&b), "");
	buf_str(&b, "again");
	assert_string_equal(buf_text(&b), "again");
	buf_free(&b);
	assert_true(!b.data && !b.len && !b.cap);
	buf_str(&b, "once more");
	assert_string_equal(buf_text(&b), "once more");
	buf_free(&b);
	buf_free(&b);
}

/* Every length on the way up, by every way of adding. */
static void
test_growing(void **state)
{
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 5000; i++) {
		if (i % 3 == 0)
			buf_char(&b, (char)('a' + i % 26));
		else if (i % 3 == 1)
			buf_printf(&b, "%c", (char)('a' + i % 26));
		else
			buf_add(&b, &"abcdefghijklmnopqrstuvwxyz"[i % 26], 1);
		CHECK(b.len == i + 1 && b.data[b.len] == '\0' && b.len < b.cap, "after %zu bytes",
		    i + 1);
	}
	for (i = 0; i < 5000; i++)
		CHECK(b.data[i] == (char)('a' + i % 26), "byte %zu", i);
	buf_printf(&b, "%*s", 100000, "");
	assert_int_equal(b.len, 105000);
	buf_free(&b);
}

static void
test_drop(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_drop(&b, 0);
	buf_str(&b, "secret-rest");
	buf_drop(&b, 7);
	assert_string_equal(buf_text(&b), "rest");
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data + 4, "\0\0\0\0\0\0\0", 7);
	buf_drop(&b, 4);
	assert_string_equal(buf_text(&b), "");
	buf_free(&b);
}

/* What was in it is wiped when it is emptied. */
static void
test_wiped(void **state)
{
	struct buf b = { 0 };
	size_t i;

	(void)state;
	buf_str(&b, "s3cret");
	buf_reset(&b);
	for (i = 0; i < b.cap; i++)
		CHECK(!b.data[i], "byte %zu is left", i);
	buf_free(&b);
}

/* No memory: failed is set once, later additions do nothing, and the text is known to be lost. */
static void
test_memory(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_str(&b, "kept");
	buf_add(&b, "x", SIZE_MAX / 8);
	assert_true(b.failed);
	assert_null(buf_text(&b));
	buf_str(&b, "more");
	buf_printf(&b, "%d", 1);
	assert_int_equal(b.len, 4);
	buf_add(&b, "x", SIZE_MAX - 1);
	assert_true(b.failed);
	buf_reset(&b);
	assert_false(b.failed);
	buf_free(&b);
}

static void
test_shell(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "''" },
		{ "imap", "imap" },
		{ "a b", "'a b'" },
		{ "it's", "'it'\\''s'" },
		{ "$HOME", "'$HOME'" },
		{ "a;b", "'a;b'" },
		{ "*", "'*'" },
		{ "~", "'~'" },
		{ "[a]", "'[a]'" },
		{ "a=b", "a=b" },
		{ "!x", "'!x'" },
		{ "a\\b", "'a\\b'" },
		{ "\xc3\xa4", "'\xc3\xa4'" },
		{ "#x", "'#x'" },
		{ "{a,b}", "'{a,b}'" },
	};
	struct buf out = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		buf_reset(&out);
		buf_shell(&out, cases[i].in);
		CHECK(!strcmp(buf_text(&out), cases[i].out), "%s becomes %s", cases[i].in,
		    buf_text(&out));
	}
	buf_free(&out);
}

/* At most max bytes, whole characters only, one line, nothing that a terminal obeys. */
static void
test_clean(void **state)
{
	static const struct {
		const char *in;
		size_t max;
		const char *out;
	} cases[] = {
		{ "", 0, "" },
		{ "plain \xc3\xa4", (size_t)-1, "plain \xc3\xa4" },
		{ "a\x1b[2J\r\n\t\x7f", (size_t)-1, "a?[2J????" },
		{ "\xc2\x9b\xc2\xa0\xe2\x80\xae", (size_t)-1, "???" },
		{ "\xff\xc3", (size_t)-1, "??" },
		{ "abc", 3, "abc" },
		{ "abcd", 3, "abc\xe2\x80\xa6" },
		{ "ab\xe2\x82\xac", 4, "ab\xe2\x80\xa6" },
	};
	struct buf out = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		buf_reset(&out);
		buf_clean(&out, cases[i].in, strlen(cases[i].in), cases[i].max);
		CHECK(same_text(buf_text(&out), cases[i].out), "case %zu: %s", i, buf_text(&out));
	}
	buf_reset(&out);
	buf_shell_line(&out, "/a b/\n\xe2\x80\xae");
	assert_string_equal(buf_text(&out),
	    "'/a b/?"
	    "?'");
	buf_free(&out);
}

/* What no one can read is not shown whole: an id of a megabyte, for instance. */
static void
test_long_word(void **state)
{
	static const size_t lengths[] = { 4096, 4097, 1048576 };
	static const char *const told[] = { NULL, "\xe2\x80\xa6 4,097 bytes",
		"\xe2\x80\xa6 1,048,576 bytes" };
	struct buf out = { 0 }, text = { 0 }, wanted = { 0 };
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(lengths); i++) {
		buf_reset(&text);
		buf_reset(&wanted);
		buf_reset(&out);
		buf_str(&text, "listener \xc3\xa4");
		for (j = 2; j < lengths[i]; j++)
			buf_char(&text, 'x');
		buf_str(&text, " is long");
		buf_add(&wanted, text.data, told[i] ? 9 + 61 : text.len - 8);
		buf_printf(&wanted, "%s is long", told[i] ? told[i] : "");
		buf_clean(&out, text.data, text.len, (size_t)-1);
		assert_string_equal(buf_text(&out), buf_text(&wanted));
	}
	buf_free(&out);
	buf_free(&text);
	buf_free(&wanted);
}

/* A whole text: its layout stays; JSON tells all, a character above U+FFFF by two escapes. */
static void
test_shown(void **state)
{
	static const struct {
		const char *in, *text, *json;
	} cases[] = {
		{ "a\tb\n", "a\tb\n", "a\\u0009b\n" },
		{ "a\r\nb\r", "a\r\nb?", "a\\u000d\nb\\u000d" },
		{ "\x1b\x7f\xc2\x9b\xc2\x85", "????", "\\u001b\\u007f\\u009b\\u0085" },
		{ "\xe2\x80\xae\xef\xbb\xbf\xf3\xa0\x81\x81",
		    "?"
		    "?"
		    "?",
		    "\\u202e\\ufeff\\udb40\\udc41" },
		{ "\xff\xe2\x82", "???", "\\ufffd\\ufffd\\ufffd" },
		{ "\xf0\x9f\x94\x91", "\xf0\x9f\x94\x91", "\xf0\x9f\x94\x91" },
	};
	struct buf out = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		buf_reset(&out);
		buf_shown(&out, cases[i].in, strlen(cases[i].in), false);
		CHECK(same_text(buf_text(&out), cases[i].text), "case %zu: %s", i, buf_text(&out));
		buf_reset(&out);
		buf_shown(&out, cases[i].in, strlen(cases[i].in), true);
		CHECK(same_text(buf_text(&out), cases[i].json), "case %zu: %s", i, buf_text(&out));
	}
	buf_free(&out);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adding),
		cmocka_unit_test(test_growing),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_wiped),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_shell),
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_long_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
