#include "plan/plan_listeners.h"

#include "base/buf.h"
#include "base/pool.h"
#include "settings/part.h"

enum {
	LIST_MAX = 1000, /* from so many bytes on, nothing is added to a list in a message */
	BINDS_MAX = 200  /* bytes of one listener's binds there */
};

/* Does an option ask for this listener? Its name, or NULL. */
static const char *
option_for(const struct request *q, const char *id)
{
	return request_names(q->listeners, q->listener_count, id) ? "listener"
	    : request_names(q->also, q->also_count, id)           ? "also"
								  : NULL;
}

static bool
is_left(const struct request *q, const char *id)
{
	return request_names(q->leave, q->leave_count, id);
}

static bool
is_relay_listener(const struct request *q, const char *id)
{
	return q->relay_listener && !strcmp(q->relay_listener, id);
}

/* Without an option for it: why a listener is left alone, or NULL if it is chosen. */
static const char *
why_left(const struct listener *l)
{
	switch (l->protocol) {
	case PROTOCOL_SMTP:
		return listener_is_submission(l) ? NULL : "not clear: do mail clients use it?";
	case PROTOCOL_LMTP:
		return "lmtp: left alone (to choose it: --also)";
	case PROTOCOL_UNKNOWN:
		return "unknown protocol: left alone (to choose it: --also)";
	default:
		return NULL;
	}
}

/* Choose one listener or leave it, and say why. */
static void
choose(struct build *b, struct plan_listener *pl)
{
	const struct listener *l = pl->listener;
	const char *left = why_left(l), *option = option_for(b->q, l->id);

	if (is_relay_listener(b->q, l->id)) {
		pl->why = "the new server relays to it: never touched";
	} else if (l->on_25) {
		pl->why = "port 25: never touched";
	} else if (option) {
		pl->chosen = true;
		pl->why = pool_printf(b->pool, "named by --%s", option);
	} else if (b->q->listener_count) {
		pl->why = "not named by --listener";
	} else if (is_left(b->q, l->id)) {
		pl->why = "named by --leave";
	} else {
		pl->chosen = !left;
		pl->why = left                     ? left
		    : l->protocol == PROTOCOL_SMTP ? "submission"
		    : l->protocol == PROTOCOL_HTTP ? "web, JMAP and administration"
						   : "for mail clients";
	}
}

/* How to leave it out, for a message. */
static const char *
way_to_leave(struct build *b, const char *id)
{
	const char *option = option_for(b->q, id);

	return option ? pool_printf(b->pool, "remove it from --%s", option)
		      : pool_printf(b->pool, "leave it out with --leave %s", id);
}

/* Refuse a listener that would be chosen but binds port 25: stalprep can't split it. */
static void
check_mixed(struct build *b, const struct listener *l)
{
	const char *option = option_for(b->q, l->id);
	bool found = !b->q->listener_count && l->elsewhere && !is_left(b->q, l->id);

	if (!l->on_25 || (!option && !found) || is_relay_listener(b->q, l->id))
		return;
	if (l->elsewhere)
		build_refuse(b, REFUSAL_PORT_25,
		    "Listener \"%s\" binds %s. Putting it behind the proxy would stall the new "
		    "server's relay to port 25. Give the other port a listener of its own, or %s.",
		    l->id, l->binds, way_to_leave(b, l->id));
	else
		build_refuse(b, REFUSAL_PORT_25,
		    "--%s %s: this listener binds %s. Port 25 is never put behind the proxy, "
		    "because the new server's relay sends no PROXY header. Remove this "
		    "option, or if an earlier stage named it: --leave %s.",
		    option, l->id, l->binds, l->id);
}

/* Take the text of a list into the pool. */
static const char *
keep_text(struct build *b, struct buf *text)
{
	const char *kept = pool_str(b->pool, buf_text(text) ? buf_text(text) : "");

	b->pool->failed |= text->failed;
	buf_free(text);
	return kept;
}

