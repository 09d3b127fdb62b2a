#include "format/url.h"

#include "base/err.h"
#include "format/addr.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/*
 * One label of n bytes: letters, digits and inner hyphens (RFC 1123, 2.1), and underscores, which
 * real zones have.
 */
static bool
label_ok(const char *s, size_t n, bool *digits)
{
	size_t i;

	if (!n || n > LABEL_MAX || s[0] == '-' || s[n - 1] == '-')
		return false;
	*digits = true;
	for (i = 0; i < n; i++) {
		if (!is_alnum(s[i]) && s[i] != '-' && s[i] != '_')
			return false;
		if (s[i] < '0' || s[i] > '9')
			*digits = false;
	}
	return true;
}

bool
host_is_name(const char *text)
{
	size_t len = strlen(text), n;
	bool digits = true;

	if (len && text[len - 1] == '.')
		len--;
	if (!len || len > HOST_MAX)
		return false;
	for (;; text += n + 1, len -= n + 1) {
		const char *dot = memchr(text, '.', len);

		n = dot ? (size_t)(dot - text) : len;
		if (!label_ok(text, n, &digits))
			return false;
		if (n == len)
			return !digits;
		if (n + 1 == len)
			return false;
	}
}

static int
parse_port(const char *s, unsigned *port)
{
	unsigned value = 0;
	size_t i;

	for (i = 0; s[i]; i++) {
		if (s[i] < '0' || s[i] > '9' || i == 5)
			return -1;
		value = value * 10 + (unsigned)(s[i] - '0');
	}
	if (!i || !value || value > 65535)
		return -1;
	*port = value;
	return 0;
}

/* Copy the host of n bytes, lower-cased; decide what it is. */
static int
parse_host(struct url *u, const char *s, size_t n, bool bracketed)
{
	struct net addr;
	size_t i;

	if (!n || n > HOST_MAX)
		return -1;
	for (i = 0; i < n; i++)
		u->host[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
	u->host[n] = '\0';
	u->is_addr = addr_parse(&addr, u->host);
	if (bracketed)
		return u->is_addr && strchr(u->host, ':') ? 0 : -1;
	if (u->is_addr)
		return strchr(u->host, ':') ? -1 : 0;
	return host_is_name(u->host) ? 0 : -1;
}

/* What follows the scheme: HOST[:PORT][/]. */
static int
parse_authority(struct url *u, const char *s)
{
	const char *end = s + strcspn(s, "/"), *host = s, *host_end;
	char port[8] = "";
	bool bracketed = *s == '[';

	if (end[0] && end[1])
		return -1;
	if (bracketed) {
		host = s + 1;
		host_end = strchr(host, ']');
		if (!host_end || host_end > end)
			return -1;
		s = host_end + 1;
	} else {
		host_end = memchr(s, ':', (size_t)(end - s));
		if (!host_end)
			host_end = end;
		s = host_end;
	}
	if (parse_host(u, host, (size_t)(host_end - host), bracketed) == -1)
		return -1;
	if (s == end)
		return 0;
	if (*s != ':' || (size_t)(end - s) >= sizeof(port))
		return -1;
	memcpy(port, s + 1, (size_t)(end - s - 1));
	return parse_port(port, &u->port);
}

/* Never echo what is before an @: it may be a password. */
static int
check_shape(const char *text, const char *what, struct err *err)
{
	size_t i;

	if (strchr(text, '@'))
		return err_set(err, ERR_USAGE,
		    "%s: the URL must not hold a user or a password; use --user and "
		    "--password-file",
		    what);
	for (i = 0; text[i]; i++) {
		if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f)
			return err_set(err, ERR_USAGE,
			    "%s: the URL holds a blank or a character that is not ASCII; write "
			    "international names in their xn-- form",
			    what);
	}
	return 0;
}

int
url_parse(struct url *u, const char *text, const char *what, struct err *err)
{
	struct net addr;
	const char *rest;

	memset(u, 0, sizeof(*u));
	if (check_shape(text, what, err) == -1)
		return -1;
	if (!strncasecmp(text, "https://", 8)) {
		u->https = true;
		u->port = 443;
		rest = text + 8;
	} else if (!strncasecmp(text, "http://", 7)) {
		u->port = 80;
		rest = text + 7;
	} else {
		return err_set(err, ERR_USAGE,
		    "%s \"%.120s\" is not an https URL, such as https://mail.example.org", what,
		    text);
	}
	if (parse_authority(u, rest) == -1)
		return err_set(err, ERR_USAGE,
		    "%s \"%.120s\": it needs a scheme, a host, maybe a port, and no path, such as "
		    "https://mail.example.org:8443",
		    what, text);
	if (!u->https && strcmp(u->host, "localhost") != 0 &&
	    !(u->is_addr && addr_parse(&addr, u->host) && net_is_loopback(&addr)))
		return err_set(err, ERR_USAGE,
		    "%s \"%.120s\": plain http is allowed for a loopback address only, since the "
		    "password would cross the network in the clear. Use https, or run stalprep on "
		    "the server itself",
		    what, text);
	return 0;
}

int
url_parse_public(struct url *u, const char *text, const char *what, struct err *err)
{
	memset(u, 0, sizeof(*u));
	if (check_shape(text, what, err) == -1)
		return -1;
	u->https = true;
	u->port = 443;
	if (strncasecmp(text, "https://", 8) != 0 || parse_authority(u, text + 8) == -1)
		return err_set(err, ERR_USAGE,
		    "%s \"%.120s\": it needs to be https with a host and no path, such as "
		    "https://mail.example.org",
		    what, text);
	if (u->is_addr)
		return err_set(err, ERR_USAGE,
		    "%s \"%.120s\": clients need the public host name, not an address", what, text);
	return 0;
}

void
url_authority(const struct url *u, char *out)
{
	bool brackets = strchr(u->host, ':') != NULL;
	char port[8] = "";

	if (u->port != (u->https ? 443 : 80))
		snprintf(port, sizeof(port), ":%u", u->port);
	snprintf(
	    out, ORIGIN_MAX, "%s%s%s%s", brackets ? "[" : "", u->host, brackets ? "]" : "", port);
}

void
url_format(const struct url *u, char *out)
{
	char authority[ORIGIN_MAX];

	url_authority(u, authority);
	snprintf(
	    out, ORIGIN_MAX, "%s://%.*s", u->https ? "https" : "http", ORIGIN_MAX - 16, authority);
}
