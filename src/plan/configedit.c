#include "plan/configedit.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "format/edits.h"
#include "format/toml.h"
#include "plan/plan.h"
#include "settings/part.h"
#include "settings/settings.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char BEGIN[] = TOML_MARK
    "begin: what stalprep put here; stalprep clear takes it out again";
static const char END[] = TOML_MARK "end";
static const char WAS[] = TOML_MARK "was: "; /* comments out an original line */

/* if a whole run can't be parsed, fewer of its lines than this are tried */
enum { COMMENTED_LINES_MAX = 100 };

/* What happens to a statement. */
enum fate {
	KEEP,
	REMOVE,      /* keys of it that stay get lines of their own */
	COMMENT_OUT, /* the same, and the statement becomes comments */
	REMOVE_COPY  /* its keys come back with a statement that was commented out */
};

/* A run of lines that an earlier stage commented out. */
struct commented {
	size_t first, count; /* statements of the file; each line is one */
	struct toml toml;    /* the lines, parsed without WAS */
};

struct work {
	const struct configedit *c;
	struct pool *pool;
	struct edits *edits;
	struct err *err;
	enum fate *fates; /* of each statement */
	bool *done;       /* for each of the plan's keys: it has its edit */
	struct commented *runs;
	size_t run_count;
	const struct toml_statement *begin, *end; /* the block's marks, or NULL */
	struct buf block;                         /* new lines for the block */
	const char *block_table;                  /* the table at its end; NULL: no block yet */
	const char *line_end;
};

static int
add_edit(struct work *w, size_t at, size_t len, const char *text)
{
	return edits_add(w->edits, w->pool, at, len, text, w->err);
}

/* A copy of a buffer's text in the pool. Memory that ran out for it counts as the pool's. */
static const char *
copy_of(struct work *w, const struct buf *text)
{
	w->pool->failed |= text->failed;
	return text->failed ? "" : pool_copy(w->pool, text->data, text->len);
}

/* The plan's entry for a key that this run changes, or NULL. */
static const struct plan_key *
find_change(const struct work *w, const char *key)
{
	const struct plan *p = w->c->plan;
	size_t i;

	for (i = 0; i < p->key_count; i++) {
		if (p->keys[i].write && !strcmp(p->keys[i].key, key))
			return &p->keys[i];
	}
	return NULL;
}

/* The value that a key of the file has after the edits; NULL: it is removed. */
static const char *
wanted_value(const struct work *w, const struct toml_entry *e)
{
	const struct plan_key *k = find_change(w, e->key);

	return k ? k->wanted : e->value;
}

/* How a value is written: an original as in the original file, else in the plainest form. */
static const char *
spelling(struct work *w, const char *key, const char *value)
{
	const struct part_key *old = w->c->snapshot ? part_find(w->c->snapshot, key) : NULL;
	struct buf text = { 0 };
	const char *copy = NULL;

	if (old && old->text && old->before && !strcmp(old->before, value))
		return old->text;
	if (toml_write_value(&text, value) == -1)
		err_set(w->err, ERR_REFUSED, "config.toml can't hold the value of %.120s", key);
	else
		copy = copy_of(w, &text);
	buf_free(&text);
	return copy;
}

/* Append a line for a key, relative to the table that the line is in. */
static int
add_line(struct work *w, struct buf *out, const char *table, const char *key, const char *value)
{
	const char *text = spelling(w, key, value);

	if (!text)
		return -1;
	toml_write_key(out, key + (*table ? strlen(table) + 1 : 0));
	buf_printf(out, " = %s%s", text, w->line_end);
	return 0;
}

/* Is key below this table? */
static bool
is_below(const char *key, const char *table)
{
	size_t n = strlen(table);

	return !n || (!strncmp(key, table, n) && key[n] == '.');
}

static const struct toml_statement *
statement_of(const struct work *w, const struct toml_entry *e)
{
	return &w->c->toml->statements[e->statement];
}

