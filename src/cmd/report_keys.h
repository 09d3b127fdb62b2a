/* report_keys.h - the keys of a report: what changed, group by group, and values for a person */
#ifndef REPORT_KEYS_H
#define REPORT_KEYS_H

#include "base/def.h"

struct buf;
struct plan;
struct report;

enum {
	VALUE_MAX = 60,    /* a longer value is cut in the text; --json has it whole */
	ORIGINAL_MAX = 200 /* the same for one that stood before; the snapshot has it whole */
};

/* Append a value (NULL: absent), cut after max bytes. */
void report_value(struct buf *out, const char *value, size_t max);

/*
 * Append the keys that change or changed, below the title. A group's new keys are one line; a key
 * that replaces a value, or that is not as planned, has a line of its own. With -v each key has
 * one, also those that stay. Appends nothing if there is no key.
 */
void report_changes(
    struct buf *out, const struct report *r, const struct plan *p, const char *title);

#endif
