"""The command line: what is wrong is status 2 and one line that names option, value and what is wanted."""

import pytest

from conftest import CHANGE, ORIGIN

URL = ("--url", "http://127.0.0.1:1")  # nobody listens: to contact it would be status 3
STAGE = ("stage", *URL, *CHANGE)

WRONG = [  # (arguments, words of the line, why)
    ((), ["command", "stalprep help"], "no command"),
    (("stagee", *URL), ['"stagee"', "stage"], "a command's near miss"),
    (("frobnicate",), ['"frobnicate"', "stalprep help"], "no command at all"),
    (("stage", "now", *URL), ['"now"', "no argument"], "an argument too many"),
    ((*STAGE, "--proxi", "192.0.2.1"), ["--proxi", "--proxy"], "an option's near miss"),
    ((*STAGE, "--prox", "192.0.2.1"), ["--prox", "--proxy"], "no abbreviations"),
    ((*STAGE, "--zzzzzzzzzz"), ["--zzzzzzzzzz", "stalprep help"], "no option at all"),
    ((*STAGE, "-x"), ["-x"], "no such letter"),
    ((*STAGE, "--dry-run=yes"), ["--dry-run", "no value"], "a switch with a value"),
    (("stage", "--url"), ["--url", "needs a value", "URL"], "the value is missing"),
    ((*STAGE, "--snapshot="), ["--snapshot", "empty"], "an empty value"),
    ((*STAGE, "-u"), ["-u", "NAME"], "a letter's value is missing"),
    ((*STAGE, "--format", "json"), ["--format", "stage"], "another command's option"),
    (("reload", *URL, "--proxy", "192.0.2.1"), ["--proxy", "reload"], "another command's option"),
    (("print", *CHANGE, "--dry-run"), ["--dry-run", "print"], "another command's option"),
    (("probe", "mail.internal", "staged"), ["staged", "second argument"], "two hosts"),
    ((*STAGE, "-q", "-v"), ["--quiet", "--verbose"], "one or the other"),
    # secrets are no options
    ((*STAGE, "--password", "x"), ["--password-file", "command line"], "seen by everybody"),
    ((*STAGE, "--api-key", "x"), ["--api-key-file"], "seen by everybody"),
    ((*STAGE, "--totp", "x"), ["--totp-file"], "seen by everybody"),
    ((*STAGE, "--user", "admin:x"), ["--user", "--password-file"], "curl's way to give the password"),
    # what to write
    (("stage", *URL, "--public-url", ORIGIN), ["--proxy", "--skip listeners"], "no proxy"),
    (("stage", *URL, "--proxy", "192.0.2.1"), ["--public-url", "--skip url"], "no public URL"),
    ((*STAGE, "--proxy", "proxy.example.org"), ["--proxy", "proxy.example.org", "address"], "a name"),
    ((*STAGE, "--proxy", "192.0.2.10/24"), ["192.0.2.10/24", "192.0.2.0/24"], "host bits: the right one is named"),
    ((*STAGE, "--proxy", "2001:db8::1/64"), ["2001:db8::1/64", "2001:db8::/64"], "the same for IPv6"),
    ((*STAGE, "--proxy", "192.0.2.0/33"), ["192.0.2.0/33", "/8 to /32"], "bits that there are not"),
    ((*STAGE, "--proxy", "10.0.0.0/7"), ["10.0.0.0/7", "/8 to /32"], "bits that the server refuses"),
    ((*STAGE, "--proxy", "0.0.0.0/0"), ["0.0.0.0/0", "/8 to /32"], "everybody"),
    ((*STAGE, "--proxy", "::/0"), ["::/0", "/8 to /128"], "everybody"),
    ((*STAGE, "--proxy", "::/8"), ["::/8", "every IPv4 client"], "it covers the mapped addresses"),
    ((*STAGE, "--proxy", "::ffff:0:0/96"), ["::ffff:0:0/96", "every IPv4 client"], "all mapped addresses"),
    ((*STAGE, "--proxy", "192.0.2.01"), ["192.0.2.01"], "a leading zero"),
    ((*STAGE, "--proxy", "192.0.2.1/"), ["192.0.2.1/"], "no bits"),
    ((*STAGE, "--proxy", "[2001:db8::1]"), ["[2001:db8::1]"], "brackets"),
    ((*STAGE, "--proxy", "192.0.2.1,192.0.2.2"), ["192.0.2.1,192.0.2.2"], "a list: the option is repeated"),
    ((*STAGE, "--public-url", "http://mail.example.org"), ["--public-url", "http://mail.example.org", "https"], "http"),
    ((*STAGE, "--public-url", "mail.example.org"), ["--public-url", "mail.example.org", "https"], "no scheme"),
    ((*STAGE, "--public-url", "https://mail.example.org/jmap"), ["--public-url", "/jmap"], "a path"),
    ((*STAGE, "--public-url", "https://mail.example.org?x"), ["--public-url"], "a query"),
    ((*STAGE, "--public-url", "https://a'b"), ["--public-url", "a'b"], "it would end the expression"),
    ((*STAGE, "--public-url", "https://user@mail.example.org"), ["--public-url", "user"], "no user"),
    ((*STAGE, "--relay", "192.0.2.1"), ["--relay", "192.0.2.1", "DNS name"], "the server would bounce all mail"),
    ((*STAGE, "--relay", "192.0.2.1:25"), ["--relay", "192.0.2.1:25", "DNS name"], "the same with a port"),
    ((*STAGE, "--relay", "[2001:db8::1]:25"), ["--relay", "DNS name"], "the same for IPv6"),
    ((*STAGE, "--relay", "2001:db8::1"), ["--relay", "DNS name"], "the same for IPv6"),
    ((*STAGE, "--relay", "new.example.org:0"), ["--relay", "new.example.org:0", "65535"], "no port"),
    ((*STAGE, "--relay", "new.example.org:smtp"), ["--relay", "smtp", "65535"], "a port by name"),
    ((*STAGE, "--relay", "new example"), ["--relay", "new example"], "a blank"),
    ((*STAGE, "--relay-id", "other"), ["--relay-id", "--relay"], "a name for no relay"),
    ((*STAGE, "--relay", "new.example.org", "--relay-id", "a.b"), ["--relay-id", "a.b"], "a dot in a key"),
    ((*STAGE, "--relay", "new.example.org", "--relay-id", "mx"), ["--relay-id", "mx"], "a route of the server's"),
    ((*STAGE, "--only", "listner"), ["--only", "listner", "listeners"], "no such group"),
    ((*STAGE, "--skip", "checks,"), ["--skip"], "an empty group"),
    ((*STAGE, "--only", "url", "--skip", "url"), ["--only", "--skip"], "nothing is left"),
    ((*STAGE, "--only", "outbound"), ["outbound", "--relay"], "no relay"),
    ((*STAGE, "--listener", "a\nb"), ["--listener"], "a line feed"),
    ((*STAGE, "--listener", "a\\b"), ["--listener"], "config.toml can't hold it: a quoted name loses its backslashes"),
    ((*STAGE, "--listener", "x" * 300), ["--listener", "200"], "too long"),
    ((*STAGE, "--skip", "listeners", "--listener", "imap"), ["--listener", "listeners"], "a group that is left out"),
    ((*STAGE, "--dialect", "0.7"), ["--dialect", "0.7", "0.8"], "too old"),
    ((*STAGE, "--dialect", "0.16"), ["--dialect", "0.16", "0.15"], "too new"),
    ((*STAGE, "--dialect", "15"), ["--dialect", "15"], "not a version"),
    (("print", *CHANGE, "--format", "yaml"), ["--format", "yaml", "toml"], "no such format"),
    # how to reach it
    (("stage", *CHANGE), ["--url"], "no target"),
    (("status",), ["--url"], "no target"),
    (("stage", *CHANGE, "--url", "ftp://a"), ["--url", "ftp://a", "http"], "another scheme"),
    (("stage", *CHANGE, "--url", "mail.internal"), ["--url", "mail.internal", "https"], "no scheme"),
    (("stage", *CHANGE, "--url", "http://192.0.2.1"), ["--url", "192.0.2.1", "loopback"], "the password in the clear"),
    (("stage", *CHANGE, "--url", "http://mail.internal"), ["--url", "mail.internal", "loopback"], "a name may be anybody"),
    (("stage", *CHANGE, "--url", "https://a:0"), ["--url", "https://a:0"], "no port"),
    (("stage", *CHANGE, "--url", "https://a:70000"), ["--url", "70000"], "no port"),
    (("stage", *CHANGE, "--url", "https://a/admin"), ["--url", "https://a/admin"], "a path"),
    (("stage", *CHANGE, "--url", "https://user:x@a"), ["--url"], "a secret on the command line"),
    ((*STAGE, *URL), ["--url", "twice"], "one node twice"),
    ((*STAGE, "--resolve", "a:443"), ["--resolve", "a:443"], "no address"),
    ((*STAGE, "--resolve", "a:443:b"), ["--resolve", "a:443:b"], "a name for an address"),
    ((*STAGE, "--connect-timeout", "soon"), ["--connect-timeout", "soon", "seconds"], "no number"),
    ((*STAGE, "--max-time", "-1"), ["--max-time", "-1"], "less than nothing"),
    (("status", "--url", "https://127.0.0.1:1", "--pinnedpubkey", "sha256//AAAA"), ["--pinnedpubkey", "AAAA"],
     "no whole hash"),
    ((*STAGE, "--snapshot", "a", "--snapshot-dir", "b"), ["--snapshot", "--snapshot-dir"], "one or the other"),
    ((*STAGE, "--api-key-file", "a", "--user", "b"), ["--api-key-file", "--user"], "one or the other"),
    ((*STAGE, "--password-file", "-", "--totp-file", "-"), ["--password-file", "--totp-file"], "one standard input"),
    (("licenses", "--proxy", "203.0.113.1"), ["--proxy", "licenses"], "nothing to write"),
    (("help", "stage", "--url", "https://a"), ["--url", "help"], "nothing to reach"),
    ((*STAGE, "--force", ""), ["--force"], "no name"),
    ((*STAGE, "--force", "a,,b"), ["--force"], "an empty name"),
]


