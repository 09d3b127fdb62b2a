/* test_secret.c - passwords and keys: where they come from, what is refused, that they go away */
#include "help.h"

#include "sys/secret.h"

static const char *const names[] = { "s", NULL };

static bool
is_zero(const void *p, size_t n)
{
	const unsigned char *bytes = p;

	while (n && !*bytes) {
		bytes++;
		n--;
	}
	return !n;
}

static void
put(const char *path, const char *data, size_t len, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

#define T(text) text, sizeof(text) - 1
static const struct {
	const char *text;
	size_t len;
	const char *out;
} files[] = {
	{ T("s3cret"), "s3cret" },
	{ T("s3cret\n"), "s3cret" },
	{ T("s3cret\r\n"), "s3cret" },
	{ T(" s3 cret \n"), " s3 cret " },
	{ T("\xc3\xa4$:\"\\"), "\xc3\xa4$:\"\\" },
	{ T("a"), "a" },
	{ T(""), NULL },
	{ T("\n"), NULL },
	{ T("\r\n"), NULL },
	{ T("a\nb"), NULL },
	{ T("a\n\n"), NULL },
	{ T("a\r\nb"), NULL },
	{ T("\na"), NULL },
	{ T("a\0b"), NULL },
	{ T("a\0"), NULL },
	{ T("a\0\n"), NULL },
};

static void
test_files(void **state)
{
	struct folder f;
	size_t i;

	(void)state;
	folder_make(&f);
	for (i = 0; i < COUNT(files); i++) {
		struct secret s = { .len = 3, .data = "old" };
		struct err err = { 0 };
		const char *path = folder_path(&f, "s");
		int r;

		put(path, files[i].text, files[i].len, 0600);
		r = secret_read_file(&s, path, "--password-file", false, &err);
		CHECK(r == (files[i].out ? 0 : -1), "case %zu: %d %s", i, r, err.text);
		CHECK(r == -1 || (!strcmp(s.data, files[i].out) && s.len == strlen(files[i].out)),
		    "case %zu: another secret", i);
		CHECK(r == 0 || is_zero(&s, sizeof(s)), "case %zu: something is left of it", i);
		CHECK(r == 0 || (has(err.text, "--password-file") && has(err.text, path)),
		    "case %zu: %s", i, err.text);
		secret_wipe(&s);
	}
	folder_remove(&f, names);
}

/* The longest secret is taken with and without its line end; one byte more is refused. */
static void
test_longest(void **state)
{
	char text[SECRET_MAX + 3];
	struct secret s = { 0 };
	struct folder f;
	struct err err;
	const char *path;

	(void)state;
	folder_make(&f);
	path = folder_path(&f, "s");
	memset(text, 'p', sizeof(text));
	put(path, text, SECRET_MAX, 0600);
	assert_int_equal(secret_read_file(&s, path, "--password-file", false, &err), 0);
	assert_int_equal(s.len, SECRET_MAX);
	put(path, text, SECRET_MAX + 1, 0600);
	assert_int_equal(secret_read_file(&s, path, "--password-file", false, &err), -1);
	assert_true(is_zero(&s, sizeof(s)));
	assert_false(has(err.text, "ppp"));
	text[SECRET_MAX] = '\n';
	put(path, text, SECRET_MAX + 1, 0600);
	CHECK(secret_read_file(&s, path, "--password-file", false, &err) == 0,
	    "the longest one and a line end: %s", err.text);
	folder_remove(&f, names);
}

/* A file that others may read or write. */
static void
test_modes(void **state)
{
	static const struct {
		mode_t mode;
		bool good;
	} cases[] = { { 0600, true }, { 0400, true }, { 0700, true }, { 0620, false },
		{ 0602, false }, { 0640, false }, { 0604, false }, { 0644, false } };
	struct secret s = { 0 };
	struct folder f;
	const char *path;
	size_t i;

	(void)state;
	folder_make(&f);
	path = folder_path(&f, "s");
	for (i = 0; i < COUNT(cases); i++) {
		struct err err = { 0 };

		put(path, "s3cret", 6, cases[i].mode);
		CHECK(secret_read_file(&s, path, "--password-file", false, &err) ==
			(cases[i].good ? 0 : -1),
		    "mode %03o", (unsigned)cases[i].mode);
		CHECK(cases[i].good ||
			(err.kind == ERR_REFUSED && err.refusal == REFUSAL_OPEN_SECRET &&
			    !has(err.text, "s3cret")),
		    "mode %03o: %s", (unsigned)cases[i].mode, err.text);
		CHECK(secret_read_file(&s, path, "--password-file", true, &err) == 0,
		    "mode %03o, lax", (unsigned)cases[i].mode);
	}
	folder_remove(&f, names);
}

/* Other things than files: none, a folder, a pipe, /dev/null, one that never ends. */
static void
test_strange_files(void **state)
{
	static const char *const cases[] = { "/nowhere/at/all", "/tmp", "/dev/null", "/dev/zero" };
	struct secret s = { 0 };
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		CHECK(secret_read_file(&s, cases[i], "--totp-file", false, &err) == -1,
		    "%s is taken", cases[i]);
		CHECK(has(err.text, cases[i]) && has(err.text, "--totp-file") &&
			is_zero(&s, sizeof(s)),
		    "%s: %s", cases[i], err.text);
	}
}

static void
test_stdin(void **state)
{
	int before = dup(STDIN_FILENO), ends[2];
	struct secret s = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "piped\n", 6), 6);
	close(ends[1]);
	dup2(ends[0], STDIN_FILENO);
	close(ends[0]);
	CHECK(secret_read_file(&s, "-", "--password-file", false, &err) == 0, "%s", err.text);
	assert_string_equal(s.data, "piped");
	/* at its end now: empty */
	assert_int_equal(secret_read_file(&s, "-", "--password-file", false, &err), -1);
	assert_true(has(err.text, "standard input"));
	dup2(before, STDIN_FILENO);
	close(before);
	secret_wipe(&s);
}

