/* test_toml.c - config.toml by the server's rules (server-facts, "Its TOML reader"), and back */
#include "help.h"

#include "base/buf.h"
#include "format/toml.h"

#include <signal.h>

#define TEN       "0123456789"
#define NINE_DEEP "[[[[[[[[["
#define NINE_UP   "]]]]]]]]]"

/* Keys and values, a line each; the keys are sorted. */
static const struct {
	const char *text, *keys, *why;
} readable[] = {
	{ "", "", "an empty file" },
	{ "# c", "", "a comment without a line end" },
	{ "[a]", "", "a header without one" },
	{ " \t\r\n\n ", "", "blanks" },
	{ "a = 1\n", "a = 1\n", "" },
	{ "a=1 # c\n", "a = 1\n", "a comment behind" },
	{ "a = 1\r\nb = \"x\"\r\n", "a = 1\nb = x\n", "CRLF" },
	{ "a = 1\nb = 2\r\n", "a = 1\nb = 2\n", "mixed" },
	{ "# a\rb = 1\r", "", "CR alone: one comment" },
	{ "\r\ra = 1\n", "a = 1\n", "CR alone is a blank" },
	/* keys */
	{ "a.b-c_d = 1\n", "a.b-c_d = 1\n", "a dotted key" },
	{ "a . b = 1\n", "a.b = 1\n", "blanks in a key vanish" },
	{ "a b = 1\n", "ab = 1\n", "here too" },
	{ "\"a b\".c = 1\n", "a b.c = 1\n", "quotes" },
	{ "a\"b\"c = 1\n", "abc = 1\n", "anywhere" },
	{ "\"a\\\"b\" = 1\n", "a\"b = 1\n", "an escaped quote" },
	{ "\"a\\nb\" = 1\n", "anb = 1\n", "a backslash vanishes" },
	{ "\"a=b#\" = 1\n", "a=b# = 1\n", "what needs quotes" },
	{ "9 = 1\n", "9 = 1\n", "a digit" },
	{ "aB.C = 1\n", "aB.C = 1\n", "a key keeps its case" },
	{ "\"\" \n\n a = 1\n", "a = 1\n", "an empty name, then lines" },
	{ "a\r = 1\n", "a = 1\n", "CR in a key" },
	{ "a:*'[x]{y},@ = 1\n", "a:*'[x]{y},@ = 1\n", "anything, from 0.13 on" },
	{ "a\xc3\xa4 = 1\n", "a\xc3\xa4 = 1\n", "here too" },
	{ "a#b = 1\n", "a#b = 1\n", "no comment" },
	/* bare values */
	{ "a = -1.5e+3\n", "a = -1.5e+3\n", "a number" },
	{ "a = true\n", "a = true\n", "a word" },
	{ "a = .+-\n", "a = .+-\n", "no number" },
	{ "a = \xc3\xa4\xe4\xb8\xad\n", "a = \xc3\xa4\xe4\xb8\xad\n", "letters" },
	{ "a = 2020-01-01T00.5\n", "a = 2020-01-01T00.5\n", "a date" },
	/* strings */
	{ "a = \"\"\nb = ''\n", "a = \nb = \n", "empty" },
	{ "a = \"x'y\"\nb = 'x\"y'\n", "a = x'y\nb = x\"y\n", "the other quote" },
	{ "a = \"\\t\\r\\n\\\"\\\\x\\q\"\n", "a = \t\r\n\"\\xq\n", "escapes" },
	{ "a = '\\t\\'x\\\\'''\n", NULL, "line 1, column 15: ' is not allowed" },
	{ "a = 'it\\'s\\tx'\n", "a = it's\tx\n", "in both kinds" },
	{ "a = \"\\\\n\"\n", "a = \\\n\n", "a backslash and a line feed" },
	{ "a = \"x\ny\"\n", "a = x\ny\n", "a line end" },
	{ "a = \"x\r\ny\"\n", "a = x\ny\n", "CR vanishes" },
	{ "a = \"# [x] = {}\"\n", "a = # [x] = {}\n", "nothing of it counts" },
	{ "a = \"\"\"x\"y\\t\"\"\"\n", "a = x\"y\\t\n", "three quotes: no escapes" },
	{ "a = '''x''y'''\n", "a = x''y\n", "two of three" },
	{ "a = \"\"\"\nx\ny\n\"\"\"\n", "a = x\ny\n\n", "the first line feed goes" },
	{ "a = '''\n\nx'''\n", "a = \nx\n", "only one" },
	{ "a = \"\"\"\r\nx\"\"\"\n", "a = \nx\n", "not with CRLF" },
	{ "a = \"\"\"\"\"\"\n", "a = \n", "six" },
	{ "a = \"%{env:X}%\"\n", "a = %{env:X}%\n", "a macro" },
	/* arrays */
	{ "a = []\n", "", "nothing" },
	{ "a = [1]\n", "a.0000 = 1\n", "one" },
	{ "a = [1, 'b', [2, 3]]\n", "a.0000 = 1\na.0001 = b\na.0002.0000 = 2\na.0002.0001 = 3\n",
	    "nested" },
	{ "a = [\n 1, # c\n # d\n 2,\n]\n", "a.0000 = 1\na.0001 = 2\n", "lines and comments" },
	{ "a = [1 # ]\n]\n", "a.0000 = 1\n", "a comment behind" },
	{ "a = [,1]\n", "a.0001 = 1\n", "a gap counts" },
	{ "a = " NINE_DEEP "1" NINE_UP "\n", "a.0000.0000.0000.0000.0000.0000.0000.0000.0000 = 1\n",
	    "as deep as may be" },
	/* inline tables */
	{ "a = {b = 1, c = {d = 'x'}}\n", "a.b = 1\na.c.d = x\n", "nested" },
	{ "a = {b, \"c d\"}\n", "a.b = \na.c d = \n", "a set" },
	{ "a = {b.c = [1]}\n", "a.b.c.0000 = 1\n", "dotted" },
	{ "a = {\n b = 1,\n c = 2 }\n", "a.b = 1\na.c = 2\n", "lines" },
	{ "a = {b = }\n", "", "no value" },
	{ "a = {b =\n1}\n", "a.b = 1\n", "a value on the next line" },
	/* tables */
	{ "[a]\nb = 1\n[c]\nd = 2\n", "a.b = 1\nc.d = 2\n", "two" },
	{ "[a]\nb = 1\n[a]\nc = 2\n", "a.b = 1\na.c = 2\n", "again" },
	{ "[A.B]\nC = 1\n", "A.b.C = 1\n", "lower case but for the first character" },
	{ "[ a . b ]\nc = 1\n", "a.b.c = 1\n", "blanks" },
	{ "[a.\"B c\"]\nd = 1\n", "a.B c.d = 1\n", "quotes" },
	{ "[a.\"b\\\"c\"]\nd = 1\n", "a.b\"c.d = 1\n", "an escaped one" },
	{ "[a] b = 1\nc = 1\n", "a.c = 1\n", "what is behind is ignored" },
	{ "[a]# x\nb = 1\n", "a.b = 1\n", "a comment" },
	{ "[a]\nb.c = 1\n", "a.b.c = 1\n", "a dotted key falls under it" },
	{ " [a]\n b = 1\n", "a.b = 1\n", "indented" },
	{ "[*a]\nb = 1\n", "*a.b = 1\n", "the first character may be anything" },
	{ "[a\xc3\x84]\nb = 1\n", "a\xc3\x84.b = 1\n", "letters" },
	{ "[[a]]\nb = 1\n[[a]]\nb = 2\n[[c]]\nb = 3\n",
	    "a.0000.b = 1\na.0001.b = 2\nc.0000.b = 3\n", "arrays count" },
	{ "[[a]]\nb = 1\n[x]\n[[a]]\nb = 2\n", "a.0000.b = 1\na.0001.b = 2\n", "on, over a table" },
	{ "[[A.B]]\nc = 1\n", "a.b.0000.c = 1\n", "in an array's name all is lowered" },
	{ "[[\"A\"]]\nc = 1\n", "A.0000.c = 1\n", "quotes" },
};

