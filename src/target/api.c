#include "target/api.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/utf8.h"
#include "format/json.h"
#include "settings/changeset.h"
#include "sys/deadline.h"
#include "target/http1.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * Read by prefix: keys that may be in config.toml. A read by key would also return old database
 * values that the server ignores (server-facts). queue_read adds those of the relay.
 */
static const char *const prefixes[] = {
	"server.listener",
	"server.proxy",
	"server.http",
	"config",
	"http",
	"auth",
	"session.ehlo",
	"queue.strategy",
	"queue.outbound",
	"queue.virtual",
	"cluster.seed-nodes",
};

/*
 * Read by key: they show the version and whether there is a cluster. A read of all cluster.* or
 * queue.route.* could return secrets.
 */
static const char *const keys[] = {
	"oauth.key", /* for the server's identity alone */
	"queue.route.local.type",
	"queue.route.mx.type",
	"queue.outbound.next-hop",
	"cluster.coordinator",
	"cluster.bind-addr",
	"cluster.node-id",
};

enum { DETAIL_MAX = 200 };       /* bytes of the server's own text that a message quotes */
enum { TITLE_MAX = 80 };         /* bytes of a web page's title that a message quotes */
enum { TREE_MAX = 1024 * 1024 }; /* bytes of an answer that is read as a whole */
enum { LOOK_EVERY = 4096 };      /* settings that are taken between two looks at the clock */

static const char NEAR[] =
    "run stalprep on the old server's own host, against http://127.0.0.1:PORT (the port of its "
    "http listener, usually 8080).";

/* Parse an answer's body. 0 with *doc for json_free, or -1 with err. */
static int
parse_body(struct json **doc, const struct http1_answer *answer, struct err *err)
{
	*doc = NULL;
	if (answer->body.len > TREE_MAX)
		return err_set(
		    err, ERR_SERVER, "%zu bytes, and 1 MiB at most is expected", answer->body.len);
	return json_parse(doc, buf_text(&answer->body), answer->body.len, err);
}

/* Copy len bytes of text for one line of a message, at most max bytes and a NUL. */
static void
copy_line(char *out, size_t max, const char *text, size_t len)
{
	size_t n = 0, step;

	for (; len; text += step, len -= step) {
		step = utf8_length(text, len);
		if (!step || n + step > max)
			break;
		if ((unsigned char)*text > ' ' && *text != 0x7f) {
			memcpy(out + n, text, step);
			n += step;
		} else if (n && out[n - 1] != ' ') {
			out[n++] = ' ';
		}
	}
	out[n] = '\0';
}

/* The server's own text in an error answer, made fit for one line; "" when there is none. */
static void
detail_of_answer(char out[DETAIL_MAX + 1], const struct http1_answer *answer)
{
	static const char *const names[] = { "detail", "details", "reason", "error", "title" };
	struct json *doc = NULL;
	const char *text = NULL;
	size_t i;

	out[0] = '\0';
	if (parse_body(&doc, answer, NULL) == -1)
		return;
	for (i = 0; i < COUNT(names) && !text; i++)
		text = json_string(json_member(doc, names[i]));
	if (text)
		copy_line(out, DETAIL_MAX, text, strlen(text));
	json_free(doc);
}

static bool
is_page(const struct http1_answer *answer)
{
	const char *text = buf_text(&answer->body);

	return !strcmp(answer->type, "text/html") ||
	    (!answer->json && text && text[strspn(text, " \t\r\n")] == '<');
}

/* A web page is no answer of this API. Say whose it may be, with its title. */
static int
page_error(const struct http1_answer *answer, struct err *err)
{
	const char *at = strcasestr(buf_text(&answer->body), "<title");
	char title[TITLE_MAX + 1] = "";

	at = at ? strchr(at, '>') : NULL;
	if (at)
		copy_line(title, TITLE_MAX, at + 1, strcspn(at + 1, "<"));
	return err_set(err, ERR_SERVER,
	    "A web page answered (%d%s%s%s), not the server's API: a web proxy, a firewall or a "
	    "login page of the network is between here and the server. Go around it: with the "
	    "server's own address (--resolve HOST:PORT:ADDR), or %s",
	    answer->status, *title ? ", \"" : "", title, *title ? "\"" : "", NEAR);
}

