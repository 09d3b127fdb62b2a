/*
 * verdict.h - what a port does without and with a PROXY header: the rules, without the sockets
 */
#ifndef VERDICT_H
#define VERDICT_H

/*
 * Connection A is plain, B begins with a header. B is made when A ended or said nothing. On a port
 * for TLS each begins with a ClientHello, for HTTP with a GET, else with waiting.
 */

#include "base/def.h"
#include "settings/listener.h"
#include "tls/hello.h"

#include <stdbool.h>

struct buf;

enum verdict {
	VERDICT_NONE, /* not known */
	VERDICT_CLOSED,
	VERDICT_SILENT,
	VERDICT_PLAIN,
	VERDICT_WANTS,
	VERDICT_REFUSES,
	VERDICT_OTHER,
	VERDICT_COUNT
};

/* By enum verdict: what a person reads. */
extern const char *const verdict_names[VERDICT_COUNT];

enum side_state {
	SIDE_NONE, /* not made */
	SIDE_CONNECTING,
	SIDE_OPEN,
	SIDE_OVER,   /* open, and its time is over */
	SIDE_ENDED,  /* by the peer; or so much came that no more is read */
	SIDE_CLOSED, /* the connection was refused */
	SIDE_UNANSWERED
};

enum { SIDE_MAX = HELLO_ANSWER_MAX }; /* bytes of an answer that are looked at */

struct side {
	enum side_state state;
	bool asked; /* the command was sent */
	size_t len;
	char data[SIDE_MAX]; /* what the peer said */
};

/* What is expected to listen there. */
struct speaks {
	enum protocol protocol;
	bool tls;
};

/* What is to be done next. */
enum step {
	STEP_WAIT,
	STEP_HEADER,  /* make connection B */
	STEP_COMMAND, /* send verdict_command on B, and set asked */
	STEP_DONE
};

/* *v is set with STEP_DONE. */
enum step verdict_step(
    const struct speaks *k, const struct side *a, const struct side *b, enum verdict *v);

/* A command that changes nothing and has one good reply. NULL for HTTP and TLS. */
const char *verdict_command(const struct speaks *k);

/* Append what a side said, in a line: as it came, so it still has to be cleaned. */
void verdict_said(struct buf *out, const struct speaks *k, const struct side *s);

/* The name in a greeting of SMTP; len 0 if there is none. */
struct der verdict_greeter(const struct speaks *k, const struct side *s);

#endif
