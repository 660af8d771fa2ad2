# SPDX-License-Identifier: GPL-3.0-or-later
"""A second, plain account of what the modules promise, and the table as ipvsadm tells it in the same form.

It shares no code with the collection. A table is {service's words: Service}; a service's words are those of ipvsadm, such as
``-t 203.0.113.80:80``, and so are a server's, such as ``198.51.100.11:80``.
"""

from __future__ import annotations

import copy
import shlex
import subprocess
from dataclasses import dataclass, field

FLAGS = {"fallback": "flag-1", "port": "flag-2", "flag_3": "flag-3"}
METHODS = {"-m": "nat", "-g": "dr", "-i": "tun"}
NO_TUNNEL = ("ipip", 0, "none")


class Refused(Exception):
    """Options that a module has to refuse."""


@dataclass
class Server:
    method: str = "dr"
    weight: int = 1
    upper: int = 0
    lower: int = 0
    tunnel: tuple[str, int, str] = NO_TUNNEL


@dataclass
class Service:
    scheduler: str = "wlc"
    flags: frozenset[str] = frozenset()
    timeout: int = 0
    netmask: str = ""
    engine: str = ""
    one_packet: bool = False
    servers: dict[str, Server] = field(default_factory=dict)


def words_of(options, prefix=""):
    """The words of the virtual service that options name."""
    named = {key: options.get(prefix + key) for key in ("address", "port", "protocol", "fwmark", "family")}
    if named["fwmark"]:
        return f"-f {named['fwmark']}" + (" -6" if named["family"] == "ipv6" else "")
    protocol = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}[named["protocol"]]
    return f"{protocol} {with_port(named['address'], named['port'])}"


def with_port(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def server_words(service, options):
    """The words of a server of the service with these words. Left out, its port is the service's: 0 with a firewall mark."""
    port = options.get("port")
    return with_port(options["address"], port_of(service) if port is None else port)


def port_of(service):
    return 0 if service.startswith("-f") else int(service.rpartition(":")[2])


# What options make of a table. Each function changes the table that it is given, or raises Refused.


def set_service(table, options, purge=False):
    words = words_of(options)
    service = table.setdefault(words, Service())
    if options.get("scheduler") is not None:
        service.scheduler = options["scheduler"]
    if options.get("scheduler_flags") is not None:
        service.flags = frozenset(options["scheduler_flags"])
    if options.get("persistence_timeout") is not None:
        service.timeout = options["persistence_timeout"]
    if options.get("persistence_netmask") is not None:
        service.netmask = options["persistence_netmask"]
        if not service.timeout:
            raise Refused("a netmask without persistence")
    if not service.timeout:
        service.netmask = ""
    if options.get("persistence_engine") is not None:
        service.engine = options["persistence_engine"]
    if options.get("one_packet") is not None:
        service.one_packet = options["one_packet"]
    if service.one_packet and not words.startswith(("-u", "-f")):
        raise Refused("one-packet scheduling of other than UDP")
    listed = options.get("servers")
    if listed is not None:
        for server in listed:
            set_server(table, words, server)
        if purge:
            keep = {server_words(words, server) for server in listed}
            service.servers = {name: server for name, server in service.servers.items() if name in keep}


def set_server(table, service, options):
    if service not in table:
        raise Refused("a server of no service")
    name = server_words(service, options)
    server = table[service].servers.setdefault(name, Server())
    if options.get("forward_method") is not None:
        server.method = options["forward_method"]
    if options.get("weight") is not None:
        server.weight = options["weight"]
    if options.get("upper_threshold") is not None:
        server.upper = options["upper_threshold"]
        if not server.upper and options.get("lower_threshold") is None:
            server.lower = 0
    if options.get("lower_threshold") is not None:
        server.lower = options["lower_threshold"]
    if server.lower > server.upper:
        raise Refused("a lower threshold above the upper one")
    if options.get("tunnel_type") is not None:
        if server.method != "tun":
            raise Refused("a tunnel without forward_method tun")
        server.tunnel = (options["tunnel_type"], options["tunnel_port"], options["tunnel_checksum"])
    if server.method != "tun":
        server.tunnel = NO_TUNNEL
    if server.method != "nat" and not service.startswith("-f") and int(name.rpartition(":")[2]) != port_of(service):
        raise Refused("another port without NAT")


def set_table(table, services, purge, prune):
    for options in services:
        set_service(table, options, purge)
    if prune:
        keep = {words_of(options) for options in services}
        for words in [words for words in table if words not in keep]:
            del table[words]


def drain(table, addresses, recorded):
    """Weight 0 for these addresses. ``recorded``: {(service, server): weight}, which it changes."""
    places = [place for place in places_of(table) if host(place[1]) in addresses]
    if addresses - {host(server) for _service, server in [*places, *recorded]}:
        raise Refused("an address that no service has")
    for place in places:
        server = table[place[0]].servers[place[1]]
        recorded[place] = server.weight or recorded.get(place, 0)
        server.weight = 0


def restore(table, addresses, recorded):
    """The recorded weights back where the weight is still 0."""
    for service, server in [place for place in recorded if host(place[1]) in addresses]:
        weight = recorded.pop((service, server))
        if service in table and server in table[service].servers:
            there = table[service].servers[server]
            there.weight = there.weight or weight


def places_of(table):
    return [(words, name) for words, service in table.items() for name in service.servers]


def host(server):
    return server.rpartition(":")[0].strip("[]")


def made(change, table, *arguments):
    """The table after the change, or the one before it where the change is refused; and whether it is not."""
    after = copy.deepcopy(table)
    try:
        change(after, *arguments)
    except Refused:
        return table, False
    return after, True


# What ipvsadm tells.


class Ipvsadm:
    """ipvsadm, run by a small shell: that starts programs in a fraction of the time that the process of the tests takes."""

    def __init__(self):
        self._shell = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, *words, check=True):
        """What it prints. Without ``check`` it may fail."""
        self._shell.stdin.write(f"ipvsadm {shlex.join(words)} {'' if check else '2>/dev/null'}; echo ended $?\n")
        self._shell.stdin.flush()
        lines = []
        while not (line := self._shell.stdout.readline()).startswith("ended"):
            assert line, "the shell is gone"
            lines.append(line)
        assert not check or line == "ended 0\n", words
        return "".join(lines)

    def close(self):
        self._shell.communicate()


