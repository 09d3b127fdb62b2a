/* guard.h - the last gate before a write: port 25 is never put behind the proxy */
#ifndef GUARD_H
#define GUARD_H

#include "base/def.h"

struct err;
struct plan;
struct pool;
struct request;
struct settings;

/*
 * Does the plan give a network, or the override, to a listener that binds port 25 or that the
 * request names as the relay listener? Or does it remove such a listener's own list, so that the
 * global one would cover the new server? now: the settings that were read. Keys are compared as
 * texts, wherever they came from. 0; or -1 with err (REFUSAL_PORT_25), and nothing may be sent.
 */
int guard_port_25(const struct plan *p, const struct settings *now, const struct request *q,
    struct err *err) WARN_UNUSED;

#endif
