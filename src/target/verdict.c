#include "target/verdict.h"

#include "base/buf.h"
#include "tls/tlserror.h"

#include <string.h>

enum { LINE_LONGEST = 1024 }; /* a first line is shorter, or it is no greeting */

const char *const verdict_names[VERDICT_COUNT] = {
	[VERDICT_NONE] = "not known",
	[VERDICT_CLOSED] = "closed",
	[VERDICT_SILENT] = "silent",
	[VERDICT_PLAIN] = "plain",
	[VERDICT_WANTS] = "wants the header",
	[VERDICT_REFUSES] = "refuses",
	[VERDICT_OTHER] = "something else",
};

/* What a beginning of a line means. */
enum heard {
	HEARD_NOTHING,
	HEARD_MORE, /* to come */
	HEARD_GOOD, /* a greeting, a good reply */
	HEARD_REFUSAL,
	HEARD_BAD, /* an error reply */
	HEARD_OTHER
};

struct word {
	unsigned char protocol, heard; /* enum protocol, enum heard */
	char text[10];                 /* how the line begins */
};

static const struct word greetings[] = {
	{ PROTOCOL_SMTP, HEARD_GOOD, "220" },
	{ PROTOCOL_SMTP, HEARD_REFUSAL, "421" },
	{ PROTOCOL_SMTP, HEARD_REFUSAL, "554" },
	{ PROTOCOL_IMAP, HEARD_GOOD, "* OK" },
	{ PROTOCOL_IMAP, HEARD_GOOD, "* PREAUTH" },
	{ PROTOCOL_IMAP, HEARD_REFUSAL, "* BYE" },
	{ PROTOCOL_POP3, HEARD_GOOD, "+OK" },
	{ PROTOCOL_SIEVE, HEARD_GOOD, "\"" },
	{ PROTOCOL_SIEVE, HEARD_GOOD, "OK" },
	{ PROTOCOL_SIEVE, HEARD_REFUSAL, "BYE" },
	{ PROTOCOL_HTTP, HEARD_GOOD, "HTTP/1." },
};

/*
 * Lines between a greeting and the end of the one reply to verdict_command. What is not here is an
 * error. The header ends in "QUIT": a server that takes it for commands says 221 to SMTP.
 */
static const struct word replies[] = {
	{ PROTOCOL_SMTP, HEARD_GOOD, "250 " },
	{ PROTOCOL_IMAP, HEARD_GOOD, "a OK" },
	{ PROTOCOL_IMAP, HEARD_BAD, "* BAD" },
	{ PROTOCOL_IMAP, HEARD_BAD, "* NO" },
	{ PROTOCOL_IMAP, HEARD_BAD, "* BYE" },
	{ PROTOCOL_IMAP, HEARD_MORE, "* " },
	{ PROTOCOL_POP3, HEARD_GOOD, "." },
	{ PROTOCOL_POP3, HEARD_BAD, "-ERR" },
	{ PROTOCOL_POP3, HEARD_MORE, "" },
	{ PROTOCOL_SIEVE, HEARD_GOOD, "OK" },
};

/* LMTP greets as SMTP does. */
static enum protocol
spoken(const struct speaks *k)
{
	return k->protocol == PROTOCOL_LMTP ? PROTOCOL_SMTP : k->protocol;
}

const char *
verdict_command(const struct speaks *k)
{
	static const char *const commands[PROTOCOL_UNKNOWN + 1] = {
		[PROTOCOL_SMTP] = "NOOP\r\n",
		[PROTOCOL_IMAP] = "a NOOP\r\n",
		[PROTOCOL_POP3] = "CAPA\r\n",
		[PROTOCOL_SIEVE] = "NOOP\r\n",
	};

	return k->tls ? NULL : commands[spoken(k)];
}

static enum heard
look_up(const struct word *words, size_t count, enum protocol protocol, const char *line,
    size_t len, enum heard otherwise)
{
	size_t i, n;

	for (i = 0; i < count; i++) {
		n = strlen(words[i].text);
		if (words[i].protocol == protocol && n <= len && !memcmp(words[i].text, line, n))
			return (enum heard)words[i].heard;
	}
	return otherwise;
}

/* Bytes of the line at s with its line feed; 0 if that is not there. */
static size_t
line_length(const char *s, size_t len)
{
	const char *end = len ? memchr(s, '\n', len) : NULL;

	return end ? (size_t)(end - s) + 1 : 0;
}

