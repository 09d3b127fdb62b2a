#include "format/rewrite.h"

#include <stdbool.h>
#include <string.h>

enum { LONG_VALUE = 50, LOOSE_KEYS_SINCE = 13 };

static bool
is_alnum(char c)
{
	return (unsigned)((c | 0x20) - 'a') < 26 || (unsigned)(c - '0') < 10;
}

/*
 * A line must begin with a letter or a digit. Up to 0.12 only a few other characters may follow;
 * later all may but those that end or quote a key.
 */
static enum rewrite
fate_of_key(int minor, const char *key)
{
	enum rewrite fate = REWRITE_KEEPS;
	const char *p;

	if (*key == '#')
		return REWRITE_CHANGES; /* a comment: it is lost */
	if (!is_alnum(*key))
		return REWRITE_BREAKS;
	for (p = key; *p; p++) {
		if (is_alnum(*p) || strchr("._-", *p))
			continue;
		if (*p == ' ' || *p == '\t' || *p == '\r')
			fate = REWRITE_CHANGES; /* dropped */
		else if (minor < LOOSE_KEYS_SINCE || strchr("=\"\n", *p))
			return REWRITE_BREAKS;
	}
	return fate;
}

/*
 * Between three single quotes nothing is escaped. Each CR and a first LF are dropped; three quotes
 * end the value.
 */
static enum rewrite
fate_of_raw(const char *value)
{
	unsigned quotes = 0;
	const char *p;

	for (p = value; *p && quotes < 3; p++)
		quotes = *p == '\'' ? quotes + 1 : *p == '\r' ? quotes : 0;
	if (quotes)
		return REWRITE_BREAKS;
	return *value == '\n' || strchr(value, '\r') ? REWRITE_CHANGES : REWRITE_KEEPS;
}

/*
 * Within double quotes a backslash and a quote get a backslash in front. But the reader takes an
 * escaped backslash for the start of the next escape, so what follows it decides.
 */
static enum rewrite
fate_of_quoted(const char *value)
{
	enum rewrite fate = REWRITE_KEEPS;
	const char *p;

	for (p = value; *p; p++) {
		if (*p == '\r')
			fate = REWRITE_CHANGES;
		if (*p != '\\')
			continue;
		if (!p[1 + strspn(p + 1, "\r")])
			return REWRITE_BREAKS; /* the closing quote looks escaped */
		if (strchr("ntr\\\"", p[1]))
			fate = REWRITE_CHANGES;
	}
	return fate;
}

enum rewrite
rewrite_fate(int minor, const char *key, const char *value)
{
	size_t len = strlen(value);
	bool special = strpbrk(value, "\"\\") != NULL;
	enum rewrite a = fate_of_key(minor, key), b;

	if (*key == '#' && (strchr(key, '\n') || strchr(value, '\n')))
		return REWRITE_BREAKS; /* only its first line is a comment */
	b = strchr(value, '\n') || (len > LONG_VALUE && special) ? fate_of_raw(value)
								 : fate_of_quoted(value);
	return a > b ? a : b;
}
