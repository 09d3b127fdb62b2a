/*
 * test_report.c - reports: JSON that parses, text that is safe for a terminal, words that promise
 * no more than was read
 */
#include "plan_help.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "cmd/exits.h"
#include "cmd/report.h"
#include "cmd/say.h"
#include "format/json.h"
#include "settings/snapshot.h"

#define PATH "stalprep-old.example.org-443.snapshot.json"

/* A run over one target, as plain data. */
struct run_of {
	struct world w;
	struct snapshot snapshot;
	struct report_target t;
	struct messages messages;
	struct report r;
	struct buf out;
};

static void
begin(struct run_of *x, const char *lines)
{
	memset(x, 0, sizeof(*x));
	world_begin(&x->w, lines);
	x->t.name = "https://old.example.org";
	x->t.from = x->t.peer = "";
	x->t.snapshot_path = PATH;
	x->t.snapshot_place = " in /var/lib/stalprep";
	x->snapshot.created = "2026-01-02T03:04:05Z";
	x->t.settings = &x->w.now;
	x->t.request = &x->w.q;
	x->t.read = true;
	x->t.minor_first = x->t.minor_last = 15;
	x->r.options = &x->w.o;
	x->r.targets = &x->t;
	x->r.count = 1;
	x->r.messages = &x->messages;
}

static void
end(struct run_of *x)
{
	buf_free(&x->out);
	world_end(&x->w);
}

static void
planned(struct run_of *x, planner *make, const char *line)
{
	world_plan(&x->w, make, line);
	x->w.o.program = "stalprep";
	x->t.plan = &x->w.plan;
	x->t.would_write = x->w.o.dry_run && (x->w.plan.write_count || x->w.plan.touch);
	x->t.snapshot = x->w.has_part ? &x->snapshot : NULL;
	x->t.part = x->w.has_part ? &x->w.part : NULL;
}

/* Plan, and then as after a write that was proved. */
static void
done(struct run_of *x, planner *make, const char *line)
{
	planned(x, make, line);
	world_write(&x->w);
	assert_int_equal(plan_compare(&x->w.plan, &x->w.now), 0);
	x->t.written = x->t.proved = true;
	x->t.changed = x->w.plan.write_count;
	x->t.snapshot_kept = true;
	x->t.file_rewritten = true;
}

static const char *
text_of(struct run_of *x)
{
	buf_reset(&x->out);
	report_text(&x->out, &x->r);
	assert_non_null(buf_text(&x->out));
	return buf_text(&x->out);
}

/* The report as a document; the caller frees it. */
static struct json *
json_of(struct run_of *x)
{
	struct json *doc;
	struct err err = { 0 };

	buf_reset(&x->out);
	report_json(&x->out, &x->r);
	CHECK(
	    json_parse(&doc, x->out.data, x->out.len, &err) == 0, "%s: %s", err.text, x->out.data);
	return doc;
}

static const char *
member(const struct json *j, const char *name)
{
	CHECK(json_member(j, name), "no %s", name);
	return json_string(json_member(j, name));
}

/* ---- words ---- */

static void
test_stage(void **state)
{
	struct run_of x;
	const char *text;

	(void)state;
	begin(&x, SMTP IMAP "auth.dkim.verify = strict\n");
	done(&x, plan_stage, "stage " WHOLE);
	text = text_of(&x);
	assert_true(has(text, "https://old.example.org") && has(text, "0.15"));
	assert_true(has(text, "auth.dkim.verify: strict -> disable") &&
	    has(text, "http.url: (absent) -> 'https://mail.example.org'"));
	assert_true(has(text, "smtp") && has(text, "never touched") && has(text, "[::]:143"));
	assert_true(has(text, "applied nothing"));
	assert_true(has(text, PATH));
	assert_true(has(text, "stalprep clear --url https://old.example.org"));
	assert_true(has(text, "config.toml"));
	end(&x);
}

