/*
 * test_options.c - the command line: what is taken, and what is refused in one line that shows no
 * secret
 */
#include "help.h"

#include "base/buf.h"
#include "cmd/option_table.h"
#include "cmd/usage.h"

#define URL   " --url https://old.example.org"
#define WHOLE " --proxy 203.0.113.10 --public-url https://mail.example.org"

/* Lines that are wrong, and what the message must name. */
static const struct {
	const char *line, *names[3];
} wrong[] = {
	{ "", { "no command", "stage" } },
	{ "stag", { "stag", "stage" } },
	{ "frobnicate", { "frobnicate", "help" } },
	{ "stage status", { "status" } },
	{ "print imap" WHOLE, { "imap" } },
	{ "help frobnicate", { "frobnicate" } },
	{ "help stage status", { "status" } },
	{ "stage" WHOLE, { "--url" } },
	{ "status", { "--url" } },
	{ "reload", { "--url" } },

	/* no abbreviations; the nearest */
	{ "stage" URL WHOLE " --prox 203.0.113.1", { "--prox", "--proxy" } },
	{ "stage" URL WHOLE " --pasword-file x", { "--pasword-file", "--password-file" } },
	{ "stage" URL WHOLE " --frobnicate", { "--frobnicate" } },
	{ "stage" URL WHOLE " -x", { "-x" } },
	{ "stage" URL WHOLE " --", { NULL } },
	{ "stage" URL WHOLE " --json=yes", { "--json", "no value" } },
	{ "stage" URL WHOLE " --proxy", { "--proxy", "ADDR" } },
	{ "stage" URL WHOLE " --proxy=", { "--proxy", "empty" } },
	{ "stage" URL WHOLE " -u", { "-u", "NAME" } },
	{ "stage" URL WHOLE " --format curl", { "--format", "stage" } }, /* another command's */
	{ "print" WHOLE " --snapshot-dir x", { "--snapshot-dir", "print" } },
	{ "status" URL " --reload", { "--reload", "status" } },
	{ "status" URL " --dry-run", { "--dry-run", "status" } },
	{ "reload" URL " --proxy 203.0.113.10", { "--proxy", "reload" } },

	{ "stage" URL " --public-url https://a.example", { "--proxy" } },
	{ "stage" URL " --proxy 203.0.113.10", { "--public-url" } },
	{ "print", { "--proxy" } },
	{ "stage" URL " --only outbound", { "--relay" } },
	{ "stage" URL " --only listeners,check --proxy 203.0.113.10",
	    { "--only", "\"check\"", "checks" } },
	{ "stage" URL WHOLE " --skip ,", { "--skip", "group" } },
	{ "stage" URL WHOLE " --skip allow", { "--skip", "allow" } },
	{ "stage" URL WHOLE " --skip listeners,checks,url", { "no group" } },
	{ "stage" URL WHOLE " --only url --skip url", { "no group" } },
	{ "stage" URL " --skip listeners,url --listener imap", { "--listener" } },
	{ "stage" URL " --skip listeners,url --also imap", { "--also", "listeners" } },
	{ "stage" URL " --only checks --leave imap", { "--leave", "listeners" } },
	{ "stage" URL WHOLE " --listener a --also b", { "--listener", "--also" } },
	{ "status" URL " --leave b --listener a", { "--listener", "--leave" } },
	{ "clear" URL " --leave b --also a --also b", { "--also", "--leave", "\"b\"" } },
	{ "print" WHOLE " --also a", { "--also", "print" } },

	{ "stage" URL " --proxy 203.0.113.10/24",
	    { "--proxy", "203.0.113.10/24", "203.0.113.0/24" } },
	{ "stage" URL " --proxy proxy.example.org", { "--proxy", "proxy.example.org", "ADDR" } },
	{ "stage" URL " --proxy ::/8", { "--proxy", "::/8", "every IPv4 client" } },
	{ "stage" URL " --public-url http://mail.example.org",
	    { "--public-url", "http://mail.example.org", "https" } },
	{ "stage" URL " --public-url https://192.0.2.1", { "--public-url", "192.0.2.1", "name" } },
	{ "stage" URL " --public-url https://mail.example.org/x", { "--public-url", "/x" } },
	{ "stage --url http://old.example.org" WHOLE, { "--url", "old.example.org", "loopback" } },
	{ "stage" URL URL WHOLE, { "--url", "twice" } },
	{ "stage" URL " --url https://OLD.example.org:443/" WHOLE, { "--url", "twice" } },
	{ "stage" URL WHOLE " --relay 192.0.2.1", { "--relay", "192.0.2.1", "name" } },
	{ "stage" URL WHOLE " --relay 192.0.2.1:25", { "--relay", "192.0.2.1", "name" } },
	{ "stage" URL WHOLE " --relay [2001:db8::1]:25", { "--relay", "2001:db8::1", "name" } },
	{ "stage" URL WHOLE " --relay 2001:db8::1", { "--relay", "2001:db8::1", "name" } },
	{ "stage" URL WHOLE " --relay new.example.org:0", { "--relay", "port" } },
	{ "stage" URL WHOLE " --relay new.example.org:65536", { "--relay", "port" } },
	{ "stage" URL WHOLE " --relay new.example.org:", { "--relay", "port" } },
	{ "stage" URL WHOLE " --relay new.example.org:25x", { "--relay", "port" } },
	{ "stage" URL WHOLE " --relay new.example.org:+25", { "--relay", "port" } },
	{ "stage" URL WHOLE " --relay new_host!", { "--relay", "new_host!" } },
	{ "stage" URL WHOLE " --relay :25", { "--relay" } },
	{ "stage" URL WHOLE " --relay new.example.org --relay-id a.b", { "--relay-id", "a.b" } },
	{ "stage" URL WHOLE " --relay new.example.org --relay-id mx", { "--relay-id", "mx" } },
	{ "stage" URL WHOLE " --relay new.example.org --relay-id local",
	    { "--relay-id", "local" } },
	{ "stage" URL WHOLE " --relay-id x", { "--relay-id", "--relay" } },
	{ "stage" URL WHOLE " --listener a\nb", { "--listener" } },
	{ "stage" URL WHOLE " --listener 'a\\b'", { "--listener", "backslash" } },
	{ "stage" URL WHOLE " --new-server new.example.org",
	    { "--new-server", "new.example.org" } },
	{ "stage" URL WHOLE " --new-server 192.0.2.0/24", { "--new-server", "192.0.2.0/24" } },
	{ "stage" URL WHOLE " --allow-new-server", { "--allow-new-server", "--new-server" } },
	{ "stage" URL WHOLE " --relay-listener \x7f", { "--relay-listener" } },
	{ "stage" URL WHOLE " --listener \xff", { "--listener" } },
	{ "stage" URL WHOLE " --dialect 0.16", { "--dialect", "0.16", "0.15" } },
	{ "stage" URL WHOLE " --dialect 0.7", { "--dialect", "0.7", "0.8" } },
	{ "stage" URL WHOLE " --dialect 1.0", { "--dialect" } },
	{ "stage" URL WHOLE " --dialect 15", { "--dialect" } },
	{ "stage" URL WHOLE " --dialect 0.15.", { "--dialect" } },
	{ "stage" URL WHOLE " --dialect 0.15.5.1", { "--dialect" } },
	{ "stage" URL WHOLE " --dialect 0.+15", { "--dialect" } },
	{ "stage" URL WHOLE " --dialect v0.15", { "--dialect" } },
	{ "stage" URL WHOLE " --connect-timeout 1.5", { "--connect-timeout", "1.5" } },
	{ "stage" URL WHOLE " --connect-timeout -1", { "--connect-timeout", "-1" } },
	{ "stage" URL WHOLE " --max-time 86401", { "--max-time", "86401" } },
	{ "stage" URL WHOLE " --max-time 99999999999999999999", { "--max-time" } },
	{ "stage" URL WHOLE " --max-time x", { "--max-time" } },
	{ "print" WHOLE " --format yaml", { "--format", "yaml", "toml" } },
	{ "stage" URL WHOLE " --force ,", { "--force" } },
	{ "stage" URL WHOLE " -q -v", { "--quiet", "--verbose" } },
	{ "stage" URL WHOLE " --snapshot x --snapshot-dir y", { "--snapshot", "--snapshot-dir" } },
	{ "stage" URL WHOLE " --api-key-file k --user joe", { "--api-key-file", "--user" } },
	{ "stage" URL WHOLE " --api-key-file k --password-file p",
	    { "--api-key-file", "--password-file" } },
	{ "stage" URL WHOLE " --password-file - --totp-file -",
	    { "--password-file", "--totp-file" } },
};

