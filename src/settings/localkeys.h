/* localkeys.h - which keys live in a node's own config.toml, as the server decides it */
#ifndef LOCALKEYS_H
#define LOCALKEYS_H

#include "base/def.h"

#include <stdbool.h>

struct settings;

/*
 * Is key local by the patterns of config.local-keys in s, on a server 0.minor? (minor matters only
 * where s has no pattern, and for config.local-keys itself.) By server-facts, "Where a setting is
 * stored": exclusions win; patterns are lower-cased and trimmed, keys are not.
 */
bool localkeys_match(const struct settings *s, int minor, const char *key);

#endif