/* A dry run and a plan that was not carried out claim nothing. */
static void
test_nothing_written(void **state)
{
	struct run_of x;

	(void)state;
	begin(&x, SMTP IMAP);
	planned(&x, plan_stage, "stage --dry-run " WHOLE);
	assert_true(
	    has(text_of(&x), "Nothing was written") && has(text_of(&x), "7 keys: disable, false"));
	assert_false(has(text_of(&x), "\nStaged"));
	planned(&x, plan_stage, "stage " WHOLE);
	x.r.exit = EXIT_REFUSED;
	assert_true(has(text_of(&x), "Nothing was written"));
	assert_false(has(text_of(&x), "To undo") || has(text_of(&x), "read back"));
	end(&x);
}

static void
test_nothing_to_do(void **state)
{
	struct run_of x;

	(void)state;
	begin(&x, SMTP IMAP);
	world_stage(&x.w, "stage " WHOLE);
	planned(&x, plan_stage, "stage " WHOLE);
	assert_true(has(text_of(&x), "nothing to do: all 10 keys are as wanted"));
	assert_false(has(text_of(&x), "restart") || has(text_of(&x), "reload"));
	assert_false(has(text_of(&x), "To undo") || has(text_of(&x), "stays"));
	x.t.snapshot_kept = true;
	assert_true(has(text_of(&x), "To undo: stalprep clear --url https://old.example.org"));
	planned(&x, plan_stage, "stage --only url --public-url https://mail.example.org");
	assert_true(has(text_of(&x), "nothing to do: the key is as wanted"));
	end(&x);
}

/* A group's new keys are one line; what replaces a value is not hidden in it. */
static void
test_groups(void **state)
{
	static const char list[] = "server.listener.imap.proxy.trusted-networks";
	char value[400], line[500];
	struct run_of x;

	(void)state;
	begin(&x, DEFAULTS "auth.dkim.verify = strict\n");
	done(&x, plan_stage, "stage " WHOLE RELAY);
	assert_true(has(text_of(&x),
	    "\nStaged (-v shows each key):\n"
	    "  listeners  18 keys of 9 listeners: true, 203.0.113.10/32\n"
	    "  checks     6 keys: disable, false\n"
	    "             auth.dkim.verify: strict -> disable\n"
	    "  url        http.url: (absent) -> 'https://mail.example.org'\n"
	    "  outbound   9 keys: relay, new.example.org, 25, smtp and more\n\n"));
	x.w.o.verbose = true;
	assert_true(has(text_of(&x), "  server.listener.pop3.proxy.override: (absent) -> true\n") &&
	    has(text_of(&x), "  auth.arc.verify: (absent) -> disable\n"));
	end(&x);

	/* one key of a listener only; a key that does not read back as wanted */
	begin(&x, SMTP IMAP LISTENER("pop3", "pop3", "[::]:110"));
	world_set(&x.w, "server.listener.imap.proxy.override", "true");
	done(&x, plan_stage, "stage --only listeners " PROXY);
	assert_true(has(text_of(&x), "  listeners  3 keys of 2 listeners: "));
	world_set(&x.w, "server.listener.pop3.proxy.override", "false");
	assert_int_equal(plan_compare(&x.w.plan, &x.w.now), 1);
	x.t.proved = false;
	x.r.exit = EXIT_UNPROVED;
	assert_true(has(text_of(&x),
	    "  listeners  2 keys of 2 listeners: 203.0.113.10/32\n"
	    "             server.listener.pop3.proxy.override: (absent) -> false\n"));
	end(&x);

	/* what stood before is there in full, up to 200 bytes */
	memset(value, 'x', sizeof(value));
	value[200] = '\0';
	snprintf(line, sizeof(line), "auth.dkim.verify: %s -> disable\n", value);
	begin(&x, SMTP IMAP);
	world_set(&x.w, "auth.dkim.verify", pool_str(&x.w.pool, value));
	done(&x, plan_stage, "stage " WHOLE);
	assert_true(has(text_of(&x), line));
	value[200] = 'x';
	value[201] = '\0';
	world_set(&x.w, "auth.dkim.verify", pool_str(&x.w.pool, value));
	done(&x, plan_stage, "stage " WHOLE);
	value[200] = '\0';
	snprintf(line, sizeof(line), "auth.dkim.verify: %s\xe2\x80\xa6 -> disable\n", value);
	assert_true(has(text_of(&x), line));
	end(&x);

	/* a clear: what comes back, and the rest in one line */
	begin(&x, SMTP IMAP "server.listener.imap.proxy.override = false\n");
	world_stage(&x.w, "stage " WHOLE);
	done(&x, plan_clear, "clear");
	assert_true(has(text_of(&x),
	    "\nRestored (-v shows each key):\n"
	    "  listeners  server.listener.imap.proxy.trusted-networks.0: 203.0.113.10/32 -> "
	    "(absent)\n"
	    "             server.listener.imap.proxy.override: true -> false\n"
	    "  checks     7 keys: (absent)\n"));
	assert_true(has(text_of(&x), "To reload: stalprep reload --url https://old.example.org\n"));
	assert_null(settings_get(&x.w.now, list));
	end(&x);
}

