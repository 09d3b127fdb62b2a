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

#define DIGITS "0123456789abcdef0123456789abcdef"

/* A part for the database with all that a key can be: absent and empty values, each group. */
static void
fill_database(struct part *p, struct pool *pool)
{
	static const struct part_key keys[] = {
		{ "auth.dkim.verify", "strict", "disable", GROUP_CHECKS, false, NULL, "strict",
		    false },
		{ "http.url", "", "'https://mail.example.org'", GROUP_URL, false, NULL, "", false },
		{ "queue.strategy.route", "a\"b\\c\n\t\x01 \xc3\xa4", NULL, GROUP_OUTBOUND, false,
		    NULL, "x", false },
		{ "server.allowed-ip.192.0.2.1", NULL, "", GROUP_ALLOW, false, NULL, NULL, false },
		{ "auth.spf.verify.mail-from", NULL, "disable", GROUP_CHECKS, false, NULL,
		    "disable", true },
		{ "session.ehlo.reject-non-fqdn", ",\n  \"checksum\": \"00000000\"", "false",
		    GROUP_CHECKS, false, NULL, "v", false },
	};
	size_t i;

	for (i = 0; i < COUNT(keys); i++)
		part_add(p, pool, &keys[i]);
}

/* A node's part: some of its keys have a text. */
static void
fill_node(struct part *p, struct pool *pool)
{
	static const struct part_listener listeners[] = {
		{ "web mail", "http", "[::]:443, 0.0.0.0:443", "a \"reason\"", true, true },
		{ "smtp", "smtp", "", "port 25: never touched", false, false },
	};
	static const struct part_key keys[] = {
		{ "server.listener.imap.proxy.override", NULL, "true", GROUP_LISTENERS, true, NULL,
		    NULL, false },
		{ "auth.arc.verify", NULL, NULL, GROUP_CHECKS, true, NULL, NULL, false },
		{ "auth.spf.verify.ehlo", "a", "disable", GROUP_CHECKS, true, "'a'", "c", false },
		{ "auth.dmarc.verify", "a", "disable", GROUP_CHECKS, true, NULL, NULL, false },
		{ "auth.iprev.verify", "", "", GROUP_CHECKS, true, NULL, "c", false },
		{ "server.listener.imap.proxy.trusted-networks.0", NULL, "203.0.113.10/32",
		    GROUP_LISTENERS, true, NULL, "203.0.113.10/32", true },
	};
	size_t i;

	for (i = 0; i < COUNT(listeners); i++)
		part_add_listener(p, pool, &listeners[i]);
	for (i = 0; i < COUNT(keys); i++)
		part_add(p, pool, &keys[i]);
}

/* A snapshot with everything in it: a node by URL, one by file, one by both that has nothing. */
static void
fill(struct snapshot *s, struct pool *pool)
{
	struct part by_url = { .origin = "https://old.example.org:8443",
		.id = "7",
		.state = PART_SENDING },
		    by_file = { .file = "/opt/stal wart/\xc3\xa4.toml", .state = PART_PROVED },
		    by_both = { .origin = "https://192.0.2.1", .file = "/x", .id = "" };

	memset(s, 0, sizeof(*s));
	strcpy(s->identity, DIGITS);
	s->created = "2026-01-02T03:04:05Z";
	s->dialect = "0.13 to 0.15";
	s->request = &asked;
	s->database.state = PART_SENDING;
	fill_database(&s->database, pool);
	fill_node(&by_url, pool);
	fill_node(&by_file, pool);
	by_file.listener_count = 0;
	snapshot_add_node(s, pool, &by_url);
	snapshot_add_node(s, pool, &by_file);
	snapshot_add_node(s, pool, &by_both);
}

