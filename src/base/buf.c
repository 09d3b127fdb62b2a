#include "base/buf.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return;
	}
	if (!grow(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void
buf_shell(struct buf *b, const char *text)
{
	static const char safe[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,=@%+";

	if (*text && strspn(text, safe) == strlen(text)) {
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

void
buf_shown(struct buf *b, const char *text, size_t len, bool json)
{
	size_t i, n;

	for (i = 0; i < len; i += n ? n : 1) {
		unsigned code = 0xfffd;

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

void
buf_clean(struct buf *b, const char *text, size_t len, size_t max)
{
	size_t i, n;

	for (i = 0; i < len; i += n ? n : 1) {
		n = utf8_length(text + i, len - i);
		if (n > max || i > max - n) {
			buf_str(b, "\xe2\x80\xa6");
			return;
		}
		if (n && utf8_is_shown(utf8_code(text + i, n)))
			buf_add(b, text + i, n);
		else
			buf_char(b, '?');
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
