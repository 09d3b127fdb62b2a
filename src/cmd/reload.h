/* reload.h - ask a server to reload, and report its answer */
#ifndef RELOAD_H
#define RELOAD_H

#include "base/def.h"
#include "settings/message.h"

#include <stdbool.h>

struct api_reloaded;
struct err;
struct run;
struct target;

/*
 * Add the server's errors and warnings to the run's messages. Each says whether stalprep staged its
 * key. The snapshot shows that; after a clear no key counts as staged.
 */
void reload_report(struct run *r, const struct target *t, const struct api_reloaded *answer);

/* Add a sentence of what came of it, of t where there are several targets. */
void reload_say(struct run *r, const struct target *t, enum message_level level, const char *text);

/*
 * Ask the server to reload, or with dry_run to try it. 0 with its errors in *answer; or -1 with
 * err, which says if it is not known whether the server reloaded.
 */
int reload_ask(struct run *r, struct target *t, bool dry_run, struct api_reloaded *answer,
    struct err *err) WARN_UNUSED;

#endif
