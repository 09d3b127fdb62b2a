#include "settings/ops.h"

#include "base/buf.h"
#include "base/pool.h"
#include "format/json.h"

void
ops_add(struct ops *o, struct pool *pool, const struct op *op)
{
	struct op *added = pool_add(pool, o->items, o->count);

	*added = *op;
}

static void
open_op(struct buf *out, const struct op *op, bool capital)
{
	if (op->kind == OP_DELETE)
		buf_printf(out, "{\"type\":\"%s\",\"keys\":[", capital ? "Delete" : "delete");
	else
		buf_printf(out,
		    "{\"type\":\"%s\",\"prefix\":null,\"assert_empty\":false,\"values\":[",
		    capital ? "Insert" : "insert");
}

static void
format_one(struct buf *out, const struct op *op)
{
	if (op->kind == OP_DELETE) {
		json_quote(out, op->key);
		return;
	}
	buf_char(out, '[');
	json_quote(out, op->key);
	buf_char(out, ',');
	json_quote(out, op->value);
	buf_char(out, ']');
}

size_t
ops_format(const struct ops *o, size_t from, bool capital, struct buf *out)
{
	size_t start = out->len, i;

	buf_char(out, '[');
	for (i = from; i < o->count; i++) {
		size_t before = out->len;
		bool first = i == from || o->items[i].kind != o->items[i - 1].kind ||
		    o->items[i].step != o->items[i - 1].step;

		if (first) {
			buf_str(out, i == from ? "" : "]},");
			open_op(out, &o->items[i], capital);
		} else {
			buf_char(out, ',');
		}
		format_one(out, &o->items[i]);
		if (i > from && out->len - start > OPS_BODY_MAX && !out->failed) {
			out->data[out->len = before] = '\0';
			break;
		}
	}
	buf_str(out, from < o->count ? "]}]" : "]");
	return i;
}
