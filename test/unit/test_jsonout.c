/* test_jsonout.c - JSON as it is written: every comma where it belongs */
#include "help.h"

#include "base/buf.h"
#include "format/json.h"
#include "format/jsonout.h"

/* Each kind of value, as a member and as an element; empty ones; lines. */
static void
test_values(void **state)
{
	struct buf out = { 0 };
	struct jsonout j = { .out = &out };
	struct json *doc;

	(void)state;
	buf_str(&out, "in front:");
	jsonout_open(&j, NULL, '{');
	jsonout_text(&j, "a\"", "b\n\xff");
	jsonout_text(&j, "none", NULL);
	jsonout_number(&j, "n", -12);
	jsonout_bool(&j, "t", true);
	jsonout_open(&j, "empty", '[');
	jsonout_close(&j, ']');
	jsonout_open(&j, "all", '[');
	jsonout_text(&j, NULL, "");
	jsonout_number(&j, NULL, 0);
	jsonout_bool(&j, NULL, false);
	jsonout_open(&j, NULL, '{');
	jsonout_close(&j, '}');
	jsonout_open(&j, NULL, '{');
	jsonout_open(&j, "in", '{');
	jsonout_close(&j, '}');
	jsonout_close(&j, '}');
	jsonout_close(&j, ']');
	jsonout_text(&j, "last", "x");
	jsonout_close(&j, '}');
	assert_string_equal(buf_text(&out),
	    "in front:{\"a\\\"\":\"b\\u000a\xef\xbf\xbd\",\"none\":null,\"n\":-12,"
	    "\"t\":true,\"empty\":[],\"all\":[\"\",0,false,{},{\"in\":{}}],\"last\":\"x\"}");
	buf_drop(&out, strlen("in front:"));
	assert_int_equal(json_parse(&doc, out.data, out.len, NULL), 0);
	json_free(doc);
	buf_free(&out);
}

/* A line begins behind the comma, and only where it was asked for. */
static void
test_lines(void **state)
{
	struct buf out = { 0 };
	struct jsonout j = { .out = &out };

	(void)state;
	jsonout_open(&j, NULL, '[');
	jsonout_line(&j);
	jsonout_open(&j, NULL, '[');
	jsonout_number(&j, NULL, 1);
	jsonout_close(&j, ']');
	jsonout_line(&j);
	jsonout_number(&j, NULL, 2);
	jsonout_number(&j, NULL, 3);
	jsonout_line(&j);
	jsonout_close(&j, ']');
	assert_string_equal(buf_text(&out), "[\n[1],\n2,3\n]");
	buf_free(&out);
}

/* A copy of the writer and the length of the text lead back to where it was. */
static void
test_back(void **state)
{
	struct buf out = { 0 };
	struct jsonout j = { .out = &out }, before;
	size_t len;

	(void)state;
	jsonout_open(&j, NULL, '[');
	jsonout_number(&j, NULL, 1);
	before = j;
	len = out.len;
	jsonout_close(&j, ']');
	j = before;
	out.data[out.len = len] = '\0';
	jsonout_number(&j, NULL, 2);
	jsonout_close(&j, ']');
	assert_string_equal(buf_text(&out), "[1,2]");
	buf_free(&out);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