/* What the status says, for those that mean one thing; NULL for the others. */
static const char *
words_of_status(int status)
{
	switch (status) {
	case 401:
		return "The server does not accept the login (401). Check --user (the account's "
		       "name, not its mail address), the password and the second factor if there "
		       "is one.";
	case 402:
		return "The password is right, but the account needs its second factor too (402).";
	case 413:
		return "Something in front of the server does not let a request of this length "
		       "pass (413): usually a web proxy's limit for a body. Allow 1 MiB there "
		       "(nginx: client_max_body_size 1m), or go around it.";
	case 429:
		return "The server reports too many requests or failed logins (429). Wait, and "
		       "check the password: after 100 failed logins in a day the server bans this "
		       "address.";
	default:
		return NULL;
	}
}

/* A status without words of its own. */
static void
other_status(const struct api *a, const struct http1_answer *answer, enum err_kind kind,
    const char *what, const char *detail, struct err *err)
{
	int status = answer->status;

	if (status == 403)
		err_set(err, kind,
		    "The account is not allowed to %s (403). It needs the permissions "
		    "settings-list, settings-update, settings-delete and settings-reload.",
		    what);
	else if (status >= 300 && status < 400)
		err_set(err, kind,
		    "The server redirects (%d) to %s. stalprep does not follow redirects. Give the "
		    "management API's own URL.",
		    status, answer->location);
	else
		err_set(err, kind, "The server answered %d when asked to %s%s%s.", status, what,
		    *detail ? ": " : "", detail);
	if (status == 500 && !a->known)
		err_add(err,
		    "If the directory of this account (LDAP, SQL, OIDC) is down, log in as the "
		    "fallback administrator (authentication.fallback-admin).");
	if (a->far && (status == 403 || status == 404))
		err_add(err,
		    "Or http.allowed-endpoint hides the API from all addresses but loopback: then "
		    "%s",
		    NEAR);
}

/* Turn an answer's status that is not a success into an error. */
static int
status_error(
    const struct api *a, const struct http1_answer *answer, const char *what, struct err *err)
{
	char detail[DETAIL_MAX + 1];
	int status = answer->status;
	enum err_kind kind = (status >= 401 && status <= 403) || status == 429 ? ERR_AUTH
									       : ERR_SERVER;

	detail_of_answer(detail, answer);
	if (status == 403 && strstr(detail, "TOTP"))
		status = 402; /* up to 0.9, 403 means this too */
	if (words_of_status(status))
		err_set(err, kind, "%s", words_of_status(status));
	else if (is_page(answer) && status != 404 && status >= 400)
		page_error(answer, err);
	else
		other_status(a, answer, kind, what, detail, err);
	if (err)
		err->code = status;
	return -1;
}

/* Is this document an answer of success: "data" and no "error"? If not, it is freed. */
static int
check_data(struct json **doc, const struct http1_answer *answer, const char *what, struct err *err)
{
	char detail[DETAIL_MAX + 1];

	if (!json_member(*doc, "error") && json_member(*doc, "data"))
		return 0;
	detail_of_answer(detail, answer);
	json_free(*doc);
	*doc = NULL;
	return err_set(
	    err, ERR_SERVER, "The server could not %s%s%s.", what, *detail ? ": " : "", detail);
}

/* The answer is not what it has to be. */
static int
not_understood(const struct http1_answer *answer, const struct err *why, struct err *err)
{
	if (is_page(answer))
		return page_error(answer, err);
	return why->code == ENOMEM
	    ? err_memory(err)
	    : err_set(err, ERR_SERVER, "stalprep does not understand the server's answer (%s).",
		  why->text);
}

