#include "sys/statedir.h"

#include "base/err.h"
#include "base/pool.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

int
statedir_make(const char *path, struct err *err)
{
	char part[PATH_MAX];
	const char *slash = path;

	do {
		slash = strchr(slash + 1, '/');
		if (snprintf(part, sizeof(part), "%.*s",
			(int)(slash ? (size_t)(slash - path) : strlen(path)),
			path) >= (int)sizeof(part))
			return err_set(err, ERR_SYSTEM, "%.80s...: the name is too long", path);
		/* whatever the umask is */
		if (mkdir(part, 0700) == 0 ? chmod(part, 0700) == -1 : errno != EEXIST)
			return err_system(
			    err, ERR_SYSTEM, errno, "the folder %s can't be made", part);
	} while (slash);
	return 0;
}

int
statedir_list(const char *path, const char *suffix, struct pool *pool, const char ***names,
    size_t *count, struct err *err)
{
	size_t len = strlen(suffix), n;
	int fd = file_open_folder(path);
	DIR *folder = fd != -1 ? fdopendir(fd) : NULL;
	struct dirent *e;
	int r = 0;

	*names = NULL;
	*count = 0;
	if (!folder && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (!folder)
		return err_system(err, ERR_SYSTEM, errno, "the folder %s can't be read", path);
	/* cppcheck-suppress readdirCalled ; there is one thread */
	while (r == 0 && (e = readdir(folder))) {
		n = strlen(e->d_name);
		if (n <= len || strcmp(e->d_name + n - len, suffix) != 0)
			continue;
		if (*count == STATEDIR_FILES_MAX)
			r = err_set(err, ERR_SYSTEM,
			    "the folder %s has more than %d files that end in %s. Move old ones "
			    "away, or use another folder (--snapshot-dir)",
			    path, STATEDIR_FILES_MAX, suffix);
		else
			*(const char **)pool_add(pool, *names, *count) = pool_str(pool, e->d_name);
	}
	closedir(folder);
	return r == 0 ? pool_check(pool, err) : r;
}

const char *
statedir_fleeting(const char *path)
{
	/* <linux/magic.h> */
	static const struct {
		unsigned long type;
		const char *name;
	} kinds[] = {
		{ 0x01021994, "tmpfs" },
		{ 0x858458f6, "ramfs" },
		{ 0x794c7630, "overlay" },
	};
	struct statfs fs;
	size_t i;

	for (i = 0; statfs(path, &fs) == 0 && i < COUNT(kinds); i++) {
		if ((unsigned long)fs.f_type == kinds[i].type)
			return kinds[i].name;
	}
	return NULL;
}
