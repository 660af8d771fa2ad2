# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directors beside one another: VRRP, tables, health."""

from __future__ import annotations

DOCUMENTATION = r"""
name: compare_directors
short_description: Compare directors with one another
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes the variables of all directors, as the playbooks C(verify.yml) and C(report.yml) do, and returns what is wrong between
    them, and what an operator should know about each.
  - Wrong are a group of directors without a master or with two, a VRRP instance in another state than the others of its director, a
    director with C(director_failover=vrrp), and not C(director_state=absent), that has no VRRP instance, and tables that differ within a group.
  - A weight that a health check has set is not wrong in itself, but it is if two directors disagree about it.
  - Directors that move the same addresses are one group.
positional: _input
options:
  _input:
    description:
      - The variables of each director, with what M(lvs.ipvs.ipvs_keepalived_info) has returned in C(director_keepalived) and what
        M(lvs.ipvs.ipvs_info) has returned in C(director_seen). A director without them has not answered, and is left out of the result.
    type: list
    elements: dictionary
    required: true
seealso:
  - plugin: lvs.ipvs.handover_plan
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Name what is wrong between the directors
  ansible.builtin.debug:
    msg: "{{ groups.directors | map('extract', hostvars) | lvs.ipvs.compare_directors | map(attribute='differences') | flatten }}"
"""

RETURN = r"""
_value:
  description: The findings about each director that has answered.
  type: list
  elements: dictionary
  contains:
    name:
      description: The director.
      type: str
      returned: success
    differences:
      description: What is wrong between it and the others, one text each.
      type: list
      elements: str
      returned: success
    notes:
      description: Which servers get no connections there and why, and whether its priority is lowered, one text each.
      type: list
      elements: str
      returned: success
    state:
      description: The VRRP state. V(null) without VRRP.
      type: str
      returned: success
    since:
      description: When it entered this state, or was last reloaded in it, in UTC. V(null) without VRRP.
      type: str
      returned: success
    priority:
      description: The configured VRRP priority. 0 without VRRP.
      type: int
      returned: success
    lowered:
      description: Whether its priority is lowered by M(lvs.ipvs.ipvs_handover).
      type: bool
      returned: success
    home:
      description: Whether it has the highest priority of its group. V(false) without VRRP.
      type: bool
      returned: success
    addresses:
      description: The addresses of VRRP that it holds.
      type: list
      elements: str
      returned: success
    connections:
      description: The active connections that it knows.
      type: int
      returned: success
    services:
      description:
        - The services of its table, as M(lvs.ipvs.ipvs_info) returns them. Each server has C(out) besides, why it gets no connections, which is
          V(null) if it does.
      type: list
      elements: dictionary
      returned: success
"""

from ansible_collections.lvs.ipvs.plugins.plugin_utils import _directors, _handover


def compare_directors(hosts):
    """What there is to say of each director, as a list of dicts."""
    hosts = list(hosts)
    found = _directors.directors(hosts)
    answered = {director.name for director in found}
    differences = _directors.differences(found, [host["inventory_hostname"] for host in hosts if host["inventory_hostname"] not in answered])
    homes = {_handover.home(group).name for group in _directors.groups(found)}
    return [_told(director, differences[director.name], director.name in homes) for director in found]


def _told(director, differences, is_home):
    return {
        "name": director.name,
        "differences": differences,
        "notes": _notes(director),
        "state": " and ".join(director.states) or None,
        "since": max((instance["since"] for instance in director.instances), default=None),
        "priority": director.priority,
        "lowered": director.lowered,
        "home": is_home,
        "addresses": [place["address"] for each in director.instances for place in each["addresses"] if place["present"]],
        "connections": director.connections,
        "services": [
            dict(service.options, servers=[dict(server.options, out=server.out) for server in service.servers.values()])
            for service in director.services.values()
        ],
    }


def _notes(director):
    since = {each["address"]: each["since"] for each in director.keepalived["drained"]}
    notes = ["VRRP: the priority is lowered: this director has handed over"] if director.lowered else []
    for ident, service in director.services.items():
        for server_ident, server in service.servers.items():
            if server.out:
                when = " since %s" % since[server_ident.address] if server.out == "drained" and server_ident.address in since else ""
                notes.append("%s of %s gets no connections: %s%s" % (server_ident, ident, server.out, when))
    return notes


class FilterModule:
    """Directors beside one another."""

    def filters(self):
        return {"compare_directors": compare_directors}