static const struct {
	const char *text, *said;
} refused[] = {
	{ "a = 1", "line 1, column 6: the file ends" },
	{ "a = \"x\"", "line 1, column 8: the file ends" },
	{ "\na", "line 2, column 2: the file ends" },
	{ "a", "line 1, column 2: the file ends after a name" },
	{ "a\nb = 1\n", "line 1, column 2: the line ends after a name" },
	{ "[a]\nb", "line 2, column 2: the file ends after a name" },
	{ "a = \n1\n", "line 1, column 5: the line ends" },
	{ "= 1\n", "line 1, column 1: = is not allowed at the start of a line" },
	{ "_a = 1\n", "line 1, column 1: _" },
	{ "\xef\xbb\xbf"
	  "a = 1\n",
	    "line 1, column 1: \xef\xbb\xbf is not allowed" },
	{ "\xc3\xa4 = 1\n", "line 1, column 1: \xc3\xa4" },
	{ "a = 1\n  ' = 1\n", "line 2, column 3: '" },
	{ "\"a\nb\" = 1\n", "line 1, column 3: the line ends within a name" },
	{ "a = 1 2\n", "line 1, column 7: 2 is not allowed after a value" },
	{ "a = \"x\"y\n", "line 1, column 8: y" },
	{ "a = %{env:X}%\n", "line 1, column 5: % is not allowed here: expected a value" },
	{ "a = ]\n", "line 1, column 5: ]" },
	{ "a = \"\xc3\xa4\xe4\xb8\xad\" \xf0\x9f\x98\x80\n",
	    "line 1, column 10: \xf0\x9f\x98\x80" },
	{ "a = \xe2\x82\xac\n", "line 1, column 5: \xe2\x82\xac" },
	{ "a = \"x\\\\\"\n", "line 2, column 1: the file ends" },
	{ "a = '''x''\n", "line 2, column 1: the file ends" },
	{ "a = [1\n2]\n", "line 2, column 1: 2 is not allowed after a value" },
	{ "a = [1", "line 1, column 7: the file ends" },
	{ "a = [1}\n", "line 1, column 7: }" },
	{ "a = {}\n", "line 1, column 6: a name is missing" },
	{ "a = {b = 1,}\n", "line 1, column 12: a name is missing" },
	{ "a = {b = 1\n", "line 2, column 1: the file ends" },
	{ "a = {b\n}\n", "line 1, column 7: the line ends after a name" },
	{ "a = [" NINE_DEEP "1" NINE_UP "]\n",
	    "line 1, column 14: arrays and tables are nested deeper than 10" },
	{ "a = {b = " NINE_DEEP "1" NINE_UP "}\n",
	    "line 1, column 18: arrays and tables are nested deeper than 10" },
	{ "[]\n", "line 1, column 3: the line ends" },
	{ "[a\n", "line 1, column 3: the line ends" },
	{ "[a", "line 1, column 3: the file ends" },
	{ "[a:b]\n", "line 1, column 3: : is not allowed in a table's name" },
	{ "[\"a\"]\n", "line 1, column 6: the line ends" },
	{ "[[]]\n", "line 1, column 3: the table has no name" },
	{ "[a.\"b\n\"]\n", "line 1, column 6: the line ends" },
	{ "a = 1\n[b]\n\na = 2\n[c]\n[b]\n\"a\" = 3\n",
	    "lines 4 and 7: the key b.a is given twice" },
	{ "a = {b, b}\n", "lines 1 and 1: the key a.b" },
	{ "a.0000 = 1\na = [2]\n", "lines 1 and 2: the key a.0000 is given twice" },
	{ "[[a]]\nb = 1\n[[c]]\n[[a]]\nb = 2\n", "lines 2 and 5" },
};

