# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet has in all."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_totals
short_description: Add up the figures of a fleet's directors and real servers
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes the variables of directors and real servers after the roles have compared them, as the playbook C(report.yml) does, and
    returns the sums for its first lines.
  - What P(lvs.ipvs.compare_directors#filter) finds wrong between directors counts as well.
  - A host without C(director_differences) and C(real_server_differences) has not answered.
positional: _input
options:
  _input:
    description: The variables of each host.
    type: list
    elements: dictionary
    required: true
"""

EXAMPLES = r"""
- name: Count the servers that get no new connections
  ansible.builtin.debug:
    msg: "{{ (groups.directors | map('extract', hostvars) | lvs.ipvs.fleet_totals).idle }}"
"""

RETURN = r"""
_value:
  description: The sums.
  type: dictionary
  contains:
    services:
      description: Virtual services.
      type: int
      returned: success
    servers:
      description: Real servers, counted once for each service.
      type: int
      returned: success
    idle:
      description: Those of them with weight 0.
      type: int
      returned: success
    active:
      description: Active connections.
      type: int
      returned: success
    most:
      description: The largest number of active connections of one server in one service, at least 1.
      type: int
      returned: success
    rate:
      description: New connections a second.
      type: int
      returned: success
    differing:
      description: Hosts that differ from the inventory, or from another director.
      type: int
      returned: success
    silent:
      description: Hosts that have not answered.
      type: int
      returned: success
"""

from ansible_collections.lvs.ipvs.plugins.plugin_utils import _directors


def fleet_totals(hosts):
    """The sums over the variables of directors and real servers, as a dict."""
    hosts = list(hosts)
    services = [service for host in hosts for service in (host.get("director_seen") or {}).get("services", [])]
    servers = [server for service in services for server in service["servers"]]
    active = [server["statistics"]["active_connections"] for server in servers]
    between = _directors.differences(_directors.directors(hosts))
    found = [_differences(host, between) for host in hosts]
    return {
        "services": len(services),
        "servers": len(servers),
        "idle": sum(server["weight"] == 0 for server in servers),
        "active": sum(active),
        "most": max([1, *active]),
        "rate": sum(service["statistics"]["connections_per_second"] for service in services),
        "differing": sum(bool(differences) for differences in found),
        "silent": sum(differences is None for differences in found),
    }


def _differences(host, between):
    """What is wrong with one host, a list; None where it has not answered. ``between``: {name: what is wrong between directors}."""
    own = host.get("director_differences", host.get("real_server_differences"))
    return None if own is None else list(own) + between.get(host.get("inventory_hostname"), [])


class FilterModule:
    """Sums over a fleet."""

    def filters(self):
        return {"fleet_totals": fleet_totals}
