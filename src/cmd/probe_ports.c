#include "cmd/probing.h"

#include "base/err.h"
#include "cmd/options.h"
#include "format/url.h"
#include "settings/snapshot.h"
#include "target/snapfile.h"
#include "target/target.h"

#include <string.h>

enum { PORT_RELAY = 25, PORT_SUBMISSIONS = 465, PORT_SUBMISSION = 587 };

/* Of a default installation (server-facts, "What the settings mean"). */
static const struct {
	unsigned short port;
	char protocol[13];
	bool tls;
} usual[] = {
	{ PORT_RELAY, "smtp", false },
	{ PORT_SUBMISSION, "smtp", false },
	{ PORT_SUBMISSIONS, "smtp", true },
	{ 143, "imap", false },
	{ 993, "imap", true },
	{ 110, "pop3", false },
	{ 995, "pop3", true },
	{ 4190, "managesieve", false },
	{ 443, "http", true },
	{ 8080, "http", false },
};

/* What the rules of stage do with such a listener. */
static enum role
usual_role(const struct probe_port *p)
{
	bool smtp = p->speaks.protocol == PROTOCOL_SMTP;

	if (smtp && p->port == PORT_RELAY)
		return ROLE_RELAY;
	if (p->speaks.protocol == PROTOCOL_LMTP ||
	    (smtp && !p->speaks.tls && p->port != PORT_SUBMISSIONS && p->port != PORT_SUBMISSION))
		return ROLE_ANY;
	return ROLE_BEHIND;
}

static struct probe_port
make_port(unsigned number, const char *protocol, bool tls)
{
	struct probe_port port = {
		.port = number,
		.protocol = protocol,
		.speaks = { listener_protocol(protocol), tls },
	};

	port.role = usual_role(&port);
	return port;
}

static int
add_port(struct probing *p, const struct probe_port *port, struct err *err)
{
	if (p->port_count == PROBE_PORTS_MAX)
		return err_set(err, ERR_USAGE, "More than %d ports. Name some of them: --port",
		    PROBE_PORTS_MAX);
	p->ports[p->port_count++] = *port;
	return 0;
}

static struct probe_port *
find_port(struct probing *p, unsigned port)
{
	size_t i;

	for (i = 0; i < p->port_count; i++) {
		if (p->ports[i].port == port)
			return &p->ports[i];
	}
	return NULL;
}

/* ---- from a snapshot ---- */

/* The address in front of the port; family 0 if it is all of them, or not readable. */
static struct net
bound_address(struct pool *pool, const char *bind)
{
	static const unsigned char all[16];
	const char *colon = strrchr(bind, ':');
	size_t len = (size_t)(colon - bind);
	struct net n;

	if (len > 2 && bind[0] == '[' && bind[len - 1] == ']') {
		bind++;
		len -= 2;
	}
	if (!addr_parse(&n, pool_copy(pool, bind, len)) ||
	    !memcmp(n.addr, all, n.family == 4 ? 4 : 16))
		memset(&n, 0, sizeof(n));
	return n;
}

/* 1: it is to be judged and is not looked at, since its port is not known. */
static int
add_bind(struct probing *p, const struct part_listener *l, const char *bind,
    const struct request *q, struct err *err)
{
	long number = listener_port(bind);
	struct probe_port port = make_port((unsigned)number, l->protocol, l->tls_implicit), *same;
	bool judged;

	if (l->chosen)
		port.role = ROLE_BEHIND;
	else if (q && q->relay_listener && !strcmp(q->relay_listener, l->id))
		port.role = ROLE_RELAY;
	else if (port.role == ROLE_BEHIND)
		port.role = ROLE_ANY;
	judged = port.role != ROLE_ANY;
	if (number <= 0 || port.speaks.protocol == PROTOCOL_UNKNOWN) {
		message_add(&p->messages, &p->pool,
		    judged && p->options->expect ? MESSAGE_ERROR : MESSAGE_WARNING,
		    "Listener \"%s\" is not looked at (\"%s\", %s). Name it: --port PORT=PROTOCOL",
		    l->id, bind, l->protocol);
		if (judged && p->unknown != ROLE_BEHIND)
			p->unknown = port.role;
		return judged;
	}
	port.id = l->id;
	port.bound = bound_address(&p->pool, bind);
	same = find_port(p, port.port);
	if (!same)
		return add_port(p, &port, err);
	/* Others don't reach the one on loopback; of two that they may reach, one may be judged. */
	if (!net_is_loopback(&port.bound) &&
	    (net_is_loopback(&same->bound) || same->role == ROLE_ANY))
		*same = port;
	return 0;
}

