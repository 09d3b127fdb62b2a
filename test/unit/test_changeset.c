/* test_changeset.c - the guide's change set as tables, for each dialect */
#include "help.h"

#include "base/buf.h"
#include "base/pool.h"
#include "format/url.h"
#include "settings/changeset.h"

/* The guide's own keys and values, for 0.15. */
static const struct {
	const char *key, *value;
	enum group group;
} guide[] = {
	{ "auth.dkim.verify", "disable", GROUP_CHECKS },
	{ "auth.arc.verify", "disable", GROUP_CHECKS },
	{ "auth.spf.verify.ehlo", "disable", GROUP_CHECKS },
	{ "auth.spf.verify.mail-from", "disable", GROUP_CHECKS },
	{ "auth.dmarc.verify", "disable", GROUP_CHECKS },
	{ "auth.iprev.verify", "disable", GROUP_CHECKS },
	{ "session.ehlo.reject-non-fqdn", "false", GROUP_CHECKS },
	{ "http.url", "'https://mail.example.org'", GROUP_URL },
	{ "queue.route.smarthost.type", "relay", GROUP_OUTBOUND },
	{ "queue.route.smarthost.address", "new.internal.example.org", GROUP_OUTBOUND },
	{ "queue.route.smarthost.port", "25", GROUP_OUTBOUND },
	{ "queue.route.smarthost.protocol", "smtp", GROUP_OUTBOUND },
	{ "queue.route.smarthost.tls.implicit", "false", GROUP_OUTBOUND },
	{ "queue.route.smarthost.tls.allow-invalid-certs", "true", GROUP_OUTBOUND },
	{ "queue.strategy.route.0.if", "is_local_domain('*', rcpt_domain)", GROUP_OUTBOUND },
	{ "queue.strategy.route.0.then", "'local'", GROUP_OUTBOUND },
	{ "queue.strategy.route.1.else", "'smarthost'", GROUP_OUTBOUND },
};

#define ALL (1u << GROUP_CHECKS | 1u << GROUP_URL | 1u << GROUP_OUTBOUND)

static const struct wanted wanted = {
	.groups = ALL,
	.public_url = "https://mail.example.org",
	.relay_host = "new.internal.example.org",
	.relay_port = 25,
	.relay_id = "smarthost",
};

static void
test_guide(void **state)
{
	struct changeset set = { 0 };
	struct pool pool = { 0 };
	size_t i;

	(void)state;
	changeset_add_rest(&set, &pool, &wanted, changeset_dialect(15));
	assert_int_equal(set.count, COUNT(guide));
	for (i = 0; i < COUNT(guide); i++) {
		const struct entry *e = &set.entries[i];

		CHECK(!strcmp(e->key, guide[i].key) && !strcmp(e->value, guide[i].value) &&
			e->group == guide[i].group,
		    "%s = %s", e->key, e->value);
		CHECK(e->applies == APPLIES_RELOAD, "%s: applies", e->key);
	}
	pool_free(&pool);
}

static const char *
value_of(const struct changeset *set, const char *key)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		if (!strcmp(set->entries[i].key, key))
			return set->entries[i].value;
	}
	return NULL;
}

/* The table of server-facts: what differs between the versions. */
static void
test_dialects(void **state)
{
	int minor;

	(void)state;
	for (minor = 8; minor <= 15; minor++) {
		const struct dialect *d = changeset_dialect(minor);
		struct changeset set = { 0 };
		struct pool pool = { 0 };
		bool old_url = minor <= 11, old_relay = minor <= 12;

		assert_non_null(d);
		changeset_add_rest(&set, &pool, &wanted, d);
		CHECK(d->capital_ops == (minor <= 10), "0.%d: spelling", minor);
		CHECK(value_of(&set, old_url ? "server.http.url" : "http.url") &&
			!value_of(&set, old_url ? "http.url" : "server.http.url"),
		    "0.%d: URL", minor);
		CHECK(value_of(&set,
			  old_relay ? "remote.smarthost.address" : "queue.route.smarthost.address"),
		    "0.%d: relay", minor);
		CHECK(!value_of(&set,
			  old_relay ? "queue.route.smarthost.address" : "remote.smarthost.address"),
		    "0.%d: relay", minor);
		CHECK(!!value_of(&set, "queue.route.smarthost.type") == !old_relay &&
			!value_of(&set, "remote.smarthost.type"),
		    "0.%d: type", minor);
		CHECK(value_of(&set,
			  old_relay ? "queue.outbound.next-hop.1.else"
				    : "queue.strategy.route.1.else"),
		    "0.%d: rule", minor);
		CHECK(set.count == (old_relay ? 16 : 17), "0.%d: %zu keys", minor, set.count);
		pool_free(&pool);
	}
	assert_null(changeset_dialect(7));
	assert_null(changeset_dialect(16));
	assert_null(changeset_dialect(-1));
}

