/* buf.h - bytes that grow; what was in them is wiped when they grow or are freed */
#ifndef BUF_H
#define BUF_H

#include "base/def.h"

#include <stdbool.h>

/*
 * Adding to a buffer whose memory ran out does nothing and leaves `failed` set, so a run of
 * additions needs one check at its end (buf_text, or `failed` itself). Zero-initialise; buf_free
 * when done.
 */
struct buf {
	char *data; /* NUL-terminated whenever not NULL */
	size_t len; /* bytes in use, without that NUL */
	size_t cap;
	bool failed;
};

/* Make room for n bytes more at once: growing by steps takes up to three times the memory. */
void buf_reserve(struct buf *b, size_t n);

/* Append len bytes. */
void buf_add(struct buf *b, const void *data, size_t len);

/* Append a string. */
void buf_str(struct buf *b, const char *text);

/* Append one byte. */
void buf_char(struct buf *b, char c);

/* Append formatted text, of any length. */
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Append text quoted for a POSIX shell: as it is where that is safe, else in single quotes. */
void buf_shell(struct buf *b, const char *text);

/* The same for a path or the like in a report, as buf_clean leaves it: on one line. */
void buf_shell_line(struct buf *b, const char *text);

/*
 * Append text as it may reach a terminal or a file: what utf8_is_shown denies becomes '?', and so
 * does each byte that is not UTF-8. Line feeds, tabs and a CR in front of a line feed stay. In JSON
 * (json) it becomes \uXXXX, such a byte U+FFFD, and only line feeds stay: outside of strings JSON
 * has none of them.
 */
void buf_shown(struct buf *b, const char *text, size_t len, bool json);

/*
 * Append at most max bytes of a text as part of a line: as buf_shown does, but line ends and tabs
 * become '?' too. A longer text is cut and ends in an ellipsis. With no maximum ((size_t)-1) a word
 * of more than 4 KiB is cut, and its length told.
 */
void buf_clean(struct buf *b, const char *text, size_t len, size_t max);

/* Remove the first n bytes (n at most len); the bytes after them move to the front. */
void buf_drop(struct buf *b, size_t n);

/* Wipe and empty it, keeping its memory. */
void buf_reset(struct buf *b);

/* Wipe it and free its memory; it can be used again. */
void buf_free(struct buf *b);

/* The text so far ("" when empty), or NULL when memory ran out. The buffer keeps owning it. */
const char *buf_text(const struct buf *b);

#endif
