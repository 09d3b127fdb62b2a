#include "target/target.h"

#include "base/err.h"
#include "plan/guard.h"
#include "settings/request.h"
#include "sys/file.h"
#include "target/reach.h"
#include "target/target_api.h"
#include "target/target_file.h"
#include "target/target_snapshot.h"

#include <stdio.h>

/* HOST-PORT for a file name: ':' and '/' become underscores. */
static void
name_server(char name[ORIGIN_MAX], const struct url *url)
{
	size_t i;

	snprintf(name, ORIGIN_MAX, "%s-%u", url->host, url->port);
	for (i = 0; name[i]; i++) {
		if (name[i] == ':' || name[i] == '/')
			name[i] = '_';
	}
}

/*
 * The snapshot lies beside the file, because a rescue system's current folder is soon gone. In
 * --snapshot-dir its name has the file's whole path, because every node's file is config.toml.
 * Standard input may have none.
 */
static int
begin_file(struct target *t, struct err *err)
{
	const char *path = t->config.path, *base = "config.toml";
	char folder[PATH_MAX] = "", *name, *at;
	bool has_path;

	t->is_file = true;
	if (configfile_find(&t->config, t->reach->config, err) == -1)
		return -1;
	has_path = path[0] != '\0';
	if (has_path) {
		base = strrchr(path, '/') + 1;
		/* without the last slash, except in "/" */
		snprintf(
		    folder, sizeof(folder), "%.*s", (int)(base - path - (base - path > 1)), path);
	}
	snprintf(t->origin, sizeof(t->origin), "%s", has_path ? path : "standard input");
	t->snapshot_id = pool_printf(&t->pool, "file:%s", has_path ? path : "/-");
	if (!has_path && !t->reach->snapshot && !t->reach->snapshot_dir)
		return 0;
	name = pool_str(&t->pool, has_path && t->reach->snapshot_dir ? path + 1 : base);
	if (pool_check(&t->pool, err) == -1)
		return -1;
	for (at = name; *at; at++)
		*at = *at == '/' ? '_' : *at;
	return target_name_snapshot(t, folder, name, err);
}

int
target_begin(struct target *t, enum purpose purpose, const struct request *q, const struct reach *r,
    const struct url *url, struct err *err)
{
	char name[ORIGIN_MAX];

	t->purpose = purpose;
	t->request = *q;
	t->reach = r;
	if (r->config)
		return begin_file(t, err);
	t->session.api.relay_id = t->request.relay_id;
	t->session.api.new_server = t->request.new_server;
	url_format(url, t->origin);
	t->snapshot_id = t->origin;
	name_server(name, url);
	if (target_name_snapshot(t, "", name, err) == -1)
		return -1;
	return session_resolve(&t->session, r, url, err);
}

int
target_read(struct target *t, const struct trust *trust, struct credentials *c, struct err *err)
{
	return t->is_file ? target_file_read(t, err) : target_api_read(t, trust, c, err);
}

int
target_write(struct target *t, struct err *err)
{
	if (pool_check(&t->pool, err) == -1 ||
	    guard_port_25(&t->plan, &t->facts.settings, &t->request, err) == -1)
		return -1;
	return t->is_file ? target_file_write(t, err) : target_api_write(t, err);
}

void
target_close(struct target *t)
{
	session_close(&t->session);
	file_unlock(t->lock, t->lock_path);
	t->lock = -1;
	configfile_free(&t->config);
	buf_free(&t->edited);
	pool_free(&t->every_pool);
	pool_free(&t->pool);
}
