/*
 * fuzz_plan.c - a server as lines: the options of a stage, those of a second one (or nothing),
 * which version and how it is read, then its settings as "key = value". What the plans say is done
 * to the settings as target.c does it. Then: no key of a listener on port 25 and no global list is
 * ever written; whoever was trusted still is, and the proxy too; status finds all of it; the same
 * again changes nothing; clear gives back the first settings, also where only some of the first
 * stage's writes arrived.
 */
#include "fuzz.h"

#include "base/pool.h"
#include "cmd/cli.h"
#include "plan/plan_clear.h"
#include "plan/plan_stage.h"
#include "plan/plan_status.h"
#include "settings/part.h"
#include "settings/settings.h"
#include "settings/trusted.h"

enum { WORDS_MAX = 40, SETTINGS_MAX = 200, STAGES = 2 };

/* What a server's answers may allow (api.c), and the letter that stands for it. */
static const struct {
	int first, last;
} versions[] = {
	{ 8, 8 },
	{ 9, 9 },
	{ 10, 10 },
	{ 11, 11 },
	{ 8, 11 },
	{ 12, 15 },
	{ 13, 15 },
	{ 14, 15 },
};

struct world {
	struct pool pool;
	struct settings first, now;
	int minor_first, minor_last;
	/* a second node: the database is the first one's to write */
	bool shared;
	/* the check of the server's rewrite of its file is made */
	bool rewrites;
	/* which of eight of the next write's keys never arrive, as bits */
	unsigned lost;
	/* something was staged over what another stage left: clear does not bring that back */
	bool unknown;
	struct options o;
	struct part part; /* what the snapshot says of it */
	bool has_part;
	const struct request *stored; /* and what was asked for */
	struct plan plan;
};

typedef int planner(
    struct plan *p, struct pool *pool, const struct plan_input *in, struct err *err);

static void
add(struct world *w, struct settings *s, const char *key, const char *value)
{
	settings_add(s, &w->pool, pool_str(&w->pool, key), pool_str(&w->pool, value));
}

/* "key = value" lines; the first of a key counts. */
static void
read_settings(struct world *w, struct input *in)
{
	while (in->len && w->now.count < SETTINGS_MAX) {
		char *line = input_until(in, '\n'), *equals = strstr(line, " = ");
		size_t i;

		if (equals) {
			*equals = '\0';
			for (i = 0; i < w->now.count && strcmp(w->now.items[i].key, line) != 0; i++)
				;
			if (i == w->now.count)
				add(w, &w->now, line, equals + 3);
		}
		free(line);
	}
	CHECK(settings_sort(&w->now, NULL) == 0, "a key is there twice");
}

static bool
read_options(struct world *w, char *line)
{
	char *words[WORDS_MAX + 3] = { pool_str(&w->pool, "stage"), pool_str(&w->pool, "--url"),
		pool_str(&w->pool, "https://old.example.org") };
	int n = 3;
	char *word;

	for (word = strtok(line, " "); word && n < WORDS_MAX; word = strtok(NULL, " "))
		words[n++] = pool_str(&w->pool, word);
	return options_parse(&w->o, cli_commands, &w->pool, n, words, NULL) == 0 &&
	    w->o.id == COMMAND_STAGE;
}

static void
plan(struct world *w, planner *make, struct plan *p, const struct options *o)
{
	struct plan_input in = {
		.snapshot_place = "",
		.now = &w->now,
		.every = w->rewrites ? &w->now : NULL,
		.request = &o->request,
		.node_count = o->reach.target_count,
		.part = w->has_part ? &w->part : NULL,
		.stored = w->stored,
		.minor_first = w->minor_first,
		.minor_last = w->minor_last,
		.shared_elsewhere = w->shared,
	};
	struct err err;

	err_clear(&err);
	CHECK(make(p, &w->pool, &in, &err) == 0, "no plan: %s", err.text);
}

static const struct plan_key *
key_of(const struct plan *p, const char *key)
{
	size_t i;

	for (i = 0; i < p->key_count; i++) {
		if (!strcmp(p->keys[i].key, key))
			return &p->keys[i];
	}
	return NULL;
}

