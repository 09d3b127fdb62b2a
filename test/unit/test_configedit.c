/*
 * test_configedit.c - plans carried out in a config.toml's text, by tables: the text, what is
 * changed, the text after it
 */
#include "help.h"

#include "base/buf.h"
#include "format/edits.h"
#include "format/toml.h"
#include "plan/configedit.h"
#include "plan/plan_clear.h"
#include "plan/plan_stage.h"
#include "plan/plan_status.h"
#include "settings/part.h"

enum { KEYS_MAX = 12 };

#define BEGIN "#stalprep-begin: what stalprep put here; stalprep clear takes it out again\n"
#define END   "#stalprep-end\n"
#define WAS   "#stalprep-was: "
#define IMAP  "server.listener.imap.proxy."
#define NET   "\"10.0.0.1/32\""

/* A text with a plan that was made by hand. */
struct bench {
	struct pool pool;
	struct toml toml;
	struct plan plan;
	struct plan_key keys[KEYS_MAX];
	struct part snapshot;
	struct edits edits;
	struct buf out;
	struct err err;
};

/*
 * changes: "key = value" lines, "key" alone for one that goes; in front of a key "~" where
 * something stood before the first stage, "@" for a listener's.
 */
static void
plan_of(struct bench *b, const char *changes)
{
	b->plan.keys = b->keys;
	while (*changes) {
		struct plan_key *k = &b->keys[b->plan.key_count++];
		size_t len = strcspn(changes, "\n");
		char *line = pool_copy(&b->pool, changes, len), *equals = strstr(line, " = ");

		assert_true(b->plan.key_count <= KEYS_MAX);
		changes += len + (changes[len] == '\n');
		k->group = *line == '@' ? GROUP_LISTENERS : GROUP_CHECKS;
		line += *line == '@';
		k->original = *line == '~' ? "before" : NULL;
		line += *line == '~';
		if (equals)
			*equals = '\0';
		k->key = line;
		k->wanted = equals ? equals + 3 : NULL;
		k->write = true;
	}
}

static int
edit(struct bench *b, const char *text, const char *changes, bool clearing)
{
	struct configedit c = { .text = text,
		.len = strlen(text),
		.toml = &b->toml,
		.plan = &b->plan,
		.snapshot = &b->snapshot };

	plan_of(b, changes);
	b->plan.clearing = clearing;
	CHECK(toml_read(&b->toml, &b->pool, "", text, strlen(text), false, &b->err) == 0, "%s\n%s",
	    b->err.text, text);
	return configedit_make(&c, &b->pool, &b->edits, &b->out, &b->err);
}

static void
bench_end(struct bench *b)
{
	buf_free(&b->out);
	pool_free(&b->pool);
}

