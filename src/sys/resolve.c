#include "sys/resolve.h"

#include "base/err.h"
#include "sys/confine.h"
#include "sys/deadline.h"
#include "sys/secret.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	WHAT_MAX = HOST_MAX + 64, /* longest "looking up HOST" */
	/* for the other family's addresses, once one's are there (RFC 8305, 3, has 50 ms) */
	FAMILY_WAIT_MS = 500
};

/* What the child that looks a name up tells its parent, in one write. */
struct found {
	uint32_t magic;
	int32_t status; /* getaddrinfo's */
	int32_t number; /* errno when status is EAI_SYSTEM */
	uint32_t count;
	union resolve_addr addr[RESOLVE_MAX];
};
enum { FOUND_MAGIC = 0x73746c70 };
_Static_assert(sizeof(struct found) <= 4096, "PIPE_BUF: the record arrives whole or not at all");

/* ---- addresses ---- */

/* Digits only, 1 to 65535, up to `end`. */
static bool
port_parse(const char *text, const char *end, unsigned *port)
{
	unsigned v = 0;

	if (text == end)
		return false;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9')
			return false;
		v = v * 10 + (unsigned)(*text - '0');
		if (v > 65535)
			return false;
	}
	*port = v;
	return v > 0;
}

/* A scope is an interface's name or its number. */
static bool
scope_parse(const char *text, uint32_t *scope)
{
	char *end;
	unsigned long v;

	*scope = if_nametoindex(text);
	if (*scope)
		return true;
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	v = strtoul(text, &end, 10);
	if (*end || errno || !v || v > UINT32_MAX)
		return false;
	*scope = (uint32_t)v;
	return true;
}

/* IPv4 in four decimal parts, or IPv6 with or without %scope; no brackets. */
static bool
literal(union resolve_addr *a, const char *text, unsigned port)
{
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 2];
	char *percent;

	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons((uint16_t)port);
		return true;
	}
	if (strlen(text) >= sizeof(host))
		return false;
	strcpy(host, text);
	percent = strchr(host, '%');
	if (percent) {
		*percent = '\0';
		if (!scope_parse(percent + 1, &a->in6.sin6_scope_id))
			return false;
	}
	if (inet_pton(AF_INET6, host, &a->in6.sin6_addr) != 1)
		return false;
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_port = htons((uint16_t)port);
	return true;
}

bool
resolve_is_loopback(const union resolve_addr *a)
{
	return a->sa.sa_family == AF_INET ? ntohl(a->in.sin_addr.s_addr) >> 24 == 127
					  : IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

void
resolve_format(const union resolve_addr *a, char *out)
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (a->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host));
		snprintf(out, RESOLVE_TEXT_MAX, "%s:%u", host, (unsigned)ntohs(a->in.sin_port));
		return;
	}
	inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host));
	if (a->in6.sin6_scope_id)
		snprintf(out, RESOLVE_TEXT_MAX, "[%s%%%" PRIu32 "]:%u", host, a->in6.sin6_scope_id,
		    (unsigned)ntohs(a->in6.sin6_port));
	else
		snprintf(out, RESOLVE_TEXT_MAX, "[%s]:%u", host, (unsigned)ntohs(a->in6.sin6_port));
}

static bool
same_addr(const union resolve_addr *a, const union resolve_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr &&
		    a->in.sin_port == b->in.sin_port;
	return !memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) &&
	    a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id;
}

/* Add an address unless it is there already or there are enough. */
static void
add_addr(struct resolved *r, const union resolve_addr *a)
{
	size_t i;

	if (r->count == RESOLVE_MAX)
		return;
	for (i = 0; i < r->count; i++) {
		if (same_addr(&r->addr[i], a))
			return;
	}
	r->addr[r->count++] = *a;
}

/* ---- --resolve ---- */

static int
bad_entry(const char *text, const char *why, struct err *err)
{
	return err_set(err, ERR_USAGE,
	    "--resolve %s: %s; it needs HOST:PORT:ADDR[,ADDR...], IPv6 in brackets", text, why);
}

/* HOST up to its colon, in brackets or without; *rest is what follows the colon. */
static int
entry_host(struct resolve_entry *e, const char *text, const char **rest, struct err *err)
{
	const char *begin = text, *end;

	if (*text == '[') {
		begin = text + 1;
		end = strchr(begin, ']');
		if (!end || end[1] != ':')
			return bad_entry(text, "the bracket is not closed", err);
		*rest = end + 2;
	} else {
		end = strchr(text, ':');
		if (!end)
			return bad_entry(text, "the port is missing", err);
		*rest = end + 1;
	}
	if (end == begin || (size_t)(end - begin) > HOST_MAX)
		return bad_entry(text, "the host is empty or too long", err);
	memcpy(e->host, begin, (size_t)(end - begin));
	e->host[end - begin] = '\0';
	return 0;
}

