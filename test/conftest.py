"""What the end-to-end tests share: the binary, older servers, a certificate authority.

The binary is $STALPREP (run through $STALPREP_RUNNER, if that is set). The servers are simulated ones, or, where
$STALWART names a binary, a real one in a network namespace of its own (realserver.py); a real server has its own
ports, so then without xdist: `./build.sh test e2e -n 0`.

A sweep tries every byte, every system call, hundreds of made-up servers. A normal run takes a sample of each, always the
same one; with $STALPREP_THOROUGH=1 the whole sweep is done, with a new seed each time. $STALPREP_SEED repeats a run.
"""

import base64
import datetime
import functools
import hashlib
import ipaddress
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import HealthCheck, seed, settings

import oldconfig
import oldserver
import realserver

# Whoever started the tests may ignore a signal (nohup, a shell's "&"), and the program would do so too. A handler of
# Python's, unlike "ignored", does not outlive an exec. (SIGPIPE and SIGXFSZ are for subprocess to restore.)
signal.signal(signal.SIGINT, signal.default_int_handler)
for ignored in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
    if signal.getsignal(ignored) == signal.SIG_IGN:
        signal.signal(ignored, lambda *_: None)

ROOT = Path(__file__).resolve().parent.parent
BINARY = os.environ.get("STALPREP", str(ROOT / "build" / "stalprep"))
RUNNER = shlex.split(os.environ.get("STALPREP_RUNNER", ""))
TIMEOUT = 120 if RUNNER else 40  # seconds; no run takes a tenth of it



def is_static():
    """What needs a C library of the system has the path of its loader, near its beginning."""
    try:
        return b"/ld-" not in Path(BINARY).read_bytes()[:4096]
    except OSError:
        return True


# Some promises are those of the static binary alone: what it needs around it, its memory, its system calls.
static = pytest.mark.skipif(not is_static(), reason="this holds for the static binary only")

USER, PASSWORD = "admin", "s3cret-Pass"
NAME = "mail.internal.example.org"  # a name of the server that no resolver knows
PROXY, ORIGIN = "203.0.113.10/32", "https://mail.example.org"
CHANGE = ("--proxy", "203.0.113.10", "--public-url", ORIGIN)
RELAY = ("--relay", "new.internal.example.org")

REAL = realserver.version_name() if realserver.binary() else None
NEWEST = REAL or "0.15.5"
VERSIONS = [REAL] if REAL else ["0.8.0", "0.9.4", "0.10.7", "0.11.8", "0.12.5", "0.13.4", "0.15.5"]


@functools.cache
def can_mount():
    """In a mount namespace of its own: that takes root, and a root folder that is a mount point."""
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, timeout=60, check=False).returncode == 0


# How much of a sweep is done, and the seed of what is left to chance

THOROUGH = os.environ.get("STALPREP_THOROUGH") == "1"
# It is put into the environment because xdist's workers need the same. A normal run always has the same one: it must not
# fail by chance.
SEED = int(os.environ.setdefault("STALPREP_SEED", str(random.randrange(10**9) if THOROUGH else 12)))
EXAMPLES = 40  # of hypothesis in a normal run


def chance(*what):
    """Random numbers for one use, named by `what`; the seed decides which."""
    return random.Random(" ".join(map(str, (SEED, *what))))


def sample(cases, every, *what):
    """A thorough run takes all cases of a sweep, a normal one each `every`-th. Seed and `what` decide where it begins."""
    cases = list(cases)
    return cases if THOROUGH else cases[chance(*what).randrange(min(every, len(cases) or 1))::every]


def made_up(examples, *what):
    """For a test with @given. A thorough run has this many examples, a normal one at most EXAMPLES. Seed and `what` decide
    which."""
    limits = settings(max_examples=examples if THOROUGH else min(examples, EXAMPLES), database=None, deadline=None,
                      print_blob=False, suppress_health_check=[
                          HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large,
                          HealthCheck.large_base_example])
    return lambda test: seed(" ".join(map(str, (SEED, *what))))(limits(test))


# The folders of the tests

MEMORY = "/dev/shm"
MEMORY_NEEDED = 1 << 30


