# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel settings that a node does not have."""

from __future__ import annotations

DOCUMENTATION = r"""
name: sysctl_problems
short_description: Find mistyped kernel settings
version_added: 0.1.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes the kernel settings that a node does not have, and returns a message for each that is mistyped.
  - Under C(net.ipv4.vs) that is every name that no kernel has. Elsewhere it is a name that is almost the same as one that is there.
  - The others may exist in another kernel. They are named in a warning if O(kernel) is given.
positional: _input
options:
  _input:
    description:
      - The settings that the node does not have. The value of each holds C(place), the index of the first word that is not there,
        and C(names), the names that are there in its place.
    type: dictionary
    required: true
  kernel:
    description: The release of the node's kernel, for the warning.
    type: string
    default: ''
"""

EXAMPLES = r"""
- name: Refuse a mistyped setting
  ansible.builtin.assert:
    that: problems | length == 0
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    # ["net.ipv4.vs.conn_reuse_mod: no kernel has this setting; did you mean net.ipv4.vs.conn_reuse_mode?"]
    problems: "{{ {'net.ipv4.vs.conn_reuse_mod': {'place': 3, 'names': []}} | lvs.ipvs.sysctl_problems }}"
"""

RETURN = r"""
_value:
  description: One message for each mistyped setting, with the nearest one that exists.
  type: list
  elements: string
"""

from ansible.utils.display import Display

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _sysctls


def sysctl_problems(lacking, kernel=""):
    """A text for each mistyped key; warns of the others where the kernel is named."""
    meant = {key: _sysctls.meant(key, found["place"], found["names"]) for key, found in lacking.items()}
    others = ", ".join(str(key) for key, right in meant.items() if right is None)
    if kernel and others:
        Display().warning("The kernel %s does not have these settings, they are skipped: %s" % (kernel, others))
    return ["%s: no kernel has this setting; did you mean %s?" % (key, right) for key, right in meant.items() if right]


class FilterModule:
    """Mistyped kernel settings."""

    def filters(self):
        return {"sysctl_problems": sysctl_problems}
