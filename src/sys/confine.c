#include "sys/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void
confine_begin(void)
{
	const struct rlimit none = { 0, 0 };

	(void)prlimit(0, RLIMIT_CORE, &none, NULL);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* ---- Landlock: numbers and structures are those of <linux/landlock.h> ---- */

enum { LANDLOCK_CREATE_RULESET_VERSION = 1 };
enum { LANDLOCK_RULE_PATH_BENEATH = 1, LANDLOCK_RULE_NET_PORT = 2 };
enum {
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_REG = 1 << 8,
	FS_TRUNCATE = 1 << 14,
	FS_IOCTL_DEV = 1 << 15,
	FS_ALL_ABI_1 = 0x1fff,
	FS_ALL_ABI_2 = 0x3fff, /* and REFER */
	FS_ALL_ABI_3 = 0x7fff, /* and TRUNCATE */
	FS_ALL_ABI_5 = 0xffff, /* and IOCTL_DEV */
	FS_LOOK = FS_READ_FILE | FS_READ_DIR,
	FS_KEEP = FS_LOOK | FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_REG | FS_TRUNCATE,
	FS_TERMINAL = FS_WRITE_FILE | FS_READ_FILE | FS_IOCTL_DEV
};
enum { NET_BIND_TCP = 1 << 0, NET_CONNECT_TCP = 1 << 1 };
enum { SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, SCOPE_SIGNAL = 1 << 1 };

struct landlock_ruleset_attr {
	uint64_t handled_access_fs, handled_access_net, scoped;
};

struct landlock_path_beneath_attr {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

struct landlock_net_port_attr {
	uint64_t allowed_access, port;
};

#ifdef SYS_landlock_create_ruleset

/*
 * Does a seccomp filter let us ask for Landlock at all? One that kills would kill us, so a child
 * asks first. Without a child nothing is known, and it is not asked for.
 */
static bool
may_ask(void)
{
	static const long calls[] = { SYS_landlock_create_ruleset, SYS_landlock_add_rule,
		SYS_landlock_restrict_self };
	int status = 0;
	size_t i;
	pid_t pid;

	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) <= 0)
		return true;
	pid = _Fork();
	if (pid == 0) {
		for (i = 0; i < COUNT(calls); i++)
			(void)syscall(calls[i], -1L, 0L, 0L, 0L);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status);
}

/* All rights of this ABI version: a kernel refuses a bit that it does not know. */
static struct landlock_ruleset_attr
rights_of(long abi)
{
	return (struct landlock_ruleset_attr){
		.handled_access_fs = abi < 2 ? FS_ALL_ABI_1
		    : abi < 3                ? FS_ALL_ABI_2
		    : abi < 5                ? FS_ALL_ABI_3
					     : FS_ALL_ABI_5,
		.handled_access_net = abi < 4 ? 0 : NET_BIND_TCP | NET_CONNECT_TCP,
		.scoped = abi < 6 ? 0 : SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL,
	};
}

static bool
allow_path(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { access, open(path, O_PATH | O_CLOEXEC) };
	bool done;

	if (rule.parent_fd == -1)
		return false;
	done = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
	close(rule.parent_fd);
	return done;
}

static bool
allow_port(int ruleset, uint16_t port)
{
	const struct landlock_net_port_attr rule = { NET_CONNECT_TCP, port };

	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_NET_PORT, &rule, 0) == 0;
}

static bool
allow_all(int ruleset, const struct landlock_ruleset_attr *rights, const struct confine_keep *keep)
{
	static const char *const files[] = { "/etc/hosts", "/etc/resolv.conf", "/dev/urandom" };
	uint64_t folder = (keep->writes ? FS_KEEP : FS_LOOK) & rights->handled_access_fs;
	size_t i;

	if ((keep->folder && !allow_path(ruleset, keep->folder, folder)) ||
	    (keep->other && !allow_path(ruleset, keep->other, folder)))
		return false;
	/* What is not there can't be read. */
	for (i = keep->names ? 0 : 2; i < COUNT(files); i++)
		(void)allow_path(ruleset, files[i], FS_READ_FILE);
	/* A failure is ignored: without a terminal, the question itself fails and says so. */
	if (keep->terminal)
		(void)allow_path(ruleset, "/dev/tty", FS_TERMINAL & rights->handled_access_fs);
	for (i = 0; i < keep->count && rights->handled_access_net; i++) {
		if (!allow_port(ruleset, keep->ports[i]))
			return false;
	}
	return true;
}

static bool
landlock(const struct confine_keep *keep)
{
	long abi = may_ask()
	    ? syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)
	    : -1;
	struct landlock_ruleset_attr rights = rights_of(abi);
	bool done;
	int ruleset;

	if (abi < 1)
		return false;
	/* An older kernel accepts the longer structure if the members that it lacks are zero. */
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &rights, sizeof(rights), 0);
	if (ruleset == -1)
		return false;
	done = allow_all(ruleset, &rights, keep) &&
	    syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	close(ruleset);
	return done;
}

#else

static bool
landlock(const struct confine_keep *keep)
{
	(void)keep;
	return false;
}

#endif

struct confined
confine(const struct confine_keep *keep)
{
	struct confined c;

	c.no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
	c.landlock = landlock(keep);
	return c;
}