static void
test_wrong(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(wrong); i++) {
		struct pool pool = { 0 };
		struct err err = { 0 };
		struct options o;
		int r = options_try(&o, &pool, wrong[i].line, &err);

		if (!wrong[i].names[0]) { /* "--" alone ends the options, and is right */
			CHECK(r == 0, "\"%s\": %s", wrong[i].line, err.text);
			pool_free(&pool);
			continue;
		}
		CHECK(r == -1 && err.kind == ERR_USAGE, "\"%s\" is taken", wrong[i].line);
		CHECK(!strchr(err.text, '\n'), "\"%s\": more than one line", wrong[i].line);
		for (j = 0; j < COUNT(wrong[i].names) && wrong[i].names[j]; j++)
			CHECK(has(err.text, wrong[i].names[j]), "\"%s\" does not name %s: %s",
			    wrong[i].line, wrong[i].names[j], err.text);
		pool_free(&pool);
	}
}

/* A secret that came to the wrong place is not shown. */
static void
test_secrets(void **state)
{
	static const char *const lines[] = {
		"stage" URL WHOLE " --password s3cret",
		"stage" URL WHOLE " --password=s3cret",
		"stage" URL WHOLE " --api-key=s3cret",
		"stage" URL WHOLE " --totp s3cret",
		"stage" URL WHOLE " --user admin:s3cret",
		"stage" URL WHOLE " -u admin:s3cret",
		"stage" URL WHOLE " -uadmin:s3cret",
		"stage --url https://admin:s3cret@old.example.org" WHOLE,
		"stage" URL WHOLE " --passwd=s3cret",
		"stage" URL " --public-url https://s3cret@mail.example.org",
		"stage" URL WHOLE " --json=s3cret",
	};
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lines); i++) {
		struct pool pool = { 0 };
		struct options o;

		CHECK(options_try(&o, &pool, lines[i], &err) == -1, "\"%s\" is taken", lines[i]);
		CHECK(!has(err.text, "s3cret"), "\"%s\": %s", lines[i], err.text);
		pool_free(&pool);
	}
}

