#include "settings/request.h"

#include "base/buf.h"
#include "settings/changeset.h"

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

/* --only, unless the groups are those that the other options choose. */
static void
add_groups(struct buf *out, const struct request *q)
{
	unsigned usual = (unsigned)GROUPS_DEFAULT | (q->relay_host ? 1u << GROUP_OUTBOUND : 0) |
	    (q->allow_new_server ? 1u << GROUP_ALLOW : 0);
	char sep = ' ';
	int g;

	if (q->groups == usual)
		return;
	buf_str(out, " --only");
	for (g = 0; g < GROUP_COUNT; g++) {
		if (g != GROUP_ALLOW && q->groups & 1u << g) {
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
	add_groups(out, q);
}
