#include "format/toml.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { END = -1, ERROR = -2 }; /* in place of a character */

struct reader {
	const char *text;
	size_t len;
	/* the character last taken is text[from] to text[at - 1] */
	size_t from, at;
	size_t line, line_start;
	bool old_keys;
	struct toml *out;
	struct pool *pool;
	struct err *err;
	const char *table;
	const struct toml *earlier; /* to share strings with, or NULL */
	size_t top;                 /* length of the statement's own key */
	char array[TOML_KEY_MAX];   /* the last [[name]], and how often it came in a row */
	unsigned array_position;
	struct buf key; /* table and names so far */
	struct buf value;
	/* the first of two passes: it checks and counts, so that the second takes no more memory
	 * than needed */
	bool counting;
	struct toml_statement counted; /* in place of each statement */
	struct buf table_name;         /* in place of the pool's copy */
};

static int
fail(struct reader *r, const char *fmt, ...)
{
	char what[200];
	size_t i, column = 1;
	va_list ap;

	if (r->key.failed) /* what seems wrong is not */
		return err_memory(r->err);
	for (i = r->line_start; i < r->from; i++)
		column += ((unsigned char)r->text[i] & 0xc0) != 0x80;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(r->err, ERR_REFUSED, "line %zu, column %zu: %s", r->line, column, what);
}

/*
 * Characters outside of ASCII that are not letters and may well be in a file. All others count as
 * letters.
 */
static bool
is_wide_letter(unsigned c)
{
	static const struct {
		unsigned short first, last;
	} no_letters[] = {
		{ 0x80, 0xa9 },
		{ 0xab, 0xb1 },
		{ 0xb4, 0xb4 },
		{ 0xb6, 0xb8 },
		{ 0xbb, 0xbb },
		{ 0xbf, 0xbf },
		{ 0xd7, 0xd7 },
		{ 0xf7, 0xf7 },
		{ 0x2000, 0x206f },
		{ 0x20a0, 0x20ff },
		{ 0x2190, 0x245f },
		{ 0x2500, 0x2775 },
		{ 0x3000, 0x3004 },
		{ 0xe000, 0xf8ff },
		{ 0xfe00, 0xfe6f },
		{ 0xfeff, 0xff0f },
		{ 0xfff0, 0xffff },
	};
	size_t i;

	for (i = 0; i < COUNT(no_letters); i++) {
		if (c >= no_letters[i].first && c <= no_letters[i].last)
			return false;
	}
	return c < 0x1f000;
}

