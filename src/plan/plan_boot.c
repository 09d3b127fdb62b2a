#include "plan/plan_boot.h"

#include "base/pool.h"
#include "plan/plan_uses.h"
#include "settings/localkeys.h"
#include "settings/message.h"
#include "settings/part.h"

#include <string.h>

static void
add_differing(struct build *b, const char *key)
{
	const char **added = pool_add(b->pool, b->p->differing, b->p->differing_count);

	*added = pool_str(b->pool, key);
}

static int
order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/*
 * Compare the file with the server's memory. A key that is not local and not in the file says
 * nothing: it may be the database's.
 */
static void
compare(struct build *b)
{
	const struct settings *every = b->in->every;
	const struct plan_seen *s = b->in->seen;
	size_t i;

	for (i = 0; i < every->count; i++) {
		const char *key = every->items[i].key;

		if (s->has[i] == SEEN_OTHER ||
		    (s->has[i] == SEEN_NOT && localkeys_match(every, b->in->minor_last, key)))
			add_differing(b, key);
	}
	for (i = 0; i < s->only_count; i++)
		add_differing(b, s->only[i]);
	pool_sort(b->pool, b->p->differing, b->p->differing_count, sizeof(*b->p->differing), order);
	b->p->differing_more = s->more;
}

static bool
begins_with(const char *key, const char *prefix)
{
	return !strncmp(key, prefix, strlen(prefix));
}

/* Is it a key of the groups of this run, or one that decides which keys these are? */
static bool
concerns(struct build *b, const char *key)
{
	if (build_find_key(b, key))
		return true;
	if (b->p->clearing)
		return false;
	return (b->q->groups & 1u << GROUP_LISTENERS &&
		   (begins_with(key, "server.listener.") || begins_with(key, "server.proxy.") ||
		       begins_with(key, "config.local-keys"))) ||
	    (b->q->groups & 1u << GROUP_OUTBOUND && b->q->relay_host &&
		begins_with(key, b->p->dialect->rule));
}

/* How the file differs from the server's memory. */
static const char *
words_of_change(struct build *b, const struct names *names)
{
	return pool_printf(b->pool,
	    "%s was changed under the running server: it has %zu key%s otherwise than the server's "
	    "memory (%s%s).",
	    b->in->boot_name, names->count, plural(names->count), names->text, names_more(names));
}

static void
check_changed(struct build *b)
{
	bool writes = build_writes_file(b), refuse = writes, ours = false;
	bool cut_off = b->in->part && b->in->part->state == PART_SENDING;
	struct names names = { 0 };
	size_t i;

	for (i = 0; i < b->p->differing_count; i++) {
		/* a write that was cut off may have left these */
		if (cut_off && part_find(b->in->part, b->p->differing[i]))
			continue;
		names_add(&names, b->p->differing[i]);
		refuse |= concerns(b, b->p->differing[i]);
		ours |= build_find_key(b, b->p->differing[i]) != NULL;
	}
	names.count += b->p->differing_more;
	if (!names.count || !refuse)
		return;
	b->p->touch = ours && !writes;
	build_refuse(b, REFUSAL_FILE_CHANGED,
	    "%s The server's own write of the file would undo that. Take the change back, or stop "
	    "the server and use --config. Or restart the server first, so that it reads the file; "
	    "but that also applies what is staged already.",
	    words_of_change(b, &names));
}

/*
 * A routing rule of the file that the plan does not know, because the memory lacks it, counts too:
 * with the database's it would make one broken rule.
 */
static void
check_rule(struct build *b, struct names *names, unsigned *groups)
{
	const char *rule = b->p->dialect->rule;
	const struct settings *boot = b->in->boot;
	const char *rest;
	size_t i;

	if (!(b->q->groups & 1u << GROUP_OUTBOUND) || !b->q->relay_host)
		return;
	for (i = settings_first(boot, rule); (rest = settings_below(boot, i, rule)); i++) {
		if ((*rest && *rest != '.') || build_find_key(b, boot->items[i].key))
			continue;
		names_add(names, boot->items[i].key);
		*groups |= 1u << GROUP_OUTBOUND;
	}
}

