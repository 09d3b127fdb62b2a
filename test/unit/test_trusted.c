/* test_trusted.c - a list of trusted networks as it stands in the settings */
#include "help.h"

#include "settings/trusted.h"

#define KEY "server.listener.imap.proxy.trusted-networks"

static void
read_list(struct trusted *t, struct pool *pool, const char *lines)
{
	struct settings s;

	memset(t, 0, sizeof(*t));
	settings_of(&s, pool, lines);
	trusted_read(t, pool, &s, KEY);
}

/*
 * The scalar and whatever is below the key count (v0.15.5: has_prefix, then the key itself and
 * "key."), nothing else.
 */
static void
test_read(void **state)
{
	struct pool pool = { 0 };
	struct trusted t;

	(void)state;
	read_list(&t, &pool,
	    KEY " = 10.0.0.1\n" KEY ".0 = 10.0.0.2/33\n" KEY ".0001 = 10.0.0.3\n" KEY
		".a.b = 10.0.0.4\n" KEY "-more = 10.0.0.5\n" KEY
		"x.0 = 10.0.0.6\nserver.listener.imap.proxy.override = true\n"
		"server.proxy.trusted-networks.0 = 10.0.0.7\n");
	assert_int_equal(t.count, 4);
	assert_string_equal(t.items[0].key, KEY);
	assert_int_equal(t.items[0].index, -1);
	assert_true(t.items[0].valid);
	assert_int_equal(t.items[1].index, 0);
	assert_false(t.items[1].valid);
	assert_int_equal(t.items[2].index, 1);
	assert_string_equal(t.items[2].value, "10.0.0.3");
	assert_string_equal(t.items[2].key, KEY ".0001");
	assert_int_equal(t.items[3].index, -1);
	read_list(&t, &pool, "a = b\n");
	assert_int_equal(t.count, 0);
	pool_free(&pool);
}

static void
test_covering(void **state)
{
	static const struct {
		const char *lines, *net, *key;
	} cases[] = {
		{ KEY ".0 = 10.0.0.0/8\n", "10.1.2.3", KEY ".0" },
		{ KEY ".0 = 10.0.0.0/8\n", "11.1.2.3", NULL },
		{ KEY ".0 = 10.0.0.0/9\n", "10.0.0.0/8", NULL },
		{ KEY ".0 = x\n" KEY ".1 = 10.0.0.1\n", "10.0.0.1", KEY ".1" },
		{ KEY " = 10.0.0.1\n", "10.0.0.1", KEY },
		{ KEY ".0 = ::/8\n", "10.0.0.1", KEY ".0" },
		{ KEY ".0 = ::ffff:10.0.0.1\n", "10.0.0.1", KEY ".0" },
		{ KEY ".0 = 10.0.0.1/33\n", "10.0.0.1", NULL },
		{ KEY ".0 = 2001:db8::/32\n", "2001:db8::1", KEY ".0" },
		{ KEY ".0 = 10.0.0.1\n" KEY ".1 = 10.0.0.0/8\n", "10.0.0.1", KEY ".0" },
		{ "", "10.0.0.1", NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		const struct trusted_entry *e;
		struct pool pool = { 0 };
		struct trusted t;
		struct net n;

		read_list(&t, &pool, cases[i].lines);
		assert_int_equal(net_parse(&n, cases[i].net, NULL), 0);
		e = trusted_covering(&t, &n);
		CHECK(same_text(e ? e->key : NULL, cases[i].key), "%s in %s: %s", cases[i].net,
		    cases[i].lines, shown(e ? e->key : NULL));
		pool_free(&pool);
	}
}

static void
test_free_index(void **state)
{
	static const struct {
		const char *lines;
		long from, index;
	} cases[] = {
		{ "", 0, 0 },
		{ "", 3, 3 },
		{ KEY " = x\n", 0, 0 },
		{ KEY ".0 = x\n", 0, 1 },
		{ KEY ".0000 = x\n", 0, 1 },
		{ KEY ".0 = x\n" KEY ".0001 = x\n", 0, 2 },
		{ KEY ".1 = x\n", 0, 0 },
		{ KEY ".1 = x\n", 1, 2 },
		{ KEY ".0 = x\n" KEY ".1 = x\n" KEY ".3 = x\n", 0, 2 },
		{ KEY ".2 = x\n" KEY ".1 = x\n" KEY ".0 = x\n", 0, 3 },
		{ KEY ".a = x\n", 0, 0 },
		{ KEY ".0.b = x\n", 0, 1 },
		{ KEY ".99999999999999999999 = x\n", 0, 0 },
		{ KEY ".00 = x\n" KEY ".0 = x\n", 0, 1 },
		{ KEY ".-1 = x\n", 0, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct pool pool = { 0 };
		struct trusted t;

		read_list(&t, &pool, cases[i].lines);
		CHECK(trusted_free_index(&t, cases[i].from) == cases[i].index, "%s from %ld: %ld",
		    cases[i].lines, cases[i].from, trusted_free_index(&t, cases[i].from));
		pool_free(&pool);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_covering),
		cmocka_unit_test(test_free_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
