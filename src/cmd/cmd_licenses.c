#include "cmd/commands.h"

#include "base/buf.h"
#include "cmd/run.h"

extern const char licenses_text[];
extern const size_t licenses_len;

int
cmd_licenses(const struct options *o, const char *program)
{
	struct buf out = { 0 };
	int r;

	(void)o;
	(void)program;
	buf_add(&out, licenses_text, licenses_len);
	r = run_print(&out);
	buf_free(&out);
	return r;
}
