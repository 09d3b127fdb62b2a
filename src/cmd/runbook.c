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
	int minor; /* the version, or -1 */
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

static void
add_proxy(struct buf *out, const struct runbook *r)
{
	const char *host = r->count ? r->urls[0].host : "OLD-SERVER";
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
	const char *program = r->p->options->program;

	buf_str(out, "     ");
	if (strchr(program, '/'))
		options_format_path(out, program);
	else
		buf_shell(out, program);
	buf_printf(out, " %s", command);
}

/* The config.toml that was staged in place of a server's API; or NULL. */
static const char *
file_of(const struct runbook *r)
{
	const struct part *first = r->snapshot.nodes;

	return r->snapshot.node_count && !first->origin ? first->file : NULL;
}

/* A command for the API of all nodes, or for the file. header: with --haproxy-protocol. */
static void
add_command(struct buf *out, const struct runbook *r, const char *command, bool header)
{
	bool judges = !strcmp(command, "status");
	struct options o = *r->p->options;
	const char *file = judges ? NULL : file_of(r);
	char origin[ORIGIN_MAX];
	struct request groups;
	size_t i;

	begin(out, r, command);
	for (i = 0; i < r->count && !file; i++) {
		url_format(&r->urls[i], origin);
		buf_str(out, " --url ");
		buf_shell(out, origin);
	}
	if (file) {
		buf_str(out, " --config ");
		options_format_path(out, file);
	} else {
		o.reach.haproxy = header;
		options_format_reach(out, &o);
	}
	if (r->has_snapshot) {
		buf_str(out, " --snapshot ");
		options_format_path(out, o.reach.snapshot);
	}
	if (!strcmp(command, "stage"))
		request_format(out, &r->request);
	if (r->minor != -1)
		buf_printf(out, " --dialect 0.%d", r->minor);
	if (judges && (r->request.groups & GROUPS_DEFAULT) != GROUPS_DEFAULT) {
		request_init(&groups);
		groups.groups = r->request.groups;
		request_format(out, &groups);
	}
	buf_char(out, '\n');
}

static void
add_probes(struct buf *out, const struct runbook *r, const char *expect)
{
	const struct options *o = r->p->options;
	size_t i, j;

	for (i = 0; i < r->count && r->request.groups & 1u << GROUP_LISTENERS; i++) {
		if (i && !strcmp(r->urls[i].host, r->urls[i - 1].host))
			continue;
		begin(out, r, "probe ");
		buf_shell(out, r->urls[i].host);
		for (j = 0; j < o->reach.resolve_count; j++) {
			buf_str(out, " --resolve ");
			buf_shell(out, o->reach.resolve[j]);
		}
		if (r->has_snapshot) {
			buf_str(out, " --snapshot ");
			options_format_path(out, o->reach.snapshot);
		}
		for (j = 0; j < r->request.proxy_count && !r->has_snapshot; j++)
			buf_printf(out, " --proxy %s", r->request.proxies[j]);
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
	bool given = r->p->options->reach.haproxy;

	add_command(out, r, "stage", given);
	if (!(groups & listeners) || groups == listeners)
		return;
	buf_str(out, "     Or in halves: that with --skip listeners now, on the day this:\n");
	r->request.groups = listeners;
	add_command(out, r, "stage", given);
	r->request.groups = groups;
}

static void
add_day(struct buf *out, struct runbook *r)
{
	bool given = r->p->options->reach.haproxy;

	buf_str(out,
	    "BEFORE\n"
	    "  1. Copy the old server's config.toml, then stage, which applies nothing:\n"
	    "     cp /opt/stalwart/etc/config.toml ~/config.toml.before\n");
	add_stages(out, r);
	buf_printf(out,
	    "     Do not restart or reload before step 4: after an accidental restart the proxy's\n"
	    "     network needs a header and the inbound checks are off. Then go on, or go back.\n"
	    "  2. Lower the TTL of the public name, check the proxy's configuration (print "
	    "--format\n"
	    "     proxy). The new server answers on port 25, with STARTTLS:\n"
	    "     openssl s_client -starttls smtp -connect NEW:25 </dev/null\n"
	    "  3. Both exit with 0; each probe is for the proxy's host%s:\n",
	    r->has_snapshot ? " (copy the snapshot there)" : "");
	add_command(out, r, "status", given);
	add_probes(out, r, "staged");
	buf_str(out,
	    "\nCUTOVER\n"
	    "  4. Restart the old server, once, on each node:\n"
	    "     systemctl restart stalwart  # or stalwart-mail\n");
	add_probes(out, r, "cutover");
	buf_str(out,
	    "  5. Start the proxy.\n"
	    "  6. At once point the public name at the proxy. Port 25 leads to the new server.\n"
	    "  7. Test each protocol with a real account, then a mail each way.\n\n");
}

static void
add_way_back(struct buf *out, const struct runbook *r)
{
	buf_str(out,
	    "THE WAY BACK\n"
	    "  The point of no return is the first account that is moved: its new mail would be "
	    "lost.\n"
	    "  1. Point the public name at the old server. 2. Stop the proxy.\n"
	    "  3. Clear, from outside of the proxy's network, or from inside:\n");
	add_command(out, r, "clear", false);
	if (!file_of(r))
		add_command(out, r, "clear", true);
	buf_str(out, "  4. Restart the old server: a reload leaves the listeners.\n");
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
	r->has_snapshot = o->reach.snapshot != NULL;
	if (r->has_snapshot &&
	    probing_snapshot(&r->snapshot, &r->p->pool, o->reach.snapshot, err) == -1)
		return -1;
	if (r->snapshot.request) {
		request_merge(&r->request, r->snapshot.request);
		r->request.single_node |= r->snapshot.request->single_node;
		r->minor = r->minor != -1 ? r->minor : r->snapshot.request->minor;
		r->request.groups = r->snapshot.request->groups;
	}
	for (i = 0; i < o->reach.target_count; i++)
		r->urls[r->count++] = o->reach.targets[i];
	for (i = 0; i < r->snapshot.node_count && !o->reach.target_count && i < TARGETS_MAX; i++)
		r->count += r->snapshot.nodes[i].origin &&
		    url_parse(&r->urls[r->count], r->snapshot.nodes[i].origin, "", NULL) == 0;
	if (!r->count && o->format == FORMAT_RUNBOOK)
		return err_set(
		    err, ERR_USAGE, "--url URL is missing: the old server's management API");
	if (!r->has_snapshot && !o->port_count && o->format == FORMAT_RUNBOOK &&
	    (o->request.listener_count || o->request.also_count || o->request.leave_count))
		message_add(&r->p->messages, &r->p->pool, MESSAGE_WARNING,
		    "The probes are of the usual ten ports; once staged, --snapshot FILE knows "
		    "more.");
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
