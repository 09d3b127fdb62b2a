#include "sys/listening.h"

#include "base/buf.h"
#include "format/toml.h"
#include "sys/file.h"
#include "sys/resolve.h"
#include "sys/running.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	PROC_MAX = 16 * 1024 * 1024, /* bytes of a table in /proc */
	SOCKETS_MAX = 16,            /* sockets that may listen at one address and port */
	/* <linux/netlink.h>, <linux/sock_diag.h>, <net/tcp_states.h> */
	NETLINK_DIAG = 4,
	DIAG_BY_FAMILY = 20,
	DIAG_DONE = 3,
	DIAG_REQUEST_DUMP = 0x301,
	DIAG_MAX = 8192, /* bytes that are read at once, as the kernel's documentation advises */
	STATE_LISTEN = 10
};

/* ---- is the address this host's own? ---- */

/* To an address of its own the kernel sends from that same address. Nothing is sent here. */
static bool
is_own(const union resolve_addr *a)
{
	union resolve_addr from = { 0 };
	socklen_t len = sizeof(from);
	bool ipv4 = a->sa.sa_family == AF_INET;
	int fd;

	if (resolve_is_loopback(a))
		return true;
	fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return false;
	if (connect(fd, &a->sa, ipv4 ? sizeof(a->in) : sizeof(a->in6)) == -1 ||
	    getsockname(fd, &from.sa, &len) == -1)
		from.sa.sa_family = AF_UNSPEC;
	close(fd);
	if (from.sa.sa_family != a->sa.sa_family)
		return false;
	return ipv4 ? from.in.sin_addr.s_addr == a->in.sin_addr.s_addr
		    : !memcmp(&from.in6.sin6_addr, &a->in6.sin6_addr, sizeof(from.in6.sin6_addr));
}

/* ---- the sockets that listen there ---- */

struct sockets {
	unsigned long inodes[SOCKETS_MAX];
	pid_t holder; /* the one process that holds them; 0: none */
	size_t count, held;
	bool unsure; /* too many, several holders, or something could not be seen */
};

/*
 * A question to the kernel and its answers, one for each socket (<linux/inet_diag.h>, which the C
 * library lacks). /proc/net/tcp tells the same, but walks all connections for it.
 */
struct diag_head {
	uint32_t len;
	uint16_t type, flags;
	uint32_t number, from;
};

struct diag_socket {
	uint16_t port, peer_port; /* these and the addresses in network order */
	uint32_t address[4], peer[4], device, cookie[2];
};

struct diag_question {
	struct diag_head head;
	uint8_t family, protocol, more, unused;
	uint32_t states;
	struct diag_socket socket;
};

struct diag_answer {
	struct diag_head head;
	uint8_t family, state, timer, retries;
	struct diag_socket socket;
	uint32_t expires, in_queue, out_queue, user, inode;
};

/* Add it if it takes what comes to this address (an IPv4 one is mapped): is it bound to that or to
 * all? */
static void
add_socket(struct sockets *s, const struct diag_answer *a, const uint32_t wanted[4])
{
	const uint32_t *to = a->socket.address;
	size_t words = a->family == AF_INET ? 1 : 4; /* the others are 0 */

	if ((to[0] | to[1] | to[2] | to[3]) && memcmp(to, wanted + 4 - words, words * 4) != 0)
		return;
	if (s->count == SOCKETS_MAX)
		s->unsure = true;
	else
		s->inodes[s->count++] = a->inode;
}

/* Take some of the answers. False behind the last, and after an error. */
static bool
take_answers(struct sockets *s, const char *data, size_t len, const uint32_t wanted[4])
{
	struct diag_answer answer;

	for (; len >= sizeof(answer.head); data += answer.head.len, len -= answer.head.len) {
		memcpy(&answer, data, len < sizeof(answer) ? len : sizeof(answer));
		if (answer.head.type == DIAG_DONE)
			return false;
		if (answer.head.type != DIAG_BY_FAMILY || answer.head.len < sizeof(answer) ||
		    answer.head.len > len)
			break;
		add_socket(s, &answer, wanted);
	}
	s->unsure |= len != 0;
	return !s->unsure;
}

