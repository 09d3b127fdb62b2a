#include "target/target_snapshot.h"

#include "base/when.h"
#include "settings/request.h"
#include "target/reach.h"
#include "target/store.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * A snapshot may hold keys of another relay, or of another new server, than this run names. Those
 * are read one by one; prefixes find all others. Keys with other characters are not stalprep's.
 */
static int
add_extra_keys(struct target *t, const struct part *p, struct err *err)
{
	const char **extra = pool_zero(&t->pool, (p->count + 1) * sizeof(*extra));
	size_t i, n = 0;

	if (!extra)
		return err_memory(err);
	for (i = 0; i < p->count; i++) {
		const char *key = p->keys[i].key;

		if ((p->keys[i].group == GROUP_OUTBOUND || p->keys[i].group == GROUP_ALLOW) &&
		    strspn(key, ":._-" ALNUM) == strlen(key))
			extra[n++] = key;
	}
	t->session.api.extra = extra;
	t->session.api.extra_count = n;
	return 0;
}

int
target_expect(struct target *t, const struct snapshot *guess, struct err *err)
{
	struct request q = t->request;
	struct part all = { 0 };
	size_t i, j;

	request_merge(&q, guess->request);
	t->session.api.relay_id = q.relay_id;
	t->expected_server = pool_str(&t->pool, q.new_server);
	all = snapshot_join(guess, NULL, true, &t->pool);
	for (i = 0; i < guess->node_count; i++) {
		for (j = 0; j < guess->nodes[i].count; j++)
			part_add(&all, &t->pool, &guess->nodes[i].keys[j]);
	}
	/* Without --dialect the one that was staged still holds. */
	for (i = 0; i < DIALECT_COUNT && t->is_file; i++) {
		if (!strcmp(changeset_dialects[i].name, guess->dialect))
			t->staged_dialect = &changeset_dialects[i];
	}
	return pool_check(&t->pool, err) == -1 ? -1 : add_extra_keys(t, &all, err);
}

/* ---- which node is it? ---- */

/* A snapshot beside its config.toml belongs to it, even if both are mounted elsewhere now. */
static bool
is_file_of(const struct target *t, const struct part *node)
{
	const char *own = strrchr(t->config.path, '/'), *its, *end;
	char path[PATH_MAX];

	if (!node->file || !own)
		return false;
	if (!strcmp(node->file, t->config.path))
		return true;
	its = strrchr(node->file, '/');
	if (!its || strcmp(own, its) != 0 || !realpath(t->store->path, path))
		return false;
	end = strrchr(path, '/');
	return end - path == own - t->config.path &&
	    !memcmp(path, t->config.path, (size_t)(own - t->config.path));
}

/* Keys of a node's part as they are now: a file outranks the database, so the API shows them. */
struct tally {
	size_t local;   /* all of them */
	size_t known;   /* of them: as they were before, or as a stage left them */
	size_t present; /* of these: with a value */
	size_t written; /* of these: the one that a stage wrote */
};

static struct tally
tally_of(const struct target *t, const struct part *node)
{
	const struct settings *all = &t->facts.settings;
	struct tally y = { 0, 0, 0, 0 };
	size_t i;

	for (i = 0; i < node->count; i++) {
		const struct part_key *k = &node->keys[i];
		const char *now = settings_get(all, k->key);
		bool known = part_accounts_for(k, now);

		y.local++;
		y.known += known;
		y.present += known && now;
		y.written += k->written && settings_same(now, k->written);
	}
	return y;
}

/* Do all of the part's keys stand here, and at least one as a stage wrote it? */
static bool
stands_here(const struct target *t, const struct part *node)
{
	struct tally y = tally_of(t, node);

	return y.written && y.known == y.local;
}

/* Have both the same keys, with the same values from before? */
static bool
same_originals(const struct part *a, const struct part *b)
{
	const struct part_key *k;
	size_t i;

	for (i = 0; i < a->count && a->count == b->count; i++) {
		k = part_find(b, a->keys[i].key);
		if (!k || !settings_same(k->before, a->keys[i].before))
			return false;
	}
	return a->count == b->count;
}

