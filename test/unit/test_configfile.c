/* test_configfile.c - the file on disk: what is taken for one, and how it is replaced */
#include "help.h"

#include "format/toml.h"
#include "sys/configfile.h"

#include <errno.h>
#include <fcntl.h>
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
		{ "/", "it is a folder" },
		{ "/dev/zero", "it is not a plain file" },
		{ "/dev/null", "it is not a plain file" },
	};
	struct configfile f = { 0 };
	struct scene s;
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(configfile_find(&f, cases[i].path, &err), 0);
		assert_int_equal(configfile_read(&f, &err), -1);
		CHECK(err.kind == ERR_REFUSED && has(err.text, cases[i].said), "%s: %s",
		    cases[i].path, err.text);
		configfile_free(&f);
	}
	scene_begin(&s);
	assert_int_equal(mkfifo(path_of(&s, "g"), 0600), 0);
	assert_int_equal(configfile_find(&f, path_of(&s, "g"), &err), 0);
	assert_int_equal(configfile_read(&f, &err), -1);
	assert_true(has(err.text, "not a plain file"));
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
	struct stat a, b;
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
	check_text(&s, "f.stalprep-backup", OLD);
	assert_true(configfile_backup(&s.file, backup) && has(backup, "/f.stalprep-backup"));
	assert_true(
	    stat(path_of(&s, "f"), &a) == 0 && stat(path_of(&s, "f.stalprep-backup"), &b) == 0);
	assert_true(a.st_mode == b.st_mode && b.st_nlink == 1);
	configfile_free(&s.file);
	assert_int_equal(configfile_find(&s.file, path_of(&s, "f"), &s.err), 0);
	assert_int_equal(configfile_read(&s.file, &s.err), 0);
	assert_int_equal(scene_write(&s, true), -1);
	assert_true(has(s.err.text, "f.stalprep-backup is there already") && !s.torn);
	check_text(&s, "f.stalprep-backup", OLD);
	scene_end(&s);
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
		cmocka_unit_test(test_shorter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
