/* plan_uses.h - which keys of a config.toml a plan looks at, or an edit of the file needs */
#ifndef PLAN_USES_H
#define PLAN_USES_H

#include "format/toml.h"

#include <stdbool.h>

struct plan_uses {
	const char *new_server; /* its address as text, or "" */
	bool old;               /* it is staged, and the server may be 0.12 or older */
};

/*
 * For a toml_filter, with a struct plan_uses. Bans count only if they cover the new server, or are
 * IPv6 addresses, which the rewrite of an old server breaks.
 */
enum toml_use plan_uses(const void *ctx, const char *key);

#endif
