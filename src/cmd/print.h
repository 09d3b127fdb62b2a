/* print.h - the change set in the formats of print */
#ifndef PRINT_H
#define PRINT_H

#include "base/def.h"
#include "settings/changeset.h"

#include <stdbool.h>

struct buf;
struct options;

/* What a format prints. The caller owns all of it. */
struct print {
	const struct options *options;
	const struct changeset *set;
	const struct dialect *dialect;
};

/* Append the change set in options->format; with options->clear, how to undo it. */
void print_format(struct buf *out, const struct print *p);

#endif
