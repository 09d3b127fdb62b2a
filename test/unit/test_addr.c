/*
 * test_addr.c - addresses and networks: what a user may give, and what the server makes of what
 * stands there
 */
#include "help.h"

#include "format/addr.h"

/* What --proxy takes. out: the text that is written; else a part of the message. */
static const struct {
	const char *in, *out, *why;
} given[] = {
	{ "203.0.113.10", "203.0.113.10/32", NULL },
	{ "203.0.113.10/32", "203.0.113.10/32", NULL },
	{ "203.0.113.0/24", "203.0.113.0/24", NULL },
	{ "10.0.0.0/8", "10.0.0.0/8", NULL },
	{ "128.0.0.0/9", "128.0.0.0/9", NULL },
	{ "0.0.0.0", "0.0.0.0/32", NULL },
	{ "2001:db8::10", "2001:db8::10/128", NULL },
	{ "2001:DB8:0:0:0:0:0:10", "2001:db8::10/128", NULL },
	{ "2001:db8::/32", "2001:db8::/32", NULL },
	{ "fe80::/10", "fe80::/10", NULL },
	{ "2001:db8:8000::/33", "2001:db8:8000::/33", NULL },
	{ "::1", "::1/128", NULL },
	{ "::ffff:192.0.2.1", "192.0.2.1/32", NULL },
	{ "::FFFF:c000:0201", "192.0.2.1/32", NULL },
	{ "::ffff:192.0.2.1/128", "192.0.2.1/32", NULL },
	{ "::ffff:192.0.2.0/120", "192.0.2.0/24", NULL },
	{ "::ffff:10.0.0.0/104", "10.0.0.0/8", NULL },
	{ "::fffe:0:0/96", "::fffe:0:0/96", NULL }, /* next to the mapped ones */
	{ "::/96", "::/96", NULL },                 /* the compatible ones */

	/* host bits: the right network is named */
	{ "203.0.113.10/24", NULL, "203.0.113.0/24" },
	{ "203.0.113.1/31", NULL, "203.0.113.0/31" },
	{ "2001:db8::1/64", NULL, "2001:db8::/64" },
	{ "::ffff:192.0.2.1/120", NULL, "192.0.2.0/24" },
	{ "203.0.113.10/33", NULL, "/8 to /32" },
	{ "203.0.113.10/256", NULL, "/8 to /32" },
	{ "10.0.0.0/7", NULL, "/8 to /32" },
	{ "0.0.0.0/0", NULL, "/8 to /32" },
	{ "2001:db8::/129", NULL, "/8 to /128" },
	{ "2000::/7", NULL, "/8 to /128" },
	{ "::/0", NULL, "/8 to /128" },
	{ "::/8", NULL, "every IPv4 client" },
	{ "::/64", NULL, "every IPv4 client" },
	{ "::/80", NULL, "every IPv4 client" },
	{ "::ffff:0:0/96", NULL, "every IPv4 client" },
	{ "::fffe:0:0/95", NULL, "every IPv4 client" },
	{ "::ffff:203.0.113.10/32", NULL, "every IPv4 client" },
	{ "::ffff:203.0.113.10/100", NULL, "every IPv4 client" },
	{ "::ffff:203.0.113.10/0", NULL, "every IPv4 client" },
	{ "::ffff:203.0.113.10/129", NULL, "" },
	{ "203.0.113.10/", NULL, "" },
	{ "203.0.113.10/08", NULL, "" },
	{ "203.0.113.10/+8", NULL, "" },
	{ "203.0.113.10/-1", NULL, "" },
	{ "203.0.113.10/8x", NULL, "" },
	{ "203.0.113.10/4294967328", NULL, "" }, /* 32 and 2^32 */
	{ "203.0.113.10/255.255.255.255", NULL, "" },
	{ "203.0.113.10/24/24", NULL, "" },
	{ "203.0.113.010", NULL, "not an IP address" },
	{ "203.0.113", NULL, "not an IP address" },
	{ "203.0.113.256", NULL, "not an IP address" },
	{ "3405803786", NULL, "not an IP address" },
	{ "0xcb.0.113.10", NULL, "not an IP address" },
	{ " 203.0.113.10", NULL, "not an IP address" },
	{ "203.0.113.10 ", NULL, "not an IP address" },
	{ "203.0.113.10:443", NULL, "not an IP address" },
	{ "[2001:db8::1]", NULL, "not an IP address" },
	{ "fe80::1%eth0", NULL, "not an IP address" },
	{ "2001:db8::1::2", NULL, "not an IP address" },
	{ "proxy.example.org", NULL, "not an IP address" },
	{ "/24", NULL, "not an IP address" },
	{ "", NULL, "not an IP address" },
	{ "0000:0000:0000:0000:0000:ffff:255.255.255.2555555555555555555555555555555555/8", NULL,
	    "not an IP address" },
};

