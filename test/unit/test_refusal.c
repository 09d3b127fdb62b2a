/* test_refusal.c - the table of refusals: each has a name of its own and a sentence */
#include "help.h"

#include "base/refusal.h"

static void
test_rows(void **state)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	size_t i, j, len;

	(void)state;
	for (i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++) {
		const struct refusal_row *r = &refusals[i];

		CHECK(r->name && strspn(r->name, letters) == strlen(r->name), "row %zu", i);
		CHECK(refusal_find(r->name) == (enum refusal)i, "%s is there twice", r->name);
		len = strlen(r->meaning);
		CHECK(len > 20 && r->meaning[len - 1] == '.', "%s: %s", r->name, r->meaning);
		for (j = 0; j < i; j++)
			CHECK(j == REFUSAL_NONE || strcmp(refusals[j].meaning, r->meaning) != 0,
			    "%s means the same as %s", r->name, refusals[j].name);
	}
	assert_int_equal(refusal_find(""), REFUSAL_NONE);
	assert_int_equal(refusal_find("port"), REFUSAL_NONE);
}

static void
test_way_out(void **state)
{
	char text[80];

	(void)state;
	refusal_way_out(REFUSAL_CHANGED, text, sizeof(text));
	assert_string_equal(text, " To go on anyway: --force changed.");
	refusal_way_out(REFUSAL_PORT_25, text, sizeof(text));
	assert_string_equal(text, " --force does not apply.");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_way_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
