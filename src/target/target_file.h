/* target_file.h - a target that is a config.toml */
#ifndef TARGET_FILE_H
#define TARGET_FILE_H

#include "base/def.h"
#include "target/target.h"

/*
 * target_read of a file: by the server's own rules. Refused where the server would not start with
 * it, or runs on it.
 */
int target_file_read(struct target *t, struct err *err) WARN_UNUSED;

/* target_write of a file: the text that target_edit made takes its place and is read back. */
int target_file_write(struct target *t, struct err *err) WARN_UNUSED;

/* Of a file: make its new text, which may be refused. Nothing is written yet. 0 or -1. */
int target_edit(struct target *t, struct err *err) WARN_UNUSED;

#endif
