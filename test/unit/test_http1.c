/*
 * test_http1.c - answers that are proper HTTP/1.1 and those that only look like it, over a
 * transport in memory
 */
#include "help.h"

#include "sys/secret.h"
#include "sys/transport.h"
#include "target/http1.h"

#define OK    "HTTP/1.1 200 OK\r\n"
#define TEN   "AAAAAAAAAA"
#define FIFTY TEN TEN TEN TEN TEN

/*
 * A peer that says `text`, at most `step` bytes at a time, and then ends; it keeps what it hears.
 */
struct peer {
	const char *text;
	size_t len, at, step;
	struct buf heard;
	unsigned writes;
	bool deaf;
};

static ssize_t
peer_read(void *ctx, void *data, size_t len, struct err *err)
{
	struct peer *p = ctx;
	size_t n = p->len - p->at;

	(void)err;
	n = n < len ? n : len;
	n = n < p->step ? n : p->step;
	memcpy(data, p->text + p->at, n);
	p->at += n;
	return (ssize_t)n;
}

static int
peer_write(void *ctx, const void *data, size_t len, struct err *err)
{
	struct peer *p = ctx;

	if (p->deaf)
		return err_set(err, ERR_REACH, "deaf");
	buf_add(&p->heard, data, len);
	p->writes++;
	return 0;
}

static struct transport
transport_of(struct peer *p)
{
	return (struct transport){ .ctx = p, .read = peer_read, .write = peer_write };
}

static const struct http1_request get = { .method = "GET", .target = "/x", .host = "h" };

#define TWO  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
#define FOUR TWO TWO

/*
 * One answer. A NUL inside is written as byte 1 and put in by the test. body: what is wanted; else
 * a part of the message.
 */
