/*
 * proxy2.h - the PROXY protocol's version 2 header, as haproxy's proxy-protocol.txt (section 2.2)
 * has it
 */
#ifndef PROXY2_H
#define PROXY2_H

#include "base/def.h"

enum { PROXY2_LOCAL_LEN = 16 }; /* bytes of a LOCAL header without addresses */

/*
 * Write the header of a connection that the sender makes for itself (LOCAL, family unspecified, no
 * addresses).
 */
void proxy2_local(unsigned char out[PROXY2_LOCAL_LEN]);

#endif