/* Does a bind's text end in this port? */
static bool
is_on(const char *bind, const char *port)
{
	const char *colon = strrchr(bind, ':');

	return colon && colon != bind && colon[1 + strspn(colon + 1, "0")] &&
	    !strcmp(colon + 1 + strspn(colon + 1, "0"), port);
}

/* Is it a key that decides about the proxy on this listener? */
static bool
is_proxy_key(const char *key, const char *id)
{
	size_t len = strlen(id);

	return !strncmp(key, "server.listener.", 16) && !strncmp(key + 16, id, len) &&
	    !strncmp(key + 16 + len, ".proxy.", 7);
}

static void
check_left_alone(const struct world *w, const char *id)
{
	size_t i;

	for (i = 0; i < w->plan.key_count; i++)
		CHECK(!w->plan.keys[i].write || !is_proxy_key(w->plan.keys[i].key, id),
		    "listener %s must be left alone: %s", id, w->plan.keys[i].key);
}

/* Port 25 and the global list stay as they are. */
static void
check_untouched(struct world *w)
{
	size_t i;

	for (i = 0; i < w->now.count; i++) {
		const char *key = w->now.items[i].key, *at = key + 16;

		if (strncmp(key, "server.listener.", 16) != 0 ||
		    !is_on(w->now.items[i].value, "25"))
			continue;
		while ((at = strstr(at, ".bind"))) {
			const char *id = pool_copy(&w->pool, key + 16, (size_t)(at - key) - 16);
			const char *protocol = pool_printf(
			    &w->pool, "server.listener.%s.protocol", id);

			if ((!at[5] || at[5] == '.') && settings_get(&w->now, protocol))
				check_left_alone(w, id);
			at++;
		}
	}
	if (w->o.request.relay_listener)
		check_left_alone(w, w->o.request.relay_listener);
	for (i = 0; i < w->plan.key_count; i++) {
		CHECK(strncmp(w->plan.keys[i].key, "server.proxy.", 13) != 0, "the global list: %s",
		    w->plan.keys[i].key);
		CHECK(w->o.request.groups & 1u << w->plan.keys[i].group,
		    "%s is of a group that was left out", w->plan.keys[i].key);
	}
}

/* Is it a key that the plan writes, and does that arrive? */
static bool
arrives(const struct world *w, const struct plan_key *k)
{
	return k && k->write && !(w->lost & 1u << (k - w->plan.keys) % 8);
}

/* Do what the plan says. */
static void
apply(struct world *w)
{
	struct settings after = { 0 };
	size_t i, written = 0;

	for (i = 0; i < w->now.count; i++) {
		if (!arrives(w, key_of(&w->plan, w->now.items[i].key)))
			add(w, &after, w->now.items[i].key, w->now.items[i].value);
	}
	for (i = 0; i < w->plan.key_count; i++) {
		const struct plan_key *k = &w->plan.keys[i];

		written += k->write;
		if (arrives(w, k) && k->wanted)
			add(w, &after, k->key, k->wanted);
	}
	CHECK(written == w->plan.write_count, "%zu writes are counted as %zu", written,
	    w->plan.write_count);
	CHECK(settings_sort(&after, NULL) == 0, "a key is written twice");
	w->now = after;
}

static const char *
kept(struct world *w, const char *value)
{
	return value ? pool_str(&w->pool, value) : NULL;
}

/* As target_record_plan does it, and what follows. */
static void
keep(struct world *w, bool proved)
{
	struct part *old = w->has_part ? &w->part : NULL;
	struct part s = { .state = PART_SENDING };
	size_t i;

	w->stored = request_keep(&w->pool, &w->o.request, w->stored);
	CHECK(w->stored, "no memory");
	plan_fill_part(&w->plan, w->o.request.groups, old, &s, &w->pool);
	if (proved)
		plan_mark_proved(&w->plan, w->o.request.groups, old, &s);
	for (i = 0; i < s.count; i++) {
		s.keys[i].before = kept(w, s.keys[i].before);
		s.keys[i].written = kept(w, s.keys[i].written);
		s.keys[i].maybe_present = kept(w, s.keys[i].maybe_present);
	}
	w->part = s;
	w->has_part = true;
}

