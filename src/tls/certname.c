#include "tls/certname.h"

#include "base/buf.h"
#include "tls/cert.h"
#include "tls/der.h"

#include <arpa/inet.h>
#include <string.h>

enum { AVA_MAX = 16 };   /* attributes in one relative name that are compared */
enum { SHOWN_MAX = 80 }; /* bytes of a name that a message shows */
enum { FOLD_MAX = 512 }; /* bytes of an attribute's text that are compared without case */

/* GeneralName's identifier bytes (RFC 5280, 4.2.1.6). */
enum {
	NAME_EMAIL = DER_CONTEXT(1),
	NAME_DNS = DER_CONTEXT(2),
	NAME_DIRECTORY = DER_CONTEXT_CONSTRUCTED(4),
	NAME_IP = DER_CONTEXT(7)
};

/* Whether two things are the same may be beyond us. */
enum same { SAME_NO, SAME_YES, SAME_UNKNOWN };

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
 * meets a constraint one label below its base. A name that is none can't be told apart, so it meets
 * every exclusion and no permission.
 */
static bool
meets_dns(const struct der *name, const struct der *domain, bool excluded)
{
	const unsigned char *dot;
	struct der base;
	bool wildcard;

	if (!split_wildcard(name, &base, &wildcard))
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

static bool
is_text(unsigned tag)
{
	return tag == DER_UTF8 || tag == DER_PRINTABLE || tag == DER_IA5 || tag == DER_TELETEX ||
	    tag == DER_BMP || tag == DER_UNIVERSAL;
}

/*
 * Text as RFC 5280 (7.1) compares it: lower case, runs of blanks as one, none at either end.
 * Returns its length.
 */
static size_t
fold(const struct der *text, unsigned char out[FOLD_MAX])
{
	size_t len = 0, i;

	for (i = 0; i < text->len; i++) {
		if (text->p[i] != ' ' || (len && out[len - 1] != ' '))
			out[len++] = lower(text->p[i]);
	}
	return len && out[len - 1] == ' ' ? len - 1 : len;
}

static bool
is_ascii(const struct der *text)
{
	size_t i;

	for (i = 0; i < text->len; i++) {
		if (text->p[i] >= 0x80)
			return false;
	}
	return true;
}

static enum same
same_value(unsigned tag_a, const struct der *a, unsigned tag_b, const struct der *b)
{
	unsigned char x[FOLD_MAX], y[FOLD_MAX];
	size_t len;

	if (tag_a == tag_b && der_equal(a, b))
		return SAME_YES;
	if (!is_text(tag_a) || !is_text(tag_b))
		return SAME_NO;
	if (tag_a >= DER_UNIVERSAL || tag_b >= DER_UNIVERSAL || a->len > FOLD_MAX ||
	    b->len > FOLD_MAX || !is_ascii(a) || !is_ascii(b))
		return SAME_UNKNOWN;
	len = fold(a, x);
	return len == fold(b, y) && !memcmp(x, y, len) ? SAME_YES : SAME_NO;
}

/* One attribute: SEQUENCE { OID, value }. */
static bool
take_attribute(struct der *set, struct der *oid, unsigned *tag, struct der *value)
{
	struct der one;

	return der_take(set, DER_SEQUENCE, &one) && der_take(&one, DER_OID, oid) &&
	    der_next(&one, tag, value) && !one.len;
}

/* Does a set hold this attribute? */
static enum same
holds_attribute(struct der set, const struct der *oid, unsigned tag, const struct der *value)
{
	enum same best = SAME_NO, one;
	struct der other_oid, other;
	unsigned other_tag;

	while (set.len) {
		if (!take_attribute(&set, &other_oid, &other_tag, &other))
			return SAME_UNKNOWN;
		one = der_equal(oid, &other_oid) ? same_value(tag, value, other_tag, &other)
						 : SAME_NO;
		if (one == SAME_YES)
			return SAME_YES;
		best = one == SAME_UNKNOWN ? one : best;
	}
	return best;
}

/* Are two relative names (sets of attributes) the same? */
static enum same
same_rdn(struct der a, const struct der *b)
{
	enum same all = SAME_YES, one;
	struct der count = *b, oid, value;
	unsigned n = 0, tag;

	while (count.len) {
		if (!take_attribute(&count, &oid, &tag, &value) || ++n > AVA_MAX)
			return SAME_UNKNOWN;
	}
	while (a.len) {
		if (!n-- || !take_attribute(&a, &oid, &tag, &value))
			return n == (unsigned)-1 ? SAME_NO : SAME_UNKNOWN;
		one = holds_attribute(*b, &oid, tag, &value);
		if (one == SAME_NO)
			return SAME_NO;
		all = one == SAME_UNKNOWN ? one : all;
	}
	return n ? SAME_NO : all;
}

/* Does a Name (without its header) begin with the constraint's relative names? */
static enum same
within_directory(struct der name, struct der base)
{
	enum same all = SAME_YES, one;
	struct der a, b;

	while (base.len) {
		if (!der_take(&base, DER_SET, &a))
			return SAME_UNKNOWN;
		if (!name.len)
			return SAME_NO;
		if (!der_take(&name, DER_SET, &b))
			return SAME_UNKNOWN;
		one = same_rdn(a, &b);
		if (one == SAME_NO)
			return SAME_NO;
		all = one == SAME_UNKNOWN ? one : all;
	}
	return all;
}

static bool
meets_directory(const struct der *name, const struct der *base, bool excluded)
{
	struct der a = *name, b = *base, name_content, base_content;
	enum same r;

	if (!der_take(&a, DER_SEQUENCE, &name_content) ||
	    !der_take(&b, DER_SEQUENCE, &base_content))
		return excluded;
	r = within_directory(name_content, base_content);
	return excluded ? r != SAME_NO : r == SAME_YES;
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
		return meets_directory(name, base, excluded);
	default:
		/* a form that is not compared: it meets every exclusion and no permission */
		return excluded;
	}
}

static const char too_much[] = "its names and its CA's name constraints are too many to compare";

/* One name against one list of subtrees; NULL when it may stand. */
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
			return excluded ? "a name in it is excluded by its CA's name constraints"
					: NULL;
	}
	return any && !excluded ? "a name in it is not permitted by its CA's name constraints"
				: NULL;
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
