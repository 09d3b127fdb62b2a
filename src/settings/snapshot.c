#include "settings/snapshot.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "format/json.h"
#include "format/jsonout.h"
#include "settings/request.h"
#include "settings/settings.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char FORMAT[] = "stalprep-snapshot";
/* the checksum covers all text before this */
static const char CHECK[] = ",\n  \"checksum\": \"";

struct part *
snapshot_add_node(struct snapshot *s, struct pool *pool, const struct part *node)
{
	struct part *added = pool_add(pool, s->nodes, s->node_count);

	*added = *node;
	return added;
}

size_t
snapshot_count(const struct snapshot *s)
{
	size_t i, n = s->database.count;

	for (i = 0; i < s->node_count; i++)
		n += s->nodes[i].count;
	return n;
}

bool
snapshot_is_too_long(const struct snapshot *s)
{
	size_t i;

	for (i = 0; i < s->node_count; i++) {
		if (s->nodes[i].count > PART_KEYS_MAX)
			return true;
	}
	return s->database.count > PART_KEYS_MAX || s->node_count > SNAPSHOT_NODES_MAX;
}

unsigned
snapshot_groups(const struct snapshot *s)
{
	unsigned groups = part_groups(&s->database);
	size_t i;

	for (i = 0; i < s->node_count; i++)
		groups |= part_groups(&s->nodes[i]);
	return groups;
}

struct part
snapshot_join(const struct snapshot *s, const struct part *node, bool database, struct pool *pool)
{
	struct part joined = { 0 };
	size_t i;

	if (node) {
		joined = *node;
		part_empty(&joined);
	}
	for (i = 0; node && i < node->count; i++)
		part_add(&joined, pool, &node->keys[i]);
	joined.behind = database ? &s->database : NULL;
	for (i = 0; database && i < s->database.count; i++) {
		if (!node || !part_find(node, s->database.keys[i].key))
			part_add(&joined, pool, &s->database.keys[i]);
	}
	if (database && s->database.count &&
	    (joined.state == PART_PLANNED || s->database.state == PART_SENDING))
		joined.state = s->database.state;
	return joined;
}

void
snapshot_split(struct snapshot *s, struct part *node, bool database, const struct part *joined,
    struct pool *pool)
{
	const struct part hiding = *node, old = s->database;
	size_t i;

	part_empty(node);
	node->state = joined->state;
	if (database) {
		s->database = (struct part){ .state = joined->state };
		for (i = 0; i < old.count; i++) {
			const struct part_key *k = part_find(joined, old.keys[i].key);

			if (part_find(&hiding, old.keys[i].key) && (!k || k->local))
				part_add(&s->database, pool, &old.keys[i]);
		}
	}
	for (i = 0; i < joined->count; i++) {
		struct part_key k = joined->keys[i];
		const struct part_key *hidden = part_find(&old, k.key);

		if (k.local) {
			part_add(node, pool, &k);
		} else if (database) {
			/* It left the file: what the database held behind it comes back. */
			if (hidden && !k.before && part_find(&hiding, k.key))
				k.before = k.maybe_present = hidden->before;
			part_add(&s->database, pool, &k);
		}
	}
}

void
snapshot_forget_plan(struct snapshot *s)
{
	size_t i;

	if (s->database.state == PART_PLANNED)
		part_forget_plan(&s->database);
	for (i = 0; i < s->node_count; i++) {
		if (s->nodes[i].state == PART_PLANNED)
			part_forget_plan(&s->nodes[i]);
	}
}

static int
damaged(struct err *err, const char *why)
{
	return err_set(err, ERR_SYSTEM, "it is not a complete snapshot of stalprep (%s)", why);
}

/* Copy a member that must be a string, or null if nullable. */
static int
read_string(const char **out, struct pool *pool, const struct json *from, const char *name,
    bool nullable, struct err *err)
{
	const struct json *j = json_member(from, name);
	const char *text = json_string(j);

	*out = text ? pool_str(pool, text) : NULL;
	return j && (text || (nullable && json_is_null(j))) ? 0 : damaged(err, name);
}

