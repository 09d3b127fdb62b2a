/* report.h - what a run found and did, as data: for a person as text, for a program as JSON */
#ifndef REPORT_H
#define REPORT_H

#include "base/def.h"

#include <stdbool.h>

struct buf;
struct jsonout;
struct messages;
struct options;
struct part;
struct plan;
struct request;
struct settings;
struct snapshot;

/* One server, or its config.toml. The run owns all that is pointed to. */
struct report_target {
	const char *name;                /* the server's origin, or the file's name */
	bool is_file;                    /* it is the config.toml of a stopped server */
	bool is_stream;                  /* that file came from standard input */
	const char *from, *peer;         /* both ends of its connection, with ports; "" for none */
	bool read;                       /* false: only its name is known */
	const char *version;             /* as the server names it ("0.11.8"), or NULL */
	int minor_first, minor_last;     /* the versions 0.minor that its answers allow */
	const char *url_in_force;        /* the origin that it advertises now; NULL: not seen */
	const struct settings *settings; /* as they were read */
	const struct request *request;   /* what was planned for, with earlier stages' */
	const struct plan *plan;         /* NULL: nothing was planned */
	bool written;                    /* something may be written */
	bool would_write;                /* a dry run: without -n something would be */
	bool proved;                     /* all that was written was read back */
	size_t changed;                  /* keys that this run changed, proved */
	bool file_rewritten;             /* the server rewrote its config.toml */
	const char *snapshot_path;       /* NULL: none is kept */
	const char *snapshot_place;      /* " in FOLDER": where one was looked for; or "" */
	bool snapshot_kept;              /* the file is there at the run's end */
	const struct snapshot *snapshot; /* the run's, as it is on disk now; NULL: none was found */
	const struct part *part;         /* what it said of this target; or NULL */
	bool has_node;                   /* this target has a part in it: nodes[node] */
	size_t node;
	const char *boot_name;    /* the config.toml of its next start; NULL: not looked at */
	bool boot_found;          /* no option named it */
	bool boot_broken;         /* so the server was judged as it holds it in memory */
	const struct buf *diff;   /* the changes of a file, planned or made; NULL for a server */
	const struct buf *stream; /* a file that goes to standard output instead of the report */
};

/* A whole run. */
struct report {
	const struct options *options;
	const struct report_target *targets;
	size_t count;
	const struct messages *messages; /* of all targets */
	bool incomplete;                 /* memory ran out: some messages are missing */
	int exit;                        /* the exit status */
};

/* Append the report of stage, status or clear for a person. */
void report_text(struct buf *out, const struct report *r);

/* Append the messages, as a member of the one JSON object. */
void report_json_messages(struct jsonout *j, const struct messages *m);

/* Append the one JSON object. */
void report_json(struct buf *out, const struct report *r);

/*
 * Print what the run found and did: results on standard output, messages on standard error; with
 * --json both in one object on standard output. 0; or 1, with a message, if standard output could
 * not be written.
 */
int report_print(const struct report *r);

#endif