/* Is the character at offset a letter or a digit? */
static bool
is_word(const struct reader *r, size_t offset)
{
	const unsigned char *s = (const unsigned char *)r->text + offset;

	if (*s < 0x80)
		return (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
		    (*s >= 'A' && *s <= 'Z');
	if (*s < 0xe0)
		return is_wide_letter((*s & 0x1fu) << 6 | (s[1] & 0x3fu));
	if (*s < 0xf0)
		return is_wide_letter((*s & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu));
	return is_wide_letter(0x10000u | (*s & 7u) << 18 | (s[1] & 0x3fu) << 12);
}

/* The next character's first byte without taking it, or END. */
static int
peek(const struct reader *r)
{
	return r->at < r->len ? (unsigned char)r->text[r->at] : END;
}

/* Take one character whole; gives its first byte, or END. */
static int
take(struct reader *r)
{
	int c = peek(r);

	r->from = r->at;
	if (c != END)
		r->at += c < 0x80 ? 1 : utf8_length(r->text + r->at, r->len - r->at);
	return c;
}

static void
new_line(struct reader *r)
{
	r->line++;
	r->line_start = r->at;
}

/*
 * The next character of a value or a header. Carriage returns are dropped everywhere, even between
 * quotes. ERROR at the end of the file, or of a line.
 */
static int
next(struct reader *r, bool skip_blanks, bool allow_lf)
{
	int c;

	while ((c = take(r)) == '\r' || (skip_blanks && (c == ' ' || c == '\t')))
		;
	if (c == END || (c == '\n' && !allow_lf)) {
		fail(r,
		    c == END
			? "the file ends in the middle of this (its last line may lack a line end)"
			: "the line ends in the middle of this");
		return ERROR;
	}
	if (c == '\n')
		new_line(r);
	return c;
}

static void
skip_line(struct reader *r)
{
	const char *end = memchr(r->text + r->at, '\n', r->len - r->at);

	r->at = end ? (size_t)(end - r->text) + 1 : r->len;
	if (end)
		new_line(r);
}

/* Skip blanks and line ends, and comments if asked to. Gives the next character, or END. */
static int
seek(struct reader *r, bool comments)
{
	int c;

	while (
	    (c = peek(r)) == '\n' || c == '\r' || c == ' ' || c == '\t' || (comments && c == '#')) {
		if (c == '#') {
			skip_line(r);
			continue;
		}
		take(r);
		if (c == '\n')
			new_line(r);
	}
	return c;
}

/*
 * Shorten b to n bytes. The rest is wiped only when the buffer is freed: here it would cost too
 * much.
 */
static void
cut(struct buf *b, size_t n)
{
	b->len = n;
	if (b->data)
		b->data[n] = '\0';
}

static void
push(struct buf *b, const struct reader *r)
{
	buf_add(b, r->text + r->from, r->at - r->from);
}

/* Add all up to a quote, a backslash or the end of a line at once, which is faster. */
static void
push_run(struct reader *r, int quote)
{
	const char *s = r->text + r->at, *end = r->text + r->len;

	for (; s < end && *s != quote && *s != '\\' && *s != '\r' && *s != '\n'; s++)
		;
	buf_add(&r->value, r->text + r->at, (size_t)(s - r->text) - r->at);
	r->at = (size_t)(s - r->text);
}

static int
unexpected(struct reader *r, const char *where)
{
	return fail(r, "%.*s is not allowed %s", (int)(r->at - r->from), r->text + r->from, where);
}

/* Add an entry with the key in r->key. */
static int
insert(struct reader *r, const char *value, size_t value_len, size_t at, size_t len)
{
	struct toml *t = r->out;
	const char *key = buf_text(&r->key);
	const struct toml_entry *same;
	struct toml_entry *e;

	if (!key || r->value.failed)
		return err_memory(r->err);
	if (r->key.len > TOML_KEY_MAX)
		return fail(r, "this key is longer than %d bytes", TOML_KEY_MAX);
	if (memchr(key, '\0', r->key.len) || (value_len && memchr(value, '\0', value_len)))
		return fail(r, "a NUL byte, here or before");
	if (r->counting) {
		t->entry_count++;
		return pool_check(r->pool, r->err);
	}
	e = &t->entries[t->entry_count++];
	same = r->earlier ? toml_find(r->earlier, key) : NULL;
	e->key = same ? same->key : pool_copy(r->pool, key, r->key.len);
	same = same && strlen(same->value) == value_len && !memcmp(same->value, value, value_len)
	    ? same
	    : NULL;
	e->value = same ? same->value : pool_copy(r->pool, value, value_len);
	e->at = (unsigned)at;
	e->len = (unsigned)len;
	e->top = (unsigned)r->top;
	e->statement = (unsigned)t->statement_count - 1;
	t->statements[e->statement].entries++;
	return pool_check(r->pool, r->err);
}

/* Keep the key of a statement whose lists are all empty: the server has no key of it. */
static int
keep_empty(struct reader *r)
{
	struct toml_entry *e;

	if (r->counting)
		return 0;
	e = pool_add(r->pool, r->out->empty, r->out->empty_count);
	e->key = pool_copy(r->pool, r->key.data, r->top);
	e->value = "";
	e->top = (unsigned)r->top;
	e->statement = (unsigned)r->out->statement_count - 1;
	return pool_check(r->pool, r->err);
}

/* The rest of a quoted name. Backslashes are dropped, also one before a quote. */
static int
read_quoted_name(struct reader *r)
{
	int c, last = 0;

	for (; (c = take(r)) != END; last = c) {
		if (c == '"' && last != '\\')
			break;
		if (c == '\n')
			return fail(r, "the line ends within a name in quotes");
		if (c != '\\')
			push(&r->key, r);
	}
	return 0;
}

/* Does every version of the server allow it in a name without quotes? */
static bool
is_plain(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    c == '.' || c == '-' || c == '_';
}

/*
 * Add a name to r->key, up to its "=", or in an inline table up to a "," or "}". Gives that
 * character, or ERROR.
 */
static int
read_key(struct reader *r, bool inline_table)
{
	size_t start = r->key.len;
	int c;

	while ((c = take(r)) != END) {
		if (c == '=' || (inline_table && (c == ',' || c == '}'))) {
			if (r->key.len != start)
				return c;
			fail(r, "a name is missing");
			return ERROR;
		}
		if (c == '"') {
			if (read_quoted_name(r) == -1)
				return ERROR;
		} else if (c == '\n') {
			if (r->key.len != start) {
				fail(r, "the line ends after a name without a value");
				return ERROR;
			}
			new_line(r);
		} else if (c != ' ' && c != '\t' && c != '\r') {
			if (!is_plain(c)) {
				r->out->new_keys = true;
				if (r->old_keys) {
					unexpected(r,
					    "in a name without quotes (servers up to 0.12 refuse "
					    "it)");
					return ERROR;
				}
			}
			while (is_plain(c) && is_plain(peek(r)))
				r->at++;
			push(&r->key, r);
		}
	}
	fail(r, "the file ends after a name without a value");
	return ERROR;
}

/* Does the string end at its next quote, with nothing to change in it? Then take it as it stands.
 */
static bool
take_plain_string(struct reader *r, int quote, size_t *len)
{
	const char *s = r->text + r->at, *end = r->text + r->len;

	for (; s < end && *s != quote && *s != '\\' && *s != '\r' && *s != '\n'; s++)
		;
	if (s == end || *s != quote)
		return false;
	*len = (size_t)(s - r->text) - r->at;
	r->at += *len;
	take(r);
	return true;
}

/* Up to the closing quote. Even an escaped backslash escapes the character after it. */
static int
read_line_string(struct reader *r, int quote)
{
	int c, last = 0;

	for (;; last = c) {
		if (last != '\\')
			push_run(r, quote);
		c = next(r, false, true);
		if (c == ERROR)
			return -1;
		if (c == '\\' && last != '\\')
			continue;
		if (last == '\\' && (c == 't' || c == 'r' || c == 'n'))
			buf_char(&r->value, c == 't' ? '\t' : c == 'r' ? '\r' : '\n');
		else if (c == quote && last != '\\')
			return 0;
		else
			push(&r->value, r);
	}
}

/* Up to three closing quotes, without escapes. */
static int
read_block_string(struct reader *r, int quote)
{
	int c, last = 0, before = 0;
	const char *s, *end = r->text + r->len;

	if (peek(r) == '\n') {
		take(r);
		new_line(r);
	}
	for (;; before = last, last = c) {
		/* all that is nothing special at once, which is faster */
		for (s = r->text + r->at; s < end && *s != quote && *s != '\r' && *s != '\n'; s++)
			;
		if (s > r->text + r->at) {
			buf_add(&r->value, r->text + r->at, (size_t)(s - r->text) - r->at);
			r->at = (size_t)(s - r->text);
			last = 0;
		}
		c = next(r, false, true);
		if (c == ERROR)
			return -1;
		if (c == quote && last == quote && before == quote)
			break;
		push(&r->value, r);
	}
	if (r->value.len >= 2)
		cut(&r->value, r->value.len - 2);
	return 0;
}

static int
read_string(struct reader *r, int quote)
{
	size_t at = r->from, len;

	cut(&r->value, 0);
	if (peek(r) != quote) {
		if (take_plain_string(r, quote, &len))
			return insert(r, r->text + at + 1, len, at, r->at - at);
		if (read_line_string(r, quote) == -1)
			return -1;
	} else {
		take(r);
		if (peek(r) == quote) {
			take(r);
			if (read_block_string(r, quote) == -1)
				return -1;
		}
	}
	return insert(r, r->value.data ? r->value.data : "", r->value.len, at, r->at - at);
}

static int
read_bare(struct reader *r)
{
	size_t at = r->from;

	while (peek(r) != END && (is_word(r, r->at) || strchr(".+-", peek(r))))
		take(r);
	return insert(r, r->text + at, r->at - at, at, r->at - at);
}

static int read_value(struct reader *r, const char *stops, int nest);

/* "[a, b]": keys with four digits. */
static int
read_array(struct reader *r, int nest)
{
	size_t base = r->key.len;
	unsigned position;
	int c;

	for (position = 0;; position++) {
		seek(r, true);
		buf_printf(&r->key, ".%04u", position);
		c = read_value(r, ",]", nest + 1);
		if (c == ERROR || r->key.failed)
			return c == ERROR ? -1 : err_memory(r->err);
		cut(&r->key, base);
		if (c == ']')
			return 0;
	}
}

/* "{a = 1, b}": names below the key. One without a value is a member of a set. */
static int
read_inline_table(struct reader *r, int nest)
{
	size_t base;
	int c;

	buf_char(&r->key, '.');
	for (base = r->key.len;;) {
		c = read_key(r, true);
		if (c == '=') {
			seek(r, true);
			c = read_value(r, ",}", nest + 1);
			if (c == ',')
				seek(r, true);
		} else if (c != ERROR && insert(r, "", 0, 0, 0) == -1) {
			return -1;
		}
		if (c == ERROR || r->key.failed)
			return c == ERROR ? -1 : err_memory(r->err);
		cut(&r->key, base);
		if (c == '}')
			return 0;
	}
}

/* After a value: one of stops, which may include a line's end. Gives it, or ERROR. */
static int
read_stop(struct reader *r, const char *stops)
{
	bool lf = strchr(stops, '\n');
	int c;

	for (;;) {
		c = next(r, true, true);
		if (c == '#') {
			skip_line(r);
			if (lf)
				return '\n';
		} else if (c == ERROR || (c && strchr(stops, c))) {
			return c;
		} else if (c != '\n') {
			unexpected(r, "after a value");
			return ERROR;
		}
	}
}

/* Read a value for r->key and what ends it, one of stops. Gives that, or ERROR. */
static int
read_value(struct reader *r, const char *stops, int nest)
{
	int c, failed;

	if (nest == TOML_NEST_MAX) {
		fail(r, "arrays and tables are nested deeper than %d", TOML_NEST_MAX);
		return ERROR;
	}
	c = next(r, true, false);
	if (c == ERROR)
		return ERROR;
	if (c == '[') {
		failed = read_array(r, nest);
	} else if (c == '{') {
		failed = read_inline_table(r, nest);
	} else if (c == '"' || c == '\'') {
		failed = read_string(r, c);
	} else if (is_word(r, r->from) || (c && strchr(".+-", c))) {
		failed = read_bare(r);
	} else if (c && strchr(stops, c)) {
		return c;
	} else {
		unexpected(r, "here: expected a value");
		return ERROR;
	}
	return failed ? ERROR : read_stop(r, stops);
}

/* Begin a statement at the reader's line. */
static struct toml_statement *
begin(struct reader *r, enum toml_kind kind)
{
	size_t n = r->out->statement_count++;
	struct toml_statement *s = r->counting ? &r->counted : &r->out->statements[n];

	s->kind = (unsigned)kind & 3;
	s->start = (unsigned)r->line_start;
	s->line = (unsigned)r->line;
	s->table = r->table;
	return s;
}

/*
 * "[name]" or "[[name]]", into r->key. Outside of quotes all but the first character is
 * lower-cased. 0 or -1.
 */
static int
read_table_name(struct reader *r)
{
	bool quoted = false, array;
	int c = next(r, true, false), last = 0;

	array = c == '[';
	if (!array && c != ERROR)
		push(&r->key, r);
	for (; c != ERROR; last = c) {
		c = next(r, !quoted, false);
		if (c == '"' && (!quoted || last != '\\')) {
			quoted = !quoted;
		} else if (quoted) {
			if (c != '\\' && c != ERROR)
				push(&r->key, r);
		} else if (c == ']') {
			if (!r->key.len)
				return fail(r, "the table has no name");
			if (!array)
				return 0;
			array = false;
			if (r->key.failed || r->key.len >= sizeof(r->array))
				return fail(
				    r, "this name is longer than %d bytes", TOML_KEY_MAX - 1);
			r->array_position = strcmp(r->array, r->key.data) ? 0
									  : r->array_position + 1;
			memcpy(r->array, r->key.data, r->key.len + 1);
			buf_printf(&r->key, ".%04u", r->array_position);
		} else if (c >= 'A' && c <= 'Z') {
			buf_char(&r->key, (char)(c - 'A' + 'a'));
		} else if (c != ERROR) {
			if (!is_word(r, r->from) && (!c || !strchr(".-_", c)))
				return unexpected(r, "in a table's name");
			push(&r->key, r);
		}
	}
	return -1;
}

static int
read_table(struct reader *r)
{
	struct toml_statement *s = begin(r, TOML_TABLE);

	take(r);
	cut(&r->key, 0);
	if (read_table_name(r) == -1)
		return -1;
	if (r->key.data && memchr(r->key.data, '\0', r->key.len))
		return fail(r, "a NUL byte in a name");
	if (r->counting) {
		cut(&r->table_name, 0);
		buf_add(&r->table_name, r->key.data, r->key.len);
		r->table = buf_text(&r->table_name) ? buf_text(&r->table_name) : "";
	} else {
		r->table = pool_copy(r->pool, r->key.data, r->key.len);
	}
	s->table = r->table;
	skip_line(r); /* the server ignores what follows the bracket */
	s->end = (unsigned)r->at;
	return pool_check(r->pool, r->err);
}

static int
read_assignment(struct reader *r)
{
	struct toml_statement *s = begin(r, TOML_VALUE);

	cut(&r->key, 0);
	if (*r->table)
		buf_printf(&r->key, "%s.", r->table);
	if (read_key(r, false) == ERROR)
		return -1;
	r->top = r->key.len;
	if (read_value(r, "\n", 0) == ERROR)
		return -1;
	s->end = (unsigned)r->at;
	if (r->key.failed)
		return err_memory(r->err);
	return s->entries ? 0 : keep_empty(r);
}

static void
read_comment(struct reader *r)
{
	struct toml_statement *s = NULL;

	if (r->at == r->line_start && r->len - r->at >= strlen(TOML_MARK) &&
	    !memcmp(r->text + r->at, TOML_MARK, strlen(TOML_MARK)))
		s = begin(r, TOML_COMMENT);
	skip_line(r);
	if (s)
		s->end = (unsigned)r->at;
}

static int
read_all(struct reader *r)
{
	int c, failed = 0;

	while ((c = seek(r, false)) != END) {
		if (c == '[') {
			failed = read_table(r);
		} else if (c == '#') {
			read_comment(r);
		} else if (c == '"' || (c < 0x80 && is_word(r, r->at))) {
			failed = read_assignment(r);
		} else {
			take(r);
			return unexpected(r, "at the start of a line");
		}
		if (failed)
			return -1;
	}
	return 0;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct toml_entry *)a)->key, ((const struct toml_entry *)b)->key);
}

