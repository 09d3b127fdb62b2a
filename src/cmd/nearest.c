#include "cmd/nearest.h"

#include <string.h>

enum { WORD_MAX = 32 }; /* longer words are near to nothing */

static size_t
distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], n = strlen(a), m = strlen(b), i, j;

	if (n >= WORD_MAX || m >= WORD_MAX)
		return WORD_MAX;
	for (j = 0; j <= m; j++)
		row[j] = j;
	for (i = 1; i <= n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (j = 1; j <= m; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[m];
}

void
nearest_try(struct nearest *n, const char *name)
{
	size_t d = distance(n->word, name);

	/* more than half of the word changed: that is another word */
	if (d < n->distance && 2 * d <= strlen(n->word)) {
		n->distance = d;
		n->name = name;
	}
}
