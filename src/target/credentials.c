#include "target/credentials.h"

#include "base/err.h"
#include "sys/prompt.h"
#include "target/reach.h"

#include <stdio.h>
#include <string.h>

static const char PASSWORD_HINT[] =
    "--password-file FILE, $STALPREP_PASSWORD or --api-key-file FILE";

static int
read_password(
    struct credentials *c, const struct reach *from, bool lax, bool is_empty, struct err *err)
{
	if (from->password_file)
		return secret_read_file(
		    &c->password, from->password_file, "--password-file", lax, err);
	if (is_empty)
		return err_set(err, ERR_USAGE, "$%s is empty. Set it, or unset it.", SECRET_ENV);
	c->asks = !c->password.len;
	return c->asks ? prompt_check(PASSWORD_HINT, err) : 0;
}

int
credentials_load(struct credentials *c, const struct reach *from, bool lax, struct err *err)
{
	bool is_empty;
	int r;

	c->user = from->user ? from->user : "admin";
	/* It must leave the environment even if another source is used. */
	r = secret_take_env(&c->password, SECRET_ENV, err);
	if (r == -1)
		return -1;
	is_empty = r == 1;
	if (from->api_key_file) {
		r = secret_read_file(&c->password, from->api_key_file, "--api-key-file", lax, err);
		if (r == 0)
			r = secret_bearer(&c->header, &c->password, err);
		credentials_finish(c);
		return r;
	}
	if (read_password(c, from, lax, is_empty, err) == -1 ||
	    (from->totp_file &&
		secret_read_file(&c->code, from->totp_file, "--totp-file", lax, err) == -1))
		return -1;
	return c->asks ? 0 : secret_basic(&c->header, c->user, &c->password, NULL, err);
}

int
credentials_ask(struct credentials *c, const struct reach *from, struct err *err)
{
	char origin[ORIGIN_MAX], others[40] = "", question[ORIGIN_MAX + 160];

	url_format(&from->targets[0], origin);
	if (from->target_count > 1)
		snprintf(others, sizeof(others), " and %zu more", from->target_count - 1);
	snprintf(
	    question, sizeof(question), "Password of %.100s on %s%s: ", c->user, origin, others);
	if (prompt_secret(&c->password, question, PASSWORD_HINT, err) == -1)
		return -1;
	c->asks = false;
	return secret_basic(&c->header, c->user, &c->password, NULL, err);
}

int
credentials_add_code(struct credentials *c, struct err *err)
{
	int r;

	if (!c->code.len &&
	    prompt_secret(
		&c->code, "Six-digit code of the second factor: ", "--totp-file FILE", err) == -1)
		return -1;
	if (strspn(c->code.data, "0123456789") != c->code.len || c->code.len < 6 || c->code.len > 8)
		return err_set(
		    err, ERR_USAGE, "The second factor's code must be six to eight digits.");
	r = secret_basic(&c->header, c->user, &c->password, &c->code, err);
	credentials_finish(c);
	return r;
}

void
credentials_finish(struct credentials *c)
{
	secret_wipe(&c->password);
	secret_wipe(&c->code);
	c->complete = true;
}

void
credentials_wipe(struct credentials *c)
{
	wipe(c, sizeof(*c));
}
