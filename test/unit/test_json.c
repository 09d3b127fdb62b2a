/* test_json.c - what is JSON and what is not, reading it, and writing strings */
#include "help.h"

#include "base/buf.h"
#include "format/json.h"

/* Parse a copy without a byte behind it, so that a sanitizer sees what is read beyond its end. */
static int
parse(struct json **doc, const char *text, size_t len, struct err *err)
{
	char *copy = malloc(len ? len : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, text, len);
	r = json_parse(doc, copy, len, err);
	free(copy);
	return r;
}

static const char *const good[] = {
	"{}",
	"[]",
	"null",
	"true",
	"false",
	"0",
	"-0",
	"1.5e+10",
	"\"\"",
	" \t\r\n{ } \n",
	"[1,2,3]",
	"{\"data\":{\"a.b\":\"c\"}}",
	"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"",
	"\"\\ud83d\\ude00\"",
	"\"\xf0\x9f\x98\x80\"",
	"\"\\u0001\"",
	"{\"\":1}",
	"{\"a\":1,\"A\":2}",
	"{\"a\":{\"a\":1}}",
	"[{\"a\":1},{\"a\":1}]",
	"\"\x7f\"",
	"[[],{},[[]]]",
};

static void
test_good(void **state)
{
	struct err err = { 0 };
	struct json *doc;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(good); i++) {
		CHECK(parse(&doc, good[i], strlen(good[i]), &err) == 0 && doc, "%s: %s", good[i],
		    err.text);
		json_free(doc);
	}
}

/* A text with its length, as it may hold a NUL. */
#define T(text) { text, sizeof(text) - 1 }

static const struct {
	const char *text;
	size_t len;
} bad[] = {
	T(""),
	T(" "),
	T("{"),
	T("}"),
	T("["),
	T("]"),
	T("{]"),
	T("[}"),
	T("[1"),
	T("{\"a\""),
	T("{\"a\":"),
	T("{\"a\":1"),
	T("\""),
	T("\"a"),
	T("'a'"),
	T("a"),
	T("nul"),
	T("nulll"),
	T("True"),
	T("NaN"),
	T("Infinity"),
	T("-"),
	T("+1"),
	T("01"),
	T("-01"),
	T("1."),
	T(".5"),
	T("1e"),
	T("1e+"),
	T("0x10"),
	T("1_000"),
	T("--1"),
	T("1-2"),
	T("1e5e5"),
	T("1.5.5"),
	T("[1,]"),
	T("[,1]"),
	T("[1,,2]"),
	T("[1 2]"),
	T("[1:2]"),
	T("[truefalse]"),
	T("{\"a\":1,}"),
	T("{,}"),
	T("{\"a\" 1}"),
	T("{a:1}"),
	T("{1:1}"),
	T("{\"a\":1 \"b\":2}"),
	T("{\"a\",1}"),
	T("{null:1}"),
	T("1 2"),
	T("{}{}"),
	T("{}]"),
	T("{}x"),
	T("{}\0"),
	T("\0"),
	T("\"a\0b\""),
	T("\"\\u0000\""),
	T("{\"\\u0000\":1}"),
	T("[\0]"),
	T("\"\\x41\""),
	T("\"\\u12\""),
	T("\"\\u12g4\""),
	T("\"\\U0041\""),
	T("\"\\"),
	T("\"\\u"),
	T("\"\\u004"),
	T("\"\\ud800\""),
	T("\"\\udc00\""),
	T("\"\\ud800\\ud800\""),
	T("\"\\ud800\\u0041\""),
	T("\"\\ud800x\""),
	T("\"\\udc00\\ud800\""),
	T("\"\\ud800\\n\""),
	T("\"\n\""),
	T("\"\t\""),
	T("\"\x01\""),
	T("\"\x1f\""),
	T("{\"a\nb\":1}"),
	T("\"\xff\""),
	T("\"\xc3\""),
	T("\"\xc3(\""),
	T("\"\xc0\x80\""),
	T("\"\xe0\x80\x80\""),
	T("\"\xed\xa0\x80\""),
	T("\"\xf4\x90\x80\x80\""),
	T("\"\x80\""),
	T("{\"\xff\":1}"),
	T("\xef\xbb\xbf{}"),
	T("\xc2\xa0{}"),
	T("{}\x0c"),
	T("\x0b{}"),
	T("// c\n{}"),
	T("/**/{}"),
	T("{}#"),
	T("{\"a\":1,\"a\":1}"),
	T("{\"a\":1,\"b\":2,\"a\":3}"),
	T("{\"a\":1,\"\\u0061\":2}"),
	T("[{\"x\":{\"a\":1,\"a\":2}}]"),
	T("{\"\":1,\"\":2}"),
};