/* A first line of text. final: no more will come. */
static enum heard
listen_text(enum protocol protocol, const struct side *s, bool final)
{
	size_t len = line_length(s->data, s->len < LINE_LONGEST ? s->len : LINE_LONGEST);

	if (!s->len)
		return final ? HEARD_NOTHING : HEARD_MORE;
	if (!len)
		return final || s->len >= LINE_LONGEST ? HEARD_OTHER : HEARD_MORE;
	return look_up(greetings, COUNT(greetings), protocol, s->data, len, HEARD_OTHER);
}

static void
read_hello(struct hello *h, const struct side *s)
{
	unsigned char scratch[HELLO_ANSWER_MAX];

	hello_read(h, s->data, s->len, scratch);
}

/* Any record of TLS is an answer, alerts too. The certificate is waited for. */
static enum heard
listen_tls(const struct side *s, bool final)
{
	struct hello h;

	if (!s->len)
		return final ? HEARD_NOTHING : HEARD_MORE;
	read_hello(&h, s);
	if (!h.complete && !final)
		return HEARD_MORE;
	return h.kind == HELLO_MORE || h.kind == HELLO_OTHER ? HEARD_OTHER : HEARD_GOOD;
}

static enum heard
listen_plain(const struct speaks *k, const struct side *s, bool final)
{
	return k->tls ? listen_tls(s, final) : listen_text(spoken(k), s, final);
}

/* ---- behind the header ---- */

static bool
is_over(const struct side *s)
{
	return s->state >= SIDE_OVER;
}

/* Nothing came, and nothing will. */
static enum verdict
nothing_came(const struct speaks *k, const struct side *a, const struct side *b)
{
	bool gone = b->state == SIDE_ENDED || b->state == SIDE_CLOSED;

	return gone && (k->tls || a->state == SIDE_ENDED) ? VERDICT_REFUSES : VERDICT_SILENT;
}

/* Does an alert mean that a ClientHello was understood, and its offer not taken? */
static bool
is_about_the_offer(unsigned alert)
{
	static const unsigned char alerts[] = {
		40,  /* handshake_failure */
		70,  /* protocol_version */
		71,  /* insufficient_security */
		109, /* missing_extension */
		112, /* unrecognized_name */
		116, /* certificate_required */
		120  /* no_application_protocol */
	};

	return alert && alert < 256 && memchr(alerts, (int)alert, sizeof(alerts));
}

static enum verdict
judge_tls(const struct side *b)
{
	struct hello h;

	read_hello(&h, b);
	if (!h.complete && !is_over(b))
		return VERDICT_NONE;
	if (h.kind == HELLO_SERVER || (h.kind == HELLO_ALERT && is_about_the_offer(h.alert)))
		return VERDICT_WANTS;
	return h.kind == HELLO_ALERT ? VERDICT_REFUSES : VERDICT_OTHER;
}

static enum verdict
judge_http(const struct side *b)
{
	static const char status[] = "HTTP/1.x 400";
	enum heard heard = listen_text(PROTOCOL_HTTP, b, is_over(b));

	if (heard == HEARD_MORE)
		return VERDICT_NONE;
	if (heard != HEARD_GOOD || line_length(b->data, b->len) < sizeof(status))
		return VERDICT_OTHER;
	return memcmp(b->data + 8, status + 8, sizeof(status) - 9) != 0 ? VERDICT_WANTS
									: VERDICT_OTHER;
}

/* Is this the last line of a greeting? */
static bool
ends_greeting(enum protocol protocol, const char *line, size_t len)
{
	if (protocol == PROTOCOL_SMTP)
		return len < 4 || line[3] != '-';
	return protocol != PROTOCOL_SIEVE || (len >= 2 && !memcmp(line, "OK", 2));
}

/*
 * What comes after the greeting: HEARD_MORE, HEARD_GOOD for exactly the one reply, or HEARD_BAD.
 * *greeted: the greeting is complete.
 */
