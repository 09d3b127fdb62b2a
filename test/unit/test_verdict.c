/* test_verdict.c - what a port does: each rule, and what looks like another one */
#include "help.h"

#include "base/buf.h"
#include "target/verdict.h"

#define SMTP  { PROTOCOL_SMTP, false }
#define IMAP  { PROTOCOL_IMAP, false }
#define POP3  { PROTOCOL_POP3, false }
#define SIEVE { PROTOCOL_SIEVE, false }
#define HTTP  { PROTOCOL_HTTP, false }
#define TLS   { PROTOCOL_IMAP, true }

/* Bytes of a literal, which may have a NUL. */
#define SAYS(text) { text, sizeof(text) - 1 }
#define NOTHING    { "", 0 }

#define ALERT(number) SAYS("\x15\x03\x03\x00\x02\x02" number)
#define HELLO         SAYS("\x16\x03\x03\x00\x04\x02\x00\x00\x00")
#define HELLO_DONE    SAYS("\x16\x03\x03\x00\x08\x02\x00\x00\x00\x0e\x00\x00\x00")
#define GREETS        SAYS("220 vm ESMTP\r\n")
#define SIEVE_GREETS  "\"IMPLEMENTATION\" \"x\"\r\n\"VERSION\" \"1.0\"\r\nOK \"ready\"\r\n"

struct heard {
	const char *text;
	size_t len;
};