/* Parse an API answer: status 200, "data" and no "error". The caller frees *doc. */
static int
expect_json(const struct api *a, const struct http1_answer *answer, const char *what,
    struct json **doc, struct err *err)
{
	struct err why;

	*doc = NULL;
	if (answer->status != 200)
		return status_error(a, answer, what, err);
	if (parse_body(doc, answer, &why) == -1)
		return not_understood(answer, &why, err);
	return check_data(doc, answer, what, err);
}

/* Before a request: the server may have closed the connection while it lay idle. */
static int
be_open(struct api *a, struct err *err)
{
	bool idle = !a->http->queued && !a->http->awaited;

	a->closes |= a->http->closed;
	return a->reopen && (idle || a->http->closed) ? a->reopen(a->ctx, err) : 0;
}

/* login: with credentials. */
static int
queue(struct api *a, const char *method, const char *target, const struct buf *body, bool login,
    struct err *err)
{
	struct http1_request r = {
		.method = method,
		.target = target,
		.host = a->host,
		.authorization = login ? a->authorization : NULL,
		.body = body ? buf_text(body) : NULL,
		.body_len = body ? body->len : 0,
	};

	return body && !r.body ? err_memory(err) : http1_queue(a->http, &r, err);
}

static int
queue_get(struct api *a, const char *target, struct err *err)
{
	return be_open(a, err) == -1 ? -1 : queue(a, "GET", target, NULL, true, err);
}

static int
queue_read(struct api *a, struct err *err)
{
	struct buf target = { 0 };
	size_t i;
	int r;

	buf_str(&target, "/api/settings/keys?keys=");
	for (i = 0; i < COUNT(keys); i++)
		buf_printf(&target, "%s%s", i ? "," : "", keys[i]);
	if (*a->new_server)
		buf_printf(&target, ",server.allowed-ip.%s", a->new_server);
	for (i = 0; i < a->extra_count; i++)
		buf_printf(&target, ",%s", a->extra[i]);
	buf_str(&target, "&prefixes=");
	for (i = 0; i < COUNT(prefixes); i++)
		buf_printf(&target, "%s,", prefixes[i]);
	buf_printf(&target, "queue.route.%s,remote.%s", a->relay_id, a->relay_id);
	r = target.failed ? err_memory(err) : queue_get(a, target.data, err);
	buf_free(&target);
	return r;
}

/* What follows prefix in text, or NULL. Thousands of keys are compared, most differ at once. */
static const char *
behind(const char *text, const char *prefix)
{
	while (*prefix && *prefix == *text) {
		prefix++;
		text++;
	}
	return *prefix ? NULL : text;
}

static bool
is_below(const char *key, const char *prefix, const char *more)
{
	const char *rest = behind(key, prefix);

	rest = rest ? behind(rest, more) : NULL;
	return rest && *rest == '.';
}

bool
api_covers(const struct api *a, const char *key)
{
	const char *allowed = behind(key, "server.allowed-ip.");
	size_t i;

	for (i = 0; i < COUNT(prefixes); i++) {
		if (is_below(key, prefixes[i], ""))
			return true;
	}
	for (i = 0; i < COUNT(keys); i++) {
		if (!strcmp(key, keys[i]))
			return true;
	}
	for (i = 0; i < a->extra_count; i++) {
		if (!strcmp(key, a->extra[i]))
			return true;
	}
	return is_below(key, "queue.route.", a->relay_id) ||
	    is_below(key, "remote.", a->relay_id) ||
	    (*a->new_server && allowed && !strcmp(allowed, a->new_server));
}

/* The members of an answer become settings. */
struct taking {
	const struct api *api;
	struct settings *out;
	size_t room;       /* of out->items */
	struct pool *pool; /* where the strings are copied; NULL: they stay in the answer's text */
};

