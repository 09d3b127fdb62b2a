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

/* At most max bytes, whole characters only, nothing that a terminal obeys. */
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
		{ "a\x1b[2J\r\n\x7f", (size_t)-1, "a?[2J???" },
		{ "\xc2\x9b\xc2\xa0", (size_t)-1, "?\xc2\xa0" },
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
		say_clean(&out, cases[i].in, strlen(cases[i].in), cases[i].max);
		CHECK(same_text(buf_text(&out), cases[i].out), "case %zu: %s", i, buf_text(&out));
	}
	buf_free(&out);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
