"""What an older server would do if it were restarted now: the measure for `status`, written from what is known of the
servers and on the simulator's own boot. It knows nothing of how stalprep decides."""

import ipaddress
import re

import oldconfig
import oldlisteners
import oldreload
import oldserver

CHECKS = {**dict.fromkeys(("auth.dkim.verify", "auth.arc.verify", "auth.spf.verify.ehlo", "auth.spf.verify.mail-from",
                           "auth.dmarc.verify", "auth.iprev.verify"), "disable"), "session.ehlo.reject-non-fqdn": "false"}
CLIENTS = ("imap", "pop3", "managesieve", "http", "https")


def names_of(version):
    """The keys of the URL, the rule and the relays, by dialect."""
    return ("http.url" if version >= (0, 12) else "server.http.url",
            "queue.strategy.route" if version >= (0, 13) else "queue.outbound.next-hop",
            "queue.route." if version >= (0, 13) else "remote.")


class Restarted(oldserver.OldServer):
    """A server that boots from this file and this database, beside the one that runs. It listens nowhere."""

    def become(self, version, file, database):
        """`file` is a text, or the keys that the server would find in it."""
        self.version_name, self.version = version, oldserver.parse_version(version)
        self.shared_database = dict(database)
        if isinstance(file, dict):
            file = "".join(f'"{key}" = {oldconfig.write_value(value)}\n' for key, value in file.items())
        with open(self.config_path, "w", encoding="utf-8", newline="") as out:
            out.write(file)
        self.boot()
        if self.boots:
            # In force after the boot. Macros of the database are never resolved.
            self.keys = self.running
        return self


def mapped(network):
    """As an IPv6 network: so the server compares them."""
    if network.version == 6:
        return network
    return ipaddress.ip_network(f"::ffff:{network.network_address}/{96 + network.prefixlen}")


def covered(network, networks):
    return any(mapped(network).subnet_of(mapped(one)) for one in networks)


def choice(listener, request, keys):
    """Does it belong behind the proxy, by the rules: True, False; None where somebody has to be asked."""
    ports = {port for _, port in listener.binds}
    if listener.name == request["relay_listener"] or 25 in ports:
        return False
    if listener.name in (*request["listener"], *request["also"]):
        return True
    if request["listener"] or listener.name in request["leave"]:
        return False
    if listener.protocol in CLIENTS:
        return True
    if listener.protocol != "smtp":
        return False
    return True if ports <= {465, 587} or keys.get(f"server.listener.{listener.name}.tls.implicit") == "true" else None


def listener_faults(server, request):
    networks = [ipaddress.ip_network(text) for text in request["proxy"]]
    if not networks:
        yield "nobody said which proxy"
    new_server = request["new_server"] and ipaddress.ip_network(request["new_server"])
    any_chosen, any_relay = False, request["relay_listener"] in oldreload.listener_ids(server.keys)
    for one in server.listeners:
        chosen = choice(one, request, server.keys)
        any_chosen |= chosen is True
        if chosen is None:
            yield f"{one.name}: nobody knows whether it belongs behind the proxy"
        if chosen and not all(covered(network, one.networks) for network in networks):
            yield f"{one.name}: plain to the proxy"
        if 25 not in {port for _, port in one.binds} and one.name != request["relay_listener"]:
            continue
        any_relay = True
        if one.networks and (not new_server or covered(new_server, one.networks)):
            yield f"{one.name}: the new server may need a header"
    if not any_chosen:
        yield "nothing is behind the proxy"
    if not any_relay:
        yield "nobody knows where the new server relays to"


def check_faults(server, _request):
    return [f"{key} = {server.keys.get(key)}" for key, value in CHECKS.items() if server.keys.get(key) != value]


def url_faults(server, request):
    key = names_of(server.version)[0]
    if not request["public_url"] or server.keys.get(key) != f"'{request['public_url']}'":
        yield f"{key} = {server.keys.get(key)}"


def outbound_faults(server, request):
    _, rule, relays = names_of(server.version)
    keys, name = server.keys, request["relay_id"]
    found = {key[len(rule):]: value for key, value in keys.items() if key == rule or key.startswith(rule + ".")}
    if found != {".0.if": "is_local_domain('*', rcpt_domain)", ".0.then": "'local'", ".1.else": f"'{name}'"}:
        yield f"the rule is {found}"
    wanted = {"address": request["relay"], "port": str(request["relay_port"]), "protocol": "smtp",
              "tls.implicit": "false", **({"type": "relay"} if server.version >= (0, 13) else {})}
    for part, value in wanted.items():
        if keys.get(f"{relays}{name}.{part}") != value:
            yield f"{relays}{name}.{part} = {keys.get(f'{relays}{name}.{part}')}"


def reload_faults(server, request, seen):
    """Errors that a key of the change set is part of, and one that can be seen."""
    url, rule, relays = names_of(server.version)
    ours = [*CHECKS, url]
    if request["relay"] or server.version >= (0, 13):  # 0.12 can't be told from newer ones, and only a relay asks
        ours += [rule, f"{relays}{request['relay_id']}"]
    for key, error in server.reload(dry_run=True).errors.items():
        if error["type"].lower() == "macro" or not any(one == key or one.startswith((key + ".", key.rpartition(".")[0] + ".")) for one in seen):
            continue
        if any(key == one or key.startswith(one + ".") for one in ours) or re.search(r"proxy\.trusted-networks(\..*)?$", key):
            if not is_bad_expression(error["error"]):
                yield f"a reload fails: {key}: {error['error']}"


def is_bad_expression(text):
    """Of an expression's text: only the server parses those."""
    return not text.startswith(("Multiple", "Found", "Missing", "Invalid property", "Invalid IP", "Invalid network"))


def faults(server, request, seen=None):
    """Why a restart would not do what the change set says; none where all is well. `seen`: the keys that can be seen."""
    if not server.boots:
        return [f"it does not boot: {server.boot_error}"]
    groups = request["groups"]
    found = []
    if "listeners" in groups:
        found += listener_faults(server, request)
    if "checks" in groups:
        found += check_faults(server, request)
    if "url" in groups:
        found += url_faults(server, request)
    if "outbound" in groups and request["relay"]:
        found += outbound_faults(server, request)
    return found + list(reload_faults(server, request, seen or server.keys))


def trusted_on_25(file, version, also=None):
    """Of each listener that the new server may relay to: the keys of its own list."""
    found = {}
    for one in oldlisteners.build(file, version):
        if 25 in {port for _, port in one.binds} or one.name == also:
            prefix = f"server.listener.{one.name}.proxy."
            found[one.name] = {(key, value) for key, value in file.items() if key.startswith(prefix)}
    return found
