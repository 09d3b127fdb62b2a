#include "format/json.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/utf8.h"

#include <cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	REST_MAX = 4096, /* bytes of a document around the object that is taken */
	TREE_RATIO = 6   /* bytes of a tree for one of its text, where most members are short */
};

/* The text that is scanned before cJSON parses it. */
struct scan {
	const char *text;
	size_t len, pos;
	unsigned depth;
};

/*
 * What cJSON allocates comes from one pool, which is wiped and freed with the last piece: answers
 * may hold secrets, and thousands of small pieces would take a page of memory each now and then.
 */
static struct pool pieces;
static size_t pieces_in_use;

/* cJSON does not say why it fails. */
static bool no_memory;

static void *
piece_new(size_t n)
{
	void *piece = pool_zero(&pieces, n);

	pieces_in_use += piece != NULL;
	no_memory |= !piece;
	return piece;
}

static void
piece_free(void *piece)
{
	if (piece && !--pieces_in_use)
		pool_free(&pieces);
}

static void
use_pieces(void)
{
	cJSON_Hooks hooks = { piece_new, piece_free };

	cJSON_InitHooks(&hooks);
	no_memory = false;
	pieces.expect = 0;
}

static int
bad(struct err *err, const char *why)
{
	return err_set(err, ERR_SERVER, "unexpected JSON: %s", why);
}

