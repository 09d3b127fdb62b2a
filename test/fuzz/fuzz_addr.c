/*
 * fuzz_addr.c - networks: written and read again they are the same; what the user may give the
 * server takes too
 */
#include "fuzz.h"

#include "format/addr.h"

static void
check_same(const struct net *a, const struct net *b, const char *text)
{
	CHECK(a->family == b->family && a->bits == b->bits &&
		!memcmp(a->addr, b->addr, sizeof(a->addr)),
	    "\"%s\" reads otherwise once it was written", text);
}

/*
 * Every network as one of IPv6, an IPv4 one as mapped: then covering is having the same leading
 * bits.
 */
static void
widen(const struct net *n, unsigned char out[16], unsigned *bits)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	*bits = n->bits;
	memcpy(out, n->addr, 16);
	if (n->family != 4)
		return;
	*bits = n->bits + 96;
	memcpy(out, mapped, 12);
	memcpy(out + 12, n->addr, 4);
}

static bool
covers(const struct net *outer, const struct net *inner)
{
	unsigned char a[16], b[16];
	unsigned a_bits, b_bits, i;

	widen(outer, a, &a_bits);
	widen(inner, b, &b_bits);
	for (i = 0; i < a_bits && i < b_bits; i++) {
		if ((a[i / 8] ^ b[i / 8]) & (0x80 >> i % 8))
			return false;
	}
	return a_bits <= b_bits;
}

static void
check_shape(const struct net *n, const char *text)
{
	unsigned max = n->family == 4 ? 32 : 128, i;

	CHECK(n->family == 4 || n->family == 6, "%s: family %d", text, n->family);
	CHECK(n->bits <= max, "%s: %d bits", text, n->bits);
	for (i = n->bits; i < 128; i++)
		CHECK(!(n->addr[i / 8] & (0x80 >> i % 8)), "%s: bit %u is set behind its %d bits",
		    text, i, n->bits);
}

/* As the user gives it. */
static void
check_user(const char *text)
{
	struct net n, again;
	char out[NET_TEXT_MAX];
	struct err err;

	if (net_parse(&n, text, &err) == -1) {
		check_err(&err);
		return;
	}
	check_shape(&n, text);
	CHECK(n.bits >= 8, "%s: %d bits", text, n.bits);
	net_format(&n, out);
	CHECK(net_parse(&again, out, &err) == 0, "%s, then %s: %s", text, out, err.text);
	check_same(&n, &again, text);
	CHECK(net_parse_server(&again, text), "the server would not take %s", text);
	check_same(&n, &again, text);
	CHECK(net_parse_server(&again, out), "the server would not take %s, written as %s", text,
	    out);
	check_same(&n, &again, text);
}

/* As it may stand in the settings. True when the server takes it. */
static bool
check_server(const char *text, struct net *n)
{
	struct net again;
	char out[NET_TEXT_MAX];

	if (!net_parse_server(n, text))
		return false;
	check_shape(n, text);
	CHECK(net_covers(n, n), "%s does not hold itself", text);
	if (n->bits < 8)
		/* ::ffff:0:0/96 and its like, which IPv4's notation can't say */
		return true;
	net_format(n, out);
	CHECK(net_parse_server(&again, out), "%s, then %s", text, out);
	check_same(n, &again, text);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	char *one = input_until(&in, '\n'), *two = input_until(&in, '\n');
	struct net a, b;
	bool has_a, has_b;

	check_user(one);
	check_user(two);
	has_a = check_server(one, &a);
	has_b = check_server(two, &b);
	if (has_a && has_b) {
		CHECK(net_covers(&a, &b) == covers(&a, &b), "%s over %s", one, two);
		CHECK(net_covers(&b, &a) == covers(&b, &a), "%s over %s", two, one);
	}
	free(one);
	free(two);
	return 0;
}