static int
add_node(struct probing *p, const struct part *node, const struct request *q, struct err *err)
{
	size_t unjudged = 0, i, len;
	const char *bind;

	for (i = 0; i < node->listener_count; i++) {
		const struct part_listener *l = &node->listeners[i];
		bool skips = false;
		int r;

		for (bind = l->binds; *bind; bind += len) {
			len = strcspn(bind, ",");
			r = add_bind(p, l, pool_copy(&p->pool, bind, len), q, err);
			if (r == -1)
				return -1;
			skips |= r;
			len += strspn(bind + len, ", ");
		}
		unjudged += skips;
	}
	if (unjudged > p->unjudged) /* the nodes of a cluster may have the same ones */
		p->unjudged = unjudged;
	return 0;
}

/* Was this node staged by a URL with the host that is probed? */
static bool
is_host(const struct part *node, const char *host)
{
	struct url u;

	return host && node->origin && url_parse(&u, node->origin, "", NULL) == 0 &&
	    !strcmp(u.host, host);
}

/* The listeners of the node that is probed; if no node is known by this host, those of all. */
static int
add_listeners(struct probing *p, const struct snapshot *s, struct err *err)
{
	bool known = false;
	size_t i;

	for (i = 0; i < s->node_count; i++)
		known |= is_host(&s->nodes[i], p->options->host);
	for (i = 0; i < s->node_count; i++) {
		if ((!known || is_host(&s->nodes[i], p->options->host)) &&
		    add_node(p, &s->nodes[i], s->request, err) == -1)
			return -1;
	}
	return 0;
}

/* ---- all ---- */

static void
add_usual(struct probing *p)
{
	size_t i;

	for (i = 0; i < COUNT(usual); i++) {
		struct probe_port port = make_port(usual[i].port, usual[i].protocol, usual[i].tls);

		port.may_be_closed = port.role != ROLE_RELAY;
		p->ports[p->port_count++] = port;
	}
}

/*
 * A port that is named beside those of the snapshot is taken for one of the listeners whose port is
 * not known there. What is to be judged stays so.
 */
static int
add_named(struct probing *p, struct err *err)
{
	size_t i;

	for (i = 0; i < p->options->port_count; i++) {
		const struct port_option *o = &p->options->ports[i];
		struct probe_port port = make_port(o->port, o->protocol, o->tls);
		struct probe_port *there = find_port(p, port.port);

		if (port.role == ROLE_ANY)
			port.role = there ? there->role : p->unknown;
		if (there)
			*there = port;
		else if (add_port(p, &port, err) == -1)
			return -1;
		else if (p->unjudged && --p->unjudged == 0) {
			p->unknown = ROLE_ANY;
			p->messages.count = 0;
		}
	}
	return 0;
}

static void
add_networks(struct probing *p, const struct request *q)
{
	size_t i;

	for (i = 0; i < q->proxy_count; i++)
		p->network_count += net_parse_server(&p->networks[p->network_count], q->proxies[i]);
}

int
probing_snapshot(struct snapshot *s, struct pool *pool, const char *path, struct err *err)
{
	const struct snapfile_trust trust = { .also = target_file_beside(path) };
	int r = snapfile_load(s, pool, path, &trust, err);
	const char *cleared;

	if (r == 1) { /* the way back is probed after the clear */
		cleared = pool_printf(pool, "%s.cleared", path);
		r = pool->failed ? err_memory(err) : snapfile_load(s, pool, cleared, &trust, err);
	}
	return r == 1 ? err_set(err, ERR_USAGE, "There is no snapshot %s.", path) : r;
}

int
probing_choose(struct probing *p, const struct snapshot *s, struct err *err)
{
	const struct request *own = &p->options->request;

	if (s && add_listeners(p, s, err) == -1)
		return -1;
	if (add_named(p, err) == -1)
		return -1;
	if (!p->port_count)
		add_usual(p);
	if (own->proxy_count)
		add_networks(p, own);
	else if (s && s->request)
		add_networks(p, s->request);
	return pool_check(&p->pool, err);
}
