/* test_plan_stage.c - what stage would write, and when it refuses */
#include "plan_help.h"

#define LEAD         "--only listeners " PROXY
#define LIST(id)     "server.listener." id ".proxy.trusted-networks"
#define OVERRIDE(id) "server.listener." id ".proxy.override = true\n"

#define IMPLICIT(id, bind) LISTENER(id, "smtp", bind) "server.listener." id ".tls.implicit = true\n"

/* Which listeners are chosen, in the server's order. */
static const struct {
	const char *settings, *words, *chosen, *why;
} chosen[] = {
	{ DEFAULTS, "", "http https imap imaptls pop3 pop3s sieve submission submissions",
	    "all but port 25" },
	{ SMTP LISTENER("clients", "imap", "0.0.0.0:143") LISTENER("Webmail", "http", "[::]:443"),
	    "", "Webmail clients", "found by protocol, whatever the name" },
	{ SMTP LISTENER("imap.internal", "imap", "[::]:143"), "", "imap.internal",
	    "a dot in the name" },
	{ SMTP LISTENER("web mail", "http", "[::]:443"), "", "web mail", "a blank in the name" },
	{ SMTP LISTENER("imap", "IMAP", "[::]:143") LISTENER("web", "https", "[::]:443"), "",
	    "imap web", "protocols as the server reads them: any case, https is http" },
	{ LISTENER("smtp", "imap", "[::]:143") LISTENER("mx", "smtp", "[::]:25"), "", "smtp",
	    "smtp is only a name" },
	{ SMTP LISTENER("out", "smtp", "[::]:2525"), "--listener out", "out",
	    "smtp elsewhere, named" },
	{ SMTP IMAP LISTENER("out", "smtp", "[::]:1587"), "--also out", "imap out",
	    "submission behind a port mapping, added" },
	{ SMTP IMAP LISTENER("mx2", "smtp", "[::]:2525"), "--leave mx2", "imap",
	    "a second MX, left" },
	{ SMTP IMAP LISTENER("out", "smtp", "[::]:1587") LISTENER("mx2", "smtp", "[::]:2525"),
	    "--leave mx2 --also out", "imap out", "one of each" },
	{ SMTP IMAP LISTENER("sieve", "managesieve", "[::]:4190"), "--leave sieve --leave smtp",
	    "imap", "one that is found, left; port 25 is left anyway" },
	{ SMTP IMAP LISTENER("lda", "lmtp", "[::]:24"), "--also lda --also imap", "imap lda",
	    "lmtp, added; one that is found anyway" },
	{ SMTP LISTENER("x", "%{env:P}%", "[::]:1"), "--also x", "x",
	    "a protocol that is not known, added" },
	{ IMAP IMPLICIT("mx", "[::]:25"), "", "imap", "implicit TLS on port 25" },
	{ SMTP IMAP IMPLICIT("subs", "[::]:1465"), "", "imap subs", "implicit TLS on any port" },
	{ SMTP IMAP IMPLICIT("subs", "[::]:1465") "server.listener.subs.bind.1 = [::]:587\n", "",
	    "imap subs", "implicit TLS on several ports" },
	{ IMAP LISTENER("in", "smtp", "[::]:2525") LISTENER("out", "smtp", "[::]:1587")
		IMPLICIT("outs", "[::]:1465"),
	    "--relay-listener in --also out", "imap out outs", "a server in a container" },
	{ SMTP IMAP LISTENER("lda", "lmtp", "[::]:24"), "", "imap", "lmtp is left alone" },
	{ SMTP IMAP LISTENER("lda", "lmtp", "[::]:24"), "--listener lda", "lda", "lmtp, named" },
	{ SMTP IMAP LISTENER("x", "%{env:P}%", "[::]:1"), "", "imap",
	    "a protocol that is not known" },
	{ SMTP IMAP LISTENER("sub", "smtp", "[::]:587") "server.listener.sub.bind.1 = [::]:465\n",
	    "", "imap sub", "465 and 587 on one" },
	{ SMTP IMAP LISTENER("sub", "smtp", "[::]:587") "server.listener.sub.bind.1 = [::]:2525\n",
	    "--leave sub", "imap", "587 and another port: not 465 and 587 alone" },
	{ SMTP IMAP LISTENER("sub", "smtp", "[::]:0587"), "", "imap sub", "ports are numbers" },
	{ IMAP LISTENER("mx", "smtp", "0.0.0.0:0025"), "", "imap", "0025 is 25" },
	{ IMAP "server.listener.mx.bind = [::]:25\nserver.listener.mx.protocol = smtp\n", "",
	    "imap", "bind as a scalar" },
	{ IMAP LISTENER(
	      "mx", "smtp", "192.0.2.1:25") "server.listener.mx.bind.1 = [2001:db8::1]:25\n",
	    "", "imap", "25 on several addresses" },
	{ IMAP SMTP LISTENER("mx2", "smtp", "192.0.2.2:25"), "", "imap",
	    "two on 25: both left alone" },
	{ DEFAULTS, "--listener imap --listener sieve", "imap sieve", "exactly the named ones" },
	{ IMAP LISTENER("a", "smtp", "[::]:2525"), "--relay-listener a", "imap",
	    "port mapping: the relay's is named" },
	{ LISTENER("web", "http", "[::]:443") LISTENER("sub", "smtp", "[::]:587"),
	    "--relay-listener sub", "web",
	    "the relay's listener is never chosen, whatever its port" },
	{ SMTP IMAP "server.listener.ghost.bind.0 = [::]:1\n", "", "imap",
	    "no protocol, no listener" },
};

static void
test_chosen(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(chosen); i++) {
		struct world w;
		char *ids;

		world_begin(&w, chosen[i].settings);
		world_plan(
		    &w, plan_stage, pool_printf(&w.pool, "stage " LEAD "%s", chosen[i].words));
		CHECK(!refusal_of(&w.plan), "%s: refused (%s)", chosen[i].why, refusal_of(&w.plan));
		ids = pool_str(&w.pool, "");
		for (j = 0; j < w.plan.listener_count; j++) {
			CHECK(w.plan.listeners[j].why && *w.plan.listeners[j].why, "%s: no reason",
			    chosen[i].why);
			if (w.plan.listeners[j].chosen)
				ids = pool_printf(&w.pool, "%s%s%s", ids, *ids ? " " : "",
				    w.plan.listeners[j].listener->id);
		}
		CHECK(!strcmp(ids, chosen[i].chosen), "%s: %s", chosen[i].why, ids);
		world_end(&w);
	}
}

