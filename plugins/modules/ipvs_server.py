#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_server
short_description: Manage a real server of an IPVS virtual service
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Creates, updates, drains or deletes one real server of a virtual service in the kernel's IPVS table.
  - Options that you set are enforced; options that you omit are left unchanged.
  - The virtual service must exist. In check mode, a missing service is a warning, because an earlier task may create it.
options:
  service_address:
    description:
      - The virtual service's address, an IPv4 or IPv6 literal in any spelling.
      - Give either this with O(service_port), or O(service_fwmark).
    type: str
  service_port:
    description:
      - The virtual service's port.
    type: int
  service_protocol:
    description:
      - The virtual service's protocol. If omitted, it is V(tcp).
    type: str
    choices: [tcp, udp, sctp]
  service_fwmark:
    description:
      - The firewall mark that identifies the virtual service.
    type: int
  service_family:
    description:
      - The address family of a service identified by O(service_fwmark). If omitted, it is V(ipv4).
    type: str
    choices: [ipv4, ipv6]
  state:
    description:
      - V(present) creates or updates the server.
      - V(absent) deletes it; with O(drain_timeout), after draining it.
      - V(drained) sets its weight to 0, waits for its active connections to end, and leaves it in the table. To set the weight to
        0 without waiting, use V(present) with O(weight=0). To bring it back, use V(present) with its weight.
      - V(drained) fails if the server or its virtual service does not exist, and names the most similar ones.
      - V(present) without O(port) fails if the service has this address only on another port, and names that port.
    type: str
    choices: [present, absent, drained]
    default: present
  drain_timeout:
    description:
      - The number of seconds to wait for connections to end. After that, the task fails; the weight stays 0, and nothing
        is removed.
      - A weight that somebody else gives the server meanwhile is set to 0 again, with a warning. The second time the task fails.
      - With O(state=drained) the default is V(300). With O(state=absent) the default is not to drain.
    type: int
  drain_connections:
    description:
      - The number of active connections with which the server counts as drained.
    type: int
    default: 0
  drain_interval:
    description:
      - The number of seconds between two checks of the connections.
    type: float
    default: 1.0
notes:
  - Draining counts active connections, which for TCP are those in state ESTABLISHED. For UDP the kernel counts all as inactive, so
    a UDP server counts as drained at once.
  - Clients with persistence keep coming to a server of weight 0, unless the sysctl C(net.ipv4.vs.expire_quiescent_template) is set.
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.attributes.table
  - lvs.ipvs.attributes.keepalived
  - lvs.ipvs.server
seealso:
  - module: lvs.ipvs.ipvs_service
  - module: lvs.ipvs.ipvs_info
"""

EXAMPLES = r"""
- name: A real server, twice as strong as the others
  lvs.ipvs.ipvs_server:
    service_address: 203.0.113.80
    service_port: 80
    address: 198.51.100.13
    forward_method: nat
    weight: 2

- name: Take it out of service, wait up to ten minutes for its connections
  lvs.ipvs.ipvs_server:
    service_address: 203.0.113.80
    service_port: 80
    address: 198.51.100.13
    state: drained
    drain_timeout: 600

- name: Bring it back
  lvs.ipvs.ipvs_server:
    service_address: 203.0.113.80
    service_port: 80
    address: 198.51.100.13
    weight: 2

- name: Drain it and remove it
  lvs.ipvs.ipvs_server:
    service_address: 203.0.113.80
    service_port: 80
    address: 198.51.100.13
    drain_timeout: 600
    state: absent
"""

RETURN = r"""
server:
  description: The server as it is now (in check mode, as it would be). V(null) if it is absent.
  returned: success, and when a drain failed
  type: dict
  contains:
    address:
      description: The address.
      type: str
      returned: always
    port:
      description: The port.
      type: int
      returned: always
    forward_method:
      description: The forwarding method.
      type: str
      returned: always
    weight:
      description: The weight.
      type: int
      returned: always
    upper_threshold:
      description: The upper threshold, V(0) for none.
      type: int
      returned: always
    lower_threshold:
      description: The lower threshold, V(0) for none.
      type: int
      returned: always
    tunnel_type:
      description: The kind of tunnel.
      type: str
      returned: with RV(server.forward_method=tun)
    tunnel_port:
      description: The port of a V(gue) tunnel, V(0) otherwise.
      type: int
      returned: with RV(server.forward_method=tun)
    tunnel_checksum:
      description: The checksum of the tunnel.
      type: str
      returned: with RV(server.forward_method=tun)
  sample:
    address: 198.51.100.13
    port: 80
    forward_method: nat
    weight: 2
    upper_threshold: 0
    lower_threshold: 0
service:
  description: The virtual service, with the options that identify it in M(lvs.ipvs.ipvs_service).
  returned: success, and when a drain failed
  type: dict
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
  sample:
    address: 203.0.113.80
    port: 80
    protocol: tcp
connections:
  description: The connections of a drained server at the end of the task. V(null) if the server was deleted in the meantime.
  returned: when the server was drained
  type: dict
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
commands:
  description: The changes that the task made (in check mode, would make), as C(ipvsadm) command lines. Empty if nothing changed.
  returned: success, and when a drain failed
  type: list
  elements: str
  sample:
    - ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.13:80 -m -w 0
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs
from ansible_collections.lvs.ipvs.plugins.module_utils._table._tasks import manage_server
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec=dict(
            drain_timeout={"type": _argspec.INT},
            drain_connections={"type": _argspec.INT, "default": 0},
            drain_interval={"type": _argspec.FLOAT, "default": 1.0},
            **_argspec.netns(),
            **_service_specs.service_id("service_"),
            **_service_specs.server_id(),
            **_service_specs.server(),
            **_argspec.state("present", "absent", "drained"),
        ),
        supports_check_mode=True,
        **_service_specs.service_id_rules("service_"),
    )
    run(module, manage_server)


if __name__ == "__main__":
    main()
