#include "cmd/run_store.h"

#include "base/err.h"
#include "cmd/options.h"
#include "cmd/run.h"
#include "target/target.h"
#include "target/target_file.h"
#include "target/target_snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char ROOTS_FOLDER[] = "/var/lib/stalprep";

/* An absolute path of what the user gave. 0 or -1. */
static int
make_absolute(char out[PATH_MAX], const char *path, struct err *err)
{
	char here[PATH_MAX];
	size_t len = strlen(path);

	if (*path == '/' || !getcwd(here, sizeof(here)) || *here != '/')
		here[0] = '\0';
	while (len > 1 && path[len - 1] == '/')
		len--;
	if (snprintf(out, PATH_MAX, "%s%s%.*s", here, *here && strcmp(here, "/") != 0 ? "/" : "",
		(int)len, path) < PATH_MAX)
		return 0;
	return err_set(err, ERR_USAGE, "the snapshot's name is too long: %.120s...", path);
}

/* Where snapshots are kept from one run to the next, by the user. 0 or -1. */
static int
state_folder(char out[PATH_MAX], struct err *err)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;

	if (geteuid() == 0)
		n = snprintf(out, PATH_MAX, "%s", ROOTS_FOLDER);
	else if (state && *state == '/')
		n = snprintf(out, PATH_MAX, "%s/stalprep", state);
	else if (home && *home == '/')
		n = snprintf(out, PATH_MAX, "%s/.local/state/stalprep", home);
	else
		return err_set(err, ERR_REFUSED,
		    "There is no folder to keep the snapshot in: $HOME is not set. Name one: "
		    "--snapshot-dir DIR.");
	return n < PATH_MAX ? 0 : err_set(err, ERR_USAGE, "$HOME is too long");
}

/* Say where a snapshot is looked for, and who else may have one. */
static void
describe_place(struct run *r, bool usual)
{
	const struct store *st = &r->store;
	const char *others = "";

	if (usual)
		others = geteuid() == 0
		    ? " (other users' ~/.local/state/stalprep was not looked at)"
		    : " (root's /var/lib/stalprep was not looked at)";
	if (st->fixed)
		snprintf(r->place, sizeof(r->place), " at %s", st->path);
	else if (*st->folder)
		snprintf(r->place, sizeof(r->place), " in %s%s", st->folder, others);
}

static int
open_store(struct run *r, struct err *err)
{
	const struct reach *reach = &r->options->reach;
	char folder[PATH_MAX] = "", path[PATH_MAX] = "";
	bool usual = !reach->snapshot && !reach->snapshot_dir && !reach->config;

	if (reach->snapshot_dir && make_absolute(folder, reach->snapshot_dir, err) == -1)
		return -1;
	if (reach->snapshot) {
		if (make_absolute(path, reach->snapshot, err) == -1)
			return -1;
	} else if (reach->config) {
		if (target_file_snapshot(&r->targets[0], *folder ? folder : NULL, path, err) == -1)
			return -1;
	} else if (usual && state_folder(folder, err) == -1) {
		if (r->writes && r->options->id == COMMAND_STAGE)
			return -1;
		folder[0] = '\0'; /* then no snapshot is there */
	}
	/* Beside a config.toml its owner may write, too: he could change the file itself. */
	r->store.trust = (struct snapfile_trust){
		.also = reach->snapshot_dir ? (uid_t)-1 : configfile_owner(&r->targets[0].config),
		.all = reach->snapshot && r->options->request.forced[REFUSAL_SNAPSHOT_OWNER],
	};
	if (store_open(&r->store, folder, *path ? path : NULL, err) == -1)
		return -1;
	r->store.usual = usual;
	describe_place(r, usual);
	return 0;
}

static struct store_whose
whose_snapshot(const struct run *r)
{
	const struct target *first = &r->targets[0];
	struct store_whose w = { .name = first->name, .identity = first->facts.identity };
	size_t i;

	for (i = 0; i < r->count && i < SNAPSHOT_NODES_MAX; i++) {
		w.origins[i] = r->targets[i].origin;
		w.now[i] = r->targets[i].read ? &r->targets[i].facts.settings : NULL;
	}
	w.count = i;
	return w;
}

