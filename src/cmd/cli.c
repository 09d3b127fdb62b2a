#include "cmd/cli.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "cmd/usage.h"
#include "sys/confine.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* Made by the Makefile from the licence files. */
extern const char licenses_text[];
extern const size_t licenses_len;

static int cmd_licenses(const struct options *o);
static int cmd_version(const struct options *o);
static int cmd_help(const struct options *o);

const struct command cli_commands[COMMAND_COUNT] = {
	[COMMAND_PRINT] = { "print", cmd_print,
	    "print the change set for the given options; needs no network" },
	[COMMAND_STAGE] = { "stage", cmd_stage,
	    "write the change set into a server's settings, without applying it" },
	[COMMAND_STATUS] = { "status", cmd_status,
	    "show whether a server's settings hold the change set" },
	[COMMAND_CLEAR] = { "clear", cmd_clear,
	    "remove the change set and restore the values from before" },
	[COMMAND_RELOAD] = { "reload", cmd_reload, "ask the server to reload its settings" },
	[COMMAND_PROBE] = { "probe", cmd_probe,
	    "show what a server's ports do without and with a PROXY header" },
	[COMMAND_LICENSES] = { "licenses", cmd_licenses,
	    "print the licences of stalprep and of its libraries" },
	[COMMAND_VERSION] = { "version", cmd_version, "print the version" },
	[COMMAND_HELP] = { "help", cmd_help, "print this help, or the help of one command" },
};

/* Print out on standard output, and free it. */
static int
print(const struct options *o, struct buf *out)
{
	int status = say_results(o->command->name, out, SAY_TEXT);

	buf_free(out);
	return status;
}

static int
cmd_help(const struct options *o)
{
	struct buf out = { 0 };

	if (o->about)
		usage_command(&out, cli_commands, (enum command_id)(o->about - cli_commands));
	else
		usage_all(&out, cli_commands);
	return print(o, &out);
}

static int
cmd_version(const struct options *o)
{
	struct buf out = { 0 };

	buf_str(&out, o->version);
	return print(o, &out);
}

static int
cmd_licenses(const struct options *o)
{
	struct buf out = { 0 };

	buf_add(&out, licenses_text, licenses_len);
	return print(o, &out);
}

/*
 * If a standard stream is closed, the next file that is opened gets its number, and the report
 * would go into that file. Open the root folder in its place: it always exists and takes no output.
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
cli_main(int argc, char **argv, const char *version)
{
	struct pool pool = { 0 };
	struct options o;
	struct err err;
	int status;

	keep_streams();
	/* A pipe without a reader, and the limit of a file's size, are errors of the write. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	confine_begin();
	if (options_parse(&o, cli_commands, &pool, argc > 0 ? argc - 1 : 0, argv + 1, &err) == -1) {
		say(o.command ? o.command->name : NULL, err.text);
		status = err.kind == ERR_USAGE ? EXIT_USAGE : EXIT_REFUSED;
	} else {
		o.program = argc > 0 && argv[0] && *argv[0] ? argv[0] : "stalprep";
		o.version = version;
		status = o.command->run(&o);
	}
	pool_free(&pool);
	return status;
}