static void
check_readable(const char *text, const char *keys, const char *why, bool old_keys)
{
	struct pool pool = { 0 };
	struct buf found = { 0 };
	struct toml t;
	struct err err;
	size_t i;

	CHECK(toml_read(&t, &pool, "", text, strlen(text), old_keys, &err) == 0,
	    "%s: refused: %s\n%s", why, err.text, text);
	for (i = 0; i < t.entry_count; i++) {
		buf_printf(&found, "%s = %s\n", t.entries[i].key, t.entries[i].value);
		CHECK(toml_find(&t, t.entries[i].key) == &t.entries[i], "%s is not found",
		    t.entries[i].key);
	}
	CHECK(!strcmp(found.len ? found.data : "", keys), "%s: reads as\n%s", why, found.data);
	CHECK(!t.no_utf8 && !toml_find(&t, "no.such"), "%s", why);
	buf_free(&found);
	pool_free(&pool);
}

static void
check_refused(const char *text, size_t len, const char *said, bool old_keys)
{
	struct pool pool = { 0 };
	struct toml t;
	struct err err;

	CHECK(toml_read(&t, &pool, "", text, len, old_keys, &err) == -1, "not refused: %s", text);
	CHECK(err.kind == ERR_REFUSED && has(err.text, said), "%s\nis refused with: %s", text,
	    err.text);
	pool_free(&pool);
}

static void
test_readable(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(readable); i++) {
		if (readable[i].keys)
			check_readable(readable[i].text, readable[i].keys, readable[i].why, false);
		else
			check_refused(
			    readable[i].text, strlen(readable[i].text), readable[i].why, false);
	}
}

static void
test_refused(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(refused); i++)
		check_refused(refused[i].text, strlen(refused[i].text), refused[i].said, false);
	check_refused("a\0b = 1\n", 8, "NUL", false);
	check_refused("a = \"x\0y\"\n", 10, "NUL", false);
	check_refused("[a\0]\n", 5, "line 1, column 3", false);
	check_refused("\0", 1, "line 1, column 1", false);
}

