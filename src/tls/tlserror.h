/* tlserror.h - every error of the TLS engine and every alert, in words */
#ifndef TLSERROR_H
#define TLSERROR_H

#include "base/def.h"

#include <stdbool.h>

/* BearSSL adds the alert's number to these */
enum { TLSERROR_ALERT_RECEIVED = 256, TLSERROR_ALERT_SENT = 512 };

struct tlserror {
	const char *what; /* a clause: "the server accepts no TLS 1.2" */
	/* BR_ERR_…, or an alert's with what BearSSL adds to it; -1: none that is known */
	short number;
	short advice; /* for tlserror_advice */
};

/*
 * The line of an error number. Unknown alerts and errors have a line too; never NULL. Static
 * storage.
 */
const struct tlserror *tlserror_find(int number);

/* A sentence on what to do, or NULL. Static storage. */
const char *tlserror_advice(const struct tlserror *e);

/* Is the number an alert that the peer sent? */
bool tlserror_is_alert(int number);

#endif