/* Each line: what is known of both connections, and what follows from it. */
static const struct {
	const char *why;
	struct speaks speaks;
	enum side_state a_state;
	struct heard a;
	enum side_state b_state;
	bool asked;
	struct heard b;
	enum step step;
	enum verdict verdict;
} cases[] = {
	/* 1: connecting */
	{ "connecting", SMTP, SIDE_CONNECTING, NOTHING, SIDE_NONE, false, NOTHING, STEP_WAIT, 0 },
	{ "refused: no header", SMTP, SIDE_CLOSED, NOTHING, SIDE_NONE, false, NOTHING, STEP_DONE,
	    VERDICT_CLOSED },
	{ "no answer: no header", TLS, SIDE_UNANSWERED, NOTHING, SIDE_NONE, false, NOTHING,
	    STEP_DONE, VERDICT_SILENT },
	/* 2 and 3: the plain one */
	{ "it waits", SMTP, SIDE_OPEN, NOTHING, SIDE_NONE, false, NOTHING, STEP_WAIT, 0 },
	{ "half a line", SMTP, SIDE_OPEN, SAYS("220 v"), SIDE_NONE, false, NOTHING, STEP_WAIT, 0 },
	{ "a greeting", SMTP, SIDE_OPEN, GREETS, SIDE_NONE, false, NOTHING, STEP_DONE,
	    VERDICT_PLAIN },
	{ "the first of its lines", SMTP, SIDE_OPEN, SAYS("220-vm\r\n"), SIDE_NONE, false, NOTHING,
	    STEP_DONE, VERDICT_PLAIN },
	{ "LMTP", { PROTOCOL_LMTP, false }, SIDE_OPEN, GREETS, SIDE_NONE, false, NOTHING, STEP_DONE,
	    VERDICT_PLAIN },
	{ "and the end", SMTP, SIDE_ENDED, GREETS, SIDE_NONE, false, NOTHING, STEP_DONE,
	    VERDICT_PLAIN },
	{ "too busy", SMTP, SIDE_OPEN, SAYS("421 4.3.2 busy\r\n"), SIDE_NONE, false, NOTHING,
	    STEP_DONE, VERDICT_REFUSES },
	{ "no service", SMTP, SIDE_OPEN, SAYS("554 5.7.1 go\r\n"), SIDE_NONE, false, NOTHING,
	    STEP_DONE, VERDICT_REFUSES },
	{ "another code", SMTP, SIDE_OPEN, SAYS("500 what\r\n"), SIDE_NONE, false, NOTHING,
	    STEP_DONE, VERDICT_OTHER },
	{ "half a line, then silence", SMTP, SIDE_OVER, SAYS("220 v"), SIDE_NONE, false, NOTHING,
	    STEP_DONE, VERDICT_OTHER },
	{ "IMAP", IMAP, SIDE_OPEN, SAYS("* OK hi\r\n"), SIDE_NONE, false, NOTHING, STEP_DONE,
	    VERDICT_PLAIN },
	{ "IMAP", IMAP, SIDE_OPEN, SAYS("* PREAUTH hi\r\n"), SIDE_NONE, false, NOTHING, STEP_DONE,
	    VERDICT_PLAIN },
	{ "IMAP", IMAP, SIDE_OPEN, SAYS("* BYE no\r\n"), SIDE_NONE, false, NOTHING, STEP_DONE,
	    VERDICT_REFUSES },
	{ "SMTP on IMAP's port", IMAP, SIDE_OPEN, GREETS, SIDE_NONE, false, NOTHING, STEP_DONE,
	    VERDICT_OTHER },
	{ "POP3", POP3, SIDE_OPEN, SAYS("+OK\r\n"), SIDE_NONE, false, NOTHING, STEP_DONE,
	    VERDICT_PLAIN },
	{ "ManageSieve", SIEVE, SIDE_OPEN, SAYS(SIEVE_GREETS), SIDE_NONE, false, NOTHING, STEP_DONE,
	    VERDICT_PLAIN },
	{ "ManageSieve", SIEVE, SIDE_OPEN, SAYS("BYE \"no\"\r\n"), SIDE_NONE, false, NOTHING,
	    STEP_DONE, VERDICT_REFUSES },
	{ "HTTP", HTTP, SIDE_OPEN, SAYS("HTTP/1.1 404 Not Found\r\n"), SIDE_NONE, false, NOTHING,
	    STEP_DONE, VERDICT_PLAIN },
	{ "HTTP: 400 is a status", HTTP, SIDE_OPEN, SAYS("HTTP/1.1 400 Bad\r\n"), SIDE_NONE, false,
	    NOTHING, STEP_DONE, VERDICT_PLAIN },
	{ "not HTTP", HTTP, SIDE_OPEN, SAYS("* OK hi\r\n"), SIDE_NONE, false, NOTHING, STEP_DONE,
	    VERDICT_OTHER },
	{ "TLS: half a head", TLS, SIDE_OPEN, SAYS("\x16\x03"), SIDE_NONE, false, NOTHING,
	    STEP_WAIT, 0 },
	{ "TLS: the certificate may come", TLS, SIDE_OPEN, HELLO, SIDE_NONE, false, NOTHING,
	    STEP_WAIT, 0 },
	{ "TLS: it does not", TLS, SIDE_OVER, HELLO, SIDE_NONE, false, NOTHING, STEP_DONE,
	    VERDICT_PLAIN },
	{ "TLS: no certificate", TLS, SIDE_OPEN, HELLO_DONE, SIDE_NONE, false, NOTHING, STEP_DONE,
	    VERDICT_PLAIN },
	{ "TLS: an alert is an answer", TLS, SIDE_ENDED, ALERT("\x32"), SIDE_NONE, false, NOTHING,
	    STEP_DONE, VERDICT_PLAIN },
	{ "TLS: so is any record", TLS, SIDE_OVER, SAYS("\x17\x03\x03\x00\x01x"), SIDE_NONE, false,
	    NOTHING, STEP_DONE, VERDICT_PLAIN },
	{ "TLS: a greeting in the clear", TLS, SIDE_OPEN, SAYS("* OK hi\r\n"), SIDE_NONE, false,
	    NOTHING, STEP_DONE, VERDICT_OTHER },
	{ "TLS: half a head is none", TLS, SIDE_ENDED, SAYS("\x16\x03"), SIDE_NONE, false, NOTHING,
	    STEP_DONE, VERDICT_OTHER },
	{ "TLS: a record without bytes is none", TLS, SIDE_OPEN, SAYS("\x16\x03\x03\x00\x00"),
	    SIDE_NONE, false, NOTHING, STEP_DONE, VERDICT_OTHER },
	/* 4: the one with a header is made */
	{ "silence", IMAP, SIDE_OVER, NOTHING, SIDE_NONE, false, NOTHING, STEP_HEADER, 0 },
	{ "a reset", TLS, SIDE_ENDED, NOTHING, SIDE_NONE, false, NOTHING, STEP_HEADER, 0 },
	{ "HTTP without a header just ends", HTTP, SIDE_ENDED, NOTHING, SIDE_NONE, false, NOTHING,
	    STEP_HEADER, 0 },
	{ "it connects", TLS, SIDE_OVER, NOTHING, SIDE_CONNECTING, false, NOTHING, STEP_WAIT, 0 },
	{ "it waits", TLS, SIDE_OVER, NOTHING, SIDE_OPEN, false, NOTHING, STEP_WAIT, 0 },
	/* 5: TLS behind a header */
	{ "ServerHello", TLS, SIDE_ENDED, NOTHING, SIDE_OPEN, false, HELLO_DONE, STEP_DONE,
	    VERDICT_WANTS },
	{ "ServerHello, cut off", TLS, SIDE_ENDED, NOTHING, SIDE_ENDED, false, HELLO, STEP_DONE,
	    VERDICT_WANTS },
	{ "TLS 1.3 only", TLS, SIDE_ENDED, NOTHING, SIDE_OPEN, false, ALERT("\x46"), STEP_DONE,
	    VERDICT_WANTS },
	{ "unknown name", TLS, SIDE_ENDED, NOTHING, SIDE_OPEN, false, ALERT("\x70"), STEP_DONE,
	    VERDICT_WANTS },
	{ "the header was taken for TLS", TLS, SIDE_ENDED, NOTHING, SIDE_ENDED, false,
	    ALERT("\x32"), STEP_DONE, VERDICT_REFUSES },
	{ "the same, another alert", TLS, SIDE_OVER, NOTHING, SIDE_OPEN, false, ALERT("\x0a"),
	    STEP_DONE, VERDICT_REFUSES },
	{ "end", TLS, SIDE_OVER, NOTHING, SIDE_ENDED, false, NOTHING, STEP_DONE, VERDICT_REFUSES },
	{ "another record", TLS, SIDE_ENDED, NOTHING, SIDE_OVER, false,
	    SAYS("\x17\x03\x03\x00\x01x"), STEP_DONE, VERDICT_OTHER },
	{ "text", TLS, SIDE_ENDED, NOTHING, SIDE_OPEN, false, SAYS("* OK hi\r\n"), STEP_DONE,
	    VERDICT_OTHER },
	/* 6: a greeting behind a header, and one command */
	{ "half a greeting", SMTP, SIDE_OVER, NOTHING, SIDE_OPEN, false, SAYS("220-vm\r\n"),
	    STEP_WAIT, 0 },
	{ "a greeting", SMTP, SIDE_OVER, NOTHING, SIDE_OPEN, false, GREETS, STEP_COMMAND, 0 },
	{ "no reply yet", SMTP, SIDE_OVER, NOTHING, SIDE_OPEN, true, GREETS, STEP_WAIT, 0 },
	{ "a good reply", SMTP, SIDE_OVER, NOTHING, SIDE_OPEN, true,
	    SAYS("220 vm\r\n250 2.0.0 OK\r\n"), STEP_DONE, VERDICT_WANTS },
	{ "no reply", SMTP, SIDE_OVER, NOTHING, SIDE_OVER, true, GREETS, STEP_DONE, VERDICT_OTHER },
	{ "the end, no reply", SMTP, SIDE_OVER, NOTHING, SIDE_ENDED, true, GREETS, STEP_DONE,
	    VERDICT_OTHER },
	{ "0.11: three errors and a goodbye", SMTP, SIDE_OVER, NOTHING, SIDE_ENDED, true,
	    SAYS("220 vm\r\n500 no\r\n500 no\r\n500 no\r\n221 Bye\r\n"), STEP_DONE, VERDICT_PLAIN },
	{ "an error before the command", SMTP, SIDE_OVER, NOTHING, SIDE_OPEN, false,
	    SAYS("220 vm\r\n500 no\r\n"), STEP_DONE, VERDICT_PLAIN },
	{ "an error and a good reply", SMTP, SIDE_OVER, NOTHING, SIDE_OPEN, true,
	    SAYS("220 vm\r\n500 no\r\n250 OK\r\n"), STEP_DONE, VERDICT_PLAIN },
	{ "a goodbye to the QUIT in the header", SMTP, SIDE_OVER, NOTHING, SIDE_OPEN, true,
	    SAYS("220 vm\r\n221 Bye\r\n"), STEP_DONE, VERDICT_PLAIN },
	{ "a reply that nobody asked for", SMTP, SIDE_OVER, NOTHING, SIDE_OPEN, false,
	    SAYS("220 vm\r\n250 OK\r\n"), STEP_DONE, VERDICT_PLAIN },
	{ "too busy", SMTP, SIDE_OVER, NOTHING, SIDE_OPEN, false, SAYS("421 busy\r\n"), STEP_DONE,
	    VERDICT_REFUSES },
	{ "something else", SMTP, SIDE_OVER, NOTHING, SIDE_OPEN, false, SAYS("hello\r\n"),
	    STEP_DONE, VERDICT_OTHER },
	{ "IMAP", IMAP, SIDE_OVER, NOTHING, SIDE_OPEN, true,
	    SAYS("* OK hi\r\n* 0 EXISTS\r\na OK done\r\n"), STEP_DONE, VERDICT_WANTS },
	{ "0.15: IMAP takes it for a command", IMAP, SIDE_OVER, NOTHING, SIDE_OPEN, true,
	    SAYS("* OK hi\r\n* BAD what\r\na OK done\r\n"), STEP_DONE, VERDICT_PLAIN },
	{ "IMAP: the header's QUIT is a tag", IMAP, SIDE_OVER, NOTHING, SIDE_OPEN, true,
	    SAYS("* OK hi\r\nQUIT BAD what\r\n"), STEP_DONE, VERDICT_PLAIN },
	{ "POP3", POP3, SIDE_OVER, NOTHING, SIDE_OPEN, true,
	    SAYS("+OK hi\r\n+OK list\r\nTOP\r\n.\r\n"), STEP_DONE, VERDICT_WANTS },
	{ "POP3: the list is not over", POP3, SIDE_OVER, NOTHING, SIDE_OPEN, true,
	    SAYS("+OK hi\r\n+OK list\r\nTOP\r\n"), STEP_WAIT, 0 },
	{ "POP3: a goodbye to the header", POP3, SIDE_OVER, NOTHING, SIDE_ENDED, true,
	    SAYS("+OK hi\r\n+OK bye\r\n"), STEP_DONE, VERDICT_OTHER },
	{ "0.15: POP3 takes it for commands", POP3, SIDE_OVER, NOTHING, SIDE_OPEN, false,
	    SAYS("+OK hi\r\n-ERR Invalid\r\n+OK bye\r\n"), STEP_DONE, VERDICT_PLAIN },
	{ "ManageSieve", SIEVE, SIDE_OVER, NOTHING, SIDE_OPEN, false, SAYS(SIEVE_GREETS),
	    STEP_COMMAND, 0 },
	{ "ManageSieve", SIEVE, SIDE_OVER, NOTHING, SIDE_OPEN, true,
	    SAYS(SIEVE_GREETS "OK \"Done\"\r\n"), STEP_DONE, VERDICT_WANTS },
	{ "0.15: ManageSieve takes it for a command", SIEVE, SIDE_OVER, NOTHING, SIDE_OPEN, true,
	    SAYS(SIEVE_GREETS "BAD (PARSE) \"\\0\"\r\nOK \"Done\"\r\n"), STEP_DONE, VERDICT_PLAIN },
	/* 7: HTTP behind a header */
	{ "404", HTTP, SIDE_ENDED, NOTHING, SIDE_OPEN, false, SAYS("HTTP/1.1 404 Not Found\r\n"),
	    STEP_DONE, VERDICT_WANTS },
	{ "400: the header was taken for a request", HTTP, SIDE_ENDED, NOTHING, SIDE_OPEN, false,
	    SAYS("HTTP/1.1 400 Bad Request\r\n"), STEP_DONE, VERDICT_OTHER },
	{ "not HTTP", HTTP, SIDE_ENDED, NOTHING, SIDE_OPEN, false, SAYS("220 vm\r\n"), STEP_DONE,
	    VERDICT_OTHER },
	/* 8: the plain one speaks late */
	{ "before the other", SMTP, SIDE_OVER, GREETS, SIDE_OPEN, false, NOTHING, STEP_DONE,
	    VERDICT_PLAIN },
	{ "after the other", SMTP, SIDE_OVER, GREETS, SIDE_OPEN, true, SAYS("220 vm\r\n250 OK\r\n"),
	    STEP_DONE, VERDICT_PLAIN },
	{ "it has begun", SMTP, SIDE_OVER, SAYS("2"), SIDE_OPEN, true, SAYS("220 vm\r\n250 OK\r\n"),
	    STEP_WAIT, 0 },
	{ "it has not ended", SMTP, SIDE_OVER, SAYS("2"), SIDE_OVER, true,
	    SAYS("220 vm\r\n250 OK\r\n"), STEP_DONE, VERDICT_OTHER },
	{ "TLS", TLS, SIDE_OVER, HELLO_DONE, SIDE_OPEN, false, HELLO_DONE, STEP_DONE,
	    VERDICT_PLAIN },
	/* 9: neither */
	{ "both silent", SMTP, SIDE_OVER, NOTHING, SIDE_OVER, false, NOTHING, STEP_DONE,
	    VERDICT_SILENT },
	{ "both silent", TLS, SIDE_OVER, NOTHING, SIDE_OVER, false, NOTHING, STEP_DONE,
	    VERDICT_SILENT },
	{ "reset and silent", HTTP, SIDE_ENDED, NOTHING, SIDE_OVER, false, NOTHING, STEP_DONE,
	    VERDICT_SILENT },
	{ "silent and reset", SMTP, SIDE_OVER, NOTHING, SIDE_ENDED, false, NOTHING, STEP_DONE,
	    VERDICT_SILENT },
	{ "both reset: a ban", SMTP, SIDE_ENDED, NOTHING, SIDE_ENDED, false, NOTHING, STEP_DONE,
	    VERDICT_REFUSES },
	{ "reset and closed", HTTP, SIDE_ENDED, NOTHING, SIDE_CLOSED, false, NOTHING, STEP_DONE,
	    VERDICT_REFUSES },
	{ "no answer to the second", SMTP, SIDE_OVER, NOTHING, SIDE_UNANSWERED, false, NOTHING,
	    STEP_DONE, VERDICT_SILENT },
};

