#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_service
short_description: Manage a virtual service of the Linux virtual server (IPVS)
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Creates, updates or deletes one virtual service in the kernel's IPVS table and, with O(servers), its real servers.
  - Options that you set are enforced; options that you omit are left unchanged. An existing service is updated, never deleted and created again,
    so its connections live on.
  - The task applies everything or nothing. If the kernel refuses an operation, the completed ones are rolled back, and the error says so.
options:
  servers:
    description:
      - The real servers of the service. Each is created or updated.
      - A server that is not listed stays unchanged, except with O(purge_servers=true).
  purge_servers:
    description:
      - Whether servers of the service that O(servers) doesn't list are removed. Without O(servers), and with O(state=absent), it
        has no effect.
    type: bool
    default: false
  state:
    description:
      - V(present) creates or updates the service. V(absent) deletes it together with its real servers.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.attributes.table
  - lvs.ipvs.attributes.keepalived
  - lvs.ipvs.service
seealso:
  - module: lvs.ipvs.ipvs_server
  - module: lvs.ipvs.ipvs_table
  - module: lvs.ipvs.ipvs_info
"""

EXAMPLES = r"""
- name: HTTP on a virtual address, two real servers behind NAT
  lvs.ipvs.ipvs_service:
    address: 203.0.113.80
    port: 80
    scheduler: rr
    servers:
      - address: 198.51.100.11
        forward_method: nat
      - address: 198.51.100.12
        forward_method: nat
        weight: 2

- name: Exactly these servers, any other is removed
  lvs.ipvs.ipvs_service:
    address: 203.0.113.80
    port: 80
    servers:
      - address: 198.51.100.11
    purge_servers: true

- name: DNS over IPv6, one packet at a time
  lvs.ipvs.ipvs_service:
    address: 2001:db8::53
    port: 53
    protocol: udp
    scheduler: sh
    one_packet: true

- name: Everything that the firewall marked 7, clients of a /24 stick to a server for ten minutes
  lvs.ipvs.ipvs_service:
    fwmark: 7
    scheduler: wlc
    persistence_timeout: 600
    persistence_netmask: 24

- name: No such service
  lvs.ipvs.ipvs_service:
    address: 203.0.113.80
    port: 80
    state: absent
"""

RETURN = r"""
service:
  description: The service as it is now (in check mode, as it would be), with all its real servers. V(null) if it is absent.
  returned: success
  type: dict
  contains:
    address:
      description: The virtual address. Services identified by a firewall mark have RV(service.fwmark) and RV(service.family) instead.
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
    scheduler:
      description: The scheduler.
      type: str
      returned: always
    scheduler_flags:
      description: The scheduler's flags.
      type: list
      elements: str
      returned: always
    persistence_timeout:
      description: The seconds for which a client keeps its server. V(0) means no persistence.
      type: int
      returned: always
    persistence_netmask:
      description: The prefix length, or a dotted mask if it has no prefix length.
      type: str
      returned: always
    persistence_engine:
      description: The persistence engine, empty for none.
      type: str
      returned: always
    one_packet:
      description: Whether each packet is scheduled on its own.
      type: bool
      returned: always
    servers:
      description: The real servers, sorted by address and port, with the options that make them.
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
          returned: servers behind a tunnel
        tunnel_port:
          description: The port of a V(gue) tunnel, V(0) otherwise.
          type: int
          returned: servers behind a tunnel
        tunnel_checksum:
          description: The checksum of the tunnel.
          type: str
          returned: servers behind a tunnel
  sample:
    address: 203.0.113.80
    port: 80
    protocol: tcp
    scheduler: rr
    scheduler_flags: []
    persistence_timeout: 0
    persistence_netmask: "32"
    persistence_engine: ""
    one_packet: false
    servers:
      - address: 198.51.100.11
        port: 80
        forward_method: nat
        weight: 1
        upper_threshold: 0
        lower_threshold: 0
commands:
  description: The changes that the task made (in check mode, would make), as C(ipvsadm) command lines. Empty if nothing changed.
  returned: success
  type: list
  elements: str
  sample:
    - ipvsadm -A -t 203.0.113.80:80 -s rr
    - ipvsadm -a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs
from ansible_collections.lvs.ipvs.plugins.module_utils._table._tasks import manage_service
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec=dict(
            purge_servers={"type": "bool", "default": False},
            **_argspec.netns(),
            **_service_specs.service_id(),
            **_service_specs.service(),
            **_service_specs.servers(),
            **_argspec.state("present", "absent"),
        ),
        supports_check_mode=True,
        **_service_specs.service_id_rules(),
    )
    run(module, manage_service)


if __name__ == "__main__":
    main()