/* Servers up to 0.12 take fewer characters in a name without quotes; which a file has is told. */
static void
test_old_keys(void **state)
{
	static const char *const new_keys[] = { "a:b = 1\n", "a\xc3\xa4 = 1\n", "a = {b*c}\n",
		"[a]\n# c\nb@ = 1\n" };
	static const char *const both[] = { "a:b = 1\n" + 7, "\"a:b\" = 1\n", "a_b-c.9 = 'x:y'\n",
		"[a.\"b:c\"]\n", "[\xc3\xa4]\n" };
	struct pool pool = { 0 };
	struct toml t;
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(new_keys); i++) {
		check_refused(new_keys[i], strlen(new_keys[i]), "up to 0.12 refuse it", true);
		assert_int_equal(
		    toml_read(&t, &pool, "", new_keys[i], strlen(new_keys[i]), false, &err), 0);
		CHECK(t.new_keys, "not told: %s", new_keys[i]);
	}
	for (i = 0; i < COUNT(both); i++) {
		CHECK(toml_read(&t, &pool, "", both[i], strlen(both[i]), true, &err) == 0, "%s: %s",
		    both[i], err.text);
		CHECK(!t.new_keys, "told: %s", both[i]);
	}
	pool_free(&pool);
}

/* The server reads such a file as an empty one. */
static void
test_no_utf8(void **state)
{
	static const char *const texts[] = { "a = 1\n# \xff\n", "a = \"\xc3\"\n", "\xc0\x80",
		"# \xed\xa0\x80\n", "a = 1 2\n\xfe" };
	struct pool pool = { 0 };
	struct toml t;
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(texts); i++) {
		CHECK(toml_read(&t, &pool, "", texts[i], strlen(texts[i]), false, &err) == 0, "%s",
		    texts[i]);
		CHECK(t.no_utf8 && !t.entry_count && !t.statement_count, "%s", texts[i]);
	}
	pool_free(&pool);
}

static void
test_long_keys(void **state)
{
	char text[TOML_KEY_MAX + 32];

	(void)state;
	memset(text, 'a', sizeof(text));
	strcpy(text + TOML_KEY_MAX, " = 1\n");
	{
		struct pool pool = { 0 };
		struct toml t;
		struct err err;

		CHECK(
		    toml_read(&t, &pool, "", text, strlen(text), false, &err) == 0, "%s", err.text);
		assert_int_equal(strlen(t.entries[0].key), TOML_KEY_MAX);
		pool_free(&pool);
	}
	strcpy(text + TOML_KEY_MAX, "a = 1\n");
	check_refused(text, strlen(text), "longer than 4096 bytes", false);
	memset(text, 'a', sizeof(text));
	memcpy(text, "[[", 2);
	strcpy(text + TOML_KEY_MAX + 2, "]]\n");
	check_refused(text, strlen(text), "longer than 4095 bytes", false);
}

/* Where each statement and value stands. */
static void
test_places(void **state)
{
	static const char text[] = "a = 1 # x\n\n  [b.c] y\r\n  d = [ 'e',\n {f = \"g\", "
				   "h}]\r\n#stalprep-was\n #stalprep-no\nlast = 2\n# z";
	static const struct {
		enum toml_kind kind;
		const char *lines, *table;
		size_t line, entries;
	} wanted[] = {
		{ TOML_VALUE, "a = 1 # x\n", "", 1, 1 },
		{ TOML_TABLE, "  [b.c] y\r\n", "b.c", 3, 0 },
		{ TOML_VALUE, "  d = [ 'e',\n {f = \"g\", h}]\r\n", "b.c", 4, 3 },
		{ TOML_COMMENT, "#stalprep-was\n", "b.c", 6, 0 },
		{ TOML_VALUE, "last = 2\n", "b.c", 8, 1 },
	};
	static const struct {
		const char *key, *spelled;
	} values[] = {
		{ "a", "1" },
		{ "b.c.d.0000", "'e'" },
		{ "b.c.d.0001.f", "\"g\"" },
		{ "b.c.d.0001.h", "" },
		{ "b.c.last", "2" },
	};
	struct pool pool = { 0 };
	struct toml t;
	struct err err;
	size_t i;

	(void)state;
	CHECK(toml_read(&t, &pool, "", text, strlen(text), false, &err) == 0, "%s", err.text);
	assert_int_equal(t.statement_count, COUNT(wanted));
	for (i = 0; i < COUNT(wanted); i++) {
		const struct toml_statement *s = &t.statements[i];

		CHECK(s->kind == wanted[i].kind && s->line == wanted[i].line &&
			s->entries == wanted[i].entries && !strcmp(s->table, wanted[i].table),
		    "statement %zu", i);
		CHECK(s->end - s->start == strlen(wanted[i].lines) &&
			!memcmp(text + s->start, wanted[i].lines, s->end - s->start),
		    "statement %zu is %.*s", i, (int)(s->end - s->start), text + s->start);
	}
	for (i = 0; i < COUNT(values); i++) {
		const struct toml_entry *e = toml_find(&t, values[i].key);

		CHECK(e && e->len == strlen(values[i].spelled) &&
			!memcmp(text + e->at, values[i].spelled, e->len),
		    "%s", values[i].key);
	}
	pool_free(&pool);
}

