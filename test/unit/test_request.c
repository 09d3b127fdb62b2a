/*
 * test_request.c - what was asked for, kept in a snapshot: each value passes its option's rules
 * when it is read, and a later run changes what it names
 */
#include "help.h"

#include "base/buf.h"
#include "format/json.h"
#include "format/jsonout.h"
#include "settings/request.h"

#define URL   "--url https://old.example.org "
#define WHOLE URL "--proxy 203.0.113.10 --public-url https://mail.example.org "

static void
request_of(struct request *q, struct pool *pool, const char *line)
{
	struct options o;

	options_of(&o, pool, line);
	*q = o.request;
}

/* Read a JSON text. 0 or -1, with the member that is wrong. */
static int
read_back(struct request *q, struct pool *pool, const char *text, struct err *err)
{
	struct json *doc;
	int r;

	CHECK(json_parse(&doc, text, strlen(text), err) == 0, "%s: %s", text, err->text);
	r = request_read(q, pool, doc, err);
	json_free(doc);
	return r;
}

static void
test_round_trip(void **state)
{
	static const char *const lines[] = {
		"stage " WHOLE,
		"stage " WHOLE
		"--proxy 2001:db8::/64 --relay new.example.org:2525 --relay-id out_2",
		"stage " WHOLE "--listener imap --listener https",
		"stage " WHOLE "--also a.b --leave imap --relay-listener in --single-node",
		"stage " WHOLE "--new-server 2001:db8::9 --allow-new-server --dialect 0.12",
		"stage " URL "--only checks",
		"status " URL,
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lines); i++) {
		struct pool pool = { 0 };
		struct buf text = { 0 };
		struct jsonout j = { .out = &text };
		struct request q, again;
		struct err err;

		request_of(&q, &pool, lines[i]);
		request_write(&j, NULL, &q);
		CHECK(read_back(&again, &pool, buf_text(&text), &err) == 0, "%s: %s", lines[i],
		    err.text);
		CHECK(request_same(&q, &again), "%s: %s", lines[i], buf_text(&text));
		buf_free(&text);
		pool_free(&pool);
	}
}

/* One member of a good request with another value; NULL: the member is not there. */
static const struct {
	const char *member, *value;
	bool good;
} members[] = {
	{ "groups", "[\"url\"]", true },
	{ "groups", "[\"urls\"]", false },
	{ "groups", "[1]", false },
	{ "groups", "{}", false },
	{ "groups", NULL, false },
	{ "proxy", "[\"203.0.113.10\",\"2001:db8::/32\"]", true },
	{ "proxy", "[\"proxy.example.org\"]", false },
	{ "proxy", "[\"0.0.0.0/0\"]", false },
	{ "proxy", "[null]", false },
	{ "proxy", "\"203.0.113.10\"", false },
	{ "proxy",
	    "[\"10.0.0.1\",\"10.0.0.2\",\"10.0.0.3\",\"10.0.0.4\",\"10.0.0.5\",\"10.0.0.6\","
	    "\"10.0.0.7\",\"10.0.0.8\",\"10.0.0.9\",\"10.0.1.1\",\"10.0.1.2\",\"10.0.1.3\","
	    "\"10.0.1.4\",\"10.0.1.5\",\"10.0.1.6\",\"10.0.1.7\",\"10.0.1.8\"]",
	    false },
	{ "public_url", "\"https://a.example\"", true },
	{ "public_url", "\"http://a.example\"", false },
	{ "public_url", "\"https://a.example/' + x\"", false },
	{ "public_url", "1", false },
	{ "public_url", NULL, false },
	{ "relay", "\"new.example.org\"", false }, /* its port is 0 */
	{ "relay", "\"192.0.2.1\"", false },
	{ "relay_port", "65535", true },
	{ "relay_port", "65536", false },
	{ "relay_port", "-1", false },
	{ "relay_port", "\"25\"", false },
	{ "relay_id", "\"out-2\"", true },
	{ "relay_id", "\"mx\"", false },
	{ "relay_id", "\"a.b\"", false },
	{ "relay_id", "null", false },
	{ "listener", "[\"imap\",\"web mail\"]", true },
	{ "listener", "[\"\"]", false },
	{ "listener", "[\"a\\\\b\"]", false },
	{ "also", "[\"\\u001b[2J\"]", false },
	{ "leave", "null", false },
	{ "relay_listener", "\"in\"", true },
	{ "relay_listener", "\"\"", false },
	{ "new_server", "\"2001:db8::9\"", true },
	{ "new_server", "\"192.0.2.0/24\"", false },
	{ "new_server", "\"new.example.org\"", false },
	{ "allow_new_server", "true", true },
	{ "allow_new_server", "1", false },
	{ "single_node", "null", false },
	{ "minor", "15", true },
	{ "minor", "16", false },
	{ "minor", "1.5", false },
};

