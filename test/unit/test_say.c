/* test_say.c - lines on standard error: each begins alike, and none can be made to look like
 * another */
#include "help.h"

#include "base/buf.h"
#include "cmd/say.h"

static void
test_messages(void **state)
{
	struct messages m = { 0 };
	struct pool pool = { 0 };
	struct buf out = { 0 };

	(void)state;
	message_add(&m, &pool, MESSAGE_NOTE, "a note");
	message_add(&m, &pool, MESSAGE_WARNING, "a warning");
	message_refuse(&m, &pool, REFUSAL_CHANGED, true, "a refusal\n2");
	message_add(&m, &pool, MESSAGE_ERROR, "an\n\n  error\n stage: \n  \x1b");
	m.items[3].target = "https://b.example";
	say_format(&out, "stage", &m, MESSAGE_NOTE);
	assert_string_equal(buf_text(&out),
	    "stalprep stage: a note\n"
	    "stalprep stage: warning: a warning\n"
	    "stalprep stage: forced (changed): a refusal?2\n"
	    "stalprep stage: https://b.example: an?\n"
	    "stalprep stage:   error? stage: \n"
	    "stalprep stage:   ?\n");
	buf_reset(&out);
	m.items[2].forced = false;
	say_format(&out, "stage", &m, MESSAGE_REFUSAL);
	assert_string_equal(buf_text(&out),
	    "stalprep stage: refused (changed): a refusal?2\n"
	    "stalprep stage: https://b.example: an?\n"
	    "stalprep stage:   error? stage: \n"
	    "stalprep stage:   ?\n");
	buf_free(&out);
	pool_free(&pool);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
