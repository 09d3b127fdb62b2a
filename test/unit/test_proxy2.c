/* test_proxy2.c - the PROXY header, byte for byte as proxy-protocol.txt (2.2) has it */
#include "help.h"

#include "format/proxy2.h"

static void
test_local(void **state)
{
	static const unsigned char wanted[] = "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
	unsigned char out[PROXY2_LOCAL_LEN + 1];

	(void)state;
	memset(out, 0xaa, sizeof(out));
	proxy2_local(out);
	assert_int_equal(sizeof(wanted) - 1, PROXY2_LOCAL_LEN);
	assert_memory_equal(out, wanted, PROXY2_LOCAL_LEN);
	assert_int_equal(out[PROXY2_LOCAL_LEN], 0xaa);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_local) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
