#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_modules
short_description: Load the kernel modules of IPVS, now and at boot
version_added: 1.0.0
description:
  - Loads kernel modules now, and lists them in a file of C(modules-load.d) so that they are loaded at every boot.
  - All modules are looked up before anything is changed. If the kernel lacks one, the task fails, names the module, the kernel
    and the package that usually has it, and changes nothing.
  - In an image build, nothing is loaded and the modules of the kernel that the image will boot are looked up.
  - Needs nothing on the node but C(modprobe).
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.services
options:
  names:
    description:
      - Kernel modules. C(-) and C(_) in a name mean the same.
      - An entry may be a list of names for the same thing. The first one that the kernel has is taken.
    type: list
    elements: raw
  schedulers:
    description:
      - Schedulers of IPVS by name, as in O(schedulers=[rr]) for the module C(ip_vs_rr).
    type: list
    elements: str
  services:
    description:
      - A list of virtual services. Adds the modules that they need. These are C(ip_vs), connection tracking, and the modules of their
        schedulers and persistence engines. A service without C(scheduler) counts as one with V(wlc).
    type: list
    elements: dict
  options:
    description:
      - Options of kernel modules. For each module a dictionary of its options with their values. They are written to
        O(options_path) before modules are loaded.
      - Another value of the same option in that file is replaced. All other options and lines stay.
      - An option that the module does not have is an error that names the most similar one.
      - If a module is loaded with another value already, a warning says that the new value takes effect when it is loaded the next time.
      - With O(state=absent), these options are taken out of the file, whatever value they have there.
    type: dict
  options_path:
    description:
      - The file of C(modprobe.d) for O(options). Other lines of that file stay.
      - With O(state=absent), a file that this module has made is removed once it holds nothing any more, unless it is a symbolic link.
    type: path
    default: /etc/modprobe.d/ipvs.conf
  state:
    description:
      - V(present) loads the modules and lists them in O(path).
      - V(absent) removes them from memory and from O(path). For an entry with several names, this goes for all of them.
        A module that is in use is an error that names its users. A module that is part of the kernel stays.
        No other module is removed, not even one that is no longer needed.
    type: str
    choices: [present, absent]
    default: present
  load:
    description:
      - Whether to load the modules now, or to remove them from memory with O(state=absent).
      - Set this to V(false) in an image build.
    type: bool
    default: true
  persist:
    description:
      - Whether to list the modules in O(path), or to remove them from it with O(state=absent).
      - With this and O(load) both V(false), the task only checks that the kernel has the modules.
    type: bool
    default: true
  path:
    description:
      - The file of C(modules-load.d) to list the modules in. Other lines of that file stay.
      - A symbolic link stays, and the file that it leads to is written. A link to something else, such as the C(/dev/null) that masks a
        file of C(modules-load.d), is an error.
      - If another name of the same entry is listed and the kernel lacks that module, the name is replaced.
      - With O(state=absent), a file that this module has made is removed once it lists nothing any more, unless O(path) is a symbolic link.
    type: path
    default: /etc/modules-load.d/ipvs.conf
  kernel:
    description:
      - The release of the kernel that must have the modules, as C(uname -r) prints it on a machine that runs it,
        and as C(/lib/modules) has it on the node. The default is the running kernel.
      - With another kernel than the running one, O(load) must be V(false).
    type: str
  netns:
    description:
      - Kernel modules belong to all network namespaces, so this changes nothing.
        It is accepted because the modules that manage the table have it.
    type: str
seealso:
  - module: community.general.modprobe
    description: Loads a single module with parameters.
"""

EXAMPLES = r"""
- name: Load IPVS with the schedulers in use, now and at boot
  lvs.ipvs.ipvs_modules:
    names: [ip_vs]
    schedulers: [rr, wlc]

- name: Load connection tracking under the name that this kernel has for it
  lvs.ipvs.ipvs_modules:
    names:
      - [nf_conntrack, nf_conntrack_ipv4]

- name: Prepare an image for the kernel that it will boot
  lvs.ipvs.ipvs_modules:
    names: [ip_vs, nf_conntrack]
    schedulers: [rr]
    kernel: 6.1.0-44-amd64
    load: false

- name: Check that the kernel has what is needed, and change nothing
  lvs.ipvs.ipvs_modules:
    schedulers: [mh]
    load: false
    persist: false

- name: Load what a list of services needs, with a larger connection table
  lvs.ipvs.ipvs_modules:
    services:
      - address: 203.0.113.80
        port: 80
        scheduler: wrr
      - address: 203.0.113.80
        port: 5060
        protocol: udp
        scheduler: rr
        persistence_timeout: 300
        persistence_engine: sip
    options:
      ip_vs:
        conn_tab_bits: 18

- name: Take the schedulers away again
  lvs.ipvs.ipvs_modules:
    schedulers: [rr, wlc]
    state: absent
"""

RETURN = r"""
modules:
  description: The modules as they are now (in check mode, as they would be), in the order of the options.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The module's name; of several alternatives, the one that was taken.
      type: str
      sample: ip_vs_rr
    state:
      description: >-
        V(loaded); V(builtin), part of the kernel; V(loadable); V(missing), only with O(state=absent);
        or V(unknown) where the kernel's module lists can't be read, as in a container.
      type: str
      sample: loaded
    persistent:
      description: Whether O(path) lists it.
      type: bool
      sample: true
  sample: [{"name": "ip_vs_rr", "state": "loaded", "persistent": true}]
loaded:
  description: The modules that were loaded, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [ip_vs_rr]
unloaded:
  description: The modules that were removed from memory, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: []
file:
  description: The file that lists the modules, O(path).
  returned: success
  type: str
  sample: /etc/modules-load.d/ipvs.conf
differences:
  description: What was not in sync, one text for each module and option. Empty if nothing changed.
  returned: success
  type: list
  elements: str
  sample: ["kernel module ip_vs_rr is not loaded", "kernel module ip_vs_rr is not loaded at boot"]
commands:
  description: What was run, or would be in check mode, as command lines.
  returned: success
  type: list
  elements: str
  sample: ["modprobe -a ip_vs_rr"]
missing:
  description: The modules that the kernel lacks.
  returned: failure, when there are such
  type: list
  elements: str
  sample: [ip_vs_twos]
not_loaded:
  description: The modules that C(modprobe) did not load.
  returned: failure of C(modprobe)
  type: list
  elements: str
  sample: [ip_vs_rr]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs
from ansible_collections.lvs.ipvs.plugins.module_utils._table._module_tasks import manage_modules
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "raw"},
            "schedulers": {"type": "list", "elements": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "load": {"type": "bool", "default": True},
            "persist": {"type": "bool", "default": True},
            "path": {"type": "path", "default": "/etc/modules-load.d/ipvs.conf"},
            "services": _service_specs.services(),
            "options": {"type": "dict"},
            "options_path": {"type": "path", "default": "/etc/modprobe.d/ipvs.conf"},
            "kernel": {"type": "str"},
            "netns": {"type": "str"},
        },
        required_one_of=[("names", "schedulers", "services", "options")],
        supports_check_mode=True,
    )
    run(module, manage_modules)


if __name__ == "__main__":
    main()