/* Groups that an earlier run staged and this one did not name. */
static void
test_standing(void **state)
{
	struct run_of x;

	(void)state;
	begin(&x, SMTP IMAP);
	world_stage(&x.w, "stage " WHOLE RELAY);
	x.t.snapshot_kept = true;
	x.t.snapshot_path = "/var/a b";
	planned(&x, plan_stage, "stage " WHOLE);
	assert_true(has(text_of(&x),
	    "outbound is staged since an earlier run and stays; to take it out:\n"
	    "  stalprep clear --url https://old.example.org --snapshot '/var/a b' --only "
	    "outbound\n"));
	planned(&x, plan_stage, "stage --only url --public-url https://new.example.org");
	assert_true(has(text_of(&x),
			"listeners,checks,outbound are staged since an earlier run and stay; to "
			"take them out:\n") &&
	    has(text_of(&x), " --only listeners,checks,outbound\n"));
	planned(&x, plan_stage, "stage " WHOLE RELAY);
	assert_false(has(text_of(&x), "earlier run"));
	/* of what does not stand any more nothing is said */
	world_plan(&x.w, plan_clear, "clear --only outbound");
	world_write(&x.w);
	planned(&x, plan_stage, "stage " WHOLE);
	assert_false(has(text_of(&x), "earlier run"));
	end(&x);

	begin(&x, SMTP IMAP);
	world_stage(&x.w, "stage --new-server 192.0.2.5 --allow-new-server " WHOLE);
	planned(&x, plan_stage, "stage " WHOLE);
	assert_true(has(text_of(&x), "exemption of the new server from bans is staged since"));
	planned(&x, plan_stage, "stage --new-server 192.0.2.5 --allow-new-server " WHOLE);
	assert_false(has(text_of(&x), "earlier run"));
	end(&x);
}

/* For a server with the default listeners each report fits a screen. */
static void
test_length(void **state)
{
	static const struct {
		const char *line;
		planner *make;
	} runs[] = {
		{ "stage " WHOLE RELAY, plan_stage },
		{ "stage --dry-run " WHOLE RELAY, plan_stage },
		{ "status", plan_status },
		{ "clear --dry-run", plan_clear },
		{ "clear", plan_clear },
	};
	struct run_of x;
	size_t i;

	(void)state;
	begin(&x, DEFAULTS "auth.dkim.verify = strict\nqueue.strategy.route = 'mx'\n");
	x.t.url_in_force = "https://old.example.org";
	for (i = 0; i < COUNT(runs); i++) {
		const char *text, *p;
		size_t lines = 0;

		done(&x, runs[i].make, runs[i].line);
		x.r.exit = EXIT_DONE;
		text = text_of(&x);
		for (p = text; (p = strchr(p, '\n')) != NULL; p++)
			lines++;
		CHECK(lines <= 40, "%s: %zu lines\n%s", runs[i].line, lines, text);
		if (runs[i].make == plan_stage && !x.w.o.dry_run)
			world_keep(&x.w, PART_PROVED);
	}
	end(&x);
}

/* Values with a blank, and a refusal that was overridden, are there again; two nodes are one
 * command. */
