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
#include "plan/plan_uses.h"
#include "settings/part.h"

enum { KEYS_MAX = 12 };

#define WAS  "#stalprep-was: "
#define MORE "#stalprep-was+ "
#define NEW  " #stalprep-new: stalprep clear takes it out"
#define IMAP "server.listener.imap.proxy."
#define NET  "\"10.0.0.1/32\""

/* A text with a plan that was made by hand. */
struct bench {
	struct pool pool;
	struct toml toml;
	struct plan plan;
	struct plan_key keys[KEYS_MAX];
	struct part snapshot;
	bool drops, as_run; /* the reader keeps only what is in the tables of the plan's keys */
	struct edits edits;
	struct buf out;
	struct err err;
};

/*
 * changes: "key = value" lines, "key" alone for one that goes; in front of a key "~" where
 * something stood before the first stage.
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
		k->group = GROUP_CHECKS;
		if (equals)
			*equals = '\0';
		k->wanted = equals ? equals + 3 : NULL;
		k->original = *line == '~' ? "before" : b->plan.clearing ? k->wanted : NULL;
		k->key = line + (*line == '~');
		k->write = true;
	}
}

/* Is the first name that of a key of the plan? */
static enum toml_use
use(const void *ctx, const char *key)
{
	const struct bench *b = ctx;
	size_t len = strcspn(key, "."), i;

	if (b->as_run)
		return plan_uses(&(struct plan_uses){ .new_server = "" }, key);
	for (i = 0; b->drops && i < b->plan.key_count; i++) {
		const char *other = b->plan.keys[i].key;

		if (!strncmp(key, other, len) && strchr(".", other[len]))
			return TOML_KEEP;
	}
	return b->drops ? TOML_DROP : TOML_KEEP;
}

