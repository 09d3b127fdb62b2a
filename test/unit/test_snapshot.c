/*
 * test_snapshot.c - what stood before, as text and on disk: nothing damaged is taken, nothing old
 * is lost
 */
#include "crc32.h"
#include "help.h"

#include "base/buf.h"
#include "settings/request.h"
#include "settings/snapshot.h"
#include "sys/file.h"
#include "target/snapfile.h"

/* What the tests write is theirs. */
static const struct snapfile_trust mine = { .also = (uid_t)-1 };

static const struct request nothing = { .relay_id = RELAY_ID, .minor = -1 };
static const struct request asked = {
	.proxies = { "203.0.113.10/32", "2001:db8::/32" },
	.proxy_count = 2,
	.public_origin = "https://mail.example.org",
	.relay_host = "new.example.org",
	.relay_port = 2525,
	.relay_id = "out_2",
	.groups = 1u << GROUP_LISTENERS | 1u << GROUP_OUTBOUND | 1u << GROUP_ALLOW,
	.also = { "web mail", "\"x\"" },
	.also_count = 2,
	.leave = { "b" },
	.leave_count = 1,
	.relay_listener = "in",
	.new_server = "2001:db8::9",
	.allow_new_server = true,
	.single_node = true,
	.minor = 12,
};

static const char *const names[] = { "s.json", "s.json.lock", NULL };

/* A snapshot with everything in it: absent and empty values, quotes, control bytes, each group. */
static void
fill(struct snapshot *s, struct pool *pool)
{
	static const struct snapshot_key keys[] = {
		{ "server.listener.imap.proxy.override", NULL, "true", GROUP_LISTENERS, true, NULL,
		    NULL },
		{ "auth.dkim.verify", "strict", "disable", GROUP_CHECKS, false, NULL, "strict" },
		{ "http.url", "", "'https://mail.example.org'", GROUP_URL, false, NULL, "" },
		{ "queue.strategy.route", "a\"b\\c\n\t\x01 \xc3\xa4", NULL, GROUP_OUTBOUND, false,
		    NULL, "x" },
		{ "server.allowed-ip.192.0.2.1", NULL, "", GROUP_ALLOW, false, NULL, NULL },
		{ "auth.arc.verify", NULL, NULL, GROUP_CHECKS, true, NULL, NULL },
		{ "auth.spf.verify.ehlo", "a", "disable", GROUP_CHECKS, true, "'a'", "c" },
		{ "auth.dmarc.verify", "a", "disable", GROUP_CHECKS, true, NULL, NULL },
		{ "auth.iprev.verify", "", "", GROUP_CHECKS, true, NULL, "c" },
		{ "session.ehlo.reject-non-fqdn", ",\n  \"checksum\": \"00000000\"", "false",
		    GROUP_CHECKS, false, NULL, "v" },
	};
	size_t i;

	memset(s, 0, sizeof(*s));
	s->target = "https://old.example.org:8443";
	s->created = "2026-01-02T03:04:05Z";
	s->dialect = "0.13 to 0.15";
	s->request = &asked;
	s->state = SNAPSHOT_SENDING;
	for (i = 0; i < COUNT(keys); i++)
		snapshot_add(s, pool, &keys[i]);
}

static void
check_same(const struct snapshot *a, const struct snapshot *b)
{
	size_t i;

	assert_string_equal(a->target, b->target);
	assert_string_equal(a->created, b->created);
	assert_string_equal(a->dialect, b->dialect);
	assert_true(request_same(a->request, b->request));
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->count, b->count);
	for (i = 0; i < a->count; i++) {
		const struct snapshot_key *x = &a->keys[i], *y = &b->keys[i];

		CHECK(!strcmp(x->key, y->key) && same_text(x->before, y->before) &&
			same_text(x->written, y->written) && same_text(x->text, y->text) &&
			same_text(x->maybe_present, y->maybe_present) && x->group == y->group &&
			x->local == y->local,
		    "%s is another one", x->key);
	}
}

static void
test_round_trip(void **state)
{
	struct pool pool = { 0 };
	struct buf text = { 0 };
	struct snapshot a, b;
	struct err err;
	int i;

	(void)state;
	fill(&a, &pool);
	for (i = 0; i < SNAPSHOT_STATE_COUNT; i++) {
		a.state = (enum snapshot_state)i;
		buf_reset(&text);
		snapshot_format(&text, &a);
		CHECK(snapshot_parse(&b, &pool, text.data, text.len, &err) == 0, "%s", err.text);
		check_same(&a, &b);
	}
	buf_free(&text);
	pool_free(&pool);
}

