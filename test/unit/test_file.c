/*
 * test_file.c - whole files: read, replaced, locked; with disks that are full, folders that are
 * closed, other processes
 */
#include "help.h"

#include "base/buf.h"
#include "sys/deadline.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { NOBODY = 65534 };

static const char *const names[] = { "f", "g", "link", "f.lock", NULL };

static void
check_text(const char *path, const char *text)
{
	struct buf out = { 0 };
	struct err err;

	CHECK(file_read(&out, path, 1 << 20, &err) == 0, "%s: %s", path, err.text);
	CHECK(!strcmp(buf_text(&out), text), "%s holds %.40s", path, buf_text(&out));
	buf_free(&out);
}

/* Run body in a child; its int is the exit status, which is given back. */
static int
in_child(int (*body)(const struct folder *f), const struct folder *f)
{
	pid_t pid = fork();
	int status;

	assert_true(pid != -1);
	if (!pid)
		_exit(body(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_read(void **state)
{
	struct buf out = { 0 };
	struct folder f;
	struct err err;
	const char *path;

	(void)state;
	folder_make(&f);
	path = folder_path(&f, "f");
	assert_int_equal(file_read(&out, path, 100, &err), 1);
	write_text(path, "abc", 0600);
	buf_str(&out, "before:");
	assert_int_equal(file_read(&out, path, 3, &err), 0);
	assert_string_equal(buf_text(&out), "before:abc");
	assert_int_equal(file_read(&out, path, 2, &err), -1);
	assert_true(err.kind == ERR_SYSTEM && has(err.text, path) && has(err.text, "2"));
	assert_int_equal(file_read(&out, f.name, 100, &err), -1);
	assert_true(has(err.text, f.name));
	assert_int_equal(file_read(&out, "/dev/zero", 100000, &err), -1);
	buf_reset(&out);
	assert_int_equal(file_read(&out, "/dev/null", 0, &err), 0);
	assert_int_equal(out.len, 0);
	assert_int_equal(file_read(&out, folder_path(&f, "f/g"), 100, &err), -1);
	assert_int_equal(err.code, ENOTDIR);
	buf_free(&out);
	folder_remove(&f, names);
}

/* A pipe: all that comes, no more than the bound, until the time is over or a signal came. */
static void
test_read_stream(void **state)
{
	struct deadline d = { .total = INT64_MAX, .step = INT64_MAX };
	volatile sig_atomic_t stop = SIGHUP;
	struct buf out = { 0 };
	struct err err;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	d.total = deadline_now() + 50;
	assert_int_equal(file_read_stream(&out, ends[0], 3, &d, "the pipe", &err), -1);
	CHECK(err.kind == ERR_REACH && has(err.text, "reading the pipe"), "%s", err.text);
	assert_string_equal(buf_text(&out), "abc");
	d.total = INT64_MAX;
	d.stop = &stop;
	assert_int_equal(file_read_stream(&out, ends[0], 3, &d, "the pipe", &err), -1);
	assert_true(err.kind == ERR_INTERRUPT && err.code == SIGHUP);
	stop = 0;
	assert_int_equal(write(ends[1], "defg", 4), 4);
	assert_int_equal(file_read_stream(&out, ends[0], 3, &d, "the pipe", &err), 1);
	assert_int_equal(write(ends[1], "hij", 3), 3);
	close(ends[1]);
	assert_int_equal(file_read_stream(&out, ends[0], 3, &d, "the pipe", &err), 0);
	assert_string_equal(buf_text(&out), "abchij");
	close(ends[0]);
	assert_int_equal(file_read_stream(&out, ends[0], 3, &d, "the pipe", &err), -1);
	assert_true(err.kind == ERR_SYSTEM && err.code == EBADF && has(err.text, "the pipe"));
	buf_free(&out);
}

static void
test_replace(void **state)
{
	struct folder f;
	struct stat st;
	struct err err;
	const char *path;

	(void)state;
	folder_make(&f);
	path = folder_path(&f, "f");
	assert_int_equal(file_replace(path, "one", 3, -1, &err), 0);
	check_text(path, "one");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(file_replace(path, "", 0, -1, &err), 0);
	check_text(path, "");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(file_replace(path, "three", 5, -1, &err), 0);
	check_text(path, "three");
	folder_remove(&f, names); /* and no temporary file is left */
}

/* A name alone is a file in the current folder. */
static void
test_current_folder(void **state)
{
	char before[4096];
	struct folder f;
	struct err err;
	int fd;

	(void)state;
	folder_make(&f);
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(f.name), 0);
	assert_int_equal(file_replace("f", "x", 1, -1, &err), 0);
	assert_int_equal(file_rename("f", "g", &err), 0);
	assert_int_equal(file_lock(&fd, "g", &err), 0);
	file_unlock(fd, "g");
	assert_int_equal(file_remove("g", &err), 0);
	assert_int_equal(chdir(before), 0);
	folder_remove(&f, names);
}

static void
test_replace_impossible(void **state)
{
	static const char *const cases[] = { "/nowhere/at/all", "/proc/f", "/dev/null/f" };
	char *longer = malloc(5000);
	struct folder f;
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		CHECK(file_replace(cases[i], "x", 1, -1, &err) == -1 && err.kind == ERR_SYSTEM &&
			has(err.text, cases[i]),
		    "%s: %s", cases[i], err.text);
	memset(longer, 'x', 4999);
	longer[4999] = '\0';
	assert_int_equal(file_replace(longer, "x", 1, -1, &err), -1);
	free(longer);
	folder_make(&f);
	assert_int_equal(file_replace(f.name, "x", 1, -1, &err), -1); /* a folder of that name */
	folder_remove(&f, names);
}

/* The size limit of a process ends a write half-way, as a full disk does. */
static int
write_too_much(const struct folder *f)
{
	struct rlimit limit = { 1000, 1000 };
	char text[5000];
	struct err err;

	memset(text, 'x', sizeof(text));
	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) == -1)
		return 2;
	return file_replace(folder_path(f, "f"), text, sizeof(text), -1, &err) == -1 &&
		err.code == EFBIG
	    ? 0
	    : 1;
}