/* One of which only the database's part has keys, or one node's (node: true). */
static void
fill_one(struct snapshot *s, struct pool *pool, bool node)
{
	static const struct part nobody = { .origin = "https://old.example.org" };

	memset(s, 0, sizeof(*s));
	s->created = "c";
	s->dialect = "d";
	s->request = &nothing;
	if (node)
		snapshot_add_node(s, pool, &nobody);
}

static void
check_same_part(const struct part *a, const struct part *b)
{
	size_t i;

	assert_true(same_text(a->origin, b->origin) && same_text(a->file, b->file) &&
	    same_text(a->id, b->id));
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->count, b->count);
	for (i = 0; i < a->count; i++) {
		const struct part_key *x = &a->keys[i], *y = &b->keys[i];

		CHECK(!strcmp(x->key, y->key) && same_text(x->before, y->before) &&
			same_text(x->written, y->written) && same_text(x->text, y->text) &&
			same_text(x->maybe_present, y->maybe_present) && x->group == y->group &&
			x->local == y->local && x->unknown == y->unknown,
		    "%s is another one", x->key);
	}
	assert_int_equal(a->listener_count, b->listener_count);
	for (i = 0; i < a->listener_count; i++) {
		const struct part_listener *x = &a->listeners[i], *y = &b->listeners[i];

		CHECK(!strcmp(x->id, y->id) && !strcmp(x->protocol, y->protocol) &&
			!strcmp(x->binds, y->binds) && !strcmp(x->why, y->why) &&
			x->tls_implicit == y->tls_implicit && x->chosen == y->chosen,
		    "listener %s is another one", x->id);
	}
}

static void
check_same(const struct snapshot *a, const struct snapshot *b)
{
	size_t i;

	assert_string_equal(a->identity, b->identity);
	assert_string_equal(a->created, b->created);
	assert_string_equal(a->dialect, b->dialect);
	assert_int_equal(a->checksum, b->checksum);
	assert_true(request_same(a->request, b->request));
	check_same_part(&a->database, &b->database);
	assert_int_equal(a->node_count, b->node_count);
	for (i = 0; i < a->node_count; i++)
		check_same_part(&a->nodes[i], &b->nodes[i]);
}

/* Every state of every part, with an identity and without. */
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
	assert_int_equal(snapshot_count(&a), 6 + 2 * 6);
	for (i = 0; i < 2 * PART_STATE_COUNT; i++) {
		a.database.state = (enum part_state)(i % PART_STATE_COUNT);
		a.nodes[2].state = (enum part_state)((i + 1) % PART_STATE_COUNT);
		if (i == PART_STATE_COUNT)
			a.identity[0] = '\0';
		buf_reset(&text);
		snapshot_format(&text, &a);
		CHECK(snapshot_parse(&b, &pool, text.data, text.len, &err) == 0, "%s", err.text);
		check_same(&a, &b);
	}
	buf_free(&text);
	pool_free(&pool);
}

/* Behind something else in the buffer, and with no keys and no node. */
static void
test_appended(void **state)
{
	struct snapshot a = { .created = "c", .dialect = "d", .request = &nothing }, b;
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
	for (i = 0; i < text.len - 1; i++) {
		CHECK(
		    snapshot_parse(&b, &scrap, text.data, i, &err) == -1 && err.kind == ERR_SYSTEM,
		    "the first %zu bytes are taken", i);
		pool_free(&scrap);
	}
	for (i = 0; i < text.len - 4; i++) {
		text.data[i] ^= 1;
		CHECK(snapshot_parse(&b, &scrap, text.data, text.len, &err) == -1,
		    "byte %zu changed: taken", i);
		text.data[i] ^= 1;
		pool_free(&scrap);
	}
	buf_free(&text);
	pool_free(&pool);
}

