/* test_url.c - the management API's URL, the advertised origin, host names */
#include "help.h"

#include "format/url.h"

/* The management API. out: the origin; NULL: refused. */
static const struct {
	const char *in, *out, *why;
} urls[] = {
	{ "https://mail.example.org", "https://mail.example.org", "" },
	{ "https://mail.example.org/", "https://mail.example.org", "one slash is taken off" },
	{ "https://mail.example.org:443", "https://mail.example.org", "the scheme's own port" },
	{ "https://mail.example.org:8443/", "https://mail.example.org:8443", "" },
	{ "HTTPS://Mail.Example.ORG", "https://mail.example.org", "case does not count" },
	{ "https://mail", "https://mail", "a single label" },
	{ "https://192.0.2.1", "https://192.0.2.1", "an address" },
	{ "https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443", "IPv6" },
	{ "https://mail.example.org:65535", "https://mail.example.org:65535", "the last port" },
	{ "http://127.0.0.1:8080", "http://127.0.0.1:8080", "loopback" },
	{ "http://127.1.2.3", "http://127.1.2.3", "all of 127/8 is" },
	{ "http://[::1]:8080", "http://[::1]:8080", "loopback" },
	{ "http://localhost:80", "http://localhost", "localhost" },
	{ "http://LOCALHOST", "http://localhost", "localhost" },

	{ "http://mail.example.org", NULL, "plain http to a name" },
	{ "http://192.0.2.1", NULL, "plain http to an address" },
	{ "http://10.127.0.1", NULL, "plain http to an address" },
	{ "http://[2001:db8::1]", NULL, "plain http to an address" },
	{ "http://localhost.example.org", NULL, "not localhost" },
	{ "http://127.0.0.1.example.org", NULL, "a name that begins like loopback" },
	{ "http://0x7f.1", NULL, "no inet_aton" },
	{ "http://2130706433", NULL, "no inet_aton" },
	{ "mail.example.org", NULL, "no scheme" },
	{ "ftp://mail.example.org", NULL, "another scheme" },
	{ "https:/mail.example.org", NULL, "one slash" },
	{ "https://", NULL, "no host" },
	{ "https:///", NULL, "no host" },
	{ "https://:443", NULL, "no host" },
	{ "https://mail.example.org//", NULL, "two slashes" },
	{ "https://mail.example.org/api", NULL, "a path" },
	{ "https://mail.example.org?x=1", NULL, "a query" },
	{ "https://mail.example.org/?x", NULL, "a query" },
	{ "https://mail.example.org#x", NULL, "a fragment" },
	{ "https://mail.example.org:", NULL, "no port behind the colon" },
	{ "https://mail.example.org:0", NULL, "port 0" },
	{ "https://mail.example.org:65536", NULL, "port 65536" },
	{ "https://mail.example.org:4294967739", NULL, "443 and 2^32" },
	{ "https://mail.example.org:+443", NULL, "a sign" },
	{ "https://mail.example.org:44 3", NULL, "a blank" },
	{ "https://mail.example.org:443x", NULL, "not a number" },
	{ "https://mail example.org", NULL, "a blank" },
	{ "https://mail.example.org\n", NULL, "a line feed" },
	{ "https://mail.example.org\r\nX: y", NULL, "a header" },
	{ "https://m\xc3\xa4il.example.org", NULL, "not ASCII" },
	{ "https://2001:db8::1", NULL, "IPv6 without brackets" },
	{ "https://[2001:db8::1", NULL, "one bracket" },
	{ "https://[192.0.2.1]", NULL, "IPv4 in brackets" },
	{ "https://[mail.example.org]", NULL, "a name in brackets" },
	{ "https://[fe80::1%25eth0]", NULL, "a zone" },
	{ "https://[::1]x:443", NULL, "something behind the bracket" },
	{ "https://192.0.2.256", NULL, "no address, and no name" },
	{ "https://-mail.example.org", NULL, "a hyphen in front" },
	{ "https://mail..example.org", NULL, "an empty label" },
	{ "https://mail.example.org%2f", NULL, "an escape" },
	{ "https://mail\\.example.org", NULL, "a backslash" },
	{ "", NULL, "nothing" },
};

static void
test_urls(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(urls); i++) {
		struct err err = { 0 };
		char text[ORIGIN_MAX];
		struct url u, again;
		int r = url_parse(&u, urls[i].in, "--url", &err);

		CHECK(r == (urls[i].out ? 0 : -1), "\"%s\" (%s): %d %s", urls[i].in, urls[i].why, r,
		    err.text);
		if (r == -1) {
			CHECK(err.kind == ERR_USAGE && has(err.text, "--url"), "\"%s\": %s",
			    urls[i].in, err.text);
			continue;
		}
		url_format(&u, text);
		CHECK(!strcmp(text, urls[i].out), "\"%s\" becomes %s", urls[i].in, text);
		CHECK(url_parse(&again, text, "--url", NULL) == 0 && !memcmp(&u, &again, sizeof(u)),
		    "%s is another one again", text);
	}
}

