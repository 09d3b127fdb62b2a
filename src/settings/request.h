/*
 * request.h - what a run is asked to write, and which refusals it overrides: all that a plan knows
 * of the user's wishes
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "base/def.h"
#include "base/refusal.h"
#include "format/addr.h"
#include "format/url.h"
#include "settings/changeset.h"

#include <stdbool.h>

struct buf;

enum {
	PROXIES_MAX = 16,
	LISTENERS_MAX = 64, /* --listener, --also, --leave: each */
	ID_MAX = 200,       /* longest listener name in bytes */
	RELAY_PORT = 25     /* where --relay names none */
};

#define RELAY_ID "smarthost" /* the relay's name in the settings, as in the guide */

/* Strings are the caller's. */
struct request {
	char proxies[PROXIES_MAX][NET_TEXT_MAX];
	size_t proxy_count;
	char public_origin[ORIGIN_MAX]; /* "" when not given */
	const char *relay_host;         /* NULL when not given */
	unsigned relay_port;
	const char *relay_id;
	unsigned groups;   /* a set of 1u << group */
	bool groups_named; /* --only chose them */
	const char *listeners[LISTENERS_MAX];
	size_t listener_count;
	const char *also[LISTENERS_MAX]; /* added to the discovered listeners */
	size_t also_count;
	const char *leave[LISTENERS_MAX]; /* taken from them */
	size_t leave_count;
	const char *relay_listener;    /* NULL when not given */
	char new_server[NET_TEXT_MAX]; /* an address; "" when not given */
	bool allow_new_server, single_node;
	int minor;         /* the version 0.minor that --dialect names; -1: not known */
	bool values_given; /* one of the options that say what to write was given */
	bool forced[REFUSAL_COUNT];
};

/* Does the request hold this network, spelled like this? */
bool request_has_proxy(const struct request *q, const char *network);

/* Its values for changeset_add_rest, for all groups that it chooses but the listeners. */
struct wanted request_wanted(const struct request *q);

/*
 * Append the options that say what to write, as they would be given again, each after a blank,
 * quoted for a shell.
 */
void request_format(struct buf *out, const struct request *q);

#endif
