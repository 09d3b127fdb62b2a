#include "cmd/option_table.h"

#include "base/err.h"
#include "base/pool.h"
#include "base/utf8.h"
#include "settings/changeset.h"
#include "settings/listener.h"

#include <stdlib.h>
#include <string.h>

enum { SECONDS_MAX = 86400 };

static const char *const format_names[FORMAT_COUNT] = {
	[FORMAT_TEXT] = "text",
	[FORMAT_CURL] = "curl",
	[FORMAT_JSON] = "json",
	[FORMAT_TOML] = "toml",
	[FORMAT_KEYS] = "keys",
	[FORMAT_PROXY] = "proxy",
	[FORMAT_RUNBOOK] = "runbook",
};

const char *const expect_names[EXPECT_COUNT] = {
	[EXPECT_STAGED] = "staged",
	[EXPECT_CUTOVER] = "cutover",
	[EXPECT_ROLLED_BACK] = "rolled-back",
};

static int
set_groups(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	unsigned *set = opt == &option_table[OPT_ONLY] ? &p->only : &p->skip;
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
too_many(const struct option *opt, size_t max, struct err *err)
{
	return err_set(err, ERR_USAGE, "--%s can be given at most %zu times", opt->name, max);
}

static int
set_proxy(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	struct request *q = &p->o->request;
	char text[NET_TEXT_MAX];
	struct err why;
	struct net n;

	if (net_parse(&n, value, &why) == -1)
		return err_set(err, ERR_USAGE, "--proxy %s", why.text);
	net_format(&n, text);
	if (request_has_proxy(q, text))
		return 0;
	if (q->proxy_count == PROXIES_MAX)
		return too_many(opt, PROXIES_MAX, err);
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
	(void)opt;
	if (!strcmp(value, "local") || !strcmp(value, "mx"))
		return err_set(err, ERR_USAGE,
		    "--relay-id %s: the server has a built-in route of this name; choose another",
		    value);
	if (!changeset_is_relay_id(value, strlen(value)))
		return err_set(err, ERR_USAGE,
		    "--relay-id \"%.60s\": a name has at most 60 letters, digits, _ and -", value);
	p->o->request.relay_id = value;
	return 0;
}

/* A listener's name becomes one part of a key. */
static int
check_id(const struct option *opt, const char *value, struct err *err)
{
	if (!request_takes_listener(value))
		return err_set(err, ERR_USAGE,
		    "--%s: a listener's name has 1 to %d bytes, without backslashes, and "
		    "without control or invisible characters",
		    opt->name, ID_MAX);
	return 0;
}

/* Append value to a list with room for max. */
static int
append(const char **list, size_t *count, size_t max, const struct option *opt, const char *value,
    struct err *err)
{
	if (*count == max)
		return too_many(opt, max, err);
	list[(*count)++] = value;
	return 0;
}

static int
set_listener(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	struct request *q = &p->o->request;

	if (check_id(opt, value, err) == -1)
		return -1;
	if (opt == &option_table[OPT_ALSO])
		return append(q->also, &q->also_count, LISTENERS_MAX, opt, value, err);
	if (opt == &option_table[OPT_LEAVE])
		return append(q->leave, &q->leave_count, LISTENERS_MAX, opt, value, err);
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
	    "--format \"%.40s\": the formats are text, curl, json, toml, keys, proxy and runbook",
	    value);
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

/* PORT=PROTOCOL or PORT=PROTOCOL+tls */
static int
set_port(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	size_t digits = strspn(value, "0123456789"), n;
	struct port_option port = { .port = (unsigned)strtoul(value, NULL, 10) };
	struct options *o = p->o;
	const char *rest = value + digits;

	if (digits && digits <= 5 && port.port && port.port <= 65535 && *rest == '=') {
		n = strcspn(++rest, "+");
		port.protocol = pool_copy(p->pool, rest, n);
		port.tls = !strcmp(rest + n, "+tls") || !strcmp(rest, "https");
		rest += n;
	}
	if (pool_check(p->pool, err) == -1)
		return -1;
	if (!port.protocol || listener_protocol(port.protocol) == PROTOCOL_UNKNOWN ||
	    (*rest && !port.tls))
		return err_set(err, ERR_USAGE,
		    "--port \"%.60s\" is not PORT=PROTOCOL[+tls]; the protocols are "
		    "smtp, lmtp, imap, pop3, managesieve and http",
		    value);
	if (o->port_count == PORT_OPTIONS_MAX)
		return too_many(opt, PORT_OPTIONS_MAX, err);
	o->ports[o->port_count++] = port;
	return 0;
}

static int
set_expect(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	size_t i;

	(void)opt;
	for (i = EXPECT_NOTHING + 1; i < EXPECT_COUNT; i++) {
		if (!strcmp(expect_names[i], value)) {
			p->o->expect = (enum expect)i;
			return 0;
		}
	}
	return err_set(
	    err, ERR_USAGE, "--expect \"%.40s\" is not staged, cutover or rolled-back", value);
}

static int
set_url(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	struct reach *r = &p->o->reach;
	size_t i;

	if (r->target_count == TARGETS_MAX)
		return too_many(opt, TARGETS_MAX, err);
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
set_boot_config(struct parse *p, const struct option *opt, const char *value, struct err *err)
{
	struct reach *r = &p->o->reach;

	return append(r->boot_configs, &r->boot_config_count, TARGETS_MAX, opt, value, err);
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

/* Where a plain value goes. No such member is at offset 0. */
#define AT(member) offsetof(struct options, member)

const struct option option_table[OPT_COUNT] = {
	[OPT_PROXY] = { "proxy", 0, "ADDR[/BITS]", IN_PRINT | IN_PLAN | IN_PROBE, OPTION_WRITES,
	    "an address or network that the proxy connects from (repeatable)", .set = set_proxy },
	[OPT_PUBLIC_URL] = { "public-url", 0, "URL", IN_PRINT | IN_PLAN, OPTION_WRITES,
	    "the URL that the server advertises: the proxy's public https URL",
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
	[OPT_ALSO] = { "also", 0, "ID", IN_PLAN, OPTION_WRITES,
	    "also this listener, beside those that are found (repeatable)", .set = set_listener },
	[OPT_LEAVE] = { "leave", 0, "ID", IN_PLAN, OPTION_WRITES,
	    "not this listener, though it is found (repeatable)", .set = set_listener },
	[OPT_RELAY_LISTENER] = { "relay-listener", 0, "ID", IN_PRINT | IN_PLAN, 0,
	    "the listener that the new server relays to, if it is not clear which one binds "
	    "port 25",
	    .set = set_relay_listener },
	[OPT_NEW_SERVER] = { "new-server", 0, "ADDR", IN_PRINT | IN_PLAN, OPTION_WRITES,
	    "the address that the new server relays from: port 25 must not expect a PROXY header "
	    "from it",
	    .set = set_new_server },
	[OPT_ALLOW] = { "allow-new-server", 0, NULL, IN_PRINT | IN_PLAN, OPTION_WRITES,
	    "also exempt --new-server from automatic bans", .at = AT(request.allow_new_server) },
	[OPT_SINGLE_NODE] = { "single-node", 0, NULL, IN_PRINT | IN_PLAN, 0,
	    "leave out the other nodes of this cluster, on purpose",
	    .at = AT(request.single_node) },
	[OPT_DIALECT] = { "dialect", 0, "VERSION", IN_PRINT | IN_PLAN, 0,
	    "the server's version, 0.8 to 0.15, or auto (print: 0.15)", .set = set_dialect },
	[OPT_CONFIG] = { "config", 0, "FILE", IN_PLAN, 0,
	    "a stopped server's config.toml; - for standard input and output",
	    .at = AT(reach.config) },
	[OPT_URL] = { "url", 0, "URL", IN_PRINT | IN_API, OPTION_SERVER,
	    "the old server's management API, such as https://mail.internal:443", .set = set_url },
	[OPT_BOOT_CONFIG] = { "boot-config", 0, "FILE", IN_PLAN, OPTION_SERVER,
	    "the config.toml of the server's next start, which is looked at too",
	    .set = set_boot_config },
	[OPT_CACERT] = { "cacert", 0, "FILE", IN_PRINT | IN_API,
	    OPTION_SERVER | OPTION_REPEAT | OPTION_PATH,
	    "PEM certificates to trust, in place of the system's", .at = AT(reach.cacert) },
	[OPT_PINNEDPUBKEY] = { "pinnedpubkey", 0, "PIN", IN_PRINT | IN_API,
	    OPTION_SERVER | OPTION_REPEAT | OPTION_PATH,
	    "the server's public key: sha256//BASE64 (several with ; between) or a file",
	    .at = AT(reach.pinnedpubkey) },
	[OPT_INSECURE] = { "insecure", 'k', NULL, IN_PRINT | IN_API, OPTION_SERVER | OPTION_REPEAT,
	    "do not check the certificate (safe only with --pinnedpubkey)",
	    .at = AT(reach.insecure) },
	[OPT_RESOLVE] = { "resolve", 0, "HOST:PORT:ADDR", IN_PRINT | IN_API | IN_PROBE,
	    OPTION_SERVER | OPTION_REPEAT, "use this address for this host and port (repeatable)",
	    .set = set_resolve },
	[OPT_CONNECT_TIMEOUT] = { "connect-timeout", 0, "SECONDS", IN_API | IN_PROBE, OPTION_SERVER,
	    "time limit for name look-up, connection and handshake (10)", .set = set_seconds,
	    .at = AT(reach.connect_timeout) },
	[OPT_MAX_TIME] = { "max-time", 0, "SECONDS", IN_API | IN_PROBE, 0,
	    "time limit up to the first write, and for each server's write (60); for all of a "
	    "probe (20)",
	    .set = set_seconds, .at = AT(reach.max_time) },
	[OPT_HAPROXY] = { "haproxy-protocol", 0, NULL, IN_PRINT | IN_API,
	    OPTION_SERVER | OPTION_REPEAT, "send a PROXY v2 LOCAL header first",
	    .at = AT(reach.haproxy) },
	[OPT_USER] = { "user", 'u', "NAME", IN_PRINT | IN_API, OPTION_SERVER | OPTION_REPEAT,
	    "the administrator's login name (admin)", .set = set_user, .at = AT(reach.user) },
	[OPT_PASSWORD_FILE] = { "password-file", 0, "FILE", IN_PRINT | IN_API,
	    OPTION_SERVER | OPTION_REPEAT | OPTION_PATH,
	    "a file with the password, - for standard input; else $STALPREP_PASSWORD or a prompt",
	    .at = AT(reach.password_file) },
	[OPT_TOTP_FILE] = { "totp-file", 0, "FILE", IN_PRINT | IN_API,
	    OPTION_SERVER | OPTION_REPEAT | OPTION_PATH,
	    "a file with the current six-digit code, - for standard input",
	    .at = AT(reach.totp_file) },
	[OPT_API_KEY_FILE] = { "api-key-file", 0, "FILE", IN_PRINT | IN_API,
	    OPTION_SERVER | OPTION_REPEAT | OPTION_PATH,
	    "a file with an API key, in place of user and password", .at = AT(reach.api_key_file) },
	[OPT_SNAPSHOT] = { "snapshot", 0, "FILE", IN_PRINT | IN_API | IN_PROBE, 0,
	    "the file that keeps the values from before", .at = AT(reach.snapshot) },
	[OPT_SNAPSHOT_DIR] = { "snapshot-dir", 0, "DIR", IN_API, 0,
	    "the folder for snapshots (as root /var/lib/stalprep)", .at = AT(reach.snapshot_dir) },
	[OPT_DRY_RUN] = { "dry-run", 'n', NULL, IN_CHANGE | 1u << COMMAND_RELOAD, 0,
	    "show what would be done, write nothing", .at = AT(dry_run) },
	[OPT_RELOAD] = { "reload", 0, NULL, 1u << COMMAND_CLEAR, OPTION_SERVER,
	    "then reload the server, which applies the removal", .at = AT(reload) },
	[OPT_FORCE] = { "force", 0, "NAME,...", IN_API, 0, "override these refusals and no others",
	    .set = set_force },
	[OPT_PORT] = { "port", 0, "PORT=PROTOCOL[+tls]", IN_PRINT | IN_PROBE, 0,
	    "a port to look at, in place of the usual ten (repeatable)", .set = set_port },
	[OPT_SILENCE] = { "silence", 0, "SECONDS", IN_PROBE, 0,
	    "how long a port may say nothing (5)", .set = set_seconds, .at = AT(silence) },
	[OPT_EXPECT] = { "expect", 0, "STATE", IN_PROBE, 0,
	    "staged, cutover or rolled-back: the exit status says whether it is so",
	    .set = set_expect },
	[OPT_FORMAT] = { "format", 0, "FORMAT", IN_PRINT, 0,
	    "text, curl, json, toml, keys, proxy or runbook (text)", .set = set_format },
	[OPT_CLEAR] = { "clear", 0, NULL, IN_PRINT, 0, "print how to undo it", .at = AT(clear) },
	[OPT_JSON] = { "json", 0, NULL, IN_API | IN_PROBE, 0, "print one JSON object, for programs",
	    .at = AT(json) },
	[OPT_QUIET] = { "quiet", 'q', NULL, IN_API | IN_PROBE, 0, "print only what went wrong",
	    .at = AT(quiet) },
	[OPT_VERBOSE] = { "verbose", 'v', NULL, IN_API | IN_PROBE, 0,
	    "also print each key, and how the kernel confines this run", .at = AT(verbose) },
	[OPT_VERSION] = { "version", 'V', NULL, IN_ALL, 0, "print the version" },
	[OPT_HELP] = { "help", 'h', NULL, IN_ALL, 0, "print this text" },
};
_Static_assert(COUNT(option_table) == OPT_COUNT, "each option has its row");
