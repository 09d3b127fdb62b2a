/* dial.h - many TCP connections at once: nothing here waits, but for dial_wait */
#ifndef DIAL_H
#define DIAL_H

#include "base/def.h"
#include "sys/resolve.h"

#include <poll.h>
#include <stdint.h>
#include <sys/types.h>

enum { DIAL_TEXT_MAX = 46 }; /* longest text of an address without a port, with its NUL */

/* Begin to connect. A socket, or -1 with errno. */
int dial_begin(const union resolve_addr *to);

/* What became of it, once it is ready for POLLOUT: 0 or errno. */
int dial_result(int fd);

/* Read what is there: bytes; 0 at the end, or after a reset; -1 if nothing is there yet. */
ssize_t dial_read(int fd, void *data, size_t len);

/* Send what goes now: bytes, 0 if none, -1 if the peer is gone. */
ssize_t dial_send(int fd, const void *data, size_t len);

/* Write the address as text, without its port and scope, into out[DIAL_TEXT_MAX]. */
void dial_format(const union resolve_addr *a, char *out);

/* The same for a connection's address on this host; "" if it has none. */
void dial_own(int fd, char *out);

void dial_close(int fd);

/* Wait until one is ready, or until then (as deadline_now counts), or for a signal; not for long.
 */
void dial_wait(struct pollfd *fds, size_t count, int64_t until);

#endif
