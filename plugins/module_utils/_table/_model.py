# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the table of IPVS holds: virtual services and real servers. Normalising and validation; no I/O.

An object read from the kernel has every field filled in ("whole"). An object that a user asked for may have ``None`` in a
field: "leave it alone". ``overlay_*`` puts desired options over what is there, or over the defaults, and gives a whole object;
``check_*`` holds whole objects to the rules that ipvsadm(8) enforces and the kernel does not.

Sources: include/uapi/linux/ip_vs.h, net/netfilter/ipvs/ip_vs_ctl.c, ipvsadm(8) of version 1.31.
"""

from __future__ import annotations

import socket
from typing import Dict, NamedTuple, Optional, Tuple

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _settings
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _checks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
FORWARD_METHODS = ("nat", "dr", "tun", "local")
SCHEDULER_FLAGS = ("fallback", "port", "flag_3")
TUNNEL_TYPES = ("ipip", "gue", "gre")
TUNNEL_CHECKSUMS = ("none", "csum", "remcsum")

DEFAULT_SCHEDULER = "wlc"
MAX_NAME = 15  # IP_VS_SCHEDNAME_MAXLEN and IP_VS_PENAME_MAXLEN are 16 with the closing NUL
MAX_WEIGHT = 2147483647
MAX_THRESHOLD = 2147483647
MAX_FWMARK = 4294967295

_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}


# ---------------------------------------------------------------------------------------------------------------------
# identities


class ServiceId(NamedTuple):
    """Identity of a virtual service. ``protocol`` is the IP protocol number; with a ``fwmark`` it is 0, ``address`` is empty."""

    family: int
    protocol: int
    address: str
    port: int
    fwmark: int

    def __str__(self):
        if self.fwmark:
            return "fwmark %d%s" % (self.fwmark, " (ipv6)" if self.family == _literals.IPV6 else "")
        return "%s %s" % (protocol_name(self.protocol), _literals.join_port(self.address, self.port))


class ServerId(NamedTuple):
    """Identity of a real server within its virtual service."""

    address: str
    port: int

    def __str__(self):
        return _literals.join_port(self.address, self.port)


def protocol_name(number):
    """``tcp``, ``udp`` or ``sctp`` for an IP protocol number; the number's digits for any other."""
    return _PROTOCOL_NAMES.get(number, str(number))


def service_id(options, path=""):
    """Identity of the virtual service that ``address``/``port``/``protocol`` or ``fwmark``/``family`` name.

    ``options``: dict with these keys, each of which may be missing or None. ``path`` goes in front of option names in errors.
    """
    address, fwmark = options.get("address"), options.get("fwmark")
    if address is None and fwmark is None:
        raise OptionError(path + "address", None, "a virtual service is named by address and port, or by fwmark")
    if fwmark is not None:
        for name in ("address", "port", "protocol"):
            if options.get(name) is not None:
                raise OptionError(
                    path + name, options[name], "a virtual service is named by address, port and protocol or by fwmark, not by both"
                )
        _checks.in_range(fwmark, 1, MAX_FWMARK, path + "fwmark", "a firewall mark")
        family = options.get("family") or "ipv4"
        return ServiceId(_literals.FAMILIES[family], 0, "", 0, fwmark)
    address = _literals.normal_address(address, path + "address")
    if options.get("port") is None:
        raise OptionError(path + "port", None, "give the virtual service's port, 0 to 65535 (0: every port, with persistence)")
    _checks.in_range(options["port"], 0, _literals.MAX_PORT, path + "port", "a port")
    family = options.get("family")
    if family is not None and _literals.FAMILIES[family] != _literals.family_of(address):
        raise OptionError(path + "family", family, "%s is of the other family; family is for services named by fwmark" % address)
    return ServiceId(_literals.family_of(address), PROTOCOLS[options.get("protocol") or "tcp"], address, options["port"], 0)


def service_criteria(options):
    """Those of the options that name a service which are given, as a dict in the spelling of ``id_options``."""
    criteria = {name: options[name] for name in ("address", "port", "protocol", "fwmark", "family") if options[name] is not None}
    if "address" in criteria:
        criteria["address"] = _literals.normal_address(criteria["address"])
    _checks.in_range(criteria.get("port", 0), 0, _literals.MAX_PORT, "port", "a port")
    _checks.in_range(criteria.get("fwmark", 1), 1, MAX_FWMARK, "fwmark", "a firewall mark")
    return criteria