static void
test_write_fails(void **state)
{
	struct folder f;

	(void)state;
	folder_make(&f);
	write_text(folder_path(&f, "f"), "old", 0600);
	assert_int_equal(in_child(write_too_much, &f), 0);
	check_text(folder_path(&f, "f"), "old");
	folder_remove(&f, names);
}

/* A file system that is really full. */
static void
test_full(void **state)
{
	size_t len = 1 << 20;
	char *text = malloc(len);
	struct folder f;
	struct err err;

	(void)state;
	folder_make(&f);
	if (mount("tmpfs", f.name, "tmpfs", 0, "size=64k") == -1) {
		folder_remove(&f, names);
		free(text);
		skip();
	}
	memset(text, 'x', len);
	assert_int_equal(file_replace(folder_path(&f, "f"), "old", 3, -1, &err), 0);
	assert_int_equal(file_replace(folder_path(&f, "f"), text, len, -1, &err), -1);
	assert_int_equal(err.code, ENOSPC);
	check_text(folder_path(&f, "f"), "old");
	/* nothing was left in the way */
	assert_int_equal(file_replace(folder_path(&f, "f"), "new", 3, -1, &err), 0);
	check_text(folder_path(&f, "f"), "new");
	assert_int_equal(umount(f.name), 0);
	folder_remove(&f, names);
	free(text);
}

/* A signal before the rename: the old file stays, alone. */
static void
test_stop(void **state)
{
	static const char *const own[] = { "f", NULL };
	volatile sig_atomic_t stop = SIGINT;
	struct folder f;
	struct err err;
	int fd;

	(void)state;
	folder_make(&f);
	write_text(folder_path(&f, "f"), "old", 0600);
	fd = open(f.name, O_RDONLY | O_DIRECTORY);
	assert_int_equal(file_replace_at(fd, "f", "f", "new", 3, -1, &stop, &err), -1);
	CHECK(err.kind == ERR_INTERRUPT && err.code == SIGINT, "%s", err.text);
	check_text(folder_path(&f, "f"), "old");
	stop = 0;
	assert_int_equal(file_replace_at(fd, "f", "f", "new", 3, -1, &stop, &err), 0);
	check_text(folder_path(&f, "f"), "new");
	close(fd);
	folder_remove(&f, own);
}

