#include "settings/request.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/utf8.h"
#include "format/json.h"
#include "format/jsonout.h"
#include "settings/changeset.h"

#include <string.h>

void
request_init(struct request *q)
{
	memset(q, 0, sizeof(*q));
	q->relay_id = RELAY_ID;
	q->minor = -1;
}

bool
request_takes_listener(const char *id)
{
	size_t len = strlen(id), i, n;

	for (i = 0; i < len; i += n) {
		n = utf8_length(id + i, len - i);
		if (!n || !utf8_is_shown(utf8_code(id + i, n)) || id[i] == '\\')
			return false;
	}
	return len && len <= ID_MAX;
}

bool
request_names(const char *const *ids, size_t count, const char *id)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (!strcmp(ids[i], id))
			return true;
	}
	return false;
}

bool
request_has_proxy(const struct request *q, const char *network)
{
	size_t i;

	for (i = 0; i < q->proxy_count; i++) {
		if (!strcmp(q->proxies[i], network))
			return true;
	}
	return false;
}

struct wanted
request_wanted(const struct request *q)
{
	return (struct wanted){
		.groups = q->groups & ~(1u << GROUP_LISTENERS),
		.public_url = q->public_origin,
		.relay_host = q->relay_host,
		.relay_port = q->relay_port,
		.relay_id = q->relay_id,
		.allow = q->new_server,
	};
}

static void
add_option(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, " --%s ", name);
	buf_shell(out, value);
}

void
request_format_groups(struct buf *out, const struct request *q)
{
	unsigned usual = (unsigned)GROUPS_DEFAULT | (q->relay_host ? 1u << GROUP_OUTBOUND : 0) |
	    (q->allow_new_server ? 1u << GROUP_ALLOW : 0);
	char sep = ' ';
	int g;

	if (!(usual & ~q->groups))
		return;
	buf_str(out, " --only");
	for (g = 0; g < GROUP_COUNT; g++) {
		if (g != GROUP_ALLOW && q->groups & usual & 1u << g) {
			buf_printf(out, "%c%s", sep, group_name((enum group)g));
			sep = ',';
		}
	}
}

void
request_format(struct buf *out, const struct request *q)
{
	size_t i;

	for (i = 0; i < q->proxy_count; i++)
		add_option(out, "proxy", q->proxies[i]);
	if (q->public_origin[0])
		add_option(out, "public-url", q->public_origin);
	if (q->relay_host) {
		add_option(out, "relay", q->relay_host);
		if (q->relay_port != RELAY_PORT)
			buf_printf(out, ":%u", q->relay_port);
		if (strcmp(q->relay_id, RELAY_ID) != 0)
			add_option(out, "relay-id", q->relay_id);
	}
	for (i = 0; i < q->listener_count; i++)
		add_option(out, "listener", q->listeners[i]);
	for (i = 0; i < q->also_count; i++)
		add_option(out, "also", q->also[i]);
	for (i = 0; i < q->leave_count; i++)
		add_option(out, "leave", q->leave[i]);
	if (q->relay_listener)
		add_option(out, "relay-listener", q->relay_listener);
	if (q->new_server[0])
		add_option(out, "new-server", q->new_server);
	if (q->allow_new_server)
		buf_str(out, " --allow-new-server");
	if (q->single_node)
		buf_str(out, " --single-node");
	request_format_groups(out, q);
}

/* Names of listeners, as one option has them. */
struct ids {
	const char *const *names;
	size_t count;
};

/* Add the stored names, if there are none now, but those that another option names now. */
static void
merge_ids(const char **ids, size_t *count, struct ids stored, struct ids opposite,
    const char *relay_listener)
{
	size_t i;

	if (*count)
		return;
	for (i = 0; i < stored.count; i++) {
		const char *id = stored.names[i];

		if (!request_names(opposite.names, opposite.count, id) &&
		    !(relay_listener && !strcmp(relay_listener, id)))
			ids[(*count)++] = id;
	}
}

static void
copy_relay(struct request *q, const struct request *from)
{
	q->relay_host = from->relay_host;
	q->relay_port = from->relay_port;
	q->relay_id = from->relay_id;
}

static void
copy_proxies(struct request *q, const struct request *from)
{
	memcpy(q->proxies, from->proxies, sizeof(q->proxies));
	q->proxy_count = from->proxy_count;
}

static void
copy_origin(struct request *q, const struct request *from)
{
	memcpy(q->public_origin, from->public_origin, sizeof(q->public_origin));
}

