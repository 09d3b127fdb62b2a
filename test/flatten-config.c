/*
 * flatten-config [-o] FILE...
 *
 * Reads each config.toml by the program's own reader (-o: as servers up to 0.12 do) and prints a
 * line of JSON for it: its keys and values, or a string that says why the server would not start.
 * Exit 0: all could be read; 1: not all; 2: wrong use, or a file that is not there.
 */
#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "format/json.h"
#include "format/toml.h"
#include "sys/file.h"

#include <stdio.h>
#include <string.h>

static void
print_keys(struct buf *out, const struct toml *t)
{
	size_t i;

	buf_char(out, '{');
	for (i = 0; i < t->entry_count; i++) {
		if (i)
			buf_char(out, ',');
		json_quote(out, t->entries[i].key);
		buf_char(out, ':');
		json_quote(out, t->entries[i].value);
	}
	buf_str(out, "}\n");
}

/* Print one file's line. Gives the exit status. */
static int
flatten(const char *path, bool old_keys)
{
	struct buf text = { 0 }, out = { 0 };
	struct pool pool = { 0 };
	struct toml t;
	struct err err;
	int status = 2;

	if (file_read(&text, path, TOML_TEXT_MAX, &err) != 0) {
		fprintf(stderr, "flatten-config: %s can't be read\n", path);
	} else if (toml_read(&t, &pool, "", text.data ? text.data : "", text.len, old_keys, &err) ==
	    -1) {
		json_quote(&out, err.text);
		buf_char(&out, '\n');
		status = 1;
	} else {
		print_keys(&out, &t);
		status = 0;
	}
	fputs(buf_text(&out) ? buf_text(&out) : "", stdout);
	pool_free(&pool);
	buf_free(&out);
	buf_free(&text);
	return status;
}

int
main(int argc, char **argv)
{
	bool old_keys = argc > 1 && !strcmp(argv[1], "-o");
	int i, status, worst = argc > 1 + old_keys ? 0 : 2;

	for (i = 1 + old_keys; i < argc; i++) {
		status = flatten(argv[i], old_keys);
		worst = status > worst ? status : worst;
	}
	return worst;
}
