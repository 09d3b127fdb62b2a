/* session.h - one lasting connection to one server: address, TLS, login */
#ifndef SESSION_H
#define SESSION_H

#include "base/def.h"
#include "format/url.h"
#include "sys/conn.h"
#include "sys/deadline.h"
#include "sys/transport.h"
#include "target/api.h"
#include "target/http1.h"
#include "tls/x509.h"

#include <stdbool.h>

struct anchors;
struct credentials;
struct err;
struct reach;
struct tls;

/* What all sessions of a run trust. Zero-initialise; trust_free when done. */
struct trust {
	struct anchors *anchors;
	struct x509_pins pins;
	bool pinned;
};

/*
 * Load the pins, and the anchors from --cacert, ssl_cert_file ($SSL_CERT_FILE, may be NULL) or the
 * system's bundle. With --insecure no anchors are loaded; without an https target nothing is. A
 * system without a bundle is not an error here. 0 or -1.
 */
int trust_load(
    struct trust *t, const struct reach *r, const char *ssl_cert_file, struct err *err) WARN_UNUSED;
void trust_free(struct trust *t);

/* The caller holds it and never moves it. Zero-initialise; session_close when done. */
struct session {
	const struct reach *reach;
	const struct trust *trust;
	const struct credentials *credentials;
	const struct url *url;
	char authority[ORIGIN_MAX];
	struct resolved addresses;
	struct deadline deadline;
	struct conn conn;
	struct transport raw, secure;
	struct tls *tls;
	char from[RESOLVE_TEXT_MAX]; /* this host's end of the first connection; "" before it */
	char pin[X509_PIN_TEXT_MAX]; /* of the first connection's key; "" before it */
	struct http1 http;
	struct api api;
	bool open;
};

/* Find the addresses of the URL's host; needs no secret. r and url must outlive s. 0 or -1. */
int session_resolve(
    struct session *s, const struct reach *r, const struct url *url, struct err *err) WARN_UNUSED;

/*
 * Connect if not connected, with TLS for an https URL. A connection that lay idle may have been
 * closed meanwhile; then it is made anew. All connections of a session show the same key: another
 * is an err of kind ERR_TRUST. c may still lack the header until a request is sent. 0 or -1.
 */
int session_open(struct session *s, const struct trust *t, const struct credentials *c,
    struct err *err) WARN_UNUSED;

/*
 * Begin a phase of the run. may_stop: a signal ends the waiting, and so does the end of the run's
 * --max-time (interrupt_after). Without it, from the first write on, signals have no effect on the
 * phase, and it has a --max-time of its own.
 */
void session_begin_phase(struct session *s, bool may_stop);

/* Close and wipe. Does nothing if the session is closed. */
void session_close(struct session *s);

#endif
