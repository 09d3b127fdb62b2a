/* crc32.h - the checksum of a snapshot, for texts that tests make or change */
#ifndef CRC32_H
#define CRC32_H

#include <stddef.h>
#include <stdint.h>

/* ISO 3309's checksum of len bytes, one bit after the other; "123456789" has cbf43926. */
static inline uint32_t
crc32(const char *data, size_t len)
{
	uint32_t crc = UINT32_MAX;
	size_t i;

	for (i = 0; i < 8 * len; i++) {
		uint32_t bit = (crc ^ (unsigned char)data[i / 8] >> i % 8) & 1;

		crc = crc >> 1 ^ (bit ? 0xedb88320u : 0);
	}
	return ~crc;
}

#endif