def observed(ipvsadm):
    """The table, as ipvsadm saves it, with the thresholds that only its list has."""
    table = {}
    for line in ipvsadm("-S", "-n").splitlines():
        words, options = split(shlex.split(line))
        if "-r" not in options:
            flags = frozenset(next(flag for flag in FLAGS if name_of(flag, each)) for each in options.get("-b", "").split(",") if each)
            netmask = options.get("-M", "")
            timeout, engine = int(options.get("-p", 0)), options.get("--pe", "")
            table[words] = Service(options["-s"], flags, timeout, netmask, engine, "-o" in options)
            continue
        method = next(METHODS[word] for word in METHODS if word in options)
        checksum = next((word for word in ("csum", "remcsum") if f"--tun-{word}" in options), "none")
        tunnel = (options.get("--tun-type", "ipip"), int(options.get("--tun-port", 0)), checksum)
        table[words].servers[options["-r"]] = Server(method, int(options["-w"]), tunnel=tunnel if method == "tun" else NO_TUNNEL)
    add_thresholds(table, ipvsadm)
    return table


def name_of(flag, word):
    return word in (FLAGS[flag], f"sh-{flag}", f"mh-{flag}")


def split(words):
    """The words of a service, and what follows them as {option: value}."""
    service, rest = words[1:3], words[3:]
    if rest[:1] == ["-6"]:
        service, rest = [*service, "-6"], rest[1:]
    options = {}
    for word in rest:
        if word.startswith("-"):
            options[last := word] = ""
        else:
            options[last] = word
    return " ".join(service), options


KINDS = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service", "FWM": "-f"}


def add_thresholds(table, ipvsadm):
    service = None
    for line in ipvsadm("-L", "-n", "--thresholds").splitlines():
        words = line.split()
        if words and words[0] in KINDS:
            name = words[1] + (" -6" if words[0] == "FWM" and words[2] == "IPv6" else "")
            service = table[f"{KINDS[words[0]]} {name}"]
        elif words and words[0] == "->" and service:
            server = service.servers[words[1]]
            server.upper, server.lower = int(words[2]), int(words[3])
