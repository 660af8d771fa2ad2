#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_addresses
short_description: Manage the virtual addresses of an IPVS director
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Adds virtual addresses to network interfaces, now and at every boot, and announces new ones to the neighbors.
  - Addresses that this module has added and that are no longer listed are removed, before new ones are added. Addresses that others
    have added are never touched.
  - The addresses are kept in C(/etc/ipvs-director.conf). The unit C(ipvs-director.service) adds them at boot, after the services of IPVS
    are back, and removes them at shutdown, before the services go.
  - Where systemd-networkd or NetworkManager runs, it is configured to keep or restore the addresses, in files of its own
    that are named after the unit. To read them, systemd-networkd is restarted if that loses nothing; otherwise the task warns.
  - If no address is listed and this module has added none, nothing is written.
options:
  addresses:
    description:
      - The virtual addresses. An empty list removes all that this module has added.
      - Each is an IPv4 or IPv6 literal, or a dictionary with C(address), C(prefix_length) (default 32 or 128) and C(interface)
        (default O(interface)).
      - If omitted, the addresses of O(services).
    type: list
    elements: raw
  services:
    description:
      - The virtual services, in the form that M(lvs.ipvs.ipvs_table) takes. The whole list is checked before anything is changed.
      - It tells which address waits for which service, see O(wait_for_service), and which addresses there are if O(addresses) is omitted.
      - With O(state=present) and O(state=released), give O(addresses), O(services), or both.
    type: list
    elements: dict
  interface:
    description:
      - The interface for addresses without one.
      - If omitted, an address stays on the interface that has it, unless that is C(lo). Otherwise it is added to the interface that the
        route to it leads to. If no interface leads to it, the task fails before it changes anything.
    type: str
  wait_for_service:
    description:
      - Whether an address comes up only if the IPVS table has a service of it, at boot and now. This keeps the director from answering
        for an address that it does not balance.
      - An address that no service in O(services) has comes up if the table has any service at all.
      - With an empty list in O(services), no address waits.
      - In check mode the table is not looked at.
    type: bool
    default: true
  announce:
    description:
      - Whether new addresses are announced to the neighbors, with gratuitous ARP and unsolicited neighbor advertisements,
        three times within two seconds.
    type: bool
    default: true
  state:
    description:
      - V(present) keeps the listed addresses and no others of this module.
      - V(absent) removes all addresses that this module has added, its files and its unit, whatever is listed.
      - V(released) hands the listed addresses over to something else, such as VRRP. Those that are up stay up, and the boot no longer adds
        them. Other addresses that this module has added are removed.
    type: str
    choices: [present, absent, released]
    default: present
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.services
requirements:
  - CAP_NET_ADMIN in the initial user namespace, usually by C(become)
seealso:
  - module: lvs.ipvs.ipvs_table
"""

EXAMPLES = r"""
- name: Keep the virtual addresses of all services on eth1
  lvs.ipvs.ipvs_addresses:
    services:
      - address: 203.0.113.80
        port: 80
      - address: 2001:db8::80
        port: 80
    interface: eth1

- name: Keep these addresses, and wait for no service
  lvs.ipvs.ipvs_addresses:
    addresses:
      - 203.0.113.80
      - address: 203.0.113.81
        prefix_length: 24
        interface: eth1
    interface: eth1
    wait_for_service: false

- name: Leave the virtual addresses to VRRP
  lvs.ipvs.ipvs_addresses:
    addresses: [203.0.113.80]
    state: released

- name: Remove all virtual addresses
  lvs.ipvs.ipvs_addresses:
    state: absent
"""

RETURN = r"""
addresses:
  description: The addresses as they are now, or would be in check mode. With O(state=released), those that were handed over.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address.
      type: str
      returned: always
      sample: 203.0.113.80
    prefix_length:
      description: The length of its prefix.
      type: int
      returned: always
      sample: 32
    interface:
      description: The interface that has it.
      type: str
      returned: always
      sample: eth1
  sample: [{"address": "203.0.113.80", "prefix_length": 32, "interface": "eth1"}]
added:
  description: The addresses that were added, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [203.0.113.80/32 dev eth1]
removed:
  description: The addresses that were removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: []
announced:
  description: Those of RV(added) that were announced to neighbors, or would be in check mode. Not on C(lo), which has none.
  returned: success
  type: list
  elements: str
  sample: [203.0.113.80/32 dev eth1]
differences:
  description: What was out of sync before the task, one text each. In check mode, what is.
  returned: success
  type: list
  elements: str
  sample: [address 203.0.113.80/32 dev eth1 is missing]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs
from ansible_collections.lvs.ipvs.plugins.module_utils._table._node_tasks import manage_addresses
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec=dict(
            addresses={"type": "list", "elements": "raw"},
            services=_service_specs.services(),
            interface={"type": "str"},
            wait_for_service={"type": "bool", "default": True},
            announce={"type": "bool", "default": True},
            **_argspec.state("present", "absent", "released"),
        ),
        required_if=[("state", "present", ("addresses", "services"), True), ("state", "released", ("addresses", "services"), True)],
        supports_check_mode=True,
    )
    run(module, manage_addresses)


if __name__ == "__main__":
    main()