static bool
starts_with(const struct work *w, const struct toml_statement *s, const char *text)
{
	size_t n = strlen(text);

	return s->kind == TOML_COMMENT && s->end - s->start >= n &&
	    !memcmp(w->c->text + s->start, text, n);
}

/*
 * Parse lines that were commented out, at most `most` of them from statement `first` on. 0; 1 if
 * they can't be parsed; -1 if memory ran out.
 */
static int
read_commented(struct work *w, struct commented *run, size_t first, size_t most)
{
	const struct toml *t = w->c->toml;
	struct buf text = { 0 };
	struct err ignored;
	int r = 0;

	memset(run, 0, sizeof(*run));
	run->first = first;
	for (; run->count < most && first < t->statement_count &&
	    starts_with(w, &t->statements[first], WAS) &&
	    (!run->count || t->statements[first - 1].end == t->statements[first].start);
	    first++) {
		const struct toml_statement *s = &t->statements[first];

		buf_add(
		    &text, w->c->text + s->start + strlen(WAS), s->end - s->start - strlen(WAS));
		run->count++;
	}
	if (text.failed)
		r = err_memory(w->err);
	else if (toml_read(&run->toml, w->pool, t->statements[run->first].table,
		     text.data ? text.data : "", text.len, false, &ignored) == -1)
		r = 1;
	buf_free(&text);
	return r;
}

/*
 * Read the run of lines that starts at statement `first`. If all of them can't be parsed together
 * (another stage added lines, or somebody edited them), take the first few that can. If there are
 * none, take one line, which stays a comment.
 */
static int
read_run(struct work *w, struct commented *run, size_t first)
{
	int r = read_commented(w, run, first, SIZE_MAX);
	size_t most;

	for (most = 1; r == 1 && most < COMMENTED_LINES_MAX; most++)
		r = read_commented(w, run, first, most);
	if (r == 1) {
		memset(&run->toml, 0, sizeof(run->toml));
		run->count = 1;
		r = 0;
	}
	return r;
}

static int
find_commented(struct work *w)
{
	const struct toml *t = w->c->toml;
	size_t i;

	for (i = 0; i < t->statement_count; i++) {
		struct commented *run;

		if (!starts_with(w, &t->statements[i], WAS))
			continue;
		run = pool_add(w->pool, w->runs, w->run_count);
		if (read_run(w, run, i) == -1)
			return -1;
		i += run->count - 1;
	}
	return 0;
}

/*
 * Is this entry's line a copy from a statement that is commented out already? Then an earlier stage
 * added the line, and the comment keeps the original.
 */
static bool
is_copy(const struct work *w, const struct toml_entry *e)
{
	size_t i;

	for (i = 0; i < w->run_count && w->c->toml->statements[e->statement].entries == 1; i++) {
		const struct toml_entry *before = toml_find(&w->runs[i].toml, e->key);

		if (before && !strcmp(before->value, e->value))
			return true;
	}
	return false;
}

/* Remove the statements with keys that are removed; comment out those that are originals. */
static void
decide_fates(struct work *w)
{
	const struct plan *p = w->c->plan;
	size_t i;

	for (i = 0; i < p->key_count; i++) {
		const struct plan_key *k = &p->keys[i];
		const struct toml_entry *e = k->write && !k->wanted ? toml_find(w->c->toml, k->key)
								    : NULL;

		if (e && w->fates[e->statement] != COMMENT_OUT)
			w->fates[e->statement] = k->original && !p->clearing && !is_copy(w, e)
			    ? COMMENT_OUT
			    : REMOVE;
	}
}

/* Append the text of a statement, with its original values. */
static int
original_text(struct work *w, size_t statement, struct buf *out)
{
	const struct toml *t = w->c->toml;
	struct edits edits = { 0 };
	size_t i;

	for (i = 0; i < t->entry_count; i++) {
		const struct toml_entry *e = &t->entries[i];
		const struct part_key *old = e->statement == statement && w->c->snapshot
		    ? part_find(w->c->snapshot, e->key)
		    : NULL;
		const char *text;

		if (!old || !old->before || !e->len || !strcmp(old->before, e->value))
			continue;
		text = spelling(w, e->key, old->before);
		if (!text || edits_add(&edits, w->pool, e->at, e->len, text, w->err) == -1)
			return -1;
	}
	edits_apply(
	    out, &edits, w->c->text, t->statements[statement].start, t->statements[statement].end);
	return out->failed ? err_memory(w->err) : 0;
}

