#include "cmd/options.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "cmd/nearest.h"
#include "cmd/option_table.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

enum {
	CONNECT_SECONDS = 10,
	MAX_SECONDS = 60,
	PROBE_SECONDS = 20,
	SILENCE_SECONDS = 5,
	OPTION_DISTANCE = 3, /* a mistyped option or command: how far away its name may be */
	COMMAND_DISTANCE = 2
};

static int
unknown_option(const char *name, struct err *err)
{
	struct nearest near = { .word = name, .distance = OPTION_DISTANCE + 1 };
	size_t i;

	for (i = 0; i < OPT_COUNT; i++)
		nearest_try(&near, option_table[i].name);
	if (near.name)
		return err_set(err, ERR_USAGE, "--%.40s is not an option; did you mean --%s?", name,
		    near.name);
	return err_set(err, ERR_USAGE, "--%.40s is not an option; see stalprep help", name);
}

static int
unknown_command(const struct command *commands, const char *word, struct err *err)
{
	struct nearest near = { .word = word, .distance = COMMAND_DISTANCE + 1 };
	size_t i;

	for (i = 0; i < COMMAND_COUNT; i++)
		nearest_try(&near, commands[i].name);
	if (near.name)
		return err_set(err, ERR_USAGE, "\"%.40s\" is not a command; did you mean %s?", word,
		    near.name);
	return err_set(err, ERR_USAGE, "\"%.40s\" is not a command; see stalprep help", word);
}

/* The command; or behind help, the command that help is about. */
static int
set_command(struct parse *p, const char *word, struct err *err)
{
	size_t i;

	for (i = 0; i < COMMAND_COUNT && strcmp(p->commands[i].name, word) != 0; i++)
		;
	if (i == COMMAND_COUNT)
		return unknown_command(p->commands, word, err);
	p->argument_seen = p->o->command != NULL;
	if (p->argument_seen) {
		p->o->about = &p->commands[i];
	} else {
		p->o->command = &p->commands[i];
		p->o->id = (enum command_id)i;
	}
	return 0;
}

static int
set_option(struct parse *p, enum option_id id, const char *value, struct err *err)
{
	const struct option *opt = &option_table[id];
	char *field = (char *)p->o + opt->at;
	bool on = true;

	if (id == OPT_CONFIG && p->seen[id])
		return err_set(
		    err, ERR_USAGE, "--config is given twice: run stalprep once for each file");
	p->seen[id] = true;
	if (value && !*value)
		return err_set(err, ERR_USAGE, "--%s: the value is empty", opt->name);
	p->o->request.values_given |= (opt->traits & OPTION_WRITES) != 0;
	if (opt->set)
		return opt->set(p, opt, value, err);
	if (value)
		memcpy(field, &value, sizeof(value));
	else if (opt->at)
		memcpy(field, &on, sizeof(on));
	return 0;
}

/* --name, --name=value or --name value. *i moves to the last argument that was used. */
static int
parse_long(struct parse *p, int argc, char **argv, int *i, struct err *err)
{
	const char *text = argv[*i] + 2, *equals = strchr(text, '='), *name, *value = NULL;
	size_t id;

	name = pool_copy(p->pool, text, equals ? (size_t)(equals - text) : strlen(text));
	if (pool_check(p->pool, err) == -1)
		return -1;
	for (id = 0; id < OPT_COUNT && strcmp(option_table[id].name, name) != 0; id++)
		;
	if (id == OPT_COUNT) {
		if (!strcmp(name, "password") || !strcmp(name, "api-key") || !strcmp(name, "totp"))
			return err_set(err, ERR_USAGE,
			    "--%s is not an option: everybody on the machine can see the "
			    "command line; use --%s-file",
			    name, name);
		return unknown_option(name, err);
	}
	if (option_table[id].arg) {
		value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : NULL;
		if (!value)
			return err_set(err, ERR_USAGE, "--%s needs a value: --%s %s", name, name,
			    option_table[id].arg);
	} else if (equals) {
		return err_set(err, ERR_USAGE, "--%s takes no value", name);
	}
	return set_option(p, (enum option_id)id, value, err);
}

