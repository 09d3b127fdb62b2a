/* test_anchors.c - bundles: whole or not at all */
#include "help.h"

#include "base/buf.h"
#include "format/pem.h"
#include "tls/anchors.h"
#include "tls/der.h"

#include <time.h>

#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END   "-----END CERTIFICATE-----\n"

/*
 * Two self-signed CA certificates made with openssl: CN=Anchor A and CN=Anchor B, serial
 * 1111111111111111.
 */
#define BASE64_A \
	"MIIBcTCCARegAwIBAgIIEREREREREREwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwI\n" \
	"QW5jaG9yIEEwIBcNMjYxMTI0MDAxODAxWhgPMjEyNjEwMzEwMDE4MDFaMBMxETAP\n" \
	"BgNVBAMMCEFuY2hvciBBMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEH4L0m+U3\n" \
	"pbks8UwSRSVQ8Bq0gQFlmihaE0mjBerV+GAIdgxLSYX9TdfAkd39BRrNeA6gKTc2\n" \
	"m8C8z6o0DvxvLKNTMFEwHQYDVR0OBBYEFMwhX5FYOU9kLKPSB5ZhdRafXprqMB8G\n" \
	"A1UdIwQYMBaAFMwhX5FYOU9kLKPSB5ZhdRafXprqMA8GA1UdEwEB/wQFMAMBAf8w\n" \
	"CgYIKoZIzj0EAwIDSAAwRQIhAItL5C5IpWtumIXRZDM5OGDVeBsaPOx6SaJoa/Cf\n" \
	"YFedAiB9up1wfsa+g67IhZAdfrquJZYj4J4NRXia2lGOswLRLg==\n"
#define BASE64_B \
	"MIIBcTCCARegAwIBAgIIEREREREREREwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwI\n" \
	"QW5jaG9yIEIwIBcNMjYxMTI0MDAxODAxWhgPMjEyNjEwMzEwMDE4MDFaMBMxETAP\n" \
	"BgNVBAMMCEFuY2hvciBCMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE3ptpDQNV\n" \
	"nQmBHjFfNt8vI63VaBhBrF1pZbTmuDJAsBt3zO9qzmtdjVeTYm1VnZF7UChkH72X\n" \
	"YTDm7fFp6gBkTKNTMFEwHQYDVR0OBBYEFDHoQjVuEFmPCotgXn/zHs3lPeC7MB8G\n" \
	"A1UdIwQYMBaAFDHoQjVuEFmPCotgXn/zHs3lPeC7MA8GA1UdEwEB/wQFMAMBAf8w\n" \
	"CgYIKoZIzj0EAwIDSAAwRQIgFBxBRXbweF+pDwr/y0M8PL2sGLpxcFofMZsbTpXc\n" \
	"uUACIQCJMfdOa9SvMLp2ldOto3x8rDuxwPUgaG2h6SUnkjsj7w==\n"
#define A   BEGIN BASE64_A END
#define B   BEGIN BASE64_B END
#define KEY "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n"

enum { MANY = 10000 };

/* count: how many different certificates; else a part of the message. */
static const struct {
	const char *text;
	size_t count;
	const char *why;
} bundles[] = {
	{ A, 1, NULL },
	{ A B, 2, NULL },
	{ B A, 2, NULL },
	{ A A A, 1, NULL },
	{ A B A B, 2, NULL },
	{ "# Anchor A\n" A "\nsome text: -----\n\n" B "the end", 2, NULL },
	{ KEY A KEY, 1, NULL },
	{ "-----BEGIN X509 CERTIFICATE-----\n" BASE64_A "-----END X509 CERTIFICATE-----\n", 1,
	    NULL },

	{ "", 0, "holds no certificate" },
	{ "nothing\n", 0, "holds no certificate" },
	{ KEY, 0, "holds no certificate" },
	{ "0\x82\x01\x02", 0, "may be DER" },
	{ A BEGIN BASE64_B, 0, "the text is cut off" },
	{ A BEGIN, 0, "the text is cut off" },
	{ A "-----BEGIN CERT", 0, "line 11: the line is cut off" },
	{ A BEGIN "AQID\n" END, 0, "line 11: what begins here is not a well-formed certificate" },
	{ A BEGIN END, 0, "line 11: what begins here is not a well-formed certificate" },
	{ A BEGIN BASE64_B "AQID\n" END, 0, "base64" },
	{ A "-----BEGIN TRUSTED CERTIFICATE-----\nAQID\n-----END TRUSTED CERTIFICATE-----\n", 0,
	    "TRUSTED CERTIFICATE is not supported" },
};

static void
test_bundles(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bundles); i++) {
		struct anchors *a;
		struct err err;
		int r = anchors_parse(&a, bundles[i].text, strlen(bundles[i].text), "FILE", &err);

		CHECK((r == 0) == (bundles[i].why == NULL), "bundle %zu: %s", i,
		    r ? err.text : "taken");
		if (r == 0)
			CHECK(anchors_count(a) == bundles[i].count, "bundle %zu: %zu", i,
			    anchors_count(a));
		else
			CHECK(!a && has(err.text, bundles[i].why) && has(err.text, "FILE"),
			    "bundle %zu: %s", i, err.text);
		anchors_free(a);
	}
}

