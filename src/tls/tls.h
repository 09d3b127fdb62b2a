/* tls.h - a TLS 1.2 client over any transport */
#ifndef TLS_H
#define TLS_H

#include "base/def.h"

#include <stdbool.h>

struct anchors;
struct err;
struct tls;
struct transport;
struct x509_pins;

struct tls_config {
	/* as the user gave it, IPv6 without brackets: what the certificate must name */
	const char *host;
	const struct anchors *anchors; /* NULL: trust nobody (with insecure, nobody is asked) */
	const struct x509_pins *pins;  /* NULL: no pin */
	bool insecure;                 /* curl's -k: only the pin counts, if there is one */
};

/*
 * Do the handshake over `lower`, which must outlive *out. All that config points to is needed
 * during the call alone. 0; or -1 with err of kind ERR_TRUST (the certificate), ERR_REACH (cut, too
 * slow, no TLS 1.2 in common), ERR_SYSTEM or ERR_INTERRUPT, and *out NULL.
 */
int tls_open(struct tls **out, const struct transport *lower, const struct tls_config *config,
    struct err *err) WARN_UNUSED;

/*
 * The stream inside; valid as long as t. An end without close_notify reads as an end (0): http1
 * decides by framing. write returns when the lower transport has taken all of it.
 */
struct transport tls_transport(struct tls *t);

/* The pin of the server's key, "sha256//…", as text of t's lifetime. */
const char *tls_pin(const struct tls *t);

/*
 * Say goodbye (close_notify, if the peer takes it at once), wipe keys and buffers, free. NULL is
 * allowed.
 */
void tls_close(struct tls *t);

#endif