/* Is it a node of a cluster, so that another one may answer at its URL? */
static bool
is_clustered(const struct target *t)
{
	return settings_has_prefix(&t->facts.settings, "cluster.");
}

/*
 * May a clear believe the part that has this node's URL? It may lead to another node of the cluster
 * by now, so keys have to stand here. If one of them was changed since, the URL still decides, as
 * long as no other part stands here that would bring back something else. Forced, it does even if
 * all were changed.
 */
static bool
is_believed(const struct target *t, const struct part *node)
{
	const struct snapshot *s = &t->store->current;
	size_t i;

	if (!node->count || node->state == PART_SENDING || stands_here(t, node))
		return true;
	for (i = 0; i < s->node_count; i++) {
		if (stands_here(t, &s->nodes[i]) && part_differs(node, &s->nodes[i]))
			return false;
	}
	return t->request.forced[REFUSAL_CHANGED] || tally_of(t, node).written > 0;
}

/*
 * The part that names this node: by URL or path, else by an id that one part alone has and whose
 * keys stand here, since nodes may all have the same id (server-facts); or NULL.
 */
static struct part *
named_part(struct target *t, const bool *others)
{
	const char *id = settings_get(&t->facts.settings, "cluster.node-id");
	const struct snapshot *s = &t->store->current;
	struct part *found = NULL;
	size_t i, same = 0;

	for (i = 0; i < s->node_count; i++) {
		struct part *node = &s->nodes[i];

		if (t->is_file && is_file_of(t, node))
			return node;
		if (t->is_file || !settings_same(node->origin, t->origin))
			continue;
		if (t->purpose != TO_CLEAR || !is_clustered(t) || is_believed(t, node))
			return node;
		t->doubted = true;
	}
	for (i = 0; i < s->node_count && id && !t->is_file; i++) {
		same += settings_same(s->nodes[i].id, id);
		if (!others[i] && settings_same(s->nodes[i].id, id))
			found = &s->nodes[i];
	}
	return same == 1 && found && stands_here(t, found) ? found : NULL;
}

static int
refuse_node(const struct target *t, struct err *err)
{
	return err_refuse(err, REFUSAL_NODE,
	    "The snapshot %s has several nodes, and which of them %s is does not show: no URL, id "
	    "or keys tell. Give the URL by which it was staged (the snapshot has them).",
	    t->store->path, t->origin);
}

/*
 * The part whose keys stand on this node as they were written. Several may: nodes are often staged
 * alike, and if what stood before is the same too, each will do.
 */
static int
matching_part(const struct target *t, const bool *others, struct part **out, struct err *err)
{
	const struct snapshot *s = &t->store->current;
	bool any = false;
	size_t i;

	*out = NULL;
	for (i = 0; i < s->node_count; i++) {
		struct tally y = tally_of(t, &s->nodes[i]);

		if (others[i])
			continue;
		any |= y.written > 0;
		if (!y.written || y.known != y.local)
			continue;
		if (*out && !same_originals(*out, &s->nodes[i]))
			return refuse_node(t, err);
		*out = *out ? *out : &s->nodes[i];
	}
	return any && !*out ? refuse_node(t, err) : 0;
}

/*
 * A snapshot that names no such URL or file, given by --snapshot: it is this server's if all of one
 * node's keys stand as they were before or as a stage left them. A stage changes it, so there one
 * at least has to stand as it was staged: else another server may need it.
 */
static int
fitting_part(const struct target *t, struct part **out, struct err *err)
{
	const struct snapshot *s = &t->store->current;
	bool forced = t->request.forced[REFUSAL_SNAPSHOT_TARGET];
	size_t i, fit = 0;

	for (i = 0; i < s->node_count; i++) {
		struct tally y = tally_of(t, &s->nodes[i]);

		if (((t->purpose == TO_STAGE ? !y.written : !y.present) || y.known != y.local) &&
		    !(forced && s->node_count == 1))
			continue;
		if (fit++ && !same_originals(*out, &s->nodes[i]))
			return refuse_node(t, err);
		*out = &s->nodes[i];
	}
	if (fit || forced)
		return 0;
	return err_refuse(err, REFUSAL_SNAPSHOT_TARGET,
	    "The snapshot %s does not seem to be of %s: the listeners' keys do not stand here as "
	    "they were staged.",
	    t->store->path, t->origin);
}