/* A text may begin within a table. */
static void
test_table(void **state)
{
	struct pool pool = { 0 };
	struct toml t;
	struct err err;

	(void)state;
	assert_int_equal(toml_read(&t, &pool, "x.y", "b = 1\na = 2\n", 12, false, &err), 0);
	assert_int_equal(t.entry_count, 2);
	assert_string_equal(toml_find(&t, "x.y.a")->value, "2");
	assert_string_equal(toml_find(&t, "x.y.b")->value, "1");
	pool_free(&pool);
}

/* Which part of its key a statement has itself, and lists that are no keys at all. */
static void
test_top(void **state)
{
	static const char text[] = "a.b = 1\nc.d = [1, {e = 2}]\nf = {g.h = 3}\n[t]\nk.l = [ ]\n"
				   "m = {n = [], o = [[]]}\np = [[], 4]\n";
	static const struct {
		const char *key, *top;
	} tops[] = {
		{ "a.b", "a.b" },
		{ "c.d.0000", "c.d" },
		{ "c.d.0001.e", "c.d" },
		{ "f.g.h", "f" },
		{ "t.p.0001", "t.p" },
	};
	struct pool pool = { 0 };
	struct toml t;
	struct err err;
	size_t i;

	(void)state;
	assert_int_equal(toml_read(&t, &pool, "", text, strlen(text), false, &err), 0);
	assert_int_equal(t.entry_count, COUNT(tops));
	for (i = 0; i < COUNT(tops); i++) {
		const struct toml_entry *e = toml_find(&t, tops[i].key);

		CHECK(e && e->top == strlen(tops[i].top), "%s: not %s", tops[i].key, tops[i].top);
	}
	assert_int_equal(t.other_count, 2);
	assert_string_equal(t.others[0].key, "t.k.l");
	assert_string_equal(t.others[1].key, "t.m");
	assert_int_equal(t.statements[t.others[1].statement].line, 6);
	pool_free(&pool);
}

/* ---- what is dropped ---- */

/* How often it was asked, and when to stop: never at 0. */
static unsigned long asked, stop_at;
static volatile sig_atomic_t stop;

/* Keys and tables that begin with k are kept, and what is in s has its place. */
static enum toml_use
use(const void *ctx, const char *key)
{
	(void)ctx;
	if (++asked == stop_at)
		stop = SIGTERM;
	return *key == 'k' || !strcmp(key, "s") || !strncmp(key, "s.k", 3) ? TOML_KEEP
	    : !strncmp(key, "s.", 2)                                       ? TOML_PLACE
									   : TOML_DROP;
}

/* What was seen of dropped keys, of kept ones, and of all that did not fit what it is called. */
static size_t seen[2], strange;

static void
see(void *ctx, const char *key, const char *value, size_t len, bool kept)
{
	(void)ctx;
	seen[kept]++;
	strange += (use(NULL, key) == TOML_KEEP) != kept || memchr(value, '\0', len) || len > 1;
}

static const struct toml_filter filter = { .use = use, .see = see };

/* Numbers of kept statements' lines. */
static const struct {
	const char *text, *keys, *others, *lines, *why;
} some[] = {
	{ "k = 1\nx = 2\n", "k", "x", "1 2", "one at the root" },
	{ "k1 = 1\na = 1\nb = 1\nc = 1\nd = 1\nk2 = 1\ne = 1\n", "k1 k2", "a d e", "1 2 5 6 7",
	    "the first and last of a row" },
	{ "a = 1\nb = 1\ns.a = 1\ns.b = 1\ns.c = 1\nc = 1\n", "", "a b c s.a s.c", "1 2 3 5 6",
	    "rows of two kinds" },
	{ "a = 1\nb = 1\nc = 1\n#stalprep-x\nd = 1\n", "", "a c d", "1 3 4 5",
	    "a comment between" },
	{ "[t]\na = 1\n[k]\na = 1\n[u]\na = 1\n[s]\na = 1\nb = 1\nc = 1\n[s.t]\na = 1\n", "k.a",
	    "s.a s.c", "1 3 4 7 8 10", "tables: the first counts" },
	{ "x = 1\n[t]\n[t]\n[[u]]\n[[k]]\na = 1\n[[k]]\na = 1\n", "k.0000.a k.0001.a", "x",
	    "1 2 5 6 7 8", "lists of tables" },
	{ "s = {a = 1, k = 2, b = 3}\ns.x = {y = 1, z = 2}\n", "s.k", "s.x", "1 2",
	    "in one statement" },
	{ "k = []\nx = []\ns = {x = 1}\n[s]\ny = []\n", "", "k s s.y x", "1 2 3 4 5",
	    "without an entry" },
	{ "[t]\nx = [1, 2]\n#stalprep-x\n", "", "", "1 3", "a comment in a table" },
};

