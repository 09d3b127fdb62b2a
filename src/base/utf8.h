/* utf8.h - UTF-8, as RFC 3629 has it */
#ifndef UTF8_H
#define UTF8_H

#include "base/def.h"

/*
 * Bytes of the character at s, of which len bytes (at least 1) may be read: 1 to 4, or 0 when it is
 * not UTF-8.
 */
size_t utf8_length(const char *s, size_t len);

#endif