static void
test_given(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(given); i++) {
		char text[NET_TEXT_MAX] = "";
		struct err err = { 0 };
		struct net n;
		int r = net_parse(&n, given[i].in, &err);

		CHECK(r == (given[i].out ? 0 : -1), "\"%s\": %d %s", given[i].in, r, err.text);
		if (r == 0) {
			net_format(&n, text);
			CHECK(!strcmp(text, given[i].out), "\"%s\" becomes %s", given[i].in, text);
			CHECK(n.family == (strchr(text, ':') ? 6 : 4), "\"%s\": its family",
			    given[i].in);
			continue;
		}
		CHECK(err.kind == ERR_USAGE && has(err.text, given[i].why), "\"%s\": %s",
		    given[i].in, err.text);
	}
}

/* What it writes is taken again as it stands: by itself and by the server. */
static void
test_round_trip(void **state)
{
	char text[NET_TEXT_MAX], again[NET_TEXT_MAX];
	struct net a, b;
	unsigned bits;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		for (bits = 8; bits <= (i ? 128u : 32u); bits++) {
			memset(&a, 0, sizeof(a));
			a.family = i ? 6 : 4;
			a.bits = (unsigned char)bits;
			a.addr[0] = 0x20;
			net_format(&a, text);
			CHECK(net_parse(&b, text, NULL) == 0, "%s is refused", text);
			net_format(&b, again);
			CHECK(!strcmp(text, again) && !memcmp(&a, &b, sizeof(a)), "%s becomes %s",
			    text, again);
			CHECK(net_parse_server(&b, text) && !memcmp(&a, &b, sizeof(a)),
			    "%s is another one for the server", text);
		}
	}
}

/*
 * Does the server trust `client` through a network that stands as `text`? By its own rule (v0.15.5:
 * the network is split at the last slash, both halves are trimmed, the bits are a u32; an IPv4
 * client is compared in its mapped form too).
 */
