/*
 * der_mutate.h - changes to DER that keep the lengths around them right; others mostly end at the
 * first header
 */
#ifndef DER_MUTATE_H
#define DER_MUTATE_H

#include "fuzz.h"
#include "tls/der.h"

enum { NODES_MAX = 256, PIECE_MAX = 4096, NO_PARENT = -1 };

/* libFuzzer's own mutator. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/* An element: where its header and its content begin, where it ends, which one it is in. */
struct node {
	size_t begin, content, end;
	int parent;
};

struct tree {
	const uint8_t *data;
	struct node nodes[NODES_MAX];
	int count;
};

/* Object identifiers that mean something to the parser. */
static const char *const der_oids[] = {
	"\x55\x1d\x13",
	"\x55\x1d\x0f",
	"\x55\x1d\x25",
	"\x55\x1d\x11",
	"\x55\x1d\x1e",
	"\x55\x1d\x23",
	"\x55\x1d\x0e",
	"\x55\x1d\x24",
	"\x55\x1d\x20",
	"\x55\x1d\x12",
	"\x55\x04\x03",
	"\x55\x04\x0a",
	"\x2b\x06\x01\x05\x05\x07\x01\x01",
	"\x2b\x06\x01\x05\x05\x07\x03\x01",
	"\x2b\x06\x01\x05\x05\x07\x03\x02",
	"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01",
	"\x2a\x86\x48\xce\x3d\x04\x03\x02",
	"\x2a\x86\x48\xce\x3d\x04\x03\x03",
	"\x2a\x86\x48\xce\x3d\x03\x01\x07",
	"\x2b\x81\x04\x00\x22",
	"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01",
	"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b",
};
static const uint8_t der_tags[] = {
	0x01,
	0x02,
	0x03,
	0x04,
	0x05,
	0x06,
	0x0c,
	0x13,
	0x16,
	0x17,
	0x18,
	0x1e,
	0x30,
	0x31,
	0x80,
	0x81,
	0x82,
	0x86,
	0x87,
	0xa0,
	0xa1,
	0xa3,
	0xa4,
};

/* Small whole elements. */
static const struct {
	const char *bytes;
	size_t len;
} der_pieces[] = {
	{ "\x01\x01\xff", 3 },
	{ "\x02\x01\x01", 3 },
	{ "\x05\x00", 2 },
	{ "\x06\x03\x55\x1d\x13", 5 },
	{ "\x30\x00", 2 },
	{ "\x04\x02\x30\x00", 4 },
	{ "\x82\x01\x61", 3 },
	{ "\x03\x02\x07\x80", 4 },
};

/* Does all of it consist of elements? */
static inline bool
der_is_list(struct der in)
{
	struct der content;
	unsigned tag;

	while (in.len) {
		if (!der_next(&in, &tag, &content))
			return false;
	}
	return true;
}

/* Note every element, also those inside OCTET STRINGs and BIT STRINGs. */
static inline void
tree_walk(struct tree *t, struct der in, int parent)
{
	struct der content;
	unsigned tag;

	while (in.len && t->count < NODES_MAX) {
		size_t begin = (size_t)(in.p - t->data);
		int self = t->count;

		if (!der_next(&in, &tag, &content))
			return;
		t->nodes[t->count++] = (struct node){ begin, (size_t)(content.p - t->data),
			(size_t)(in.p - t->data), parent };
		if (tag == DER_BIT_STRING && content.len > 2) {
			content.p++;
			content.len--;
		}
		if (tag & 0x20 ||
		    ((tag == DER_BIT_STRING || tag == DER_OCTET_STRING) && content.len > 1 &&
			der_is_list(content)))
			tree_walk(t, content, self);
	}
}

static inline size_t
der_header(uint8_t *out, unsigned tag, size_t len)
{
	size_t n = 0;

	out[n++] = (uint8_t)tag;
	if (len >= 0x80)
		out[n++] = len >= 0x100 ? 0x82 : 0x81;
	if (len >= 0x100)
		out[n++] = (uint8_t)(len >> 8);
	out[n++] = (uint8_t)len;
	return n;
}

