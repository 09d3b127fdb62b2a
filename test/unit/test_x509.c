/*
 * test_x509.c - pins, and what --insecure and --pinnedpubkey mean together (the rules:
 * test/test_x509.py)
 */
#include "help.h"

#include "base/buf.h"
#include "format/pem.h"
#include "tls/anchors.h"
#include "tls/der.h"
#include "tls/x509.h"

/*
 * A self-signed certificate for mail.example.org made with openssl, its public key, and that one's
 * pin by openssl.
 */
#define CERTIFICATE \
	"-----BEGIN CERTIFICATE-----\n" \
	"MIIBjjCCATWgAwIBAgIUTTsAIgonxiZg0a1cKYtWcNA9ZyIwCgYIKoZIzj0EAwIw\n" \
	"DzENMAsGA1UEAwwETGVhZjAgFw0yNjExMjQwMDM0MjJaGA8yMTI2MTAzMTAwMzQy\n" \
	"MlowDzENMAsGA1UEAwwETGVhZjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNId\n" \
	"xsOTr8kmbDWI43DkCCKxnPi/n/A9VCIx5WFPigLnI2TfRMaQxCPzTO919z59ZzYE\n" \
	"IU1zMuq9VL7j5YjftOyjbTBrMB0GA1UdDgQWBBSmtD6dZ0nNN/eGSX59CR5M29tJ\n" \
	"ITAfBgNVHSMEGDAWgBSmtD6dZ0nNN/eGSX59CR5M29tJITAbBgNVHREEFDASghBt\n" \
	"YWlsLmV4YW1wbGUub3JnMAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDRwAwRAIg\n" \
	"Re8oVgsLR8j1ZkreuIZFUYnnTGszyxYYk78nsN4ucZgCIDImf6aQIZZAyFGcsOfJ\n" \
	"I7DSQhwvI+xc+4NNN/fJuT04\n" \
	"-----END CERTIFICATE-----\n"
#define PUBLIC_KEY \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE0h3Gw5OvySZsNYjjcOQIIrGc+L+f\n" \
	"8D1UIjHlYU+KAucjZN9ExpDEI/NM73X3Pn1nNgQhTXMy6r1UvuPliN+07A==\n" \
	"-----END PUBLIC KEY-----\n"
#define PIN     "sha256//KnSNwtc4OylEupxpE3RFp5UWmlZQUANsyGAWWRHmDEw="
#define OTHER   "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define FOUR    OTHER ";" OTHER ";" OTHER ";" OTHER
#define SIXTEEN FOUR ";" FOUR ";" FOUR ";" FOUR

static const int64_t in_2030 = 1893456000, in_2000 = 946684800;