/* Behind something else in the buffer, and with no keys. */
static void
test_appended(void **state)
{
	struct snapshot a = { .target = "t", .created = "c", .dialect = "d", .request = &nothing },
			b;
	struct pool pool = { 0 };
	struct buf text = { 0 };
	struct err err;

	(void)state;
	buf_str(&text, "before");
	snapshot_format(&text, &a);
	CHECK(snapshot_parse(&b, &pool, text.data + 6, text.len - 6, &err) == 0, "%s", err.text);
	check_same(&a, &b);
	buf_free(&text);
	pool_free(&pool);
}

/* Every beginning of it, every byte of it changed: damaged. */
static void
test_damage(void **state)
{
	struct pool pool = { 0 }, scrap = { 0 };
	struct buf text = { 0 };
	struct snapshot a, b;
	struct err err;
	size_t i;

	(void)state;
	fill(&a, &pool);
	snapshot_format(&text, &a);
	for (i = 0; i < text.len - 1; i++)
		CHECK(
		    snapshot_parse(&b, &scrap, text.data, i, &err) == -1 && err.kind == ERR_SYSTEM,
		    "the first %zu bytes are taken", i);
	for (i = 0; i < text.len - 4; i++) {
		text.data[i] ^= 1;
		CHECK(snapshot_parse(&b, &scrap, text.data, text.len, &err) == -1,
		    "byte %zu changed: taken", i);
		text.data[i] ^= 1;
	}
	buf_free(&text);
	pool_free(&pool);
	pool_free(&scrap);
}

/* Texts whose checksum is right and whose content is not. */
#define HEAD "{\n  \"format\": \"stalprep-snapshot\",\n  \"version\": 1"
#define REST \
	",\n  \"target\": \"t\",\n  \"created\": \"c\",\n  \"dialect\": \"d\",\n  " \
	"\"request\": " REQUEST
#define REQUEST \
	"{\"groups\":[],\"proxy\":[],\"public_url\":null,\"relay\":null,\"relay_port\":0," \
	"\"relay_id\":\"smarthost\",\"listener\":[],\"also\":[],\"leave\":[]," \
	"\"relay_listener\":null,\"new_server\":null,\"allow_new_server\":false," \
	"\"single_node\":false,\"minor\":-1}"
#define KEY(key, group, local, before, written) \
	"{\"key\": " key ", \"group\": " group ", \"local\": " local ", \"before\": " before \
	", \"written\": " written "}"

