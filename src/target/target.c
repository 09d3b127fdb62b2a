#include "target/target.h"

#include "base/err.h"
#include "plan/guard.h"
#include "settings/request.h"
#include "sys/interrupt.h"
#include "target/reach.h"
#include "target/target_api.h"
#include "target/target_file.h"

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

static int
begin_file(struct target *t, struct err *err)
{
	t->is_file = true;
	t->expected_server = "";
	if (configfile_find(&t->config, t->reach->config, err) == -1)
		return -1;
	snprintf(t->origin, sizeof(t->origin), "%s",
	    t->config.path[0] ? t->config.path : "standard input");
	snprintf(t->name, sizeof(t->name), "config");
	return 0;
}

/*
 * It lies beside the file, because a rescue system's current folder is soon gone. In --snapshot-dir
 * its name has the file's whole path, because every node's file is config.toml.
 */
int
target_file_snapshot(
    const struct target *t, const char *folder, char out[PATH_MAX], struct err *err)
{
	const char *path = t->config.path, *base = strrchr(path, '/');
	char name[PATH_MAX], *at;
	int n;

	out[0] = '\0';
	if (!base && !folder)
		return 0;
	snprintf(name, sizeof(name), "%s", !base ? "config.toml" : folder ? path + 1 : base + 1);
	for (at = name; *at; at++)
		*at = *at == '/' ? '_' : *at;
	if (folder)
		n = snprintf(out, PATH_MAX, "%s/stalprep-%s.snapshot.json", folder, name);
	else
		n = snprintf(out, PATH_MAX, "%.*s/stalprep-%s.snapshot.json", (int)(base - path),
		    path, name);
	if (n < PATH_MAX)
		return 0;
	return err_set(err, ERR_USAGE, "the snapshot's name is too long: %.120s...", out);
}

uid_t
target_file_beside(const char *snapshot)
{
	static const char begin[] = "stalprep-", end[] = ".snapshot.json";
	const char *slash = strrchr(snapshot, '/'), *base = slash ? slash + 1 : snapshot;
	size_t from = strlen(begin), len = strlen(base);
	char path[PATH_MAX];
	struct stat st;

	if (len < from + strlen(end) || strncmp(base, begin, from) != 0)
		return (uid_t)-1;
	snprintf(path, sizeof(path), "%.*s%.*s", (int)(base - snapshot), snapshot,
	    (int)(len - from - strlen(end)), base + from);
	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? st.st_uid : (uid_t)-1;
}

int
target_begin(struct target *t, enum purpose purpose, const struct request *q, const struct reach *r,
    const struct url *url, struct err *err)
{
	t->purpose = purpose;
	t->request = *q;
	t->reach = r;
	t->pool.stop = &interrupt_signal;
	if (r->config)
		return begin_file(t, err);
	t->session.api.relay_id = t->request.relay_id;
	t->session.api.new_server = t->request.new_server;
	url_format(url, t->origin);
	name_server(t->name, url);
	return session_resolve(&t->session, r, url, err);
}

int
target_read(struct target *t, const struct trust *trust, struct credentials *c, struct err *err)
{
	return t->is_file ? target_file_read(t, err) : target_api_read(t, trust, c, err);
}

int
target_read_again(struct target *t, struct err *err)
{
	struct api *a = &t->session.api;

	if (t->is_file)
		return 0;
	return api_read_settings(
	    a, &t->pool, &t->facts.settings, target_reads_all(t) ? &t->every : NULL, err);
}

bool
target_is_to_write(const struct target *t)
{
	return t->plan.write_count || t->plan.touch ||
	    ((t->is_file || t->plan.clearing) && t->found.state == PART_SENDING);
}

int
target_write(struct target *t, struct err *err)
{
	if (pool_check(&t->pool, err) == -1 ||
	    guard_port_25(&t->plan, &t->facts.settings, &t->request, err) == -1)
		return -1;
	t->pool.stop = NULL; /* from here on a signal waits, but for the replacing of a file */
	return t->is_file ? target_file_write(t, err) : target_api_write(t, err);
}

void
target_close(struct target *t)
{
	session_close(&t->session);
	configfile_free(&t->config);
	buf_free(&t->boot.text);
	buf_free(&t->edited);
	api_every_free(&t->every);
	pool_free(&t->pool);
}
