#include "cmd/runbook.h"

#include "base/buf.h"
#include "base/err.h"
#include "cmd/options.h"
#include "cmd/probing.h"
#include "cmd/say.h"
#include "settings/snapshot.h"

#include <stdlib.h>
#include <string.h>

struct runbook {
	struct probing *p; /* its ports are those of the server */
	struct request request;
	struct snapshot snapshot;
	bool has_snapshot;
	bool header;      /* the commands are with --haproxy-protocol */
	const char *file; /* the config.toml that was staged in place of a server's API; or NULL */
	int minor;        /* the version, or -1 */
	struct url urls[TARGETS_MAX];
	size_t count;
};

/* ---- the vendor's proxy (migration-facts, "Parts") ---- */

static const struct {
	char name[12];
	enum protocol protocol;
	bool tls;   /* from the first byte, where there are both */
	bool other; /* the other way will do */
} uses[] = {
	{ "imap", PROTOCOL_IMAP, true, true },
	{ "pop3", PROTOCOL_POP3, true, true },
	{ "submission", PROTOCOL_SMTP, false, true },
	{ "managesieve", PROTOCOL_SIEVE, false, true },
	{ "http", PROTOCOL_HTTP, true, false },
};

/* The port that it takes for uses[i], or NULL. */
static const struct probe_port *
find_port(const struct probing *p, size_t i)
{
	const struct probe_port *found = NULL;
	size_t j;

	for (j = 0; j < p->port_count; j++) {
		const struct probe_port *port = &p->ports[j];
		bool best = port->speaks.tls == uses[i].tls;

		if (port->role == ROLE_BEHIND && port->speaks.protocol == uses[i].protocol &&
		    (best || uses[i].other) &&
		    (!found || (best && found->speaks.tls != uses[i].tls)))
			found = port;
	}
	return found;
}

static const char old_server[] = "OLD-SERVER"; /* where its name is not known */

/* The server's host for other machines. */
static const char *
host_of(const struct url *u)
{
	return url_is_loopback(u) ? old_server : u->host;
}

static void
add_proxy(struct buf *out, const struct runbook *r)
{
	const char *host = host_of(&r->urls[0]);
	size_t i;

	buf_printf(out,
	    "[destination.old]\nhost = \"%s\"\ntls_server_name = \"%s\"\nforwarding = \"proxy\"\n"
	    "proxy_protocol = true\nforwarded = true\n",
	    host, host);
	for (i = 0; i < COUNT(uses); i++) {
		const struct probe_port *port = find_port(r->p, i);

		if (port)
			buf_printf(out,
			    "\n[destination.old.protocol.%s]\nport = %u\ntls = \"%s\"\n",
			    uses[i].name, port->port, port->speaks.tls ? "implicit" : "starttls");
		else
			message_add(&r->p->messages, &r->p->pool, MESSAGE_WARNING,
			    "The old server has no listener for %s that the proxy can use. Add one "
			    "before the cutover%s.",
			    uses[i].name, uses[i].other ? "" : ", with implicit TLS");
	}
}

/* ---- commands ---- */

static void
begin(struct buf *out, const struct runbook *r, const char *command)
{
	buf_str(out, "     ");
	options_format_command(out, r->p->options, command);
}

static void
add_snapshot(struct buf *out, const struct runbook *r)
{
	if (r->has_snapshot)
		options_format_option(out, "snapshot", r->p->options->reach.snapshot, true);
}

/* A command for the API of all nodes, or for the file. */
static void
add_command(struct buf *out, const struct runbook *r, const char *command)
{
	struct options o = *r->p->options;
	char origin[ORIGIN_MAX];
	size_t i;

	begin(out, r, command);
	if (r->file) {
		options_format_option(out, "config", r->file, true);
	} else {
		for (i = 0; i < r->count; i++) {
			url_format(&r->urls[i], origin);
			options_format_option(out, "url", origin, false);
		}
		o.reach.haproxy = r->header;
		options_format_reach(out, &o);
	}
	add_snapshot(out, r);
	if (*command == 's') /* status asks for the groups alone */
		(strcmp(command, "stage") != 0 ? request_format_groups : request_format)(
		    out, &r->request);
	if (r->minor != -1)
		buf_printf(out, " --dialect 0.%d", r->minor);
	buf_char(out, '\n');
}

