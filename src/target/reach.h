/* reach.h - how to reach a server or a file, and which login to use; holds no secret */
#ifndef REACH_H
#define REACH_H

#include "base/def.h"
#include "format/url.h"

#include <stdbool.h>

enum {
	TARGETS_MAX = 32, /* nodes of a cluster */
	RESOLVE_OPTIONS_MAX = 32
};

/* The caller owns the strings. NULL: the option was not given. */
struct reach {
	struct url targets[TARGETS_MAX];
	size_t target_count;
	/* for each target the config.toml of its next start, or none */
	const char *boot_configs[TARGETS_MAX];
	size_t boot_config_count;
	const char *config; /* the file, when no server is given; "-" is standard input */
	const char *cacert, *pinnedpubkey;
	const char *resolve[RESOLVE_OPTIONS_MAX]; /* HOST:PORT:ADDR, not yet parsed */
	size_t resolve_count;
	bool insecure, haproxy;
	unsigned connect_timeout, max_time; /* seconds; 0 for none */
	const char *user, *password_file, *totp_file, *api_key_file;
	const char *snapshot, *snapshot_dir;
};

#endif
