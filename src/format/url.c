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

/* Returns NULL, or what is wrong. */
static const char *
parse_port(const char *s, size_t len, unsigned *port)
{
	unsigned value = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return "the port is not a number";
		value = value * 10 + (unsigned)(s[i] - '0');
		if (value > 65535)
			return "the port is not a number from 1 to 65535";
	}
	*port = value;
	return value ? NULL
	    : len    ? "port 0 can't be connected to"
		     : "the port behind the colon is missing";
}

static bool
has_long_label(const char *host)
{
	size_t n;

	for (; (n = strcspn(host, ".")) <= LABEL_MAX; host += n + 1) {
		if (!host[n])
			return false;
	}
	return true;
}

/* Copy the host of n bytes, lower-cased; decide what it is. Returns NULL, or what is wrong. */
static const char *
parse_host(struct url *u, const char *s, size_t n, bool bracketed)
{
	static const char bad[] = "the host is not a name or an address";
	struct net addr;
	size_t i;

	if (!n)
		return "the host is missing";
	if (n > HOST_MAX)
		return "the host is longer than 253 bytes";
	for (i = 0; i < n; i++)
		u->host[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
	u->host[n] = '\0';
	u->is_addr = addr_parse(&addr, u->host);
	if (bracketed && strchr(u->host, '%'))
		return "an address of one link (with %) can't stand in a URL: give the server a "
		       "name, and its address by --resolve";
	if (bracketed)
		return u->is_addr && strchr(u->host, ':') ? NULL
							  : "no IPv6 address is in the "
							    "brackets";
	if (u->is_addr)
		return strchr(u->host, ':') ? "an IPv6 address needs brackets" : NULL;
	return host_is_name(u->host)  ? NULL
	    : has_long_label(u->host) ? "a part of the host's name is longer than 63 bytes"
				      : bad;
}

/* What follows the scheme: HOST[:PORT][/]. Returns NULL, or what is wrong. */
static const char *
parse_authority(struct url *u, const char *s)
{
	static const char path[] = "it has a path";
	const char *end = s + strcspn(s, "/"), *host = s, *host_end, *why;
	bool bracketed = *s == '[';

	if (end[0] && end[1])
		return path;
	if (bracketed) {
		host = s + 1;
		host_end = strchr(host, ']');
		if (!host_end || host_end > end)
			return "the bracket is not closed";
		s = host_end + 1;
	} else {
		host_end = memchr(s, ':', (size_t)(end - s));
		if (!host_end)
			host_end = end;
		s = host_end;
	}
	why = parse_host(u, host, (size_t)(host_end - host), bracketed);
	if (why || s == end)
		return why;
	return *s == ':' ? parse_port(s + 1, (size_t)(end - s - 1), &u->port)
			 : "only a port may follow the host";
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

bool
url_is_loopback(const struct url *u)
{
	struct net addr;

	return !strcmp(u->host, "localhost") ||
	    (u->is_addr && addr_parse(&addr, u->host) && net_is_loopback(&addr));
}

int
url_parse(struct url *u, const char *text, const char *what, struct err *err)
{
	const char *rest, *why;

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
	why = parse_authority(u, rest);
	if (why)
		return err_set(err, ERR_USAGE,
		    "%s \"%.120s\": %s. It needs a scheme, a host, maybe a port, and no path, such "
		    "as https://mail.example.org:8443",
		    what, text, why);
	if (!u->https && !url_is_loopback(u))
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
	const char *why;

	memset(u, 0, sizeof(*u));
	if (check_shape(text, what, err) == -1)
		return -1;
	u->https = true;
	u->port = 443;
	why = strncasecmp(text, "https://", 8) ? "it is not https" : parse_authority(u, text + 8);
	if (why)
		return err_set(err, ERR_USAGE,
		    "%s \"%.120s\": %s. It needs to be https with a host and no path, such as "
		    "https://mail.example.org",
		    what, text, why);
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