void
request_merge(struct request *q, const struct request *stored)
{
	bool listed = q->listener_count, changed = q->also_count || q->leave_count;
	const struct request given = *q;

	if (!q->proxy_count)
		copy_proxies(q, stored);
	if (!q->public_origin[0])
		copy_origin(q, stored);
	if (!q->relay_host)
		copy_relay(q, stored);
	if (!changed)
		merge_ids(q->listeners, &q->listener_count,
		    (struct ids){ stored->listeners, stored->listener_count }, (struct ids){ 0 },
		    NULL);
	if (!listed) {
		merge_ids(q->also, &q->also_count, (struct ids){ stored->also, stored->also_count },
		    (struct ids){ given.leave, given.leave_count }, given.relay_listener);
		merge_ids(q->leave, &q->leave_count,
		    (struct ids){ stored->leave, stored->leave_count },
		    (struct ids){ given.also, given.also_count }, NULL);
	}
	if (!q->relay_listener && stored->relay_listener &&
	    !request_names(given.listeners, given.listener_count, stored->relay_listener) &&
	    !request_names(given.also, given.also_count, stored->relay_listener))
		q->relay_listener = stored->relay_listener;
	/* the exemption is of the address that was named with it */
	if (!q->new_server[0] || !strcmp(q->new_server, stored->new_server))
		q->allow_new_server |= stored->allow_new_server;
	if (!q->new_server[0])
		memcpy(q->new_server, stored->new_server, sizeof(q->new_server));
}

/* Take what the groups that are not among `groups` ask for. */
static void
copy_other_groups(struct request *q, unsigned groups, const struct request *from)
{
	if (!(groups & 1u << GROUP_LISTENERS))
		copy_proxies(q, from);
	if (!(groups & 1u << GROUP_URL))
		copy_origin(q, from);
	if (!(groups & 1u << GROUP_OUTBOUND))
		copy_relay(q, from);
	q->groups |= from->groups & ~groups;
}

const struct request *
request_without(struct pool *pool, const struct request *q, unsigned groups)
{
	struct request *left = pool_zero(pool, sizeof(*left));
	struct request none;

	if (!left)
		return NULL;
	request_init(&none);
	*left = *q;
	copy_other_groups(left, ~groups, &none);
	left->groups &= ~groups;
	left->allow_new_server &= !(groups & 1u << GROUP_ALLOW);
	return left;
}

const struct request *
request_keep(struct pool *pool, const struct request *q, const struct request *old)
{
	struct request *kept = pool_zero(pool, sizeof(*kept));
	struct request none;

	if (!kept)
		return NULL;
	request_init(&none);
	*kept = *q;
	old = old ? old : &none;
	copy_other_groups(kept, q->groups, old);
	if (kept->minor == -1)
		kept->minor = old->minor;
	return kept;
}

static void
write_list(struct jsonout *j, const char *name, const char *const *items, size_t count)
{
	size_t i;

	jsonout_open(j, name, '[');
	for (i = 0; i < count; i++)
		jsonout_text(j, NULL, items[i]);
	jsonout_close(j, ']');
}

static void
write_groups(struct jsonout *j, unsigned groups)
{
	int g;

	jsonout_open(j, "groups", '[');
	for (g = 0; g < GROUP_COUNT; g++) {
		if (groups & 1u << g)
			jsonout_text(j, NULL, group_name((enum group)g));
	}
	jsonout_close(j, ']');
}

void
request_write(struct jsonout *j, const char *name, const struct request *q)
{
	const char *proxies[PROXIES_MAX] = { NULL };
	size_t i;

	for (i = 0; i < q->proxy_count; i++)
		proxies[i] = q->proxies[i];
	jsonout_open(j, name, '{');
	write_groups(j, q->groups);
	write_list(j, "proxy", proxies, q->proxy_count);
	jsonout_text(j, "public_url", q->public_origin[0] ? q->public_origin : NULL);
	jsonout_text(j, "relay", q->relay_host);
	jsonout_number(j, "relay_port", (int)q->relay_port);
	jsonout_text(j, "relay_id", q->relay_id);
	write_list(j, "listener", q->listeners, q->listener_count);
	write_list(j, "also", q->also, q->also_count);
	write_list(j, "leave", q->leave, q->leave_count);
	jsonout_text(j, "relay_listener", q->relay_listener);
	jsonout_text(j, "new_server", q->new_server[0] ? q->new_server : NULL);
	jsonout_bool(j, "allow_new_server", q->allow_new_server);
	jsonout_bool(j, "single_node", q->single_node);
	jsonout_number(j, "minor", q->minor);
	jsonout_close(j, '}');
}

bool
request_same(const struct request *a, const struct request *b)
{
	struct buf x = { 0 }, y = { 0 };
	struct jsonout i = { .out = &x }, j = { .out = &y };
	bool same;

	request_write(&i, NULL, a);
	request_write(&j, NULL, b);
	same = buf_text(&x) && buf_text(&y) && !strcmp(buf_text(&x), buf_text(&y));
	buf_free(&x);
	buf_free(&y);
	return same;
}

