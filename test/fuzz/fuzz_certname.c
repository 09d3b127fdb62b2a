/*
 * fuzz_certname.c - names in certificates, a line each, its first letter saying what it is: h the
 * host, d and i the leaf's dNSNames and iPAddresses, s its subject (relative names between
 * slashes); permitted p, P, D and excluded x, X, E subtrees of names, networks and directory names.
 * Held against RFC 5280's and 6125's rules written down a second time.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "format/addr.h"
#include "tls/cert.h"
#include "tls/certname.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <strings.h>

enum { LINES_MAX = 40, RDNS_MAX = 8 };

struct lines {
	char *line[LINES_MAX];
	size_t count;
};

/* ---- making ---- */

static void
put(struct buf *out, unsigned tag, const void *data, size_t len)
{
	buf_char(out, (char)tag);
	if (len >= 0x80)
		buf_char(out, (char)(len < 0x100 ? 0x81 : 0x82));
	if (len >= 0x100)
		buf_char(out, (char)(len >> 8));
	buf_char(out, (char)len);
	buf_add(out, data, len);
}

/* SEQUENCE OF SET OF { commonName, text }, of the texts between slashes. */
static void
put_name(struct buf *out, const char *text)
{
	struct buf all = { 0 }, one = { 0 };
	size_t len, i;

	for (i = 0; *text && i < RDNS_MAX; i++, text += text[len] == '/' ? len + 1 : len) {
		struct buf pair = { 0 };

		len = strcspn(text, "/");
		buf_reset(&one);
		put(&pair, DER_OID, "\x55\x04\x03", 3);
		put(&pair, DER_UTF8, text, len);
		put(&one, DER_SEQUENCE, pair.data, pair.len);
		put(&all, DER_SET, one.data, one.len);
		buf_free(&pair);
	}
	put(out, DER_SEQUENCE, all.data, all.len);
	buf_free(&all);
	buf_free(&one);
}

/* An address, or with `mask` the network behind it; false when it is none. */
static bool
put_ip(struct buf *out, const char *text, bool mask)
{
	unsigned char bytes[32] = { 0 };
	struct net n;
	size_t len, i;

	if (!net_parse_server(&n, text) || (!mask && n.bits != (n.family == 4 ? 32 : 128)))
		return false;
	len = n.family == 4 ? 4 : 16;
	memcpy(bytes, n.addr, len);
	for (i = 0; i < n.bits; i++)
		bytes[len + i / 8] |= (unsigned char)(0x80 >> i % 8);
	put(out, DER_CONTEXT(7), bytes, mask ? 2 * len : len);
	return true;
}

/* What cert.c lets through: visible ASCII; only a constraint may be empty. */
static bool
is_clean(const char *text, bool constraint)
{
	const char *c;

	for (c = text; *c; c++) {
		if (*c <= ' ' || *c > '~')
			return false;
	}
	return constraint || *text;
}

/* The GeneralName of a line, or nothing where it is not one of them. */
static void
put_general(struct buf *out, const char *line, bool constraint)
{
	const char *text = line + 1;

	if (strchr("dpx", *line) && is_clean(text, constraint))
		put(out, DER_CONTEXT(2), text, strlen(text));
	else if (strchr("iPX", *line))
		put_ip(out, text, constraint);
	else if (strchr("DE", *line)) {
		struct buf name = { 0 };

		put_name(&name, text);
		put(out, DER_CONTEXT_CONSTRUCTED(4), name.data, name.len);
		buf_free(&name);
	}
}

/* All lines of these letters. */
static struct der
make(struct buf *out, const struct lines *all, const char *letters, bool subtrees)
{
	size_t i;

	for (i = 0; i < all->count; i++) {
		struct buf one = { 0 };

		if (all->line[i][0] && strchr(letters, all->line[i][0]))
			put_general(&one, all->line[i], subtrees);
		if (one.len && subtrees)
			put(out, DER_SEQUENCE, one.data, one.len);
		else
			buf_add(out, one.data, one.len);
		buf_free(&one);
	}
	return (struct der){ (const unsigned char *)buf_text(out), out->len };
}

/* ---- the rules ---- */

/* Labels of letters, digits and inner hyphens; the last one not of digits alone. */
static bool
is_host(const char *text)
{
	size_t len = strlen(text), label = 0, i;
	bool digits = true;

	for (i = 0; i <= len; i++) {
		if (i == len || text[i] == '.') {
			if (!label || label > 63 || text[i - 1] == '-' || text[i - label] == '-')
				return false;
			digits = strspn(text + i - label, "0123456789") >= label;
			label = 0;
		} else if (!isalnum((unsigned char)text[i]) && text[i] != '-') {
			return false;
		} else {
			label++;
		}
	}
	return len <= 253 && !digits;
}

static bool
is_wildcard(const char *text)
{
	return !strncmp(text, "*.", 2) && strchr(text + 2, '.');
}

static bool
matches(const char *san, const char *host)
{
	const char *rest = strchr(host, '.');

	return !strcasecmp(san, host) ||
	    (is_wildcard(san) && rest && !strcasecmp(san + 2, rest + 1));
}

static bool
within(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	return !d || !strcasecmp(name, domain) ||
	    (n > d && name[n - d - 1] == '.' && !strcasecmp(name + n - d, domain));
}

