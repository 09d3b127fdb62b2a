/*
 * fuzz_options.c - the command line, each argument behind a NUL. What print writes as JSON is JSON;
 * the options that a report repeats for the next command, split as a shell does it, say the same
 * again.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/pool.h"
#include "cmd/cli.h"
#include "cmd/exits.h"
#include "cmd/usage.h"
#include "format/json.h"
#include "settings/listener.h"
#include "sys/resolve.h"
#include "tls/x509.h"

#include <sys/mman.h>
#include <unistd.h>

enum { ARGS_MAX = 48 };

/*
 * Everything that went to standard output while print ran, in this format. refused: the exit status
 * that it shall have. The caller frees it.
 */
static char *
print(const struct options *o, enum format format, int refused, size_t *len)
{
	struct options with = *o;
	int real = dup(STDOUT_FILENO), file = memfd_create("out", 0), r;
	char *text;

	with.format = format;
	with.program = "stalprep";
	CHECK(real != -1 && file != -1 && dup2(file, STDOUT_FILENO) != -1, "no file");
	r = cmd_print(&with);
	CHECK(dup2(real, STDOUT_FILENO) != -1, "no standard output");
	*len = (size_t)lseek(file, 0, SEEK_END);
	text = calloc(1, *len + 1);
	CHECK(text && pread(file, text, *len, 0) == (ssize_t)*len, "no memory");
	close(real);
	close(file);
	if (format == FORMAT_RUNBOOK && !refused && r == EXIT_USAGE)
		refused = r; /* it needs more options than the others */
	if ((format == FORMAT_PROXY || format == FORMAT_RUNBOOK) && o->reach.snapshot && r)
		refused = r; /* a file that is none */
	CHECK(r == refused && (refused || *len), "print fails with %d in format %d", r, format);
	return text;
}

/* Is there a listener whose keys print refuses, because they look like those of another? */
static bool
is_ambiguous(const struct options *o)
{
	size_t i;

	for (i = 0; i < o->request.listener_count; i++) {
		if (listener_name_is_ambiguous(o->request.listeners[i]))
			return true;
	}
	return false;
}

static void
check_print(const struct options *o)
{
	bool refused = is_ambiguous(o);
	enum format f;
	size_t len;

	for (f = FORMAT_TEXT; f < FORMAT_COUNT; f++) {
		char *text = print(o, f, refused, &len);
		struct json *doc;
		struct err err;

		CHECK(strlen(text) == len, "a NUL in format %d", f);
		if (f == FORMAT_JSON && !refused) {
			CHECK(json_parse(&doc, text, len, &err) == 0, "%s: %s", text, err.text);
			CHECK(json_is_array(doc), "%s", text);
			json_free(doc);
		}
		free(text);
	}
}

/*
 * Words as a POSIX shell splits and unquotes them; the text has nothing else that a shell looks at.
 */
static int
split_words(struct pool *pool, const char *text, char **words)
{
	int n = 0;

	for (;;) {
		char *out;
		bool quoted = false;

		text += strspn(text, " ");
		if (!*text)
			return n;
		CHECK(n < 2 * ARGS_MAX, "more words than were given");
		words[n++] = out = pool_zero(pool, strlen(text) + 1);
		for (; *text && (quoted || *text != ' '); text++) {
			CHECK(quoted || !strchr("\t\n\"$`&|;<>()*?[#~{}!", *text), "a bare %c",
			    *text);
			if (*text == '\'')
				quoted = !quoted;
			else
				*out++ = *text == '\\' && !quoted ? *++text : *text;
		}
		CHECK(!quoted, "a quote that is not closed");
	}
}

typedef void formatter(struct buf *out, const struct options *o);

static void
format_request(struct buf *out, const struct options *o)
{
	request_format(out, &o->request);
}

/* What `tell` says of these options, given to the command again, is accepted and told the same. */
static void
check_repeat(const struct options *o, formatter *tell, const char *command)
{
	struct buf once = { 0 }, line = { 0 }, twice = { 0 };
	struct pool pool = { 0 };
	char *words[2 * ARGS_MAX];
	struct options again;
	struct err err;
	int n;

	tell(&once, o);
	buf_printf(&line, "%s%s", command, buf_text(&once));
	n = split_words(&pool, buf_text(&line), words);
	CHECK(options_parse(&again, cli_commands, &pool, n, words, &err) == 0, "%s: %s", line.data,
	    err.text);
	tell(&twice, &again);
	CHECK(same_text(buf_text(&once), buf_text(&twice)), "%s, then %s", buf_text(&once),
	    buf_text(&twice));
	CHECK(tell != format_request || again.request.groups == o->request.groups,
	    "%s: %x, then %x", line.data, o->request.groups, again.request.groups);
	buf_free(&once);
	buf_free(&line);
	buf_free(&twice);
	pool_free(&pool);
}

static void
check_accepted(const struct options *o)
{
	struct resolve_entry entry;
	struct x509_pins pins;
	struct err err;
	size_t i;

	if (o->id == COMMAND_PRINT)
		check_print(o);
	if (o->id == COMMAND_STAGE) {
		CHECK(o->reach.target_count, "stage without a target");
		check_repeat(o, format_request, "stage --url https://a.example");
		check_repeat(o, options_format_reach, "clear --url https://a.example");
	}
	for (i = 0; i < o->reach.resolve_count; i++) {
		if (resolve_parse(&entry, o->reach.resolve[i], &err) == 0)
			CHECK(entry.port && entry.port <= 65535 && entry.to.count &&
				entry.to.count <= RESOLVE_MAX,
			    "%s", o->reach.resolve[i]);
		else
			check_err(&err);
	}
	if (o->reach.pinnedpubkey && !strncmp(o->reach.pinnedpubkey, "sha256//", 8)) {
		if (x509_pins_parse(&pins, o->reach.pinnedpubkey, &err) == 0)
			CHECK(pins.count && pins.count <= X509_PIN_MAX, "%zu pins", pins.count);
		else
			check_err(&err);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct pool pool = { 0 };
	char *args[ARGS_MAX];
	struct options o;
	struct buf usage = { 0 };
	struct err err;
	int n = 0, i;

	while (in.len && n < ARGS_MAX)
		args[n++] = input_until(&in, '\0');
	if (options_parse(&o, cli_commands, &pool, n, args, &err) == 0) {
		CHECK(o.id < COMMAND_COUNT && o.command == &cli_commands[o.id], "command %d",
		    (int)o.id);
		usage_command(&usage, cli_commands, o.id);
		check_accepted(&o);
	} else {
		check_err(&err);
		CHECK(err.kind == ERR_USAGE, "kind %d", err.kind);
	}
	for (i = 0; i < n; i++)
		free(args[i]);
	buf_free(&usage);
	pool_free(&pool);
	return 0;
}