/* -k, -kv, -uNAME or -u NAME. */
static int
parse_short(struct parse *p, int argc, char **argv, int *i, struct err *err)
{
	const char *s;
	size_t id;

	for (s = argv[*i] + 1; *s; s++) {
		for (id = 0; id < OPT_COUNT && option_table[id].letter != *s; id++)
			;
		if (id == OPT_COUNT)
			return err_set(
			    err, ERR_USAGE, "-%c is not an option; see stalprep help", *s);
		if (!option_table[id].arg) {
			if (set_option(p, (enum option_id)id, NULL, err) == -1)
				return -1;
			continue;
		}
		if (!s[1] && *i + 1 >= argc)
			return err_set(err, ERR_USAGE, "-%c needs a value: -%c %s", *s, *s,
			    option_table[id].arg);
		return set_option(p, (enum option_id)id, s[1] ? s + 1 : argv[++*i], err);
	}
	return 0;
}

/* Refuse options that the command does not have. */
static int
check_known(const struct parse *p, struct err *err)
{
	const char *command = p->o->command->name;
	size_t id;

	for (id = 0; id < OPT_COUNT; id++) {
		if (p->seen[id] && !(option_table[id].commands & 1u << p->o->id))
			return err_set(err, ERR_USAGE,
			    "--%s is not an option of %s; see stalprep help %s",
			    option_table[id].name, command, command);
	}
	return 0;
}

/* Does the command write values? Then all of them must be given. */
static bool
needs_values(const struct options *o)
{
	return o->id == COMMAND_STAGE ||
	    (o->id == COMMAND_PRINT && !o->clear && o->format != FORMAT_KEYS &&
		o->format != FORMAT_PROXY && !(o->format == FORMAT_RUNBOOK && o->reach.snapshot));
}

/* Set the groups, from --only, --skip and the other options. */
static int
choose_groups(struct parse *p, struct err *err)
{
	struct request *q = &p->o->request;
	bool all_by_default = p->o->id == COMMAND_CLEAR || p->o->id == COMMAND_STATUS;
	unsigned usual = all_by_default
	    ? (1u << GROUP_COUNT) - 1
	    : (unsigned)GROUPS_DEFAULT | (q->relay_host ? 1u << GROUP_OUTBOUND : 0);

	q->groups_named = p->only != 0;
	p->o->groups_given = p->only || p->skip;
	q->groups = p->only ? p->only : usual;
	q->groups &= ~p->skip;
	if (q->allow_new_server)
		q->groups |= 1u << GROUP_ALLOW;
	if (!q->groups)
		return err_set(err, ERR_USAGE, "--only and --skip leave no group");
	if (p->only & 1u << GROUP_OUTBOUND && !q->relay_host && !all_by_default)
		return err_set(
		    err, ERR_USAGE, "the group outbound needs --relay HOST, the new server's name");
	return 0;
}

/* --listener names all listeners; --also and --leave change what is found. */
static int
check_listeners(const struct parse *p, struct err *err)
{
	static const enum option_id ids[] = { OPT_LISTENER, OPT_ALSO, OPT_LEAVE };
	const struct request *q = &p->o->request;
	size_t i, j;

	for (i = 0; i < COUNT(ids); i++) {
		const char *name = option_table[ids[i]].name;

		if (!p->seen[ids[i]])
			continue;
		if (!(q->groups & 1u << GROUP_LISTENERS))
			return err_set(err, ERR_USAGE,
			    "--%s needs the group listeners, which is left out", name);
		if (ids[i] != OPT_LISTENER && q->listener_count)
			return err_set(err, ERR_USAGE,
			    "--listener and --%s can't be used together: --listener names all "
			    "listeners",
			    name);
	}
	for (i = 0; i < q->also_count; i++) {
		for (j = 0; j < q->leave_count; j++) {
			if (!strcmp(q->also[i], q->leave[j]))
				return err_set(err, ERR_USAGE,
				    "--also and --leave both name \"%.80s\"", q->also[i]);
		}
	}
	return 0;
}

static int
check_values(const struct parse *p, struct err *err)
{
	const struct request *q = &p->o->request;

	if (needs_values(p->o) && q->groups & 1u << GROUP_LISTENERS && !q->proxy_count)
		return err_set(err, ERR_USAGE,
		    "--proxy ADDR is missing: the address of the proxy (or --skip listeners)");
	if (needs_values(p->o) && q->groups & 1u << GROUP_URL && !q->public_origin[0])
		return err_set(err, ERR_USAGE,
		    "--public-url URL is missing: the proxy's public https URL (or --skip url)");
	if (p->o->clear && p->o->format == FORMAT_PROXY)
		return err_set(
		    err, ERR_USAGE, "--format proxy has nothing to undo: leave out --clear");
	if (q->allow_new_server && !q->new_server[0])
		return err_set(err, ERR_USAGE, "--allow-new-server needs --new-server ADDR");
	if (p->seen[OPT_RELAY_ID] && !q->relay_host)
		return err_set(err, ERR_USAGE, "--relay-id needs --relay HOST");
	return check_listeners(p, err);
}