/* Lines that are right, and the groups that count. */
#define G(a) (1u << GROUP_##a)
static const struct {
	const char *line;
	enum command_id command;
	unsigned groups;
} right[] = {
	{ "stage" URL WHOLE, COMMAND_STAGE, G(LISTENERS) | G(CHECKS) | G(URL) },
	{ "stage" URL WHOLE " --relay new.example.org", COMMAND_STAGE,
	    G(LISTENERS) | G(CHECKS) | G(URL) | G(OUTBOUND) },
	{ "stage" URL WHOLE " --relay new.example.org --skip outbound", COMMAND_STAGE,
	    G(LISTENERS) | G(CHECKS) | G(URL) },
	{ "stage" URL " --only checks", COMMAND_STAGE, G(CHECKS) },
	{ "stage" URL " --only checks --only url --public-url https://a.b", COMMAND_STAGE,
	    G(CHECKS) | G(URL) },
	{ "stage" URL " --skip listeners,url", COMMAND_STAGE, G(CHECKS) },
	{ "stage" URL " --only outbound --relay new.example.org", COMMAND_STAGE, G(OUTBOUND) },
	{ "--url https://old.example.org --only checks stage", COMMAND_STAGE, G(CHECKS) },
	{ "--url=https://old.example.org stage --only=checks", COMMAND_STAGE, G(CHECKS) },
	{ "status" URL " --only checks,outbound", COMMAND_STATUS, G(CHECKS) | G(OUTBOUND) },
	{ "clear" URL " --only url", COMMAND_CLEAR, G(URL) },
	{ "print" WHOLE, COMMAND_PRINT, G(LISTENERS) | G(CHECKS) | G(URL) },
	{ "print --format keys", COMMAND_PRINT, G(LISTENERS) | G(CHECKS) | G(URL) },
	{ "print --only checks --format json --clear", COMMAND_PRINT, G(CHECKS) },
};

static void
test_right(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(right); i++) {
		struct pool pool = { 0 };
		struct options o;

		options_of(&o, &pool, right[i].line);
		CHECK(o.id == right[i].command, "\"%s\": command %d", right[i].line, (int)o.id);
		CHECK(o.request.groups == right[i].groups, "\"%s\": groups %x", right[i].line,
		    o.request.groups);
		pool_free(&pool);
	}
}