static void
check_shadowed(struct build *b)
{
	struct names names = { 0 };
	unsigned groups = 0;
	size_t i;

	for (i = 0; i < b->p->key_count; i++) {
		const struct plan_key *k = &b->p->keys[i];
		const char *value = settings_get(b->in->boot, k->key);

		if (k->local || !value || settings_same(value, k->wanted))
			continue;
		names_add(&names, k->key);
		groups |= 1u << k->group;
	}
	check_rule(b, &names, &groups);
	if (names.count)
		build_refuse(b, REFUSAL_SHADOWED,
		    "%s has %s%s. The server keeps such keys in its database, which this file "
		    "outranks: what is written there would have no effect%s. %s",
		    b->in->boot_name, names.text, names_more(&names),
		    groups & 1u << GROUP_OUTBOUND ? ", and two halves of a rule block every reload"
						  : "",
		    group_way_out(b->pool, groups));
}

void
build_check_boot(struct build *b)
{
	const struct part *s = b->in->part;
	bool works;

	if (!b->in->boot)
		return;
	if (b->in->boot_broken) {
		works = !b->p->clearing || b->p->write_count || b->in->part;
		b->p->touch = works && !build_writes_file(b);
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "%s is damaged: the server could not start with it (a full disk does that, or "
		    "a "
		    "wrong line).%s",
		    b->in->boot_name,
		    works ? " This run makes the server write it anew from its memory." : "");
		return;
	}
	if (!b->p->clearing)
		check_shadowed(b);
	compare(b);
	check_changed(b);
	if (s && s->state == PART_SENDING)
		b->p->touch = b->p->differing_count && !build_writes_file(b);
}

/*
 * Does the key stand as wanted, and may it be in the server's memory alone, from a file that has it
 * no more? A value that a stage wrote to the database was read back, so it is there.
 */
static bool
is_unseen(const struct build *b, const struct plan_key *k)
{
	const struct part *s = b->in->part;
	const struct part_key *known = s ? part_find(s, k->key) : NULL;

	return !k->local && k->wanted && settings_same(k->now, k->wanted) &&
	    !settings_get(b->in->boot, k->key) &&
	    !(known && settings_same(known->written, k->wanted) &&
		(s->state == PART_PROVED || !settings_same(known->before, k->wanted)));
}

void
build_write_unseen(struct build *b)
{
	struct plan *p = b->p;
	size_t i;

	if (!b->in->boot || b->in->boot_broken || b->in->shared_elsewhere ||
	    (!b->in->part && !p->write_count))
		return;
	for (i = 0; i < p->key_count; i++) {
		struct plan_key *k = &p->keys[i];

		if (!is_unseen(b, k) || k->write)
			continue;
		k->write = true;
		p->write_count++;
	}
}

static void
tell_unseen(struct build *b)
{
	struct names names = { 0 };
	size_t i;

	for (i = 0; i < b->p->key_count; i++) {
		if (is_unseen(b, &b->p->keys[i]))
			names_add(&names, b->p->keys[i].key);
	}
	if (!names.count)
		return;
	b->p->unready = true;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "%s%s: the value is right, but it is not in %s, and it can't be seen whether the "
	    "database has it, or only the server's memory, from an earlier config.toml. %s",
	    names.text, names_more(&names), b->in->boot_name,
	    b->in->stored ? "Run the stage again with --boot-config: it writes such keys to the "
			    "database."
			  : "Name the snapshot of its stage, which knows: --snapshot.");
}

static void
tell_differing(struct build *b)
{
	struct names names = { 0 };
	bool patterns = false;
	size_t i;

	for (i = 0; i < b->p->differing_count; i++) {
		names_add(&names, b->p->differing[i]);
		patterns |= begins_with(b->p->differing[i], "config.local-keys");
	}
	names.count += b->p->differing_more;
	if (!names.count)
		return;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "%s A restart reads the file. But if somebody changes a key of it over the API before, "
	    "the server writes it anew from its memory.",
	    words_of_change(b, &names));
	if (!patterns)
		return;
	b->p->unready = true;
	message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
	    "config.local-keys in %s is not what the server runs with, so it can't be seen which "
	    "keys its database has after a restart.",
	    b->in->boot_name);
}

void
build_judge_boot(struct build *b)
{
	if (!b->in->boot)
		return;
	if (b->in->boot_broken) {
		b->p->unready = true;
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "%s is damaged: it has no listener, or can't be read (a full disk does that, "
		    "or "
		    "a wrong line), and a restart would stop the mail. DO NOT RESTART the server. "
		    "Fix it, or put your copy back. If it has no listener, a stage with "
		    "--boot-config makes the server write it anew.",
		    b->in->boot_name);
		return;
	}
	compare(b);
	tell_differing(b);
	tell_unseen(b);
}
