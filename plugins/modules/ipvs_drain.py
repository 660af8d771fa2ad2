#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_drain
short_description: Drain real servers in all their IPVS services, and restore them
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Drains one or more real servers in every virtual service that they belong to, all at once, and later gives them back the weights
    that they had.
  - The weights are recorded on the director before the first one changes. A task that was interrupted at any point can be run again.
  - The saved table that is restored at boot is updated, if M(lvs.ipvs.ipvs_saved) manages it. A drained server is still drained after a reboot.
  - Servers that keepalived checks are drained by keepalived, if its configuration comes from this collection. It removes the weight
    of each server whose file in C(/var/lib/ipvs-director/drain) contains V(-100000), whatever its check says. This holds through a
    reload or restart of keepalived, and when the server fails and recovers. The task writes the files and waits until the kernel shows
    the weights. Such weights are not recorded, since keepalived knows them.
options:
  addresses:
    description:
      - The addresses of the real servers, IPv4 or IPv6 literals in any spelling.
      - Required with O(state=drained). With O(state=restored), if omitted, everything that is recorded is put back.
    type: list
    elements: str
  state:
    description:
      - V(drained) sets the servers' weights to 0 in all services and waits for their active connections to end.
      - V(restored) gives back the recorded weights and forgets them. A server that somebody has given a weight or has removed in the
        meantime is left as it is. If nothing is recorded, nothing changes, and RV(msg) says so.
      - keepalived gives a server its weight back if its health check succeeds. Otherwise the server stays at weight 0 until then, and
        RV(unhealthy) names it.
    type: str
    choices: [drained, restored]
    default: drained
  wait:
    description:
      - Whether to wait for the connections. If V(false), the task returns once the weights are 0, and RV(drained) says whether
        connections are left. Run the task again to wait.
    type: bool
    default: true
  drain_timeout:
    description:
      - The number of seconds to wait for connections to end. After that, the task fails; the weights stay 0 and stay recorded.
      - A weight that somebody else gives a server in the meantime is set to 0 again, with a warning. The second time the task fails.
    type: int
    default: 300
  drain_connections:
    description:
      - The number of active connections that may remain in each service.
    type: int
    default: 0
  drain_interval:
    description:
      - The number of seconds between two checks of the connections.
    type: float
    default: 1.0
  allow_empty:
    description:
      - Whether a service may be left without a server that takes connections. Otherwise the task fails before anything is touched and
        names these services. A server that keepalived has taken out because its check fails takes no connections either.
    type: bool
    default: false
  allow_missing:
    description:
      - Whether an address may belong to no service. Otherwise this is an error that names the nearest addresses.
      - Set it where a task runs on several directors that do not all have the same servers.
    type: bool
    default: false
  state_directory:
    description:
      - Where the weights are recorded. The files that keepalived reads are always in C(/var/lib/ipvs-director/drain).
    type: path
    default: /var/lib/ipvs-director
notes:
  - Draining counts active connections, which for TCP are those in state ESTABLISHED. For UDP the kernel counts all as inactive, so
    a UDP server counts as drained at once.
  - A server is drained by keepalived if keepalived runs, its configuration has a C(FILE_CHECK) for the server, and the server's file
    exists. If the file exists and keepalived does not run, the file is written too, for its next start.
  - Clients with persistence keep coming to a server of weight 0, unless the sysctl C(net.ipv4.vs.expire_quiescent_template) is set.
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.attributes.table
seealso:
  - module: lvs.ipvs.ipvs_server
  - module: lvs.ipvs.ipvs_info
  - module: lvs.ipvs.ipvs_keepalived_info
"""

EXAMPLES = r"""
- name: Take a real server out of all services, wait up to ten minutes for its connections
  lvs.ipvs.ipvs_drain:
    addresses: [198.51.100.11]
    drain_timeout: 600

- name: Put it back with the weights that it had
  lvs.ipvs.ipvs_drain:
    addresses: [198.51.100.11]
    state: restored

