/*
 * read-records KIND
 *
 * Reads records from standard input (four bytes of length, most significant first, then so many
 * bytes) with one of the program's own readers, and prints a line of JSON for each: what was
 * read, or null. Of a config a string says why the server would not start with it. Exit 2: wrong
 * use, or an input that is cut off.
 */
#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "format/addr.h"
#include "format/json.h"
#include "format/toml.h"
#include "format/url.h"
#include "tls/cert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A record; a NUL follows. */
struct record {
	const char *text;
	size_t len;
};

static void
print_net(struct buf *out, const struct net *n, bool there)
{
	char text[NET_TEXT_MAX];

	if (there)
		net_format(n, text);
	json_quote(out, there ? text : NULL);
}

static void
read_addr(struct buf *out, const struct record *r)
{
	struct net n;
	bool there = addr_parse(&n, r->text);

	print_net(out, &n, there);
}

static void
read_net(struct buf *out, const struct record *r)
{
	struct net n;
	bool there = net_parse(&n, r->text, NULL) == 0;

	print_net(out, &n, there);
}

static void
read_server_net(struct buf *out, const struct record *r)
{
	struct net n;
	bool there = net_parse_server(&n, r->text);

	print_net(out, &n, there);
}

static void
read_url(struct buf *out, const struct record *r)
{
	struct url u;

	if (url_parse(&u, r->text, "", NULL) == -1) {
		buf_str(out, "null");
		return;
	}
	buf_printf(out, "[\"%s\",", u.https ? "https" : "http");
	json_quote(out, u.host);
	buf_printf(out, ",%u,%s]", u.port, u.is_addr ? "true" : "false");
}

/* Numbers that are not whole, or too large for json_integer, are null. */
static void
print_value(struct buf *out, const struct json *j)
{
	const char *before = "";
	const struct json *child;
	long long number;
	bool truth;

	if (json_is_bool(j, &truth)) {
		buf_str(out, truth ? "true" : "false");
	} else if (json_integer(j, &number)) {
		buf_printf(out, "%lld", number);
	} else if (json_is_object(j) || json_is_array(j)) {
		buf_char(out, json_is_object(j) ? '{' : '[');
		for (child = json_first(j); child; child = json_next(child), before = ",") {
			buf_str(out, before);
			if (json_is_object(j)) {
				json_quote(out, json_name(child));
				buf_char(out, ':');
			}
			print_value(out, child);
		}
		buf_char(out, json_is_object(j) ? '}' : ']');
	} else {
		json_quote(out, json_string(j));
	}
}

static void
read_json(struct buf *out, const struct record *r)
{
	struct json *doc;

	if (json_parse(&doc, r->text, r->len, NULL) == -1) {
		buf_str(out, "null");
		return;
	}
	buf_char(out, '[');
	print_value(out, doc);
	buf_char(out, ']');
	json_free(doc);
}

static void
flatten(struct buf *out, const struct record *r, bool old_keys)
{
	struct pool pool = { 0 };
	struct toml t;
	struct err err;
	size_t i;

	if (toml_read(&t, &pool, "", r->text, r->len, old_keys, &err) == -1) {
		json_quote(out, err.text);
	} else {
		buf_char(out, '{');
		for (i = 0; i < t.entry_count; i++) {
			buf_str(out, i ? "," : "");
			json_quote(out, t.entries[i].key);
			buf_char(out, ':');
			json_quote(out, t.entries[i].value);
		}
		buf_char(out, '}');
	}
	pool_free(&pool);
}

static void
read_config(struct buf *out, const struct record *r)
{
	flatten(out, r, false);
}

/* As servers up to 0.12 do. */
static void
read_old_config(struct buf *out, const struct record *r)
{
	flatten(out, r, true);
}

static void
print_bytes(struct buf *out, const char *name, const struct der *der)
{
	size_t i;

	buf_printf(out, "\"%s\":\"", name);
	for (i = 0; i < der->len; i++)
		buf_printf(out, "%02x", der->p[i]);
	buf_str(out, "\",");
}

/* A number, or null. */
static void
print_number(struct buf *out, const char *name, bool there, long long number)
{
	buf_printf(out, "\"%s\":", name);
	if (there)
		buf_printf(out, "%lld,", number);
	else
		buf_str(out, "null,");
}

static void
read_cert(struct buf *out, const struct record *r)
{
	struct der der = { (const unsigned char *)r->text, r->len };
	struct cert c;

	if (!cert_parse(&c, &der)) {
		buf_str(out, "null");
		return;
	}
	buf_char(out, '{');
	print_bytes(out, "issuer", &c.issuer);
	print_bytes(out, "subject", &c.subject);
	print_bytes(out, "spki", &c.spki);
	print_bytes(out, "tbs", &c.tbs);
	print_bytes(out, "signature", &c.signature);
	print_bytes(out, "san", &c.san);
	print_number(out, "begin", true, c.not_before);
	print_number(out, "end", true, c.not_after);
	print_number(out, "version", true, c.version);
	print_number(out, "bits", c.key != CERT_KEY_OTHER, c.bits);
	print_number(out, "ca", c.has_basic, c.ca);
	print_number(out, "path_len", c.has_path_len, c.path_len);
	print_number(out, "usage", c.has_usage, c.usage);
	print_number(out, "eku_server", c.has_eku, c.eku_server);
	buf_str(out, "\"fault\":");
	json_quote(out, c.fault);
	buf_str(out, ",\"unprocessed\":");
	json_quote(out, c.unprocessed);
	buf_char(out, '}');
}

static const struct {
	const char *name;
	void (*read)(struct buf *out, const struct record *r);
} kinds[] = {
	{ "addr", read_addr },
	{ "net", read_net },
	{ "server-net", read_server_net },
	{ "url", read_url },
	{ "json", read_json },
	{ "config", read_config },
	{ "old-config", read_old_config },
	{ "cert", read_cert },
};

/* The next record. 1; 0 at the end; -1 when it is cut off or memory ran out. */
static int
next(struct buf *text, struct record *r)
{
	unsigned char head[4];
	size_t got = fread(head, 1, sizeof(head), stdin);
	char *data;

	if (got < sizeof(head))
		return got ? -1 : 0;
	r->len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	buf_reset(text);
	buf_reserve(text, r->len);
	data = text->data;
	if (text->failed || fread(data, 1, r->len, stdin) < r->len)
		return -1;
	data[r->len] = '\0';
	r->text = data;
	return 1;
}

int
main(int argc, char **argv)
{
	struct buf text = { 0 }, out = { 0 };
	struct record r;
	int status = -1;
	size_t i;

	for (i = 0; i < COUNT(kinds) && (argc != 2 || strcmp(argv[1], kinds[i].name) != 0); i++)
		;
	while (i < COUNT(kinds) && (status = next(&text, &r)) == 1) {
		kinds[i].read(&out, &r);
		buf_char(&out, '\n');
		fputs(buf_text(&out) ? buf_text(&out) : "out of memory\n", stdout);
		buf_reset(&out);
	}
	buf_free(&text);
	buf_free(&out);
	return status == 0 ? 0 : 2;
}
