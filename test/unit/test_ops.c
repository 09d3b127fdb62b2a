/* test_ops.c - the changes of one write as request bodies */
#include "help.h"

#include "base/buf.h"
#include "format/json.h"
#include "settings/ops.h"

enum { SERVER_MAX = 1024 * 1024 }; /* bytes of body that the server reads (server-facts) */

static void
add(struct ops *o, struct pool *pool, enum op_kind kind, const char *key, const char *value,
    unsigned step)
{
	struct op op = { kind, key, value, step };

	ops_add(o, pool, &op);
}

static void
test_bodies(void **state)
{
	struct pool pool = { 0 };
	struct buf out = { 0 };
	struct ops o = { 0 };

	(void)state;
	assert_int_equal(ops_format(&o, 0, false, &out), 0);
	assert_string_equal(buf_text(&out), "[]");
	buf_reset(&out);
	add(&o, &pool, OP_DELETE, "a", NULL, 1);
	add(&o, &pool, OP_DELETE, "b\"", NULL, 1);
	add(&o, &pool, OP_INSERT, "c", "'x'\\\n", 2);
	add(&o, &pool, OP_INSERT, "d", "", 2);
	add(&o, &pool, OP_INSERT, "e", "\xc3\xa4", 4);
	assert_int_equal(ops_format(&o, 0, false, &out), 5);
	assert_string_equal(buf_text(&out),
	    "[{\"type\":\"delete\",\"keys\":[\"a\",\"b\\\"\"]},{\"type\":\"insert\",\"prefix\":"
	    "null,\"assert_empty\":false,\"values\":[[\"c\",\"'x'\\\\\\u000a\"],[\"d\",\"\"]]},{"
	    "\"type\":\"insert\",\"prefix\":null,\"assert_empty\":false,\"values\":[[\"e\","
	    "\"\xc3\xa4\"]]}]");
	buf_reset(&out);
	assert_int_equal(ops_format(&o, 4, true, &out), 5);
	assert_string_equal(buf_text(&out),
	    "[{\"type\":\"Insert\",\"prefix\":null,\"assert_empty\":false,\"values\":[[\"e\","
	    "\"\xc3\xa4\"]]}]");
	buf_reset(&out);
	assert_int_equal(ops_format(&o, 1, true, &out), 5);
	assert_true(has(
	    buf_text(&out), "[{\"type\":\"Delete\",\"keys\":[\"b\\\"\"]},{\"type\":\"Insert\""));
	buf_free(&out);
	pool_free(&pool);
}

/* A delete and an insert of one step are two operations, in order. */
static void
test_kinds(void **state)
{
	struct pool pool = { 0 };
	struct buf out = { 0 };
	struct ops o = { 0 };

	(void)state;
	add(&o, &pool, OP_INSERT, "a", "1", 0);
	add(&o, &pool, OP_DELETE, "a", NULL, 0);
	add(&o, &pool, OP_DELETE, "b", NULL, 1);
	buf_str(&out, "in front:");
	ops_format(&o, 0, false, &out);
	assert_string_equal(buf_text(&out),
	    "in "
	    "front:[{\"type\":\"insert\",\"prefix\":null,\"assert_empty\":false,\"values\":[[\"a\","
	    "\"1\"]]},{\"type\":\"delete\",\"keys\":[\"a\"]},{\"type\":\"delete\",\"keys\":[\"b\"]}"
	    "]");
	buf_free(&out);
	pool_free(&pool);
}

