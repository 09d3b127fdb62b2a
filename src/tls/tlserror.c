#include "tls/tlserror.h"

#include <bearssl.h>

_Static_assert(TLSERROR_ALERT_RECEIVED == BR_ERR_RECV_FATAL_ALERT, "bearssl_ssl.h");
_Static_assert(TLSERROR_ALERT_SENT == BR_ERR_SEND_FATAL_ALERT, "bearssl_ssl.h");

#define ENGINE(id) .number = BR_ERR_##id
#define ALERT(id)  .number = TLSERROR_ALERT_RECEIVED + BR_ALERT_##id

/* What to do about it. Each has its sentence below. */
enum advice {
	NONE,
	UNSUPPORTED_KEY,
	ONLY_TLS13,
	NOT_TLS,
	BROKEN,
	OURS,
	NAME_UNKNOWN,
	CLIENT_CERT,
	NO_COMMON,
	SEE_LOG
};

#define KEY_SENTENCE \
	"The server's key may be one that this program can't use: it supports RSA (not RSA-PSS) " \
	"up " \
	"to 4096 " \
	"bits and EC on P-256, P-384 or P-521, not Ed25519. Use loopback http:// on the server's " \
	"own host, or give it another certificate."

static const char *const sentences[] = {
	[NONE] = NULL,
	[UNSUPPORTED_KEY] = KEY_SENTENCE,
	[ONLY_TLS13] = "It may accept TLS 1.3 only, but this program speaks TLS 1.2. Use loopback "
		       "http:// on the server's own host, or enable TLS 1.2 on one listener "
		       "(server.tls.disable-protocols, server.listener.ID.tls.disable-protocols).",
	[NOT_TLS] = "Is this the port of HTTPS? --haproxy-protocol is for a listener that waits "
		    "for a PROXY header, and for no other.",
	[BROKEN] = "Either the server or something between is broken, or somebody interferes with "
		   "the connection.",
	[OURS] = "This is a fault of this program: please report it.",
	[NAME_UNKNOWN] = "The server has no certificate for this host name. Write the host as the "
			 "certificate has it, with --resolve for its address.",
	[CLIENT_CERT] = "This program has no client certificate: use another listener.",
	[NO_COMMON] = "It may accept no TLS 1.2 (perhaps 1.3 only). " KEY_SENTENCE,
	[SEE_LOG] = "Its log may say why: a listener without a certificate does this.",
};