/* Find the sockets of one family that listen for this address. */
static void
find_family(struct sockets *s, uint8_t family, const uint32_t wanted[4], uint16_t port)
{
	struct diag_question question;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_DIAG);
	char data[DIAG_MAX];
	ssize_t n;

	memset(&question, 0, sizeof(question));
	question.head.len = sizeof(question);
	question.head.type = DIAG_BY_FAMILY;
	question.head.flags = DIAG_REQUEST_DUMP;
	question.family = family;
	question.protocol = IPPROTO_TCP;
	question.states = 1u << STATE_LISTEN;
	question.socket.port = port;
	if (fd == -1 || send(fd, &question, sizeof(question), 0) == -1) {
		s->unsure = true;
	} else {
		do
			n = recv(fd, data, sizeof(data), 0);
		while (n > 0 && take_answers(s, data, (size_t)n, wanted));
		s->unsure |= n <= 0;
	}
	if (fd != -1)
		close(fd);
}

/* A socket of IPv6 may take IPv4 too. */
static void
find_sockets(struct sockets *s, const union resolve_addr *a)
{
	uint32_t wanted[4];

	if (a->sa.sa_family == AF_INET6) {
		memcpy(wanted, &a->in6.sin6_addr, sizeof(wanted));
		find_family(s, AF_INET6, wanted, a->in6.sin6_port);
		return;
	}
	memset(wanted, 0, sizeof(wanted));
	wanted[2] = htonl(0xffff);
	wanted[3] = a->in.sin_addr.s_addr;
	find_family(s, AF_INET6, wanted, a->in.sin_port);
	find_family(s, AF_INET, wanted, a->in.sin_port);
}

/* ---- who holds them ---- */

/* Does this link of a process lead to one of the sockets? 0 or 1, or -1: it may not be read. */
static int
is_socket(const struct sockets *s, int folder, const char *name)
{
	static const char socket[] = "socket:[";
	char link[64];
	ssize_t n = readlinkat(folder, name, link, sizeof(link) - 1);
	unsigned long inode;
	size_t i;

	if (n == -1 && errno == EACCES)
		return -1;
	link[n > 0 ? n : 0] = '\0';
	if (strncmp(link, socket, strlen(socket)) != 0)
		return 0;
	inode = strtoul(link + strlen(socket), NULL, 10);
	for (i = 0; i < s->count; i++) {
		if (s->inodes[i] == inode)
			return 1;
	}
	return 0;
}

/* An entry of a folder, as the kernel gives it; `size` bytes with its whole name. */
struct entry {
	uint64_t inode, offset;
	uint16_t size;
	uint8_t type;
	char name[1];
};

/* Look at all open files of a process. readdir would map and unmap memory for each. */
static void
look_at(struct sockets *s, int proc, pid_t pid)
{
	_Alignas(struct entry) char entries[4096];
	char path[32];
	struct entry e;
	int folder, found = 0;
	long n, at;

	snprintf(path, sizeof(path), "%ld/fd", (long)pid);
	folder = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder == -1) {
		s->unsure |= errno != ENOENT && errno != ESRCH;
		return;
	}
	while (found != -1 && (n = syscall(SYS_getdents64, folder, entries, sizeof(entries))) > 0) {
		for (at = 0; at < n && found != -1; at += e.size) {
			memcpy(&e, entries + at, offsetof(struct entry, name));
			found = e.type == DT_LNK
			    ? is_socket(s, folder, entries + at + offsetof(struct entry, name))
			    : 0;
			if (found != 1)
				continue;
			s->held++;
			s->unsure |= s->holder && s->holder != pid;
			s->holder = pid;
		}
	}
	close(folder);
}

/*
 * The kernel's own threads, most of the processes of many a host, have no files. They are the
 * children of the second process, which has no program (in a container that is another one).
 */
static void
read_kernel_threads(struct buf *pids)
{
	char program[1];

	buf_char(pids, ' ');
	if (readlink("/proc/2/exe", program, sizeof(program)) != -1 || errno != ENOENT ||
	    file_read(pids, "/proc/2/task/2/children", PROC_MAX, NULL) != 0)
		buf_free(pids);
}

static bool
is_among(const struct buf *pids, pid_t pid)
{
	char word[32];

	snprintf(word, sizeof(word), " %ld ", (long)pid);
	return buf_text(pids) && strstr(buf_text(pids), word) != NULL;
}

