/* option_table.h - the table of options: what each is called, where it goes, what it accepts */
#ifndef OPTION_TABLE_H
#define OPTION_TABLE_H

#include "base/def.h"
#include "cmd/options.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct option;
struct pool;

/* Sets of commands, for an option's row. */
enum {
	IN_PRINT = 1u << COMMAND_PRINT,
	IN_CHANGE = 1u << COMMAND_STAGE | 1u << COMMAND_CLEAR,
	IN_API = IN_CHANGE | 1u << COMMAND_STATUS | 1u << COMMAND_RELOAD,
	IN_PLAN = IN_CHANGE | 1u << COMMAND_STATUS,
	IN_PROBE = 1u << COMMAND_PROBE,
	IN_ALL = (1u << COMMAND_COUNT) - 1
};

/* The rows of the table. Help lists them in this order. */
enum option_id {
	OPT_PROXY,
	OPT_PUBLIC_URL,
	OPT_RELAY,
	OPT_RELAY_ID,
	OPT_ONLY,
	OPT_SKIP,
	OPT_LISTENER,
	OPT_ALSO,
	OPT_LEAVE,
	OPT_RELAY_LISTENER,
	OPT_NEW_SERVER,
	OPT_ALLOW,
	OPT_SINGLE_NODE,
	OPT_DIALECT,
	OPT_CONFIG,
	OPT_URL,
	OPT_BOOT_CONFIG,
	OPT_CACERT,
	OPT_PINNEDPUBKEY,
	OPT_INSECURE,
	OPT_RESOLVE,
	OPT_CONNECT_TIMEOUT,
	OPT_MAX_TIME,
	OPT_HAPROXY,
	OPT_USER,
	OPT_PASSWORD_FILE,
	OPT_TOTP_FILE,
	OPT_API_KEY_FILE,
	OPT_SNAPSHOT,
	OPT_SNAPSHOT_DIR,
	OPT_DRY_RUN,
	OPT_RELOAD,
	OPT_FORCE,
	OPT_PORT,
	OPT_SILENCE,
	OPT_EXPECT,
	OPT_FORMAT,
	OPT_CLEAR,
	OPT_JSON,
	OPT_QUIET,
	OPT_VERBOSE,
	OPT_VERSION,
	OPT_HELP,
	OPT_COUNT
};

/* The parser's state. */
struct parse {
	struct options *o;
	const struct command *commands;
	struct pool *pool;
	unsigned only, skip; /* sets of groups */
	bool argument_seen;
	bool seen[OPT_COUNT];
};

/* The traits of an option: a set of these. */
enum {
	OPTION_WRITES = 1 << 0, /* it says what to write */
	OPTION_SERVER = 1 << 1, /* it is only for --url, and wrong with --config */
	OPTION_REPEAT = 1 << 2, /* the next command that the report proposes needs it again */
	OPTION_PATH = 1 << 3    /* it names a file, or may name one */
};

/* An option's row. The parser and help read the table. */
struct option {
	const char *name;  /* without its two hyphens */
	char letter;       /* or 0 */
	const char *arg;   /* its argument's name in usage, or NULL for none */
	unsigned commands; /* a set: 1u << COMMAND_… */
	unsigned traits;   /* a set: OPTION_… */
	const char *help;
	size_t at; /* where its text or flag goes in struct options; 0: see set */
	/* sets a value that is more than a text; or NULL */
	int (*set)(struct parse *p, const struct option *opt, const char *value, struct err *err);
};

/* The words of --expect; [0] is NULL. */
extern const char *const expect_names[EXPECT_COUNT];

extern const struct option option_table[OPT_COUNT];

#endif
