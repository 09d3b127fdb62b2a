/* anchors.h - the certificates that are trusted: one PEM bundle, loaded whole or not at all */
#ifndef ANCHORS_H
#define ANCHORS_H

#include "base/def.h"
#include "tls/cert.h"

struct anchors;
struct der;
struct err;

enum { ANCHORS_MAX = 20000 };                 /* certificates in one bundle, duplicates included */
enum { ANCHORS_FILE_MAX = 64 * 1024 * 1024 }; /* bytes of one bundle */

/*
 * Load a PEM bundle. Duplicates count once. Blocks that are not certificates (keys, CRLs) and text
 * around them are skipped. 0 with *out to be freed by anchors_free; or -1 with err of kind
 * ERR_SYSTEM (not readable) or ERR_USAGE (cut off, malformed, none in it, over a bound) naming the
 * file, and *out NULL.
 */
int anchors_load(struct anchors **out, const char *path, struct err *err) WARN_UNUSED;

/* The same from a text in memory; name stands for it in messages. */
int anchors_parse(struct anchors **out, const char *text, size_t len, const char *name,
    struct err *err) WARN_UNUSED;

/*
 * The path of the system's bundle: the first of the usual ones that is there, or NULL when none is.
 * Static storage. (The environment is the command layer's: $SSL_CERT_FILE comes before this.)
 */
const char *anchors_system_path(void);

/* How many different certificates it holds. */
size_t anchors_count(const struct anchors *a);

/*
 * The anchors of this subject (an encoded Name): a run of *count certificates, owned by a; NULL and
 * 0 when there is none. Those in which the parser found a fault are among them.
 */
const struct cert *anchors_find(const struct anchors *a, const struct der *subject, size_t *count);

/* Is this very certificate one of the anchors? It, or NULL. */
const struct cert *anchors_same(const struct anchors *a, const struct der *certificate);

/* Free it. NULL is allowed. */
void anchors_free(struct anchors *a);

#endif