static void
find_holder(struct sockets *s)
{
	DIR *proc = opendir("/proc");
	struct buf threads = { 0 };
	struct dirent *entry;
	bool first = false;

	read_kernel_threads(&threads);
	/* cppcheck-suppress readdirCalled ; there is one thread */
	while (proc && !s->unsure && (entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		first |= pid == 1;
		if (pid > 0 && !is_among(&threads, pid))
			look_at(s, dirfd(proc), pid);
	}
	if (proc)
		closedir(proc);
	buf_free(&threads);
	s->unsure |= !first || s->held < s->count; /* what is hidden may hold one too */
}

/* ---- its file ---- */

static int
open_regular(int fd)
{
	struct stat st;

	if (fd != -1 && (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * An absolute link leads elsewhere in a root of its own, so the kernel has to follow it there. One
 * that can't (before 5.6) is asked the usual way, if the root is the same.
 */
static int
open_in_root(pid_t pid, const char *name, bool own_root)
{
	const struct {
		uint64_t flags, mode, resolve;
	} how = { O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0, 0x10 /* RESOLVE_IN_ROOT */ };
	enum { OPENAT2 = 437 }; /* the same on all of Linux's architectures but alpha */
	char path[PATH_MAX + 64];
	int root, fd, why;

	snprintf(path, sizeof(path), "/proc/%ld/root", (long)pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root == -1)
		return -1;
	fd = (int)syscall(OPENAT2, root, name, &how, sizeof(how));
	why = errno;
	close(root);
	if (fd != -1 || why != ENOSYS || own_root)
		return fd;
	snprintf(path, sizeof(path), "/proc/%ld/root%s", (long)pid, name);
	return file_open(path);
}

/* Open the file that the argument names. A relative name in a root of its own is not certain. */
static int
open_named(struct listening *l, pid_t pid, const char *name)
{
	bool own_root = running_has_own_root(pid);
	char folder[PATH_MAX] = "", through[64];
	ssize_t n;

	if (*name != '/') {
		snprintf(through, sizeof(through), "/proc/%ld/cwd", (long)pid);
		n = own_root ? -1 : readlink(through, folder, sizeof(folder) - 2);
		if (n <= 0)
			return -1;
		folder[n] = '/';
		folder[n + 1] = '\0';
	}
	if (snprintf(l->path, sizeof(l->path), "%s%s", folder, name) >= (int)sizeof(l->path))
		return -1;
	return open_regular(open_in_root(pid, l->path, own_root));
}

/* The one file that the arguments name, open; or -1. */
static int
open_argument(struct listening *l, pid_t pid)
{
	struct buf strings = { 0 };
	const char *s, *end, *value, *found = NULL;
	char path[64];
	int fd = -1;
	bool several = false;

	snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)pid);
	if (file_read(&strings, path, PROC_MAX, NULL) == 0 && buf_text(&strings)) {
		end = strings.data + strings.len;
		for (s = strings.data; s < end; s += strlen(s) + 1) {
			value = running_config_value(s);
			if (value && !*value && s + strlen(s) + 1 < end)
				value = s + strlen(s) + 1;
			several |= value && *value && found;
			found = value && *value ? value : found;
		}
		if (found && !several)
			fd = open_named(l, pid, found);
	}
	buf_free(&strings);
	return fd;
}

bool
listening_read(struct listening *l, struct buf *text, const struct resolved *to)
{
	char name[RUNNING_NAME_MAX];
	struct sockets s = { 0 };
	bool done;
	size_t i;
	int fd;

	memset(l, 0, sizeof(*l));
	for (i = 0; i < to->count && !s.unsure; i++) {
		s.unsure = !is_own(&to->addr[i]);
		if (!s.unsure)
			find_sockets(&s, &to->addr[i]);
	}
	if (!s.unsure && s.count)
		find_holder(&s);
	if (s.unsure || !s.holder)
		return false;
	fd = open_argument(l, s.holder);
	if (fd == -1)
		return false;
	running_read_name(name, s.holder);
	name[strcspn(name, ",")] = '\0';
	l->named_so = strstr(name, "stalwart") != NULL;
	done = file_read_stream(text, fd, TOML_TEXT_MAX, NULL, l->path, NULL) == 0;
	close(fd);
	return done;
}
