/* target_api.h - a target that is a server, over its management API; only target.c uses it */
#ifndef TARGET_API_H
#define TARGET_API_H

#include "base/def.h"
#include "target/target.h"

/* Are all settings read? The checks before a write need them, and the comparison with a file. */
bool target_reads_all(const struct target *t);

/* target_read and target_write of a server. */
int target_api_read(struct target *t, const struct trust *trust, struct credentials *c,
    struct err *err) WARN_UNUSED;
int target_api_write(struct target *t, struct err *err) WARN_UNUSED;

#endif
