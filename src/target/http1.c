#include "target/http1.h"

#include "base/err.h"
#include "sys/secret.h"
#include "sys/transport.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

enum { READ_MAX = 16 * 1024 }; /* bytes asked from the transport at once */
enum { SHOWN_MAX = 48 };       /* bytes of an invalid answer that a message shows */
enum { BODY_LONG = HTTP1_BODY_MAX / 4 };

static const char inside_head[] = "inside an answer's head",
		  inside_body[] = "before its answer was complete";

/* What an answer's head says about what follows it. */
struct head {
	int status;
	unsigned minor; /* of HTTP/1.minor */
	bool chunked, has_length, close, keep_alive;
	size_t length;
};

/* A piece of text; somebody else owns it. */
struct span {
	const char *p;
	size_t len;
};

void
http1_init(struct http1 *h, const struct transport *transport)
{
	memset(h, 0, sizeof(*h));
	h->transport = transport;
}

void
http1_free(struct http1 *h)
{
	buf_free(&h->out);
	buf_free(&h->in);
	memset(h, 0, sizeof(*h));
	h->closed = true;
}

void
http1_answer_free(struct http1_answer *answer)
{
	buf_free(&answer->body);
	memset(answer, 0, sizeof(*answer));
}

/* ---- requests ---- */

/* No blank and no control byte: they would end or split a line of the request. */
static bool
is_clean(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f)
			return false;
	}
	return true;
}

int
http1_queue(struct http1 *h, const struct http1_request *rq, struct err *err)
{
	if (h->closed)
		return err_set(err, ERR_REACH, "the server closed the connection");
	if (!is_clean(rq->method) || !is_clean(rq->target) || !is_clean(rq->host))
		return err_set(err, ERR_USAGE,
		    "the method, target or host of a request has a blank or a control byte");
	buf_printf(&h->out,
	    "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: stalprep\r\nAccept: application/json\r\n",
	    rq->method, rq->target, rq->host);
	if (rq->authorization) {
		buf_str(&h->out, "Authorization: ");
		buf_add(&h->out, rq->authorization->data, rq->authorization->len);
		buf_str(&h->out, "\r\n");
	}
	if (rq->body)
		buf_printf(&h->out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
		    rq->body_len);
	else if (strcmp(rq->method, "GET"))
		buf_str(&h->out, "Content-Length: 0\r\n");
	buf_str(&h->out, "\r\n");
	if (rq->body)
		buf_add(&h->out, rq->body, rq->body_len);
	if (h->out.failed)
		return err_memory(err);
	h->queued++;
	return 0;
}

int
http1_flush(struct http1 *h, struct err *err)
{
	int r = 0;

	if (h->closed)
		r = err_set(err, ERR_REACH, "the server closed the connection");
	else if (!h->awaited && h->used < h->in.len)
		r = err_set(err, ERR_SERVER, "the server sent data that no request asked for");
	else if (h->out.failed)
		r = err_memory(err);
	else if (h->queued) {
		h->sent_bytes = true;
		r = h->transport->write(h->transport->ctx, h->out.data, h->out.len, err);
	}
	buf_free(&h->out);
	if (r == 0)
		h->awaited += h->queued;
	else
		h->closed = true;
	h->queued = 0;
	return r;
}

/* ---- reading ---- */

static int
invalid(struct err *err, const char *why)
{
	return err_set(err, ERR_SERVER, "the answer is not valid HTTP: %s", why);
}

static int
too_long(struct err *err)
{
	err_set(err, ERR_SERVER, "the answer is longer than %d MiB, the most that stalprep reads",
	    HTTP1_BODY_MAX / 1024 / 1024);
	if (err)
		err->code = EFBIG;
	return -1;
}

/* Read more bytes. If the connection ends, the message says where. */
static int
fill(struct http1 *h, const char *where, struct err *err)
{
	char data[READ_MAX];
	ssize_t n = h->transport->read(h->transport->ctx, data, sizeof(data), err);

	if (n == 0)
		err_set(err, ERR_REACH, "the server closed the connection %s", where);
	if (n <= 0)
		return -1;
	buf_add(&h->in, data, (size_t)n);
	wipe(data, sizeof(data));
	return h->in.failed ? err_memory(err) : 0;
}

