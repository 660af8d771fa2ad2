#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_keepalived_info
short_description: Read the state of keepalived, its health checks and its VRRP instances
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Asks the keepalived that runs in a network namespace for its state, and reads the weights of the real servers from the kernel.
    Changes nothing.
  - If keepalived is not installed or does not run, RV(running) is V(false) and the module succeeds.
  - keepalived 2.2.7 and 2.3.3 are tested.
notes:
  - keepalived writes its state into its folder for temporary files, as C(keepalived.data) and C(keepalived_check.data). Files of these
    names are replaced. With C(data_use_instance) or C(state_dump_file) in its configuration, keepalived uses other names and the module
    fails.
  - pyroute2 is needed only if keepalived checks services.
extends_documentation_fragment:
  - lvs.ipvs.attributes.info
  - lvs.ipvs.attributes.table
seealso:
  - module: lvs.ipvs.ipvs_handover
  - module: lvs.ipvs.ipvs_info
  - name: keepalived(8)
    description: The manual page of keepalived.
    link: https://keepalived.org/manpage.html
"""

EXAMPLES = r"""
- name: Read the state of keepalived
  lvs.ipvs.ipvs_keepalived_info:
  register: keepalived

- name: Fail if the check of a real server fails
  lvs.ipvs.ipvs_keepalived_info:
  register: keepalived
  failed_when: "'down' in keepalived.services | map(attribute='servers') | flatten | map(attribute='health')"

- name: Wait until the director has taken over
  lvs.ipvs.ipvs_keepalived_info:
  register: keepalived
  until: keepalived.master is true
  retries: 10
  delay: 1
"""

RETURN = r"""
version:
  description:
    - The version of the keepalived that runs, otherwise of the one that is installed. V(null) if there is none.
  returned: success
  type: str
  sample: 2.2.7
running:
  description: Whether keepalived runs in the network namespace.
  returned: success
  type: bool
processes:
  description: The process IDs.
  returned: success
  type: dict
  contains:
    parent:
      description: The parent process, to which signals are sent. V(null) if keepalived does not run.
      type: int
      returned: always
    checker:
      description: The process that checks real servers. V(null) if there is none.
      type: int
      returned: always
    vrrp:
      description: The process that handles VRRP. V(null) if there is none.
      type: int
      returned: always
instances:
  description: The VRRP instances, in the order of the configuration.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
      returned: always
    state:
      description: V(init), V(backup), V(master) or V(fault).
      type: str
      returned: always
    since:
      description: When it entered this state, or was last reloaded in it, in UTC.
      type: str
      returned: always
    interface:
      description: The interface.
      type: str
      returned: always
    router_id:
      description: The virtual router ID.
      type: int
      returned: always
    priority:
      description: The priority in the configuration.
      type: int
      returned: always
    effective_priority:
      description: The priority with what tracked files, interfaces and scripts add to it.
      type: int
      returned: always
    sync_group:
      description: The VRRP sync group. V(null) if it is in none.
      type: str
      returned: always
    preempt_delay:
      description: The seconds that it waits before it takes over from a master of lower priority. V(null) if it never does.
      type: float
      returned: always
    addresses:
      description: The addresses that the instance moves.
      type: list
      elements: dict
      returned: always
      contains:
        address:
          description: The address.
          type: str
          returned: always
        interface:
          description: The interface.
          type: str
          returned: always
        present:
          description: Whether keepalived has added it to the interface.
          type: bool
          returned: always
  sample:
    - name: front
      state: master
      since: "2026-01-31T12:00:00Z"
      interface: eth1
      router_id: 51
      priority: 150
      effective_priority: 150
      sync_group: directors
      preempt_delay: 15.0
      addresses:
        - address: 203.0.113.80
          interface: eth1
          present: true
master:
  description: Whether every VRRP instance is in the state V(master). V(null) if there is none.
  returned: success
  type: bool
handover:
  description: The file by which M(lvs.ipvs.ipvs_handover) hands this director over. V(null) if keepalived has none.
  returned: success
  type: dict
  contains:
    file:
      description: The file.
      type: str
      returned: always
    lowered:
      description: Whether it lowers the priority now.
      type: bool
      returned: always
  sample:
    file: /var/lib/ipvs-director/handover
    lowered: false
services:
  description:
    - The virtual services that keepalived has in its configuration, in its order. Virtual server groups are left out with a warning.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The virtual address. Services identified by a firewall mark have C(fwmark) and C(family) instead.
      type: str
      returned: services identified by address
    port:
      description: The port.
      type: int
      returned: services identified by address
    protocol:
      description: V(tcp), V(udp) or V(sctp).
      type: str
      returned: services identified by address
    fwmark:
      description: The firewall mark.
      type: int
      returned: services identified by firewall mark
    family:
      description: V(ipv4) or V(ipv6).
      type: str
      returned: services identified by firewall mark
    quorum_up:
      description: Whether the weights of the servers that are up make up the quorum.
      type: bool
      returned: always
    servers:
      description: The real servers, in the order of the configuration.
      type: list
      elements: dict
      returned: always
      contains:
        address:
          description: The address.
          type: str
          returned: always
        port:
          description: The port.
          type: int
          returned: always
        health:
          description: V(up), V(down), or V(unknown) for a server that gets no connections because its check has not run yet.
          type: str
          returned: always
        checks:
          description: The checks of the server. All of them must be up for the server to be V(up).
          type: list
          elements: dict
          returned: always
          contains:
            type:
              description: V(tcp), V(http), V(https), V(smtp), V(dns), V(udp), V(ping), V(script), V(bfd), or V(file) for the one that drains.
              type: str
              returned: always
            up:
              description: Whether its last result was good.
              type: bool
              returned: always
            ran:
              description: Whether it has had a result.
              type: bool
              returned: always
        drained:
          description: Whether the content of a file has taken the weight of the server.
          type: bool
          returned: always
        configured_weight:
          description: The weight in the configuration.
          type: int
          returned: always
        weight:
          description: The weight in the kernel. V(null) if the server is not in the table.
          type: int
          returned: always
  sample:
    - address: 203.0.113.80
      port: 80
      protocol: tcp
      quorum_up: true
      servers:
        - address: 198.51.100.11
          port: 80
          health: up
          checks:
            - type: tcp
              up: true
              ran: true
            - type: file
              up: true
              ran: true
          drained: true
          configured_weight: 1
          weight: 0
drained:
  description: The real servers that are drained by a file in C(/var/lib/ipvs-director/drain), whether or not keepalived runs.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address of the real server.
      type: str
      returned: always
    since:
      description: When the file was written, in UTC.
      type: str
      returned: always
  sample:
    - address: 198.51.100.11
      since: "2026-01-31T12:00:00Z"
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived._info_task import read_keepalived
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(argument_spec=_argspec.netns(), supports_check_mode=True)
    run(module, read_keepalived)


if __name__ == "__main__":
    main()