static void
test_commands(void **state)
{
	struct report_target both[2];
	struct run_of x;

	(void)state;
	begin(&x, SMTP IMAP);
	done(&x, plan_stage,
	    "stage --cacert '/a b.pem' --force open-secret,changed --max-time 5 " WHOLE);
	x.w.o.program = "/opt/my tools/stalprep";
	assert_true(has(text_of(&x),
	    "\nTo undo: '/opt/my tools/stalprep' clear --url https://old.example.org --cacert "
	    "'/a b.pem' --snapshot " PATH " --force "
	    "open-secret\n"));
	both[0] = both[1] = x.t;
	both[0].snapshot_path = both[1].snapshot_path = "/var/lib/stalprep/one 1";
	both[1].name = "https://two.example.org";
	x.r.targets = both;
	x.r.count = 2;
	assert_true(has(text_of(&x),
	    " clear --url https://old.example.org --url https://two.example.org --cacert "
	    "'/a b.pem' --snapshot '/var/lib/stalprep/one 1' --force open-secret\n"));
	assert_ptr_equal(strstr(strstr(text_of(&x), "To undo") + 1, "To undo"), NULL);
	end(&x);

	begin(&x, SMTP IMAP);
	world_stage(&x.w, "stage " WHOLE);
	done(&x, plan_clear, "clear --haproxy-protocol --force open-secret,rewrite-unseen");
	assert_true(has(text_of(&x),
	    "To reload: stalprep reload --url https://old.example.org --haproxy-protocol --force "
	    "open-secret\n"));
	end(&x);
}

static void
test_next(void **state)
{
	struct run_of x;

	(void)state;
	begin(&x, SMTP IMAP);
	planned(&x, plan_status, "status --user root");
	x.r.exit = EXIT_NOT_STAGED;
	assert_true(has(text_of(&x),
	    "  stalprep stage --url https://old.example.org --user root --proxy ADDR --public-url "
	    "URL -n\n"));
	x.r.exit = EXIT_DONE;
	planned(&x, plan_stage, "stage --dry-run " WHOLE);
	assert_true(has(text_of(&x), "\nTo do it: the same command without -n.\n"));
	world_stage(&x.w, "stage " WHOLE);
	planned(&x, plan_stage, "stage --dry-run " WHOLE);
	assert_false(has(text_of(&x), "To do it"));
	planned(&x, plan_clear, "clear --dry-run");
	assert_true(has(text_of(&x), "\nTo do it: the same command without -n.\n"));
	message_add(&x.messages, &x.w.pool, MESSAGE_RESULT, "A result.");
	message_add(&x.messages, &x.w.pool, MESSAGE_NOTE, "A note.");
	assert_true(has(text_of(&x), "\nA result.\n") && !has(text_of(&x), "A note."));
	end(&x);
}

/* Not all was read back: no word of success. */
static void
test_unproved(void **state)
{
	struct run_of x;

	(void)state;
	begin(&x, SMTP IMAP);
	planned(&x, plan_stage, "stage " WHOLE);
	plan_compare(&x.w.plan, &x.w.now);
	x.t.written = true;
	x.r.exit = EXIT_UNPROVED;
	assert_true(has(text_of(&x), "0 of 10 keys were read back"));
	assert_false(has(text_of(&x), "To apply") || has(text_of(&x), "applied nothing"));
	end(&x);
}

static void
test_clear(void **state)
{
	struct run_of x;

	(void)state;
	begin(&x, SMTP IMAP "auth.dkim.verify = strict\n");
	world_stage(&x.w, "stage " WHOLE);
	done(&x, plan_clear, "clear");
	assert_true(has(text_of(&x), "auth.dkim.verify: disable -> strict") &&
	    has(text_of(&x), "\nThe snapshot stays at " PATH ".\n"));
	x.t.snapshot_path = PATH ".cleared";
	x.t.snapshot_kept = false;
	assert_true(has(text_of(&x), "\nThe snapshot is now " PATH ".cleared.\n"));
	assert_true(has(text_of(&x), "10 of 10 keys"));
	x.t.snapshot = NULL;
	assert_false(has(text_of(&x), "snapshot is now") || has(text_of(&x), "snapshot stays"));
	end(&x);
}

