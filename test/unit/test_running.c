/* test_running.c - is a process found that was started with this file? */
#include "help.h"

#include "sys/running.h"

#include <sys/wait.h>

enum { ARGS_MAX = 8 };

/* A shell that waits, with these arguments and this environment; *input is closed to end it. */
static pid_t
start(const char *const *args, const char *variable, const char *cwd, int *input)
{
	char *argv[ARGS_MAX + 1] = { NULL }, *env[] = { NULL, NULL };
	int in[2], out[2], n = 0;
	char ready;
	pid_t pid;

	assert_true(pipe(in) == 0 && pipe(out) == 0);
	argv[n++] = strdup("sh");
	argv[n++] = strdup("-c");
	argv[n++] = strdup("echo; read x");
	argv[n++] = strdup("stalwart");
	while (*args)
		argv[n++] = strdup(*args++);
	env[0] = variable ? strdup(variable) : NULL;
	pid = fork();
	assert_true(pid != -1);
	if (!pid) {
		if (chdir(cwd) == 0 && dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1 &&
		    close(in[1]) == 0)
			execve("/bin/sh", argv, env);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	assert_int_equal(read(out[0], &ready, 1), 1);
	close(out[0]);
	while (n)
		free(argv[--n]);
	free(env[0]);
	*input = in[1];
	return pid;
}

static void
stop(pid_t pid, int input)
{
	close(input);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static const struct {
	const char *args[ARGS_MAX - 4], *variable;
	bool found;
	const char *why;
} cases[] = {
	{ { "--config=f" }, NULL, true, "" },
	{ { "--config", "f" }, NULL, true, "" },
	{ { "-c", "f" }, NULL, true, "" },
	{ { "-c=f" }, NULL, true, "" },
	{ { "--config= \tf" }, NULL, true, "blanks are skipped" },
	{ { "-config", "./f" }, NULL, true, "one hyphen" },
	{ { "--config=../%s/link" }, NULL, true, "a link" },
	{ { "x", "--config=g", "-c", "f" }, NULL, true, "the second" },
	{ { NULL }, "CONFIG_PATH=f", true, "the environment" },
	{ { "--config=g" }, "CONFIG_PATH=f", true, "the environment too" },
	{ { "--config=g" }, NULL, false, "another file" },
	{ { "--config=none" }, NULL, false, "none" },
	{ { "f" }, NULL, false, "an editor" },
	{ { "--config" }, NULL, false, "nothing behind" },
	{ { "--config=" }, NULL, false, "nothing" },
	{ { "--configs=f" }, NULL, false, "another option" },
	{ { "--conf=f" }, NULL, false, "another option" },
	{ { NULL }, "CONFIG=f", false, "another variable" },
	{ { "config=f" }, NULL, false, "no option" },
	{ { "CONFIG_PATH=f" }, NULL, false, "an argument" },
	{ { NULL }, "XCONFIG_PATH=f", false, "another variable" },
};

static void
test_cases(void **state)
{
	static const char *const names[] = { "f", "g", "link", NULL };
	struct folder folder;
	struct stat st;
	size_t i, j;

	(void)state;
	folder_make(&folder);
	write_text(folder_path(&folder, "f"), "", 0600);
	write_text(folder_path(&folder, "g"), "", 0600);
	assert_int_equal(symlink("f", folder_path(&folder, "link")), 0);
	assert_int_equal(stat(folder_path(&folder, "f"), &st), 0);
	for (i = 0; i < COUNT(cases); i++) {
		const char *args[ARGS_MAX - 3] = { NULL };
		char text[64];
		struct running r;
		int input;
		pid_t pid;

		for (j = 0; j < COUNT(cases[i].args) && cases[i].args[j]; j++)
			args[j] = cases[i].args[j];
		if (args[0] && has(args[0], "%s")) {
			snprintf(text, sizeof(text), "--config=../%s/link",
			    strrchr(folder.name, '/') + 1);
			args[0] = text;
		}
		pid = start(args, cases[i].variable, folder.name, &input);
		running_find(&r, &st, st.st_uid);
		CHECK(r.pid == (cases[i].found ? pid : 0), "%s %s: process %ld is found (%s)",
		    shown(args[0]), cases[i].why, (long)r.pid, r.name);
		CHECK(!cases[i].found ||
			(has(r.name, "sh, /") && has(r.name, ", user ") && !r.bystander),
		    "it is called %s", r.name);
		stop(pid, input);
		running_find(&r, &st, st.st_uid);
		CHECK(!r.pid, "%s: still found", cases[i].why);
	}
	folder_remove(&folder, names);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
