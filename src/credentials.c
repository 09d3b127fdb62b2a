#include "credentials.h"

#include "err.h"
#include "options.h"
#include "prompt.h"

#include <stdio.h>
#include <string.h>

static const char PASSWORD_HINT[] = "--password-file FILE, $STALPREP_PASSWORD or --api-key-file FILE";

int
credentials_take(struct credentials *c, const struct options *o, struct err *err)
{
	bool lax = options_forced(o, "open-secret");
	char question[160];

	c->user = o->user ? o->user : "admin";
	/* Taken out of the environment in any case: it must not stay there while another source is used. */
	if (secret_take_env(&c->password, "STALPREP_PASSWORD", err) == -1)
		return -1;
	if (o->api_key_file) {
		secret_wipe(&c->password);
		if (secret_read_file(&c->key, o->api_key_file, "--api-key-file", lax, err) == -1)
			return -1;
		return secret_bearer(&c->header, &c->key, err);
	}
	if (o->password_file) {
		if (secret_read_file(&c->password, o->password_file, "--password-file", lax, err) == -1)
			return -1;
	} else if (!c->password.len) {
		snprintf(question, sizeof(question), "Password of %.100s on the old server: ", c->user);
		if (prompt_secret(&c->password, question, PASSWORD_HINT, err) == -1)
			return -1;
	}
	return secret_basic(&c->header, c->user, &c->password, NULL, err);
}

int
credentials_take_code(struct credentials *c, const struct options *o, struct err *err)
{
	if (o->totp_file) {
		if (secret_read_file(&c->code, o->totp_file, "--totp-file", options_forced(o, "open-secret"), err) == -1)
			return -1;
	} else if (prompt_secret(&c->code, "Six-digit code of the second factor: ", "--totp-file FILE", err) == -1) {
		return -1;
	}
	if (strspn(c->code.data, "0123456789") != c->code.len || c->code.len < 6 || c->code.len > 8)
		return err_set(err, ERR_USAGE, "The second factor's code must be six digits. Nothing was written.");
	return secret_basic(&c->header, c->user, &c->password, &c->code, err);
}

void
credentials_wipe(struct credentials *c)
{
	wipe(c, sizeof(*c));
}