/* Does the node say that it is another one than the part's? */
static bool
names_another(const struct target *t, const struct part *node)
{
	const char *id = settings_get(&t->facts.settings, "cluster.node-id");

	return !t->is_file && id && node->id && strcmp(id, node->id) != 0;
}

static bool
is_alone(const struct target *t)
{
	const struct snapshot *s = &t->store->current;

	return s->node_count == 1 && t->alone && !is_clustered(t) &&
	    (t->purpose != TO_CLEAR || !s->nodes[0].count || stands_here(t, &s->nodes[0]) ||
		s->nodes[0].state == PART_SENDING);
}

static int
find_node(struct target *t, const bool *others, struct part **out, struct err *err)
{
	struct store *st = t->store;
	bool same = t->facts.identity[0] && !strcmp(t->facts.identity, st->current.identity);

	*out = named_part(t, others);
	if (*out && names_another(t, *out))
		return refuse_node(t, err);
	if (*out && (same || t->is_file || !strcmp(t->facts.identity, st->current.identity)))
		return 0;
	if (!t->is_file && t->facts.identity[0] && st->current.identity[0] && !same &&
	    !t->request.forced[REFUSAL_SNAPSHOT_TARGET])
		return err_refuse(err, REFUSAL_SNAPSHOT_TARGET,
		    "The snapshot %s is of another server than %s: its oauth.key was another. "
		    "Force this only if the server's key was changed since.",
		    st->path, t->origin);
	if (*out)
		return 0;
	if (t->is_file || !same)
		return fitting_part(t, out, err);
	if (is_alone(t)) {
		*out = &st->current.nodes[0];
		return 0;
	}
	return matching_part(t, others, out, err);
}

int
target_attach(struct target *t, const bool others[SNAPSHOT_NODES_MAX], struct err *err)
{
	struct store *st = t->store;
	struct part *node;

	if (!st->found)
		return 0;
	if (find_node(t, others, &node, err) == -1)
		return -1;
	t->has_node = node != NULL;
	t->node = node ? (size_t)(node - st->current.nodes) : 0;
	t->found = snapshot_join(&st->loaded, node, !t->is_file, &t->pool);
	request_merge(&t->request, st->loaded.request);
	if (pool_check(&t->pool, err) == -1)
		return -1;
	if (!t->is_file)
		t->session.api.relay_id = t->request.relay_id;
	return t->is_file ? 0 : add_extra_keys(t, &t->found, err);
}

const struct part *
target_found_part(const struct target *t)
{
	if (!t->store->found || (t->found.state == PART_PLANNED && t->purpose != TO_CLEAR))
		return NULL;
	return &t->found;
}

/* ---- saved step by step ---- */

static struct part *
own_node(struct target *t)
{
	struct snapshot *s = &t->store->current;
	struct part node = { 0 };

	if (t->has_node)
		return &s->nodes[t->node];
	t->has_node = true;
	t->node = s->node_count;
	return snapshot_add_node(s, &t->store->pool, &node);
}

/* For a file: record how its old values were spelled. */
static void
add_texts(struct part *p, struct target *t)
{
	const struct toml_entry *e;
	size_t i;

	for (i = 0; t->is_file && i < p->count; i++) {
		e = p->keys[i].text ? NULL : toml_find(&t->toml, p->keys[i].key);
		if (!e || !e->len || !settings_same(e->value, p->keys[i].before))
			continue;
		p->keys[i].text = pool_copy(&t->pool, t->config.text.data + e->at, e->len);
	}
}

static void
add_listeners(struct part *node, struct target *t)
{
	size_t i;

	node->listeners = NULL;
	node->listener_count = 0;
	for (i = 0; i < t->plan.listener_count; i++) {
		const struct plan_listener *l = &t->plan.listeners[i];
		struct part_listener own = {
			.id = l->listener->id,
			.protocol = l->listener->protocol_text,
			.binds = l->listener->binds,
			.why = l->why,
			.tls_implicit = l->listener->tls_implicit,
			.chosen = l->chosen,
		};

		part_add_listener(node, &t->store->pool, &own);
	}
}

