/*
 * fuzz_snapshot.c - snapshots, also with the checksum put right: written and read again they are
 * the same; damage is seen
 */
#include "../unit/crc32.h"
#include "fuzz.h"

#include "base/buf.h"
#include "base/pool.h"
#include "settings/request.h"
#include "settings/snapshot.h"

static const char CHECKSUM[] = "\"checksum\": \"";
static const char COMMA[] = ",\n  ";

/* Where the last checksum's line begins, as snapshot.c writes it; NULL when there is none. */
static char *
last_checksum(char *text, size_t len)
{
	char *at = text, *last = NULL;

	while ((at = memmem(at, len - (size_t)(at - text), CHECKSUM, strlen(CHECKSUM)))) {
		if (at - text >= 4 && !memcmp(at - 4, COMMA, 4) &&
		    len - (size_t)(at - text) >= strlen(CHECKSUM) + 8)
			last = at - 4;
		at += strlen(CHECKSUM);
	}
	return last;
}

static void
check_same_listeners(const struct part *a, const struct part *b)
{
	size_t i;

	CHECK(a->listener_count == b->listener_count, "%zu listeners, then %zu", a->listener_count,
	    b->listener_count);
	for (i = 0; i < a->listener_count; i++) {
		const struct part_listener *x = &a->listeners[i], *y = &b->listeners[i];

		CHECK(!strcmp(x->id, y->id) && !strcmp(x->protocol, y->protocol) &&
			!strcmp(x->binds, y->binds) && !strcmp(x->why, y->why) &&
			x->tls_implicit == y->tls_implicit && x->chosen == y->chosen,
		    "listener %s differs", x->id);
	}
}

static void
check_same_part(const struct part *a, const struct part *b)
{
	size_t i;

	CHECK(same_text(a->origin, b->origin) && same_text(a->file, b->file) &&
		same_text(a->id, b->id) && a->state == b->state && a->count == b->count,
	    "a part's head differs");
	CHECK(a->state < PART_STATE_COUNT && part_state_name(a->state), "state %d", a->state);
	check_same_listeners(a, b);
	for (i = 0; i < a->count; i++) {
		const struct part_key *x = &a->keys[i], *y = &b->keys[i];

		CHECK(!strcmp(x->key, y->key) && same_text(x->before, y->before) &&
			same_text(x->written, y->written) && same_text(x->text, y->text) &&
			same_text(x->maybe_present, y->maybe_present) && x->group == y->group &&
			x->local == y->local && x->unknown == y->unknown,
		    "%s differs", x->key);
		CHECK(part_find(a, x->key) == x, "%s is there twice", x->key);
		CHECK(!x->unknown || !x->before, "%s is unknown and known", x->key);
	}
}

static void
check_same(const struct snapshot *a, const struct snapshot *b)
{
	size_t i;

	CHECK(!strcmp(a->identity, b->identity) && !strcmp(a->created, b->created) &&
		!strcmp(a->dialect, b->dialect) && request_same(a->request, b->request) &&
		a->checksum == b->checksum && a->node_count == b->node_count,
	    "the head differs");
	check_same_part(&a->database, &b->database);
	for (i = 0; i < a->node_count; i++)
		check_same_part(&a->nodes[i], &b->nodes[i]);
}

/* One that has neither URL nor file is not written. */
static void
drop_nameless(struct snapshot *s)
{
	size_t i, n = 0;

	for (i = 0; i < s->node_count; i++) {
		if (s->nodes[i].origin || s->nodes[i].file)
			s->nodes[n++] = s->nodes[i];
	}
	s->node_count = n;
}

/* What is joined for a node and split again is what it was; only the order may be another. */
static void
check_split(struct snapshot *s, struct part *node, struct pool *pool)
{
	size_t count = snapshot_count(s), i;
	unsigned groups = snapshot_groups(s);
	struct part before = s->database, joined = snapshot_join(s, node, true, pool);

	for (i = 0; i < joined.count; i++)
		CHECK(part_find(joined.keys[i].local ? node : &s->database, joined.keys[i].key),
		    "%s is nobody's", joined.keys[i].key);
	snapshot_split(s, node, true, &joined, pool);
	CHECK(snapshot_count(s) == count && snapshot_groups(s) == groups, "%zu keys were %zu",
	    snapshot_count(s), count);
	for (i = 0; i < before.count; i++)
		CHECK(
		    part_find(&s->database, before.keys[i].key), "%s is gone", before.keys[i].key);
}

/* One byte changed in front of the checksum: that is never missed. */
static void
check_damage(const char *text, size_t len, size_t where)
{
	char *bad = text_of(text, len), *last = last_checksum(bad, len);
	struct pool pool = { 0 };
	struct snapshot s;
	struct err err;

	CHECK(last, "accepted without a checksum");
	bad[where % (size_t)(last - bad)] ^= 1;
	CHECK(snapshot_parse(&s, &pool, bad, len, &err) == -1, "damage was not seen");
	pool_free(&pool);
	free(bad);
}

static bool
check(const char *text, size_t len)
{
	struct pool pool = { 0 };
	struct buf once = { 0 }, twice = { 0 };
	struct snapshot s, again;
	struct err err;
	bool ok = snapshot_parse(&s, &pool, text, len, &err) == 0;
	size_t i;

	if (ok) {
		drop_nameless(&s);
		snapshot_format(&once, &s);
		CHECK(snapshot_parse(&again, &pool, once.data, once.len, &err) == 0, "%s: %s",
		    once.data, err.text);
		check_same(&s, &again);
		snapshot_format(&twice, &again);
		CHECK(!strcmp(once.data, twice.data), "%s, then %s", once.data, twice.data);
		check_damage(once.data, once.len, len * 31);
		for (i = 0; i < s.node_count; i++)
			check_split(&s, &s.nodes[i], &pool);
		snapshot_forget_plan(&s);
	} else {
		check_err(&err);
	}
	buf_free(&once);
	buf_free(&twice);
	pool_free(&pool);
	return ok;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size), *last = last_checksum(text, size), digits[9];

	if (!check(text, size) && last) {
		snprintf(
		    digits, sizeof(digits), "%08x", (unsigned)crc32(text, (size_t)(last - text)));
		memcpy(last + 4 + strlen(CHECKSUM), digits, 8);
		check(text, size);
	}
	free(text);
	return 0;
}
