#include "cmd/options.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum {
	IN_PRINT = 1u << COMMAND_PRINT,
	IN_CHANGE = 1u << COMMAND_STAGE | 1u << COMMAND_CLEAR,
	IN_API = IN_CHANGE | 1u << COMMAND_STATUS | 1u << COMMAND_RELOAD,
	IN_PLAN = IN_CHANGE | 1u << COMMAND_STATUS,
	IN_ALL = (1u << COMMAND_COUNT) - 1
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
	OPT_CHECK,
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

/* A plain value's place; none is at 0. */
#define AT(member) offsetof(struct options, member)

const struct option options_table[] = {
	[OPT_PROXY] = { "proxy", 0, "ADDR[/BITS]", IN_PRINT | IN_PLAN,
	    "an address or network that the proxy connects from (repeatable)" },
	[OPT_PUBLIC_URL] = { "public-url", 0, "URL", IN_PRINT | IN_PLAN,
	    "the public https origin to advertise: the proxy's" },
	[OPT_RELAY] = { "relay", 0, "HOST[:PORT]", IN_PRINT | IN_PLAN,
	    "also send outbound mail through this host, the new server (port 25)" },
	[OPT_RELAY_ID] = { "relay-id", 0, "NAME", IN_PRINT | IN_PLAN,
	    "the relay's name in the settings, in place of smarthost" },
	[OPT_ONLY] = { "only", 0, "GROUP,...", IN_PRINT | IN_PLAN,
	    "these groups alone: listeners, checks, url, outbound" },
	[OPT_SKIP] = { "skip", 0, "GROUP,...", IN_PRINT | IN_PLAN, "all but these groups" },
	[OPT_LISTENER] = { "listener", 0, "ID", IN_PRINT | IN_PLAN,
	    "exactly this listener, in place of those discovered (repeatable)" },
	[OPT_RELAY_LISTENER] = { "relay-listener", 0, "ID", IN_PLAN,
	    "the listener that the new server relays to, where none plainly binds port 25" },
	[OPT_NEW_SERVER] = { "new-server", 0, "ADDR", IN_PRINT | IN_PLAN,
	    "the address that the new server relays from: must not be one that port 25 wants a "
	    "PROXY header from" },
	[OPT_ALLOW] = { "allow-new-server", 0, NULL, IN_PRINT | IN_PLAN,
	    "also exempt --new-server from automatic bans", AT(allow_new_server) },
	[OPT_SINGLE_NODE] = { "single-node", 0, NULL, IN_CHANGE,
	    "leave this cluster's other nodes out on purpose", AT(single_node) },
	[OPT_DIALECT] = { "dialect", 0, "VERSION", IN_PRINT | IN_PLAN,
	    "the server's version, 0.8 to 0.15, or auto (print: 0.15)" },
	[OPT_CONFIG] = { "config", 0, "FILE", IN_PLAN,
	    "in place of --url: the config.toml of a server that does not run; - for standard "
	    "input and output",
	    AT(config) },
	[OPT_URL] = { "url", 0, "URL", IN_PRINT | IN_API,
	    "the old server's management API, such as https://mail.internal:443" },
	[OPT_CACERT] = { "cacert", 0, "FILE", IN_API,
	    "PEM certificates to trust, in place of the system's", AT(cacert) },
	[OPT_PINNEDPUBKEY] = { "pinnedpubkey", 0, "PIN", IN_API,
	    "sha256//BASE64 of the server's public key, several with ;, or a file",
	    AT(pinnedpubkey) },
	[OPT_INSECURE] = { "insecure", 'k', NULL, IN_API,
	    "do not check the certificate (safe with --pinnedpubkey alone)", AT(insecure) },
	[OPT_RESOLVE] = { "resolve", 0, "HOST:PORT:ADDR", IN_API,
	    "use this address for this host and port (repeatable)" },
	[OPT_CONNECT_TIMEOUT] = { "connect-timeout", 0, "SECONDS", IN_API,
	    "the longest time for look-up, connection and handshake (10)" },
	[OPT_MAX_TIME] = { "max-time", 0, "SECONDS", IN_API,
	    "the longest time for the exchange with one server (60)" },
	[OPT_HAPROXY] = { "haproxy-protocol", 0, NULL, IN_API, "send a PROXY v2 LOCAL header first",
	    AT(haproxy) },
	[OPT_USER] = { "user", 'u', "NAME", IN_API, "the administrator's login name (admin)" },
	[OPT_PASSWORD_FILE] = { "password-file", 0, "FILE", IN_API,
	    "the password's file, - for standard input; else $STALPREP_PASSWORD or a prompt",
	    AT(password_file) },
	[OPT_TOTP_FILE] = { "totp-file", 0, "FILE", IN_API,
	    "a file with the present six-digit code, - for standard input", AT(totp_file) },
	[OPT_API_KEY_FILE] = { "api-key-file", 0, "FILE", IN_API,
	    "an API key's file, in place of user and password", AT(api_key_file) },
	[OPT_SNAPSHOT] = { "snapshot", 0, "FILE", IN_PLAN, "where what stood before is kept",
	    AT(snapshot) },
	[OPT_SNAPSHOT_DIR] = { "snapshot-dir", 0, "DIR", IN_PLAN,
	    "the folder for snapshots under their usual names (.)", AT(snapshot_dir) },
	[OPT_DRY_RUN] = { "dry-run", 'n', NULL, IN_CHANGE | 1u << COMMAND_RELOAD,
	    "say what would be done, write nothing", AT(dry_run) },
	[OPT_CHECK] = { "check", 0, NULL, 1u << COMMAND_STAGE,
	    "also let the server try a reload before and after (not quite inert: it takes in "
	    "certificates)",
	    AT(check) },
	[OPT_RELOAD] = { "reload", 0, NULL, 1u << COMMAND_CLEAR,
	    "reload afterwards, which applies the removal", AT(reload) },
	[OPT_FORCE] = { "force", 0, "NAME,...", IN_API, "override exactly these refusals" },
	[OPT_FORMAT] = { "format", 0, "FORMAT", IN_PRINT, "text, curl, json, toml or keys (text)" },
	[OPT_CLEAR] = { "clear", 0, NULL, IN_PRINT, "print the undoing", AT(clear) },
	[OPT_JSON] = { "json", 0, NULL, IN_API, "one JSON object on standard output, for programs",
	    AT(json) },
	[OPT_QUIET] = { "quiet", 'q', NULL, IN_API, "only what went wrong", AT(quiet) },
	[OPT_VERBOSE] = { "verbose", 'v', NULL, IN_API,
	    "also each key, and how the server was reached", AT(verbose) },
	[OPT_VERSION] = { "version", 'V', NULL, IN_ALL, "the version" },
	[OPT_HELP] = { "help", 'h', NULL, IN_ALL, "this" },
};
_Static_assert(COUNT(options_table) == OPT_COUNT, "each option has its row");