/* Who it is, as this run knows it. */
static void
describe(struct part *node, struct target *t)
{
	const char *id = settings_get(&t->facts.settings, "cluster.node-id");

	if (t->is_file)
		node->file = t->config.path[0] ? t->config.path : "-";
	else
		node->origin = t->origin;
	node->id = id ? id : node->id;
}

int
target_record_plan(struct target *t, int64_t now, struct err *err)
{
	struct store *st = t->store;
	struct snapshot *s = &st->current;
	const struct part *old = target_found_part(t);
	struct part joined = { 0 }, *node;
	char when[WHEN_MAX];

	if (!*st->folder)
		return 0;
	when_format(when, now);
	if (!s->created)
		s->created = pool_str(&st->pool, when);
	s->dialect = t->plan.dialect->name;
	if (!t->is_file)
		memcpy(s->identity, t->facts.identity, sizeof(s->identity));
	t->asked = request_keep(&t->pool, &t->request, st->found ? st->loaded.request : NULL);
	if (!t->asked)
		return err_memory(err);
	if (!s->request)
		s->request = t->asked;
	if (old && old->state == PART_SENDING)
		joined.state = PART_SENDING; /* it stays so until proved */
	plan_fill_part(&t->plan, t->request.groups, old, &joined, &t->pool);
	add_texts(&joined, t);
	node = own_node(t);
	describe(node, t);
	add_listeners(node, t);
	snapshot_split(s, node, t->has_database, &joined, &st->pool);
	t->recorded = true;
	return pool_check(&t->pool, err);
}

bool
target_record_request(struct target *t)
{
	struct store *st = t->store;
	const struct request *asked;

	if (!st->found)
		return false;
	asked = request_keep(&t->pool, &t->request, st->loaded.request);
	if (!asked || request_same(asked, st->current.request))
		return false;
	st->current.request = asked;
	return true;
}

/* Do the store's parts know anything of this target? Without a folder nothing is kept. */
static bool
is_kept(const struct target *t)
{
	return *t->store->folder && (t->recorded || t->store->found);
}

int
target_save_sending(struct target *t, struct err *err)
{
	struct snapshot *s = &t->store->current;

	if (!is_kept(t))
		return 0;
	if (t->has_node)
		s->nodes[t->node].state = PART_SENDING;
	if (t->has_database && s->database.count)
		s->database.state = PART_SENDING;
	if (t->asked)
		s->request = t->asked;
	if (store_save(t->store, err) == 0)
		return 0;
	/* A roll-back goes on: what it restores is read back, whatever the snapshot says. */
	if (t->purpose != TO_CLEAR || !store_is_unwritable(err))
		return -1;
	t->store->unwritable = *err;
	return 0;
}

int
target_save_proved(struct target *t, struct err *err)
{
	struct snapshot *s = &t->store->current;
	struct part joined, *node;

	if (!is_kept(t))
		return 0;
	node = own_node(t);
	joined = snapshot_join(s, node, t->has_database, &t->store->pool);
	if (t->asked)
		s->request = t->asked;
	plan_mark_proved(&t->plan, t->request.groups, target_found_part(t), &joined);
	snapshot_split(s, node, t->has_database, &joined, &t->store->pool);
	return store_save(t->store, err);
}

int
target_save_taken(struct target *t, unsigned groups, struct err *err)
{
	struct snapshot *s = &t->store->current;
	const struct part *old = target_found_part(t), *from[2];
	struct request asked = t->request;
	struct part joined, left, *node;
	size_t i, j;

	if (!is_kept(t))
		return 0;
	node = own_node(t);
	joined = left = snapshot_join(s, node, t->has_database, &t->store->pool);
	part_empty(&left);
	from[0] = &joined;
	from[1] = old;
	for (i = 0; i < COUNT(from); i++) {
		for (j = 0; from[i] && j < from[i]->count; j++) {
			const struct part_key *k = &from[i]->keys[j];

			if (!(groups & 1u << k->group) == (i == 0))
				part_add(&left, &t->store->pool, k);
		}
	}
	snapshot_split(s, node, t->has_database, &left, &t->store->pool);
	asked.groups &= ~groups;
	t->asked = request_keep(
	    &t->pool, &asked, t->store->found ? t->store->loaded.request : NULL);
	if (pool_check(&t->pool, err) == -1)
		return -1;
	if (snapshot_count(s) || t->store->found)
		return target_save_proved(t, err);
	return store_restore(t->store, err);
}

