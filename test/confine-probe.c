/*
 * confine-probe FREE|CONFINED|LOOKING|NAMES FOLDER PORT ACTION [ARG]
 *
 * Confines itself with the program's own code (unless FREE), with FOLDER (LOOKING: only to read it;
 * NAMES: to look names up in its place)
 * and PORT kept. Then does one thing that an attacker inside the process might try, and prints
 * "done" or "errno N".
 */
#include "base/err.h"
#include "sys/confine.h"
#include "sys/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *folder, *argument;

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
do_signal(void)
{
	return kill(getppid(), 0);
}

/* ---- sockets ---- */

static long
do_bind(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };

	return bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&any, sizeof(any));
}

static long
do_connect(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(argument)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof(to));
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

static const struct {
	const char *name;
	long (*act)(void);
} actions[] = {
	{ "exec", do_exec },
	{ "signal", do_signal },
	{ "bind", do_bind },
	{ "connect", do_connect },
	{ "read", do_read },
	{ "write", do_write },
	{ "list", do_list },
	{ "create", do_create },
	{ "remove", do_remove },
	{ "make-folder", do_make_folder },
	{ "truncate", do_truncate },
	{ "move-in", do_move_in },
	{ "snapshot", do_snapshot },
	{ "terminal", do_terminal },
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
	uint16_t port;
	struct confine_keep keep = { .ports = &port, .count = 1 };
	struct confined c;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc < 5)
		return 2;
	folder = keep.folder = argv[2];
	port = (uint16_t)atoi(argv[3]);
	argument = argc > 5 ? argv[5] : "";
	keep.terminal = !strcmp(argument, "kept");
	keep.writes = strcmp(argv[1], "LOOKING") != 0;
	keep.names = !strcmp(argv[1], "NAMES");
	if (keep.names)
		keep.folder = NULL;
	if (strcmp(argv[1], "FREE") != 0) {
		confine_begin();
		c = confine(&keep);
		printf("no_new_privs=%d landlock=%d\n", c.no_new_privs, c.landlock);
	}
	return try_one(argv[4]);
}