/* What is refused, by which name, and whether --force of that name helps. */
static const struct {
	const char *settings, *words, *name;
	bool forceable;
	const char *why;
} refused[] = {
	{ IMAP LISTENER("mx", "smtp", "[::]:25") "server.listener.mx.bind.1 = [::]:587\n", LEAD,
	    "port-25", false, "25 and 587 on one listener" },
	{ IMAP LISTENER("mx", "smtp", "[::]:587") "server.listener.mx.bind = [::]:25\n", LEAD,
	    "port-25", false, "the same as a scalar beside a list" },
	{ SMTP IMAP, LEAD "--listener smtp", "port-25", false, "--listener names port 25" },
	{ SMTP IMAP, LEAD "--listener imap --listener smtp", "port-25", false,
	    "--listener also names port 25" },
	{ IMAP LISTENER("mx", "smtp", "[::]:0025"), LEAD "--listener mx", "port-25", false,
	    "--listener names 0025" },
	{ IMAP LISTENER("mx", "smtp", "%{env:IP}%:25") LISTENER("lda", "lmtp", "[::]:24"),
	    LEAD "--listener mx --relay-listener lda", "port-25", false,
	    "the port is plainly 25 though a macro is the address (server-facts: a bind that ends "
	    "in :25)" },
	{ IMAP LISTENER("mx", "smtp", "[::]:2525"), LEAD "--listener mx --relay-listener mx",
	    "port-25", false, "the relay's listener is named for the proxy" },
	{ IMAP LISTENER("mx", "smtp", "[::]:2525"), LEAD, "relay-listener", false, "nobody on 25" },
	{ IMAP LISTENER("mx", "smtp", "[::]:%{env:PORT}%"), LEAD, "relay-listener", false,
	    "a macro may be 25" },
	{ SMTP IMAP LISTENER("mx", "smtp", "%{env:BIND}%"), LEAD, "relay-listener", false,
	    "a macro beside a plain 25" },
	{ SMTP IMAP LISTENER("out", "smtp", "[::]:1587"), LEAD, "submission", false,
	    "submission behind a port mapping, or a second MX" },
	{ SMTP IMAP LISTENER("sub", "smtp", "[::]:587") "server.listener.sub.bind.1 = [::]:2525\n",
	    LEAD, "submission", false, "587 and another port" },
	{ SMTP IMAP LISTENER("sub", "smtp", "nonsense"), LEAD, "submission", false,
	    "a bind that can't be read" },
	{ SMTP IMAP "server.listener.sub.protocol = smtp\n", LEAD, "submission", false,
	    "no bind at all" },
	{ SMTP IMAP LISTENER(
	      "out", "smtp", "[::]:1587") "server.listener.out.tls.implicit = false\n",
	    LEAD, "submission", false, "not implicit" },
	{ SMTP IMAP LISTENER(
	      "out", "smtp", "[::]:1587") "server.listener.out.tls.implicit = %{env:T}%\n",
	    LEAD, "submission", false, "implicit by a macro" },
	{ SMTP IMAP LISTENER("a", "smtp", "[::]:1587") LISTENER("b", "smtp", "[::]:2525"),
	    LEAD "--also a", "submission", false, "one of two is named" },
	{ IMAP LISTENER("in", "smtp", "[::]:2525") LISTENER("out", "smtp", "[::]:1587"),
	    LEAD "--relay-listener in", "submission", false,
	    "the relay's is named, not the other" },
	{ SMTP IMAP, LEAD "--also smtp", "port-25", false, "--also names port 25" },
	{ SMTP IMAP, LEAD "--also smtp --relay-listener imap", "port-25", false,
	    "--also names port 25, another one is the relay's" },
	{ IMAP IMPLICIT("mx", "[::]:25") "server.listener.mx.bind.1 = [::]:465\n", LEAD, "port-25",
	    false, "25 and 465 with implicit TLS" },
	{ IMAP LISTENER("in", "smtp", "[::]:2525"), LEAD "--relay-listener in --also in", "port-25",
	    false, "the relay's listener is added" },
	{ SMTP IMAP, LEAD "--also imaps", "no-listener", false, "--also names nobody" },
	{ SMTP IMAP, LEAD "--leave imaps", "no-listener", false, "--leave names nobody" },
	{ SMTP IMAP LISTENER("smtp.proxy.trusted-networks", "http", "[::]:443"), LEAD,
	    "listener-name", false, "found, and its keys are among port 25's networks" },
	{ SMTP IMAP LISTENER("smtp.proxy.trusted-networks", "lmtp", "[::]:24"),
	    LEAD "--listener smtp.proxy.trusted-networks", "listener-name", false,
	    "the same by --listener" },
	{ SMTP IMAP LISTENER("smtp.proxy.trusted-networks", "lmtp", "[::]:24"),
	    LEAD "--also smtp.proxy.trusted-networks", "listener-name", false, "by --also" },
	{ IMAP LISTENER("imap.proxy.trusted-networks", "smtp", "[::]:2525"),
	    LEAD "--relay-listener imap.proxy.trusted-networks", "listener-name", false,
	    "by --relay-listener" },
	{ SMTP LISTENER("smtp.proxy", "imap", "[::]:143"), LEAD, "listener-name", false,
	    "the last part alone" },
	{ SMTP LISTENER("smtp.bind", "imap", "[::]:143"), LEAD, "listener-name", false,
	    "its keys are among port 25's binds" },
	{ SMTP LISTENER("smtp.bind.0", "imap", "[::]:143"), LEAD, "listener-name", false,
	    "below one of the binds" },
	{ SMTP IMAP, LEAD "--relay-listener mx", "no-listener", false,
	    "--relay-listener names nobody" },
	{ SMTP IMAP, LEAD "--listener imaps", "no-listener", false, "--listener names nobody" },
	{ "auth.dkim.verify = relaxed\n", LEAD "--relay-listener mx", "no-listener", false,
	    "no listener at all" },
	{ SMTP, LEAD, "no-listener", false, "nothing to put behind the proxy" },
	{ SMTP IMAP "config.local-keys.0 = store.*\n", LEAD, "not-local", false,
	    "listeners not in config.toml" },
	{ SMTP IMAP
	    "config.local-keys.0 = server.*\nconfig.local-keys.1 = !server.listener.imap.*\n",
	    LEAD, "not-local", false, "one listener not in config.toml" },
	{ SMTP IMAP LIST("smtp") ".0 = 192.0.2.0/24\n", LEAD "--new-server 192.0.2.5",
	    "relay-covered", true, "port 25 wants a header from the relay" },
	{ SMTP IMAP "server.proxy.trusted-networks = 192.0.2.5\n", LEAD "--new-server 192.0.2.5",
	    "relay-covered", true, "by the global list" },
	{ SMTP IMAP "server.proxy.trusted-networks.0 = ::/8\n", LEAD "--new-server 192.0.2.5",
	    "relay-covered", true, "by an IPv6 network that covers every IPv4 client" },
	{ IMAP LISTENER("in", "smtp", "[::]:2525") LIST("in") " = 192.0.2.5\n",
	    LEAD "--relay-listener in --new-server 192.0.2.5", "relay-covered", true,
	    "the relay's listener behind a port mapping" },
	{ SMTP IMAP "cluster.coordinator = x\n", LEAD, "cluster", false, "a node of a cluster" },
	{ SMTP IMAP "cluster.seed-nodes.0 = 192.0.2.9\n", LEAD, "cluster", false,
	    "an older cluster" },
	{ SMTP "queue.route.smarthost.address = other.example.org\n", "--only outbound " RELAY,
	    "relay-taken", true, "another relay of that name" },
	{ SMTP "queue.route.smarthost.concurrency = 5\n", "--only outbound " RELAY, "relay-taken",
	    true, "another relay's own key" },
	{ SMTP "queue.route.smarthost.address = "
	       "new.example.org\nqueue.route.smarthost.auth.username = joe\n",
	    "--only outbound " RELAY, "relay-credentials", false,
	    "its credentials would go along" },
	{ SMTP "queue.route.smarthost.auth.secret = s3cret\n", "--only outbound " RELAY,
	    "relay-credentials", false, "credentials alone" },
};

static void
test_refused(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(refused); i++) {
		struct world w;
		const char *name;

		world_begin(&w, refused[i].settings);
		world_plan(&w, plan_stage, pool_printf(&w.pool, "stage %s", refused[i].words));
		name = refusal_of(&w.plan);
		CHECK(same_text(name, refused[i].name), "%s: %s", refused[i].why, shown(name));
		CHECK(!said(&w.plan, MESSAGE_REFUSAL, "s3cret"), "%s: a secret is shown",
		    refused[i].why);
		world_plan(&w, plan_stage,
		    pool_printf(&w.pool, "stage %s --force %s", refused[i].words, refused[i].name));
		name = refusal_of(&w.plan);
		CHECK(refused[i].forceable ? !name : same_text(name, refused[i].name),
		    "%s: forced: %s", refused[i].why, shown(name));
		world_end(&w);
	}
}

/* What is said with a stage that is not refused, and what is not. */
#define BEFORE_25 "expects a PROXY header"
static const struct {
	const char *settings, *every, *words, *said, *not_said, *why;
} warned[] = {
	{ SMTP LISTENER("web", "http", "127.0.0.1:8080"), NULL, "",
	    "\"web\" binds 127.0.0.1:8080 alone", NULL, "the proxy can't reach it" },
	{ SMTP LISTENER("web", "http", "127.0.0.1:8080") "server.listener.web.bind.1 = [::1]:80\n",
	    NULL, "", "\"web\" binds 127.0.0.1:8080, [::1]:80 alone", NULL, "two such binds" },
	{ SMTP LISTENER("web", "http", "127.0.0.1:8080") "server.listener.web.bind.1 = [::]:80\n",
	    NULL, "", NULL, "alone", "one of two" },
	{ SMTP LISTENER("web", "http", "127.0.0.1:8080"), NULL, "--proxy 127.0.0.1", NULL, "alone",
	    "a proxy on this host" },
	{ SMTP LISTENER("web", "http", "127.0.0.1:8080"), NULL, "--proxy ::1", NULL, "alone",
	    "a proxy on this host, IPv6" },
	{ SMTP IMAP LISTENER("web", "http", "127.0.0.1:8080"), NULL, "--leave web", NULL, "alone",
	    "left alone" },
	{ IMAP LISTENER("mx", "smtp", "127.0.0.1:25"), NULL, "", NULL, "alone",
	    "port 25 is not for the proxy" },
	{ SMTP IMAP, NULL, "--proxy 10.0.0.0/8", "--proxy 10.0.0.0/8 is a whole network", NULL,
	    "wider than a host" },
	{ SMTP IMAP, NULL, "--proxy 2001:db8::/127", "--proxy 2001:db8::/127 is a whole", NULL,
	    "wider than a host, IPv6" },
	{ SMTP IMAP, NULL, "--proxy 2001:db8::1", NULL, "whole network", "hosts alone" },
	{ SMTP IMAP "http.use-x-forwarded = true\n", NULL, "", "http.use-x-forwarded is on", NULL,
	    "a web proxy" },
	{ SMTP IMAP "server.http.use-x-forwarded = true\n", NULL, "",
	    "server.http.use-x-forwarded is on", NULL, "a web proxy, up to 0.11" },
	{ SMTP IMAP "http.use-x-forwarded = false\n", NULL, "", NULL, "x-forwarded",
	    "no web proxy" },
	{ SMTP IMAP, "server.blocked-ip.10.42.0.0/16 = \n", "--new-server 10.42.3.4",
	    "(10.42.3.4): server.blocked-ip.10.42.0.0/16 is set", NULL, "a network's ban" },
	{ SMTP IMAP, "server.blocked-ip.10.42.3.4 = x\n", "--new-server 10.42.3.4",
	    "server.blocked-ip.10.42.3.4 is set", NULL, "an address's ban" },
	{ SMTP IMAP, "server.blocked-ip.2001:db8::/32 = \n", "--new-server 2001:db8::5",
	    "server.blocked-ip.2001:db8::/32 is set", NULL, "a network's ban, IPv6" },
	{ SMTP IMAP, "server.blocked-ip.10.43.0.0/16 = \n", "--new-server 10.42.3.4", NULL,
	    "banned", "another network's ban" },
	{ SMTP IMAP, "server.blocked-ip.10.42.0.0/16 = \n", "", NULL, "banned",
	    "nobody knows the new server" },
	{ SMTP IMAP "server.blocked-ip.10.42.0.0/16 = \n", NULL, "--new-server 10.42.3.4",
	    "server.blocked-ip.10.42.0.0/16 is set", NULL, "a file's ban" },
	{ SMTP IMAP, "acme.letsencrypt.contact.0 = a@example.org\n", "", "(acme.*)", NULL,
	    "renewals" },
	{ SMTP IMAP, "acmes.x = y\n", "", NULL, "acme", "no renewals" },
	{ SMTP IMAP LIST("smtp") ".0 = \n", NULL, "", LIST("smtp") ".0 is empty", BEFORE_25,
	    "an empty network alone" },
	{ SMTP IMAP LIST("smtp") ".0 = \n" LIST("smtp") ".1 = 192.0.2.0/24\n", NULL, "",
	    BEFORE_25 " from 192.0.2.0/24 (" LIST("smtp") ".1)", "from  ",
	    "an empty network and another" },
	{ SMTP IMAP LIST("smtp") ".0 = 192.0.2.0/24\n" LIST("smtp") ".1 = %{env:N}%\n", NULL, "",
	    BEFORE_25 " from 192.0.2.0/24 and more", NULL, "a network and a macro" },
	{ SMTP IMAP LIST("smtp") ".0 = 192.0.2.0/24\n" LIST("smtp") ".1 = \n", NULL, "",
	    LIST("smtp") ".1 is empty", "and more", "the empty one is not one more" },
	{ SMTP IMAP "server.proxy.trusted-networks.0 = \n", NULL, "--new-server 192.0.2.5",
	    "server.proxy.trusted-networks.0 is empty", BEFORE_25,
	    "in the global list, with --new-server" },
	{ SMTP IMAP LIST("smtp") " = 0.0.0.0/0\n", NULL, "",
	    LIST("smtp") " is \"0.0.0.0/0\", which is no network", BEFORE_25, "too wide" },
};

