#include "sys/resolve.h"

#include "base/err.h"
#include "sys/deadline.h"

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

enum { WHAT_MAX = HOST_MAX + 64 }; /* longest "looking up HOST" */

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

/*
 * The child: look up, tell, end. It must not run the parent's atexit handlers or flush its streams.
 */
static _Noreturn void
look_up(const char *host, unsigned port, void (*in_child)(void), int out)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM },
			*list = NULL, *a;
	struct found f = { .magic = FOUND_MAGIC };
	char service[8];

	if (in_child)
		in_child();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN); /* the terminal sends it to both; the parent decides */
	signal(SIGTERM, SIG_DFL);
	snprintf(service, sizeof(service), "%u", port);
	f.status = getaddrinfo(host, service, &hints, &list);
	f.number = errno;
	for (a = f.status ? NULL : list; a && f.count < RESOLVE_MAX; a = a->ai_next) {
		if ((a->ai_family == AF_INET || a->ai_family == AF_INET6) &&
		    a->ai_addrlen <= sizeof(f.addr[0]))
			memcpy(&f.addr[f.count++], a->ai_addr, a->ai_addrlen);
	}
	_exit(write(out, &f, sizeof(f)) == (ssize_t)sizeof(f) ? 0 : 1);
}

/* Read the child's record, whole, before the deadline. */
static int
read_found(int in, struct found *f, const struct deadline *d, const char *what, struct err *err)
{
	size_t have = 0;
	ssize_t n;

	while (have < sizeof(*f)) {
		if (deadline_poll(d, in, POLLIN, what, err) == -1)
			return -1;
		n = read(in, (char *)f + have, sizeof(*f) - have);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(
			    err, ERR_REACH, "%s: the look-up ended without an answer", what);
		have += (size_t)n;
	}
	return 0;
}

/* The reason of getaddrinfo and what to do about it. */
static int
not_found(const char *host, const struct found *f, struct err *err)
{
	bool sys = f->status == EAI_SYSTEM;

	return err_set(err, ERR_REACH,
	    "the name %s was not found: %s. If this host has no resolver, name the address: "
	    "--resolve HOST:PORT:ADDRESS.",
	    host, sys ? strerror(f->number) : gai_strerror(f->status));
}

/* Check and copy what came through the pipe; the port is set here. */
static int
copy_found(
    struct resolved *out, const struct found *f, const char *host, unsigned port, struct err *err)
{
	union resolve_addr a;
	uint32_t i;

	if (f->magic != FOUND_MAGIC || f->count > RESOLVE_MAX)
		return err_set(err, ERR_SYSTEM, "looking up %s: the answer is malformed", host);
	if (f->status)
		return not_found(host, f, err);
	for (i = 0; i < f->count; i++) {
		a = f->addr[i];
		if (a.sa.sa_family == AF_INET)
			a.in.sin_port = htons((uint16_t)port);
		else if (a.sa.sa_family == AF_INET6)
			a.in6.sin6_port = htons((uint16_t)port);
		else
			continue;
		add_addr(out, &a);
	}
	if (!out->count)
		return err_set(err, ERR_REACH, "the name %s has no IPv4 or IPv6 address", host);
	return 0;
}

/* getaddrinfo knows no deadline, so a child runs it, which can be killed. */
static int
resolve_child(struct resolved *out, const char *host, unsigned port, void (*in_child)(void),
    const struct deadline *d, struct err *err)
{
	char what[WHAT_MAX];
	struct found f;
	int fds[2], r;
	pid_t pid;

	snprintf(what, sizeof(what), "looking up %s", host);
	if (pipe2(fds, O_CLOEXEC) == -1)
		return err_system(err, ERR_SYSTEM, errno, "%s", what);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		look_up(host, port, in_child, fds[1]);
	}
	close(fds[1]);
	if (pid == -1) {
		close(fds[0]);
		return err_system(err, ERR_SYSTEM, errno, "%s", what);
	}
	r = read_found(fds[0], &f, d, what, err);
	close(fds[0]);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		;
	return r == 0 ? copy_found(out, &f, host, port, err) : -1;
}

int
resolve(struct resolved *out, const char *host, unsigned port, const struct resolve_entry *entries,
    size_t count, void (*in_child)(void), const struct deadline *deadline, struct err *err)
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
	return resolve_child(out, host, port, in_child, deadline, err);
}
