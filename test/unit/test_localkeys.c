/*
 * test_localkeys.c - which keys live in config.toml: the server's own decision, case by case
 * (v0.15.5: Patterns, glob)
 */
#include "help.h"

#include "settings/localkeys.h"

#define P "config.local-keys."

/* Without patterns of the server's own. minors: -1 for every version. */
static const struct {
	int minor;
	const char *key;
	bool local;
} defaults[] = {
	{ -1, "server.listener.imap.proxy.override", true },
	{ -1, "server.http.url", true },
	{ -1, "server.proxy.trusted-networks.0", true },
	{ -1, "server.allowed-ip.192.0.2.1", false },
	{ -1, "server.blocked-ip.192.0.2.1", false },
	{ -1, "server.allowed-ips", true },
	{ -1, "server.allowed-ip", true },
	{ -1, "server", false },
	{ -1, "servers.x", false },
	{ -1, "store.db.type", true },
	{ -1, "directory.x", true },
	{ -1, "tracer.x", true },
	{ -1, "certificate.x", true },
	{ -1, "authentication.fallback-admin.user", true },
	{ -1, "authentication.rate-limit", false },
	{ -1, "config.local-keys.0", true },
	{ -1, "config.local-keys", false },
	{ -1, "storage.data", true },
	{ -1, "storage.database", false },
	{ -1, "storage.directory", true },
	{ -1, "storage.undelete", false },
	{ -1, "enterprise.license-key", true },
	{ -1, "auth.dkim.verify", false },
	{ -1, "http.url", false },
	{ -1, "queue.route.smarthost.address", false },
	{ -1, "remote.smarthost.address", false },
	{ -1, "session.ehlo.reject-non-fqdn", false },
	{ -1, "Server.listener.imap", false },
	{ -1, "", false },
	{ 15, "cluster.key", true },
	{ 12, "cluster.key", true },
	{ 11, "cluster.key", false },
	{ 9, "cluster.key", false },
	{ 11, "cluster.node-id", true },
	{ 11, "cluster.keys", true },
	{ 9, "lookup.default.hostname", true },
	{ 10, "lookup.default.hostname", true },
	{ 11, "lookup.default.hostname", false },
	{ 15, "lookup.default.hostname", false },
};

static void
test_defaults(void **state)
{
	struct settings none = { 0 };
	size_t i;
	int minor;

	(void)state;
	for (i = 0; i < COUNT(defaults); i++) {
		for (minor = 8; minor <= 15; minor++) {
			if (defaults[i].minor == -1 || defaults[i].minor == minor)
				CHECK(localkeys_match(&none, minor, defaults[i].key) ==
					defaults[i].local,
				    "0.%d: %s", minor, defaults[i].key);
		}
	}
}

