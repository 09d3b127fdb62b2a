#include "sys/output.h"

#include "sys/deadline.h"
#include "sys/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { CHUNK = 4096 }; /* a pipe that is ready takes this much without blocking (PIPE_BUF) */

int
output_write(int fd, const char *data, size_t len)
{
	ssize_t n;

	interrupt_signal = 0; /* an earlier one has ended the work; what came of it is told still */
	while (len) {
		if (deadline_poll(&until_interrupted, fd, POLLOUT, "", NULL) == -1) {
			errno = EINTR;
			return -1;
		}
		n = write(fd, data, len < CHUNK ? len : CHUNK);
		if (n == -1 && errno != EINTR && errno != EAGAIN)
			return -1;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}