/* What looks at all that is there looks at every group, unless told otherwise. */
static void
test_looking(void **state)
{
	static const enum group groups[] = { GROUP_LISTENERS, GROUP_CHECKS, GROUP_URL,
		GROUP_OUTBOUND };
	static const char *const lines[] = { "status" URL, "clear" URL };
	struct pool pool = { 0 };
	struct options o;
	size_t i, g;

	(void)state;
	for (i = 0; i < COUNT(lines); i++) {
		options_of(&o, &pool, lines[i]);
		for (g = 0; g < COUNT(groups); g++)
			CHECK(o.request.groups & 1u << groups[g], "\"%s\" leaves out %s", lines[i],
			    group_name(groups[g]));
		options_of(&o, &pool, pool_printf(&pool, "%s --skip outbound", lines[i]));
		CHECK(!(o.request.groups & G(OUTBOUND)),
		    "\"%s\" --skip outbound does not leave it out", lines[i]);
	}
	pool_free(&pool);
}

static void
test_values(void **state)
{
	struct pool pool = { 0 };
	struct options o;

	(void)state;
	options_of(&o, &pool,
	    "stage --url https://a.example --url https://[2001:db8::1]:8443/ "
	    "--proxy=::ffff:192.0.2.1 --proxy 2001:DB8::/64 --public-url=https://Mail.Example.ORG/ "
	    "--relay New.example.org:2525 --relay-id out_2 --listener imap --listener 'web mail' "
	    "--relay-listener mx --dialect 0.13.4 --cacert ca.pem --pinnedpubkey sha256//x= -k "
	    "--resolve a:443:192.0.2.1 --connect-timeout 0 --max-time 86400 --haproxy-protocol -u "
	    "joe --password-file - --totp-file t --snapshot-dir d -n --force port-25,changed "
	    "--force rewrite --json -v");
	assert_int_equal(o.reach.target_count, 2);
	assert_string_equal(o.reach.targets[1].host, "2001:db8::1");
	assert_int_equal(o.reach.targets[1].port, 8443);
	assert_int_equal(o.request.proxy_count, 2);
	assert_string_equal(o.request.proxies[0], "192.0.2.1/32");
	assert_string_equal(o.request.proxies[1], "2001:db8::/64");
	assert_string_equal(o.request.public_origin, "https://mail.example.org");
	assert_string_equal(o.request.relay_host, "New.example.org");
	assert_int_equal(o.request.relay_port, 2525);
	assert_string_equal(o.request.relay_id, "out_2");
	assert_int_equal(o.request.listener_count, 2);
	assert_string_equal(o.request.listeners[1], "web mail");
	assert_string_equal(o.request.relay_listener, "mx");
	assert_int_equal(o.request.minor, 13);
	assert_string_equal(o.reach.cacert, "ca.pem");
	assert_string_equal(o.reach.pinnedpubkey, "sha256//x=");
	assert_true(o.reach.insecure && o.reach.haproxy && o.dry_run && o.json && o.verbose &&
	    o.request.values_given);
	assert_false(o.quiet || o.clear || o.reload);
	assert_int_equal(o.reach.resolve_count, 1);
	assert_int_equal(o.reach.connect_timeout, 0);
	assert_int_equal(o.reach.max_time, 86400);
	assert_string_equal(o.reach.user, "joe");
	assert_string_equal(o.reach.password_file, "-");
	assert_string_equal(o.reach.totp_file, "t");
	assert_string_equal(o.reach.snapshot_dir, "d");
	assert_true(o.request.forced[REFUSAL_PORT_25] && o.request.forced[REFUSAL_CHANGED] &&
	    o.request.forced[REFUSAL_REWRITE]);
	assert_false(o.request.forced[REFUSAL_DIALECT]);
	pool_free(&pool);
}

static void
test_defaults(void **state)
{
	struct pool pool = { 0 };
	struct options o;

	(void)state;
	options_of(&o, &pool, "clear" URL);
	assert_int_equal(o.request.minor, -1);
	assert_string_equal(o.request.relay_id, "smarthost");
	assert_null(o.request.relay_host);
	assert_string_equal(o.request.public_origin, "");
	assert_int_equal(o.reach.connect_timeout, 10);
	assert_int_equal(o.reach.max_time, 60);
	assert_int_equal(o.format, FORMAT_TEXT);
	assert_false(o.request.values_given || o.dry_run || o.json || o.reach.insecure);
	pool_free(&pool);
	options_of(&o, &pool, "stage" URL WHOLE " --relay new.example.org --dialect auto");
	assert_int_equal(o.request.relay_port, 25);
	assert_int_equal(o.request.minor, -1);
	pool_free(&pool);
}