static void
test_some(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(some); i++) {
		struct buf keys = { 0 }, others = { 0 }, lines = { 0 };
		struct pool pool = { 0 };
		struct toml t, all;
		struct err err;

		seen[false] = seen[true] = strange = 0;
		CHECK(toml_read_some(&t, &pool, &filter, "", some[i].text, strlen(some[i].text),
			  false, &err) == 0 &&
			toml_read(
			    &all, &pool, "", some[i].text, strlen(some[i].text), false, &err) == 0,
		    "%s: %s", some[i].why, err.text);
		for (j = 0; j < t.entry_count; j++)
			buf_printf(&keys, "%s%s", j ? " " : "", t.entries[j].key);
		for (j = 0; j < t.other_count; j++)
			buf_printf(&others, "%s%s", j ? " " : "", t.others[j].key);
		for (j = 0; j < t.statement_count; j++)
			buf_printf(&lines, "%s%u", j ? " " : "", t.statements[j].line);
		CHECK(!strcmp(buf_text(&keys), some[i].keys), "%s: %s", some[i].why, keys.data);
		CHECK(
		    !strcmp(buf_text(&others), some[i].others), "%s: %s", some[i].why, others.data);
		CHECK(!strcmp(buf_text(&lines), some[i].lines), "%s: %s", some[i].why, lines.data);
		CHECK(t.dropped == all.entry_count - t.entry_count, "%s", some[i].why);
		CHECK(seen[false] == t.dropped && seen[true] == t.entry_count && !strange,
		    "%s: %zu and %zu seen", some[i].why, seen[false], seen[true]);
		for (j = 0; j < t.other_count; j++) {
			const struct toml_entry *e = &t.others[j];
			const struct toml_statement *s = &t.statements[e->statement];

			CHECK(strlen(e->key) == e->top && !*e->value && s->kind == TOML_VALUE &&
				(!*s->table || !strcmp(s->table, "s")) &&
				some[i].text[s->start] == e->key[*s->table ? 2 : 0],
			    "%s: %s", some[i].why, e->key);
		}
		buf_free(&keys);
		buf_free(&others);
		buf_free(&lines);
		pool_free(&pool);
	}
}

/* The same faults are found in what is dropped: also a key that is given twice, wherever it is. */
static void
test_dropped_faults(void **state)
{
	enum { MANY = 6000 };
	struct buf text = { 0 }, said = { 0 };
	struct pool pool = { 0 };
	struct toml t;
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(refused); i++) {
		CHECK(toml_read_some(&t, &pool, &filter, "", refused[i].text,
			  strlen(refused[i].text), false, &err) == -1 &&
			has(err.text, refused[i].said),
		    "%s: %s", refused[i].text, err.text);
	}
	/* short lines, so that the table of hashes takes several rounds */
	buf_str(&text, "[k]\n");
	for (i = 0; i < MANY; i++)
		buf_printf(&text, "[a%zx]\nb=[1,2,3,4]\n", i);
	asked = 0;
	CHECK(toml_read_some(&t, &pool, &filter, "", text.data, text.len, false, &err) == 0 &&
		t.dropped == 4 * MANY && t.statement_count == 1,
	    "%s", err.text);
	CHECK(asked > 4 * 5 * MANY, "%lu: one round", asked);
	for (i = 0; i < MANY; i += MANY / 40) {
		size_t len = text.len;

		buf_printf(&text, "[a%zx]\n\nb.0002=1\n", i);
		buf_printf(&said, "lines %zu and %d: the key a%zx.b.0002 is given twice", 2 * i + 3,
		    2 * MANY + 4, i);
		CHECK(toml_read_some(&t, &pool, &filter, "", text.data, text.len, false, &err) ==
			    -1 &&
			has(err.text, said.data),
		    "%s is not found, but %s", said.data, err.text);
		text.len = len;
		buf_reset(&said);
	}
	buf_free(&text);
	buf_free(&said);
	pool_free(&pool);
}

