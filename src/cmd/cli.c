#include "cmd/cli.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "sys/confine.h"

#include <fcntl.h>
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
	[COMMAND_LICENSES] = { "licenses", cmd_licenses,
	    "print the licences of stalprep and of its libraries" },
	[COMMAND_VERSION] = { "version", cmd_version, "print the version" },
	[COMMAND_HELP] = { "help", cmd_help, "print this help, or the help of one command" },
};

static const char examples[] =
    "\nFirst make a copy of the server's config.toml. Then, for example:\n"
    "  stalprep stage --url https://mail.internal --proxy 203.0.113.10 \\\n"
    "      --public-url https://mail.example.org --dry-run\n"
    "  stalprep stage --url https://mail.internal --proxy 203.0.113.10 \\\n"
    "      --public-url https://mail.example.org\n"
    "  stalprep status --url https://mail.internal\n"
    "  stalprep clear --url https://mail.internal\n";

static void
help_all(struct buf *out)
{
	size_t i;

	buf_str(out,
	    "stalprep prepares an older Stalwart mail server (0.8 to 0.15) to run behind the\n"
	    "migration proxy. It writes the guide's change set into the server's settings,\n"
	    "without applying it, proves what it wrote, and can take all of it back.\n\n"
	    "usage: stalprep COMMAND [OPTION]...\n\n");
	for (i = 0; i < COMMAND_COUNT; i++)
		buf_printf(out, "  %-9s %s\n", cli_commands[i].name, cli_commands[i].words);
	buf_str(out, examples);
	buf_str(out, "\nExit status:\n");
	for (i = 0; i < EXITS_COUNT; i++)
		buf_printf(out, "  %3d  %s\n", exits[i].status, exits[i].words);
	buf_str(out, "\nstalprep help COMMAND lists the options of one command.\n");
}

static void
help_refusals(struct buf *out)
{
	size_t i;

	buf_str(out, "\nRefusals (--force NAME overrides those with a star):\n");
	for (i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++)
		buf_printf(out, "  %c %-17s %s\n", refusals[i].can_be_forced ? '*' : ' ',
		    refusals[i].name, refusals[i].meaning);
}

/* Print out on standard output, and free it. */
static int
print(const struct options *o, struct buf *out)
{
	int status = say_results(o->command->name, out);

	buf_free(out);
	return status;
}

static int
cmd_help(const struct options *o)
{
	struct buf out = { 0 };
	enum command_id about;

	if (!o->about) {
		help_all(&out);
		return print(o, &out);
	}
	about = (enum command_id)(o->about - cli_commands);
	buf_printf(&out, "usage: stalprep %s [OPTION]...\n%s\n\n", o->about->name, o->about->words);
	options_usage(&out, about);
	if (about >= COMMAND_STAGE && about <= COMMAND_RELOAD)
		help_refusals(&out);
	return print(o, &out);
}

static int
cmd_version(const struct options *o)
{
	struct buf out = { 0 };

	buf_str(&out, "stalprep " VERSION "\n");
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
 * would go into that file. Open the root folder in its place: it always exists, and no report can
 * go there.
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
	struct pool pool = { 0 };
	struct options o;
	struct err err;
	int status;

	keep_streams();
	confine_begin();
	if (options_parse(&o, cli_commands, &pool, argc > 0 ? argc - 1 : 0, argv + 1, &err) == -1) {
		say(o.command ? o.command->name : NULL, err.text);
		status = err.kind == ERR_USAGE ? EXIT_USAGE : EXIT_REFUSED;
	} else {
		o.program = argc > 0 && argv[0] && *argv[0] ? argv[0] : "stalprep";
		status = o.command->run(&o);
	}
	pool_free(&pool);
	return status;
}
