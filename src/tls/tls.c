#include "tls/tls.h"

#include "base/err.h"
#include "sys/interrupt.h"
#include "sys/transport.h"
#include "tls/certname.h"
#include "tls/curves.h"
#include "tls/tlserror.h"
#include "tls/x509.h"

#include <bearssl.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
	SEED_LEN = 32,
	HOST_TEXT_MAX = 256,
	GREETING_MAX = 48 /* first bytes of the peer that are kept for a message */
};

struct tls {
	br_ssl_client_context client;
	struct x509_policy policy;
	struct x509 *x509;
	const struct transport *lower;
	char host[HOST_TEXT_MAX]; /* the policy's, cut if it is longer */
	bool open;                /* the handshake is done */
	bool ended;               /* the lower transport came to its end */
	/* the lower transport or the engine failed: nothing more is sent */
	bool broken;
	size_t greeting_len, greeting_used; /* what the engine did not get yet is the rest */
	char greeting[GREETING_MAX];
	/*
	 * With smaller ones the engine asks for fragments that most servers do not make. It is the
	 * last, and not zeroed: until tls_close wipes it, what is not used takes no memory.
	 */
	unsigned char io[BR_SSL_BUFSIZE_BIDI];
};

/*
 * What a rustls server shares with BearSSL (tls-facts); SHA-384 because a server may not follow our
 * order.
 */
static const uint16_t suites[] = {
	BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
};

static const char likely[] =
    "\n  Likely: the listener waits for a PROXY header (--haproxy-protocol), or for none; its key "
    "is one that this program can't use (Ed25519, RSA-PSS); it accepts TLS 1.3 only; it does not "
    "speak TLS on this port; or it has banned this address. On its own host, use loopback http://.";

/* ---- random numbers ---- */

