#include "target/boot.h"

#include "settings/localkeys.h"
#include "settings/settings.h"
#include "sys/configfile.h"
#include "sys/listening.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An absolute name, so that what the report prints works in any folder. */
static void
name_file(struct boot *b, const char *path)
{
	char here[PATH_MAX];

	if (*path == '/' || !getcwd(here, sizeof(here)) ||
	    snprintf(b->name, sizeof(b->name), "%s/%s", here, path) >= (int)sizeof(b->name))
		snprintf(b->name, sizeof(b->name), "%s", path);
}

int
boot_read(struct target *t, const char *path, struct err *err)
{
	struct configfile file = { .read_only = true };
	struct listening l;
	int r;

	if (!path) {
		t->boot.found = listening_read(&l, &t->boot.text, &t->session.addresses);
		if (t->boot.found)
			snprintf(t->boot.name, sizeof(t->boot.name), "%s", l.path);
		t->boot.surely = l.named_so;
		return 0;
	}
	name_file(&t->boot, path);
	r = configfile_find(&file, t->boot.name, err) == -1 ? -1 : configfile_read(&file, err);
	t->boot.text = file.text;
	file.text = (struct buf){ 0 };
	configfile_free(&file);
	return r;
}

static enum toml_use
use(const void *ctx, const char *key)
{
	const struct plan_uses no_bans = { .new_server = "" };
	const struct target *t = ctx;

	return plan_uses(&no_bans, key) == TOML_KEEP || api_covers(&t->session.api, key)
	    ? TOML_KEEP
	    : TOML_DROP;
}

static void
see(void *ctx, const char *key, const char *value, size_t len, bool kept)
{
	struct target *t = ctx;

	plan_see(&t->boot.seen, key, value, len, kept);
}

/*
 * Parse the text. 0; 1 if the server would not start with it, or it was found and is too large, for
 * the reason in why; -1.
 */
static int
parse(struct target *t, struct err *why, struct err *err)
{
	int minor = t->request.minor != -1 ? t->request.minor : t->facts.minor_last;
	const struct toml_filter filter = { .use = use, .see = see, .ctx = t };
	struct plan_seen *s = &t->boot.seen;
	struct pool *pool = &t->every.pool;
	struct toml toml = { 0 };
	const char *text = buf_text(&t->boot.text);

	s->every = &t->every.settings;
	s->pool = pool;
	s->has = pool_zero(pool, s->every->count + 1);
	if (!text || !s->has)
		return err_memory(err);
	if (toml_read_some(&toml, pool, &filter, "", text, t->boot.text.len, minor <= 12, why) == 0)
		return settings_from_toml(&t->boot.settings, pool, &toml, err);
	if (why->kind == ERR_REFUSED && (why->refusal == REFUSAL_NONE || t->boot.found))
		return 1;
	*err = *why;
	return -1;
}

/* What the API would show after a restart. */
static int
merge(struct target *t, struct err *err)
{
	const struct settings *now = &t->facts.settings, *boot = &t->boot.settings;
	struct settings seen = { 0 };
	size_t i;

	for (i = 0; i < now->count; i++) {
		const struct setting *s = &now->items[i];

		if (!localkeys_match(boot, t->facts.minor_last, s->key) &&
		    !settings_get(boot, s->key))
			settings_add(&seen, &t->pool, s->key, s->value);
	}
	for (i = 0; i < boot->count; i++) {
		const struct setting *s = &boot->items[i];

		if (api_covers(&t->session.api, s->key) && strcmp(s->key, "oauth.key") != 0)
			settings_add(&seen, &t->pool, pool_str(&t->pool, s->key),
			    pool_str(&t->pool, s->value));
	}
	if (pool_check(&t->pool, err) == -1 || settings_sort(&seen, err) == -1)
		return -1;
	t->facts.settings = seen;
	return 0;
}

int
boot_use(struct target *t, struct err *err)
{
	bool sending = t->found.state == PART_SENDING, listens;
	const char *guess;
	struct err why;
	int r;

	if (!t->boot.name[0])
		return 0;
	err_clear(&why);
	t->every.pool.stop = t->pool.stop;
	r = parse(t, &why, err);
	if (r == -1)
		return -1;
	guess = r == 1 && !t->boot.found ? configfile_guess(&t->boot.text) : NULL;
	if (guess)
		return err_set(
		    err, ERR_REFUSED, "%s is not a server's config.toml. %s", t->boot.name, guess);
	listens = r == 0 ? settings_has_prefix(&t->boot.settings, "server.listener.")
			 : strstr(t->boot.text.data, "listener") != NULL;
	buf_free(&t->boot.text);
	if (t->boot.found && (!t->boot.surely || why.refusal != REFUSAL_NONE) &&
	    (r == 1 || !listens)) {
		/* some other program's file, such as a web proxy's; or too large */
		t->boot.name[0] = '\0';
		t->boot.found = false;
		return 0;
	}
	t->boot.broken = r == 1 || !listens;
	/* A clear makes the server write it anew, and a status says what is wrong. */
	if (r == 1 && t->purpose != TO_CLEAR && !(t->purpose == TO_LOOK && t->boot.found) &&
	    (t->purpose == TO_LOOK || (listens && !sending)))
		return err_set(err, ERR_REFUSED,
		    "%s: %s. The server would not start with this file. Fix it, or put your copy "
		    "back.",
		    t->boot.name, why.text);
	return t->purpose == TO_LOOK && !t->boot.broken ? merge(t, err) : 0;
}