/* Sort the entries. A key that is given twice is an error, as in the server. */
static int
sort(struct toml *t, struct err *err)
{
	size_t i;

	if (t->entry_count)
		qsort(t->entries, t->entry_count, sizeof(*t->entries), compare);
	if (t->empty_count)
		qsort(t->empty, t->empty_count, sizeof(*t->empty), compare);
	for (i = 1; i < t->entry_count; i++) {
		const struct toml_entry *a = &t->entries[i - 1], *b = &t->entries[i];

		if (!strcmp(a->key, b->key))
			return err_set(err, ERR_REFUSED,
			    "lines %u and %u: the key %.120s is given twice",
			    t->statements[a->statement < b->statement ? a->statement : b->statement]
				.line,
			    t->statements[a->statement < b->statement ? b->statement : a->statement]
				.line,
			    a->key);
	}
	return 0;
}

/* Between the passes: room for what was counted, and back to the text's start. */
static int
make_room(struct reader *r, const char *table)
{
	struct toml *t = r->out;

	t->statements = pool_zero(r->pool, (t->statement_count + 1) * sizeof(*t->statements));
	t->entries = pool_zero(r->pool, (t->entry_count + 1) * sizeof(*t->entries));
	t->statement_count = t->entry_count = 0;
	r->counting = false;
	r->at = r->from = r->line_start = 0;
	r->line = 1;
	r->table = table;
	r->array[0] = '\0';
	r->array_position = 0;
	return pool_check(r->pool, r->err);
}

