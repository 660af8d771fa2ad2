#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_timeouts
short_description: Manage the connection timeouts of IPVS
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Sets how long IPVS remembers idle connections.
  - A timeout that you omit, or set to V(0), stays as it is, as with C(ipvsadm --set).
options:
  tcp:
    description:
      - Seconds for established TCP connections. The kernel's default is V(900).
    type: int
  tcp_fin:
    description:
      - Seconds for TCP connections after a FIN. The kernel's default is V(120).
    type: int
  udp:
    description:
      - Seconds for UDP. The kernel's default is V(300).
    type: int
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.attributes.table
"""

EXAMPLES = r"""
- name: Forget idle TCP connections after an hour, leave the other timeouts as they are
  lvs.ipvs.ipvs_timeouts:
    tcp: 3600
"""

RETURN = r"""
timeouts:
  description: The timeouts in seconds as they are now (in check mode, as they would be).
  returned: success
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
  sample:
    tcp: 3600
    tcp_fin: 120
    udp: 300
commands:
  description: The changes that the task made (in check mode, would make), as C(ipvsadm) command lines. Empty if nothing changed.
  returned: success
  type: list
  elements: str
  sample:
    - ipvsadm --set 3600 120 300
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table._settings_tasks import manage_timeouts
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec=dict(
            tcp={"type": _argspec.INT},
            tcp_fin={"type": _argspec.INT},
            udp={"type": _argspec.INT},
            **_argspec.netns(),
        ),
        required_one_of=[("tcp", "tcp_fin", "udp")],
        supports_check_mode=True,
    )
    run(module, manage_timeouts)


if __name__ == "__main__":
    main()