- name: Take two servers out without waiting
  lvs.ipvs.ipvs_drain:
    addresses: [198.51.100.11, 198.51.100.12]
    wait: false

- name: Put back everything that is drained
  lvs.ipvs.ipvs_drain:
    state: restored
"""

RETURN = r"""
places:
  description:
    - Each server in each of its services. With O(state=restored), those whose weights were recorded or that keepalived had drained.
    - The fields that name them are the options of M(lvs.ipvs.ipvs_server).
  returned: success, and when a drain failed
  type: list
  elements: dict
  contains:
    service_address:
      description: The virtual address.
      type: str
      returned: services identified by address
    service_port:
      description: The virtual service's port.
      type: int
      returned: services identified by address
    service_protocol:
      description: V(tcp), V(udp) or V(sctp).
      type: str
      returned: services identified by address
    service_fwmark:
      description: The firewall mark.
      type: int
      returned: services identified by firewall mark
    service_family:
      description: V(ipv4) or V(ipv6).
      type: str
      returned: services identified by firewall mark
    address:
      description: The real server's address.
      type: str
      returned: always
    port:
      description: The real server's port.
      type: int
      returned: always
    weight:
      description: The weight from before the drain, which is put back. For a server that keepalived drains, its configured weight.
      type: int
      returned: always
    weight_now:
      description: The weight as it is now (in check mode, as it would be). V(null) if the server is no longer in the service.
      type: int
      returned: always
    connections:
      description: The connections as the task ended. V(null) if the server is no longer in the service.
      type: dict
      returned: always
      contains:
        active:
          description: Active connections.
          type: int
          returned: always
        inactive:
          description: Inactive connections, such as those in TIME_WAIT.
          type: int
          returned: always
        persistent:
          description: Persistence templates.
          type: int
          returned: always
  sample:
    - service_address: 203.0.113.80
      service_port: 80
      service_protocol: tcp
      address: 198.51.100.11
      port: 80
      weight: 2
      weight_now: 0
      connections: {active: 0, inactive: 3, persistent: 0}
drained:
  description: Whether no more than O(drain_connections) active connections are left in any service.
  returned: with O(state=drained)
  type: bool
  sample: true
unhealthy:
  description:
    - The servers of O(addresses) that are not drained any more and that keepalived still keeps at weight 0, two seconds later, because
      their health checks fail. In check mode, those that were not drained before.
  returned: with O(state=restored)
  type: list
  elements: str
  sample:
    - 198.51.100.11:80 of tcp 203.0.113.80:80
msg:
  description: That nothing was recorded, and what is known about these addresses; or that health checks keep servers out.
  returned: with O(state=restored), if nothing is recorded, or if RV(unhealthy) is not empty
  type: str
  sample: "No weights are recorded of 198.51.100.12: there is nothing to put back."
commands:
  description:
    - The changes that the task made (in check mode, would make), as C(ipvsadm) command lines. Empty if nothing changed.
    - For servers that keepalived drains, the command lines that write the files.
  returned: success, and when a drain failed
  type: list
  elements: str
  sample:
    - ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table._drain_record import FOLDER
from ansible_collections.lvs.ipvs.plugins.module_utils._table._drain_tasks import manage_drain
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec=dict(
            addresses={"type": "list", "elements": "str"},
            wait={"type": "bool", "default": True},
            drain_timeout={"type": _argspec.INT, "default": 300},
            drain_connections={"type": _argspec.INT, "default": 0},
            drain_interval={"type": _argspec.FLOAT, "default": 1.0},
            allow_empty={"type": "bool", "default": False},
            allow_missing={"type": "bool", "default": False},
            state_directory={"type": "path", "default": FOLDER},
            **_argspec.netns(),
            **_argspec.state("drained", "restored"),
        ),
        required_if=[("state", "drained", ["addresses"])],
        supports_check_mode=True,
    )
    run(module, manage_drain)


if __name__ == "__main__":
    main()