static const struct {
	const char *in;
	int status;
	const char *body, *why;
} answers[] = {
	{ OK "Content-Length: 5\r\n\r\nhello", 200, "hello", NULL },
	{ OK "content-LENGTH:5\r\n\r\nhello", 200, "hello", NULL },
	{ OK "Content-Length:\t 5 \t\r\n\r\nhello", 200, "hello", NULL },
	{ OK "Content-Length: 0\r\n\r\n", 200, "", NULL },
	{ OK "Content-Length: 005\r\n\r\nhello", 200, "hello", NULL },
	{ "HTTP/1.1 204 No Content\r\n\r\n", 204, "", NULL },
	{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, "", NULL },
	{ "HTTP/1.1 401\r\nContent-Length: 2\r\n\r\nno", 401, "no", NULL },
	{ "HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n", 302, "", NULL },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", NULL },
	{ "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 2\r\n\r\nok", 200, "ok", NULL },
	{ FOUR FOUR OK "Content-Length: 2\r\n\r\nok", 200, "ok", NULL }, /* HTTP1_INTERIM_MAX */
	{ "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK "Content-Length: 2\r\n\r\nok", 200, "ok",
	    NULL },
	{ OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, "hello", NULL },
	{ OK "Transfer-Encoding: CHUNKED\r\n\r\n2\r\nhe\r\n00003;x=\"y\"\r\nllo\r\n000\r\nA: "
	     "b\r\nC:\r\n\r\n",
	    200, "hello", NULL },
	{ OK "Transfer-Encoding: chunked\r\n\r\nA\r\n" TEN "\r\na\r\n" TEN "\r\n0\r\n\r\n", 200,
	    TEN TEN, NULL },
	{ OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "", NULL },
	{ OK "X:\r\nContent-Length: 2\r\n\r\nok", 200, "ok", NULL },

	/* Cut off, or not told where it ends. */
	{ "", 0, NULL, "closed the connection without an answer" },
	{ "HTTP/1.1 2", 0, NULL, "closed the connection inside" },
	{ OK "Content-Length: 5\r\n", 0, NULL, "closed the connection inside" },
	{ OK "Content-Length: 5\r\n\r\nhell", 0, NULL,
	    "closed the connection before its answer was complete" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", 0, NULL,
	    "before its answer was complete" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello", 0, NULL,
	    "before its answer was complete" },
	{ OK "\r\nhello", 0, NULL, "does not give its length" },
	{ OK "Connection: close\r\n\r\nhello", 0, NULL, "does not give its length" },
	{ "HTTP/1.1 100 Continue\r\n\r\n", 0, NULL, "closed the connection without an answer" },

	/* Lengths that two readers could understand in two ways. */
	{ OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 0,
	    NULL, "a length and a transfer coding" },
	{ OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 0, NULL, "its length twice" },
	{ OK "Content-Length: 5\r\ncontent-length: 6\r\n\r\nhello", 0, NULL, "its length twice" },
	{ OK "Content-Length: 5, 5\r\n\r\nhello", 0, NULL, "not a number" },
	{ OK "Content-Length: +5\r\n\r\nhello", 0, NULL, "not a number" },
	{ OK "Content-Length: -5\r\n\r\nhello", 0, NULL, "not a number" },
	{ OK "Content-Length: 5 5\r\n\r\nhello", 0, NULL, "not a number" },
	{ OK "Content-Length: 0x5\r\n\r\nhello", 0, NULL, "not a number" },
	{ OK "Content-Length: 5.0\r\n\r\nhello", 0, NULL, "not a number" },
	{ OK "Content-Length:\r\n\r\nhello", 0, NULL, "length is empty" },
	{ OK "Content-Length: 67108865\r\n\r\n", 0, NULL, "longer than 64 MiB" },
	{ OK "Content-Length: 99999999999999999999999999\r\n\r\n", 0, NULL, "longer than 64 MiB" },
	{ OK "Transfer-Encoding: gzip, chunked\r\n\r\n", 0, NULL, "not \"chunked\"" },
	{ OK "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", 0, NULL,
	    "not \"chunked\"" },
	{ OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, NULL,
	    "coding twice" },
	{ "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, NULL, "HTTP/1.0" },
	{ "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", 0, NULL, "allows none" },
	{ "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 0, NULL, "allows none" },
	{ "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello", 0, NULL, "allows none" },
	{ "HTTP/1.1 101 Switching\r\n\r\n", 0, NULL, "changes the protocol" },

	/* Chunks. */
	{ OK "Transfer-Encoding: chunked\r\n\r\n\r\n", 0, NULL, "chunk's size" },
	{ OK "Transfer-Encoding: chunked\r\n\r\ng\r\n", 0, NULL, "chunk's size" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", 0, NULL,
	    "chunk's size" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n", 0, NULL,
	    "chunk's size" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", 0, NULL,
	    "chunk's size" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 0, NULL,
	    "chunk's size" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n4000001\r\n", 0, NULL, "longer than 64 MiB" },
	{ OK "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 0, NULL,
	    "longer than 64 MiB" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n", 0, NULL,
	    "a chunk is longer" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 0, NULL,
	    "line feed without" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n", 0, NULL,
	    "line feed without" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n0\r\n bad\r\n\r\n", 0, NULL, "folded" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n", 0, NULL,
	    "name is not valid" },

	/* The head. */
	{ "HTTP/1.1 200 OK\nContent-Length: 0\n\n", 0, NULL, "line feed without" },
	{ OK "Content-Length: 0\n\r\n", 0, NULL, "line feed without" },
	{ OK "A: b\rContent-Length: 0\r\n\r\n", 0, NULL, "a control byte" },
	{ OK "A: \001\r\nContent-Length: 0\r\n\r\n", 0, NULL, "a NUL" },
	{ OK "A: \033\r\nContent-Length: 0\r\n\r\n", 0, NULL, "a control byte" },
	{ OK "A: b\r\n c\r\nContent-Length: 0\r\n\r\n", 0, NULL, "folded" },
	{ OK " A: b\r\nContent-Length: 0\r\n\r\n", 0, NULL, "folded" },
	{ OK "Content-Length : 0\r\n\r\n", 0, NULL, "name is not valid" },
	{ OK ": 0\r\n\r\n", 0, NULL, "name is not valid" },
	{ OK "no colon\r\n\r\n", 0, NULL, "name is not valid" },
	{ "HTTP/1.1 99 No\r\n\r\n", 0, NULL, "status line" },
	{ "HTTP/1.1 099 No\r\n\r\n", 0, NULL, "its status" },
	{ "HTTP/1.1 600 No\r\n\r\n", 0, NULL, "its status" },
	{ "HTTP/1.1 2000 No\r\n\r\n", 0, NULL, "status line" },
	{ "HTTP/1.1  200 OK\r\n\r\n", 0, NULL, "status line" },
	{ "HTTP/1.2 200 OK\r\n\r\n", 0, NULL, "status line" },
	{ "HTTP/2 200\r\n\r\n", 0, NULL, "not HTTP/1.1" },
	{ "220 mail.example.org ESMTP\r\n", 0, NULL, "begins with \"2" },
	{ "* OK IMAP\r\n", 0, NULL, "not HTTP/1.1" },
	{ "\r\n" OK "Content-Length: 0\r\n\r\n", 0, NULL, "not HTTP/1.1" },
	{ "\x15\x03\x03\x01\x02\x02\x16", 0, NULL, "speaks TLS" },
};

static void
check_answer(size_t i, size_t step)
{
	char *text = strdup(answers[i].in), *nul;
	struct peer peer = { .text = text, .len = strlen(text), .step = step };
	struct transport t = transport_of(&peer);
	struct http1_answer a = { 0 };
	struct http1 h;
	struct err err;
	int r;

	nul = strchr(text, 1);
	if (nul && has(answers[i].why ? answers[i].why : "", "NUL"))
		*nul = '\0';
	http1_init(&h, &t);
	assert_int_equal(http1_queue(&h, &get, &err), 0);
	assert_int_equal(http1_flush(&h, &err), 0);
	r = http1_receive(&h, &a, &err);
	CHECK((r == 0) == (answers[i].body != NULL), "case %zu (%s): %s", i, answers[i].in,
	    r ? err.text : "taken");
	if (r == 0) {
		CHECK(a.status == answers[i].status, "case %zu: status %d", i, a.status);
		CHECK(!strcmp(buf_text(&a.body), answers[i].body), "case %zu: body %s", i,
		    buf_text(&a.body));
	} else {
		CHECK(
		    has(err.text, answers[i].why), "case %zu (%s): %s", i, answers[i].in, err.text);
		CHECK(h.closed && http1_receive(&h, &a, &err) == -1,
		    "case %zu: goes on after an error", i);
	}
	http1_answer_free(&a);
	http1_free(&h);
	buf_free(&peer.heard);
	free(text);
}

static void
test_answers(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(answers); i++) {
		check_answer(i, 1);
		check_answer(i, 7);
		check_answer(i, 65536);
	}
}

/* What the answer says of itself. */
static void
test_fields(void **state)
{
	static const struct {
		const char *head, *type;
		bool json, close;
		const char *location;
	} cases[] = {
		{ OK "Content-Type: Application/JSON; charset=utf-8\r\n", "application/json", true,
		    false, "" },
		{ OK "Content-Type: application/problem+json\r\n", "application/problem+json", true,
		    false, "" },
		{ OK "Content-Type: text/html\r\nConnection: Close\r\n", "text/html", false, true,
		    "" },
		{ OK "Connection: keep-alive, x ,  CLOSE\r\n", "", false, true, "" },
		{ OK "Connection: closed\r\n", "", false, false, "" },
		{ "HTTP/1.0 200 OK\r\n", "", false, true, "" },
		{ "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", "", false, false, "" },
		{ "HTTP/1.1 301 x\r\nLocation: https://other/\xff\r\n", "", false, false,
		    "https://other/?" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct buf text = { 0 };
		struct peer peer = { .step = 65536 };
		struct transport t = transport_of(&peer);
		struct http1_answer a = { 0 };
		struct http1 h;
		struct err err;

		buf_printf(&text, "%sContent-Length: 0\r\n\r\n", cases[i].head);
		peer.text = text.data;
		peer.len = text.len;
		http1_init(&h, &t);
		assert_int_equal(http1_queue(&h, &get, &err), 0);
		assert_int_equal(http1_flush(&h, &err), 0);
		CHECK(http1_receive(&h, &a, &err) == 0, "%s: %s", cases[i].head, err.text);
		CHECK(!strcmp(a.type, cases[i].type) && a.json == cases[i].json, "%s: %s",
		    cases[i].head, a.type);
		CHECK(a.close == cases[i].close && h.closed == cases[i].close, "%s: close",
		    cases[i].head);
		CHECK(!strcmp(a.location, cases[i].location), "%s: %s", cases[i].head, a.location);
		CHECK((http1_queue(&h, &get, &err) == -1) == cases[i].close, "%s: used again",
		    cases[i].head);
		http1_answer_free(&a);
		http1_free(&h);
		buf_free(&text);
		buf_free(&peer.heard);
	}
}

/* Endless heads, interim answers, trailers and chunk lines come to an end. */
static void
test_bounds(void **state)
{
	static const struct {
		const char *head, *unit;
		size_t times;
		const char *why;
	} cases[] = {
		{ OK, "A: " FIFTY "\r\n", HTTP1_HEAD_MAX / 50, "too long" },
		{ OK "A: ", FIFTY, HTTP1_HEAD_MAX / 50 + 1, "too long" },
		{ "HTTP/1.1 200 ", FIFTY, HTTP1_HEAD_MAX / 50 + 1, "too long" },
		{ "", "HTTP/1.1 100 Continue\r\n\r\n", HTTP1_INTERIM_MAX + 2, "too many interim" },
		{ OK "Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: " FIFTY "\r\n",
		    HTTP1_TRAILER_MAX / 50, "too long" },
		{ OK "Transfer-Encoding: chunked\r\n\r\n5;", FIFTY, HTTP1_CHUNK_LINE_MAX / 50 + 1,
		    "too long" },
		{ OK "Transfer-Encoding: chunked\r\n\r\n", "00000", HTTP1_CHUNK_LINE_MAX / 5 + 2,
		    "too long" },
	};
	size_t i, k;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct buf text = { 0 };
		struct peer peer = { .step = 1000 };
		struct transport t = transport_of(&peer);
		struct http1_answer a = { 0 };
		struct http1 h;
		struct err err;

		buf_str(&text, cases[i].head);
		for (k = 0; k < cases[i].times; k++)
			buf_str(&text, cases[i].unit);
		peer.text = text.data;
		peer.len = text.len;
		http1_init(&h, &t);
		assert_int_equal(http1_queue(&h, &get, &err), 0);
		assert_int_equal(http1_flush(&h, &err), 0);
		CHECK(http1_receive(&h, &a, &err) == -1 && has(err.text, cases[i].why),
		    "case %zu: %s", i, err.text);
		http1_free(&h);
		buf_free(&text);
		buf_free(&peer.heard);
	}
}

/* A long body in small chunks, and the most that is taken. */
static void
test_long_body(void **state)
{
	struct buf text = { 0 };
	struct peer peer = { .step = 65536 };
	struct transport t = transport_of(&peer);
	struct http1_answer a = { 0 };
	struct http1 h;
	struct err err;
	size_t i;

	(void)state;
	buf_str(&text, OK "Transfer-Encoding: chunked\r\n\r\n");
	for (i = 0; i < 100000; i++)
		buf_str(&text, "a\r\n" TEN "\r\n");
	buf_str(&text, "0\r\n\r\n");
	peer.text = text.data;
	peer.len = text.len;
	http1_init(&h, &t);
	assert_int_equal(http1_queue(&h, &get, &err), 0);
	assert_int_equal(http1_flush(&h, &err), 0);
	CHECK(http1_receive(&h, &a, &err) == 0, "%s", err.text);
	assert_int_equal(a.body.len, 1000000);
	http1_answer_free(&a);
	http1_free(&h);
	buf_free(&text);
	buf_free(&peer.heard);
}

/* Two requests in one write, answered in order; their bytes are gone once sent. */
static void
test_requests(void **state)
{
	static const char answer[] = OK "Content-Length: 1\r\n\r\na"
					"HTTP/1.1 404 x\r\nContent-Length: 1\r\n\r\nb";
	static const char wanted[] =
	    "GET /x HTTP/1.1\r\nHost: h\r\nUser-Agent: stalprep\r\nAccept: application/json\r\n\r\n"
	    "POST /api HTTP/1.1\r\nHost: [::1]:8080\r\nUser-Agent: stalprep\r\nAccept: "
	    "application/json\r\n"
	    "Authorization: Basic eHg=\r\nContent-Type: application/json\r\nContent-Length: "
	    "4\r\n\r\nbody";
	struct secret auth = { .len = 10, .data = "Basic eHg=" };
	struct http1_request post = { .method = "POST",
		.target = "/api",
		.host = "[::1]:8080",
		.authorization = &auth,
		.body = "bodyandmore",
		.body_len = 4 };
	struct peer peer = { .text = answer, .len = sizeof(answer) - 1, .step = 65536 };
	struct transport t = transport_of(&peer);
	struct http1_answer a = { 0 };
	struct http1 h;
	struct err err;

	(void)state;
	http1_init(&h, &t);
	assert_int_equal(http1_receive(&h, &a, &err), -1);
	assert_int_equal(http1_queue(&h, &get, &err), 0);
	assert_int_equal(http1_queue(&h, &post, &err), 0);
	assert_false(h.sent_bytes);
	assert_int_equal(http1_flush(&h, &err), 0);
	assert_true(h.sent_bytes && !h.out.data);
	assert_int_equal(peer.writes, 1);
	assert_string_equal(buf_text(&peer.heard), wanted);
	assert_int_equal(http1_receive(&h, &a, &err), 0);
	assert_int_equal(a.status, 200);
	assert_string_equal(buf_text(&a.body), "a");
	assert_int_equal(http1_receive(&h, &a, &err), 0);
	assert_int_equal(a.status, 404);
	assert_string_equal(buf_text(&a.body), "b");
	assert_int_equal(http1_flush(&h, &err), 0); /* nothing queued: nothing sent */
	assert_int_equal(peer.writes, 1);
	http1_answer_free(&a);
	http1_free(&h);
	buf_free(&peer.heard);
}

/* What must not go out, or on. */
static void
test_refused(void **state)
{
	static const struct http1_request bad[] = {
		{ .method = "GET", .target = "/x y", .host = "h" },
		{ .method = "GET", .target = "/x\r\nA: b", .host = "h" },
		{ .method = "GET", .target = "/x", .host = "h\n" },
		{ .method = "G T", .target = "/x", .host = "h" },
		{ .method = "GET", .target = "/\xc3\xa4", .host = "h" },
	};
	static const char extra[] = OK "Content-Length: 1\r\n\r\nab";
	struct peer peer = { .text = extra, .len = sizeof(extra) - 1, .step = 65536 };
	struct transport t = transport_of(&peer);
	struct http1_answer a = { 0 };
	struct http1 h;
	struct err err;
	size_t i;

	(void)state;
	http1_init(&h, &t);
	for (i = 0; i < COUNT(bad); i++)
		CHECK(http1_queue(&h, &bad[i], &err) == -1, "case %zu", i);
	assert_int_equal(http1_queue(&h, &get, &err), 0);
	assert_int_equal(http1_flush(&h, &err), 0);
	assert_int_equal(http1_receive(&h, &a, &err), 0);
	assert_int_equal(http1_queue(&h, &get, &err), 0);
	assert_int_equal(http1_flush(&h, &err), -1); /* the peer said more than was asked */
	assert_true(has(err.text, "no request asked for"));
	http1_answer_free(&a);
	http1_free(&h);
	buf_free(&peer.heard);

	memset(&peer, 0, sizeof(peer));
	peer.deaf = true;
	http1_init(&h, &t);
	assert_int_equal(http1_queue(&h, &get, &err), 0);
	assert_int_equal(http1_flush(&h, &err), -1);
	assert_true(h.sent_bytes && h.closed && !h.out.data);
	assert_int_equal(http1_receive(&h, &a, &err), -1);
	http1_free(&h);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_long_body),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
