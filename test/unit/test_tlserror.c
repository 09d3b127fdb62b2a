/*
 * test_tlserror.c - every error number that BearSSL can give, and every alert of IANA's registry,
 * has its words
 */
#include "help.h"

#include "tls/tlserror.h"

#include <bearssl.h>

static bool
holds(const int *list, size_t count, int number)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (list[i] == number)
			return true;
	}
	return false;
}

static void
check_words(const struct tlserror *e, int number)
{
	CHECK(e->what && *e->what, "%d: no words", number);
	CHECK(e->what[strlen(e->what) - 1] != '.', "%d: what is a clause", number);
	CHECK(!tlserror_advice(e) || tlserror_advice(e)[strlen(tlserror_advice(e)) - 1] == '.',
	    "%d: advice is a sentence", number);
}

static void
test_engine(void **state)
{
	/* numbers that bearssl_ssl.h leaves out */
	static const int unused[] = { 11, 30 };
	int i;

	(void)state;
	for (i = 0; i <= BR_ERR_IO; i++) {
		const struct tlserror *e = tlserror_find(i);

		check_words(e, i);
		CHECK((e->number == i) == !holds(unused, COUNT(unused), i), "error %d", i);
	}
	/* those of certificates are told by x509.c */
	assert_int_equal(tlserror_find(BR_ERR_X509_NOT_TRUSTED)->number, -1);
	assert_int_equal(tlserror_find(-1)->number, -1);
}

static void
test_alerts(void **state)
{
	static const int alerts[] = { 0, 10, 20, 21, 22, 30, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49,
		50, 51, 60, 70, 71, 80, 86, 90, 100, 109, 110, 111, 112, 113, 114, 115, 116, 120 };
	int i;

	(void)state;
	for (i = 0; i < 256; i++) {
		const struct tlserror *e = tlserror_find(TLSERROR_ALERT_RECEIVED + i);

		check_words(e, i);
		CHECK((e->number == TLSERROR_ALERT_RECEIVED + i) == holds(alerts, COUNT(alerts), i),
		    "alert %d: %s", i, e->what);
		assert_true(tlserror_is_alert(TLSERROR_ALERT_RECEIVED + i));
		assert_int_equal(tlserror_find(TLSERROR_ALERT_SENT + i)->number, -1);
		assert_false(tlserror_is_alert(TLSERROR_ALERT_SENT + i));
	}
	assert_true(
	    has(tlserror_advice(tlserror_find(TLSERROR_ALERT_RECEIVED + 70)), "TLS 1.3 only"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_engine),
		cmocka_unit_test(test_alerts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
