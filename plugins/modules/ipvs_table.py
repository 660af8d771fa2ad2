#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_table
short_description: Manage many IPVS virtual services in one task
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Creates, updates or deletes many virtual services with their real servers, all or nothing.
  - Options that you set are enforced; options that you omit are left unchanged. With O(prune), services that are not listed are deleted.
  - Services and servers are created and updated before any is deleted, and none is deleted and created again, so connections survive.
options:
  services:
    description:
      - The virtual services, each with its real servers. What RV(lvs.ipvs.ipvs_info#module:services) holds is valid input.
      - Servers and services that are not listed stay unchanged, except with O(purge_servers), O(prune) and O(prune_saved).
      - Exactly one of O(services) and O(rules) is required.
  rules:
    description:
      - The services as C(ipvsadm) rule text, as C(ipvsadm -S -n) writes and C(ipvsadm -R) reads it, instead of O(services).
      - Addresses must be numbers. An option that a rule leaves out means its default, as with C(ipvsadm).
    type: str
  purge_servers:
    description:
      - Whether servers of listed services that are not listed are removed. The servers of a service that is listed without
        C(servers) are left alone.
      - With O(state=absent) it has no effect.
    type: bool
    default: false
  prune:
    description:
      - Whether services that are not listed are deleted, with all their servers. For servers of listed services see
        O(purge_servers).
      - If no service is listed, the task fails without O(prune_force), because an empty list is usually a mistake.
      - With O(state=absent) it has no effect.
      - Without O(prune_scope) the task refuses to remove services if another program keeps services in the same network namespace, and
        names it. These are kube-proxy (an interface C(kube-ipvs0)), kube-router with its service proxy (or an interface
        C(kube-dummy-if)), C(ldirectord), and C(keepalived) with a C(virtual_server) in its configuration.
      - A C(keepalived) that only runs VRRP is no obstacle. If its configuration cannot be read, it counts as one.
    type: bool
    default: false
  prune_scope:
    description:
      - The services that O(prune) may delete. Other services stay.
      - With C(addresses) or C(protocols), a service identified by address must match each of them that is given. Services named by
        a firewall mark must match C(fwmarks).
    type: dict
    suboptions:
      addresses:
        description:
          - Addresses or networks, such as V(203.0.113.0/24) or V(2001:db8::/64).
        type: list
        elements: str
      fwmarks:
        description:
          - Firewall marks, or ranges of them such as V(100-199).
        type: list
        elements: str
      protocols:
        description:
          - Protocols.
        type: list
        elements: str
        choices: [tcp, udp, sctp]
  prune_saved:
    description:
      - Whether services are removed that are not listed and that the table saved by M(lvs.ipvs.ipvs_saved) holds. These are the services
        that were listed when it was written, so this removes what was taken out of the list since, and nothing else.
      - A saved table that another program wrote does not count. Nothing is removed because of it.
      - With O(state=absent), these services are removed together with the listed ones.
      - If no service is listed, the task fails without O(allow_empty).
    type: bool
    default: false
  prune_force:
    description:
      - Prune without O(prune_scope) even where others keep services here, and prune even where no service is listed.
    type: bool
    default: false
  allow_empty:
    description:
      - Whether O(prune_saved) may remove services where no service is listed.
    type: bool
    default: false
  postpone_removals:
    description:
      - Whether to do everything but remove servers and services, and to return the removals in RV(postponed). A later task with the same
        options and without this one does them.
      - Use it where something else has to happen in between, for example where virtual addresses come and go.
      - In check mode nothing is postponed. The task reports all changes, removals included.
    type: bool
    default: false
  drain_timeout:
    description:
      - The number of seconds to wait, at most, until the servers that are to be removed have no active connections left. They get weight 0
        first, all of them, after everything new is there. Servers of services that are to be removed count, too.
      - Then they are removed, whether they still have connections or not. A warning says how many.
      - If omitted, servers are removed at once.
    type: int
  rollback:
    description:
      - Whether completed operations are rolled back when one fails. Otherwise they stay, and the error lists them.
    type: bool
    default: true
  state:
    description:
      - V(present) creates or updates what is listed. V(absent) deletes the listed services with all their servers.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.attributes.table
  - lvs.ipvs.attributes.keepalived
  - lvs.ipvs.services
seealso:
  - module: lvs.ipvs.ipvs_service
  - module: lvs.ipvs.ipvs_info
"""

EXAMPLES = r"""
- name: The table of this director, and nothing else within its addresses
  lvs.ipvs.ipvs_table:
    services:
      - address: 203.0.113.80
        port: 80
        scheduler: wrr
        servers:
          - address: 198.51.100.11
            forward_method: nat
            weight: 3
          - address: 198.51.100.12
            forward_method: nat
      - address: 203.0.113.80
        port: 53
        protocol: udp
        servers:
          - address: 198.51.100.13
            forward_method: nat
    purge_servers: true
    prune: true
    prune_scope:
      addresses:
        - 203.0.113.0/24

- name: Drain and remove the servers that are no longer listed, for half a minute at most
  lvs.ipvs.ipvs_table:
    services:
      - address: 203.0.113.80
        port: 80
        servers:
          - address: 198.51.100.11
    purge_servers: true
    drain_timeout: 30

- name: The same from a file of ipvsadm rules
  lvs.ipvs.ipvs_table:
    rules: "{{ lookup('ansible.builtin.file', 'ipvsadm.rules') }}"

- name: Give back what was read before
  lvs.ipvs.ipvs_table:
    services: "{{ before.services }}"
    purge_servers: true
    prune: true
  vars:
    before: "{{ lookup('ansible.builtin.file', 'before.json') | from_json }}"
"""

RETURN = r"""
services:
  description:
    - The listed services as they are now (in check mode, as they would be), each with all its real servers, in the form that
      RV(lvs.ipvs.ipvs_info#module:services) has.
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
  sample:
    - address: 203.0.113.80
      port: 80
      protocol: tcp
      scheduler: wrr
      scheduler_flags: []
      persistence_timeout: 0
      persistence_netmask: "32"
      persistence_engine: ""
      one_packet: false
      servers:
        - address: 198.51.100.11
          port: 80
          forward_method: nat
          weight: 3
          upper_threshold: 0
          lower_threshold: 0
not_undone:
  description: If the rollback failed in part, the commands that remain to be run, each with the reason.
  returned: when undoing failed in part
  type: list
  elements: str
postponed:
  description: The removals that O(postpone_removals) left undone, as C(ipvsadm) command lines.
  returned: success
  type: list
  elements: str
  sample: ["ipvsadm -d -t 203.0.113.80:80 -r 198.51.100.13:80"]
leaving:
  description: What was removed, was postponed, or in check mode would be removed.
  returned: success
  type: dict
  contains:
    services:
      description: What names each service.
      type: list
      elements: dict
      returned: always
    servers:
      description: What names each server, as options of M(lvs.ipvs.ipvs_server). Servers of the services that go are among them.
      type: list
      elements: dict
      returned: always
  sample:
    services: []
    servers:
      - service_address: 203.0.113.80
        service_port: 80
        service_protocol: tcp
        address: 198.51.100.13
        port: 80
commands:
  description: The changes that the task made (in check mode, would make), as C(ipvsadm) command lines. Empty if nothing changed.
  returned: success, and when an operation failed with O(rollback=false)
  type: list
  elements: str
  sample:
    - ipvsadm -A -t 203.0.113.80:80 -s wrr
    - ipvsadm -a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 3
unlisted:
  description:
    - The servers that listed services have, that are not listed, and that stay because O(purge_servers) is V(false). They go on getting
      connections.
  returned: success
  type: list
  elements: dict
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs
from ansible_collections.lvs.ipvs.plugins.module_utils._table._table_tasks import manage_table
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._argspec import DICT, INT
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec=dict(
            services=_service_specs.services(),
            rules={"type": "str"},
            purge_servers={"type": "bool", "default": False},
            prune={"type": "bool", "default": False},
            prune_scope={
                "type": DICT,
                "options": {
                    "addresses": {"type": "list", "elements": "str"},
                    "fwmarks": {"type": "list", "elements": "str"},
                    "protocols": {"type": "list", "elements": "str", "choices": ["tcp", "udp", "sctp"]},
                },
            },
            prune_saved={"type": "bool", "default": False},
            prune_force={"type": "bool", "default": False},
            allow_empty={"type": "bool", "default": False},
            postpone_removals={"type": "bool", "default": False},
            drain_timeout={"type": INT},
            rollback={"type": "bool", "default": True},
            **_argspec.netns(),
            **_argspec.state("present", "absent"),
        ),
        mutually_exclusive=[("services", "rules")],
        required_one_of=[("services", "rules")],
        supports_check_mode=True,
    )
    run(module, manage_table)


if __name__ == "__main__":
    main()