static const struct tlserror errors[] = {
	{ ENGINE(OK), .what = "no error" },
	{ ENGINE(BAD_PARAM), .what = "the TLS engine got a wrong parameter", .advice = OURS },
	{ ENGINE(BAD_STATE), .what = "the TLS engine is in a wrong state", .advice = OURS },
	{ ENGINE(UNSUPPORTED_VERSION),
	    .what = "the server answers with a TLS version other than 1.2", .advice = ONLY_TLS13 },
	{ ENGINE(BAD_VERSION), .what = "the server's TLS version changes, or it does not speak TLS",
	    .advice = NOT_TLS },
	{ ENGINE(BAD_LENGTH), .what = "a TLS record has a wrong length", .advice = NOT_TLS },
	{ ENGINE(TOO_LARGE), .what = "a TLS record, or the server's key, is too large",
	    .advice = UNSUPPORTED_KEY },
	{ ENGINE(BAD_MAC), .what = "a TLS record was damaged on its way", .advice = BROKEN },
	{ ENGINE(NO_RANDOM), .what = "there are no random numbers", .advice = OURS },
	{ ENGINE(UNKNOWN_TYPE), .what = "the server does not speak TLS on this port",
	    .advice = NOT_TLS },
	{ ENGINE(UNEXPECTED), .what = "a TLS message came out of order", .advice = BROKEN },
	{ ENGINE(BAD_CCS), .what = "a ChangeCipherSpec message is malformed", .advice = BROKEN },
	{ ENGINE(BAD_ALERT), .what = "an alert is malformed", .advice = BROKEN },
	{ ENGINE(BAD_HANDSHAKE), .what = "a handshake message is malformed", .advice = BROKEN },
	{ ENGINE(OVERSIZED_ID), .what = "the session's id is too long", .advice = BROKEN },
	{ ENGINE(BAD_CIPHER_SUITE), .what = "the server chose a cipher suite that was not offered",
	    .advice = BROKEN },
	{ ENGINE(BAD_COMPRESSION), .what = "the server chose a compression that was not offered",
	    .advice = BROKEN },
	{ ENGINE(BAD_FRAGLEN),
	    .what = "the server's maximum fragment length is not the one asked for",
	    .advice = BROKEN },
	{ ENGINE(BAD_SECRENEG), .what = "the server's renegotiation information is wrong",
	    .advice = BROKEN },
	{ ENGINE(EXTRA_EXTENSION), .what = "the server sent an extension that was not asked for",
	    .advice = BROKEN },
	{ ENGINE(BAD_SNI), .what = "the server's answer to the host name is malformed",
	    .advice = BROKEN },
	{ ENGINE(BAD_HELLO_DONE), .what = "the server's ServerHelloDone is malformed",
	    .advice = BROKEN },
	{ ENGINE(LIMIT_EXCEEDED),
	    .what = "something in the handshake is longer than this program supports",
	    .advice = UNSUPPORTED_KEY },
	{ ENGINE(BAD_FINISHED), .what = "the handshake was changed on its way", .advice = BROKEN },
	{ ENGINE(RESUME_MISMATCH), .what = "the session was resumed with other parameters",
	    .advice = BROKEN },
	{ ENGINE(INVALID_ALGORITHM),
	    .what = "the server uses a curve or an algorithm that was not offered",
	    .advice = UNSUPPORTED_KEY },
	{ ENGINE(BAD_SIGNATURE),
	    .what = "the server's signature does not fit its certificate's key", .advice = BROKEN },
	{ ENGINE(WRONG_KEY_USAGE), .what = "the certificate's key may not be used for this",
	    .advice = UNSUPPORTED_KEY },
	{ ENGINE(NO_CLIENT_AUTH), .what = "the server insists on a client certificate",
	    .advice = CLIENT_CERT },
	{ ENGINE(IO), .what = "the connection failed" },

	{ ALERT(CLOSE_NOTIFY), .what = "the server ended the connection" },
	{ ALERT(UNEXPECTED_MESSAGE), .what = "the server did not expect our message",
	    .advice = NOT_TLS },
	{ ALERT(BAD_RECORD_MAC), .what = "the server says that a record was damaged on its way",
	    .advice = BROKEN },
	{ ALERT(RECORD_OVERFLOW), .what = "the server says that a record is too long",
	    .advice = BROKEN },
	{ ALERT(DECOMPRESSION_FAILURE), .what = "the server can't decompress", .advice = BROKEN },
	{ ALERT(HANDSHAKE_FAILURE),
	    .what =
		"the server has no cipher suite, curve or signature in common with this program",
	    .advice = NO_COMMON },
	{ ALERT(BAD_CERTIFICATE), .what = "the server refuses our certificate",
	    .advice = CLIENT_CERT },
	{ ALERT(UNSUPPORTED_CERTIFICATE), .what = "the server refuses our certificate",
	    .advice = CLIENT_CERT },
	{ ALERT(CERTIFICATE_REVOKED), .what = "the server refuses our certificate",
	    .advice = CLIENT_CERT },
	{ ALERT(CERTIFICATE_EXPIRED), .what = "the server refuses our certificate",
	    .advice = CLIENT_CERT },
	{ ALERT(CERTIFICATE_UNKNOWN), .what = "the server refuses our certificate",
	    .advice = CLIENT_CERT },
	{ ALERT(ILLEGAL_PARAMETER), .what = "the server rejects a value in the handshake",
	    .advice = BROKEN },
	{ ALERT(UNKNOWN_CA), .what = "the server does not know our certificate's CA",
	    .advice = CLIENT_CERT },
	{ ALERT(ACCESS_DENIED), .what = "the server denies access", .advice = CLIENT_CERT },
	{ ALERT(DECODE_ERROR), .what = "the server could not read our message", .advice = NOT_TLS },
	{ ALERT(DECRYPT_ERROR), .what = "the server could not verify the handshake",
	    .advice = BROKEN },
	{ ALERT(PROTOCOL_VERSION), .what = "the server accepts no TLS 1.2", .advice = ONLY_TLS13 },
	{ ALERT(INSUFFICIENT_SECURITY),
	    .what = "the server needs stronger ciphers than TLS 1.2's AEAD suites",
	    .advice = ONLY_TLS13 },
	{ ALERT(INTERNAL_ERROR), .what = "the server had an internal error in the handshake",
	    .advice = SEE_LOG },
	{ ALERT(USER_CANCELED), .what = "the server cancelled the handshake" },
	{ ALERT(NO_RENEGOTIATION), .what = "the server refuses to renegotiate", .advice = OURS },
	{ ALERT(UNSUPPORTED_EXTENSION), .what = "the server rejects an extension in the handshake",
	    .advice = BROKEN },
	{ ALERT(NO_APPLICATION_PROTOCOL), .what = "the server speaks no HTTP/1.1 on this port",
	    .advice = NOT_TLS },

	/* Those that BearSSL has no names for (IANA's registry). */
	{ .number = TLSERROR_ALERT_RECEIVED + 21,
	    .what = "the server says that a record was damaged",
	    .advice = BROKEN },
	{ .number = TLSERROR_ALERT_RECEIVED + 41,
	    .what = "the server needs a client certificate",
	    .advice = CLIENT_CERT },
	{ .number = TLSERROR_ALERT_RECEIVED + 60,
	    .what = "the server refuses the ciphers",
	    .advice = BROKEN },
	{ .number = TLSERROR_ALERT_RECEIVED + 86,
	    .what = "the server suspects a downgrade",
	    .advice = BROKEN },
	{ .number = TLSERROR_ALERT_RECEIVED + 109,
	    .what = "the server needs an extension that was not in the handshake",
	    .advice = ONLY_TLS13 },
	{ .number = TLSERROR_ALERT_RECEIVED + 111,
	    .what = "the server refuses our certificate",
	    .advice = CLIENT_CERT },
	{ .number = TLSERROR_ALERT_RECEIVED + 112,
	    .what = "the server does not know this host name",
	    .advice = NAME_UNKNOWN },
	{ .number = TLSERROR_ALERT_RECEIVED + 113,
	    .what = "the server refuses our certificate's status",
	    .advice = CLIENT_CERT },
	{ .number = TLSERROR_ALERT_RECEIVED + 114,
	    .what = "the server refuses our certificate",
	    .advice = CLIENT_CERT },
	{ .number = TLSERROR_ALERT_RECEIVED + 115,
	    .what = "the server needs a shared key",
	    .advice = CLIENT_CERT },
	{ .number = TLSERROR_ALERT_RECEIVED + 116,
	    .what = "the server insists on a client certificate or on a new handshake",
	    .advice = CLIENT_CERT },
};

static const struct tlserror unknown_alert = { .number = -1,
	.what = "the server ended the handshake with an unknown alert",
	.advice = BROKEN };
static const struct tlserror sent_alert = {
	.number = -1, .what = "the server broke the rules of TLS", .advice = BROKEN
};
static const struct tlserror unknown_error = {
	.number = -1, .what = "the TLS engine failed for an unknown reason", .advice = OURS
};

bool
tlserror_is_alert(int number)
{
	return number >= TLSERROR_ALERT_RECEIVED && number < TLSERROR_ALERT_SENT;
}

const struct tlserror *
tlserror_find(int number)
{
	size_t i;

	for (i = 0; i < COUNT(errors); i++) {
		if (errors[i].number == number)
			return &errors[i];
	}
	if (number >= TLSERROR_ALERT_SENT && number < TLSERROR_ALERT_SENT + 256)
		return &sent_alert;
	return tlserror_is_alert(number) ? &unknown_alert : &unknown_error;
}

const char *
tlserror_advice(const struct tlserror *e)
{
	return sentences[e->advice];
}
