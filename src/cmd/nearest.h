/* nearest.h - of some names, the one that a mistyped word is most like */
#ifndef NEAREST_H
#define NEAREST_H

#include <stddef.h>

/*
 * Begin with the word, and with a distance that no name may reach. Half of the word must be as in
 * the name.
 */
struct nearest {
	const char *word;
	size_t distance;  /* of name; smaller than it was at the beginning */
	const char *name; /* the nearest so far; NULL: none is near enough */
};

/*
 * Compare the word with this name, and keep it if it is nearer. The distance is the number of
 * characters to add, drop or replace (Levenshtein).
 */
void nearest_try(struct nearest *n, const char *name);

#endif