static int
take_setting(void *ctx, const char *name, const char *value, struct err *err)
{
	struct taking *t = ctx;
	struct setting *s = t->out->items + t->out->count;

	if (t->out->count % LOOK_EVERY == 0 && t->api->deadline &&
	    deadline_check(t->api->deadline, "reading the settings", err) == -1)
		return -1;
	if (t->out->count == t->room) {
		err_set(err, ERR_SERVER, "The server has more than %d settings.", API_SETTINGS_MAX);
		if (err)
			err->code = EFBIG;
		return -1;
	}
	s->key = t->pool ? pool_str(t->pool, name) : name;
	s->value = t->pool ? pool_str(t->pool, value) : value;
	t->out->count++;
	return 0;
}

/* The most settings that the text can have: each has four quotes. */
static size_t
room_for(const struct buf *text)
{
	size_t quotes = 0, i;

	for (i = 0; i < text->len; i++)
		quotes += text->data[i] == '"';
	return quotes / 4 < API_SETTINGS_MAX ? quotes / 4 + 1 : API_SETTINGS_MAX;
}

/*
 * Make a sorted map of {"data":{"key":"value",…}}; a list has them in data's "items". Of a list the
 * strings stay in the answer's body, and the map alone is in the pool.
 */
static int
settings_of_answer(const struct api *a, struct settings *out, struct pool *pool,
    struct http1_answer *answer, bool list, struct err *err)
{
	const char *const path[] = { "data", list ? "items" : NULL, NULL };
	struct taking t = { a, out, room_for(&answer->body), list ? NULL : pool };
	const struct json *data;
	struct json *doc;
	struct err why;
	bool found;

	memset(out, 0, sizeof(*out));
	out->items = pool_zero(pool, t.room * sizeof(*out->items));
	if (!out->items)
		return err_memory(err);
	if (json_take(&doc, answer->body.data, answer->body.len, path, take_setting, &t, &why) ==
	    -1) {
		if (why.kind == ERR_SERVER && why.code != EFBIG)
			return not_understood(answer, &why, err);
		*err = why;
		return -1;
	}
	if (check_data(&doc, answer, "read the settings", err) == -1)
		return -1;
	data = json_member(doc, "data");
	data = list ? json_member(data, "items") : data;
	found = json_is_object(data) && !json_first(data);
	json_free(doc);
	if (!found)
		return err_set(err, ERR_SERVER,
		    "stalprep does not understand the server's answer (it has no settings).");
	/* A key lost here would look as if the server did not have it. */
	if (pool_check(pool, err) == -1)
		return -1;
	return settings_sort(out, &why) == -1 ? not_understood(answer, &why, err) : 0;
}

/* Is it the server of the first read? Behind a balancing front another may answer. */
static int
confirm_server(
    struct api *a, const struct settings *s, char identity[FINGERPRINT_MAX], struct err *err)
{
	const char *key = settings_get(s, "oauth.key");
	char server[FINGERPRINT_MAX];

	fingerprint(server, key ? key : "");
	snprintf(identity, FINGERPRINT_MAX, "%s", key && *key && !strstr(key, "%{") ? server : "");
	if (!a->known)
		memcpy(a->server, server, sizeof(server));
	a->known = a->confirmed = true;
	if (!strcmp(a->server, server))
		return 0;
	return err_refuse(err, REFUSAL_TWO_SERVERS,
	    "Two servers answer at this URL: their oauth.key differs. A front spreads requests "
	    "over them. Give the URL of one server alone, by its own address or with --resolve.");
}

/* Too much to read is no fault of the API alone: say what does not need it. */
static int
add_way_out(struct err *err)
{
	if (err && err->code == EFBIG) {
		err_end(err);
		err_add(err, "Stop the server and use --config with its config.toml.");
	}
	return -1;
}

/* From all settings those that a read by prefixes and keys would give. */
static int
choose_settings(const struct api *a, struct pool *pool, struct settings *out,
    const struct settings *every, struct err *err)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < every->count; i++) {
		const struct setting *s = &every->items[i];

		if (strcmp(s->key, "oauth.key") != 0 && api_covers(a, s->key))
			settings_add(out, pool, pool_str(pool, s->key), pool_str(pool, s->value));
	}
	return pool_check(pool, err);
}