/* local: it is a node's. */
static int
read_key(struct part *p, struct pool *pool, const struct json *from, bool local, struct err *err)
{
	struct part_key k = { .local = local };
	const char *group;

	if (read_string(&k.key, pool, from, "key", false, err) == -1 ||
	    read_string(&group, pool, from, "group", false, err) == -1 ||
	    read_string(&k.before, pool, from, "before", true, err) == -1 ||
	    read_string(&k.written, pool, from, "written", true, err) == -1)
		return -1;
	if (json_member(from, "text") && read_string(&k.text, pool, from, "text", false, err) == -1)
		return -1;
	k.maybe_present = k.before;
	if (json_member(from, "stood") &&
	    read_string(&k.maybe_present, pool, from, "stood", true, err) == -1)
		return -1;
	if (json_member(from, "unknown") &&
	    (!json_is_bool(json_member(from, "unknown"), &k.unknown) || k.before))
		return damaged(err, "unknown");
	if (!group_find(&k.group, group, strlen(group)))
		return damaged(err, "group");
	if (p->count == PART_KEYS_MAX || part_find(p, k.key))
		return damaged(err, "keys");
	part_add(p, pool, &k);
	return 0;
}

/* Was this written value moved from the scalar at its list's own key? Such a one may be any text.
 */
static bool
was_moved(const struct part *p, struct pool *pool, const struct part_key *k)
{
	const char *dot = strrchr(k->key, '.');
	const struct part_key *list = dot
	    ? part_find(p, pool_copy(pool, k->key, (size_t)(dot - k->key)))
	    : NULL;

	return list && settings_same(list->before, k->written);
}

/*
 * A run may restore any value. What the snapshot says that it wrote may not be any. A value that
 * somebody else's stage left (unknown) is only ever removed.
 */
static int
check_keys(const struct part *p, struct pool *pool, struct err *err)
{
	size_t i;

	for (i = 0; i < p->count; i++) {
		const struct part_key *k = &p->keys[i];

		if (!changeset_can_write(k->group, k->key, NULL) ||
		    (!settings_same(k->written, k->before) &&
			!changeset_can_write(k->group, k->key, k->written) &&
			!was_moved(p, pool, k)))
			return err_set(err, ERR_SYSTEM,
			    "it says that stalprep wrote %.120s, or a value that stalprep never "
			    "writes there",
			    k->key);
	}
	return 0;
}

static int
read_listener(struct part *p, struct pool *pool, const struct json *from, struct err *err)
{
	struct part_listener l = { 0 };

	if (read_string(&l.id, pool, from, "id", false, err) == -1 ||
	    read_string(&l.protocol, pool, from, "protocol", false, err) == -1 ||
	    read_string(&l.binds, pool, from, "binds", false, err) == -1 ||
	    read_string(&l.why, pool, from, "why", false, err) == -1)
		return -1;
	if (!json_is_bool(json_member(from, "tls_implicit"), &l.tls_implicit) ||
	    !json_is_bool(json_member(from, "chosen"), &l.chosen) ||
	    p->listener_count == PART_LISTENERS_MAX)
		return damaged(err, "listeners");
	part_add_listener(p, pool, &l);
	return 0;
}

static int
read_part(struct part *p, struct pool *pool, const struct json *from, bool local, struct err *err)
{
	const struct json *keys = json_member(from, "keys"), *j;
	const char *state;
	size_t i;

	if (read_string(&state, pool, from, "state", false, err) == -1)
		return -1;
	for (i = 0; i < PART_STATE_COUNT && strcmp(part_state_name((enum part_state)i), state); i++)
		;
	if (i == PART_STATE_COUNT)
		return damaged(err, "state");
	p->state = (enum part_state)i;
	if (!json_is_array(keys))
		return damaged(err, "keys");
	for (j = json_first(keys); j; j = json_next(j)) {
		if (read_key(p, pool, j, local, err) == -1)
			return -1;
	}
	return check_keys(p, pool, err);
}