/* The names of all listeners, for a message. */
static const char *
listener_names(struct build *b)
{
	struct buf text = { 0 };
	size_t i;

	for (i = 0; i < b->p->all.count && text.len < LIST_MAX; i++)
		buf_printf(&text, "%s%s", i ? ", " : "", b->p->all.items[i].id);
	if (i < b->p->all.count)
		buf_printf(&text, " and %zu more", b->p->all.count - i);
	return keep_text(b, &text);
}

/*
 * Did the option of an earlier stage name it? Then the server had it, and it was removed since: no
 * reason to refuse, and nobody could take it off that option.
 */
static bool
was_named(const struct build *b, const char *id)
{
	const struct request *q = b->in->stored;

	return q &&
	    (request_names(q->listeners, q->listener_count, id) ||
		request_names(q->also, q->also_count, id) ||
		request_names(q->leave, q->leave_count, id));
}

static void
refuse_unknown(struct build *b, const char *option, const char *id)
{
	build_refuse(b, REFUSAL_NO_LISTENER,
	    "--%s %s: the server has no listener of that name. It has %s.", option, id,
	    listener_names(b));
}

/* Refuse a name that the server does not have. */
static void
check_named(struct build *b, const char *option, const char *const *ids, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (!listener_by_id(&b->p->all, ids[i]) && !was_named(b, ids[i]))
			refuse_unknown(b, option, ids[i]);
	}
}

/* Does port 25 show which listener the new server relays to? */
static bool
anything_on_25(const struct build *b)
{
	size_t i;

	for (i = 0; i < b->p->all.count && !b->p->all.items[i].on_25; i++)
		;
	return i < b->p->all.count;
}

/*
 * Refuse a --relay-listener that the server does not have, or that the proxy is to stand in front
 * of as well. One of an earlier stage that is gone is no loss where a listener binds port 25.
 */
static void
check_relay_listener(struct build *b)
{
	const char *id = b->q->relay_listener, *option = option_for(b->q, id);
	bool stored = b->in->stored && settings_same(b->in->stored->relay_listener, id);

	if (!listener_by_id(&b->p->all, id) && !(stored && anything_on_25(b)))
		refuse_unknown(b, "relay-listener", id);
	if (option)
		build_refuse(b, REFUSAL_PORT_25,
		    "--%s and --relay-listener both name \"%s\". The listener that the new server "
		    "relays to is never put behind the proxy. Remove it from --%s.",
		    option, id, option);
}

/*
 * Refuse a listener whose keys would be among the settings of another, maybe of port 25. The one
 * that the new server relays to has to be named without doubt too.
 */
static void
check_id(struct build *b, const struct plan_listener *pl)
{
	const char *id = pl->listener->id;
	bool relay = is_relay_listener(b->q, id);

	if ((pl->chosen || relay) && listener_name_is_ambiguous(id))
		build_refuse(b, REFUSAL_LISTENER_NAME,
		    "Listener \"%s\" has \"proxy\" or \"bind\" as a part of its name, so its keys "
		    "look like those of another listener. Rename it%s%s.",
		    id, relay ? "" : ", or ", relay ? "" : way_to_leave(b, id));
}

/* May the new server relay to it? Submission and mail clients' listeners are out of the question.
 */
static bool
may_be_relay(const struct listener *l)
{
	return (l->protocol == PROTOCOL_SMTP || l->protocol == PROTOCOL_LMTP ||
		   l->protocol == PROTOCOL_UNKNOWN) &&
	    !listener_is_submission(l);
}