static const struct {
	const char *text, *client;
	bool trusted;
	const char *why;
} trusts[] = {
	{ "10.0.0.0/8", "10.30.20.11", true, "" },
	{ "10.0.0.0/8", "11.30.20.11", false, "" },
	{ "192.168.1.1", "192.168.1.1", true, "a bare address" },
	{ "192.168.1.1", "192.168.1.2", false, "a bare address" },
	{ "203.0.113.10/24", "203.0.113.77", true, "host bits do not count" },
	{ "::ffff:203.0.113.10", "203.0.113.10", true, "mapped" },
	{ "::ffff:203.0.113.10", "203.0.113.11", false, "mapped" },
	{ "::ffff:203.0.113.0/120", "203.0.113.10", true, "a mapped network" },
	{ "::ffff:203.0.113.0/120", "203.0.114.10", false, "a mapped network" },
	{ "::ffff:128.0.0.0/97", "192.0.2.1", true, "half of IPv4, mapped" },
	{ "::ffff:128.0.0.0/97", "10.0.0.1", false, "half of IPv4, mapped" },
	{ "::ffff:0:0/96", "203.0.113.10", true, "all of IPv4" },
	{ "::/8", "203.0.113.10", true, "all of IPv4 and more" },
	{ "::/8", "2001:db8::1", false, "not all of IPv6" },
	{ "::ffff:203.0.113.10/32", "198.51.100.1", true, "/32 of a mapped address" },
	{ "2001:db8::/32", "2001:db8:ffff::1", true, "" },
	{ "2001:db8::/32", "2001:db9::1", false, "" },
	{ "2001:db8::/32", "203.0.113.10", false, "other families" },
	{ "10.0.0.0/8", "2001:db8::1", false, "other families" },
	{ " 10.0.0.0 / 8 ", "10.1.1.1", true, "blanks around both halves" },
	{ "10.0.0.0/+8", "10.1.1.1", true, "a plus sign is a number's" },
	{ "10.0.0.0/0008", "10.1.1.1", true, "leading zeros of the bits" },
	{ "\t203.0.113.10\n", "203.0.113.10", true, "a line feed behind it" },
	{ "10.0.0.0/7", "10.1.1.1", false, "too wide" },
	{ "0.0.0.0/0", "10.1.1.1", false, "too wide" },
	{ "10.0.0.0/33", "10.0.0.0", false, "too narrow" },
	{ "10.0.0.0/", "10.0.0.0", false, "no bits" },
	{ "10.0.0.0/8/8", "10.0.0.0", false, "two slashes" },
	{ "10.0.0.0/ + 8", "10.0.0.0", false, "a blank in the number" },
	{ "10.0.0.0/-8", "10.0.0.0", false, "a sign" },
	{ "10.0.0.01", "10.0.0.1", false, "a leading zero in the address" },
	{ "[2001:db8::1]", "2001:db8::1", false, "brackets" },
	{ "proxy.example.org", "10.0.0.1", false, "a name" },
	{ "", "10.0.0.1", false, "nothing" },
	{ "/8", "0.0.0.1", false, "bits alone" },
	{ "2000::/7", "2000::1", false, "too wide" },
	{ "2001:db8::/129", "2001:db8::", false, "too narrow" },
};

static void
test_server(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(trusts); i++) {
		struct net n, client;
		bool trusted;

		assert_true(addr_parse(&client, trusts[i].client));
		trusted = net_parse_server(&n, trusts[i].text) && net_covers(&n, &client);
		CHECK(trusted == trusts[i].trusted, "\"%s\" and %s (%s): %d", trusts[i].text,
		    trusts[i].client, trusts[i].why, trusted);
	}
}

/* Networks in networks. */
static void
test_covers(void **state)
{
	static const struct {
		const char *outer, *inner;
		bool covers;
	} cases[] = {
		{ "10.0.0.0/8", "10.0.0.0/8", true },
		{ "10.0.0.0/8", "10.128.0.0/9", true },
		{ "10.128.0.0/9", "10.0.0.0/8", false },
		{ "10.0.0.0/8", "11.0.0.0/8", false },
		{ "203.0.113.8/29", "203.0.113.15/32", true },
		{ "203.0.113.8/29", "203.0.113.16/32", false },
		{ "2001:db8::/32", "2001:db8:1::/48", true },
		{ "2001:db8::/127", "2001:db8::1", true },
		{ "2001:db8::/127", "2001:db8::2", false },
		{ "::/8", "10.0.0.0/8", true },
		{ "10.0.0.0/8", "::/8", false },
		{ "::ffff:0:0/96", "10.0.0.0/8", true },
		{ "::ffff:0:0/96", "::1", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct net outer, inner;

		assert_true(net_parse_server(&outer, cases[i].outer));
		assert_true(net_parse_server(&inner, cases[i].inner));
		CHECK(net_covers(&outer, &inner) == cases[i].covers, "%s and %s", cases[i].outer,
		    cases[i].inner);
	}
}

static void
test_loopback(void **state)
{
	static const struct {
		const char *addr;
		bool loopback;
	} cases[] = {
		{ "127.0.0.1", true },
		{ "127.255.255.254", true },
		{ "::1", true },
		{ "::ffff:127.0.0.1", true },
		{ "128.0.0.1", false },
		{ "0.0.0.0", false },
		{ "::", false },
		{ "::2", false },
		{ "1::1", false },
		{ "10.0.0.1", false },
		{ "::127.0.0.1", false },
		{ "7f00::1", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct net n;

		assert_true(addr_parse(&n, cases[i].addr));
		CHECK(net_is_loopback(&n) == cases[i].loopback, "%s", cases[i].addr);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_covers),
		cmocka_unit_test(test_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
