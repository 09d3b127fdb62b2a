/*
 * test_api.c - the management API over a scripted peer: the bytes that are sent, and what is made
 * of each answer
 */
#include "help.h"

#include "base/buf.h"
#include "format/json.h"
#include "sys/deadline.h"
#include "sys/file.h"
#include "sys/secret.h"
#include "sys/transport.h"
#include "target/api.h"
#include "target/http1.h"

#include <errno.h>
#include <signal.h>

#define TRANSCRIPTS "test/transcripts/"
#define PROBLEM(status, detail) \
	"{\"type\":\"about:blank\",\"status\":" #status ",\"title\":\"x\",\"detail\":\"" detail \
	"\"}"
#define SESSION \
	"{\"apiUrl\":\"https://mail.example.org/jmap/" \
	"\",\"capabilities\":{\"urn:ietf:params:jmap:core\":{}}}"
#define SETTINGS \
	"{\"data\":{\"server.listener.imap.protocol\":\"imap\",\"auth.dkim.verify\":\"strict\"}}"

enum { ANSWERS_MAX = 8, BIG = 240 * 1024 };

/* One answer of the peer; status 0: it closes the connection. */
struct answer {
	int status;
	const char *body;
};

/* A server that answers from a list, each answer only after its request. */
struct peer {
	const struct answer *answers;
	size_t count, given;
	struct buf now; /* what is left of the present answer */
	struct buf sent;
	unsigned writes;
	size_t step; /* bytes in one read */
	bool deaf;   /* writes fail */
};

/* All that one test speaks with. */
struct talk {
	struct peer peer;
	struct transport transport;
	struct http1 http;
	struct secret authorization;
	struct api api;
	struct pool pool;
};

static unsigned
requests(const struct peer *p)
{
	const char *at = p->sent.len ? p->sent.data : "";
	unsigned n = 0;

	while ((at = strstr(at, " HTTP/1.1\r\n"))) {
		n++;
		at++;
	}
	return n;
}

static ssize_t
peer_read(void *ctx, void *data, size_t len, struct err *err)
{
	struct peer *p = ctx;

	(void)err;
	if (!p->now.len) {
		const struct answer *a = &p->answers[p->given];

		CHECK(p->given < requests(p), "an answer is waited for that nobody asked for");
		if (p->given == p->count || !a->status)
			return 0;
		p->given++;
		buf_printf(&p->now,
		    "HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: "
		    "%zu\r\n\r\n%s",
		    a->status, strlen(a->body), a->body);
	}
	len = len > p->step ? p->step : len;
	len = len > p->now.len ? p->now.len : len;
	memcpy(data, p->now.data, len);
	buf_drop(&p->now, len);
	return (ssize_t)len;
}

static int
peer_write(void *ctx, const void *data, size_t len, struct err *err)
{
	struct peer *p = ctx;

	if (p->deaf)
		return err_set(err, ERR_REACH, "the connection is cut");
	p->writes++;
	buf_add(&p->sent, data, len);
	return 0;
}

static void
talk_begin(struct talk *t, const struct answer *answers, size_t count)
{
	struct err err;

	memset(t, 0, sizeof(*t));
	t->peer.answers = answers;
	t->peer.count = count;
	t->peer.step = 4096;
	t->transport.ctx = &t->peer;
	t->transport.read = peer_read;
	t->transport.write = peer_write;
	http1_init(&t->http, &t->transport);
	assert_int_equal(secret_add(&t->authorization, "Basic czNjcmV0", 14, &err), 0);
	t->api.http = &t->http;
	t->api.host = "old.example.org:8443";
	t->api.authorization = &t->authorization;
	t->api.relay_id = "smarthost";
	t->api.new_server = "";
}

static void
talk_end(struct talk *t)
{
	http1_free(&t->http);
	buf_free(&t->peer.now);
	buf_free(&t->peer.sent);
	pool_free(&t->pool);
}

#define FIELDS \
	"Host: old.example.org:8443\r\nUser-Agent: stalprep\r\nAccept: " \
	"application/json\r\nAuthorization: Basic czNjcmV0\r\n"

/* ---- reading ---- */

/* Is name one of the comma-separated names of that parameter in the target? */
static bool
asks_for(const char *sent, const char *parameter, const char *name)
{
	const char *at = strstr(sent, parameter), *end;

	if (!at)
		return false;
	at += strlen(parameter);
	end = at + strcspn(at, "& ");
	while (at < end) {
		size_t n = strcspn(at, ",& ");

		if (n == strlen(name) && !memcmp(at, name, n))
			return true;
		at += n + 1;
	}
	return false;
}

/* One write holds both requests, and the second asks for all that a plan looks at. */
static void
test_read_bytes(void **state)
{
	static const char *const prefixes[] = {
		"server.listener",
		"server.proxy",
		"server.http",
		"http",
		"auth",
		"session.ehlo",
		"queue.strategy",
		"queue.outbound",
		"queue.route.out2",
		"remote.out2",
	};
	static const struct answer answers[] = { { 200, SESSION }, { 200, SETTINGS } };
	struct api_facts facts;
	struct talk t;
	struct err err;
	size_t i;

	(void)state;
	talk_begin(&t, answers, COUNT(answers));
	t.api.relay_id = "out2";
	CHECK(api_read(&t.api, &t.pool, &facts, NULL, &err) == 0, "%s", err.text);
	assert_int_equal(t.peer.writes, 1);
	assert_int_equal(requests(&t.peer), 2);
	assert_int_equal(strncmp(t.peer.sent.data, "GET /jmap/session HTTP/1.1\r\n", 28), 0);
	for (i = 0; i < COUNT(prefixes); i++)
		CHECK(asks_for(t.peer.sent.data, "prefixes=", prefixes[i]),
		    "the prefix %s is not read", prefixes[i]);
	assert_true(asks_for(t.peer.sent.data, "prefixes=", "config") ||
	    asks_for(t.peer.sent.data, "prefixes=", "config.local-keys"));
	assert_false(
	    asks_for(t.peer.sent.data, "prefixes=", "") || asks_for(t.peer.sent.data, "keys=", ""));
	/* without credentials: a wrong password counts once */
	assert_true(has(t.peer.sent.data,
	    "application/json\r\n\r\nGET /api/settings/keys?keys=oauth.key,queue"));
	assert_true(has(t.peer.sent.data, "remote.out2 HTTP/1.1\r\n" FIELDS "\r\n"));
	assert_string_equal(settings_get(&facts.settings, "auth.dkim.verify"), "strict");
	assert_int_equal(facts.settings.count, 2);
	assert_string_equal(facts.url_in_force, "https://mail.example.org");
	talk_end(&t);
}

