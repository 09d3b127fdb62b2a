/* session.h - one kept connection to one server: address, TLS, login */
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

/* Whom to trust, for all sessions of a run. Zero-initialise; trust_free when done. */
struct trust {
	struct anchors *anchors;
	struct x509_pins pins;
	bool pinned;
};

/*
 * Load the pins, and the anchors from --cacert, ssl_cert_file ($SSL_CERT_FILE, may be NULL) or the
 * system's bundle. Not needed, so not loaded: with --insecure, or where no target is https. No
 * bundle at all is no error yet. 0 or -1.
 */
int trust_load(
    struct trust *t, const struct reach *r, const char *ssl_cert_file, struct err *err) WARN_UNUSED;
void trust_free(struct trust *t);

/* In the caller's storage, never moved. Zero-initialise; session_close when done. */
struct session {
	const struct reach *reach;
	const struct trust *trust;
	const struct credentials *credentials;
	const struct url *url;
	char authority[ORIGIN_MAX];
	void (*in_child)(void); /* resolve's; set before session_resolve */
	struct resolved addresses;
	struct deadline deadline;
	struct conn conn;
	struct transport raw, secure;
	struct tls *tls;
	struct http1 http;
	struct api api;
	bool open;
};

/*
 * Find the addresses of url's host; needs no secret. The pointers must outlive the session. 0 or
 * -1.
 */
int session_resolve(
    struct session *s, const struct reach *r, const struct url *url, struct err *err) WARN_UNUSED;

/*
 * Connect, with TLS where the URL says so, and be ready to speak. One that is open already stays
 * so. 0 or -1.
 */
int session_open(struct session *s, const struct trust *t, const struct credentials *c,
    struct err *err) WARN_UNUSED;

/*
 * Begin a phase of the run: its time counts anew. With may_stop a signal ends its waits, else they
 * are finished.
 */
void session_phase(struct session *s, bool may_stop);

/* Say goodbye, close, wipe. Closing twice is allowed. */
void session_close(struct session *s);

#endif
