/* test_plan_uses.c - which keys of a file a run keeps: all that it can write, and all that it reads
 */
#include "help.h"

#include "base/def.h"
#include "plan/plan_uses.h"
#include "settings/changeset.h"

static const struct {
	const char *key;
	enum toml_use use, old; /* by a server from 0.13 on, and one that may be older */
} uses[] = {
	{ "server", TOML_KEEP, TOML_KEEP },
	{ "server.listener", TOML_KEEP, TOML_KEEP },
	{ "server.listener.imap.bind", TOML_KEEP, TOML_KEEP },
	{ "server.listeners", TOML_PLACE, TOML_PLACE },
	{ "server.proxy.trusted-networks.0", TOML_KEEP, TOML_KEEP },
	{ "server.hostname", TOML_PLACE, TOML_PLACE },
	{ "servers", TOML_DROP, TOML_DROP },
	{ "server.allowed-ip.192.0.2.1", TOML_KEEP, TOML_KEEP },
	{ "server.blocked-ip.192.0.2.1", TOML_PLACE, TOML_PLACE },
	{ "server.blocked-ip.203.0.113.20", TOML_KEEP, TOML_KEEP },
	{ "server.blocked-ip.203.0.0.0/16", TOML_KEEP, TOML_KEEP },
	{ "server.blocked-ip.2001:db8::1", TOML_PLACE, TOML_KEEP },
	{ "server.blocked-ip", TOML_PLACE, TOML_PLACE },
	{ "auth", TOML_KEEP, TOML_KEEP },
	{ "authentication.fallback-admin.secret", TOML_DROP, TOML_DROP },
	{ "acme.x.contact", TOML_KEEP, TOML_KEEP },
	{ "cluster.node-id", TOML_KEEP, TOML_KEEP },
	{ "config.local-keys.0", TOML_KEEP, TOML_KEEP },
	{ "http.use-x-forwarded", TOML_KEEP, TOML_KEEP },
	{ "session.ehlo.require", TOML_KEEP, TOML_KEEP },
	{ "queue.strategy.route.0.if", TOML_KEEP, TOML_KEEP },
	{ "store.rocksdb.path", TOML_DROP, TOML_DROP },
	{ "certificate.default.cert", TOML_DROP, TOML_DROP },
	{ "a", TOML_DROP, TOML_DROP },
	{ "", TOML_DROP, TOML_DROP },
};

static void
test_uses(void **state)
{
	struct plan_uses p = { .new_server = "203.0.113.20" };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(uses); i++) {
		p.old = false;
		CHECK(plan_uses(&p, uses[i].key) == uses[i].use, "%s", uses[i].key);
		p.old = true;
		CHECK(plan_uses(&p, uses[i].key) == uses[i].old, "%s, an old server", uses[i].key);
	}
	p.new_server = "";
	assert_int_equal(plan_uses(&p, "server.blocked-ip.203.0.113.20"), TOML_PLACE);
}

/* The change set of each dialect. */
static void
test_changeset(void **state)
{
	static const char *const networks[] = { "192.0.2.1/32" };
	const struct plan_uses p = { .new_server = "" };
	const struct wanted w = { .groups = (1u << GROUP_COUNT) - 1,
		.public_url = "https://mail.example.org",
		.relay_host = "new.example.org",
		.relay_port = 25,
		.relay_id = "smarthost",
		.allow = "192.0.2.9" };
	struct pool pool = { 0 };
	size_t i, j;

	(void)state;
	for (i = 0; i < DIALECT_COUNT; i++) {
		struct changeset set = { 0 };

		changeset_add_listener(&set, &pool, "imap", networks, 1);
		changeset_add_rest(&set, &pool, &w, &changeset_dialects[i]);
		CHECK(set.count >= 18, "%zu keys", set.count);
		for (j = 0; j < set.count; j++)
			CHECK(plan_uses(&p, set.entries[j].key) == TOML_KEEP, "%s",
			    set.entries[j].key);
	}
	pool_free(&pool);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uses),
		cmocka_unit_test(test_changeset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
