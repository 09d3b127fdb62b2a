/*
 * confine-probe FREE|CONFINED FOLDER PORT ACTION [ARG]
 *
 * Confines itself with the program's own code (unless FREE), with FOLDER and PORT kept, then does
 * one thing that a process taken over by a peer might try, and prints "done", or the name of the
 * error; a signal may end it. Without arguments it lists the actions.
 */
#include "base/err.h"
#include "sys/confine.h"
#include "sys/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *folder, *argument;
static int sock = -1; /* made before the confinement */

static int
path_in_folder(char *out, const char *name)
{
	return snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX ? 0 : -1;
}

/* ---- programs and processes ---- */

static long
do_exec(void)
{
	return execl(argument, argument, (char *)NULL);
}

static long
do_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid == -1 ? -1 : waitpid(pid, NULL, 0);
}

static long
do_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}
static long
do_kill(void)
{
	return kill(getppid(), 0);
}
static long
do_unshare(void)
{
	return syscall(SYS_unshare, 0);
}

static long
do_peek(void)
{
	char a, b;
	struct iovec {
		void *p;
		size_t n;
	} to = { &a, 1 }, from = { &b, 1 };

	return syscall(SYS_process_vm_readv, getpid(), &to, 1, &from, 1, 0);
}

/* ---- new code ---- */

static long
do_map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		MAP_FAILED
	    ? -1
	    : 0;
}

static long
do_make_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -1 : mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static long
do_map_data(void)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -1 : mprotect(p, 4096, PROT_READ | PROT_WRITE);
}

static long
do_memfd(void)
{
	return syscall(SYS_memfd_create, "x", 0);
}

/* ---- sockets ---- */

static long
do_bind(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };

	return bind(sock, (struct sockaddr *)&any, sizeof(any));
}

static long
do_listen(void)
{
	return listen(sock, 1);
}
static long
do_accept(void)
{
	return accept4(sock, NULL, NULL, 0);
}
static long
do_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}
static long
do_udp(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}
static long
do_udp6(void)
{
	return socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
}
static long
do_any_stream(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}
static long
do_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0);
}
static long
do_tcp(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
}
static long
do_tcp6(void)
{
	return socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
}

static long
do_connect(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(argument)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return connect(sock, (struct sockaddr *)&to, sizeof(to));
}

/* ---- files ---- */

static long
do_read(void)
{
	return open(argument, O_RDONLY);
}
static long
do_write(void)
{
	return open(argument, O_WRONLY);
}
static long
do_list(void)
{
	return open(argument, O_RDONLY | O_DIRECTORY);
}
static long
do_create(void)
{
	return open(argument, O_WRONLY | O_CREAT | O_EXCL, 0600);
}
static long
do_remove(void)
{
	return unlink(argument);
}
static long
do_make_folder(void)
{
	return mkdir(argument, 0700);
}
static long
do_truncate(void)
{
	return truncate(argument, 0);
}
static long
do_chmod(void)
{
	return chmod(argument, 0644);
}
static long
do_chown(void)
{
	return fchownat(AT_FDCWD, argument, getuid(), getgid(), 0);
}
static long
do_link(void)
{
	return linkat(AT_FDCWD, argument, AT_FDCWD, "linked", 0);
}
static long
do_symlink(void)
{
	return symlinkat("/etc", AT_FDCWD, argument);
}
static long
do_handle(void)
{
	return syscall(SYS_open_by_handle_at, -1, NULL, 0);
}

static long
do_move_in(void)
{
	char to[PATH_MAX];

	return path_in_folder(to, "moved") == -1 ? -1 : rename(argument, to);
}

/* What the program does with its snapshot: written, replaced, renamed, removed. */
static long
do_snapshot(void)
{
	char path[PATH_MAX], other[PATH_MAX];
	struct err err;

	if (path_in_folder(path, "probe.json") == -1 ||
	    path_in_folder(other, "probe.json.cleared") == -1)
		return -1;
	if (file_replace(path, "1", 1, -1, &err) == -1 ||
	    file_replace(path, "2", 1, -1, &err) == -1 || file_rename(path, other, &err) == -1 ||
	    file_remove(other, &err) == -1) {
		errno = err.code;
		return -1;
	}
	return 0;
}

/* The question for the second factor: opened, and its echo turned off. */
static long
do_terminal(void)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	char room[256];

	return fd == -1 ? -1 : ioctl(fd, TCGETS, room);
}