/* The new server's exemption is read along, when it is named. */
static void
test_read_new_server(void **state)
{
	static const struct answer answers[] = { { 200, SESSION }, { 200, SETTINGS } };
	struct api_facts facts;
	struct talk t;
	struct err err;

	(void)state;
	talk_begin(&t, answers, COUNT(answers));
	t.api.new_server = "2001:db8::1";
	CHECK(api_read(&t.api, &t.pool, &facts, NULL, &err) == 0, "%s", err.text);
	assert_true(asks_for(t.peer.sent.data, "keys=", "server.allowed-ip.2001:db8::1"));
	talk_end(&t);
}

/* Whatever there is: what stands in config.toml is not told apart. */
static void
test_read_every(void **state)
{
	static const struct answer answers[] = {
		{ 200,
		    "{\"data\":{\"total\":4,\"items\":{\"store.x\":\"y\",\"http.\\u00fcrl\":"
		    "\"a\\n\\\"\","
		    "\"oauth.key\":\"k\",\"cluster.node-id\":\"1\"}}}" },
		{ 200, SETTINGS },
	};
	struct api_every every = { 0 };
	struct settings s;
	struct talk t;
	struct err err;

	(void)state;
	talk_begin(&t, answers, COUNT(answers));
	CHECK(api_read_settings(&t.api, &t.pool, &s, &every, &err) == 0, "%s", err.text);
	assert_true(has(t.peer.sent.data, "GET /api/settings/list HTTP/1.1\r\n"));
	assert_int_equal(t.peer.writes, 1);
	assert_string_equal(settings_get(&every.settings, "store.x"), "y");
	assert_string_equal(settings_get(&every.settings, "oauth.key"), "k");
	assert_int_equal(s.count, 2); /* as a read by prefixes and keys has it */
	assert_string_equal(settings_get(&s, "http.\xc3\xbcrl"), "a\n\"");
	assert_string_equal(settings_get(&s, "cluster.node-id"), "1");
	assert_int_equal(api_read_settings(&t.api, &t.pool, &s, &every, &err), -1); /* no "items" */
	assert_int_equal(err.kind, ERR_SERVER);
	api_every_free(&every);
	talk_end(&t);
}

/* A signal and the end of the time hold for an answer that is here already. */
static void
test_read_stopped(void **state)
{
	static const struct answer answers[] = { { 200,
	    "{\"data\":{\"total\":1,\"items\":{\"a\":\"b\"}}}" } };
	static const struct {
		int signal;
		int64_t total;
		enum err_kind kind;
		int code;
	} cases[] = {
		{ SIGINT, INT64_MAX, ERR_INTERRUPT, SIGINT },
		{ SIGALRM, INT64_MAX, ERR_REACH, ETIMEDOUT },
		{ 0, 0, ERR_REACH, ETIMEDOUT },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		volatile sig_atomic_t stop = cases[i].signal;
		struct deadline d = { .total = cases[i].total, .step = INT64_MAX, .stop = &stop };
		struct api_every every = { 0 };
		struct settings s;
		struct talk t;
		struct err err;

		talk_begin(&t, answers, COUNT(answers));
		t.api.deadline = &d;
		assert_int_equal(api_read_settings(&t.api, &t.pool, &s, &every, &err), -1);
		CHECK(err.kind == cases[i].kind && err.code == cases[i].code, "%s", err.text);
		api_every_free(&every);
		talk_end(&t);
	}
}

/* However the bytes arrive. */
static void
test_read_slowly(void **state)
{
	static const struct answer answers[] = { { 200, SESSION }, { 200, SETTINGS } };
	struct api_facts facts;
	struct talk t;
	struct err err;
	size_t step;

	(void)state;
	for (step = 1; step < 40; step++) {
		talk_begin(&t, answers, COUNT(answers));
		t.peer.step = step;
		CHECK(api_read(&t.api, &t.pool, &facts, NULL, &err) == 0, "%zu bytes at once: %s",
		    step, err.text);
		talk_end(&t);
	}
}

/* The rows of the tables have the settings first: the server is asked for the session first. */
static void
in_order(struct answer out[3], const struct answer rows[3])
{
	out[0] = rows[1];
	out[1] = rows[0];
	out[2] = rows[2];
}

