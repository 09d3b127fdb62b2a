#include "sys/running.h"

#include "base/buf.h"
#include "sys/file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROC_MAX = 4 * 1024 * 1024, ANCESTORS_MAX = 64 };

/* Read /proc/PID/NAME. False when that fails. */
static bool
read_proc(struct buf *out, pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
	buf_reset(out);
	return file_read(out, path, PROC_MAX, NULL) == 0;
}

enum seen { NO, YES, UNSEEN };

bool
running_has_own_root(pid_t pid)
{
	struct stat own, its;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/root/", (long)pid);
	return stat("/", &own) == 0 && stat(path, &its) == 0 &&
	    (own.st_dev != its.st_dev || own.st_ino != its.st_ino);
}

/* May it be a config's name? Much else stands behind a "-c", such as a shell's script. */
static bool
looks_like_config(const char *name)
{
	size_t len = strlen(name);

	return len > 5 && !strcmp(name + len - 5, ".toml") && !strpbrk(name, " \t\n;|&");
}

/*
 * Does this name lead the process to the file? A relative name starts at its folder, an absolute
 * one at its root. Where that can't be seen, the name itself must do.
 */
static enum seen
is_file(pid_t pid, const char *name, const struct stat *st)
{
	char path[PATH_MAX];
	struct stat there;

	if (snprintf(path, sizeof(path), "/proc/%ld/%s/%s", (long)pid,
		*name == '/' ? "root" : "cwd", name) >= (int)sizeof(path))
		return NO;
	if (stat(path, &there) == -1)
		return looks_like_config(name) &&
			(errno == EACCES || errno == EPERM || running_has_own_root(pid))
		    ? UNSEEN
		    : NO;
	return there.st_dev == st->st_dev && there.st_ino == st->st_ino ? YES : NO;
}

const char *
running_config_value(const char *arg)
{
	static const char *const names[] = { "config", "c" };
	size_t i, n;

	if (*arg != '-')
		return NULL;
	arg += arg[1] == '-' ? 2 : 1;
	for (i = 0; i < COUNT(names); i++) {
		n = strlen(names[i]);
		if (!strncmp(arg, names[i], n) && (!arg[n] || arg[n] == '='))
			return arg[n] ? arg + n + 1 + strspn(arg + n + 1, " \t") : arg + n;
	}
	return NULL;
}

/* Do the NUL-separated strings name the file: as arguments, or as an environment's CONFIG_PATH? */
static enum seen
strings_name(pid_t pid, const struct buf *strings, bool environment, const struct stat *st)
{
	static const char variable[] = "CONFIG_PATH=";
	const char *s, *end = strings->data + strings->len, *value;
	enum seen seen = NO, one;

	for (s = strings->data; s && s < end; s += strlen(s) + 1) {
		value = !environment                          ? running_config_value(s)
		    : !strncmp(s, variable, strlen(variable)) ? s + strlen(variable)
							      : NULL;
		if (value && !*value && !environment && s + strlen(s) + 1 < end)
			value = s + strlen(s) + 1;
		one = value && *value ? is_file(pid, value, st) : NO;
		if (one == YES)
			return YES;
		seen = one == UNSEEN ? UNSEEN : seen;
	}
	return seen;
}

/* The parent of a process; 0 when there is none, or it can't be seen. */
static pid_t
parent_of(pid_t pid)
{
	struct buf text = { 0 };
	const char *at = NULL;
	long parent = 0;

	/* The name in brackets may hold anything. A letter and the parent follow it. */
	if (read_proc(&text, pid, "stat") && text.data && (at = strrchr(text.data, ')')) && at[1] &&
	    at[2])
		parent = strtol(at + 3, NULL, 10);
	buf_free(&text);
	return (pid_t)parent;
}

/* Is it this process, one of its ancestors (a shell, sudo), or another stalprep? */
static bool
is_no_server(pid_t pid, const char *path)
{
	pid_t p = getpid();
	struct stat own, its;
	int i;

	if (stat("/proc/self/exe", &own) == 0 && stat(path, &its) == 0 &&
	    own.st_dev == its.st_dev && own.st_ino == its.st_ino)
		return true;

	for (i = 0; i < ANCESTORS_MAX && p > 0; i++) {
		if (p == pid)
			return true;
		p = parent_of(p);
	}
	return false;
}

