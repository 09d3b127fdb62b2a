/*
 * fuzz_api.c - a hostile server's answers to the settings API. The first byte says what is asked
 * and how the answers come: as they are, or each behind a good head (0xff ends one, its first byte
 * chooses its status). What is said of a write is never more than the server said.
 */
#include "fuzz.h"

#include "base/pool.h"
#include "format/json.h"
#include "settings/changeset.h"
#include "stream.h"
#include "target/api.h"
#include "target/http1.h"

enum { ANSWERS_MAX = 4, FRAMED = 4, KNOWN = 8, CAPITAL = 16, FLAG = 32 };

static const int statuses[] = { 200, 400, 401, 402, 403, 404, 429, 500, 302, 503 };

/* What the server answers, where it is framed: one answer a request. */
struct script {
	struct stream stream; /* first: the transport's ctx */
	int status[ANSWERS_MAX + 1];
	char *body[ANSWERS_MAX];
	size_t len[ANSWERS_MAX]; /* of the whole answer */
	size_t count, answered;
	struct buf text;
};

static const struct op three[] = {
	{ OP_DELETE, "queue.strategy.route", NULL, 1 },
	{ OP_INSERT, "http.url", "'https://a.example'", 2 },
	{ OP_INSERT, "server.listener.\xc3\xa4.proxy.override", "true", 2 },
};

static void
script_make(struct script *s, struct input *in)
{
	while (in->len && s->count < ANSWERS_MAX) {
		int status = statuses[input_byte(in) % COUNT(statuses)];
		char *body = input_until(in, (char)0xff);

		size_t before = s->text.len;

		buf_printf(&s->text, "HTTP/1.1 %d x\r\nContent-Length: %zu\r\n\r\n%s", status,
		    strlen(body), body);
		s->status[s->count] = status;
		s->len[s->count] = s->text.len - before;
		s->body[s->count++] = body;
	}
	s->stream.in = (struct input){ (const uint8_t *)buf_text(&s->text), 0 };
}

/* Each request lets the next answer out. */
static int
script_write(void *ctx, const void *data, size_t len, struct err *err)
{
	static const char mark[] = " HTTP/1.1\r\n";
	struct script *s = ctx;
	const char *at = data, *end = at + len;

	while (
	    s->answered < s->count && (at = memmem(at, (size_t)(end - at), mark, strlen(mark)))) {
		s->stream.in.len += s->len[s->answered++];
		at += strlen(mark);
	}
	return stream_write(&s->stream, data, len, err);
}

static void
script_free(struct script *s)
{
	size_t i;

	for (i = 0; i < s->count; i++)
		free(s->body[i]);
	buf_free(&s->text);
	buf_free(&s->stream.sent);
}

static void
check_settings(const struct settings *s)
{
	size_t i;

	for (i = 0; i < s->count; i++) {
		CHECK(s->items[i].key && s->items[i].value, "half a setting");
		CHECK(!i || strcmp(s->items[i - 1].key, s->items[i].key) < 0,
		    "%s is not in its place", s->items[i].key);
		CHECK(settings_get(s, s->items[i].key) == s->items[i].value, "%s is not found",
		    s->items[i].key);
	}
}

/* The settings of a plan are those of all that a read by prefixes and keys would give. */
static void
check_chosen(const struct api *a, const struct settings *s, const struct settings *every)
{
	size_t i, chosen = 0;

	check_settings(every);
	for (i = 0; i < every->count; i++) {
		const struct setting *e = &every->items[i];

		if (!api_covers(a, e->key) || !strcmp(e->key, "oauth.key"))
			continue;
		CHECK(same_text(settings_get(s, e->key), e->value), "%s is lost", e->key);
		chosen++;
	}
	CHECK(s->count == chosen, "%zu of %zu settings", s->count, chosen);
}

static void
read_facts(struct api *a, struct pool *pool, bool all)
{
	struct api_every every = { 0 };
	struct api_facts f;
	struct err err;
	int r;

	err_clear(&err);
	r = api_read(a, pool, &f, all ? &every : NULL, &err);
	if (r == 0 && all)
		check_chosen(a, &f.settings, &every.settings);
	api_every_free(&every);
	if (r == -1) {
		check_err(&err);
		CHECK(err.kind == ERR_AUTH || err.kind == ERR_REFUSED || err.kind == ERR_SERVER ||
			err.kind == ERR_REACH,
		    "kind %d", err.kind);
		CHECK((err.kind == ERR_REFUSED) == (err.refusal != REFUSAL_NONE),
		    "a refusal and its name: %s", err.text);
		return;
	}
	check_settings(&f.settings);
	CHECK(MINOR_FIRST <= f.minor_first && f.minor_first <= f.minor_last &&
		f.minor_last <= MINOR_LAST,
	    "0.%d to 0.%d", f.minor_first, f.minor_last);
	CHECK(!f.version ||
		(f.minor_first == f.minor_last &&
		    changeset_parse_version(f.version) == f.minor_last),
	    "version %s", f.version);
	CHECK(!f.url_in_force || strstr(f.url_in_force, "://"), "the URL in force: %s",
	    f.url_in_force);
	CHECK(a->capital == (f.minor_last <= 10), "0.%d to 0.%d", f.minor_first, f.minor_last);
}