const size_t options_count = COUNT(options_table);

static const char *const command_names[COMMAND_COUNT] = {
	[COMMAND_PRINT] = "print",
	[COMMAND_STAGE] = "stage",
	[COMMAND_STATUS] = "status",
	[COMMAND_CLEAR] = "clear",
	[COMMAND_RELOAD] = "reload",
	[COMMAND_LICENSES] = "licenses",
	[COMMAND_VERSION] = "version",
	[COMMAND_HELP] = "help",
};

static const char *const format_names[FORMAT_COUNT] = {
	[FORMAT_TEXT] = "text",
	[FORMAT_CURL] = "curl",
	[FORMAT_JSON] = "json",
	[FORMAT_TOML] = "toml",
	[FORMAT_KEYS] = "keys",
};

/* The names of all refusals, as they print them; some are never overridden, and say so. */
static const char *const refusal_names[] = {
	"open-secret",
	"snapshot-target",
	"dialect",
	"dialect-unknown",
	"relay-taken",
	"relay-covered",
	"rewrite",
	"rewrite-unseen",
	"changed",
	"no-cluster",
	"cluster",
	"node-order",
	"port-25",
	"no-listener",
	"relay-listener",
	"not-local",
	"no-snapshot",
	"new-server",
	"not-stalwart",
	"listener-name",
	"running",
	"in-place",
};

