# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual addresses of a director: which they are, on which interface, what they wait for; and keeping them so."""

from __future__ import annotations

import ipaddress
import socket
from typing import NamedTuple, Optional

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _boot, _network, _network_lines
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

OWNER = _boot.Owner(
    "ipvs-director",
    "ipvs_addresses",
    "Virtual addresses of this IPVS director",
    "No address answers before its services are back, and each goes before they do.",
    " ipvsadm.service ipvs-table.service keepalived.service",
)
_LITERAL = "give an IPv4 or IPv6 address as a literal, such as 203.0.113.80 or 2001:db8::80; host names are not resolved"
_KEYS = ("address", "prefix_length", "interface")


class Place(NamedTuple):
    """An address and where it is to be. ``interface``: None where that is still to be found; ``option``: where it was asked for."""

    address: str
    prefix_length: int
    interface: Optional[str]
    option: str = ""

    def __str__(self):
        return "%s/%d dev %s" % self[:3]


def host(address, option):
    """The Place of an address that has no network of its own, wherever that is."""
    return Place(address, 128 if ":" in address else 32, None, option)


def parsed(entries, option="addresses"):
    """[Place] that a list says, each once. An entry is a literal, or a dict with the keys of ``_KEYS``. Raises OptionError."""
    places = {}
    for number, entry in enumerate(entries):
        where = "%s[%d]" % (option, number)
        given = entry
        if isinstance(entry, str):
            given = {"address": entry}
        elif isinstance(entry, dict):
            where += ".address"
        else:
            raise OptionError(where, entry, "give an address, or a dictionary with %s" % ", ".join(_KEYS))
        unknown = [key for key in given if key not in _KEYS]
        if unknown:
            raise OptionError(where.replace(".address", ""), entry, "there is no key %s: give %s" % (unknown[0], ", ".join(_KEYS)))
        place = _place(given, where)
        places[place[:3]] = place
    return list(places.values())


def _place(given, where):
    literal = given.get("address")
    try:
        family = socket.AF_INET6 if ":" in literal else socket.AF_INET
        address = ipaddress.ip_address(socket.inet_pton(family, literal))
    except (OSError, TypeError, ValueError) as error:
        raise OptionError(where, literal, "give the length beside it, as prefix_length" if "/" in str(literal) else _LITERAL) from error
    if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
        raise OptionError(where, literal, "give the address of one host")
    path = where.replace(".address", "")
    length = given.get("prefix_length")
    if length is None:
        length = address.max_prefixlen
    if isinstance(length, bool) or not str(length).isdecimal() or not 1 <= int(length) <= address.max_prefixlen:
        raise OptionError(path + ".prefix_length", length, "give a number from 1 to %d" % address.max_prefixlen)
    interface = given.get("interface") or None
    if interface is not None:
        check_interface(interface, path + ".interface")
    return Place(socket.inet_ntop(family, address.packed), int(length), interface, where)


def check_interface(name, option):
    """Raise OptionError for what is no name of a network interface."""
    if not isinstance(name, str) or not 1 <= len(name) <= 15 or name in (".", "..") or any(each in "/:" or each.isspace() for each in name):
        raise OptionError(option, name, "give the name of a network interface, at most 15 characters")


def placed(places, default, local, names, routes_to):
    """The Places with their interfaces: the one that each names, the default, where it is already, where the route to it leads.

    ``local``: [Address] of this node; ``names``: of its interfaces; ``routes_to``: addresses -> {address: interface}. Raises OptionError.
    """
    holders = {each.address: each.interface for each in reversed(local) if each.interface != "lo"}
    for place in places:
        if (place.interface or default or names[0]) not in names:
            option = place.option.replace(".address", "") + ".interface" if place.interface else "interface"
            raise OptionError(option, place.interface or default, "this node has no such interface; it has %s" % ", ".join(sorted(names)))
    found = [place._replace(interface=place.interface or default or holders.get(place.address)) for place in places]
    open_places = [place.address for place in found if place.interface is None]
    routes = routes_to(open_places) if open_places else {}
    found = [place._replace(interface=place.interface or routes.get(place.address)) for place in found]
    lost = [place for place in found if place.interface is None]
    if lost:
        raise OptionError(
            lost[0].option,
            ", ".join(place.address for place in lost),
            "no interface of this node leads there: set interface, or the interface of each address in addresses",
        )
    return list({str(place): place for place in found}.values())


def render(places, awaited, announced):
    """The text of the file of lines; empty where there are no addresses. ``awaited``: "table" and addresses."""
    if not places:
        return ""
    lines = ["await " + each for each in awaited]
    lines += ["address %s%s" % (place, " announce" if announced else "") for place in places]
    return _boot.render(OWNER, lines)


def manage(all_desired, awaited, options, context):
    """What ``ipvs_addresses`` does. ``all_desired``: [Place]; ``awaited``: what they wait for, see ``render``; returns an Answer."""
    if options["interface"] is not None:
        check_interface(options["interface"], "interface")
    node = _boot.new_node()
    try:
        places = placed(all_desired, options["interface"], node.addresses(), node.interfaces(), node.routes_to) if all_desired else []
        text = render(places, awaited, options["announce"])
        released = options["state"] == "released"
        todo = _boot.plan(OWNER, "" if released else text, node, context, released=text if released else "")
        announced = [line for line in todo.coming if _network.frames_for(line, node)]
        if todo.differences and not context.check_mode:
            _boot.apply(todo, node, context)
    finally:
        node.close()
    values = {
        "addresses": [dict(zip(_KEYS, place)) for place in places],
        "added": [_where(line) for line in todo.coming],
        "removed": [_where(line) for line in todo.leaving],
        "announced": [_where(line) for line in announced],
        "differences": todo.differences,
    }
    return Answer(bool(todo.differences), values, todo.before if context.diff else None, todo.after if context.diff else None)


def _where(line):
    return _network_lines.identity(line).partition(" ")[2]


def fields_of(words):
    """The words of a line of kind address as they are returned."""
    address, length = words[0].split("/")
    return {"address": address, "prefix_length": int(length), "interface": words[2]}
