/*
 * test_work.c - work grows with the settings, not with their square: all comparisons of strings are
 * counted, since a time would depend on the machine; and a signal, or --max-time's, ends it
 */
#include "plan_help.h"

#include "format/edits.h"
#include "format/toml.h"
#include "plan/configedit.h"

#include <signal.h>

enum { SMALL = 90, LARGE = 900, MOST = 16 }; /* 10 * log(900) / log(90) = 15.1 */

static unsigned long compared, stop_at; /* 0: never */
static volatile sig_atomic_t stop;

/* In place of the library's own. */
int
strcmp(const char *a, const char *b)
{
	if (++compared == stop_at)
		stop = SIGTERM;
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

int
strncmp(const char *a, const char *b, size_t n)
{
	if (++compared == stop_at)
		stop = SIGTERM;
	while (n && *a && *a == *b)
		a++, b++, n--;
	return n ? (unsigned char)*a - (unsigned char)*b : 0;
}

/* Listeners, each with a scalar of its own, and global networks that they copy or have. */
static void
begin(struct world *w, int n, bool own)
{
	struct buf lines = { 0 };
	int i;

	buf_str(&lines, SMTP);
	for (i = 0; i < n; i++) {
		buf_printf(&lines, LISTENER("imap%04d", "imap", "[::]:143"), i, i);
		if (own)
			buf_printf(&lines,
			    "server.listener.imap%04d.proxy.trusted-networks = 198.51.100.7\n", i);
	}
	buf_printf(&lines, "server.proxy.trusted-networks.0 = 198.51.100.0/24\n");
	world_begin(w, buf_text(&lines));
	buf_free(&lines);
}

/* A server without a snapshot, staged and cleared by the options. */
static void
without(struct world *w)
{
	world_plan(w, plan_status, "status " WHOLE);
	part_empty(&w->part);
	w->has_part = false;
	world_plan(w, plan_stage, "stage " WHOLE);
	world_plan(w, plan_clear, "clear " WHOLE);
}

static void
again(struct world *w)
{
	world_plan(w, plan_stage, "stage --proxy 192.0.2.7 --only listeners");
	world_keep(w, PART_SENDING);
	world_plan(w, plan_status, "status ");
	world_plan(w, plan_clear, "clear ");
}

static const struct {
	const char *what;
	bool own, staged;
	void (*work)(struct world *w);
} cases[] = {
	{ "nothing staged", false, false, without },
	{ "nothing staged, networks of their own", true, false, without },
	{ "staged, no snapshot", false, true, without },
	{ "staged, networks of their own, no snapshot", true, true, without },
	{ "staged", false, true, again },
	{ "staged, networks of their own", true, true, again },
};

static unsigned long
count(size_t i, int n)
{
	struct world w;

	begin(&w, n, cases[i].own);
	if (cases[i].staged) {
		world_plan(&w, plan_stage, "stage " WHOLE);
		CHECK(!refusal_of(&w.plan), "%s", refusal_of(&w.plan));
		world_keep(&w, PART_PROVED);
	}
	compared = 0;
	cases[i].work(&w);
	world_end(&w);
	return compared;
}

static void
test_plans(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		unsigned long small = count(i, SMALL), large = count(i, LARGE);

		CHECK(large < small * MOST, "%s: %lu comparisons for %d listeners, %lu for %d",
		    cases[i].what, small, SMALL, large, LARGE);
	}
}

/* A file that is in order but for its tables. */
static unsigned long
read_file(int n)
{
	struct pool pool = { 0 };
	struct buf text = { 0 };
	struct settings s;
	struct toml t;
	struct err err;
	int i;

	for (i = 0; i < n; i++)
		buf_printf(&text, "[b%d]\nx = [1, 2]\n[a%d]\nx = {y = 1}\n", i * 7919 % n, i);
	compared = 0;
	CHECK(toml_read(&t, &pool, "", text.data, text.len, false, &err) == 0 &&
		settings_from_toml(&s, &pool, &t, &err) == 0,
	    "%s", err.text);
	assert_int_equal(s.count, 3 * (size_t)n);
	pool_free(&pool);
	buf_free(&text);
	return compared;
}

static void
test_file(void **state)
{
	unsigned long small = read_file(SMALL), large = read_file(LARGE);

	(void)state;
	CHECK(large < small * MOST, "%lu comparisons, then %lu", small, large);
}

static void
test_stopped(void **state)
{
	static const struct {
		planner *make;
		const char *line;
	} plans[] = {
		{ plan_stage, "stage " WHOLE },
		{ plan_status, "status " WHOLE },
		{ plan_clear, "clear " WHOLE },
	};
	static const struct {
		int signal;
		enum err_kind kind;
	} signals[] = { { SIGINT, ERR_INTERRUPT }, { SIGALRM, ERR_REACH } };
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(plans); i++) {
		for (j = 0; j < COUNT(signals); j++) {
			struct world w;
			struct err err;

			begin(&w, SMALL, false);
			stop = signals[j].signal;
			w.stop = &stop;
			CHECK(world_try(&w, plans[i].make, plans[i].line, &err) == -1 &&
				err.kind == signals[j].kind,
			    "%s: not stopped", plans[i].line);
			world_end(&w);
		}
	}
}

/* A file of LARGE listeners is read, a network is added to each, and the new text is checked. */
static int
stage_file(struct err *err)
{
	struct pool pool = { .stop = &stop };
	struct edits edits = { 0 };
	struct plan plan = { 0 };
	struct buf text = { 0 }, out = { 0 };
	struct configedit c;
	struct toml t;
	int i, r;

	for (i = 0; i < LARGE; i++)
		buf_printf(&text, "server.listener.imap%04d.bind = 'x'\n", i * 7919 % LARGE);
	plan.keys = calloc(LARGE, sizeof(*plan.keys));
	assert_non_null(plan.keys);
	for (i = 0; i < LARGE; i++) {
		struct plan_key *k = &plan.keys[plan.key_count++];

		k->key = changeset_listener_key(&pool, pool_printf(&pool, "imap%04d", i), "x");
		k->wanted = "1";
		k->write = true;
	}
	c = (struct configedit){ .text = text.data, .len = text.len, .toml = &t, .plan = &plan };
	compared = 0;
	stop = 0;
	r = toml_read(&t, &pool, "", text.data, text.len, false, err);
	if (r == 0)
		r = configedit_make(&c, &pool, &edits, &out, err);
	free(plan.keys);
	buf_free(&text);
	buf_free(&out);
	pool_free(&pool);
	return r;
}

/* Wherever it is: in the read, a sort, the edits, the read of the new text, the comparison. */
static void
test_stop(void **state)
{
	enum { STEPS = 100 };
	struct err err;
	unsigned long all, at;

	(void)state;
	stop_at = 0;
	CHECK(stage_file(&err) == 0, "%s", err.text);
	all = compared;
	for (at = 1; at < all; at += all / STEPS) {
		stop_at = at;
		CHECK(stage_file(&err) == -1 && err.kind == ERR_INTERRUPT && err.code == SIGTERM,
		    "at %lu of %lu: not stopped", at, all);
		CHECK(compared - at < all / STEPS, "at %lu of %lu: %lu comparisons more", at, all,
		    compared - at);
	}
	stop_at = 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plans),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
