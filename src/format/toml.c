#include "format/toml.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/sorted.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { END = -1, ERROR = -2 }; /* in place of a character */

/*
 * The text is read more than once: to count what it has, so that the rest takes no more memory than
 * needed; to take it; and where keys are dropped, to look for those that are given twice.
 */
enum pass { COUNT_ALL, TAKE, LOOK_ONLY };

/*
 * Dropped keys, to see which is given twice: a table of hashes, at most as large as the text. What
 * does not fit is left to further rounds. Nobody gains by two keys with the same hash: they are
 * compared.
 */
struct twice {
	uint64_t *hashes; /* 0: free */
	size_t mask;      /* their number, less 1; a power of two before that */
	size_t round, rounds;
	uint64_t found; /* a hash that came twice, or 0 */
	struct buf key; /* with that hash, in line `line` */
	unsigned line;
};
enum { TWICE_MIN = 1024, PROBES_MAX = 4096 };

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
	const struct toml_filter *filter; /* or NULL */
	enum pass pass;
	struct toml_statement now; /* the statement that is read */
	bool kept;                 /* one of its keys is an entry */
	size_t top;                /* length of its own key */
	size_t taken;              /* bytes for what is kept so far */
	struct buf table_name;
	const char *table; /* its copy in the pool, once it is needed, or NULL */
	uint64_t table_hash;
	enum toml_use table_use;
	bool has_header; /* there was one */
	/* of a row of statements that are kept for their places: how many; what they are; the last
	 * one's key */
	size_t row;
	enum toml_use row_use;
	struct buf row_key;
	char array[TOML_KEY_MAX]; /* the last [[name]], and how often it came in a row */
	unsigned array_position;
	struct buf key; /* table and names so far */
	struct buf value;
	struct twice twice;
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

static enum toml_use
use_of(const struct reader *r, const char *key)
{
	return r->filter ? r->filter->use(r->filter->ctx, key) : TOML_KEEP;
}

/* FNV-1a */
static const uint64_t HASH_START = 0xcbf29ce484222325u, HASH_PRIME = 0x100000001b3u;

static uint64_t
hash(uint64_t h, const char *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ (unsigned char)bytes[i]) * HASH_PRIME;
	return h;
}

static int
given_twice(struct err *err, const char *key, unsigned a, unsigned b)
{
	return err_set(err, ERR_REFUSED, "lines %u and %u: the key %.120s is given twice",
	    a < b ? a : b, a < b ? b : a, key);
}

/* Have a dropped key's hash in the table. False: it finds no place. */
static bool
add_hash(struct twice *t, uint64_t h)
{
	size_t i, at = (size_t)h;

	for (i = 0; i < PROBES_MAX; i++, at++) {
		uint64_t *slot = &t->hashes[at & t->mask];

		if (*slot == h)
			t->found = h;
		if (*slot && *slot != h)
			continue;
		*slot = h;
		return true;
	}
	return false;
}

/* A key that is not kept: it is counted, and compared with others of its kind. */
static int
drop(struct reader *r, const char *value, size_t value_len)
{
	struct twice *t = &r->twice;
	size_t table = r->table_name.len;
	uint64_t h = hash(r->table_hash, r->key.data + table, r->key.len - table);

	h += !h;
	r->out->dropped++;
	if (r->pass == TAKE)
		r->out->digest = hash((r->out->digest ^ h) * HASH_PRIME, value, value_len) ^
		    value_len;
	if (t->hashes && (h >> 32) % t->rounds == t->round && !add_hash(t, h))
		return fail(r, "too many keys look alike");
	if (t->hashes || h != t->found)
		return 0;
	/* the last pass: is it that key again, or another with the same hash? */
	if (t->line && !strcmp(t->key.data, r->key.data))
		return given_twice(r->err, t->key.data, t->line, r->now.line);
	if (!t->line) {
		buf_add(&t->key, r->key.data, r->key.len);
		t->line = r->now.line;
	}
	return t->key.failed ? err_memory(r->err) : 0;
}

/* After a failure: a server would read it. */
static int
ours(struct reader *r, int failed)
{
	if (r->err)
		r->err->code = EFBIG;
	return failed;
}

