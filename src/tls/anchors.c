#include "tls/anchors.h"

#include "base/buf.h"
#include "base/err.h"
#include "format/pem.h"
#include "sys/file.h"
#include "tls/der.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct anchors {
	/* sorted by subject, then by their bytes; no two the same */
	struct cert *certs;
	size_t count, cap;
	/* what the certificates point into; decoded base64 never outgrows its text */
	unsigned char *bytes;
	size_t used;
};

/* Where distributions keep their bundle (the list that Go's crypto/x509 tries). */
static const char *const system_paths[] = {
	"/etc/ssl/certs/ca-certificates.crt",                /* Debian, Ubuntu, Gentoo, Arch */
	"/etc/pki/tls/certs/ca-bundle.crt",                  /* Fedora, RHEL 6 */
	"/etc/ssl/ca-bundle.pem",                            /* openSUSE */
	"/etc/pki/tls/cacert.pem",                           /* OpenELEC */
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* RHEL 7 and later */
	"/etc/ssl/cert.pem",                                 /* Alpine, the BSDs */
};

const char *
anchors_system_path(void)
{
	size_t i;

	for (i = 0; i < COUNT(system_paths); i++) {
		if (access(system_paths[i], R_OK) == 0)
			return system_paths[i];
	}
	return NULL;
}

void
anchors_free(struct anchors *a)
{
	if (!a)
		return;
	free(a->certs);
	free(a->bytes);
	free(a);
}

size_t
anchors_count(const struct anchors *a)
{
	return a->count;
}

static int
compare_bytes(const struct der *a, const struct der *b)
{
	size_t len = a->len < b->len ? a->len : b->len;
	int r = len ? memcmp(a->p, b->p, len) : 0;

	return r ? r : (a->len > b->len) - (a->len < b->len);
}

static int
compare(const void *a, const void *b)
{
	const struct cert *x = a, *y = b;
	int r = compare_bytes(&x->subject, &y->subject);

	return r ? r : compare_bytes(&x->der, &y->der);
}

/* Room for one more. */
static bool
grow(struct anchors *a)
{
	size_t cap = a->cap ? a->cap * 2 : 64;
	struct cert *certs;

	if (a->count < a->cap)
		return true;
	certs = calloc(cap, sizeof(*certs)); /* realloc would be a kilobyte, for this alone */
	if (!certs)
		return false;
	if (a->count)
		memcpy(certs, a->certs, a->count * sizeof(*certs));
	free(a->certs);
	a->certs = certs;
	a->cap = cap;
	return true;
}

/* Add a copy of one certificate. Its faults do not matter before it is used. */
static int
add(struct anchors *a, const struct buf *block, const char *name, unsigned line, struct err *err)
{
	unsigned char *copy = a->bytes + a->used;
	struct der der = { copy, block->len };

	if (a->count == ANCHORS_MAX)
		return err_set(
		    err, ERR_USAGE, "%s holds more than %d certificates", name, ANCHORS_MAX);
	if (!grow(a))
		return err_memory(err);
	if (block->len)
		memcpy(copy, block->data, block->len);
	if (!cert_parse(&a->certs[a->count], &der))
		return err_set(err, ERR_USAGE,
		    "%s, line %u: what begins here is not a well-formed certificate", name, line);
	a->used += block->len;
	a->count++;
	return 0;
}

/* Sort the certificates and drop duplicates. */
static void
sort_and_deduplicate(struct anchors *a)
{
	size_t kept = 0, i;

	qsort(a->certs, a->count, sizeof(*a->certs), compare);
	for (i = 0; i < a->count; i++) {
		if (!kept || !der_equal(&a->certs[kept - 1].der, &a->certs[i].der))
			a->certs[kept++] = a->certs[i];
	}
	a->count = kept;
}

static bool
is_certificate(const char *label)
{
	return !strcmp(label, "CERTIFICATE") || !strcmp(label, "X509 CERTIFICATE");
}

static int
read_blocks(struct anchors *a, struct pem *pem, const char *name, struct err *err)
{
	struct buf block = { 0 };
	struct err why;
	int r;

	while ((r = pem_next(pem, &block, &why)) == 1) {
		if (!strcmp(pem->label, "TRUSTED CERTIFICATE"))
			r = err_set(err, ERR_USAGE,
			    "%s, line %u: OpenSSL's TRUSTED CERTIFICATE is not supported; `openssl "
			    "x509 "
			    "-in FILE -out FILE` makes it a plain one",
			    name, pem->begun);
		else if (is_certificate(pem->label))
			r = add(a, &block, name, pem->begun, err);
		if (r == -1)
			goto out;
	}
	if (r == -1)
		err_set(err, why.kind, "%s, %s", name, why.text);
out:
	buf_free(&block);
	return r;
}

int
anchors_parse(struct anchors **out, const char *text, size_t len, const char *name, struct err *err)
{
	struct pem pem = { .text = text, .len = len };
	struct anchors *a = calloc(1, sizeof(*a));

	*out = NULL;
	if (a)
		a->bytes = malloc(len + 1);
	if (!a || !a->bytes) {
		anchors_free(a);
		return err_memory(err);
	}
	if (read_blocks(a, &pem, name, err) == -1) {
		anchors_free(a);
		return -1;
	}
	if (!a->count) {
		anchors_free(a);
		return err_set(err, ERR_USAGE,
		    "%s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----%s)", name,
		    len && text[0] == 0x30 ? "; this may be DER: `openssl x509 -inform DER -in "
					     "FILE` converts it to PEM"
					   : "");
	}
	sort_and_deduplicate(a);
	*out = a;
	return 0;
}

int
anchors_load(struct anchors **out, const char *path, struct err *err)
{
	struct buf text = { 0 };
	int r;

	*out = NULL;
	r = file_read(&text, path, ANCHORS_FILE_MAX, err);
	if (r == 1)
		r = err_set(
		    err, ERR_USAGE, "the file of trusted certificates %s is not there", path);
	if (r == 0)
		r = anchors_parse(out, text.data ? text.data : "", text.len, path, err);
	buf_free(&text);
	return r;
}

/* The first of a run of this subject, or where it would be. */
static size_t
lower_bound(const struct anchors *a, const struct der *subject)
{
	size_t low = 0, high = a->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_bytes(&a->certs[middle].subject, subject) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct cert *
anchors_find(const struct anchors *a, const struct der *subject, size_t *count)
{
	size_t first = lower_bound(a, subject), end = first;

	while (end < a->count && der_equal(&a->certs[end].subject, subject))
		end++;
	*count = end - first;
	return *count ? &a->certs[first] : NULL;
}

const struct cert *
anchors_same(const struct anchors *a, const struct der *certificate)
{
	struct cert c;
	size_t count = 0, i;
	const struct cert *run = cert_parse(&c, certificate) ? anchors_find(a, &c.subject, &count)
							     : NULL;

	for (i = 0; i < count; i++) {
		if (der_equal(&run[i].der, certificate))
			return &run[i];
	}
	return NULL;
}
