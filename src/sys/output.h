/* output.h - bytes to standard output and standard error */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "base/def.h"

/*
 * Write all bytes to a descriptor. One that does not block and is full is waited for, and so is a
 * slow reader, until a signal asks to stop after this began. 0; or -1 with errno.
 */
int output_write(int fd, const char *data, size_t len) WARN_UNUSED;

#endif
