#include "target/snapfile.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "settings/snapshot.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>

enum { USUAL = 8000 }; /* bytes of most snapshots */

/* Somebody else may have written it. */
static int
refuse(const char *path, const struct err *why, struct err *err)
{
	return err_refuse(err, REFUSAL_SNAPSHOT_OWNER,
	    "The snapshot %s is not used: %s. Anyone who can write it could make stalprep write "
	    "other values. Keep it in a folder where only you can write.",
	    path, why->text);
}

int
snapfile_check_folder(const char *path, const struct snapfile_trust *trust, struct err *err)
{
	struct err why;

	if (trust->all || file_check_folder(path, trust->also, &why) == 0)
		return 0;
	if (why.kind != ERR_REFUSED) {
		*err = why;
		return -1;
	}
	return err_refuse(err, REFUSAL_SNAPSHOT_OWNER,
	    "No snapshot is kept here: %s. Anyone who can write it could make stalprep write other "
	    "values. Name a folder where only you can write: --snapshot-dir DIR.",
	    why.text);
}

/* Read the text of a file that nobody but these can have written; as snapfile_load. */
static int
read_text(struct buf *text, const char *path, const struct snapfile_trust *trust, struct err *err)
{
	struct err why;
	int r = trust->all ? file_read(text, path, SNAPSHOT_MAX, &why)
			   : file_read_own(text, path, SNAPSHOT_MAX, trust->also, &why);

	if (r == -1 && why.kind == ERR_REFUSED)
		return refuse(path, &why, err);
	if (r == -1)
		*err = why;
	return r;
}

int
snapfile_load(struct snapshot *s, struct pool *pool, const char *path,
    const struct snapfile_trust *trust, struct err *err)
{
	struct buf text = { 0 };
	struct err why;
	int r = read_text(&text, path, trust, err);

	if (r == 0 && snapshot_parse(s, pool, text.data ? text.data : "", text.len, &why) == -1)
		r = why.code == ENOMEM ? err_memory(err)
				       : err_set(err, ERR_REFUSED,
					     "the snapshot %s can't be used: %s. Only this file "
					     "says what the settings were "
					     "before. Look at it; if it is useless, move it away.",
					     path, why.text);
	buf_free(&text);
	return r;
}

/* Would the next run take it? */
static int
check(const struct snapshot *s, const struct buf *text, const char *path, struct err *err)
{
	struct pool pool = { .expect = 4 * text->len };
	struct snapshot again;
	int r;

	if (text->failed)
		return err_memory(err);
	if (text->len > SNAPSHOT_MAX || snapshot_is_too_long(s))
		return err_set(err, ERR_SYSTEM,
		    "the snapshot %s would be larger than %d bytes, or have more than %d keys in "
		    "one part",
		    path, SNAPSHOT_MAX, PART_KEYS_MAX);
	r = snapshot_parse(&again, &pool, text->data, text->len, err);
	pool_free(&pool);
	return r;
}

int
snapfile_save(
    struct snapshot *s, const char *path, const struct snapfile_trust *trust, struct err *err)
{
	struct buf text = { 0 }, written = { 0 };
	int r;

	buf_reserve(&text, USUAL);
	snapshot_format(&text, s);
	r = check(s, &text, path, err); /* else the old one stays */
	if (r == 0)
		r = file_replace(path, text.data, text.len, -1, err);
	if (r == 0)
		r = read_text(&written, path, trust, err);
	if (r == 1 ||
	    (r == 0 && (written.len != text.len || memcmp(written.data, text.data, text.len) != 0)))
		r = err_set(err, ERR_SYSTEM, "%s does not read as it was written", path);
	buf_free(&text);
	buf_free(&written);
	return r;
}
