/* faults.h - which settings make the server refuse every reload, among those that are read */
#ifndef FAULTS_H
#define FAULTS_H

#include "base/def.h"

struct dialect;
struct pool;
struct settings;

struct fault {
	const char *key;
	const char *why; /* "is no network" */
};

/* Strings live in the settings and the pool. Zero-initialise. */
struct faults {
	struct fault *items;
	size_t count;
};

/*
 * Find networks that are none in the lists that listeners use, rules whose keys do not make one,
 * parts that the relay of this name lacks, and a URL without its inner quotes (server-facts: What
 * the settings mean). A rule's list counts only without a scalar beside it, which wins. Expressions
 * are not parsed. pool_check tells whether memory ran out.
 */
void faults_find(struct faults *f, struct pool *pool, const struct settings *s,
    const struct dialect *d, const char *relay_id);

#endif
