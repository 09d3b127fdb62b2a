#include "sys/dial.h"

#include "sys/deadline.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

_Static_assert(DIAL_TEXT_MAX >= INET6_ADDRSTRLEN, "an address fits");

/* A signal that comes just before poll does not wake it. */
enum { SLICE_MS = 250 };

int
dial_begin(const union resolve_addr *to)
{
	socklen_t len = to->sa.sa_family == AF_INET ? sizeof(to->in) : sizeof(to->in6);
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	int number;

	if (fd == -1 || connect(fd, &to->sa, len) == 0 || errno == EINPROGRESS || errno == EINTR)
		return fd;
	number = errno;
	close(fd);
	errno = number;
	return -1;
}

int
dial_result(int fd)
{
	socklen_t len = sizeof(int);
	int number = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len) == -1 ? errno : number;
}

static bool
is_not_now(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

ssize_t
dial_read(int fd, void *data, size_t len)
{
	ssize_t n = recv(fd, data, len, 0);

	return n >= 0 ? n : is_not_now() ? -1 : 0;
}

ssize_t
dial_send(int fd, const void *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

	return n >= 0 ? n : is_not_now() ? 0 : -1;
}

void
dial_format(const union resolve_addr *a, char *out)
{
	const void *address = a->sa.sa_family == AF_INET ? (const void *)&a->in.sin_addr
							 : (const void *)&a->in6.sin6_addr;

	if (!inet_ntop(a->sa.sa_family, address, out, DIAL_TEXT_MAX))
		out[0] = '\0';
}

void
dial_own(int fd, char *out)
{
	union resolve_addr a;
	socklen_t len = sizeof(a);

	out[0] = '\0';
	if (getsockname(fd, &a.sa, &len) == 0)
		dial_format(&a, out);
}

void
dial_close(int fd)
{
	close(fd);
}

void
dial_wait(struct pollfd *fds, size_t count, int64_t until)
{
	int64_t left = until - deadline_now();

	(void)poll(fds, count, left > SLICE_MS ? SLICE_MS : left > 0 ? (int)left : 0);
}