/* Add an entry with the key in r->key. */
static int
insert(struct reader *r, const char *value, size_t value_len, size_t at, size_t len)
{
	struct toml *t = r->out;
	const char *key = buf_text(&r->key);
	size_t n = t->entry_count;
	bool kept;

	if (!key || r->value.failed)
		return err_memory(r->err);
	if (r->key.len > TOML_KEY_MAX)
		return ours(r, fail(r, "this key is longer than %d bytes", TOML_KEY_MAX));
	if (memchr(key, '\0', r->key.len) || (value_len && memchr(value, '\0', value_len)))
		return ours(r, fail(r, "a NUL byte, here or before"));
	r->now.entries++;
	kept = use_of(r, key) == TOML_KEEP;
	if (r->filter && r->filter->see && r->pass == TAKE)
		r->filter->see(r->filter->ctx, key, value, value_len, kept);
	if (!kept)
		return pool_check(r->pool, r->err) == -1 ? -1 : drop(r, value, value_len);
	r->kept = true;
	t->entry_count++;
	r->taken += sizeof(*t->entries) + r->key.len + value_len + 2;
	if (r->pass == TAKE)
		t->entries[n] = (struct toml_entry){
			.key = pool_copy(r->pool, key, r->key.len),
			.value = pool_copy(r->pool, value, value_len),
			.at = (unsigned)at,
			.len = (unsigned)len,
			.top = (unsigned)r->top,
			.statement = (unsigned)t->statement_count,
		};
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
	size_t at;

	if (peek(r) == '\n') {
		take(r);
		new_line(r);
	}
	for (;; before = last, last = c) {
		at = r->at;
		push_run(r, quote);
		if (r->at > at)
			last = 0;
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
	size_t at = r->from;

	cut(&r->value, 0);
	if (peek(r) != quote) {
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

/* A dot and at least four digits. */
static void
add_position(struct buf *key, unsigned n)
{
	char text[12], *at = text + sizeof(text);

	while (n || at > text + sizeof(text) - 4) {
		*--at = (char)('0' + n % 10);
		n /= 10;
	}
	*--at = '.';
	buf_add(key, at, (size_t)(text + sizeof(text) - at));
}

/* "[a, b]": keys with four digits. */
static int
read_array(struct reader *r, int nest)
{
	size_t base = r->key.len;
	unsigned position;
	int c;

	for (position = 0;; position++) {
		seek(r, true);
		add_position(&r->key, position);
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
static void
begin(struct reader *r, enum toml_kind kind)
{
	r->kept = false;
	r->now = (struct toml_statement){
		.kind = (unsigned)kind & 3,
		.start = (unsigned)r->line_start,
		.line = (unsigned)r->line,
	};
}

/* End it, and keep it at this index. */
static int
keep(struct reader *r, size_t index)
{
	r->taken += (index + 1 - r->out->statement_count) * sizeof(r->now);
	r->out->statement_count = index + 1;
	if (!r->table) {
		r->taken += r->table_name.len;
		r->table = r->pass == TAKE && r->table_name.len
		    ? pool_copy(r->pool, r->table_name.data, r->table_name.len)
		    : "";
	}
	if (r->pass != TAKE)
		return 0;
	r->now.end = (unsigned)r->at;
	r->now.table = r->table;
	r->out->statements[index] = r->now;
	return pool_check(r->pool, r->err);
}

static void
name_place(struct reader *r)
{
	struct toml_entry *e;

	r->taken += sizeof(*e) + r->row_key.len;
	if (r->pass != TAKE)
		return;
	e = &r->out->others[r->out->other_count - 1];
	e->key = pool_copy(r->pool, r->row_key.data, r->row_key.len);
	e->top = (unsigned)r->row_key.len;
}

/* The last key of a row is known when the row has ended. */
static void
end_row(struct reader *r)
{
	if (r->row > 1)
		name_place(r);
	r->row = 0;
}

/* Keep the place of a statement without an entry: of a row of them, of the first and the last. */
static int
keep_place(struct reader *r, enum toml_use use)
{
	struct toml *t = r->out;
	bool again;

	if (use == TOML_KEEP || use != r->row_use)
		end_row(r);
	r->row_use = use;
	again = r->row++ > 1;
	t->other_count += !again;
	cut(&r->row_key, 0);
	buf_add(&r->row_key, r->key.data, r->top);
	if (r->pass == TAKE) {
		struct toml_entry *e = &t->others[t->other_count - 1];

		e->value = "";
		e->statement = (unsigned)(t->statement_count - again);
	}
	if (r->row == 1)
		name_place(r);
	return r->row_key.failed ? err_memory(r->err) : keep(r, t->statement_count - again);
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
			add_position(&r->key, r->array_position);
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
	begin(r, TOML_TABLE);
	take(r);
	cut(&r->key, 0);
	if (read_table_name(r) == -1)
		return -1;
	if (r->key.data && memchr(r->key.data, '\0', r->key.len))
		return fail(r, "a NUL byte in a name");
	cut(&r->table_name, 0);
	buf_add(&r->table_name, r->key.data, r->key.len);
	if (!buf_text(&r->table_name))
		return err_memory(r->err);
	r->table = NULL;
	r->table_hash = hash(HASH_START, r->table_name.data, r->table_name.len);
	r->table_use = use_of(r, r->table_name.data);
	skip_line(r); /* the server ignores what follows the bracket */
	if (r->table_use != TOML_KEEP && r->has_header)
		return 0;
	r->has_header = true;
	end_row(r);
	return keep(r, r->out->statement_count);
}

static int
read_assignment(struct reader *r)
{
	enum toml_use use;

	begin(r, TOML_VALUE);
	cut(&r->key, 0);
	if (r->table_name.len) {
		buf_add(&r->key, r->table_name.data, r->table_name.len);
		buf_char(&r->key, '.');
	}
	if (read_key(r, false) == ERROR)
		return -1;
	r->top = r->key.len;
	if (read_value(r, "\n", 0) == ERROR)
		return -1;
	if (r->key.failed)
		return err_memory(r->err);
	if (r->kept) {
		end_row(r);
		return keep(r, r->out->statement_count);
	}
	cut(&r->key, r->top);
	use = use_of(r, r->key.data);
	if (use == TOML_KEEP || !r->table_name.len ||
	    (use == TOML_PLACE && r->table_use == TOML_KEEP))
		return keep_place(r, use);
	return 0;
}

static int
read_comment(struct reader *r)
{
	bool ours = r->at == r->line_start && r->len - r->at >= strlen(TOML_MARK) &&
	    !memcmp(r->text + r->at, TOML_MARK, strlen(TOML_MARK));

	if (ours)
		begin(r, TOML_COMMENT);
	skip_line(r);
	if (!ours)
		return 0;
	end_row(r);
	return keep(r, r->out->statement_count);
}

/* 0; or -1: it has to stop, or keeps too much. */
static int
check(struct reader *r)
{
	if (r->filter && r->taken > TOML_KEPT_MAX)
		return err_refuse(r->err, REFUSAL_TOO_MANY,
		    "config.toml has more settings than stalprep can look at, up to line %zu "
		    "(%.120s). Use --url without --boot-config.",
		    r->line, buf_text(&r->key));
	return pool_check(r->pool, r->err);
}

static int
read_all(struct reader *r)
{
	int c, failed = 0;

	while ((c = seek(r, false)) != END) {
		if (check(r) == -1)
			return -1;
		if (c == '[') {
			failed = read_table(r);
		} else if (c == '#') {
			failed = read_comment(r);
		} else if (c == '"' || (c < 0x80 && is_word(r, r->at))) {
			failed = read_assignment(r);
		} else {
			take(r);
			return unexpected(r, "at the start of a line");
		}
		if (failed)
			return -1;
	}
	end_row(r);
	return check(r);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct toml_entry *)a)->key, ((const struct toml_entry *)b)->key);
}

/* Sort the entries. A key that is given twice is an error, as in the server. */
static int
sort(struct toml *t, struct pool *pool, struct err *err)
{
	size_t i;

	pool_sort(pool, t->entries, t->entry_count, sizeof(*t->entries), compare);
	pool_sort(pool, t->others, t->other_count, sizeof(*t->others), compare);
	for (i = 1; i < t->entry_count && pool_check(pool, err) == 0; i++) {
		const struct toml_entry *a = &t->entries[i - 1], *b = &t->entries[i];

		if (!strcmp(a->key, b->key))
			return given_twice(err, a->key, t->statements[a->statement].line,
			    t->statements[b->statement].line);
	}
	return pool_check(pool, err);
}

/* Read the text from its start. */
static int
read_pass(struct reader *r, enum pass pass, const char *table, struct toml *out)
{
	r->pass = pass;
	r->out = out;
	r->at = r->from = r->line_start = 0;
	r->line = 1;
	r->row = r->taken = 0;
	r->has_header = false;
	r->table = NULL;
	r->table_hash = HASH_START;
	r->table_use = TOML_KEEP;
	cut(&r->table_name, 0);
	buf_str(&r->table_name, table);
	r->array[0] = '\0';
	r->array_position = 0;
	return r->table_name.failed ? err_memory(r->err) : read_all(r);
}

/* Room for what was counted. */
static int
make_room(struct reader *r)
{
	struct toml *t = r->out;

	t->statements = pool_zero(r->pool, (t->statement_count + 1) * sizeof(*t->statements));
	t->entries = pool_zero(r->pool, (t->entry_count + 1) * sizeof(*t->entries));
	t->others = pool_zero(r->pool, (t->other_count + 1) * sizeof(*t->others));
	t->statement_count = t->entry_count = t->other_count = t->dropped = 0;
	return pool_check(r->pool, r->err);
}

/* A table that is a quarter free, but no larger than the text. */
static int
make_hashes(struct reader *r, size_t count)
{
	struct twice *t = &r->twice;
	size_t n = TWICE_MIN;

	while (n < count + count / 3 && n * 2 * sizeof(*t->hashes) <= r->len)
		n *= 2;
	t->mask = n - 1;
	t->rounds = count / (n / 4 * 3) + 1;
	t->hashes = count ? calloc(n, sizeof(*t->hashes)) : NULL;
	return count && !t->hashes ? err_memory(r->err) : 0;
}

/* Take all. If keys are dropped, look in one round for each part of them. */
static int
take_all(struct reader *r, const char *table, struct toml *t)
{
	struct toml ignored = { 0 };
	size_t count = t->dropped;
	int failed;

	if (make_room(r) == -1 || make_hashes(r, count) == -1)
		return -1;
	failed = read_pass(r, TAKE, table, t);
	while (!failed && !r->twice.found && ++r->twice.round < r->twice.rounds) {
		memset(r->twice.hashes, 0, (r->twice.mask + 1) * sizeof(*r->twice.hashes));
		failed = read_pass(r, LOOK_ONLY, table, &ignored);
	}
	free(r->twice.hashes);
	r->twice.hashes = NULL;
	if (!failed && r->twice.found)
		failed = read_pass(r, LOOK_ONLY, table, &ignored);
	return failed;
}

static int
read_text(struct toml *t, struct pool *pool, const struct toml_filter *filter, const char *table,
    const char *text, size_t len, bool old_keys, struct err *err)
{
	struct reader r = { .text = text, .len = len, .old_keys = old_keys, .pool = pool };
	size_t i, n;
	int failed;

	r.err = err;
	r.filter = filter;
	memset(t, 0, sizeof(*t));
	for (i = 0; i < len; i += n) {
		n = (unsigned char)text[i] < 0x80 ? 1 : utf8_length(text + i, len - i);
		if (!n) {
			t->no_utf8 = true;
			return 0;
		}
	}
	failed = read_pass(&r, COUNT_ALL, table, t) == -1 || take_all(&r, table, t) == -1;
	buf_free(&r.key);
	buf_free(&r.value);
	buf_free(&r.table_name);
	buf_free(&r.row_key);
	buf_free(&r.twice.key);
	if (failed)
		memset(t, 0, sizeof(*t));
	return failed ? -1 : sort(t, pool, err);
}

int
toml_read(struct toml *t, struct pool *pool, const char *table, const char *text, size_t len,
    bool old_keys, struct err *err)
{
	return read_text(t, pool, NULL, table, text, len, old_keys, err);
}

int
toml_read_some(struct toml *t, struct pool *pool, const struct toml_filter *filter,
    const char *table, const char *text, size_t len, bool old_keys, struct err *err)
{
	return read_text(t, pool, filter, table, text, len, old_keys, err);
}

const struct toml_entry *
toml_find(const struct toml *t, const char *key)
{
	size_t i = sorted_index(t->entries, t->entry_count, sizeof(*t->entries), key);

	return i != SORTED_NONE ? &t->entries[i] : NULL;
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