/*
 * Receive what queue_settings asked for. The text of a list of all settings stays, since they are
 * in it.
 */
static int
receive_settings(struct api *a, struct pool *pool, struct settings *out, struct api_every *every,
    char identity[FINGERPRINT_MAX], struct err *err)
{
	struct settings *all = every ? &every->settings : out;
	struct http1_answer answer = { 0 };
	int r = -1;

	if (http1_receive(a->http, &answer, err) == 0)
		r = answer.status == 200 ? settings_of_answer(a, all, every ? &every->pool : pool,
					       &answer, every != NULL, err)
					 : status_error(a, &answer, "read the settings", err);
	if (every) {
		every->text = answer.body;
		memset(&answer.body, 0, sizeof(answer.body));
	}
	http1_answer_free(&answer);
	if (r == -1)
		return add_way_out(err);
	r = confirm_server(a, all, identity, err);
	if (!every)
		settings_wipe(out, "oauth.key"); /* a secret, and needed no more */
	else if (r == 0)
		r = choose_settings(a, pool, out, all, err);
	return r;
}

static int
queue_settings(struct api *a, bool every, struct err *err)
{
	return every ? queue_get(a, "/api/settings/list", err) : queue_read(a, err);
}

int
api_read_settings(struct api *a, struct pool *pool, struct settings *out, struct api_every *every,
    struct err *err)
{
	bool asked = !every && a->ahead && !a->http->closed;
	char identity[FINGERPRINT_MAX];

	a->ahead = false;
	if (every)
		api_every_free(every);
	if ((asked || (queue_settings(a, every, err) == 0 && http1_flush(a->http, err) == 0)) &&
	    receive_settings(a, pool, out, every, identity, err) == 0)
		return 0;
	err_end(err);
	return -1;
}

void
api_every_free(struct api_every *every)
{
	pool_free(&every->pool);
	buf_free(&every->text);
	memset(every, 0, sizeof(*every));
}

/* The origin of a URL in the server's answer, or NULL. */
static const char *
origin_of(struct pool *pool, const char *text)
{
	const char *host = text ? strstr(text, "://") : NULL;

	return host ? pool_copy(pool, text, (size_t)(host - text) + 3 + strcspn(host + 3, "/"))
		    : NULL;
}

/* /jmap/session, since 0.12: the URL in force, and whether it is 0.14 or later (server-facts). */
static bool
facts_of_session(struct api_facts *f, struct pool *pool, const struct http1_answer *answer)
{
	const struct json *capabilities;
	struct json *doc = NULL;
	bool is_one;

	if (answer->status != 200 || parse_body(&doc, answer, NULL) == -1)
		return false;
	capabilities = json_member(doc, "capabilities");
	is_one = json_is_object(capabilities);
	f->url_in_force = origin_of(pool, json_string(json_member(doc, "apiUrl")));
	if (json_member(capabilities, "urn:ietf:params:jmap:calendars"))
		f->minor_first = 14;
	json_free(doc);
	return is_one;
}

/*
 * Is this the older server's own answer for what it does not have? A web proxy in front of it,
 * which passes some paths alone, has another 404. From 0.12 on the server itself may hide a path,
 * by http.allowed-endpoint, and then its answer is the same (server-facts).
 */
static bool
shows_no_session(const struct api_facts *f, const struct http1_answer *answer)
{
	const char *type, *detail;
	struct json *doc = NULL;
	bool own;

	if (answer->status != 404 || settings_get(&f->settings, "http.allowed-endpoint") ||
	    settings_has_prefix(&f->settings, "http.allowed-endpoint.") ||
	    parse_body(&doc, answer, NULL) == -1)
		return false;
	type = json_string(json_member(doc, "type"));
	detail = json_string(json_member(doc, "detail"));
	own = type && detail && !strcmp(type, "about:blank") &&
	    !strcmp(detail, "The requested resource does not exist on this server.");
	json_free(doc);
	return own;
}

