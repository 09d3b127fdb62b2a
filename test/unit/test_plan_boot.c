/* test_plan_boot.c - plans beside the config.toml that the server reads at its next start */
#include "plan_help.h"

#define BASE SMTP IMAP
#define CHECKS \
	"auth.arc.verify = disable\nauth.dkim.verify = disable\nauth.dmarc.verify = disable\n" \
	"auth.iprev.verify = disable\nauth.spf.verify.ehlo = disable\n" \
	"auth.spf.verify.mail-from = disable\nsession.ehlo.reject-non-fqdn = false\n"
#define URL    "http.url = 'https://mail.example.org'\n"
#define STAGED BASE OURS("imap") CHECKS URL
#define RULE   "queue.strategy.route"

/* What a plan makes of the API's view (memory) and of the file. */
static const struct {
	const char *words, *memory, *file;
	const char *refused; /* the first refusal, or NULL */
	const char *said;    /* in it, or in a warning; NULL: nothing is said of the file */
	bool broken, touch;
	const char *why;
} cases[] = {
	{ "stage " WHOLE, BASE, BASE, NULL, NULL, false, false, "nothing differs" },
	{ "stage " WHOLE, BASE "auth.dkim.verify = strict\n", BASE, NULL, NULL, false, false,
	    "a key of the database is not in the file" },
	{ "stage " WHOLE, BASE "auth.dkim.verify = strict\n", BASE "auth.dkim.verify = strict\n",
	    "shadowed", "--skip checks", false, false, "a check in the file" },
	{ "stage --skip checks " WHOLE, BASE "auth.dkim.verify = strict\n",
	    BASE "auth.dkim.verify = strict\n", NULL, NULL, false, false, "left out" },
	{ "stage " WHOLE "--force shadowed", BASE URL, BASE "http.url = x\n", "shadowed",
	    "--skip url", false, false, "it can't be forced" },
	{ "stage " WHOLE, BASE URL, BASE URL, NULL, NULL, false, false, "as wanted in the file" },
	{ "stage " WHOLE, BASE, BASE "auth.dkim.verify.0000.if = x\n", "file-changed",
	    "auth.dkim.verify.0000.if", false, false, "a list below a check shadows nothing" },
	{ "stage " WHOLE RELAY, BASE RULE " = 'mx'\n", BASE RULE " = 'mx'\n", "shadowed",
	    "--skip outbound", false, false, "the scalar of a rule" },
	{ "stage " WHOLE RELAY, BASE RULE ".0001.else = 'mx'\n", BASE RULE ".0001.else = 'mx'\n",
	    "shadowed", "two halves", false, false, "a part of a rule's list" },
	{ "stage " WHOLE RELAY "--force file-changed", BASE, BASE RULE ".0001.else = 'mx'\n",
	    "shadowed", RULE ".0001.else", false, false, "a part that the memory lacks" },
	{ "stage " WHOLE, BASE RULE " = 'mx'\n", BASE RULE " = 'mx'\n", NULL, NULL, false, false,
	    "no relay is asked for" },
	{ "stage " WHOLE, BASE, BASE "tracer.log.level = debug\n", "file-changed",
	    "tracer.log.level", false, false, "any key, where the server writes its file" },
	{ "stage " WHOLE, BASE "store.x.type = sql\n", BASE, "file-changed", "store.x.type", false,
	    false, "a local key that is gone from the file" },
	{ "stage --skip listeners " WHOLE, BASE, BASE "tracer.log.level = debug\n", NULL, NULL,
	    false, false, "the server does not write its file" },
	{ "stage --force already-staged " WHOLE, STAGED, BASE, "file-changed",
	    "server.listener.imap.proxy.override", false, false,
	    "without a snapshot all is written again" },
	{ "stage --only checks", BASE CHECKS, BASE "auth.dkim.verify = strict\n", "shadowed",
	    "--skip checks", false, true, "nothing to write by the memory" },
	{ "stage " WHOLE, BASE, "", NULL, "is damaged", true, false, "a broken file" },
	{ "stage --skip listeners " WHOLE, BASE, "", NULL, "is damaged", true, true,
	    "a broken file, and no local key to write" },
	{ "clear " WHOLE, STAGED, STAGED "tracer.log.level = debug\n", "file-changed", "tracer",
	    false, false, "a clear that makes the server write" },
	{ "clear " WHOLE, BASE, BASE "tracer.log.level = debug\n", NULL, NULL, false, false,
	    "a clear with nothing to do" },
	{ "status " WHOLE, STAGED, STAGED, NULL, NULL, false, false, "ready" },
	{ "status " WHOLE, STAGED, STAGED "tracer.log.level = debug\n", NULL,
	    "changed under the running server", false, false, "it differs: no fault" },
	{ "status " WHOLE, STAGED, "", NULL, "DO NOT RESTART", true, false, "a broken file" },
	{ "status " WHOLE, STAGED, BASE OURS("imap") URL, NULL, "auth.dkim.verify, auth.arc.verify",
	    false, false, "it can't be seen where these are" },
};