enum {
	CONNECT_SECONDS = 10,
	MAX_SECONDS = 60,
	SECONDS_MAX = 86400,
	RELAY_PORT = 25,
	NEAR_MAX = 3,
	WORD_MAX = 32,
	USAGE_WIDTH = 110
};

/* What is kept while parsing and gone afterwards. */
struct parse {
	struct options *o;
	struct pool *pool;
	unsigned only, skip;
	bool command_seen, argument_seen;
	bool seen[OPT_COUNT];
};

const char *
command_name(enum command c)
{
	return command_names[c];
}

bool
options_forced(const struct options *o, const char *name)
{
	size_t i;

	for (i = 0; i < o->force_count; i++) {
		if (!strcmp(o->force[i], name))
			return true;
	}
	return false;
}

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
	const char *near = NULL;
	size_t i, d, best = NEAR_MAX + 1;

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
take_command(struct parse *p, const char *word, struct err *err)
{
	const char *near = NULL;
	size_t i, d, best = NEAR_MAX;

	for (i = 0; i < COMMAND_COUNT; i++) {
		if (!strcmp(command_names[i], word)) {
			if (p->command_seen)
				p->o->help_about = (enum command)i;
			else
				p->o->command = (enum command)i;
			p->argument_seen = p->command_seen;
			p->command_seen = true;
			return 0;
		}
		d = distance(word, command_names[i]);
		if (d < best) {
			best = d;
			near = command_names[i];
		}
	}
	return err_set(err, ERR_USAGE, "\"%.40s\" is not a command%s%s%s; see stalprep help", word,
	    near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static int
take_groups(unsigned *set, const char *name, const char *value, struct err *err)
{
	const char *end;
	enum group g;

	for (;; value = end + 1) {
		end = value + strcspn(value, ",");
		if (!group_find(&g, value, (size_t)(end - value)) || g == GROUP_ALLOW)
			return err_set(err, ERR_USAGE,
			    "--%s: \"%.*s\" is not a group; listeners, checks, url and outbound "
			    "are",
			    name, (int)(end - value > 40 ? 40 : end - value), value);
		*set |= 1u << g;
		if (!*end)
			return 0;
	}
}

static int
take_proxy(struct options *o, const char *value, struct err *err)
{
	struct err why;
	struct net n;
	size_t i;

	if (o->proxy_count == PROXIES_MAX)
		return err_set(err, ERR_USAGE, "--proxy: at most %d are taken", PROXIES_MAX);
	if (net_parse(&n, value, &why) == -1)
		return err_set(err, ERR_USAGE, "--proxy %s", why.text);
	net_format(&n, o->proxies[o->proxy_count]);
	for (i = 0; i < o->proxy_count; i++) {
		if (!strcmp(o->proxies[i], o->proxies[o->proxy_count]))
			return 0;
	}
	o->proxy_count++;
	return 0;
}

/*
 * HOST[:PORT], a name: the server looks it up as a name and bounces all mail where it is an
 * address.
 */
static int
take_relay(struct options *o, struct pool *pool, const char *value, struct err *err)
{
	size_t n = strcspn(value, ":");
	const char *host = pool_copy(pool, value, n);
	char *end = NULL;
	struct net addr;

	if (pool_check(pool, err) == -1)
		return -1;
	if (value[0] == '[' || addr_parse(&addr, value) || addr_parse(&addr, host))
		return err_set(err, ERR_USAGE,
		    "--relay %.80s: a DNS name is wanted; with an IP address the server would "
		    "bounce all outgoing mail (it looks the text up as a name)",
		    value);
	if (!host_is_name(host))
		return err_set(err, ERR_USAGE,
		    "--relay %.80s: HOST[:PORT] is wanted, such as new.example.org:25", value);
	o->relay_host = host;
	o->relay_port = RELAY_PORT;
	if (!value[n])
		return 0;
	if (value[n + 1] >= '0' && value[n + 1] <= '9' && strlen(value + n + 1) <= 5)
		o->relay_port = (unsigned)strtoul(value + n + 1, &end, 10);
	if (!end || *end || !o->relay_port || o->relay_port > 65535)
		return err_set(err, ERR_USAGE,
		    "--relay %.80s: the port must be a number from 1 to 65535", value);
	return 0;
}

/* The id goes into keys, and between quotes into an expression. */
static int
take_relay_id(struct options *o, const char *value, struct err *err)
{
	size_t n = strspn(
	    value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	if (!n || value[n] || n > 60)
		return err_set(err, ERR_USAGE,
		    "--relay-id \"%.60s\": letters, digits, _ and - are wanted, at most 60", value);
	if (!strcmp(value, "local") || !strcmp(value, "mx"))
		return err_set(err, ERR_USAGE,
		    "--relay-id %s: that is a route of the server's own; choose another name",
		    value);
	o->relay_id = value;
	return 0;
}

/* A listener's name as it may stand in a key. */
static int
check_id(const char *name, const char *value, struct err *err)
{
	size_t len = strlen(value), i, n;

	for (i = 0; i < len; i += n) {
		n = utf8_length(value + i, len - i);
		if (!n || (unsigned char)value[i] < ' ' || value[i] == 0x7f || value[i] == '\\')
			break; /* config.toml drops a backslash of a quoted name */
	}
	if (!len || i < len || len > ID_MAX)
		return err_set(err, ERR_USAGE,
		    "--%s: a listener's name is wanted, such as imaptls (at most %d bytes, no "
		    "control character, no backslash)",
		    name, ID_MAX);
	return 0;
}

static int
take_seconds(unsigned *out, const char *name, const char *value, struct err *err)
{
	size_t n = strspn(value, "0123456789");

	if (!n || value[n] || n > 6 || strtoul(value, NULL, 10) > SECONDS_MAX)
		return err_set(err, ERR_USAGE,
		    "--%s \"%.40s\": whole seconds are wanted, 0 (no limit) to %d", name, value,
		    SECONDS_MAX);
	*out = (unsigned)strtoul(value, NULL, 10);
	return 0;
}

static int
take_list(const char **list, size_t *count, size_t max, const char *name, const char *value,
    struct err *err)
{
	if (*count == max)
		return err_set(err, ERR_USAGE, "--%s: at most %zu are taken", name, max);
	list[(*count)++] = value;
	return 0;
}

static bool
is_refusal_name(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT(refusal_names) && strcmp(refusal_names[i], name) != 0; i++)
		;
	return i < COUNT(refusal_names);
}

/* --force NAME,NAME */
static int
take_force(struct parse *p, const char *value, struct err *err)
{
	const char *end, *name;

	for (;; value = end + 1) {
		end = value + strcspn(value, ",");
		name = pool_copy(p->pool, value, (size_t)(end - value));
		if (pool_check(p->pool, err) == -1)
			return -1;
		if (!is_refusal_name(name))
			return err_set(err, ERR_USAGE,
			    "--force \"%.40s\": no refusal has that name; each prints its own",
			    name);
		if (take_list(p->o->force, &p->o->force_count, FORCE_MAX, "force", name, err) == -1)
			return -1;
		if (!*end)
			return 0;
	}
}

static int
take_format(struct options *o, const char *value, struct err *err)
{
	size_t i;

	for (i = 0; i < FORMAT_COUNT; i++) {
		if (!strcmp(format_names[i], value)) {
			o->format = (enum format)i;
			return 0;
		}
	}
	return err_set(
	    err, ERR_USAGE, "--format \"%.40s\": text, curl, json, toml or keys is wanted", value);
}

static int
take_dialect(struct options *o, const char *value, struct err *err)
{
	o->minor = -1;
	if (!strcmp(value, "auto"))
		return 0;
	o->minor = changeset_parse_version(value);
	if (o->minor == -1)
		return err_set(err, ERR_USAGE,
		    "--dialect \"%.40s\": auto or a version from 0.8 to 0.15 is wanted; newer "
		    "servers have another API, which needs no preparing",
		    value);
	return 0;
}

static int
take_target(struct options *o, const char *value, struct err *err)
{
	size_t i;

	if (o->target_count == TARGETS_MAX)
		return err_set(err, ERR_USAGE, "--url: at most %d are taken", TARGETS_MAX);
	if (url_parse(&o->targets[o->target_count], value, "--url", err) == -1)
		return -1;
	for (i = 0; i < o->target_count; i++) {
		if (!strcmp(o->targets[i].host, o->targets[o->target_count].host) &&
		    o->targets[i].port == o->targets[o->target_count].port)
			return err_set(err, ERR_USAGE, "--url %.120s is given twice", value);
	}
	o->target_count++;
	return 0;
}

static int
take_public_url(struct options *o, const char *value, struct err *err)
{
	if (url_parse_public(&o->public_url, value, "--public-url", err) == -1)
		return -1;
	url_format(&o->public_url, o->public_origin);
	return 0;
}

static int
take_new_server(struct options *o, const char *value, struct err *err)
{
	struct net addr;

	if (!addr_parse(&addr, value))
		return err_set(err, ERR_USAGE,
		    "--new-server \"%.60s\": an IP address is wanted, such as 203.0.113.20", value);
	net_format(&addr, o->new_server);
	o->new_server[strcspn(o->new_server, "/")] = '\0';
	return 0;
}

static int
take_user(struct options *o, const char *value, struct err *err)
{
	if (!*value || strchr(value, ':'))
		return err_set(err, ERR_USAGE,
		    "--user: a login name without a colon is wanted; the password comes from "
		    "--password-file, $STALPREP_PASSWORD or a prompt");
	o->user = value;
	return 0;
}

/* Values that are more than a text or a flag. */
static int
take_value(struct parse *p, enum option_id id, const char *value, struct err *err)
{
	const char *name = options_table[id].name;
	struct options *o = p->o;

	switch (id) {
	case OPT_PROXY:
		return take_proxy(o, value, err);
	case OPT_PUBLIC_URL:
		return take_public_url(o, value, err);
	case OPT_RELAY:
		return take_relay(o, p->pool, value, err);
	case OPT_RELAY_ID:
		return take_relay_id(o, value, err);
	case OPT_ONLY:
		return take_groups(&p->only, name, value, err);
	case OPT_SKIP:
		return take_groups(&p->skip, name, value, err);
	case OPT_LISTENER:
		return check_id(name, value, err) == -1
		    ? -1
		    : take_list(o->listeners, &o->listener_count, LISTENERS_MAX, name, value, err);
	case OPT_RELAY_LISTENER:
		o->relay_listener = value;
		return check_id(name, value, err);
	case OPT_NEW_SERVER:
		return take_new_server(o, value, err);
	case OPT_DIALECT:
		return take_dialect(o, value, err);
	case OPT_URL:
		return take_target(o, value, err);
	case OPT_RESOLVE:
		return take_list(
		    o->resolve, &o->resolve_count, RESOLVE_OPTIONS_MAX, name, value, err);
	case OPT_CONNECT_TIMEOUT:
		return take_seconds(&o->connect_timeout, name, value, err);
	case OPT_MAX_TIME:
		return take_seconds(&o->max_time, name, value, err);
	case OPT_USER:
		return take_user(o, value, err);
	case OPT_FORCE:
		return take_force(p, value, err);
	case OPT_FORMAT:
		return take_format(o, value, err);
	default:
		return 0;
	}
}

static int
take_option(struct parse *p, enum option_id id, const char *value, struct err *err)
{
	char *field = (char *)p->o + options_table[id].at;
	bool on = true;

	if (id == OPT_CONFIG && p->seen[id])
		return err_set(err, ERR_USAGE,
		    "--config is given twice: each file is changed by a run of its own");
	p->seen[id] = true;
	if (value && !*value)
		return err_set(err, ERR_USAGE, "--%s: its value is empty", options_table[id].name);
	p->o->change_options |= id < OPT_DIALECT && id != OPT_ONLY && id != OPT_SKIP &&
	    id != OPT_RELAY_LISTENER;
	if (!options_table[id].at)
		return take_value(p, id, value, err);
	if (value)
		memcpy(field, &value, sizeof(value));
	else
		memcpy(field, &on, sizeof(on));
	return 0;
}

/* --name, --name=value or --name value. *i is moved past what was used. */
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
			    "--%s is not an option: a secret on the command line is seen by "
			    "everybody on the machine; use --%s-file",
			    name, name);
		return unknown_option(name, err);
	}
	if (options_table[id].arg) {
		value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : NULL;
		if (!value)
			return err_set(err, ERR_USAGE, "--%s wants a value: --%s %s", name, name,
			    options_table[id].arg);
	} else if (equals) {
		return err_set(err, ERR_USAGE, "--%s takes no value", name);
	}
	return take_option(p, (enum option_id)id, value, err);
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
			if (take_option(p, (enum option_id)id, NULL, err) == -1)
				return -1;
			continue;
		}
		if (!s[1] && *i + 1 >= argc)
			return err_set(err, ERR_USAGE, "-%c wants a value: -%c %s", *s, *s,
			    options_table[id].arg);
		return take_option(p, (enum option_id)id, s[1] ? s + 1 : argv[++*i], err);
	}
	return 0;
}

