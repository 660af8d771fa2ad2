# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of hosts, out of the inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: host_addresses
short_description: Return the addresses of hosts of the inventory
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes the names of hosts and returns their addresses, each once.
  - The address of a host is its C(ansible_host), otherwise its name. A host name is resolved on the controller. A host whose name has no address,
    or only one that other nodes cannot reach, adds nothing.
positional: _input, hosts
options:
  _input:
    description: The names of the hosts.
    type: list
    elements: string
    required: true
  hosts:
    description: The variables of all hosts, C(hostvars).
    type: dictionary
    required: true
seealso:
  - module: lvs.ipvs.ipvs_real_server
"""

EXAMPLES = r"""
- name: Have replies to the directors' checks reach them directly
  lvs.ipvs.ipvs_real_server:
    services: "{{ director_services }}"
    nat_route: policy
    nat_gateways: [198.51.100.1]
    # ["198.51.100.2", "198.51.100.3"]
    nat_direct: "{{ groups.directors | lvs.ipvs.host_addresses(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The addresses.
  type: list
  elements: string
"""

import ipaddress

from ansible_collections.lvs.ipvs.plugins.plugin_utils import _hosts


def host_addresses(names, hosts):
    """The addresses of these hosts as texts."""
    found = dict.fromkeys(ipaddress.ip_address(text.partition("%")[0]) for name in names for text in _hosts.addresses(hosts, name))
    return [str(address) for address in found if not (address.is_loopback or address.is_unspecified or address.is_link_local)]


class FilterModule:
    """Addresses out."""

    def filters(self):
        return {"host_addresses": host_addresses}