def server_id(options, service, path=""):
    """Identity of the real server named by ``address`` and ``port`` (left out: the port of the service ``service``, a ServiceId)."""
    if options.get("address") is None:
        raise OptionError(path + "address", None, "give the real server's address")
    port = options.get("port")
    if port is None:
        port = service.port
    _checks.in_range(port, 0, _literals.MAX_PORT, path + "port", "a port")
    return ServerId(_literals.normal_address(options["address"], path + "address"), port)


# ---------------------------------------------------------------------------------------------------------------------
# virtual services


class Service(NamedTuple):
    """A virtual service without its servers.

    ``persistence_timeout`` is in seconds, 0: not persistent. ``persistence_netmask`` is the prefix length as text (``"24"``),
    or dotted where an IPv4 mask has no prefix length. ``persistence_engine`` is a name, empty: none.
    ``scheduler_flags`` is a tuple in the order of SCHEDULER_FLAGS.
    """

    id: ServiceId
    scheduler: Optional[str] = None
    scheduler_flags: Optional[Tuple[str, ...]] = None
    persistence_timeout: Optional[int] = None
    persistence_netmask: Optional[str] = None
    persistence_engine: Optional[str] = None
    one_packet: Optional[bool] = None


def desired_service(options, path=""):
    """The virtual service that a user's options describe: a Service with None where an option is left out.

    ``options``: dict of the options of ``ipvs_service``. Raises OptionError.
    """
    ident = service_id(options, path)
    scheduler = options.get("scheduler")
    if scheduler is not None:
        _check_name(scheduler, path + "scheduler", "a scheduler", "rr, wrr, lc, wlc, sh, mh")
    engine = options.get("persistence_engine")
    if engine:
        _check_name(engine, path + "persistence_engine", "a persistence engine", "sip")
    timeout = options.get("persistence_timeout")
    if timeout is not None:
        _checks.in_range(timeout, 0, _settings.MAX_TIMEOUT, path + "persistence_timeout", "the time in seconds (0: not persistent)")
    netmask = options.get("persistence_netmask")
    if netmask is not None:
        netmask = _literals.normal_netmask(netmask, ident.family, path + "persistence_netmask")
    flags = options.get("scheduler_flags")
    if flags is not None:
        for flag in flags:
            if flag not in SCHEDULER_FLAGS:
                raise OptionError(path + "scheduler_flags", flag, "known flags are %s" % ", ".join(SCHEDULER_FLAGS))
        flags = tuple(flag for flag in SCHEDULER_FLAGS if flag in flags)
    return Service(ident, scheduler, flags, timeout, netmask, engine, options.get("one_packet"))


def _check_name(name, option, what, examples):
    if not 1 <= len(name) <= MAX_NAME or not name.isascii() or not name.replace("_", "").replace("-", "").isalnum():
        raise OptionError(option, name, "%s has a name of 1 to %d letters and digits, such as %s" % (what, MAX_NAME, examples))


def overlay_service(desired, current=None):
    """The whole Service that results when ``desired`` is put over ``current``, or is created when there is none."""
    if current is None:
        current = Service(desired.id, DEFAULT_SCHEDULER, (), 0, _literals.host_mask(desired.id.family), "", False)
    merged = Service(*[old if new is None else new for new, old in zip(desired, current)])
    if not merged.persistence_timeout and desired.persistence_netmask is None:
        merged = merged._replace(persistence_netmask=_literals.host_mask(merged.id.family))
    return merged


def check_service(service, path=""):
    """Raise OptionError where a whole Service breaks a rule."""
    ident = service.id
    if ident.address:
        _literals.check_host(ident.address, path + "address", "a virtual service")
    if not service.persistence_timeout:
        if not ident.fwmark and ident.port == 0:
            raise OptionError(path + "port", 0, "port 0 (every port) needs persistence: set persistence_timeout")
        if service.persistence_netmask != _literals.host_mask(ident.family):
            raise OptionError(
                path + "persistence_netmask", service.persistence_netmask, "a netmask needs persistence: set persistence_timeout"
            )
    if service.one_packet and not ident.fwmark and ident.protocol != PROTOCOLS["udp"]:
        raise OptionError(
            path + "one_packet", True, f"one-packet scheduling is for UDP services and for fwmark services, not for {ident}"
        )