/* One ADDR of len bytes, in brackets or without. */
static bool
entry_addr(struct resolve_entry *e, const char *text, size_t len)
{
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 2];
	union resolve_addr a;

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (!len || len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	if (!literal(&a, host, e->port) || e->to.count == RESOLVE_MAX)
		return false;
	add_addr(&e->to, &a);
	return true;
}

int
resolve_parse(struct resolve_entry *e, const char *text, struct err *err)
{
	const char *rest = NULL, *colon;
	size_t len;

	memset(e, 0, sizeof(*e));
	if (*text == '-')
		return bad_entry(text, "there is nothing to remove", err);
	if (entry_host(e, *text == '+' ? text + 1 : text, &rest, err) == -1)
		return -1;
	colon = strchr(rest, ':');
	if (!colon)
		return bad_entry(text, "the address is missing", err);
	if (!port_parse(rest, colon, &e->port))
		return bad_entry(text, "the port is not a number from 1 to 65535", err);
	for (rest = colon + 1;; rest += len + 1) {
		len = strcspn(rest, ",");
		if (!entry_addr(e, rest, len))
			return bad_entry(
			    text, "an address is not IPv4 or IPv6, or there are too many", err);
		if (!rest[len])
			return 0;
	}
}

/* ---- names ---- */

/* Are they the same host? Case and one final dot do not count. */
static bool
same_host(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);

	if (la && a[la - 1] == '.')
		la--;
	if (lb && b[lb - 1] == '.')
		lb--;
	return la == lb && !strncasecmp(a, b, la);
}

/* An entry of this host wins over one of "*" (curl's order). */
static const struct resolve_entry *
find_entry(const char *host, unsigned port, const struct resolve_entry *entries, size_t count)
{
	const struct resolve_entry *any = NULL;
	size_t i;

	for (i = 0; i < count; i++) {
		if (entries[i].port != port)
			continue;
		if (same_host(entries[i].host, host))
			return &entries[i];
		if (!any && !strcmp(entries[i].host, "*"))
			any = &entries[i];
	}
	return any;
}

/* What is looked up, and one family's part of it. */
struct query {
	const char *host;
	unsigned port;
};
struct lookup {
	int family;
	pid_t pid;
	int fd; /* -1: it is over */
	size_t have;
	struct found found; /* filled up to have */
};

/*
 * The child: look up, tell, end. It must not run the parent's atexit handlers or flush its streams.
 */
static _Noreturn void
look_up(const struct query *q, int family, int out)
{
	struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM }, *list = NULL,
			*a;
	struct found f = { .magic = FOUND_MAGIC };
	static const uint16_t dns = 53;
	char service[8];

	secret_forget_env(SECRET_ENV);
	(void)confine(&(struct confine_keep){ .names = true, .ports = &dns, .count = 1 });
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN); /* the terminal sends it to both; the parent decides */
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	snprintf(service, sizeof(service), "%u", q->port);
	f.status = getaddrinfo(q->host, service, &hints, &list);
	f.number = errno;
	for (a = f.status ? NULL : list; a && f.count < RESOLVE_MAX; a = a->ai_next) {
		if (a->ai_family == family && a->ai_addrlen <= sizeof(f.addr[0]))
			memcpy(&f.addr[f.count++], a->ai_addr, a->ai_addrlen);
	}
	_exit(write(out, &f, sizeof(f)) == (ssize_t)sizeof(f) ? 0 : 1);
}

/* getaddrinfo knows no deadline, so a child runs it, which can be killed. 0, or -1 with errno. */
static int
begin_lookup(struct lookup *l, const struct query *q, int family)
{
	int fds[2], number;

	memset(l, 0, sizeof(*l));
	l->family = family;
	l->fd = -1;
	if (pipe2(fds, O_CLOEXEC) == -1)
		return -1;
	l->pid = _Fork();
	number = errno;
	if (l->pid == 0) {
		close(fds[0]);
		look_up(q, family, fds[1]);
	}
	close(fds[1]);
	if (l->pid == -1) {
		close(fds[0]);
		errno = number;
		return -1;
	}
	l->fd = fds[0];
	return 0;
}

static void
end_lookup(struct lookup *l)
{
	if (l->fd == -1)
		return;
	close(l->fd);
	l->fd = -1;
	kill(l->pid, SIGKILL);
	while (waitpid(l->pid, NULL, 0) == -1 && errno == EINTR)
		;
}

