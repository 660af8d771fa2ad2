# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers that keepalived keeps and the list no longer has: they lose their new connections before they go, not those they have."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _checks
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model


def leaving(current, wanted, states):
    """{ServiceId: [Server]} of the servers that keepalived has and the list has not, in services that stay.

    ``current``: the Table of the kernel; ``wanted``: that of the list; ``states``: [_state.Service] of the configuration in use.
    """
    found = {}
    for state in states:
        if state.id not in wanted or state.id not in current:
            continue
        here = current[state.id].servers
        gone = [server.id for server in state.servers if server.id not in wanted[state.id].servers]
        servers = [here[ident] for ident in gone if ident in here]
        if servers:
            found[state.id] = servers
    return found


def with_leaving(services, gone):
    """The services, and in each of them those servers too, with weight 0 and unchecked. One of them is no sorry server yet."""
    grown = []
    for options in services:
        service = _model.service_id(options)
        servers = gone.get(service, ())
        if servers:
            options = dict(options, servers=list(options.get("servers") or ()) + [_weightless(server) for server in servers])
            sorry = options.get("sorry_server")
            if sorry and _model.server_id(sorry, service) in {server.id for server in servers}:
                options["sorry_server"] = None
        grown.append(options)
    return grown


def _weightless(server):
    return dict(_model.server_options(server), weight=0, check={"type": _checks.NONE.type})
