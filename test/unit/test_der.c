/* test_der.c - what is DER and what only looks like it */
#include "help.h"

#include "tls/der.h"

#define BYTES(text) text, sizeof(text) - 1

static struct der
view(const char *bytes, size_t len)
{
	return (struct der){ (const unsigned char *)bytes, len };
}

/* One element from the front. left is what stays behind it; -1: it is refused. */
static const struct {
	const char *in;
	size_t len;
	int content, left;
	const char *why;
} elements[] = {
	{ BYTES("\x04\x00"), 0, 0, "empty" },
	{ BYTES("\x04\x02"
		"ab"
		"c"),
	    2, 1, "short form" },
	{ BYTES("\x04\x02"
		"a"),
	    0, -1, "cut off" },
	{ BYTES("\x04"), 0, -1, "no length" },
	{ BYTES(""), 0, -1, "nothing" },
	{ BYTES("\x04\x80"
		"ab"
		"\x00\x00"),
	    0, -1, "indefinite" },
	{ BYTES("\x04\x81\x02"
		"ab"),
	    0, -1, "a long form where the short one does" },
	{ BYTES("\x04\x82\x00\x80"), 0, -1, "a length with a leading zero" },
	{ BYTES("\x04\x84\xff\xff\xff\xff"), 0, -1, "longer than what is there" },
	{ BYTES("\x04\x85\x01\x00\x00\x00\x00"), 0, -1, "a length of five bytes" },
	{ BYTES("\x04\x88\xff\xff\xff\xff\xff\xff\xff\xff"), 0, -1, "a length that would wrap" },
	{ BYTES("\x04\xff"), 0, -1, "a reserved length" },
	{ BYTES("\x1f\x81\x00\x00"), 0, -1, "a tag of several bytes" },
};

static void
test_elements(void **state)
{
	char big[200] = "\x04\x81\x80";
	struct der in, content;
	unsigned tag;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(elements); i++) {
		bool ok;

		in = view(elements[i].in, elements[i].len);
		ok = der_next(&in, &tag, &content);
		CHECK(ok == (elements[i].left >= 0), "%s", elements[i].why);
		if (ok)
			CHECK(content.len == (size_t)elements[i].content &&
				in.len == (size_t)elements[i].left,
			    "%s", elements[i].why);
		else
			CHECK(in.len == elements[i].len, "%s: the view moved", elements[i].why);
	}
	in = view(big, 3 + 0x80);
	assert_true(der_take(&in, DER_OCTET_STRING, &content));
	assert_int_equal(content.len, 0x80);
	in = view(big, 3 + 0x80);
	assert_false(der_take(&in, DER_SEQUENCE, &content));
	assert_int_equal(in.len, 3 + 0x80);
}

static const struct {
	const char *in;
	size_t len;
	bool ok;
} integers[] = {
	{ BYTES("\x00"), true }, { BYTES("\x7f"), true }, { BYTES("\x80"), true }, { BYTES("\x00\x80"), true },
	{ BYTES("\xff\x7f"), true }, { BYTES(""), false }, { BYTES("\x00\x7f"), false }, { BYTES("\xff\x80"), false },
	{ BYTES("\x00\x00"), false },
}, oids[] = {
	{ BYTES("\x55\x1d\x11"), true }, { BYTES("\x2b"), true }, { BYTES("\x2a\x86\x48"), true },
	{ BYTES(""), false }, { BYTES("\x2a\x86"), false }, { BYTES("\x2a\x80\x01"), false },
}, booleans[] = {
	{ BYTES("\x00"), true }, { BYTES("\xff"), true }, { BYTES("\x01"), false }, { BYTES(""), false },
	{ BYTES("\xff\xff"), false },
}, bits[] = {
	{ BYTES("\x00"), true }, { BYTES("\x00\xff"), true }, { BYTES("\x07\x80"), true }, { BYTES(""), false },
	{ BYTES("\x08\x00"), false }, { BYTES("\x01"), false }, { BYTES("\x01\x01"), false },
};