static void
set(struct side *s, enum side_state state, const struct heard *heard)
{
	memset(s, 0, sizeof(*s));
	s->state = state;
	s->len = heard->len;
	memcpy(s->data, heard->text, heard->len);
}

static void
test_cases(void **state)
{
	static struct side a, b;
	enum verdict v;
	enum step step;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		set(&a, cases[i].a_state, &cases[i].a);
		set(&b, cases[i].b_state, &cases[i].b);
		b.asked = cases[i].asked;
		step = verdict_step(&cases[i].speaks, &a, &b, &v);
		CHECK(step == cases[i].step && v == cases[i].verdict,
		    "case %zu (%s): step %d, verdict \"%s\"", i, cases[i].why, step,
		    verdict_names[v]);
	}
}

/* A line without an end is no greeting, long before all of it has come. */
static void
test_long_line(void **state)
{
	static struct side a, b;
	const struct speaks smtp = SMTP;
	enum verdict v;

	(void)state;
	memset(&a, 0, sizeof(a));
	memset(a.data, 'x', SIDE_MAX);
	memcpy(a.data, "220 ", 4);
	a.state = SIDE_OPEN;
	a.len = 1000;
	assert_int_equal(verdict_step(&smtp, &a, &b, &v), STEP_WAIT);
	a.len = 1024;
	assert_int_equal(verdict_step(&smtp, &a, &b, &v), STEP_DONE);
	assert_int_equal(v, VERDICT_OTHER);
}