/* What two listeners on port 25 have in common is a fault once. */
static void
test_warned_once(void **state)
{
	struct world w;
	size_t i, n = 0;

	(void)state;
	world_begin(&w,
	    SMTP IMAP LISTENER(
		"mx2", "smtp", "192.0.2.2:25") "server.proxy.trusted-networks.0 = \n");
	world_plan(&w, plan_stage, "stage " LEAD);
	for (i = 0; i < w.plan.messages.count; i++)
		n += has(w.plan.messages.items[i].text, "trusted-networks.0 is empty");
	assert_int_equal(n, 1);
	world_end(&w);
}

static void
test_warned(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(warned); i++) {
		struct settings every;
		struct world w;

		world_begin(&w, warned[i].settings);
		settings_of(&every, &w.pool, warned[i].every ? warned[i].every : "");
		w.every = warned[i].every ? &every : NULL;
		world_plan(&w, plan_stage,
		    pool_printf(&w.pool, "stage %s%s",
			has(warned[i].words, "--proxy") ? "--only listeners " : LEAD,
			warned[i].words));
		CHECK(!refusal_of(&w.plan), "%s: refused (%s)", warned[i].why, refusal_of(&w.plan));
		CHECK(!warned[i].said || said(&w.plan, MESSAGE_WARNING, warned[i].said),
		    "%s: not said", warned[i].why);
		CHECK(!warned[i].not_said || !said(&w.plan, MESSAGE_WARNING, warned[i].not_said),
		    "%s: said", warned[i].why);
		world_end(&w);
	}
}

/* All questions are asked in one run, and one line answers them. */
static const struct {
	const char *settings, *words, *line, *words_of_line, *why;
} questions[] = {
	{ IMAP LISTENER("in", "smtp", "[::]:2525") LISTENER("out", "smtp", "[::]:1587"), "",
	    "\n  --relay-listener ID --also in --also out",
	    "ID is the listener that the new server relays to; leave out its --also.",
	    "nobody on 25, and two that may be it" },
	{ IMAP LISTENER("in", "smtp", "[::]:2525") IMPLICIT("outs", "[::]:1465"), "",
	    "\n  --relay-listener in", "To answer, add these options.\n",
	    "only one can be it, so it is not asked about twice" },
	{ SMTP LISTENER("out 1", "smtp", "[::]:1587") LISTENER("mx2", "smtp", "[::]:2525"), "",
	    "\n  --also mx2 --also 'out 1'", "--leave in place of --also",
	    "names as a shell takes them" },
	{ SMTP LISTENER("mx2", "smtp", "%{env:BIND}%"), "", "\n  --relay-listener ID --also mx2",
	    "ID is the listener that the new server relays to; leave out its --also.",
	    "a macro may be port 25 or not" },
	{ SMTP IMAP, RELAY, "\n  --dialect VERSION", "To answer", "the version is asked as well" },
	{ SMTP IMAP LISTENER("out", "smtp", "[::]:1587"), RELAY, "\n  --dialect VERSION --also out",
	    "To answer", "a listener and the version" },
};

static void
test_questions(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(questions); i++) {
		const struct message *last;
		struct world w;
		size_t at;

		world_begin(&w, questions[i].settings);
		w.first = *questions[i].words ? 12 : 15;
		world_plan(
		    &w, plan_stage, pool_printf(&w.pool, "stage " WHOLE "%s", questions[i].words));
		last = &w.plan.messages.items[w.plan.messages.count - 1];
		at = strcspn(last->text, "\n");
		CHECK(last->level == MESSAGE_ERROR && !strcmp(last->text + at, questions[i].line),
		    "%s: %s", questions[i].why, last->text);
		CHECK(has(last->text, questions[i].words_of_line), "%s: %s", questions[i].why,
		    last->text);
		CHECK(refusal_of(&w.plan), "%s: no refusal", questions[i].why);
		world_end(&w);
	}
}

/* A server with very many listeners: the refusal still ends with what to do. */
static void
test_many_questions(void **state)
{
	struct buf lines = { 0 };
	struct world w;
	int i;

	(void)state;
	buf_str(&lines, SMTP IMAP);
	for (i = 0; i < 900; i++)
		buf_printf(&lines,
		    "server.listener.mapped%04d.bind.0 = [::]:1587\n"
		    "server.listener.mapped%04d.protocol = smtp\n",
		    i, i);
	world_begin(&w, buf_text(&lines));
	world_plan(&w, plan_stage, "stage " LEAD);
	assert_string_equal(refusal_of(&w.plan), "submission");
	assert_true(said(&w.plan, MESSAGE_REFUSAL, "\"mapped0000\" ([::]:1587), "));
	assert_true(said(&w.plan, MESSAGE_REFUSAL, " more. What mail clients use"));
	assert_true(said(&w.plan, MESSAGE_REFUSAL, "does not: --leave ID."));
	assert_true(said(&w.plan, MESSAGE_ERROR, " --also mapped0899"));
	world_plan(&w, plan_stage, "stage " LEAD "--also nobody");
	assert_true(
	    said(&w.plan, MESSAGE_REFUSAL, "no listener of that name. It has imap, mapped"));
	assert_true(said(&w.plan, MESSAGE_REFUSAL, " more."));
	world_end(&w);
	buf_free(&lines);
}

