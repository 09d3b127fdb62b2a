#include "cmd/probing.h"

#include "base/buf.h"
#include "base/when.h"
#include "cmd/option_table.h"
#include "cmd/options.h"
#include "cmd/report.h"
#include "cmd/say.h"
#include "format/jsonout.h"

#include <stdio.h>
#include <string.h>

enum { SAID_MAX = 100, DAY_LEN = 10 };

/* What a try has to tell. The strings are owned by it, and freed with said_free. */
struct said {
	char address[RESOLVE_TEXT_MAX], protocol[24];
	struct buf text, greeter, names;
	char day[WHEN_MAX], pin[X509_PIN_TEXT_MAX]; /* of a certificate; "": none was seen */
};

static void
find_certificate(struct said *s, const struct side *side)
{
	unsigned char scratch[HELLO_ANSWER_MAX];
	struct hello h;
	int64_t end;

	hello_read(&h, side->data, side->len, scratch);
	if (!hello_describe(&h.leaf, &s->names, &end, s->pin))
		return;
	when_format(s->day, end);
	s->day[s->day[0] == '?' ? 1 : DAY_LEN] = '\0';
}

static void
find_said(struct said *s, const struct probe_try *t)
{
	const struct speaks *speaks = &t->port->speaks;
	const struct side *side = probe_spoke(t);
	struct buf raw = { 0 };
	struct der name;

	memset(s, 0, sizeof(*s));
	resolve_format(&t->to, s->address);
	snprintf(s->protocol, sizeof(s->protocol), "%.16s%s", t->port->protocol,
	    speaks->tls ? "+tls" : "");
	if (!side) {
		if (t->number && t->verdict == VERDICT_SILENT)
			buf_str(&s->text, strerror(t->number));
		return;
	}
	verdict_said(&raw, speaks, side);
	buf_clean(&s->text, raw.len ? raw.data : "", raw.len, SAID_MAX);
	buf_free(&raw);
	name = verdict_greeter(speaks, side);
	buf_clean(&s->greeter, (const char *)name.p, name.len, SAID_MAX);
	if (speaks->tls)
		find_certificate(s, side);
}

static void
said_free(struct said *s)
{
	buf_free(&s->text);
	buf_free(&s->greeter);
	buf_free(&s->names);
}

/* NULL for an empty text. */
static const char *
filled(const struct buf *b)
{
	return b->len ? buf_text(b) : NULL;
}

void
probing_head(struct buf *out)
{
	buf_printf(out, "%-24s %-15s %-17s %s\n", "ADDRESS", "PROTOCOL", "VERDICT", "IT SAID");
}

void
probing_row(struct buf *out, const struct probe_try *t)
{
	struct said s;

	find_said(&s, t);
	buf_printf(out, "%-24s %-15s %s", s.address, s.protocol, verdict_names[t->verdict]);
	if (s.text.len)
		buf_printf(out, "%*s %s", 17 - (int)strlen(verdict_names[t->verdict]), "",
		    buf_text(&s.text) ? buf_text(&s.text) : "");
	buf_char(out, '\n');
	if (s.greeter.len)
		buf_printf(
		    out, "  its name: %s\n", buf_text(&s.greeter) ? buf_text(&s.greeter) : "");
	if (*s.pin)
		buf_printf(out, "  certificate: %s; last day %s; %s\n",
		    buf_text(&s.names) ? buf_text(&s.names) : "", s.day, s.pin);
	out->failed |= s.text.failed || s.greeter.failed || s.names.failed;
	said_free(&s);
}

static void
add_port(struct jsonout *j, const struct probing *p, const struct probe_try *t)
{
	enum verdict expected = probing_expected(p, t);
	char address[DIAL_TEXT_MAX];
	struct said s;

	find_said(&s, t);
	dial_format(&t->to, address);
	jsonout_open(j, NULL, '{');
	jsonout_text(j, "address", address);
	jsonout_number(j, "port", (int)t->port->port);
	jsonout_text(j, "listener", t->port->id);
	jsonout_text(j, "protocol", t->port->protocol);
	jsonout_bool(j, "tls", t->port->speaks.tls);
	jsonout_text(j, "verdict", verdict_names[t->verdict]);
	jsonout_text(j, "expected", expected ? verdict_names[expected] : NULL);
	jsonout_text(j, "said", filled(&s.text));
	jsonout_text(j, "host", filled(&s.greeter));
	jsonout_text(j, "names", filled(&s.names));
	jsonout_text(j, "last_day", *s.pin ? s.day : NULL);
	jsonout_text(j, "pin", *s.pin ? s.pin : NULL);
	jsonout_text(j, "from", *t->own ? t->own : NULL);
	jsonout_close(j, '}');
	said_free(&s);
}

void
probing_json(struct buf *out, const struct probing *p)
{
	struct jsonout j = { .out = out };
	size_t i;

	jsonout_open(&j, NULL, '{');
	jsonout_text(&j, "command", p->options->command->name);
	jsonout_number(&j, "exit", p->exit);
	jsonout_bool(&j, "changed", false);
	report_json_messages(&j, &p->messages);
	jsonout_text(&j, "expect", expect_names[p->options->expect]);
	jsonout_number(&j, "headers", (int)probing_headers(p));
	jsonout_open(&j, "ports", '[');
	for (i = 0; i < p->probe.count; i++)
		add_port(&j, p, &p->probe.tries[i]);
	jsonout_close(&j, ']');
	jsonout_close(&j, '}');
	buf_char(out, '\n');
}
