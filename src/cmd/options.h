/* options.h - the command line, parsed */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "base/def.h"
#include "settings/request.h"
#include "target/reach.h"

#include <stdbool.h>

struct buf;
struct err;
struct options;
struct pool;

enum command_id {
	COMMAND_PRINT,
	COMMAND_STAGE,
	COMMAND_STATUS,
	COMMAND_CLEAR,
	COMMAND_RELOAD,
	COMMAND_PROBE,
	COMMAND_LICENSES,
	COMMAND_VERSION,
	COMMAND_HELP,
	COMMAND_COUNT
};

/* A command's row. Dispatch and help read the table. */
struct command {
	const char *name;
	int (*run)(const struct options *o); /* gives the process's exit status */
	const char *words;                   /* what it does, for help */
};

enum format {
	FORMAT_TEXT,
	FORMAT_CURL,
	FORMAT_JSON,
	FORMAT_TOML,
	FORMAT_KEYS,
	FORMAT_PROXY,
	FORMAT_RUNBOOK,
	FORMAT_COUNT
};

enum expect { EXPECT_NOTHING, EXPECT_STAGED, EXPECT_CUTOVER, EXPECT_ROLLED_BACK, EXPECT_COUNT };

enum { PORT_OPTIONS_MAX = 64 };

/* One --port. */
struct port_option {
	unsigned port;
	const char *protocol; /* a name that listener_protocol knows */
	bool tls;
};

struct options {
	const char *program;           /* argv[0], for the commands that a report proposes */
	const char *version;           /* what --version prints: lines */
	const struct command *command; /* its row, or NULL */
	enum command_id id;            /* the row's number */
	const struct command *about;   /* the COMMAND of help COMMAND, or NULL */
	struct request request;
	struct reach reach;
	enum format format;
	const char *host; /* of probe: an address, without brackets, or a name */
	struct port_option ports[PORT_OPTIONS_MAX];
	size_t port_count;
	unsigned silence; /* seconds */
	enum expect expect;
	bool dry_run, json, clear, reload, quiet, verbose;
	bool groups_given; /* --only or --skip chose the groups */
};

/*
 * Parse argv (without the program's name); commands has COMMAND_COUNT rows. The strings of *o live
 * in argv and in pool. 0, or -1 with err of kind ERR_USAGE: one line that names the option, its
 * value and what it needs. o->command is NULL if no command was read.
 */
int options_parse(struct options *o, const struct command *commands, struct pool *pool, int argc,
    char **argv, struct err *err) WARN_UNUSED;

/* Append the program, as it was started, and a command. */
void options_format_command(struct buf *out, const struct options *o, const char *command);

/* Append " --NAME VALUE", quoted for a shell; a path as options_format_path does. */
void options_format_option(struct buf *out, const char *name, const char *value, bool is_path);

/* Append a path, absolute and quoted for a shell, so that a command works in any folder. */
void options_format_path(struct buf *out, const char *path);

/*
 * Append the options that say how to reach the server and who logs in, as they were given: each
 * after a blank, quoted for a shell. None of them is a secret.
 */
void options_format_reach(struct buf *out, const struct options *o);

#endif