static const struct {
	const char *why, *text, *changes, *result;
} cases[] = {
	/* in place */
	{ "a value", "a = 1 # c\n", "a = 2", "a = 2 # c\n" },
	{ "quotes, as it needs", "a = 'x'\n", "a = y\"z", "a = \"y\\\"z\"\n" },
	{ "the key's own spelling", "\"a\" . b = 1\n", "a.b = x", "\"a\" . b = \"x\"\n" },
	{ "in an array", "a = [ 1,\n 2 ] # c\n", "a.0001 = 3", "a = [ 1,\n 3 ] # c\n" },
	{ "in an inline table", "a = { b = 1, c = {d = \"x\"} }\n", "a.c.d = y",
	    "a = { b = 1, c = {d = \"y\"} }\n" },
	{ "two of a statement", "a = [1, 2]\n", "a.0001 = 4\na.0000 = 3", "a = [3, 4]\n" },
	{ "over several lines", "a = \"\"\"\nx\ny\"\"\" # c\n", "a = z", "a = \"z\" # c\n" },
	{ "below a table's name in capitals", "[A.B]\nC = 1\n", "A.b.C = 2", "[A.B]\nC = 2\n" },
	{ "in an array of tables", "[[a]]\nb = 1\n[[a]]\nb = 1\n", "a.0001.b = 2",
	    "[[a]]\nb = 1\n[[a]]\nb = 2\n" },
	/* a listener's new keys */
	{ "in its table", "[server.listener.imap]\nbind = 1\n# c\n\n[x]\n", "@" IMAP "a = 1",
	    "[server.listener.imap]\nbind = 1\nproxy.a = 1\n# c\n\n[x]\n" },
	{ "in the nearer table",
	    "server.listener.imap.x = 1\n[server.listener.imap]\nbind = "
	    "1\n[server.listener]\nimap.y = 1\n",
	    "@" IMAP "a = 1",
	    "server.listener.imap.x = 1\n[server.listener.imap]\nbind = 1\nproxy.a = "
	    "1\n[server.listener]\nimap.y = 1\n" },
	{ "behind an inline table", "[server]\nlistener.imap = {bind = 1}\n", "@" IMAP "a = 1",
	    "[server]\nlistener.imap = {bind = 1}\nlistener.imap.proxy.a = 1\n" },
	{ "not below its own table",
	    "[server.listener.imap.tls]\nx = 1\n[server.listener]\nimap.y = 1\n", "@" IMAP "a = 1",
	    "[server.listener.imap.tls]\nx = 1\n[server.listener]\nimap.y = 1\nimap.proxy.a = "
	    "1\n" },
	{ "dotted keys alone", "server.listener.imap.bind = 1\nx = 1\n", "@" IMAP "a = 1",
	    "server.listener.imap.bind = 1\nserver.listener.imap.proxy.a = 1\nx = 1\n" },
	{ "behind several lines", "[server.listener.imap]\nbind = [\n 1 # c\n]\nx.y = '''\n'''\n",
	    "@" IMAP "a = 1",
	    "[server.listener.imap]\nbind = [\n 1 # c\n]\nx.y = '''\n'''\nproxy.a = 1\n" },
	{ "two, in their order", "[server.listener.imap]\nbind = 1\n",
	    "@" IMAP "b = 1\n@" IMAP "a = 2",
	    "[server.listener.imap]\nbind = 1\nproxy.b = 1\nproxy.a = 2\n" },
	{ "a name in quotes", "[server.listener.\"a b\"]\nbind = 1\n",
	    "@server.listener.a b.proxy.x = 1",
	    "[server.listener.\"a b\"]\nbind = 1\nproxy.x = 1\n" },
	{ "a name in quotes, dotted", "[server]\nlistener.\"a b\".bind = 1\n",
	    "@server.listener.a b.proxy.x = 1",
	    "[server]\nlistener.\"a b\".bind = 1\n\"listener.a b.proxy.x\" = 1\n" },
	{ "not another of like name",
	    "[server.listener.imap2]\nb = 1\n[server.listener.imap]\nb = 1\n", "@" IMAP "a = 1",
	    "[server.listener.imap2]\nb = 1\n[server.listener.imap]\nb = 1\nproxy.a = 1\n" },
	{ "CRLF", "[server.listener.imap]\r\nbind = 1\r\n", "@" IMAP "a = 1",
	    "[server.listener.imap]\r\nbind = 1\r\nproxy.a = 1\r\n" },
	{ "mixed: as the last that has one", "[server.listener.imap]\nbind = 1\n[x]\r\n# c",
	    "@" IMAP "a = 1", "[server.listener.imap]\nbind = 1\nproxy.a = 1\r\n[x]\r\n# c" },
	/* the block */
	{ "at the end", "[x]\ny = 1\n", "a.b = 1\na.c = x\nd.e = 2",
	    "[x]\ny = 1\n" BEGIN "[a]\nb = 1\nc = \"x\"\n[d]\ne = 2\n" END },
	{ "behind a last line without an end", "[x]\n# c", "a.b = 1",
	    "[x]\n# c\n" BEGIN "[a]\nb = 1\n#stalprep-end" },
	{ "CRLF", "[x]\r\n", "a.b = 1",
	    "[x]\r\n#stalprep-begin: what stalprep put here; stalprep clear takes it out "
	    "again\r\n[a]\r\nb = 1\r\n#stalprep-end\r\n" },
	{ "extended", "[x]\n" BEGIN "[a]\nb = 1\n" END "[y]\n", "a.c = 1\nd.e = 1",
	    "[x]\n" BEGIN "[a]\nb = 1\nc = 1\n[d]\ne = 1\n" END "[y]\n" },
	{ "partly taken out", "[x]\n" BEGIN "[a]\nb = 1\nc = 1\n[d]\ne = 1\n" END, "a.b\nd.e",
	    "[x]\n" BEGIN "[a]\nc = 1\n[d]\n" END },
	{ "taken out", "[x]\n" BEGIN "[a]\nb = 1\n[d]\ne = 1\n" END "[y]\n", "a.b\nd.e",
	    "[x]\n[y]\n" },
	{ "taken out, without a last line end", "[x]\n# c\n" BEGIN "[a]\nb = 1\n#stalprep-end",
	    "a.b", "[x]\n# c" },
	{ "somebody wrote into it", "[x]\n" BEGIN "[a]\nb = 1\n# mine\n" END, "a.b",
	    "[x]\n" BEGIN "[a]\n# mine\n" END },
	{ "its end is gone", "[x]\n" BEGIN "[a]\nb = 1\n", "a.b\nc.d = 1",
	    "[x]\n" BEGIN "[a]\n" BEGIN "[c]\nd = 1\n" END },
	/* what goes, and what stood there before */
	{ "a line", "a = 1 # c\nb = 1\n", "a", "b = 1\n" },
	{ "one that stood there", "a = 1 # c\nb = 1\n", "~a", WAS "a = 1 # c\nb = 1\n" },
	{ "on several lines", "a = [ # c\n 1,\n]\nb = 1\n", "~a.0000",
	    WAS "a = [ # c\n" WAS " 1,\n" WAS "]\nb = 1\n" },
	{ "one of two", "[x]\na = {b = 1, c = 'y'}\n", "~x.a.b",
	    "[x]\n" WAS "a = {b = 1, c = 'y'}\na.c = \"y\"\n" },
	{ "one of two, the other is changed", "a = [1, 2]\n", "~a.0000\na.0001 = 3",
	    WAS "a = [1, 2]\na.0001 = 3\n" },
	{ "of a set", "a = {b, \"c d\"}\n", "~a.b", WAS "a = {b, \"c d\"}\n\"a.c d\" = \"\"\n" },
	{ "a line that stands for one of a comment", WAS "a = {b = 1, c = 2}\na.c = 2\n", "~a.c",
	    WAS "a = {b = 1, c = 2}\n" },
	{ "not with another value", WAS "a = {b = 1, c = 2}\na.c = 3\n", "~a.c",
	    WAS "a = {b = 1, c = 2}\n" WAS "a.c = 3\n" },
	{ "CRLF", "a = [1,\r\n2]\r\n", "~a.0000\n~a.0001", WAS "a = [1,\r\n" WAS "2]\r\n" },
};

