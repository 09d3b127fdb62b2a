/*
 * fuzz_localkeys.c - local keys: the key, then a pattern a line; held against the rules written
 * down a second time
 */
#include "fuzz.h"

#include "base/pool.h"
#include "base/utf8.h"
#include "settings/localkeys.h"
#include "settings/settings.h"

#include <ctype.h>

enum { TEXT_MAX = 64, PATTERNS_MAX = 16 };

/* One pattern, trimmed and lower-cased, and one key, as characters. */
struct match {
	const char *p[TEXT_MAX], *k[TEXT_MAX];
	size_t p_len[TEXT_MAX], k_len[TEXT_MAX];
	size_t ps, ks;
	unsigned char seen[TEXT_MAX + 1][TEXT_MAX + 1]; /* known not to match from here */
};

static size_t
split(const char *text, const char **at, size_t *len)
{
	size_t left = strlen(text), count = 0, n;

	for (; left; text += n, left -= n) {
		n = utf8_length(text, left);
		n = n ? n : 1;
		at[count] = text;
		len[count++] = n;
	}
	return count;
}

/* Does the pattern from p on match the key from k on? */
static bool
glob(struct match *m, size_t p, size_t k)
{
	size_t step = 1, at = p;

	if (p == m->ps)
		return k == m->ks;
	if (m->seen[p][k]++)
		return false;
	if (*m->p[p] == '*')
		return glob(m, p + 1, k) || (k < m->ks && glob(m, p, k + 1));
	if (k == m->ks)
		return false;
	if (*m->p[p] == '?')
		return glob(m, p + 1, k + 1);
	if (*m->p[p] == '\\' && p + 1 < m->ps) {
		at = p + 1;
		step = 2;
	}
	return m->p_len[at] == m->k_len[k] && !memcmp(m->p[at], m->k[k], m->k_len[k]) &&
	    glob(m, p + step, k + 1);
}

/* The server's keys and values are UTF-8 (JSON); what else may stand there need only do no harm. */
static bool
is_utf8(const char *text)
{
	size_t left = strlen(text), n;

	for (; left; text += n, left -= n) {
		n = utf8_length(text, left);
		if (!n)
			return false;
	}
	return true;
}

static bool
match(const char *pattern, const char *key)
{
	size_t len = strlen(pattern), key_len = strlen(key);
	static struct match m;

	if (pattern[len - 1] == '*')
		return !strncmp(pattern, key, len - 1);
	if (pattern[0] == '*')
		return key_len >= len - 1 && !strcmp(key + key_len - (len - 1), pattern + 1);
	if (!strchr(pattern, '*'))
		return !strcmp(pattern, key);
	memset(&m, 0, sizeof(m));
	m.ps = split(pattern, m.p, m.p_len);
	m.ks = split(key, m.k, m.k_len);
	return glob(&m, 0, 0);
}

static char *
trim(char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	for (len = strlen(text); len && isspace((unsigned char)text[len - 1]); len--)
		text[len - 1] = '\0';
	return text;
}

/* What one pattern adds: an exclusion that matches outranks all. */
static void
apply(char *text, const char *key, bool *any, bool *in, bool *out)
{
	char *p = trim(text), *c;
	bool exclude = *p == '!';

	p = trim(p + exclude);
	if (!*p)
		return;
	*any = true;
	for (c = p; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
	if (match(p, key))
		*(exclude ? out : in) = true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	char *key = input_until(&in, '\n');
	bool any = false, included = false, excluded = false,
	     clean = is_utf8(key) && strlen(key) < TEXT_MAX, wanted;
	struct settings s = { 0 };
	struct pool pool = { 0 };
	unsigned i;
	int minor;

	for (i = 0; in.len && i < PATTERNS_MAX; i++) {
		char *pattern = input_until(&in, '\n');

		if (strlen(pattern) < TEXT_MAX) {
			const char *name = pool_printf(&pool, "config.local-keys.%04u", i);

			settings_add(&s, &pool, name, pool_str(&pool, pattern));
			clean &= is_utf8(pattern);
			apply(pattern, clean ? key : "", &any, &included, &excluded);
		}
		free(pattern);
	}
	CHECK(settings_sort(&s, NULL) == 0, "a key is there twice");
	for (minor = 8; minor <= 15; minor++) {
		wanted = !excluded &&
		    (included || (minor >= 13 && !strncmp(key, "config.local-keys.", 18)));
		CHECK(localkeys_match(&s, minor, key) == wanted || !any || !clean,
		    "0.%d: is %s local?", minor, key);
	}
	pool_free(&pool);
	free(key);
	return 0;
}