static const struct {
	const char *text;
	size_t count;
	const char *why;
} pins[] = {
	{ PIN, 1, NULL },
	{ PIN ";" OTHER, 2, NULL },
	{ PIN ";", 1, NULL },
	{ SIXTEEN, 16, NULL },
	{ SIXTEEN ";" PIN, 0, "at most 16" },
	{ "sha256//", 0, "is not sha256//" },
	{ "sha256//AAAA", 0, "is not sha256//" },
	{ "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0, "is not sha256//" },
	{ "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0, "is not sha256//" },
	{ "sha256//-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0, "is not sha256//" },
	{ PIN ";;" PIN, 0, "is not sha256//" },
	{ PIN ";sha1//AAAA", 0, "is not sha256//" },
	{ PIN " ;" PIN, 0, "is not sha256//" },
	{ "/no/such/file", 0, "is not there" },
	{ "/dev/null", 0, "holds no public key" },
	{ "", 0, "is not there" },
};

static void
test_pins(void **state)
{
	struct x509_pins p;
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(pins); i++) {
		int r = x509_pins_parse(&p, pins[i].text, &err);

		CHECK((r == 0) == (pins[i].why == NULL), "%s: %s", pins[i].text,
		    r ? err.text : "taken");
		if (r)
			CHECK(has(err.text, pins[i].why) && has(err.text, "--pinnedpubkey"),
			    "%s: %s", pins[i].text, err.text);
		else
			CHECK(p.count == pins[i].count, "%s: %zu", pins[i].text, p.count);
	}
}

/* A file in the folder with these bytes. */
static const char *
file_of(const struct folder *f, const char *data, size_t len)
{
	const char *path = folder_path(f, "key");
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(data, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
	return path;
}

static void
check_file(const struct folder *f, const char *what, const char *data, size_t len, bool ok)
{
	struct x509_pins wanted, p;
	struct err err;

	assert_int_equal(x509_pins_parse(&wanted, PIN, &err), 0);
	CHECK((x509_pins_parse(&p, file_of(f, data, len), &err) == 0) == ok, "%s: %s", what,
	    ok ? err.text : "taken");
	if (ok)
		CHECK(p.count == 1 && !memcmp(p.sha256[0], wanted.sha256[0], 32), "%s: another key",
		    what);
}

/* The key's file: a public key or a certificate, PEM or DER. */
static void
test_key_files(void **state)
{
	static const struct {
		const char *what, *pem;
		bool ok;
	} cases[] = {
		{ "a public key", PUBLIC_KEY, true },
		{ "a certificate", CERTIFICATE, true },
		{ "a certificate behind text", "text\n" CERTIFICATE PUBLIC_KEY, true },
		{ "another thing", "-----BEGIN X-----\nAQID\n-----END X-----\n", false },
		{ "a broken one", "-----BEGIN PUBLIC KEY-----\nAQID\n", false },
	};
	struct folder f;
	size_t i;

	(void)state;
	folder_make(&f);
	for (i = 0; i < COUNT(cases); i++) {
		struct pem pem = { .text = cases[i].pem, .len = strlen(cases[i].pem) };
		struct buf der = { 0 };
		struct err err;

		check_file(&f, cases[i].what, cases[i].pem, strlen(cases[i].pem), cases[i].ok);
		if (!cases[i].ok)
			continue;
		assert_int_equal(pem_next(&pem, &der, &err), 1);
		check_file(&f, cases[i].what, der.data, der.len, true);
		check_file(&f, "a cut one", der.data, der.len - 1, false);
		buf_free(&der);
	}
	folder_remove(&f, (const char *const[]){ "key", NULL });
}

/* curl's meaning: with -k the pin alone decides, without it both must hold. */
static void
test_policy(void **state)
{
	static const struct {
		const char *host;
		bool trusted, insecure;
		const char *pin;
		int64_t time;
		const char *why;
	} cases[] = {
		{ "mail.example.org", true, false, NULL, in_2030, NULL },
		{ "mail.example.org", true, false, PIN, in_2030, NULL },
		{ "mail.example.org", true, false, OTHER, in_2030,
		    "not the one that --pinnedpubkey names" },
		{ "mail.example.org", false, false, PIN, in_2030, "no trusted certificates" },
		{ "mail.example.org", true, false, PIN, in_2000, "not valid yet" },
		{ "www.example.org", true, false, PIN, in_2030, "for other hosts" },
		{ "www.example.org", false, true, PIN, in_2000, NULL },
		{ "www.example.org", false, true, OTHER ";" PIN, in_2000, NULL },
		{ "www.example.org", false, true, OTHER, in_2000,
		    "not the one that --pinnedpubkey names" },
		{ "www.example.org", false, true, NULL, in_2000, NULL },
	};
	struct pem pem = { .text = CERTIFICATE, .len = strlen(CERTIFICATE) };
	struct buf der = { 0 };
	struct anchors *anchors;
	struct der chain;
	struct err err;
	size_t i;

	(void)state;
	assert_int_equal(pem_next(&pem, &der, &err), 1);
	assert_int_equal(anchors_parse(&anchors, pem.text, pem.len, "FILE", &err), 0);
	chain = (struct der){ (const unsigned char *)der.data, der.len };
	for (i = 0; i < COUNT(cases); i++) {
		bool right = cases[i].pin && !strcmp(cases[i].pin, PIN);
		struct x509_pins p;
		struct x509_policy policy = { .host = cases[i].host,
			.anchors = cases[i].trusted ? anchors : NULL,
			.pins = cases[i].pin ? &p : NULL,
			.insecure = cases[i].insecure,
			.time = cases[i].time };
		int r;

		if (cases[i].pin)
			assert_int_equal(x509_pins_parse(&p, cases[i].pin, &err), 0);
		r = x509_verify(&policy, &chain, 1, &err);
		CHECK(
		    (r == 0) == (cases[i].why == NULL), "case %zu: %s", i, r ? err.text : "taken");
		if (r)
			CHECK(err.kind == ERR_TRUST && has(err.text, cases[i].why) &&
				has(err.text, right ? "add --insecure" : PIN),
			    "case %zu: %s", i, err.text);
	}
	anchors_free(anchors);
	buf_free(&der);
}

/* Also with -k there must be a certificate with a key that can be used. */
static void
test_no_certificate(void **state)
{
	static const unsigned char junk[] = { 0x30, 0x03, 0x02, 0x01, 0x00 };
	struct x509_policy policy = { .host = "h", .insecure = true };
	struct der chain = { junk, sizeof(junk) };
	struct err err;

	(void)state;
	assert_int_equal(x509_verify(&policy, &chain, 0, &err), -1);
	CHECK(has(err.text, "the server sent none"), "%s", err.text);
	assert_int_equal(x509_verify(&policy, &chain, 1, &err), -1);
	CHECK(has(err.text, "not a well-formed certificate"), "%s", err.text);
	chain.len = 0;
	assert_int_equal(x509_verify(&policy, &chain, 1, &err), -1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_key_files),
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_no_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