/* The same network twice is one. */
static void
test_same_proxy(void **state)
{
	struct pool pool = { 0 };
	struct options o;

	(void)state;
	options_of(&o, &pool,
	    "print --proxy 203.0.113.10 --proxy 203.0.113.10/32 --proxy ::ffff:203.0.113.10 --skip "
	    "url");
	assert_int_equal(o.request.proxy_count, 1);
	pool_free(&pool);
}

static void
test_short(void **state)
{
	struct pool pool = { 0 };
	struct options o;

	(void)state;
	options_of(&o, &pool, "stage" URL WHOLE " -knvujoe");
	assert_true(o.reach.insecure && o.dry_run && o.verbose);
	assert_string_equal(o.reach.user, "joe");
	pool_free(&pool);
}

/* --help and --version win over everything else that is wrong with the line's sense. */
static void
test_help(void **state)
{
	static const struct {
		const char *line;
		enum command_id command, about; /* COMMAND_COUNT: about all */
	} cases[] = {
		{ "--help", COMMAND_HELP, COMMAND_COUNT },
		{ "-h", COMMAND_HELP, COMMAND_COUNT },
		{ "help", COMMAND_HELP, COMMAND_COUNT },
		{ "stage --help", COMMAND_HELP, COMMAND_STAGE },
		{ "--help stage", COMMAND_HELP, COMMAND_STAGE },
		{ "help print", COMMAND_HELP, COMMAND_PRINT },
		{ "help help", COMMAND_HELP, COMMAND_HELP },
		{ "--version", COMMAND_VERSION, COMMAND_COUNT },
		{ "-V", COMMAND_VERSION, COMMAND_COUNT },
		{ "version", COMMAND_VERSION, COMMAND_COUNT },
		{ "stage --version", COMMAND_VERSION, COMMAND_COUNT },
		{ "licenses", COMMAND_LICENSES, COMMAND_COUNT },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct pool pool = { 0 };
		struct options o;

		options_of(&o, &pool, cases[i].line);
		CHECK(o.id == cases[i].command && o.command == &cli_commands[o.id], "\"%s\": %s",
		    cases[i].line, o.command->name);
		CHECK(cases[i].about == COMMAND_COUNT ? !o.about
						      : o.about == &cli_commands[cases[i].about],
		    "\"%s\": about %s", cases[i].line, o.about ? o.about->name : "all");
		pool_free(&pool);
	}
}

/* One more than a bound is refused, with the option named. */
static void
test_bounds(void **state)
{
	static const struct {
		const char *option, *value;
		int max;
	} cases[] = {
		{ "proxy", "10.0.0.%d", PROXIES_MAX },
		{ "url", "https://%d.example", TARGETS_MAX },
		{ "listener", "l%d", LISTENERS_MAX },
		{ "also", "l%d", LISTENERS_MAX },
		{ "leave", "l%d", LISTENERS_MAX },
		{ "resolve", "a:%d:192.0.2.1", RESOLVE_OPTIONS_MAX },
	};
	size_t i;
	int n, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		for (n = cases[i].max; n <= cases[i].max + 1; n++) {
			char *argv[2 * 70], format[64];
			struct pool pool = { 0 };
			struct options o;
			struct err err = { 0 };
			int argc = 0;

			argv[argc++] = pool_str(&pool, "status");
			if (strcmp(cases[i].option, "url") != 0)
				argv[argc++] = pool_str(&pool, "--url=https://old.example");
			snprintf(
			    format, sizeof(format), "--%s=%s", cases[i].option, cases[i].value);
			for (j = 0; j < n; j++) {
				char value[64];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
				snprintf(value, sizeof(value), format, j);
#pragma GCC diagnostic pop
				argv[argc++] = pool_str(&pool, value);
			}
			CHECK(options_parse(&o, cli_commands, &pool, argc, argv, &err) ==
				(n > cases[i].max ? -1 : 0),
			    "--%s %d times: %s", cases[i].option, n, err.text);
			CHECK(n <= cases[i].max || has(err.text, cases[i].option), "--%s: %s",
			    cases[i].option, err.text);
			pool_free(&pool);
		}
	}
}