/*
 * One line of at most max bytes that ends in CRLF. It stays in h->in, valid until the next fill.
 * NUL, a bare LF or CR and other control bytes except HT are errors: two readers of such a line
 * could see different lines.
 */
static int
read_line(struct http1 *h, size_t max, struct span *line, const char *where, struct err *err)
{
	size_t i = 0;

	for (;; i++) {
		unsigned char c;

		if (i > max)
			return invalid(err,
			    max ? "a line, or all lines together, are too long"
				: "a chunk is longer than its size says");
		while (h->used + i + 1 >= h->in.len) {
			if (fill(h, where, err) == -1)
				return -1;
		}
		c = (unsigned char)h->in.data[h->used + i];
		if (c == '\r' && h->in.data[h->used + i + 1] == '\n')
			break;
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return invalid(err,
			    c == '\n'       ? "a line feed without a carriage return"
				: c == '\0' ? "a NUL"
					    : "a control byte");
	}
	line->p = h->in.data + h->used;
	line->len = i;
	h->used += i + 2;
	return 0;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 9110, 5.6.2. */
static bool
is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) ||
	    (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool
span_is(const struct span *s, const char *text)
{
	return s->len == strlen(text) && !strncasecmp(s->p, text, s->len);
}

static void
trim(struct span *s)
{
	while (s->len && (*s->p == ' ' || *s->p == '\t')) {
		s->p++;
		s->len--;
	}
	while (s->len && (s->p[s->len - 1] == ' ' || s->p[s->len - 1] == '\t'))
		s->len--;
}

/* Copy for a message: bytes that are not printable ASCII become '?'. */
static void
copy_printable(char *out, size_t size, const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len && i + 1 < size; i++)
		out[i] = p[i] < ' ' || p[i] > '~' ? '?' : p[i];
	out[i] = '\0';
}

/* ---- the head ---- */

/* Is this the start of an HTTP answer? Another protocol may never send the end of a line. */
static int
check_greeting(struct http1 *h, struct err *err)
{
	static const char magic[] = "HTTP/1.";
	char shown[SHOWN_MAX + 1];
	size_t i;

	for (i = 0; i < sizeof(magic) - 1; i++) {
		while (h->used + i >= h->in.len) {
			if (fill(h, i ? inside_head : "without an answer", err) == -1)
				return -1;
		}
		if (h->in.data[h->used + i] == magic[i])
			continue;
		if (h->in.data[h->used] == 0x15 || h->in.data[h->used] == 0x16)
			return invalid(err, "the port speaks TLS. Use https:// in the URL");
		copy_printable(shown, sizeof(shown), h->in.data + h->used, h->in.len - h->used);
		return err_set(err, ERR_SERVER,
		    "the answer is not HTTP/1.1: it begins with \"%s\". Is this the port of the "
		    "management API?",
		    shown);
	}
	return 0;
}

/* HTTP/1.x SSS reason */
static int
parse_status(const struct span *line, struct head *head, struct err *err)
{
	const char *p = line->p;

	if (line->len < 12 || memcmp(p, "HTTP/1.", 7) || (p[7] != '0' && p[7] != '1') ||
	    p[8] != ' ' || !is_digit(p[9]) || !is_digit(p[10]) || !is_digit(p[11]) ||
	    (line->len > 12 && p[12] != ' '))
		return invalid(err, "its status line is malformed");
	head->minor = (unsigned)(p[7] - '0');
	head->status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
	return head->status < 100 || head->status > 599
	    ? invalid(err, "its status is not from 100 to 599")
	    : 0;
}

static int
parse_length(const struct span *value, struct head *head, struct err *err)
{
	size_t i;

	if (head->has_length)
		return invalid(err, "it gives its length twice");
	if (!value->len)
		return invalid(err, "its length is empty");
	for (i = 0; i < value->len; i++) {
		if (!is_digit(value->p[i]))
			return invalid(err, "its length is not a number");
		head->length = head->length * 10 + (size_t)(value->p[i] - '0');
		if (head->length > HTTP1_BODY_MAX)
			return too_long(err);
	}
	head->has_length = true;
	return 0;
}

static int
parse_encoding(const struct span *value, struct head *head, struct err *err)
{
	if (head->chunked)
		return invalid(err, "it gives its transfer coding twice");
	if (!span_is(value, "chunked"))
		return invalid(err, "its transfer coding is not \"chunked\"");
	head->chunked = true;
	return 0;
}