static int
read_text(struct toml *t, struct pool *pool, const char *table, const struct toml *earlier,
    const char *text, size_t len, bool old_keys, struct err *err)
{
	struct reader r = {
		.text = text,
		.len = len,
		.line = 1,
		.old_keys = old_keys,
		.out = t,
		.pool = pool,
		.err = err,
		.table = table,
		.earlier = earlier,
		.counting = true,
	};
	size_t i, n;
	int failed;

	memset(t, 0, sizeof(*t));
	for (i = 0; i < len; i += n) {
		n = (unsigned char)text[i] < 0x80 ? 1 : utf8_length(text + i, len - i);
		if (!n) {
			t->no_utf8 = true;
			return 0;
		}
	}
	failed = read_all(&r) == -1 || make_room(&r, table) == -1 || read_all(&r) == -1;
	buf_free(&r.key);
	buf_free(&r.value);
	buf_free(&r.table_name);
	if (failed)
		memset(t, 0, sizeof(*t));
	return failed ? -1 : sort(t, err);
}

int
toml_read(struct toml *t, struct pool *pool, const char *table, const char *text, size_t len,
    bool old_keys, struct err *err)
{
	return read_text(t, pool, table, NULL, text, len, old_keys, err);
}

int
toml_read_like(struct toml *t, struct pool *pool, const struct toml *earlier, const char *text,
    size_t len, bool old_keys, struct err *err)
{
	return read_text(t, pool, "", earlier, text, len, old_keys, err);
}