static struct part_key staged_url = {
	.key = "http.url", .written = "'https://mail.example.org'", .group = GROUP_URL
};

/* What a clear could not reach, and the command for each place. */
static void
test_left(void **state)
{
	struct part_key two[] = { staged_url, staged_url };
	struct part nodes[] = {
		{ .origin = "https://old.example.org", .keys = &staged_url, .count = 1 },
		{ .origin = "https://two.example.org", .keys = two, .count = 2 },
		{ .file = "/srv/a b/config.toml", .keys = &staged_url, .count = 1 },
		{ .origin = "https://four.example.org" },
	};
	struct run_of x;

	(void)state;
	begin(&x, SMTP IMAP);
	world_stage(&x.w, "stage " WHOLE);
	done(&x, plan_clear, "clear");
	x.snapshot.nodes = nodes;
	x.snapshot.node_count = COUNT(nodes);
	x.snapshot.database = (struct part){ .keys = &staged_url, .count = 1 };
	x.t.has_node = true; /* of its own node the plan tells what is left, and that is nothing */
	x.r.exit = EXIT_DONE;
	assert_false(has(text_of(&x), "still staged"));
	x.r.exit = EXIT_PARTLY;
	assert_true(has(text_of(&x),
	    "\n2 keys of https://two.example.org are still staged. To clear them:\n"
	    "  stalprep clear --url https://two.example.org --snapshot " PATH "\n"
	    "\n1 key of /srv/a b/config.toml is still staged. To clear it:\n"
	    "  stalprep clear --config '/srv/a b/config.toml' --snapshot " PATH "\n"));
	assert_false(has(text_of(&x), "the database") || has(text_of(&x), "four.example.org") ||
	    has(text_of(&x), "of https://old.example.org"));
	x.t.snapshot_kept = false;
	assert_false(has(text_of(&x), "still staged"));
	end(&x);
}

/* The keys of its own node's file that the API can't reach. */
static void
test_left_in_file(void **state)
{
	struct part nodes[] = { { .origin = "https://old.example.org" } };
	struct run_of x;

	(void)state;
	begin(&x, SMTP IMAP);
	world_stage(&x.w, "stage --only url,checks --public-url https://mail.example.org");
	x.w.part.keys[0].local = x.w.part.keys[1].local = true;
	done(&x, plan_clear, "clear");
	assert_int_equal(x.w.plan.left_count, 2);
	x.snapshot.nodes = nodes;
	x.snapshot.node_count = 1;
	x.t.has_node = true;
	x.r.exit = EXIT_PARTLY;
	assert_true(has(text_of(&x),
	    "\n2 keys of https://old.example.org are still staged. To clear them:\n"
	    "  stalprep clear --config FILE --snapshot " PATH "\n"));
	nodes[0].file = "/opt/stalwart/etc/config.toml";
	assert_true(has(text_of(&x),
	    "  stalprep clear --config /opt/stalwart/etc/config.toml --snapshot " PATH "\n"));
	end(&x);
}

/* The clear of a file leaves the database, which any node's URL reaches. */
static void
test_left_database(void **state)
{
	struct part nodes[] = { { .file = "/etc/config.toml" },
		{ .origin = "https://two.example.org" } };
	struct run_of x;

	(void)state;
	begin(&x, SMTP IMAP);
	world_stage(&x.w, "stage " WHOLE);
	done(&x, plan_clear, "clear");
	x.t.is_file = x.t.has_node = true;
	x.t.name = "/etc/config.toml";
	x.snapshot.nodes = nodes;
	x.snapshot.node_count = 2;
	x.snapshot.database = (struct part){ .keys = &staged_url, .count = 1 };
	x.r.exit = EXIT_PARTLY;
	assert_true(has(text_of(&x),
	    "\n1 key of the database is still staged. To clear it:\n"
	    "  stalprep clear --url https://two.example.org --snapshot " PATH "\n"));
	x.snapshot.node_count = 1;
	assert_true(has(text_of(&x), "  stalprep clear --url URL --snapshot " PATH "\n"));
	end(&x);
}