/* The digest is that of dropped keys and values alone, and shows any change of them. */
static void
test_digest(void **state)
{
	static const char *const same[] = { "a = 1\nk = 1\n[t]\nb = 'x'\n",
		"k = 2\na = '1' # c\nk2 = 3\nt.b = \"x\"\n", "a = 1\n\n[t]\nb = x\n[k]\nx = []\n" };
	static const char *const others[] = { "a = 1\n", "a = 2\nt.b = 'x'\n", "a = 1\nt.c = 'x'\n",
		"t.b = 'x'\na = 1\n", "a = 1\nt.b = ''\n", "a = '1t.b'\n", "",
		"a = 1\nt.b = 'x'\nc = ''\n" };
	struct pool pool = { 0 };
	struct toml t;
	struct err err;
	uint64_t digest = 0;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(same) + COUNT(others); i++) {
		const char *text = i < COUNT(same) ? same[i] : others[i - COUNT(same)];

		CHECK(toml_read_some(&t, &pool, &filter, "", text, strlen(text), false, &err) == 0,
		    "%s", err.text);
		digest = i ? digest : t.digest;
		CHECK((t.digest == digest) == (i < COUNT(same)), "%s", text);
	}
	pool_free(&pool);
}

static const struct {
	const char *name, *written;
} names[] = {
	{ "a", "a" },
	{ "a_c-9", "a_c-9" },
	{ "a.b", "\"a.b\"" },
	{ "A", "\"A\"" },
	{ "a b", "\"a b\"" },
	{ "a:b", "\"a:b\"" },
	{ "a\"b", "\"a\\\"b\"" },
	{ "", "\"\"" },
	{ "_a", "\"_a\"" },
	{ "-a", "\"-a\"" },
	{ "9", "9" },
	{ "\xc3\xa4", "\"\xc3\xa4\"" },
	{ "a=b", "\"a=b\"" },
	{ "#", "\"#\"" },
};

static void
test_write_name(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(names); i++) {
		struct pool pool = { 0 };
		struct buf out = { 0 };
		struct toml t;
		struct err err;

		toml_write_name(&out, names[i].name, strlen(names[i].name));
		CHECK(!strcmp(buf_text(&out), names[i].written), "%s is written %s", names[i].name,
		    out.data);
		buf_str(&out, " = 1\n");
		if (*names[i].name) {
			CHECK(toml_read(&t, &pool, "", out.data, out.len, true, &err) == 0,
			    "%s: %s", out.data, err.text);
			CHECK(!strcmp(t.entries[0].key, names[i].name), "%s reads as %s", out.data,
			    t.entries[0].key);
		}
		buf_free(&out);
		pool_free(&pool);
	}
}

static const struct {
	const char *value, *written; /* NULL: it can't be */
} values[] = {
	{ "", "\"\"" },
	{ "true", "true" },
	{ "false", "false" },
	{ "25", "25" },
	{ "-1", "\"-1\"" },
	{ "True", "\"True\"" },
	{ "a b", "\"a b\"" },
	{ "'https://x'", "\"'https://x'\"" },
	{ "a\"b", "\"a\\\"b\"" },
	{ "C:\\dir", "\"C:\\\\dir\"" },
	{ "C:\\new", "'''C:\\new'''" },
	{ "\\", "'''\\'''" },
	{ "\\\\", "'''\\\\'''" },
	{ "\\n", "'''\\n'''" },
	{ "a\nb", "'''a\nb'''" },
	{ "\n", "'''\n\n'''" },
	{ "a'''\nb", "\"\"\"a'''\nb\"\"\"" },
	{ "0", "0" },
	{ "0025", "\"0025\"" },
	{ "1234567890123456789", "\"1234567890123456789\"" },
	{ "\t", "\"\t\"" },
	{ "\xc3\xa4", "\"\xc3\xa4\"" },
	{ "\\'", "\"\\\\'\"" },
	{ "''' \\", "\"\"\"''' \\\"\"\"" },
	{ "\n\\", "'''\n\n\\'''" },
	{ "''' \"\"\" \\", NULL },
	{ "a\rb", NULL },
};

static void
test_write_value(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(values); i++) {
		struct pool pool = { 0 };
		struct buf out = { 0 };
		struct toml t;
		struct err err;
		int r;

		buf_str(&out, "k = ");
		r = toml_write_value(&out, values[i].value);
		CHECK((r == 0) == (values[i].written != NULL), "%s: %d, %s", values[i].value, r,
		    buf_text(&out));
		CHECK(!strcmp(buf_text(&out) + 4, values[i].written ? values[i].written : ""),
		    "%s is written %s", values[i].value, buf_text(&out));
		buf_char(&out, '\n');
		if (r == 0) {
			CHECK(toml_read(&t, &pool, "", out.data, out.len, true, &err) == 0,
			    "%s: %s", out.data, err.text);
			CHECK(!strcmp(t.entries[0].value, values[i].value), "%s reads as %s",
			    out.data, t.entries[0].value);
		}
		buf_free(&out);
		pool_free(&pool);
	}
}

