#include "settings/localkeys.h"

#include "base/utf8.h"
#include "settings/settings.h"

#include <ctype.h>
#include <string.h>

static const char PATTERNS[] = "config.local-keys";

/*
 * The patterns that count where config.local-keys is empty. first and last: the minor versions that
 * have the pattern.
 */
static const struct {
	const char *pattern;
	int first, last;
} defaults[] = {
	{ "store.*", 0, 99 },
	{ "directory.*", 0, 99 },
	{ "tracer.*", 0, 99 },
	{ "!server.blocked-ip.*", 0, 99 },
	{ "!server.allowed-ip.*", 0, 99 },
	{ "server.*", 0, 99 },
	{ "certificate.*", 0, 99 },
	{ "config.local-keys.*", 0, 99 },
	{ "authentication.fallback-admin.*", 0, 99 },
	{ "!cluster.key", 0, 11 },
	{ "cluster.*", 0, 99 },
	{ "storage.data", 0, 99 },
	{ "storage.blob", 0, 99 },
	{ "storage.lookup", 0, 99 },
	{ "storage.fts", 0, 99 },
	{ "storage.directory", 0, 99 },
	{ "lookup.default.hostname", 9, 10 },
	{ "enterprise.license-key", 0, 99 },
};

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* One step of the pattern, as the server compiles it. A backslash escapes the next character. */
static size_t
glob_step(const char *p, size_t len, char *what)
{
	size_t skip = *p == '\\' && len > 1;

	*what = skip ? 'c' : *p == '*' ? '*' : *p == '?' ? '?' : 'c';
	return skip;
}

/* The server's glob with stars in the middle: any run of characters, ? for one. */
static bool
glob(const char *p, size_t plen, const char *key)
{
	size_t len = strlen(key), pi = 0, ki = 0, star_p = 0, star_k = 0;
	bool star = false;

	while (pi < plen || ki < len) {
		char what = 0;
		size_t skip = pi < plen ? glob_step(p + pi, plen - pi, &what) : 0;

		if (what == '*') {
			star = true;
			star_p = pi++;
			star_k = ki;
			continue;
		}
		if (what == '?' && ki < len) {
			size_t n = utf8_length(key + ki, len - ki);

			pi++;
			ki += n ? n : 1;
			continue;
		}
		if (what == 'c' && ki < len && key[ki] == lower(p[pi + skip])) {
			pi += skip + 1;
			ki++;
			continue;
		}
		if (!star || star_k >= len)
			return false;
		skip = utf8_length(key + star_k, len - star_k);
		ki = star_k += skip ? skip : 1;
		pi = star_p + 1;
	}
	return true;
}

/* Does the key begin with len bytes of the pattern? */
static bool
begins(const char *key, const char *pattern, size_t len)
{
	size_t i;

	for (i = 0; i < len && key[i] == lower(pattern[i]); i++)
		;
	return i == len;
}

/* One pattern, without its "!". It is compared in lower case. */
static bool
match_one(const char *pattern, size_t len, const char *key)
{
	size_t klen;

	if (pattern[len - 1] == '*')
		return begins(key, pattern, len - 1);
	if (*pattern == '*') {
		klen = strlen(key);
		return klen >= len - 1 && begins(key + klen - (len - 1), pattern + 1, len - 1);
	}
	if (memchr(pattern, '*', len))
		return glob(pattern, len, key);
	return begins(key, pattern, len) && !key[len];
}

/* 1: included; -1: excluded; 0: no match. *any becomes true when text is a pattern at all. */
static int
apply(const char *text, const char *key, bool *any)
{
	size_t len;
	bool exclude;

	while (isspace((unsigned char)*text))
		text++;
	exclude = *text == '!';
	text += exclude;
	while (isspace((unsigned char)*text))
		text++;
	if (!*text)
		return 0;
	*any = true;
	if (isalpha((unsigned char)*text) && lower(*text) != *key)
		return 0; /* as with most keys */
	for (len = strlen(text); isspace((unsigned char)text[len - 1]); len--)
		;
	if (!match_one(text, len, key))
		return 0;
	return exclude ? -1 : 1;
}

static bool
match_defaults(int minor, const char *key)
{
	bool local = false, any;
	size_t i;
	int r;

	for (i = 0; i < COUNT(defaults); i++) {
		if (minor < defaults[i].first || minor > defaults[i].last)
			continue;
		r = apply(defaults[i].pattern, key, &any);
		if (r == -1)
			return false;
		local |= r == 1;
	}
	return local;
}

bool
localkeys_match(const struct settings *s, int minor, const char *key)
{
	bool local = false, any = false;
	size_t i;
	int r;

	for (i = settings_first(s, PATTERNS); settings_below(s, i, PATTERNS); i++) {
		r = apply(s->items[i].value, key, &any);
		if (r == -1)
			return false;
		local |= r == 1;
	}
	if (!any)
		return match_defaults(minor, key);
	return local ||
	    (minor >= 13 && !strncmp(key, "config.local-keys.", strlen("config.local-keys.")));
}
