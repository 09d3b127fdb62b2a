#include "tls/der.h"

#include <string.h>

enum { LENGTH_BYTES_MAX = 4 };

/*
 * Read a length: definite, minimal, and within what is there. Returns the bytes it took, 0 when it
 * is malformed.
 */
static size_t
read_length(const unsigned char *p, size_t room, size_t *len)
{
	size_t n, i;

	if (!room)
		return 0;
	if (p[0] < 0x80) {
		*len = p[0];
		return *len <= room - 1 ? 1 : 0;
	}
	n = p[0] & 0x7f;
	if (!n || n > LENGTH_BYTES_MAX || n > room - 1 || !p[1])
		return 0;
	for (*len = 0, i = 1; i <= n; i++)
		*len = *len << 8 | p[i];
	if (*len < 0x80 || *len > room - 1 - n)
		return 0;
	return 1 + n;
}

bool
der_next(struct der *in, unsigned *tag, struct der *content)
{
	size_t n, len = 0;

	if (in->len < 2 || (in->p[0] & 0x1f) == 0x1f)
		return false;
	n = read_length(in->p + 1, in->len - 1, &len);
	if (!n)
		return false;
	*tag = in->p[0];
	content->p = in->p + 1 + n;
	content->len = len;
	in->p += 1 + n + len;
	in->len -= 1 + n + len;
	return true;
}

bool
der_take_whole(struct der *in, unsigned tag, struct der *content, struct der *whole)
{
	struct der was = *in;
	unsigned found;

	if (!der_next(in, &found, content))
		return false;
	if (found != tag) {
		*in = was;
		return false;
	}
	whole->p = was.p;
	whole->len = was.len - in->len;
	return true;
}

bool
der_take(struct der *in, unsigned tag, struct der *content)
{
	struct der whole;

	return der_take_whole(in, tag, content, &whole);
}

bool
der_at(const struct der *in, unsigned tag)
{
	return in->len && in->p[0] == tag;
}

bool
der_boolean(const struct der *content, bool *value)
{
	if (content->len != 1 || (content->p[0] != 0x00 && content->p[0] != 0xff))
		return false;
	*value = content->p[0] == 0xff;
	return true;
}

bool
der_integer(const struct der *content)
{
	if (!content->len)
		return false;
	if (content->len == 1)
		return true;
	/* The first nine bits may not all be the same. */
	return !(content->p[0] == 0x00 && !(content->p[1] & 0x80)) &&
	    !(content->p[0] == 0xff && (content->p[1] & 0x80));
}

bool
der_take_positive(struct der *in, struct der *out)
{
	if (!der_take(in, DER_INTEGER, out) || !der_integer(out) || (out->p[0] & 0x80))
		return false;
	if (!out->p[0]) {
		out->p++;
		out->len--;
	}
	return out->len > 0;
}

bool
der_small(const struct der *content, unsigned max, unsigned *value)
{
	size_t i;

	if (!der_integer(content) || (content->p[0] & 0x80) || content->len > 4)
		return false;
	for (*value = 0, i = 0; i < content->len; i++)
		*value = *value << 8 | content->p[i];
	return *value <= max;
}

bool
der_bits(const struct der *content, struct der *bytes, unsigned *unused)
{
	if (!content->len || content->p[0] > 7)
		return false;
	*unused = content->p[0];
	bytes->p = content->p + 1;
	bytes->len = content->len - 1;
	if (*unused && (!bytes->len || (bytes->p[bytes->len - 1] & ((1u << *unused) - 1))))
		return false;
	return true;
}

bool
der_oid(const struct der *content)
{
	bool first = true;
	size_t i;

	for (i = 0; i < content->len; i++) {
		if (first && content->p[i] == 0x80)
			return false;
		first = !(content->p[i] & 0x80);
	}
	return content->len && first;
}

/* Two decimal digits at p, from min to max; -1 when they are none. */
static int
two(const unsigned char *p, int min, int max)
{
	int v;

	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return -1;
	v = (p[0] - '0') * 10 + (p[1] - '0');
	return v < min || v > max ? -1 : v;
}

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to a date, which may be before it. */
static int64_t
days(int year, int month, int day)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	int y = year - 1;
	int64_t leap = y / 4 - y / 100 + y / 400;

	return (int64_t)y * 365 + leap + before[month - 1] + (month > 2 && is_leap(year)) + day -
	    1 - 719162;
}

bool
der_time(unsigned tag, const struct der *content, int64_t *seconds)
{
	static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool utc = tag == DER_UTC_TIME;
	const unsigned char *p = content->p;
	int century, year, month, day, hour, minute, second;

	if ((!utc && tag != DER_GENERALIZED_TIME) || content->len != (utc ? 13 : 15) ||
	    p[content->len - 1] != 'Z')
		return false;
	century = utc ? 0 : two(p, 0, 99);
	p += utc ? 0 : 2;
	year = two(p, 0, 99);
	month = two(p + 2, 1, 12);
	day = two(p + 4, 1, 31);
	hour = two(p + 6, 0, 23);
	minute = two(p + 8, 0, 59);
	second = two(p + 10, 0, 59);
	if (century < 0 || year < 0 || month < 0 || day < 0 || hour < 0 || minute < 0 || second < 0)
		return false;
	year += utc ? (year < 50 ? 2000 : 1900) : century * 100;
	if (!year || day > lengths[month - 1] + (month == 2 && is_leap(year)))
		return false;
	*seconds = days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
	return true;
}

bool
der_equal(const struct der *a, const struct der *b)
{
	return a->len == b->len && (!a->len || !memcmp(a->p, b->p, a->len));
}

bool
der_is(const struct der *a, const void *bytes, size_t len)
{
	return a->len == len && (!len || !memcmp(a->p, bytes, len));
}