/* Texts whose checksum is right and whose content is not. */
#define FORMAT   "{\"format\":\"stalprep-snapshot\","
#define HEAD     FORMAT "\"version\":1,"
#define IDENTITY "\"identity\":\"" DIGITS "\","
#define MADE     "\"created\":\"c\",\"dialect\":\"d\","
#define REQUEST \
	"\"request\":{\"groups\":[],\"proxy\":[],\"public_url\":null,\"relay\":null," \
	"\"relay_port\":0,\"relay_id\":\"smarthost\",\"listener\":[],\"also\":[],\"leave\":[]," \
	"\"relay_listener\":null,\"new_server\":null,\"allow_new_server\":false," \
	"\"single_node\":false,\"minor\":-1},"
#define REST         MADE REQUEST
/* the members of a part */
#define PROVED(keys) "\"state\":\"proved\",\"keys\":[" keys "]"
#define KEY(key, group, before, written) \
	"{\"key\":" key ",\"group\":" group ",\"before\":" before ",\"written\":" written "}"
#define OURS(more)     KEY("\"http.url\"", "\"url\"", "null", "\"'https://a.example'\"" more)
/* the whole of a snapshot that has these members in its database, in its only node */
#define DATABASE(part) HEAD IDENTITY REST "\"database\":{" part "},\"nodes\":[]"
#define NODE_OF(names, listeners, part) \
	HEAD IDENTITY REST "\"database\":{" PROVED("") "},\"nodes\":[{" names \
						       "\"listeners\":" listeners "," part "}]"
#define EMPTY      "\"database\":{" PROVED("") "},\"nodes\":[]"
#define NAMES      "\"url\":\"https://a\",\"file\":null,\"id\":null,"
#define NODE(part) NODE_OF(NAMES, "[]", part)
#define LISTENER \
	"\"id\":\"i\",\"protocol\":\"imap\",\"tls_implicit\":false,\"binds\":\"\",\"chosen\":true"

