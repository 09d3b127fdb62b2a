/* rewrite.h - what the server's own rewrite of config.toml does to a key and its value */
#ifndef REWRITE_H
#define REWRITE_H

#include "base/def.h"

/*
 * The server writes local keys flat and without quotes, and its own reader can't read all of that
 * (server-facts, "The server's own rewrite"). BREAKS: the next boot refuses the file. CHANGES: it
 * reads another key or value.
 */
enum rewrite { REWRITE_KEEPS, REWRITE_CHANGES, REWRITE_BREAKS };

/*
 * What happens to key and value when a server 0.minor writes them and reads them at its next boot.
 */
enum rewrite rewrite_fate(int minor, const char *key, const char *value);

#endif
