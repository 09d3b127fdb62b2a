/* curves.h - the elliptic curves of a handshake */
#ifndef CURVES_H
#define CURVES_H

/*
 * The pointer to hand to br_ssl_engine_set_ec: a `const br_ec_impl *`. P-256 and X25519, which are
 * the usual ones, have BearSSL's own code; that for any prime does the others. All are in constant
 * time.
 */
const void *curves_all(void);

#endif