static long
do_type(void)
{
	return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

/* ---- privileges, keys, the machine ---- */

static long
do_setuid(void)
{
	return syscall(SYS_setuid, getuid());
}
static long
do_setgroups(void)
{
	return syscall(SYS_setgroups, 0, NULL);
}
static long
do_capset(void)
{
	return syscall(SYS_capset, NULL, NULL);
}
static long
do_keyctl(void)
{
	return syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}
static long
do_mount(void)
{
	return syscall(SYS_mount, NULL, NULL, NULL, 0, NULL);
}
static long
do_chroot(void)
{
	return syscall(SYS_chroot, "/");
}
static long
do_module(void)
{
	return syscall(SYS_finit_module, -1, "", 0);
}
static long
do_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0);
}
static long
do_perf(void)
{
	return syscall(SYS_perf_event_open, NULL, 0, 0, -1, 0);
}
static long
do_userfaultfd(void)
{
	return syscall(SYS_userfaultfd, 0);
}
#ifdef SYS_io_uring_setup
static long
do_io_uring(void)
{
	return syscall(SYS_io_uring_setup, 0, NULL);
}
#endif

/* ---- the same processor's other ways into the kernel ---- */

#if defined(__x86_64__) && !defined(__ILP32__)
static long
do_x32(void)
{
	return syscall(0x40000000 + SYS_getpid);
}

static long
do_compat(void)
{
	long r;

	/* i386's getpid */
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
	return r < 0 ? -1 : 0;
}
#endif

static long
do_nothing(void)
{
	return 0;
}

static const struct {
	const char *name;
	long (*act)(void);
} actions[] = {
	{ "exec", do_exec },
	{ "fork", do_fork },
	{ "ptrace", do_ptrace },
	{ "kill", do_kill },
	{ "unshare", do_unshare },
	{ "peek", do_peek },
	{ "map-code", do_map_code },
	{ "make-code", do_make_code },
	{ "map-data", do_map_data },
	{ "memfd", do_memfd },
	{ "bind", do_bind },
	{ "listen", do_listen },
	{ "accept", do_accept },
	{ "unix", do_unix },
	{ "udp", do_udp },
	{ "udp6", do_udp6 },
	{ "any-stream", do_any_stream },
	{ "netlink", do_netlink },
	{ "tcp", do_tcp },
	{ "tcp6", do_tcp6 },
	{ "connect", do_connect },
	{ "read", do_read },
	{ "write", do_write },
	{ "list", do_list },
	{ "create", do_create },
	{ "remove", do_remove },
	{ "make-folder", do_make_folder },
	{ "truncate", do_truncate },
	{ "chmod", do_chmod },
	{ "chown", do_chown },
	{ "link", do_link },
	{ "symlink", do_symlink },
	{ "handle", do_handle },
	{ "move-in", do_move_in },
	{ "snapshot", do_snapshot },
	{ "terminal", do_terminal },
	{ "type", do_type },
	{ "setuid", do_setuid },
	{ "setgroups", do_setgroups },
	{ "capset", do_capset },
	{ "keyctl", do_keyctl },
	{ "mount", do_mount },
	{ "chroot", do_chroot },
	{ "module", do_module },
	{ "bpf", do_bpf },
	{ "perf", do_perf },
	{ "userfaultfd", do_userfaultfd },
	{ "nothing", do_nothing },
#ifdef SYS_io_uring_setup
	{ "io-uring", do_io_uring },
#endif
#if defined(__x86_64__) && !defined(__ILP32__)
	{ "x32", do_x32 },
	{ "compat", do_compat },
#endif
};

static int
try_one(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT(actions); i++) {
		if (strcmp(actions[i].name, name) != 0)
			continue;
		errno = 0;
		if (actions[i].act() == -1)
			printf("errno %d\n", errno);
		else
			puts("done");
		return 0;
	}
	return 2;
}

int
main(int argc, char **argv)
{
	char file[PATH_MAX];
	uint16_t port;
	struct confine_keep keep = { .file = file, .ports = &port, .count = 1 };
	struct confined c;
	size_t i;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; argc == 1 && i < COUNT(actions); i++)
		puts(actions[i].name);
	if (argc < 5)
		return argc == 1 ? 0 : 2;
	folder = argv[2];
	port = (uint16_t)atoi(argv[3]);
	argument = argc > 5 ? argv[5] : "";
	keep.terminal = !strcmp(argument, "kept");
	if (path_in_folder(file, "x") == -1)
		return 2;
	sock = socket(AF_INET, SOCK_STREAM, 0);
	if (!strcmp(argv[1], "CONFINED")) {
		confine_begin();
		c = confine(&keep);
		printf("no_new_privs=%d landlock=%d seccomp=%d\n", c.no_new_privs, c.landlock,
		    c.seccomp);
	}
	return try_one(argv[4]);
}