/* Read what there is of the child's record. */
static void
read_found(struct lookup *l)
{
	ssize_t n = read(l->fd, (char *)&l->found + l->have, sizeof(l->found) - l->have);

	if (n == -1 && errno == EINTR)
		return;
	l->have += n > 0 ? (size_t)n : 0;
	if (n <= 0 || l->have == sizeof(l->found))
		end_lookup(l);
}

static bool
is_found(const struct lookup *l)
{
	return l->have == sizeof(l->found) && l->found.magic == FOUND_MAGIC && !l->found.status &&
	    l->found.count && l->found.count <= RESOLVE_MAX;
}

/* Wait for both; for the second only a moment once the first has addresses. */
static int
await_lookups(struct lookup l[2], const struct deadline *d, const char *what, struct err *err)
{
	int64_t end = INT64_MAX;
	int r = 0, i;

	while (r == 0 && (l[0].fd != -1 || l[1].fd != -1)) {
		struct pollfd fds[2] = { { .fd = l[0].fd, .events = POLLIN },
			{ .fd = l[1].fd, .events = POLLIN } };

		r = deadline_poll_any(d, fds, COUNT(fds), end, what, err);
		for (i = 0; i < 2 && r == 0; i++) {
			if (fds[i].fd != -1 && fds[i].revents)
				read_found(&l[i]);
		}
		if (end == INT64_MAX && (is_found(&l[0]) || is_found(&l[1])))
			end = deadline_now() + FAMILY_WAIT_MS;
	}
	end_lookup(&l[0]);
	end_lookup(&l[1]);
	return r == -1 && end == INT64_MAX ? -1 : 0;
}

/* getaddrinfo's reason */
static const char *
reason(const struct lookup *l)
{
	if (l->have != sizeof(l->found) || l->found.magic != FOUND_MAGIC)
		return "the look-up ended without an answer";
	if (!l->found.status)
		return "no address";
	return l->found.status == EAI_SYSTEM ? strerror(l->found.number)
					     : gai_strerror(l->found.status);
}

/* Add the i-th address of what came through the pipe, if there is one; the port is set here. */
static void
add_found(struct resolved *out, const struct lookup *l, size_t i, unsigned port)
{
	union resolve_addr a;

	if (!is_found(l) || i >= l->found.count)
		return;
	a = l->found.addr[i];
	a.sa.sa_family = (sa_family_t)l->family;
	if (l->family == AF_INET)
		a.in.sin_port = htons((uint16_t)port);
	else
		a.in6.sin6_port = htons((uint16_t)port);
	add_addr(out, &a);
}

/* Each family by itself: many a name server answers one of the two questions with an error. */
static int
resolve_children(
    struct resolved *out, const struct query *q, const struct deadline *d, struct err *err)
{
	struct lookup l[2]; /* IPv6 first, and in turn (RFC 8305, 4) */
	char what[WHAT_MAX];
	size_t i;

	snprintf(what, sizeof(what), "looking up %s", q->host);
	if (begin_lookup(&l[1], q, AF_INET) == -1) {
		err_system(err, ERR_REACH, errno, "%s", what);
		err_add(err,
		    "A process of its own does that. Where none can be had, name the address: "
		    "--resolve HOST:PORT:ADDRESS.");
		return -1;
	}
	(void)begin_lookup(&l[0], q, AF_INET6);
	if (await_lookups(l, d, what, err) == -1)
		return -1;
	for (i = 0; i < RESOLVE_MAX; i++) {
		add_found(out, &l[0], i, q->port);
		add_found(out, &l[1], i, q->port);
	}
	if (out->count)
		return 0;
	return err_set(err, ERR_REACH,
	    "the name %s was not found. It was asked for IPv4 addresses: %s; and for IPv6 "
	    "addresses: %s. If this host has no resolver, name the address: "
	    "--resolve HOST:PORT:ADDRESS.",
	    q->host, reason(&l[1]), reason(&l[0]));
}

int
resolve(struct resolved *out, const char *host, unsigned port, const struct resolve_entry *entries,
    size_t count, const struct deadline *deadline, struct err *err)
{
	const struct resolve_entry *e = find_entry(host, port, entries, count);
	union resolve_addr a;

	memset(out, 0, sizeof(*out));
	if (e) {
		*out = e->to;
		return 0;
	}
	if (literal(&a, host, port)) {
		add_addr(out, &a);
		return 0;
	}
	if (same_host(host, "localhost")) {
		if (literal(&a, "127.0.0.1", port))
			add_addr(out, &a);
		if (literal(&a, "::1", port))
			add_addr(out, &a);
		return 0;
	}
	if (!*host || strlen(host) > HOST_MAX)
		return err_set(
		    err, ERR_REACH, "the host's name is empty or longer than %d bytes", HOST_MAX);
	return resolve_children(out, &(struct query){ host, port }, deadline, err);
}