static enum heard
listen_reply(enum protocol protocol, const struct side *b, bool *greeted)
{
	size_t at = 0, len;
	enum heard heard;

	*greeted = false;
	for (; (len = line_length(b->data + at, b->len - at)) != 0; at += len) {
		if (!*greeted) {
			*greeted = ends_greeting(protocol, b->data + at, len);
			continue;
		}
		heard = look_up(replies, COUNT(replies), protocol, b->data + at, len, HEARD_BAD);
		if (heard != HEARD_MORE)
			return b->asked ? heard : HEARD_BAD;
	}
	return HEARD_MORE;
}

static enum step
judge_text(const struct speaks *k, const struct side *b, enum verdict *v)
{
	enum heard heard = listen_text(spoken(k), b, is_over(b));
	bool greeted;

	*v = VERDICT_NONE;
	if (heard == HEARD_MORE)
		return STEP_WAIT;
	if (heard != HEARD_GOOD) {
		*v = heard == HEARD_REFUSAL ? VERDICT_REFUSES : VERDICT_OTHER;
		return STEP_DONE;
	}
	heard = listen_reply(spoken(k), b, &greeted);
	if (heard != HEARD_MORE)
		*v = heard == HEARD_GOOD ? VERDICT_WANTS : VERDICT_PLAIN;
	else if (is_over(b))
		*v = VERDICT_OTHER;
	if (*v != VERDICT_NONE)
		return STEP_DONE;
	return greeted && !b->asked ? STEP_COMMAND : STEP_WAIT;
}

static enum step
judge_behind(const struct speaks *k, const struct side *a, const struct side *b, enum verdict *v)
{
	if (b->state == SIDE_CONNECTING || (!b->len && !is_over(b)))
		return STEP_WAIT;
	if (!b->len)
		*v = nothing_came(k, a, b);
	else if (k->tls)
		*v = judge_tls(b);
	else if (k->protocol == PROTOCOL_HTTP)
		*v = judge_http(b);
	else
		return judge_text(k, b, v);
	return *v == VERDICT_NONE ? STEP_WAIT : STEP_DONE;
}

enum step
verdict_step(const struct speaks *k, const struct side *a, const struct side *b, enum verdict *v)
{
	bool made = b->state != SIDE_NONE;
	bool final = made ? a->state == SIDE_ENDED || is_over(b) : is_over(a);
	enum heard heard;

	*v = VERDICT_NONE;
	if (a->state == SIDE_NONE || a->state == SIDE_CONNECTING)
		return STEP_WAIT;
	if (a->state == SIDE_CLOSED || a->state == SIDE_UNANSWERED) {
		*v = a->state == SIDE_CLOSED ? VERDICT_CLOSED : VERDICT_SILENT;
		return STEP_DONE;
	}
	heard = listen_plain(k, a, final);
	if (heard == HEARD_MORE && (a->len || !made))
		return STEP_WAIT;
	if (heard == HEARD_NOTHING && !made)
		return STEP_HEADER;
	if (heard == HEARD_NOTHING || heard == HEARD_MORE)
		return judge_behind(k, a, b, v);
	*v = heard == HEARD_GOOD     ? VERDICT_PLAIN
	    : heard == HEARD_REFUSAL ? VERDICT_REFUSES
				     : VERDICT_OTHER;
	return STEP_DONE;
}

/* ---- for the report ---- */

void
verdict_said(struct buf *out, const struct speaks *k, const struct side *s)
{
	struct hello h = { .kind = HELLO_OTHER };
	size_t len;

	if (k->tls)
		read_hello(&h, s);
	if (h.kind == HELLO_ALERT) {
		buf_printf(out, "alert %u: %s", h.alert,
		    tlserror_find(TLSERROR_ALERT_RECEIVED + (int)h.alert)->what);
	} else if (h.kind == HELLO_SERVER || h.kind == HELLO_RECORD) {
		buf_str(out, "TLS");
	} else {
		len = line_length(s->data, s->len);
		len = len ? len - 1 : s->len;
		buf_add(out, s->data, len && s->data[len - 1] == '\r' ? len - 1 : len);
	}
}

struct der
verdict_greeter(const struct speaks *k, const struct side *s)
{
	struct der name = { 0 };

	if (k->tls || spoken(k) != PROTOCOL_SMTP || s->len < 4 || memcmp(s->data, "220", 3) != 0)
		return name;
	name.p = (const unsigned char *)s->data + 4;
	while (name.len < s->len - 4 && name.len < HOST_MAX && name.p[name.len] > ' ')
		name.len++;
	return name;
}