/* Answers to the two requests of a read, and the failure that comes of them. */
static const struct {
	struct answer answers[3];
	enum err_kind kind;
	int code;
	const char *name, *says, *why;
} unread[] = {
	{ { { 401, PROBLEM(401, "You have to authenticate first.") }, { 401, PROBLEM(401, "x") } },
	    ERR_AUTH, 401, NULL, "--user", "a wrong login" },
	{ { { 402, PROBLEM(402, "TOTP") }, { 402, PROBLEM(402, "x") } }, ERR_AUTH, 402, NULL,
	    "second factor", "a code is missing" },
	{ { { 403, PROBLEM(403, "x") }, { 200, SESSION } }, ERR_AUTH, 403, NULL, "settings-list",
	    "a permission is missing" },
	{ { { 403, PROBLEM(403, "A TOTP code is required") }, { 403, "{}" } }, ERR_AUTH, 402, NULL,
	    "second factor", "so up to 0.9" },
	{ { { 429, PROBLEM(429, "x") }, { 429, PROBLEM(429, "x") } }, ERR_AUTH, 429, NULL, "429",
	    "too many" },
	{ { { 404, PROBLEM(404, "x") }, { 200, SESSION } }, ERR_REFUSED, 0, "new-server",
	    "new server", "0.16" },
	{ { { 404, "not here" }, { 404, "not here" } }, ERR_REFUSED, 0, "not-stalwart", "404",
	    "something else" },
	{ { { 500, PROBLEM(500, "x") }, { 200, SESSION } }, ERR_SERVER, 500, NULL, "500",
	    "a broken server" },
	{ { { 302, "" }, { 302, "" } }, ERR_SERVER, 302, NULL, "redirect", "never followed" },
	{ { { 200, "<html>" }, { 200, "<html>" } }, ERR_SERVER, 0, NULL, "does not understand",
	    "a web page" },
	{ { { 200, "{\"error\":\"other\",\"details\":\"no\"}" }, { 200, SESSION } }, ERR_SERVER, 0,
	    NULL, "no", "200 and an error" },
	{ { { 200, "{\"data\":null}" }, { 200, SESSION } }, ERR_SERVER, 0, NULL,
	    "does not understand", "no settings" },
	{ { { 200, "{\"data\":[]}" }, { 200, SESSION } }, ERR_SERVER, 0, NULL,
	    "does not understand", "a list" },
	{ { { 200, "{\"data\":{\"a\":1}}" }, { 200, SESSION } }, ERR_SERVER, 0, NULL,
	    "does not understand", "a number" },
	{ { { 200, "{\"data\":{\"a\":\"1\",\"a\":\"2\"}}" }, { 200, SESSION } }, ERR_SERVER, 0,
	    NULL, "does not understand", "a key twice" },
	{ { { 200, "{}" }, { 200, SESSION } }, ERR_SERVER, 0, NULL, NULL, "no data" },
	{ { { 0, NULL }, { 200, SESSION } }, ERR_REACH, 0, NULL, NULL, "cut off after the first" },
	{ { { 0, NULL } }, ERR_REACH, 0, NULL, NULL, "cut off before the first" },
};

static void
test_unread(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(unread); i++) {
		struct answer answers[3];
		struct api_facts facts;
		struct err err = { 0 };
		struct talk t;

		in_order(answers, unread[i].answers);
		talk_begin(&t, answers, COUNT(answers));
		CHECK(
		    api_read(&t.api, &t.pool, &facts, NULL, &err) == -1, "%s: read", unread[i].why);
		CHECK(err.kind == unread[i].kind && err.code == unread[i].code &&
			same_text(refusals[err.refusal].name, unread[i].name),
		    "%s: kind %d, code %d, %s: %s", unread[i].why, err.kind, err.code,
		    shown(refusals[err.refusal].name), err.text);
		CHECK(!unread[i].says || has(err.text, unread[i].says), "%s: %s", unread[i].why,
		    err.text);
		CHECK(!has(err.text, "czNjcmV0"), "%s: the login is shown", unread[i].why);
		talk_end(&t);
	}
}

/* From elsewhere than loopback a rule of the server may hide the API, and it says how to see. */
static void
test_far(void **state)
{
	static const struct answer rows[][3] = {
		{ { 403, PROBLEM(403, "x") }, { 200, SESSION } },
		{ { 404, PROBLEM(404, "x") }, { 200, SESSION } },
		{ { 404, PROBLEM(404, "x") }, { 404, PROBLEM(404, "x") } },
		{ { 404, "<html><title>nothing</title>" }, { 403, "" } },
	};
	size_t i;
	int far;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		for (far = 0; far < 2; far++) {
			struct answer answers[3];
			struct api_facts facts;
			struct err err;
			struct talk t;

			err_clear(&err);
			in_order(answers, rows[i]);
			talk_begin(&t, answers, 2);
			t.api.far = far;
			assert_int_equal(api_read(&t.api, &t.pool, &facts, NULL, &err), -1);
			CHECK(has(err.text, "http.allowed-endpoint") == far &&
				has(err.text, "http://127.0.0.1:PORT") == far,
			    "case %zu: %s", i, err.text);
			talk_end(&t);
		}
	}
}

/* Another command than a read says the same. */
static void
test_far_reload(void **state)
{
	static const struct answer answers[] = { { 404, "" }, { 403, PROBLEM(403, "x") } };
	struct api_reloaded out;
	struct err err;
	struct talk t;
	size_t i;

	(void)state;
	talk_begin(&t, answers, COUNT(answers));
	t.api.far = true;
	for (i = 0; i < COUNT(answers); i++) {
		assert_int_equal(api_reload(&t.api, &t.pool, true, &out, &err), -1);
		assert_true(has(err.text, "http://127.0.0.1:PORT"));
	}
	talk_end(&t);
}

/* After a 402 the same connection serves the second try. */
static void
test_second_factor(void **state)
{
	static const struct answer answers[] = {
		{ 200, SESSION },
		{ 402, PROBLEM(402, "x") },
		{ 200, SESSION },
		{ 200, SETTINGS },
	};
	struct api_facts facts;
	struct talk t;
	struct err err;

	(void)state;
	talk_begin(&t, answers, COUNT(answers));
	assert_int_equal(api_read(&t.api, &t.pool, &facts, NULL, &err), -1);
	assert_int_equal(err.code, 402);
	CHECK(api_read(&t.api, &t.pool, &facts, NULL, &err) == 0, "%s", err.text);
	talk_end(&t);
}

