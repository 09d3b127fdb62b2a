/*
 * fail-malloc N NAME ARGUMENT...
 *
 * The program itself, called NAME, whose Nth allocation fails. With N = 0 none does, and the last
 * line on standard error is how many there were.
 */
#include "cmd/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* musl's own, behind the functions that a program may replace */
void *__libc_malloc_impl(size_t n);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static unsigned long failing, count;

static bool
fails(void)
{
	if (++count == failing)
		errno = ENOMEM;
	return count == failing;
}

void *
malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc_impl(n);
}

void *
realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}

void
free(void *p)
{
	__libc_free(p);
}

int
main(int argc, char **argv)
{
	int status;

	if (argc < 3)
		return 2;
	failing = strtoul(argv[1], NULL, 10);
	count = 0;
	status = cli_main(argc - 2, argv + 2, "");
	if (!failing)
		fprintf(stderr, "%lu\n", count);
	return status;
}