/* What clear does. */
static const struct {
	const char *why, *text, *changes, *result;
} cleared[] = {
	{ "a line comes back", WAS "a = 1 # c\nb = 1\n", "a = 1", "a = 1 # c\nb = 1\n" },
	{ "not with another value", WAS "a = 1\n[x]\n", "a = 2", "a = 2\n" WAS "a = 1\n[x]\n" },
	{ "several", WAS "a = [ # c\n" WAS " 1,\n" WAS "]\n", "a.0000 = 1", "a = [ # c\n 1,\n]\n" },
	{ "with what stood for it", WAS "a = {b = 1, c = 'y'}\na.c = \"y\"\n", "a.b = 1",
	    "a = {b = 1, c = 'y'}\n" },
	{ "with what stood for it, changed back", WAS "a = [1, 2]\na.0001 = 3\n",
	    "a.0000 = 1\na.0001 = 2", "a = [1, 2]\n" },
	{ "all of it stands on lines of its own", WAS "a = {b = 1, c = 2}\na.b = 1\na.c = 3\n",
	    "a.c = 2", "a = {b = 1, c = 2}\n" },
	{ "in its table", "[x]\n" WAS "a = 1\n[y]\n", "x.a = 1", "[x]\na = 1\n[y]\n" },
	{ "two runs", WAS "a = 1\nb = 1\n" WAS "c = 1\n", "c = 1\na = 1", "a = 1\nb = 1\nc = 1\n" },
	{ "one of two in a run", WAS "a = 1\n" WAS "c = 1\n[x]\n", "c = 1",
	    WAS "a = 1\nc = 1\n[x]\n" },
	{ "CRLF", WAS "a = [1,\r\n" WAS "2]\r\n", "a.0000 = 1\na.0001 = 2", "a = [1,\r\n2]\r\n" },
	{ "into a flat file, in its order", "a.x = 1\nc = 1\n", "b.x = x",
	    "a.x = 1\nb.x = \"x\"\nc = 1\n" },
	{ "at its end", "a = 1\n", "b.x = x", "a = 1\nb.x = \"x\"\n" },
	{ "in front of what goes", "a = 1\nc = 1\n", "b.x = x\nc", "a = 1\nb.x = \"x\"\n" },
};

