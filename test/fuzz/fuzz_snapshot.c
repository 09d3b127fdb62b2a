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
check_same(const struct snapshot *a, const struct snapshot *b)
{
	size_t i;

	CHECK(!strcmp(a->target, b->target) && !strcmp(a->created, b->created) &&
		!strcmp(a->dialect, b->dialect) && request_same(a->request, b->request) &&
		a->state == b->state && a->count == b->count,
	    "the head differs");
	for (i = 0; i < a->count; i++) {
		const struct snapshot_key *x = &a->keys[i], *y = &b->keys[i];

		CHECK(!strcmp(x->key, y->key) && same_text(x->before, y->before) &&
			same_text(x->written, y->written) && x->group == y->group &&
			x->local == y->local,
		    "%s differs", x->key);
		CHECK(snapshot_find(a, x->key) == x, "%s is there twice", x->key);
	}
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

	if (ok) {
		CHECK(s.state < SNAPSHOT_STATE_COUNT && snapshot_state_name(s.state), "state %d",
		    s.state);
		snapshot_format(&once, &s);
		CHECK(snapshot_parse(&again, &pool, once.data, once.len, &err) == 0, "%s: %s",
		    once.data, err.text);
		check_same(&s, &again);
		snapshot_format(&twice, &again);
		CHECK(!strcmp(once.data, twice.data), "%s, then %s", once.data, twice.data);
		check_damage(once.data, once.len, len * 31);
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
