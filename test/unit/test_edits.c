/* test_edits.c - changes to a text: in their order, applied, shown as a patch */
#include "help.h"

#include "base/buf.h"
#include "format/edits.h"

enum { EDITS_MAX = 5 };

static const struct {
	const char *text;
	/* in the order of their adding, up to one without a text */
	struct edit edits[EDITS_MAX];
	const char *result, *diff, *why;
} cases[] = {
	{ "a\nb\n", { { 0, 0, NULL } }, "a\nb\n", "", "nothing" },
	{ "a\nb\n", { { 2, 0, "x\n" } }, "a\nx\nb\n", "@@ -1,0 +2 @@\n+x\n", "a line put in" },
	{ "a\nb\n", { { 4, 0, "x\n" } }, "a\nb\nx\n", "@@ -2,0 +3 @@\n+x\n", "at the end" },
	{ "a\nb\n", { { 0, 0, "x\n" } }, "x\na\nb\n", "@@ -0,0 +1 @@\n+x\n", "at the beginning" },
	{ "a\nb\n", { { 0, 2, "" } }, "b\n", "@@ -1 +0,0 @@\n-a\n", "a line taken out" },
	{ "a\nb\n", { { 2, 2, "" } }, "a\n", "@@ -2 +1,0 @@\n-b\n", "the last" },
	{ "a = 1\nb\n", { { 4, 1, "22" } }, "a = 22\nb\n", "@@ -1 +1 @@\n-a = 1\n+a = 22\n",
	    "within a line" },
	{ "a = 1, 2\n", { { 7, 1, "4" }, { 4, 1, "3" } }, "a = 3, 4\n",
	    "@@ -1 +1 @@\n-a = 1, 2\n+a = 3, 4\n", "twice in one, backwards" },
	{ "a\nb\n", { { 2, 2, "" }, { 2, 0, "x\n" } }, "a\nx\n", "@@ -2 +2 @@\n-b\n+x\n",
	    "put in where one goes" },
	{ "a\nb\n", { { 2, 0, "x\n" }, { 2, 2, "" } }, "a\nx\n", "@@ -2 +2 @@\n-b\n+x\n",
	    "the other way round" },
	{ "a\nb\nc\n", { { 0, 2, "" }, { 2, 0, "x\n" }, { 2, 2, "" } }, "x\nc\n",
	    "@@ -1,2 +1 @@\n-a\n-b\n+x\n", "between two that go" },
	{ "a\nb\n", { { 2, 0, "x\n" }, { 2, 0, "y\n" } }, "a\nx\ny\nb\n",
	    "@@ -1,0 +2,2 @@\n+x\n+y\n", "two at one place: in their order" },
	{ "a\nb\nc\nd\n", { { 0, 2, "" }, { 6, 0, "x\n" } }, "b\nc\nx\nd\n",
	    "@@ -1 +0,0 @@\n-a\n@@ -3,0 +3 @@\n+x\n", "far apart" },
	{ "a\nb", { { 3, 0, "\nx" } }, "a\nb\nx",
	    "@@ -2 +2,2 @@\n-b\n\\ No newline at end of file\n+b\n+x\n\\ No newline at end of "
	    "file\n",
	    "no last line end" },
	{ "a\nb\nx", { { 3, 2, "" } }, "a\nb",
	    "@@ -2,2 +2 @@\n-b\n-x\n\\ No newline at end of file\n+b\n\\ No newline at end of "
	    "file\n",
	    "and back" },
	{ "a\r\nb\r\n", { { 3, 0, "#" } }, "a\r\n#b\r\n", "@@ -2 +2 @@\n-b\r\n+#b\r\n", "CRLF" },
	{ "a\nb\nc\n", { { 0, 0, "#" }, { 2, 0, "#" }, { 4, 0, "y\n" } }, "#a\n#b\ny\nc\n",
	    "@@ -1,2 +1,3 @@\n-a\n-b\n+#a\n+#b\n+y\n", "lines made comments" },
};

static void
test_cases(void **state)
{
	static const char head[] = "--- f\n+++ f\n";
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		size_t len = strlen(cases[i].text);
		struct pool pool = { 0 };
		struct edits e = { 0 };
		struct buf out = { 0 };
		struct err err;

		for (j = 0; j < EDITS_MAX && cases[i].edits[j].text; j++)
			assert_int_equal(edits_add(&e, &pool, cases[i].edits[j].at,
					     cases[i].edits[j].len, cases[i].edits[j].text, &err),
			    0);
		edits_apply(&out, &e, cases[i].text, 0, len);
		CHECK(!strcmp(buf_text(&out), cases[i].result), "%s: gives\n%s", cases[i].why,
		    out.data);
		buf_reset(&out);
		edits_diff(&out, &e, "f", cases[i].text, len);
		CHECK(!strncmp(buf_text(&out), head, e.count ? strlen(head) : 0), "%s: begins %s",
		    cases[i].why, out.data);
		CHECK(!strcmp(buf_text(&out) + (e.count ? strlen(head) : 0), cases[i].diff),
		    "%s: shown as\n%s", cases[i].why, out.data);
		buf_free(&out);
		pool_free(&pool);
	}
}

/* A part of the text with the edits that lie in it. */
static void
test_part(void **state)
{
	struct pool pool = { 0 };
	struct edits e = { 0 };
	struct buf out = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(edits_add(&e, &pool, 1, 1, "X", &err), 0);
	assert_int_equal(edits_add(&e, &pool, 4, 1, "Y", &err), 0);
	edits_apply(&out, &e, "abcdef", 2, 5);
	assert_string_equal(buf_text(&out), "cdY");
	buf_reset(&out);
	edits_apply(&out, &e, "abcdef", 0, 4);
	assert_string_equal(buf_text(&out), "aXcd");
	buf_free(&out);
	pool_free(&pool);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases),
		cmocka_unit_test(test_part) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