/* Turn the lines of a statement into comments. */
static int
comment_out(struct work *w, size_t statement)
{
	const struct toml_statement *s = &w->c->toml->statements[statement];
	struct buf text = { 0 }, lines = { 0 };
	const char *copy = NULL;
	size_t at, n;
	int r = original_text(w, statement, &text);

	if (r == 0 && memchr(text.data, '\0', text.len))
		r = err_set(w->err, ERR_REFUSED, "line %u: there is a NUL byte", s->line);
	for (at = 0; r == 0 && at < text.len; at += n) {
		const char *lf = memchr(text.data + at, '\n', text.len - at);

		n = lf ? (size_t)(lf - text.data) + 1 - at : text.len - at;
		buf_str(&lines, WAS);
		buf_add(&lines, text.data + at, n);
	}
	copy = copy_of(w, &lines);
	buf_free(&text);
	buf_free(&lines);
	return r == 0 ? add_edit(w, s->start, s->end - s->start, copy) : -1;
}

/* The place for a new line: after a statement, but before one that has no line end. */
static size_t
place_at(const struct work *w, const struct toml_statement *s)
{
	/* If the block ends without a line end, the one before the block was added with it. */
	if (w->begin && s->end == w->begin->start && w->c->text[w->end->end - 1] != '\n')
		return s->start;
	return s->end && w->c->text[s->end - 1] == '\n' ? s->end : s->start;
}

/* When a statement is removed, the keys of it that stay get lines of their own. */
static int
add_kept_keys(struct work *w, size_t statement)
{
	const struct toml *t = w->c->toml;
	const struct toml_statement *s = &t->statements[statement];
	struct buf lines = { 0 };
	const char *value;
	size_t i;
	int r = 0;

	for (i = 0; i < t->entry_count && r == 0; i++) {
		value = t->entries[i].statement == statement ? wanted_value(w, &t->entries[i])
							     : NULL;
		if (value)
			r = add_line(w, &lines, s->table, t->entries[i].key, value);
	}
	if (r == 0 && lines.len) {
		r = add_edit(w, place_at(w, s), 0, copy_of(w, &lines));
	}
	buf_free(&lines);
	return r;
}

static bool
in_block(const struct work *w, const struct toml_statement *s)
{
	return w->begin && s >= w->begin && s <= w->end;
}

static int
apply_fates(struct work *w, bool drop_block)
{
	const struct toml *t = w->c->toml;
	size_t i;

	for (i = 0; i < t->statement_count; i++) {
		const struct toml_statement *s = &t->statements[i];

		if (w->fates[i] == KEEP)
			continue;
		if (w->fates[i] != REMOVE_COPY && add_kept_keys(w, i) == -1)
			return -1;
		if (drop_block && in_block(w, s))
			continue;
		if (w->fates[i] == COMMENT_OUT ? comment_out(w, i) == -1
					       : add_edit(w, s->start, s->end - s->start, "") == -1)
			return -1;
	}
	return 0;
}

/* Replace values in their places. */
static int
replace_values(struct work *w)
{
	const struct plan *p = w->c->plan;
	size_t i;

	for (i = 0; i < p->key_count; i++) {
		const struct plan_key *k = &p->keys[i];
		const struct toml_entry *e = k->write && k->wanted ? toml_find(w->c->toml, k->key)
								   : NULL;
		const char *text;

		if (!e)
			continue;
		w->done[i] = true;
		if (w->fates[e->statement] != KEEP)
			continue; /* it gets a line of its own */
		if (!e->len)
			return err_set(w->err, ERR_REFUSED,
			    "line %u: %s is in a set and has no value: put it on a line of its own "
			    "first",
			    statement_of(w, e)->line, k->key);
		text = spelling(w, k->key, k->wanted);
		if (!text || add_edit(w, e->at, e->len, text) == -1)
			return -1;
	}
	return 0;
}