static const struct {
	const char *text, *why;
	bool good;
} contents[] = {
	{ DATABASE(PROVED("")), "the smallest", true },
	{ DATABASE("\"more\":[1]," PROVED(OURS(""))) ",\"more\":{}", "members that nobody knows",
	    true },
	{ HEAD "\"identity\":null," REST EMPTY, "no identity", true },
	{ HEAD REST EMPTY, "identity is not there", false },
	{ HEAD "\"identity\":\"\"," REST EMPTY, "an empty identity", false },
	{ HEAD "\"identity\":\"0123456789ABCDEF0123456789ABCDEF\"," REST EMPTY,
	    "an identity in capitals", false },
	{ HEAD "\"identity\":\"" DIGITS "0\"," REST EMPTY, "an identity that is too long", false },
	{ HEAD "\"identity\":1," REST EMPTY, "an identity that is a number", false },
	{ "{\"format\":\"other\",\"version\":1," IDENTITY REST EMPTY, "another format", false },
	{ "{\"version\":1," IDENTITY REST EMPTY, "no format", false },
	{ FORMAT "\"version\":2," IDENTITY REST EMPTY, "a newer version", false },
	{ FORMAT "\"version\":\"1\"," IDENTITY REST EMPTY, "version as text", false },
	{ FORMAT IDENTITY REST EMPTY, "no version", false },
	{ FORMAT "\"version\":1,\"target\":\"https://old.example.org\"," REST PROVED(""),
	    "one that has no parts", false },
	{ HEAD IDENTITY "\"created\":null,\"dialect\":\"d\"," REQUEST EMPTY, "created is null",
	    false },
	{ HEAD IDENTITY "\"created\":\"c\"," REQUEST EMPTY, "no dialect", false },
	{ HEAD IDENTITY MADE EMPTY, "no request", false },
	{ HEAD IDENTITY REST "\"nodes\":[]", "no database", false },
	{ HEAD IDENTITY REST "\"database\":null,\"nodes\":[]", "database is null", false },
	{ HEAD IDENTITY REST "\"database\":{" PROVED("") "}", "no nodes", false },
	{ HEAD IDENTITY REST "\"database\":{" PROVED("") "},\"nodes\":{}", "nodes as an object",
	    false },
	{ HEAD IDENTITY REST "\"database\":{" PROVED("") "},\"nodes\":[1]",
	    "a node that is a number", false },
	{ DATABASE("\"state\":\"done\",\"keys\":[]"), "another state", false },
	{ DATABASE("\"keys\":[]"), "no state", false },
	{ DATABASE("\"state\":\"proved\""), "no keys", false },
	{ DATABASE("\"state\":\"proved\",\"keys\":{}"), "keys as an object", false },
	{ DATABASE(PROVED("1")), "a key that is a number", false },
	{ DATABASE(PROVED(KEY("\"\"", "\"url\"", "null", "null"))), "an empty key", false },
	{ DATABASE(PROVED(KEY("null", "\"url\"", "null", "null"))), "key null", false },
	{ DATABASE(PROVED(KEY("\"http.url\"", "\"urls\"", "null", "null"))), "another group",
	    false },
	{ DATABASE(PROVED(KEY("\"http.url\"", "\"url\"", "1", "null"))), "before is a number",
	    false },
	{ DATABASE(PROVED(KEY("\"http.url\"", "\"url\"", "\"v\"", "null,\"stood\":null"))),
	    "stood: absent", true },
	{ DATABASE(PROVED(KEY("\"http.url\"", "\"url\"", "\"v\"", "null,\"stood\":1"))),
	    "stood is a number", false },
	{ DATABASE(PROVED(OURS(",\"text\":\"x\""))), "a text", true },
	{ DATABASE(PROVED(OURS(",\"text\":null"))), "text is null", false },
	{ DATABASE(PROVED(OURS(",\"unknown\":true"))), "unknown", true },
	{ DATABASE(PROVED(OURS(",\"unknown\":1"))), "unknown is a number", false },
	{ DATABASE(PROVED(
	      KEY("\"http.url\"", "\"url\"", "\"v\"", "\"'https://a.example'\",\"unknown\":true"))),
	    "unknown, and yet it says what stood before", false },
	{ DATABASE("\"state\":\"proved\",\"keys\":[{\"key\":\"http.url\",\"group\":\"url\","
		   "\"before\":null}]"),
	    "written is not there: not the same as null", false },
	{ DATABASE(PROVED(OURS("") "," OURS(""))), "a key twice in one part", false },
	{ HEAD IDENTITY REST "\"database\":{" PROVED(
	      OURS("")) "},\"nodes\":[{" NAMES "\"listeners\":[]," PROVED(OURS("")) "}]",
	    "a key in the database and in a node's file", true },
	{ NODE(PROVED("")), "a node", true },
	{ NODE("\"state\":\"sending\",\"keys\":[" OURS("") "]"), "a node's key", true },
	{ NODE("\"keys\":[]"), "a node without a state", false },
	{ NODE("\"state\":\"proved\""), "a node without keys", false },
	{ NODE_OF("\"url\":null,\"file\":null,", "[]", PROVED("")), "no id", false },
	{ NODE_OF("\"file\":null,\"id\":null,", "[]", PROVED("")), "no URL", false },
	{ NODE_OF("\"url\":null,\"id\":null,", "[]", PROVED("")), "no file", false },
	{ NODE_OF("\"url\":1,\"file\":null,\"id\":null,", "[]", PROVED("")),
	    "a URL that is a number", false },
	{ NODE_OF(NAMES, "{}", PROVED("")), "listeners as an object", false },
	{ NODE_OF(NAMES, "[{" LISTENER ",\"why\":\"w\"}]", PROVED("")), "a listener", true },
	{ NODE_OF(NAMES, "[{" LISTENER "}]", PROVED("")), "a listener without a reason", false },
	{ NODE_OF(NAMES,
	      "[{\"id\":\"i\",\"protocol\":\"imap\",\"tls_implicit\":0,\"binds\":\"\","
	      "\"chosen\":true,\"why\":\"w\"}]",
	      PROVED("")),
	    "tls_implicit is a number", false },
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

/* In the database's part, in a node's. */
static void
test_planted(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 2 * COUNT(planted); i++) {
		size_t n = i / 2;
		bool node = i % 2;
		struct part_key k = { planted[n].key, "before", planted[n].value, planted[n].group,
			node, NULL, "before", false };
		struct pool pool = { 0 };
		struct buf text = { 0 };
		struct err err = { 0 };
		struct snapshot s;
		int r;

		fill_one(&s, &pool, node);
		part_add(node ? &s.nodes[0] : &s.database, &pool, &k);
		snapshot_format(&text, &s);
		r = snapshot_parse(&s, &pool, text.data, text.len, &err);
		CHECK(r == (planted[n].good ? 0 : -1), "%s (%s): %s", planted[n].key,
		    planted[n].why, err.text);
		buf_free(&text);
		pool_free(&pool);
	}
}

