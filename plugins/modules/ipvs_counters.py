#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_counters
short_description: Set the counters of IPVS to zero
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Sets the packet, byte and connection counters of virtual services and their real servers to zero.
  - O(address) and O(port), or O(fwmark), name one service. Without them, O(protocol) and O(family) select services, and with none
    of these options the counters of all services are set to zero.
  - If they are zero already, nothing changes. Under traffic they are not, so a second run changes them again.
options:
  state:
    description:
      - V(zeroed) is the only state.
    type: str
    choices: [zeroed]
    default: zeroed
attributes:
  idempotent:
    support: partial
    details: Traffic between two runs makes the counters count again.
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.attributes.table
  - lvs.ipvs.service.identity
notes:
  - For a single service, an omitted O(protocol) means V(tcp), and an omitted O(family) of a firewall mark means V(ipv4).
    Without a single service, what you omit does not restrict the selection.
  - The kernel updates its counters every two seconds, so packets from just before the task may be counted just after it.
seealso:
  - module: lvs.ipvs.ipvs_info
"""

EXAMPLES = r"""
- name: Reset the counters of one service
  lvs.ipvs.ipvs_counters:
    address: 203.0.113.80
    port: 80

- name: Reset the counters of all UDP services
  lvs.ipvs.ipvs_counters:
    protocol: udp

- name: Reset the counters of all services
  lvs.ipvs.ipvs_counters:
    state: zeroed
"""

RETURN = r"""
commands:
  description: The changes that the task made (in check mode, would make), as C(ipvsadm) command lines. Empty if nothing changed.
  returned: success
  type: list
  elements: str
  sample:
    - ipvsadm -Z -t 203.0.113.80:80
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs
from ansible_collections.lvs.ipvs.plugins.module_utils._table._info_tasks import zero_counters
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    rules = _service_specs.service_id_rules()
    del rules["required_one_of"]
    module = AnsibleModule(
        argument_spec=dict(
            **_argspec.netns(),
            **_service_specs.service_id(),
            **_argspec.state("zeroed"),
        ),
        supports_check_mode=True,
        **rules,
    )
    run(module, zero_counters)


if __name__ == "__main__":
    main()
