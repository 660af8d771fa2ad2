# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a real server needs, by the places that it has in a list of services. Pure: from places to modules and lines."""

from __future__ import annotations

import ipaddress
import re
from typing import Dict, List, NamedTuple

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _addresses, _boot, _network_lines
from ansible_collections.lvs.ipvs.plugins.module_utils._task._checks import in_range
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

OWNER = _boot.Owner(
    "ipvs-real-server",
    "ipvs_real_server",
    "What this real server of IPVS needs of the network",
    "The program sets what keeps addresses silent in ARP before it adds them.",
)
SYSCTL_FILE = "/etc/sysctl.d/60-ipvs-real-server.conf"
MODULES_FILE = "/etc/modules-load.d/ipvs-real-server.conf"
ENDS = {"tunl0": "ipip", "sit0": "sit", "ip6tnl0": "ip6_tunnel", "gre0": "ip_gre", "ip6gre0": "ip6_gre"}
"""The interface at which a tunnel ends: the kernel module that brings it."""
_ORDER = ("dummy", "sysctl", "link", "fou", "route", "rule", "address")
_MAIN = 254  # RT_TABLE_MAIN
_LAST_PRIORITY = 32765  # the rule for the main table is the next one


class Place(NamedTuple):
    """Where this node stands in the list. ``vip``: empty where it is not known; ``protocol``: its number; ``port``: 0 for every port."""

    vip: str
    protocol: int
    port: int
    address: str
    method: str
    tunnel: str = "ipip"
    tunnel_port: int = 0


class Settings(NamedTuple):
    """The options, checked. ``gateways``: {family option of ip(8): address}; ``direct``: networks that replies reach without one;
    ``makes_dummy``: whether ``vip_interface`` is to be made."""

    vip_interface: str
    arp_interfaces: List[str]
    nat_route: str
    gateways: Dict[str, str]
    direct: List[str]
    nat_table: int
    nat_priority: int
    makes_dummy: bool


class Needs(NamedTuple):
    """``modules``: names of kernel modules; ``lines``: texts, in the order in which they are put up."""

    modules: List[str]
    lines: List[str]


def settings(options, places, interfaces, recorded):
    """The Settings for these places. ``interfaces``: names of those of this node; ``recorded``: lines of the last run. Raises OptionError."""
    vip_interface = options["vip_interface"]
    _addresses.check_interface(vip_interface, "vip_interface")
    in_range(options["nat_priority"], 1, _LAST_PRIORITY - 1, "nat_priority", "the priority of the rules, which use the one after it too,")
    in_range(options["nat_table"], 1, 2**32 - 1, "nat_table", "a routing table")
    if options["nat_table"] in (253, _MAIN, 255):
        raise OptionError("nat_table", options["nat_table"], "give a table of its own: the kernel's are 253 to 255")
    ours = "dummy " + vip_interface in [line.text for line in recorded]
    given = Settings(
        vip_interface,
        options["arp_interfaces"],
        options["nat_route"],
        _gateways(options, places),
        _networks(options["nat_direct"], "nat_direct"),
        options["nat_table"],
        options["nat_priority"],
        ours or vip_interface not in interfaces,
    )
    known = {"all", "default", *interfaces, *[_interface(place, given) for place in places if _holds(place)]}
    for number, name in enumerate(given.arp_interfaces):
        if name not in known and any(_holds(place) for place in places):
            remedy = "this node has no such interface; it has %s, and all means every one" % ", ".join(sorted(interfaces))
            raise OptionError("arp_interfaces[%d]" % number, name, remedy)
    return given


def _gateways(options, places):
    """The first gateway of each family; every family in use has one where routes are wanted."""
    gateways = {}
    for place in _addresses.parsed(options["nat_gateways"], "nat_gateways"):
        gateways.setdefault(_family(place.address), place.address)
    behind = [place.address for place in places if place.method == "nat" and options["nat_route"] != "none"]
    lost = sorted({address for address in behind if _family(address) not in gateways})
    if lost:
        raise OptionError("nat_gateways", options["nat_gateways"], "add the director's address of the family of %s" % ", ".join(lost))
    return gateways


