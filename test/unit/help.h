/*
 * help.h - what several unit tests need: settings and options from texts, failures that name their
 * case, folders
 */
#ifndef HELP_H
#define HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/pool.h"
#include "cmd/cli.h"
#include "settings/settings.h"

enum { WORDS_MAX = 64 };

/* Stop the test unless ok; the rest says which case it was, as printf has it. */
#define CHECK(ok, ...) \
	do { \
		if (!(ok)) \
			fail_msg(__VA_ARGS__); \
	} while (0)

static inline bool
has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

/* Two strings, each of which may be NULL. */
static inline bool
same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static inline const char *
shown(const char *text)
{
	return text ? text : "(none)";
}

/* "key = value" lines as sorted settings. */
static inline void
settings_of(struct settings *s, struct pool *pool, const char *lines)
{
	struct err err;

	memset(s, 0, sizeof(*s));
	while (*lines) {
		size_t len = strcspn(lines, "\n");
		char *key = pool_copy(pool, lines, len), *equals = strstr(key, " = ");

		CHECK(equals, "a test's settings: no \" = \" in \"%s\"", key);
		*equals = '\0';
		settings_add(s, pool, key, equals + 3);
		lines += len + (lines[len] == '\n');
	}
	CHECK(settings_sort(s, &err) == 0, "a test's settings: %s", err.text);
}

/* Words between blanks; single quotes as a shell has them. Gives the count. */
static inline int
split_words(struct pool *pool, const char *text, char **words)
{
	int n = 0;

	for (;;) {
		char *out, *start;
		bool quoted = false;

		text += strspn(text, " ");
		if (!*text)
			return n;
		assert_true(n < WORDS_MAX);
		start = out = pool_zero(pool, strlen(text) + 1);
		for (; *text && (quoted || *text != ' '); text++) {
			if (*text == '\'')
				quoted = !quoted;
			else if (*text == '\\' && !quoted)
				*out++ = *++text;
			else
				*out++ = *text;
		}
		words[n++] = start;
	}
}

/* options_parse of a line. */
static inline int
options_try(struct options *o, struct pool *pool, const char *line, struct err *err)
{
	char *words[WORDS_MAX];
	int n = split_words(pool, line, words);

	return options_parse(o, cli_commands, pool, n, words, err);
}

/* The same where the line is right. */
static inline void
options_of(struct options *o, struct pool *pool, const char *line)
{
	struct err err;

	CHECK(
	    options_try(o, pool, line, &err) == 0, "a test's options: \"%s\": %s", line, err.text);
}

/* A new folder below /tmp; folder_path(f, name) is a name in it. */
struct folder {
	char name[32];
};

static inline void
folder_make(struct folder *f)
{
	strcpy(f->name, "/tmp/stalprep-unit.XXXXXX");
	assert_non_null(mkdtemp(f->name));
}

static inline const char *
folder_path(const struct folder *f, const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", f->name, name);
	return path;
}

/* Removes the folder, which must be empty but for these names (ended by NULL). */
static inline void
folder_remove(const struct folder *f, const char *const *names)
{
	for (; *names; names++)
		unlink(folder_path(f, *names));
	CHECK(rmdir(f->name) == 0, "%s is not empty: something was left there", f->name);
}

static inline void
write_text(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fputs(text, f) < 0, 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

#endif
