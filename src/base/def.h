/* def.h - macros, two bounds, a plural and wiping, which every file may use */
#ifndef DEF_H
#define DEF_H

#include <stddef.h>
#include <string.h>

#if defined(__GNUC__)
#define WARN_UNUSED             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define WARN_UNUSED
#define PRINTF_LIKE(fmt, first)
#endif

/* longest host name, and label of one, in bytes (RFC 1035, 2.3.4, as text) */
enum { HOST_MAX = 253, LABEL_MAX = 63 };

/* Letters and digits, for strspn. They come last in a set: the linker keeps common ends once. */
#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* The number of elements of an array (not of a pointer). */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The ending of a noun after a number. */
static inline const char *
plural(size_t n)
{
	return n == 1 ? "" : "s";
}

/* Overwrite n bytes in a way that the compiler keeps. A NULL p is allowed when n is 0. */
static inline void
wipe(void *p, size_t n)
{
	if (p && n)
		explicit_bzero(p, n);
}

#endif
