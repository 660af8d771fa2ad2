#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_sysctls
short_description: Manage the kernel settings of a director, now and at boot
version_added: 1.0.0
description:
  - Sets kernel settings (sysctls) now, and writes them to a file of C(sysctl.d) so that they are set at every boot.
  - The value that a setting had before is recorded in that file. It is restored when the setting is no longer listed.
  - All settings are validated before anything is changed. If the kernel refuses a value, everything is rolled back.
  - Where another file of C(sysctl.d), which the boot reads later, has another value, a warning names it.
  - Settings of IPVS exist only after its modules are loaded, so use M(lvs.ipvs.ipvs_modules) first.
  - Needs nothing on the node but Python.
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.services
options:
  settings:
    description:
      - The settings, by name, with their values. Booleans become V(1) and V(0).
      - The words of a name are separated by dots, or by slashes. With dots, a slash stands for a dot within a word, as in
        C(net.ipv4.conf.eth0/100.rp_filter) for the interface C(eth0.100); with slashes it is the other way round.
      - A V(*) in a name stands for anything within one word, as in C(net.ipv4.conf.*.rp_filter). A setting listed by its name wins over
        one with a V(*).
      - A name that no kernel has is an error that names the most similar one. A setting that this kernel does not have is skipped with a warning.
      - In check mode on a node that has not loaded IPVS yet, the settings under C(net.ipv4.vs) are taken to come with it.
    type: dict
  services:
    description:
      - A list of virtual services, for the settings that a director with these services needs. With IPv4 servers behind C(nat),
        this is C(net.ipv4.ip_forward=1), with IPv6 servers C(net.ipv6.conf.all.forwarding=1).
      - O(settings) wins over them.
    type: list
    elements: dict
  path:
    description:
      - The file of C(sysctl.d) to write. The module owns it as a whole. A file that holds what others wrote is an error.
    type: path
    default: /etc/sysctl.d/60-ipvs-director.conf
  state:
    description:
      - V(present) sets what is listed, and restores what the file has and the list does not.
      - V(absent) restores everything and deletes the file.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: lvs.ipvs.ipvs_modules
  - module: ansible.posix.sysctl
    description: Manages a single setting.
"""

EXAMPLES = r"""
- name: Set what the connection table needs
  lvs.ipvs.ipvs_sysctls:
    settings:
      net.ipv4.vs.expire_nodest_conn: 1
      net.ipv4.vs.conn_reuse_mode: 1

- name: Set what a director with servers behind NAT needs, and keep redirects off on all interfaces
  lvs.ipvs.ipvs_sysctls:
    services:
      - address: 203.0.113.80
        port: 80
        servers:
          - address: 198.51.100.11
            forward_method: nat
    settings:
      net.ipv4.conf.*.send_redirects: false

- name: Put back what was there before
  lvs.ipvs.ipvs_sysctls:
    state: absent
"""

RETURN = r"""
settings:
  description: The requested settings as they are now (in check mode, as they would be), each V(*) resolved.
  returned: success
  type: dict
  sample: {"net.ipv4.ip_forward": "1", "net.ipv4.vs.conn_reuse_mode": "1"}
differences:
  description: What was not in sync, one text for each setting and file. Empty if nothing changed.
  returned: success
  type: list
  elements: str
  sample: ["kernel setting net.ipv4.ip_forward is 0, not 1", "/etc/sysctl.d/60-ipvs-director.conf is missing"]
file:
  description: The file from which the settings are set at boot.
  returned: success
  type: str
  sample: /etc/sysctl.d/60-ipvs-director.conf
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs
from ansible_collections.lvs.ipvs.plugins.module_utils._table._sysctl_tasks import manage_sysctls
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec=dict(
            settings={"type": "dict"},
            services=_service_specs.services(),
            path={"type": "path", "default": "/etc/sysctl.d/60-ipvs-director.conf"},
            **_argspec.state("present", "absent"),
        ),
        supports_check_mode=True,
    )
    run(module, manage_sysctls)


if __name__ == "__main__":
    main()
