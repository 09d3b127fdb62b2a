/*
 * fuzz_config.c - a config.toml: read, staged, staged with other options, appended to, cleared.
 * After each edit the text reads as the plan says and all else as before; what is appended is what
 * it would have been behind the first text; clear gives the first bytes and leaves it. A value or a
 * key that is written reads back.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/pool.h"
#include "cmd/cli.h"
#include "format/edits.h"
#include "format/toml.h"
#include "plan/configedit.h"
#include "plan/plan_clear.h"
#include "plan/plan_stage.h"
#include "plan/plan_status.h"
#include "plan/plan_uses.h"
#include "settings/part.h"
#include "settings/settings.h"

enum { WORDS_MAX = 24, STAGES = 3 };

static const char *const stages[STAGES][WORDS_MAX] = {
	{ "stage", "--config", "x", "--proxy", "203.0.113.10", "--public-url",
	    "https://mail.example.org", "--dialect", "0.15" },
	{ "stage", "--config", "x", "--proxy", "2001:db8::/64", "--relay", "new.example.org",
	    "--skip", "checks,url", "--dialect", "0.15" },
	{ "stage", "--config", "x", "--proxy", "203.0.113.10", "--only", "listeners", "--listener",
	    "imap", "--dialect", "0.15" },
};

/* A file, as the commands would have it. */
struct world {
	struct pool pool;
	struct buf text;
	struct toml toml;    /* what a run keeps of it */
	struct settings now; /* all of it */
	struct options o;
	struct part part; /* what the snapshot says of it */
	bool has_part;
	const struct request *stored; /* and what was asked for */
	struct plan plan;
};

static struct plan_uses uses = { .new_server = "192.0.2.7" };
static const struct toml_filter filter = { .use = plan_uses, .ctx = &uses };

static bool
read_text(struct world *w)
{
	struct toml all;
	struct err err, same;
	size_t i, n = 0;
	int r;

	err_clear(&err);
	err_clear(&same);
	r = toml_read(&all, &w->pool, "", w->text.data, w->text.len, false, &err);
	CHECK(toml_read_some(
		  &w->toml, &w->pool, &filter, "", w->text.data, w->text.len, false, &same) == r,
	    "what is dropped matters: %s, %s", err.text, same.text);
	if (r == -1) {
		check_err(&err);
		check_err(&same);
		return false;
	}
	CHECK(settings_from_toml(&w->now, &w->pool, &all, &err) == 0, "no settings");
	for (i = 0; i < all.entry_count; i++) {
		const struct toml_entry *e = &all.entries[i];
		const struct toml_entry *kept = toml_find(&w->toml, e->key);

		n += kept != NULL;
		CHECK((plan_uses(&uses, e->key) == TOML_KEEP) == (kept != NULL) &&
			(!kept || (!strcmp(kept->value, e->value) && kept->at == e->at)),
		    "%s is dropped, or should be", e->key);
	}
	CHECK(n == w->toml.entry_count && n + w->toml.dropped == all.entry_count &&
		w->toml.new_keys == all.new_keys,
	    "%zu keys", n);
	return true;
}

static void
take_options(struct world *w, const char *const *words)
{
	char *own[WORDS_MAX];
	int n = 0;

	while (n < WORDS_MAX && words[n]) {
		own[n] = pool_str(&w->pool, words[n]);
		n++;
	}
	CHECK(options_parse(&w->o, cli_commands, &w->pool, n, own, NULL) == 0,
	    "the target's options");
}

/* What the plan did not change reads as before, and what it did as it says. */
static void
check_settings(const struct world *w, const struct settings *before)
{
	size_t i, j;

	for (i = 0; i < w->plan.key_count; i++) {
		const struct plan_key *k = &w->plan.keys[i];

		CHECK(!k->write || same_text(settings_get(&w->now, k->key), k->wanted),
		    "%s is not as planned", k->key);
	}
	for (i = 0; i < before->count + w->now.count; i++) {
		const char *key = i < before->count ? before->items[i].key
						    : w->now.items[i - before->count].key;

		for (j = 0; j < w->plan.key_count &&
		    !(w->plan.keys[j].write && !strcmp(w->plan.keys[j].key, key));
		    j++)
			;
		CHECK(j < w->plan.key_count ||
			same_text(settings_get(before, key), settings_get(&w->now, key)),
		    "%s was changed", key);
	}
}

/* Any edit can be shown. */
static void
check_difference(const struct edits *edits, const char *text, size_t len)
{
	struct buf out = { 0 };

	edits_diff(&out, edits, "x", text, len);
	CHECK(!out.failed && (out.len > 0) == (edits->count > 0), "no difference");
	buf_free(&out);
}

/* Carry out the plan. false: it can't be, which is said. */
static bool
edit(struct world *w)
{
	struct configedit c = {
		.text = w->text.data,
		.len = w->text.len,
		.toml = &w->toml,
		.filter = &filter,
		.plan = &w->plan,
		.snapshot = w->has_part ? &w->part : NULL,
	};
	struct settings before = w->now;
	struct edits edits = { 0 };
	struct buf out = { 0 };
	struct err err;

	err_clear(&err);
	if (configedit_make(&c, &w->pool, &edits, &out, &err) == -1) {
		check_err(&err);
		buf_free(&out);
		return false;
	}
	check_difference(&edits, w->text.data, w->text.len);
	buf_free(&w->text);
	w->text = out;
	CHECK(read_text(w), "the new text can't be read");
	check_settings(w, &before);
	return true;
}