static const struct {
	const char *text, *why;
	bool good;
} contents[] = {
	{ HEAD REST ",\n  \"state\": \"proved\",\n  \"keys\": []", "the smallest", true },
	{ HEAD REST ",\"state\":\"proved\",\"more\":[1],\"keys\":[" KEY(
	      "\"http.url\"", "\"url\"", "true", "null", "\"'https://a.example'\"") "]",
	    "a member that nobody knows, another layout", true },
	{ "{\"format\": \"other\",\"version\": 1" REST ",\"state\":\"proved\",\"keys\":[]",
	    "another format", false },
	{ "{\"version\": 1" REST ",\"state\":\"proved\",\"keys\":[]", "no format", false },
	{ "{\"format\": \"stalprep-snapshot\",\"version\": 2" REST
	  ",\"state\":\"proved\",\"keys\":[]",
	    "a newer version", false },
	{ "{\"format\": \"stalprep-snapshot\",\"version\": \"1\"" REST
	  ",\"state\":\"proved\",\"keys\":[]",
	    "version as text", false },
	{ "{\"format\": \"stalprep-snapshot\"" REST ",\"state\":\"proved\",\"keys\":[]",
	    "no version", false },
	{ HEAD REST ",\"state\":\"done\",\"keys\":[]", "another state", false },
	{ HEAD REST ",\"keys\":[]", "no state", false },
	{ HEAD REST ",\"state\":\"proved\"", "no keys", false },
	{ HEAD REST ",\"state\":\"proved\",\"keys\":{}", "keys as an object", false },
	{ HEAD REST ",\"state\":\"proved\",\"keys\":[1]", "a key that is a number", false },
	{ HEAD ",\"created\":\"c\",\"dialect\":\"d\",\"request\":" REQUEST ",\"state\":\"proved\","
	       "\"keys\":[]",
	    "no target", false },
	{ HEAD ",\"target\":null,\"created\":\"c\",\"dialect\":\"d\",\"request\":" REQUEST
	       ",\"state\":"
	       "\"proved\",\"keys\":[]",
	    "target null", false },
	{ HEAD REST
	    ",\"state\":\"proved\",\"keys\":[" KEY("\"\"", "\"url\"", "true", "null", "null") "]",
	    "an empty key", false },
	{ HEAD REST
	    ",\"state\":\"proved\",\"keys\":[" KEY("null", "\"url\"", "true", "null", "null") "]",
	    "key null", false },
	{ HEAD REST
	    ",\"state\":\"proved\",\"keys\":[" KEY("\"k\"", "\"urls\"", "true", "null", "null") "]",
	    "another group", false },
	{ HEAD REST ",\"state\":\"proved\",\"keys\":[" KEY(
	      "\"http.url\"", "\"url\"", "1", "null", "null") "]",
	    "local is no boolean", false },
	{ HEAD REST ",\"state\":\"proved\",\"keys\":[" KEY(
	      "\"http.url\"", "\"url\"", "true", "1", "null") "]",
	    "before is a number", false },
	{ HEAD REST ",\"state\":\"sending\",\"keys\":[" KEY(
	      "\"http.url\"", "\"url\"", "true", "\"v\"", "null, \"stood\": null") "]",
	    "stood: absent", true },
	{ HEAD REST ",\"state\":\"sending\",\"keys\":[" KEY(
	      "\"http.url\"", "\"url\"", "true", "\"v\"", "null, \"stood\": 1") "]",
	    "stood is a number", false },
	{ HEAD REST
	    ",\"state\":\"proved\",\"keys\":[{\"key\":\"http.url\",\"group\":\"url\",\"local\":"
	    "true,\"before\":null}]",
	    "written is not there: not the same as null", false },
	{ HEAD REST ",\"state\":\"proved\",\"keys\":[" KEY("\"http.url\"", "\"url\"", "true",
	      "null", "null") "," KEY("\"http.url\"", "\"url\"", "true", "null", "null") "]",
	    "a key twice", false },
};

/* Keys, and values that were written, which somebody may have planted. */
static const struct {
	enum group group;
	const char *key, *value, *why;
	bool good;
} planted[] = {
	{ GROUP_LISTENERS, "server.listener.imap.proxy.override", "true", "ours", true },
	{ GROUP_LISTENERS, "server.listener.imap.proxy.override", NULL, "removed", true },
	{ GROUP_LISTENERS, "server.listener.imap.proxy.override", "false", "another value", false },
	{ GROUP_LISTENERS, "server.listener.imap.proxy.trusted-networks.0", "203.0.113.10/32",
	    "ours", true },
	{ GROUP_LISTENERS, "server.listener.imap.proxy.trusted-networks", "10.0.0.0/8", "a scalar",
	    true },
	{ GROUP_LISTENERS, "server.listener.web mail.proxy.trusted-networks.0003", "::1",
	    "an array", true },
	{ GROUP_LISTENERS, "server.listener.imap.proxy.trusted-networks.1", "%{env:NETS}%",
	    "a macro of the global list", true },
	{ GROUP_LISTENERS, "server.listener.imap.proxy.trusted-networks.0", "everybody",
	    "no network", false },
	{ GROUP_LISTENERS, "server.listener.imap.proxy.trusted-networks.x", "10.0.0.0/8",
	    "no index", false },
	{ GROUP_LISTENERS, "server.listener.smtp.proxy.trusted-networks.proxy.override", "true",
	    "a key inside another listener's list", false },
	{ GROUP_LISTENERS, "server.listener.imap.bind.0", "[::]:143", "another key", false },
	{ GROUP_LISTENERS, "server.listener..proxy.override", "true", "no listener", false },
	{ GROUP_LISTENERS, "server.proxy.trusted-networks.0", "10.0.0.0/8", "the global list",
	    false },
	{ GROUP_CHECKS, "auth.dkim.verify", "disable", "ours", true },
	{ GROUP_CHECKS, "auth.dkim.verify", "strict", "another value", false },
	{ GROUP_CHECKS, "authentication.fallback-admin.secret", "x", "a password", false },
	{ GROUP_CHECKS, "", NULL, "no key", false },
	{ GROUP_URL, "http.url", "'https://mail.example.org'", "ours", true },
	{ GROUP_URL, "server.http.url", "'https://mail.example.org'", "an older one", true },
	{ GROUP_URL, "http.url", "https://mail.example.org", "not quoted", false },
	{ GROUP_URL, "http.url", "'http://mail.example.org'", "not https", false },
	{ GROUP_URL, "http.url", "'https://a.example' + x", "an expression", false },
	{ GROUP_URL, "http.hsts", "true", "another key", false },
	{ GROUP_OUTBOUND, "queue.route.smarthost.address", "new.example.org", "ours", true },
	{ GROUP_OUTBOUND, "remote.out_2.port", "2525", "an older one", true },
	{ GROUP_OUTBOUND, "queue.route.smarthost.address", "192.0.2.1", "an address", false },
	{ GROUP_OUTBOUND, "queue.route.smarthost.port", "25x", "no port", false },
	{ GROUP_OUTBOUND, "queue.route.smarthost.tls.implicit", "true", "another value", false },
	{ GROUP_OUTBOUND, "queue.route.smarthost.auth.secret", "x", "credentials", false },
	{ GROUP_OUTBOUND, "queue.route.mx.type", "relay", "the server's own route", false },
	{ GROUP_OUTBOUND, "queue.route.local.type", "relay", "the server's own route", false },
	{ GROUP_OUTBOUND, "queue.strategy.route", NULL, "a scalar that goes", true },
	{ GROUP_OUTBOUND, "queue.strategy.route.0007.then", NULL, "what is left of a list", true },
	{ GROUP_OUTBOUND, "queue.strategy.route.0.then", "'local'", "ours", true },
	{ GROUP_OUTBOUND, "queue.strategy.route.1.else", "'smarthost'", "ours", true },
	{ GROUP_OUTBOUND, "queue.strategy.route.1.else", "'mx'", "no relay of ours", false },
	{ GROUP_OUTBOUND, "queue.strategy.route.1.else", "evil()", "an expression", false },
	{ GROUP_OUTBOUND, "queue.strategy.router", NULL, "a longer name", false },
	{ GROUP_ALLOW, "server.allowed-ip.2001:db8::9", "", "ours", true },
	{ GROUP_ALLOW, "server.allowed-ip.0.0.0.0/0", "", "a network", false },
	{ GROUP_ALLOW, "server.blocked-ip.192.0.2.1", "", "a ban", false },
};