/* /.well-known/jmap, up to 0.11: the URL in force, and the version. */
static void
facts_of_well_known(struct api_facts *f, struct pool *pool, const struct http1_answer *answer)
{
	const struct json *c;
	const char *text, *at, *version;
	struct json *doc = NULL;
	int minor;

	if (answer->status != 200 || parse_body(&doc, answer, NULL) == -1)
		return;
	f->url_in_force = origin_of(pool, json_string(json_member(doc, "apiUrl")));
	for (c = json_first(json_member(doc, "capabilities")); c; c = json_next(c)) {
		text = json_string(json_member(c, "implementation"));
		at = text ? strstr(text, " v0.") : NULL;
		version = at ? pool_copy(pool, at + 2, strspn(at + 2, "0123456789.")) : NULL;
		minor = version ? changeset_parse_version(version) : -1;
		if (version)
			f->minor_last = 11; /* 0.9.4 calls itself v0.1.0, and 0.12 v1.0.0 */
		if (minor != -1 && minor <= 11) {
			f->minor_first = f->minor_last = minor;
			f->version = version;
		}
	}
	json_free(doc);
}

/* 0.13 and later create these settings at their first start. */
static void
narrow_by_settings(struct api_facts *f)
{
	const struct settings *s = &f->settings;

	if (f->minor_first >= 13 || f->minor_last < 13)
		return;
	if (settings_get(s, "queue.route.local.type") || settings_get(s, "queue.route.mx.type") ||
	    settings_has_prefix(s, "queue.virtual."))
		f->minor_first = 13;
}

/* Up to 0.12 the server dies of this request while its URL has no scheme (server-facts). */
static int
receive_version(struct api *a, struct http1_answer *answer, struct err *err)
{
	if (http1_receive(a->http, answer, err) == 0)
		return 0;
	if (err && err->kind == ERR_REACH && !err->code) {
		err_end(err);
		err_add(err,
		    "Up to 0.12 a server does that while its http.url (or server.http.url) has no "
		    "https://. Correct that, and reload.");
	}
	return -1;
}

/* Whose server is it? */
static int
queue_key(struct api *a, struct err *err)
{
	return queue_get(a, "/api/settings/keys?keys=oauth.key", err);
}

static int
receive_key(struct api *a, struct err *err)
{
	char identity[FINGERPRINT_MAX];
	struct pool pool = { 0 };
	struct settings s;
	int r = receive_settings(a, &pool, &s, NULL, identity, err);

	pool_free(&pool);
	return r;
}

static int
queue_version(struct api *a, struct err *err)
{
	return queue_get(a, "/.well-known/jmap", err);
}

/* Confirm the server; old: and ask it for its version, as up to 0.11. */
static int
read_rest(struct api *a, struct pool *pool, struct api_facts *f, bool old, struct err *err)
{
	struct http1_answer answer = { 0 };
	int r = -1;

	if (queue_key(a, err) == -1 || (old && queue_version(a, err) == -1) ||
	    http1_flush(a->http, err) == -1 || receive_key(a, err) == -1)
		return -1;
	if (!old)
		return 0;
	if (!a->http->closed || (queue_version(a, err) == 0 && http1_flush(a->http, err) == 0))
		r = receive_version(a, &answer, err);
	if (r == 0)
		facts_of_well_known(f, pool, &answer);
	http1_answer_free(&answer);
	return r;
}

/* Without credentials, which would count a wrong password a second time (server-facts). */
static int
queue_session(struct api *a, struct err *err)
{
	return be_open(a, err) == -1 ? -1 : queue(a, "GET", "/jmap/session", NULL, false, err);
}

