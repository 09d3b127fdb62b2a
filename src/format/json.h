/* json.h - JSON texts: scanned, parsed by cJSON, read; and strings quoted for writing */
#ifndef JSON_H
#define JSON_H

#include "base/def.h"

#include <stdbool.h>

struct buf;
struct err;
struct json; /* a value inside a document; opaque */

enum {
	JSON_MAX = 16 * 1024 * 1024, /* longest text in bytes */
	JSON_DEPTH_MAX = 32,         /* deepest nesting */
	/* longest number in bytes (cJSON's buffer, CVE-2023-26819) */
	JSON_NUMBER_MAX = 63
};

/*
 * Parse one document of len bytes. Refused: what RFC 8259 refuses, and also a NUL in any
 * spelling, bytes that are not UTF-8, anything after the document, and an object that names a
 * member twice. 0 with *out for json_free; -1 with err (kind ERR_SERVER; the text is not quoted).
 */
int json_parse(struct json **out, const char *text, size_t len, struct err *err) WARN_UNUSED;

/*
 * Take the members of one object out of a document, however large it is: they are decoded in text,
 * one after another, with no tree in between. path: the names that lead to the object, from the
 * outermost one on, ended by NULL. `take` gets each member, whose strings live as long as text; -1
 * with err ends it. Members that are no strings are an error; one that is given twice is the
 * taker's to find. *rest is the document without them, of at most 4 KiB, by the rules of
 * json_parse; so is a document that has no such object. 0, or -1 with err.
 */
typedef int json_taker(void *ctx, const char *name, const char *value, struct err *err);
int json_take(struct json **rest, char *text, size_t len, const char *const *path, json_taker *take,
    void *ctx, struct err *err) WARN_UNUSED;

/* Wipe and free a document. NULL is allowed. */
void json_free(struct json *doc);

/* The member of that exact name, or NULL (also when j is NULL or not an object). */
const struct json *json_member(const struct json *j, const char *name);

/* The first element or member of an array or object, and the next one; NULL at the end. */
const struct json *json_first(const struct json *j);
const struct json *json_next(const struct json *j);

/* The name of a member, or NULL for an array's element. Lives as long as the document. */
const char *json_name(const struct json *j);

/* The string, or NULL when j is not one. Lives as long as the document. */
const char *json_string(const struct json *j);

/*
 * Our cJSON is built with this in place of strtod (third_party/build.sh), which is 5 KB. With a
 * distribution's own, json_integer takes 1e2 and 1.0 too.
 */
double json_number(const char *text, char **end);

/* The whole number in *value, when j is one within ±2^53, without a fraction or an exponent. */
bool json_integer(const struct json *j, long long *value);

bool json_is_null(const struct json *j);
bool json_is_object(const struct json *j);
bool json_is_array(const struct json *j);
bool json_is_bool(const struct json *j, bool *value);

/*
 * Append text as a JSON string with its quotes; NULL becomes null. Bytes that are not UTF-8
 * become U+FFFD.
 */
void json_quote(struct buf *out, const char *text);

#endif
