#include "format/jsonout.h"

#include "base/buf.h"
#include "format/json.h"

/* What stands between the last value and the next one. */
static void
begin(struct jsonout *j, const char *name)
{
	if (j->comma)
		buf_char(j->out, ',');
	if (j->line)
		buf_char(j->out, '\n');
	j->line = false;
	j->comma = true;
	if (name) {
		json_quote(j->out, name);
		buf_char(j->out, ':');
	}
}

void
jsonout_open(struct jsonout *j, const char *name, char bracket)
{
	begin(j, name);
	buf_char(j->out, bracket);
	j->comma = false;
}

void
jsonout_close(struct jsonout *j, char bracket)
{
	j->comma = false;
	begin(j, NULL);
	buf_char(j->out, bracket);
}

void
jsonout_text(struct jsonout *j, const char *name, const char *value)
{
	begin(j, name);
	json_quote(j->out, value);
}

void
jsonout_number(struct jsonout *j, const char *name, int value)
{
	begin(j, name);
	buf_printf(j->out, "%d", value);
}

void
jsonout_bool(struct jsonout *j, const char *name, bool value)
{
	begin(j, name);
	buf_str(j->out, value ? "true" : "false");
}

void
jsonout_line(struct jsonout *j)
{
	j->line = true;
}