/*
 * May a statement that was commented out become lines again? Yes if it gives all of its keys the
 * values that are wanted now, and those in the file are on lines of their own.
 */
static bool
can_uncomment(const struct work *w, const struct toml *commented, size_t statement)
{
	bool any = false;
	size_t i;

	for (i = 0; i < commented->entry_count; i++) {
		const struct toml_entry *e = &commented->entries[i], *now;
		const struct plan_key *k;

		if (e->statement != statement)
			continue;
		k = find_change(w, e->key);
		if (k && w->done[k - w->c->plan->keys])
			return false;
		now = toml_find(w->c->toml, e->key);
		if (!settings_same(k ? k->wanted : now ? now->value : NULL, e->value))
			return false;
		if (now && (statement_of(w, now)->entries != 1 || w->fates[now->statement] != KEEP))
			return false;
		any = true;
	}
	return any;
}

/* Turn its comments into lines again, and remove the lines that hold the same keys. */
static int
uncomment(struct work *w, const struct commented *run, size_t statement)
{
	const struct toml_statement *s = &run->toml.statements[statement];
	size_t i, last = statement + 1 < run->toml.statement_count ? s[1].line : run->count + 1;

	for (i = s->line; i < last; i++) {
		if (add_edit(
			w, w->c->toml->statements[run->first + i - 1].start, strlen(WAS), "") == -1)
			return -1;
	}
	for (i = 0; i < run->toml.entry_count; i++) {
		const struct toml_entry *e = &run->toml.entries[i], *now;
		const struct plan_key *k;

		if (e->statement != statement)
			continue;
		now = toml_find(w->c->toml, e->key);
		if (now)
			w->fates[now->statement] = REMOVE_COPY;
		k = find_change(w, e->key);
		if (k)
			w->done[k - w->c->plan->keys] = true;
	}
	return 0;
}

static int
uncomment_all(struct work *w)
{
	size_t i, j;

	for (i = 0; i < w->run_count; i++) {
		const struct commented *run = &w->runs[i];

		for (j = 0; j < run->toml.entry_count; j++) {
			const struct toml_entry *e = &run->toml.entries[j];
			const struct plan_key *k = find_change(w, e->key);

			if (k && can_uncomment(w, &run->toml, e->statement) &&
			    uncomment(w, run, e->statement) == -1)
				return -1;
		}
	}
	return 0;
}

/*
 * The statement after which a listener's new key is added: the last one of this listener in the
 * deepest table that may hold the key. NULL: there is none.
 */
static const struct toml_statement *
find_neighbour(const struct work *w, const char *key)
{
	const struct toml *t = w->c->toml;
	const struct toml_statement *best = NULL;
	const char *rest = NULL, *at;
	size_t i, n;

	for (at = key; (at = strstr(at, ".proxy.")); at++)
		rest = at; /* the last: "proxy" may be the listener's name */
	n = rest ? (size_t)(rest - key) + 1 : 0;

	for (i = 0; i < t->entry_count && n; i++) {
		const struct toml_statement *s = &t->statements[t->entries[i].statement];
		size_t depth = strlen(s->table);

		if (strncmp(t->entries[i].key, key, n) != 0 || !is_below(key, s->table))
			continue;
		if (!best || depth > strlen(best->table) ||
		    (depth == strlen(best->table) && s > best))
			best = s;
	}
	return best;
}

/* Add a line to the block, under a header with the key's first name. */
static int
add_to_block(struct work *w, const struct plan_key *k)
{
	const char *table = pool_copy(w->pool, k->key, strcspn(k->key, "."));

	if (!w->block_table || strcmp(w->block_table, table) != 0)
		buf_printf(&w->block, "[%s]%s", table, w->line_end);
	w->block_table = table;
	return add_line(w, &w->block, table, k->key, k->wanted);
}

