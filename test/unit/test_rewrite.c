/*
 * test_rewrite.c - what the server's rewrite of config.toml does to keys and values (server-facts;
 * v0.15.5: update_local, TomlParser)
 */
#include "help.h"

#include "format/rewrite.h"

#define FIFTY "01234567890123456789012345678901234567890123456789"

static const struct {
	const char *key;
	enum rewrite up_to_12, from_13;
} keys[] = {
	{ "server.listener.imap.bind.0", REWRITE_KEEPS, REWRITE_KEEPS },
	{ "A.b_c-D.0000", REWRITE_KEEPS, REWRITE_KEEPS },
	{ "0.a", REWRITE_KEEPS, REWRITE_KEEPS },
	{ "certificate.*.example.org.cert", REWRITE_BREAKS, REWRITE_KEEPS },
	{ "directory.a:b.type", REWRITE_BREAKS, REWRITE_KEEPS },
	{ "server.x.2001:db8::1", REWRITE_BREAKS, REWRITE_KEEPS },
	{ "a.\xc3\xa4.b", REWRITE_BREAKS, REWRITE_KEEPS },
	{ "a.#b", REWRITE_BREAKS, REWRITE_KEEPS },
	{ "a.[b]", REWRITE_BREAKS, REWRITE_KEEPS },
	{ "a.b/c@d", REWRITE_BREAKS, REWRITE_KEEPS },
	{ "a=b", REWRITE_BREAKS, REWRITE_BREAKS },
	{ "a\nb", REWRITE_BREAKS, REWRITE_BREAKS },
	{ "", REWRITE_BREAKS, REWRITE_BREAKS },
	{ "[a]", REWRITE_BREAKS, REWRITE_BREAKS },
	{ "=", REWRITE_BREAKS, REWRITE_BREAKS },
	{ ".a", REWRITE_BREAKS, REWRITE_BREAKS },
	{ "\xc3\xa4", REWRITE_BREAKS, REWRITE_BREAKS },
	{ "_a", REWRITE_BREAKS, REWRITE_BREAKS },
	{ "server.listener.web mail.bind", REWRITE_CHANGES, REWRITE_CHANGES },
	{ "a\tb", REWRITE_CHANGES, REWRITE_CHANGES },
	{ "#a", REWRITE_CHANGES, REWRITE_CHANGES },
};

static void
test_keys(void **state)
{
	size_t i;
	int minor;

	(void)state;
	for (i = 0; i < COUNT(keys); i++) {
		for (minor = 8; minor <= 15; minor++)
			CHECK(rewrite_fate(minor, keys[i].key, "v") ==
				(minor <= 12 ? keys[i].up_to_12 : keys[i].from_13),
			    "0.%d: \"%s\"", minor, keys[i].key);
	}
}

static const struct {
	const char *value;
	enum rewrite fate;
	const char *why;
} values[] = {
	{ "", REWRITE_KEEPS, "empty" },
	{ "v", REWRITE_KEEPS, "" },
	{ "true", REWRITE_KEEPS, "bare" },
	{ "-1.5e+3", REWRITE_KEEPS, "bare" },
	{ "inf", REWRITE_KEEPS, "a number for the server" },
	{ "[::]:25", REWRITE_KEEPS, "" },
	{ "a = b # c", REWRITE_KEEPS, "" },
	{ "%{env:X}%", REWRITE_KEEPS, "a macro" },
	{ "'a'", REWRITE_KEEPS, "single quotes" },
	{ "\xc3\xa4", REWRITE_KEEPS, "UTF-8" },
	{ "a\"b", REWRITE_KEEPS, "a quote" },
	{ "\"", REWRITE_KEEPS, "a quote alone" },
	{ "a\\b", REWRITE_KEEPS, "a backslash" },
	{ "a\"\\b", REWRITE_KEEPS, "both" },
	{ "a\tb", REWRITE_KEEPS, "a tab" },
	{ "a\\", REWRITE_BREAKS, "a backslash at the end" },
	{ "\\", REWRITE_BREAKS, "a backslash alone" },
	{ "C:\\new", REWRITE_CHANGES, "a line feed comes of it" },
	{ "C:\\temp", REWRITE_CHANGES, "a tab" },
	{ "a\\rb", REWRITE_CHANGES, "a carriage return" },
	{ "a\\\"b", REWRITE_CHANGES, "gains a backslash" },
	{ "a\\\\b", REWRITE_CHANGES, "gains a backslash" },
	{ "a\rb", REWRITE_CHANGES, "the CR is dropped" },
	{ "a\nb", REWRITE_KEEPS, "between three quotes" },
	{ "a\nb\\", REWRITE_KEEPS, "nothing is escaped there" },
	{ "a\nb\\n\"", REWRITE_KEEPS, "nothing is escaped there" },
	{ "\na", REWRITE_CHANGES, "a leading line feed is dropped" },
	{ "a\r\nb", REWRITE_CHANGES, "the CR is dropped" },
	{ "a\nb'", REWRITE_BREAKS, "ends in a quote" },
	{ "a\n'''b", REWRITE_BREAKS, "three quotes" },
	{ "'a\nb", REWRITE_KEEPS, "a quote at the beginning" },
	{ "a\n''b", REWRITE_KEEPS, "two quotes" },
	{ "a\n", REWRITE_KEEPS, "a line feed at the end" },
	{ FIFTY "\\", REWRITE_KEEPS, "51 bytes: between three quotes" },
	{ FIFTY "\"'", REWRITE_BREAKS, "long, ends in a quote" },
	{ FIFTY "'", REWRITE_KEEPS, "long, nothing to escape" },
	{ FIFTY "C:\\new", REWRITE_KEEPS, "long: nothing is escaped" },
	{ FIFTY "\r\\", REWRITE_CHANGES, "long, a CR" },
	{ "0123456789012345678901234567890123456789012345678\\", REWRITE_BREAKS,
	    "50 bytes: still in double quotes" },
};

static void
test_values(void **state)
{
	size_t i;
	int minor;

	(void)state;
	for (i = 0; i < COUNT(values); i++) {
		for (minor = 8; minor <= 15; minor++)
			CHECK(rewrite_fate(minor, "a.b", values[i].value) == values[i].fate,
			    "0.%d: \"%s\" (%s)", minor, values[i].value, values[i].why);
	}
}

/* The worse of the two counts. */
static void
test_both(void **state)
{
	(void)state;
	assert_int_equal(rewrite_fate(15, "a b", "C:\\"), REWRITE_BREAKS);
	assert_int_equal(rewrite_fate(15, "a=b", "C:\\new"), REWRITE_BREAKS);
	assert_int_equal(rewrite_fate(15, "a b", "v"), REWRITE_CHANGES);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
