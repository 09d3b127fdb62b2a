#include "cmd/probing.h"

#include "cmd/exits.h"
#include "cmd/option_table.h"
#include "cmd/options.h"

#include <errno.h>
#include <string.h>

static bool
is_reached(const struct probe_try *t)
{
	return *t->own != '\0';
}

/* Has this host no way to such an address: IPv6 without a route, for example? */
static bool
is_out_of_reach(const struct probe_try *t)
{
	return t->number == ENETUNREACH || t->number == EADDRNOTAVAIL || t->number == EAFNOSUPPORT;
}

/*
 * It counts for nothing: a port that may be closed, or that listens for its own host alone, or an
 * address that this host can't connect to at all.
 */
static bool
is_excused(const struct probe_try *t)
{
	char text[DIAL_TEXT_MAX];
	struct net to;

	if (t->verdict != VERDICT_CLOSED)
		return is_out_of_reach(t);
	dial_format(&t->to, text);
	return t->port->may_be_closed ||
	    (net_is_loopback(&t->port->bound) &&
		!(addr_parse(&to, text) && net_covers(&t->port->bound, &to)));
}

enum verdict
probing_expected(const struct probing *p, const struct probe_try *t)
{
	enum expect expect = p->options->expect;
	enum role role = t->port->role;

	if (expect == EXPECT_NOTHING || is_excused(t) ||
	    (expect == EXPECT_CUTOVER && role == ROLE_ANY))
		return VERDICT_NONE;
	return expect == EXPECT_CUTOVER && role == ROLE_BEHIND ? VERDICT_WANTS : VERDICT_PLAIN;
}

size_t
probing_headers(const struct probing *p)
{
	size_t count = 0, i;

	for (i = 0; i < p->probe.count; i++) {
		const struct probe_try *t = &p->probe.tries[i];

		count += t->b.out_sent > 0 && t->verdict != VERDICT_WANTS;
	}
	return count;
}

static const char *
networks(struct probing *p)
{
	const char *all = "an address of the proxy";
	char text[NET_TEXT_MAX];
	size_t i;

	for (i = 0; i < p->network_count; i++) {
		net_format(&p->networks[i], text);
		all = i ? pool_printf(&p->pool, "%s or %s", all, text) : pool_str(&p->pool, text);
	}
	return all;
}

/* What it means that ports are not as expected. */
static const char *
meaning(struct probing *p, enum verdict v)
{
	switch (v) {
	case VERDICT_PLAIN:
		return pool_printf(&p->pool,
		    "the server was not restarted since staging, or it does not see this host as "
		    "%s",
		    networks(p));
	case VERDICT_WANTS:
		if (p->options->expect == EXPECT_ROLLED_BACK)
			return "the server was not restarted since the clear (a reload is not "
			       "enough), or the keys still stand on this node";
		if (p->options->expect == EXPECT_STAGED)
			return "the server was restarted since staging. Start the proxy, or clear "
			       "and "
			       "restart";
		return "the new server's relay sends none and stalls here. Take its networks off "
		       "this listener; stalprep status names them";
	case VERDICT_CLOSED:
		return "nothing listens here";
	case VERDICT_SILENT:
		return "it says nothing, with a header or without, or can't be reached: is a "
		       "firewall in between?";
	case VERDICT_REFUSES:
		return "the server has banned this address, or limits its connections (then try "
		       "again)";
	default:
		return "another protocol answers (--port PORT=PROTOCOL names it)";
	}
}

/* Say once what all ports with this verdict have in common. */
static void
add_differences(struct probing *p, enum verdict v)
{
	const char *is = v <= VERDICT_PLAIN ? "is " : v == VERDICT_OTHER ? "says " : "";
	const char *each = "", *ports = "";
	char at[RESOLVE_TEXT_MAX];
	size_t i;

	for (i = 0; i < p->probe.count; i++) {
		const struct probe_try *t = &p->probe.tries[i];
		enum verdict expected = probing_expected(p, t);

		if (t->verdict != v || expected == VERDICT_NONE || expected == v)
			continue;
		each = *ports ? "Each of " : "";
		resolve_format(&t->to, at);
		ports = pool_printf(&p->pool, t->port->id ? "%s%s%s (%s)" : "%s%s%s", ports,
		    *ports ? ", " : "", p->probe.count > p->port_count ? at : strrchr(at, ':') + 1,
		    t->port->id);
	}
	if (!*ports)
		return;
	p->exit = EXIT_PARTLY;
	if (v != VERDICT_PLAIN || p->wanted || !p->outside[v]) /* else check_inside says why */
		message_add(&p->messages, &p->pool, MESSAGE_ERROR, "%s%s %s%s: %s.", each, ports,
		    is, verdict_names[v], meaning(p, v));
}

