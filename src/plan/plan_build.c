#include "plan/plan_build.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "settings/localkeys.h"
#include "settings/part.h"

#include <stdarg.h>
#include <stdio.h>

struct plan_key *
build_find_key(struct build *b, const char *key)
{
	const struct sorted_item *found = sorted_find(&b->keys, key);

	return found ? &b->p->keys[found->number] : NULL;
}

const struct part_key *
build_old_key(const struct build *b, const char *key)
{
	const struct sorted_item *found = sorted_find(&b->old, key);

	return found ? &b->in->part->keys[found->number] : NULL;
}

struct plan_key *
build_add_key(struct build *b, enum group group, const char *key, const char *wanted)
{
	static struct plan_key beyond;
	struct plan_key *k;

	/* build_set_states will refuse so many: no more work is done for them. */
	if (b->p->key_count > PART_KEYS_MAX)
		return memset(&beyond, 0, sizeof(beyond));
	k = build_find_key(b, key);
	if (!k) {
		sorted_add(&b->keys, b->pool, key, b->p->key_count);
		k = pool_add(b->pool, b->p->keys, b->p->key_count);
	}
	k->key = key;
	k->group = group;
	k->applies = group_applies(group);
	k->wanted = wanted;
	k->now = settings_get(b->in->now, key);
	k->original = settings_get(&b->base, key);
	return k;
}

void
build_refuse(struct build *b, enum refusal refusal, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	message_refuse(&b->p->messages, b->pool, refusal, b->q->forced[refusal], text);
}

void
build_ask(struct build *b, const char *option, const char *value, bool open)
{
	struct answer *a = pool_add(b->pool, b->answers, b->answer_count);

	a->option = option;
	a->value = value;
	a->open = open;
}

void
build_tell_answers(struct build *b)
{
	struct buf line = { 0 };
	bool also = false, relay_open = false;
	size_t i;

	for (i = 0; i < b->answer_count; i++) {
		const struct answer *a = &b->answers[i];

		buf_printf(&line, " --%s ", a->option);
		if (a->open)
			buf_str(&line, a->value);
		else
			buf_shell(&line, a->value);
		also |= !strcmp(a->option, "also");
		relay_open |= a->open && !strcmp(a->option, "relay-listener");
	}
	if (i)
		message_add(&b->p->messages, b->pool, MESSAGE_ERROR,
		    "To answer, add these options.%s%s%s\n %s",
		    relay_open ? " ID is the listener that the new server relays to" : "",
		    relay_open && also ? "; leave out its --also."
			: relay_open   ? "."
				       : "",
		    also ? " Write --leave in place of --also for what mail clients do not use."
			 : "",
		    buf_text(&line) ? buf_text(&line) : "");
	b->pool->failed |= line.failed;
	buf_free(&line);
}

int
build_begin(struct build *b, struct plan *p, struct pool *pool, const struct plan_input *in,
    struct err *err)
{
	memset(p, 0, sizeof(*p));
	b->p = p;
	b->pool = pool;
	b->in = in;
	b->q = in->request;
	b->err = err;
	if (listener_check_count(in->now, err) == -1)
		return -1;
	build_dialect(b);
	return build_base(b);
}

/* Is the snapshot's key in a group of this run? */
static bool
in_groups(const struct build *b, const struct part_key *k)
{
	return b->q->groups & 1u << k->group;
}

/*
 * Is this setting a network of ours that became a scalar? When somebody saves the listener, the
 * administration page turns a list of one into a scalar at the list's own key (server-facts).
 */
static bool
is_our_scalar(const struct build *b, const struct setting *scalar)
{
	size_t len = strlen(scalar->key), i;

	for (i = sorted_from(&b->old, scalar->key);
	    i < b->old.count && !strncmp(b->old.items[i].key, scalar->key, len); i++) {
		const struct part_key *k = &b->in->part->keys[b->old.items[i].number];

		if (k->group == GROUP_LISTENERS && in_groups(b, k) && k->key[len] == '.' &&
		    k->key[len + 1] <= '9' && !k->before && part_accounts_for(k, scalar->value) &&
		    !settings_same(settings_get(b->in->now, k->key), scalar->value))
			return !build_old_key(b, scalar->key);
	}
	return false;
}

/*
 * Add the original of a snapshot's key to b->base. If somebody changed the key after the stage, the
 * new value is the original.
 */
static void
add_original(struct build *b, const struct part_key *k)
{
	const char *value = settings_get(b->in->now, k->key);

	if (part_accounts_for(k, value))
		value = k->before;
	else if (!b->p->clearing)
		message_add(&b->p->messages, b->pool, MESSAGE_WARNING,
		    "%s was changed to %s after it was staged. From the next stage on, clear "
		    "restores that value.",
		    k->key, value ? value : "(absent)");
	if (value)
		b->base.items[b->base.count++] = (struct setting){ .key = k->key, .value = value };
}

