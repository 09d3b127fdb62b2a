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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	PROC_MAX = 16 * 1024 * 1024, /* bytes of a table in /proc */
	SOCKETS_MAX = 16,            /* sockets that may listen at one address and port */
	/* of /proc/net/tcp: fields of a line, and TCP_LISTEN */
	FIELD_LOCAL = 1,
	FIELD_STATE = 3,
	FIELD_INODE = 9,
	STATE_LISTEN = 0x0a
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

/* An address of 4 or 16 bytes as /proc/net/tcp has it: words of the host's order in hexadecimal. */
static void
write_hex(char *out, const void *address, size_t len)
{
	uint32_t word;
	size_t i;

	for (i = 0; i < len; i += 4) {
		memcpy(&word, (const char *)address + i, 4);
		snprintf(out + i * 2, 9, "%08X", (unsigned)word);
	}
}

/* The n-th field of a line, counted from 0; at its end where it has fewer. */
static const char *
field(const char *line, int n)
{
	for (line += strspn(line, " "); n; n--) {
		line += strcspn(line, " \n");
		line += strspn(line, " ");
	}
	return line;
}

/* Add what listens at this address (in that spelling) and port, by a table of /proc/net. */
static void
add_sockets(struct sockets *s, const struct buf *table, const char *address, unsigned port)
{
	const char *line = table->data, *end;
	char local[64];
	size_t len;

	snprintf(local, sizeof(local), "%s:%04X ", address, port);
	len = strlen(local);
	for (; line && (end = strchr(line, '\n')); line = end + 1) {
		if (strncmp(field(line, FIELD_LOCAL), local, len) != 0 ||
		    strtoul(field(line, FIELD_STATE), NULL, 16) != STATE_LISTEN)
			continue;
		if (s->count == SOCKETS_MAX)
			s->unsure = true;
		else
			s->inodes[s->count++] = strtoul(field(line, FIELD_INODE), NULL, 10);
	}
}

/* A socket of IPv6 may take IPv4 too. */
static void
find_sockets(struct sockets *s, const union resolve_addr *a, const struct buf tables[2])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	unsigned char address[16] = { 0 };
	unsigned port = ntohs(a->sa.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);
	char text[33];

	write_hex(text, address, 16);
	add_sockets(s, &tables[1], text, port);
	if (a->sa.sa_family == AF_INET6) {
		write_hex(text, &a->in6.sin6_addr, 16);
		add_sockets(s, &tables[1], text, port);
		return;
	}
	memcpy(address, mapped, sizeof(mapped));
	memcpy(address + sizeof(mapped), &a->in.sin_addr, 4);
	write_hex(text, address, 16);
	add_sockets(s, &tables[1], text, port);
	write_hex(text, &a->in.sin_addr, 4);
	add_sockets(s, &tables[0], text, port);
	add_sockets(s, &tables[0], "00000000", port);
}

static void
find_all_sockets(struct sockets *s, const struct resolved *to)
{
	struct buf tables[2] = { { 0 }, { 0 } };
	size_t i;

	/* a host without IPv6 has no second table */
	s->unsure = file_read(&tables[0], "/proc/net/tcp", PROC_MAX, NULL) != 0 ||
	    file_read(&tables[1], "/proc/net/tcp6", PROC_MAX, NULL) == -1;
	for (i = 0; i < to->count && !s->unsure; i++) {
		s->unsure = !is_own(&to->addr[i]) || !buf_text(&tables[0]) || !buf_text(&tables[1]);
		if (!s->unsure)
			find_sockets(s, &to->addr[i], tables);
	}
	buf_free(&tables[0]);
	buf_free(&tables[1]);
}

/* ---- who holds them ---- */

/* Does this link of a process lead to one of the sockets? */
static bool
is_socket(const struct sockets *s, int folder, const char *name)
{
	static const char socket[] = "socket:[";
	char link[64];
	ssize_t n = readlinkat(folder, name, link, sizeof(link) - 1);
	unsigned long inode;
	size_t i;

	link[n > 0 ? n : 0] = '\0';
	if (strncmp(link, socket, strlen(socket)) != 0)
		return false;
	inode = strtoul(link + strlen(socket), NULL, 10);
	for (i = 0; i < s->count; i++) {
		if (s->inodes[i] == inode)
			return true;
	}
	return false;
}

static void
look_at(struct sockets *s, pid_t pid)
{
	struct dirent *entry;
	char path[64];
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
	fds = opendir(path);
	if (!fds) {
		s->unsure |= errno != ENOENT && errno != ESRCH;
		return;
	}
	/* cppcheck-suppress readdirCalled ; there is one thread */
	while ((entry = readdir(fds))) {
		if (!is_socket(s, dirfd(fds), entry->d_name))
			continue;
		s->held++;
		s->unsure |= s->holder && s->holder != pid;
		s->holder = pid;
	}
	closedir(fds);
}

static void
find_holder(struct sockets *s)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool first = false;

	/* cppcheck-suppress readdirCalled ; there is one thread */
	while (proc && !s->unsure && (entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		first |= pid == 1;
		if (pid > 0)
			look_at(s, pid);
	}
	if (proc)
		closedir(proc);
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
	int fd;

	memset(l, 0, sizeof(*l));
	find_all_sockets(&s, to);
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
