#include "cmd/options.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/utf8.h"
#include "settings/changeset.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	IN_PRINT = 1u << COMMAND_PRINT,
	IN_CHANGE = 1u << COMMAND_STAGE | 1u << COMMAND_CLEAR,
	IN_API = IN_CHANGE | 1u << COMMAND_STATUS | 1u << COMMAND_RELOAD,
	IN_PLAN = IN_CHANGE | 1u << COMMAND_STATUS,
	IN_ALL = (1u << COMMAND_COUNT) - 1
};

enum {
	CONNECT_SECONDS = 10,
	MAX_SECONDS = 60,
	SECONDS_MAX = 86400,
	NEAR_MAX = 3,
	WORD_MAX = 32,
	USAGE_WIDTH = 110
};

/* The order is that of usage. */
enum option_id {
	OPT_PROXY,
	OPT_PUBLIC_URL,
	OPT_RELAY,
	OPT_RELAY_ID,
	OPT_ONLY,
	OPT_SKIP,
	OPT_LISTENER,
	OPT_RELAY_LISTENER,
	OPT_NEW_SERVER,
	OPT_ALLOW,
	OPT_SINGLE_NODE,
	OPT_DIALECT,
	OPT_CONFIG,
	OPT_URL,
	OPT_CACERT,
	OPT_PINNEDPUBKEY,
	OPT_INSECURE,
	OPT_RESOLVE,
	OPT_CONNECT_TIMEOUT,
	OPT_MAX_TIME,
	OPT_HAPROXY,
	OPT_USER,
	OPT_PASSWORD_FILE,
	OPT_TOTP_FILE,
	OPT_API_KEY_FILE,
	OPT_SNAPSHOT,
	OPT_SNAPSHOT_DIR,
	OPT_DRY_RUN,
	OPT_RELOAD,
	OPT_FORCE,
	OPT_FORMAT,
	OPT_CLEAR,
	OPT_JSON,
	OPT_QUIET,
	OPT_VERBOSE,
	OPT_VERSION,
	OPT_HELP,
	OPT_COUNT
};

static const char *const format_names[FORMAT_COUNT] = {
	[FORMAT_TEXT] = "text",
	[FORMAT_CURL] = "curl",
	[FORMAT_JSON] = "json",
	[FORMAT_TOML] = "toml",
	[FORMAT_KEYS] = "keys",
};

/* The parser's state. */
struct parse {
	struct options *o;
	const struct command *commands;
	struct pool *pool;
	unsigned only, skip; /* sets of groups */
	bool argument_seen;
	bool seen[OPT_COUNT];
};

/* ---- values ---- */

static int
set_groups(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	unsigned *set = opt == &options_table[OPT_ONLY] ? &p->only : &p->skip;
	const char *end;
	enum group g;

	for (;; value = end + 1) {
		end = value + strcspn(value, ",");
		if (!group_find(&g, value, (size_t)(end - value)) || g == GROUP_ALLOW)
			return err_set(err, ERR_USAGE,
			    "--%s: \"%.*s\" is not a group; the groups are listeners, checks, url "
			    "and outbound",
			    opt->name, (int)(end - value > 40 ? 40 : end - value), value);
		*set |= 1u << g;
		if (!*end)
			return 0;
	}
}

static int
set_proxy(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	struct request *q = &p->o->request;
	char text[NET_TEXT_MAX];
	struct err why;
	struct net n;

	(void)opt;
	if (net_parse(&n, value, &why) == -1)
		return err_set(err, ERR_USAGE, "--proxy %s", why.text);
	net_format(&n, text);
	if (request_has_proxy(q, text))
		return 0;
	if (q->proxy_count == PROXIES_MAX)
		return err_set(
		    err, ERR_USAGE, "--proxy can be given at most %d times", PROXIES_MAX);
	memcpy(q->proxies[q->proxy_count++], text, sizeof(text));
	return 0;
}