/* Every version has one dialect, and they are in order. */
static void
test_table(void **state)
{
	size_t i;

	(void)state;
	assert_int_equal(changeset_dialects[0].first, MINOR_FIRST);
	assert_int_equal(changeset_dialects[DIALECT_COUNT - 1].last, MINOR_LAST);
	for (i = 1; i < DIALECT_COUNT; i++)
		assert_int_equal(changeset_dialects[i].first, changeset_dialects[i - 1].last + 1);
}

static void
test_listener(void **state)
{
	static const char *const networks[] = { "203.0.113.10/32", "2001:db8::/64" };
	struct changeset set = { 0 };
	struct pool pool = { 0 };
	size_t i;

	(void)state;
	changeset_add_listener(&set, &pool, "web mail", networks, 2);
	assert_int_equal(set.count, 3);
	assert_string_equal(value_of(&set, "server.listener.web mail.proxy.override"), "true");
	assert_string_equal(
	    value_of(&set, "server.listener.web mail.proxy.trusted-networks.0"), "203.0.113.10/32");
	assert_string_equal(
	    value_of(&set, "server.listener.web mail.proxy.trusted-networks.1"), "2001:db8::/64");
	for (i = 0; i < set.count; i++)
		assert_true(set.entries[i].group == GROUP_LISTENERS &&
		    set.entries[i].applies == APPLIES_RESTART);
	pool_free(&pool);
}

/* Port 25 is never among them. */
static void
test_default_listeners(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < LISTENERS_DEFAULT; i++)
		assert_string_not_equal(changeset_default_listeners[i], "smtp");
}

/* Parts of it, another relay, and the allow list. */
static void
test_parts(void **state)
{
	struct wanted w = wanted;
	struct changeset set = { 0 };
	struct pool pool = { 0 };

	(void)state;
	w.groups = 0;
	changeset_add_rest(&set, &pool, &w, changeset_dialect(15));
	assert_int_equal(set.count, 0);
	w.groups = 1u << GROUP_OUTBOUND | 1u << GROUP_ALLOW;
	w.relay_id = "out2";
	w.relay_port = 2525;
	w.allow = "192.0.2.1";
	changeset_add_rest(&set, &pool, &w, changeset_dialect(12));
	assert_int_equal(set.count, 9);
	assert_string_equal(value_of(&set, "remote.out2.port"), "2525");
	assert_string_equal(value_of(&set, "queue.outbound.next-hop.1.else"), "'out2'");
	assert_string_equal(value_of(&set, "server.allowed-ip.192.0.2.1"), "");
	pool_free(&pool);
}

