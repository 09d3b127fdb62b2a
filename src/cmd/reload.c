#include "cmd/reload.h"

#include "cmd/run.h"
#include "target/api.h"
#include "target/target.h"

#include <string.h>

/* Is key one of ours, or the list or table that one of ours is in? */
static bool
covers(const char *ours, const char *key)
{
	size_t len = strlen(key);

	return !strncmp(ours, key, len) && (!ours[len] || ours[len] == '.');
}

static bool
was_staged(const struct target *t, const char *key)
{
	size_t i;

	if (t->plan.clearing)
		return false; /* the values from before are back */
	for (i = 0; i < t->found.count; i++) {
		if (covers(t->found.keys[i].key, key))
			return true;
	}
	return false;
}

static void
report_one(struct run *r, const struct target *t, const struct api_fault *f,
    enum message_level level, const char *what)
{
	bool lookup = strstr(f->text, "lookup address") != NULL;

	struct message *m = message_add(&r->messages, &r->pool, level,
	    "The server reports %s at %s (%s)%s%s. %s%s", what, f->key, f->kind,
	    *f->text ? ": " : "", f->text,
	    was_staged(t, f->key) ? "stalprep staged this key."
				  : "As far as the snapshot shows, it is not from stalprep.",
	    lookup ? " The server can't resolve a name. Every reload fails until it can, or until "
		     "the setting is turned off."
		   : "");

	if (r->count > 1)
		m->target = t->origin;
}

void
reload_report(struct run *r, const struct target *t, const struct api_reloaded *answer)
{
	size_t i;

	for (i = 0; i < answer->warning_count; i++)
		report_one(r, t, &answer->warnings[i], MESSAGE_NOTE, "a warning");
	for (i = 0; i < answer->error_count; i++)
		report_one(r, t, &answer->errors[i], MESSAGE_ERROR, "an error");
}

void
reload_say(struct run *r, const struct target *t, enum message_level level, const char *text)
{
	struct message *m = message_add(&r->messages, &r->pool, level, "%s", text);

	if (r->count > 1)
		m->target = t->origin;
}

int
reload_ask(
    struct run *r, struct target *t, bool dry_run, struct api_reloaded *answer, struct err *err)
{
	if (session_open(&t->session, &r->trust, &r->credentials, err) == -1)
		return -1;
	t->session.http.sent_bytes = false;
	if (api_reload(&t->session.api, &t->pool, dry_run, answer, err) == 0)
		return 0;
	if (!dry_run && t->session.http.sent_bytes && err->kind != ERR_AUTH)
		err_add(err, "It is not known whether the server reloaded.");
	return -1;
}
