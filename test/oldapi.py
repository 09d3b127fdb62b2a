"""An older server's HTTP paths: who may ask, what is asked, what is answered.

From crates/http/src/request.rs, auth/authenticate.rs and management/ (crates/jmap/src/api/ up
to 0.11). A handler takes a Request and gives a Response; the connection is oldserver.py's.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import random
import re
import struct
import time
import urllib.parse
from dataclasses import dataclass, field

import oldsettings

BODY_MAX = 1024 * 1024
JSON_TYPE = "application/json; charset=utf-8"
PROBLEM_TYPE = "application/problem+json"
PERMISSIONS = frozenset({"settings-list", "settings-update", "settings-delete", "settings-reload", "restart"})
REASONS = {200: "OK", 204: "No Content", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized",
           402: "Payment Required", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout",
           414: "URI Too Long", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
           500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}
PROBLEMS = {
    401: ("Unauthorized", "You have to authenticate first."),
    402: ("TOTP code required", "A TOTP code is required to authenticate this account. "
          "Try authenticating again using 'secret$totp_token'."),
    403: ("Forbidden", "You do not have enough permissions to access this resource."),
    404: ("Not Found", "The requested resource does not exist on this server."),
    429: ("Too Many Authentication Attempts",
          "Your request has been rate limited. Please try again in a few minutes."),
    500: ("Internal Server Error", "There was a problem while processing your request. "
          "Please contact the system administrator if this problem persists."),
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "oldanswers.json"), encoding="utf-8") as _file:
    ANSWERS = json.load(_file)


def recorded(name, version):
    """The newest recorded answer that is not newer than this version; None before the first."""
    best = None
    for key, value in ANSWERS[name].items():
        if tuple(int(part) for part in key.split(".")) <= version:
            best = value
    return best


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass
class Request:
    method: str
    target: str
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    port: int = 0  # as the configuration has it
    tls: bool = False
    connection: object = None

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def parameters(self):
        """A parameter without a value is as good as absent; of two the last one counts."""
        query = self.target.partition("?")[2]
        return dict(urllib.parse.parse_qsl(query, keep_blank_values=False))


@dataclass
class Response:
    status: int
    body: bytes = b""
    headers: list = field(default_factory=list)


class Failure(Exception):
    """An answer other than the one that was asked for."""

    def __init__(self, response):
        super().__init__(response.status)
        self.response = response


def data(value):
    return Response(200, compact({"data": value}), [("content-type", JSON_TYPE)])


def management_error(name, **details):
    """Errors of the management come as 200."""
    return Response(200, compact({"error": name, **details}), [("content-type", JSON_TYPE)])


def problem(status, detail=None, title=None, headers=()):
    default_title, default_detail = PROBLEMS.get(status, ("Error", ""))
    body = {"type": "about:blank", "status": status, "title": title or default_title,
            "detail": detail or default_detail}
    return Response(status, compact(body), [*headers, ("content-type", PROBLEM_TYPE)])


@dataclass
class Account:
    name: str
    password: str
    permissions: frozenset = PERMISSIONS
    totp: str = ""  # the shared secret in base 32
    kind: str = "individual"  # or "apiKey"
    emails: tuple = ()

    def packed(self):
        """As JSON can hold it."""
        return {**self.__dict__, "permissions": sorted(self.permissions)}

    @classmethod
    def unpacked(cls, values):
        return cls(**{**values, "permissions": frozenset(values["permissions"])})


def totp_code(secret, now=None, digits=6, period=30):
    counter = struct.pack(">Q", int(time.time() if now is None else now) // period)
    digest = hmac.new(base64.b32decode(secret + "=" * (-len(secret) % 8)), counter, hashlib.sha1).digest()
    at = digest[-1] & 15
    return str((struct.unpack(">I", digest[at:at + 4])[0] & 0x7FFFFFFF) % 10 ** digits).zfill(digits)


REALMS = [("www-authenticate", 'Bearer realm="Stalwart Server"'), ("www-authenticate", 'Basic realm="Stalwart Server"')]


class Api:
    """The paths of one server; `server` has version, store, accounts, running (the keys in force)."""

    def __init__(self, server):
        self.server, self.version = server, server.version
        self.failures = 0

    def answer(self, request):
        try:
            return self.route(request)
        except Failure as failure:
            return failure.response

    def route(self, request):
        parts = request.path.split("/")[1:]
        first, second = parts[0], parts[1] if len(parts) > 1 else ""
        if self.version >= (0, 16) and first == "api":
            return problem(404)  # a new server: no such API at all
        if first == "api":
            return self.management(request, parts[1:])
        if request.method == "GET" and (first, second) == ("jmap", "session") and self.version >= (0, 12):
            return self.session(request)
        if request.method == "GET" and (first, second) == (".well-known", "jmap"):
            return self.well_known(request)
        if first == "healthz" and second in ("live", "ready"):
            return self.health()
        if first == "robots.txt":
            return Response(200, b"User-agent: *\nDisallow: /\n", [("content-type", "text/plain")])
        return problem(404)

    def health(self):
        body = {"type": "about:blank", "title": "OK", "status": 200, "detail": "OK"}
        if self.version < (0, 12):
            del body["title"]
        return Response(200, compact(body), [("content-type", PROBLEM_TYPE)])

    # Who may ask

    def refuse(self, understood, api=True):
        """401; which of them name the realms is a matter of version, place and kind of failure."""
        self.failures += 1
        ban_after = self.server.ban_after
        if ban_after is not None and self.failures > ban_after:
            self.server.banned = True
            raise Failure(problem(429))
        if understood:
            named = self.version >= (0, 12) and not (api and self.version >= (0, 13))
        else:
            named = self.version >= (0, 13)
        raise Failure(problem(401, headers=REALMS if named else ()))

    def wants_body(self, request):
        """Is the body read at all? Only the management does, after the login."""
        try:
            self.authenticate(request)
        except Failure:
            return False
        return request.path.startswith("/api/")

    def authenticate(self, request, api=True):
        kind, blank, token = request.headers.get("authorization", "").partition(" ")
        kind, token = kind if blank else "", token.strip()
        if kind.lower() == "basic":
            login = decode_login(token)
        elif kind.lower() == "bearer" and api and token.startswith("api_"):
            login = decode_login(token[4:])
        else:
            self.refuse(not kind, api)
        if login is None:
            self.refuse(False, api)
        account = self.account(*login, api)
        if request.connection:
            self.server.log_login(account.name, request.connection)
        return account

    def account(self, name, password, api):
        account = self.server.accounts.get(name)
        if account is not None and self.password_fits(account, password):
            return account
        keys = self.server.running
        admin = keys.get("authentication.fallback-admin.user")
        if admin == name and secret_fits(keys.get("authentication.fallback-admin.secret", ""), password):
            return Account(name, password)
        return self.refuse(True, api)

    def password_fits(self, account, password):
        if not account.totp:
            return hmac.compare_digest(account.password.encode(), password.encode())
        first, _, code = password.rpartition("$")
        if first and re.fullmatch("[0-9]{6,8}", code, re.A):
            now = time.time()  # a step either way, as totp-rs has it
            codes = [totp_code(account.totp, now + skew) for skew in (-30, 0, 30)]
            return first == account.password and code in codes
        if password == account.password:
            title, detail = PROBLEMS[402]
            raise Failure(problem(402 if self.version >= (0, 10) else 403, detail, title))
        return False

    def demand(self, account, permission):
        if permission not in account.permissions:
            raise Failure(problem(403))

    # What is asked

    def management(self, request, parts):
        if request.method == "OPTIONS":
            return self.preflight()
        account = self.authenticate(request)
        parts = parts or [""]
        handler = {"settings": self.settings, "reload": self.reload, "restart": self.restart,
                   "principal": self.principal, "oauth": self.oauth, "account": self.own_account}.get(parts[0])
        if handler is None:
            return problem(404)
        return handler(request, parts[1:], account)

    def preflight(self):
        """From 0.12 on the answer has the length of a body that never comes."""
        body = {"type": "about:blank", "status": 204, "title": "No Content", "detail": "No Content"}
        headers = [("content-type", PROBLEM_TYPE)]
        if self.version >= (0, 12):
            headers.append(("content-length", str(len(compact(body)))))
        return Response(204, b"", headers)

    def settings(self, request, parts, account):
        name = parts[0] if parts else None
        if request.method == "GET" and name in ("keys", "list", "group"):
            self.demand(account, "settings-list")
            return {"keys": self.keys, "list": self.list, "group": self.group}[name](request.parameters)
        if request.method == "DELETE" and name:
            self.demand(account, "settings-delete")
            return self.changed(lambda: self.server.store.delete(percent_decoded(name)))
        if request.method == "POST" and name is None:
            self.demand(account, "settings-update")
            return self.post(request.body)
        return problem(404)

    def keys(self, parameters):
        store, found = self.server.store, {}
        for key in parameters.get("keys", "").split(",") if "keys" in parameters else ():
            value = store.get(key)
            if value is not None:
                found[key] = value
        for prefix in parameters.get("prefixes", "").split(",") if "prefixes" in parameters else ():
            found.update(store.list(dotted(prefix), strip=False))
        return data(found)

    def list(self, parameters):
        prefix = dotted(parameters["prefix"]) if "prefix" in parameters else ""
        found = self.server.store.list(prefix, strip=True)
        return data({"total": len(found), "items": dict(page(list(found.items()), parameters))})

    def group(self, parameters):
        prefix = dotted(parameters["prefix"]) if "prefix" in parameters else ""
        suffix = parameters.get("suffix", "")
        suffix = suffix if not suffix or suffix.startswith(".") else "." + suffix
        found = self.server.store.list(prefix, strip=True)
        wanted = parameters.get("filter", "").lower()
        if suffix and found:
            items = [record(found, key[:-len(suffix)], parameters.get("field"))
                     for key in found if key.endswith(suffix) and key != suffix]
            items = [item for item in items if not wanted or any(wanted in v.lower() for v in item.values())]
        else:
            items = [{"_id": key, "_value": value} for key, value in found.items()
                     if wanted in key.lower() or wanted in value.lower()]
        return data({"total": len(items), "items": page(items, parameters)})

    def post(self, body):
        try:
            # What is longer than the server reads is as good as no body at all.
            changes = oldsettings.parse_changes(body if len(body) <= BODY_MAX else b"", self.version)
        except oldsettings.BadChanges:
            return problem(400, "JSON deserialization failed", title="Invalid parameters")
        return self.changed(lambda: [oldsettings.apply_change(self.server.store, kind, change)
                                     for kind, change in changes])

    @staticmethod
    def changed(change):
        """Not a transaction: what was done before the failure stays."""
        try:
            change()
        except oldsettings.AssertFailed:
            return management_error("assertFailed")
        except oldsettings.WriteError:
            return problem(500)
        return data(None)

    def reload(self, request, parts, account):
        self.demand(account, "settings-reload")
        if request.method != "GET":
            return problem(404)
        # Only a dry-run with a value is one; an unknown name after /reload/ reloads everything.
        partial = parts and parts[0] in ("lookup", "certificate", "server.blocked-ip")
        findings = self.server.reload(dry_run="dry-run" in request.parameters or bool(partial))
        return data({"warnings": findings.warnings, "errors": {} if partial else findings.errors})

    def restart(self, request, _parts, account):
        self.demand(account, "restart")
        if request.method != "GET":
            return problem(404)
        return management_error("unsupported", details="Restart is not yet supported")

    def principal(self, request, parts, account):
        """Only as much as it takes to make accounts: POST with a name, secrets and roles."""
        if request.method != "POST" or parts or account.permissions != PERMISSIONS:
            return problem(404 if account.permissions == PERMISSIONS else 403)
        wanted = json.loads(request.body)
        self.server.add_principal(wanted)
        return data(random.randrange(1, 100))

    def oauth(self, request, _parts, _account):
        """From 0.11 on the answer names the version."""
        if self.version < (0, 11) or json.loads(request.body).get("type") != "code":
            return problem(400, "JSON deserialization failed", title="Invalid parameters")
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        answer = data({"code": "".join(random.choices(letters, k=40)),
                       "permissions": recorded("permissions", self.version),
                       "version": self.server.version_name, "isEnterprise": False})
        if self.version >= (0, 12):
            answer.headers.append(("cache-control", "no-store, no-cache, must-revalidate"))
        return answer

    def own_account(self, request, parts, _account):
        if request.method != "GET" or parts != ["auth"]:
            return problem(404)
        found = {"otpEnabled": False, "appPasswords": []}
        if self.version < (0, 10):
            found["isAdministrator"] = True
        return data(found)

    # The advertised URL in force

    def session(self, request):
        name = "session-anonymous"
        if "authorization" in request.headers:
            self.authenticate(request, api=False)
            name = "session"
        return self.advertise(recorded(name, self.version), request)

    def well_known(self, request):
        if self.version >= (0, 12):
            return Response(307, b"", [("cache-control", "no-cache"), ("location", "/jmap/session")])
        self.authenticate(request, api=False)
        return self.advertise(ANSWERS["well-known"], request)

    def advertise(self, document, request):
        url = self.server.advertised_url(request)
        if not url.startswith("http") and self.version < (0, 13):
            raise ConnectionAbortedError("the request dies")
        # 0.9.4 says v0.1.0 (recorded); from 0.10 on it is the server's version.
        name = self.server.version_name if self.version >= (0, 10) else "0.1.0"
        text = compact(document).decode().replace("@URL@", url).replace("@IMPLEMENTATION@", f"Stalwart JMAP v{name}")
        text = text.replace("@WS@", "ws" + url[4:] if url.startswith("http") else "ws")
        return Response(200, text.encode(), [("content-type", JSON_TYPE)])


def dotted(prefix):
    return prefix if prefix.endswith(".") else prefix + "."


def percent_decoded(text):
    try:
        return urllib.parse.unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def page(items, parameters):
    limit, number = (int(parameters[n]) if parameters.get(n, "").isdecimal() else 0 for n in ("limit", "page"))
    start = max(number - 1, 0) * limit
    return items[start:start + limit] if limit else items[start:]


def record(found, name, wanted_field):
    """The settings of one id; they must stand together, or the rest of them is missed."""
    item = {"_id": name}
    for key, value in found.items():
        if key.startswith(name + "."):
            if wanted_field in (None, key[len(name) + 1:]):
                item[key[len(name) + 1:]] = value
        elif len(item) > 1:
            break
    return item


def decode_login(token):
    """base64(name:password); the name is trimmed and lower-cased. A last group without its
    padding is dropped in silence."""
    token = re.sub("[ \t]", "", token)
    if "=" not in token:
        token = token[:len(token) // 4 * 4]
    try:
        text = base64.b64decode(token, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    name, colon, password = text.partition(":")
    return (name.strip().lower(), password) if colon else None


def secret_fits(stored, password):
    """Plain text, or one of the crypt forms that hashlib can do: only SHA-1 in LDAP's spelling."""
    if stored.startswith("{SHA}"):
        return base64.b64encode(hashlib.sha1(password.encode()).digest()).decode() == stored[5:]
    return hmac.compare_digest(stored.encode(), password.encode())
