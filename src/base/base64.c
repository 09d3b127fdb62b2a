#include "base/base64.h"

void
base64_four(char *out, const unsigned char *in, size_t len)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned long v = (unsigned long)in[0] << 16;

	v |= len > 1 ? (unsigned long)in[1] << 8 : 0;
	v |= len > 2 ? in[2] : 0;
	out[0] = digits[v >> 18 & 63];
	out[1] = digits[v >> 12 & 63];
	out[2] = len > 1 ? digits[v >> 6 & 63] : '=';
	out[3] = len > 2 ? digits[v & 63] : '=';
}
