# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a director's failover, out of the inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: failover_settings
short_description: Derive a director's failover settings from the inventory
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes the names of the directors and returns the settings of failover of one of them, as O(lvs.ipvs.ipvs_keepalived#module:failover) takes
    them. Settings that you omit are derived from the group.
  - The address of a director is its C(ansible_host), otherwise its name. A host name is resolved on the controller.
  - The priority follows from the place in the group. The first is V(150), and each other has 10 less, or as much less as keeps
    all of them within 99.
  - Connections are synchronized on the interface of VRRP unless O(sync) says otherwise.
positional: _input, hosts, name
options:
  _input:
    description: The names of all directors, the one that is to be master first.
    type: list
    elements: string
    required: true
  hosts:
    description: The variables of all hosts, C(hostvars).
    type: dictionary
    required: true
  name:
    description: Which director it is, C(inventory_hostname).
    type: string
    required: true
  sync:
    description: The C(interface) and C(sync_id) of connection synchronization. C(enabled=false) switches it off.
    type: dictionary
    default: {}
  services:
    description: The virtual services, whose addresses move if O(addresses) is not given. Needed only with O(address_interface).
    type: list
    elements: dictionary
    default: []
  address_interface:
    description: The interface for addresses without one. If omitted, the module finds it.
    type: string
  addresses:
    description: As O(lvs.ipvs.ipvs_keepalived#module:failover.addresses).
    type: list
    elements: raw
  interface:
    description: As O(lvs.ipvs.ipvs_keepalived#module:failover.interface). If omitted, the module takes the one that has the source address.
    type: string
  router_id:
    description: As O(lvs.ipvs.ipvs_keepalived#module:failover.router_id).
    type: integer
  peers:
    description: The addresses of the other directors. If omitted, those of the group. An empty list means multicast.
    type: list
    elements: string
  source_address:
    description: The address that adverts are sent from. If omitted, the director's own.
    type: string
  priority:
    description: As O(lvs.ipvs.ipvs_keepalived#module:failover.priority). If omitted, by the place in the group.
    type: integer
  advert_interval:
    description: As O(lvs.ipvs.ipvs_keepalived#module:failover.advert_interval).
    type: float
  preempt:
    description: As O(lvs.ipvs.ipvs_keepalived#module:failover.preempt). V(false) leaves out O(handover_file), which would have no effect.
    type: boolean
  preempt_delay:
    description: As O(lvs.ipvs.ipvs_keepalived#module:failover.preempt_delay).
    type: integer
  gateways:
    description: As O(lvs.ipvs.ipvs_keepalived#module:failover.gateways).
    type: list
    elements: raw
  back_interface:
    description: As O(lvs.ipvs.ipvs_keepalived#module:failover.back_interface).
    type: string
  back_peers:
    description: As O(lvs.ipvs.ipvs_keepalived#module:failover.back_peers).
    type: list
    elements: string
  handover_file:
    description: As O(lvs.ipvs.ipvs_keepalived#module:failover.handover_file).
    type: string
seealso:
  - module: lvs.ipvs.ipvs_keepalived
"""

EXAMPLES = r"""
- name: Move the addresses of the services between the directors of the group
  lvs.ipvs.ipvs_keepalived:
    services: "{{ director_services }}"
    # {"peers": ["203.0.113.12"], "priority": 150, "source_address": "203.0.113.11", "sync": {}}
    failover: "{{ groups.directors | lvs.ipvs.failover_settings(hostvars, inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: The settings, without those that the module derives.
  type: dictionary
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _directors
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _addresses
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError
from ansible_collections.lvs.ipvs.plugins.plugin_utils import _hosts

_OPTIONS = (
    "addresses", "interface", "router_id", "peers", "source_address", "priority", "advert_interval", "preempt", "preempt_delay", "gateways",
    "back_interface", "back_peers", "handover_file",
)  # fmt: skip


def failover_settings(names, hosts, name, services=None, address_interface=None, sync=None, **options):
    """The settings of failover of the director ``name``. Raises AnsibleFilterError."""
    unknown = sorted(set(options).difference(_OPTIONS))
    if unknown:
        raise AnsibleFilterError("failover_settings: there is no option %s" % unknown[0])
    given = {option: value for option, value in options.items() if value is not None}
    if given.get("preempt") is False:
        given.pop("handover_file", None)
    try:
        found = _directors.settings(list(names), name, lambda each: next(iter(_hosts.addresses(hosts, each)), None), given)
        if address_interface is not None:
            found["addresses"] = _on(address_interface, found.get("addresses"), services or [])
    except IpvsError as error:
        raise AnsibleFilterError("failover_settings: %s" % error) from error
    sync = dict(sync or {})
    if sync.pop("enabled", True):
        found["sync"] = sync
    return found


def _on(interface, addresses, services):
    """Addresses as a list of dicts that name their interface."""
    if addresses is None:
        addresses = list(dict.fromkeys(service["address"] for service in services if service.get("address")))
    places = _addresses.parsed(addresses)
    return [{"address": place.address, "prefix_length": place.prefix_length, "interface": place.interface or interface} for place in places]


class FilterModule:
    """Settings out."""

    def filters(self):
        return {"failover_settings": failover_settings}