static void
test_values(void **state)
{
	struct der in, bytes;
	unsigned n;
	size_t i;
	bool b;

	(void)state;
	for (i = 0; i < COUNT(integers); i++) {
		in = view(integers[i].in, integers[i].len);
		CHECK(der_integer(&in) == integers[i].ok, "integer %zu", i);
	}
	for (i = 0; i < COUNT(oids); i++) {
		in = view(oids[i].in, oids[i].len);
		CHECK(der_oid(&in) == oids[i].ok, "oid %zu", i);
	}
	for (i = 0; i < COUNT(booleans); i++) {
		in = view(booleans[i].in, booleans[i].len);
		CHECK(der_boolean(&in, &b) == booleans[i].ok, "boolean %zu", i);
	}
	for (i = 0; i < COUNT(bits); i++) {
		in = view(bits[i].in, bits[i].len);
		CHECK(der_bits(&in, &bytes, &n) == bits[i].ok, "bits %zu", i);
	}
	in = view(BYTES("\x00\xff"));
	assert_true(der_small(&in, 255, &n) && n == 255);
	assert_false(der_small(&in, 254, &n));
	in = view(BYTES("\xff"));
	assert_false(der_small(&in, 255, &n));
	in = view(BYTES("\x01\x00\x00\x00\x00"));
	assert_false(der_small(&in, 255, &n));
}

static void
test_positive(void **state)
{
	static const struct {
		const char *in;
		size_t len, left; /* bytes of the number; 0: refused */
	} cases[] = {
		{ BYTES("\x02\x01\x01"), 1 }, { BYTES("\x02\x02\x00\x80"), 1 },
		{ BYTES("\x02\x02\x7f\x00\x05"), 2 }, { BYTES("\x02\x01\x00"), 0 }, /* zero */
		{ BYTES("\x02\x01\x80"), 0 },                                       /* negative */
		{ BYTES("\x02\x02\x00\x7f"), 0 }, /* not minimal */
		{ BYTES("\x02\x00"), 0 },         /* nothing */
		{ BYTES("\x02\x02\x01"), 0 },     /* cut off */
		{ BYTES("\x04\x01\x01"), 0 },     /* not an INTEGER */
	};
	struct der in, out;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		in = view(cases[i].in, cases[i].len);
		CHECK(der_take_positive(&in, &out) == (cases[i].left > 0), "number %zu", i);
		CHECK(!cases[i].left || (out.len == cases[i].left && out.p[0]), "number %zu", i);
	}
}

static const struct {
	unsigned tag;
	const char *in;
	bool ok;
	int64_t seconds;
} times[] = {
	{ DER_UTC_TIME, "700101000000Z", true, 0 },
	{ DER_UTC_TIME, "691231235959Z", true, -1 },
	{ DER_UTC_TIME, "500101000000Z", true, -631152000 },
	{ DER_UTC_TIME, "491231235959Z", true, 2524607999 },
	{ DER_UTC_TIME, "240229120000Z", true, 1709208000 },
	{ DER_UTC_TIME, "000301000000Z", true, 951868800 },
	{ DER_GENERALIZED_TIME, "20500101000000Z", true, 2524608000 },
	{ DER_GENERALIZED_TIME, "99991231235959Z", true, 253402300799 },
	{ DER_GENERALIZED_TIME, "00010101000000Z", true, -62135596800 },
	{ DER_GENERALIZED_TIME, "19000228000000Z", true, -2203977600 },
	{ DER_GENERALIZED_TIME, "19000229000000Z", false, 0 }, /* 1900 was no leap year */
	{ DER_UTC_TIME, "230229120000Z", false, 0 },
	{ DER_UTC_TIME, "240001000000Z", false, 0 },
	{ DER_UTC_TIME, "241301000000Z", false, 0 },
	{ DER_UTC_TIME, "240431000000Z", false, 0 },
	{ DER_UTC_TIME, "240101240000Z", false, 0 },
	{ DER_UTC_TIME, "240101006000Z", false, 0 },
	{ DER_UTC_TIME, "240101000060Z", false, 0 },
	{ DER_UTC_TIME, "2401010000Z", false, 0 }, /* seconds must be there */
	{ DER_UTC_TIME, "240101000000", false, 0 },
	{ DER_UTC_TIME, "240101000000+0000", false, 0 },
	{ DER_UTC_TIME, "2401010000 0Z", false, 0 },
	{ DER_GENERALIZED_TIME, "20240101000000.5Z", false, 0 },
	{ DER_GENERALIZED_TIME, "00000101000000Z", false, 0 },
	{ DER_OCTET_STRING, "240101000000Z", false, 0 },
};

static void
test_times(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(times); i++) {
		struct der in = view(times[i].in, strlen(times[i].in));
		int64_t t = 0;

		CHECK(der_time(times[i].tag, &in, &t) == times[i].ok, "%s", times[i].in);
		if (times[i].ok)
			CHECK(t == times[i].seconds, "%s: %lld", times[i].in, (long long)t);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_positive),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
