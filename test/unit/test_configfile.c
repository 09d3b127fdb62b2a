/* test_configfile.c - the file on disk: what is taken for one, and how it is replaced */
#include "help.h"

#include "format/toml.h"
#include "sys/configfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/xattr.h>

#define OLD "a = 1\n"
#define NEW "a = 1\nb = 2\n"

static const char *const names[] = { "f", "g", "link", "f.stalprep-backup", "g.stalprep-backup",
	NULL };

/* A folder with a file f in it, found and read. */
struct scene {
	struct folder folder;
	struct configfile file;
	struct buf new;
	struct err err;
	bool torn;
};

static const char *
path_of(const struct scene *s, const char *name)
{
	return folder_path(&s->folder, name);
}

static void
scene_begin(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	folder_make(&s->folder);
	write_text(path_of(s, "f"), OLD, 0640);
	buf_str(&s->new, NEW);
}

static void
scene_read(struct scene *s, const char *name)
{
	CHECK(configfile_find(&s->file, path_of(s, name), &s->err) == 0 &&
		configfile_read(&s->file, &s->err) == 0,
	    "%s: %s", name, s->err.text);
	assert_string_equal(buf_text(&s->file.text), OLD);
}

static int
scene_write(struct scene *s, bool in_place)
{
	return configfile_write(&s->file, &s->new, in_place, &s->torn, &s->err);
}

static void
check_text(const struct scene *s, const char *name, const char *text)
{
	char found[64] = "";
	int fd = open(path_of(s, name), O_RDONLY);

	CHECK(fd != -1 && read(fd, found, sizeof(found) - 1) >= 0, "%s can't be read", name);
	CHECK(!strcmp(found, text), "%s holds %s", name, found);
	close(fd);
}

/* Nothing but these names is left. */
static void
scene_end(struct scene *s)
{
	configfile_free(&s->file);
	buf_free(&s->new);
	folder_remove(&s->folder, names);
}

static void
test_find(void **state)
{
	struct scene s;
	char real[PATH_MAX];

	(void)state;
	scene_begin(&s);
	assert_non_null(realpath(path_of(&s, "f"), real));
	assert_int_equal(symlink("f", path_of(&s, "link")), 0);
	scene_read(&s, "link");
	assert_string_equal(s.file.path, real);
	assert_int_equal(configfile_find(&s.file, path_of(&s, "none"), &s.err), -1);
	assert_true(s.err.code == ENOENT && has(s.err.text, "none"));
	assert_int_equal(configfile_find(&s.file, path_of(&s, "f/x"), &s.err), -1);
	assert_int_equal(s.err.code, ENOTDIR);
	s.file.path[0] = '\0';
	assert_int_equal(configfile_find(&s.file, "-", &s.err), 0);
	assert_true(configfile_is_stream("-") && !configfile_is_stream("./-") && !s.file.path[0]);
	scene_end(&s);
}

/* What can't be a config. */
static void
test_no_config(void **state)
{
	static const struct {
		const char *path, *said;
	} cases[] = {
		{ "/", "it is a folder. Name" },
		{ "..", "it is a folder. Name" },
		{ "/dev/zero", "it is a device. Mount" },
		{ "/dev/null", "it is a device. Mount" },
		{ "/proc/self/status", "one of the kernel's own files" },
		{ "/sys/kernel/uevent_seqnum", "one of the kernel's own files" },
	};
	struct configfile f = { 0 };
	struct scene s;
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		if (access(cases[i].path, F_OK) == -1)
			continue;
		assert_int_equal(configfile_find(&f, cases[i].path, &err), -1);
		CHECK(err.kind == ERR_REFUSED && has(err.text, cases[i].said), "%s: %s",
		    cases[i].path, err.text);
		configfile_free(&f);
	}
	scene_begin(&s);
	assert_int_equal(mkfifo(path_of(&s, "g"), 0600), 0);
	assert_int_equal(configfile_find(&f, path_of(&s, "g"), &err), -1);
	assert_true(has(err.text, "it is a pipe (FIFO)") && has(err.text, "--config -"));
	configfile_free(&f);
	assert_int_equal(truncate(path_of(&s, "f"), 0), 0);
	assert_int_equal(configfile_find(&f, path_of(&s, "f"), &err), 0);
	assert_int_equal(configfile_read(&f, &err), -1);
	assert_true(has(err.text, "it is empty"));
	configfile_free(&f);
	assert_int_equal(truncate(path_of(&s, "f"), TOML_TEXT_MAX + 1), 0);
	assert_int_equal(configfile_find(&f, path_of(&s, "f"), &err), 0);
	assert_int_equal(configfile_read(&f, &err), -1);
	assert_true(has(err.text, "longer than 64 MiB"));
	configfile_free(&f);
	scene_end(&s);
}