/* The tokens of the Connection field, separated by commas. */
static void
parse_connection(const struct span *value, struct head *head)
{
	struct span rest = *value, token;
	const char *comma;

	while (rest.len) {
		comma = memchr(rest.p, ',', rest.len);
		token.p = rest.p;
		token.len = comma ? (size_t)(comma - rest.p) : rest.len;
		rest.p += token.len;
		rest.len -= token.len;
		if (rest.len) {
			rest.p++;
			rest.len--;
		}
		trim(&token);
		head->close |= span_is(&token, "close");
		head->keep_alive |= span_is(&token, "keep-alive");
	}
}

/* Keep the media type, in lower case and without parameters. */
static void
keep_type(struct http1_answer *a, const struct span *value)
{
	const char *semicolon = memchr(value->p, ';', value->len);
	struct span type = { value->p, semicolon ? (size_t)(semicolon - value->p) : value->len };
	size_t i;

	trim(&type);
	if (type.len >= sizeof(a->type))
		return;
	copy_printable(a->type, sizeof(a->type), type.p, type.len);
	for (i = 0; i < type.len; i++)
		a->type[i] += a->type[i] >= 'A' && a->type[i] <= 'Z' ? 'a' - 'A' : 0;
	a->json = !strcmp(a->type, "application/json") ||
	    (type.len > 5 && !strcmp(a->type + type.len - 5, "+json"));
}

/* Name: value. No blank before the colon, no folding (RFC 9112, 5.1 and 5.2). */
static int
split_field(const struct span *line, struct span *name, struct span *value, struct err *err)
{
	size_t i = 0;

	if (*line->p == ' ' || *line->p == '\t')
		return invalid(err, "a folded header field");
	while (i < line->len && is_token(line->p[i]))
		i++;
	if (!i || i == line->len || line->p[i] != ':')
		return invalid(err, "a header field's name is not valid");
	*name = (struct span){ line->p, i };
	*value = (struct span){ line->p + i + 1, line->len - i - 1 };
	trim(value);
	return 0;
}

static int
parse_field(const struct span *line, struct head *head, struct http1_answer *a, struct err *err)
{
	struct span name, value;

	if (split_field(line, &name, &value, err) == -1)
		return -1;
	if (span_is(&name, "content-length"))
		return parse_length(&value, head, err);
	if (span_is(&name, "transfer-encoding"))
		return parse_encoding(&value, head, err);
	if (span_is(&name, "connection"))
		parse_connection(&value, head);
	else if (span_is(&name, "content-type"))
		keep_type(a, &value);
	else if (span_is(&name, "location"))
		copy_printable(a->location, sizeof(a->location), value.p, value.len);
	return 0;
}

/* The status line and all fields up to the empty line. */
static int
read_head(struct http1 *h, struct head *head, struct http1_answer *a, struct err *err)
{
	size_t start = h->used;
	struct span line;

	memset(head, 0, sizeof(*head));
	if (check_greeting(h, err) == -1 ||
	    read_line(h, HTTP1_HEAD_MAX, &line, inside_head, err) == -1 ||
	    parse_status(&line, head, err) == -1)
		return -1;
	for (;;) {
		if (h->used - start > HTTP1_HEAD_MAX)
			return invalid(err, "its head is too long");
		if (read_line(h, HTTP1_HEAD_MAX - (h->used - start), &line, inside_head, err) == -1)
			return -1;
		if (!line.len)
			return 0;
		if (parse_field(&line, head, a, err) == -1)
			return -1;
	}
}

/* Do status, version, length and coding fit together (RFC 9112, 6.3)? */
static int
check_framing(const struct head *head, struct err *err)
{
	bool none = head->status < 200 || head->status == 204 || head->status == 304;

	if (head->status == 101)
		return invalid(err, "it changes the protocol, but no request asked for that");
	if (head->chunked && head->has_length)
		return invalid(err, "it gives both a length and a transfer coding");
	if (head->chunked && !head->minor)
		return invalid(err, "a transfer coding in HTTP/1.0");
	if (none && (head->chunked || (head->length && head->status != 304)))
		return invalid(err, "a body, but its status allows none");
	if (!none && !head->chunked && !head->has_length)
		return invalid(err,
		    "it does not give its length, so an incomplete answer would look complete");
	return 0;
}

