/* crc32.h - the checksum of zip and PNG (ISO 3309), against damage, not against intent */
#ifndef CRC32_H
#define CRC32_H

#include "base/def.h"

#include <stdint.h>

/* The checksum of len bytes; the same as zlib's crc32(). */
uint32_t crc32(const void *data, size_t len);

#endif
