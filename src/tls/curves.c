#include "tls/curves.h"

#include <bearssl.h>

static const br_ec_impl *
of(int curve)
{
	return curve == BR_EC_curve25519 ? &br_ec_c25519_m31
	    : curve == BR_EC_secp256r1   ? &br_ec_p256_m31
					 : &br_ec_prime_i31;
}

static const unsigned char *
generator(int curve, size_t *len)
{
	return of(curve)->generator(curve, len);
}

static const unsigned char *
order(int curve, size_t *len)
{
	return of(curve)->order(curve, len);
}

static size_t
xoff(int curve, size_t *len)
{
	return of(curve)->xoff(curve, len);
}

static uint32_t
mul(unsigned char *point, size_t len, const unsigned char *x, size_t xlen, int curve)
{
	return of(curve)->mul(point, len, x, xlen, curve);
}

static size_t
mulgen(unsigned char *point, const unsigned char *x, size_t xlen, int curve)
{
	return of(curve)->mulgen(point, x, xlen, curve);
}

static uint32_t
muladd(unsigned char *a, const unsigned char *b, size_t len, const unsigned char *x, size_t xlen,
    const unsigned char *y, size_t ylen, int curve)
{
	return of(curve)->muladd(a, b, len, x, xlen, y, ylen, curve);
}

const void *
curves_all(void)
{
	static const br_ec_impl all = {
		.supported_curves = 1u << BR_EC_curve25519 | 1u << BR_EC_secp256r1 |
		    1u << BR_EC_secp384r1 | 1u << BR_EC_secp521r1,
		.generator = generator,
		.order = order,
		.xoff = xoff,
		.mul = mul,
		.mulgen = mulgen,
		.muladd = muladd,
	};

	return &all;
}