/* The server's own words are shown cut to one line, without control bytes. */
static void
test_detail(void **state)
{
	static const struct answer answers[] = {
		{ 404, "" },
		{ 500,
		    "{\"detail\":\"a\\u001b[31m\\nb"
		    "012345678901234567890123456789012345678901234567890123456789012345678901234501"
		    "234567890123456789012345678901234567890123456789012345678901234567890123456789"
		    "012345678901234567890123456789012345678901234567890123456789012345678901234567"
		    "890123456789THE END\"}" },
	};
	struct api_facts facts;
	struct talk t;
	struct err err;
	size_t i;

	(void)state;
	talk_begin(&t, answers, COUNT(answers));
	assert_int_equal(api_read(&t.api, &t.pool, &facts, NULL, &err), -1);
	assert_true(has(err.text, "[31m"));
	assert_false(has(err.text, "THE END"));
	for (i = 0; err.text[i]; i++)
		CHECK((unsigned char)err.text[i] >= ' ', "byte %02x in %s", (unsigned)err.text[i],
		    err.text);
	talk_end(&t);
}

/* ---- what the recorded servers say of themselves ---- */

/* The bytes of a PROXY header are among what was recorded, and json_parse takes no NUL. */
static struct json *
load(const char *name)
{
	struct buf text = { 0 };
	struct json *doc;
	struct err err;
	char path[64], *at;

	snprintf(path, sizeof(path), TRANSCRIPTS "%s.json", name);
	CHECK(file_read(&text, path, JSON_MAX, &err) == 0, "%s can't be read", path);
	for (at = text.data; (at = strstr(at, "\\u0000")); at++)
		at[5] = '1';
	CHECK(json_parse(&doc, text.data, text.len, &err) == 0, "%s: %s", path, err.text);
	buf_free(&text);
	return doc;
}

/* "$7" stands for an entry of shared.json. */
static const struct json *
resolve(const struct json *shared, const struct json *j)
{
	const char *text = json_string(j);
	const struct json *there = text && *text == '$' ? json_member(shared, text) : NULL;

	return there ? there : j;
}

static void
put(struct buf *out, const struct json *shared, const struct json *j)
{
	const struct json *c;
	long long n;
	bool b, first = true;

	j = resolve(shared, j);
	if (json_is_object(j) || json_is_array(j)) {
		buf_char(out, json_is_object(j) ? '{' : '[');
		for (c = json_first(j); c; c = json_next(c), first = false) {
			buf_str(out, first ? "" : ",");
			if (json_name(c)) {
				json_quote(out, json_name(c));
				buf_char(out, ':');
			}
			put(out, shared, c);
		}
		buf_char(out, json_is_object(j) ? '}' : ']');
	} else if (json_string(j)) {
		json_quote(out, json_string(j));
	} else if (json_is_bool(j, &b)) {
		buf_str(out, b ? "true" : "false");
	} else if (json_integer(j, &n)) {
		buf_printf(out, "%lld", n);
	} else {
		buf_str(out, "null");
	}
}

/* The first answer to GET path (or what begins so) in that scenario, as the peer would give it. */
static void
recorded(struct answer *a, struct pool *pool, const struct json *doc, const struct json *shared,
    const char *scenario, const char *path)
{
	const struct json *step, *answer;
	struct buf body = { 0 };
	const char *text;

	for (step = json_first(json_member(json_member(doc, scenario), "steps")); step;
	    step = json_next(step)) {
		text = json_string(resolve(shared, json_member(step, "path")));
		answer = resolve(shared, json_member(step, "answer"));
		if (!text || strncmp(text, path, strlen(path)) != 0 || !answer)
			continue;
		a->status = atoi(
		    json_string(resolve(shared, json_member(answer, "status_line"))) + 9);
		if (json_member(answer, "json"))
			put(&body, shared, json_member(answer, "json"));
		a->body = pool_str(pool, body.len ? body.data : "");
		buf_free(&body);
		return;
	}
	fail_msg("no %s in %s", path, scenario);
}

static const struct {
	const char *name;
	int first, last;
	const char *version;
	bool capital, spelling_known;
} versions[] = {
	{ "0.9.4", 8, 11, NULL, false, false }, /* it calls itself v0.1.0 */
	{ "0.10.7", 10, 10, "0.10.7", true, true },
	{ "0.11.8", 11, 11, "0.11.8", false, true },
	/* can't be told from an upgraded 0.13 by reading alone */
	{ "0.12.5", 12, 15, NULL, false, true },
	{ "0.13.4", 13, 15, NULL, false, true },
	{ "0.15.5", 14, 15, NULL, false, true },
};

static void
test_versions(void **state)
{
	struct json *shared = load("shared");
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(versions); i++) {
		struct json *doc = load(versions[i].name);
		struct answer answers[4];
		struct api_facts f;
		struct err err = { 0 };
		struct talk t;

		talk_begin(&t, answers, COUNT(answers));
		recorded(&answers[0], &t.pool, doc, shared, "version", "/jmap/session");
		recorded(&answers[1], &t.pool, doc, shared, "version", "/api/settings/keys");
		answers[2] = answers[1]; /* once more, to see whether it is the same server */
		recorded(&answers[3], &t.pool, doc, shared, "version", "/.well-known/jmap");
		CHECK(api_read(&t.api, &t.pool, &f, NULL, &err) == 0, "%s: %s", versions[i].name,
		    err.text);
		CHECK(f.minor_first == versions[i].first && f.minor_last == versions[i].last,
		    "%s: 0.%d to 0.%d", versions[i].name, f.minor_first, f.minor_last);
		CHECK(same_text(f.version, versions[i].version), "%s: version %s", versions[i].name,
		    shown(f.version));
		CHECK(t.api.capital == versions[i].capital &&
			t.api.spelling_known == versions[i].spelling_known,
		    "%s: spelling", versions[i].name);
		CHECK(f.url_in_force && !strncmp(f.url_in_force, "http", 4) &&
			!has(f.url_in_force, "/jmap"),
		    "%s: URL %s", versions[i].name, shown(f.url_in_force));
		CHECK(requests(&t.peer) == (versions[i].first <= 11 ? 4 : 2), "%s: %u requests",
		    versions[i].name, requests(&t.peer));
		json_free(doc);
		talk_end(&t);
	}
	json_free(shared);
}