static void
plan_case(struct world *w, size_t i, struct settings *memory, struct settings *file)
{
	planner *make = cases[i].words[0] == 'c'                   ? plan_clear
	    : cases[i].words[2] == 'a' && cases[i].words[3] == 'g' ? plan_stage
								   : plan_status;
	struct err err;

	world_begin(w, cases[i].memory);
	settings_of(memory, &w->pool, cases[i].memory);
	settings_of(file, &w->pool, cases[i].file);
	w->every = memory;
	w->boot = file;
	w->boot_broken = cases[i].broken;
	CHECK(world_try(w, make, cases[i].words, &err) == 0, "%s: %s", cases[i].why, err.text);
}

static void
test_cases(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct settings memory, file;
		struct world w;
		bool tells;

		plan_case(&w, i, &memory, &file);
		CHECK(same_text(refusal_of(&w.plan), cases[i].refused), "%s: %s", cases[i].why,
		    shown(refusal_of(&w.plan)));
		tells = said(&w.plan, MESSAGE_REFUSAL, cases[i].said ? cases[i].said : "FILE") ||
		    said(&w.plan, MESSAGE_WARNING, cases[i].said ? cases[i].said : "FILE");
		CHECK(cases[i].refused || tells == (cases[i].said != NULL) ||
			said(&w.plan, MESSAGE_REFUSAL, "file-changed"),
		    "%s: said", cases[i].why);
		CHECK(!cases[i].refused || tells, "%s: %s", cases[i].why, cases[i].said);
		CHECK(w.plan.touch == cases[i].touch, "%s: touch", cases[i].why);
		world_end(&w);
	}
}

/* What stands as wanted is written once more, if only the memory may have it; but not alone. */
static void
test_unseen(void **state)
{
	static const char standing[] = BASE "auth.dkim.verify = disable\n";
	struct settings memory, file;
	struct world w;
	struct err err;

	(void)state;
	world_begin(&w, standing);
	settings_of(&memory, &w.pool, standing);
	settings_of(&file, &w.pool, BASE);
	w.every = &memory;
	w.boot = &file;
	CHECK(world_try(&w, plan_stage, "stage " WHOLE, &err) == 0, "%s", err.text);
	assert_true(key_of(&w.plan, "auth.dkim.verify")->write);
	w.boot = NULL;
	world_plan(&w, plan_stage, "stage " WHOLE);
	assert_false(key_of(&w.plan, "auth.dkim.verify")->write);
	w.boot = &file;
	world_plan(&w, plan_stage, "stage --only checks");
	assert_true(key_of(&w.plan, "auth.dkim.verify")->write);
	settings_of(&file, &w.pool, standing);
	world_plan(&w, plan_stage, "stage " WHOLE);
	assert_false(key_of(&w.plan, "auth.dkim.verify")->write);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_unseen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
