#include "settings/snapshot.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "format/json.h"
#include "format/jsonout.h"
#include "settings/request.h"
#include "settings/settings.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char FORMAT[] = "stalprep-snapshot";
/* the checksum covers all text before this */
static const char CHECK[] = ",\n  \"checksum\": \"";

static const char *const state_names[SNAPSHOT_STATE_COUNT] = {
	[SNAPSHOT_PLANNED] = "planned",
	[SNAPSHOT_SENDING] = "sending",
	[SNAPSHOT_PROVED] = "proved",
};

const char *
snapshot_state_name(enum snapshot_state state)
{
	return state_names[state];
}

void
snapshot_add(struct snapshot *s, struct pool *pool, const struct snapshot_key *key)
{
	struct snapshot_key *added = pool_add(pool, s->keys, s->count);

	*added = *key;
}

const struct snapshot_key *
snapshot_find(const struct snapshot *s, const char *key)
{
	size_t i;

	for (i = 0; i < s->count; i++) {
		if (!strcmp(s->keys[i].key, key))
			return &s->keys[i];
	}
	return NULL;
}

bool
snapshot_accounts_for(const struct snapshot_key *k, const char *value)
{
	return settings_same(value, k->before) || settings_same(value, k->written) ||
	    settings_same(value, k->maybe_present);
}

void
snapshot_mark_written(struct snapshot *s, unsigned groups)
{
	size_t i, n = 0;

	for (i = 0; i < s->count; i++) {
		struct snapshot_key k = s->keys[i];

		if (groups & 1u << k.group) {
			k.maybe_present = k.before;
			if (settings_same(k.before, k.written))
				continue;
		}
		s->keys[n++] = k;
	}
	s->count = n;
}

bool
snapshot_is_uncertain(const struct snapshot *s, unsigned groups)
{
	size_t i;

	for (i = 0; i < s->count; i++) {
		const struct snapshot_key *k = &s->keys[i];

		if (!(groups & 1u << k->group) && !settings_same(k->maybe_present, k->before) &&
		    !settings_same(k->maybe_present, k->written))
			return s->state == SNAPSHOT_SENDING;
	}
	return false;
}

