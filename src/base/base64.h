/* base64.h - the digits of base64 (RFC 4648, 4) */
#ifndef BASE64_H
#define BASE64_H

#include "base/def.h"

/*
 * Write the four digits of up to three bytes into out[4]; len counts the bytes that are left, these
 * and later ones.
 */
void base64_four(char *out, const unsigned char *in, size_t len);

#endif