/*
 * What a stage moves from the scalar at a list's key into the list may be any text; but only that
 * one, and only within one part.
 */
#define TRUSTED "server.listener.imap.proxy.trusted-networks"
static void
test_moved(void **state)
{
	static const struct part_key scalar = { TRUSTED, "proxy.example.org", NULL, GROUP_LISTENERS,
		true, NULL, "proxy.example.org", false },
				     moved = { TRUSTED ".0", NULL, "proxy.example.org",
					     GROUP_LISTENERS, true, NULL, NULL, false },
				     other = { TRUSTED ".0", NULL, "evil.example.org",
					     GROUP_LISTENERS, true, NULL, NULL, false };
	static const struct {
		const struct part_key *first, *second;
		int r;
	} cases[] = { { &scalar, &moved, 0 }, { &moved, &scalar, 0 }, { &scalar, &other, -1 },
		{ &moved, NULL, -1 } };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct pool pool = { 0 };
		struct buf text = { 0 };
		struct snapshot s;
		struct err err;

		fill_one(&s, &pool, true);
		part_add(&s.nodes[0], &pool, cases[i].first);
		if (cases[i].second)
			part_add(&s.nodes[0], &pool, cases[i].second);
		snapshot_format(&text, &s);
		CHECK(snapshot_parse(&s, &pool, text.data, text.len, &err) == cases[i].r,
		    "case %zu", i);
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

/* Write so many keys (or listeners, or nodes), and read them. 0 or -1. */
static int
take_many(size_t keys, size_t listeners, size_t nodes)
{
	static const struct part node = { .origin = "https://old.example.org" };
	static const struct part_listener listener = { "l", "imap", "", "w", false, true };
	struct snapshot s, again;
	struct pool pool = { 0 };
	struct buf text = { 0 };
	struct err err;
	size_t i;
	int r;

	fill_one(&s, &pool, true);
	for (i = 0; i < keys; i++) {
		struct part_key k = { pool_printf(&pool, "server.listener.l%zu.proxy.override", i),
			NULL, "true", GROUP_LISTENERS, true, NULL, NULL, false };

		part_add(&s.nodes[0], &pool, &k);
	}
	for (i = 0; i < listeners; i++)
		part_add_listener(&s.nodes[0], &pool, &listener);
	for (i = 1; i < nodes; i++)
		snapshot_add_node(&s, &pool, &node);
	snapshot_format(&text, &s);
	r = snapshot_parse(&again, &pool, text.data, text.len, &err);
	buf_free(&text);
	pool_free(&pool);
	return r;
}

/* Too many are refused, the bound itself is not. */
static void
test_bounds(void **state)
{
	(void)state;
	assert_int_equal(take_many(PART_KEYS_MAX, PART_LISTENERS_MAX, SNAPSHOT_NODES_MAX), 0);
	assert_int_equal(take_many(PART_KEYS_MAX + 1, 0, 0), -1);
	assert_int_equal(take_many(0, PART_LISTENERS_MAX + 1, 0), -1);
	assert_int_equal(take_many(0, 0, SNAPSHOT_NODES_MAX + 1), -1);
}

/* ---- parts of one target ---- */

/* "key=written" of each, and ! for what lives in the node's file. */
static const char *
keys_of(struct pool *pool, const struct part *p)
{
	const char *text = "";
	size_t i;

	for (i = 0; i < p->count; i++)
		text = pool_printf(pool, "%s%s%s=%s%s", text, *text ? " " : "", p->keys[i].key,
		    shown(p->keys[i].written), p->keys[i].local ? "!" : "");
	return text;
}

static struct part_key
key(const char *name, const char *written, bool local)
{
	return (struct part_key){
		.key = name, .written = written, .group = GROUP_CHECKS, .local = local
	};
}

/* A database with a, b; a node with b, c; another with a. */
static void
fill_two(struct snapshot *s, struct pool *pool)
{
	static const struct part nodes[] = { { .origin = "https://one", .id = "1" },
		{ .origin = "https://two" } };
	struct part_key keys[] = { key("a", "db", false), key("b", "db", false),
		key("b", "one", true), key("c", "one", true), key("a", "two", true) };
	size_t i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < COUNT(nodes); i++)
		snapshot_add_node(s, pool, &nodes[i]);
	for (i = 0; i < COUNT(keys); i++)
		part_add(i < 2  ? &s->database
			: i < 4 ? &s->nodes[0]
				: &s->nodes[1],
		    pool, &keys[i]);
}