/* The settings were not given: explain a 404. A new server does not have this API. */
static int
explain_no_settings(const struct api *a, struct pool *pool, struct api_facts *f,
    const struct http1_answer *session, struct err *err)
{
	char hidden[sizeof(NEAR) + 160] = "";

	if (err->kind != ERR_SERVER || err->code != 404)
		return -1;
	if (a->far)
		snprintf(hidden, sizeof(hidden),
		    " Or it is an older one whose http.allowed-endpoint hides the API from all "
		    "addresses but loopback: then %s",
		    NEAR);
	if (facts_of_session(f, pool, session))
		return err_refuse(err, REFUSAL_NEW_SERVER,
		    "This is a new server (0.16 or later). It has no settings API, and it is not "
		    "the server to prepare. Give the old server's URL.%s",
		    hidden);
	return err_refuse(err, REFUSAL_NOT_STALWART,
	    "There is no settings API at this URL (404). This is not a Stalwart server, or it is "
	    "older than 0.7 and has another API. Give the old server's management URL, which also "
	    "serves its administration page.%s",
	    hidden);
}

/*
 * Both requests in one write. The settings come last: next to the question for the key, so that a
 * front that takes turns between two servers shows two keys before anything is written.
 */
static int
read_both(struct api *a, struct pool *pool, struct api_facts *f, struct api_every *every,
    struct http1_answer *session, struct err *err)
{
	if (queue_session(a, err) == -1 || queue_settings(a, every, err) == -1 ||
	    http1_flush(a->http, err) == -1 || receive_version(a, session, err) == -1)
		return -1;
	/* A server that closed after the first answer needs the second request again. */
	if (session->close &&
	    (queue_settings(a, every, err) == -1 || http1_flush(a->http, err) == -1))
		return -1;
	if (receive_settings(a, pool, &f->settings, every, f->identity, err) == 0)
		return 0;
	return explain_no_settings(a, pool, f, session, err);
}

int
api_read(
    struct api *a, struct pool *pool, struct api_facts *f, struct api_every *every, struct err *err)
{
	struct http1_answer session = { 0 };
	bool old;
	int r;

	memset(f, 0, sizeof(*f));
	f->minor_first = 12;
	f->minor_last = MINOR_LAST;
	if (every)
		api_every_free(every);
	r = read_both(a, pool, f, every, &session, err);
	old = r == 0 && !facts_of_session(f, pool, &session);
	if (old) {
		f->minor_first = MINOR_FIRST;
		if (shows_no_session(f, &session))
			f->minor_last = 11;
	}
	if (r == 0 && (every || old))
		r = read_rest(a, pool, f, old, err);
	if (r == 0) {
		narrow_by_settings(f);
		a->capital = f->minor_last <= 10;
		a->spelling_known = f->minor_last <= 10 || f->minor_first >= 11;
	}
	http1_answer_free(&session);
	return r;
}

/*
 * A new connection may lead to another server than the one that was read. Ask before anything is
 * written to it.
 */
static int
confirm_connection(struct api *a, struct err *err)
{
	if (be_open(a, err) == -1)
		return -1;
	if (a->confirmed || !a->known)
		return 0;
	return queue_key(a, err) == -1 || http1_flush(a->http, err) == -1 ? -1
									  : receive_key(a, err);
}

/*
 * One request of a write; reads: with a read behind it, which saves a turn (server-facts: it shows
 * the write), unless the server closes after an answer: what it has not read then could take the
 * answer along. On failure err->code is the answer's status.
 */
static int
write_one(struct api *a, const struct buf *body, bool reads, struct err *err)
{
	struct http1_answer answer = { 0 };
	struct json *doc = NULL;
	struct err ignored;
	int r = -1;

	if (a->http->closed && be_open(a, err) == -1)
		return -1; /* it closes after each answer */
	reads = reads && !a->closes;
	a->http->sent_bytes = false;
	if (queue(a, "POST", "/api/settings", body, true, err) == 0 &&
	    (!reads || queue_read(a, err) == 0) && http1_flush(a->http, err) == 0 &&
	    http1_receive(a->http, &answer, err) == 0)
		r = expect_json(a, &answer, "write the settings", &doc, err);
	a->ahead = r == 0 && reads;
	if (r == -1 && a->http->awaited && http1_receive(a->http, &answer, &ignored) == -1)
		a->http->closed = true;
	json_free(doc);
	http1_answer_free(&answer);
	return r;
}

