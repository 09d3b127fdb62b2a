/*
 * hello.h - the first words of a TLS connection, without a handshake: a ClientHello, and what the
 * server says to it in the clear (RFC 5246)
 */
#ifndef HELLO_H
#define HELLO_H

#include "base/def.h"
#include "tls/der.h"
#include "tls/x509.h"

#include <stdbool.h>
#include <stdint.h>

struct buf;

enum { HELLO_MAX = 512 };            /* longest ClientHello */
enum { HELLO_ANSWER_MAX = 1 << 14 }; /* bytes of the answer that are looked at */

/*
 * Write a ClientHello of TLS 1.2 that offers more than this program's own TLS can do: nothing
 * follows it. The host is named in it unless it is an address. Returns its length.
 */
size_t hello_write(unsigned char out[HELLO_MAX], const char *host);

enum hello_kind {
	HELLO_MORE,   /* not yet known */
	HELLO_OTHER,  /* it is not TLS */
	HELLO_RECORD, /* a record of TLS; not yet known, or not to be expected, what is in it */
	HELLO_ALERT,
	HELLO_SERVER /* a ServerHello */
};

struct hello {
	enum hello_kind kind;
	unsigned alert;  /* its number */
	bool complete;   /* what may follow tells no more */
	struct der leaf; /* the server's certificate, in the scratch; len 0: not there */
};

/* Read the first len bytes (at most HELLO_ANSWER_MAX) of an answer. */
void hello_read(
    struct hello *h, const void *data, size_t len, unsigned char scratch[HELLO_ANSWER_MAX]);

/*
 * What a certificate says, which nobody has checked: its names (some, cleaned for a terminal), its
 * last second, the pin of its key. False if it can't be read.
 */
bool hello_describe(
    const struct der *leaf, struct buf *names, int64_t *not_after, char pin[X509_PIN_TEXT_MAX]);

#endif