/* Does the server see this host as the proxy, as far as the sockets' own addresses tell? */
static bool
is_inside(const struct probing *p, const char *own)
{
	struct net n;
	size_t i;

	if (!p->network_count || !addr_parse(&n, own))
		return true;
	for (i = 0; i < p->network_count; i++) {
		if (net_covers(&p->networks[i], &n))
			return true;
	}
	return false;
}

/* Seen from outside of the networks, all is plain whatever runs. */
static void
check_inside(struct probing *p)
{
	const char *odd = p->outside[VERDICT_WANTS], *own = odd;

	if (!p->wanted && (p->exit != EXIT_DONE || p->options->expect != EXPECT_CUTOVER))
		own = p->outside[VERDICT_PLAIN];
	if (!own)
		return;
	if (!odd)
		p->exit = EXIT_PARTLY;
	message_add(&p->messages, &p->pool, odd ? MESSAGE_WARNING : MESSAGE_ERROR,
	    "This host's address is %s, which is not in %s: %s.", own, networks(p),
	    odd ? "if a port wants the header all the same, NAT is in between, or an earlier stage "
		  "still runs"
		: "from there all ports are plain whatever the server does. Run this on the "
		  "proxy's host");
}

static void
compare(struct probing *p)
{
	enum verdict v;

	for (v = VERDICT_CLOSED; v < VERDICT_COUNT; v++)
		add_differences(p, v);
	check_inside(p);
	if (p->unjudged)
		p->exit = EXIT_PARTLY;
	if (p->exit == EXIT_DONE && p->options->expect == EXPECT_CUTOVER && !p->wanted) {
		p->exit = EXIT_PARTLY;
		message_add(&p->messages, &p->pool, MESSAGE_ERROR,
		    "No port wants the header: nothing shows that the server takes this host for "
		    "the proxy.");
	}
}

static void
add_notes(struct probing *p)
{
	size_t headers = probing_headers(p), cut = 0, i;

	for (i = 0; i < p->probe.count; i++)
		cut += p->probe.tries[i].cut;
	if (cut)
		message_add(&p->messages, &p->pool, MESSAGE_WARNING,
		    "The time was over before all was known of %zu port%s (--max-time %u).", cut,
		    plural(cut), p->options->reach.max_time);
	if (headers)
		message_add(&p->messages, &p->pool, MESSAGE_NOTE,
		    "%zu PROXY header%s went to a port that did not expect one. The server bans an "
		    "address for 30 in a day.",
		    headers, plural(headers));
}

void
probing_judge(struct probing *p)
{
	bool reached = false;
	size_t i;

	for (i = 0; i < p->probe.count; i++) {
		reached |= is_reached(&p->probe.tries[i]);
		p->wanted |= p->probe.tries[i].verdict == VERDICT_WANTS;
		if (!is_inside(p, p->probe.tries[i].own))
			p->outside[p->probe.tries[i].verdict] = p->probe.tries[i].own;
	}
	if (!reached) {
		p->exit = EXIT_UNREACHED;
		message_add(&p->messages, &p->pool, MESSAGE_ERROR, "%s: no port was reached.",
		    p->options->host);
		return;
	}
	if (p->options->expect != EXPECT_NOTHING)
		compare(p);
	if (p->options->expect != EXPECT_NOTHING && p->exit == EXIT_DONE)
		message_add(&p->messages, &p->pool, MESSAGE_RESULT, "All is as expected: %s.",
		    expect_names[p->options->expect]);
	add_notes(p);
}