static void
test_bad(void **state)
{
	struct err err;
	struct json *doc;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++) {
		doc = (struct json *)&err;
		CHECK(parse(&doc, bad[i].text, bad[i].len, &err) == -1 && !doc,
		    "case %zu is taken: %s", i, bad[i].text);
		CHECK(err.kind == ERR_SERVER && *err.text, "case %zu: kind %d", i, err.kind);
		CHECK(parse(&doc, bad[i].text, bad[i].len, NULL) == -1, "case %zu without err", i);
	}
}

/* Every beginning of a good text is bad, or good in itself. */
static void
test_cut(void **state)
{
	static const char text[] =
	    "{\"data\":{\"a.b\":\"\\ud83d\\ude00\xc3\xa4\",\"c\":[true,null,-1.5e3]},\"x\":\"y\"}";
	struct json *doc;
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(text) - 1; len++)
		CHECK(parse(&doc, text, len, NULL) == -1, "the first %zu bytes are taken", len);
	assert_int_equal(parse(&doc, text, len, NULL), 0);
	json_free(doc);
}

static void
test_bounds(void **state)
{
	struct buf text = { 0 };
	struct json *doc;
	int i, deep;

	(void)state;
	for (deep = JSON_DEPTH_MAX; deep <= JSON_DEPTH_MAX + 1; deep++) {
		buf_reset(&text);
		for (i = 0; i < deep; i++)
			buf_str(&text, i % 2 ? "{\"a\":" : "[");
		buf_str(&text, "1");
		for (i = deep; i-- > 0;)
			buf_str(&text, i % 2 ? "}" : "]");
		assert_int_equal(
		    parse(&doc, text.data, text.len, NULL), deep > JSON_DEPTH_MAX ? -1 : 0);
		json_free(doc);
	}
	for (i = JSON_NUMBER_MAX; i <= JSON_NUMBER_MAX + 1; i++) {
		buf_reset(&text);
		buf_printf(&text, "[1%0*d]", i - 1, 0);
		assert_int_equal(
		    parse(&doc, text.data, text.len, NULL), i > JSON_NUMBER_MAX ? -1 : 0);
		json_free(doc);
	}
	buf_reset(&text);
	buf_printf(&text, "[%0*d]", 300, 0);
	assert_int_equal(parse(&doc, text.data, text.len, NULL), -1);
	buf_free(&text);
}

/* The members of an object that are taken, as "name=value;". */
static int
take(void *ctx, const char *name, const char *value, struct err *err)
{
	if (!strcmp(name, "stop"))
		return err_set(err, ERR_REACH, "stopped");
	buf_printf(ctx, "%s=%s;", name, value);
	return 0;
}

static const struct {
	const char *text, *taken, *why; /* NULL: not taken, for that reason */
} takes[] = {
	{ "{\"data\":{\"items\":{}}}", "", NULL },
	{ " { \"data\" : { \"n\" : [1,{\"items\":{\"no\":\"no\"}}] , \"items\" : { \"a\" : \"b\" , "
	  "\"c\":\"\" } } } ",
	    "a=b;c=;", NULL },
	{ "{\"data\":{\"items\":{\"\\u00e4\\ud83d\\ude00\":\"\\\"\\\\\\n\",\"a\":\"\\u0001x\"}},"
	  "\"e\":1}",
	    "\xc3\xa4\xf0\x9f\x98\x80=\"\\\n;a=\x01x;", NULL },
	{ "{\"x\":\"}\",\"data\":{\"items\":{\"a\":\"b\",\"a\":\"b\"}}}", "a=b;a=b;", NULL },
	{ "{\"data\":null}", "", NULL },
	{ "{\"data\":{\"items\":[]}}", "", NULL },
	{ "{\"error\":\"x\"}", "", NULL },
	{ "{\"data\":{\"items\":{\"a\":1}}}", NULL, "not text" },
	{ "{\"data\":{\"items\":{\"a\":\"b\",}}}", NULL, "syntax" },
	{ "{\"data\":{\"items\":{\"a\" \"b\"}}}", NULL, "syntax" },
	{ "{\"data\":{\"items\":{\"a\":\"b\"", NULL, "syntax" },
	{ "{\"data\":{\"items\":{\"a\":\"b\"}}", NULL, "early" },
	{ "{\"data\":{\"items\":{\"a\":\"b\"}}}}", NULL, "bracket" },
	{ "{\"data\":{\"items\":{\"a\":\"b\"}}} x", NULL, "unexpected" },
	{ "{\"data\":{\"items\":{\"a\":\"\\u0000\"}}}", NULL, "NUL" },
	{ "{\"data\":{\"items\":{\"a\":\"\xff\"}}}", NULL, "UTF-8" },
	{ "{\"data\":{\"items\":{\"a\":\"b\"}},\"data\":{\"items\":{}}}", NULL, "twice" },
	{ "{\"data\":{\"items\":{\"stop\":\"b\"}}}", NULL, "stopped" },
	{ "", NULL, "syntax" },
};