/* Is the file in the server's own form: sorted keys without headers? */
static bool
is_flat(const struct work *w)
{
	size_t i;

	for (i = 0; i < w->c->toml->statement_count; i++) {
		if (w->c->toml->statements[i].kind == TOML_TABLE)
			return false;
	}
	return w->c->len && w->c->text[w->c->len - 1] == '\n';
}

/* The place of a new key's line, and the table there. false: it belongs in the block. */
static bool
find_place(const struct work *w, const struct plan_key *k, size_t *at, const char **table)
{
	const struct toml_statement *s = k->group == GROUP_LISTENERS ? find_neighbour(w, k->key)
								     : NULL;
	const struct toml *t = w->c->toml;
	size_t i;

	*table = s ? s->table : "";
	if (s) {
		*at = place_at(w, s);
		return true;
	}
	if (!strchr(k->key, '.')) {
		/* in no table; only a hand-written snapshot has such a key */
		*at = 0;
		return true;
	}
	if (!w->c->plan->clearing || !is_flat(w))
		return false;
	for (i = 0; i < t->entry_count && strcmp(t->entries[i].key, k->key) < 0; i++)
		;
	*at = i < t->entry_count ? statement_of(w, &t->entries[i])->start : w->c->len;
	return true;
}

static int
insert_keys(struct work *w)
{
	const struct plan *p = w->c->plan;
	struct buf line = { 0 };
	const char *table;
	size_t i, at;
	int r = 0;

	for (i = 0; i < p->key_count && r == 0; i++) {
		const struct plan_key *k = &p->keys[i];

		if (!k->write || !k->wanted || w->done[i])
			continue;
		if (!find_place(w, k, &at, &table)) {
			r = add_to_block(w, k);
			continue;
		}
		buf_reset(&line);
		r = add_line(w, &line, table, k->key, k->wanted);
		if (r == 0)
			r = add_edit(w, at, 0, copy_of(w, &line));
	}
	buf_free(&line);
	return r;
}

static void
find_block(struct work *w)
{
	const struct toml *t = w->c->toml;
	size_t i;

	for (i = 0; i < t->statement_count && !w->end; i++) {
		if (!w->begin && starts_with(w, &t->statements[i], BEGIN))
			w->begin = &t->statements[i];
		else if (w->begin && starts_with(w, &t->statements[i], END))
			w->end = &t->statements[i];
	}
	if (!w->end)
		w->begin = NULL;
	else
		w->block_table = w->end->table;
}

/* Does the block keep only its headers? */
static bool
block_is_empty(const struct work *w)
{
	const struct toml_statement *s;

	if (!w->begin || w->block.len)
		return false;
	for (s = w->begin + 1; s->start == s[-1].end && s != w->end; s++) {
		enum fate fate = w->fates[s - w->c->toml->statements];

		if (s->kind == TOML_COMMENT ||
		    (s->kind == TOML_VALUE && fate != REMOVE && fate != REMOVE_COPY))
			return false;
	}
	return s == w->end && s->start == s[-1].end;
}

/* Remove the block with its marks, and the line end before it if that was added with it. */
static int
remove_block(struct work *w)
{
	size_t start = w->begin->start, end = w->end->end;

	if (start && w->c->text[end - 1] != '\n')
		start--;
	return add_edit(w, start, end - start, "");
}

static int
write_block(struct work *w)
{
	const char *text = copy_of(w, &w->block);
	bool whole = !w->c->len || w->c->text[w->c->len - 1] == '\n';

	if (!w->block.len && !w->block.failed)
		return 0;
	if (!w->end)
		text = pool_printf(w->pool, "%s%s%s%s%s%s", whole ? "" : "\n", BEGIN, w->line_end,
		    text, END, whole ? w->line_end : "");
	w->edits->hidden |= !whole && !w->end; /* the edit would show the file's last line */
	return add_edit(w, w->end ? w->end->start : w->c->len, 0, text);
}

/* New lines end like the last complete line of the file. */
static const char *
line_end_of(const char *text, size_t len)
{
	while (len && text[len - 1] != '\n')
		len--;
	return len > 1 && text[len - 2] == '\r' ? "\r\n" : "\n";
}

