#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_firewall
short_description: Mark packets for IPVS, masquerade, and let virtual services through the firewall
version_added: 1.0.0
description:
  - Sets firewall marks on packets for virtual services that are identified by C(fwmark).
  - Masquerades clients that are in the same network as their NAT servers, and excludes packets from connection tracking.
  - Keeps all of that in one nftables table of its own, C(inet lvs_ipvs), which is replaced in one step. No other table is touched.
    If none of this is requested, there is no table, and nothing is written.
  - The unit C(ipvs-firewall.service) loads the table at boot. With C(ipvs-firewall-again.service) it does so again after C(nftables.service) has
    flushed the rules.
  - If firewalld runs, opens the ports of the virtual services, in its running and its permanent configuration, and closes what it has opened
    once the service is no longer listed.
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
options:
  services:
    description:
      - The virtual services with their real servers, in the form that M(lvs.ipvs.ipvs_table) takes. Their ports are opened in firewalld, and
        their servers say what O(snat) and O(notrack) are for. The whole list is checked before anything is touched.
    type: list
    elements: dict
  marks:
    description:
      - The packets that get a firewall mark.
      - Two entries that give the same packet different marks are an error.
    type: list
    elements: dict
    suboptions:
      mark:
        description:
          - The firewall mark, V(1) to V(4294967295).
        type: int
        required: true
      address:
        description:
          - The address or the network that the packets are sent to.
        type: str
        required: true
      protocol:
        description:
          - Their protocol.
        type: str
        choices: [tcp, udp, sctp]
        default: tcp
      ports:
        description:
          - The ports they are sent to, or ranges such as V(8000-8010). If omitted, every port.
        type: list
        elements: str
  snat:
    description:
      - The networks whose clients are masqueraded towards NAT servers, as a list. A server in the client's own network would otherwise answer
        the client directly, past the director.
      - V(true) takes the networks that this machine shares with the NAT servers of O(services).
      - Only connections that IPVS has balanced are masqueraded.
      - The kernel needs C(net.ipv4.vs.conntrack=1) for this, which M(lvs.ipvs.ipvs_sysctls) sets. Otherwise the module warns.
    type: raw
    default: false
  notrack:
    description:
      - Whether packets to virtual services whose servers all use C(dr) or C(tun) bypass connection tracking. The director sees one
        direction of these connections only.
    type: bool
    default: false
  firewalld:
    description:
      - Whether the ports of O(services) are opened in firewalld if it runs. For a service by C(fwmark) these are the ports of O(marks).
      - Existing rules stay, and are not closed either.
    type: bool
    default: true
  zones:
    description:
      - The zones of firewalld to open the ports in. If omitted, the default zone and every other that has interfaces or sources.
    type: list
    elements: str
  load:
    description:
      - Whether the table in the kernel is replaced. Set this to V(false) in an image build.
    type: bool
    default: true
  persist:
    description:
      - Whether the table is restored at boot. With O(netns), this must be V(false).
    type: bool
    default: true
  netns:
    description:
      - The network namespace to work in, as a name under C(/run/netns) or as a path. firewalld is not changed then.
    type: str
  state:
    description:
      - V(absent) removes the table and the unit, and closes what was opened. O(services), O(marks), O(snat) and O(notrack) have no effect then.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.services
requirements:
  - C(nft) of the package C(nftables), and C(unshare) of C(util-linux), where O(marks), O(snat) or O(notrack) ask for a table
seealso:
  - module: lvs.ipvs.ipvs_table
"""

EXAMPLES = r"""
- name: HTTP and HTTPS as one persistent service
  lvs.ipvs.ipvs_firewall:
    services:
      - fwmark: 1
        persistence_timeout: 300
        servers:
          - address: 198.51.100.11
          - address: 198.51.100.12
    marks:
      - mark: 1
        address: 203.0.113.80
        ports: ["80", "443"]

- name: Let clients in the servers' own network use the virtual service too
  lvs.ipvs.ipvs_firewall:
    services:
      - address: 203.0.113.80
        port: 80
        servers:
          - address: 198.51.100.11
            forward_method: nat
    snat: true

- name: Keep packets to services by direct routing out of connection tracking
  lvs.ipvs.ipvs_firewall:
    services:
      - address: 203.0.113.80
        port: 80
        servers:
          - address: 198.51.100.11
            forward_method: dr
    notrack: true

- name: Take it all away again
  lvs.ipvs.ipvs_firewall:
    state: absent
"""

RETURN = r"""
differences:
  description: What was missing or different, one text each; empty if nothing was changed.
  returned: success
  type: list
  elements: str
  sample: ["nftables table inet lvs_ipvs is missing", "ipvs-firewall.service is not enabled"]
conflicts:
  description: >-
    Settings that keep services from answering and that this module does not change, each with its remedy; also returned as warnings.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      table inet filter, chain input: ct state invalid drop: drops packets of virtual services with dr and tun (tcp 203.0.113.80:80),
      whose answers this machine does not see: set notrack to true
rules:
  description: The table as it is now, or would be in check mode, in the syntax of C(nft); empty if there is none.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _firewall_tasks, _service_specs
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec=dict(
            services=_service_specs.services(),
            marks={
                "type": "list",
                "elements": "dict",
                "options": {
                    "mark": {"type": _argspec.INT, "required": True},
                    "address": {"type": "str", "required": True},
                    "protocol": {"type": "str", "choices": ["tcp", "udp", "sctp"], "default": "tcp"},
                    "ports": {"type": "list", "elements": "str"},
                },
            },
            snat={"type": "raw", "default": False},
            notrack={"type": "bool", "default": False},
            firewalld={"type": "bool", "default": True},
            zones={"type": "list", "elements": "str"},
            load={"type": "bool", "default": True},
            persist={"type": "bool", "default": True},
            **_argspec.netns(),
            **_argspec.state("present", "absent"),
        ),
        supports_check_mode=True,
    )
    run(module, _firewall_tasks.manage_firewall)


if __name__ == "__main__":
    main()