/* Patterns of its own. */
static const struct {
	const char *lines, *key;
	bool local;
	const char *why;
} cases[] = {
	{ P "0 = store.*\n", "store.x", true, "a prefix" },
	{ P "0 = store.*\n", "store.", true, "nothing behind it" },
	{ P "0 = store.*\n", "store", false, "the dot counts" },
	{ P "0 = store.*\n", "server.listener.imap", false, "narrowed" },
	{ P "0 = server.*\n" P "1 = !server.listener.*\n", "server.listener.imap", false,
	    "an exclusion wins" },
	{ P "0 = !server.listener.*\n" P "1 = server.*\n", "server.listener.imap", false,
	    "whatever the order" },
	{ P "0 = !server.listener.*\n", "server.http.url", false,
	    "exclusions alone include nothing" },
	{ P "0 = *\n", "anything", true, "all" },
	{ P "0 = *\n" P "1 = !auth.*\n", "auth.dkim", false, "all but" },
	{ P "0 = *.override\n", "server.listener.imap.proxy.override", true, "an ending" },
	{ P "0 = *.override\n", "server.override.x", false, "an ending" },
	{ P "0 = *.a*b\n", "x.a*b", true, "a star in front makes the rest literal" },
	{ P "0 = *.a*b\n", "x.aXb", false, "a star in front makes the rest literal" },
	{ P "0 = a*b*\n", "a*b.c", true, "a trailing star makes the rest literal (server-facts)" },
	{ P "0 = a*b*\n", "aXb.c", false, "a trailing star makes the rest literal (server-facts)" },
	{ P "0 = server.*.proxy\n", "server.listener.imap.proxy", true,
	    "a star in the middle takes dots too" },
	{ P "0 = server.*.proxy\n", "server..proxy", true, "and nothing" },
	{ P "0 = server.*.proxy\n", "server.proxy", false, "but not the dots around it" },
	{ P "0 = server.*.proxy\n", "server.x.proxy.y", false, "to the end" },
	{ P "0 = a*b*c\n", "aXbYbZc", true, "two stars, and back" },
	{ P "0 = a*b*c\n", "aXcYb", false, "two stars" },
	{ P "0 = a*?c\n", "abc", true, "a question mark is one character" },
	{ P "0 = a*?c\n", "ac", false, "a question mark is one character" },
	{ P "0 = a*?c\n",
	    "a\xc3\xa4"
	    "c",
	    true, "of any length" },
	{ P "0 = a*??c\n",
	    "a\xe2\x82\xac"
	    "c",
	    false, "three bytes are one character, not two" },
	{ P "0 = a?c\n", "abc", false, "without a star it is an exact key" },
	{ P "0 = a?c\n", "a?c", true, "without a star it is an exact key" },
	{ P "0 = a*b\\*c\n", "aXb*c", true, "an escaped star" },
	{ P "0 = a*b\\*c\n", "aXbYc", false, "an escaped star" },
	{ P "0 = a*b\\\\c\n", "aXb\\c", true, "an escaped backslash" },
	{ P "0 = SERVER.*\n", "server.x", true, "patterns are lower-cased" },
	{ P "0 = server.listener.IMAP.*\n", "server.listener.IMAP.bind", false, "keys are not" },
	{ P "0 =   server.*  \n", "server.x", true, "blanks around it" },
	{ P "0 = ! server.x.* \n" P "1 = server.*\n", "server.x.y", false,
	    "blanks behind the mark" },
	{ P "0 = \t\n", "server.x", true, "an empty pattern is none: the defaults count" },
	{ P "0 = !\n", "server.x", true, "a mark alone is none" },
	{ P "0 = storage.data\n", "storage.data", true, "an exact key" },
	{ P "0 = storage.data\n", "storage.data.x", false, "an exact key" },
	{ "config.local-keys = server.*\n", "server.x", true, "a scalar" },
	{ "config.local-keys = server.*\n", "store.x", false, "a scalar" },
	{ P "0000 = server.*\n" P "0001 = store.*\n", "store.x", true, "four digits" },
	{ "config.local-keys-too = store.*\n", "server.x", false,
	    "a longer key counts too (v0.15.5: starts_with)" },
	{ "config.local = store.*\n", "server.x", true, "a shorter one does not" },
};

static void
test_patterns(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct pool pool = { 0 };
		struct settings s;

		settings_of(&s, &pool, cases[i].lines);
		CHECK(localkeys_match(&s, 15, cases[i].key) == cases[i].local, "%s and %s: %s",
		    cases[i].lines, cases[i].key, cases[i].why);
		pool_free(&pool);
	}
}

/* From 0.13 on config.local-keys.* is added where a list lacks it, and an exclusion still wins. */
static void
test_added(void **state)
{
	struct pool pool = { 0 };
	struct settings s;

	(void)state;
	settings_of(&s, &pool, P "0 = store.*\n");
	assert_true(localkeys_match(&s, 13, P "0"));
	assert_false(localkeys_match(&s, 12, P "0"));
	settings_of(&s, &pool, P "0 = store.*\n" P "1 = !config.*\n");
	assert_false(localkeys_match(&s, 15, P "0"));
	settings_of(&s, &pool, P "0 = \n");
	assert_true(localkeys_match(&s, 12, P "0")); /* no pattern: the defaults count */
	pool_free(&pool);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