/* Options that the command does not know. */
static int
check_known(const struct parse *p, struct err *err)
{
	size_t id;

	for (id = 0; id < OPT_COUNT; id++) {
		if (p->seen[id] && !(options_table[id].commands & 1u << p->o->command))
			return err_set(err, ERR_USAGE,
			    "--%s is not an option of %s; see stalprep help %s",
			    options_table[id].name, command_names[p->o->command],
			    command_names[p->o->command]);
	}
	return 0;
}

/* --only, --skip and what was given make the set of groups. */
static int
settle_groups(struct parse *p, struct err *err)
{
	struct options *o = p->o;
	bool looks = o->command == COMMAND_CLEAR || o->command == COMMAND_STATUS;
	unsigned usual = looks
	    ? (1u << GROUP_COUNT) - 1
	    : (unsigned)GROUPS_DEFAULT | (o->relay_host ? 1u << GROUP_OUTBOUND : 0);

	o->groups_named = p->only != 0;
	o->groups = p->only ? p->only : usual;
	o->groups &= ~p->skip;
	if (o->allow_new_server)
		o->groups |= 1u << GROUP_ALLOW;
	if (!o->groups)
		return err_set(err, ERR_USAGE, "--only and --skip leave no group");
	if (p->only & 1u << GROUP_OUTBOUND && !o->relay_host &&
	    (o->command == COMMAND_PRINT || o->command == COMMAND_STAGE))
		return err_set(
		    err, ERR_USAGE, "the group outbound wants --relay HOST, the new server's name");
	return 0;
}

