#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_info
short_description: Read the IPVS table, timeouts, sync daemons and statistics
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Reads what the kernel's IPVS holds. Changes nothing and never loads a kernel module.
  - The services come in the form that M(lvs.ipvs.ipvs_table) takes, so you can save them, compare them, and pass them back.
options:
  statistics:
    description:
      - Whether to add counters and rates to services and servers, and the numbers of connections to servers.
    type: bool
    default: false
  table:
    description:
      - Whether to read the table. If V(false), the module only returns which programs and libraries the node has, and needs no pyroute2.
    type: bool
    default: true
  pyroute2_interpreters:
    description:
      - The Python interpreters in which to look for pyroute2, the first choice first. V(running) is the one that runs the module.
    type: list
    elements: str
    default: [running]
  address:
    description:
      - Only services with this virtual address.
    type: str
  port:
    description:
      - Only services with this port.
    type: int
  protocol:
    description:
      - Only services with this protocol.
    type: str
    choices: [tcp, udp, sctp]
  fwmark:
    description:
      - Only the services with this firewall mark.
    type: int
  family:
    description:
      - Only services of this address family.
    type: str
    choices: [ipv4, ipv6]
extends_documentation_fragment:
  - lvs.ipvs.attributes.info
  - lvs.ipvs.attributes.table
seealso:
  - module: lvs.ipvs.ipvs_table
"""

EXAMPLES = r"""
- name: Read everything
  lvs.ipvs.ipvs_info:
  register: ipvs

- name: Find out whether pyroute2 is there, by itself or in a virtual environment
  lvs.ipvs.ipvs_info:
    table: false
    pyroute2_interpreters: [running, /opt/lvs-ipvs/bin/python]

- name: Read one service with its counters and connections
  lvs.ipvs.ipvs_info:
    address: 203.0.113.80
    port: 80
    statistics: true
  register: web

- name: Show the active connections of each real server
  ansible.builtin.debug:
    msg: "{{ item.address }}: {{ item.statistics.active_connections }}"
  loop: "{{ web.services[0].servers }}"
  loop_control:
    label: "{{ item.address }}"
"""

RETURN = r"""
loaded:
  description: Whether the kernel has IPVS loaded. If not, the table is empty.
  returned: with O(table)
  type: bool
version:
  description: The version of IPVS in the kernel. V(null) if it is not loaded.
  returned: with O(table)
  type: str
  sample: 1.2.1
connection_table_size:
  description:
    - The number of rows in the connection hash table. V(null) if IPVS is not loaded.
    - Linux 7.2 starts with V(0) and lets the table grow; up to Linux 6.12 the size is fixed when the module C(ip_vs) is loaded.
  returned: with O(table)
  type: int
  sample: 4096
services:
  description: The virtual services with their real servers, in the form that M(lvs.ipvs.ipvs_table) takes, sorted. An empty list if there are none.
  returned: with O(table)
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
      description: The real servers, sorted by address and port.
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
        statistics:
          description: Counters and rates as for the service, and the numbers of connections.
          type: dict
          returned: with O(statistics=true)
          contains:
            connections:
              description: Connections scheduled.
              type: int
              returned: always
            in_packets:
              description: Packets from clients.
              type: int
              returned: always
            out_packets:
              description: Packets to clients, seen with NAT only.
              type: int
              returned: always
            in_bytes:
              description: Bytes from clients.
              type: int
              returned: always
            out_bytes:
              description: Bytes to clients, seen with NAT only.
              type: int
              returned: always
            connections_per_second:
              description: Rate of connections.
              type: int
              returned: always
            in_packets_per_second:
              description: Rate of packets from clients.
              type: int
              returned: always
            out_packets_per_second:
              description: Rate of packets to clients.
              type: int
              returned: always
            in_bytes_per_second:
              description: Rate of bytes from clients.
              type: int
              returned: always
            out_bytes_per_second:
              description: Rate of bytes to clients.
              type: int
              returned: always
            active_connections:
              description: Active connections now; for TCP, those that are established.
              type: int
              returned: always
            inactive_connections:
              description: Other connections that are remembered.
              type: int
              returned: always
            persistent_connections:
              description: Persistence templates.
              type: int
              returned: always
    statistics:
      description: 64-bit counters since the service was created or its counters were reset, and rates per second. The kernel updates them every two seconds.
      type: dict
      returned: with O(statistics=true)
      contains:
        connections:
          description: Connections scheduled.
          type: int
          returned: always
        in_packets:
          description: Packets from clients.
          type: int
          returned: always
        out_packets:
          description: Packets to clients, seen with NAT only.
          type: int
          returned: always
        in_bytes:
          description: Bytes from clients.
          type: int
          returned: always
        out_bytes:
          description: Bytes to clients, seen with NAT only.
          type: int
          returned: always
        connections_per_second:
          description: Rate of connections.
          type: int
          returned: always
        in_packets_per_second:
          description: Rate of packets from clients.
          type: int
          returned: always
        out_packets_per_second:
          description: Rate of packets to clients.
          type: int
          returned: always
        in_bytes_per_second:
          description: Rate of bytes from clients.
          type: int
          returned: always
        out_bytes_per_second:
          description: Rate of bytes to clients.
          type: int
          returned: always
  sample:
    - address: 203.0.113.80
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
kernel_module:
  description: How the kernel has IPVS, V(loaded), V(builtin), V(loadable), V(missing), or V(unknown) if its list of modules cannot be read.
  returned: success
  type: str