/* Refuse options that only a server needs. */
static int
check_config(const struct parse *p, struct err *err)
{
	const struct options *o = p->o;
	size_t id;

	for (id = 0; id < OPT_COUNT; id++) {
		if (p->seen[id] && option_table[id].traits & OPTION_SERVER)
			return err_set(err, ERR_USAGE,
			    "--%s can't be used with --config: no server is asked",
			    option_table[id].name);
	}
	if (!strcmp(o->reach.config, "-") && o->json && !o->dry_run && o->id != COMMAND_STATUS)
		return err_set(err, ERR_USAGE,
		    "--json can't be used with --config -: standard output gets the file");
	return 0;
}

static int
check_reach(const struct parse *p, struct err *err)
{
	const struct reach *r = &p->o->reach;

	if (!(IN_API & 1u << p->o->id))
		return 0;
	if (r->config && check_config(p, err) == -1)
		return -1;
	if (!r->target_count && !r->config)
		return err_set(err, ERR_USAGE,
		    "--url URL is missing: the old server's management API%s",
		    p->o->id == COMMAND_RELOAD ? "" : " (or --config FILE if it is stopped)");
	if (r->boot_config_count && r->boot_config_count != r->target_count)
		return err_set(err, ERR_USAGE,
		    "--boot-config FILE has to be given once for each --url, in the same order, or "
		    "not at all");
	if (r->snapshot && r->snapshot_dir)
		return err_set(
		    err, ERR_USAGE, "--snapshot and --snapshot-dir can't be used together");
	if (r->api_key_file && (r->password_file || r->totp_file || r->user))
		return err_set(err, ERR_USAGE,
		    "--api-key-file can't be used with --user, --password-file or --totp-file");
	if (r->password_file && r->totp_file && !strcmp(r->password_file, "-") &&
	    !strcmp(r->totp_file, "-"))
		return err_set(
		    err, ERR_USAGE, "--password-file and --totp-file can't both be standard input");
	return 0;
}

/* The look-up of a host, and the connections to it, have to know what it is. */
static int
set_host(struct parse *p, const char *word, struct err *err)
{
	size_t len = strlen(word);
	struct net addr;
	char *host;

	if (word[0] == '[' && word[len - 1] == ']')
		host = pool_copy(p->pool, word + 1, len - 2);
	else
		host = pool_copy(p->pool, word, len);
	p->o->host = host;
	if (pool_check(p->pool, err) == -1)
		return -1;
	len = strcspn(host, "%");
	if (len <= HOST_MAX &&
	    (host_is_name(host) || addr_parse(&addr, pool_copy(p->pool, host, len))))
		return 0;
	return err_set(err, ERR_USAGE,
	    "\"%.80s\" is not a host: an address or a name, such as mail.internal", word);
}

static int
check_probe(const struct parse *p, struct err *err)
{
	struct options *o = p->o;

	if (!o->host)
		return err_set(err, ERR_USAGE,
		    "HOST is missing: the old server's address or name; see stalprep help probe");
	if (!o->silence)
		return err_set(err, ERR_USAGE, "--silence must be at least 1 second");
	if ((o->expect == EXPECT_STAGED || o->expect == EXPECT_ROLLED_BACK) && !o->reach.snapshot &&
	    !o->request.proxy_count)
		return err_set(err, ERR_USAGE,
		    "--expect %s needs the proxy's networks: --proxy ADDR or --snapshot FILE. From "
		    "elsewhere all ports are plain whatever the server does",
		    expect_names[o->expect]);
	if (!p->seen[OPT_MAX_TIME])
		o->reach.max_time = PROBE_SECONDS;
	return 0;
}

static int
check_all(struct parse *p, struct err *err)
{
	if (p->seen[OPT_VERSION] || p->seen[OPT_HELP])
		return 0;
	if (check_known(p, err) == -1)
		return -1;
	if (p->o->quiet && p->o->verbose)
		return err_set(err, ERR_USAGE, "--quiet and --verbose can't be used together");
	if (p->o->id == COMMAND_PROBE)
		return check_probe(p, err);
	if (!(option_table[OPT_URL].commands & 1u << p->o->id))
		return 0; /* licenses and the like */
	if (choose_groups(p, err) == -1 || check_values(p, err) == -1)
		return -1;
	return check_reach(p, err);
}

