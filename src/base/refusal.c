#include "base/refusal.h"

#include <stdio.h>

const struct refusal_row refusals[REFUSAL_COUNT] = {
	[REFUSAL_PORT_25] = { "port-25", false,
	    "A listener on port 25, or one that the new server relays to, would go behind the "
	    "proxy." },
	[REFUSAL_NO_LISTENER] = { "no-listener", false,
	    "The server has no such listener, or none that can go behind the proxy." },
	[REFUSAL_RELAY_LISTENER] = { "relay-listener", false,
	    "It is not clear which listener is on port 25; --relay-listener names it." },
	[REFUSAL_SUBMISSION] = { "submission", false,
	    "It is not clear whether mail clients use a listener of protocol smtp; --also or "
	    "--leave says so." },
	[REFUSAL_LISTENER_NAME] = { "listener-name", false,
	    "A listener's name makes its keys look like another listener's." },
	[REFUSAL_TOO_MANY] = { "too-many", false,
	    "There are more than 1,000 listeners, or one has more than 1,000 binds or networks. Or "
	    "config.toml is too large." },
	[REFUSAL_NOT_LOCAL] = { "not-local", false,
	    "The server would keep the listener keys in its database, where they have no effect." },
	[REFUSAL_RELAY_COVERED] = { "relay-covered", true,
	    "Port 25 expects a PROXY header from the new server's address." },
	[REFUSAL_RELAY_TAKEN] = { "relay-taken", true,
	    "The server has another relay of that name; --relay-id names a new one." },
	[REFUSAL_RELAY_CREDENTIALS] = { "relay-credentials", false,
	    "The server has another relay of that name, and it holds credentials." },
	[REFUSAL_DIALECT] = { "dialect", true,
	    "--dialect names another version than the server's answers show." },
	[REFUSAL_DIALECT_UNKNOWN] = { "dialect-unknown", false,
	    "What is to be written depends on the version, which is not certain; --dialect "
	    "names it." },
	[REFUSAL_CLUSTER] = { "cluster", false,
	    "The server is one node of a cluster, and the other nodes are not named." },
	[REFUSAL_NO_CLUSTER] = { "no-cluster", false,
	    "Several --url are given, and the servers share no database." },
	[REFUSAL_NODE] = { "node", false,
	    "The snapshot does not show which of its nodes this one is." },
	[REFUSAL_TWO_SERVERS] = { "two-servers", false, "Two servers answer at one --url." },
	[REFUSAL_SHADOWED] = { "shadowed", false,
	    "config.toml has keys that would be written to the database, which it outranks." },
	[REFUSAL_FILE_CHANGED] = { "file-changed", true,
	    "config.toml was changed under the running server, whose write would undo that." },
	[REFUSAL_REWRITE] = { "rewrite", false,
	    "The server would rewrite its config.toml and could not start with the result." },
	[REFUSAL_REWRITE_CHANGES] = { "rewrite-changes", true,
	    "The server would rewrite its config.toml, and a key or value would change." },
	[REFUSAL_REWRITE_UNSEEN] = { "rewrite-unseen", true,
	    "A key would break the server's next start if config.toml has it." },
	[REFUSAL_SNAPSHOT_TARGET] = { "snapshot-target", true,
	    "The snapshot belongs to another server or file." },
	[REFUSAL_SNAPSHOT_OWNER] = { "snapshot-owner", true,
	    "Other users could have written the snapshot that --snapshot names." },
	[REFUSAL_NO_SNAPSHOT] = { "no-snapshot", false,
	    "There is no snapshot, and the options do not say what was staged." },
	[REFUSAL_ALREADY_STAGED] = { "already-staged", true,
	    "The server looks staged, and there is no snapshot of that stage." },
	[REFUSAL_IN_FILE] = { "in-file", true,
	    "A key of the database was staged in config.toml; the API can't take out that one "
	    "alone." },
	[REFUSAL_CHANGED] = { "changed", true,
	    "A key was changed since it was staged; clear leaves it alone." },
	[REFUSAL_RUNNING] = { "running", true, "A server was started with this config.toml." },
	[REFUSAL_IN_PLACE] = { "in-place", true,
	    "config.toml can only be written in place, and a cut-off write would damage it." },
	[REFUSAL_INLINE_TABLE] = { "inline-table", false,
	    "config.toml has a listener or a rule as an inline table, which can't take another "
	    "key." },
	[REFUSAL_OPEN_SECRET] = { "open-secret", true,
	    "A file with a secret can be read or written by other users." },
	[REFUSAL_NEW_SERVER] = { "new-server", false,
	    "The server is 0.16 or newer, which needs no change." },
	[REFUSAL_NOT_STALWART] = { "not-stalwart", false,
	    "The answer is not from an older Stalwart server." },
};

enum refusal
refusal_find(const char *name)
{
	size_t i;

	for (i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++) {
		if (!strcmp(refusals[i].name, name))
			return (enum refusal)i;
	}
	return REFUSAL_NONE;
}

void
refusal_way_out(enum refusal r, char *out, size_t size)
{
	if (refusals[r].can_be_forced)
		snprintf(out, size, " To go on anyway: --force %s.", refusals[r].name);
	else
		snprintf(out, size, " --force does not apply.");
}
