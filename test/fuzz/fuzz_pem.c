/*
 * fuzz_pem.c - PEM and base64: blocks come back once they were written; a bundle is loaded whole,
 * and twice is once
 */
#include "fuzz.h"

#include "base/buf.h"
#include "format/pem.h"
#include "tls/anchors.h"
#include "tls/der.h"

/*
 * The text's blocks written anew into out, and how many of them are certificates. -1 when the text
 * is refused.
 */
static int
rewrite(const char *text, size_t len, struct buf *out)
{
	struct pem pem = { .text = text, .len = len };
	struct buf block = { 0 };
	int certificates = 0, r;
	struct err err;

	while ((r = pem_next(&pem, &block, &err)) == 1) {
		CHECK(pem.begun && pem.begun < pem.line && pem.at <= len, "line %u to %u",
		    pem.begun, pem.line);
		CHECK(block.len <= PEM_BLOCK_MAX, "a block of %zu bytes", block.len);
		certificates += strstr(pem.label, "CERTIFICATE") != NULL;
		buf_printf(out, "-----BEGIN %s-----\n", pem.label);
		base64_encode(block.data, block.len, out);
		buf_printf(out, "\n-----END %s-----\n", pem.label);
	}
	if (r == -1)
		check_err(&err);
	buf_free(&block);
	return r == -1 ? -1 : certificates;
}

static void
check_blocks(const char *text, size_t len)
{
	struct buf once = { 0 }, twice = { 0 };
	int count = rewrite(text, len, &once);

	if (count != -1) {
		CHECK(rewrite(buf_text(&once), once.len, &twice) == count,
		    "another number of certificates");
		CHECK(same_text(buf_text(&once), buf_text(&twice)), "the blocks differ:\n%s",
		    buf_text(&twice));
	}
	buf_free(&once);
	buf_free(&twice);
}

static void
check_base64(const char *text, size_t len)
{
	struct buf bytes = { 0 }, again = { 0 };

	if (base64_decode(text, len, &bytes)) {
		base64_encode(bytes.data, bytes.len, &again);
		CHECK(again.len == len && !memcmp(buf_text(&again), text, len),
		    "%s is another spelling", text);
	}
	buf_reset(&bytes);
	buf_reset(&again);
	base64_encode(text, len, &again);
	CHECK(base64_decode(buf_text(&again), again.len, &bytes) && bytes.len == len &&
		!memcmp(buf_text(&bytes), text, len),
	    "%s is read otherwise", buf_text(&again));
	buf_free(&bytes);
	buf_free(&again);
}

/* Every certificate of the bundle must be found in it. */
static void
check_found(const struct anchors *a, const char *text, size_t len)
{
	struct pem pem = { .text = text, .len = len };
	struct buf block = { 0 };
	struct der der;
	struct err err;

	while (pem_next(&pem, &block, &err) == 1) {
		der = (struct der){ (const unsigned char *)block.data, block.len };
		if (!strcmp(pem.label, "CERTIFICATE"))
			CHECK(anchors_same(a, &der), "the certificate at line %u is not found",
			    pem.begun);
	}
	buf_free(&block);
}

static void
check_anchors(const char *text, size_t len)
{
	struct anchors *a, *both;
	struct buf twice = { 0 };
	struct err err;

	if (anchors_parse(&a, text, len, "it", &err) == -1) {
		CHECK(!a, "a failure that leaves anchors");
		check_err(&err);
		return;
	}
	CHECK(anchors_count(a), "no certificate");
	check_found(a, text, len);
	buf_add(&twice, text, len);
	buf_char(&twice, '\n');
	buf_add(&twice, text, len);
	if (anchors_parse(&both, twice.data, twice.len, "both", &err) == 0)
		CHECK(anchors_count(both) == anchors_count(a), "%zu, then %zu", anchors_count(a),
		    anchors_count(both));
	else
		/* a byte order mark */
		CHECK((unsigned char)text[0] == 0xef, "the same twice is refused: %s", err.text);
	anchors_free(both);
	anchors_free(a);
	buf_free(&twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size);

	check_blocks(text, size);
	check_base64(text, size);
	check_anchors(text, size);
	free(text);
	return 0;
}