static int
read_node(struct snapshot *s, struct pool *pool, const struct json *from, struct err *err)
{
	const struct json *listeners = json_member(from, "listeners"), *j;
	struct part node = { 0 };

	if (s->node_count == SNAPSHOT_NODES_MAX)
		return damaged(err, "nodes");
	if (read_string(&node.origin, pool, from, "url", true, err) == -1 ||
	    read_string(&node.file, pool, from, "file", true, err) == -1 ||
	    read_string(&node.id, pool, from, "id", true, err) == -1)
		return -1;
	if (!node.origin && !node.file)
		return damaged(err, "url");
	if (!json_is_array(listeners))
		return damaged(err, "listeners");
	for (j = json_first(listeners); j; j = json_next(j)) {
		if (read_listener(&node, pool, j, err) == -1)
			return -1;
	}
	if (read_part(&node, pool, from, true, err) == -1)
		return -1;
	snapshot_add_node(s, pool, &node);
	return 0;
}

static int
read_request(struct snapshot *s, struct pool *pool, const struct json *from, struct err *err)
{
	struct request *q = pool_zero(pool, sizeof(*q));
	struct err why;

	if (!q)
		return err_memory(err);
	s->request = q;
	if (request_read(q, pool, from, &why) == 0)
		return 0;
	return damaged(err, why.text);
}

/* Hexadecimal digits, or null where the server shows no key of its own. */
static int
read_identity(struct snapshot *s, const struct json *from, struct err *err)
{
	const char *text = json_string(from);

	if (json_is_null(from))
		return 0;
	if (!text || strlen(text) != IDENTITY_DIGITS ||
	    strspn(text, "0123456789abcdef") != IDENTITY_DIGITS)
		return damaged(err, "identity");
	memcpy(s->identity, text, IDENTITY_MAX);
	return 0;
}

static int
read_members(struct snapshot *s, struct pool *pool, const struct json *doc, struct err *err)
{
	const struct json *nodes = json_member(doc, "nodes"), *j;

	if (read_identity(s, json_member(doc, "identity"), err) == -1 ||
	    read_string(&s->created, pool, doc, "created", false, err) == -1 ||
	    read_string(&s->dialect, pool, doc, "dialect", false, err) == -1 ||
	    read_request(s, pool, json_member(doc, "request"), err) == -1 ||
	    read_part(&s->database, pool, json_member(doc, "database"), false, err) == -1)
		return -1;
	if (!json_is_array(nodes))
		return damaged(err, "nodes");
	for (j = json_first(nodes); j; j = json_next(j)) {
		if (read_node(s, pool, j, err) == -1)
			return -1;
	}
	return 0;
}