@pytest.mark.parametrize("args,words,why", WRONG, ids=[f"{number}-{case[2]}" for number, case in enumerate(WRONG)])
def test_wrong(run, args, words, why):
    ran = run(*args, status=2)
    assert ran.out == "" and ran.err.endswith("\n") and ran.err.count("\n") == 1, why
    assert [word for word in words if word not in ran.err] == [], ran.err
    assert "\x1b" not in ran.err and run.snapshots() == []


def test_secret_in_a_wrong_place_is_not_echoed(run):
    """It may be on the screen already, but it must not come into a log by us."""
    for args in ((*STAGE, "--password=hunter22"), ("stage", *CHANGE, "--url", "https://admin:hunter22@old"),
                 (*STAGE, "--user", "admin:hunter22")):
        assert "hunter22" not in run(*args, status=2).said


RIGHT = [  # (options, what must be among the printed lines)
    (("--proxy", "192.0.2.1"), "192.0.2.1/32"), (("--proxy=192.0.2.1",), "192.0.2.1/32"),
    (("--proxy", "2001:DB8::1"), "2001:db8::1/128"), (("--proxy", "2001:db8::/32"), "2001:db8::/32"),
    (("--proxy", "::ffff:192.0.2.1"), "192.0.2.1/32"), (("--proxy", "::ffff:192.0.2.0/120"), "192.0.2.0/24"),
    (("--proxy", "10.0.0.0/8"), "10.0.0.0/8"),
    (("--proxy", "192.0.2.1", "--public-url", "https://mail.example.org/"), "'https://mail.example.org'"),
    (("--proxy", "192.0.2.1", "--public-url", "https://mail.example.org:8443"), "'https://mail.example.org:8443'"),
    (("--proxy", "192.0.2.1", "--relay", "new.example.org."), "new.example.org."),
]


