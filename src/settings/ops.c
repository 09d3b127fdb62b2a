#include "settings/ops.h"

#include "base/buf.h"
#include "base/pool.h"
#include "format/jsonout.h"

void
ops_add(struct ops *o, struct pool *pool, const struct op *op)
{
	struct op *added = pool_add(pool, o->items, o->count);

	*added = *op;
}

void
ops_open(struct jsonout *j, enum op_kind kind, bool capital)
{
	jsonout_open(j, NULL, '{');
	if (kind == OP_DELETE) {
		jsonout_text(j, "type", capital ? "Delete" : "delete");
		jsonout_open(j, "keys", '[');
		return;
	}
	if (kind == OP_CLEAR) {
		jsonout_text(j, "type", capital ? "Clear" : "clear");
		return;
	}
	jsonout_text(j, "type", capital ? "Insert" : "insert");
	jsonout_text(j, "prefix", NULL);
	jsonout_bool(j, "assert_empty", false);
	jsonout_open(j, "values", '[');
}

void
ops_entry(struct jsonout *j, const struct op *op)
{
	if (op->kind != OP_INSERT) {
		jsonout_text(j, op->kind == OP_CLEAR ? "prefix" : NULL, op->key);
		return;
	}
	jsonout_open(j, NULL, '[');
	jsonout_text(j, NULL, op->key);
	jsonout_text(j, NULL, op->value);
	jsonout_close(j, ']');
}

void
ops_close(struct jsonout *j, enum op_kind kind)
{
	if (kind != OP_CLEAR)
		jsonout_close(j, ']');
	jsonout_close(j, '}');
}

size_t
ops_format(const struct ops *o, size_t from, bool capital, struct buf *out)
{
	struct jsonout j = { .out = out }, before;
	size_t start = out->len, len, i;

	jsonout_open(&j, NULL, '[');
	for (i = from; i < o->count; i++) {
		const struct op *op = &o->items[i], *last = i > from ? op - 1 : NULL;

		before = j;
		len = out->len;
		if (!last || last->kind != op->kind || last->step != op->step ||
		    op->kind == OP_CLEAR) {
			if (last)
				ops_close(&j, last->kind);
			ops_open(&j, op->kind, capital);
		}
		ops_entry(&j, op);
		if (last && out->len - start > OPS_BODY_MAX && !out->failed) {
			out->data[out->len = len] = '\0';
			j = before;
			break;
		}
	}
	if (from < o->count)
		ops_close(&j, o->items[i - 1].kind);
	jsonout_close(&j, ']');
	return i;
}