/* Userinfo is refused, and not shown: it may be a password. */
static void
test_userinfo(void **state)
{
	static const char *const cases[] = {
		"https://admin:s3cret@mail.example.org",
		"https://s3cret@mail.example.org/",
		"s3cret@mail.example.org",
		"https://mail.example.org/@s3cret",
		"http://admin:s3cret@127.0.0.1",
	};
	struct err err;
	struct url u;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		CHECK(url_parse(&u, cases[i], "--url", &err) == -1 && !has(err.text, "s3cret"),
		    "%s: %s", cases[i], err.text);
		CHECK(url_parse_public(&u, cases[i], "--public-url", &err) == -1 &&
			!has(err.text, "s3cret"),
		    "%s: %s", cases[i], err.text);
	}
}

/* The advertised origin: https and a name. */
static const struct {
	const char *in, *out;
} publics[] = {
	{ "https://mail.example.org", "https://mail.example.org" },
	{ "https://Mail.example.org/", "https://mail.example.org" },
	{ "https://mail.example.org:8443", "https://mail.example.org:8443" },
	{ "https://xn--mil-qla.example.org", "https://xn--mil-qla.example.org" },
	{ "http://mail.example.org", NULL },
	{ "http://localhost", NULL },
	{ "https://192.0.2.1", NULL },
	{ "https://[2001:db8::1]", NULL },
	{ "https://mail.example.org/jmap", NULL },
	{ "https://mail.example.org//", NULL },
	{ "https://mail.example.org'", NULL }, /* it goes between single quotes */
	{ "'https://mail.example.org'", NULL },
	{ "mail.example.org", NULL },
};

static void
test_publics(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(publics); i++) {
		struct err err = { 0 };
		char text[ORIGIN_MAX];
		struct url u;
		int r = url_parse_public(&u, publics[i].in, "--public-url", &err);

		CHECK(r == (publics[i].out ? 0 : -1), "\"%s\": %d %s", publics[i].in, r, err.text);
		if (r == -1)
			continue;
		url_format(&u, text);
		CHECK(!strcmp(text, publics[i].out), "\"%s\" becomes %s", publics[i].in, text);
	}
}

static void
test_authority(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "https://mail.example.org", "mail.example.org" },
		{ "https://mail.example.org:80", "mail.example.org:80" },
		{ "http://localhost:443", "localhost:443" },
		{ "https://[2001:db8::1]", "[2001:db8::1]" },
		{ "https://[2001:db8::1]:444", "[2001:db8::1]:444" },
	};
	char text[ORIGIN_MAX];
	struct url u;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(url_parse(&u, cases[i].in, "--url", NULL), 0);
		url_authority(&u, text);
		CHECK(!strcmp(text, cases[i].out), "%s: %s", cases[i].in, text);
	}
}

/* The longest host fits everywhere; one byte more is refused. */
static void
test_longest(void **state)
{
	char label[64], host[HOST_MAX + 3], text[ORIGIN_MAX], in[ORIGIN_MAX + 8];
	struct url u;

	(void)state;
	memset(label, 'a', 63);
	label[63] = '\0';
	snprintf(host, sizeof(host), "%s.%s.%s.%.61s", label, label, label, label);
	assert_int_equal(strlen(host), HOST_MAX);
	assert_true(host_is_name(host));
	snprintf(in, sizeof(in), "https://%s:65535", host);
	assert_int_equal(url_parse(&u, in, "--url", NULL), 0);
	url_format(&u, text);
	assert_string_equal(text, in);
	strcat(host, "a");
	assert_false(host_is_name(host));
	snprintf(in, sizeof(in), "https://%s", host);
	assert_int_equal(url_parse(&u, in, "--url", NULL), -1);
}

static void
test_names(void **state)
{
	static const struct {
		const char *name;
		bool is;
	} cases[] = {
		{ "new.example.org", true },
		{ "NEW.example.org", true },
		{ "a", true },
		{ "a-b.c", true },
		{ "1.example", true },
		{ "3com.com", true },
		{ "example.org.", true },
		{ "xn--mil-qla.de", true },
		{ "a.1b", true },
		{ "", false },
		{ ".", false },
		{ "..", false },
		{ ".a", false },
		{ "a..b", false },
		{ "a.b..", false },
		{ "-a", false },
		{ "a-", false },
		{ "a.-b", false },
		{ "192.0.2.1", false },
		{ "a.1", false },
		{ "1", false },
		{ "a b", false },
		{ "a/b", false },
		{ "a:25", false },
		{ "a'b", false },
		{ "a\"b", false },
		{ "m\xc3\xa4il", false },
		{ "[::1]", false },
		{ "a\n", false },
		{ "*.example.org", false },
		/* a label of 65 */
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example",
		    false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		CHECK(host_is_name(cases[i].name) == cases[i].is, "\"%s\"", cases[i].name);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_userinfo),
		cmocka_unit_test(test_publics),
		cmocka_unit_test(test_authority),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