static void
add_probes(struct buf *out, const struct runbook *r, const char *expect)
{
	const struct options *o = r->p->options;
	const char *last = "", *host;
	size_t i, j;

	for (i = 0; i < r->count && r->request.groups & 1u << GROUP_LISTENERS; i++, last = host) {
		host = host_of(&r->urls[i]);
		if (!strcmp(host, last))
			continue;
		buf_str(out,
		    r->has_snapshot ? "     # on the proxy's host, with a copy of the snapshot:\n"
				    : "     # on the proxy's host:\n");
		begin(out, r, "probe ");
		buf_shell(out, host);
		for (j = 0; j < o->reach.resolve_count; j++)
			options_format_option(out, "resolve", o->reach.resolve[j], false);
		add_snapshot(out, r);
		for (j = 0; j < r->request.proxy_count && !r->has_snapshot; j++)
			options_format_option(out, "proxy", r->request.proxies[j], false);
		for (j = 0; j < o->port_count && !r->has_snapshot; j++)
			buf_printf(out, " --port %u=%s%s", o->ports[j].port, o->ports[j].protocol,
			    o->ports[j].tls ? "+tls" : "");
		buf_printf(out, " --expect %s\n", expect);
	}
}

/* The first stage; and the second, where the listeners are staged on another day than the rest. */
static void
add_stages(struct buf *out, struct runbook *r)
{
	unsigned groups = r->request.groups, listeners = 1u << GROUP_LISTENERS;

	if (r->has_snapshot && !r->request.values_given)
		buf_str(out,
		    "     # done already, by the snapshot, unless it was cleared; again it changes "
		    "nothing:\n");
	add_command(out, r, "stage");
	if (!(groups & listeners) || groups == listeners)
		return;
	buf_str(out,
	    "     Or in halves: that, and status, with --skip listeners now, on the day this:\n");
	r->request.groups = listeners;
	add_command(out, r, "stage");
	r->request.groups = groups;
}

static void
add_start(struct buf *out, const struct runbook *r, char step)
{
	buf_printf(out,
	    r->file ? "  %c. Start the old server:\n"
		      "     systemctl start stalwart  # or stalwart-mail\n"
		    : "  %c. Restart the old server, once, on each node (a reload is not enough):\n"
		      "     systemctl restart stalwart  # or stalwart-mail\n",
	    step);
}

static void
add_day(struct buf *out, struct runbook *r)
{
	buf_str(out,
	    "BEFORE\n"
	    "  1. Copy the old server's config.toml, then stage, which applies nothing:\n"
	    "     cp -n ");
	buf_shell_line(out, r->file ? r->file : "/opt/stalwart/etc/config.toml");
	buf_str(out, " ~/config.toml.before\n");
	add_stages(out, r);
	buf_printf(out,
	    "     Do not restart or reload before step 4: after an accidental restart the proxy's\n"
	    "     network needs a header and the inbound checks are off. Then go on, or go back.\n"
	    "  2. Lower the TTL of the public name, check the proxy's configuration (print "
	    "--format\n"
	    "     proxy). The new server answers on port 25, with STARTTLS:\n"
	    "     openssl s_client -starttls smtp -connect %s:25 </dev/null\n"
	    "  3. Each of these exits with 0:\n",
	    r->request.relay_host ? r->request.relay_host : "NEW");
	add_command(out, r, "status");
	if (!r->file)
		add_probes(out, r, "staged");
	buf_str(out, "\nCUTOVER\n");
	add_start(out, r, '4');
	add_probes(out, r, "cutover");
	buf_str(out,
	    "  5. Start the proxy.\n"
	    "  6. At once point the public name at the proxy. Port 25 leads to the new server.\n"
	    "  7. Test each protocol with a real account, then a mail each way.\n\n");
}