/*
 * Without a session answer: the older server's own 404 says 0.8 to 0.11, unless a rule of 0.12 and
 * later may have hidden it. The 404 of a web proxy, which passes /api alone, says nothing. The
 * spelling of operations stays to be tried.
 */
#define NOWHERE PROBLEM(404, "The requested resource does not exist on this server.")
#define OLD_NAME(version) \
	"{\"capabilities\":{\"urn:ietf:params:jmap:sieve\":" \
	"{\"implementation\":\"Stalwart JMAP v" version "\"}}}"
static const struct {
	struct answer answers[3];
	int first, last;
	const char *why;
} sessions[] = {
	{ { { 200, SETTINGS }, { 404, NOWHERE }, { 401, PROBLEM(401, "x") } }, 8, 11,
	    "the server's own 404" },
	{ { { 200, SETTINGS }, { 404, "<html>not found</html>" }, { 404, "<html>" } }, 8, 15,
	    "a web proxy's page" },
	{ { { 200, SETTINGS }, { 404, "" }, { 404, "" } }, 8, 15, "a web proxy's empty answer" },
	{ { { 200, SETTINGS }, { 404, PROBLEM(404, "No static resource") }, { 404, "" } }, 8, 15,
	    "a web proxy's answer of the same form" },
	{ { { 200, SETTINGS }, { 404, "[]" }, { 404, "" } }, 8, 15, "JSON of another kind" },
	{ { { 200, SETTINGS }, { 403, NOWHERE }, { 404, NOWHERE } }, 8, 15, "another status" },
	{ { { 200, "{\"data\":{\"http.allowed-endpoint\":\"404\"}}" }, { 404, NOWHERE },
	      { 404, NOWHERE } },
	    8, 15, "a rule hides it" },
	{ { { 200, "{\"data\":{\"http.allowed-endpoint.0.if\":\"x\"}}" }, { 404, NOWHERE },
	      { 404, NOWHERE } },
	    8, 15, "a rule hides it: a list" },
	{ { { 200, "{\"data\":{\"server.http.allowed-endpoint\":\"404\"}}" }, { 404, NOWHERE },
	      { 404, NOWHERE } },
	    8, 11, "the rule's name up to 0.11" },
	{ { { 200, SETTINGS }, { 404, "<html>" }, { 200, OLD_NAME("0.1.0") } }, 8, 11,
	    "0.9 by the name that it gives itself" },
	{ { { 200, SETTINGS }, { 404, "<html>" }, { 200, OLD_NAME("0.11.8") } }, 11, 11,
	    "0.11 by its name" },
	{ { { 200, SETTINGS }, { 404, "<html>" }, { 200, OLD_NAME("1.0.0") } }, 8, 15,
	    "the name that all later ones give" },
	{ { { 200, "{\"data\":{\"queue.route.mx.type\":\"mx\"}}" }, { 404, "<html>" },
	      { 404, "<html>" } },
	    13, 15, "a later one by its settings" },
};

static void
test_no_session(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(sessions); i++) {
		struct answer answers[4];
		struct api_facts f;
		struct talk t;
		struct err err = { 0 };

		in_order(answers, sessions[i].answers);
		answers[3] = answers[2];
		answers[2] = answers[1];
		talk_begin(&t, answers, COUNT(answers));
		CHECK(api_read(&t.api, &t.pool, &f, NULL, &err) == 0, "%s: %s", sessions[i].why,
		    err.text);
		CHECK(f.minor_first == sessions[i].first && f.minor_last == sessions[i].last,
		    "%s: 0.%d to 0.%d", sessions[i].why, f.minor_first, f.minor_last);
		CHECK(
		    t.api.spelling_known == (f.minor_first >= 11), "%s: spelling", sessions[i].why);
		talk_end(&t);
	}
}

/* ---- writing ---- */

static void
add(struct ops *ops, struct talk *t, enum op_kind kind, const char *key, const char *value,
    unsigned step)
{
	struct op op = { kind, key, value, step };

	ops_add(ops, &t->pool, &op);
}

static void
some_ops(struct ops *ops, struct talk *t)
{
	memset(ops, 0, sizeof(*ops));
	add(ops, t, OP_DELETE, "a", NULL, 0);
	add(ops, t, OP_INSERT, "b", "'x'", 1);
}

#define BODY \
	"[{\"type\":\"delete\",\"keys\":[\"a\"]}," \
	"{\"type\":\"insert\",\"prefix\":null,\"assert_empty\":false,\"values\":[[\"b\",\"'x'\"]]" \
	"}]"
#define CAPITAL \
	"[{\"type\":\"Delete\",\"keys\":[\"a\"]}," \
	"{\"type\":\"Insert\",\"prefix\":null,\"assert_empty\":false,\"values\":[[\"b\",\"'x'\"]]" \
	"}]"