static int
edit(struct bench *b, const char *text, const char *changes, bool clearing)
{
	const struct toml_filter filter = { .use = use, .ctx = b };
	struct configedit c = { .text = text,
		.len = strlen(text),
		.toml = &b->toml,
		.filter = &filter,
		.plan = &b->plan,
		.snapshot = &b->snapshot };

	b->plan.clearing = clearing;
	plan_of(b, changes);
	CHECK(toml_read_some(&b->toml, &b->pool, &filter, "", text, strlen(text), false, &b->err) ==
		0,
	    "%s\n%s", b->err.text, text);
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
	/* a new key's own table */
	{ "in its table", "[server.listener.imap]\nbind = 1\n# c\n\n[x]\n", IMAP "a = 1",
	    "[server.listener.imap]\nbind = 1\nproxy.a = 1\n# c\n\n[x]\n" },
	{ "an empty table", "[x]\n[a] # c\n[y]\n", "a.b = 1", "[x]\n[a] # c\nb = 1\n[y]\n" },
	{ "the deepest table", "[a]\nx = 1\n[a.b.c]\n[a.b]\n", "a.b.c.d.e = 1",
	    "[a]\nx = 1\n[a.b.c]\nd.e = 1\n[a.b]\n" },
	{ "where it has keys with dots, not below",
	    "[server.listener.imap.tls]\nx = 1\n[server.listener]\nimap.y = 1\n", IMAP "a = 1",
	    "[server.listener.imap.tls]\nx = 1\n[server.listener]\nimap.proxy.a = 1\nimap.y = "
	    "1\n" },
	{ "dotted beside a list", "[a]\nb.c = [1]\n[x]\n", "a.b.d = 1",
	    "[a]\nb.c = [1]\nb.d = 1\n[x]\n" },
	{ "dotted beside an empty list", "[a]\nb.c = []\n[x]\n", "a.b.d = 1",
	    "[a]\nb.c = []\nb.d = 1\n[x]\n" },
	{ "dotted in front of the first header", "a.b.c = 1\n[x]\n", "a.b.d = 1\na.d = 1",
	    "a.b.c = 1\na.b.d = 1\na.d = 1\n[x]\n" },
	{ "no header at all", "server.listener.imap.bind = 1\nx = 1\n", IMAP "a = 1\na.b = 1",
	    "a.b = 1\nserver.listener.imap.bind = 1\nserver.listener.imap.proxy.a = 1\nx = 1\n" },
	{ "no header, and last", "a = 1\nb.c = 1\n", "b.d = 1\nz.y = 1",
	    "a = 1\nb.c = 1\nb.d = 1\nz.y = 1\n" },
	{ "behind several lines", "[server.listener.imap]\nbind = [\n 1 # c\n]\n[x]\n",
	    IMAP "a = 1", "[server.listener.imap]\nbind = [\n 1 # c\n]\nproxy.a = 1\n[x]\n" },
	{ "two, by their keys", "[server.listener.imap]\nbind = 1\n", IMAP "b = 1\n" IMAP "a = 2",
	    "[server.listener.imap]\nbind = 1\nproxy.a = 2\nproxy.b = 1\n" },
	{ "a name in quotes", "[server.listener.\"a b\"]\nbind = 1\n",
	    "server.listener.a b.proxy.x = 1",
	    "[server.listener.\"a b\"]\nbind = 1\nproxy.x = 1\n" },
	{ "a name in quotes, dotted", "[server]\nlistener.\"a.b\".bind = 1\n",
	    "server.listener.a.b.proxy.x = 1",
	    "[server]\nlistener.\"a.b\".bind = 1\nlistener.\"a.b\".proxy.x = 1\n" },
	{ "not another of like name",
	    "[server.listener.imap2]\nb = 1\n[server.listener.imap]\nb = 1\n", IMAP "a = 1",
	    "[server.listener.imap2]\nb = 1\n[server.listener.imap]\nb = 1\nproxy.a = 1\n" },
	{ "an element of a list of tables", "[[a]]\nb = 1\n[[a]]\nb = 1\n", "a.0001.c = 2",
	    "[[a]]\nb = 1\n[[a]]\nb = 1\nc = 2\n" },
	{ "CRLF", "[server.listener.imap]\r\nbind = 1\r\n", IMAP "a = 1",
	    "[server.listener.imap]\r\nbind = 1\r\nproxy.a = 1\r\n" },
	{ "mixed: as the last that has one", "[server.listener.imap]\nbind = 1\n[x]\r\n# c",
	    IMAP "a = 1", "[server.listener.imap]\nbind = 1\nproxy.a = 1\r\n[x]\r\n# c" },
	{ "a last line without an end stays the last", "[a]\nb = 1 # c", "a.d = 1",
	    "[a]\nd = 1\nb = 1 # c" },
	/* new tables */
	{ "in front of the first header", "r = 1\n# c\n[x]\ny = 1\n", "a.b = 1\na.c = x\nd.e = 2",
	    "r = 1\n# c\n[a]" NEW "\nb = 1\nc = \"x\"\n[d]" NEW "\ne = 2\n[x]\ny = 1\n" },
	{ "behind the last key that has none", "a.b = 1\n[x]\n", "a.c = 1\nd.e = 1",
	    "a.b = 1\na.c = 1\n[d]" NEW "\ne = 1\n[x]\n" },
	{ "above one that is there", "[a.b.c]\nx = 1\n", "a.b.d = 1\na.e = 1\na.f.g = 1",
	    "[a.b]" NEW "\nd = 1\n[a]" NEW "\ne = 1\nf.g = 1\n[a.b.c]\nx = 1\n" },
	{ "with quotes", "[server.listener.\"A b\".proxy.x]\n", "server.listener.A b.proxy.y = 1",
	    "[server.listener.\"A b\".proxy]" NEW "\ny = 1\n[server.listener.\"A b\".proxy.x]\n" },
	{ "CRLF", "[x]\r\n", "a.b = 1", "[a]" NEW "\r\nb = 1\r\n[x]\r\n" },
	{ "one without a line end", "[x]", "a.b = 1", "[a]" NEW "\nb = 1\n[x]" },
	{ "extended", "[a]" NEW "\nb = 1\n[x]\n", "a.c = 1\nd.e = 1",
	    "[d]" NEW "\ne = 1\n[a]" NEW "\nb = 1\nc = 1\n[x]\n" },
	{ "partly taken out", "[a]" NEW "\nb = 1\nc = 1\n[d]" NEW "\ne = 1\n[x]\n", "a.b\nd.e",
	    "[a]" NEW "\nc = 1\n[x]\n" },
	{ "taken out, and one comes", "[a]" NEW "\nb = 1\n[x]\n", "a.b\na.c = 1",
	    "[a]" NEW "\nc = 1\n[x]\n" },
	{ "taken out", "[a]" NEW "\r\nb = 1\r\n[d]" NEW "\ne = 1\n[y]\n", "a.b\nd.e", "[y]\n" },
	{ "somebody wrote into it", "[a]" NEW "\nb = 1\n# mine\nc = 1\n[d]" NEW "\n# his\ne = 1\n",
	    "a.b\nd.e", "[a]" NEW "\n# mine\nc = 1\n# his\n" },
	/* what goes, and what stood there before */
	{ "a comment of another stage", WAS "a = 1\nb = 1\n", "a = 1",
	    WAS "a = 1\na = 1\nb = 1\n" },
	{ "a line", "a = 1 # c\nb = 1\n", "a", "b = 1\n" },
	{ "a list", "a = [1,\n2]\nb = 1\n", "a.0000\na.0001", "b = 1\n" },
	{ "one that stood there", "a = 1 # c\nb = 1\n", "~a", WAS "a = 1 # c\nb = 1\n" },
	{ "on several lines", "a = [ # c\n 1,\n]\nb = 1\n", "~a.0000",
	    WAS "a = [ # c\n" MORE " 1,\n" MORE "]\nb = 1\n" },
	{ "two", "a = 1\nb = 1\n", "~a\n~b", WAS "a = 1\n" WAS "b = 1\n" },
	{ "in an inline table with no other", "a = {b = 1}\n", "~a.b", WAS "a = {b = 1}\n" },
	{ "and another in its place", "a = [1]\nb = 1\n", "~a.0000\na = 2",
	    WAS "a = [1]\na = 2\nb = 1\n" },
	{ "a table's only key", "[a]\nb = 1\n", "~a.b\na.b.c = 1\nd.e = 1",
	    "[d]" NEW "\ne = 1\n[a]\nb.c = 1\n" WAS "b = 1\n" },
	{ "dotted, and new ones", "a.b = 1\nc = 1\n", "~a.b\na.b.c = 1",
	    WAS "a.b = 1\na.b.c = 1\nc = 1\n" },
	{ "CRLF", "a = [1,\r\n2]\r\n", "~a.0000\n~a.0001", WAS "a = [1,\r\n" MORE "2]\r\n" },
	{ "a last line without an end", "a = 1 # c", "~a", WAS "a = 1 # c" },
};