static void
test_replace(void **state)
{
	struct stat before, after;
	char value[8] = "";
	bool attribute;
	struct scene s;

	(void)state;
	scene_begin(&s);
	attribute = setxattr(path_of(&s, "f"), "user.x", "kept", 4, 0) == 0;
	assert_int_equal(symlink("f", path_of(&s, "link")), 0);
	scene_read(&s, "link");
	assert_int_equal(stat(path_of(&s, "f"), &before), 0);
	CHECK(scene_write(&s, false) == 0, "%s", s.err.text);
	assert_false(s.torn);
	check_text(&s, "f", NEW);
	assert_true(configfile_holds(&s.file, &s.new) && !configfile_holds(&s.file, &s.file.text));
	assert_int_equal(lstat(path_of(&s, "link"), &after), 0);
	assert_true(S_ISLNK(after.st_mode));
	assert_int_equal(stat(path_of(&s, "f"), &after), 0);
	assert_true(after.st_ino != before.st_ino && after.st_mode == before.st_mode &&
	    after.st_uid == before.st_uid);
	assert_true(!attribute ||
	    (getxattr(path_of(&s, "f"), "user.x", value, 8) == 4 && !strcmp(value, "kept")));
	scene_end(&s);
}

/* Something happens to f between the reading and the writing. */
static void
append(const struct scene *s)
{
	write_text(path_of(s, "f"), OLD "\n", 0640);
}

static void
rewrite(const struct scene *s)
{
	static const struct timespec other[2] = { { 1, 0 }, { 1, 0 } };

	assert_int_equal(utimensat(AT_FDCWD, path_of(s, "f"), other, 0), 0);
}

static void
exchange(const struct scene *s)
{
	write_text(path_of(s, "g"), OLD, 0640);
	assert_int_equal(rename(path_of(s, "g"), path_of(s, "f")), 0);
}

static void
take_away(const struct scene *s)
{
	assert_int_equal(unlink(path_of(s, "f")), 0);
}

static void
test_changed_meanwhile(void **state)
{
	static const struct {
		void (*happens)(const struct scene *s);
		const char *said;
	} cases[] = {
		{ append, "somebody else has changed" },
		{ rewrite, "somebody else has changed" },
		{ exchange, "somebody else has changed" },
		{ take_away, "can't be found any more" },
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		for (j = 0; j < 2; j++) {
			struct scene s;

			scene_begin(&s);
			scene_read(&s, "f");
			cases[i].happens(&s);
			CHECK(scene_write(&s, j) == -1, "case %zu was not seen", i);
			CHECK(has(s.err.text, cases[i].said) && !s.torn &&
				!has(s.err.text, "in-place"),
			    "case %zu: %s", i, s.err.text);
			scene_end(&s);
		}
	}
}

static void
test_hard_link(void **state)
{
	char backup[PATH_MAX];
	struct scene s;

	(void)state;
	scene_begin(&s);
	assert_int_equal(link(path_of(&s, "f"), path_of(&s, "g")), 0);
	scene_read(&s, "f");
	assert_int_equal(scene_write(&s, false), -1);
	assert_true(s.err.kind == ERR_REFUSED && s.err.refusal == REFUSAL_IN_PLACE &&
	    has(s.err.text, "2 names"));
	check_text(&s, "g", OLD);
	assert_false(configfile_backup(&s.file, backup));
	CHECK(scene_write(&s, true) == 0, "%s", s.err.text);
	check_text(&s, "f", NEW);
	check_text(&s, "g", NEW);
	assert_true(!configfile_backup(&s.file, backup) && has(backup, "/f.stalprep-backup"));
	scene_end(&s);
}