/* Exactly what is written, in order. */
static const struct {
	const char *settings, *words, *writes, *why;
} written[] = {
	{ SMTP IMAP, LEAD, OURS("imap"), "both keys of the guide" },
	{ SMTP IMAP, LEAD "--proxy 2001:db8::/64", OURS("imap") LIST("imap") ".1 = 2001:db8::/64\n",
	    "two networks" },
	{ SMTP LISTENER("IMAP.Old", "imap", "[::]:143"), LEAD, OURS("IMAP.Old"),
	    "upper case and a dot" },
	{ SMTP IMAP LIST("imap") ".0 = 10.0.0.5\n", LEAD,
	    OVERRIDE("imap") LIST("imap") ".1 = 203.0.113.10/32\n",
	    "a list that stands is kept, ours gets a free index" },
	{ SMTP IMAP LIST("imap") ".0000 = 10.0.0.5\n" LIST("imap") ".0001 = 10.0.0.6\n", LEAD,
	    OVERRIDE("imap") LIST("imap") ".2 = 203.0.113.10/32\n",
	    "four digits: 0000 and 0 are one index" },
	{ SMTP IMAP LIST("imap") ".1 = 10.0.0.5\n", LEAD,
	    OVERRIDE("imap") LIST("imap") ".0 = 203.0.113.10/32\n", "a gap is free" },
	{ SMTP IMAP LIST("imap") ".office = 10.0.0.5\n", LEAD,
	    OVERRIDE("imap") LIST("imap") ".0 = 203.0.113.10/32\n", "an entry with a name" },
	{ SMTP IMAP LIST("imap") " = 10.0.0.5\n", LEAD,
	    OVERRIDE("imap") LIST("imap") "\n" LIST("imap") ".0 = 10.0.0.5\n" LIST(
		"imap") ".1 = 203.0.113.10/32\n",
	    "a scalar becomes a list with its value kept" },
	{ SMTP IMAP LIST("imap") " = 10.0.0.5\n" LIST("imap") ".0 = 10.0.0.6\n", LEAD,
	    OVERRIDE("imap") LIST("imap") "\n" LIST("imap") ".1 = 10.0.0.5\n" LIST(
		"imap") ".2 = 203.0.113.10/32\n",
	    "a scalar beside a list" },
	{ SMTP IMAP LIST("imap") " = 10.0.0.0/8\n",
	    "--only listeners --proxy 10.0.0.5 --proxy 203.0.113.10",
	    OVERRIDE("imap") LIST("imap") "\n" LIST("imap") ".0 = 10.0.0.0/8\n" LIST(
		"imap") ".1 = 203.0.113.10/32\n",
	    "a scalar that covers the first proxy, not the second" },
	{ SMTP IMAP LIST("imap") " = 10.0.0.0/8\n",
	    "--only listeners --proxy 203.0.113.10 --proxy 10.0.0.5",
	    OVERRIDE("imap") LIST("imap") "\n" LIST("imap") ".0 = 10.0.0.0/8\n" LIST(
		"imap") ".1 = 203.0.113.10/32\n",
	    "the same in the other order: the scalar may not come back" },
	{ SMTP IMAP LIST("imap") ".0 = 203.0.113.0/24\n", LEAD, OVERRIDE("imap"),
	    "a network that covers ours" },
	{ SMTP IMAP LIST("imap") " = 203.0.113.10\n", LEAD, OVERRIDE("imap"),
	    "ours as a scalar, without bits" },
	{ SMTP IMAP LIST("imap") ".0 = ::ffff:203.0.113.10\n", LEAD, OVERRIDE("imap"),
	    "ours, mapped" },
	{ SMTP IMAP LIST("imap") ".0 = proxy.example.org\n", LEAD,
	    OVERRIDE("imap") LIST("imap") ".1 = 203.0.113.10/32\n",
	    "what the server can't read covers nothing" },
	{ SMTP IMAP LIST("imap") ".0 = 203.0.113.10/33\n", LEAD,
	    OVERRIDE("imap") LIST("imap") ".1 = 203.0.113.10/32\n", "nor does /33" },
	{ SMTP IMAP "server.listener.imap.proxy.override = false\n", LEAD, OURS("imap"),
	    "override was false" },
	{ SMTP IMAP "server.proxy.trusted-networks.0 = 10.0.0.5\n", LEAD,
	    OURS("imap") LIST("imap") ".1 = 10.0.0.5\n", "the global list is carried over" },
	{ SMTP IMAP "server.proxy.trusted-networks = 10.0.0.5\n", LEAD,
	    OURS("imap") LIST("imap") ".1 = 10.0.0.5\n", "a global scalar too" },
	{ SMTP IMAP "server.proxy.trusted-networks.0 = 203.0.113.10/32\n", LEAD, OURS("imap"),
	    "the global list is ours" },
	{ SMTP IMAP LIST("imap") ".0 = 10.0.0.6\nserver.proxy.trusted-networks.0 = 10.0.0.5\n",
	    LEAD, OVERRIDE("imap") LIST("imap") ".1 = 203.0.113.10/32\n",
	    "a list of its own: the global one did not count before" },
	{ SMTP IMAP "config.local-keys.0 = server.listener.*\n", LEAD, OURS("imap"),
	    "narrowed, listeners still local" },
	{ SMTP IMAP LIST(
	      "smtp") ".0 = 192.0.2.0/24\nserver.proxy.trusted-networks = 198.51.100.1\n",
	    LEAD "--new-server 198.51.100.1", OURS("imap") LIST("imap") ".1 = 198.51.100.1\n",
	    "port 25 has a list of its own, which does not cover the relay" },
	{ SMTP IMAP "cluster.node-id = 1\n", LEAD "--single-node", OURS("imap"),
	    "a node, the others left out on purpose" },
	{ SMTP IMAP "cluster.key = x\n", LEAD, OURS("imap"),
	    "cluster.key is no sign of a cluster" },
	{ SMTP, "--only checks --new-server ::ffff:192.0.2.5 --allow-new-server",
	    "auth.dkim.verify = disable\nauth.arc.verify = disable\nauth.spf.verify.ehlo = "
	    "disable\n"
	    "auth.spf.verify.mail-from = disable\nauth.dmarc.verify = disable\nauth.iprev.verify = "
	    "disable\n"
	    "session.ehlo.reject-non-fqdn = false\nserver.allowed-ip.192.0.2.5 = \n",
	    "exempt from bans" },
	{ SMTP, "--only outbound " RELAY,
	    "queue.route.smarthost.type = relay\nqueue.route.smarthost.address = new.example.org\n"
	    "queue.route.smarthost.port = 25\nqueue.route.smarthost.protocol = smtp\n"
	    "queue.route.smarthost.tls.implicit = "
	    "false\nqueue.route.smarthost.tls.allow-invalid-certs = true\n"
	    "queue.strategy.route.0.if = is_local_domain('*', "
	    "rcpt_domain)\nqueue.strategy.route.0.then = 'local'\n"
	    "queue.strategy.route.1.else = 'smarthost'\n",
	    "the guide's nine" },
	{ SMTP "auth.dkim.verify = disable\nauth.spf.verify.ehlo = strict\nauth.arc.verify.0.else "
	       "= relaxed\n",
	    "--only checks",
	    "auth.arc.verify = disable\nauth.spf.verify.ehlo = disable\nauth.spf.verify.mail-from "
	    "= disable\n"
	    "auth.dmarc.verify = disable\nauth.iprev.verify = "
	    "disable\nsession.ehlo.reject-non-fqdn = false\n",
	    "what stands so is not written; a list below our scalar is left" },
	{ SMTP "http.url = 'https://old.example.org'\n",
	    "--only url --public-url https://Mail.example.org/",
	    "http.url = 'https://mail.example.org'\n", "inner quotes; one slash taken off" },
};

static void
test_written(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(written); i++) {
		struct world w;
		const char *writes;

		world_begin(&w, written[i].settings);
		world_plan(&w, plan_stage, pool_printf(&w.pool, "stage %s", written[i].words));
		CHECK(
		    !refusal_of(&w.plan), "%s: refused (%s)", written[i].why, refusal_of(&w.plan));
		writes = writes_of(&w.pool, &w.plan);
		CHECK(!strcmp(writes, written[i].writes), "%s: writes\n%sand not\n%s",
		    written[i].why, writes, written[i].writes);
		CHECK(!w.plan.rewrite, "%s: rewrite", written[i].why);
		world_end(&w);
	}
}

/*
 * Whatever the situation: port 25 untouched, a second run has nothing to do, clear brings back
 * exactly what stood.
 */
static void
there_and_back(const char *settings, const char *words, const char *why)
{
	struct world w;
	const char *before, *after, *line;
	size_t i;

	world_begin(&w, settings);
	before = lines_of(&w.pool, &w.now);
	line = pool_printf(&w.pool, "stage %s", words);
	world_stage(&w, line);
	for (i = 0; i < w.plan.key_count; i++)
		CHECK(!has(w.plan.keys[i].key, "server.listener.smtp."), "%s: %s", why,
		    w.plan.keys[i].key);
	CHECK(plan_compare(&w.plan, &w.now) == 0, "%s: does not read back", why);
	world_plan(&w, plan_stage, line);
	CHECK(w.plan.write_count == 0, "%s: a second run writes\n%s", why,
	    writes_of(&w.pool, &w.plan));
	world_plan(&w, plan_clear, "clear");
	CHECK(w.plan.left_count == 0, "%s: clear leaves keys", why);
	world_write(&w);
	after = lines_of(&w.pool, &w.now);
	CHECK(!strcmp(before, after), "%s: clear brings back\n%sand not\n%s", why, after, before);
	world_end(&w);
}

static void
test_there_and_back(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(written); i++)
		there_and_back(written[i].settings, written[i].words, written[i].why);
	there_and_back(DEFAULTS, WHOLE, "everything usual");
	there_and_back(DEFAULTS, WHOLE RELAY, "everything");
}

