/* test_print.c - the change set in every format, dialect and direction */
#include "help.h"

#include "base/buf.h"
#include "cmd/print.h"
#include "format/json.h"

#define WHOLE \
	"print --proxy 203.0.113.10 --public-url https://mail.example.org --relay " \
	"new.example.org "

static const char *const formats[] = { "text", "curl", "json", "toml", "keys" };

/* What print is given for a line of options, as the command makes it. */
struct printed {
	struct pool pool;
	struct options o;
	struct changeset set;
	struct buf out;
};

static void
print(struct printed *p, const char *line)
{
	const char *networks[PROXIES_MAX];
	struct wanted w;
	struct print what;
	size_t count, i;
	int minor;

	memset(p, 0, sizeof(*p));
	options_of(&p->o, &p->pool, line);
	minor = p->o.request.minor == -1 ? MINOR_LAST : p->o.request.minor;
	count = p->o.request.listener_count ? p->o.request.listener_count : LISTENERS_DEFAULT;
	for (i = 0; i < p->o.request.proxy_count; i++)
		networks[i] = p->o.request.proxies[i];
	for (i = 0; i < count && p->o.request.groups & 1u << GROUP_LISTENERS; i++)
		changeset_add_listener(&p->set, &p->pool,
		    p->o.request.listener_count ? p->o.request.listeners[i]
						: changeset_default_listeners[i],
		    networks, p->o.request.proxy_count);
	w.groups = p->o.request.groups & ~(1u << GROUP_LISTENERS);
	w.public_url = p->o.request.public_origin;
	w.relay_host = p->o.request.relay_host;
	w.relay_port = p->o.request.relay_port;
	w.relay_id = p->o.request.relay_id;
	w.allow = NULL;
	changeset_add_rest(&p->set, &p->pool, &w, changeset_dialect(minor));
	what.options = &p->o;
	what.set = &p->set;
	what.dialect = changeset_dialect(minor);
	print_format(&p->out, &what);
	assert_non_null(buf_text(&p->out));
}

static void
printed_free(struct printed *p)
{
	buf_free(&p->out);
	pool_free(&p->pool);
}

/*
 * Each format of each version, both ways: it ends with a line feed, names every key, and shows no
 * port 25.
 */
static void
test_all(void **state)
{
	struct printed p;
	char line[256];
	size_t f, i;
	int minor, clear;

	(void)state;
	for (f = 0; f < COUNT(formats); f++) {
		for (minor = 8; minor <= 15; minor++) {
			for (clear = 0; clear < 2; clear++) {
				snprintf(line, sizeof(line), WHOLE "--format %s --dialect 0.%d%s",
				    formats[f], minor, clear ? " --clear" : "");
				print(&p, line);
				CHECK(p.out.len && p.out.data[p.out.len - 1] == '\n',
				    "%s: no line feed at its end", line);
				CHECK(!has(p.out.data, "listener.smtp.") &&
					!has(p.out.data, "listener.smtp\""),
				    "%s: port 25", line);
				for (i = 0; i < p.set.count && f != FORMAT_TOML; i++)
					CHECK(has(p.out.data, p.set.entries[i].key), "%s: no %s",
					    line, p.set.entries[i].key);
				printed_free(&p);
			}
		}
	}
}

/* ---- JSON ---- */

static const char *
type_of(const struct json *op)
{
	return json_string(json_member(op, "type"));
}

static bool
is_local(const char *key)
{
	return !strncmp(key, "server.", 7) && strncmp(key, "server.allowed-ip.", 18) != 0;
}

/* The keys of one operation: all local or none; gives how many. */
static size_t
check_operation(const struct json *op, const char *type, bool clear, bool *local, const char *line)
{
	const struct json *j = json_first(json_member(op, clear ? "keys" : "values"));
	size_t n = 0;

	CHECK(same_text(type_of(op), type), "%s: %s", line, shown(type_of(op)));
	CHECK(clear || json_is_null(json_member(op, "prefix")), "%s: prefix", line);
	CHECK(clear || json_member(op, "assert_empty"), "%s: assert_empty must be there", line);
	for (; j; j = json_next(j), n++) {
		const char *key = json_string(clear ? j : json_first(j));

		CHECK(!n || is_local(key) == *local,
		    "%s: file and database keys in one operation (%s)", line, key);
		*local = is_local(key);
	}
	return n;
}

