#include "settings/message.h"

#include "base/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct message *
message_add(struct messages *m, struct pool *pool, enum message_level level, const char *fmt, ...)
{
	struct message *added = pool_add(pool, m->items, m->count);
	va_list ap;

	added->level = level;
	va_start(ap, fmt);
	added->text = pool_vprintf(pool, fmt, ap);
	va_end(ap);
	if (!*added->text)
		added->text = "(There was no memory for this message.)";
	return added;
}

struct message *
message_refuse(
    struct messages *m, struct pool *pool, enum refusal refusal, bool forced, const char *text)
{
	struct message *x = message_add(m, pool, MESSAGE_REFUSAL, "%s", text);

	x->refusal = refusal;
	x->forced = forced && refusals[refusal].can_be_forced;
	return x;
}

size_t
message_refusals(const struct messages *m)
{
	size_t i, n = 0;

	for (i = 0; i < m->count; i++)
		n += m->items[i].level == MESSAGE_REFUSAL && !m->items[i].forced;
	return n;
}

void
names_add(struct names *n, const char *key)
{
	size_t len = strlen(n->text);

	if (n->count++ < NAMES_MAX)
		snprintf(n->text + len, sizeof(n->text) - len, "%s%.90s", len ? ", " : "", key);
}

const char *
names_more(const struct names *n)
{
	return n->count > NAMES_MAX ? " and more" : "";
}