/* Whatever becomes of the pinned folder's name, nothing is read or written elsewhere. */
static void
test_pinned(void **state)
{
	static const char *const own[] = { "a/f", "b/f", "a/g", "b/g", NULL };
	struct buf text = { 0 };
	char path[PATH_MAX], other[PATH_MAX];
	struct folder f;
	struct err err;
	size_t i;
	int fd, lock;

	(void)state;
	folder_make(&f);
	assert_int_equal(mkdir(folder_path(&f, "a"), 0700), 0);
	snprintf(path, sizeof(path), "%s/a/f", f.name);
	snprintf(other, sizeof(other), "%s/a/g", f.name);
	fd = open(folder_path(&f, "a"), O_PATH | O_DIRECTORY);
	file_pin_folder(path, fd);
	assert_int_equal(rename(folder_path(&f, "a"), folder_path(&f, "b")), 0);
	assert_int_equal(symlink("/", folder_path(&f, "a")), 0);
	assert_int_equal(file_lock(&lock, path, &err), 0);
	CHECK(access(folder_path(&f, "b/f.lock"), F_OK) == 0, "the lock is elsewhere");
	file_unlock(lock, path);
	assert_int_equal(file_replace(path, "new", 3, -1, &err), 0);
	assert_int_equal(file_check_folder(path, (uid_t)-1, &err), 0);
	assert_int_equal(file_read_own(&text, path, 10, (uid_t)-1, &err), 0);
	assert_string_equal(buf_text(&text), "new");
	assert_int_equal(file_rename(path, other, &err), 0);
	check_text(folder_path(&f, "b/g"), "new");
	assert_int_equal(file_remove(other, &err), 0);
	file_pin_folder(path, -1);
	assert_int_equal(file_check_folder(path, (uid_t)-1, &err), -1);
	close(fd);
	buf_free(&text);
	for (i = 0; own[i]; i++)
		assert_int_equal(access(folder_path(&f, own[i]), F_OK), -1);
	assert_true(unlink(folder_path(&f, "a")) == 0 && rmdir(folder_path(&f, "b")) == 0);
	folder_remove(&f, own + COUNT(own) - 1);
}

/*
 * Where nothing can be made: refused, the old one stays. Root may write everywhere, so the child is
 * nobody.
 */
static int
replace_as_nobody(const struct folder *f)
{
	struct err err;

	if (geteuid() == 0 && setuid(NOBODY) == -1)
		return 2;
	if (file_replace(folder_path(f, "f"), "new", 3, -1, &err) == 0)
		return 3;
	return has(err.text, folder_path(f, "f")) || has(err.text, f->name) ? 0 : 1;
}

static void
test_closed_folder(void **state)
{
	struct folder f;

	(void)state;
	folder_make(&f);
	write_text(folder_path(&f, "f"), "old", 0666);
	assert_int_equal(chmod(f.name, 0555), 0);
	assert_int_equal(in_child(replace_as_nobody, &f), 0);
	check_text(folder_path(&f, "f"), "old");
	assert_int_equal(chmod(f.name, 0700), 0);
	folder_remove(&f, names);
}

/*
 * A folder that can be written and not read can't be fsynced: -1 means that the file is as it was
 * before (file.h).
 */
static void
test_unreadable_folder(void **state)
{
	struct folder f;
	int r;

	(void)state;
	folder_make(&f);
	write_text(folder_path(&f, "f"), "old", 0666);
	assert_int_equal(chmod(f.name, 0733), 0);
	if (geteuid() != 0)
		assert_int_equal(chmod(f.name, 0333), 0);
	r = in_child(replace_as_nobody, &f);
	assert_int_equal(chmod(f.name, 0700), 0);
	assert_true(r == 0 || r == 3);
	check_text(folder_path(&f, "f"), r == 0 ? "old" : "new");
	folder_remove(&f, names);
}