/* The environment's bytes are overwritten where they stand. */
static void
test_env(void **state)
{
	char entry[] = "STALPREP_TEST=s3cret", *value = strchr(entry, '=') + 1;
	char *many = malloc(SECRET_MAX + 64);
	struct secret s = { .len = 3, .data = "old" };
	struct err err;

	(void)state;
	assert_int_equal(secret_take_env(&s, "STALPREP_TEST_NONE", &err), 0);
	assert_true(is_zero(&s, sizeof(s)));
	assert_int_equal(putenv(entry), 0);
	assert_int_equal(secret_take_env(&s, "STALPREP_TEST", &err), 0);
	assert_string_equal(s.data, "s3cret");
	assert_true(is_zero(value, 6));
	assert_null(getenv("STALPREP_TEST"));
	strcpy(many, "STALPREP_TEST=");
	value = many + strlen(many);
	memset(value, 'p', SECRET_MAX + 1);
	value[SECRET_MAX + 1] = '\0';
	assert_int_equal(putenv(many), 0);
	assert_int_equal(secret_take_env(&s, "STALPREP_TEST", &err), -1);
	assert_true(has(err.text, "STALPREP_TEST") && !has(err.text, "ppp"));
	assert_true(is_zero(value, SECRET_MAX + 1) && is_zero(&s, sizeof(s)));
	unsetenv("STALPREP_TEST");
	free(many);
}

static void
set(struct secret *s, const char *text)
{
	secret_wipe(s);
	assert_int_equal(secret_add(s, text, strlen(text), NULL), 0);
}

/* RFC 7617, section 2, and the code behind a dollar sign (server-facts). */
static void
test_basic(void **state)
{
	static const struct {
		const char *user, *password, *code, *out;
	} cases[] = {
		{ "Aladdin", "open sesame", NULL, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" },
		{ "test", "123\xc2\xa3", NULL, "Basic dGVzdDoxMjPCow==" },
		{ "a", "", NULL, "Basic YTo=" },
		{ "a", "b", NULL, "Basic YTpi" },
		{ "a", "bc", NULL, "Basic YTpiYw==" },
		{ "a", "b", "", "Basic YTpi" },
		{ "admin", "pw", "123456", "Basic YWRtaW46cHckMTIzNDU2" },
		{ "u", "\xff\xfe\xfd", NULL, "Basic dTr//v0=" },
	};
	struct secret password = { 0 }, code = { 0 }, out = { .len = 3, .data = "old" };
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		set(&password, cases[i].password);
		set(&code, cases[i].code ? cases[i].code : "");
		assert_int_equal(secret_basic(&out, cases[i].user, &password,
				     cases[i].code ? &code : NULL, &err),
		    0);
		CHECK(!strcmp(out.data, cases[i].out) && out.len == strlen(cases[i].out),
		    "case %zu: %s", i, out.data);
	}
	memset(password.data, 'p', SECRET_MAX);
	password.len = SECRET_MAX;
	assert_int_equal(secret_basic(&out, "a", &password, NULL, &err), -1);
	assert_true(is_zero(&out, sizeof(out)) && !has(err.text, "ppp"));
}

/* RFC 6750; a byte that the header can't hold is refused, and nothing is shown. */
static void
test_bearer(void **state)
{
	static const char *const bad[] = { "x y", "a\r\nX: y", "a\tb", "\xc3\xa4", "a\x7f",
		"a\x01" };
	struct secret key = { 0 }, out = { 0 };
	struct err err;
	size_t i;

	(void)state;
	set(&key, "api_bmFtZTpzZWNyZXQ=");
	assert_int_equal(secret_bearer(&out, &key, &err), 0);
	assert_string_equal(out.data, "Bearer api_bmFtZTpzZWNyZXQ=");
	for (i = 0; i < COUNT(bad); i++) {
		set(&key, bad[i]);
		CHECK(secret_bearer(&out, &key, &err) == -1, "case %zu is taken", i);
		CHECK(!has(err.text, bad[i]) && is_zero(&out, sizeof(out)), "case %zu: %s", i,
		    err.text);
	}
	memset(key.data, 'k', SECRET_MAX);
	key.len = SECRET_MAX;
	assert_int_equal(secret_bearer(&out, &key, &err), -1);
}

static void
test_add(void **state)
{
	char text[SECRET_MAX];
	struct secret s = { 0 };
	struct err err;

	(void)state;
	memset(text, 'p', sizeof(text));
	assert_int_equal(secret_add(&s, text, SECRET_MAX - 1, &err), 0);
	assert_int_equal(secret_add(&s, "ab", 2, &err), -1);
	assert_int_equal(s.len, SECRET_MAX - 1);
	assert_int_equal(secret_add(&s, "a", 1, &err), 0);
	assert_int_equal(secret_add(&s, NULL, 0, &err), 0);
	assert_int_equal(s.data[SECRET_MAX], '\0');
	assert_int_equal(secret_add(&s, "a", 1, NULL), -1);
	secret_wipe(&s);
	assert_true(is_zero(&s, sizeof(s)));
	wipe(NULL, 0);
	wipe(text, sizeof(text));
	assert_true(is_zero(text, sizeof(text)));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_strange_files),
		cmocka_unit_test(test_stdin),
		cmocka_unit_test(test_env),
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_bearer),
		cmocka_unit_test(test_add),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
