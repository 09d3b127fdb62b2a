/* def.h - small macros, and two bounds, that every file may use */
#ifndef DEF_H
#define DEF_H

#include <stddef.h>

#if defined(__GNUC__)
#define WARN_UNUSED             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define WARN_UNUSED
#define PRINTF_LIKE(fmt, first)
#endif

/* longest host name, and label of one, in bytes (RFC 1035, 2.3.4, as text) */
enum { HOST_MAX = 253, LABEL_MAX = 63 };

/* The number of elements of an array (not of a pointer). */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