static void
test_status(void **state)
{
	struct run_of x;

	(void)state;
	begin(&x, SMTP IMAP "auth.dkim.verify = strict\n");
	planned(&x, plan_status, "status");
	assert_true(has(text_of(&x), "not staged") &&
	    has(text_of(&x), "\nThere is no snapshot in /var/lib/stalprep.\n"));
	x.t.snapshot_place = "";
	assert_false(has(text_of(&x), "snapshot"));
	assert_true(has(text_of(&x), "auth.dkim.verify: strict"));
	assert_false(has(text_of(&x), "applied"));
	world_stage(&x.w, "stage " WHOLE);
	planned(&x, plan_status, "status");
	assert_false(has(text_of(&x), "not staged") || has(text_of(&x), "partly"));
	assert_true(
	    has(text_of(&x), "\nSnapshot: " PATH " (proved, made 2026-01-02T03:04:05Z).\n"));
	x.t.part = NULL; /* what was never sent does not count */
	assert_true(has(text_of(&x), " (planned, made "));
	end(&x);
}

/* ---- JSON ---- */

static void
test_json(void **state)
{
	const struct json *target, *key, *listener;
	struct run_of x;
	struct json *doc;
	long long n;
	bool b;

	(void)state;
	begin(&x, SMTP IMAP "auth.dkim.verify = strict\n");
	done(&x, plan_stage, "stage --json " WHOLE);
	message_add(&x.messages, &x.w.pool, MESSAGE_WARNING, "a \"warning\"\n");
	message_refuse(&x.messages, &x.w.pool, REFUSAL_PORT_25, true, "no");
	doc = json_of(&x);
	assert_string_equal(member(doc, "command"), "stage");
	assert_true(json_integer(json_member(doc, "exit"), &n) && n == 0);
	assert_true(json_is_bool(json_member(doc, "changed"), &b) && b);
	key = json_first(json_member(doc, "messages"));
	assert_string_equal(member(key, "level"), "warning");
	assert_string_equal(member(key, "text"), "a \"warning\"\n");
	assert_true(json_is_null(json_member(key, "name")));
	assert_string_equal(member(json_next(key), "name"), "port-25");
	target = json_first(json_member(doc, "targets"));
	assert_string_equal(member(target, "target"), "https://old.example.org");
	assert_string_equal(member(target, "dialect"), "0.13 to 0.15");
	assert_string_equal(member(target, "snapshot"), PATH);
	listener = json_first(json_member(target, "listeners"));
	assert_string_equal(member(listener, "id"), "imap");
	assert_string_equal(member(listener, "binds"), "[::]:143");
	assert_true(json_is_bool(json_member(listener, "chosen"), &b) && b);
	assert_non_null(member(json_next(listener), "why"));
	for (key = json_first(json_member(target, "keys"));
	    strcmp(member(key, "key"), "auth.dkim.verify") != 0; key = json_next(key))
		;
	assert_string_equal(member(key, "group"), "checks");
	assert_string_equal(member(key, "before"), "strict");
	assert_string_equal(member(key, "wanted"), "disable");
	assert_string_equal(member(key, "after"), "disable");
	assert_string_equal(member(key, "applies"), "reload");
	assert_string_equal(member(key, "state"), "staged");
	assert_true(json_is_null(json_member(json_next(key), "before")));
	json_free(doc);
	end(&x);
}

/* A target that was not even reached has its place, and nothing is changed. */
static void
test_json_unread(void **state)
{
	const struct json *target;
	struct run_of x;
	struct json *doc;
	bool b;

	(void)state;
	begin(&x, "");
	options_of(&x.w.o, &x.w.pool, "status --url https://old.example.org");
	x.t.read = false;
	x.r.exit = EXIT_UNREACHED;
	doc = json_of(&x);
	assert_true(json_is_bool(json_member(doc, "changed"), &b) && !b);
	target = json_first(json_member(doc, "targets"));
	assert_true(json_is_null(json_member(target, "dialect")) &&
	    json_is_null(json_member(target, "snapshot")));
	assert_true(
	    json_is_array(json_member(target, "keys")) && !json_first(json_member(target, "keys")));
	assert_string_equal(text_of(&x), "");
	json_free(doc);
	end(&x);
}