/* A clear takes one key, so each is an operation of its own. */
static void
test_clears(void **state)
{
	struct pool pool = { 0 };
	struct buf out = { 0 };
	struct ops o = { 0 };

	(void)state;
	add(&o, &pool, OP_DELETE, "a", NULL, 0);
	add(&o, &pool, OP_CLEAR, "b\"", NULL, 0);
	add(&o, &pool, OP_CLEAR, "c", NULL, 0);
	add(&o, &pool, OP_DELETE, "d", NULL, 0);
	add(&o, &pool, OP_DELETE, "e", NULL, 0);
	add(&o, &pool, OP_CLEAR, "f", NULL, 1);
	add(&o, &pool, OP_INSERT, "g", "1", 1);
	assert_int_equal(ops_format(&o, 0, false, &out), 7);
	assert_string_equal(buf_text(&out),
	    "[{\"type\":\"delete\",\"keys\":[\"a\"]},"
	    "{\"type\":\"clear\",\"prefix\":\"b\\\"\"},{\"type\":\"clear\",\"prefix\":\"c\"},"
	    "{\"type\":\"delete\",\"keys\":[\"d\",\"e\"]},{\"type\":\"clear\",\"prefix\":\"f\"},"
	    "{\"type\":\"insert\",\"prefix\":null,\"assert_empty\":false,\"values\":[[\"g\","
	    "\"1\"]]}]");
	buf_reset(&out);
	assert_int_equal(ops_format(&o, 5, true, &out), 7);
	assert_true(has(buf_text(&out),
	    "[{\"type\":\"Clear\",\"prefix\":\"f\"},{\"type\":\"Insert\",\"prefix\":null,"));
	buf_free(&out);
	o.count = 2; /* it may be the last one */
	ops_format(&o, 1, false, &out);
	assert_string_equal(buf_text(&out), "[{\"type\":\"clear\",\"prefix\":\"b\\\"\"}]");
	buf_free(&out);
	pool_free(&pool);
}

/* The next entry's name. */
static void
check_name(const struct json *j, size_t *from)
{
	char name[32];

	snprintf(name, sizeof(name), "k%zu", (*from)++);
	CHECK(same_text(json_string(j), name), "%s is not where it belongs", name);
}

/* The names in a body, in order, must be those from `from` up to `to`. */
static void
check_entries(const char *text, size_t len, size_t from, size_t to)
{
	const struct json *op, *pair;
	struct json *doc;

	assert_int_equal(json_parse(&doc, text, len, NULL), 0);
	for (op = json_first(doc); op; op = json_next(op)) {
		for (pair = json_first(json_member(op, "values")); pair; pair = json_next(pair))
			check_name(json_first(pair), &from);
		if (json_member(op, "prefix") && !json_is_null(json_member(op, "prefix")))
			check_name(json_member(op, "prefix"), &from);
	}
	CHECK(from == to, "%zu entries up to %zu", from, to);
	json_free(doc);
}

/*
 * However long the values are: no body is longer than the server reads, and each entry goes out
 * once.
 */
static void
test_bounds(void **state)
{
	static const size_t lengths[] = { 1, 1000, 47000, 100000, 240000, 333000, 499000 };
	struct buf out = { 0 };
	size_t i, j, from, next;

	(void)state;
	for (i = 0; i < COUNT(lengths); i++) {
		struct pool pool = { 0 };
		struct ops o = { 0 };
		char *value = pool_zero(&pool, lengths[i] + 1);

		memset(value, 'v', lengths[i]);
		for (j = 0; j < 4000000 / lengths[i] && j < 60000; j++)
			add(&o, &pool, OP_INSERT, pool_printf(&pool, "k%zu", j), value, j % 7 / 6);
		for (from = 0; from < o.count; from = next) {
			buf_reset(&out);
			next = ops_format(&o, from, false, &out);
			CHECK(next > from && next <= o.count, "values of %zu bytes: no way forward",
			    lengths[i]);
			CHECK(out.len <= SERVER_MAX, "values of %zu bytes: a body of %zu",
			    lengths[i], out.len);
			CHECK(next == o.count || out.len > OPS_BODY_MAX / 2,
			    "values of %zu bytes: a body of %zu only", lengths[i], out.len);
			check_entries(out.data, out.len, from, next);
		}
		pool_free(&pool);
	}
	buf_free(&out);
}

/* The same for clears, which share no operation, also between others. */
static void
test_clear_bounds(void **state)
{
	struct pool pool = { 0 };
	struct buf out = { 0 };
	struct ops o = { 0 };
	size_t i, from, next, bodies = 0;

	(void)state;
	for (i = 0; i < 80000; i++)
		add(&o, &pool, i % 5 ? OP_CLEAR : OP_INSERT, pool_printf(&pool, "k%zu", i),
		    i % 5 ? NULL : "v", 0);
	for (from = 0; from < o.count; from = next) {
		buf_reset(&out);
		next = ops_format(&o, from, false, &out);
		CHECK(next > from && out.len <= SERVER_MAX, "a body of %zu", out.len);
		CHECK(next == o.count || out.len > OPS_BODY_MAX / 2, "a body of %zu only", out.len);
		check_entries(out.data, out.len, from, next);
		bodies++;
	}
	assert_true(bodies > 1);
	buf_free(&out);
	pool_free(&pool);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_clears),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_clear_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