static void
test_versions(void **state)
{
	static const struct {
		const char *text;
		int minor;
	} cases[] = {
		{ "0.8", 8 },
		{ "0.15", 15 },
		{ "0.13.4", 13 },
		{ "0.15.55", 15 },
		{ "0.7", -1 },
		{ "0.16", -1 },
		{ "0.115", -1 },
		{ "1.0", -1 },
		{ "1.15", -1 },
		{ "15", -1 },
		{ "0.15.", -1 },
		{ "0.", -1 },
		{ "0", -1 },
		{ "", -1 },
		{ "0.15.5.1", -1 },
		{ "0..15", -1 },
		{ "0.15a", -1 },
		{ " 0.15", -1 },
		{ "0. 15", -1 },
		{ "0.+15", -1 },
		{ "0.4294967311", -1 },
		{ "auto", -1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		CHECK(changeset_parse_version(cases[i].text) == cases[i].minor, "\"%s\": %d",
		    cases[i].text, changeset_parse_version(cases[i].text));
}

static void
test_groups(void **state)
{
	struct pool pool = { 0 };
	enum group g, found;

	(void)state;
	for (g = 0; g < GROUP_COUNT; g++) {
		assert_true(*group_name(g) && *group_words(g));
		assert_true(group_find(&found, group_name(g), strlen(group_name(g))) && found == g);
		assert_false(group_find(&found, group_name(g), strlen(group_name(g)) - 1));
	}
	assert_string_equal(
	    group_list(&pool, 1u << GROUP_LISTENERS | 1u << GROUP_URL), "listeners,url");
	pool_free(&pool);
	assert_true(group_find(&found, "url,checks", 3) && found == GROUP_URL);
	assert_false(group_find(&found, "", 0));
	assert_false(group_find(&found, "URL", 3));
}

static const struct {
	const char *key;
	size_t from, to; /* to: 0 is the end */
	const char *written;
} written[] = {
	{ "http.url", 0, 0, "http.url" },
	{ "queue.strategy.route.0.if", 15, 0, "route.0.if" },
	{ "queue.strategy.route.0.if", 0, 14, "queue.strategy" },
	{ "server.listener.web mail.proxy.override", 0, 0,
	    "server.listener.\"web mail\".proxy.override" },
	{ "server.listener.mx.1.proxy.override", 0, 20, "server.listener.\"mx.1\"" },
	{ "server.listener.mx.1.proxy.override", 16, 0, "\"mx.1\".proxy.override" },
	{ "server.listener.mx.1.proxy.override", 19, 0, "1.proxy.override" },
	{ "server.listener.a.proxy.b.proxy.trusted-networks.0", 16, 0,
	    "\"a.proxy.b\".proxy.trusted-networks.0" },
	{ "server.listener.Web.bind", 16, 0, "\"Web\".bind" },
	{ "server.allowed-ip.203.0.113.9", 18, 0, "\"203.0.113.9\"" },
	{ "server.allowed-ip.2001:db8::9", 0, 0, "server.allowed-ip.\"2001:db8::9\"" },
};

static void
test_names(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(written); i++) {
		struct buf out = { 0 };

		changeset_write_names(&out, written[i].key, written[i].from,
		    written[i].to ? written[i].to : strlen(written[i].key));
		CHECK(!strcmp(buf_text(&out), written[i].written), "%s: %s", written[i].key,
		    out.data);
		buf_free(&out);
	}
}

/* A snapshot may name what stood below a rule's key, to be removed; never a value for it. */
static void
test_can_write(void **state)
{
	char longer[2 * ORIGIN_MAX] = "";

	(void)state;
	assert_true(changeset_can_write(GROUP_CHECKS, "auth.iprev.verify.0000.if", NULL));
	assert_false(changeset_can_write(GROUP_CHECKS, "auth.iprev.verify.0000.if", "disable"));
	assert_false(changeset_can_write(GROUP_CHECKS, "auth.iprev.verify-all", NULL));
	assert_true(changeset_can_write(GROUP_URL, "http.url.0000.if", NULL));
	assert_false(changeset_can_write(GROUP_URL, "http.url.0000.if", "'https://x.example'"));
	assert_false(changeset_can_write(GROUP_URL, "http.urls", NULL));
	memset(longer, 'a', sizeof(longer) - 1);
	longer[0] = longer[sizeof(longer) - 2] = '\'';
	assert_false(changeset_can_write(GROUP_URL, "http.url", longer));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_can_write),
		cmocka_unit_test(test_guide),
		cmocka_unit_test(test_dialects),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_listener),
		cmocka_unit_test(test_default_listeners),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