/* What stands at the routing rule would block every reload, or win in silence. */
static const struct {
	const char *rule, *gone, *why;
} left_overs[] = {
	{ "queue.strategy.route = 'mx'\n", "queue.strategy.route\n",
	    "a scalar wins over our list" },
	{ "queue.strategy.route.2.else = 'mx'\n", "queue.strategy.route.2.else\n",
	    "a second else" },
	{ "queue.strategy.route.0000.if = true\nqueue.strategy.route.0000.then = "
	  "'mx'\nqueue.strategy.route.0001.else = 'mx'\n",
	    "queue.strategy.route.0000.if\nqueue.strategy.route.0000.then\nqueue.strategy.route."
	    "0001.else\n",
	    "four digits" },
	{ "queue.strategy.route.0.else = 'mx'\n", "queue.strategy.route.0.else\n",
	    "else in front of then" },
	{ "queue.strategy.routes.0.else = 'mx'\n", "", "another key that begins the same" },
	{ "queue.strategy.route.0.if = is_local_domain('*', "
	  "rcpt_domain)\nqueue.strategy.route.0.then = 'local'\n"
	  "queue.strategy.route.1.else = 'smarthost'\n",
	    "", "the guide's own rule" },
};

static void
test_left_overs(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(left_overs); i++) {
		struct world w;
		char *gone;

		world_begin(&w, "");
		settings_of(&w.now, &w.pool, pool_printf(&w.pool, SMTP "%s", left_overs[i].rule));
		world_plan(&w, plan_stage, "stage --only outbound " RELAY);
		CHECK(!refusal_of(&w.plan), "%s: refused (%s)", left_overs[i].why,
		    refusal_of(&w.plan));
		gone = pool_str(&w.pool, "");
		for (j = 0; j < w.plan.key_count; j++) {
			if (w.plan.keys[j].write && !w.plan.keys[j].wanted)
				gone = joined(&w.pool, gone, w.plan.keys[j].key, NULL);
		}
		CHECK(
		    !strcmp(gone, left_overs[i].gone), "%s: removes\n%s", left_overs[i].why, gone);
		CHECK(!*gone == !said(&w.plan, MESSAGE_WARNING, "queue.strategy.route"),
		    "%s: not said", left_overs[i].why);
		world_plan(&w, plan_status, "status --only outbound " RELAY);
		CHECK(!*gone == !said(&w.plan, MESSAGE_WARNING, "queue.strategy.route"),
		    "%s: not said by status", left_overs[i].why);
		/* once it is gone, nothing is said of it */
		world_stage(&w, "stage --only outbound " RELAY);
		world_plan(&w, plan_stage, "stage --only outbound " RELAY);
		CHECK(!w.plan.messages.count, "%s: said again", left_overs[i].why);
		world_plan(&w, plan_status, "status --only outbound " RELAY);
		CHECK(!w.plan.messages.count, "%s: said by status", left_overs[i].why);
		world_end(&w);
	}
}

/* Which dialect, and where its doubt matters. */
static const struct {
	int first, last;
	const char *words, *refusal, *key, *why;
} dialects[] = {
	{ 15, 15, "", NULL, "http.url", "known" },
	{ 8, 10, "", NULL, "server.http.url", "the oldest" },
	{ 11, 11, "", NULL, "server.http.url", "0.11" },
	{ 8, 11, RELAY, NULL, "remote.smarthost.address",
	    "8 to 11: all that is written is the same" },
	{ 12, 15, "", NULL, "http.url", "12 to 15: the URL's key is the same" },
	{ 12, 15, RELAY, "dialect-unknown", NULL, "12 to 15: outbound differs" },
	{ 11, 12, "", "dialect-unknown", NULL, "11 or 12: the URL's key differs" },
	{ 11, 12, "--skip url", NULL, "auth.dkim.verify", "11 or 12, without the URL" },
	{ 12, 15, RELAY "--skip outbound", NULL, "http.url", "12 to 15, without outbound" },
	{ 12, 15, RELAY "--dialect 0.12", NULL, "remote.smarthost.address", "named: 0.12" },
	{ 12, 15, RELAY "--dialect 0.13", NULL, "queue.route.smarthost.type", "named: 0.13" },
	{ 13, 15, RELAY "--dialect 0.14.1", NULL, "queue.route.smarthost.type",
	    "named with a patch" },
	{ 13, 15, "--dialect 0.12", "dialect", NULL, "named against what was seen" },
	{ 10, 10, "--dialect 0.11", "dialect", NULL, "the same with older ones" },
	{ 13, 15, "--dialect 0.11 --force dialect", NULL, "server.http.url", "forced" },
	{ 12, 15, RELAY "--force dialect-unknown", "dialect-unknown", NULL,
	    "a doubt can't be forced away" },
};

static void
test_dialects(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(dialects); i++) {
		struct world w;

		world_begin(&w, DEFAULTS);
		w.first = dialects[i].first;
		w.last = dialects[i].last;
		world_plan(
		    &w, plan_stage, pool_printf(&w.pool, "stage " WHOLE "%s", dialects[i].words));
		CHECK(same_text(refusal_of(&w.plan), dialects[i].refusal), "%s: %s",
		    dialects[i].why, shown(refusal_of(&w.plan)));
		CHECK(!dialects[i].key || key_of(&w.plan, dialects[i].key), "%s: no %s",
		    dialects[i].why, dialects[i].key);
		world_end(&w);
	}
}

/* Which keys are the node's own, and what applies them. */
static const struct {
	const char *key;
	bool local;
	enum applies applies;
} homes[] = {
	{ "server.listener.imap.proxy.override", true, APPLIES_RESTART },
	{ "server.listener.imap.proxy.trusted-networks.0", true, APPLIES_RESTART },
	{ "auth.dkim.verify", false, APPLIES_RELOAD },
	{ "session.ehlo.reject-non-fqdn", false, APPLIES_RELOAD },
	{ "server.http.url", true, APPLIES_RELOAD },
	{ "remote.smarthost.address", false, APPLIES_RELOAD },
	{ "queue.outbound.next-hop.1.else", false, APPLIES_RELOAD },
};

static void
test_homes(void **state)
{
	struct world w;
	size_t i;

	(void)state;
	world_begin(&w, DEFAULTS);
	w.first = w.last = 11;
	world_plan(&w, plan_stage, "stage " WHOLE RELAY);
	for (i = 0; i < COUNT(homes); i++) {
		const struct plan_key *k = key_of(&w.plan, homes[i].key);

		CHECK(k && k->local == homes[i].local && k->applies == homes[i].applies, "%s",
		    homes[i].key);
		CHECK(!k->now && !k->original && k->write && k->recorded && k->state == KEY_MISSING,
		    "%s: before", homes[i].key);
	}
	assert_int_equal(w.plan.write_count, 9 * 2 + 7 + 1 + 8);
	world_end(&w);
}

/* --only, --skip. */
static void
test_groups(void **state)
{
	static const struct {
		const char *words;
		size_t keys;
	} cases[] = {
		{ WHOLE, 18 + 7 + 1 },
		{ WHOLE RELAY, 18 + 7 + 1 + 9 },
		{ LEAD, 18 },
		{ "--only checks", 7 },
		{ WHOLE "--skip listeners", 8 },
		{ "--skip listeners,url", 7 },
		{ "--only url,checks --public-url https://a.example", 8 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct world w;

		world_begin(&w, DEFAULTS);
		world_plan(&w, plan_stage, pool_printf(&w.pool, "stage %s", cases[i].words));
		CHECK(w.plan.key_count == cases[i].keys && w.plan.write_count == cases[i].keys,
		    "%s: %zu keys", cases[i].words, w.plan.key_count);
		world_end(&w);
	}
}

/* Checks of the listeners do not count where the group is left out. */
static void
test_listeners_left_out(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, LISTENER("mx", "smtp", "[::]:2525") "config.local-keys.0 = store.*\n");
	world_plan(&w, plan_stage, "stage --only checks");
	assert_null(refusal_of(&w.plan));
	assert_int_equal(w.plan.write_count, 7);
	world_end(&w);
}

/* Another node writes the database's keys. */
static void
test_shared_elsewhere(void **state)
{
	struct world w;
	size_t i;

	(void)state;
	world_begin(&w, DEFAULTS);
	w.shared = true;
	world_plan(&w, plan_stage, "stage " WHOLE);
	assert_int_equal(w.plan.write_count, 18);
	for (i = 0; i < w.plan.key_count; i++)
		CHECK(w.plan.keys[i].write == w.plan.keys[i].local, "%s", w.plan.keys[i].key);
	world_end(&w);
}

/* Any node may be named first: the other sees the database's keys, and leaves them to that one. */
static void
test_other_node_first(void **state)
{
	struct world w;
	size_t i;

	(void)state;
	world_begin(&w, DEFAULTS);
	world_stage(&w, "stage " WHOLE);
	w.shared = true;
	world_plan(&w, plan_stage, "stage " WHOLE);
	assert_null(refusal_of(&w.plan));
	assert_int_equal(w.plan.write_count, 0);
	w.part.state = PART_SENDING;
	world_plan(&w, plan_stage, "stage --public-url https://other.example.org " PROXY);
	assert_null(refusal_of(&w.plan));
	assert_true(w.plan.rewrite);
	assert_int_equal(w.plan.write_count, 18);
	for (i = 0; i < w.plan.key_count; i++)
		CHECK(w.plan.keys[i].write == w.plan.keys[i].local, "%s", w.plan.keys[i].key);
	world_end(&w);
}

