/* options.h - the command line: the table of options and what was parsed from it */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "base/def.h"
#include "format/addr.h"
#include "format/url.h"
#include "settings/changeset.h"

#include <stdbool.h>

struct buf;
struct err;
struct pool;

enum {
	PROXIES_MAX = 16,
	TARGETS_MAX = 32,   /* nodes of a cluster */
	LISTENERS_MAX = 64, /* --listener */
	RESOLVE_OPTIONS_MAX = 32,
	FORCE_MAX = 16,
	ID_MAX = 200 /* longest listener name in bytes */
};

enum command {
	COMMAND_PRINT,
	COMMAND_STAGE,
	COMMAND_STATUS,
	COMMAND_CLEAR,
	COMMAND_RELOAD,
	COMMAND_LICENSES,
	COMMAND_VERSION,
	COMMAND_HELP,
	COMMAND_COUNT
};

enum format { FORMAT_TEXT, FORMAT_CURL, FORMAT_JSON, FORMAT_TOML, FORMAT_KEYS, FORMAT_COUNT };

/* How one option looks. Usage, the parser, the manual's test and completions read this table. */
struct option {
	const char *name;  /* without its two hyphens */
	char letter;       /* or 0 */
	const char *arg;   /* its argument's name in usage, or NULL for none */
	unsigned commands; /* a set: 1u << COMMAND_… */
	const char *help;
	/* where a text, or without an argument a flag, goes in struct options; 0: not so plain */
	size_t at;
};

extern const struct option options_table[];
extern const size_t options_count;

struct options {
	enum command command;
	enum command help_about; /* help COMMAND; COMMAND_COUNT for all */

	struct url targets[TARGETS_MAX];
	size_t target_count;
	/* the file in place of those; "-" is standard input; NULL when not given */
	const char *config;

	char proxies[PROXIES_MAX][NET_TEXT_MAX];
	size_t proxy_count;
	struct url public_url;
	char public_origin[ORIGIN_MAX]; /* "" when not given */
	const char *relay_host;         /* NULL when not given */
	unsigned relay_port;
	const char *relay_id;
	/* those that count: default, --only, --skip and --relay taken together */
	unsigned groups;
	bool groups_named; /* --only said so */
	const char *listeners[LISTENERS_MAX];
	size_t listener_count;
	const char *relay_listener;
	char new_server[NET_TEXT_MAX]; /* an address; "" when not given */
	bool allow_new_server, single_node;
	int minor; /* --dialect; -1 for auto */

	const char *cacert, *pinnedpubkey;
	const char *resolve[RESOLVE_OPTIONS_MAX];
	size_t resolve_count;
	bool insecure, haproxy;
	unsigned connect_timeout, max_time; /* seconds; 0 for none */

	const char *user, *password_file, *totp_file, *api_key_file;

	const char *snapshot, *snapshot_dir;
	const char *force[FORCE_MAX];
	size_t force_count;
	enum format format;
	bool dry_run, json, clear, reload, quiet, verbose;
	bool change_options; /* one of the options that say what to write was given */
};

/*
 * Parse argv (without the program's name). Strings that had to be cut out live in pool, the others
 * in argv. 0, or -1 with err of kind ERR_USAGE: one line that names the option, the value and what
 * is wanted.
 */
int options_parse(
    struct options *o, struct pool *pool, int argc, char **argv, struct err *err) WARN_UNUSED;

/* The name a command goes by. */
const char *command_name(enum command c);

/* Was this refusal's name given to --force? */
bool options_forced(const struct options *o, const char *name);

/* Append the usage lines of the options that command c takes. */
void options_usage(struct buf *out, enum command c);

/*
 * Append the options that say what to write, as they would be given again, each after a blank,
 * quoted for a shell.
 */
void options_retell(struct buf *out, const struct options *o);

/*
 * Append the options that say how to reach the server and as whom, in the same way; none of them is
 * a secret.
 */
void options_retell_reach(struct buf *out, const struct options *o);

/* Append text quoted for a POSIX shell: as it is where that is safe, else within single quotes. */
void options_quote(struct buf *out, const char *text);

#endif