/* What clear does. */
static const struct {
	const char *why, *text, *changes, *result;
} cleared[] = {
	{ "a line comes back", WAS "a = 1 # c\nb = 1\n", "a = 1", "a = 1 # c\nb = 1\n" },
	{ "not with another value", "b = 1\n" WAS "a = 1\n[x]\n", "a = 2",
	    "b = 1\n" WAS "a = 1\na = 2\n[x]\n" },
	{ "not if it can't be read", WAS "a = \nb = 1\n", "a = 2", WAS "a = \na = 2\nb = 1\n" },
	{ "not half of it", WAS "a = [1, 2]\nb = 1\n", "a.0001 = 2",
	    WAS "a = [1, 2]\na.0001 = 2\nb = 1\n" },
	{ "several", WAS "a = [ # c\n" MORE " 1,\n" MORE "]\n", "a.0000 = 1",
	    "a = [ # c\n 1,\n]\n" },
	{ "in place of what goes", WAS "a = [1]\na = 3\n", "a.0000 = 1\na", "a = [1]\n" },
	{ "in its table", "[x]\n" WAS "a = 1\n[y]\n", "x.a = 1", "[x]\na = 1\n[y]\n" },
	{ "two", WAS "a = 1\nb = 1\n" WAS "c = 1\n" WAS "d = 1\n", "c = 1\na = 1\nd = 1",
	    "a = 1\nb = 1\nc = 1\nd = 1\n" },
	{ "one of two", WAS "a = 1\n" WAS "c = 1\n[x]\n", "c = 1", WAS "a = 1\nc = 1\n[x]\n" },
	{ "the same twice", WAS "a = 1\n" WAS "a = 1\n", "a = 1", "a = 1\n" WAS "a = 1\n" },
	{ "CRLF", WAS "a = [1,\r\n" MORE "2]\r\n", "a.0000 = 1\na.0001 = 2", "a = [1,\r\n2]\r\n" },
	{ "into a flat file, in its order", "a.x = 1\nc = 1\n", "b.x = x",
	    "a.x = 1\nb.x = \"x\"\nc = 1\n" },
	{ "at its end", "a = 1\n", "b.x = x", "a = 1\nb.x = \"x\"\n" },
	{ "in place of what goes, by its order", "a = 1\nc = 1\n", "b.x = x\nc",
	    "a = 1\nb.x = \"x\"\n" },
	{ "all that there was", "c.d = 1\n", "b.x = x\nc.d", "b.x = \"x\"\n" },
	{ "into a table that is not ours", "[x]\n", "b.c = 1", "[b]\nc = 1\n[x]\n" },
	{ "beside what is in its way", "[a]\nb = {c = 1}\nd.x = 1\n", "a.b.e = 1\na.d = 1",
	    "[a]\nb = {c = 1}\nb.e = 1\nd = 1\nd.x = 1\n" },
};

