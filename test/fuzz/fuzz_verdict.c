/*
 * fuzz_verdict.c - what ports say: a verdict is given once, whatever follows, and in the end there
 * is one
 */
#include "fuzz.h"

#include "base/buf.h"
#include "target/verdict.h"

static struct side a, b;

/* What holds of each answer. */
static enum step
judge(const struct speaks *k, enum verdict *v)
{
	enum step step = verdict_step(k, &a, &b, v);

	CHECK((step == STEP_DONE) == (*v != VERDICT_NONE), "step %d, verdict %d", step, *v);
	CHECK(step != STEP_HEADER || (b.state == SIDE_NONE && !a.len),
	    "a header for one that speaks");
	CHECK(step != STEP_COMMAND || (verdict_command(k) && !b.asked && b.len), "a command");
	CHECK(
	    *v != VERDICT_WANTS || (b.len && !a.len), "no port wants a header that speaks without");
	return step;
}

/* Say it byte by byte: the first verdict is the last. Then the time is over. */
static void
say(const struct speaks *k, struct side *s, struct input *in)
{
	enum verdict first = VERDICT_NONE, v;
	enum step step = STEP_WAIT;

	for (s->state = SIDE_OPEN; in->len && s->len < SIDE_MAX;) {
		s->data[s->len++] = (char)input_byte(in);
		step = judge(k, &v);
		CHECK(first == VERDICT_NONE || v == first, "%s, then %s", verdict_names[first],
		    verdict_names[v]);
		first = v;
		if (step == STEP_COMMAND)
			b.asked = true;
	}
	s->state = SIDE_OVER;
	step = judge(k, &v);
	if (step == STEP_COMMAND) {
		b.asked = true;
		step = judge(k, &v);
	}
	CHECK(first == VERDICT_NONE || v == first, "in the end %s", verdict_names[v]);
	CHECK(step == STEP_DONE || (s == &a && step == STEP_HEADER), "no end: step %d", step);
}

static void
show(const struct speaks *k, const struct side *s)
{
	static unsigned char scratch[HELLO_ANSWER_MAX];
	struct der name = verdict_greeter(k, s);
	char pin[X509_PIN_TEXT_MAX];
	struct buf out = { 0 };
	struct hello h;
	int64_t end;

	CHECK(name.len <= s->len, "a name longer than all");
	verdict_said(&out, k, s);
	CHECK(!out.failed && (s->len || !out.len || k->tls), "words of one that is silent");
	hello_read(&h, s->data, s->len, scratch);
	CHECK(h.leaf.len <= s->len, "a certificate longer than all");
	(void)hello_describe(&h.leaf, &out, &end, pin);
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t how = input_byte(&in);
	const struct speaks k = { (enum protocol)(how % PROTOCOL_UNKNOWN), (how & 0x40) != 0 };
	enum verdict v;

	memset(&a, 0, offsetof(struct side, data));
	memset(&b, 0, offsetof(struct side, data));
	if (how & 0x80) {
		say(&k, &a, &in);
	} else {
		a.state = how & 0x20 ? SIDE_ENDED : SIDE_OVER;
		CHECK(judge(&k, &v) == STEP_HEADER, "no header");
		say(&k, &b, &in);
		show(&k, &b);
	}
	show(&k, &a);
	return 0;
}
