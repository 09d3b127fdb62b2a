/* test_faults.c - which settings make the server refuse a reload */
#include "help.h"

#include "settings/changeset.h"
#include "settings/faults.h"

#define L(id, lines) \
	"server.listener." id ".bind.0 = [::]:1\nserver.listener." id ".protocol = imap\n" lines
#define OWN(id, rest) "server.listener." id ".proxy.trusted-networks" rest "\n"
#define GLOBAL(rest)  "server.proxy.trusted-networks" rest "\n"
#define R             "queue.strategy.route"

/* By server-facts: what a network is; rule settings; the advertised URL. */
static const struct {
	const char *settings;
	const char *keys; /* the faulty ones, each with a blank behind it */
	int minor;
} cases[] = {
	{ L("a", OWN("a", ".0 = 10.0.0.1") OWN("a", ".1 = ::1/8")), "", 15 },
	{ L("a", OWN("a", " = name")), "server.listener.a.proxy.trusted-networks ", 15 },
	{ L("a", OWN("a", ".0 = ") OWN("a", ".1 = 10.0.0.0/33") OWN("a", ".x.y = 0.0.0.0/0")),
	    "server.listener.a.proxy.trusted-networks.0 server.listener.a.proxy.trusted-networks.1 "
	    "server.listener.a.proxy.trusted-networks.x.y ",
	    15 },
	{ L("a", OWN("a", ".0 = %{env:PROXY}%")), "", 15 }, /* nobody can see it */
	{ L("a", "") GLOBAL(".0 = 10.0.0.0/7"), "server.proxy.trusted-networks.0 ", 15 },
	/* one listener with a list of its own, one without; each fault once */
	{ L("a", "") L("b", OWN("b", ".0 = 10.0.0.1")) L("c", "") GLOBAL(" = x"),
	    "server.proxy.trusted-networks ", 15 },
	{ L("b", OWN("b", ".0 = 10.0.0.1")) GLOBAL(" = x"), "", 15 }, /* no listener uses it */
	{ OWN("ghost", ".0 = x"), "", 15 },                           /* no listener */
	{ R ".0.if = a\n" R ".0.then = b\n" R ".1.else = c\n", "", 15 },
	{ R ".0.if = a\n" R ".0.then = b\n" R ".1.if = a\n" R ".1.then = b\n" R ".2.else = c\n", "",
	    15 },
	{ R " = 'mx'\n" R ".1.else = c\n", "", 15 }, /* the scalar wins */
	{ R ".1.else = c\n", R ".1.else ", 15 },
	{ R ".0.then = b\n", R ".0.then ", 15 },
	{ R ".0.if = a\n" R ".1.else = c\n", R " ", 15 },
	{ R ".0.if = a\n" R ".0.then = b\n", R " ", 15 },
	{ R ".0.if = a\n" R ".0.then = b\n" R ".1.else = c\n" R ".2.else = d\n", R ".2.else ", 15 },
	{ R ".0.if = a\n" R ".0.then = b\n" R ".1.else = c\n" R ".2.if = a\n" R ".2.then = b\n",
	    R ".2.then ", 15 },
	{ R ".0.if = a\n" R ".0.then = b\n" R ".1.else = c\n" R ".2.if = a\n", R " ", 15 },
	/* a list of config.toml beside one of the API: in the order of the texts */
	{ R ".0.if = a\n" R ".0.then = b\n" R ".0000.if = a\n" R ".0000.then = b\n" R
	    ".0001.else = c\n" R ".1.else = c\n",
	    R ".1.else ", 15 },
	/* the same entry's again */
	{ R ".0.if = a\n" R ".0.then = b\n" R ".1.else = c\n" R ".1.else.x = d\n", "", 15 },
	{ R ".0 = b\n", R ".0 ", 15 },
	/* of another version: nobody reads it */
	{ R ".1.else = c\n", "", 12 },
	{ "queue.outbound.next-hop.1.else = c\n", "queue.outbound.next-hop.1.else ", 12 },
	{ "queue.outbound.next-hop.1.else = c\n", "", 15 },
	{ "auth.dkim.verify.1.else = c\nsession.ehlo.require.0.then = c\n",
	    "auth.dkim.verify.1.else session.ehlo.require.0.then ", 8 },
	{ "http.url = 'https://a.example'\n", "", 15 },
	{ "http.url = https://a.example\n", "http.url ", 15 },
	{ "http.url = https://a.example\n", "", 11 },
	{ "server.http.url = https://a.example\n", "server.http.url ", 11 },
	/* a relay that lacks a part */
	{ "remote.a.address = x\n", "remote.a.port remote.a.protocol ", 12 },
	{ "remote.a.address = x\nremote.a.port = 25\nremote.a.protocol = smtp\n", "", 12 },
	{ "remote.a.port = 25\n", "", 12 },
	{ "remote.b.address = x\n", "", 12 },
	{ "remote.a.address = x\n", "", 15 },
	{ "queue.route.a.type = relay\nqueue.route.a.port = 25\n",
	    "queue.route.a.address queue.route.a.protocol ", 15 },
	{ "queue.route.a.type = mx\n", "", 15 },
	{ "queue.route.a.address = x\n", "", 15 },
	{ "http.url = protocol + '://' + config_get('server.hostname')\n", "", 15 },
};

static void
test_cases(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct pool pool = { 0 };
		struct faults f = { 0 };
		const char *keys = "";
		struct settings s;

		settings_of(&s, &pool, cases[i].settings);
		faults_find(&f, &pool, &s, changeset_dialect(cases[i].minor), "a");
		for (j = 0; j < f.count; j++) {
			keys = pool_printf(&pool, "%s%s ", keys, f.items[j].key);
			assert_true(*f.items[j].why);
		}
		CHECK(!strcmp(keys, cases[i].keys), "%s: \"%s\", not \"%s\"", cases[i].settings,
		    keys, cases[i].keys);
		pool_free(&pool);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