/* \uXXXX at pos: its code unit, or -1. */
static long
hex4(const struct scan *s, size_t pos)
{
	long value = 0;
	size_t i;

	if (s->len - pos < 4)
		return -1;
	for (i = 0; i < 4; i++) {
		char c = s->text[pos + i];
		int digit = c >= '0' && c <= '9' ? c - '0'
		    : c >= 'a' && c <= 'f'       ? c - 'a' + 10
		    : c >= 'A' && c <= 'F'       ? c - 'A' + 10
						 : -1;

		if (digit == -1)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

/* After a backslash. A NUL or half a surrogate pair can't be in the server's keys or values. */
static int
scan_escape(struct scan *s, struct err *err)
{
	char c = s->pos < s->len ? s->text[s->pos] : '\0';
	long unit;

	if (c && strchr("\"\\/bfnrt", c)) {
		s->pos++;
		return 0;
	}
	unit = c == 'u' ? hex4(s, s->pos + 1) : -1;
	if (unit <= 0 || (unit >= 0xdc00 && unit <= 0xdfff))
		return bad(err, unit == 0 ? "a NUL in a string" : "a bad escape in a string");
	s->pos += 5;
	if (unit < 0xd800 || unit > 0xdbff)
		return 0;
	if (s->len - s->pos < 6 || s->text[s->pos] != '\\' || s->text[s->pos + 1] != 'u')
		return bad(err, "half a surrogate pair");
	unit = hex4(s, s->pos + 2);
	if (unit < 0xdc00 || unit > 0xdfff)
		return bad(err, "half a surrogate pair");
	s->pos += 6;
	return 0;
}

/* A string, after its opening quote. Most bytes are plain ASCII: those are passed quickly. */
static int
scan_string(struct scan *s, struct err *err)
{
	const char *p = s->text + s->pos, *end = s->text + s->len;

	for (;; p = s->text + s->pos) {
		size_t n;

		for (; p < end && *p >= ' ' && *p <= '~' && *p != '"' && *p != '\\'; p++)
			;
		s->pos = (size_t)(p - s->text);
		if (p == end)
			return bad(err, "it ends inside a string");
		if (*p == '"') {
			s->pos++;
			return 0;
		}
		if ((unsigned char)*p < ' ')
			return bad(err, "a control byte in a string");
		if (*p == '\\') {
			s->pos++;
			if (scan_escape(s, err) == -1)
				return -1;
			continue;
		}
		n = utf8_length(p, s->len - s->pos);
		if (!n)
			return bad(err, "bytes that are not UTF-8");
		s->pos += n;
	}
}

static size_t
scan_digits(struct scan *s)
{
	size_t from = s->pos;

	while (s->pos < s->len && s->text[s->pos] >= '0' && s->text[s->pos] <= '9')
		s->pos++;
	return s->pos - from;
}

/* A number by RFC 8259, section 6: cJSON would accept more. */
static int
scan_number(struct scan *s, struct err *err)
{
	size_t from = s->pos, digits;
	bool zero;

	if (s->text[s->pos] == '-')
		s->pos++;
	zero = s->pos < s->len && s->text[s->pos] == '0';
	digits = scan_digits(s);
	if (!digits || (zero && digits > 1))
		return bad(err, "a malformed number");
	if (s->pos < s->len && s->text[s->pos] == '.') {
		s->pos++;
		if (!scan_digits(s))
			return bad(err, "a malformed number");
	}
	if (s->pos < s->len && (s->text[s->pos] == 'e' || s->text[s->pos] == 'E')) {
		s->pos++;
		if (s->pos < s->len && (s->text[s->pos] == '+' || s->text[s->pos] == '-'))
			s->pos++;
		if (!scan_digits(s))
			return bad(err, "a malformed number");
	}
	if (s->pos - from > JSON_NUMBER_MAX)
		return bad(err, "a number that is too long");
	return 0;
}

/*
 * Check tokens and nesting, up to the end of a value at the depth where it begins; or of the text,
 * if whole. cJSON checks where commas and colons are.
 */
static int
scan(struct scan *s, bool whole, struct err *err)
{
	unsigned depth = s->depth;

	while (s->pos < s->len) {
		char c = s->text[s->pos];

		if (c == '-' || (c >= '0' && c <= '9')) {
			if (scan_number(s, err) == -1)
				return -1;
			continue;
		}
		if (!whole && s->depth == depth && (c == ',' || c == '}'))
			return 0;
		s->pos++;
		if (c == '"') {
			if (scan_string(s, err) == -1)
				return -1;
		} else if (c == '{' || c == '[') {
			if (++s->depth > JSON_DEPTH_MAX)
				return bad(err, "nested too deep");
		} else if (c == '}' || c == ']') {
			if (!s->depth--)
				return bad(err, "a bracket too many");
		} else if (!c || !strchr(" \t\n\r,:truefalsn", c)) {
			return bad(err, "an unexpected byte");
		}
	}
	return s->depth ? bad(err, "it ends too early") : 0;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * No object in j may name a member twice. Names are sorted first: there may be thousands of
 * settings.
 */
static int
check_names(const cJSON *j, struct err *err)
{
	const cJSON *child;
	const char **names;
	size_t n = 0, i;
	int r = 0;

	for (child = j->child; child; child = child->next) {
		n++;
		if (check_names(child, err) == -1)
			return -1;
	}
	if (!cJSON_IsObject(j) || n < 2)
		return 0;
	names = calloc(n, sizeof(*names));
	if (!names)
		return err_memory(err);
	for (child = j->child, i = 0; child; child = child->next)
		names[i++] = child->string;
	qsort(names, n, sizeof(*names), compare_names);
	for (i = 1; i < n && r == 0; i++) {
		if (!strcmp(names[i - 1], names[i]))
			r = bad(err, "a member is given twice");
	}
	free(names);
	return r;
}

int
json_parse(struct json **out, const char *text, size_t len, struct err *err)
{
	struct scan s = { text, len, 0, 0 };
	const char *end = NULL;
	cJSON *doc;

	*out = NULL;
	if (len > JSON_MAX)
		return bad(err, "too long");
	if (scan(&s, true, err) == -1)
		return -1;
	use_pieces();
	pieces.expect = TREE_RATIO * len;
	doc = cJSON_ParseWithLengthOpts(text, len, &end, 0);
	if (!doc)
		return no_memory ? err_memory(err) : bad(err, "a syntax error");
	while (end < text + len && *end && strchr(" \t\r\n", *end))
		end++;
	if (end != text + len || check_names(doc, err) == -1) {
		cJSON_Delete(doc);
		return end != text + len ? bad(err, "something follows the document") : -1;
	}
	*out = (struct json *)doc;
	return 0;
}

void
json_free(struct json *doc)
{
	cJSON_Delete((cJSON *)doc);
}

static void
skip_blanks(struct scan *s)
{
	while (s->pos < s->len && strchr(" \t\r\n", s->text[s->pos]) && s->text[s->pos])
		s->pos++;
}

/* Is this the next byte that is not blank? It is passed then. */
static bool
next_is(struct scan *s, char c)
{
	skip_blanks(s);
	if (s->pos == s->len || s->text[s->pos] != c)
		return false;
	s->pos++;
	return true;
}

/*
 * A string, decoded where it stands, since what it means is never longer than how it is written.
 * Its end becomes a NUL. NULL with err.
 */
static char *
take_string(struct scan *s, char *text, struct err *err)
{
	cJSON *decoded;
	char *from;
	size_t len;

	if (!next_is(s, '"')) {
		bad(err, "a syntax error");
		return NULL;
	}
	from = text + s->pos;
	if (scan_string(s, err) == -1)
		return NULL;
	len = (size_t)(text + s->pos - 1 - from);
	if (!memchr(from, '\\', len)) {
		from[len] = '\0';
		return from;
	}
	decoded = cJSON_ParseWithLength(from - 1, len + 2);
	if (!decoded) {
		err_memory(err);
		return NULL;
	}
	memcpy(from, decoded->valuestring, strlen(decoded->valuestring) + 1);
	cJSON_Delete(decoded);
	return from;
}

/* Go to the object that is the member `name` of the one that begins here. False: there is none. */
static bool
find_object(struct scan *s, const char *name)
{
	size_t from, len = strlen(name);

	if (!next_is(s, '{'))
		return false;
	do {
		if (!next_is(s, '"'))
			return false;
		from = s->pos;
		if (scan_string(s, NULL) == -1)
			return false;
		if (s->pos - 1 - from == len && !memcmp(s->text + from, name, len) &&
		    next_is(s, ':')) {
			skip_blanks(s);
			return s->pos < s->len && s->text[s->pos] == '{';
		}
		if (scan(s, false, NULL) == -1)
			return false;
	} while (next_is(s, ','));
	return false;
}

/* All members of the object that begins here. */
static int
take_members(struct scan *s, char *text, json_taker *take, void *ctx, struct err *err)
{
	char *name, *value;

	if (next_is(s, '}'))
		return 0;
	do {
		name = take_string(s, text, err);
		if (!name)
			return -1;
		if (!next_is(s, ':'))
			return bad(err, "a syntax error");
		skip_blanks(s);
		if (s->pos == s->len || text[s->pos] != '"')
			return bad(err, "a member that is not text");
		value = take_string(s, text, err);
		if (!value || take(ctx, name, value, err) == -1)
			return -1;
	} while (next_is(s, ','));
	return next_is(s, '}') ? 0 : bad(err, "a syntax error");
}

int
json_take(struct json **rest, char *text, size_t len, const char *const *path, json_taker *take,
    void *ctx, struct err *err)
{
	struct scan s = { text, len, 0, 0 };
	char around[REST_MAX];
	size_t from;

	*rest = NULL;
	use_pieces();
	for (; *path; path++) {
		if (!find_object(&s, *path))
			return len > REST_MAX ? bad(err, "too long")
					      : json_parse(rest, text, len, err);
	}
	from = ++s.pos;
	if (take_members(&s, text, take, ctx, err) == -1)
		return -1;
	s.pos--;
	if (from + len - s.pos > sizeof(around))
		return bad(err, "too much besides the settings");
	memcpy(around, text, from);
	memcpy(around + from, text + s.pos, len - s.pos);
	return json_parse(rest, around, from + len - s.pos, err);
}

static const cJSON *
node(const struct json *j)
{
	return (const cJSON *)j;
}

const struct json *
json_member(const struct json *j, const char *name)
{
	return json_is_object(j)
	    ? (const struct json *)cJSON_GetObjectItemCaseSensitive(node(j), name)
	    : NULL;
}

const struct json *
json_first(const struct json *j)
{
	return j ? (const struct json *)node(j)->child : NULL;
}

const struct json *
json_next(const struct json *j)
{
	return (const struct json *)node(j)->next;
}

const char *
json_name(const struct json *j)
{
	return node(j)->string;
}

const char *
json_string(const struct json *j)
{
	return cJSON_IsString(node(j)) ? node(j)->valuestring : NULL;
}

double
json_number(const char *text, char **end)
{
	struct scan s = { text, strlen(text), 0, 0 };
	double number = 0; /* exact up to 2^53; json_integer takes no more */
	size_t i;

	(void)scan_number(&s, NULL); /* it has passed before */
	for (i = *text == '-'; i < s.pos; i++)
		number = text[i] >= '0' && text[i] <= '9' ? number * 10 + (text[i] - '0')
							  : HUGE_VAL;
	*end = strchr(text + s.pos, text[s.pos]);
	return *text == '-' ? -number : number;
}

bool
json_integer(const struct json *j, long long *value)
{
	double d;

	if (!cJSON_IsNumber(node(j)))
		return false;
	d = node(j)->valuedouble;
	if (!(d >= -9007199254740992.0 && d <= 9007199254740992.0))
		return false;
	*value = (long long)d;
	return (double)*value == d;
}

bool
json_is_null(const struct json *j)
{
	return cJSON_IsNull(node(j));
}

bool
json_is_object(const struct json *j)
{
	return cJSON_IsObject(node(j));
}

bool
json_is_array(const struct json *j)
{
	return cJSON_IsArray(node(j));
}

bool
json_is_bool(const struct json *j, bool *value)
{
	*value = cJSON_IsTrue(node(j));
	return cJSON_IsBool(node(j));
}

void
json_quote(struct buf *out, const char *text)
{
	size_t len, n;

	if (!text) {
		buf_str(out, "null");
		return;
	}
	buf_char(out, '"');
	for (len = strlen(text); len; text += n, len -= n) {
		n = utf8_length(text, len);
		if (!n) {
			buf_str(out, "\xef\xbf\xbd");
			n = 1;
		} else if (*text == '"' || *text == '\\') {
			buf_char(out, '\\');
			buf_char(out, *text);
		} else if ((unsigned char)*text < ' ' || *text == 0x7f) {
			buf_printf(out, "\\u%04x", (unsigned)*text);
		} else {
			buf_add(out, text, n);
		}
	}
	buf_char(out, '"');
}