uid_t
running_read_name(char name[RUNNING_NAME_MAX], pid_t pid)
{
	char exe[RUNNING_NAME_MAX / 2] = "", path[64];
	struct buf text = { 0 };
	struct stat st;
	ssize_t n;
	size_t i;

	snprintf(path, sizeof(path), "/proc/%ld", (long)pid);
	if (stat(path, &st) == -1)
		st.st_uid = (uid_t)-1;
	snprintf(path, sizeof(path), "/proc/%ld/exe", (long)pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	name[0] = '\0';
	if (read_proc(&text, pid, "comm") && text.data)
		snprintf(name, RUNNING_NAME_MAX, "%.*s%s%.*s, user %lu",
		    (int)strcspn(text.data, "\n"), text.data, n > 0 ? ", " : "", n > 0 ? (int)n : 0,
		    exe, (unsigned long)st.st_uid);
	for (i = 0; name[i]; i++) {
		if (!isprint((unsigned char)name[i]))
			name[i] = '?';
	}
	buf_free(&text);
	return st.st_uid;
}

/* Is "stalwart" in these bytes, in any case? */
static bool
has_sign(const char *s, size_t len)
{
	static const char sign[] = "stalwart";
	size_t n = strlen(sign), i;

	for (i = 0; i + n <= len; i++) {
		if ((s[i] | 0x20) == 's' && !strncasecmp(s + i, sign, n))
			return true;
	}
	return false;
}

/*
 * Can the executable be read whole, and has it no sign of a server? The server greets with its
 * name, whatever its file is called.
 */
static bool
is_other_program(const char *path)
{
	enum { TAIL = 7 }; /* of the sign, in the chunk before */
	char chunk[65536];
	size_t kept = 0, total = 0;
	bool sign = false;
	int fd = file_open(path);
	ssize_t n = -1;

	while (fd != -1 && !sign && total <= RUNNING_EXE_MAX &&
	    (n = read(fd, chunk + kept, sizeof(chunk) - kept)) > 0) {
		total += (size_t)n;
		sign = has_sign(chunk, kept + (size_t)n);
		kept += (size_t)n;
		if (kept > (size_t)TAIL) {
			memmove(chunk, chunk + kept - (size_t)TAIL, (size_t)TAIL);
			kept = (size_t)TAIL;
		}
	}
	if (fd != -1)
		close(fd);
	return n == 0 && !sign;
}

/*
 * Look at one process. If only its environment can't be read, it counts as unseen where it has the
 * server's name.
 */
static enum seen
look_at(struct running *r, pid_t pid, const struct stat *st, uid_t service)
{
	struct buf text = { 0 };
	enum seen seen = NO, in_environment = NO;
	char exe[64];
	uid_t uid;

	snprintf(exe, sizeof(exe), "/proc/%ld/exe", (long)pid);
	uid = running_read_name(r->name, pid);
	if (read_proc(&text, pid, "cmdline"))
		seen = strings_name(pid, &text, false, st);
	if (seen != YES && text.len) /* the kernel's own have no arguments */
		in_environment = read_proc(&text, pid, "environ")
		    ? strings_name(pid, &text, true, st)
		    : strstr(r->name, "stalwart") ? UNSEEN
						  : NO;
	buf_free(&text);
	seen = seen == YES || in_environment == YES      ? YES
	    : seen == UNSEEN || in_environment == UNSEEN ? UNSEEN
							 : NO;
	if (seen != NO && is_no_server(pid, exe))
		return NO;
	r->bystander = seen == YES && uid && uid != st->st_uid && uid != service &&
	    is_other_program(exe);
	return seen;
}

void
running_find(struct running *r, const struct stat *st, uid_t service)
{
	DIR *proc = opendir("/proc");
	bool first = false, unseen = false;
	struct running one = { 0 };
	struct dirent *entry;

	memset(r, 0, sizeof(*r));
	/* cppcheck-suppress readdirCalled ; there is one thread */
	while (proc && (!r->pid || r->bystander) && (entry = readdir(proc))) {
		enum seen seen;

		one.pid = (pid_t)strtol(entry->d_name, NULL, 10);
		seen = one.pid > 0 ? look_at(&one, one.pid, st, service) : NO;
		first |= one.pid == 1;
		unseen |= seen == UNSEEN;
		if (seen == YES)
			*r = one;
	}
	if (proc)
		closedir(proc);
	r->unseen = unseen || !first; /* where the first process is hidden, so are others */
}
