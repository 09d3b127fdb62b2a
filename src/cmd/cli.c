#include "cmd/cli.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "cmd/output.h"
#include "cmd/run.h"
#include "sys/confine.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int cmd_help(const struct options *o, const char *program);
static int cmd_version(const struct options *o, const char *program);

/* Dispatch, usage and the manual's test read this table. */
static const struct {
	int (*run)(const struct options *o, const char *program);
	const char *words;
} commands[COMMAND_COUNT] = {
	[COMMAND_PRINT] = { cmd_print, "print the change set for these options; needs no network" },
	[COMMAND_STAGE] = { cmd_stage,
	    "write it into a live server's settings, without applying anything" },
	[COMMAND_STATUS] = { cmd_status, "say what a server's settings hold of it" },
	[COMMAND_CLEAR] = { cmd_clear, "take it out again and bring back what stood before" },
	[COMMAND_RELOAD] = { cmd_reload, "ask the server to reload its settings" },
	[COMMAND_LICENSES] = { cmd_licenses, "the licences of stalprep and of what is in it" },
	[COMMAND_VERSION] = { cmd_version, "the version" },
	[COMMAND_HELP] = { cmd_help, "help, or help COMMAND" },
};

static const char examples[] =
    "\nFirst keep a copy of the server's config.toml; then, for example:\n"
    "  stalprep stage --url https://mail.internal --proxy 203.0.113.10 --public-url "
    "https://mail.example.org --dry-run\n"
    "  stalprep stage --url https://mail.internal --proxy 203.0.113.10 --public-url "
    "https://mail.example.org\n"
    "  stalprep status --url https://mail.internal\n"
    "  stalprep clear --url https://mail.internal\n";

static const char statuses[] =
    "\nExit status: 0 done or nothing to do; 1 refused or failed before any write; 2 usage; 3 not "
    "reached, or its\n"
    "certificate not accepted; 4 credentials or permission; 5 something may be written and is not "
    "all proved;\n"
    "6 partly (status), keys left alone (clear); 7 not staged (status).\n";

static void
help_all(struct buf *out)
{
	size_t i;

	buf_str(out,
	    "stalprep prepares an older Stalwart mail server (0.8 to 0.15) to sit behind the "
	    "migration proxy: it stages\n"
	    "the guide's change set in the live server's settings, proves it, and can take it all "
	    "back.\n\n"
	    "usage: stalprep COMMAND [OPTION]...\n\n");
	for (i = 0; i < COMMAND_COUNT; i++)
		buf_printf(out, "  %-9s %s\n", command_name((enum command)i), commands[i].words);
	buf_str(out, examples);
	buf_str(out, statuses);
	buf_str(out, "\nstalprep help COMMAND lists a command's options.\n");
}

static int
cmd_help(const struct options *o, const char *program)
{
	struct buf out = { 0 };
	int r;

	(void)program;
	if (o->help_about == COMMAND_COUNT) {
		help_all(&out);
	} else {
		buf_printf(&out, "usage: stalprep %s [OPTION]...\n%s\n\n",
		    command_name(o->help_about), commands[o->help_about].words);
		options_usage(&out, o->help_about);
	}
	r = run_print(&out);
	buf_free(&out);
	return r;
}

static int
cmd_version(const struct options *o, const char *program)
{
	struct buf out = { 0 };
	int r;

	(void)o;
	(void)program;
	buf_str(&out, "stalprep " VERSION "\n");
	r = run_print(&out);
	buf_free(&out);
	return r;
}

/*
 * A standard stream that is closed would give its number to the next file, and that file would get
 * the report. The root folder stands in its place: it is always there, and can neither be read nor
 * written.
 */
static void
keep_streams(void)
{
	int fd;

	do {
		fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int
cli_main(int argc, char **argv)
{
	const char *program = argc > 0 && argv[0] && *argv[0] ? argv[0] : "stalprep";
	struct pool pool = { 0 };
	struct options o;
	struct err err;
	int status;

	keep_streams();
	confine_begin();
	if (options_parse(&o, &pool, argc > 0 ? argc - 1 : 0, argv + 1, &err) == -1) {
		fprintf(stderr, "stalprep: %s\n", err.text);
		status = err.kind == ERR_USAGE ? EXIT_USAGE : EXIT_REFUSED;
	} else {
		status = commands[o.command].run(&o, program);
	}
	pool_free(&pool);
	return status;
}