/* The list that counts for a listener: its own, else the global one. */
static void
trusted_by(struct world *w, const struct settings *s, const char *id, struct trusted *t)
{
	const char *list = changeset_listener_key(&w->pool, id, "trusted-networks");

	memset(t, 0, sizeof(*t));
	trusted_read(t, &w->pool, s, list);
	if (!t->count)
		trusted_read(t, &w->pool, s, TRUSTED_GLOBAL);
}

static void
check_trust(struct world *w)
{
	struct trusted before, after;
	struct net n;
	size_t i, j;

	for (i = 0; i < w->plan.listener_count; i++) {
		const char *id = w->plan.listeners[i].listener->id;

		if (!w->plan.listeners[i].chosen || !(w->o.request.groups & 1u << GROUP_LISTENERS))
			continue;
		trusted_by(w, &w->first, id, &before);
		trusted_by(w, &w->now, id, &after);
		for (j = 0; j < before.count; j++)
			CHECK(w->unknown || !before.items[j].valid ||
				trusted_covering(&after, &before.items[j].net),
			    "listener %s trusts %s no more", id, before.items[j].value);
		for (j = 0; j < w->o.request.proxy_count; j++) {
			CHECK(net_parse(&n, w->o.request.proxies[j], NULL) == 0, "%s",
			    w->o.request.proxies[j]);
			CHECK(trusted_covering(&after, &n), "listener %s does not trust %s", id,
			    w->o.request.proxies[j]);
		}
	}
}

/* What was staged is found so, and staged again it changes nothing. */
static void
check_staged(struct world *w)
{
	struct plan p;
	size_t i;

	plan(w, plan_status, &p, &w->o);
	CHECK(!p.write_count, "status writes");
	for (i = 0; i < p.key_count; i++)
		/* where another stage's network was replaced, its place is not found again */
		CHECK(w->shared || w->unknown || p.keys[i].state == KEY_STAGED ||
			p.keys[i].state == KEY_AS_WANTED,
		    "%s is %s", p.keys[i].key, key_state_name(p.keys[i].state));
	CHECK(w->shared || w->unknown || plan_compare(&p, &w->now) == 0, "not as planned");
	plan(w, plan_stage, &p, &w->o);
	CHECK((!p.write_count || w->unknown || w->part.state == PART_SENDING) &&
		!message_refusals(&p.messages),
	    "again: %zu writes, %zu refusals", p.write_count, message_refusals(&p.messages));
}

/* ---- status: where it says "ready", a restart does what the change set says ---- */

/*
 * The index of the first entry of a list from i on, or the count: the key itself, and those below
 * it.
 */
static size_t
entry(const struct settings *s, const char *list, size_t i)
{
	const char *below;

	for (; (below = settings_below(s, i, list)); i++) {
		if (!*below || *below == '.')
			return i;
	}
	return s->count;
}

/* Does the server trust all of n on this listener? NULL: anybody. */
static bool
trusts(struct world *w, const char *id, const struct net *n)
{
	const char *list = pool_printf(&w->pool, "server.listener.%s.proxy.trusted-networks", id);
	const struct settings *s = &w->now;
	struct net one;
	size_t i;

	if (entry(s, list, settings_first(s, list)) == s->count)
		list = "server.proxy.trusted-networks";
	for (i = settings_first(s, list); (i = entry(s, list, i)) < s->count; i++) {
		if (net_parse_server(&one, s->items[i].value) && (!n || net_covers(&one, n)))
			return true;
	}
	return false;
}

/* Does a listener belong behind the proxy by the rules? Only where they leave no doubt. */
static bool
belongs(struct world *w, const char *id, const char *protocol, bool all_submission)
{
	const struct request *q = &w->o.request;

	if (request_names(q->listeners, q->listener_count, id) ||
	    request_names(q->also, q->also_count, id))
		return true;
	if (q->listener_count || request_names(q->leave, q->leave_count, id))
		return false;
	return !strcmp(protocol, "imap") || !strcmp(protocol, "pop3") ||
	    !strcmp(protocol, "managesieve") || !strcmp(protocol, "http") ||
	    (!strcmp(protocol, "smtp") && all_submission);
}