/* The node's own keys hide the database's of the same name. */
static void
test_join(void **state)
{
	struct pool pool = { 0 };
	struct snapshot s;
	struct part p;

	(void)state;
	fill_two(&s, &pool);
	p = snapshot_join(&s, &s.nodes[0], true, &pool);
	assert_string_equal(keys_of(&pool, &p), "b=one! c=one! a=db");
	assert_true(same_text(p.origin, "https://one") && same_text(p.id, "1"));
	p = snapshot_join(&s, &s.nodes[1], true, &pool);
	assert_string_equal(keys_of(&pool, &p), "a=two! b=db");
	p = snapshot_join(&s, &s.nodes[0], false, &pool);
	assert_string_equal(keys_of(&pool, &p), "b=one! c=one!");
	p = snapshot_join(&s, NULL, true, &pool);
	assert_string_equal(keys_of(&pool, &p), "a=db b=db");
	p = snapshot_join(&s, NULL, false, &pool);
	assert_int_equal(p.count, 0);
	/* what is joined is a copy */
	p = snapshot_join(&s, NULL, true, &pool);
	p.keys[0].written = "other";
	assert_string_equal(s.database.keys[0].written, "db");
	pool_free(&pool);
}

/* Sending if either is, else proved if either is. */
static void
test_join_states(void **state)
{
	static const struct {
		enum part_state database, node, joined;
	} cases[] = {
		{ PART_PLANNED, PART_PLANNED, PART_PLANNED },
		{ PART_PLANNED, PART_PROVED, PART_PROVED },
		{ PART_PROVED, PART_PLANNED, PART_PROVED },
		{ PART_PROVED, PART_PROVED, PART_PROVED },
		{ PART_PLANNED, PART_SENDING, PART_SENDING },
		{ PART_SENDING, PART_PLANNED, PART_SENDING },
		{ PART_SENDING, PART_PROVED, PART_SENDING },
		{ PART_PROVED, PART_SENDING, PART_SENDING },
	};
	struct pool pool = { 0 };
	struct snapshot s;
	size_t i;

	(void)state;
	fill_two(&s, &pool);
	for (i = 0; i < COUNT(cases); i++) {
		s.database.state = cases[i].database;
		s.nodes[0].state = cases[i].node;
		CHECK(snapshot_join(&s, &s.nodes[0], true, &pool).state == cases[i].joined,
		    "case %zu", i);
		CHECK(snapshot_join(&s, &s.nodes[0], false, &pool).state == cases[i].node,
		    "case %zu: the node's alone", i);
		CHECK(snapshot_join(&s, NULL, true, &pool).state == cases[i].database,
		    "case %zu: the database's alone", i);
	}
	/* of a database without a key nothing is on its way */
	s.database.count = 0;
	s.database.state = PART_SENDING;
	s.nodes[0].state = PART_PROVED;
	assert_int_equal(snapshot_join(&s, &s.nodes[0], true, &pool).state, PART_PROVED);
	pool_free(&pool);
}

