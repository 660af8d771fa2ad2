#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_handover
short_description: Lower the VRRP priority of a director, so that another takes over, and restore it
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Writes the handover file that M(lvs.ipvs.ipvs_keepalived) has given keepalived by O(lvs.ipvs.ipvs_keepalived#module:failover.handover_file).
    While the priority is lowered, it is less by 100. The file stays as it is when keepalived reloads and when the director reboots.
  - The director that takes over does so after its preempt delay. Until then the present master serves all connections, so the addresses
    move within about 0.3 seconds.
  - The playbook C(lvs.ipvs.director_handover) does this with all checks on both sides. This module only sees the director that it runs on.
options:
  state:
    description:
      - V(lowered) reduces the priority by 100, V(restored) sets it back.
    type: str
    choices: [lowered, restored]
    required: true
  wait_for:
    description:
      - The VRRP state to wait for, of every instance, with all addresses present (V(master)) or gone (V(backup)).
      - If it is not reached within O(timeout), the task fails and the file gets its former content.
      - If omitted, the task only waits until keepalived has read the file.
    type: str
    choices: [master, backup]
  timeout:
    description:
      - The number of seconds to wait.
      - If omitted, the preempt delay of keepalived and 30 seconds.
    type: float
extends_documentation_fragment:
  - lvs.ipvs.attributes
requirements:
  - keepalived >= 2.2.7, with VRRP
  - root, usually by C(become)
seealso:
  - module: lvs.ipvs.ipvs_keepalived
  - module: lvs.ipvs.ipvs_keepalived_info
"""

EXAMPLES = r"""
- name: Hand over to the other director
  lvs.ipvs.ipvs_handover:
    state: lowered
    wait_for: backup

- name: Take back
  lvs.ipvs.ipvs_handover:
    state: restored
    wait_for: master
"""

RETURN = r"""
instances:
  description: The VRRP instances after the task, as M(lvs.ipvs.ipvs_keepalived_info) returns them.
  returned: success
  type: list
  elements: dict
master:
  description: Whether every VRRP instance is in the state V(master). V(null) if there is none.
  returned: success
  type: bool
handover:
  description: The handover file.
  returned: success
  type: dict
  contains:
    file:
      description: The file.
      type: str
      returned: always
    lowered:
      description: Whether it lowers the priority. In check mode, whether it did before.
      type: bool
      returned: always
  sample:
    file: /var/lib/ipvs-director/handover
    lowered: true
seconds:
  description: How long the task has waited. Most of it is the preempt delay of the director that takes over.
  returned: success
  type: float
  sample: 15.8
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived._handover_task import manage_handover
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["lowered", "restored"], "required": True},
            "wait_for": {"type": "str", "choices": ["master", "backup"]},
            "timeout": {"type": _argspec.FLOAT},
        },
        supports_check_mode=True,
    )
    run(module, manage_handover)


if __name__ == "__main__":
    main()