static void
check_gate_of(struct world *w, const char *id, const char *protocol)
{
	const struct request *q = &w->o.request;
	const char *list = pool_printf(&w->pool, "server.listener.%s.bind", id);
	bool on_25 = q->relay_listener && !strcmp(q->relay_listener, id), all = true, any = false;
	size_t i = settings_first(&w->now, list);
	struct net n;

	for (; (i = entry(&w->now, list, i)) < w->now.count; i++) {
		const char *bind = w->now.items[i].value;

		any = true;
		on_25 |= is_on(bind, "25");
		all &= is_on(bind, "465") || is_on(bind, "587");
	}
	if (on_25) {
		CHECK(q->new_server[0]
			? net_parse(&n, q->new_server, NULL) == 0 && !trusts(w, id, &n)
			: !trusts(w, id, NULL),
		    "ready, but the new server may need a header on %s", id);
		return;
	}
	for (i = 0; i < q->proxy_count && any && belongs(w, id, protocol, all); i++)
		CHECK(net_parse(&n, q->proxies[i], NULL) == 0 && trusts(w, id, &n),
		    "ready, but %s does not trust %s", id, q->proxies[i]);
}

static void
check_gate(struct world *w)
{
	static const char *const checks[] = { "auth.dkim.verify", "auth.arc.verify",
		"auth.spf.verify.ehlo", "auth.spf.verify.mail-from", "auth.dmarc.verify",
		"auth.iprev.verify" };
	const struct request *q = &w->o.request;
	struct options o = w->o;
	struct plan p;
	size_t i;

	memset(o.request.forced, 0, sizeof(o.request.forced)); /* what is forced is the user's */
	plan(w, plan_status, &p, &o);
	if (!plan_any_staged(&p) || plan_missing(&p, q->groups) || p.unready)
		return;
	for (i = 0; i < COUNT(checks) && q->groups & 1u << GROUP_CHECKS; i++)
		CHECK(same_text(settings_get(&w->now, checks[i]), "disable"), "ready, but not %s",
		    checks[i]);
	if (q->groups & 1u << GROUP_URL)
		CHECK(same_text(settings_get(&w->now, p.dialect->url_key),
			  pool_printf(&w->pool, "'%s'", q->public_origin)),
		    "ready, but not the URL");
	for (i = settings_first(&w->now, "server.listener.");
	    settings_below(&w->now, i, "server.listener.") && q->groups & 1u << GROUP_LISTENERS;
	    i++) {
		const char *key = w->now.items[i].key, *end = strstr(key, ".protocol");

		if (end && !end[9] && end > key + 16)
			check_gate_of(w, pool_copy(&w->pool, key + 16, (size_t)(end - key) - 16),
			    w->now.items[i].value);
	}
}

/* ---- without a snapshot ---- */

/* Is it one of the proxy's networks, as the options name them? */
static bool
is_proxy(const struct options *o, const char *value)
{
	size_t i;

	for (i = 0; i < o->request.proxy_count; i++) {
		if (!strcmp(o->request.proxies[i], value))
			return true;
	}
	return false;
}

/*
 * A clear that knows no snapshot only removes, only what the change set has or the global list
 * repeats, and no trust.
 */