/*
 * The first key that is not as planned in the new text, or NULL. A key that the plan does not
 * change must have its old value.
 */
static const char *
find_wrong(const struct work *w, const struct toml *new)
{
	const struct toml *old = w->c->toml;
	const struct plan *p = w->c->plan;
	size_t i = 0, j = 0;
	int order;

	while (i < old->entry_count || j < new->entry_count) {
		const struct toml_entry *a = i < old->entry_count ? &old->entries[i] : NULL;
		const struct toml_entry *b = j < new->entry_count ? &new->entries[j] : NULL;
		const char *key;

		order = !a ? 1 : !b ? -1 : strcmp(a->key, b->key);
		key = order <= 0 ? a->key : b->key;
		if ((order || strcmp(a->value, b->value) != 0) && !find_change(w, key))
			return key;
		i += order <= 0;
		j += order >= 0;
	}
	for (i = 0; i < p->key_count; i++) {
		const struct toml_entry *e = toml_find(new, p->keys[i].key);

		if (p->keys[i].write && !settings_same(e ? e->value : NULL, p->keys[i].wanted))
			return p->keys[i].key;
	}
	return NULL;
}

static int
verify(struct work *w, const struct buf *out)
{
	struct pool pool = { 0 };
	struct toml new;
	const char *wrong;
	int r = toml_read(&new, &pool, "", out->data, out->len, w->c->old_keys, w->err);

	if (r == -1)
		err_add(w->err, "(in the new text of the file)");
	else if ((wrong = find_wrong(w, &new)))
		r = err_set(w->err, ERR_REFUSED,
		    "after the edit %.120s would not have the planned value: put that key on a "
		    "line of its own first",
		    wrong);
	pool_free(&pool);
	return r;
}

/* Does an edit show the lines of this statement? */
static bool
is_shown(const struct work *w, const struct toml_statement *s)
{
	size_t i;

	for (i = 0; i < w->edits->count; i++) {
		const struct edit *x = &w->edits->items[i];

		if (x->at < s->end &&
		    (x->len ? x->at + x->len > s->start
			    : x->at >= s->start && !strchr(x->text, '\n')))
			return true;
	}
	return false;
}

/* Show no edit if its lines hold other keys: they may be secrets, except those of listeners. */
static void
hide_others(struct work *w)
{
	const struct toml *t = w->c->toml;
	size_t i;

	for (i = 0; i < t->entry_count && !w->edits->hidden; i++) {
		const struct toml_entry *e = &t->entries[i];

		w->edits->hidden = strncmp(e->key, "server.listener.", 16) != 0 &&
		    !find_change(w, e->key) && is_shown(w, statement_of(w, e));
	}
}

static int
make_edits(struct work *w, struct buf *out)
{
	const struct configedit *c = w->c;
	bool drop_block;

	find_block(w);
	if (find_commented(w) == -1)
		return -1;
	decide_fates(w);
	if (uncomment_all(w) == -1 || replace_values(w) == -1 || insert_keys(w) == -1)
		return -1;
	drop_block = block_is_empty(w);
	if (apply_fates(w, drop_block) == -1 ||
	    (drop_block ? remove_block(w) : write_block(w)) == -1)
		return -1;
	hide_others(w);
	if (pool_check(w->pool, w->err) == -1)
		return -1;
	edits_apply(out, w->edits, c->text, 0, c->len);
	return out->failed ? err_memory(w->err) : verify(w, out);
}

int
configedit_make(const struct configedit *c, struct pool *pool, struct edits *edits, struct buf *out,
    struct err *err)
{
	struct work w = {
		.c = c,
		.pool = pool,
		.edits = edits,
		.err = err,
		.line_end = line_end_of(c->text, c->len),
		.fates = pool_zero(pool, (c->toml->statement_count + 1) * sizeof(enum fate)),
		.done = pool_zero(pool, (c->plan->key_count + 1) * sizeof(bool)),
	};
	int r = w.fates && w.done ? make_edits(&w, out) : err_memory(err);

	buf_free(&w.block);
	return r;
}