/* What the report shows. */
static const struct {
	struct speaks speaks;
	struct heard heard;
	const char *said, *greeter;
} words[] = {
	{ SMTP, SAYS("220 mail.example.org ESMTP\r\n500 no\r\n"), "220 mail.example.org ESMTP",
	    "mail.example.org" },
	{ SMTP, SAYS("220-mail.example.org\r\n220 hi\r\n"), "220-mail.example.org",
	    "mail.example.org" },
	{ SMTP, SAYS("220 vm"), "220 vm", "vm" },
	{ SMTP, SAYS("220\r\n"), "220", "" },
	{ SMTP, SAYS("22"), "22", "" },
	{ SMTP, SAYS("554 vm no\r\n"), "554 vm no", "" },
	{ IMAP, SAYS("* OK hi\n"), "* OK hi", "" },
	{ TLS, HELLO, "TLS", "" },
	{ TLS, SAYS("220 vm\r\n"), "220 vm", "" },
};

static void
test_words(void **state)
{
	static struct side s;
	struct der greeter;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(words); i++) {
		struct buf out = { 0 };

		set(&s, SIDE_OPEN, &words[i].heard);
		verdict_said(&out, &words[i].speaks, &s);
		CHECK(!strcmp(buf_text(&out), words[i].said), "case %zu: %s", i, buf_text(&out));
		greeter = verdict_greeter(&words[i].speaks, &s);
		CHECK(greeter.len == strlen(words[i].greeter) &&
			!memcmp(greeter.p ? (const char *)greeter.p : "", words[i].greeter,
			    greeter.len),
		    "case %zu: %zu bytes", i, greeter.len);
		buf_free(&out);
	}
}

/* The alert's number is shown, and its meaning. */
static void
test_alert(void **state)
{
	const struct heard alert = ALERT("\x46");
	const struct speaks tls = TLS;
	struct buf out = { 0 };
	static struct side s;

	(void)state;
	set(&s, SIDE_OPEN, &alert);
	verdict_said(&out, &tls, &s);
	assert_true(has(buf_text(&out), "alert 70: "));
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_alert),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