# ---------------------------------------------------------------------------------------------------------------------
# real servers


class Server(NamedTuple):
    """A real server of a virtual service. Thresholds are numbers of connections, 0: none. Tunnel fields count for ``tun`` only."""

    id: ServerId
    forward_method: Optional[str] = None
    weight: Optional[int] = None
    upper_threshold: Optional[int] = None
    lower_threshold: Optional[int] = None
    tunnel_type: Optional[str] = None
    tunnel_port: Optional[int] = None
    tunnel_checksum: Optional[str] = None


def desired_server(options, service, path=""):
    """The real server that a user's options describe: a Server with None where an option is left out.

    ``options``: dict of the options of ``ipvs_server`` that are the server's own; ``service``: the ServiceId it belongs to.
    """
    ident = server_id(options, service, path)
    for name, high, what in (
        ("weight", MAX_WEIGHT, "a weight"),
        ("upper_threshold", MAX_THRESHOLD, "a number of connections (0: no limit)"),
        ("lower_threshold", MAX_THRESHOLD, "a number of connections (0: none)"),
        ("tunnel_port", _literals.MAX_PORT, "a port"),
    ):
        if options.get(name) is not None:
            _checks.in_range(options[name], 0, high, path + name, what)
    return Server(ident, *[options.get(name) for name in Server._fields[1:]])


def overlay_server(desired, current=None):
    """The whole Server that results when ``desired`` is put over ``current``, or is created when there is none."""
    if current is None:
        current = Server(desired.id, "dr", 1, 0, 0, "ipip", 0, "none")
    merged = Server(*[old if new is None else new for new, old in zip(desired, current)])
    if desired.upper_threshold == 0 and desired.lower_threshold is None:
        merged = merged._replace(lower_threshold=0)  # it has a meaning only below an upper one
    tunnel_type, port, checksum = merged[5:]
    # what a former tunnel needed is not carried into a server that has no use for it
    if merged.forward_method != "tun" and desired.tunnel_type is None:
        tunnel_type = "ipip"
    if tunnel_type != "gue" and desired.tunnel_port is None:
        port = 0
    if desired.tunnel_checksum is None and (tunnel_type == "ipip" or (tunnel_type == "gre" and checksum == "remcsum")):
        checksum = "none"
    tunnel = (tunnel_type, port, checksum)
    return merged if merged[5:] == tunnel else Server(*merged[:5] + tunnel)


def check_server(server, service, desired=None, path=""):
    """Raise OptionError where a whole Server breaks a rule. ``service``: the ServiceId; ``desired``: what was asked, if anything."""
    method, port = server.forward_method, server.id.port
    _literals.check_host(server.id.address, path + "address", "a real server")
    if not service.fwmark and method != "nat" and port != service.port:
        raise OptionError(
            path + "port",
            port,
            "with forward_method %s the real server answers on the service's own port, %d; another port needs nat"
            % (method, service.port),
        )
    if server.lower_threshold > server.upper_threshold:
        name, other, remedy = "lower_threshold", "upper_threshold", "must not be above upper_threshold, which is %d"
        if desired is not None and desired.lower_threshold is None:
            name, other, remedy = "upper_threshold", "lower_threshold", "is below the server's lower_threshold, %d; give that too"
        raise OptionError(path + name, getattr(server, name), remedy % getattr(server, other))
    if method != "tun":
        for name in ("tunnel_type", "tunnel_port", "tunnel_checksum"):
            if desired is not None and getattr(desired, name) is not None:
                raise OptionError(
                    path + name, getattr(desired, name), "tunnel options need forward_method tun; this server's is %s" % method
                )
        if _literals.family_of(server.id.address) != service.family:
            raise OptionError(
                path + "address",
                server.id.address,
                f"a server of the other address family than its service ({service}) needs forward_method tun",
            )
        return
    if server.tunnel_type == "gue":
        if not server.tunnel_port:
            raise OptionError(path + "tunnel_port", server.tunnel_port, "a gue tunnel needs its UDP port, 1 to 65535")
        return
    if server.tunnel_port:
        raise OptionError(path + "tunnel_port", server.tunnel_port, "only a gue tunnel has a port; this one is %s" % server.tunnel_type)
    if server.tunnel_checksum != "none" and (server.tunnel_type == "ipip" or server.tunnel_checksum == "remcsum"):
        raise OptionError(
            path + "tunnel_checksum",
            server.tunnel_checksum,
            "ipip tunnels have no checksum, gre tunnels none or csum, gue tunnels none, csum or remcsum; this one is %s"
            % server.tunnel_type,
        )