/* ---- the body ---- */

/* Room for n bytes more of a body. One that grows long in pieces gets it all at once. */
static void
make_room(struct buf *body, size_t n, bool last)
{
	if (last)
		buf_reserve(body, n);
	else if (body->cap - body->len <= n && body->len > BODY_LONG)
		buf_reserve(body, HTTP1_BODY_MAX - body->len);
}

/* Move n bytes of the body to the answer. */
static int
read_exact(struct http1 *h, size_t n, struct buf *body, struct err *err)
{
	while (n) {
		size_t have = h->in.len - h->used;

		if (!have) {
			buf_reset(&h->in);
			h->used = 0;
			if (fill(h, inside_body, err) == -1)
				return -1;
			continue;
		}
		if (have > n)
			have = n;
		buf_add(body, h->in.data + h->used, have);
		h->used += have;
		n -= have;
	}
	return body->failed ? err_memory(err) : 0;
}

/* A chunk's size, in hexadecimal. An extension may follow and is ignored (RFC 9112, 7.1). */
static int
parse_chunk(const struct span *line, size_t room, size_t *size, struct err *err)
{
	static const char digits[] = "0123456789abcdef";
	const char *d;
	size_t i;

	*size = 0;
	for (i = 0; i < line->len; i++) {
		char c = line->p[i];

		d = !c ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
		if (!d)
			break;
		*size = *size * 16 + (size_t)(d - digits);
		if (*size > room)
			return too_long(err);
	}
	if (!i || (i < line->len && line->p[i] != ';'))
		return invalid(err, "a chunk's size is not a number");
	return 0;
}

/* The trailer section: its fields must be valid, and are dropped. */
static int
read_trailer(struct http1 *h, struct err *err)
{
	size_t start = h->used;
	struct span line, name, value;

	for (;;) {
		if (h->used - start > HTTP1_TRAILER_MAX)
			return invalid(err, "its trailer is too long");
		if (read_line(h, HTTP1_TRAILER_MAX - (h->used - start), &line, inside_body, err) ==
		    -1)
			return -1;
		if (!line.len)
			return 0;
		if (split_field(&line, &name, &value, err) == -1)
			return -1;
	}
}

/* Drop the used bytes, so that a long chunked body is not in memory twice. */
static void
compact(struct http1 *h)
{
	buf_drop(&h->in, h->used);
	h->used = 0;
}

static int
read_chunks(struct http1 *h, struct buf *body, struct err *err)
{
	struct span line;
	size_t size;

	for (;;) {
		if (h->used > READ_MAX)
			compact(h);
		if (read_line(h, HTTP1_CHUNK_LINE_MAX, &line, inside_body, err) == -1 ||
		    parse_chunk(&line, HTTP1_BODY_MAX - body->len, &size, err) == -1)
			return -1;
		if (!size)
			return read_trailer(h, err);
		make_room(body, size, false);
		if (read_exact(h, size, body, err) == -1 ||
		    read_line(h, 0, &line, inside_body, err) == -1)
			return -1;
	}
}

static int
receive(struct http1 *h, struct http1_answer *a, struct head *head, struct err *err)
{
	unsigned interim = 0;

	for (;;) {
		http1_answer_free(a);
		if (read_head(h, head, a, err) == -1 || check_framing(head, err) == -1)
			return -1;
		if (head->status >= 200)
			break;
		if (++interim > HTTP1_INTERIM_MAX)
			return invalid(err, "too many interim (1xx) answers");
		compact(h);
	}
	if (head->chunked)
		return read_chunks(h, &a->body, err);
	if (head->status == 204 || head->status == 304)
		return 0;
	make_room(&a->body, head->length, true);
	return read_exact(h, head->length, &a->body, err);
}

int
http1_receive(struct http1 *h, struct http1_answer *answer, struct err *err)
{
	struct head head;

	http1_answer_free(answer);
	if (!h->awaited || h->closed)
		return err_set(err, ERR_REACH, "the server closed the connection");
	if (receive(h, answer, &head, err) == -1) {
		http1_answer_free(answer);
		buf_free(&h->in);
		h->used = 0;
		h->closed = true;
		return -1;
	}
	compact(h);
	h->awaited--;
	answer->status = head.status;
	answer->close = head.close || (!head.minor && !head.keep_alive);
	h->closed = answer->close;
	return 0;
}