void
snapshot_forget_plan(struct snapshot *s)
{
	size_t i;

	for (i = 0; i < s->count; i++)
		s->keys[i].written = s->keys[i].maybe_present;
	snapshot_mark_written(s, ~0u);
	if (s->count)
		s->state = SNAPSHOT_PROVED;
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

static int
read_key(struct snapshot *s, struct pool *pool, const struct json *from, struct err *err)
{
	struct snapshot_key k = { 0 };
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
	if (!group_find(&k.group, group, strlen(group)))
		return damaged(err, "group");
	if (!json_is_bool(json_member(from, "local"), &k.local))
		return damaged(err, "local");
	if (s->count == SNAPSHOT_KEYS_MAX || snapshot_find(s, k.key))
		return damaged(err, "keys");
	snapshot_add(s, pool, &k);
	return 0;
}

/* Was this written value moved from the scalar at its list's own key? Such a one may be any text.
 */
static bool
was_moved(const struct snapshot *s, const struct snapshot_key *k)
{
	size_t len = strlen(k->key), i;

	while (len && k->key[len - 1] != '.')
		len--;
	for (i = 0; i < s->count; i++) {
		if (len && strlen(s->keys[i].key) == len - 1 &&
		    !memcmp(s->keys[i].key, k->key, len - 1) &&
		    settings_same(s->keys[i].before, k->written))
			return true;
	}
	return false;
}

/* A run may restore any value. What the snapshot says that it wrote may not be any. */
static int
check_keys(const struct snapshot *s, struct err *err)
{
	size_t i;

	for (i = 0; i < s->count; i++) {
		const struct snapshot_key *k = &s->keys[i];

		if (!changeset_can_write(k->group, k->key, NULL) ||
		    (!settings_same(k->written, k->before) &&
			!changeset_can_write(k->group, k->key, k->written) && !was_moved(s, k)))
			return err_set(err, ERR_SYSTEM,
			    "it says that stalprep wrote %.120s, or a value that stalprep never "
			    "writes there",
			    k->key);
	}
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

static int
read_members(struct snapshot *s, struct pool *pool, const struct json *doc, struct err *err)
{
	const struct json *keys = json_member(doc, "keys"), *j;
	const char *state;
	size_t i;

	if (read_string(&s->target, pool, doc, "target", false, err) == -1 ||
	    read_string(&s->created, pool, doc, "created", false, err) == -1 ||
	    read_string(&s->dialect, pool, doc, "dialect", false, err) == -1 ||
	    read_request(s, pool, json_member(doc, "request"), err) == -1 ||
	    read_string(&state, pool, doc, "state", false, err) == -1)
		return -1;
	for (i = 0; i < SNAPSHOT_STATE_COUNT && strcmp(state_names[i], state) != 0; i++)
		;
	if (i == SNAPSHOT_STATE_COUNT)
		return damaged(err, "state");
	s->state = (enum snapshot_state)i;
	if (!json_is_array(keys))
		return damaged(err, "keys");
	for (j = json_first(keys); j; j = json_next(j)) {
		if (read_key(s, pool, j, err) == -1)
			return -1;
	}
	return check_keys(s, err);
}

/* The checksum of zip and PNG (ISO 3309): against damage, not against intent. */
static uint32_t
crc32(const char *data, size_t len)
{
	uint32_t crc = UINT32_MAX;
	size_t i;
	int bit;

	for (i = 0; i < len; i++) {
		crc ^= (unsigned char)data[i];
		for (bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
	}
	return ~crc;
}

/* The checksum covers the bytes in front of it, so the text is checked, not what was parsed. */
static int
check_sum(const char *text, size_t len, struct err *err)
{
	size_t n = strlen(CHECK);
	const char *last;
	char *end;

	for (last = text + len - (len < n ? len : n); last > text && memcmp(last, CHECK, n); last--)
		;
	if (last == text)
		return damaged(err, "no checksum");
	if (strtoul(last + strlen(CHECK), &end, 16) != crc32(text, (size_t)(last - text)) ||
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
	int r = -1;

	memset(s, 0, sizeof(*s));
	if (json_parse(&doc, text, len, err) == -1)
		return damaged(err, "not JSON");
	format = json_string(json_member(doc, "format"));
	if (!format || strcmp(format, FORMAT) != 0 ||
	    !json_integer(json_member(doc, "version"), &version))
		damaged(err, "format");
	else if (version != SNAPSHOT_VERSION)
		err_set(err, ERR_SYSTEM,
		    "it has version %lld of the format; this stalprep reads version %d", version,
		    SNAPSHOT_VERSION);
	else if (check_sum(text, len, err) == 0)
		r = read_members(s, pool, doc, err);
	if (pool_check(pool, err) == -1) /* so it may only look damaged */
		r = -1;
	json_free(doc);
	return r;
}

static void
format_key(struct jsonout *j, const struct snapshot_key *k)
{
	jsonout_line(j);
	jsonout_open(j, NULL, '{');
	jsonout_text(j, "key", k->key);
	jsonout_text(j, "group", group_name(k->group));
	jsonout_bool(j, "local", k->local);
	jsonout_text(j, "before", k->before);
	jsonout_text(j, "written", k->written);
	if (k->text)
		jsonout_text(j, "text", k->text);
	if (!settings_same(k->maybe_present, k->before))
		jsonout_text(j, "stood", k->maybe_present);
	jsonout_close(j, '}');
}

void
snapshot_format(struct buf *out, const struct snapshot *s)
{
	struct jsonout j = { .out = out };
	size_t from = out->len, i;

	jsonout_open(&j, NULL, '{');
	jsonout_text(&j, "format", FORMAT);
	jsonout_number(&j, "version", SNAPSHOT_VERSION);
	jsonout_text(&j, "target", s->target);
	jsonout_text(&j, "created", s->created);
	jsonout_text(&j, "dialect", s->dialect);
	request_write(&j, "request", s->request);
	jsonout_text(&j, "state", state_names[s->state]);
	jsonout_open(&j, "keys", '[');
	for (i = 0; i < s->count; i++)
		format_key(&j, &s->keys[i]);
	jsonout_line(&j);
	jsonout_close(&j, ']');
	if (!out->failed)
		buf_printf(out, "%s%08x\"\n}\n", CHECK,
		    (unsigned)crc32(out->data + from, out->len - from));
}