int
build_base(struct build *b)
{
	const struct settings *now = b->in->now;
	const struct part *s = b->in->part;
	const struct part_key *k;
	size_t i;

	if (!s) {
		b->base = *now;
		return 0;
	}
	for (i = 0; i < s->count; i++) {
		sorted_add(&b->old, b->pool, s->keys[i].key, i);
		b->unknown |= s->keys[i].unknown;
	}
	/* at once, since growing by steps takes up to four times the memory */
	b->base.items = pool_zero(b->pool, (now->count + s->count + 1) * sizeof(*b->base.items));
	for (i = 0; b->base.items && i < now->count; i++) {
		k = build_old_key(b, now->items[i].key);
		if (k ? !in_groups(b, k) : !is_our_scalar(b, &now->items[i]))
			b->base.items[b->base.count++] = now->items[i];
	}
	for (i = 0; b->base.items && i < s->count; i++) {
		if (in_groups(b, &s->keys[i]))
			add_original(b, &s->keys[i]);
	}
	if (settings_sort(&b->base, b->err) == -1)
		return -1;
	for (i = 0; i < now->count; i++) {
		if (is_our_scalar(b, &now->items[i]))
			build_add_key(b, GROUP_LISTENERS, now->items[i].key, NULL);
	}
	return 0;
}

/* "0.13" or "0.12 to 0.15". */
static const char *
range_words(struct build *b, int first, int last)
{
	return first == last ? pool_printf(b->pool, "0.%d", first)
			     : pool_printf(b->pool, "0.%d to 0.%d", first, last);
}

/* A group is written otherwise in some of the versions. */
static void
refuse_dialect(struct build *b, const char *what)
{
	build_refuse(b, REFUSAL_DIALECT_UNKNOWN,
	    "stalprep can't tell which version the server has: one of %s. %s",
	    range_words(b, b->in->minor_first, b->in->minor_last), what);
}

void
build_dialect(struct build *b)
{
	const struct dialect *low = changeset_dialect(b->in->minor_first),
			     *high = changeset_dialect(b->in->minor_last);
	int named = b->q->minor, before = b->in->stored ? b->in->stored->minor : -1;

	b->p->dialect = high;
	if (named != -1) {
		b->p->dialect = changeset_dialect(named);
		if (named < b->in->minor_first || named > b->in->minor_last)
			build_refuse(b, REFUSAL_DIALECT,
			    "--dialect says 0.%d, but the server looks like %s. Fix --dialect or "
			    "leave it out.",
			    named, range_words(b, b->in->minor_first, b->in->minor_last));
		return;
	}
	if (low == high)
		return;
	if (before >= b->in->minor_first && before <= b->in->minor_last) {
		b->p->dialect = changeset_dialect(before);
		return;
	}
	if (b->q->groups & 1u << GROUP_OUTBOUND && b->q->relay_host &&
	    strcmp(low->rule, high->rule) != 0)
		refuse_dialect(b,
		    "The keys of group outbound differ between them, and the server ignores wrong "
		    "ones. Look up the version in the administration page and name it (--dialect "
		    "0.12 for 0.12.5), or leave the group out: --skip outbound.");
	if (b->q->groups & 1u << GROUP_URL && strcmp(low->url_key, high->url_key) != 0)
		refuse_dialect(b,
		    "The key of the advertised URL differs between them. Name the version with "
		    "--dialect, or leave the group out: --skip url.");
	if (message_refusals(&b->p->messages))
		build_ask(b, "dialect", "VERSION", true);
}

int
build_set_states(struct build *b)
{
	const struct part_key *known;
	struct plan_key *k;
	size_t i;

	for (i = 0; i < b->p->key_count; i++) {
		k = &b->p->keys[i];
		known = build_old_key(b, k->key);
		k->local = b->in->file || localkeys_match(b->in->now, b->p->dialect->last, k->key);
		if (b->in->file)
			k->applies = APPLIES_RESTART;
		k->in_file = known && known->local && !k->local;
		k->unknown |= known && known->unknown && !k->original;
		k->recorded = !settings_same(k->original, k->wanted) || k->unknown;
		k->after = k->now;
		k->state = plan_key_state(k, k->now);
		k->write = !settings_same(k->now, k->wanted) &&
		    (k->local || !b->in->shared_elsewhere);
		b->p->write_count += k->write;
	}
	if (b->p->key_count > PART_KEYS_MAX)
		return err_set(b->err, ERR_REFUSED,
		    "More than %d keys would change: choose fewer listeners with --listener",
		    PART_KEYS_MAX);
	return pool_check(b->pool, b->err);
}

/* Does this run make the server write its file? */
bool
build_writes_file(const struct build *b)
{
	const struct part *s = b->in->part;
	size_t i;

	for (i = 0; i < b->p->key_count; i++) {
		const struct plan_key *k = &b->p->keys[i];

		if ((k->local || k->in_file) && k->write)
			return true;
	}
	return b->p->clearing && s && s->state == PART_SENDING;
}
