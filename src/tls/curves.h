/* curves.h - the elliptic curves of a handshake */
#ifndef CURVES_H
#define CURVES_H

/*
 * The pointer to hand to br_ssl_engine_set_ec: a `const br_ec_impl *`. X25519 is done by BearSSL's
 * code for it; P-256, P-384 and P-521 by its code for any of them, in constant time.
 * br_ec_all_m31 has one more for P-256: 8 KB, for 2 ms of a handshake.
 */
const void *curves_all(void);

#endif
