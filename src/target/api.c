#include "target/api.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/utf8.h"
#include "format/json.h"
#include "settings/changeset.h"
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

enum { DETAIL_MAX = 200 }; /* bytes of the server's own text that a message quotes */

/* Parse an answer's body. 0 with *doc for json_free, or -1 with err. */
static int
parse_body(struct json **doc, const struct http1_answer *answer, struct err *err)
{
	return json_parse(doc, buf_text(&answer->body), answer->body.len, err);
}

/* The server's own text in an error answer, made fit for one line; "" when there is none. */
static void
detail_of_answer(char *out, const struct http1_answer *answer)
{
	static const char *const names[] = { "detail", "details", "reason", "error", "title" };
	struct json *doc = NULL;
	const char *text = NULL;
	size_t i, n = 0, step;

	out[0] = '\0';
	if (parse_body(&doc, answer, NULL) == -1)
		return;
	for (i = 0; i < COUNT(names) && !text; i++)
		text = json_string(json_member(doc, names[i]));
	for (; text && *text; text += step) {
		step = utf8_length(text, strlen(text));
		if (!step || n + step > DETAIL_MAX)
			break;
		memcpy(out + n, (unsigned char)*text < ' ' ? " " : text, step);
		n += step;
	}
	out[n] = '\0';
	json_free(doc);
}

/* Turn an answer's status that is not a success into an error. */
static int
status_error(const struct http1_answer *answer, const char *what, struct err *err)
{
	char detail[DETAIL_MAX + 1];
	int status = answer->status;
	enum err_kind kind = (status >= 401 && status <= 403) || status == 429 ? ERR_AUTH
									       : ERR_SERVER;

	detail_of_answer(detail, answer);
	if (status == 403 && strstr(detail, "TOTP"))
		status = 402; /* up to 0.9, 403 means this too */
	switch (status) {
	case 401:
		err_set(err, kind,
		    "The server does not accept the login (401). Check --user (the account's name, "
		    "not its mail address), the password and the second factor if there is one.");
		break;
	case 402:
		err_set(err, kind,
		    "The password is right, but the account needs its second factor too (402).");
		break;
	case 403:
		err_set(err, kind,
		    "The account is not allowed to %s (403). It needs the permissions "
		    "settings-list, settings-update, settings-delete and settings-reload.",
		    what);
		break;
	case 429:
		err_set(err, kind,
		    "The server reports too many requests or failed logins (429). Wait, and check "
		    "the password: after 100 failed logins in a day the server bans this address.");
		break;
	default:
		if (answer->status >= 300 && answer->status < 400)
			err_set(err, kind,
			    "The server redirects (%d) to %s. stalprep does not follow redirects. "
			    "Give the management API's own URL.",
			    answer->status, answer->location);
		else
			err_set(err, kind, "The server answered %d when asked to %s%s%s.",
			    answer->status, what, *detail ? ": " : "", detail);
	}
	if (err)
		err->code = status;
	return -1;
}

/* Parse an API answer: status 200, "data" and no "error". The caller frees *doc. */
static int
expect_json(struct http1_answer *answer, const char *what, struct json **doc, struct err *err)
{
	char detail[DETAIL_MAX + 1];
	struct err why;

	*doc = NULL;
	if (answer->status != 200)
		return status_error(answer, what, err);
	if (parse_body(doc, answer, &why) == -1)
		return why.code == ENOMEM
		    ? err_memory(err)
		    : err_set(err, ERR_SERVER,
			  "stalprep does not understand the server's answer (%s).", why.text);
	if (json_member(*doc, "error") || !json_member(*doc, "data")) {
		detail_of_answer(detail, answer);
		json_free(*doc);
		*doc = NULL;
		return err_set(err, ERR_SERVER, "The server could not %s%s%s.", what,
		    *detail ? ": " : "", detail);
	}
	return 0;
}

static int
queue(
    struct api *a, const char *method, const char *target, const struct buf *body, struct err *err)
{
	struct http1_request r = {
		.method = method,
		.target = target,
		.host = a->host,
		.authorization = a->authorization,
		.body = body ? buf_text(body) : NULL,
		.body_len = body ? body->len : 0,
	};

	if (body && !r.body)
		return err_memory(err);
	if (a->http->closed && a->reopen && a->reopen(a->ctx, err) == -1)
		return -1;
	return http1_queue(a->http, &r, err);
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
	r = target.failed ? err_memory(err) : queue(a, "GET", target.data, NULL, err);
	buf_free(&target);
	return r;
}