static void
test_members(void **state)
{
	static const char *const usual[][2] = { { "groups", "[]" }, { "proxy", "[]" },
		{ "public_url", "null" }, { "relay", "null" }, { "relay_port", "0" },
		{ "relay_id", "\"smarthost\"" }, { "listener", "[]" }, { "also", "[]" },
		{ "leave", "[]" }, { "relay_listener", "null" }, { "new_server", "null" },
		{ "allow_new_server", "false" }, { "single_node", "false" }, { "minor", "-1" } };
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(members); i++) {
		struct pool pool = { 0 };
		struct buf text = { 0 };
		const char *sep = "{";
		struct request q;
		struct err err;

		for (j = 0; j < COUNT(usual); j++) {
			bool other = !strcmp(usual[j][0], members[i].member);

			if (other && !members[i].value)
				continue;
			buf_printf(&text, "%s\"%s\":%s", sep, usual[j][0],
			    other ? members[i].value : usual[j][1]);
			sep = ",";
		}
		buf_char(&text, '}');
		err_clear(&err);
		CHECK((read_back(&q, &pool, buf_text(&text), &err) == 0) == members[i].good,
		    "%s: %s: %s", members[i].member, shown(members[i].value), err.text);
		CHECK(members[i].good || !strncmp(err.text, members[i].member, strlen(err.text)),
		    "%s: the error says %s", members[i].member, err.text);
		buf_free(&text);
		pool_free(&pool);
	}
}

/* A later run, what was stored, and what holds then. */
static const struct {
	const char *now, *stored, *then;
} merges[] = {
	{ "stage " URL "--only checks", "stage " WHOLE "--also a --single-node",
	    "stage " WHOLE "--also a" },
	{ "stage " URL "--proxy 192.0.2.7 --public-url https://b.example", "stage " WHOLE,
	    "stage " URL "--proxy 192.0.2.7 --public-url https://b.example" },
	{ "stage " WHOLE "--also c", "stage " WHOLE "--also a --leave b",
	    "stage " WHOLE "--also c --leave b" },
	{ "stage " WHOLE "--leave a", "stage " WHOLE "--also a --also b",
	    "stage " WHOLE "--also b --leave a" },
	{ "stage " WHOLE "--also b", "stage " WHOLE "--leave b --leave c",
	    "stage " WHOLE "--also b --leave c" },
	{ "stage " WHOLE "--listener a", "stage " WHOLE "--also a --leave b",
	    "stage " WHOLE "--listener a" },
	{ "stage " WHOLE "--leave b", "stage " WHOLE "--listener a", "stage " WHOLE "--leave b" },
	{ "stage " WHOLE, "stage " WHOLE "--listener a", "stage " WHOLE "--listener a" },
	{ "stage " WHOLE "--relay-listener a", "stage " WHOLE "--also a --also b",
	    "stage " WHOLE "--relay-listener a --also b" },
	{ "stage " WHOLE "--relay-listener a", "stage " WHOLE "--listener a",
	    "stage " WHOLE "--relay-listener a --listener a" },
	{ "stage " WHOLE "--also a", "stage " WHOLE "--relay-listener a",
	    "stage " WHOLE "--also a" },
	{ "stage " WHOLE "--new-server 192.0.2.6",
	    "stage " WHOLE "--new-server 192.0.2.5 --allow-new-server",
	    "stage " WHOLE "--new-server 192.0.2.6" },
	{ "stage " WHOLE, "stage " WHOLE "--new-server 192.0.2.5 --allow-new-server",
	    "stage " WHOLE "--new-server 192.0.2.5 --allow-new-server" },
	{ "stage " WHOLE, "stage " WHOLE "--relay-listener in --new-server 192.0.2.5",
	    "stage " WHOLE "--relay-listener in --new-server 192.0.2.5" },
};