static void
test_take(void **state)
{
	static const char *const path[] = { "data", "items", NULL };
	size_t i, len;

	(void)state;
	for (i = 0; i < COUNT(takes); i++) {
		struct buf taken = { 0 };
		struct err err = { 0 };
		struct json *rest;
		char *copy;
		int r;

		len = strlen(takes[i].text);
		copy = malloc(len + !len);
		assert_non_null(copy);
		memcpy(copy, takes[i].text, len);
		r = json_take(&rest, copy, len, path, take, &taken, &err);
		CHECK((r == 0) == !takes[i].why, "%s: %s", takes[i].text, err.text);
		CHECK(takes[i].why ? has(err.text, takes[i].why)
				   : !strcmp(buf_text(&taken), takes[i].taken),
		    "%s: %s, %s", takes[i].text, buf_text(&taken), err.text);
		CHECK(r == 0 || !rest, "%s: a document", takes[i].text);
		json_free(rest);
		buf_free(&taken);
		free(copy);
	}
}

static void
test_longest(void **state)
{
	char *text = malloc(JSON_MAX + 1);
	struct json *doc;

	(void)state;
	assert_non_null(text);
	memset(text, 'a', JSON_MAX + 1);
	text[0] = text[JSON_MAX - 1] = '"';
	assert_int_equal(json_parse(&doc, text, JSON_MAX, NULL), 0);
	assert_int_equal(strlen(json_string(doc)), JSON_MAX - 2);
	json_free(doc);
	text[JSON_MAX - 1] = 'a';
	text[JSON_MAX] = '"';
	assert_int_equal(json_parse(&doc, text, JSON_MAX + 1, NULL), -1);
	free(text);
}

static void
test_reading(void **state)
{
	static const char text[] = "{\"s\":\"a\\u00e4\\n\",\"n\":12,\"t\":true,\"f\":false,\"z\":"
				   "null,\"l\":[1,\"2\"],\"o\":{\"S\":\"x\"}}";
	const struct json *j;
	struct json *doc;
	long long n;
	bool b;

	(void)state;
	assert_int_equal(parse(&doc, text, strlen(text), NULL), 0);
	assert_string_equal(json_string(json_member(doc, "s")), "a\xc3\xa4\n");
	assert_null(json_member(doc, "S"));
	assert_null(json_member(NULL, "s"));
	assert_null(json_member(json_member(doc, "l"), "s"));
	assert_null(json_member(json_member(doc, "s"), "s"));
	assert_null(json_string(json_member(doc, "n")));
	assert_null(json_string(NULL));
	assert_true(json_integer(json_member(doc, "n"), &n) && n == 12);
	assert_false(json_integer(json_member(doc, "s"), &n));
	assert_true(json_is_bool(json_member(doc, "t"), &b) && b);
	assert_true(json_is_bool(json_member(doc, "f"), &b) && !b);
	assert_false(json_is_bool(json_member(doc, "z"), &b));
	assert_true(json_is_null(json_member(doc, "z")));
	assert_false(json_is_null(json_member(doc, "none")));
	assert_true(json_is_array(json_member(doc, "l")) && !json_is_object(json_member(doc, "l")));
	assert_true(json_is_object(json_member(doc, "o")) && !json_is_array(json_member(doc, "o")));
	j = json_first(json_member(doc, "l"));
	assert_true(json_integer(j, &n) && n == 1 && !json_name(j));
	j = json_next(j);
	assert_string_equal(json_string(j), "2");
	assert_null(json_next(j));
	assert_string_equal(json_name(json_first(doc)), "s");
	assert_null(json_first(NULL));
	json_free(doc);
	json_free(NULL);
}

