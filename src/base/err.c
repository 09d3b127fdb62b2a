#include "base/err.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A text that was cut must not end in the middle of a UTF-8 character. */
static void
trim_partial(char *text)
{
	size_t len = strlen(text), back = 0;

	if (len + 1 < ERR_TEXT_MAX)
		return;
	while (back < 3 && back < len && ((unsigned char)text[len - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back < len && ((unsigned char)text[len - 1 - back] & 0xc0) == 0xc0)
		text[len - 1 - back] = '\0';
}

static void
append(struct err *err, const char *fmt, va_list ap)
{
	size_t len = strlen(err->text);

	vsnprintf(err->text + len, sizeof(err->text) - len, fmt, ap);
	trim_partial(err->text);
}

/* A new failure, with no text yet. */
static void
begin(struct err *err, enum err_kind kind, int code, enum refusal refusal)
{
	err->kind = kind;
	err->code = code;
	err->refusal = refusal;
	err->text[0] = '\0';
}

int
err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -1;
	begin(err, kind, 0, REFUSAL_NONE);
	va_start(ap, fmt);
	append(err, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_refuse(struct err *err, enum refusal refusal, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -1;
	begin(err, ERR_REFUSED, 0, refusal);
	va_start(ap, fmt);
	append(err, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_system(struct err *err, enum err_kind kind, int number, const char *fmt, ...)
{
	size_t len;
	va_list ap;

	if (!err)
		return -1;
	begin(err, kind, number, REFUSAL_NONE);
	va_start(ap, fmt);
	append(err, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerror(number));
	return -1;
}

void
err_end(struct err *err)
{
	size_t len = err ? strlen(err->text) : 0;

	if (len && len + 2 < sizeof(err->text) && !strchr(".?:)", err->text[len - 1]))
		strcpy(err->text + len, ".");
}

void
err_add(struct err *err, const char *fmt, ...)
{
	size_t len;
	va_list ap;

	if (!err)
		return;
	if ((*fmt >= 'A' && *fmt <= 'Z') || *fmt == '\n')
		err_end(err);
	len = strlen(err->text);
	if (len && len + 2 < sizeof(err->text) && *fmt != '\n')
		strcpy(err->text + len, " ");
	va_start(ap, fmt);
	append(err, fmt, ap);
	va_end(ap);
}

void
err_clear(struct err *err)
{
	begin(err, ERR_NONE, 0, REFUSAL_NONE);
}

int
err_memory(struct err *err)
{
	err_set(err, ERR_SYSTEM, "out of memory");
	if (err)
		err->code = ENOMEM;
	return -1;
}

int
err_stopped(struct err *err, int signal)
{
	if (signal == SIGALRM)
		err_set(err, ERR_REACH, "The time that --max-time allows is over.");
	else
		err_set(err, ERR_INTERRUPT, "Stopped by a signal.");
	if (err)
		err->code = signal == SIGALRM ? ETIMEDOUT : signal;
	return -1;
}