/* What a failed request of a write has changed. first: none was sent before it. */
static enum api_written
written_after(const struct api *a, const struct err *err, bool first)
{
	if (err->code == 500 && err->kind == ERR_SERVER)
		return API_WRITTEN_FAILED;
	if (first && ((err->code >= 400 && err->code <= 404) || err->code == 413) &&
	    (err->kind == ERR_SERVER || err->kind == ERR_AUTH))
		return API_WRITTEN_NOTHING;
	return first && !a->http->sent_bytes ? API_WRITTEN_NOTHING : API_WRITTEN_MAYBE;
}

int
api_write(
    struct api *a, const struct ops *ops, bool reads, enum api_written *written, struct err *err)
{
	struct buf body = { 0 };
	struct err why;
	size_t from = 0, next;
	bool confirmed;
	int r = 0;

	*written = API_WRITTEN_NOTHING;
	while (from < ops->count && r == 0) {
		buf_reset(&body);
		next = ops_format(ops, from, a->capital, &body);
		err_clear(&why);
		confirmed = confirm_connection(a, &why) == 0;
		r = confirmed ? write_one(a, &body, reads && next == ops->count, &why) : -1;
		if (r == -1 && confirmed && why.code == 400 && from == 0 && !a->spelling_known) {
			/* Nothing was done: it is safe to try the other spelling (server-facts). */
			a->capital = !a->capital;
			a->spelling_known = true;
			r = 0;
			continue;
		}
		if (r == -1) {
			*written = confirmed ? written_after(a, &why, from == 0)
			    : from           ? API_WRITTEN_MAYBE
					     : API_WRITTEN_NOTHING;
			err_end(&why);
			*err = why;
		}
		a->spelling_known = true;
		from = next;
	}
	buf_free(&body);
	return r;
}

/* Add the faults that an answer lists. The caller asks the pool whether memory ran out. */
static void
add_faults(struct api_fault **faults, size_t *count, struct pool *pool, const struct json *list)
{
	const struct json *j;
	const char *text;
	char *kind;

	for (j = json_first(list); j; j = json_next(j)) {
		struct api_fault *fault = pool_add(pool, *faults, *count);

		text = json_string(json_member(j, "type"));
		fault->kind = kind = pool_str(pool, text ? text : "error");
		for (; *kind; kind++)
			*kind = *kind >= 'A' && *kind <= 'Z' ? (char)(*kind + 32) : *kind;
		text = json_string(json_member(j, "error"));
		fault->text = pool_str(pool, text ? text : "");
		fault->key = pool_str(pool, json_name(j) ? json_name(j) : "");
	}
}

int
api_reload(
    struct api *a, struct pool *pool, bool dry_run, struct api_reloaded *out, struct err *err)
{
	/* Without a value dry-run is ignored, and the server really reloads (server-facts). */
	const char *target = dry_run ? "/api/reload?dry-run=1" : "/api/reload";
	struct http1_answer answer = { 0 };
	const struct json *data, *errors;
	struct json *doc = NULL;
	int r = -1;

	memset(out, 0, sizeof(*out));
	if (queue_get(a, target, err) == -1 || http1_flush(a->http, err) == -1 ||
	    http1_receive(a->http, &answer, err) == -1 ||
	    expect_json(a, &answer, "reload", &doc, err) == -1)
		goto done;
	data = json_member(doc, "data");
	errors = json_member(data, "errors");
	if (!json_is_object(errors)) {
		err_set(err, ERR_SERVER,
		    "stalprep does not understand the server's answer to the reload (its list of "
		    "errors is missing).");
	} else {
		add_faults(&out->errors, &out->error_count, pool, errors);
		add_faults(
		    &out->warnings, &out->warning_count, pool, json_member(data, "warnings"));
		r = pool_check(pool, err);
	}
done:
	json_free(doc);
	http1_answer_free(&answer);
	return r;
}