/* The requests in full. */
static void
test_write_bytes(void **state)
{
	static const struct answer answers[] = {
		{ 400, PROBLEM(400, "JSON deserialization failed") }, { 200, "{\"data\":null}" }
	};
	enum api_written written = API_WRITTEN_MAYBE;
	struct ops ops;
	struct talk t;
	struct err err;
	char *expected;

	(void)state;
	talk_begin(&t, answers, COUNT(answers));
	some_ops(&ops, &t);
	CHECK(api_write(&t.api, &ops, false, &written, &err) == 0, "%s", err.text);
	expected = pool_printf(&t.pool,
	    "POST /api/settings HTTP/1.1\r\n" FIELDS "Content-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n%sPOST /api/settings HTTP/1.1\r\n" FIELDS
	    "Content-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n%s",
	    strlen(BODY), BODY, strlen(CAPITAL), CAPITAL);
	assert_string_equal(t.peer.sent.data, expected);
	assert_int_equal(t.peer.writes, 2);
	assert_true(t.api.capital && t.api.spelling_known);
	talk_end(&t);
}

/* Answers to a write: what is known of it then, and how many requests were made. */
static const struct {
	struct answer answers[3];
	bool capital, known;
	int r;
	enum api_written written;
	enum err_kind kind;
	int code;
	unsigned requests;
	const char *why;
} writes[] = {
	{ { { 200, "{\"data\":null}" } }, false, false, 0, API_WRITTEN_MAYBE, ERR_NONE, 0, 1,
	    "success" },
	{ { { 400, "{}" }, { 200, "{\"data\":null}" } }, true, false, 0, API_WRITTEN_MAYBE,
	    ERR_NONE, 0, 2, "lower case after all" },
	{ { { 400, "{}" }, { 400, "{}" } }, false, false, -1, API_WRITTEN_NOTHING, ERR_SERVER, 400,
	    2, "neither spelling" },
	{ { { 400, "{}" } }, false, true, -1, API_WRITTEN_NOTHING, ERR_SERVER, 400, 1,
	    "the spelling was known" },
	{ { { 401, "{}" } }, false, false, -1, API_WRITTEN_NOTHING, ERR_AUTH, 401, 1, "login" },
	{ { { 402, "{}" } }, false, false, -1, API_WRITTEN_NOTHING, ERR_AUTH, 402, 1,
	    "second factor" },
	{ { { 403, "{}" } }, false, false, -1, API_WRITTEN_NOTHING, ERR_AUTH, 403, 1,
	    "permission" },
	{ { { 404, "{}" } }, false, false, -1, API_WRITTEN_NOTHING, ERR_SERVER, 404, 1,
	    "no such endpoint" },
	{ { { 429, "{}" } }, false, false, -1, API_WRITTEN_MAYBE, ERR_AUTH, 429, 1,
	    "not among 400 to 404" },
	{ { { 400, "{}" }, { 403, "{}" } }, false, false, -1, API_WRITTEN_NOTHING, ERR_AUTH, 403, 2,
	    "the second spelling, forbidden" },
	{ { { 400, "{}" }, { 500, "{}" } }, false, false, -1, API_WRITTEN_FAILED, ERR_SERVER, 500,
	    2, "the second spelling, failed" },
	{ { { 400, "{}" }, { 0, NULL } }, false, false, -1, API_WRITTEN_MAYBE, ERR_REACH, 0, 2,
	    "the second spelling, cut off" },
	{ { { 500, PROBLEM(500, "x") } }, false, false, -1, API_WRITTEN_FAILED, ERR_SERVER, 500, 1,
	    "a plain 500 is final" },
	{ { { 504, "" } }, false, false, -1, API_WRITTEN_MAYBE, ERR_SERVER, 504, 1,
	    "a proxy's answer, not the server's own" },
	{ { { 200, "{\"error\":\"assertFailed\"}" } }, false, false, -1, API_WRITTEN_MAYBE,
	    ERR_SERVER, 0, 1, "200 and an error" },
	{ { { 200, "{\"error\":\"other\",\"details\":\"d\",\"reason\":\"r\"}" } }, false, false, -1,
	    API_WRITTEN_MAYBE, ERR_SERVER, 0, 1, "the same with details" },
	{ { { 200, "<html>" } }, false, false, -1, API_WRITTEN_MAYBE, ERR_SERVER, 0, 1, "no JSON" },
	{ { { 200, "{}" } }, false, false, -1, API_WRITTEN_MAYBE, ERR_SERVER, 0, 1, "no data" },
	{ { { 204, "" } }, false, false, -1, API_WRITTEN_MAYBE, ERR_SERVER, 204, 1,
	    "another success" },
	{ { { 307, "" } }, false, false, -1, API_WRITTEN_MAYBE, ERR_SERVER, 307, 1, "a redirect" },
	{ { { 0, NULL } }, false, false, -1, API_WRITTEN_MAYBE, ERR_REACH, 0, 1, "cut off" },
};

static void
test_writes(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(writes); i++) {
		enum api_written written = API_WRITTEN_MAYBE;
		struct err err = { 0 };
		struct ops ops;
		struct talk t;

		talk_begin(&t, writes[i].answers, COUNT(writes[i].answers));
		t.api.capital = writes[i].capital;
		t.api.spelling_known = writes[i].known;
		some_ops(&ops, &t);
		CHECK(api_write(&t.api, &ops, false, &written, &err) == writes[i].r, "%s: %s",
		    writes[i].why, err.text);
		CHECK(!writes[i].r || written == writes[i].written, "%s: written is %d",
		    writes[i].why, written);
		CHECK(err.kind == writes[i].kind && err.code == writes[i].code,
		    "%s: kind %d, code %d", writes[i].why, err.kind, err.code);
		CHECK(requests(&t.peer) == writes[i].requests, "%s: %u requests", writes[i].why,
		    requests(&t.peer));
		talk_end(&t);
	}
}