/* HOST must be a name: with an address the server would bounce all mail (server-facts). */
static int
set_relay(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	struct request *q = &p->o->request;
	size_t n = strcspn(value, ":");
	const char *host = pool_copy(p->pool, value, n);
	char *end = NULL;
	struct net addr;

	(void)opt;
	if (pool_check(p->pool, err) == -1)
		return -1;
	if (value[0] == '[' || addr_parse(&addr, value) || addr_parse(&addr, host))
		return err_set(err, ERR_USAGE,
		    "--relay %.80s: a relay needs a DNS name. The server would look up an IP "
		    "address as a name, and bounce all outgoing mail",
		    value);
	if (!host_is_name(host))
		return err_set(err, ERR_USAGE,
		    "--relay %.80s is not HOST[:PORT], such as new.example.org:25", value);
	q->relay_host = host;
	q->relay_port = RELAY_PORT;
	if (!value[n])
		return 0;
	if (value[n + 1] >= '0' && value[n + 1] <= '9' && strlen(value + n + 1) <= 5)
		q->relay_port = (unsigned)strtoul(value + n + 1, &end, 10);
	if (!end || *end || !q->relay_port || q->relay_port > 65535)
		return err_set(err, ERR_USAGE,
		    "--relay %.80s: the port must be a number from 1 to 65535", value);
	return 0;
}