ipvsadm:
  description: The path of C(ipvsadm). V(null) if it is not installed. Only M(lvs.ipvs.ipvs_saved) and M(lvs.ipvs.ipvs_keepalived) need it.
  returned: success
  type: str
  sample: /usr/sbin/ipvsadm
interpreter:
  description: The Python interpreter that runs the module.
  returned: success
  type: str
  sample: /usr/bin/python3
pyroute2_interpreter:
  description: The first of O(pyroute2_interpreters) that has pyroute2. V(null) if none has.
  returned: success
  type: str
  sample: /usr/bin/python3
nft:
  description: The path of C(nft). V(null) if it is not installed. M(lvs.ipvs.ipvs_firewall) needs it for marks and masquerading.
  returned: success
  type: str
firewall:
  description: Whether firewalld runs, or M(lvs.ipvs.ipvs_firewall) has set something up here.
  returned: success
  type: bool
keepalived:
  description: The path of C(keepalived). V(null) if it is not installed. M(lvs.ipvs.ipvs_keepalived) needs it.
  returned: success
  type: str
keepalived_managed:
  description: Whether M(lvs.ipvs.ipvs_keepalived) has set keepalived up here.
  returned: success
  type: bool
keepalived_checks:
  description: Whether it has set keepalived up to check servers.
  returned: success
  type: bool
keepalived_vrrp:
  description: Whether it has set keepalived up to move addresses.
  returned: success
  type: bool
lacks:
  description: Which of RV(kernel_module), RV(ipvsadm) and RV(pyroute2_interpreter) are not there.
  returned: success
  type: list
  elements: str
idle_servers:
  description: The servers that get no new connections because their weight is 0, as text for people.
  returned: with O(table)
  type: list
  elements: str
  sample: ["198.51.100.11:80 of tcp 203.0.113.80:80"]
timeouts:
  description: The connection timeouts in seconds. V(null) if IPVS is not loaded.
  returned: with O(table)
  type: dict
  contains:
    tcp:
      description: For established TCP connections.
      type: int
      returned: always
    tcp_fin:
      description: For TCP connections after a FIN.
      type: int
      returned: always
    udp:
      description: For UDP.
      type: int
      returned: always
sync_daemons:
  description: The sync daemons that run, with the options of M(lvs.ipvs.ipvs_sync_daemon).
  returned: with O(table)
  type: list
  elements: dict
  contains:
    role:
      description: V(master) or V(backup).
      type: str
      returned: always
    interface:
      description: The interface.
      type: str
      returned: always
    sync_id:
      description: The ID.
      type: int
      returned: always
    max_length:
      description: Length of sync messages in bytes.
      type: int
      returned: always
    multicast_group:
      description: The multicast address.
      type: str
      returned: always
    multicast_port:
      description: The UDP port.
      type: int
      returned: always
    multicast_ttl:
      description: The time to live.
      type: int
      returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs
from ansible_collections.lvs.ipvs.plugins.module_utils._table._info_tasks import read_info
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec=dict(
            statistics={"type": "bool", "default": False},
            table={"type": "bool", "default": True},
            pyroute2_interpreters={"type": "list", "elements": "str", "default": ["running"]},
            **_argspec.netns(),
            **_service_specs.service_id(),
        ),
        supports_check_mode=True,
    )
    run(module, read_info)


if __name__ == "__main__":
    main()