/*
 * Put len bytes in the place of a node, and the right length on all that it is in. Gives the new
 * size, 0 when too long.
 */
static inline size_t
tree_splice(const struct tree *t, int at, const uint8_t *bytes, size_t len, uint8_t *data,
    size_t size, size_t max)
{
	uint8_t now[2 * PIECE_MAX], next[2 * PIECE_MAX];
	size_t begin = t->nodes[at].begin, end = t->nodes[at].end, n = len;
	int up;

	if (size > PIECE_MAX || len > PIECE_MAX)
		return 0;
	memcpy(now, bytes, len);
	for (up = t->nodes[at].parent; up != NO_PARENT; up = t->nodes[up].parent) {
		const struct node *p = &t->nodes[up];
		size_t content = (begin - p->content) + n + (p->end - end), head;

		if (content + 4 > sizeof(next))
			return 0;
		head = der_header(next, data[p->begin], content);
		memcpy(next + head, data + p->content, begin - p->content);
		memcpy(next + head + (begin - p->content), now, n);
		memcpy(next + head + (begin - p->content) + n, data + end, p->end - end);
		n = head + content;
		memcpy(now, next, n);
		begin = p->begin;
		end = p->end;
	}
	if (begin + n + (size - end) > max)
		return 0;
	memmove(data + begin + n, data + end, size - end);
	memcpy(data + begin, now, n);
	return begin + n + (size - end);
}

/* A new form of one element into out[PIECE_MAX]; gives its length. */
static inline size_t
der_change(const struct tree *t, const struct node *n, unsigned seed, uint8_t *out)
{
	size_t whole = n->end - n->begin, len = n->end - n->content, pick = seed / 16, head;
	const struct node *other = &t->nodes[pick % (unsigned)t->count];
	uint8_t body[PIECE_MAX];

	if (whole > PIECE_MAX / 4 || other->end - other->begin > PIECE_MAX / 4)
		return 0;
	memcpy(out, t->data + n->begin, whole);
	switch (seed % 8) {
	case 0:
		return 0; /* away with it */
	case 1:
		memcpy(out + whole, t->data + other->begin, other->end - other->begin);
		return whole + (other->end - other->begin);
	case 2:
		memcpy(out, t->data + other->begin, other->end - other->begin);
		return other->end - other->begin;
	case 3:
		out[0] = der_tags[pick % COUNT(der_tags)];
		return whole;
	case 4:
		pick %= COUNT(der_pieces);
		memcpy(out + whole, der_pieces[pick].bytes, der_pieces[pick].len);
		return whole + der_pieces[pick].len;
	case 5:
		if (out[0] == DER_OID) {
			const char *oid = der_oids[pick % COUNT(der_oids)];

			head = der_header(out, DER_OID, strlen(oid));
			memcpy(out + head, oid, strlen(oid));
			return head + strlen(oid);
		}
		/* fall through */
	default:
		memcpy(body, t->data + n->content, len);
		len = LLVMFuzzerMutate(body, len, PIECE_MAX / 4);
		head = der_header(out, out[0], len);
		memcpy(out + head, body, len);
		return head + len;
	}
}

/* Change the DER of size bytes at data, of which max may be used. Gives the new size. */
static inline size_t
der_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	uint8_t copy[PIECE_MAX], piece[PIECE_MAX];
	struct tree t = { .data = copy };
	size_t len, n;
	int at;

	if (size > sizeof(copy))
		return LLVMFuzzerMutate(data, size, max);
	memcpy(copy, data, size);
	tree_walk(&t, (struct der){ copy, size }, NO_PARENT);
	if (!t.count || seed % 32 == 0)
		return LLVMFuzzerMutate(data, size, max);
	at = (int)(seed / 32 % (unsigned)t.count);
	len = der_change(&t, &t.nodes[at], seed / 7, piece);
	n = tree_splice(&t, at, piece, len, data, size, max);
	return n ? n : LLVMFuzzerMutate(data, size, max);
}

#endif
