# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page about a fleet shows."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_report
short_description: Describe a fleet for a report
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes the variables of directors and real servers after the roles have compared them, as the playbook C(report.yml) does, and
    returns what its page shows, in the order in which it shows it.
  - What P(lvs.ipvs.compare_directors#filter) finds wrong between directors counts as well.
  - A host without C(director_differences) or C(real_server_differences) has not answered.
positional: _input, real_servers
options:
  _input:
    description: The variables of each director.
    type: list
    elements: dictionary
    required: true
  real_servers:
    description: The variables of each real server.
    type: list
    elements: dictionary
    default: []
seealso:
  - plugin: lvs.ipvs.compare_directors
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Name the hosts that differ from the inventory, or do not answer
  ansible.builtin.debug:
    msg: "{{ (groups.directors | map('extract', hostvars) | lvs.ipvs.fleet_report).problems | map(attribute='name') }}"
"""

RETURN = r"""
_value:
  description: The fleet.
  type: dictionary
  contains:
    figures:
      description:
        - The sums, in order. Each has a C(name), which is V(directors), V(real_servers), V(problems), V(services), V(servers), V(active) (connections)
          or V(rate) (new connections a second); its C(value); a C(label), the words beside the value; and a C(note) about the servers with weight 0.
      type: list
      elements: dictionary
      returned: success
    problems:
      description:
        - The hosts that differ from the inventory or from another director, or have not answered.
        - Each has its C(name), C(what) is wrong in a few words, the C(text) of the error, and C(differences), one text each.
      type: list
      elements: dictionary
      returned: success
    vrrp:
      description: Whether any director has VRRP.
      type: bool
      returned: success
    directors:
      description:
        - The directors. Each has its C(name), C(answered), C(differences), and C(state) in words.
        - If it has answered, it also has C(vrrp) (C(state) and C(note), or V(null)), C(addresses), the sums C(servers), C(active) and C(rate),
          C(about) (its kernel and its VRRP in a sentence), C(drained), and C(services) with their C(servers), in words and numbers.
      type: list
      elements: dictionary
      returned: success
    real_servers:
      description:
        - The real servers. Each has its C(name), C(answered), C(differences), and C(state) in words; if it has answered, also C(places) (the number of
          services it is in) and C(addresses).
      type: list
      elements: dictionary
      returned: success
"""

from ansible_collections.lvs.ipvs.plugins.filter.compare_directors import compare_directors
from ansible_collections.lvs.ipvs.plugins.plugin_utils import _report


def fleet_report(directors, real_servers=()):
    """What there is to show of a fleet, as a dict."""
    directors = list(directors)
    return _report.fleet(directors, compare_directors(directors), list(real_servers))


class FilterModule:
    """A fleet for a report."""

    def filters(self):
        return {"fleet_report": fleet_report}
