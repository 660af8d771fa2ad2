# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the table differs from what keepalived works by, and what puts it right. Pure.

keepalived takes entries that it finds when it starts as they are, and a reload misses thresholds. Of a server that was there with its
weight and has not answered since the start, keepalived believes that it has weight 0: nothing but us ever takes it out.
"""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _state
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _plan


def plan(current, wanted, states, guarded=()):
    """The Plan that makes the current table what keepalived takes it for.

    ``wanted``: the Table of the list, of whole Entries; ``states``: [_state.Service] of the same configuration. Servers of a service without
    its quorum are keepalived's business: it adds and removes them then, and those that it has are only edited. Unlisted servers stay.
    ``guarded``: ServiceIds of which a failed server may stay; the program _pool_guard sees to their weights.
    """
    by_service = {state.id: state for state in states}
    all_desired = {}
    for ident, entry in wanted.items():
        state = by_service.get(ident)
        if state is not None:
            found = current[ident].servers if ident in current else {}
            all_desired[ident] = entry._replace(servers=_all_desired(entry.servers, found, state, ident in guarded))
    return _plan.plan_present(current, all_desired)


def unheeded(current, wanted, states):
    """The ServiceIds of services where too few servers pass their check, and others get connections all the same.

    Those had their weight before keepalived started. A whole service that answered until then has a wrong check more often than no server.
    """
    found = []
    for state in states:
        if state.id in wanted and state.id in current and not state.quorum_up:
            here = current[state.id].servers
            if any(server.health == _state.DOWN and server.id in here and here[server.id].weight for server in state.servers):
                found.append(state.id)
    return found


def _all_desired(servers, found, state, guarded):
    """{ServerId: Server} to have, with the weights that they should have now."""
    by_server = {server.id: server for server in state.servers}
    all_desired = {}
    for ident, server in servers.items():
        here, believed = found.get(ident), by_server.get(ident)
        if believed is None or (here is None and not state.quorum_up):
            continue
        unsettled = not state.quorum_up or believed.health == _state.UNKNOWN or (guarded and believed.health == _state.DOWN)
        if here is not None and unsettled:
            weight = here.weight
        else:
            weight = max(believed.effective_weight, 0) if believed.up else 0
        desired = server._replace(weight=weight)
        if server.forward_method != "tun":  # desired options name no tunnel where there is none
            desired = desired._replace(tunnel_type=None, tunnel_port=None, tunnel_checksum=None)
        all_desired[ident] = desired
    return all_desired