def memory_fits():
    """In a container it may be small, or mounted noexec."""
    try:
        about = os.statvfs(MEMORY)
    except OSError:
        return False
    return (os.access(MEMORY, os.W_OK) and not about.f_flag & os.ST_NOEXEC
            and about.f_bavail * about.f_frsize >= MEMORY_NEEDED)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Puts them in memory, because each run of the program syncs several files. --basetemp=DIR puts them elsewhere and
    keeps them."""
    if not config.option.basetemp and memory_fits():
        config.option.basetemp = tempfile.mkdtemp(prefix="stalprep-", dir=MEMORY)
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))


# What a run says of itself

def seed_line():
    again = f"STALPREP_SEED={SEED}" + (" STALPREP_THOROUGH=1" if THOROUGH else "")
    return f"{'whole sweeps' if THOROUGH else 'samples of the sweeps'}, seed {SEED}; {again} repeats it"


def pytest_sessionstart(session):
    """Said at the start, with -q too. xdist's workers have no terminal."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal:
        terminal.write_line(seed_line())


def pytest_terminal_summary(terminalreporter):
    """And once more where something failed."""
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(seed_line())


# The guide, as it was sent to real servers

def parsed(version):
    return oldserver.parse_version(version)


@functools.cache
def guide_bodies(version):
    """The bodies of the guide's four commands, spelled for this version (0.8 is as 0.9)."""
    import test_oldserver  # not before pytest has seen it as a test
    fitting = [name for name in test_oldserver.VERSIONS if parsed(name) <= parsed(version)]
    recorded = test_oldserver.RECORDED[max(fitting or ["0.9.4"], key=parsed)]
    return [json.loads(step["body"]) for step in recorded["guide"]["steps"] if step.get("method") == "POST"][:4]


def guide(version, relay=False, listeners=None):
    """The guide's keys and values, in its order; `listeners`: those that the server has."""
    pairs = [pair for body in guide_bodies(version)[:4 if relay else 3] for pair in body[0]["values"]]
    names = default_listeners(version) if listeners is None else listeners
    return {key: value for key, value in pairs
            if not key.startswith("server.listener.") or key.split(".")[2] in names}


def default_listeners(version):
    return [name for name, _, protocol, _ in oldserver.DEFAULT_LISTENERS
            if protocol != "pop3" or parsed(version) >= (0, 10)]


def dialect_of(version):
    return ".".join(version.split(".")[:2])


def spelled(values, version=NEWEST):
    """Keys and values of the newest dialect, with this version's keys."""
    names = [("http.url", "server.http.url")] if parsed(version) < (0, 12) else []
    if parsed(version) < (0, 13):
        names += [("queue.strategy.route", "queue.outbound.next-hop"), ("queue.route.", "remote.")]
    return {next((old + key[len(new):] for new, old in names if key.startswith(new)), key): value
            for key, value in values.items()}


# Running the binary

FLEETING = re.compile("stalprep stage: warning: The snapshot is in .* file system, which may end with this machine.*\n")


@dataclass
class Ran:
    """What a run gave."""
    status: int
    out: str
    err: str                # without the warning that the snapshot is in memory: the tests' folder may be, or not
    fleeting: bool = False  # that warning was there

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def target(self):
        return self.json["targets"][0]

    @property
    def said(self):
        return self.out + self.err

    def names(self):
        """Of its messages, as --json tells them."""
        return {message["name"] for message in self.json["messages"]} - {None}


def forms(user, secret):
    """How a secret may show."""
    return {secret, base64.b64encode(secret.encode()).decode(),
            base64.b64encode(f"{user}:{secret}".encode()).decode()}


def parsed_snapshot(text):
    """A snapshot's text; "keys" has those of all parts, "state" the least that a part has reached."""
    snapshot = json.loads(text)
    parts = [part for part in (snapshot["database"], *snapshot["nodes"]) if part["keys"]] or [snapshot["database"]]
    snapshot["keys"] = [{"local": part is not snapshot["database"], **key} for part in parts for key in part["keys"]]
    snapshot["state"] = min((part["state"] for part in parts), key=["sending", "planned", "proved"].index)
    return snapshot