int
run_store_open(struct run *r, struct err *err)
{
	struct store_whose whose = whose_snapshot(r);
	bool stages = r->options->id == COMMAND_STAGE;
	size_t i;

	if (open_store(r, err) == -1)
		return -1;
	/* A dry run does not make the usual folder, but says what is wrong with one. */
	if (stages && (r->writes || !r->store.usual || store_has_folder(&r->store)) &&
	    store_prepare(&r->store, err) == -1) {
		target_file_explain(&r->targets[0], err);
		return -1;
	}
	if (store_guess(&r->store, &whose, err) == -1)
		return -1;
	for (i = 0; i < r->count && r->store.found; i++) {
		if (target_expect(&r->targets[i], &r->store.loaded, err) == -1)
			return -1;
	}
	return 0;
}

/* Where a macro stands for the key, the same one on two nodes of a cluster is all that shows. */
static bool
same_macro(const struct target *a, const struct target *b)
{
	return !strcmp(a->session.api.server, b->session.api.server) &&
	    settings_get(&a->facts.settings, "cluster.coordinator") &&
	    settings_get(&b->facts.settings, "cluster.coordinator");
}

/* Several --url name the nodes of one cluster: they have one database, and one key in it. */
static int
check_same_server(const struct run *r, struct err *err)
{
	const char *key = r->targets[0].facts.identity;
	size_t i;

	for (i = 1; i < r->count; i++) {
		const char *other = r->targets[i].facts.identity;

		if (*key ? !strcmp(other, key) : same_macro(&r->targets[0], &r->targets[i])) {
			if (settings_has_prefix(&r->targets[i].facts.settings, "cluster."))
				continue;
			return err_refuse(err, REFUSAL_NO_CLUSTER,
			    "%s and %s show the same oauth.key and no cluster.* setting: they are "
			    "one server, or copies of one. Name each server once, in a run of its "
			    "own.",
			    r->targets[0].origin, r->targets[i].origin);
		}
		return err_refuse(err, REFUSAL_NO_CLUSTER,
		    "Several --url name the nodes of one cluster, but %s and %s do not show the "
		    "same oauth.key, as such nodes do. Run stalprep "
		    "once "
		    "for each separate server%s.",
		    r->targets[0].origin, r->targets[i].origin,
		    *key && *other ? "" : ", or for each node with --single-node");
	}
	return 0;
}

/* Find each target's own parts. Those that another target has by its URL are not looked at. */
static int
attach_targets(struct run *r, struct err *err)
{
	const struct snapshot *s = &r->store.loaded;
	bool others[SNAPSHOT_NODES_MAX] = { false };
	size_t i, j;

	for (i = 0; i < s->node_count; i++) {
		for (j = 0; j < r->count; j++)
			others[i] |= settings_same(s->nodes[i].origin, r->targets[j].origin);
	}
	for (i = 0; i < r->count; i++) {
		if (target_attach(&r->targets[i], others, err) == -1)
			return -1;
		if (r->targets[i].has_node)
			others[r->targets[i].node] = true;
	}
	return 0;
}

int
run_store_find(struct run *r, struct err *err)
{
	enum command_id id = r->options->id;
	enum store_use use = id == COMMAND_STAGE          ? STORE_STAGE
	    : id == COMMAND_CLEAR || id == COMMAND_STATUS ? STORE_CLEAR
							  : STORE_LOOK;
	struct store_whose whose = whose_snapshot(r);
	bool changed;
	size_t i;

	if (check_same_server(r, err) == -1)
		return -1;
	if (store_find(&r->store, &whose, use, r->writes, &changed, err) == -1) {
		target_file_explain(&r->targets[0], err);
		return -1;
	}
	for (i = 0; i < r->count && changed; i++) {
		struct target *t = &r->targets[i];

		if ((r->store.found && target_expect(t, &r->store.loaded, err) == -1) ||
		    target_read_again(t, err) == -1)
			return -1;
	}
	/* What stands may be seen otherwise now; nobody else writes meanwhile. */
	if (changed && store_find(&r->store, &whose, use, false, &changed, err) == -1)
		return -1;
	return attach_targets(r, err);
}