/*
 * A body that stage could send: the file's part first, never both in one operation, the dialect's
 * spelling.
 */
static void
test_json(void **state)
{
	static const struct {
		const char *dialect, *insert, *delete;
	} cases[] = { { "0.8", "Insert", "Delete" }, { "0.10", "Insert", "Delete" },
		{ "0.11", "insert", "delete" }, { "0.12", "insert", "delete" },
		{ "0.15", "insert", "delete" } };
	size_t i;
	int clear;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		for (clear = 0; clear < 2; clear++) {
			const struct json *op;
			struct printed p;
			struct json *doc;
			struct err err = { 0 };
			bool local = true, before = true;
			char line[256];
			size_t n = 0;

			snprintf(line, sizeof(line), WHOLE "--format json --dialect %s%s",
			    cases[i].dialect, clear ? " --clear" : "");
			print(&p, line);
			CHECK(json_parse(&doc, p.out.data, p.out.len, &err) == 0, "%s: %s", line,
			    err.text);
			for (op = json_first(doc); op; op = json_next(op)) {
				n += check_operation(op, clear ? cases[i].delete : cases[i].insert,
				    clear, &local, line);
				CHECK(
				    before || !local, "%s: the file's part is not the first", line);
				before = local;
			}
			CHECK(n == p.set.count, "%s: %zu keys", line, n);
			json_free(doc);
			printed_free(&p);
		}
	}
}

/* Names and values that need quoting come out as they went in. */
static void
test_json_quoting(void **state)
{
	const struct json *pair;
	struct printed p;
	struct json *doc;

	(void)state;
	print(&p,
	    "print --format json --only listeners --proxy 203.0.113.10 --listener 'a\"b \xc3\xa4'");
	assert_int_equal(json_parse(&doc, p.out.data, p.out.len, NULL), 0);
	pair = json_first(json_first(json_member(json_first(doc), "values")));
	assert_string_equal(json_string(pair), "server.listener.a\"b \xc3\xa4.proxy.override");
	assert_string_equal(json_string(json_next(pair)), "true");
	json_free(doc);
	printed_free(&p);
}

/* ---- keys, text ---- */

static void
test_keys(void **state)
{
	struct printed p;

	(void)state;
	print(&p,
	    "print --format keys --only listeners,url --proxy 203.0.113.10 --public-url "
	    "https://a.example --listener imap");
	assert_string_equal(p.out.data,
	    "server.listener.imap.proxy.override\nserver.listener.imap.proxy.trusted-networks."
	    "0\nhttp.url\n");
	printed_free(&p);
}

/* A text says each value, and what applies it. */
static void
test_text(void **state)
{
	struct printed p;

	(void)state;
	print(&p, WHOLE);
	assert_true(has(p.out.data, "http.url = 'https://mail.example.org'\n"));
	assert_true(
	    has(p.out.data, "server.listener.imap.proxy.trusted-networks.0 = 203.0.113.10/32\n"));
	assert_true(has(p.out.data, "restart") && has(p.out.data, "reload"));
	printed_free(&p);
	print(&p, "print --only checks --clear");
	assert_true(has(p.out.data, "auth.dkim.verify\n") && !has(p.out.data, "disable"));
	assert_false(has(p.out.data, "restart"));
	printed_free(&p);
}

/* ---- curl ---- */

static size_t
occurrences(const char *text, const char *part)
{
	size_t n = 0;

	for (; (text = strstr(text, part)); text++)
		n++;
	return n;
}