/* The options --version and --help choose a command. */
static void
choose_command(struct parse *p)
{
	struct options *o = p->o;
	enum command_id id = p->seen[OPT_VERSION] ? COMMAND_VERSION : COMMAND_HELP;

	if (!p->seen[OPT_VERSION] && !p->seen[OPT_HELP])
		return;
	if (p->seen[OPT_HELP] && o->command && o->id != COMMAND_HELP)
		o->about = o->command;
	o->command = &p->commands[id];
	o->id = id;
}

static int
parse_word(struct parse *p, const char *word, struct err *err)
{
	if (p->o->command && p->o->id == COMMAND_PROBE && !p->o->host)
		return set_host(p, word, err);
	if (p->o->command && (p->o->id != COMMAND_HELP || p->argument_seen))
		return err_set(err, ERR_USAGE, "\"%.40s\": %s takes no %sargument", word,
		    p->o->command->name,
		    p->argument_seen || p->o->id == COMMAND_PROBE ? "second " : "");
	return set_command(p, word, err);
}

int
options_parse(struct options *o, const struct command *commands, struct pool *pool, int argc,
    char **argv, struct err *err)
{
	struct parse p = { .o = o, .commands = commands, .pool = pool };
	bool only_words = false;
	int i, r;

	memset(o, 0, sizeof(*o));
	request_init(&o->request);
	o->reach.connect_timeout = CONNECT_SECONDS;
	o->reach.max_time = MAX_SECONDS;
	o->silence = SILENCE_SECONDS;
	for (i = 0; i < argc; i++) {
		if (!only_words && !strcmp(argv[i], "--")) {
			only_words = true;
			continue;
		}
		if (only_words || argv[i][0] != '-' || !argv[i][1])
			r = parse_word(&p, argv[i], err);
		else if (argv[i][1] == '-')
			r = parse_long(&p, argc, argv, &i, err);
		else
			r = parse_short(&p, argc, argv, &i, err);
		if (r == -1)
			return -1;
	}
	choose_command(&p);
	if (!o->command)
		return err_set(err, ERR_USAGE,
		    "no command given: print, stage, status, clear, reload or probe; see stalprep "
		    "help");
	return check_all(&p, err);
}

void
options_format_path(struct buf *out, const char *path)
{
	char here[PATH_MAX];
	struct buf whole = { 0 };

	while (!strncmp(path, "./", 2))
		path += 2;
	if (*path != '/' && getcwd(here, sizeof(here)) && *here == '/')
		buf_printf(&whole, "%s/", strcmp(here, "/") != 0 ? here : "");
	buf_str(&whole, path);
	buf_shell_line(out, buf_text(&whole) ? buf_text(&whole) : path);
	buf_free(&whole);
}

void
options_format_command(struct buf *out, const struct options *o, const char *command)
{
	if (strchr(o->program, '/'))
		options_format_path(out, o->program);
	else
		buf_shell_line(out, o->program);
	buf_printf(out, " %s", command);
}

void
options_format_option(struct buf *out, const char *name, const char *value, bool is_path)
{
	buf_printf(out, " --%s ", name);
	(is_path ? options_format_path : buf_shell_line)(out, value);
}

/* Standard input is no file, and neither are the hashes of keys. */
static bool
is_path(const struct option *opt, const char *text)
{
	return opt->traits & OPTION_PATH && strcmp(text, "-") != 0 &&
	    strncmp(text, "sha256//", 8) != 0;
}

void
options_format_reach(struct buf *out, const struct options *o)
{
	size_t id, i;

	for (id = 0; id < OPT_COUNT; id++) {
		const struct option *opt = &option_table[id];
		const char *text;

		if (!(opt->traits & OPTION_REPEAT))
			continue;
		if (id == OPT_RESOLVE) {
			for (i = 0; i < o->reach.resolve_count; i++)
				options_format_option(out, opt->name, o->reach.resolve[i], false);
			continue;
		}
		if (!opt->arg) {
			if (*((const char *)o + opt->at))
				buf_printf(out, " --%s", opt->name);
			continue;
		}
		memcpy(&text, (const char *)o + opt->at, sizeof(text));
		if (text)
			options_format_option(out, opt->name, text, is_path(opt, text));
	}
}
