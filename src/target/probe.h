/* probe.h - all ports of a host at once: connections, by the rules of verdict */
#ifndef PROBE_H
#define PROBE_H

#include "base/def.h"
#include "format/addr.h"
#include "sys/dial.h"
#include "target/verdict.h"

#include <signal.h>
#include <stdint.h>

struct err;

enum {
	PROBE_PORTS_MAX = 128,
	PROBE_TRIES_MAX = 256, /* of two connections each */
	PROBE_REQUEST_MAX = 1024
};

/* What a port should do once everything is staged and the server was restarted. */
enum role {
	ROLE_ANY,    /* it is only shown */
	ROLE_BEHIND, /* it wants the header from the proxy */
	ROLE_RELAY   /* the new server relays to it: no header */
};

struct probe_port {
	unsigned port;
	struct speaks speaks;
	const char *protocol; /* as it was named */
	const char *id;       /* its listener's name, or NULL */
	enum role role;
	bool may_be_closed; /* then it counts for nothing */
	struct net bound;   /* the only address that it listens on; family 0: on all */
};

/* One connection. */
struct probe_conn {
	int fd;      /* -1: none */
	int64_t end; /* when its connecting, or its silence, is over */
	size_t out_len, out_sent;
	unsigned char out[PROBE_REQUEST_MAX];
	struct side side;
};

/* One port at one address. */
struct probe_try {
	const struct probe_port *port;
	union resolve_addr to;
	struct probe_conn a, b;
	bool done;
	bool cut; /* the time for all was over before the rules were */
	enum verdict verdict;
	int number;              /* errno of a connect that failed, else 0 */
	char own[DIAL_TEXT_MAX]; /* this host's address; "" until connected */
};

struct probe {
	const char *host;                            /* as it was given: for SNI and Host: */
	unsigned connect_timeout, silence, max_time; /* seconds; 0: no limit */
	const volatile sig_atomic_t *stop;
	struct probe_try *tries; /* made by probe_begin */
	size_t count;
	void (*done)(void *ctx, const struct probe_try *t); /* a verdict is known; or NULL */
	void *ctx;
};

/* Make the tries: each port at each address. 0 or -1 with err. */
int probe_begin(struct probe *p, const struct probe_port *ports, size_t count,
    const struct resolved *to, struct err *err) WARN_UNUSED;

/* Carry them out. They all have a verdict then, unless *stop was set. */
void probe_run(struct probe *p);

void probe_free(struct probe *p);

/* The connection that the verdict is from; NULL if nobody said anything. */
const struct side *probe_spoke(const struct probe_try *t);

#endif
