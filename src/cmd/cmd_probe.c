#include "cmd/cli.h"

#include "base/buf.h"
#include "base/err.h"
#include "cmd/exits.h"
#include "cmd/options.h"
#include "cmd/probing.h"
#include "cmd/say.h"
#include "settings/snapshot.h"
#include "sys/confine.h"
#include "sys/deadline.h"
#include "sys/interrupt.h"
#include "sys/prompt.h"
#include "sys/secret.h"

#include <string.h>

static int
choose(struct probing *p, struct err *err)
{
	const char *path = p->options->reach.snapshot;
	struct snapshot s = { 0 };

	if (!path)
		return probing_choose(p, NULL, err);
	if (probing_snapshot(&s, &p->pool, path, err) == -1 || probing_choose(p, &s, err) == -1)
		return -1;
	if (p->network_count || p->options->expect == EXPECT_NOTHING ||
	    p->options->expect == EXPECT_CUTOVER)
		return 0;
	return err_set(err, ERR_USAGE,
	    "The snapshot %s does not name the proxy's networks. Name them: --proxy ADDR", path);
}

/* The addresses of HOST. An entry of --resolve counts for all of its ports. */
static int
find_addresses(const struct options *o, struct resolved *to, struct err *err)
{
	struct resolve_entry entries[RESOLVE_OPTIONS_MAX];
	struct deadline d = until_interrupted;
	size_t i;

	for (i = 0; i < o->reach.resolve_count; i++) {
		if (resolve_parse(&entries[i], o->reach.resolve[i], err) == -1)
			return -1;
		entries[i].port = 1;
	}
	if (o->reach.connect_timeout)
		d.step = deadline_now() + (int64_t)o->reach.connect_timeout * 1000;
	return resolve(to, o->host, 1, entries, o->reach.resolve_count, &d, err);
}

static void
confine_probe(struct probing *p)
{
	uint16_t ports[PROBE_PORTS_MAX];
	struct confine_keep keep = { .ports = ports, .count = p->port_count };
	struct confined c;
	size_t i;

	for (i = 0; i < p->port_count; i++)
		ports[i] = (uint16_t)p->ports[i].port;
	c = confine(&keep);
	if (p->options->verbose)
		message_add(&p->messages, &p->pool, MESSAGE_NOTE,
		    "Confined by the kernel: no_new_privs %s, Landlock %s.",
		    c.no_new_privs ? "yes" : "no", c.landlock ? "yes" : "no");
}

/* Print a row as soon as it is known. */
static void
print_row(void *ctx, const struct probe_try *t)
{
	const struct probing *p = ctx;
	struct buf row = { 0 };

	probing_row(&row, t);
	(void)!say_results(p->options->command->name, &row, SAY_TEXT);
	buf_free(&row);
}

static void
look(struct probing *p)
{
	struct buf head = { 0 };

	if (p->watched) {
		probing_head(&head);
		(void)!say_results(p->options->command->name, &head, SAY_TEXT);
		buf_free(&head);
		p->probe.done = print_row;
		p->probe.ctx = p;
	}
	probe_run(&p->probe);
	if (interrupt_signal) {
		p->exit = 128 + interrupt_signal;
		message_add(&p->messages, &p->pool, MESSAGE_ERROR, "Stopped by a signal.");
		return;
	}
	probing_judge(p);
}

static int
begin(struct probing *p, struct err *err)
{
	const struct reach *r = &p->options->reach;
	struct resolved to;

	secret_forget_env(SECRET_ENV); /* nobody shall find it here */
	if (choose(p, err) == -1 || find_addresses(p->options, &to, err) == -1)
		return -1;
	p->probe.host = p->options->host;
	p->probe.connect_timeout = r->connect_timeout;
	p->probe.silence = p->options->silence;
	p->probe.max_time = r->max_time;
	p->probe.stop = &interrupt_signal;
	if (probe_begin(&p->probe, p->ports, p->port_count, &to, err) == -1)
		return -1;
	confine_probe(p);
	return 0;
}

static void
format(struct buf *out, const struct probing *p)
{
	size_t i;

	if (p->options->json) {
		probing_json(out, p);
		return;
	}
	if (p->options->quiet)
		return;
	if (!p->watched && p->probe.count)
		probing_head(out);
	for (i = 0; i < p->probe.count && !p->watched; i++)
		probing_row(out, &p->probe.tries[i]);
	for (i = 0; i < p->messages.count; i++) {
		if (p->messages.items[i].level == MESSAGE_RESULT)
			buf_printf(out, "%s\n", p->messages.items[i].text);
	}
}

/* Print the report, or what is left of it. */
static void
report(struct probing *p)
{
	const char *command = p->options->command->name;
	struct buf out = { 0 }, lines = { 0 };

	format(&out, p);
	say_format(
	    &lines, command, &p->messages, p->options->quiet ? MESSAGE_REFUSAL : MESSAGE_NOTE);
	if (say_results(command, &out, p->options->json ? SAY_JSON : SAY_TEXT) &&
	    p->exit == EXIT_DONE)
		p->exit = EXIT_REFUSED;
	if (!p->options->json)
		say_lines(command, &lines);
	buf_free(&out);
	buf_free(&lines);
}

int
cmd_probe(const struct options *o)
{
	static struct probing p;
	struct err err;

	memset(&p, 0, sizeof(p));
	p.options = o;
	p.watched = !o->json && !o->quiet && prompt_is_watched();
	interrupt_catch();
	if (begin(&p, &err) == 0) {
		look(&p);
	} else {
		p.exit = exit_of(&err);
		err_end(&err);
		message_add(&p.messages, &p.pool, MESSAGE_ERROR, "%s", err.text);
	}
	report(&p);
	probe_free(&p.probe);
	pool_free(&p.pool);
	return p.exit;
}