# ---------------------------------------------------------------------------------------------------------------------
# tables


class Entry(NamedTuple):
    """A virtual service and its real servers, by identity. ``servers`` is None in a desired entry that does not name any."""

    service: Service
    servers: Optional[Dict[ServerId, Server]]


Table = Dict[ServiceId, Entry]
"""The IPVS table, or the part of it that somebody asked for."""


def desired_entry(options, path=""):
    """The Entry that the options of one service with its ``servers`` describe. A duplicate server is an OptionError."""
    service = desired_service(options, path)
    if options.get("servers") is None:
        return Entry(service, None)
    servers = {}
    for index, server_options in enumerate(options["servers"]):
        where = "%sservers[%d]." % (path, index)
        server = desired_server(server_options, service.id, where)
        if server.id in servers:
            raise OptionError(where + "address", str(server.id), "this server is listed twice; list each server once")
        servers[server.id] = server
    return Entry(service, servers)


def desired_table(services, path="services"):
    """The Table that a list of such options describes. A duplicate service is an OptionError."""
    table = {}
    for index, options in enumerate(services):
        where = "%s[%d]." % (path, index)
        entry = desired_entry(options, where)
        if entry.service.id in table:
            option = "fwmark" if entry.service.id.fwmark else "address"
            raise OptionError(where + option, str(entry.service.id), "this service is listed twice; list each service once")
        table[entry.service.id] = entry
    return table


def created_entry(desired, path=""):
    """The whole Entry that an Entry asked for becomes where there is none yet, held to the rules."""
    service = overlay_service(desired.service)
    check_service(service, path)
    servers = {}
    for index, (ident, desired_server) in enumerate((desired.servers or {}).items()):
        servers[ident] = overlay_server(desired_server)
        check_server(servers[ident], service.id, desired_server, "%sservers[%d]." % (path, index))
    return Entry(service, servers)


def created_table(services, path="services"):
    """The Table of whole entries that a list of services makes of an empty table, held to the rules. Raises OptionError."""
    all_desired = desired_table(services, path)
    return {ident: created_entry(desired, "%s[%d]." % (path, index)) for index, (ident, desired) in enumerate(all_desired.items())}


def service_options(service):
    """A whole Service as the options that make it."""
    options = id_options(service.id)
    options.update(zip(Service._fields[1:], service[1:]))
    options["scheduler_flags"] = list(service.scheduler_flags)
    return options


def id_options(ident):
    """A ServiceId as the options that name it."""
    if ident.fwmark:
        return {"fwmark": ident.fwmark, "family": "ipv6" if ident.family == _literals.IPV6 else "ipv4"}
    return {"address": ident.address, "port": ident.port, "protocol": protocol_name(ident.protocol)}


def server_options(server):
    """A whole Server as the options that make it; those of a tunnel only where there is one."""
    options = {"address": server.id.address, "port": server.id.port}
    names = Server._fields[1:] if server.forward_method == "tun" else Server._fields[1:5]
    options.update((name, getattr(server, name)) for name in names)
    return options


def entry_options(entry):
    """A whole Entry as the options that make it: what ``ipvs_info`` returns and ``ipvs_table`` takes."""
    options = service_options(entry.service)
    options["servers"] = [server_options(entry.servers[ident]) for ident in sorted(entry.servers, key=server_order)]
    return options


def service_order(ident):
    """Sorting key of services: by family, protocol, address as a number, port, firewall mark."""
    packed = socket.inet_pton(ident.family, ident.address) if ident.address else b""
    return (ident.fwmark, ident.family, ident.protocol, packed, ident.port)


def server_order(ident):
    """Sorting key of servers: by family, address as a number, port."""
    family = _literals.family_of(ident.address)
    return (family, socket.inet_pton(family, ident.address), ident.port)
