/* localkeys.h - which keys live in a node's own config.toml, as the server decides it */
#ifndef LOCALKEYS_H
#define LOCALKEYS_H

#include "base/def.h"

#include <stdbool.h>

struct settings;

/*
 * Is key local under the patterns of config.local-keys in s (of a server 0.minor; minor only
 * matters where s holds no pattern)? By server-facts.md, "Where a setting is stored": exclusions
 * win; patterns are lower-cased and trimmed, keys are not.
 */
bool localkeys_match(const struct settings *s, int minor, const char *key);

#endif
