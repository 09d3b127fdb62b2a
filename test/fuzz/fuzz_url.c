/*
 * fuzz_url.c - URLs: what is accepted reads the same once it was written; nothing before an @ is
 * ever echoed
 */
#include "fuzz.h"

#include "format/addr.h"
#include "format/url.h"

#include <ctype.h>

static void
check_same(const struct url *a, const struct url *b, const char *text)
{
	CHECK(a->https == b->https && a->is_addr == b->is_addr && a->port == b->port &&
		!strcmp(a->host, b->host),
	    "\"%s\" reads otherwise once it was written", text);
}

static void
check_host(const struct url *u)
{
	struct net n;
	size_t i;

	CHECK(u->port >= 1 && u->port <= 65535, "port %u", u->port);
	CHECK(addr_parse(&n, u->host) == u->is_addr, "host %s", u->host);
	CHECK(host_is_name(u->host) != u->is_addr,
	    "host %s is neither a name nor an address, or both", u->host);
	for (i = 0; u->host[i]; i++)
		CHECK(!isupper((unsigned char)u->host[i]), "host %s", u->host);
	CHECK(u->https || !strcmp(u->host, "localhost") || (u->is_addr && net_is_loopback(&n)),
	    "plain http to %s", u->host);
}

static void
check_written(const struct url *u)
{
	char text[ORIGIN_MAX], authority[ORIGIN_MAX];
	struct url again;
	struct err err;

	url_format(u, text);
	url_authority(u, authority);
	CHECK(strlen(text) > strlen(authority) &&
		!strcmp(text + strlen(text) - strlen(authority), authority),
	    "%s", text);
	CHECK(url_parse(&again, text, "--url", &err) == 0, "%s: %s", text, err.text);
	check_same(u, &again, text);
}

/* A user or a password may stand before an @: the message is the same for all of them. */
static void
check_silent(const char *text, const struct err *err)
{
	struct err other;
	struct url u;

	check_err(err);
	CHECK(err->kind == ERR_USAGE, "kind %d", err->kind);
	if (!strchr(text, '@'))
		return;
	CHECK(url_parse(&u, "https://admin:secret@a.example", "--url", &other) == -1,
	    "a password was taken");
	CHECK(!strcmp(err->text, other.text), "\"%s\" is quoted: %s", text, err->text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size);
	struct err err;
	struct url u, other;

	if (url_parse(&u, text, "--url", &err) == 0) {
		check_host(&u);
		check_written(&u);
	} else {
		check_silent(text, &err);
	}
	if (url_parse_public(&u, text, "--url", &err) == 0) {
		CHECK(u.https && !u.is_addr, "%s", text);
		check_written(&u);
		CHECK(url_parse(&other, text, "--url", &err) == 0, "%s: %s", text, err.text);
		check_same(&u, &other, text);
	} else {
		check_silent(text, &err);
	}
	free(text);
	return 0;
}
