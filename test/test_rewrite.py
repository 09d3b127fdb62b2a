"""The server rewrites its config.toml whenever a local key changes; what that would break is refused before (server-facts)."""

import pytest

from conftest import CHANGE, HTTP, HTTPS, SMTP, config, dialect_of, parsed, reach, sent, write

WILDCARD = '[certificate."*.example.org"]\ncert = "x"\nprivate-key = "y"\n'
ALL_LOCAL = '[config]\nlocal-keys = ["store.*", "directory.*", "tracer.*", "server.*", "certificate.*", "config.*", ' \
            '"authentication.*", "storage.*"]\n'


# What stands in config.toml, the version, its options, and the refusal's name
BREAKS = [
    (WILDCARD, "0.12.5", (), "rewrite"),
    (ALL_LOCAL, "0.12.5", ("--new-server", "2001:db8::5", "--allow-new-server"), "rewrite"),
    ('[signature."rsa:example.org"]\nalgorithm = "rsa-sha256"\n', "0.12.5", (), "rewrite-unseen"),
    ('[sieve.trusted.scripts."a:b"]\ncontents = "keep;"\n[lookup.default]\nhostname = "mail"\n', "0.9.4", (), "rewrite-unseen"),
    ('[lookup."spam:trap"]\nx = "y"\n', "0.11.8", (), "rewrite-unseen"),
    ("[session.rcpt]\nrewrite = '''C:\\'''\n", "0.15.5", (), "rewrite-unseen"),
]


@pytest.mark.parametrize("table, version, options, name", BREAKS, ids=lambda value: str(value)[:20])
def test_refused_before_the_boot_fails(run, simulate, table, version, options, name):
    server = simulate(version, config=config(SMTP, HTTP, HTTPS, table))
    ran = run("stage", *reach(server), *CHANGE, *options, status=1)
    assert f"refused ({name})" in ran.err and not sent(server)
    assert server.restart(), server.boot_error
    # The refusal is right: what may be forced breaks the boot, what may not be forced stays refused.
    ran = run("stage", *reach(server), *CHANGE, *options, "--force", name)
    assert ran.status == (1 if name == "rewrite" else 0) and server.restart() == (name == "rewrite")


@pytest.mark.parametrize("version", ["0.9.4", "0.12.5", "0.15.5"])
def test_an_ordinary_database_is_no_reason(run, simulate, version):
    """Twenty thousand keys: bans by IPv6 address, rules with line feeds, scripts, an expression with every quote."""
    server = simulate(version)
    values = {f"server.blocked-ip.2001:db8::{number:x}": "" for number in range(20000)}
    values |= {"sieve.trusted.scripts.track.contents": 'require ["variables"];\nset "x" "C:\\\\new";\r\nkeep;\n',
               "spam-filter.rule.long.condition.0.if": "contains(subject, 'a\\'b') && \n len(subject) > 200",
               "signature.rsa-example.org.private-key": "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n",
               "session.rcpt.rewrite.0.then": "matches('^([^.]+)\\\\.([^.]+)$', rcpt) + \"it's\" + $1 + \"\\n\""}
    server.shared_database.update(values)
    ran = run("stage", *reach(server), *CHANGE, "--dialect", dialect_of(version), status=0)
    assert "2001:db8::4e1f" not in ran.said
    assert server.restart(), server.boot_error
    run("clear", *reach(server), status=0)


def test_a_key_of_a_database_is_asked_about_once(run, simulate):
    """From 0.13 on few keys break a file; up to 0.12 a mail address does, and the refusal can be answered."""
    server = simulate("0.12.5")
    write(server, {"lookup.spam-trap.joe@example.org": "", "lookup.spam-trap.ann@example.org": ""})
    ran = run("stage", *reach(server), *CHANGE, status=1)
    assert "mail would stop: lookup.spam-trap.ann@example.org, lookup.spam-trap.joe@example.org. They" in ran.err and "--force rewrite-unseen" in ran.err
    run("stage", *reach(server), *CHANGE, "--dialect", "0.13", status=0)
    run("clear", *reach(server), "--force", "rewrite-unseen", status=0)
    assert server.restart(), server.boot_error


def test_more_settings_than_can_be_read(run, simulate):
    server = simulate()
    server.shared_database.update({f"lookup.x.{number}": "v" * 1000000 for number in range(17)})
    ran = run("stage", *reach(server), *CHANGE, status=1)
    assert "longer than the limit of 16777216 bytes. This was the list of all settings." in ran.err
    assert ran.err.endswith("Nothing was written.\n") and not sent(server)
