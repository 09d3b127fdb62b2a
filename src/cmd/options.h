/* options.h - the command line: the tables of commands and options, and what was parsed by them */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "base/def.h"
#include "settings/request.h"
#include "target/reach.h"

#include <stdbool.h>

struct buf;
struct err;
struct options;
struct parse;
struct pool;

enum command_id {
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

/* A command's row. Dispatch, usage, the manual's test and completions read the table. */
struct command {
	const char *name;
	int (*run)(const struct options *o); /* gives the process's exit status */
	const char *words;                   /* what it does, for help */
};

enum format { FORMAT_TEXT, FORMAT_CURL, FORMAT_JSON, FORMAT_TOML, FORMAT_KEYS, FORMAT_COUNT };

/* What is true of an option: a set of these. */
enum {
	OPTION_WRITES = 1 << 0, /* it says what to write */
	OPTION_SERVER = 1 << 1, /* it is for --url alone, and makes no sense with --config */
	OPTION_REPEAT = 1 << 2  /* the next command, as the report proposes it, needs it again */
};

/* An option's row. Usage, the parser, the manual's test and completions read the table. */
struct option {
	const char *name;  /* without its two hyphens */
	char letter;       /* or 0 */
	const char *arg;   /* its argument's name in usage, or NULL for none */
	unsigned commands; /* a set: 1u << COMMAND_… */
	unsigned traits;   /* a set: OPTION_… */
	const char *help;
	/* where a text, or without an argument a flag, goes in struct options; 0: see `set` */
	size_t at;
	/* takes a value that is more than a text; NULL: none does */
	int (*set)(struct parse *p, const struct option *opt, const char *value, struct err *err);
};

extern const struct option options_table[];
extern const size_t options_count;

struct options {
	const char *program; /* as it was called, for the commands that a report proposes */
	const struct command *command; /* its row */
	enum command_id id;            /* which one that is */
	const struct command *about;   /* help COMMAND; NULL for all */
	struct request request;
	struct reach reach;
	enum format format;
	bool dry_run, json, clear, reload, quiet, verbose;
};

/*
 * Parse argv (without the program's name); commands has COMMAND_COUNT rows. Strings that had to be
 * cut out live in pool, the others in argv. 0, or -1 with err of kind ERR_USAGE: one line that
 * names the option, the value and what it needs. o->command is NULL where none was read.
 */
int options_parse(struct options *o, const struct command *commands, struct pool *pool, int argc,
    char **argv, struct err *err) WARN_UNUSED;

/* Append the usage lines of the options that a command takes. */
void options_usage(struct buf *out, enum command_id c);

/*
 * Append the options that say how to reach the server and as whom, as they would be given again,
 * each after a blank, quoted for a shell; none of them is a secret.
 */
void options_format_reach(struct buf *out, const struct options *o);

#endif
