#include "plan/configedit.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/sorted.h"
#include "format/edits.h"
#include "format/toml.h"
#include "plan/plan.h"
#include "settings/part.h"
#include "settings/settings.h"

#include <stdlib.h>
#include <string.h>

/* In front of the first line of a statement that became a comment, and of its other lines. */
static const char WAS[] = TOML_MARK "was: ";
static const char MORE[] = TOML_MARK "was+ ";
/* behind a header that a stage added */
static const char NEW[] = " " TOML_MARK "new: stalprep clear takes it out";

/* A key that this run changes. */
struct change {
	const char *key;
	const char *wanted; /* NULL: it is removed */
	bool original;      /* it stood there before the first stage */
	bool done;          /* it has its edit */
	const char *table;  /* the new table that it goes into, or NULL */
};

/* What happens to a statement. */
struct fate {
	unsigned seen;    /* how many of its keys are known */
	unsigned removed; /* and how many of those are removed */
	bool original;    /* one of those stood there before the first stage */
	bool edited;      /* a value in it is replaced */
	bool used;        /* of a header: a new line goes below it */
};

/* A key or a table of the file. */
struct name {
	const char *text;
	size_t top; /* of a key: length of its statement's own key */
	const struct toml_statement *statement;
};

struct work {
	const struct configedit *c;
	struct pool *pool;
	struct pool early; /* until the new text is made */
	struct edits *edits;
	struct err *err;
	struct change *changes; /* sorted by key */
	size_t change_count;
	struct fate *fates; /* of each statement */
	struct name *names; /* sorted */
	size_t name_count;
	const struct toml_statement *first; /* the first header, or NULL */
	const char *line_end;
	struct buf forms; /* what can't be edited as it is written, with line numbers */
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

/* Has memory run out, or must it stop? Then w->err says so. */
static bool
is_stopped(const struct work *w)
{
	return pool_check(w->pool, w->err) == -1;
}

/* Changes and names begin with a text. */
static int
compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The change of a key, or NULL. */
static struct change *
find_change(const struct work *w, const char *key)
{
	size_t i = sorted_index(w->changes, w->change_count, sizeof(*w->changes), key);

	return i != SORTED_NONE ? &w->changes[i] : NULL;
}

static struct fate *
fate_of(const struct work *w, const struct toml_statement *s)
{
	return &w->fates[s - w->c->toml->statements];
}

/* Are all of its keys removed? */
static bool
is_gone(const struct work *w, const struct toml_statement *s)
{
	return s->entries && fate_of(w, s)->removed == s->entries;
}

static bool
starts_with(const struct work *w, const struct toml_statement *s, const char *text)
{
	size_t n = strlen(text);

	return s->end - s->start >= n && !memcmp(w->c->text + s->start, text, n);
}

/* Remember what can't be edited as it is written: the first len bytes of a key, once. */
static void
add_form(struct work *w, const char *key, size_t len, const struct toml_statement *s)
{
	const char *form = pool_printf(w->pool, "%.*s (line %u)", (int)len, key, s->line);

	if (!w->forms.len || !strstr(w->forms.data, form))
		buf_printf(&w->forms, "%s%s", w->forms.len ? ", " : "", form);
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
add_line(struct work *w, struct buf *out, const char *table, const struct change *c)
{
	const char *text = spelling(w, c->key, c->wanted);

	if (!text)
		return -1;
	changeset_write_names(out, c->key, *table ? strlen(table) + 1 : 0, strlen(c->key));
	buf_printf(out, " = %s%s", text, w->line_end);
	return 0;
}

/* Count the keys that are removed, by their statements. */
static void
count_removed(struct work *w)
{
	size_t i;

	for (i = 0; i < w->change_count; i++) {
		const struct change *c = &w->changes[i];
		const struct toml_entry *e = c->wanted ? NULL : toml_find(w->c->toml, c->key);

		if (!e)
			continue;
		w->fates[e->statement].removed++;
		w->fates[e->statement].original |= c->original && !w->c->plan->clearing;
	}
}

/* ---- statements that are comments ---- */

/*
 * Does it give keys that come back now, all of them, and as they were? A stage that nobody knows
 * any more may have left it: then its values are not what stood before.
 */
static bool
comes_back(const struct work *w, const struct toml *was)
{
	size_t i;

	for (i = 0; i < was->entry_count; i++) {
		const struct toml_entry *e = &was->entries[i];
		const struct change *c = find_change(w, e->key);

		if (!c || c->done || !c->original || !c->wanted ||
		    strcmp(c->wanted, e->value) != 0 || toml_find(w->c->toml, e->key))
			return false;
	}
	return was->entry_count && !was->dropped;
}

/* If the statement that this comment was comes back, make its lines a statement again. */
static int
restore_comment(struct work *w, const struct toml_statement *s)
{
	const struct toml_statement *end = w->c->toml->statements + w->c->toml->statement_count;
	const struct toml_statement *line = s;
	struct pool pool = { .stop = w->pool->stop };
	struct buf text = { 0 };
	struct err ignored;
	struct toml was;
	size_t i;
	int r = 0;

	do {
		buf_add(&text, w->c->text + line->start + strlen(WAS),
		    line->end - line->start - strlen(WAS));
		line++;
	} while (line < end && line->start == line[-1].end && starts_with(w, line, MORE));
	if (text.failed)
		r = err_memory(w->err);
	else if (toml_read_some(&was, &pool, w->c->filter, s->table, buf_text(&text), text.len,
		     false, &ignored) == 0 &&
	    comes_back(w, &was)) {
		for (i = 0; i < was.entry_count; i++)
			find_change(w, was.entries[i].key)->done = true;
		for (; s < line && r == 0; s++)
			r = add_edit(w, s->start, strlen(WAS), "");
	}
	w->pool->failed |= pool.failed;
	pool_free(&pool);
	buf_free(&text);
	return r;
}
_Static_assert(sizeof(WAS) == sizeof(MORE), "both marks are taken off alike");

static int
restore_comments(struct work *w)
{
	const struct toml *t = w->c->toml;
	size_t i;

	for (i = 0; i < t->statement_count; i++) {
		if (t->statements[i].kind == TOML_COMMENT &&
		    starts_with(w, &t->statements[i], WAS) &&
		    restore_comment(w, &t->statements[i]) == -1)
			return -1;
	}
	return 0;
}

/* Turn the lines of a statement into comments. */
static int
comment_out(struct work *w, const struct toml_statement *s)
{
	const char *text = w->c->text, *mark = WAS, *lf;
	size_t at;

	for (at = s->start; at < s->end; at = lf ? (size_t)(lf - text) + 1 : s->end) {
		lf = memchr(text + at, '\n', s->end - at);
		if (add_edit(w, at, 0, mark) == -1)
			return -1;
		mark = MORE;
	}
	return 0;
}

/* ---- values that stand there ---- */

/* Replace values in their places. */
static int
replace_values(struct work *w)
{
	size_t i;

	for (i = 0; i < w->change_count; i++) {
		struct change *c = &w->changes[i];
		const struct toml_entry *e = c->wanted ? toml_find(w->c->toml, c->key) : NULL;
		const char *text;

		if (is_stopped(w))
			return -1;
		if (!e)
			continue;
		c->done = true;
		w->fates[e->statement].edited = true;
		if (!e->len) { /* {a, b} */
			add_form(w, e->key, e->top, &w->c->toml->statements[e->statement]);
			continue;
		}
		text = spelling(w, c->key, c->wanted);
		if (!text || add_edit(w, e->at, e->len, text) == -1)
			return -1;
	}
	return 0;
}

/* ---- the place of a new key ---- */

/* What the file has at one of the tables that a key is in, or at the key. */
struct level {
	size_t len;                         /* of the table's name, in the key */
	const struct toml_statement *any;   /* something of that name, or below it */
	const struct toml_statement *value; /* it is a value, or in one */
	size_t value_len;                   /* of that one's key */
	const struct toml_statement *header;
	/* the table that its keys are written in, and its statements around the key, or NULL */
	const char *table;
	const struct toml_statement *before, *behind;
};

/*
 * A key may be written below its table's header, or with dots below a header above. In valid TOML
 * a table has its keys in one way only, but may have more tables below in both. What seems to be in
 * both is a name in quotes that has a dot: then the header counts, which comes first in the order.
 */
static void
look_at_key(struct level *l, const char *key, const struct name *n)
{
	size_t depth = strlen(n->statement->table);

	if (l->len && n->top <= l->len) {
		l->value = n->statement;
		l->value_len = n->top;
	}
	if (depth > l->len || (l->header ? depth < l->len : l->table && strlen(l->table) < depth))
		return;
	if (!l->table || strlen(l->table) > depth)
		l->before = l->behind = NULL;
	l->table = n->statement->table;
	if (strcmp(n->text, key) < 0)
		l->before = n->statement;
	else if (!l->behind)
		l->behind = n->statement;
}

static void
look_at_header(struct level *l, const char *text, const struct name *n)
{
	const char *rest = n->text + l->len;

	if (!*rest) {
		l->header = n->statement;
		l->table = n->text;
	} else if (strlen(rest) == 5 && !strncmp(text + strspn(text, " \t"), "[[", 2)) {
		l->value = n->statement; /* a list of tables */
		l->value_len = l->len;
	}
}

/* Look at all keys and tables at the first len bytes of key, but for statements that go. */
static struct level
look(const struct work *w, const char *key, size_t len)
{
	struct level l = { .len = len };
	size_t i = sorted_first(w->names, w->name_count, sizeof(*w->names), key, len);

	for (; i < w->name_count && !strncmp(w->names[i].text, key, len); i++) {
		const struct name *n = &w->names[i];

		if ((len && n->text[len] && n->text[len] != '.') || is_gone(w, n->statement))
			continue;
		l.any = n->statement;
		if (n->statement->kind == TOML_TABLE)
			look_at_header(&l, w->c->text + n->statement->start, n);
		else
			look_at_key(&l, key, n);
	}
	return l;
}

/* The length of the name of the table that holds this key or table. */
static size_t
length_above(const char *key, size_t len)
{
	size_t above = 0, end;

	for (end = changeset_name_end(key, 0); end < len; end = changeset_name_end(key, end + 1))
		above = end;
	return above;
}

/* Add a line for a new key where its table is. */
static int
insert_line(struct work *w, struct change *c, const struct level *l)
{
	const struct toml_statement *s = l->before ? l->before : l->behind ? l->behind : l->header;
	size_t at = !s ? 0 : s == l->behind ? s->start : s->end;
	struct buf line = { 0 };
	int r;

	if (at && w->c->text[at - 1] != '\n') {
		if (s == l->header)
			return err_set(w->err, ERR_REFUSED,
			    "line %u: there is no line end behind this header: add one first",
			    s->line);
		at = s->start;
	}
	if (l->header)
		fate_of(w, l->header)->used = true;
	r = add_line(w, &line, l->table, c);
	if (r == 0)
		r = add_edit(w, at, 0, copy_of(w, &line));
	buf_free(&line);
	return r;
}

/*
 * Find the place of a new key, from the deepest of its tables upwards. Where nothing but a table
 * below one is there, that one can be a new table, as the first of its names can. Without a header
 * the file is one table.
 */
static int
insert_key(struct work *w, struct change *c)
{
	size_t whole = strlen(c->key), len = whole;
	const struct toml_statement *below = look(w, c->key, whole).any;
	struct level l;

	do {
		len = length_above(c->key, len);
		l = len || !w->first ? look(w, c->key, len) : (struct level){ 0 };
	} while (!l.any && len);
	if ((below || l.value) && !w->c->plan->clearing) {
		add_form(w, c->key, below ? whole : l.value_len, below ? below : l.value);
		return 0;
	}
	if (!len && !w->first)
		l.table = "";
	if (l.table)
		return insert_line(w, c, &l);
	len = len ? len : changeset_name_end(c->key, 0);
	c->table = pool_copy(w->pool, c->key, len < whole ? len : 0);
	return 0;
}

static int
insert_keys(struct work *w)
{
	size_t i;

	for (i = 0; i < w->change_count; i++) {
		struct change *c = &w->changes[i];

		if (is_stopped(w) || (c->wanted && !c->done && insert_key(w, c) == -1))
			return -1;
	}
	return 0;
}

/* Put the new tables in front of the first header, so that nothing else falls into them. */
static int
write_tables(struct work *w)
{
	struct buf block = { 0 };
	size_t i, j;
	int r = 0;

	for (i = 0; i < w->change_count; i++) {
		const char *table = w->changes[i].table;

		if (!table || w->changes[i].done)
			continue;
		if (*table) {
			buf_char(&block, '[');
			changeset_write_names(&block, w->changes[i].key, 0, strlen(table));
			buf_printf(&block, "]%s%s", w->c->plan->clearing ? "" : NEW, w->line_end);
		}
		for (j = i; j < w->change_count && r == 0; j++) {
			struct change *c = &w->changes[j];

			if (!c->table || c->done || strcmp(c->table, table) != 0)
				continue;
			c->done = true;
			r = add_line(w, &block, table, c);
		}
	}
	if (r == 0 && (block.len || block.failed))
		r = add_edit(w, w->first->start, 0, copy_of(w, &block));
	buf_free(&block);
	return r;
}

/* ---- what goes ---- */

/* Is it a table that a stage added, and will it have no lines? */
static bool
is_left_empty(const struct work *w, const struct toml_statement *s)
{
	const struct toml *t = w->c->toml;
	const char *table = s->table;
	size_t len = s->end - s->start;

	while (len && strchr("\r\n", w->c->text[s->start + len - 1]))
		len--;
	if (s->kind != TOML_TABLE || fate_of(w, s)->used || len < strlen(NEW) ||
	    memcmp(w->c->text + s->start + len - strlen(NEW), NEW, strlen(NEW)) != 0)
		return false;
	do {
		s++;
	} while (s < t->statements + t->statement_count && is_gone(w, s));
	return s == t->statements + t->statement_count || s->table != table;
}

static int
remove_statements(struct work *w)
{
	size_t i;

	for (i = 0; i < w->c->toml->statement_count; i++) {
		const struct toml_statement *s = &w->c->toml->statements[i];
		int r = 0;

		if (is_gone(w, s) && w->fates[i].original)
			r = comment_out(w, s);
		else if (is_gone(w, s) || is_left_empty(w, s))
			r = add_edit(w, s->start, s->end - s->start, "");
		if (r == -1)
			return -1;
	}
	return 0;
}

/*
 * A statement can't lose some of its keys alone. And show no edit if a line that changes holds
 * other settings: they may be secrets.
 */
static void
check_others(struct work *w)
{
	const struct toml *t = w->c->toml;
	size_t i;

	for (i = 0; i < t->entry_count; i++) {
		const struct toml_entry *e = &t->entries[i];
		const struct toml_statement *s = &t->statements[e->statement];

		fate_of(w, s)->seen++;
		if (fate_of(w, s)->removed && !is_gone(w, s))
			add_form(w, e->key, e->top, s);
		w->edits->hidden |= fate_of(w, s)->edited && !find_change(w, e->key) &&
		    !strstr(e->key, ".proxy.trusted-networks.");
	}
	for (i = 0; i < t->statement_count; i++)
		w->edits->hidden |= w->fates[i].edited &&
		    w->fates[i].seen < t->statements[i].entries;
}

/* ---- the result ---- */

/*
 * The first key that is not as planned in the new text, or NULL. A key that the plan does not
 * change must have its old value. If it has to stop, which pool_check tells, it may be any.
 */
static const char *
find_wrong(const struct work *w, const struct toml *new)
{
	const struct toml *old = w->c->toml;
	size_t i = 0, j = 0;
	int order;

	while (!is_stopped(w) && (i < old->entry_count || j < new->entry_count)) {
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
	for (i = 0; !is_stopped(w) && i < w->change_count; i++) {
		const struct toml_entry *e = toml_find(new, w->changes[i].key);

		if (!settings_same(e ? e->value : NULL, w->changes[i].wanted))
			return w->changes[i].key;
	}
	return NULL;
}

static int
verify(struct work *w, const struct buf *out)
{
	struct pool pool = { .stop = w->pool->stop };
	struct toml new;
	const char *wrong = NULL;
	int r = toml_read_some(
	    &new, &pool, w->c->filter, "", out->data, out->len, w->c->old_keys, w->err);

	if (r == 0) {
		wrong = find_wrong(w, &new);
		if (!wrong && new.digest != w->c->toml->digest)
			wrong = "another key";
		r = is_stopped(w) ? -1 : 0;
	} else if (w->err->kind == ERR_REFUSED) {
		err_add(w->err, "(in the new text of the file)");
	}
	if (r == 0 && wrong)
		r = err_set(w->err, ERR_REFUSED,
		    "after the edit %.120s would not have the planned value: put that key on a "
		    "line of its own first",
		    wrong);
	pool_free(&pool);
	return r;
}

/* ---- all of it ---- */

static void
add_name(struct work *w, const char *text, size_t top, unsigned statement)
{
	struct name *n = &w->names[w->name_count++];

	n->text = text;
	n->top = top;
	n->statement = &w->c->toml->statements[statement];
}

/* Take the file's keys and tables, sorted. */
static void
take_names(struct work *w)
{
	const struct toml *t = w->c->toml;
	size_t room = t->entry_count + t->other_count, i;

	for (i = 0; i < t->statement_count; i++)
		room += t->statements[i].kind == TOML_TABLE;
	w->names = pool_zero(&w->early, (room + 1) * sizeof(*w->names));
	w->pool->failed |= w->early.failed;
	if (!w->names)
		return;
	for (i = 0; i < t->entry_count; i++)
		add_name(w, t->entries[i].key, t->entries[i].top, t->entries[i].statement);
	for (i = 0; i < t->other_count; i++)
		add_name(w, t->others[i].key, t->others[i].top, t->others[i].statement);
	for (i = t->statement_count; i--;) {
		if (t->statements[i].kind != TOML_TABLE)
			continue;
		add_name(w, t->statements[i].table, 0, (unsigned)i);
		w->first = &t->statements[i];
	}
	pool_sort(w->pool, w->names, w->name_count, sizeof(*w->names), compare);
}

/* Take the plan's changes, sorted. 0 or -1. */
static int
begin(struct work *w)
{
	const struct plan *p = w->c->plan;
	struct change *change;
	size_t i;

	w->fates = pool_zero(&w->early, (w->c->toml->statement_count + 1) * sizeof(*w->fates));
	for (i = 0; i < p->key_count; i++) {
		const struct plan_key *k = &p->keys[i];

		if (!k->write)
			continue;
		change = pool_add(w->pool, w->changes, w->change_count);
		change->key = k->key;
		change->wanted = k->wanted;
		change->original = k->original;
	}
	if (!w->pool->failed)
		pool_sort(w->pool, w->changes, w->change_count, sizeof(*w->changes), compare);
	take_names(w);
	return pool_check(w->pool, w->err);
}

static int
refuse_forms(struct work *w)
{
	return err_refuse(w->err, REFUSAL_INLINE_TABLE,
	    "a key can't be added to or taken out of an inline table ({...}), a list or a value: "
	    "%.900s. Write each as a table first, with a header and a line for each key; an empty "
	    "list can be deleted. Or leave it out (--leave ID, --skip GROUP).",
	    w->forms.data);
}

/* New lines end like the last complete line of the file. */
static const char *
line_end_of(const char *text, size_t len)
{
	while (len && text[len - 1] != '\n')
		len--;
	return len > 1 && text[len - 2] == '\r' ? "\r\n" : "\n";
}

/* At one offset the edits stay in this order: new lines, new tables, the marks of a comment. */
static int
make_edits(struct work *w, struct buf *out)
{
	if (begin(w) == -1)
		return -1;
	count_removed(w);
	if (restore_comments(w) == -1 || replace_values(w) == -1 || insert_keys(w) == -1 ||
	    write_tables(w) == -1 || remove_statements(w) == -1)
		return -1;
	check_others(w);
	if (w->forms.failed || pool_check(w->pool, w->err) == -1)
		return err_memory(w->err);
	if (w->forms.len)
		return refuse_forms(w);
	edits_apply(out, w->edits, w->c->text, 0, w->c->len);
	pool_free(&w->early);
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
	};
	int r = make_edits(&w, out);

	if (r == -1)
		edits->count = 0;
	pool_free(&w.early);
	buf_free(&w.forms);
	return r;
}