/* A read goes along in the same turn. What answers it is that of the write's last try. */
static void
test_write_and_read(void **state)
{
	static const char none[] = "{\"data\":{}}";
	static const struct {
		struct answer answers[5];
		unsigned writes, requests;
		int written, read;
	} cases[] = {
		{ { { 200, "{\"data\":null}" }, { 200, SETTINGS } }, 1, 2, 0, 0 },
		{ { { 400, "{}" }, { 200, none }, { 200, "{\"data\":null}" }, { 200, SETTINGS } },
		    2, 4, 0, 0 },
		{ { { 500, "{}" }, { 200, none }, { 200, SETTINGS } }, 2, 3, -1, 0 },
		{ { { 500, "{}" }, { 0, NULL } }, 1, 2, -1, -1 },
		{ { { 200, "{\"data\":null}" }, { 0, NULL } }, 1, 2, 0, -1 },
		{ { { 0, NULL } }, 1, 2, -1, -1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		enum api_written written;
		struct settings s;
		struct ops ops;
		struct talk t;
		struct err err;

		err_clear(&err);
		talk_begin(&t, cases[i].answers, COUNT(cases[i].answers));
		some_ops(&ops, &t);
		CHECK(api_write(&t.api, &ops, true, &written, &err) == cases[i].written,
		    "case %zu: %s", i, err.text);
		CHECK(api_read_settings(&t.api, &t.pool, &s, NULL, &err) == cases[i].read,
		    "case %zu: %s", i, err.text);
		if (cases[i].read == 0)
			assert_int_equal(s.count, 2);
		CHECK(t.peer.writes == cases[i].writes && requests(&t.peer) == cases[i].requests,
		    "case %zu: %u requests in %u writes", i, requests(&t.peer), t.peer.writes);
		talk_end(&t);
	}
}

/* No byte of a request may be with the server when the connection is known to be closed. */
static void
test_write_unsent(void **state)
{
	enum api_written written = API_WRITTEN_MAYBE;
	struct ops ops;
	struct talk t;
	struct err err;

	(void)state;
	talk_begin(&t, NULL, 0);
	t.http.closed = true;
	some_ops(&ops, &t);
	assert_int_equal(api_write(&t.api, &ops, false, &written, &err), -1);
	assert_int_equal(written, API_WRITTEN_NOTHING);
	assert_int_equal(t.peer.writes, 0);
	talk_end(&t);
	/* But a write that failed may have sent some. */
	talk_begin(&t, NULL, 0);
	t.peer.deaf = true;
	some_ops(&ops, &t);
	assert_int_equal(api_write(&t.api, &ops, false, &written, &err), -1);
	assert_int_equal(written, API_WRITTEN_MAYBE);
	talk_end(&t);
}

/* ---- whose server it is ---- */

#define KEYED(key) "{\"data\":{\"oauth.key\":\"" key "\",\"auth.dkim.verify\":\"strict\"}}"

/* What shows which server it is; the key itself is a secret, and is not kept. */
static void
test_identity(void **state)
{
	static const struct {
		const char *settings;
		bool known;
		const char *why;
	} cases[] = {
		{ KEYED("s3cret"), true, "a key" },
		{ KEYED(""), false, "an empty one" },
		{ KEYED("%{env:KEY}%"), false, "a macro" },
		{ SETTINGS, false, "none" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct answer answers[] = { { 200, SESSION }, { 200, cases[i].settings } };
		char expected[FINGERPRINT_MAX];
		struct api_facts facts;
		struct talk t;
		struct err err;

		fingerprint(expected, "s3cret");
		talk_begin(&t, answers, COUNT(answers));
		CHECK(api_read(&t.api, &t.pool, &facts, NULL, &err) == 0, "%s", err.text);
		CHECK(!strcmp(facts.identity, cases[i].known ? expected : ""), "%s: %s",
		    cases[i].why, facts.identity);
		CHECK(!settings_get(&facts.settings, "oauth.key"), "%s: the key is kept",
		    cases[i].why);
		assert_true(asks_for(t.peer.sent.data, "keys=", "oauth.key"));
		talk_end(&t);
	}
}

/* Another server's settings behind the same URL: every later read is refused. */
static void
test_two_servers(void **state)
{
	static const struct answer answers[] = { { 200, SESSION }, { 200, KEYED("one") },
		{ 200, KEYED("one") }, { 200, KEYED("two") },
		{ 200, "{\"data\":{\"total\":1,\"items\":{\"oauth.key\":\"two\"}}}" },
		{ 200, SETTINGS } };
	struct api_every every = { 0 };
	struct api_facts facts;
	struct settings s;
	struct talk t;
	struct err err;

	(void)state;
	talk_begin(&t, answers, COUNT(answers));
	assert_int_equal(api_read(&t.api, &t.pool, &facts, NULL, &err), 0);
	assert_int_equal(api_read_settings(&t.api, &t.pool, &s, NULL, &err), 0);
	assert_int_equal(api_read_settings(&t.api, &t.pool, &s, NULL, &err), -1);
	assert_int_equal(err.refusal, REFUSAL_TWO_SERVERS);
	err_clear(&err);
	assert_int_equal(api_read_settings(&t.api, &t.pool, &s, &every, &err), -1);
	assert_int_equal(err.refusal, REFUSAL_TWO_SERVERS);
	api_every_free(&every);
	err_clear(&err);
	assert_int_equal(
	    api_read_settings(&t.api, &t.pool, &s, NULL, &err), -1); /* without a key */
	assert_int_equal(err.refusal, REFUSAL_TWO_SERVERS);
	talk_end(&t);
}

/* On a new connection whose server it is is read before a write. */
static void
test_write_confirmed(void **state)
{
	static const struct {
		const char *shown;
		int r;
		unsigned requests;
	} cases[] = {
		{ KEYED("one"), 0, 4 },
		{ KEYED("two"), -1, 3 },
		{ "{\"data\":{}}", -1, 3 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct answer answers[] = { { 200, SESSION }, { 200, KEYED("one") },
			{ 200, cases[i].shown }, { 200, "{\"data\":null}" } };
		enum api_written written = API_WRITTEN_MAYBE;
		struct api_facts facts;
		struct ops ops;
		struct talk t;
		struct err err;

		err_clear(&err);
		talk_begin(&t, answers, COUNT(answers));
		assert_int_equal(api_read(&t.api, &t.pool, &facts, NULL, &err), 0);
		t.api.confirmed = false;
		some_ops(&ops, &t);
		CHECK(api_write(&t.api, &ops, false, &written, &err) == cases[i].r, "case %zu: %s",
		    i, err.text);
		CHECK(requests(&t.peer) == cases[i].requests, "case %zu: %u requests", i,
		    requests(&t.peer));
		CHECK(!cases[i].r ||
			(err.refusal == REFUSAL_TWO_SERVERS && written == API_WRITTEN_NOTHING),
		    "case %zu: %s", i, err.text);
		CHECK(cases[i].r == 0 || !has(t.peer.sent.data, "POST"), "case %zu: written", i);
		talk_end(&t);
	}
}

/*
 * A second request of the same write: nothing that the server says of it takes the first one back.
 */
static void
test_write_second(void **state)
{
	static const struct {
		int status;
		enum api_written written;
	} cases[] = {
		{ 400, API_WRITTEN_MAYBE },
		{ 401, API_WRITTEN_MAYBE },
		{ 404, API_WRITTEN_MAYBE },
		{ 500, API_WRITTEN_FAILED },
		{ 0, API_WRITTEN_MAYBE },
	};
	char *big = malloc(BIG + 1);
	size_t i, j;

	(void)state;
	memset(big, 'x', BIG);
	big[BIG] = '\0';
	for (i = 0; i < COUNT(cases); i++) {
		struct answer answers[2] = { { 200, "{\"data\":null}" },
			{ cases[i].status, "{}" } };
		enum api_written written = API_WRITTEN_NOTHING;
		struct ops ops = { 0 };
		struct talk t;
		struct err err;

		talk_begin(&t, answers, COUNT(answers));
		for (j = 0; j < 8; j++)
			add(&ops, &t, OP_INSERT, pool_printf(&t.pool, "k%zu", j), big, 0);
		CHECK(api_write(&t.api, &ops, false, &written, &err) == -1, "%d: success",
		    cases[i].status);
		CHECK(written == cases[i].written, "%d: written is %d", cases[i].status, written);
		CHECK(
		    requests(&t.peer) == 2, "%d: %u requests", cases[i].status, requests(&t.peer));
		talk_end(&t);
	}
	free(big);
}

/* ---- reloading ---- */

static void
test_reload(void **state)
{
	static const struct answer answers[] = {
		{ 200,
		    "{\"data\":{\"warnings\":{\"w\":{\"type\":\"Missing\"}},\"errors\":{\"a.b\":{"
		    "\"type\":\"Parse\",\"error\":\"no\"},\"c\":{\"type\":\"build\",\"error\":"
		    "\"n\"}}}}" },
		{ 200, "{\"data\":{\"warnings\":{},\"errors\":{}}}" },
	};
	struct api_reloaded out;
	struct talk t;
	struct err err;

	(void)state;
	talk_begin(&t, answers, COUNT(answers));
	CHECK(api_reload(&t.api, &t.pool, true, &out, &err) == 0, "%s", err.text);
	assert_string_equal(
	    t.peer.sent.data, "GET /api/reload?dry-run=1 HTTP/1.1\r\n" FIELDS "\r\n");
	assert_int_equal(out.error_count, 2);
	assert_int_equal(out.warning_count, 1);
	assert_string_equal(out.errors[0].key, "a.b");
	assert_string_equal(out.errors[0].kind, "parse");
	assert_string_equal(out.errors[0].text, "no");
	assert_string_equal(out.errors[1].kind, "build");
	assert_string_equal(out.warnings[0].kind, "missing");
	assert_string_equal(out.warnings[0].text, "");
	buf_reset(&t.peer.sent);
	t.peer.given = 0;
	t.peer.answers++;
	CHECK(api_reload(&t.api, &t.pool, false, &out, &err) == 0, "%s", err.text);
	assert_string_equal(t.peer.sent.data, "GET /api/reload HTTP/1.1\r\n" FIELDS "\r\n");
	assert_true(!out.error_count && !out.warning_count);
	talk_end(&t);
}

/* What is no proper answer to a reload is no success. */
static void
test_reload_failed(void **state)
{
	static const struct answer cases[] = {
		{ 200, "{\"data\":null}" },
		{ 200, "{\"data\":{}}" },
		{ 200, "{\"data\":{\"errors\":null}}" },
		{ 200, "{\"data\":{\"errors\":[]}}" },
		{ 200, "{\"error\":\"unsupported\"}" },
		{ 403, "{}" },
		{ 500, "{}" },
		{ 200, "" },
		{ 0, NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct api_reloaded out;
		struct err err = { 0 };
		struct talk t;

		talk_begin(&t, &cases[i], 1);
		CHECK(api_reload(&t.api, &t.pool, true, &out, &err) == -1 && err.kind != ERR_NONE,
		    "case %zu is a success", i);
		talk_end(&t);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_bytes),
		cmocka_unit_test(test_read_new_server),
		cmocka_unit_test(test_read_every),
		cmocka_unit_test(test_read_stopped),
		cmocka_unit_test(test_read_slowly),
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_far),
		cmocka_unit_test(test_far_reload),
		cmocka_unit_test(test_second_factor),
		cmocka_unit_test(test_detail),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_no_session),
		cmocka_unit_test(test_write_bytes),
		cmocka_unit_test(test_write_and_read),
		cmocka_unit_test(test_writes),
		cmocka_unit_test(test_write_unsent),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_two_servers),
		cmocka_unit_test(test_write_confirmed),
		cmocka_unit_test(test_write_second),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_reload_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
