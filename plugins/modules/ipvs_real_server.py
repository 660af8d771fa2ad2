#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_real_server
short_description: Set up what a node needs to be an IPVS real server
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Finds the node in a list of services by its addresses, and sets up what its forwarding methods need, now and at every boot.
  - For V(dr), the virtual address on O(vip_interface), and C(arp_ignore) and C(arp_announce) so that the node does not answer ARP for it.
  - For V(tun), the virtual address on the interface at which the tunnel ends, the same ARP settings, C(rp_filter) 0, and for V(gue) the
    UDP port.
  - For V(nat), routes back through the director, see O(nat_route).
  - Kernel modules that this takes are loaded. A virtual address is not added if the settings before it fail.
  - What the node needed before and no longer needs is removed, and kernel settings go back to the values they had. What others have set
    up is never touched. Kernel modules stay loaded until the next boot.
  - Everything is in C(/etc/ipvs-real-server.conf), which the unit C(ipvs-real-server.service) reads, in
    C(/etc/sysctl.d/60-ipvs-real-server.conf) and in C(/etc/modules-load.d/ipvs-real-server.conf). A node that needs nothing has none of
    these files.
  - Where systemd-networkd or NetworkManager runs, it is configured to keep or restore what the node needs, in files of its own
    that are named after the unit. To read them, systemd-networkd is restarted if that loses nothing; otherwise the task warns.
options:
  services:
    description:
      - The virtual services with their real servers, in the form that M(lvs.ipvs.ipvs_table) takes. The whole list is checked before
        anything is changed.
      - A node that has none of the servers' addresses needs nothing.
    type: list
    elements: dict
  addresses:
    description:
      - The addresses by which the module finds the node in O(services).
      - If omitted, all addresses that it has.
    type: list
    elements: str
  fwmark_addresses:
    description:
      - The virtual addresses of services identified by a firewall mark. Each belongs to the services of its family.
    type: list
    elements: str
    default: []
  vip_interface:
    description:
      - The interface that holds virtual addresses with V(dr). One that does not exist is created as a dummy interface.
    type: str
    default: lo
  arp_interfaces:
    description:
      - The interfaces that do not answer ARP for virtual addresses, with V(dr) and V(tun). V(all) means every one.
    type: list
    elements: str
    default: [all]
  nat_route:
    description:
      - How replies return to the director with V(nat).
      - V(none) does not change routing, for example because the director is the default gateway.
      - V(policy) routes the replies of the services, and nothing else, through the director.
      - V(default) routes everything through the director, except to networks with a route of their own.
      - The default route of the main table is never changed. A separate routing table takes precedence over it.
    type: str
    choices: [none, policy, default]
    default: none
  nat_gateways:
    description:
      - The director's addresses on the network of the real servers, one for each address family in use. Further ones have no effect.
    type: list
    elements: str
    default: []
  nat_direct:
    description:
      - Addresses and networks that replies reach by the node's other routes, and not through O(nat_gateways).
      - These are the addresses from which directors check the real servers. Under VRRP, O(nat_gateways) is an address of the master. Without this
        option, the replies to the checks of the other directors go through the master too. If it fails, all checks of the director that takes
        over fail with it, and it refuses requests until they succeed again.
    type: list
    elements: str
    default: []
  nat_table:
    description:
      - The number of the routing table.
    type: int
    default: 5198
  nat_priority:
    description:
      - The priority of the routing rules. The next one is used too.
    type: int
    default: 5198
  purge:
    description:
      - Whether what the node no longer needs is removed. Directors that still send connections need it, so set this to V(false) until they
        have the new list, and see RV(leftovers).
    type: bool
    default: true
  state:
    description:
      - V(present) sets up what the node needs.
      - V(absent) removes everything that this module has set up, whatever is listed, if O(purge) is V(true).
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.services
requirements:
  - pyroute2 >= 0.6 (Debian, Ubuntu and Fedora package C(python3-pyroute2))
  - CAP_NET_ADMIN in the initial user namespace, usually by C(become)
seealso:
  - module: lvs.ipvs.ipvs_table
  - module: lvs.ipvs.ipvs_addresses
"""

EXAMPLES = r"""
- name: Set up a real server for direct routing
  lvs.ipvs.ipvs_real_server:
    services:
      - address: 203.0.113.80
        port: 80
        servers:
          - address: 198.51.100.11
            forward_method: dr
          - address: 198.51.100.12
            forward_method: dr
    addresses: [198.51.100.11]

- name: Route the answers of a real server behind NAT through the director
  lvs.ipvs.ipvs_real_server:
    services:
      - address: 203.0.113.80
        port: 80
        servers:
          - address: 198.51.100.11
            forward_method: nat
    addresses: [198.51.100.11]
    nat_route: policy
    nat_gateways: [198.51.100.1]

- name: Remove everything again
  lvs.ipvs.ipvs_real_server:
    state: absent
"""

RETURN = r"""
places:
  description: How many times the node is in the list, once for each service and virtual address.
  returned: success
  type: int
  sample: 1
addresses:
  description: The virtual addresses that the node holds, or would in check mode.
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
      sample: lo
  sample: [{"address": "203.0.113.80", "prefix_length": 32, "interface": "lo"}]
leftovers:
  description: With O(purge=false), what the node no longer needs and keeps, one text each.
  returned: success
  type: list
  elements: str
  sample: [address 203.0.113.81/32 dev lo]
differences:
  description: What was out of sync before the task, one text each. In check mode, what is.
  returned: success
  type: list
  elements: str
  sample: [address 203.0.113.80/32 dev lo is missing]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs
from ansible_collections.lvs.ipvs.plugins.module_utils._table._real_server_task import manage_real_server
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._argspec import INT
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec=dict(
            services=_service_specs.services(),
            addresses={"type": "list", "elements": "str"},
            fwmark_addresses={"type": "list", "elements": "str", "default": []},
            vip_interface={"type": "str", "default": "lo"},
            arp_interfaces={"type": "list", "elements": "str", "default": ["all"]},
            nat_route={"type": "str", "choices": ["none", "policy", "default"], "default": "none"},
            nat_gateways={"type": "list", "elements": "str", "default": []},
            nat_direct={"type": "list", "elements": "str", "default": []},
            nat_table={"type": INT, "default": 5198},
            nat_priority={"type": INT, "default": 5198},
            purge={"type": "bool", "default": True},
            **_argspec.state("present", "absent"),
        ),
        required_if=[("state", "present", ("services",))],
        supports_check_mode=True,
    )
    run(module, manage_real_server)


if __name__ == "__main__":
    main()
