#include "settings/message.h"

#include "base/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct message *
message_add(struct messages *m, struct pool *pool, enum message_level level, const char *fmt, ...)
{
	static struct message nobodys;
	struct message *items = pool_grow(pool, m->items, m->count, sizeof(*items));
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	text = n < 0 ? NULL : pool_zero(pool, (size_t)n + 1);
	if (!items || !text) {
		m->failed = true;
		return &nobodys;
	}
	va_start(ap, fmt);
	vsnprintf(text, (size_t)n + 1, fmt, ap);
	va_end(ap);
	m->items = items;
	memset(&items[m->count], 0, sizeof(*items));
	items[m->count].level = level;
	items[m->count].text = text;
	return &items[m->count++];
}

struct message *
message_refuse(
    struct messages *m, struct pool *pool, enum refusal refusal, bool forced, const char *text)
{
	struct message *x;
	char way_out[80] = "";

	forced = forced && refusals[refusal].can_be_forced;
	if (!forced)
		refusal_way_out(refusal, way_out, sizeof(way_out));
	x = message_add(m, pool, MESSAGE_REFUSAL, "%s%s", text, way_out);
	x->refusal = refusal;
	x->forced = forced;
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
