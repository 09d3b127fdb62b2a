#include "tls/certname.h"

#include "base/buf.h"
#include "tls/cert.h"
#include "tls/der.h"

#include <arpa/inet.h>
#include <string.h>

enum { SHOWN_MAX = 80 }; /* bytes of a name that a message shows */

/* GeneralName's identifier bytes (RFC 5280, 4.2.1.6). */
enum {
	NAME_EMAIL = DER_CONTEXT(1),
	NAME_DNS = DER_CONTEXT(2),
	NAME_DIRECTORY = DER_CONTEXT_CONSTRUCTED(4),
	NAME_IP = DER_CONTEXT(7)
};

static unsigned char
lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 'a' - 'A') : c;
}

/* ---- host names ---- */

static bool
is_letter_or_digit(unsigned char c)
{
	return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
}

/*
 * Letters, digits and hyphens in labels of 1 to 63 bytes, no hyphen at a label's end, no final dot.
 */
static bool
is_host_name(const unsigned char *p, size_t len)
{
	size_t label = 0, i;
	bool digits = true;

	if (!len || len > HOST_MAX)
		return false;
	for (i = 0; i <= len; i++) {
		if (i == len || p[i] == '.') {
			if (!label || label > LABEL_MAX || p[i - 1] == '-')
				return false;
			if (i == len)
				break;
			label = 0;
			digits = true;
			continue;
		}
		if (!is_letter_or_digit(p[i]) && (p[i] != '-' || !label))
			return false;
		digits = digits && p[i] >= '0' && p[i] <= '9';
		label++;
	}
	return !digits; /* a last label of digits is an address's, not a name's */
}

bool
certname_parse(struct certname *n, const char *host)
{
	char text[INET6_ADDRSTRLEN];
	size_t len = strcspn(host, "%"), i;

	memset(n, 0, sizeof(*n));
	if (len < sizeof(text)) {
		memcpy(text, host, len);
		text[len] = '\0';
		if (!host[len] && inet_pton(AF_INET, text, n->addr) == 1)
			n->addr_len = 4;
		else if (inet_pton(AF_INET6, text, n->addr) == 1)
			n->addr_len = 16;
		if (n->addr_len)
			return true;
	}
	len = strlen(host);
	if (len && host[len - 1] == '.')
		len--;
	if (!is_host_name((const unsigned char *)host, len))
		return false;
	for (i = 0; i < len; i++)
		n->name[i] = (char)lower((unsigned char)host[i]);
	return true;
}

/* The same text, but for ASCII case? */
static bool
same_text(const unsigned char *a, const unsigned char *b, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (lower(a[i]) != lower(b[i]))
			return false;
	}
	return true;
}

/*
 * A dNSName: a host name, or "*." before one that has at least two labels. *base is the part after
 * "*.".
 */
static bool
split_wildcard(const struct der *dns, struct der *base, bool *wildcard)
{
	*base = *dns;
	*wildcard = dns->len > 2 && dns->p[0] == '*' && dns->p[1] == '.';
	if (*wildcard) {
		base->p += 2;
		base->len -= 2;
		if (!memchr(base->p, '.', base->len))
			return false;
	}
	return is_host_name(base->p, base->len);
}

static bool
match_dns(const struct der *dns, const char *name)
{
	struct der base;
	bool wildcard;

	if (!split_wildcard(dns, &base, &wildcard))
		return false;
	if (wildcard) {
		name = strchr(name, '.');
		if (!name)
			return false;
		name++;
	}
	return strlen(name) == base.len && same_text(base.p, (const unsigned char *)name, base.len);
}

const char *
certname_match(const struct cert *leaf, const struct certname *host)
{
	struct der list = leaf->san, content;
	unsigned tag;

	if (!leaf->has_san)
		return "it names no host: it has no subjectAltName, and the common name is not "
		       "used";
	while (list.len && der_next(&list, &tag, &content)) {
		if (host->addr_len && tag == NAME_IP &&
		    der_is(&content, host->addr, host->addr_len))
			return NULL;
		if (!host->addr_len && tag == NAME_DNS && match_dns(&content, host->name))
			return NULL;
	}
	return host->addr_len
	    ? "it is for other hosts: the address is not among its iPAddress names"
	    : "it is for other hosts: the name is not among its dNSName names";
}