class Tool:
    """Runs the binary in a folder of its own; what a run leaves there and says must hold no secret."""

    def __init__(self, folder, vault):
        self.folder, self.vault = folder, vault
        self.secrets = forms(USER, PASSWORD)

    def secret_file(self, text, mode=0o600):
        """A file for --password-file and its like, outside of the folder."""
        path = self.vault / f"secret{len(list(self.vault.iterdir()))}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return str(path)

    def kept(self, args):
        """Snapshots are kept in the folder, where no option says where: root's own folder is the machine's."""
        said = any(arg in ("--snapshot", "--snapshot-dir", "--config") for arg in args)
        takes = {"stage", "status", "clear", "reload"} & set(args[:1]) and "--url" in args
        return () if said or not takes else ("--snapshot-dir", self.folder)

    def start(self, *args, password=PASSWORD, env=(), wrap=(), binary=BINARY, keep=True, **options):
        """The process, with a clean environment, no terminal and nothing on its standard input."""
        if keep:
            args = (*args[:1], *self.kept(args), *args[1:])
        environment = {"PATH": os.environ["PATH"], **dict(env)}
        if password is not None:
            environment["STALPREP_PASSWORD"] = password
        given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                 "cwd": self.folder, "start_new_session": True, **options}
        return subprocess.Popen([*wrap, *RUNNER, binary, *map(str, args)], env=environment, **given)

    def finish(self, process, text=None, status=None):
        try:
            out, err = process.communicate(text, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        err, fleeting = FLEETING.subn("", (err or b"").decode())
        ran = Ran(process.returncode, (out or b"").decode(), err, fleeting > 0)
        self.check_secrets(ran)
        if status is not None:
            assert ran.status == status, f"status {ran.status}, wanted {status}\n{ran.out}\n{ran.err}"
        return ran

    def __call__(self, *args, text=None, status=None, **options):
        if text is not None:
            options["stdin"] = subprocess.PIPE
        return self.finish(self.start(*args, **options), text, status)

    def while_running(self, fault, what, *args, status=None, **options):
        """A run that something happens to: what(process) is called when `fault` asks for it."""
        started = Future()
        fault(lambda _server: what(started.result(TIMEOUT)))
        process = self.start(*args, **options)
        started.set_result(process)
        return self.finish(process, status=status)

    def check_secrets(self, ran):
        texts = {"stdout": ran.out, "stderr": ran.err}
        texts.update((path.name, path.read_text(errors="replace")) for path in self.folder.rglob("*")
                     if path.is_file() and os.access(path, os.R_OK))
        for where, text in texts.items():
            shown = [secret for secret in self.secrets if secret in text]
            assert not shown, f"a secret in {where}: {text}"

    def snapshots(self):
        return sorted(path.name for path in self.folder.iterdir())

    def snapshot(self):
        """The one in the folder, parsed."""
        path, = self.folder.glob("*.snapshot.json")
        return parsed_snapshot(path.read_text())


@pytest.fixture
def run(tmp_path):
    folder, vault = tmp_path / "runs", tmp_path / "vault"
    folder.mkdir()
    vault.mkdir()
    return Tool(folder, vault)


# Certificates

@dataclass(frozen=True)
class Pair:
    """A certificate's chain and its key, in files."""
    cert: str
    key: str

    @property
    def pin(self):
        """As --pinnedpubkey wants it."""
        leaf = x509.load_pem_x509_certificate(Path(self.cert).read_bytes())
        spki = leaf.public_key().public_bytes(serialization.Encoding.DER,
                                              serialization.PublicFormat.SubjectPublicKeyInfo)
        return "sha256//" + base64.b64encode(hashlib.sha256(spki).digest()).decode()


def general_name(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def new_key(kind):
    if kind.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind[3:]))
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}[kind])


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


