/* pem.h - PEM blocks (RFC 7468) in a text, and base64 */
#ifndef PEM_H
#define PEM_H

#include "base/buf.h"
#include "base/def.h"

#include <stdbool.h>

struct err;

enum { PEM_LABEL_MAX = 40 };        /* longest label with its NUL */
enum { PEM_BLOCK_MAX = 64 * 1024 }; /* bytes of one block when decoded */

/* The state of a reader: set text and len, leave the rest 0. */
struct pem {
	const char *text;
	size_t len;
	size_t at;
	unsigned line;             /* lines read so far, for messages */
	unsigned begun;            /* line of the last block's BEGIN */
	char label[PEM_LABEL_MAX]; /* of the last block: "CERTIFICATE" */
};

/*
 * Decode the next block's bytes into out (emptied first). Text between blocks is skipped; inside
 * one only base64, line ends and blanks around a line are allowed. 1; 0 when there is no further
 * block; -1 with err naming the line (cut off, no END, wrong label, not base64, too long).
 */
int pem_next(struct pem *p, struct buf *out, struct err *err) WARN_UNUSED;

/* Decode base64 with its padding, appended to out. False when it is not; out is then undefined. */
bool base64_decode(const char *text, size_t len, struct buf *out);

/* Append the base64 form (RFC 4648, 4) to out. It may be a secret: no copy is left behind. */
void base64_encode(const void *data, size_t len, struct buf *out);

#endif