/* Each key goes where it belongs. What the join hid stays in the database. */
static void
test_split(void **state)
{
	struct part_key more[] = { key("d", "db", false), key("e", "one", true) };
	struct pool pool = { 0 };
	struct snapshot s;
	struct part p;
	size_t i;

	(void)state;
	fill_two(&s, &pool);
	s.database.state = s.nodes[0].state = PART_PROVED;
	p = snapshot_join(&s, &s.nodes[0], true, &pool);
	for (i = 0; i < COUNT(more); i++)
		part_add(&p, &pool, &more[i]);
	p.state = PART_SENDING;
	snapshot_split(&s, &s.nodes[0], true, &p, &pool);
	assert_string_equal(keys_of(&pool, &s.database), "b=db a=db d=db");
	assert_string_equal(keys_of(&pool, &s.nodes[0]), "b=one! c=one! e=one!");
	assert_string_equal(keys_of(&pool, &s.nodes[1]), "a=two!");
	assert_int_equal(s.database.state, PART_SENDING);
	assert_int_equal(s.nodes[0].state, PART_SENDING);
	assert_int_equal(s.nodes[1].state, PART_PLANNED);
	assert_true(same_text(s.nodes[0].origin, "https://one") && same_text(s.nodes[0].id, "1"));

	/* all of it was restored here: the hidden one is still the other nodes' */
	p = snapshot_join(&s, &s.nodes[0], true, &pool);
	p.count = 0;
	snapshot_split(&s, &s.nodes[0], true, &p, &pool);
	assert_string_equal(keys_of(&pool, &s.database), "b=db");
	assert_int_equal(s.nodes[0].count, 0);
	pool_free(&pool);
}

/* A key that moves from the node's file to the database, where it was hidden, is there once. */
static void
test_split_moved(void **state)
{
	struct pool pool = { 0 };
	struct snapshot s;
	struct part p;
	size_t i, n = 0;

	(void)state;
	fill_two(&s, &pool);
	p = snapshot_join(&s, &s.nodes[0], true, &pool);
	p.keys[0].local = false; /* b: written over the API now */
	snapshot_split(&s, &s.nodes[0], true, &p, &pool);
	for (i = 0; i < s.database.count; i++)
		n += !strcmp(s.database.keys[i].key, "b");
	/* FIXME: both are there, and such a snapshot can't be loaded */
	CHECK(n == 1, "%s", keys_of(&pool, &s.database));
	assert_string_equal(keys_of(&pool, &s.nodes[0]), "c=one!");
	pool_free(&pool);
}

/* A node whose run does not reach the database: that keeps its keys and its state. */
static void
test_split_node(void **state)
{
	struct part_key shared = key("d", "db", false), own = key("e", "one", true);
	struct pool pool = { 0 };
	struct snapshot s;
	struct part p = { 0 };

	(void)state;
	fill_two(&s, &pool);
	s.database.state = PART_PROVED;
	part_add(&p, &pool, &shared);
	part_add(&p, &pool, &own);
	p.state = PART_SENDING;
	snapshot_split(&s, &s.nodes[0], false, &p, &pool);
	assert_string_equal(keys_of(&pool, &s.database), "a=db b=db");
	assert_string_equal(keys_of(&pool, &s.nodes[0]), "e=one!");
	assert_int_equal(s.database.state, PART_PROVED);
	assert_int_equal(s.nodes[0].state, PART_SENDING);
	pool_free(&pool);
}