void
target_mark_unproved(struct target *t)
{
	t->progress = PROGRESS_UNPROVED;
	t->plan.unread = true;
}

void
target_forget_plan(struct target *t)
{
	struct store *st = t->store;
	const struct part none = { 0 };

	if (!t->recorded)
		return;
	st->current.nodes[t->node] = t->node < st->loaded.node_count ? st->loaded.nodes[t->node]
								     : none;
	if (t->has_database)
		st->current.database = st->loaded.database;
}

bool
target_holds_any(const struct target *t)
{
	if (t->found.state == PART_SENDING)
		return true;
	return part_stands(&t->found, &t->facts.settings);
}

/* Was the key restored by this run? One that the plan left alone was not. */
static bool
is_restored(const struct target *t, const char *key)
{
	size_t i;

	for (i = 0; i < t->plan.key_count; i++) {
		if (!strcmp(t->plan.keys[i].key, key))
			return !plan_key_is_left(&t->plan.keys[i]);
	}
	return false;
}

/* Over the API, what the database held behind a key of the file is restored with it. */
static void
forget_behind(struct target *t)
{
	struct part *database = &t->store->current.database;
	const struct part old = *database;
	size_t i;

	if (t->is_file)
		return;
	part_empty(database);
	for (i = 0; i < old.count; i++) {
		const struct part_key *hiding = part_find(&t->found, old.keys[i].key);

		if (!hiding || !hiding->local || !is_restored(t, old.keys[i].key))
			part_add(database, &t->store->pool, &old.keys[i]);
	}
}

/*
 * Is there a key of this one's list? As long as it is not restored, the scalar at the list's own
 * key is known too: it would be taken for a network of ours that became one.
 */
static bool
has_below(const struct sorted *keys, const char *list)
{
	size_t len = strlen(list), i;

	for (i = sorted_from(keys, list);
	    i < keys->count && !strncmp(keys->items[i].key, list, len); i++) {
		if (keys->items[i].key[len] == '.')
			return true;
	}
	return false;
}

int
target_forget_cleared(struct target *t, struct err *err)
{
	struct store *st = t->store;
	struct part joined, left = { 0 };
	struct sorted restored = { 0 }, kept = { 0 };
	size_t i;

	if (!st->found)
		return 0;
	for (i = 0; i < t->plan.key_count; i++) {
		if (!plan_key_is_left(&t->plan.keys[i]))
			sorted_add(&restored, &t->pool, t->plan.keys[i].key, i);
	}
	joined = snapshot_join(&st->current, t->has_node ? &st->current.nodes[t->node] : NULL,
	    t->has_database, &st->pool);
	left.state = t->found.state;
	for (i = 0; i < joined.count; i++) {
		if (!sorted_find(&restored, joined.keys[i].key))
			sorted_add(&kept, &t->pool, joined.keys[i].key, i);
	}
	/* a key that got lost would count as one that was not restored */
	if (t->pool.failed)
		return err_memory(err);
	for (i = 0; i < joined.count; i++) {
		if (sorted_find(&kept, joined.keys[i].key) || has_below(&kept, joined.keys[i].key))
			part_add(&left, &st->pool, &joined.keys[i]);
	}
	if (!part_is_uncertain(&left, 0))
		left.state = PART_PROVED;
	forget_behind(t);
	if (t->has_node)
		snapshot_split(
		    &st->current, &st->current.nodes[t->node], t->has_database, &left, &st->pool);
	else if (t->has_database)
		st->current.database = left;
	return pool_check(&st->pool, err);
}
