#include "format/proxy2.h"

#include <string.h>

static const unsigned char header[] = {
	/* the signature */
	0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
	0x20,      /* version 2, command LOCAL */
	0x00,      /* family AF_UNSPEC, protocol UNSPEC */
	0x00, 0x00 /* no bytes follow */
};
_Static_assert(sizeof(header) == PROXY2_LOCAL_LEN, "proxy-protocol.txt, 2.2: 12 + 1 + 1 + 2 bytes");

void
proxy2_local(unsigned char out[PROXY2_LOCAL_LEN])
{
	memcpy(out, header, sizeof(header));
}
