/* test_curves.c - the curves that have code of their own give what BearSSL's code for any prime
 * gives */
#include "help.h"

#include "tls/curves.h"

#include <bearssl.h>

enum { SCALAR = 32, POINT_MAX = 65, RANDOM = 10 };

static const struct curve {
	int id;
	const br_ec_impl *slow;
} curves[] = {
	{ BR_EC_secp256r1, &br_ec_prime_i31 },
	{ BR_EC_curve25519, &br_ec_c25519_i31 },
};

/* 1, 2, the order less 1, and then random ones, the same each time. */
static void
make_scalar(unsigned char x[SCALAR], const struct curve *c, size_t number)
{
	static uint32_t state = 1;
	const unsigned char *order;
	size_t len, i;

	order = c->slow->order(c->id, &len);
	assert_int_equal(len, SCALAR);
	memset(x, 0, SCALAR);
	if (number < 2) {
		x[SCALAR - 1] = (unsigned char)(number + 1);
	} else if (number == 2) {
		memcpy(x, order, SCALAR);
		x[SCALAR - 1]--;
	} else {
		for (i = 1; i < SCALAR; i++) { /* less than the order */
			state = state * 1664525 + 1013904223;
			x[i] = (unsigned char)(state >> 24);
		}
	}
}

static void
test_multiples(void **state)
{
	const br_ec_impl *fast = curves_all();
	unsigned char x[SCALAR], a[POINT_MAX], b[POINT_MAX];
	size_t i, n, len, round;

	(void)state;
	for (i = 0; i < COUNT(curves); i++) {
		const struct curve *c = &curves[i];

		for (n = 0; n < 3 + RANDOM; n++) {
			make_scalar(x, c, n);
			len = fast->mulgen(a, x, SCALAR, c->id);
			assert_int_equal(c->slow->mulgen(b, x, SCALAR, c->id), len);
			for (round = 0; round < 2; round++) {
				CHECK(!memcmp(a, b, len), "curve %d, scalar %zu, round %zu", c->id,
				    n, round);
				assert_int_equal(fast->mul(a, len, x, SCALAR, c->id), 1);
				assert_int_equal(c->slow->mul(b, len, x, SCALAR, c->id), 1);
			}
		}
	}
}

/* As for a signature: x times a point and y times the generator, or another point. */
static void
test_sums(void **state)
{
	const struct curve *c = &curves[0];
	const br_ec_impl *fast = curves_all();
	unsigned char x[SCALAR], y[SCALAR], a[POINT_MAX], b[POINT_MAX], other[POINT_MAX];
	size_t i, n, len;

	(void)state;
	for (n = 0; n < 3 + RANDOM; n++) {
		for (i = 0; i < 4 + RANDOM; i++) {
			uint32_t good, good_slow;

			make_scalar(x, c, n);
			make_scalar(y, c, i % (3 + RANDOM));
			len = c->slow->mulgen(a, y, SCALAR, c->id);
			c->slow->mulgen(other, x, SCALAR, c->id);
			memcpy(b, a, len);
			good = fast->muladd(
			    a, i % 2 ? other : NULL, len, x, SCALAR, y, SCALAR, c->id);
			good_slow = c->slow->muladd(
			    b, i % 2 ? other : NULL, len, x, SCALAR, y, SCALAR, c->id);
			CHECK(good == good_slow && (!good || !memcmp(a, b, len)),
			    "scalars %zu and %zu: %u and %u", n, i, (unsigned)good,
			    (unsigned)good_slow);
		}
	}
}

/* The generator once and its last multiple are nothing; the generator twice is its double. */
static void
test_edges(void **state)
{
	const struct curve *c = &curves[0];
	const br_ec_impl *fast = curves_all();
	unsigned char one[SCALAR], last[SCALAR], a[POINT_MAX], b[POINT_MAX];
	size_t len;

	(void)state;
	make_scalar(one, c, 0);
	make_scalar(last, c, 2);
	len = c->slow->mulgen(a, one, SCALAR, c->id);
	memcpy(b, a, len);
	assert_int_equal(fast->muladd(a, NULL, len, last, SCALAR, one, SCALAR, c->id), 0);
	memcpy(a, b, len);
	assert_int_equal(fast->muladd(a, NULL, len, one, SCALAR, one, SCALAR, c->id), 1);
	one[SCALAR - 1] = 2;
	c->slow->mulgen(b, one, SCALAR, c->id);
	assert_memory_equal(a, b, len);
	a[len - 1] ^= 1; /* not on the curve */
	assert_int_equal(fast->mul(a, len, one, SCALAR, c->id), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_multiples),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