static void
test_rename_remove(void **state)
{
	struct folder f;
	struct err err;

	(void)state;
	folder_make(&f);
	assert_int_equal(file_remove(folder_path(&f, "f"), &err), 0); /* not there: fine */
	assert_int_equal(file_rename(folder_path(&f, "f"), folder_path(&f, "g"), &err), -1);
	assert_int_equal(err.code, ENOENT);
	write_text(folder_path(&f, "f"), "x", 0600);
	write_text(folder_path(&f, "g"), "y", 0600);
	assert_int_equal(file_rename(folder_path(&f, "f"), folder_path(&f, "g"), &err), 0);
	check_text(folder_path(&f, "g"), "x");
	assert_int_equal(access(folder_path(&f, "f"), F_OK), -1);
	assert_int_equal(file_remove(folder_path(&f, "g"), &err), 0);
	assert_int_equal(access(folder_path(&f, "g"), F_OK), -1);
	assert_int_equal(file_remove(f.name, &err), -1);
	folder_remove(&f, names);
}

/* ---- locks ---- */

static int
try_lock(const struct folder *f)
{
	struct err err = { 0 };
	int fd;

	if (file_lock(&fd, folder_path(f, "f"), &err) == 0) {
		file_unlock(fd, folder_path(f, "f"));
		return 0;
	}
	return err.kind == ERR_REFUSED && fd == -1 && has(err.text, folder_path(f, "f")) ? 1 : 2;
}

static void
test_lock(void **state)
{
	struct folder f;
	struct err err;
	int fd;

	(void)state;
	folder_make(&f);
	assert_int_equal(file_lock(&fd, folder_path(&f, "f"), &err), 0);
	assert_true(fd >= 0);
	assert_int_equal(in_child(try_lock, &f), 1);
	file_unlock(fd, folder_path(&f, "f"));
	assert_int_equal(access(folder_path(&f, "f.lock"), F_OK), -1);
	assert_int_equal(in_child(try_lock, &f), 0);
	file_unlock(-1, folder_path(&f, "f"));
	folder_remove(&f, names);
}

static int
lock_and_die(const struct folder *f)
{
	struct err err;
	int fd;

	return file_lock(&fd, folder_path(f, "f"), &err) == 0 ? 0 : 1;
}

/* A process that died leaves the file, and no lock. */
static void
test_stale_lock(void **state)
{
	struct folder f;

	(void)state;
	folder_make(&f);
	assert_int_equal(in_child(lock_and_die, &f), 0);
	assert_int_equal(access(folder_path(&f, "f.lock"), F_OK), 0);
	assert_int_equal(in_child(try_lock, &f), 0);
	folder_remove(&f, names);
}

/* The name is a symlink, or its folder is not there. */
static void
test_lock_impossible(void **state)
{
	struct folder f;
	struct err err;
	int fd = 7;

	(void)state;
	folder_make(&f);
	assert_int_equal(file_lock(&fd, "/nowhere/at/all", &err), -1);
	assert_int_equal(fd, -1);
	assert_int_equal(err.kind, ERR_SYSTEM);
	assert_int_equal(symlink(folder_path(&f, "g"), folder_path(&f, "f.lock")), 0);
	assert_int_equal(file_lock(&fd, folder_path(&f, "f"), &err), -1);
	assert_int_equal(access(folder_path(&f, "g"), F_OK), -1);
	folder_remove(&f, names);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_stream),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_current_folder),
		cmocka_unit_test(test_replace_impossible),
		cmocka_unit_test(test_write_fails),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_closed_folder),
		cmocka_unit_test(test_unreadable_folder),
		cmocka_unit_test(test_rename_remove),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_stale_lock),
		cmocka_unit_test(test_lock_impossible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
