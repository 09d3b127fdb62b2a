/*
 * toml.h - config.toml as the server reads it, which is not quite TOML, and where each thing is in
 * the text
 */
#ifndef TOML_H
#define TOML_H

#include "base/def.h"

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct err;
struct pool;

enum {
	/* inline tables and arrays within each other, as in the server */
	TOML_NEST_MAX = 10,
	TOML_KEY_MAX = 4096, /* longest flat key in bytes; the server has no bound */
	/* most bytes that toml_read_some keeps: of some 20,000 keys */
	TOML_KEPT_MAX = 2 * 1024 * 1024,
	TOML_TEXT_MAX = 64 * 1024 * 1024
};

/* A comment on a line of its own that starts with this is kept as a statement: it is stalprep's. */
#define TOML_MARK "#stalprep-"

/*
 * A statement is one line, or several where a value runs on. No two share a line (server-facts: its
 * TOML reader).
 */
enum toml_kind { TOML_TABLE, TOML_VALUE, TOML_COMMENT };

struct toml_statement {
	unsigned kind : 2;     /* enum toml_kind */
	unsigned entries : 30; /* keys that it defines, of all uses */
	/* offsets of its first line's start, and after its last line's end */
	unsigned start, end;
	unsigned line; /* its first, from 1 */
	/* the table that it is in, or opens; "" before the first */
	const char *table;
};

struct toml_entry {
	/* the flat key; the value without its quotes and escapes */
	const char *key, *value;
	/* offset and length of the value as written; 0, 0 where there is none: {a, b} */
	unsigned at, len;
	unsigned statement; /* index */
	/* length of its statement's own key; the rest comes from an array or an inline table */
	unsigned top;
};
_Static_assert(TOML_TEXT_MAX < 1u << 31, "offsets are unsigned");

/*
 * What a caller wants of a key, so that a large file takes little memory: nothing, but that its
 * syntax is right and that it is given once; to know that something stands there; or all of it.
 */
enum toml_use { TOML_DROP, TOML_PLACE, TOML_KEEP };

/* Also asked of tables. A key or table that others of TOML_KEEP are below is one itself. */
struct toml_filter {
	enum toml_use (*use)(const void *ctx, const char *key);
	/* or NULL: called for each entry that is kept or dropped; the value is len bytes, none a
	 * NUL */
	void (*see)(void *ctx, const char *key, const char *value, size_t len, bool kept);
	void *ctx;
};

/*
 * All of it lives in the pool that it was read into, and refers to the text by offsets.
 * Zero-initialise.
 */
struct toml {
	/* in the order of the text; those that a filter keeps, and the first header */
	struct toml_statement *statements;
	size_t statement_count;
	struct toml_entry *entries; /* sorted by key as bytes */
	size_t entry_count;
	/*
	 * Statements' own keys that are no entries, sorted; values are "": lists without any
	 * element, which are no keys for the server; and of the statements that a filter drops,
	 * those before the first header, or of TOML_PLACE in a table of TOML_KEEP: the first and
	 * the last of a row
	 */
	struct toml_entry *others;
	size_t other_count;
	size_t dropped;  /* keys that are no entries */
	uint64_t digest; /* of those and their values: the same if they are, and their order */
	/* not UTF-8: the server reads such a file as empty, and so it is here */
	bool no_utf8;
	bool new_keys; /* it has a key that servers up to 0.12 refuse */
};

/*
 * Read text of len bytes (at most TOML_TEXT_MAX) by the rules of server-facts, "Its TOML reader".
 * table: the one that it begins in, "" at a file's start. old_keys: as servers up to 0.12, which
 * allow fewer characters in a key without quotes. 0; or -1 with err (line, column, what is wrong)
 * where the server would not start with it; or that it would, with code EFBIG: a key that is too
 * long, a NUL.
 */
int toml_read(struct toml *t, struct pool *pool, const char *table, const char *text, size_t len,
    bool old_keys, struct err *err) WARN_UNUSED;

/*
 * toml_read, of which the filter says what is kept: more than TOML_KEPT_MAX is refused. It takes at
 * most len bytes beside the pool.
 */
int toml_read_some(struct toml *t, struct pool *pool, const struct toml_filter *filter,
    const char *table, const char *text, size_t len, bool old_keys, struct err *err) WARN_UNUSED;

/* The entry of a key, or NULL. */
const struct toml_entry *toml_find(const struct toml *t, const char *key);

/*
 * Append one name of a key, in quotes if need be: also with a capital letter, which the server
 * would make small in a table's name. One with a backslash can't be written, and reads back as
 * another.
 */
void toml_write_name(struct buf *out, const char *name, size_t len);

/* Append a value in the first spelling that reads back the same. 0; or -1 where none does. */
int toml_write_value(struct buf *out, const char *value) WARN_UNUSED;

#endif