/* The name becomes one part of a key. */
static int
set_relay_id(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	size_t n = strspn(
	    value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	(void)opt;
	if (!n || value[n] || n > 60)
		return err_set(err, ERR_USAGE,
		    "--relay-id \"%.60s\": a name has at most 60 letters, digits, _ and -", value);
	if (!strcmp(value, "local") || !strcmp(value, "mx"))
		return err_set(err, ERR_USAGE,
		    "--relay-id %s: the server has a built-in route of this name; choose another",
		    value);
	p->o->request.relay_id = value;
	return 0;
}

/* A listener's name becomes one part of a key. */
static int
check_id(const struct option *opt, const char *value, struct err *err)
{
	size_t len = strlen(value), i, n;

	for (i = 0; i < len; i += n) {
		n = utf8_length(value + i, len - i);
		if (!n || (unsigned char)value[i] < ' ' || value[i] == 0x7f || value[i] == '\\')
			break; /* in config.toml a quoted name loses its backslashes */
	}
	if (!len || i < len || len > ID_MAX)
		return err_set(err, ERR_USAGE,
		    "--%s: a listener's name has 1 to %d bytes, without control characters "
		    "and backslashes",
		    opt->name, ID_MAX);
	return 0;
}

/* Append value to a list with room for max. */
static int
append(const char **list, size_t *count, size_t max, const struct option *opt, const char *value,
    struct err *err)
{
	if (*count == max)
		return err_set(
		    err, ERR_USAGE, "--%s can be given at most %zu times", opt->name, max);
	list[(*count)++] = value;
	return 0;
}

static int
set_listener(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	struct request *q = &p->o->request;

	if (check_id(opt, value, err) == -1)
		return -1;
	return append(q->listeners, &q->listener_count, LISTENERS_MAX, opt, value, err);
}

static int
set_relay_listener(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	p->o->request.relay_listener = value;
	return check_id(opt, value, err);
}

static int
set_resolve(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	struct reach *r = &p->o->reach;

	return append(r->resolve, &r->resolve_count, RESOLVE_OPTIONS_MAX, opt, value, err);
}

static int
set_seconds(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	size_t n = strspn(value, "0123456789");
	unsigned seconds = (unsigned)strtoul(value, NULL, 10);

	if (!n || value[n] || n > 6 || seconds > SECONDS_MAX)
		return err_set(err, ERR_USAGE,
		    "--%s \"%.40s\" is not a number of seconds from 0 (no limit) to %d", opt->name,
		    value, SECONDS_MAX);
	memcpy((char *)p->o + opt->at, &seconds, sizeof(seconds));
	return 0;
}

/* The names of refusals, separated by commas. */
static int
set_force(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	enum refusal refusal;
	const char *end, *name;

	(void)opt;
	for (;; value = end + 1) {
		end = value + strcspn(value, ",");
		name = pool_copy(p->pool, value, (size_t)(end - value));
		if (pool_check(p->pool, err) == -1)
			return -1;
		refusal = refusal_find(name);
		if (refusal == REFUSAL_NONE)
			return err_set(err, ERR_USAGE,
			    "--force \"%.40s\": no refusal has this name; stalprep help stage "
			    "lists them",
			    name);
		p->o->request.forced[refusal] = true;
		if (!*end)
			return 0;
	}
}

static int
set_format(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	size_t i;

	(void)opt;
	for (i = 0; i < FORMAT_COUNT; i++) {
		if (!strcmp(format_names[i], value)) {
			p->o->format = (enum format)i;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE,
	    "--format \"%.40s\": the formats are text, curl, json, toml and keys", value);
}

static int
set_dialect(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	struct request *q = &p->o->request;

	(void)opt;
	q->minor = strcmp(value, "auto") != 0 ? changeset_parse_version(value) : -1;
	if (q->minor == -1 && strcmp(value, "auto") != 0)
		return err_set(err, ERR_USAGE,
		    "--dialect \"%.40s\" is not auto or a version from 0.8 to 0.15. Newer "
		    "servers have another API, and need no preparation",
		    value);
	return 0;
}

static int
set_url(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	struct reach *r = &p->o->reach;
	size_t i;

	(void)opt;
	if (r->target_count == TARGETS_MAX)
		return err_set(err, ERR_USAGE, "--url can be given at most %d times", TARGETS_MAX);
	if (url_parse(&r->targets[r->target_count], value, "--url", err) == -1)
		return -1;
	for (i = 0; i < r->target_count; i++) {
		if (!strcmp(r->targets[i].host, r->targets[r->target_count].host) &&
		    r->targets[i].port == r->targets[r->target_count].port)
			return err_set(err, ERR_USAGE, "--url %.120s is given twice", value);
	}
	r->target_count++;
	return 0;
}

static int
set_public_url(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	struct url u;

	(void)opt;
	if (url_parse_public(&u, value, "--public-url", err) == -1)
		return -1;
	url_format(&u, p->o->request.public_origin);
	return 0;
}

static int
set_new_server(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	char *text = p->o->request.new_server;
	struct net addr;

	(void)opt;
	if (!addr_parse(&addr, value))
		return err_set(err, ERR_USAGE,
		    "--new-server \"%.60s\" is not an IP address, such as 203.0.113.20", value);
	net_format(&addr, text);
	text[strcspn(text, "/")] = '\0';
	return 0;
}

static int
set_user(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	(void)opt;
	if (strchr(value, ':'))
		return err_set(err, ERR_USAGE,
		    "--user: a login name has no colon. Give the password by --password-file, by "
		    "$STALPREP_PASSWORD or at the prompt");
	p->o->reach.user = value;
	return 0;
}

/* ---- the table ---- */

/* Where a plain value goes. No such member is at offset 0. */
#define AT(member) offsetof(struct options, member)

const struct option options_table[] = {
	[OPT_PROXY] = { "proxy", 0, "ADDR[/BITS]", IN_PRINT | IN_PLAN, OPTION_WRITES,
	    "an address or network that the proxy connects from (repeatable)", .set = set_proxy },
	[OPT_PUBLIC_URL] = { "public-url", 0, "URL", IN_PRINT | IN_PLAN, OPTION_WRITES,
	    "the URL that the server advertises: the public https URL of the proxy",
	    .set = set_public_url },
	[OPT_RELAY] = { "relay", 0, "HOST[:PORT]", IN_PRINT | IN_PLAN, OPTION_WRITES,
	    "also send outbound mail through this host: the new server (port 25)",
	    .set = set_relay },
	[OPT_RELAY_ID] = { "relay-id", 0, "NAME", IN_PRINT | IN_PLAN, OPTION_WRITES,
	    "the relay's name in the settings (smarthost)", .set = set_relay_id },
	[OPT_ONLY] = { "only", 0, "GROUP,...", IN_PRINT | IN_PLAN, 0,
	    "only these groups: listeners, checks, url, outbound", .set = set_groups },
	[OPT_SKIP] = { "skip", 0, "GROUP,...", IN_PRINT | IN_PLAN, 0, "leave out these groups",
	    .set = set_groups },
	[OPT_LISTENER] = { "listener", 0, "ID", IN_PRINT | IN_PLAN, OPTION_WRITES,
	    "only this listener, in place of those that are found (repeatable)",
	    .set = set_listener },
	[OPT_RELAY_LISTENER] = { "relay-listener", 0, "ID", IN_PLAN, 0,
	    "the listener that the new server relays to, if it is not clear which one binds "
	    "port 25",
	    .set = set_relay_listener },
	[OPT_NEW_SERVER] = { "new-server", 0, "ADDR", IN_PRINT | IN_PLAN, OPTION_WRITES,
	    "the address that the new server relays from: port 25 must not expect a PROXY header "
	    "from it",
	    .set = set_new_server },
	[OPT_ALLOW] = { "allow-new-server", 0, NULL, IN_PRINT | IN_PLAN, OPTION_WRITES,
	    "also exempt --new-server from automatic bans", .at = AT(request.allow_new_server) },
	[OPT_SINGLE_NODE] = { "single-node", 0, NULL, IN_CHANGE, OPTION_WRITES,
	    "leave out the other nodes of this cluster, on purpose",
	    .at = AT(request.single_node) },
	[OPT_DIALECT] = { "dialect", 0, "VERSION", IN_PRINT | IN_PLAN, 0,
	    "the server's version, 0.8 to 0.15, or auto (print: 0.15)", .set = set_dialect },
	[OPT_CONFIG] = { "config", 0, "FILE", IN_PLAN, 0,
	    "in place of --url: the config.toml of a stopped server; - for standard input and "
	    "output",
	    .at = AT(reach.config) },
	[OPT_URL] = { "url", 0, "URL", IN_PRINT | IN_API, OPTION_SERVER,
	    "the old server's management API, such as https://mail.internal:443", .set = set_url },
	[OPT_CACERT] = { "cacert", 0, "FILE", IN_API, OPTION_SERVER | OPTION_REPEAT,
	    "PEM certificates to trust, in place of the system's", .at = AT(reach.cacert) },
	[OPT_PINNEDPUBKEY] = { "pinnedpubkey", 0, "PIN", IN_API, OPTION_SERVER | OPTION_REPEAT,
	    "the server's public key: sha256//BASE64 (several with ; between) or a file",
	    .at = AT(reach.pinnedpubkey) },
	[OPT_INSECURE] = { "insecure", 'k', NULL, IN_API, OPTION_SERVER | OPTION_REPEAT,
	    "do not check the certificate (safe only with --pinnedpubkey)",
	    .at = AT(reach.insecure) },
	[OPT_RESOLVE] = { "resolve", 0, "HOST:PORT:ADDR", IN_API, OPTION_SERVER | OPTION_REPEAT,
	    "use this address for this host and port (repeatable)", .set = set_resolve },
	[OPT_CONNECT_TIMEOUT] = { "connect-timeout", 0, "SECONDS", IN_API, OPTION_SERVER,
	    "time limit for name look-up, connection and handshake (10)", .set = set_seconds,
	    .at = AT(reach.connect_timeout) },
	[OPT_MAX_TIME] = { "max-time", 0, "SECONDS", IN_API, OPTION_SERVER,
	    "time limit for the exchange with one server (60)", .set = set_seconds,
	    .at = AT(reach.max_time) },
	[OPT_HAPROXY] = { "haproxy-protocol", 0, NULL, IN_API, OPTION_SERVER | OPTION_REPEAT,
	    "send a PROXY v2 LOCAL header first", .at = AT(reach.haproxy) },
	[OPT_USER] = { "user", 'u', "NAME", IN_API, OPTION_SERVER | OPTION_REPEAT,
	    "the administrator's login name (admin)", .set = set_user, .at = AT(reach.user) },
	[OPT_PASSWORD_FILE] = { "password-file", 0, "FILE", IN_API, OPTION_SERVER | OPTION_REPEAT,
	    "a file with the password, - for standard input; else $STALPREP_PASSWORD or a prompt",
	    .at = AT(reach.password_file) },
	[OPT_TOTP_FILE] = { "totp-file", 0, "FILE", IN_API, OPTION_SERVER | OPTION_REPEAT,
	    "a file with the current six-digit code, - for standard input",
	    .at = AT(reach.totp_file) },
	[OPT_API_KEY_FILE] = { "api-key-file", 0, "FILE", IN_API, OPTION_SERVER | OPTION_REPEAT,
	    "a file with an API key, in place of user and password", .at = AT(reach.api_key_file) },
	[OPT_SNAPSHOT] = { "snapshot", 0, "FILE", IN_PLAN, 0,
	    "the file that keeps the values from before", .at = AT(reach.snapshot) },
	[OPT_SNAPSHOT_DIR] = { "snapshot-dir", 0, "DIR", IN_PLAN, 0,
	    "the folder for snapshots with their usual names (.)", .at = AT(reach.snapshot_dir) },
	[OPT_DRY_RUN] = { "dry-run", 'n', NULL, IN_CHANGE | 1u << COMMAND_RELOAD, 0,
	    "show what would be done, write nothing", .at = AT(dry_run) },
	[OPT_RELOAD] = { "reload", 0, NULL, 1u << COMMAND_CLEAR, OPTION_SERVER,
	    "then reload the server, which applies the removal", .at = AT(reload) },
	[OPT_FORCE] = { "force", 0, "NAME,...", IN_API, 0, "override these refusals and no others",
	    .set = set_force },
	[OPT_FORMAT] = { "format", 0, "FORMAT", IN_PRINT, 0,
	    "text, curl, json, toml or keys (text)", .set = set_format },
	[OPT_CLEAR] = { "clear", 0, NULL, IN_PRINT, 0, "print how to undo it", .at = AT(clear) },
	[OPT_JSON] = { "json", 0, NULL, IN_API, 0, "print one JSON object, for programs",
	    .at = AT(json) },
	[OPT_QUIET] = { "quiet", 'q', NULL, IN_API, 0, "print only what went wrong",
	    .at = AT(quiet) },
	[OPT_VERBOSE] = { "verbose", 'v', NULL, IN_API, 0,
	    "also print each key, and how the kernel confines this run", .at = AT(verbose) },
	[OPT_VERSION] = { "version", 'V', NULL, IN_ALL, 0, "print the version" },
	[OPT_HELP] = { "help", 'h', NULL, IN_ALL, 0, "print this text" },
};
_Static_assert(COUNT(options_table) == OPT_COUNT, "each option has its row");

const size_t options_count = COUNT(options_table);

/* ---- parsing ---- */

/* How many single changes turn a into b (Levenshtein), for words shorter than WORD_MAX. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], n = strlen(a), m = strlen(b), i, j;

	if (n >= WORD_MAX || m >= WORD_MAX)
		return WORD_MAX;
	for (j = 0; j <= m; j++)
		row[j] = j;
	for (i = 1; i <= n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (j = 1; j <= m; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[m];
}

static int
unknown_option(const char *name, struct err *err)
{
	size_t i, d, best = NEAR_MAX + 1;
	const char *near = NULL;

	for (i = 0; i < options_count; i++) {
		d = distance(name, options_table[i].name);
		if (d < best) {
			best = d;
			near = options_table[i].name;
		}
	}
	if (near)
		return err_set(
		    err, ERR_USAGE, "--%.40s is not an option; did you mean --%s?", name, near);
	return err_set(err, ERR_USAGE, "--%.40s is not an option; see stalprep help", name);
}

static int
set_command(struct parse *p, const char *word, struct err *err)
{
	const char *near = NULL;
	size_t i, d, best = NEAR_MAX;

	for (i = 0; i < COMMAND_COUNT; i++) {
		if (!strcmp(p->commands[i].name, word)) {
			p->argument_seen = p->o->command != NULL;
			if (p->argument_seen) {
				p->o->about = &p->commands[i];
				return 0;
			}
			p->o->command = &p->commands[i];
			p->o->id = (enum command_id)i;
			return 0;
		}
		d = distance(word, p->commands[i].name);
		if (d < best) {
			best = d;
			near = p->commands[i].name;
		}
	}
	if (near)
		return err_set(
		    err, ERR_USAGE, "\"%.40s\" is not a command; did you mean %s?", word, near);
	return err_set(err, ERR_USAGE, "\"%.40s\" is not a command; see stalprep help", word);
}

static int
set_option(struct parse *p, enum option_id id, const char *value, struct err *err)
{
	const struct option *opt = &options_table[id];
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
	for (id = 0; id < OPT_COUNT && strcmp(options_table[id].name, name) != 0; id++)
		;
	if (id == OPT_COUNT) {
		if (!strcmp(name, "password") || !strcmp(name, "api-key") || !strcmp(name, "totp"))
			return err_set(err, ERR_USAGE,
			    "--%s is not an option: everybody on the machine can see the "
			    "command line; use --%s-file",
			    name, name);
		return unknown_option(name, err);
	}
	if (options_table[id].arg) {
		value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : NULL;
		if (!value)
			return err_set(err, ERR_USAGE, "--%s needs a value: --%s %s", name, name,
			    options_table[id].arg);
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
		for (id = 0; id < OPT_COUNT && options_table[id].letter != *s; id++)
			;
		if (id == OPT_COUNT)
			return err_set(
			    err, ERR_USAGE, "-%c is not an option; see stalprep help", *s);
		if (!options_table[id].arg) {
			if (set_option(p, (enum option_id)id, NULL, err) == -1)
				return -1;
			continue;
		}
		if (!s[1] && *i + 1 >= argc)
			return err_set(err, ERR_USAGE, "-%c needs a value: -%c %s", *s, *s,
			    options_table[id].arg);
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
		if (p->seen[id] && !(options_table[id].commands & 1u << p->o->id))
			return err_set(err, ERR_USAGE,
			    "--%s is not an option of %s; see stalprep help %s",
			    options_table[id].name, command, command);
	}
	return 0;
}

/* Does the command write values? Then all of them must be given. */
static bool
needs_values(const struct options *o)
{
	return o->id == COMMAND_STAGE ||
	    (o->id == COMMAND_PRINT && !o->clear && o->format != FORMAT_KEYS);
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

static int
check_values(const struct parse *p, struct err *err)
{
	const struct request *q = &p->o->request;

	if (needs_values(p->o) && q->groups & 1u << GROUP_LISTENERS && !q->proxy_count)
		return err_set(err, ERR_USAGE,
		    "--proxy ADDR is missing: the address that the proxy connects from (or --skip "
		    "listeners)");
	if (needs_values(p->o) && q->groups & 1u << GROUP_URL && !q->public_origin[0])
		return err_set(err, ERR_USAGE,
		    "--public-url URL is missing: the proxy's public https URL (or --skip url)");
	if (q->allow_new_server && !q->new_server[0])
		return err_set(err, ERR_USAGE, "--allow-new-server needs --new-server ADDR");
	if (p->seen[OPT_RELAY_ID] && !q->relay_host)
		return err_set(err, ERR_USAGE, "--relay-id needs --relay HOST");
	if (q->listener_count && !(q->groups & 1u << GROUP_LISTENERS))
		return err_set(
		    err, ERR_USAGE, "--listener needs the group listeners, which is left out");
	return 0;
}

/* Refuse options that only a server needs. */
static int
check_config(const struct parse *p, struct err *err)
{
	const struct options *o = p->o;
	size_t id;

	for (id = 0; id < OPT_COUNT; id++) {
		if (p->seen[id] && options_table[id].traits & OPTION_SERVER)
			return err_set(err, ERR_USAGE,
			    "--%s can't be used with --config: no server is asked",
			    options_table[id].name);
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
	if (r->snapshot && r->target_count > 1)
		return err_set(err, ERR_USAGE,
		    "--snapshot names one file; for several --url use --snapshot-dir");
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

static int
check_all(struct parse *p, struct err *err)
{
	if (p->seen[OPT_VERSION] || p->seen[OPT_HELP])
		return 0;
	if (check_known(p, err) == -1)
		return -1;
	if (p->o->id >= COMMAND_LICENSES)
		return 0;
	if (choose_groups(p, err) == -1 || check_values(p, err) == -1)
		return -1;
	if (p->o->quiet && p->o->verbose)
		return err_set(err, ERR_USAGE, "--quiet and --verbose can't be used together");
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
	if (p->o->command && (p->o->id != COMMAND_HELP || p->argument_seen))
		return err_set(err, ERR_USAGE, "\"%.40s\": %s takes no %sargument", word,
		    p->o->command->name, p->argument_seen ? "second " : "");
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
	o->request.relay_id = RELAY_ID;
	o->request.minor = -1;
	o->reach.connect_timeout = CONNECT_SECONDS;
	o->reach.max_time = MAX_SECONDS;
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
		    "no command given: print, stage, status, clear or reload; see stalprep help");
	return check_all(&p, err);
}

/* ---- printing ---- */

void
options_usage(struct buf *out, enum command_id c)
{
	char head[64];
	size_t i, n;

	for (i = 0; i < options_count; i++) {
		const struct option *opt = &options_table[i];

		if (!(opt->commands & 1u << c))
			continue;
		n = (size_t)snprintf(head, sizeof(head), "--%s%s%s", opt->name, opt->arg ? " " : "",
		    opt->arg ? opt->arg : "");
		if (opt->letter)
			buf_printf(out, "  -%c, ", opt->letter);
		else
			buf_str(out, "      ");
		if (n + strlen(opt->help) > USAGE_WIDTH - 34)
			buf_printf(out, "%s\n%*s%s\n", head, 12, "", opt->help);
		else
			buf_printf(
			    out, "%s%*s%s\n", head, n < 27 ? (int)(28 - n) : 1, "", opt->help);
	}
}

void
options_format_reach(struct buf *out, const struct options *o)
{
	size_t id, i;

	for (id = 0; id < OPT_COUNT; id++) {
		const struct option *opt = &options_table[id];
		const char *text;

		if (!(opt->traits & OPTION_REPEAT))
			continue;
		for (i = 0; id == OPT_RESOLVE && i < o->reach.resolve_count; i++) {
			buf_printf(out, " --%s ", opt->name);
			buf_shell(out, o->reach.resolve[i]);
		}
		if (id == OPT_RESOLVE)
			continue;
		if (!opt->arg) {
			if (*((const char *)o + opt->at))
				buf_printf(out, " --%s", opt->name);
			continue;
		}
		memcpy(&text, (const char *)o + opt->at, sizeof(text));
		if (text) {
			buf_printf(out, " --%s ", opt->name);
			buf_shell(out, text);
		}
	}
}
