/* when.h - a moment as text */
#ifndef WHEN_H
#define WHEN_H

#include "base/def.h"

#include <stdint.h>

enum { WHEN_MAX = 40 }; /* longest text with its NUL */

/*
 * Write seconds since 1970 as RFC 3339 in UTC, "2026-11-23T12:00:00Z", into out[WHEN_MAX]; years 0
 * to 9999 only, else "?".
 */
void when_format(char *out, int64_t seconds);

#endif