static bool
meets_name(const char *san, const char *domain, bool excluded)
{
	const char *base = is_wildcard(san) ? san + 2 : san, *dot = strchr(domain, '.');

	if (!is_host(base) || (*domain && !is_host(domain)))
		return excluded;
	return within(base, domain) ||
	    (excluded && base != san && dot && dot != domain && !strcasecmp(dot + 1, base));
}

static bool
meets_network(const char *address, const char *network)
{
	struct net a, n;

	return net_parse_server(&a, address) && net_parse_server(&n, network) &&
	    a.family == n.family && (a.bits == (a.family == 4 ? 32 : 128)) && net_covers(&n, &a);
}

/* Does the subject begin with these relative names? */
static bool
begins(const char *subject, const char *base)
{
	size_t i, n, m;

	for (i = 0; *base && i < RDNS_MAX; i++) {
		n = strcspn(subject, "/");
		m = strcspn(base, "/");
		if (!*subject || n != m || memcmp(subject, base, n) != 0)
			return false;
		subject += subject[n] == '/' ? n + 1 : n;
		base += base[m] == '/' ? m + 1 : m;
	}
	return true;
}

/* Does the name of that line meet the constraint of another one? */
static bool
meets(const char *name, const char *constraint, bool excluded)
{
	if (*name == 'd')
		return meets_name(name + 1, constraint + 1, excluded);
	if (*name == 'i')
		return meets_network(name + 1, constraint + 1);
	return excluded || begins(name + 1, constraint + 1);
}

/* Is the line part of what was made? */
static bool
counts(const char *line)
{
	struct net n;

	if (strchr("dpx", *line))
		return is_clean(line + 1, *line != 'd');
	if (*line == 'i')
		return net_parse_server(&n, line + 1) && n.bits == (n.family == 4 ? 32 : 128);
	return strchr("PX", *line) ? net_parse_server(&n, line + 1) : true;
}

static bool
may_stand(const struct lines *all, const char *name)
{
	const char *kinds = *name == 'd' ? "px" : *name == 'i' ? "PX" : "DE";
	bool any = false, in = false, out = false;
	size_t i;

	for (i = 0; i < all->count; i++) {
		const char *line = all->line[i];

		if (!*line || !strchr(kinds, *line) || !counts(line))
			continue;
		any |= *line == kinds[0];
		in |= *line == kinds[0] && meets(name, line, false);
		out |= *line == kinds[1] && meets(name, line, true);
	}
	return !out && (!any || in);
}

/* ---- the comparison ---- */

static void
check_match(const struct lines *all, const struct cert *leaf, const char *text)
{
	struct certname host;
	bool found = false;
	size_t i;

	if (!certname_parse(&host, text))
		return;
	CHECK(host.addr_len ? host.addr_len == 4 || host.addr_len == 16 : is_host(host.name), "%s",
	    text);
	for (i = 0; i < all->count; i++) {
		const char *line = all->line[i];
		struct buf ip = { 0 };

		if (!host.addr_len && *line == 'd' && counts(line))
			found |= matches(line + 1, host.name);
		if (host.addr_len && *line == 'i' && put_ip(&ip, line + 1, false))
			found |= ip.len == 2 + host.addr_len &&
			    !memcmp(ip.data + 2, host.addr, host.addr_len);
		buf_free(&ip);
	}
	CHECK(!certname_match(leaf, &host) == found, "%s: %s", text, found ? "refused" : "matched");
}

static void
check_allowed(
    const struct lines *all, const struct cert *ca, const struct cert *leaf, const char *subject)
{
	bool ok = !subject[1] || may_stand(all, subject);
	unsigned work = 0;
	const char *why;
	size_t i;

	for (i = 0; i < all->count && ok; i++) {
		if ((all->line[i][0] == 'd' || all->line[i][0] == 'i') && counts(all->line[i]))
			ok = may_stand(all, all->line[i]);
	}
	why = certname_allowed(ca, leaf, &work);
	CHECK(!why == ok, "%s", ok ? why : "it is allowed");
}

static void
check_shown(const struct cert *leaf)
{
	struct buf out = { 0 };
	size_t i;

	certname_list(leaf, 8, &out);
	certname_of(&leaf->subject, &out);
	for (i = 0; i < out.len; i++)
		CHECK(out.data[i] >= ' ' && out.data[i] <= '~', "a message would hold the byte %d",
		    out.data[i]);
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf san = { 0 }, permitted = { 0 }, excluded = { 0 }, name = { 0 };
	const char *host = "mail.example.org", *subject = "s";
	struct cert leaf = { .has_san = true }, ca = { .has_constraints = true };
	struct input in = { data, size };
	struct lines all = { .count = 0 };
	size_t i;

	while (in.len && all.count < LINES_MAX) {
		char *line = all.line[all.count++] = input_until(&in, '\n');

		host = *line == 'h' ? line + 1 : host;
		subject = *line == 's' ? line : subject;
	}
	put_name(&name, subject + 1);
	leaf.subject = (struct der){ (const unsigned char *)name.data, name.len };
	leaf.san = make(&san, &all, "di", false);
	ca.permitted = make(&permitted, &all, "pPD", true);
	ca.excluded = make(&excluded, &all, "xXE", true);
	check_match(&all, &leaf, host);
	check_allowed(&all, &ca, &leaf, subject);
	check_shown(&leaf);
	for (i = 0; i < all.count; i++)
		free(all.line[i]);
	buf_free(&san);
	buf_free(&permitted);
	buf_free(&excluded);
	buf_free(&name);
	return 0;
}
