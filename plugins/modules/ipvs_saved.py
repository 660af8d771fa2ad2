#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_saved
short_description: Save the IPVS table so that it is restored at boot
version_added: 1.0.0
description:
  - Writes the kernel's table to the file that is restored at boot, with thresholds, timeouts, sync daemons, and the weights as they are
    now. A server that is drained stays drained after a reboot.
  - The distribution's C(ipvsadm.service) restores it. If there is none, the unit C(ipvs-table.service) does.
    The unit is enabled. It is never started, stopped or restarted, because that may flush the table.
  - The unit is protected. A restart, by hand or by a package upgrade, does not change a table that is in use.
  - Services and servers of other programs that C(ipvsadm) does not accept are left out, with a warning. At such a line it stops.
  - The saved table is also the record of the services that were listed, see O(lvs.ipvs.ipvs_table#module:prune_saved).
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.services
options:
  services:
    description:
      - Save only these services, those of them that the kernel has, as it has them. The address, port and protocol or the firewall mark
        of each count. Everything else is ignored, so the list that M(lvs.ipvs.ipvs_table) takes goes in unchanged.
      - If omitted, all services are saved.
    type: list
    elements: dict
  timeouts:
    description:
      - Whether to save the connection timeouts.
    type: bool
    default: true
  sync_daemons:
    description:
      - Whether to save the sync daemons.
    type: bool
    default: true
  path:
    description:
      - The file to write.
      - The default is the file that the distribution's service reads, C(/etc/ipvsadm.rules) on Debian and Ubuntu and
        C(/etc/sysconfig/ipvsadm) on Red Hat Enterprise Linux, Fedora and Amazon Linux. Any other file is restored by
        C(ipvs-table.service). Its default is C(/etc/ipvsadm.rules).
      - Rules in the file that another program wrote are replaced, with a warning. Use C(--diff) to see them.
    type: path
  state:
    description:
      - V(present) saves the table and enables restoring it at boot.
      - V(absent) empties a saved table that this module wrote, so that nothing is restored at boot. The table in the kernel stays. A file
        that another program wrote stays, too.
    type: str
    choices: [present, absent]
    default: present
requirements:
  - C(ipvsadm), which restores the table at boot
  - pyroute2 >= 0.6 (Debian, Ubuntu and Fedora package C(python3-pyroute2)), if the kernel has IPVS loaded
  - CAP_NET_ADMIN in the initial user namespace, usually by C(become)
  - systemd 243 or newer
seealso:
  - module: lvs.ipvs.ipvs_table
  - module: lvs.ipvs.ipvs_modules
"""

EXAMPLES = r"""
- name: Save the table as it is
  lvs.ipvs.ipvs_saved:

- name: Save one service, and let the timeouts be what the kernel starts with
  lvs.ipvs.ipvs_saved:
    services:
      - address: 203.0.113.80
        port: 80
    timeouts: false

- name: Restore nothing at boot
  lvs.ipvs.ipvs_saved:
    state: absent
"""

RETURN = r"""
file:
  description: The file that is restored at boot.
  returned: success
  type: str
  sample: /etc/ipvsadm.rules
unit:
  description: The systemd unit that restores it.
  returned: success
  type: str
  sample: ipvsadm.service
services:
  description: The number of services that are saved.
  returned: success
  type: int
  sample: 2
differences:
  description: What was not in sync, one text for each file and unit. Empty if nothing changed.
  returned: success
  type: list
  elements: str
  sample: ["/etc/ipvsadm.rules is not the table as it is now: after a reboot another one comes back"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs
from ansible_collections.lvs.ipvs.plugins.module_utils._table._saved_tasks import manage_saved
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec=dict(
            services=_service_specs.services(),
            timeouts={"type": "bool", "default": True},
            sync_daemons={"type": "bool", "default": True},
            path={"type": "path"},
            **_argspec.state("present", "absent"),
        ),
        supports_check_mode=True,
    )
    run(module, manage_saved)


if __name__ == "__main__":
    main()