/* Another proxy takes the first one's place, and the first originals win. */
static void
test_restage_other_proxy(void **state)
{
	static const enum part_state states[] = { PART_SENDING, PART_PROVED };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(states); i++) {
		struct world w;
		const struct plan_key *k;
		const char *before, *after;

		world_begin(&w, SMTP IMAP LIST("imap") " = 10.0.0.5\n");
		before = lines_of(&w.pool, &w.now);
		world_stage(&w, "stage " LEAD);
		w.part.state = states[i];
		world_plan(&w, plan_stage, "stage --only listeners --proxy 198.51.100.7");
		k = key_of(&w.plan, LIST("imap") ".1");
		CHECK(k && same_text(k->wanted, "198.51.100.7/32") && !k->original && k->write,
		    "state %zu: the new network", i);
		k = key_of(&w.plan, LIST("imap"));
		CHECK(k && !k->wanted && same_text(k->original, "10.0.0.5"),
		    "state %zu: the first original", i);
		CHECK(w.plan.rewrite == (states[i] == PART_SENDING),
		    "state %zu: rewrite is %d, %zu writes", i, w.plan.rewrite, w.plan.write_count);
		world_keep(&w, PART_PROVED);
		world_write(&w);
		CHECK(!has(lines_of(&w.pool, &w.now), "203.0.113.10"),
		    "state %zu: the first proxy is still there", i);
		world_plan(&w, plan_clear, "clear");
		world_write(&w);
		after = lines_of(&w.pool, &w.now);
		CHECK(!strcmp(before, after), "state %zu: clear brings back\n%s", i, after);
		world_end(&w);
	}
}

/* What this stage does not want any more goes back, in the chosen groups alone. */
static void
test_restage_less(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, DEFAULTS "server.listener.imap.proxy.override = false\n");
	world_stage(&w, "stage " WHOLE RELAY);
	world_plan(&w, plan_stage, "stage " LEAD "--listener sieve");
	assert_int_equal(w.plan.write_count, 8 * 2);
	assert_string_equal(
	    key_of(&w.plan, "server.listener.imap.proxy.override")->wanted, "false");
	assert_null(key_of(&w.plan, "server.listener.https.proxy.override")->wanted);
	assert_null(key_of(&w.plan, "auth.dkim.verify"));
	assert_null(key_of(&w.plan, "queue.route.smarthost.address"));
	world_keep(&w, PART_PROVED);
	assert_non_null(part_find(&w.part, "queue.route.smarthost.address"));
	world_end(&w);
}

/* A relay that an earlier stage of ours wrote is not taken: another host replaces it. */
static void
test_restage_other_relay(void **state)
{
	struct world w;
	const struct plan_key *k;

	(void)state;
	world_begin(&w, DEFAULTS "queue.strategy.route = 'mx'\n");
	world_stage(&w, "stage --only outbound " RELAY);
	world_plan(
	    &w, plan_stage, "stage --only outbound --relay other.example.org --relay-id second");
	assert_null(refusal_of(&w.plan));
	assert_null(key_of(&w.plan, "queue.route.smarthost.address")->wanted);
	assert_string_equal(
	    key_of(&w.plan, "queue.route.second.address")->wanted, "other.example.org");
	k = key_of(&w.plan, "queue.strategy.route.1.else");
	assert_string_equal(k->wanted, "'second'");
	assert_null(k->original);
	k = key_of(&w.plan, "queue.strategy.route");
	assert_string_equal(k->original, "'mx'");
	assert_null(k->wanted);
	world_end(&w);
}

/* When all is deleted and inserted anew, so that the server writes its file or fails. */
static const struct {
	enum part_state state;
	bool snapshot, on_server, rewrite;
	unsigned writes;
	const char *why;
} full_writes[] = {
	{ PART_PROVED, false, false, false, 26, "a first stage" },
	{ PART_PROVED, false, true, true, 18, "all there, no snapshot: the local ones" },
	{ PART_PROVED, true, true, false, 0, "all there and proved" },
	{ PART_SENDING, true, true, true, 26, "all there, cut off while sending" },
	{ PART_SENDING, true, false, true, 26, "nothing there, cut off while sending" },
	{ PART_PROVED, true, false, false, 26, "proved, and taken away by somebody since" },
};

static void
test_full_write(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(full_writes); i++) {
		struct world w;
		struct settings clean;

		world_begin(&w, DEFAULTS);
		clean = w.now;
		world_stage(&w, "stage " WHOLE);
		w.part.state = full_writes[i].state;
		w.has_part = full_writes[i].snapshot;
		if (!full_writes[i].on_server)
			w.now = clean;
		world_plan(&w, plan_stage, "stage " WHOLE);
		CHECK(w.plan.rewrite == full_writes[i].rewrite, "%s: rewrite is %d",
		    full_writes[i].why, w.plan.rewrite);
		CHECK(w.plan.write_count == full_writes[i].writes, "%s: %zu writes",
		    full_writes[i].why, w.plan.write_count);
		world_end(&w);
	}
}

/*
 * Keys that the server's rewrite of config.toml would spoil: refused where this run causes a
 * rewrite.
 */
#define NODE   "config.local-keys.0 = server.*\n"
#define EXEMPT "--new-server 2001:db8::5 --allow-new-server"
static const struct {
	const char *every, *words, *refusal, *why;
	/* the oldest that the answers allow; the newest is 0.15, or 0.11 */
	int minor;
} rewrites[] = {
	{ "store.x.path = /data\n", LEAD, NULL, "nothing special", 15 },
	{ "store.x.path = C:\\\n", LEAD, "rewrite", "a value that ends in a backslash", 15 },
	{ "certificate.*.example.org.cert = x\n", LEAD, "rewrite", "a star in a key, up to 0.12",
	    12 },
	{ "certificate.*.example.org.cert = x\n", LEAD, NULL, "a star in a key, from 0.13 on", 15 },
	{ "store.x.path = C:\\\n", "--only checks", NULL, "database keys alone cause no rewrite",
	    15 },
	{ "certificate.*.example.org.cert = x\n", LEAD "--dialect 0.13", NULL,
	    "the same, where the user knows the version", 12 },
	{ "auth.x = C:\\\n", LEAD, "rewrite-unseen",
	    "a database key may be in the file all the same", 15 },
	{ "signature.rsa:example.org.domain = x\n", LEAD, "rewrite-unseen",
	    "a colon in a key, up to 0.12", 12 },
	{ "signature.rsa:example.org.domain = x\n", LEAD "--force rewrite-unseen", NULL,
	    "somebody looked into the file", 12 },
	{ "signature.rsa:example.org.domain = x\n", LEAD, NULL, "a colon in a key, from 0.13 on",
	    15 },
	{ "auth.x = C:\\new\n", LEAD, NULL, "a database key's value that would only change", 15 },
	{ "server.blocked-ip.2001:db8::1 = x\n", LEAD, NULL, "a ban is in the database", 11 },
	{ "server.allowed-ip.2001:db8::1 = x\n", LEAD, NULL, "an exemption is in the database",
	    11 },
	{ "server.x = y\n", LEAD EXEMPT, NULL, "its own key goes to the database", 12 },
	{ NODE, LEAD EXEMPT, "rewrite", "its own key goes to the file", 12 },
	{ NODE, LEAD EXEMPT, NULL, "its own key goes to the file, from 0.13 on", 13 },
	{ "store.x.path = C:\\new\n", LEAD, "rewrite-changes", "a value that would change", 15 },
	{ "store.x.path = C:\\\n", LEAD "--force rewrite,rewrite-changes", "rewrite",
	    "a boot that would fail can't be forced", 15 },
	{ "store.x.path = C:\\new\n", LEAD "--force rewrite-changes", NULL,
	    "a value that would change can", 15 },
};

static void
test_rewrites(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rewrites); i++) {
		const char *what = !strcmp(rewrites[i].every, NODE) ? "server.allowed-ip" : NULL;
		struct settings every;
		struct world w;

		world_begin(&w, what ? SMTP IMAP NODE : SMTP IMAP);
		settings_of(&every, &w.pool, rewrites[i].every);
		w.every = &every;
		w.first = rewrites[i].minor;
		w.last = w.first > 11 ? 15 : 11;
		world_plan(&w, plan_stage, pool_printf(&w.pool, "stage %s", rewrites[i].words));
		CHECK(same_text(refusal_of(&w.plan), rewrites[i].refusal), "%s: %s",
		    rewrites[i].why, shown(refusal_of(&w.plan)));
		CHECK(!refusal_of(&w.plan) ||
			said(&w.plan, MESSAGE_REFUSAL, what ? what : every.items[0].key),
		    "%s: not named", rewrites[i].why);
		CHECK(!refusal_of(&w.plan) ||
			said(&w.plan, MESSAGE_REFUSAL,
			    same_text(rewrites[i].refusal, "rewrite-changes")
				? "would read other keys or values"
				: "the next boot would fail"),
		    "%s: what would happen", rewrites[i].why);
		CHECK(!said(&w.plan, MESSAGE_REFUSAL, "C:"),
		    "%s: the value is shown, it may be a secret", rewrites[i].why);
		world_end(&w);
	}
}

