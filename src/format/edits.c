#include "format/edits.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"

#include <string.h>

int
edits_add(
    struct edits *e, struct pool *pool, size_t at, size_t len, const char *text, struct err *err)
{
	struct edit *x = pool_add(pool, e->items, e->count);

	if (pool_check(pool, err) == -1)
		return -1;
	/* An insertion goes before what replaces the bytes there. */
	for (; x > e->items && (x[-1].at > at || (x[-1].at == at && !len > !x[-1].len)); x--)
		*x = x[-1];
	*x = (struct edit){ .at = at, .len = len, .text = text };
	return 0;
}

void
edits_apply(struct buf *out, const struct edits *e, const char *text, size_t from, size_t to)
{
	size_t i;

	for (i = 0; i < e->count; i++) {
		const struct edit *x = &e->items[i];

		if (x->at < from || x->at > to || x->at + x->len > to)
			continue;
		buf_add(out, text + from, x->at - from);
		buf_str(out, x->text);
		from = x->at + x->len;
	}
	buf_add(out, text + from, to - from);
}

/* Where the line at this offset begins, and where the next one does. */
static size_t
line_start(const char *text, size_t at)
{
	while (at && text[at - 1] != '\n')
		at--;
	return at;
}

static size_t
line_end(const char *text, size_t len, size_t at)
{
	const char *lf = at < len ? memchr(text + at, '\n', len - at) : NULL;

	return lf ? (size_t)(lf - text) + 1 : len;
}

static size_t
count_lines(const char *text, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++)
		n += text[i] == '\n';
	return n + (len && text[len - 1] != '\n');
}

/* Does an edit remove and add whole lines only? Then the line at its start is not changed. */
static bool
is_whole(const struct edit *x, const char *text)
{
	size_t n = strlen(x->text);

	return (!x->at || text[x->at - 1] == '\n') &&
	    (!x->len || text[x->at + x->len - 1] == '\n') && (!n || x->text[n - 1] == '\n');
}

static void
add_side(struct buf *out, char sign, const char *text, size_t len)
{
	size_t i, end;

	for (i = 0; i < len; i = end) {
		end = line_end(text, len, i);
		buf_char(out, sign);
		buf_add(out, text + i, end - i);
	}
	if (len && text[len - 1] != '\n')
		buf_str(out, "\n\\ No newline at end of file\n");
}

static void
add_range(struct buf *out, char sign, size_t before, size_t lines)
{
	buf_printf(out, "%c%zu", sign, before + (lines != 0));
	if (lines != 1)
		buf_printf(out, ",%zu", lines);
}

void
edits_diff(struct buf *out, const struct edits *e, const char *name, const char *text, size_t len)
{
	size_t i = 0, seen = 0, before = 0, shift = 0, start, end, old_lines, new_lines;
	struct buf new = { 0 };

	if (e->hidden) {
		buf_str(out,
		    "The differences are not shown: a line that changes also holds other settings, "
		    "which may be secret.\n");
		return;
	}
	for (i = 0; i < 2 && e->count; i++) {
		buf_str(out, i ? "\n+++ " : "--- ");
		buf_clean(out, name, strlen(name), (size_t)-1);
	}
	buf_str(out, e->count ? "\n" : "");
	i = 0;
	while (i < e->count) {
		start = end = line_start(text, e->items[i].at);
		do {
			const struct edit *x = &e->items[i];
			size_t last = is_whole(x, text)
			    ? x->at + x->len
			    : line_end(text, len, x->at + x->len - (x->len != 0));

			end = last > end ? last : end;
		} while (++i < e->count && line_start(text, e->items[i].at) <= end);
		buf_reset(&new);
		edits_apply(&new, e, text, start, end);
		before += count_lines(text + seen, start - seen);
		old_lines = count_lines(text + start, end - start);
		new_lines = count_lines(new.data ? new.data : "", new.len);
		buf_str(out, "@@ ");
		add_range(out, '-', before, old_lines);
		buf_char(out, ' ');
		add_range(out, '+', before + shift, new_lines);
		buf_str(out, " @@\n");
		add_side(out, '-', text + start, end - start);
		add_side(out, '+', new.data, new.len);
		/* wraps around when lines are removed, and back in the sum */
		shift += new_lines - old_lines;
		before += old_lines;
		seen = end;
	}
	out->failed |= new.failed;
	buf_free(&new);
}
