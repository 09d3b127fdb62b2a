#include "target/session.h"

#include "base/err.h"
#include "sys/interrupt.h"
#include "target/credentials.h"
#include "target/reach.h"
#include "tls/anchors.h"
#include "tls/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int
trust_load(struct trust *t, const struct reach *r, const char *ssl_cert_file, struct err *err)
{
	const char *path = r->cacert ? r->cacert : ssl_cert_file;
	bool https = false;
	size_t i;

	if (path && !*path && !r->cacert)
		path = NULL; /* an empty variable is one that is not set */
	memset(t, 0, sizeof(*t));
	for (i = 0; i < r->target_count; i++)
		https |= r->targets[i].https;
	if (!https)
		return 0;
	if (r->pinnedpubkey && x509_pins_parse(&t->pins, r->pinnedpubkey, err) == -1)
		return -1;
	t->pinned = r->pinnedpubkey != NULL;
	if (r->insecure)
		return 0;
	if (!path)
		path = anchors_system_path();
	return path ? anchors_load(&t->anchors, path, err) : 0;
}

void
trust_free(struct trust *t)
{
	anchors_free(t->anchors);
	memset(t, 0, sizeof(*t));
}

static int64_t
end_of(unsigned seconds)
{
	return seconds ? deadline_now() + (int64_t)seconds * 1000 : INT64_MAX;
}

void
session_begin_phase(struct session *s, bool may_stop)
{
	/* Up to the first write one --max-time holds for the whole run: it comes as a signal. */
	if (!may_stop)
		interrupt_after(0);
	s->deadline.total = may_stop ? INT64_MAX : end_of(s->reach->max_time);
	s->deadline.step = INT64_MAX;
	s->deadline.stop = may_stop ? &interrupt_signal : NULL;
}

/* url_parse accepted the host as loopback, but --resolve may give it another address. */
static int
check_loopback(const struct resolved *to, struct err *err)
{
	char text[RESOLVE_TEXT_MAX];
	size_t i;

	for (i = 0; i < to->count; i++) {
		if (resolve_is_loopback(&to->addr[i]))
			continue;
		resolve_format(&to->addr[i], text);
		return err_set(err, ERR_USAGE,
		    "plain http:// is for loopback addresses only, and %s is not one: the password "
		    "would cross the network in the clear. Use https://",
		    text);
	}
	return 0;
}

int
session_resolve(struct session *s, const struct reach *r, const struct url *url, struct err *err)
{
	struct resolve_entry entries[RESOLVE_OPTIONS_MAX];
	size_t i;

	s->reach = r;
	s->url = url;
	s->conn.fd = -1;
	url_authority(url, s->authority);
	for (i = 0; i < r->resolve_count; i++) {
		if (resolve_parse(&entries[i], r->resolve[i], err) == -1)
			return -1;
	}
	session_begin_phase(s, true);
	s->deadline.step = end_of(r->connect_timeout);
	if (resolve(&s->addresses, url->host, url->port, entries, r->resolve_count, &s->deadline,
		err) == -1)
		return -1;
	return url->https ? 0 : check_loopback(&s->addresses, err);
}

/* The first connection's key is the server's for the whole run. */
static int
check_same_key(struct session *s, struct err *err)
{
	const char *pin = tls_pin(s->tls);

	if (*s->pin && strcmp(s->pin, pin) != 0)
		return err_set(err, ERR_TRUST,
		    "The server shows another key than on this run's first connection: %s, before "
		    "%s. Nothing was sent to it. Either its certificate was renewed at this "
		    "moment, or two servers answer at this URL, or this is an attack.",
		    pin, s->pin);
	snprintf(s->pin, sizeof(s->pin), "%s", pin);
	return 0;
}

static int
open_tls(struct session *s, struct err *err)
{
	struct tls_config config = {
		.host = s->url->host,
		.anchors = s->trust->anchors,
		.pins = s->trust->pinned ? &s->trust->pins : NULL,
		.insecure = s->reach->insecure,
	};

	if (tls_open(&s->tls, &s->raw, &config, err) == -1)
		return -1;
	if (check_same_key(s, err) == -1)
		return -1;
	s->secure = tls_transport(s->tls);
	return 0;
}

static int
open_stream(struct session *s, struct err *err)
{
	s->raw = conn_transport(&s->conn);
	if (s->reach->haproxy && conn_send_local_header(&s->conn, err) == -1)
		return -1;
	return s->url->https ? open_tls(s, err) : 0;
}

/* Is it open, and was it not closed while nothing was awaited on it? */
static bool
is_usable(const struct session *s)
{
	return s->open && !s->http.closed && (s->http.awaited || conn_is_quiet(&s->conn));
}

static int
reopen(void *ctx, struct err *err)
{
	struct session *s = ctx;

	return session_open(s, s->trust, s->credentials, err);
}

int
session_open(struct session *s, const struct trust *t, const struct credentials *c, struct err *err)
{
	if (is_usable(s))
		return 0;
	session_close(s);
	s->trust = t;
	s->credentials = c;
	s->deadline.step = end_of(s->reach->connect_timeout);
	if (conn_open(&s->conn, &s->addresses, &s->deadline, err) == -1) {
		if (err->code == ECONNREFUSED)
			err_add(err,
			    "Check that the server runs, and that this is the port of its "
			    "management API.");
		return -1;
	}
	s->open = true;
	if (!*s->from)
		conn_local(&s->conn, s->from);
	if (open_stream(s, err) == -1) {
		session_close(s);
		return -1;
	}
	s->deadline.step = INT64_MAX;
	http1_init(&s->http, s->url->https ? &s->secure : &s->raw);
	s->api.http = &s->http;
	s->api.reopen = reopen;
	s->api.ctx = s;
	s->api.host = s->authority;
	s->api.authorization = &c->header;
	s->api.deadline = &s->deadline;
	s->api.far = check_loopback(&s->addresses, NULL) == -1;
	s->api.confirmed = s->api.ahead = false;
	return 0;
}

void
session_close(struct session *s)
{
	if (!s->open)
		return;
	http1_free(&s->http);
	tls_close(s->tls);
	s->tls = NULL;
	conn_close(&s->conn);
	s->open = false;
}