/* The part after this run, as target_snapshot.c makes it; the edit goes by the one before. */
static struct part
next_part(struct world *w)
{
	struct part s = { .state = PART_PLANNED };
	const struct part *old = w->has_part ? &w->part : NULL;
	const struct toml_entry *e;
	size_t i;

	plan_fill_part(&w->plan, w->o.request.groups, old, &s, &w->pool);
	for (i = 0; i < s.count; i++) {
		if (s.keys[i].written) /* it may be the options', which the next stage overwrites */
			s.keys[i].written = pool_str(&w->pool, s.keys[i].written);
		e = s.keys[i].text ? NULL : toml_find(&w->toml, s.keys[i].key);
		if (e && e->len && settings_same(e->value, s.keys[i].before))
			s.keys[i].text = pool_copy(&w->pool, w->text.data + e->at, e->len);
	}
	plan_mark_proved(&w->plan, w->o.request.groups, old, &s);
	return s;
}

static bool
make_plan(struct world *w,
    int (*planner)(struct plan *, struct pool *, const struct plan_input *, struct err *))
{
	struct plan_input in = {
		.snapshot_place = "",
		.now = &w->now,
		.request = &w->o.request,
		.part = w->has_part ? &w->part : NULL,
		.stored = w->stored,
		.minor_first = 8,
		.minor_last = 15,
		.file = true,
	};
	struct err err;

	err_clear(&err);
	CHECK(planner(&w->plan, &w->pool, &in, &err) == 0, "no plan: %s", err.text);
	return !message_refusals(&w->plan.messages);
}

/* Append a line and a table, if that can be read behind the first text: what it means stays. */
static void
append(struct world *w, struct buf *first)
{
	static const char line[] = "zz.y = 1\n[zz.x] # z\n";
	struct buf both = { 0 };
	struct toml t;
	size_t i;

	buf_add(&both, first->data, first->len);
	buf_str(&both, line);
	CHECK(!both.failed, "no memory");
	if (toml_read(&t, &w->pool, "", both.data, both.len, false, NULL) == 0) {
		buf_str(&w->text, line);
		CHECK(read_text(w), "the appended line can't be read");
		for (i = 0; i < t.entry_count; i++) {
			const char *at = strstr(t.entries[i].key, "zz.y");

			CHECK(!at || at[4] || settings_get(&w->now, t.entries[i].key), "%s is lost",
			    t.entries[i].key);
		}
		buf_reset(first);
		buf_add(first, both.data, both.len);
	}
	buf_free(&both);
}

/* Stage that often, append, then clear. */
static void
go(const uint8_t *data, size_t size, int times)
{
	static const char *const clear[] = { "clear", "--config", "x", NULL };
	struct world w = { 0 };
	struct buf first = { 0 };
	struct part next;
	int i;

	buf_add(&first, (const char *)data, size);
	buf_add(&w.text, (const char *)data, size);
	if (!buf_text(&w.text) || !read_text(&w) ||
	    !settings_has_prefix(&w.now, "server.listener."))
		goto done;
	for (i = 0; i < times; i++) {
		take_options(&w, stages[i]);
		if (!make_plan(&w, plan_stage))
			goto done;
		next = next_part(&w);
		if (w.plan.write_count && !edit(&w))
			goto done;
		w.stored = request_keep(&w.pool, &w.o.request, w.stored);
		CHECK(w.stored, "no memory");
		w.part = next;
		w.has_part = true;
	}
	append(&w, &first);
	take_options(&w, clear);
	CHECK(make_plan(&w, plan_clear), "clear is refused");
	CHECK(!w.plan.write_count || edit(&w), "it can't be cleared");
	CHECK(w.text.len == first.len && !memcmp(w.text.data, first.data, first.len),
	    "cleared after %d: not the same bytes:\n%s", times, w.text.data);
done:
	buf_free(&first);
	buf_free(&w.text);
	pool_free(&w.pool);
}

/* What is written reads back. */
static void
check_written(const char *value)
{
	struct pool pool = { 0 };
	struct buf line = { 0 };
	struct toml t;

	buf_str(&line, "k = ");
	if (toml_write_value(&line, value) == 0) {
		buf_char(&line, '\n');
		CHECK(toml_read(&t, &pool, "", line.data, line.len, true, NULL) == 0 &&
			t.entry_count == 1,
		    "not read: %s", line.data);
		CHECK(!strcmp(t.entries[0].value, value), "read otherwise: %s", line.data);
	}
	buf_reset(&line);
	changeset_write_names(&line, value, 0, strlen(value));
	buf_str(&line, " = 1\n");
	if (*value && !strpbrk(value, "\\\n\r") &&
	    toml_read(&t, &pool, "", line.data, line.len, true, NULL) == 0 && !t.no_utf8)
		CHECK(t.entry_count == 1 && !strcmp(t.entries[0].key, value), "another key: %s",
		    line.data);
	pool_free(&pool);
	buf_free(&line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size);
	int times;

	check_written(text);
	/* Marks that somebody else wrote are taken for stalprep's. */
	if (!strstr(text, TOML_MARK)) {
		for (times = 1; times <= STAGES; times++)
			go(data, size, times);
	}
	free(text);
	return 0;
}