const struct toml_entry *
toml_find(const struct toml *t, const char *key)
{
	struct toml_entry wanted = { .key = key };

	return t->entry_count
	    ? bsearch(&wanted, t->entries, t->entry_count, sizeof(wanted), compare)
	    : NULL;
}

void
toml_write_name(struct buf *out, const char *name, size_t len)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
	size_t i;

	for (i = 0; i < len && strchr(plain, name[i]); i++)
		;
	if (len && i == len && !strchr("_-", *name)) {
		buf_add(out, name, len);
		return;
	}
	buf_char(out, '"');
	for (i = 0; i < len; i++) {
		if (name[i] == '"' || name[i] == '\\')
			buf_char(out, '\\');
		buf_char(out, name[i]);
	}
	buf_char(out, '"');
}

/* Is value what a reader makes of the spelling at the end of out? Or did memory run out? */
static bool
reads_as(struct buf *out, size_t start, const char *value)
{
	struct pool pool = { 0 };
	struct toml t = { 0 };
	struct buf text = { 0 };
	struct err why;
	bool same;

	err_clear(&why);
	buf_printf(&text, "v=%.*s\n", (int)(out->len - start), out->data + start);
	same = !text.failed && toml_read(&t, &pool, "", text.data, text.len, false, &why) == 0 &&
	    t.entry_count == 1 && !strcmp(t.entries[0].value, value);
	out->failed |= text.failed || why.code == ENOMEM;
	pool_free(&pool);
	buf_free(&text);
	return same || out->failed;
}

int
toml_write_value(struct buf *out, const char *value)
{
	static const char *const quotes[] = { "\"", "'''", "\"\"\"", "'" };
	/* as TOML has numbers: without a zero in front, in 64 bits */
	size_t digits = *value == '0' ? 1 : strspn(value, "0123456789");
	size_t start = out->len, i, n;
	bool lines = strchr(value, '\n');
	const char *c;

	if (!strcmp(value, "true") || !strcmp(value, "false") ||
	    (digits && digits < 19 && !value[digits])) {
		buf_str(out, value);
		return 0;
	}
	for (n = 0; n < COUNT(quotes); n++) {
		/* Several lines go between three quotes first, as TOML wants it. */
		i = n < 3 ? (n + lines) % 3 : n;
		cut(out, start);
		buf_str(out, quotes[i]);
		if (quotes[i][1] && *value == '\n')
			buf_char(out, '\n'); /* the reader drops one */
		for (c = value; *c; c++) {
			if (!quotes[i][1] && (*c == quotes[i][0] || *c == '\\'))
				buf_char(out, '\\');
			buf_char(out, *c);
		}
		buf_str(out, quotes[i]);
		if (out->failed || reads_as(out, start, value))
			return 0;
	}
	cut(out, start);
	return -1;
}