/* From /dev/urandom, for kernels without getrandom. */
static bool
read_urandom(unsigned char *seed, size_t len)
{
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t have = 0;
	ssize_t n;

	if (fd == -1)
		return false;
	while (have < len) {
		n = read(fd, seed + have, len - have);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	close(fd);
	return have == len;
}

/*
 * A machine that has just started, and on which nothing happens, gathers them only while somebody
 * waits for them (Linux 5.4). So this waits, until a signal ends it, or --max-time.
 */
static int
read_random(unsigned char *seed, size_t len, struct err *err)
{
	while (getrandom(seed, len, 0) != (ssize_t)len) {
		if (errno != EINTR)
			return read_urandom(seed, len)
			    ? 0
			    : err_set(err, ERR_SYSTEM,
				  "There are no random numbers: the kernel has no getrandom, and "
				  "/dev/urandom can't be read.");
		if (interrupt_signal) {
			err_stopped(err, interrupt_signal);
			err_add(err, "There are no random numbers yet.");
			return -1;
		}
	}
	return 0;
}

/* ---- errors ---- */

/* The peer says something that is not TLS: show it. */
static int
not_tls(const struct tls *t, struct err *err)
{
	char shown[GREETING_MAX + 1];
	size_t i;

	for (i = 0; i < t->greeting_len; i++)
		shown[i] = t->greeting[i] < ' ' || t->greeting[i] > '~' ? '.' : t->greeting[i];
	shown[i] = '\0';
	return err_set(err, ERR_REACH,
	    "%s does not speak TLS on this port: it says \"%s\". Is this the port of HTTPS?",
	    t->policy.host, shown);
}

/* Is the peer's first byte a TLS record's type? */
static bool
greeting_is_tls(const struct tls *t)
{
	return !t->greeting_len || (t->greeting[0] >= 20 && t->greeting[0] <= 23);
}

/* The engine has failed: say why. */
static int
engine_error(const struct tls *t, struct err *err)
{
	int number = br_ssl_engine_last_error(&t->client.eng);
	const struct tlserror *e = tlserror_find(number);

	/*
	 * A server that sent its certificate has agreed on a suite. What it still needs is a
	 * certificate of ours, or a second handshake.
	 */
	if (*x509_pin(t->x509) &&
	    (number == TLSERROR_ALERT_RECEIVED + BR_ALERT_HANDSHAKE_FAILURE ||
		number == TLSERROR_ALERT_RECEIVED + BR_ALERT_DECODE_ERROR))
		e = tlserror_find(TLSERROR_ALERT_RECEIVED + 116);
	if (x509_refusal(t->x509)) {
		if (err)
			*err = *x509_refusal(t->x509);
		return -1;
	}
	if (!t->open && !greeting_is_tls(t))
		return not_tls(t, err);
	err_set(err, number == BR_ERR_NO_RANDOM ? ERR_SYSTEM : ERR_REACH,
	    "The TLS connection to %s failed: %s (%s %d).", t->policy.host, e->what,
	    tlserror_is_alert(number) ? "alert" : "error",
	    tlserror_is_alert(number) ? number - TLSERROR_ALERT_RECEIVED : number);
	if (err) {
		err->code = number;
		if (tlserror_advice(e))
			err_add(err, "\n  %s", tlserror_advice(e));
	}
	return -1;
}

/* ---- the engine's pump ---- */

/*
 * Send a record. If that fails during the handshake, go on: an alert that says why may be waiting
 * to be read. But not if this host itself did not let it out.
 */
static int
send_record(struct tls *t, struct err *err)
{
	size_t len;
	unsigned char *data = br_ssl_engine_sendrec_buf(&t->client.eng, &len);

	if (t->lower->write(t->lower->ctx, data, len, err) == -1) {
		t->broken = true;
		if (t->open || (err && (err->code == EPERM || err->code == EACCES)))
			return -1;
	}
	br_ssl_engine_sendrec_ack(&t->client.eng, len);
	return 0;
}

/* Keep the peer's first bytes, so that a message can show them if they are not TLS. */
static ssize_t
read_greeting(struct tls *t, struct err *err)
{
	ssize_t n = t->lower->read(t->lower->ctx, t->greeting, sizeof(t->greeting), err);

	t->greeting_len = n > 0 ? (size_t)n : 0;
	return n;
}

/* Read bytes of a record. At the end of the stream: 0 with t->ended set. */
static int
receive_record(struct tls *t, struct err *err)
{
	size_t len, kept;
	unsigned char *data = br_ssl_engine_recvrec_buf(&t->client.eng, &len);
	ssize_t n = 1;

	if (!t->greeting_len)
		n = read_greeting(t, err);
	kept = t->greeting_len - t->greeting_used;
	if (n > 0 && kept) {
		n = (ssize_t)(kept < len ? kept : len);
		memcpy(data, t->greeting + t->greeting_used, (size_t)n);
		t->greeting_used += (size_t)n;
	} else if (n > 0) {
		n = t->lower->read(t->lower->ctx, data, len, err);
	}
	t->broken = t->broken || n == -1;
	t->ended = n == 0;
	if (n > 0)
		br_ssl_engine_recvrec_ack(&t->client.eng, (size_t)n);
	return n == -1 ? -1 : 0;
}

/*
 * Move records until the engine is ready for `wanted` (BR_SSL_SENDAPP or BR_SSL_RECVAPP). 1 when it
 * is; 0 when the peer ended the stream, with close_notify or without; -1 with err.
 */
static int
pump(struct tls *t, unsigned wanted, struct err *err)
{
	br_ssl_engine_context *engine = &t->client.eng;

	for (;;) {
		unsigned state = br_ssl_engine_current_state(engine);

		if (state & BR_SSL_CLOSED) {
			t->broken = true;
			return br_ssl_engine_last_error(engine) ? engine_error(t, err) : 0;
		}
		if (state & BR_SSL_SENDREC) {
			if (send_record(t, err) == -1)
				return -1;
			continue;
		}
		if (state & wanted)
			return 1;
		if (!(state & BR_SSL_RECVREC)) {
			br_ssl_engine_flush(engine, 0);
			if (!(br_ssl_engine_current_state(engine) &
				(BR_SSL_SENDREC | BR_SSL_RECVREC | BR_SSL_CLOSED)))
				return err_set(
				    err, ERR_REACH, "the TLS engine is stuck: please report it");
			continue;
		}
		if (t->ended)
			return 0;
		if (receive_record(t, err) == -1)
			return -1;
	}
}

static ssize_t
tls_read(void *ctx, void *data, size_t len, struct err *err)
{
	struct tls *t = ctx;
	unsigned char *from;
	size_t have;
	int r = pump(t, BR_SSL_RECVAPP, err);

	if (r <= 0)
		return r;
	from = br_ssl_engine_recvapp_buf(&t->client.eng, &have);
	if (have > len)
		have = len;
	memcpy(data, from, have);
	wipe(from, have);
	br_ssl_engine_recvapp_ack(&t->client.eng, have);
	return (ssize_t)have;
}

static int
tls_write(void *ctx, const void *data, size_t len, struct err *err)
{
	const unsigned char *p = data;
	struct tls *t = ctx;
	unsigned char *to;
	size_t room;
	int r = 1;

	while (len && (r = pump(t, BR_SSL_SENDAPP, err)) == 1) {
		to = br_ssl_engine_sendapp_buf(&t->client.eng, &room);
		if (room > len)
			room = len;
		memcpy(to, p, room);
		br_ssl_engine_sendapp_ack(&t->client.eng, room);
		p += room;
		len -= room;
	}
	if (r == 1) {
		br_ssl_engine_flush(&t->client.eng, 0);
		r = pump(t, BR_SSL_SENDAPP, err);
	}
	return r == 0 ? err_set(err, ERR_REACH, "%s has closed the connection", t->policy.host)
	    : r == 1  ? 0
		      : -1;
}

/* ---- opening and closing ---- */

static void
set_engine(struct tls *t)
{
	const br_block_ctr_class *aes = br_aes_x86ni_ctr_get_vtable();
	br_ssl_engine_context *engine = &t->client.eng;
	bool wide = sizeof(long) == 8;

	br_ssl_client_zero(&t->client);
	br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
	br_ssl_engine_set_suites(engine, suites, COUNT(suites));
	br_ssl_engine_set_rsavrfy(engine, br_rsa_i31_pkcs1_vrfy);
	br_ssl_engine_set_ec(engine, curves_all());
	br_ssl_engine_set_ecdsa(engine, br_ecdsa_i31_vrfy_asn1);
	br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
	br_ssl_engine_set_hash(engine, br_sha384_ID, &br_sha384_vtable);
	br_ssl_engine_set_hash(engine, br_sha512_ID, &br_sha512_vtable);
	br_ssl_engine_set_prf_sha256(engine, &br_tls12_sha256_prf);
	br_ssl_engine_set_prf_sha384(engine, &br_tls12_sha384_prf);
	/* the processor's own AES, if it has it; all else is portable, for 64 or 32 bits */
	br_ssl_engine_set_gcm(engine, &br_sslrec_in_gcm_vtable, &br_sslrec_out_gcm_vtable);
	br_ssl_engine_set_aes_ctr(engine,
	    aes        ? aes
		: wide ? &br_aes_ct64_ctr_vtable
		       : &br_aes_ct_ctr_vtable);
	br_ssl_engine_set_ghash(engine, wide ? br_ghash_ctmul64 : br_ghash_ctmul);
	br_ssl_engine_set_default_chapol(engine);
	br_ssl_engine_set_all_flags(engine, BR_OPT_NO_RENEGOTIATION);
	br_ssl_engine_set_x509(engine, x509_class(t->x509));
	br_ssl_engine_set_buffer(engine, t->io, sizeof(t->io), 1);
}

/* The lower transport failed during the handshake: say so, and what the cause may be. */
static int
explain_failure(const struct tls *t, struct err *err)
{
	struct err was;

	if (!err || err->kind != ERR_REACH || (err->code != ECONNRESET && err->code != ETIMEDOUT))
		return -1;
	if (!greeting_is_tls(t))
		return not_tls(t, err);
	was = *err;
	err_set(err, was.kind, "The TLS handshake with %s failed: %s.%s", t->policy.host, was.text,
	    likely);
	err->code = was.code;
	return -1;
}

/*
 * The name for the server's choice of a certificate (SNI); NULL for an address. One with an
 * underscore, which no certificate may have, is sent too: a pin or -k may accept what comes.
 */
static const char *
server_name(struct certname *name, const char *host)
{
	if (certname_parse(name, host))
		return name->addr_len ? NULL : name->name;
	return strchr(host, '_') && !host[strspn(host, "._-" ALNUM)] ? host : NULL;
}

static int
handshake(struct tls *t, struct err *err)
{
	struct certname name;
	unsigned char seed[SEED_LEN];
	int r;

	if (read_random(seed, sizeof(seed), err) == -1)
		return -1;
	br_ssl_engine_inject_entropy(&t->client.eng, seed, sizeof(seed));
	wipe(seed, sizeof(seed));
	if (!br_ssl_client_reset(&t->client, server_name(&name, t->policy.host), 0))
		return engine_error(t, err);
	r = pump(t, BR_SSL_SENDAPP, err);
	if (r == 0)
		return greeting_is_tls(t)
		    ? err_set(err, ERR_REACH,
			  "%s ended the connection during the TLS handshake and did not say why.%s",
			  t->policy.host, likely)
		    : not_tls(t, err);
	return r == 1 ? 0 : explain_failure(t, err);
}

int
tls_open(struct tls **out, const struct transport *lower, const struct tls_config *config,
    struct err *err)
{
	struct tls *t = malloc(sizeof(*t));

	*out = NULL;
	if (!t)
		return err_memory(err);
	memset(t, 0, offsetof(struct tls, io));
	t->lower = lower;
	snprintf(t->host, sizeof(t->host), "%s", config->host);
	t->policy = (struct x509_policy){ .host = t->host,
		.anchors = config->anchors,
		.pins = config->pins,
		.insecure = config->insecure,
		.time = (int64_t)time(NULL) };
	t->x509 = x509_new(&t->policy);
	if (!t->x509) {
		tls_close(t);
		return err_memory(err);
	}
	set_engine(t);
	if (handshake(t, err) == -1) {
		t->broken = true;
		tls_close(t);
		return -1;
	}
	t->open = true;
	t->policy.anchors = NULL; /* the caller's, no longer needed */
	t->policy.pins = NULL;
	*out = t;
	return 0;
}

struct transport
tls_transport(struct tls *t)
{
	return (struct transport){ .ctx = t, .read = tls_read, .write = tls_write };
}

const char *
tls_pin(const struct tls *t)
{
	return x509_pin(t->x509);
}

void
tls_close(struct tls *t)
{
	if (!t)
		return;
	if (t->open && !t->broken) {
		br_ssl_engine_close(&t->client.eng);
		while ((br_ssl_engine_current_state(&t->client.eng) & BR_SSL_SENDREC) &&
		    send_record(t, NULL) == 0)
			;
	}
	x509_free(t->x509);
	wipe(t, sizeof(*t));
	free(t);
}
