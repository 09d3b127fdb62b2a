/*
 * target_build.h - what target.c, target_api.c and target_file.c do for each other; for target*.c
 * alone
 */
#ifndef TARGET_BUILD_H
#define TARGET_BUILD_H

#include "base/def.h"

struct credentials;
struct err;
struct target;
struct trust;

/* target_read and target_write of a server. */
int target_api_read(struct target *t, const struct trust *trust, struct credentials *c,
    struct err *err) WARN_UNUSED;
int target_api_write(struct target *t, struct err *err) WARN_UNUSED;

/*
 * target_read of a file: by the server's own rules. Refused where the server would not start with
 * it, or runs on it.
 */
int target_file_read(struct target *t, struct err *err) WARN_UNUSED;

/* target_write of a file: the text that target_edit made takes its place and is read back. */
int target_file_write(struct target *t, struct err *err) WARN_UNUSED;

/* From here on something may be written, and nothing is known of it. */
void target_unproved(struct target *t);

/*
 * Put into the snapshot's file that a write may have reached the server, or that a stage is proved.
 * 0 or -1.
 */
int target_save_sending(struct target *t, struct err *err) WARN_UNUSED;
int target_save_proved(struct target *t, struct err *err) WARN_UNUSED;

#endif