static void
test_integers(void **state)
{
	static const struct {
		const char *text;
		bool is;
		long long value;
	} cases[] = {
		{ "0", true, 0 },
		{ "-0", true, 0 },
		{ "-1", true, -1 },
		{ "9007199254740992", true, 9007199254740992 },
		{ "9007199254740994", false, 0 },
		{ "-0.5", false, 0 },
		{ "9007199254740991", true, 9007199254740991 },
		{ "-9007199254740991", true, -9007199254740991 },
		{ "1.5", false, 0 },
		{ "1e-2", false, 0 },
		{ "18014398509481984", false, 0 },
		{ "1e999", false, 0 },
		{ "-1e999", false, 0 },
		{ "9223372036854775808", false, 0 },
		{ "\"1\"", false, 0 },
		{ "null", false, 0 },
	};
	struct json *doc;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		long long value = 77;

		assert_int_equal(parse(&doc, cases[i].text, strlen(cases[i].text), NULL), 0);
		CHECK(json_integer(doc, &value) == cases[i].is &&
			(!cases[i].is || value == cases[i].value),
		    "%s: %lld", cases[i].text, value);
		json_free(doc);
	}
}

/* A distribution's cJSON reads these by strtod, as the whole numbers that they are. */
static void
test_whole(void **state)
{
	static const struct {
		const char *text;
		long long value;
	} cases[] = { { "1e2", 100 }, { "1.0", 1 } };
	struct json *doc;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		long long value;

		assert_int_equal(parse(&doc, cases[i].text, strlen(cases[i].text), NULL), 0);
		if (json_integer(doc, &value))
			CHECK(value == cases[i].value, "%s: %lld", cases[i].text, value);
		json_free(doc);
	}
}

static void
test_quote(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ NULL, "null" },
		{ "", "\"\"" },
		{ "a", "\"a\"" },
		{ "\"\\/", "\"\\\"\\\\/\"" },
		{ "\x01\x1f\x7f\n", "\"\\u0001\\u001f\\u007f\\u000a\"" },
		{ "\xc3\xa4\xf0\x9f\x98\x80", "\"\xc3\xa4\xf0\x9f\x98\x80\"" },
		{ "a\xff"
		  "b",
		    "\"a\xef\xbf\xbd"
		    "b\"" },
		{ "\xc3", "\"\xef\xbf\xbd\"" },
		{ "\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "'https://x'", "\"'https://x'\"" },
	};
	struct buf out = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		buf_reset(&out);
		json_quote(&out, cases[i].in);
		CHECK(!strcmp(buf_text(&out), cases[i].out), "case %zu: %s", i, buf_text(&out));
	}
	buf_free(&out);
}

/* What is written is read back as the same bytes. */
static void
test_quote_round_trip(void **state)
{
	struct buf out = { 0 };
	struct json *doc;
	char text[256];
	int c;

	(void)state;
	for (c = 1; c < 128; c++)
		text[c - 1] = (char)c;
	text[127] = '\0';
	strcat(text, "\xc2\x80\xef\xbf\xbf\xf4\x8f\xbf\xbf");
	json_quote(&out, text);
	assert_int_equal(parse(&doc, out.data, out.len, NULL), 0);
	assert_string_equal(json_string(doc), text);
	json_free(doc);
	buf_free(&out);
}

/*
 * An answer with thousands of settings is read in no time: member names are not compared with each
 * other.
 */
static void
test_many(void **state)
{
	struct buf text = { 0 };
	struct json *doc;
	int i;

	(void)state;
	buf_str(&text, "{");
	for (i = 0; i < 100000; i++)
		buf_printf(&text, "%s\"key.%d\":\"v\"", i ? "," : "", i);
	buf_str(&text, "}");
	assert_int_equal(parse(&doc, text.data, text.len, NULL), 0);
	json_free(doc);
	buf_free(&text);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_quote_round_trip),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
