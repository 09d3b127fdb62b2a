/* probing.h - a run of probe: what is looked at, what is expected, what was found */
#ifndef PROBING_H
#define PROBING_H

#include "base/def.h"
#include "base/pool.h"
#include "settings/message.h"
#include "settings/request.h"
#include "target/probe.h"

#include <stdbool.h>

struct buf;
struct err;
struct options;
struct snapshot;

struct probing {
	const struct options *options;
	struct pool pool;
	struct messages messages;
	struct probe_port ports[PROBE_PORTS_MAX];
	size_t port_count;
	struct net networks[PROXIES_MAX]; /* of the proxy */
	size_t network_count;
	size_t unjudged;   /* listeners of unknown port that are to be judged */
	enum role unknown; /* theirs, as far as they are not told apart */
	struct probe probe;
	bool wanted;                        /* a port wants the header */
	const char *outside[VERDICT_COUNT]; /* an own address there that is in no network */
	bool watched;                       /* each row is printed when it is known */
	int exit;
};

/*
 * Load the snapshot that an option names, by the rules for those; if it was cleared since, by its
 * name after that. 0 or -1 with err.
 */
int probing_snapshot(
    struct snapshot *s, struct pool *pool, const char *path, struct err *err) WARN_UNUSED;

/*
 * Fill ports and networks: from the options, from the snapshot (NULL: there is none), or the usual
 * ten. 0 or -1 with err.
 */
int probing_choose(struct probing *p, const struct snapshot *s, struct err *err) WARN_UNUSED;

/* Compare what was found with what is expected: adds messages, sets p->exit. */
void probing_judge(struct probing *p);

/* What the port should be; VERDICT_NONE: it is not judged. */
enum verdict probing_expected(const struct probing *p, const struct probe_try *t);

/* PROXY headers that went to a port that did not want one. */
size_t probing_headers(const struct probing *p);

/* Append the table's head, or a try's row. */
void probing_head(struct buf *out);
void probing_row(struct buf *out, const struct probe_try *t);

/* Append the one JSON object. */
void probing_json(struct buf *out, const struct probing *p);

#endif