/* print and stage write values, so they want them all. */
static int
check_wanted(const struct options *o, struct err *err)
{
	if (o->command != COMMAND_PRINT && o->command != COMMAND_STAGE)
		return 0;
	if (o->command == COMMAND_PRINT && o->clear)
		return 0;
	if (o->groups & 1u << GROUP_LISTENERS && !o->proxy_count &&
	    !(o->command == COMMAND_PRINT && o->format == FORMAT_KEYS))
		return err_set(err, ERR_USAGE,
		    "--proxy ADDR is wanted: the address that the proxy connects from (or --skip "
		    "listeners)");
	if (o->groups & 1u << GROUP_URL && !o->public_origin[0] &&
	    !(o->command == COMMAND_PRINT && o->format == FORMAT_KEYS))
		return err_set(err, ERR_USAGE,
		    "--public-url URL is wanted: the proxy's public https URL (or --skip url)");
	return 0;
}

/* A file is reached without any of what a server wants. */
static int
check_config(const struct parse *p, struct err *err)
{
	const struct options *o = p->o;
	size_t id;

	for (id = 0; id < OPT_COUNT; id++) {
		if (p->seen[id] &&
		    ((id >= OPT_URL && id <= OPT_API_KEY_FILE) || id == OPT_CHECK ||
			id == OPT_RELOAD))
			return err_set(err, ERR_USAGE,
			    "--%s does not go with --config: the server is not asked",
			    options_table[id].name);
	}
	if (!strcmp(o->config, "-") && o->json && !o->dry_run && o->command != COMMAND_STATUS)
		return err_set(err, ERR_USAGE,
		    "--json does not go with --config -: standard output is the file");
	return 0;
}