/* The database can't be seen in a file: said where a rule in it would matter. */
static void
test_rule_beside_a_file(void **state)
{
	static const char *const lines[] = { "stage " WHOLE RELAY, "stage " WHOLE,
		"stage " WHOLE RELAY "--skip outbound" };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lines); i++) {
		struct world w;

		world_begin(&w, SMTP IMAP);
		w.file = true;
		world_plan(&w, plan_stage, lines[i]);
		CHECK(said(&w.plan, MESSAGE_WARNING, "holds a routing rule") == (i == 0), "%s",
		    lines[i]);
		world_end(&w);
	}
}

/*
 * What a macro in the global list covers can't be seen: said, whether or not the rest of the list
 * is in order.
 */
static void
test_macro_in_global_list(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w,
	    SMTP IMAP "server.proxy.trusted-networks.0 = "
		      "10.0.0.0/8\nserver.proxy.trusted-networks.1 = %{env:NETS}%\n");
	world_plan(&w, plan_stage, "stage " LEAD "--new-server 192.0.2.5");
	assert_null(refusal_of(&w.plan));
	assert_true(
	    said(&w.plan, MESSAGE_WARNING, "server.proxy.trusted-networks.1 holds a macro"));
	world_end(&w);
}

/*
 * All as wanted and no snapshot: another run's 500 may have left the local keys in memory alone, so
 * those are written again. What stood before is not known, so nothing is recorded.
 */
static void
test_unrecorded(void **state)
{
	struct world w;
	size_t i;

	(void)state;
	world_begin(&w, DEFAULTS);
	world_stage(&w, "stage " WHOLE);
	w.has_part = false;
	w.place = " in /var/lib/stalprep";
	world_plan(&w, plan_stage, "stage " WHOLE);
	assert_null(refusal_of(&w.plan));
	assert_true(w.plan.unrecorded && w.plan.rewrite);
	for (i = 0; i < w.plan.key_count; i++) {
		const struct plan_key *k = &w.plan.keys[i];

		CHECK(!k->recorded && !k->unknown && k->write == k->local, "%s", k->key);
	}
	assert_true(said(&w.plan, MESSAGE_WARNING,
	    "there is no snapshot of a stage that wrote them in /var/lib/stalprep."));
	w.shared = true; /* a second node */
	world_plan(&w, plan_stage, "stage " WHOLE);
	assert_true(w.plan.unrecorded);
	assert_int_equal(w.plan.write_count, 18);
	w.shared = false;
	world_set(
	    &w, "http.url", NULL); /* one is missing: a stage as any, but for what it looks like */
	world_plan(&w, plan_stage, "stage " WHOLE);
	assert_false(w.plan.unrecorded || w.plan.rewrite);
	world_end(&w);

	world_begin(&w, SMTP IMAP "http.url = 'https://mail.example.org'\n");
	world_plan(&w, plan_stage, "stage --only url --public-url https://mail.example.org");
	assert_int_equal(w.plan.write_count, 0);
	assert_false(w.plan.unrecorded);
	assert_int_equal(w.plan.messages.count, 0);
	world_end(&w);
}

/* When a stage would write over what another one seems to have left, which no snapshot knows. */
#define BY(id, network) OVERRIDE(id) LIST(id) ".0 = " network "\n"
#define URL             "--public-url https://mail.example.org"
static const struct {
	const char *settings, *words;
	const char *looks; /* what the refusal says; NULL: there is none */
	const char *why;
} already[] = {
	{ SMTP IMAP CHECKS_OFF, WHOLE, "(all inbound checks are off)", "the checks" },
	{ SMTP IMAP CHECKS_OFF, "--skip listeners " URL, "(all inbound checks are off)",
	    "the checks, and the URL is missing" },
	{ SMTP IMAP OURS("imap"), WHOLE, "(all listeners want a PROXY header from 203.0.113.10/32)",
	    "the listeners" },
	{ SMTP IMAP BY("imap", "198.51.100.9"), LEAD, "PROXY header from 198.51.100.9)",
	    "another proxy's" },
	{ SMTP IMAP BY("imap", "203.0.113.0/24") CHECKS_OFF, WHOLE,
	    "(all inbound checks are off, all listeners want a PROXY header from 203.0.113.0/24)",
	    "both, and a network that covers the proxy" },
	{ SMTP IMAP BY("imap", "10.0.0.5") LIST("imap") ".1 = 10.0.0.6\n" LISTENER(
	      "pop3", "pop3", "[::]:110") BY("pop3", "10.0.0.6"),
	    LEAD, "from 10.0.0.6)", "one network in common" },
	{ SMTP IMAP BY("imap", "10.0.0.5") LISTENER("pop3", "pop3", "[::]:110"),
	    LEAD "--listener imap", "from 10.0.0.5)", "the only one that is chosen" },
	{ SMTP IMAP BY("imap", "10.0.0.5") LISTENER("pop3", "pop3", "[::]:110"), LEAD, NULL,
	    "one listener of two" },
	{ SMTP IMAP BY("imap", "10.0.0.5") LISTENER("pop3", "pop3", "[::]:110")
		BY("pop3", "10.0.0.6"),
	    LEAD, NULL, "no network in common" },
	{ SMTP IMAP LIST("imap") ".0 = 203.0.113.10/32\n", WHOLE, NULL, "no override" },
	{ SMTP BY("smtp", "10.0.0.5") IMAP, LEAD, NULL, "port 25" },
	{ SMTP IMAP "auth.dkim.verify = disable\nauth.arc.verify = disable\n", WHOLE, NULL,
	    "some of the checks" },
	{ SMTP IMAP OURS("imap"), "--skip listeners " URL, NULL, "a group that is left out" },
	{ SMTP IMAP CHECKS_OFF, "--only listeners " PROXY, NULL, "the checks are left out" },
	{ SMTP IMAP CHECKS_OFF, "--single-node " WHOLE, NULL,
	    "one node of several: the database is the other nodes' as well" },
	{ SMTP IMAP OURS("imap") CHECKS_OFF, "--single-node " WHOLE,
	    "(all listeners want a PROXY header from 203.0.113.10/32)", "but the file is its own" },
	{ SMTP IMAP OURS("imap") CHECKS_OFF "http.url = 'https://mail.example.org'\n", WHOLE, NULL,
	    "all as wanted: nothing is written over" },
};

static void
test_already_staged(void **state)
{
	static const struct request earlier = { .groups = 1u << GROUP_OUTBOUND, .minor = -1 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(already); i++) {
		const char *looks = already[i].looks;
		struct world w;

		world_begin(&w, already[i].settings);
		w.place = " at /srv/s.json";
		world_plan(&w, plan_stage, pool_printf(&w.pool, "stage %s", already[i].words));
		CHECK(same_text(refusal_of(&w.plan), looks ? "already-staged" : NULL), "%s: %s",
		    already[i].why, shown(refusal_of(&w.plan)));
		CHECK(!looks ||
			(said(&w.plan, MESSAGE_REFUSAL, looks) &&
			    said(&w.plan, MESSAGE_REFUSAL, "no snapshot of that at /srv/s.json.")),
		    "%s: %s", already[i].why, w.plan.messages.items[0].text);
		/* with a snapshot, also one of another group, it is known who staged what */
		w.part = (struct part){ .state = PART_PROVED };
		w.stored = &earlier;
		w.has_part = true;
		world_plan(&w, plan_stage, pool_printf(&w.pool, "stage %s", already[i].words));
		CHECK(!refusal_of(&w.plan), "%s: with a snapshot: %s", already[i].why,
		    shown(refusal_of(&w.plan)));
		world_end(&w);
	}
}

/*
 * Forced, the first stage's network is replaced, and what else stands is recorded as unknown: a
 * clear from that removes it. What is neither staged nor wanted is not touched.
 */
static const struct {
	const char *settings, *words, *after;
	size_t unknown;
	const char *why;
} forced[] = {
	{ SMTP IMAP CHECKS_OFF "http.url = 'https://first.example.org'\n", WHOLE, SMTP IMAP, 8,
	    "the checks, and the URL before" },
	{ SMTP IMAP OURS("imap") "auth.dkim.verify = strict\n", WHOLE, SMTP IMAP, 3,
	    "the same proxy" },
	{ SMTP IMAP BY("imap", "198.51.100.9"), LEAD, SMTP IMAP, 2, "another proxy" },
	{ SMTP IMAP BY("imap", "198.51.100.9") LIST("imap") ".1 = 10.0.0.5\n", LEAD,
	    SMTP IMAP LIST("imap") ".1 = 10.0.0.5\n", 2, "beside somebody else's network" },
	{ SMTP IMAP BY("imap", "203.0.113.0/24") CHECKS_OFF, WHOLE, SMTP IMAP, 9,
	    "a network that covers the proxy" },
	{ SMTP IMAP BY("imap", "198.51.100.9") LIST("imap") ".1 = 203.0.113.0/24\n",
	    LEAD "--proxy 192.0.2.1", SMTP IMAP LIST("imap") ".1 = 203.0.113.0/24\n", 2,
	    "a network that covers the proxy, beside the common one" },
	{ SMTP IMAP CHECKS_OFF LIST("imap") ".1 = 203.0.113.10/32\n", WHOLE, SMTP IMAP, 8,
	    "the proxy's network, not as the first of its list" },
	{ SMTP IMAP OURS("imap"), WHOLE "--proxy ::1 ", SMTP IMAP, 2, "two proxies, one stands" },
	{ SMTP IMAP OURS("imap"), "--proxy ::1 " WHOLE, SMTP IMAP, 2, "in the other order" },
	{ SMTP IMAP CHECKS_OFF, "--only checks,outbound " RELAY, SMTP IMAP, 7,
	    "with a group that was not staged" },
	{ SMTP IMAP CHECKS_OFF "queue.strategy.route = 'mx'\n", "--only checks,outbound " RELAY,
	    SMTP IMAP "queue.strategy.route = 'mx'\n", 7, "an old rule is what it is" },
	{ SMTP IMAP OVERRIDE("imap") LIST("imap") " = 198.51.100.9\n", LEAD, SMTP IMAP, 1,
	    "a network that the page made a scalar" },
};

