"""The server rewrites its config.toml whenever a local key changes; what that would break is refused before (server-facts)."""

from pathlib import Path

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
    assert ("like server.blocked-ip.2001:db8::0, " in ran.err and "--boot-config" in ran.err) == (version != "0.15.5")
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


IN_FILE = {  # what the file has of its own, the options, what is named
    "a ban": ('[server.blocked-ip]\n"2001:db8::77" = ""\n[lookup.default]\nhostname = "mail"\n', (), "server.blocked-ip.2001:db8::77"),
    "an exemption of our own": ('[lookup.default]\nhostname = "mail"\n', ("--new-server", "2001:db8::9", "--allow-new-server"), "server.allowed-ip.2001:db8::9"),
}


@pytest.mark.parametrize("name", IN_FILE)
@pytest.mark.parametrize("version", ["0.9.4", "0.12.5", "0.15.5"])
def test_an_address_in_the_file(run, simulate, name, version):
    """Up to 0.12 the server starts with it, and no more once it has written the file anew."""
    table, options, key = IN_FILE[name]
    server = simulate(version, config=config(SMTP, HTTP, HTTPS, table))
    server.stop()
    path = Path(server.config_path)
    text = path.read_text()
    stage = ("stage", "--config", path, *CHANGE, *options)
    ran = run(*stage, "--dialect", dialect_of(version), password=None, status=0 if version == "0.15.5" else 1)
    if version != "0.15.5":
        assert "refused (rewrite)" in ran.err and key in ran.err and "--force does not apply" in ran.err
        assert path.read_text() == text
        run(*stage, "--dialect", "0.13", password=None, status=0)
    staged = path.read_text()
    assert server.restart(), server.boot_error
    write(server, {"server.hostname": "x"})
    assert server.restart() == (version == "0.15.5")
    server.stop()
    path.write_text(staged)
    run("clear", "--config", path, password=None, status=0)
    assert path.read_text() == text


def test_a_ban_in_the_file_is_not_seen_over_the_api(run, simulate):
    """File and database look the same: a warning."""
    server = simulate("0.12.5", config=config(SMTP, HTTP, HTTPS, IN_FILE["a ban"][0]))
    ran = run("stage", *reach(server), *CHANGE, status=0)
    assert "server.blocked-ip.2001:db8::77" in ran.err and "--boot-config" in ran.err
    assert not server.restart()


@pytest.mark.parametrize("name", ["a ban"])
def test_a_ban_in_the_file_is_seen_there(run, simulate, name):
    """With the file it is known: refused where it is in it, and no word where it is in the database."""
    server = simulate("0.12.5", config=config(SMTP, HTTP, HTTPS, IN_FILE[name][0]))
    file = ("--boot-config", server.config_path)
    ran = run("stage", *reach(server), *CHANGE, *file, "--json", status=1)
    assert "rewrite" in ran.names() and server.restart()
    other = simulate("0.12.5", config=config(SMTP, HTTP, HTTPS))
    write(other, {"server.blocked-ip.2001:db8::77": ""})
    ran = run("stage", *reach(other), *CHANGE, "--boot-config", other.config_path, status=0)
    assert "2001:db8::77" not in ran.err and other.restart()


def test_an_exemption_goes_to_the_database(run, simulate):
    server = simulate("0.12.5", config=config(SMTP, HTTP, HTTPS))
    run("stage", *reach(server), *CHANGE, *IN_FILE["an exemption of our own"][1], status=0)
    assert server.restart(), server.boot_error
    ran = run("clear", *reach(server), status=0)
    assert "--boot-config" in ran.err and server.restart()
