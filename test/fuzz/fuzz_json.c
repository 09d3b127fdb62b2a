/*
 * fuzz_json.c - JSON: what is accepted is clean, and reads the same once it was written; quoted
 * strings come back
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "format/json.h"

enum { EXACT_DIGITS = 15 }; /* whole numbers of so many digits are exact in a double */

static void
check_text(const char *text)
{
	size_t len = strlen(text), n;

	for (; len; text += n, len -= n) {
		n = utf8_length(text, len);
		CHECK(n, "a string that is no UTF-8");
	}
}

static void
check_once(const struct json *object, const struct json *member)
{
	const char *name = json_name(member);
	const struct json *j;
	unsigned count = 0;

	check_text(name);
	CHECK(json_member(object, name) == member, "the member \"%s\" is not found", name);
	for (j = json_first(object); j; j = json_next(j))
		count += !strcmp(json_name(j), name);
	CHECK(count == 1, "the member \"%s\" is there %u times", name, count);
}

/*
 * Write a value, checking all of it. Numbers that are not whole become null: nothing here reads
 * them.
 */
static void
write_value(struct buf *out, const struct json *j, unsigned depth)
{
	const char *before = "";
	const struct json *child;
	long long number;
	bool truth;

	CHECK(depth <= JSON_DEPTH_MAX, "nested deeper than is taken");
	if (json_string(j)) {
		check_text(json_string(j));
		json_quote(out, json_string(j));
	} else if (json_is_bool(j, &truth)) {
		buf_str(out, truth ? "true" : "false");
	} else if (json_integer(j, &number)) {
		buf_printf(out, "%lld", number);
	} else if (json_is_object(j) || json_is_array(j)) {
		buf_char(out, json_is_object(j) ? '{' : '[');
		for (child = json_first(j); child; child = json_next(child)) {
			buf_str(out, before);
			before = ",";
			if (json_is_object(j)) {
				check_once(j, child);
				json_quote(out, json_name(child));
				buf_char(out, ':');
			}
			write_value(out, child, depth + 1);
		}
		buf_char(out, json_is_object(j) ? '}' : ']');
	} else {
		buf_str(out, "null");
	}
}

/* Parse a text of our own, which must work. */
static struct json *
parse(const char *text, size_t len)
{
	struct json *doc;
	struct err err;

	CHECK(json_parse(&doc, text, len, &err) == 0, "%.*s: %s", (int)len, text, err.text);
	return doc;
}

static void
check_document(const char *text, size_t len)
{
	struct buf once = { 0 }, twice = { 0 };
	struct json *doc;
	struct err err;

	if (json_parse(&doc, text, len, &err) == -1) {
		CHECK(!doc, "a failure that leaves a document");
		check_err(&err);
		return;
	}
	write_value(&once, doc, 0);
	json_free(doc);
	doc = parse(once.data, once.len);
	write_value(&twice, doc, 0);
	json_free(doc);
	CHECK(once.len == twice.len && !memcmp(once.data, twice.data, once.len), "%s, then %s",
	    once.data, twice.data);
	buf_free(&once);
	buf_free(&twice);
}

/* The members that were taken, as a document. */
static int
write_taken(void *ctx, const char *name, const char *value, struct err *err)
{
	struct buf *out = ctx;

	(void)err;
	buf_str(out, out->len > 1 ? "," : "");
	json_quote(out, name);
	buf_char(out, ':');
	json_quote(out, value);
	return 0;
}

static void
check_same(const struct json *data, const char *taken, size_t len)
{
	struct json *doc = parse(taken, len);
	const struct json *a = json_first(data), *b = json_first(doc);

	for (; a && b; a = json_next(a), b = json_next(b))
		CHECK(same_text(json_name(a), json_name(b)) &&
			same_text(json_string(a), json_string(b)),
		    "%s", taken);
	CHECK(!a && !b, "%s", taken);
	json_free(doc);
}

/*
 * What is taken out of a document is what a tree of it has; what has no tree is not taken, but for
 * members that are given twice.
 */
static void
check_take(const char *text, size_t len)
{
	static const char *const path[] = { "data", NULL };
	char *copy = text_of((const uint8_t *)text, len);
	struct json *rest, *doc = NULL;
	struct buf taken = { 0 };
	const struct json *data;
	struct err err, why;
	int r;

	buf_char(&taken, '{');
	r = json_take(&rest, copy, len, path, write_taken, &taken, &err);
	buf_char(&taken, '}');
	if (json_parse(&doc, text, len, &why) == -1)
		CHECK(r == -1 || strstr(why.text, "twice"), "%s, and not: %s", text, why.text);
	else if (r == -1)
		CHECK(strstr(err.text, "not text") || strstr(err.text, "too"), "%s: %s", text,
		    err.text);
	data = json_member(doc, "data");
	if (r == 0 && doc && json_is_object(data) && !json_first(json_member(rest, "data")))
		check_same(data, taken.data, taken.len);
	json_free(doc);
	json_free(rest);
	buf_free(&taken);
	free(copy);
}

/* Any string, quoted, is what comes back; U+FFFD stands for each byte that is no UTF-8. */
static void
check_quote(const char *text)
{
	struct buf quoted = { 0 }, wanted = { 0 };
	size_t len = strlen(text), n, i;
	struct json *doc;

	for (i = 0; i < len; i += n ? n : 1) {
		n = utf8_length(text + i, len - i);
		buf_add(&wanted, n ? text + i : "\xef\xbf\xbd", n ? n : 3);
	}
	json_quote(&quoted, text);
	doc = parse(quoted.data, quoted.len);
	CHECK(same_text(json_string(doc), buf_text(&wanted)), "%s is not %s", json_string(doc),
	    buf_text(&wanted));
	json_free(doc);
	buf_free(&quoted);
	buf_free(&wanted);
}

/* A whole number is read exactly. */
static void
check_number(const char *text)
{
	size_t digits = strspn(text + (*text == '-'), "0123456789");
	const char *first = text + (*text == '-');
	struct json *doc;
	long long value;

	if (!digits || first[digits] || digits > EXACT_DIGITS || (digits > 1 && *first == '0'))
		return;
	doc = parse(text, strlen(text));
	CHECK(json_integer(doc, &value) && value == strtoll(text, NULL, 10), "%s is read as %lld",
	    text, value);
	json_free(doc);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size);

	check_document(text, size);
	check_take(text, size);
	check_quote(text);
	check_number(text);
	free(text);
	return 0;
}
