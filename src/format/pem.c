#include "format/pem.h"

#include "base/err.h"

#include <string.h>

static const char begin_mark[] = "-----BEGIN ";
static const char end_mark[] = "-----END ";
static const char dashes[] = "-----";
static const char byte_order_mark[] = "\xef\xbb\xbf";

struct line {
	const char *p; /* without blanks at either end */
	size_t len;
	bool ended; /* by a line feed */
};

/* The value of a base64 digit, or -1. */
static int
digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base64 that comes digit by digit. */
struct base64 {
	unsigned long bits;
	unsigned digits; /* in the present group of four, padding included */
	unsigned padding;
};

/* Add a digit. False when it is not allowed there. */
static bool
base64_add(struct base64 *b, char c, struct buf *out)
{
	int v = digit(c);

	if (c == '=' ? b->digits < 2 : v < 0 || b->padding)
		return false;
	b->padding += c == '=';
	b->bits = b->bits << 6 | (unsigned long)(v < 0 ? 0 : v);
	if (++b->digits < 4)
		return true;
	if (b->bits & ((1ul << 8 * b->padding) - 1))
		return false;
	buf_char(out, (char)(b->bits >> 16 & 0xff));
	if (b->padding < 2)
		buf_char(out, (char)(b->bits >> 8 & 0xff));
	if (b->padding < 1)
		buf_char(out, (char)(b->bits & 0xff));
	b->bits = 0;
	b->digits = 0;
	return true;
}

bool
base64_decode(const char *text, size_t len, struct buf *out)
{
	struct base64 b = { 0 };
	size_t i;

	for (i = 0; i < len; i++) {
		if ((b.padding && !b.digits) || !base64_add(&b, text[i], out))
			return false;
	}
	return !b.digits && !out->failed;
}

/* Encode up to three bytes as four digits; len counts all bytes that are left. */
static void
encode_group(char out[4], const unsigned char *in, size_t len)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned long v = (unsigned long)in[0] << 16;

	v |= len > 1 ? (unsigned long)in[1] << 8 : 0;
	v |= len > 2 ? in[2] : 0;
	out[0] = digits[v >> 18 & 63];
	out[1] = digits[v >> 12 & 63];
	out[2] = len > 1 ? digits[v >> 6 & 63] : '=';
	out[3] = len > 2 ? digits[v & 63] : '=';
}

void
base64_encode(const void *data, size_t len, struct buf *out)
{
	char four[4];
	size_t i;

	for (i = 0; i < len; i += 3) {
		encode_group(four, (const unsigned char *)data + i, len - i);
		buf_add(out, four, sizeof(four));
	}
	wipe(four, sizeof(four));
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next line, or false at the text's end. */
static bool
next_line(struct pem *p, struct line *l)
{
	const char *feed;
	size_t len;

	if (!p->at && p->len >= 3 && !memcmp(p->text, byte_order_mark, 3))
		p->at = 3;
	if (p->at == p->len)
		return false;
	feed = memchr(p->text + p->at, '\n', p->len - p->at);
	len = feed ? (size_t)(feed - (p->text + p->at)) : p->len - p->at;
	l->p = p->text + p->at;
	l->len = len;
	l->ended = feed;
	p->at += len + (feed ? 1 : 0);
	p->line++;
	while (l->len && is_blank(*l->p)) {
		l->p++;
		l->len--;
	}
	while (l->len && is_blank(l->p[l->len - 1]))
		l->len--;
	return true;
}

static bool
starts(const struct line *l, const char *mark)
{
	return l->len >= strlen(mark) && !memcmp(l->p, mark, strlen(mark));
}

/* Where a mark begins inside a line, or NULL. */
static const char *
find(const struct line *l, size_t from, const char *mark)
{
	size_t n = strlen(mark), i;

	for (i = from; i + n <= l->len; i++) {
		if (!memcmp(l->p + i, mark, n))
			return l->p + i;
	}
	return NULL;
}

static int
bad(unsigned line, const char *why, struct err *err)
{
	return err_set(err, ERR_USAGE, "line %u: %s", line, why);
}

/* The label between a mark and the five dashes at the end of the line. */
static int
read_label(const struct pem *p, const struct line *l, const char *mark, char out[PEM_LABEL_MAX],
    struct err *err)
{
	size_t n = strlen(mark), len;
	const char *end = find(l, n, dashes);

	if (!end)
		return bad(p->line, "the line is cut off", err);
	if (end + strlen(dashes) != l->p + l->len)
		return bad(p->line,
		    "text follows the dashes; were two files joined without a line end?", err);
	len = (size_t)(end - (l->p + n));
	if (len >= PEM_LABEL_MAX)
		return bad(p->line, "the label is too long", err);
	memcpy(out, l->p + n, len);
	out[len] = '\0';
	return 0;
}

/* A line outside a block: 1 when a block begins, 0 when not, -1 when it is a broken mark. */
static int
outside(struct pem *p, const struct line *l, struct err *err)
{
	if (starts(l, begin_mark)) {
		p->begun = p->line;
		return read_label(p, l, begin_mark, p->label, err) == -1 ? -1 : 1;
	}
	if (find(l, 0, end_mark))
		return bad(p->line, "an END without its BEGIN", err);
	if (find(l, 0, begin_mark))
		return bad(p->line, "a BEGIN in the middle of a line", err);
	if (!l->ended && l->len >= strlen(dashes) &&
	    !memcmp(l->p, begin_mark,
		l->len < sizeof(begin_mark) - 1 ? l->len : sizeof(begin_mark) - 1))
		return bad(p->line, "the text is cut off", err);
	return 0;
}

/* A line inside a block: 1 when it is its END, 0 when not, -1 when it is wrong. */
static int
inside(
    const struct pem *p, const struct line *l, struct base64 *b, struct buf *out, struct err *err)
{
	char label[PEM_LABEL_MAX];
	size_t i;

	if (starts(l, end_mark)) {
		if (read_label(p, l, end_mark, label, err) == -1)
			return -1;
		if (strcmp(label, p->label))
			return bad(p->line, "END does not match BEGIN", err);
		return b->digits ? bad(p->line, "the block's base64 is cut off", err) : 1;
	}
	/* A private key's block may begin with fields (RFC 1421), before its base64. */
	if (!out->len && !b->digits && strcmp(p->label, "CERTIFICATE") && memchr(l->p, ':', l->len))
		return 0;
	for (i = 0; i < l->len; i++) {
		if ((b->padding && !b->digits) || !base64_add(b, l->p[i], out))
			return bad(p->line, "this is not base64", err);
	}
	return out->len > PEM_BLOCK_MAX ? bad(p->begun, "the block is too long", err) : 0;
}

int
pem_next(struct pem *p, struct buf *out, struct err *err)
{
	struct base64 b = { 0 };
	struct line l;
	int r = 0;

	buf_reset(out);
	while (r == 0) {
		if (!next_line(p, &l))
			return 0;
		r = outside(p, &l, err);
	}
	if (r == -1)
		return -1;
	do {
		if (!next_line(p, &l))
			return bad(p->begun,
			    "the block that begins here has no END: the text is cut off", err);
		r = inside(p, &l, &b, out, err);
	} while (r == 0);
	if (r == 1 && out->failed)
		return err_memory(err);
	return r;
}