def _networks(texts, option):
    """Addresses and networks in the one spelling, each with its length."""
    found = {}
    for number, text in enumerate(texts):
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            remedy = "give the literal of an address or a network, such as 198.51.100.2 or 198.51.100.0/24; host names are not resolved"
            raise OptionError("%s[%d]" % (option, number), text, remedy) from error
        if not network.prefixlen:
            raise OptionError("%s[%d]" % (option, number), text, "give the addresses of directors, not of everyone")
        found[str(network)] = None
    return list(found)


def _family(address):
    return "-6" if ":" in address else "-4"


def _holds(place):
    """Whether this node holds the virtual address itself."""
    return bool(place.vip) and place.method in ("dr", "tun")


def _interface(place, given):
    """The interface that holds the virtual address of a place."""
    if place.method == "dr":
        return given.vip_interface
    outer6 = ":" in place.address
    if place.tunnel == "gre":
        return "ip6gre0" if outer6 else "gre0"
    return "ip6tnl0" if outer6 else "sit0" if ":" in place.vip else "tunl0"


def needs(places, given):
    """The Needs of these places."""
    modules, lines = {}, {}  # keys alone: a place that needs what another needs already adds nothing
    for place in places:
        if _holds(place):
            _add_address(place, given, modules, lines)
        elif place.method == "nat" and given.nat_route != "none":
            lines.update(dict.fromkeys(_routing(place, given)))
    return Needs(sorted(modules), in_order(lines))


def in_order(lines):
    """Texts of lines in the order in which they are put up. The same lines make the same file, whichever came first."""
    places = {kind: number for number, kind in enumerate(_ORDER)}
    return sorted(lines, key=lambda line: (places[line.split(" ", 1)[0]], line))


def _add_address(place, given, modules, lines):
    interface, inner6 = _interface(place, given), ":" in place.vip
    if place.method == "tun":
        modules[ENDS[interface]] = None
        if place.tunnel == "gue":
            modules["fou6" if ":" in place.address else "fou"] = None
            lines["fou %s port %d gue" % (_family(place.address), place.tunnel_port)] = None
    elif given.makes_dummy:
        modules["dummy"] = None
        lines["dummy " + interface] = None
    if interface != "lo":
        lines["link " + interface] = None
    if not inner6:
        wanted = [(name, key, value) for name in given.arp_interfaces for key, value in (("arp_ignore", 1), ("arp_announce", 2))]
        wanted += [(name, "rp_filter", 0) for name in ("all", interface) if place.method == "tun"]
        for name, key, value in wanted:
            # as in sysctl.d(5): dots and slashes change places
            lines["sysctl net.ipv4.conf.%s.%s %d" % (name.replace(".", "/"), key, value)] = None
    lines["address %s/%d dev %s" % (place.vip, 128 if inner6 else 32, interface)] = None


def _routing(place, given):
    family, table, priority = _family(place.address), given.nat_table, given.nat_priority
    yield "route %s default via %s table %d" % (family, given.gateways[family], table)
    for network in given.direct:
        if _family(network) == family and network.split("/")[0] != given.gateways[family]:
            yield "route %s %s type throw table %d" % (family, network, table)
    if given.nat_route == "default":
        yield "rule %s priority %d from all lookup %d suppress_prefixlength 0" % (family, priority, _MAIN)
        yield "rule %s priority %d from all lookup %d" % (family, priority + 1, table)
    else:
        ports = " ipproto %d sport %d" % (place.protocol, place.port) if place.port else ""
        yield "rule %s priority %d from %s%s lookup %d" % (family, priority, place.address, ports, table)


def leftovers(recorded, wanted, there):
    """Texts of the recorded lines that are no longer wanted and are still there. ``wanted``: texts; ``there``: identities.

    A route or a setting that is wanted otherwise has a successor, and is none.
    """
    kept = {_subject(line) for line in _network_lines.parse("\n".join(wanted))}
    return [line.text for line in recorded if line.kind in _ORDER and _subject(line) not in kept and _network_lines.identity(line) in there]


def _subject(line):
    """What a line is about: two lines about the same thing can't both be there."""
    if line.kind == "sysctl":
        return line.words[0]
    return re.sub(" via [^ ]+", "", _network_lines.identity(line)) if line.kind == "route" else _network_lines.identity(line)


def modules_text(names):
    """The text of MODULES_FILE; None where there are none."""
    return "# %s; changes are overwritten.\n" % OWNER.mark + "".join(name + "\n" for name in names) if names else None