static void
test_planted(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(planted); i++) {
		struct snapshot_key k = { planted[i].key, "before", planted[i].value,
			planted[i].group, false, NULL, "before" };
		struct snapshot s = {
			.target = "t", .created = "c", .dialect = "d", .request = &nothing
		};
		struct pool pool = { 0 };
		struct buf text = { 0 };
		struct err err = { 0 };
		int r;

		snapshot_add(&s, &pool, &k);
		snapshot_format(&text, &s);
		r = snapshot_parse(&s, &pool, text.data, text.len, &err);
		CHECK(r == (planted[i].good ? 0 : -1), "%s (%s): %s", planted[i].key,
		    planted[i].why, err.text);
		buf_free(&text);
		pool_free(&pool);
	}
}

static void
test_contents(void **state)
{
	size_t i;

	(void)state;
	assert_int_equal(crc32("123456789", 9), 0xcbf43926); /* the published value */
	for (i = 0; i < COUNT(contents); i++) {
		struct pool pool = { 0 };
		struct buf text = { 0 };
		struct snapshot s;
		struct err err = { 0 };
		int r;

		buf_str(&text, contents[i].text);
		buf_printf(&text, ",\n  \"checksum\": \"%08x\"\n}\n",
		    (unsigned)crc32(text.data, text.len));
		r = snapshot_parse(&s, &pool, text.data, text.len, &err);
		CHECK(r == (contents[i].good ? 0 : -1), "%s: %d %s", contents[i].why, r, err.text);
		buf_free(&text);
		pool_free(&pool);
	}
}

/* Too many keys are refused, the bound itself is not. */
static void
test_bounds(void **state)
{
	size_t n, i;

	(void)state;
	for (n = SNAPSHOT_KEYS_MAX; n <= SNAPSHOT_KEYS_MAX + 1; n++) {
		struct snapshot s = { .target = "t",
			.created = "c",
			.dialect = "d",
			.request = &nothing },
				again;
		struct pool pool = { 0 };
		struct buf text = { 0 };
		struct err err;

		for (i = 0; i < n; i++) {
			struct snapshot_key k = { pool_printf(&pool,
						      "server.listener.l%zu.proxy.override", i),
				NULL, "true", GROUP_LISTENERS, true, NULL, NULL };

			snapshot_add(&s, &pool, &k);
		}
		snapshot_format(&text, &s);
		assert_int_equal(snapshot_parse(&again, &pool, text.data, text.len, &err),
		    n > SNAPSHOT_KEYS_MAX ? -1 : 0);
		buf_free(&text);
		pool_free(&pool);
	}
}

