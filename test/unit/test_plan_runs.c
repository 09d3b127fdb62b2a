/*
 * test_plan_runs.c - whatever runs came before and however they ended, clear brings back what stood
 * without them
 */
#include "plan_help.h"

#define LIST(id)     "server.listener." id ".proxy.trusted-networks"
#define OURS_NETWORK "203.0.113.10/32"

enum { ROUNDS = 1000, STEPS = 10 };

/* How a run may end. */
enum end {
	KILLED_PLANNED, /* the snapshot is there, nothing was sent */
	UNSENT,         /* the same, and the snapshot was taken back */
	CUT_OFF,        /* any part of it arrived, and it is not known which */
	PROVED,
	END_COUNT
};

static const char *const stages[] = {
	"stage " WHOLE,
	"stage --proxy 198.51.100.7 --public-url https://other.example.org",
	"stage --only checks",
	"stage " PROXY "--only listeners --listener https",
	"stage " PROXY "--proxy 198.51.100.7 --only listeners,checks",
	"stage --only url --public-url https://third.example.org",
	"stage --only outbound " RELAY,
};

/* What an administrator may set, each time to a value that nobody had before. */
static const struct {
	const char *key, *head, *tail; /* of the value, with a number between */
} hands[] = {
	{ LIST("imap"), "10.0.0.", "" },
	{ LIST("imap") ".0", "10.0.1.", "" },
	{ LIST("imap") ".1", "10.0.2.", "" },
	{ LIST("https") ".0", "10.0.3.", "" },
	{ "server.listener.imap.proxy.override", "not-", "" },
	{ "auth.dkim.verify", "word-", "" },
	{ "auth.arc.verify", "word-", "" },
	{ "http.url", "'https://", ".example.org'" },
	{ "queue.strategy.route", "'route-", "'" },
};

static unsigned seed;

static unsigned
dice(unsigned sides)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % sides;
}

/*
 * What a write that was cut off leaves: each key is the old or the new, or away where a local one
 * is written anew.
 */
static void
write_some(struct world *w)
{
	size_t i;

	for (i = 0; i < w->plan.key_count; i++) {
		const struct plan_key *k = &w->plan.keys[i];

		if (!k->write || dice(2))
			continue;
		world_set(w, k->key,
		    k->local && same_text(k->now, k->wanted) ? NULL : kept(w, k->wanted));
	}
}

static void
end_run(struct world *w, enum end end)
{
	if (end == PROVED)
		world_write(w);
	else if (end == CUT_OFF)
		write_some(w);
}

static void
stage(struct world *w)
{
	struct part old = w->part;
	bool had = w->has_part;
	enum end end = (enum end)dice(END_COUNT);

	world_plan(w, plan_stage, stages[dice(COUNT(stages))]);
	if (refusal_of(&w->plan) || !w->plan.write_count)
		return;
	world_keep(w,
	    end == PROVED                                              ? PART_PROVED
		: end == CUT_OFF || (had && old.state == PART_SENDING) ? PART_SENDING
								       : PART_PLANNED);
	end_run(w, end);
	if (end == UNSENT) {
		w->part = old;
		w->has_part = had;
	} else if (w->part.state == PART_PLANNED) {
		part_forget_plan(&w->part); /* as the next run loads it */
		w->has_part = w->part.count > 0;
	}
}

/* A clear that was cut off. */
static void
begin_clear(struct world *w)
{
	if (!w->has_part)
		return;
	world_plan(w, plan_clear, "clear");
	w->part.state = PART_SENDING;
	end_run(w, dice(2) ? CUT_OFF : UNSENT);
}

/* Somebody sets a key, or takes it away, unless that could not be told from what we do or did. */
static void
change(struct world *w, struct world *truth)
{
	static unsigned n;
	size_t i = dice(COUNT(hands)), j;
	const struct part_key *old = w->has_part ? part_find(&w->part, hands[i].key) : NULL;
	bool away = !dice(4) && settings_get(&w->now, hands[i].key) &&
	    !(old && part_accounts_for(old, NULL));

	n = n % 250 + 1;
	for (j = 0; j < 2; j++) {
		struct world *x = j ? truth : w;

		world_set(x, hands[i].key,
		    away ? NULL : pool_printf(&x->pool, "%s%u%s", hands[i].head, n, hands[i].tail));
	}
}

/* Somebody saves the listener in the administration page (server-facts): nothing that he set. */
static void
save_page(struct world *w, const struct world *truth)
{
	if (!same_text(settings_get(&w->now, LIST("imap") ".0"), OURS_NETWORK) ||
	    settings_get(&w->now, LIST("imap") ".1") || settings_get(&w->now, LIST("imap")) ||
	    settings_has_prefix(&truth->now, LIST("imap")))
		return;
	world_set(w, LIST("imap") ".0", NULL);
	world_set(w, LIST("imap"), OURS_NETWORK);
}

/* Every key is as in truth, or was named and left as it was. */
static void
check_back(struct world *w, const struct world *truth, unsigned round)
{
	size_t i;

	world_plan(w, plan_clear, "clear");
	CHECK(!refusal_of(&w->plan), "round %u: refused (%s)", round, refusal_of(&w->plan));
	world_write(w);
	for (i = 0; i < w->now.count; i++) {
		const char *key = w->now.items[i].key, *value = settings_get(&truth->now, key);
		CHECK(same_text(w->now.items[i].value, value),
		    "round %u: %s is %s, and without us %s", round, key, w->now.items[i].value,
		    shown(value));
	}
	for (i = 0; i < truth->now.count; i++)
		CHECK(settings_get(&w->now, truth->now.items[i].key), "round %u: %s is gone", round,
		    truth->now.items[i].key);
}

static void
test_runs(void **state)
{
	unsigned round, step;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		struct world w, truth;

		seed = round;
		world_begin(
		    &w, DEFAULTS "auth.arc.verify = strict\n" LIST("https") " = 10.9.9.9\n");
		world_begin(
		    &truth, DEFAULTS "auth.arc.verify = strict\n" LIST("https") " = 10.9.9.9\n");
		for (step = 0; step < STEPS; step++) {
			switch (dice(6)) {
			case 0:
				begin_clear(&w);
				break;
			case 1:
				change(&w, &truth);
				break;
			case 2:
				save_page(&w, &truth);
				break;
			default:
				stage(&w);
			}
		}
		if (w.has_part)
			check_back(&w, &truth, round);
		else
			CHECK(!strcmp(lines_of(&w.pool, &w.now), lines_of(&truth.pool, &truth.now)),
			    "round %u: no snapshot, and changes", round);
		world_end(&w);
		world_end(&truth);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_runs) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
