#include "tls/fingerprint.h"

#include "base/def.h"

#include <bearssl.h>
#include <stdio.h>
#include <string.h>

void
fingerprint(char out[FINGERPRINT_MAX], const char *text)
{
	unsigned char hash[br_sha256_SIZE];
	br_sha256_context ctx;
	size_t i;

	br_sha256_init(&ctx);
	br_sha256_update(&ctx, text, strlen(text));
	br_sha256_out(&ctx, hash);
	for (i = 0; i < (FINGERPRINT_MAX - 1) / 2; i++)
		snprintf(out + 2 * i, 3, "%02x", hash[i]);
	wipe(&ctx, sizeof(ctx));
	wipe(hash, sizeof(hash));
}