/*
 * What could not be loaded again must not be saved: it would be the only record of what stood
 * before.
 */
static void
test_save_bounds(void **state)
{
	struct snapshot s = { .target = "t", .created = "c", .dialect = "d", .request = &nothing };
	struct pool pool = { 0 };
	struct folder f;
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i <= SNAPSHOT_KEYS_MAX; i++) {
		struct snapshot_key k = { pool_printf(&pool, "k%zu", i), NULL, "v", GROUP_CHECKS,
			false, NULL, NULL };

		snapshot_add(&s, &pool, &k);
	}
	folder_make(&f);
	CHECK(snapfile_save(&s, folder_path(&f, "s.json"), &err) == -1 ||
		(unlink(folder_path(&f, "s.json")), rmdir(f.name), false),
	    "a snapshot is saved that can't be loaded");
	folder_remove(&f, names);
	pool_free(&pool);
}

static void
test_find(void **state)
{
	struct pool pool = { 0 };
	struct snapshot s;

	(void)state;
	fill(&s, &pool);
	assert_string_equal(snapshot_find(&s, "auth.dkim.verify")->before, "strict");
	assert_null(snapshot_find(&s, "auth.dkim"));
	assert_null(snapshot_find(&s, "auth.dkim.verify.0"));
	pool_free(&pool);
}

/*
 * What we may have left under a key that was "b", was written as "w", and held "s" when the last
 * write was planned.
 */
static void
test_knows(void **state)
{
	static const struct snapshot_key k = { "k", "b", "w", GROUP_CHECKS, false, NULL, "s" },
					 added = { "k", NULL, "w", GROUP_CHECKS, false, NULL,
						 NULL };

	(void)state;
	assert_true(snapshot_accounts_for(&k, "b") && snapshot_accounts_for(&k, "w") &&
	    snapshot_accounts_for(&k, "s"));
	assert_false(snapshot_accounts_for(&k, "x") || snapshot_accounts_for(&k, NULL) ||
	    snapshot_accounts_for(&k, ""));
	assert_true(snapshot_accounts_for(&added, NULL) && !snapshot_accounts_for(&added, ""));
}

/* What is left of a snapshot when its plan was never sent, and when all of it is proved. */
static void
test_settled(void **state)
{
	static const struct {
		const char *before, *written, *maybe_present;
		/* what counts as written then; "-": the key leaves it */
		const char *unsent, *proved;
		const char *why;
	} cases[] = {
		{ NULL, "w", NULL, "-", "w", "a first stage" },
		{ "b", "w", "b", "-", "w", "a first stage over a value" },
		{ NULL, "w", "old", "old", "w", "staged again, otherwise" },
		{ NULL, "w", "w", "w", "w", "staged again, the same" },
		{ "b", "b", "old", "old", "-", "goes back" },
		{ "b", "w", NULL, NULL, "w", "was removed by us" },
		{ NULL, NULL, NULL, "-", "-", "went back before" },
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		for (j = 0; j < 2; j++) {
			struct snapshot_key key = { "k", cases[i].before, cases[i].written,
				GROUP_CHECKS, false, NULL, cases[i].maybe_present };
			struct snapshot s = { .keys = &key, .count = 1 };
			const char *wanted = j ? cases[i].proved : cases[i].unsent;
			bool gone = same_text(wanted, "-");

			if (j)
				snapshot_mark_written(&s, 1u << GROUP_CHECKS);
			else
				snapshot_forget_plan(&s);
			CHECK(s.count == !gone, "%s: %zu keys", cases[i].why, s.count);
			CHECK(gone ||
				(same_text(key.written, wanted) &&
				    same_text(key.maybe_present, key.before)),
			    "%s: %s", cases[i].why, shown(key.written));
			CHECK(s.state == (!j && !gone ? SNAPSHOT_PROVED : SNAPSHOT_PLANNED),
			    "%s: state", cases[i].why);
		}
	}
}

/*
 * A write that was cut off leaves it open which of its values a key holds, until its group is
 * proved.
 */