@pytest.mark.parametrize("options,wanted", RIGHT, ids=[" ".join(case[0]) for case in RIGHT])
def test_right(run, options, wanted):
    out = run("print", "--public-url", ORIGIN, *options, status=0).out
    assert any(line.endswith(" = " + wanted) for line in out.split("\n")), out


def test_options_before_the_command(run):
    assert run(*CHANGE, "--format", "keys", "print", status=0).out == run("print", *CHANGE, "--format=keys").out


def test_help(run):
    for command in ("print", "stage", "status", "clear", "reload", "probe"):
        text = run("help", command, status=0).out
        assert text == run(command, "--help", status=0).out == run(command, "-h", *URL, status=0).out
        assert "--help" in text and max(map(len, text.split("\n"))) <= 80, command
    text = run("help", status=0).out
    assert text == run("--help", status=0).out and "stalprep stage --url" in text
    assert max(map(len, text.split("\n"))) <= 80


def test_version_and_licences(run):
    assert run("--version", status=0).out == run("version", status=0).out == run("-V", status=0).out
    text = run("licenses", status=0).out
    assert all(name in text.lower() for name in ("musl", "bearssl", "cjson", "mit license"))
    holders = ("the stalprep authors", "Rich Felker", "Thomas Pornin", "Dave Gamble")
    assert all(name in text for name in holders) and text.count("WITHOUT WARRANTY OF ANY KIND") == 1


@pytest.mark.parametrize("args", [("--version",), ("help",), ("help", "stage"), ("licenses",)])
def test_full_device(run, args):
    with open("/dev/full", "wb") as full:
        assert "standard output" in run(*args, stdout=full, status=1).err
