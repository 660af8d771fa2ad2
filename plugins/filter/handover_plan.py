# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can take over from the master, and whose priority has to change for that."""

from __future__ import annotations

DOCUMENTATION = r"""
name: handover_plan
short_description: Plan how one director hands over to another
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes the variables of all directors, and returns why a handover is not possible, or which directors change their priority for it.
    The playbook C(lvs.ipvs.director_handover) carries it out with M(lvs.ipvs.ipvs_handover).
  - A director can take over if all its VRRP instances are in the state backup, its table is the one of the master, and its health checks
    find what those of the master find.
  - Directors that move the same addresses are one group.
positional: _input
options:
  _input:
    description:
      - The variables of each director, with what M(lvs.ipvs.ipvs_keepalived_info) has returned in C(director_keepalived) and what
        M(lvs.ipvs.ipvs_info) has returned in C(director_seen). A director without them has not answered.
    type: list
    elements: dictionary
    required: true
  to:
    description:
      - The director that is to become the master.
      - If omitted, it is the one with the highest priority, or, if that is the master already, the best of the others.
    type: string
    default: ''
  away_from:
    description: The director that is no longer to be the master. If it is not, there is nothing to do.
    type: string
    default: ''
seealso:
  - module: lvs.ipvs.ipvs_handover
  - plugin: lvs.ipvs.compare_directors
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Refuse if no other director can take over
  ansible.builtin.fail:
    msg: "{{ plan.problems }}"
  when: plan.problems | length > 0
  vars:
    plan: "{{ groups.directors | map('extract', hostvars) | lvs.ipvs.handover_plan }}"
"""

RETURN = r"""
_value:
  description: The plan.
  type: dictionary
  contains:
    problems:
      description: Why it is not possible, one text each. If there are any, the rest is empty.
      type: list
      elements: str
      returned: success
    master:
      description: The director that is the master now.
      type: str
      returned: success
    to:
      description: The director that is to be the master.
      type: str
      returned: success
    lower:
      description: The backups whose priority is to be lowered before all else.
      type: list
      elements: str
      returned: success
    restore_target:
      description: Whether the priority of RV(_value.to) is to be restored.
      type: bool
      returned: success
    lower_master:
      description: Whether the priority of RV(_value.master) is to be lowered then.
      type: bool
      returned: success
    restore:
      description: The directors whose priority is to be restored when RV(_value.to) is the master.
      type: list
      elements: str
      returned: success
    lowered:
      description: The directors whose priority is lowered now.
      type: list
      elements: str
      returned: success
    changes:
      description: All directors whose priority changes. Empty if there is nothing to do.
      type: list
      elements: str
      returned: success
"""

from ansible_collections.lvs.ipvs.plugins.plugin_utils import _directors, _handover


def handover_plan(hosts, to="", away_from=""):
    """The plan of a handover, as a dict."""
    return dict(_handover.plan(_directors.directors(hosts), to, away_from)._asdict())


class FilterModule:
    """How one director hands over to another."""

    def filters(self):
        return {"handover_plan": handover_plan}
