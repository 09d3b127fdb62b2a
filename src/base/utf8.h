/* utf8.h - UTF-8, as RFC 3629 has it */
#ifndef UTF8_H
#define UTF8_H

#include "base/def.h"

#include <stdbool.h>

/*
 * Bytes of the character at s, of which len bytes (at least 1) may be read: 1 to 4, or 0 when it is
 * not UTF-8.
 */
size_t utf8_length(const char *s, size_t len);

/* The code point of the character of n bytes (utf8_length's, not 0) at s. */
unsigned utf8_code(const char *s, size_t n);

/*
 * Does a reader see this character for what it is? Not control characters (C0, C1, DEL), what
 * reorders or joins a text (bidirectional marks, format characters), fillers, and blanks other than
 * U+0020: Unicode's categories Cc, Cf, Zl, Zp and Zs, and Default_Ignorable_Code_Point.
 */
bool utf8_is_shown(unsigned code);

#endif
