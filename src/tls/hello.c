#include "tls/hello.h"

#include "base/buf.h"
#include "tls/cert.h"
#include "tls/certname.h"

#include <string.h>

enum {
	NAMES_SHOWN = 4,
	RECORD_HEAD = 5,
	RECORD_MAX = (1 << 14) + 2048,
	MESSAGE_HEAD = 4,
	TYPE_ALERT = 21,
	TYPE_HANDSHAKE = 22,
	MESSAGE_SERVER_HELLO = 2,
	MESSAGE_CERTIFICATE = 11
};

/* The version, a random number that protects nothing, and no session to resume. */
static const char head[] = "\3\3stalprep probe: no handshake fol"; /* with the NUL: its length */

/* Cipher suites, and no compression. */
static const unsigned char suites[] = {
	0, 36,                                          /* bytes */
	0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, /* ECDHE with AES-GCM */
	0xcc, 0xa9, 0xcc, 0xa8,                         /* with ChaCha20 */
	0xc0, 0x09, 0xc0, 0x13, 0xc0, 0x0a, 0xc0, 0x14, /* with AES-CBC */
	0x00, 0x9e, 0x00, 0x9f, 0xcc, 0xaa,             /* DHE */
	0x00, 0x9c, 0x00, 0x9d, 0x00, 0x2f, 0x00, 0x35, /* RSA */
	0x00, 0xff,                                     /* no renegotiation */
	1, 0                                            /* compression: none */
};

/* Extensions that are the same for every host. */
static const unsigned char extensions[] = {
	0x00, 0x0b, 0, 2, 1, 0,                              /* points uncompressed */
	0x00, 0x0a, 0, 10, 0, 8, 0, 29, 0, 23, 0, 24, 0, 25, /* X25519, P-256, P-384, P-521 */
	0x00, 0x0d, 0, 26, 0, 24,                            /* signatures: */
	4, 3, 5, 3, 6, 3, 8, 7, 8, 4, 8, 5, 8, 6, 8, 9,      /* ECDSA, Ed25519, RSA-PSS */
	4, 1, 5, 1, 6, 1, 2, 1                               /* RSA PKCS#1 */
};

static void
put16(unsigned char *p, size_t n)
{
	p[0] = (unsigned char)(n >> 8);
	p[1] = (unsigned char)n;
}

static size_t
get16(const unsigned char *p)
{
	return (size_t)p[0] << 8 | p[1];
}

static size_t
get24(const unsigned char *p)
{
	return (size_t)p[0] << 16 | get16(p + 1);
}

static unsigned char *
put(unsigned char *p, const void *bytes, size_t len)
{
	memcpy(p, bytes, len);
	return p + len;
}

/* server_name (RFC 6066, 3) */
static unsigned char *
put_name(unsigned char *p, const char *name)
{
	size_t len = strlen(name);

	put16(p, 0);
	put16(p + 2, len + 5);
	put16(p + 4, len + 3);
	p[6] = 0;
	put16(p + 7, len);
	return put(p + 9, name, len);
}

size_t
hello_write(unsigned char out[HELLO_MAX], const char *host)
{
	unsigned char *message = out + RECORD_HEAD, *p = message + MESSAGE_HEAD, *lengths;
	struct certname name;

	p = put(p, head, sizeof(head));
	p = put(p, suites, sizeof(suites));
	lengths = p;
	p += 2;
	if (certname_parse(&name, host) && !name.addr_len)
		p = put_name(p, name.name);
	p = put(p, extensions, sizeof(extensions));
	put16(lengths, (size_t)(p - lengths - 2));
	message[0] = 1;
	message[1] = 0;
	put16(message + 2, (size_t)(p - message - MESSAGE_HEAD));
	out[0] = TYPE_HANDSHAKE;
	out[1] = 3;
	out[2] = 1;
	put16(out + 3, (size_t)(p - message));
	return (size_t)(p - out);
}

/* Is this the beginning of a record's head? */
static bool
is_record(const unsigned char *p, size_t len)
{
	return p[0] >= 20 && p[0] <= 23 && (len < 2 || p[1] == 3) && (len < 3 || p[2] <= 4) &&
	    (len < RECORD_HEAD || (get16(p + 3) && get16(p + 3) <= RECORD_MAX));
}

/*
 * Put the handshake's bytes together in the scratch, which is as long as the data can be. Returns
 * how many there are. An alert, or another type of record, ends them.
 */
static size_t
gather(struct hello *h, const unsigned char *p, size_t len, unsigned char *scratch)
{
	size_t have = 0, part;

	while (len && !h->complete) {
		if (!is_record(p, len)) {
			h->complete = true;
			h->kind = h->kind == HELLO_MORE ? HELLO_OTHER : h->kind;
		}
		if (h->complete || len < RECORD_HEAD)
			break;
		h->kind = HELLO_RECORD;
		part = get16(p + 3);
		part = part < len - RECORD_HEAD ? part : len - RECORD_HEAD;
		if (p[0] == TYPE_HANDSHAKE) {
			memcpy(scratch + have, p + RECORD_HEAD, part);
			have += part;
		} else if (p[0] != TYPE_ALERT || part >= 2) {
			h->complete = true;
			if (p[0] == TYPE_ALERT && !have)
				h->kind = HELLO_ALERT;
			h->alert = part >= 2 ? p[RECORD_HEAD + 1] : 0;
		}
		p += RECORD_HEAD + part;
		len -= RECORD_HEAD + part;
	}
	return have;
}

/* The first certificate of a Certificate message, as far as it is there. */
static void
find_leaf(struct hello *h, const unsigned char *p, size_t len)
{
	size_t size;

	if (len < 6)
		return;
	size = get24(p + 3);
	if (size <= len - 6) {
		h->leaf = (struct der){ p + 6, size };
		h->complete = true;
	}
}

void
hello_read(struct hello *h, const void *data, size_t len, unsigned char scratch[HELLO_ANSWER_MAX])
{
	const unsigned char *p = scratch;
	size_t size;

	memset(h, 0, sizeof(*h));
	len = gather(h, data, len < HELLO_ANSWER_MAX ? len : HELLO_ANSWER_MAX, scratch);
	if (!len)
		return;
	if (p[0] != MESSAGE_SERVER_HELLO) {
		h->complete = true;
		return;
	}
	h->kind = HELLO_SERVER;
	for (; len >= MESSAGE_HEAD; p += size, len -= size) {
		size = MESSAGE_HEAD + get24(p + 1);
		if (p[0] == MESSAGE_CERTIFICATE)
			find_leaf(h, p + MESSAGE_HEAD, (size < len ? size : len) - MESSAGE_HEAD);
		else if (p[0] != MESSAGE_SERVER_HELLO)
			h->complete = true;
		if (size > len || p[0] != MESSAGE_SERVER_HELLO)
			return;
	}
}

bool
hello_describe(
    const struct der *leaf, struct buf *names, int64_t *not_after, char pin[X509_PIN_TEXT_MAX])
{
	struct cert c;

	if (!leaf->len || !cert_parse(&c, leaf))
		return false;
	certname_list(&c, NAMES_SHOWN, names);
	*not_after = c.not_after;
	x509_format_pin(&c.spki, pin);
	return true;
}