/* ---- name constraints ---- */

/* Is a host name below (or the same as) a constraint's domain? "" holds every name. */
static bool
is_within(const unsigned char *name, size_t len, const struct der *domain)
{
	if (!domain->len)
		return true;
	if (len < domain->len || !same_text(name + (len - domain->len), domain->p, domain->len))
		return false;
	return len == domain->len || name[len - domain->len - 1] == '.';
}

/*
 * Permitted: all that the name stands for lies within. Excluded: any of it does; so a wildcard also
 * meets a constraint one label below its base. A name or a constraint that is no host name meets
 * every exclusion and no permission.
 */
static bool
meets_dns(const struct der *name, const struct der *domain, bool excluded)
{
	const unsigned char *dot;
	struct der base;
	bool wildcard;

	if (!split_wildcard(name, &base, &wildcard) ||
	    (domain->len && !is_host_name(domain->p, domain->len)))
		return excluded;
	if (is_within(base.p, base.len, domain))
		return true;
	if (!wildcard || !excluded || domain->len <= base.len + 1 ||
	    !is_within(domain->p, domain->len, &base))
		return false;
	dot = memchr(domain->p, '.', domain->len);
	return dot && (size_t)(dot - domain->p) == domain->len - base.len - 1;
}

static bool
meets_ip(const struct der *name, const struct der *net)
{
	size_t i;

	if (net->len != 2 * name->len)
		return false;
	for (i = 0; i < name->len; i++) {
		if ((name->p[i] ^ net->p[i]) & net->p[name->len + i])
			return false;
	}
	return true;
}

/*
 * Does a Name begin with the constraint's relative names, byte for byte? Names that differ may
 * still be the same to people (RFC 5280, 7.1): so every name meets an exclusion.
 */
static bool
meets_directory(struct der name, struct der base, bool excluded)
{
	struct der rdns, limits, rdn, limit, content;

	if (!der_take(&name, DER_SEQUENCE, &rdns) || !der_take(&base, DER_SEQUENCE, &limits))
		return excluded;
	while (limits.len && !excluded) {
		if (!der_take_whole(&limits, DER_SET, &content, &limit) ||
		    !der_take_whole(&rdns, DER_SET, &content, &rdn) || !der_equal(&limit, &rdn))
			return false;
	}
	return true;
}

/* One attribute: SEQUENCE { OID, value }. */
static bool
take_attribute(struct der *set, struct der *oid, unsigned *tag, struct der *value)
{
	struct der one;

	return der_take(set, DER_SEQUENCE, &one) && der_take(&one, DER_OID, oid) &&
	    der_next(&one, tag, value) && !one.len;
}

static bool
meets(unsigned tag, const struct der *name, const struct der *base, bool excluded)
{
	switch (tag) {
	case NAME_DNS:
		return meets_dns(name, base, excluded);
	case NAME_IP:
		return meets_ip(name, base);
	case NAME_DIRECTORY:
		return meets_directory(*name, *base, excluded);
	default:
		/* a form that is not compared: it meets every exclusion and no permission */
		return excluded;
	}
}

static const char too_much[] = "its names and its CA's name constraints are too many to compare";

static const char *
refusal_of(unsigned tag, bool excluded)
{
	if (tag == NAME_DIRECTORY)
		return excluded ? "its CA's name constraints exclude directory names, which this "
				  "program does not compare"
				: "its subject is not, byte for byte, below a directory name that "
				  "its CA's name constraints permit";
	return excluded ? "a name in it is excluded by its CA's name constraints"
			: "a name in it is not permitted by its CA's name constraints";
}

/* One name against one list of subtrees; NULL when it is allowed. */
static const char *
check_list(unsigned tag, const struct der *name, struct der list, bool excluded, unsigned *work)
{
	struct der subtree, base;
	bool any = false;
	unsigned base_tag;

	while (list.len && der_take(&list, DER_SEQUENCE, &subtree) &&
	    der_next(&subtree, &base_tag, &base)) {
		if (++*work > CERTNAME_WORK_MAX)
			return too_much;
		if (base_tag != tag)
			continue;
		any = true;
		if (meets(tag, name, &base, excluded))
			return excluded ? refusal_of(tag, true) : NULL;
	}
	return any && !excluded ? refusal_of(tag, false) : NULL;
}

