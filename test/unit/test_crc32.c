/* test_crc32.c - the checksum, by its published values */
#include "help.h"

#include "format/crc32.h"

static void
test_values(void **state)
{
	static const struct {
		const char *text;
		uint32_t sum;
	} cases[] = {
		{ "", 0 },
		{ "a", 0xe8b7be43 },
		{ "abc", 0x352441c2 },
		{ "123456789", 0xcbf43926 },
		{ "The quick brown fox jumps over the lazy dog", 0x414fa339 },
	};
	unsigned char zeros[32] = { 0 }, ones[32];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		CHECK(crc32(cases[i].text, strlen(cases[i].text)) == cases[i].sum, "\"%s\"",
		    cases[i].text);
	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(crc32(zeros, sizeof(zeros)), 0x190a55ad);
	assert_int_equal(crc32(ones, sizeof(ones)), 0xff6cab0b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_values) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