/* The checksum of zip and PNG (ISO 3309): against damage, not against intent. */
static uint32_t
crc32(const char *data, size_t len)
{
	uint32_t table[256], crc;
	size_t i;
	int bit;

	for (i = 0; i < 256; i++) {
		crc = (uint32_t)i;
		for (bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
		table[i] = crc;
	}
	crc = UINT32_MAX;
	for (i = 0; i < len; i++)
		crc = crc >> 8 ^ table[(crc ^ (unsigned char)data[i]) & 0xff];
	return ~crc;
}

/* The checksum covers the bytes in front of it, so the text is checked, not what was parsed. */
static int
check_sum(struct snapshot *s, const char *text, size_t len, struct err *err)
{
	size_t n = strlen(CHECK);
	const char *last;
	char *end;

	for (last = text + len - (len < n ? len : n); last > text && memcmp(last, CHECK, n); last--)
		;
	if (last == text)
		return damaged(err, "no checksum");
	s->checksum = crc32(text, (size_t)(last - text));
	if (strtoul(last + strlen(CHECK), &end, 16) != s->checksum ||
	    end != last + strlen(CHECK) + 8)
		return damaged(err, "its checksum is wrong");
	return 0;
}

int
snapshot_parse(struct snapshot *s, struct pool *pool, const char *text, size_t len, struct err *err)
{
	struct json *doc = NULL;
	const char *format;
	long long version;
	struct err why;
	int r = -1;

	memset(s, 0, sizeof(*s));
	if (json_parse(&doc, text, len, &why) == -1)
		return why.code == ENOMEM ? err_memory(err) : damaged(err, "not JSON");
	format = json_string(json_member(doc, "format"));
	if (!format || strcmp(format, FORMAT) != 0 ||
	    !json_integer(json_member(doc, "version"), &version))
		damaged(err, "format");
	else if (version != SNAPSHOT_VERSION)
		err_set(err, ERR_SYSTEM,
		    "it has version %lld of the format; this stalprep reads version %d", version,
		    SNAPSHOT_VERSION);
	else if (check_sum(s, text, len, err) == 0)
		r = read_members(s, pool, doc, err);
	if (pool_check(pool, err) == -1) /* so it may only look damaged */
		r = -1;
	json_free(doc);
	return r;
}

static void
format_key(struct jsonout *j, const struct part_key *k)
{
	jsonout_line(j);
	jsonout_open(j, NULL, '{');
	jsonout_text(j, "key", k->key);
	jsonout_text(j, "group", group_name(k->group));
	jsonout_text(j, "before", k->before);
	jsonout_text(j, "written", k->written);
	if (k->text)
		jsonout_text(j, "text", k->text);
	if (!settings_same(k->maybe_present, k->before))
		jsonout_text(j, "stood", k->maybe_present);
	if (k->unknown)
		jsonout_bool(j, "unknown", true);
	jsonout_close(j, '}');
}

/* The members that every part has. */
static void
format_part(struct jsonout *j, const struct part *p)
{
	size_t i;

	jsonout_text(j, "state", part_state_name(p->state));
	jsonout_open(j, "keys", '[');
	for (i = 0; i < p->count; i++)
		format_key(j, &p->keys[i]);
	jsonout_line(j);
	jsonout_close(j, ']');
}

static void
format_node(struct jsonout *j, const struct part *node)
{
	size_t i;

	jsonout_line(j);
	jsonout_open(j, NULL, '{');
	jsonout_text(j, "url", node->origin);
	jsonout_text(j, "file", node->file);
	jsonout_text(j, "id", node->id);
	jsonout_open(j, "listeners", '[');
	for (i = 0; i < node->listener_count; i++) {
		const struct part_listener *l = &node->listeners[i];

		jsonout_line(j);
		jsonout_open(j, NULL, '{');
		jsonout_text(j, "id", l->id);
		jsonout_text(j, "protocol", l->protocol);
		jsonout_bool(j, "tls_implicit", l->tls_implicit);
		jsonout_text(j, "binds", l->binds);
		jsonout_bool(j, "chosen", l->chosen);
		jsonout_text(j, "why", l->why);
		jsonout_close(j, '}');
	}
	jsonout_close(j, ']');
	format_part(j, node);
	jsonout_close(j, '}');
}

void
snapshot_format(struct buf *out, struct snapshot *s)
{
	struct jsonout j = { .out = out };
	size_t from = out->len, i;

	jsonout_open(&j, NULL, '{');
	jsonout_text(&j, "format", FORMAT);
	jsonout_number(&j, "version", SNAPSHOT_VERSION);
	jsonout_text(&j, "identity", s->identity[0] ? s->identity : NULL);
	jsonout_text(&j, "created", s->created);
	jsonout_text(&j, "dialect", s->dialect);
	request_write(&j, "request", s->request);
	jsonout_open(&j, "database", '{');
	format_part(&j, &s->database);
	jsonout_close(&j, '}');
	jsonout_open(&j, "nodes", '[');
	for (i = 0; i < s->node_count; i++) {
		if (s->nodes[i].origin || s->nodes[i].file) /* else nothing was planned there */
			format_node(&j, &s->nodes[i]);
	}
	jsonout_line(&j);
	jsonout_close(&j, ']');
	if (out->failed)
		return;
	s->checksum = crc32(out->data + from, out->len - from);
	buf_printf(out, "%s%08x\"\n}\n", CHECK, (unsigned)s->checksum);
}