/* It makes no difference what the reader drops. */
static void
check(const char *why, const char *text, const char *changes, const char *result, bool clearing)
{
	int i;

	for (i = 0; i < 2; i++) {
		struct bench b = { .drops = i };

		CHECK(edit(&b, text, changes, clearing) == 0, "%s: %s", why, b.err.text);
		CHECK(!strcmp(buf_text(&b.out), result), "%s%s: gives\n%s", why,
		    i ? ", the rest dropped" : "", b.out.data);
		bench_end(&b);
	}
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

static const struct {
	const char *text, *changes, *said;
	enum refusal refusal;
} refused[] = {
	{ "x = 1\na = {b, c}\n", "a.b = 1", ": a (line 2).", REFUSAL_INLINE_TABLE },
	{ "[server]\nlistener.imap = {bind = 1}\n", IMAP "a = 1\n" IMAP "b = 1\n",
	    ": server.listener.imap (line 2).", REFUSAL_INLINE_TABLE },
	{ "[server]\nlistener = {imap = {bind = 1}, x = {y = 1}}\n[z]\na = 1\n",
	    IMAP "a = 1\nz.a.b = 1", ": server.listener (line 2), z.a (line 4).",
	    REFUSAL_INLINE_TABLE },
	{ "a = {b = 1, c = 'y'}\n", "~a.b", ": a (line 1).", REFUSAL_INLINE_TABLE },
	{ "a = [1, 2]\n", "a.0001", ": a (line 1).", REFUSAL_INLINE_TABLE },
	{ "a.b = []\n", "a.b.0 = 1", ": a.b (line 1).", REFUSAL_INLINE_TABLE },
	{ "a.b = []\n", "a.b = 1", ": a.b (line 1).", REFUSAL_INLINE_TABLE },
	{ "[a]\nb.c = 1\n", "a.b = 1", ": a.b (line 2).", REFUSAL_INLINE_TABLE },
	{ "[a.b]\n", "a.b = 1", ": a.b (line 1).", REFUSAL_INLINE_TABLE },
	{ "[[a.b]]\nc = 1\n", "~a.b.0000.c\na.b.0.c = 1", ": a.b (line 1).", REFUSAL_INLINE_TABLE },
	{ "[a]", "a.b = 1", "line 1: there is no line end", REFUSAL_NONE },
	{ "a = 1\n", "a = ''' \"\"\" \\", "can't hold the value", REFUSAL_NONE },
};

static void
test_refused(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 2 * COUNT(refused); i++) {
		const size_t n = i / 2;
		struct bench b = { .drops = i % 2 };

		CHECK(edit(&b, refused[n].text, refused[n].changes, false) == -1, "not refused: %s",
		    refused[n].text);
		CHECK(b.err.kind == ERR_REFUSED && b.err.refusal == refused[n].refusal &&
			has(b.err.text, refused[n].said),
		    "%s: %s", refused[n].text, b.err.text);
		bench_end(&b);
	}
}

/* Lines that change and hold other settings are not shown. */
static void
test_hidden(void **state)
{
	static const struct {
		const char *text, *changes;
		bool hidden;
	} shown[] = {
		{ "[a]\nb = 1\n", "a.c = 1", false },
		{ "[a]\nb = 1\nd = 2\n", "a.b = 2\n~a.d", false },
		{ "[a]\nb = {c = 1, secret = 2}\n", "a.b.c = 2", true },
		{ "[a]\nb = {c = 1, secret = 2}\nd = 1\n", "a.d", false },
		{ "[server.listener.imap]\nproxy = {x = 1, trusted-networks = [2]}\n", IMAP "x = 2",
		    false },
		{ "[server.listener]\nimap = {tls.password = 1, proxy.x = 1}\n", IMAP "x = 2",
		    true },
		{ "server = {x.password = 1, listener.imap.proxy.x = 1}\n", IMAP "x = 2", true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < 2 * COUNT(shown); i++) {
		const bool as_run = i % 2 && has(shown[i / 2].changes, IMAP);
		struct bench b = { .as_run = as_run };

		CHECK(edit(&b, shown[i / 2].text, shown[i / 2].changes, false) == 0, "%s",
		    b.err.text);
		CHECK(b.edits.hidden == shown[i / 2].hidden, "%s", shown[i / 2].text);
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
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