/* What is retold is parsed to the same again. */
static void
test_retell(void **state)
{
	static const char *const lines[] = {
		WHOLE,
		WHOLE " --relay new.example.org",
		WHOLE " --relay new.example.org:2525 --relay-id out2",
		" --only checks",
		WHOLE " --skip checks",
		WHOLE " --proxy 2001:db8::/64 --listener imap --listener 'web mail'",
		WHOLE " --listener 'it'\\''s $HOME `x` \"y\"'",
		WHOLE " --listener [x] --listener *",
		WHOLE " --also 'web mail' --also x --leave imap --leave *",
		" --skip listeners,url",
		WHOLE " --new-server 192.0.2.5 --allow-new-server",
		" --only url --public-url https://a.b --new-server ::ffff:192.0.2.5",
		" --only checks --new-server 2001:DB8::5 --allow-new-server",
		" --only outbound --relay new.example.org",
		WHOLE " --relay new.example.org --skip outbound",
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(lines); i++) {
		struct pool pool = { 0 };
		struct options a, b;
		struct buf text = { 0 };

		options_of(&a, &pool, pool_printf(&pool, "stage" URL "%s", lines[i]));
		request_format(&text, &a.request);
		options_of(&b, &pool, pool_printf(&pool, "stage" URL "%s", buf_text(&text)));
		CHECK(a.request.groups == b.request.groups &&
			a.request.proxy_count == b.request.proxy_count &&
			a.request.listener_count == b.request.listener_count &&
			a.request.also_count == b.request.also_count &&
			a.request.leave_count == b.request.leave_count &&
			same_text(a.request.relay_host, b.request.relay_host) &&
			a.request.relay_port == b.request.relay_port &&
			same_text(a.request.relay_id, b.request.relay_id) &&
			!strcmp(a.request.public_origin, b.request.public_origin) &&
			!strcmp(a.request.new_server, b.request.new_server) &&
			a.request.allow_new_server == b.request.allow_new_server,
		    "\"%s\" becomes \"%s\"", lines[i], buf_text(&text));
		for (j = 0; j < a.request.listener_count; j++)
			CHECK(!strcmp(a.request.listeners[j], b.request.listeners[j]),
			    "\"%s\" becomes \"%s\"", lines[i], buf_text(&text));
		for (j = 0; j < a.request.also_count; j++)
			CHECK(!strcmp(a.request.also[j], b.request.also[j]),
			    "\"%s\" becomes \"%s\"", lines[i], buf_text(&text));
		for (j = 0; j < a.request.leave_count; j++)
			CHECK(!strcmp(a.request.leave[j], b.request.leave[j]),
			    "\"%s\" becomes \"%s\"", lines[i], buf_text(&text));
		for (j = 0; j < a.request.proxy_count; j++)
			CHECK(!strcmp(a.request.proxies[j], b.request.proxies[j]),
			    "\"%s\" becomes \"%s\"", lines[i], buf_text(&text));
		buf_free(&text);
		pool_free(&pool);
	}
}

/* Usage has every option of a command, no other one, each on a line. */
static void
test_usage(void **state)
{
	struct buf out = { 0 };
	size_t i, c;

	(void)state;
	for (c = 0; c < COMMAND_COUNT; c++) {
		buf_reset(&out);
		usage_command(&out, cli_commands, (enum command_id)c);
		for (i = 0; i < OPT_COUNT; i++) {
			const struct option *opt = &option_table[i];
			char line[60];
			bool is_there;

			if (opt->letter)
				snprintf(
				    line, sizeof(line), "\n  -%c, --%s ", opt->letter, opt->name);
			else
				snprintf(line, sizeof(line), "\n      --%s ", opt->name);
			is_there = has(buf_text(&out), line);
			line[strlen(line) - 1] = '\n'; /* a long help begins below */
			is_there |= has(buf_text(&out), line);
			CHECK(is_there == !!(opt->commands & 1u << c), "%s: --%s",
			    cli_commands[c].name, opt->name);
		}
	}
	buf_free(&out);
}

/* The table itself: names and letters are unique, and nothing takes a secret. */
static void
test_table(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < OPT_COUNT; i++) {
		const struct option *a = &option_table[i];

		CHECK(a->name && *a->name && a->help && *a->help && a->commands, "row %zu", i);
		CHECK(strcmp(a->name, "password") != 0 && strcmp(a->name, "api-key") != 0 &&
			strcmp(a->name, "totp") != 0,
		    "%s", a->name);
		for (j = 0; j < i; j++) {
			CHECK(strcmp(a->name, option_table[j].name) != 0, "%s is there twice",
			    a->name);
			CHECK(!a->letter || a->letter != option_table[j].letter,
			    "-%c is there twice", a->letter);
		}
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_looking),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_same_proxy),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_retell),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
