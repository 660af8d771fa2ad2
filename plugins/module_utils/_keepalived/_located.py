# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The interfaces of a failover, as far as its settings leave them to the node."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _failover
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _addresses
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _checks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError


def located(options, services, node, path="failover"):
    """Options of _failover.spec in which every interface stands. ``node``: a _network.Node. Raises OptionError."""
    local = node.addresses()
    found = {name: value for name, value in options.items() if value is not None}
    found["interface"] = _interface(found, local, path + ".")
    addresses = found["addresses"] if "addresses" in found else _failover.served(services)
    found["addresses"] = _placed(addresses, "addresses", None, found["interface"], local, node, path)
    if "gateways" in found:
        found["gateways"] = _placed(found["gateways"], "gateways", found.get("back_interface"), found["interface"], local, node, path)
    return found


def _interface(given, local, where):
    """The interface of VRRP, on which the source address has to be."""
    interface, source = given.get("interface"), given.get("source_address")
    if source is None:
        if interface is None:
            raise OptionError(where + "interface", None, "give it, or source_address, which is on it")
        return interface
    source = _literals.normal_address(source, where + "source_address")
    holders = [each.interface for each in local if each.address == source]
    if interface is None and not holders:
        raise OptionError(where + "source_address", source, "this node does not have the address; give one that it has, or interface")
    if interface is not None and interface not in holders:
        has = [each.address for each in local if each.interface == interface]
        raise OptionError(where + "source_address", source, "%s does not have this address; it has %s" % (interface, ", ".join(has) or "none"))
    return interface or holders[0]


def _placed(entries, option, default, last, local, node, path):
    """The addresses as dicts that name their interface: the default, the one that has it, that the route to it leads to, else ``last``."""
    all_desired = _failover.listed(entries, option, path)
    names = node.interfaces() + [each for each in (default, last) if each]  # what is wrong with these two, keepalived says
    places = _checks.within(path, lambda given: _addresses.placed(given, default, local, names, lambda open_ones: _routes(open_ones, last, node)), all_desired)
    return [{"address": place.address, "prefix_length": place.prefix_length, "interface": place.interface} for place in places]


def _routes(addresses, last, node):
    found = node.routes_to(addresses)
    return {address: found.get(address, last) for address in addresses}
