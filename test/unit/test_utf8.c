/* test_utf8.c - what is UTF-8 (RFC 3629) */
#include "help.h"

#include "base/utf8.h"

static const struct {
	const char *text;
	size_t len, is;
} cases[] = {
	{ "a", 1, 1 },
	{ "\0", 1, 1 },
	{ "\x7f", 1, 1 },
	{ "ab", 2, 1 },
	{ "\xc2\x80", 2, 2 },
	{ "\xdf\xbf", 2, 2 },
	{ "\xe0\xa0\x80", 3, 3 },
	{ "\xed\x9f\xbf", 3, 3 },
	{ "\xee\x80\x80", 3, 3 },
	{ "\xef\xbf\xbf", 3, 3 },
	{ "\xf0\x90\x80\x80", 4, 4 },
	{ "\xf4\x8f\xbf\xbf", 4, 4 },
	{ "\xc2\x80z", 3, 2 },
	/* overlong */
	{ "\x80", 1, 0 },
	{ "\xbf", 1, 0 },
	{ "\xc0\x80", 2, 0 },
	{ "\xc1\xbf", 2, 0 },
	{ "\xe0\x80\x80", 3, 0 },
	{ "\xe0\x9f\xbf", 3, 0 },
	{ "\xf0\x80\x80\x80", 4, 0 },
	{ "\xf0\x8f\xbf\xbf", 4, 0 },
	{ "\xed\xa0\x80", 3, 0 },
	{ "\xed\xbf\xbf", 3, 0 }, /* surrogates */
	{ "\xf4\x90\x80\x80", 4, 0 },
	{ "\xf5\x80\x80\x80", 4, 0 },
	{ "\xff", 1, 0 },
	{ "\xfe", 1, 0 },
	{ "\xc2", 1, 0 },
	{ "\xe2\x82", 2, 0 },
	{ "\xf0\x9f\x98", 3, 0 }, /* cut */
	{ "\xc2z", 2, 0 },
	{ "\xe2z\x82", 3, 0 },
	{ "\xe2\x82z", 3, 0 },
	{ "\xf0\x9f\x98z", 4, 0 },
	{ "\xc2\xc2", 2, 0 },
};

static void
test_cases(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		/* so that a sanitizer sees a read behind its end */
		char *copy = malloc(cases[i].len);

		memcpy(copy, cases[i].text, cases[i].len);
		CHECK(utf8_length(copy, cases[i].len) == cases[i].is, "case %zu: %zu", i,
		    utf8_length(copy, cases[i].len));
		free(copy);
	}
}

/* Every code point that there is has one form, and no other two to four bytes are one. */
static void
test_all(void **state)
{
	unsigned long c, good = 0;
	char s[4];

	(void)state;
	for (c = 0; c < 0x1000000; c++) {
		s[0] = (char)(c >> 16);
		s[1] = (char)(c >> 8);
		s[2] = (char)c;
		good += utf8_length(s, 3) == 3;
	}
	assert_int_equal(good, 0x10000 - 0x800 - 0x800);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases),
		cmocka_unit_test(test_all) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