static int
check_target(const struct parse *p, struct err *err)
{
	const struct options *o = p->o;

	if (!(options_table[OPT_PASSWORD_FILE].commands & 1u << o->command))
		return 0;
	if (o->config && check_config(p, err) == -1)
		return -1;
	if (!o->target_count && !o->config)
		return err_set(err, ERR_USAGE,
		    "--url URL is wanted: the old server's management API%s",
		    o->command == COMMAND_RELOAD ? "" : "; or --config FILE where it does not run");
	if (o->snapshot && o->target_count > 1)
		return err_set(err, ERR_USAGE,
		    "--snapshot names one file; with several --url use --snapshot-dir");
	if (o->snapshot && o->snapshot_dir)
		return err_set(err, ERR_USAGE, "--snapshot and --snapshot-dir exclude each other");
	if (o->api_key_file && (o->password_file || o->totp_file || o->user))
		return err_set(err, ERR_USAGE,
		    "--api-key-file excludes --user, --password-file and --totp-file");
	if (o->password_file && o->totp_file && !strcmp(o->password_file, "-") &&
	    !strcmp(o->totp_file, "-"))
		return err_set(
		    err, ERR_USAGE, "--password-file and --totp-file can't both be standard input");
	return 0;
}

static int
settle(struct parse *p, struct err *err)
{
	struct options *o = p->o;

	if (p->seen[OPT_VERSION] || p->seen[OPT_HELP])
		return 0;
	if (check_known(p, err) == -1)
		return -1;
	if (o->command >= COMMAND_LICENSES)
		return 0;
	if (settle_groups(p, err) == -1 || check_wanted(o, err) == -1)
		return -1;
	if (o->allow_new_server && !o->new_server[0])
		return err_set(err, ERR_USAGE, "--allow-new-server goes with --new-server ADDR");
	if (p->seen[OPT_RELAY_ID] && !o->relay_host)
		return err_set(err, ERR_USAGE, "--relay-id goes with --relay HOST");
	if (p->seen[OPT_LISTENER] && !(o->groups & 1u << GROUP_LISTENERS))
		return err_set(
		    err, ERR_USAGE, "--listener goes with the group listeners, which is left out");
	if (o->quiet && o->verbose)
		return err_set(err, ERR_USAGE, "--quiet and --verbose exclude each other");
	return check_target(p, err);
}

