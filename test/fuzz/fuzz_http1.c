/*
 * fuzz_http1.c - HTTP answers: the first byte says in which pieces the stream comes and how many
 * answers are awaited. How it is cut into pieces changes nothing; an accepted answer that lacks its
 * last byte is not accepted.
 */
#include "fuzz.h"

#include "stream.h"
#include "target/http1.h"

enum { ANSWERS_MAX = 3 };

struct outcome {
	int result[ANSWERS_MAX]; /* of http1_receive; 1: not asked for */
	struct http1_answer answer[ANSWERS_MAX];
	enum err_kind kind[ANSWERS_MAX];
	size_t accepted;
	/* bytes of the stream up to the end of the last accepted answer */
	size_t used;
};

static void
check_answer(const struct http1_answer *a)
{
	CHECK(a->status >= 200 && a->status <= 599, "status %d", a->status);
	CHECK(a->body.len <= HTTP1_BODY_MAX && !a->body.failed, "a body of %zu bytes", a->body.len);
	CHECK(strlen(a->type) < sizeof(a->type) && strlen(a->location) < sizeof(a->location),
	    "no end");
	CHECK(a->status != 204 || !a->body.len, "a body where the status allows none");
}

static void
run(struct outcome *o, const uint8_t *data, size_t size, size_t piece, size_t awaited)
{
	struct stream s = { .in = { data, size }, .piece = piece };
	struct transport t = stream_transport(&s);
	struct http1_request request = { .method = "GET", .target = "/", .host = "a" };
	struct http1 h;
	struct err err;
	size_t i;

	memset(o, 0, sizeof(*o));
	http1_init(&h, &t);
	for (i = 0; i < awaited; i++)
		CHECK(http1_queue(&h, &request, &err) == 0, "%s", err.text);
	CHECK(http1_flush(&h, &err) == 0, "%s", err.text);
	CHECK(s.sent.len && h.sent_bytes, "nothing was sent");
	for (i = 0; i < awaited; i++) {
		err_clear(&err);
		o->result[i] = http1_receive(&h, &o->answer[i], &err);
		if (o->result[i] == -1) {
			check_err(&err);
			CHECK(h.closed && !o->answer[i].status, "a failure that leaves an answer");
			o->kind[i] = err.kind;
			continue;
		}
		CHECK(o->accepted == i, "an answer after one that failed");
		check_answer(&o->answer[i]);
		o->accepted++;
		o->used = size - s.in.len - (h.in.len - h.used);
	}
	http1_free(&h);
	buf_free(&s.sent);
}

static void
compare(const struct outcome *a, const struct outcome *b)
{
	size_t i;

	CHECK(a->accepted == b->accepted && a->used == b->used,
	    "%zu answers in %zu bytes, or %zu in %zu", a->accepted, a->used, b->accepted, b->used);
	for (i = 0; i < ANSWERS_MAX; i++) {
		const struct http1_answer *x = &a->answer[i], *y = &b->answer[i];

		CHECK(a->result[i] == b->result[i] && a->kind[i] == b->kind[i],
		    "answer %zu fails otherwise", i);
		CHECK(x->status == y->status && x->close == y->close && x->json == y->json &&
			!strcmp(x->type, y->type) && !strcmp(x->location, y->location) &&
			x->body.len == y->body.len &&
			!(x->body.len && memcmp(x->body.data, y->body.data, x->body.len)),
		    "answer %zu differs", i);
	}
}

static void
release(struct outcome *o)
{
	size_t i;

	for (i = 0; i < ANSWERS_MAX; i++)
		http1_answer_free(&o->answer[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	unsigned how = input_byte(&in);
	size_t awaited = 1 + how % ANSWERS_MAX, piece = 1 + how / ANSWERS_MAX;
	struct outcome whole, pieces, cut;

	run(&whole, in.p, in.len, SIZE_MAX, awaited);
	run(&pieces, in.p, in.len, piece, awaited);
	compare(&whole, &pieces);
	if (whole.used) {
		run(&cut, in.p, whole.used - 1, SIZE_MAX, awaited);
		CHECK(cut.accepted == whole.accepted - 1, "an answer without its end is accepted");
		CHECK(cut.kind[cut.accepted] == ERR_REACH, "a cut answer is taken for a wrong one");
		release(&cut);
	}
	release(&whole);
	release(&pieces);
	return 0;
}