/* Every cut of a bundle is refused, or is as if it ended before: never a part of a certificate. */
static void
test_cuts(void **state)
{
	static const char text[] = A B;
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(text); len++) {
		struct anchors *a;
		struct err err;
		int r = anchors_parse(&a, text, len, "FILE", &err);

		if (len >= sizeof(text) - 2)
			CHECK(r == 0 && anchors_count(a) == 2, "cut at %zu", len);
		else if (len >= strlen(A) - 1 && len <= strlen(A) + 4)
			CHECK(r == -1 || anchors_count(a) == 1, "cut at %zu", len);
		else
			CHECK(r == -1, "cut at %zu is taken", len);
		anchors_free(a);
	}
}

static void
test_crlf(void **state)
{
	static const char text[] = A B;
	struct buf crlf = { 0 };
	struct anchors *a;
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; text[i]; i++) {
		if (text[i] == '\n')
			buf_char(&crlf, '\r');
		buf_char(&crlf, text[i]);
	}
	CHECK(anchors_parse(&a, crlf.data, crlf.len, "FILE", &err) == 0, "%s", err.text);
	assert_int_equal(anchors_count(a), 2);
	anchors_free(a);
	buf_free(&crlf);
}

/* The certificate's bytes with its serial number changed to n. */
static void
add_variant(struct buf *out, const struct buf *der, unsigned n)
{
	static const unsigned char serial[] = { 0x02, 0x08, 0x11, 0x11 };
	struct buf copy = { 0 };
	char *at;

	buf_add(&copy, der->data, der->len);
	at = memmem(copy.data, copy.len, serial, sizeof(serial));
	assert_non_null(at);
	at[4] = (char)(n >> 8);
	at[5] = (char)n;
	buf_str(out, BEGIN);
	base64_encode(copy.data, copy.len, out);
	buf_str(out, "\n" END);
	buf_free(&copy);
}

static void
test_many(void **state)
{
	struct pem pem = { .text = A, .len = strlen(A) };
	struct buf der = { 0 }, text = { 0 };
	const struct cert *run;
	struct anchors *a;
	struct err err;
	struct cert c;
	struct der d;
	size_t count;
	unsigned i;

	(void)state;
	assert_int_equal(pem_next(&pem, &der, &err), 1);
	for (i = 0; i < MANY; i++)
		add_variant(&text, &der, 0x2000 + i);
	buf_str(&text, B A);
	CHECK(anchors_parse(&a, text.data, text.len, "FILE", &err) == 0, "%s", err.text);
	assert_int_equal(anchors_count(a), MANY + 2);
	d = (struct der){ (const unsigned char *)der.data, der.len };
	assert_true(cert_parse(&c, &d));
	run = anchors_find(a, &c.subject, &count);
	assert_non_null(run);
	assert_int_equal(count, MANY + 1);
	run = anchors_same(a, &d);
	assert_non_null(run);
	assert_true(der_equal(&run->der, &d));
	anchors_free(a);

	for (i = 0; i < ANCHORS_MAX; i++)
		buf_str(&text, B);
	assert_int_equal(anchors_parse(&a, text.data, text.len, "FILE", &err), -1);
	CHECK(!a && has(err.text, "more than 20000"), "%s", err.text);
	buf_free(&text);
	buf_free(&der);
}

static void
test_files(void **state)
{
	struct anchors *a;
	struct err err;
	struct folder f;
	const char *path;

	(void)state;
	folder_make(&f);
	path = folder_path(&f, "bundle");
	assert_int_equal(anchors_load(&a, path, &err), -1);
	CHECK(!a && has(err.text, "is not there") && has(err.text, path), "%s", err.text);
	assert_int_equal(anchors_load(&a, f.name, &err), -1);
	assert_null(a);
	write_text(path, A B, 0600);
	assert_int_equal(anchors_load(&a, path, &err), 0);
	assert_int_equal(anchors_count(a), 2);
	anchors_free(a);
	anchors_free(NULL);
	folder_remove(&f, (const char *const[]){ "bundle", NULL });
}

/* A real distribution's bundle, where this machine has one, is there in a few milliseconds. */
static void
test_system(void **state)
{
	const char *path = anchors_system_path();
	struct timespec from, to;
	struct anchors *a;
	struct err err;
	double ms;

	(void)state;
	if (!path)
		skip();
	clock_gettime(CLOCK_MONOTONIC, &from);
	CHECK(anchors_load(&a, path, &err) == 0, "%s", err.text);
	clock_gettime(CLOCK_MONOTONIC, &to);
	ms = (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
	CHECK(anchors_count(a) > 0 && ms < 1000, "%zu certificates of %s in %.1f ms",
	    anchors_count(a), path, ms);
	anchors_free(a);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bundles),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_crlf),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