static const char *
check_name(const struct cert *ca, unsigned tag, const struct der *name, unsigned *work)
{
	const char *why = check_list(tag, name, ca->excluded, true, work);

	return why ? why : check_list(tag, name, ca->permitted, false, work);
}

/*
 * The subject's own mail addresses count as e-mail names (RFC 5280, 4.2.1.10); their text is not
 * compared.
 */
static const char *
check_subject_email(const struct cert *ca, struct der rdns, unsigned *work)
{
	static const unsigned char email[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09,
		0x01 };
	struct der set, oid, value;
	const char *why = NULL;
	unsigned tag;

	while (!why && rdns.len && der_take(&rdns, DER_SET, &set)) {
		while (!why && set.len && take_attribute(&set, &oid, &tag, &value)) {
			if (der_is(&oid, email, sizeof(email)))
				why = check_name(ca, NAME_EMAIL, &value, work);
		}
	}
	return why;
}

const char *
certname_allowed(const struct cert *ca, const struct cert *below, unsigned *work)
{
	struct der list = below->san, subject = below->subject, rdns, content;
	const char *why = NULL;
	unsigned tag;

	if (!ca->has_constraints)
		return NULL;
	if (der_take(&subject, DER_SEQUENCE, &rdns) && rdns.len) {
		why = check_name(ca, NAME_DIRECTORY, &below->subject, work);
		if (!why)
			why = check_subject_email(ca, rdns, work);
	}
	while (!why && list.len && der_next(&list, &tag, &content))
		why = check_name(ca, tag, &content, work);
	return why;
}

/* ---- for messages ---- */

/* Bytes that are not printable ASCII become '?'; a long text is cut. */
static void
add_shown(const struct der *text, struct buf *out)
{
	size_t i;

	for (i = 0; i < text->len && i < SHOWN_MAX; i++)
		buf_char(out, text->p[i] < ' ' || text->p[i] > '~' ? '?' : (char)text->p[i]);
	if (i < text->len)
		buf_str(out, "...");
}

/* The first attribute of a Name that has this type. */
static bool
find_attribute(struct der rdns, unsigned char type, struct der *value)
{
	const unsigned char wanted[] = { 0x55, 0x04, type };
	struct der set, oid;
	unsigned tag;

	while (rdns.len && der_take(&rdns, DER_SET, &set)) {
		while (set.len && take_attribute(&set, &oid, &tag, value)) {
			if (der_is(&oid, wanted, sizeof(wanted)))
				return true;
		}
	}
	return false;
}

void
certname_of(const struct der *name, struct buf *out)
{
	static const struct {
		unsigned char type;
		const char *text;
	} kinds[] = {
		{ 3, "CN=" },
		{ 10, "O=" },
		{ 11, "OU=" },
		{ 6, "C=" },
	};
	struct der in = *name, rdns, value;
	size_t i;

	if (!der_take(&in, DER_SEQUENCE, &rdns))
		rdns.len = 0;
	for (i = 0; i < COUNT(kinds); i++) {
		if (find_attribute(rdns, kinds[i].type, &value)) {
			buf_str(out, kinds[i].text);
			add_shown(&value, out);
			return;
		}
	}
	buf_str(out, "(no name)");
}

void
certname_list(const struct cert *c, unsigned max, struct buf *out)
{
	struct der list = c->san, content;
	char text[INET6_ADDRSTRLEN];
	unsigned count = 0, tag;

	while (list.len && der_next(&list, &tag, &content)) {
		bool ip = tag == NAME_IP && (content.len == 4 || content.len == 16);

		if (!ip && tag != NAME_DNS)
			continue;
		if (count++)
			buf_str(out, ", ");
		if (count > max) {
			buf_str(out, "...");
			return;
		}
		if (ip &&
		    inet_ntop(content.len == 4 ? AF_INET : AF_INET6, content.p, text, sizeof(text)))
			buf_str(out, text);
		else
			add_shown(&content, out);
	}
	if (!count)
		buf_str(out, "no host");
}