/* A signal ends it at once, in each time that it goes through the text. */
static void
test_stop(void **state)
{
	enum { LINES = 1500, STEPS = 50 };
	struct buf text = { 0 };
	struct pool pool = { .stop = &stop };
	unsigned long all, at;
	struct toml t;
	struct err err;
	int i;

	(void)state;
	for (i = 0; i < LINES; i++)
		buf_printf(&text, "[a%x]\nb=1\nc=[1,2]\n[k%x]\nb=1\n", i, i);
	asked = 0;
	CHECK(toml_read_some(&t, &pool, &filter, "", text.data, text.len, false, &err) == 0, "%s",
	    err.text);
	all = asked;
	for (at = 1; at < all; at += all / STEPS) {
		stop = 0;
		asked = 0;
		stop_at = at;
		CHECK(toml_read_some(&t, &pool, &filter, "", text.data, text.len, false, &err) ==
			    -1 &&
			err.kind == ERR_INTERRUPT && err.code == SIGTERM,
		    "at %lu: not stopped", at);
		CHECK(asked <= at + 1, "at %lu: stopped after %lu more", at, asked - at);
	}
	stop_at = 0;
	stop = SIGTERM;
	assert_int_equal(toml_read(&t, &pool, "", "a = 1\nb = \"", 11, false, &err), -1);
	CHECK(err.kind == ERR_INTERRUPT, "%s", err.text);
	buf_free(&text);
	pool_free(&pool);
}

/* Four times as much text is four times the work: so often the filter is asked. */
static void
test_work(void **state)
{
	enum { DROPPED = 2000, KEPT = 400 };
	static const char *const lines[][2] = { { "a", "=1\n" }, { "k", "=1\n" }, { "[a", "]\n" },
		{ "[k", "]\nb=1\n" }, { "s.b", "=1\n" }, { "a", "=[1,2,3,4,5,6]\n" },
		{ "k", "=[1,2,3,4,5,6]\n" }, { "#stalprep-was: a", "=1\n" } };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lines); i++) {
		const int few = strchr(lines[i][0], 'k') ? KEPT : DROPPED;
		unsigned long once[2];
		int many, n;

		for (many = 0; many < 2; many++) {
			struct buf text = { 0 };
			struct pool pool = { 0 };
			struct toml t;
			struct err err;

			for (n = 0; n < (many ? 4 : 1) * few; n++)
				buf_printf(&text, "%s%d%s", lines[i][0], n + 10000, lines[i][1]);
			asked = 0;
			CHECK(toml_read_some(
				  &t, &pool, &filter, "", text.data, text.len, false, &err) == 0,
			    "%s: %s", lines[i][0], err.text);
			once[many] = asked;
			buf_free(&text);
			pool_free(&pool);
		}
		CHECK(once[1] <= 5 * once[0] + 10, "%s: %lu, then %lu", lines[i][0], once[0],
		    once[1]);
	}
}

/* Its memory is what is kept of the text: no room for more, and nothing that was outgrown. */
static void
test_memory(void **state)
{
	enum { LINES = 100000 };
	struct buf text = { 0 };
	struct pool pool = { 0 };
	size_t most = LINES * (sizeof(struct toml_statement) + sizeof(struct toml_entry));
	const void *block;
	struct toml t;
	struct err err;
	int i;

	(void)state;
	for (i = 0; i < LINES; i++)
		buf_printf(&text, "key%d = \"a value\"\n", i);
	assert_int_equal(toml_read(&t, &pool, "", text.data, text.len, false, &err), 0);
	assert_int_equal(t.entry_count, LINES);
	most += text.len; /* keys and values; the rest of a line is longer than two NULs */
	for (block = pool.blocks; block; memcpy(&block, block, sizeof(block)))
		most -= ((const size_t *)block)[1]; /* bytes in use: the second member */
	CHECK(most < SIZE_MAX / 2, "%zu bytes too many", (size_t)0 - most);
	buf_free(&text);
	pool_free(&pool);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readable),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_old_keys),
		cmocka_unit_test(test_no_utf8),
		cmocka_unit_test(test_long_keys),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_top),
		cmocka_unit_test(test_some),
		cmocka_unit_test(test_dropped_faults),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_write_name),
		cmocka_unit_test(test_write_value),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
