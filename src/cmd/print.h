/*
 * print.h - the change set as a text, a curl script, an API body, a config.toml fragment or a list
 * of keys
 */
#ifndef PRINT_H
#define PRINT_H

#include "base/def.h"
#include "settings/changeset.h"

#include <stdbool.h>

struct buf;
struct options;

/* All that a format is made of; everything is the caller's. */
struct print {
	const struct options *options;
	const struct changeset *set;
	const struct dialect *dialect;
};

/* Append the change set, or with options->clear its undoing, in options->format. */
void print_format(struct buf *out, const struct print *p);

#endif
