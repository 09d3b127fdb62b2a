#include "base/buf.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WORD_MAX = 4096, /* bytes of a word that is shown whole: no path is longer */
	COLUMNS_SHOWN = 60
};

enum { BUF_MIN = 256 };

/*
 * Have room for cap bytes. realloc could leave a copy behind, so: new block, copy, wipe, free.
 */
static bool
resize(struct buf *b, size_t cap)
{
	char *data = malloc(cap);

	if (!data) {
		b->failed = true;
		return false;
	}
	if (b->len)
		memcpy(data, b->data, b->len);
	data[b->len] = '\0';
	wipe(b->data, b->cap);
	free(b->data);
	b->data = data;
	b->cap = cap;
	return true;
}

/* Make room for n more bytes and a NUL. */
static bool
grow(struct buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : BUF_MIN;

	if (b->failed)
		return false;
	if (n < b->cap - b->len && b->cap)
		return true;
	while (cap - b->len <= n) {
		if (cap > SIZE_MAX / 2) {
			b->failed = true;
			return false;
		}
		cap *= 2;
	}
	return resize(b, cap);
}

void
buf_reserve(struct buf *b, size_t n)
{
	if (!b->failed && b->cap - b->len <= n && n < SIZE_MAX / 2 - b->len)
		resize(b, b->len + n + 1);
}

void
buf_add(struct buf *b, const void *data, size_t len)
{
	if (!grow(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_str(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void
buf_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	size_t room = b->cap - b->len;
	va_list ap;
	int n;

	/* usually it fits */
	va_start(ap, fmt);
	n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
	va_end(ap);
	b->failed |= n < 0;
	if (n >= 0 && (size_t)n >= room && grow(b, (size_t)n)) {
		va_start(ap, fmt);
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	if (!b->failed)
		b->len += (size_t)n;
	else if (room)
		b->data[b->len] = '\0';
}

void
buf_shell(struct buf *b, const char *text)
{
	if (*text && !text[strspn(text, "/,=@%+:._-" ALNUM)]) {
		buf_str(b, text);
		return;
	}
	buf_char(b, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			buf_str(b, "'\\''");
		else
			buf_char(b, *text);
	}
	buf_char(b, '\'');
}

/* Append a character as JSON escapes it. */
static void
add_escape(struct buf *b, unsigned code)
{
	if (code >= 0x10000) {
		buf_printf(b, "\\u%04x", 0xd800 + ((code - 0x10000) >> 10));
		code = 0xdc00 + ((code - 0x10000) & 0x3ff);
	}
	buf_printf(b, "\\u%04x", code);
}

/* Does this character shape the text, as a tab does? */
static bool
is_layout(const char *s, size_t left, bool json)
{
	return *s == '\n' || (!json && (*s == '\t' || (*s == '\r' && left > 1 && s[1] == '\n')));
}

/* The number of bytes before the first that is not printable ASCII. */
static size_t
plain_length(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && text[n] >= ' ' && text[n] <= '~')
		n++;
	return n;
}

void
buf_shown(struct buf *b, const char *text, size_t len, bool json)
{
	size_t i, n;

	buf_reserve(b, len);
	for (i = 0; i < len; i += n ? n : 1) {
		unsigned code = 0xfffd;

		n = plain_length(text + i, len - i);
		if (n) {
			buf_add(b, text + i, n);
			continue;
		}
		n = utf8_length(text + i, len - i);
		if (n)
			code = utf8_code(text + i, n);
		if (n && (utf8_is_shown(code) || is_layout(text + i, len - i, json)))
			buf_add(b, text + i, n);
		else if (json)
			add_escape(b, code);
		else
			buf_char(b, '?');
	}
}

/* Append a character, or a bad byte, of a line. The number of its bytes. */
static size_t
add_clean(struct buf *b, const char *text, size_t len)
{
	size_t n = utf8_length(text, len);

	if (n && utf8_is_shown(utf8_code(text, n)))
		buf_add(b, text, n);
	else
		buf_char(b, '?');
	return n ? n : 1;
}

/* A number with a comma at each thousand. */
static void
add_number(struct buf *b, size_t n)
{
	if (n >= 1000)
		add_number(b, n / 1000);
	buf_printf(b, n >= 1000 ? ",%03zu" : "%zu", n % 1000);
}

/* Append the word that begins here cut, if it is so long. The number of its bytes; else 0. */
static size_t
add_long_word(struct buf *b, const char *text, size_t len)
{
	const char *end = len > WORD_MAX ? memchr(text, ' ', len) : NULL;
	size_t word = end ? (size_t)(end - text) : len, n = 0, columns;

	if (word <= WORD_MAX)
		return 0;
	for (columns = 0; columns < COLUMNS_SHOWN; columns++)
		n += add_clean(b, text + n, word - n);
	buf_str(b, "\xe2\x80\xa6 ");
	add_number(b, word);
	buf_str(b, " bytes");
	return word;
}

void
buf_clean(struct buf *b, const char *text, size_t len, size_t max)
{
	size_t i, n;

	for (i = 0; i < len; i += n) {
		bool begins = max == (size_t)-1 && (!i || text[i - 1] == ' ');

		n = begins ? add_long_word(b, text + i, len - i) : 0;
		if (n)
			continue;
		n = utf8_length(text + i, len - i);
		if (n > max || i > max - n) {
			buf_str(b, "\xe2\x80\xa6");
			return;
		}
		n = add_clean(b, text + i, len - i);
	}
}

void
buf_shell_line(struct buf *b, const char *text)
{
	struct buf line = { 0 };

	buf_clean(&line, text, strlen(text), (size_t)-1);
	buf_shell(b, line.failed || !line.data ? "" : line.data);
	b->failed |= line.failed;
	buf_free(&line);
}

void
buf_drop(struct buf *b, size_t n)
{
	if (!n)
		return;
	memmove(b->data, b->data + n, b->len - n);
	wipe(b->data + b->len - n, n);
	b->len -= n;
	b->data[b->len] = '\0';
}

void
buf_reset(struct buf *b)
{
	wipe(b->data, b->cap);
	b->len = 0;
	b->failed = false;
}

void
buf_free(struct buf *b)
{
	wipe(b->data, b->cap);
	free(b->data);
	memset(b, 0, sizeof(*b));
}

const char *
buf_text(const struct buf *b)
{
	if (b->failed)
		return NULL;
	return b->data ? b->data : "";
}
