/* report.h - what a run found and did, as data: for a person as text, for a program as JSON */
#ifndef REPORT_H
#define REPORT_H

#include "base/def.h"

#include <stdbool.h>

struct buf;
struct messages;
struct options;
struct plan;
struct run;
struct settings;
struct snapshot;

/* One server, or its config.toml. All that is pointed to is the run's. */
struct report_target {
	const char *name;                /* the server's origin, or the file's name */
	bool is_file;                    /* it is the config.toml of a server that does not run */
	bool is_stream;                  /* that file came from standard input */
	bool read;                       /* it was read: else only its name is known */
	const char *version;             /* as the server names it ("0.11.8"), or NULL */
	int minor_first, minor_last;     /* the versions 0.minor that its answers allow */
	const char *url_in_force;        /* the origin that it advertises now; NULL: not seen */
	const struct settings *settings; /* as they were read */
	const struct plan *plan;         /* NULL: nothing was planned */
	bool written;                    /* something may be written */
	bool proved;                     /* all that was written was read back */
	size_t changed;                  /* keys that this run changed, proved */
	bool file_rewritten;             /* the server rewrote its config.toml */
	const char *snapshot_path;       /* NULL: none is kept */
	bool snapshot_kept;              /* the file is there at the run's end */
	/* the one that was found, as it is on disk now; NULL: none was */
	const struct snapshot *snapshot;
	/* of a file: its changes, planned or made, as a unified diff; NULL for a server */
	const struct buf *diff;
};

/* A whole run. */
struct report {
	const struct options *options;
	const struct report_target *targets;
	size_t count;
	const struct messages *messages; /* of all targets */
	int exit;                        /* the exit status */
};

/* Append the report of stage, status or clear for a person. */
void report_text(struct buf *out, const struct report *r);

/* Append the one JSON object. */
void report_json(struct buf *out, const struct report *r);

/*
 * Print what the run found and did, where its options want it: results on standard output, the rest
 * on standard error; with --json all of it in the one object. 0; or 1 when standard output could
 * not be written, which is said.
 */
int report_print(const struct run *r);

#endif