/* The guide's POSTs: one a group; the password comes from the environment and is in no argument. */
static void
test_curl(void **state)
{
	struct printed p;

	(void)state;
	print(&p, WHOLE "--format curl --url https://old.example.org:8443");
	assert_int_equal(strncmp(p.out.data, "#!/bin/sh\n", 10), 0);
	assert_int_equal(occurrences(p.out.data, "\nbody='["), 4);
	assert_true(has(p.out.data, "STALPREP_PASSWORD") &&
	    has(p.out.data, "https://old.example.org:8443"));
	assert_false(has(p.out.data, "-u ") || has(p.out.data, "--user "));
	assert_false(has(p.out.data, "/api/reload") || has(p.out.data, "/api/restart"));
	assert_true(has(p.out.data, "'\\''https://mail.example.org'\\''"));
	printed_free(&p);
}

/* What stands between the quotes, as a shell would read it, is JSON. */
static void
test_curl_bodies(void **state)
{
	struct printed p;
	const char *at;

	(void)state;
	print(&p, WHOLE "--format curl --listener 'it'\\''s $(x) `y` \"z\"'");
	for (at = p.out.data; (at = strstr(at, "\nbody="));) {
		struct buf body = { 0 };
		struct json *doc;
		struct err err = { 0 };

		at += strlen("\nbody=");
		assert_true(*at == '\'');
		for (at++; *at != '\'' || !strncmp(at, "'\\''", 4); at++) {
			if (*at == '\'')
				at += 3;
			buf_char(&body, *at);
			assert_true(*at);
		}
		CHECK(json_parse(&doc, body.data, body.len, &err) == 0, "%s: %s", body.data,
		    err.text);
		json_free(doc);
		buf_free(&body);
	}
	printed_free(&p);
}

/* ---- TOML ---- */

/*
 * By what the older server reads (server-facts): quoted names where a bare one would be changed,
 * values with quotes.
 */
static void
test_toml(void **state)
{
	static const struct {
		const char *line, *part;
	} cases[] = {
		{ WHOLE "--listener imap",
		    "\nserver.listener.imap.proxy.override = true\n"
		    "server.listener.imap.proxy.trusted-networks.0 = \"203.0.113.10/32\"\n" },
		{ WHOLE "--listener 'web mail'",
		    "\nserver.listener.\"web mail\".proxy.override = true\n" },
		{ WHOLE "--listener mx.1", "\nserver.listener.\"mx.1\".proxy.override = true\n" },
		{ WHOLE, "\nauth.dkim.verify = \"disable\"\n" },
		{ WHOLE, "\nsession.ehlo.reject-non-fqdn = false\n" },
		{ WHOLE, "\nhttp.url = \"'https://mail.example.org'\"\n" },
		{ WHOLE, "\nqueue.route.smarthost.port = 25\n" },
		{ WHOLE, "\nqueue.strategy.route.0.if = \"is_local_domain('*', rcpt_domain)\"\n" },
		{ WHOLE "--dialect 0.11", "\nserver.http.url = \"'https://mail.example.org'\"\n" },
		{ WHOLE "--proxy 2001:db8::/64 --listener imap",
		    "trusted-networks.1 = \"2001:db8::/64\"\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct printed p;
		char line[256];

		snprintf(line, sizeof(line), "%s --format toml", cases[i].line);
		print(&p, line);
		CHECK(has(p.out.data, cases[i].part), "%s: no\n%sin\n%.3000s", line, cases[i].part,
		    p.out.data);
		printed_free(&p);
	}
}

/* What is pasted in opens no table: what follows means the same as before. */
static void
test_toml_tables(void **state)
{
	struct printed p;

	(void)state;
	print(&p, WHOLE "--format toml");
	CHECK(!has(p.out.data, "\n["), "a table");
	printed_free(&p);
}

/* The undoing can't be said in TOML: all of it is comments. */
static void
test_toml_clear(void **state)
{
	struct printed p;
	const char *at;

	(void)state;
	print(&p, WHOLE "--format toml --clear");
	for (at = p.out.data; *at; at = strchr(at, '\n') + 1)
		CHECK(*at == '#' || *at == '\n', "%.60s", at);
	printed_free(&p);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_quoting),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_curl),
		cmocka_unit_test(test_curl_bodies),
		cmocka_unit_test(test_toml),
		cmocka_unit_test(test_toml_tables),
		cmocka_unit_test(test_toml_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