class Authority:
    """A certificate authority; what it issues is kept and given again for the same wishes."""

    def __init__(self, folder):
        self.folder, self.issued = folder, {}
        self.key = new_key("p256")
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        self.cert = self.build(name, name, self.key, self.key, (-30, 300), ca=True)
        self.file = str(folder / "ca.pem")
        Path(self.file).write_bytes(pem(self.cert))

    @staticmethod
    def build(subject, issuer, key, signer, days, ca=False, names=(), usages=()):
        start = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(start + datetime.timedelta(days=days[0]))
                   .not_valid_after(start + datetime.timedelta(days=days[1]))
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([general_name(n) for n in names]), critical=False)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
        return builder.sign(signer, hashes.SHA256())

    def issue(self, *names, days=(-1, 90), kind="p256", self_signed=False, usages=(ExtendedKeyUsageOID.SERVER_AUTH,)):
        wish = (names, days, kind, self_signed, usages)
        if wish not in self.issued:
            self.issued[wish] = self.make(*wish)
        return self.issued[wish]

    def make(self, names, days, kind, self_signed, usages):
        key = new_key(kind)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        signer, issuer = (key, subject) if self_signed else (self.key, self.cert.subject)
        cert = self.build(subject, issuer, key, signer, days, names=names, usages=usages)
        stem = str(self.folder / f"{len(self.issued)}")
        Path(stem + ".crt").write_bytes(pem(cert))
        Path(stem + ".key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return Pair(stem + ".crt", stem + ".key")


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


# Servers

@pytest.fixture
def serve(tmp_path, ca):
    """Starts servers and stops them after the test; `pair` is another certificate than the usual one."""
    started = []

    def start(version=NEWEST, config=None, pair=None, **options):
        folder = tmp_path / f"server{len(started)}"
        folder.mkdir()
        pair = pair or ca.issue("localhost", NAME, "127.0.0.1", "::1")
        text = config(str(folder), pair) if callable(config) else config
        server = realserver.make(version, folder, text, certfile=pair.cert, keyfile=pair.key, **options)
        started.append(server.start())
        assert server.boots, server.boot_error
        return server
    yield start
    for server in started:
        server.stop()


@pytest.fixture
def simulate(serve):
    """The same for what a real server can't do on demand: faults, a log of requests."""
    if REAL:
        pytest.skip("only the simulator can play this")
    return serve


@pytest.fixture
def server(serve):
    return serve()


def listener(name, port, protocol, **keys):
    """A table of config.toml; `bind` among the keys takes the port's place, None takes a key away."""
    keys = {"bind": f"[::]:{port}", "protocol": protocol, **keys}
    lines = [f'[server.listener."{name}"]']
    lines += [f"{key.replace('_', '-')} = {json.dumps(value)}" for key, value in keys.items() if value is not None]
    return "\n".join(lines) + "\n"


SMTP = listener("smtp", 25, "smtp")
HTTP = listener("http", 8080, "http")
HTTPS = listener("https", 443, "http", **{"tls.implicit": True})


def config(*parts):
    """What `serve` takes as a configuration: these tables and lines, and what a boot needs beside them."""
    def text(folder, pair):
        return "\n".join([*parts, oldserver.base_config(folder, pair.cert, pair.key, USER, PASSWORD)])
    return text


def cluster_nodes(start, *parts, count=2):
    """Nodes with one database, from `serve` or `simulate`."""
    database = {}
    return [start(config=config(f'cluster.coordinator = "redis"\ncluster.node-id = "{number}"\n', *parts), database=database)
            for number in range(1, count + 1)]


def reach(server, ca=None, url=None):
    """Options that lead to it: over loopback HTTP, or over HTTPS where `ca` is given."""
    if ca:
        return ("--url", url or server.https_url, "--cacert", ca.file)
    return ("--url", url or server.http_url)


def named(url, name=NAME):
    """The same URL by a name, and the --resolve that it takes."""
    port = url.rpartition(":")[2]
    return f"{url.partition('://')[0]}://{name}:{port}", ("--resolve", f"{name}:{port}:127.0.0.1")


def state(server):
    """All that has to come back: what the API lists, the database as it is, the keys of config.toml."""
    return {"settings": server.settings(), "database": server.database(),
            "file": oldconfig.read_text(server.config_text(), server.version)}


def difference(before, after):
    """What is new or other in `after`; None stands for what is gone."""
    return {key: after.get(key) for key in {**before, **after} if before.get(key) != after.get(key)}


def insert(server, **values):
    """Set keys over the API, as an administrator might: __ stands for a dot in a name."""
    write(server, {key.replace("__", "."): value for key, value in values.items()})


def write(server, values):
    """Set keys over the API; None deletes."""
    spell = str.capitalize if server.version < (0, 11) else str.lower
    pairs = [[key, value] for key, value in values.items() if value is not None]
    gone = [key for key, value in values.items() if value is None]
    body = [{"type": spell("delete"), "keys": gone},
            {"type": spell("insert"), "prefix": None, "assert_empty": False, "values": pairs}]
    status, _, answer = server.request("POST", "/api/settings", body)
    assert (status, json.loads(answer)) == (200, {"data": None}), answer


def sent(server, method="POST"):
    """The bodies that the server got with this method, parsed (a real one keeps no log)."""
    return [json.loads(body) for verb, _, body, _ in server.log or () if verb == method]


def writes(server):
    """How many requests that could change something reached the server."""
    return sum(method != "GET" or target.startswith("/api/reload") and "dry-run=" not in target
               for method, target, _, _ in server.log or ())


def touched_keys(server):
    """The keys in everything that was sent to be written."""
    keys = set()
    for body in sent(server):
        for change in body:
            keys.update(change.get("keys", ()), (pair[0] for pair in change.get("values", ())))
    return keys


def port_25(settings, name="smtp"):
    """What the server holds of the listener on port 25."""
    return {key: value for key, value in settings.items() if key.startswith(f"server.listener.{name}.")}