static void
settle_command(struct parse *p)
{
	struct options *o = p->o;

	if (p->seen[OPT_HELP] && p->command_seen && o->command != COMMAND_HELP)
		o->help_about = o->command;
	if (p->seen[OPT_VERSION])
		o->command = COMMAND_VERSION;
	else if (p->seen[OPT_HELP])
		o->command = COMMAND_HELP;
}

int
options_parse(struct options *o, struct pool *pool, int argc, char **argv, struct err *err)
{
	struct parse p = { .o = o, .pool = pool };
	bool only_arguments = false;
	int i, r;

	memset(o, 0, sizeof(*o));
	o->help_about = COMMAND_COUNT;
	o->relay_id = "smarthost";
	o->minor = -1;
	o->connect_timeout = CONNECT_SECONDS;
	o->max_time = MAX_SECONDS;
	for (i = 0; i < argc; i++) {
		if (!only_arguments && !strcmp(argv[i], "--")) {
			only_arguments = true;
			continue;
		}
		if (only_arguments || argv[i][0] != '-' || !argv[i][1]) {
			if (p.command_seen && (o->command != COMMAND_HELP || p.argument_seen))
				return err_set(err, ERR_USAGE, "\"%.40s\": %s takes no %sargument",
				    argv[i], command_names[o->command],
				    p.argument_seen ? "second " : "");
			r = take_command(&p, argv[i], err);
		} else {
			r = argv[i][1] == '-' ? parse_long(&p, argc, argv, &i, err)
					      : parse_short(&p, argc, argv, &i, err);
		}
		if (r == -1)
			return -1;
	}
	settle_command(&p);
	if (!p.command_seen && o->command != COMMAND_HELP && o->command != COMMAND_VERSION)
		return err_set(err, ERR_USAGE,
		    "a command is wanted: print, stage, status, clear or reload; see stalprep "
		    "help");
	return settle(&p, err);
}