/* The string of a member, copied; NULL where it is null. *ok becomes false for anything else. */
static const char *
read_text(struct pool *pool, const struct json *from, bool *ok)
{
	const char *text = json_string(from);

	*ok &= text || json_is_null(from);
	return text ? pool_str(pool, text) : NULL;
}

static bool
read_groups(struct request *q, const struct json *from)
{
	const struct json *j;
	enum group g;

	for (j = json_first(from); j; j = json_next(j)) {
		const char *name = json_string(j);

		if (!name || !group_find(&g, name, strlen(name)))
			return false;
		q->groups |= 1u << g;
	}
	return json_is_array(from);
}

static bool
read_proxies(struct request *q, const struct json *from)
{
	const struct json *j;
	struct net n;

	for (j = json_first(from); j; j = json_next(j)) {
		if (q->proxy_count == PROXIES_MAX || !json_string(j) ||
		    net_parse(&n, json_string(j), NULL) == -1)
			return false;
		net_format(&n, q->proxies[q->proxy_count++]);
	}
	return json_is_array(from);
}

static bool
read_url(struct request *q, const struct json *from)
{
	const char *text = json_string(from);
	struct url u;

	if (!text)
		return json_is_null(from);
	if (url_parse_public(&u, text, "", NULL) == -1)
		return false;
	url_format(&u, q->public_origin);
	return true;
}

static bool
read_relay(struct request *q, struct pool *pool, const struct json *from)
{
	long long port;
	bool ok = true;

	q->relay_host = read_text(pool, json_member(from, "relay"), &ok);
	q->relay_id = read_text(pool, json_member(from, "relay_id"), &ok);
	if (!ok || !json_integer(json_member(from, "relay_port"), &port) || port < 0 ||
	    port > 65535)
		return false;
	q->relay_port = (unsigned)port;
	return q->relay_id && changeset_is_relay_id(q->relay_id, strlen(q->relay_id)) &&
	    (!q->relay_host || (port && host_is_name(q->relay_host)));
}

static bool
read_ids(const char **ids, size_t *count, struct pool *pool, const struct json *from)
{
	const struct json *j;

	for (j = json_first(from); j; j = json_next(j)) {
		const char *id = json_string(j);

		if (*count == LISTENERS_MAX || !id || !request_takes_listener(id))
			return false;
		ids[(*count)++] = pool_str(pool, id);
	}
	return json_is_array(from);
}

static bool
read_relay_listener(struct request *q, struct pool *pool, const struct json *from)
{
	bool ok = true;

	q->relay_listener = read_text(pool, from, &ok);
	return ok && (!q->relay_listener || request_takes_listener(q->relay_listener));
}

static bool
read_new_server(struct request *q, const struct json *from)
{
	const char *text = json_string(from);
	struct net addr;

	if (!text)
		return json_is_null(from);
	if (!addr_parse(&addr, text))
		return false;
	net_format(&addr, q->new_server);
	q->new_server[strcspn(q->new_server, "/")] = '\0';
	return true;
}

static bool
read_minor(struct request *q, const struct json *from)
{
	long long minor;

	if (!json_integer(from, &minor) || minor < -1 || minor > 99)
		return false;
	q->minor = (int)minor;
	return minor == -1 || changeset_dialect((int)minor);
}

int
request_read(struct request *q, struct pool *pool, const struct json *from, struct err *err)
{
	const char *bad = NULL;

	request_init(q);
	if (!read_groups(q, json_member(from, "groups")))
		bad = "groups";
	else if (!read_proxies(q, json_member(from, "proxy")))
		bad = "proxy";
	else if (!read_url(q, json_member(from, "public_url")))
		bad = "public_url";
	else if (!read_relay(q, pool, from))
		bad = "relay";
	else if (!read_ids(q->listeners, &q->listener_count, pool, json_member(from, "listener")))
		bad = "listener";
	else if (!read_ids(q->also, &q->also_count, pool, json_member(from, "also")))
		bad = "also";
	else if (!read_ids(q->leave, &q->leave_count, pool, json_member(from, "leave")))
		bad = "leave";
	else if (!read_relay_listener(q, pool, json_member(from, "relay_listener")))
		bad = "relay_listener";
	else if (!read_new_server(q, json_member(from, "new_server")))
		bad = "new_server";
	else if (!json_is_bool(json_member(from, "allow_new_server"), &q->allow_new_server))
		bad = "allow_new_server";
	else if (!json_is_bool(json_member(from, "single_node"), &q->single_node))
		bad = "single_node";
	else if (!read_minor(q, json_member(from, "minor")))
		bad = "minor";
	return bad ? err_set(err, ERR_SYSTEM, "%s", bad) : pool_check(pool, err);
}