static void
check(const char *why, const char *text, const char *changes, const char *result, bool clearing)
{
	struct bench b = { 0 };

	CHECK(edit(&b, text, changes, clearing) == 0, "%s: %s", why, b.err.text);
	CHECK(!strcmp(buf_text(&b.out), result), "%s: gives\n%s", why, b.out.data);
	bench_end(&b);
}

static void
test_cases(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		check(cases[i].why, cases[i].text, cases[i].changes, cases[i].result, false);
}

static void
test_cleared(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cleared); i++)
		check(cleared[i].why, cleared[i].text, cleared[i].changes, cleared[i].result, true);
}

/* A value comes back as it was spelled, if it is the one that the snapshot says. */
static void
test_spelling(void **state)
{
	struct part_key key = {
		.key = "a", .before = "x", .text = "'''x'''", .group = GROUP_CHECKS
	};
	struct bench b = { 0 };

	(void)state;
	b.snapshot.keys = &key;
	b.snapshot.count = 1;
	assert_int_equal(edit(&b, "a = 1 # c\n", "a = x", true), 0);
	assert_string_equal(buf_text(&b.out), "a = '''x''' # c\n");
	bench_end(&b);
	memset(&b, 0, sizeof(b));
	b.snapshot.keys = &key;
	b.snapshot.count = 1;
	assert_int_equal(edit(&b, "a = 1\n", "a = y", true), 0);
	assert_string_equal(buf_text(&b.out), "a = \"y\"\n");
	bench_end(&b);
}

/*
 * What becomes a comment holds the values that stood first, also where an earlier stage put others
 * there.
 */
static void
test_commented_as_it_was(void **state)
{
	struct part_key key = {
		.key = "a.c", .before = "x\ny", .text = "'x\ny'", .group = GROUP_CHECKS
	};
	struct bench b = { 0 };

	(void)state;
	b.snapshot.keys = &key;
	b.snapshot.count = 1;
	assert_int_equal(edit(&b, "a = {b = 1,\n c = 2}\n", "~a.b", false), 0);
	assert_string_equal(
	    buf_text(&b.out), WAS "a = {b = 1,\n" WAS " c = 'x\n" WAS "y'}\na.c = 2\n");
	bench_end(&b);
}

static const struct {
	const char *text, *changes, *said;
} refused[] = {
	{ "x = 1\na = {b, c}\n", "a.b = 1", "line 2: a.b is in a set" },
	{ "a = 1\n", "a = ''' \"\"\" \\", "can't hold the value" },
};

static void
test_refused(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(refused); i++) {
		struct bench b = { 0 };

		CHECK(edit(&b, refused[i].text, refused[i].changes, false) == -1, "not refused: %s",
		    refused[i].text);
		CHECK(b.err.kind == ERR_REFUSED && has(b.err.text, refused[i].said), "%s: %s",
		    refused[i].text, b.err.text);
		bench_end(&b);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_cleared),
		cmocka_unit_test(test_spelling),
		cmocka_unit_test(test_commented_as_it_was),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