void
options_usage(struct buf *out, enum command c)
{
	char head[64];
	size_t i, n;

	for (i = 0; i < options_count; i++) {
		const struct option *opt = &options_table[i];

		if (!(opt->commands & 1u << c))
			continue;
		n = 0;
		head[0] = '\0';
		strcat(head, "--");
		strcat(head, opt->name);
		if (opt->arg) {
			strcat(head, " ");
			strcat(head, opt->arg);
		}
		n = strlen(head);
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
options_quote(struct buf *out, const char *text)
{
	static const char safe[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,=@%+";

	if (*text && strspn(text, safe) == strlen(text)) {
		buf_str(out, text);
		return;
	}
	buf_char(out, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			buf_str(out, "'\\''");
		else
			buf_char(out, *text);
	}
	buf_char(out, '\'');
}

static void
retell_one(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, " --%s ", name);
	options_quote(out, value);
}

void
options_retell_reach(struct buf *out, const struct options *o)
{
	size_t i;

	if (o->cacert)
		retell_one(out, "cacert", o->cacert);
	if (o->pinnedpubkey)
		retell_one(out, "pinnedpubkey", o->pinnedpubkey);
	if (o->insecure)
		buf_str(out, " --insecure");
	for (i = 0; i < o->resolve_count; i++)
		retell_one(out, "resolve", o->resolve[i]);
	if (o->haproxy)
		buf_str(out, " --haproxy-protocol");
	if (o->user)
		retell_one(out, "user", o->user);
	if (o->password_file)
		retell_one(out, "password-file", o->password_file);
	if (o->totp_file)
		retell_one(out, "totp-file", o->totp_file);
	if (o->api_key_file)
		retell_one(out, "api-key-file", o->api_key_file);
}

void
options_retell(struct buf *out, const struct options *o)
{
	unsigned usual = (unsigned)GROUPS_DEFAULT | (o->relay_host ? 1u << GROUP_OUTBOUND : 0);
	size_t i;
	char sep = ' ';

	for (i = 0; i < o->proxy_count; i++)
		retell_one(out, "proxy", o->proxies[i]);
	if (o->public_origin[0])
		retell_one(out, "public-url", o->public_origin);
	if (o->relay_host) {
		retell_one(out, "relay", o->relay_host);
		if (o->relay_port != RELAY_PORT)
			buf_printf(out, ":%u", o->relay_port);
		if (strcmp(o->relay_id, "smarthost") != 0)
			retell_one(out, "relay-id", o->relay_id);
	}
	for (i = 0; i < o->listener_count; i++)
		retell_one(out, "listener", o->listeners[i]);
	if (o->relay_listener)
		retell_one(out, "relay-listener", o->relay_listener);
	if (o->new_server[0])
		retell_one(out, "new-server", o->new_server);
	if (o->allow_new_server)
		buf_str(out, " --allow-new-server");
	if (o->single_node)
		buf_str(out, " --single-node");
	usual |= o->allow_new_server ? 1u << GROUP_ALLOW : 0;
	if (o->groups == usual)
		return;
	buf_str(out, " --only");
	for (i = 0; i < GROUP_ALLOW; i++) {
		if (o->groups & 1u << i) {
			buf_printf(out, "%c%s", sep, group_name((enum group)i));
			sep = ',';
		}
	}
}