static void
test_open(void **state)
{
	struct snapshot_key keys[] = {
		{ "k", "b", "b", GROUP_CHECKS, false, NULL, "s" },
		{ "l", NULL, "w", GROUP_LISTENERS, false, NULL, NULL },
	};
	struct snapshot s = { .state = SNAPSHOT_SENDING, .keys = keys, .count = COUNT(keys) };

	(void)state;
	assert_true(
	    snapshot_is_uncertain(&s, 0) && snapshot_is_uncertain(&s, 1u << GROUP_LISTENERS));
	assert_false(snapshot_is_uncertain(&s, 1u << GROUP_CHECKS));
	snapshot_mark_written(&s, 1u << GROUP_LISTENERS);
	assert_int_equal(s.count, 2);
	snapshot_mark_written(&s, 1u << GROUP_CHECKS);
	assert_int_equal(s.count, 1);
	assert_false(snapshot_is_uncertain(&s, 0));
}

static void
test_disk(void **state)
{
	struct pool pool = { 0 };
	struct snapshot a, b;
	struct folder f;
	struct stat st;
	struct err err;
	const char *path;

	(void)state;
	folder_make(&f);
	path = folder_path(&f, "s.json");
	fill(&a, &pool);
	assert_int_equal(snapfile_load(&b, &pool, path, &mine, &err), 1);
	CHECK(snapfile_save(&a, path, &err) == 0, "%s", err.text);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	CHECK(snapfile_load(&b, &pool, path, &mine, &err) == 0, "%s", err.text);
	check_same(&a, &b);
	a.state = SNAPSHOT_PROVED;
	assert_int_equal(snapfile_save(&a, path, &err), 0);
	assert_int_equal(snapfile_load(&b, &pool, path, &mine, &err), 0);
	assert_int_equal(b.state, SNAPSHOT_PROVED);
	folder_remove(&f, names);
	pool_free(&pool);
}

/* A damaged file is an error that names it, never "there is none". */
static void
test_disk_damage(void **state)
{
	static const char *const texts[] = { "", "{}",
		"{\"format\": \"stalprep-snapshot\", \"version\": 9}", "x" };
	struct pool pool = { 0 };
	struct snapshot s;
	struct folder f;
	struct err err;
	size_t i;

	(void)state;
	folder_make(&f);
	for (i = 0; i < COUNT(texts); i++) {
		write_text(folder_path(&f, "s.json"), texts[i], 0600);
		CHECK(snapfile_load(&s, &pool, folder_path(&f, "s.json"), &mine, &err) == -1,
		    "\"%s\" is taken", texts[i]);
		CHECK(has(err.text, folder_path(&f, "s.json")), "\"%s\": %s", texts[i], err.text);
	}
	assert_int_equal(snapfile_load(&s, &pool, f.name, &mine, &err), -1);
	folder_remove(&f, names);
	pool_free(&pool);
}

static void
test_disk_too_long(void **state)
{
	char *text = malloc(SNAPSHOT_MAX + 2);
	struct pool pool = { 0 };
	struct snapshot s;
	struct folder f;
	struct err err;

	(void)state;
	folder_make(&f);
	memset(text, ' ', SNAPSHOT_MAX + 1);
	text[SNAPSHOT_MAX + 1] = '\0';
	write_text(folder_path(&f, "s.json"), text, 0600);
	assert_int_equal(snapfile_load(&s, &pool, folder_path(&f, "s.json"), &mine, &err), -1);
	folder_remove(&f, names);
	free(text);
	pool_free(&pool);
}

/* It can't be written: an error, and the old one is still there. */
static void
test_disk_unwritable(void **state)
{
	struct pool pool = { 0 };
	struct snapshot s;
	struct err err;

	(void)state;
	fill(&s, &pool);
	assert_int_equal(snapfile_save(&s, "/nowhere/at/all/s.json", &err), -1);
	assert_int_equal(err.kind, ERR_SYSTEM);
	assert_true(has(err.text, "/nowhere/at/all/s.json"));
	assert_int_equal(snapfile_save(&s, "/proc/s.json", &err), -1);
	pool_free(&pool);
}

static void
test_states(void **state)
{
	(void)state;
	assert_string_equal(snapshot_state_name(SNAPSHOT_PLANNED), "planned");
	assert_string_equal(snapshot_state_name(SNAPSHOT_SENDING), "sending");
	assert_string_equal(snapshot_state_name(SNAPSHOT_PROVED), "proved");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_appended),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_planted),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_save_bounds),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_knows),
		cmocka_unit_test(test_settled),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_disk_damage),
		cmocka_unit_test(test_disk_too_long),
		cmocka_unit_test(test_disk_unwritable),
		cmocka_unit_test(test_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
