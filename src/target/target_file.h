/* target_file.h - a target that is a config.toml */
#ifndef TARGET_FILE_H
#define TARGET_FILE_H

#include "base/def.h"
#include "target/target.h"

/*
 * Read a file's text, before the process is confined. It is refused if a server is running with it,
 * which only a process that is not confined can see. 0 or -1 with err.
 */
int target_file_open(struct target *t, struct err *err) WARN_UNUSED;

/*
 * target_read of a file that is open: parse it by the server's own rules. It is refused if the
 * server would not start with it.
 */
int target_file_read(struct target *t, struct err *err) WARN_UNUSED;

/* target_write of a file: write the text that target_file_edit made, and read it back. */
int target_file_write(struct target *t, struct err *err) WARN_UNUSED;

/* Make a file's new text, which may be refused. Writes nothing. 0 or -1 with err. */
int target_file_edit(struct target *t, struct err *err) WARN_UNUSED;

/*
 * What to do where config.toml is read-only, or is made anew at each start: its keys belong into
 * its source. Whole sentences, in the target's pool. A plan says more exactly which keys.
 */
const char *target_source_words(struct target *t);

/* If it is such a file that a stage could not write, add those words to err. */
void target_file_explain(struct target *t, struct err *err);

#endif
