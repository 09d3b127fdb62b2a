/* fingerprint.h - the hash of a secret, which tells two of them apart and shows neither */
#ifndef FINGERPRINT_H
#define FINGERPRINT_H

enum { FINGERPRINT_MAX = 33 };

/* The first 16 bytes of the text's SHA-256, in hexadecimal. Nothing of the text is left behind. */
void fingerprint(char out[FINGERPRINT_MAX], const char *text);

#endif
