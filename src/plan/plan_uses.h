/* plan_uses.h - which keys of a config.toml a plan looks at, or an edit of the file needs */
#ifndef PLAN_USES_H
#define PLAN_USES_H

#include "format/toml.h"

/*
 * For a toml_filter, whose ctx is the new server's address as text, or "": bans of others are
 * dropped, but for IPv6 addresses, which the server's rewrite breaks.
 */
enum toml_use plan_uses(const void *new_server, const char *key);

#endif
