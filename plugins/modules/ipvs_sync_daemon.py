#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_sync_daemon
short_description: Manage the connection synchronization daemons of IPVS
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Starts, changes or stops the kernel's sync daemon of one role. A master tells its connections by multicast, and a backup takes
    them in, so that they live on when another director takes over.
  - A daemon is changed by stopping it and starting it anew; it does not run for a moment in between. An option that is left out
    keeps the value that the running daemon has.
  - Before anything is stopped, in check mode too, the task checks that the interface exists and that the kernel can use the group and
    the port on it. If the daemon still does not start, the one that ran before is started again, and the error says so.
options:
  role:
    description:
      - The daemon's role. A director may run both at the same time.
    type: str
    required: true
    choices: [master, backup]
  interface:
    description:
      - The interface for the multicast. Required if the daemon does not run yet.
      - A master needs an interface that is up. With an IPv4 group it should have an IPv4 address; the task warns if it has none.
    type: str
  sync_id:
    description:
      - Masters and backups with the same ID belong together, V(0) to V(255). V(0), the kernel's default, takes from all.
    type: int
  max_length:
    description:
      - Length of sync messages, in bytes of UDP payload. If omitted, the kernel derives it from the MTU of the interface.
      - The kernel raises it to V(1024) for a backup, and lowers it to what fits into a packet; that is what is compared. It takes a
        length above the MTU, and sends such messages in fragments.
    type: int
  multicast_group:
    description:
      - The multicast address, IPv4 or IPv6. The kernel's default is V(224.0.0.81).
      - A master with an IPv6 group needs an interface with an IPv6 address.
    type: str
  multicast_port:
    description:
      - The UDP port. The kernel's default is V(8848).
    type: int
  multicast_ttl:
    description:
      - The time to live, V(1) to V(255). The kernel's default is V(1).
    type: int
  state:
    description:
      - V(present) keeps the daemon running. V(absent) stops it.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.attributes.table
"""

EXAMPLES = r"""
- name: Tell connections to the other director
  lvs.ipvs.ipvs_sync_daemon:
    role: master
    interface: eth1
    sync_id: 7

- name: Take connections in from the other director
  lvs.ipvs.ipvs_sync_daemon:
    role: backup
    interface: eth1
    sync_id: 7

- name: No longer
  lvs.ipvs.ipvs_sync_daemon:
    role: backup
    state: absent
"""

RETURN = r"""
sync_daemon:
  description: The running daemon (in check mode, as it would run). V(null) if it does not run.
  returned: success
  type: dict
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
      description: Length of sync messages in bytes. V(null) in check mode if the kernel would choose it.
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
  sample:
    role: master
    interface: eth1
    sync_id: 7
    max_length: 1472
    multicast_group: 224.0.0.81
    multicast_port: 8848
    multicast_ttl: 1
commands:
  description: The changes that the task made (in check mode, would make), as C(ipvsadm) command lines. Empty if nothing changed.
  returned: success
  type: list
  elements: str
  sample:
    - ipvsadm --start-daemon master --mcast-interface eth1 --syncid 7
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table._settings_tasks import manage_sync_daemon
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec=dict(
            role={"type": "str", "required": True, "choices": ["master", "backup"]},
            interface={"type": "str"},
            sync_id={"type": _argspec.INT},
            max_length={"type": _argspec.INT},
            multicast_group={"type": "str"},
            multicast_port={"type": _argspec.INT},
            multicast_ttl={"type": _argspec.INT},
            **_argspec.netns(),
            **_argspec.state("present", "absent"),
        ),
        supports_check_mode=True,
    )
    run(module, manage_sync_daemon)


if __name__ == "__main__":
    main()
