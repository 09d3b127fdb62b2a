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

/*
 * Does this name lead the process to the file? A relative name starts at its folder, an absolute
 * one at its root.
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
		return errno == EACCES || errno == EPERM || running_has_own_root(pid) ? UNSEEN : NO;
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
is_no_server(pid_t pid)
{
	pid_t p = getpid();
	struct stat own, its;
	char path[64];
	int i;

	snprintf(path, sizeof(path), "/proc/%ld/exe", (long)pid);
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

void
running_read_name(char name[RUNNING_NAME_MAX], pid_t pid)
{
	struct buf text = { 0 };
	size_t i;

	name[0] = '\0';
	if (read_proc(&text, pid, "comm") && text.data)
		snprintf(name, RUNNING_NAME_MAX, "%.*s", (int)strcspn(text.data, "\n"), text.data);
	for (i = 0; name[i]; i++) {
		if (!isprint((unsigned char)name[i]))
			name[i] = '?';
	}
	buf_free(&text);
}

/*
 * Look at one process. If only its environment can't be read, it counts as unseen where it has the
 * server's name.
 */
static enum seen
look_at(struct running *r, pid_t pid, const struct stat *st)
{
	struct buf text = { 0 };
	enum seen seen = NO, in_environment = NO;

	running_read_name(r->name, pid);
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
	return seen != NO && is_no_server(pid) ? NO : seen;
}

void
running_find(struct running *r, const struct stat *st)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool first = false;

	memset(r, 0, sizeof(*r));
	/* cppcheck-suppress readdirCalled ; there is one thread */
	while (proc && !r->pid && (entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		enum seen seen = pid > 0 ? look_at(r, pid, st) : NO;

		first |= pid == 1;
		r->unseen |= seen == UNSEEN;
		r->pid = seen == YES ? pid : 0;
	}
	if (proc)
		closedir(proc);
	r->unseen |= !first; /* where the first process is hidden, so are others */
}
