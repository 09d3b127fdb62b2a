/* curves.h - the elliptic curves of a handshake */
#ifndef CURVES_H
#define CURVES_H

/*
 * The pointer to hand to br_ssl_engine_set_ec: a `const br_ec_impl *`. BearSSL's code for any prime
 * does all but X25519, in constant time. br_ec_all_m31 has its own for P-256 too: 8 KB, for half a
 * millisecond of a handshake.
 */
const void *curves_all(void);

#endif