/* A copy that a run left when it was cut off. */
static void
test_backup_is_there(void **state)
{
	char backup[PATH_MAX];
	struct scene s;

	(void)state;
	scene_begin(&s);
	assert_int_equal(link(path_of(&s, "f"), path_of(&s, "g")), 0);
	write_text(path_of(&s, "f.stalprep-backup"), NEW, 0600);
	scene_read(&s, "f");
	assert_int_equal(scene_write(&s, true), -1);
	assert_true(has(s.err.text, "f.stalprep-backup is there already") && !s.torn);
	check_text(&s, "f.stalprep-backup", NEW);
	assert_true(configfile_backup(&s.file, backup));
	/* of this very text: that run did not come to write */
	write_text(path_of(&s, "f.stalprep-backup"), OLD, 0600);
	CHECK(scene_write(&s, true) == 0, "%s", s.err.text);
	check_text(&s, "g", NEW);
	assert_false(configfile_backup(&s.file, backup));
	scene_end(&s);
}

/* In place, with room for the old text alone: the file is not torn. */
static void
test_no_room_in_place(void **state)
{
	struct rlimit all, small;
	struct scene s;
	int failed;

	(void)state;
	scene_begin(&s);
	assert_int_equal(link(path_of(&s, "f"), path_of(&s, "g")), 0);
	scene_read(&s, "f");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	small = (struct rlimit){ .rlim_cur = strlen(OLD) + 2, .rlim_max = all.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	failed = scene_write(&s, true);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	CHECK(failed == -1 && s.err.code == EFBIG && !s.torn, "%s", s.err.text);
	assert_true(has(s.err.text, "old text was written back"));
	check_text(&s, "g", OLD);
	scene_end(&s);
}

/* The folder goes elsewhere between the steps, and another of its name is there: not a byte in it.
 */
static void
test_folder_is_exchanged(void **state)
{
	static const char *const in[] = { "etc/f", "etc/f.stalprep-backup", "away/f", "etc", "away",
		NULL };
	struct folder outer;
	size_t when, i;

	(void)state;
	for (when = 0; when < 3; when++) {
		struct scene s = { 0 };
		int r;

		folder_make(&outer);
		s.folder = outer;
		buf_str(&s.new, NEW);
		assert_int_equal(mkdir(path_of(&s, "etc"), 0700), 0);
		write_text(path_of(&s, "etc/f"), OLD, 0640);
		r = configfile_find(&s.file, path_of(&s, "etc/f"), &s.err);
		for (i = 0; i < 2 && r == 0; i++) {
			if (i + 1 == when) {
				assert_int_equal(
				    rename(path_of(&s, "etc"), path_of(&s, "away")), 0);
				assert_int_equal(mkdir(path_of(&s, "etc"), 0700), 0);
				write_text(path_of(&s, "etc/f"), OLD, 0640);
			}
			r = i ? scene_write(&s, false) : configfile_read(&s.file, &s.err);
		}
		CHECK((r == 0) == !when, "%zu: %s", when, s.err.text);
		check_text(&s, "etc/f", when ? OLD : NEW);
		if (when)
			check_text(&s, "away/f", OLD);
		configfile_free(&s.file);
		buf_free(&s.new);
		for (i = 0; in[i]; i++)
			remove(path_of(&s, in[i]));
		folder_remove(&outer, in);
	}
}

static void
test_guess(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "{\n \"server\": 1}", "JSON" },
		{ "\n# x\n---\nserver:\n", "YAML" },
		{ "# x\nserver:\n  listener: 1\n", "YAML" },
		{ "services: {}\n", "YAML" },
		{ OLD, NULL },
		{ "[a]\n", NULL },
		{ "a:b = 1\n", NULL },
		{ "", NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct buf text = { 0 };
		const char *said;

		buf_str(&text, cases[i].text);
		said = configfile_guess(&text);
		CHECK(cases[i].said ? said && has(said, cases[i].said) : !said, "%s: %s",
		    cases[i].text, shown(said));
		buf_free(&text);
	}
}

/* A shorter text in place leaves nothing of the longer one. */
static void
test_shorter(void **state)
{
	struct scene s;

	(void)state;
	scene_begin(&s);
	assert_int_equal(link(path_of(&s, "f"), path_of(&s, "g")), 0);
	scene_read(&s, "f");
	buf_reset(&s.new);
	buf_str(&s.new, "a\n");
	assert_int_equal(scene_write(&s, true), 0);
	check_text(&s, "g", "a\n");
	assert_true(configfile_holds(&s.file, &s.new));
	scene_end(&s);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_no_config),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_changed_meanwhile),
		cmocka_unit_test(test_hard_link),
		cmocka_unit_test(test_backup_is_there),
		cmocka_unit_test(test_no_room_in_place),
		cmocka_unit_test(test_folder_is_exchanged),
		cmocka_unit_test(test_guess),
		cmocka_unit_test(test_shorter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