static void
test_groups(void **state)
{
	struct pool pool = { 0 };
	struct snapshot s;

	(void)state;
	fill(&s, &pool);
	assert_int_equal(snapshot_groups(&s), (1u << GROUP_COUNT) - 1);
	s.database.count = 0;
	assert_int_equal(snapshot_groups(&s), 1u << GROUP_LISTENERS | 1u << GROUP_CHECKS);
	s.node_count = 0;
	assert_int_equal(snapshot_groups(&s), 0);
	assert_int_equal(snapshot_count(&s), 0);
	pool_free(&pool);
}

/* Of each part that is only planned: what an earlier stage left is what counts. */
static void
test_forget_plan(void **state)
{
	struct pool pool = { 0 };
	struct snapshot s;
	size_t i;

	(void)state;
	fill_two(&s, &pool);
	s.database.state = PART_PLANNED;
	s.nodes[0].state = PART_SENDING;
	s.nodes[1].state = PART_PLANNED;
	s.database.keys[0].maybe_present = "earlier";
	for (i = 0; i < 2; i++) {
		snapshot_forget_plan(&s);
		assert_string_equal(keys_of(&pool, &s.database), "a=earlier");
		assert_int_equal(s.database.state, PART_PROVED);
		assert_string_equal(keys_of(&pool, &s.nodes[0]), "b=one! c=one!");
		assert_int_equal(s.nodes[0].state, PART_SENDING);
		assert_int_equal(s.nodes[1].count, 0);
		assert_int_equal(s.nodes[1].state, PART_PLANNED);
	}
	pool_free(&pool);
}

/* ---- on disk ---- */

/*
 * What could not be loaded again is seen by the run that saves it: store_save reads it back. A text
 * beyond the bound is not even saved.
 */
static void
test_save_bounds(void **state)
{
	struct pool pool = { 0 };
	struct snapshot s;
	struct folder f;
	struct err err;
	char *value = pool_zero(&pool, SNAPSHOT_MAX + 1);
	struct part_key k = { "http.url", memset(value, 'v', SNAPSHOT_MAX), NULL, GROUP_URL, false,
		NULL, NULL, false };

	(void)state;
	fill_one(&s, &pool, false);
	part_add(&s.database, &pool, &k);
	folder_make(&f);
	CHECK(snapfile_save(&s, folder_path(&f, "s.json"), &mine, &err) == -1 ||
		(unlink(folder_path(&f, "s.json")), rmdir(f.name), false),
	    "a snapshot is saved that can't be loaded");
	folder_remove(&f, names);
	pool_free(&pool);
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
	CHECK(snapfile_save(&a, path, &mine, &err) == 0, "%s", err.text);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	CHECK(snapfile_load(&b, &pool, path, &mine, &err) == 0, "%s", err.text);
	check_same(&a, &b);
	a.database.state = PART_PROVED;
	assert_int_equal(snapfile_save(&a, path, &mine, &err), 0);
	assert_int_equal(snapfile_load(&b, &pool, path, &mine, &err), 0);
	assert_int_equal(b.database.state, PART_PROVED);
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
	assert_int_equal(snapfile_save(&s, "/nowhere/at/all/s.json", &mine, &err), -1);
	assert_int_equal(err.kind, ERR_SYSTEM);
	assert_true(has(err.text, "/nowhere/at/all/s.json"));
	assert_int_equal(snapfile_save(&s, "/proc/s.json", &mine, &err), -1);
	pool_free(&pool);
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
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_join_states),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_split_moved),
		cmocka_unit_test(test_split_node),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_forget_plan),
		cmocka_unit_test(test_save_bounds),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_disk_damage),
		cmocka_unit_test(test_disk_too_long),
		cmocka_unit_test(test_disk_unwritable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
