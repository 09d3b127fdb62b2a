/* test_message.c - what a run has to say, as data */
#include "help.h"

#include "settings/message.h"

static void
test_messages(void **state)
{
	struct messages m = { 0 };
	struct pool pool = { 0 };
	struct err err;
	size_t i;

	(void)state;
	assert_int_equal(message_refusals(&m), 0);
	message_add(&m, &pool, MESSAGE_NOTE, "%s", "a note");
	message_refuse(&m, &pool, REFUSAL_PORT_25, false, "no 25.");
	message_refuse(&m, &pool, REFUSAL_CHANGED, false, "no.");
	message_add(&m, &pool, MESSAGE_ERROR, "%*s", 9000, "long");
	assert_int_equal(m.count, 4);
	assert_int_equal(message_refusals(&m), 2);
	m.items[2].forced = true;
	assert_int_equal(message_refusals(&m), 1);
	assert_int_equal(m.items[0].level, MESSAGE_NOTE);
	assert_null(m.items[0].target);
	assert_string_equal(m.items[0].text, "a note");
	assert_int_equal(m.items[1].refusal, REFUSAL_PORT_25);
	assert_string_equal(m.items[1].text, "no 25.");
	assert_string_equal(m.items[2].text, "no.");
	assert_int_equal(strlen(m.items[3].text), 9000);
	for (i = 4; i < 500; i++)
		message_add(&m, &pool, MESSAGE_NOTE, "%zu", i);
	assert_int_equal(m.count, 500);
	assert_string_equal(m.items[1].text, "no 25.");
	assert_string_equal(m.items[499].text, "499");
	assert_int_equal(pool_check(&pool, &err), 0);
	pool_free(&pool);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_messages) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