static bool
is_below(const char *key, const char *prefix, const char *more)
{
	size_t len = strlen(prefix), n = strlen(more);

	return !strncmp(key, prefix, len) && !strncmp(key + len, more, n) && key[len + n] == '.';
}

bool
api_covers(const struct api *a, const char *key)
{
	static const char allowed[] = "server.allowed-ip.";
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
	    (*a->new_server && !strncmp(key, allowed, strlen(allowed)) &&
		!strcmp(key + strlen(allowed), a->new_server));
}

/* Make a sorted map of {"data":{"key":"value",…}}; a list has them in data's "items". */
static int
settings_of_answer(
    struct settings *out, struct pool *pool, const struct json *doc, bool list, struct err *err)
{
	const struct json *data = json_member(doc, "data"), *j;

	memset(out, 0, sizeof(*out));
	if (list)
		data = json_member(data, "items");
	if (!json_is_object(data))
		return err_set(err, ERR_SERVER,
		    "stalprep does not understand the server's answer (it has no settings).");
	for (j = json_first(data); j; j = json_next(j)) {
		if (!json_string(j))
			return err_set(err, ERR_SERVER,
			    "stalprep does not understand the server's answer (a setting's value "
			    "is not text).");
		settings_add(
		    out, pool, pool_str(pool, json_name(j)), pool_str(pool, json_string(j)));
	}
	/* A key lost here would look as if the server did not have it. */
	return pool_check(pool, err) == -1 ? -1 : settings_sort(out, err);
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

static int
receive_settings(struct api *a, struct pool *pool, bool list, struct settings *out,
    char identity[FINGERPRINT_MAX], struct err *err, struct http1_answer *answer)
{
	struct json *doc;
	int r;

	if (http1_receive(a->http, answer, err) == -1 ||
	    expect_json(answer, "read the settings", &doc, err) == -1)
		return -1;
	r = settings_of_answer(out, pool, doc, list, err);
	json_free(doc);
	if (r == 0)
		r = confirm_server(a, out, identity, err);
	if (!list) /* a secret, and needed no more */
		settings_wipe(out, "oauth.key");
	return r;
}

int
api_read_settings(struct api *a, struct pool *pool, struct settings *out, struct err *err)
{
	struct http1_answer answer = { 0 };
	char identity[FINGERPRINT_MAX];
	int r = -1;

	if (queue_read(a, err) == 0 && http1_flush(a->http, err) == 0)
		r = receive_settings(a, pool, false, out, identity, err, &answer);
	if (r == -1)
		err_end(err);
	http1_answer_free(&answer);
	return r;
}

int
api_read_every(struct api *a, struct pool *pool, struct settings *out, struct err *err)
{
	struct http1_answer answer = { 0 };
	char identity[FINGERPRINT_MAX];
	int r = -1;

	if (queue(a, "GET", "/api/settings/list", NULL, err) == 0 && http1_flush(a->http, err) == 0)
		r = receive_settings(a, pool, true, out, identity, err, &answer);
	if (r == -1 && err->refusal == REFUSAL_NONE)
		err_add(err, "This was the list of all settings.");
	http1_answer_free(&answer);
	return r;
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

static int
read_well_known(struct api *a, struct pool *pool, struct api_facts *f, struct err *err)
{
	struct http1_answer answer = { 0 };
	int r = -1;

	if (queue(a, "GET", "/.well-known/jmap", NULL, err) == 0 && http1_flush(a->http, err) == 0)
		r = http1_receive(a->http, &answer, err);
	if (r == 0)
		facts_of_well_known(f, pool, &answer);
	http1_answer_free(&answer);
	return r;
}

/* The settings were not given: explain a 404. A new server does not have this API. */
static int
explain_no_settings(
    struct pool *pool, struct api_facts *f, const struct http1_answer *session, struct err *err)
{
	if (err->kind != ERR_SERVER || err->code != 404)
		return -1;
	if (facts_of_session(f, pool, session))
		return err_refuse(err, REFUSAL_NEW_SERVER,
		    "This is a new server (0.16 or later). It has no settings API, and it is not "
		    "the server to prepare. Give the old server's URL.");
	return err_refuse(err, REFUSAL_NOT_STALWART,
	    "There is no settings API at this URL (404). This is not a Stalwart server, or it is "
	    "older than 0.7 and has another API. Give the old server's management URL, which also "
	    "serves its administration page.");
}

/*
 * Both requests in one write. The settings come last: next to the list of all settings, so that a
 * front that takes turns between two servers shows two keys before anything is written.
 */
static int
read_both(struct api *a, struct pool *pool, struct api_facts *f, struct http1_answer *session,
    struct http1_answer *settings, struct err *err)
{
	if (queue(a, "GET", "/jmap/session", NULL, err) == -1 || queue_read(a, err) == -1 ||
	    http1_flush(a->http, err) == -1 || http1_receive(a->http, session, err) == -1)
		return -1;
	/* A server that closed after the first answer needs the second request again. */
	if (session->close && (queue_read(a, err) == -1 || http1_flush(a->http, err) == -1))
		return -1;
	if (receive_settings(a, pool, false, &f->settings, f->identity, err, settings) == 0)
		return 0;
	return explain_no_settings(pool, f, session, err);
}

int
api_read(struct api *a, struct pool *pool, struct api_facts *f, struct err *err)
{
	struct http1_answer settings = { 0 }, session = { 0 };
	int r;

	memset(f, 0, sizeof(*f));
	f->minor_first = 12;
	f->minor_last = MINOR_LAST;
	r = read_both(a, pool, f, &session, &settings, err);
	if (r == 0 && !facts_of_session(f, pool, &session)) {
		f->minor_first = MINOR_FIRST;
		if (shows_no_session(f, &session))
			f->minor_last = 11;
		r = read_well_known(a, pool, f, err);
	}
	if (r == 0) {
		narrow_by_settings(f);
		a->capital = f->minor_last <= 10;
		a->spelling_known = f->minor_last <= 10 || f->minor_first >= 11;
	}
	http1_answer_free(&settings);
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
	struct http1_answer answer = { 0 };
	char identity[FINGERPRINT_MAX];
	struct pool pool = { 0 };
	struct settings s;
	int r = -1;

	if (a->http->closed && a->reopen && a->reopen(a->ctx, err) == -1)
		return -1;
	if (a->confirmed || !a->known)
		return 0;
	if (queue(a, "GET", "/api/settings/keys?keys=oauth.key", NULL, err) == 0 &&
	    http1_flush(a->http, err) == 0)
		r = receive_settings(a, &pool, false, &s, identity, err, &answer);
	http1_answer_free(&answer);
	pool_free(&pool);
	return r;
}

/* One request of a write. On failure err->code is the answer's status. */
static int
write_one(struct api *a, const struct buf *body, struct err *err)
{
	struct http1_answer answer = { 0 };
	struct json *doc = NULL;
	int r = -1;

	if (queue(a, "POST", "/api/settings", body, err) == 0 && http1_flush(a->http, err) == 0 &&
	    http1_receive(a->http, &answer, err) == 0)
		r = expect_json(&answer, "write the settings", &doc, err);
	json_free(doc);
	http1_answer_free(&answer);
	return r;
}

static enum api_written
written_after(const struct api *a, const struct err *err, bool first)
{
	if (err->code == 500 && err->kind == ERR_SERVER)
		return API_WRITTEN_FAILED;
	if (first && err->code >= 400 && err->code <= 404 &&
	    (err->kind == ERR_SERVER || err->kind == ERR_AUTH))
		return API_WRITTEN_NOTHING;
	return first && !a->http->sent_bytes ? API_WRITTEN_NOTHING : API_WRITTEN_MAYBE;
}

int
api_write(struct api *a, const struct ops *ops, enum api_written *written, struct err *err)
{
	struct buf body = { 0 };
	struct err why;
	size_t from = 0, next;
	int r = 0;

	*written = API_WRITTEN_NOTHING;
	if (confirm_connection(a, err) == -1)
		return -1;
	a->http->sent_bytes = false;
	while (from < ops->count && r == 0) {
		buf_reset(&body);
		next = ops_format(ops, from, a->capital, &body);
		err_clear(&why);
		r = write_one(a, &body, &why);
		if (r == -1 && why.code == 400 && from == 0 && !a->spelling_known) {
			/* Nothing was done: it is safe to try the other spelling (server-facts). */
			a->capital = !a->capital;
			a->spelling_known = true;
			a->http->sent_bytes = false;
			r = 0;
			continue;
		}
		if (r == -1) {
			*written = written_after(a, &why, from == 0);
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
	if (queue(a, "GET", target, NULL, err) == -1 || http1_flush(a->http, err) == -1 ||
	    http1_receive(a->http, &answer, err) == -1 ||
	    expect_json(&answer, "reload", &doc, err) == -1)
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