static void
test_merge(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(merges); i++) {
		struct request now, stored, then;
		struct pool pool = { 0 };
		struct buf x = { 0 }, y = { 0 };

		request_of(&now, &pool, merges[i].now);
		request_of(&stored, &pool, merges[i].stored);
		request_of(&then, &pool, merges[i].then);
		then.groups = now.groups;
		request_merge(&now, &stored);
		request_format(&x, &now);
		request_format(&y, &then);
		CHECK(request_same(&now, &then), "%zu:%s, not%s", i, shown(buf_text(&x)),
		    shown(buf_text(&y)));
		buf_free(&x);
		buf_free(&y);
		pool_free(&pool);
	}
}

/* What is printed to be given again means the same. */
static void
test_format(void **state)
{
	static const char *const lines[] = {
		"stage " WHOLE
		"--relay new.example.org:2525 --relay-id a --listener imap --listener b",
		"stage " WHOLE "--also a --leave b --leave c --relay-listener d",
		"stage " WHOLE "--new-server 192.0.2.1 --allow-new-server --single-node",
		"stage " URL "--proxy 192.0.2.1 --proxy ::1 --only listeners",
		"stage " WHOLE "--skip checks",
	};
	struct request first, again;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lines); i++) {
		struct pool pool = { 0 };
		struct buf out = { 0 };

		request_of(&first, &pool, lines[i]);
		request_format(&out, &first);
		request_of(
		    &again, &pool, pool_printf(&pool, "stage " URL "%s", buf_text(&out) + 1));
		CHECK(request_same(&first, &again), "%s:%s", lines[i], buf_text(&out));
		buf_free(&out);
		pool_free(&pool);
	}
}

/* The relay of an earlier stage stays, with its groups, when a later one names none. */
static void
test_keep(void **state)
{
	struct request now, stored;
	const struct request *kept;
	struct pool pool = { 0 };

	(void)state;
	request_of(&stored, &pool, "stage " WHOLE "--relay new.example.org --dialect 0.12");
	request_of(&now, &pool, "stage " URL "--only checks");
	request_merge(&now, &stored);
	assert_int_equal(now.groups, 1u << GROUP_CHECKS);
	kept = request_keep(&pool, &now, &stored);
	assert_non_null(kept);
	assert_true(request_same(kept, &stored));
	/* values of a group that is left out were not staged */
	request_of(
	    &now, &pool, "stage " WHOLE "--relay b.example.org --only checks --dialect 0.12");
	assert_true(request_same(request_keep(&pool, &now, &stored), &stored));
	request_of(&now, &pool, "stage " WHOLE "--relay b.example.org --skip outbound,url");
	kept = request_keep(&pool, &now, NULL);
	assert_true(kept && !kept->relay_host && !kept->public_origin[0] && kept->proxy_count == 1);
	pool_free(&pool);
}

/* After a clear of some groups. */
static void
test_without(void **state)
{
	struct request q, then;
	struct pool pool = { 0 };

	(void)state;
	request_of(&q, &pool, "stage " WHOLE "--relay new.example.org --also a");
	request_of(&then, &pool, "stage " WHOLE "--also a");
	assert_true(request_same(request_without(&pool, &q, 1u << GROUP_OUTBOUND), &then));
	request_of(&then, &pool, "stage " WHOLE "--relay new.example.org --skip url,listeners");
	then.public_origin[0] = '\0';
	then.proxy_count = 0;
	then.also[0] = "a";
	then.also_count = 1;
	assert_true(request_same(
	    request_without(&pool, &q, 1u << GROUP_URL | 1u << GROUP_LISTENERS), &then));
	pool_free(&pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_without),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
