/*
 * fuzz.h - what the fuzz targets share: a failure that names itself, bytes as texts, and no leaks
 * of their own
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "base/def.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What libFuzzer and AFL++'s driver call. A finding ends the process; the result is always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* End the run unless ok; the rest says what was found, as printf has it. */
#define CHECK(ok, ...) \
	do { \
		if (!(ok)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #ok); \
			fprintf(stderr, __VA_ARGS__); \
			fputc('\n', stderr); \
			abort(); \
		} \
	} while (0)

/* Bytes that are not used yet. */
struct input {
	const uint8_t *p;
	size_t len;
};

/* The next byte, 0 behind the end. */
static inline uint8_t
input_byte(struct input *in)
{
	if (!in->len)
		return 0;
	in->len--;
	return *in->p++;
}

/*
 * A copy that ends where its bytes do, so that the sanitizer sees a read behind it; a NUL follows.
 * free it.
 */
static inline char *
text_of(const void *data, size_t len)
{
	char *text = malloc(len + 1);

	CHECK(text, "no memory");
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	return text;
}

/* Everything up to stop (which is used up too) or the end, as text_of. */
static inline char *
input_until(struct input *in, char stop)
{
	const uint8_t *end = in->len ? memchr(in->p, stop, in->len) : NULL;
	size_t n = end ? (size_t)(end - in->p) : in->len;
	char *text = text_of(in->p, n);

	in->p += n + (end != NULL);
	in->len -= n + (end != NULL);
	return text;
}

/* Two strings, each of which may be NULL. */
static inline bool
same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* A failure says what kind it is, in words. */
static inline void
check_err(const struct err *err)
{
	size_t len = strnlen(err->text, sizeof(err->text));

	CHECK(err->kind != ERR_NONE, "a failure without a kind");
	CHECK(len > 0 && len < sizeof(err->text), "a failure without words");
}

#endif