/* ---- what reaches a terminal ---- */

/*
 * Neither C0 (but line feeds) nor DEL, nor C1 in UTF-8 (JSON is for programs: there C1 may stand);
 * all of it is UTF-8.
 */
static void
check_clean(const char *text, bool json, const char *why)
{
	size_t len = strlen(text), i, n;

	for (i = 0; i < len; i += n) {
		n = utf8_length(text + i, len - i);
		CHECK(n, "%s: byte %zu is no UTF-8", why, i);
		CHECK(((unsigned char)text[i] >= ' ' && text[i] != 0x7f) || text[i] == '\n',
		    "%s: the control byte %02x behind \"%.20s\"", why, (unsigned)text[i],
		    text + (i > 20 ? i - 20 : 0));
		CHECK(json || n != 2 || text[i] != '\xc2' || (unsigned char)text[i + 1] >= 0xa0,
		    "%s: a C1 control, U+00%02x", why, (unsigned)(unsigned char)text[i + 1]);
	}
}

/* Where the server's own texts come to: ids, protocols, binds, values, the URL in force. */
static const struct {
	const char *settings, *url, *why;
} hostile[] = {
	{ SMTP LISTENER("a\x1b[2Jb", "imap", "[::]:143"), NULL, "a listener's name" },
	{ SMTP IMAP LISTENER("x", "im\x1b[2Jap", "[::]:1"), NULL, "a protocol" },
	{ SMTP LISTENER("x", "imap", "[::]:1\x1b[2J43"), NULL, "a bind" },
	{ SMTP IMAP "auth.dkim.verify = \x1b]0;x\x07\n", NULL, "a value" },
	{ SMTP IMAP "auth.dkim.verify = a\rb\x7f\n", NULL, "a carriage return, a DEL" },
	{ SMTP IMAP "auth.dkim.verify = \xc2\x9b"
		    "2J\n",
	    NULL, "a C1 control" },
	{ SMTP IMAP "server.listener.imap.proxy.trusted-networks.\x1b[1m = 10.0.0.1\n", NULL,
	    "a key" },
	{ SMTP IMAP
	    "auth.dkim.verify = "
	    "0123456789012345678901234567890123456789012345678901234567\xe2\x82\xac\xe2\x82\xac\n",
	    NULL, "a value that is cut" },
	{ SMTP IMAP, "https://\x1b[2Jx", "the URL in force" },
};

static void
test_terminal(void **state)
{
	static const char *const lines[] = { "stage -v " WHOLE, "stage -v --dry-run " WHOLE,
		"status -v", "clear -v" };
	static planner *const planners[] = { plan_stage, plan_stage, plan_status, plan_clear };
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(hostile); i++) {
		for (j = 0; j < COUNT(lines); j++) {
			struct run_of x;

			begin(&x, hostile[i].settings);
			if (j == 3)
				world_stage(&x.w, "stage " WHOLE);
			x.t.url_in_force = hostile[i].url;
			planned(&x, planners[j], lines[j]);
			x.messages = x.w.plan.messages;
			check_clean(text_of(&x), false, hostile[i].why);
			buf_reset(&x.out);
			say_format(&x.out, "stage", &x.messages, MESSAGE_NOTE);
			check_clean(buf_text(&x.out), false, hostile[i].why);
			json_free(json_of(&x));
			check_clean(x.out.data, true, hostile[i].why);
			end(&x);
		}
	}
}

/* The snapshot's own texts, which anybody may have written. */
static void
test_terminal_snapshot(void **state)
{
	struct run_of x;

	(void)state;
	begin(&x, SMTP IMAP);
	planned(&x, plan_status, "status");
	x.snapshot.created = "\x1b[2Jnow";
	x.t.snapshot = &x.snapshot;
	check_clean(text_of(&x), false, "the snapshot's date");
	end(&x);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stage),
		cmocka_unit_test(test_nothing_written),
		cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_standing),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_unproved),
		cmocka_unit_test(test_clear),
		cmocka_unit_test(test_left),
		cmocka_unit_test(test_left_in_file),
		cmocka_unit_test(test_left_database),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_unread),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_terminal_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
