/* test_guard.c - the last gate: whatever a plan says, port 25 stays outside of the proxy */
#include "plan_help.h"

#include "plan/guard.h"

#define GLOBAL "server.proxy.trusted-networks.0 = 10.0.0.0/8\n"
#define OWN    "server.listener.smtp.proxy.trusted-networks.0 = 192.0.2.1\n"

static const struct {
	const char *settings, *words, *key, *wanted, *why;
	bool good;
} cases[] = {
	{ SMTP IMAP, "", "server.listener.imap.proxy.override", "true", "another listener", true },
	{ SMTP IMAP, "", "server.listener.smtp.proxy.override", "true", "the override", false },
	{ SMTP IMAP, "", "server.listener.smtp.proxy.trusted-networks.0", "10.0.0.0/8", "a network",
	    false },
	{ SMTP IMAP, "", "server.listener.smtp.proxy.trusted-networks", "10.0.0.0/8", "a scalar",
	    false },
	{ SMTP OWN, "", "server.listener.smtp.proxy.trusted-networks.0", NULL, "a removal", true },
	{ SMTP OWN GLOBAL, "--new-server 192.0.2.9",
	    "server.listener.smtp.proxy.trusted-networks.0", NULL,
	    "the global list does not cover it", true },
	{ SMTP OWN GLOBAL, "--new-server 10.1.2.3", "server.listener.smtp.proxy.trusted-networks.0",
	    NULL, "the global list would cover the new server", false },
	{ SMTP IMAP, "--relay-listener imap", "server.listener.imap.proxy.override", "true",
	    "the relay listener", false },
	{ SMTP LISTENER("smtp2", "imap", "[::]:143"), "", "server.listener.smtp2.proxy.override",
	    "true", "a longer name", true },
	{ LISTENER("mx", "smtp", "[::]:0025"), "", "server.listener.mx.proxy.override", "true",
	    "port 0025", false },
};

static void
test_cases(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct plan_key k = {
			.key = cases[i].key, .wanted = cases[i].wanted, .write = true
		};
		struct plan p = { .keys = &k, .key_count = 1 };
		struct err err = { 0 };
		struct world w;
		int r;

		world_begin(&w, cases[i].settings);
		options_of(&w.o, &w.pool,
		    pool_printf(&w.pool, "status --url https://a.example %s", cases[i].words));
		r = guard_port_25(&p, &w.now, &w.o.request, &err);
		CHECK(r == (cases[i].good ? 0 : -1), "%s: %s", cases[i].why, err.text);
		CHECK(cases[i].good || err.refusal == REFUSAL_PORT_25, "%s: %s", cases[i].why,
		    err.text);
		k.write = false;
		CHECK(guard_port_25(&p, &w.now, &w.o.request, &err) == 0, "%s: nothing is written",
		    cases[i].why);
		world_end(&w);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