/* Ask which listener the new server relays to, if that is not certain. Is it asked? */
static bool
ask_relay_listener(struct build *b)
{
	const char *macro = NULL, *only = NULL;
	size_t i, candidates = 0;
	bool on_25 = false;

	for (i = 0; i < b->p->all.count; i++) {
		const struct listener *l = &b->p->all.items[i];

		on_25 |= l->on_25;
		if (l->macro &&
		    (l->protocol == PROTOCOL_SMTP || l->protocol == PROTOCOL_LMTP ||
			l->protocol == PROTOCOL_UNKNOWN))
			macro = l->id;
		if (may_be_relay(l)) {
			only = l->id;
			candidates++;
		}
	}
	if (macro)
		build_refuse(b, REFUSAL_RELAY_LISTENER,
		    "The bind of listener \"%s\" holds a macro, so stalprep can't see its port. "
		    "It may be port 25, which must not be behind the proxy. Name the listener that "
		    "the new server relays to: --relay-listener ID.",
		    macro);
	else if (!on_25)
		build_refuse(b, REFUSAL_RELAY_LISTENER,
		    "No listener binds port 25, but a port mapping may lead from it to one of "
		    "them. Name the listener that the new server relays to, so that it is left "
		    "alone: --relay-listener ID.");
	else
		return false;
	build_ask(b, "relay-listener", candidates == 1 ? only : "ID", candidates != 1);
	return true;
}

/*
 * Ask about each smtp listener that is neither port 25 nor plainly submission: it may be submission
 * behind a port mapping, or a second MX. One that is the only answer to ask_relay_listener is not
 * asked about a second time.
 */
static void
ask_submission(struct build *b, bool relay_asked)
{
	struct buf names = { 0 };
	size_t i, count = 0, more = 0, others = 0;

	for (i = 0; i < b->p->all.count; i++)
		others += may_be_relay(&b->p->all.items[i]);
	for (i = 0; i < b->p->all.count && !(relay_asked && others == 1); i++) {
		const struct listener *l = &b->p->all.items[i];

		if (l->protocol != PROTOCOL_SMTP || l->on_25 || listener_is_submission(l) ||
		    b->q->listener_count || option_for(b->q, l->id) || is_left(b->q, l->id) ||
		    is_relay_listener(b->q, l->id))
			continue;
		if (names.len < LIST_MAX)
			buf_printf(&names, "%s\"%s\" (%.*s)", count ? ", " : "", l->id, BINDS_MAX,
			    *l->binds ? l->binds : "without a bind");
		else
			more++;
		count++;
		build_ask(b, "also", l->id, false);
	}
	if (more)
		buf_printf(&names, " and %zu more", more);
	if (count)
		build_refuse(b, REFUSAL_SUBMISSION,
		    "It is not clear who connects to %s of protocol smtp: %s. What mail clients "
		    "use (submission behind a port mapping) belongs behind the proxy: --also ID. "
		    "What only other servers or programs use (a second MX) does not: --leave ID.",
		    count == 1 ? "this listener" : "these listeners", keep_text(b, &names));
}

static void
ask_about_listeners(struct build *b)
{
	bool relay_asked = false;

	if (b->q->relay_listener)
		check_relay_listener(b);
	else
		relay_asked = ask_relay_listener(b);
	ask_submission(b, relay_asked);
}

void
build_choose_listeners(struct build *b)
{
	const struct request *q = b->q;
	struct plan *p = b->p;
	size_t i, chosen = 0;

	listener_find_all(&p->all, b->pool, &b->base);
	for (i = 0; i < p->all.count; i++) {
		struct plan_listener *l = pool_add(b->pool, p->listeners, p->listener_count);

		l->listener = &p->all.items[i];
		choose(b, l);
		chosen += l->chosen;
	}
	if (!(q->groups & 1u << GROUP_LISTENERS))
		return;
	check_named(b, "listener", q->listeners, q->listener_count);
	check_named(b, "also", q->also, q->also_count);
	check_named(b, "leave", q->leave, q->leave_count);
	ask_about_listeners(b);
	for (i = 0; i < p->listener_count; i++) {
		check_mixed(b, p->listeners[i].listener);
		check_id(b, &p->listeners[i]);
	}
	if (!p->all.count)
		build_refuse(b, REFUSAL_NO_LISTENER,
		    "%s shows no listener, so there is nothing to put behind the proxy.%s",
		    b->in->file ? "The file" : "The server",
		    b->in->file ? "" : " Is the account allowed to read server.listener.*?");
	else if (!chosen && !message_refusals(&p->messages))
		build_refuse(b, REFUSAL_NO_LISTENER,
		    "None of the server's listeners belongs behind the proxy. Name some with "
		    "--listener, or leave the group out: --skip listeners.");
}