static void
test_already_staged_forced(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(forced); i++) {
		const char *line, *after;
		struct settings wanted;
		struct world w;

		world_begin(&w, forced[i].settings);
		line = pool_printf(&w.pool, "stage --force already-staged %s", forced[i].words);
		world_stage(&w, line);
		CHECK(plan_compare(&w.plan, &w.now) == 0, "%s: not as planned", forced[i].why);
		CHECK(!has(lines_of(&w.pool, &w.now), "198.51.100.9"), "%s: the first network",
		    forced[i].why);
		world_plan(&w, plan_status, pool_printf(&w.pool, "status %s", forced[i].words));
		CHECK(!plan_missing(&w.plan, w.q.groups), "%s: it is not found staged",
		    forced[i].why);
		world_plan(&w, plan_clear, "clear");
		CHECK(w.plan.unknown_count == forced[i].unknown && !w.plan.left_count,
		    "%s: %zu are unknown, %zu left", forced[i].why, w.plan.unknown_count,
		    w.plan.left_count);
		world_write(&w);
		after = lines_of(&w.pool, &w.now);
		settings_of(&wanted, &w.pool, forced[i].after);
		CHECK(!strcmp(after, lines_of(&w.pool, &wanted)), "%s: clear leaves\n%s",
		    forced[i].why, after);
		world_end(&w);
	}
}

/* The same again changes nothing. */
static void
test_already_staged_again(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(forced); i++) {
		const char *line;
		struct world w;

		world_begin(&w, forced[i].settings);
		line = pool_printf(&w.pool, "stage --force already-staged %s", forced[i].words);
		world_stage(&w, line);
		world_plan(&w, plan_stage, line);
		CHECK(!refusal_of(&w.plan) && !w.plan.write_count, "%s: again: writes\n%s",
		    forced[i].why, writes_of(&w.pool, &w.plan));
		world_plan(&w, plan_status, pool_printf(&w.pool, "status %s", forced[i].words));
		CHECK(plan_compare(&w.plan, &w.now) == 0, "%s: status", forced[i].why);
		world_end(&w);
	}
}

/* A key of the database that was staged in config.toml stays the file's, until it is written. */
static void
test_restage_in_file(void **state)
{
	struct world w;
	size_t i;

	(void)state;
	world_begin(&w, SMTP IMAP);
	world_stage(&w, "stage " WHOLE);
	for (i = 0; i < w.part.count; i++)
		w.part.keys[i].local = true;
	world_set(&w, "auth.arc.verify", "strict");
	world_stage(&w, "stage " WHOLE);
	for (i = 0; i < w.part.count; i++)
		CHECK(w.part.keys[i].local == (strcmp(w.part.keys[i].key, "auth.arc.verify") != 0),
		    "%s", w.part.keys[i].key);
	assert_int_equal(w.part.count, 10);
	world_end(&w);
}

/* Also that is a write on one node of a cluster. */
static void
test_full_write_on_a_node(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, SMTP IMAP OURS("imap") "cluster.coordinator = x\n");
	world_plan(&w, plan_stage, "stage " LEAD);
	assert_string_equal(refusal_of(&w.plan), "cluster");
	world_end(&w);
}

/*
 * What somebody set since the stage counts as what stood before; what is not wanted any more and is
 * not ours is left.
 */
static void
test_restage_changed(void **state)
{
	const struct plan_key *k;
	struct world w;

	(void)state;
	world_begin(&w, SMTP IMAP "auth.dkim.verify = relaxed\n");
	world_stage(&w, "stage " WHOLE);
	world_set(&w, "auth.dkim.verify", "strict");
	world_set(&w, LIST("imap") ".0", "10.9.9.9");
	world_stage(&w, "stage " WHOLE);
	k = key_of(&w.plan, "auth.dkim.verify");
	assert_true(k->write && same_text(k->original, "strict"));
	assert_true(said(&w.plan, MESSAGE_WARNING,
	    "auth.dkim.verify was changed to strict after it was staged"));
	assert_string_equal(key_of(&w.plan, LIST("imap") ".1")->wanted, "203.0.113.10/32");
	assert_false(key_of(&w.plan, LIST("imap") ".0")->write);
	assert_null(part_find(&w.part, LIST("imap") ".0"));
	world_plan(&w, plan_clear, "clear");
	assert_int_equal(w.plan.left_count, 0);
	world_write(&w);
	assert_string_equal(settings_get(&w.now, "auth.dkim.verify"), "strict");
	assert_string_equal(settings_get(&w.now, LIST("imap") ".0"), "10.9.9.9");
	assert_null(settings_get(&w.now, LIST("imap") ".1"));
	world_end(&w);
}

/*
 * The administration page made our network a scalar: staged again it becomes a list, and clear
 * leaves nothing of it.
 */
static void
test_restage_scalar(void **state)
{
	struct world w;
	const char *before;

	(void)state;
	world_begin(&w, SMTP IMAP);
	before = lines_of(&w.pool, &w.now);
	world_stage(&w, "stage " LEAD);
	world_set(&w, LIST("imap") ".0", NULL);
	world_set(&w, LIST("imap"), "203.0.113.10/32");
	world_stage(&w, "stage " LEAD);
	assert_null(settings_get(&w.now, LIST("imap")));
	assert_string_equal(settings_get(&w.now, LIST("imap") ".0"), "203.0.113.10/32");
	assert_int_equal(w.part.count, 2);
	world_plan(&w, plan_clear, "clear");
	world_write(&w);
	assert_string_equal(lines_of(&w.pool, &w.now), before);
	world_end(&w);
}

/*
 * A network of somebody else's that covers the proxy is kept: not ours to record, not ours to take
 * away.
 */
static void
test_full_write_keeps_foreign_network(void **state)
{
	const struct plan_key *k;
	struct world w;

	(void)state;
	world_begin(&w, SMTP IMAP OVERRIDE("imap") LIST("imap") ".0 = 203.0.113.0/24\n");
	world_plan(&w, plan_stage, "stage " LEAD);
	k = key_of(&w.plan, LIST("imap") ".0");
	assert_false(k && k->recorded && !k->original);
	world_end(&w);
}

/* A key that stood as wanted before is no key of ours: neither recorded nor written, also anew. */
static void
test_as_wanted(void **state)
{
	const struct plan_key *k;
	struct world w;

	(void)state;
	world_begin(&w, DEFAULTS "auth.dkim.verify = disable\n");
	world_stage(&w, "stage --only checks");
	assert_int_equal(w.part.count, 6);
	w.part.state = PART_SENDING;
	world_plan(&w, plan_stage, "stage --only checks");
	k = key_of(&w.plan, "auth.dkim.verify");
	assert_int_equal(k->state, KEY_AS_WANTED);
	assert_false(k->write || k->recorded);
	assert_int_equal(key_of(&w.plan, "auth.arc.verify")->state, KEY_STAGED);
	world_end(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chosen),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_warned),
		cmocka_unit_test(test_warned_once),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_many_questions),
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_left_overs),
		cmocka_unit_test(test_dialects),
		cmocka_unit_test(test_homes),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_listeners_left_out),
		cmocka_unit_test(test_shared_elsewhere),
		cmocka_unit_test(test_other_node_first),
		cmocka_unit_test(test_restage_other_proxy),
		cmocka_unit_test(test_restage_less),
		cmocka_unit_test(test_restage_changed),
		cmocka_unit_test(test_restage_scalar),
		cmocka_unit_test(test_full_write_on_a_node),
		cmocka_unit_test(test_restage_other_relay),
		cmocka_unit_test(test_full_write),
		cmocka_unit_test(test_rewrites),
		cmocka_unit_test(test_rule_beside_a_file),
		cmocka_unit_test(test_macro_in_global_list),
		cmocka_unit_test(test_unrecorded),
		cmocka_unit_test(test_already_staged),
		cmocka_unit_test(test_already_staged_forced),
		cmocka_unit_test(test_already_staged_again),
		cmocka_unit_test(test_restage_in_file),
		cmocka_unit_test(test_full_write_keeps_foreign_network),
		cmocka_unit_test(test_as_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