static void
add_way_back(struct buf *out, struct runbook *r)
{
	buf_printf(out,
	    "THE WAY BACK\n"
	    "  The point of no return is the first account that is moved: its new mail would be "
	    "lost.\n"
	    "  a. Point the public name at the old server.\n"
	    "  b. Stop the proxy.\n%s",
	    r->file ? "  c. Stop the old server, then clear:\n"
		      "     systemctl stop stalwart  # or stalwart-mail\n"
		    : "  c. Clear:\n"
		      "     # from a host outside of the proxy's networks:\n");
	r->header = false;
	add_command(out, r, "clear");
	if (!r->file) {
		r->header = true;
		buf_str(out, "     # only from a host inside of them:\n");
		add_command(out, r, "clear");
	}
	add_start(out, r, 'd');
	add_probes(out, r, "rolled-back");
}

/* ---- both ---- */

static int
collect(struct runbook *r, struct err *err)
{
	const struct options *o = r->p->options;
	size_t i;

	r->request = o->request;
	r->minor = o->request.minor;
	r->header = o->reach.haproxy;
	r->has_snapshot = o->reach.snapshot != NULL;
	if (r->has_snapshot &&
	    probing_snapshot(&r->snapshot, &r->p->pool, o->reach.snapshot, err) == -1)
		return -1;
	if (r->snapshot.request) {
		request_merge(&r->request, r->snapshot.request);
		r->request.single_node |= r->snapshot.request->single_node;
		r->minor = r->minor != -1 ? r->minor : r->snapshot.request->minor;
		if (!o->groups_given)
			r->request.groups = r->snapshot.request->groups;
	}
	if (r->snapshot.node_count && !r->snapshot.nodes->origin)
		r->file = r->snapshot.nodes->file;
	if (!(r->request.groups & 1u << GROUP_URL))
		r->request.public_origin[0] = '\0';
	memcpy(r->urls, o->reach.targets, sizeof(r->urls));
	r->count = o->reach.target_count;
	for (i = 0; i < r->snapshot.node_count && !o->reach.target_count && i < TARGETS_MAX; i++)
		r->count += r->snapshot.nodes[i].origin &&
		    url_parse(&r->urls[r->count], r->snapshot.nodes[i].origin, "", NULL) == 0;
	if (!r->count) {
		r->urls[0].https = true;
		r->urls[0].port = 443;
		strcpy(r->urls[0].host, old_server);
		r->count = 1;
	}
	if (!r->has_snapshot && !o->port_count && o->request.listener_count)
		message_add(&r->p->messages, &r->p->pool, MESSAGE_WARNING,
		    "The ports are the usual ten; once staged, --snapshot FILE knows more.");
	return probing_choose(r->p, r->has_snapshot ? &r->snapshot : NULL, err);
}

int
runbook_format(struct buf *out, const struct options *o, struct err *err)
{
	static struct probing p;
	struct runbook r = { .p = &p };
	struct buf lines = { 0 };
	int failed = -1;

	memset(&p, 0, sizeof(p)); /* static, since it is too much for a small stack */
	p.options = o;
	if (collect(&r, err) == 0) {
		if (!strcmp(host_of(&r.urls[0]), old_server))
			buf_printf(out,
			    "# Put the old server's name or address in place of %s.\n\n",
			    old_server);
		if (o->format == FORMAT_PROXY)
			add_proxy(out, &r);
		else {
			if (!o->clear)
				add_day(out, &r);
			add_way_back(out, &r);
		}
		say_format(&lines, o->command->name, &p.messages, MESSAGE_NOTE);
		say_lines(o->command->name, &lines);
		failed = pool_check(&p.pool, err);
	}
	buf_free(&lines);
	pool_free(&p.pool);
	return failed;
}
