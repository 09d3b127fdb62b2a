/* test_pem.c - PEM blocks as bundles really have them, and broken ones */
#include "help.h"

#include "base/buf.h"
#include "format/pem.h"

#define B(label) "-----BEGIN " label "-----"
#define E(label) "-----END " label "-----"
#define BLOCK    B("X") "\nAQID\n" E("X") "\n"

/* out: the blocks' bytes in hexadecimal, each followed by a blank; else a part of the message. */
static const struct {
	const char *in, *out, *why;
} cases[] = {
	{ "", "", NULL },
	{ "no block here\n-----\n------ not a mark ------\n=====\n", "", NULL },
	{ BLOCK, "010203 ", NULL },
	{ BLOCK BLOCK, "010203 010203 ", NULL },
	{ "text before\n" BLOCK "text between\n\n" BLOCK "text after", "010203 010203 ", NULL },
	{ B("X") "\r\nAQID\r\n" E("X") "\r\n", "010203 ", NULL },
	{ "\xef\xbb\xbf" BLOCK, "010203 ", NULL },
	{ B("X") "\nAQ\nID\n" E("X"), "010203 ", NULL },              /* no last line end */
	{ B("X") "  \n  AQID  \n  " E("X") "\t\n", "010203 ", NULL }, /* indented */
	{ B("X") "\nAQI=\n" E("X"), "0102 ", NULL },
	{ B("X") "\nAQ==\n" E("X"), "01 ", NULL },
	{ B("X") "\n\nAQID\n\n" E("X"), "010203 ", NULL },
	{ B("X") "\n" E("X"), " ", NULL },
	{ B("KEY") "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,00\n\nAQID\n" E("KEY"), "010203 ",
	    NULL },

	{ B("X") "\nAQID\n", NULL, "line 1: the block that begins here has no END" },
	{ "\n\n" B("X") "\nAQID", NULL, "line 3: the block that begins here has no END" },
	{ B("X") "\nAQI", NULL, "no END" },
	{ BLOCK "-----BEGIN CERTIFIC", NULL, "line 4: the line is cut off" },
	{ BLOCK "-----BEG", NULL, "line 4: the text is cut off" },
	{ BLOCK B("X") "\nAQID\n-----END", NULL, "line 6: this is not base64" },
	{ BLOCK B("X") "\nAQID\n-----END X", NULL, "line 6: the line is cut off" },
	{ B("X") "\nAQI\n" E("X"), NULL, "line 3: the block's base64 is cut off" },
	{ B("X") "\nAQID\n" E("Y"), NULL, "line 3: END does not match" },
	{ B("X") "\nAQID\n" BLOCK, NULL, "line 3: this is not base64" },
	{ E("X") "\n", NULL, "line 1: an END without its BEGIN" },
	{ "# " BLOCK, NULL, "line 1: a BEGIN in the middle of a line" },
	{ B("X") "\nAQID\n" E("X") B("X") "\nAQID\n" E("X"), NULL,
	    "line 3: text follows the dashes" },
	{ B("X") "\nA*ID\n" E("X"), NULL, "line 2: this is not base64" },
	{ B("X") "\nAQ=D\n" E("X"), NULL, "line 2: this is not base64" },
	/* bits in the padding */
	{ B("X") "\nAR==\n" E("X"), NULL, "line 2: this is not base64" },
	{ B("X") "\nAQ==AQID\n" E("X"), NULL, "line 2: this is not base64" },
	{ B("X") "\n=QID\n" E("X"), NULL, "line 2: this is not base64" },
	{ B("X") "\nAQ ID\n" E("X"), NULL, "line 2: this is not base64" },
	{ B("CERTIFICATE") "\nProc-Type: 4\n\nAQID\n" E("CERTIFICATE"), NULL,
	    "line 2: this is not base64" },
	{ B("A LABEL THAT IS MUCH LONGER THAN ANY LABEL IS"), NULL, "the label is too long" },
};

static void
test_blocks(void **state)
{
	size_t i, k;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct pem pem = { .text = cases[i].in, .len = strlen(cases[i].in) };
		struct buf block = { 0 }, out = { 0 };
		struct err err;
		int r;

		while ((r = pem_next(&pem, &block, &err)) == 1) {
			for (k = 0; k < block.len; k++)
				buf_printf(&out, "%02x", (unsigned char)block.data[k]);
			buf_char(&out, ' ');
		}
		CHECK(
		    (r == 0) == (cases[i].out != NULL), "case %zu: %s", i, r ? err.text : "taken");
		if (r == 0)
			CHECK(!strcmp(buf_text(&out), cases[i].out), "case %zu: %s", i,
			    buf_text(&out));
		else
			CHECK(has(err.text, cases[i].why), "case %zu: %s", i, err.text);
		buf_free(&block);
		buf_free(&out);
	}
}

static void
test_bounds(void **state)
{
	struct buf text = { 0 }, block = { 0 };
	struct pem pem = { 0 };
	struct err err;
	size_t i;

	(void)state;
	buf_str(&text, B("X") "\n");
	for (i = 0; i <= PEM_BLOCK_MAX / 48; i++)
		buf_str(
		    &text, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
	buf_str(&text, E("X") "\n");
	pem.text = text.data;
	pem.len = text.len;
	assert_int_equal(pem_next(&pem, &block, &err), -1);
	assert_true(has(err.text, "too long"));
	buf_free(&text);
	buf_free(&block);
}

static void
test_base64(void **state)
{
	static const struct {
		const char *plain, *text;
	} pairs[] = {
		/* RFC 4648, 10 */
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};
	static const char *const bad[] = { "Z", "Zg",
		"Zg=", "Zg===", "Zh==", "Zm9=", "Zg==Zg==", "Zm9v\n", " Zm9v", "Zm9_", "====" };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(pairs); i++) {
		struct buf b = { 0 };

		base64_encode(pairs[i].plain, strlen(pairs[i].plain), &b);
		assert_string_equal(buf_text(&b), pairs[i].text);
		buf_reset(&b);
		CHECK(base64_decode(pairs[i].text, strlen(pairs[i].text), &b), "%s", pairs[i].text);
		assert_int_equal(b.len, strlen(pairs[i].plain));
		if (b.len)
			assert_memory_equal(b.data, pairs[i].plain, b.len);
		buf_free(&b);
	}
	for (i = 0; i < COUNT(bad); i++) {
		struct buf b = { 0 };

		CHECK(!base64_decode(bad[i], strlen(bad[i]), &b), "%s", bad[i]);
		buf_free(&b);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