static void
check_forgotten(const struct world *w)
{
	struct world other = *w;
	struct trusted before, after, global = { 0 };
	size_t i, j;

	memset(&other.pool, 0, sizeof(other.pool));
	other.has_part = other.rewrites = false;
	other.stored = NULL;
	other.o.id = COMMAND_CLEAR;
	plan(&other, plan_clear, &other.plan, &other.o);
	if (message_refusals(&other.plan.messages))
		goto done;
	check_untouched(&other);
	trusted_read(&global, &other.pool, &w->now, TRUSTED_GLOBAL);
	for (i = 0; i < other.plan.key_count; i++) {
		const struct plan_key *k = &other.plan.keys[i], *staged = key_of(&w->plan, k->key);
		bool ours = staged && same_text(staged->wanted, k->now);

		CHECK(!k->write || !k->wanted, "%s is written", k->key);
		for (j = 0; j < global.count && k->now; j++)
			ours |= !strcmp(global.items[j].value, k->now);
		CHECK(!k->write || ours || is_proxy(&w->o, k->now), "%s = %s is not ours", k->key,
		    k->now);
	}
	apply(&other);
	for (i = 0; i < other.plan.listener_count; i++) {
		trusted_by(&other, &w->first, other.plan.listeners[i].listener->id, &before);
		trusted_by(&other, &other.now, other.plan.listeners[i].listener->id, &after);
		for (j = 0; j < before.count; j++)
			CHECK(w->unknown || !before.items[j].valid ||
				is_proxy(&w->o, before.items[j].value) ||
				trusted_covering(&after, &before.items[j].net),
			    "%s is trusted no more", before.items[j].value);
	}
done:
	pool_free(&other.pool);
}

/* Without a snapshot, and all as wanted: what is written again stood there, and is not recorded. */
static void
check_unrecorded(struct world *w)
{
	size_t i;

	for (i = 0; i < w->plan.key_count; i++) {
		const struct plan_key *k = &w->plan.keys[i];

		/* the database's keys are the first node's */
		CHECK((w->shared && !k->local) || (!k->recorded && !k->unknown), "%s is recorded",
		    k->key);
		CHECK(!k->write || (k->local && same_text(k->now, k->wanted)), "%s is written",
		    k->key);
	}
}

/* One stage, if nothing is refused. */
static void
stage(struct world *w, char *line)
{
	size_t i;

	if (!read_options(w, line))
		return;
	check_gate(w);
	plan(w, plan_stage, &w->plan, &w->o);
	if (message_refusals(&w->plan.messages) || !w->plan.write_count)
		return;
	check_untouched(w);
	if (w->plan.unrecorded) {
		check_unrecorded(w);
		return;
	}
	for (i = 0; i < w->plan.key_count; i++)
		w->unknown |= w->plan.keys[i].unknown;
	keep(w, !w->lost);
	apply(w);
	check_gate(w);
	if (w->lost) {
		w->lost = 0;
		return;
	}
	check_trust(w);
	check_staged(w);
	check_forgotten(w);
}

static void
clear(struct world *w)
{
	struct options o = w->o;
	size_t i;

	o.request.single_node = true;
	o.request.groups = (1u << GROUP_COUNT) - 1;
	w->rewrites = false;
	plan(w, plan_clear, &w->plan, &o);
	CHECK(!w->plan.left_count && !message_refusals(&w->plan.messages),
	    "clear leaves %zu keys, refuses %zu", w->plan.left_count,
	    message_refusals(&w->plan.messages));
	apply(w);
	for (i = 0; !w->unknown && i < w->first.count && i < w->now.count; i++) {
		const struct setting *a = &w->first.items[i], *b = &w->now.items[i];

		CHECK(!strcmp(a->key, b->key) && !strcmp(a->value, b->value),
		    "%s = %s is now %s = %s", a->key, a->value, b->key, b->value);
	}
	CHECK(w->unknown || w->now.count == w->first.count, "%zu keys were %zu", w->now.count,
	    w->first.count);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	char *lines[STAGES], *how;
	struct world w;
	size_t i;

	memset(&w, 0, sizeof(w));
	for (i = 0; i < STAGES; i++)
		lines[i] = input_until(&in, '\n');
	how = input_until(&in, '\n');
	w.minor_first = versions[(unsigned char)how[0] % COUNT(versions)].first;
	w.minor_last = versions[(unsigned char)how[0] % COUNT(versions)].last;
	w.shared = strchr(how, 'S');
	w.rewrites = strchr(how, 'R');
	w.lost = strchr(how, 'L') ? (unsigned char)strchr(how, 'L')[1] : 0;
	read_settings(&w, &in);
	w.first = w.now;
	for (i = 0; i < STAGES; i++)
		stage(&w, lines[i]);
	if (w.has_part)
		clear(&w);
	for (i = 0; i < STAGES; i++)
		free(lines[i]);
	free(how);
	pool_free(&w.pool);
	return 0;
}
