/* prompt.h - ask for a secret on the terminal, without echo */
#ifndef PROMPT_H
#define PROMPT_H

#include "base/def.h"

#include <stdbool.h>

struct err;
struct secret;

/*
 * Ask on the terminal (/dev/tty, or standard input where that is one) and read one line without
 * echo. The echo is on again when this returns, also after a signal. 0; or -1 with err: no terminal
 * (ERR_USAGE; hint names the options to use instead), nothing typed, or ERR_INTERRUPT.
 */
int prompt_secret(
    struct secret *s, const char *question, const char *hint, struct err *err) WARN_UNUSED;

/* Is there a terminal to ask on? 0; or -1 with the err of prompt_secret. */
int prompt_check(const char *hint, struct err *err) WARN_UNUSED;

/* Is standard output a terminal? */
bool prompt_is_watched(void);

#endif