static void
read_settings(struct api *a, struct pool *pool, unsigned how)
{
	struct api_every every = { 0 };
	struct settings s;
	struct err err;
	int r;

	err_clear(&err);
	r = how & CAPITAL ? api_read_settings(a, pool, &s, NULL, &err)
			  : api_read_settings(a, pool, &s, &every, &err);
	if (r == 0)
		check_settings(&s);
	else
		check_err(&err);
	if (r == 0 && !(how & CAPITAL))
		check_chosen(a, &s, &every.settings);
	api_every_free(&every);
}

/* All that was sent is whole requests, and the last one's body holds all the operations. */
static void
check_sent(const struct buf *sent)
{
	const char *at = buf_text(sent), *body = NULL;
	struct json *doc;
	struct err err;

	while ((at = strstr(at, "\r\n\r\n")))
		body = at += 4;
	CHECK(body, "no request");
	CHECK(json_parse(&doc, body, strlen(body), &err) == 0, "%s: %s", body, err.text);
	CHECK(json_is_array(doc) && json_first(doc) && json_next(json_first(doc)) &&
		!json_next(json_next(json_first(doc))),
	    "not two operations: %s", body);
	json_free(doc);
}

/* reads: a read is sent along with each try of the write. */
static void
write_ops(struct api *a, struct pool *pool, const struct script *script, bool reads)
{
	bool again = script->status[0] == 400 && !a->spelling_known;
	int status = script->status[again && reads ? 2 : again];
	enum api_written written = API_WRITTEN_MAYBE;
	struct ops ops = { 0 };
	struct settings s;
	struct err err;
	size_t i;
	int r;

	for (i = 0; i < COUNT(three); i++)
		ops_add(&ops, pool, &three[i]);
	err_clear(&err);
	r = api_write(a, &ops, reads, &written, &err);
	if (!reads)
		check_sent(&script->stream.sent);
	CHECK(script->stream.writes <= 2, "%u requests", script->stream.writes);
	if (r == -1)
		check_err(&err);
	else if (reads && api_read_settings(a, pool, &s, NULL, &err) == 0)
		check_settings(&s);
	if (!script->count) {
		const struct stream *s = &script->stream;

		CHECK(r == 0 || written != API_WRITTEN_NOTHING ||
			memmem(s->in.p - s->taken, s->taken, " 40", 3) ||
			memmem(s->in.p - s->taken, s->taken, " 413", 4),
		    "nothing is written, says nobody: %s", err.text);
		return;
	}
	if (again && reads && script->count == 1) {
		CHECK(r == -1, "a success without an answer");
		return; /* the first try did nothing, and the second was not sent */
	}
	CHECK(r == -1 || status == 200, "a success at %d", status);
	CHECK(r == 0 || (written == API_WRITTEN_NOTHING) == (status >= 400 && status <= 404),
	    "%d means %d", status, written);
	CHECK(r == 0 || (written == API_WRITTEN_FAILED) == (status == 500), "%d means %d", status,
	    written);
}

/* The server's own errors in an answer that says that it reloaded. */
static size_t
count_errors(const char *body)
{
	const struct json *j;
	struct json *doc;
	size_t n = 0;

	CHECK(json_parse(&doc, body, strlen(body), NULL) == 0, "a success without JSON: %s", body);
	for (j = json_first(json_member(json_member(doc, "data"), "errors")); j; j = json_next(j))
		n++;
	json_free(doc);
	return n;
}

static void
reload(struct api *a, struct pool *pool, bool dry_run, const struct script *script)
{
	const char *wanted = dry_run ? "GET /api/reload?dry-run=1 HTTP/1.1\r\n"
				     : "GET /api/reload HTTP/1.1\r\n";
	struct api_reloaded out;
	struct err err;
	size_t i;

	err_clear(&err);
	if (api_reload(a, pool, dry_run, &out, &err) == -1) {
		check_err(&err);
		return;
	}
	CHECK(!strncmp(buf_text(&script->stream.sent), wanted, strlen(wanted)), "%s",
	    buf_text(&script->stream.sent));
	for (i = 0; i < out.error_count; i++)
		CHECK(
		    out.errors[i].key && out.errors[i].kind && out.errors[i].text, "half an error");
	for (i = 0; i < out.warning_count; i++)
		CHECK(out.warnings[i].key && out.warnings[i].kind && out.warnings[i].text,
		    "half a warning");
	if (script->count)
		CHECK(script->status[0] == 200 && count_errors(script->body[0]) == out.error_count,
		    "%zu errors: %s", out.error_count, script->body[0]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	unsigned how = input_byte(&in);
	struct script script = { .stream = { .in = in, .piece = 1 + (how >> 5) * 97 } };
	struct transport transport = { &script, stream_read, script_write };
	struct pool pool = { 0 };
	struct http1 http;
	struct api a = {
		.http = &http,
		.host = "a",
		.relay_id = "smarthost",
		.new_server = how & FLAG ? "192.0.2.1" : "",
		.capital = how & CAPITAL,
		.spelling_known = how & KNOWN,
	};

	if (how & FRAMED)
		script_make(&script, &in);
	http1_init(&http, &transport);
	switch (how % 4) {
	case 0:
		read_facts(&a, &pool, how & KNOWN);
		break;
	case 1:
		write_ops(&a, &pool, &script, how & FLAG);
		break;
	case 2:
		reload(&a, &pool, how & FLAG, &script);
		break;
	default:
		read_settings(&a, &pool, how);
	}
	http1_free(&http);
	pool_free(&pool);
	script_free(&script);
	return 0;
}
