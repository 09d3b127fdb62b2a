/*
 * verify-chain ANCHORS.pem CHAIN.pem NAME [UNIX-TIME]
 *
 * Runs a chain (leaf first) through the program's own verifier. Exit 0: accepted; 1: refused, the
 * reason on stdout; 2: wrong use, or a file that can't be read.
 */
#include "base/buf.h"
#include "base/err.h"
#include "format/pem.h"
#include "sys/file.h"
#include "tls/anchors.h"
#include "tls/x509.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHAIN_FILE_MAX = 4 * 1024 * 1024, CHAIN_MAX = X509_CHAIN_MAX + 1 };

struct chain {
	struct buf bytes[CHAIN_MAX];
	struct der certs[CHAIN_MAX];
	size_t count;
};

static int
load_chain(struct chain *chain, const char *path, struct err *err)
{
	struct buf text = { 0 };
	struct pem pem = { 0 };
	int r = file_read(&text, path, CHAIN_FILE_MAX, err);

	if (r == 1)
		return err_set(err, ERR_USAGE, "%s is not there", path);
	pem.text = text.data ? text.data : "";
	pem.len = text.len;
	while (r == 0 && chain->count < CHAIN_MAX) {
		struct buf *b = &chain->bytes[chain->count];

		r = pem_next(&pem, b, err);
		if (r != 1)
			break;
		chain->certs[chain->count++] = (struct der){ (const unsigned char *)b->data,
			b->len };
		r = 0;
	}
	buf_free(&text);
	return r;
}

/* A time in seconds since 1970, or now when there is none. */
static bool
read_time(const char *text, int64_t *seconds)
{
	char *end;

	*seconds = (int64_t)time(NULL);
	if (!text)
		return true;
	errno = 0;
	*seconds = strtoll(text, &end, 10);
	return !errno && end != text && !*end;
}

int
main(int argc, char **argv)
{
	static struct chain chain;
	struct x509_policy policy = { 0 };
	struct anchors *anchors = NULL;
	struct err err = { 0 };
	int status = 2;
	size_t i;

	if (argc < 4 || argc > 5 || !read_time(argc > 4 ? argv[4] : NULL, &policy.time)) {
		fprintf(stderr, "usage: verify-chain ANCHORS.pem CHAIN.pem NAME [UNIX-TIME]\n");
		return 2;
	}
	policy.host = argv[3];
	if (anchors_load(&anchors, argv[1], &err) == -1 ||
	    load_chain(&chain, argv[2], &err) == -1) {
		fprintf(stderr, "%s\n", err.text);
	} else {
		policy.anchors = anchors;
		status = x509_verify(&policy, chain.certs, chain.count, &err) == 0 ? 0 : 1;
		if (status)
			printf("%s\n", err.text);
	}
	for (i = 0; i < chain.count; i++)
		buf_free(&chain.bytes[i]);
	anchors_free(anchors);
	return status;
}
